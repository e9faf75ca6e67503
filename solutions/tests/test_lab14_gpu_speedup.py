"""Lab 14's reference against independent oracles: torch.utils.benchmark on the same clock, labkit.timing, counters of
PyTorch, exact fractions, search on a fine grid. Every clock is moved by the tests: none asserts a time."""

import copy
import itertools
import json
import math
import time
from fractions import Fraction

import jupytext
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from autograder.labs import find_lab
from labkit.gpu_speedup import main
from labkit.plots import COLOURS, MARKERS, label_axes
from labkit.sparse_products import CSR, store, stored_bytes
from labkit.speed_records import read_records, speedups_of
from labkit.timing import Timing, speedup
from solutions.lab14_gpu_speedup import (
    amdahl_speedup,
    amortisation_calls,
    break_even_sparsity,
    compare,
    measure,
    roofline_seconds,
)

quick = settings(deadline=None, max_examples=80)
times = st.floats(1e-6, 1e3)


class Machine:
    """A clock that only its functions move, and a journal of what was done."""

    def __init__(self):
        self.now, self.journal = 100.0, []

    def clock(self):
        self.journal.append("clock")
        return self.now

    def synchronize(self):
        self.journal.append("wait")

    def function(self, name, durations):
        """A function whose calls take the given durations, again and again."""
        remaining = itertools.cycle(durations)

        def call():
            self.journal.append(name)
            self.now += next(remaining)
            return name

        return call


# --- measure ---------------------------------------------------------------------------------------------------


def durations_of_a_real_product(count):
    """What a product really takes on this machine, for later replay on a clock that cannot be disturbed."""
    a, found = torch.randn(64, 64), []
    for _ in range(count):
        start = time.perf_counter()
        a @ a
        found.append(time.perf_counter() - start)
    return found


@pytest.mark.parametrize("calls", [1, 5])
def test_measure_agrees_with_torch_utils_benchmark_on_the_replay_of_a_real_product(calls):
    repeats = 30
    real = durations_of_a_real_product(repeats * calls)
    machine = Machine()
    low, middle, high = measure(
        machine.function("f", real),
        machine.clock,
        machine.synchronize,
        warmup=0,
        repeats=repeats,
        calls=calls,
    )
    replay = Machine()
    replayed = replay.function("f", real)
    runs = []  # Timer.timeit is given one timing's calls at a time; its own warm-up takes durations of its own
    for block in np.array(real).reshape(repeats, calls):
        replayed = replay.function("f", block.tolist())
        timer = Timer("f()", globals={"f": replayed}, timer=lambda: replay.now)
        runs += timer.timeit(calls).raw_times
    theirs = Timer("pass").timeit(1)  # a Measurement to carry the same raw times
    theirs = type(theirs)(calls, runs, theirs.task_spec)
    assert middle == pytest.approx(theirs.median, rel=1e-9, abs=1e-12)
    assert high - low == pytest.approx(theirs.iqr, rel=1e-6, abs=1e-12)
    assert low <= theirs.median <= high


def test_the_order_of_a_measurement():
    machine = Machine()
    measure(machine.function("f", [1.0]), machine.clock, machine.synchronize, warmup=2, repeats=2, calls=3)
    assert machine.journal == ["f"] * 2 + ["wait", "clock", "f", "f", "f", "wait", "clock"] * 2


@quick
@given(st.lists(times, min_size=1, max_size=40), st.integers(0, 4), st.integers(1, 3))
def test_quartiles_are_those_of_a_timing(seconds, warmup, calls):
    machine = Machine()
    every = [7e3] * warmup + [second for second in seconds for _ in range(calls)]
    found = measure(
        machine.function("f", every), machine.clock, machine.synchronize, warmup, len(seconds), calls
    )
    oracle = Timing(tuple(seconds), threads=1)
    low, high = oracle.quartiles
    assert found == pytest.approx((low, oracle.median, high), rel=1e-6, abs=1e-6)
    assert all(type(value) is float for value in found)


@pytest.mark.parametrize("counts", [{"warmup": -1}, {"repeats": 0}, {"calls": 0}, {"repeats": -3}])
def test_counts_that_make_no_measurement_are_refused(counts):
    machine = Machine()
    with pytest.raises(ValueError, match="no measurement"):
        measure(machine.function("f", [1.0]), machine.clock, machine.synchronize, **counts)
    assert machine.journal == []


# --- compare ---------------------------------------------------------------------------------------------------


