# %% [markdown] tags=["lab"] question="What does a zero save?" minutes=90 prerequisite="none"
# # Lab 1 · Sparsity and cost
#
# **The question: what does a zero save?**
#
# Welcome. A trained network is a large heap of numbers, and this course is about making some of them zero without
# losing what the network knows. Before you make a single zero, find out what it would be worth. Zero times anything is
# zero, so a zero *could* save its storage, its multiplication and its trip from memory. Whether it does depends on
# where the zero is, on how it is stored, and on who looks. In this lab you count zeros and costs yourself.
#
# | you build | it answers |
# |---|---|
# | `sparsity`, `near_zero_fraction` | How many entries are zero, and how many are only small? |
# | `layer_costs` | What does one layer cost in parameters, multiplications, activations and bytes? |
# | `model_size_bytes` | From what sparsity on does it pay to store only what is not zero? |
# | `activation_sparsity` | How many zeros does a network produce while it runs? |
# | `gradient_energy` | Is a gradient sparse, or is it only concentrated in few entries? |
#
# **Before you begin.** You need Python and the basics of PyTorch: tensors, modules, a forward and a backward pass. No lab
# comes before this one. The lecture note (`lecture_notes/lab01_sparsity_and_cost.md` in the course's repository) teaches
# the ideas first.
#
# **How long it takes.** The experiments together run for about a minute on a quiet laptop with two cores, and for longer on
# a busy one. Every experiment of more than two seconds shows its progress in a bar.
#
# **Papers.** Han et al. (2015), [arXiv:1506.02626](https://arxiv.org/abs/1506.02626): why small networks save energy.
# Horowitz (2014), [doi:10.1109/ISSCC.2014.6757323](https://doi.org/10.1109/ISSCC.2014.6757323): what an operation and a
# memory access cost. Hoefler et al. (2021), [arXiv:2102.00554](https://arxiv.org/abs/2102.00554): which zeros there
# are. Aji and Heafield (2017), [arXiv:1704.05021](https://arxiv.org/abs/1704.05021): sparse gradients.
#
# ### The words
#
# - A *parameter* is a number that training changes: an entry of a layer's *weight* or *bias*. It belongs to the model.
# - An *activation* is a number that a layer returns. It belongs to the sample (the image) that went in.
# - A *gradient* has one entry for each parameter: how the loss changes with it. It belongs to the mini-batch.
# - *Sparsity* is the fraction of entries that are zero; of a mask, the fraction that it removes. *Density* is the rest.
# - A *mask* is a boolean tensor of a weight's shape, and `True` means keep. It says which entries stay.
# - A *MAC* is one multiply-add, $y \leftarrow y + w\,x$: the step that layers repeat a million times.
#
# ### How this course works
#
# Every exercise has the same parts, in this order:
#
# 1. A text with the formula, an example by hand, and a **hint** that you open when you are stuck.
# 2. A function with a signature and a docstring. The docstring is the contract: all that is graded stands there. Replace
#    the line `raise NotImplementedError()` by your own code.
# 3. A **visible check**. Run it as often as you like. When it fails, its message says what came back, what was expected,
#    and a likely cause. The button *Validate* above the notebook runs all of them.
# 4. A locked cell for the **hidden checks**. They run when the work is graded, on inputs drawn at that moment: larger
#    ones, special cases of the contract, and bad input that must raise `ValueError`. You earn part of the points for
#    part of the checks. If you learn without a teacher, the README of the course says how to run them yourself.
# 5. An **experiment** that uses your function. Guess the result before you run it. These cells are *not* run when the work
#    is graded, so a helper function that an exercise needs belongs in the exercise's cell.
#
# No exercise needs another one to be solved for its points, but the experiments do need your functions. At the end there
# is one written question, which a person reads.

# %% tags=["setup"]
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from labkit.checkpoints import MODELS, SEEDS, load_checkpoint
from labkit.datasets import load_fashion_mnist
from labkit.models import prunable_weights
from labkit.plots import COLOURS, curve, label_axes, show, use_style
from labkit.training import train

use_style()

# %% [markdown]
# ## What the experiments use
#
# Two trained networks that classify small grey images of clothes (Fashion-MNIST, ten classes): an *MLP* of three linear
# layers, and a *CNN* of three convolutions and two linear layers. Each comes in three copies that differ in their start and
# in the order of their training images (three *seeds*). What differs between the copies is chance; a result has to be
# larger than that. So the curves below are means over the seeds, in a band of one standard deviation to each side, and the
# printed numbers are "mean ± standard deviation".

# %% tags=["experiment"]
torch.set_num_threads(1)  # these networks are so small that a second thread would mostly wait for the first
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
images = load_fashion_mnist("validation")[0][:1000].to(device)
networks = {kind: [load_checkpoint(kind, seed).to(device) for seed in SEEDS] for kind in ("mlp", "cnn")}
TITLE = {"mlp": "MLP", "cnn": "CNN"}


def layers(model):
    """{layer name: its weight}; biases and BatchNorm are left out, here and in most of the course."""
    return {name.removesuffix(".weight"): weight.detach() for name, weight in prunable_weights(model).items()}


def in_percent(values):
    """Mean and standard deviation over the seeds, as text."""
    return f"{100 * np.mean(values):5.1f} ± {100 * np.std(values, ddof=1):4.1f} %"


print(networks["mlp"][0], networks["cnn"][0], sep="\n")

# %% [markdown]
# ## Part 1 · Zeros of the model
#
# ### Exercise sparsity
#
# Let $x$ be a tensor with $n$ entries. Its sparsity is the fraction of them that are zero,
#
# $$s = \frac{1}{n} \sum_i [\,x_i = 0\,],$$
#
# where $[\cdot]$ is 1 if the statement holds, and 0 if not. Here $x$ is `tensor` and $s$ is what you return.
#
# *By hand.* $x = (0,\ -1,\ 0.001,\ 0)$: two of four entries are zero, so $s = 0.5$. The third is small, but not zero.
#
# <details><summary>Hint</summary>
#
# Comparing a tensor with a number gives a boolean tensor, and `sum` counts its True entries exactly, as whole numbers.
# `.item()` or `int(…)` makes a Python number of a tensor with one entry.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=5
from solutions.lab01_sparsity_and_cost import sparsity

