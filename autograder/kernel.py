"""Execute a learner's notebook, and judge each graded cell from outside its kernel.

A graded cell's own source is never run. In its place the kernel gets the experiments of that question as text, with
a seed that nobody knew before; what it sends back is data. The verdict, the feedback and the score are written into
the cell here, in the trusted process, so nothing that the notebook prints or patches can write a score.
"""

from pathlib import Path

from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade
from traitlets import Integer, List, Unicode

from autograder import experiment
from autograder.feedback import display_bundle
from autograder.judge import Judge, Verdict, draw_seed
from autograder.labs import UsageError, find_lab

_RUNTIME = Path(experiment.__file__).read_text(encoding="utf-8")


def lab_of(notebook: NotebookNode) -> str | None:
    """The stem of the lab that a notebook says it belongs to, or None."""
    stem = notebook.metadata.get("pruning_course", {}).get("lab")
    return stem if isinstance(stem, str) else None


def is_hidden_check(cell: NotebookNode) -> bool:
    """Say whether a cell stands for a question's hidden checks: a locked code cell with points."""
    return (
        cell.cell_type == "code" and is_grade(cell) and float(cell.metadata["nbgrader"].get("points", 0)) > 0
    )


def request(checks_source: str, lab: str, question: str, seed: int) -> str:
    """The code that makes a kernel observe: the runtime and the experiments travel as text; no answer is in it."""
    return (
        "def _observe(namespace, runtime, *arguments):\n"
        "    import sys, types\n"
        "    from IPython.display import display\n"
        "    module = sys.modules['_pruning_course_runtime'] = types.ModuleType('_pruning_course_runtime')\n"
        "    exec(compile(runtime, '<observation runtime>', 'exec'), module.__dict__)\n"
        "    display({module.MIME: {'text': module.observe(*arguments[:3], namespace, arguments[3])}}, raw=True)\n\n\n"
        "try:\n"
        f"    _observe(globals(), {_RUNTIME!r}, {checks_source!r}, {lab!r}, {question!r}, {seed})\n"
        "finally:\n"
        "    del _observe\n"
    )


class ExecuteAndJudge(Execute):
    """nbgrader's Execute, with each graded cell judged outside the kernel.

    A cell that dies takes only its own and the later questions' points with it: what was earned before is kept.
    """

    lab_stem = Unicode("", help="The lab; taken from nbgrader's assignment where it is empty.").tag(
        config=True
    )
    seed = Integer(
        None,
        allow_none=True,
        help="The seed of the hidden checks; drawn anew for each notebook where it is not set.",
    ).tag(config=True)

    extra_arguments = List(
        ["--log-level=ERROR"], help="Arguments of the kernel; by default it keeps quiet."
    ).tag(config=True)

    def preprocess(self, nb, resources=None, km=None):
        stem = self.lab_stem or resources["nbgrader"]["assignment"]
        self.judge = Judge(find_lab(stem), draw_seed() if self.seed is None else self.seed)
        self.verdicts: list[Verdict] = []
        self.died = ""
        nb.metadata["pruning_course"] = {"lab": self.judge.lab.stem, "seed": self.judge.seed}
        return super().preprocess(nb, resources, km)

    def preprocess_cell(self, cell, resources, index):
        if is_hidden_check(cell):
            self._judge_cell(cell, index)
        elif not self.died:
            try:
                return super().preprocess_cell(cell, resources, index)
            except DeadKernelError:
                self.died = f"The kernel died in cell {index + 1}; what comes after it could not be run."
        return cell, resources

    def _judge_cell(self, cell: NotebookNode, index: int) -> None:
        question = cell.metadata["nbgrader"]["grade_id"]
        max_points = float(cell.metadata["nbgrader"]["points"])
        text, problem = None, self.died
        if not problem:
            probe = new_code_cell(
                request(self.judge.lab.checks_source, self.judge.lab.stem, question, self.judge.seed)
            )
            try:
                self.execute_cell(probe, index, store_history=False)
                text, problem = read_probe(probe, self.timeout)
            except DeadKernelError:
                problem = self.died = f"The kernel died while {question} was checked."
        if problem:
            verdict = Verdict(question, 0.0, max_points, problem)
        else:
            verdict = self.judge.judge_text(question, max_points, text)
        self.verdicts.append(verdict)
        cell.outputs = [
            new_output("display_data", data=display_bundle(verdict)),
            new_output(
                "execute_result", data={"text/plain": repr(float(verdict.points))}, execution_count=index + 1
            ),
        ]
        self.nb.cells[index] = cell


def read_probe(probe: NotebookNode, timeout: int | None) -> tuple[str | None, str]:
    """Return the observations that a probe cell displayed, or why there are none."""
    for output in reversed(probe.outputs):
        data = output.get("data", {})
        if experiment.MIME in data and isinstance(data[experiment.MIME], dict):
            return data[experiment.MIME].get("text"), ""
    errors = [output for output in probe.outputs if output.output_type == "error"]
    if errors and errors[-1].ename == "CellTimeoutError":
        return None, f"The checks were stopped: they took more than {timeout} seconds."
    if errors:
        return None, f"The checks could not be run: {errors[-1].ename}: {errors[-1].evalue}"
    return None, "The checks gave no result."


def run_notebook(notebook: NotebookNode, stem: str, *, seed: int | None = None, cwd: str, whole: bool = False,
                 timeout: int = 30) -> list[Verdict]:  # fmt: skip
    """Execute a notebook in a kernel of its own, in place, and return the verdict of each graded cell.

    Args:
        notebook: the learner's notebook; its outputs are written.
        stem: the lab.
        seed: of the hidden checks; None draws one.
        cwd: the folder in which the kernel runs.
        whole: run the experiment cells too.
        timeout: seconds for each cell.

    Raises:
        UsageError: if no Python kernel can be started.
    """
    executor = ExecuteAndJudge(lab_stem=stem, seed=seed, timeout=timeout, kernel_name="python3")
    if whole:
        executor.skip_cells_with_tag = "no cell has this tag"
    try:
        executor.preprocess(notebook, {"metadata": {"path": cwd}})
    except RuntimeError as error:
        raise UsageError(f"The notebook could not be run: {error}.") from error
    return executor.verdicts
