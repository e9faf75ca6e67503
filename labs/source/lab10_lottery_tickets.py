# %% [markdown] tags=["lab"] question="Is there a winning ticket?" minutes=95 prerequisite="lab04_prune_finetune"
# # Lab 10 · Lottery tickets
#
# **The question: is there a winning ticket?**
#
# Lab 4 pruned trained networks and trained them on. The *lottery ticket hypothesis* goes one step back. It says that the
# untrained network already holds a small part that would have trained as well on its own: a *winning ticket*. Here you
# look for such a ticket, and then you try to take away its reasons: its values, its signs, its mask, its training.
#
# | you build | it answers |
# |---|---|
# | `rewind`, `find_ticket` | How is a ticket found, and does it train as well as the whole network? |
# | `ticket_scores` | Which weights should the mask keep? |
# | `keep_signs` | Are the values of a ticket important, or only their signs? |
# | `supermask_accuracy` | What does the mask know before any training? |
# | `scratch_epochs` | Would a small network, trained for longer, do as well? |
#
# **Before you begin.** You have done Lab 4 (pruning in rounds, masks that survive training). The lecture note of this lab
# (`lecture_notes/lab10_lottery_tickets.md` in the course's repository) teaches the ideas first.
#
# **How long it takes.** The experiments together run for about a minute on a quiet laptop with two cores, and for
# several minutes on a busy one. Every experiment of more than two seconds shows its progress in a bar.
#
# **Papers.** Frankle and Carbin (2019), [arXiv:1803.03635](https://arxiv.org/abs/1803.03635): the hypothesis. Zhou et al.
# (2019), [arXiv:1905.01067](https://arxiv.org/abs/1905.01067): criteria, signs and supermasks. Liu et al. (2019),
# [arXiv:1810.05270](https://arxiv.org/abs/1810.05270): doubts, from networks that are trained from scratch.
#
# **The words.** A *mask* is boolean, and `True` means keep. *Sparsity* is the fraction removed. A *score* is higher for
# a weight that should be kept. To *rewind* is to put weights back to the value that they had at an earlier step. A
# *ticket* is a mask together with the initial values of the weights that it keeps. It *wins* if it trains to the
# accuracy of the whole network in the same number of steps. A mask is *unstructured* if it removes single weights,
# wherever they are. A *control* is the same training with something changed that might be the reason. The *spread* is the
# standard deviation over the seeds; "82.4 ± 0.5" is a mean and its spread. A difference is taken seed by seed and has a
# spread of its own. If it is smaller than its spread, we do not count it as a difference.
#
# **How it is graded.** Each exercise has a visible check, which you can run as often as you like, and hidden checks,
# which run when the work is graded. Cells marked as experiment are *not* run then. So if an exercise needs a helper
# function of yours, write it in the exercise cell or in a new cell of your own, not in an experiment cell.
# No exercise needs your answer to another one. You may call it all the same; a mistake in it then costs in both.

# %% tags=["setup"]
import copy
import os
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from labkit.cost import count_macs
from labkit.datasets import load_fashion_mnist
from labkit.models import MLP, prunable_weights
from labkit.plots import COLOURS, MARKERS, curve, label_axes, show, use_style
from labkit.recorded import recorded_results
from labkit.training import accuracy, train

use_style()

# %% [markdown]
# ## What the experiments use
#
# New MLPs, one for each *seed*. A training is short: 200 steps of Adam with 60 images each, which is one pass over the
# 12,000 training images. So the whole network is *not* trained to its end. Keep that in mind; we come back to it. All
# the trainings of one seed see the same images in the same order, so that they differ in nothing but what we change.
#
# Accuracies are measured on the 2,000 validation images. The test images are read once, at the end. Five seeds take
# several minutes, so the notebook runs **two** seeds live, and shows beside them what the course's long run recorded
# with **five**. In the figures the lines and the filled marks are the recorded mean with its spread; the small open
# circles are your two live seeds. The text under each experiment speaks of the five. To make the long run yourself, start
# Jupyter with the environment variable `LABKIT_FULL=1`.

# %% tags=["experiment"]
torch.set_num_threads(1)  # the MLP's products are too small for two threads to pay
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
FULL = any(os.environ.get(name) for name in ("LABKIT_FULL", "LABKIT_RECORD"))
SEEDS = range(5) if FULL else range(2)
recorded = recorded_results("lab10_lottery_tickets")
train_images, train_labels = (tensor.to(device) for tensor in load_fashion_mnist("train"))
images, labels = (tensor.to(device) for tensor in load_fashion_mnist("validation"))
BATCH, STEPS, LR = 60, 200, 0.0012  # the batch and the learning rate of Frankle and Carbin's MLP
template = MLP().to(device)
LAYERS = list(prunable_weights(template))


def validate(model):
    """Accuracy on the validation images."""
    return accuracy(model, images, labels)


def new_values(seed):
    """The random start of a new network, weights and biases: {name: tensor}."""
    with torch.random.fork_rng():
        torch.manual_seed(1000 + seed)
        return {name: value.detach().to(device) for name, value in MLP().named_parameters()}


def in_percent(values):
    """Mean and standard deviation over the seeds, as text; fewer than three seeds are written one by one."""
    if len(values) < 3:
        return ", ".join(f"{100 * value:.1f}" for value in values) + " %"
    return f"{100 * np.mean(values):5.1f} ± {100 * np.std(values, ddof=1):4.1f} %"


def key_of(text):
    """A name as a key of the results file: no blanks, no commas, no slashes."""
    return text.replace(", ", "_").replace(" ", "_").replace("/", "_")


def long_run(*keys):
    """The values that the long run recorded under these keys, one for each seed; an empty list if there are none."""
    entry = recorded
    for key in keys:
        entry = entry.get(key_of(key), {})
    return entry.get("seeds", [])


def beside(values, *keys):
    """The live numbers as text, and beside them those that the long run recorded under these keys."""
    text, long = f"live: {in_percent(values)}", long_run(*keys)
    return f"{text:22}" + (f" recorded: {in_percent(long)}" if long else "")


def line(ax, at, live, long, label, colour):
    """Draw every live seed as a point, and mean and spread of the recorded seeds (if there are none, of the live ones)."""
    seeds = long if len(long) and not FULL else live  # seeds, places
    curve(ax, at, 100 * np.array(seeds), label=label, colour=colour)
    ax.scatter(np.tile(at, len(live)), 100 * np.array(live).flatten(), s=14, color="white", edgecolor=COLOURS[colour], zorder=3)


def dots(ax, at, live, long, colour, label):
    """The same for places that no line joins: points, and a bar of one standard deviation to each side of a mean."""
    seeds = 100 * np.array(long if len(long) and not FULL else live)  # seeds, places
    marker = MARKERS[list(COLOURS).index(colour)]
    ax.errorbar(at, seeds.mean(0), seeds.std(0, ddof=1), fmt=marker, color=COLOURS[colour], capsize=4, label=label)
    ax.scatter(np.tile(at, len(live)), 100 * np.array(live).flatten(), s=14, color="white", edgecolor=COLOURS[colour], zorder=3)


DRAWN = f"mean and spread: {len(long_run('dense'))} recorded seeds; open circles: {len(SEEDS)} live seeds"
if FULL or not recorded:
    DRAWN = f"mean and spread of {len(SEEDS)} seeds"
print(f"{len(train_images):,} training images, {STEPS} steps of {BATCH} images; live seeds: {len(SEEDS)}")
print(f"recorded: {len(long_run('dense'))} seeds")

# %% [markdown]
# ## Part 1 · Back to the start
#
# ### Exercise rewind
#
# A ticket is the mask $m$ with the initial values $\theta_0$:
#
# $$\theta \leftarrow m \odot \theta_0 .$$
#
# $\theta$ runs over `parameters`, $\theta_0$ is `checkpoint` and $m$ is `masks`. Later work rewinds to an early step $k$
# and not to step 0 (*late rewinding*). Then the checkpoint is $\theta_k$, and the same function does it.
#
# *By hand.* The trained weight $(3, -2, 0)$, its start $(0.5, 0.1, -0.4)$ and the mask (True, True, False) give
# $(0.5, 0.1, 0)$. A bias has no mask: it goes back as a whole.
#
# <details><summary>Hint</summary>
#
# Look at everything before you change the first parameter. `copy_` writes into a parameter (where no gradients are
# recorded), and `masked_fill_` sets entries to zero. `name in masks` tells whether there is a mask.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=10
from solutions.lab10_lottery_tickets import rewind

