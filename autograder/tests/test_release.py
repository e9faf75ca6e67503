"""The student bundle: whole for a learner, and nothing in it gives an answer away."""

import json
import os
import subprocess
import sys

import jupytext
import nbformat
import pytest

from autograder.function_source import slice_function
from autograder.labs import ROOT, UsageError, all_labs, find_lab
from autograder.release import release
from autograder.weave import IMPORT
from autograder.wrong_answers import collect


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release") / "bundle"
    release(all_labs(), folder)
    return folder


def code_lines(text: str) -> set[str]:
    """The telling lines of a piece of Python: long enough not to be anybody's, and no docstring, import or loop header."""
    body = text.split('"""')[::2]  # what stands outside of docstrings
    lines = {line.strip() for part in body for line in part.splitlines()}
    return {
        line
        for line in lines
        if len(line) > 25 and not line.startswith(("import ", "from ", "#", "def ", "class ", "for "))
    }


def bundled_text(folder) -> str:
    """All the text of the bundle, with notebook sources as they read."""
    parts = []
    for path in folder.rglob("*"):
        if path.suffix == ".ipynb":
            parts += [cell.source for cell in nbformat.read(path, as_version=4).cells]
        elif path.suffix in (".py", ".md", ".txt", ".json"):
            parts.append(path.read_text(encoding="utf-8"))
    return "\n".join(parts)


def test_the_bundle_holds_no_solution_no_hidden_check_and_no_sentence_of_the_bank(bundle):
    text = bundled_text(bundle)
    for lab in all_labs():
        secrets = code_lines(lab.solution_path.read_text(encoding="utf-8"))
        secrets |= code_lines(lab.checks_source)
        secrets |= {answer.sentence for answer in collect(lab.answers)[0]}
        assert len(secrets) > 50
        leaked = {secret for secret in secrets if secret in text}
        allowed = code_lines("\n".join([*signatures(lab), *given_functions()]))
        assert leaked - allowed == set()


def given_functions() -> list[str]:
    """The references that a later lab gives, so that it does not need the learner's answers to an earlier one."""
    texts = []
    for lab in all_labs():
        for cell in jupytext.reads(lab.source.read_text(encoding="utf-8"), fmt="py:percent").cells:
            if "given" in cell.metadata.get("tags", []):
                stem, name = IMPORT.fullmatch(cell.source.strip()).groups()
                texts.append(
                    slice_function(find_lab(stem).solution_path.read_text(encoding="utf-8"), name).text
                )
    return texts


def signatures(lab) -> list[str]:
    """What a skeleton shows on purpose: the lines of the signatures."""
    lines, inside = [], False
    for line in lab.solution_path.read_text(encoding="utf-8").splitlines():
        inside = inside or line.startswith("def ")
        if inside:
            lines.append(line)
        inside = inside and not line.endswith(":")
    return lines


def test_the_scan_would_notice_a_leak(bundle, tmp_path):
    lab = all_labs()[0]
    shown = code_lines("\n".join([*signatures(lab), *given_functions()]))
    line = min(code_lines(lab.solution_path.read_text(encoding="utf-8")) - shown)
    (tmp_path / "leak.py").write_text(f"x = 1\n{line}\n", encoding="utf-8")
    assert line in bundled_text(tmp_path)
    assert line not in bundled_text(bundle)


def test_notebooks_have_no_outputs_and_no_marker_of_a_solution_or_hidden_test(bundle):
    for path in bundle.glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            assert not cell.get("outputs"), path
            assert cell.get("execution_count") is None, path
            assert "BEGIN SOLUTION" not in cell.source and "HIDDEN TESTS" not in cell.source
            assert "autograder" not in cell.source


def test_only_what_a_learner_needs_is_in_the_bundle(bundle):
    top = {path.name for path in bundle.iterdir()}
    assert top == {lab.notebook.name for lab in all_labs()} | {
        "labkit", "data", "LICENSE", "README.md", "requirements.txt"
    }  # fmt: skip
    assert not list(bundle.rglob("test_*"))
    assert not list(bundle.rglob("make_*"))


def test_labkit_finds_the_data_in_the_bundle(bundle):
    """In a process that sees the bundle's labkit and neither the clone nor what is installed."""
    code = (
        "import json, labkit\n"
        "from labkit.checkpoints import load_checkpoint\n"
        "from labkit.data_folder import data_folder\n"
        "from labkit.datasets import load_fashion_mnist\n"
        "images, labels = load_fashion_mnist('validation')\n"
        "load_checkpoint('cnn', seed=1)\n"
        "print(json.dumps([labkit.__file__, str(data_folder()), len(images)]))\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "LABKIT_DATA"}
    environment["PYTHONPATH"] = str(bundle)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=bundle, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    package, data, count = json.loads(done.stdout)
    assert package.startswith(str(bundle)) and data.startswith(str(bundle)) and count == 2000
    assert str(ROOT) not in data


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(UsageError, match="is not an empty folder"):
        release(all_labs(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_without_notebooks_nothing_is_written(tmp_path):
    from autograder.labs import Lab

    with pytest.raises(UsageError, match="weave"):
        release([Lab("lab00_not_there")], tmp_path / "new")
    assert not (tmp_path / "new").exists()
