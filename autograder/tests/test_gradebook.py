"""The one writer into nbgrader's gradebook, on SQLite and on PostgreSQL; nbgrader's own code is the oracle."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import nbformat
import nbformat.v4 as nbf
import numpy as np
import pytest
import sqlalchemy as sa
from nbgrader import dbutil
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import LateSubmissionPlugin
from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades
from nbgrader.utils import compute_checksum
from traitlets.config import Config

from autograder import gradebook
from autograder.course import quiet_nbgrader
from autograder.gradebook import LOCKS, GradebookError, Ledger, SaveResult, Tables, only_one
from autograder.labs import UsageError
from autograder.result import RESOURCE, Result, Stop

LAB = "lab99_test"
DUE = datetime(2026, 10, 1, 12)
ZERO = Config({"LateSubmissionPlugin": {"penalty_method": "zero"}})
A_THIRD = Config({"AssignLatePenalties": {"plugin_class": f"{__name__}.AThird"}})


class AThird(LateSubmissionPlugin):
    """Takes a third of the points."""

    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return score / 3


def graded(ledger: Ledger) -> dict[str, tuple[str, str]]:
    return {result.student: (result.content, result.version) for result in ledger.results(LAB)}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request, tmp_path) -> str:
    """The URL of a database without a table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gradebook.db'}"
    return request.getfixturevalue("new_postgres_database")()


@pytest.fixture
def url(empty) -> str:
    """The URL of a gradebook that knows the lab."""
    with Ledger(empty):
        pass
    add_lab(empty)
    return empty


@pytest.fixture
def ledger(url):
    with Ledger(url) as ledger:
        yield ledger


def add_lab(url: str) -> None:
    """Two questions of 2 and 3 points with their answer cells, and an essay of 4 that a person grades."""
    with contextlib.closing(Gradebook(url)) as book:
        book.add_assignment(LAB, duedate=DUE)
        book.add_notebook(LAB, LAB)
        for question, points in (("masks", 2), ("sparsity", 3)):
            book.add_grade_cell(question, LAB, LAB, max_score=points, cell_type="code")
            book.add_solution_cell(f"{question}-answer", LAB, LAB)
        book.add_grade_cell("essay", LAB, LAB, max_score=4, cell_type="markdown")
        book.add_solution_cell("essay", LAB, LAB)


def result(student="ada", masks=2.0, sparsity=1.5, essay=None, **more) -> Result:
    scores = {"masks": masks, "sparsity": sparsity, "essay": essay}
    return Result(**{"student": student, "lab": LAB, "seed": 7, "content": "c" * 64, "version": "v" * 64,
                     "scores": scores, "unanswered": ["sparsity-answer"]} | more)  # fmt: skip


def dump(url: str) -> dict[str, list[str]]:
    """Every row of every table."""
    engine = sa.create_engine(url)
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        rows = {
            name: sorted(map(repr, connection.execute(table.select())))
            for name, table in tables.tables.items()
        }
    engine.dispose()
    return rows


def grades(url: str, student: str = "ada") -> dict[str, tuple]:
    """{grade cell: (by the machine, by hand, waits for a person)}, through nbgrader."""
    with contextlib.closing(Gradebook(url)) as book:
        (notebook,) = book.find_submission(LAB, student).notebooks
        return {g.name: (g.auto_score, g.manual_score, g.needs_manual_grade) for g in notebook.grades}


def comments(url: str, student: str = "ada") -> dict[str, tuple]:
    with contextlib.closing(Gradebook(url)) as book:
        (notebook,) = book.find_submission(LAB, student).notebooks
        return {c.name: (c.auto_comment, c.manual_comment) for c in notebook.comments}


def grade_by_hand(url: str, question: str = "essay", points: float = 3, student: str = "ada") -> None:
    """As the formgrader does."""
    with contextlib.closing(Gradebook(url)) as book:
        grade = book.find_grade(question, LAB, LAB, student)
        grade.manual_score, grade.needs_manual_grade = points, False
        book.find_comment("essay", LAB, LAB, student).manual_comment = "Well said."
        book.db.commit()


