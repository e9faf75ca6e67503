"""Figures of the chapter on lottery tickets."""

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from labkit.plots import COLOURS, curve, label_axes
from solutions.lab10_lottery_tickets import find_ticket, keep_signs, rewind


def answer(results: dict) -> Figure:
    """Validation accuracy against sparsity: the ticket, and the same mask with its values or its places changed."""
    fig, ax = plt.subplots()
    sparsities = results["sparsities"]
    arms = {
        "ticket": ("ticket: places, signs and values found", "blue"),
        "new_values_old_signs": ("new values, old signs", "purple"),
        "new_values": ("new values", "orange"),
        "shuffled_new_values": ("new values, shuffled places", "vermilion"),
    }
    for arm, (label, colour) in arms.items():
        rounds = sorted(results["tickets"], key=int)
        columns = [results["tickets"][r][arm]["seeds"] for r in rounds]
        if arm == "ticket":
            rounds = sorted(results["rounds"], key=int)
            columns = [results["rounds"][r]["seeds"] for r in rounds]
        seeds = [[100 * value for value in run] for run in zip(*columns, strict=True)]
        curve(ax, [100 * (1 - sparsities[r]) for r in rounds], seeds, label=label, colour=colour)
    whole, spread = 100 * results["dense"]["mean"], 100 * results["dense"]["sd"]
    ax.axhspan(whole - spread, whole + spread, color="black", alpha=0.1, linewidth=0)
    ax.axhline(whole, color="black", linestyle=":", linewidth=1.5, label="whole network")
    ax.set_xscale("log")
    ax.invert_xaxis()
    ax.set_xticks(
        [100 * (1 - sparsity) for sparsity in sparsities.values()],
        [f"{100 * sparsity:.0f}" for sparsity in sparsities.values()],
    )
    ax.minorticks_off()
    label_axes(ax, x="sparsity", x_unit="%, one place for each round", y="validation accuracy", y_unit="%")
    ax.set_title("There is a ticket: its places and its signs", loc="left")
    ax.legend(loc="lower left")
    return fig


def controls(results: dict) -> Figure:
    """One layer of 6 by 6 weights: its start, its training, its mask, the ticket, and what each control changes."""
    rng = torch.Generator().manual_seed(3)
    start, fresh = (torch.randn(6, 6, generator=rng) for _ in range(2))
    pull = torch.randn(6, 6, generator=rng)
    trained = start + pull  # stands for a training
    mask = find_ticket(
        {"w": start}, lambda values, masks: {"w": trained}, lambda _, final: final.abs(), 1, 0.6
    )[0]["w"]
    places = mask.flatten()[torch.randperm(36, generator=rng)].view(6, 6)

    def masked(values, kept):
        weight = torch.zeros(6, 6)
        rewind({"w": weight}, {"w": values}, {"w": kept})
        return weight

    panels = {
        "start": (start, None),
        "trained": (trained, None),
        "mask: largest\nafter training": (mask.float(), mask),
        "ticket:\nstart under mask": (masked(start, mask), mask),
        "new values": (masked(fresh, mask), mask),
        "new values,\nold signs": (masked(keep_signs(start, fresh), mask), mask),
        "shuffled,\nold values": (masked(start, places), places),
        "shuffled,\nnew values": (masked(fresh, places), places),
    }
    fig, axes = plt.subplots(2, 4, figsize=(7, 4.4))
    for ax, (title, (values, kept)) in zip(axes.flat, panels.items(), strict=True):
        shown = values if kept is None else values.masked_fill(~kept, float("nan"))
        if title.startswith("mask"):
            ax.imshow(shown.numpy(), cmap="Greys", vmin=0, vmax=1)
        else:
            ax.imshow(shown.numpy(), cmap="PuOr", norm=TwoSlopeNorm(0, -2.5, 2.5))
        ax.set_facecolor("0.8")  # shows where a weight is removed
        ax.set_title(title, fontsize=11)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[["top", "right"]].set_visible(True)
    return fig


def supermasks(results: dict) -> Figure:
    """Accuracy of untrained networks against sparsity: the mask on its own start, on new values, and a random mask."""
    fig, ax = plt.subplots()
    kinds = {
        "same_sign": ("same sign, own start", "purple"),
        "large_final": ("large_final, own start", "blue"),
        "same_mask_new_values_old_signs": ("large_final, new values, old signs", "green"),
        "same_mask_new_values": ("large_final, new values", "vermilion"),
        "random": ("random mask", "orange"),
    }
    for kind, (label, colour) in kinds.items():
        levels = sorted(results["untrained"][kind], key=float)
        columns = [results["untrained"][kind][level]["seeds"] for level in levels]
        seeds = [[100 * value for value in run] for run in zip(*columns, strict=True)]
        curve(ax, [float(level) for level in levels], seeds, label=label, colour=colour)
    ax.axhline(10, color=COLOURS["black"], linestyle=":", linewidth=1)
    ax.text(95, 2, "chance", ha="right")
    ax.set_ylim(0, 118)
    ax.set_yticks(range(0, 101, 20))
    label_axes(ax, x="sparsity", x_unit="% in every layer", y="accuracy, nothing trained", y_unit="%")
    ax.set_title("The mask helps only with its own signs", loc="left")
    ax.legend(loc="upper left", ncols=2, fontsize=10)
    return fig
