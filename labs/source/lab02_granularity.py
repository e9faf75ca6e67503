# %% [markdown] tags=["lab"] question="How fine may we cut, and what does it cost?" minutes=100 prerequisite="lab01_sparsity_and_cost"
# # Lab 2 · Granularity
#
# **The question: how fine may we cut, and what does it cost?**
#
# The weight of a convolution has four dimensions, `[out, in, kh, kw]`: outputs, inputs, kernel rows, kernel columns.
# We may remove its entries one by one, or only in whole groups: a row of a kernel, a kernel, a filter. The size of
# the group is the *granularity*. Fine cuts leave the network more freedom. Coarse cuts need fewer stored positions.
#
# | you build | it answers |
# |---|---|
# | `fine_grained_mask`, `nm_mask` | Which single weights go, freely or in a fixed pattern? |
# | `vector_mask`, `kernel_mask`, `filter_mask`, `channel_mask` | Which groups go as a whole? |
# | `index_bits` | How many bits does it take to say which weights are left? |
#
# **Before you begin.** You have done Lab 1 (sparsity and cost). The lecture note of this lab
# (`lecture_notes/lab02_granularity.md` in the course's repository) teaches the ideas first.
#
# **How long it takes.** The experiments together run for about a minute on a quiet laptop with two cores, and for several
# minutes on a busy one. Every experiment of more than two seconds shows its progress in a bar.
#
# **Papers.** Mao et al. (2017), [arXiv:1705.08922](https://arxiv.org/abs/1705.08922): accuracy and storage against
# granularity, the comparison that you repeat here. Mishra et al. (2021),
# [arXiv:2104.08378](https://arxiv.org/abs/2104.08378): the pattern 2:4, which GPUs can use. Li et al. (2016),
# [arXiv:1608.08710](https://arxiv.org/abs/1608.08710): whole filters.
#
# **The words.** A *mask* is boolean, and `True` means keep. *Sparsity* is the fraction removed. A higher *score*
# means keep. *N:M* means that at most N of every M consecutive weights are **nonzero**. *Fine-tuning* is a short training
# after the cut, in which removed weights stay zero. Here it is given to you; Lab 4 builds it.
#
# **How it is graded.** Each exercise has a visible check, which you can run as often as you like, and hidden checks,
# which run when the work is graded. Cells marked as experiment are *not* run then. So if an exercise needs a helper
# function of yours, write it in the exercise cell or in a new cell of your own, not in an experiment cell.
# No exercise needs your answer to another one. You may call it all the same; a mistake in it then costs in both.

# %% tags=["setup"]
import copy
import math
from collections.abc import Callable
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from labkit.checkpoints import SEEDS, load_checkpoint
from labkit.datasets import load_fashion_mnist
from labkit.grids import draw_kernels
from labkit.plots import COLOURS, MARKERS, curve, label_axes, show, use_style
from labkit.training import accuracy, train

use_style()

# %% [markdown]
# ## What the experiments use
#
# The course's CNN in three copies, which differ in their start and in the order of their training images (three
# *seeds*). We prune its second and third convolution, each to the same sparsity. The first convolution (144 weights)
# and the linear layers stay whole: kernels and filters are words for convolutions only.
#
# All figures use validation images. The test images are read once, at the end.

# %% tags=["experiment"]
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
images, labels = (tensor.to(device) for tensor in load_fashion_mnist("validation"))
networks = [load_checkpoint("cnn", seed).to(device) for seed in SEEDS]
LAYERS = ("conv2", "conv3")


def weights_of(model):
    """{layer name: its weight, the parameter itself}, of the two convolutions that we prune."""
    return {name: getattr(model, name).weight for name in LAYERS}


@torch.no_grad()
def remove(model, step=None, *, masks):
    """Set the removed weights of a model to zero, in place (`step` is what `train` adds to its calls)."""
    for name, weight in weights_of(model).items():
        weight.mul_(masks[name])


def pruned(model, masks):
    """A copy of the model in which the removed weights are zero."""
    model = copy.deepcopy(model)
    remove(model, masks=masks)
    return model


def measured(model, images, labels):
    """Accuracy. The copy stores its channels last, which changes no value and is faster on a CPU."""
    return accuracy(copy.deepcopy(model).to(memory_format=torch.channels_last), images, labels)


def validate(model):
    """Accuracy on the 2,000 validation images."""
    return measured(model, images, labels)


def in_percent(values):
    """Mean and standard deviation over the seeds, as text."""
    return f"{100 * np.mean(values):5.1f} ± {100 * np.std(values, ddof=1):4.1f} %"


dense = [validate(model) for model in networks]
print(f"validation accuracy before any pruning: {in_percent(dense)}")
for name, weight in weights_of(networks[0]).items():
    print(f"    {name} {list(weight.shape)}: {weight.numel():,} weights")

# %% [markdown]
# ## Part 1 · Single weights
#
# ### Exercise fine_grained_mask
#
# The finest cut: every weight stands for itself. Let $n$ be the number of weights and $s$ the sparsity. Sort the
# magnitudes $|w_i|$ of the whole tensor, and remove the first
#
# $$k = \operatorname{round}(s \cdot n)$$
#
# of them. Here $s$ is `sparsity`, $n$ is `weight.numel()`, and $k$ is the number of `False` entries.
#
# *By hand.* $w = (2,\ -2,\ 1,\ 5)$ and $s = 0.5$: $k = 2$. The smallest magnitude is $1$. Then two are tied at
# $2$, and only one may go: the one that comes first. The mask is (False, True, False, True). Python rounds a half to the
# even number: `round(2.5)` is 2 and `round(3.5)` is 4.
#
# <details><summary>Hint</summary>
#
# `argsort` gives positions in the order of their values; read what its argument `stable` promises about ties. Work on
# the flattened tensor, and give the mask the shape of `weight` at the end.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab02_granularity import fine_grained_mask

