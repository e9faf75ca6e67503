"""The protocol is followed; no time is ever compared with a constant."""

import dataclasses

import numpy as np
import pytest
import torch

from labkit import timing
from labkit.timing import Timing, compare, cpu_threads, measure, speedup


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock by one that a test moves."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(timing.time, "perf_counter", lambda: Clock.now)
    return Clock


def test_functions_take_turns_after_their_warm_up():
    calls = []
    compare({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, warmup=2, repeats=3, calls=1)
    assert "".join(calls) == "aabb" + "ababab"


def test_one_repeat_is_the_mean_of_its_calls(clock):
    durations = iter([100.0] + [1.0, 3.0] + [5.0, 7.0])  # warm-up, then two repeats of two calls

    def work():
        clock.now += next(durations)

    assert measure(work, warmup=1, repeats=2, calls=2).seconds == (2.0, 6.0)


def test_the_threads_are_set_while_measuring_and_restored():
    before = torch.get_num_threads()
    inside = []
    result = measure(lambda: inside.append(torch.get_num_threads()), warmup=1, repeats=2, threads=before + 1)
    assert set(inside) == {before + 1}
    assert result.threads == before + 1
    assert torch.get_num_threads() == before


def test_the_threads_are_restored_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_a_cuda_device_is_synchronised_around_every_repeat(monkeypatch):
    events = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: events.append(str(device)))
    measure(lambda: events.append("call"), warmup=1, repeats=2, device="cuda:0")
    assert events == ["call"] + ["cuda:0", "call", "cuda:0"] * 2


def test_a_cpu_tensor_is_not_synchronised(monkeypatch):
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: pytest.fail("synchronised"))
    assert len(measure(lambda: torch.ones(2), repeats=2).seconds) == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_device_of_a_returned_cuda_tensor_is_synchronised(monkeypatch):
    devices = []
    monkeypatch.setattr(torch.cuda, "synchronize", devices.append)
    measure(lambda: torch.ones(2, device="cuda"), warmup=1, repeats=1)
    assert [device.type for device in devices] == ["cuda", "cuda"]


@pytest.mark.parametrize("repeats", [1, 2, 7, 30])
def test_median_and_quartiles_agree_with_numpy(repeats):
    seconds = np.random.default_rng(repeats).lognormal(size=repeats)
    result = Timing(tuple(seconds.tolist()), threads=1)
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    assert result.median == pytest.approx(middle)
    assert result.quartiles == pytest.approx((low, high))
    assert result.spread == pytest.approx(high - low)


def test_a_timing_is_frozen_and_prints_in_milliseconds():
    result = Timing((0.001, 0.002, 0.003), threads=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.threads = 2
    assert str(result) == "2.000 ms (quartiles 1.500 to 2.500 ms, 3 repeats)"


def test_speedup_compares_round_with_round():
    """The machine slows down tenfold in the second round: the ratio stays 2 in both."""
    low, middle, high = speedup(Timing((2.0, 20.0, 2.0), 1), Timing((1.0, 10.0, 1.0), 1))
    assert (low, middle, high) == (2.0, 2.0, 2.0)
    assert speedup(Timing((1.0,), 1), Timing((4.0,), 1)) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("other", [Timing((1.0,), 1), Timing((1.0, 2.0), 2)])
def test_timings_that_do_not_belong_together_are_refused(other):
    with pytest.raises(ValueError, match="one call of compare"):
        speedup(Timing((1.0, 2.0), 1), other)


@pytest.mark.parametrize(
    "options", [{"repeats": 0}, {"calls": 0}, {"threads": 0}, {"warmup": 0}, {"warmup": -1}]
)
def test_bad_counts_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        measure(lambda: None, **options)


def test_nothing_to_time_is_refused():
    with pytest.raises(ValueError, match="at least one function"):
        compare({})
