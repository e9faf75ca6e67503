"""Weave a lab: its jupytext source and the reference become an nbgrader source notebook.

In a lab source the import is the directive. A cell tagged `exercise` holds only
`from solutions.labNN_name import function`; weaving turns it into the function itself, with nbgrader's solution
markers around its body. What nbgrader's own `generate_assignment` makes of the result is the student notebook.

| tag           | becomes                                                                                      |
|---------------|----------------------------------------------------------------------------------------------|
| lab           | the first cell: title and opening; carries question, minutes, prerequisite                   |
| setup         | the imports                                                                                  |
| exercise      | an answer cell: the function with its body between the solution markers                      |
| visible-check | a locked cell of 0 points, so that nbgrader's Validate reports it                            |
| graded        | a locked cell with points whose body is hidden: it runs the question's hidden checks         |
| given         | a locked cell with a reference function of another lab inlined                               |
| experiment    | an ordinary cell that grading skips                                                          |
| record        | nothing: it runs only when the source is run as a script, and writes data/results            |
| question      | the text of the written question                                                             |
| written       | a markdown answer cell, graded by hand; its model answer stays in the instructor's version    |
"""

import re
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from autograder.experiment import load_checks
from autograder.function_source import FunctionSource, SliceError, names_defined, names_needed, slice_function
from autograder.labs import ROOT, Lab, UsageError

TAGS = {
    "lab", "setup", "exercise", "visible-check", "graded", "given", "experiment", "record", "question", "written",
}  # fmt: skip
IMPORT = re.compile(r"from solutions\.(lab\d\d_\w+) import (\w+)")
HEADING = re.compile(r"^### Exercise (\w+)[ \t]*$", re.MULTILINE)
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


class WeaveError(UsageError):
    """A malformed lab source: the message names the file, the cell and what to change."""


@dataclass(frozen=True)
class Exercise:
    """What a lab's source says about one exercise, in the order of the lab."""

    name: str
    difficulty: int
    minutes: int
    points: float


@dataclass(frozen=True)
class Woven:
    """A woven lab: the nbgrader source notebook and the facts for the syllabus."""

    notebook: NotebookNode
    exercises: tuple[Exercise, ...]
    title: str
    question: str
    minutes: int
    prerequisite: str
    written_points: float


def weave(lab: Lab, url: str | None = None) -> Woven:
    """Weave one lab from its files. Raises WeaveError where the source is malformed."""
    if not lab.source.exists():
        raise UsageError(f"{lab.stem} has no source: {lab.source.relative_to(ROOT)} is missing.")
    return Weaver(lab.stem, lab.source.read_text(encoding="utf-8"), url).weave()


