"""Hidden checks of lab 14. Experiments only: they observe, and no expected answer stands here.

No check reads a real clock. The functions run on a machine whose time the check itself moves.
"""

import math

import torch

from autograder.experiment import check, close, error_of, exact

ROUNDING = close(1e-6, 1e-12)


class Machine:
    """A machine with a clock and a queue of work, which moves on only when something is called.

    A call returns after its `launch` seconds; its `work` seconds wait in the queue. After the first two calls, `speeds`
    holds the factors by which the machine is slower in each pair of calls.
    """

    def __init__(self, speeds=(1.0,)):
        self.now, self.done, self.readings, self.runs, self.speeds = 7.0, 7.0, 0, 0, speeds

    def clock(self):
        self.readings += 1
        return self.now

    def synchronize(self):
        self.now = max(self.now, self.done)

    def run(self, launch, work):
        pair = max(self.runs - 2, 0) // 2
        factor = self.speeds[min(pair, len(self.speeds) - 1)]
        self.runs += 1
        self.now += launch * factor
        self.done = max(self.done, self.now) + work * factor


class Worker:
    """A function to be timed: its first calls are slow, then each call takes the next of its durations.

    Without a `launch` time its work is done when a call returns, as on a CPU; with one, its work waits in the queue.
    """

    def __init__(self, machine, durations, slow=0, launch=None, result="result"):
        self.machine, self.durations, self.slow, self.launch = machine, durations, slow, launch
        self.result, self.calls = result, 0

    def __call__(self):
        place, self.calls = self.calls - self.slow, self.calls + 1
        work = 50.0 if place < 0 else self.durations[place % len(self.durations)]
        self.machine.run(*((work, 0.0) if self.launch is None else (self.launch, work)))
        return self.result


def durations(rng, count, low=1.0, high=2.0):
    """Random durations; one in five is an outlier, five to ten times as long."""
    values = low + (high - low) * torch.rand(count, generator=rng)
    outlier = torch.rand(count, generator=rng) < 0.2
    outlier[0] = True
    return torch.where(outlier, values * (5 + 5 * torch.rand(count, generator=rng)), values).tolist()


def rising(rng, count):
    """Random durations, each longer than the one before: if anything is added to the first, all quartiles move."""
    return (1 + 3 * torch.rand(count, generator=rng)).sort().values.tolist()


# --- measure ---------------------------------------------------------------------------------------------------


def measured(lab, worker, **counts):
    """What `measure` says of a worker."""
    machine = worker.machine
    return lab.measure(worker, clock=machine.clock, synchronize=machine.synchronize, **counts)


@check("measure", tolerance=ROUNDING, weight=2)
def median_and_quartiles(lab, rng):
    """The quartiles and the median of the timings, in this order, in seconds for one call."""
    return {
        f"{repeats} repeats": measured(
            lab, Worker(Machine(), durations(rng, repeats)), warmup=0, repeats=repeats
        )
        for repeats in (10, 7, 5)
    }


@check("measure", tolerance=ROUNDING)
def the_warm_up_is_not_timed(lab, rng):
    """The first calls, as many as `warmup`, are slow and are in no timing."""
    return {
        f"warmup {warmup}": measured(
            lab, Worker(Machine(), durations(rng, 6), slow=warmup), warmup=warmup, repeats=6
        )
        for warmup in (2, 5)
    }


@check("measure", tolerance=ROUNDING, weight=2)
def work_that_waits_in_a_queue(lab, rng):
    """On a device whose calls return early, a timing holds the whole work of its own calls, and none from before."""
    machine = Machine()
    machine.run(0.0, 30.0)  # somebody's work is in the queue
    worker = Worker(machine, rising(rng, 6), slow=2, launch=0.1)
    return measured(lab, worker, warmup=2, repeats=6)


