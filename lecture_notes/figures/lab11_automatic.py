"""Figures of the chapter on automatic pruning."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from labkit.plots import COLOURS, MARKERS, label_axes
from labkit.widths import FULL, LAYERS

SEARCHES = {"random": "random search", "evolution": "evolution", "policy_gradient": "policy gradient"}


def answer(results: dict) -> Figure:
    """Test accuracy after fine-tuning against the uniform network, for five other ways to choose."""
    ways = {"mean_of_random_networks": "nobody: mean\nof 39 random\nnetworks", "random": "random\nsearch"}
    ways |= {
        "evolution": "evolution",
        "policy_gradient": "policy\ngradient",
        "best_reward": "best reward\nof the table",
    }
    fig, ax = plt.subplots(figsize=(5.2, 4.4))
    for place, name in enumerate(ways):
        gain = results["gain"][name]
        for seed, value in enumerate(gain["seeds"]):
            label = f"checkpoint {seed}" if place == 0 else None
            ax.plot(100 * value, place - 0.12, MARKERS[seed], color=COLOURS["blue"], label=label)
        ax.errorbar(
            100 * gain["mean"],
            place + 0.18,
            xerr=100 * gain["sd"],
            fmt="D",
            color="black",
            capsize=4,
            label="mean ± standard deviation" if place == 0 else None,
        )
    ax.axvline(0, color="black", linestyle=":", linewidth=1)
    ax.set_yticks(range(len(ways)), ways.values())
    ax.set_ylim(len(ways) - 0.4, -0.6)
    ax.set_xticks([-1, -0.5, 0, 0.5])
    label_axes(ax, x="test accuracy minus uniform's", x_unit="points", y="chosen by", y_unit="way")
    ax.set_ylabel("")
    ax.set_title("A search adds a few tenths of a point", loc="left")
    ax.legend(loc="lower left", fontsize=9, bbox_to_anchor=(-0.02, 0.14))
    return fig


def chosen(results: dict) -> Figure:
    """The share of its full width that each chosen network keeps, layer by layer."""
    ways = {**SEARCHES, "best_reward": "best reward of the table"}
    fig, ax = plt.subplots(figsize=(5.2, 4))
    for place, ((name, label), colour) in enumerate(
        zip(ways.items(), ("blue", "vermilion", "green", "purple"), strict=True)
    ):
        for seed, widths in enumerate(results["chosen"][name]):
            ax.plot(
                [layer + 0.2 * (place - 1.5) + 0.05 * (seed - 1) for layer in range(len(FULL))],
                [100 * width / full for width, full in zip(widths, FULL, strict=True)],
                MARKERS[place],
                color=COLOURS[colour],
                label=label if seed == 0 else None,
            )
    ax.axhline(100 * 5 / 8, color="black", linestyle=":", linewidth=1, label="uniform network")
    ax.set_xticks(range(len(FULL)), LAYERS)
    label_axes(ax, x="layer", x_unit="name", y="share of the width that is kept", y_unit="%")
    ax.set_ylim(0, 105)
    ax.set_title("Every choice cuts conv2 most", loc="left")
    ax.legend(loc="lower left", fontsize=9, ncols=2)
    return fig


def judgement(results: dict) -> Figure:
    """Accuracy after fine-tuning against the quick accuracy, with old and with adapted BatchNorm statistics."""
    fig, axes = plt.subplots(2, 1, figsize=(5.2, 6.4), sharex=True, sharey=True)
    titles = {"pruned": "old statistics", "adapted": "adapted statistics"}
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        for seed, colour in enumerate(("blue", "vermilion", "green")):
            quick, final = (100 * np.array(results["forty"][stage][seed]) for stage in (name, "tuned"))
            ax.plot(quick, final, MARKERS[seed], color=COLOURS[colour], alpha=0.7, label=f"checkpoint {seed}")
        label_axes(ax, x="accuracy before fine-tuning", x_unit="%", y="after fine-tuning", y_unit="%")
        rank = results["agreement"][name]["mean"]
        ax.set_title(f"{title}: rank correlation {rank:.2f}", loc="left")
    axes[0].set_xlabel("")
    axes[1].legend(loc="upper left", fontsize=9)
    return fig


def loop(results: dict) -> Figure:
    """The parts of a search, from top to bottom, and the way back."""
    fig, ax = plt.subplots(figsize=(5.2, 5.6))
    boxes = [
        ("space", "widths $w$ in the window of MACs", "sky"),
        ("prune", "rebuild the network with these widths", "orange"),
        ("adapt BatchNorm", "a few batches, no training", "orange"),
        ("read", "accuracy on 1,000 images: the reward", "orange"),
        ("strategy", "random: forget it, draw again\nevolution: cross the best, mutate\npolicy: move the probabilities", "green"),
    ]  # fmt: skip
    tops, heights = (10.0, 7.9, 5.8, 3.7, 1.6), (1.3, 1.3, 1.3, 1.3, 2.3)
    for (name, text, colour), top, height in zip(boxes, tops, heights, strict=True):
        patch = plt.Rectangle((0, top - height), 8, height, facecolor=COLOURS[colour], alpha=0.3, linewidth=0)
        ax.add_patch(patch)
        ax.text(0.2, top - 0.4, name, fontweight="bold", va="center")
        ax.text(0.2, top - 0.4 - (height - 0.4) / 2, text, va="center")
    arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 1.5}
    for top, height, below in zip(tops, heights, tops[1:], strict=False):
        ax.annotate("", (4, below), (4, top - height), arrowprops=arrow)
    ax.plot([8, 8.9, 8.9], [0.4, 0.4, 9.35], color="black", linewidth=1.5)
    ax.annotate("", (8, 9.35), (8.95, 9.35), arrowprops=arrow)
    ax.text(9.1, 5, "the next $w$", rotation=90, va="center")
    ax.text(
        0, -1.2, "At the end: fine-tune the winner, and read it\non images that no choice has used.", va="top"
    )
    ax.set(xlim=(-0.1, 9.9), ylim=(-2.5, 10.1))
    ax.axis("off")
    return fig


def searches(results: dict) -> Figure:
    """Distance of the best reward so far from the best of the table, for the three searches."""
    fig, ax = plt.subplots(figsize=(5.2, 4))
    for place, ((name, label), colour) in enumerate(
        zip(SEARCHES.items(), ("blue", "vermilion", "green"), strict=True)
    ):
        search = results["search"][name]
        gaps = 100 * np.array(search["curve"]["gap"])  # checkpoints, points
        ax.plot(
            search["curve"]["evaluations"],
            gaps.mean(axis=0),
            MARKERS[place] + ("--" if name == "evolution" else "-"),
            color=COLOURS[colour],
            label=label,
        )
        ax.errorbar(
            49 + 0.7 * place,
            gaps.mean(axis=0)[-1],
            100 * search["standard_error"],
            color=COLOURS[colour],
            capsize=3,
        )
    label_axes(ax, x="evaluations", x_unit="networks", y="below the best reward", y_unit="points")
    ax.set_ylim(bottom=0)
    ax.set_title("Mean of 60 runs; bars: standard error at the end", loc="left")
    ax.legend()
    return fig
