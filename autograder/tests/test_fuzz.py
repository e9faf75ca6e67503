"""Damage to a submission's file: a sentence for the learner, or a notebook whole again; never a lost neighbour."""

import copy
import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from nbgrader.utils import is_grade

from autograder import batch, worker
from autograder.course import Course
from autograder.labs import find_lab
from autograder.submission import MAX_BYTES, SubmissionError, parse_submission, solve
from autograder.weave import weave
from autograder.workers import WORKER_BYTES

pytestmark = pytest.mark.slow

LAB = find_lab("lab03")
MACHINE_POINTS = 22


@functools.cache
def solved() -> str:
    """The lab's notebook as a learner hands it in who has solved everything but the written answer."""
    questions = [exercise.name for exercise in weave(LAB).exercises]
    return nbformat.writes(solve(nbformat.read(LAB.notebook, as_version=4), LAB, questions))


@functools.cache
def grade_ids() -> list[str]:
    metadata = [cell["metadata"] for cell in json.loads(solved())["cells"]]
    return [own["nbgrader"]["grade_id"] for own in metadata if "nbgrader" in own]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    course = Course(tmp_path_factory.mktemp("fuzz"))
    course.prepare(LAB)
    return course


@pytest.fixture(scope="module")
def truth(course) -> str:
    """The lab's nbgrader cells, as a worker gets them."""
    return json.dumps(course.true_cells(LAB))


# --- damage ------------------------------------------------------------------------------------------------------

RAW = "raw text of a value:"  # json.dumps cannot write everything that a file may hold; `to_text` puts it in
ODD_TEXTS = st.sampled_from([
    "", "code", "markdown", "raw", "heading", "worksheet", "\ud800", "\x00", "\x1b[31m", "a\nb\r\n\u2028c", "🦜" * 200,
    "x" * 300_000, LAB.stem, "lab99_other", "__class__", "nbgrader", "../../x", "%matplotlib inline", "\ufeff",
])  # fmt: skip
A_GRADE_ID = st.deferred(lambda: st.sampled_from(grade_ids()))
RAW_VALUES = st.sampled_from([
    "NaN", "-Infinity", "1e999", "9" * 5_000, "[" * 900 + "]" * 900, "[" * 100_000 + "]" * 100_000,
    '{"a":' * 400 + "0" + "}" * 400, '{"a": 1, "a": []}', '"\\ud800"', "nul", "", "'x'",
]).map(RAW.__add__)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | ODD_TEXTS
    | A_GRADE_ID
    | st.text(max_size=8)
    | RAW_VALUES
)
KEYS = st.text(max_size=5) | st.sampled_from([
    "nbgrader", "grade_id", "cell_type", "metadata", "source", "id", "outputs", "attachments", "tags", "points",
    "execution", "cells", "worksheets", "nbformat", "name", "text/plain", "pruning_course", "lab", "__class__",
])  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
NBGRADER = st.fixed_dictionaries({}, optional={
    "grade": st.booleans() | VALUES, "solution": st.booleans() | VALUES, "locked": st.booleans() | VALUES,
    "task": st.booleans() | VALUES, "grade_id": A_GRADE_ID | VALUES,
    "points": st.floats() | st.integers() | VALUES, "cell_type": st.sampled_from(["code", "markdown"]) | VALUES,
    "schema_version": st.integers(-1, 9) | VALUES, "checksum": ODD_TEXTS | VALUES,
})  # fmt: skip
CELL = st.fixed_dictionaries(
    {"cell_type": st.sampled_from(["code", "markdown", "raw"]) | ODD_TEXTS, "metadata": st.just({}) | VALUES},
    optional={"source": st.lists(st.text(max_size=9)) | VALUES, "id": VALUES, "outputs": VALUES, "attachments": VALUES,
              "execution_count": VALUES, "level": VALUES},
)  # fmt: skip


def places(value) -> list[tuple]:
    """Every (container, key) below a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, item in list(items):
        found += [(value, key), *places(item)]
    return found


def cells_of(raw: dict) -> list:
    """The notebook's list of cells, as far as earlier damage left one."""
    cells = raw.get("cells") if isinstance(raw, dict) else None
    return cells if isinstance(cells, list) else []


def replace_value(draw, raw):
    container, key = draw(st.sampled_from(places(raw)))
    container[key] = draw(VALUES)


