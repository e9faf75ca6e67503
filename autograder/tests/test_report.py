"""The class report and the feedback pages: what a person finds there, and that nothing a learner wrote is markup."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from autograder.browser import BROWSER, NO_BROWSER, browser_page
from autograder.judge import NOT_WRITTEN, Judge, Verdict
from autograder.labs import UsageError
from autograder.lms import Person
from autograder.report import (
    FEWEST,
    code,
    discrimination,
    facts,
    failures,
    histogram,
    page_name,
    phases,
    summarise,
    write_report,
)
from autograder.result import Result, Stop

HOSTILE = [
    "Ada", "ADA", "ada.", ".ada", "..", "-ada", "-", " ", "a da", "a\nda", "a\tda", 'a"da', "a'da", "<b>ada</b>", "a&b",
    "con", "nul.x", "Zoë", "Zoe\u0308", "学生", "x" * 255, "y" * 101, "é" * 127, "ada~0123456789abcdef", "a\\b",
    "%2e%2e", "=1+1", "\udcff", "\u202eada", "a?b#c", "~",
]  # fmt: skip


class Page(HTMLParser):
    """What a browser makes of a page: its visible text, its elements as (tag, attributes), and whether they nest."""

    EMPTY = frozenset({"meta", "br"})

    def __init__(self, text: str):
        super().__init__()
        self.text, self.elements, self.open = "", [], []
        self.feed(text)
        self.close()
        self.text = " ".join(self.text.split())
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data):
        if not {"style", "title"} & set(self.open):
            self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def verdict(question: str, points: float, most: float, **more) -> dict:
    return Verdict(question, points, most).plain() | more


def result(student: str, score: float = 0.0, **more) -> Result:
    return Result(student, "lab03_magnitude", **{"seed": 1, "score": score, "max_score": 10.0} | more)


@pytest.fixture(scope="module")
def judged(lab) -> list[Result]:
    """A class whose verdicts are the judge's: the reference, a wrong answer to each question, and an unread file."""
    judge = Judge(lab, 5)

    def with_answers(student: str, place: int, **more) -> Result:
        verdicts = []
        for question in judge.checks:
            bank = [answer for answer in judge.wrong if answer.question == question]
            answer = getattr(lab.solution, question) if place < 0 else bank[place % len(bank)].function
            verdicts.append(judge.judge(question, 2.0, judge.outcomes(question, answer)).plain())
        score = sum(each["points"] for each in verdicts)
        layers = ["namespaces", "seccomp"]
        return result(student, score, max_score=14.0, verdicts=verdicts, layers=layers, seconds=2.0, **more)

    memory = Stop(12, "memory", "Cell 12 was stopped: it needed more than 2048 MiB of memory.")
    death = Stop(17, "", "The kernel died in cell 17.")
    return [
        with_answers("ada-lovelace", -1),
        with_answers("emil-post", 0, needs_manual_grade=True, phases={"start": 1.0, "cells": 4.0}),
        with_answers("fatima-fihri", 1, stops=[memory, death], memory=400 * 2**20, phases={"start": 2.0}),
        result("omar-khayyam", max_score=14.0, problem="The file is not JSON."),
    ]


@pytest.fixture(scope="module")
def report(lab, judged, tmp_path_factory) -> tuple[Path, Page]:
    folder = tmp_path_factory.mktemp("report")
    index = write_report(lab, judged, folder, {"ada-lovelace": Person("Ada", "Lovelace")})
    return folder, Page(index.read_text(encoding="utf-8"))


def feedback(folder: Path, student: str) -> Page:
    return Page((folder / "feedback" / page_name(student)).read_text(encoding="utf-8"))


# --- the class report ------------------------------------------------------------------------------------------


def test_every_student_is_named_and_every_link_leads_to_a_file(report, judged):
    folder, index = report
    links = [link["href"] for link in index.all("a")]
    assert set(links) >= {f"feedback/{each.student}.html" for each in judged}
    assert {link for link in links if link.endswith(".csv")} == {path.name for path in folder.glob("*.csv")}
    assert all((folder / link).is_file() for link in links)
    assert "Lovelace, Ada" in index.text


