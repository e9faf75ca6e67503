"""What the attacks share: how a submission is made of one, what must never happen, and what must hold afterwards."""

import ast
import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from autograder.result import Result

POINTS = {
    "threshold_mask": 2.0, "magnitude_mask": 4.0, "row_scores": 3.0, "uniform_masks": 2.0, "global_masks": 4.0,
    "sensitivity_scan": 4.0, "choose_sparsities": 3.0,
}  # fmt: skip
NOTHING = dict.fromkeys(POINTS, 0.0)
SECRET = r"SECRET-[0-9a-f]{32}"  # how a planted token looks; attackers may know this, but not the token
ANSWER = "#ANSWER#"  # in the text of an answer: the right one stands here

# In every attacker's first cell: where things are outside, and a way to say what was found.
PREAMBLE = """\
class PLACES:
    {places}


def report(_print=print, **found):
    _print("REPORT", ascii(found))
"""


@dataclass(frozen=True)
class Places:
    """What an attacker is told, as if everything about the grader's machine were known. The token is not."""

    course: str  # the course folder; `secret.txt` in it holds the token
    victim: str  # the submission of another student, which holds the token
    home: str  # a folder like a home, with a key and a .bashrc in it
    tmp: str  # a file in the host's /tmp
    shm: str  # a file in the host's /dev/shm
    data: str
    packages: str  # site-packages
    repository: str
    grader: int  # the process that grades
    port: int  # of 127.0.0.1, where someone listens
    abstract: str  # the name of an abstract socket on which someone listens


@dataclass(frozen=True)
class Attack:
    """One submission of an attacker; whatever is not named here is the solved notebook.

    Attributes:
        name: of the attack, as an ordinary student's id.
        student: the student's id, where it is part of the attack.
        first, last: code of a cell before all others, and of one after all others.
        answers: {question: the text of its answer cell}; the line ANSWER stands for the right answer.
        edit: changes the notebook in place.
        file: makes the bytes of the submitted file from those of the notebook.
        files: what is handed in beside it.
        place: does what it likes to the submission's folder, given also the places.
        earns: the questions that do not earn all of their points.
        problem: a part of the result's problem, where the whole submission cannot be graded.
        stops: the limits that the submission runs into, in their order; "" is a death of the kernel.
        wild: it spoils its own kernel, so that it may stop anywhere and lose more; gains nothing all the same.
        unprotected: also run with --isolation none, where it must succeed.
    """

    name: str
    student: str = ""
    first: str = ""
    last: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    edit: Callable[[NotebookNode], object] | None = None
    file: Callable[[bytes], bytes] | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    place: Callable[[Path, Places], object] | None = None
    earns: dict[str, float] = field(default_factory=dict)
    problem: str = ""
    stops: tuple[str, ...] = ()
    wild: bool = False
    unprotected: bool = False

    @property
    def id(self) -> str:
        return self.student or self.name

    def notebook(self, solved: NotebookNode, places: Places) -> NotebookNode:
        notebook = copy.deepcopy(solved)
        for question, text in self.answers.items():
            answer = cell_of(notebook, f"{question}-answer")
            answer.source = text.replace(ANSWER, answer.source)
        if self.edit:
            self.edit(notebook)
        told = "\n    ".join(f"{name} = {value!r}" for name, value in asdict(places).items())
        notebook.cells.insert(0, new_code_cell(PREAMBLE.format(places=told) + self.first))
        if self.last:
            notebook.cells.append(new_code_cell(self.last))
        return notebook


def cell_of(notebook: NotebookNode, name: str) -> NotebookNode:
    """The cell of a solved notebook with this id."""
    return next(cell for cell in notebook.cells if cell.get("id") == name)


@dataclass
class Outcome:
    """What one attack got.

    Attributes:
        attack: the attack.
        result: of the attacker.
        text: everything that the attacker can read afterwards: the record, the notebook, the page of feedback.
        notebook: the executed notebook as JSON; None where there is none.
        neighbours: the results of the honest students graded right before and after.
        token: what nobody may learn.
        harm: what the whole run changed that it must not change: sentences, none of them if all is well.
    """

    attack: Attack
    result: Result
    text: str
    notebook: dict | None
    neighbours: list[Result]
    token: str
    harm: list[str]

    @property
    def points(self) -> dict[str, float]:
        return {verdict["question"]: verdict["points"] for verdict in self.result.verdicts}

    @property
    def stops(self) -> tuple[str, ...]:
        return tuple(stop.limit for stop in self.result.stops)

    @property
    def reported(self) -> dict:
        """All that the attacker's code said with `report`."""
        found = {}
        for text in self.printed:
            for line in re.findall(r"^REPORT (.*)$", text, re.MULTILINE):
                found |= ast.literal_eval(line)
        return found

    @property
    def printed(self) -> Iterator[str]:
        for cell in (self.notebook or {"cells": []})["cells"]:
            for output in cell.get("outputs", []):
                if output["output_type"] == "stream":
                    yield "".join(output["text"])

    @property
    def returned(self) -> dict[str, str]:
        """What the feedback says came back, by question, of its first failed check."""
        return {
            verdict["question"]: next(
                (item["returned"] for item in verdict["checks"] if item["returned"]), ""
            )
            for verdict in self.result.verdicts
        }

    def held(self) -> None:
        """Assert what must hold after every attack."""
        earned = {} if self.attack.problem else POINTS | self.attack.earns
        if self.attack.wild:
            assert self.points.keys() == earned.keys()
            earned = {name: min(points, self.points[name]) for name, points in earned.items()}
        assert self.points == earned, (self.points, self.returned, self.result.stops, self.result.problem)
        assert self.attack.problem in self.result.problem and bool(self.attack.problem) == bool(
            self.result.problem
        ), self.result.problem
        machine = {name: score for name, score in self.result.scores.items() if name in POINTS}
        assert machine == earned  # what is in the gradebook
        assert self.attack.wild or self.stops == self.attack.stops, self.result.stops
        assert self.token not in self.text
        assert self.neighbours
        for neighbour in self.neighbours:
            assert not neighbour.problem and not neighbour.stops
            assert {verdict["question"]: verdict["points"] for verdict in neighbour.verdicts} == POINTS
            assert neighbour.score == sum(POINTS.values())
        assert not self.harm
