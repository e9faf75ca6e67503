"""The class in nbgrader's gradebook: our scores, a plain nbgrader's scores, regrading, feedback."""

import shutil

import nbformat
import pytest

from autograder import batch
from autograder.course import Course
from autograder.gradebook import Ledger
from autograder.wrong_answers import collect

pytestmark = pytest.mark.slow


def auto_scores(course: Course, lab, student: str) -> dict[str, float | None]:
    """The machine's score of each cell, from the gradebook."""
    with course.gradebook() as gradebook:
        submission = gradebook.find_submission(lab.stem, student)
        return {
            grade.name: grade.auto_score for notebook in submission.notebooks for grade in notebook.grades
        }


def test_right_answers_earn_everything_and_the_blank_nothing(graded):
    _, results = graded
    assert [results[name].score for name in ("ada", "bao", "chidi", "dana")] == [22, 22, 22, 0]


def test_an_accident_costs_only_its_own_cell(graded):
    _, results = graded
    lost = {
        name: {v["question"] for v in results[name].verdicts if v["points"] != v["max_points"]}
        for name in ("ivan", "june", "kofi", "lena", "mei", "noor")
    }
    assert lost == {
        "ivan": {"uniform_masks"}, "june": {"threshold_mask"}, "kofi": set(), "lena": set(),
        "mei": {"choose_sparsities"}, "noor": {"choose_sparsities"},
    }  # fmt: skip


def test_every_student_is_in_the_gradebook_also_the_one_without_a_notebook(graded, lab):
    course, results = graded
    assert "not JSON" in results["omar"].problem
    assert set(auto_scores(course, lab, "omar").values()) == {0}
    with Ledger(course.db_url) as ledger:
        assert {result.student: result.max_score for result in ledger.results(lab.stem)} == dict.fromkeys(
            results, 25
        )


def test_wrong_answers_read_the_sentence_of_their_mistake(graded, lab):
    _, results = graded
    first = {}
    for answer in collect(lab.answers)[0]:
        first.setdefault(answer.question, answer.sentence)
    assert {verdict["question"]: verdict["causes"] for verdict in results["emil"].verdicts} == {
        question: [sentence] for question, sentence in first.items()
    }


def test_a_written_answer_waits_for_a_person(graded):
    _, results = graded
    assert results["ada"].needs_manual_grade
    assert not results["bao"].needs_manual_grade  # left empty: 0 without a person


def test_grading_again_changes_no_score_and_keeps_the_grade_by_hand(graded, lab):
    course, results = graded
    with course.gradebook() as gradebook:
        grade = gradebook.find_grade("which_layer_first", lab.stem, lab.stem, "ada")
        grade.manual_score, grade.needs_manual_grade = 2, False
        gradebook.db.commit()
    again = batch.grade(course, lab, ["ada", "omar", "hana"], batch.Options(force=True))
    again = {result.student: result for result in again}
    assert again["ada"].score == results["ada"].score + 2
    assert again["omar"].score == 0
    assert again["hana"].score == results["hana"].score


def test_a_plain_nbgrader_gives_the_same_scores(graded, lab, nbgrader, tmp_path):
    """Without our configuration, for every submission that nbgrader can finish by itself.

    A copied test cell stops nbgrader's batch, so that student is left out; and so are the three attackers, whom
    nothing stops there.
    """
    ours, results = graded
    plain = Course(tmp_path)
    for step in ("source", "submitted"):
        shutil.copytree(ours.root / step, plain.root / step)
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\n", encoding="utf-8")
    assert nbgrader(tmp_path, "generate_assignment", lab.stem).returncode == 0
    left_out = {"lena", "petra", "quin", "rafa"}
    for student in left_out:
        shutil.rmtree(plain.folder("submitted", lab, student).parent)
    run = nbgrader(tmp_path, "autograde", lab.stem)

    compared, unfinished = [], set()
    for student in results.keys() - left_out:
        try:
            scores = auto_scores(plain, lab, student)
        except Exception:
            scores = {}
        machine = {name: score for name, score in scores.items() if name != "which_layer_first"}
        if not machine or None in machine.values() or not plain.notebook("autograded", lab, student).exists():
            unfinished.add(student)
            continue
        assert scores == auto_scores(ours, lab, student), (student, run.stderr[-3000:])
        compared.append(student)
    assert unfinished == {"kofi", "noor", "omar"}, run.stderr[-3000:]
    assert len(compared) == 11


def test_nbgraders_own_feedback_shows_the_verdict_and_no_hidden_check(graded, lab, nbgrader):
    course, _ = graded
    assert nbgrader(course.root, "generate_feedback", lab.stem, "--student", "emil").returncode == 0
    page = (course.root / "feedback" / "emil" / lab.stem / f"{lab.stem}.html").read_text(encoding="utf-8")
    assert "Likely mistake" in page
    assert "def large_weights_stay" not in page
    assert "rng" not in page


def test_an_autograded_notebook_keeps_the_seed_so_that_the_run_can_be_repeated(graded, lab):
    course, results = graded
    notebook = nbformat.read(course.notebook("autograded", lab, "goran"), as_version=4)
    assert notebook.metadata["pruning_course"] == {"lab": lab.stem, "seed": results["goran"].seed}


def test_the_formgraders_button_grades_with_our_configuration(graded, lab, nbgrader):
    """It calls nbgrader's API in the course folder, where our nbgrader_config.py lies."""
    course, results = graded
    run = nbgrader(course.root, "autograde", lab.stem, "--student", "lena", "--force")
    assert run.returncode == 0, run.stderr
    with Ledger(course.db_url) as ledger:
        assert ledger.score(lab.stem, "lena")[0] == results["lena"].score