def test_the_order_of_a_comparison():
    machine = Machine()
    a, b = machine.function("a", [1.0]), machine.function("b", [2.0])

    def agree(one, other):
        machine.journal.append(f"agree {one} {other}")
        return True

    compare(a, b, agree, machine.clock, machine.synchronize, warmup=1, rounds=2, calls=2)
    turn = ["wait", "clock", "a", "a", "wait", "clock", "wait", "clock", "b", "b", "wait", "clock"]
    assert machine.journal == ["a", "b", "agree a b", "a", "b", *turn, *turn]


@quick
@given(st.lists(st.tuples(times, times), min_size=1, max_size=30))
def test_a_comparison_gives_the_speed_up_of_labkit(pairs):
    machine = Machine()
    machine.now = 0.0
    one, other = (list(column) for column in zip(*pairs))
    functions = machine.function("a", [1.0, *one]), machine.function("b", [1.0, *other])
    found = compare(*functions, lambda a, b: True, machine.clock, machine.synchronize, 0, len(pairs))
    assert found == pytest.approx(speedup(Timing(tuple(one), 1), Timing(tuple(other), 1)), rel=1e-3)


def test_a_machine_that_slows_down_does_not_change_the_speed_up():
    machine = Machine()
    slower = [2.0**i for i in range(10)]
    a, b = machine.function("a", [1.0, *(3 * s for s in slower)]), machine.function("b", [1.0, *slower])
    found = compare(a, b, lambda *_: True, machine.clock, machine.synchronize, warmup=0, rounds=10)
    assert found == pytest.approx((3.0, 3.0, 3.0))


def test_a_wrong_candidate_is_never_timed():
    machine = Machine()
    a, b = machine.function("a", [1.0]), machine.function("b", [2.0])
    with pytest.raises(ValueError, match="does not compute"):
        compare(a, b, lambda one, other: one == other, machine.clock, machine.synchronize)
    assert machine.journal == ["a", "b"]


@pytest.mark.parametrize("counts", [{"warmup": -1}, {"rounds": 0}, {"calls": 0}])
def test_counts_that_make_no_comparison_are_refused(counts):
    machine = Machine()
    a, b = machine.function("a", [1.0]), machine.function("b", [2.0])
    with pytest.raises(ValueError, match="no comparison"):
        compare(a, b, lambda *_: True, machine.clock, machine.synchronize, **counts)
    assert machine.journal == []


def test_a_real_sparse_product_can_be_compared():
    weight = torch.randn(64, 64) * (torch.rand(64, 64) < 0.1)
    x, csr = torch.randn(64, 3), store(weight, CSR)
    functions = lambda: weight @ x, lambda: csr @ x
    found = compare(*functions, torch.allclose, time.perf_counter, lambda: None, rounds=3, calls=2)
    assert 0 < found[0] <= found[1] <= found[2] < math.inf


# --- break_even_sparsity ---------------------------------------------------------------------------------------

curves = st.lists(st.tuples(st.integers(0, 1000), times), min_size=1, max_size=8, unique_by=lambda p: p[0])


@quick
@given(curves, times)
def test_break_even_is_where_the_interpolated_time_crosses_for_the_last_time(curve, dense):
    curve = sorted((place / 1000, seconds) for place, seconds in curve)
    sparsities, seconds = (list(column) for column in zip(*curve))
    found = break_even_sparsity(sparsities, seconds, dense)
    if seconds[-1] > dense:
        assert found is None
        return
    beyond = np.linspace(found, sparsities[-1], 201)[1:]
    assert (np.interp(beyond, sparsities, seconds) <= dense * (1 + 1e-6) + 1e-9).all()
    if found > sparsities[0]:  # a crossing: the time there is the dense one, and a little before it is longer
        assert np.interp(found, sparsities, seconds) == pytest.approx(dense, rel=1e-5, abs=1e-5)
        before = max(s for s in sparsities if s < found)
        assert seconds[sparsities.index(before)] > dense or math.isclose(found, before, abs_tol=1e-9)
    else:
        assert all(second <= dense for second in seconds)


def test_break_even_of_a_time_that_is_linear_in_the_density_is_exact():
    """t = fixed + slope * (1 - s): the crossing is 1 - (dense - fixed) / slope."""
    sparsities = [0.5, 0.7, 0.9, 0.95]
    seconds = [0.2 + 10 * (1 - s) for s in sparsities]
    assert break_even_sparsity(sparsities, seconds, 2.0) == pytest.approx(1 - 1.8 / 10)


