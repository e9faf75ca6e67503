"""The class report and a page for each learner: from the results of one lab, and nothing else, to files.

- index.html is for the instructor: the class.
- feedback/STUDENT.html is for one learner: nobody else's data stands there, and no code of a hidden check.
- LAB.csv, LAB.canvas.csv and LAB.moodle.csv hold the scores (autograder/lms.py).
"""

import hashlib
import math
import re
import shutil
import statistics
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from autograder.feedback import likely
from autograder.judge import NOT_WRITTEN
from autograder.labs import BUILD, ROOT, Lab, UsageError
from autograder.lms import Person, canvas_csv, class_csv, moodle_csv
from autograder.result import Result, Stop

FEWEST = 5  # a correlation over fewer submissions says nothing
PHASES = {
    "read": "read the notebook", "start": "start the kernel", "cells": "run the learner's cells",
    "checks": "run the hidden checks", "verdict": "compare with the reference", "stop": "stop the kernel",
}  # fmt: skip
# A student's id that is a file's name as it stands, on every system: no capitals, no device such as "nul".
ORDINARY = re.compile(r"(?!(con|prn|aux|nul|com\d|lpt\d)(\.|$))[a-z0-9_][a-z0-9._@+-]{0,99}", re.ASCII)

Tally = list[tuple[str, int]]


@dataclass(frozen=True)
class Question:
    """How the class did on one question, over the submissions that could be graded.

    Attributes:
        difficulty: the difficulty index: the mean share of the points, from 0 to 1; near 1 is easy.
        discrimination: the corrected item-total correlation; None where it is undefined.
        solved, unwritten, tried: how many have full marks, have written nothing, are counted here at all.
        mistakes: each sentence that named a mistake, with the number of submissions that read it.
    """

    name: str
    max_points: float
    difficulty: float
    discrimination: float | None
    solved: int
    unwritten: int
    tried: int
    mistakes: Tally