class Weaver:
    """Weaves the text of one lab source; `solutions` is looked up below `root`."""

    def __init__(self, stem: str, text: str, url: str | None = None, root: Path = ROOT):
        self.stem, self.text, self.url, self.root = stem, text, url, root
        self.cells: list[NotebookNode] = []
        self.defined: set[str] = set()  # the names that the cells so far define when the notebook is graded
        self.exercise: str | None = None  # the exercise whose checks are still to come
        self.number, self.cell = 0, None
        self.seen_ids: set[str] = set()

    def weave(self) -> Woven:
        source = self._read()
        self.facts = self._exercise_facts(source.cells)
        for self.number, self.cell in enumerate(source.cells, start=1):
            self._weave_cell(self._tag())
        self.number, self.cell = len(source.cells), source.cells[-1]
        self._nothing_is_missing()
        notebook = nbformat.v4.new_notebook(cells=self.cells)
        notebook.metadata = nbformat.from_dict(
            {
                "kernelspec": KERNELSPEC,
                "language_info": {"name": "python"},
                "pruning_course": {"lab": self.stem},
            }
        )
        nbformat.validate(notebook)
        opening = source.cells[0]
        return Woven(
            notebook, tuple(self.facts.values()), opening.source.splitlines()[0].lstrip("# ").strip(),
            opening.metadata["question"], int(opening.metadata["minutes"]), opening.metadata["prerequisite"],
            sum(float(cell.metadata["points"]) for cell in source.cells if "written" in cell.metadata.get("tags", [])),
        )  # fmt: skip

    # --- reading -----------------------------------------------------------------------------------------------

    def _fail(self, problem: str) -> WeaveError:
        first = (self.cell.source.strip().splitlines() or ["(empty)"])[0] if self.cell is not None else ""
        return WeaveError(f"labs/source/{self.stem}.py, cell {self.number} (“{first[:60]}”): {problem}.")

    def _read(self) -> NotebookNode:
        try:
            notebook = jupytext.reads(self.text, fmt="py:percent")
        except Exception as error:
            raise WeaveError(
                f"labs/source/{self.stem}.py cannot be read as jupytext percent: {error}."
            ) from None
        if not notebook.cells:
            raise WeaveError(
                f'labs/source/{self.stem}.py holds no cell; begin it with # %% [markdown] tags=["lab"].'
            )
        self.number, self.cell = 1, notebook.cells[0]
        if self.text.lstrip().startswith("# ---"):
            raise self._fail("it begins with a jupytext header; take it out, weaving writes the metadata")
        for self.number, self.cell in enumerate(notebook.cells, start=1):
            if "nbgrader" in self.cell.metadata:
                raise self._fail("it carries nbgrader metadata; take it out, weaving writes it from the tags")
            if self.cell.cell_type == "raw":
                raise self._fail(
                    "it is a raw cell, which nbgrader does not know; make it markdown or take it out"
                )
        self.number, self.cell = 1, notebook.cells[0]
        if self._tag() != "lab" or not self.cell.source.startswith("# "):
            raise self._fail('the first cell must be markdown, tagged "lab", and begin with the title “# …”')
        for key in ("question", "minutes", "prerequisite"):
            if key not in self.cell.metadata:
                raise self._fail(f"the first cell lacks {key}=…; write it behind its tags")
        if not isinstance(self.cell.metadata["minutes"], int):
            raise self._fail("minutes=… must be a whole number")
        return notebook

    def _tag(self) -> str | None:
        tags = self.cell.metadata.get("tags", [])
        if unknown := set(tags) - TAGS:
            raise self._fail(
                f"the tag {sorted(unknown)[0]!r} is unknown; the tags are {', '.join(sorted(TAGS))}"
            )
        if len(tags) > 1:
            raise self._fail(f"it has {len(tags)} tags; leave one")
        wants_markdown = set(tags) & {"lab", "question", "written"}
        if tags and (self.cell.cell_type == "markdown") != bool(wants_markdown):
            raise self._fail(f"a cell tagged {tags[0]!r} must be {'markdown' if wants_markdown else 'code'}")
        return tags[0] if tags else None

    def _exercise_facts(self, cells: list[NotebookNode]) -> dict[str, Exercise]:
        """Difficulty and minutes stand on the exercise cell, the points on the graded cell that follows it."""
        facts, name, metadata = {}, None, {}
        for self.number, self.cell in enumerate(cells, start=1):
            tag = self._tag()
            if tag == "exercise":
                if name:
                    raise self._fail(f"{name} has no graded cell yet; end that exercise before this one")
                name, metadata = self._import()[1], self.cell.metadata
                for key, allowed in (("difficulty", range(1, 4)), ("minutes", range(1, 241))):
                    if metadata.get(key) not in allowed:
                        raise self._fail(
                            f"it needs {key}=…, from {allowed[0]} to {allowed[-1]}, behind its tags"
                        )
            elif tag == "graded":
                points = self.cell.metadata.get("points")
                if not isinstance(points, (int, float)) or isinstance(points, bool) or points <= 0:
                    raise self._fail("a graded cell needs points=…, a number above 0, behind its tags")
                if name is None:
                    raise self._fail("there is no exercise before this graded cell; put the exercise first")
                facts[name] = Exercise(name, metadata["difficulty"], metadata["minutes"], float(points))
                name = None
        if name:
            raise self._fail(f"the exercise {name} has no graded cell; add one behind its visible check")
        return facts

    # --- weaving one cell --------------------------------------------------------------------------------------

    def _weave_cell(self, tag: str | None) -> None:
        weave_as = {
            "lab": self._weave_opening, "setup": self._weave_setup, "exercise": self._weave_exercise,
            "visible-check": self._weave_visible_check, "graded": self._weave_graded, "given": self._weave_given,
            "experiment": self._weave_experiment, "record": self._leave_out, "written": self._weave_written,
        }  # fmt: skip
        weave_as.get(tag, self._weave_plain)()

    def _leave_out(self) -> None:
        """A record cell is no part of the notebook."""

    def _weave_opening(self) -> None:
        title, *rest = self.cell.source.split("\n")
        badge = []
        if self.url:
            path = self.url.removeprefix("https://github.com/").strip("/")
            link = f"https://colab.research.google.com/github/{path}/blob/main/labs/{self.stem}.ipynb"
            image = "https://colab.research.google.com/assets/colab-badge.svg"
            badge = ["", f"[![Open this lab in Colab]({image})]({link})"]
        self._add("markdown", "\n".join([title, *badge, *rest]))

    def _weave_setup(self) -> None:
        install = ""
        if self.url:
            install = (
                'import sys\n\nif "google.colab" in sys.modules:  # Colab has torch already and lacks only labkit\n'
                f"    %pip install -q --no-deps git+{self.url}\n\n"
            )
        self._define(self.cell.source)
        self._add("code", install + self.cell.source)

    def _weave_exercise(self) -> None:
        stem, name = self._import()
        if stem != self.stem:
            raise self._fail(
                f"an exercise comes from solutions.{self.stem}; tag it “given” to inline another lab's"
            )
        function = self._slice(stem, name)
        self._add("code", function.with_solution_markers, grade_id=f"{name}-answer", solution=True)
        self.defined.add(name)
        self.exercise = name

    def _weave_given(self) -> None:
        stem, name = self._import()
        if stem == self.stem:
            raise self._fail(f"{name} is this lab's own; what is given comes from another lab")
        function = self._slice(stem, name)
        self._add(
            "code", f"# Given: {name} of {stem}.\n{function.text}", grade_id=f"{name}-given", locked=True
        )
        self.defined.add(name)

    def _weave_visible_check(self) -> None:
        if not self.exercise:
            raise self._fail("a visible check follows its exercise; there is none before it")
        others = self.facts.keys() & self._needed(self.cell.source) - {self.exercise}
        if others:
            raise self._fail(f"it uses {sorted(others)[0]}, another exercise; one mistake costs once")
        self._resolve(self.cell.source, "the check")
        number = sum(seen.startswith(f"{self.exercise}-visible") for seen in self.seen_ids)
        suffix = "" if number == 0 else f"-{number + 1}"
        self._add("code", self.cell.source, grade_id=f"{self.exercise}-visible{suffix}", grade=True, points=0)

    def _weave_graded(self) -> None:
        if self.cell.source.strip():
            raise self._fail("a graded cell has an empty body; the hidden checks stand in autograder/checks")
        name, self.exercise = self.exercise, None
        if f"{name}-visible" not in self.seen_ids:
            raise self._fail(f"{name} has no visible check; put one between the exercise and this cell")
        points = self.facts[name].points
        source = (
            f"# Hidden checks run here when your work is graded ({points:g} points). Leave this cell as it is.\n"
            "### BEGIN HIDDEN TESTS\n"
            "import autograder.in_kernel\n\n"
            f'autograder.in_kernel.grade("{self.stem}", "{name}", {points:g}, globals())\n'
            "### END HIDDEN TESTS"
        )
        self._add("code", source, grade_id=name, grade=True, points=points)

    def _weave_experiment(self) -> None:
        # nbclient, and so nbgrader, skips cells with the second tag; JupyterLab and Colab run them.
        self._add("code", self.cell.source, tags=["experiment", "skip-execution"])

    def _weave_written(self) -> None:
        points, grade_id = self.cell.metadata.get("points"), self.cell.metadata.get("grade_id")
        if (
            not isinstance(points, (int, float))
            or points <= 0
            or not re.fullmatch(r"\w+", str(grade_id or ""))
        ):
            raise self._fail("a written answer needs points=… and grade_id=… behind its tags")
        self._add("markdown", self.cell.source, grade_id=grade_id, grade=True, solution=True, points=points)

    def _weave_plain(self) -> None:
        source = self.cell.source
        if self.cell.cell_type == "code":
            self._resolve(source, "the cell")
            self._define(source)
        else:
            source = HEADING.sub(self._heading, source)
        self._add(self.cell.cell_type, source)

    def _heading(self, match: re.Match) -> str:
        name = match[1]
        if name not in self.facts:
            raise self._fail(
                f"no exercise of this lab imports {name}; correct the heading or add the exercise"
            )
        exercise, number = self.facts[name], list(self.facts).index(name) + 1
        dots = "●" * exercise.difficulty + "○" * (3 - exercise.difficulty)
        return (
            f"### Exercise {number} · `{name}`\n\n"
            f"*difficulty {dots} · about {exercise.minutes} minutes · {exercise.points:g} points*"
        )

    # --- helpers of the above ----------------------------------------------------------------------------------

    def _import(self) -> tuple[str, str]:
        match = IMPORT.fullmatch(self.cell.source.strip())
        if not match:
            raise self._fail(
                "it must hold one line and nothing else: from solutions.labNN_name import function"
            )
        return match[1], match[2]

    def _slice(self, stem: str, name: str) -> FunctionSource:
        path = self.root / "solutions" / f"{stem}.py"
        if not path.exists():
            raise self._fail(f"solutions/{stem}.py does not exist")
        try:
            function = slice_function(path.read_text(encoding="utf-8"), name)
        except (SliceError, SyntaxError) as error:
            raise self._fail(f"in solutions/{stem}.py {error}") from None
        called = function.needs & self.facts.keys()
        if called:
            raise self._fail(
                f"{name} calls {sorted(called)[0]}, another graded function; one mistake costs once, so take it as "
                "an argument, from labkit, or from a “given” cell"
            )
        self._resolve(function.text, name, own=name)
        return function

    def _needed(self, code: str) -> frozenset[str]:
        try:
            return names_needed(code)
        except SyntaxError as error:
            raise self._fail(f"it is not valid Python: {error.msg} in its line {error.lineno}") from None

    def _resolve(self, code: str, what: str, own: str = "") -> None:
        unknown = self._needed(code) - self.defined - {own}
        if unknown:
            names = ", ".join(sorted(unknown))
            raise self._fail(
                f"{what} uses {names}, which no cell before it defines; import it in the setup cell"
            )

    def _define(self, code: str) -> None:
        try:
            self.defined |= names_defined(code)
        except SyntaxError as error:
            raise self._fail(f"it is not valid Python: {error.msg} in its line {error.lineno}") from None

    def _add(self, kind: str, source: str, *, grade_id=None, tags=(), **nbgrader) -> None:
        """Add a cell. Its id comes from its grade_id or its place: jupytext's own ids are random."""
        if grade_id in self.seen_ids:
            raise self._fail(f"{grade_id} is there twice; rename one")
        cell = (
            nbformat.v4.new_markdown_cell(source) if kind == "markdown" else nbformat.v4.new_code_cell(source)
        )
        cell.id = grade_id or f"cell-{len(self.cells):02d}"
        if tags:
            cell.metadata["tags"] = list(tags)
        if grade_id:
            self.seen_ids.add(grade_id)
            grade, solution = nbgrader.get("grade", False), nbgrader.get("solution", False)
            cell.metadata["nbgrader"] = {
                "grade": grade, "solution": solution, "locked": not solution, "task": False,
                "grade_id": grade_id, "cell_type": kind, "schema_version": 3,
            }  # fmt: skip
            if grade:
                cell.metadata["nbgrader"]["points"] = nbgrader["points"]
        self.cells.append(cell)

    def _nothing_is_missing(self) -> None:
        if not self.facts:
            raise self._fail("the lab has no exercise")
        path = self.root / "autograder" / "checks" / f"{self.stem}.py"
        if not path.exists():
            raise self._fail(
                f"autograder/checks/{self.stem}.py does not exist; write the hidden checks there"
            )
        checks = load_checks(path.read_text(encoding="utf-8"), self.stem)
        for name in self.facts.keys() - checks.keys():
            raise self._fail(f"{name} has no check in autograder/checks/{self.stem}.py; write one")
        for name in checks.keys() - self.facts.keys():
            raise self._fail(
                f"autograder/checks/{self.stem}.py checks {name}, which is no exercise of this lab"
            )
