"""Real processes: what they return, what they send, and how every kind of failure ends: soon, clearly, with nobody left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import torch.distributed as dist

import labkit
from labkit import workers as workers_module
from labkit.exchange import Exchange, socket_bytes
from labkit.workers import WorkerError, Workers, main, read_results, write_job

ROOT = Path(labkit.__file__).parents[1]
PATIENCE = 120  # seconds for the start on a busy machine

pytestmark = pytest.mark.slow


def gone(processes) -> bool:
    """Whether none of these processes is there any more."""
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(psutil.pid_exists(process) for process in processes)


@pytest.fixture(scope="module")
def pair():
    """Two workers that several tests use."""
    with Workers(2, timeout=PATIENCE) as pair:
        yield pair


def test_every_worker_runs_the_function_and_the_results_come_by_rank(pair):
    def function(base):
        return (
            base + dist.get_rank(),
            int(os.environ["RANK"]),
            int(os.environ["WORLD_SIZE"]),
            torch.get_num_threads(),
        )

    assert pair.run(function, 10) == [(10, 0, 2, 1), (11, 1, 2, 1)]


def test_workers_are_kept_for_the_next_call_and_keep_what_they_want(pair):
    def keep():
        from labkit.workers import KEPT

        KEPT["calls"] = KEPT.get("calls", 0) + 1
        return os.getpid(), KEPT["calls"]

    first, second = pair.run(keep), pair.run(keep)
    assert [process for process, _ in first] == [process for process, _ in second] == pair.processes
    assert [calls for _, calls in second] == [2, 2] and os.getpid() not in pair.processes


def test_what_a_worker_prints_does_not_disturb_its_answer(pair):
    assert pair.run(lambda: print("hello", flush=True)) == [None, None]


def test_sums_are_equal_in_all_workers_and_every_byte_is_counted(pair):
    def function():
        exchange = Exchange()
        total = exchange.all_reduce(torch.full((3, 5), float(dist.get_rank() + 1)).t())
        return total, exchange.handed

    for total, handed in pair.run(function):
        assert torch.equal(total, torch.full((5, 3), 3.0)) and handed == 15 * 4


@pytest.mark.parametrize(("index", "value"), [(torch.int32, torch.float64), (torch.int64, torch.float16)])
def test_messages_of_different_lengths_arrive_whole_and_their_fill_is_counted(pair, index, value):
    def function():
        exchange, rank = Exchange(), dist.get_rank()
        length = (3, 7)[rank]
        messages = exchange.all_gather(
            (torch.arange(length) + 100 * rank).to(index), (torch.arange(length) / 2 - rank).to(value)
        )
        return messages, exchange.handed

    for messages, handed in pair.run(function):
        for rank, (indices, values) in enumerate(messages):
            expected = torch.arange((3, 7)[rank])
            assert torch.equal(indices, (expected + 100 * rank).to(index)) and indices.dtype == index
            assert torch.equal(values, (expected / 2 - rank).to(value)) and values.dtype == value
        assert handed == 8 + 7 * (index.itemsize + value.itemsize)


def test_empty_messages_cost_their_length_only(pair):
    def function():
        exchange = Exchange()
        return exchange.all_gather(torch.zeros(0, dtype=torch.int32), torch.zeros(0)), exchange.handed

    for messages, handed in pair.run(function):
        assert [len(values) for _, values in messages] == [0, 0] and handed == 8


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_sockets_carry_at_least_what_was_handed_over_and_little_more(pair):
    def function():
        exchange, before = Exchange(), socket_bytes()
        exchange.all_gather(torch.arange(50_000).int(), torch.zeros(50_000))
        return exchange.handed, socket_bytes() - before

    for handed, sent in pair.run(function):
        assert handed <= sent <= 1.02 * handed  # to one other worker, with gloo's own notes


def test_two_workers_sum_a_dense_tensor_to_the_bit_as_their_full_messages(pair):
    def function():
        exchange = Exchange()
        gradient = torch.randn(1000, generator=torch.Generator().manual_seed(dist.get_rank()))
        messages = exchange.all_gather(torch.arange(1000), gradient)
        return torch.equal(sum(values for _, values in messages), exchange.all_reduce(gradient))

    assert pair.run(function) == [True, True]  # a + b is b + a; of more workers the order would matter


# --- failures ----------------------------------------------------------------------------------------------------


def test_a_worker_that_raises_is_quoted_while_the_other_waits_for_it():
    def function():
        if dist.get_rank() == 1:
            raise KeyError("the mistake")
        dist.barrier()

    with Workers(2, timeout=PATIENCE) as pair:
        pair.run(dist.get_rank)
        processes, start = pair.processes, time.monotonic()
        with pytest.raises(WorkerError, match="(?s)worker 1 failed.*KeyError: 'the mistake'"):
            pair.run(function)
        assert time.monotonic() - start < PATIENCE / 2  # no waiting for a timeout
        assert gone(processes) and pair.processes == []
        assert pair.run(dist.get_rank) == [0, 1]  # and new ones start


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_worker_that_is_killed_is_named_and_not_the_one_that_lost_it():
    def function():
        if dist.get_rank() == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        dist.barrier()

    with Workers(2, timeout=PATIENCE) as pair:
        pair.run(dist.get_rank)
        processes = pair.processes
        with pytest.raises(WorkerError, match="worker 0 ended by the signal SIGKILL"):
            pair.run(function)
        assert gone(processes)


def test_a_worker_that_ends_itself_is_named_with_what_it_said():
    def function():
        os.write(2, b"the reason")
        os._exit(3)

    with (
        Workers(1, timeout=PATIENCE) as one,
        pytest.raises(WorkerError, match="(?s)exit status 3.*the reason"),
    ):
        one.run(function)


def test_a_worker_that_never_arrives_at_the_collective_ends_the_call():
    def function():
        if dist.get_rank() == 0:
            time.sleep(600)
        return "done"

    with Workers(2, timeout=PATIENCE) as pair:
        pair.run(dist.get_rank)
        pair._pool.timeout, processes = 1.0, pair.processes
        with pytest.raises(WorkerError, match="after 1 s worker 0 did not finish, while worker 1 did"):
            pair.run(function)
        assert gone(processes)


def test_a_worker_that_never_starts_ends_the_start(monkeypatch):
    command = workers_module._command
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(workers_module, "_command", lambda rank: sleeper if rank == 1 else command(rank))
    with (
        Workers(2, timeout=3) as pair,
        pytest.raises(WorkerError, match="after 3 s worker (0, )?1 did not start"),
    ):
        pair.run(dist.get_rank)


def test_a_worker_that_cannot_start_says_why(monkeypatch):
    monkeypatch.setattr(
        workers_module, "_command", lambda rank: [sys.executable, "-c", "import no_such_module"]
    )
    with Workers(2, timeout=PATIENCE) as pair, pytest.raises(WorkerError, match="no_such_module"):
        pair.run(dist.get_rank)


def test_a_result_that_cannot_be_sent_is_an_error_and_not_silence():
    with Workers(1, timeout=PATIENCE) as one, pytest.raises(WorkerError, match="cannot be sent"):
        one.run(lambda: (number for number in range(3)))


def test_workers_end_with_their_owner_however_it_ends():
    script = (
        "import os, time, torch.distributed as dist\nfrom labkit.workers import Workers\npair = Workers(2)\n"
        "pair.run(dist.get_rank)\nprint(*pair.processes, flush=True)\npair.run(lambda: time.sleep(600))\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    processes = [int(word) for word in owner.stdout.readline().split()]
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert len(processes) == 2 and gone(processes)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupt_of_the_whole_group_ends_the_call_and_the_workers():
    """Jupyter's stop button interrupts the kernel and all that it has started."""
    script = (
        "import time, torch.distributed as dist\nfrom labkit.workers import Workers\npair = Workers(2)\n"
        "pair.run(dist.get_rank)\nprint(*pair.processes, flush=True)\n"
        "try:\n    pair.run(lambda: time.sleep(600))\nexcept KeyboardInterrupt:\n    print('interrupted', pair.processes)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    processes = [int(word) for word in owner.stdout.readline().split()]
    time.sleep(0.5)
    os.killpg(owner.pid, signal.SIGINT)
    said, _ = owner.communicate(timeout=60)
    assert said.strip() == "interrupted []" and len(processes) == 2 and gone(processes)


def test_senseless_pools_are_refused():
    for arguments, options in (((0,), {}), ((2,), {"timeout": 0}), ((2,), {"timeout": float("nan")})):
        with pytest.raises(ValueError, match="at least one worker"):
            Workers(*arguments, **options)


# --- torchrun ----------------------------------------------------------------------------------------------------


def torchrun(folder, function, *arguments):
    """Start two processes with torchrun; (its exit status, its error stream, the path of the results)."""
    job, results = folder / "job.pickle", folder / "results.pickle"
    write_job(job, function, *arguments)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1",
        "--nproc-per-node", "2", "-m", "labkit.workers", str(job), str(results),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stderr, results


def test_a_job_runs_under_torchrun_as_it_runs_here(tmp_path, pair):
    def function(base):
        total = Exchange().all_reduce(torch.tensor([base + dist.get_rank()]))
        return os.environ["RANK"], os.environ["WORLD_SIZE"], total.item()

    status, errors, results = torchrun(tmp_path, function, 20)
    assert status == 0, errors
    assert read_results(results) == pair.run(function, 20) == [("0", "2", 41), ("1", "2", 41)]


def test_a_job_that_fails_under_torchrun_fails_with_its_own_error(tmp_path):
    def function():
        if dist.get_rank() == 1:
            raise KeyError("the mistake")
        dist.barrier()

    status, errors, results = torchrun(tmp_path, function)
    assert status != 0 and "the mistake" in errors and not results.exists()


def test_the_module_alone_says_how_it_is_used(capsys, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert main(["job", "results"]) == 2 and "torchrun" in capsys.readouterr().err
