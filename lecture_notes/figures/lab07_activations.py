"""Figures of the chapter on activations."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from labkit.plots import COLOURS, curve, label_axes
from solutions.lab07_activations import remove_filters

LAYERS = {
    "CNN, convolution 1": ("cnn", "relu1"),
    "CNN, convolution 2": ("cnn", "relu2"),
    "CNN, convolution 3": ("cnn", "relu3"),
    "CNN, linear 1": ("cnn", "relu4"),
    "MLP, linear 1": ("mlp", "relu1"),
    "MLP, linear 2": ("mlp", "relu2"),
}


def answer(results: dict) -> Figure:
    """How often the channels of each layer are zero, and the share of channels that are zero for every image."""
    fig, ax = plt.subplots(figsize=(6, 4))
    for row, (network, layer) in enumerate(LAYERS.values()):
        found = results["apoz"][network][layer]
        least, largest = (100 * found[end]["mean"] for end in ("least", "largest"))
        ax.plot([least, largest], [row, row], color=COLOURS["sky"], linewidth=9, solid_capstyle="butt")
        middle = found["median"]
        ax.errorbar(100 * middle["mean"], row, xerr=100 * middle["sd"], fmt="o", color="black", capsize=4)
        silent = found["share_exactly_1"]
        if silent["mean"] > 0:
            ax.plot(100, row, "X", color=COLOURS["vermilion"], markersize=11, clip_on=False)
        text = f"{100 * silent['mean']:.1f} ± {100 * silent['sd']:.1f}%" if silent["mean"] > 0 else "none"
        ax.text(106, row, text, va="center", weight="bold" if silent["mean"] > 0 else "normal")
    ax.text(106, -0.75, "always zero:", va="bottom")
    ax.set(ylim=(len(LAYERS) - 0.5, -0.5), xlim=(0, 100))
    ax.set_yticks(range(len(LAYERS)), LAYERS)
    label_axes(ax, x="APoZ: how often a channel is zero", x_unit="%", y="layer", y_unit="name")
    ax.set(ylabel="")
    ax.grid(axis="y", visible=False)
    ax.set_title("Silent for every image: only linear units", loc="left", pad=22, x=-0.5)
    return fig


def choice(results: dict) -> Figure:
    """Accuracy of both networks after units of the first linear layer are removed, by five rules, no fine-tuning."""
    fig, axes = plt.subplots(2, 1, figsize=(6, 6.6), sharex=True)
    rules = {
        "L1": ("L1 norm", "green"),
        "contribution": ("contribution", "purple"),
        "random": ("random", "black"),
        "APoZ": ("APoZ", "blue"),
        "APoZ_reversed": ("APoZ reversed", "vermilion"),
    }
    for ax, network in zip(axes, ("cnn", "mlp"), strict=True):
        for rule, (label, colour) in rules.items():
            if rule not in results["choice"][network]:
                continue
            levels = sorted(results["choice"][network][rule], key=int)
            seeds = zip(*(results["choice"][network][rule][level]["seeds"] for level in levels), strict=True)
            shares = [[100 * value for value in runs] for runs in seeds]
            curve(ax, [int(level) for level in levels], shares, label=label, colour=colour)
            if rule == "random":
                ax.get_lines()[-1].set(linestyle="--")
        ax.set_ylim(0, 100)
        label_axes(ax, x="units removed", x_unit="%", y=f"{network.upper()}: accuracy", y_unit="%")
    axes[0].set(xlabel="")
    axes[0].set_title("Dead units go free; then APoZ loses its lead", loc="left")
    axes[1].legend(loc="lower left")
    return fig


def slices(results: dict) -> Figure:
    """What is taken out with filter 2 of a convolution: its row, its BatchNorm entries, the column that reads it."""
    conv, bn, following = nn.Conv2d(3, 5, 1, bias=False), nn.BatchNorm2d(5), nn.Conv2d(5, 4, 1, bias=False)
    with torch.no_grad():
        for weight in (conv.weight, bn.weight, following.weight):  # each entry gets a number of its own
            weight.copy_(torch.arange(weight.numel()).reshape(weight.shape))
    after = remove_filters(conv, bn, following, torch.tensor([0, 1, 3, 4]))
    fig, ax = plt.subplots(figsize=(6, 3.2))
    for left, title, old, new in zip(
        (0, 5, 8), ("convolution", "BatchNorm", "next convolution"), (conv, bn, following), after, strict=True
    ):
        kept = set(new.weight.flatten().tolist())
        grid = old.weight.detach().flatten(1) if old.weight.dim() > 1 else old.weight.detach()[:, None]
        for row, column in np.ndindex(*grid.shape):
            look = {"facecolor": COLOURS["sky"]}
            if grid[row, column].item() not in kept:
                look = {
                    "facecolor": "white",
                    "edgecolor": COLOURS["vermilion"],
                    "hatch": "xxx",
                    "linewidth": 1.5,
                }
            ax.add_patch(Rectangle((left + column + 0.05, row + 0.05), 0.9, 0.9, **look))
        ax.text(left + grid.shape[1] / 2, -0.3, title, ha="center")
    for x, y, words in ((1.5, 5.2, "row 2 goes"), (5.5, 5.2, "entry 2 goes"), (10.5, 5.2, "column 2 goes")):
        ax.text(x, y, words, ha="center", va="top", color=COLOURS["vermilion"], weight="bold")
    for left, right in ((3.4, 4.6), (6.4, 7.6)):
        ax.annotate("", (right, 2.5), (left, 2.5), arrowprops={"arrowstyle": "->", "linewidth": 2})
    ax.set(xlim=(-0.6, 13.4), ylim=(6, -1), aspect="equal")
    ax.axis("off")
    return fig
