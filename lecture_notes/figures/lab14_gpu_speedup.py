"""Figures of the chapter on the speed of sparse against dense."""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labkit.plots import COLOURS, MARKERS, label_axes
from solutions.lab14_gpu_speedup import break_even_sparsity, roofline_seconds

LABELS = {
    "CSR": ("CSR", "vermilion"),
    "BSR": ("BSR", "green"),
    "channels_removed": ("channels removed", "blue"),
}


def answer(results: dict) -> Figure:
    """Time of a product in percent of the dense one, against the sparsity: three formats, from memory and from the cache."""
    fig, ax = plt.subplots(figsize=(6, 4.6))
    for key, (label, colour) in LABELS.items():
        for place, style in (("the_cache", "--"), ("memory", "-")):
            if (key, place) == ("channels_removed", "the_cache"):
                continue  # it lies on the line from memory
            found = results["time"][key][f"batch_1_from_{place}"]
            where = (
                ""
                if key == "channels_removed"
                else ", from the cache"
                if place == "the_cache"
                else ", from memory"
            )
            _medians(ax, found, label + where, colour, style)
    ax.axhline(100, color="black", linestyle=":", linewidth=1.5)
    ax.text(98, 106, "dense", ha="right", va="bottom")
    ax.set_yscale("log")
    ax.set_yticks([3, 10, 30, 100, 300], ["3", "10", "30", "100", "300"])
    ax.set_yticks([], minor=True)
    label_axes(ax, x="sparsity", x_unit="%", y="time", y_unit="% of dense")
    ax.set_title("Sparse pays beyond a break-even, which moves", loc="left")
    ax.legend(loc="lower left")
    return fig


def break_even(results: dict) -> Figure:
    """The break-even that is worked by hand, read off between two measured sparsities."""
    fig, ax = plt.subplots(figsize=(6, 3.6))
    sparsities, seconds, dense = [50, 80, 90], [6, 5, 1], 2
    crossing = break_even_sparsity(sparsities, seconds, dense)
    ax.plot(sparsities, seconds, "s-", color=COLOURS["vermilion"], label="sparse format, measured")
    ax.axhline(dense, color="black", linestyle="--", label="dense")
    ax.plot([crossing, crossing], [0, dense], color=COLOURS["blue"], linestyle=":")
    ax.plot(crossing, dense, "o", color=COLOURS["blue"], markersize=11, label="break-even")
    ax.set(ylim=(0, 7), xlim=(48, 92))
    ax.set_xticks(range(50, 91, 10))
    label_axes(ax, x="sparsity", x_unit="%", y="time of a product", y_unit="seconds")
    ax.legend(loc="lower left")
    return fig


def roofline(results: dict) -> Figure:
    """The two limits of the machine of the record, and how near to them three products come at three batches."""
    fig, ax = plt.subplots(figsize=(6, 4.4))
    side, macs, moved = results["side"], *(results["limits"][f"{of}_per_second"] for of in ("macs", "bytes"))
    kept = side * side // 10  # 90% sparsity
    products = {  # rows, stored weights, bytes of index for each
        "dense": (side, side * side, 0, "black", "dense"),
        "channels_removed": (side // 10, side // 10 * side, 0, "blue", "channels removed"),
        "CSR": (side, kept, 4, "vermilion", "CSR"),
    }
    ridge = macs / moved  # multiply-adds per byte, where the two limits meet
    x = np.geomspace(0.06, 60, 200)
    ax.plot(x, 100 * np.minimum(1, x / ridge), color="grey", linewidth=4, label="the roof")
    for key, (rows, stored, index, colour, label) in products.items():
        places = []
        for batch in (1, 8, 64):
            least = roofline_seconds(rows, side, batch, stored, 4, index, macs, moved)
            to_move = roofline_seconds(
                rows, side, batch, stored, 4, index, math.inf, 1.0
            )  # bytes, at one a second
            reached = results["roofline"][key][f"batch_{batch}"]["of_the_limit"]
            places.append((stored * batch / to_move, 100 * reached * stored * batch / least / macs))
            if key == "dense":
                ax.annotate(f"batch {batch}", places[-1], (9, -12), textcoords="offset points")
        marker = MARKERS[list(COLOURS).index(colour)]
        ax.plot(
            *zip(*places, strict=True),
            marker + "--",
            color=COLOURS[colour],
            linewidth=1,
            markersize=8,
            label=label,
        )
    ax.set(xscale="log", yscale="log")
    for axis, ticks in ((ax.xaxis, [0.1, 1, 10]), (ax.yaxis, [1, 3, 10, 30, 100])):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)
    label_axes(
        ax, x="intensity", x_unit="multiply-adds per byte", y="rate", y_unit="% of the arithmetic limit"
    )
    ax.set_title("A roof of two limits: bytes, then arithmetic", loc="left")
    ax.legend(loc="lower right")
    return fig


def _medians(ax: Axes, found: dict, label: str, colour: str, style: str) -> None:
    """The median of the seeds as a line with markers, as the tables have it, and a band from the least to the largest."""
    levels = sorted(found, key=int)
    x = [int(level) for level in levels]
    middle, least, largest = (
        [100 * found[level][key] for level in levels] for key in ("median", "min", "max")
    )
    ax.plot(x, middle, style, color=COLOURS[colour], marker=MARKERS[list(COLOURS).index(colour)], label=label)
    ax.fill_between(x, least, largest, color=COLOURS[colour], alpha=0.2, linewidth=0)
