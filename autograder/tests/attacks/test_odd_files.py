"""Files beside the notebook have odd names, are many, large and deep, or stand where the grader writes its own."""

import os

from autograder.tests.attacks.attack import Attack

ODD = {
    "a\nb": b"1", "-rf": b"1", " ": b"1", "..x": b"1", "x" * 250: b"1", os.fsdecode(b"caf\xe9"): b"1",
    "%s{0}$HOME`id`": b"1", ".hidden/x": b"1", "C:\\x": b"1", "\u202e": b"1",
}  # fmt: skip
LOOK = """
import os

report(number=sum(len(files) for _, _, files in os.walk(".")), size=sum(
    os.path.getsize(os.path.join(place, name)) for place, _, files in os.walk(".") for name in files))
"""
ATTACKS = [
    Attack("names", first=LOOK, files=ODD),
    Attack("many-files", first=LOOK, files={f"{number}": b"" for number in range(1_000)}),
    Attack("large", first=LOOK, files={str(number): bytes(4 << 20) for number in range(5)}),
    Attack("deep-folders", first=LOOK, files={"a/" * 200 + "x": b"1"}),
    Attack(
        "shadows", first=LOOK, files={"torch.py": b"1/0", "numpy/__init__.py": b"1/0", "gradebook.db": b"x"}
    ),
]


def test_files_are_bounded(outcome):
    outcome.held()
    assert outcome.reported["number"] <= 200
    assert outcome.reported["size"] <= 10 << 20
