# %% [markdown] tags=["lab"] question="Who should choose the ratios?" minutes=110 prerequisite="lab07_activations"
# # Lab 11 · Automatic pruning
#
# **The question: who should choose the ratios?**
#
# How many channels should each layer keep? So far you said: the same share everywhere, or you looked at a plot and decided.
# A program can choose as well. It draws sub-networks that fit a budget, judges each one quickly, and searches for a better one. In this
# lab you build every part of such a program. Then you ask whether its quick judgement can be trusted, which search is best
# for the same number of evaluations, and whether the result beats the same ratio everywhere.
#
# | you build | it answers |
# |---|---|
# | `uniform_widths` | What does the simplest rule choose? |
# | `sample_widths` | What does a random network of the same cost look like? |
# | `adapt_batchnorm` | How is a pruned network judged without training it? |
# | `rank_correlation` | Does the quick judgement put networks in the right order? |
# | `evolve` | How do good networks lead to better ones? |
# | `reinforce_step` | How does a policy learn from rewards? |
#
# **Before you begin.** You have done Lab 7 (networks rebuilt without channels). The lecture note of this lab
# (`lecture_notes/lab11_automatic.md` in the course's repository) teaches the ideas first.
#
# **How long it takes.** The experiments together run for less than a minute on a quiet laptop with two cores, and for several
# minutes on a busy one. Every experiment of more than two seconds shows its progress in a bar.
#
# **Papers.** He et al. (2018), "AMC", [arXiv:1802.03494](https://arxiv.org/abs/1802.03494): a reinforcement learner
# chooses the ratio of each layer. Li et al. (2020), "EagleEye", [arXiv:2007.02491](https://arxiv.org/abs/2007.02491):
# judge a pruned network after its BatchNorm statistics are adapted. Liu et al. (2019), "MetaPruning",
# [arXiv:1903.10258](https://arxiv.org/abs/1903.10258): evolutionary search over the widths.
#
# **The words.** The *width* of a layer is its number of channels or units, a *ratio* the share of them that it keeps. A *width
# vector* names the width of each layer. *MACs* are multiply-adds. A network is *in the window* if its MACs are between a
# least and a most. *Pruned* is a network just after the cut, *adapted* one whose BatchNorm statistics were then computed
# anew, and *tuned* one that was trained again. The *reward* of a width vector is what the search tries to make large. A *policy*
# is a rule that says with which probability each choice is made. Accuracies are given in percent, and their differences in *points*
# (percentage points).
#
# **How it is graded.** Each exercise has a visible check, which you can run as often as you like, and hidden checks,
# which run when the work is graded. Cells marked as experiment are *not* run then. So if an exercise needs a helper
# function of yours, write it in the exercise cell or in a new cell of your own, not in an experiment cell.
# No exercise needs your answer to another one. You may call it all the same; a mistake in it then costs in both.

# %% tags=["setup"]
import copy
import math
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from labkit.checkpoints import SEEDS, load_checkpoint
from labkit.cost import count_macs, count_parameters
from labkit.datasets import load_fashion_mnist
from labkit.plots import COLOURS, MARKERS, curve, label_axes, show, use_style
from labkit.training import accuracy, train
from labkit.widths import FULL, LAYERS, cnn_macs, load_width_table, narrow

use_style()

# %% [markdown]
# ## What the experiments use
#
# The CNN of the course, trained three times with different random numbers (three *seeds*). Each trained network is stored in a file, a
# *checkpoint*, so there are checkpoints 0, 1 and 2. Its four widths are those of three convolutions and of the hidden linear layer. `narrow(model, widths)` rebuilds it with the filters of the largest L1 norm (Lab 7), and `cnn_macs(widths)` counts
# its MACs.
#
# **Recorded results.** Fine-tuning a hundred networks does not fit into a minute. So the course ships a table: each width in
# eighths of the full one, from two to eight eighths, and of these vectors all those with 37.5% to 40.5% of the MACs. For every one
# of them the accuracy was read before any training. Forty of them, drawn at random, were fine-tuned; the uniform one is among them. The script `data/make_width_accuracies.py`
# in the course's repository makes it again. A search below *looks up* its evaluations in this table. Nothing else about it is
# different from a search that computes them. Some numbers of the table are computed again here, so that you can compare: the uniform
# network before fine-tuning (Part 2) and after it (Part 4).
#
# The validation images are cut into two halves of 1,000: the *first* half gives the rewards, the *second* tells whether a reward
# can be believed. The test images are read at the end.

# %% tags=["experiment"]
torch.set_num_threads(1)  # these networks are small, and with one thread a repetition gives the same numbers
train_images, train_labels = (tensor[:6000] for tensor in load_fashion_mnist("train"))
images, labels = load_fashion_mnist("validation")
networks = [load_checkpoint("cnn", seed) for seed in SEEDS]
table = load_width_table()
row_of = {widths: row for row, widths in enumerate(table.widths)}
recorded = table.accuracy  # name: [vectors, checkpoints]
macs = np.array([cnn_macs(widths) for widths in table.widths])
BATCHES = list(train_images[:1000].split(200))  # what adapts the statistics: no labels are needed


def build(seed, widths):
    """The pruned network. Channels-last, another order in memory, is about twice as fast for convolutions."""
    return narrow(networks[seed], widths).to(memory_format=torch.channels_last)


def in_percent(values):
    """Mean and standard deviation, as text."""
    return f"{100 * np.mean(values):5.1f} ± {100 * np.std(values, ddof=1):4.1f} %"


print(f"the whole network: widths {FULL}, {cnn_macs(FULL):,} MACs")
print(f"the window: {table.window[0]:,} to {table.window[1]:,} MACs; {len(table.widths)} of {np.prod([len(layer) for layer in table.levels]):,} vectors are in it")

# %% [markdown]
# ## Part 1 · Networks of the same cost
#
# ### Exercise uniform_widths
#
# First the simplest rule, which every search has to beat: the same ratio everywhere. Try the ratios $k / S$ for
# $k = 1, \dots, S$. A layer of width $f_\ell$ keeps
#
# $$w_\ell(k) = \max\!\left(1,\ \text{round}\!\left(k f_\ell / S\right)\right),$$
#
# and you return $w(k)$ for the largest $k$ with $\text{MACs}(w(k)) \le B$. Here $f$ is `full`, $S$ is `steps`, $B$ is `budget`,
# and the function `macs` counts.
#
# *By hand.* Two layers of 8 and 2 units, MACs $= w_1 w_2$, $S = 4$. The ratios 1/4, 2/4, 3/4 and 1 give the widths $(2, 1)$
# (round(0.5) is 0, so 1), $(4, 1)$, $(6, 2)$ and $(8, 2)$, with 2, 4, 12 and 16 MACs. For $B = 12$ that is $(6, 2)$. At a quarter
# of the MACs, $B = 4$, it is $(4, 1)$.
#
# <details><summary>Hint</summary>
#
# MACs never fall when the ratio grows. So the first ratio that fits, counted down from 1, is the largest.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=8
from solutions.lab11_automatic import uniform_widths

