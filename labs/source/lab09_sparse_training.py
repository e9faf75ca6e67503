# %% [markdown] tags=["lab"] question="Must we ever train dense?" minutes=110 prerequisite="lab04_prune_finetune"
# # Lab 9 · Sparse training
#
# **The question: must we ever train dense?**
#
# Until now we trained a dense network and pruned it. So the training cost what a dense training costs. This lab begins
# with few connections and keeps it so: the network is sparse from the first step to the last. Which connections should
# there be, and may they move?
#
# | you build | it answers |
# |---|---|
# | `dropout`, `dropconnect` | Zeros at random in each step: does that make a sparse network? |
# | `erdos_renyi_sparsities` | How many connections should each layer get? |
# | `random_masks` | How do we start without knowing anything? |
# | `set_update`, `rigl_update` | How can connections move while the network trains? |
#
# **Before you begin.** You have done Lab 4 (prune and fine-tune). The lecture note of this lab
# (`lecture_notes/lab09_sparse_training.md` in the course's repository) teaches the ideas first.
#
# **How long it takes.** The experiments together run for about a minute on a quiet laptop with two cores, and for
# several minutes on a busy one. Every experiment of more than two seconds shows its progress in a bar.
#
# **Papers.** Mocanu et al. (2018), [arXiv:1707.04780](https://arxiv.org/abs/1707.04780): Sparse Evolutionary Training
# (SET). Evci et al. (2020), [arXiv:1911.11134](https://arxiv.org/abs/1911.11134): RigL ("the rigged lottery"). Hinton et al. (2012),
# [arXiv:1207.0580](https://arxiv.org/abs/1207.0580): dropout. Wan et al. (2013): DropConnect. Liu et al. (2021),
# [arXiv:2102.02887](https://arxiv.org/abs/2102.02887): connections explored over time.
#
# **The words.** A *mask* is boolean, and `True` means keep. *Sparsity* is the fraction removed, *density* is
# 1 − sparsity. A *connection* is a weight whose mask is True. To *drop* a connection is to remove it, to *grow* one is to
# put it where none was. The *gradient* of a weight is the derivative of the loss with respect to it. *MACs* are multiply-adds. A method is *static* if its masks never change.
#
# **How it is graded.** Each exercise has a visible check, which you can run as often as you like, and hidden checks,
# which run when the work is graded. Cells marked as experiment are *not* run then. So if an exercise needs a helper
# function of yours, write it in the exercise cell or in a new cell of your own, not in an experiment cell.
# No exercise needs your answer to another one. You may call it all the same; a mistake in it then costs in both.
# Where an exercise draws at random, the checks count and compare shares: any right way of drawing is accepted.

# %% tags=["setup"]
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from labkit.datasets import load_fashion_mnist
from labkit.models import MLP, prunable_weights
from labkit.plots import COLOURS, MARKERS, curve, label_axes, show, use_style
from labkit.recorded import recorded_results
from labkit.training import accuracy

use_style()

# %% [markdown]
# ## What the experiments use
#
# The MLP with new random weights (784-300-100-10, 266,200 weights), the 12,000 training images in batches of 64, and the
# validation images. Every run is repeated with three *seeds*; each seed has its own start, masks and order of images. The
# *spread* is the standard deviation over the three seeds. "84.4 ± 0.2" is mean ± spread, and so are the bands and bars of the
# plots. A difference of two methods is taken seed by seed. The test images are read once, in the last experiment. Two functions of earlier labs are given: `magnitude_mask` (Lab 3) and `cubic_sparsity` (Lab 4).

# %% tags=["given"]
from solutions.lab03_magnitude import magnitude_mask

# %% tags=["given"]
from solutions.lab04_prune_finetune import cubic_sparsity

# %% tags=["experiment"]
torch.set_num_threads(1)  # the MLP's products are too small for two threads to pay
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
train_images, train_labels = (tensor.to(device) for tensor in load_fashion_mnist("train"))
images, labels = (tensor.to(device) for tensor in load_fashion_mnist("validation"))
SEEDS = (0, 1, 2)
BATCH, STEPS = 64, 300
RATE = 0.01  # AdamW's learning rate at the start; it falls in a straight line to zero
SHAPES = {name: tuple(weight.shape) for name, weight in prunable_weights(MLP()).items()}
SIZES = {name: math.prod(shape) for name, shape in SHAPES.items()}
WEIGHTS = sum(SIZES.values())


