# %% [markdown] tags=["lab"] question="Does sparse run faster?" minutes=100 prerequisite="lab13_sparse_storage"
# # Lab 14 · The speed of sparse against dense
#
# **The question: does sparse run faster?**
#
# A pruned network has fewer weights. Whether it takes less *time* is another question, and the answer depends on the
# format, on the sparsity, on the batch and on the machine. Here you build an instrument that a careful reader would
# accept, and then you measure: gains and losses alike.
#
# | you build | it answers |
# |---|---|
# | `measure` | How long does it take, on this machine? |
# | `compare` | How many times faster is it, and does it compute the same? |
# | `break_even_sparsity` | From which sparsity on does a format pay, in time? |
# | `roofline_seconds` | How fast could it be at best? |
# | `amortisation_calls` | When has the conversion paid for itself? |
# | `amdahl_speedup` | What does a faster layer mean for the whole network? |
#
# **Before you begin.** You have done Lab 4 (masks, and why zeros alone save no time) and Lab 13 (the formats CSR and
# 2:4). The lecture note of this lab (`lecture_notes/lab14_gpu_speedup.md` in the course's repository) recalls them and
# teaches the ideas first.
#
# **How long it takes.** The experiments together run for about a minute on a quiet laptop with two cores, and for
# several minutes on a busy one. Every experiment of more than two seconds shows its progress in a bar. Times are what
# this lab is about: close what else runs on your machine.
#
# **CPU or GPU.** The notebook measures what is there: a CUDA GPU, else the CPU. **The course ships no GPU measurement
# of its own yet.** The lab says so where it matters, quotes what others report, and reads your own record if you make
# one (`python -m labkit.gpu_speedup`, in Part 6).
#
# **Papers.** Williams et al. (2009), the roofline model, Communications of the ACM 52(4). Amdahl (1967). Gale et al.
# (2020), [arXiv:2006.10901](https://arxiv.org/abs/2006.10901): sparse kernels for GPUs. Mishra et al. (2021),
# [arXiv:2104.08378](https://arxiv.org/abs/2104.08378): 2:4 in hardware.
#
# **The words.** A *product* is y = W x: the weight W is [rows, cols], the input x is [cols, batch]. *Dense* means
# that all entries are stored. The *speed-up* of B against A is the time of A divided by the time of B; below 1 it is
# a loss. *MACs* are multiply-adds. *CSR* stores single weights, *BSR* blocks of 16 × 16, *2:4* two of every four;
# *channels removed* takes whole rows out, and what is left is dense. A *kernel* is the program that computes one
# operation on the device. The *cache* is the small, fast memory beside the arithmetic units; *from memory* means from
# the large, slow one. A *thread* is work that goes on beside other work, on a core of its own if one is free.
#
# **How it is graded.** Each exercise has a visible check, which you can run as often as you like, and hidden checks,
# which run when the work is graded. They give your functions a clock of their own, which they move themselves: no
# real time is ever graded. Cells marked as experiment are *not* run then. So if an exercise needs a helper function
# of yours, write it in the exercise cell or in a new cell of your own, not in an experiment cell. No exercise needs
# your answer to another one. You may call it all the same; a mistake in it then costs in both. Bad input that a
# contract does not name under *Raises* is not tested.

# %% tags=["setup"]
import itertools
import math
import statistics
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from labkit import sparse_products
from labkit.checkpoints import SEEDS, load_checkpoint
from labkit.data_folder import data_folder
from labkit.datasets import load_fashion_mnist
from labkit.gpu_speedup import rotating
from labkit.models import CNN, prunable_weights
from labkit.plots import COLOURS, MARKERS, label_axes, show, use_style
from labkit.sparse_products import BSR, CSR, DENSE_WITH_ZEROS, FORMATS, REMOVED, TWO_FOUR
from labkit.speed_records import read_records, speedups_of
from labkit.training import accuracy

use_style()

# %% [markdown]
# ## Part 1 · A stopwatch
#
# A GPU works through a queue. A call puts work into the queue and returns; the work is done later. Whoever reads the
# clock when the call returns has timed the *launch*. The checks below use a GPU in slow motion, whose clock you can
# follow by hand. `clock()` reads the time; `synchronize()` waits until the queue is empty.

# %%
class SlowGPU:
    """A GPU in slow motion: a call returns after 1 second, and its work waits in a queue."""

    def __init__(self):
        self.now, self.free = 0.0, 0.0  # the time now; when all the work so far will be done

    def clock(self):
        return self.now

    def synchronize(self):
        self.now = max(self.now, self.free)

    def call(self, work):
        self.now += 1.0
        self.free = max(self.free, self.now) + work


# %% [markdown]
# ### Exercise measure
#
# The function of the whole lab. It takes the clock and the waiting as arguments, so that it works on every device:
#
# $$t_i = \frac{\text{clock}_{\text{after}} - \text{clock}_{\text{before}}}{c}, \qquad i = 1, \dots, n .$$
#
# Here $n$ is `repeats` and $c$ is `calls`. The first calls are slower than later ones (memory is allocated, kernels
# are chosen, caches are filled), so `warmup` calls come first, without a clock. You return the median of the $t_i$
# and the quartiles (a quarter of the $t_i$ lies below the first, a quarter above the third), never the mean: other
# work on the machine only adds time, and now and then a lot of it.
#
# *By hand.* On the slow GPU a call with 10 seconds of work takes 11 seconds: 1 for the launch, 10 for the work. Three
# calls, timed together: the launches are over after 3 seconds, but the work runs from second 1 to second 31. So the
# three take 31 seconds, and one takes 31/3. Waiting after each of them would have made 33.
#
# <details><summary>Hint</summary>
#
# Write down for one timing where you wait and where you read the clock: twice each. Think of what the warm-up has
# left in the queue. `np.percentile(numbers, [25, 50, 75])` gives the three numbers.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=15
from solutions.lab14_gpu_speedup import measure

# %% tags=["visible-check"]
gpu, work = SlowGPU(), iter([100.0, 100.0, 10.0, 30.0, 20.0, 60.0, 40.0])
result = measure(lambda: gpu.call(next(work)), gpu.clock, gpu.synchronize, warmup=2, repeats=5)
assert isinstance(result, tuple) and len(result) == 3, f"You returned {result!r}: return a tuple of three numbers."
assert [round(seconds, 6) for seconds in result] == [21.0, 31.0, 41.0], (
    f"You returned {result}. The five timings are 11, 31, 21, 61 and 41 seconds, so the quartiles and the median are 21, 31, 41.\n"
    "Are all three 1? Then only the launches are timed: wait before you read the clock for the second time.\n"
    "Is it 31, 41, 61? Then the first timing holds work that the warm-up had left in the queue.\n"
    "Is it 21, 31, 101? Then there was no warm-up. Is the middle 33? Then it is the mean."
)
gpu = SlowGPU()
result = measure(lambda: gpu.call(10.0), gpu.clock, gpu.synchronize, warmup=0, repeats=1, calls=3)
assert abs(result[1] - 31 / 3) < 1e-9, (
    f"Three calls together take 31 seconds (see by hand), so one takes {31 / 3:.3f}, and you returned {result[1]:.3f}.\n"
    "Is it 31? Then divide by the number of calls. Is it 11? Then you waited after every call."
)
try:
    measure(lambda: None, gpu.clock, gpu.synchronize, repeats=0)
except ValueError:
    pass
else:
    raise AssertionError("A measurement with no repeats raised no ValueError.")
