"""One protocol for every wall-clock time in the course.

1. The number of CPU threads is set (1 unless said), and restored afterwards.
2. Each function runs a few times untimed: first calls allocate, compile and fill caches.
3. On a CUDA device, the clock is read only after `torch.cuda.synchronize`: a call returns before its work is done.
4. Functions to be compared take turns, so that a machine that slows down slows all of them.
5. The median and the quartiles of the repeats are reported, never the mean: other work on the machine only adds time.

A time holds for the machine that it was measured on. The labs plot times and never grade them.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timing:
    """Repeated times of one function.

    Attributes:
        seconds: seconds for one call, one entry for each repeat, in the order measured.
        threads: PyTorch's CPU threads while measuring.
    """

    seconds: tuple[float, ...]
    threads: int

    @property
    def median(self) -> float:
        """Median time of one call, in seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile of the time of one call, in seconds."""
        return _quartiles(self.seconds)

    @property
    def spread(self) -> float:
        """Interquartile range, in seconds."""
        low, high = self.quartiles
        return high - low

    def __str__(self) -> str:
        low, high = (1e3 * quartile for quartile in self.quartiles)
        return (
            f"{1e3 * self.median:.3f} ms (quartiles {low:.3f} to {high:.3f} ms, {len(self.seconds)} repeats)"
        )


def measure(
    function: Callable[[], object],
    *,
    warmup: int = 5,
    repeats: int = 30,
    calls: int = 1,
    threads: int = 1,
    device: torch.device | str | None = None,
) -> Timing:
    """Time one function by the protocol above; the arguments are those of `compare`.

    Example: `measure(lambda: model(images))`, where the model is in evaluation mode, under torch.no_grad().
    """
    options = {"warmup": warmup, "repeats": repeats, "calls": calls, "threads": threads, "device": device}
    return compare({"function": function}, **options)["function"]


def compare(
    functions: Mapping[str, Callable[[], object]],
    *,
    warmup: int = 5,
    repeats: int = 30,
    calls: int = 1,
    threads: int = 1,
    device: torch.device | str | None = None,
) -> dict[str, Timing]:
    """Time several functions in turns: A, B, A, B, ...

    Args:
        functions: name to a function without arguments.
        warmup: untimed calls of each function before the first timed one.
        repeats: timed rounds; each gives one time for each function.
        calls: consecutive calls timed together in a round, whose mean is one time. Raise it for a function that
            takes less than about 0.1 ms, where the clock and Python itself weigh.
        threads: CPU threads of PyTorch while measuring. NumPy and SciPy have threads of their own.
        device: where the functions run. None: CUDA if any of them returned a CUDA tensor in its warm-up.

    Returns:
        Name to Timing, in the order given.

    Raises:
        ValueError: no function, a count below 1, or warmup below 0 (below 1 where device is None).
    """
    if not functions:
        raise ValueError("There is nothing to time: give at least one function.")
    for name, count in {"repeats": repeats, "calls": calls, "threads": threads}.items():
        if count < 1:
            raise ValueError(f"{name} is {count}: give 1 or more.")
    if warmup < (device is None):
        raise ValueError(f"warmup is {warmup}: give 1 or more, or 0 together with a device.")
    seconds = {name: [] for name in functions}
    with cpu_threads(threads):
        results = [function() for function in functions.values() for _ in range(warmup)]
        synchronize = _synchronizer(results, device)
        del results
        for _ in range(repeats):
            for name, function in functions.items():
                seconds[name].append(_time_calls(function, calls, synchronize))
    return {name: Timing(tuple(times), threads) for name, times in seconds.items()}


def speedup(baseline: Timing, other: Timing) -> tuple[float, float, float]:
    """Return how many times faster `other` is than `baseline`, from the ratios of each round.

    Both must come from one `compare`, so that the times of a round were measured side by side.

    Returns:
        First quartile, median and third quartile of baseline / other; above 1 means that `other` is faster.

    Raises:
        ValueError: the two have different numbers of repeats or threads.
    """
    if len(baseline.seconds) != len(other.seconds) or baseline.threads != other.threads:
        raise ValueError("The two timings do not belong together: measure both in one call of compare.")
    ratios = [base / new for base, new in zip(baseline.seconds, other.seconds, strict=True)]
    low, high = _quartiles(ratios)
    return low, statistics.median(ratios), high


@contextmanager
def cpu_threads(threads: int) -> Iterator[None]:
    """Set PyTorch's number of CPU threads inside a `with`, and restore it afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _time_calls(function: Callable[[], object], calls: int, synchronize: Callable[[], object]) -> float:
    synchronize()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    synchronize()
    return (time.perf_counter() - start) / calls


def _synchronizer(results: list[object], device: torch.device | str | None) -> Callable[[], object]:
    devices = [torch.device(device)] if device is not None else _devices_of(results)
    cuda = {device for device in devices if device.type == "cuda"}
    return lambda: [torch.cuda.synchronize(device) for device in cuda]


def _devices_of(results: list[object]) -> list[torch.device]:
    return [result.device for result in results if isinstance(result, torch.Tensor)]


def _quartiles(values: tuple[float, ...] | list[float]) -> tuple[float, float]:
    if len(values) == 1:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high
