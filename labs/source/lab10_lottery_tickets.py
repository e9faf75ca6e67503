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
# [arXiv:1810.05270](https://arxiv.org/abs/1810.05270): the counter-evidence.
#
# **The words.** A *mask* is boolean, and `True` means keep. *Sparsity* is the fraction removed. A *score* is higher for
# a weight that should be kept. To *rewind* is to put weights back to the value that they had at an earlier step. A
# *ticket* is a mask together with the initial values of the weights that it keeps. It *wins* if it trains to the
# accuracy of the whole network in the same number of steps. A *control* is the same training with one thing changed.
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
# several minutes, so the notebook runs **two** seeds live, and prints beside them what the course's long run recorded
# with **five**. The text under each experiment speaks of the five. To make the long run yourself, start Jupyter with
# the environment variable `LABKIT_FULL=1`.

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
    """Mean and standard deviation over the seeds, as text."""
    return f"{100 * np.mean(values):5.1f} ± {100 * np.std(values, ddof=1):4.1f} %"


def key_of(text):
    """A name as a key of the results file: no blanks, no commas, no slashes."""
    return text.replace(", ", "_").replace(" ", "_").replace("/", "_")


def beside(values, *keys):
    """The live numbers as text, and beside them those that the long run recorded under these keys."""
    entry = recorded
    for key in keys:
        entry = entry.get(key_of(key), {})
    text = f"{in_percent(values)} ({len(values)} seeds, live)"
    return text + (f"   recorded: {in_percent(entry['seeds'])} ({len(entry['seeds'])} seeds)" if entry else "")


print(f"{len(train_images):,} training images, {STEPS} steps of {BATCH} images; live seeds: {len(SEEDS)}")
print(f"recorded: {len(recorded.get('dense', {}).get('seeds', []))} seeds")

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
# and not to step 0; then the checkpoint is $\theta_k$. The function does not care.
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
gain = {"a": torch.tensor([5.0, 2.0]), "b": torch.tensor([1.0, 1.0])}


def stretch(start, masks):
    """Stands for the training: multiply each weight by a fixed factor, in place."""
    journal.append({name: value.tolist() for name, value in start.items()})
    return {name: start[name].mul_(gain[name]) for name in start}


first = {"a": torch.tensor([1.0, 4.0]), "b": torch.tensor([2.0, -3.0])}
result = find_ticket(first, stretch, lambda w_i, w_f: w_f.abs(), rounds=2, fraction=0.5)
assert isinstance(result, list) and len(result) == 2, f"Return a list with the masks after each of the 2 rounds, not {result!r}."
found = [{name: mask.tolist() for name, mask in masks.items()} for masks in result]
assert found[0] == {"a": [True, True], "b": [False, False]}, (
    f"After round 1 your masks are {found[0]}. Training gives a = (5, 8) and b = (2, -3); the lowest two are both in b.\n"
    "Is one weight gone in each layer? Then you ranked layer by layer.\n"
    "Are those of a gone? Then you removed the highest. Is only the 2 gone? Then the -3 was ranked without `score`."
)
assert len(journal) == 2 and journal[1] == {"a": [1.0, 4.0], "b": [0.0, 0.0]}, (
    f"Round 2 trained from {journal[-1]}; it should start from a = (1, 4), b = (0, 0): the *initial* values, masked.\n"
    "Is a = (5, 8)? Then nothing was rewound, or `train` changed your only copy of the start."
)
assert found[1] == {"a": [False, True], "b": [False, False]}, (
    f"After round 2 your masks are {found[1]}. Two weights were left, so one of them goes: the 5 of a.\n"
    "Are both gone? Then a round removed half of all the weights, not half of what is left.\n"
    "Are both still there? Then you ranked the removed weights again: they have magnitude 0."
)
assert first["a"].tolist() == [1.0, 4.0], "`initial` has been changed."
tied = find_ticket({"w": torch.ones(4)}, lambda start, masks: start, lambda w_i, w_f: w_f, 1, 0.5)[0]["w"]
assert tied.tolist() == [False, False, True, True], f"Of equal scores the first go; your mask is {tied.tolist()}."
print("find_ticket: the visible checks pass")

