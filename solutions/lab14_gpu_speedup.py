"""Lab 14: does sparse run faster? A measuring protocol, a fair comparison, and what can be predicted before measuring.

The chapter that explains it: lecture_notes/lab14_gpu_speedup.md; the notebook: labs/lab14_gpu_speedup.ipynb.
"""

import math
from collections.abc import Callable

import numpy as np


def measure(
    function: Callable[[], object],
    clock: Callable[[], float],
    synchronize: Callable[[], object],
    warmup: int = 3,
    repeats: int = 30,
    calls: int = 1,
) -> tuple[float, float, float]:
    """Time one function: the median and the quartiles of repeated timings.

    Args:
        function: takes no argument; what it returns plays no part. It may return before its work is done, as on a GPU:
            the work then waits in a queue.
        clock: takes no argument, returns the time now, in seconds, a float; only differences mean anything. Read no
            other clock.
        synchronize: takes no argument, returns when all the work queued so far is done.
        warmup: untimed calls before the first timing, >= 0.
        repeats: number of timings, >= 1.
        calls: calls of the function within one timing, >= 1.

    Returns:
        (first quartile, median, third quartile) of the seconds for one call, three Python floats. A timing of `calls`
        calls gives one number: its elapsed time divided by `calls`. Between two numbers interpolate in a straight
        line, as `numpy.percentile` does by default.

    A timing holds the whole work of its own calls and nothing else: when the clock is read for the first time, nothing is
    left in the queue, and when it is read for the second time, the work of these calls is done. Between the two
    readings the calls follow each other without waiting; the queue is waited for once, after the last of them. The
    function is called exactly warmup + repeats * calls times.

    Raises:
        ValueError: if `warmup` is below 0, or `repeats` or `calls` is below 1. Nothing has been called then.

    Source: the steps are those of PyTorch's `torch.utils.benchmark` (warm-up, synchronisation, median).
    """
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError(
            f"these counts make no measurement: warmup {warmup}, repeats {repeats}, calls {calls}"
        )
    for _ in range(warmup):
        function()
    seconds = []  # repeats
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / calls)
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return float(low), float(middle), float(high)


def compare(
    baseline: Callable[[], object],
    candidate: Callable[[], object],
    agree: Callable[[object, object], bool],
    clock: Callable[[], float],
    synchronize: Callable[[], object],
    warmup: int = 3,
    rounds: int = 30,
    calls: int = 1,
) -> tuple[float, float, float]:
    """Measure how many times faster a candidate is than a baseline, once both are known to compute the same.

    Args:
        baseline, candidate: take no argument and return a result. They may return before their work is done.
        agree: `agree(baseline's result, candidate's result)` is true if the two results are the same, up to rounding.
        clock: takes no argument, returns the time now, in seconds. It advances during each timing.
        synchronize: takes no argument, returns when all the work queued so far is done.
        warmup: untimed calls of each function after the comparison of the results, >= 0.
        rounds: number of rounds, >= 1.
        calls: calls of a function within one timing, >= 1.

    Returns:
        (first quartile, median, third quartile), three Python floats, of the speed-ups of the rounds. The speed-up
        of a round is the baseline's time divided by the candidate's time in the same round; above 1 the candidate is
        faster. Between two numbers interpolate in a straight line, as `numpy.percentile` does by default.

    In this order: each function is called once, and `agree` once, with what they returned (whether you wait before
    it makes no difference). Then comes the warm-up, `warmup` calls of each, in any order. Then the rounds: in each of
    them the baseline is timed once and then the candidate once, so the two take turns. A timing holds the whole work
    of its own `calls` calls, which follow each other without waiting, and nothing else. Each function is called
    exactly 1 + warmup + rounds * calls times.

    Raises:
        ValueError: if `warmup` is below 0, or `rounds` or `calls` is below 1: then nothing has been called. And if the
            results do not agree: then the clock has not been read.

    Source: the protocol of labkit.timing, with the correctness of the results in front.
    """
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError(f"these counts make no comparison: warmup {warmup}, rounds {rounds}, calls {calls}")
    if not agree(baseline(), candidate()):
        raise ValueError("the candidate does not compute what the baseline computes: its speed means nothing")
    for function in (baseline, candidate):
        for _ in range(warmup):
            function()
    ratios = []  # rounds
    for _ in range(rounds):
        elapsed = []  # the baseline's time, the candidate's time
        for function in (baseline, candidate):
            synchronize()
            start = clock()
            for _ in range(calls):
                function()
            synchronize()
            elapsed.append(clock() - start)
        ratios.append(elapsed[0] / elapsed[1])
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return float(low), float(middle), float(high)


def break_even_sparsity(
    sparsities: list[float], sparse_seconds: list[float], dense_seconds: float
) -> float | None:
    """Find the sparsity from which on a sparse format takes no more time than the dense one.

    (Time, not bytes: the function of this name in Lab 13 is about storage.)

    Args:
        sparsities: the sparsities that were measured, in strictly rising order; at least one.
        sparse_seconds: the format's time at each of them.
        dense_seconds: the time of the dense product, which does not depend on the sparsity.

    Returns:
        A float, or None. A format *pays* at a measured sparsity if its time there is at most `dense_seconds`. Measured
        times are noisy, so the curve may cross the dense time several times; the last crossing counts, after which
        the format pays at every measured sparsity. It is read off a straight line of *time* against sparsity, between the last
        measured sparsity at which the format does not pay and the next one. If the format pays at every
        measured sparsity, the answer is the first of them (the truth may lie lower). If it does not pay at the last
        of them, the answer is None.

    Raises:
        ValueError: if `sparsities` is empty, if there is not one time for each sparsity, or if the sparsities do not
            rise strictly.
    """
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError(f"there are {len(sparsities)} sparsities and {len(sparse_seconds)} times")
    if any(later <= earlier for earlier, later in zip(sparsities, sparsities[1:])):
        raise ValueError(f"the sparsities must rise, but they are {sparsities}")
    too_slow = [i for i, seconds in enumerate(sparse_seconds) if seconds > dense_seconds]
    if not too_slow:
        return float(sparsities[0])
    last = too_slow[-1]
    if last == len(sparsities) - 1:
        return None
    fall = sparse_seconds[last] - sparse_seconds[last + 1]  # > 0
    share = (sparse_seconds[last] - dense_seconds) / fall  # of the way from `last` to the next point
    return float(sparsities[last] + share * (sparsities[last + 1] - sparsities[last]))