# What is written


def test_a_result_becomes_nbgraders_rows(url, ledger):
    ledger.commit(result(), datetime(2026, 9, 30))
    assert grades(url) == {
        "masks": (2, None, False),
        "sparsity": (1.5, None, False),
        "essay": (None, None, True),
    }
    assert comments(url) == {"masks-answer": (None, None), "sparsity-answer": ("No response.", None),
                             "essay": (None, None)}  # fmt: skip
    with contextlib.closing(Gradebook(url)) as book:
        submission = book.find_submission(LAB, "ada")
        assert (submission.score, submission.max_score, submission.needs_manual_grade) == (3.5, 9, True)
        assert submission.timestamp == datetime(2026, 9, 30)
    assert graded(ledger) == {"ada": ("c" * 64, "v" * 64)}


def test_the_rows_are_those_that_nbgrader_makes(url, ledger):
    ledger.commit(result("ada"))
    with contextlib.closing(Gradebook(url)) as book, quiet_nbgrader():
        book.add_student("bao")
        book.add_submission(LAB, "bao")
    assert grades(url, "ada").keys() == grades(url, "bao").keys()
    assert comments(url, "ada").keys() == comments(url, "bao").keys()
    counts = {name: len(rows) for name, rows in dump(url).items()}
    assert (counts["grade"], counts["comment"], counts["submitted_notebook"]) == (6, 6, 2)
    ledger.commit(result("bao"))  # takes the rows that are there
    assert {name: len(rows) for name, rows in dump(url).items()} == counts | {"pruning_course_result": 2}


def test_the_same_result_again_changes_nothing(url, ledger):
    when = datetime(2026, 10, 2)
    ledger.commit(result(), when)
    before = dump(url)
    ledger.commit(result(), when)
    assert dump(url) == before
    grade_by_hand(url)
    before = dump(url)
    ledger.commit(result())
    assert dump(url) == before


def test_what_a_person_settled_stays_settled_for_the_same_work(url, ledger):
    ledger.commit(result())
    grade_by_hand(url, "essay", 3)
    grade_by_hand(url, "sparsity", 2)
    ledger.commit(result(seconds=8.0))
    assert grades(url) == {"masks": (2, None, False), "sparsity": (1.5, 2, False), "essay": (None, 3, False)}
    assert comments(url)["essay"] == (None, "Well said.")


@pytest.mark.parametrize(
    "change, waiting",
    [
        ({"content": "d" * 64}, {"essay", "sparsity"}),
        ({"version": "w" * 64}, {"essay", "sparsity"}),
        ({"sparsity": 3.0}, {"sparsity"}),
        ({"essay": 0.0}, {"essay"}),
    ],
)
def test_what_a_person_settled_waits_again_when_something_changed(url, ledger, change, waiting):
    ledger.commit(result())
    grade_by_hand(url, "essay", 3)
    grade_by_hand(url, "sparsity", 2)
    for _ in range(2):  # it still waits when the changed work is graded again
        ledger.commit(result(**change))
        after = grades(url)
        assert {name for name, (_, _, waits) in after.items() if waits} == waiting
        assert (after["essay"][1], after["sparsity"][1]) == (3, 2)
        assert comments(url)["essay"] == (None, "Well said.")


def test_work_of_unknown_content_is_never_the_same(url, ledger):
    ledger.commit(result(content=""))
    grade_by_hand(url)
    ledger.commit(result(content=""))
    assert grades(url)["essay"] == (None, 3, True)


def test_a_submission_with_a_problem_gets_0_and_nobody_needs_to_look(url, ledger):
    ledger.commit(Result("omar", LAB, 7, problem="It is not JSON.", scores={"masks": 2.0}))
    assert set(grades(url, "omar").values()) == {(0, None, False)}
    ledger.commit(result("omar"))
    grade_by_hand(url, student="omar")
    ledger.commit(Result("omar", LAB, 7, problem="It is not JSON."))
    assert grades(url, "omar")["essay"] == (0, 3, False)