# %% tags=["graded"] points=5

# %% [markdown]
# ### Experiment: the ticket and its controls
#
# Five rounds that end at 98%: the sparsities are 54, 79, 90, 96 and 98%. Then, at three of them, the ticket against
# controls that change one thing:
#
# - *new values*: the same mask, a new random start;
# - *shuffled, old values*: the mask's positions are shuffled inside each layer, so each layer keeps its number of
#   weights; the values are the old ones;
# - *shuffled, new values*: both.
#
# Guess first. If only the *number* of weights in each layer matters, which curves will lie on each other?

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
def over_weights_left(ax, arms):
    """Draw the accuracies of some arms against the share of the weights that are left."""
    for arm, colour in arms.items():
        rounds = range(1, ROUNDS + 1) if arm == "ticket" else SHOWN
        values = 100 * np.array([of(arm, r) for r in rounds]).T  # seeds, rounds
        curve(ax, [100 * (1 - SPARSITIES[r - 1]) for r in rounds], values, label=arm, colour=colour)
    ax.set_xscale("log")
    ax.invert_xaxis()
    ax.set_xticks([50, 20, 10, 5, 2], ["50", "20", "10", "5", "2"])
    ax.minorticks_off()
    label_axes(ax, x="weights left", x_unit="%, log scale", y="validation accuracy", y_unit="%", title=f"{len(SEEDS)} seeds")
    ax.legend(loc="lower left")


def dots(ax, at, values, colour, label):
    """Draw every seed's value, [places, seeds], and a bar of one standard deviation to each side of the mean."""
    ax.errorbar(at, values.mean(1), values.std(1, ddof=1), fmt="none", color=COLOURS[colour], capsize=4)
    ax.scatter(np.repeat(at, values.shape[1]), values.flatten(), s=25, color=COLOURS[colour], label=label,
               marker=MARKERS[list(COLOURS).index(colour)])


fig, ax = plt.subplots()
over_weights_left(ax, ARMS)
ax.axhline(100 * np.mean(dense), color="grey", linestyle=":")
ax.text(50, 100 * np.mean(dense) - 0.2, "whole network", color="grey", va="top")
show(fig, alt="Accuracy against the share of weights that are left, from half to two percent. The ticket lies above the whole "
     "network until few weights are left; new values are lower; the two shuffled masks are lowest and fall fastest.")

print(f"whole network                      {beside(dense, 'dense')}")
for r in SHOWN:
    for arm in ARMS:
        print(f"{100 * SPARSITIES[r - 1]:3.0f} %  {arm:22}       {beside(of(arm, r), 'tickets', str(r), arm)}")
    gaps = np.array(of("ticket", r)) - of("new values", r)
    print(f"{100 * SPARSITIES[r - 1]:3.0f} %  ticket minus new values      {beside(gaps, 'gap', str(r))}")

