"""Repair a submission's nbgrader cells, so that an accident with the notebook costs no more than its own cell."""

import re

from nbformat import NotebookNode, from_dict
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.preprocessors import NbGraderPreprocessor


class RepairSubmission(NbGraderPreprocessor):
    """`repair`, as a step of nbgrader's autograde: the truth is the gradebook's.

    nbgrader alone fails the whole batch on a copied test cell, fails the submission on changed metadata, and leaves
    a deleted test cell without a score.
    """

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        names = resources["nbgrader"]
        with Gradebook(names["db_url"]) as gradebook:
            try:
                source = gradebook.find_notebook(names["notebook"], names["assignment"])
            except MissingEntry:
                return nb, resources
            truth = true_cells(source)
        repair(nb, truth)
        return nb, resources


def repair(nb: NotebookNode, truth: list[NotebookNode]) -> None:
    """Give each cell what it should have, make copies ordinary cells, put deleted cells back.

    That is its nbgrader metadata, its type, and its text where it is locked. No two cells keep the same id.

    Args:
        nb: the learner's notebook; it is changed in place.
        truth: the lab's nbgrader cells, in their order.
    """
    expected = {grade_id_of(cell): cell for cell in truth}
    seen = set()
    for index, cell in reversed(
        list(enumerate(nb.cells))
    ):  # the last cell of a grade_id counts, as in nbgrader
        name = grade_id_of(cell)
        cell.metadata.pop("nbgrader", None)
        if name in expected and name not in seen:
            seen.add(name)
            nb.cells[index] = repaired(cell, expected[name])
    previous = None
    for name, cell in expected.items():
        place = {grade_id_of(own): index for index, own in enumerate(nb.cells)}
        if name not in place and cell.metadata["nbgrader"]["grade"]:
            nb.cells.insert(place[previous] + 1 if previous in place else len(nb.cells), from_dict(cell))
            previous = name
        elif name in place:
            previous = name
    give_ids(nb)


def repaired(cell: NotebookNode, truth: NotebookNode) -> NotebookNode:
    """A learner's cell with the metadata and type of the true one, and with its text where that is locked."""
    if cell.cell_type != truth.cell_type:
        make = new_code_cell if truth.cell_type == "code" else new_markdown_cell
        cell = make(cell.source, metadata=cell.metadata)
    if truth.metadata["nbgrader"]["locked"]:
        cell.source = truth.source
    cell.metadata["nbgrader"] = from_dict(truth.metadata["nbgrader"])
    return cell


def give_ids(nb: NotebookNode) -> None:
    """Give a new id to each cell whose id is missing, malformed or taken."""
    taken = set()
    for index, cell in enumerate(nb.cells):
        own = cell.get("id")
        if not isinstance(own, str) or not re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", own) or own in taken:
            own = cell["id"] = f"repaired-{index}"
        taken.add(own)


def nbgrader_cells(nb: NotebookNode) -> list[NotebookNode]:
    """The cells of a woven or released notebook that nbgrader knows."""
    return [cell for cell in nb.cells if grade_id_of(cell)]


def grade_id_of(cell: NotebookNode) -> str | None:
    """The cell's grade_id, whatever state its metadata is in."""
    nbgrader = cell.metadata.get("nbgrader")
    name = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    return name if isinstance(name, str) else None


def true_cells(notebook) -> list[NotebookNode]:
    """A lab's nbgrader cells, in their order, as the gradebook's notebook holds them."""
    points = {cell.name: cell.max_score for cell in notebook.grade_cells}
    solutions = {cell.name for cell in notebook.solution_cells}
    return [cell_of_row(row, points, solutions) for row in notebook.source_cells]


def cell_of_row(row, points: dict[str, float], solutions: set[str]) -> NotebookNode:
    """A cell as its row in the gradebook describes it."""
    cell = new_code_cell(row.source) if row.cell_type == "code" else new_markdown_cell(row.source)
    cell.metadata["nbgrader"] = {
        "grade": row.name in points, "solution": row.name in solutions, "locked": bool(row.locked), "task": False,
        "grade_id": row.name, "cell_type": row.cell_type, "checksum": row.checksum, "schema_version": 3,
    }  # fmt: skip
    if row.name in points:
        cell.metadata["nbgrader"]["points"] = points[row.name]
    return cell