def delete_value(draw, raw):
    container, key = draw(st.sampled_from(places(raw)))
    del container[key]


def add_key(draw, raw):
    container = draw(st.sampled_from([raw] + [c[k] for c, k in places(raw) if isinstance(c[k], dict)]))
    if isinstance(container, dict):
        container[draw(KEYS)] = draw(VALUES)


def change_a_cell(draw, raw):
    """What most accidents look like: one cell's type, text, id, metadata or attachments."""
    cells = [cell for cell in cells_of(raw) if isinstance(cell, dict)]
    if cells:
        cell = draw(st.sampled_from(cells))
        cell[draw(st.sampled_from(["cell_type", "source", "id", "metadata", "attachments", "outputs"]))] = (
            draw(VALUES)
        )


def change_nbgrader(draw, raw):
    cells = [
        cell for cell in cells_of(raw) if isinstance(cell, dict) and isinstance(cell.get("metadata"), dict)
    ]
    if cells:
        metadata = draw(st.sampled_from(cells))["metadata"]
        old = metadata.get("nbgrader")
        new = draw(NBGRADER | VALUES)
        keep = draw(st.booleans()) and isinstance(old, dict) and isinstance(new, dict)
        metadata["nbgrader"] = old | new if keep else new


def insert_a_cell(draw, raw):
    cells = cells_of(raw)
    cells.insert(draw(st.integers(0, len(cells))), draw(CELL | VALUES))


def copy_a_cell(draw, raw):
    cells = cells_of(raw)
    if cells:
        copied = copy.deepcopy(draw(st.sampled_from(cells)))
        cells.insert(draw(st.integers(0, len(cells))), copied)


def delete_cells(draw, raw):
    cells = cells_of(raw)
    if cells:
        start = draw(st.integers(0, len(cells) - 1))
        del cells[start : start + draw(st.integers(1, len(cells)))]


def move_cells(draw, raw):
    cells = cells_of(raw)
    cut = draw(st.integers(0, len(cells)))
    cells[:] = cells[cut:] + cells[:cut] if draw(st.booleans()) else cells[::-1]


def change_format(draw, raw):
    if isinstance(raw, dict):
        raw["nbformat"] = draw(st.sampled_from([1, 2, 3, 4, 5, 4.0, "4", True, None]))
        raw["nbformat_minor"] = draw(st.sampled_from([-1, 0, 2, 4, 5, 6, 99, "5", None]))
        if draw(st.booleans()):
            raw["worksheets"] = [{"cells": raw.pop("cells", []), "metadata": {}}]


DAMAGES = [replace_value, replace_value, delete_value, add_key, change_a_cell, change_a_cell, change_nbgrader,
           change_nbgrader, insert_a_cell, copy_a_cell, delete_cells, move_cells]  # fmt: skip


def to_text(raw) -> str:
    """JSON as text, with the values that only text can hold."""
    text = json.dumps(raw, ensure_ascii=False)
    parts = text.split(f'"{RAW}')
    for index, part in enumerate(parts[1:], start=1):
        value, rest = next_string('"' + part)
        parts[index] = value + rest
    return "".join(parts)


def next_string(text: str) -> tuple[str, str]:
    value, end = json.JSONDecoder(strict=False).raw_decode(text)
    return value, text[end:]


class File(bytes):
    """A damaged file; what Hypothesis prints of it is short, and `check` keeps it."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


@st.composite
def damaged_json(draw) -> File:
    """The solved notebook's file with one to four damages to its JSON."""
    raw = json.loads(solved())
    for damage in draw(st.lists(st.sampled_from(DAMAGES), min_size=1, max_size=4)):
        if places(raw):
            damage(draw, raw)
    if draw(st.integers(0, 9)) == 0:
        change_format(draw, raw)
    return File(to_text(raw).encode("utf-8", "surrogatepass"))


ENCODINGS = [
    "utf-8",
    "utf-8",
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-32",
    "latin-1",
    "cp1252",
    "utf-7",
]


