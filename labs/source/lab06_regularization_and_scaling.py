# %% [markdown] tags=["lab"] question="Can training itself make the zeros?" minutes=110 prerequisite="lab04_prune_finetune"
# # Lab 6 · Regularisation and scaling
#
# **The question: can training itself make the zeros?**
#
# So far we trained a network, and then chose what to cut. Here the training is told to make things small, by a
# *penalty* that is added to the loss. You find out which penalty makes exact zeros, and by which kind of step. Then you
# put the penalty on one number for each channel, the scale of its BatchNorm (the *scaling* of the title), and cut whole
# channels.
#
# | you build | it answers |
# |---|---|
# | `l1_penalty`, `l2_penalty`, `group_lasso_penalty` | What is to become small? |
# | `soft_threshold`, `group_soft_threshold` | What makes exact zeros? |
# | `scale_masks` | Which channels go, over the whole network? |
# | `fold_constant` | What does a removed channel leave behind? |
#
# **Before you begin.** You have done Lab 4 (prune and fine-tune). The lecture note of this lab
# (`lecture_notes/lab06_regularization_and_scaling.md` in the course's repository) teaches the ideas first.
#
# **How long it takes.** The experiments together run for one to two minutes on a quiet laptop, and for several minutes
# on a busy one. Every experiment of more than two seconds shows its progress in a bar.
#
# **Papers.** Yuan and Lin (2006): the group lasso. Wen et al. (2016),
# [arXiv:1608.03665](https://arxiv.org/abs/1608.03665): groups in a network. Parikh and Boyd (2014), "Proximal
# Algorithms". Liu et al. (2017), [arXiv:1708.06519](https://arxiv.org/abs/1708.06519): *network slimming*, L1 on the
# BatchNorm scales. Ye et al. (2018), [arXiv:1802.00124](https://arxiv.org/abs/1802.00124): the same with proximal
# steps, and what to do with the constants.
#
# **The words.** A *mask* is boolean, and `True` means keep. *Sparsity* is the fraction removed. The *strength*
# $\lambda$ is the factor before a penalty. A *row* of a weight is everything that makes one output: `weight[i]`, in a
# convolution a whole filter. A BatchNorm computes $\gamma \hat x + \beta$; $\gamma$ is its *scale*, $\beta$ its
# *shift*. A *MAC* is one multiply-add (Lab 1). The *spread* of some numbers is their standard deviation.
#
# **How it is graded.** Each exercise has a visible check, which you can run as often as you like, and hidden checks,
# which run when the work is graded. Cells marked as experiment are *not* run then. So if an exercise needs a helper
# function of yours, write it in the exercise cell or in a new cell of your own, not in an experiment cell.
# No exercise needs your answer to another one. You may call it all the same; a mistake in it then costs in both.

# %% tags=["setup"]
import copy
import itertools
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from labkit.checkpoints import SEEDS, load_checkpoint
from labkit.cost import count_macs, count_parameters
from labkit.datasets import load_fashion_mnist
from labkit.models import CNN, prunable_weights
from labkit.plots import COLOURS, MARKERS, curve, label_axes, show, use_style
from labkit.training import accuracy, train

use_style()

# %% [markdown]
# ## What the experiments use
#
# The trained MLP and the trained CNN in their three copies (three *seeds*), the training images, and the validation
# images. A curve is the mean over the seeds, in a band of one standard deviation to each side. The test images are read
# once, in the last experiment.

# %% tags=["experiment"]
torch.set_num_threads(1)  # small networks and small batches: a second thread pays little, and not on a busy machine
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
train_images, train_labels = (tensor.to(device) for tensor in load_fashion_mnist("train"))
images, labels = (tensor.to(device) for tensor in load_fashion_mnist("validation"))
mlps = [load_checkpoint("mlp", seed).to(device) for seed in SEEDS]
cnns = [load_checkpoint("cnn", seed).to(device, memory_format=torch.channels_last) for seed in SEEDS]
BATCH = 64


def validate(model):
    """Accuracy on the validation images."""
    return accuracy(model, images, labels)


def in_percent(values):
    """Mean and standard deviation over the seeds, as text."""
    return f"{100 * np.mean(values):5.1f} ± {100 * np.std(values, ddof=1):4.1f} %"


