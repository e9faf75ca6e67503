"""Cells are missing, copied and reordered: test cells deleted or doubled, answers in another order."""

import copy

from autograder.tests.attacks.attack import NOTHING, POINTS, Attack, cell_of

WRONG = "def row_scores(*args):\n    return 3.0"


def no_tests(notebook):
    notebook.cells = [cell for cell in notebook.cells if cell.id not in POINTS]


def no_answers(notebook):
    notebook.cells = [cell for cell in notebook.cells if not cell.id.endswith("-answer")]


def no_cells(notebook):
    notebook.cells = []


def copies(notebook):
    """A wrong answer, with the right one checked three times before it."""
    place = notebook.cells.index(cell_of(notebook, "row_scores"))
    for number in range(3):
        notebook.cells.insert(place, copy.deepcopy(notebook.cells[place]))
        notebook.cells[place]["id"] = "row_scores" if number else "a copy!"
    notebook.cells.append(copy.deepcopy(cell_of(notebook, "row_scores-answer")))
    notebook.cells[-1].source = WRONG
    notebook.cells.append(copy.deepcopy(cell_of(notebook, "row_scores")))


def reordered(notebook):
    """Question by question from the last to the first, after the imports."""
    parts = [[cell for cell in notebook.cells if cell.id.split("-")[0] == name] for name in reversed(POINTS)]
    named = [cell for part in parts for cell in part]
    notebook.cells = [cell for cell in notebook.cells if cell not in named] + named


ATTACKS = [
    Attack("no-tests", edit=no_tests),
    Attack("no-answers", edit=no_answers, earns=NOTHING),
    Attack("no-cells", edit=no_cells, earns=NOTHING),
    Attack("copies", edit=copies, earns={"row_scores": 0.0}),
    Attack("reordered", edit=reordered),
]


def test_each_question_is_graded_once(outcome):
    outcome.held()
    assert sorted(verdict["question"] for verdict in outcome.result.verdicts) == sorted(POINTS)
