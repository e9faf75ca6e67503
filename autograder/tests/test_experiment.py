"""The learner's side of a check: what an experiment sees, how its outcome is encoded, how it is bounded."""

import contextlib
import importlib.util
import json
import linecache
import sys

import numpy as np
import pytest
import torch

from autograder import experiment
from autograder.experiment import (
    BYTES,
    DEPTH,
    NODES,
    TEXT,
    Check,
    Lab,
    NotDefined,
    check,
    encode,
    error_of,
    exact,
    load_checks,
    observe,
    run_check,
    run_question,
)

CHECKS = '''
import random

import numpy as np
import torch

from autograder.experiment import check, close


@check("add", tolerance=close(), weight=2)
def sums(lab, rng):
    """Two numbers
    are added."""
    one, other = torch.rand(2, generator=rng).tolist()
    return lab.add(one, other)


@check("add")
def globals_are_seeded(lab, rng):
    """Also a function that draws is repeatable."""
    return lab.add(float(torch.rand(()) + np.random.rand()), random.random())


@check("twice")
def doubled(lab, rng):
    """It is doubled."""
    return lab.twice(int(torch.randint(1000, (), generator=rng)))
'''


def made_up(experiment, question="add", name="made_up"):
    return Check(question, name, "A rule.", experiment, exact, 1.0)


def outcome_of(experiment, **namespace):
    return run_check(made_up(experiment), namespace, 0)


# --- declaring and loading checks ------------------------------------------------------------------------------


def test_loaded_checks_keep_their_order_rule_tolerance_and_weight():
    checks = load_checks(CHECKS, "lab")
    assert {question: [item.name for item in items] for question, items in checks.items()} == {
        "add": ["sums", "globals_are_seeded"],
        "twice": ["doubled"],
    }
    first, second = checks["add"]
    assert (first.rule, first.weight, first.tolerance.rtol) == ("Two numbers are added.", 2, 1e-5)
    assert (second.weight, second.tolerance) == (1.0, exact)


def test_loading_twice_gives_the_same_checks_once():
    names = [[item.name for item in load_checks(CHECKS, "lab")["add"]] for _ in range(2)]
    assert names == [["sums", "globals_are_seeded"]] * 2


def test_loading_forgets_the_checks_of_the_lab_before():
    first = load_checks(CHECKS, "lab")
    assert load_checks(CHECKS.replace('"twice"', '"thrice"'), "other").keys() == {"add", "thrice"}
    assert first.keys() == {"add", "twice"}


@pytest.mark.parametrize("text", [CHECKS, "raise KeyError", "import autograder.experiment\nno_such_name"])
def test_loading_leaves_the_loaded_modules_as_they_were(text):
    before = dict(sys.modules)
    assert hasattr(before["autograder"], "__path__")  # no other test has left a stand-in for the package
    with contextlib.suppress(KeyError, NameError):
        load_checks(text, "lab")
    assert {name: module for name, module in sys.modules.items() if name.startswith("autograder")} == {
        name: module for name, module in before.items() if name.startswith("autograder")
    }


def test_checks_load_where_the_grader_is_not_installed(monkeypatch):
    class NoGrader:
        @staticmethod
        def find_spec(name, *_):
            if name.partition(".")[0] == "autograder":
                raise ModuleNotFoundError(name)

    spec = importlib.util.spec_from_file_location("lone_file", experiment.__file__)
    lone_file = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "lone_file", lone_file)
    for name in [name for name in sys.modules if name.partition(".")[0] == "autograder"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NoGrader, *sys.meta_path])
    spec.loader.exec_module(lone_file)
    assert lone_file.load_checks(CHECKS, "lab").keys() == {"add", "twice"}
    assert not [name for name in sys.modules if name.startswith("autograder")]


@pytest.mark.parametrize("docstring", ["", '    """   """\n'])
def test_a_check_without_a_rule_is_refused(docstring):
    text = f'from autograder.experiment import check\n@check("add")\ndef bare(lab, rng):\n{docstring}    return 1'
    with pytest.raises(ValueError, match="bare has no docstring"):
        load_checks(text, "lab")


