"""Find the course's data folder, and verify a file before anybody reads it."""

import hashlib
import importlib.util
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

ENVIRONMENT_VARIABLE = "LABKIT_DATA"
CHECKSUMS = "SHA256SUMS"  # the format of `sha256sum`; a folder that holds this file is a data folder

_digests: dict[tuple[Path, int, int], str] = {}  # (path, modification time, size) -> SHA-256


def data_folder() -> Path:
    """Return the folder that holds the data set and the checkpoints.

    The first of these that holds a file SHA256SUMS: the folder named by the environment variable LABKIT_DATA
    (where it is set, no other is tried); `data/` of a clone (labs/labkit/../../data); `data/` of a student
    bundle (labkit/../data); the installed package `labkit_data`.

    Returns:
        An absolute path.

    Raises:
        FileNotFoundError: none of them is a data folder.
    """
    if named := os.environ.get(ENVIRONMENT_VARIABLE):
        folder = Path(named).expanduser().resolve()
        if (folder / CHECKSUMS).is_file():
            return folder
        raise FileNotFoundError(
            f"{ENVIRONMENT_VARIABLE} names {folder}, which holds no {CHECKSUMS}: "
            "unset it, or let it name the course's data folder."
        )
    for folder in _usual_places():
        if (folder / CHECKSUMS).is_file():
            return folder
    raise FileNotFoundError(
        "The course's data folder was not found: work in a clone or a student bundle of the course, "
        f"or set the environment variable {ENVIRONMENT_VARIABLE} to the folder that holds {CHECKSUMS}."
    )


def _usual_places() -> Iterator[Path]:
    package = Path(__file__).resolve().parent
    yield package.parents[1] / "data"  # a clone: labs/labkit/../../data
    yield package.parent / "data"  # a student bundle: labkit/../data
    if installed := importlib.util.find_spec("labkit_data"):
        yield from (Path(place).resolve() for place in installed.submodule_search_locations or ())


def verified(name: str) -> Path:
    """Return the path of a data file whose SHA-256 has been checked.

    The digest is computed once per process for each path, modification time and size.

    Args:
        name: path relative to the data folder, with forward slashes, such as "checkpoints/mlp-0.safetensors".

    Raises:
        FileNotFoundError: there is no data folder, or the file is missing from it.
        ValueError: SHA256SUMS does not list `name`.
        RuntimeError: the file is damaged: its SHA-256 is not the recorded one.
    """
    folder = data_folder()
    recorded = _recorded_checksums(folder)
    if name not in recorded:
        raise ValueError(f"{CHECKSUMS} lists no {name!r}: choose one of {', '.join(sorted(recorded))}.")
    path = folder / name
    restore = "restore it with `git restore data` in a clone, or unpack the student bundle again."
    if not path.is_file():
        raise FileNotFoundError(f"The data file {path} is missing: {restore}")
    if _digest_once(path) != recorded[name]:
        raise RuntimeError(
            f"The data file {path} is damaged (its SHA-256 is not the recorded one): {restore}"
        )
    return path


def _digest_once(path: Path) -> str:
    status = path.stat()
    key = (path, status.st_mtime_ns, status.st_size)
    if key not in _digests:
        _digests[key] = sha256(path)
    return _digests[key]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record_checksums(folder: Path, names: Iterable[str]) -> None:
    """Write the SHA-256 of some data files into SHA256SUMS, and keep the lines of the others.

    Args:
        folder: the data folder; SHA256SUMS is created where it is missing.
        names: paths relative to `folder`, with forward slashes.
    """
    checksums = _recorded_checksums(folder) if (folder / CHECKSUMS).is_file() else {}
    checksums |= {name: sha256(folder / name) for name in names}
    lines = (f"{digest}  {name}\n" for name, digest in sorted(checksums.items()))
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def _recorded_checksums(folder: Path) -> dict[str, str]:
    lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines if line.strip())}
