"""The trusted side of an observation: what arrives is what was sent, what differs is said, what is damaged is refused."""

import base64
import copy
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autograder.experiment import DEPTH, TEXT, at_least, at_most, close, encode, exact
from autograder.observation import Malformed, Node, compare, parse, parse_outcomes, show

DTYPES = [
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool, torch.uint8, torch.int8, torch.int16,
    torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn,
]  # fmt: skip
quick = settings(deadline=None, max_examples=100)


def arrived(value):
    """What the trusted side holds after the value has travelled as JSON text."""
    return parse(json.loads(json.dumps(encode(value))))


def difference(observed, expected, tolerance=exact):
    return compare(arrived(observed), arrived(expected), tolerance)


def problem(observed, expected, tolerance=exact):
    found = difference(observed, expected, tolerance)
    return found and found.problem


def plain(node):
    """The value that a node stands for, as Python and NumPy hold it."""
    if node.kind in ("list", "tuple"):
        return {"list": list, "tuple": tuple}[node.kind](plain(item) for item in node.value)
    if node.kind == "dict":
        return {plain(key): plain(value) for key, value in node.value}
    return node.value


def same(one, other):
    """Equality that takes NaN for NaN and tells 1, 1.0 and True apart."""
    if isinstance(one, dict):
        return isinstance(other, dict) and same(list(one.items()), list(other.items()))
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))


# --- the way there ---------------------------------------------------------------------------------------------

text_values = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**1000), 2**1000) | st.floats(allow_nan=True) | text_values
)
plain_data = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(text_values | st.integers(), inner, max_size=4)
    ),
    max_leaves=20,
)


@quick
@given(plain_data)
def test_plain_data_arrives_as_it_was_sent(value):
    assert same(plain(arrived(value)), value)


@quick
@given(
    hnp.arrays(
        hnp.boolean_dtypes() | hnp.integer_dtypes(endianness="?") | hnp.unsigned_integer_dtypes(endianness="?")
        | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    st.booleans(),
)  # fmt: skip
def test_arrays_arrive_with_dtype_shape_and_bytes(array, transpose):
    array = array.T if transpose else array
    node = arrived(array)
    assert (node.kind, node.dtype, node.value.shape) == ("array", str(array.dtype), array.shape)
    assert node.value.tobytes() == array.tobytes()


@quick
@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 4), max_size=4),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_tensors_arrive_with_dtype_shape_and_values(dtype, shape, transpose, random):
    entries = [random.choice([0, 1, 2, 3, 100]) for _ in range(math.prod(shape))]
    tensor = torch.tensor(entries, dtype=torch.float64).reshape(shape).to(dtype)
    tensor = tensor.permute(list(reversed(range(tensor.dim())))) if transpose else tensor
    node = arrived(tensor)
    assert (node.kind, node.dtype) == ("tensor", str(tensor.dtype).removeprefix("torch."))
    assert node.value.shape == tuple(tensor.shape)
    assert node.value.tolist() == tensor.tolist()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_special_floats_arrive_in_every_dtype(dtype):
    finfo = torch.finfo(dtype)
    values = [
        math.nan,
        math.inf,
        -math.inf,
        0.0,
        -0.0,
        finfo.max,
        finfo.tiny,
        finfo.smallest_normal,
        1 + finfo.eps,
    ]
    tensor = torch.tensor(values, dtype=dtype)
    assert [repr(value) for value in arrived(tensor).value.tolist()] == [repr(v) for v in tensor.tolist()]


def test_a_tensor_arrives_without_its_history_and_its_views():
    leaf = torch.arange(24.0).reshape(4, 6).requires_grad_()
    for view in (
        leaf,
        leaf * 2,
        leaf[::2, 1:5:3],
        leaf.t(),
        leaf[:, :1].expand(4, 3),
        torch.nn.Parameter(leaf.detach()),
    ):
        assert arrived(view).value.tolist() == view.tolist()


def test_subclasses_arrive_as_what_they_are():
    class Text(str):
        pass

    class Number(float):
        pass

    class Names(dict):
        pass

    class Special(torch.Tensor):
        pass

    value = Names(
        {
            Text("a"): Number(1.5),
            "b": torch.ones(2).as_subclass(Special),
            "c": np.float32(0.5),
            "d": np.int8(3),
            "e": np.True_,
        }
    )
    assert difference(value, {"a": 1.5, "b": torch.ones(2), "c": 0.5, "d": 3, "e": True}) is None


