"""Figures of the chapter on sparsity and cost."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from labkit.plots import COLOURS, label_axes
from solutions.lab01_sparsity_and_cost import model_size_bytes


def answer(results: dict) -> Figure:
    """What is saved when nine tenths of the weights are zero: nothing, bytes, and energy by the model."""
    fig, ax = plt.subplots()
    costs, size = results["costs"], results["size_at_90"]
    operations = costs["cnn"]["operations_with_90_percent_zeros"] / costs["cnn"]["operations"]
    bars = {
        "MACs, dense code": (1 - operations, "black", ""),
        "bytes, COO format": (1 - size["coo"], "sky", "//"),
        "bytes, 8-bit positions": (1 - size["32_8"], "sky", "//"),
    }
    for name in ("mlp", "cnn"):
        for batch, images in ((1, "1 image"), (64, "64 images")):
            saved = costs[name]["energy"][f"batch_{batch}"]["saved_at_90"]
            bars[f"energy, {name.upper()}, {images}"] = (saved, "orange", "..")
    for label, (saved, colour, hatch) in bars.items():
        drawn = ax.barh(label, 100 * saved, color=COLOURS[colour], hatch=hatch, edgecolor="white")
        ax.bar_label(drawn, fmt="%.1f%%", padding=4)
    ax.invert_yaxis()
    ax.set_xlim(0, 112)
    ax.set_xticks(range(0, 101, 25))
    ax.set_axisbelow(True)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("saved when 90% of the weights are zero (%)")
    ax.set_title("A zero saves only where it is left out", loc="left")
    return fig


def storage(results: dict) -> Figure:
    """Size in sparse storage against sparsity, for four sizes of a position; the dense size is 100%."""
    fig, ax = plt.subplots()
    entries, steps = 1000, range(0, 1001, 50)
    tensors = [torch.arange(entries) >= zeros for zeros in steps]
    dense = model_size_bytes({"w": tensors[0]})
    styles = {8: "-", 32: "--", 64: "-.", 128: (0, (1, 1.2))}
    for (bits, style), colour in zip(styles.items(), COLOURS.values(), strict=False):
        sizes = [100 * model_size_bytes({"w": tensor}, index_bits=bits) / dense for tensor in tensors]
        ax.plot([zeros / 10 for zeros in steps], sizes, linestyle=style, color=colour, label=f"{bits} bits")
        ax.plot(100 * results["break_even"][f"32_{bits}"], 100, "o", color=colour, markersize=9)
    ax.axhline(100, color="black", linewidth=1)
    ax.text(1, 96, "dense", va="top")
    ax.set_ylim(0, 260)
    label_axes(ax, x="sparsity", x_unit="%", y="size", y_unit="% of the dense size")
    ax.set_title("The longer a position, the later sparse storage wins", loc="left")
    ax.legend(title="a position takes")
    return fig


def pooling(results: dict) -> Figure:
    """Zeros after ReLU, after the max-pooling that follows, and after max-pooling of shuffled activations."""
    fig, ax = plt.subplots()
    kinds = {
        "relu": ("after ReLU", "blue", ""),
        "pool": ("after max-pooling", "orange", "//"),
        "shuffled": ("shuffled, then pooled", "green", ".."),
    }
    blocks = list(results["pooling"])
    for place, (kind, (label, colour, hatch)) in enumerate(kinds.items()):
        measured = [results["pooling"][block][kind] for block in blocks]
        ax.bar(
            [number + 0.28 * (place - 1) for number in range(len(blocks))],
            [100 * value["mean"] for value in measured],
            width=0.26,
            yerr=[100 * value["sd"] for value in measured],
            capsize=4,
            color=COLOURS[colour],
            hatch=hatch,
            edgecolor="white",
            label=label,
        )
    ax.set_xticks(range(len(blocks)), [block.replace("_", " ") for block in blocks])
    ax.set_axisbelow(True)
    ax.grid(axis="x", visible=False)
    ax.set_ylim(0, 85)
    ax.set_ylabel("zeros among the activations (%)")
    ax.set_title("Max-pooling removes zeros", loc="left")
    ax.legend(loc="upper left")
    return fig
