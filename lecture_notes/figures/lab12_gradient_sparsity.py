"""Figures of the chapter on gradient sparsity."""

from functools import partial

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from labkit.plots import COLOURS, MARKERS, label_axes
from solutions.lab12_gradient_sparsity import accumulate_residual, topk_sparsify


def answer(results: dict) -> Figure:
    """Validation accuracy against the bytes that each worker hands over, for each method; mean and spread."""
    fig, ax = plt.subplots(figsize=(5.2, 4.6))
    lines = {  # colour: (label, trainings)
        "black": ("dense", ["dense"]),
        "blue": ("DGC", ["DGC_top_0_1", "DGC_top_1"]),
        "sky": ("error feedback", ["feedback_top_0_1", "feedback_top_1"]),
        "vermilion": ("no feedback", ["no_feedback_top_0_1", "no_feedback_top_1"]),
        "orange": ("feedback, by layer", ["feedback_layer_0_1"]),
        "purple": ("feedback, normalised", ["feedback_normalised_0_1"]),
    }
    # Factors: points with the same bytes are drawn a little side by side, so that no bar hides another.
    beside = {"purple": 1.36, "orange": 0.74, "vermilion": 0.9, "sky": 1.11}
    for colour, (label, names) in lines.items():
        ax.errorbar(
            [beside.get(colour, 1) * 100 * results["bytes"][name]["handed"] for name in names],
            [100 * results["accuracy"][name]["mean"] for name in names],
            [100 * results["accuracy"][name]["sd"] for name in names],
            color=COLOURS[colour],
            marker=MARKERS[list(COLOURS).index(colour)],
            markersize=8,
            capsize=4,
            label=label,
        )
    ax.axhline(100 * results["accuracy"]["dense"]["mean"], color="black", linestyle=":", linewidth=1)
    ax.set_xscale("log")
    ax.set_xticks([0.2, 2, 100], ["0.2\ntop 0.1%", "2\ntop 1%", "100\nall"])
    ax.minorticks_off()
    label_axes(
        ax, x="bytes handed over", x_unit="% of dense, logarithmic", y="validation accuracy", y_unit="%"
    )
    ax.set_title("At the top 1%, DGC shows no loss", loc="left")
    ax.legend(loc="lower right", fontsize=9)
    return fig


def exchange(results: dict) -> Figure:
    """One step of two workers: gradient, residual, message, all-gather, sum, and the same step in both."""
    fig, ax = plt.subplots(figsize=(5.2, 5.2))
    ax.set(xlim=(0, 100), ylim=(-1.5, 100))
    ax.axis("off")
    ax.grid(False)

    def box(x, y, text, colour, width):
        ax.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - 5), width, 10, boxstyle="round,pad=0.3", facecolor="white",
                edgecolor=COLOURS[colour], linewidth=1.8,
            )
        )  # fmt: skip
        ax.text(x, y, text, ha="center", va="center")

    def arrow(start, end):
        ax.add_patch(
            FancyArrowPatch(
                start, end, arrowstyle="-|>", mutation_scale=12, color="black", linewidth=1.2, shrinkA=0, shrinkB=0
            )
        )  # fmt: skip

    for worker, middle, side in ((1, 24, -1), (2, 76, 1)):  # the residuals on the outer sides
        rest, large = middle + 12 * side, middle - 12 * side
        ax.text(middle, 98, f"worker {worker}", ha="center", va="center", fontweight="bold")
        box(middle, 89, "gradient", "black", 45)
        arrow((middle, 83.5), (middle, 76.5))
        box(middle, 71, "residual + gradient", "black", 45)
        box(large, 47, "large\nentries", "blue", 21)
        box(rest, 47, "rest: new\nresidual", "vermilion", 21)
        arrow((large, 65.5), (large, 52.5))
        arrow((rest - 5, 65.5), (rest - 5, 52.5))
        arrow((rest + 3, 52.5), (rest + 3, 65.5))
        ax.text(rest + 4.5, 59, "next\nstep", va="center", fontsize=9)
        arrow((large, 41.5), (large, 28.5))
    ax.text(50, 35, "messages", ha="center", va="center", fontsize=9)
    box(50, 23, "all-gather, then the sum", "green", 60)
    arrow((50, 17.5), (50, 10.5))
    box(50, 5, "the same step in all workers", "green", 60)
    return fig


def waiting(results: dict) -> Figure:
    """The example worked by hand: of two entries one is sent in each step; what has left of the small, steady one."""
    steps = 16
    gradients = [torch.tensor([1.0, 3.0 * (-1) ** step]) for step in range(steps)]
    one_of_two = partial(topk_sparsify, sparsity=0.5)
    residual, sums = torch.zeros(2), {"feedback": [torch.zeros(2)], "none": [torch.zeros(2)]}
    for gradient in gradients:
        kept, values, residual = accumulate_residual(residual, gradient, one_of_two)
        sums["feedback"].append(sums["feedback"][-1].index_add(0, kept, values))
        indices, values = one_of_two(gradient)
        sums["none"].append(sums["none"][-1].index_add(0, indices, values))
    fig, ax = plt.subplots(figsize=(5.2, 3.6))
    ax.plot(range(steps + 1), range(steps + 1), ":", color="black", label="sum of its gradients")
    for name, label, colour in (
        ("feedback", "sent, with error feedback", "sky"),
        ("none", "sent, without", "vermilion"),
    ):
        ax.step(
            range(steps + 1),
            [float(total[0]) for total in sums[name]],
            where="post",
            color=COLOURS[colour],
            marker=MARKERS[list(COLOURS).index(colour)],
            label=label,
        )
    label_axes(ax, x="step", x_unit="number", y="sum so far", y_unit="gradient units")
    ax.set_yticks(range(0, steps + 1, 4))
    ax.set_title("A small steady entry is sent late, or never", loc="left")
    ax.legend(loc="upper left")
    return fig