# %% [markdown]
# **What we saw.** Read the recorded five seeds. Down to a tenth of the weights the ticket ends *above* the whole
# network, by more than the spread, and at 98% about where the whole network is. So, in a training of this length, there
# is a winning ticket. The controls say what it is made of:
#
# - With *new values* under the same mask it is lower at every sparsity, and the gap grows with the sparsity. So the
#   values matter.
# - With *shuffled positions* it is lower again, although each layer keeps its number of weights. So the places matter.
# - Under a shuffled mask the *old values* are worth no more than new ones: the two lowest curves lie within their
#   spread of each other. The values are lucky only at the places that the mask has chosen.
#
# Now the honest part. The mask cost **five whole trainings**, and it has seen every training image five times. The
# ticket was not drawn; it was computed. And 200 steps leave the whole network unfinished, which flatters anything that
# learns faster. The next experiment asks how much.
#
# ### Experiment: does it last?
#
# Our trainings are short, and the learning rate is small. Is the ticket's advantage only a better start into a training
# that is cut off too early? And Liu et al. (2019) report that with a large learning rate the ticket of an
# *unstructured* mask is no better than a random start. So the same at 98% with three times the steps, and with a five
# times larger learning rate. The *late ticket* is found by late rewinding: every round goes back to the weights after
# the first tenth of the steps, and not to step 0. This is the long run: its numbers are recorded, and the cell below
# draws them. It computes them anew only if `LABKIT_FULL` is set.

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
        values = 100 * np.array([settings[name, arm] for name in which])  # settings, seeds
        at = np.array([list(SETTINGS).index(name) for name in which]) + 0.15 * (place - 1.5)
        dots(ax, at, values, colour, arm)
    ax.set_xticks(range(len(SETTINGS)), list(SETTINGS))
    title = f"98 % sparsity, {values.shape[1]} seeds"
    label_axes(ax, x="training", x_unit="setting", y="validation accuracy", y_unit="%", title=title)
    ax.grid(axis="x", visible=False)
    ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    show(fig, alt="For three settings of the training, dots for the whole network, the ticket, the ticket's mask with new values "
         "and the late ticket, at 98% sparsity. The order and the gaps are in the printed lines.")
    for name in SETTINGS:
        print(name, *(f"{arm} {in_percent(settings[name, arm])}" for arm in SETTING_ARMS if (name, arm) in settings), sep="   ")
        gaps = np.array(settings[name, "ticket"]) - settings[name, "new values"]
        print(f"    ticket minus new values {in_percent(gaps)}")

# %% [markdown]
# **What we saw** (three seeds). With three times the steps everything gains, and the new values gain most. The ticket
# and the whole network are equal within the spread, with two percent of the weights. The gap between the ticket and the
# new values has become smaller, and it is still many times its spread. So a part of the advantage was a head start into
# a short training, and a part was not.
#
# With the larger learning rate the gap stays too. What Liu et al. report for large learning rates did not show here. Do
# not conclude that they are wrong: theirs are deep convolutional networks trained by SGD to their end, ours has two
# hidden layers and is trained briefly by Adam. And the ticket now lies far above the whole network: the ticket likes
# the larger rate, the whole network gains nothing by it, and is an easy mark. Late rewinding brings nothing here: the
# late ticket equals the ticket, within the spread. That agrees with Frankle et al. (2020), who need it where training
# is unstable at the start, and find that on MNIST it is stable from the start.
#
# ## Part 2 · Which weights?
#
# ### Exercise ticket_scores
#
# Magnitude after training is one criterion of many. Zhou et al. look at a weight as a point: its value before training,
# $w_i$, and after it, $w_f$. A criterion is a score of this point, and **the weights with the highest scores are
# kept**. The nine criteria stand in the docstring below.
#
# Read *magnitude_increase*, $|w_f| - |w_i|$, once more. One of the course's sources says that pruning
# the weights whose magnitude changed most works best. It is the other way round: these are the weights to *keep*.
#
# *By hand.* $w_i = (0.5, -0.25)$ and $w_f = (-0.75, -0.125)$. large_final: $(0.75, 0.125)$. magnitude_increase:
# $(0.25, -0.125)$, so the first weight stays. movement: $(1.25, 0.125)$. large_init_large_final with $\alpha = 0.5$:
# $(\min(0.375, 0.5), \min(0.0625, 0.25)) = (0.375, 0.0625)$.
#
# <details><summary>Hint</summary>
#
# `torch.minimum` takes the smaller of two numbers at each place; `torch.min` of one tensor is something else. Which
# criterion has a minus in front of everything? `torch.rand` takes a `generator`.
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
        "Is only a sign wrong? Look at where you take the absolute value: before the difference, or after it?"
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
# the ratio of the median of $|w_i|$ to the median of $|w_f|$ in the layer. Guess the order before you run.

