"""The grader's own test: every wrong answer caught and named, every right one accepted, blank 0, reference full."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbformat.v4 import new_code_cell

from autograder.course import Course
from autograder.judge import Judge
from autograder.kernel import run_notebook
from autograder.labs import Lab
from autograder.submission import solve
from autograder.weave import weave


@dataclass
class Verification:
    """The numbers of one lab. Scores and maximum are those of the machine-graded questions.

    `caught`, `named` and `accepted` count the answers for which it holds under every seed that was tried.
    `seconds_whole` runs the solved notebook with its experiments, `seconds_graded` without them; `modules` are those
    that its kernel had loaded at the end of the latter.
    """

    functions: int
    checks: int
    wrong_answers: int
    caught: int
    named: int
    alternatives: int
    accepted: int
    blank_score: float
    reference_score: float
    max_score: float
    seconds_whole: float
    seconds_graded: float
    missed: list[str] = field(default_factory=list)
    modules: set[str] = field(default_factory=set)

    @property
    def good(self) -> bool:
        return not self.missed

    def plain(self) -> dict:
        return {key: value for key, value in asdict(self).items() if key not in ("missed", "modules")}


def verify_bank(lab: Lab, seeds: range) -> dict[str, set[str]]:
    """Judge every answer of a lab's bank under every seed.

    Returns:
        The names that failed: to be "caught", "named" or "accepted", or to be "steady" (the same verdict on every
        check under every seed: nobody's score may depend on luck).
    """
    failed: dict[str, set[str]] = {"caught": set(), "named": set(), "accepted": set(), "steady": set()}
    first: dict[str, list[bool]] = {}
    for seed in seeds:
        judge = Judge(lab, seed)
        for answer in judge.wrong:
            verdict = judge.judge_answer(answer)
            passed = [item.passed for item in verdict.checks]
            if first.setdefault(answer.name, passed) != passed:
                failed["steady"].add(answer.name)
            if verdict.full:
                failed["caught"].add(answer.name)
            if verdict.causes != [answer.sentence]:
                failed["named"].add(answer.name)
        for answer in judge.right:
            if not judge.judge_answer(answer).full:
                failed["accepted"].add(answer.name)
    return failed


def verify(lab: Lab, seeds: int = 10) -> Verification:
    """Verify one lab: its bank under `seeds` seeds, the blank and the solved notebook in real kernels."""
    failed = verify_bank(lab, range(seeds))
    judge = Judge(lab, 0)
    with TemporaryDirectory() as folder:
        course = Course(Path(folder) / "course")
        course.prepare(lab)
        woven = weave(lab)
        released = nbformat.read(course.notebook("release", lab), as_version=4)
        solved = solve(released, lab, [exercise.name for exercise in woven.exercises])
        blank, _, _ = timed_run(released, lab, folder, whole=False)
        graded, seconds_graded, errors = timed_run(solved, lab, folder, whole=False)
        modules = loaded_modules(solved, lab, folder)
        whole, seconds_whole, experiment_errors = timed_run(solved, lab, folder, whole=True)
    maximum = sum(exercise.points for exercise in woven.exercises)
    missed = [f"not {kind}: {name}" for kind, names in failed.items() for name in sorted(names)]
    missed += [f"the blank notebook scores {blank:g}, not 0"] if blank else []
    missed += (
        [f"the reference scores {whole:g} of {maximum:g} with its experiments"] if whole != maximum else []
    )
    missed += (
        [f"the reference scores {graded:g} of {maximum:g} without its experiments"]
        if graded != maximum
        else []
    )
    missed += [
        f"a cell of the solved notebook fails: {error}" for error in dict.fromkeys(errors + experiment_errors)
    ]
    return Verification(
        functions=len(woven.exercises), checks=sum(len(checks) for checks in judge.checks.values()),
        wrong_answers=len(judge.wrong), caught=len(judge.wrong) - len(failed["caught"]),
        named=len(judge.wrong) - len(failed["named"]), alternatives=len(judge.right),
        accepted=len(judge.right) - len(failed["accepted"]), blank_score=blank, reference_score=min(whole, graded),
        max_score=maximum, seconds_whole=seconds_whole, seconds_graded=seconds_graded, missed=missed, modules=modules,
    )  # fmt: skip


def timed_run(notebook, lab: Lab, folder: str, *, whole: bool) -> tuple[float, float, list[str]]:
    """Run a copy of a notebook; return its score, the seconds it took, and the errors that its cells raised."""
    copy = nbformat.from_dict(notebook)
    start = time.perf_counter()
    verdicts = run_notebook(copy, lab.stem, cwd=folder, whole=whole, timeout=300)
    seconds = round(time.perf_counter() - start, 1)
    outputs = [output for cell in copy.cells for output in cell.get("outputs", [])]
    errors = [f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"]
    return sum(verdict.points for verdict in verdicts), seconds, errors


def loaded_modules(notebook, lab: Lab, folder: str) -> set[str]:
    """The modules that a kernel has loaded when a notebook has been graded in it."""
    copy = nbformat.from_dict(notebook)
    copy.cells.append(new_code_cell("import sys\nprint(*sys.modules, sep='\\n')"))
    run_notebook(copy, lab.stem, cwd=folder)
    return set(
        "".join(output.text for output in copy.cells[-1].outputs if output.output_type == "stream").split()
    )
