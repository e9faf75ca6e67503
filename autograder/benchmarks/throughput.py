"""`make bench`: how long a submission takes from the submitted notebook to the gradebook, here and with nbgrader.

Both grade the same class, in turns in one run on the same cores. nbgrader grades it twice over: as the lab stands
(each kernel starts a judge beside it), and with every hidden check replaced by the cheapest test there is, `assert
callable(f)`, which is a lower bound for any course that tests inside the kernel. The headline is against the latter.
"""

import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import nbformat
import psutil
import typer
from rich.console import Console
from rich.table import Table

from autograder.course import Course
from autograder.demo import bundled_class
from autograder.gradebook import Ledger
from autograder.kernel import is_hidden_check
from autograder.labs import Lab, find_lab
from autograder.repair import grade_id_of
from autograder.weave import weave

# Those of the bundled class that a plain nbgrader finishes.
HONEST = ("ada", "bao", "chidi", "dana", "emil", "fatima", "goran", "hana")
out = Console()


@dataclass
class Run:
    """What one run took: seconds for a submission, and the peak memory of all its processes, in bytes."""

    seconds: float
    memory: int


def main(
    submissions: Annotated[int, typer.Option(min=2, help="How many submissions.")] = 24,
    rounds: Annotated[int, typer.Option(min=1, help="How many rounds, all of them in turns.")] = 3,
    growth: Annotated[
        str, typer.Option(help="Also grade these numbers of submissions, such as 100,1000.")
    ] = "",
) -> None:
    """Measure the throughput and print it."""
    lab = find_lab("lab03")
    with TemporaryDirectory() as folder:
        course = make_course(Path(folder) / "ours", lab, submissions)
        single = make_course(Path(folder) / "single", lab, 1)
        plain = copy_for_nbgrader(course, Path(folder) / "nbgrader", lab, cheapest=False)
        cheap = copy_for_nbgrader(course, Path(folder) / "cheapest", lab, cheapest=True)
        ways = {
            "this grader, 1 worker": lambda: grade(course, lab, 1, submissions),
            "this grader, 2 workers": lambda: grade(course, lab, 2, submissions),
            "nbgrader autograde, cheapest tests": lambda: autograde(cheap, lab, submissions),
            "nbgrader autograde, this lab": lambda: autograde(plain, lab, submissions),
        }
        runs: dict[str, list[Run]] = {name: [] for name in ways}
        for number in range(rounds):
            for name, way in ways.items():
                out.print(f"round {number + 1} of {rounds}: {name} …", style="dim")
                runs[name].append(way())
        print_runs(runs, submissions)
        print_start([grade(single, lab, 2, 1).seconds for _ in range(rounds)], runs, submissions)
        print_phases(course, lab)
        for count in map(int, filter(None, growth.split(","))):
            larger = make_course(Path(folder) / f"n{count}", lab, count)
            run = grade(larger, lab, 2, count)
            out.print(
                f"{count} submissions, 2 workers: {run.seconds:.3f} s each, peak memory {run.memory / 2**20:.0f} MiB"
            )


def make_course(root: Path, lab: Lab, submissions: int) -> Course:
    """A course with a class of the demo's honest submissions, over and over."""
    course = Course(root)
    course.prepare(lab)
    released = nbformat.read(course.notebook("release", lab), as_version=4)
    texts = {item.student: item.text for item in bundled_class(lab, released, weave(lab))}
    for number in range(submissions):
        path = course.notebook("submitted", lab, f"s{number:04}")
        path.parent.mkdir(parents=True)
        path.write_text(texts[HONEST[number % len(HONEST)]], encoding="utf-8")
    return course


def copy_for_nbgrader(course: Course, root: Path, lab: Lab, *, cheapest: bool) -> Course:
    """The same class in a course folder without our configuration."""
    copy = Course(root)
    for step in ("source", "submitted"):
        shutil.copytree(course.root / step, root / step)
    (root / "nbgrader_config.py").write_text("c = get_config()\n", encoding="utf-8")
    if cheapest:
        path = copy.notebook("source", lab)
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if is_hidden_check(cell):
                cell.source = (
                    f"### BEGIN HIDDEN TESTS\nassert callable({grade_id_of(cell)})\n### END HIDDEN TESTS"
                )
        nbformat.write(notebook, path)
    run_command(["-m", "nbgrader", "generate_assignment", lab.stem], root, 1)
    return copy


