"""Figures of the chapter on magnitude pruning."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from labkit.plots import COLOURS, curve, label_axes
from solutions.lab03_magnitude import magnitude_mask


def _percent(measured: list[dict]) -> list[list[float]]:
    """Seeds by points, in percent."""
    return [
        [100 * value for value in run] for run in zip(*(point["seeds"] for point in measured), strict=True)
    ]


def answer(results: dict) -> Figure:
    """Accuracy of the CNN against sparsity, without fine-tuning: which weights go, and from which layers."""
    fig, ax = plt.subplots()
    cnn = results["cnn"]
    smallest = {**cnn["rules"]["smallest"], **cnn["uniform"]}
    for label, points in {
        "smallest of the whole network (global)": cnn["global"],
        "smallest of each layer (uniform)": smallest,
        "random, from each layer": cnn["rules"]["random"],
        "largest of each layer": cnn["rules"]["largest"],
    }.items():
        levels = sorted(points, key=int)
        measured = [cnn["dense"], *(points[level] for level in levels)]
        curve(ax, [0, *map(int, levels)], _percent(measured), label=label)
    ax.set_ylim(0, 135)
    ax.set_yticks(range(0, 101, 25))
    label_axes(ax, x="sparsity", x_unit="%", y="validation accuracy", y_unit="%")
    ax.set_title("The safest cut: the smallest weights of the whole network", loc="left")
    ax.legend(loc="upper right")
    return fig


def threshold(results: dict) -> Figure:
    """Six magnitudes, two thresholds, and what goes by rank at a sparsity of one half."""
    weight = torch.tensor([0.30, -0.05, 0.12, -0.12, 0.02, 0.70])
    mask = magnitude_mask(weight, 0.5)
    fig, ax = plt.subplots(figsize=(7, 3.6))
    for keep, colour, hatch, label in (
        (True, "blue", "", "kept by rank"),
        (False, "orange", "//", "removed by rank"),
    ):
        places = torch.nonzero(mask == keep).flatten().tolist()
        sizes = weight[places].abs().tolist()
        ax.barh(places, sizes, color=COLOURS[colour], hatch=hatch, edgecolor="white", label=label)
    for value, style in ((0.10, "--"), (0.13, ":")):
        ax.axvline(value, color="black", linestyle=style, label=f"threshold {value:.2f}")
    ax.set_yticks(range(6), [f"$w_{place + 1} = {value:.2f}$" for place, value in enumerate(weight.tolist())])
    ax.invert_yaxis()
    ax.set_axisbelow(True)
    ax.set_xlim(0, 0.8)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("magnitude (no unit)")
    ax.set_title("No threshold removes exactly three of these six", loc="left")
    ax.legend(loc="center right")
    return fig


def sensitivity(results: dict) -> Figure:
    """Accuracy against the sparsity of one layer alone, for each layer of the CNN and of the MLP."""
    fig, axes = plt.subplots(2, 1, sharex=True, figsize=(7, 6.6))
    for ax, name in zip(axes, ("cnn", "mlp"), strict=True):
        for layer, points in results[name]["scan"].items():
            levels = sorted(points, key=int)
            measured = [results[name]["dense"], *(points[level] for level in levels)]
            curve(ax, [0, *map(int, levels)], _percent(measured), label=layer)
        ax.set_ylim(0, 100)
        label_axes(ax, x="sparsity of this layer alone", x_unit="%", y="accuracy", y_unit="%")
        ax.legend(loc="lower left", title=name.upper())
    axes[0].set_xlabel("")
    axes[0].set_title("The most sensitive layer: first in the CNN, last in the MLP", loc="left")
    return fig


def scan(results: dict) -> Figure:
    """Test accuracy of three ways to share one total sparsity out: a line for each seed."""
    ways = {"uniform": ("o", "blue"), "scan": ("s", "vermilion"), "global": ("^", "green")}
    fig, axes = plt.subplots(2, 1, sharex=True, figsize=(7, 6.6))
    for ax, name in zip(axes, ("cnn", "mlp"), strict=True):
        chosen = results[name]["chosen"]
        for group, tolerance in enumerate(chosen):
            places = [group + 0.25 * shift for shift in (-1, 0, 1)]
            runs = _percent([chosen[tolerance]["test"][way] for way in ways])
            for run in runs:
                ax.plot(places, run, color="grey", linewidth=1, zorder=1)
            for place, (way, (marker, colour)), values in zip(places, ways.items(), zip(*runs), strict=True):
                look = {"color": COLOURS[colour], "label": None if group else way, "zorder": 2}
                ax.plot([place] * len(values), values, marker, markersize=8, **look)
        ax.axhline(100 * results[name]["dense_test"]["mean"], color="grey", linestyle=":", label="not pruned")
        ax.grid(axis="x", visible=False)
        label_axes(ax, x="tolerance of the scan", x_unit="points", y="test accuracy", y_unit="%")
        ax.set_xticks(range(len(chosen)), list(chosen))
        ax.legend(loc="upper center", title=name.upper(), ncols=4)
    axes[0].set_ylim(0, 140)
    axes[0].set_yticks(range(0, 101, 25))
    axes[1].set_ylim(60, 99)
    axes[1].set_yticks(range(60, 91, 10))
    axes[0].set_xlabel("")
    axes[0].set_title("Global pruning does at least as well as the scan in nearly every case", loc="left")
    return fig
