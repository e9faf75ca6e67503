"""Where submissions are graded side by side: processes of this machine, or a dask cluster.

Either way a submission goes in and a future comes out, and what was killed is started again.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

if sys.platform != "win32":
    from multiprocessing.forkserver import ensure_running

from autograder.labs import UsageError
from autograder.provisioner import WarmProcess, WarmProcessLost

LOST = (WarmProcessLost, EOFError, OSError)  # one of the grader's own processes was killed
STARTS, PAUSE = 10, 0.5  # of what is killed while it starts, and seconds before it is started again
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

    Each has a pipe of its own. In a ProcessPoolExecutor they share one, and a process that is killed while it writes
    into that holds its lock for ever: the others, and whoever waits for them, hang.

    Args:
        count: how many.
        isolation: "sandbox" or "none".
        hidden: folders that no kernel may see.
    """

    def __init__(self, count: int, isolation: str, hidden: Iterable[str] = ()):
        self.count, self._isolation, self._hidden = count, isolation, list(hidden)
        self._lock = threading.Lock()
        self._warm = self._start_warm_process()
        self._context = multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
        if sys.platform != "win32":
            self._context.set_forkserver_preload(["autograder.worker"])
            ensure_running()  # it loads torch while this process goes on
        self._threads = ThreadPoolExecutor(count)
        self._idle: list[Worker] = []

    def _start_warm_process(self) -> WarmProcess | None:
        return WarmProcess(self._hidden) if self._isolation == "sandbox" else None

    def submit(self, task) -> Future:
        """Have a submission graded.

        Returns:
            A future with what worker.grade returned or raised; a WarmProcessLost too where the process that graded
            it was killed, and a UsageError where what it needs did not start.
        """
        return self._threads.submit(self._grade, task)

    def _grade(self, task):
        worker, address = self._take_worker()
        try:
            answer = worker.ask(task, address)
        except LOST as error:
            worker.close()
            raise WarmProcessLost(f"a process of the grader was killed: {error}") from None
        self._idle.append(worker)
        if isinstance(answer, WarmProcessLost) and self._warm:
            self._warm.alive_soon()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _take_worker(self) -> tuple["Worker", str]:
        """A worker that waits for a submission, and the address of the warm process. What was killed is started."""
        with self._lock:
            for _ in range(STARTS):
                try:
                    if self._warm and not self._warm.alive:
                        self._warm.close()
                        self._warm = self._start_warm_process()
                    address = self._warm.wait_until_ready().address if self._warm else ""
                    return self._idle.pop() if self._idle else Worker(self._context), address
                except LOST:
                    time.sleep(PAUSE)  # a process that was killed may still be there for a moment
        raise UsageError(
            f"The grader's own processes ended {STARTS} times while they started; is there enough memory?"
        )

    def lost(self, error: BaseException) -> bool:
        """Whether an error says that the grader's own processes died."""
        return isinstance(error, WarmProcessLost)

    def __enter__(self) -> "LocalWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._idle:
            worker.close()
        if self._warm:
            self._warm.close()


class Worker:
    """A process that grades one submission after the other, as it is asked."""

    def __init__(self, context: multiprocessing.context.BaseContext):
        self._connection, other = context.Pipe()
        with other:  # when the process is gone, nobody holds this end of the pipe
            self._process = context.Process(target=serve, args=(other,), daemon=True)
            self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, task, address: str):
        """What `grade_task` returns, or the exception that it raises. Raises one of LOST if the process is gone."""
        self._connection.send((task, address))
        return self._connection.recv()

    def close(self) -> None:
        self._connection.close()
        self._process.join()


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


def serve(connection: Connection) -> None:
    """Grade what comes through a pipe until that is closed."""
    begin_worker()
    with connection:
        while True:
            try:
                task, address = connection.recv()
            except EOFError:
                return
            try:
                answer = grade_task(task, address)
            except Exception as error:
                answer = error
            connection.send(answer)


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