def test_the_first_line_says_whether_grading_ran_without_a_sandbox(lab, judged, report, tmp_path):
    assert "Warning" not in report[1].text
    unsafe = [judged[0], replace(judged[1], isolation="none", layers=[])]
    index = Page(write_report(lab, unsafe, tmp_path).read_text(encoding="utf-8"))
    assert index.text.startswith("Warning: graded without a sandbox. 1 of 2")
    assert "(1 of 2)" in index.text and "sandbox: namespaces, seccomp" in index.text


def test_mistakes_failures_limits_and_time_are_in_the_report(report):
    text = report[1].text
    for part in (
        "1 You scored the columns (the inputs); the rows are the first dimension. row_scores", "median score 5.32 of 14",
        "fatima-fihri memory 12 Cell 12 was stopped", "fatima-fihri kernel died 17 The kernel died",
        "omar-khayyam not graded – The file is not JSON.", "seed of the hidden checks 1",
        "400 MiB", "median 2.0 s, together 6 s", "start the kernel 1.50 2.00",
    ):  # fmt: skip
        assert part in text, part


def test_tables_and_pictures_can_be_read_aloud(report):
    index = report[1]
    assert all(heading["scope"] in {"row", "col"} for heading in index.all("th"))
    assert len(index.all("table")) == 6
    (figure,) = index.all("figure")
    assert figure["role"] == "img" and "the median is" in figure["aria-label"]
    assert "90 to 100%: 1." in figure["aria-label"]


def test_difficulty_and_discrimination_of_a_class_computed_by_hand():
    """Five submissions, two questions: x of 2 points, y of 4; of two questions, the rest is the other one."""
    x, y = [0, 1, 1, 2, 2], [0, 0, 4, 2, 4]
    results = [
        result(f"s{place}", verdicts=[verdict("x", a, 2), verdict("y", b, 4)])
        for place, (a, b) in enumerate(zip(x, y))
    ]
    results.append(result("unread", problem="The file is not JSON."))
    first, second = summarise(results)
    # means 1.2 and 2; deviations x: -1.2 -.2 -.2 .8 .8, y: -2 -2 2 0 2; products 2.4 + .4 - .4 + 0 + 1.6 = 4
    # squares 2.8 and 16: 4 / sqrt(2.8 * 16) = 0.5976
    assert (first.difficulty, second.difficulty) == pytest.approx((6 / 10, 10 / 20))
    assert first.discrimination == second.discrimination == pytest.approx(0.59761, abs=1e-5)
    assert (first.solved, first.tried, second.solved) == (2, 5, 2)


def test_discrimination_is_numpys_correlation_with_the_rest():
    rng = np.random.default_rng(0)
    points = rng.integers(0, 9, (30, 4)) / 4
    results = [
        result(f"s{place}", verdicts=[verdict(name, each, 2.0) for name, each in zip("wxyz", row.tolist())])
        for place, row in enumerate(points)
    ]
    for column, question in enumerate(summarise(results)):
        rest = points.sum(axis=1) - points[:, column]
        assert question.discrimination == pytest.approx(np.corrcoef(points[:, column], rest)[0, 1])


def test_discrimination_is_undefined_without_spread_or_with_few():
    some = [0.0, 1.0, 2.0, 0.0, 1.0]
    assert len(some) == FEWEST and discrimination(some, some) == pytest.approx(1)
    assert discrimination(some[1:], some[1:]) is None
    assert discrimination([0.1] * 5, some) is None and discrimination(some, [0.1] * 5) is None
    same = [result(f"s{n}", verdicts=[verdict("x", n, 9), verdict("y", *((0.1, 1), (0.3, 1))[n % 2]),
                                      verdict("z", *((0.3, 1), (0.1, 1))[n % 2])]) for n in range(6)]  # fmt: skip
    assert summarise(same)[0].discrimination is None  # 0.1 + 0.3 and 0.3 + 0.1: no spread