def test_numbers_wider_than_64_bits_are_not_plain_data_but_no_damage_either():
    array = np.zeros(2, dtype=np.longdouble)
    assert arrived(array).kind == ("other" if array.itemsize > 8 else "array")


def test_text_that_no_file_can_hold_is_made_harmless():
    broken = "half a pair: \ud800"
    outcomes = parse_outcomes(
        json.dumps({"a": {"error": {"type": broken}}, "b": {"observed": encode(broken)}})
    )
    assert outcomes["a"]["error"]["type"] == outcomes["b"]["observed"].value == "half a pair: ?"
    with pytest.raises(Malformed, match="half a pair: \\?"):
        parse_outcomes(json.dumps({broken: 1}))


# --- comparing: agreement --------------------------------------------------------------------------------------


@quick
@given(plain_data)
def test_everything_agrees_with_itself(value):
    assert difference(value, value) is None


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (2, 2.0),
        ([1, 2], (1, 2)),
        ((1, 2), [1, 2]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (math.nan, math.nan),
        (math.inf, math.inf),
        (-0.0, 0.0),
        (torch.tensor([math.nan, 1.0]), torch.tensor([math.nan, 1.0])),
        (torch.zeros(0, 3), torch.zeros(0, 3)),
        (np.arange(3)[::-1], np.array([2, 1, 0])),
    ],
    ids=str,
)
def test_what_means_the_same_agrees(observed, expected):
    assert difference(observed, expected) is None


# --- comparing: each difference has its own sentence -----------------------------------------------------------


