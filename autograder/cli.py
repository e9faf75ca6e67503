"""The command line: `python -m autograder …`."""

import json
import os
import shutil
import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from autograder.labs import BUILD, ROOT, UsageError, all_labs, find_lab, find_labs


class Isolation(StrEnum):
    sandbox = "sandbox"
    none = "none"


# torch and nbgrader are imported inside the commands that need them: --help answers at once.

app = typer.Typer(
    name="python -m autograder", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Weave, check, grade and verify the labs of Pruning and Sparsity, Hands-On.",
)  # fmt: skip
out, err = Console(), Console(stderr=True)

Labs = Annotated[
    list[str] | None, typer.Argument(help="Labs, such as lab03; all of them where none is given.")
]
LabName = Annotated[str, typer.Argument(help="A lab; its beginning is enough: lab03.")]
Seed = Annotated[
    int | None, typer.Option(help="Seed of the hidden checks, to repeat a run; else drawn anew.")
]
CourseFolder = Annotated[Path, typer.Option("--course", help="The nbgrader course folder.")]
Database = Annotated[
    str,
    typer.Option(
        envvar="GRADEBOOK_URL", help="SQLAlchemy's URL of the gradebook; else SQLite in the course folder."
    ),
]
IsolationOption = Annotated[
    Isolation, typer.Option("--isolation", help="none: without a sandbox, the work of people you trust.")
]
COURSE, MY_LABS = BUILD / "nbgrader", ROOT / "my_labs"


def main() -> None:
    """Run the command line; a mistake of the person at the keyboard ends with one sentence and status 2."""
    try:
        app()
    except UsageError as error:
        err.print(f"[bold red]{escape(str(error))}[/]", soft_wrap=True)
        sys.exit(2)


