"""JupyterLab in a real browser: the released notebook opens, teaches on a wrong answer, and Validate works."""

import nbformat
import pytest

from autograder.browser import BROWSER, NO_BROWSER, browser_page, jupyterlab, open_notebook
from autograder.release import release
from autograder.submission import answer_text, fill, reference_text
from autograder.weave import weave

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)]


@pytest.fixture(scope="module")
def bundle(lab, tmp_path_factory):
    folder = tmp_path_factory.mktemp("learner") / "bundle"
    release([lab], folder)
    return folder


@pytest.fixture(scope="module")
def address(bundle):
    with jupyterlab(bundle) as address:
        yield address


@pytest.fixture(scope="module")
def page():
    with browser_page() as page:
        yield page


def open_with(page, address, bundle, lab, answers: dict[str, str]) -> None:
    """Write answers into the bundle's notebook, as a learner would, and open it. The experiments are left out."""
    notebook = fill(nbformat.read(lab.notebook, as_version=4), answers)
    notebook.cells = [cell for cell in notebook.cells if "experiment" not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        if cell.source == "YOUR ANSWER HERE":
            cell.source = "The layers with many weights and a flat curve come first."
    nbformat.write(notebook, bundle / lab.notebook.name)
    open_notebook(page, address, lab.notebook.name)


def validate(page) -> str:
    """Press nbgrader's Validate button; return the text of the dialog."""
    page.get_by_role("button", name="Validate").click()
    dialog = page.locator(".jp-Dialog-content").filter(has_text="Validation")
    dialog.wait_for(timeout=120_000)
    text = dialog.inner_text()
    dialog.get_by_role("button").last.click()
    return text


def test_a_wrong_answer_is_told_what_is_wrong_and_a_right_one_passes(page, address, bundle, lab):
    answers = {
        "threshold_mask": reference_text(lab, "threshold_mask"),
        "magnitude_mask": answer_text(lab, "magnitude_mask", "keeps_the_smallest"),
    }
    open_with(page, address, bundle, lab, answers)
    page.locator(".jp-Notebook .jp-Cell").first.click()  # the menu acts on the notebook that was touched last
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    outputs = page.locator(".jp-OutputArea-output")
    outputs.filter(has_text="threshold_mask: the visible checks pass").first.wait_for(state="attached")
    error = page.locator(".jp-RenderedText").filter(has_text="AssertionError").first  # where the run stops
    error.wait_for(state="attached")
    error.scroll_into_view_if_needed()
    assert "True means keep" in error.inner_text()


def test_validate_reports_a_failing_visible_check_and_then_passes(page, address, bundle, lab):
    right = {exercise.name: reference_text(lab, exercise.name) for exercise in weave(lab).exercises}
    wrong = right | {"row_scores": answer_text(lab, "row_scores", "scores_of_columns")}
    open_with(page, address, bundle, lab, wrong)
    failed = validate(page)
    assert failed.count("The following cell failed") == 1
    assert "row" in failed and "AssertionError" in failed
    open_with(page, address, bundle, lab, right)
    assert "Success! Your notebook passes all the tests." in validate(page)
