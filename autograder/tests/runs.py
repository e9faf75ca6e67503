"""Grading runs that are watched and killed, and what two runs of the same class must agree on."""

import contextlib
import ctypes
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

from autograder import demo
from autograder.course import Course
from autograder.labs import ROOT, Lab

SEED = 7
STUDENTS = ("ada", "bao", "emil", "hana", "kofi", "lena", "noor", "omar")  # of the bundled class
UNEQUAL = (
    "seconds",
    "phases",
    "memory",
    "versions",
    "submission",
)  # in a record: what differs from run to run
END = 60  # seconds until what was killed is taken for not ending


def make_class(course: Course, lab: Lab) -> None:
    """Release a lab, and hand in eight submissions of the bundled class."""
    course.prepare(lab)
    demo.make_class(course, lab)
    for folder in (course.root / "submitted").iterdir():
        if folder.name not in STUDENTS:
            shutil.rmtree(folder)


def copied(course: Course, folder: Path, *, released: bool = True) -> Course:
    """A copy of a course in which nothing is graded; not `released`: and of which only submitted/ is there."""
    if released:
        shutil.copytree(course.root, folder)
    else:
        shutil.copytree(course.root / "submitted", folder / "submitted")
    return Course(folder)


# --- a run -------------------------------------------------------------------------------------------------------


class Run:
    """`python -m autograder grade` of a course, in a process of its own.

    Args:
        course: to grade.
        temporary: the folder for its temporary files.
        arguments: more of the command line.
    """

    def __init__(self, course: Course, temporary: Path, *arguments: object):
        self.log = temporary.with_suffix(".log")
        temporary.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "autograder", "grade", "lab03", "--course", course.root, "--seed", SEED,
                   *arguments]  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | {"TMPDIR": str(temporary), "COLUMNS": "120"},
            )  # fmt: skip

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        """Wait until it ends by itself, as it should."""
        status = self.process.wait(600)
        assert status == 0, (status, self.log.read_text(encoding="utf-8")[-3000:])

    def processes(self) -> dict[str, list[psutil.Process]]:
        """The processes of this run, by what they do; those that are there now."""
        found = {"coordinator": [], "forkserver": [], "worker": [], "warm": [], "monitor": []}
        with contextlib.suppress(psutil.Error):
            coordinator = psutil.Process(self.process.pid)
            found["coordinator"].append(coordinator)
            for child in coordinator.children():
                with contextlib.suppress(psutil.Error):
                    line = " ".join(child.cmdline())
                    for kind, below in (("forkserver", "worker"), ("warm", "monitor")):
                        if f"multiprocessing.{kind}" in line or f"autograder.{kind}" in line:
                            found[kind].append(child)
                            found[below] += child.children()
        return found


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """Be the parent of every process whose own one is gone, so that none is lost from sight."""
    subreaper = lambda on: ctypes.CDLL(None).prctl(36, on, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    subreaper(1)
    try:
        yield
    finally:
        subreaper(0)


def nobody_is_left(before: set[int]) -> None:
    """Wait until no process below this one is left but those of `before`."""
    for _ in range(END * 10):
        left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
        for child in left:
            with contextlib.suppress(psutil.Error, OSError):
                if child.status() == psutil.STATUS_ZOMBIE and child.ppid() == os.getpid():
                    os.waitpid(child.pid, os.WNOHANG)
        if not left:
            return
        time.sleep(0.1)
    still = [describe(child) for child in left]
    for child in left:
        with contextlib.suppress(psutil.Error):
            child.kill()
    raise AssertionError(still)


def describe(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{process.pid} {process.status()} {process.cmdline()}"
    return str(process.pid)


def family() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


# --- what must be equal ------------------------------------------------------------------------------------------


def rows(course: Course) -> dict[str, list[dict]]:
    """Every row of every table of a gradebook."""
    with contextlib.closing(sqlite3.connect(course.root / "gradebook.db")) as database:
        database.row_factory = sqlite3.Row
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: [dict(row) for row in database.execute(f'SELECT * FROM "{name}"')] for name in sorted(names)
        }


def gradebook(course: Course) -> dict[str, list[str]]:
    """Every row of every table, without what differs from run to run; in the place of an id stands its row."""
    tables = rows(course)
    by_id = {
        row["id"]: row
        for row in itertools.chain.from_iterable(tables.values())
        if len(str(row.get("id"))) == 32
    }

    def plain(row: dict) -> str:
        return ", ".join(f"{key}={value_of(key, value)}" for key, value in sorted(row.items()) if key != "id")

    def value_of(key: str, value: object) -> str:
        if key == "record":
            return str(
                {name: item for name, item in sorted(json.loads(value).items()) if name not in UNEQUAL}
            )
        if key in UNEQUAL:
            return "…"
        return f"({plain(by_id[value])})" if value in by_id else str(value)

    return {name: sorted(map(plain, found)) for name, found in tables.items()}


def notebooks(course: Course) -> dict[str, list]:
    """What stands in autograded/, {path: [(type, text, the verdict that it shows) of each cell]}."""
    found = {}
    for path in sorted((course.root / "autograded").rglob("*")):
        if path.is_file():
            cells = nbformat.read(path, as_version=4).cells if path.suffix == ".ipynb" else []
            found[str(path.relative_to(course.root))] = [
                (cell.cell_type, cell.source, verdict_in(cell)) for cell in cells
            ]
    return found


def verdict_in(cell) -> str:
    """The outputs of a judged cell; other outputs come in pieces that differ from run to run."""
    return str(cell.outputs) if cell.metadata.get("nbgrader", {}).get("points") and "outputs" in cell else ""


def state(course: Course) -> tuple[dict, dict]:
    return gradebook(course), notebooks(course)


def difference(found: tuple[dict, dict], expected: tuple[dict, dict]) -> str:
    """In which tables and notebooks two results differ, and in which rows."""
    lines = []
    for ours, theirs in zip(found, expected):
        for name in sorted(ours.keys() | theirs.keys()):
            mine, other = ours.get(name, []), theirs.get(name, [])
            if mine != other:
                more, less = (
                    [str(row)[:2000] for row in one if row not in two]
                    for one, two in ((mine, other), (other, mine))
                )
                lines.append(f"{name}: {len(mine)} for {len(other)}\n  more: {more[:1]}\n  less: {less[:1]}")
    return "\n".join(lines)


def the_same(course: Course, expected: tuple[dict, dict]) -> None:
    """Fail where a course's gradebook or its notebooks are not as expected, and say in what."""
    if different := difference(state(course), expected):
        pytest.fail(different, pytrace=False)
