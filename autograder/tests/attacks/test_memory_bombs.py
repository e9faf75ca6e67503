"""Memory is filled: by one tensor, by many processes, and by a shared mapping that no process's limit counts."""

from autograder.tests.attacks.attack import Attack

ONE = "def row_scores(*args):\n    import torch\n    return torch.ones(1 << 40)"
MANY = """
import os, time

for _ in range(8):
    if os.fork() == 0:
        held = bytearray(300 << 20)
        for place in range(0, len(held), 4096):
            held[place] = 1
        time.sleep(60)
time.sleep(60)
"""
SHARED = """
import mmap, os, time

for _ in range(6):
    if os.fork() == 0:
        held = mmap.mmap(-1, 300 << 20)
        for place in range(0, len(held), 4096):
            held[place] = 1
        time.sleep(60)
time.sleep(60)
"""
ATTACKS = [
    Attack("one", answers={"row_scores": ONE}, earns={"row_scores": 0.0}),
    Attack("many", first=MANY, stops=("memory",)),
    Attack("shared", first=SHARED, stops=("memory",)),
]


def test_memory_is_bounded(outcome):
    outcome.held()
    if outcome.attack.name == "one":
        assert "RuntimeError" in outcome.returned["row_scores"]
    assert outcome.result.memory < 3 << 30