def test_a_cell_without_a_score_gets_0(url, ledger):
    ledger.commit(result(scores={"masks": 2.0}))
    assert grades(url) == {"masks": (2, None, False), "sparsity": (0, None, False), "essay": (0, None, False)}


def test_numbers_of_numpy_and_whole_numbers_arrive_as_points(url, ledger):
    ledger.commit(result(masks=np.float64(1.5), sparsity=3, essay=4))
    assert grades(url) == {
        "masks": (1.5, None, False),
        "sparsity": (3, None, False),
        "essay": (4, None, False),
    }
    assert ledger.score(LAB, "ada") == (8.5, 9.0, False)
    assert [type(value) for value in ledger.score(LAB, "ada")] == [float, float, bool]


def test_what_nbgrader_knows_of_a_student_is_kept(url, ledger):
    with contextlib.closing(Gradebook(url)) as book:
        book.add_student("ada", first_name="Ada", last_name="Lovelace", email="ada@x.org", lms_user_id="17")
    ledger.commit(result("ada"), DUE)
    ledger.commit(result("bao"))
    ledger.commit(result("ada"))  # no time: the one that is known stays
    assert ledger.people() == {"ada": ("Ada", "Lovelace", "ada@x.org", "17"), "bao": (None, None, None, None)}
    with contextlib.closing(Gradebook(url)) as book:
        assert book.find_submission(LAB, "ada").timestamp == DUE


# What is read


def test_results_come_back_as_they_were_with_the_scores_of_today(url, ledger):
    stop = Stop(3, "memory", "The kernel used more than 2 GB in cell 3.")
    sent = [
        result("Zoë", stops=[stop], verdicts=[{"question": "masks", "text": "\x00 \ud800 €"}], phases={"cells": 1.25}),
        result("ada", masks=0.0), result("bao", essay=1.0),
    ]  # fmt: skip
    for one in sent:
        ledger.commit(one)
    grade_by_hand(url, student="ada")
    with contextlib.closing(Gradebook(url)) as book:
        book.find_grade("masks", LAB, LAB, "ada").extra_credit = 0.25
        book.db.commit()
        totals = {
            s.student_id: (s.score, s.max_score, s.needs_manual_grade)
            for s in book.find_assignment(LAB).submissions
        }
    read = ledger.results(LAB)
    assert [one.student for one in read] == ["Zoë", "ada", "bao"]
    assert [one.plain() for one in read] == [one.plain() for one in sent]
    for one in read:
        assert (one.score, one.max_score, one.needs_manual_grade) == totals[one.student]
        assert ledger.score(LAB, one.student) == totals[one.student]
    assert totals["ada"] == (4.75, 9, False)
    assert ledger.results("lab00_other") == []
    with pytest.raises(GradebookError, match="no score of emil"):
        ledger.score(LAB, "emil")


def test_a_submission_that_nbgrader_no_longer_has_is_not_graded(url, ledger):
    ledger.commit(result())
    with contextlib.closing(Gradebook(url)) as book, quiet_nbgrader():
        book.remove_submission(LAB, "ada")
        assert (graded(ledger), ledger.results(LAB)) == ({}, [])
        book.add_submission(LAB, "ada")  # as `nbgrader autograde` does before it grades
    assert graded(ledger) == {}
    ledger.commit(result())
    assert list(graded(ledger)) == ["ada"]


def test_the_released_version(url, ledger):
    assert ledger.released(LAB) is None
    ledger.set_released(LAB, "v1")
    ledger.set_released(LAB, "v2")
    assert ledger.released(LAB) == "v2"
    with contextlib.closing(Gradebook(url)) as book:
        book.remove_assignment(LAB)
    assert ledger.released(LAB) is None


# Late penalties