# %% tags=["experiment"]
CRITERIA = [
    "large_final", "magnitude_increase", "movement", "large_init_large_final", "large_init", "random",
    "small_init", "small_init_small_final", "small_final",
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
        masks[name] = keep_highest(ticket_scores(start[name], final, criterion, alpha, generator), sparsity)
    return masks


by_criterion = {criterion: [] for criterion in CRITERIA}
for criterion, seed in tqdm([(criterion, seed) for criterion in CRITERIA for seed in SEEDS], desc="criteria"):
    masks = masks_by(criterion, starts[seed], networks["ticket", 0, seed], 0.9, seed)
    by_criterion[criterion].append(validate(fit(starts[seed], masks, seed)))

fig, ax = plt.subplots(figsize=(8, 4.4))
for place, criterion in enumerate(reversed(CRITERIA)):
    values = 100 * np.array(by_criterion[criterion])
    ax.errorbar(values.mean(), place, xerr=values.std(ddof=1), fmt="none", color=COLOURS["blue"], capsize=4)
    ax.scatter(values, [place] * len(values), s=25, color=COLOURS["blue"], zorder=3)
ax.axvline(100 * np.mean(dense), color="grey", linestyle=":")
ax.axvspan(*(100 * (np.mean(by_criterion["random"]) + sign * np.std(by_criterion["random"], ddof=1)) for sign in (-1, 1)),
           color=COLOURS["orange"], alpha=0.2, linewidth=0)
ax.text(100 * np.mean(dense), len(CRITERIA) - 0.45, "whole network", color="grey", ha="center", va="bottom")
ax.set_yticks(range(len(CRITERIA)), list(reversed(CRITERIA)))
label_axes(ax, x="validation accuracy after training", x_unit="%", y="criterion", y_unit="what is kept")
show(fig, alt="Accuracy after training for nine mask criteria at 90% sparsity, one row each, with a band for the random mask. "
     "large_final, magnitude_increase and movement are to its right, the three that keep small weights to its left.")
for criterion in CRITERIA:
    print(f"{criterion:24} {beside(by_criterion[criterion], 'criteria', criterion)}")

# %% [markdown]
# **What we saw.** The criteria fall into the groups that their meaning suggests. *large_final* is best,
# *magnitude_increase* and *movement* follow, and these keep weights that training has used. *large_init* and
# *large_init_large_final* are near the random mask, or a little above it: the start alone knows little. The three that
# keep *small* weights lie below random. So the right way round matters: a mask that keeps what magnitude_increase would
# remove is worse than one drawn by lot.
#
# Zhou et al. report that several criteria are as good as large_final, or better. Here magnitude_increase is behind it
# by about the spread of the difference, and movement clearly. One round, one sparsity and one small network do not
# decide it.
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
# *one size, random signs*. Here the ticket's own values are the measure of success.

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
over_weights_left(ax, {"ticket": "blue", "new values": "orange"} | KINDS)
show(fig, alt="Accuracy against the share of weights left for the ticket's mask with five kinds of initial values. The two kinds "
     "with the old signs lie near the ticket; the two without lie lower.")
for r in SHOWN:
    for arm in ("ticket", "new values", *KINDS):
        print(f"{100 * SPARSITIES[r - 1]:3.0f} %  {arm:24} {beside(of(arm, r), 'tickets', str(r), arm)}")

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
# ## Part 4 · The supermask
#
# ### Exercise supermask_accuracy
#
# A mask from the end of a training can raise the accuracy of the *untrained* network far above chance: Zhou et al. call it
# a *supermask*. To measure that, the network must be judged as it is, and left as it was:
#
# $$\text{accuracy} = \frac{1}{N} \sum_{n=1}^{N} \mathbb{1}\big[\arg\max_c f(x_n;\ m \odot \theta_0)_c = y_n\big].$$
#
# $f$ is `model`, $\theta_0$ its parameters, $m$ are `masks`, $x_n$ and $y_n$ are an image and its label.
#
# *By hand.* Two inputs, two classes, $W = \begin{pmatrix} 1 & 0 \\ 3 & 2 \end{pmatrix}$, and the image $x = (1, 0)$ of
# class 0. The logits are $(1, 3)$: wrong. With the 3 masked they are $(1, 0)$: right, and nothing was trained.
#
# <details><summary>Hint</summary>
#
# `torch.func.functional_call(model, values, (images,))` runs a model with other values in the place of its parameters,
# and leaves the parameters alone. If you write into the parameters, put them back. Every *module* has a mode of its own
# (`module.training`).
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=15
from solutions.lab10_lottery_tickets import supermask_accuracy

# %% tags=["visible-check"]
tiny = nn.Sequential(nn.Dropout(0.9), nn.Linear(2, 2, bias=False)).train()
tiny[0].eval()
with torch.no_grad():
    tiny[1].weight.copy_(torch.tensor([[1.0, 0.0], [3.0, 2.0]]))
inputs, classes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [3.0, 0.0]]), torch.tensor([0, 1, 0, 1])
whole = supermask_accuracy(tiny, {}, inputs, classes)
assert whole == 0.5, f"Without a mask two of the four inputs are classified right (0.5), but you returned {whole!r}."
masked = supermask_accuracy(tiny, {"1.weight": torch.tensor([[True, True], [False, True]])}, inputs, classes)
assert isinstance(masked, float) and masked == 0.75, (
    f"You returned {masked!r}. With the 3 removed the logits are (1, 0), (0, 2), (2, 0), (3, 0): three of four are right, 0.75.\n"
    "Is it 0.25? Then True and False are exchanged. Is it 0.5? Then the mask had no effect.\n"
    "Is it another number each time? Then the dropout was active: judge in evaluation mode."
)
assert tiny[1].weight.tolist() == [[1.0, 0.0], [3.0, 2.0]], f"The network's weight was changed to {tiny[1].weight.tolist()}."
assert (tiny.training, tiny[0].training, tiny[1].training) == (True, False, True), (
    "Every module should be in the mode in which it was: here the whole and the linear layer in training, the dropout not."
)
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
# Nothing is trained here; only masks are applied to the untrained networks. *random* masks; *large_final* masks; *same
# sign*: large_final, but a weight whose sign has flipped during training gets the score 0 (Zhou's criterion for
# supermasks); and *same sign, one size*, where all the kept weights of a layer have the same magnitude. Chance is 10%.
# The ticket of the five rounds is printed too.

