"""Students have names that lead elsewhere: with quotes, newlines, markup, options, brackets, 200 letters, no text."""

import os

from autograder import batch
from autograder.tests.attacks.attack import Attack

NAMES = {
    "spaces": " two  spaces ", "newline": "new\nline", "quotes": "'; DROP TABLE grade; --\"", "unicode": "Zoë 学生 \u202e",
    "brackets": "[x]*?", "option": "-rf", "markup": "<script>alert(1)<script>", "long": "x" * 200, "percent": "%s{0}$HOME`id`",
    "backslash": "..\\..\\x", "equals": "=1+1", "dots": "...x", "case": "NEIGHBOUR-0",
}  # fmt: skip
ATTACKS = [Attack(name, student=student) for name, student in NAMES.items()]
# Such a name cannot be written to the gradebook; the run says so, and goes on.
ATTACKS += [Attack("bytes", student=os.fsdecode(b"caf\xe9"), problem="Not in the gradebook")]


def test_a_name_is_only_a_name(outcome):
    outcome.held()


def test_hidden_folders_are_no_students(lab, tmp_path):
    for name in ("..x", ".ada", "ada"):
        (tmp_path / name / lab.stem).mkdir(parents=True)
    assert [path.name for path in tmp_path.iterdir() if batch.has_submission(path, lab)] == ["ada"]