@check("measure", tolerance=ROUNDING)
def several_calls_in_a_timing(lab, rng):
    """A timing of several calls is divided by their number; the queue is waited for once, after the last of them."""
    worker = Worker(Machine(), (1.0 + torch.rand(24, generator=rng)).tolist(), launch=0.4)
    return {"seconds": measured(lab, worker, warmup=0, repeats=6, calls=4), "calls": worker.calls}


@check("measure", tolerance=ROUNDING)
def one_repeat(lab, rng):
    """One repeat is its own median and quartiles; the function is called warmup + repeats * calls times."""
    worker = Worker(Machine(), durations(rng, 9), slow=3)
    return {"seconds": measured(lab, worker, warmup=3, repeats=1, calls=2), "calls": worker.calls}


@check("measure", tolerance=exact)
def measure_refuses(lab, rng):
    """Counts that make no measurement raise ValueError before the function is called; good ones do not."""
    worker = Worker(Machine(), [1.0])
    bad = {"warmup": -1}, {"repeats": 0}, {"calls": 0}
    errors = [error_of(lambda counts=counts: measured(lab, worker, **counts)) for counts in bad]
    return {"bad": errors, "calls": worker.calls, "good": error_of(lambda: measured(lab, worker))}


# --- compare ---------------------------------------------------------------------------------------------------


def equal(one, other):
    return one == other


def compared(lab, baseline, candidate, agree=equal, **counts):
    """What `compare` says of two workers on one machine."""
    machine = baseline.machine
    return lab.compare(
        baseline, candidate, agree, clock=machine.clock, synchronize=machine.synchronize, **counts
    )


@check("compare", tolerance=ROUNDING, weight=2)
def speed_up_of_each_round(lab, rng):
    """The quartiles and the median of baseline / candidate, from the two times of each round."""
    machine = Machine()
    one, other = (Worker(machine, durations(rng, 10)[:-1]) for _ in range(2))
    return compared(lab, one, other, warmup=0, rounds=9)


@check("compare", tolerance=ROUNDING, weight=2)
def the_two_take_turns(lab, rng):
    """A machine that becomes slower slows both functions: they are timed in turns."""
    machine = Machine(speeds=[1, 2, 4, 8, 16, 32, 64])
    one, other = Worker(machine, [1.5]), Worker(machine, [1.0 + torch.rand(1, generator=rng).item()])
    return compared(lab, one, other, warmup=0, rounds=7)


@check("compare", tolerance=ROUNDING)
def each_pays_its_own_work(lab, rng):
    """On a device whose calls return early, no work of one function is counted for the other, and the warm-up for none."""
    machine = Machine()
    one = Worker(machine, rising(rng, 22), slow=4, launch=0.1)
    other = Worker(machine, [3.0 + torch.rand(1, generator=rng).item()], slow=4, launch=0.1)
    return compared(lab, one, other, warmup=4, rounds=7, calls=3)


@check("compare", tolerance=exact)
def correct_before_fast(lab, rng):
    """Results that do not agree raise ValueError, and then the clock has not been read; those that agree do not."""
    machine = Machine()
    one, other = Worker(machine, [1.0]), Worker(machine, [0.5], result="another result")
    error = error_of(lambda: compared(lab, one, other))
    readings, seen = machine.readings, []

    def never(first, second):
        seen.append([first, second])
        return False

    asked = error_of(lambda: compared(lab, one, other, never))
    same = Worker(machine, [0.5])
    return {
        "results differ": error,
        "readings of the clock": readings,
        "agree says no": asked,
        "agree was asked": seen,
        "good": error_of(lambda: compared(lab, one, same)),
    }


@check("compare", tolerance=ROUNDING)
def calls_of_a_comparison(lab, rng):
    """Each function is called 1 + warmup + rounds * calls times, and `agree` once; one round is enough."""
    machine, asked = Machine(), []
    one, other = (Worker(machine, (1.0 + torch.rand(40, generator=rng)).tolist()) for _ in range(2))
    result = compared(lab, one, other, lambda a, b: asked.append(1) is None, warmup=2, rounds=1, calls=4)
    return {"speed-up": result, "calls": [one.calls, other.calls], "agree": len(asked)}