# %% tags=["visible-check"]
tensor = torch.tensor([[0.0, -1.0, 0.001], [0.0, 4.0, 7.0]])
result = sparsity(tensor)
assert isinstance(result, float), (
    f"You returned {result!r}: return a Python float, as with .item(). (None? Then did you forget `return`?)"
)
assert abs(result - 2 / 6) < 1e-6, (
    f"You returned {result}. Two of the six entries are zero, so the sparsity is 2/6.\n"
    "Is it 2 or 1? Then divide the count by the number of entries, not of rows.\n"
    "Is it 4/6? Then you counted what is not zero.\n"
    "Is it 3/6? Then the small or the negative entry was counted as zero."
)
assert abs(sparsity(torch.tensor([True, True, True, False])) - 0.25) < 1e-6, (
    "In a mask False counts as zero: one of the four entries of [True, True, True, False] is."
)
print("sparsity: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Exercise near_zero_fraction
#
# A number can also be *nearly* zero. For a threshold $t$ count
#
# $$f(t) = \frac{1}{n} \sum_i [\,|x_i| < t\,].$$
#
# Here $x$ is `tensor`, $t$ is `threshold`, and $f(t)$ is what you return. The comparison is strict: pruning with a
# threshold keeps an entry that is equal to it (Lab 3).
#
# *By hand.* $x = (0,\ -0.1,\ 0.5,\ 2)$. For $t = 0.5$ the first two lie below: $f = 0.5$. For $t = 0$ none does, not even
# the zero: $f = 0$.
#
# <details><summary>Hint</summary>
#
# `abs` takes the sign away. For the error: `nan < 0` is False, so that test lets NaN pass. Test for what is allowed, and
# refuse everything else.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=5
from solutions.lab01_sparsity_and_cost import near_zero_fraction

# %% tags=["visible-check"]
tensor = torch.tensor([[0.0, -0.1, 0.5], [-3.0, 2.0, 0.25], [1.0, -0.5, 0.0]])
result = near_zero_fraction(tensor, 0.5)
assert isinstance(result, float), (
    f"You returned {result!r}: return a Python float, as with .item(). (None? Then did you forget `return`?)"
)
assert abs(result - 4 / 9) < 1e-6, (
    f"You returned {result}. Four of the nine entries lie below 0.5 in magnitude: 0, 0, -0.1 and 0.25.\n"
    "Is it 6/9? Then 0.5 and -0.5 were counted: they are at the threshold, not below it. Or -3 and -0.5 were counted: "
    "then their sign still counts.\n"
    "Is it 5/9? Then you returned the fraction that is not near zero.\n"
    "Is it 2/9? Then the exact zeros were left out."
)
assert tensor[0].tolist() == [0.0, torch.tensor(-0.1).item(), 0.5], (
    f"Your function changed its input: its first row is now {tensor[0].tolist()}."
)
print("near_zero_fraction: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Experiment: are trained weights sparse?
#
# A tutorial says: in most networks the weights, *before and after training*, are spread like a normal distribution, the
# nearer to 0 the more of them; this is weight sparsity. Three claims in one sentence. Look at each: the shape before
# training, the shape after it, and the number of zeros. The histograms count in units of each layer's standard deviation,
# so that layers of different scale can be compared. Guess first: how many of the weights are exactly zero?

# %% tags=["experiment"]
def new_network(kind, seed):
    """An untrained network, as PyTorch initialises it."""
    torch.manual_seed(seed)
    return MODELS[kind]()


near_zero = {}  # (kind, layer): {"before": [seeds], "after": [seeds]}, at a tenth of the standard deviation
zero_weights, scaled = {}, {}
standardised = {}
for kind, models in networks.items():
    both = {"before": [layers(new_network(kind, seed)) for seed in SEEDS], "after": [layers(m) for m in models]}
    for name in both["after"][0]:
        near_zero[kind, name] = {
            when: [near_zero_fraction(w[name], 0.1 * w[name].std().item()) for w in found] for when, found in both.items()
        }
        zero_weights[kind, name] = [sparsity(weights[name]) for weights in both["after"]]
        for when, found in both.items():
            standardised[kind, name, when] = torch.cat([(w[name] / w[name].std()).flatten() for w in found]).cpu().numpy()
    pool = [torch.cat([w.flatten() for w in weights.values()]) for weights in both["after"]]
    for factor in (1, 10):
        scaled[kind, factor] = [near_zero_fraction(factor * w, 0.01) for w in pool]

fig, axes = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True)
edges = np.linspace(-4, 4, 65)
for ax, (kind, name) in zip(axes, (("mlp", "fc1"), ("cnn", "conv3"), ("cnn", "fc1"))):
    for when, colour, style in (("before", "orange", "--"), ("after", "blue", "-")):
        values = standardised[kind, name, when]
        share = np.histogram(values, bins=edges)[0] * 100 / len(values)
        ax.stairs(share, edges, color=COLOURS[colour], linestyle=style, linewidth=2, label=f"{when} training")
    label_axes(ax, x="weight", x_unit="standard deviations", y="weights", y_unit="% of the layer per bin",
               title=f"{TITLE[kind]}, {name}")
for ax in axes[1:]:
    ax.set_ylabel("")
axes[0].set_ylim(0, 7.5)
axes[0].legend(loc="upper center", ncols=2, fontsize=9)
show(fig, alt="Histograms of the weights of three layers before and after training. Before training each is flat "
     "between two bounds; after training it is a hill with its peak at zero.")

print("              exactly zero, trained     |w| below a tenth of the standard deviation")
print("                                        before training      after training")
for (kind, name), shares in near_zero.items():
    print(f"{TITLE[kind]} {name:6}    {in_percent(zero_weights[kind, name])}           "
          f"{in_percent(shares['before'])}     {in_percent(shares['after'])}")
for kind in networks:
    print(f"{TITLE[kind]}, |w| < 0.01: {in_percent(scaled[kind, 1])}; all weights times 10: {in_percent(scaled[kind, 10])}")

# %% [markdown]
# **What we saw.** Look at the first column of numbers: how many weights are exactly zero after training? A trained network is
# not sparse. A peak *at* zero in a histogram is a bin full of small numbers, and each of them is stored and multiplied
# like any other.
#
# Before training the histogram is flat between two bounds, so there is no crowd near zero: PyTorch draws the weights
# uniformly. Compare the last two columns. Training makes the hill, in most layers. The claim holds after training, and not
# before it (for this usual way to begin).
#
# The last two lines multiply all weights by ten. The fraction below a fixed threshold changes completely; the sparsity
# would not. "Near zero" has a unit, and a zero has none. So near-zero weights are not sparsity. They are a *hope* for
# sparsity: perhaps the network does not miss them when somebody removes them. Lab 3 tests that hope.
#
# ## Part 2 · What a layer costs
#
# ### Exercise layer_costs
#
# A linear layer computes $y_j = b_j + \sum_i w_{ji} x_i$. Each output $y_j$ takes one MAC for each weight in row $j$. A
# convolution does the same at every place of its output: output entry $(j, r, c)$ takes one MAC for each weight of filter
# $j$. So for both, with $|y|$ output entries and $|w_j|$ weights in one row or filter,
#
# $$\text{MACs} = |y| \cdot |w_j|, \qquad |w_j| = n_\text{in} \ \text{(linear)}, \quad
# |w_j| = \tfrac{n_\text{in}}{g}\, k_h k_w \ \text{(convolution)}.$$
#
# Here $|y|$ is the product of `output_shape`, $n_\text{in}$ counts input features or channels, $k_h \times k_w$ is the
# kernel, and $g$ is the number of groups (1 in our networks; with $g$ groups a filter sees only $n_\text{in}/g$ of the
# channels). A convolution's weight has the shape [out, in / groups, kh, kw], a linear layer's [out, in].
#
# *By hand.* A convolution of 2 to 3 channels, kernel 3 × 3, with bias, and an output of 3 × 4 × 4. Weights:
# $3 \cdot 2 \cdot 3 \cdot 3 = 54$, with the 3 biases 57 parameters, in float32 228 bytes. Activations: 48. MACs:
# $48 \cdot 18 = 864$, since each of the 48 outputs meets the 18 weights of its filter.
#
# <details><summary>Hint</summary>
#
# The weight knows all of it, groups and kernel included: how many entries has `layer.weight[0]`? `math.prod` multiplies the
# entries of a shape, `numel` counts the entries of a tensor, and `element_size` gives the bytes of one. `layer.bias` may be
# None.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab01_sparsity_and_cost import layer_costs

# %% tags=["visible-check"]
result = layer_costs(nn.Conv2d(2, 3, 3, padding=1), (3, 4, 4))
assert isinstance(result, dict) and set(result) == {"parameters", "macs", "activations", "bytes"}, (
    f"You returned {result!r}: return a dictionary with the keys parameters, macs, activations and bytes. "
    "(None? Then did you forget `return`?)"
)
assert result == {"parameters": 57, "macs": 864, "activations": 48, "bytes": 228}, (
    f"You returned {result}. For this convolution the example by hand gives 57 parameters, 864 MACs, 48 activations "
    "and 228 bytes.\n"
    "Are the MACs 1728? Then the product and the sum were counted apart.\n"
    "Are they 54 or 57? Then each weight was counted once, not once for each place of the output.\n"
    "Are they 96? Then the size of the kernel is missing. Are they 912? Then the bias was counted as a MAC.\n"
    "Are the parameters 54, or the bytes 216? Then the bias is missing."
)
result = layer_costs(nn.Linear(5, 4, bias=False).double(), (4,))
assert result == {"parameters": 20, "macs": 20, "activations": 4, "bytes": 160}, (
    f"For a linear layer from 5 to 4, without bias, in float64, you returned {result}: it has 20 weights of 8 bytes "
    "each, 20 MACs, and 4 outputs."
)
print("layer_costs: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: where does the cost lie?
#
# First your counts for every layer, beside those of PyTorch's own counter. It counts *floating-point operations*, and a
# multiply-add is two of them: a product and a sum. So its numbers should be exactly twice yours. (The word FLOPs is used
# for both in papers, so comparisons can be off by a factor of two. This course says MACs.)
#
# Then the same counts in energy. Han et al. (2015, table 1), after Horowitz (2014), give for a chip in 45 nm technology:
# 640 pJ to read 32 bits from DRAM (the memory outside the chip), 3.7 pJ for a 32-bit product and 0.9 pJ for a 32-bit sum.
# A picojoule is $10^{-12}$ joule. From these three numbers a simple *model* of a layer's energy follows:
#
# $$E = 640\ \text{pJ} \cdot \Big(\frac{\text{parameters}}{\text{batch}} + \text{inputs} + \text{outputs}\Big)
# + 4.6\ \text{pJ} \cdot \text{MACs}.$$
#
# It says that a layer reads every parameter once for a batch, reads its inputs and writes its outputs once, and that nothing
# else costs anything (BatchNorm, ReLU and pooling come free). Real chips have caches and do better or worse; it is a model,
# and we measure no energy here.
#
# The numbers say that a read costs 139 times as much as a MAC. Guess first: in which layers do the MACs matter all the
# same?

# %% tags=["experiment"]
READ, MAC = 640.0, 3.7 + 0.9  # pJ


def run_by_hand(model, x):
    """{module name: its output}: the modules one after the other, which is all that our two networks do."""
    outputs = {}
    for name, module in model.named_children():
        x = module(x.flatten(1) if isinstance(module, nn.Linear) else x)
        outputs[name] = x
    return outputs


def operations(model):
    """PyTorch's count for one image."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(images[:1])
    return counter.get_total_flops()


energy, counts, costs = {}, {}, {}  # energy[kind, batch]: {layer: [weights, activations, MACs]} in pJ for one image
for kind, models in networks.items():
    model = models[0]  # costs depend on shapes alone, so they are the same for all seeds
    with torch.no_grad():
        shapes = {name: tuple(output.shape[1:]) for name, output in run_by_hand(model, images[:1]).items()}
    costs[kind] = {name: layer_costs(model.get_submodule(name), shapes[name]) for name in layers(model)}
    before = dict(zip(shapes, [(1, 28, 28), *shapes.values()]))  # the shape of what goes into each module
    for batch in (1, 64):
        energy[kind, batch] = {
            name: [READ * cost["parameters"] / batch, READ * (math.prod(before[name]) + cost["activations"]),
                   MAC * cost["macs"]]
            for name, cost in costs[kind].items()
        }
    counts[kind] = operations(model)
    print(f"{TITLE[kind]:6} {'parameters':>10} {'MACs':>10} {'activations':>12} {'bytes':>9} {'MACs per parameter':>19}")
    for name, cost in costs[kind].items():
        print(f"{name:6} {cost['parameters']:10,} {cost['macs']:10,} {cost['activations']:12,} {cost['bytes']:9,} "
              f"{cost['macs'] / cost['parameters']:19.1f}")
    total = sum(cost["macs"] for cost in costs[kind].values())
    print(f"all    your MACs {total:,}; PyTorch's counter {counts[kind]:,} operations; ratio {counts[kind] / total:g}\n")

fig, axes = plt.subplots(1, 2, figsize=(10, 3.8))
parts = (("reading weights", "blue", ""), ("reading and writing activations", "orange", "//"), ("MACs", "green", ".."))
for ax, kind in zip(axes, networks):
    names = list(energy[kind, 1])
    left = np.zeros(len(names))
    for place, (label, colour, hatch) in enumerate(parts):
        values = np.array([energy[kind, 1][name][place] for name in names]) / 1e6
        ax.barh(names, values, left=left, color=COLOURS[colour], hatch=hatch, edgecolor="white", label=label)
        left += values
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    label_axes(ax, x="energy for one image, batch of 1", x_unit="µJ", y="layer", y_unit="in order of use", title=TITLE[kind])
axes[1].set_ylabel("")
axes[0].legend(loc="lower right")
show(fig, alt="Modelled energy of each layer as stacked bars. In the MLP nearly everything is reading weights, most of "
     "it in fc1. In the CNN the convolutions spend on activations and MACs, and fc1 on reading weights.")


def shares(kind, batch):
    """Shares of weights, activations and MACs in the energy of the whole network."""
    parts = np.array(list(energy[kind, batch].values())).sum(axis=0)
    return parts / parts.sum()


print("Shares in the energy of one image; the last column: what 90% of zeros would save if hardware skipped them\n")
print(f"{'':17} {'reading weights':>16} {'activations':>12} {'MACs':>8} {'could be saved':>15}")
for kind, batch in energy:
    weights, activations, macs = shares(kind, batch)
    print(f"{TITLE[kind]}, batch of {batch:2}  {100 * weights:14.1f} % {100 * activations:10.1f} % {100 * macs:6.1f} % "
          f"{90 * (weights + macs):13.1f} %")

# %% [markdown]
# **What we saw.** Your MACs are PyTorch's operations divided by two, to the last one.
#
# Look at the column *MACs per parameter*. A linear layer uses each weight once for an image. A convolution uses it at every
# place of its output. The model puts the balance at 139 uses, where one read costs as much as the MACs that follow from it.
# So "memory is what costs" is right for the linear layers by a wide margin. In the later convolutions the MACs are no small
# part. In the first convolution nearly all of the energy goes into activations, and the weights have almost no share.
#
# The last column answers the lab's question for this model: what would 90% of zeros in every layer save, if hardware
# skipped the read and the MACs of each? In the MLP nearly all of it. In the CNN less, because zero weights do not make the
# *activations* fewer. And with a batch of 64 images one read serves them all, so the share of the weights falls.
#
# But *if hardware skipped* is a large if. The next cell sets nine tenths of the weights to zero, and counts again.

# %% tags=["experiment"]
@torch.no_grad()
def with_smallest_zeroed(weight, share):
    """A copy of a weight in which the given share of its entries, the smallest magnitudes, are zero."""
    flat = weight.flatten().clone()
    flat[flat.abs().argsort()[: round(share * len(flat))]] = 0
    return flat.reshape(weight.shape)


zeroed_counts = {}
for kind in networks:
    model = load_checkpoint(kind).to(device)
    with torch.no_grad():
        for weight in prunable_weights(model).values():
            weight.copy_(with_smallest_zeroed(weight, 0.9))
    zeroed_counts[kind] = operations(model)
    stored = sum(weight.untyped_storage().nbytes() for weight in prunable_weights(model).values())
    print(f"{TITLE[kind]}: sparsity {sparsity(torch.cat([w.flatten() for w in layers(model).values()])):.2f}, "
          f"operations {zeroed_counts[kind]:,} (before: {counts[kind]:,}), weights in memory {stored:,} bytes")

# %% [markdown]
# **What we saw.** Nothing was saved. A dense layer multiplies by a zero as by any other number, and stores it in as many
# bytes. A zero saves something only where it is *left out*: of the storage, which you do next, or of the computation,
# which takes special code or hardware (Labs 13 and 14) or smaller layers (Lab 7).
#
# ### Exercise model_size_bytes
#
# Store only what is not zero, and you must also store *where* it stands. With $n$ entries, $z$ of them zero, $b_v$ bits for
# a value and $b_i$ bits for a position,
#
# $$\text{dense} = n\, b_v, \qquad \text{sparse} = (n - z)(b_v + b_i) \qquad \text{bits}.$$
#
# Here the tensors are the values of `weights`, $b_v$ is `value_bits`, and $b_i$ is `index_bits`; $n$ and $z$ count the
# entries of all tensors together.
#
# *By hand.* One tensor of 10 entries, 7 of them zero. Dense, 8 bits: 80 bits, 10 bytes. Sparse with 8-bit values and
# 4-bit positions: $3 \cdot 12 = 36$ bits, so 5 bytes (4.5 rounded up).
#
# <details><summary>Hint</summary>
#
# Add up bits, and make bytes of them once, at the end; `-(-bits // 8)` and `math.ceil(bits / 8)` both round up. To tell "no
# index" from "an index of 0 bits", ask `index_bits is None`: in an `if`, the number 0 counts as false.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=8
from solutions.lab01_sparsity_and_cost import model_size_bytes

# %% tags=["visible-check"]
weights = {"a": torch.tensor([0.0, 2.0, 0.0, 0.0, -1.0]), "b": torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.0, 0.0]])}
cases = {"dense, 32 bits": ((), 44), "dense, 8 bits": ((8,), 11), "sparse, 32 + 16 bits": ((32, 16), 18)}
for case, (bits, expected) in cases.items():
    result = model_size_bytes(weights, *bits)
    assert isinstance(result, int), (
        f"You returned {result!r}: return an int. (None? Then did you forget `return`? / divides to a float, // does not.)"
    )
    assert result == expected, (
        f"{case}: you returned {result}, and {expected} is expected. The two tensors have 11 entries together, and 3 of "
        "them are not zero.\n"
        "Eight times too large? Then these are bits.\n"
        "Is the sparse size 12? Then the positions are missing. Is it 66, or 34? Then zeros were stored, or positions of "
        "zeros."
    )
result = model_size_bytes(weights, 8, 1)
assert result == 4, (
    f"Sparse, 8 + 1 bits: you returned {result}. The three entries take 27 bits, so 4 bytes. Is it 3? Then it was rounded "
    "down. Is it 5? Then each tensor was rounded up on its own: add the bits first."
)
assert model_size_bytes(weights, 32, 0) == 12, (
    f"Sparse, 32 + 0 bits: you returned {model_size_bytes(weights, 32, 0)}. An index of 0 bits is sparse storage: 3 values "
    "of 4 bytes. Only None means dense."
)
print("model_size_bytes: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: from what sparsity on does sparse storage pay?
#
# The first layer of the MLP, with a growing share of its weights set to zero: its size for positions of 8 to 128 bits,
# in percent of its dense size. The crosses are no formula: they are the bytes that PyTorch's plainest sparse format
# takes (COO: for each value its row and its column, a 64-bit number each). Guess first where each line crosses 100%.

# %% tags=["experiment"]
shares_of_zeros = np.arange(0, 1.0001, 0.05)
index_widths = [8, 16, 32, 64, 128]
size = {}  # (value bits, index bits): [sparsities], as a share of the dense size
weight = layers(networks["mlp"][0])["fc1"].cpu()
zeroed_weights = [with_smallest_zeroed(weight, share) for share in shares_of_zeros]
for value_bits in (32, 8):
    for index_bits in index_widths:
        size[value_bits, index_bits] = [
            model_size_bytes({"fc1": w}, value_bits, index_bits) / model_size_bytes({"fc1": w}, value_bits)
            for w in zeroed_weights
        ]
real = []
for w in zeroed_weights:
    stored = w.to_sparse_coo()
    real.append(sum(part.numel() * part.element_size() for part in (stored.values(), stored.indices())) / (4 * w.numel()))

fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
for ax, value_bits in zip(axes, (32, 8)):
    for index_bits, colour in zip(index_widths, ("green", "orange", "blue", "purple", "vermilion")):
        curve(ax, 100 * shares_of_zeros, 100 * np.array(size[value_bits, index_bits]), label=f"{index_bits} bits", colour=colour)
    if value_bits == 32:
        ax.plot(100 * shares_of_zeros, 100 * np.array(real), "x", color="black", label="PyTorch's COO", zorder=3)
    ax.axhline(100, color="grey", linestyle=":", label="dense")
    ax.set_ylim(0, 420)
    ax.set_xticks(range(0, 101, 10))
    label_axes(ax, x="sparsity", x_unit="%", y="size", y_unit="% of dense", title=f"values of {value_bits} bits")
axes[1].legend(*axes[0].get_legend_handles_labels(), title="position", loc="upper left", bbox_to_anchor=(1, 1))
axes[1].set_ylabel("")
show(fig, alt="Size of sparse storage against sparsity, falling lines for five widths of the position. The wider the "
     "position, the later the line falls below the dense size; with 8-bit values later still.")

# %% [markdown]
# **What we saw.** Read off where each line crosses 100%. Then solve $(n - z)(b_v + b_i) = n\,b_v$ for the sparsity
# $s = z / n$:
#
# $$s^* = \frac{b_i}{b_v + b_i}.$$
#
# Below $s^*$, zeros make the file *larger*. What decides is the width of a position beside the width of a value: compare
# the two panels. Storing values in fewer bits (quantisation) makes positions relatively dearer, and sparse storage must
# wait for more zeros. PyTorch's COO lies exactly on the line of 128 bits: so wide a position must be paid for by very many
# zeros.
#
# Positions can be made narrow. Han et al. (2016) store the *distance* to the next nonzero in a few bits. Or spend one bit
# for every entry, zero or not (a bitmask), or remove whole rows, which need no position at all. Labs 2 and 13 go on here.
#
# ## Part 3 · Zeros of the sample
#
# ### Exercise activation_sparsity
#
# A ReLU, $\max(0, x)$, returns zeros in plenty, but they are different ones for each image, and they exist only while the
# network runs. (Where its ReLU returns zero, a neuron is called *silent* for that image.) To see the zeros, *hook* into the
# modules: PyTorch calls a forward hook of a module each time that the module has computed its output, and hands it the
# output.
#
# For each name $m$, with $y^{(m)}$ all that the module returns in one pass,
#
# $$s_m = \frac{\#\{\, i : y^{(m)}_i = 0 \,\}}{\#\{\, i \,\}}.$$
#
# Here $m$ runs over `names`, and $s_m$ is the entry of your dictionary under that name.
#
# A measurement should leave no trace. It runs in *evaluation mode*, in which dropout does nothing and BatchNorm uses its
# stored statistics. Afterwards every module has the mode that it had before, and no hook of yours remains, also when the
# pass failed half-way.
#
# *By hand.* A ReLU gets $(-1, 2)$ for one image and $(-3, -4)$ for another: it returns $(0, 2)$ and $(0, 0)$, three zeros in
# four entries, $0.75$.
#
# <details><summary>Hint</summary>
#
# `handle = module.register_forward_hook(hook)` adds a hook, a function `hook(module, inputs, output)`; let it return nothing.
# `handle.remove()` takes it away. A hook has to know its name: make it inside a function that gets the name as an argument,
# since a loop variable changes before the hook runs. `model.modules()` lists every module, the model itself included, and
# `module.training` is the mode of one. Python's `try … finally` cleans up also after an error.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=20
from solutions.lab01_sparsity_and_cost import activation_sparsity

# %% tags=["visible-check"]
model = nn.Sequential(nn.Identity(), nn.ReLU(), nn.Dropout(0.5), nn.Identity())
model.train()
model[3].eval()  # as where a part of a network is frozen
batch = torch.tensor([[-1.0, 2.0], [-3.0, -4.0]])
result = activation_sparsity(model, batch, ["0", "1", "2"])
assert isinstance(result, dict) and set(result) == {"0", "1", "2"}, (
    f"You returned {result!r}: return a dictionary with one entry for each of the names '0', '1' and '2'. "
    "(None? Then did you forget `return`? Only '2'? Then all hooks used the last name of the loop: make each hook in a "
    "function that gets its name.)"
)
assert all(isinstance(value, float) for value in result.values()), f"You returned {result}: each value is a Python float."
assert result == {"0": 0.0, "1": 0.75, "2": 0.75}, (
    f"You returned {result}. Module '0' hands on -1, 2, -3, -4: no zeros. Module '1', the ReLU, returns 0, 2, 0, 0: three "
    "quarters. Module '2', the dropout, changes nothing in evaluation mode.\n"
    "Is '2' 1.0, or does it change from run to run? Then the model ran in training mode.\n"
    "Do all three have the same value? Then all hooks used the last name of the loop.\n"
    "Is '1' 0.0? Then you looked at what went in. Is it 0.25? Then you counted what is not zero.\n"
    "Is '0' 0.75? Then negative numbers were counted."
)
assert [module.training for module in model.modules()] == [True, True, True, True, False], (
    f"Afterwards the modes (training) are {[module.training for module in model.modules()]}; before, all but the last were "
    "True. `train(…)` sets the mode of a module and of all the modules in it, so give each module its own mode back."
)
assert not any(module._forward_hooks for module in model.modules()), "A hook is still there: remove each of yours."
print("activation_sparsity: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: zeros after ReLU, and after max-pool
#
# The same tutorial says that ReLU makes activations sparse, *and that max-pooling has a similar effect*. A 2 × 2 max-pool
# returns the largest of four neighbours. Its output is zero only if all four are. If each were zero with probability $p$,
# independently of the others, the output would be zero with probability $p^4$. Guess first: does pooling make zeros, or
# does it remove them, and is $p^4$ right? To test the "independently", the third bar pools the same numbers after shuffling
# their positions.
#
# The right panel asks whether a zero belongs to the model or to the sample: for each position after a ReLU, in what share of
# the 1,000 images is it zero? A position that is zero in every image says something about the model. All others depend on
# the image.

# %% tags=["experiment"]
blocks = (1, 2, 3)
pool_zeros = {"after ReLU": [], "after max-pool": [], "after max-pool, shuffled": [], "p⁴": []}  # [seeds, blocks]
position_zeros = {name: [] for name in ("relu1", "relu3", "relu4")}  # [seeds]: share of images, for each position
for model in tqdm(networks["cnn"], desc="networks"):
    found = activation_sparsity(model, images, [f"{module}{b}" for b in blocks for module in ("relu", "pool")])
    pool_zeros["after ReLU"].append([found[f"relu{b}"] for b in blocks])
    pool_zeros["after max-pool"].append([found[f"pool{b}"] for b in blocks])
    pool_zeros["p⁴"].append([found[f"relu{b}"] ** 4 for b in blocks])
    with torch.no_grad():
        outputs = run_by_hand(model, images)
    shuffled = []
    for b in blocks:
        y = outputs[f"relu{b}"][:200]
        order = torch.randperm(y.numel(), generator=torch.Generator().manual_seed(b)).to(device)
        shuffled.append(sparsity(F.max_pool2d(y.flatten()[order].reshape(y.shape), 2)))
    pool_zeros["after max-pool, shuffled"].append(shuffled)
    for name, values in position_zeros.items():
        values.append((outputs[name] == 0).double().mean(dim=0).flatten().cpu().numpy())  # one for each position
    del outputs

fig, axes = plt.subplots(1, 2, figsize=(11, 4.2))
for place, ((label, values), colour) in enumerate(zip(pool_zeros.items(), ("blue", "vermilion", "orange", "black"))):
    x = np.arange(3) + 0.2 * (place - 1.5)
    if label == "p⁴":
        axes[0].plot(x - 0.2, 100 * np.mean(values, axis=0), "_", markersize=14, color="black", label=label, zorder=3)
        continue
    axes[0].bar(x, 100 * np.mean(values, axis=0), width=0.18, color=COLOURS[colour], label=label)
    axes[0].plot(np.tile(x, (3, 1)), 100 * np.array(values), ".", color="black", markersize=5, zorder=3)
axes[0].set_xticks(range(3), [f"block {b}" for b in blocks])
axes[0].grid(axis="x", visible=False)
axes[0].legend(loc="upper left")
axes[0].set_ylim(0, 95)
label_axes(axes[0], x="part of the CNN", x_unit="convolution, ReLU, pool", y="zeros", y_unit="% of activations",
           title="before and after pooling (dots: seeds)")
edges = np.linspace(0, 100, 21)
for (name, values), colour, style in zip(position_zeros.items(), ("sky", "blue", "purple"), (":", "-", "--")):
    rows = [np.histogram(100 * v, bins=edges)[0] * 100 / len(v) for v in values]
    axes[1].stairs(np.mean(rows, axis=0), edges, color=COLOURS[colour], linestyle=style, linewidth=2, label=name)
axes[1].legend(title="after")
label_axes(axes[1], x="images in which a position is zero", x_unit="%", y="positions", y_unit="% per bin",
           title="whose zeros are they?")
show(fig, alt="Left: share of zeros after ReLU, after max-pool and after pooling shuffled numbers, in three blocks; the "
     "pooled shares are lower, the shuffled ones far lower. Right: most positions are zero in some images and not in "
     "others; after the ReLU of the first linear layer many are zero in nearly all.")

print(f"{'zeros':8}" + "".join(f"{label:>26}" for label in pool_zeros))
for place, b in enumerate(blocks):
    print(f"block {b} " + "".join(f"{in_percent(np.array(values)[:, place]):>26}" for values in pool_zeros.values()))
print()
always_zero = {name: [np.mean(v == 1) for v in values] for name, values in position_zeros.items()}
never_zero = {name: [np.mean(v == 0) for v in values] for name, values in position_zeros.items()}
for name in position_zeros:
    print(f"{name}: zero in every image {in_percent(always_zero[name])}, in none {in_percent(never_zero[name])} of positions")

# %% [markdown]
# **What we saw.** ReLU makes many zeros. Max-pool *removes* zeros: in every block, for every seed, the share after it is lower.
# The claim is wrong, and the definition of the maximum says why: one neighbour that is not zero is enough.
#
# But the pooled share is far above $p^4$. Shuffle the positions, and it falls to $p^4$. So the zeros of a real image are not
# scattered at random: where one place of a feature map is zero, its neighbours tend to be zero too. A formula that assumes
# independence was tested, and failed in an instructive way.
#
# In the right panel most positions lie between the ends: their zeros come and go with the image. They are *dynamic*. What
# could skip them must find them anew for each image. A position at 100% is different: it was zero in every image that we
# tried. That unit might be removed for good, which turns a zero of the sample into a zero of the model (Lab 7).
#
# ### Exercise gradient_energy
#
# The third kind: gradients. When several machines train together, they send each other gradients, and one would like to
# send few numbers. Sources say that gradients are "highly sparse". Test what is behind the word: which share of the
# gradient's energy, its squared norm, do the largest entries hold?
#
# $$E(f) = \frac{\sum_{i \in T} g_i^2}{\sum_i g_i^2}, \qquad T = \text{the } k = \operatorname{round}(f \cdot n)
# \text{ entries of largest } |g_i|.$$
#
# Here $g$ is `gradient` with $n$ entries, $f$ is `fraction`, and $E(f)$ is what you return.
#
# *By hand.* $g = (1,\ -3,\ 0,\ 2)$ and $f = 0.25$: $k = 1$, the largest is $-3$, and $E = 9 / 14$. Python rounds a half to the
# even number: `round(2.5)` is 2 and `round(3.5)` is 4.
#
# <details><summary>Hint</summary>
#
# Square first, in float64; then the largest magnitudes are simply the largest entries. `topk` takes the $k$ largest of a
# flat tensor, in time for large $n$.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=10
from solutions.lab01_sparsity_and_cost import gradient_energy

# %% tags=["visible-check"]
gradient = torch.tensor([[1.0, -3.0], [0.0, 2.0]])
result = gradient_energy(gradient, 0.25)
assert isinstance(result, float), (
    f"You returned {result!r}: return a Python float, as with .item(). (None? Then did you forget `return`?)"
)
for fraction, expected in ((0.25, 9 / 14), (0.5, 13 / 14), (1.0, 1.0), (0.0, 0.0)):
    result = gradient_energy(gradient, fraction)
    assert abs(result - expected) < 1e-6, (
        f"For the fraction {fraction} you returned {result:.4f}, and {expected:.4f} is expected. The squares are 9, 4, 1, 0, "
        "in this order, and their sum is 14.\n"
        "Is it 0.5 for a quarter? Then magnitudes were added, not squares. Is it 0.80? Then the square root was taken.\n"
        "Is it 0.29 for a quarter? Then the sign still counts: -3 was ranked last.\n"
        "Is it 0 for a quarter? Then the smallest were taken, or k was counted for each row.\n"
        "Is it above 0 for the fraction 0? Then at least one entry was always taken."
    )
print("gradient_energy: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: how concentrated is a gradient?
#
# Train the MLP from the start, three seeds, and look at the gradient for one mini-batch now and then. Left: the energy of the
# largest 0.1%, 1% and 10% of the entries of the *whole* network. The dotted lines say what numbers drawn independently from a
# normal distribution would give. Sources report that gradients become sparser as training goes on.
#
# Middle: the same question within each layer, for the largest 1% of *its own* entries, and, dashed, which share of the whole
# energy lies in the last layer, `fc3`.
#
# Right: the *exact* zeros in the gradient of the trained network, for batches of growing size. (A linear layer's gradient
# has a zero wherever the neuron was silent for the whole batch.) Guess first: what does a larger batch do to them?

# %% tags=["experiment"]
train_images, train_labels = (tensor.to(device) for tensor in load_fashion_mnist("train"))
TRAINING_STEPS = 600
measured_steps = [0, 25, 50, 100, 200, 300, 400, 500, 599]
fractions = [0.001, 0.01, 0.1]


def whole_gradient(model):
    """The gradients of all weights, laid end to end: [n]."""
    return torch.cat([weight.grad.flatten() for weight in prunable_weights(model).values()])


def follow_training(seed):
    """Train an MLP; at the measured steps the energy of each fraction, of 1% of each layer, and fc3's share of all."""
    history = []

    def look(model, step):
        if step in measured_steps:
            gradient = whole_gradient(model)
            parts = {name: getattr(model, name).weight.grad for name in layers(model)}
            within = [gradient_energy(part, 0.01) for part in parts.values()]
            share = parts["fc3"].square().sum().item() / gradient.square().sum().item()
            history.append([gradient_energy(gradient, fraction) for fraction in fractions] + within + [share])

    model = new_network("mlp", seed).to(device)
    train(model, train_images, train_labels, lr=2e-3, steps=TRAINING_STEPS, seed=seed, progress=False, after_step=look)
    return history


history = np.array([follow_training(seed) for seed in tqdm(SEEDS, desc="training")])  # seeds, steps, 3 + 3 + 1
concentration = {fraction: history[:, :, place] for place, fraction in enumerate(fractions)}  # [seeds, steps]
within_layer = {name: history[:, :, 3 + place] for place, name in enumerate(("fc1", "fc2", "fc3"))}
last_layer_share = history[:, :, -1]

batch_sizes = [1, 4, 16, 64, 256]
batch_zeros = {kind: [] for kind in networks}  # [seeds, batch sizes]
for kind, models in networks.items():
    for model in models:
        row = []
        for batch_size in batch_sizes:
            draws = []
            for start in (0, 256, 512):  # the mean of three batches
                model.zero_grad()
                part = slice(start, start + batch_size)
                F.cross_entropy(model(train_images[part]), train_labels[part]).backward()
                draws.append(sparsity(whole_gradient(model)))
            row.append(np.mean(draws))
        batch_zeros[kind].append(row)
        model.zero_grad()

noise = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
noise_energy = {fraction: gradient_energy(noise, fraction) for fraction in fractions}
fig, axes = plt.subplots(1, 3, figsize=(12.5, 4.2))
for fraction, colour in zip(fractions, ("vermilion", "blue", "green")):
    curve(axes[0], measured_steps, 100 * concentration[fraction], label=f"largest {100 * fraction:g} %", colour=colour)
    axes[0].axhline(100 * noise_energy[fraction], color=COLOURS[colour], linestyle=":", linewidth=1.5)
label_axes(axes[0], x="training", x_unit="steps", y="energy held", y_unit="% of the squared norm", title="MLP, whole gradient")
for name, colour in zip(within_layer, ("blue", "orange", "black")):
    curve(axes[1], measured_steps, 100 * within_layer[name], label=f"largest 1 % of {name}", colour=colour)
axes[1].plot(measured_steps, 100 * last_layer_share.mean(axis=0), "--", color="black", label="all of fc3 in the network")
axes[1].axhline(100 * noise_energy[0.01], color=COLOURS["blue"], linestyle=":", linewidth=1.5)
label_axes(axes[1], x="training", x_unit="steps", y="energy held", y_unit="% of the squared norm", title="MLP, within a layer")
for ax in axes[:2]:
    ax.set_ylim(0, 145)
    ax.set_yticks(range(0, 101, 20))
    ax.legend(loc="upper center", ncols=2, fontsize=8, columnspacing=1)
for kind, colour in zip(networks, ("blue", "orange")):
    curve(axes[2], batch_sizes, 100 * np.array(batch_zeros[kind]), label=f"trained {TITLE[kind]}", colour=colour)
axes[2].set_xscale("log", base=2)
axes[2].set_xticks(batch_sizes, batch_sizes)
axes[2].set_ylim(bottom=0)
axes[2].legend()
label_axes(axes[2], x="batch", x_unit="images", y="exact zeros in the gradient", y_unit="%", title="zeros against batch size")
show(fig, alt="Left: a small part of the whole gradient holds most of its energy, and more so after the first steps. Middle: "
     "within each layer the largest 1% hold a modest, steady share, while the last layer's share of all the energy "
     "rises. Right: the share of exact zeros in the gradient falls as the batch grows.")

for fraction in fractions:
    row = concentration[fraction]
    print(f"largest {100 * fraction:4g} %: first step {in_percent(row[:, 0])}, last step {in_percent(row[:, -1])}, "
          f"normal noise {100 * noise_energy[fraction]:.1f} %")
for name, row in within_layer.items():
    print(f"largest 1 % of {name}: first step {in_percent(row[:, 0])}, last step {in_percent(row[:, -1])}")
print(f"all of fc3: first step {in_percent(last_layer_share[:, 0])}, last step {in_percent(last_layer_share[:, -1])}")

# %% [markdown]
# **What we saw.** In the left panel a small part of the entries holds most of the energy, far more than in normal noise,
# and the concentration grows in the first part of the training. So the sources seem right. Now find out why. In the middle
# panel no layer is nearly as concentrated as the whole, and none becomes so. What grows is the dashed line: the
# last layer takes over the energy. `fc3` has only 1,000 of the 266,200 weights, less than 1% of them, so the largest 1% of all
# entries must hold at least what `fc3` holds, even if no layer is concentrated in itself. "Gradients get sparser" was, in
# this network, mostly a statement about layers, not about entries.
#
# Concentrated does not mean that the rest is zero, either. Those entries are small, they add up over many steps, and Lab 12
# shows what is lost when they are thrown away.
#
# In the right panel are true zeros, and they become rare in a batch. The gradient of a batch is the mean over its images, and an entry is
# zero only if it is zero for every one of them. The MLP's zeros nearly vanish. The CNN keeps some, however large the batch:
# recall the units of `relu4` that were silent for every image. Their rows have no gradient at all.
#
# ## Part 4 · Three kinds of zero
#
# The same word, sparsity, is used for weights, activations and gradients. Sources sort them: sparsity of the *model*
# against sparsity of the *sample* (ephemeral, it comes and goes), *static* against *dynamic*. The next cell measures what
# the sorting needs, on the CNN. Its last column takes two samples: of the positions that are zero for the first, how many
# are zero for the second too? For something static that is 100%. If zeros fell at random, it would be just the share of
# zeros in the first column.

# %% tags=["experiment"]
def zeros_of(pairs):
    """Means over pairs (one sample, another): exact zeros, near zeros, and zeros of the one that the other shares."""
    rows = []
    for one, other in pairs:
        zero = one == 0
        shared = (zero & (other == 0)).sum().item() / zero.sum().item() if zero.any() else math.nan
        rows.append([sparsity(one), near_zero_fraction(one, 0.1 * one.std().item()), shared])
    return np.mean(rows, axis=0)


def gradient_of(model, part):
    model.zero_grad()
    F.cross_entropy(model(train_images[part]), train_labels[part]).backward()
    return whole_gradient(model).clone()


kinds = {name: [] for name in ("weights, trained", "weights, 80% zeroed", "activations, relu3",
                               "gradient, 1 image", "gradient, 256 images")}  # [seeds, 3]
for model in tqdm(networks["cnn"], desc="networks"):
    trained = torch.cat([weight.flatten() for weight in layers(model).values()])
    zeroed = with_smallest_zeroed(trained, 0.8)
    kinds["weights, trained"].append(zeros_of([(trained, trained)]))  # no image changes a weight
    kinds["weights, 80% zeroed"].append(zeros_of([(zeroed, zeroed)]))
    with torch.no_grad():
        y = run_by_hand(model, images[:21])["relu3"]
    kinds["activations, relu3"].append(zeros_of(zip(y[:-1], y[1:])))
    single = [gradient_of(model, slice(i, i + 1)) for i in range(7)]
    kinds["gradient, 1 image"].append(zeros_of(zip(single[:-1], single[1:])))
    large = [gradient_of(model, slice(i, i + 256)) for i in (0, 256)]
    kinds["gradient, 256 images"].append(zeros_of([large]))
    model.zero_grad()

print(f"{'CNN':22} {'exactly zero':>16} {'near zero (0.1 sd)':>20} {'same zeros for another sample':>31}")
for name, rows in kinds.items():
    zero, near, shared = np.array(rows).T
    print(f"{name:22} {in_percent(zero):>16} {in_percent(near):>20} "
          f"{'(there are none)' if np.isnan(shared).all() else in_percent(shared):>31}")

# %% [markdown]
# **What we saw.** Read the last column beside the first. For weights the zeros are the same for every image: static. For the
# activations, and for the gradient of one image, more zeros are shared than chance would give, but many are not: dynamic,
# with a static part. For the gradient of a large batch few zeros are left, and those stay: they belong to units that no
# image wakes. And see the second column: near zero and zero are different questions, in all three.

# %% [markdown] tags=["question"]
# ### Written question
#
# **The table.** Copy this table into your answer and fill it from *your own* measurements in this lab. Where a cell asks for a
# number, give it with its spread.
#
# | | weights | activations | gradients |
# |---|---|---|---|
# | zeros of the model, of the sample, or of the mini-batch? | | | |
# | exactly zero as they come, % | | | |
# | static or dynamic? (same zeros for another sample, %) | | | |
# | there in inference, in training, or both? | | | |
# | what could one zero save? | | | |
#
# **And in about ten lines:** (a) Someone sets 90% of a network's weights to zero and stores it as before. What has been
# saved: storage, MACs, energy? Name the measurements of this lab that show it, and what else has to happen. (b) For which
# layers of the CNN would zeros in the *weights* be worth most, by the energy model, and for which hardly anything? Why?
# (c) Name one statement of a source that your measurements did not confirm, and say why it fails.

# %% [markdown] tags=["written"] points=3 grade_id="three_kinds_of_zero"
# **Model answer.** The table, with the numbers of the reference run:
#
# | | weights | activations | gradients |
# |---|---|---|---|
# | whose zeros? | the model's | the sample's | the mini-batch's (the mean over its samples) |
# | exactly zero as they come | 0.0% in every layer | 48 to 57% after the three ReLUs | 45% for one image of the CNN, 15% for 256 images; MLP 61% and 2% |
# | static or dynamic? | static: the zeros that somebody makes stay, whatever the image (100%) | dynamic: more shared than chance, far from 100% | dynamic for one image; what is left in a large batch is nearly static: the rows of silent units |
# | where? | inference and training | inference and training | training only |
# | one zero could save | a stored value (less the cost of the positions), its read, and the MACs that use it | the MACs that use it and a move to and from memory, if the hardware finds it at run time | a number in a message between machines |
#
# (a) Nothing. PyTorch's counter reports the same operations, and the weights take the same bytes. Storage is saved only by
# leaving the zeros out, and only above a sparsity of (index bits) / (value bits + index bits). MACs and energy are saved only
# if the software or hardware skips the zeros, or the layers are made smaller.
#
# (b) Most in `fc1`: nearly all of its energy is reading weights, each used once for an image, and it is the most expensive
# layer. `conv3` comes next. Hardly anything in `conv1`: 144 weights, each used 784 times; its energy is in the
# activations, which weight zeros do not reduce. (With a large batch the weight reads are shared, and this changes.)
#
# (c) Any one of: "max-pooling makes activations sparse" (it removes zeros: the maximum is zero only if all four are);
# "weights lie near zero before and after training" (before it they are uniform); "trained weights are sparse" (none is
# zero: small is not zero); "gradients are highly sparse" (they are concentrated; true zeros vanish in a batch); "gradients
# get sparser with training" (the last layer takes over the energy; within a layer the concentration hardly changes). "$p^4$" counts too: the zeros are not independent.
#
# **Points.** 1 for the table: the rows whose, static or dynamic, and exact zeros right and supported by numbers. 1 for (a)
# and (b): no saving without skipping, and the reuse of a weight as the reason. 1 for (c): a claim, a measurement against
# it, and a reason.

# %% tags=["record"]
# For the course's makers: where LABKIT_RECORD names a folder, write what the lecture note quotes into it.
import json
import os
from pathlib import Path


def summary(values):
    """Mean and standard deviation over the seeds, and the single values, as fractions."""
    values = [round(float(value), 6) for value in values]
    return {"mean": round(float(np.mean(values)), 6), "sd": round(float(np.std(values, ddof=1)), 6), "seeds": values}


def columns(names, rows):
    """{name: summary of that column of rows, [seeds, names]}."""
    return {str(name): summary(column) for name, column in zip(names, np.array(rows).T)}


def break_even(value_bits, index_bits):
    return index_bits / (value_bits + index_bits)


if folder := os.environ.get("LABKIT_RECORD"):
    record = {
        "made_by": "in labs/: LABKIT_RECORD=../data/results python source/lab01_sparsity_and_cost.py",
        "unit": "fractions; sd is the standard deviation over seeds (n - 1); energies are those of the model, in pJ",
        "images": {"validation": len(images)},
        "weights": {
            kind: {
                "zero": {name: summary(zero_weights[kind, name]) for name in layers(networks[kind][0])},
                "near_zero": {
                    name: {when: summary(values) for when, values in near_zero[kind, name].items()}
                    for name in layers(networks[kind][0])
                },
                "below_0_01": {f"times_{factor}": summary(scaled[kind, factor]) for factor in (1, 10)},
            }
            for kind in networks
        },
        "costs": {
            kind: {
                "layers": costs[kind],
                "operations": counts[kind],
                "operations_with_90_percent_zeros": zeroed_counts[kind],
                "energy": {
                    f"batch_{batch}": {
                        **dict(zip(("weights", "activations", "macs"), map(float, shares(kind, batch)))),
                        "saved_at_90": float(0.9 * (shares(kind, batch)[0] + shares(kind, batch)[2])),
                        "layers_pJ": energy[kind, batch],
                    }
                    for batch in (1, 64)
                },
                "layer_shares": {
                    name: {"weights": parts[0] / sum(parts), "activations": parts[1] / sum(parts), "macs": parts[2] / sum(parts)}
                    for name, parts in energy[kind, 1].items()
                },
            }
            for kind in networks
        },
        "break_even": {f"{v}_{i}": break_even(v, i) for v in (32, 8) for i in index_widths},
        "size_at_50": {f"32_{i}": size[32, i][10] for i in index_widths} | {"coo": real[10]},
        "size_at_90": {f"32_{i}": size[32, i][18] for i in index_widths} | {"coo": real[18]},
        "pooling": {
            f"block_{b}": {
                key: summary(np.array(pool_zeros[label])[:, place])
                for key, label in (("relu", "after ReLU"), ("pool", "after max-pool"),
                                   ("shuffled", "after max-pool, shuffled"), ("p4", "p⁴"))
            }
            for place, b in enumerate(blocks)
        },
        "positions": {
            name: {"always_zero": summary(always_zero[name]), "never_zero": summary(never_zero[name])} for name in position_zeros
        },
        "gradients": {
            **{
                f"largest_{key}": columns(measured_steps, concentration[f]) | {"noise": noise_energy[f]}
                for key, f in (("0_1", 0.001), ("1", 0.01), ("10", 0.1))
            },
            "within_1": {name: columns(measured_steps, rows) for name, rows in within_layer.items()},
            "share_of_fc3": columns(measured_steps, last_layer_share),
            "zeros": {kind: columns(batch_sizes, batch_zeros[kind]) for kind in networks},
        },
        "kinds": {
            key: {
                column: summary(values) for column, values in zip(("zero", "near", "shared"), np.array(kinds[name]).T)
                if not np.isnan(values).any()
            }
            for key, name in zip(("trained", "zeroed", "activations", "gradient_1", "gradient_256"), kinds)
        },
    }
    Path(folder, "lab01_sparsity_and_cost.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

# %% [markdown]
# ## What to take with you
#
# - **A trained network has no zeros in its weights.** It has many small weights, which is a hope for sparsity and not
#   sparsity. "Small" has a unit; zero has none.
# - **A zero by itself saves nothing.** Dense storage keeps it, and dense code multiplies by it. It saves where it is left
#   out.
# - **Storing only what is not zero** pays above the sparsity $b_i / (b_v + b_i)$, and not before.
# - **What a zero weight could save depends on reuse.** In the energy model a linear layer pays for reading its weights. In a
#   convolution a weight is read once and used many times, so that MACs and activations count as well. A batch
#   shares the reads.
# - **Zeros of the sample are dynamic.** ReLU makes them, max-pooling removes them, and in a gradient averaged over a batch
#   few are left.
# - **Gradients are concentrated rather than sparse**, and here mostly because one small layer holds most of the energy.
#
# Lab 2 asks in which shapes one can cut: single weights, rows, filters, and what each costs.
#
# **Read next.** Horowitz (2014), for the energy numbers and what they leave out. Hoefler et al. (2021), sections 1 and 2, for
# a map of all that is called sparsity. Sze et al. (2017), [arXiv:1703.09039](https://arxiv.org/abs/1703.09039), for how
# hardware reuses what it has read. The lecture note of this lab (`lecture_notes/lab01_sparsity_and_cost.md` in the
# course's repository) works small examples by hand.
