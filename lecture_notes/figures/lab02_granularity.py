"""Figures of the chapter on granularity."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from labkit.plots import COLOURS, MARKERS, label_axes
from solutions.lab02_granularity import (
    channel_mask,
    filter_mask,
    fine_grained_mask,
    kernel_mask,
    nm_mask,
    vector_mask,
)


def answer(results: dict) -> Figure:
    """For each granularity at 75%: the accuracy lost after fine-tuning, and the bits that positions take."""
    fig, (lost, stored) = plt.subplots(2, 1, sharex=True, figsize=(7, 5.4), height_ratios=(3, 2))
    kinds = results["granularities"]
    places = range(len(kinds))
    for place, (kind, colour, marker) in enumerate(
        zip(kinds.values(), COLOURS.values(), MARKERS, strict=False)
    ):
        measured = kind["test_75_lost"]
        lost.plot(
            [place + 0.2] * 3, [100 * value for value in measured["seeds"]], "_", color="grey", markersize=10
        )
        lost.errorbar(
            place,
            100 * measured["mean"],
            yerr=100 * measured["sd"],
            fmt=marker,
            color=colour,
            markersize=9,
            capsize=5,
        )
        stored.plot(
            place,
            kind["position_bits"]["75"] / kind["kept_weights"]["75"],
            marker,
            color=colour,
            markersize=9,
        )
    lost.axhline(0, color="black", linewidth=1)
    lost.set_ylim(bottom=-0.6)
    lost.set_ylabel("accuracy lost (points)")
    lost.set_title("Coarse cuts lose more accuracy, and store fewer positions", loc="left")
    stored.set_ylim(bottom=-1)
    stored.set_ylabel("position bits\nper kept weight")
    stored.set_xticks(places, list(kinds))
    stored.set_xlabel("granularity (75% of the weights removed)")
    return fig


def masks(results: dict) -> Figure:
    """One random weight, four outputs by four inputs by 3×3 kernels, with half of it removed in six ways.

    Four weights are outlined in the N:M panel: one block, the middle of the kernels of the first output.
    """
    weight = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    drawn = {
        "fine": fine_grained_mask(weight, 0.5),
        "N:M (2:4)": nm_mask(weight, 2, 4),
        "vector": vector_mask(weight, 0.5, fine_grained_mask),
        "kernel": kernel_mask(weight, 0.5, fine_grained_mask),
        "filter": filter_mask(weight, 0.5, fine_grained_mask),
        "channel": channel_mask(weight, 0.5, fine_grained_mask),
    }
    fig, axes = plt.subplots(2, 3, figsize=(7, 5.2))
    for ax, (name, mask) in zip(axes.flat, drawn.items(), strict=True):
        grid = mask.permute(0, 2, 1, 3).reshape(12, 12)  # out * kh, in * kw
        cells = [
            Path.unit_rectangle().transformed(Affine2D().translate(column, row))
            for row, column in torch.nonzero(grid).tolist()
        ]
        ax.add_patch(PathPatch(Path.make_compound_path(*cells), facecolor=COLOURS["blue"], linewidth=0))
        for line in range(13):
            look = (
                {"color": "black", "linewidth": 1.5} if line % 3 == 0 else {"color": "0.75", "linewidth": 0.5}
            )
            ax.axhline(line, **look)
            ax.axvline(line, **look)
        if name.startswith("N:M"):
            for column in range(1, 12, 3):
                look = {"fill": False, "edgecolor": COLOURS["vermilion"], "linewidth": 2.5, "zorder": 3}
                ax.add_patch(Rectangle((column, 1), 1, 1, **look))
        ax.set(xticks=[], yticks=[], aspect="equal", xlim=(0, 12), ylim=(12, 0))
        ax.set_title(name, loc="left")
        ax.spines[:].set_visible(False)
    fig.supxlabel("inputs")
    fig.supylabel("outputs")
    return fig


def size(results: dict) -> Figure:
    """Accuracy after fine-tuning against stored bytes, for three codes; small points are the seeds at 75%."""
    kinds, dense = results["granularities"], 100 * results["dense"]["mean"]
    codes = {
        "numbers, values of 32 bits": "Positions as numbers, values of 32 bits",
        "numbers, values of 8 bits": "Positions as numbers, values of 8 bits",
        "cheaper code, 8 bits": "Numbers or a bitmask, whichever is smaller; values of 8 bits",
    }
    fig, axes = plt.subplots(3, 1, sharey=True, figsize=(7, 9.4))
    for ax, (code, title) in zip(axes, codes.items(), strict=True):
        for (name, kind), colour, marker in zip(kinds.items(), COLOURS.values(), MARKERS, strict=False):
            sizes = kind["kilobytes"][code]
            first = [100 * kind["after"][level]["seeds"][0] for level in sizes]
            ax.plot(list(sizes.values()), first, marker=marker, color=colour, label=name)
            seeds = [100 * value for value in kind["after"]["75"]["seeds"]]
            ax.plot([sizes["75"]] * len(seeds), seeds, marker, color=colour, markersize=4, alpha=0.6)
        ax.axhline(dense, color="grey", linestyle=":", label="not pruned")
        ax.set_xlim(left=0)
        label_axes(ax, x="values and positions", x_unit="kB", y="validation accuracy", y_unit="%")
        ax.set_title(title, loc="left")
    axes[2].set_xlim(axes[1].get_xlim())  # both hold values of 8 bits
    axes[0].legend(loc="lower right", ncols=2)
    return fig
