# %% [markdown] tags=["lab"] question="Can the layer's output choose for us?" minutes=115 prerequisite="lab04_prune_finetune"
# # Lab 8 · Regression-based pruning
#
# **The question: can the layer's output choose for us?**
#
# So far a score of the weights said which channels may go. But we do not want to keep weights. We want to keep what the
# next layer *computes*. So ask it: which of its input channels does it need to give (nearly) the same output as before?
# That is a regression, and it needs no labels and no training: only images, here 2,000 at most, and linear algebra.
#
# | you build | it answers |
# |---|---|
# | `sample_patches`, `channel_contributions` | What does each input channel add to a layer's output? |
# | `lasso_betas`, `search_penalty` | Which channels can go? |
# | `reconstruct_weights` | How can the others take over? |
# | `regression_prune` | Choose and rebuild, in turn: one layer |
# | `prune_in_order` | A whole network: what does each layer see, and what should it reach? |
#
# **Before you begin.** You have done Lab 4 (prune and fine-tune). The lecture note of this lab
# (`lecture_notes/lab08_regression.md` in the course's repository) teaches the ideas first.
#
# **How long it takes.** The experiments together run for about a minute on a quiet laptop with two cores, and for
# several minutes on a busy one. Every experiment of more than two seconds shows its progress in a bar.
#
# **Papers.** He, Zhang and Sun (2017), [arXiv:1707.06168](https://arxiv.org/abs/1707.06168): Lasso and least squares,
# layer after layer; this lab builds it. Luo, Wu and Lin (2017), [arXiv:1707.06342](https://arxiv.org/abs/1707.06342):
# ThiNet, which chooses greedily for the same goal. Tibshirani (1996), "Regression shrinkage and selection via the
# lasso".
#
# **The words.** *Channel* means an input channel of the layer at hand, the output of one filter of the layer before.
# Where the channel goes, that filter goes too. *Target* is the output that the layer should keep. The *error* is
# $\|Y - \hat Y\|^2 / \|Y\|^2$: the part of the output's squares that is lost.
#
# **How it is graded.** Each exercise has a visible check, which you can run as often as you like, and hidden checks,
# which run when the work is graded. Cells marked as experiment are *not* run then. So if an exercise needs a helper
# function of yours, write it in the exercise cell or in a new cell of your own, not in an experiment cell. Where
# several answers are right, your answer is judged by what it reaches (the objective, the error), not by its digits.
# No exercise needs your answer to another one. You may call it all the same; a mistake in it then costs in both.

# %% tags=["setup"]
import copy
import itertools
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from labkit.checkpoints import SEEDS, load_checkpoint
from labkit.cost import count_macs, count_parameters
from labkit.datasets import load_fashion_mnist
from labkit.models import CNN
from labkit.plots import COLOURS, MARKERS, curve, label_axes, show, use_style
from labkit.training import accuracy, train

use_style()

# %% [markdown]
# ## What the experiments use
#
# The course's CNN in three copies (three *seeds*). Three layers read channels: `conv2` reads 16, `conv3` reads 32, and
# `fc1` reads 64. The last one is a linear layer, but it reads 64 maps of 3×3; so we see it as a convolution with a
# kernel of 3×3 and one place of output.
#
# Regressions use 2,000 samples of *training* images, without labels. Errors and accuracies are measured on *validation*
# images. The test images are read once, at the end.

# %% tags=["experiment"]
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
train_images, train_labels = (tensor.to(device) for tensor in load_fashion_mnist("train"))
images, labels = (tensor.to(device) for tensor in load_fashion_mnist("validation"))
networks = [load_checkpoint("cnn", seed).to(device).to(memory_format=torch.channels_last) for seed in SEEDS]
LAYERS = {"conv2": (14, 1), "conv3": (7, 1), "fc1": (1, 0)}  # rows and columns of the output, padding


@torch.no_grad()
def run(model, x, start=None, stop=None):
    """Run the modules of a CNN from `start` on (None: the first), up to and without `stop` (None: the last)."""
    names = [name for name, _ in model.named_children()]
    first = 0 if start is None else names.index(start)
    last = len(names) if stop is None else names.index(stop)
    for name in names[first:last]:
        if name == "fc1":
            x = x.flatten(1)
        x = getattr(model, name)(x)
    return x


def inputs_of(model, layer, images):
    """What a layer is given, [B, in, H, W]."""
    return torch.cat([run(model, batch, None, layer) for batch in images.split(200)])


def weight_of(model, layer):
    """A layer's weight as that of a convolution, [out, in, 3, 3]."""
    weight = getattr(model, layer).weight.detach()
    return weight.unflatten(1, (-1, 3, 3)) if weight.dim() == 2 else weight


def in_percent(values):
    """Mean and standard deviation over the seeds, as text."""
    return f"{100 * np.mean(values):5.1f} ± {100 * np.std(values, ddof=1):4.1f} %"


dense = [accuracy(model, images, labels) for model in networks]
print(f"validation accuracy before any pruning: {in_percent(dense)}")
for layer in LAYERS:
    print(f"    {layer} weight, seen as a convolution: {list(weight_of(networks[0], layer).shape)}")

# %% [markdown]
# ## Part 1 · An output is a sum over channels
#
# ### Exercise sample_patches
#
# A convolution computes each place of its output from one patch of its input. Neighbouring places see nearly the same,
# so a regression does not need them all: a few places of each image will do. With the stride $s$ and the padding $p$,
# the patch of the output's place $(r, c)$ in channel $i$ is
#
# $$X[i, u, v] = \text{input}\,[i,\ r s - p + u,\ c s - p + v], \qquad 0 \le u < k_h,\ 0 \le v < k_w,$$
#
# and zero where this lies outside the input. Here $(r, c)$ are the entries of `positions`, $s$ is `stride` and $p$ is
# `padding`.
#
# *By hand.* One row 1, 2, 3, 4, 5, a kernel of 1×3, stride 2, no padding. The output has 2 places. Place 0 sees (1, 2,
# 3), place 1 sees (3, 4, 5).
#
# <details><summary>Hint</summary>
#
# A loop over images and places is right. Without one: `Tensor.unfold(dimension, size, step)` makes all windows along a
# dimension without copying; use it for rows, then for columns, on the padded input, and index the windows by image, row
# and column. Know the size of the output before you look at the places.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=15
from solutions.lab08_regression import sample_patches

# %% tags=["visible-check"]
inputs = torch.arange(1.0, 21).reshape(1, 1, 4, 5)  # the rows 1 to 5, 6 to 10, 11 to 15, 16 to 20
result = sample_patches(inputs, torch.tensor([[[1, 2], [0, 0]]]), (2, 3))
assert isinstance(result, torch.Tensor) and result.shape == (2, 1, 2, 3), (
    f"You returned {result!r}: two places of one image with one channel give a tensor of shape [2, 1, 2, 3]."
)
assert result[0, 0].tolist() == [[8.0, 9.0, 10.0], [13.0, 14.0, 15.0]], (
    f"At row 1, column 2 the kernel of 2 x 3 sees 8, 9, 10 and 13, 14, 15, and you returned {result[0, 0].tolist()}.\n"
    "Does it begin with 12? Then row and column are exchanged. With 2? Then the place was taken for the patch's middle."
)
result = sample_patches(inputs, torch.tensor([[[1, 1]]]), (2, 3), stride=2)
assert result.flatten().tolist() == [13.0, 14.0, 15.0, 18.0, 19.0, 20.0], (
    f"With stride 2, place (1, 1) of the output begins at row 2, column 2 of the input: 13, 14, 15, 18, 19, 20. You returned "
    f"{result.flatten().tolist()}."
)
result = sample_patches(inputs, torch.tensor([[[0, 0]]]), (2, 3), padding=1)
assert result.flatten().tolist() == [0.0, 0.0, 0.0, 0.0, 1.0, 2.0], (
    f"With padding 1 the first patch holds four zeros of the padding and the corner 1, 2. You returned {result.flatten().tolist()}."
)
for place in ([3, 0], [-1, 0]):
    try:
        sample_patches(inputs, torch.tensor([[place]]), (2, 3))
    except ValueError:
        pass
    else:
        raise AssertionError(f"The output has 3 rows, 0 to 2; the place {place} raised no ValueError.")