print("measure: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: what a careless stopwatch says
#
# One dense product, timed 200 times in a row. Then the same product behind a queue: a second thread does the work,
# and a call returns at once. So your CPU behaves as a GPU does, and you see what happens to whoever does not wait.

# %% tags=["experiment"]
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
on_gpu = device.type == "cuda"
torch.set_num_threads(1)  # on a busy machine two threads wait for each other, and you would measure that


def wait():
    """Wait until the device has done its work; the CPU's work is done when a call returns."""
    if on_gpu:
        torch.cuda.synchronize()


stopwatch = {"clock": time.perf_counter, "synchronize": wait}
weight, x = torch.randn(1024, 1024, device=device), torch.randn(1024, 16, device=device)
timings = [measure(lambda: weight @ x, **stopwatch, warmup=0, repeats=1)[1] for _ in range(200)]

with ThreadPoolExecutor(max_workers=1, initializer=torch.set_num_threads, initargs=(1,)) as queue:
    waiting = []

    def enqueue():
        waiting.append(queue.submit(lambda: weight @ x))

    def wait_for_queue():
        while waiting:
            waiting.pop().result()
        wait()

    careful = measure(enqueue, time.perf_counter, wait_for_queue, repeats=50)[1]
    careless = measure(enqueue, time.perf_counter, lambda: None, repeats=50)[1]

middle = statistics.median(timings)
fig, ax = plt.subplots(figsize=(8, 4))
ax.plot(range(1, 201), 1e3 * np.array(timings), ".", color=COLOURS["blue"], label="one timing")
for label, value, colour, style in (
    ("mean", np.mean(timings), "vermilion", "--"), ("median", middle, "black", "-"), ("fastest", min(timings), "green", ":")
):
    ax.axhline(1e3 * value, color=COLOURS[colour], label=label, linestyle=style)
ax.set_yscale("log")
ax.set_ylim(top=5e3 * max(timings))  # room for the legend
label_axes(ax, x="timing", x_unit="number", y="time of one product", y_unit="ms")
ax.legend(ncols=4, loc="upper right")
show(fig, alt="Two hundred timings of one product, in order, on a logarithmic axis: most lie on one level, some lie far above it. The "
     "mean lies above the median.")
print(f"first call {1e3 * timings[0]:.3f} ms, median {1e3 * middle:.3f} ms, mean {1e3 * np.mean(timings):.3f} ms, "
      f"slowest {1e3 * max(timings):.3f} ms")
print(f"behind a queue: {1e3 * careful:.3f} ms if we wait for the work, {1e3 * careless:.3f} ms if we do not")

# %% [markdown]
# **What we saw.** Most timings lie on one level (or on two: a processor has more than one clock rate). The others lie
# *above* it: the first call, and every time when something else ran. They pull the mean up and leave the median where
# it is. The fastest timing is the luckiest one, and it is lower the longer you try. In the last line the first number
# should be near the median above: a queue changes little, if you wait. The careless stopwatch measured how long it
# takes to *ask* for a product. (A GPU can also note the times itself, by two *events* in its queue, which leaves out
# the last bit of waiting. The recorder of Part 6 does so.)
#
# ## Part 2 · A fair comparison
#
# ### Exercise compare
#
# Whether B is faster than A is a question about a *ratio*. Three rules make it fair. First: both must compute the
# same; a wrong product can be very fast. Second: they take turns, so that a machine that slows down slows both.
# Third: each round gives one ratio,
#
# $$r_i = \frac{t^{\text{baseline}}_i}{t^{\text{candidate}}_i},$$
#
# and the median of the ratios is the speed-up. Here $i$ runs over the rounds, and both times of a ratio were taken
# side by side.
#
# *By hand.* Rounds with the times (12, 6), (24, 3), (36, 12): ratios 2, 8, 3, median 3. The median times are 24 and
# 6, and their ratio is 4: nobody has ever measured these two side by side.
#
# <details><summary>Hint</summary>
#
# A loop over the rounds, and inside it a loop over the two functions. Within it, one timing as in `measure`. Where
# must `agree` be asked, so that no clock has been read for a wrong result?
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=20
from solutions.lab14_gpu_speedup import compare

# %% tags=["visible-check"]
gpu, order = SlowGPU(), []  # the work of each call: for its result, for the warm-up, and two for each round
work = {"a": iter([5.0, 5.0, 5.0, 6.0, 11.0, 12.0, 17.0, 18.0]), "b": iter([5.0, 5.0, 2.0, 3.0, 1.0, 1.0, 5.0, 6.0])}


def job(name):
    """One call of a function of this name on the slow GPU."""
    order.append(name)
    gpu.call(next(work[name], 5.0))
    return 42


counts = {"warmup": 1, "rounds": 3, "calls": 2}
result = compare(lambda: job("a"), lambda: job("b"), lambda one, other: one == other, gpu.clock, gpu.synchronize, **counts)
assert "".join(sorted(order[:2]) + sorted(order[2:4]) + order[4:]) == "ab" + "ab" + 3 * "aabb", (
    f"Your calls came in the order {' '.join(order)}: first each once, for its result, then each once, as the warm-up, then in "
    "turns, with two calls in each timing: a a b b, three times."
)
assert [round(ratio, 6) for ratio in result] == [2.5, 3.0, 5.5], (
    f"You returned {result}. The rounds took (12, 6), (24, 3) and (36, 12) seconds, so the ratios are 2, 8, 3, their quartiles 2.5 and "
    "5.5 and their median 3.\n"
    "Is the middle 4? Then you divided the median times. Is it 0.33? Then the ratio is the wrong way round.\n"
    "Is it 4.67? Then the first timing holds work that was left in the queue. Is it 2.85? Then you waited after every call.\n"
    "Are all three 1? Then only the launches are timed."
)
asked = []  # a clock that moves by a second whenever it is read
try:
    compare(lambda: 1, lambda: 2, lambda one, other: one == other, lambda: asked.append("clock") or float(len(asked)), lambda: None)
except ValueError:
    assert not asked, "The results 1 and 2 do not agree, and yet your clock was read before the ValueError."
else:
    raise AssertionError("The results 1 and 2 do not agree, and there was no ValueError.")
print("compare: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: how large a difference is none?
#
# We let a product race *against itself*, forty times: in *blocks*, first all timings of the one and then all of the
# other, from two calls of your `measure`; and in *turns*, by your `compare`. Then against the product with a *copy*
# of the weight. Every result should be 1. How far from 1 they fall is the noise of your machine.

# %% tags=["experiment"]
elsewhere = weight.clone()
product, on_a_copy = (lambda: weight @ x), (lambda: elsewhere @ x)
floor = {"in blocks": [], "in turns": [], "in turns,\nagainst a copy": []}
for _ in tqdm(range(40), desc="against itself"):
    first, second = (measure(product, **stopwatch, warmup=2, repeats=15)[1] for _ in range(2))
    floor["in blocks"].append(first / second)
    floor["in turns"].append(compare(product, product, torch.equal, **stopwatch, warmup=2, rounds=15)[1])
    floor["in turns,\nagainst a copy"].append(compare(product, on_a_copy, torch.allclose, **stopwatch, warmup=2, rounds=15)[1])

fig, ax = plt.subplots(figsize=(8, 3.6))
jitter = np.random.default_rng(0).uniform(-0.2, 0.2, 40)
for row, (values, colour) in enumerate(zip(floor.values(), ("vermilion", "blue", "green"))):
    ax.scatter(values, row + jitter, color=COLOURS[colour], marker=MARKERS[row], s=25)
ax.axvline(1, color="grey", linestyle=":")
ax.set_yticks(range(3), list(floor))
ax.set_ylim(2.5, -0.5)
label_axes(ax, x="speed-up of a product against itself", x_unit="times", y="timed", y_unit="how")
ax.grid(axis="y", visible=False)
show(fig, alt="Three rows of forty points around a speed-up of one: timed in blocks, in turns, and in turns against a copy of the weight.")
for name, values in floor.items():
    name = name.replace("\n", " ")
    print(f"{name:25} median {statistics.median(values):.3f}, from {min(values):.3f} to {max(values):.3f}")

# %% [markdown]
# **What we saw.** A product is not exactly as fast as itself. How wide the first row is depends on what else the
# machine did between the two blocks: a processor that becomes warm, a neighbour's work. In turns, both functions get
# the same share of it, and the points lie closer together. But a row may lie beside 1 *as a whole*: who comes first,
# and where in memory the same numbers stand, can make a difference too, and no number of repeats removes that. Keep
# the three printed ranges in mind: whatever in this lab lies within them is *no difference*.
#
# ## Part 3 · Speed against sparsity
#
# ### Exercise break_even_sparsity
#
# A sparse format is slower than dense at low sparsity and faster at high sparsity, if at all. The crossing is its
# *break-even*. (In Lab 13 the function of this name asks about bytes; here it asks about time, and the two answers
# differ.) The time of a sparse product falls about in a straight line with the sparsity, so between two measured
# points draw a straight line through the *times*:
#
# $$s^* = s_i + (s_{i+1} - s_i)\,\frac{t_i - d}{t_i - t_{i+1}} .$$
#
# Here $d$ is `dense_seconds`, $t_i$ is `sparse_seconds[i]`, $s_i$ is `sparsities[i]`, and $i$ is the *last* measured
# sparsity at which the format takes longer than dense: measured curves are noisy, and may cross more than once.
#
# *By hand.* Times 6, 5, 1 at the sparsities 0.5, 0.8, 0.9, and dense takes 2. The last one above 2 is the 5. On the
# way from 5 to 1 the time 2 is reached after three quarters: $0.8 + 0.1 \cdot 0.75 = 0.875$.
#
# <details><summary>Hint</summary>
#
# Collect the indices at which the format is too slow. Three cases: there are none; the last of them is the last index
# of all; or there is a next point, and the equation holds.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab14_gpu_speedup import break_even_sparsity

# %% tags=["visible-check"]
result = break_even_sparsity([0.5, 0.8, 0.9], [6.0, 5.0, 1.0], 2.0)
assert isinstance(result, float) and abs(result - 0.875) < 1e-9, (
    f"You returned {result!r}; by hand it is 0.875.\n"
    "Is it 0.825? Then the two points have each other's weight. Is it 0.8375? Then the line goes through the speed-ups.\n"
    "Is it 0.9 or 0.8? Then you gave a measured point."
)
result = break_even_sparsity([0.5, 0.6, 0.8, 0.9], [1.0, 4.0, 3.0, 1.0], 2.0)
assert result is not None and abs(result - 0.85) < 1e-9, (
    f"The times 1, 4, 3, 1 cross the dense time 2 twice. The last crossing is at 0.85, and you returned {result}."
)
assert break_even_sparsity([0.5, 0.9], [4.0, 3.0], 2.0) is None, "The format never pays here: return None."
assert break_even_sparsity([0.5, 0.9], [1.0, 0.5], 2.0) == 0.5, "The format always pays here: return the first sparsity, 0.5."
try:
    break_even_sparsity([0.9, 0.5], [1.0, 3.0], 2.0)
except ValueError:
    pass
else:
    raise AssertionError("Sparsities that fall raised no ValueError.")
print("break_even_sparsity: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: every format, from 50% to 98%
#
# Random weights with random zeros of the kind that each format can use: single weights for CSR, blocks for BSR, whole
# rows for *channels removed*. The baseline is the dense product of the *same* weight, zeros included, so both compute
# the same, and your `compare` makes sure of it. The control is the dense product of a weight without a single zero.
#
# Three panels. *From the cache*: every call uses the same W and x, one column (one example). *From memory*: every
# call gets another copy of both, and all the copies together are twice as large as the cache; so it is in a large
# network, where a layer's weight has left the cache when its turn comes again. Then 16 columns, from memory. A line
# is the median of three seeds (weights, zeros, inputs), the band goes from the smallest to the largest. What this
# machine cannot do is printed below, with the reason. Guess first: at which sparsity does CSR begin to pay?

# %% tags=["experiment"]
SIDE = 4096 if on_gpu else 1024
CACHE = torch.cuda.get_device_properties(device).L2_cache_size if on_gpu else 32 * 2**20  # bytes
COLOUR = {CSR: "blue", BSR: "vermilion", REMOVED: "green", TWO_FOUR: "orange", DENSE_WITH_ZEROS: "black"}


class Contest:
    """The dense product of a masked weight against the product of the same weight in another format."""

    def __init__(self, layout, sparsity, rows, cols, seed, dtype=torch.float32):
        self.random = torch.Generator(device).manual_seed(seed)
        full = torch.randn(rows, cols, generator=self.random, device=device).to(dtype)
        mask = sparse_products.random_mask(layout, rows, cols, sparsity, self.random)
        self.layout, self.masked, self.kept = layout, full * mask, int(mask.sum())
        self.rows_left = mask.any(dim=1) if layout == REMOVED else slice(None)
        self.stored = full if layout == DENSE_WITH_ZEROS else sparse_products.store(self.masked, layout)

    def products(self, batch, cache):
        """The dense product and the candidate, as functions without arguments; their operands outgrow a cache of this size."""
        x = torch.randn(self.masked.shape[1], batch, generator=self.random, device=device).to(self.masked.dtype)
        copy_of_stored = partial(sparse_products.another, self.stored, self.masked, self.layout)
        return rotating(self.masked.clone, x, cache), rotating(copy_of_stored, x, cache)

    def agree(self, one, other):
        """Do the two compute the same, up to rounding? The control, without a zero, computes something else on purpose."""
        if self.layout == DENSE_WITH_ZEROS:
            return True
        return sparse_products.relative_error(other, one[self.rows_left].float()) <= sparse_products.TOLERANCE[one.dtype]

    def speedup(self, batch, rounds=9, calls=1, cache=CACHE):
        """The median speed-up. The two use the same x in each round, so `agree` sees results of one product."""
        return compare(*self.products(batch, cache), self.agree, **stopwatch, warmup=1, rounds=rounds, calls=calls)[1]


def band(ax, x, runs, label, colour):
    """The median of the seeds as a line, and a band from the smallest to the largest; runs is [seeds, points]."""
    runs = np.array(runs)
    ax.plot(x, np.median(runs, axis=0), color=COLOURS[colour], marker=MARKERS[list(COLOURS).index(colour)], label=label)
    ax.fill_between(x, runs.min(axis=0), runs.max(axis=0), color=COLOURS[colour], alpha=0.2, linewidth=0)


def speed_axis(ax, ticks):
    """A logarithmic axis of speed-ups, with the line at which nothing is gained."""
    ax.axhline(1, color="grey", linestyle=":", label="break-even")
    ax.set_yscale("log")
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()


sparsities = [0.5, 0.75, 0.9, 0.95, 0.98]
PANELS = {"batch 1, from the cache": (1, 0), "batch 1, from memory": (1, CACHE), "batch 16, from memory": (16, CACHE)}
found, missing = {}, {}  # (format, sparsity, panel, seed): median speed-up; format: why not
jobs = [(f, s, seed) for f in FORMATS for s in ([0.5] if f == TWO_FOUR else sparsities) for seed in SEEDS]
for layout, s, seed in tqdm(jobs, desc="formats"):
    if layout in missing:
        continue
    try:
        contest = Contest(layout, s, SIDE, SIDE, seed)
        for panel, (batch, cache) in PANELS.items():
            rounds, calls = 15 if batch == 1 else 9, 20 if on_gpu else 1
            found[layout, s, panel, seed] = contest.speedup(batch, rounds, calls, cache)
    except Exception as error:  # what a chip or a build lacks
        missing[layout] = sparse_products.reason(error)

NAMES = {layout: layout for layout in FORMATS} | {DENSE_WITH_ZEROS: "control: dense, no zeros"}
fig, axes = plt.subplots(1, 3, figsize=(13, 4.4), sharey=True)
for ax, panel in zip(axes, PANELS):
    for layout in (REMOVED, BSR, CSR, TWO_FOUR, DENSE_WITH_ZEROS):
        if layout not in missing:
            xs = [s for s in sparsities if (layout, s, panel, SEEDS[0]) in found]
            runs = [[found[layout, s, panel, seed] for s in xs] for seed in SEEDS]
            band(ax, range(len(xs)), runs, NAMES[layout], COLOUR[layout])
    speed_axis(ax, [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50])
    ax.set_xticks(range(5), [f"{100 * s:.0f}" for s in sparsities])
    label_axes(ax, x="sparsity", x_unit="%", y="speed-up over dense", y_unit="times", title=panel)
for ax in axes[1:]:
    ax.set_ylabel("")
axes[0].legend(loc="upper left", fontsize=9)
show(fig, alt="Speed-up over the dense product against sparsity in three panels: batch 1 from the cache, batch 1 from memory, batch 16 from "
     "memory. Removed channels lie above the break-even line everywhere. CSR and BSR begin low at 50% and end above the line at 98%. The "
     "control stays near the line.")

break_even = {}
for layout in (CSR, BSR):
    for panel in PANELS:
        if layout not in missing:
            relative = [[1 / found[layout, s, panel, seed] for s in sparsities] for seed in SEEDS]  # times, dense = 1
            break_even[layout, panel] = [break_even_sparsity(sparsities, row, 1.0) for row in relative]
            texts = ["never up to 98 %" if s is None else f"{100 * s:.1f} %" for s in break_even[layout, panel]]
            print(f"break-even of {layout}, {panel:23}: {', '.join(texts)}   (three seeds)")
for layout, why in missing.items():
    print(f"not measured on this machine: {layout}: {why}")

# %% [markdown]
# **What we saw.** Four different answers. *Channels removed* pays from the first point on, and about in proportion: a
# tenth of the rows takes about a tenth of the time. It is a dense product, only smaller. (At 98% it gains less than
# in proportion: x and the call itself also take time.) *CSR* loses at 50%, or at best breaks even, and wins at 98%;
# in between the answer depends on where W comes from and on the batch. Compare the printed break-evens of the first
# two panels: the same product, and yet they differ. From memory the *bytes* count, and there a sparse weight is
# small; from the cache it is the *work* for each stored weight that counts, and CSR has more of it than dense. *BSR*
# has its zeros in blocks of 16 × 16, so one position serves 256 weights: at batch 1 it pays earlier than CSR. With 16
# columns each index of CSR serves 16 products; BSR shares its positions already and has less to gain, so it may
# pay later. The *control* stays near 1: a zero takes as much time as any other number. Where it leaves 1, you see the
# noise of your machine.
#
# Do removed channels gain *more* than in proportion on your machine? Then it is busy. A long call is interrupted more
# often than a short one, so the dense product suffers most, and every speed-up looks too large. Taking turns does not
# help against that; a quiet machine does.
#
# (Is a break-even "50.0 %"? Then the format paid at the first point already, and the truth may lie lower.)
#
# So "90% sparse" can mean ten times faster, twice as fast, or slower. And remember what Lab 2 found at equal
# sparsity: single weights cost the least accuracy, and whole channels the most. Speed and accuracy pull in opposite
# directions.
#
# What is missing on your machine stands below the plot. On a CPU that is 2:4: it needs an NVIDIA GPU of 2020 (the
# Ampere generation) or later.
#
# ### Experiment: speed against the batch
#
# The same race at 90% for batches from 1 to 8192, for two weights with the same number of entries: a square one and a
# tall one.

# %% tags=["experiment"]
SHAPES = {"square": (4096, 4096), "tall": (16384, 1024)} if on_gpu else {"square": (512, 512), "tall": (2048, 128)}
BATCHES = [1, 8, 64, 256, 8192]
by_batch = {}
jobs = [(f, name, seed) for f in (REMOVED, BSR, CSR, TWO_FOUR) for name in SHAPES for seed in SEEDS]
for layout, name, seed in tqdm(jobs, desc="batches"):
    if layout in missing:
        continue
    try:
        contest = Contest(layout, 0.5 if layout == TWO_FOUR else 0.9, *SHAPES[name], seed)
        for batch in BATCHES:
            rounds, calls = (9, 20) if on_gpu else {1: (25, 3), 8: (25, 2), 64: (15, 1), 256: (15, 1), 8192: (3, 1)}[batch]
            by_batch[layout, name, batch, seed] = contest.speedup(batch, rounds, calls)
    except Exception as error:  # what a chip or a build lacks for these shapes
        missing[layout] = sparse_products.reason(error)
        print(f"not measured on this machine: {layout}: {missing[layout]}")

fig, axes = plt.subplots(1, 2, figsize=(11.5, 4.2), sharey=True)
for ax, (name, (rows, cols)) in zip(axes, SHAPES.items()):
    for layout in (REMOVED, BSR, CSR, TWO_FOUR):
        if layout not in missing:
            runs = [[by_batch[layout, name, batch, seed] for batch in BATCHES] for seed in SEEDS]
            band(ax, BATCHES, runs, f"{layout}, {50 if layout == TWO_FOUR else 90}%", COLOUR[layout])
    speed_axis(ax, [0.2, 0.5, 1, 2, 5, 10, 20])
    ax.set_xscale("log")
    ax.set_xticks(BATCHES, [str(batch) for batch in BATCHES])
    ax.minorticks_off()
    label_axes(ax, x="batch", x_unit="columns of x", y="speed-up over dense", y_unit="times", title=f"{name}: {rows} × {cols}")
axes[1].set_ylabel("")
axes[0].legend(loc="lower left", ncols=2)
show(fig, alt="Speed-up over dense at 90% sparsity against the batch from 1 to 8192, for a square and a tall weight, with the break-even "
     "line. Removed channels are the fastest at every batch; CSR and BSR fall towards the line, or below it, as the batch grows.")

# %% [markdown]
# **What we saw.** The batch is as strong as the sparsity. With the *same* weight, at the *same* sparsity, CSR and BSR
# gain at small and middle batches, and at the largest they gain less, or they lose; the shape of the weight moves the
# curves. (The largest batch is the noisiest point: it has three rounds only.) So a paper that reports one batch has
# chosen one point of these curves. *Channels removed* wins at every batch.
#
# ## Part 4 · What could be expected?
#
# ### Exercise roofline_seconds
#
# A machine has two limits: how many multiply-adds it makes in a second, and how many bytes it moves in a second. A
# product must do both, and does them at the same time. So it takes *at least* the longer of two times:
#
# $$t \ge \max\left(\frac{k\,b}{P},\ \frac{k\,(v + j) + (m + n)\,b\,v}{Q}\right) .$$
#
# Here $m$ is `rows`, $n$ is `cols`, $b$ is `batch`, $k$ is `kept` (the stored weights), $v$ is `value_bytes`, $j$ is
# `index_bytes` (what says where a stored weight stands), $P$ is `macs_per_second` and $Q$ is `bytes_per_second`.
#
# *By hand.* W is 4 × 6 with 12 stored weights of 4 bytes and indices of 4 bytes, and x has 2 columns. Multiply-adds:
# $12 \cdot 2 = 24$. Bytes: $12 \cdot 8 + (6 + 4) \cdot 2 \cdot 4 = 176$. At 8 multiply-adds and 44 bytes in a second
# that makes 3 and 4 seconds: the memory is the limit, and it takes 4.
#
# <details><summary>Hint</summary>
#
# Name the two quantities first, `macs` and `moved`. Which arrays are moved: how many numbers has each, and which of
# them has indices?
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=10
from solutions.lab14_gpu_speedup import roofline_seconds

# %% tags=["visible-check"]
result = roofline_seconds(4, 6, 2, 12, 4, 4, 8.0, 44.0)
assert result is not None and abs(result - 4.0) < 1e-9, (
    f"You returned {result}; by hand it is max(24 / 8, 176 / 44) = max(3, 4) = 4.\n"
    "Is it 7? Then the two times were added. Is it 3.27? Then the bytes of y are missing.\n"
    "Is it 3? Then the memory was forgotten, or the shorter time taken, or the bytes of x or of the indices are missing."
)
result = roofline_seconds(4, 6, 2, 12, 4, 4, 2.0, 44.0)
assert abs(result - 12.0) < 1e-9, (
    f"With 2 multiply-adds in a second the arithmetic is the limit: 24 / 2 = 12, and you returned {result}.\n"
    "Is it 24? Then a multiply-add was counted twice, or all 24 weights are multiplied; only what is stored is.\n"
    "Is it 6? Then x has only one column."
)
try:
    roofline_seconds(4, 6, 2, 25, 4, 4, 2.0, 44.0)
except ValueError:
    pass
else:
    raise AssertionError("25 stored weights of 24 raised no ValueError.")
print("roofline_seconds: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: the roof, and who reaches it
#
# The two limits are measured here and now: by a large copy and a large sum, of which the faster counts, and by a
# large dense product (the first quartile, since a limit is what is reached in good moments). Then come products at
# 90% sparsity, from memory: each is a point in the plane of *intensity* (multiply-adds for each byte moved) and
# *rate* (multiply-adds in a second). No point can lie above the roof, unless its data come from the cache. The small
# batches are on the left.

# %% tags=["experiment"]
source = torch.randn(2**28 if on_gpu else 2**24, device=device)  # 1 GiB, or 64 MiB
pieces = itertools.cycle(zip(source.chunk(16), torch.empty_like(source).chunk(16)))  # short calls, all from memory


def copy_a_piece():
    start, end = next(pieces)
    end.copy_(start)


many = 16 if on_gpu else 1
copying, reading = (
    measure(f, **stopwatch, repeats=48, calls=many)[0] for f in (copy_a_piece, lambda: next(pieces)[0].sum())
)
bytes_per_second = source.nbytes / 16 * max(2 / copying, 1 / reading)  # a copy reads and writes
large = torch.randn(8192 if on_gpu else 384, 8192 if on_gpu else 384, device=device)
macs_per_second = len(large) ** 3 / measure(lambda: large @ large, **stopwatch, repeats=21)[0]

ROOF_BATCHES = (1, 8, 64)
INDEX = {CSR: 4, BSR: 4 / sparse_products.BLOCK**2, REMOVED: 0, TWO_FOUR: 0.25}  # bytes for each stored weight
points = {}  # (format, batch): intensity, rate, seconds, least seconds
for layout, batch in tqdm([(f, batch) for f in ("dense", *INDEX) for batch in ROOF_BATCHES if f not in missing], desc="roofline"):
    contest = Contest(layout if layout in INDEX else DENSE_WITH_ZEROS, 0.5 if layout == TWO_FOUR else 0.9, SIDE, SIDE, 0)
    kept, index = (contest.kept, INDEX[layout]) if layout in INDEX else (SIDE * SIDE, 0)
    rows = int(contest.rows_left.sum()) if layout == REMOVED else SIDE
    seconds = measure(contest.products(batch, CACHE)[1], **stopwatch, repeats=15, calls=20 if on_gpu else 1)[1]
    least = roofline_seconds(rows, SIDE, batch, kept, 4, index, macs_per_second, bytes_per_second)
    moved = roofline_seconds(rows, SIDE, batch, kept, 4, index, math.inf, 1.0)  # seconds at one byte a second: the bytes
    points[layout, batch] = {"intensity": kept * batch / moved, "rate": kept * batch / seconds, "seconds": seconds, "least": least}

fig, ax = plt.subplots(figsize=(8, 4.8))
intensities = np.geomspace(0.1, 1000, 100)
ax.plot(intensities, np.minimum(macs_per_second, intensities * bytes_per_second) / 1e9, color="grey", label="roof")
for layout in ("dense", *INDEX):
    if layout not in missing:
        colour = COLOUR.get(layout, "black")
        place = [points[layout, batch] for batch in ROOF_BATCHES]
        ax.plot([p["intensity"] for p in place], [p["rate"] / 1e9 for p in place], marker=MARKERS[list(COLOURS).index(colour)],
                color=COLOURS[colour], label=layout if layout == "dense" else f"{layout}, 90%", linestyle="--", linewidth=1)
ax.set(xscale="log", yscale="log")
label_axes(ax, x="intensity", x_unit="multiply-adds per byte", y="rate", y_unit="10⁹ multiply-adds per second")
ax.legend(loc="lower right")
show(fig, alt="Roofline plot: a roof that rises and then is flat, and three points for each format, for the batches 1, 8 and 64. At batches 1 "
     "and 64 dense and removed channels come nearer to the roof than CSR and BSR, above all at 64.")
print(f"limits of this machine in this run: {bytes_per_second / 1e9:.1f} GB/s, {macs_per_second / 1e9:.1f} · 10⁹ MACs/s, one thread")
for (layout, batch), p in points.items():
    line = f"{layout:16} batch {batch:3}: {1e3 * p['seconds']:8.3f} ms, {100 * p['least'] / p['seconds']:4.0f} % of the limit"
    if layout != "dense":
        dense = points["dense", batch]
        line += f"   speed-up {dense['seconds'] / p['seconds']:5.2f}, of the roofline {dense['least'] / p['least']:5.2f}"
    print(line)

# %% [markdown]
# **What we saw.** The roof explains the shape of the curves. At batch 1 every product is on the left, below the
# slope: the *bytes* decide. CSR then has to move an index for every weight, and the roofline promises it only half of
# the ten times of the removed channels. At large batches the *multiply-adds* decide, and the roofline would promise
# CSR ten times. It does not get them: a dense kernel comes much closer to its roof than a CSR kernel, which must look
# up where each weight belongs. Read the last two columns: where the measured speed-up is the smaller one, the format,
# or its kernel, wastes the distance. Where it is the larger one, the *dense* kernel is far below its limit, as many
# are for a few columns: a slow baseline makes everything look fast.
#
# Is a figure above 100%? Then the limits were measured in a bad moment of your machine, or the operands came from a
# cache that is larger than assumed.
#
# ### Exercise amortisation_calls
#
# A weight must be converted before the first sparse product. That is no part of the product's time, but it is not
# free. After $n$ calls it has paid for itself (it is *amortised*) if
#
# $$c + n\,t_{\text{sparse}} \le n\,t_{\text{dense}} .$$
#
# Here $c$ is `convert_seconds`, and you look for the smallest whole number $n$ of calls.
#
# *By hand.* $c = 10$, dense 5, sparse 2: each call saves 3. Three calls save 9, four save 12. So 4.
#
# <details><summary>Hint</summary>
#
# What does one call save? Divide, and round in the right direction (`math.ceil`, `math.floor`). Which saving makes
# the division impossible or meaningless?
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=6
from solutions.lab14_gpu_speedup import amortisation_calls

# %% tags=["visible-check"]
result = amortisation_calls(10.0, 5.0, 2.0)
assert type(result) is int and result == 4, (
    f"You returned {result!r}; by hand it is 4, an int. Is it 3? Then you rounded down. Is it 3.33? Then it was not rounded at all."
)
assert amortisation_calls(9.0, 5.0, 2.0) == 3, "Three calls save exactly 9 seconds: that is enough."
assert amortisation_calls(10.0, 2.0, 5.0) is None, "Here sparse is slower than dense: no number of calls pays. Return None."
assert amortisation_calls(10.0, 2.0, 2.0) is None, "Here both take the same time: no number of calls pays. Return None."
try:
    amortisation_calls(-1.0, 2.0, 1.0)
except ValueError:
    pass
else:
    raise AssertionError("A conversion of -1 seconds raised no ValueError.")
print("amortisation_calls: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Experiment: what the conversion costs
#
# The time of a conversion, and how many calls pay for it, at 90% (with the times of the last experiment).

# %% tags=["experiment"]
conversion = {}
for layout in (layout for layout in INDEX if layout not in missing):
    contest = Contest(layout, 0.5 if layout == TWO_FOUR else 0.9, SIDE, SIDE, 0)
    conversion[layout] = measure(partial(sparse_products.store, contest.masked, layout), **stopwatch, warmup=1, repeats=7)[1]
    calls = {
        batch: amortisation_calls(conversion[layout], points["dense", batch]["seconds"], points[layout, batch]["seconds"])
        for batch in ROOF_BATCHES
    }
    texts = [f"{'never' if n is None else n} at batch {batch}" for batch, n in calls.items()]
    print(f"{layout:16} converted in {1e3 * conversion[layout]:8.2f} ms; calls that pay for it: {', '.join(texts)}")

# %% [markdown]
# **What we saw.** A conversion to CSR or BSR takes as long as many products of one column. For a network that is
# converted once and answers for weeks this is nothing. For masks that change in every step of a training (Lab 9) it
# decides: there it would be paid in every step, and where a step makes fewer calls than printed, it never comes back.
# Taking rows out is little more than a copy.
#
# ## Part 5 · From the kernel to the network
#
# ### Exercise amdahl_speedup
#
# A layer becomes ten times faster. The network? Only the parts that were made faster gain:
#
# $$S = \frac{\sum_p t_p}{\sum_p t_p / f_p} .$$
#
# Here $p$ runs over the parts, $t_p$ is `seconds[p]`, and $f_p$ is `speedups[p]`, or 1 where there is none.
#
# *By hand.* Convolutions take 6 seconds, a linear layer 3, the rest 1. The linear layer becomes three times faster:
# $10 / (6 + 1 + 1) = 1.25$. Infinitely fast: $10 / 7$, about 1.43. That is the most that can be had from this layer.
#
# <details><summary>Hint</summary>
#
# Times add up, speed-ups do not. `speedups.get(part, 1.0)` gives 1 where there is no entry, and a number divided by
# `math.inf` is 0.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=8
from solutions.lab14_gpu_speedup import amdahl_speedup

# %% tags=["visible-check"]
parts = {"convolutions": 6.0, "linear": 3.0, "rest": 1.0}
result = amdahl_speedup(parts, {"linear": 3.0})
assert result is not None and abs(result - 1.25) < 1e-9, (
    f"You returned {result}; by hand it is 10 / (6 + 1 + 1) = 1.25.\n"
    "Is it 3? Then the parts without a speed-up were left out. Is it 1.6 or 1.67? Then speed-ups were averaged. Is it 0.8? Then it is the "
    "wrong way round. Is it 10? Then those parts lost all their time."
)
assert abs(amdahl_speedup(parts, {"linear": math.inf}) - 10 / 7) < 1e-9, "Infinitely fast: 3 seconds of 10 go, so 10 / 7."
assert amdahl_speedup({"linear": 3.0}, {"linear": math.inf}) == math.inf, "If no time is left, the speed-up is infinite: math.inf."
try:
    amdahl_speedup(parts, {"softmax": 2.0})
except ValueError:
    pass
else:
    raise AssertionError("A speed-up of an unknown part raised no ValueError.")
print("amdahl_speedup: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: kernel, layer, network
#
# The trained MLP in three copies, its weights cut by global magnitude (`prune` below, as in Lab 3) and stored in CSR.
# Each *layer* is the product, its bias and its ReLU. Your `amdahl_speedup` predicts the network from its layers;
# `compare` measures it. Then the CNN: three quarters of its weights are in `fc1`, and that one goes into CSR at 95%
# (PyTorch has no convolution with a sparse weight). What do you expect?

# %% tags=["experiment"]
def prune(weights, sparsity):
    """Copies of the weights, the smallest magnitudes of all the layers together set to zero."""
    pool = torch.cat([weight.detach().abs().flatten() for weight in weights.values()])
    threshold = pool.kthvalue(round(sparsity * len(pool))).values
    return {name: weight.detach() * (weight.detach().abs() > threshold) for name, weight in weights.items()}


def layers_of(weights, biases):
    """One function for each layer, on columns: [cols, batch] -> [rows, batch]; a ReLU in all but the last."""
    last = len(biases) - 1
    return [
        (lambda x, w=w, b=b, i=i: (w @ x).add_(b[:, None]) if i == last else (w @ x).add_(b[:, None]).relu_())
        for i, (w, b) in enumerate(zip(weights, biases))
    ]


def run(layers, x):
    """The whole network."""
    for layer in layers:
        x = layer(x)
    return x


def same(one, other):
    """Do two results agree, up to rounding?"""
    return sparse_products.relative_error(other, one.float()) <= sparse_products.TOLERANCE[one.dtype]


images, labels = (tensor.to(device) for tensor in load_fashion_mnist("validation"))
MLP_SPARSITIES, MLP_BATCHES = (0.9, 0.95, 0.98), (1, 256)
network_speed = {}  # (sparsity, batch, seed): the speed-ups of the layers, predicted and measured
cut_accuracy = {}
quick = 100 if on_gpu else 10  # calls in a timing of one column
with torch.no_grad():
    for s, batch, seed in tqdm([(s, batch, seed) for s in MLP_SPARSITIES for batch in MLP_BATCHES for seed in SEEDS], desc="MLP"):
        model = load_checkpoint("mlp", seed).to(device)
        biases = [layer.bias.detach() for layer in (model.fc1, model.fc2, model.fc3)]
        weights = prune(prunable_weights(model), s)
        dense = layers_of(weights.values(), biases)
        sparse = layers_of([sparse_products.store(weight, CSR) for weight in weights.values()], biases)
        x, calls = images[:batch].flatten(1).t().contiguous(), quick if batch == 1 else 1
        inputs = [run(dense[:i], x) for i in range(3)]
        seconds = {f"fc{i + 1}": measure(partial(dense[i], inputs[i]), **stopwatch, repeats=9, calls=calls)[1] for i in range(3)}
        gains = {
            f"fc{i + 1}": compare(
                partial(dense[i], inputs[i]), partial(sparse[i], inputs[i]), same, **stopwatch, rounds=11, calls=calls
            )[1]
            for i in range(3)
        }
        whole = compare(partial(run, dense, x), partial(run, sparse, x), same, **stopwatch, rounds=21, calls=calls)
        network_speed[s, batch, seed] = {"layers": gains, "predicted": amdahl_speedup(seconds, gains), "measured": whole[1]}
        if batch == 1:
            model.load_state_dict({**model.state_dict(), **weights})
            cut_accuracy[s, seed] = accuracy(model, images, labels)

fig, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
for ax, batch in zip(axes, MLP_BATCHES):
    for name, colour in (("fc1", "sky"), ("fc2", "purple"), ("fc3", "orange")):
        runs = [[network_speed[s, batch, seed]["layers"][name] for s in MLP_SPARSITIES] for seed in SEEDS]
        band(ax, range(3), runs, f"layer {name}", colour)
    for kind, colour in (("predicted", "vermilion"), ("measured", "black")):
        runs = [[network_speed[s, batch, seed][kind] for s in MLP_SPARSITIES] for seed in SEEDS]
        band(ax, range(3), runs, f"network, {kind}", colour)
    speed_axis(ax, [0.2, 0.5, 1, 2, 5, 10])
    ax.set_xticks(range(3), [f"{100 * s:.0f}" for s in MLP_SPARSITIES])
    label_axes(ax, x="sparsity", x_unit="%", y="speed-up of CSR over dense", y_unit="times", title=f"MLP, batch {batch}")
axes[1].set_ylabel("")
axes[0].legend(loc="upper left", ncols=2, fontsize=9)
show(fig, alt="Speed-up of CSR for the three layers of the MLP and for the whole network, predicted by Amdahl's law and measured, at 90, 95 and 98% "
     "sparsity. fc3 does not rise clearly above break-even; fc2 lies below it at batch 1 and above it at batch 256. The network lies "
     "between its layers, near the prediction.")
for s in MLP_SPARSITIES:
    cut = [100 * cut_accuracy[s, seed] for seed in SEEDS]
    print(f"cut to {100 * s:.0f} % and not fine-tuned: {np.mean(cut):.1f} ± {np.std(cut, ddof=1):.1f} % of the validation images")

# %% tags=["experiment"]
cnn_speed = {}  # seed: {what: number}
with torch.no_grad():
    for seed in tqdm(SEEDS, desc="CNN"):
        model = load_checkpoint("cnn", seed).to(device)
        weight = prune({"fc1": model.fc1.weight}, 0.95)["fc1"]
        stored, bias = sparse_products.store(weight, CSR), model.fc1.bias[:, None]
        before = nn.Sequential(*list(model.children())[:12])  # all the convolutions, up to the last pooling
        batch = images[:64]
        features = before(batch).flatten(1)  # 64, 576
        in_columns = features.t().contiguous()

        def with_fc1(product, before=before, model=model, batch=batch, bias=bias):
            """The whole network, its first linear layer computed by `product`, on columns."""
            hidden = (product(before(batch).flatten(1).t().contiguous()) + bias).relu_()
            return model.fc2(hidden.t())

        dense_fc1, sparse_fc1 = (lambda x, w=weight: w @ x), (lambda x, w=stored: w @ x)
        seconds = {
            "convolutions": measure(partial(before, batch), **stopwatch, warmup=2, repeats=7)[1],
            "fc1": measure(partial(dense_fc1, in_columns), **stopwatch, repeats=15)[1],
            "fc2": measure(partial(model.fc2, torch.randn(64, 128, device=device)), **stopwatch, repeats=15)[1],
        }
        gain = compare(partial(dense_fc1, in_columns), partial(sparse_fc1, in_columns), same, **stopwatch, rounds=15)[1]
        narrow = CNN(channels=(8, 16, 32), hidden=64).to(device).eval()
        cnn_speed[seed] = {
            "fc1 alone": gain,
            "network, predicted": amdahl_speedup(seconds, {"fc1": gain}),
            "network, measured": compare(
                partial(with_fc1, dense_fc1), partial(with_fc1, sparse_fc1), same, **stopwatch, warmup=2, rounds=9
            )[1],
            "network if fc1 took no time": amdahl_speedup(seconds, {"fc1": math.inf}),
            "network, half of all channels removed": compare(
                partial(model, batch), partial(narrow, batch), lambda one, other: True, **stopwatch, warmup=2, rounds=9
            )[1],  # a network with other weights: only its time is of interest
        }
print("CNN, batch 64, fc1 in CSR at 95 %: speed-ups, mean and standard deviation over three checkpoints")
for what in cnn_speed[SEEDS[0]]:
    values = [cnn_speed[seed][what] for seed in SEEDS]
    print(f"    {what:38} {np.mean(values):6.2f} ± {np.std(values, ddof=1):.2f}")

# %% [markdown]
# **What we saw.** In the MLP the largest layer, `fc1`, decides what the network gets. `fc2` loses at batch 1 and gains
# at batch 256. `fc3`, ten rows, loses or at best breaks even: a call of the sparse library costs more than its whole
# product. Amdahl's prediction and the measurement lie close together, and where they do not, the parts of a network
# share caches, which no sum of parts knows. At batch 1 even 90% brings nothing, or a loss, in a network of this size:
# the large weights of Part 3 were a friendlier case. And read the accuracies below the plot: the sparsities that pay
# are those at which the cut network must be fine-tuned (Lab 4).
#
# The CNN is the sharper lesson. Three quarters of its weights became twenty times fewer, and the network is as slow
# as before: `fc1` takes hardly any of the time. Even if it took none, the network would gain only what the fourth
# line says. **Weights are not time.** Removing half of the channels everywhere touches the convolutions, where the
# time is, and there the network gains.
#
# ## Part 6 · Number formats, and the GPU
#
# ### Experiment: which number formats are there?
#
# GPUs are fast in 16 bits. Each pair of a format and a dtype either runs here or says why not.

# %% tags=["experiment"]
def short(why):
    """The last part of a reason, for a table."""
    return textwrap.shorten(why.split(": ", 1)[-1], 120, placeholder=" …")


dtypes = (torch.float32, torch.bfloat16, torch.float16)
dense_in, support = {}, {}
small, column = torch.randn(512, 512, device=device), torch.randn(512, 64, device=device)
for dtype in dtypes:
    a, b = small.to(dtype), column.to(dtype)
    dense_in[dtype] = measure(lambda a=a, b=b: a @ b, **stopwatch, warmup=2, repeats=7)[1]
    for layout in (CSR, BSR, TWO_FOUR):
        try:
            gain = Contest(layout, 0.5 if layout == TWO_FOUR else 0.9, 512, 512, 0, dtype).speedup(64, rounds=5)
            support[layout, dtype] = f"{gain:.2f} times the speed of dense at {'50' if layout == TWO_FOUR else '90'} %"
        except Exception as error:
            support[layout, dtype] = f"not here: {short(sparse_products.reason(error))}"
for dtype in dtypes:
    name = str(dtype).removeprefix("torch.")
    print(f"{name:8}: a dense product takes {100 * dense_in[dtype] / dense_in[torch.float32]:.0f} % of the time of float32")
    for layout in (CSR, BSR, TWO_FOUR):
        print(f"    {layout:4} {support[layout, dtype]}")

# %% [markdown]
# **What we saw.** A library of sparse products has holes. On a CPU PyTorch multiplies CSR and BSR in 32 bits only;
# and in 16 bits a dense product can be much faster or *very* much slower than in 32, depending on which instructions
# the processor and the build have. Before you plan with a format, run this cell on the machine that will do the work.
#
# ### Experiment: records of GPUs
#
# In the folder that holds `data`, `python -m labkit.gpu_speedup --out data/gpu_speedup/NAME.json` measures all
# formats, for three dtypes, two shapes and batches up to 8192, on the GPU at hand (add `--help` for the choices),
# with the limits of the chip in the same run. What a chip lacks stands in the record with the reason. The next cell
# draws every record that is there. **None ships with the course yet: we had no GPU to measure on.** If you have one,
# make a record, and run the cell again.

# %% tags=["experiment"]
records = read_records(data_folder() / "gpu_speedup")
if not records:
    print("There is no GPU record in data/gpu_speedup/: nothing about GPUs in this lab was measured by the course.")
for name, record in records.items():
    machine = record["machine"]
    versions = f"driver {machine['driver']}, torch {machine['torch']}, CUDA {machine['cuda']}"
    print(f"{name}: {machine['chip']}, {versions}, made {record['made']} at commit {record['commit'][:8]}")
    panels = [(dtype, batch) for dtype in ("float32", "float16") for batch in (1, 2048)]
    fig, axes = plt.subplots(1, 4, figsize=(14, 4), sharey=True)
    for ax, (dtype, batch) in zip(axes, panels):
        for layout, (xs, low, mid, high) in speedups_of(record, dtype=dtype, batch=batch).items():
            ax.plot(xs, mid, marker=MARKERS[list(COLOURS).index(COLOUR[layout])], color=COLOURS[COLOUR[layout]], label=layout)
            ax.fill_between(xs, low, high, color=COLOURS[COLOUR[layout]], alpha=0.2, linewidth=0)
        ax.axhline(1, color="grey", linestyle=":", label="break-even")
        ax.set_yscale("log")
        label_axes(ax, x="sparsity", x_unit="fraction", y="speed-up over dense", y_unit="times", title=f"{dtype}, batch {batch}")
    axes[0].legend(fontsize=8)
    show(fig, alt=f"Speed-up over dense against sparsity on {machine['chip']}, for two dtypes and two batches, with quartiles.")
    for why in sorted({entry["not_measured"] for entry in record["measurements"] if "not_measured" in entry}):
        print(f"    not measured: {why}")

# %% [markdown]
# **What others report.** None of these figures was measured by us. Each holds for one chip, one shape and one
# version; read the source before you rely on one.
#
# | case | reported | by |
# |---|---|---|
# | 2:4, 4096 × 4096, one column | 0.11 times dense (0.196 against 0.022 ms): too small, and filled up to more columns | a PyTorch developer, [pytorch#111339](https://github.com/pytorch/pytorch/issues/111339) |
# | 2:4, 3072 × 10240, fp16, issue about an H100 | 0.41 times dense (0.603 against 0.248 ms); 1.15 times (0.216 ms) once the setup of a call is kept for later calls | the author of [pytorch#177866](https://github.com/pytorch/pytorch/pull/177866) |
# | 2:4, hardware limit | 2 times the rate of dense multiply-adds | Mishra et al. (2021) |
# | 2:4, training of a vision transformer (ViT-L), A100, fp16 | 1.24 and 1.27 times for two linear layers, 6% for the whole | torchao, [the commit of its table](https://github.com/pytorch/ao/commit/881ae2cee67f6c61bb3163235a7db03e7c3da9f1) |
# | BSR, vision transformers, A100, fp32 | up to 1.46 times, whole network, less than 2% of accuracy lost | [PyTorch's blog, 2024](https://github.com/pytorch/pytorch.github.io/pull/1622) |
# | unstructured, Transformers and MobileNets, own kernels | 1.2 to 2.1 times, whole networks | Gale et al. (2020), abstract |
#
# The first two lines are losses, reported by people who develop these kernels. In the second the *setup* of each call
# decided, and not the product: `fc3` above lost to the cost of a call, too. In the fourth the layers gain four times
# what the network gains: that is Amdahl.

# %% [markdown] tags=["question"]
# ### Written question
#
# A colleague writes: "We pruned our network to 90%, unstructured. I timed the largest layer in CSR with `time.time()`
# around one call on the GPU: it takes 0.02 ms, the dense layer takes 0.9 ms. So the network will be 45 times faster."
# Answer in about twelve lines, with your own plots or printed lines as evidence where you have them. (a) Name *three*
# faults of this measurement, and for each say what should be done. (b) Suppose the layer really were 3 times faster
# and took 40% of the network's time. What is the network's speed-up, and what is the most that this layer could ever
# bring? (c) Name *one* question about how the network will be *used* (not about the layer) that decides whether CSR,
# removed channels, or neither is the right choice, and the plot or printed line of yours that shows it.

# %% [markdown] tags=["written"] points=3 grade_id="is_it_faster"
# **Model answer.** (a) Three of: the clock was read without waiting for the GPU, so the launch was timed: synchronise
# before both readings. One call: no warm-up, no spread; warm up, repeat, give the median and the quartiles. The two
# were not timed in turns on the same machine state: alternate. Nobody checked that the sparse layer computes the
# same: compare the results first. The batch, the shape and the dtype are not named. The same operands in every call
# may come from the cache: rotate them. The conversion is not mentioned.
#
# (b) $1 / (0.6 + 0.4 / 3) = 1.36$; at most $1 / 0.6 = 1.67$, with a layer that takes no time.
#
# (c) The batch (or: one example at a time against many at once), and with it which limit of the roofline holds. The
# plot of speed-up against batch shows CSR on both sides of break-even at one sparsity, while removed channels stay
# above it. Also accepted: how often the weights change, because of the conversion; or which accuracy may be lost,
# because removed channels cost more accuracy at equal sparsity.
#
# **Points.** 1 for (a): three faults, each with its remedy. 1 for (b): both numbers. 1 for (c): a question about the
# use, tied to a plot or a printed line.

# %% tags=["record"]
# For the course's makers: where LABKIT_RECORD names a folder, write what the lecture note quotes into it.
import json
import os
import platform
from pathlib import Path


def summary(values):
    """Median, smallest and largest of some ratios, and the values themselves."""
    values = [round(float(value), 6) for value in values]
    return {"median": round(statistics.median(values), 6), "min": min(values), "max": max(values), "values": values}


def relative_times(speedups):
    """Times in units of dense, from speed-ups."""
    return summary([1 / value for value in speedups])


def key_of(text):
    """A name as a key."""
    return text.replace(",\n", "_").replace(", ", "_").replace(" ", "_").replace(":", "_")


if folder := os.environ.get("LABKIT_RECORD"):
    measured_formats = [layout for layout in FORMATS if layout not in missing]
    record = {
        "made_by": "in labs/: LABKIT_RECORD=../data/results python source/lab14_gpu_speedup.py",
        "unit": "times are fractions of the dense time, unless the name says otherwise; the values are those of the three seeds",
        "machine": {"device": device.type, "torch": torch.__version__, "threads": 1, "system": platform.machine()},
        "not_measured": {key_of(layout): why for layout, why in missing.items()},
        "against_itself": {key_of(name): summary(values) for name, values in floor.items()},
        "side": SIDE,
        "time": {
            key_of(layout): {
                key_of(panel): {
                    f"{100 * s:g}": relative_times([found[layout, s, panel, seed] for seed in SEEDS])
                    for s in sparsities if (layout, s, panel, SEEDS[0]) in found
                }
                for panel in PANELS
            }
            for layout in measured_formats
        },
        "break_even": {
            key_of(layout): {
                key_of(panel): summary(values) if None not in values else {"values": values}
                for (name, panel), values in break_even.items() if name == layout
            }
            for layout in (CSR, BSR)
        },
        "by_batch": {
            key_of(layout): {
                name: {str(batch): relative_times([by_batch[layout, name, batch, seed] for seed in SEEDS]) for batch in BATCHES}
                for name in SHAPES
            }
            for layout in (REMOVED, BSR, CSR)
        },
        "limits": {"bytes_per_second": round(bytes_per_second), "macs_per_second": round(macs_per_second)},
        "roofline": {
            key_of(layout): {
                f"batch_{batch}": {
                    "of_the_limit": round(points[layout, batch]["least"] / points[layout, batch]["seconds"], 6),
                    "time": round(points[layout, batch]["seconds"] / points["dense", batch]["seconds"], 6),
                    "time_of_the_roofline": round(points[layout, batch]["least"] / points["dense", batch]["least"], 6),
                }
                for batch in ROOF_BATCHES
            }
            for layout in ("dense", CSR, BSR, REMOVED)
        },
        "mlp": {
            f"batch_{batch}": {
                f"{100 * s:g}": {
                    **{kind: relative_times([network_speed[s, batch, seed][kind] for seed in SEEDS])
                       for kind in ("predicted", "measured")},
                    **{name: relative_times([network_speed[s, batch, seed]["layers"][name] for seed in SEEDS])
                       for name in ("fc1", "fc2", "fc3")},
                }
                for s in MLP_SPARSITIES
            }
            for batch in MLP_BATCHES
        },
        "mlp_accuracy": {f"{100 * s:g}": summary([cut_accuracy[s, seed] for seed in SEEDS]) for s in MLP_SPARSITIES},
        "cnn": {key_of(what): relative_times([cnn_speed[seed][what] for seed in SEEDS]) for what in cnn_speed[SEEDS[0]]},
        "dtypes": {str(dtype).removeprefix("torch."): round(dense_in[dtype] / dense_in[torch.float32], 6) for dtype in dtypes},
    }
    Path(folder, "lab14_gpu_speedup.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