# %% tags=["visible-check"]
result = uniform_widths((8, 2), math.prod, 12, 4)  # the MACs of two layers are the product of their widths here
assert result == (6, 2) and isinstance(result, tuple), (
    f"You returned {result!r}; with 12 MACs the ratio 3/4 fits exactly: (6, 2), a tuple.\n"
    "Is it (4, 1)? Then a network that needs exactly the budget was refused. Is it (2, 1)? Then you stopped at the smallest."
)
assert uniform_widths((8, 2), math.prod, 3, 4) == (2, 1), (
    f"You returned {uniform_widths((8, 2), math.prod, 3, 4)!r}; with 3 MACs only the ratio 1/4 fits, and each layer keeps at least 1: (2, 1)."
)
try:
    uniform_widths((8, 2), math.prod, 1, 4)
except ValueError:
    pass
else:
    raise AssertionError("Nothing fits a budget of 1, and no ValueError was raised.")
print("uniform_widths: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Exercise sample_widths
#
# Now a random network of the same cost. Draw the width of each layer by itself, each level with the same probability, and keep the
# vector if
#
# $$B_{\min} \le \text{MACs}(w) \le B_{\max}.$$
#
# Else throw the whole vector away and draw again: this is *rejection sampling*. Every network in the window then has the same
# chance. Do not repair a vector that misses: then some networks come more often than others. At most `tries` vectors are drawn. Here $B_{\min}$ and
# $B_{\max}$ are `window`, and the levels of layer $\ell$ are `levels[l]`.
#
# *By hand.* Two layers with the levels 1, 2, 3, MACs $= w_1 w_2$, window 3 to 4: of the nine vectors $(1, 3)$, $(2, 2)$ and $(3, 1)$
# are inside. Each is returned with probability 1/3.
#
# <details><summary>Hint</summary>
#
# `torch.randint(n, (1,), generator=generator)` draws a position from 0 to n - 1 with your generator. `int(...)` makes a Python
# number of it. Count the tries with a `for`, so that an empty window ends in an error and not in an endless loop.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab11_automatic import sample_widths

# %% tags=["visible-check"]
generator = torch.Generator().manual_seed(0)
draws = [sample_widths([[1, 2, 3], [1, 2, 3]], math.prod, (3, 4), generator, 1000) for _ in range(300)]
assert all(isinstance(widths, tuple) and len(widths) == 2 for widths in draws), f"You returned {draws[0]!r}: return a tuple, one width for each layer."
assert all(3 <= math.prod(widths) <= 4 for widths in draws), f"{next(w for w in draws if not 3 <= math.prod(w) <= 4)} is outside the window from 3 to 4 MACs."
counts = {widths: draws.count(widths) for widths in ((1, 3), (2, 2), (3, 1))}
assert min(counts.values()) > 60, (
    f"In 300 draws the three vectors of the window came {counts} times; each should come about 100 times.\n"
    "Are some missing? Then perhaps the ends of the window are excluded, or all the layers share one ratio."
)
again = torch.Generator().manual_seed(0)
assert draws[:5] == [sample_widths([[1, 2, 3], [1, 2, 3]], math.prod, (3, 4), again, 1000) for _ in range(5)], (
    "The same state of the generator gave other widths: all randomness must come from the generator."
)
try:
    sample_widths([[1, 2, 3], [1, 2, 3]], math.prod, (7, 8), generator, 100)
except ValueError:
    pass
else:
    raise AssertionError("No network has 7 or 8 MACs, and no ValueError was raised.")
print("sample_widths: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: the same cost, many shapes
#
# Four hundred random networks of the window, and the uniform one. What do they have in common?

# %% tags=["experiment"]
uniform = uniform_widths(FULL, cnn_macs, table.window[1], 8)
generator = torch.Generator().manual_seed(1)
drawn = [sample_widths(table.levels, cnn_macs, table.window, generator, 10_000) for _ in range(400)]
ratios = np.array(drawn) / np.array(FULL)  # 400, 4
check = max(abs(cnn_macs(w) - count_macs(narrow(networks[0], w), (1, 28, 28))) for w in drawn[:20])

fig, ax = plt.subplots(figsize=(8, 4))
jitter = np.random.default_rng(0).uniform(-0.05, 0.05, ratios.shape)
for row in 100 * (ratios + 0.3 * jitter):
    ax.plot(range(4), row, color=COLOURS["sky"], alpha=0.08, linewidth=1)
for place in range(4):
    ax.plot(place + 2 * jitter[:, place], 100 * ratios[:, place], ".", color=COLOURS["blue"], alpha=0.25)
ax.plot(range(4), 100 * np.array(uniform) / np.array(FULL), color="black", marker="D", label=f"uniform {uniform}")
ax.set_xticks(range(4), LAYERS)
label_axes(ax, x="layer", x_unit="name", y="ratio kept", y_unit="%", title="400 networks with nearly the same MACs")
ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18))
show(fig, alt="Ratios of four layers for 400 random networks. Nearly every ratio from 25 to 100% occurs in every layer, but the second convolution never keeps only 25%. The uniform network is a flat line at 62.5%.")

parameters = [count_parameters(narrow(networks[0], w)) for w in drawn[:100]]
print(f"formula against counting: {check} MACs apart at most")
print(f"MACs {100 * macs.min() / cnn_macs(FULL):.1f} to {100 * macs.max() / cnn_macs(FULL):.1f} % of the whole network; parameters {min(parameters):,} to {max(parameters):,}")
print(f"uniform: {uniform}, {100 * cnn_macs(uniform) / cnn_macs(FULL):.1f} %")