@check("compare", tolerance=exact)
def compare_refuses(lab, rng):
    """Counts that make no comparison raise ValueError before anything is called; good ones do not."""
    machine = Machine()
    one, other = Worker(machine, [1.0]), Worker(machine, [2.0])
    bad = {"warmup": -1}, {"rounds": 0}, {"calls": 0}
    errors = [error_of(lambda counts=counts: compared(lab, one, other, **counts)) for counts in bad]
    return {
        "bad": errors,
        "calls": one.calls + other.calls,
        "good": error_of(lambda: compared(lab, one, other)),
    }


# --- break_even_sparsity ---------------------------------------------------------------------------------------

FIVE = [0.5, 0.75, 0.875, 0.9375, 1.0]


@check("break_even_sparsity", tolerance=ROUNDING, weight=2)
def on_a_straight_line(lab, rng):
    """Between two measured sparsities the time falls in a straight line, and the crossing is read off there."""
    share = 0.2 + 0.6 * torch.rand(1, generator=rng).item()
    slow, fast = 4.0 + share, 1.5 - share
    return {
        f"dense {dense}": lab.break_even_sparsity(FIVE, [9.0, 6.5, slow, fast, 0.25], dense)
        for dense in (2.0, 3.0, 6.0, 8.0)
    }


@check("break_even_sparsity", tolerance=ROUNDING)
def the_last_crossing_counts(lab, rng):
    """Where the curve crosses the dense time several times, the last crossing counts."""
    bump = 1.25 + torch.rand(1, generator=rng).item()
    return {
        "one bump": lab.break_even_sparsity(FIVE, [3.0, 0.5, bump, 0.75, 0.5], 1.0),
        "two bumps": lab.break_even_sparsity([0.1, *FIVE], [0.5, bump, 0.5, 0.5, bump, 0.25], 1.0),
    }


@check("break_even_sparsity", tolerance=ROUNDING)
def always_or_never(lab, rng):
    """If the format pays everywhere the answer is the first sparsity; if it does not pay at the last one, None."""
    first = 0.3 + 0.1 * torch.rand(1, generator=rng).item()
    return {
        "always": lab.break_even_sparsity([first, *FIVE], [0.5, 0.4, 0.3, 0.2, 0.1, 0.1], 1.0),
        "never": lab.break_even_sparsity(FIVE, [9.0, 8.0, 7.0, 6.0, 5.0], 1.0),
        "lost again": lab.break_even_sparsity(FIVE, [9.0, 0.5, 0.5, 0.5, 2.0], 1.0),
        "one that pays": lab.break_even_sparsity([first], [0.5], 1.0),
        "one that does not": lab.break_even_sparsity([first], [2.0], 1.0),
    }


@check("break_even_sparsity", tolerance=ROUNDING)
def as_long_as_dense(lab, rng):
    """A time that equals the dense one pays."""
    before = 2.0 + torch.rand(1, generator=rng).item()
    return {
        "in the middle": lab.break_even_sparsity(FIVE, [before, 1.0, 0.5, 0.5, 0.5], 1.0),
        "at the end": lab.break_even_sparsity(FIVE, [before, 4.0, 3.0, 2.0, 1.0], 1.0),
        "everywhere": lab.break_even_sparsity(FIVE, [1.0] * 5, 1.0),
    }


@check("break_even_sparsity", tolerance=exact)
def break_even_sparsity_refuses(lab, rng):
    """No sparsity, another number of times, or sparsities that do not rise raise ValueError; good input does not."""
    cases = {
        "empty": ([], []), "a time too few": ([0.5, 0.9], [1.0]), "a time too many": ([0.5], [2.0, 1.0]),
        "falls": ([0.9, 0.5], [2.0, 0.5]), "twice the same": ([0.5, 0.5], [2.0, 0.5]), "good": ([0.5, 0.9], [2.0, 0.5]),
    }  # fmt: skip
    return {
        name: error_of(lambda args=args: lab.break_even_sparsity(*args, 1.0)) for name, args in cases.items()
    }


