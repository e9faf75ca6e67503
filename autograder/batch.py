"""Grade a class: submissions side by side, one writer to the gradebook, and no submission stops another."""

import contextlib
import json
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import datetime
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

from autograder.course import Course
from autograder.gradebook import Ledger, only_one
from autograder.labs import Lab, UsageError
from autograder.result import Result
from autograder.submission import SubmissionError, read_bytes, read_other_files
from autograder.task import Task, digest, draw_seed, write_files
from autograder.workers import Options, Workers, start

ATTEMPTS = 5  # at one submission, where the grader's own processes die under it


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
    students = sorted(
        path.name for path in folder.iterdir() if is_folder(path) and is_folder(path / lab.stem)
    )
    if not students:
        raise UsageError(
            f"{folder} holds no submission of {lab.stem}; expected are files like "
            f"{Path('STUDENT') / lab.stem / f'{lab.stem}.ipynb'} in it."
        )
    if submitted and submitted.resolve() != (course.root / "submitted").resolve():
        for student in students:
            copied = lambda target, student=student: shutil.copytree(
                submitted / student / lab.stem, target, symlinks=True, ignore=not_regular
            )
            replace_folder(course.folder("submitted", lab, student), copied)
    return students


def is_folder(path: Path) -> bool:
    """A folder itself, not a link to one: a submission ends at its own folder."""
    return path.is_dir() and not path.is_symlink() and not path.name.startswith(".")


def not_regular(folder: str, names: list[str]) -> list[str]:
    """What of a folder is neither a file, a folder, nor a link: to copy a pipe would wait for ever."""
    paths = {name: Path(folder, name) for name in names}
    return [
        name for name, path in paths.items() if not (path.is_symlink() or path.is_file() or path.is_dir())
    ]


def replace_folder(target: Path, fill) -> None:
    """Make a folder anew with `fill(folder)`; the old one stays until the new one is complete."""
    arriving = target.with_name(f".{target.name}.arriving")
    shutil.rmtree(arriving, ignore_errors=True)
    arriving.parent.mkdir(parents=True, exist_ok=True)
    fill(arriving)
    if target.is_symlink():
        target.unlink()
    shutil.rmtree(target, ignore_errors=True)
    arriving.rename(target)


def grade(course: Course, lab: Lab, students: list[str], options: Options | None = None,
          workers: Workers | None = None) -> Iterator[Result]:  # fmt: skip
    """Grade the collected submissions; yield each result when it is in the gradebook, in the order they get there.

    A submission counts as graded when the gradebook holds its record for the same files and the same version of the
    lab; such a one is not graded again. A run that was killed goes on where it was.

    Args:
        course: the course folder; the lab's rows are made in its gradebook first.
        students: as `collect` returned them.
        workers: started already with the same options, so that they get ready meanwhile; they are ended here.

    Raises:
        UsageError: if the lab cannot be released, no sandbox can be made, the course is being graded by another
            process, or the grader's own processes died again and again. What is in the gradebook stays there.
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
        waiting, running, attempts = deque(students), {}, {}
        while waiting or running:
            while waiting and len(running) < 2 * workers.count:
                student = waiting.popleft()
                task = read_task(course, lab, student, seed, truth, options)
                before = known.get(student)
                if before and (before.content, before.version) == (task.content, task.version):
                    yield before
                    continue
                running[workers.submit(task)] = task
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                outcome = outcome_of(future, workers)
                if outcome is None:
                    attempts[task.student] = attempts.get(task.student, 0) + 1
                    if attempts[task.student] == ATTEMPTS:
                        raise UsageError(
                            f"The grader's own processes died {ATTEMPTS} times while {task.student} was graded; is there "
                            "enough memory? Run it again: what is graded is kept."
                        )
                    waiting.appendleft(task.student)
                    workers.renew()
                    continue
                yield enter(course, lab, ledger, task, *outcome)


def outcome_of(future: Future, workers) -> tuple[Result, str] | None:
    """What a worker returned; None where the grader's own processes died, and the submission is to be graded again."""
    try:
        return future.result()
    except Exception as error:
        if not workers.lost(error):
            raise
    return None


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
