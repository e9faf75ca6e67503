# %% [markdown] tags=["lab"] question="How much will the loss change?" minutes=120 prerequisite="lab04_prune_finetune"
# # Lab 5 · Second-order criteria
#
# **The question: how much will the loss change when a weight goes?**
#
# Magnitude asks how large a weight is. But what we pay when a weight goes is a rise of the *loss*. So let us predict
# this rise, weight by weight, and choose the weights that cost least. The tool is the Taylor expansion. You build
# each criterion that comes out of it, compare its prediction with the truth, and test every assumption on the way.
#
# | you build | it answers |
# |---|---|
# | `gradient_scores`, `hybrid_mask`, `taylor_scores` | What does the gradient know about importance? |
# | `hessian_diagonal`, `obd_saliency` | What does the curvature add? |
# | `hutchinson_diagonal`, `empirical_fisher_diagonal` | And if the exact curvature is too expensive? |
# | `obs_step` | Can the weights that stay make up for the one that goes? |
#
# **Before you begin.** You have done Lab 4 (prune and fine-tune). The lecture note of this lab
# (`lecture_notes/lab05_second_order.md` in the course's repository) teaches the ideas first.
#
# **How long it takes.** The experiments together run for about a minute on a quiet laptop with two cores, and for
# several minutes on a busy one. Every experiment of more than two seconds shows its progress in a bar.
#
# **Papers.** LeCun, Denker and Solla (1989), "Optimal Brain Damage". Hassibi and Stork (1993), "Second order
# derivatives for network pruning: Optimal Brain Surgeon". Molchanov et al. (2017),
# [arXiv:1611.06440](https://arxiv.org/abs/1611.06440): the first-order criterion.
#
# **The words.** The *gradient* $g$ holds the first derivatives of the loss, $g_i = \partial L / \partial w_i$. The
# *Hessian* $H$ holds the second ones, $h_{ij} = \partial^2 L / \partial w_i \partial w_j$; its diagonal entries
# $h_{ii}$ say how strongly the loss bends along one weight. Its *eigenvalues* are the curvatures along $n$ special
# directions; where one is negative, the loss bends down. A *convex* loss has no negative one anywhere. *Saliency*
# is a predicted rise of the loss. The loss is in *nats*: its logarithm is the natural one. An estimate is
# *unbiased* if its mean over many draws is the true value; the spread of the draws is its *standard error*. A
# *mask* is boolean, and `True` means keep.
#
# **How it is graded.** Each exercise has a visible check, which you can run as often as you like, and hidden checks,
# which run when the work is graded. Cells marked as experiment are *not* run then. So if an exercise needs a helper
# function of yours, write it in the exercise cell or in a new cell of your own, not in an experiment cell.
# No exercise needs your answer to another one. You may call it all the same; a mistake in it then costs in both.

# %% tags=["setup"]
import copy
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from labkit.datasets import load_fashion_mnist
from labkit.models import prunable_weights
from labkit.plots import COLOURS, MARKERS, curve, label_axes, show, use_style
from labkit.training import accuracy, train

use_style()

# %% [markdown]
# ## What the experiments use
#
# The Hessian of a network with $n$ weights has $n^2$ entries. To have the exact one as a judge, we need a small
# network: images averaged over 4×4 pixels (49 inputs), 20 hidden neurons with ReLU, 10 outputs, 1,180 weights. It is
# trained here, with three seeds, in a few seconds. The loss $L$ whose change we predict is the mean cross-entropy on
# 1,200 training images, in 64-bit numbers. Accuracies are those on the validation images; the test images are read
# once, at the end.
#
# The truth is simple to get: set weights to zero, and compute the loss again. `change_without` does it for many sets
# of weights at once.

# %% tags=["experiment"]
torch.set_num_threads(1)  # the products are too small for two threads to pay
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SEEDS = (0, 1, 2)
INPUTS, HIDDEN, CLASSES = 49, 20, 10
FIRST = HIDDEN * INPUTS  # weights of the first layer; those of the second one follow


def pooled(split):
    """The images of a split averaged over 4x4 pixels, [N, 49], and their labels."""
    images, labels = (tensor.to(device) for tensor in load_fashion_mnist(split))
    return F.avg_pool2d(images, 4).flatten(1), labels


train_images, train_labels = pooled("train")
validation_images, validation_labels = pooled("validation")
x, y = train_images[:1200].double(), train_labels[:1200]  # the images of the loss
EPOCHS, EPOCH = 15, len(train_images) // 128


def trained(seed):
    """A network after one epoch and after all, in 64-bit numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = OrderedDict(fc1=nn.Linear(INPUTS, HIDDEN), relu=nn.ReLU(), fc2=nn.Linear(HIDDEN, CLASSES))
        network, early = nn.Sequential(layers).to(device), []
    keep = lambda model, step: early.append(copy.deepcopy(model).double()) if step + 1 == EPOCH else None
    train(network, train_images, train_labels, lr=0.01, epochs=EPOCHS, seed=seed, after_step=keep)
    return early[0], network.double()


def loss_of(network):
    """The loss that the whole lab is about."""
    return F.cross_entropy(network(x), y)


def flat(tensors):
    """The tensors of a dictionary as one vector, without history."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors.values()])


def gradient_of(network):
    """The gradient with its sign, as one vector."""
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss_of(network), prunable_weights(network).values())])


@torch.no_grad()
def losses_with(network, vectors):
    """The loss with each of these weight vectors, [K, n] -> [K]; the biases are the network's."""
    found = []
    for part in vectors.split(30):
        first, second = part[:, :FIRST].view(-1, HIDDEN, INPUTS), part[:, FIRST:].view(-1, CLASSES, HIDDEN)
        hidden = torch.relu(x @ first.transpose(1, 2) + network.fc1.bias)  # K, N, 20
        logits = hidden @ second.transpose(1, 2) + network.fc2.bias  # K, N, 10
        found.append(F.cross_entropy(logits.flatten(0, 1), y.repeat(len(part)), reduction="none").view(len(part), -1).mean(1))
    return torch.cat(found)


def change_without(network, sets):
    """By how much the loss changes when all the weights of a set are zero: positions [sets, size] -> [sets]."""
    w, changes = flat(prunable_weights(network)), []
    for part in sets.split(300):
        changes.append(losses_with(network, w.repeat(len(part), 1).scatter(1, part, 0.0)))
    return torch.cat(changes) - losses_with(network, w[None])


def validate(network, vector, images=validation_images, labels=validation_labels):
    """Accuracy with another weight vector."""
    model = copy.deepcopy(network)
    for weight, part in zip(prunable_weights(model).values(), vector.split([FIRST, len(vector) - FIRST])):
        weight.data.copy_(part.view(weight.shape))
    return accuracy(model.float(), images, labels, batch_size=1000)


def rank_correlation(one, other):
    """Spearman's: the correlation of the ranks. 1 = the same order, 0 = no relation."""
    ranks = torch.stack([values.argsort().argsort().double() for values in (one, other)])
    return torch.corrcoef(ranks)[0, 1].item()


def mean_and_sd(values, digits=2, factor=1):
    """Mean and standard deviation over the seeds, as text."""
    return f"{factor * np.mean(values):.{digits}f} ± {factor * np.std(values, ddof=1):.{digits}f}"


early, networks = zip(*[trained(seed) for seed in SEEDS])
n = FIRST + CLASSES * HIDDEN
w = [flat(prunable_weights(network)) for network in networks]
every = torch.arange(n, device=device)[:, None]  # n sets of one weight
true = [change_without(network, every) for network in tqdm(networks, desc="true changes")]
dense = [validate(network, vector) for network, vector in zip(networks, w)]
print(f"{n:,} weights, validation accuracy {mean_and_sd(dense, 1, 100)} %")
print(f"removing one weight changes the loss by {mean_and_sd([t.abs().median().item() for t in true], 5)} nats (median), and by "
      f"{max(t.max().item() for t in true):.2f} at most")
print(f"and in {mean_and_sd([(t < 0).double().mean().item() for t in true], 0, 100)} % of the cases the loss *falls*")

# %% [markdown]
# ## Part 1 · What the gradient knows
#
# Move the weights by $\delta w$. Taylor's expansion of the loss is
#
# $$L(w + \delta w) - L(w) = \sum_i g_i\,\delta w_i + \tfrac12 \sum_i h_{ii}\,\delta w_i^2
# + \tfrac12 \sum_{i \ne j} h_{ij}\,\delta w_i\,\delta w_j + O(\|\delta w\|^3).$$
#
# To remove weight $i$ is to move it by $\delta w_i = -w_i$. Every criterion of this lab keeps some of these terms and
# drops the others.
#
# ### Exercise gradient_scores
#
# We begin with a criterion that is often proposed: a weight with a small gradient matters little, so remove it. Its
# score is
#
# $$\text{score}_i = |g_i| .$$
#
# Here $g_i$ is the derivative of what `compute_loss()` returns by entry $i$ of a weight. Other code may have left
# gradients in `.grad`, and may still need them. So do not use that place.
#
# *By hand.* $L = w_0^2 + 4\,w_1 w_2$ at $w = (3,\ -1,\ 0.5)$: $g = (2 w_0,\ 4 w_2,\ 4 w_1) = (6,\ 2,\ -4)$, and the
# scores are $(6, 2, 4)$.
#
# <details><summary>Hint</summary>
#
# `torch.autograd.grad(loss, list_of_tensors)` returns the gradients and stores nothing. `tensor.numel()` counts
# entries.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=8
from solutions.lab05_second_order import gradient_scores

# %% tags=["visible-check"]
weight = nn.Parameter(torch.tensor([3.0, -1.0, 0.5]))
weight.grad = torch.full((3,), 10.0)  # left by other code
result = gradient_scores(lambda: weight[0] ** 2 + 4 * weight[1] * weight[2], {"layer": weight})
assert isinstance(result, dict) and list(result) == ["layer"], f"You returned {result!r}: return a dictionary with the names of `weights`."
assert result["layer"].tolist() == [6.0, 2.0, 4.0], (
    f"You returned {result['layer'].tolist()}; by hand it is [6, 2, 4].\n"
    "Is the last one -4? Then the magnitude is missing. Is it [16, 12, 6]? Then the old gradient was added.\n"
    "Is it [18, 2, 2]? Then you multiplied by the weight."
)
assert weight.grad is not None and weight.grad.tolist() == [10.0, 10.0, 10.0], (
    f"`.grad` was [10, 10, 10] and is now {None if weight.grad is None else weight.grad.tolist()}: it should stay as it was."
)
assert not result["layer"].requires_grad, "The scores still hang on a graph. Did you pass create_graph=True?"
try:
    gradient_scores(lambda: weight * 2, {"layer": weight})
