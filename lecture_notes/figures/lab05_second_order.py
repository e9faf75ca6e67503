"""Figures of the chapter on second-order criteria."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from labkit.plots import COLOURS, curve, label_axes
from solutions.lab05_second_order import obd_saliency

NAMES = {
    "gradient": "$|g|$",
    "magnitude": "$|w|$",
    "taylor": "$|gw|$",
    "fisher": r"$\frac{1}{2}\hat{h}w^2$, Fisher",
    "exact": r"$\frac{1}{2}hw^2$",
    "expansion": r"$-gw+\frac{1}{2}hw^2$",
    "whole": "whole Hessian",
}


def answer(results: dict) -> Figure:
    """Rank correlation of each criterion with the true change of the loss, for single weights and for blocks."""
    fig, ax = plt.subplots(figsize=(7, 4.6))
    rows = list(NAMES)
    for key, label, colour, marker, shift in (
        ("single", "one weight", "blue", "o", -0.14),
        ("block", "20 weights together", "vermilion", "s", 0.14),
    ):
        measured = {row: results[key][name] for row, name in enumerate(rows) if name in results[key]}
        ax.errorbar(
            [100 * value["mean"] for value in measured.values()],
            [row + shift for row in measured],
            xerr=[100 * value["sd"] for value in measured.values()],
            fmt=marker,
            color=COLOURS[colour],
            markersize=9,
            capsize=4,
            label=label,
        )
    ax.set_yticks(range(len(rows)), list(NAMES.values()))
    ax.invert_yaxis()
    ax.set_xlim(0, 104)
    ax.set_xlabel("rank correlation with the true change of the loss (%)")
    ax.set_title("One weight: slope and curvature. Many: the couplings too", loc="left")
    ax.legend(title="removed", loc="lower left")
    return fig


def landscape(results: dict) -> Figure:
    """The loss along one weight: a large weight on a flat floor, and a small one between steep walls."""
    fig, axes = plt.subplots(1, 2, sharey=True, figsize=(7, 3.6))
    for ax, weight, curvature, name in zip(
        axes, (3.0, 1.0), (0.2, 5.0), ("large $w$, flat floor", "small $w$, steep walls"), strict=True
    ):
        rise = float(obd_saliency(torch.tensor([weight]), torch.tensor([curvature])))
        place = np.linspace(-2.2, 6.4, 400)
        ax.plot(place, curvature * (place - weight) ** 2 / 2, color=COLOURS["blue"])
        ax.plot([0, weight], [0, 0], color="black", linestyle=":")
        ax.plot(weight, 0, "o", color=COLOURS["blue"], markersize=10)
        ax.plot(0, rise, "s", color=COLOURS["vermilion"], markersize=9)
        ax.annotate(
            "",
            (0, rise),
            (0, 0),
            arrowprops={"arrowstyle": "-|>", "color": COLOURS["vermilion"], "linewidth": 2, "shrinkA": 0},
        )
        ax.text(-0.2, rise / 2, r"$\frac{1}{2}hw^2$", ha="right", va="center", fontsize=14)
        ax.set_xlim(-2.2, 6.4)
        ax.set_title(name, loc="left")
        ax.set_xticks([0, weight], ["0", "$w$"])
        ax.set_yticks([])
        ax.set_ylim(-0.25, 3.4)
        ax.grid(visible=False)
        ax.set_xlabel("value of the weight")
    axes[0].set_ylabel("loss")
    return fig


def pruned(results: dict) -> Figure:
    """Accuracy against sparsity for five criteria, one cut of the whole network, without fine-tuning."""
    fig, ax = plt.subplots(figsize=(7, 4.8))
    for name in ("exact", "magnitude", "expansion", "gradient", "random"):
        points = results["pruned"][name]
        levels = sorted(points, key=int)
        measured = [results["dense"], *(points[level] for level in levels)]
        runs = zip(*(point["seeds"] for point in measured), strict=True)
        curve(
            ax,
            [0, *map(int, levels)],
            [[100 * value for value in run] for run in runs],
            label=NAMES.get(name, name),
        )
    ax.set_ylim(0, 100)
    label_axes(ax, x="sparsity", x_unit="%", y="validation accuracy", y_unit="%")
    ax.set_title("The best forecast of single cuts prunes badly", loc="left")
    ax.legend(loc="lower left", ncols=2)
    return fig
