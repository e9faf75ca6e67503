# %% [markdown] tags=["lab"] question="Which weights matter, and in which layers?" minutes=90 prerequisite="lab02_granularity"
# # Lab 3 · Magnitude pruning
#
# **The question: which weights matter, and in which layers?**
#
# The simplest answer to the first half is: the large ones. You build this answer, test it against chance, and then
# meet the second half: the same sparsity that one layer hardly notices ruins another.
#
# | you build | it answers |
# |---|---|
# | `threshold_mask`, `magnitude_mask` | Which weights of one layer go: those below a number, or a given share, the smallest first? |
# | `row_scores` | Which neurons or filters go as a whole? |
# | `uniform_masks`, `global_masks` | How is one sparsity shared out over many layers? |
# | `sensitivity_scan`, `choose_sparsities` | How much does each layer bear, and can a measurement choose for us? |
#
# **Before you begin.** You have done Lab 2 (granularity). The lecture note of this lab
# (`lecture_notes/lab03_magnitude.md` in the course's repository) teaches the ideas first.
#
# **How long it takes.** The experiments together run for about a minute on a quiet laptop with two cores, and for several
# minutes on a busy one. Every experiment of more than two seconds shows its progress in a bar.
#
# **Papers.** Han et al. (2015), [arXiv:1506.02626](https://arxiv.org/abs/1506.02626): prune, by magnitude, with a
# sensitivity for each layer. Li et al. (2016), [arXiv:1608.08710](https://arxiv.org/abs/1608.08710): filters by their
# L1 norm. Blalock et al. (2020), [arXiv:2003.03033](https://arxiv.org/abs/2003.03033): what comparisons of pruning
# methods are worth.
#
# **The words.** A *mask* is boolean, and `True` means keep. *Sparsity* is the fraction removed. A higher *score*
# means keep. Nothing is trained in this lab: every accuracy is measured right after pruning, and Lab 4 adds the
# fine-tuning.
#
# **How it is graded.** Each exercise has a visible check, which you can run as often as you like, and hidden checks,
# which run when the work is graded. Cells marked as experiment are *not* run then. So if an exercise needs a helper
# function of yours, write it in the exercise cell or in a new cell of your own, not in an experiment cell.
# No exercise needs your answer to another one. You may call it all the same; a mistake in it then costs in both.

# %% tags=["setup"]
import copy
from collections.abc import Callable
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from labkit.checkpoints import SEEDS, load_checkpoint
from labkit.datasets import load_fashion_mnist
from labkit.models import prunable_weights
from labkit.plots import COLOURS, MARKERS, curve, label_axes, show, use_style
from labkit.training import accuracy

use_style()

# %% [markdown]
# ## What the experiments use
#
# Two trained networks, each in three copies that differ in their start and in the order of their training images
# (three *seeds*). Where the seeds differ more than the methods do, there is no result; so each curve below is the mean
# over the seeds, in a band of one standard deviation to each side.
#
# All choices are made on validation images. The test images are read once, in the last experiment.

# %% tags=["experiment"]
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
images, labels = (tensor[:1000].to(device) for tensor in load_fashion_mnist("validation"))
networks = {kind: [load_checkpoint(kind, seed).to(device) for seed in SEEDS] for kind in ("mlp", "cnn")}
TITLE = {"mlp": "MLP", "cnn": "CNN"}
every_network = [(kind, seed) for kind in networks for seed in SEEDS]
LAYER_COLOUR = {
    "conv1": "vermilion", "conv2": "orange", "conv3": "purple", "fc1": "blue", "fc2": "green", "fc3": "black",
}


def layers(model):
    """{layer name: its weight, the parameter itself}; biases and BatchNorm are not pruned."""
    return {name.removesuffix(".weight"): weight for name, weight in prunable_weights(model).items()}


@torch.no_grad()
def pruned(model, masks):
    """A copy of the model in which the removed weights are zero."""
    model = copy.deepcopy(model)
    for name, weight in layers(model).items():
        weight.mul_(masks[name])
    return model


def validate(model):
    """Accuracy on the 1,000 validation images."""
    return accuracy(model, images, labels)