@pytest.mark.parametrize(
    ("observed", "expected", "says"),
    [
        (object(), 1, "what came back holds an object, which is not plain data"),
        ({1}, 1, "what came back holds a set, which is not plain data"),
        (torch.zeros(2, dtype=torch.complex64), torch.zeros(2), "what came back holds a tensor of dtype complex64, which"),
        ([0] * 10_000, [0], "what came back is too large to be an answer"),
        (math.nan, 1.0, "it is NaN (not a number), but a number is expected"),
        (torch.tensor([1.0, math.nan, math.nan]), torch.ones(3), "2 of its entries are NaN (not a number)"),
        (torch.ones(2, 3), torch.ones(3, 2), "its shape is [2, 3], but [3, 2] is expected"),
        (torch.ones(1), torch.tensor(1.0), "its shape is [1], but [] is expected"),
        (torch.ones(2), torch.ones(2).double(), "its dtype is float32, but float64 is expected"),
        (torch.ones(2), torch.ones(2).bool(), "its dtype is float32, but bool is expected"),
        (torch.ones(2).half(), torch.ones(2), "its dtype is float16, but float32 is expected"),
        (np.ones(2), torch.ones(2).double(), "it is a NumPy array, but a torch.Tensor is expected"),
        (torch.tensor(1.0), 1.0, "it is a torch.Tensor, but a float is expected"),
        (np.array(1.0), 1.0, "it is a NumPy array, but a float is expected"),
        (True, 1, "it is a bool, but an int is expected"),
        (1, True, "it is an int, but a bool is expected"),
        (True, 1.0, "it is a bool, but a float is expected"),
        (1.0, 1, "it is a float, but an int is expected"),
        (None, 1.0, "it is None, but a float is expected"),
        (None, {"a": 1}, "it is None, but a dict is expected"),
        (1.0, None, "it is a float, but None is expected"),
        ([1], torch.ones(1), "it is a list, but a torch.Tensor is expected"),
        ("1", 1, "it is a str, but an int is expected"),
        ({"a": 1}, {"a": 1, "b": 2, "c": 3}, "the dictionary lacks b, c"),
        ({"a": 1, "b": 2, "c": 3}, {"a": 1}, "the dictionary has b, c too many"),
        ({"a": 1, "d": 4}, {"a": 1, "b": 2}, "the dictionary lacks b and has d too many"),
        ([1, 2], [1, 2, 3], "it has 2 entries, but 3 are expected"),
        ([], (1,), "it has 0 entries, but 1 are expected"),
        (1, 2, "the number differs"),
        (2**60, 2**60 + 1, "the number differs"),
        (1.0, 1.0 + 2**-52, "the number differs"),
        (math.inf, 1.0, "the number differs"),
        (1.0, math.inf, "the number differs"),
        (1.0, math.nan, "the number differs"),
        ("a", "b", "it is not the expected value"),
        (True, False, "it is not the expected value"),
        (torch.tensor([True, False]), torch.tensor([True, True]), "1 of its 2 entries differ, the first one at [1]"),
        (torch.tensor([[1, 2], [3, 5]]), torch.tensor([[1, 0], [3, 4]]), "2 of its 4 entries differ, the first one at [0, 1]"),
        (torch.tensor(1.0), torch.tensor(2.0), "its entry differs"),
        (torch.ones(2), torch.tensor([math.nan, 1.0]), "1 of its 2 entries differ"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_each_kind_of_difference_has_its_own_sentence(observed, expected, says):
    assert problem(observed, expected).startswith(says)


def test_a_difference_says_where_it_is_and_shows_both_sides():
    found = difference({"a": 1, "b": [1, {"c": (2, 3)}]}, {"a": 1, "b": [1, {"c": (2, 4)}]})
    assert (found.path, found.returned, found.expected) == ("b › entry 1 › c › entry 1", "3", "4")
    assert difference(1, 2).path == ""


def test_the_first_difference_in_the_references_order_is_told():
    assert difference({"b": 0, "a": 0}, {"a": 1, "b": 1}).path == "a"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (torch.tensor([True, False]), "bool[2] [T F]"),
        (torch.tensor([[1.5, 2]]), "float32[1, 2] [[1.5 2. ]]"),
        (torch.tensor(3), "int64[] 3"),
        ([1, None, "a"], "[1, None, a]"),
        ((1.25, True), "(1.25, True)"),
        ({"a": math.nan}, "{a: nan}"),
        ({1, 2}, "a set"),
        ([0] * 10, "[0, 0, 0, 0, 0, 0, 0, 0, …]"),
    ],
    ids=str,
)
def test_a_value_is_shown_so_that_a_person_can_read_it(value, shown):
    assert show(arrived(value)) == shown


@quick
@given(plain_data | hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=20)))
def test_what_is_shown_is_short(value):
    assert len(show(arrived(value))) <= 200
    assert "\n" not in show(arrived(np.zeros((30, 30))))


# --- comparing: tolerances -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [float, torch.tensor, np.array, lambda value: {"k": [value]}],
    ids=["float", "tensor", "array", "nested"],
)
@pytest.mark.parametrize(
    ("tolerance", "accepted", "refused"),
    [
        (exact, [100.0], [100.00001, 99.99999, 0.0, math.inf, -math.inf]),
        (close(0.01, 0.5), [100.0, 101.5, 98.5], [101.6, 98.4, math.inf, -math.inf]),
        (at_most(0.01, 0.5), [100.0, 101.5, 98.4, 0.0, -1e300, -math.inf], [101.6, 1e300, math.inf]),
        (at_least(0.01, 0.5), [100.0, 98.5, 101.6, 1e300, math.inf], [98.4, 0.0, -1e300, -math.inf]),
    ],
    ids=["exact", "close", "at_most", "at_least"],
)  # fmt: skip
def test_a_number_may_leave_the_expected_100_on_the_declared_side(tolerance, accepted, refused, wrap):
    for value in accepted:
        assert difference(wrap(value), wrap(100.0), tolerance) is None
    for value in [*refused, math.nan]:
        assert difference(wrap(value), wrap(100.0), tolerance) is not None


@pytest.mark.parametrize(
    ("observed", "expected", "tolerance", "agrees"),
    [
        (5.0, math.inf, close(), False),
        (math.inf, -math.inf, close(), False),
        (5.0, math.inf, at_most(), True),
        (5.0, math.inf, at_least(), False),
        (5.0, -math.inf, at_most(), False),
        (5.0, -math.inf, at_least(), True),
        (1e308, -1e308, close(), False),
    ],
)
@pytest.mark.parametrize("wrap", [float, lambda value: torch.tensor([value], dtype=torch.float64)])
def test_infinity_is_no_number_that_anything_is_close_to(observed, expected, tolerance, agrees, wrap):
    assert (difference(wrap(observed), wrap(expected), tolerance) is None) == agrees


