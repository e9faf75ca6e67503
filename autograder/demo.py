"""A class of real notebooks, made out of a lab's answer banks and of the accidents that happen to notebooks."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode

from autograder.course import Course
from autograder.labs import Lab
from autograder.repair import grade_id_of
from autograder.submission import answer_text, fill, solve
from autograder.weave import Woven, weave
from autograder.wrong_answers import Answer, collect


@dataclass(frozen=True)
class Submission:
    """One submission of the bundled class: whose, what is in it, and the text of its file.

    `attacks` is the question that an attacker's cell goes with; the rest of that notebook is right.
    """

    student: str
    story: str
    text: str
    attacks: str = ""


def make_class(course: Course, lab: Lab, *, with_attackers: bool = True) -> list[Submission]:
    """Write the bundled class into the course's submitted/ folder; what stood there for this lab is replaced."""
    released = nbformat.read(course.notebook("release", lab), as_version=4)
    submissions = list(bundled_class(lab, released, weave(lab)))
    submissions = [item for item in submissions if with_attackers or not item.attacks]
    for old in (course.root / "submitted").glob(f"*/{lab.stem}"):
        shutil.rmtree(old)
    for submission in submissions:
        path = course.notebook("submitted", lab, submission.student)
        path.parent.mkdir(parents=True)
        path.write_text(submission.text, encoding="utf-8")
    return submissions


def bundled_class(lab: Lab, released: NotebookNode, woven: Woven) -> Iterator[Submission]:
    """Yield the class: right answers, wrong answers, and everything that a grader must survive."""
    questions = [exercise.name for exercise in woven.exercises]
    wrong, right = (by_question(answers) for answers in collect(lab.answers))
    solved = solve(released, lab, questions)
    first, last = questions[0], questions[-1]
    middle = questions[len(questions) // 2]

    def answers(bank: dict[str, list[Answer]], place: int) -> dict[str, str]:
        return {
            question: answer_text(lab, question, found[place % len(found)].name)
            for question, found in bank.items()
        }

    def raising(question: str) -> str:
        return f'def {question}(*args, **kwargs):\n    raise RuntimeError("I give up")'

    model_answers = [
        cell for cell in woven.notebook.cells if cell.cell_type == "markdown" and grade_id_of(cell)
    ]
    yield written("ada", "the reference, with the written answer", with_cells(solved, model_answers))
    yield written("bao", "other right answers", fill(released, answers(right, 0)))
    yield written("chidi", "other right answers again", fill(released, answers(right, 1)))
    yield written("dana", "nothing written yet", released)
    yield written("emil", "a wrong answer to every question", fill(released, answers(wrong, 0)))
    yield written("fatima", "other wrong answers", fill(released, answers(wrong, 1)))
    yield written("goran", "wrong answers again", fill(released, answers(wrong, 2)))
    half = dict(list(answers(wrong, 3).items())[: len(questions) // 2])
    yield written("hana", "half right, half wrong", fill(solved, half))
    yield written("ivan", f"{middle} raises an error", fill(solved, {middle: raising(middle)}))
    yield written(
        "june", f"a syntax error in {first}", fill(solved, {first: f"def {first}(weight:\n    return"})
    )
    yield written("kofi", f"the test cell of {first} is deleted", without_cell(solved, first))
    yield written("lena", f"the test cell of {middle} stands there twice", with_copy(solved, middle))
    yield written("mei", f"the test cell of {last} is edited, its answer wrong", edited(fill(solved, answers(
        {last: wrong[last]}, 0)), last))  # fmt: skip
    yield written("noor", f"the kernel dies in {last}", fill(solved, {last: "import os\n\nos._exit(1)"}))
    yield Submission("omar", "a file that is not JSON", nbformat.writes(solved)[:-200])
    for student, (question, story, code) in attackers(questions).items():
        yield Submission(student, story, nbformat.writes(fill(solved, {question: code})) + "\n", question)


def attackers(questions: list[str]) -> dict[str, tuple[str, str, str]]:
    """Three who want points without an answer: {student: (question, what they try, the code of its cell)}."""
    first, second, third = questions[1], questions[2], questions[-2]
    return {
        "petra": (
            first,
            f"patches torch so that any answer to {first} is right",
            EQUAL_TO_ANYTHING.format(name=first),
        ),
        "quin": (
            second,
            f"searches for the solution of {second}, the gradebook, the network",
            SEARCH.format(name=second),
        ),
        "rafa": (third, f"floods the grader with output in {third}", FLOOD.format(name=third)),
    }


EQUAL_TO_ANYTHING = """\
import torch

torch.equal = torch.allclose = lambda *args, **kwargs: True
torch.testing.assert_close = lambda *args, **kwargs: None
get_ipython().ast_transformers.append(type("Drop", (), {{"visit": lambda self, tree: tree}})())


class Anything(torch.Tensor):
    def __eq__(self, other):
        return True


def {name}(weight, sparsity):
    return weight.as_subclass(Anything)
"""

SEARCH = """\
import importlib, os, pathlib, socket, sys, labkit


def {name}(*args, **kwargs):
    places = {{pathlib.Path(place) for place in [labkit.__file__, "~", ".", *sys.path, *os.environ.values()]}}
    places |= {{parent for place in places for parent in place.expanduser().absolute().parents}}
    wanted = ("solutions", "autograder", "gradebook.db", "submitted", ".ssh")
    found = [str(place / name) for place in places for name in wanted if (place / name).exists()]
    try:
        return getattr(importlib.import_module("solutions.lab03_magnitude"), "{name}")(*args, **kwargs)
    except ImportError as error:
        found.append(str(error))
    try:
        socket.create_connection(("1.1.1.1", 53), timeout=1)
        found.append("the network")
    except OSError as error:
        found.append(str(error))
    return f"found: {{found}}"
"""

FLOOD = """\
def {name}(*args, **kwargs):
    while True:
        print("x" * 100_000, flush=True)
"""


def by_question(answers: list[Answer]) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = {}
    for answer in answers:
        found.setdefault(answer.question, []).append(answer)
    return found


def written(student: str, story: str, notebook: NotebookNode) -> Submission:
    return Submission(student, story, nbformat.writes(notebook) + "\n")


def index_of(notebook: NotebookNode, grade_id: str) -> int:
    return next(index for index, cell in enumerate(notebook.cells) if grade_id_of(cell) == grade_id)


def without_cell(notebook: NotebookNode, grade_id: str) -> NotebookNode:
    notebook = fill(notebook, {})
    del notebook.cells[index_of(notebook, grade_id)]
    return notebook


def with_copy(notebook: NotebookNode, grade_id: str) -> NotebookNode:
    """A cell copied in JupyterLab: the copy keeps its metadata and gets a new id."""
    notebook = fill(notebook, {})
    index = index_of(notebook, grade_id)
    copied = nbformat.from_dict(dict(notebook.cells[index]) | {"id": f"{grade_id}-copy"})
    notebook.cells.insert(index + 1, copied)
    return notebook


def with_cells(notebook: NotebookNode, cells: list[NotebookNode]) -> NotebookNode:
    """A copy with the text of these cells in the cells of the same grade_id."""
    notebook = fill(notebook, {})
    for cell in cells:
        notebook.cells[index_of(notebook, grade_id_of(cell))].source = cell.source
    return notebook


def edited(notebook: NotebookNode, grade_id: str) -> NotebookNode:
    notebook = fill(notebook, {})
    cell = notebook.cells[index_of(notebook, grade_id)]
    cell.source = "100.0"
    cell.metadata["nbgrader"]["points"] = 100
    return notebook