def test_a_mistake_counts_once_for_a_submission_and_the_most_frequent_comes_first():
    results = [
        result("a", verdicts=[verdict("x", 0, 1, causes=["one", "two"])]),
        result("b", verdicts=[verdict("x", 0, 1, causes=["two"])]),
        result("c", verdicts=[verdict("x", 0, 1, note=NOT_WRITTEN)]),
    ]
    (question,) = summarise(results)
    assert question.mistakes == [("two", 2), ("one", 1)] and question.unwritten == 1


def test_the_histogram_counts_everybody_once_and_the_best_in_the_last_bin():
    scores = (0, 0.9, 1, 5, 9.99, 10, 11, -1)
    assert histogram([result("s", score) for score in scores]) == [3, 1, 0, 0, 0, 1, 0, 0, 0, 3]
    assert histogram([result("s", 0, max_score=0.0)])[0] == 1


def test_runs_that_differ_in_seed_version_or_isolation_are_all_named():
    one = {"seed": 7, "version": "a" * 64, "versions": {"python": "3.11.2"}, "layers": ["seccomp"]}
    two = {"seed": 8, "version": "b" * 64, "versions": {"python": "3.12.1"}, "isolation": "none"}
    found = facts([result("a", **one), result("b", **one), result("c", **two), result("d", problem="unread")])
    assert found == {
        "isolation": [("sandbox: seccomp", 2), ("none", 1)],
        "seed of the hidden checks": [("7", 2), ("8", 1), ("1", 1)],
        "software": [("python 3.11.2", 2), ("python 3.12.1", 1)],
        "version of the lab": [("a" * 12, 2), ("b" * 12, 1)],
    }


def test_phases_come_in_their_order_with_the_median_and_the_most():
    given = [{"checks": 3.0, "start": 1.0}, {"checks": 1.0, "start": 2.0}, {"start": 9.0, "other": 5.0}, {}]
    assert phases([result("s", phases=each) for each in given]) == [
        ("start the kernel", 2.0, 9.0), ("run the hidden checks", 2.0, 3.0), ("other", 5.0, 5.0),
    ]  # fmt: skip


def test_failures_are_problems_and_stops():
    stop = Stop(3, "output", "Cell 3 wrote too much.")
    found = list(failures([result("a"), result("b", stops=[stop]), result("c", problem="unread")]))
    assert found == [("b", stop), ("c", Stop(0, "not graded", "unread"))]


def test_nothing_graded_is_said_in_one_sentence(lab, tmp_path):
    with pytest.raises(UsageError, match="is graded yet"):
        write_report(lab, [], tmp_path)


# --- a learner's page ------------------------------------------------------------------------------------------


def test_a_page_tells_points_cause_returned_expected_and_what_is_right(report):
    text = feedback(report[0], "emil-post").text
    for part in (
        "row_scores 0.5 of 2 points", "Likely mistake: You scored the columns", "returned float32[9]",
        "expected float32[5]", "✓ A weight of one dimension, or a p that is neither 1 nor 2, raises ValueError",
        "Your written answer is not graded yet",
    ):  # fmt: skip
        assert part in text, part
    assert "✓ 2 of 2 points" in feedback(report[0], "ada-lovelace").text
    assert "✗" not in feedback(report[0], "ada-lovelace").text


def test_a_page_says_first_what_stopped_or_prevented_the_grading(report):
    stopped = feedback(report[0], "fatima-fihri").text
    assert stopped.index("Cell 12 was stopped") < stopped.index("The kernel died") < stopped.index("mistake")
    assert "could not be graded" in (page := feedback(report[0], "omar-khayyam").text) and "not JSON" in page


def test_a_page_holds_nobody_elses_data_and_no_code_of_a_check(report, judged, lab):
    folder, _ = report
    lines = {line.strip() for line in lab.checks_source.splitlines()}
    code_lines = {line for line in lines if re.search(r"[(\[=]", line) and '"""' not in line}
    names = set(re.findall(r"^def (\w+)", lab.checks_source, re.MULTILINE))
    for each in judged:
        text = (folder / "feedback" / page_name(each.student)).read_text(encoding="utf-8")
        assert not [other.student for other in judged if other is not each and other.student in text]
        assert not [line for line in code_lines if line in text]
        assert not [name for name in names if re.search(rf"\b{name}\b", text) and "_" in name]


