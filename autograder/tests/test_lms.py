"""The CSV files: what Canvas and Moodle demand of them, and what a spreadsheet must not compute."""

import csv
import io

import pytest

from autograder.judge import Verdict
from autograder.lms import Person, canvas_csv, class_csv, harmless, in_words, moodle_csv
from autograder.result import Result, Stop

PEOPLE = {
    "ada": Person("Ada", "Lovelace", "ada@uni.example", "4711"),
    "bao": Person("Bảo", "Ngô", "bao@uni.example", "0815"),
}


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def result(student: str, score: float = 7.5, points: float = 1.5, **more) -> Result:
    wrong = Verdict("row_scores", points, 2.0).plain() | {
        "causes": ["You took `p` <b> for granted."], "certain": True,
        "checks": [{"passed": False, "returned": "=SECRET()", "problem": "=SECRET()", "expected": "1"}],
    }  # fmt: skip
    return Result(student, "lab03", 1, score=score, max_score=10.0, **{"verdicts": [wrong]} | more)


def test_canvas_gets_the_header_the_points_and_one_row_for_each_student():
    class_ = [
        result("ada", 20 / 3),
        result("zoe", needs_manual_grade=True),
        result("omar", 0.0, problem="Unread."),
    ]
    assert rows(canvas_csv(class_, PEOPLE, "lab03")) == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "lab03"],
        ["Points Possible", "", "", "", "", "10.0"],
        ["Lovelace, Ada", "4711", "", "ada", "", "6.67"],
        ["zoe", "", "", "zoe", "", "7.5"],
        ["omar", "", "", "omar", "", "0.0"],
    ]


@pytest.mark.parametrize("number", ["4ada", "½", "٣", "-4", "4.0", "a-1"])
def test_canvas_gets_an_id_only_where_it_is_a_number(number):
    row = rows(canvas_csv([result("ada")], {"ada": Person(lms_user_id=number)}, "lab03"))[2]
    assert row[:4] == ["ada", "", number, "ada"]


def test_moodle_gets_points_and_feedback_for_each_student():
    table = rows(moodle_csv([result("ada"), result("bao", 10.0, 2.0)], PEOPLE, "lab03"))
    assert table[0] == ["Username", "Email address", "LMS user ID", "lab03", "lab03 (feedback)"]
    assert table[1][:4] == ["ada", "ada@uni.example", "4711", "7.5"]
    escaped = "row_scores: 1.5 of 2 points. Likely mistake: You took `p` &lt;b&gt; for granted."
    assert table[1][4] == escaped  # Moodle reads HTML
    assert table[2] == ["bao", "bao@uni.example", "0815", "10.0", "Every check passed."]


@pytest.mark.parametrize("missing", ["", None])
def test_moodle_gets_no_column_in_which_an_identifier_is_missing(missing):
    """Moodle would give the grade of such a row to the student of the row before it."""
    people = PEOPLE | {"bao": Person("Bảo", "Ngô", missing, "0815")}
    table = rows(moodle_csv([result("ada"), result("bao")], people, "lab03"))
    assert table[0] == ["Username", "LMS user ID", "lab03", "lab03 (feedback)"]
    assert rows(moodle_csv([result("ada"), result("zoe")], PEOPLE, "lab03"))[0][:2] == ["Username", "lab03"]


def test_words_are_one_line_and_hold_nothing_that_the_learners_code_returned():
    stop = Stop(3, "memory", "Cell 3 was stopped:\nit needed too much memory.")
    text = in_words(result("ada", stops=[stop], problem="Unread.", needs_manual_grade=True))
    assert text.startswith(
        "Unread. Cell 3 was stopped: it needed too much memory. row_scores: 1.5 of 2 points."
    )
    assert text.endswith("The written answer is not graded yet.")
    assert "SECRET" not in text and "\n" not in text


def test_the_table_holds_each_questions_points_and_why_something_was_not_graded():
    class_ = [result("ada", needs_manual_grade=True), result("omar", 0.0, problem="Unread.", verdicts=[])]
    assert rows(class_csv(class_)) == [
        ["student", "lab", "score", "max_score", "row_scores", "waits_for_manual_grade", "problem"],
        ["ada", "lab03", "7.5", "10.0", "1.5", "yes", ""],
        ["omar", "lab03", "0.0", "10.0", "0.0", "no", "Unread."],
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", " =1", "\t=1", "\r\n=1"])
def test_a_spreadsheet_computes_no_text_and_an_lms_gets_its_identifier_exactly(text):
    assert harmless(text) == f"'{text}" and harmless("ada=1") == "ada=1"
    person = {text: Person(text, text, text, text)}
    table = rows(class_csv([result(text, -1.0, problem=text)]))[1]
    assert (table[0], table[2], table[-1]) == (f"'{text}", "-1.0", f"'{text}")
    name, number, sis, login, *_ = rows(canvas_csv([result(text)], person, "lab03"))[2]
    assert (name, number, sis, login) == (f"'{text}, {text}", "", text, text)
    assert rows(moodle_csv([result(text)], person, "lab03"))[1][:3] == [text, text, text]


def test_ids_with_commas_quotes_and_line_ends_survive():
    odd = 'a,"b"\r\nc'
    assert rows(canvas_csv([result(odd)], {}, "lab03"))[2][3] == odd
    assert rows(moodle_csv([result(odd)], {}, "lab03"))[1][0] == odd
