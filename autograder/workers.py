"""Where submissions are graded side by side: processes of this machine, or a dask cluster.

Both are the standard library's Executor underneath; what is added is how to go on after a process was killed.
"""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

if sys.platform != "win32":
    from multiprocessing.forkserver import ensure_running

from autograder.labs import UsageError
from autograder.provisioner import WarmProcess, WarmProcessLost

LOST = (BrokenProcessPool, WarmProcessLost, EOFError, ConnectionError)  # one of the grader's own processes was killed
STARTS = 5  # of what is killed while it starts
PATIENCE = 20  # seconds to wait for a dask scheduler and its workers
WORKER_BYTES = 3 << 30  # of address space, over what a worker has at its start


@dataclass(frozen=True)
class Options:
    """How to grade.

    Attributes:
        seed: of the hidden checks, one for the run; None draws one.
        force: grade again also what is graded already.
        isolation: "sandbox" or "none".
        jobs: how many at a time on this machine; 0 takes the number of cores.
        scheduler: the address of a dask scheduler, or "".
        limits: fields of sandbox.Limits that differ from its defaults.
    """

    seed: int | None = None
    force: bool = False
    isolation: str = "sandbox"
    jobs: int = 0
    scheduler: str = ""
    limits: dict[str, int] = field(default_factory=dict)


def start(options: Options, hidden: Iterable[str]) -> "Workers":
    """Start the workers that the options ask for; `hidden` folders cannot be seen by any kernel."""
    if options.scheduler:
        return DaskWorkers(options.scheduler)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return LocalWorkers(options.jobs or cores, options.isolation, hidden)


class LocalWorkers:
    """Grader processes on this machine, and one warm process from which all of their kernels are forked.

    Args:
        count: how many.
        isolation: "sandbox" or "none".
        hidden: folders that no kernel may see.

    Raises:
        UsageError: where no sandbox can be made here; from the first `submit`.
    """

    def __init__(self, count: int, isolation: str, hidden: Iterable[str] = ()):
        self.count, self._isolation, self._hidden = count, isolation, list(hidden)
        self._warm = self._start_warm_process()
        self._context = multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
        if sys.platform != "win32":
            self._context.set_forkserver_preload(["autograder.worker"])
            ensure_running()  # it loads torch while this process goes on
        self._pool = self._start_pool()

    def _start_warm_process(self) -> WarmProcess | None:
        return WarmProcess(self._hidden) if self._isolation == "sandbox" else None

    def _start_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.count, mp_context=self._context, initializer=begin_worker)

    def submit(self, task) -> Future:
        """Have a submission graded; the future holds worker.grade's result, or what it raised."""
        for _ in range(STARTS):
            try:
                address = self._warm.wait_until_ready().address if self._warm else ""
                return self._pool.submit(grade_task, task, address)
            except LOST:
                self.renew()
        raise UsageError(
            f"The grader's own processes ended {STARTS} times while they started; is there enough memory?"
        )

    def renew(self) -> None:
        """Start again what was killed."""
        if self._warm and not self._warm.alive_soon():
            self._warm.close()
            self._warm = self._start_warm_process()
        with contextlib.suppress(*LOST):
            self._pool.submit(os.getpid)
            return
        if sys.platform != "win32":
            ensure_running()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._start_pool()

    def lost(self, error: BaseException) -> bool:
        """Whether an error says that the grader's own processes died."""
        return isinstance(error, LOST)

    def pids(self) -> dict[str, list[int]]:
        """The processes, by what they do; for those who watch or test them."""
        workers = list(self._pool._processes or {})
        return {"worker": workers, "warm": [self._warm.pid] if self._warm else []}

    def __enter__(self) -> "LocalWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._warm:
            self._warm.close()


class DaskWorkers:
    """The workers of a dask.distributed cluster; each starts a warm process of its own.

    Raises:
        UsageError: where dask is not installed, no scheduler answers, or it has no workers.
    """

    def __init__(self, address: str):
        try:
            from dask.distributed import Client
            from distributed.scheduler import KilledWorker
        except ImportError:
            raise UsageError("--scheduler needs dask: pip install distributed.") from None
        try:
            self._client = Client(address, timeout=PATIENCE)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"No dask scheduler answers at {address} ({error}); start one with `dask scheduler`."
            ) from None
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            self._client.close()
            raise UsageError(
                f"The dask scheduler at {address} has no workers; start some with `dask worker`."
            ) from None
        self._lost = (WarmProcessLost, KilledWorker, CancelledError)
        self.count = max(1, sum(self._client.nthreads().values()))

    def submit(self, task) -> Future:
        return self._client.get_executor(pure=False).submit(grade_task, task, "")

    def renew(self) -> None:
        """The cluster starts its workers itself; each of them its warm process."""

    def lost(self, error: BaseException) -> bool:
        return isinstance(error, self._lost)

    def __enter__(self) -> "DaskWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


Workers = LocalWorkers | DaskWorkers


def grade_task(task, address: str):
    """`worker.grade`, imported where it runs: the process that hands out the work needs no torch."""
    from autograder.worker import grade

    return grade(task, address)


def begin_worker() -> None:
    """End this process when its parent ends, leave Ctrl-C to that, and hold no more memory than a grader needs.

    A kernel can send one message of many parts, each within its limit: the worker that reads it dies instead of the
    machine, and the submission is graded once more on its own.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_coordinator, daemon=True).start()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() == 1:
            os._exit(1)
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + WORKER_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def end_with_coordinator() -> None:
    """End this process when the coordinator is gone: its parent, the forkserver, lives as long as a worker does."""
    multiprocessing.parent_process().join()
    os._exit(1)
