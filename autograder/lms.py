"""The scores as CSV files: a table for people and spreadsheets, one for Canvas's gradebook, one for Moodle's.

Every submission has its row: one that could not be graded has 0, one that waits for a person has its score so far.
(Not an empty cell: where a score stands already, Canvas counts an empty cell as a change.)

An identifier goes out exactly as it is, because Canvas and Moodle compare it with their own. All other text is made
harmless for a spreadsheet, which would compute a cell that begins with "=": see `harmless`.
"""

import csv
import io
from dataclasses import dataclass
from html import escape

from autograder.feedback import likely
from autograder.result import Result


@dataclass(frozen=True)
class Person:
    """What the gradebook knows of a student besides the id; "" or None where it knows nothing."""

    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    lms_user_id: str | None = None

    @property
    def name(self) -> str:
        """The name as Canvas sorts it: "Lovelace, Ada"."""
        return ", ".join(part for part in (self.last_name, self.first_name) if part)


def class_csv(results: list[Result]) -> str:
    """One row for each submission: score, maximum, each question's points, and why, where it was not graded."""
    questions = list(dict.fromkeys(verdict["question"] for result in results for verdict in result.verdicts))
    rows = [["student", "lab", "score", "max_score", *questions, "waits_for_manual_grade", "problem"]]
    for result in results:
        points = {verdict["question"]: verdict["points"] for verdict in result.verdicts}
        rows.append(
            [harmless(result.student), result.lab, result.score, result.max_score]
            + [points.get(question, 0.0) for question in questions]
            + ["yes" if result.needs_manual_grade else "no", harmless(result.problem)]
        )
    return as_csv(rows)


def canvas_csv(results: list[Result], people: dict[str, Person], assignment: str) -> str:
    """The file for Canvas: Grades → Import. Canvas finds a student by ID, SIS User ID, SIS Login ID, then by name.

    The student's id of the course is the SIS Login ID. An `lms_user_id` of digits is Canvas's own ID, any other one
    the SIS User ID: Canvas reads the leading digits of the ID column as a number, so "4ada" there would be user 4.
    Canvas asks for the assignment where none has this title; the second row sets its points.

    Format: header_row, process_pp and process_student in instructure/canvas-lms, lib/gradebook_importer.rb.
    """
    top = max((result.max_score for result in results), default=0.0)
    rows = [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", assignment],
        ["Points Possible", "", "", "", "", round(top, 2)],
    ]
    for result in results:
        person = people.get(result.student, Person())
        number = person.lms_user_id or ""
        own = number.isascii() and number.isdecimal()
        identifiers = [number if own else "", "" if own else number, result.student]
        rows.append([harmless(person.name or result.student), *identifiers, "", round(result.score, 2)])
    return as_csv(rows)


def moodle_csv(results: list[Result], people: dict[str, Person], assignment: str) -> str:
    """The file for Moodle: Grades → Import → CSV file. Moodle asks there which column holds what.

    Map "Username" (the student's id of the course), "Email address" or "LMS user ID", and map the last two columns
    together to an activity that exists: Moodle cannot give feedback to an item that the import makes, and an import
    of feedback alone removes the grades.

    A column of identifiers stands there only where everyone has one. Moodle skips an empty identifier and gives the
    row's grade to the student of the row before it. One student whom Moodle does not know stops the whole import.

    Format: grade/import/csv/classes/load_data.php of moodle/moodle, and docs.moodle.org, "Grade import".
    """
    columns = {"Username": [result.student for result in results]}
    known = [people.get(result.student, Person()) for result in results]
    for heading, values in (
        ("Email address", [person.email for person in known]),
        ("LMS user ID", [person.lms_user_id for person in known]),
    ):
        if all(values):
            columns[heading] = values
    columns[assignment] = [round(result.score, 2) for result in results]
    # Moodle takes feedback as HTML.
    columns[f"{assignment} (feedback)"] = [
        harmless(escape(in_words(result), quote=False)) for result in results
    ]
    return as_csv([list(columns), *zip(*columns.values())])


def in_words(result: Result) -> str:
    """What a learner lost points on, and why, in one line; nothing that the learner's code returned stands in it."""
    parts = [result.problem] if result.problem else []
    parts += [stop.text for stop in result.stops]
    for verdict in result.verdicts:
        if verdict["points"] != verdict["max_points"]:
            parts.append(f"{verdict['question']}: {verdict['points']:g} of {verdict['max_points']:g} points.")
            parts += [verdict["note"]] if verdict["note"] else []
            parts += [f"{likely(verdict['certain'])} mistake: {cause}" for cause in verdict["causes"]]
    if result.needs_manual_grade:
        parts.append("The written answer is not graded yet.")
    return " ".join(" ".join(parts or ["Every check passed."]).split())


def harmless(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would compute: OWASP, "CSV Injection"."""
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def as_csv(rows: list) -> str:
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    return file.getvalue()
