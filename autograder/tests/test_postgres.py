"""The whole way with the gradebook in PostgreSQL: our grader, then nbgrader's own autograde."""

import os
import subprocess
import sys

import pytest

from autograder import demo
from autograder.course import Course
from autograder.gradebook import Ledger

pytestmark = pytest.mark.slow


def test_a_class_is_graded_into_postgresql_and_nbgrader_grades_on_there(
    new_postgres_database, lab, tmp_path, nbgrader, graded
):
    url = new_postgres_database()
    course = Course(tmp_path / "course", url)
    course.prepare(lab)
    chosen = ("ada", "emil", "lena", "omar")
    for submission in demo.make_class(course, lab):
        if submission.student not in chosen:
            course.notebook("submitted", lab, submission.student).unlink()
            course.folder("submitted", lab, submission.student).rmdir()
    command = [sys.executable, "-m", "autograder", "grade", lab.stem, "--course", str(course.root)]
    run = subprocess.run(
        command, env=os.environ | {"GRADEBOOK_URL": url}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert url not in run.stdout  # it may hold a password
    expected = {student: graded[1][student].score for student in chosen}
    assert scores(course, lab) == expected
    assert not (course.root / "gradebook.db").exists()
    assert nbgrader(course.root, "autograde", lab.stem, "--student", "emil", "--force").returncode == 0
    assert scores(course, lab) == expected


def scores(course: Course, lab) -> dict[str, float]:
    with Ledger(course.db_url) as ledger:
        return {result.student: result.score for result in ledger.results(lab.stem)}
