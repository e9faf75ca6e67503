"""State is left for whoever is graded next: files, shared memory, settings of torch, modules, random seeds."""

from autograder.tests.attacks.attack import Attack

POISON = """
import builtins, multiprocessing.shared_memory, os, random, sys, types

import numpy, torch

for folder in ("/tmp", "/dev/shm", os.path.expanduser("~"), ".", "/var/tmp"):
    try:
        open(f"{folder}/left-over-poison", "w").write("x")
    except OSError:
        pass
try:
    shared = multiprocessing.shared_memory.SharedMemory("left-over-poison-shm", create=True, size=10)
except OSError:
    pass
sys.modules["left_over"] = types.ModuleType("left_over")
builtins.left_over = True
torch.left_over = True
os.environ["LEFT_OVER"] = "x"
torch.Tensor.left_over = True
report(done=True)
"""
FINDER = """
import builtins, glob, os, random, sys

import numpy, torch

found = [name for place in ("/tmp", "/dev/shm", os.path.expanduser("~"), ".", "/var/tmp") for name in glob.glob(place + "/left-over*")]
found += [str(place) for place in (builtins, torch, torch.Tensor) if hasattr(place, "left_over")]
found += ["module"] * ("left_over" in sys.modules) + ["environment"] * ("LEFT_OVER" in os.environ)
report(found=found, drawn=[random.random(), float(numpy.random.rand()), float(torch.rand(()))])
"""
ATTACKS = [
    Attack("poison", first=POISON),
    Attack("find-1", first=FINDER),
    Attack("find-2", first=FINDER),
    Attack("find-3", first=FINDER),
]


def test_nothing_is_found_of_what_came_before(outcome):
    outcome.held()
    assert not outcome.reported.get("found")


def test_no_two_kernels_draw_the_same_random_numbers(sandboxed):
    drawn = [sandboxed[f"find-{number}"].reported["drawn"] for number in (1, 2, 3)]
    for numbers in zip(*drawn):
        assert len(set(numbers)) == 3
