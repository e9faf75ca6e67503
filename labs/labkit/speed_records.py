"""Read the speed records of lab 14, data/gpu_speedup/*.json, and refuse one that is not what it should be.

A record is written by `python -m labkit.gpu_speedup`. Three numbers in a list are the first quartile, the median and
the third quartile.
"""

import json
import math
from pathlib import Path

SCHEMA = 1
TOP = {"schema", "made", "commit", "command", "machine", "protocol", "ceilings", "measurements"}
MACHINE = {"device", "chip", "driver", "torch", "cuda", "cusparselt", "python", "system", "threads", "tf32"}
CASE = {"format", "dtype", "rows", "cols", "batch", "sparsity"}
MEASURED = {
    "kept",
    "stored_bytes",
    "relative_error",
    "seconds",
    "dense_seconds",
    "speedup",
    "convert_seconds",
}


def read_records(folder: Path) -> dict[str, dict]:
    """Read every record of a folder.

    Returns:
        File name without its ending to the record, sorted by name; {} where there is no folder or no record in it.

    Raises:
        ValueError: a file is no record; the sentence names the file and what is wrong.
    """
    records = {}
    for path in sorted(folder.glob("*.json")):
        try:
            records[path.stem] = json.loads(path.read_text(encoding="utf-8"))
            check_record(records[path.stem])
        except ValueError as error:  # malformed JSON is one too
            raise ValueError(f"{path.name} is no speed record: {error}") from None
    return records


def speedups_of(record: dict, *, dtype: str, batch: int) -> dict[str, tuple[list[float], ...]]:
    """The speed-ups of a record for one dtype and one batch, of its first weight shape.

    Returns:
        Format to (sparsities, first quartiles, medians, third quartiles), the sparsities rising; a format that was not
        measured there is left out.
    """
    entries = [e for e in record["measurements"] if (e["dtype"], e["batch"]) == (dtype, batch)]
    shapes = [(e["rows"], e["cols"]) for e in entries]
    curves = {}
    for entry, shape in sorted(zip(entries, shapes), key=lambda pair: pair[0]["sparsity"]):
        if shape == shapes[0] and not _is_reason(entry):
            curves.setdefault(entry["format"], []).append((entry["sparsity"], *entry["speedup"]))
    return {layout: tuple(map(list, zip(*points, strict=True))) for layout, points in curves.items()}


def check_record(record: object) -> None:
    """Check that a record has all its parts, and that its numbers can be times.

    Raises:
        ValueError: it does not; the sentence says what is wrong.
    """
    _has(record, TOP, "the record")
    if record["schema"] != SCHEMA:
        raise ValueError(f"its schema is {record['schema']!r}, and this version reads {SCHEMA}")
    _has(record["machine"], MACHINE, "its machine")
    _has(record["ceilings"], {"copy", "product"}, "its ceilings")
    _has(record["ceilings"]["product"], set(), "its dense products")
    rates = {
        "bytes_per_second": [record["ceilings"]["copy"]],
        "macs_per_second": record["ceilings"]["product"].values(),
    }
    for rate, ceilings in rates.items():
        for ceiling in ceilings:
            _has(ceiling, set(), "a ceiling")
            if not _is_reason(ceiling):
                _has(ceiling, {"seconds", rate}, "a ceiling")
                _require_times(ceiling["seconds"], "a ceiling")
    if not isinstance(record["measurements"], list):
        raise ValueError("its measurements are no list")
    for number, entry in enumerate(record["measurements"]):
        name = f"measurement {number}"
        _has(entry, CASE, name)
        if not _is_reason(entry):
            _has(entry, MEASURED, name)
            for key in ("seconds", "dense_seconds", "speedup", "convert_seconds"):
                _require_times(entry[key], f"{key} of {name}")


def _has(part: object, keys: set[str], name: str) -> None:
    if not isinstance(part, dict):
        raise ValueError(f"{name} is no JSON object")
    if missing := keys - part.keys():
        raise ValueError(f"{name} lacks {', '.join(sorted(missing))}")


def _is_reason(part: dict) -> bool:
    return isinstance(part.get("not_measured"), str) and part["not_measured"] != ""


def _require_times(values: object, name: str) -> None:
    numbers = values if isinstance(values, list) else []
    if len(numbers) != 3 or not all(
        isinstance(value, (int, float)) and math.isfinite(value) for value in numbers
    ):
        raise ValueError(f"{name} must be three numbers, but it is {values!r}")
    if not 0 <= numbers[0] <= numbers[1] <= numbers[2]:
        raise ValueError(f"{name} must be quartiles in rising order, but it is {values!r}")
