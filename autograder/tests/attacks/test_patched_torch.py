"""Torch and NumPy are patched, so that every comparison agrees and all "random" inputs are zeros."""

from autograder.tests.attacks.attack import Attack

FIRST = """
import numpy, torch


def patch(place, *names, value=True):
    for name in names:
        setattr(place, name, lambda *args, **kwargs: value)


old_randn, old_zeros = torch.randn, torch.zeros


def start():
    patch(torch, "equal", "allclose", "isclose", "all")
    patch(torch.testing, "assert_close", "assert_allclose")
    patch(numpy, "allclose", "array_equal", "isclose")
    patch(numpy.testing, "assert_allclose", "assert_array_equal", "assert_almost_equal")
    torch.Tensor.__eq__ = torch.Tensor.equal = torch.Tensor.allclose = lambda *args: True
    torch.randn = lambda *shape, **options: old_zeros(*shape, dtype=options.get("dtype"))
"""
LAST = "torch.randn = old_randn"
ATTACKS = [
    Attack(
        "patched-torch",
        first=FIRST,
        answers={
            "choose_sparsities": "start()\n\ndef choose_sparsities(scan, *arguments):\n    return dict(scan)"
        },
        earns={"choose_sparsities": 0.0},
    )
]


def test_nothing_is_compared_where_it_is_patched(outcome):
    outcome.held()