def test_the_tolerance_is_relative_to_the_expected_number():
    assert difference(-101.0, -100.0, close(0.01, 0)) is None
    assert difference(-100.0, -101.01, close(0.01, 0)) is None
    assert difference(0.0, 1e-9, close(0.01, 0)) is not None


@pytest.mark.parametrize("tolerance", [close(0.5, 5), at_most(0.5, 5), at_least(0.5, 5)])
@pytest.mark.parametrize(
    "wrap", [lambda n: torch.tensor([n]), lambda n: torch.tensor([n > 10]), lambda n: str(n)]
)
def test_whole_tensors_booleans_and_text_are_compared_exactly_whatever_the_tolerance(tolerance, wrap):
    assert difference(wrap(10), wrap(10), tolerance) is None
    assert difference(wrap(10), wrap(11), tolerance) is not None
    assert difference(wrap(11), wrap(10), tolerance) is not None


def test_an_integer_has_no_slack_but_may_be_better_on_the_declared_side():
    assert [difference(n, 10, close(0.5, 5)) is None for n in (9, 10, 11)] == [False, True, False]
    assert [difference(n, 10, at_most(0.5, 5)) is None for n in (9, 10, 11)] == [True, True, False]
    assert [difference(n, 10, at_least(0.5, 5)) is None for n in (9, 10, 11)] == [False, True, True]


def test_each_key_may_have_a_tolerance_of_its_own_and_is_exact_without_one():
    tolerance = {"error": at_most(), "number": close(0.1)}
    expected = {"error": 1.0, "number": [2.0, 3.0], "mask": 1.0}
    assert difference({"error": 0.5, "number": [2.1, 2.9], "mask": 1.0}, expected, tolerance) is None
    assert difference({"error": 1.5, "number": [2.0, 3.0], "mask": 1.0}, expected, tolerance).path == "error"
    assert (
        difference({"error": 0.5, "number": [2.0, 3.9], "mask": 1.0}, expected, tolerance).path
        == "number › entry 1"
    )
    assert difference({"error": 0.5, "number": [2.0, 3.0], "mask": 0.9}, expected, tolerance).path == "mask"


# --- nothing that arrives is trusted ---------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from(["list", "inf", "0x1p9", "<f4", "AAAA"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    | st.fixed_dictionaries(
        {"kind": st.sampled_from(["none", "bool", "int", "float", "str", "other", "too_large", "list", "tuple", "dict", "tensor", "array", "x"])},
        optional=dict.fromkeys(("value", "type", "items", "pairs", "dtype", "stored", "shape", "data"), inner),
    ),
    max_leaves=15,
)  # fmt: skip
VALID = encode(
    {"a": [1, 2.5, None, True, "text"], "b": (torch.eye(3), np.arange(4)), "c": {1: math.nan}, "d": object()}
)


def parsed_or_malformed(text):
    """Parse; whatever arrives, the only error is Malformed, and what was parsed can be compared and shown."""
    try:
        outcomes = parse_outcomes(text)
    except Malformed as error:
        assert len(str(error)) < 2 * TEXT
        return None
    reference = arrived({"a": [1, 2.5], "b": torch.eye(3)})
    for outcome in outcomes.values():
        if "observed" in outcome:
            compare(outcome["observed"], reference, close())
            compare(outcome["observed"], outcome["observed"], close())
            show(outcome["observed"]).encode()
        else:
            assert all(isinstance(part, str) for part in outcome["error"].values())
    return outcomes


@settings(deadline=None, max_examples=300)
@given(
    json_values
    | st.dictionaries(
        st.text(max_size=5),
        st.fixed_dictionaries({}, optional={"observed": json_values, "error": json_values}),
        max_size=3,
    )
)
def test_any_json_is_parsed_or_refused(value):
    parsed_or_malformed(json.dumps(value))