def batches(seed, count):
    """Positions of training images, batch after batch, in a random order of the first `count` images."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(count, generator=generator).split(BATCH)[: count // BATCH]


dense_mlp, dense_cnn = [validate(model) for model in mlps], [validate(model) for model in cnns]
print(f"validation accuracy of the trained MLP {in_percent(dense_mlp)}   CNN {in_percent(dense_cnn)}")

# %% [markdown]
# ## Part 1 · Penalties
#
# Training with a penalty minimises
#
# $$L(w) + \lambda R(w).$$
#
# $L$ is the loss, $R$ grows with the weights, and $\lambda$ (the `strength`) says how much it counts. The three
# functions of this part return $\lambda R(w)$, as a tensor through which gradients flow.
#
# ### Exercise l1_penalty
#
# $$\lambda R(w) = \lambda \sum_\ell \sum_i |w_{\ell,i}|$$
#
# Here $\ell$ runs over the entries of `weights`, $i$ over all the weights of one layer, and $\lambda$ is `strength`.
#
# *By hand.* Two layers, $(3, -1)$ and $(2)$, with $\lambda = 0.5$: $0.5 \cdot (3 + 1 + 2) = 3$. The gradient is
# $\lambda \operatorname{sign}(w)$: $(0.5, -0.5)$ and $(0.5)$. Its size does not depend on the size of the weight.
#
# <details><summary>Hint</summary>
#
# Stay with tensors until the end: `.item()`, `float(...)` and `.detach()` cut the way back for the gradients. Note
# that every comparison with NaN is False: which side of a comparison do you then have to test?
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=8
from solutions.lab06_regularization_and_scaling import l1_penalty

# %% tags=["visible-check"]
one, two = nn.Parameter(torch.tensor([[3.0, -1.0]])), nn.Parameter(torch.tensor([2.0]))
result = l1_penalty({"one": one, "two": two}, 0.5)
assert isinstance(result, torch.Tensor) and result.shape == (), f"You returned {result!r}: return a tensor without dimensions."
assert abs(result.item() - 3.0) < 1e-6, (
    f"You returned {result.item()}, and 0.5 * (3 + 1 + 2) = 3 was expected.\n"
    "Is it 6? Then the strength is missing. Is it 7? Then you squared. Is it 1? Then only the last layer counts.\n"
    "Is it 2? Then the magnitudes are missing, or you averaged in each layer, or only the first layer counts."
)
assert result.requires_grad, "No gradient flows through your result: somewhere a tensor became a number, or was detached."
result.backward()
assert one.grad.tolist() == [[0.5, -0.5]], f"The gradient at (3, -1) is {one.grad.tolist()}, and 0.5 * sign(w) was expected."
for bad in (({}, 0.1), ({"one": one}, -0.1), ({"one": one}, float("nan"))):
    try:
        l1_penalty(*bad)
    except ValueError:
        pass
    else:
        raise AssertionError(f"{len(bad[0])} layer(s) with the strength {bad[1]} raised no ValueError.")
print("l1_penalty: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Exercise l2_penalty
#
# $$\lambda R(w) = \lambda \sum_\ell \sum_i w_{\ell,i}^2$$
#
# with the same symbols. Some texts put a half before the sum, and some take a root; here there is neither.
#
# *By hand.* $(3, -1)$ and $(2)$ with $\lambda = 0.5$: $0.5 \cdot (9 + 1 + 4) = 7$. The gradient is $2 \lambda w$:
# $(3, -1)$ and $(2)$. It fades with the weight. In plain SGD this penalty is the same as `weight_decay` $= 2\lambda$.
#
# <details><summary>Hint</summary>
#
# It has the shape of `l1_penalty`. What is summed is another function of the single weight.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=5
from solutions.lab06_regularization_and_scaling import l2_penalty

# %% tags=["visible-check"]
one, two = nn.Parameter(torch.tensor([[3.0, -1.0]])), nn.Parameter(torch.tensor([2.0]))
result = l2_penalty({"one": one, "two": two}, 0.5)
assert isinstance(result, torch.Tensor) and result.shape == (), f"You returned {result!r}: return a tensor without dimensions."
assert abs(result.item() - 7.0) < 1e-6, (
    f"You returned {result.item()}, and 0.5 * (9 + 1 + 4) = 7 was expected.\n"
    "Is it 14? Then the strength is missing. Is it 3.5? Then there is a half too much. Is it 2.58 or 1.87? Then you took a "
    "root. Is it 3? Then you summed magnitudes. Is it 5 or 2? Then only the first or only the last layer counts."
)
assert result.requires_grad, "No gradient flows through your result: somewhere a tensor became a number, or was detached."
result.backward()
assert one.grad.tolist() == [[3.0, -1.0]], f"The gradient at (3, -1) is {one.grad.tolist()}, and 2 * 0.5 * w was expected."
for bad in (({}, 0.1), ({"one": one}, -0.1), ({"one": one}, float("nan"))):
    try:
        l2_penalty(*bad)
    except ValueError:
        pass
    else:
        raise AssertionError(f"{len(bad[0])} layer(s) with the strength {bad[1]} raised no ValueError.")
print("l2_penalty: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Exercise group_lasso_penalty
#
# A single zero saves little (Lab 4). To remove a whole row, all its weights must go to zero *together*. The group
# lasso penalises the length of each row:
#
# $$\lambda R(w) = \lambda \sum_\ell \sqrt{p_\ell} \sum_i \lVert w_{\ell,i} \rVert_2 .$$
#
# Here $w_{\ell,i}$ is row $i$ of layer $\ell$, `weight[i]`, with all its entries as one vector; $p_\ell$ is the number
# of these entries; $\lVert \cdot \rVert_2$ is the root of the sum of squares. The factor $\sqrt{p_\ell}$ makes long and
# short rows comparable. The sum of *lengths* treats a row as the L1 penalty treats a weight; a sum of *squared* lengths
# would be the L2 penalty again.
#
# *By hand.* One layer with the rows $(3, 4)$ and $(0, 0)$, $\lambda = 0.5$: $0.5 \cdot \sqrt 2 \cdot (5 + 0) = 3.54$.
# The gradient at the first row is $0.5 \cdot \sqrt 2 \cdot (3, 4) / 5$. At the second it must be zero; in a naive
# program it is NaN.
#
# <details><summary>Hint</summary>
#
# `flatten` with `start_dim` makes rows of a filter's weights. The derivative of a square root at zero is infinite, and
# infinity times zero is NaN. `torch.linalg.vector_norm` takes care of this case; so does leaving the zero rows out.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab06_regularization_and_scaling import group_lasso_penalty

# %% tags=["visible-check"]
weight = nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
result = group_lasso_penalty({"w": weight}, 0.5)
assert isinstance(result, torch.Tensor) and result.shape == (), f"You returned {result!r}: return a tensor without dimensions."
assert abs(result.item() - 0.5 * 2**0.5 * 5) < 1e-5, (
    f"You returned {result.item():.4f}, and 0.5 * sqrt(2) * 5 = 3.5355 was expected.\n"
    "Is it 2.5? Then the root of the number of weights in a row is missing. Is it 5? Then that number has no root.\n"
    "Is it 4.95? Then you summed magnitudes, or took columns. Is it 17.68? Then you summed squares."
)
assert result.requires_grad, "No gradient flows through your result: somewhere a tensor became a number, or was detached."
result.backward()
assert weight.grad[1].tolist() == [0, 0], f"The gradient at the row of zeros is {weight.grad[1].tolist()}, and 0 was expected."
assert torch.allclose(weight.grad[0], torch.tensor([0.4243, 0.5657]), atol=1e-4), (
    f"The gradient at the row (3, 4) is {weight.grad[0].tolist()}, and 0.5 * sqrt(2) * (0.6, 0.8) was expected."
)
filters = torch.zeros(2, 1, 2, 2)
filters[0] = 1.0  # the filter (1, 1, 1, 1) has the norm 2, and p is 4
result = group_lasso_penalty({"conv": filters}, 1.0).item()
assert abs(result - 4.0) < 1e-5, (
    f"Two filters of shape [1, 2, 2], one of ones, one of zeros: sqrt(4) * 2 = 4, but you returned {result}."
)
try:
    group_lasso_penalty({"bias": torch.ones(3)}, 0.1)
except ValueError:
    pass
else:
    raise AssertionError("A weight of one dimension, which has no rows, raised no ValueError.")
print("group_lasso_penalty: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: what do gradient steps make of a penalty?
#
# The trained MLP trains on for 120 steps of plain SGD with learning rate 0.1, on 3,000 images; the penalty is part of
# the loss. We count the weights that are exactly zero, and those smaller than 0.001. Guess first: how many exact zeros
# will the strongest L1 penalty make, of 266,200 weights?

# %% tags=["experiment"]
STEPS, RATE = 120, 0.1
L1_STRENGTHS, GROUP_STRENGTHS = [0.0003, 0.001, 0.003], [0.002, 0.003, 0.004]
runs = {}  # (way, strength): one dictionary for each seed


def with_penalty(seed, strength, penalty=None, shrink=None):
    """Train a copy of the MLP: `penalty` is added to the loss, `shrink` is applied to each weight after a step."""
    model = copy.deepcopy(mlps[seed]).train()
    weights, optimizer = prunable_weights(model), torch.optim.SGD(model.parameters(), lr=RATE)
    for batch in itertools.islice(batches(seed, 3000), STEPS):
        loss = F.cross_entropy(model(train_images[batch]), train_labels[batch])
        if penalty is not None:
            loss = loss + penalty(weights, strength)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if shrink is not None:
            with torch.no_grad():
                for weight in weights.values():
                    weight.copy_(shrink(weight, strength))
    return model.eval()


def describe(model):
    """Accuracy, and the shares of the weights and of fc1's rows that are zero."""
    flat = torch.cat([weight.detach().flatten() for weight in prunable_weights(model).values()])
    return {
        "accuracy": validate(model),
        "zero": (flat == 0).float().mean().item(),
        "small": (flat.abs() < 0.001).float().mean().item(),
        "rows": (model.fc1.weight == 0).all(dim=1).float().mean().item(),
    }


def sweep(way, strengths, **how):
    """Run a way of training for all strengths and seeds."""
    for strength, seed in tqdm([(strength, seed) for strength in strengths for seed in SEEDS], desc=way):
        runs.setdefault((way, strength), []).append(describe(with_penalty(seed, strength, **how)))


def column(way, strengths, quantity):
    """One quantity as an array [seeds, strengths], in percent."""
    return 100 * np.array([[runs[way, strength][seed][quantity] for strength in strengths] for seed in SEEDS])


sweep("none, SGD", [0.0])
sweep("L2, SGD", L1_STRENGTHS, penalty=l2_penalty)
sweep("L1, SGD", L1_STRENGTHS, penalty=l1_penalty)
print("penalty    strength   exactly zero   smaller than 0.001   accuracy")
for way, strength in runs:
    texts = [in_percent([run[q] for run in runs[way, strength]]) for q in ("zero", "small", "accuracy")]
    print(f"{way:9}  {strength:8g}   " + "   ".join(texts))

# %% [markdown]
# **What we saw.** L1 makes many weights small, and none zero, at any strength. Yet everybody says that L1 gives sparse
# solutions! Both are true. The *minimum* of a loss with an L1 penalty has exact zeros. But gradient steps do not end
# there. The penalty moves a weight by learning rate times $\lambda$ in each step, here up to 0.0003. A weight of 0.0001
# jumps over zero, and later back. It would have to hit zero by chance. (L2 hardly makes small weights: near zero its
# push fades.)
#
# The accuracy is lower than before the training, but the first line shows the same without any penalty: there it is the
# price of 120 steps on 3,000 images. If a penalty costs more than that, it is the strongest L1.
#
# So a network that was trained with L1 and SGD still needs a threshold, and somebody who must choose it.
#
# ## Part 2 · Steps that end at zero
#
# ### Exercise soft_threshold
#
# A *proximal step* treats the two parts of the objective apart. First a gradient step on the loss alone, to a point
# $v$. Then the penalty is not differentiated but *minimised*, in the neighbourhood of $v$ (*proximal* means near):
#
# $$v = w - \eta \nabla L(w), \qquad w \leftarrow \arg\min_x \tfrac12 (x - v)^2 + t\,|x|, \qquad t = \eta \lambda .$$
#
# This minimum has a formula, soft thresholding:
#
# $$S_t(v) = \operatorname{sign}(v)\, \max(|v| - t,\ 0).$$
#
# Here $\eta$ is the learning rate, $v$ is an entry of `values`, and $t$ is `threshold`. Every entry moves towards zero by
# $t$, and stops there.
#
# *By hand.* $t = 1$: $3$ becomes $2$, $-1.5$ becomes $-0.5$, and $0.8$ becomes $0$. A gradient step would have made
# $0.8 - 1 = -0.2$ of the last one.
#
# <details><summary>Hint</summary>
#
# Three facts about an entry are needed: its sign, its magnitude, and whether the magnitude is above the threshold.
# Work on `values.detach()`, and look whether every way through your function makes a new tensor, with threshold 0 too.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=10
from solutions.lab06_regularization_and_scaling import soft_threshold

