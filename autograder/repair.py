"""Repair a submission's nbgrader cells, so that an accident with the notebook costs no more than its own cell."""

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.preprocessors import NbGraderPreprocessor


class RepairSubmission(NbGraderPreprocessor):
    """Give each cell the nbgrader metadata that the gradebook knows, drop copies, put deleted cells back.

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
            points = {cell.name: cell.max_score for cell in source.grade_cells}
            solutions = {cell.name for cell in source.solution_cells}
            truth = {
                cell.name: {
                    "cell": (cell.cell_type, cell.source),
                    "metadata": metadata(cell, points, solutions),
                }
                for cell in source.source_cells
            }
        self._restore_metadata(nb, truth)
        self._put_back(nb, truth)
        return nb, resources

    def _restore_metadata(self, nb: NotebookNode, truth: dict) -> None:
        """The last cell of a grade_id is the one that counts, as in nbgrader; copies become ordinary cells."""
        seen = set()
        for cell in reversed(nb.cells):
            name = grade_id_of(cell)
            cell.metadata.pop("nbgrader", None)
            if name in truth and name not in seen:
                seen.add(name)
                cell.metadata["nbgrader"] = dict(truth[name]["metadata"])

    def _put_back(self, nb: NotebookNode, truth: dict) -> None:
        """Insert each missing locked or written cell behind the cell that it follows in the lab."""
        previous = None
        for name, expected in truth.items():
            place = {grade_id_of(cell): index for index, cell in enumerate(nb.cells)}
            if name not in place and expected["metadata"]["grade"]:
                kind, source = expected["cell"]
                cell = new_code_cell(source) if kind == "code" else new_markdown_cell(source)
                cell.metadata["nbgrader"] = dict(expected["metadata"])
                nb.cells.insert(place[previous] + 1 if previous in place else len(nb.cells), cell)
            if name in place or expected["metadata"]["grade"]:
                previous = name


def grade_id_of(cell: NotebookNode) -> str | None:
    """The cell's grade_id, whatever state its metadata is in."""
    nbgrader = cell.metadata.get("nbgrader")
    name = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    return name if isinstance(name, str) else None


def metadata(source_cell, points: dict[str, float], solutions: set[str]) -> dict:
    """The nbgrader metadata of a cell, from its row in the gradebook."""
    name = source_cell.name
    result = {
        "grade": name in points, "solution": name in solutions, "locked": bool(source_cell.locked), "task": False,
        "grade_id": name, "cell_type": source_cell.cell_type, "checksum": source_cell.checksum, "schema_version": 3,
    }  # fmt: skip
    return result | ({"points": points[name]} if name in points else {})