except ValueError:
    pass
else:
    raise AssertionError("A loss with three entries raised no ValueError.")
print("gradient_scores: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Exercise hybrid_mask
#
# Another proposal asks for both: a weight stays only if it is large *and* its gradient is large,
#
# $$m_i = \big(|w_i| \ge a\big) \wedge \big(|g_i| \ge b\big).$$
#
# Here $a$ is `weight_threshold`, $b$ is `gradient_threshold`, and $g$ is `gradient`, with its sign.
#
# *By hand.* $w = (3,\ -2,\ 0.5,\ 1)$, $g = (0.5,\ -0.125,\ -2,\ -0.25)$, $a = 1$, $b = 0.25$. The first weight passes
# both. The second fails at the gradient, the third at the weight. The fourth stands exactly at both thresholds, and
# that is enough.
#
# <details><summary>Hint</summary>
#
# `&` joins two boolean tensors. A threshold that is NaN should raise an error: what do `NaN < 0` and `NaN >= 0` give?
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=6
from solutions.lab05_second_order import hybrid_mask

# %% tags=["visible-check"]
result = hybrid_mask(torch.tensor([3.0, -2.0, 0.5, 1.0]), torch.tensor([0.5, -0.125, -2.0, -0.25]), 1.0, 0.25)
assert isinstance(result, torch.Tensor) and result.dtype == torch.bool, f"You returned {result!r}: return a boolean tensor."
assert result.tolist() == [True, False, False, True], (
    f"You returned {result.tolist()}; by hand it is [True, False, False, True].\n"
    "All True? Then one condition was enough (or). Is the last one False? Then the comparison is strict, or the sign of the "
    "gradient counts.\nIs everything turned round? True means keep."
)
for bad in ((-1.0, 0.1), (float("nan"), 0.1), (0.1, float("nan"))):
    try:
        hybrid_mask(torch.ones(2), torch.ones(2), *bad)
    except ValueError:
        pass
    else:
        raise AssertionError(f"The thresholds {bad} raised no ValueError.")
print("hybrid_mask: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Exercise taylor_scores
#
# Now read the expansion. Remove weight $i$ alone, so $\delta w_i = -w_i$, and keep the first term only. The change of
# the loss is $-g_i w_i$. Its size is the first-order criterion:
#
# $$\text{score}_i = |g_i\,w_i| .$$
#
# The gradient alone was only half of it: it says how steep the loss is, but not how far the weight will move.
#
# *By hand.* $w = (2,\ -3,\ 0.5)$ and $g = (-0.5,\ -1,\ 4)$ give $(1,\ 3,\ 2)$. The largest gradient belongs to the
# smallest weight.
#
# <details><summary>Hint</summary>
#
# Compare the shapes first: PyTorch multiplies `[3, 4]` by `[4]` and raises no error. `detach()` takes a tensor out
# of its graph.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=5
from solutions.lab05_second_order import taylor_scores

# %% tags=["visible-check"]
weight = nn.Parameter(torch.tensor([2.0, -3.0, 0.5]))
result = taylor_scores(weight, torch.tensor([-0.5, -1.0, 4.0]))
assert isinstance(result, torch.Tensor), f"You returned {result!r}: return a tensor."
assert result.tolist() == [1.0, 3.0, 2.0], (
    f"You returned {result.tolist()}; by hand it is [1, 3, 2].\n"
    "Is the first one negative? Then the magnitude of the product is missing. Is it [1, 9, 4]? Then it was squared.\n"
    "Is it one number? Every weight needs a score of its own."
)
assert not result.requires_grad, "The scores still hang on the graph of the weight."
try:
    taylor_scores(torch.ones(3, 4), torch.ones(4))
except ValueError:
    pass
else:
    raise AssertionError("A weight [3, 4] with a gradient [4] raised no ValueError.")
print("taylor_scores: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Experiment: small gradient, small importance?
#
# Each point is one weight of one network: its score against the *true* change of the loss when this weight alone is
# removed (its size, on logarithmic axes; red squares are weights whose removal makes the loss *fall*). A good
# criterion puts the points on a rising line. $\rho$ is the rank correlation with the signed change: 1 for the same
# order, 0 for no relation. Guess first: which of the three will be best, and which worst?

# %% tags=["experiment"]
def scatter(ax, scores, changes, title):
    """Scores against the size of the true change; negative scores have no place on a logarithmic axis and are left out."""
    for kind, colour in ((changes >= 0, "blue"), (changes < 0, "vermilion")):
        shown = kind & (scores > 0)
        ax.scatter(scores[shown].cpu(), changes[shown].abs().cpu(), s=5, alpha=0.5, color=COLOURS[colour],
                   marker="o" if colour == "blue" else "s", label="loss rises" if colour == "blue" else "loss falls")
    ax.set(xscale="log", yscale="log", ylim=(1e-7, 3))
    label_axes(ax, x=title, x_unit="score", y="true change", y_unit="nats")


gradients = [gradient_of(network) for network in networks]
first_order = {
    "|w|": [vector.abs() for vector in w],
    "|g|": [flat(gradient_scores(lambda network=network: loss_of(network), prunable_weights(network))) for network in networks],
    "|g·w|": [taylor_scores(vector, g) for vector, g in zip(w, gradients)],
}
rho_first = {name: [rank_correlation(s, t) for s, t in zip(scores, true)] for name, scores in first_order.items()}
fig, axes = plt.subplots(1, 3, figsize=(11, 3.9), sharey=True)
for ax, (name, scores) in zip(axes, first_order.items()):
    scatter(ax, scores[0], true[0], name)
    ax.set_title(f"ρ = {mean_and_sd(rho_first[name])}")
for ax in axes[1:]:
    ax.set_ylabel("")
axes[0].legend(loc="lower right", markerscale=3)
show(fig, alt="Three clouds of points: score against true change of the loss. For the magnitude of the weight the cloud rises, for "
     "the gradient it is a wide cloud, for gradient times weight it rises with a wide spread.")

important = [t.topk(n // 10).indices for t in true]  # the tenth whose removal costs most
unseen = {name: [(s[i] < s.median()).double().mean().item() for s, i in zip(scores, important)] for name, scores in first_order.items()}
print("Of the tenth of the weights that cost most, so many have a score below the median (by chance it would be 50 %):")
print("    " + ",   ".join(f"{name}: {mean_and_sd(values, 0, 100)} %" for name, values in unseen.items()))
print(f"The median of |g| is {mean_and_sd([s.median().item() for s in first_order['|g|']], 4)}")
loud = [hybrid_mask(vector, g, 0.1, 0.01).double().mean().item() for vector, g in zip(w, gradients)]
weights_only = [hybrid_mask(vector, g, 0.1, 0.0).double().mean().item() for vector, g in zip(w, gradients)]
print(f"hybrid_mask with a = 0.1, b = 0.01 keeps {mean_and_sd(loud, 0, 100)} % of the weights;")
print(f"a = 0.1 alone would keep {mean_and_sd(weights_only, 0, 100)} %")

# %% [markdown]
# **What we saw.** In the middle panel there is hardly a line to see: in a trained network the gradient alone says
# little about how much the loss will rise. A cut in half by the gradient would remove about a quarter of the most
# important weights. That is better than chance, and many times as much as with magnitude (see the printed line).
# There is a reason. Training stops where the gradient is small, *for every weight*. What is left is mostly noise,
# and an important weight may stand at the bottom of a steep valley, where the slope is zero. Multiplied by the
# weight, the gradient does better, but here plain magnitude is better still.
#
# The last two printed lines are about fixed thresholds; $b = 0.01$ is the one in the code of a tutorial. How many
# weights such a threshold removes depends on the scale of the gradients, which nobody knows in advance: here it is
# several times their median. So nearly all of the cut comes from the gradient, the worst of the three criteria.
#
# ## Part 2 · The curvature
#
# ### Exercise hessian_diagonal
#
# If the slope is zero at the bottom of a valley, then what counts is how steep its walls are. That is the second
# derivative,
#
# $$h_{ii} = \frac{\partial^2 L}{\partial w_i^2} = \frac{\partial g_i}{\partial w_i} .$$
#
# Differentiate twice: the gradient once, kept with its graph, and then each of its entries again. Take care which
# entry of the second derivative you keep. The derivative of $g_i$ by *all* the weights is row $i$ of the Hessian, and
# only one entry of it is wanted.
#
# *By hand.* $L = w_0^2 w_1 + 5 w_2^2 + w_0 w_2$ at $w = (1, 3, 2)$. The gradient is
# $(2 w_0 w_1 + w_2,\ w_0^2,\ 10 w_2 + w_0)$. Differentiate each entry by its own weight:
# $(2 w_1,\ 0,\ 10) = (6,\ 0,\ 10)$. The rows of the Hessian are $(6, 2, 1)$, $(2, 0, 0)$ and $(1, 0, 10)$; their
# sums, $9$, $2$ and $11$, are something else.
#
# <details><summary>Hint</summary>
#
# `create_graph=True` makes a gradient that can be differentiated again; `retain_graph=True` keeps the graph for the
# next pass. A loop over the entries of the flattened gradient is fine: the networks are small. `torch.stack` makes
# one tensor of many.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=18
from solutions.lab05_second_order import hessian_diagonal

# %% tags=["visible-check"]
weight = nn.Parameter(torch.tensor([1.0, 3.0, 2.0]))
result = hessian_diagonal(lambda: weight[0] ** 2 * weight[1] + 5 * weight[2] ** 2 + weight[0] * weight[2], {"layer": weight})
assert isinstance(result, dict) and list(result) == ["layer"], f"You returned {result!r}: return a dictionary with the names of `weights`."
assert result["layer"].tolist() == [6.0, 0.0, 10.0], (
    f"You returned {result['layer'].tolist()}; by hand it is [6, 0, 10].\n"
    "Is it [9, 2, 11]? Then you differentiated the sum of the gradient: every entry is the sum of a row.\n"
    "Is it [6, 2, 1]? That is the first row. Is it [64, 1, 441]? That is the gradient squared."
)
assert weight.grad is None, "`.grad` was None before and should be None afterwards."
assert not result["layer"].requires_grad, "The result still hangs on a graph."
matrix = nn.Parameter(torch.tensor([[1.0, -1.0]]))
bent = hessian_diagonal(lambda: (matrix**3).sum().reshape(1), {"m": matrix})["m"]
assert bent.shape == (1, 2) and bent.tolist() == [[6.0, -6.0]], (
    f"The second derivative of w³ is 6w: [[6, -6]] at [[1, -1]], and you returned {bent.tolist()}. A negative curvature stays negative, "
    "and the shape is that of the weight."
)
print("hessian_diagonal: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Exercise obd_saliency
#
# LeCun, Denker and Solla made three assumptions. The loss is *quadratic* near the trained weights: the terms of third
# order are dropped. Training has *converged*: $g = 0$. And the removals are *independent*: the products
# $h_{ij}\,\delta w_i\,\delta w_j$ are dropped. What is left for $\delta w_i = -w_i$ is Optimal Brain Damage:
#
# $$s_i = \tfrac12\, h_{ii}\, w_i^2 .$$
#
# *By hand.* $w = (2,\ -3,\ 1)$ and $h = (1,\ 2,\ -4)$ give $(2,\ 9,\ -2)$. A negative saliency says: the loss will
# fall.
#
# <details><summary>Hint</summary>
#
# The square makes the sign of the weight disappear; the sign of the curvature stays.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=5
from solutions.lab05_second_order import obd_saliency

# %% tags=["visible-check"]
weight = nn.Parameter(torch.tensor([2.0, -3.0, 1.0]))
result = obd_saliency(weight, torch.tensor([1.0, 2.0, -4.0]))
assert isinstance(result, torch.Tensor), f"You returned {result!r}: return a tensor."
assert result.tolist() == [2.0, 9.0, -2.0], (
    f"You returned {result.tolist()}; by hand it is [2, 9, -2].\n"
    "Is it [1, -3, -2]? Then the square is missing. Is it [4, 18, -4]? Then the factor one half is missing.\n"
    "Is the last one 2 or 0? A negative curvature gives a negative saliency."
)
assert not result.requires_grad, "The saliencies still hang on the graph of the weight."
try:
    obd_saliency(torch.ones(3, 4), torch.ones(4))
except ValueError:
    pass
else:
    raise AssertionError("A weight [3, 4] with a curvature [4] raised no ValueError.")
print("obd_saliency: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Experiment: two misprints
#
# A set of notes from which this course grew (not the lecture note of this lab) prints two formulas:
#
# $$\delta L = L(W) - L(W - \delta W) = \sum_i g_i\,\delta w_i + \tfrac12 \sum_i h_{ii}\,\delta w_i^2 + \dots
# \qquad\text{and}\qquad \text{importance}_i = \tfrac12\,h_{ii}\,w_i .$$
#
# Each has a mistake. Do not look for it with a pencil yet. You have $g$, $h$ and the true changes: let the numbers
# say it. Here the step is *subtracted*, $W - \delta W$, so to remove weight $i$ alone is now $\delta w_i = +w_i$.
# We compare four predictions of the rise, $L(W - \delta W) - L(W)$. That is minus the $\delta L$ of the first
# formula, so the first panel shows minus its right-hand side: $-gw - \tfrac12 h w^2$. The second panel is
# $-gw + \tfrac12 h w^2$, the third the importance as printed, and the fourth your `obd_saliency`.

# %% tags=["experiment"]
h = [flat(hessian_diagonal(lambda network=network: loss_of(network), prunable_weights(network)))
     for network in tqdm(networks, desc="exact diagonals")]
predictions = {
    "as printed:\n−gw − ½hw²": [-g * v - obd_saliency(v, c) for g, v, c in zip(gradients, w, h)],
    "sign turned:\n−gw + ½hw²": [-g * v + obd_saliency(v, c) for g, v, c in zip(gradients, w, h)],
    "as printed:\n½hw": [0.5 * c * v for v, c in zip(w, h)],
    "with the square:\n½hw²": [obd_saliency(v, c) for v, c in zip(w, h)],
}
relative_error = {
    name: [((p - t).norm() / t.norm()).item() for p, t in zip(rows, true)] for name, rows in predictions.items()
}
rho_misprint = {name: [rank_correlation(p, t) for p, t in zip(rows, true)] for name, rows in predictions.items()}
fig, axes = plt.subplots(1, 4, figsize=(12, 3.7), sharey=True)
for ax, (name, rows) in zip(axes, predictions.items()):
    ax.scatter(rows[0].cpu(), true[0].cpu(), s=5, alpha=0.5, color=COLOURS["blue"])
    ax.plot([-2, 2], [-2, 2], color="grey", linestyle=":", linewidth=1)
    ax.set_xscale("symlog", linthresh=1e-3)
    ax.set_yscale("symlog", linthresh=1e-3)
    ax.set(xticks=[-1, -1e-2, 0, 1e-2, 1], yticks=[-1, -1e-2, 0, 1e-2, 1], xlim=(-3, 3), ylim=(-3, 3))
    label_axes(ax, x="predicted change", x_unit="nats", y="true change", y_unit="nats", title=name)
for ax in axes[1:]:
    ax.set_ylabel("")
show(fig, alt="Four scatter plots of predicted against true change. With the sign as printed the points leave the diagonal; with the "
     "sign turned they lie on it. Without the square they form the letter V, one wing on the negative side; with the "
     "square they lie near the diagonal on the positive side.")
for name in predictions:
    line = f"{name.replace(chr(10), ' '):28} relative error {mean_and_sd(relative_error[name])}"
    print(f"{line}   rank correlation {mean_and_sd(rho_misprint[name])}")

# %% [markdown]
# **What we saw.** *The sign.* With the second sign the points lie on the diagonal, and the relative error (the norm
# of all the mistakes over the norm of the changes) is smallest. So
# $L(W) - L(W - \delta W) = g\,\delta w - \tfrac12 h\,\delta w^2$: stepping *back* by $\delta w$ turns the sign of
# the first-order term only, and the difference taken the other way turns both. Try $L = w^2$, $w = 1.5$,
# $\delta w = 0.5$: $2.25 - 1 = 1.25$, and that is $1.5 - 0.25$, not $1.5 + 0.25$. The rise, *after* minus *before*,
# is the second panel: $-g\,\delta w + \tfrac12 h\,\delta w^2$.
#
# *The square.* Without it the prediction has the sign of the *weight*, and the points form two wings. The order it
# gives has nothing to do with the truth: it would remove large negative weights first. A quick test finds such a
# mistake without any data: in a symmetric valley the cost of a removal cannot depend on the sign of the weight.
#
# ### Experiment: three assumptions
#
# Each assumption of Optimal Brain Damage can be tested alone.
#
# 1. *Quadratic.* Do not remove a weight, shrink it by the fraction $t$. The expansion predicts
#    $-t\,g w + \tfrac12 t^2 h w^2$. Third order means: the relative error should grow with $t$. (300 random weights for
#    each seed.)
# 2. *Converged.* The same criteria after one epoch, after the whole training, and after 40 more steps of L-BFGS, an
#    optimiser that uses all the images of the loss in each step. The share of the first-order term,
#    $|gw| / (|gw| + \tfrac12 h w^2)$ in the mean, should fall, and the saliency should become right.
# 3. *Independent.* Remove blocks of $B$ random weights together. If removals were independent, the true change would be
#    the sum of the true single changes. Beside it: the expansion with the *whole* Hessian,
#    $-g^\top w_B + \tfrac12 w_B^\top H w_B$, which knows about pairs.

# %% tags=["experiment"]
def whole_hessian(network):
    """All n^2 second derivatives: row i is the derivative of entry i of the gradient."""
    parameters = list(prunable_weights(network).values())
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss_of(network), parameters, create_graph=True)])
    rows = [torch.autograd.grad(entry, parameters, retain_graph=True) for entry in gradient]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def converged(network):
    """A copy after 40 steps of L-BFGS on the images of the loss."""
    model = copy.deepcopy(network)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=40, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        return loss

    optimizer.step(closure)
    optimizer.zero_grad()
    return model


hessians = [whole_hessian(network) for network in tqdm(networks, desc="whole Hessians")]
print("diagonals as yours:", all(torch.allclose(H.diagonal(), c, rtol=1e-6, atol=1e-12) for H, c in zip(hessians, h)))

fractions = [0.01, 0.03, 0.1, 0.3, 1.0]
shrink_error = np.zeros((len(SEEDS), len(fractions)))
for seed in SEEDS:
    chosen = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:300].to(device)
    v, g, c = w[seed], gradients[seed], h[seed]
    for column, t in enumerate(fractions):
        shrunk = v.repeat(300, 1)
        shrunk[torch.arange(300, device=device), chosen] *= 1 - t
        change = losses_with(networks[seed], shrunk) - losses_with(networks[seed], v[None])
        predicted = (-t * g * v + t**2 * obd_saliency(v, c))[chosen]
        shrink_error[seed, column] = ((predicted - change).norm() / change.norm()).item()

stages = {"one epoch": list(early), "trained": list(networks), "L-BFGS": [converged(network) for network in networks]}
convergence = {"share": {}, "½hw²": {}, "|g·w|": {}, "|w|": {}}
for stage, models in tqdm(stages.items(), desc="stages"):
    for seed, model in enumerate(models):
        v, g = flat(prunable_weights(model)), gradient_of(model)
        known = stage == "trained"
        c = h[seed] if known else flat(hessian_diagonal(lambda model=model: loss_of(model), prunable_weights(model)))
        t = true[seed] if known else change_without(model, every)
        first, second = taylor_scores(v, g), obd_saliency(v, c)
        convergence["share"].setdefault(stage, []).append((first.mean() / (first.mean() + second.mean())).item())
        for name, score in (("½hw²", second), ("|g·w|", first), ("|w|", v.abs())):
            convergence[name].setdefault(stage, []).append(rank_correlation(score, t))

sizes, BLOCKS = [1, 2, 5, 10, 20, 50, 100], 200


def random_blocks(seed, size):
    """Fixed-size blocks: positions of `size` different weights each."""
    generator = torch.Generator().manual_seed(1000 * seed + size)
    return torch.stack([torch.randperm(n, generator=generator)[:size] for _ in range(BLOCKS)]).to(device)


def quadratic_change(seed, sets):
    """The expansion to second order with the whole Hessian, for sets of weights that go together."""
    move = torch.zeros(len(sets), n, dtype=torch.float64, device=device).scatter(1, sets, -w[seed].repeat(len(sets), 1).gather(1, sets))
    return move @ gradients[seed] + 0.5 * ((move @ hessians[seed]) * move).sum(1)


together = {(seed, size): change_without(networks[seed], random_blocks(seed, size)) for seed in SEEDS for size in sizes}
independence = {name: np.zeros((len(SEEDS), len(sizes))) for name in ("sum of true single changes", "expansion with the whole Hessian")}
for seed in SEEDS:
    for column, size in enumerate(sizes):
        sets, truth = random_blocks(seed, size), together[seed, size]
        independence["sum of true single changes"][seed, column] = rank_correlation(true[seed][sets].sum(1), truth)
        independence["expansion with the whole Hessian"][seed, column] = rank_correlation(quadratic_change(seed, sets), truth)

fig, axes = plt.subplots(1, 3, figsize=(12, 4))
curve(axes[0], fractions, 100 * shrink_error, label="−tgw + ½t²hw²", colour="blue")
axes[0].set(xscale="log", ylim=(0, None))
label_axes(axes[0], x="shrunk by t", x_unit="fraction of the weight", y="error of the expansion", y_unit="% of the change",
           title="1 · quadratic?")
for name, colour in (("½hw²", "green"), ("|w|", "black"), ("|g·w|", "vermilion"), ("share", "orange")):
    rows = np.array([convergence[name][stage] for stage in stages]).T
    curve(axes[1], range(len(stages)), rows, label="share of |gw|" if name == "share" else f"ρ of {name}", colour=colour)
axes[1].set_xticks(range(len(stages)), stages)
axes[1].set_ylim(0, 1.4)
label_axes(axes[1], x="training", x_unit="stage", y="rank correlation, share", y_unit="1 = all", title="2 · converged?")
axes[1].legend(loc="upper left", ncols=2, fontsize=9)
for (name, rows), colour in zip(independence.items(), ("vermilion", "blue")):
    curve(axes[2], sizes, rows, label=name, colour=colour)
axes[2].set(xscale="log", ylim=(0, 1.08))
axes[2].set_xticks(sizes, [str(size) for size in sizes])
axes[2].minorticks_off()
label_axes(axes[2], x="removed together", x_unit="weights", y="rank correlation with the truth", y_unit="ρ", title="3 · independent?")
axes[2].legend(loc="lower left", fontsize=9)
show(fig, alt="Left: the error of the expansion grows with the fraction by which a weight is shrunk. Middle: from one epoch to L-BFGS "
     "the share of the first-order term falls, and the rank correlation of the saliency rises towards one. Right: with the size of a "
     "block the sum of single changes loses its correlation with the true joint change, the whole Hessian much less.")
for stage in stages:
    line = f"{stage:10} share of the first order {mean_and_sd(convergence['share'][stage])}"
    print(f"{line}   ρ of ½hw² {mean_and_sd(convergence['½hw²'][stage])}")
fit = {stage: [loss_of(model).item() for model in models] for stage, models in stages.items()}
valid = {stage: [validate(model, flat(prunable_weights(model))) for model in models] for stage, models in stages.items()}
for stage in stages:
    print(f"{stage:10} loss {mean_and_sd(fit[stage])}   validation accuracy {mean_and_sd(valid[stage], 1, 100)} %")

# %% [markdown]
# **What we saw.** *Quadratic*: good for small moves, and the error grows with the size of the move. (It does not
# vanish for the smallest moves: ReLU has kinks, and at a kink the loss has no second derivative.) To remove a
# weight is the largest move of all, $t = 1$. There the mistake is a noticeable part of the change, but the order of
# the weights survives it. *Converged*: not true for our trained network. A part of the change is still of first
# order, and with more training on these images the saliency comes close to the true order. Note what convergence
# costs here: the loss on these images falls, and so does the validation accuracy (last printed lines). L-BFGS fits
# the 1,200 images too well.
#
# *Independent*: two weights may be removed nearly independently, a hundred may not. The sum of the single changes,
# each of them exact, loses the true order of the blocks. The whole Hessian keeps more of it: the loss is still
# nearly quadratic, but it is not a sum over single weights.
#
# So none of the three holds. Which one costs most will depend on how many weights go together.
#
# ## Part 3 · Curvature at a lower price
#
# The exact diagonal costs one backward pass for each *weight*. For a million weights that is out of the question. Two
# estimates are in use.
#
# ### Exercise hutchinson_diagonal
#
# One backward pass can compute the product of the Hessian with any vector, $Hz$, without the Hessian. Take random
# signs for $z$ and look at entry $i$ of $z \odot Hz$ ($\odot$ is the product entry by entry):
#
# $$z_i (Hz)_i = h_{ii}\,z_i^2 + \sum_{j \ne i} h_{ij}\,z_i z_j = h_{ii} + \text{noise with mean zero}, \qquad
# \hat h = \frac1m \sum_{k=1}^m z_k \odot H z_k .$$
#
# Since $z_i^2 = 1$, the mean is exact, and the variance of one probe is $\sum_{j \ne i} h_{ij}^2$. The probes
# $z_1, \dots, z_m$ are given to you as `probes`, so that the result is certain. One probe is a vector over *all* the
# layers: $H$ couples them.
#
# *By hand.* $H$ has the rows $(2, 1, 0)$, $(1, 4, 3)$, $(0, 3, 6)$. With $z = (1, -1, 1)$: $Hz = (1, 0, 3)$, and
# $z \odot Hz = (1, 0, 3)$. With $z = (1, 1, 1)$: $(3, 8, 9)$. Their mean is $(2, 4, 6)$: the diagonal, since the
# noise of these two happens to cancel.
#
# <details><summary>Hint</summary>
#
# `torch.autograd.grad` takes lists: a list of gradients, a list of weights, and as `grad_outputs` the list of the
# parts of $z$. It returns the parts of $Hz$. (Or differentiate the inner product of gradient and probe.) Call
# `compute_loss` once, before the loop.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=18
from solutions.lab05_second_order import hutchinson_diagonal

# %% tags=["visible-check"]
coupling = torch.tensor([[2.0, 1.0, 0.0], [1.0, 4.0, 3.0], [0.0, 3.0, 6.0]])
network = {"a": nn.Parameter(torch.tensor([1.0, 1.0])), "b": nn.Parameter(torch.tensor([[1.0]]))}


def bowl():
    """0.5 w'Hw over both layers."""
    vector = torch.cat([network["a"], network["b"].flatten()])
    return 0.5 * vector @ coupling @ vector


probe = {"a": torch.tensor([1.0, -1.0]), "b": torch.tensor([[1.0]])}
other = {"a": torch.tensor([1.0, 1.0]), "b": torch.tensor([[1.0]])}
result = hutchinson_diagonal(bowl, network, [probe])
assert isinstance(result, dict) and list(result) == ["a", "b"], f"You returned {result!r}: return a dictionary with the names of `weights`."
values = result["a"].tolist() + result["b"].flatten().tolist()
assert values == [1.0, 0.0, 3.0], (
    f"With one probe you returned {values}; by hand it is [1, 0, 3].\n"
    "Is it [1, 3, 6]? Then each layer was taken for itself: the part of Hz from the other layer is missing.\n"
    "Is it [4, 4, 4]? Then you added the entries of z * Hz up. Are the numbers different each time? Then you drew probes of your own."
)
result = hutchinson_diagonal(bowl, network, [probe, other])
values = result["a"].tolist() + result["b"].flatten().tolist()
assert values == [2.0, 4.0, 6.0], (
    f"With both probes you returned {values}; by hand it is the mean of [1, 0, 3] and [3, 8, 9], [2, 4, 6]. (Twice as large? Then you "
    "did not divide by the number of probes. [3, 8, 9]? Then only the last probe counts.)"
)
flipped = {"a": -probe["a"], "b": -probe["b"]}
result = hutchinson_diagonal(bowl, network, [flipped])
assert result["a"].tolist() == [1.0, 0.0], (
    f"z and -z give the same z * Hz, [1, 0] in layer a, but for -z you returned {result['a'].tolist()}: is one factor z missing?"
)
for bad in ([], [{"a": probe["a"]}], [{"a": probe["a"], "b": torch.ones(2, 1)}]):
    try:
        hutchinson_diagonal(bowl, network, bad)
    except ValueError:
        pass
    else:
        raise AssertionError(f"The probes {bad} raised no ValueError.")
print("hutchinson_diagonal: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Exercise empirical_fisher_diagonal
#
# The other estimate needs first derivatives only. Let $\ell_n$ be the loss of sample $n$ alone. Then
#
# $$h_{ii} \approx \frac1N \sum_{n=1}^N \left(\frac{\partial \ell_n}{\partial w_i}\right)^2 .$$
#
# Why should a square of first derivatives know the second ones? The loss is the negative logarithm of a
# probability. If the labels were drawn from the network's own probabilities, the right-hand side would be the
# *Fisher information*. In a ReLU network the outputs are straight lines (with kinks) in each single weight, so only
# the loss of the outputs bends. For this reason its diagonal and that of the Hessian would be the same. But the
# labels are not drawn so; they are the data's. That is why this one is called *empirical*, and why it is biased.
#
# *By hand.* $\ell_1 = 3 w_0 + w_1$ and $\ell_2 = -3 w_0 + w_1$ have the gradients $(3, 1)$ and $(-3, 1)$. The mean of
# the squares is $(9, 1)$. The square of the mean would be $(0, 1)$: at a minimum the gradients of the samples cancel,
# their squares do not.
#
# <details><summary>Hint</summary>
#
# Loop over `sample_losses` once, add up, and count as you go: a generator has no length. `torch.autograd.grad` keeps
# the samples apart.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab05_second_order import empirical_fisher_diagonal

# %% tags=["visible-check"]
weight = nn.Parameter(torch.tensor([1.0, 2.0]))
result = empirical_fisher_diagonal((sign * 3 * weight[0] + weight[1] for sign in (1, -1)), {"layer": weight})
assert isinstance(result, dict) and list(result) == ["layer"], f"You returned {result!r}: return a dictionary with the names of `weights`."
assert result["layer"].tolist() == [9.0, 1.0], (
    f"You returned {result['layer'].tolist()}; by hand it is [9, 1].\n"
    "Is it [0, 1]? Then you squared the mean. Is it [18, 2]? Then you did not divide by the number of samples.\n"
    "Is it [3, 1]? Then the square is missing. Is it [4.5, 2.5]? Then the gradients of the samples were added up in `.grad`.\n"
    "Is it infinite? Then you went through the generator twice."
)
assert weight.grad is None, "`.grad` was None before and should be None afterwards."
try:
    empirical_fisher_diagonal([], {"layer": weight})
except ValueError:
    pass
else:
    raise AssertionError("No sample at all raised no ValueError.")
print("empirical_fisher_diagonal: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: the errors of the two estimates
#
# Both against the exact diagonal, as the number of probes or of samples grows. Left: the norm of the error in
# percent of the norm of the diagonal. The dotted line is what the formula of the variance promises for Hutchinson.
# Right: the rank correlation with the exact diagonal. The vertical line is the price of the *exact* diagonal in the
# currency of the probes: as many passes as there are weights. The prices differ: a probe is a pass over *all* the
# images, a sample is a pass over one.

# %% tags=["experiment"]
def signs(seed, count):
    """Random sign vectors over the whole network, as dictionaries."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: weight.shape for name, weight in prunable_weights(networks[0]).items()}
    draw = lambda shape: (2 * torch.randint(0, 2, shape, generator=generator) - 1).double().to(device)
    return [{name: draw(shape) for name, shape in shapes.items()} for _ in range(count)]


def sample_losses(network, images, labels):
    """The loss of one sample after the other."""
    for i in range(len(images)):
        yield F.cross_entropy(network(images[i : i + 1]), labels[i : i + 1])


CHUNK, CHUNKS = 10, 30
counts = [10, 30, 100, 300]
samples = [10, 30, 100, 300, len(x)]
hutchinson, fisher = {}, {}  # seed -> [chunks, n]; (seed, samples) -> [n]
for seed in tqdm(SEEDS, desc="estimates"):
    compute_loss, weights = (lambda seed=seed: loss_of(networks[seed])), prunable_weights(networks[seed])
    probes = signs(seed, CHUNK * CHUNKS)
    chunks = [probes[i : i + CHUNK] for i in range(0, len(probes), CHUNK)]
    hutchinson[seed] = torch.stack([flat(hutchinson_diagonal(compute_loss, weights, chunk)) for chunk in chunks])
    for count in samples:
        fisher[seed, count] = flat(empirical_fisher_diagonal(sample_losses(networks[seed], x[:count], y[:count]), weights))


def with_probes(seed, count):
    """The estimate from the first `count` probes."""
    return hutchinson[seed][: count // CHUNK].mean(0)


noise = [(H.square().sum(1) - H.diagonal().square()) for H in hessians]  # the variance of one probe, entry by entry
estimates = {
    "Hutchinson": (counts, [[with_probes(seed, count) for count in counts] for seed in SEEDS]),
    "empirical Fisher": (samples, [[fisher[seed, count] for count in samples] for seed in SEEDS]),
}
estimate_error = {
    name: np.array([[((e - h[seed]).norm() / h[seed].norm()).item() for e in rows[seed]] for seed in SEEDS])
    for name, (_, rows) in estimates.items()
}
estimate_rho = {
    name: np.array([[rank_correlation(e, h[seed]) for e in rows[seed]] for seed in SEEDS]) for name, (_, rows) in estimates.items()
}
promised = [np.mean([(noise[seed].sum() / count).sqrt().item() / h[seed].norm().item() for seed in SEEDS]) for count in counts]

fig, axes = plt.subplots(1, 2, figsize=(10.5, 4))
for (name, (xs, _)), colour in zip(estimates.items(), ("vermilion", "blue")):
    curve(axes[0], xs, 100 * estimate_error[name], label=name, colour=colour)
    curve(axes[1], xs, estimate_rho[name], label=name, colour=colour)
axes[0].plot(counts, 100 * np.array(promised), color="black", linestyle=":", label="Hutchinson, by the formula")
for ax in axes:
    ax.axvline(n, color="grey", linestyle="--", linewidth=1)
    ax.set_xscale("log")
axes[0].set_yscale("log")
axes[0].set_yticks([10, 30, 100, 300], ["10", "30", "100", "300"])
axes[0].minorticks_off()
axes[1].set_ylim(0, 1.05)
label_axes(axes[0], x="spent", x_unit="probes or samples", y="error of the diagonal", y_unit="%")
label_axes(axes[1], x="spent", x_unit="probes or samples", y="rank correlation with the exact one", y_unit="ρ")
axes[0].legend(loc="lower left")
axes[1].legend(loc="lower right")
show(fig, alt="Left: the error of Hutchinson's estimate falls with the square root of the number of probes, from above 100%, along the "
     "dotted line; the empirical Fisher falls about as fast and ends a little lower. Right: the Fisher "
     "reaches a rank correlation near one with a few hundred samples, "
     "Hutchinson stays far below with as many probes.")

deviations = [((with_probes(seed, 300) - h[seed]) / (noise[seed] / 300).sqrt()) for seed in SEEDS]
offset = [d.mean().item() for d in deviations]
spread = [d.square().mean().sqrt().item() for d in deviations]
print("300 probes, deviation from the exact diagonal in standard errors by the formula of the variance:")
print(f"    mean over the weights {mean_and_sd(offset)} (0 = no bias), root mean square {mean_and_sd(spread)} (1 = as the formula says)")
bias = [(fisher[seed, len(x)].sum() / h[seed].sum()).item() for seed in SEEDS]
print(f"the empirical Fisher with all samples adds up to {mean_and_sd(bias, 0, 100)} % of the exact diagonal")
negative = [(with_probes(seed, 10) < 0).double().mean().item() for seed in SEEDS]
below = sum(int((c < 0).sum()) for c in h)
print(f"with 10 probes {mean_and_sd(negative, 0, 100)} % of Hutchinson's entries are negative; of the exact ones {below} in all")

# %% [markdown]
# **What we saw.** Hutchinson's estimate does what the theory says: its mean is right, its deviations have the size
# that the formula gives, and its error falls with the square root of the number of probes. And that is not enough.
# The noise of one entry comes from a whole row of the Hessian, so a small $h_{ii}$ disappears in the couplings of its
# weight, and the *order* of the weights is lost. To have it right, one would need about as many probes as there are
# weights, and for that price one gets the exact diagonal. In a network with millions of weights nobody has that
# choice; there one averages over many training steps, or over blocks of weights.
#
# The empirical Fisher is the opposite: never negative, biased, and far better in the order. Measured by the norm it
# is no more exact than Hutchinson at equal numbers. But the noise of a sample is in proportion to the entry itself,
# so that small entries stay small. And all the samples together cost only about one pass over the images. Its error
# still falls at 1,200 samples, but a part of it is bias, which more samples do not remove: see its sum. (Measured
# once: with 3,000 training images the error is 10 to 13%, and with all 12,000 no smaller.) For *ranking* weights
# that does not matter here.
#
# One more thing: the exact diagonal of this network has no negative entry. In each single weight only the loss
# bends, and it is convex in the outputs. (The whole Hessian has negative eigenvalues all the same, as you will
# see.)
#
# ### Experiment: every criterion against the truth
#
# Now all the criteria in one picture: single weights as above, one scatter for each. Below the scatters: the rank
# correlation for single weights, and for *blocks* of 20 weights that are removed together, where the prediction is
# the sum over the block. All blocks have the same size: if sizes were mixed, any criterion would look good, since
# larger blocks cost more. (`hybrid_mask` gives no number, so it has no scatter. It comes in the next experiment, and the
# surgeon in Part 4.)

# %% tags=["experiment"]
BLOCK = 20
criteria = {
    "|w|": first_order["|w|"],
    "|g|": first_order["|g|"],
    "|g·w|": first_order["|g·w|"],
    "½ĥw², 10 probes": [obd_saliency(w[seed], with_probes(seed, 10)) for seed in SEEDS],
    "½ĥw², 300 probes": [obd_saliency(w[seed], with_probes(seed, 300)) for seed in SEEDS],
    "½ĥw², Fisher": [obd_saliency(w[seed], fisher[seed, len(x)]) for seed in SEEDS],
    "½hw², exact": predictions["with the square:\n½hw²"],
    "−gw + ½hw²": predictions["sign turned:\n−gw + ½hw²"],
}
rho_single = {name: [rank_correlation(s, t) for s, t in zip(scores, true)] for name, scores in criteria.items()}
rho_block = {
    name: [rank_correlation(scores[seed][random_blocks(seed, BLOCK)].sum(1), together[seed, BLOCK]) for seed in SEEDS]
    for name, scores in criteria.items()
}
rho_block["whole Hessian"] = [rank_correlation(quadratic_change(seed, random_blocks(seed, BLOCK)), together[seed, BLOCK]) for seed in SEEDS]

fig, axes = plt.subplots(2, 4, figsize=(12, 6.4), sharey=True)
for ax, (name, scores) in zip(axes.flatten(), criteria.items()):
    scatter(ax, scores[0], true[0], name)
    ax.set_title(f"ρ = {mean_and_sd(rho_single[name])}", fontsize=11)
for ax in axes[:, 1:].flatten():
    ax.set_ylabel("")
axes[0, 0].legend(loc="lower right", markerscale=3)
show(fig, alt="Eight scatter plots of score against true change. The gradient alone is a wide cloud, Hutchinson with ten probes is wide "
     "and a third of it "
     "missing; the exact saliency and the one from the Fisher rise narrowly; with the gradient's term added the points lie on a line.")

fig, ax = plt.subplots(figsize=(8, 4.2))
kinds = ((-0.12, rho_single, "blue", "single weights"), (0.12, rho_block, "orange", f"blocks of {BLOCK}"))
for shift, rows, colour, label in kinds:
    values = np.array(list(rows.values())).T  # seeds, criteria
    place = np.arange(values.shape[1]) + shift
    ax.errorbar(values.mean(0), place, xerr=values.std(0, ddof=1), fmt=MARKERS[list(COLOURS).index(colour)],
                color=COLOURS[colour], capsize=3, label=label)
ax.set_yticks(range(len(rho_block)), rho_block)
ax.invert_yaxis()
ax.axvline(0, color="grey", linestyle=":")
label_axes(ax, x="rank correlation with the true change", x_unit="ρ, three seeds", y="prediction", y_unit="formula")
ax.legend(loc="lower left")
show(fig, alt="Rank correlations of nine predictions with the true change, mean and standard deviation, for single weights and for "
     "blocks of twenty. The full expansion is best for single weights, "
     "the whole Hessian for blocks; the saliency is good for both, the gradient near zero.")

# %% [markdown]
# **What we saw.** For single weights the ladder is as the expansion promises: each term that is added brings the
# prediction nearer to the truth, and with both terms it is nearly the true order. The Fisher is as good as the
# exact diagonal, and Hutchinson with few probes is worse than plain magnitude. For blocks the term $-gw$ brings
# little; there the couplings matter, and the whole Hessian comes close. So for one weight it is "converged" that
# costs most, for twenty together "independent". A sum over a block also makes a noisy estimate better: noise
# averages out.
#
# ### Experiment: the criteria at work
#
# Prediction is not the aim; pruning is. Each criterion removes its lowest scores, one cut, no fine-tuning. `hybrid`
# is your `hybrid_mask`: both thresholds are the same quantile, of $|w|$ and of $|g|$, searched so that the wanted
# number of weights goes. Guess first: the full expansion was the best prediction of single changes. Where will it
# stand?

# %% tags=["experiment"]
sparsities = [0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9]


def cut(seed, scores, sparsity):
    """The weights without the lowest scores."""
    vector = w[seed].clone()
    vector[scores.argsort(stable=True)[: round(sparsity * n)]] = 0
    return vector


def hybrid_cut(seed, sparsity):
    """The weights after hybrid_mask, with the quantile that comes closest to the wanted sparsity."""
    low, high = 0.0, 1.0
    for _ in range(20):  # halve the interval: a higher quantile removes more
        middle = (low + high) / 2
        mask = hybrid_mask(w[seed], gradients[seed], *(v.abs().quantile(middle).item() for v in (w[seed], gradients[seed])))
        low, high = (middle, high) if (~mask).double().mean().item() < sparsity else (low, middle)
    return w[seed] * mask


chance = [torch.rand(n, generator=torch.Generator().manual_seed(seed)).to(device) for seed in SEEDS]
shown = {
    "½hw², exact": "blue", "½ĥw², Fisher": "green", "|w|": "black", "|g·w|": "orange", "−gw + ½hw²": "purple",
    "½ĥw², 10 probes": "sky", "|g|": "vermilion",
}
pruned = {
    name: np.array([[validate(networks[seed], cut(seed, criteria[name][seed], s)) for s in sparsities] for seed in SEEDS])
    for name in shown
}
pruned["hybrid"] = np.array([[validate(networks[seed], hybrid_cut(seed, s)) for s in sparsities] for seed in SEEDS])
pruned["random"] = np.array([[validate(networks[seed], cut(seed, chance[seed], s)) for s in sparsities] for seed in SEEDS])

fig, axes = plt.subplots(1, 2, figsize=(12, 4.3), sharey=True)
panels = (
    ["½hw², exact", "½ĥw², Fisher", "|w|", "|g·w|"],
    ["½hw², exact", "−gw + ½hw²", "½ĥw², 10 probes", "|g|", "hybrid", "random"],
)
for ax, names in zip(axes, panels):
    for name in names:
        colour = shown.get(name, {"hybrid": "yellow", "random": "orange"}.get(name))
        curve(ax, 100 * np.array(sparsities), 100 * pruned[name], label=name, colour=colour)
    ax.axhline(100 * np.mean(dense), color="grey", linestyle=":", label="not pruned")
    label_axes(ax, x="sparsity", x_unit="%", y="validation accuracy", y_unit="%")
axes[0].legend(loc="lower left", fontsize=9)
axes[1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
axes[1].set_ylabel("")
show(fig, alt="Accuracy against sparsity. Left: the saliencies with the exact diagonal and with the Fisher lie together, above magnitude in "
     "the middle, and meet it at "
     "high sparsity. Right: the full expansion, ten probes, the gradient, the hybrid and random removal fall at once.")
gain = 100 * (pruned["½hw², exact"] - pruned["|w|"])
texts = [f"{100 * s:.0f} %: {np.mean(c):+.1f} ± {np.std(c, ddof=1):.1f}" for s, c in zip(sparsities, gain.T)]
print("½hw² − |w|, in points:", "   ".join(texts))
joint = []
for seed in SEEDS:
    first = predictions["sign turned:\n−gw + ½hw²"][seed].argsort()[: round(0.1 * n)][None]  # what the full expansion removes first
    joint.append([true[seed][first].sum().item(), quadratic_change(seed, first).item(), change_without(networks[seed], first).item()])
print("The tenth that −gw + ½hw² removes first changes the loss: sum of the single changes {}, whole Hessian {}, truth {}".format(
    *(mean_and_sd(column) for column in np.array(joint).T)))

# %% [markdown]
# **What we saw.** *Left.* The saliency beats magnitude in the middle of the range, by some points, and the Fisher
# does it as well as the exact diagonal. At high sparsity the advantage is gone: see the printed differences and their
# spread. So the second order pays, but not everywhere, and less than the theory lets one hope.
#
# *Right.* The best prediction of single changes is one of the worst criteria. How can that be? It says of about a
# quarter of the weights that their removal *lowers* the loss, and for each alone that is true. It removes all of
# them *together*. The printed line shows what happens: the single changes add up to a gain, and the truth is a
# large loss. All those removals go down the same slope, and together they go far beyond its lowest point. (The
# whole Hessian predicts it.) The saliency has no negative entry and is safe from this. The gradient alone is
# somewhat better than chance and far below magnitude, and it spoils the hybrid: magnitude without the second
# condition is better at every sparsity in the middle.
#
# ## Part 4 · The surgeon
#
# ### Exercise obs_step
#
# Hassibi and Stork asked a better question. Not "what does it cost to set $w_q$ to zero", but: "what does it cost *if
# the other weights may move*?" In a quadratic valley the best answer is known. With $A = H^{-1}$,
#
# $$s_q = \frac{w_q^2}{2\,A_{qq}}, \qquad w \leftarrow w - \frac{w_q}{A_{qq}}\,A_{:,q}, \qquad A \leftarrow A - \frac{A_{:,q}\,A_{q,:}}{A_{qq}} .$$
#
# Here $w$ is `weight` and $A$ is `inverse_hessian`; the right-hand sides use the values from before the step. The
# first formula is the saliency: of the weights in `kept`, the weight $q$ with the smallest one goes. The second moves all the weights; it
# makes $w_q = 0$. The third is the inverse of the Hessian *without row and column $q$*, so that the next step can
# follow. $A_{:,q}$ is column $q$ of $A$, and $A_{q,:}$ is row $q$.
#
# Note: $1 / A_{qq}$ is *not* $h_{qq}$. It is smaller (or equal): what is left of the curvature when all the others
# move to their best places.
#
# *By hand.* $H = \begin{pmatrix} 2 & 1 \\ 1 & 1 \end{pmatrix}$, so
# $A = \begin{pmatrix} 1 & -1 \\ -1 & 2 \end{pmatrix}$, and $w = (1.5,\ 2)$. Saliencies: $2.25 / 2 = 1.125$ and
# $4 / 4 = 1$. The *larger* weight goes, $q = 1$. Then $w \leftarrow (1.5, 2) - \tfrac22\,(-1, 2) = (2.5,\ 0)$, and
# $A \leftarrow A - \tfrac12 \begin{pmatrix} 1 & -2 \\ -2 & 4 \end{pmatrix} = \begin{pmatrix} 0.5 & 0 \\ 0 & 0 \end{pmatrix}$:
# the inverse of $h_{00} = 2$. Without compensation the removal would have cost $\tfrac12 \cdot 1 \cdot 4 = 2$ instead
# of 1.
#
# <details><summary>Hint</summary>
#
# Give the removed weights an infinite saliency, then `argmin` never chooses them. `torch.outer` makes a matrix of a
# column and a row. Rounding leaves tiny numbers where zeros belong: set them to zero yourself. Work on new tensors.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=22
from solutions.lab05_second_order import obs_step

# %% tags=["visible-check"]
weight, inverse = nn.Parameter(torch.tensor([1.5, 2.0])), torch.tensor([[1.0, -1.0], [-1.0, 2.0]])
result = obs_step(weight, inverse, torch.tensor([True, True]))
assert isinstance(result, tuple) and len(result) == 4, f"You returned {result!r}: return index, saliency, weight and inverse."
index, saliency, new_weight, new_inverse = result
assert index == 1 and isinstance(index, int), (
    f"You removed weight {index!r}; the saliencies are 1.125 and 1.0, so it is weight 1, as an int. (0? "
    "Then you took the smaller weight, or the largest saliency, or "
    "multiplied by the diagonal entry instead of dividing.)"
)
assert isinstance(saliency, float) and abs(saliency - 1.0) < 1e-4, (
    f"The saliency is {saliency!r}; 2² / (2 · 2) = 1.0, as a float. (2.0? Then the factor one half is missing.)"
)
assert torch.allclose(new_weight, torch.tensor([2.5, 0.0])), (
    f"The weights are now {new_weight.tolist()}; by hand they are [2.5, 0].\n"
    "Is the first one 1.5? Then nothing was compensated. Is it 0.5? Then the sign is turned round. Is it 3.5? Then A_qq does not divide."
)
assert torch.allclose(new_inverse, torch.tensor([[0.5, 0.0], [0.0, 0.0]])), (
    f"The new inverse is {new_inverse.tolist()}; by hand it is [[0.5, 0], [0, 0]].\n"
    "Is the first entry 1? Then row and column were struck out, but the rest was not changed."
)
assert weight.tolist() == [1.5, 2.0] and inverse.tolist() == [[1.0, -1.0], [-1.0, 2.0]], "The arguments were changed."
assert not new_weight.requires_grad and not new_inverse.requires_grad, "The new tensors still hang on the graph of the weight."
index, saliency, last, _ = obs_step(new_weight, new_inverse, torch.tensor([True, False]))
assert index == 0 and abs(saliency - 6.25) < 1e-3 and last.tolist() == [0.0, 0.0], (
    f"In the second step only weight 0 is left: index 0, saliency 2.5² / (2 · 0.5) = 6.25, "
    f"weights [0, 0]. You returned {index}, {saliency}, {last.tolist()}."
)
for bad in (torch.tensor([[1.0, 0.0], [0.0, -1.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]])):
    try:
        obs_step(weight, bad, torch.tensor([True, True]))
    except ValueError:
        pass
    else:
        raise AssertionError(f"The inverse {bad.tolist()} has a diagonal entry that is not above 0, and raised no ValueError.")
print("obs_step: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: the surgeon where the theory holds
#
# The last layer alone (200 weights) is a convex problem: the cross-entropy is convex in the logits, and they are
# linear in these weights. Its part of the Hessian has no negative eigenvalue. Some are zero, since adding the same
# number to all ten logits changes nothing. So we *damp*: a small number is added to the diagonal before the
# inversion. Four ways to prune this layer: magnitude; the saliency $\tfrac12 h w^2$; the surgeon's *choice* without
# its compensation; and the surgeon. The dotted line is the loss that the surgeon predicts: the sum of its saliencies.
# The right panel is the scatter of this criterion: its saliency against the true change when one weight alone is
# removed and the others make up for it.

# %% tags=["experiment"]
LAST = n - FIRST
places = list(range(0, LAST, 10))  # after how many removals we look


def damped(matrix, damping):
    """The matrix plus `damping` times the mean of its diagonal, on the diagonal."""
    return matrix + damping * matrix.diagonal().mean() * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)


def with_last(seed, last):
    """All the weights, with another last layer."""
    return torch.cat([w[seed][:FIRST], last])


def operate(seed, damping=1e-4):
    """The surgeon on the last layer: the layer after each number of removals, in which order they went, and the predicted loss."""
    inverse = torch.linalg.inv(damped(hessians[seed][FIRST:, FIRST:], damping))
    layer, kept = w[seed][FIRST:], torch.ones(LAST, dtype=torch.bool, device=device)
    layers, order, predicted = [layer], [], [losses_with(networks[seed], w[seed][None]).item()]
    for _ in range(LAST - 1):
        index, saliency, layer, inverse = obs_step(layer, inverse, kept)
        kept = kept.clone()
        kept[index] = False
        layers.append(layer)
        order.append(index)
        predicted.append(predicted[-1] + saliency)
    return layers, order, predicted


def in_order(seed, order):
    """The last layer after each number of removals, without any compensation."""
    layers = [w[seed][FIRST:]]
    for index in order[: LAST - 1]:
        layers.append(layers[-1].clone())
        layers[-1][index] = 0
    return layers


operations = [operate(seed) for seed in tqdm(SEEDS, desc="surgeon")]
last_layers = {
    "|w|": [in_order(seed, w[seed][FIRST:].abs().argsort().tolist()) for seed in SEEDS],
    "½hw²": [in_order(seed, criteria["½hw², exact"][seed][FIRST:].argsort().tolist()) for seed in SEEDS],
    "surgeon's choice only": [in_order(seed, operations[seed][1]) for seed in SEEDS],
    "surgeon": [operations[seed][0] for seed in SEEDS],
}
last_accuracy, last_loss = (
    {
        name: np.array([[measure(seed, with_last(seed, layers[seed][k])) for k in places] for seed in SEEDS])
        for name, layers in last_layers.items()
    }
    for measure in (lambda seed, v: validate(networks[seed], v), lambda seed, v: losses_with(networks[seed], v[None]).item())
)
colour_of = {"|w|": "black", "½hw²": "orange", "surgeon's choice only": "vermilion", "surgeon": "blue"}
percent = 100 * np.array(places) / LAST
once = []  # each weight of the layer removed alone, the others compensated: saliency, its first-order term, true change
for seed in SEEDS:
    A, layer = torch.linalg.inv(damped(hessians[seed][FIRST:, FIRST:], 1e-4)), w[seed][FIRST:]
    moved = layer - (layer / A.diagonal())[:, None] * A  # row q: the layer without weight q
    change = losses_with(networks[seed], torch.stack([with_last(seed, row) for row in moved])) - operations[seed][2][0]
    once.append((layer.square() / (2 * A.diagonal()), (moved - layer) @ gradients[seed][FIRST:], change))
rho_surgeon = [rank_correlation(saliency, change) for saliency, _, change in once]
rho_slope = [rank_correlation(saliency + slope, change) for saliency, slope, change in once]
shrunk_to = [(once[seed][2].abs().median() / true[seed][FIRST:].abs().median()).item() for seed in SEEDS]

fig, axes = plt.subplots(1, 3, figsize=(13, 4.2))
for name, colour in colour_of.items():
    curve(axes[0], percent, 100 * last_accuracy[name], label=name, colour=colour)
    curve(axes[1], percent, last_loss[name], label=name, colour=colour)
axes[1].plot(percent, np.mean([[operation[2][k] for k in places] for operation in operations], axis=0), color="grey", linestyle=":",
             label="predicted by the surgeon")
axes[1].set_ylim(0.3, 2.5)
label_axes(axes[0], x="sparsity of the last layer", x_unit="%", y="validation accuracy", y_unit="%")
label_axes(axes[1], x="sparsity of the last layer", x_unit="%", y="loss", y_unit="nats")
axes[0].legend(loc="lower left")
axes[1].legend(loc="upper left")
scatter(axes[2], once[0][0], once[0][2], "w²/(2A), one weight at a time")
axes[2].set(ylim=(1e-8, 1e-2), title=f"ρ = {mean_and_sd(rho_surgeon)}")
axes[2].legend(loc="upper left", markerscale=3)
show(fig, alt="Accuracy and loss against the sparsity of the last layer. The surgeon keeps nearly the accuracy of the whole network up to "
     "about 80%; magnitude and the saliency fall "
     "much earlier, and so does the surgeon's choice without compensation. Right: the surgeon's saliency of single "
     "weights against the true change of the compensated loss.")
print(f"One weight at a time: a compensated change is {mean_and_sd(shrunk_to, 1, 100)} % of a plain one (medians)")
slopes = [(slope.abs().median() / saliency.median()).item() for saliency, slope, _ in once]
falls = [(change < 0).double().mean().item() for _, _, change in once]
print(f"its first-order term is {mean_and_sd(slopes, 1)} times the saliency (medians); {mean_and_sd(falls, 0, 100)} % of the changes are negative")
print(f"rank correlation with it: saliency {mean_and_sd(rho_surgeon)}, saliency and first-order term {mean_and_sd(rho_slope)}")

# %% [markdown]
# **What we saw.** This is the largest difference of the whole lab. The surgeon removes most of the layer almost for
# free, where the others lose a quarter of the accuracy or more. And one curve says what did it: the surgeon's
# *choice* alone, uncompensated, falls long before the surgeon. Up to half of the layer it is no better than
# magnitude; at high sparsity it is better, with a large spread. Choosing and compensating belong together: the
# surgeon removes weights whose work the others can take over, and they must be moved to do it. The dotted line
# stays on the blue curve for most of the way: here the quadratic model is a good one, until little is left.
#
# The right panel is a surprise: one at a time, the saliency of the surgeon hardly orders the weights. Read its
# vertical axis, and the printed lines: a compensated change is a tiny part of a plain one. On that scale the
# first-order term, which the theory sets to zero, is larger than the saliency. With it the order is right again. So
# the assumption "converged", harmless for large changes, decides about small ones. For the layer as a whole it does
# little harm: which of two nearly free weights goes first matters little.
#
# ### Experiment: the surgeon where the theory fails
#
# Now the whole network. We remove the lowest saliencies in one cut, and let the rest make up for it: for the
# removed set $Q$ and the kept set $K$ the best move in the quadratic valley is
# $\delta w_K = H_{KK}^{-1} H_{KQ}\, w_Q$. Your steps, one by one, make the same move if they remove the same
# weights. We take $H$ from two sources: the exact Hessian, and the *empirical Fisher matrix*, the mean of
# $g_n g_n^\top$ over the samples, whose diagonal is the estimate of Part 3. And we vary the damping: the number
# added to the diagonal, in units of the mean diagonal entry.

# %% tags=["experiment"]
def fisher_matrix(network):
    """The mean over the samples of the gradient times itself, [n, n]."""
    parameters = list(prunable_weights(network).values())
    rows = [torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]) for loss in sample_losses(network, x, y)]
    matrix = torch.stack(rows)  # N, n
    return matrix.t() @ matrix / len(matrix)


def compensated(seed, matrix, scores, sparsity, damping):
    """One cut by the scores, and the best move of the rest by the damped matrix."""
    order = scores.argsort(stable=True)
    gone, rest = order[: round(sparsity * n)], order[round(sparsity * n) :]
    curved, vector = damped(matrix, damping), w[seed].clone()
    vector[rest] += torch.linalg.solve(curved[rest][:, rest], curved[rest][:, gone] @ vector[gone])
    vector[gone] = 0
    return vector


fishers = [fisher_matrix(network) for network in tqdm(networks, desc="Fisher matrices")]
dampings = [1e-3, 1e-2, 1e-1, 1, 10, 100]
sources = {"exact Hessian": (hessians, "½hw², exact", "vermilion"), "empirical Fisher": (fishers, "½ĥw², Fisher", "blue")}
surgery = {}
for name, s in tqdm([(name, s) for name in sources for s in (0.5, 0.7)], desc="damping"):
    matrices, criterion, _ = sources[name]
    surgery[name, s] = np.array([
        [validate(networks[seed], compensated(seed, matrices[seed], criteria[criterion][seed], s, d)) for d in dampings] for seed in SEEDS
    ])
fig, axes = plt.subplots(1, 2, figsize=(10.5, 4), sharey=True)
for ax, s in zip(axes, (0.5, 0.7)):
    for name, (_, criterion, colour) in sources.items():
        curve(ax, dampings, 100 * surgery[name, s], label=f"{name}, compensated", colour=colour)
        ax.axhline(100 * pruned[criterion][:, sparsities.index(s)].mean(), color=COLOURS[colour], linestyle=":", label=f"{name}, cut only")
    ax.set_xscale("log")
    label_axes(ax, x="damping", x_unit="mean diagonal entries", y="validation accuracy", y_unit="%",
               title=f"{100 * s:.0f}% of the weights removed")
axes[1].set_ylabel("")
axes[0].legend(loc="lower right", fontsize=9)
show(fig, alt="Accuracy against damping at 50 and 70% sparsity. With the exact Hessian and little damping the network is destroyed; with "
     "much damping it is a little better than the cut alone. With the "
     "Fisher matrix the compensation helps over a wide range of dampings.")

lowest = [torch.linalg.eigvalsh(H)[0].item() for H in hessians]
print(f"smallest eigenvalue of the exact Hessian: {mean_and_sd(lowest, 3)}; its mean diagonal entry: "
      f"{mean_and_sd([c.mean().item() for c in h], 3)}")
for damping in (0.001, 0.01, 10):
    refused = 0
    for seed in SEEDS:
        try:
            obs_step(w[seed], torch.linalg.inv(damped(hessians[seed], damping)), torch.ones(n, dtype=torch.bool, device=device))
        except ValueError:
            refused += 1
    print(f"obs_step with the exact Hessian, damping {damping}: refused for {refused} of {len(SEEDS)} networks")
best = dampings[int(surgery["empirical Fisher", 0.7].mean(0).argmax())]
print(f"best damping of the Fisher at 70 %, on the validation images: {best}")

# %% [markdown]
# **What we saw.** With the exact Hessian and little damping the compensation destroys the network, at a sparsity
# where the plain cut costs a few points. The printed eigenvalues tell the reason. The exact Hessian has directions
# in which the loss bends *down*. There is no valley, and the formula, which looks for the bottom, finds a point
# that is none: its move is too long or points the wrong way. Where a small negative eigenvalue and the damping
# nearly cancel, the inverse is huge, and so is the move. Your `obs_step` refuses most of these inverses, but not
# all: a diagonal above 0 is necessary for a valley, and no proof of one. The formula alone gives no warning. With
# damping above the most negative eigenvalue the surface is a valley again, and the surgeon works.
#
# The Fisher matrix has no negative eigenvalue, by construction. It is the less exact curvature and the better tool:
# it is wrong in a harmless direction.
#
# ## Part 5 · The test images
#
# ### Experiment: once, at the end
#
# All choices are made, the damping on the validation images. We read the test images once.

# %% tags=["experiment"]
test_images, test_labels = pooled("test")


def test(seed, vector):
    """Accuracy on the test images."""
    return validate(networks[seed], vector, test_images, test_labels)


tested = {"dense": [test(seed, w[seed]) for seed in SEEDS]}
for s in (0.5, 0.7, 0.8):
    tested[f"magnitude_{100 * s:.0f}"] = [test(seed, cut(seed, criteria["|w|"][seed], s)) for seed in SEEDS]
    tested[f"saliency_{100 * s:.0f}"] = [test(seed, cut(seed, criteria["½hw², exact"][seed], s)) for seed in SEEDS]
    tested[f"fisher_{100 * s:.0f}"] = [test(seed, cut(seed, criteria["½ĥw², Fisher"][seed], s)) for seed in SEEDS]
    tested[f"compensated_{100 * s:.0f}"] = [
        test(seed, compensated(seed, fishers[seed], criteria["½ĥw², Fisher"][seed], s, best)) for seed in SEEDS
    ]
for name, key in (("|w|", "magnitude"), ("½hw²", "saliency"), ("surgeon", "surgeon")):
    tested[f"last_{key}_80"] = [test(seed, with_last(seed, last_layers[name][seed][round(0.8 * LAST)])) for seed in SEEDS]
for name, values in tested.items():
    print(f"{name:20} {mean_and_sd(values, 1, 100)} %")
differences = {}  # in the same network
for s in (50, 70, 80):
    for one, other in (("saliency", "magnitude"), ("compensated", "fisher")):
        differences[f"{one}_{s}"] = np.subtract(tested[f"{one}_{s}"], tested[f"{other}_{s}"])
        each = "  ".join(f"{100 * value:+.1f}" for value in differences[f"{one}_{s}"])
        print(f"{s} %: {one} − {other}, network by network: {each}   mean {mean_and_sd(differences[f'{one}_{s}'], 1, 100)} points")

# %% [markdown]
# **What we saw.** The picture is the same on images that played no part in any choice. The networks differ much
# from each other, so read the differences within each network. At 70% the saliency is above magnitude in all three,
# by more than the spread of these differences; at 50% too, but one network makes most of it; at 80% the sign
# changes. The compensation by the Fisher matrix brings a gain in every network at all three sparsities, and at 70%
# a larger one than the step from magnitude to the saliency. In the last layer the surgeon is far ahead.
#
# A warning about the size of things. This is a network of 1,180 weights, small enough for an exact judge. We
# measured the MLP of the other labs once (266,200 weights; 100 random ones in each layer, three seeds). In its two
# large layers a single removal changes the loss by a few millionths, and $-gw$ alone gives nearly the true order
# ($\rho$ of 0.94 or more), where the saliency does not (0.35 or less). What carries over is the method: write down
# the expansion, name the assumption, measure it.

# %% [markdown] tags=["question"]
# ### Written question
#
# Answer in about twelve lines, with your own plots as evidence. (a) A colleague proposes: "After training, remove
# the weights with the smallest gradients. They do not influence the loss any more." What is wrong with the
# reasoning, and which plot would you show? (b) The expansion $-gw + \tfrac12 h w^2$ predicts single removals best,
# and is one of the worst criteria for pruning. Explain how both can be true, and name an experiment (not done
# above) that would test your explanation. (c) Your team wants the surgeon's compensation for a network of a million
# weights. Name the two reasons why the recipe of this lab cannot be used as it is, and say what you would try
# instead.

# %% [markdown] tags=["written"] points=3 grade_id="second_order"
# **Model answer.** (a) At the end of training all gradients are small, whatever the importance: the slope at the
# bottom of a steep valley is zero too. The gradient says how the loss changes for a tiny move; a removal is a move
# by the whole weight, and the curvature decides. Evidence: the cloud of $|g|$ against the true change, the share of
# important weights with a gradient below the median beside that for magnitude, or the pruning curve of $|g|$.
#
# (b) For a single weight the two terms are nearly the whole truth. The criterion removes first all weights whose
# single removal lowers the loss. Those moves share a direction, down the slope; together they are a long step, and
# the couplings $h_{ij}$, which the sum leaves out, make it a loss. Experiment: remove only one (or a few) of them,
# compute $g$ and $h$ again, and repeat; or remove the tenth only by a small fraction $t$ and see whether the loss
# falls; or add the couplings inside the chosen set to the prediction.
#
# (c) The Hessian (or its inverse) has $10^{12}$ entries, which can neither be stored nor inverted; and the exact one
# has negative eigenvalues, so that the compensation explodes. Instead: work layer by layer or in blocks, on a convex
# layer problem (as the last layer here), with the empirical Fisher or Gauss-Newton matrix in blocks, with damping
# chosen on validation data; then fine-tune.
#
# **Points.** 1 for (a): the reason and a plot. 1 for (b): the interaction, and an experiment that would separate. 1
# for (c): size and indefiniteness, and a workable substitute.

# %% tags=["record"]
# For the course's makers: where LABKIT_RECORD names a folder, write what the lecture note quotes into it.
import json
import os
from pathlib import Path


def summary(values):
    """Mean and standard deviation over the seeds, the single values, and the mean's opposite: notes mark numbers without a sign."""
    values = [round(float(value), 6) for value in values]
    mean = round(float(np.mean(values)), 6)
    return {"mean": mean, "sd": round(float(np.std(values, ddof=1)), 6), "minus": -mean, "seeds": values}


def by_key(xs, rows):
    """{x: summary of that column of rows, [seeds, xs]}."""
    return {f"{x:g}".replace(".", "_"): summary(column) for x, column in zip(xs, np.array(rows).T)}


KEYS = {
    "|w|": "magnitude", "|g|": "gradient", "|g·w|": "taylor", "½ĥw², 10 probes": "hutchinson_10", "½ĥw², 300 probes": "hutchinson_300",
    "½ĥw², Fisher": "fisher", "½hw², exact": "exact", "−gw + ½hw²": "expansion", "whole Hessian": "whole", "hybrid": "hybrid", "random": "random",
    "½hw²": "exact", "surgeon's choice only": "choice", "surgeon": "surgeon", "share": "share", "exact Hessian": "exact", "empirical Fisher": "fisher",
    "Hutchinson": "hutchinson", "sum of true single changes": "singles", "expansion with the whole Hessian": "whole",
    "as printed:\n−gw − ½hw²": "sign_printed", "sign turned:\n−gw + ½hw²": "sign_turned", "as printed:\n½hw": "no_square",
    "with the square:\n½hw²": "square", "one epoch": "early", "trained": "trained", "L-BFGS": "converged",
}  # fmt: skip

if folder := os.environ.get("LABKIT_RECORD"):
    record = {
        "made_by": "in labs/: LABKIT_RECORD=../data/results python source/lab05_second_order.py",
        "unit": "accuracies, correlations, errors and shares are fractions; sd is the standard deviation over seeds (n - 1)",
        "images": {"loss": len(x), "validation": len(validation_images), "test": len(test_images)},
        "weights": n,
        "dense": summary(dense),
        "loss_falls": summary([(t < 0).double().mean().item() for t in true]),
        "important_with_small_gradient": summary(unseen["|g|"]),
        "important_with_small_weight": summary(unseen["|w|"]),
        "kept_by_fixed_thresholds": {"both": summary(loud), "weight_only": summary(weights_only)},
        "misprints": {
            KEYS[name]: {"error": summary(relative_error[name]), "rho": summary(rho_misprint[name])} for name in predictions
        },
        "quadratic": by_key(fractions, shrink_error),
        "converged": {KEYS[name]: {KEYS[stage]: summary(values) for stage, values in rows.items()} for name, rows in convergence.items()},
        "stages": {KEYS[stage]: {"loss": summary(fit[stage]), "validation": summary(valid[stage])} for stage in stages},
        "independent": {KEYS[name]: by_key(sizes, rows) for name, rows in independence.items()},
        "estimates": {
            KEYS[name]: {"error": by_key(xs, estimate_error[name]), "rho": by_key(xs, estimate_rho[name])} for name, (xs, _) in estimates.items()
        },
        "promised": dict(zip([str(count) for count in counts], [round(float(value), 6) for value in promised])),
        "hutchinson_deviation": summary(spread),
        "hutchinson_negative": summary(negative),
        "fisher_sum": summary(bias),
        "single": {KEYS[name]: summary(values) for name, values in rho_single.items()},
        "block": {KEYS[name]: summary(values) for name, values in rho_block.items()},
        "pruned": {KEYS[name]: by_key([round(100 * s) for s in sparsities], rows) for name, rows in pruned.items()},
        "gain": by_key([round(100 * s) for s in sparsities], gain / 100),
        "joint": dict(zip(("singles", "whole", "truth"), [summary(column) for column in np.array(joint).T])),
        "last": {
            KEYS[name]: by_key([round(p) for p in percent], rows) for name, rows in last_accuracy.items()
        },
        "surgeon_single": {"saliency": summary(rho_surgeon), "with_slope": summary(rho_slope), "size": summary(shrunk_to), "slope": summary(slopes), "falls": summary(falls)},
        "surgery": {f"{KEYS[name]}_{100 * s:.0f}": by_key(dampings, rows) for (name, s), rows in surgery.items()},
        "lowest_eigenvalue": summary(lowest),
        "mean_diagonal": summary([c.mean().item() for c in h]),
        "best_damping": best,
        "test": {name: summary(values) for name, values in tested.items()},
        "test_difference": {name: summary(values) for name, values in differences.items()},
    }
    Path(folder, "lab05_second_order.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

# %% [markdown]
# ## What to take with you
#
# - **A removal is a move by $-w$.** Every criterion is a part of the Taylor expansion for this move. Write the part down,
#   and you know what it assumes.
# - **A small gradient is not a small importance.** At the end of training the gradient is small for all.
# - **$\tfrac12 h w^2$, with the square, and a plus for the rise of the loss.** When a formula is in doubt, let
#   finite changes of the loss decide.
# - **One weight is not many.** For one weight the first-order term is what Optimal Brain Damage misses most, for many
#   together the couplings. The best prediction of single removals made one of the worst criteria.
# - **Hutchinson is unbiased and noisy, the empirical Fisher biased and quiet.** For ranking weights the
#   quiet one won here.
# - **Compensation is worth more than choice**, in a valley. Without a valley it destroys; damp, or take a
#   matrix that cannot bend down.
#
# Lab 6 makes the zeros during training. Lab 8 brings the compensation back, layer by layer, as a regression.
#
# **Read next.** LeCun, Denker and Solla (1989) and Hassibi and Stork (1993), both short. Singh and Alistarh (2020),
# [arXiv:2004.14340](https://arxiv.org/abs/2004.14340), on the Fisher matrix and its inverse in large networks.
# Frantar, Singh and Alistarh (2022), [arXiv:2208.11580](https://arxiv.org/abs/2208.11580), for the surgeon layer by
# layer. Kunstner, Balles and Hennig (2019), [arXiv:1905.12558](https://arxiv.org/abs/1905.12558), on what the
# empirical Fisher is not. The lecture note of this lab (`lecture_notes/lab05_second_order.md` in the course's
# repository) works small examples by hand.
