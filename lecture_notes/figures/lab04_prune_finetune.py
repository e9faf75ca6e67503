"""Figures of the chapter on pruning and fine-tuning."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from labkit.plots import curve, label_axes
from solutions.lab04_prune_finetune import cubic_sparsity, iterative_sparsities


def answer(results: dict) -> Figure:
    """Validation accuracy against sparsity: after the cut, and for three ways to spend the same training steps."""
    fig, ax = plt.subplots()
    levels = sorted(results["rounds"], key=int)
    for name, label in {
        "gradual": "gradual, ten cuts",
        "rounds": "five rounds",
        "one_shot": "one cut, then fine-tuned",
        "pruned": "one cut, not fine-tuned",
    }.items():
        seeds = zip(*(results[name][level]["seeds"] for level in levels), strict=True)
        curve(ax, range(len(levels)), [[100 * value for value in run] for run in seeds], label=label)
    ax.axhline(100 * results["dense"]["mean"], color="black", linestyle=":", linewidth=1, label="nothing cut")
    ax.set_xticks(range(len(levels)), levels)
    label_axes(ax, x="sparsity", x_unit="%, not to scale", y="validation accuracy", y_unit="%")
    ax.set_title("One cut is enough, except at extreme sparsity", loc="left")
    ax.legend(loc="lower left")
    return fig


def schedules(results: dict) -> Figure:
    """Sparsity against training steps: the plans of one shot, of five rounds and of ten gradual cuts, to 98%."""
    fig, ax = plt.subplots(figsize=(7, 3.2))
    steps, target = results["steps"]["budget"], 0.98
    rounds = iterative_sparsities(target, 5)
    interval = steps // 20
    plans = {
        "one shot": [target] * steps,
        "five rounds": [rounds[step * 5 // steps] for step in range(steps)],
        "gradual, ten cuts": [cubic_sparsity(step, 0, 10, interval, target) for step in range(steps)],
    }
    for (name, plan), style in zip(plans.items(), ("-", "--", "-."), strict=True):
        ax.step(range(steps), [100 * sparsity for sparsity in plan], style, where="post", label=name)
    label_axes(ax, x="fine-tuning step", x_unit="steps of 128 images", y="sparsity", y_unit="%")
    ax.set_title("Three plans for the same training steps", loc="left")
    ax.legend(loc="lower right")
    return fig
