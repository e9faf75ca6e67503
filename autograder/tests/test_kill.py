"""Kill -9 at random instants: what is in the gradebook at the end is what an undisturbed run writes."""

import json
import os
import random
import shutil
import time
from pathlib import Path

import psutil
import pytest

from autograder import batch
from autograder.batch import Options
from autograder.gradebook import Ledger
from autograder.tests import runs
from autograder.tests.runs import Run

pytestmark = pytest.mark.slow

UNDISTURBED = 6  # about so many seconds takes a run; only to draw the instants from
MAY_STAY = ("pymp-", "warm-", "submission-")  # temporary folders of a process that was killed


@pytest.fixture(scope="module")
def base(lab, tmp_path_factory):
    """A course with its class, not graded yet."""
    course = runs.Course(tmp_path_factory.mktemp("base"))
    runs.make_class(course, lab)
    return course


@pytest.fixture(scope="module")
def undisturbed(base, lab, tmp_path_factory):
    """What a run that nobody kills leaves: the gradebook, the notebooks, and no temporary file."""
    folder = tmp_path_factory.mktemp("calm")
    course = runs.copied(base, folder / "course")
    Run(course, folder / "t", "--jobs", 2).end()
    assert not list((folder / "t").iterdir())
    return runs.state(course)


@pytest.fixture
def dice():
    """Draws the instants and the victims; a failing test prints its seed, and KILL_SEED=… draws the same ones."""
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(10**6))
    print(f"KILL_SEED={seed}")
    return random.Random(seed)


def kill_one(run: Run, kinds: list[str], dice: random.Random) -> str:
    """Kill -9 a process of one of these kinds. Returns the kind, "" where there is none now."""
    processes = run.processes()
    kinds = [kind for kind in kinds if processes[kind]]
    if not kinds or not run.running:
        return ""
    kind = dice.choice(kinds)
    try:
        dice.choice(processes[kind]).kill()
    except psutil.NoSuchProcess:
        return ""
    return kind


def nothing_but_folders_of_the_dead(temporary: Path) -> None:
    left = [path.name for path in temporary.iterdir()]
    assert all(name.startswith(MAY_STAY) for name in left), left


@pytest.mark.parametrize("released", [True, False])
@pytest.mark.parametrize("kills", [12, pytest.param(500, marks=pytest.mark.soak)])
def test_killing_the_coordinator(kills, released, base, lab, undisturbed, dice, tmp_path):
    """While it grades and, where the lab is not released yet, while it releases it."""
    done = lives = 0
    kills = kills if released else kills // 3
    with runs.adopting():
        while done < kills:
            lives += 1
            course = runs.copied(base, tmp_path / f"course{lives}", released=released)
            temporary = tmp_path / f"t{lives}"
            while True:  # until it ends by itself
                before, run = runs.family(), Run(course, temporary, "--jobs", 2)
                if done < kills:
                    time.sleep(dice.uniform(0, UNDISTURBED + 3 * (not released)))
                    done += bool(kill_one(run, ["coordinator"], dice))
                    run.process.wait()
                    runs.nobody_is_left(before)
                    nothing_but_folders_of_the_dead(temporary)
                else:
                    run.end()
                if run.process.returncode >= 0:
                    run.end()
                    break
            runs.the_same(course, undisturbed)
            shutil.rmtree(course.root)
    print(f"{done} kills in {lives} courses")


@pytest.mark.parametrize("kills", [12, pytest.param(500, marks=pytest.mark.soak)])
def test_killing_what_the_coordinator_started(kills, base, lab, undisturbed, dice, tmp_path):
    """Workers, the warm process, monitors of kernels: the same run goes on."""
    done = lives = 0
    killed = []
    while done < kills:
        lives += 1
        course = runs.copied(base, tmp_path / f"course{lives}")
        run, some = Run(course, tmp_path / f"t{lives}", "--jobs", 2), 0
        while run.running and some < 4:
            time.sleep(dice.uniform(0, UNDISTURBED))
            kind = kill_one(run, ["worker", "worker", "warm", "monitor", "monitor", "forkserver"], dice)
            killed.append(kind)
            some += bool(kind)
        print(killed)
        run.end()
        done += some
        nothing_but_folders_of_the_dead(tmp_path / f"t{lives}")
        runs.the_same(course, undisturbed)


