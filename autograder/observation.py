"""The trusted side of an observation: parse it defensively, compare two of them, say where they differ."""

import base64
import binascii
import json
import math
from dataclasses import dataclass

import numpy as np
import torch

from autograder.experiment import BYTES, DEPTH, NODES, TEXT, Tolerance, exact

STORED_DTYPES = {"|b1", "|i1", "|u1"} | {
    f"{order}{kind}" for order in "<>" for kind in ("f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8")
}
NAMES = {  # how a kind is called in a sentence
    "none": "None", "bool": "a bool", "int": "an int", "float": "a float", "str": "a str", "list": "a list",
    "tuple": "a tuple", "dict": "a dict", "tensor": "a torch.Tensor", "array": "a NumPy array",
}  # fmt: skip


class Malformed(ValueError):
    """What came out of the learner's process is not an observation."""

    def __init__(self, problem: str):
        super().__init__(problem.encode("utf-8", "replace").decode())  # it may quote half a surrogate pair


@dataclass(frozen=True)
class Node:
    """One parsed observation: `value` is a scalar, an array, a list of Nodes, or a list of pairs of Nodes."""

    kind: str
    value: object = None
    dtype: str = ""


@dataclass(frozen=True)
class Difference:
    """Where an observation leaves the expected one.

    Attributes:
        path: where in the observation, such as "sparsity 0.5"; "" at its root.
        problem: one sentence that says what kind of difference it is.
        returned, expected: the two values there, short enough to read.
    """

    path: str
    problem: str
    returned: str
    expected: str


def parse_outcomes(text: object) -> dict[str, dict]:
    """Parse the JSON text that `experiment.observe` returned: {check name: {"observed": Node} | {"error": …}}.

    Raises:
        Malformed: if the text is anything else; nothing in it is trusted.
    """
    if not isinstance(text, str) or len(text) > 4 * BYTES:
        raise Malformed("the observations are missing or too large")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the observations are not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise Malformed("the observations are not a dictionary")
    outcomes = {}
    for name, outcome in raw.items():
        if not isinstance(outcome, dict):
            raise Malformed(f"the outcome of {name[:TEXT]} is not a dictionary")
        if "error" in outcome:
            fields = outcome["error"] if isinstance(outcome["error"], dict) else {}
            outcomes[name] = {
                "error": {key: _text(fields.get(key, "")) for key in ("type", "message", "line")}
            }
        else:
            outcomes[name] = {"observed": parse(outcome.get("observed"))}
    return outcomes


def parse(raw: object, depth: int = 0, budget: list[int] | None = None) -> Node:
    """Turn an encoded observation into Nodes. Raises Malformed for anything that `experiment.encode` never makes."""
    budget = [NODES + 10] if budget is None else budget
    budget[0] -= 1
    if depth > DEPTH + 1 or budget[0] < 0:
        raise Malformed("an observation is nested too deeply or has too many parts")
    if not isinstance(raw, dict) or not isinstance(raw.get("kind"), str):
        raise Malformed("a part of an observation is not a node")
    kind = raw["kind"]
    try:
        if kind in ("none", "too_large"):
            return Node(kind)
        if kind == "bool" and isinstance(raw["value"], bool):
            return Node(kind, raw["value"])
        if kind == "int":
            number = int(raw["value"][:400])
            if number.bit_length() < 1024:  # what fits a float
                return Node(kind, number)
        if kind == "float":
            text = raw["value"][:40]
            return Node(kind, float.fromhex(text) if "0x" in text else float(text))
        if kind == "str":
            return Node(kind, _text(raw["value"]))
        if kind == "other":
            return Node(kind, _text(raw["type"]))
        if kind in ("list", "tuple"):
            return Node(kind, [parse(item, depth + 1, budget) for item in raw["items"]])
        if kind == "dict":
            pairs = [
                (parse(key, depth + 1, budget), parse(item, depth + 1, budget)) for key, item in raw["pairs"]
            ]
            return Node(kind, pairs)
        if kind in ("tensor", "array"):
            return Node(kind, _parse_array(raw), _text(raw["dtype"])[:40])
    except Malformed:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, binascii.Error) as error:
        raise Malformed(f"a part of an observation ({kind[:40]}) is damaged: {error}") from None
    raise Malformed(f"a part of an observation has an unknown kind: {kind[:40]}")


