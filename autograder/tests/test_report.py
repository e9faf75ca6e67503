"""The class report: what a person finds in it, and that nothing a learner wrote can become markup."""

import csv
import json
import re

import pytest

from autograder import batch
from autograder.course import Course
from autograder.report import code, histogram, read_results, summarise, write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(graded, lab, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    course, _ = graded
    index = write_report(course, lab, folder)
    return folder, index.read_text(encoding="utf-8")


def test_the_report_names_every_student_and_links_a_page_that_exists(graded, pages):
    folder, index = pages
    links = re.findall(r'href="(feedback/[^"]+)"', index)
    assert sorted(links) == sorted(f"feedback/{student}.html" for student in graded[1])
    assert all((folder / link).exists() for link in links)
    assert "lab03_magnitude.csv" in index


def test_the_report_counts_mistakes_and_shows_each_questions_difficulty(graded, lab):
    course, results = graded
    summary = {question.name: question for question in summarise(read_results(course, lab))}
    assert list(summary) == list(dict.fromkeys(v["question"] for v in results["ada"].verdicts))
    shares = [
        verdict["points"] / verdict["max_points"]
        for result in results.values() for verdict in result.verdicts if verdict["question"] == "row_scores"
    ]  # fmt: skip
    assert summary["row_scores"].mean == pytest.approx(sum(shares) / len(shares))
    assert (
        dict(summary["row_scores"].mistakes)[
            "You scored the columns (the inputs); the rows are the first dimension."
        ]
        == 1
    )


def test_the_table_for_the_lms_holds_the_gradebooks_scores(graded, pages, lab):
    folder, _ = pages
    course, _ = graded
    with (folder / f"{lab.stem}.csv").open(encoding="utf-8") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert {name: float(row["score"]) for name, row in rows.items()} == {
        name: batch.read_score(course, lab, name)[0] for name in graded[1]
    }
    assert float(rows["hana"]["row_scores"]) < 3 == float(rows["ada"]["row_scores"])
    assert "not JSON" in rows["omar"]["problem"]


def test_a_feedback_page_tells_the_cause_and_holds_nobody_elses_data(pages, graded):
    folder, _ = pages
    page = (folder / "feedback" / "emil.html").read_text(encoding="utf-8")
    assert "Likely mistake:" in page and "You scored the columns" in page
    assert not [student for student in graded[1] if student != "emil" and student in page]


def test_what_a_learner_returns_is_escaped(tmp_path, lab, graded):
    theirs, results = graded
    course = Course(theirs.root)
    path = course.root / "results" / lab.stem / "ivan.json"
    before = path.read_text(encoding="utf-8")
    record = json.loads(before)
    record["verdicts"][0] |= {"points": 0, "causes": [], "note": ""}
    record["verdicts"][0]["checks"][0] |= {
        "passed": False,
        "returned": "<script>alert(1)</script>",
        "problem": "<b>",
    }
    path.write_text(json.dumps(record), encoding="utf-8")
    try:
        write_report(course, lab, tmp_path)
    finally:
        path.write_text(before, encoding="utf-8")
    page = (tmp_path / "feedback" / "ivan.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in page and "<script>" not in page
    assert str(code("`<b>` & more")) == "<code>&lt;b&gt;</code> &amp; more"


def test_the_histogram_counts_everybody_once_and_the_best_in_the_last_bin():
    def result(score: float) -> batch.Result:
        return batch.Result("s", "lab", 0, score, 10, False)

    assert histogram([result(score) for score in (0, 0.9, 1, 5, 9.99, 10)]) == [2, 1, 0, 0, 0, 1, 0, 0, 0, 2]