# %% tags=["visible-check"]
values = nn.Parameter(torch.tensor([3.0, -1.5, 0.75, -0.25, 0.0, 1.0]))
result = soft_threshold(values, 1.0)
assert isinstance(result, torch.Tensor) and result.tolist() == [2, -0.5, 0, 0, 0, 0], (
    f"You returned {result.tolist() if isinstance(result, torch.Tensor) else result!r} for (3, -1.5, 0.75, -0.25, 0, 1) "
    "with the threshold 1; expected (2, -0.5, 0, 0, 0, 0).\n"
    "Is the first entry 3? Then large entries were not moved. Is the second one 0.5 or 0? Then the sign is lost, or only the "
    "positive side is treated.\nIs the third one -0.25? Then it crossed zero."
)
assert not result.requires_grad, "Your result still needs gradients: detach the values."
result.fill_(9.0)
assert values[0].item() == 3.0, "The input was changed, or your result shares its memory."
same = soft_threshold(values, 0.0)
assert same.tolist() == values.tolist(), f"With threshold 0 nothing moves, but you returned {same.tolist()}."
for bad in (-0.5, float("nan")):
    try:
        soft_threshold(values, bad)
    except ValueError:
        pass
    else:
        raise AssertionError(f"The threshold {bad} raised no ValueError.")
