"""Every lab is whole: its six files, and a bank whose wrong answers are caught and named and whose right ones pass."""

import ast
import re

import jupytext
import nbformat
import pytest

from autograder import batch
from autograder.course import Course
from autograder.function_source import names_defined, names_needed
from autograder.judge import Judge
from autograder.labs import ROOT, all_labs
from autograder.submission import answer_text, fill, solve
from autograder.verify import verify_bank
from autograder.weave import IMPORT, weave
from autograder.wrong_answers import collect

FOLDERS = {
    "labs/source": ".py",
    "solutions": ".py",
    "autograder/checks": ".py",
    "autograder/wrong_answers": ".py",
    "lecture_notes": ".md",
    "lecture_notes/figures": ".py",
}
NOT_LABS = {"__init__", "__main__", "README"}
PAGES_FOR_ALL = {"index", "syllabus", "methods", "glossary", "errata", "references"}

each_lab = pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.stem)


def graded(lab):
    """The functions of a lab that are graded, in their order."""
    return [exercise.name for exercise in weave(lab).exercises]


def given_names(lab):
    """The names that a learner's cell may use: those of the setup cell and of the given functions."""
    names = set()
    for cell in jupytext.reads(lab.source.read_text(encoding="utf-8"), fmt="py:percent").cells:
        tags = cell.metadata.get("tags", [])
        if "setup" in tags:
            names |= names_defined(cell.source)
        if "given" in tags:
            names.add(IMPORT.fullmatch(cell.source.strip())[2])
    return names


@pytest.mark.parametrize(("folder", "suffix"), FOLDERS.items())
def test_every_folder_holds_one_file_for_each_lab_and_no_other(folder, suffix):
    stems = {path.stem for path in (ROOT / folder).glob(f"*{suffix}")} - NOT_LABS - PAGES_FOR_ALL
    assert stems == {lab.stem for lab in all_labs()}


def test_there_are_labs_each_with_a_number_of_its_own():
    stems = [lab.stem for lab in all_labs()]
    assert stems and all(re.fullmatch(r"lab\d\d_[a-z0-9_]+", stem) for stem in stems)
    assert len({stem[:5] for stem in stems}) == len(stems)


@each_lab
def test_every_graded_function_has_wrong_and_other_right_answers(lab):
    wrong, right = collect(lab.answers)
    for question in graded(lab):
        assert sum(answer.question == question for answer in wrong) >= 3, question
        assert sum(answer.question == question for answer in right) >= 2, question
    assert {answer.question for answer in wrong + right} == set(graded(lab))


@each_lab
def test_no_answer_of_a_bank_is_lost_by_a_name_used_twice(lab):
    tree = ast.parse(lab.answers_path.read_text(encoding="utf-8"))
    marked = [
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.decorator_list
    ]
    assert sorted(marked) == sorted(answer.name for answers in collect(lab.answers) for answer in answers)


@each_lab
def test_every_mistake_has_a_sentence_of_its_own(lab):
    wrong, _ = collect(lab.answers)
    sentences = [(answer.question, answer.sentence) for answer in wrong]
    assert len(set(sentences)) == len(sentences)
    assert all(re.fullmatch(r"[A-Z].{15,}\.", sentence) for _, sentence in sentences)


@each_lab
def test_every_answer_is_a_cell_that_needs_only_what_the_setup_gives(lab):
    names = given_names(lab)
    for answer in [answer for answers in collect(lab.answers) for answer in answers]:
        text = answer_text(lab, answer.question, answer.name)
        assert names_defined(text) == {answer.question}, answer.name
        assert names_needed(text) <= names, answer.name


@each_lab
def test_ten_seeds_find_every_mistake_caught_and_named_and_every_right_answer_accepted(lab):
    assert {kind: names for kind, names in verify_bank(lab, range(10)).items() if names} == {}


@each_lab
def test_no_verdict_depends_on_the_order_of_the_checks(lab):
    def verdicts(judge):
        judged = {}
        for answer in judge.wrong + judge.right:
            verdict = judge.judge(answer.question, 1.0, judge.outcomes(answer.question, answer.function))
            judged[answer.name] = (
                verdict.points,
                verdict.causes,
                {item.name: item for item in verdict.checks},
            )
        return judged

    forwards, backwards = Judge(lab, 11), Judge(lab, 11)
    backwards.checks = {question: checks[::-1] for question, checks in backwards.checks.items()}
    assert verdicts(forwards) == verdicts(backwards)


@each_lab
@pytest.mark.slow
def test_a_class_that_solves_the_lab_or_does_not_gets_all_points_or_none(lab, tmp_path):
    """The released notebook through the whole grader: blank, with the reference, with other right answers."""
    course = Course(tmp_path)
    course.prepare(lab)
    released = nbformat.read(course.notebook("release", lab), as_version=4)
    others = {
        answer.question: answer_text(lab, answer.question, answer.name) for answer in collect(lab.answers)[1]
    }
    handed_in = {
        "blank": released,
        "reference": solve(released, lab, graded(lab)),
        "other": fill(released, others),
    }
    for student, notebook in handed_in.items():
        course.folder("submitted", lab, student).mkdir(parents=True)
        nbformat.write(notebook, course.notebook("submitted", lab, student))
    results = {result.student: result for result in batch.grade(course, lab, sorted(handed_in))}
    assert not any(result.problem or result.stops for result in results.values())
    machine = {
        name: sum(verdict["points"] for verdict in result.verdicts) for name, result in results.items()
    }
    assert machine == {"blank": 0, "reference": (total := total_points(lab)), "other": total}


def total_points(lab):
    return sum(exercise.points for exercise in weave(lab).exercises)