# %% tags=["visible-check"]
weight = torch.tensor([[3.0, -1.0], [2.0, -4.0]])
result = fine_grained_mask(weight, 0.25)
assert isinstance(result, torch.Tensor), (
    f"You returned {result!r}: return a tensor, the mask. (None? Then did you forget `return`?)"
)
assert result.dtype == torch.bool, (
    f"You returned a {result.dtype} tensor: return booleans (True = keep), not numbers and not the pruned weights."
)
assert result.shape == weight.shape, (
    f"Your mask has shape {list(result.shape)} and the weight {list(weight.shape)}: reshape the mask at the end."
)
assert result.tolist() == [[True, False], [True, True]], (
    f"You returned {result.tolist()}. The magnitudes are 3, 1, 2, 4, and a quarter of the four goes: the 1.\n"
    "Is -4 removed? Then its sign still counts, or the largest went first.\n"
    "Is the 2 removed? Then argsort's positions were taken for ranks.\n"
    "Is a whole row removed, or all four, or none? Then each row was ranked on its own (flatten first), or sparsity was "
    "taken for a threshold.\n"
    "Is -1 the only one kept? Then the mask is the other way round: True means keep.\n"
    "Is -4 the only one kept? Then sparsity was taken for the fraction to keep."
)
assert weight.tolist() == [[3.0, -1.0], [2.0, -4.0]], (
    f"Your function changed its input: the weight is now {weight.tolist()}. Only return a mask."
)
result = fine_grained_mask(torch.tensor([2.0, -2.0, 1.0, 5.0]), 0.5)
assert result.tolist() == [False, True, False, True], (
    f"For the weights 2, -2, 1, 5 and the sparsity 0.5 you returned {result.tolist()}: two go, the 1 and, of the two "
    "that are tied, the first.\n"
    "Are three removed, or one? Then you cut at a threshold (a quantile, the k-th value), which cannot divide ties.\n"
    "Is -2 removed and 2 kept? Then the last of the tied ones went first."
)
assert fine_grained_mask(torch.ones(64), 0.5).tolist() == [False] * 32 + [True] * 32, (
    "Of 64 equal weights the first 32 go. Is it right for two ties and wrong for 64? Then the sorting is not stable."
)
print("fine_grained_mask: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Exercise nm_mask
#
# A fine-grained mask is irregular: one row may keep many weights, the next one none. A pattern takes this freedom away.
# Cut the inputs into groups of M, and keep exactly N weights in each group, the largest magnitudes. The sparsity follows:
#
# $$s = 1 - \frac{N}{M}.$$
#
# Here N is `n` and M is `m`. A group has one output, one kernel row and one kernel column; its members are M consecutive
# *inputs*: 0 to M−1, then M to 2M−1, and so on. An output adds up over its inputs, so every such sum has the same number
# of products. This regularity is what a GPU with 2:4 support uses.
#
# *By hand.* One output, eight inputs, $w = (4,\ -3,\ 2,\ 1,\ 0,\ 5,\ -6,\ 7)$. With 2:4 the groups are $(4, -3, 2, 1)$ and
# $(0, 5, -6, 7)$; kept are $4, -3$ and $-6, 7$. With 1:4 only $4$ and $7$ stay. Fine-grained at $s = 0.5$ would keep
# $4, 5, -6, 7$: three of them in one group.
#
# A warning about the words. Some lecture notes say that N of M weights are *pruned*. In the papers and in the
# hardware N counts the weights that *stay*. For 2:4 both readings agree, and so the mistake is not seen.
#
# <details><summary>Hint</summary>
#
# `Tensor.unflatten(1, …)` cuts dimension 1 into two, [in / m, m], without moving a weight, and `flatten` with a start
# and an end puts them together again. `argsort` along the new dimension gives positions within each group;
# `scatter_` along the same dimension writes at such positions.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=20
from solutions.lab02_granularity import nm_mask

# %% tags=["visible-check"]
weight = torch.tensor([[4.0, -3.0, 2.0, 1.0, 0.0, 5.0, -6.0, 7.0]])
for n, expected in ((2, [1, 1, 0, 0, 0, 0, 1, 1]), (1, [1, 0, 0, 0, 0, 0, 0, 1])):
    result = nm_mask(weight, n, 4)
    assert isinstance(result, torch.Tensor) and result.dtype == torch.bool, (
        f"You returned {result!r}: return a tensor of booleans, the mask. (None? Then did you forget `return`?)"
    )
    assert result.shape == weight.shape, (
        f"Your mask has shape {list(result.shape)} and the weight {list(weight.shape)}: put the groups together again."
    )
    assert result.int().tolist() == [expected], (
        f"For {n}:4 you returned {result.int().tolist()} (1 = True), and {[expected]} is right. The groups are "
        "(4, -3, 2, 1) and (0, 5, -6, 7).\n"
        "Is it right for 2:4 and wrong for 1:4? Then n weights of each group go, in place of n that stay.\n"
        "Is -3 or -6 missing? Then its sign still counts.\n"
        "Is each 1 a 0, and each 0 a 1? Then the mask is the other way round: True means keep.\n"
        "Do 5, -6 and 7 all stay? Then the weights were ranked without their groups."
    )
convolution = weight.reshape(1, 8, 1, 1).repeat(1, 1, 1, 2)  # a convolution with two kernel columns, both the same
result = nm_mask(convolution, 2, 4)
assert result.shape == (1, 8, 1, 2) and result[0, :, 0, 0].int().tolist() == [1, 1, 0, 0, 0, 0, 1, 1], (
    f"For a convolution whose two kernel columns hold the same eight weights you returned {result.int().tolist()}. "
    "A group lies along the inputs, dimension 1: kernel row and column are fixed in it."
)
assert nm_mask(torch.ones(1, 4), 1, 4).tolist() == [[False, False, False, True]], (
    "Four equal weights, 1:4: exactly one stays, and of equal magnitudes the lower input goes first."
)
assert nm_mask(torch.ones(1, 64), 32, 64).int().tolist() == [[0] * 32 + [1] * 32], (
    "Of 64 equal weights, 32:64, the first 32 go. Is it right for four ties and wrong for 64? Then the sorting is not stable."
)
try:
    result = nm_mask(torch.ones(2, 6), 2, 4)
except ValueError:
    pass
else:
    raise AssertionError(f"Groups of 4 do not divide 6 inputs: raise ValueError. You returned {result!r}.")
print("nm_mask: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: what does "1:4" mean?
#
# Both readings, on the trained networks. The first keeps 1 of 4 (the papers, and your function); the second removes
# 1 of 4, which your function calls 3:4.

# %% tags=["experiment"]
readings = {"1 of 4 is nonzero": 1, "1 of 4 is pruned": 3}
reading_share, reading_accuracy = {}, {}
for reading, n in readings.items():
    masks = [{name: nm_mask(weight, n, 4) for name, weight in weights_of(model).items()} for model in networks]
    kept = sum(int(mask.sum()) for mask in masks[0].values()) / sum(mask.numel() for mask in masks[0].values())
    reading_share[reading] = kept
    reading_accuracy[reading] = [validate(pruned(model, each)) for model, each in zip(networks, masks)]
    print(f"{reading}: {100 * kept:.0f} % of the weights stay, accuracy {in_percent(reading_accuracy[reading])}")

# %% [markdown]
# **What we saw.** The same two characters describe two different networks: one keeps a third as many weights as
# the other. A paper that reports "1:4 without loss" claims much more in the first reading.
# So whenever you meet N:M, find out what N counts.
#
# ## Part 2 · Whole groups
#
# From here on weights stand or fall together. Let $w_g$ be the weights of group $g$. Its score is its L1 norm,
#
# $$S_g = \sum_{w \in g} |w|,$$
#
# as in Mao et al. (2017), and the groups with the lowest scores go. The four granularities differ only in what a group is:
#
# | granularity | one group | scores | weights in a group |
# |---|---|---|---|
# | vector | `weight[o, i, y, :]`, a row of a kernel | [out, in, kh] | kw |
# | kernel | `weight[o, i]` | [out, in] | kh · kw |
# | filter | `weight[o]`, all that makes one output | [out] | in · kh · kw |
# | channel | `weight[:, i]`, all that reads one input | [in] | out · kh · kw |
#
# You do not rank again: the rule is an argument, `prune`, and decides which groups go. It takes scores and a sparsity
# and returns booleans in the shape of the scores. In the experiments it is `fine_grained_mask`. (The magnitude of a score
# is the score itself.) In the checks it may be any rule: call it, and do not build your own ranking in.
#
# ### Exercise vector_mask
#
# Score the vectors, ask the rule, and give each weight the answer of its vector:
#
# $$S_{oiy} = \sum_x |w_{oiyx}|, \qquad m_{oiyx} = \text{prune}(S, s)_{oiy}.$$
#
# Here $o, i, y, x$ are the four dimensions of `weight`, $S$ has shape [out, in, kh], $s$ is `sparsity`, and $m$ is
# the mask that you return.
#
# *By hand.* One kernel with the rows $(1, -5)$, $(2, 2)$, $(0, 3)$. The scores are $6, 4, 3$. If the rule removes the lowest third, the
# last row, with the $3$ in it, although single weights that stay are smaller.
#
# <details><summary>Hint</summary>
#
# A sum over one dimension takes it away. Indexing with `None` puts a dimension of size 1 in its place, and `expand`
# stretches it to the shape of the weight.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab02_granularity import vector_mask

# %% tags=["visible-check"]
def at_least_five(scores, sparsity):
    """A rule for `prune`, not a ranking: keep the scores from 5 up. It notes what it was called with."""
    calls.append((list(scores.shape), scores.tolist(), sparsity))
    return scores >= 5


calls = []
weight = torch.tensor([[[[1.0, -5.0], [2.0, 2.0], [0.0, 3.0]], [[4.0, 4.0], [-1.0, 0.0], [5.0, 0.0]]]])  # 1, 2, 3, 2
result = vector_mask(weight, 0.5, at_least_five)
assert isinstance(result, torch.Tensor) and result.dtype == torch.bool, (
    f"You returned {result!r}: return a tensor of booleans, the mask. (None? Then did you forget `return`?)"
)
assert calls == [([1, 2, 3], [[[6.0, 4.0, 3.0], [8.0, 1.0, 5.0]]], 0.5)], (
    f"The rule was called with these shapes, scores and sparsities: {calls}. Call it once, on the sums of the magnitudes "
    "of the six kernel rows, shape [1, 2, 3], 6, 4, 3 and 8, 1, 5, and with the sparsity as it is."
)
assert result.shape == weight.shape, (
    f"Your mask has shape {list(result.shape)} and the weight {list(weight.shape)}: every weight needs an entry."
)
assert result.int().tolist() == [[[[1, 1], [0, 0], [0, 0]], [[1, 1], [0, 0], [1, 1]]]], (
    f"You returned {result.int().tolist()} (1 = True). The rule keeps the rows with the scores 6, 8 and 5, and both weights "
    "of a row share its answer."
)
assert weight[0, 0, 0].tolist() == [1.0, -5.0], "Your function changed its input. Only return a mask."
print("vector_mask: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Exercise kernel_mask
#
# The next size: a whole kernel, the kh · kw weights between one input and one output.
#
# $$S_{oi} = \sum_{y, x} |w_{oiyx}|, \qquad m_{oiyx} = \text{prune}(S, s)_{oi}.$$
#
# The symbols are those of the vectors; $S$ has shape [out, in].
#
# *By hand.* The kernel $\begin{pmatrix} 1 & -5 \\ 2 & 2 \end{pmatrix}$ scores 10, and
# $\begin{pmatrix} 4 & 4 \\ -1 & 0 \end{pmatrix}$ scores 9. If one of the two goes, it is the second, with both fours.
#
# <details><summary>Hint</summary>
#
# `sum` takes a tuple of dimensions.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=5
from solutions.lab02_granularity import kernel_mask

# %% tags=["visible-check"]
def at_least_ten(scores, sparsity):
    """A rule for `prune`, not a ranking: keep the scores from 10 up. It notes what it was called with."""
    calls.append((list(scores.shape), scores.tolist(), sparsity))
    return scores >= 10


calls = []
weight = torch.tensor([[[[1.0, -5.0], [2.0, 2.0]], [[4.0, 4.0], [-1.0, 0.0]], [[0.0, -9.0], [1.0, 1.0]]]])  # 1, 3, 2, 2
result = kernel_mask(weight, 0.5, at_least_ten)
assert isinstance(result, torch.Tensor) and result.dtype == torch.bool, (
    f"You returned {result!r}: return a tensor of booleans, the mask. (None? Then did you forget `return`?)"
)
assert calls == [([1, 3], [[10.0, 9.0, 11.0]], 0.5)], (
    f"The rule was called with these shapes, scores and sparsities: {calls}. Call it once, on the sums of the magnitudes "
    "of the three kernels, shape [1, 3], 10, 9 and 11, and with the sparsity as it is."
)
assert result.shape == weight.shape and result.int().tolist() == [[[[1, 1], [1, 1]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]]], (
    f"You returned {result.int().tolist()} (1 = True), shape {list(result.shape)}. The mask has the shape of the weight, "
    "and the rule keeps the first and the third kernel, with all their weights."
)
print("kernel_mask: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Exercise filter_mask
#
# A filter is all that makes one output: `weight[o]`, from every input. Without it the layer has one output less.
#
# $$S_{o} = \sum_{i, y, x} |w_{oiyx}|, \qquad m_{oiyx} = \text{prune}(S, s)_{o}.$$
#
# The symbols are those of the vectors; $S$ has shape [out].
#
# *By hand.* Two filters with two inputs each and 1×1 kernels, $(3, -3)$ and $(5, 0)$: the scores are 6 and 5, and the
# second filter goes first, with the largest weight of the layer.
#
# <details><summary>Hint</summary>
#
# Three of the four dimensions are summed. Which one is left?
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=4
from solutions.lab02_granularity import filter_mask

# %% tags=["visible-check"]
def at_least_six(scores, sparsity):
    """A rule for `prune`, not a ranking: keep the scores from 6 up. It notes what it was called with."""
    calls.append((list(scores.shape), scores.tolist(), sparsity))
    return scores >= 6


calls = []
weight = torch.tensor([[3.0, -3.0], [5.0, 0.0], [-6.0, 1.0]]).reshape(3, 2, 1, 1)
result = filter_mask(weight, 0.5, at_least_six)
assert isinstance(result, torch.Tensor) and result.dtype == torch.bool, (
    f"You returned {result!r}: return a tensor of booleans, the mask. (None? Then did you forget `return`?)"
)
assert calls == [([3], [6.0, 5.0, 7.0], 0.5)], (
    f"The rule was called with these shapes, scores and sparsities: {calls}. Call it once, on the sums of the magnitudes "
    "of the three filters, shape [3], 6, 5 and 7, and with the sparsity as it is. Are there two scores? Those are the inputs."
)
assert result.shape == weight.shape and result.flatten(1).int().tolist() == [[1, 1], [0, 0], [1, 1]], (
    f"You returned {result.int().tolist()} (1 = True), shape {list(result.shape)}. The mask has the shape of the weight, "
    "and the rule keeps the first and the third filter, with all their weights."
)
print("filter_mask: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Exercise channel_mask
#
# A channel is all that reads one input: `weight[:, i]`, for every output. Without it the layer no longer looks at that
# input.
#
# $$S_{i} = \sum_{o, y, x} |w_{oiyx}|, \qquad m_{oiyx} = \text{prune}(S, s)_{i}.$$
#
# The symbols are those of the vectors; $S$ has shape [in]. Filters and channels are two sides of one thing: if a layer
# loses filter $j$, the next layer's input $j$ has nothing to say, and if a layer no longer reads input $j$, the layer
# before need not compute it.
#
# *By hand.* The same weight as before, filters $(3, -3)$ and $(5, 0)$: the channels are $(3, 5)$ and $(-3, 0)$, the scores
# 8 and 3.
#
# <details><summary>Hint</summary>
#
# It is `filter_mask` with the first two dimensions exchanged, in the sum and where the answer is stretched.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=4
from solutions.lab02_granularity import channel_mask

# %% tags=["visible-check"]
def at_least_six(scores, sparsity):
    """A rule for `prune`, not a ranking: keep the scores from 6 up. It notes what it was called with."""
    calls.append((list(scores.shape), scores.tolist(), sparsity))
    return scores >= 6


calls = []
weight = torch.tensor([[3.0, -3.0], [5.0, 0.0], [-6.0, 1.0]]).reshape(3, 2, 1, 1)
result = channel_mask(weight, 0.5, at_least_six)
assert isinstance(result, torch.Tensor) and result.dtype == torch.bool, (
    f"You returned {result!r}: return a tensor of booleans, the mask. (None? Then did you forget `return`?)"
)
assert calls == [([2], [14.0, 4.0], 0.5)], (
    f"The rule was called with these shapes, scores and sparsities: {calls}. Call it once, on the sums of the magnitudes "
    "of the two channels, shape [2], 14 and 4, and with the sparsity as it is. Are there three scores? Those are the filters."
)
assert result.shape == weight.shape and result.flatten(1).int().tolist() == [[1, 0], [1, 0], [1, 0]], (
    f"You returned {result.int().tolist()} (1 = True), shape {list(result.shape)}. The mask has the shape of the weight, "
    "and the rule keeps the first channel, in every filter, and not the second."
)
print("channel_mask: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Experiment: seven ways to cut
#
# Your masks, drawn. Each little square is a weight, each block of 3×3 is a kernel; a row of blocks is a filter, a column
# is a channel. The weight is the corner of a trained convolution: 6 outputs, 8 inputs. Everything at a sparsity of
# 50%; only the layer, the coarsest group, can go as a whole or stay as a whole.

# %% tags=["experiment"]
patterns = {0.5: (2, 4), 0.75: (1, 4), 0.875: (1, 8)}  # sparsity: its N:M
granularities = {  # name: the mask of a weight at a sparsity
    "fine": fine_grained_mask,
    "N:M": lambda weight, sparsity: nm_mask(weight, *patterns[sparsity]),
    "vector": partial(vector_mask, prune=fine_grained_mask),
    "kernel": partial(kernel_mask, prune=fine_grained_mask),
    "filter": partial(filter_mask, prune=fine_grained_mask),
    "channel": partial(channel_mask, prune=fine_grained_mask),
}
COLOUR = dict(zip(granularities, ("blue", "sky", "green", "orange", "vermilion", "purple")))

corner = networks[0].conv2.weight[:6, :8].detach()
pictures = {name: make(corner, 0.5) for name, make in granularities.items()}
pictures["layer"] = torch.zeros(corner.shape, dtype=torch.bool)
fig, axes = plt.subplots(2, 4, figsize=(12, 5.4))
fig.get_layout_engine().set(wspace=0.06)
draw_kernels(axes[0, 0], corner, title="the magnitudes")
for ax, (name, mask) in zip(axes.flat[1:], pictures.items()):
    title = {"N:M": "N:M (2:4)", "layer": "layer (removed)"}.get(name, name)
    draw_kernels(ax, mask, title=title, colour=COLOUR.get(name, "black"))
for ax in axes.flat:
    ax.label_outer()
show(fig, alt="Eight grids of 6 by 8 kernels of 3 by 3 weights. The first shows the magnitudes. The others show the masks "
     "of seven granularities: scattered single weights, an even 2:4 pattern, rows of kernels, whole kernels, whole "
     "rows of the grid (filters), whole columns (channels), and the layer, all of it gone.")

# %% [markdown]
# **What we saw.** Half of the weights is gone in six of the seven pictures. What differs is how much it takes to
# describe what is left: a list of places for the first, six yes-or-no answers for the filters. Look at N:M: it is nearly as
# scattered as the fine mask, but every group of four neighbouring columns (inputs), at the same place of their kernels,
# holds exactly two.
#
# ### Experiment: what does a missing filter say?
#
# A filter whose weights are all zero gives zero. But a BatchNorm stands behind it, and BatchNorm makes
# something of zero:
#
# $$\gamma\,\frac{0 - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta.$$
#
# This is a constant, the same for every image. If it is above zero, the ReLU lets it through. So a "removed" filter
# still sends a constant to the next layer. Two remedies are possible: silence it, $\gamma = \beta = 0$, or keep it as a
# bias of the next layer (Lab 6 does this). Which network is better, before any fine-tuning? And what is left of a
# network that loses a whole layer?

# %% tags=["experiment"]
@torch.no_grad()
def silence(model, masks):
    """Set gamma and beta of BatchNorm to zero, in place, for every filter that keeps no weight."""
    for name, mask in masks.items():
        norm = getattr(model, name.replace("conv", "bn"))
        gone = ~mask.flatten(1).any(dim=1)  # out
        norm.weight[gone] = 0
        norm.bias[gone] = 0


def masks_for(model, granularity, sparsity):
    """{layer name: mask} of the two convolutions."""
    return {name: granularities[granularity](weight, sparsity) for name, weight in weights_of(model).items()}


constant_accuracy = {}  # (sparsity, what is done with the constant): [seeds]
for sparsity in (0.5, 0.75):
    constant_accuracy[sparsity, "kept"], constant_accuracy[sparsity, "silenced"] = [], []
    for model in networks:
        masks = masks_for(model, "filter", sparsity)
        small = pruned(model, masks)
        constant_accuracy[sparsity, "kept"].append(validate(small))
        silence(small, masks)
        constant_accuracy[sparsity, "silenced"].append(validate(small))
    for what in ("kept", "silenced"):
        values = constant_accuracy[sparsity, what]
        print(f"filters, {100 * sparsity:.0f} % removed, constants {what:9}: {in_percent(values)}   each seed: "
              + ", ".join(f"{100 * value:.1f}" for value in values))

layer_accuracy = []
for model in networks:
    masks = {"conv2": torch.ones_like(model.conv2.weight, dtype=torch.bool),
             "conv3": torch.zeros_like(model.conv3.weight, dtype=torch.bool)}
    layer_accuracy.append(validate(pruned(model, masks)))
print(f"layer conv3 removed: {in_percent(layer_accuracy)}")

# %% [markdown]
# **What we saw.** Compare the two lines of each sparsity, seed by seed. The masks are the same. Only a handful of
# constants differ, and for most of the seeds they decide over many points of accuracy. Here silence is the better
# choice. The constant is what the filter would say to an empty image, everywhere: that is not what it said on average,
# and the later layers have never seen it. So somebody who "removes filters" and does not say what becomes of the
# BatchNorm has not said what was measured.
#
# **What we do from here on:** a filter that keeps no weight is silenced, whatever the granularity, and stays silent in the
# fine-tuning. This is the network that one gets when the filter is really taken out of the model.
#
# The layer is simple: the accuracy is that of guessing. All that the later layers receive is constants, and no fine-tuning
# can help. Layers can be removed where a bypass leads around them, as in residual networks (Wen et al. 2016).
#
# ## Part 3 · What does it cost?
#
# ### Experiment: the accuracy right after the cut
#
# Six granularities at equal sparsity, no training. Guess first: in which order will the curves lie?

# %% tags=["experiment"]
def cut(model, masks):
    """A copy of the model with the removed weights zero and filters that keep nothing silenced."""
    small = pruned(model, masks)
    silence(small, masks)
    return small


sparsities = [0.5, 0.75, 0.875]
before = {name: [] for name in granularities}  # name: [seeds, sparsities]
for name, model in tqdm([(name, model) for name in granularities for model in networks], desc="cuts"):
    before[name].append([validate(cut(model, masks_for(model, name, sparsity))) for sparsity in sparsities])

fig, ax = plt.subplots()
for name, values in before.items():
    curve(ax, 100 * np.array(sparsities), 100 * np.array(values), label=name, colour=COLOUR[name])
ax.axhline(100 * np.mean(dense), color="grey", linestyle=":", label="not pruned")
ax.set_xticks(100 * np.array(sparsities), [f"{100 * sparsity:g}" for sparsity in sparsities])
label_axes(ax, x="sparsity of conv2 and conv3", x_unit="%", y="validation accuracy", y_unit="%")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
show(fig, alt="Accuracy right after pruning against sparsity, for six granularities. Fine lies highest throughout, N:M "
     "and vector follow, and kernels, filters and channels fall earliest, with wide bands.")

# %% [markdown]
# **What we saw.** The curves fan out: the coarser the group, the earlier the fall. This is no accident. Whatever a
# coarse mask keeps, a fine mask could keep too, and the fine mask may choose freely. At the same sparsity it always
# keeps at least as much magnitude. But look at the bands. Among the coarse granularities some overlap, and kernels and
# filters change their order on the way. A network after the cut is broken in a way that depends on luck. The better
# question is what it becomes after a little training.
#
# ### Experiment: and after fine-tuning
#
# The headline: a sparsity of 75%, three seeds, before and after 47 steps of training (64 images each, a quarter of
# a pass over the data; AdamW with a peak learning rate of 0.001 that ends near zero). After each step the masks are
# applied again, so that removed weights stay zero. The same steps for all: nothing was tuned to one granularity.

# %% tags=["experiment"]
train_images, train_labels = load_fashion_mnist("train")


def keep_removed(model, step, *, masks):
    """Called after each step of training: what was removed stays removed."""
    remove(model, masks=masks)
    silence(model, masks)


def fine_tuned(model, masks, seed):
    """A copy of the model, cut, and trained for 47 steps with the removed weights at zero."""
    small = cut(model, masks)
    train(small, train_images, train_labels, lr=1e-3, steps=47, batch_size=64, seed=seed, progress=False,
          after_step=partial(keep_removed, masks=masks))
    return small


headline = {name: [] for name in granularities}  # name: the three fine-tuned networks at 75 %
for name, seed in tqdm([(name, seed) for name in granularities for seed in SEEDS], desc="fine-tuning"):
    headline[name].append(fine_tuned(networks[seed], masks_for(networks[seed], name, 0.75), seed))
after = {name: [validate(model) for model in models] for name, models in headline.items()}

column = sparsities.index(0.75)
fig, (wide, close) = plt.subplots(1, 2, figsize=(12, 4.4))
for place, name in enumerate(granularities):
    colour, marker = COLOURS[COLOUR[name]], MARKERS[list(COLOURS).index(COLOUR[name])]
    cut_only = 100 * np.array([values[column] for values in before[name]])
    tuned_too = 100 * np.array(after[name])
    for ends in zip(cut_only, tuned_too):
        wide.plot([place - 0.15, place + 0.15], ends, color="grey", linewidth=0.8, zorder=1)
    wide.scatter([place - 0.15] * len(SEEDS), cut_only, marker=marker, edgecolors=colour, facecolors="white", zorder=2)
    wide.scatter([place + 0.15] * len(SEEDS), tuned_too, marker=marker, color=colour, zorder=2)
    close.scatter([place] * len(SEEDS), tuned_too, marker=marker, color=colour)
    close.hlines(tuned_too.mean(), place - 0.25, place + 0.25, color=colour)
wide.scatter([], [], edgecolors="black", facecolors="white", label="right after the cut")
wide.scatter([], [], color="black", label="after fine-tuning")
for ax, title in ((wide, "75 % of conv2 and conv3 removed"), (close, "the same, after fine-tuning only")):
    ax.axhline(100 * np.mean(dense), color="grey", linestyle=":", label="not pruned")
    ax.set_xticks(range(len(granularities)), granularities)
    ax.grid(axis="x", visible=False)
    label_axes(ax, x="granularity", x_unit="fine to coarse", y="validation accuracy", y_unit="%", title=title)
wide.legend(loc="lower left")
show(fig, alt="Left: for each of six granularities, the accuracy of three seeds right after the cut and after fine-tuning, joined "
     "by lines. Before, the points scatter widely; after, they lie close together. Right: the accuracy after fine-tuning, "
     "enlarged. It falls in a staircase: fine, then N:M and vector, then kernel, then filter and channel.")

for name, values in after.items():
    print(f"{name:8} right after the cut {in_percent([row[column] for row in before[name]])}   fine-tuned {in_percent(values)}")

# %% [markdown]
# **What we saw.** Fine-tuning brings most of the accuracy back, for every granularity, and it removes most of the luck:
# compare how far the open points and the full points of one granularity lie apart. What is left is a staircase (right
# panel). Fine cuts stay close to the dotted line. N:M and vectors, which tie few weights together, come next; the seeds
# do not say which of the two is better. Kernels follow. Filters and channels pay the most, and again the seeds do not
# tell them apart.
#
# So the answer to the first half of the question: at this sparsity, finer is better. The first part of what Mao et
# al. found holds for our little network. Their claim that coarse cuts reach a similar sparsity *without* loss we see
# for small groups at most, not for filters or channels. But we trained for a few seconds, and the paper's networks are
# far larger.
#
# *Try it:* take the line `silence(model, masks)` out of `keep_removed`, and out of `cut`. Does it still matter, after
# fine-tuning, what was done with the constants?
#
# ### Exercise index_bits
#
# Now the other half: the cost. A dense layer stores its weights in a fixed order, and position says which weight is
# which. Once some are left out, each kept group must say where it belongs. The simplest way: number
# the $G$ groups of the layer from $0$ to $G - 1$, and store the number of each kept group. To tell $G$ groups apart
# takes $\lceil \log_2 G \rceil$ bits, so $K$ kept groups cost
#
# $$K \cdot \lceil \log_2 G \rceil \ \text{bits}.$$
#
# For N:M the groups of M have their fixed order and each keeps the same number, so a kept weight says only its place in
# its group: $\lceil \log_2 M \rceil$ bits. Here $K$ is found in `mask`, $G$ follows from its shape and from
# `granularity`, and $M$ is `m`.
#
# *By hand.* A mask of shape [4, 8, 3, 3]: 288 weights, half of them kept. Fine: $144 \cdot 9 = 1296$ bits, since
# $2^8 < 288 \le 2^9$. 2:4: $144 \cdot 2 = 288$. Vector: 48 of 96 groups, $48 \cdot 7 = 336$. Kernel: 16 of 32,
# $16 \cdot 5 = 80$. Filter: 2 of 4, $2 \cdot 2 = 4$. Channel: 4 of 8, $4 \cdot 3 = 12$. Layer: one group has nothing to
# be told apart from, 0 bits.
#
# The function also looks whether the mask *has* the granularity. A group that is kept in part cannot be stored as a group:
# ValueError.
#
# <details><summary>Hint</summary>
#
# Give the mask two dimensions, [groups, weights in a group], with one `reshape`; for channels exchange two dimensions
# first. Then compare "any of the group" with "all of the group". For the logarithm: `int.bit_length` counts the binary
# digits of a number. Of which number, $G$ or $G - 1$?
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=20
from solutions.lab02_granularity import index_bits

# %% tags=["visible-check"]
mask = torch.zeros(4, 8, 3, 3, dtype=torch.bool)
mask[:2, :] = True  # two of the four filters
costs = {"fine": 144 * 9, "vector": 48 * 7, "kernel": 16 * 5, "filter": 2 * 2}
for granularity, expected in costs.items():
    result = index_bits(mask, granularity)
    assert isinstance(result, int), f"You returned {result!r}: return a whole number, an int."
    assert result == expected, (
        f"Two of four filters are kept, [4, 8, 3, 3]. Stored as {granularity} this takes {expected} bits, and you returned "
        f"{result}. Count the kept groups, not their weights; of G groups each takes the bits of a number from 0 to G - 1, "
        "rounded up: 9 for 288, 7 for 96, 5 for 32, 2 for 4."
    )
mask = torch.zeros(4, 8, 3, 3, dtype=torch.bool)
mask[:, ::2] = True  # every second input: four of the eight channels, and two of every four inputs
for granularity, m, expected in (("channel", None, 4 * 3), ("N:M", 4, 144 * 2)):
    result = index_bits(mask, granularity, m)
    assert result == expected, (
        f"Four of eight channels are kept, [4, 8, 3, 3]. Stored as {granularity}{f' with m = {m}' if m else ''} this takes "
        f"{expected} bits, and you returned {result}."
    )
assert index_bits(torch.ones(4, 8, 3, 3, dtype=torch.bool), "layer") == 0, (
    "A layer as one group: there is nothing to tell it apart from, so 0 bits."
)
for granularity in ("filter", "row"):
    try:
        result = index_bits(mask, granularity)
    except ValueError:
        continue
    raise AssertionError(
        f"index_bits(mask, {granularity!r}) returned {result!r}, and it should raise ValueError: every filter of this mask "
        "is kept in part, and there is no granularity “row”."
    )
print("index_bits: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: accuracy against bytes
#
# Now both halves together. Each fine-tuned network has an accuracy and a size: the kept values of the two layers, and
# their positions. A value takes 32 bits here (float32); the middle panel asks what changes if it took 8, as in the
# storage of quantised networks. (Only the bytes are computed with 8 bits; the accuracy is that of float32.) The right
# panel asks what changes if the positions may be stored in a second way too: as a *bitmask*, one bit for each group of
# the layer, kept or not. Each network takes the cheaper of the two codes.
#
# The first figure shows both halves against sparsity, the second one sets them against each other.
# At 75% the points are three seeds. The other sparsities are run on the first seed only, to save time: read no gap into
# them that is smaller than the spread at 75%.

# %% tags=["experiment"]
def position_bits(masks, granularity, sparsity):
    """Bits of the positions in both layers."""
    m = patterns[sparsity][1]
    return sum(index_bits(mask, granularity, m) for mask in masks.values())


tuned = {name: {0.75: after[name]} for name in granularities}  # name: {sparsity: [seeds]}
for name, sparsity in tqdm([(name, s) for name in granularities for s in (0.5, 0.875)], desc="fine-tuning"):
    tuned[name][sparsity] = [validate(fine_tuned(networks[0], masks_for(networks[0], name, sparsity), 0))]

def bitmask_bits(granularity):
    """Bits of a bitmask over both layers: one for each group, whatever is kept."""
    shapes = [weight.shape for weight in weights_of(networks[0]).values()]
    groups = {
        "vector": lambda out, inputs, kh, kw: out * inputs * kh,
        "kernel": lambda out, inputs, kh, kw: out * inputs,
        "filter": lambda out, inputs, kh, kw: out,
        "channel": lambda out, inputs, kh, kw: inputs,
    }
    return sum(groups.get(granularity, lambda *shape: math.prod(shape))(*shape) for shape in shapes)


positions, kept_values = {}, {}  # (name, sparsity): bits, weights
for name in granularities:
    for s in sparsities:
        masks = masks_for(networks[0], name, s)
        positions[name, s] = position_bits(masks, name, s)
        kept_values[name, s] = sum(int(mask.sum()) for mask in masks.values())


def kilobytes(name, sparsity, width, with_bitmask=False):
    """Values of `width` bits and positions, in kB (1,000 bytes); with_bitmask: the cheaper of the two codes."""
    bits = positions[name, sparsity]
    if with_bitmask:
        bits = min(bits, bitmask_bits(name))
    return (kept_values[name, sparsity] * width + bits) / 8000


dense_weights = sum(weight.numel() for weight in weights_of(networks[0]).values())
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
x = 100 * np.array(sparsities)
for name, colour in COLOUR.items():
    curve(left, x, [100 * tuned[name][sparsity][0] for sparsity in sparsities], label=name, colour=colour)
    marker = MARKERS[list(COLOURS).index(colour)]
    left.scatter([75] * len(SEEDS), 100 * np.array(after[name]), color=COLOURS[colour], marker=marker, s=18, alpha=0.6)
    curve(right, x, [positions[name, sparsity] / 8 for sparsity in sparsities], label=name, colour=colour)
left.axhline(100 * np.mean(dense), color="grey", linestyle=":", label="not pruned")
left.legend(loc="lower left")
right.set_yscale("log")
for ax, y, unit, title in ((left, "validation accuracy", "%", "after fine-tuning"), (right, "positions", "bytes", "their price")):
    ax.set_xticks(x, [f"{value:g}" for value in x])
    label_axes(ax, x="sparsity of conv2 and conv3", x_unit="%", y=y, y_unit=unit, title=title)
show(fig, alt="Left: accuracy after fine-tuning against sparsity. The gaps between the granularities widen as the sparsity grows. "
     "Right: bytes of positions against sparsity, on a logarithmic scale: thousands for fine, a few for filters and channels.")

codes = {"numbers, values of 32 bits": (32, False), "numbers, values of 8 bits": (8, False), "cheaper code, 8 bits": (8, True)}
fig, axes = plt.subplots(1, 3, figsize=(13, 4.6), sharey=True)
for ax, (title, code) in zip(axes, codes.items()):
    for name, colour in COLOUR.items():
        sizes = [kilobytes(name, sparsity, *code) for sparsity in sparsities]
        first = [100 * tuned[name][sparsity][0] for sparsity in sparsities]
        curve(ax, sizes, first, label=name, colour=colour)
        marker = MARKERS[list(COLOURS).index(colour)]
        ax.scatter([sizes[1]] * len(SEEDS), 100 * np.array(after[name]), color=COLOURS[colour], marker=marker, s=18, alpha=0.6)
    ax.axhline(100 * np.mean(dense), color="grey", linestyle=":", label="not pruned")
    label_axes(ax, x="values and positions", x_unit="kB", y="validation accuracy", y_unit="%",
               title=f"{title}\n(dense: {dense_weights * code[0] / 8000:.0f} kB)")
axes[0].legend(loc="lower right")
for ax in axes[1:]:
    ax.set_ylabel("")
    ax.set_xlim(0, 36)  # the same scale in both panels of 8 bits
show(fig, alt="Accuracy after fine-tuning against stored size, for six granularities at 50, 75 and 87.5 percent sparsity. "
     "Left, values of 32 bits: fine is on top. Middle, values of 8 bits: the fine curve lies far to the right, and N:M is ahead. "
     "Right, with the cheaper of two codes for positions: fine is back beside N:M and vector.")

print("75 % removed   positions        of all stored bytes, values of 32 bits / of 8 bits")
for name in granularities:
    bits, count = positions[name, 0.75], kept_values[name, 0.75]
    shares = " / ".join(f"{100 * bits / (bits + width * count):5.1f} %" for width in (32, 8))
    print(f"{name:12} {bits / 8:9,.0f} bytes   {shares}")

# %% [markdown]
# **What we saw.** In the first figure, left, the gaps widen with the sparsity: a cut that costs little at 50% costs much
# at 87.5%. The scale on the right is logarithmic: count the powers of ten between fine and channel. Then the table:
# from fine to filter the positions shrink from a large part of the file to nearly nothing. This is the *index saving*
# of coarse cuts. With values of 32 bits it is modest; with 8 bits the positions of the fine mask outweigh its values.
#
# Now the second figure: more accuracy is up, fewer bytes is left, so the best curve is the one at the top left. In the left
# panel fine is on top, N:M and vectors lie close below it, and whoever cuts more coarsely loses more accuracy than the
# saved bytes are worth. In the middle panel the fine curve has moved to the right: now N:M is ahead, vectors are level
# with fine, and kernels have come near. (Where does fine at 50% lie, and how large would the dense layers be?) In the
# right panel the fine curve comes back, and between fine, N:M and vectors there is no order that the spread of the
# points at 75% would allow. Filters and channels are behind in all three.
#
# The second claim of Mao et al. is that coarser cuts compress better at the same accuracy. We can confirm it in part:
# for N:M against fine, with short values and with numbers for positions. A bitmask, which anybody could use, takes this
# lead away. So the index saving is a matter of the *code* as much as of the granularity. Before you believe that one
# format is smaller, ask how the other one was stored.
#
# Two things the figures leave out. Bytes are not time: which of these masks a machine can use to run faster is the
# question of Labs 13 and 14. And a removed filter or channel saves more than its own weights: the neighbouring layer
# loses its part of them too (Lab 7).
#
# ### The test images, once
#
# The networks of the headline, at 75%, on 2,000 test images that no experiment has used.

# %% tags=["experiment"]
test_images, test_labels = (tensor[:2000].to(device) for tensor in load_fashion_mnist("test"))
test_dense = [measured(model, test_images, test_labels) for model in networks]
test_accuracy = {}
for name, models in tqdm(headline.items(), desc="test"):
    test_accuracy[name] = [measured(model, test_images, test_labels) for model in models]

print(f"not pruned {in_percent(test_dense)}")
for name, values in test_accuracy.items():
    loss = 100 * (np.array(test_dense) - np.array(values))
    print(f"{name:10} {in_percent(values)}   points lost, seed by seed: {', '.join(f'{drop:.1f}' for drop in loss)}")

# %% [markdown]
# **What we saw.** Does the staircase stand on images that it was not drawn from? Look at the points lost, seed by seed,
# since the seeds start from different heights. The high steps stand in every seed: kernels lose more than the three
# finer ones, and filters and channels lose more than kernels. The first step does not: fine is better than N:M on
# average, but one seed goes the other way. So between fine and N:M our three seeds leave the question open, although
# the figure above looked clear.

# %% [markdown] tags=["question"]
# ### Written question
#
# You must cut three quarters of the weights of a network's convolutions, for three machines: (i) a microcontroller that
# can only run dense layers; (ii) a GPU that runs 2:4 faster, and no other pattern; (iii) a chip that decodes positions
# as fast as it reads them, and whose memory is very small. Answer in about twelve lines. (a) Choose a granularity for
# each, and say with your own plots what it costs in accuracy and what it saves. (b) One of the three machines cannot
# give you what you were asked for. Which one, and why? (c) A colleague proposes to read "1:4" as "1 of 4 is pruned".
# What would go wrong?

# %% [markdown] tags=["written"] points=3 grade_id="three_machines"
# **Model answer.** (a) (i) Filters (or channels): only they leave a smaller dense layer, and nothing has to be stored
# about positions. The price is the largest: filters and channels stand at the lower end of the staircase, several
# points below fine at 75% after fine-tuning. Kernels would lose less, but a dense layer computes the zeros too and
# saves nothing. (ii) 2:4, the only pattern that the GPU uses. It costs little accuracy at 50%, and 2 bits for each kept
# weight. (iii) Fine or N:M, by the bytes at equal accuracy: with long values fine and N:M are the best curves in the
# figure; with short values the positions of the fine mask outweigh the values, and N:M is better, unless the chip reads
# bitmasks. (An answer that chooses vectors for short values, with the figure as evidence, is right too.)
#
# (b) The GPU: 2:4 removes one half and not three quarters. The choice is to cut half of the weights, or to add
# something else (remove filters as well, or store the rest in fewer bits); 1:4 has the right sparsity and would fit in
# the pattern 2:4, but the machine would gain nothing more from it.
#
# (c) The sparsity would be 25% and not 75%, so three times as many weights would stay as were asked for. With 2:4
# nobody would notice.
#
# **Points.** 1 for (a): three choices that fit the machines, each with a cost read from the answerer's plots. 1 for
# (b): the GPU, and that 2:4 fixes the sparsity at one half. 1 for (c): both sparsities.

# %% tags=["record"]
# For the course's makers: where LABKIT_RECORD names a folder, write what the lecture note quotes into it.
import json
import os
from pathlib import Path


def summary(values):
    """Mean and standard deviation over the seeds, and the single values, as fractions."""
    values = [round(float(value), 6) for value in values]
    spread = round(float(np.std(values, ddof=1)), 6) if len(values) > 1 else None
    return {"mean": round(float(np.mean(values)), 6), "sd": spread, "seeds": values}


def percent(sparsity):
    return f"{100 * sparsity:g}".replace(".", "_")


if folder := os.environ.get("LABKIT_RECORD"):
    record = {
        "made_by": "in labs/: LABKIT_RECORD=../data/results python source/lab02_granularity.py",
        "unit": "accuracies and shares are fractions; sd is the standard deviation over seeds (n - 1), null for one seed",
        "images": {"validation": len(images), "test": len(test_images)},
        "fine_tuning": {"steps": 47, "batch_size": 64, "peak_learning_rate": 0.001},
        "dense": summary(dense),
        "dense_test": summary(test_dense),
        "readings_of_1_4": {
            name.replace(" ", "_"): {"kept": reading_share[name], "accuracy": summary(values)}
            for name, values in reading_accuracy.items()
        },
        "constants": {
            percent(sparsity): {what: summary(constant_accuracy[sparsity, what]) for what in ("kept", "silenced")}
            for sparsity in (0.5, 0.75)
        },
        "layer_conv3": summary(layer_accuracy),
        "granularities": {
            name: {
                "before": {percent(s): summary(column) for s, column in zip(sparsities, np.array(before[name]).T)},
                "after": {percent(s): summary(tuned[name][s]) for s in sparsities},
                "test_75": summary(test_accuracy[name]),
                "test_75_lost": summary(np.array(test_dense) - np.array(test_accuracy[name])),
                "position_bits": {percent(s): positions[name, s] for s in sparsities},
                "kept_weights": {percent(s): kept_values[name, s] for s in sparsities},
                "position_share": {
                    str(width): {
                        percent(s): positions[name, s] / (positions[name, s] + width * kept_values[name, s])
                        for s in sparsities
                    }
                    for width in (32, 8)
                },
                "kilobytes": {
                    title: {percent(s): kilobytes(name, s, *code) for s in sparsities} for title, code in codes.items()
                },
            }
            for name in granularities
        },
    }
    Path(folder, "lab02_granularity.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

# %% [markdown]
# ## What to take with you
#
# - **How fine?** At one sparsity, finer cuts leave more accuracy. Fine-tuning narrows the gaps
#   and leaves a staircase: fine and small groups (N:M, vectors) close together, then kernels, then filters and channels.
# - **What does it cost?** A fine mask must say where every weight is. Positions shrink with the size of the group.
#   Whether that pays depends on how many bits a value takes, and on the code for the positions.
# - **N:M** lies between: nearly the freedom of a fine mask, at a few bits for each weight. N counts what stays.
# - **A removed filter is not silent**: its BatchNorm still sends a constant. Say what you did about it.
# - **Only filters and channels** leave a smaller dense layer. That is why they are used, although they cost the most
#   accuracy.
#
# **Read next.** Mao et al. (2017), for the same comparison on networks for ImageNet. Mishra et al. (2021), for how 2:4 is
# trained and run. Wen et al. (2016), [arXiv:1608.03665](https://arxiv.org/abs/1608.03665), for groups that the
# training itself makes zero (Lab 6). The lecture note of this lab (`lecture_notes/lab02_granularity.md` in the course's
# repository) works small examples by hand.