def test_two_checks_of_one_question_with_the_same_name_are_refused():
    second = '\n\n@check("add")\ndef sums(lab, rng):\n    """Again."""\n'
    with pytest.raises(ValueError, match="add has two checks named sums"):
        load_checks(CHECKS + second, "lab")
    load_checks(CHECKS + second.replace('"add"', '"twice"'), "lab")


def test_declaring_returns_the_experiment_itself():
    load_checks("", "lab")  # empties the list

    def experiment(lab, rng):
        """A rule."""

    assert check("q")(experiment) is experiment


# --- what an experiment sees -----------------------------------------------------------------------------------


def test_an_experiment_sees_the_function_of_its_own_question_only():
    lab = Lab({"add": max, "twice": min}, "add")
    assert lab.add is max
    with pytest.raises(AttributeError, match="a check of add may not use twice: one mistake costs once"):
        _ = lab.twice


@pytest.mark.parametrize("namespace", [{}, {"add": None}, {"add": 3}])
def test_a_function_that_the_notebook_lacks_is_not_defined(namespace):
    with pytest.raises(NotDefined, match="add is not defined: its cell is missing"):
        _ = Lab(namespace, "add").add
    error = outcome_of(lambda lab, rng: lab.add(1), **namespace)["error"]
    assert (error["type"], error["message"][:18]) == ("NotDefined", "add is not defined")


def test_the_same_seed_gives_the_same_observations_and_another_seed_others():
    def observed(seed):
        return observe(CHECKS, "lab", "add", {"add": lambda a, b: a + b}, seed)

    one, again, other = (json.loads(observed(seed)) for seed in (1, 1, 2))
    assert one == again
    assert one.keys() == {"sums", "globals_are_seeded"}
    assert all(one[name] != other[name] for name in one)


def test_a_check_draws_the_same_whichever_checks_run_before_it():
    checks = load_checks(CHECKS, "lab")["add"]
    namespace = {"add": lambda a, b: a - b}
    assert run_question(checks, namespace, 3) == dict(
        reversed(run_question(checks[::-1], namespace, 3).items())
    )


def test_two_checks_of_one_question_draw_different_inputs():
    def draw(lab, rng):
        return torch.rand((), generator=rng)

    outcomes = run_question([made_up(draw, name="one"), made_up(draw, name="other")], {}, 0)
    assert outcomes["one"] != outcomes["other"]


def test_observing_a_question_without_checks_gives_nothing():
    assert observe(CHECKS, "lab", "unknown", {}, 0) == "{}"


# --- errors ----------------------------------------------------------------------------------------------------


class OwnValueError(ValueError):
    pass


class OwnError(Exception):
    pass


def raises(error):
    def call():
        raise error

    return call


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: 1, "no error"),
        (raises(ValueError("x")), "ValueError"),
        (raises(OwnValueError), "ValueError"),
        (raises(OwnError), "Exception"),
        (raises(json.JSONDecodeError("x", "", 0)), "ValueError"),
        (lambda: torch.ones(2) @ torch.ones(3), "RuntimeError"),
        (lambda: {}[1], "KeyError"),
    ],
)
def test_error_of_names_the_built_in_error(call, name):
    assert error_of(call) == name


@pytest.mark.parametrize("error", [NotImplementedError, NotDefined, KeyboardInterrupt])
def test_error_of_lets_pass_what_is_no_answer(error):
    with pytest.raises(error):
        error_of(raises(error()))


@pytest.mark.parametrize(
    ("error", "name"),
    [(ZeroDivisionError("by zero"), "ZeroDivisionError"), (OwnError("by zero"), "OwnError"), (SystemExit("by zero"), "SystemExit")],
)  # fmt: skip
def test_an_error_is_reported_with_type_and_message(error, name):
    assert outcome_of(lambda lab, rng: raises(error)()) == {
        "error": {"type": name, "message": "by zero", "line": ""}
    }