@st.composite
def damaged_bytes(draw) -> File:
    """A file cut, joined, in another encoding, or with bytes changed."""
    text = solved().replace("magnitude", "grandeur d’échelle", draw(st.integers(0, 2)))
    data = bytearray(text.encode(draw(st.sampled_from(ENCODINGS)), "replace"))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([0, 1, 1, 1, 2, 40, len(data)]))
        same = (
            st.text("abc 0.", min_size=length, max_size=length).map(str.encode)
            if length < 3
            else st.nothing()
        )
        data[start : start + length] = draw(same | st.binary(max_size=4) | st.just(bytes(data[:start])))
    return File(data)


# --- what must hold ----------------------------------------------------------------------------------------------


PYTHON_SAYS = re.compile(
    r"has no attribute|expected str instance|unsupported operand|can only concatenate|sequence (element|item)|not iterable"
    r"|codec can't|recursion depth|dictionary update|unhashable|subscriptable|must be (str|a mapping)"
)


def read(data: bytes, truth: str) -> nbformat.NotebookNode | None:
    """The notebook that a worker would run; None where the learner is told in a sentence why there is none."""
    try:
        notebook = parse_submission(data, LAB)
        worker.sanitize(notebook, truth)
    except SubmissionError as error:
        problem = str(error)
        assert len(problem.splitlines()) == 1 and problem.isprintable(), problem
        assert 20 < len(problem) < 500 and not PYTHON_SAYS.search(problem), problem
        problem.encode()
        return None
    return notebook


def check_whole(notebook: nbformat.NotebookNode, truth: str) -> None:
    """Every grade cell stands there once, as the gradebook knows it, in a notebook that can be kept."""
    expected = {cell["metadata"]["nbgrader"]["grade_id"]: cell for cell in json.loads(truth)}
    found = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    names = [cell.metadata.nbgrader["grade_id"] for cell in found]
    assert len(names) == len(set(names))
    graded = [name for name, cell in expected.items() if cell["metadata"]["nbgrader"]["grade"]]
    assert sorted(cell.metadata.nbgrader["grade_id"] for cell in found if is_grade(cell)) == sorted(graded)
    for cell in found:
        true = expected[cell.metadata.nbgrader["grade_id"]]
        assert dict(cell.metadata.nbgrader) == true["metadata"]["nbgrader"]
        assert cell.cell_type == true["cell_type"]
        assert cell.source == true["source"] or not true["metadata"]["nbgrader"]["locked"]
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    nbformat.validate(notebook)
    text = nbformat.writes(notebook)
    text.encode()
    assert [cell.source for cell in nbformat.reads(text, as_version=4).cells] == [
        c.source for c in notebook.cells
    ]
    scores, _ = worker.read_scores(notebook, [])
    assert scores.keys() == set(graded)
    for name, score in scores.items():
        assert score is None or 0 <= score <= expected[name]["metadata"]["nbgrader"]["points"]


FUZZ = settings(
    max_examples=1000,
    deadline=None,
    print_blob=True,
    phases=[
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ],  # shrinking these takes minutes; the file is kept instead
    suppress_health_check=list(HealthCheck),
)


def check(data: bytes, truth: str, folder: Path) -> None:
    try:
        notebook = read(data, truth)
        if notebook is not None:
            check_whole(notebook, truth)
    except Exception:
        (folder / "damaged.ipynb").write_bytes(data)
        print(f"the damaged file: {folder / 'damaged.ipynb'}")
        raise


@FUZZ
@given(data=damaged_json())
def test_damaged_json_is_explained_or_made_whole(data, truth, tmp_path_factory):
    check(data, truth, tmp_path_factory.getbasetemp())


@settings(FUZZ, max_examples=300)
@given(data=damaged_bytes())
def test_damaged_bytes_are_explained_or_made_whole(data, truth, tmp_path_factory):
    check(data, truth, tmp_path_factory.getbasetemp())


# --- files that are large ----------------------------------------------------------------------------------------