def new_mlp(seed):
    """An MLP with random weights that depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MLP().to(device)


def batches(seed, count=None):
    """Positions of training images, batch after batch, in a random order drawn anew for each epoch."""
    generator, count = torch.Generator().manual_seed(seed), count or len(train_images)
    while True:
        yield from torch.randperm(count, generator=generator).split(BATCH)[: count // BATCH]


def validate(model):
    """Accuracy on the validation images."""
    return accuracy(model, images, labels)


def in_percent(values):
    """Mean and standard deviation over the seeds, as text."""
    return f"{100 * np.mean(values):5.1f} ± {100 * np.std(values, ddof=1):4.1f} %"


print(f"{WEIGHTS:,} weights:", ", ".join(f"{name} {size:,}" for name, size in SIZES.items()))

# %% [markdown]
# ## Part 1 · Zeros that do not stay
#
# ### Exercise dropout
#
# Dropout sets each entry $x_i$ of its input to zero with probability $p$, anew in every step of the training:
#
# $$y_i = \frac{m_i\, x_i}{1-p}, \qquad m_i = 1 \text{ with probability } 1-p, \text{ else } 0.$$
#
# Here $x$ is `inputs`. The division keeps the mean: $\mathbb{E}[y_i] = x_i$. That is why *nothing* is to be done in evaluation,
# and it has the name "inverted" dropout: the first papers scaled in evaluation instead. All randomness comes from
# `generator`. Two generators with equal seeds must give equal results, so that an experiment can be repeated.
#
# *By hand.* $x = (3,\ 6,\ -2)$, $p = 1/3$, and the draws keep the first and the last: $y = (4.5,\ 0,\ -3)$.
#
# <details><summary>Hint</summary>
#
# `torch.rand(shape, generator=generator)` draws uniform numbers from 0 to 1. Which of them are below p, and how often does
# that happen? Give p = 1 a thought of its own: what is 0 / 0?
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=10
from solutions.lab09_sparse_training import dropout

# %% tags=["visible-check"]
generator = torch.Generator().manual_seed(0)
result = dropout(torch.tensor([[3.0, 6.0, -2.0]]).repeat(1000, 1), 0.25, True, generator)
assert result.shape == (1000, 3), f"The result has shape {list(result.shape)}; that of the input, [1000, 3], is asked for."
values = sorted({round(value, 4) for value in result.flatten().tolist()})
assert values == [-2.6667, 0.0, 4.0, 8.0], (
    f"The values in your result are {values}. Of the row 3, 6, -2 with p = 0.25 an entry becomes 0, or itself divided by 0.75: "
    "4, 8, -2.6667.\nAre they 3, 6, -2? Then the scale is missing. Are they 12, 24, -8? Then you divided by p."
)
share = (result == 0).float().mean().item()
assert 0.2 < share < 0.3, (
    f"{100 * share:.0f}% of the entries are dropped, where p = 0.25 was asked for. (75%? p is not what stays.)"
)
same = dropout(torch.tensor([3.0, 6.0, -2.0]), 0.25, False, generator)
assert same.tolist() == [3.0, 6.0, -2.0], f"In evaluation (3, 6, -2) became {same.tolist()}: it should stay as it is."
nothing = dropout(torch.ones(3), 1.0, True, generator).tolist()
assert nothing == [0.0] * 3, f"With p = 1 the result is {nothing}: every entry is 0 then (and not NaN)."
try:
    dropout(torch.ones(3), 1.5, True, generator)
except ValueError:
    pass
else:
    raise AssertionError("p = 1.5 raised no ValueError.")
print("dropout: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Exercise dropconnect
#
# DropConnect drops *connections* of a linear layer. Each example $b$ of the batch has a mask of its own:
#
# $$y_{bo} = \frac{1}{1-p} \sum_i m_{boi}\, w_{oi}\, x_{bi} + c_o, \qquad m_{boi} = 1 \text{ with probability } 1-p, \text{ else } 0.$$
#
# Here $w$ is `weight`, $x$ is `inputs`, and $c$ is `bias`. So $m$ has three dimensions, [B, out, in]. Wan et al. drop the biases
# too, and draw the outputs from a Gaussian in evaluation. Here the bias always stays, and evaluation is the plain layer: the mean of
# what happens in training.
#
# *By hand.* One example $x = (1, 2)$, one output, $w = (3, 4)$, $c = 10$, $p = 0.5$. The four masks are equally likely and give
# $10$, $10 + 2 \cdot 3 = 16$, $10 + 2 \cdot 8 = 26$ and $10 + 2 \cdot 11 = 32$. Their mean is 21 — the plain layer.
#
# <details><summary>Hint</summary>
#
# A product `mask * weight` of shapes [B, out, in] and [out, in] is broadcast over the batch. Then every example has a matrix of
# its own: look at `torch.einsum`, `torch.bmm` or `@` with a last dimension of 1. Where would the bias be scaled by mistake?
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=15
from solutions.lab09_sparse_training import dropconnect

# %% tags=["visible-check"]
generator = torch.Generator().manual_seed(0)
many = torch.tensor([[1.0, 2.0]]).repeat(400, 1)  # the example of above, 400 times
layer = (torch.tensor([[3.0, 4.0], [3.0, 4.0]]), torch.tensor([10.0, 10.0]))  # with two equal outputs
result = dropconnect(many, *layer, 0.5, True, generator)
assert result.shape == (400, 2), f"The result has shape {list(result.shape)}; [B, out] = [400, 2] is asked for."
values = sorted({round(value, 3) for value in result.flatten().tolist()})
assert values != [10.0, 32.0], "Only 10 and 32 appear: the connections of an output go together. That drops whole outputs."
assert values == [10.0, 16.0, 26.0, 32.0] or len(values) < 4, (
    f"The values of your outputs are {values}; 10, 16, 26 and 32 are possible.\nAre they 10, 13, 18, 21? Then the scale is "
    "missing. Is there a 20 or a 0? Then you scaled, or dropped, the bias."
)
assert len(values) == 4, f"Among 400 examples only {values} appear: every example has a mask of its own."
assert not torch.equal(result[:, 0], result[:, 1]), (
    "Both outputs lost the same connections: each has draws of its own. (Where all the connections from one input go "
    "together, it is dropout of the inputs.)"
)
plain = dropconnect(many[:1], *layer, 0.5, False, generator)
assert plain.tolist() == [[21.0, 21.0]], f"In evaluation you returned {plain.tolist()}; the plain layer gives [[21, 21]]."
nothing = dropconnect(many[:1], *layer, 1.0, True, generator).tolist()
assert nothing == [[10.0, 10.0]], f"With p = 1 the result is {nothing}: the bias alone is left then, [[10, 10]]."
print("dropconnect: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: what is left after dropout?
#
# Some lists of pruning methods include dropout and DropConnect. Let us count. Three MLPs are trained on 2,000 images for
# 300 steps: *plain*; with *dropout* (p = 0.5) after both hidden layers; with *DropConnect* (p = 0.5) in the last layer. At the end we count
# the zeros of the stored weights. We also count the zeros of one dropout mask, and how many of them are zero in the next one too. Guess the
# numbers first.

# %% tags=["experiment"]
SMALL, P = 2000, 0.5


def noisy_logits(model, batch, noise, generator):
    """The logits of the MLP in training, with one kind of noise."""
    x = F.relu(model.fc1(batch.flatten(1)))  # B, 300
    if noise == "dropout":
        dropped = dropout(x, P, True, generator)
        x = F.relu(model.fc2(dropped))
        return model.fc3(dropout(x, P, True, generator))
    x = F.relu(model.fc2(x))  # B, 100
    if noise == "DropConnect":
        return dropconnect(x, model.fc3.weight, model.fc3.bias, P, True, generator)
    return model.fc3(x)


noisy = {}
for noise, seed in tqdm([(n, s) for n in ("plain", "dropout", "DropConnect") for s in SEEDS], desc="noise"):
    model, stream = new_mlp(seed).train(), batches(seed, SMALL)
    generator = torch.Generator(device).manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002, fused=True)
    for _ in range(STEPS):
        batch = next(stream)
        optimizer.zero_grad()
        F.cross_entropy(noisy_logits(model, train_images[batch], noise, generator), train_labels[batch]).backward()
        optimizer.step()
    stored = torch.cat([weight.detach().flatten() for weight in prunable_weights(model).values()])
    noisy[noise, seed] = {
        "zeros": int((stored == 0).sum()),
        "zero weights": (stored == 0).float().mean().item(),
        "training": accuracy(model, train_images[:SMALL], train_labels[:SMALL]),
        "validation": validate(model),
    }

ones, generator = torch.ones(64, 300, device=device), torch.Generator(device).manual_seed(0)
first, second = (dropout(ones, P, True, generator) == 0 for _ in range(2))
zero_in_a_step, zero_again = first.float().mean().item(), second[first].float().mean().item()

# the last network: its largest output for one image, two thousand times
with torch.no_grad():
    hidden = F.relu(model.fc2(F.relu(model.fc1(images[:1].flatten(1)))))
    unit = int(model.fc3(hidden).argmax())
    row, bias = model.fc3.weight[unit : unit + 1], model.fc3.bias[unit : unit + 1]
    copies = hidden.repeat(2000, 1)
    samples = {
        "dropout": F.linear(dropout(copies, P, True, generator), row, bias).flatten().cpu().numpy(),
        "DropConnect": dropconnect(copies, row, bias, P, True, generator).flatten().cpu().numpy(),
    }
    in_evaluation = F.linear(hidden, row, bias).item()
fig, ax = plt.subplots(figsize=(9, 3.6))
for (noise, values), colour in zip(samples.items(), ("blue", "orange")):
    ax.hist(values, bins=50, histtype="step", linewidth=2, color=COLOURS[colour], label=f"{noise}: draws in training")
    ax.axvline(values.mean(), color=COLOURS[colour], linestyle=":", label=f"{noise}: mean")
ax.axvline(in_evaluation, color="black", label="evaluation")
label_axes(ax, x="one output for one image", x_unit="logit", y="draws", y_unit="of 2,000")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
show(
    fig,
    alt="Histograms of one output over two thousand draws, for dropout and for DropConnect. Both are bells around the "
    "value of the evaluation; the dotted means lie close to it.",
)

print(
    f"dropout, p = {P}: zero in a step {100 * zero_in_a_step:.1f} %; of these, zero in the next step too {100 * zero_again:.1f} %"
)
for noise in ("plain", "dropout", "DropConnect"):
    rows = [noisy[noise, seed] for seed in SEEDS]
    print(
        f"{noise:12} zero weights at the end: {', '.join(str(r['zeros']) for r in rows)} of {WEIGHTS:,}   accuracy: training "
        f"{in_percent([r['training'] for r in rows])}, validation {in_percent([r['validation'] for r in rows])}"
    )
for noise in ("dropout", "DropConnect"):
    gains = [100 * (noisy[noise, s]["validation"] - noisy["plain", s]["validation"]) for s in SEEDS]
    print(f"{noise} − plain, validation: {np.mean(gains):+.1f} ± {np.std(gains, ddof=1):.1f} points")

# %% [markdown]
# **What we saw.** Half of the entries are zero in a step, and of these half are zero in the next step: the mask has no memory. At the end
# no stored weight is zero: the count is printed. Dropout and DropConnect prune nothing. They are noise, whose mean is the network that we evaluate: the dotted
# lines are within chance of the black one. Now read the accuracies. With the noise the training accuracy is lower, and the gap between training and validation accuracy is smaller: that is what
# dropout was made for. But the validation accuracy is lower as well (the last two lines). Perhaps 300 steps are too few for a gain; it is not shown here.
#
# ## Part 2 · How many connections for each layer?
#
# ### Exercise erdos_renyi_sparsities
#
# We want a network with few connections *from the start*. At 98%, say, 2% of the weights are to be there. The same 2% in each layer? The last
# layer has 1,000 weights; 20 connections would be left for ten classes. A random graph in the sense of Erdős and Rényi suggests another rule: a layer's number
# of connections grows with the number of its *units* (inputs and outputs together), not with the number of its *weights*:
#
# $$d_\ell = \min\!\left(1,\ \varepsilon\, \frac{\text{sum of the dimensions of layer } \ell}{N_\ell}\right), \qquad
# \sum_\ell d_\ell N_\ell = (1 - s) \sum_\ell N_\ell .$$
#
# Here $d_\ell$ is the density of layer $\ell$, $N_\ell$ its number of weights, $s$ is `sparsity`, and $\varepsilon$ is the one number that makes the
# total right. For a linear layer the dimensions are $n_{out}, n_{in}$; for a convolution $n_{out}, n_{in}, k_h, k_w$.
#
# *By hand.* Layers (1, 2) and (2, 10), $s = 6/11$: of 22 weights 10 are to stay. The sums are 3 and 12, so $\varepsilon = 10/15$ would give the layers 2 and 8 connections.
# Layer one is just full: sparsities 0 and $1 - 8/20 = 0.6$. Now let 13 of 22 stay. $\varepsilon = 13/15$ would give the first layer 2.6 of 2. It takes 2, and the other one gets 11: sparsities 0 and 0.45.
#
# <details><summary>Hint</summary>
#
# Two ways lead there. Either set the layers aside that would be too full, share what is left among the others, and look again, until none is too full
# (after the first round another one may be!). Or search $\varepsilon$ by halving an interval: the total never falls as $\varepsilon$ rises.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=20
from solutions.lab09_sparse_training import erdos_renyi_sparsities

# %% tags=["visible-check"]
result = erdos_renyi_sparsities({"one": (10, 10), "two": (10, 40)}, 0.86)  # 70 of 500 stay: eps = 70 / (20 + 50) = 1
assert result.keys() == {"one", "two"}, f"You returned {result!r}: return {{layer name: sparsity}}."
assert math.isclose(result["one"], 0.8) and math.isclose(result["two"], 0.875), (
    f"You returned {result}. Of 500 weights 70 stay. The sums of the dimensions are 20 and 50, so the layers get 20 of 100 "
    "and 50 of 400: sparsities 0.8 and 0.875.\nAre they 0.2 and 0.125? Those are densities. Are both 0.86? That is uniform."
)
result = erdos_renyi_sparsities({"one": (1, 2), "two": (2, 10)}, 9 / 22)
assert math.isclose(result["one"], 0, abs_tol=1e-9) and math.isclose(result["two"], 0.45), (
    f"You returned {result}. 13 of 22 stay; by the sums, 3 and 12, the first layer would get 2.6 of its 2 weights. It takes 2, and "
    "the other 11 go to the second: sparsities 0 and 0.45.\nIs the first below 0? Then nothing is capped. Is the second 0.48? "
    "Then what the first could not take was lost."
)
result = erdos_renyi_sparsities({"conv": (4, 4, 3, 3), "fc": (10, 10)}, 1 - 34 / 244)
assert math.isclose(result["conv"], 1 - 14 / 144), (
    f"A kernel's dimensions count too: 4 + 4 + 3 + 3 = 14 of 144 stay, but {result}."
)
print("erdos_renyi_sparsities: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Exercise random_masks
#
# Before the training nothing is known, so the places are drawn: layer $\ell$ loses exactly $\text{round}(s_\ell N_\ell)$ of its entries, and every choice of that many
# places is equally likely.
#
# *By hand.* A layer of shape (2, 3) with sparsity 0.5 has three places left, for instance (True, False, True), (False, True, False). There are 20 such masks.
#
# <details><summary>Hint</summary>
#
# `torch.randperm(n, generator=generator)` is a random order of the numbers from 0 to n − 1. Its first entries are a choice without repetition. Why does
# `torch.rand(shape) >= sparsity` not do?
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=10
from solutions.lab09_sparse_training import random_masks

# %% tags=["visible-check"]
generator = torch.Generator().manual_seed(0)
masks = random_masks({"fc": (20, 30), "conv": (2, 5)}, {"fc": 0.9, "conv": 0.5}, generator)
assert list(masks) == ["fc", "conv"] and masks["fc"].shape == (20, 30) and masks["conv"].shape == (2, 5), (
    "Return for each name a mask of the layer's shape, in the order of `shapes`. Yours have the shapes "
    f"{ ({name: list(mask.shape) for name, mask in masks.items()}) }; fc: [20, 30] and conv: [2, 5] were expected."
)
assert masks["fc"].dtype == torch.bool, f"A mask is boolean, but yours is {masks['fc'].dtype}."
kept = {name: int(mask.sum()) for name, mask in masks.items()}
assert kept == {"fc": 60, "conv": 5}, (
    f"Your masks keep {kept} entries, and 60 of 600 and 5 of 10 were asked for.\nAre your counts close to these, but not equal? Then each entry "
    "was drawn by itself, and the total is left to chance. Is it 540? Then True and False are exchanged."
)
again = random_masks({"fc": (20, 30)}, {"fc": 0.9}, generator)
assert not torch.equal(masks["fc"], again["fc"]), (
    "A second call with the same generator gave the same mask: it should go on drawing."
)
try:
    random_masks({"fc": (20, 30)}, {"fc2": 0.9}, generator)
except ValueError:
    pass
else:
    raise AssertionError("A sparsity for `fc2`, which is no layer, raised no ValueError.")
print("random_masks: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: uniform, or Erdős–Rényi?
#
# Now we train sparse. `train_sparse` below is used for everything that follows. Read how a step goes: the gradient of the removed weights is set to zero,
# the optimiser steps, and the masks are applied once more, as in Lab 4. Two details matter. A unit with few connections sums few terms, so the start values are
# divided by $\sqrt{d_\ell}$: its sum then has the size that it has in a dense network. And the function counts *training MACs*. For one image, with $k_\ell$ connections in
# layer $\ell$, a step has
#
# $$\underbrace{\textstyle\sum_\ell k_\ell}_{\text{forward}} + \underbrace{\textstyle\sum_{\ell \ge 2} k_\ell}_{\text{gradient of the inputs}} + \underbrace{\textstyle\sum_\ell k_\ell}_{\text{gradient of the weights}} .$$
#
# (The images need no gradient.) For a RigL update the last sum is over *all* the weights: it needs the gradient of connections that are not there. **These MACs are counted, not saved.** Our products are dense, with
# zeros in them, and take as long as ever (Lab 4). Only a machine or a library that skips zeros
# saves the time (Labs 13 and 14).
#
# The code is long, for it holds all the methods of this lab. Its plan:
#
# ```text
# draw the masks; start values · mask / sqrt(density); AdamW, whose learning rate falls to zero
# in each step: gradients of one batch; set those of removed weights to zero; AdamW's step; apply the masks
# in each 20th step, until three quarters of the steps: let SET or RigL move connections, or cut (gradual)
# return the model, the masks, the MACs, and every place that was ever a connection
# ```
#
# First the masks stay as they are drawn (*static*). The learning rate, 0.01, is one for all the methods. We tried 0.003, 0.01
# and 0.02 on the validation images; the last lines that the cell prints show which of them suits which method.

# %% tags=["experiment"]
EVERY, DROP, STOP = 20, 0.3, 0.75  # an update of the connections each 20 steps, in the first three quarters of the steps
FRESH = 0.03  # standard deviation of SET's new weights


def step_macs(masks, dense_gradient=False):
    """The multiply-adds of one step for one image: forward, gradient of the inputs, gradient of the weights."""
    kept = [int(mask.sum()) for mask in masks.values()]
    return sum(kept) + sum(kept[1:]) + (WEIGHTS if dense_gradient else sum(kept))


def drop_fraction(step, steps):
    """The fraction of the connections that an update moves: it falls as a cosine, from DROP to 0 (Evci et al. 2020)."""
    return DROP / 2 * (1 + math.cos(math.pi * step / (STOP * steps)))


@torch.no_grad()
def rewire(rule, weights, masks, optimizer, fraction, generator):
    """Move connections in every layer, and let the optimiser forget what it knew of the places that changed."""
    for name, weight in weights.items():
        if rule == "SET":
            new, mask = set_update(weight, masks[name], fraction, generator, FRESH)
        else:
            new, mask = rigl_update(weight, weight.grad, masks[name], fraction)
        changed = (new != weight) | (mask != masks[name])
        weight.copy_(new)
        masks[name] = mask
        for memory in optimizer.state[weight].values():  # AdamW's means; its step count has another shape
            if memory.shape == weight.shape:
                memory[changed] = 0


def train_sparse(seed, sparsities, rule="static", steps=STEPS, rate=RATE):
    """Train a new MLP with masks that are static, or move by SET or RigL, or are cut step by step from dense ("gradual").

    Returns the model, its masks, the training MACs, and {layer: every place that was ever a connection}.
    """
    model, stream = new_mlp(seed).train(), batches(seed)
    weights, generator = prunable_weights(model), torch.Generator(device).manual_seed(1000 + seed)
    gradual, until = rule == "gradual", STOP * steps
    every = max(1, steps // 15) if gradual else EVERY  # so that a short run, too, is cut in small steps
    masks = random_masks(SHAPES, dict.fromkeys(SHAPES, 0.0) if gradual else sparsities, generator)
    ever = {name: mask.clone() for name, mask in masks.items()}
    with torch.no_grad():
        for name, weight in weights.items():
            weight.mul_(masks[name]).div_(masks[name].float().mean().sqrt())
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    macs, cost = 0, step_macs(masks)
    for step in range(steps):
        batch = next(stream)
        optimizer.zero_grad()
        F.cross_entropy(model(train_images[batch]), train_labels[batch]).backward()
        update = 0 < step <= until and step % every == 0
        if update and rule == "RigL":  # the gradient is used to grow, and the weights make no step
            macs += BATCH * step_macs(masks, dense_gradient=True)
            rewire(rule, weights, masks, optimizer, drop_fraction(step, steps), generator)
        else:
            macs += BATCH * cost
            for name, weight in weights.items():
                weight.grad.mul_(masks[name])
            optimizer.step()
            with torch.no_grad():
                for name, weight in weights.items():
                    weight.mul_(masks[name])
            if update and rule == "SET":
                rewire(rule, weights, masks, optimizer, drop_fraction(step, steps), generator)
            if update and gradual:
                for name, weight in weights.items():
                    target = cubic_sparsity(step, 0, int(until) // every, every, sparsities[name])
                    masks[name] &= magnitude_mask(weight.detach(), target)
                    weight.data.mul_(masks[name])
                cost = step_macs(masks)
        schedule.step()
        ever = {name: ever[name] | masks[name] for name in ever} if update else ever
    return model.eval(), masks, macs, ever


sparsities = [0.9, 0.95, 0.98]
distributions = {"uniform": lambda s: dict.fromkeys(SHAPES, s), "Erdős–Rényi": lambda s: erdos_renyi_sparsities(SHAPES, s)}
static = {
    (name, s, seed): train_sparse(seed, distributions[name](s))
    for name, s, seed in tqdm([(n, s, k) for n in distributions for s in sparsities for k in SEEDS], desc="static")
}
static_accuracy = {
    name: np.array([[validate(static[name, s, seed][0]) for s in sparsities] for seed in SEEDS]) for name in distributions
}  # [seeds, sparsities]

fig, axes = plt.subplots(1, 2, figsize=(10.5, 4))
for place, (name, colour) in enumerate(zip(distributions, ("vermilion", "blue"))):
    kept = [(1 - share) * SIZES[layer] for layer, share in distributions[name](0.98).items()]
    bars = axes[0].bar(np.arange(3) + 0.4 * (place - 0.5), kept, width=0.36, color=COLOURS[colour], label=name)
    axes[0].bar_label(bars, [f"{100 * k / n:.1f} %" for k, n in zip(kept, SIZES.values())], fontsize=9)
    curve(axes[1], [100 * s for s in sparsities], 100 * static_accuracy[name], label=name, colour=colour)
axes[0].set_xticks(range(3), [name.removesuffix(".weight") for name in SHAPES])
axes[0].set_yscale("log")
axes[0].set_ylim(8, 12000)
label_axes(
    axes[0], x="layer", x_unit="name", y="connections", y_unit="number", title="at 98 % in total; density above the bars"
)
axes[0].grid(axis="x", visible=False)
axes[0].legend()
label_axes(axes[1], x="sparsity", x_unit="%", y="validation accuracy", y_unit="%", title="static masks")
axes[1].legend(loc="lower left")
show(
    fig,
    alt="Left: connections of each layer at 98% sparsity; uniform leaves 20 in the last layer, Erdős–Rényi 367. Right: "
    "accuracy of static sparse training; the two are equal at 90%, and Erdős–Rényi lies far above uniform at 98%.",
)

for column, s in enumerate(sparsities):
    gains = 100 * (static_accuracy["Erdős–Rényi"] - static_accuracy["uniform"])[:, column]
    texts = [f"{name} {in_percent(values[:, column])}" for name, values in static_accuracy.items()]
    print(
        f"sparsity {100 * s:.0f} %:",
        "   ".join(texts),
        f"  difference {np.mean(gains):+.1f} ± {np.std(gains, ddof=1):.1f} points",
    )
print("\nrecorded: validation accuracy at 98 % for the learning rates 0.003, 0.01 and 0.02")
for rule, rates in recorded_results("lab09_sparse_training").get("rates", {}).items():
    print(f"    {rule:8}", "   ".join(in_percent(rates[rate]["seeds"]) for rate in ("3", "10", "20")))

# %% [markdown]
# **What we saw.** Nothing was learned about the *places*, in either network. Only the numbers of connections differ. At 90% that makes no difference, at 98% a large one.
# The left panel suggests why. Uniform at 98% leaves 20 connections to the ten classes: two for each. Erdős–Rényi takes about a quarter of the first layer's connections
# away. Two thirds of them go to the second layer, and one third to the last one, which has hundreds then.
#
# Read the learning rates too. Our 0.01 suits gradual pruning. Static, SET and RigL do better at 0.02, and SET's lead over static is
# smaller there. So a lead of one method over another may depend on the rate.
#
# ## Part 3 · Connections that move
#
# ### Exercise set_update
#
# Nothing speaks for the random places, so let the connections move. Sparse Evolutionary Training (SET) does so after each epoch (in our experiment every 20 steps). With $P$ positive and $Q$ negative connections:
#
# $$\text{drop the } \operatorname{round}(\zeta P) \text{ smallest of } \{w > 0\} \text{ and the } \operatorname{round}(\zeta Q) \text{ largest of } \{w < 0\}, \quad
# \text{then grow as many at random.}$$
#
# Here $\zeta$ is `fraction`. Both kinds that go are those *closest to zero*. Mind three details, which come from the authors' code. A connection whose weight is exactly zero goes too. The
# new places are drawn among *all* that are free after the drop, so a place that was just dropped may be drawn. And every new weight is a fresh normal
# draw, in our code with the standard deviation `std`.
#
# *By hand.* $w = (0.1,\ 0.5,\ {-0.2},\ {-0.9},\ \cdot,\ \cdot)$, where a dot is no connection, and $\zeta = 0.5$. Of the positive ones 0.1 goes, of the negative ones −0.2. Two of the four free places (the first, the third and the two dots) are
# drawn. Magnitude alone, as in Lab 3, would drop the same here; for $w = (0.1, 0.2, -0.8, -0.9)$ it would not: SET drops 0.1 and −0.8.
#
# <details><summary>Hint</summary>
#
# Do the positive ones first: their positions (`nonzero`), the order of their values (`argsort` with `stable=True`), the first few of it. For the negative ones
# sort the magnitudes. Keep the old number of connections in a variable before you drop anything. A random order of the free positions gives the new ones.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=25
from solutions.lab09_sparse_training import set_update

# %% tags=["visible-check"]
generator = torch.Generator().manual_seed(0)
weight = torch.tensor([0.1, 0.2, -0.8, -0.9, 7.0, 7.0])  # the two 7 are hidden by the mask: they are no connections
mask = torch.tensor([True, True, True, True, False, False])
seen = set()
for _ in range(60):
    new, new_mask = set_update(weight, mask, 0.5, generator)
    assert int(new_mask.sum()) == 4, (
        f"There were 4 connections, and now there are {int(new_mask.sum())}: as many grow as go."
    )
    assert not new[~new_mask].any(), (
        f"The new weight is {new.tolist()} with the mask {new_mask.tolist()}: where no connection is, it is 0."
    )
    stayed = ((new == weight) & new_mask).tolist()
    assert stayed == [False, True, False, True, False, False], (
        f"Of 0.1, 0.2, -0.8, -0.9 half of each sign goes: 0.1 and -0.8. The places that kept their weight are {stayed}.\n"
        "Is 0.2 gone and -0.8 there? Then you took the smallest magnitudes of all. Are 0.2 and -0.8 there? Then of the negative ones the "
        "wrong one went: -0.8 is the largest. Is a third place there? Then a regrown place got its old weight back."
    )
    seen |= {place for place in range(6) if new_mask[place] and not stayed[place]}
assert seen == {0, 2, 4, 5}, (
    f"In 60 calls connections have grown at the places {sorted(seen)}; all that are free after the drop are possible: 0, 2, 4 and 5."
)
assert weight.tolist()[0] == torch.tensor(0.1).item() and mask.tolist()[0], (
    "You changed the weight or the mask that was handed in."
)
print("set_update: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Exercise rigl_update
#
# RigL (short for "the rigged lottery", the title of its paper) drops by magnitude, and does not grow at random. It looks at the gradient: where would a connection,
# if it were there, lower the loss the fastest?
#
# $$\text{drop the } k = \operatorname{round}(f n) \text{ smallest } |w|, \qquad
# \text{then grow the } k \text{ largest } \left|\frac{\partial L}{\partial w}\right| \text{ among the places that are free now.}$$
#
# Here $n$ is the number of connections and $f$ is `fraction`. `gradient` has an entry for *every* place: the loss has a derivative also with respect to a weight that is zero because nothing is there.
# A grown connection starts at 0. So the network computes the same as if only the drop had happened, and the next step moves the new weight against its gradient. Again a place that was just dropped may be grown. Then it was never away, and keeps
# its weight (so the authors' code).
#
# *By hand.* $w = (0.1,\ 0.2,\ {-0.9},\ \cdot,\ \cdot)$, $f = 0.34$, gradients $(0,\ 5,\ 0,\ {-3},\ 1)$. $k = \operatorname{round}(1.02) = 1$: the 0.1 goes. Free are now the first, the fourth and the fifth place; $|{-3}|$ is the
# largest magnitude there: $w = (\cdot,\ 0.2,\ {-0.9},\ 0,\ \cdot)$. The 5 belongs to a connection that is there.
#
# <details><summary>Hint</summary>
#
# Work on flattened tensors, first the drop, then a list of the free places, then the order of their gradients' magnitudes. Keep the old mask: you need it to tell a new
# connection from one that came back.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=20
from solutions.lab09_sparse_training import rigl_update

# %% tags=["visible-check"]
weight = torch.tensor([0.5, 0.25, -2.0, 7.0, 7.0])  # the two 7 are hidden by the mask: they are no connections
mask = torch.tensor([True, True, True, False, False])
new, new_mask = rigl_update(weight, torch.tensor([0.0, 1.0, 5.0, -3.0, 2.0]), mask, 0.34)
assert new_mask.tolist() == [True, False, True, True, False], (
    f"The new mask is {new_mask.tolist()}. One of three goes, the 0.25, and the largest gradient in magnitude where nothing is then is |-3|, at place 3.\n"
    "Did place 4 grow? Then you took the gradient with its sign. Did the -2 go? Then you took the weight with its sign.\n"
    "Are only two connections left? Then you looked for the largest gradient among the connections too (there is a 5)."
)
assert new.tolist() == [0.5, 0.0, -2.0, 0.0, 0.0], (
    f"The new weight is {new.tolist()}; [0.5, 0, -2, 0, 0] was expected: a grown connection starts at 0, and where none is there is 0."
)
new, new_mask = rigl_update(weight, torch.tensor([0.0, 9.0, 5.0, -3.0, 2.0]), mask, 0.34)
assert new_mask.tolist() == mask.tolist() and new.tolist() == [0.5, 0.25, -2.0, 0.0, 0.0], (
    f"Now the gradient of the 0.25 itself is the largest. It comes back at once and keeps its weight, but you returned {new.tolist()} and "
    f"{new_mask.tolist()}."
)
print("rigl_update: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: static, SET, RigL, and from dense to sparse
#
# All four end with the same densities, those of Erdős and Rényi. *Gradual* is the way of Lab 4: it begins dense and is cut by the cubic schedule, within the
# first three quarters of the training. All see the same 300 batches. But RigL uses 11 of them to move connections, and then the weights make no step, as in the
# authors' code: it makes 289 steps. That is a small disadvantage in this comparison.
#
# Four settings are ours. Connections move every 20 steps (gradual cuts each fifteenth part of the training, so that a short run is cut in small steps too). The fraction
# that moves falls from 0.3 to 0 as a cosine. Where a connection changed, AdamW's means are set to zero, for they belong to the old one. And
# SET's new weights have the standard deviation 0.03. Guess the order of the methods first, then look at the right panel: what did they cost?

# %% tags=["experiment"]
rules = {"static": "blue", "SET": "orange", "RigL": "green", "gradual": "black"}
seconds = dict.fromkeys(["SET", "RigL", "gradual"], 0.0)  # processor time of one step, averaged over whole trainings
runs = {("static", s, seed): static["Erdős–Rényi", s, seed] for s in sparsities for seed in SEEDS}
for rule, s, seed in tqdm([(r, s, k) for r in list(rules)[1:] for s in sparsities for k in SEEDS], desc="moving"):
    begin = time.process_time()
    runs[rule, s, seed] = train_sparse(seed, erdos_renyi_sparsities(SHAPES, s), rule)
    seconds[rule] += (time.process_time() - begin) / (len(sparsities) * len(SEEDS) * STEPS)
scores = {rule: np.array([[validate(runs[rule, s, k][0]) for s in sparsities] for k in SEEDS]) for rule in rules}
macs = {rule: [np.mean([runs[rule, s, k][2] for k in SEEDS]) for s in sparsities] for rule in rules}
begin = time.process_time()
dense_runs = {seed: train_sparse(seed, dict.fromkeys(SHAPES, 0.0)) for seed in SEEDS}
seconds["dense"] = (time.process_time() - begin) / (len(SEEDS) * STEPS)
dense = [validate(dense_runs[seed][0]) for seed in SEEDS]
dense_macs = dense_runs[0][2]

fig, axes = plt.subplots(1, 2, figsize=(10.5, 4))
for place, (rule, colour) in enumerate(rules.items()):
    axes[0].errorbar(
        np.arange(3) + 0.12 * (place - 1.5),
        100 * scores[rule].mean(axis=0),
        yerr=100 * scores[rule].std(axis=0, ddof=1),
        color=COLOURS[colour],
        marker=MARKERS[list(COLOURS).index(colour)],
        linestyle="",
        capsize=3,
        label=rule,
    )
    axes[1].bar(
        np.arange(3) + 0.2 * (place - 1.5),
        np.array(macs[rule]) / dense_macs * 100,
        width=0.18,
        color=COLOURS[colour],
        label=rule,
    )
axes[0].axhline(100 * np.mean(dense), color="grey", linestyle=":", label="dense")
label_axes(axes[0], x="sparsity", x_unit="%", y="validation accuracy", y_unit="%", title="equal steps: mean ± deviation")
axes[0].legend(loc="lower left")
axes[0].grid(axis="x", visible=False)
for ax in axes:
    ax.set_xticks(range(3), [f"{100 * s:.0f}" for s in sparsities])
axes[1].set_ylim(0, 44)  # room for the legend
label_axes(axes[1], x="sparsity", x_unit="%", y="training MACs", y_unit="% of the dense training", title="what they cost")
axes[1].grid(axis="x", visible=False)
axes[1].legend()
show(
    fig,
    alt="Left: accuracy at equal steps against sparsity for static, SET, RigL and gradual, close together, with the dense network "
    "as a dotted line. Right: their training MACs; gradual costs several times as much as the others. RigL costs a little more "
    "than SET at 90%, and nearly twice as much at 98%.",
)

print(f"dense: {in_percent(dense)}, {dense_macs / 1e9:.1f} billion MACs")
for column, s in enumerate(sparsities):
    print(f"sparsity {100 * s:.0f} %")
    for rule in rules:
        gains = 100 * (scores[rule] - scores["static"])[:, column]
        seen = np.mean([sum(int(m.sum()) for m in runs[rule, s, k][3].values()) for k in SEEDS]) / WEIGHTS
        print(
            f"    {rule:8} {in_percent(scores[rule][:, column])}   − static {np.mean(gains):+4.1f} ± {np.std(gains, ddof=1):.1f} points   "
            f"{100 * macs[rule][column] / dense_macs:5.1f} % of the dense MACs   ever a connection: {100 * seen:5.1f} % of the places"
        )
print("milliseconds of one step on this machine, processor time:", ", ".join(f"{rule} {1000 * t:.1f}" for rule, t in seconds.items()))

# %% [markdown]
# **What we saw.** *Must we train dense?* Not for this network. At 90% and 95% the sparse networks that were never dense are near the dotted
# line, for a fraction of its MACs. At equal steps gradual is not clearly better than static at 90% and 95%, and SET is at least as good as gradual at all three sparsities here: compare each *− static*
# with its spread. RigL costs more than SET: its gradients of all the weights make 1.8 times SET's MACs at 98%.
#
# *Do connections have to move?* On the validation images SET stands above static at all three sparsities, by more than the spread of three seeds, but by
# a point or so; the step from uniform to Erdős–Rényi was far larger at 98%. Wait for the test images before you believe it. RigL's difference to static is
# not of one sign. It is not shown here that the gradient chooses better than chance. There are reasons to be careful with both results. A run has eleven updates
# and sees the training images one and a half times, where the papers train for many epochs. RigL's gradient is that of one batch of 64 images, and it makes eleven steps fewer. And SET's fresh
# weights are not zero, so SET also adds noise to the weights: places and noise are not told apart here.
#
# The last column is the share of places that were *ever* a connection. Liu et al. argue that moving helps because, over time, many places are tried. In a short run few are.
#
# ### Experiment: equal cost
#
# Steps are not what a training costs. Now each method gets other numbers of steps, at 98%, and we draw the accuracy against the MACs of the whole training.
# Points on one vertical line cost the same. A gradual run spends most of its MACs while it is still nearly dense.

# %% tags=["experiment"]
HARD = 0.98
lengths = {"SET": [75, 150, 600, 1200], "gradual": [20, 40, 75, 150, 600]}
budget_runs = {
    (rule, steps, seed): train_sparse(seed, erdos_renyi_sparsities(SHAPES, HARD), rule, steps)
    for rule, steps, seed in tqdm([(r, n, k) for r in lengths for n in lengths[r] for k in SEEDS], desc="budgets")
}
for rule in lengths:
    budget_runs |= {(rule, STEPS, seed): runs[rule, HARD, seed] for seed in SEEDS}
budgets = {}  # rule: (steps, MACs, accuracies [seeds, lengths])
for rule in lengths:
    steps = sorted([*lengths[rule], STEPS])
    cost = [np.mean([budget_runs[rule, n, k][2] for k in SEEDS]) for n in steps]
    budgets[rule] = (steps, cost, np.array([[validate(budget_runs[rule, n, k][0]) for n in steps] for k in SEEDS]))

fig, ax = plt.subplots(figsize=(8, 4.4))
for rule, (steps, cost, values) in budgets.items():
    curve(ax, [c / 1e9 for c in cost], 100 * values, label=f"{rule}, {steps[0]} to {steps[-1]} steps", colour=rules[rule])
for rule in ("static", "RigL"):  # the runs of the experiment before
    ax.errorbar(
        macs[rule][sparsities.index(HARD)] / 1e9,
        100 * scores[rule][:, -1].mean(),
        yerr=100 * scores[rule][:, -1].std(ddof=1),
        color=COLOURS[rules[rule]],
        marker=MARKERS[list(COLOURS).index(rules[rule])],
        linestyle="",
        capsize=3,
        label=f"{rule}, {STEPS} steps",
    )
ax.axhline(100 * np.mean(dense), color="grey", linestyle=":", label=f"dense, {STEPS} steps: {dense_macs / 1e9:.0f} billion")
ax.set_xscale("log")
ax.set_xticks([0.05, 0.1, 0.2, 0.5, 1, 2, 5], ["0.05", "0.1", "0.2", "0.5", "1", "2", "5"])
ax.xaxis.set_minor_formatter(plt.NullFormatter())
label_axes(
    ax,
    x="MACs of the whole training",
    x_unit="billions, counted",
    y="validation accuracy",
    y_unit="%",
    title="98 % sparsity; bands: one deviation to each side",
)
ax.legend(loc="lower right")
show(
    fig,
    alt="Accuracy against training MACs on a logarithmic axis, at 98% sparsity. The curve of SET lies far above and to the left "
    "of the curve of gradual pruning. Static and RigL at 300 steps lie near the curve of SET.",
)
for rule, (steps, cost, values) in budgets.items():
    for column, n in enumerate(steps):
        print(f"{rule:8} {n:5} steps {cost[column] / 1e9:7.3f} billion MACs   {in_percent(values[:, column])}")

# %% [markdown]
# **What we saw.** This is where sparse training wins. Read along a vertical line: for the MACs of the shortest gradual run, SET can make hundreds
# of steps, and its accuracy is far higher. Read along a horizontal line: for the same accuracy gradual needs several times the MACs. The longest SET run reaches the dotted line of the dense network, with 2% of the
# weights and a small part of its MACs, but with four times its steps. (A dense run of 1,200 steps is not shown; it may be better.) Static at 300 steps is not far below SET: most of the saving comes from
# being sparse, not from moving.
#
# Now take the other view. On a machine that multiplies by zero a step takes about the same time for every method, whatever the MACs say: the experiment before printed the milliseconds of a step,
# and they differ far less than the MACs. Compare by the number of steps (it is printed): then the two
# are close, and with enough steps gradual is as good. So "cheaper" is a promise about a machine that skips zeros.
#
# ### Experiment: which pixels keep their connections?
#
# Mocanu et al. show a well-known picture: after SET, the input connections of a network for MNIST have gathered where the digits are. Here are ours, at 98%, for the clothes of Fashion-MNIST: the number of connections of each pixel in the first layer at the end of the training, mean over the
# seeds, smoothed over 3 × 3 pixels, since single counts are small. All five maps have the same number of connections and one colour scale. The first map shows where the images differ from each other: the
# standard deviation of each pixel over the training images.


# %% tags=["experiment"]
def per_pixel(rule, steps):
    """Connections of each pixel at the end of the training, [seeds, 784]."""
    found = [budget_runs.get((rule, steps, k), runs.get((rule, HARD, k)))[1]["fc1.weight"] for k in SEEDS]
    return np.array([mask.sum(dim=0).cpu().numpy() for mask in found])


spread = train_images.flatten(1).std(dim=0).cpu().numpy()  # 784
quiet = spread <= np.quantile(spread, 0.2)  # the fifth of the pixels which varies least: the corners and sides
pictures = {
    f"{rule}, {n} steps": per_pixel(rule, n)
    for rule, n in (("static", STEPS), ("SET", STEPS), ("SET", 1200), ("RigL", STEPS), ("gradual", STEPS))
}
in_quiet = {name: [row[quiet].sum() / row.sum() for row in counts] for name, counts in pictures.items()}

fig, axes = plt.subplots(2, 3, figsize=(9, 6))
drawn = axes[0, 0].imshow(spread.reshape(28, 28), cmap="Greys_r")
axes[0, 0].set_title("the images", fontsize=11)
fig.colorbar(drawn, ax=axes[0, 0], shrink=0.8, label="pixel's standard deviation")
smooth = {
    name: F.avg_pool2d(torch.tensor(counts.mean(0)).reshape(1, 1, 28, 28), 3, 1, 1, count_include_pad=False)[0, 0].numpy()
    for name, counts in pictures.items()
}
most = max(float(values.max()) for values in smooth.values())
for ax, (name, values) in zip(axes.flat[1:], smooth.items()):
    drawn = ax.imshow(values, vmin=0, vmax=most)
    ax.set_title(name, fontsize=11)
fig.colorbar(drawn, ax=list(axes[:, 2]), shrink=0.6, label="connections per pixel")
for ax in axes.flat:
    ax.set_axis_off()
show(
    fig,
    alt="Six maps of 28 by 28 pixels. The first is the standard deviation of each pixel: dark in the corners and at the sides. "
    "The others are the connections per pixel, in one colour scale: static and SET look even, and gradual has few "
    "connections at the corners and sides.",
)
share, kept = quiet.mean(), next(iter(pictures.values()))[0].sum()  # of the pixels; connections of the first layer
by_chance = math.sqrt(share * (1 - share) / kept * (1 - kept / SIZES["fc1.weight"]))  # for places drawn without repetition
print(f"share of the first layer's connections at the {100 * share:.1f} % of the pixels which vary least")
print(f"    {'by chance alone':20} {100 * share:5.1f} ± {100 * by_chance:4.1f} %  (computed)")
for name, shares in in_quiet.items():
    print(f"    {name:20} {in_percent(shares)}")

# %% [markdown]
# **What we saw.** Read the shares: they show a preference where the maps hardly do. The random masks have none. (20.4 ± 0.1 looks far from 20.0, but three draws happen to agree: chance alone
# gives ± 0.7 for one draw, as the first line says.) SET in 300 steps is not clearly different from chance, and after 1,200 steps it has a weak preference. RigL has a stronger one after 300 steps. *Gradual*, which could choose among all the weights,
# leaves the corners nearly empty, and only there the map shows it at once. SET finds new places at random, so only its drops can choose, and that takes time; Mocanu et al. train for many epochs. Mind the
# data too: our images are normalised, so an empty pixel is not 0 but about −0.81. A connection to it works like a bias, and is not quite useless.
#
# So gradual training avoids quiet pixels far more than static, and yet the accuracies above are close. A network has many ways to do well.
#
# ## Part 4 · The test images
#
# ### Experiment: once, at the end

# %% tags=["experiment"]
test_images, test_labels = (tensor.to(device) for tensor in load_fashion_mnist("test"))


def test(model):
    """Accuracy on the test images."""
    return accuracy(model, test_images, test_labels)


test_dense = [test(dense_runs[seed][0]) for seed in SEEDS]
test_uniform = np.array([[test(static["uniform", s, k][0]) for s in sparsities] for k in SEEDS])
test_scores = {rule: np.array([[test(runs[rule, s, k][0]) for s in sparsities] for k in SEEDS]) for rule in rules}
print(f"dense {in_percent(test_dense)}")
for column, s in enumerate(sparsities):
    texts = [f"{rule} {in_percent(values[:, column])}" for rule, values in test_scores.items()]
    print(f"sparsity {100 * s:.0f} %: uniform {in_percent(test_uniform[:, column])}  ", "   ".join(texts))
    for rule in ("SET", "RigL", "gradual"):
        gains = 100 * (test_scores[rule] - test_scores["static"])[:, column]
        print(f"    {rule:8} − static {np.mean(gains):+4.1f} ± {np.std(gains, ddof=1):.1f} points")

# %% [markdown]
# **What we saw.** The large effect is there again: uniform is far below at 98%. Among the four others the order has changed. At 98% *gradual* leads now, with a gain over static
# of one sign in all three seeds. SET's gain over static has shrunk: only at 95% is it larger than its spread. RigL is not above static at any sparsity, and gradual is below it at 90%. The networks, the masks and the seeds are the same as before; only the images are others.
# So much is a gain of one point worth on 2,000 images and three seeds.
#
# At 90% and 95% the dense network is not clearly better than static, SET or gradual. Perhaps 300 steps are too few for it; a longer dense run is not made here.

# %% [markdown] tags=["question"]
# ### Written question
#
# Answer in about twelve lines, with your own plots and printed numbers as evidence. (a) You may spend 0.3 billion training MACs on an MLP with 98% sparsity. Which method do you take, and what would change your choice: a budget ten times as large (SET's curve ends before it: you may
# extrapolate, but say so), or a machine that does not skip zeros? (b) A paper reports: "our growth rule beats a static random mask by four points at 98%." The static
# network had the same sparsity in every layer, the new one Erdős–Rényi densities. What do you answer, and which experiment do you ask for?
# (c) A colleague says: "I trained with dropout 0.5, so half of the network is pruned." Correct the sentence, with the one number that decides.

# %% [markdown] tags=["written"] points=3 grade_id="sparse_from_the_start"
# **Model answer.** (a) Sparse from the start, static or SET, with Erdős–Rényi densities: 0.3 billion MACs are about 300 to 400 steps of it, but
# fewer than forty of a gradual run, and the curves are far apart there. Ten times the budget is 3 billion: gradual has some 350 steps then. SET's curve ends
# at 0.95 billion, and there it is already above gradual's 300 steps (2.6 billion), so sparse training is still the choice; what SET gains beyond its last point is a guess, and the answer should say so. On a machine that does not skip zeros MACs are no cost: steps are. Then compare at equal
# steps, where the methods are close, and choose by the accuracy and the spread.
#
# (b) The comparison changes two things at once. In our measurement the densities alone make a larger difference at 98% than that. Ask for the static mask *with the same densities*, the same start values and learning rate, and
# three seeds or more.
#
# (c) In each training step half of the units' outputs are zero, other ones each time, and in evaluation none. The number: the fraction of stored weights that are exactly zero after the training, which is 0%. Dropout is noise against overfitting.
#
# **Points.** 1 for (a): a choice with evidence, and what a machine without skipping changes. 1 for (b): the confounded densities and the fair experiment. 1 for
# (c): resampled masks, and the count of zeros.

# %% tags=["record"]
# For the course's makers: where LABKIT_RECORD names a folder, write what the lecture note quotes into it.
import json
import os
from pathlib import Path


def summary(values):
    """Mean and standard deviation over the seeds, and the single values, as fractions."""
    values = [round(float(value), 6) for value in values]
    return {"mean": round(float(np.mean(values)), 6), "sd": round(float(np.std(values, ddof=1)), 6), "seeds": values}


def change(values):
    """The summary of differences, with the mean's opposite too: the notes mark numbers without a sign."""
    return summary(values) | {"minus": summary(-np.array(values))["mean"]}