def _text(value: object) -> str:
    """Text of bounded length that any file can hold: half a surrogate pair cannot be written as UTF-8."""
    return value[:TEXT].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _parse_array(raw: dict) -> np.ndarray:
    if raw["stored"] not in STORED_DTYPES:
        raise ValueError(f"dtype {str(raw['stored'])[:20]}")
    shape = [int(size) for size in raw["shape"]]
    if len(shape) > 16 or any(size < 0 for size in shape):
        raise ValueError("shape")
    data = base64.b64decode(raw["data"], validate=True)
    return np.frombuffer(data, dtype=np.dtype(raw["stored"])).reshape(shape)


def plain(node: Node) -> object:
    """What was observed, as the Python objects that it was: tensors with their dtype, arrays, numbers, text."""
    if node.kind in ("list", "tuple"):
        items = [plain(item) for item in node.value]
        return items if node.kind == "list" else tuple(items)
    if node.kind == "dict":
        return {plain(key): plain(item) for key, item in node.value}
    if node.kind == "tensor":
        return torch.from_numpy(node.value.copy()).to(getattr(torch, node.dtype))
    if node.kind == "array":
        return node.value.copy()
    if node.kind in ("other", "too_large"):
        raise TypeError(f"it is {show(node)}, which is not plain data")
    return node.value


# --- comparing -------------------------------------------------------------------------------------------------


def compare(
    observed: Node, expected: Node, tolerance: Tolerance | dict[str, Tolerance], path: str = ""
) -> Difference | None:
    """Return the first difference between two observations, or None where they agree within the tolerance."""

    def differ(problem: str) -> Difference:
        return Difference(path, problem, show(observed), show(expected))

    if observed.kind == "too_large":
        return differ("what came back is too large to be an answer")
    if observed.kind == "other":
        return differ(f"what came back holds {_article(observed.value)}, which is not plain data")
    if not _same_kind(observed.kind, expected.kind):
        return differ(
            f"it is {NAMES[observed.kind]}, but {NAMES.get(expected.kind, expected.kind)} is expected"
        )
    if expected.kind in ("tensor", "array"):
        return _compare_arrays(observed, expected, tolerance, differ)
    if expected.kind in ("list", "tuple"):
        if len(observed.value) != len(expected.value):
            return differ(f"it has {len(observed.value)} entries, but {len(expected.value)} are expected")
        places = [(f"entry {index}", *pair) for index, pair in enumerate(zip(observed.value, expected.value))]
        return _first(places, tolerance, path)
    if expected.kind == "dict":
        return _compare_dicts(observed, expected, tolerance, path, differ)
    if expected.kind in ("int", "float"):
        return _compare_numbers(observed, expected, tolerance, differ)
    return None if observed.value == expected.value else differ("it is not the expected value")


def _first(places: list, tolerance: Tolerance | dict, path: str) -> Difference | None:
    for label, observed, expected in places:
        found = compare(observed, expected, tolerance, f"{path} › {label}" if path else label)
        if found:
            return found
    return None


def _same_kind(observed: str, expected: str) -> bool:
    if {observed, expected} <= {"list", "tuple"}:
        return True
    return observed == expected or (observed, expected) == ("int", "float")