# %% tags=["experiment"]
MASKS = {"same sign, one size": "sky", "same sign": "purple", "large_final": "blue", "random": "orange"}
LEVELS = [0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95]


def untrained(kind, level, seed):
    """Accuracy of an untrained network under one kind of mask."""
    start, trained = starts[seed], prunable_weights(networks["ticket", 0, seed])
    model = copy.deepcopy(template)
    values = with_signs(start, start, seed, "one size, old signs") if kind.endswith("one size") else start
    rewind(dict(model.named_parameters()), values, {})
    if kind in ("large_final", "random"):
        masks = masks_by(kind, start, networks["ticket", 0, seed], level, seed)
    else:
        same = {name: trained[name].sign() == start[name].sign() for name in LAYERS}
        masks = {name: keep_highest(trained[name].detach().abs() * same[name], level) for name in LAYERS}
    return supermask_accuracy(model, masks, images, labels)


free = {kind: [[untrained(kind, level, seed) for level in LEVELS] for seed in SEEDS] for kind in tqdm(MASKS, desc="supermasks")}
free_ticket = {r: [] for r in SHOWN}
for seed in SEEDS:
    model = copy.deepcopy(template)
    rewind(dict(model.named_parameters()), starts[seed], {})
    for r in SHOWN:
        free_ticket[r].append(supermask_accuracy(model, searches[seed][0][r - 1], images, labels))