@pytest.mark.parametrize(
    ("sparsities", "seconds"), [([], []), ([0.5], []), ([0.5, 0.5], [1, 1]), ([0.9, 0.5], [1, 1])]
)
def test_break_even_refuses(sparsities, seconds):
    with pytest.raises(ValueError, match="sparsities"):
        break_even_sparsity(sparsities, seconds, 1.0)


# --- roofline_seconds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 7, 256])
def test_roofline_counts_what_pytorch_counts(batch):
    weight = torch.randn(48, 80)
    x = torch.randn(80, batch)
    with FlopCounterMode(display=False) as counter:
        y = weight @ x
    macs, moved = counter.get_total_flops() / 2, weight.nbytes + x.nbytes + y.nbytes
    by_memory = roofline_seconds(48, 80, batch, weight.numel(), 4, 0, 1e30, 1e9)
    by_units = roofline_seconds(48, 80, batch, weight.numel(), 4, 0, 1e9, 1e30)
    assert by_memory == pytest.approx(moved / 1e9) and by_units == pytest.approx(macs / 1e9)


def test_roofline_counts_the_bytes_of_a_stored_csr_but_its_row_starts():
    weight = torch.randn(64, 96) * (torch.rand(64, 96) < 0.2)
    kept = int((weight != 0).sum())
    seconds = roofline_seconds(64, 96, 5, kept, 4, 4, 1e30, 1.0)
    assert seconds == stored_bytes(store(weight, CSR)) - 4 * (64 + 1) + 4 * 5 * (64 + 96)


@quick
@given(*[st.integers(1, 300)] * 3, st.floats(0, 1), st.sampled_from([0, 0.25, 4, 8]), times, times)
def test_roofline_is_never_below_a_limit_and_reaches_one(rows, cols, batch, share, index, macs, moved):
    kept = round(share * rows * cols)
    seconds = Fraction(roofline_seconds(rows, cols, batch, kept, 2, index, macs, moved))
    limits = [
        Fraction(kept * batch) / Fraction(macs),
        (kept * (2 + Fraction(index)) + (rows + cols) * batch * 2) / Fraction(moved),
    ]
    assert float(seconds) == pytest.approx(float(max(limits)), rel=1e-12)


@pytest.mark.parametrize(
    "changed", [{"kept": -1}, {"kept": 13}, {"macs_per_second": 0}, {"bytes_per_second": -1.0}, {"macs_per_second": math.nan}]
)  # fmt: skip
def test_roofline_refuses(changed):
    good = {
        "rows": 3, "cols": 4, "batch": 1, "kept": 12, "value_bytes": 4, "index_bytes": 0,
        "macs_per_second": 1.0, "bytes_per_second": 1.0,
    }  # fmt: skip
    assert roofline_seconds(**good) == 4 * 12 + 7 * 4
    with pytest.raises(ValueError, match=r"stored|rates"):
        roofline_seconds(**{**good, **changed})


# --- amdahl_speedup --------------------------------------------------------------------------------------------


@quick
@given(st.lists(st.tuples(times, st.none() | st.floats(0.01, 100)), min_size=1, max_size=6))
def test_amdahl_against_exact_fractions(parts):
    seconds = {str(i): time for i, (time, _) in enumerate(parts)}
    factors = {str(i): factor for i, (_, factor) in enumerate(parts) if factor is not None}
    before = sum(Fraction(time) for time in seconds.values())
    after = sum(Fraction(time) / Fraction(factors.get(part, 1)) for part, time in seconds.items())
    assert amdahl_speedup(seconds, factors) == pytest.approx(float(before / after), rel=1e-9)


def test_amdahl_as_it_is_usually_written():
    """A share p of the time made s times faster: 1 / ((1 - p) + p / s); at most 1 / (1 - p)."""
    p, s = 0.75, 8
    assert amdahl_speedup({"part": p, "rest": 1 - p}, {"part": s}) == pytest.approx(1 / ((1 - p) + p / s))
    assert amdahl_speedup({"part": p, "rest": 1 - p}, {"part": math.inf}) == pytest.approx(1 / (1 - p))
    assert amdahl_speedup({"part": 1.0}, {"part": math.inf}) == math.inf


def test_amdahl_on_a_clock():
    """Parts that run one after another on a machine, before and after."""
    machine = Machine()
    before = {"a": 3.0, "b": 1.0, "c": 4.0}
    after = {"a": 1.0, "b": 2.0, "c": 4.0}
    totals = []
    for parts in (before, after):
        start = machine.now
        for part, seconds in parts.items():
            machine.function(part, [seconds])()
        totals.append(machine.now - start)
    assert amdahl_speedup(before, {"a": 3.0, "b": 0.5}) == pytest.approx(totals[0] / totals[1])