# %% [markdown]
# **What we saw.** Networks of nearly the same MACs can look very different, and their numbers of parameters differ by a
# factor of several. The hidden linear layer costs few MACs, so the window hardly limits its width. Somebody has to choose.
#
# ## Part 2 · A quick judgement
#
# To know how good a width vector is, one would have to fine-tune its network. That is expensive. Can it be judged before?
#
# ### Exercise adapt_batchnorm
#
# BatchNorm remembers a mean and a variance for each channel: the *running statistics*. In the pruned network the inputs of a layer are
# sums over fewer channels, so their means and variances are others. But the statistics are still those of the whole network. So
# compute them anew, from a few batches $b = 1, \dots, n$ of training images, without labels and without training:
#
# $$\mu \leftarrow \frac{1}{n}\sum_{b=1}^{n} \mu_b, \qquad \sigma^2 \leftarrow \frac{1}{n}\sum_{b=1}^{n} \sigma_b^2 .$$
#
# Here $\mu_b$ and $\sigma_b^2$ are mean and (unbiased) variance of a channel in batch $b$, and $\mu$, $\sigma^2$ become `running_mean` and
# `running_var`. PyTorch does this for you: a BatchNorm layer in training mode updates its statistics in each forward pass, with
# weight `momentum`, and with `momentum = None` it takes the plain average since the last reset. This step is called adaptive
# BatchNorm; it is the heart of EagleEye (Li et al. 2020).
#
# *By hand.* One channel, two batches: $(0, 2)$ and $(4, 4, 4)$. The means are 1 and 4, the variances 2 and 0. So $\mu = 2.5$ and
# $\sigma^2 = 1$. With PyTorch's usual momentum of 0.1 the last batch would weigh most, and the old statistics would
# still count; all five numbers in one batch would give the mean 2.8.
#
# <details><summary>Hint</summary>
#
# `reset_running_stats()` forgets the old statistics. Put the whole model into evaluation mode first, then only the BatchNorm layers into
# training mode, so that dropout stays off. Remember `momentum` and `training` of what you change, and give them
# back in `finally`. `model.modules()` lists all modules, also those deep inside.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=20
from solutions.lab11_automatic import adapt_batchnorm

# %% tags=["visible-check"]
norm = nn.BatchNorm1d(1)
norm.running_mean.fill_(100.0)  # old statistics, as if the layer had been trained
norm.running_var.fill_(50.0)
norm.num_batches_tracked.fill_(7)
model = nn.Sequential(norm, nn.Dropout(0.5)).eval()
result = adapt_batchnorm(model, [torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [4.0], [4.0]])])
assert result is None, f"You returned {result!r}: the model is changed in place, and nothing is returned."
found = [round(norm.running_mean.item(), 3), round(norm.running_var.item(), 3)]
assert found == [2.5, 1.0], (
    f"Mean and variance are now {found}; the averages over the two batches are [2.5, 1.0].\n"
    "Is the mean above 10? Then the old statistics still count. Is it 0.49? Then `momentum` is still 0.1.\n"
    "Is it 2.8? Then all the images were put into one batch. Is it 0.0? Then BatchNorm was in evaluation mode."
)
assert norm.num_batches_tracked == 2, f"`num_batches_tracked` is {norm.num_batches_tracked.item()}; the statistics come from 2 batches."
assert norm.momentum == 0.1, f"`momentum` is {norm.momentum} afterwards; it was 0.1 before. Give it back."
assert not norm.training and not model.training, "The model was in evaluation mode before the call, and it is not afterwards."
try:
    adapt_batchnorm(model, [])
except ValueError:
    pass
else:
    raise AssertionError("Without any batch no ValueError was raised.")
print("adapt_batchnorm: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: what the cut does to BatchNorm
#
# One pruned network, the uniform one. For each channel of the second and third convolution: the running standard deviation that it took
# over from the whole network, and the adapted one. Then the accuracy of the pruned and of the adapted network.

# %% tags=["experiment"]
fig, axes = plt.subplots(1, 2, figsize=(10, 4.4))
before = build(0, uniform)
after = copy.deepcopy(before)
adapt_batchnorm(after, BATCHES)
shifts = {}
for ax, name in zip(axes, ("bn2", "bn3")):
    old, new = (getattr(model, name).running_var.sqrt().numpy() for model in (before, after))
    shifts[name] = float(np.median(new / old))
    print(f"{name}: in {(new < old).sum()} of {len(old)} channels the adapted standard deviation is the smaller one")
    ax.plot(old, new, "o", color=COLOURS["blue"], alpha=0.6)
    ends = [min(old.min(), new.min()), max(old.max(), new.max())]
    ax.plot(ends, ends, color="black", linestyle=":", label="as before")
    label_axes(ax, x="standard deviation, taken over", x_unit="channel input", y="adapted", y_unit="channel input",
               title=f"convolution {name[-1]}: median ratio {shifts[name]:.2f}")
    ax.legend()
show(fig, alt="For each channel, the standard deviation that BatchNorm took over against the adapted one. All the points lie below the diagonal.")

live = {"pruned": [], "adapted": []}
for seed in SEEDS:
    model = build(seed, uniform)
    live["pruned"].append(accuracy(model, images[:1000], labels[:1000]))
    adapt_batchnorm(model, BATCHES)
    live["adapted"].append(accuracy(model, images[:1000], labels[:1000]))
for stage, values in live.items():
    there = recorded[f"{stage}_first"][row_of[uniform]].numpy()
    print(f"{stage:8} {in_percent(values)}   in the table {in_percent(there)}, at most {1000 * np.abs(there - values).max():.0f} of 1,000 images apart")

# %% [markdown]
# **What we saw.** All the points lie below the diagonal: the inputs vary less, as one expects where fewer channels are summed. So the old
# statistics divide by too much. After the adaptation the same weights classify more images. Nothing was learnt: no weight has changed. Right
# after the cut the three checkpoints differ much from each other, and after the adaptation little: compare the printed spreads.
#
# ### Exercise rank_correlation
#
# A quick judgement need not be right in its numbers. It should be right in its *order*. Spearman's rank correlation
# measures that: give each number its rank $r_i$ (1 for the smallest; equal numbers share the mean of their ranks), and compute
#
# $$\rho = \frac{\sum_i (r_i - \bar r)(q_i - \bar q)}{\sqrt{\sum_i (r_i - \bar r)^2 \, \sum_i (q_i - \bar q)^2}}.$$
#
# Here $r$ are the ranks of `first`, $q$ those of `second`, and the bar is the mean. Accuracies on 1,000 images have many ties, so they
# matter.
#
# *By hand.* $(1, 2, 3)$ and $(10, 10, 90)$: the ranks are $(1, 2, 3)$ and $(1.5, 1.5, 3)$, centred $(-1, 0, 1)$ and
# $(-0.5, -0.5, 1)$. $\rho = 1.5 / \sqrt{2 \cdot 1.5} = 0.866$. Without sharing it would be 1.
#
# <details><summary>Hint</summary>
#
# The rank of a number is: how many are smaller, plus half of (how many are equal, itself included, plus 1). Comparing all with all
# (`values[:, None] > values[None, :]`) counts both.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab11_automatic import rank_correlation

# %% tags=["visible-check"]
result = rank_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10, 10, 90]))
assert isinstance(result, float), f"You returned {result!r}: return a Python float."
assert round(result, 3) == 0.866, (
    f"You returned {result:.3f}; the ranks (1, 2, 3) and (1.5, 1.5, 3) give 0.866.\n"
    "Is it 1.0? Then equal numbers got different ranks. Is it 0.875? Then you used the formula for lists without ties."
)
assert round(rank_correlation(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([9.0, 3.0, 2.0, -50.0])), 6) == -1.0, (
    "The second list falls where the first one rises, so the correlation is -1, however far apart the numbers are."
)
try:
    rank_correlation(torch.ones(3), torch.tensor([1.0, 2.0, 3.0]))
