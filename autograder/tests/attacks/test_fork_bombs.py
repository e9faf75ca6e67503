"""Processes and threads are started until the system refuses, and the limit on them is raised first."""

from autograder.tests.attacks.attack import Attack

FORKS = """
import os, resource, time

raised = ""
try:
    resource.setrlimit(resource.RLIMIT_NPROC, (100_000, 100_000))
except (OSError, ValueError) as error:
    raised = str(error)
started = 0
while True:
    try:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        started += 1
    except OSError as error:
        report(started=started, refused=str(error), raised=raised)
        break
os.kill(-1, 9)
"""
THREADS = """
import threading, time

started = 0
try:
    while True:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        started += 1
except RuntimeError as error:
    report(started=started, refused=str(error))
"""
ATTACKS = [Attack("forks", first=FORKS), Attack("threads", first=THREADS, wild=True)]


def test_processes_are_bounded(outcome):
    assert 0 < outcome.reported["started"] < 64
    assert outcome.reported["refused"]
    if outcome.attack.name == "forks":
        assert outcome.reported["raised"]
    outcome.held()
