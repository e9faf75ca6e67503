"""Write what weaving generates: the student notebooks in labs/, the numbers in the notes, the syllabus labs/README.md."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from autograder.course import Course
from autograder.labs import ROOT, Lab, all_labs, repository_url
from autograder.note_numbers import filled_note
from autograder.weave import Woven, weave

SYLLABUS = ROOT / "labs" / "README.md"
TIMES = ROOT / "data" / "results" / "lab_times.json"


def student_notebook(lab: Lab) -> str:
    """The text of a lab's student notebook, made by nbgrader's generate_assignment in a throw-away course."""
    with TemporaryDirectory() as folder:
        course = Course(Path(folder))
        course.prepare(lab)
        return course.notebook("release", lab).read_text(encoding="utf-8").rstrip() + "\n"


def generated(labs: list[Lab]) -> dict[Path, str]:
    """Every generated file of these labs, and the syllabus of all labs: {path: the text that it should hold}."""
    files = {lab.notebook: student_notebook(lab) for lab in labs}
    files |= {lab.note: filled_note(lab) for lab in labs if lab.note.exists()}
    files[SYLLABUS] = syllabus({lab: weave(lab, repository_url()) for lab in all_labs()})
    return files


def stale(files: dict[Path, str]) -> list[Path]:
    """The generated files that do not hold what they should."""
    return [
        path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def syllabus(labs: dict[Lab, Woven]) -> str:
    """The syllabus as Markdown: one row for each lab that is there, and what each exercise is worth."""
    times = json.loads(TIMES.read_text(encoding="utf-8")) if TIMES.exists() else {}
    lines = [
        "# Syllabus", "",
        "<!-- Generated from labs/source and data/results/lab_times.json by `python -m autograder weave`. -->", "",
        "| lab | question | minutes | points | after | seconds whole / graded |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for lab, woven in labs.items():
        points = sum(exercise.points for exercise in woven.exercises)
        seconds = times.get(lab.stem)
        measured = (
            f"{seconds['seconds_whole']:g} / {seconds['seconds_graded']:g}" if seconds else "not measured"
        )
        lines.append(
            f"| [{lab.stem}]({lab.stem}.ipynb) | {woven.question} | {woven.minutes} "
            f"| {points:g} + {woven.written_points:g} by hand | {woven.prerequisite} | {measured} |"
        )
    lines += [
        "", "*Seconds*: the solved notebook from start to end on two CPU cores, with its experiments, and without them,",
        "as grading runs it; measured by `python -m autograder verify --record`.",
    ]  # fmt: skip
    for lab, woven in labs.items():
        lines += [
            "",
            f"## {woven.title}",
            "",
            "| exercise | difficulty | minutes | points |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{exercise.name}` | {'●' * exercise.difficulty}{'○' * (3 - exercise.difficulty)} "
            f"| {exercise.minutes} | {exercise.points:g} |"
            for exercise in woven.exercises
        ]
        lines += [
            "",
            f"[lecture note](../lecture_notes/{lab.stem}.md) · [reference](../solutions/{lab.stem}.py)",
        ]
    return "\n".join(lines) + "\n"


def record_times(seconds: dict[str, dict[str, float]]) -> None:
    """Keep measured seconds for the syllabus: {lab stem: {"seconds_whole": …, "seconds_graded": …}}."""
    times = json.loads(TIMES.read_text(encoding="utf-8")) if TIMES.exists() else {}
    TIMES.write_text(json.dumps(dict(sorted((times | seconds).items())), indent=1) + "\n", encoding="utf-8")
