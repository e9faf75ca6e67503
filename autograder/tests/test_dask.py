"""Grading on a dask cluster: a real scheduler and two worker processes on this machine."""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from autograder import batch
from autograder.batch import Options
from autograder.labs import ROOT, UsageError
from autograder.tests import runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not importlib.util.find_spec("distributed"), reason="dask is not installed: pip install distributed"
    ),
]


class Cluster:
    """A scheduler and its workers, as processes that the test started.

    Args:
        folder: for its files.
        workers: how many, of one thread each.
        nanny: let a nanny start a killed worker again.
    """

    def __init__(self, folder: Path, workers: int, nanny: bool = False):
        self._folder, self.processes = folder, []
        file = folder / "scheduler.json"
        self._start("scheduler", "--host=127.0.0.1", "--port=0", f"--scheduler-file={file}")
        while not file.exists():
            assert self.processes[0].poll() is None
            time.sleep(0.1)
        self.address = json.loads(file.read_text(encoding="utf-8"))["address"]
        nannies = "--nanny" if nanny else "--no-nanny"
        for _ in range(workers):
            self._start("worker", self.address, "--nthreads=1", nannies, f"--local-directory={folder}")

    def _start(self, kind: str, *arguments: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard", *arguments]
        with (self._folder / "log").open("ab") as log:
            self.processes.append(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log))

    def worker_process(self, number: int) -> psutil.Process:
        """The process in which a worker grades: the one that was started, or its nanny's child."""
        started = psutil.Process(self.processes[1 + number].pid)
        below = [child for child in started.children() if "spawn_main" in " ".join(child.cmdline())]
        return below[0] if below else started

    def end(self) -> None:
        """End the workers, then the scheduler; a worker that loses it while it ends waits for ever."""
        for process in reversed(self.processes):
            process.terminate()
            process.wait(runs.END)


@pytest.fixture
def cluster(tmp_path) -> Iterator[Cluster]:
    """Makes a cluster: cluster(workers, nanny=…). In the end nothing of it is left."""
    before, made = runs.family(), []

    def make(*arguments, **options):
        made.append(Cluster(tmp_path, *arguments, **options))
        return made[-1]

    with runs.adopting():
        try:
            yield make
        finally:
            for one in made:
                one.end()
        runs.nobody_is_left(before)


@pytest.fixture(scope="module")
def base(lab, tmp_path_factory):
    course = runs.Course(tmp_path_factory.mktemp("base"))
    runs.make_class(course, lab)
    return course


@pytest.fixture(scope="module")
def local(base, lab, tmp_path_factory):
    """What the same class gets on this machine's own workers."""
    course = runs.copied(base, tmp_path_factory.mktemp("local") / "course")
    list(batch.grade(course, lab, list(runs.STUDENTS), Options(seed=runs.SEED, jobs=2)))
    return runs.state(course)


def test_a_cluster_gives_the_gradebook_of_this_machine(base, local, lab, cluster, tmp_path):
    course = runs.copied(base, tmp_path / "course")
    options = Options(seed=runs.SEED, scheduler=cluster(2).address)
    results = list(batch.grade(course, lab, list(runs.STUDENTS), options))
    assert {result.student for result in results} == set(runs.STUDENTS)
    runs.the_same(course, local)


@pytest.mark.parametrize("nanny", [False, True])
def test_a_worker_that_is_killed_in_the_middle_loses_nothing(nanny, base, local, lab, cluster, tmp_path):
    course, made = runs.copied(base, tmp_path / "course"), cluster(2, nanny=nanny)
    results = []
    for result in batch.grade(
        course, lab, list(runs.STUDENTS), Options(seed=runs.SEED, scheduler=made.address)
    ):
        results.append(result.student)
        if len(results) == 2:
            made.worker_process(0).kill()
    assert sorted(results) == sorted(runs.STUDENTS)
    runs.the_same(course, local)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "http://x:1"])
def test_a_wrong_address_ends_with_one_sentence(address, base, lab, tmp_path):
    course = runs.copied(base, tmp_path / "course")
    run = runs.Run(course, tmp_path / "t", "--scheduler", address)
    assert run.process.wait(runs.END) == 2
    said = run.log.read_text(encoding="utf-8").strip()
    assert len(said.splitlines()) == 1 and "scheduler" in said and address in said, said


def test_a_cluster_without_workers_is_said_and_not_waited_for(base, lab, cluster, tmp_path):
    course = runs.copied(base, tmp_path / "course")
    with pytest.raises(UsageError, match="no workers"):
        list(batch.grade(course, lab, ["ada"], Options(scheduler=cluster(0).address)))
