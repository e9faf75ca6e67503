"""Where things are: the labs, and the files that belong to each of them."""

import hashlib
import importlib
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
JUDGING = ("experiment", "observation", "judge", "kernel", "repair", "weave")


class UsageError(Exception):
    """Something that the person at the keyboard can put right: one sentence that says what to do, exit status 2."""


@dataclass(frozen=True)
class Lab:
    """One lab, by its stem, and the five places that hold its texts."""

    stem: str

    @property
    def source(self) -> Path:
        """The jupytext source: the only place where its prose and visible checks are edited."""
        return ROOT / "labs" / "source" / f"{self.stem}.py"

    @property
    def notebook(self) -> Path:
        """The generated student notebook."""
        return ROOT / "labs" / f"{self.stem}.ipynb"

    @property
    def note(self) -> Path:
        """The lecture note; its measured numbers are filled in."""
        return ROOT / "lecture_notes" / f"{self.stem}.md"

    @property
    def solution_path(self) -> Path:
        return ROOT / "solutions" / f"{self.stem}.py"

    @property
    def checks_path(self) -> Path:
        return ROOT / "autograder" / "checks" / f"{self.stem}.py"

    @property
    def answers_path(self) -> Path:
        return ROOT / "autograder" / "wrong_answers" / f"{self.stem}.py"

    @cached_property
    def solution(self) -> ModuleType:
        """The reference solution, imported."""
        return importlib.import_module(f"solutions.{self.stem}")

    @cached_property
    def answers(self) -> ModuleType:
        """The bank of wrong answers and other right ones, imported."""
        return importlib.import_module(f"autograder.wrong_answers.{self.stem}")

    @cached_property
    def checks_source(self) -> str:
        return self.checks_path.read_text(encoding="utf-8")

    @cached_property
    def version(self) -> str:
        """A SHA-256 over every text that decides a score: this lab's own, labkit, and the judging modules."""
        paths = [self.source, self.solution_path, self.checks_path, self.answers_path]
        paths += sorted((ROOT / "labs" / "labkit").glob("*.py"))
        paths += [ROOT / "autograder" / f"{name}.py" for name in JUDGING]
        found = hashlib.sha256()
        for path in paths:
            found.update(path.read_bytes())
        return found.hexdigest()


def all_labs() -> list[Lab]:
    """Every lab that has a source, in the order of their numbers."""
    return [Lab(path.stem) for path in sorted((ROOT / "labs" / "source").glob("lab*.py"))]


def find_lab(name: str) -> Lab:
    """Find a lab by its stem or the beginning of it: "lab03" is lab03_magnitude.

    Raises:
        UsageError: if no lab, or more than one, begins with that name.
    """
    name = Path(name).name.removesuffix(".ipynb").removesuffix(".py")
    labs = all_labs()
    found = [lab for lab in labs if lab.stem == name] or [
        lab for lab in labs if name and lab.stem.startswith(name)
    ]
    if len(found) == 1:
        return found[0]
    problem = "is not a lab" if not found else f"could be {' or '.join(lab.stem for lab in found)}"
    raise UsageError(f"“{name}” {problem}; the labs are: {', '.join(lab.stem for lab in labs)}.")


def find_labs(names: list[str]) -> list[Lab]:
    """Find several labs; without a name, all of them."""
    return [find_lab(name) for name in names] if names else all_labs()


def repository_url(root: Path = ROOT) -> str | None:
    """The repository's address, from pyproject's [project.urls]; None while it is not set."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project.get("urls", {}).get("Repository")
