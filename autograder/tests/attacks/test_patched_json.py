"""The encoder is patched: json.dumps and base64 hand out a verdict with all points instead of the observations."""

from autograder.tests.attacks.attack import Attack

WRONG = """
import base64, json

old = json.dumps


def praise(value, *args, **kwargs):
    if isinstance(value, dict) and "linear_rows" in value:
        verdict = {"passed": True, "points": 3.0, "max_points": 3.0, "observed": {"kind": "bool", "value": True}}
        return old({name: verdict for name in value} | {"points": 3.0})
    return old(value, *args, **kwargs)


json.dumps = praise


def row_scores(*args):
    return 3.0
"""
FLAT = WRONG.replace('return old({name: verdict for name in value} | {"points": 3.0})', "return {text!r}")
TEXTS = {
    "score": "3.0", "deep": "[" * 100_000, "number": '{"linear_rows": {"observed": {"kind": "int", "value": 1e999}}}',
    "nan": '{"linear_rows": {"observed": {"kind": "float", "value": "nan"}}}',
    "shape": '{"linear_rows": {"observed": {"kind": "tensor", "dtype": "load", "stored": "<f4", "shape": [99999999999], '
             '"data": ""}}}',
}  # fmt: skip
ATTACKS = [Attack("json-praise", answers={"row_scores": WRONG}, earns={"row_scores": 0.0})]
ATTACKS += [
    Attack(
        f"json-{name}",
        answers={"row_scores": FLAT.replace("{text!r}", repr(text))},
        earns={"row_scores": 0.0},
    )
    for name, text in TEXTS.items()
]


def test_text_that_is_no_observation_earns_nothing(outcome):
    outcome.held()