def test_what_a_learner_returns_is_escaped_and_needs_not_be_text(lab, judged, tmp_path):
    bad = "<script>alert(1)</script>\x00\ud800"
    check = judged[1].verdicts[2]["checks"][0] | {
        "problem": bad, "returned": bad, "expected": bad, "where": bad, "rule": f"`{bad}`",
    }  # fmt: skip
    learner = result(
        bad, problem=bad, stops=[Stop(1, bad, bad)], versions={bad: bad}, layers=[bad],
        verdicts=[verdict(bad, 0.0, 1.0, checks=[check], causes=[bad]), verdict("x", 0.0, 1.0, note=bad)],
    )  # fmt: skip
    index = Page(write_report(lab, [learner], tmp_path, {bad: Person(bad, bad)}).read_text(encoding="utf-8"))
    for page in (index, feedback(tmp_path, bad)):
        assert not page.all("script") and "<script>alert(1)</script>" in page.text
    assert str(code("`<b>` & more")) == "<code>&lt;b&gt;</code> &amp; more"


# --- files -----------------------------------------------------------------------------------------------------


def test_any_id_gives_a_safe_name_of_its_own_even_where_a_disk_ignores_capitals(lab, tmp_path):
    students = ["ada", "s1234567", "ada.lovelace@uni.example", *HOSTILE]
    names = [page_name(student) for student in students]
    assert names[:3] == ["ada.html", "s1234567.html", "ada.lovelace@uni.example.html"]
    assert names[3].startswith("ada~") and len({name.casefold() for name in names}) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_][a-z0-9._@~-]{0,120}\.html", name) for name in names)
    index = write_report(lab, [result(student) for student in students], tmp_path)
    assert {path.name for path in (tmp_path / "feedback").iterdir()} == set(names)
    links = [link["href"] for link in Page(index.read_text(encoding="utf-8")).all("a")]
    assert [link.removeprefix("feedback/").replace("%40", "@") for link in links[: len(names)]] == names


def test_stale_pages_go_and_other_files_stay(lab, tmp_path):
    write_report(lab, [result("ada"), result("bao")], tmp_path / "report")
    (tmp_path / "report" / "notes.txt").write_text("mine")
    write_report(lab, [result("ada")], tmp_path / "report")
    assert [path.name for path in (tmp_path / "report" / "feedback").iterdir()] == ["ada.html"]
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "feedback", "index.html", f"{lab.stem}.canvas.csv", f"{lab.stem}.csv", f"{lab.stem}.moodle.csv", "notes.txt",
    ]  # fmt: skip


def test_a_crash_while_writing_leaves_the_old_report_whole(lab, tmp_path, monkeypatch):
    write_report(lab, [result("ada", 1.0), result("bao", 1.0)], tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write = Path.write_bytes

    def die_in_the_second(path, data):
        write(path, data[:10])
        if "bao" in path.name:
            raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", die_in_the_second)
    with pytest.raises(OSError, match="No space"):
        write_report(lab, [result("ada", 2.0), result("bao", 2.0)], tmp_path)
    assert {path: path.read_bytes() for path in before} == before
    monkeypatch.undo()
    write_report(lab, [result("ada", 2.0)], tmp_path)
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)
def test_in_a_browser_bars_are_as_high_as_their_counts_and_a_phone_needs_no_sideways_scrolling(
    lab, judged, tmp_path
):
    scores = [0] * 4 + [5] * 2 + [10]
    class_ = [
        replace(judged[1], student=f"s{n}", score=score, max_score=10.0) for n, score in enumerate(scores)
    ]
    index = write_report(lab, class_, tmp_path)
    with browser_page(width=360, height=800) as page:
        for path in (index, tmp_path / "feedback" / "s0.html"):
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.goto(index.as_uri())
        heights = page.evaluate("[...document.querySelectorAll('.bin i')].map(bar => bar.offsetHeight)")
        assert heights[5] / heights[0] == pytest.approx(0.5, abs=0.02)
        assert heights[9] / heights[0] == pytest.approx(0.25, abs=0.02)