def test_an_error_is_reported_with_the_last_line_of_the_notebook_that_raised_it():
    source = "def add(a, b):\n    return divide(a, b)\n\ndef divide(a, b):\n    return a / b  # here\n"
    namespace = {}
    filename = "/tmp/ipykernel_123/456.py"
    exec(compile(source, filename, "exec"), namespace)
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    try:
        error = outcome_of(lambda lab, rng: lab.add(1, 0), **namespace)["error"]
    finally:
        del linecache.cache[filename]
    assert error["line"] == "return a / b  # here"


def test_an_error_whose_message_cannot_be_made_or_never_ends_is_reported_all_the_same():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    assert outcome_of(lambda lab, rng: raises(Mute())())["error"]["message"] == "an error without a message"
    long = outcome_of(lambda lab, rng: raises(ValueError("x" * 10 * TEXT))())["error"]["message"]
    assert long == "x" * TEXT


def test_after_the_time_limit_no_further_check_is_run():
    ran = []
    checks = [
        made_up(lambda lab, rng: ran.append(1), name="first"),
        made_up(lambda lab, rng: raises(KeyboardInterrupt())(), name="second"),
        made_up(lambda lab, rng: ran.append(3), name="third"),
    ]
    outcomes = run_question(checks, {}, 0)
    assert outcomes.keys() == {"first", "second"}
    assert outcomes["second"]["error"]["type"] == "TimeLimit"
    assert ran == [1]


def test_an_observation_that_breaks_while_it_is_encoded_is_an_error_of_this_check():
    class Trap(dict):
        def items(self):
            raise ValueError("trapped")

    assert outcome_of(lambda lab, rng: Trap(a=1))["error"]["message"] == "trapped"


# --- encoding is bounded ---------------------------------------------------------------------------------------


def self_referencing():
    loop = []
    loop.append(loop)
    return loop


def deep():
    nested = 0
    for _ in range(100_000):
        nested = [nested]
    return nested


def doubling():
    nested = [0]
    for _ in range(60):
        nested = [nested, nested]
    return nested


def wide_and_deep():
    nested = [0] * NODES
    for _ in range(DEPTH):
        nested = [nested] * NODES
    return nested


@pytest.mark.parametrize(
    "make",
    [
        self_referencing,
        deep,
        doubling,
        wide_and_deep,
        lambda: [0] * 5_000_000,
        lambda: dict.fromkeys(range(1_000_000)),
        lambda: torch.zeros(BYTES),
        lambda: [torch.zeros(BYTES // 40)] * 11,
        lambda: np.zeros(BYTES + 1, dtype=bool),
        lambda: "x" * 50_000_000,
        lambda: 10**100_000,
        lambda: torch.zeros(1).expand(10**12),
    ],
    ids=["self", "deep", "doubling", "wide", "list", "dict", "tensor", "tensors", "array", "text", "int", "expanded"],
)  # fmt: skip
def test_what_is_sent_is_bounded_whatever_comes_back(make):
    text = json.dumps(encode(make()))
    assert len(text) < 2 * BYTES
    assert "too_large" in text or len(text) < 2 * TEXT


def test_what_is_just_small_enough_is_sent_whole():
    nested = 0
    for _ in range(DEPTH):
        nested = [nested]
    assert "too_large" not in json.dumps(encode(nested))
    assert "too_large" in json.dumps(encode([nested]))
    assert "too_large" not in json.dumps(encode([0] * (NODES - 1)))
    assert "too_large" not in json.dumps(encode(np.zeros(BYTES, dtype=bool)))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "object"),
        ({1, 2}, "set"),
        (1j, "complex"),
        (b"bytes", "bytes"),
        (len, "builtin_function_or_method"),
        ((n for n in "ab"), "generator"),
        (torch.float32, "dtype"),
        (torch.zeros(2, 2).to_sparse(), "Tensor with layout torch.sparse_coo on cpu"),
        (torch.zeros(2, device="meta"), "Tensor with layout torch.strided on meta"),
        (torch.zeros(2, dtype=torch.complex64), "tensor of dtype complex64"),
        (np.array(["a"]), "array of dtype <U1"),
        (np.array([None]), "array of dtype object"),
    ],
)
def test_what_is_not_plain_data_is_sent_as_its_name(value, name):
    assert encode(value) == {"kind": "other", "type": name}
