"""The cells that are graded are edited: their text, their points, their type, their names, their locks."""

from autograder.tests.attacks.attack import Attack, cell_of

WRONG = {"row_scores": "def row_scores(*args):\n    return 3.0"}


def text(notebook):
    cell_of(notebook, "row_scores").source = "3.0"
    cell_of(notebook, "row_scores-visible").source = "raise SystemExit"


def points(notebook):
    for cell in notebook.cells:
        if "points" in cell.metadata.get("nbgrader", {}):
            cell.metadata["nbgrader"]["points"] = 100


def unlocked(notebook):
    cell_of(notebook, "row_scores").metadata["nbgrader"] |= {
        "locked": False,
        "grade": False,
        "solution": True,
    }
    cell_of(notebook, "row_scores").source = "3.0"


def renamed(notebook):
    """The hidden check of a question that is answered goes by the name of one that is not, and the other way."""
    one, other = cell_of(notebook, "row_scores"), cell_of(notebook, "global_masks")
    for cell, name in ((one, "global_masks"), (other, "row_scores")):
        cell.metadata["nbgrader"]["grade_id"] = name


def typed(notebook):
    cell = cell_of(notebook, "row_scores")
    cell.cell_type = "markdown"
    for name in ("outputs", "execution_count"):
        cell.pop(name, None)


def strange(notebook):
    for name, metadata in (
        ("row_scores", []),
        ("row_scores-visible", {"grade_id": ["x"]}),
        ("global_masks", None),
    ):
        cell_of(notebook, name).metadata["nbgrader"] = metadata
    notebook.metadata |= {
        "pruning_course": 7,
        "kernelspec": {"name": "bash", "display_name": "x"},
        "celltoolbar": [1],
    }


def tagged(notebook):
    for cell in notebook.cells:
        cell.metadata["tags"] = (
            ["raises-exception"] if cell.id == "row_scores" else cell.metadata.get("tags", [])
        )
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": 1}}


def outputs(notebook):
    cell = cell_of(notebook, "row_scores")
    cell.outputs = [
        {"output_type": "execute_result", "data": {"text/plain": "3.0"}, "metadata": {}, "execution_count": 1}
    ]


EDITS = (text, points, unlocked, typed, strange, tagged, outputs)
ATTACKS = [
    Attack(f"edit-{edit.__name__}", answers=WRONG, edit=edit, earns={"row_scores": 0.0}) for edit in EDITS
]
# The question that was checked before its answer was given is lost.
ATTACKS += [
    Attack("edit-renamed", answers=WRONG, edit=renamed, earns={"row_scores": 0.0, "global_masks": 0.0})
]


def test_what_is_graded_stands_in_the_gradebook(outcome):
    outcome.held()