def removed(masks):
    """The fraction of all the weights that the masks remove together."""
    return 1 - sum(int(mask.sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())


def in_percent(values):
    """Mean and standard deviation over the seeds, as text."""
    return f"{100 * np.mean(values):5.1f} ± {100 * np.std(values, ddof=1):4.1f} %"


for kind, models in networks.items():
    sizes = {name: weight.numel() for name, weight in layers(models[0]).items()}
    print(f"{TITLE[kind]}: validation accuracy {in_percent([validate(model) for model in models])}")
    for name, size in sizes.items():
        print(f"    {name:6} {size:8,} weights, {100 * size / sum(sizes.values()):5.1f} % of them")

# %% [markdown]
# ## Part 1 · Which weights of one layer?
#
# ### Exercise threshold_mask
#
# The simplest rule: keep a weight when its magnitude reaches a fixed threshold,
#
# $$m_i = [\,|w_i| \ge t\,].$$
#
# Here $w$ is `weight`, $t$ is `threshold`, and $m$ is the mask that you return.
#
# *By hand.* $w = (0.3,\ -0.05,\ -0.4)$ and $t = 0.1$: the magnitudes are $0.3$, $0.05$, $0.4$, so the mask is
# (True, False, True). The sign plays no part.
#
# <details><summary>Hint</summary>
#
# Comparing a tensor with a number gives a boolean tensor of the same shape. For the error: `nan < 0` is False, so that
# test lets NaN pass. Test for what is allowed, and refuse everything else.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=5
from solutions.lab03_magnitude import threshold_mask

# %% tags=["visible-check"]
weight = torch.tensor([[5.0, -3.0], [1.0, -0.5]])
result = threshold_mask(weight, 2.0)
assert isinstance(result, torch.Tensor), (
    f"You returned {result!r}: return a tensor, the mask. (None? Then did you forget `return`?)"
)
assert result.dtype == torch.bool, (
    f"You returned a {result.dtype} tensor: return booleans (True = keep), not numbers and not the pruned weights."
)
assert result.tolist() == [[True, True], [False, False]], (
    f"You returned {result.tolist()}. The magnitudes 5 and 3 reach 2 and stay (True), 1 and 0.5 go. "
    "Is -3 removed? Then its sign still counts. Is all the other way round? True means keep."
)
assert weight.tolist() == [[5.0, -3.0], [1.0, -0.5]], (
    f"Your function changed its input: the weight is now {weight.tolist()}. Only return a mask. A method that ends "
    "with `_` works in place."
)
print("threshold_mask: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Experiment: what does "0.1" mean?
#
# A tutorial on pruning sets `threshold = 0.1` for three linear layers that PyTorch has just initialised
# (10 → 100 → 100 → 10). Is 0.1 a lot or a little? The plot gives the sparsity of each layer for every threshold: for
# these three layers, and for the layers of our two trained networks.

# %% tags=["experiment"]
thresholds = np.geomspace(0.001, 1, 13)


def new_layers(seed):
    """The tutorial's three layers, as PyTorch initialises them."""
    torch.manual_seed(seed)
    return nn.ModuleDict({"fc1": nn.Linear(10, 100), "fc2": nn.Linear(100, 100), "fc3": nn.Linear(100, 10)})


def threshold_sparsities(models):
    """{layer: sparsity, shape [seeds, thresholds]}."""
    return {
        name: np.array([[removed({name: threshold_mask(layers(m)[name], t)}) for t in thresholds] for m in models])
        for name in layers(models[0])
    }


by_threshold = {
    kind: threshold_sparsities(models)
    for kind, models in {"tutorial": [new_layers(seed) for seed in SEEDS], **networks}.items()
}
at_threshold = {
    kind: [pruned(m, {name: threshold_mask(w, 0.1) for name, w in layers(m).items()}) for m in models]
    for kind, models in networks.items()
}
threshold_accuracy = {kind: [validate(model) for model in models] for kind, models in at_threshold.items()}
threshold_total = {
    kind: [removed({name: w != 0 for name, w in layers(model).items()}) for model in models]
    for kind, models in at_threshold.items()
}

fig, axes = plt.subplots(1, 3, figsize=(11, 4), sharey=True)
titles = {"tutorial": "the tutorial's layers, untrained", "mlp": "trained MLP", "cnn": "trained CNN"}
for ax, (kind, sparsity) in zip(axes, by_threshold.items()):
    for name, values in sparsity.items():
        curve(ax, thresholds, 100 * values, label=name, colour=LAYER_COLOUR[name])
    ax.axvline(0.1, color="black", linestyle="--", linewidth=1)
    ax.set_xscale("log")
    label_axes(ax, x="threshold", x_unit="units of the weights", y="sparsity", y_unit="%", title=titles[kind])
    ax.legend(title="layer", loc="upper left")
for ax in axes[1:]:
    ax.set_ylabel("")
axes[0].annotate("0.1", (0.1, 2), xytext=(-4, 0), textcoords="offset points", ha="right")
show(fig, alt="Three panels: sparsity of each layer against the threshold. In the untrained layers, 0.1 removes "
     "all of fc2 and fc3 and under half of fc1. In the trained networks it removes most of the large layers.")

for kind, models in networks.items():
    before = [validate(model) for model in models]
    print(f"{TITLE[kind]}, threshold 0.1: sparsity {in_percent(threshold_total[kind])}, "
          f"validation accuracy {in_percent(before)} → {in_percent(threshold_accuracy[kind])}")

# %% [markdown]
# **What we saw.** Follow the dashed line at 0.1 in the left panel. Two of the three layers are gone, every weight of
# them. PyTorch draws a linear layer's weights uniformly between $-1/\sqrt{n}$ and $1/\sqrt{n}$, where $n$ is the number
# of inputs. For 100 inputs, $1/\sqrt{100} = 0.1$: no weight reaches the threshold. (`fc2` and `fc3` both have 100 inputs, so their
# curves coincide.) The network's output no longer depends on its input, and no error is raised.
#
# After training 0.1 is no better. The dashed line crosses the layers of one network at very different heights, and the
# printed lines show that both networks lose nearly all their weights and much of their accuracy. Nobody had asked for
# so much. A threshold is measured in units of the weights, and each layer has its own unit. What we want to choose is a
# *sparsity*.
#
# ### Exercise magnitude_mask
#
# So choose by rank. Let $n$ be the number of weights and $s$ the sparsity. Sort the magnitudes, and remove the first
#
# $$k = \operatorname{round}(s \cdot n)$$
#
# of them. Here $s$ is `sparsity`, $n$ is `weight.numel()`, and $k$ is the number of `False` entries. Ranking
# removes exactly $k$ weights. A threshold cannot: of several equal magnitudes it removes all or none.
#
# *By hand.* $w = (2,\ -2,\ 1,\ 5)$ and $s = 0.5$: $k = 2$. The smallest magnitude is $1$. Then two are tied at
# $2$, and only one may go: the one that comes first. The mask is (False, True, False, True). Python rounds a half to the
# even number: `round(2.5)` is 2 and `round(3.5)` is 4.
#
# <details><summary>Hint</summary>
#
# Ask for the *positions* in the order of their magnitudes (`argsort`), and read what its argument `stable` promises
# about ties. Work on the flattened tensor, and give the mask the shape of `weight` at the end.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab03_magnitude import magnitude_mask

# %% tags=["visible-check"]
weight = torch.tensor([[3.0, -1.0], [2.0, -4.0]])
result = magnitude_mask(weight, 0.25)
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
result = magnitude_mask(torch.tensor([2.0, -2.0, 1.0, 5.0]), 0.5)
assert result.tolist() == [False, True, False, True], (
    f"For the weights 2, -2, 1, 5 and the sparsity 0.5 you returned {result.tolist()}: two go, the 1 and, of the two "
    "that are tied, the first.\n"
    "Are three removed, or one? Then you cut at a threshold (a quantile, the k-th value), which cannot divide ties.\n"
    "Is -2 removed and 2 kept? Then the last of the tied ones went first."
)
print("magnitude_mask: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: the same sparsity, a different cut in each layer
#
# Histograms of the CNN's weights, the three seeds together. Grey is what `magnitude_mask` removes at a sparsity of 80%;
# the dashed lines are the tutorial's ±0.1.

# %% tags=["experiment"]
fig, axes = plt.subplots(1, 5, figsize=(11, 3), sharex=True, sharey=True)
edges = np.linspace(-0.5, 0.5, 41)
rank_cuts = {}
for ax, name in zip(axes, layers(networks["cnn"][0])):
    weights = [layers(model)[name].detach() for model in networks["cnn"]]
    masks = [magnitude_mask(weight, 0.8) for weight in weights]
    rank_cuts[name] = [weight[~mask].abs().max().item() for weight, mask in zip(weights, masks)]
    parts = [
        torch.cat([weight[part(mask)] for weight, mask in zip(weights, masks)]).cpu().numpy()
        for part in (lambda mask: ~mask, lambda mask: mask)
    ]
    share = 100 / sum(map(len, parts))
    ax.hist(parts, bins=edges, weights=[np.full(len(part), share) for part in parts], stacked=True,
            color=["lightgrey", COLOURS[LAYER_COLOUR[name]]])
    for side in (-0.1, 0.1):
        ax.axvline(side, color="black", linestyle="--", linewidth=1)
    label_axes(ax, x="weight", x_unit="as stored", y="weights", y_unit="% of the layer",
               title=f"{name} ({weights[0].numel():,})\ncut at ±{np.mean(rank_cuts[name]):.2f}")
for ax in axes[1:]:
    ax.set_ylabel("")
show(fig, alt="Histograms of the weights of the CNN's five layers. The grey part, which a sparsity of 80% removes, "
     "is widest in conv1, where the weights are spread out, and narrowest in fc1, where they crowd around zero.")

# %% [markdown]
# **What we saw.** Each layer lies around zero, but the widths differ: `conv1`, with the fewest inputs, is spread out, and
# `fc1`, with the most, is a narrow hill. So an equal share of each layer means an unequal cut; compare the numbers above
# the panels, and where the dashed lines fall. And a peak at zero is not sparsity yet: those weights are small, but they
# are not zero until somebody removes them.
#
# ### Exercise row_scores
#
# A row of a weight belongs to one output: a neuron of a linear layer, a filter of a convolution. To remove
# it as a whole, score it as a whole, by a norm of its weights:
#
# $$s_i = \sum_j |w_{ij}| \quad (p = 1), \qquad s_i = \sqrt{\textstyle\sum_j w_{ij}^2} \quad (p = 2).$$
#
# Here $w_{ij}$ are the entries of `weight[i]`; for a convolution $j$ runs over input channels, kernel rows and kernel
# columns. $s$ is the vector that you return, one entry for each row.
#
# *By hand.* $W$ has the rows $(3,\ -4)$ and $(6,\ 0)$. L1: $s = (7,\ 6)$. L2: $s = (5,\ 6)$. The two norms rank these
# rows differently: L1 likes many medium weights, L2 one large weight.
#
# <details><summary>Hint</summary>
#
# `flatten` can begin at any dimension: bring both kinds of layer to the shape [out, everything else], and then sum over
# one dimension.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=8
from solutions.lab03_magnitude import row_scores

# %% tags=["visible-check"]
linear = torch.tensor([[3.0, -4.0, 0.0, 0.0], [0.0, 6.0, -8.0, 0.0]])
convolution = linear.reshape(2, 2, 1, 2)  # the same rows as two filters: [out, in, kh, kw]
for weight in (linear, convolution):
    for p, expected in ((1, [7.0, 14.0]), (2, [5.0, 10.0])):
        result = row_scores(weight, p)
        assert isinstance(result, torch.Tensor), (
            f"You returned {result!r}: return a tensor. (None? Then did you forget `return`?)"
        )
        assert result.shape == (2,), (
            f"Your scores have shape {list(result.shape)}: a weight of shape {list(weight.shape)} has 2 rows, so 2 "
            "scores. Did you sum over the wrong dimension, or not over all of the row?"
        )
        assert [round(float(score), 4) for score in result] == expected, (
            f"For p={p} and shape {list(weight.shape)} the rows (3, -4, 0, 0) and (0, 6, -8, 0) score {expected}, and "
            f"you returned {result.tolist()}. Was a sign, a square or the square root left out, or the mean taken "
            "in place of the sum?"
        )
print("row_scores: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: do small rows matter less?
#
# Set whole rows of one layer to zero: those with the smallest L1 norm, with the smallest L2 norm, at random (the mean
# of three draws for each network), or, to see the other end, with the largest L1 norm. A ranking of scores is a ranking
# of magnitudes, so `magnitude_mask` does the choosing. Guess first: in which order will the four curves lie?

# %% tags=["experiment"]
row_sparsities = [0.25, 0.5, 0.75]
row_rules = {  # name: (the scores of a weight's rows, how many draws)
    "smallest L1": (lambda weight: row_scores(weight, 1), 1),
    "smallest L2": (lambda weight: row_scores(weight, 2), 1),
    "random": (lambda weight: torch.rand(len(weight), device=weight.device), 3),
    "largest L1": (lambda weight: 1 / row_scores(weight, 1), 1),  # 1 / norm: the largest norm goes first
}


def accuracy_without_rows(model, name, scores, sparsity):
    """Accuracy with the rows of one layer that have the lowest scores set to zero."""
    masks = {other: torch.ones_like(weight, dtype=torch.bool) for other, weight in layers(model).items()}
    masks[name][~magnitude_mask(scores, sparsity)] = False  # one entry of the mask for each row of the weight
    return validate(pruned(model, masks))


torch.manual_seed(0)
row_accuracy = {}  # (kind, rule): [seeds, sparsities]
cases = [(kind, name, rule) for kind, name in (("mlp", "fc1"), ("cnn", "conv2")) for rule in row_rules]
for kind, name, rule in tqdm(cases, desc="rows"):
    score, draws = row_rules[rule]
    row_accuracy[kind, rule] = []
    for model in networks[kind]:
        weight = layers(model)[name].detach()
        runs = [
            [accuracy_without_rows(model, name, scores, sparsity) for sparsity in row_sparsities]
            for scores in (score(weight) for _ in range(draws))
        ]
        row_accuracy[kind, rule].append(np.mean(runs, axis=0))

fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for ax, kind, title in zip(axes, networks, ("MLP, fc1: 300 neurons", "CNN, conv2: 32 filters")):
    for rule, colour in zip(row_rules, ("blue", "green", "vermilion", "black")):
        curve(ax, 100 * np.array(row_sparsities), 100 * np.array(row_accuracy[kind, rule]), label=rule, colour=colour)
    dense = 100 * np.mean([validate(model) for model in networks[kind]])
    ax.axhline(dense, color="grey", linestyle=":", label="not pruned")
    label_axes(ax, x="rows removed", x_unit="%", y="validation accuracy", y_unit="%", title=title)
    ax.set_xticks(100 * np.array(row_sparsities))
axes[0].legend(title="rows that go", loc="lower left")
axes[1].set_ylabel("")
show(fig, alt="Accuracy against the share of rows removed from one layer. In the MLP's first layer removing the largest "
     "rows costs most, and the smallest differ little from random. In the CNN's second layer the bands overlap.")

# %% [markdown]
# **What we saw.** Less than one would hope. In the MLP the largest rows do matter: their curve lies well below the others.
# The smallest rows beat random ones by a little at best, and at the right end not at all. In the CNN the bands of all
# four rules overlap, except perhaps at the far end: for this layer, with these seeds, the norm of a filter tells us next
# to nothing. L1 and L2 cannot be told apart in either panel.
#
# One reason can be read off the network. A BatchNorm follows each convolution and divides a filter's output by
# its standard deviation. Halve all weights of a filter and measure that standard deviation anew: the BatchNorm divides by
# half as much, so the next layer receives what it received before. So for a filter its norm is a poor measure of how
# important it is. Lab 6 scores filters by BatchNorm's own factor.
#
# A row of zeros does not make a silent neuron, either: it still gives its bias, or in the CNN what BatchNorm makes of
# zero. And nothing was fine-tuned; Li et al. judged filters after retraining. Lab 7 takes rows out for good.
#
# ## Part 2 · How much from each layer?
#
# ### Exercise uniform_masks
#
# The plain way to prune a network to the sparsity $s$: every layer $\ell$ gets the same one, $s_\ell = s$. The rule
# that chooses within a layer is an argument, `prune`, so that the same function serves for any rule. Call it, and do
# not build your `magnitude_mask` in.
#
# *By hand.* Layers of 4 and 10 weights, $s = 0.5$, `prune` removes by rank: 2 and 5 weights go.
#
# <details><summary>Hint</summary>
#
# A dictionary goes in, a dictionary with the same names comes out; think of a comprehension over `weights.items()`.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=4
from solutions.lab03_magnitude import uniform_masks

# %% tags=["visible-check"]
def above(weight, sparsity):
    """A rule for `prune`, not magnitude: keep what exceeds `sparsity` times the largest entry."""
    return weight > sparsity * weight.max()


weights = {"small": torch.tensor([1.0, 2.0, 3.0, 10.0]), "large": torch.tensor([[10.0, 20.0], [30.0, 40.0]])}
result = uniform_masks(weights, 0.5, above)
assert isinstance(result, dict) and result.keys() == weights.keys(), (
    f"You returned {result!r}: return a dictionary with one mask for each layer, under the same names. "
    "(None? Then did you forget `return`?)"
)
assert all(isinstance(mask, torch.Tensor) and mask.dtype == torch.bool for mask in result.values()), (
    f"You returned {result}: each value of the dictionary is what prune gives for that layer, a mask of booleans. "
    "Return masks, not weights."
)
masks = {name: mask.tolist() for name, mask in result.items()}
assert masks == {"small": [False, False, False, True], "large": [[False, False], [True, True]]}, (
    f"You returned {masks}. The rule keeps what exceeds half of the layer's largest entry: 10 in the one layer, "
    "30 and 40 in the other. Did you call the rule that you were given, once for each layer, with the sparsity as it is?"
)
print("uniform_masks: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Experiment: is magnitude better than chance?
#
# With `prune` as an argument the test is short. Three rules, the same sparsity in every layer: the smallest weights go
# first, random ones, the largest.

# %% tags=["experiment"]
rules = {
    "smallest": magnitude_mask,
    "random": lambda weight, sparsity: magnitude_mask(torch.rand_like(weight), sparsity),
    "largest": lambda weight, sparsity: ~magnitude_mask(weight, 1 - sparsity),
}
rule_sparsities = [0.1, 0.2, 0.3, 0.5, 0.7]

torch.manual_seed(0)
rule_accuracy = {}
for kind, rule in tqdm([(kind, rule) for kind in networks for rule in rules], desc="rules"):
    rule_accuracy[kind, rule] = [
        [validate(pruned(model, uniform_masks(layers(model), s, rules[rule]))) for s in rule_sparsities]
        for model in networks[kind]
    ]

fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for ax, kind in zip(axes, networks):
    for rule, colour in zip(rules, ("blue", "vermilion", "black")):
        curve(ax, 100 * np.array(rule_sparsities), 100 * np.array(rule_accuracy[kind, rule]), label=rule, colour=colour)
    label_axes(ax, x="sparsity of every layer", x_unit="%", y="validation accuracy", y_unit="%", title=TITLE[kind])
axes[0].legend(title="weights that go")
axes[1].set_ylabel("")
show(fig, alt="Accuracy against sparsity, uniform over the layers, for the MLP and the CNN. Removing the smallest "
     "weights keeps the accuracy longest; random ones cost more; the largest ones cost most.")

# %% [markdown]
# **What we saw.** The order of the three curves answers the first half of the question: the large weights
# matter. Taking them away hurts at once, taking the small ones away hurts late, and chance lies between. Compare the two
# panels at their right ends too: at the same uniform sparsity the CNN loses far more than the MLP. Some layer of it must
# be fragile.
#
# ### Exercise global_masks
#
# Instead of one sparsity for every layer, take one ranking for all the weights. With the vectors $w_\ell$ of all layers
# laid end to end,
#
# $$w = (w_1, w_2, \dots, w_L), \qquad m = \text{prune}(w, s),$$
#
# and each layer takes its own part of $m$. The layer sparsities $s_\ell$ are no longer chosen: they follow. Here $w$
# is the pool [n], $s$ is `sparsity`, and the parts of $m$ are the masks that you return.
#
# *By hand.* Layer a is $(1,\ 2)$ and layer b is $(3,\ 4,\ 5,\ 6)$; remove a third by rank. Uniform takes
# $\operatorname{round}(0.67) = 1$ from a and $\operatorname{round}(1.33) = 1$ from b. Global takes the 2 smallest of
# the 6: both are in a, and layer a is gone.
#
# A warning about a word. Some code calls it global when *one percentage* serves all the layers and the threshold is
# found tensor by tensor. That is uniform pruning. Global means one pool. With magnitude as the rule it
# is again one threshold for all layers, but now it is computed from your sparsity.
#
# <details><summary>Hint</summary>
#
# `torch.cat` lays flat tensors end to end. `Tensor.split` takes a list of lengths and cuts a vector into such
# pieces.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=10
from solutions.lab03_magnitude import global_masks

# %% tags=["visible-check"]
def above(weight, sparsity):
    """A rule for `prune`, not magnitude: keep what exceeds `sparsity` times the largest entry."""
    return weight > sparsity * weight.max()


weights = {"small": torch.tensor([1.0, 12.0, 18.0, 30.0]), "large": torch.tensor([[10.0, 20.0], [30.0, 40.0]])}
result = global_masks(weights, 0.5, above)
assert isinstance(result, dict) and result.keys() == weights.keys(), (
    f"You returned {result!r}: return a dictionary with one mask for each layer, under the same names. "
    "(None? Then did you forget `return`?)"
)
assert all(isinstance(mask, torch.Tensor) and mask.dtype == torch.bool for mask in result.values()), (
    f"You returned {result}: each value of the dictionary is a tensor of booleans. Return masks, not weights."
)
assert all(result[name].shape == weights[name].shape for name in weights), (
    f"Your masks have the shapes {[list(mask.shape) for mask in result.values()]}: give each part its layer's shape."
)
masks = {name: mask.tolist() for name, mask in result.items()}
assert masks == {"small": [False, False, False, True], "large": [[False, False], [True, True]]}, (
    f"You returned {masks}. The largest entry of all is 40, so the rule keeps what exceeds 20, in both layers: 30 "
    "in the one, 30 and 40 in the other. Did you call the rule once, on all the weights together?"
)
print("global_masks: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: global against uniform
#
# The same total sparsity, shared out in two ways, on both networks. The second figure shows how much global pruning
# takes from each layer.

# %% tags=["experiment"]
totals = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
methods = {"global": global_masks, "uniform": uniform_masks}
shared_accuracy = {(kind, method): [] for kind in networks for method in methods}
global_shares = {kind: {name: [] for name in layers(models[0])} for kind, models in networks.items()}
for kind, seed in tqdm(every_network, desc="networks"):
    model = networks[kind][seed]
    for method, make_masks in methods.items():
        masks = [make_masks(layers(model), total, magnitude_mask) for total in totals]
        shared_accuracy[kind, method].append([validate(pruned(model, each)) for each in masks])
        if method == "global":
            for name, shares in global_shares[kind].items():
                shares.append([removed({name: each[name]}) for each in masks])

x = 100 * np.array(totals)
fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for ax, kind in zip(axes, networks):
    for method, colour in zip(methods, ("blue", "vermilion")):
        curve(ax, x, 100 * np.array(shared_accuracy[kind, method]), label=method, colour=colour)
    ax.axhline(100 * np.mean([validate(m) for m in networks[kind]]), color="grey", linestyle=":", label="not pruned")
    label_axes(ax, x="total sparsity", x_unit="%", y="validation accuracy", y_unit="%", title=TITLE[kind])
axes[0].legend(loc="lower left")
axes[1].set_ylabel("")
show(fig, alt="Accuracy against total sparsity for the MLP and the CNN, pruned globally and uniformly. Global lies "
     "above uniform, by far in the CNN.")

fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for ax, kind in zip(axes, networks):
    for name, shares in global_shares[kind].items():
        curve(ax, x, 100 * np.array(shares), label=name, colour=LAYER_COLOUR[name])
    ax.plot(x, x, color="grey", linestyle=":", label="uniform")
    label_axes(ax, x="total sparsity", x_unit="%", y="sparsity of the layer", y_unit="%", title=f"{TITLE[kind]}, global")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
axes[1].set_ylabel("")
show(fig, alt="Sparsity of each layer under global pruning against the total sparsity. In the CNN fc1 lies above the "
     "diagonal and conv1 far below it; in the MLP fc3 lies far below it.")

# %% [markdown]
# **What we saw.** In the first figure global lies above uniform. In the CNN the gap is wide: uniform falls towards the
# level of a guess (10%) where global has hardly begun to fall, and only at the right end does global break too. In the
# MLP the gap is small at the left end; where the bands touch, there is no difference to speak of.
#
# The second figure tells why. Only `fc1`, the largest layer of each network, lies above the dotted diagonal: it gives more
# than its share. In the MLP it lies very little above, since `fc1` alone is 88% of the pool. `conv1` in the CNN and `fc3`
# in the MLP give least, small layers with large weights. Nobody told the method which layers are fragile; it saw only
# that their weights are large.
#
# ### Exercise sensitivity_scan
#
# Is the spared layer really the fragile one? Measure it. Prune *one* layer $\ell$ to a sparsity $s$, leave all the
# others whole, and record the accuracy $a_\ell(s)$; put the layer back, and go on.
#
# Here $\ell$ runs over the names in `weights`, $s$ over `sparsities`, and $a_\ell(s)$ is what `evaluate()` returns
# while the layer is pruned. The weights are the network's own parameters: when you change one in place, the network
# uses the changed values.
#
# *By hand.* Two layers, sparsities $(0.5,\ 0.9)$: four measurements. Each is taken with one layer pruned. For 0.9 start
# again from the whole layer, not from the one pruned to 0.5.
#
# <details><summary>Hint</summary>
#
# Keep a copy of the layer before you touch it. PyTorch lets you change a parameter in place only where no
# gradients are recorded (`torch.no_grad()`), and `copy_` writes into a tensor without making a new one. And
# think of what happens to the network when `evaluate` fails: Python's `try … finally` is made for that.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=20
from solutions.lab03_magnitude import sensitivity_scan

# %% tags=["visible-check"]
def above(weight, sparsity):
    """A rule for `prune`, not magnitude: keep what exceeds `sparsity` times the largest entry."""
    return weight > sparsity * weight.max()


def total():
    """Stands for the accuracy: the sum of the network's weights. It knows nothing of the dictionary `weights`."""
    return sum(parameter.sum().item() for parameter in network)


network = [nn.Parameter(torch.tensor([1.0, 2.0, 3.0, 4.0])), nn.Parameter(torch.tensor([10.0, 20.0]))]
weights = {"a": network[0], "b": network[1]}
result = sensitivity_scan(weights, [0.7, 0.4], above, total)
assert isinstance(result, dict) and all(isinstance(values, list) for values in result.values()), (
    f"You returned {result!r}: return a dictionary with a list of accuracies for each layer. "
    "(None? Then did you forget `return`?)"
)
assert all(isinstance(value, float) for values in result.values() for value in values), (
    f"You returned {result}: each entry of a list is what evaluate() returned, a number."
)
assert [parameter.tolist() for parameter in network] == [[1.0, 2.0, 3.0, 4.0], [10.0, 20.0]], (
    f"After the scan the network's weights are {[parameter.tolist() for parameter in network]}, and they were "
    "1, 2, 3, 4 and 10, 20: put every layer back. You did, and they are still pruned? Then your copy shares its memory "
    "with the weight: clone it."
)
assert result == {"a": [37.0, 39.0], "b": [30.0, 40.0]}, (
    f"You returned {result}. Unpruned the sum is 40. Pruning a leaves 3, 4 at 0.7 and 2, 3, 4 at 0.4, so 37 and 39; "
    "pruning b leaves 20 at 0.7 and all of it at 0.4, so 30 and 40.\n"
    "Is everything 40? Then the network itself was not pruned when evaluate was called: was it called too early, or did "
    "you put a new tensor into the dictionary, or prune a copy?\n"
    "Is `a` 37 and 37? Then the layer was not whole again before it was pruned to 0.4.\n"
    "Are `a` and `b` the same? Then both were pruned at once.\n"
    "Is `a` 33 and 31? Then the weights to keep were set to zero."
)
assert weights["a"] is network[0] and weights["b"] is network[1], (
    "After the scan the dictionary holds other tensors than before. Change the weights in place, and leave `weights` as "
    "it is."
)
print("sensitivity_scan: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: the sensitivity of each layer
#
# The scan of both networks, three seeds each. It works on a copy of each network. Han et al. found on AlexNet that the
# first convolution is the most sensitive layer and the fully connected layers are the least. Is that a law?

# %% tags=["experiment"]
sparsities = [0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
scans = {kind: [] for kind in networks}
baselines = {kind: [validate(model) for model in models] for kind, models in networks.items()}
for kind, seed in tqdm(every_network, desc="networks"):
    model = copy.deepcopy(networks[kind][seed])
    scans[kind].append(sensitivity_scan(layers(model), sparsities, magnitude_mask, partial(validate, model)))

fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for ax, kind in zip(axes, networks):
    for name in scans[kind][0]:
        values = [scan[name] for scan in scans[kind]]  # [seeds, sparsities]
        curve(ax, 100 * np.array(sparsities), 100 * np.array(values), label=name, colour=LAYER_COLOUR[name])
    ax.axhline(100 * np.mean(baselines[kind]), color="grey", linestyle=":", label="not pruned")
    label_axes(ax, x="sparsity of this layer alone", x_unit="%", y="validation accuracy", y_unit="%", title=TITLE[kind])
    ax.legend(loc="lower left")
axes[1].set_ylabel("")
show(fig, alt="Accuracy when one layer alone is pruned, against its sparsity. In the CNN conv1 falls first and fc1 "
     "last. In the MLP the last layer, fc3, falls first at high sparsity.")

# %% [markdown]
# **What we saw.** In the CNN the AlexNet finding shows: `conv1` falls first and `fc1` last. Between them, the bands of
# `conv2`, `conv3` and `fc2` overlap nearly everywhere: the seeds give them no order. The band of `conv1` itself is
# wide: how much it bears depends on the seed.
#
# The MLP is the counter-example. At high sparsity its *last* layer falls first, and at mild sparsity its layers cannot
# be told apart. So "the first layer is the most sensitive" is no law. The two fragile layers have something else in
# common: each is the smallest of its network. That is a guess to test, not a result: the CNN's `fc2` is nearly as small
# as the MLP's `fc3`, and bears as much as the larger convolutions.
#
# And look at `fc1` and `fc2` of the MLP, from 80% on. `fc1` is nearly eight times as large, and global pruning took a
# larger share of it; but the scan says that `fc2` bears more. So neither the number of its weights nor their magnitude
# tells how much a layer bears.
#
# At the left end nearly all the curves lie on the dotted line, and some a little above it. One point is ten of the 1,000
# images: do not read a gain into it.
#
# ### Exercise choose_sparsities
#
# Let the scan choose. Let $a_0$ be the accuracy of the whole network and $\varepsilon$ the drop in accuracy that you
# accept. A scanned sparsity $s$ is *safe* for layer $\ell$ when
#
# $$a_\ell(s') \ge a_0 - \varepsilon \quad \text{for every scanned } s' \le s,$$
#
# and $s_\ell$ is the largest safe one, or 0.0 where none is safe. Here $a_0$ is `baseline`, $\varepsilon$ is
# `tolerance`, and $a_\ell$ is `scan[name]`. The condition on all smaller $s'$ guards against luck: an accuracy that
# falls and jumps up again is noise, not safety.
#
# *By hand.* Sparsities $(0.2,\ 0.4,\ 0.6)$, baseline $0.90$, tolerance $0.05$, so the limit is $0.85$. Accuracies
# $(0.89,\ 0.80,\ 0.88)$: 0.4 is not safe, so 0.6 is not either, and 0.2 is chosen.
#
# <details><summary>Hint</summary>
#
# Walk along the sparsities from the smallest, remember the last safe one, and stop at the first that is not.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=8
from solutions.lab03_magnitude import choose_sparsities

# %% tags=["visible-check"]
scan = {
    "falls": [0.89, 0.80, 0.40],
    "flat": [0.90, 0.90, 0.88],
    "jumps back": [0.89, 0.80, 0.88],
    "fragile": [0.70, 0.50, 0.20],
}
result = choose_sparsities(scan, [0.2, 0.4, 0.6], 0.90, 0.05)
assert isinstance(result, dict) and all(isinstance(choice, (int, float)) for choice in result.values()), (
    f"You returned {result!r}: return a dictionary with one sparsity, a number, for each layer. "
    "(None? Then did you forget `return`?)"
)
assert result.keys() == scan.keys(), (
    f"You chose for the layers {list(result)}, and the scan has {list(scan)}. A layer with no safe sparsity gets 0.0."
)
assert result == {"falls": 0.2, "flat": 0.6, "jumps back": 0.2, "fragile": 0.0}, (
    f"You returned {result}. The limit is 0.90 - 0.05 = 0.85. `falls` reaches it at 0.2 only, `flat` at 0.2, 0.4 and 0.6, "
    "`fragile` never, so 0.0.\n"
    "Is `jumps back` 0.6? It is below the limit at 0.4, so nothing larger is safe: stop there.\n"
    "Is `flat` 0.2? Choose the largest safe one.\n"
    "Is `falls` 0.4? That is the first one that is not safe.\n"
    "Is `falls` 0.89? Return the sparsity, not the accuracy."
)
print("choose_sparsities: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: does the scan choose well?
#
# For each tolerance the scan chooses the layer sparsities. Together they make a total sparsity, which differs from seed to
# seed; uniform and global get exactly that total. The smallest tolerance is one point, and one point is within the noise:
# see whether the choice suffers. The choice was made on validation images, so this one time we read the test images. Each
# grey line joins the three results of one seed.
#
# The table asks one more thing. The scan measured by how much the accuracy drops when each layer is pruned *alone*. Do
# these drops add up to the drop when all layers are pruned *together*?

# %% tags=["experiment"]
test_images, test_labels = (tensor.to(device) for tensor in load_fashion_mnist("test"))
tolerances = [0.01, 0.03, 0.05]
ways = ["uniform", "scan", "global"]
test_accuracy, total_sparsity, added_drop, joint_drop, test_dense = {}, {}, {}, {}, {}
for kind, seed in tqdm(every_network, desc="networks"):
    model, scan, baseline = networks[kind][seed], scans[kind][seed], baselines[kind][seed]
    test_dense[kind, seed] = accuracy(model, test_images, test_labels)
    for tolerance in tolerances:
        chosen = choose_sparsities(scan, sparsities, baseline, tolerance)
        masks = {"scan": {name: magnitude_mask(weight, chosen[name]) for name, weight in layers(model).items()}}
        total = removed(masks["scan"])
        for method, make_masks in methods.items():
            masks[method] = make_masks(layers(model), total, magnitude_mask)
        for way in ways:
            result = accuracy(pruned(model, masks[way]), test_images, test_labels)
            test_accuracy[kind, tolerance, way, seed] = result
        alone = [baseline - scan[name][sparsities.index(s)] for name, s in chosen.items() if s > 0]
        total_sparsity[kind, tolerance, seed] = total
        added_drop[kind, tolerance, seed] = sum(alone)
        joint_drop[kind, tolerance, seed] = baseline - validate(pruned(model, masks["scan"]))

fig, axes = plt.subplots(1, 2, figsize=(10, 4.8), sharey=True)
for ax, kind in zip(axes, networks):
    ticks = []
    for group, tolerance in enumerate(tolerances):
        place = group + 0.25 * np.arange(-1, 2)  # one for each way
        values = 100 * np.array([[test_accuracy[kind, tolerance, way, seed] for way in ways] for seed in SEEDS])
        ax.plot(place, values.T, color="grey", linewidth=0.8, zorder=1)
        for column, (way, colour) in enumerate(zip(ways, ("vermilion", "green", "blue"))):
            ax.scatter([place[column]] * len(SEEDS), values[:, column], color=COLOURS[colour], zorder=2,
                       marker=MARKERS[list(COLOURS).index(colour)], label=way if group == 0 else None)
        shares = [100 * total_sparsity[kind, tolerance, seed] for seed in SEEDS]
        ends = dict.fromkeys([f"{min(shares):.0f}", f"{max(shares):.0f}"])  # one entry where both read the same
        ticks.append(f"{100 * tolerance:.0f}\nremoved:\n{' to '.join(ends)} %")
    dense = 100 * np.mean([test_dense[kind, seed] for seed in SEEDS])
    ax.axhline(dense, color="grey", linestyle=":", label="not pruned")
    ax.set_xticks(range(len(tolerances)), ticks)
    label_axes(ax, x="tolerance of the scan", x_unit="points of accuracy", y="test accuracy", y_unit="%",
               title=TITLE[kind])
    ax.grid(axis="x", visible=False)
axes[0].legend(loc="lower left")
axes[1].set_ylabel("")
show(fig, alt="Test accuracy of three ways to share one total sparsity, for three tolerances and three seeds, in the "
     "MLP and the CNN. The scan's choice beats uniform; global pruning does at least as well as the scan in nearly "
     "every case.")

print("Drop of validation accuracy, in points   each layer alone, added up   all layers together")
for kind in networks:
    for tolerance in tolerances:
        added, joint = ([drops[kind, tolerance, seed] for seed in SEEDS] for drops in (added_drop, joint_drop))
        added, joint = (in_percent(drops).removesuffix(" %") for drops in (added, joint))
        print(f"{TITLE[kind]}, tolerance {100 * tolerance:.0f} {added:>47} {joint:>21}")

# %% [markdown]
# **What we saw.** Follow the grey lines. In the CNN the scan's choice lies far above uniform, whatever the seed; in the MLP
# it helps in most runs, and a line or two may go the other way. So measuring the layers pays. But global pruning, which
# measured nothing, does at least as well as the scan in nearly every run. The experiment
# suggests two reasons.
#
# The first is in the table. The drops do not add up: on average the drop of all layers together is larger than the sum of
# the single drops, and far larger at the larger tolerances. Each layer was measured in a network whose other layers were
# whole.
#
# The second is in the rule. Every layer is allowed the same drop, whether it holds many weights or few. A small layer uses
# up its allowed drop and saves almost no weights. Global pruning takes less from it.
#
# *Try it:* after the line `chosen = …`, set the chosen sparsity of every layer with fewer than 10,000 weights to 0.0.
# This is a new choice, so load `"validation"` in place of `"test"` in the first line. Run the cell again. Does the scan
# catch up?

# %% [markdown] tags=["question"]
# ### Written question
#
# Choose one of the two networks. You may prune only two of its layers: which two, and which do you leave alone? Answer in
# about ten lines, with your own plots as evidence. Say (a) which *two* properties of a layer decide, and why one of them
# alone is not enough; (b) whether "the first layer is the most sensitive" holds for both networks of this lab;
# (c) one thing that the scan cannot tell you.

# %% [markdown] tags=["written"] points=3 grade_id="which_layer_first"
# **Model answer.** (a) How far the accuracy drops when the layer is pruned (its curve in the scan), and how many weights it
# has. In the CNN `fc1` comes first: its curve is the flattest, and it holds 73,728 of the 98,192 prunable weights, so it
# gives the most for the least. `conv3` comes second, with 18,432. `conv1` is left alone: it is the most sensitive, and its 144 weights
# would save nothing. Sensitivity alone would rank a tiny safe layer high, although pruning it saves nothing; size alone
# would prune a large layer that cannot bear it. (For the MLP: `fc1` and `fc2`, and `fc3` is left alone. `fc2` bears more
# than `fc1`, but `fc1` holds 235,200 of the 266,200 weights.)
#
# (b) No. In the CNN the first convolution falls first. In the MLP the last layer does at high sparsity: it is small (1,000
# weights, 100 for each class). At mild sparsities the layers of the MLP cannot be told apart.
#
# (c) Any one of: what happens when several layers are pruned together (in the last experiment the joint drop is not
# the sum of the single drops); what fine-tuning would repair; whether another rule than magnitude would rank the layers
# in the same way; anything finer than the noise of 1,000 images and three seeds.
#
# **Points.** 1 for (a): both properties, and a reason why one is not enough. 1 for (b): "not a law", with evidence from the
# answerer's own MLP plot. 1 for (c): one true limit. A sensible choice of other layers earns full points when the
# answer's own plots support it.

# %% tags=["record"]
# For the course's makers: where LABKIT_RECORD names a folder, write what the lecture note quotes into it.
import json
import os
from pathlib import Path


def summary(values):
    """Mean and standard deviation over the seeds, and the single values, as fractions."""
    values = [round(float(value), 6) for value in values]
    return {"mean": round(float(np.mean(values)), 6), "sd": round(float(np.std(values, ddof=1)), 6), "seeds": values}


def by_percent(xs, rows):
    """{x in percent: summary of that column of rows, [seeds, xs]}."""
    return {f"{100 * x:g}": summary(column) for x, column in zip(xs, np.array(rows).T)}


def over_seeds(table, *key):
    """Summary of the entries of a table whose keys end with the seed."""
    return summary([table[(*key, seed)] for seed in SEEDS])


if folder := os.environ.get("LABKIT_RECORD"):
    at = int(np.argmin(abs(thresholds - 0.1)))
    record = {
        "made_by": "in labs/: LABKIT_RECORD=../data/results python source/lab03_magnitude.py",
        "unit": "accuracies, drops and sparsities are fractions; sd is the standard deviation over seeds (n - 1)",
        "images": {"validation": len(images), "test": len(test_images)},
        "tutorial": {"threshold_0_1": {n: summary(v[:, at]) for n, v in by_threshold["tutorial"].items()}},
    }
    for kind in networks:
        record[kind] = {
            "dense": summary(baselines[kind]),
            "dense_test": over_seeds(test_dense, kind),
            "threshold_0_1": {
                "accuracy": summary(threshold_accuracy[kind]),
                "sparsity": summary(threshold_total[kind]),
                "layers": {name: summary(values[:, at]) for name, values in by_threshold[kind].items()},
            },
            "rows": {rule.replace(" ", "_"): by_percent(row_sparsities, row_accuracy[kind, rule]) for rule in row_rules},
            "rules": {rule: by_percent(rule_sparsities, rule_accuracy[kind, rule]) for rule in rules},
            **{method: by_percent(totals, shared_accuracy[kind, method]) for method in methods},
            "global_layers": {name: by_percent(totals, rows) for name, rows in global_shares[kind].items()},
            "scan": {name: by_percent(sparsities, [scan[name] for scan in scans[kind]]) for name in scans[kind][0]},
            "chosen": {
                f"{100 * tolerance:g}": {
                    "total_sparsity": over_seeds(total_sparsity, kind, tolerance),
                    "added_drop": over_seeds(added_drop, kind, tolerance),
                    "joint_drop": over_seeds(joint_drop, kind, tolerance),
                    "test": {way: summary([test_accuracy[kind, tolerance, way, seed] for seed in SEEDS]) for way in ways},
                }
                for tolerance in tolerances
            },
        }
    record["cnn"]["cut_at_80"] = {name: summary(cuts) for name, cuts in rank_cuts.items()}
    Path(folder, "lab03_magnitude.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

# %% [markdown]
# ## What to take with you
#
# - **Which weights?** The large ones. Removing the smallest weights keeps the accuracy longest, chance comes next, and
#   removing the largest costs most. For whole rows the norm is a much weaker guide.
# - **In which layers?** That depends on the network: the first convolution is the most sensitive layer of our CNN; in
#   the MLP it is the last layer, once the pruning is strong. To know it for another network, scan that network.
# - **How to share a sparsity?** Not in equal parts. One global ranking was the best way here, or as good as any,
#   and needs no measurement. It is not safe in general: the ranking compares weights of different layers, and it can
#   empty a layer whose weights happen to be small.
# - **Read the bands.** Three seeds and 1,000 images leave a spread. A difference inside it is no difference.
#
# All of this is one shot, without training afterwards. Lab 4 asks how much fine-tuning brings back, and whether it is
# better to prune little by little.
#
# **Read next.** Han et al. (2015), section 5 and figure 6, for the sensitivity of AlexNet. Blalock et al. (2020), for why
# two papers that prune "the same network" can seldom be compared. Lee et al. (2021),
# [arXiv:2010.07611](https://arxiv.org/abs/2010.07611), for a score that makes the layers comparable before they are
# ranked together. The lecture note of this lab (`lecture_notes/lab03_magnitude.md` in the course's repository) works
# small examples by hand.