def progress() -> Progress:
    """A progress bar on stderr, so that stdout stays clean."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=err, transient=True)


@app.command()
def weave(
    labs: Labs = None,
    check: Annotated[bool, typer.Option(help="Write nothing; fail where a generated file is stale.")] = False,
) -> None:
    """Make the student notebooks, the syllabus, and the measured numbers in the lecture notes."""
    from autograder.syllabus import generated, stale

    files = generated(find_labs(labs or []))
    outdated = stale(files)
    for path in outdated:
        if not check:
            path.write_text(files[path], encoding="utf-8")
        out.print(f"{'stale' if check else 'written'}: {path.relative_to(ROOT)}", soft_wrap=True)
    if check and outdated:
        err.print("[bold red]Generated files are stale; run `python -m autograder weave` and commit them.[/]")
        raise typer.Exit(1)
    if not outdated:
        out.print(f"{len(files)} generated files are up to date")


@app.command()
def verify(
    labs: Labs = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds every answer is judged under.")] = 10,
    record: Annotated[
        bool, typer.Option(help="Keep the seconds for the syllabus, the modules for warm kernels.")
    ] = False,
) -> None:
    """Test the grader: every wrong answer caught and named, every right one accepted, blank 0, reference full."""
    from autograder.provisioner import record_modules
    from autograder.syllabus import record_times
    from autograder.verify import verify as verify_lab

    chosen, found = find_labs(labs or []), {}
    warnings.simplefilter("ignore", RuntimeWarning)  # a wrong answer may well meet a NaN
    with progress() as bar:
        task = bar.add_task("verifying", total=len(chosen))
        for lab in chosen:
            bar.update(task, description=f"verifying {lab.stem}")
            found[lab.stem] = verify_lab(lab, seeds)
            bar.advance(task)
    if record:
        record_times({stem: {"seconds_whole": v.seconds_whole, "seconds_graded": v.seconds_graded}
                      for stem, v in found.items()})  # fmt: skip
        record_modules(set().union(*(v.modules for v in found.values())))
    if as_json:
        print(json.dumps({"labs": {stem: verification.plain() for stem, verification in found.items()}}))
    else:
        out.print(verification_table(found, seeds))
    for stem, verification in found.items():
        for problem in verification.missed:
            err.print(f"[bold red]{stem}: {escape(problem)}[/]", soft_wrap=True)
    if not all(verification.good for verification in found.values()):
        raise typer.Exit(1)


def verification_table(found: dict, seeds: int) -> Table:
    title = f"The grader's own test, {seeds} seeds; s: seconds of the solved notebook"
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("lab", "func-\ntions", "checks", "wrong\ncaught", "wrong\nnamed", "right\naccepted", "blank",
                    "refer-\nence", "s\nwhole", "s\ngraded"):  # fmt: skip
        table.add_column(heading, justify="left" if heading == "lab" else "right")
    for stem, v in found.items():
        table.add_row(
            stem.split("_")[0], f"{v.functions}", f"{v.checks}", f"{v.caught}/{v.wrong_answers}",
            f"{v.named}/{v.wrong_answers}", f"{v.accepted}/{v.alternatives}", f"{v.blank_score:g}",
            f"{v.reference_score:g}/{v.max_score:g}", f"{v.seconds_whole:g}", f"{v.seconds_graded:g}",
        )  # fmt: skip
    return table


@app.command()
def check(
    notebook: Annotated[Path, typer.Argument(help="Your notebook.")],
    seed: Seed = None,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds that one cell may take.")] = 30,
) -> None:
    """Run every hidden check on your own notebook and name the likely mistakes. Exit 0 only at full marks."""
    if not notebook.is_file():
        raise UsageError(f"There is no file {notebook}.")
    from autograder.feedback import as_text
    from autograder.kernel import run_notebook
    from autograder.repair import nbgrader_cells, repair
    from autograder.submission import lab_of_file, read_submission_or_refuse
    from autograder.task import draw_seed
    from autograder.weave import weave as weave_lab

    lab = lab_of_file(notebook)
    content = read_submission_or_refuse(notebook, lab)
    repair(content, nbgrader_cells(weave_lab(lab).notebook))
    seed = draw_seed() if seed is None else seed
    with err.status(f"running {notebook.name}; its experiments are left out"):
        verdicts = run_notebook(
            content, lab.stem, seed=seed, cwd=str(notebook.resolve().parent), timeout=timeout
        )
    for verdict in verdicts:
        out.print(
            escape(("✓ " if verdict.full else "✗ ") + as_text(verdict)), soft_wrap=True, highlight=False
        )
    points, maximum = sum(v.points for v in verdicts), sum(v.max_points for v in verdicts)
    out.print(f"\n[bold]{points:g} of {maximum:g} points[/] (written answers are not counted; seed {seed})")
    raise typer.Exit(0 if points == maximum else 1)


@app.command()
def grade(
    lab: LabName,
    submitted: Annotated[
        Path | None, typer.Option(help="Folder with STUDENT/LAB/LAB.ipynb; else the course's submitted/.")
    ] = None,
    seed: Seed = None,
    course: CourseFolder = COURSE,
    db_url: Database = "",
    force: Annotated[bool, typer.Option("--force", help="Grade again also what is graded already.")] = False,
    isolation: IsolationOption = Isolation.sandbox,
    jobs: Annotated[int, typer.Option(min=0, help="How many at a time; 0: as many as there are cores.")] = 0,
    scheduler: Annotated[
        str, typer.Option(help="Grade on the dask cluster of this scheduler: tcp://HOST:8786.")
    ] = "",
    timeout: Annotated[int, typer.Option(min=1, help="Seconds that one cell may take.")] = 30,
    memory: Annotated[float, typer.Option(min=0.5, help="GB that one submission may hold.")] = 2,
) -> None:
    """Grade a class into the nbgrader gradebook, each notebook in a sandbox."""
    found = find_lab(lab)
    from autograder.workers import Options, start

    limits = {"cell_seconds": timeout, "memory": int(memory * 2**30)}
    options = Options(seed, force, isolation.value, jobs, scheduler, limits)
    with start(options, hidden=[str(course.resolve())]) as workers:  # they get ready while we do
        from autograder.batch import collect
        from autograder.course import Course

        folder = Course(course.resolve(), db_url)
        results = grade_with_progress(folder, found, collect(folder, found, submitted), options, workers)
    out.print(grades_table(found.stem, results))
    if options.isolation == "none":
        err.print("[bold yellow]Graded without a sandbox: the learners' code ran as you.[/]")
    where = "the database of --db-url" if db_url else folder.root / "gradebook.db"
    out.print(f"gradebook: {where}", soft_wrap=True)
    if not all(result.recorded for result in results):
        raise typer.Exit(1)


def grade_with_progress(course, lab, students: list[str], options, workers) -> list:
    from autograder.batch import grade as grade_class

    results = []
    with progress() as bar:
        task = bar.add_task(f"grading {lab.stem}", total=len(students))
        for result in grade_class(course, lab, students, options, workers):
            results.append(result)
            bar.advance(task)
    return sorted(results, key=lambda result: result.student)


def grades_table(stem: str, results: list, stories: dict[str, str] | None = None) -> Table:
    """The class in the terminal: score, maximum, and what each one lost points on."""
    table = Table(title=f"{stem}: {len(results)} submissions, seed {results[0].seed}")
    for heading in ("student", *(["handed in"] if stories else []), "score", "of", "lost points on"):
        table.add_column(heading, justify="right" if heading in ("score", "of") else "left")
    for result in results:
        why = f"[red]{escape(result.problem)}[/]" if result.problem else lost_points(result.verdicts)
        story = [stories[result.student]] if stories else []
        waiting = " + ?" if result.needs_manual_grade else ""
        table.add_row(
            escape(result.student), *story, f"{result.score:g}{waiting}", f"{result.max_score:g}", why
        )
    table.caption = "+ ?: a written answer waits for a grade by hand"
    return table


def attacks(members: list, results: list) -> list[str]:
    """What each attacker of the bundled class tried, and what it got."""
    lines, by_student = [], {result.student: result for result in results}
    for member in members:
        if member.attacks:
            verdict = next(v for v in by_student[member.student].verdicts if v["question"] == member.attacks)
            checks = [check for check in verdict["checks"] if not check["passed"]]
            why = verdict["note"] or f"{checks[0]['problem']}: {checks[0]['returned']}"
            lines.append(
                f"[bold]{member.student}[/] {escape(member.story)}; got {verdict['points']:g} of "
                f"{verdict['max_points']:g} points there. {escape(why)}"
            )
    return lines


def lost_points(verdicts: list[dict]) -> str:
    """The questions that lost points, short: a terminal is 80 columns wide."""
    lost = [verdict["question"] for verdict in verdicts if verdict["points"] != verdict["max_points"]]
    if len(lost) > 3:
        return f"{len(lost)} of {len(verdicts)} questions"
    return ", ".join(lost) or "[green]nothing[/]"


@app.command()
def report(lab: LabName, course: CourseFolder = COURSE, db_url: Database = "") -> None:
    """Write build/report/index.html, a feedback page for each student, and tables for Canvas and Moodle."""
    found = find_lab(lab)
    from autograder.course import Course

    out.print(f"report: {report_of(Course(course.resolve(), db_url), found)}", soft_wrap=True)


def report_of(course, lab) -> Path:
    """Write the report of what is in a course's gradebook."""
    from autograder.gradebook import Ledger
    from autograder.lms import Person
    from autograder.report import write_report

    results, people = [], {}
    if course.database or (course.root / "gradebook.db").exists():
        with Ledger(course.db_url) as ledger:
            results = ledger.results(lab.stem)
            people = {student: Person(*row) for student, row in ledger.people().items()}
    if not results:
        raise UsageError(
            f"Nothing of {lab.stem} is graded yet; run `python -m autograder grade {lab.stem}` first."
        )
    return write_report(lab, results, people=people)


