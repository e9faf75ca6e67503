"""Write what weaving generates: the student notebooks, the numbers in the notes, the syllabus, the answers on its pages."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from autograder import answers
from autograder.answers import Answer
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
    """Every generated file of these labs, and the pages about all labs: {path: the text that it should hold}."""
    files = {lab.notebook: student_notebook(lab) for lab in labs}
    course = {lab: weave(lab, repository_url()) for lab in all_labs()}
    notes = {lab: filled_note(lab) for lab in course if lab.note.exists()}
    files |= {lab.note: notes[lab] for lab in labs if lab in notes}
    given = {lab.stem: answers.answer_in(note, lab.stem) for lab, note in notes.items()}
    found = {stem: answer for stem, answer in given.items() if answer}
    files[SYLLABUS] = syllabus(course, found)
    pages = {answers.START_PAGE: answers.for_the_start_page, answers.README: answers.for_the_readme}
    for path, write in pages.items():
        page = path.read_text(encoding="utf-8")
        files[path] = answers.between_the_marks(page, write(course, found), path.name)
    return files


def stale(files: dict[Path, str]) -> list[Path]:
    """The generated files that do not hold what they should."""
    return [
        path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def syllabus(labs: dict[Lab, Woven], found: dict[str, Answer]) -> str:
    """The syllabus as Markdown: one row for each lab that is there, its answer, and what each exercise is worth."""
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
        ]
        if answer := found.get(lab.stem):
            lines += [
                f"*{woven.question}* {answer.sentence}", "",
                f"![{answer.alt}](../lecture_notes/figures/{lab.stem}-answer.svg)", "",
            ]  # fmt: skip
        lines += [
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
