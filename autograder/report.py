"""The class report and the feedback pages: build/report/index.html, feedback/STUDENT.html, a CSV for the LMS."""

import csv
import json
import re
import shutil
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup, escape

from autograder.batch import Result, read_score
from autograder.course import Course
from autograder.feedback import likely
from autograder.labs import BUILD, ROOT, Lab, UsageError

TEMPLATES = ROOT / "autograder" / "templates"


@dataclass(frozen=True)
class QuestionSummary:
    """How the class did on one question; `solved` counts full marks, `mean` is the mean share of its points."""

    name: str
    max_points: float
    mean: float
    solved: int
    tried: int
    mistakes: list[tuple[str, int]]


def read_results(course: Course, lab: Lab) -> list[Result]:
    """Read the results of the graded submissions; scores come from the gradebook, so manual grades count.

    Raises:
        UsageError: if nothing of this lab was graded yet.
    """
    paths = sorted((course.root / "results" / lab.stem).glob("*.json"))
    if not paths:
        raise UsageError(
            f"Nothing of {lab.stem} is graded yet; run `python -m autograder grade {lab.stem}` first."
        )
    results = [Result(**json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    for result in results:
        result.score, result.max_score, result.needs_manual_grade = read_score(course, lab, result.student)
    return results


def summarise(results: list[Result]) -> list[QuestionSummary]:
    """Summarise the questions, in the order of the lab, over the submissions that could be graded."""
    verdicts: dict[str, list[dict]] = {}
    for result in results:
        for verdict in result.verdicts:
            verdicts.setdefault(verdict["question"], []).append(verdict)
    return [
        QuestionSummary(
            name, found[0]["max_points"],
            statistics.mean(verdict["points"] / verdict["max_points"] for verdict in found),
            sum(verdict["points"] == verdict["max_points"] for verdict in found), len(found),
            Counter(cause for verdict in found for cause in verdict["causes"]).most_common(),
        )
        for name, found in verdicts.items()
    ]  # fmt: skip


def histogram(results: list[Result], bins: int = 10) -> list[int]:
    """Count the scores in equal bins from 0 to the maximum; the maximum falls into the last one."""
    counts = [0] * bins
    for result in results:
        counts[min(int(result.score / result.max_score * bins), bins - 1)] += 1
    return counts


def write_report(course: Course, lab: Lab, folder: Path = BUILD / "report") -> Path:
    """Write the report of one lab; return the path of its index.html."""
    results = read_results(course, lab)
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape())
    environment.filters["code"] = code
    environment.globals["likely"] = likely
    pages = folder / "feedback"
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir(parents=True)
    for result in results:
        page = environment.get_template("feedback.html").render(result=result, lab=lab)
        (pages / f"{result.student}.html").write_text(page, encoding="utf-8")
    counts = histogram(results)
    index = environment.get_template("report.html").render(
        lab=lab, results=results, questions=summarise(results), counts=counts, tallest=max(counts),
        median=statistics.median(result.score for result in results), seed=results[0].seed,
        versions=results[0].versions, waiting=sum(result.needs_manual_grade for result in results),
    )  # fmt: skip
    write_csv(results, folder / f"{lab.stem}.csv")
    path = folder / "index.html"
    path.write_text(index, encoding="utf-8")
    return path


def code(text: str) -> Markup:
    """Escape a sentence, and set what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def write_csv(results: list[Result], path: Path) -> None:
    """Write one row for each submission: score, maximum, each question's points, and why, where it failed."""
    questions = list(dict.fromkeys(v["question"] for result in results for v in result.verdicts))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["student", "lab", "score", "max_score", *questions, "waits_for_manual_grade", "problem"]
        )
        for result in results:
            points = {verdict["question"]: verdict["points"] for verdict in result.verdicts}
            row = [points.get(question, 0.0) for question in questions]
            manual = "yes" if result.needs_manual_grade else "no"
            writer.writerow(
                [result.student, result.lab, result.score, result.max_score, *row, manual, result.problem]
            )