fig, ax = plt.subplots()
for kind, colour in MASKS.items():
    curve(ax, [100 * level for level in LEVELS], 100 * np.array(free[kind]), label=kind, colour=colour)
ax.axhline(10, color="grey", linestyle=":")
ax.text(1, 3, "chance", color="grey")
ax.set_ylim(0, 100)
title = f"nothing is trained; {len(SEEDS)} seeds"
label_axes(ax, x="sparsity", x_unit="% in every layer", y="validation accuracy", y_unit="%", title=title)
ax.legend(loc="upper left", ncols=2)
show(fig, alt="Accuracy of untrained networks against sparsity. Random masks stay at chance. Masks from the end of a "
     "training rise far above it, with or without the same sign or one size, and fall again at the highest sparsities.")
for kind in MASKS:
    for place in (1, 2, 4, 5):
        percent = f"{100 * LEVELS[place]:g}"
        print(f"{kind:22} {percent} %   {beside(np.array(free[kind])[:, place], 'untrained', kind, percent)}")
for r in SHOWN:
    print(f"ticket of the rounds   {100 * SPARSITIES[r - 1]:.0f} %   {beside(free_ticket[r], 'untrained', 'ticket', str(r))}")

# %% [markdown]
# **What we saw.** Random masks stay at chance. Masks from the end of a training lift the untrained network far above
# it: most of the images are right when half of the weights are gone, and the ticket of the five rounds
# is still better at 90%, without one step of training. So a mask can hold a good part of what training has learned. (It
# has learned it from the training images: the mask *is* trained, only the weights are not.)
#
# Asking for the same sign, as Zhou et al. do, helps at mild sparsity (30%). From a half on the three kinds cannot be
# told apart, and one size changes little. At high sparsity all of them fall, and the seeds differ by ten points: too
# few weights are left, of sizes that were never adjusted.
#
# ## Part 5 · The counter-evidence
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
# three epochs (`labkit.training.train`: AdamW, one-cycle). *Fine-tune*: the kept weights, two more epochs. *Scratch-E*
# and *Scratch-B*: new random values.

# %% tags=["experiment"]
EPOCHS, TUNE, PEAK = 3, 2, 0.002
WIDTHS = {"1/4": (75, 25), "1/8": (38, 12)}
WAYS = {"fine-tune": "blue", "Scratch-E": "orange", "Scratch-B": "vermilion"}


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
            for way, epochs in zip(("Scratch-E", "Scratch-B"), budget[width]):
                structured[way, width, seed] = trained(MLP(hidden=hidden).to(device), epochs, seed)
rebuilt = {key: validate(model) for key, model in structured.items()}
large = [validate(big[seed]) for seed in SEEDS]

fig, ax = plt.subplots()
for place, (way, colour) in enumerate(WAYS.items()):
    values = 100 * np.array([[rebuilt[way, width, seed] for seed in SEEDS] for width in WIDTHS])  # widths, seeds
    dots(ax, np.arange(len(WIDTHS)) + 0.2 * (place - 1), values, colour, way)
ax.axhline(100 * np.mean(large), color="grey", linestyle=":")
ax.text(len(WIDTHS) - 0.55, 100 * np.mean(large), "large network", color="grey", ha="right", va="bottom")
ax.set_xlim(-0.5, len(WIDTHS) - 0.5)
ax.set_xticks(range(len(WIDTHS)), [f"{width}: {EPOCHS} or {budget[width][1]}" for width in WIDTHS])
x_unit = "share; epochs of Scratch-E or Scratch-B"
label_axes(ax, x="hidden width left", x_unit=x_unit, y="validation accuracy", y_unit="%", title=f"{len(SEEDS)} seeds")
ax.grid(axis="x", visible=False)
ax.legend(loc="lower left")
show(fig, alt="Accuracy of small networks after fine-tuning, Scratch-E and Scratch-B, for each width, with the large network's as "
     "a dotted line. The values are in the printed lines.")
