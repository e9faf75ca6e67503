"""Run a function in several processes that exchange tensors: real workers, on one machine or on several.

On one machine `Workers` starts the processes, keeps them for the next call, and ends them. On several, `write_job`
puts the function into a file, and torchrun, the starter that comes with PyTorch, runs that file's function everywhere:

    torchrun --nnodes 2 --nproc-per-node 2 --rdzv-backend c10d --rdzv-endpoint HOST:29500 \\
        -m labkit.workers job.pickle results.pickle

In both cases the processes form one group of torch.distributed (its gloo backend, which needs no GPU) before the function is
called, so it may ask `torch.distributed` for its rank and call collectives. The functions of a notebook have no file
that another process could import: cloudpickle sends them, and the functions that they call, as code. A job file is a pickle,
and whoever opens it runs its code: open only your own.
"""

import contextlib
import os
import pickle
import queue
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import cloudpickle

TIMEOUT = 120.0  # seconds that a call may take, and the start of the processes too
GRACE = 0.5  # seconds to wait, after a first failure, for the one that caused it
KEPT: dict = {}  # in a worker: what a function wants to find again in the next call, such as a data set
_TAIL = 1500  # characters of what a dead worker wrote to its error stream
_LENGTH = struct.Struct("<Q")


class WorkerError(RuntimeError):
    """A worker failed; the message says which one and why, with its own traceback where it has one."""


class Workers:
    """Several worker processes on this machine, one thread each, in one group of torch.distributed.

    They start with the first `run` (a few seconds: each imports torch) and are kept for the next one. After a failure all of
    them are ended, and the next `run` starts new ones. They end with `close`, at the end of a `with` block, and when the
    process that owns them ends, however it ends. What a worker prints is not shown: let the function return it.

    Args:
        count: the number of workers, at least 1.
        timeout: seconds that the start, or one call of `run`, may take.

    Raises:
        ValueError: count is below 1, or timeout is not above 0.
    """

    def __init__(self, count: int, *, timeout: float = TIMEOUT):
        if count < 1 or not timeout > 0:
            raise ValueError(f"{count} workers with {timeout} s: give at least one worker, and some time")
        self.count, self.timeout = count, timeout
        self._pool: _Pool | None = None

    def run(self, function: Callable, *args: object) -> list:
        """Call `function(*args)` in every worker; return the results, that of worker 0 first.

        Args:
            function: any function, also one of a notebook. Each worker tells itself from the others by
                `torch.distributed.get_rank()`, or by the environment variables RANK and WORLD_SIZE.
            args: handed to every worker, as copies.

        Raises:
            WorkerError: a worker raised an error, died, or has not finished within the timeout.
        """
        job = cloudpickle.dumps((function, args))
        try:
            if self._pool is None:
                self._pool = _Pool(self.count, self.timeout)
                self._pool.answers("start")
            self._pool.send(job)
            return self._pool.answers("finish")
        except BaseException:  # also where a person interrupts
            self.close()
            raise

    @property
    def processes(self) -> list[int]:
        """The process ids of the workers that are running, by rank."""
        return [] if self._pool is None else [process.pid for process in self._pool.processes]

    def close(self) -> None:
        """End the workers. Closing twice does no harm."""
        if self._pool is not None:
            self._pool.end()
            self._pool = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Pool:
    """The processes of one start, their pipes, and a queue of what they say."""

    def __init__(self, count: int, timeout: float):
        from torch.distributed import TCPStore

        self.timeout = timeout
        self.store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        self.said: queue.Queue = queue.Queue()  # (rank, kind, value); kind is "done", "failed" or "gone"
        self.folder = tempfile.TemporaryDirectory(prefix="workers-", ignore_cleanup_errors=True)
        self.jobs = 0
        self.processes: list[subprocess.Popen] = []
        self.end = weakref.finalize(self, _end, self.processes, self.folder)  # also when Python ends
        here = str(Path(__file__).resolve().parents[1])
        environment = os.environ | {
            "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.store.port),
            "PYTHONPATH": os.pathsep.join(dict.fromkeys([here, *filter(None, sys.path)])),
            "LABKIT_WORKER_TIMEOUT": str(timeout),
        }  # fmt: skip
        for rank in range(count):
            with Path(self.folder.name, f"errors-{rank}").open("wb") as errors:
                process = subprocess.Popen(
                    _command(rank), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                    env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                )  # fmt: skip
            self.processes.append(process)
            threading.Thread(target=_listen, args=(rank, process.stdout, self.said), daemon=True).start()

    def send(self, job: bytes) -> None:
        """Hand every worker a job: a file, whose path fits into a pipe also where nobody reads it."""
        self.jobs += 1
        path = Path(self.folder.name, f"job-{self.jobs}")
        path.write_bytes(job)
        for process in self.processes:
            with contextlib.suppress(OSError):  # it is dead: the queue will say so
                process.stdin.write(f"{path}\n".encode())
                process.stdin.flush()

    def answers(self, what: str) -> list:
        """Wait for every worker's answer. Raises WorkerError at the first failure."""
        deadline, answers = time.monotonic() + self.timeout, {}
        while len(answers) < len(self.processes):
            try:
                rank, kind, value = self.said.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise WorkerError(self._late(what, sorted(answers))) from None
            if kind != "done":
                raise WorkerError(self._failure(rank, kind, value)) from None
            answers[rank] = value
        return [answers[rank] for rank in sorted(answers)]

    def _late(self, what: str, ready: list[int]) -> str:
        missing = [rank for rank in range(len(self.processes)) if rank not in ready]
        text = f"after {self.timeout:g} s worker {_listed(missing)} did not {what}"
        if ready:
            text += f", while worker {_listed(ready)} did: does every worker call the same collectives, equally often?"
        return text

    def _failure(self, rank: int, kind: str, value: object) -> str:
        """The sentence for a first failure. One that dies tears the others' connections: so the dead come first."""
        deadline = time.monotonic() + GRACE
        while kind != "gone":
            try:
                other, other_kind, _ = self.said.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return f"worker {rank} failed:\n{value}"
            if other_kind == "gone":
                rank, kind = other, other_kind
        code = self.processes[rank].wait(5)
        how = f"with exit status {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                how = f"by the signal {signal.Signals(-code).name}"
        said = Path(self.folder.name, f"errors-{rank}").read_text(errors="replace").strip()[-_TAIL:]
        return f"worker {rank} ended {how}, without an answer" + (f":\n{said}" if said else "")