@pytest.mark.parametrize("count, kills", [(32, 3), pytest.param(1000, 30, marks=pytest.mark.soak)])
def test_a_larger_class(count, kills, base, lab, undisturbed, dice, tmp_path):
    """Everybody gets what the first one with the same notebook got, whoever is killed meanwhile."""
    course = runs.copied(base, tmp_path / "course")
    for number in range(count - len(runs.STUDENTS)):
        student = runs.STUDENTS[number % len(runs.STUDENTS)]
        shutil.copytree(
            course.root / "submitted" / student, course.root / "submitted" / f"{student}-{number}"
        )
    while kills:
        run = Run(course, tmp_path / "t", "--jobs", 2)
        time.sleep(dice.uniform(0, count / 4 + UNDISTURBED))
        kills -= bool(kill_one(run, ["coordinator", "worker", "warm"], dice))
        if not run.running:
            break
        run.process.wait()
    Run(course, tmp_path / "t", "--jobs", 2).end()
    with Ledger(course.db_url) as ledger:
        found = {result.student: result for result in ledger.results(lab.stem)}
    assert len(found) == count
    for student, result in found.items():
        first = found[student.partition("-")[0]]
        assert (result.scores, result.verdicts, result.problem) == (
            first.scores,
            first.verdicts,
            first.problem,
        )


# --- grading again -----------------------------------------------------------------------------------------------


@pytest.fixture
def graded(base, lab, tmp_path):
    course = runs.copied(base, tmp_path / "course")
    list(batch.grade(course, lab, batch.collect(course, lab, None), Options(seed=runs.SEED)))
    return course


def grade_by_hand(course, lab) -> None:
    with course.gradebook() as gradebook:
        grade = gradebook.find_grade("which_layer_first", lab.stem, lab.stem, "ada")
        grade.manual_score, grade.needs_manual_grade = 2.5, False
        gradebook.find_comment("which_layer_first", lab.stem, lab.stem, "ada").manual_comment = "Well seen."
        gradebook.db.commit()


def times(course) -> dict[str, int]:
    """When each notebook of autograded/ was written."""
    return {path.parts[-3]: path.stat().st_mtime_ns for path in (course.root / "autograded").rglob("*.ipynb")}


def again(course, lab, **options):
    return list(
        batch.grade(course, lab, batch.collect(course, lab, None), Options(seed=runs.SEED, **options))
    )


def test_grading_twice_changes_nothing(graded, lab):
    grade_by_hand(graded, lab)
    before = runs.rows(graded), times(graded)
    results = {result.student: result.score for result in again(graded, lab)}
    assert (runs.rows(graded), times(graded)) == before
    assert results["ada"] == 24.5


def test_a_changed_submission_is_graded_again_and_no_other(graded, lab):
    grade_by_hand(graded, lab)
    before, written = runs.rows(graded), times(graded)
    shutil.copyfile(graded.notebook("submitted", lab, "bao"), graded.notebook("submitted", lab, "hana"))
    results = {result.student: result.score for result in again(graded, lab)}
    assert results["hana"] == results["bao"] == 22
    assert {name for name, when in times(graded).items() if when != written[name]} == {"hana"}
    record = lambda rows: {row["student"]: row for row in rows["pruning_course_result"]}
    old, new = record(before), record(runs.rows(graded))
    assert {student for student in old if old[student] != new[student]} == {"hana"}


def test_force_grades_all_again_and_keeps_what_a_person_entered(graded, lab):
    grade_by_hand(graded, lab)
    before, written = runs.gradebook(graded), times(graded)
    seconds = {row["student"]: json.loads(row["record"])["seconds"]
               for row in runs.rows(graded)["pruning_course_result"]}  # fmt: skip
    results = {result.student: result for result in again(graded, lab, force=True)}
    assert runs.gradebook(graded) == before
    assert all(result.seconds != seconds[student] for student, result in results.items())
    assert all(when != written[student] for student, when in times(graded).items())
    assert results["ada"].score == 24.5 and not results["ada"].needs_manual_grade
    with graded.gradebook() as gradebook:
        comment = gradebook.find_comment("which_layer_first", lab.stem, lab.stem, "ada")
        assert comment.manual_comment == "Well seen."
