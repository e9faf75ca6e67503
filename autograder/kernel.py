"""Execute a learner's notebook, and judge each graded cell from outside its kernel.

A graded cell's own source is never run. In its place the kernel gets the experiments of that question as text, with
a seed that nobody knew before; what it sends back is data. The verdict, the feedback and the score are written into
the cell here, in the trusted process, so nothing that the notebook prints or patches can write a score.

A kernel that dies, hangs, or goes past a limit loses the cell that did it. The cells before it are run once more in a
new kernel, and the rest of the notebook goes on there.
"""

import asyncio
import atexit
import functools
import platform
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import torch
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode, from_dict
from nbformat.v4 import new_code_cell, new_output
from nbgrader.preprocessors import Execute
from nbgrader.utils import is_grade
from traitlets import Any, Dict, Enum, Integer, List, Unicode

from autograder import experiment
from autograder.feedback import display_bundle
from autograder.judge import Judge, Verdict
from autograder.labs import UsageError, find_lab
from autograder.outputs import CELL_BYTES, NOTEBOOK_BYTES, kept_outputs, plain_text, size_of
from autograder.provisioner import LocalKernelManager, WarmKernelManager, WarmProcess, WarmProcessLost
from autograder.result import RESOURCE, Result, Stop
from autograder.sandbox import Limits
from autograder.task import draw_seed

_RUNTIME = Path(experiment.__file__).read_text(encoding="utf-8")
_one_at_a_time = threading.Lock()  # the reference runs under the global random generators


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


@functools.lru_cache(maxsize=8)
def judge_of(lab: str, seed: int) -> Judge:
    """The judge of a lab under a seed; what the reference and the bank observe is computed once in this process."""
    return Judge(find_lab(lab), seed)


_own: list[WarmProcess] = []


def own_warm_process() -> WarmProcess:
    """The warm process of this process, started when the first kernel is wanted, and again when it was killed."""
    with _one_at_a_time:
        if not _own or not _own[-1].alive:
            _own[:] = [WarmProcess()]
            atexit.register(_own[-1].close)
    return _own[-1].wait_until_ready()


