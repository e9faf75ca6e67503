"""Grade one submission: from the bytes that were handed in to a result and an executed notebook.

A worker knows no gradebook. It gets a task as plain data and returns plain data, so it may be a process on this
machine or on another one.
"""

import json
import shutil
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import CheckCellMetadata, ClearOutput
from nbgrader.utils import determine_grade, is_grade, is_solution

from autograder.gradebook import is_untouched
from autograder.kernel import ExecuteAndJudge, is_hidden_check
from autograder.labs import UsageError, find_lab
from autograder.outputs import plain_text
from autograder.provisioner import WarmProcessLost
from autograder.repair import repair
from autograder.result import Result
from autograder.submission import SubmissionError, parse_submission
from autograder.task import Task, write_files


class OtherVersion(UsageError):
    """This worker has another version of the course than the one that sent the task."""


def grade(task: Task, warm_address: str = "") -> tuple[Result, str]:
    """Grade a submission. Whatever is in it, this returns.

    Returns:
        The result, and the executed notebook as text; "" where the submission could not be graded.

    Raises:
        WarmProcessLost: where the grader's own processes died: grade it again.
        OtherVersion: where this worker's course is not the sender's.
        UsageError: where no sandbox can be made.
    """
    start = time.perf_counter()
    lab = find_lab(task.lab)
    if lab.version != task.version:
        raise OtherVersion(
            "install the same version of the course on every worker, and start the workers again"
        )
    result = Result(task.student, task.lab, task.seed, task.content, task.version, task.problem,
                    isolation=task.isolation)  # fmt: skip
    text = ""
    if not result.problem:
        try:
            notebook = parse_submission(task.notebook, lab)
            sanitize(notebook, task.truth)
            result.phases["read"] = time.perf_counter() - start
            execute(notebook, task, result, warm_address)
            result.scores, result.unanswered = read_scores(notebook, result.verdicts)
            text = nbformat.writes(notebook) + "\n"
            text.encode()
        except SubmissionError as error:
            result.problem = plain_text(str(error), 500)
        except (WarmProcessLost, UsageError):
            raise
        except Exception as error:  # a fault of the grader's, which must not stop the others
            result.problem = plain_text(
                f"The grader failed on this submission: {type(error).__name__}: {error}", 500
            )
            result.verdicts, result.scores, text = [], {}, ""
            result.content = ""  # it does not count as graded: the next run tries again
    result.seconds = time.perf_counter() - start
    return result, text


def sanitize(notebook: NotebookNode, truth: str) -> None:
    """Give a submitted notebook the cells, kernel and metadata that it should have."""
    try:
        ClearOutput().preprocess(notebook, {})
        repair(notebook, [nbformat.from_dict(cell) for cell in json.loads(truth)])
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        CheckCellMetadata().preprocess(notebook, {})
    except Exception:  # whatever may be in a notebook that the format allows
        raise SubmissionError(
            "The notebook's cells are damaged; take a new copy of the lab, and paste your answers."
        ) from None


def execute(notebook: NotebookNode, task: Task, result: Result, warm_address: str) -> None:
    """Execute and judge a sanitized notebook, in place; what happened goes into the result."""
    folder = tempfile.mkdtemp(prefix="submission-")
    try:
        write_files(task.files, Path(folder))
        executor = ExecuteAndJudge(
            lab_stem=task.lab, seed=task.seed, isolation=task.isolation, limits=task.limits,
            warm_address=warm_address, files=folder if task.files else None,
        )  # fmt: skip
        executor.preprocess(notebook, {"metadata": {"path": folder}})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    executor.write_into(result)


def read_scores(notebook: NotebookNode, verdicts: list[dict]) -> tuple[dict[str, float | None], list[str]]:
    """The score of each grade cell, and the answers left as given.

    A question's score is its verdict's; nothing that stands in a notebook counts for it. Written answers and visible
    checks (of 0 points) are read as nbgrader reads them.
    """
    points = {verdict["question"]: verdict["points"] for verdict in verdicts}
    scores, unanswered = {}, []
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if is_grade(cell):
            scores[name] = points.get(name, 0.0) if is_hidden_check(cell) else determine_grade(cell)[0]
        if is_solution(cell) and is_untouched(cell):
            unanswered.append(name)
    return scores, unanswered