except ValueError:
    pass
else:
    raise AssertionError("A list of equal numbers has no order, and no ValueError was raised.")
print("rank_correlation: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: can the quick judgement be trusted?
#
# The forty width vectors that were fine-tuned (47 steps of 128 images, about one pass over the 6,000 training images). Quick judgements come from the first half of the validation images, the final accuracy from the second, so that chance cannot raise both by the same images. As
# rivals, two numbers that need no image at all: the MACs and the number of parameters.

# %% tags=["experiment"]
tuned_rows = np.flatnonzero(~np.isnan(recorded["tuned_second"][:, 0].numpy()))
final = recorded["tuned_second"][tuned_rows]  # 40, 3
sizes = torch.tensor([count_parameters(narrow(networks[0], table.widths[row])) for row in tuned_rows])
judges = {
    "pruned": recorded["pruned_first"][tuned_rows],
    "adapted": recorded["adapted_first"][tuned_rows],
    "tuned": recorded["tuned_first"][tuned_rows],
    "parameters": sizes[:, None].expand(-1, len(SEEDS)),
    "MACs": torch.tensor(macs[tuned_rows])[:, None].expand(-1, len(SEEDS)),
}
agreement = {name: [rank_correlation(values[:, s], final[:, s]) for s in SEEDS] for name, values in judges.items()}

fig, axes = plt.subplots(1, 2, figsize=(11, 4.4), sharex=True, sharey=True)
for ax, (name, title) in zip(axes, {"pruned": "statistics of the whole network", "adapted": "statistics adapted"}.items()):
    for seed, (colour, marker) in enumerate(zip(("blue", "vermilion", "green"), "os^")):
        ax.plot(100 * judges[name][:, seed], 100 * final[:, seed], marker, color=COLOURS[colour], alpha=0.7, label=f"checkpoint {seed}")
    label_axes(ax, x="accuracy before fine-tuning", x_unit="%", y="after fine-tuning", y_unit="%",
               title=f"{title}: rank correlation {np.mean(agreement[name]):.2f}")
axes[0].legend(loc="lower right")
axes[1].set_ylabel("")
show(fig, alt="Accuracy after fine-tuning against accuracy before, on the same scale, for 40 networks and three checkpoints. With the old statistics the points scatter "
     "widely; with adapted statistics they follow a rising band more closely.")
print("rank correlation with the accuracy after fine-tuning, mean and spread over the three checkpoints:")
for name, values in agreement.items():
    print(f"  {name:11} {np.mean(values):5.2f} ± {np.std(values, ddof=1):.2f}   " + "  ".join(f"{value:.2f}" for value in values))
print(f"after fine-tuning the {len(final)} networks lie between {100 * final.mean(1).min():.1f} and {100 * final.mean(1).max():.1f} %")

# %% [markdown]
# **What we saw.** Compare the rows. Adapted statistics agree better with the final accuracy than the old ones, on each of the three checkpoints. The
# row *tuned* is a reference: as well as the fine-tuned accuracy agrees with itself on other images. It is no true upper bound, since both
# readings are noisy, but the adapted accuracy comes near it without any training. MACs say little, since the window was made narrow; the number of parameters says more,
# and costs nothing.
#
# ## Part 3 · Search
#
# ### Exercise evolve
#
# Evolution keeps a *population* of width vectors. In each generation the fittest pass unchanged (*elites*), and the others are replaced
# by children: each child takes every layer's width from one of two parents (*crossover*), then some of its layers are drawn anew
# (*mutation*). A child outside the window is thrown away, and two parents are drawn anew.
#
# *By hand.* The parents $(2, 8)$ and $(6, 4)$ can have the children $(2, 8)$, $(2, 4)$, $(6, 8)$ and $(6, 4)$ without mutation, each
# with probability 1/4. With MACs $= w_1 w_2$ and a window from 10 to 30, only $(2, 8)$ with 16 and $(6, 4)$ with 24 MACs are inside:
# $(2, 4)$ has 8, $(6, 8)$ has 48.
#
# <details><summary>Hint</summary>
#
# Sort the positions by fitness; Python's `sorted` keeps the order of equal ones, also with `key=`. Two different members:
# the first two entries of `torch.randperm(parents, generator=generator)`. Loop until the new list is as long as the old one.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=22
from solutions.lab11_automatic import evolve

# %% tags=["visible-check"]
population = [(2, 8), (3, 4), (6, 4), (4, 4)]
fitness = [0.9, 0.1, 0.8, 0.2]
generator = torch.Generator().manual_seed(0)
levels = [[2, 3, 4, 6], [2, 4, 8]]
generations = [evolve(population, fitness, levels, math.prod, (0, 100), 2, 1, 0.0, generator) for _ in range(60)]
assert all(len(new) == 4 for new in generations), f"The new population has {len(generations[0])} vectors; the old one had 4."
assert all(new[0] == (2, 8) for new in generations), (
    f"The first vector is {generations[0][0]}; the elite, the fittest vector (2, 8), comes first, unchanged."
)
children = {child for new in generations for child in new[1:]}
assert children == {(2, 8), (2, 4), (6, 8), (6, 4)}, (
    f"Without mutation the children are {sorted(children)}; the two fittest, (2, 8) and (6, 4), can have (2, 4), (2, 8), (6, 4) and (6, 8).\n"
    "Are there only two kinds? Then nothing was crossed. Are there others? Then less fit vectors had children."
)
narrower = [evolve(population, fitness, levels, math.prod, (10, 30), 4, 0, 0.5, generator) for _ in range(60)]
assert all(10 <= math.prod(child) <= 30 for new in narrower for child in new), "A child is outside the window from 10 to 30 MACs."
assert population == [(2, 8), (3, 4), (6, 4), (4, 4)], "The population that was given is changed."
try:
    evolve(population, fitness, levels, math.prod, (0, 100), 1, 1, 0.5, generator)
except ValueError:
    pass
else:
    raise AssertionError("A single parent raised no ValueError.")
print("evolve: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Exercise reinforce_step
#
# A *policy* is a probability for every choice. Ours has a row of numbers (*logits*) $\theta_\ell$ for each layer, and draws the level
# $a_\ell$ with the probabilities $\pi_\ell = \text{softmax}(\theta_\ell)$. It should learn to draw good networks more
# often. The layers are drawn independently, so the probability $p(a)$ of all the choices together is a product:
# $\log p(a) = \sum_\ell \log \pi_{\ell, a_\ell}$. REINFORCE (Williams 1992) moves the logits along an estimate of the gradient of the
# expected reward, from $N$ samples:
#
# $$\theta \leftarrow \theta + \eta\, \frac{1}{N}\sum_{i=1}^{N} (R_i - b)\, \nabla_\theta \log p(a_i), \qquad
# \frac{\partial \log p(a)}{\partial \theta_{\ell k}} = \mathbf 1[a_\ell = k] - \pi_{\ell k},$$
#
# $$b \leftarrow d\, b + (1 - d)\, \frac1N \sum_{i=1}^{N} R_i .$$
#
# Here $\theta$ is `logits`, $\eta$ is `lr`, $a_i$ is `actions[i]`, $R_i$ is `rewards[i]`, $b$ is `baseline` and $d$ is `decay`. The
# baseline leaves the mean of the estimate as it is and makes its noise smaller. Without it every chosen level with a positive reward would be
# pushed up, the good ones a little more than the bad ones: the mean is the same, the noise larger. This step uses the old $b$.
#
# *By hand.* One layer, two levels, $\theta = (0, 0)$: $\pi = (0.5, 0.5)$. One sample chose level 0 and got $R = 0.9$; $b = 0.5$,
# $\eta = 1$. The gradient of $\log p$ is $(0.5, -0.5)$, so $\theta = (0.2, -0.2)$. With $d = 0.5$ the new baseline is 0.7.
#
# <details><summary>Hint</summary>
#
# `torch.nn.functional.one_hot(actions, K)` writes 1 at the chosen level. Or let autograd do it: `log_softmax`, pick the chosen entries, and
# take the gradient of the weighted mean. Either way the result must carry no gradient history.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=18
from solutions.lab11_automatic import reinforce_step

# %% tags=["visible-check"]
logits, baseline = reinforce_step(torch.zeros(1, 2), torch.tensor([[0]]), torch.tensor([0.9]), 0.5, 1.0, 0.5)
found = [round(value, 4) for value in logits.flatten().tolist()]
assert found == [0.2, -0.2], (
    f"The logits are {found}; 0.4 times the gradient (0.5, -0.5) is [0.2, -0.2].\n"
    "Is the sign turned? Then you stepped down. Is it [0.45, -0.45]? Then the baseline was not subtracted.\n"
    "Is it [0.4, 0.0]? Then the probabilities are missing. Is it [0.1, -0.1]? Then the new baseline was used."
)
assert isinstance(baseline, float) and round(baseline, 4) == 0.7, f"The new baseline is {baseline!r}; 0.5 * 0.5 + 0.5 * 0.9 = 0.7, a float."
two, _ = reinforce_step(torch.zeros(1, 2), torch.tensor([[0], [0]]), torch.tensor([0.9, 0.9]), 0.5, 1.0, 0.5)
assert torch.allclose(two, logits), "The same sample twice gives the same step: divide by the number of samples."
both, _ = reinforce_step(torch.zeros(2, 2), torch.tensor([[0, 1]]), torch.tensor([0.9]), 0.5, 1.0, 0.5)
found = [[round(value, 4) for value in row] for row in both.tolist()]
assert found == [[0.2, -0.2], [-0.2, 0.2]], (
    f"With two layers, of which the second chose level 1, the logits are {found}; expected: [[0.2, -0.2], [-0.2, 0.2]].\n"
    "Are the numbers half as large? Then you divided by the number of layers too: log p is a sum over them."
)
try:
    reinforce_step(torch.zeros(1, 2), torch.tensor([[2]]), torch.tensor([0.9]), 0.5, 1.0, 0.5)
except ValueError:
    pass
else:
    raise AssertionError("Level 2 does not exist among two levels (0 and 1), and no ValueError was raised.")
print("reinforce_step: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: three searches at the same number of evaluations
#
# Each search may evaluate 48 networks. The reward is the adapted accuracy on the first half of the validation images. *Random* draws 48
# networks of the window. *Evolution*: 12 random ones, then three generations of 12 children. The parents are the four best networks so far, and a
# width mutates with probability 0.4. *Policy gradient*: eight batches of six; each network is drawn from the policy, and drawn again where it
# misses the window. The step size is 10, and the first baseline is the mean reward of the first batch. Every search runs with 20 seeds on each of
# the three checkpoints. The table also knows the best network of all: the dashed line. Children and draws that were seen before count as evaluations too.
#
# Two remarks. With the same seed *random* and *evolution* begin with the same 12 networks. And the policy is judged only on draws inside the window,
# so its step is an approximation of the true gradient; the lecture note gives the missing term.

# %% tags=["experiment"]
EVALUATIONS, RUNS = 48, 20


def random_search(reward, generator):
    """Draw, and remember."""
    return [sample_widths(table.levels, cnn_macs, table.window, generator, 10_000) for _ in range(EVALUATIONS)]


def evolution(reward, generator):
    """Twelve random networks, then generations of twelve children, whose parents are the four best so far.

    `evolve` returns as many vectors as it is given: the four best, and a child in the place of every other one. So
    sixteen go in. The last twelve only fill the places; they are no parents, so their fitness does not matter.
    """
    asked = [sample_widths(table.levels, cnn_macs, table.window, generator, 10_000) for _ in range(12)]
    while len(asked) < EVALUATIONS:
        best = sorted(dict.fromkeys(asked), key=reward, reverse=True)[:4]  # different ones
        population = best + [best[-1]] * 12
        fitness = [reward(widths) for widths in best] + [0.0] * 12
        asked += evolve(population, fitness, table.levels, cnn_macs, table.window, 4, 4, 0.4, generator)[4:]
    return asked[:EVALUATIONS]


def policy_gradient(reward, generator, lr=10.0):
    """A policy for each layer, moved after every batch of six networks."""
    logits, baseline, asked = torch.zeros(4, 7), None, []
    while len(asked) < EVALUATIONS:
        actions = []
        while len(actions) < 6:
            choice = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).flatten()  # 4
            widths = tuple(layer[k] for layer, k in zip(table.levels, choice.tolist()))
            if table.window[0] <= cnn_macs(widths) <= table.window[1]:
                actions.append(choice)
                asked.append(widths)
        rewards = torch.tensor([reward(widths) for widths in asked[-6:]])
        baseline = float(rewards.mean()) if baseline is None else baseline
        logits, baseline = reinforce_step(logits, torch.stack(actions), rewards, baseline, lr, 0.5)
    return asked


searches = {"random": (random_search, "blue"), "evolution": (evolution, "vermilion"), "policy gradient": (policy_gradient, "green")}
best_so_far, winners = {name: np.zeros((len(SEEDS), RUNS, EVALUATIONS)) for name in searches}, {}
for name, seed in tqdm([(name, seed) for name in searches for seed in SEEDS], desc="searching"):
    rewards = dict(zip(table.widths, recorded["adapted_first"][:, seed].tolist()))
    for run in range(RUNS):
        asked = searches[name][0](rewards.__getitem__, torch.Generator().manual_seed(1000 * seed + run))
        values = [rewards[widths] for widths in asked]
        best_so_far[name][seed, run] = np.maximum.accumulate(values)
        winners[name, seed, run] = max(asked, key=rewards.__getitem__)

fig, axes = plt.subplots(1, 3, figsize=(12, 4.2), sharey=True)
marks = np.arange(5, EVALUATIONS, 6)
for seed, ax in enumerate(axes):
    for name, (_, colour) in searches.items():
        runs = 100 * best_so_far[name][seed][:, marks]  # runs, marks
        curve(ax, marks + 1, runs.mean(axis=0), label=name, colour=colour)
        ax.fill_between(marks + 1, *np.quantile(runs, (0.1, 0.9), axis=0), color=COLOURS[colour], alpha=0.15, linewidth=0)
    ax.axhline(100 * float(recorded["adapted_first"][:, seed].max()), color="black", linestyle="--", label="best of all")
    ax.axhline(100 * float(recorded["adapted_first"][row_of[uniform], seed]), color="grey", linestyle=":", label="uniform")
    label_axes(ax, x="evaluations", x_unit="networks", y="best reward so far", y_unit="%", title=f"checkpoint {seed}")
for ax in axes[1:]:
    ax.set_ylabel("")
axes[2].legend(fontsize=9, loc="lower right")
fig.suptitle("lines: mean of 20 runs; bands: the 10% to 90% quantiles of the runs")
show(fig, alt="Best reward found so far against the number of evaluations, for three searches and three checkpoints. All rise towards the dashed line "
     "of the best network in the table; the bands of the three, which hold eight of ten runs, overlap.")
final_gap = {
    name: np.array([float(recorded["adapted_first"][:, s].max()) - best_so_far[name][s, :, -1] for s in SEEDS]) for name in searches
}  # name: [checkpoints, runs]
gap = {name: values.mean(axis=1) for name, values in final_gap.items()}


def standard_error(values):
    """Standard error of the mean of [checkpoints, runs]: the runs are drawn at random, the checkpoints are given."""
    return float(np.sqrt((values.var(axis=1, ddof=1) / values.shape[1]).sum()) / len(values))


print(f"points below the best network after {EVALUATIONS} evaluations; ± is the standard error of the mean of {RUNS} runs on each checkpoint")
for name, values in final_gap.items():
    print(f"  {name:16} {100 * values.mean():.2f} ± {100 * standard_error(values):.2f}   checkpoints " + "  ".join(f"{100 * v:.2f}" for v in gap[name])
          + f"   one run varies by ± {100 * values.std(axis=1, ddof=1).mean():.2f}, worst run {100 * values.max():.1f}; found the best in {100 * (values < 1e-9).mean():.0f} %")
apart = {
    f"{one} - {other}": final_gap[one] - final_gap[other]
    for one, other in (("evolution", "policy gradient"), ("random", "policy gradient"), ("evolution", "random"))
}  # run by run, with the same seed
print("differences of these gaps, run by run:")
for name, values in apart.items():
    print(f"  {name:28} {100 * values.mean():+.2f} ± {100 * standard_error(values):.2f}")

# %% [markdown]
# **What we saw.** On average all three end within about a point of the best network; single runs can end further below it. Compare the differences
# with their standard errors. On average, on this table, policy gradient was ahead and evolution behind it. A single run cannot show it: one run
# varies more than the means differ. And three checkpoints of one network do not prove it elsewhere. Random search is a strong rival: with 48 draws out
# of so few networks it is rarely far from the best. (The step size and the rate of mutation were set once, by hand, and not tuned.) In a larger
# space the picture can be another one. On average all the searches are ahead of the uniform network, the dotted line, after twelve evaluations.
#
# ### Experiment: the winner's curse
#
# The winner is the network with the highest *measured* reward. It is high because the network is good, and because by chance it does well on these
# 1,000 images. The second half of the images took no part in the choice. How good is the winner there? (The two halves may not be equally hard.
# So both are given relative to the mean of all the networks in the table on the same half.)

# %% tags=["experiment"]
halves = {half: recorded[f"adapted_{half}"] - recorded[f"adapted_{half}"].mean(dim=0) for half in ("first", "second")}
lead = {
    (name, half): [float(np.mean([halves[half][row_of[winners[name, s, run]], s] for run in range(RUNS)])) for s in SEEDS]
    for name in searches for half in halves
}
tops = [int(recorded["adapted_first"][:, s].argmax()) for s in SEEDS]
for half in halves:
    lead["best of all", half] = [float(halves[half][tops[s], s]) for s in SEEDS]
    lead["uniform", half] = [float(halves[half][row_of[uniform], s]) for s in SEEDS]

fig, ax = plt.subplots(figsize=(8, 4))
names = ["uniform", *searches, "best of all"]
for place, (half, colour, label) in enumerate((("first", "orange", "images that chose"), ("second", "blue", "other images"))):
    means = [100 * np.mean(lead[name, half]) for name in names]
    x = np.arange(len(names)) + 0.36 * (place - 0.5)
    ax.bar(x, means, width=0.34, color=COLOURS[colour], label=label)
for s in SEEDS:  # one line for each network and checkpoint, from the images that chose to the others
    for place, name in enumerate(names):
        ends = [100 * lead[name, half][s] for half in halves]
        ax.plot([place - 0.18, place + 0.18], ends, color="black", linewidth=1, marker=MARKERS[s], markersize=4,
                label=f"checkpoint {s}" if place == 0 else None)
ax.set_xticks(range(len(names)), names)
label_axes(ax, x="network", x_unit="chosen by", y="above the mean network", y_unit="points", title="bars: mean of the checkpoints; lines: each of them")
ax.set_ylim(0, 24)
ax.legend(ncols=3, loc="upper left", fontsize=9)
show(fig, alt="Lead over the mean network, for the uniform network, the winners of three searches and the best of the table, on the images that chose and on "
     "others. For the winners most lines fall a little; for the uniform network one of the three rises.")
lost = {name: np.array(lead[name, "first"]) - np.array(lead[name, "second"]) for name in names}  # for each checkpoint
for name in names:
    print(f"{name:16} on the images that chose {100 * np.mean(lead[name, 'first']):5.1f} ± {100 * np.std(lead[name, 'first'], ddof=1):.1f} points, "
          f"on others {100 * np.mean(lead[name, 'second']):5.1f} ± {100 * np.std(lead[name, 'second'], ddof=1):.1f}; "
          f"lost, checkpoint by checkpoint: {100 * lost[name].mean():4.1f} ± {100 * lost[name].std(ddof=1):.1f}")
between_networks = recorded["adapted_first"].std(dim=0).numpy()  # for each checkpoint
between_halves = (halves["first"] - halves["second"]).std(dim=0).numpy()
print("standard deviations, in points, for the three checkpoints:")
print("  of the reward, from network to network:          " + "  ".join(f"{100 * value:4.1f}" for value in between_networks))
print("  of the lead of a network, from half to half:     " + "  ".join(f"{100 * value:4.1f}" for value in between_halves))

# %% [markdown]
# **What we saw.** Each winner loses on other images on average, and the network with the best reward of all loses most: this is what the curse says. But
# look at the uniform network. It was not chosen by these images, and from half to half it varies by more than the winners lose. So with
# three checkpoints a loss of about a point cannot be told from chance. Most of the lead stays on the other images. The last two lines say why: the
# networks of the window differ from each other by far more than one network differs from half to half. The closer the candidates and the more of
# them, the larger the part of luck. And the reward is an accuracy before fine-tuning: it is not the number that will be reported in the end.
#
# ## Part 4 · The test images
#
# ### Experiment: does the search pay in the end?
#
# Now the networks that were chosen are fine-tuned, here and now: the winner of the first run of each search, and the network with the best
# reward of the table, for each of the three checkpoints. The uniform network and the random ones are in the table. Then the test images are read, once.
# Two searches can choose the same network; it is then fine-tuned once, and both columns show it.

# %% tags=["experiment"]
STEPS, RATE = 47, 0.001
test_images, test_labels = load_fashion_mnist("test")
chosen = {(name, seed): winners[name, seed, 0] for name in searches for seed in SEEDS}
chosen |= {("best reward", seed): table.widths[tops[seed]] for seed in SEEDS} | {("uniform", 0): uniform}
results = {}
for seed, widths in tqdm(list(dict.fromkeys((seed, widths) for (_, seed), widths in chosen.items())), desc="fine-tuning"):
    model = build(seed, widths)
    adapt_batchnorm(model, BATCHES)
    train(model, train_images, train_labels, lr=RATE, steps=STEPS, seed=seed, progress=False)
    results[seed, widths] = accuracy(model, test_images, test_labels)
again = abs(results[0, uniform] - float(recorded["tuned_test"][row_of[uniform], 0]))
tested = {name: [results[s, chosen[name, s]] for s in SEEDS] for name in [*searches, "best reward"]}
others = [row for row in tuned_rows if table.widths[row] != uniform]
tested["uniform"] = recorded["tuned_test"][row_of[uniform]].tolist()
tested["mean of random networks"] = recorded["tuned_test"][others].mean(dim=0).tolist()
spread_of_random = float(recorded["tuned_test"][others].std(dim=0).mean())

fig, ax = plt.subplots(figsize=(8, 4))
order = ["mean of random networks", "uniform", *searches, "best reward"]
ticks = ["mean of 39\nrandom ones", "uniform", "best of 48\nrandom ones", "evolution", "policy\ngradient", "best\nreward"]
for place, name in enumerate(order):
    for s in SEEDS:
        ax.plot(place, 100 * tested[name][s], MARKERS[s], color=COLOURS["sky"], label=f"checkpoint {s}" if place == 0 else None)
    ax.errorbar(place + 0.15, 100 * np.mean(tested[name]), 100 * np.std(tested[name], ddof=1), fmt="D", color="black", capsize=4)
ax.set_xticks(range(len(order)), ticks)
label_axes(ax, x="network", x_unit="chosen by", y="test accuracy, fine-tuned", y_unit="%")
ax.legend(loc="lower right")
show(fig, alt="Test accuracy after fine-tuning of networks chosen in six ways, three checkpoints each, with mean and standard deviation.")
for name in order:
    print(f"{name:23} {in_percent(tested[name])}   {'' if name not in searches and name != 'best reward' else [chosen[name, s] for s in SEEDS]}")
print(f"(the mean is that of {len(others)} random networks, on each checkpoint)")
gains = {name: np.array(tested[name]) - np.array(tested["uniform"]) for name in order if name != "uniform"}
for name, gain in gains.items():
    print(f"{name:23} against uniform, checkpoint by checkpoint: {100 * gain.mean():+.2f} ± {100 * gain.std(ddof=1):.2f} points")
print(f"one random network varies by ± {100 * spread_of_random:.1f} points; the uniform one, tuned again here, is {100 * again:.2f} points from the table")

# %% [markdown]
# **What we saw.** The uniform network is better than the mean of the random ones, so the simplest rule is a good start. The searches find
# something better still on average, but the gain is a few tenths of a point, and for some of them it is about as large as its own spread over three
# checkpoints. After fine-tuning the searches do not differ from each other beyond the spread. The network with the best reward of all is no better than what they
# found: we cannot see that the last point of the reward pays after fine-tuning. Look at what was chosen: compared with their full widths,
# the second convolution (32 channels) keeps the smallest share, and the linear layer (128 units) keeps more than the uniform network gives it. It costs few
# MACs, so cutting it saves little.
#
# The gain has a price. Each search has read the labels of 1,000 validation images 48 times, and the table takes about a quarter of an hour on one core
# to make. The uniform network took one line.

# %% [markdown] tags=["question"]
# ### Written question
#
# Your team prunes a network of 50 layers and has a week of computing time. Answer in about twelve lines, with your own numbers as
# evidence. (a) A colleague ranks candidates by their accuracy right after the cut. What do you tell her, and what would
# you change, at which cost? (b) Another one reports the reward of the best of 5,000 candidates on 1,000 validation images as the accuracy of
# the pruned network. What is wrong, and how would you find the true value? (c) Which baselines must a new search method
# beat, and how do you make the comparison fair?

# %% [markdown] tags=["written"] points=3 grade_id="who_chooses"
# **Model answer.** (a) Right after the cut the BatchNorm statistics are those of the whole network, so the accuracy says more about how badly they fit
# than about the network. Compute them anew from a few batches of training images, without labels; it costs some forward passes, no training. In our table the rank
# correlation with the accuracy after fine-tuning was then higher. Check it on a few dozen fine-tuned networks, since it depends on
# the network and on how narrow the budget is.
#
# (b) The best of many noisy numbers is too high: it was chosen for its luck too (the winner's curse). The more candidates and the fewer images, the worse.
# Fine-tune the winner and read it on images that no choice has used, once.
#
# (c) The same ratio everywhere, and random search with the same number of evaluations. Equal budget of MACs, equal evaluations
# (repeats counted), the same reward, the same fine-tuning, several seeds of the search and of the network, spread shown, and test images
# that the search has never seen. A gain inside the spread is no gain.
#
# **Points.** 1 for (a): statistics do not fit, adapt, cost. 1 for (b): selection bias, and fresh images. 1 for (c): uniform and random, at equal evaluations,
# with spread.

# %% tags=["record"]
# For the course's makers: where LABKIT_RECORD names a folder, write what the lecture note quotes into it.
import json
import os
from pathlib import Path


def summary(values):
    """Mean and standard deviation over the checkpoints, and the single values, as fractions."""
    values = [round(float(value), 6) for value in values]
    return {"mean": round(float(np.mean(values)), 6), "sd": round(float(np.std(values, ddof=1)), 6), "seeds": values}


def key_of(text):
    """A name as a key: no blanks."""
    return text.replace(" - ", "_").replace(" ", "_")


if folder := os.environ.get("LABKIT_RECORD"):
    record = {
        "made_by": "in labs/: LABKIT_RECORD=../data/results python source/lab11_automatic.py; it reads width_accuracies.json",
        "unit": "accuracies, shares and correlations are fractions; sd is the standard deviation over checkpoints (n - 1)",
        "vectors": len(table.widths),
        "window": {"least": round(table.window[0] / cnn_macs(FULL), 6), "most": round(table.window[1] / cnn_macs(FULL), 6),
                   "uniform": round(cnn_macs(uniform) / cnn_macs(FULL), 6)},
        "shift": {name: round(value, 6) for name, value in shifts.items()},
        "uniform": {stage: summary(recorded[f"{stage}_first"][row_of[uniform]]) for stage in ("pruned", "adapted", "tuned")},
        "all": {stage: summary(recorded[f"{stage}_first"].mean(dim=0)) for stage in ("pruned", "adapted")},
        "agreement": {name: summary(values) for name, values in agreement.items()},
        "forty": {
            name: [[round(float(value), 4) for value in values[:, s]] for s in SEEDS]
            for name, values in {"pruned": judges["pruned"], "adapted": judges["adapted"], "tuned": final}.items()
        },  # one list for each checkpoint: what the figure of the lecture note shows
        "tuned_range": {"least": round(float(final.mean(1).min()), 6), "most": round(float(final.mean(1).max()), 6)},
        "search": {
            key_of(name): {
                "gap": summary(gap[name]),
                "standard_error": round(standard_error(final_gap[name]), 6),
                "sd_of_a_run": round(float(final_gap[name].std(axis=1, ddof=1).mean()), 6),
                "worst_run": round(float(final_gap[name].max()), 6),
                "found_best": round(float((final_gap[name] < 1e-9).mean()), 6),
                "curve": {"evaluations": (marks + 1).tolist(), "gap": [
                    [round(float(recorded["adapted_first"][:, s].max() - best_so_far[name][s, :, mark].mean()), 6) for mark in marks] for s in SEEDS
                ]},
            }
            for name in searches
        },
        "apart": {
            key_of(name): {"mean": round(float(values.mean()), 6), "standard_error": round(standard_error(values), 6)}
            for name, values in apart.items()
        },
        "sd_between_networks": summary(between_networks),
        "sd_between_halves": summary(between_halves),
        "lost": {key_of(name): summary(values) for name, values in lost.items()},
        "lead": {key_of(name): {half: summary(lead[name, half]) for half in halves} for name in names},
        "test": {key_of(name): summary(values) for name, values in tested.items()},
        "gain": {key_of(name): summary(values) for name, values in gains.items()},
        "sd_of_random_networks": round(spread_of_random, 6),
        "chosen": {key_of(name): [list(chosen[name, s]) for s in SEEDS] for name in [*searches, "best reward"]},
    }
    Path(folder, "lab11_automatic.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

# %% [markdown]
# ## What to take with you
#
# - **A budget leaves many shapes.** Somebody chooses: a rule, a person, or a search.
# - **BatchNorm statistics must fit the pruned network** before anybody judges it. A few forward passes do that.
# - **A quick judgement is worth its rank correlation** with what you want in the end. Measure it before you trust it.
# - **Random search and the uniform ratio are the rivals** that a clever search has to beat, at equal numbers of evaluations.
# - **The winner is chosen for its luck too.** Read its accuracy on images that took no part in the choice.
#
# **Read next.** Li et al. (2020), section 3, for adaptive BatchNorm. He et al. (2018) for states, actions and rewards of AMC. Li and
# Talwalkar (2019), [arXiv:1902.07638](https://arxiv.org/abs/1902.07638), for random search as a rival. The lecture note of this lab
# (`lecture_notes/lab11_automatic.md` in the course's repository) works small examples by hand.
