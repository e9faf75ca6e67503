"""The kernel is ended: os._exit, sys.exit, abort, a signal to itself, a segmentation fault, an endless recursion."""

from autograder.tests.attacks.attack import Attack

ENDS = {  # of one question: the rest goes on in a new kernel
    "os-exit": "import os\n    os._exit(0)",
    "abort": "import os\n    os.abort()",
    "null-pointer": "import ctypes\n    ctypes.string_at(0)",
    "shut-down": "get_ipython().kernel.do_shutdown(False)\n    get_ipython().kernel.io_loop.stop()\n"
    "    import os\n    os._exit(0)",
}
RAISES = {  # nothing ends
    "sys-exit": "import sys\n    sys.exit(0)",
    "kill-itself": "import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n    os.kill(1, signal.SIGSTOP)",
}


def answer(code: str) -> dict[str, str]:
    return {"row_scores": f"def row_scores(*args):\n    {code}\n    return 3.0"}


ATTACKS = [Attack(name, answers=answer(code), earns={"row_scores": 0.0}) for name, code in RAISES.items()]
# The traceback of an endless recursion may take longer than a cell may.
ATTACKS += [
    Attack("recursion", answers=answer("return row_scores(*args)"), earns={"row_scores": 0.0}, wild=True)
]
# The visible check ends the kernel once, the hidden one again.
ATTACKS += [
    Attack(name, answers=answer(code), earns={"row_scores": 0.0}, stops=("", ""))
    for name, code in ENDS.items()
]

ATTACKS += [
    Attack("quit", answers=answer("exit()"), earns={"row_scores": 0.0})
]  # IPython's own: no kernel ends


def test_an_end_costs_its_own_question(outcome):
    outcome.held()
