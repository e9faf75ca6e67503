"""Submissions: read one defensively, or make one out of a released notebook and some answers."""

import copy
import json
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.function_source import slice_function
from autograder.kernel import lab_of
from autograder.labs import Lab, UsageError, find_lab
from autograder.repair import grade_id_of


class SubmissionError(Exception):
    """A submission that cannot be graded; the message tells the learner why, in one sentence."""


def read_submission(path: Path, lab: Lab) -> NotebookNode:
    """Read a submitted notebook of `lab`.

    Raises:
        SubmissionError: if it is missing, no JSON, no notebook, or the notebook of another lab.
    """
    if not path.is_file():
        raise SubmissionError(f"There is no file {path.name} in the submission.")
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
    except UnicodeDecodeError:
        raise SubmissionError(f"{path.name} is not a text file in UTF-8, so it is no notebook.") from None
    except (ValueError, RecursionError):
        raise SubmissionError(
            f"{path.name} is not JSON, so it is no notebook; was it saved completely?"
        ) from None
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SubmissionError(f"{path.name} is not a valid notebook: {reason}") from None
    stem = lab_of(notebook)
    if stem not in (None, lab.stem):
        raise SubmissionError(f"This is the notebook of {stem}, not of {lab.stem}.")
    return notebook


def lab_of_file(path: Path) -> Lab:
    """The lab that a notebook file belongs to: what its metadata say, else what its name says.

    Raises:
        UsageError: if neither names a lab of this course.
    """
    try:
        stem = lab_of(nbformat.from_dict(json.loads(path.read_text(encoding="utf-8"))))
    except (ValueError, RecursionError, AttributeError, TypeError):
        stem = None
    return find_lab(stem or path.stem)


def read_submission_or_refuse(path: Path, lab: Lab) -> NotebookNode:
    """`read_submission` for the person at the keyboard: what is wrong with the file is a UsageError."""
    try:
        return read_submission(path, lab)
    except SubmissionError as error:
        raise UsageError(str(error)) from None


def reference_text(lab: Lab, question: str) -> str:
    """The reference's answer to a question, as the text of a cell."""
    return slice_function(lab.solution_path.read_text(encoding="utf-8"), question).text


def answer_text(lab: Lab, question: str, name: str) -> str:
    """A bank's answer as the text of a cell: the function under the question's name, its decorators left out."""
    bank = lab.answers_path.read_text(encoding="utf-8")
    return slice_function(bank, name, rename=question, contract=False).text


def fill(released: NotebookNode, answers: dict[str, str]) -> NotebookNode:
    """Write answers into a copy of a released notebook: {question: the text of its answer cell}."""
    notebook = copy.deepcopy(released)
    cells = {grade_id_of(cell): cell for cell in notebook.cells}
    for question, text in answers.items():
        cells[f"{question}-answer"].source = text
    return notebook


def solve(released: NotebookNode, lab: Lab, questions: list[str]) -> NotebookNode:
    """A released notebook with the reference's answer in every answer cell."""
    return fill(released, {question: reference_text(lab, question) for question in questions})