# %% tags=["visible-check"]
weight = nn.Parameter(torch.tensor([3.0, -2.0, 0.0]))
bias = nn.Parameter(torch.tensor([7.0]))
parameters = {"weight": weight, "bias": bias}
start = {"weight": torch.tensor([0.5, 0.25, -0.5]), "bias": torch.tensor([0.125]), "something else": torch.ones(2)}
result = rewind(parameters, start, {"weight": torch.tensor([True, True, False])})
assert weight.tolist() == [0.5, 0.25, 0.0], (
    f"The weight is now {weight.tolist()}; [0.5, 0.25, 0.0] was expected.\n"
    "Is it [3.0, -2.0, 0.0]? Then the network's own parameter was not changed.\n"
    "Is the last entry -0.5? Then the mask was not applied. Is it [0.0, 0.0, -0.5]? Then True and False are exchanged."
)
assert bias.tolist() == [0.125], f"The bias has no mask and goes back as a whole, to 0.125; it is now {bias.tolist()}."
assert parameters["weight"] is weight and result is None, "Change the parameters in place, and return nothing."
with torch.no_grad():
    weight.add_(1)
assert start["weight"].tolist() == [0.5, 0.25, -0.5], "Training the network now changes the checkpoint: they share memory."
infinite = torch.tensor([1.0, 1.0])
rewind({"w": infinite}, {"w": torch.tensor([float("inf"), 2.0])}, {"w": torch.tensor([False, True])})
assert infinite.tolist() == [0.0, 2.0], f"A removed entry should be 0, but it is {infinite[0].item()}: a product keeps NaN."
try:
    rewind({"w": weight, "v": bias}, {"w": torch.zeros(3)}, {})
except ValueError:
    assert weight.tolist() == [1.5, 1.25, 1.0], "The ValueError came too late: one parameter has been changed."
else:
    raise AssertionError("The checkpoint does not hold `v`, and there was no ValueError.")