def _compare_dicts(observed: Node, expected: Node, tolerance, path: str, differ) -> Difference | None:
    mine = {_key(key): value for key, value in observed.value}
    theirs = {_key(key): value for key, value in expected.value}
    missing, extra = theirs.keys() - mine.keys(), mine.keys() - theirs.keys()
    if missing or extra:
        parts = [f"lacks {', '.join(sorted(missing))}"] if missing else []
        parts += [f"has {', '.join(sorted(extra))} too many"] if extra else []
        return differ(f"the dictionary {' and '.join(parts)}")
    for key, value in theirs.items():
        own = tolerance.get(key, exact) if isinstance(tolerance, dict) else tolerance
        found = compare(mine[key], value, own, f"{path} › {key}" if path else key)
        if found:
            return found
    return None


def _key(node: Node) -> str:
    return f"{node.value}" if node.kind in ("str", "int", "float", "bool", "none") else f"({show(node)})"


def _compare_numbers(observed: Node, expected: Node, tolerance: Tolerance, differ) -> Difference | None:
    mine, theirs = observed.value, expected.value
    if math.isnan(mine) and not math.isnan(theirs):
        return differ("it is NaN (not a number), but a number is expected")
    if expected.kind == "int":  # exactly, however large
        better = {"at_most": mine < theirs, "at_least": mine > theirs}.get(tolerance.side, False)
        within = mine == theirs or better
    else:
        within = _within(np.float64(mine), np.float64(theirs), tolerance)
    return None if within else differ("the number differs")


def _compare_arrays(observed: Node, expected: Node, tolerance: Tolerance, differ) -> Difference | None:
    mine, theirs = observed.value, expected.value
    if mine.shape != theirs.shape:
        return differ(f"its shape is {list(mine.shape)}, but {list(theirs.shape)} is expected")
    if observed.dtype != expected.dtype:
        return differ(f"its dtype is {observed.dtype}, but {expected.dtype} is expected")
    if theirs.dtype.kind != "f":
        wrong = mine != theirs
    else:
        if np.isnan(mine).any() and not np.isnan(theirs).any():
            return differ(f"{int(np.isnan(mine).sum())} of its entries are NaN (not a number)")
        wrong = ~_within(mine.astype(np.float64), theirs.astype(np.float64), tolerance)
    if not wrong.any():
        return None
    if wrong.size == 1:
        return differ("its entry differs")
    first = ", ".join(str(index) for index in np.argwhere(wrong)[0])
    return differ(f"{int(wrong.sum())} of its {wrong.size} entries differ, the first one at [{first}]")


def _within(mine: np.ndarray, theirs: np.ndarray, tolerance: Tolerance) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        slack = tolerance.atol + tolerance.rtol * np.where(np.isfinite(theirs), np.abs(theirs), 0)
        same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
        gap = mine - theirs
        if tolerance.side == "at_most":
            return same | (gap <= slack)
        if tolerance.side == "at_least":
            return same | (-gap <= slack)
        return same | (np.abs(gap) <= slack)


# --- showing ---------------------------------------------------------------------------------------------------


def show(node: Node, limit: int = 200) -> str:
    """Write an observation so that a person can read it, at most `limit` characters."""
    text = _show(node)
    return text if len(text) <= limit else text[: limit - 2] + " …"


def _show(node: Node) -> str:
    if node.kind in ("tensor", "array"):
        letters = {"bool": lambda entry: "T" if entry else "F"}
        text = np.array2string(
            node.value, threshold=60, edgeitems=4, precision=4, separator=" ", formatter=letters
        )
        return f"{node.dtype}{list(node.value.shape)} {' '.join(text.split())}"
    if node.kind in ("list", "tuple"):
        open_, close_ = "[]" if node.kind == "list" else "()"
        return (
            open_
            + ", ".join(_show(item) for item in node.value[:8])
            + (", …" if len(node.value) > 8 else "")
            + close_
        )
    if node.kind == "dict":
        return "{" + ", ".join(f"{_key(key)}: {_show(item)}" for key, item in node.value[:8]) + "}"
    if node.kind == "float":
        return f"{node.value:.6g}"
    if node.kind == "str":
        return node.value
    if node.kind == "other":
        return _article(node.value)
    return {"none": "None", "too_large": "something very large"}.get(node.kind, str(node.value))


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