def write_report(
    lab: Lab,
    results: list[Result],
    folder: Path = BUILD / "report",
    people: dict[str, Person] | None = None,
) -> Path:
    """Write the report of one lab. A file is replaced only by a whole one; pages of earlier runs go.

    Args:
        results: with `score`, `max_score` and `needs_manual_grade` filled in from the gradebook.
        people: what is known of the students, by id, for the names and for the files for Canvas and Moodle.

    Returns:
        The path of index.html.

    Raises:
        UsageError: if there is no result.
    """
    if not results:
        raise UsageError(
            f"Nothing of {lab.stem} is graded yet; run `python -m autograder grade {lab.stem}` first."
        )
    people = people or {}
    environment = Environment(
        loader=FileSystemLoader(ROOT / "autograder" / "templates"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"code": code, "points": lambda number: f"{round(number, 2):g}", "page": page_name}
    environment.globals |= {"likely": likely, "lab": lab}
    page, index = environment.get_template("feedback.html"), environment.get_template("report.html")
    swap_pages(
        folder / "feedback", {page_name(result.student): page.render(result=result) for result in results}
    )
    replace(folder / f"{lab.stem}.csv", class_csv(results))
    replace(folder / f"{lab.stem}.canvas.csv", canvas_csv(results, people, lab.stem))
    replace(folder / f"{lab.stem}.moodle.csv", moodle_csv(results, people, lab.stem))
    questions = summarise(results)
    replace(folder / "index.html", index.render(
        results=results, people=people, questions=questions, facts=facts(results), phases=phases(results),
        counts=histogram(results), top=max(result.max_score for result in results),
        median=statistics.median(result.score for result in results),
        seconds=statistics.median(result.seconds for result in results),
        mistakes=sorted(((count, sentence, question.name) for question in questions
                         for sentence, count in question.mistakes), key=lambda row: -row[0]),
        failures=list(failures(results)),
    ))  # fmt: skip
    return folder / "index.html"


def summarise(results: list[Result]) -> list[Question]:
    """Summarise the questions, in the order of the lab, over the submissions that could be graded."""
    graded = [
        {verdict["question"]: verdict for verdict in result.verdicts} for result in results if not result.problem
    ]  # fmt: skip
    names = dict.fromkeys(name for verdicts in graded for name in verdicts)
    return [_question(name, [verdicts for verdicts in graded if name in verdicts]) for name in names]


def _question(name: str, graded: list[dict[str, dict]]) -> Question:
    own = [verdicts[name] for verdicts in graded]
    most = own[0]["max_points"]
    points = [verdict["points"] for verdict in own]
    # Rounded, so that two sums of the same points are the same number.
    rest = [round(math.fsum(verdict["points"] for verdict in verdicts.values()) - point, 6)
            for verdicts, point in zip(graded, points)]  # fmt: skip
    return Question(
        name, most, statistics.mean(points) / most if most else 0.0, discrimination(points, rest),
        sum(verdict["points"] == verdict["max_points"] for verdict in own),
        sum(verdict["note"] == NOT_WRITTEN for verdict in own), len(own),
        Counter(cause for verdict in own for cause in verdict["causes"]).most_common(),
    )  # fmt: skip


def discrimination(points: list[float], rest: list[float]) -> float | None:
    """The corrected item-total correlation: Pearson's, of the points on a question with those on all the others.

    None where it is undefined: where one of the two has no spread, or with fewer than FEWEST submissions.
    """
    if len(points) < FEWEST or len(set(points)) == 1 or len(set(rest)) == 1:
        return None
    return statistics.correlation(points, rest)


def histogram(results: list[Result], bins: int = 10) -> list[int]:
    """Count the scores in equal bins from 0 to the maximum; the maximum falls into the last one."""
    counts = [0] * bins
    for result in results:
        share = result.score / result.max_score if result.max_score else 0.0
        counts[max(0, min(int(share * bins), bins - 1))] += 1
    return counts


def failures(results: list[Result]) -> Iterator[tuple[str, Stop]]:
    """Yield (student, what happened): each submission that was not graded, and each limit and death of a kernel."""
    for result in results:
        if result.problem:
            yield result.student, Stop(0, "not graded", result.problem)
        for stop in result.stops:
            yield result.student, stop


def facts(results: list[Result]) -> dict[str, Tally]:
    """How the submissions were graded: {fact: [(value, how many submissions)]}; runs may differ in all of them."""
    isolation = [
        f"{result.isolation}: {', '.join(result.layers)}" if result.layers else result.isolation
        for result in results if result.layers or result.isolation == "none"
    ]  # fmt: skip
    software = [", ".join(f"{name} {version}" for name, version in each.versions.items()) for each in results]
    return {
        "isolation": tally(isolation),
        "seed of the hidden checks": tally(str(result.seed) for result in results),
        "software": tally(software),
        "version of the lab": tally(result.version[:12] for result in results),
    }


def tally(values: Iterable[str]) -> Tally:
    """Count what is there, the most frequent first."""
    return Counter(value for value in values if value).most_common()


def phases(results: list[Result]) -> list[tuple[str, float, float]]:
    """(phase in words, median seconds, most seconds), over the submissions that came so far."""
    seconds: dict[str, list[float]] = {name: [] for name in PHASES}
    for result in results:
        for name, value in result.phases.items():
            seconds.setdefault(name, []).append(value)
    return [
        (PHASES.get(name, name), statistics.median(values), max(values))
        for name, values in seconds.items() if values
    ]  # fmt: skip


def page_name(student: str) -> str:
    """The file of a student's page: safe for any id, never the same for two, even where a disk ignores capitals.

    An ordinary id stays as it is: ada → ada.html. Any other becomes what can be kept of it, "~", and 16 digits of
    its SHA-256: Zoë → zoe~….html. "~" is in no ordinary id.
    """
    if ORDINARY.fullmatch(student):
        return f"{student}.html"
    ascii_only = unicodedata.normalize("NFKD", student).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9_]+", "-", ascii_only).strip("-")[:40] or "student"
    return f"{readable}~{hashlib.sha256(student.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}.html"


def replace(path: Path, text: str) -> None:
    """Write a whole file, then put it in its place. What UTF-8 cannot hold, a lone surrogate, becomes "?"."""
    arriving = path.with_name(f".{path.name}.new")
    arriving.write_bytes(text.encode("utf-8", "replace"))
    arriving.replace(path)


def swap_pages(folder: Path, pages: dict[str, str]) -> None:
    """Write the pages into a new folder, then put it in the place of the old one, whose pages all go."""
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    new.mkdir(parents=True)
    for name, text in pages.items():
        replace(new / name, text)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def code(text: str) -> Markup:
    """Escape a sentence, and set what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
