"""The grader's one way into nbgrader's gradebook: a result is in it whole, or it is not in it at all."""

import contextlib
import json
import math
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from nbformat import NotebookNode
from nbgrader.api import Assignment, Base, Comment, Grade, Gradebook, Student
from nbgrader.api import SubmittedAssignment as Submission
from nbgrader.api import SubmittedNotebook as Notebook
from nbgrader.dbutil import ALEMBIC_DIR
from nbgrader.preprocessors import AssignLatePenalties, NbGraderPreprocessor
from nbgrader.utils import compute_checksum, determine_grade, is_grade, is_solution, parse_utc
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from traitlets.config import Config

from autograder.labs import UsageError
from autograder.result import RESOURCE, Result

# How a transaction that writes begins: one writer at a time, and whoever comes second waits.
LOCKS = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(362436069)"}


class GradebookError(UsageError):
    """The gradebook could not be read, or could not take something; then nothing of it was written."""


class Tables(DeclarativeBase):
    """The grader's own tables in nbgrader's database. nbgrader leaves them alone, and so does its `db upgrade`."""


class Record(Tables):
    """How a submission was graded. It counts only while nbgrader has that submission."""

    __tablename__ = "pruning_course_result"

    lab: Mapped[str] = mapped_column(sa.String(128), primary_key=True)
    student: Mapped[str] = mapped_column(sa.String(128), primary_key=True)
    content: Mapped[str] = mapped_column(sa.String(64))
    version: Mapped[str] = mapped_column(sa.String(64))
    submission: Mapped[str] = mapped_column(sa.String(32))  # the id of nbgrader's row
    record: Mapped[str] = mapped_column(sa.Text)  # Result.plain() as JSON


class Release(Tables):
    """The version of a lab whose cells nbgrader's generate_assignment put into this gradebook."""

    __tablename__ = "pruning_course_release"

    lab: Mapped[str] = mapped_column(sa.String(128), primary_key=True)
    version: Mapped[str] = mapped_column(sa.String(64))


