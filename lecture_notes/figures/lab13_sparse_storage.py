"""Figures of the chapter on sparse storage."""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from labkit.plots import COLOURS, curve, label_axes
from solutions.lab13_sparse_storage import break_even_sparsity, storage_bytes

FC1 = (300, 784)  # the MLP's first layer


def answer(results: dict) -> Figure:
    """Bytes of five ways to store the MLP's first layer, in percent of dense, against its sparsity."""
    fig, ax = plt.subplots(figsize=(6, 4.4))
    for key, label, colour in (
        ("COO_64_bits", "COO, 64-bit indices", "purple"),
        ("CSR_64_bits", "CSR, 64-bit", "vermilion"),
        ("CSR_32_bits", "CSR, 32-bit", "orange"),
        ("bitmask", "bitmask", "blue"),
        ("zlib", "dense file, zlib", "green"),
    ):
        found = results["bytes"]["32"][key]
        levels = sorted(found, key=int)
        # what a formula counts is one number; what a compressor makes of a network differs from seed to seed
        runs = [
            found[level]["seeds"] if isinstance(found[level], dict) else [found[level]] for level in levels
        ]
        shares = [[100 * value for value in seed] for seed in zip(*runs, strict=True)]
        curve(ax, [int(level) for level in levels], shares, label=label, colour=colour)
        ax.get_lines()[-1].set(linestyle="--" if key == "zlib" else "-")
    ax.axhline(100, color="black", linestyle=":", linewidth=1.5)
    ax.text(0, 108, "dense", va="bottom")
    ax.set_yscale("log")
    ax.set_yticks([3, 10, 30, 100, 300], ["3", "10", "30", "100", "300"])
    ax.set_yticks([], minor=True)
    label_axes(ax, x="sparsity", x_unit="% of the weights", y="bytes", y_unit="% of dense")
    ax.set_title("A bitmask pays almost at once, indices pay late", loc="left")
    ax.legend(loc="lower left")
    return fig


def width(results: dict) -> Figure:
    """The sparsity from which on a format saves bytes, against the width of the values."""
    fig, ax = plt.subplots(figsize=(6, 4.2))
    widths = (4, 8, 16, 32)
    for storage, index, label, colour in (
        ("coo", 32, "COO, 32-bit indices", "purple"),
        ("csr", 32, "CSR, 32-bit indices", "orange"),
        ("csr", 10, "CSR, 10-bit indices", "sky"),
        ("bitmask", 1, "bitmask", "blue"),
    ):
        shares = []
        for bits in widths:
            bytes_of = partial(storage_bytes, FC1, storage=storage, value_bits=bits, index_bits=index)
            entries = FC1[0] * FC1[1]
            shares.append(100 * break_even_sparsity(bytes_of, entries, storage_bytes(FC1, 0, "dense", bits)))
        curve(ax, range(len(widths)), shares, label=label, colour=colour)
    ax.set_xticks(range(len(widths)), widths)
    ax.set_ylim(0, 100)
    label_axes(ax, x="width of a value", x_unit="bits", y="saves bytes above", y_unit="% sparsity")
    ax.set_title("The shorter the values, the later it pays", loc="left")
    fig.legend(loc="outside lower center", ncols=2)
    return fig


def speed(results: dict) -> Figure:
    """Speed of a product in units of the dense one, against the sparsity, for rows removed, CSR and a control."""
    fig, ax = plt.subplots(figsize=(6, 4.2))
    for key, label, colour in (
        ("rows_removed", "rows removed", "blue"),
        ("CSR_32_bits", "CSR, 32-bit", "orange"),
        ("CSR_64_bits", "CSR, 64-bit", "vermilion"),
        ("dense_with_zeros", "dense, zeros filled in", "black"),
    ):
        found = results["speed"]["2048x2048_64_columns"][key]
        levels = sorted(found, key=int)
        seeds = zip(*(found[level]["seeds"] for level in levels), strict=True)
        curve(ax, [int(level) for level in levels], list(seeds), label=label, colour=colour)
    ax.axhline(1, color=COLOURS["black"], linestyle=":", linewidth=1)
    ax.set_yscale("log")
    low, high = np.log2(ax.get_ylim())
    ticks = [2.0**power for power in range(int(np.floor(low)), int(np.ceil(high)) + 1)]
    ax.set_yticks(ticks, [f"{tick:g}×" for tick in ticks])
    ax.set_yticks([], minor=True)
    label_axes(ax, x="sparsity", x_unit="%", y="speed", y_unit="dense = 1")
    ax.set_title("Removed rows gain at once, CSR gains late", loc="left")
    ax.legend(loc="upper left")
    return fig