def by_percent(rows, of=summary):
    """{sparsity in percent: summary of that column of rows, [seeds, sparsities]}."""
    return {f"{100 * s:g}": of(column) for s, column in zip(sparsities, np.array(rows).T)}


if folder := os.environ.get("LABKIT_RECORD"):
    tried = {}  # how the learning rate was chosen: 98 %, validation images
    for rate in tqdm((0.003, 0.01, 0.02), desc="rates"):
        for rule in rules:
            results = [train_sparse(k, erdos_renyi_sparsities(SHAPES, HARD), rule, rate=rate) for k in SEEDS]
            tried.setdefault(rule, {})[f"{1000 * rate:g}"] = summary([validate(result[0]) for result in results])
    record = {
        "made_by": "in labs/: LABKIT_RECORD=../data/results python source/lab09_sparse_training.py",
        "unit": "accuracies, differences, densities and shares are fractions; pixels: rows of maps; sd is the standard deviation over seeds (n - 1)",
        "images": {"train": len(train_images), "validation": len(images), "test": len(test_images)},
        "steps": {"training": STEPS, "batch": BATCH, "between updates": EVERY},
        "noise": {
            noise.lower(): {
                quantity.replace(" ", "_"): summary([noisy[noise, k][quantity] for k in SEEDS])
                for quantity in ("zero weights", "training", "validation")
            }
            | {"gain": change([noisy[noise, k]["validation"] - noisy["plain", k]["validation"] for k in SEEDS])}
            for noise in ("plain", "dropout", "DropConnect")
        },
        "dropout_step": {"zero": zero_in_a_step, "zero_again": zero_again},
        "densities": {
            f"{100 * s:g}": {
                layer.removesuffix(".weight"): 1 - share for layer, share in erdos_renyi_sparsities(SHAPES, s).items()
            }
            for s in sparsities
        },
        "dense": summary(dense),
        "uniform": by_percent(static_accuracy["uniform"]),
        "er_over_uniform": by_percent(static_accuracy["Erdős–Rényi"] - static_accuracy["uniform"], change),
        **{rule.lower(): by_percent(scores[rule]) for rule in rules},
        "over_static": {rule.lower(): by_percent(scores[rule] - scores["static"], change) for rule in rules},
        "macs": {rule.lower(): {f"{100 * s:g}": m / dense_macs for s, m in zip(sparsities, macs[rule])} for rule in rules},
        "ever": {
            rule.lower(): {
                f"{100 * s:g}": summary([sum(int(m.sum()) for m in runs[rule, s, k][3].values()) / WEIGHTS for k in SEEDS])
                for s in sparsities
            }
            for rule in rules
        },
        "budgets": {
            rule.lower(): {
                str(n): summary(values[:, column]) | {"macs": cost[column] / dense_macs} for column, n in enumerate(steps)
            }
            for rule, (steps, cost, values) in budgets.items()
        },
        "quiet_pixels": {
            name.removesuffix(" steps").replace(", ", "_").lower(): summary(shares) for name, shares in in_quiet.items()
        }
        | {"chance": {"mean": float(share), "sd": by_chance}},
        "pixels": {
            name.removesuffix(" steps").replace(", ", "_").lower(): [" ".join(f"{v:.2f}" for v in row) for row in values.tolist()]
            for name, values in {"spread": spread.reshape(28, 28), **smooth}.items()
        },
        "rates": {rule.lower(): rates for rule, rates in tried.items()},
        "test": {
            "dense": summary(test_dense),
            "uniform": by_percent(test_uniform),
            **{rule.lower(): by_percent(values) for rule, values in test_scores.items()},
            "over_static": {rule.lower(): by_percent(v - test_scores["static"], change) for rule, v in test_scores.items()},
        },
    }
    Path(folder, "lab09_sparse_training.json").write_text(
        json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )

# %% [markdown]
# ## What to take with you
#
# - **Dropout and DropConnect are no pruning.** The zeros are drawn anew in each step, and no stored weight is zero at the end.
# - **How many connections a layer has matters most.** At 98% Erdős–Rényi densities beat uniform ones by many points, before anything is learned about
#   the places.
# - **Sparse from the start works.** At equal steps it was about as good as cutting from dense, at a small part of the training MACs.
# - **Moving the connections helped a little, or not at all.** SET's gain was visible on the validation images and hardly on the test images; RigL's difference was not of one
#   sign. And RigL costs more.
# - **MACs are counted, not saved**, on a machine that multiplies by zero.
#
# Lab 10 asks whether a sparse network that trains well can be found afterwards, and how much its start values matter.
#
# **Read next.** Mocanu et al. (2018), sections "Methods" and "Results". Evci et al. (2020), sections 3 and 4, and its figure on the cost of training.
# Liu et al. (2021) for what more exploration brings. The lecture note of this lab (`lecture_notes/lab09_sparse_training.md` in the course's repository) works small
# examples by hand.