def _command(rank: int) -> list[str]:
    return [sys.executable, "-m", "labkit.workers", "--serve"]


def _listed(ranks: list[int]) -> str:
    return ", ".join(map(str, ranks))


def _listen(rank: int, pipe, said: queue.Queue) -> None:
    """Put what a worker says into the queue, until its pipe ends."""
    with contextlib.suppress(Exception):
        while len(head := pipe.read(_LENGTH.size)) == _LENGTH.size:
            said.put((rank, *pickle.loads(pipe.read(_LENGTH.unpack(head)[0]))))
    said.put((rank, "gone", None))


def _end(processes: list[subprocess.Popen], folder: tempfile.TemporaryDirectory) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError, ValueError):
                pipe.close()
    folder.cleanup()


# --- in a worker -------------------------------------------------------------------------------------------------


def _serve() -> None:
    """Join the group, then run one job after the other, until the owner's pipe ends."""
    commands, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a function prints must not come between the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the owner, who then ends us
    jobs: queue.Queue = queue.Queue()

    def listen() -> None:
        for line in commands:
            jobs.put(line.decode().rstrip("\n"))
        os._exit(0)  # the owner is gone, whatever we were waiting for

    threading.Thread(target=listen, daemon=True).start()

    def answer(kind: str, value: object) -> None:
        try:
            data = cloudpickle.dumps((kind, value))
        except Exception as error:
            data = pickle.dumps(("failed", f"its result cannot be sent: {error}"))
        answers.write(_LENGTH.pack(len(data)) + data)
        answers.flush()

    from torch.distributed import TCPStore, init_process_group

    _use_loopback()
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    patience = timedelta(seconds=float(os.environ["LABKIT_WORKER_TIMEOUT"]))
    store = TCPStore(
        os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=patience
    )
    init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=patience)
    _one_thread()
    answer("done", None)
    while True:
        job = Path(jobs.get())
        try:
            function, args = pickle.loads(job.read_bytes())
            value = function(*args)
        except BaseException as error:
            answer("failed", "".join(traceback.format_exception(error.with_traceback(_inner(error)))))
        else:
            answer("done", value)


def _inner(error: BaseException):
    """The traceback without the frame of this module."""
    return error.__traceback__.tb_next or error.__traceback__


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _use_loopback() -> None:
    """On one machine the workers meet on its loopback interface: no network is needed, and no host name."""
    if os.environ.get("MASTER_ADDR") in ("127.0.0.1", "localhost") and hasattr(socket, "if_nameindex"):
        names = {name for _, name in socket.if_nameindex()} & {"lo", "lo0"}
        if names:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", names.pop())


# --- started by torchrun -----------------------------------------------------------------------------------------


def write_job(path: str | Path, function: Callable, *args: object) -> None:
    """Write a function and its arguments into a file that `torchrun -m labkit.workers` runs in every process."""
    Path(path).write_bytes(cloudpickle.dumps((function, args)))


def read_results(path: str | Path) -> list:
    """Read what the workers returned, that of worker 0 first."""
    return pickle.loads(Path(path).read_bytes())


def _run_job(job: str, results: str) -> None:
    """One of torchrun's processes: the environment says where the others are."""
    import torch.distributed as dist

    _use_loopback()
    dist.init_process_group("gloo", timeout=timedelta(seconds=TIMEOUT))
    _one_thread()
    function, args = pickle.loads(Path(job).read_bytes())
    value = function(*args)
    values = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(value, values)
    if values is not None:
        Path(results).write_bytes(cloudpickle.dumps(values))
    dist.destroy_process_group()


def main(arguments: list[str]) -> int:
    """`--serve` is what `Workers` starts; `JOB RESULTS` is for torchrun."""
    if arguments == ["--serve"]:
        _serve()
    elif len(arguments) == 2 and "RANK" in os.environ:
        _run_job(*arguments)
    else:
        print(
            "usage: torchrun … -m labkit.workers JOB RESULTS (torchrun sets RANK and WORLD_SIZE)",
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
