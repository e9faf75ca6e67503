"""One submission to grade, as plain data: what the coordinator sends to a worker."""

import hashlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Task:
    """One submission to grade.

    Attributes:
        student, lab, seed, content, version: as in result.Result.
        notebook: the submitted file; None where there is none that can be read.
        problem: why not, one sentence.
        files: the other submitted files, {path relative to the submission's folder: what is in them}.
        truth: the lab's nbgrader cells as JSON, as the gradebook knows them.
        limits: fields of sandbox.Limits.
        isolation: "sandbox" or "none".
    """

    student: str
    lab: str
    seed: int
    content: str
    version: str
    notebook: bytes | None
    truth: str
    problem: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    isolation: str = "sandbox"


def draw_seed() -> int:
    """Draw the seed of a grading run; it is kept with each result so that the run can be repeated."""
    return secrets.randbits(31)


def digest(notebook: bytes, files: dict[str, bytes]) -> str:
    """The SHA-256 of what was handed in."""
    found = hashlib.sha256(notebook)
    for name, data in sorted(files.items()):
        found.update(
            b"\0%d\0%s\0%d\0" % (len(name), name.encode("utf-8", "surrogateescape"), len(data)) + data
        )
    return found.hexdigest()


def write_files(files: dict[str, bytes], folder: Path) -> None:
    """Write submitted files below a folder; their names are relative and have no ".." in them."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
