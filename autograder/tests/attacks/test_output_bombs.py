"""Output floods the grader: printed, displayed, raised, written to the inherited descriptors, in endless updates."""

from autograder.tests.attacks.attack import Attack

ROW = "def row_scores(*args):\n    "
SENT = {  # of one question
    "printed": "while True:\n        print('x' * 1_000_000, flush=True)",
    "displayed": "while True:\n        display({'text/plain': 'x' * 3_000_000}, raw=True)",
    "logged": "import logging\n    while True:\n        logging.error('x' * 1_000_000)",
}
KEPT = {  # a message that is too long; the first cell is lost, and nothing else
    "one-print": "print('x' * 30_000_000)",
    "one-error": "raise ValueError('x' * 30_000_000)",
    "updates": "handle = display('x', display_id=True)\nwhile True:\n    handle.update('x' * 100_000)",
}
STDIO = """
import os

written = 0
for descriptor in (0, 1, 2):
    try:
        for _ in range(100):
            written += os.write(descriptor, bytes(1 << 20))
    except OSError:
        pass
os.system("head -c 30000000 /dev/zero; head -c 30000000 /dev/zero >&2")
report(links=[os.readlink(f"/proc/self/fd/{number}") for number in (0, 1, 2)])
"""
ATTACKS = [
    *(
        Attack(
            name, answers={"row_scores": ROW + code}, earns={"row_scores": 0.0}, stops=("output", "output")
        )
        for name, code in SENT.items()
    ),
    *(Attack(name, first=code, stops=("output",)) for name, code in KEPT.items()),
    Attack("stdio", first=STDIO),
]


def test_output_is_bounded(outcome):
    outcome.held()
    assert len(outcome.text) < 8_000_000
    if outcome.attack.name == "stdio":
        assert set(outcome.reported["links"]) == {"/dev/null"}
