"""Notebooks in real kernels: judged from outside, skipped experiments, time limits, deaths, and noise."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_output

from autograder import experiment
from autograder.function_source import slice_function
from autograder.kernel import read_probe, request, run_notebook
from autograder.submission import fill, solve
from autograder.weave import weave

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def questions(lab):
    return [exercise.name for exercise in weave(lab).exercises]


@pytest.fixture(scope="module")
def solved(lab, questions):
    return solve(nbformat.read(lab.notebook, as_version=4), lab, questions)


def run(notebook, lab, tmp_path, **options):
    """Points by question, and the verdicts by question."""
    verdicts = {
        verdict.question: verdict
        for verdict in run_notebook(notebook, lab.stem, cwd=str(tmp_path), **options)
    }
    return {name: verdict.points for name, verdict in verdicts.items()}, verdicts


def answered(solved, question: str, before: str = "", after: str = ""):
    """A copy of the solved notebook with code before and after one answer, in its cell."""
    cell = next(cell for cell in solved.cells if cell.id == f"{question}-answer")
    return fill(solved, {question: f"{before}\n{cell.source}\n{after}"})


def test_what_enters_the_kernel_holds_no_answer(lab, questions):
    for question in questions:
        text = request(lab.checks_source, lab.stem, question, 1)
        body = slice_function(lab.solution_path.read_text(encoding="utf-8"), question)
        for line in body.text.split("\n")[body.head :]:
            assert len(line.strip()) < 30 or line.strip() not in text


def test_printing_warning_and_displaying_a_score_change_nothing(solved, lab, tmp_path):
    noise = (
        "import sys, warnings\n"
        "print(100.0); print('an error?', file=sys.stderr); warnings.warn('a warning')\n"
        "from IPython.display import display\ndisplay(100.0)\n"
    )
    inside = "_quiet = row_scores\ndef row_scores(*a, **k):\n    print(100.0)\n    display(100.0)\n    return _quiet(*a, **k)"
    points, _ = run(answered(solved, "row_scores", noise, inside), lab, tmp_path)
    assert points["row_scores"] == 3
    wrong = "\n".join(
        [noise, "def row_scores(*a, **k):", "    print(3.0)", "    display(3.0)", "    return 3.0", "100.0"]
    )
    points, _ = run(fill(solved, {"row_scores": wrong}), lab, tmp_path)
    assert points["row_scores"] == 0


def test_the_hidden_cell_itself_is_never_run(solved, lab, tmp_path):
    notebook = fill(solved, {"row_scores": "row_scores = None"})
    cell = next(cell for cell in notebook.cells if cell.id == "row_scores")
    cell.source = "100.0"
    points, verdicts = run(notebook, lab, tmp_path)
    assert points["row_scores"] == 0
    assert "is not defined" in verdicts["row_scores"].checks[0].returned


def test_a_cell_that_takes_too_long_costs_its_own_question(solved, lab, tmp_path):
    loop = "def magnitude_mask(weight, sparsity):\n    while True:\n        pass"
    points, verdicts = run(fill(solved, {"magnitude_mask": loop}), lab, tmp_path, timeout=4)
    assert points.pop("magnitude_mask") == 0
    assert "time limit" in verdicts["magnitude_mask"].checks[0].problem
    assert sum(points.values()) == 18


def test_a_kernel_that_dies_costs_the_question_that_killed_it(solved, lab, tmp_path):
    dies = "import os\n\n\ndef global_masks(*a):\n    os._exit(1)"
    points, verdicts = run(fill(solved, {"global_masks": dies}), lab, tmp_path)
    assert points == {
        "threshold_mask": 2, "magnitude_mask": 4, "row_scores": 3, "uniform_masks": 2,
        "global_masks": 0, "sensitivity_scan": 4, "choose_sparsities": 3,
    }  # fmt: skip
    assert "died" in verdicts["global_masks"].note


def test_experiments_are_skipped_and_nothing_graded_needs_them(solved, lab, tmp_path):
    notebook = fill(solved, {})
    notebook.cells.insert(
        3, new_code_cell("raise SystemExit('an experiment ran')", metadata={"tags": ["skip-execution"]})
    )
    points, _ = run(notebook, lab, tmp_path)
    assert sum(points.values()) == 22
    skipped = [cell for cell in notebook.cells if "experiment" in cell.metadata.get("tags", [])]
    assert skipped and not any(cell.outputs for cell in skipped)


def test_the_score_is_a_plain_float_that_nbgrader_reads(solved, lab, tmp_path):
    from nbgrader.utils import determine_grade

    notebook = fill(solved, {})
    points, _ = run(notebook, lab, tmp_path)
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("points"):
            assert determine_grade(cell) == (points[cell.id], points[cell.id])


def probe(*outputs):
    cell = new_code_cell("")
    cell.outputs = list(outputs)
    return cell


def test_a_probe_without_observations_says_why():
    forged = new_output("display_data", data={experiment.MIME: "not a dictionary"})
    assert read_probe(probe(forged), 30) == (None, "The checks gave no result.")
    stopped = new_output("error", ename="CellTimeoutError", evalue="", traceback=[])
    assert "more than 30 seconds" in read_probe(probe(stopped), 30)[1]
    broken = new_output("error", ename="NameError", evalue="display", traceback=[])
    assert "NameError" in read_probe(probe(broken), 30)[1]
    good = new_output("display_data", data={experiment.MIME: {"text": "{}"}})
    assert read_probe(probe(good), 30) == ("{}", "")