print("rewind: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Exercise find_ticket
#
# Which weights does the ticket keep? Frankle and Carbin look at the *end* of a training, and go back to its start. In
# $R$ rounds, with $m_0$ keeping everything:
#
# $$\theta^{(r)} = \text{train}(m_{r-1} \odot \theta_0,\ m_{r-1}), \qquad
# m_r = m_{r-1} \wedge \text{“not among the lowest } p \text{ of what is left”}.$$
#
# $\theta_0$ is `initial`, $R$ is `rounds` and $p$ is `fraction`. The score is an argument: magnitude after training is
# the usual one. The ranking takes all the layers as one pool. So after $R$ rounds a fraction of about $(1-p)^R$ is
# left, and the search has cost $R$ trainings.
#
# *By hand.* A loss with two weights, $L = (w_a - 3)^2 + w_b^2$: only $w_a$ is needed. The start is $(0.1, 2)$. A perfect
# training gives $(3, 0)$. One round with $p = 1/2$ removes $w_b$, although it had the larger initial value. The ticket is
# $(0.1, 0)$, and it trains to the same loss, 0.
#
# <details><summary>Hint</summary>
#
# Every round has four steps: zero the removed weights of a *copy* of the start, train, score, rank. For the ranking
# make one long vector of all the scores and one of all the masks, and look only at the positions that are left.
# `torch.argsort(..., stable=True)` keeps the order of equal entries. `split` takes the long vector apart again.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=25
from solutions.lab10_lottery_tickets import find_ticket

# %% tags=["visible-check"]
journal = []
change = {"a": torch.tensor([4.0, -8.0]), "b": torch.tensor([2.0, 1.0])}


def push(start, masks):
    """Stands for the training: add a fixed number to each weight that is left, in place."""
    journal.append({name: value.tolist() for name, value in start.items()})
    return {name: start[name].add_(change[name]).mul_(masks[name]) for name in start}


def growth(w_i, w_f):
    """The criterion of this check: by how much a magnitude has grown."""
    return w_f.abs() - w_i.abs()


first = {"a": torch.tensor([1.0, -4.0]), "b": torch.tensor([2.0, 6.0])}
result = find_ticket(first, push, growth, rounds=2, fraction=0.5)
assert isinstance(result, list) and len(result) == 2, f"Return a list with the masks after each of the 2 rounds, not {result!r}."
found = [{name: mask.tolist() for name, mask in masks.items()} for masks in result]
assert found[0] == {"a": [True, True], "b": [False, False]}, (
    f"After round 1 your masks are {found[0]}. Training gives a = (5, -12) and b = (4, 7), and the scores, which say how much\n"
    "a magnitude has grown, are (4, 8) and (2, 1): the lowest two are both in b.\n"
    "Is a = [False, True], b = [True, False]? Then you ranked layer by layer. Are both of a gone? Then you removed the\n"
    "highest, or `score` got its two arguments in the wrong order. Is a = [False, True], b = [False, True], or\n"
    "a = [True, False], b = [False, True]? Then you ranked the trained weights and did not ask `score`."
)
assert len(journal) == 2 and journal[1] == {"a": [1.0, -4.0], "b": [0.0, 0.0]}, (
    f"Round 2 trained from {journal[-1]}; it should start from a = (1, -4), b = (0, 0): the *initial* values, masked.\n"
    "Is a = (5, -12)? Then nothing was rewound, or `train` changed your only copy of the start."
)
assert found[1] == {"a": [False, True], "b": [False, False]}, (
    f"After round 2 your masks are {found[1]}. Two weights were left, so one of them goes: the 5 of a, which has grown by 4 only.\n"
    "Are both gone? Then a round removed half of all the weights, not half of what is left.\n"
    "Are both still there? Then you ranked the removed weights again."
)
assert first["a"].tolist() == [1.0, -4.0], "`initial` has been changed."
tied = find_ticket({"w": torch.ones(4)}, lambda start, masks: start, lambda w_i, w_f: w_f, 1, 0.5)[0]["w"]
assert tied.tolist() == [False, False, True, True], f"Of equal scores the first go; your mask is {tied.tolist()}."
print("find_ticket: the visible checks pass")

# %% tags=["graded"] points=5

# %% [markdown]
# ### Experiment: the ticket and its controls
#
# Five rounds that end at 98%: the sparsities are 54, 79, 90, 96 and 98%. Then, at three of them, the ticket against
# controls:
#
# - *new values*: the same mask, a new random start;
# - *shuffled, old values*: the mask's positions are shuffled inside each layer, so each layer keeps its number of
#   weights; the values are the old ones;
# - *shuffled, new values*: both are changed.
#
# The first control against the ticket, and the third against the first, change one thing each: the values, then the places.
#
# Guess first. If only the *number* of weights in each layer mattered, which curves would lie on each other?

# %% tags=["experiment"]
ROUNDS, FINAL = 5, 0.98
FRACTION = 1 - (1 - FINAL) ** (1 / ROUNDS)  # of what is left, in each round
SPARSITIES = [1 - (1 - FRACTION) ** r for r in range(1, ROUNDS + 1)]
SHOWN = (2, 3, 5)  # the rounds at which there are controls


def fit(start, masks, seed, steps=STEPS, lr=LR, first_step=0):
    """Train from the values `start` under the masks, with the seed's order of images; return the network."""
    model = copy.deepcopy(template).train()
    parameters = dict(model.named_parameters())
    rewind(parameters, start, masks)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)  # fused: the same steps, in less time
    generator = torch.Generator().manual_seed(seed)
    epochs = -(-steps * BATCH // len(train_images))  # rounded up
    order = torch.cat([torch.randperm(len(train_images), generator=generator) for _ in range(epochs)])
    for step in range(first_step, steps):
        batch = order[step * BATCH : (step + 1) * BATCH]
        loss = F.cross_entropy(model(train_images[batch]), train_labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for name, mask in masks.items():
                parameters[name].masked_fill_(~mask, 0)
    return model.eval()


def values_of(model):
    """A copy of all the parameters: {name: tensor}."""
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def search(start, seed, steps=STEPS, lr=LR, first_step=0):
    """Five rounds of find_ticket by magnitude: the masks, and the trained networks (the whole one, then each ticket)."""
    models = []

    def train_ticket(weights, masks):
        models.append(fit(start | weights, masks, seed, steps, lr, first_step))
        return {name: value for name, value in values_of(models[-1]).items() if name in LAYERS}

    weights = {name: start[name] for name in LAYERS}
    history = find_ticket(weights, train_ticket, lambda w_i, w_f: w_f.abs(), ROUNDS, FRACTION)
    models.append(fit(start, history[-1], seed, steps, lr, first_step))
    return history, models


def shuffled(masks, seed):
    """The masks with their positions shuffled inside each layer."""
    generator = torch.Generator().manual_seed(500 + seed)
    return {
        name: mask.flatten()[torch.randperm(mask.numel(), generator=generator).to(mask.device)].view(mask.shape)
        for name, mask in masks.items()
    }


starts = {seed: new_values(seed) for seed in SEEDS}
others = {seed: new_values(seed + 100) for seed in SEEDS}  # the new random starts
searches, networks = {}, {}  # networks: (arm, round, seed) -> trained network
for seed in tqdm(SEEDS, desc="searching tickets"):
    searches[seed] = search(starts[seed], seed)
    for r in range(ROUNDS + 1):
        networks["ticket", r, seed] = searches[seed][1][r]  # round 0 is the whole network
for seed, r in tqdm([(seed, r) for seed in SEEDS for r in SHOWN], desc="controls"):
    masks = searches[seed][0][r - 1]
    networks["new values", r, seed] = fit(others[seed], masks, seed)
    networks["shuffled, old values", r, seed] = fit(starts[seed], shuffled(masks, seed), seed)
    networks["shuffled, new values", r, seed] = fit(others[seed], shuffled(masks, seed), seed)
scores = {key: validate(model) for key, model in networks.items()}
dense = [scores["ticket", 0, seed] for seed in SEEDS]


def of(arm, r):
    """The accuracies of one arm after round r, one for each seed."""
    return [scores[arm, r, seed] for seed in SEEDS]


ARMS = {"ticket": "blue", "new values": "orange", "shuffled, old values": "green", "shuffled, new values": "vermilion"}


def over_sparsity(ax, arms):
    """Draw the accuracies of some arms against the sparsity."""
    for arm, colour in arms.items():
        rounds = range(1, ROUNDS + 1) if arm == "ticket" else SHOWN
        live = np.array([of(arm, r) for r in rounds]).T  # seeds, rounds
        long = [long_run("rounds", str(r)) if arm == "ticket" else long_run("tickets", str(r), arm) for r in rounds]
        line(ax, [100 * (1 - SPARSITIES[r - 1]) for r in rounds], live, np.array(long).T, arm, colour)
    ax.set_xscale("log")
    ax.invert_xaxis()
    ax.set_xticks([100 * (1 - sparsity) for sparsity in SPARSITIES], [f"{100 * sparsity:.0f}" for sparsity in SPARSITIES])
    ax.minorticks_off()
    label_axes(ax, x="sparsity", x_unit="%, one place for each round", y="validation accuracy", y_unit="%", title=DRAWN)
    ax.legend(loc="lower left")


fig, ax = plt.subplots()
over_sparsity(ax, ARMS)
level = 100 * np.mean(dense if FULL else long_run("dense") or dense)
ax.axhline(level, color="grey", linestyle=":")
ax.text(50, level - 0.2, "whole network", color="grey", va="top")
show(fig, alt="Accuracy against sparsity, from 54 to 98 percent. The ticket lies above the whole network until the last round; "
     "new values are lower; the two shuffled masks are lowest and fall fastest.")

print(f"live: {len(SEEDS)} seeds, recorded: {len(long_run('dense'))} seeds; differences are taken seed by seed")
print(f"whole network                     {beside(dense, 'dense')}")
for r in range(1, ROUNDS + 1):
    percent = f"{100 * SPARSITIES[r - 1]:3.0f} %  "
    for arm in ARMS if r in SHOWN else ["ticket"]:
        print(f"{percent}{arm:26} {beside(of(arm, r), *(('rounds', str(r)) if arm == 'ticket' else ('tickets', str(r), arm)))}")
    over_whole = np.array(of("ticket", r)) - dense
    print(f"{percent}{'ticket - whole network':26} {beside(over_whole, 'against_dense', str(r))}")
    if r in SHOWN:
        over_new = np.array(of("ticket", r)) - of("new values", r)
        over_shuffled = np.array(of("new values", r)) - of("shuffled, new values", r)
        old_over_new = np.array(of("shuffled, old values", r)) - of("shuffled, new values", r)
        print(f"{percent}{'ticket - new values':26} {beside(over_new, 'gap', str(r))}")
        print(f"{percent}{'new values - shuffled, new':26} {beside(over_shuffled, 'gaps', str(r), 'shuffle')}")
        print(f"{percent}{'shuffled: old - new values':26} {beside(old_over_new, 'gaps', str(r), 'old_values_shuffled')}")

# %% [markdown]
# **What we saw** (five seeds). If only the number of weights in each layer mattered, all four curves would lie on each
# other. They do not. The ticket ends *above* the whole network at 54 to 96%, in the mean by more than the spread of the
# difference: so, in a training of this length, there are winning tickets. At 98% it is about half a point *lower*, in
# every one of the five seeds. That is less than the spread, so by our definition this ticket still wins, but only just.
# The controls say what a ticket is made of:
#
# - With *new values* under the same mask it is lower at every sparsity, and the gap grows with the sparsity. So the
#   values matter.
# - New values under *shuffled positions* are lower again (see the printed differences), although each layer keeps its number
#   of weights. So the places matter.
# - Under a shuffled mask the *old values* are worth no more than new ones: that difference lies within its spread. The
#   values are lucky only at the places that the mask has chosen.
#
# Now the price. The mask cost **five whole trainings**, and it has seen every training image five times. The ticket was
# not found by luck; it was computed. And 200 steps leave the whole network unfinished, which favours anything that learns
# faster. The next experiment asks how much.
#
# ### Experiment: does it last?
#
# Our trainings are short, and the learning rate is small. Is the ticket's advantage only a better start into a training
# that is cut off too early? And Liu et al. (2019) report that with a large learning rate the ticket of an
# *unstructured* mask is no better than a random start. So the same at 98% with three times the steps, and with a five
# times larger learning rate. The *late ticket* is found by late rewinding: every round goes back to the weights after
# the first tenth of the steps, and not to step 0. This is the long run: its numbers are recorded, and the cell below
# draws them. It computes them anew only if `LABKIT_FULL` is set. The late ticket trains only the nine tenths of the
# steps that come after (180 of 200). With three times the steps it was left out, to save
# time.

# %% tags=["experiment"]
SETTINGS = {"as before": (STEPS, LR), "3 times the steps": (3 * STEPS, LR), "5 times the learning rate": (STEPS, 5 * LR)}
SETTING_ARMS = {"whole": "black", "ticket": "blue", "new values": "orange", "late ticket": "purple"}
settings = {}  # (setting, arm): accuracies, one for each seed; the late ticket only where the steps are as before
if FULL:
    for name, seed in tqdm([(name, seed) for name in SETTINGS for seed in SEEDS[:3]], desc="settings"):
        steps, lr = SETTINGS[name]
        history, models = searches[seed] if name == "as before" else search(starts[seed], seed, steps, lr)
        results = {"whole": models[0], "ticket": models[-1], "new values": fit(others[seed], history[-1], seed, steps, lr)}
        if steps == STEPS:
            late = steps // 10
            early = values_of(fit(starts[seed], {}, seed, late, lr))  # the weights after the first tenth of the steps
            results["late ticket"] = search(early, seed, steps, lr, first_step=late)[1][-1]
        for arm, model in results.items():
            settings.setdefault((name, arm), []).append(validate(model))
elif "settings" in recorded:
    for name in SETTINGS:
        for arm in SETTING_ARMS:
            if key_of(arm) in recorded["settings"][key_of(name)]:
                settings[name, arm] = recorded["settings"][key_of(name)][key_of(arm)]["seeds"]

if settings:
    fig, ax = plt.subplots()
    for place, (arm, colour) in enumerate(SETTING_ARMS.items()):
        which = [name for name in SETTINGS if (name, arm) in settings]
        values = np.array([settings[name, arm] for name in which]).T  # seeds, settings
        at = np.array([list(SETTINGS).index(name) for name in which]) + 0.15 * (place - 1.5)
        dots(ax, at, values, values, colour, arm)
    ax.set_xticks(range(len(SETTINGS)), ["as before", "3 times\nthe steps", "5 times the\nlearning rate"])
    ax.set_ylabel("validation accuracy (%)")
    ax.set_title(f"98 % sparsity; open circles: {len(values)} recorded seeds")
    ax.grid(axis="x", visible=False)
    ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    show(fig, alt="For three settings of the training, dots for the whole network, the ticket, the ticket's mask with new values "
         "and the late ticket, at 98% sparsity. The order and the gaps are in the printed lines.")
    for name in SETTINGS:
        for arm in SETTING_ARMS:
            if (name, arm) in settings:
                print(f"{name:26} {arm:28} {in_percent(settings[name, arm])}")
        for other in ("whole", "new values", "late ticket"):
            if (name, other) in settings:
                gaps = np.array(settings[name, "ticket"]) - settings[name, other]
                print(f"{name:26} {'ticket - ' + other:28} {in_percent(gaps)}")

# %% [markdown]
# **What we saw** (three seeds). With three times the steps everything gains, and the new values gain most. The ticket
# and the whole network are equal within the spread, with two percent of the weights. The gap between the ticket and the
# new values has become smaller, and it is still many times its spread. So a part of the advantage was an earlier start in
# a short training, and a part was not.
#
# With the larger learning rate the gap shrinks, but stays. What Liu et al. report for large learning rates, no gain at
# all, did not show here. Do not conclude that they are wrong: theirs are deep convolutional networks trained by SGD to
# their end, ours has two hidden layers and is trained briefly by Adam. And the ticket now lies far above the whole
# network. That says little: the ticket gains by the larger rate, the whole network does not, so this rate is a poor one
# for the whole network. Late rewinding brings nothing here: the late ticket is not better than the ticket. That agrees with
# Frankle et al. (2020). They need it where two trainings from the same start, with other orders of the images, part
# early and end far from each other. On MNIST they find that this does not happen.
#
# ## Part 2 · Which weights?
#
# ### Exercise ticket_scores
#
# Magnitude after training is one criterion of many. Zhou et al. look at a weight as a point: its value before training,
# $w_i$, and after it, $w_f$. A criterion is a score of this point, and **the weights with the highest scores are
# kept**. The nine criteria stand in the docstring below.
#
# Look well at *magnitude_increase*, $|w_f| - |w_i|$. Notes on a lecture by Hung-yi Lee, one of this course's sources (S3),
# can be read as if one should *prune* the weights whose magnitude changed most. In the paper those that grew are *kept*.
# The experiment below tries both.
#
# *By hand.* $w_i = (0.5, -0.25)$ and $w_f = (-0.75, -0.125)$. large_final: $(0.75, 0.125)$. magnitude_increase:
# $(0.25, -0.125)$, so the first weight stays. movement: $(1.25, 0.125)$. large_init_large_final with $\alpha = 0.5$:
# $(\min(0.375, 0.5), \min(0.0625, 0.25)) = (0.375, 0.0625)$.
#
# <details><summary>Hint</summary>
#
# `torch.minimum` takes the smaller of two numbers at each place; `torch.min` of one tensor is something else.
# Three criteria have a minus in front of everything: which, and is it outside of the max? `torch.rand` takes a `generator`.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=15
from solutions.lab10_lottery_tickets import ticket_scores

# %% tags=["visible-check"]
w_i, w_f = torch.tensor([0.5, -0.25]), torch.tensor([-0.75, -0.125])
expected = {
    "large_final": [0.75, 0.125], "small_final": [-0.75, -0.125], "large_init": [0.5, 0.25], "small_init": [-0.5, -0.25],
    "large_init_large_final": [0.375, 0.0625], "small_init_small_final": [-0.5, -0.25],
    "magnitude_increase": [0.25, -0.125], "movement": [1.25, 0.125],
}  # fmt: skip
for criterion, values in expected.items():
    result = ticket_scores(w_i, w_f, criterion, alpha=0.5)
    assert result.tolist() == values, (
        f"{criterion}: you returned {result.tolist()}, and {values} was expected for w_i = (0.5, -0.25), w_f = (-0.75, -0.125), "
        "alpha = 0.5.\nHigher means keep: a criterion that keeps the small ones has negative scores.\n"
        "Is only a sign wrong? Look at where you take the absolute value: before the difference, or after it?\n"
        "Is it a criterion of both values? Did you take min where max is asked, or scale the wrong one by alpha?"
    )
one = ticket_scores(w_i, w_f, "random", generator=torch.Generator().manual_seed(1))
two = ticket_scores(w_i, w_f, "random", generator=torch.Generator().manual_seed(1))
three = ticket_scores(w_i, w_f, "random", generator=torch.Generator().manual_seed(2))
assert one.shape == w_i.shape and torch.equal(one, two) and not torch.equal(one, three), (
    "random: two generators with the same seed should give the same numbers, and another seed other numbers."
)
try:
    ticket_scores(w_i, w_f, "magic")
except ValueError:
    pass
else:
    raise AssertionError("There is no criterion 'magic', and there was no ValueError.")
print("ticket_scores: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: nine criteria
#
# One round at 90% for each criterion: score the weights of the whole network's training, keep the highest tenth of each
# layer (the paper, too, ranks layer by layer), rewind, train. $\alpha$ is chosen so that the scales agree:
# the ratio of the median of $|w_i|$ to the median of $|w_f|$ in the layer. A tenth row, *shrank*, is the opposite of
# magnitude_increase, with the score $|w_i| - |w_f|$: it keeps what that criterion would remove. Guess the order before you run.

# %% tags=["experiment"]
CRITERIA = [
    "large_final", "magnitude_increase", "movement", "large_init_large_final", "large_init", "random",
    "small_init", "small_final", "shrank", "small_init_small_final",
]  # fmt: skip


def keep_highest(scores, sparsity):
    """The mask that keeps the highest scores of a layer."""
    mask = torch.ones(scores.numel(), dtype=torch.bool, device=scores.device)
    mask[torch.argsort(scores.flatten(), stable=True)[: round(sparsity * scores.numel())]] = False
    return mask.view(scores.shape)


def masks_by(criterion, start, model, sparsity, seed):
    """The masks of one criterion, layer by layer."""
    generator = torch.Generator().manual_seed(seed)
    masks = {}
    for name, final in prunable_weights(model).items():
        alpha = (start[name].abs().median() / final.detach().abs().median()).item()
        if criterion == "shrank":  # the opposite of a criterion has the opposite sign
            layer_scores = -ticket_scores(start[name], final, "magnitude_increase")
        else:
            layer_scores = ticket_scores(start[name], final, criterion, alpha, generator)
        masks[name] = keep_highest(layer_scores, sparsity)
    return masks


by_criterion = {criterion: [] for criterion in CRITERIA}
for criterion, seed in tqdm([(criterion, seed) for criterion in CRITERIA for seed in SEEDS], desc="criteria"):
    masks = masks_by(criterion, starts[seed], networks["ticket", 0, seed], 0.9, seed)
    by_criterion[criterion].append(validate(fit(starts[seed], masks, seed)))

fig, ax = plt.subplots(figsize=(8, 4.4))
for place, criterion in enumerate(reversed(CRITERIA)):
    live = 100 * np.array(by_criterion[criterion])
    seeds = live if FULL else 100 * np.array(long_run("criteria", criterion) or by_criterion[criterion])
    ax.errorbar(seeds.mean(), place, xerr=seeds.std(ddof=1), fmt="o", color=COLOURS["blue"], capsize=4)
    ax.scatter(live, [place] * len(live), s=14, color="white", edgecolor=COLOURS["blue"], zorder=3)
    if criterion == "random":
        ax.axvspan(seeds.mean() - seeds.std(ddof=1), seeds.mean() + seeds.std(ddof=1), color=COLOURS["orange"], alpha=0.2,
                   linewidth=0, label="random: mean and spread")
ax.axvline(level, color="grey", linestyle=":", label="whole network")
ax.set_yticks(range(len(CRITERIA)), list(reversed(CRITERIA)))
label_axes(ax, x="validation accuracy after training", x_unit="%", y="criterion", y_unit="what is kept", title=DRAWN)
ax.legend(loc="upper left")
show(fig, alt="Accuracy after training for nine mask criteria at 90% sparsity, one row each, with a band for the random mask. "
     "large_final and magnitude_increase are clearly to its right, movement and large_init_large_final a little; those that keep "
     "small weights, or weights that shrank, are to its left.")
for criterion in CRITERIA:
    print(f"{criterion:24}          {beside(by_criterion[criterion], 'criteria', criterion)}")
for criterion in CRITERIA:
    over_random = np.array(by_criterion[criterion]) - by_criterion["random"]
    if criterion != "random":
        print(f"{criterion:24} - random {beside(over_random, 'criteria', criterion, 'over_random')}")
for one, other in (("large_final", "magnitude_increase"), ("movement", "large_init_large_final"), ("magnitude_increase", "shrank")):
    live = np.array(by_criterion[one]) - by_criterion[other]
    long = np.array(long_run("criteria", one)) - long_run("criteria", other) if long_run("criteria", other) else []
    print(f"{one + ' - ' + other:42} live: {in_percent(live)}" + (f"   recorded: {in_percent(long)}" if len(long) else ""))

# %% [markdown]
# **What we saw** (five seeds). *large_final* is best. *magnitude_increase* follows, about as far behind as the spread of
# that difference. *movement* and *large_init_large_final* are about one point above the random mask, and close together.
# *large_init* is half a point above it: the start alone knows little. The three that keep *small* weights lie below
# random. So does *shrank* in the mean, but its seeds differ so much that this is within the spread. What is clear is the
# comparison with its opposite: magnitude_increase is better in every seed, and by more than the spread. So the right way round matters.
#
# Zhou et al. report that several criteria are as good as large_final, or better. One round, one sparsity and one small
# network do not decide it.
#
# *Why is the ticket of Part 1 better than large_final here, at about the same sparsity?* At 90% the ticket reached about 84%
# and large_final 81%. Two things differ: the ticket's mask was found in three rounds and not in one, and its ranking took
# all the layers as one pool, so that the small last layer could keep more. This experiment does not tell which of the
# two counts.
#
# ## Part 3 · Sign or value?
#
# ### Exercise keep_signs
#
# New values make a ticket worse. Zhou et al. ask which part of the old values matters, and keep only their signs:
#
# $$w = |w_{\text{new}}| \cdot \operatorname{sign}(w_i).$$
#
# $w_i$ is `initial` and $w_{\text{new}}$ is `fresh`. Where $w_i = 0$ there is no sign to keep: then $w = w_{\text{new}}$.
#
# *By hand.* $w_i = (0.5, -0.25, 0)$ and $w_{\text{new}} = (-3, -4, -5)$ give $(3, -4, -5)$.
#
# <details><summary>Hint</summary>
#
# `torch.sign` gives 1, -1 or 0. `torch.copysign` is near, but ask what it does with 0.0 and with -0.0. `torch.where`
# chooses between two tensors.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=8
from solutions.lab10_lottery_tickets import keep_signs

# %% tags=["visible-check"]
result = keep_signs(torch.tensor([0.5, -0.25, 0.0]), torch.tensor([-3.0, -4.0, -5.0]))
assert result.tolist() == [3.0, -4.0, -5.0], (
    f"You returned {result.tolist()}, and [3, -4, -5] was expected.\n"
    "Is it [-3, 4, ...]? Then you multiplied by the sign without taking the new values' magnitude.\n"
    "Is the last entry 0 or 5? A weight that starts at zero has no sign: its new value stays as it is.\n"
    "Is it [-0.5, ...]? Then the roles of the two arguments are exchanged."
)
try:
    keep_signs(torch.ones(2, 3), torch.ones(3))
except ValueError:
    pass
else:
    raise AssertionError("The shapes [2, 3] and [3] differ, and there was no ValueError.")
print("keep_signs: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Experiment: only the signs
#
# The same mask of the five rounds, and four new starts: *new values*, as before; *new values, old signs*; *one size,
# old signs*, where every weight of a layer has the same magnitude (the standard deviation of its initial values); and
# *one size, random signs*. Each is compared with the ticket itself: what does it lose?

# %% tags=["experiment"]
def with_signs(start, values, seed, kind):
    """A start whose weights have other values; `kind` says which."""
    generator = torch.Generator().manual_seed(900 + seed)
    result = dict(values)
    for name in LAYERS:
        fresh = values[name]
        if kind.startswith("one size"):
            fresh = torch.full_like(fresh, start[name].std().item())
        if kind.endswith("old signs"):
            fresh = keep_signs(start[name], fresh)
        elif kind.endswith("random signs"):
            fresh = keep_signs(torch.randn(fresh.shape, generator=generator).to(fresh.device), fresh)
        result[name] = fresh
    return result


KINDS = {"new values, old signs": "purple", "one size, old signs": "sky", "one size, random signs": "black"}
for kind, seed, r in tqdm([(kind, seed, r) for kind in KINDS for seed in SEEDS for r in SHOWN], desc="signs"):
    changed = with_signs(starts[seed], others[seed], seed, kind)
    networks[kind, r, seed] = fit(changed, searches[seed][0][r - 1], seed)
    scores[kind, r, seed] = validate(networks[kind, r, seed])

fig, ax = plt.subplots()
over_sparsity(ax, {"ticket": "blue", "new values": "orange"} | KINDS)
show(fig, alt="Accuracy against sparsity for the ticket's mask with five kinds of initial values. The two kinds "
     "with the old signs lie near the ticket; the two without lie lower.")
for r in SHOWN:
    for arm in ("ticket", "new values", *KINDS):
        print(f"{100 * SPARSITIES[r - 1]:3.0f} %  {arm:24}          {beside(of(arm, r), 'tickets', str(r), arm)}")
    over_signs = np.array(of("ticket", r)) - of("new values, old signs", r)
    print(f"{100 * SPARSITIES[r - 1]:3.0f} %  ticket - (new values, old signs)  {beside(over_signs, 'gaps', str(r), 'ticket_over_signs')}")

# %% [markdown]
# **What we saw.** The signs are nearly all of it. New values with the old signs lose about half a point against the
# ticket, or less, while new values lose two to five or more. A layer in which every weight has *one size* does as well.
# Take the signs away, and one size falls to the level of new values. So in this network the lucky start is a pattern of
# signs; the sizes hardly matter.
#
# That is what Zhou et al. report, and our setting is close to theirs: a small network. Frankle, Schwab and Morcos
# (2020) find that in deeper networks keeping the signs is *not* enough. A network of two hidden layers cannot show
# that.
#
# ## Part 4 · What does a mask know before any training?
#
# ### Exercise supermask_accuracy
#
# So far a mask was judged by how well it *trains*. Zhou et al. ask a stranger question: what can it do without any training? A
# mask says, for each weight, "you matter" or "you do not". It says no value. Yet it was made from a *trained* network. If
# it still lifts the accuracy of the untrained network far above chance, they call it a *supermask*. To measure that, the
# network must be judged as it is, and left as it was:
#
# $$\text{accuracy} = \frac{1}{N} \sum_{n=1}^{N} \mathbb{1}\big[\arg\max_c f(x_n;\ m \odot \theta_0)_c = y_n\big].$$
#
# $f$ is `model`, $\theta_0$ its parameters, $m$ are `masks`, $x_n$ and $y_n$ are an image and its label.
# $\mathbb{1}[\cdot]$ is 1 where the statement is true, and 0 elsewhere.
#
# *By hand.* Two inputs, two classes, $W = \begin{pmatrix} 1 & 0 \\ 3 & 2 \end{pmatrix}$, and the image $x = (1, 0)$ of
# class 0. The logits are $(1, 3)$: wrong. With the 3 masked they are $(1, 0)$: right, and nothing was trained.
#
# <details><summary>Hint</summary>
#
# `torch.func.functional_call(model, values, (images,))` runs a model with other values in the place of its parameters,
# and leaves the parameters alone. If you write into the parameters, put them back. Every *module* has a mode of its own
# (`module.training`), and `model.eval()` changes them all: note them down before. `masked_fill` sets entries to zero
# whatever they hold; a product with 0 does not.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=15
from solutions.lab10_lottery_tickets import supermask_accuracy

# %% tags=["visible-check"]
tiny = nn.Sequential(nn.Dropout(1.0), nn.Linear(2, 2, bias=False)).train()  # in training mode every input is dropped
tiny[1].eval()
with torch.no_grad():
    tiny[1].weight.copy_(torch.tensor([[1.0, 0.0], [3.0, 2.0]]))
inputs = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]])
classes = torch.tensor([0, 1, 0, 0, 1])
whole = supermask_accuracy(tiny, {}, inputs, classes)
assert abs(whole - 0.4) < 1e-6, (
    f"Without a mask two of the five inputs are classified right (0.4), but you returned {whole!r}.\n"
    "Is it 0.6? Then the dropout was active and every logit was 0: judge in evaluation mode."
)
without_3 = {"1.weight": torch.tensor([[True, True], [False, True]])}
masked = supermask_accuracy(tiny, without_3, inputs, classes)
assert isinstance(masked, float) and abs(masked - 0.8) < 1e-6, (
    f"You returned {masked!r}. With the 3 removed the logits are (1, 0), (0, 2), (2, 0), (3, 0), (4, 0): four of five are right, 0.8.\n"
    "Is it 0.2? Then True and False are exchanged. Is it 0.4? Then the mask had no effect. Is it 4? Then divide by N."
)
assert tiny[1].weight.tolist() == [[1.0, 0.0], [3.0, 2.0]], f"The network's weight was changed to {tiny[1].weight.tolist()}."
assert (tiny.training, tiny[0].training, tiny[1].training) == (True, True, False), (
    "Every module should be in the mode in which it was: here the whole and the dropout in training, the linear layer not."
)
with torch.no_grad():
    tiny[1].weight[1, 0] = float("inf")
infinite = supermask_accuracy(tiny, without_3, inputs, classes)
assert abs(infinite - 0.8) < 1e-6, f"A removed weight counts as 0, even an infinite one (0.8 again), but you returned {infinite!r}: a product gives NaN."
try:
    supermask_accuracy(tiny, {"weight": torch.ones(2, 2, dtype=torch.bool)}, inputs, classes)
except ValueError:
    pass
else:
    raise AssertionError("The network has no parameter `weight` (it is `1.weight`), and there was no ValueError.")
print("supermask_accuracy: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: accuracy without training
#
# Nothing is trained here; only masks are applied to untrained networks. Every mask but the random one comes from the
# training of the whole network in Part 1, and keeps the same share of every layer.
#
# | name | mask | values under the mask |
# |---|---|---|
# | large_final | by large_final | the start of that training |
# | same sign | by large_final, but a weight whose sign flipped in training gets the score 0 (Zhou's criterion for supermasks) | the start of that training |
# | same sign, one size | as same sign | one magnitude for each layer, the start's signs |
# | same mask, new values, old signs | by large_final | new magnitudes, the start's signs |
# | same mask, new values | by large_final | a new random start |
# | random | random | the start of that training |
#
# Two guesses before you run. (1) In Part 1 new values under the ticket's mask could still be trained. Do they also know something
# *without* training? (2) Where should "same sign" help most: when few weights are removed, or when nearly all are? Think of
# how many weights with a flipped sign large_final keeps at each sparsity. Chance is 10%.

# %% tags=["experiment"]
MASKS = {
    "same sign": "purple", "same sign, one size": "sky", "large_final": "blue",
    "same mask, new values, old signs": "green", "same mask, new values": "vermilion", "random": "orange",
}  # fmt: skip
LEVELS = [0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95]


def supermask(kind, level, seed):
    """The masks of one kind, one for each layer, from the training of the whole network."""
    start, final = starts[seed], prunable_weights(networks["ticket", 0, seed])
    if not kind.startswith("same sign"):
        return masks_by("random" if kind == "random" else "large_final", start, networks["ticket", 0, seed], level, seed)
    same = {name: final[name].sign() == start[name].sign() for name in LAYERS}
    return {name: keep_highest(final[name].detach().abs() * same[name], level) for name in LAYERS}


def under(masks, seed, kind):
    """Accuracy of an untrained network under these masks; `kind` says which values it has."""
    start = starts[seed]
    values = {
        "same sign, one size": lambda: with_signs(start, start, seed, "one size, old signs"),
        "same mask, new values, old signs": lambda: with_signs(start, others[seed], seed, "new values, old signs"),
        "same mask, new values": lambda: others[seed],
    }.get(kind, lambda: start)()
    model = copy.deepcopy(template)
    rewind(dict(model.named_parameters()), values, {})
    return supermask_accuracy(model, masks, images, labels)


free = {
    kind: [[under(supermask(kind, level, seed), seed, kind) for level in LEVELS] for seed in SEEDS]
    for kind in tqdm(MASKS, desc="supermasks")
}
free_ticket = {r: [under(searches[seed][0][r - 1], seed, "ticket") for seed in SEEDS] for r in SHOWN}


def long_free(kind):
    """What the long run recorded for one kind: seeds, levels."""
    return np.array([long_run("untrained", kind, f"{100 * level:g}") for level in LEVELS]).T


fig, ax = plt.subplots(figsize=(7, 5))
for kind, colour in MASKS.items():
    line(ax, [100 * level for level in LEVELS], free[kind], long_free(kind) if long_run("untrained", kind, "0") else [], kind, colour)
ax.axhline(10, color="grey", linestyle=":")
ax.text(95, 5, "chance", color="grey", ha="right")
ax.set_ylim(0, 110)
label_axes(ax, x="sparsity", x_unit="% in every layer", y="validation accuracy, nothing trained", y_unit="%", title=DRAWN)
ax.legend(loc="upper left", ncols=2, fontsize=9)
show(fig, alt="Accuracy of untrained networks against sparsity. Random masks, and the large_final mask on new values, stay at "
     "chance. The large_final mask on its own start rises far above it; asking for the same sign adds a little at mild "
     "sparsity; all fall at the highest sparsities, one size first.")


def row(name, seeds):
    """One line of the table: mean and spread at every sparsity."""
    cells = (f"{100 * column.mean():5.1f} ± {100 * column.std(ddof=1):4.1f}" for column in np.array(seeds).T)
    print(f"{name:39}", *cells)


table = {kind: np.array(free[kind] if FULL or not len(long_free(kind)) else long_free(kind)) for kind in MASKS}
print(f"{'%, ' + str(len(table['random'])) + ' seeds; sparsity:':39}", *(f"{100 * level:10.0f} %" for level in LEVELS))
for kind in MASKS:
    row(kind, table[kind])
row("same sign - large_final", table["same sign"] - table["large_final"])
row("same sign, one size - same sign", table["same sign, one size"] - table["same sign"])
flipped = []  # seeds, levels: of the weights that large_final keeps, the share whose sign has flipped in training
for seed in SEEDS:
    final = prunable_weights(networks["ticket", 0, seed])
    other = torch.cat([(final[name].sign() != starts[seed][name].sign()).flatten() for name in LAYERS])
    kept = [torch.cat([mask.flatten() for mask in supermask("large_final", level, seed).values()]) for level in LEVELS]
    flipped.append([other[mask].float().mean().item() for mask in kept])
row(f"kept with a flipped sign (live, {len(SEEDS)} seeds)", flipped)
print("The tickets of the five rounds, untrained:")
for r in SHOWN:
    print(f"{100 * SPARSITIES[r - 1]:3.0f} %   {beside(free_ticket[r], 'untrained', 'ticket', str(r))}")

# %% [markdown]
# **What we saw** (five seeds). Masks from the end of a training lift their own untrained network far above chance: about
# seven of ten images are right when half of the weights are gone, without one step of training. The mask *is* trained, of
# course: it has learned from the training images. What has it learned? The controls say it.
#
# - *The same mask on new values stays at chance*, like a random mask. So the places alone know nothing before training.
#   (They still help a network to *train*: Part 1.)
# - *New magnitudes with the old signs* bring most of it back: about 64% at a half. So what the mask knows is: "these weights
#   point in the right direction already". That fits Part 3.
# - *Same sign* is better than large_final at mild sparsity: by about five points at 30%, three at a half, in every seed. From 80% on it
#   adds less than a point. The last line of the table says why: the weights that are largest at the end hardly ever have
#   flipped their sign, so at high sparsity there is little left to sort out.
# - *One size* for all the kept weights of a layer is as good up to 70%. At 90% it is clearly worse. With few weights left
#   their sizes count.
#
# At high sparsity all of them fall, and the seeds differ by ten points. At 0% no weight is removed, and an
# untrained network is right for one image in ten, more or less, by accident; with one size it is another untrained
# network, and another accident.
#
# The ticket of Part 1 still has about 78% at 90%, where large_final has 38%. Again two things differ: its mask was found in
# three rounds, and in one pool for all the layers.
#
# ## Part 5 · Weights or shape?
#
# ### Exercise scratch_epochs
#
# Does pruning a large network find *weights*, or only a *shape*? Liu et al. prune whole channels, forget the weights,
# and train the small network from a new random start. To be fair they give it two budgets. *Scratch-E*: the same number
# of **e**pochs as the large network had. *Scratch-B*: the same **b**udget of multiply-adds (MACs). A small network
# costs less for each epoch, so it gets more of them:
#
# $$B = \left\lfloor \frac{E \cdot \text{MACs}_{\text{dense}}}{\text{MACs}_{\text{pruned}}} \right\rfloor .$$
#
# $E$ is `epochs`, and $\lfloor\cdot\rfloor$ rounds down, so that the budget is never exceeded.
#
# *By hand.* Ten epochs, 900 MACs against 400: $9000 / 400 = 22.5$, so $(E, B) = (10, 22)$.
#
# <details><summary>Hint</summary>
#
# Python's whole numbers are exact; a quotient of floats is not. Which operator divides whole numbers and rounds down?
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=7
from solutions.lab10_lottery_tickets import scratch_epochs

# %% tags=["visible-check"]
result = scratch_epochs(10, 900, 400)
assert tuple(result) == (10, 22), (
    f"You returned {result!r}, and (10, 22) was expected: 10 * 900 = 9000 is the budget, and 22 * 400 = 8800 fits into it.\n"
    "Is it 4? Then the ratio is upside down. Is it 20? Then you rounded the ratio before you multiplied.\n"
    "Is it 23? Then the budget is exceeded."
)
assert isinstance(result, tuple) and all(type(number) is int for number in result), f"Return a tuple of two ints, not {result!r}."
try:
    scratch_epochs(10, 400, 900)
except ValueError:
    pass
else:
    raise AssertionError("The pruned network costs more than the whole one, and there was no ValueError.")
print("scratch_epochs: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Experiment: fine-tune, Scratch-E, Scratch-B
#
# *Structured* pruning of the MLP: the hidden neurons with the largest L1 norms stay, and the network is rebuilt with a
# quarter or an eighth of its hidden width. The widths are chosen before, not by the data. The large network trains for
# three epochs (`labkit.training.train`: AdamW, whose learning rate first rises and then falls to zero). *Pruned*: the
# kept weights, not trained on. *Fine-tune*: the kept weights, two more epochs. *Scratch-E* and *Scratch-B*: new random values,
# three epochs or the budget's. And a control that the paper does not need, but we do: *scratch, 2 epochs*, new random
# values, trained exactly as long as fine-tuning. Only the values differ there.

# %% tags=["experiment"]
EPOCHS, TUNE, PEAK = 3, 2, 0.002
WIDTHS = {"1/4": (75, 25), "1/8": (38, 12)}
WAYS = {"fine-tune": "blue", "scratch, 2 epochs": "green", "Scratch-E": "orange", "Scratch-B": "vermilion"}


def narrow(model, hidden):
    """The network without all but the hidden neurons with the largest L1 norms."""
    rows1, rows2 = (
        layer.weight.detach().abs().sum(dim=1).topk(count).indices.sort().values
        for layer, count in zip((model.fc1, model.fc2), hidden)
    )
    small = MLP(hidden=hidden).to(device)
    small.load_state_dict({
        "fc1.weight": model.fc1.weight[rows1], "fc1.bias": model.fc1.bias[rows1],
        "fc2.weight": model.fc2.weight[rows2][:, rows1], "fc2.bias": model.fc2.bias[rows2],
        "fc3.weight": model.fc3.weight[:, rows2], "fc3.bias": model.fc3.bias,
    })
    return small


def trained(model, epochs, seed):
    """The model, trained for some epochs."""
    train(model, train_images, train_labels, lr=PEAK, epochs=epochs, seed=seed, progress=False)
    return model


def macs(hidden):
    """Multiply-adds of an MLP of these hidden widths, for one image."""
    return count_macs(MLP(hidden=hidden), (1, 28, 28))


budget = {width: scratch_epochs(EPOCHS, macs((300, 100)), macs(hidden)) for width, hidden in WIDTHS.items()}
structured, big = {}, {}  # (way, width, seed) -> network; seed -> the large network
with torch.random.fork_rng():
    for seed in tqdm(SEEDS, desc="structured"):
        torch.manual_seed(seed)
        big[seed] = trained(MLP().to(device), EPOCHS, seed)
        for width, hidden in WIDTHS.items():
            structured["pruned", width, seed] = narrow(big[seed], hidden).eval()
            structured["fine-tune", width, seed] = trained(narrow(big[seed], hidden), TUNE, seed)
            for way, epochs in (("scratch, 2 epochs", TUNE), *zip(("Scratch-E", "Scratch-B"), budget[width])):
                structured[way, width, seed] = trained(MLP(hidden=hidden).to(device), epochs, seed)
rebuilt = {key: validate(model) for key, model in structured.items()}
large = [validate(big[seed]) for seed in SEEDS]

fig, ax = plt.subplots()
for place, (way, colour) in enumerate(WAYS.items()):
    live = np.array([[rebuilt[way, width, seed] for width in WIDTHS] for seed in SEEDS])  # seeds, widths
    long = np.array([long_run("structured", width, way) for width in WIDTHS]).T
    dots(ax, np.arange(len(WIDTHS)) + 0.18 * (place - 1.5), live, long, colour, way)
level = 100 * np.mean(large if FULL else long_run("structured", "large") or large)
ax.axhline(level, color="grey", linestyle=":")
ax.text(0.5, level + 0.15, "large network", color="grey", ha="center", va="bottom")
ax.set_xlim(-0.5, len(WIDTHS) - 0.5)
ax.set_xticks(range(len(WIDTHS)), [f"{width}\n(Scratch-B: {budget[width][1]} epochs)" for width in WIDTHS])
label_axes(ax, x="hidden width left", x_unit="share", y="validation accuracy", y_unit="%", title=DRAWN)
ax.grid(axis="x", visible=False)
ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.24))
show(fig, alt="Accuracy of small networks of two widths: fine-tuned; from scratch for two epochs; Scratch-E; Scratch-B. Scratch-B is "
     "the highest at both widths and lies above the large network's dotted line.")
print(f"large network, {EPOCHS} epochs                 {beside(large, 'structured', 'large')}")
for width in WIDTHS:
    for way in ("pruned", *WAYS):
        values = [rebuilt[way, width, seed] for seed in SEEDS]
        print(f"width {width}  {way:29} {beside(values, 'structured', width, way)}")
    for way, key in (("scratch, 2 epochs", "two_minus_tune"), ("Scratch-E", "E_minus_tune"), ("Scratch-B", "B_minus_tune")):
        gaps = np.array([rebuilt[way, width, seed] - rebuilt["fine-tune", width, seed] for seed in SEEDS])
        print(f"width {width}  {way + ' - fine-tune':29} {beside(gaps, 'structured', width, key)}")

# %% [markdown]
# **What we saw** (five seeds). The pruned networks before any further training are far below all the rest. Then it
# depends on what one compares:
#
# - *Fine-tune against scratch, 2 epochs*: the same network, the same training, other values to begin with. At a quarter of
#   the width the inherited weights are worth about one and a half points, in every seed. At an eighth they are worth
#   nothing: the difference lies within its spread.
# - *Fine-tune against Scratch-E*: one epoch more makes up for the inherited weights. At a quarter the two are equal within
#   the spread, at an eighth Scratch-E is better. And the large network's own three epochs came before the fine-tuning.
# - *Fine-tune against Scratch-B*, on the same budget as the large network: Scratch-B is better by far, and better than the
#   large network.
#
# So what Liu et al. report shows here too: once the shape is known, training it from scratch does as well, or better.
#
# Be fair to both sides. Our large network is far from finished after three epochs. A budget for 13 or 26 epochs of a
# small one is then a large advantage: Scratch-B mostly shows that everything here is trained too briefly. And the widths were
# set by hand: where a method *finds* the widths, the shape itself may be worth its price.
#
# ## Part 6 · The test images
#
# ### Experiment: once, at the end

# %% tags=["experiment"]
test_images, test_labels = (tensor.to(device) for tensor in load_fashion_mnist("test"))


def test(models):
    """Accuracies on the test images, one for each seed."""
    return [accuracy(model, test_images, test_labels) for model in models]


tested = {"whole": test([networks["ticket", 0, seed] for seed in SEEDS]), "large": test([big[seed] for seed in SEEDS])}
for arm in ("ticket", "new values", "shuffled, new values", "new values, old signs"):
    for r in SHOWN:
        tested[f"{arm}, round {r}"] = test([networks[arm, r, seed] for seed in SEEDS])
for way in WAYS:
    for width in WIDTHS:
        tested[f"{way}, {width}"] = test([structured[way, width, seed] for seed in SEEDS])
for name, values in tested.items():
    print(f"{name:32} {beside(values, 'test', name)}")

# %% [markdown]
# **What we saw.** The test images tell the same story in the same order: the ticket, and the new values with the old
# signs close to it; then new values, then the shuffled mask; and Scratch-B above fine-tuning. All the numbers are a
# little lower than on the validation images, as in the labs before.

# %% [markdown] tags=["question"]
# ### Written question
#
# A colleague writes: "We found a winning ticket: at 98% sparsity our small network trains as well as the large one. So
# in future we shall train only the small one, and save 98% of the work." Answer in about twelve lines, with your own
# plots and the recorded numbers as evidence. (a) Is the first sentence right for our network? What did the search cost, and
# what is wrong with the second sentence?
# (b) Name the *two* controls that one needs before one may say "the initial values matter" and "the mask's positions
# matter", and say what they showed here. (c) For structured pruning, what did Scratch-B show here, and does that
# contradict the ticket? (d) Name one thing that a two-layer network on small grey images cannot show.

# %% [markdown] tags=["written"] points=3 grade_id="what_a_ticket_is_worth"
# **Model answer.** (a) Only just: at 98% the ticket ends about half a point below the whole network, in all five seeds,
# which is within the spread of that difference; at 54 to 96% it is above. The search took five trainings of the whole network (or of ever sparser ones at the same cost
# with dense kernels), and then one more. The ticket is known only afterwards, so nothing was saved in training; at most
# in use, and only with a format or hardware that gains from single zeros. The whole network, trained for half of
# those steps, is better than the ticket after 200.
#
# (b) The same mask with new random values: lower, so the values matter. The shuffled mask with the same number of
# weights in each layer: lower again, and then old values do not help, so the places matter, and the values only
# together with them. All of it at equal steps, same images, five seeds.
#
# (c) The small dense network from a random start, on the same budget of MACs, was clearly better than the fine-tuned
# one (and than the large one, which was trained briefly). No contradiction: after structured pruning a small *dense*
# network is left, whose shape we chose beforehand; a ticket is an unstructured mask, and there new values did cost
# accuracy.
#
# (d) One of: deeper networks need late rewinding; signs are not enough there; large learning rates with SGD; harder
# data; a whole network trained to its end.
#
# **Points.** 1 for (a): a look at the difference and its spread, the cost of the search, and one reason why training is not saved. 1 for (b): both controls with
# what they showed. 1 for (c) and (d) together.

# %% tags=["record"]
# For the course's makers: where LABKIT_RECORD names a folder, write what the lecture note quotes into it.
import json
from pathlib import Path


def summary(values):
    """Mean and standard deviation over the seeds, the mean's opposite (notes mark numbers without a sign), the values."""
    values = [round(float(value), 6) for value in values]
    mean = round(float(np.mean(values)), 6)
    return {"mean": mean, "minus": -mean, "sd": round(float(np.std(values, ddof=1)), 6), "seeds": values}


def gap(one, other):
    """The summary of the differences, seed by seed."""
    return summary(np.array(one) - np.array(other))


def setting_gaps(name):
    """The differences that count in one setting of the training."""
    result = {
        "gap": gap(settings[name, "ticket"], settings[name, "new values"]),
        "against_whole": gap(settings[name, "ticket"], settings[name, "whole"]),
    }
    if (name, "late ticket") in settings:
        result["late_gap"] = gap(settings[name, "late ticket"], settings[name, "ticket"])
    return result


if folder := os.environ.get("LABKIT_RECORD"):
    arms = (*ARMS, *KINDS)
    record = {
        "made_by": "in labs/: LABKIT_RECORD=../data/results python source/lab10_lottery_tickets.py",
        "unit": "accuracies, differences and sparsities are fractions; sd is the standard deviation over seeds (n - 1)",
        "images": {"train": len(train_images), "validation": len(images), "test": len(test_images)},
        "training": {"steps": STEPS, "batch": BATCH, "learning_rate": LR, "rounds": ROUNDS},
        "sparsities": {str(r): round(SPARSITIES[r - 1], 6) for r in range(1, ROUNDS + 1)},
        "dense": summary(dense),
        "rounds": {str(r): summary(of("ticket", r)) for r in range(1, ROUNDS + 1)},
        "tickets": {str(r): {key_of(arm): summary(of(arm, r)) for arm in arms} for r in SHOWN},
        "gap": {str(r): gap(of("ticket", r), of("new values", r)) for r in SHOWN},
        "against_dense": {str(r): gap(of("ticket", r), dense) for r in range(1, ROUNDS + 1)},
        "gaps": {
            str(r): {
                "signs": gap(of("new values, old signs", r), of("new values", r)),
                "ticket_over_signs": gap(of("ticket", r), of("new values, old signs", r)),
                "shuffle": gap(of("new values", r), of("shuffled, new values", r)),
                "old_values_shuffled": gap(of("shuffled, old values", r), of("shuffled, new values", r)),
            }
            for r in SHOWN
        },
        "settings": {
            key_of(name): {key_of(arm): summary(settings[name, arm]) for arm in SETTING_ARMS if (name, arm) in settings}
            | setting_gaps(name)
            for name in SETTINGS
        },
        "criteria": {
            criterion: summary(values) | {"over_random": gap(values, by_criterion["random"])}
            for criterion, values in by_criterion.items()
        },
        "criteria_gaps": {
            f"{one}_minus_{other}": gap(by_criterion[one], by_criterion[other])
            for one, other in (("large_final", "magnitude_increase"), ("movement", "large_init_large_final"))
        },
        "untrained": {
            key_of(kind): {f"{100 * level:g}": summary(column) for level, column in zip(LEVELS, np.array(rows).T)}
            for kind, rows in free.items()
        }
        | {"ticket": {str(r): summary(values) for r, values in free_ticket.items()}}
        | {
            f"{key_of(one)}_minus_{key_of(other)}": {
                f"{100 * level:g}": gap(*columns)
                for level, *columns in zip(LEVELS, np.array(free[one]).T, np.array(free[other]).T)
            }
            for one, other in (("same sign", "large_final"), ("same sign, one size", "same sign"))
        },
        "structured": {"large": summary(large)}
        | {
            key_of(width): {key_of(way): summary([rebuilt[way, width, seed] for seed in SEEDS]) for way in ("pruned", *WAYS)}
            | {
                "epochs_B": budget[width][1],
                "B_minus_tune": gap(*([rebuilt[way, width, seed] for seed in SEEDS] for way in ("Scratch-B", "fine-tune"))),
                "two_minus_tune": gap(
                    *([rebuilt[way, width, seed] for seed in SEEDS] for way in ("scratch, 2 epochs", "fine-tune"))
                ),
                "E_minus_tune": gap(*([rebuilt[way, width, seed] for seed in SEEDS] for way in ("Scratch-E", "fine-tune"))),
            }
            for width in WIDTHS
        },
        "test": {key_of(name): summary(values) for name, values in tested.items()},
    }
    Path(folder, "lab10_lottery_tickets.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

# %% [markdown]
# ## What to take with you
#
# - **A ticket is a mask and a start, together.** Old values under a shuffled mask are worth no more than new ones,
#   and new values under the mask cost accuracy. Never believe one without its controls.
# - **It is found by training.** The search costs as many trainings as it has rounds. It tells us that a sparse network
#   *can* be trained; it does not make training cheaper.
# - **Keep what is large at the end.** A high score means keep. large_final was the best criterion here; those that keep
#   small weights, or weights that shrank, train worse than a random mask.
# - **Signs carry much, in a small network.** In deeper ones they are reported not to be enough.
# - **A mask can hold what training learned**, but only together with the signs that it was found with.
# - **Ask for Scratch-B.** Before you praise the weights of a pruned network, train its shape from scratch on the same
#   budget.
# - **What this scale cannot show:** a gain by late rewinding (we tried, and it brought none), large learning rates with SGD,
#   deep networks. Our whole network is small, and trained for a short time.
#
# Lab 9 asks for a sparse network that never was dense. Lab 5 has criteria that estimate how much the loss would rise.
#
# **Read next.** Frankle and Carbin (2019), sections 1 and 2. Zhou et al. (2019). Liu et al. (2019), section 6, for
# their view of the ticket. Frankle et al. (2020), [arXiv:1912.05671](https://arxiv.org/abs/1912.05671), for late
# rewinding. Frankle et al. (2021), [arXiv:2009.08576](https://arxiv.org/abs/2009.08576), for masks that are chosen
# before training. The lecture note of this lab (`lecture_notes/lab10_lottery_tickets.md` in the course's repository)
# works small examples by hand.
