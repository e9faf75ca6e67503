"""Weaving: what each tag becomes, that it is the same every time, and what every malformed source is told."""

import ast
import re
from dataclasses import dataclass

import nbformat
import pytest
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions

from autograder.labs import Lab, UsageError, all_labs
from autograder.weave import WeaveError, Weaver, weave

STEM, OTHER = "lab98_areas", "lab97_halves"
URL = "https://github.com/someone/course"

LAB = """\
# %% [markdown] tags=["lab"] question="How large?" minutes=45 prerequisite="lab97_halves"
# # Lab 98 · Areas
#
# Some prose.

# %% tags=["setup"]
import math
from collections.abc import Sequence

# %% tags=["given"]
from solutions.lab97_halves import halve

# %% [markdown]
# ### Exercise area
#
# The area is $\\pi r^2$.

# %% tags=["exercise"] difficulty=1 minutes=5
from solutions.lab98_areas import area

# %% tags=["visible-check"]
assert area(0) == 0, "nothing"

# %% tags=["visible-check"]
assert area(halve(2)) == math.pi, "one"

# %% tags=["graded"] points=2

# %% [markdown]
# ### Exercise total_area
#
# Before it, ### Exercise nothing is no heading.

# %% tags=["exercise"] difficulty=3 minutes=20
from solutions.lab98_areas import total_area

# %% tags=["visible-check"]
assert total_area([1, 1], lambda radius: 2) == 4, "two"

# %% tags=["graded"] points=2.5

# %%
RADII = [halve(1), 2]

# %% tags=["experiment"]
areas = [area(radius) for radius in RADII]

# %% [markdown] tags=["question"]
# Why?

# %% [markdown] tags=["written"] points=3 grade_id="why_round"
# Because.
"""
SOLUTION = '''\
"""Areas."""

import math
from collections.abc import Sequence

CONSTANT = 2


def area(radius: float) -> float:
    """Return the area of a circle."""
    # a comment
    return math.pi * radius**2  # equation 1


def total_area(radii: Sequence[float], area) -> float:
    """Return the total area of circles."""
    return sum(area(radius) for radius in radii)


def without_docstring(radius):
    return radius


def with_foreign_name(radius):
    """Return it."""
    return CONSTANT * radius


def calls_area(radii):
    """Return the total area."""
    return sum(area(radius) for radius in radii)
'''
OTHER_SOLUTION = '''\
def halve(number: float) -> float:
    """Return half of it."""
    return number / 2  # a comment
'''
CHECKS = '''\
from autograder.experiment import check


@check("area")
def small(lab, rng):
    """Small ones."""
    return lab.area(1)


@check("total_area")
def two(lab, rng):
    """Two of them."""
    return lab.total_area([1, 2], abs)
'''


