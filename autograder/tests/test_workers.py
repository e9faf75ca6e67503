"""Workers: how many there are changes no score, what dies is graded again, and without a sandbox nothing is graded."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Future
from dataclasses import replace

import pytest

from autograder import batch, demo
from autograder.batch import ATTEMPTS, Options
from autograder.course import Course
from autograder.gradebook import Ledger
from autograder.provisioner import WarmProcessLost
from autograder.worker import OtherVersion, grade
from autograder.workers import LOST, LocalWorkers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(lab, tmp_path_factory):
    """A course with three submissions, not graded yet."""
    course = Course(tmp_path_factory.mktemp("base"))
    course.prepare(lab)
    for submission in demo.make_class(course, lab):
        if submission.student not in ("ada", "hana", "noor"):
            shutil.rmtree(course.folder("submitted", lab, submission.student).parent)
    return course


@pytest.fixture
def course(base, tmp_path):
    shutil.copytree(base.root, tmp_path / "course")
    return Course(tmp_path / "course")


def test_one_worker_and_two_give_the_same(course, lab):
    found = [
        {
            result.student: (result.scores, result.verdicts)
            for result in graded(course, lab, jobs=jobs, force=True)
        }
        for jobs in (1, 2)
    ]
    assert found[0] == found[1]
    assert list(found[0]) != []


def graded(course, lab, **options):
    return list(batch.grade(course, lab, batch.collect(course, lab, None), Options(seed=7, **options)))


class DyingWorkers:
    """Workers whose processes die under one student, and do their work for the others."""

    count = 2

    def __init__(self, victim: str):
        self.victim, self.deaths = victim, 0

    def submit(self, task) -> Future:
        future = Future()
        if task.student == self.victim:
            self.deaths += 1
            future.set_exception(WarmProcessLost("gone"))
        else:
            future.set_result(grade(task))
        return future

    def lost(self, error) -> bool:
        return isinstance(error, WarmProcessLost)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_a_submission_under_which_the_grader_dies_stops_no_other_and_is_graded_in_the_next_run(course, lab):
    students, workers = batch.collect(course, lab, None), DyingWorkers("ada")
    results = {r.student: r for r in batch.grade(course, lab, students, Options(seed=7), workers)}
    assert workers.deaths == ATTEMPTS
    assert "processes died" in results["ada"].problem and results["ada"].score == 0
    assert results["noor"].score == 19
    after = {result.student: result for result in graded(course, lab)}
    assert after["ada"].score == 22 and not after["ada"].problem


def test_a_worker_that_is_killed_while_it_answers_is_missed_at_once(course, lab):
    task = batch.read_task(course, lab, "ada", 7, "[]", Options())
    with LocalWorkers(1, "none") as workers:
        worker, _ = workers._take_worker()
        worker._connection.send((replace(task, problem="x" * (16 << 20)), ""))
        assert worker._connection.poll(60)  # the beginning of a long answer is there
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(LOST):
            worker._connection.recv()
        worker.close()


def test_a_worker_with_another_version_of_the_course_says_so(course, lab):
    task = batch.read_task(course, lab, "ada", 7, "[]", Options())
    with pytest.raises(OtherVersion, match="the same version of the course on every worker"):
        grade(replace(task, version="0" * 64))


NO_NAMESPACES = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'


def run_without_namespaces(course, lab, *options: str) -> subprocess.CompletedProcess:
    """Grade where no user namespace can be made: in one whose own limit is 0."""
    command = [sys.executable, "-m", "autograder", "grade", lab.stem, "--course", str(course.root), *options]
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", NO_NAMESPACES, "sh", *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.skipif(
    not shutil.which("unshare"), reason="unshare is not installed: apt-get install util-linux"
)
def test_where_no_sandbox_can_be_made_grading_refuses_and_writes_nothing(course, lab):
    run = run_without_namespaces(course, lab)
    assert run.returncode == 2, run.stderr
    assert "does not let the grader make a sandbox" in run.stderr
    assert "user.max_user_namespaces" in run.stderr and "--isolation none" in run.stderr
    assert "\n" not in run.stderr.strip(), run.stderr
    with Ledger(course.db_url) as ledger:
        assert ledger.results(lab.stem) == []


@pytest.mark.skipif(
    not shutil.which("unshare"), reason="unshare is not installed: apt-get install util-linux"
)
def test_isolation_none_grades_there_and_the_report_says_so_first(course, lab, tmp_path):
    run = run_without_namespaces(course, lab, "--isolation", "none")
    assert run.returncode == 0, run.stderr
    assert "without a sandbox" in run.stderr
    with Ledger(course.db_url) as ledger:
        results = ledger.results(lab.stem)
    assert {result.student: result.score for result in results} == {"ada": 22, "hana": 14.65, "noor": 19}
    assert {result.isolation for result in results} == {"none"}
    from autograder.report import write_report

    page = write_report(lab, results, tmp_path / "report").read_text(encoding="utf-8")
    body = page[page.index("<main>") :]
    assert body.index("without a sandbox") < body.index("<h1>")


def test_the_workers_inherit_no_lock_of_the_course(course, lab):
    """A second run is refused while the first one goes on, and not after it."""
    running = batch.grade(course, lab, batch.collect(course, lab, None), Options(seed=7))
    next(running)
    command = [sys.executable, "-m", "autograder", "grade", lab.stem, "--course", str(course.root)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and f"process {os.getpid()}" in refused.stderr
    assert len(list(running)) == 2
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
