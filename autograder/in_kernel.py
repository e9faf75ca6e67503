"""What a graded cell runs under a plain `nbgrader autograde`: observe here, judge in a process of its own.

Our own `grade` never executes that cell: it sends the experiments in and judges outside (autograder/kernel.py).
Here, without that transport, the observations go through a pipe to `python -m autograder.judge_process`, which
holds the reference; so even then no expected answer enters the learner's process. The cell's result is the score
as a plain float, which is what nbgrader reads.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from autograder.experiment import observe
from autograder.labs import find_lab

_judges: dict[str, subprocess.Popen] = {}


def grade(lab: str, question: str, max_points: float, namespace: dict) -> float:
    """Grade one question of the notebook whose globals are `namespace`: show the feedback, return the points."""
    from IPython.display import display

    judge = _judge(lab)
    with _quiet():
        text = observe(find_lab(lab).checks_source, lab, question, namespace, judge.seed)
    judge.stdin.write(json.dumps({"question": question, "max_points": max_points, "text": text}) + "\n")
    judge.stdin.flush()
    reply = json.loads(judge.stdout.readline())
    display(reply["display"], raw=True)
    return reply["points"]


def _judge(lab: str) -> subprocess.Popen:
    """The process that judges this lab, started on first use and kept as long as the kernel."""
    if lab not in _judges or _judges[lab].poll() is not None:
        process = subprocess.Popen(
            [sys.executable, "-m", "autograder.judge_process", lab],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        if not (greeting := process.stdout.readline()):
            raise RuntimeError(
                "the judge did not start; install this course in the environment that runs nbgrader"
            )
        process.seed = json.loads(greeting)["seed"]
        atexit.register(process.kill)
        _judges[lab] = process
    return _judges[lab]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the learner's code prints out of the cell: nbgrader gives 0 for a single line on stderr."""
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        saved = os.dup(2)
        os.dup2(nowhere.fileno(), 2)  # C++ warnings, torch's too, go straight to the file descriptor
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
