"""The course's answer to each lab's question, in one sentence and one picture: from the chapters into three pages.

A lecture note states the sentence once, behind "**In one sentence.**", and shows the picture
`figures/STEM-answer.svg` with its text alternative. The start page of the notes, the README and the syllabus repeat both.
"""

import html
import re
from dataclasses import dataclass

from autograder.labs import ROOT, Lab, UsageError
from autograder.note_numbers import MARKED
from autograder.weave import Woven

START_PAGE = ROOT / "lecture_notes" / "index.md"
README = ROOT / "README.md"
SENTENCE = re.compile(r"^\*\*In one sentence\.\*\* (.+?)\n\n", re.MULTILINE | re.DOTALL)
BEGIN = "<!-- The answers, from the chapters, by `python -m autograder weave`. -->"
END = "<!-- The end of the answers. -->"


@dataclass(frozen=True)
class Answer:
    """What a chapter says about its lab's question."""

    sentence: str
    alt: str


def answer_in(note: str, stem: str) -> Answer | None:
    """The answer that the text of a note gives, its numbers without their keys; None while it gives none.

    Raises:
        UsageError: the note has the sentence and not the picture.
    """
    sentence = SENTENCE.search(note)
    if not sentence:
        return None
    picture = re.search(rf"!\[([^\]]+)\]\(figures/{stem}-answer\.svg\)", note)
    if not picture:
        raise UsageError(
            f"{stem}.md answers its question and does not show figures/{stem}-answer.svg: add the picture."
        )
    return Answer(
        " ".join(MARKED.sub(r"\1%", sentence[1]).split()),
        " ".join(picture[1].split()),
    )


def picture(stem: str, answer: Answer, folder: str, width: int) -> str:
    """The picture as HTML, since Markdown has no width."""
    alt = html.escape(answer.alt)
    return f'<img src="{folder}figures/{stem}-answer.svg" width="{width}" alt="{alt}">'


def hours(labs: dict[Lab, Woven]) -> str:
    """How long the course takes, in words."""
    minutes = sum(woven.minutes for woven in labs.values())
    return f"The {len(labs)} labs that are there take about {round(minutes / 60)} hours."


def for_the_start_page(labs: dict[Lab, Woven], answers: dict[str, Answer]) -> str:
    """A section for each lab: question, answer, picture."""
    lines = [hours(labs)]
    for lab, woven in labs.items():
        if answer := answers.get(lab.stem):
            lines += [
                "", f"### {woven.title}", "", f"*{woven.question}* {answer.sentence}", "",
                f"![{answer.alt}](figures/{lab.stem}-answer.svg)", "",
                f"[Chapter]({lab.stem}.md) · [notebook](../labs/{lab.stem}.ipynb)",
            ]  # fmt: skip
    return "\n".join(lines)


def for_the_readme(labs: dict[Lab, Woven], answers: dict[str, Answer]) -> str:
    """A table with a row for each lab."""
    lines = [hours(labs), "", "| question | what the course finds | in one picture |", "|---|---|---|"]
    for lab, woven in labs.items():
        if answer := answers.get(lab.stem):
            shown = picture(lab.stem, answer, "lecture_notes/", 240)
            lines.append(
                f"| [{woven.title}](lecture_notes/{lab.stem}.md): {woven.question} | {answer.sentence} | {shown} |"
            )
    return "\n".join(lines)


def between_the_marks(page: str, text: str, name: str) -> str:
    """The page with the text between BEGIN and END.

    Raises:
        UsageError: the page has not both marks, once, in this order.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise UsageError(f"{name} must hold, once each and in this order, the lines “{BEGIN}” and “{END}”.")
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}"
