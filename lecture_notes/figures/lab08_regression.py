"""Figures of the chapter on regression-based pruning."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from labkit.plots import COLOURS, curve, label_axes
from solutions.lab08_regression import lasso_betas


def answer(results: dict) -> Figure:
    """Accuracy with half of a layer's channels gone, by four rules of choice, with old weights and with rebuilt ones."""
    fig, ax = plt.subplots(figsize=(6, 3.8))
    rules = {"random": "random", "L1": "L1 norm", "Lasso": "Lasso", "greedy": "greedy"}
    found = results["mean_over_layers_half"]
    for way, label, colour, marker in (
        ("old_weights", "old weights", "vermilion", "s"),
        ("rebuilt", "weights rebuilt", "blue", "o"),
    ):
        means, deviations = ([100 * found[rule][way][key] for rule in rules] for key in ("mean", "sd"))
        style = {"fmt": marker, "color": COLOURS[colour], "markersize": 9, "capsize": 4, "label": label}
        ax.errorbar(means, range(len(rules)), xerr=deviations, **style)
    for row, rule in enumerate(rules):
        ends = [100 * found[rule][way]["mean"] for way in ("old_weights", "rebuilt")]
        ax.plot(ends, [row, row], color="grey", linewidth=1, zorder=0)
    ax.axvline(100 * results["dense"]["mean"], color="black", linestyle=":", label="nothing removed")
    ax.set_yticks(range(len(rules)), rules.values())
    ax.set_ylim(len(rules) - 0.5, -0.5)
    label_axes(
        ax, x="validation accuracy", x_unit="%, mean of three layers", y="choice of channels", y_unit="rule"
    )
    ax.set(ylabel="channels chosen by")
    ax.set_title("Rebuilding gains more than choosing well", loc="left")
    fig.legend(loc="outside lower center", ncols=3, handletextpad=0.3, columnspacing=1)
    return fig


def layer(results: dict) -> Figure:
    """A layer with three input channels, of which the one in the middle is removed."""
    fig, ax = plt.subplots(figsize=(6, 3.4))
    for x, words in ((0.8, "inputs"), (2.9, "weights"), (5, "contributions"), (7.7, "output")):
        ax.text(x, -0.75, words, ha="center", va="bottom")
    for channel in range(3):
        gone = channel == 1
        colour = COLOURS["vermilion"] if gone else COLOURS["blue"]
        line = {"color": colour, "linestyle": ":" if gone else "-", "linewidth": 2}
        box = {"facecolor": "white", "edgecolor": colour, "linestyle": ":" if gone else "-", "linewidth": 2}
        for x, name in ((0.8, "X"), (2.9, "W"), (5, "Z")):
            ax.text(
                x, channel, f"${name}_{channel}$", ha="center", va="center", size=15, bbox=box | {"pad": 7}
            )
        for start, end in (
            ((1.3, channel), (2.4, channel)),
            ((3.4, channel), (4.5, channel)),
            ((5.5, channel), (7.2, 1)),
        ):
            ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "shrinkA": 0, "shrinkB": 2} | line)
    ax.text(
        7.7,
        1,
        "$Y$",
        ha="center",
        va="center",
        size=15,
        bbox={"facecolor": "white", "pad": 9, "linewidth": 2},
    )
    ax.text(1.85, 0.9, "gone", ha="center", va="bottom", color=COLOURS["vermilion"], weight="bold")
    ax.set(xlim=(0.2, 8.3), ylim=(2.5, -1))
    ax.axis("off")
    return fig


def path(results: dict) -> Figure:
    """The two factors of the Lasso that is worked by hand, against the penalty."""
    fig, ax = plt.subplots(figsize=(6, 3.6))
    gram = torch.tensor([[1, 0.5], [0.5, 1]], dtype=torch.float64)
    slope = torch.tensor([2, 1.5], dtype=torch.float64)
    # two channels (rows) with two samples each, so that A^T A / n = gram; the target then gives A^T y / n = slope
    parts = torch.linalg.cholesky(2 * gram)
    target = torch.linalg.solve(parts, 2 * slope)
    penalties = np.linspace(0, 2.2, 221)
    factors = [lasso_betas(parts[:, :, None], target[:, None], penalty).tolist() for penalty in penalties]
    for channel, style in enumerate(("-", "--")):
        ax.plot(penalties, [pair[channel] for pair in factors], style, label=f"factor of channel {channel}")
    by_hand = lasso_betas(parts[:, :, None], target[:, None], 0.6).tolist()
    ax.plot([0.6, 0.6], by_hand, "o", color="black", label="worked by hand, λ = 0.6")
    label_axes(ax, x="penalty λ", x_unit="number", y="factor β", y_unit="number")
    ax.legend(loc="upper right")
    return fig


def samples(results: dict) -> Figure:
    """Error of the rebuilt layer on samples that the fit has not seen, against the number of samples."""
    fig, ax = plt.subplots(figsize=(6, 4))
    for layer, weights in {"conv2": 8 * 9, "conv3": 16 * 9, "fc1": 32 * 9}.items():
        sizes = sorted(results["samples_needed"][layer], key=int)
        seeds = zip(
            *(results["samples_needed"][layer][size]["unseen"]["seeds"] for size in sizes), strict=True
        )
        errors = [[100 * value for value in runs] for runs in seeds]
        curve(ax, [int(size) for size in sizes], errors, label=f"{layer}, {weights} weights for an output")
    ax.set(xscale="log", yscale="log", ylim=(0.5, 200))
    ax.set_xticks([100, 200, 500, 1000, 2000], ["100", "200", "500", "1,000", "2,000"])
    ax.set_xticks([], minor=True)
    ax.set_yticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
    ax.set_yticks([], minor=True)
    label_axes(ax, x="samples in the fit", x_unit="number", y="error on unseen samples", y_unit="%")
    ax.set_title("Worst: about as many samples as weights", loc="left")
    ax.legend(loc="upper right")
    return fig