@pytest.mark.parametrize(
    ("seconds", "factors"),
    [({"a": 1.0}, {"b": 2.0}), ({"a": 1.0}, {"a": 0}), ({"a": 1.0}, {"a": -1}), ({"a": 1.0}, {"a": math.nan}),
     ({"a": -1.0, "b": 3.0}, {}), ({"a": 0.0}, {}), ({}, {})],
)  # fmt: skip
def test_amdahl_refuses(seconds, factors):
    with pytest.raises(ValueError, match=r"speed-up|times"):
        amdahl_speedup(seconds, factors)


# --- amortisation_calls ----------------------------------------------------------------------------------------


@quick
@given(*[st.integers(0, 400)] * 3)
def test_amortisation_by_counting(convert, dense, sparse):
    """In sixteenths of a second, which floats hold exactly."""
    found = amortisation_calls(convert / 16, dense / 16, sparse / 16)
    if sparse >= dense:
        assert found is None
    else:
        assert found == next(n for n in itertools.count() if convert + n * sparse <= n * dense)
        assert type(found) is int


@quick
@given(times, times, times)
def test_amortisation_pays_and_one_call_less_does_not(convert, dense, sparse):
    assume(dense - sparse > 1e-3)
    n = amortisation_calls(convert, dense, sparse)
    assert convert + n * sparse <= n * dense * (1 + 1e-9) + 1e-9
    assert convert + (n - 1) * sparse >= (n - 1) * dense * (1 - 1e-9) - 1e-9


@pytest.mark.parametrize("bad", [(-1.0, 2.0, 1.0), (1.0, -2.0, 1.0), (1.0, 2.0, -1.0), (math.nan, 2.0, 1.0)])
def test_amortisation_refuses(bad):
    with pytest.raises(ValueError, match="negative"):
        amortisation_calls(*bad)


# --- on a record -----------------------------------------------------------------------------------------------


@pytest.fixture
def records(tmp_path):
    """A synthetic record: the numbers of one case replaced by ones that can be checked by hand."""
    path = tmp_path / "gpu_speedup" / "chip.json"
    path.parent.mkdir()
    options = "--device cpu --shapes 16x16 --batches 1 --dtypes float32 --formats CSR --sparsities 0.5,0.9 --rounds 2"
    main([*options.split(), "--copy-mib", "1", "--product-size", "16", "--no-progress", "--out", str(path)])
    record = json.loads(path.read_text(encoding="utf-8"))
    for entry, seconds in zip(record["measurements"], (3.0, 0.5)):
        entry |= {"seconds": [seconds] * 3, "dense_seconds": [1.0] * 3, "convert_seconds": [8.0] * 3}
    path.write_text(json.dumps(record), encoding="utf-8")
    return read_records(path.parent)


def test_the_lab_reads_a_record(records):
    entries = copy.deepcopy(records["chip"]["measurements"])
    sparsities = [entry["sparsity"] for entry in entries]
    relative = [entry["seconds"][1] / entry["dense_seconds"][1] for entry in entries]
    assert break_even_sparsity(sparsities, relative, 1.0) == pytest.approx(0.5 + 0.4 * 2 / 2.5)
    last = entries[-1]
    assert amortisation_calls(last["convert_seconds"][1], last["dense_seconds"][1], last["seconds"][1]) == 16


def test_the_cell_of_the_notebook_draws_a_record_and_says_where_there_is_none(records, tmp_path, capsys):
    source = find_lab("lab14_gpu_speedup").source.read_text(encoding="utf-8")
    (cell,) = (
        c.source for c in jupytext.reads(source, fmt="py:percent").cells if "read_records(" in c.source
    )
    shown = []
    names = {
        "read_records": read_records, "speedups_of": speedups_of, "data_folder": lambda: tmp_path, "plt": plt,
        "COLOUR": {CSR: "blue"}, "COLOURS": COLOURS, "MARKERS": MARKERS, "label_axes": label_axes,
        "show": lambda fig, alt: shown.append((fig, alt)),
    }  # fmt: skip
    exec(cell, names)
    ((fig, alt),) = shown
    assert [line.get_label() for line in fig.axes[0].get_lines()] == [CSR, "break-even"]
    assert records["chip"]["machine"]["chip"] in alt
    assert "chip: " in capsys.readouterr().out
    plt.close(fig)
    exec(cell, {**names, "data_folder": lambda: tmp_path / "nothing"})
    assert len(shown) == 1 and "There is no GPU record" in capsys.readouterr().out
