"""nbgrader's formgrader in a real browser: it opens what we graded, and its autograde button grades as we do."""

import shutil

import pytest

from autograder.browser import BROWSER, NO_BROWSER, browser_page, jupyterlab
from autograder.gradebook import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)]


@pytest.fixture(scope="module")
def course(graded, tmp_path_factory):
    """A copy of the graded class."""
    folder = tmp_path_factory.mktemp("formgrader") / "course"
    shutil.copytree(graded[0].root, folder)
    return folder


@pytest.fixture(scope="module")
def address(course):
    with jupyterlab(course) as address:
        yield address


@pytest.fixture(scope="module")
def page():
    with browser_page() as page:
        yield page


def result_of(course, lab, student):
    with Ledger(f"sqlite:///{course / 'gradebook.db'}") as ledger:
        return next(result for result in ledger.results(lab.stem) if result.student == student)


def row_of(page, address, lab, student):
    """The student's row on the page of the submissions."""
    page.goto(f"{address}/formgrader/manage_submissions/{lab.stem}")
    row = page.locator("tr").filter(has=page.get_by_text(student, exact=True))
    row.wait_for()
    return row


def test_the_submissions_stand_there_with_our_scores(page, address, lab, graded):
    for student in ("ada", "hana", "omar"):
        assert f"{graded[1][student].score:g} / 25" in row_of(page, address, lab, student).inner_text()


def test_the_autograde_button_grades_in_the_sandbox_and_keeps_the_score(page, address, course, lab, graded):
    before = result_of(course, lab, "hana")
    row_of(page, address, lab, "hana").locator(".autograde a").click()
    page.get_by_text(f"Successfully autograded '{lab.stem}' for student 'hana'").wait_for(timeout=120_000)
    after = result_of(course, lab, "hana")
    assert after.seed != before.seed  # it was graded again
    assert after.score == before.score
    assert after.isolation == "sandbox" and "namespaces" in after.layers


def test_a_graded_notebook_opens_with_the_verdicts(page, address, lab, graded):
    page.goto(f"{address}/formgrader/gradebook/{lab.stem}/{lab.stem}")
    page.get_by_role("link", name="Submission #1").first.click()
    page.get_by_text("magnitude_mask").first.wait_for()
    assert "points" in page.locator("body").inner_text()
