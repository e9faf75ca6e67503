"""The learner's side of a check: run the experiments, hand out observations as plain data.

A check is an experiment that calls the functions of `lab` on fresh random inputs and returns what it observed.
It holds no expected answer. This file and the checks of a lab are all that the learner's process ever sees of
the grader; so it imports nothing of the grader, and it never learns whether an answer was right.
"""

import base64
import json
import math
import random
import sys
import traceback
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

CHECKS: dict[str, list["Check"]] = {}  # question -> its checks, in the order in which they were declared
MIME = "application/vnd.pruning-course.observations+json"
DEPTH, NODES, BYTES, TEXT = 12, 5_000, 4_000_000, 2_000  # the largest observation that is sent


@dataclass(frozen=True)
class Tolerance:
    """How far an observed number may be from the reference's: |observed - expected| <= atol + rtol * |expected|.

    `side` is "both", "at_most" (smaller is fine: an error, a cost) or "at_least" (larger is fine: an accuracy).
    Booleans, integers, strings, shapes and dtypes are always compared exactly; only a single integer (a count)
    may be better than the reference's on the declared side.
    """

    rtol: float = 0.0
    atol: float = 0.0
    side: str = "both"


exact = Tolerance()


def close(rtol: float = 1e-5, atol: float = 1e-7) -> Tolerance:
    """Declare that numbers may differ by rounding: another order of summation is as right as ours."""
    return Tolerance(rtol, atol)


def at_most(rtol: float = 1e-5, atol: float = 1e-7) -> Tolerance:
    """Declare that a number must not exceed the reference's: smaller is as good or better."""
    return Tolerance(rtol, atol, "at_most")


def at_least(rtol: float = 1e-5, atol: float = 1e-7) -> Tolerance:
    """Declare that a number must reach the reference's: larger is as good or better."""
    return Tolerance(rtol, atol, "at_least")


@dataclass(frozen=True)
class Check:
    """One experiment of one question.

    Attributes:
        question: the graded function that it is about; the experiment sees no other.
        name: its own name, unique in the question.
        rule: the property that it tests, one sentence, shown to the learner who loses its points.
        experiment: `experiment(lab, rng) -> observations`; `rng` is a seeded torch.Generator on the CPU.
        tolerance: one for all numbers, or {key: Tolerance} for the keys of the dictionary that it returns.
        weight: its share of the question's points.
        measure: `measure(answer, rng) -> observations`, or None. It runs in the grader's process, on what the
            experiment handed out and with a generator of the same seed, and it is what it returns that is compared.
    """

    question: str
    name: str
    rule: str
    experiment: Callable
    tolerance: Tolerance | dict[str, Tolerance]
    weight: float
    measure: Callable | None = None


def check(question: str, *, tolerance: Tolerance | dict[str, Tolerance] = exact, weight: float = 1.0,
          measure: Callable | None = None):  # fmt: skip
    """Declare the decorated function to be a check of `question`; its docstring is the rule that it tests.

    Raises:
        ValueError: if the rule is missing, the name is taken, or a one-sided tolerance has no `measure`: a learner's
            process can claim any error to be zero, so an error is measured outside of it.
    """
    tolerances = tolerance.values() if isinstance(tolerance, dict) else [tolerance]
    if measure is None and any(item.side != "both" for item in tolerances):
        raise ValueError(
            f"a check of {question} is one-sided: give `measure`, which computes the number outside"
        )

    def register(experiment):
        rule = " ".join((experiment.__doc__ or "").split())
        if not rule:
            raise ValueError(f"the check {experiment.__name__} has no docstring: say which rule it tests")
        checks = CHECKS.setdefault(question, [])
        if any(other.name == experiment.__name__ for other in checks):
            raise ValueError(f"{question} has two checks named {experiment.__name__}")
        checks.append(Check(question, experiment.__name__, rule, experiment, tolerance, weight, measure))
        return experiment

    return register


def error_of(call: Callable[[], object]) -> str:
    """Return the name of the built-in error that `call()` raises, or "no error".

    A subclass counts as the built-in class above it: raising one's own kind of ValueError is right.
    """
    try:
        call()
    except (NotImplementedError, NotDefined):
        raise  # an exercise that is not written yet, or not there at all
    except Exception as error:
        return next(cls.__name__ for cls in type(error).__mro__ if cls.__module__ == "builtins")
    return "no error"


class NotDefined(Exception):
    """The notebook does not define a function that is graded."""


class Lab:
    """What an experiment sees of a lab: the one function that it is about."""

    def __init__(self, namespace: dict, question: str):
        self._namespace, self._question = namespace, question

    def __getattr__(self, name: str):
        if name != self._question:
            raise AttributeError(f"a check of {self._question} may not use {name}: one mistake costs once")
        if not callable(self._namespace.get(name)):
            raise NotDefined(f"{name} is not defined: its cell is missing, or it failed before its end")
        return self._namespace[name]


