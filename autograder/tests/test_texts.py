"""The texts keep their promises: numbers from results files, hints, links that lead somewhere, pins inside ranges."""

import json
import re
import subprocess

import nbformat
import pytest
from packaging.requirements import Requirement

from autograder.labs import ROOT, UsageError, all_labs
from autograder.note_numbers import MARKED, filled, value_at
from autograder.weave import Weaver, weave

NOTES = sorted((ROOT / "lecture_notes").glob("lab*.md"))
PAGES = [*NOTES, *ROOT.glob("*.md"), ROOT / "labs" / "README.md", ROOT / "data" / "README.md"]


@pytest.mark.parametrize("note", NOTES, ids=lambda path: path.stem)
def test_the_numbers_of_a_note_are_those_of_its_results_file(note):
    results = json.loads((ROOT / "data" / "results" / f"{note.stem}.json").read_text(encoding="utf-8"))
    marked = MARKED.findall(note.read_text(encoding="utf-8"))
    assert marked, "a note quotes what its lab measured"
    for written, path in marked:
        decimals = len(written.partition(".")[2])
        assert f"{100 * value_at(results, path):z.{decimals}f}" == written, path


def test_a_number_of_a_note_is_filled_in_with_its_decimals():
    results = {"cnn": {"50": {"mean": 0.8804, "gain": -0.01, "nothing": -1e-9}}}
    text = "It is 1.0%<!-- cnn.50.mean -->, about 1%<!-- cnn.50.mean -->; 9.9%<!-- cnn.50.nothing --> is lost, not 7%."
    expected = "It is 88.0%<!-- cnn.50.mean -->, about 88%<!-- cnn.50.mean -->; 0.0%<!-- cnn.50.nothing --> is lost, not 7%."
    assert filled(text, results, "lab98_areas.md") == expected
    for key in ("cnn.50.max", "cnn.50.mean.sd", "cnn.50.gain"):
        with pytest.raises(UsageError, match=f"lab98_areas.md quotes {key}"):
            filled(f"1.0%<!-- {key} -->", results, "lab98_areas.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_relative_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert broken == []


def test_every_exercise_has_a_hint_and_no_hint_holds_the_answer():
    for lab in all_labs():
        notebook = weave(lab).notebook
        for index, cell in enumerate(notebook.cells):
            if cell.id.endswith("-answer") and cell.cell_type == "code":
                text = notebook.cells[index - 1].source
                assert "<details>" in text and "</details>" in text, cell.id
                body = cell.source.split("### BEGIN SOLUTION")[1]
                lines = {line.strip() for line in body.splitlines() if len(line.strip()) > 20}
                assert not {line for line in lines if line in text}, cell.id


def test_student_notebooks_hold_no_outputs_and_no_jupytext_metadata():
    for lab in all_labs():
        notebook = nbformat.read(lab.notebook, as_version=4)
        assert "jupytext" not in notebook.metadata
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)


def test_while_no_address_is_set_no_notebook_carries_a_badge_or_an_install_line(lab):
    text = lab.source.read_text(encoding="utf-8")
    sources = [cell.source for cell in Weaver(lab.stem, text).weave().notebook.cells]
    assert not any("colab" in source.lower() for source in sources)
    with_address = Weaver(lab.stem, text, "https://github.com/owner/name").weave().notebook.cells
    assert f"/github/owner/name/blob/main/labs/{lab.stem}.ipynb" in with_address[0].source
    assert "%pip install -q --no-deps git+https://github.com/owner/name" in with_address[1].source


def test_every_pin_lies_in_its_tested_range_and_every_direct_dependency_is_pinned():
    def requirements(name: str) -> dict[str, Requirement]:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        found = [Requirement(line) for line in lines if line and not line.startswith("#")]
        return {requirement.name.lower().replace("_", "-"): requirement for requirement in found}

    ranges, pins = requirements("requirements.txt"), requirements("constraints.txt")
    assert ranges.keys() <= pins.keys()
    for name, requirement in ranges.items():
        (pin,) = pins[name].specifier
        assert pin.operator == "==" and requirement.specifier.contains(pin.version), name
    assert "2.15.0" in ranges["torch"].specifier and "2.9.0" in ranges["torch"].specifier  # what Colab has


def test_what_is_built_or_personal_is_ignored_by_git():
    ignored = ["build/x", "my_labs/lab03_magnitude.ipynb", ".venv/x", "labs/.ipynb_checkpoints/x"]
    done = subprocess.run(
        ["git", "check-ignore", *ignored], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode == 128:
        pytest.skip("not a git checkout")
    assert done.stdout.split() == ignored