class Ledger:
    """nbgrader's gradebook, opened once for many results.

    Args:
        db_url: nbgrader's, of SQLite or PostgreSQL. Tables that are missing are made.
        config: may name a plugin for late penalties, as for nbgrader's AssignLatePenalties; else there is no penalty.
        patience: how many seconds to wait while another program, such as the formgrader, writes to SQLite.

    Raises:
        GradebookError: if the gradebook cannot be opened.
    """

    def __init__(self, db_url: str, config: Config | None = None, patience: float = 60):
        with explained("The gradebook could not be opened"):
            url = sa.make_url(db_url)
            kind = url.get_backend_name()
            if kind not in LOCKS:
                raise ValueError(f"it must be of {' or '.join(LOCKS)}, not of {kind}")
            if kind == "sqlite":
                url = url.set(query={"timeout": str(patience), **url.query})
            self.lock = sa.text(LOCKS[kind])
            make_tables(url, self.lock)
            self.gradebook = Gradebook(url, course_id="")  # the empty name adds no course
            self.db = self.gradebook.db
            self.late = AssignLatePenalties(config=config)
            self.late.init_plugin()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_) -> None:
        self.gradebook.close()

    def released(self, lab: str) -> str | None:
        """The version of a lab that is in this gradebook, or None."""
        versions = sa.select(Release.version).join(Assignment, Assignment.name == Release.lab)
        with self._transaction("The gradebook could not be read"):
            return self.db.scalar(versions.where(Release.lab == lab))

    def set_released(self, lab: str, version: str) -> None:
        """Note which version of a lab is in this gradebook. Raises GradebookError if that fails."""
        with self._transaction(f"The gradebook did not take the release of {lab}", writes=True):
            self.db.merge(Release(lab=lab, version=version))

    def commit(self, result: Result, timestamp: datetime | None = None) -> None:
        """Write a result into the gradebook in one transaction; the same result again changes nothing.

        What a person entered is kept. If the work, the lab's version or the score has changed since, it waits for
        a person again.

        Args:
            timestamp: when the work was handed in; None leaves what the gradebook says.

        Raises:
            GradebookError: if that fails, for instance because the lab is not in the gradebook or has other cells
                there. Nothing of the result is in the gradebook then.
        """
        with self._transaction(f"The gradebook did not take the result of {result.student}", writes=True):
            assignment = self.gradebook.find_assignment(result.lab)
            submission = self._rows_of(assignment, result.student)
            if timestamp:
                submission.timestamp = parse_utc(timestamp)
            before = self.db.get(Record, (result.lab, result.student))
            grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
            if unknown := result.scores.keys() - {grade.name for grade in grades}:
                raise ValueError(f"{result.lab} has no cell {min(unknown)} in it; release the lab again")
            for grade in grades:
                enter_score(grade, result, before)
            for notebook in submission.notebooks:
                for comment in notebook.comments:
                    comment.auto_comment = "No response." if comment.name in result.unanswered else None
                notebook.late_submission_penalty = self._late_penalty(notebook)
            self.db.merge(Record(
                lab=result.lab, student=result.student, content=result.content, version=result.version,
                submission=submission.id, record=json.dumps(result.plain()),
            ))  # fmt: skip

    def results(self, lab: str) -> list[Result]:
        """Every result of a lab, sorted by student, with the scores that the gradebook has now."""
        with self._transaction("The gradebook could not be read"):
            records = self.db.scalars(recorded(lab, Record.record)).all()
            scores = {student: score for student, *score in self.db.execute(scored(lab))}
            results = [Result.from_plain(json.loads(record)) for record in records]
            for result in results:
                result.score, result.max_score, result.needs_manual_grade = plain_score(
                    *scores[result.student]
                )
        return sorted(results, key=lambda result: result.student)

    def score(self, lab: str, student: str) -> tuple[float, float, bool]:
        """(score, maximum, whether something waits for a person) of one submission.

        The score is the one that nbgrader exports: manual grades count, and a late penalty is taken off.

        Raises:
            GradebookError: if the gradebook has no such submission.
        """
        with self._transaction(f"The gradebook has no score of {student} for {lab}"):
            _, *score = self.db.execute(scored(lab).where(Submission.student_id == student)).one()
            return plain_score(*score)

    def people(self) -> dict[str, tuple[str | None, str | None, str | None, str | None]]:
        """Who the students are, {student: (first name, last name, email, id in the learning platform)}."""
        columns = (Student.id, Student.first_name, Student.last_name, Student.email, Student.lms_user_id)
        with self._transaction("The gradebook could not be read"):
            return {student: tuple(rest) for student, *rest in self.db.execute(sa.select(*columns))}

    @contextlib.contextmanager
    def _transaction(self, failure: str, writes: bool = False) -> Iterator[None]:
        """Keep everything that happens inside, or nothing of it; an error becomes a GradebookError."""
        try:
            with explained(failure):
                if writes:
                    self.db.execute(self.lock)
                yield
                self.db.commit()
        finally:
            self.db.remove()  # rolls back what is not committed

    def _rows_of(self, assignment: Assignment, student: str) -> Submission:
        """nbgrader's rows of a submission; where it has none they are made as Gradebook.add_submission makes them."""
        self.db.merge(Student(id=student))
        key = {"assignment_id": assignment.id, "student_id": student}
        submission = self.db.query(Submission).filter_by(**key).one_or_none()
        if submission is None:
            submission = Submission(**key)
            for source in assignment.notebooks:
                graded, answered = (
                    source.grade_cells + source.task_cells,
                    source.solution_cells + source.task_cells,
                )
                notebook = Notebook(notebook_id=source.id)
                notebook.grades = [Grade(cell_id=cell.id) for cell in graded]
                notebook.comments = [Comment(cell_id=cell.id) for cell in answered]
                submission.notebooks.append(notebook)
            self.db.add(submission)
            self.db.flush()
        return submission

    def _late_penalty(self, notebook: Notebook) -> float | None:
        """The penalty that nbgrader's AssignLatePenalties gives."""
        submission = notebook.assignment
        if submission.total_seconds_late <= 0:
            return None
        self.db.flush()  # the database adds up the score
        arguments = submission.student_id, notebook.score, submission.total_seconds_late
        penalty = self.late.plugin_inst.late_submission_penalty(*arguments)
        return None if penalty is None else float(self.late._check_late_penalty(notebook, penalty))