print(f"large network, {EPOCHS} epochs            {beside(large, 'structured', 'large')}")
for width in WIDTHS:
    for way in ("pruned", *WAYS):
        values = [rebuilt[way, width, seed] for seed in SEEDS]
        print(f"width {width}  {way:10}                 {beside(values, 'structured', width, way)}")

# %% [markdown]
# **What we saw.** With the same number of epochs the small network from scratch is as good as the fine-tuned one (a
# quarter of the width: within the spread) or better (an eighth). With the same *budget* it is better by far, and better
# than the large network. So here the inherited weights of the pruned network bring nothing, and the
# counter-evidence of Liu et al. shows plainly.
#
# Be fair to both sides. Our large network is far from finished after three epochs, so a budget for many small epochs is
# a great gift: Scratch-B mostly shows that everything here is trained too briefly. Fine-tuning had fewer epochs of its
# own (two), but the large network's three came before. And the widths were set by hand: where a method *finds* the
# widths, the shape itself may be worth its price.
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
# plots and the recorded numbers as evidence. (a) What did the search cost, and what is wrong with the second sentence?
# (b) Name the *two* controls that one needs before one may say "the initial values matter" and "the mask's positions
# matter", and say what they showed here. (c) For structured pruning, what did Scratch-B show here, and does that
# contradict the ticket? (d) Name one thing that a two-layer network on small grey images cannot show.

# %% [markdown] tags=["written"] points=3 grade_id="what_a_ticket_is_worth"
# **Model answer.** (a) The search took five trainings of the whole network (or of ever sparser ones at the same cost
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
# **Points.** 1 for (a): the cost of the search, and one reason why training is not saved. 1 for (b): both controls with
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
        "untrained": {
            key_of(kind): {f"{100 * level:g}": summary(column) for level, column in zip(LEVELS, np.array(rows).T)}
            for kind, rows in free.items()
        }
        | {"ticket": {str(r): summary(values) for r, values in free_ticket.items()}},
        "structured": {"large": summary(large)}
        | {
            key_of(width): {key_of(way): summary([rebuilt[way, width, seed] for seed in SEEDS]) for way in ("pruned", *WAYS)}
            | {
                "epochs_B": budget[width][1],
                "B_minus_tune": gap(*([rebuilt[way, width, seed] for seed in SEEDS] for way in ("Scratch-B", "fine-tune"))),
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
# - **Keep what grew.** A high score means keep. Criteria that look at the end of training win; those that keep small
#   weights lose to chance.
# - **Signs carry much, in a small network.** In deeper ones they are reported not to be enough.
# - **Ask for Scratch-B.** Before you praise the weights of a pruned network, train its shape from scratch on the same
#   budget.
# - **What this scale cannot show:** late rewinding, large learning rates with SGD, deep networks. Our whole network is
#   small, and trained for a short time.
#
# Lab 9 asks for a sparse network that never was dense. Lab 5 has the criteria that ask the loss.
#
# **Read next.** Frankle and Carbin (2019), sections 1 and 2. Zhou et al. (2019). Liu et al. (2019), section 6, for
# their view of the ticket. Frankle et al. (2020), [arXiv:1912.05671](https://arxiv.org/abs/1912.05671), for late
# rewinding. Frankle et al. (2021), [arXiv:2009.08576](https://arxiv.org/abs/2009.08576), for masks that are drawn
# before training. The lecture note of this lab (`lecture_notes/lab10_lottery_tickets.md` in the course's repository)
# works small examples by hand.
