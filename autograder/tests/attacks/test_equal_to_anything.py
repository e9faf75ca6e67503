"""An answer is equal to everything: subclasses of Tensor, float, int, str and dict with operators that agree."""

from autograder.tests.attacks.attack import NOTHING, Attack

FIRST = """
import torch

OPERATORS = ["eq", "ne", "lt", "le", "gt", "ge", "invert", "sub", "rsub", "add", "mul", "and", "or", "xor", "bool"]


def agreeable(base):
    always = lambda self, *others: True
    return type("Agreeable", (base,), {f"__{name}__": always for name in OPERATORS} | {"__hash__": base.__hash__})


class Anything(torch.Tensor):
    def __eq__(self, other):
        return True

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return True
"""
WRONG = {
    "threshold_mask": "def threshold_mask(weight, threshold):\n    return weight.as_subclass(Anything)",
    "magnitude_mask": "def magnitude_mask(weight, sparsity):\n    return agreeable(object)()",
    "row_scores": "def row_scores(weight, p=1):\n    return agreeable(float)(1.0)",
    "uniform_masks": "def uniform_masks(*arguments):\n    return agreeable(dict)()",
    "global_masks": "def global_masks(*arguments):\n    return agreeable(str)('True')",
    "sensitivity_scan": "def sensitivity_scan(*arguments):\n    return agreeable(int)(1)",
    "choose_sparsities": "def choose_sparsities(*arguments):\n    return agreeable(list)()",
}
# A function that does nothing leaves the weights unchanged: those two checks are honestly passed.
ATTACKS = [
    Attack(
        "equal", first=FIRST, answers=WRONG, earns=NOTHING | {"uniform_masks": 0.5, "sensitivity_scan": 0.67}
    )
]


def test_no_operator_of_the_learner_takes_part_in_the_comparison(outcome):
    outcome.held()
