"""Submissions: read one defensively, or make one out of a released notebook and some answers."""

import copy
import json
import os
import stat
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.function_source import slice_function
from autograder.labs import Lab, UsageError, find_lab
from autograder.repair import give_ids, grade_id_of

MAX_BYTES = 32 << 20  # of a notebook
MAX_TEXT = 4 << 20  # of a notebook without its outputs and the pictures pasted into it
MAX_NESTING = 100  # lists and dictionaries in each other
MAX_CELLS = 2_000
MAX_OTHER_BYTES, MAX_OTHER_FILES, MAX_DEPTH = 10 << 20, 200, 8  # of what is handed in beside it


class Damaged(ValueError):
    """What is wrong with a notebook, in words for its owner."""


class SubmissionError(Exception):
    """A submission that cannot be graded; the message tells the learner why, in one sentence."""


def lab_of(notebook: NotebookNode) -> str | None:
    """The stem of the lab that a notebook says it belongs to, or None."""
    course = notebook.metadata.get("pruning_course")
    stem = course.get("lab") if isinstance(course, dict) else None
    return stem if isinstance(stem, str) else None


def read_bytes(path: Path) -> bytes:
    """Read a submitted file.

    Raises:
        SubmissionError: if it is missing, a link, no regular file, or too large.
    """
    try:
        # A link could lead out of the submission, and a pipe would keep us waiting.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise SubmissionError(f"There is no file {path.name} in the submission.") from None
    except OSError as error:
        raise SubmissionError(
            f"{path.name} cannot be read ({error.strerror}); hand in a regular file."
        ) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise SubmissionError(f"{path.name} is not a regular file.")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > MAX_BYTES:
            raise SubmissionError(
                f"{path.name} has {status.st_size / 2**20:.0f} MB, more than the {MAX_BYTES / 2**20:g} MB that are "
                "graded; clear its outputs and hand it in again."
            )
        return file.read(MAX_BYTES)


def read_other_files(folder: Path, notebook: str) -> dict[str, bytes]:
    """The other regular files of a submission, {relative path: content}, up to a number and a size together."""
    files, left = {}, MAX_OTHER_BYTES
    for place, folders, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(folders)[:MAX_OTHER_FILES] if depth < MAX_DEPTH else []
        for name in sorted(names):
            path = Path(place, name)
            relative = str(path.relative_to(folder))
            if relative in (notebook, "timestamp.txt") or len(files) == MAX_OTHER_FILES:
                continue
            try:
                if path.lstat().st_size > left:
                    continue
                files[relative] = read_bytes(path)
            except (SubmissionError, OSError):
                continue  # a link, a pipe, a device: nothing that is graded
            left -= len(files[relative])
    return files


def parse_submission(data: bytes, lab: Lab) -> NotebookNode:
    """Read a submitted notebook of `lab` from its bytes; its outputs are left out.

    Raises:
        SubmissionError: if it is no JSON, no notebook, or the notebook of another lab.
    """
    name = f"{lab.stem}.ipynb"
    try:
        raw = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise SubmissionError(f"{name} is not a text file in UTF-8, so it is no notebook.") from None
    except (ValueError, RecursionError):
        raise SubmissionError(f"{name} is not JSON, so it is no notebook; was it saved completely?") from None
    try:
        notebook = read_notebook(raw)
    except (Damaged, nbformat.ValidationError) as error:
        reason = str(error).splitlines()[0][:300]
        raise SubmissionError(f"{name} is not a valid notebook: {reason}") from None
    except Exception:  # whatever JSON may hold
        raise SubmissionError(
            f"{name} is not a valid notebook: a part of it is not what a notebook has there"
        ) from None
    stem = lab_of(notebook)
    if stem not in (None, lab.stem):
        raise SubmissionError(f"This is the notebook of {stem[:100]}, not of {lab.stem}.")
    return notebook


def read_notebook(raw: object) -> NotebookNode:
    """A valid notebook of the current format out of JSON, without outputs. Raises Damaged, and what nbformat raises."""
    if not isinstance(raw, dict) or not isinstance(raw.get("nbformat"), int):
        raise Damaged("it has no nbformat")
    if raw["nbformat"] != 4 or not isinstance(raw.get("cells"), list):
        raise Damaged("it must be of nbformat 4; open it in JupyterLab and save it")
    if len(raw["cells"]) > MAX_CELLS:
        raise Damaged(f"it has {len(raw['cells'])} cells, more than {MAX_CELLS}")
    raw = {key: raw[key] for key in ("nbformat", "metadata", "cells") if key in raw}
    raw["cells"] = [known_fields(cell) for cell in raw["cells"]]
    pictures = sum(
        len(json.dumps(cell["attachments"]))
        for cell in raw["cells"]
        if isinstance(cell, dict) and "attachments" in cell
    )
    if len(json.dumps(raw)) - pictures > MAX_TEXT:
        raise Damaged(f"it has more than {MAX_TEXT / 2**20:g} MB without its outputs and pictures")
    if is_deeper(raw, MAX_NESTING):
        raise Damaged(f"its JSON is nested more than {MAX_NESTING} deep")
    raw["nbformat_minor"] = 5
    notebook = nbformat.from_dict(raw)
    for cell in notebook.cells:
        if isinstance(cell.get("source"), list):
            cell["source"] = "".join(cell["source"])
    give_ids(notebook)
    nbformat.validate(notebook)
    # What is not text in UTF-8 could not be written again.
    nbformat.writes(notebook).encode()
    return notebook


def is_deeper(value: object, depth: int) -> bool:
    """Whether JSON is nested deeper than that; without recursion, which it could exhaust."""
    level = [value]
    for _ in range(depth + 1):
        inner = [
            list(item.values()) if isinstance(item, dict) else item
            for item in level
            if isinstance(item, (dict, list))
        ]
        level = [item for items in inner for item in items]
        if not level:
            return False
    return True


def known_fields(cell: object) -> object:
    """A cell of JSON without outputs and without fields that its type does not have."""
    if not isinstance(cell, dict):
        return cell
    kind = cell.get("cell_type")
    names = ("id", "cell_type", "metadata", "source", *(() if kind == "code" else ("attachments",)))
    known = {name: cell[name] for name in names if name in cell}
    return known | {"outputs": [], "execution_count": None} if kind == "code" else known


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
    """`parse_submission` for the person at the keyboard: what is wrong with the file is a UsageError."""
    try:
        return parse_submission(read_bytes(path), lab)
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
