"""Loops never end: one stops when interrupted, one swallows every interrupt, one waits in C code for a lock."""

from autograder.tests.attacks.attack import Attack

POLITE = "def choose_sparsities(*args):\n    while True:\n        pass"
STUBBORN = """
def choose_sparsities(*args):
    while "_observe" in globals():
        try:
            while True:
                pass
        except BaseException:
            pass
"""
LOCKED = """
import signal, threading


def choose_sparsities(*args):
    if "_observe" not in globals():
        return {}
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
"""
NONE = {"choose_sparsities": 0.0}
ATTACKS = [
    Attack("polite", answers={"choose_sparsities": POLITE}, earns=NONE),
    Attack("stubborn", answers={"choose_sparsities": STUBBORN}, earns=NONE, stops=("cell time",)),
    Attack("locked", answers={"choose_sparsities": LOCKED}, earns=NONE, stops=("cell time",)),
]


def test_a_loop_costs_its_own_question(outcome):
    outcome.held()