class ExecuteAndJudge(Execute):
    """nbgrader's Execute, with each graded cell judged outside the kernel, and the kernel in a sandbox.

    After `preprocess`: `verdicts`, `stops`, `phases`, `layers` and `memory`, as in result.Result.
    """

    lab_stem = Unicode("", help="The lab; taken from nbgrader's assignment where it is empty.").tag(
        config=True
    )
    seed = Integer(
        None,
        allow_none=True,
        help="The seed of the hidden checks; drawn anew for each notebook where it is not set.",
    ).tag(config=True)
    isolation = Enum(
        ["sandbox", "none"],
        "sandbox",
        help="Where the learner's code runs: in a sandbox, or, with 'none', as you, with all that you may do.",
    ).tag(config=True)
    limits = Dict(help="What a submission may use up: fields of sandbox.Limits, in bytes and seconds.").tag(
        config=True
    )
    warm_address = Unicode("", help="The socket of a warm process; its own one is started where it is empty.")
    files = Any(None, help="A folder whose files the kernel finds in its working folder.")

    extra_arguments = List(
        ["--log-level=ERROR"], help="Arguments of the kernel; by default it keeps quiet."
    ).tag(config=True)
    shutdown_kernel = "immediate"
    store_widget_state = False

    def preprocess(self, nb, resources=None, km=None):
        stem = self.lab_stem or resources["nbgrader"]["assignment"]
        self.judge = judge_of(stem, draw_seed() if self.seed is None else self.seed)
        self._limits = Limits(**self.limits)
        self.timeout = self._limits.cell_seconds
        self.verdicts: list[Verdict] = []
        self.stops: list[Stop] = []
        self.phases = dict.fromkeys(("start", "cells", "checks", "verdict", "stop"), 0.0)
        self.layers: list[str] = []
        self.memory = 0
        self._files = self.files
        if "nbgrader" in (resources or {}):  # nbgrader has put the submission's files beside the notebook
            self._files = resources["metadata"]["path"]
        self._began = time.monotonic()
        self._ran: list[NotebookNode] = []  # what is run again in a new kernel
        self._lost: dict[str, str] = {}  # grade_id of a cell that ended its kernel -> what happened
        self._over = ""  # why nothing more can be run
        self._room = NOTEBOOK_BYTES  # for the outputs that are kept
        self._judged: list[tuple[NotebookNode, Verdict]] = []
        nb.metadata["pruning_course"] = {"lab": self.judge.lab.stem, "seed": self.judge.seed}
        nb, resources = super().preprocess(nb, resources, km)
        for cell, verdict in self._judged:  # now that no kernel is there that could send anything
            cell.outputs = [
                new_output("display_data", data=display_bundle(verdict)),
                new_output(
                    "execute_result", data={"text/plain": repr(float(verdict.points))}, execution_count=1
                ),
            ]
        if "nbgrader" in resources:  # SaveResult reads it there
            result = Result(resources["nbgrader"]["student"], stem, self.judge.seed)
            self.write_into(result)
            resources[RESOURCE] = result
        return nb, resources

    def write_into(self, result: Result) -> None:
        """Write down in a result how the notebook went."""
        result.verdicts = [verdict.plain() for verdict in self.verdicts]
        result.stops, result.layers, result.memory = self.stops, self.layers, self.memory
        result.isolation = self.isolation
        result.phases |= self.phases
        result.seconds = time.monotonic() - self._began
        result.versions = {"python": platform.python_version(), "torch": torch.__version__}

    # --- the kernel ----------------------------------------------------------------------------------------------

    def create_kernel_manager(self):
        if self.isolation == "none":
            self.km = LocalKernelManager(kernel_name="python3", config=self.config)
            return self.km
        left = self._limits.run_seconds - (time.monotonic() - self._began)
        limits = replace(self._limits, run_seconds=max(1, int(left)))
        address = self.warm_address or own_warm_process().address
        self.km = WarmKernelManager(address, limits, self._files)
        return self.km

    @contextmanager
    def setup_kernel(self, **kwargs):
        with self._timed("start"):
            self._start_kernel(**kwargs)
        try:
            yield
        finally:
            with self._timed("stop"):
                self._end_kernel()

    def _start_kernel(self, **kwargs) -> None:
        self.create_kernel_manager()
        self._output = 0
        try:
            self.start_new_kernel(**kwargs)
            self.start_new_kernel_client()
        except RuntimeError as error:
            if self.isolation == "none":
                raise
            raise WarmProcessLost(f"a kernel did not start: {error}") from None
        self.layers = list(getattr(self.km.provisioner, "layers", []))

    def _end_kernel(self) -> str:
        """End the kernel. Returns the limit that it had reached, "" where it had reached none."""
        provisioner = self.km.provisioner if self.km else None
        if provisioner:
            self._cleanup_kernel()
        report = getattr(provisioner, "report", None) or {}
        self.memory = max(self.memory, report.get("memory", 0))
        self._exit = report.get("exit")
        return report.get("limit", "")

    @contextmanager
    def _timed(self, phase: str):
        start = time.perf_counter()
        try:
            yield
        finally:
            self.phases[phase] += time.perf_counter() - start

    # --- cells ---------------------------------------------------------------------------------------------------

    def preprocess_cell(self, cell, resources, index):
        if is_hidden_check(cell):
            self._judge_cell(cell, index)
        elif cell.cell_type == "code" and not self._over:
            source = cell.source
            with self._timed("cells"):
                problem = self._run(cell, index, lambda: self.execute_cell(cell, index, store_history=True))
            cell.outputs = kept_outputs(cell.outputs, min(CELL_BYTES, self._room))
            if is_grade(cell):  # a visible check: nbgrader would read a result as its score
                cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]
            self._room -= size_of(cell.outputs)
            if problem:
                self._lost[cell.metadata.get("nbgrader", {}).get("grade_id", "")] = problem
            elif self.skip_cells_with_tag not in cell.metadata.get("tags", []):
                self._ran.append(new_code_cell(source))
        return cell, resources

    def _run(self, cell: NotebookNode, index: int, execute: Callable) -> str:
        """Run a cell. Returns "", or what happened where it ended its kernel; a new one is there then."""
        self._output, self._limit, self._slow = 0, "", False
        self._display_id_map = {}  # a cell can update its own displays only
        try:
            execute()
            if not self._limit:
                return ""
        except WarmProcessLost:
            raise
        except DeadKernelError:
            pass
        except CellTimeoutError:
            # It did not stop when it was told to, or its last messages were too long to be read.
            self._limit = self._limit or ("cell time" if self._slow else "output")
        except Exception as error:  # whatever a kernel may send that is no message of a kernel
            self.log.info("cell %d: %s: %s", index + 1, type(error).__name__, error)
        limit = self._end_kernel() or self._limit
        problem = self._describe(cell, index, limit)
        self.stops.append(Stop(index + 1, limit, problem))
        self._revive(problem)
        return problem

    def _revive(self, problem: str) -> None:
        """Go on in a new kernel, in which the cells that ran before have run again."""
        spent = time.monotonic() - self._began
        if spent > self._limits.run_seconds or len(self.stops) > 2 * len(self.judge.checks):
            self._over = problem
            return
        with self._timed("start"):
            self._start_kernel()
        for cell in self._ran:
            place = len(self.nb.cells)
            self.nb.cells.append(from_dict(cell))
            try:
                self._output, self._display_id_map = 0, {}
                self.execute_cell(self.nb.cells[place], place, store_history=True)
            except Exception:  # it ran before and does not any more
                self._end_kernel()
                self._over = problem
                return
            finally:
                del self.nb.cells[place:]

    def _describe(self, cell: NotebookNode, index: int, limit: str) -> str:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        where = f"In cell {index + 1} ({name})" if name else f"In cell {index + 1}"
        if is_hidden_check(cell):
            where = f"While {name} was checked"
        limits = self._limits
        what = {
            "memory": f"the memory limit of {limits.memory / 2**30:g} GB was passed",
            "CPU time": f"the limit of {limits.cpu_seconds} seconds of CPU time was passed",
            "run time": f"the whole notebook's limit of {limits.run_seconds} seconds was passed",
            "cell time": f"the code did not stop at its time limit of {limits.cell_seconds} seconds",
            "output": f"the code sent more than {limits.output_bytes / 2**20:g} MB of output",
        }.get(limit)
        if what is None:
            what = "the kernel died"
            if self._exit is not None:
                what += f" (exit status {self._exit})" if self._exit >= 0 else f" (signal {-self._exit})"
        return f"{where}, {what}. Other questions keep what they earned."

    async def _async_poll_kernel_alive(self):
        client = self.kc
        while client is self.kc:
            await asyncio.sleep(0.2)
            if client is not self.kc:
                return
            with suppress(WarmProcessLost):  # ending the kernel will say so again, where it is heard
                if await self.km.is_alive():
                    if not getattr(client, "cut_off", False):
                        continue
                    self._limit = "output"
                    self.km.provisioner.end()
            self.task_poll_for_reply.cancel()
            return

    async def _async_handle_timeout(self, timeout, cell=None):
        self._slow = True
        return await super()._async_handle_timeout(timeout, cell)

    def process_message(self, msg, cell, cell_index):
        """Count what the kernel sends, and end it where that is too much."""
        self._output += _size(msg["content"]) + sum(map(len, msg.get("buffers", ())))
        if self._output > self._limits.output_bytes:
            self._limit = "output"
            cell.outputs = []
            self.km.provisioner.end()
            return None
        if msg["msg_type"].startswith("comm"):  # widgets are for a person at a screen
            return None
        return super().process_message(msg, cell, cell_index)

    def _update_display_id(self, display_id, msg):
        with suppress(IndexError):  # while a check runs, its cell has no outputs of its own
            super()._update_display_id(display_id, msg)

    def _judge_cell(self, cell: NotebookNode, index: int) -> None:
        question = cell.metadata["nbgrader"]["grade_id"]
        max_points = float(cell.metadata["nbgrader"]["points"])
        text, problem = None, self._over or self._lost.get(f"{question}-answer", "")
        if not problem:
            probe = new_code_cell(
                request(self.judge.lab.checks_source, self.judge.lab.stem, question, self.judge.seed)
            )
            with self._timed("checks"):
                problem = self._run(cell, index, lambda: self.execute_cell(probe, index, store_history=False))
            if not problem:
                text, problem = read_probe(probe, self.timeout)
        with self._timed("verdict"), _one_at_a_time:
            if problem:
                verdict = Verdict(question, 0.0, max_points, problem)
            else:
                verdict = self.judge.judge_text(question, max_points, text)
        self.verdicts.append(verdict)
        self._judged.append((cell, verdict))
        self.nb.cells[index] = cell