print("sample_patches: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Exercise channel_contributions
#
# A layer adds up over its input channels. So its output is a sum of parts, one for each channel $c$:
#
# $$Y = \sum_c Z_c, \qquad Z_c = X_c W_c^\top, \qquad Z_c[n, o] = \sum_{u, v} X[n, c, u, v]\, W[o, c, u, v].$$
#
# Here $X$ is `patches`, $W$ is `weight`, and $Z_c$ is `Z[c]`. Removing channel $c$ takes $Z_c$ away, and nothing else.
#
# *By hand.* One sample, two channels, 1×1 kernels, $x = (2, 3)$. With $W = \begin{pmatrix}1 & 10\\ -1 & 0\end{pmatrix}$
# (rows are outputs), $Z_0 = (2, -2)$, $Z_1 = (30, 0)$, and $Y = (32, -2)$.
#
# <details><summary>Hint</summary>
#
# `torch.einsum` does it in one line: give each dimension a letter, and write after the arrow which letters stay, and in
# which order. Letters that are missing there are summed over.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=8
from solutions.lab08_regression import channel_contributions

# %% tags=["visible-check"]
patches = torch.tensor([[2.0, 3.0], [1.0, 1.0], [0.0, 5.0]]).reshape(3, 2, 1, 1)  # three samples, two channels
weight = torch.tensor([[1.0, 10.0], [-1.0, 0.0]]).reshape(2, 2, 1, 1)
result = channel_contributions(patches, weight)
assert isinstance(result, torch.Tensor) and result.shape == (2, 3, 2), (
    f"You returned {result!r}: two channels, three samples and two outputs give the shape [2, 3, 2]. "
    "(Is it [3, 2]? Then you added up over the channels.)"
)
assert result[0].tolist() == [[2.0, -2.0], [1.0, -1.0], [0.0, 0.0]] and result[1].tolist() == [
    [30.0, 0.0],
    [10.0, 0.0],
    [50.0, 0.0],
], (
    f"Channel 0 adds [[2, -2], [1, -1], [0, 0]] and channel 1 adds [[30, 0], [10, 0], [50, 0]]; you returned {result.tolist()}.\n"
    "Are the right numbers there, in other places? Then the dimensions stand in another order: channel, sample, output."
)
kernel = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
result = channel_contributions(kernel, torch.tensor([[1.0, 0.0], [0.0, 10.0]]).reshape(1, 1, 2, 2))
assert result.tolist() == [[[41.0]]], (
    f"1 * 1 + 4 * 10 = 41 was expected, and you returned {result.tolist()}. (14: the kernel was turned round. 10.25: a mean.)"
)
try:
    channel_contributions(patches, torch.ones(2, 3, 1, 1))
except ValueError:
    pass
else:
    raise AssertionError("Patches of two channels and a weight of three raised no ValueError.")
print("channel_contributions: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Experiment: do channels say the same?
#
# If every channel added something of its own, none could take over from another. The figure shows the correlation
# between the parts of two channels, $\langle Z_c, Z_d\rangle / (\|Z_c\| \|Z_d\|)$, in the first network. Before you
# look: what would you see if the channels had nothing in common?

# %% tags=["experiment"]
SAMPLES = 2000


def places(layer, number, seed):
    """Random places of a layer's output, [number of images, places of each, 2]; fc1 has only one place."""
    size, _ = LAYERS[layer]
    each = 1 if layer == "fc1" else 5
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(size, (number // each, each, 2), generator=generator).to(device)


def patches_of(model, layer, source, positions):
    """The patches of the first images of `source` that a layer reads at these places."""
    inputs = inputs_of(model, layer, source[: len(positions)])
    return sample_patches(inputs, positions, (3, 3), 1, LAYERS[layer][1])


def outputs(patches, weight):
    """A layer's output without its bias, [N, out]."""
    return patches.flatten(1) @ weight.flatten(1).t()


class Task:
    """One layer of one network: samples for the regression, and other samples to measure its error."""

    def __init__(self, seed, layer):
        model = networks[seed]
        self.seed, self.layer, self.weight = seed, layer, weight_of(model, layer)
        self.places, self.held_out_places = places(layer, SAMPLES, seed), places(layer, 1000, 100 + seed)
        self.patches = patches_of(model, layer, train_images, self.places)
        self.held_out = patches_of(model, layer, images, self.held_out_places)
        self.targets = outputs(self.patches, self.weight)
        self.held_out_targets = outputs(self.held_out, self.weight)

    def error(self, kept, weight):
        """The part of the output's squares that is lost, on the samples that were held out."""
        rest = self.held_out_targets - outputs(self.held_out[:, kept], weight)
        return (rest.square().sum() / self.held_out_targets.square().sum()).item()


tasks = {(seed, layer): Task(seed, layer) for seed, layer in tqdm(list(itertools.product(SEEDS, LAYERS)), desc="samples")}


def overlap(task):
    """Correlations between the channels' parts, [in, in]."""
    parts = channel_contributions(task.patches, task.weight).flatten(1)  # in, N * out
    return F.normalize(parts, dim=1) @ F.normalize(parts, dim=1).t()


def outside_the_diagonal(matrix):
    """The entries of a square matrix that are not on its diagonal."""
    return matrix[~torch.eye(len(matrix), dtype=torch.bool, device=matrix.device)]


fig, axes = plt.subplots(1, 3, figsize=(11, 3.6))
for ax, layer in zip(axes, LAYERS):
    picture = ax.imshow(overlap(tasks[0, layer]).cpu(), vmin=-1, vmax=1, cmap="PuOr")
    label_axes(ax, x="channel", x_unit="number", y="channel", y_unit="number", title=layer)
    ax.grid(visible=False)
fig.colorbar(picture, ax=axes, label="correlation (−1 to 1)", shrink=0.9)
show(
    fig,
    alt="Three square matrices of correlations between the parts of channels, for conv2, conv3 and fc1. The diagonal is "
    "1; outside it most entries are small, and some, of both signs, are clearly different from zero.",
)
for layer in LAYERS:
    pairs = [outside_the_diagonal(overlap(tasks[seed, layer])).abs() for seed in SEEDS]
    sizes = [some.mean().item() for some in pairs]
    print(
        f"{layer}: size of the correlation between two channels, mean {np.mean(sizes):.2f} ± {np.std(sizes, ddof=1):.2f}, "
        f"largest of each network {', '.join(f'{some.max():.2f}' for some in pairs)}"
    )

# %% [markdown]
# **What we saw.** Outside the diagonal the matrices are not empty. Most pairs overlap little, some clearly. So the error
# of removing several channels is not the sum of their single errors; a choice must look at all of them together. And can
# the others give what a channel adds? One other can seldom give much of it. What *many* others give together, and with new
# weights, no pair tells us. Part 3 measures it.
#
# ## Part 2 · Which channels? The Lasso
#
# ### Exercise lasso_betas
#
# Give every channel a factor $\beta_c$. A channel whose factor is 0 is removed. The Lasso asks for an output near the
# target and for small factors:
#
# $$\min_\beta\ \frac{1}{2 N m} \Big\| Y - \sum_c \beta_c Z_c \Big\|^2 + \lambda \sum_c |\beta_c|.$$
#
# Here $Z$ is `contributions`, $Y$ is `targets`, $\lambda$ is `penalty`, and $m$ is the number of outputs, so that $Nm$
# counts the entries of $Y$. The sum of the magnitudes has a corner at zero. That is why some factors become *exactly*
# zero.
#
# **Which λ?** That depends on what stands before the square, and books differ. Multiply the whole by $Nm$: the same
# minimum has the penalty $Nm\lambda$ next to $\frac12\|\cdot\|^2$. He et al. write $\frac{1}{2N}$. scikit-learn's
# `Lasso` has one target a row, and writes $\frac{1}{2 n_\text{samples}}$; each entry of $Y$ is such a row, so
# $n_\text{samples} = Nm$. We take that form: the squared error is a mean, and λ means the same for few and many
# samples. A λ copied from a code with another factor is wrong by this factor.
#
# **How?** One factor at a time, the others held. Let $a_c$ be $Z_c$ written as one long column, and $y$ be $Y$ in the
# same order. The *slope* of channel $c$ is $a_c^\top y / (Nm)$. With
#
# $$G_{cd} = \frac{a_c^\top a_d}{Nm}, \qquad f_c = \frac{a_c^\top y}{Nm} - \sum_{d \ne c} G_{cd}\, \beta_d, \qquad
# \beta_c \leftarrow \frac{\operatorname{sign}(f_c) \max(|f_c| - \lambda,\ 0)}{G_{cc}}.$$
#
# Go over all $c$ again and again until nothing changes any more (*coordinate descent*). $G$ and $a_c^\top y$ are
# computed once: the Lasso never looks at the samples again.
#
# *By hand.* Two channels that do not overlap, $G = \begin{pmatrix}4 & 0\\ 0 & 1\end{pmatrix}$, slopes $(8, -3)$. With
# $\lambda = 2$: $\beta = ((8 - 2)/4,\ -(3 - 2)/1) = (1.5, -1)$. With $\lambda = 3$: $\beta = (1.25, 0)$. From
# $\lambda = 8$ on nothing is left: the last channel leaves at the largest size of a slope.
#
# <details><summary>Hint</summary>
#
# Flatten each $Z_c$, build $G$ and $a^\top y$, and compute in float64. What should happen to a channel with
# $G_{cc} = 0$? As a stopping rule, look at the largest change of $\beta_c \sqrt{G_{cc}}$ in a whole round: $10^{-8}$ of
# the root mean square of $Y$ is small enough. Also put a limit on the rounds, 10,000 say.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=25
from solutions.lab08_regression import lasso_betas

# %% tags=["visible-check"]
first = torch.tensor([[4.0, 0.0], [0.0, 0.0]])  # two samples, two outputs: 4 entries, G = 16 / 4 = 4
second = torch.tensor([[0.0, 0.0], [2.0, 0.0]])  # G = 4 / 4 = 1
targets = torch.tensor([[8.0, 0.0], [-6.0, 0.0]])  # the slopes are 32 / 4 = 8 and -12 / 4 = -3
contributions = torch.stack([first, second])
result = lasso_betas(contributions, targets, 2.0)
assert isinstance(result, torch.Tensor) and result.shape == (2,), (
    f"You returned {result!r}: return one factor for each channel."
)
by_hand = [round(value, 4) for value in result.tolist()]
assert by_hand == [1.5, -1.0], (
    f"With G = (4, 1), the slopes 8 and -3 and the penalty 2 the factors are 1.5 and -1.0, and you returned {by_hand}.\n"
    "1.875 and -2.5? Then the squared error was not divided by the 4 entries. 1.75 and -2.0? Then the factor 1/2 is missing, or you "
    "divided by N = 2.\n"
    "2.0 and -3.0? Then nothing is shrunk. Is the second one 0? Then the sign is lost."
)
result = lasso_betas(contributions, targets, 3.5)
assert result[1].item() == 0.0 and abs(result[0].item() - 1.125) < 1e-4, (
    f"With the penalty 3.5 the second channel leaves: its factor is exactly 0, and the first is 1.125. You returned {result.tolist()}."
)
overlapping = torch.tensor([[[1.0], [1.0]], [[1.0], [0.0]]])  # G = [[1, 0.5], [0.5, 0.5]]
result = lasso_betas(overlapping, torch.tensor([[2.0], [1.0]]), 0.0)
assert torch.allclose(result, torch.ones(2), atol=1e-2), (
    f"Y is the sum of two channels that overlap; without penalty both factors are 1, and you returned {result.tolist()}. "
    "Did you go over the channels only once? What one factor should be depends on the others."
)
result = lasso_betas(torch.stack([first, torch.zeros(2, 2)]), targets, 2.0)
assert result[1].item() == 0.0, f"A channel that contributes nothing has the factor 0, not {result[1].item()}."
try:
    lasso_betas(contributions, targets, -1.0)
except ValueError:
    pass
else:
    raise AssertionError("A negative penalty raised no ValueError.")
print("lasso_betas: the visible checks pass")

# %% tags=["graded"] points=5

# %% [markdown]
# ### Exercise search_penalty
#
# We know how many channels may stay, $c'$, and not which λ leaves so many. A larger λ leaves fewer. So search: at
# $\lambda = 0$ too many are left, at `highest` few enough. Look in the middle, and go on with the half at whose left end
# too many are left, and at whose right end few enough.
#
# Here $c'$ is `count`, and `solve` gives β for a λ. Two things to think of. Several channels may leave at the same λ;
# then no λ leaves exactly $c'$, and we want fewer rather than more. And without any penalty few enough may be left
# already.
#
# *By hand.* Four channels leave at the penalties 0.2, 0.55, 0.55 and 0.9, and `highest` is 1. For $c' = 1$ the first
# middle, 0.5, leaves three, and the next one, 0.75, leaves one: done. For $c' = 2$ no λ is right: just below 0.55 three
# are left, and from 0.55 on one. The search closes in on 0.55 from both sides and returns its upper end.
#
# <details><summary>Hint</summary>
#
# Keep two ends: the lower one leaves more than `count`, the upper one `count` or fewer. Keep the upper end's β with it,
# so that what you return belongs together. Count with `(beta != 0).sum()`.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=15
from solutions.lab08_regression import search_penalty

# %% tags=["visible-check"]
leaves_at = torch.tensor([0.2, 0.55, -0.55, 0.9])
calls = []


def solve(penalty):
    """A path that is known: a channel leaves when the penalty reaches its number."""
    calls.append(penalty)
    return leaves_at.sign() * (leaves_at.abs() - penalty).clamp(min=0)


result = search_penalty(solve, 3, 1.0)
assert isinstance(result, tuple) and len(result) == 2, f"You returned {result!r}: return the penalty and beta."
penalty, beta = result
left = int((beta != 0).sum())
assert left == 3 and 0.2 <= penalty < 0.55, (
    f"Three channels may stay: any penalty from 0.2 up to 0.55 is right. You returned {penalty}, and {left} are left. "
    "(Four: the lower end. One: you asked for fewer than `count`, or removed `count`.)"
)
assert torch.equal(beta, solve(penalty)), "Your beta is not what `solve` returns for your penalty."
penalty, beta = search_penalty(solve, 2, 1.0)
assert int((beta != 0).sum()) == 1 and 0.5499 < penalty < 0.5502, (
    f"Two channels leave together at 0.55, so no penalty leaves exactly two. One is left just above 0.55; you returned {penalty}, "
    f"with {int((beta != 0).sum())} left."
)
calls.clear()
penalty, beta = search_penalty(solve, 4, 1.0)
assert penalty == 0.0, f"All four may stay: the penalty is 0, not {penalty}."
search_penalty(solve, 2, 1.0)
assert len(calls) <= 51, f"You called `solve` {len(calls)} times. Halving the interval takes about 15 calls."
try:
    search_penalty(solve, 1, 0.3)
except ValueError:
    pass
else:
    raise AssertionError("At the highest penalty, 0.3, three channels are left and one may stay: that raised no ValueError.")
print("search_penalty: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: the path, and why the weights need a norm
#
# Left: the factors of `conv2` of the first network, against λ. Each line is a channel. Right: a question about scale.
# The output is $\sum_c \beta_c X_c W_c^\top$. Multiply all of $W$ by 10 and divide $\beta$ by 10: the output is the
# same. But the penalty $\lambda \sum |\beta_c|$ is a tenth. He et al. therefore demand $\|W_c\|_F = 1$ for every
# channel. Here $W_c$ is `weight[:, c]`, and its *Frobenius norm* $\|W_c\|_F$ is the root of the sum of its squares. We
# multiply $W$ by a factor, and count the channels that one and the same λ leaves, with and without dividing each $W_c$ by
# its norm.


# %% tags=["experiment"]
def unit(weight):
    """The weight with every channel's slice divided by its Frobenius norm."""
    norms = weight.square().sum(dim=(0, 2, 3), keepdim=True).sqrt()
    return weight / norms.clamp(min=1e-12)


def highest_penalty(contributions, targets):
    """The penalty at which the last channel leaves."""
    return (contributions.flatten(1) @ targets.flatten()).abs().max().item() / targets.numel()


task = tasks[0, "conv2"]
parts, few = channel_contributions(task.patches[:500], unit(task.weight)), task.targets[:500]
top = highest_penalty(parts, few)
shares = np.linspace(0, 1, 41)
path = np.array([lasso_betas(parts, few, float(share * top)).cpu() for share in tqdm(shares, desc="path")])  # penalties, in

scales = [0.1, 0.3, 1.0, 3.0, 10.0, 100.0]
left_over = {"as they are": [], "divided by their norms": []}  # [seeds, scales]
for seed in tqdm(SEEDS, desc="scale"):
    task = tasks[seed, "conv2"]
    few = task.targets[:500]
    for name, normalise in (("as they are", lambda weight: weight), ("divided by their norms", unit)):
        fixed = 0.3 * highest_penalty(channel_contributions(task.patches[:500], normalise(task.weight)), few)
        counts = []
        for scale in scales:
            parts = channel_contributions(task.patches[:500], normalise(scale * task.weight))
            counts.append(int((lasso_betas(parts, few, fixed) != 0).sum()))
        left_over[name].append(counts)

fig, axes = plt.subplots(1, 2, figsize=(11, 4))
for channel in range(path.shape[1]):
    axes[0].plot(100 * shares, path[:, channel], color=COLOURS["blue"], linewidth=1, alpha=0.7)
label_axes(
    axes[0],
    x="penalty",
    x_unit="% of the highest",
    y="factor β",
    y_unit="for weights of norm 1",
    title="conv2, each line a channel",
)
for (name, counts), colour in zip(left_over.items(), ("vermilion", "blue")):
    curve(axes[1], scales, counts, label=f"weights {name}", colour=colour)
axes[1].set_xscale("log")
axes[1].set_yticks(range(0, 17, 4))
label_axes(
    axes[1],
    x="all weights multiplied by",
    x_unit="factor",
    y="left at one penalty",
    y_unit="channels of 16",
    title="the same network, rescaled",
)
axes[1].legend(loc="center right")
show(
    fig,
    alt="Left: sixteen factors against the penalty; one after another reaches zero and stays there. Right: channels "
    "left at a fixed penalty against a factor on the weights. As they are, the count climbs from none to all; divided by "
    "their norms it is constant.",
)

# %% [markdown]
# **What we saw.** Left: nearly all the lines fall, and one after another reaches zero exactly. That is the Lasso's gift:
# it does not only shrink, it selects. The lines are bent where another channel leaves, since the remaining ones take
# over. Some stay level for a while, or even rise.
#
# Right: without norms the same λ leaves anything from no channel to all of them, although all these networks compute
# the same function of their inputs up to a factor. As soon as $W$ may change too, and in Part 4 it does, the penalty
# can be made as small as we like by moving size from β to $W$. Then the problem has no minimum at all, and λ means
# nothing. With $\|W_c\| = 1$ it means something.
#
# Does the norm also lead to a *better choice*? That is another question. The next part looks.
#
# ## Part 3 · Let the others take over
#
# ### Exercise reconstruct_weights
#
# The channels are chosen. Their old weights were made for a network in which the others were there too. Which weights
# would be best now? Those that bring the output closest to the target:
#
# $$\min_{W'}\ \big\| Y - X' {W'}^\top \big\|^2.$$
#
# Here $X'$ is `patches` of the channels that are left, as a matrix $[N, c' k_h k_w]$, $Y$ is `targets`, and $W'$ is
# what you return, as a matrix $[\text{out}, c' k_h k_w]$. This is least squares: no penalty, no steps, a formula. Every
# entry of every kernel may change, and not only one factor for each channel.
#
# *By hand.* Two channels, always equal: $x_0 = x_1$, and $y = 3 x_0 + 4 x_1$. Channel 1 goes. With its old weight,
# channel 0 gives $3 x_0$ and not $7 x_0$: 16/49, a third of the squares, is lost. Least squares finds the weight 7,
# and nothing is lost.
#
# **Take care.** A ReLU may leave a channel that is zero in every sample; then $X'^\top X'$ has no inverse. And
# `torch.linalg.lstsq` needs care: on the CPU its default method, `gelsy`, can return wrong solutions where $X'$ has not
# full rank (in PyTorch up to at least 2.13: [issue 187411](https://github.com/pytorch/pytorch/issues/187411)), and on a
# GPU its only method takes full rank for granted. Choose a method that does not.
#
# <details><summary>Hint</summary>
#
# `torch.linalg.lstsq` has an argument `driver`; read which drivers handle any rank, and on which device they run.
# `numpy.linalg.lstsq` or the pseudo-inverse are right too. Compute in float64, and think of shapes: the solution has a
# *column* for each output.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab08_regression import reconstruct_weights

# %% tags=["visible-check"]
x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).reshape(3, 1, 1, 2)  # three samples, one channel, a kernel of 1 x 2
y = torch.tensor([[2.0, 0.0], [3.0, 1.0], [5.0, 1.0]])  # output 0 is 2, 3 times the entries; output 1 is 0, 1 times
result = reconstruct_weights(x, y)
assert isinstance(result, torch.Tensor) and result.shape == (2, 1, 1, 2), (
    f"You returned {result!r}: two outputs, one channel and a kernel of 1 x 2 give the shape [2, 1, 1, 2]."
)
assert torch.allclose(result.flatten(1), torch.tensor([[2.0, 3.0], [0.0, 1.0]]), atol=1e-3), (
    f"The weights (2, 3) and (0, 1) give these targets exactly, and you returned {result.flatten(1).tolist()}. "
    "(Is it (2, 0) and (3, 1)? Then inputs and outputs are exchanged.)"
)
assert result.dtype == torch.float32, f"The patches are float32 and your weights {result.dtype}."
x = torch.tensor([[1.0, 0.0, 2.0], [2.0, 0.0, 1.0], [3.0, 0.0, 5.0], [1.0, 0.0, 1.0]]).reshape(
    4, 3, 1, 1
)  # channel 1 is dead
y = torch.tensor([[1.0], [2.0], [0.0], [3.0]])
try:
    result = reconstruct_weights(x, y)
except (torch.linalg.LinAlgError, np.linalg.LinAlgError) as error:
    raise AssertionError(
        f"With a channel that is zero in every sample your method breaks ({error}). Did you invert X^T X? Here it has no inverse."
    ) from error
lost = (y - x.flatten(1) @ result.flatten(1).t()).square().sum().item()
assert result.isfinite().all(), f"A dead channel gave the weights {result.flatten().tolist()}: did you invert X^T X?"
assert abs(lost - 6.6308) < 1e-3, (
    f"Your weights lose {lost:.4f}, and 6.6308 is possible. Channel 1 is zero in every sample: does your method take full rank for "
    "granted? (Look at what the text says about torch.linalg.lstsq. An intercept, a ridge or a mean taken off are no part of it either.)"
)
for channels in (16, 20, 24):  # every second one is dead, and the target is the sum of the others
    inputs = torch.randn(2 * channels, channels, 1, 1, generator=torch.Generator().manual_seed(channels))
    inputs[:, ::2] = 0
    wanted = inputs.flatten(1).sum(dim=1, keepdim=True)
    rest = wanted - inputs.flatten(1) @ reconstruct_weights(inputs, wanted).flatten(1).t()
    lost = (rest.square().sum() / wanted.square().sum()).item()
    assert lost < 1e-4, (
        f"Of {channels} channels every second one is dead. The target is the sum of the others, so nothing need be lost, and your weights "
        f"lose {100 * lost:.1f}% of the squares.\nIs your method torch.linalg.lstsq without a `driver`? Then this is the mistake of gelsy "
        "that the text names."
    )
try:
    reconstruct_weights(x, y[:3])
except ValueError:
    pass
else:
    raise AssertionError("Four patches and three targets raised no ValueError.")
print("reconstruct_weights: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: all choices there are
#
# `conv2` reads 16 channels, and 8 shall stay. There are 12,870 choices, few enough to try them *all*: for each the
# error with the old weights, and the error after least squares. Then mark in this crowd what five rules choose:
#
# - *random*;
# - *L1*: the filters of the layer before with the largest L1 norm stay (Li et al. 2016);
# - *greedy*, as in ThiNet: remove, one after another, the channel whose removal makes $\|\sum_{c \text{ gone}} Z_c\|^2$
#   smallest;
# - *Lasso*, with $\|W_c\| = 1$, and *Lasso, no norm*, on the contributions as they are.
#
# The first network is searched completely, the other two by 1,000 random choices. Guess before you run: which is the
# larger step, from a bad choice to a good one, or from old weights to rebuilt ones?

# %% tags=["experiment"]
FEW = 500  # samples: a choice needs fewer than the weights


def by_lasso(contributions, targets, count):
    """The factors that leave `count` channels."""
    contributions, targets = contributions[:, :FEW], targets[:FEW]
    top = highest_penalty(contributions, targets)
    return search_penalty(lambda penalty: lasso_betas(contributions, targets, penalty), count, top * 1.0001, 1e-6)[1]


def greedy(contributions, count):
    """ThiNet: the set of removed channels grows by the one that keeps its sum smallest."""
    parts = contributions.flatten(1)
    gram = (parts @ parts.t()).double().cpu()  # in, in
    rest, with_removed = list(range(len(gram))), torch.zeros(len(gram), dtype=torch.float64)
    while len(rest) > count:
        goes = min(rest, key=lambda c: (2 * with_removed[c] + gram[c, c]).item())  # what the sum's square would grow by
        rest.remove(goes)
        with_removed += gram[goes]
    return torch.tensor(rest)


def l1_of_filters(model, layer):
    """The L1 norm of the filter that makes each input channel of a layer."""
    before = {"conv2": "conv1", "conv3": "conv2", "fc1": "conv3"}[layer]
    return getattr(model, before).weight.detach().abs().sum(dim=(1, 2, 3))


def choose(rule, task, count):
    """The channels that a rule keeps, ascending."""
    if rule == "random":
        return torch.randperm(task.weight.shape[1], generator=torch.Generator().manual_seed(task.seed))[:count].sort().values
    if rule == "L1":
        return l1_of_filters(networks[task.seed], task.layer).topk(count).indices.sort().values
    if rule == "greedy":
        return greedy(channel_contributions(task.patches[:FEW], task.weight), count)
    weight = unit(task.weight) if rule == "Lasso" else task.weight
    return by_lasso(channel_contributions(task.patches[:FEW], weight), task.targets[:FEW], count).nonzero().flatten()


def errors_of_all(task, subsets):
    """The error of each choice with the old weights, and after least squares; on the samples of the regression."""
    x, y = task.patches.flatten(1).double().cpu(), task.targets.double().cpu()
    gram, cross, total = x.t() @ x, x.t() @ y, y.square().sum()
    parts = channel_contributions(task.patches, task.weight).flatten(1).double().cpu()
    inner = parts @ parts.t()
    ridge = 1e-9 * gram.diagonal().mean() * torch.eye(9 * subsets.shape[1], dtype=torch.float64)
    old, rebuilt = [], []
    for some in tqdm(subsets.split(500), desc=f"{len(subsets):,} choices"):
        gone = torch.ones(len(some), len(inner), dtype=torch.float64).scatter(1, some, 0.0)
        old.append(torch.einsum("sc,cd,sd->s", gone, inner, gone) / total)
        index = (9 * some[:, :, None] + torch.arange(9)).flatten(1)  # the columns of the kept channels
        root = torch.linalg.cholesky(gram[index[:, :, None], index[:, None, :]] + ridge)
        explained = torch.linalg.solve_triangular(root, cross[index], upper=False).square().sum(dim=(1, 2))
        rebuilt.append(1 - explained / total)
    return torch.cat(old).numpy(), torch.cat(rebuilt).numpy()


rules = ["random", "L1", "Lasso, no norm", "Lasso", "greedy"]
COLOUR = dict(zip(rules, ("orange", "purple", "sky", "blue", "vermilion")))
every = torch.tensor(list(itertools.combinations(range(16), 8)))
crowd, marks = {}, {}  # seed: errors of many choices; (seed, rule): the two errors of one choice
for seed in SEEDS:
    some = every if seed == 0 else every[torch.randperm(len(every), generator=torch.Generator().manual_seed(seed))[:1000]]
    crowd[seed] = errors_of_all(tasks[seed, "conv2"], some)
    chosen = torch.stack([choose(rule, tasks[seed, "conv2"], 8).cpu() for rule in rules])
    for rule, old, rebuilt in zip(rules, *errors_of_all(tasks[seed, "conv2"], chosen)):
        marks[seed, rule] = (old, rebuilt)

fig, ax = plt.subplots(figsize=(9, 4.4))
edges = np.geomspace(min(crowd[0][1]) / 1.2, max(crowd[0][0]) * 1.2, 120)
for values, colour, name in zip(crowd[0], ("black", "green"), ("old weights", "rebuilt by least squares")):
    ax.hist(values, bins=edges, color=COLOURS[colour], alpha=0.45, label=f"all choices, {name}")
for place, rule in enumerate(rules):
    height = -60 - 75 * place
    ax.plot(marks[0, rule], [height, height], color=COLOURS[COLOUR[rule]], linewidth=1)
    ax.scatter(
        marks[0, rule],
        [height, height],
        color=COLOURS[COLOUR[rule]],
        marker=MARKERS[list(COLOURS).index(COLOUR[rule])],
        label=rule,
        zorder=3,
    )
ax.set_xscale("log")
ax.axhline(0, color="grey", linewidth=0.8)
ax.set_yticks(range(0, 1001, 250))
label_axes(
    ax,
    x="error",
    x_unit="part of the output's squares",
    y="choices",
    y_unit="number",
    title="conv2 of the first network, 8 of 16 channels kept",
)
ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
show(
    fig,
    alt="Two histograms of the errors of all 12,870 choices, on a logarithmic scale. The one after least squares lies about a factor of ten "
    "to the left of the one with old weights. Five rules are marked below: each is joined from its error with old weights to that after "
    "least squares.",
)
print(f"{'':16}better than this share of the choices, with rebuilt weights (three networks)")
beats = {rule: [float(np.mean(crowd[seed][1] > marks[seed, rule][1])) for seed in SEEDS] for rule in rules}
for rule in rules:
    print(f"{rule:16}", "  ".join(f"{100 * share:5.1f} %" for share in beats[rule]))
typical = {way: [float(np.median(crowd[seed][i])) for seed in SEEDS] for i, way in enumerate(("old", "rebuilt"))}
best = {way: float(crowd[0][i].min()) for i, way in enumerate(("old", "rebuilt"))}
print(
    f"first network: typical choice {typical['old'][0]:.3f} with old weights, {typical['rebuilt'][0]:.3f} rebuilt; "
    f"the best of all {best['old']:.3f} and {best['rebuilt']:.3f}, the worst rebuilt {crowd[0][1].max():.3f}"
)

# %% [markdown]
# **What we saw.** The two hills do not touch. Rebuilding moves a typical choice about ten times to the left, and the
# *best* of all choices with old weights is still worse than the *worst*, rebuilt. *Least squares is most of the
# gain.* Then the choice: inside the green hill there is still a large factor between its two ends. *Greedy* ends at
# the good end, among the very best of all choices. The *Lasso* does not: read the printed shares. In one network it
# is better than nearly all choices, in another hardly better than a typical one. L1, which never looks at the output,
# is no better than chance.
#
# Why is the Lasso not at the end of the hill? Its judgement has two faults. It imagines that each channel gets one
# factor, while least squares will change every weight. And its penalty shrinks all factors while it chooses. What it
# optimises is not what you measure here.
#
# Compare *Lasso* with *Lasso, no norm*: the norm gives λ a meaning. It does not make every choice better; the next
# experiment prints how the errors compare.
#
# ### Experiment: three layers, two ratios
#
# Now the errors on samples that were held out, in all three layers and at two ratios, and the accuracy of the network
# in which *one* layer is pruned, on 1,000 images. Nothing is fine-tuned.


# %% tags=["experiment"]
class Rest(nn.Module):
    """The part of a network from one layer on, so that its accuracy can be measured on that layer's inputs."""

    def __init__(self, model, layer):
        super().__init__()
        self.model, self.layer = model, layer

    def forward(self, x):
        return run(self.model, x, self.layer)


def write(model, layer, kept, weight):
    """Put new weights into a layer, and zeros where channels have left."""
    with torch.no_grad():
        target = getattr(model, layer).weight
        full = torch.zeros_like(weight_of(model, layer))
        full[:, kept.to(full.device)] = weight
        target.copy_(full.reshape(target.shape))


four = [rule for rule in rules if rule != "Lasso, no norm"]
ways = ("old weights", "rebuilt")
ratios = {"half": 2, "a quarter": 4}
lost, scores, norm_matters = {}, {}, {}  # (layer, ratio, rule, way): [seeds]
for seed, layer in tqdm(list(itertools.product(SEEDS, LAYERS)), desc="layers"):
    task = tasks[seed, layer]
    features = inputs_of(networks[seed], layer, images[:1000]).contiguous(memory_format=torch.channels_last)
    for ratio, divide in ratios.items():
        count = task.weight.shape[1] // divide
        for rule in rules:
            kept = choose(rule, task, count)
            new = {"old weights": task.weight[:, kept], "rebuilt": reconstruct_weights(task.patches[:, kept], task.targets)}
            for way in ways:
                lost.setdefault((layer, ratio, rule, way), []).append(task.error(kept, new[way]))
                if rule in four:
                    model = copy.deepcopy(networks[seed])
                    write(model, layer, kept, new[way])
                    scores.setdefault((layer, ratio, rule, way), []).append(
                        accuracy(Rest(model, layer), features, labels[:1000])
                    )

fig, axes = plt.subplots(2, 3, figsize=(11.5, 6.6), sharex=True, sharey="row")
for column, layer in enumerate(LAYERS):
    for row, (values, factor, y, unit_of_y) in enumerate(
        ((lost, 1, "error", "part lost"), (scores, 100, "validation accuracy", "%"))
    ):
        ax = axes[row, column]
        for way, colour, shift in zip(ways, ("black", "green"), (-0.12, 0.12)):
            for ratio, filled in (("half", True), ("a quarter", False)):
                table = factor * np.array([values[layer, ratio, rule, way] for rule in four])  # rules, seeds
                x = np.arange(4) + shift + (0 if filled else 0.06)
                ax.errorbar(
                    x,
                    table.mean(1),
                    table.std(1, ddof=1),
                    fmt=MARKERS[list(COLOURS).index(colour)],
                    capsize=3,
                    color=COLOURS[colour],
                    markerfacecolor=COLOURS[colour] if filled else "white",
                    label=f"{way}, {ratio} kept",
                )
        if row == 0:
            ax.set_yscale("log")
        label_axes(ax, x="channels chosen by", x_unit="rule", y=y, y_unit=unit_of_y, title=layer if row == 0 else "")
        ax.set_xticks(range(4), four)
        if column:
            ax.set_ylabel("")
        if row == 0:
            ax.set_xlabel("")
handles, names = axes[0, 0].get_legend_handles_labels()
fig.legend(handles, names, loc="outside lower center", ncols=4)
show(
    fig,
    alt="Errors, above, and accuracies, below, of three layers for four rules, with old and rebuilt weights, half and a quarter of the "
    "channels kept. In every panel the rebuilt points lie far below in error and far above in accuracy; the four rules differ much less.",
)
print("mean over the layers, half kept:    old weights           rebuilt")
for rule in four:
    texts = [in_percent(np.mean([scores[layer, "half", rule, way] for layer in LAYERS], axis=0)) for way in ways]
    print(f"{rule:16} accuracy {texts[0]:>22} {texts[1]:>18}")
print("a quarter kept, rebuilt: error and accuracy (means over the seeds)")
for layer in LAYERS:
    cells = [[np.mean(values[layer, "a quarter", rule, "rebuilt"]) for values in (lost, scores)] for rule in four]
    print(f"    {layer:6}", "   ".join(f"{rule} {error:.3f}, {100 * right:.1f} %" for rule, (error, right) in zip(four, cells)))
ratio_of_norm = [
    lost[layer, ratio, "Lasso", "rebuilt"][seed] / lost[layer, ratio, "Lasso, no norm", "rebuilt"][seed]
    for layer in LAYERS
    for ratio in ratios
    for seed in SEEDS
]
print(
    f"error with norm / error without norm, rebuilt: {np.mean(ratio_of_norm):.2f} on average over layers, ratios and seeds "
    f"(from {min(ratio_of_norm):.2f} to {max(ratio_of_norm):.2f})"
)

# %% [markdown]
# **What we saw.** From black to green is the large step, in every layer and for every rule, in error and in accuracy.
# It is so large that *random* channels, rebuilt, beat every rule with old weights.
#
# From rule to rule is a smaller step. With old weights the two rules that look at the output (Lasso, greedy) have
# smaller errors than random and L1. After rebuilding an order remains in the error, at half, with greedy in front; in
# the accuracy the four rules are then within a point. So "regression chooses better" is true for the error, and hard
# to see in what we care about. Whoever compares a *rebuilt* network of the new rule with an L1 network that is only
# *cut* measures the rebuilding.
#
# The open points, a quarter kept, say more: no rule is best in all the layers. Look at `conv2`: there the Lasso is
# the worst of the four, behind random too, in the error and in the accuracy. (16 channels to 4 is a long way, and its
# factors were found for weights that will not be used.) And the last line: with the norm the error is about as large
# as without it, smaller in some cases and larger in others.
#
# ### Experiment: how many samples?
#
# Least squares is fitted on samples. Too few, and it learns them by heart. Half of the channels of each layer stay,
# chosen by the Lasso.

# %% tags=["experiment"]
sizes = [100, 200, 300, 500, 1000, 2000]
seen, unseen = {layer: [] for layer in LAYERS}, {layer: [] for layer in LAYERS}  # [seeds, sizes]
for seed, layer in tqdm(list(itertools.product(SEEDS, LAYERS)), desc="samples"):
    task = tasks[seed, layer]
    kept = choose("Lasso", task, task.weight.shape[1] // 2)
    rows = [[], []]
    for size in sizes:
        x, y = task.patches[:size, kept], task.targets[:size]
        new = reconstruct_weights(x, y)
        rows[0].append(((y - outputs(x, new)).square().sum() / y.square().sum()).item())
        rows[1].append(task.error(kept, new))
    seen[layer].append(rows[0])
    unseen[layer].append(rows[1])

fig, axes = plt.subplots(1, 3, figsize=(11.5, 3.8), sharey=True)
for ax, layer in zip(axes, LAYERS):
    unknown = 9 * tasks[0, layer].weight.shape[1] // 2
    curve(ax, sizes, np.maximum(seen[layer], 1e-4), label="on the samples of the fit", colour="orange")
    curve(ax, sizes, unseen[layer], label="on held-out samples", colour="blue")
    ax.axvline(unknown, color="grey", linestyle=":")
    ax.set(xscale="log", yscale="log")
    label_axes(
        ax, x="samples", x_unit="number", y="error", y_unit="part lost", title=f"{layer}: {unknown} weights an output"
    )
    if layer != "conv2":
        ax.set_ylabel("")
axes[0].legend(loc="lower right")
show(
    fig,
    alt="Error against the number of samples, for three layers. The dotted line marks as many samples as weights of an output. To its "
    "left, in conv3 and fc1, the error on the fitted samples is nearly zero. Near it the error on held-out samples is largest. With more "
    "samples the two approach each other.",
)

# %% [markdown]
# **What we saw.** An output of the new layer has $9 c'$ weights (dotted). With fewer samples than that the fit is
# perfect on its own samples (drawn at $10^{-4}$; `conv2` has so few weights that no size is below its line), and that
# says nothing about others. Look at `fc1`: the held-out error is *largest* where samples and weights are about as
# many. There the samples just determine the weights, and all their noise goes in. (With fewer samples, the
# least-squares method picks the smallest of many solutions, which does less harm. This peak is known as double
# descent.) With several times as many samples the two curves come together. Count images, too: an image gives five
# samples of `conv2` and `conv3`, so 400 images are 2,000 samples. It gives only one of `fc1`: there 2,000 samples are
# 2,000 images, and of the sizes tried, 300 images are the worst. Labels are never needed.
#
# ## Part 4 · In turn
#
# ### Exercise regression_prune
#
# Choosing used the old weights; rebuilding changed them. So choose again with the new ones? He et al. alternate. For
# each entry $c'_r$ of `counts`:
#
# $$W_c \leftarrow \frac{W_c}{\|W_c\|_F}, \qquad \beta = \text{choose}\Big(Z, Y, c'_r\Big), \qquad
# W \leftarrow \text{reconstruct}\big(X_{\beta \ne 0},\ Y\big), \quad W_c \leftarrow 0 \text{ where } \beta_c = 0.$$
#
# Here $Z$ are the contributions with the normalised weights, and $\|W_c\|_F$ is the root of the sum of the squares of
# `weight[:, c]`. One entry in `counts` is He et al.'s method in practice: they report that alternating takes long, and
# that choosing first and rebuilding once is enough. Why does β not appear in the result? It may be multiplied into $X$
# or into $W$; least squares finds the same product in either case.
#
# *By hand.* Two outputs, 1×1 kernels, $W = \begin{pmatrix}3 & 0\\ 4 & 0.5\end{pmatrix}$. The norms of its *columns* are
# 5 and 0.5, so the normalised weight is $\begin{pmatrix}0.6 & 0\\ 0.8 & 1\end{pmatrix}$.
#
# <details><summary>Hint</summary>
#
# Keep a weight of full size from round to round, with zeros where channels have left: the next round's contributions
# are then zero there, and `choose` leaves them out. Divide only where the norm is above zero. `nonzero` gives positions
# in ascending order.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=15
from solutions.lab08_regression import regression_prune

# %% tags=["visible-check"]
seen_weights = []


def contribute_and_note(patches, weight):
    """What each channel adds (for kernels of 1 x 1 only), with a note of the weights that were used."""
    seen_weights.append(weight.clone())
    return patches[:, :, 0, 0].t()[:, :, None] * weight[:, :, 0, 0].t()[:, None, :]


def choose_largest(contributions, targets, count):
    """A rule for this check: the channels with the largest sums of squares stay, with factors of both signs."""
    squares = contributions.square().sum(dim=(1, 2))
    factors = torch.zeros(len(squares))
    factors[squares.topk(count).indices] = torch.tensor([-0.5, 2.0, 3.0])[:count]
    return factors


def rebuild_as_ones(patches, targets):
    """Stands for least squares: every weight is 6."""
    return torch.full((targets.shape[1], *patches.shape[1:]), 6.0)


weight = torch.tensor([[3.0, 0.0, 0.0], [4.0, 0.5, 0.0]]).reshape(2, 3, 1, 1)
patches = torch.tensor([[1.0, 4.0, 9.0], [1.0, -4.0, 9.0]]).reshape(2, 3, 1, 1)
result = regression_prune(patches, torch.ones(2, 2), weight, [2, 1], contribute_and_note, choose_largest, rebuild_as_ones)
assert isinstance(result, tuple) and len(result) == 2, (
    f"You returned {result!r}: return the kept channels and their weights."
)
kept, new_weight = result
first = seen_weights[0].flatten(1)
assert torch.allclose(first, torch.tensor([[0.6, 0.0, 0.0], [0.8, 1.0, 0.0]]), atol=1e-4), (
    f"The first contributions were asked for with the weights {first.tolist()}; every column should have norm 1: "
    "[[0.6, 0, 0], [0.8, 1, 0]].\nIs it the weight as it was? Then nothing was divided. Are there NaNs? Then a column of zeros was divided by 0. "
    "Do the rows have norm 1? Those are the filters."
)
second = seen_weights[1].flatten(1)
assert torch.allclose(second, torch.full((2, 3), 0.5**0.5) * torch.tensor([1, 1, 0]), atol=1e-4), (
    f"In the second round the weights were {second.tolist()}. Round 1 kept the channels 0 and 1 and rebuilt them as 6; divided by the norm that is "
    "0.7071, and the channel that has left is 0.\nIs the second column 0? Then its factor, -0.5, was taken for zero. Is it -0.7071? Then "
    "beta was multiplied into the weights. Are the columns 0.6, 0.8 and 0, 1? Then round 2 began with the first weights again."
)
assert kept.tolist() == [1] and new_weight.flatten().tolist() == [6.0, 6.0] and new_weight.shape == (2, 1, 1, 1), (
    f"At the end channel 1 is left, with the weights that were rebuilt, 6. You returned {kept.tolist()} and {new_weight.tolist()}.\n"
    "Is it -3 and not 6? Then beta was multiplied into what you return. Are there zeros? Then the channels that have left are still in it."
)
try:
    regression_prune(patches, torch.ones(2, 2), weight, [1, 2], contribute_and_note, choose_largest, rebuild_as_ones)
except ValueError:
    pass
else:
    raise AssertionError("Counts that rise, 1 and then 2, raised no ValueError.")
print("regression_prune: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: does alternating help?
#
# Half of the channels stay. *Once*: `counts` has one entry. *Four rounds*: the channels leave in four equal parts, and
# the weights are rebuilt after each. The L1 choice and the greedy choice, both rebuilt, stand beside them.


# %% tags=["experiment"]
def plan(channels, rounds):
    """Counts that fall to half of the channels in equal parts."""
    gone = np.linspace(0, channels // 2, rounds + 1)[1:]
    return [int(channels - round(part)) for part in gone]


plans = {"once": lambda channels: plan(channels, 1), "four rounds": lambda channels: plan(channels, 4)}
in_turn = {}  # (layer, plan): [seeds]
for seed, layer in tqdm(list(itertools.product(SEEDS, LAYERS)), desc="in turn"):
    task = tasks[seed, layer]
    for name, counts in plans.items():
        kept, new = regression_prune(
            task.patches,
            task.targets,
            task.weight,
            counts(task.weight.shape[1]),
            channel_contributions,
            by_lasso,
            reconstruct_weights,
        )
        in_turn.setdefault((layer, name), []).append(task.error(kept, new))
    for rule in ("L1", "greedy"):
        in_turn.setdefault((layer, rule), []).append(lost[layer, "half", rule, "rebuilt"][seed])

print("error on held-out samples, half kept, rebuilt; mean and standard deviation over the seeds")
print(f"{'':8}" + "".join(f"{name:>20}" for name in ("L1", "Lasso once", "Lasso four rounds", "greedy")))
for layer in LAYERS:
    row = [in_turn[layer, name] for name in ("L1", "once", "four rounds", "greedy")]
    print(f"{layer:8}" + "".join(f"{np.mean(values):12.4f} ± {np.std(values, ddof=1):.4f}" for values in row))

# %% [markdown]
# **What we saw.** Four rounds are a little better than one, in every layer on average, and by less than the spread of
# the seeds in most. That agrees with what He et al. do: they describe the alternation, and then choose first and
# rebuild once. The greedy choice, made once and with the old weights, is as good or better. So this network gives no
# reason to prefer the Lasso to the simpler greedy rule.
#
# ## Part 5 · Layer after layer
#
# ### Exercise prune_in_order
#
# A network has many layers. When the first is pruned, the inputs of the second change. So its regression must be made
# with what the second layer *will be given*, the outputs of the pruned network. And what should it reach? The output
# that it had in the *original* network. He et al. write $Y'$ for it. For each layer $\ell$ in order:
#
# $$\min\ \Big\| Y'_\ell - \sum_c \beta_c\, X_{\ell, c} W_c^\top \Big\|^2, \qquad X_\ell \text{ from the pruned network}, \quad Y'_\ell \text{ from the original one}.$$
#
# Then every layer can repair a part of what the layers before it have lost. Here $X_\ell$ is what `read_inputs`
# returns, and $Y'_\ell$ what `read_targets` returns.
#
# *By hand.* Two layers. Pruning the first makes its outputs 10% too small. If the second is fitted to inputs of the
# original network, it knows nothing of this, and its output is 10% too small as well. Fitted to the inputs of the
# pruned network, with the original target, its weights become larger by a ninth, and the loss is gone.
#
# <details><summary>Hint</summary>
#
# A short loop. The whole question is *when* each callable is called.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=10
from solutions.lab08_regression import prune_in_order

# %% tags=["visible-check"]
journal, state = [], {"value": 1.0}


def read_state(name):
    """Stands for the layer's inputs: they depend on what has been written."""
    journal.append(f"inputs of {name}")
    return torch.tensor([state["value"]])


def halve(name, patches, targets):
    """Stands for the pruning of a layer: keep channel 0, with half of the inputs as weights."""
    journal.append(f"prune {name}: inputs {patches.item():g}, targets {targets.item():g}")
    return torch.tensor([0]), patches / 2


def write_state(name, kept, weight):
    """Stands for the network: what is written changes the inputs of the layers after it."""
    journal.append(f"write {name}")
    state["value"] = weight.item()


result = prune_in_order(["a", "b"], read_state, lambda name: torch.tensor([7.0]), halve, write_state)
assert journal == [
    "inputs of a",
    "prune a: inputs 1, targets 7",
    "write a",
    "inputs of b",
    "prune b: inputs 0.5, targets 7",
    "write b",
], (
    f"This is what you did: {journal}.\nDoes b get the input 1? Then it was read before a was written. Are input and target exchanged? "
    "Does anything happen twice, or not at all?"
)
assert isinstance(result, dict) and list(result) == ["a", "b"] and result["a"].tolist() == [0], (
    f"You returned {result!r}: return a dictionary with the channels that are left of each layer."
)
try:
    prune_in_order(["a", "a"], read_state, lambda name: torch.tensor([7.0]), halve, write_state)
except ValueError:
    pass
else:
    raise AssertionError("A layer that is named twice raised no ValueError.")
print("prune_in_order: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: what does each layer see, and what should it reach?
#
# All three layers, half of the channels each. Three ways, which differ in where the inputs and the targets come from:
#
# - *as in the paper*: inputs from the pruned network, targets from the original one;
# - *inputs of the original*: each layer is pruned as if the others were whole;
# - *targets of the pruned*: each layer is asked to keep what it computes *now*, from inputs that are damaged already.
#
# Which of the two mistakes is the worse one? Beside them stand cuts without any rebuilding, and random channels,
# rebuilt in order.


# %% tags=["experiment"]
def prune_network(seed, rule, inputs="pruned", targets="original", rebuild_weights=True):
    """Prune the three layers of a copy in order: the copy, and the channels that each layer keeps."""
    original, pruned = networks[seed], copy.deepcopy(networks[seed])
    where = {layer: tasks[seed, layer].places for layer in LAYERS}

    def read_inputs(layer):
        return patches_of(pruned, layer, train_images, where[layer]) if inputs == "pruned" else tasks[seed, layer].patches

    def read_targets(layer):
        if targets == "original":
            return tasks[seed, layer].targets
        return outputs(patches_of(pruned, layer, train_images, where[layer]), weight_of(original, layer))

    def prune_layer(layer, patches, wanted):
        task = copy.copy(tasks[seed, layer])
        task.patches, task.targets = patches, wanted
        kept = choose(rule, task, task.weight.shape[1] // 2)
        return kept, reconstruct_weights(patches[:, kept], wanted) if rebuild_weights else task.weight[:, kept]

    kept = prune_in_order(list(LAYERS), read_inputs, read_targets, prune_layer, lambda *new: write(pruned, *new))
    return pruned, kept


def output_errors(seed, pruned):
    """The error of each layer's output in a pruned network, against the original network."""
    errors = []
    for layer in LAYERS:
        task = tasks[seed, layer]
        now = outputs(patches_of(pruned, layer, images, task.held_out_places), weight_of(pruned, layer))
        errors.append(((now - task.held_out_targets).square().sum() / task.held_out_targets.square().sum()).item())
    return errors


versions = {
    "as in the paper": {"rule": "Lasso"},
    "inputs of the original": {"rule": "Lasso", "inputs": "original"},
    "targets of the pruned": {"rule": "Lasso", "targets": "pruned"},
    "greedy, rebuilt": {"rule": "greedy"},
    "L1, rebuilt": {"rule": "L1"},
    "random, rebuilt": {"rule": "random"},
    "Lasso, old weights": {"rule": "Lasso", "rebuild_weights": False},
    "L1, old weights": {"rule": "L1", "rebuild_weights": False},
}
whole = {
    (name, seed): prune_network(seed, **options)
    for (name, options), seed in tqdm(list(itertools.product(versions.items(), SEEDS)), desc="networks")
}
chain = {name: [output_errors(seed, whole[name, seed][0]) for seed in SEEDS] for name in versions}  # [seeds, layers]
reached = {
    name: [accuracy(whole[name, seed][0], images, labels) for seed in SEEDS] for name in tqdm(versions, desc="accuracy")
}

fig, axes = plt.subplots(1, 2, figsize=(12, 4.6))
shown = {
    "as in the paper": "blue",
    "inputs of the original": "orange",
    "targets of the pruned": "vermilion",
    "L1, rebuilt": "purple",
}
for name, colour in shown.items():
    curve(axes[0], range(3), chain[name], label=name, colour=colour)
axes[0].set_xticks(range(3), list(LAYERS))
axes[0].set_yscale("log")
label_axes(axes[0], x="layer", x_unit="in the order of the network", y="error of its output", y_unit="part lost")
axes[0].legend(loc="upper right", fontsize=9)
axes[0].set_ylim(0.015, 0.4)
names = [name for name in versions if "old" not in name][::-1]
table = 100 * np.array([reached[name] for name in names])
axes[1].errorbar(table.mean(1), range(len(names)), xerr=table.std(1, ddof=1), fmt="o", color=COLOURS["blue"], capsize=4)
axes[1].axvline(100 * np.mean(dense), color="grey", linestyle=":")
axes[1].set_yticks(range(len(names)), names)
label_axes(
    axes[1],
    x="validation accuracy",
    x_unit="%",
    y="network",
    y_unit="half of every layer kept",
    title="rebuilt, no fine-tuning (dotted: not pruned)",
)
show(
    fig,
    alt="Left: error of the outputs of conv2, conv3 and fc1 for four ways to prune; as in the paper is lowest in the later layers. Right: "
    "accuracies of the six networks with rebuilt weights, all two to four points below the unpruned one; greedy is highest.",
)
for name in versions:
    print(
        f"{name:24} accuracy {in_percent(reached[name])}   errors "
        + "  ".join(f"{layer} {value:.3f}" for layer, value in zip(LAYERS, np.mean(chain[name], axis=0)))
    )
for name in ("inputs of the original", "targets of the pruned"):
    points = 100 * (np.array(reached["as in the paper"]) - np.array(reached[name]))
    times = np.array(chain[name])[:, -1] / np.array(chain["as in the paper"])[:, -1]
    print(
        f"as in the paper against {name}, seed by seed: accuracy {', '.join(f'{point:+.1f}' for point in points)} points; "
        f"error of fc1 divided by {', '.join(f'{factor:.1f}' for factor in times)}"
    )

# %% [markdown]
# **What we saw.** In `conv2` the three ways are the same: nothing is pruned before it. From `conv3` on they part. Both
# mistakes cost about the same. In `fc1` the error of either is nearly twice that of the paper's way. In the accuracy that
# is less than a point on average. The last lines give the seeds one by one: in the error all three agree, in the accuracy
# they do not.
#
# With the *inputs of the original*, each layer is fitted to inputs that it will never be given. With the *targets of the
# pruned*, it is asked to copy the damage. Only the paper's way lets a layer make good what others have lost: all
# three start with the same `conv2`, and after it the paper's errors are the smallest of the three.
#
# Then compare the sizes. Old weights cost more than half of the accuracy: see the lines printed for them. And once
# more greedy is in front of the Lasso, and L1 and random, rebuilt, are not far behind.
#
# ### Experiment: really smaller, and fine-tuned
#
# A removed input channel is a removed filter of the layer before. So build the smaller network: 8, 16 and 32 channels
# in place of 16, 32 and 64. Then fine-tune briefly. Does it still matter how the channels were chosen, and how the
# weights were made? At the end the test images, once.


# %% tags=["experiment"]
def rebuild(pruned, kept):
    """The small network without the zeros: filters, BatchNorm and input channels taken out."""
    k1, k2, k3 = (kept[layer].to(device) for layer in LAYERS)
    state = pruned.state_dict()
    small = CNN(channels=(len(k1), len(k2), len(k3))).to(device)
    new = dict(state)
    for number, k in ((1, k1), (2, k2), (3, k3)):
        new[f"conv{number}.weight"] = state[f"conv{number}.weight"][k]
        for part in ("weight", "bias", "running_mean", "running_var"):
            new[f"bn{number}.{part}"] = state[f"bn{number}.{part}"][k]
    new["conv2.weight"], new["conv3.weight"] = new["conv2.weight"][:, k1], new["conv3.weight"][:, k2]
    new["fc1.weight"] = state["fc1.weight"].unflatten(1, (-1, 9))[:, k3].flatten(1)
    small.load_state_dict(new)
    return small.eval().to(memory_format=torch.channels_last)


finalists = ["as in the paper", "greedy, rebuilt", "L1, rebuilt", "random, rebuilt", "L1, old weights"]
small = {(name, seed): rebuild(*whole[name, seed]) for name in finalists for seed in SEEDS}
with torch.no_grad():
    gap = max(
        (small[name, seed](images[:200]) - whole[name, seed][0](images[:200])).abs().max().item()
        for name in finalists
        for seed in SEEDS
    )
tuned = {}
for name, seed in tqdm(list(small), desc="fine-tuning"):
    tuned[name, seed] = copy.deepcopy(small[name, seed])
    train(tuned[name, seed], train_images, train_labels, lr=0.001, steps=47, batch_size=64, seed=seed, progress=False)
    tuned[name, seed].to(memory_format=torch.channels_last)
after = {name: [accuracy(tuned[name, seed], images, labels) for seed in SEEDS] for name in finalists}

test_images, test_labels = (tensor.to(device) for tensor in load_fashion_mnist("test"))
test_dense = [accuracy(model, test_images, test_labels) for model in networks]
test_before = {name: [accuracy(small[name, seed], test_images, test_labels) for seed in SEEDS] for name in finalists}
test_after = {name: [accuracy(tuned[name, seed], test_images, test_labels) for seed in SEEDS] for name in finalists}

sizes_of = {
    name: (count_parameters(model), count_macs(model, (1, 28, 28)))
    for name, model in (("whole", networks[0]), ("small", small[finalists[0], 0]))
}
print(f"zeroed and rebuilt networks: the outputs differ by {gap:.0e} at most")
for name, (parameters, macs) in sizes_of.items():
    print(f"{name}: {parameters:,} parameters, {macs:,} MACs")

fig, axes = plt.subplots(1, 2, figsize=(12, 4.2))
for ax in axes:
    for values, colour, name in ((reached, "vermilion", "no fine-tuning"), (after, "blue", "fine-tuned for 47 steps")):
        table = 100 * np.array([values[finalist] for finalist in finalists])
        ax.errorbar(
            np.arange(len(finalists)) + (0.08 if colour == "blue" else -0.08),
            table.mean(1),
            table.std(1, ddof=1),
            fmt=MARKERS[list(COLOURS).index(colour)],
            color=COLOURS[colour],
            capsize=4,
            label=name,
        )
    ax.axhline(100 * np.mean(dense), color="grey", linestyle=":", label="not pruned")
    ax.set_xticks(range(len(finalists)), [name.replace(", ", ",\n").replace("in the", "in\nthe") for name in finalists])
    label_axes(ax, x="small network", x_unit="how it was made", y="validation accuracy", y_unit="%")
axes[0].legend(loc="lower left")
axes[1].set(ylim=(83.5, 91), ylabel="", title="the upper end, enlarged")
show(
    fig,
    alt="Accuracy of five small networks before and after a short fine-tuning, whole and enlarged. Before it, the one with old weights is far "
    "below the rebuilt ones; after it, it is still the lowest. The rebuilt ones hardly change.",
)
print(f"test accuracy, not pruned: {in_percent(test_dense)}")
for name in finalists:
    print(
        f"{name:18} validation {in_percent(reached[name])} → {in_percent(after[name])}   test {in_percent(test_before[name])} → {in_percent(test_after[name])}"
    )

# %% [markdown]
# **What we saw.** The small network has less than half of the parameters and about a quarter of the MACs. Why a
# quarter? A layer between two pruned ones loses half of its inputs *and* half of its outputs.
#
# Fine-tuning repairs the old weights by tens of points, and does nearly nothing for the rebuilt ones. After it, the
# network with old weights is still the last. So a formula, on 2,000 samples without labels, did more than these 47
# steps of training with labels. (A longer fine-tuning would go further, for all of them.) Between the rebuilt networks
# the order of the error can still be seen, greedy first, but the gaps are near the spread. The test images agree.
#
# Can the layer's output choose for us? It can. But what it does best is not to choose: it tells the channels that are
# left how to take over.

# %% [markdown] tags=["question"]
# ### Written question
#
# Answer in about twelve lines, with your own plots as evidence. (a) A paper cuts half of a layer's channels by its new
# rule, rebuilds the weights by least squares, and reports far better accuracy than L1 *without* rebuilding. What has it
# shown, and which one further network would you ask for? (b) Somebody prunes all the layers of a network at the same
# time, each with inputs and targets of the original network. What is wrong, which of your measurements shows it, and in
# which layer is it worst? (c) Your colleague drops the condition $\|W_c\| = 1$, fits $W$ to the inputs *multiplied by
# β*, and alternates for many rounds at one fixed λ. What will happen to β, to $W$ and to the number of channels?

# %% [markdown] tags=["written"] points=3 grade_id="who_chose"
# **Model answer.** (a) It has shown that rebuilding helps, which it does for any choice: in the histogram of all
# choices the rebuilt ones lie about a factor of ten below the old ones, and random channels, rebuilt, beat every rule
# without rebuilding. The network to ask for: L1 (or random) channels *with* the same rebuilding, on the same samples.
#
# (b) Each layer is fitted to inputs that it will not be given: the layers before it are pruned too, so their outputs
# have changed, and no layer repairs what the others lost. The errors grow from layer to layer, and the version "inputs
# of the original" shows it: in `conv2`, which has nothing pruned before it, it is equal to the paper's; after it it is
# above it.
#
# (c) The penalty looks at β only. Fitted to the inputs times β, least squares makes the product of β and $W$ right,
# so size moves from β to $W$: the Lasso shrinks β, the rebuilding makes up for it in $W$, the contributions grow, and
# at the same λ the penalty loses its weight. So λ stops removing channels: fewer or none leave, and the objective has
# no minimum. The right panel of the figure on the path shows it for one change of scale.
#
# **Points.** 1 for each part: (a) rebuilding is the cause, and the missing control; (b) the wrong inputs, with the
# numbers of a later layer; (c) that size moves from β to $W$, and that λ loses its meaning.

# %% tags=["record"]
# For the course's makers: where LABKIT_RECORD names a folder, write what the lecture note quotes into it.
import json
import os
from pathlib import Path


def summary(values):
    """Mean and standard deviation over the seeds, and the single values, as fractions."""
    values = [round(float(value), 6) for value in values]
    return {"mean": round(float(np.mean(values)), 6), "sd": round(float(np.std(values, ddof=1)), 6), "seeds": values}


def key_of(text):
    """A name as a key: no blanks, no commas."""
    return text.replace(", ", "_").replace(" ", "_")


if folder := os.environ.get("LABKIT_RECORD"):
    record = {
        "made_by": "in labs/: LABKIT_RECORD=../data/results python source/lab08_regression.py",
        "unit": "accuracies, errors (part of the output's squares that is lost) and shares are fractions; sd over seeds (n - 1)",
        "samples": {
            "least_squares": SAMPLES,
            "choice": FEW,
            "validation_images": len(images),
            "test_images": len(test_images),
        },
        "dense": summary(dense),
        "overlap": {
            layer: summary([outside_the_diagonal(overlap(tasks[seed, layer])).abs().mean().item() for seed in SEEDS])
            for layer in LAYERS
        },
        "scale": {
            key_of(name): {
                f"{scale:g}".replace(".", "_"): summary(np.array(column) / 16)
                for scale, column in zip(scales, np.array(counts).T)
            }
            for name, counts in left_over.items()
        },
        "all_choices": {
            "number": len(every),
            "median": {way: summary(values) for way, values in typical.items()},
            "best_of_the_first_network": best,
            "marks": {
                key_of(rule): {
                    way: summary([marks[seed, rule][i] for seed in SEEDS]) for i, way in enumerate(("old", "rebuilt"))
                }
                for rule in rules
            },
            "beats": {key_of(rule): summary(beats[rule]) for rule in rules},
        },
        "layers": {
            layer: {
                key_of(ratio): {
                    key_of(rule): {
                        key_of(way): {"error": summary(lost[layer, ratio, rule, way])}
                        | ({"accuracy": summary(scores[layer, ratio, rule, way])} if rule in four else {})
                        for way in ways
                    }
                    for rule in rules
                }
                for ratio in ratios
            }
            for layer in LAYERS
        },
        "mean_over_layers_half": {
            key_of(rule): {
                key_of(way): summary(np.mean([scores[layer, "half", rule, way] for layer in LAYERS], axis=0)) for way in ways
            }
            for rule in four
        },
        "norm_against_no_norm": {
            "mean": float(np.mean(ratio_of_norm)),
            "least": min(ratio_of_norm),
            "most": max(ratio_of_norm),
        },
        "samples_needed": {
            layer: {
                str(size): {"seen": summary(np.array(seen[layer])[:, i]), "unseen": summary(np.array(unseen[layer])[:, i])}
                for i, size in enumerate(sizes)
            }
            for layer in LAYERS
        },
        "in_turn": {
            layer: {key_of(name): summary(in_turn[layer, name]) for name in ("L1", "once", "four rounds", "greedy")}
            for layer in LAYERS
        },
        "order": {
            key_of(name): {"accuracy": summary(reached[name])}
            | {layer: summary(column) for layer, column in zip(LAYERS, np.array(chain[name]).T)}
            for name in versions
        },
        "small": {
            "parameters": {name: parameters for name, (parameters, _) in sizes_of.items()},
            "macs": {name: macs for name, (_, macs) in sizes_of.items()},
            "part_of_parameters": sizes_of["small"][0] / sizes_of["whole"][0],
            "part_of_macs": sizes_of["small"][1] / sizes_of["whole"][1],
            "finetuned": {key_of(name): summary(after[name]) for name in finalists},
        },
        "test": {
            "dense": summary(test_dense),
            "before": {key_of(name): summary(test_before[name]) for name in finalists},
            "after": {key_of(name): summary(test_after[name]) for name in finalists},
        },
    }
    Path(folder, "lab08_regression.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

# %% [markdown]
# ## What to take with you
#
# - **A layer's output is a sum over its input channels.** Pruning a channel takes one term away, and others can take
#   over a part of it.
# - **Least squares is most of the gain.** Rebuild the weights whatever chose the channels, and compare rules only when
#   all of them are rebuilt.
# - **The Lasso selects**, since its penalty has a corner at zero. Say what stands before the square when you quote a λ.
# - **λ needs $\|W_c\| = 1$** as soon as $W$ may change: otherwise size moves from β to $W$ for nothing.
# - **Layer after layer**: inputs from the pruned network, targets from the original one. Then each layer repairs what
#   those before it lost.
# - It needs no label. A few hundred images are enough for a convolution, which gives several samples of each; `fc1`
#   gives one, and needs one or two thousand.
#
# Lab 5 puts the same idea on single weights (OBS: remove a weight and let the rest make up for it). In
# language models SparseGPT (Frantar and Alistarh, 2023) rebuilds each layer's output in the same way.
#
# **Read next.** He et al. (2017), section 3. Luo et al. (2017), section 3.2, for ThiNet's greedy choice. The lecture
# note of this lab (`lecture_notes/lab08_regression.md` in the course's repository) works small examples by hand.
