"""CPU time is burnt where no one waits for it: in children that end before they are counted."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import os, resource, signal, time

try:
    resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY,) * 2)
    report(raised=True)
except (OSError, ValueError):
    report(raised=False)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
end = time.monotonic() + 2
while time.monotonic() < end:
    if os.fork() == 0:
        start = time.thread_time()
        while time.thread_time() - start < 0.05:
            pass
        os._exit(0)
    time.sleep(0.03)
"""
ATTACKS = [Attack("cpu", first=FIRST)]


def test_the_limit_cannot_be_raised(outcome):
    outcome.held()
    assert outcome.reported == {"raised": False}
