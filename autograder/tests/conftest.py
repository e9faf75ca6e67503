"""Fixtures that are worth sharing: a bundled class, graded once by our grader and once by a plain nbgrader."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder import batch, demo
from autograder.course import Course
from autograder.labs import Lab, find_lab
from autograder.tests.postgres import new_postgres_database  # noqa: F401 (a fixture)


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The lab on which the grader's machinery is tested."""
    return find_lab("lab03")


@pytest.fixture(scope="session")
def graded(lab, tmp_path_factory) -> tuple[Course, dict[str, batch.Result]]:
    """A course folder whose bundled class our grader has graded, and the results by student."""
    course = Course(tmp_path_factory.mktemp("course"))
    course.prepare(lab)
    demo.make_class(course, lab)
    results = batch.grade(course, lab, batch.collect(course, lab, None))
    return course, {result.student: result for result in results}


@pytest.fixture(scope="session")
def nbgrader() -> Callable[..., subprocess.CompletedProcess]:
    """Runs nbgrader's own command line in a course folder: nbgrader(folder, "autograde", …)."""
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": scripts + os.pathsep + os.environ["PATH"]}

    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "nbgrader", *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return run