def run_check(item: Check, namespace: dict, seed: int) -> dict:
    """Run one experiment and encode its outcome: {"observed": node} or {"error": {type, message, line}}."""
    own_seed = seed_of(item, seed)
    torch.manual_seed(own_seed)  # for a function that draws from the global generators
    np.random.seed(own_seed)
    random.seed(own_seed)
    try:
        observed = item.experiment(Lab(namespace, item.question), torch.Generator().manual_seed(own_seed))
        return {"observed": encode(observed)}
    except KeyboardInterrupt:
        return {"error": {"type": "TimeLimit", "message": "stopped at the time limit", "line": ""}}
    except BaseException as error:
        return {"error": describe(error)}


def seed_of(item: Check, seed: int) -> int:
    """The seed of one check in a run, so that no check depends on another one."""
    return zlib.crc32(f"{seed}/{item.question}/{item.name}".encode())


def describe(error: BaseException) -> dict:
    """Say what was raised, and in which line of the learner's notebook: an experiment's own frames say nothing."""
    line = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if "ipykernel" in frame.filename or "ipython-input" in frame.filename:
            line = (frame.line or "").strip()
    try:
        message = str(error)
    except Exception:
        message = "an error without a message"
    return {"type": type(error).__name__, "message": message[:TEXT], "line": line[:TEXT]}


def run_question(checks: list[Check], namespace: dict, seed: int) -> dict[str, dict]:
    """Run the checks of a question: {check name: outcome}. After the time limit the rest is not run."""
    outcomes = {}
    for item in checks:
        outcomes[item.name] = run_check(item, namespace, seed)
        if outcomes[item.name].get("error", {}).get("type") == "TimeLimit":
            break
    return outcomes


# --- plain data: a tree of nodes {"kind": …}, the numbers of a tensor as bytes ---------------------------------


def encode(value: object) -> dict:
    """Encode observations as a tree of plain nodes; what is not plain data becomes a node that says so."""
    return _encode(value, 0, {"nodes": 0, "bytes": 0})


def _encode(value: object, depth: int, spent: dict) -> dict:
    spent["nodes"] += 1
    if depth > DEPTH or spent["nodes"] > NODES or spent["bytes"] > BYTES:
        return {"kind": "too_large"}
    if value is None:
        return {"kind": "none"}
    if isinstance(value, (bool, np.bool_)):
        return {"kind": "bool", "value": bool(value)}
    if isinstance(value, (int, np.integer)):
        number = int(value)
        return {"kind": "int", "value": str(number)} if number.bit_length() < 1024 else {"kind": "too_large"}
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return {"kind": "float", "value": number.hex() if math.isfinite(number) else repr(number)}
    if isinstance(value, str):
        return {"kind": "str", "value": str(value)[:TEXT]}
    if isinstance(value, torch.Tensor):
        return _encode_tensor(value, spent)
    if isinstance(value, np.ndarray):
        return _encode_array("array", value, str(value.dtype), spent)
    if isinstance(value, (list, tuple, dict)) and len(value) > NODES:
        return {"kind": "too_large"}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {"kind": kind, "items": [_encode(item, depth + 1, spent) for item in value]}
    if isinstance(value, dict):
        pairs = [
            [_encode(key, depth + 1, spent), _encode(item, depth + 1, spent)] for key, item in value.items()
        ]
        return {"kind": "dict", "pairs": pairs}
    return {"kind": "other", "type": type(value).__name__[:TEXT]}


def _encode_tensor(value: torch.Tensor, spent: dict) -> dict:
    dtype = str(value.dtype).removeprefix("torch.")
    if value.layout != torch.strided or value.is_meta:
        return {"kind": "other", "type": f"Tensor with layout {value.layout} on {value.device.type}"}
    plain = value.detach().cpu()
    if plain.is_floating_point() and plain.dtype != torch.float64:
        plain = plain.float()  # NumPy lacks bfloat16 and the 8-bit ones
    return _encode_array("tensor", plain.resolve_conj().resolve_neg().numpy(), dtype, spent)


def _encode_array(kind: str, array: np.ndarray, dtype: str, spent: dict) -> dict:
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        return {"kind": "other", "type": f"{kind} of dtype {dtype}"}
    spent["bytes"] += array.nbytes
    if spent["bytes"] > BYTES:
        return {"kind": "too_large"}
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
    return {"kind": kind, "dtype": dtype, "stored": array.dtype.str, "shape": list(array.shape), "data": data}


def load_checks(source: str, name: str) -> dict[str, list[Check]]:
    """Run the text of a lab's checks and return them: {question: [Check]}. Nothing is left in sys.modules."""
    own_names = {"autograder": sys.modules[__name__], "autograder.experiment": sys.modules[__name__]}
    hidden = {key: sys.modules.get(key) for key in own_names}
    CHECKS.clear()
    sys.modules.update(own_names)
    try:
        exec(compile(source, f"<checks of {name}>", "exec"), {"__name__": f"checks.{name}"})
    finally:
        for key, module in hidden.items():
            if module is None:
                del sys.modules[key]
            else:
                sys.modules[key] = module
    return dict(CHECKS)


def observe(checks_source: str, lab: str, question: str, namespace: dict, seed: int) -> str:
    """Run a question's checks on the functions of `namespace`; return the outcomes as JSON text."""
    checks = load_checks(checks_source, lab)
    return json.dumps(run_question(checks.get(question, []), namespace, seed))