def roofline_seconds(
    rows: int,
    cols: int,
    batch: int,
    kept: int,
    value_bytes: float,
    index_bytes: float,
    macs_per_second: float,
    bytes_per_second: float,
) -> float:
    """Compute the least time that a product y = W x can take on a machine with two limits (the roofline model).

    Args:
        rows, cols: W is [rows, cols].
        batch: x is [cols, batch] and dense, and so y is [rows, batch] and dense. batch >= 1.
        kept: number of stored weights, 0 <= kept <= rows * cols. A dense W stores all of them, zeros too.
        value_bytes: bytes of one number of W, x and y.
        index_bytes: bytes that say where one stored weight stands; 0 for a dense W, and a fraction is possible: two bits
            are 0.25.
        macs_per_second: the largest rate of multiply-adds of the machine, > 0.
        bytes_per_second: the largest rate at which it moves bytes between memory and processor, > 0.

    Returns:
        Seconds, a Python float: the longer one of two times, since the machine can compute and move bytes at once.
        The multiply-adds: one for each stored weight and each of the `batch` columns. The bytes: the stored weights
        with their indices, x and y, each moved once. (The row starts of CSR are few and are left out.)

    Raises:
        ValueError: if `kept` is below 0 or above rows * cols, or if one of the two rates is not above 0.

    Source: Williams, Waterman and Patterson (2009), "Roofline: An Insightful Visual Performance Model for Multicore
    Architectures", Communications of the ACM 52(4), with multiply-adds in place of floating-point operations.
    """
    if not 0 <= kept <= rows * cols:
        raise ValueError(f"{kept} of {rows * cols} weights cannot be stored")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError(f"the rates must be above 0, but they are {macs_per_second} and {bytes_per_second}")
    macs = kept * batch
    moved = kept * (value_bytes + index_bytes) + (cols + rows) * batch * value_bytes  # W, then x and y
    return float(max(macs / macs_per_second, moved / bytes_per_second))


def amdahl_speedup(seconds: dict[str, float], speedups: dict[str, float]) -> float:
    """Predict how many times faster a whole becomes when some of its parts become faster (Amdahl's law).

    Args:
        seconds: {part: its time before}, each >= 0, and at least one above 0. A part may be a layer, or "the rest".
        speedups: {part: how many times faster this part becomes}, each above 0: below 1 it becomes slower, and
            `math.inf` means that it takes no time any more. A part that is not named here keeps its time.

    Returns:
        The time of the whole before, divided by its time after, a Python float; `math.inf` if no time is left. The
        parts run one after another.

    Raises:
        ValueError: if `speedups` names a part that is not in `seconds`, if a speed-up is not above 0, if a time is below 0, or if
            all times are 0.

    Source: Amdahl (1967), "Validity of the Single Processor Approach to Achieving Large Scale Computing
    Capabilities", AFIPS Spring Joint Computer Conference.
    """
    if unknown := speedups.keys() - seconds.keys():
        raise ValueError(f"there is a speed-up of {sorted(unknown)[0]}, but no such part")
    if not all(factor > 0 for factor in speedups.values()):
        raise ValueError(f"each speed-up must be above 0, but they are {list(speedups.values())}")
    before = sum(seconds.values())
    if not (before > 0 and all(time >= 0 for time in seconds.values())):
        raise ValueError(f"the times must not be negative, nor all 0, but they are {list(seconds.values())}")
    after = sum(time / speedups.get(part, 1.0) for part, time in seconds.items())
    return float(before / after) if after > 0 else math.inf


def amortisation_calls(convert_seconds: float, dense_seconds: float, sparse_seconds: float) -> int | None:
    """Count the calls after which the conversion of a weight into a sparse format has paid for itself.

    Args:
        convert_seconds: time of the conversion, which is made once, >= 0 and finite, as are the others.
        dense_seconds: time of one dense product, >= 0.
        sparse_seconds: time of one product with the converted weight, >= 0.

    Returns:
        The smallest whole number n of calls, an int, for which the conversion and n sparse products together take no
        longer than n dense products. It is 0 if the conversion takes no time and the sparse product is the faster
        one. None if the sparse product is not faster than the dense one: no number of calls pays then. Compute with
        the floats as they are: no case is tested in which their rounding decides.

    Raises:
        ValueError: if a time is below 0 or NaN.
    """
    if not all(time >= 0 for time in (convert_seconds, dense_seconds, sparse_seconds)):
        raise ValueError(
            f"times cannot be negative, but they are {convert_seconds}, {dense_seconds}, {sparse_seconds}"
        )
    saved = dense_seconds - sparse_seconds  # seconds in each call
    return math.ceil(convert_seconds / saved) if saved > 0 else None
