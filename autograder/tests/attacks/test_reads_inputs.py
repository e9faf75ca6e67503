"""The history and its copies are read for what the grader sent: In, _ih, the history manager, the kernel's messages."""

from autograder.tests.attacks.attack import ANSWER, Attack

SPY = f"""
{ANSWER}

honest, seen = choose_sparsities, []


def choose_sparsities(*args, **kwargs):
    shell = get_ipython()
    seen.extend(map(str, [In, Out, _ih, _i, _ii, shell.history_manager.input_hist_raw, shell.kernel.get_parent(),
                          getattr(shell.kernel, "_parents", 0), shell.user_ns.get("_observe"), list(shell.history_manager.get_tail(9))]))
    return honest(*args, **kwargs)
"""
LAST = """
text = "".join(seen)
report(asked="_observe(globals()" in text, reference="solutions/lab" in text or "wrong_answers" in text, size=len(text))
"""
ATTACKS = [Attack("inputs", answers={"choose_sparsities": SPY}, last=LAST)]


def test_the_request_can_be_read_but_holds_no_answer(outcome):
    outcome.held()
    assert outcome.reported["asked"] and not outcome.reported["reference"]
