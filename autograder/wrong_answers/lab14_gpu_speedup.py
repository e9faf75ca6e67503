"""Lab 14's bank. An answer uses only what the notebook's first cell imports: math, statistics, torch and numpy as np."""

import math
import statistics

import numpy as np
import torch

from autograder.wrong_answers import right, wrong

# --- measure ---------------------------------------------------------------------------------------------------


@wrong("measure", "A call returns when its work is queued: your clock was read before the work was done.")
def measure_launches(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        start = clock()
        for _ in range(calls):
            function()
        seconds.append((clock() - start) / calls)
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong(
    "measure", "The work that was still in the queue when you started the clock is counted in your timing."
)
def measure_what_was_queued(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / calls)
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong(
    "measure",
    "You waited after every call: the launch of the next call can no longer overlap with the work before it.",
)
def measure_waits_each_call(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
            synchronize()
        synchronize()
        seconds.append((clock() - start) / calls)
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong("measure", "There is no warm-up: your first timings hold the slow first calls.")
def measure_cold(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / calls)
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong("measure", "The warm-up calls are among your timings.")
def measure_times_the_warmup(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    seconds = []
    for repeat in range(warmup + repeats):
        synchronize()
        start = clock()
        for _ in range(calls if repeat >= warmup else 1):
            function()
        synchronize()
        seconds.append((clock() - start) / (calls if repeat >= warmup else 1))
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong("measure", "You warmed up before every timing, not once: the function is called too often.")
def measure_warms_up_again(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    seconds = []
    for _ in range(repeats):
        for _ in range(warmup):
            function()
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / calls)
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong("measure", "You took the mean: a few timings that were disturbed pull it up.")
def measure_mean(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / calls)
    low, high = np.percentile(seconds, [25, 75])
    return float(low), float(np.mean(seconds)), float(high)


@wrong("measure", "You took the fastest timing as the time: that is the luckiest one, not the usual one.")
def measure_fastest(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / calls)
    low, high = np.percentile(seconds, [25, 75])
    return float(low), float(min(seconds)), float(high)


@wrong("measure", "You gave the mean and one standard deviation to each side; outliers pull both.")
def measure_deviation(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / calls)
    middle, spread = float(np.mean(seconds)), float(np.std(seconds))
    return middle - spread, middle, middle + spread


@wrong("measure", "You gave the smallest and the largest timing in the place of the quartiles.")
def measure_range(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / calls)
    return float(min(seconds)), float(np.median(seconds)), float(max(seconds))


@wrong(
    "measure",
    "Your quartiles are other ones: statistics.quantiles has two methods, and its default is not the one described.",
)
def measure_exclusive(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / calls)
    if len(seconds) == 1:
        return seconds[0], seconds[0], seconds[0]
    low, middle, high = statistics.quantiles(seconds, n=4)
    return low, middle, high


@wrong(
    "measure",
    "You picked an entry of the sorted timings: between two timings the quartiles are interpolated.",
)
def measure_picks(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / calls)
    seconds.sort()
    n = len(seconds)
    return seconds[n // 4], seconds[n // 2], seconds[3 * n // 4]


@wrong("measure", "Your three numbers come in another order: the median stands between the quartiles.")
def measure_other_order(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / calls)
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return float(middle), float(low), float(high)


@wrong("measure", "Your times are those of all the calls of a timing together, not of one call.")
def measure_undivided(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append(clock() - start)
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong("measure", "A timing of yours has one call only, however many are asked for.")
def measure_one_call(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        function()
        synchronize()
        seconds.append(clock() - start)
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong("measure", "You timed all the repeats as one: their spread is lost.")
def measure_one_block(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    synchronize()
    start = clock()
    for _ in range(repeats * calls):
        function()
    synchronize()
    mean = (clock() - start) / (repeats * calls)
    return mean, mean, mean


@wrong("measure", "Counts that make no measurement are accepted, or break with another error.")
def measure_unchecked(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / max(calls, 1))
    if not seconds:
        return 0.0, 0.0, 0.0
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong("measure", "You checked the counts after the work: the function has been called already.")
def measure_checks_late(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / max(calls, 1))
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    return float(low), float(middle), float(high)


@right("measure")
def measure_by_statistics(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / calls)
    if repeats == 1:
        return (seconds[0],) * 3
    return tuple(statistics.quantiles(seconds, n=4, method="inclusive"))


@right("measure")
def measure_by_torch(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    [function() for _ in range(warmup)]
    seconds = torch.empty(repeats, dtype=torch.float64)
    for repeat in range(repeats):
        synchronize()
        synchronize()
        times = [clock()]
        for _ in range(calls):
            function()
        synchronize()
        times.append(clock())
        seconds[repeat] = (times[1] - times[0]) / calls
    return tuple(torch.quantile(seconds, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)).tolist())


@right("measure")
def measure_by_hand(function, clock, synchronize, warmup=3, repeats=30, calls=1):
    if warmup < 0 or repeats < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        synchronize()
        start = clock()
        for _ in range(calls):
            function()
        synchronize()
        seconds.append((clock() - start) / calls)
    seconds.sort()
    found = []
    for share in (0.25, 0.5, 0.75):
        place = share * (repeats - 1)
        below = int(place)
        above = min(below + 1, repeats - 1)
        found.append(seconds[below] + (place - below) * (seconds[above] - seconds[below]))
    return tuple(found)


# --- compare ---------------------------------------------------------------------------------------------------


@wrong("compare", "Your ratio is the wrong way round: a faster candidate has a speed-up above 1.")
def compare_inverted(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
        for function in (baseline, candidate):
            synchronize()
            start = clock()
            for _ in range(calls):
                function()
            synchronize()
            elapsed.append(clock() - start)
        ratios.append(elapsed[1] / elapsed[0])
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong(
    "compare",
    "You timed the baseline in all rounds and then the candidate: a machine that slows down in between looks like a slow candidate.",
)
def compare_in_blocks(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    times = []
    for function in (baseline, candidate):
        times.append([])
        for _ in range(rounds):
            synchronize()
            start = clock()
            for _ in range(calls):
                function()
            synchronize()
            times[-1].append(clock() - start)
    low, middle, high = np.percentile(np.array(times[0]) / np.array(times[1]), [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong(
    "compare",
    "You divided the median times: the two medians come from different rounds, and you compared times that were not taken side by side.",
)
def compare_divides_medians(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    times = []
    for _ in range(rounds):
        elapsed = []
        for function in (baseline, candidate):
            synchronize()
            start = clock()
            for _ in range(calls):
                function()
            synchronize()
            elapsed.append(clock() - start)
        times.append(elapsed)
    one, other = np.array(times).T
    ratios = np.percentile(one, [25, 50, 75]) / np.percentile(other, [25, 50, 75])
    return tuple(ratios.tolist())


@wrong("compare", "You took the mean of the rounds: one disturbed round pulls it.")
def compare_mean(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
        for function in (baseline, candidate):
            synchronize()
            start = clock()
            for _ in range(calls):
                function()
            synchronize()
            elapsed.append(clock() - start)
        ratios.append(elapsed[0] / elapsed[1])
    low, high = np.percentile(ratios, [25, 75])
    return float(low), float(np.mean(ratios)), float(high)


@wrong("compare", "You never asked whether the two compute the same.")
def compare_without_agreement(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    baseline(), candidate()
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
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


@wrong(
    "compare",
    "You asked whether the results agree after the timing: the clock had been read for a wrong candidate.",
)
def compare_agrees_late(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    one, other = baseline(), candidate()
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
        for function in (baseline, candidate):
            synchronize()
            start = clock()
            for _ in range(calls):
                function()
            synchronize()
            elapsed.append(clock() - start)
        ratios.append(elapsed[0] / elapsed[1])
    if not agree(one, other):
        raise ValueError("results")
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong("compare", "You compared the results yourself, by ==, and did not ask `agree`.")
def compare_by_equality(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if baseline() != candidate():
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
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


@wrong("compare", "You compared the candidate's result with itself.")
def compare_with_itself(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    baseline()
    result = candidate()
    if not agree(result, result):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
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


@wrong("compare", "You gave `agree` the candidate's result first.")
def compare_agree_swapped(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    one, other = baseline(), candidate()
    if not agree(other, one):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
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


@wrong("compare", "A call returns when its work is queued: your clock was read before the work was done.")
def compare_launches(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
        for function in (baseline, candidate):
            start = clock()
            for _ in range(calls):
                function()
            elapsed.append(clock() - start)
        ratios.append(elapsed[0] / elapsed[1])
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong(
    "compare",
    "You did not wait before the timing: what the warm-up left in the queue is counted in the first round.",
)
def compare_starts_too_early(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
        for function in (baseline, candidate):
            start = clock()
            for _ in range(calls):
                function()
            synchronize()
            elapsed.append(clock() - start)
        ratios.append(elapsed[0] / elapsed[1])
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong("compare", "You waited after every call of a timing, not once at its end.")
def compare_waits_each_call(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
        for function in (baseline, candidate):
            synchronize()
            start = clock()
            for _ in range(calls):
                function()
                synchronize()
            synchronize()
            elapsed.append(clock() - start)
        ratios.append(elapsed[0] / elapsed[1])
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong("compare", "There is no warm-up: the slow first calls are in your rounds.")
def compare_cold(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    ratios = []
    for _ in range(rounds):
        elapsed = []
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


@wrong("compare", "You warmed up one of the two functions only.")
def compare_warms_one(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
    ratios = []
    for _ in range(rounds):
        elapsed = []
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


@wrong(
    "compare",
    "The calls whose results you compared are counted as warm-up: each function is called once too few.",
)
def compare_counts_the_check(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    for _ in range(warmup - 1):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
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


@wrong("compare", "A timing of yours has one call only, however many are asked for.")
def compare_one_call(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
        for function in (baseline, candidate):
            synchronize()
            start = clock()
            for _ in range(1):
                function()
            synchronize()
            elapsed.append(clock() - start)
        ratios.append(elapsed[0] / elapsed[1])
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong("compare", "You returned times, not speed-ups.")
def compare_returns_times(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
        for function in (baseline, candidate):
            synchronize()
            start = clock()
            for _ in range(calls):
                function()
            synchronize()
            elapsed.append(clock() - start)
        ratios.append(elapsed[1] / calls)
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong("compare", "Counts that make no comparison are accepted, or break with another error.")
def compare_unchecked(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
        for function in (baseline, candidate):
            synchronize()
            start = clock()
            for _ in range(calls):
                function()
            synchronize()
            elapsed.append(clock() - start)
        ratios.append(elapsed[0] / (elapsed[1] or 1.0))
    if not ratios:
        return 0.0, 0.0, 0.0
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return float(low), float(middle), float(high)


@wrong("compare", "You checked the counts after the functions were called.")
def compare_checks_late(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
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


@right("compare")
def compare_by_statistics(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    if not agree(baseline(), candidate()):
        raise ValueError("results")
    for _ in range(warmup):
        baseline()
        candidate()
    ratios = []
    for _ in range(rounds):
        elapsed = []
        for function in (baseline, candidate):
            synchronize()
            start = clock()
            for _ in range(calls):
                function()
            synchronize()
            elapsed.append(clock() - start)
        ratios.append(elapsed[0] / elapsed[1])
    if rounds == 1:
        return (ratios[0],) * 3
    return tuple(statistics.quantiles(ratios, n=4, method="inclusive"))


@right("compare")
def compare_in_both_orders(baseline, candidate, agree, clock, synchronize, warmup=3, rounds=30, calls=1):
    if warmup < 0 or rounds < 1 or calls < 1:
        raise ValueError("counts")
    result = baseline()
    if not agree(result, candidate()):
        raise ValueError("results")
    [baseline() for _ in range(warmup)]
    [candidate() for _ in range(warmup)]
    times = {}
    for number in range(rounds):
        pair = [("one", baseline), ("other", candidate)]
        for name, function in pair if number % 2 == 0 else pair[::-1]:
            synchronize()
            start = clock()
            [function() for _ in range(calls)]
            synchronize()
            times.setdefault(name, []).append((clock() - start) / calls)
    ratios = torch.tensor(times["one"], dtype=torch.float64) / torch.tensor(
        times["other"], dtype=torch.float64
    )
    return tuple(ratios.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)).tolist())


# --- break_even_sparsity ---------------------------------------------------------------------------------------


@wrong(
    "break_even_sparsity", "You took the first crossing: after it the format is slower than dense once more."
)
def even_first_crossing(sparsities, sparse_seconds, dense_seconds):
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError("lengths")
    if any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("order")
    pays = [t <= dense_seconds for t in sparse_seconds]
    if pays[0]:
        return float(sparsities[0])
    if not any(pays):
        return None
    i = pays.index(True) - 1
    share = (sparse_seconds[i] - dense_seconds) / (sparse_seconds[i] - sparse_seconds[i + 1])
    return float(sparsities[i] + share * (sparsities[i + 1] - sparsities[i]))


@wrong("break_even_sparsity", "You gave a measured sparsity: the crossing lies between two of them.")
def even_measured_point(sparsities, sparse_seconds, dense_seconds):
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError("lengths")
    if any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("order")
    slow = [i for i, t in enumerate(sparse_seconds) if t > dense_seconds]
    if not slow:
        return float(sparsities[0])
    i = slow[-1]
    if i == len(sparsities) - 1:
        return None
    return float(sparsities[i + 1])


@wrong("break_even_sparsity", "You gave the last sparsity at which the format does not pay.")
def even_last_slow_point(sparsities, sparse_seconds, dense_seconds):
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError("lengths")
    if any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("order")
    slow = [i for i, t in enumerate(sparse_seconds) if t > dense_seconds]
    if not slow:
        return float(sparsities[0])
    i = slow[-1]
    if i == len(sparsities) - 1:
        return None
    return float(sparsities[i])


@wrong("break_even_sparsity", "You took the middle between the two measured sparsities.")
def even_middle(sparsities, sparse_seconds, dense_seconds):
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError("lengths")
    if any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("order")
    slow = [i for i, t in enumerate(sparse_seconds) if t > dense_seconds]
    if not slow:
        return float(sparsities[0])
    i = slow[-1]
    if i == len(sparsities) - 1:
        return None
    return float((sparsities[i] + sparsities[i + 1]) / 2)


@wrong(
    "break_even_sparsity",
    "You weighted the two points the wrong way round: the crossing lies nearer to the point whose time is nearer.",
)
def even_swapped_weights(sparsities, sparse_seconds, dense_seconds):
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError("lengths")
    if any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("order")
    slow = [i for i, t in enumerate(sparse_seconds) if t > dense_seconds]
    if not slow:
        return float(sparsities[0])
    i = slow[-1]
    if i == len(sparsities) - 1:
        return None
    share = (dense_seconds - sparse_seconds[i + 1]) / (sparse_seconds[i] - sparse_seconds[i + 1])
    return float(sparsities[i] + share * (sparsities[i + 1] - sparsities[i]))


@wrong("break_even_sparsity", "You drew the straight line through the speed-ups, not through the times.")
def even_on_speedups(sparsities, sparse_seconds, dense_seconds):
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError("lengths")
    if any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("order")
    slow = [i for i, t in enumerate(sparse_seconds) if t > dense_seconds]
    if not slow:
        return float(sparsities[0])
    i = slow[-1]
    if i == len(sparsities) - 1:
        return None
    one, other = dense_seconds / sparse_seconds[i], dense_seconds / sparse_seconds[i + 1]
    return float(sparsities[i] + (1 - one) / (other - one) * (sparsities[i + 1] - sparsities[i]))


@wrong("break_even_sparsity", "You looked for the place from which on the format is slower.")
def even_where_slower(sparsities, sparse_seconds, dense_seconds):
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError("lengths")
    if any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("order")
    fast = [i for i, t in enumerate(sparse_seconds) if t < dense_seconds]
    if not fast:
        return float(sparsities[0])
    i = fast[-1]
    if i == len(sparsities) - 1:
        return None
    share = (sparse_seconds[i] - dense_seconds) / (sparse_seconds[i] - sparse_seconds[i + 1])
    return float(sparsities[i] + share * (sparsities[i + 1] - sparsities[i]))


@wrong(
    "break_even_sparsity",
    "Where the format never pays you gave 1.0: at that sparsity it was not measured, or it did not pay.",
)
def even_one_for_never(sparsities, sparse_seconds, dense_seconds):
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError("lengths")
    if any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("order")
    slow = [i for i, t in enumerate(sparse_seconds) if t > dense_seconds]
    if not slow:
        return float(sparsities[0])
    i = slow[-1]
    if i == len(sparsities) - 1:
        return 1.0
    share = (sparse_seconds[i] - dense_seconds) / (sparse_seconds[i] - sparse_seconds[i + 1])
    return float(sparsities[i] + share * (sparsities[i + 1] - sparsities[i]))


@wrong("break_even_sparsity", "Where the format never pays you gave infinity or NaN; None is asked for.")
def even_nan_for_never(sparsities, sparse_seconds, dense_seconds):
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError("lengths")
    if any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("order")
    slow = [i for i, t in enumerate(sparse_seconds) if t > dense_seconds]
    if not slow:
        return float(sparsities[0])
    i = slow[-1]
    if i == len(sparsities) - 1:
        return math.nan
    share = (sparse_seconds[i] - dense_seconds) / (sparse_seconds[i] - sparse_seconds[i + 1])
    return float(sparsities[i] + share * (sparsities[i + 1] - sparsities[i]))


@wrong("break_even_sparsity", "Where the format always pays you gave 0: nobody measured there.")
def even_zero_for_always(sparsities, sparse_seconds, dense_seconds):
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError("lengths")
    if any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("order")
    slow = [i for i, t in enumerate(sparse_seconds) if t > dense_seconds]
    if not slow:
        return 0.0
    i = slow[-1]
    if i == len(sparsities) - 1:
        return None
    share = (sparse_seconds[i] - dense_seconds) / (sparse_seconds[i] - sparse_seconds[i + 1])
    return float(sparsities[i] + share * (sparsities[i + 1] - sparsities[i]))


@wrong("break_even_sparsity", "Where the format always pays you found no crossing and gave None.")
def even_none_for_always(sparsities, sparse_seconds, dense_seconds):
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError("lengths")
    if any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("order")
    slow = [i for i, t in enumerate(sparse_seconds) if t > dense_seconds]
    if not slow:
        return None
    i = slow[-1]
    if i == len(sparsities) - 1:
        return None
    share = (sparse_seconds[i] - dense_seconds) / (sparse_seconds[i] - sparse_seconds[i + 1])
    return float(sparsities[i] + share * (sparsities[i + 1] - sparsities[i]))


@wrong("break_even_sparsity", "A time that equals the dense one does not pay in your function.")
def even_strict(sparsities, sparse_seconds, dense_seconds):
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError("lengths")
    if any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("order")
    slow = [i for i, t in enumerate(sparse_seconds) if t >= dense_seconds]
    if not slow:
        return float(sparsities[0])
    i = slow[-1]
    if i == len(sparsities) - 1:
        return None
    share = (sparse_seconds[i] - dense_seconds) / (sparse_seconds[i] - sparse_seconds[i + 1])
    return float(sparsities[i] + share * (sparsities[i + 1] - sparsities[i]))


@wrong("break_even_sparsity", "You drew one straight line through all the points.")
def even_one_line(sparsities, sparse_seconds, dense_seconds):
    if not sparsities or len(sparsities) != len(sparse_seconds):
        raise ValueError("lengths")
    if any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("order")
    if len(sparsities) == 1:
        return float(sparsities[0]) if sparse_seconds[0] <= dense_seconds else None
    slope, start = np.polyfit(sparsities, sparse_seconds, 1)
    return float((dense_seconds - start) / slope) if slope else float(sparsities[0])


@wrong(
    "break_even_sparsity",
    "Sparsities that do not rise, or another number of times, are accepted, or break with another error.",
)
def even_unchecked(sparsities, sparse_seconds, dense_seconds):
    if not sparsities:
        return None
    sparse_seconds = (list(sparse_seconds) + [dense_seconds] * len(sparsities))[: len(sparsities)]
    slow = [i for i, t in enumerate(sparse_seconds) if t > dense_seconds]
    if not slow:
        return float(sparsities[0])
    i = slow[-1]
    if i == len(sparsities) - 1:
        return None
    share = (sparse_seconds[i] - dense_seconds) / (sparse_seconds[i] - sparse_seconds[i + 1])
    return float(sparsities[i] + share * (sparsities[i + 1] - sparsities[i]))


@right("break_even_sparsity")
def even_from_the_end(sparsities, sparse_seconds, dense_seconds):
    if len(sparsities) == 0 or len(sparsities) != len(sparse_seconds) or (np.diff(sparsities) <= 0).any():
        raise ValueError("input")
    if sparse_seconds[-1] > dense_seconds:
        return None
    for i in range(len(sparsities) - 2, -1, -1):
        if sparse_seconds[i] > dense_seconds:
            weights = [dense_seconds - sparse_seconds[i + 1], sparse_seconds[i] - dense_seconds]
            return float(np.average(sparsities[i : i + 2], weights=weights))
    return float(sparsities[0])


@right("break_even_sparsity")
def even_by_interp(sparsities, sparse_seconds, dense_seconds):
    s, t = np.asarray(sparsities, dtype=float), np.asarray(sparse_seconds, dtype=float)
    if len(s) == 0 or len(s) != len(t) or not np.all(s[1:] > s[:-1]):
        raise ValueError("input")
    slow = np.flatnonzero(t > dense_seconds)
    if len(slow) == 0:
        return s[0].item()
    if slow[-1] == len(s) - 1:
        return None
    i = slow[-1]
    return float(np.interp(dense_seconds, [t[i + 1], t[i]], [s[i + 1], s[i]]))


# --- roofline_seconds ------------------------------------------------------------------------------------------


@wrong("roofline_seconds", "You added the two times: the machine computes and moves bytes at once.")
def roof_sum(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = kept * batch
    moved = kept * (value_bytes + index_bytes) + (rows + cols) * batch * value_bytes
    return float(macs / macs_per_second + moved / bytes_per_second)


@wrong(
    "roofline_seconds", "You took the shorter one of the two times: the slower limit holds the product up."
)
def roof_min(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = kept * batch
    moved = kept * (value_bytes + index_bytes) + (rows + cols) * batch * value_bytes
    return float(min(macs / macs_per_second, moved / bytes_per_second))


@wrong("roofline_seconds", "You looked at the multiply-adds only: bytes take time too.")
def roof_without_memory(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = kept * batch
    return float(macs / macs_per_second)


@wrong("roofline_seconds", "You looked at the bytes only.")
def roof_without_units(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    moved = kept * (value_bytes + index_bytes) + (rows + cols) * batch * value_bytes
    return float(moved / bytes_per_second)


@wrong("roofline_seconds", "The input x is not among your bytes.")
def roof_without_x(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = kept * batch
    moved = kept * (value_bytes + index_bytes) + rows * batch * value_bytes
    return float(max(macs / macs_per_second, moved / bytes_per_second))


@wrong("roofline_seconds", "The output y is not among your bytes.")
def roof_without_y(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = kept * batch
    moved = kept * (value_bytes + index_bytes) + cols * batch * value_bytes
    return float(max(macs / macs_per_second, moved / bytes_per_second))


@wrong("roofline_seconds", "You counted the bytes of the weights only: x and y are moved too.")
def roof_weights_only(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = kept * batch
    moved = kept * (value_bytes + index_bytes)
    return float(max(macs / macs_per_second, moved / bytes_per_second))


@wrong("roofline_seconds", "The positions of the stored weights are not among your bytes.")
def roof_without_indices(
    rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second
):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = kept * batch
    moved = kept * value_bytes + (rows + cols) * batch * value_bytes
    return float(max(macs / macs_per_second, moved / bytes_per_second))


@wrong("roofline_seconds", "You counted positions for x and y too: they are dense.")
def roof_indices_everywhere(
    rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second
):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = kept * batch
    moved = (kept + (rows + cols) * batch) * (value_bytes + index_bytes)
    return float(max(macs / macs_per_second, moved / bytes_per_second))


@wrong(
    "roofline_seconds", "You counted the dense multiply-adds: a weight that is not stored is not multiplied."
)
def roof_dense_macs(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = rows * cols * batch
    moved = kept * (value_bytes + index_bytes) + (rows + cols) * batch * value_bytes
    return float(max(macs / macs_per_second, moved / bytes_per_second))


@wrong("roofline_seconds", "You moved the dense weight: what is not stored is not moved.")
def roof_dense_bytes(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = kept * batch
    moved = rows * cols * (value_bytes + index_bytes) + (rows + cols) * batch * value_bytes
    return float(max(macs / macs_per_second, moved / bytes_per_second))


@wrong("roofline_seconds", "You counted a product and a sum as two: the rate is one of multiply-adds.")
def roof_doubled(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = 2 * kept * batch
    moved = kept * (value_bytes + index_bytes) + (rows + cols) * batch * value_bytes
    return float(max(macs / macs_per_second, moved / bytes_per_second))


@wrong("roofline_seconds", "You counted the multiply-adds of a single column of x.")
def roof_one_column(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = kept
    moved = kept * (value_bytes + index_bytes) + (rows + cols) * batch * value_bytes
    return float(max(macs / macs_per_second, moved / bytes_per_second))


@wrong("roofline_seconds", "You counted the bytes of a single column of x and y.")
def roof_bytes_of_one_column(
    rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second
):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = kept * batch
    moved = kept * (value_bytes + index_bytes) + (rows + cols) * value_bytes
    return float(max(macs / macs_per_second, moved / bytes_per_second))


@wrong("roofline_seconds", "You moved the weights once for each column of x; they are moved once.")
def roof_weights_each_column(
    rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second
):
    if not 0 <= kept <= rows * cols:
        raise ValueError("kept")
    if not (macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("rates")
    macs = kept * batch
    moved = (kept * (value_bytes + index_bytes) + (rows + cols) * value_bytes) * batch
    return float(max(macs / macs_per_second, moved / bytes_per_second))


@wrong(
    "roofline_seconds",
    "Impossible numbers of stored weights, or rates that are not above 0, are accepted, or break with another error.",
)
def roof_unchecked(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    macs = kept * batch
    moved = kept * (value_bytes + index_bytes) + (rows + cols) * batch * value_bytes
    return float(max(macs / (macs_per_second or 1.0), moved / (bytes_per_second or 1.0)))


@right("roofline_seconds")
def roof_by_numpy(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    if kept < 0 or kept > rows * cols or min(macs_per_second, bytes_per_second) <= 0:
        raise ValueError("input")
    weight, x, y = kept * (value_bytes + index_bytes), cols * batch * value_bytes, rows * batch * value_bytes
    return np.max([kept * batch / macs_per_second, (weight + x + y) / bytes_per_second]).item()


@right("roofline_seconds")
def roof_by_balance(rows, cols, batch, kept, value_bytes, index_bytes, macs_per_second, bytes_per_second):
    if not (0 <= kept <= rows * cols and macs_per_second > 0 and bytes_per_second > 0):
        raise ValueError("input")
    macs = batch * kept
    moved = kept * value_bytes + kept * index_bytes + batch * cols * value_bytes + batch * rows * value_bytes
    if moved == 0 or macs / moved > macs_per_second / bytes_per_second:
        return macs / macs_per_second
    return moved / bytes_per_second


# --- amdahl_speedup --------------------------------------------------------------------------------------------


@wrong(
    "amdahl_speedup", "You averaged the speed-ups, weighted with the times: times add up, speed-ups do not."
)
def amdahl_weighted_mean(seconds, speedups):
    if set(speedups) - set(seconds) or not all(f > 0 for f in speedups.values()):
        raise ValueError("speed-ups")
    before = sum(seconds.values())
    if not before > 0 or min(seconds.values()) < 0:
        raise ValueError("times")
    return float(sum(t * speedups.get(p, 1.0) for p, t in seconds.items()) / before)


@wrong(
    "amdahl_speedup",
    "You averaged the speed-ups of the parts; a part that takes little time counts as much as any.",
)
def amdahl_plain_mean(seconds, speedups):
    if set(speedups) - set(seconds) or not all(f > 0 for f in speedups.values()):
        raise ValueError("speed-ups")
    before = sum(seconds.values())
    if not before > 0 or min(seconds.values()) < 0:
        raise ValueError("times")
    return float(np.mean([speedups.get(p, 1.0) for p in seconds]))


@wrong("amdahl_speedup", "You multiplied the speed-ups of the parts.")
def amdahl_product(seconds, speedups):
    if set(speedups) - set(seconds) or not all(f > 0 for f in speedups.values()):
        raise ValueError("speed-ups")
    before = sum(seconds.values())
    if not before > 0 or min(seconds.values()) < 0:
        raise ValueError("times")
    return float(np.prod([speedups.get(p, 1.0) for p in seconds]))


@wrong("amdahl_speedup", "You gave the largest speed-up of a part as that of the whole.")
def amdahl_largest(seconds, speedups):
    if set(speedups) - set(seconds) or not all(f > 0 for f in speedups.values()):
        raise ValueError("speed-ups")
    before = sum(seconds.values())
    if not before > 0 or min(seconds.values()) < 0:
        raise ValueError("times")
    return float(max(speedups.values(), default=1.0))


@wrong(
    "amdahl_speedup",
    "You left out the parts without a speed-up: they keep their time, and it is part of the whole.",
)
def amdahl_forgets_the_rest(seconds, speedups):
    if set(speedups) - set(seconds) or not all(f > 0 for f in speedups.values()):
        raise ValueError("speed-ups")
    before = sum(seconds.values())
    if not before > 0 or min(seconds.values()) < 0:
        raise ValueError("times")
    named = {p: t for p, t in seconds.items() if p in speedups}
    after = sum(t / speedups[p] for p, t in named.items())
    if not named:
        return 1.0
    return float(sum(named.values()) / after) if after > 0 else math.inf


@wrong("amdahl_speedup", "The parts without a speed-up take no time any more in your sum after.")
def amdahl_drops_the_rest(seconds, speedups):
    if set(speedups) - set(seconds) or not all(f > 0 for f in speedups.values()):
        raise ValueError("speed-ups")
    before = sum(seconds.values())
    if not before > 0 or min(seconds.values()) < 0:
        raise ValueError("times")
    after = sum(seconds[p] / f for p, f in speedups.items())
    return float(before / after) if after > 0 else math.inf


@wrong("amdahl_speedup", "Your ratio is the wrong way round: time after, divided by time before.")
def amdahl_inverted(seconds, speedups):
    if set(speedups) - set(seconds) or not all(f > 0 for f in speedups.values()):
        raise ValueError("speed-ups")
    before = sum(seconds.values())
    if not before > 0 or min(seconds.values()) < 0:
        raise ValueError("times")
    return float(sum(t / speedups.get(p, 1.0) for p, t in seconds.items()) / before)


@wrong("amdahl_speedup", "You multiplied the times by the speed-ups: a faster part takes less time.")
def amdahl_multiplies(seconds, speedups):
    if set(speedups) - set(seconds) or not all(f > 0 for f in speedups.values()):
        raise ValueError("speed-ups")
    before = sum(seconds.values())
    if not before > 0 or min(seconds.values()) < 0:
        raise ValueError("times")
    return float(before / sum(t * speedups.get(p, 1.0) for p, t in seconds.items()))


@wrong("amdahl_speedup", "You returned the seconds that are left, not a speed-up.")
def amdahl_seconds(seconds, speedups):
    if set(speedups) - set(seconds) or not all(f > 0 for f in speedups.values()):
        raise ValueError("speed-ups")
    before = sum(seconds.values())
    if not before > 0 or min(seconds.values()) < 0:
        raise ValueError("times")
    return float(sum(t / speedups.get(p, 1.0) for p, t in seconds.items()))


@wrong("amdahl_speedup", "If no time is left you divide by zero.")
def amdahl_divides_by_zero(seconds, speedups):
    if set(speedups) - set(seconds) or not all(f > 0 for f in speedups.values()):
        raise ValueError("speed-ups")
    before = sum(seconds.values())
    if not before > 0 or min(seconds.values()) < 0:
        raise ValueError("times")
    return float(before / sum(t / speedups.get(p, 1.0) for p, t in seconds.items()))


@wrong(
    "amdahl_speedup",
    "Unknown parts, factors that are not above 0 or times that are negative are accepted, or break with another error.",
)
def amdahl_unchecked(seconds, speedups):
    after = sum(t / (speedups.get(p, 1.0) or 1.0) for p, t in seconds.items())
    return float(sum(seconds.values()) / after) if after > 0 else math.inf


@right("amdahl_speedup")
def amdahl_by_shares(seconds, speedups):
    if set(speedups) - set(seconds) or not all(f > 0 for f in speedups.values()):
        raise ValueError("speed-ups")
    before = sum(seconds.values())
    if not before > 0 or min(seconds.values()) < 0:
        raise ValueError("times")
    left = 0.0
    for part, time in seconds.items():
        share = time / before
        left += share / speedups[part] if part in speedups else share
    return math.inf if left == 0 else 1 / left


@right("amdahl_speedup")
def amdahl_by_savings(seconds, speedups):
    if set(speedups) - set(seconds) or not all(f > 0 for f in speedups.values()):
        raise ValueError("speed-ups")
    before = sum(seconds.values())
    if not before > 0 or min(seconds.values()) < 0:
        raise ValueError("times")
    saved = sum(seconds[p] - seconds[p] / f for p, f in speedups.items())
    if all(math.isinf(speedups.get(p, 1.0)) for p, t in seconds.items() if t > 0):
        return math.inf
    return before / (before - saved)


@right("amdahl_speedup")
def amdahl_by_numpy(seconds, speedups):
    if not speedups.keys() <= seconds.keys() or any(not f > 0 for f in speedups.values()):
        raise ValueError("speed-ups")
    times = np.array(list(seconds.values()), dtype=float)
    if times.sum() <= 0 or (times < 0).any():
        raise ValueError("times")
    factors = np.array([speedups.get(part, 1.0) for part in seconds])
    with np.errstate(divide="ignore"):
        return float(times.sum() / (times / factors).sum())


# --- amortisation_calls ----------------------------------------------------------------------------------------


@wrong("amortisation_calls", "You rounded down: that many calls have not yet paid.")
def calls_floor(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    saved = dense_seconds - sparse_seconds
    return int(convert_seconds // saved) if saved > 0 else None


@wrong("amortisation_calls", "You rounded to the nearest whole number: half a call too few is not enough.")
def calls_round(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    saved = dense_seconds - sparse_seconds
    return round(convert_seconds / saved) if saved > 0 else None


@wrong("amortisation_calls", "You rounded down and added one: a number of calls that pays exactly is enough.")
def calls_floor_plus_one(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    saved = dense_seconds - sparse_seconds
    return int(convert_seconds // saved) + 1 if saved > 0 else None


@wrong("amortisation_calls", "You returned a fraction of a call; a whole number, an int, is asked for.")
def calls_float(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    saved = dense_seconds - sparse_seconds
    return convert_seconds / saved if saved > 0 else None


@wrong("amortisation_calls", "You returned a float; an int is asked for.")
def calls_whole_float(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    saved = dense_seconds - sparse_seconds
    return float(math.ceil(convert_seconds / saved)) if saved > 0 else None


@wrong(
    "amortisation_calls", "You divided by the dense time: a call saves only the difference of the two times."
)
def calls_by_dense(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    saved = dense_seconds - sparse_seconds
    return math.ceil(convert_seconds / dense_seconds) if saved > 0 else None


@wrong("amortisation_calls", "You divided by the sparse time: a call saves the difference of the two times.")
def calls_by_sparse(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    saved = dense_seconds - sparse_seconds
    return math.ceil(convert_seconds / sparse_seconds) if saved > 0 else None


@wrong(
    "amortisation_calls",
    "A slower sparse product gives a negative number of calls in your function: it never pays.",
)
def calls_negative(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    saved = dense_seconds - sparse_seconds
    return math.ceil(convert_seconds / saved) if saved != 0 else None


@wrong("amortisation_calls", "You took the size of the difference: a slower sparse product seems to pay.")
def calls_abs(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    saved = dense_seconds - sparse_seconds
    return math.ceil(convert_seconds / abs(saved)) if saved != 0 else None


@wrong("amortisation_calls", "Where it never pays you returned 0.")
def calls_zero_for_never(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    saved = dense_seconds - sparse_seconds
    return math.ceil(convert_seconds / saved) if saved > 0 else 0


@wrong("amortisation_calls", "Where it never pays you returned infinity; None is asked for.")
def calls_inf_for_never(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    saved = dense_seconds - sparse_seconds
    return math.ceil(convert_seconds / saved) if saved > 0 else math.inf


@wrong("amortisation_calls", "Where the two take the same time you divide by zero.")
def calls_divide_by_zero(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    saved = dense_seconds - sparse_seconds
    return math.ceil(convert_seconds / saved) if saved >= 0 else None


@wrong("amortisation_calls", "A conversion that takes no time needs no call; you ask for at least one.")
def calls_at_least_one(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    saved = dense_seconds - sparse_seconds
    return max(1, math.ceil(convert_seconds / saved)) if saved > 0 else None


@wrong("amortisation_calls", "Negative or undefined times are accepted, or break with another error.")
def calls_unchecked(convert_seconds, dense_seconds, sparse_seconds):
    if math.isnan(convert_seconds + dense_seconds + sparse_seconds):
        return None
    saved = dense_seconds - sparse_seconds
    return math.ceil(convert_seconds / saved) if saved > 0 else None


@right("amortisation_calls")
def calls_by_floor(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    if sparse_seconds >= dense_seconds:
        return None
    return -int(-convert_seconds // (dense_seconds - sparse_seconds))


@right("amortisation_calls")
def calls_by_counting(convert_seconds, dense_seconds, sparse_seconds):
    if not min(convert_seconds, dense_seconds, sparse_seconds) >= 0 or math.isnan(
        convert_seconds + dense_seconds + sparse_seconds
    ):
        raise ValueError("times")
    if sparse_seconds >= dense_seconds:
        return None
    calls = 0
    while convert_seconds > calls * (dense_seconds - sparse_seconds):
        calls += 1
    return calls
