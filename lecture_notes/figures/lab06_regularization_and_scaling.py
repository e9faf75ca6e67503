"""Figures of the chapter on regularisation and scaling."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from labkit.plots import curve, label_axes
from solutions.lab06_regularization_and_scaling import l1_penalty, l2_penalty, soft_threshold


def answer(results: dict) -> Figure:
    """Share of the MLP's weights that are zero, or only small, against the strength of the penalty."""
    fig, ax = plt.subplots(figsize=(6, 4))
    for run, what, label, style in (
        ("L1_proximal", "zero", "L1, proximal: exactly zero", "-"),
        ("L1_SGD", "small", "L1 by SGD: below 0.001", "--"),
        ("L1_SGD", "zero", "L1 by SGD: exactly zero", "-"),
        ("L2_SGD", "zero", "L2 by SGD: exactly zero", ":"),
    ):
        strengths = sorted(results["mlp"][run], key=_number)
        seeds = zip(*(results["mlp"][run][key][what]["seeds"] for key in strengths), strict=True)
        curve(ax, range(len(strengths)), [[100 * share for share in runs] for runs in seeds], label=label)
        ax.get_lines()[-1].set(linestyle=style)
    # both runs by SGD lie at zero: the last one has larger and hollow markers, so that one sees both
    ax.get_lines()[-1].set(fillstyle="none", markersize=11, markeredgewidth=2)
    ax.set_xticks(range(len(strengths)), [f"{_number(key):g}" for key in strengths])
    label_axes(ax, x="strength λ of the penalty", x_unit="not to scale", y="weights of the MLP", y_unit="%")
    ax.set_title("Exact zeros come with the proximal step", loc="left")
    ax.legend(loc="upper left")
    return fig


def shrink(results: dict) -> Figure:
    """The best weight under each penalty, against the best weight without a penalty: the lasso with one weight."""
    fig, ax = plt.subplots(figsize=(6, 4))
    strength = 0.5
    a = torch.linspace(-1.5, 1.5, 301)
    ridge = _lowest(a, l2_penalty, strength)
    ax.plot(a, a, ":", color="black", linewidth=1, label="no penalty")
    ax.plot(a, ridge, "--", color="C1", label="L2: smaller, never zero")
    ax.plot(a, soft_threshold(a, strength), color="C0", label="L1: exactly zero in the middle")
    by_hand = torch.tensor([0.3, 0.7])
    ax.plot(by_hand, soft_threshold(by_hand, strength), "o", color="C0", markersize=9)
    ax.plot(by_hand, _lowest(by_hand, l2_penalty, strength), "s", color="C1", markersize=8)
    label_axes(
        ax,
        x="a, the best weight without a penalty",
        x_unit="number",
        y="best weight with it",
        y_unit="number",
    )
    ax.legend(loc="upper left")
    return fig


def steps(results: dict) -> Figure:
    """One weight near zero under the L1 penalty: gradient steps jump over zero, proximal steps stop there."""
    fig, ax = plt.subplots(figsize=(6, 3.6))
    a, strength, rate, count = 0.3, 0.5, 0.15, 8
    gradient, proximal = [0.02], [0.02]
    for _ in range(count):
        w = torch.tensor(gradient[-1], requires_grad=True)
        ((w - a) ** 2 / 2 + l1_penalty({"w": w}, strength)).backward()
        gradient.append(gradient[-1] - rate * w.grad.item())
        w = torch.tensor(proximal[-1])
        proximal.append(soft_threshold(w - rate * (w - a), rate * strength).item())
    ax.axhline(0, color="black", linewidth=1)
    ax.plot(range(count + 1), gradient, "s--", color="C1", label="gradient steps")
    ax.plot(range(count + 1), proximal, "o-", color="C0", label="proximal steps", clip_on=False)
    label_axes(ax, x="step", x_unit="number", y="weight w", y_unit="number")
    ax.set_ylim(top=0.18)
    ax.set_yticks([0, 0.05, 0.1, 0.15])
    ax.legend(loc="upper right")
    return fig


def cut(results: dict) -> Figure:
    """Accuracy right after channels are cut by their scale: trained without a penalty, by SGD, by proximal steps."""
    fig, ax = plt.subplots(figsize=(6, 4))
    for run, label in {
        "0p05_proximal": "λ = 0.05, proximal",
        "0p05_SGD": "λ = 0.05, SGD",
        "no_penalty": "no penalty",
    }.items():
        levels = sorted(results["after_cut"][run], key=int)
        seeds = zip(*(results["after_cut"][run][level]["seeds"] for level in levels), strict=True)
        curve(
            ax,
            [int(level) for level in levels],
            [[100 * value for value in runs] for runs in seeds],
            label=label,
        )
    zeros = 100 * results["slimmed"]["proximal_0p05"]["zero"]["mean"]
    ax.axvline(zeros, color="black", linestyle=":", linewidth=1)
    ax.annotate(
        "exact zeros of the\nproximal network", (zeros, 4), (-4, 0), textcoords="offset points", ha="right"
    )
    ax.set_ylim(0, 100)
    ax.set_xticks(range(30, 71, 10))
    label_axes(ax, x="channels removed", x_unit="%", y="validation accuracy", y_unit="%")
    ax.set_title("What is already zero is cut for free", loc="left")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 0.12))
    return fig


def _number(key: str) -> float:
    """The strength that a key of the results stands for: "0p003" is 0.003."""
    return float(key.replace("p", "."))


def _lowest(a: torch.Tensor, penalty, strength: float) -> torch.Tensor:
    """The w that minimises (w - a)² / 2 + penalty, found by gradient steps from a."""
    w = a.clone().requires_grad_()
    for _ in range(100):
        (gradient,) = torch.autograd.grad((w - a).square().sum() / 2 + penalty({"w": w}, strength), w)
        w = (w - 0.2 * gradient).detach().requires_grad_()
    return w.detach()