# --- roofline_seconds ------------------------------------------------------------------------------------------

SLOW_MEMORY, SLOW_UNITS = (1e12, 1e3), (1e3, 1e12)  # multiply-adds and bytes in a second


def shape(rng):
    """rows, cols, batch and the number of stored weights of a product; all different."""
    rows, cols, batch = (int(torch.randint(low, low + 9, (1,), generator=rng)) for low in (20, 40, 3))
    return rows, cols, batch, rows * cols // 3


@check("roofline_seconds", tolerance=ROUNDING, weight=2)
def the_memory_is_the_limit(lab, rng):
    """With slow memory the bytes decide: stored weights with their indices, the input and the output."""
    rows, cols, batch, kept = shape(rng)
    return {
        "dense": lab.roofline_seconds(rows, cols, batch, rows * cols, 4, 0, *SLOW_MEMORY),
        "CSR": lab.roofline_seconds(rows, cols, batch, kept, 4, 8, *SLOW_MEMORY),
        "2:4": lab.roofline_seconds(rows, cols, batch, kept, 2, 0.25, *SLOW_MEMORY),
    }


@check("roofline_seconds", tolerance=ROUNDING, weight=2)
def the_units_are_the_limit(lab, rng):
    """With slow arithmetic units the multiply-adds decide: one for each stored weight and each column of the input."""
    rows, cols, batch, kept = shape(rng)
    return {
        "dense": lab.roofline_seconds(rows, cols, batch, rows * cols, 4, 0, *SLOW_UNITS),
        "CSR": lab.roofline_seconds(rows, cols, batch, kept, 4, 8, *SLOW_UNITS),
    }


@check("roofline_seconds", tolerance=ROUNDING)
def the_longer_of_the_two(lab, rng):
    """Where both take time, the longer one counts: the machine computes and moves bytes at once."""
    rows, cols, batch, kept = shape(rng)
    macs, moved = kept * batch, kept * 8 + (rows + cols) * batch * 4
    return {
        "memory": lab.roofline_seconds(rows, cols, batch, kept, 4, 4, macs / 2.0, moved / 3.0),
        "units": lab.roofline_seconds(rows, cols, batch, kept, 4, 4, macs / 3.0, moved / 2.0),
        "one column": lab.roofline_seconds(rows, cols, 1, kept, 4, 4, 50.0, 400.0),
        "nothing stored": lab.roofline_seconds(rows, cols, batch, 0, 4, 4, 50.0, 60.0),
    }


@check("roofline_seconds", tolerance=exact)
def roofline_seconds_refuses(lab, rng):
    """More stored weights than there are, fewer than none, or a rate that is not above 0 raise ValueError."""
    cases = {
        "too many": (4, 5, 1, 21, 4, 0, 1.0, 1.0), "fewer than none": (4, 5, 1, -1, 4, 0, 1.0, 1.0),
        "no units": (4, 5, 1, 20, 4, 0, 0.0, 1.0), "memory backwards": (4, 5, 1, 20, 4, 0, 1.0, -1.0),
        "good": (4, 5, 1, 20, 4, 0, 1.0, 1.0),
    }  # fmt: skip
    return {name: error_of(lambda args=args: lab.roofline_seconds(*args)) for name, args in cases.items()}


# --- amdahl_speedup --------------------------------------------------------------------------------------------


def parts(rng):
    """Times of four parts, from 1 to 4 seconds."""
    return dict(zip("abcd", (1 + 3 * torch.rand(4, generator=rng)).tolist()))


@check("amdahl_speedup", tolerance=ROUNDING, weight=2)
def every_part_faster(lab, rng):
    """The whole's time before, divided by the sum of the parts' times after."""
    factors = dict(zip("abcd", (1.5 + 8 * torch.rand(4, generator=rng)).tolist()))
    return lab.amdahl_speedup(parts(rng), factors)