print("soft_threshold: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: one weight
#
# The smallest network there is: one weight, the loss $\tfrac12 (w - a)^2$, penalties of strength 0.5, and steps of
# learning rate 0.15. With $a = 0.3$ the minimum of loss plus L1 penalty is at zero; with $a = 0.7$ it is at 0.2. (With
# L2 it is at $a / (1 + 2\lambda)$: 0.15 and 0.35.)

# %% tags=["experiment"]
LITTLE, ETA, SHOWN = 0.5, 0.15, 25
paths = {}
for target in (0.3, 0.7):
    for way in ("L2, SGD", "L1, SGD", "L1, proximal"):
        weight, path = nn.Parameter(torch.tensor([1.0])), [1.0]
        for _ in range(SHOWN):
            loss = 0.5 * (weight - target).square().sum()
            if way == "L2, SGD":
                loss = loss + l2_penalty({"w": weight}, LITTLE)
            if way == "L1, SGD":
                loss = loss + l1_penalty({"w": weight}, LITTLE)
            [gradient] = torch.autograd.grad(loss, [weight])
            with torch.no_grad():
                weight -= ETA * gradient
                if way == "L1, proximal":
                    weight.copy_(soft_threshold(weight, ETA * LITTLE))
            path.append(weight.item())
        paths[target, way] = path

WAY_COLOUR = {"L2, SGD": "orange", "L1, SGD": "vermilion", "L1, proximal": "blue"}
fig, axes = plt.subplots(1, 2, figsize=(10.5, 3.8), sharey=True)
for ax, target in zip(axes, (0.3, 0.7)):
    for way, colour in WAY_COLOUR.items():
        curve(ax, range(SHOWN + 1), paths[target, way], label=way, colour=colour)
    ax.axhline(max(target - LITTLE, 0), color="grey", linestyle=":", label="minimum with L1")
    label_axes(ax, x="time", x_unit="steps", y="weight", y_unit="as stored", title=f"a = {target:g}")
axes[0].legend()
axes[1].set_ylabel("")
show(fig, alt="One weight against steps. Left, where the minimum is at zero: with SGD on the L1 penalty the weight jumps back "
     "and forth around zero, with proximal steps it reaches zero and stays, with L2 it stops above zero. Right: SGD and "
     "proximal steps on L1 end together at 0.2, and L2 ends at 0.35.")
print("the last four values with a = 0.3:")
for way in WAY_COLOUR:
    print(f"    {way:13}", "  ".join(f"{value:+.4f}" for value in paths[0.3, way][-4:]))

# %% [markdown]
# **What we saw.** Left: the gradient of $|w|$ has the same size on both sides of zero, so the SGD path jumps over it
# again and again. The proximal path arrives and stays: exactly zero. Right, where the minimum is not at zero, the two
# ways agree. L2 pulls in both, in the left panel to a value that is small and never zero.
#
# ### Exercise group_soft_threshold
#
# The same for a row. The proximal step of $t \lVert w \rVert_2$ shortens the whole vector and keeps its direction:
#
# $$w_i \leftarrow \max\!\left(1 - \frac{t}{\lVert w_i \rVert_2},\ 0\right) w_i .$$
#
# Here $w_i$ is row $i$ of `weight` and $t$ is `threshold`. (For a step with `group_lasso_penalty` it is
# $t = \eta \lambda \sqrt{p}$: that product is formed by whoever calls the function.)
#
# *By hand.* $t = 2.5$. The row $(3, 4)$ has the length 5 and becomes $(1.5, 2)$, of length 2.5. The row $(2, 0)$ is
# shorter than 2.5 and becomes $(0, 0)$; a row of zeros stays one.
#
# <details><summary>Hint</summary>
#
# `flatten` to rows, one norm for each row, one factor for each row; `keepdim=True` makes the shapes fit. What does a
# division by zero give, and does it reach the result? At the end the shape must be that of the weight again.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab06_regularization_and_scaling import group_soft_threshold

# %% tags=["visible-check"]
weight = nn.Parameter(torch.tensor([[3.0, 4.0], [2.0, 0.0], [0.0, 0.0]]))
result = group_soft_threshold(weight, 2.5)
assert isinstance(result, torch.Tensor) and result.shape == (3, 2), f"You returned {result!r}: return a tensor of shape [3, 2]."
assert not result.isnan().any(), f"You returned {result.tolist()}: a row of zeros was divided by its norm."
assert torch.allclose(result, torch.tensor([[1.5, 2.0], [0.0, 0.0], [0.0, 0.0]])), (
    f"You returned {result.tolist()} for the rows (3, 4), (2, 0), (0, 0) with the threshold 2.5; expected (1.5, 2), (0, 0), "
    "(0, 0).\nIs the first row (0.5, 1.5)? Then single entries were thresholded. Is it (3, 4)? Then only short rows were "
    "treated.\nIs the second row (-0.5, 0)? Then the factor became negative.\n"
    "Is the first row near (1.93, 2.57) or (2.7, 3.6)? Then its norm is not the root of the sum of squares."
)
assert (result[1:] == 0).all(), f"The short rows are {result[1:].tolist()}: they must be exactly zero."
assert not result.requires_grad, "Your result still needs gradients: detach the weight."
filters = torch.full((1, 2, 2, 1), 2.0)  # one filter of four twos: its norm is 4
result = group_soft_threshold(filters, 2.0)
assert result.shape == filters.shape and torch.allclose(result, torch.ones(1, 2, 2, 1)), (
    f"A filter of four twos has the norm 4; with the threshold 2 it becomes four ones, in the shape [1, 2, 2, 1]. You returned {result}."
)
try:
    group_soft_threshold(torch.ones(3), 0.1)
except ValueError:
    pass
else:
    raise AssertionError("A weight of one dimension, which has no rows, raised no ValueError.")
print("group_soft_threshold: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: the same penalties, by proximal steps
#
# The training of Part 1 again. Now the loss has no penalty, and each step ends with your thresholds. For the groups we
# count the rows of `fc1` (300 hidden neurons) that are zero as a whole.

# %% tags=["experiment"]
sweep("L1, proximal", L1_STRENGTHS, shrink=lambda weight, strength: soft_threshold(weight, RATE * strength))
sweep("groups, SGD", GROUP_STRENGTHS, penalty=group_lasso_penalty)
sweep("groups, proximal", GROUP_STRENGTHS,
      shrink=lambda weight, strength: group_soft_threshold(weight, RATE * strength * weight[0].numel() ** 0.5))

WAY_COLOUR = {"L2, SGD": "orange", "L1, SGD": "vermilion", "L1, proximal": "blue",
              "groups, SGD": "purple", "groups, proximal": "green"}
fig, axes = plt.subplots(1, 2, figsize=(10.5, 4))
for way in ("L2, SGD", "L1, SGD", "L1, proximal"):
    curve(axes[0], L1_STRENGTHS, column(way, L1_STRENGTHS, "zero"), label=way, colour=WAY_COLOUR[way])
    curve(axes[1], L1_STRENGTHS, column(way, L1_STRENGTHS, "accuracy"), label=way, colour=WAY_COLOUR[way])
axes[0].plot(L1_STRENGTHS, column("L1, proximal", L1_STRENGTHS, "small").mean(0), color="grey", linestyle=":",
             label="smaller than 0.001, proximal")
axes[1].axhline(100 * np.mean(dense_mlp), color="grey", linestyle=":", label="before")
for ax, y, unit in ((axes[0], "exact zeros", "% of the weights"), (axes[1], "validation accuracy", "%")):
    ax.set_xscale("log")
    ax.set_xticks(L1_STRENGTHS, [f"{s:g}" for s in L1_STRENGTHS])
    ax.minorticks_off()
    label_axes(ax, x="strength λ", x_unit="log scale", y=y, y_unit=unit)
    ax.legend()
show(fig, alt="Left: exact zeros against strength. L1 with proximal steps rises to more than half of the weights; with SGD both L1 "
     "and L2 stay at zero. Right: the accuracies of L1 by SGD and by proximal steps lie close together, and fall at the largest strength.")

fig, axes = plt.subplots(1, 2, figsize=(10.5, 4))
for way in ("groups, SGD", "groups, proximal"):
    curve(axes[0], GROUP_STRENGTHS, column(way, GROUP_STRENGTHS, "rows"), label=way, colour=WAY_COLOUR[way])
    curve(axes[1], GROUP_STRENGTHS, column(way, GROUP_STRENGTHS, "accuracy"), label=way, colour=WAY_COLOUR[way])
axes[1].axhline(100 * np.mean(dense_mlp), color="grey", linestyle=":", label="before")
for ax, y, unit in ((axes[0], "rows of zeros", "% of fc1's rows"), (axes[1], "validation accuracy", "%")):
    ax.set_xticks(GROUP_STRENGTHS)
    label_axes(ax, x="strength λ", x_unit="factor", y=y, y_unit=unit)
    ax.legend()
show(fig, alt="Left: rows of fc1 that are zero, against the strength of the group lasso. By SGD there are none. By proximal steps the "
     "curve stays near zero and then rises steeply. Right: the accuracy falls over the same strengths.")
for way, strengths, quantity in (("L1, SGD", L1_STRENGTHS, "zero"), ("L1, proximal", L1_STRENGTHS, "zero"),
                                 ("groups, SGD", GROUP_STRENGTHS, "rows"), ("groups, proximal", GROUP_STRENGTHS, "rows")):
    print(f"{way:17}", "   ".join(f"λ {s:g}: {in_percent([run[quantity] for run in runs[way, s]])} "
                                  f"at {in_percent([run['accuracy'] for run in runs[way, s]])}" for s in strengths))
lengths = np.array([model.fc1.weight.detach().norm(dim=1).tolist() for model in mlps])  # [seeds, rows]
print(f"length of fc1's rows before: {lengths.min():.2f} to {lengths.max():.2f}, mean {lengths.mean():.2f}")
for strength in GROUP_STRENGTHS:
    total = STEPS * RATE * strength * mlps[0].fc1.in_features ** 0.5
    print(f"λ {strength:g}: {STEPS} steps shorten a row by {total:.2f} in all; shorter than that were "
          f"{in_percent((lengths < total).mean(axis=1))} of the rows")

# %% [markdown]
# **What we saw.** The same strengths, the same number of steps, nearly the same accuracy: but the proximal steps make
# exact zeros, up to more than half of the weights, and SGD makes none at all. The weights are *small* in both cases:
# compare the dotted line with the table of Part 1. Training itself *can* make the zeros; the step decides.
#
# With groups the result is less good. At the weakest strength hardly any row is zero, and at the strongest most are, at
# a price in accuracy. The last lines explain it. The penalty shortens every row by the same amount in each step, and the
# zeros are about as many as the rows that were shorter than all these steps together. The loss has saved only some: 120
# steps are a short time to tell the rows apart. Remember this: it comes back in the next part.
#
# ## Part 3 · One number for each channel
#
# *Network slimming* (Liu et al. 2017) needs no groups. In a CNN with BatchNorm every channel already has one factor,
# the scale $\gamma_c$:
#
# $$y_c = \gamma_c\, \frac{x_c - \mu_c}{\sqrt{\sigma_c^2 + \epsilon}} + \beta_c , \qquad
# \text{minimise } L + \lambda \sum_c |\gamma_c| .$$
#
# An L1 penalty on the $\gamma$ alone switches whole channels off, all but a constant (Part 4). The paper takes steps
# along the gradient, as in Part 1 (along a *sub-gradient*, since $|\gamma|$ has no derivative at 0 and some value must be
# put there); Ye et al. (2018) take proximal steps.
#
# ### Experiment: the scales against the strength
#
# 120 steps of SGD from the trained CNN, for three strengths. The $\gamma$ start near 1, and must be able to reach 0 in a
# short time, so they get a larger learning rate (1.0) than the other parameters (0.1). Both learning rates fall in a
# straight line.

# %% tags=["experiment"]
SLIM_STEPS, TUNE_STEPS, SLIM = 120, 40, 0.05
SLIM_STRENGTHS = [0.0, 0.025, 0.05]
NORMS = ("bn1", "bn2", "bn3")


def scales_of(model):
    """The scales of the three BatchNorms: {name: gamma}."""
    return {name: getattr(model, name).weight for name in NORMS}


def slim(model, seed, strength, way="proximal", steps=SLIM_STEPS):
    """A copy of the model, trained with an L1 penalty on its scales."""
    model = copy.deepcopy(model).train()
    scales = scales_of(model)
    others = [parameter for parameter in model.parameters() if not any(parameter is s for s in scales.values())]
    optimizer = torch.optim.SGD([{"params": others, "lr": 0.1}, {"params": list(scales.values()), "lr": 1.0}])
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, total_iters=steps)
    for batch in itertools.islice(batches(seed, len(train_images)), steps):
        loss = F.cross_entropy(model(train_images[batch]), train_labels[batch])
        if way == "SGD":
            loss = loss + l1_penalty(scales, strength)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if way == "proximal":
            rate = optimizer.param_groups[1]["lr"]
            with torch.no_grad():
                for scale in scales.values():
                    scale.copy_(soft_threshold(scale, rate * strength))
        schedule.step()
    return model.eval()


def magnitudes(model):
    """All |gamma| of a network as one array."""
    return torch.cat([scale.detach().abs() for scale in scales_of(model).values()]).cpu().numpy()


jobs = [("proximal", strength) for strength in SLIM_STRENGTHS] + [("SGD", SLIM)]
slimmed = {}  # (way, strength): the three networks
for (way, strength), seed in tqdm([(job, seed) for job in jobs for seed in SEEDS], desc="slimming"):
    slimmed.setdefault((way, strength), []).append(slim(cnns[seed], seed, strength, way))
slim_accuracy = {
    job: [validate(model) for model in models] for job, models in tqdm(slimmed.items(), desc="validation")
}
slim_zeros = {job: [float((magnitudes(model) == 0).mean()) for model in models] for job, models in slimmed.items()}

fig, axes = plt.subplots(1, 4, figsize=(12, 3.4), sharey=True)
for ax, (way, strength) in zip(axes, jobs):
    pool = np.concatenate([magnitudes(model) for model in slimmed[way, strength]])
    exact, rest = (pool == 0).sum() / 3, pool[pool > 0]
    ax.hist(rest, bins=np.linspace(0, 1.2, 25), weights=np.full(len(rest), 1 / 3), color=COLOURS["blue"], label="not zero")
    ax.bar(-0.06, exact, width=0.05, color=COLOURS["vermilion"], label="exactly 0")
    label_axes(ax, x="|γ|", x_unit="factor", y="channels", y_unit="of 112", title=f"λ = {strength:g}, {way}")
    ax.set_ylabel("channels (of 112)" if ax is axes[0] else "")
axes[1].legend()
show(fig, alt="Four histograms of the BatchNorm scales. With strength 0 they stand in one narrow hill near 1. With 0.025 the hill has "
     "moved left as a whole. With 0.05 and proximal steps about half of the channels are exactly zero. "
     "With 0.05 and SGD many are near zero and none is exactly zero.")
for job in jobs:
    print(f"λ {job[1]:5g} {job[0]:9} exactly zero {in_percent(slim_zeros[job])}   accuracy {in_percent(slim_accuracy[job])}")

# %% [markdown]
# **What we saw.** At first *all* the scales move left together, as one hill. Only when the hill reaches zero do the
# channels part: some are held by the loss, the others stop at zero, exactly, if the steps are proximal (the red bar).
# The last panel has the same strength with SGD: many small scales, and no zero. Here the exact zeros have a price: the
# accuracy after the proximal steps is somewhat lower than after SGD (the last two lines).
#
# Why together? A likely reason: small $\gamma$ cost the network nothing, as long as all the $\gamma$ and $\beta$ of a
# layer shrink alike. The next BatchNorm divides by the spread of what it receives, and undoes the shrinking. (Behind the
# last BatchNorm stands a linear layer, whose weights can grow.) The penalty falls, the function stays. Keep this in mind.
#
# ### Exercise scale_masks
#
# Which channels go? Network slimming ranks all the $|\gamma_c|$ of the whole network together and removes the smallest,
# $k = \operatorname{round}(s \cdot n)$ of $n$ channels. Here $s$ is `sparsity` and the $\gamma$ are in `scales`, layer
# by layer.
#
# One ranking can empty a layer, and then nothing gets through the network any more. So there is a *floor*: a layer that
# has only `least` channels left loses no more, and the next channel in the ranking goes instead.
#
# *By hand.* Layer a has $(0.1,\ -0.2)$, layer b has $(0.3,\ 0.4,\ -0.9)$; $s = 0.6$, so $k = 3$. Without a floor 0.1,
# 0.2 and 0.3 go, and layer a is empty. With `least=1`: 0.1 goes, 0.2 is passed over, 0.3 and 0.4 go.
#
# <details><summary>Hint</summary>
#
# A list of (magnitude, layer, index) for all the channels, sorted by the magnitude *only* (`key=`). Python's `sorted` is
# stable: what compares equal stays in the order of the list. Walk through it and count down what is still to go, and
# what each layer has left. What does it mean if something is still to go when the list is at its end?
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=20
from solutions.lab06_regularization_and_scaling import scale_masks

# %% tags=["visible-check"]
example = {"a": torch.tensor([0.1, -0.2]), "b": torch.tensor([0.3, 0.4, -0.9])}
masks = scale_masks(example, 0.6)
assert isinstance(masks, dict) and list(masks) == ["a", "b"], f"You returned {masks!r}: return a mask for each layer, by its name."
assert all(mask.dtype == torch.bool for mask in masks.values()), "The masks must be boolean."
found = {name: mask.tolist() for name, mask in masks.items()}
assert found == {"a": [False, False], "b": [False, True, True]}, (
    f"You returned {found}. Of five channels round(0.6 * 5) = 3 go, the smallest in magnitude: 0.1, 0.2 and 0.3.\n"
    "Is -0.9 gone? Then the magnitude is forgotten. Is one channel of each layer kept? Then each layer was pruned alone, or "
    "there is a floor although `least` is 0.\nIs every value the opposite? True means keep."
)
found = {name: mask.tolist() for name, mask in scale_masks(example, 0.6, least=1).items()}
assert found == {"a": [False, True], "b": [False, False, True]}, (
    f"You returned {found}. With the floor 1, 0.1 goes, 0.2 is passed over, since it is the last one of its layer, and "
    "0.3 and 0.4 go.\nIs 0.4 kept? Then the channel that was passed over is not replaced. Is 0.1 kept? Then the floor "
    "saves the wrong channel."
)
ties = {name: mask.tolist() for name, mask in scale_masks({"z": torch.ones(2), "a": torch.ones(2)}, 0.75).items()}
assert ties == {"z": [False, False], "a": [False, True]}, (
    f"You returned {ties}. All the scales are equal, and three of four go: the earlier layer's first, here z, and the lower index "
    "first.\nIs a channel of z kept? Then equal scales were sorted by the layer's name, or by the index before the layer."
)
for bad in (({}, 0.5, 0), (example, 1.2, 0), (example, 0.5, -1), (example, 0.8, 1)):
    try:
        scale_masks(*bad)
    except ValueError:
        pass
    else:
        raise AssertionError(
            f"{len(bad[0])} layers, sparsity {bad[1]}, floor {bad[2]} raised no ValueError. "
            "(With the floor 1 only three of the five channels can go.)"
        )
print("scale_masks: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: the cut, and the layer that vanishes (*layer collapse*)
#
# Left: the accuracy right after a cut to several sparsities, without a floor and without fine-tuning, from the network
# that was trained on without a penalty and from the slimmed ones. (A cut channel gets $\gamma = 0$; 1,000 images.)
# Right: how many channels of each layer a cut of 50% leaves. Guess first: which network loses least?

# %% tags=["experiment"]
def zero_scaled(model, masks):
    """A copy of the model in which the removed channels have scale 0; their shifts stay."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for name, scale in scales_of(model).items():
            scale.masked_fill_(~masks[name].to(scale.device), 0)
    return model


def channels_left(masks):
    """The number of kept channels in each layer."""
    return [int(mask.sum()) for mask in masks.values()]


cut_sparsities = [0.3, 0.5, 0.6, 0.7]
compared = {"no penalty": ("proximal", 0.0), "λ = 0.05, SGD": ("SGD", SLIM), "λ = 0.05, proximal": ("proximal", SLIM)}
COMPARED_COLOUR = {"no penalty": "black", "λ = 0.05, SGD": "vermilion", "λ = 0.05, proximal": "blue"}
after_cut = {name: np.zeros((len(SEEDS), len(cut_sparsities))) for name in compared}
for (name, job), seed in tqdm([(item, seed) for item in compared.items() for seed in SEEDS], desc="cuts"):
    for place, sparsity in enumerate(cut_sparsities):
        model = slimmed[job][seed]
        smaller = zero_scaled(model, scale_masks(scales_of(model), sparsity))
        after_cut[name][seed, place] = accuracy(smaller, images[:1000], labels[:1000])
left_at_half = {
    strength: [channels_left(scale_masks(scales_of(model), 0.5)) for model in slimmed["proximal", strength]]
    for strength in SLIM_STRENGTHS
}  # [seeds, layers]
widths = np.array([16, 32, 64])

fig, axes = plt.subplots(1, 2, figsize=(11, 4))
for name, values in after_cut.items():
    curve(axes[0], 100 * np.array(cut_sparsities), 100 * values, label=name, colour=COMPARED_COLOUR[name])
axes[0].axvline(100 * np.mean(slim_zeros["proximal", SLIM]), color="grey", linestyle=":", label="zeros of λ = 0.05, proximal")
label_axes(axes[0], x="channels removed", x_unit="%", y="validation accuracy", y_unit="%", title="right after the cut")
axes[0].legend(loc="lower left", fontsize=9)
for layer, colour in enumerate(("orange", "purple", "green")):
    shares = 100 * np.array([np.array(left_at_half[s])[:, layer] / widths[layer] for s in SLIM_STRENGTHS]).T
    axes[1].bar(np.arange(3) + 0.25 * (layer - 1), shares.mean(0), width=0.22, yerr=shares.std(0, ddof=1), capsize=3,
                color=COLOURS[colour], label=f"conv{layer + 1}")
axes[1].set_xticks(range(3), [f"{s:g}" for s in SLIM_STRENGTHS])
axes[1].grid(axis="x", visible=False)
label_axes(axes[1], x="strength λ", x_unit="proximal", y="channels kept", y_unit="% of the layer",
           title="a cut of 50 %, one ranking")
axes[1].legend()
show(fig, alt="Left: accuracy right after the cut against sparsity. Without a penalty it falls at once. The slimmed networks stay "
     "level to about half of the channels, and then fall. Right: channels kept in each layer after a cut of half. At strength 0.025 the second "
     "layer keeps next to nothing.")
for strength in SLIM_STRENGTHS:
    print(f"λ {strength:5g}: a cut of 50 % leaves {left_at_half[strength]} of [16, 32, 64] channels")
LOW = SLIM_STRENGTHS[1]
collapse = {0: [], 8: []}
for least, model in tqdm(list(itertools.product(collapse, slimmed["proximal", LOW])), desc="floor"):
    collapse[least].append(validate(zero_scaled(model, scale_masks(scales_of(model), 0.5, least))))
for least, values in collapse.items():
    print(f"λ {LOW:g}, a cut of 50 % with a floor of {least} channels: accuracy {in_percent(values)}")

# %% [markdown]
# **What we saw.** Setting a scale to zero that *is* zero changes nothing, as long as the shifts stay (here they do; Part
# 4 deals with them): the blue curve is level up to the dotted line. Training has chosen the channels and has already
# learned to live without them. Up to half of the channels the red curve stands close to the blue one or a little
# above it: a tiny scale is nearly as good as none, and SGD had lost less accuracy before. Beyond that red falls earlier,
# far below blue. What SGD does not give is the line: nothing in its network says how much may go.
#
# And look at $\lambda = 0.025$: a cut of 50% takes nearly all of the second layer, and the accuracy is close to that of
# guessing. This is layer collapse, and users of a published code met it too ([a
# thread](https://github.com/Eric-mingjie/network-slimming/issues/70)). The floor keeps the network whole, though the
# accuracy right after the cut is still low. Here the smaller strength is the dangerous one: the scales of the layers
# have moved by different amounts, and the channels of a layer have not parted yet.
#
# ### Experiment: is |γ| of one layer comparable with that of another?
#
# One ranking for the whole network assumes it. A test: divide $\gamma$ and $\beta$ of the last BatchNorm by 16 and
# multiply the weights of the linear layer behind it by 16. ReLU and pooling pass the factor on, and a power of two is
# exact in floating point.

# %% tags=["experiment"]
twin = copy.deepcopy(cnns[0])
with torch.no_grad():
    twin.bn3.weight /= 16
    twin.bn3.bias /= 16
    twin.fc1.weight *= 16
    gap = (twin(images[:500]) - cnns[0](images[:500])).abs().max().item()
twin_left = {name: channels_left(scale_masks(scales_of(model), 0.5)) for name, model in (("as trained", cnns[0]), ("rescaled", twin))}
print(f"the outputs of the two networks differ by {gap:g} at most")
for name, counts in twin_left.items():
    print(f"{name:10}: a cut of 50 % leaves {counts} channels")

# %% [markdown]
# **What we saw.** Two networks that compute the same function, bit for bit, and two entirely different cuts. So
# $|\gamma|$ says something about the channels of one layer, and nothing certain about two layers. A sum of $|\gamma|$
# over the whole network can be made smaller without any change of the function, and SGD finds that way. Only a scale of
# exactly zero means the same in every layer: no rescaling changes a zero. (Its shift is left: that is Part 4.)
#
# ## Part 4 · What a removed channel leaves behind
#
# ### Exercise fold_constant
#
# A channel with $\gamma_c = 0$ is not silent. Its BatchNorm gives $\beta_c$ at every position, the ReLU makes
# $\max(\beta_c, 0)$ of it, and pooling leaves a constant as it is. The next layer receives a constant feature map
# (the output of one channel). Whoever removes the channel takes it away, unless it goes into the next layer's bias:
#
# $$b_o \leftarrow b_o + \sum_{c\ \text{removed}} \max(\beta_c, 0) \sum_{j} w_{o,c,j} .$$
#
# Here $o$ is an output of the next layer, $w$ is `weight`, $b$ is `bias`, $\beta$ is `shifts`, and $j$ runs over all
# the weights of output $o$ that meet channel $c$: the $k_h k_w$ weights of a kernel, or, in a linear layer after
# `flatten`, the positions of the channel's feature map.
#
# *By hand.* Two channels, $\beta = (0.5,\ -2)$, both removed. A linear layer without flattening has the row $(3,\ 4)$
# and the bias 1: $1 + 0.5 \cdot 3 + 0 \cdot 4 = 2.5$. If each channel had two positions, and the row were $(3, 1,\ 4,
# 4)$: $1 + 0.5 \cdot (3 + 1) + 0 = 3$.
#
# <details><summary>Hint</summary>
#
# `reshape(out, channels, -1)` gives each channel of each output its own list of weights, for a convolution and for a
# flattened linear layer alike. Then two things are left: a sum, and a product of a matrix with a vector of constants.
# What is the constant of a kept channel?
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=15
from solutions.lab06_regularization_and_scaling import fold_constant

# %% tags=["visible-check"]
weight, bias = nn.Parameter(torch.tensor([[3.0, 4.0]])), nn.Parameter(torch.tensor([1.0]))
shifts, gone = torch.tensor([0.5, -2.0]), torch.tensor([False, False])
result = fold_constant(weight, bias, shifts, gone)
assert isinstance(result, torch.Tensor) and result.shape == (1,), f"You returned {result!r}: return a tensor of shape [out], here [1]."
assert abs(result.item() - 2.5) < 1e-6, (
    f"You returned {result.item()}, and 1 + 0.5 * 3 + 0 * 4 = 2.5 was expected.\n"
    "Is it -5.5? Then the ReLU is forgotten. Is it 10.5? Then you took magnitudes. Is it 1.5? Then the old bias is lost.\n"
    "Is it 1? Then the mask is taken the wrong way round, or the ReLU comes after the sum. Is it -0.5? Then it was subtracted."
)
assert not result.requires_grad and bias.item() == 1.0, "Return a new, detached bias, and leave the old one as it is."
result = fold_constant(weight, None, shifts, torch.tensor([True, False]))
assert result.tolist() == [0.0], (
    f"The first channel is kept, and the second gives ReLU(-2) = 0. Without a bias that is 0, and you returned {result.tolist()}."
)
flat = torch.tensor([[3.0, 1.0, 4.0, 4.0]])  # two channels of two positions: (3, 1) belong to the first
result = fold_constant(flat, torch.tensor([1.0]), shifts, gone).item()
assert abs(result - 3.0) < 1e-6, (
    f"You returned {result}, and 1 + 0.5 * (3 + 1) = 3 was expected.\nIs it 4.5? Then the positions are taken in turns; "
    "channel 0 owns the first two entries.\nIs it 2 or 2.5? Then the weights of a channel were averaged, or only one of them was taken."
)
kernels = torch.tensor([[[[1.0, 2.0]], [[5.0, 5.0]]]])  # shape [1, 2, 1, 2]
result = fold_constant(kernels, None, shifts, gone).item()
assert abs(result - 1.5) < 1e-6, (
    f"You returned {result} for a convolution whose first kernel is (1, 2): 0.5 * (1 + 2) = 1.5 was expected."
)
for bad in (
    (weight, None, shifts, torch.tensor([True])),
    (torch.ones(1, 3), None, shifts, gone),
    (torch.ones(1, 4, 1, 1), None, shifts, gone),
):
    try:
        fold_constant(*bad)
    except ValueError:
        pass
    else:
        raise AssertionError(
            f"A weight {list(bad[0].shape)} with shifts [2] and a mask {list(bad[3].shape)} raised no ValueError."
        )
print("fold_constant: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: masked against rebuilt
#
# Now we build the narrow network: a `CNN` with fewer channels, and a state of selected slices. A convolution of ours
# has no bias, but the BatchNorm behind it subtracts its running mean: a constant $b$ that is added to the convolution's
# output is the same as a mean that is smaller by $b$.
#
# The *masked* network ($\gamma = 0$, shifts kept) is the truth. Against it, at each of the three places: channels
# *dropped* with their constants, and channels dropped with the constants *folded*. We use the trained networks. Most of
# their shifts are negative (the first printed line), and ReLU makes zero of those. So we set the shifts of the removed
# channels by hand, from 0.25 to 1, to see what is at stake. A third of the channels of one layer is removed.

# %% tags=["experiment"]
def narrow(model, masks, fold=True):
    """The network without the removed channels: a narrower CNN with the state of the kept ones."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    masks = {name: mask.to(device) for name, mask in masks.items()}
    inputs = torch.ones(1, dtype=torch.bool, device=device)  # the image has one channel, which stays
    before = None
    for number, name in enumerate(NORMS, start=1):
        weight = state[f"conv{number}.weight"]
        if fold and before is not None:
            state[f"{name}.running_mean"] -= fold_constant(weight, None, model.get_submodule(before).bias, inputs)
        state[f"conv{number}.weight"] = weight[masks[name]][:, inputs]
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{part}"] = state[f"{name}.{part}"][masks[name]]
        inputs, before = masks[name], name
    if fold:
        state["fc1.bias"] = fold_constant(model.fc1.weight, model.fc1.bias, model.bn3.bias, inputs)
    state["fc1.weight"] = state["fc1.weight"][:, inputs.repeat_interleave(9)]  # a channel owns 3 x 3 positions
    small = CNN(channels=channels_left(masks)).to(device, memory_format=torch.channels_last)
    small.load_state_dict(state)
    return small.eval()


def all_kept(model):
    """Masks that keep every channel."""
    return {name: torch.ones(len(scale), dtype=torch.bool) for name, scale in scales_of(model).items()}


positive = [
    float(np.mean([(getattr(model, name).bias[masks[name]] > 0).float().mean().item() for name in NORMS if masks[name].any()]))
    for model in slimmed["proximal", SLIM]
    for masks in [{name: scale == 0 for name, scale in scales_of(model).items()}]
]
print("trained networks, positive shifts:  " + "   ".join(
    f"{name} {in_percent([(getattr(model, name).bias > 0).float().mean().item() for model in cnns])}" for name in NORMS))
print(f"slimmed networks (λ = {SLIM:g}), positive shifts of the channels at exactly zero: {in_percent(positive)}")

def keep_output(seen, name, module, inputs, output):
    """A forward hook: keep what a module puts out under a name."""
    seen[name] = output


PLACES = {"bn1": "conv1 → conv2, padded", "bn2": "conv2 → conv3, padded", "bn3": "conv3 → fc1, no padding"}
shift_values = [0.25, 0.5, 1.0]
gaps = {}  # (place, treatment): [seeds, shifts], relative to the spread of the outputs
maps = {}  # place: [seeds], mean error of the next layer's output at each position, folded, shift 0.5
with torch.no_grad():
    for place, seed in tqdm([(place, seed) for place in PLACES for seed in SEEDS], desc="fold"):
        model = copy.deepcopy(cnns[seed])
        masks = all_kept(model)
        masks[place][::3] = False
        for value in shift_values:
            getattr(model, place).bias[(~masks[place]).to(device)] = value
            whole = zero_scaled(model, masks)
            truth = whole(images[:200])
            for treatment in ("dropped", "folded"):
                small = narrow(model, masks, fold=treatment == "folded")
                error = (small(images[:200]) - truth).square().mean().sqrt() / truth.std()
                gaps.setdefault((place, treatment), [[] for _ in SEEDS])[seed].append(error.item())
            if value == 0.5 and place != "bn3":
                following = {"bn1": "bn2", "bn2": "bn3"}[place]  # look behind the next BatchNorm, where the folded mean acts
                seen = {}
                for name, network in (("whole", whole), ("small", narrow(model, masks))):
                    network.get_submodule(following).register_forward_hook(partial(keep_output, seen, name))
                    network(images[:200])
                error = (seen["small"] - seen["whole"]).abs().mean((0, 1)) / seen["whole"].std()
                maps.setdefault(place, []).append(error.cpu().numpy())

fig, axes = plt.subplots(1, 3, figsize=(13, 4), width_ratios=[0.9, 0.9, 1.4])
for ax, (place, errors) in zip(axes, maps.items()):
    picture = ax.imshow(100 * np.mean(errors, axis=0))
    fig.colorbar(picture, ax=ax, label="mean error (% of the spread)", shrink=0.8)
    label_axes(ax, x="column", x_unit="pixels", y="row", y_unit="pixels", title=PLACES[place].split(",")[0] + ", folded")
    ax.grid(visible=False)
for place, colour in zip(PLACES, ("orange", "purple", "green")):
    curve(axes[2], shift_values, 100 * np.array(gaps[place, "folded"]), label=f"folded, {PLACES[place]}", colour=colour)
    axes[2].plot(shift_values, 100 * np.mean(gaps[place, "dropped"], axis=0), color=COLOURS[colour], linestyle=":",
                 marker=MARKERS[list(COLOURS).index(colour)], markerfacecolor="white", label=f"dropped, {PLACES[place]}")
axes[2].set_yscale("log")
label_axes(axes[2], x="shift of the removed channels", x_unit="as stored", y="error of the outputs", y_unit="% of their spread")
axes[2].legend(fontsize=8, loc="center right")
show(fig, alt="Two maps of the error after folding: zero inside, and a bright border, brightest in the corners. Right: error of the "
     "outputs against the shift, on a logarithmic scale. Dropped constants cost most. Folded ones cost less where the next "
     "layer is padded, and nothing but rounding where it is not.")
for place in PLACES:
    print(f"{PLACES[place]:24} shift 0.5: dropped {in_percent([row[1] for row in gaps[place, 'dropped']])}   "
          f"folded {in_percent([row[1] for row in gaps[place, 'folded']])} (largest {max(row[1] for row in gaps[place, 'folded']):.1e})")

# %% [markdown]
# **What we saw.** Where the next layer is not padded (green), folding is exact: what is left is rounding. Where it is
# padded the maps show what is wrong: inside nothing; at an edge one row or column of weights, in a corner one of each,
# meet a padding zero in place of the constant, and the folded bias counts them all the same. The smaller the map, the
# larger its border: in the second it is 24 of 49 positions. At the *outputs* the first place still costs more (right
# plot): one more convolution carries its error inwards, while the last pooling, which makes 3 × 3 of 7 × 7, leaves out
# the last row and column of the second map. Everywhere folding leaves a smaller error than dropping.
#
# And in the slimmed networks themselves (the second printed line) hardly any channel at zero has a positive shift. A
# likely reason: where the ReLU is closed no gradient comes back, and $\gamma$ stays at zero; a channel with a positive
# shift still receives gradients, and its $\gamma$ can leave zero again. So here dropping alone would have changed
# little. It need not be so in other networks: measure before you rely on it. The paper on slimming does not treat the
# shifts, and a user who saw its accuracy break asked about just this ([the
# thread](https://github.com/liuzhuang13/slimming/issues/5)).
#
# ## Part 5 · Regularise, prune, fine-tune, again
#
# ### Experiment: what does slimming buy, at equal steps?
#
# The usual flow is: regularise, prune, fine-tune; and again. We cut half of the channels in four ways; every layer keeps
# at least four. Each way gets the same 160 steps of 64 images, but not of the same optimizer: slimming takes SGD, as in
# Part 3, and fine-tuning AdamW, whose learning rate rises to 0.001 and falls again.
#
# - *at once*: cut the trained CNN by $|\gamma|$ as it is, then fine-tune for 160 steps;
# - *at random*: the same with random channels;
# - *slimmed*: 120 steps with $\lambda = 0.05$ (proximal), cut, fine-tune for 40;
# - *two rounds*: 60 steps with $\lambda = 0.05$, cut a quarter, fine-tune for 20; then once more, to one half.
#
# The accuracy is measured at the markers, and the lines only join them.

# %% tags=["experiment"]
EXTRA = 0  # more steps of fine-tuning at the end of every flow


def tuned(model, seed, steps):
    """A copy of the model, fine-tuned."""
    model = copy.deepcopy(model)
    train(model, train_images, train_labels, lr=1e-3, steps=steps, batch_size=BATCH, seed=seed, progress=False)
    return model


def cut(model, sparsity, scales=None):
    """The narrow network; every layer keeps at least four channels."""
    return narrow(model, scale_masks(scales_of(model) if scales is None else scales, sparsity, least=4))


def at_once(seed):
    small = cut(cnns[seed], 0.5)
    return [small, tuned(small, seed, SLIM_STEPS + TUNE_STEPS + EXTRA)]


def at_random(seed):
    generator = torch.Generator().manual_seed(seed)
    lots = {name: torch.rand(len(scale), generator=generator) for name, scale in scales_of(cnns[seed]).items()}
    small = cut(cnns[seed], 0.5, lots)
    return [small, tuned(small, seed, SLIM_STEPS + TUNE_STEPS + EXTRA)]


def slimmed_once(seed):
    small = cut(slimmed["proximal", SLIM][seed], 0.5)
    return [slimmed["proximal", SLIM][seed], small, tuned(small, seed, TUNE_STEPS + EXTRA)]


def two_rounds(seed):
    stages, model = [], cnns[seed]
    for number, sparsity in enumerate((0.25, 1 / 3)):  # a third of the three quarters that are left
        regular = slim(model, seed + 10 * number, SLIM, steps=SLIM_STEPS // 2)
        small = cut(regular, sparsity)
        model = tuned(small, seed + 10 * number, TUNE_STEPS // 2 + number * EXTRA)
        stages += [regular, small, model]
    return stages


flows = {"at once": at_once, "at random": at_random, "slimmed": slimmed_once, "two rounds": two_rounds}
ends, stages = {}, {}
for (name, flow), seed in tqdm([(item, seed) for item in flows.items() for seed in SEEDS], desc="flows"):
    models = flow(seed)
    ends.setdefault(name, []).append(models[-1])
    stages.setdefault(name, []).append([dense_cnn[seed]] + [validate(model) for model in models])

HALF, ROUND, ALL_STEPS = SLIM_STEPS // 2, (SLIM_STEPS + TUNE_STEPS) // 2, SLIM_STEPS + TUNE_STEPS + EXTRA
TIMES = {
    "at once": [0, 0, ALL_STEPS], "at random": [0, 0, ALL_STEPS], "slimmed": [0, SLIM_STEPS, SLIM_STEPS, ALL_STEPS],
    "two rounds": [0, HALF, HALF, ROUND, ROUND + HALF, ROUND + HALF, ALL_STEPS],
}
FLOW_COLOUR = {"at once": "black", "at random": "orange", "slimmed": "blue", "two rounds": "green"}
fig, (wide, close) = plt.subplots(1, 2, figsize=(11.5, 4.2), width_ratios=[1.5, 1])
for name, values in stages.items():
    curve(wide, TIMES[name], 100 * np.array(values), label=name, colour=FLOW_COLOUR[name])
wide.axhline(100 * np.mean(dense_cnn), color="grey", linestyle=":", label="not cut")
label_axes(wide, x="training spent", x_unit="steps", y="validation accuracy", y_unit="%",
           title="the four flows, to 50 % of the channels")
wide.legend(loc="lower right")
for place, (name, values) in enumerate(stages.items()):
    points = [100 * run[-1] for run in values]
    colour = FLOW_COLOUR[name]
    close.scatter([place] * len(SEEDS), points, color=COLOURS[colour], marker=MARKERS[list(COLOURS).index(colour)])
    close.hlines(np.mean(points), place - 0.25, place + 0.25, color=COLOURS[colour])
close.axhline(100 * np.mean(dense_cnn), color="grey", linestyle=":")
close.set_xticks(range(4), list(stages))
close.grid(axis="x", visible=False)
label_axes(close, x="flow", x_unit=f"{ALL_STEPS} steps each", y="validation accuracy", y_unit="%", title="at the end")
show(fig, alt="Left: accuracy against steps. Cut at once, by scale or at random, the accuracy falls far and climbs back by fine-tuning. "
     "Slimmed, it falls slowly while the penalty acts, the cut itself costs nothing, and fine-tuning brings a part back. Two rounds do "
     "this twice. Right: at the end the networks that were cut at once stand above the slimmed ones.")
whole_macs, whole_parameters = count_macs(cnns[0], (1, 28, 28)), count_parameters(cnns[0])
for name, models in ends.items():
    macs = np.mean([count_macs(model, (1, 28, 28)) for model in models]) / whole_macs
    parameters = np.mean([count_parameters(model) for model in models]) / whole_parameters
    cut_values, end_values = ([run[stage] for run in stages[name]] for stage in (-2, -1))
    print(f"{name:10} right after the last cut {in_percent(cut_values)}   at the end {in_percent(end_values)}   "
          f"MACs {100 * macs:.0f} %   parameters {100 * parameters:.0f} %")

# %% [markdown]
# **What we saw.** Two things, and both are true.
#
# *Right after the cut* slimming is far ahead. Its cut costs next to nothing, since training had already emptied the
# channels; cut at once, the network is broken, whether by $|\gamma|$ or at random. If you cannot fine-tune, this
# decides.
#
# *At the end of equal budgets* the order is reversed. The simple ways end above the slimmed ones, even the one that chose
# its channels at random. The penalty pushes *all* the scales down, those that stay included. That costs accuracy
# (compare λ = 0 and λ = 0.05 in the lines of Part 3), and the few steps that are left for the repair do not bring it
# back. A second round did not help. So at this scale, from a trained network and with a short budget, the penalty is an
# expensive way to choose channels, and what was chosen mattered less than the training afterwards. Look at the printed
# MACs too: half of the channels is not half of the work, and the flows do not keep the same layers wide.
#
# When would it pay? The paper has the penalty, with a far smaller $\lambda$, in the whole training from the beginning:
# there it costs no extra steps, and the scales have time to part. We have not shown that here. But we know now what to
# ask of a paper: what did the other methods do with the same steps?
#
# *Try it:* set `EXTRA = 400` in the first line of the cell: 400 steps more of fine-tuning for every flow (some minutes).
# Do the differences stay?
#
# ## Part 6 · The test images
#
# ### Experiment: once, at the end
#
# All choices are made. We read the test images once, for the four flows.

# %% tags=["experiment"]
test_images, test_labels = (tensor.to(device) for tensor in load_fashion_mnist("test"))
test_dense = [accuracy(model, test_images, test_labels) for model in cnns]
test_ends = {
    name: [accuracy(model, test_images, test_labels) for model in models] for name, models in tqdm(ends.items(), desc="test")
}
print(f"not cut     {in_percent(test_dense)}")
for name, values in test_ends.items():
    print(f"{name:11} {in_percent(values)}")

# %% [markdown]
# **What we saw.** On images that played no part in any choice the picture is the same: cut at once, the networks end
# higher than the slimmed ones. Where two flows stand closer than their spreads, three seeds do not say which is better.

# %% [markdown] tags=["question"]
# ### Written question
#
# A colleague reports: "I trained with an L1 penalty on the BatchNorm scales, with SGD. Afterwards I set all channels
# with $|\gamma| < 0.1$ to zero, deleted them, and fine-tuned. I got a network of half the size that is two points
# better than magnitude pruning followed by the same fine-tuning. So L1 makes the network sparse." Answer in about
# twelve lines, with the plots of this lab as evidence. (a) Which exact zeros did the L1 penalty make here? Say why, and what
# change in the step would make them. (b) Name *two* things that can go wrong when one threshold of 0.1 is used for all
# the layers and the channels are then deleted. (c) Is the comparison with magnitude pruning fair? What would you ask
# for?

# %% [markdown] tags=["written"] points=3 grade_id="sparse_by_training"
# **Model answer.** (a) None. The sub-gradient of $|\gamma|$ has the same size on both sides of zero, so an SGD step
# jumps over zero; the histogram of the SGD run has many small scales and no zero. It was the threshold that made the
# zeros. A proximal step (gradient step on the loss, then soft thresholding by learning rate times strength) reaches
# zero and stays there.
#
# (b) Two of: a layer can lose all or nearly all of its channels, since the scales of two layers are not comparable (the
# rescaled twin); the constant ReLU(β) of a deleted channel is lost if it is not folded into the next bias, and at a
# padded border folding is not exact; a scale of 0.08 is not zero, so that the channel still carried something and the
# outputs change; 0.1 was perhaps chosen on the test images.
#
# (c) Not as told. The slimmed network had the steps with the penalty *and* the fine-tuning, magnitude pruning only the
# fine-tuning. Ask for equal total steps (in our flows the order was reversed then), several seeds with the spread, a
# choice on validation data, and the MACs of both networks: the same number of channels can be different work.
#
# **Points.** 1 for (a): no zeros by SGD, with the reason and the proximal step. 1 for (b): two valid points. 1 for (c):
# unequal training named, and equal steps asked for.

# %% tags=["record"]
# For the course's makers: where LABKIT_RECORD names a folder, write what the lecture note quotes into it.
import json
import os
from pathlib import Path


def summary(values):
    """Mean and standard deviation over the seeds, and the single values, as fractions."""
    values = [round(float(value), 9) for value in values]
    return {"mean": round(float(np.mean(values)), 9), "sd": round(float(np.std(values, ddof=1)), 9), "seeds": values}


def key_of(text):
    """A name as a key: no blanks, no commas, no points."""
    return str(text).replace(", ", "_").replace(" ", "_").replace("=_", "").replace("λ_", "").replace(".", "p")


if folder := os.environ.get("LABKIT_RECORD"):
    record = {
        "made_by": "in labs/: LABKIT_RECORD=../data/results python source/lab06_regularization_and_scaling.py",
        "unit": "accuracies, shares and errors are fractions; sd is the standard deviation over seeds (n - 1)",
        "images": {"train": len(train_images), "validation": len(images), "test": len(test_images)},
        "dense": {"mlp": summary(dense_mlp), "cnn": summary(dense_cnn)},
        "mlp": {
            key_of(way): {
                key_of(s): {q: summary([run[q] for run in runs[way, s]]) for q in ("zero", "small", "rows", "accuracy")}
                for w, s in runs if w == way
            }
            for way in dict.fromkeys(way for way, _ in runs)
        },
        "slimmed": {
            f"{way}_{key_of(strength)}": {
                "zero": summary(slim_zeros[way, strength]), "accuracy": summary(slim_accuracy[way, strength]),
            }
            for way, strength in jobs
        },
        "left_at_half": {
            key_of(s): {f"conv{i + 1}": summary(np.array(counts)[:, i] / widths[i]) for i in range(3)}
            for s, counts in left_at_half.items()
        },
        "after_cut": {
            key_of(name): {f"{100 * s:g}": summary(values[:, i]) for i, s in enumerate(cut_sparsities)}
            for name, values in after_cut.items()
        },
        "collapse": {f"floor_{least}": summary(values) for least, values in collapse.items()},
        "twin": twin_left,
        "positive_shifts": summary(positive),
        "fold": {
            place: {
                treatment: {
                    key_of(v): summary([row[i] for row in gaps[place, treatment]]) for i, v in enumerate(shift_values)
                }
                for treatment in ("dropped", "folded")
            }
            for place in PLACES
        },
        "flows": {
            key_of(name): {
                "cut": summary([run[-2] for run in values]), "end": summary([run[-1] for run in values]),
                "test": summary(test_ends[name]),
                "macs": summary([count_macs(m, (1, 28, 28)) / count_macs(cnns[0], (1, 28, 28)) for m in ends[name]]),
                "parameters": summary([count_parameters(m) / count_parameters(cnns[0]) for m in ends[name]]),
            }
            for name, values in stages.items()
        },
        "test_dense": summary(test_dense),
    }
    Path(folder, "lab06_regularization_and_scaling.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

# %% [markdown]
# ## What to take with you
#
# - **The step makes the zeros, not the penalty alone.** L1 by SGD makes small weights and no zero. Soft thresholding
#   after a step on the loss makes exact zeros: in the MLP at nearly the same accuracy, in the slimmed CNN at a lower one.
#   L2 makes neither.
# - **A scale of exactly zero can be cut at no cost, if its shift is cared for.** Training has learned to do without.
# - **One threshold for all the layers can remove a layer.** The scales of two layers are not comparable; two equal
#   functions may have different scales. Use a floor, or cut only scales that are exactly zero.
# - **A removed channel leaves ReLU(β).** Fold it into the next bias: exact without zero padding, wrong at the border
#   with it. Measure whether it matters.
# - **At equal steps slimming did not pay here.** Cut at once, even at random, and fine-tuned as long, the networks
#   ended higher.
#
# Lab 7 removes filters for good, by what their activations say. Lab 8 lets the layer's output choose, with the lasso
# that you have met here.
#
# **Read next.** Liu et al. (2017), sections 3 and 4. Ye et al. (2018), for what |γ| does and does not mean. Parikh and
# Boyd (2014), sections 1 and 6. Wen et al. (2016), for groups of many shapes. The lecture note of this lab
# (`lecture_notes/lab06_regularization_and_scaling.md` in the course's repository) works small examples by hand.
