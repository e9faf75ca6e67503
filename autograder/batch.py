"""Grade a class: submissions side by side, one writer to the gradebook, and no submission stops another."""

import contextlib
import json
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import datetime
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

from autograder.course import Course
from autograder.gradebook import GradebookError, Ledger, only_one
from autograder.labs import Lab, UsageError
from autograder.outputs import plain_text
from autograder.result import Result
from autograder.submission import SubmissionError, read_bytes, read_other_files
from autograder.task import Task, digest, draw_seed, write_files
from autograder.workers import Options, Workers, start

ATTEMPTS = 5  # at one submission, where the grader's own processes die


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
    students = sorted(path.name for path in folder.iterdir() if has_submission(path, lab))
    if not students:
        raise UsageError(
            f"{folder} holds no submission of {lab.stem}; expected are files like "
            f"{Path('STUDENT') / lab.stem / f'{lab.stem}.ipynb'} in it."
        )
    if submitted and submitted.resolve() != (course.root / "submitted").resolve():
        for student in students:
            copied = read_files(submitted / student / lab.stem, lab)
            replace_folder(
                course.folder("submitted", lab, student),
                lambda target, copied=copied: write_files(copied, target),
            )
    return students


def has_submission(folder: Path, lab: Lab) -> bool:
    """Whether a student's folder holds the lab's, or cannot be looked into. A link is not a folder."""
    if folder.is_symlink() or not folder.is_dir() or folder.name.startswith("."):
        return False
    inner = folder / lab.stem
    return not os.access(folder, os.R_OK | os.X_OK) or (inner.is_dir() and not inner.is_symlink())


def read_files(folder: Path, lab: Lab) -> dict[str, bytes]:
    """What of a submission is copied into the course. What cannot be read is left out, and grading will say so."""
    files = read_other_files(folder, "")
    for name in ("timestamp.txt", f"{lab.stem}.ipynb"):
        with contextlib.suppress(SubmissionError):
            files[name] = read_bytes(folder / name)
    return files


def replace_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder anew with `fill(folder)`; the old one stays until the new one is complete."""
    arriving = target.with_name(f".{target.name}.arriving")
    shutil.rmtree(arriving, ignore_errors=True)
    arriving.mkdir(parents=True)
    fill(arriving)
    if target.is_symlink():
        target.unlink()
    shutil.rmtree(target, ignore_errors=True)
    arriving.rename(target)


def grade(course: Course, lab: Lab, students: list[str], options: Options | None = None,
          workers: Workers | None = None) -> Iterator[Result]:  # fmt: skip
    """Grade the collected submissions; yield each result when it is in the gradebook, in the order they get there.

    A submission counts as graded when the gradebook holds its record for the same files and the same version of the
    lab, and its executed notebook is there; such a one is not graded again. A run that was killed goes on where it
    was.

    Args:
        course: the course folder; the lab's rows are made in its gradebook first.
        students: as `collect` returned them.
        workers: started already with the same options, so that they get ready meanwhile; they are ended here.

    Raises:
        UsageError: if the lab cannot be released, no sandbox can be made, or the course is being graded by another
            process. What is in the gradebook stays there.
    """
    options = options or Options()
    seed = draw_seed() if options.seed is None else options.seed
    with contextlib.ExitStack() as stack:
        workers = stack.enter_context(workers or start(options, hidden=[str(course.root)]))
        stack.enter_context(only_one(course.root / ".grading"))
        course.prepare(lab)
        ledger = stack.enter_context(Ledger(course.db_url, course.config()))
        truth = json.dumps(course.true_cells(lab))
        known = {} if options.force else {result.student: result for result in ledger.results(lab.stem)}
        waiting, running, lost = deque(students), {}, Counter()
        while waiting or running:
            while waiting and len(running) < 2 * workers.count:
                # A submission under which the grader died is graded once more with nothing beside it.
                if running and (lost[waiting[0]] or any(lost[task.student] for task in running.values())):
                    break
                student = waiting.popleft()
                try:
                    task = read_task(course, lab, student, seed, truth, options)
                except (OSError, ValueError) as error:
                    yield not_recorded(lab, student, seed, options, error)
                    continue
                if is_graded(course, lab, task, known.get(student)):
                    yield known[student]
                    continue
                running[workers.submit(task)] = task
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                outcome = outcome_of(future, workers)
                if outcome is None:
                    lost[task.student] += 1
                    if lost[task.student] < ATTEMPTS:
                        waiting.append(task.student)
                        continue
                    outcome = died(task), ""
                try:
                    yield enter(course, lab, ledger, task, *outcome)
                except (OSError, ValueError, GradebookError) as error:
                    yield not_recorded(lab, task.student, seed, options, error)


def is_graded(course: Course, lab: Lab, task: Task, before: Result | None) -> bool:
    """Whether a submission was graded before as it would be graded now."""
    if before is None or (before.content, before.version) != (task.content, task.version):
        return False
    return course.notebook("autograded", lab, task.student).is_file()


def outcome_of(future: Future, workers: Workers) -> tuple[Result, str] | None:
    """What a worker returned; None where the grader's own processes died, and the submission is to be graded again."""
    try:
        return future.result()
    except Exception as error:
        if not workers.lost(error):
            raise
    return None