@check("amdahl_speedup", tolerance=ROUNDING, weight=2)
def some_parts_keep_their_time(lab, rng):
    """A part without a speed-up keeps its time; a factor below 1 makes a part slower."""
    seconds = parts(rng)
    return {
        "one of four": lab.amdahl_speedup(seconds, {"b": 10.0}),
        "slower": lab.amdahl_speedup(seconds, {"a": 0.25, "d": 3.0}),
        "none": lab.amdahl_speedup(seconds, {}),
        "a part without time": lab.amdahl_speedup({**seconds, "e": 0.0}, {"c": 2.0, "e": 5.0}),
    }


@check("amdahl_speedup", tolerance=ROUNDING)
def infinitely_fast(lab, rng):
    """A part of infinite speed takes no time any more; if no time is left, the whole is infinitely fast."""
    seconds = parts(rng)
    return {
        "one part": lab.amdahl_speedup(seconds, {"a": math.inf}),
        "all parts": lab.amdahl_speedup(seconds, dict.fromkeys("abcd", math.inf)),
    }


@check("amdahl_speedup", tolerance=exact)
def amdahl_speedup_refuses(lab, rng):
    """An unknown part, a factor that is not above 0, a negative time or no time at all raise ValueError."""
    seconds = parts(rng)
    cases = {
        "unknown": (seconds, {"e": 2.0}), "factor 0": (seconds, {"a": 0.0}), "negative factor": (seconds, {"a": -2.0}),
        "negative time": ({**seconds, "e": -1.0}, {}), "no time": ({"a": 0.0}, {"a": 2.0}), "no part": ({}, {}),
        "good": (seconds, {"a": 2.0}),
    }  # fmt: skip
    return {name: error_of(lambda args=args: lab.amdahl_speedup(*args)) for name, args in cases.items()}


# --- amortisation_calls ----------------------------------------------------------------------------------------


@check("amortisation_calls", tolerance=exact, weight=2)
def rounded_up_to_whole_calls(lab, rng):
    """The smallest number of calls whose savings reach the conversion, rounded up, an int."""
    dense = 3.0 + torch.rand(1, generator=rng).item()
    saved, whole = 0.5 + torch.rand(1, generator=rng).item(), int(torch.randint(3, 40, (1,), generator=rng))
    return {
        f"{whole} calls and {part} of one": lab.amortisation_calls(
            (whole + part) * saved, dense, dense - saved
        )
        for part in (0.25, 0.5, 0.75)
    }


@check("amortisation_calls", tolerance=exact)
def exactly_paid(lab, rng):
    """A number of calls that pays exactly is enough, and a conversion that takes no time needs no call."""
    n = int(torch.randint(5, 50, (1,), generator=rng))
    return {
        "exactly": lab.amortisation_calls(1.5 * n, 2.0, 0.5),
        "one call": lab.amortisation_calls(1.5, 2.0, 0.5),
        "no conversion": lab.amortisation_calls(0.0, 2.0, 0.5),
    }


@check("amortisation_calls", tolerance=exact)
def it_never_pays(lab, rng):
    """If the sparse product is slower than the dense one, or as fast, no number of calls pays: None."""
    slower = 2.0 + torch.rand(1, generator=rng).item()
    return {
        "slower": lab.amortisation_calls(5.0, 1.5, slower),
        "as fast": lab.amortisation_calls(5.0, slower, slower),
        "as fast, nothing to convert": lab.amortisation_calls(0.0, slower, slower),
    }


@check("amortisation_calls", tolerance=exact)
def amortisation_calls_refuses(lab, rng):
    """A negative or undefined time raises ValueError; good times do not."""
    cases = {
        "negative conversion": (-1.0, 2.0, 1.0), "negative dense": (1.0, -2.0, 1.0), "negative sparse": (1.0, 2.0, -1.0),
        "NaN": (float("nan"), 2.0, 1.0), "good": (1.0, 2.0, 1.5),
    }  # fmt: skip
    return {name: error_of(lambda args=args: lab.amortisation_calls(*args)) for name, args in cases.items()}