@quick
@given(st.text() | st.none() | st.binary() | st.integers())
def test_anything_else_is_parsed_or_refused(value):
    parsed_or_malformed(value)


def places(node, path=()):
    """Every place in a tree of JSON: the path of keys and indices that leads there."""
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([path for path in places(VALID) if path]), json_values | st.just("delete"))
def test_a_damaged_observation_is_parsed_or_refused(path, value):
    damaged = copy.deepcopy(VALID)
    parent = damaged
    for key in path[:-1]:
        parent = parent[key]
    if value == "delete":
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    parsed_or_malformed(json.dumps({"check": {"observed": damaged}}))


@quick
@given(st.data())
def test_a_truncated_text_is_refused(data):
    text = json.dumps({"check": {"observed": VALID}})
    with pytest.raises(Malformed, match="not JSON"):
        parse_outcomes(text[: data.draw(st.integers(0, len(text) - 1))])


def array_node(**changes):
    node = {
        "kind": "tensor",
        "dtype": "float32",
        "stored": "<f4",
        "shape": [2],
        "data": base64.b64encode(bytes(8)).decode(),
    }
    return node | changes


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (None, "not a node"),
        ({"kind": 3}, "not a node"),
        ({"kind": "function"}, "unknown kind: function"),
        ({"kind": "bool", "value": 1}, "unknown kind: bool"),
        ({"kind": "int", "value": "9" * 399}, "int"),
        ({"kind": "int", "value": 3}, "int.*damaged"),
        ({"kind": "float", "value": "many"}, "float.*damaged"),
        ({"kind": "float", "value": "0x1p99999"}, "float.*damaged"),
        ({"kind": "list"}, "list.*damaged"),
        ({"kind": "dict", "pairs": [[{"kind": "none"}]]}, "dict.*damaged"),
        (array_node(stored="|O"), "damaged: dtype"),
        (array_node(stored="<f16"), "damaged: dtype"),
        (array_node(shape=[3]), "damaged"),
        (array_node(shape=[-1]), "damaged: shape"),
        (array_node(shape=[2] + [1] * 16), "damaged: shape"),
        (array_node(shape=[10**30]), "damaged"),
        (array_node(data="AAAA"), "damaged"),
        (array_node(data="!" * 12), "damaged"),
        (array_node(data="AAAA!AAAAAAA="), "damaged"),
        (array_node(data=None), "damaged"),
    ],
    ids=str,
)
def test_a_node_that_no_encoder_makes_is_refused(node, says):
    with pytest.raises(Malformed, match=says):
        parse_outcomes(json.dumps({"check": {"observed": node}}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "missing or too large"),
        (b"{}", "missing or too large"),
        ('"' + "x" * 20_000_000 + '"', "missing or too large"),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("9" * 10_000, "not JSON"),
        ("[]", "not a dictionary"),
        ('{"a": 1}', "the outcome of a is not a dictionary"),
        ('{"a": {}}', "not a node"),
    ],
    ids=lambda text: str(text)[:20],
)
def test_text_that_holds_no_outcomes_is_refused(text, says):
    with pytest.raises(Malformed, match=says):
        parse_outcomes(text)


def test_observations_nested_too_deeply_or_with_too_many_parts_are_refused():
    node = {"kind": "none"}
    for _ in range(DEPTH + 5):
        node = {"kind": "list", "items": [node]}
    with pytest.raises(Malformed, match="nested too deeply"):
        parse(node)
    with pytest.raises(Malformed, match="too many parts"):
        parse({"kind": "list", "items": [{"kind": "none"}] * 10_000})


def test_an_error_is_taken_as_bounded_text_whatever_its_fields_hold():
    deep = json.loads("[" * 500 + "]" * 500)
    outcomes = parse_outcomes(
        json.dumps({"a": {"error": {"type": "x" * 10 * TEXT, "message": deep}}, "b": {"error": 3}})
    )
    assert outcomes["a"] == {"error": {"type": "x" * TEXT, "message": "", "line": ""}}
    assert outcomes["b"] == {"error": {"type": "", "message": "", "line": ""}}


def test_an_observation_that_the_encoder_cut_short_still_arrives():
    node = arrived([[0] * 6_000, 1])
    assert node.value == [Node("too_large"), Node("int", 1)]