def died(task: Task) -> Result:
    """The result of a submission under which the grader's own processes died; it counts as not graded yet."""
    problem = (
        f"The grader's own processes died {ATTEMPTS} times while this submission was graded, at last with nothing beside "
        "it; it will be graded again in the next run."
    )
    return Result(task.student, task.lab, task.seed, problem=problem, isolation=task.isolation)


def not_recorded(lab: Lab, student: str, seed: int, options: Options, error: Exception) -> Result:
    """The result of a submission that is not in the gradebook, and why."""
    problem = f"Not in the gradebook: {plain_text(str(error) or type(error).__name__, 500)}"
    return Result(
        plain_text(student), lab.stem, seed, problem=problem, isolation=options.isolation, recorded=False
    )


def read_task(course: Course, lab: Lab, student: str, seed: int, truth: str, options: Options) -> Task:
    """Read a submission's files; what cannot be read becomes the task's problem."""
    folder, name = course.folder("submitted", lab, student), f"{lab.stem}.ipynb"
    notebook, problem = None, ""
    try:
        notebook = read_bytes(folder / name)
    except SubmissionError as error:
        problem = str(error)
    files = read_other_files(folder, name)
    content = digest(problem.encode() if notebook is None else notebook, files)
    return Task(student, lab.stem, seed, content, lab.version, notebook, truth, problem, files,
                options.limits, options.isolation)  # fmt: skip


def enter(course: Course, lab: Lab, ledger: Ledger, task: Task, result: Result, text: str) -> Result:
    """Write a submission's executed notebook into autograded/, then its result into the gradebook."""
    target = course.folder("autograded", lab, task.student)
    timestamp = course.folder("submitted", lab, task.student) / "timestamp.txt"

    def fill(folder: Path) -> None:
        write_files(task.files, folder)
        folder.mkdir(exist_ok=True)
        (folder / f"{lab.stem}.ipynb").write_text(text, encoding="utf-8")
        if timestamp.is_file() and not timestamp.is_symlink():
            shutil.copyfile(timestamp, folder / "timestamp.txt")

    text = text or without_submission(course, lab, result.problem)
    replace_folder(target, fill)
    ledger.commit(result, read_timestamp(timestamp))
    result.score, result.max_score, result.needs_manual_grade = ledger.score(lab.stem, task.student)
    return result


def without_submission(course: Course, lab: Lab, problem: str) -> str:
    """What the formgrader shows of a submission that could not be graded: the blank notebook, and above it why."""
    notebook = nbformat.read(course.notebook("release", lab), as_version=4)
    notebook.cells.insert(0, new_markdown_cell(f"**This submission could not be graded.** {problem}"))
    return nbformat.writes(notebook) + "\n"


def read_timestamp(path: Path) -> datetime | None:
    """When a submission was handed in, as nbgrader's exchange writes it down; None where it does not say."""
    from nbgrader.utils import parse_utc

    try:
        return parse_utc(read_bytes(path)[:200].decode().strip())
    except (SubmissionError, ValueError, OverflowError):
        return None
