"""Figures of the chapter on sparse training."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from labkit.models import MLP, prunable_weights
from labkit.plots import COLOURS, MARKERS, curve, label_axes
from solutions.lab03_magnitude import magnitude_mask
from solutions.lab04_prune_finetune import cubic_sparsity
from solutions.lab09_sparse_training import dropout, erdos_renyi_sparsities, random_masks, set_update

RULES = {"static": "blue", "SET": "orange", "RigL": "green", "gradual": "black"}


def answer(results: dict) -> Figure:
    """Validation accuracy against counted training MACs at 98% sparsity, and the dense network."""
    fig, ax = plt.subplots()
    for rule in ("SET", "gradual"):
        points = sorted(results["budgets"][rule.lower()].items(), key=lambda item: int(item[0]))
        seeds = zip(*(entry["seeds"] for _, entry in points), strict=True)
        curve(
            ax,
            [100 * entry["macs"] for _, entry in points],
            [[100 * value for value in run] for run in seeds],
            label=f"{rule}, {points[0][0]} to {points[-1][0]} steps",
            colour=RULES[rule],
        )
    others = {
        rule: (results["macs"][rule.lower()]["98"], results[rule.lower()]["98"])
        for rule in ("static", "RigL")
    }
    for rule, (macs, entry) in (others | {"dense": (1.0, results["dense"])}).items():
        colour = RULES.get(rule, "purple")
        ax.errorbar(
            100 * macs,
            100 * entry["mean"],
            yerr=100 * entry["sd"],
            color=COLOURS[colour],
            marker=MARKERS[list(COLOURS).index(colour)],
            linestyle="",
            capsize=3,
            label=f"{rule}, {results['steps']['training']} steps",
        )
    ax.set_xscale("log")
    ax.set_xticks([0.5, 1, 2, 5, 10, 20, 50, 100], ["0.5", "1", "2", "5", "10", "20", "50", "100"])
    ax.xaxis.set_minor_formatter(plt.NullFormatter())
    label_axes(ax, x="training MACs, counted", x_unit="% of dense", y="validation accuracy", y_unit="%")
    ax.set_title("Sparse from the start costs a fraction (98% sparsity)", loc="left")
    ax.legend(loc="lower right", fontsize=10)
    return fig


def moves(results: dict) -> Figure:
    """The connections of one small layer at four times of a training, for four methods."""
    shape, generator = (6, 8), torch.Generator().manual_seed(3)
    ones = torch.ones(shape)
    start = random_masks({"layer": shape}, {"layer": 0.75}, generator)["layer"]
    weight = torch.randn(shape, generator=generator)
    rows = {"DropConnect": [dropout(ones, 0.5, True, generator) != 0 for _ in range(3)] + [ones.bool()]}
    rows["gradual"] = [magnitude_mask(weight, cubic_sparsity(step, 0, 3, 1, 0.75)) for step in range(4)]
    rows["static"] = [start] * 4
    rows["SET"] = [start]
    moved, mask = weight * start, start
    for _ in range(3):
        moved, mask = set_update(moved, mask, 0.3, generator, 0.5)
        rows["SET"].append(mask)
    fig, axes = plt.subplots(4, 4, figsize=(7, 5.6))
    for line, (rule, masks) in zip(axes, rows.items(), strict=True):
        for column, (ax, kept) in enumerate(zip(line, masks, strict=True)):
            new = kept & ~masks[column - 1] if column and rule == "SET" else torch.zeros_like(kept)
            image = kept.int().numpy() + new.int().numpy()  # 0 no connection, 1 a connection, 2 a new one
            ax.imshow(
                image, cmap=ListedColormap(["#EEEEEE", COLOURS["blue"], COLOURS["orange"]]), vmin=0, vmax=2
            )
            ax.set_xticks(np.arange(0.5, shape[1] - 1), minor=True)
            ax.set_yticks(np.arange(0.5, shape[0] - 1), minor=True)
            ax.grid(which="minor", color="white", linewidth=1.5, alpha=1)
            ax.grid(which="major", visible=False)
            ax.tick_params(which="both", length=0, labelbottom=False, labelleft=False)
            ax.spines[:].set_visible(False)
        line[0].set_ylabel(rule, fontsize=13)
    for ax, title in zip(axes[0], ("start", "later", "later still", "stored"), strict=True):
        ax.set_title(title, fontsize=13)
    return fig


def densities(results: dict) -> Figure:
    """The number of connections of each layer of the MLP at 98%: uniform and Erdős–Rényi."""
    shapes = {name: tuple(weight.shape) for name, weight in prunable_weights(MLP()).items()}
    sizes = {name: shape[0] * shape[1] for name, shape in shapes.items()}
    plans = {"uniform": dict.fromkeys(shapes, 0.98), "Erdős–Rényi": erdos_renyi_sparsities(shapes, 0.98)}
    fig, ax = plt.subplots(figsize=(7, 3.4))
    for place, ((name, plan), colour) in enumerate(zip(plans.items(), ("vermilion", "blue"), strict=True)):
        kept = [(1 - plan[layer]) * sizes[layer] for layer in sizes]
        hatch = "//" if place else ""
        bars = ax.bar(
            np.arange(3) + 0.4 * (place - 0.5),
            kept,
            width=0.36,
            color=COLOURS[colour],
            hatch=hatch,
            label=name,
        )
        ax.bar_label(bars, [f"{count:,.0f}" for count in kept], fontsize=10)
    ax.set_xticks(range(3), [f"{name.removesuffix('.weight')}: {a}×{b}" for name, (a, b) in shapes.items()])
    ax.set_yscale("log")
    ax.set_ylim(8, 12000)
    ax.grid(axis="x", visible=False)
    label_axes(ax, x="layer", x_unit="name and shape", y="connections", y_unit="number")
    ax.set_title("The same total, 5,324 connections", loc="left")
    ax.legend()
    return fig


def pixels(results: dict) -> Figure:
    """Maps of the pixels: how much each varies, and how many connections it has after four trainings at 98%."""
    names = {"set_300": "SET, 300 steps", "set_1200": "SET, 1,200 steps", "gradual_300": "gradual, 300 steps"}
    maps = {key: np.array([row.split() for row in rows], float) for key, rows in results["pixels"].items()}
    most = max(maps[key].max() for key in names)
    fig, axes = plt.subplots(2, 2, figsize=(6.4, 5.3))
    drawn = axes[0, 0].imshow(maps["spread"], cmap="Greys_r")
    axes[0, 0].set_title("the images")
    fig.colorbar(drawn, ax=axes[0, 0], shrink=0.8, label="standard deviation")
    for ax, (key, title) in zip(axes.flat[1:], names.items(), strict=True):
        drawn = ax.imshow(maps[key], vmin=0, vmax=most)
        ax.set_title(title)
        fig.colorbar(drawn, ax=ax, shrink=0.8, label="connections per pixel")
    for ax in axes.flat:
        ax.set_axis_off()
    return fig