@pytest.mark.parametrize("config, penalty", [(None, None), (Config(), None), (ZERO, 3.5), (A_THIRD, 3.5 / 3)])
@pytest.mark.parametrize("late", [True, False])
def test_late_work_is_penalised_as_by_nbgrader(url, config, penalty, late):
    when = DUE + timedelta(hours=1 if late else -1)
    with Ledger(url, config) as ledger:
        ledger.commit(result(), when)
        once = dump(url)
        ledger.commit(result(), when)
        assert dump(url) == once
        score = ledger.score(LAB, "ada")[0]
    with contextlib.closing(Gradebook(url)) as book:
        (notebook,) = book.find_submission(LAB, "ada").notebooks
        ours = notebook.late_submission_penalty
    assert ours == (penalty if late else None)
    assert score == pytest.approx(3.5 - (ours or 0))
    with quiet_nbgrader():
        AssignLatePenalties(config=config).preprocess(nbf.new_notebook(), resources(url))
    assert dump(url) == once


def test_a_penalty_never_makes_a_score_negative(url):
    with Ledger(url, ZERO) as ledger:
        ledger.commit(result(), DUE + timedelta(1))
        grade_by_hand(url, "masks", 0)
        assert ledger.score(LAB, "ada")[0] == 0


# Failures


@pytest.mark.parametrize(
    "bad, reason",
    [
        (result(masks=float("nan")), "the score of masks is nan"),
        (result(scores={"masks": 1, "old_question": 1}), "no cell old_question"),
        (result(lab="lab00_other"), "No such assignment: lab00_other"),
        (result(verdicts=[{"text": object()}]), "not JSON serializable"),
        (result(student="\ud800"), "surrogates not allowed"),
    ],
)
def test_a_result_that_cannot_be_written_leaves_nothing(url, ledger, bad, reason):
    ledger.commit(result("bao"))
    before = dump(url)
    with pytest.raises(GradebookError, match=reason):
        ledger.commit(bad, DUE)
    assert dump(url) == before
    ledger.commit(result("chidi"))
    assert set(graded(ledger)) == {"bao", "chidi"}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("failure", [RuntimeError("the disk is full"), KeyboardInterrupt()])
def test_a_failure_at_the_very_end_leaves_nothing(url, ledger, monkeypatch, known, failure):
    if known:
        ledger.commit(result())
    before = dump(url)

    def fail(record):
        ledger.db.flush()
        raise failure

    monkeypatch.setattr(gradebook.json, "dumps", fail)
    expected = GradebookError if isinstance(failure, Exception) else KeyboardInterrupt
    with pytest.raises(expected):
        ledger.commit(result(masks=1.0, content="d" * 64), DUE)
    assert dump(url) == before


KILLED = """
import json, os, signal, sys
from datetime import datetime
from autograder.gradebook import Ledger
from autograder.result import Result
with Ledger(sys.argv[1]) as ledger:
    def die(record):
        ledger.db.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    json.dumps = die
    ledger.commit(Result("ada", sys.argv[2], 7, "d", "v", scores={"masks": 1.0}), datetime(2026, 10, 1))
"""


def test_a_process_that_is_killed_while_it_writes_leaves_the_gradebook_as_it_was(url, ledger):
    ledger.commit(result("ada"))
    before = dump(url)
    run = subprocess.run([sys.executable, "-c", KILLED, url, LAB], check=False)
    assert run.returncode == -signal.SIGKILL
    assert dump(url) == before
    ledger.commit(result("bao"))
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@contextlib.contextmanager
def another_writer(url: str, seconds: float):
    """Another program that has begun to write, and ends after some seconds or with the block."""
    engine = sa.create_engine(url, connect_args={"check_same_thread": False} if "sqlite" in url else {})
    connection = engine.connect()
    connection.execute(sa.text(LOCKS[engine.dialect.name]))
    connection.execute(sa.text("INSERT INTO student (id) VALUES ('zoe')"))
    timer = threading.Timer(seconds, connection.rollback)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        connection.close()
        engine.dispose()


def test_another_writer_is_waited_for(url, ledger):
    with another_writer(url, seconds=0.5):
        start = time.monotonic()
        ledger.commit(result())
        assert time.monotonic() - start > 0.3
    assert list(graded(ledger)) == ["ada"]


