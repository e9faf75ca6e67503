"""Threads, detached children and atexit handlers stay behind, to go on when the grader looks away."""

import os
from pathlib import Path

from autograder.tests.attacks.attack import Attack

MARK = f"31{os.getpid()}"  # seconds that no other process sleeps
FIRST = f"""
import atexit, os, signal, subprocess, threading, time


def write():
    for path in (PLACES.tmp, PLACES.shm, "/tmp/left-over-thread", "/dev/shm/left-over-thread"):
        try:
            open(path, "w").write("mine")
        except OSError:
            pass


def go_on():
    while True:
        write()
        time.sleep(0.2)


atexit.register(write)
threading.Thread(target=go_on).start()
for _ in range(3):
    subprocess.Popen(["/bin/sh", "-c", "trap '' HUP INT TERM; sleep {MARK}"], start_new_session=True,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        os.execv("/bin/sleep", ["sleep", "{MARK}"])
    os._exit(0)
time.sleep(0.2)
found = [pid for pid in os.listdir("/proc") if pid.isdigit()]
report(processes=len(found))
"""
ATTACKS = [Attack("left-behind", first=FIRST)]


def test_nothing_goes_on(outcome):
    outcome.held()
    assert outcome.reported["processes"] >= 5
    assert not sleepers()


def sleepers() -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [place.parent.name] * (place.read_bytes() == f"sleep\0{MARK}\0".encode())
        except OSError:
            continue
    return found