@pytest.fixture
def root(tmp_path):
    """A made-up repository: what weaving looks up, and nothing else."""
    files = {
        f"solutions/{STEM}.py": SOLUTION,
        f"solutions/{OTHER}.py": OTHER_SOLUTION,
        f"autograder/checks/{STEM}.py": CHECKS,
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def notebook(root):
    return Weaver(STEM, LAB, root=root).weave().notebook


def by_id(notebook):
    return {cell.id: cell for cell in notebook.cells}


# --- the happy path --------------------------------------------------------------------------------------------


def test_the_facts_for_the_syllabus(root):
    woven = Weaver(STEM, LAB, root=root).weave()
    assert (woven.title, woven.question, woven.minutes) == ("Lab 98 · Areas", "How large?", 45)
    assert (woven.prerequisite, woven.written_points) == ("lab97_halves", 3.0)
    assert [(e.name, e.difficulty, e.minutes, e.points) for e in woven.exercises] == [
        ("area", 1, 5, 2.0),
        ("total_area", 3, 20, 2.5),
    ]
    assert {type(exercise.points) for exercise in woven.exercises} == {float}


def test_every_cell_has_the_kind_the_id_and_the_nbgrader_role_of_its_tag(notebook):
    rows = []
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader", {})
        role = "".join(letter for letter, key in zip("gsl", ("grade", "solution", "locked")) if meta.get(key))
        rows.append((cell.cell_type, cell.id, role, meta.get("points"), cell.metadata.get("tags", [])))
    assert rows == [
        ("markdown", "cell-00", "", None, []),
        ("code", "cell-01", "", None, []),
        ("code", "halve-given", "l", None, []),
        ("markdown", "cell-03", "", None, []),
        ("code", "area-answer", "s", None, []),
        ("code", "area-visible", "gl", 0, []),
        ("code", "area-visible-2", "gl", 0, []),
        ("code", "area", "gl", 2.0, []),
        ("markdown", "cell-08", "", None, []),
        ("code", "total_area-answer", "s", None, []),
        ("code", "total_area-visible", "gl", 0, []),
        ("code", "total_area", "gl", 2.5, []),
        ("code", "cell-12", "", None, []),
        ("code", "cell-13", "", None, ["experiment", "skip-execution"]),
        ("markdown", "cell-14", "", None, []),
        ("markdown", "why_round", "gs", 3, []),
    ]


def test_the_grade_id_is_the_cells_id_and_nothing_of_jupytext_is_left(notebook):
    for cell in notebook.cells:
        if "nbgrader" in cell.metadata:
            assert cell.metadata["nbgrader"]["grade_id"] == cell.id
        assert set(cell.metadata) <= {"nbgrader", "tags"}
    assert set(notebook.metadata) == {"kernelspec", "language_info", "pruning_course"}
    assert notebook.metadata["pruning_course"] == {"lab": STEM}


def test_nbgrader_accepts_every_cell(notebook):
    MetadataValidator().validate_nb(notebook)
    nbformat.validate(notebook)


def test_weaving_twice_gives_the_same_bytes(root):
    texts = {nbformat.writes(Weaver(STEM, LAB, root=root).weave().notebook) for _ in range(2)}
    assert len(texts) == 1


def test_an_exercise_becomes_the_function_between_nbgraders_markers(notebook):
    body = "    # a comment\n    return math.pi * radius**2  # equation 1"
    head = 'def area(radius: float) -> float:\n    """Return the area of a circle."""'
    expected = f"{head}\n    ### BEGIN SOLUTION\n{body}\n    ### END SOLUTION"
    assert by_id(notebook)["area-answer"].source == expected


def test_a_given_function_stands_whole_in_a_locked_cell(notebook):
    expected = f"# Given: halve of {OTHER}.\n{OTHER_SOLUTION.rstrip()}"
    assert by_id(notebook)["halve-given"].source == expected


def test_a_graded_cell_holds_nothing_but_hidden_tests(notebook):
    first, *rest = by_id(notebook)["total_area"].source.split("\n")
    assert "2.5 points" in first
    assert (rest[0], rest[-1]) == ("### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS")
    assert f'autograder.in_kernel.grade("{STEM}", "total_area", 2.5, globals())' in rest


def test_nbgraders_own_student_version_is_valid_and_gives_nothing_away(notebook):
    for clear in (ClearSolutions(), ClearHiddenTests()):
        notebook, _ = clear.preprocess(notebook, {})
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    ast.parse(text)
    assert text.count("raise NotImplementedError") == 2
    for secret in ("math.pi * radius", "equation 1", "autograder", "SOLUTION", "HIDDEN"):
        assert secret not in text
    assert "Because." not in "".join(cell.source for cell in notebook.cells)


def test_a_record_cell_is_left_out(root, notebook):
    text = LAB.replace("# %%\nRADII", '# %% tags=["record"]\nRECORD = areas\n\n# %%\nRADII')
    assert Weaver(STEM, text, root=root).weave().notebook == notebook


def test_a_heading_is_expanded_with_number_difficulty_minutes_and_points(notebook):
    assert by_id(notebook)["cell-08"].source.startswith(
        "### Exercise 2 · `total_area`\n\n*difficulty ●●● · about 20 minutes · 2.5 points*\n\nBefore it, ### Exercise nothing"
    )
    assert "*difficulty ●○○ · about 5 minutes · 2 points*" in by_id(notebook)["cell-03"].source


def test_badge_and_install_line_come_with_the_repositorys_address_only(root, notebook):
    online = Weaver(STEM, LAB, URL, root).weave().notebook
    title, empty, badge, *_ = online.cells[0].source.split("\n")
    assert (title, empty) == ("# Lab 98 · Areas", "")
    assert f"colab.research.google.com/github/someone/course/blob/main/labs/{STEM}.ipynb" in badge
    assert f"%pip install -q --no-deps git+{URL}\n" in online.cells[1].source
    assert online.cells[1].source.endswith(notebook.cells[1].source)
    assert online.cells[2:] == notebook.cells[2:]
    assert "colab" not in nbformat.writes(notebook) and "pip" not in nbformat.writes(notebook)


def test_the_name_of_one_exercise_may_end_another(root):
    text = LAB.replace("total_area", "radius").replace("area", "total_radius")
    path = root / "solutions" / f"{STEM}.py"
    path.write_text(
        'def total_radius(r):\n    """Do."""\n    return r\n\ndef radius(r, f):\n    """Do."""\n    return r\n'
    )
    checks = root / "autograder" / "checks" / f"{STEM}.py"
    checks.write_text(CHECKS.replace("total_area", "radius").replace('"area"', '"total_radius"'))
    text = text.replace("lab98_total_radiuss", STEM)
    ids = [cell.id for cell in Weaver(STEM, text, root=root).weave().notebook.cells]
    assert "radius-visible" in ids and "radius-visible-2" not in ids


# --- malformed sources -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Broken:
    """A way to break the lab: what is replaced in which text, the cell that is blamed, what the message says."""

    cell: int
    says: str
    old: str
    new: str
    text: str = "lab"  # or "solution", "checks"


def exercise(name, other, stem=STEM):
    """The text of an exercise of the lab, and the same text with another function in heading and import."""
    start = LAB.index(f"# ### Exercise {name}")
    old = LAB[start : LAB.index("\n\n", LAB.index(f"import {name}\n"))]
    new = old.replace(f"Exercise {name}", f"Exercise {other}").replace(f"import {name}", f"import {other}")
    return old, new.replace(STEM, stem)


EXERCISE = 'tags=["exercise"] difficulty=1 minutes=5'
CHECK = 'assert area(0) == 0, "nothing"'
BROKEN = {
    "unknown tag": Broken(13, "'draft' is unknown; the tags are exercise, experiment", "# %%\nRADII", '# %% tags=["draft"]\nRADII'),
    "two tags": Broken(2, "it has 2 tags; leave one", '["setup"]', '["setup", "experiment"]'),
    "code where markdown belongs": Broken(16, "'written' must be markdown", '[markdown] tags=["written"]', 'tags=["written"]'),
    "markdown where code belongs": Broken(14, "'experiment' must be code", '# %% tags=["experiment"]', '# %% [markdown] tags=["experiment"]'),
    "nbgrader metadata": Broken(5, "nbgrader metadata; take it out", EXERCISE, EXERCISE + ' nbgrader={"grade": false}'),
    "raw cell": Broken(4, "a raw cell", "# %% [markdown]\n# ### Exercise area", "# %% [raw]\n# ### Exercise area"),
    "jupytext header": Broken(1, "a jupytext header; take it out", "# %% [markdown] tags=[\"lab\"]", '# ---\n# jupyter:\n#   jupytext:\n#     formats: ipynb,py\n# ---\n\n# %% [markdown] tags=["lab"]'),
    "another header": Broken(1, "a jupytext header; take it out", "# %% [markdown] tags=[\"lab\"]", '# ---\n# title: Areas\n# ---\n\n# %% [markdown] tags=["lab"]'),
    "no lab cell": Broken(1, 'the first cell must be markdown, tagged "lab"', ' tags=["lab"]', ""),
    "no title": Broken(1, "begin with the title", "# # Lab 98", "# Lab 98"),
    "no question": Broken(1, "lacks question=…; write it", ' question="How large?"', ""),
    "no minutes": Broken(1, "lacks minutes=…; write it", " minutes=45", ""),
    "minutes in words": Broken(1, "minutes=… must be a whole number", "minutes=45", 'minutes="long"'),
    "no prerequisite": Broken(1, "lacks prerequisite=…; write it", ' prerequisite="lab97_halves"', ""),
    "exercise with another import": Broken(5, "one line and nothing else: from solutions.labNN_name import function", "import area\n", "import area as surface\n"),
    "exercise with two imports": Broken(5, "one line and nothing else", "import area\n", "import area, total_area\n"),
    "exercise of another lab": Broken(5, "tag it “given”", *exercise("area", "halve", OTHER)),
    "function that does not exist": Broken(5, "defines surface 0 times", *exercise("area", "surface")),
    "function without docstring": Broken(5, "without_docstring has no docstring; write its contract there", *exercise("area", "without_docstring")),
    "solution that is no Python": Broken(3, "in solutions/lab97_halves.py", "import halve", "import area", "no python"),
    "no difficulty": Broken(5, "needs difficulty=…, from 1 to 3", " difficulty=1", ""),
    "difficulty out of range": Broken(5, "needs difficulty=…, from 1 to 3", "difficulty=1", "difficulty=4"),
    "no minutes for an exercise": Broken(5, "needs minutes=…, from 1 to 240", "difficulty=1 minutes=5", "difficulty=1"),
    "graded without points": Broken(8, "needs points=…, a number above 0", " points=2\n", "\n"),
    "graded for no points": Broken(8, "needs points=…, a number above 0", "points=2\n", "points=0\n"),
    "graded with a body": Broken(8, "has an empty body; the hidden checks stand in autograder/checks", "points=2\n", "points=2\nassert area(2)\n"),
    "graded without exercise": Broken(5, "put the exercise first", f"# %% {EXERCISE}\nfrom solutions.lab98_areas import area\n\n# %% tags=[\"visible-check\"]\n{CHECK}\n\n# %% tags=[\"visible-check\"]\nassert area(halve(2)) == math.pi, \"one\"\n\n", ""),
    "exercise without graded": Broken(9, "area has no graded cell yet; end that exercise", '# %% tags=["graded"] points=2\n', ""),
    "last exercise without graded": Broken(15, "total_area has no graded cell; add one", '# %% tags=["graded"] points=2.5\n', ""),
    "graded without visible check": Broken(11, "total_area has no visible check; put one between", '# %% tags=["visible-check"]\nassert total_area([1, 1], lambda radius: 2) == 4, "two"\n\n', ""),
    "visible check before its exercise": Broken(4, "a visible check follows its exercise", '# %% [markdown]\n# ### Exercise area\n', '# %% tags=["visible-check"]\nassert 1\n\n# %% [markdown]\n# ### Exercise area\n'),
    "visible check of another exercise": Broken(11, "it uses area, another exercise; one mistake costs once", "lambda radius: 2) == 4", "area) > 4"),
    "visible check of a later exercise": Broken(6, "it uses total_area, another exercise", CHECK, "assert total_area([], abs) == 0"),
    "function that calls a graded one": Broken(10, "calls_area calls area, another graded function; one mistake costs once", *exercise("total_area", "calls_area")),
    "name that the notebook never imports": Broken(5, "with_foreign_name uses CONSTANT, which no cell before it defines; import it in the setup cell", *exercise("area", "with_foreign_name")),
    "import missing in the notebook": Broken(5, "area uses math, which no cell before it defines", "import math\n", ""),
    "annotation missing in the notebook": Broken(10, "total_area uses Sequence, which", "from collections.abc import Sequence\n", ""),
    "visible check with an unknown name": Broken(6, "the check uses numpy, which", CHECK, "assert numpy.pi"),
    "cell with an unknown name": Broken(13, "the cell uses numpy, which", "[halve(1), 2]", "[numpy.pi]"),
    "name of an experiment": Broken(15, "the cell uses areas, which no cell before it defines", '# %% [markdown] tags=["question"]\n# Why?', "# %%\nareas"),
    "given of this lab": Broken(3, "area is this lab's own; what is given comes from another lab", "from solutions.lab97_halves import halve", "from solutions.lab98_areas import area"),
    "given of a lab that does not exist": Broken(3, "solutions/lab96_none.py does not exist", "from solutions.lab97_halves import halve", "from solutions.lab96_none import halve"),
    "heading that names no exercise": Broken(4, "no exercise of this lab imports aria; correct the heading", "### Exercise area", "### Exercise aria"),
    "the same exercise twice": Broken(10, "area-answer is there twice; rename one", *exercise("total_area", "area")),
    "the same grade_id twice": Broken(16, "area is there twice; rename one", 'grade_id="why_round"', 'grade_id="area"'),
    "syntax error in the setup": Broken(2, "not valid Python: invalid syntax in its line 1", "import math\n", "import import\n"),
    "syntax error in a check": Broken(6, "not valid Python: .* in its line 2", CHECK, "if area(0):\nassert 1"),
    "syntax error in a plain cell": Broken(13, "not valid Python: .* in its line 1", "RADII = [halve(1), 2]", "RADII = ["),
    "written without points": Broken(16, "a written answer needs points=… and grade_id=…", ' points=3 grade', " grade"),
    "written without grade_id": Broken(16, "a written answer needs points=… and grade_id=…", ' grade_id="why_round"', ""),
    "question without checks": Broken(16, f"area has no check in autograder/checks/{STEM}.py; write one", '@check("area")', "", "checks"),
    "checks for no exercise": Broken(16, "checks surface, which is no exercise of this lab", "def two", 'def one(lab, rng):\n    """One."""\n\n\n@check("surface")\ndef two', "checks"),
    "no checks at all": Broken(16, f"autograder/checks/{STEM}.py does not exist; write the hidden checks there", CHECKS, "", "no checks"),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_malformed_source_is_told_the_file_the_cell_and_what_to_change(broken, root):
    checks_path = root / "autograder" / "checks" / f"{STEM}.py"
    text = LAB
    if broken.text == "checks":
        checks_path.write_text(replace_once(CHECKS, broken.old, broken.new), encoding="utf-8")
    elif broken.text == "no checks":
        checks_path.unlink()
    elif broken.text == "no python":
        (root / "solutions" / f"{OTHER}.py").write_text("def halve(:\n", encoding="utf-8")
    else:
        text = replace_once(LAB, broken.old, broken.new)
    with pytest.raises(WeaveError) as error:
        Weaver(STEM, text, root=root).weave()
    assert str(error.value).startswith(f"labs/source/{STEM}.py, cell {broken.cell} (“")
    assert re.search(broken.says, str(error.value))
    assert str(error.value).endswith(".")


def replace_once(text, old, new):
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    return text.replace(old, new)


def test_the_lab_that_is_broken_above_is_whole(root):
    assert len(Weaver(STEM, LAB, root=root).weave().notebook.cells) == 16


@pytest.mark.parametrize(("text", "says"), [("", "holds no cell"), ('# %% [markdown] tags=["lab"', "cell 1")])
def test_a_source_without_a_readable_cell_is_refused(text, says, root):
    with pytest.raises(WeaveError, match=says) as error:
        Weaver(STEM, text, root=root).weave()
    assert f"labs/source/{STEM}.py" in str(error.value)


def test_a_lab_without_exercises_is_refused(root):
    first = LAB[: LAB.index('# %% tags=["setup"]')]
    with pytest.raises(WeaveError, match="the lab has no exercise"):
        Weaver(STEM, first, root=root).weave()


# --- the real labs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.stem)
def test_every_lab_weaves_to_a_notebook_that_nbgrader_accepts(lab):
    woven = weave(lab)
    MetadataValidator().validate_nb(woven.notebook)
    ids = [cell.id for cell in woven.notebook.cells]
    assert len(set(ids)) == len(ids)
    assert nbformat.writes(woven.notebook) == nbformat.writes(weave(lab).notebook)


def test_a_lab_without_a_source_is_refused():
    with pytest.raises(UsageError, match="labs/source/lab00_none.py is missing"):
        weave(Lab("lab00_none"))