MANY = MAX_BYTES - (1 << 20)
LARGE = {
    "a long text": '"' + "x" * MANY + '"',
    "deep": "[" * (MANY // 2) + "]" * (MANY // 2),
    "many dictionaries": "[" + "{}," * (MANY // 3) + "0]",
    "many lists": "[" + "[]," * (MANY // 3) + "0]",
    "many numbers": "[" + "1," * (MANY // 2) + "0]",
    "many keys": "{" + ",".join(f'"{number:07d}":0' for number in range(MANY // 12)) + "}",
}
READ_AND_MEASURE = """
import resource, sys
from pathlib import Path
from autograder.labs import find_lab
from autograder.submission import SubmissionError, parse_submission
from autograder.worker import sanitize
resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
try:
    sanitize(parse_submission(Path(sys.argv[1]).read_bytes(), find_lab("lab03")), Path(sys.argv[2]).read_text())
except SubmissionError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
"""


@pytest.mark.parametrize("place, kind", [
    *(("metadata", kind) for kind in LARGE), ("source", "many numbers"), ("outputs", "many dictionaries"),
])  # fmt: skip
def test_a_large_file_cannot_fill_the_memory_of_a_worker(place, kind, truth, tmp_path):
    raw = json.loads(solved())
    cell = next(cell for cell in raw["cells"] if cell["cell_type"] == "code")
    (raw if place == "metadata" else cell)[place] = RAW + "here"
    submitted, true = tmp_path / "submitted.ipynb", tmp_path / "truth.json"
    submitted.write_text(json.dumps(raw).replace(f'"{RAW}here"', LARGE[kind]), encoding="utf-8")
    true.write_text(truth, encoding="utf-8")
    command = [sys.executable, "-c", READ_AND_MEASURE, str(submitted), str(true)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert int(run.stdout.splitlines()[-1]) < WORKER_BYTES, run.stdout[-300:]


# --- graded for real ---------------------------------------------------------------------------------------------


def accidents() -> dict[str, bytes]:
    """Damage that the format allows, aimed at whoever executes the notebook."""
    everywhere = {
        "timing": {"execution": {"iopub.status.busy": "now"}}, "tags": {"tags": ["raises-exception"]},
        "hidden": {"jupyter": {"source_hidden": True}, "collapsed": True}, "nbgrader-is-a-list": {"nbgrader": []},
        "tasks": {"nbgrader": {"schema_version": 3, "task": True, "grade_id": "x", "points": 1e300}},
    }  # fmt: skip
    found = {}
    for name, metadata in everywhere.items():
        raw = json.loads(solved())
        for cell in raw["cells"]:
            cell["metadata"] |= metadata
        found[name] = raw
    for name, metadata in {
        "kernel": {"kernelspec": {"name": "julia", "display_name": "Julia"}},
        "widgets": {"widgets": {"application/vnd.jupyter.widget-state+json": {"state": 3}}},
        "language": {"language_info": {"name": "python", "codemirror_mode": "7"}}, "course": {"pruning_course": "lab03"},
        "old": {"orig_nbformat": 3},
    }.items():  # fmt: skip
        found[name] = json.loads(solved())
        found[name]["metadata"] |= metadata
    found["raw-cells"] = json.loads(solved())
    for cell in found["raw-cells"]["cells"]:
        if cell["cell_type"] == "markdown":
            cell["cell_type"] = "raw"
    return {name: json.dumps(raw).encode() for name, raw in found.items()}


def drawn(count: int, truth: str) -> dict[str, bytes]:
    """Damaged notebooks that are made whole again, as many as wanted."""
    found = []

    @settings(FUZZ, max_examples=4 * count, database=None)
    @given(data=damaged_json())
    def collect(data):
        if len(found) < count and read(data, truth) is not None:
            found.append(data)

    collect()
    return {f"drawn-{number}": data for number, data in enumerate(found)}


def test_a_damaged_notebook_never_costs_a_neighbour_anything(course, truth):
    damaged = accidents() | drawn(40, truth)
    class_ = {}
    for number, (name, data) in enumerate(damaged.items()):
        class_[f"{number:02d}-{name}"] = data
        if number % 4 == 0:
            class_[f"{number:02d}-z-honest"] = solved().encode()
    for student, data in class_.items():
        path = course.notebook("submitted", LAB, student)
        path.parent.mkdir(parents=True)
        path.write_bytes(data)

    results = {
        result.student: result for result in batch.grade(course, LAB, batch.collect(course, LAB, None))
    }

    assert results.keys() == class_.keys()
    assert {name: result.score for name, result in results.items() if "honest" in name} == {
        name: MACHINE_POINTS for name in class_ if "honest" in name
    }
    assert not {name: r.score for name, r in results.items() if not 0 <= r.score <= MACHINE_POINTS}
    assert {
        name[3:]: result.score for name, result in results.items() if name[3:] in accidents()
    } == dict.fromkeys(accidents(), MACHINE_POINTS)