@pytest.mark.parametrize("empty", ["sqlite"], indirect=True)
def test_patience_ends_with_a_reason_and_the_next_result_is_taken(url):
    with Ledger(url, patience=0.1) as ledger:
        with another_writer(url, seconds=30):
            assert graded(ledger) == {}  # reading is possible all the time
            start = time.monotonic()
            with pytest.raises(GradebookError, match="the result of ada: .*database is locked"):
                ledger.commit(result("ada"))
            assert time.monotonic() - start < 3
        ledger.commit(result("bao"))
        assert list(graded(ledger)) == ["bao"]


def test_many_writers_at_once(url):
    def write(number: int) -> None:
        with Ledger(url) as ledger:
            for count in range(5):
                ledger.commit(result(f"student{(number + count) % 6}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with Ledger(url) as ledger:
        assert [one.score for one in ledger.results(LAB)] == [3.5] * 6


# Fresh and old gradebooks


def test_several_may_open_an_empty_gradebook_at_once(empty):
    with ThreadPoolExecutor(6) as pool:
        for ledger in pool.map(Ledger, [empty] * 6):
            ledger.gradebook.close()
    assert len(dump(empty)["alembic_version"]) == 1


def test_a_fresh_gradebook_is_made_whole_or_not_at_all(empty, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(GradebookError, match="could not be opened: no more"):
        patch.setattr(
            Tables.metadata, "create_all", lambda connection: (_ for _ in ()).throw(OSError("no more"))
        )
        Ledger(empty)
    assert dump(empty) == {}
    with Ledger(empty) as ledger:
        assert graded(ledger) == {}


@pytest.mark.slow
def test_a_gradebook_without_our_tables_gets_them_and_nbgrader_can_still_upgrade_it(empty):
    with quiet_nbgrader():
        add_lab(empty)  # nbgrader makes the gradebook
        with contextlib.closing(Gradebook(empty)) as book:
            book.add_student("ada")
            book.add_submission(LAB, "ada")
            book.find_grade("essay", LAB, LAB, "ada").manual_score = 2
            book.db.commit()
    before = dump(empty)
    with Ledger(empty) as ledger:
        assert (graded(ledger), ledger.released(LAB), ledger.results(LAB)) == ({}, None, [])
        assert dump(empty) == before | {"pruning_course_result": [], "pruning_course_release": []}
        assert ledger.score(LAB, "ada") == (2, 9, True)
        ledger.commit(result())
    assert grades(empty)["essay"] == (None, 2, True)
    after = dump(empty)
    dbutil.upgrade(empty)
    assert dump(empty) == after


@pytest.mark.slow
def test_a_fresh_gradebook_is_the_one_that_nbgrader_makes(tmp_path):
    ours, theirs = (f"sqlite:///{tmp_path / name}" for name in ("ours.db", "theirs.db"))
    with Ledger(ours), quiet_nbgrader():
        Gradebook(theirs, course_id="").close()
    assert dump(ours) == dump(theirs) | {"pruning_course_result": [], "pruning_course_release": []}


@pytest.mark.parametrize(
    "url, reason",
    [
        ("sqlite:////no/such/folder/gradebook.db", "unable to open database file"),
        ("mysql://localhost/x", "sqlite or postgresql, not of mysql"),
        ("gradebook.db", "Could not parse SQLAlchemy URL"),
    ],
)
def test_a_gradebook_that_cannot_be_opened_says_why(url, reason):
    with pytest.raises(UsageError, match=f"The gradebook could not be opened: .*{reason}"):
        Ledger(url)


# nbgrader's own autograde


def resources(url: str, student: str = "ada", **more) -> dict:
    return {"nbgrader": {"db_url": url, "student": student, "assignment": LAB, "notebook": LAB}} | more


def executed() -> nbformat.NotebookNode:
    """An executed notebook with full points, some points, and an essay; one answer cell was left as it was."""
    cells = []
    for name, grade, solution, points, output in (
        ("masks-answer", False, True, None, None), ("masks", True, False, 2, None),
        ("sparsity-answer", False, True, None, None), ("sparsity", True, False, 3, "1.5"),
        ("essay", True, True, 4, None),
    ):  # fmt: skip
        cell = nbf.new_markdown_cell(name) if name == "essay" else nbf.new_code_cell(name)
        cell.metadata["nbgrader"] = nbformat.from_dict(
            {"grade_id": name, "grade": grade, "solution": solution, "locked": not solution, "task": False,
             "schema_version": 3} | ({"points": points} if grade else {})
        )  # fmt: skip
        cell.metadata.nbgrader["checksum"] = (
            compute_checksum(cell) if name == "sparsity-answer" else "given out"
        )
        if output:
            cell.outputs = [nbf.new_output("execute_result", data={"text/plain": output})]
        cells.append(cell)
    return nbf.new_notebook(cells=[*cells, nbf.new_code_cell("1 + 1")])


def test_nbgraders_autograde_saves_the_same_rows_in_one_transaction(url):
    with contextlib.closing(Gradebook(url)) as book, quiet_nbgrader():
        for student in ("ada", "bao"):
            book.add_student(student)
            book.add_submission(LAB, student, timestamp=DUE + timedelta(1))  # nbgrader's init_assignment
    with quiet_nbgrader():
        SaveResult(config=A_THIRD).preprocess(executed(), resources(url, "ada"))
        for theirs in (SaveAutoGrades, AssignLatePenalties):
            theirs(config=A_THIRD).preprocess(executed(), resources(url, "bao"))
    assert grades(url, "ada") == grades(url, "bao")
    assert comments(url, "ada") == comments(url, "bao")
    assert comments(url, "ada")["sparsity-answer"] == ("No response.", None)
    with Ledger(url) as ledger:
        assert ledger.score(LAB, "ada") == ledger.score(LAB, "bao") == (round(3.5 - 3.5 / 3, 6), 9, True)
        assert graded(ledger) == {"ada": ("", "")}


def test_nbgraders_autograde_keeps_the_result_of_the_executing_step(url):
    left = Result("ada", LAB, 7, content="c", version="v", verdicts=[{"question": "masks"}], seconds=2.5)
    with quiet_nbgrader():
        SaveResult().preprocess(executed(), resources(url, **{RESOURCE: left}))
    with Ledger(url) as ledger:
        (read,) = ledger.results(LAB)
        assert graded(ledger) == {"ada": ("c", "v")}
    assert (read.seed, read.verdicts, read.seconds) == (7, [{"question": "masks"}], 2.5)
    assert (read.scores, read.unanswered) == (
        {"masks": 2, "sparsity": 1.5, "essay": None},
        ["sparsity-answer"],
    )


def test_nbgraders_autograde_fails_as_a_whole(url):
    before = dump(url)
    notebook = executed()
    notebook.cells[3].outputs[0].data["text/plain"] = "99"
    with pytest.raises(ValueError):
        SaveResult().preprocess(notebook, resources(url))
    with pytest.raises(GradebookError), pytest.raises(MissingEntry):
        SaveResult().preprocess(
            executed(), resources(url) | {"nbgrader": resources(url)["nbgrader"] | {"assignment": "x"}}
        )
    assert dump(url) == before


# Two runs on one course

HOLDER = """
import os, sys, time
from pathlib import Path
from autograder.gradebook import only_one
with only_one(Path(sys.argv[1])):
    child = os.fork()
    if not child:
        os.close(1)
        time.sleep(60)
    print(child, flush=True)
    time.sleep(60)
"""


def test_a_second_run_on_a_course_is_refused_until_the_first_is_gone(tmp_path):
    lock = tmp_path / "course" / "grading.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True)
    with holder:
        child = int(holder.stdout.readline())
        try:
            with (
                pytest.raises(
                    UsageError, match=f"course is being graded by another process .process {holder.pid} on "
                ),
                only_one(lock),
            ):
                pass
            holder.kill()  # its forked child still lives
            holder.wait()
            os.kill(child, 0)
            with only_one(lock):
                assert lock.read_text().startswith(f"process {os.getpid()} on ")
        finally:
            os.kill(child, signal.SIGKILL)
            holder.kill()
    with only_one(lock):
        pass