@app.command()
def release(
    out_folder: Annotated[Path, typer.Option("--out", help="A new folder for the student bundle.")],
    labs: Labs = None,
) -> None:
    """Write the student bundle: notebooks, labkit, data; no solution and no hidden check."""
    from autograder.release import release as write_release

    files = write_release(find_labs(labs or []), out_folder)
    out.print(f"{len(files)} files in {out_folder}", soft_wrap=True)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(
    context: typer.Context,
    folder: Annotated[Path, typer.Option(help="Where your copy of the notebooks is kept.")] = MY_LABS,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Open JupyterLab on your own copy of the notebooks; a copy that exists is never overwritten.

    Other options are JupyterLab's own, such as --allow-root or --port=8890.
    """
    copy_labs(folder)
    arguments = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.resolve()}"]
    arguments += context.args if browser else ["--no-browser", *context.args]
    os.execv(sys.executable, arguments)


def copy_labs(folder: Path) -> None:
    """Copy the labs that are not there yet, and say of each what was done."""
    folder.mkdir(parents=True, exist_ok=True)
    for item in all_labs():
        target = folder / item.notebook.name
        if target.exists():
            out.print(f"kept: {target}", soft_wrap=True)
        elif item.notebook.exists():
            shutil.copyfile(item.notebook, target)
            out.print(f"copied: {target}", soft_wrap=True)


@app.command()
def demo(isolation: IsolationOption = Isolation.sandbox) -> None:
    """Grade a bundled class of real notebooks, print the gradebook, write the report.

    Without a sandbox, its three attackers are left out.
    """
    from autograder.workers import Options, start

    sandboxed = isolation == Isolation.sandbox
    options = Options(force=True, isolation=isolation.value)
    with start(options, hidden=[str(BUILD / "demo")]) as workers:
        from autograder.batch import collect
        from autograder.course import Course
        from autograder.demo import make_class

        found, course = find_lab("lab03"), Course(BUILD / "demo")
        with err.status("weaving the lab and making the class"):
            course.prepare(found)
            members = make_class(course, found, with_attackers=sandboxed)
            stories = {item.student: item.story for item in members}
        results = grade_with_progress(course, found, collect(course, found, None), options, workers)
    out.print(grades_table(found.stem, results, stories))
    for line in attacks(members, results):
        out.print(line, soft_wrap=True)
    out.print(f"gradebook: {course.root / 'gradebook.db'}", soft_wrap=True)
    out.print(f"report: {report_of(course, found)}", soft_wrap=True)
