"""Grade a class: every submission into the nbgrader gradebook, and no submission stops another."""

import json
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nbformat
import torch

from autograder.course import Course, last_line, quiet_nbgrader
from autograder.feedback import VERDICT_MIME
from autograder.judge import draw_seed
from autograder.labs import Lab, UsageError
from autograder.submission import SubmissionError, read_submission


@dataclass
class Result:
    """How one submission went; kept as JSON beside the gradebook, for feedback pages and the class report.

    `problem` is empty where the submission could be graded. `verdicts` are plain data (judge.Verdict.plain).
    """

    student: str
    lab: str
    seed: int
    score: float
    max_score: float
    needs_manual_grade: bool
    problem: str = ""
    verdicts: list[dict] = field(default_factory=list)
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)


def collect(course: Course, lab: Lab, submitted: Path | None) -> list[str]:
    """Find the students who handed in; with a folder of submissions, copy it into the course first.

    Args:
        submitted: a folder that holds STUDENT/LAB/LAB.ipynb, as nbgrader and its exchange lay it out.

    Raises:
        UsageError: if the folder does not exist or holds no submission of this lab. Nothing is written then.
    """
    folder = submitted or course.root / "submitted"
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}; give the folder of the submissions with --submitted.")
    students = sorted(path.parent.name for path in folder.glob(f"*/{lab.stem}") if path.is_dir())
    if not students:
        raise UsageError(
            f"{folder} holds no submission of {lab.stem}; expected are files like "
            f"{Path('STUDENT') / lab.stem / f'{lab.stem}.ipynb'} in it."
        )
    if submitted and submitted.resolve() != (course.root / "submitted").resolve():
        for student in students:
            target = course.folder("submitted", lab, student)
            # The old one stays until the new one is complete.
            arriving = target.with_name(f".{lab.stem}.arriving")
            shutil.rmtree(arriving, ignore_errors=True)
            shutil.copytree(submitted / student / lab.stem, arriving, symlinks=True)
            shutil.rmtree(target, ignore_errors=True)
            arriving.rename(target)
    return students


def grade(course: Course, lab: Lab, students: list[str], seed: int | None = None) -> Iterator[Result]:
    """Grade the collected submissions one after another; yield each result when it is in the gradebook.

    Args:
        course: the course folder; the lab's rows are made in its gradebook first.
        students: as `collect` returned them.
        seed: of the hidden checks, one for the run; None draws one.

    Raises:
        UsageError: if the lab cannot be woven or released.
    """
    seed = draw_seed() if seed is None else seed
    course.prepare(lab)
    results = course.root / "results" / lab.stem
    results.mkdir(parents=True, exist_ok=True)
    for student in students:
        result = grade_submission(course, lab, student, seed)
        (results / f"{student}.json").write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
        yield result


def grade_submission(course: Course, lab: Lab, student: str, seed: int) -> Result:
    """Grade one submission with nbgrader's autograde; one that cannot be graded gets 0 and the reason."""
    start, verdicts, problem = time.perf_counter(), [], ""
    try:
        read_submission(course.notebook("submitted", lab, student), lab)
        with quiet_nbgrader():
            api = course.api()
            api.config.ExecuteAndJudge.seed = seed
            outcome = api.autograde(lab.stem, student, force=True, create=True)
        if not outcome["success"]:
            raise SubmissionError(f"The notebook could not be graded: {last_line(outcome)}")
        verdicts = read_verdicts(course.notebook("autograded", lab, student))
    except SubmissionError as error:
        problem = str(error)
        give_zero(course, lab, student)
    score, max_score, manual = read_score(course, lab, student)
    return Result(
        student, lab.stem, seed, score, max_score, manual, problem, verdicts,
        round(time.perf_counter() - start, 3), {"python": platform.python_version(), "torch": torch.__version__},
    )  # fmt: skip


def read_verdicts(path: Path) -> list[dict]:
    """The verdicts that an autograded notebook carries in its outputs, as plain data."""
    notebook = nbformat.read(path, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"][VERDICT_MIME] for output in outputs if VERDICT_MIME in output.get("data", {})]


def give_zero(course: Course, lab: Lab, student: str) -> None:
    """Record a submission that cannot be graded: it is in the gradebook, with 0 for every question."""
    with quiet_nbgrader(), course.gradebook() as gradebook:
        gradebook.update_or_create_student(student)
        submission = gradebook.update_or_create_submission(lab.stem, student)
        for notebook in submission.notebooks:
            for grade in notebook.grades:
                grade.auto_score, grade.needs_manual_grade = 0, False
        gradebook.db.commit()


def read_score(course: Course, lab: Lab, student: str) -> tuple[float, float, bool]:
    """(score, maximum, whether something waits for a person) of one submission, from the gradebook."""
    with course.gradebook() as gradebook:
        submission = gradebook.find_submission(lab.stem, student)
        return float(submission.score), float(submission.max_score), bool(submission.needs_manual_grade)