def grade(course: Course, lab: Lab, jobs: int, submissions: int) -> Run:
    command = [
        "-m",
        "autograder",
        "grade",
        lab.stem,
        "--course",
        str(course.root),
        "--force",
        "--jobs",
        str(jobs),
    ]
    return run_command(command, course.root, submissions)


def autograde(course: Course, lab: Lab, submissions: int) -> Run:
    shutil.rmtree(course.root / "autograded", ignore_errors=True)
    return run_command(["-m", "nbgrader", "autograde", lab.stem], course.root, submissions)


def run_command(arguments: list[str], folder: Path, submissions: int) -> Run:
    """Run Python with these arguments; what it took is divided by the number of submissions."""
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": scripts + os.pathsep + os.environ["PATH"]}
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env=environment, text=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    peak = [0]
    watcher = threading.Thread(target=watch_memory, args=(process, peak), daemon=True)
    watcher.start()
    error = process.stderr.read()
    status = process.wait()
    seconds = time.perf_counter() - start
    watcher.join()
    if status:
        raise SystemExit(f"{' '.join(arguments)} ended with status {status}:\n{error[-2000:]}")
    return Run(seconds / submissions, peak[0])


def watch_memory(process: subprocess.Popen, peak: list[int]) -> None:
    """Sample the memory of a process and its children; pages that they share count once (PSS)."""
    while process.poll() is None:
        total = 0
        try:
            parent = psutil.Process(process.pid)
            for one in [parent, *parent.children(recursive=True)]:
                with_shared = one.memory_full_info()
                total += getattr(with_shared, "pss", with_shared.rss)
        except psutil.Error:
            continue
        peak[0] = max(peak[0], total)
        time.sleep(0.5)


def print_runs(runs: dict[str, list[Run]], submissions: int) -> None:
    table = Table(title=f"{submissions} submissions; seconds for each, the whole way to the gradebook")
    for heading in ("", "median", "lowest to highest", "peak MiB"):
        table.add_column(heading, justify="left" if not heading else "right")
    medians = {}
    for name, found in runs.items():
        seconds = [run.seconds for run in found]
        medians[name] = statistics.median(seconds)
        table.add_row(
            name, f"{medians[name]:.2f}", f"{min(seconds):.2f} to {max(seconds):.2f}",
            f"{max(run.memory for run in found) / 2**20:.0f}",
        )  # fmt: skip
    out.print(table)
    one, two, cheapest, this_lab = medians.values()
    out.print(
        f"nbgrader with the cheapest tests takes {cheapest / two:.1f} times as long as 2 workers, {cheapest / one:.1f} times as long as 1",
        soft_wrap=True,
    )
    out.print(
        f"nbgrader on this lab as it stands: {this_lab / two:.1f} and {this_lab / one:.1f} times as long"
    )


def print_start(alone: list[float], runs: dict[str, list[Run]], submissions: int) -> None:
    """What a run takes whatever the size of the class, and what each further submission adds."""
    start = statistics.median(alone)
    one, two = (
        (statistics.median(run.seconds for run in found) * submissions - start) / (submissions - 1)
        for found in list(runs.values())[:2]
    )
    out.print(
        f"one submission alone: {start:.1f} s; each further one adds {one:.2f} s with 1 worker, {two:.2f} s with 2: "
        f"{one / two:.2f} times the throughput",
        soft_wrap=True,
    )


def print_phases(course: Course, lab: Lab) -> None:
    """Where the time of a submission goes, as the last run with 2 workers recorded it."""
    with Ledger(course.db_url) as ledger:
        results = ledger.results(lab.stem)
    table = Table(title="Where a submission's time goes; median seconds in its worker")
    table.add_column("phase")
    table.add_column("seconds", justify="right")
    for phase in results[0].phases:
        table.add_row(phase, f"{statistics.median(result.phases.get(phase, 0) for result in results):.3f}")
    table.add_row("all of it", f"{statistics.median(result.seconds for result in results):.3f}")
    out.print(table)
    memory = statistics.median(result.memory for result in results)
    out.print(f"memory of a kernel, median: {memory / 2**20:.0f} MiB")


if __name__ == "__main__":
    typer.run(main)