def _size(value: object) -> int:
    """About how many bytes a part of a message takes."""
    if isinstance(value, dict):
        return sum(len(str(key)) + _size(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(map(_size, value))
    return len(value) if isinstance(value, str) else 8


def read_probe(probe: NotebookNode, timeout: int | None) -> tuple[str | None, str]:
    """Return the observations that a probe cell displayed, or why there are none."""
    outputs = [output for output in probe.outputs if isinstance(output, dict)]
    for output in reversed(outputs):
        data = output.get("data", {})
        if isinstance(data, dict) and isinstance(data.get(experiment.MIME), dict):
            return data[experiment.MIME].get("text"), ""
    errors = [output for output in outputs if output.get("output_type") == "error"]
    if errors and errors[-1].ename == "CellTimeoutError":
        return None, f"The checks were stopped: they took more than {timeout} seconds."
    if errors:
        reason = plain_text(f"{errors[-1].ename}: {errors[-1].evalue}", 300)
        return None, f"The checks could not be run: {reason}"
    return None, "The checks gave no result."


def run_notebook(notebook: NotebookNode, stem: str, *, seed: int | None = None, cwd: str, whole: bool = False,
                 timeout: int = 30) -> list[Verdict]:  # fmt: skip
    """Execute one's own notebook in an ordinary kernel, in place, and return the verdict of each graded cell.

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
    limits = {"cell_seconds": timeout, "run_seconds": 10 * timeout + 600}
    executor = ExecuteAndJudge(lab_stem=stem, seed=seed, limits=limits, isolation="none")
    if whole:
        executor.skip_cells_with_tag = "no cell has this tag"
    try:
        executor.preprocess(notebook, {"metadata": {"path": cwd}})
    except RuntimeError as error:
        raise UsageError(f"The notebook could not be run: {error}.") from error
    return executor.verdicts
