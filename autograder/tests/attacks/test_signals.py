"""Signals go to everyone: the parent, the whole group, all process numbers, and the grader itself by its number."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import os, signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
reached = []
own = set(map(int, os.listdir("/proc/self/task")))  # a thread's number reaches its process
for pid in {-1, -PLACES.grader, os.getppid(), PLACES.grader, *range(2, 3000)} - own:
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
            reached.append(pid)
        except OSError:
            pass
report(reached=reached, parent=os.getppid(), own=os.getpid())
"""
ATTACKS = [Attack("signals", first=FIRST)]


def test_no_signal_leaves_the_sandbox(outcome):
    outcome.held()
    assert outcome.reported["own"] == 1
    assert set(outcome.reported["reached"]) <= {0, -1}
