"""The frames above the called function, and everything that `gc` knows, are searched for the reference."""

from autograder.tests.attacks.attack import Attack

FRAMES = """
import gc, sys, types


def row_scores(*args):
    frame, found = sys._getframe(), []
    while frame := frame.f_back:
        found += [value for value in (*frame.f_locals.values(), *frame.f_globals.values())
                  if callable(value) and getattr(value, "__name__", "") == "row_scores" and value is not row_scores]
        for name, value in list(frame.f_locals.items()):
            if name in ("checks", "item", "outcomes", "namespace") and isinstance(value, (list, dict)):
                value.clear()
    if found:
        return found[0](*args)
    return 3.0
"""
COLLECTED = """
import gc, types

gc.collect()


def row_scores(*args):
    for thing in gc.get_objects():
        if isinstance(thing, types.FunctionType) and thing.__name__ == "row_scores" and thing is not row_scores:
            return thing(*args)
        if isinstance(thing, types.ModuleType) and thing.__name__.startswith("solutions"):
            return thing.row_scores(*args)
    return 3.0
"""
ATTACKS = [
    Attack("frames", answers={"row_scores": FRAMES}, earns={"row_scores": 0.0}, wild=True),
    Attack("collected", answers={"row_scores": COLLECTED}, earns={"row_scores": 0.0}),
]


def test_no_reference_is_in_the_process(outcome):
    outcome.held()
