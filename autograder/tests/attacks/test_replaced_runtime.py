"""The runtime that observes is replaced in sys.modules, or its functions as soon as it is there."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import sys, types


class Module(types.ModuleType):
    def __setattr__(self, name, value):
        pass

    def __getattribute__(self, name):
        if name == "observe":
            return lambda *args: '{"linear_rows": {"observed": {"kind": "float", "value": "3.0"}}}'
        return super().__getattribute__(name)


def replace():
    old.append(types.ModuleType)
    types.ModuleType = Module


old = []
"""
BEFORE = "replace()\n\n\ndef row_scores(*args):\n    return 3.0\n"
INSIDE = """
def row_scores(*args):
    runtime = sys.modules["_pruning_course_runtime"]
    for name in ("encode", "_encode", "_encode_tensor", "describe", "run_check"):
        setattr(runtime, name, lambda *args: {"observed": {"kind": "bool", "value": True}, "kind": "none"})
    return 3.0
"""
ATTACKS = [
    Attack("module-type", first=FIRST, answers={"row_scores": BEFORE}, earns={"row_scores": 0.0}),
    Attack("runtime-patch", first=FIRST, answers={"row_scores": INSIDE}, earns={"row_scores": 0.0}),
]


def test_a_replaced_runtime_observes_nothing_that_is_right(outcome):
    assert outcome.points["row_scores"] == 0
    assert outcome.points["threshold_mask"] == 2 and outcome.points["magnitude_mask"] == 4
    assert sum(outcome.points.values()) <= 19
    assert not outcome.result.problem