class SaveResult(NbGraderPreprocessor):
    """nbgrader's SaveAutoGrades and AssignLatePenalties in one transaction, for nbgrader's own `autograde`.

    It completes the Result that the executing preprocessor left in resources[RESOURCE]. Without one it saves the
    scores only, under no content and no version: the grader grades that submission again.
    """

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        names = resources["nbgrader"]
        result = resources.get(RESOURCE) or Result(names["student"], names["assignment"], seed=0)
        cells = {c.metadata.nbgrader["grade_id"]: c for c in nb.cells if is_grade(c) or is_solution(c)}
        scores = {name: determine_grade(cell, self.log)[0] for name, cell in cells.items() if is_grade(cell)}
        unanswered = [name for name, cell in cells.items() if is_solution(cell) and is_untouched(cell)]
        with Ledger(names["db_url"], self.config) as ledger:
            ledger.commit(replace(result, scores=scores, unanswered=unanswered))
        return nb, resources


def is_untouched(cell: NotebookNode) -> bool:
    """Say whether a cell is as it was given out."""
    return cell.metadata.nbgrader.get("checksum") == compute_checksum(cell)


def enter_score(grade: Grade, result: Result, before: Record | None) -> None:
    """Enter the machine's score of a cell, and whether a person must look at it, by nbgrader's SaveAutoGrades.

    But what a person graded stays settled while content, version and score are those of `before`.
    """
    score = 0.0 if result.problem else result.scores.get(grade.name, 0.0)
    if score is not None and not math.isfinite(score := float(score)):
        raise ValueError(f"the score of {grade.name} is {score}")
    by_hand = grade.manual_score is not None
    same = before and before.content and (before.content, before.version) == (result.content, result.version)
    settled = same and grade.auto_score == score and by_hand and not grade.needs_manual_grade
    grade.auto_score = score
    grade.needs_manual_grade = not result.problem and not settled and (by_hand or score is None)


def recorded(lab: str, *columns) -> sa.Select:
    """Select from the records of a lab that count."""
    rows = sa.select(*columns).join(Submission, Submission.id == Record.submission)
    return rows.where(Record.lab == lab)


def scored(lab: str) -> sa.Select:
    """Select (student, points, penalty, maximum, 1 where something waits) of each submission of a lab.

    nbgrader's own `submission.score` searches all grades of the course for each student.
    """
    waits = sa.func.max(sa.case((Grade.needs_manual_grade, 1), else_=0))
    penalty, maximum = Submission.late_submission_penalty, Submission.max_score
    columns = Submission.student_id, sa.func.sum(Grade.score), penalty, maximum, waits
    rows = sa.select(*columns).join(Submission.assignment).join(Submission.notebooks).join(Notebook.grades)
    return rows.where(Assignment.name == lab).group_by(Submission.id)


def plain_score(points: float, penalty: float, maximum: float, waits: int) -> tuple[float, float, bool]:
    """A row of `scored` as (score, maximum, whether something waits); as in nbgrader's export no score is below 0.

    Databases add up floats in different orders, so the last digits are left out.
    """
    return max(0.0, round(float(points) - float(penalty), 6)), float(maximum), bool(waits)


def make_tables(url: sa.URL, lock: sa.TextClause) -> None:
    """Make the tables that a database lacks; in an empty one nbgrader's too. All of them are made, or none.

    nbgrader makes its own in several steps. A run that is killed between them leaves half a gradebook, and of two
    runs that open an empty database together only one survives.
    """
    engine = sa.create_engine(url)
    try:
        if Tables.metadata.tables.keys() <= set(sa.inspect(engine).get_table_names()):
            return
        with engine.begin() as connection:
            connection.execute(lock)
            if not sa.inspect(connection).get_table_names():
                Base.metadata.create_all(connection)
                MigrationContext.configure(connection).stamp(ScriptDirectory(ALEMBIC_DIR), "head")
            Tables.metadata.create_all(connection)
    finally:
        engine.dispose()


@contextlib.contextmanager
def explained(failure: str) -> Iterator[None]:
    """Turn an error into a GradebookError: what failed, and the first line of why."""
    try:
        yield
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise GradebookError(f"{failure}: {reason}.") from error


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock file of a course, so that no second process grades it at the same time.

    The lock ends with this process, however that ends. Unlike a flock it is not kept by processes forked from it.

    Raises:
        UsageError: if another process holds it.
    """
    if sys.platform == "win32":  # it has no fcntl
        yield
        return
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = file.read()
            raise UsageError(
                f"{path.parent} is being graded by another process ({holder}); wait until it has finished."
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield
