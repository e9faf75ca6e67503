# %% [markdown] tags=["lab"] question="Which neurons never speak?" minutes=110 prerequisite="lab04_prune_finetune"
# # Lab 7 · Activations
#
# **The question: which neurons never speak?**
#
# A ReLU that puts out zero says nothing. Some units say nothing for nearly every image. Hu et al. (2016) count how often,
# and remove those units. In this lab you count, you choose, and you *remove*: no mask this time, but a smaller network.
# Then you measure whether counting silence is a good way to choose. The answer is not the same in our two networks.
#
# | you build | it answers |
# |---|---|
# | `apoz`, `collect_apoz` | How often is each channel silent, over thousands of images? |
# | `select_channels` | Which channels stay? |
# | `remove_filters`, `remove_before_linear` | How is a network rebuilt without the others? |
# | `saved_cost` | What does that save? |
#
# **Before you begin.** You have done Lab 4 (prune and fine-tune). The lecture note of this lab
# (`lecture_notes/lab07_activations.md` in the course's repository) teaches the ideas first.
#
# **How long it takes.** The experiments together run for about a minute on a quiet laptop with two cores, and for several
# minutes on a busy one. Every experiment of more than two seconds shows its progress in a bar.
#
# **Papers.** Hu et al. (2016), [arXiv:1607.03250](https://arxiv.org/abs/1607.03250): remove the neurons that are mostly
# zero. Li et al. (2016), [arXiv:1608.08710](https://arxiv.org/abs/1608.08710): remove the filters with the smallest L1
# norm, and rebuild the network. Fang et al. (2023), [arXiv:2301.12900](https://arxiv.org/abs/2301.12900): the same for
# any network, automatically (Torch-Pruning).
#
# **The words.** A *unit* is one output of a linear layer, a *channel* one output map of a convolution, made by one
# *filter*; *neuron* means either. It *speaks* where its output behind the ReLU is not zero, and is *silent* where it is.
# Its *APoZ* is the fraction of its outputs that are exactly zero: the average percentage of zeros. *Sparsity* is the
# fraction of the channels removed. A *score* is high for what should stay. *Masked* means set to zero; *rebuilt* means
# that the layers were made smaller. *MACs* are multiply-adds.
#
# **How it is graded.** Each exercise has a visible check, which you can run as often as you like, and hidden checks,
# which run when the work is graded. Cells marked as experiment are *not* run then. So if an exercise needs a helper
# function of yours, write it in the exercise cell or in a new cell of your own, not in an experiment cell.
# No exercise needs your answer to another one. You may call it all the same; a mistake in it then costs in both.

# %% tags=["setup"]
import copy
import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from torch import nn
from tqdm.auto import tqdm

from labkit.checkpoints import SEEDS, load_checkpoint
from labkit.cost import count_macs, count_parameters
from labkit.datasets import CLASS_NAMES, load_fashion_mnist
from labkit.plots import COLOURS, MARKERS, curve, label_axes, show, use_style
from labkit.timing import compare, speedup
from labkit.training import accuracy, train

use_style()

# %% [markdown]
# ## What the experiments use
#
# The trained CNN and the trained MLP, each in its three copies (three *seeds*). APoZ is measured on 2,000 *training*
# images, without their labels. Accuracies are measured on the validation images, and the test images are read once, at
# the end. A curve is the mean over the seeds, in a band of one standard deviation to each side.

# %% tags=["experiment"]
torch.set_num_threads(1)  # these networks are small, and with one thread a repetition gives the same numbers
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
train_images, train_labels = (tensor[:6000].to(device) for tensor in load_fashion_mnist("train"))
images, labels = (tensor.to(device) for tensor in load_fashion_mnist("validation"))
seen, seen_labels = train_images[:2000], train_labels[:2000]  # what the scores may look at
networks = {name: [load_checkpoint(name, seed).to(device) for seed in SEEDS] for name in ("cnn", "mlp")}


def validate(model):
    """Accuracy on the validation images. Channels-last, another order in memory, is about twice as fast for convolutions."""
    return accuracy(copy.deepcopy(model).to(memory_format=torch.channels_last), images, labels)


def in_percent(values):
    """Mean and standard deviation over the seeds, as text."""
    return f"{100 * np.mean(values):5.1f} ± {100 * np.std(values, ddof=1):4.1f} %"


dense = {name: [validate(model) for model in models] for name, models in networks.items()}
for name, accuracies in dense.items():
    print(f"{name.upper()}: {count_parameters(networks[name][0]):,} parameters, validation accuracy {in_percent(accuracies)}")

# %% [markdown]
# ## Part 1 · Count the silence
#
# ### Exercise apoz
#
# Take one layer, behind its ReLU. For channel $c$ let $O_c(n, j)$ be its output for image $n$ at position $j$ of its map.
# With $N$ images and $M$ positions
#
# $$\text{APoZ}_c = \frac{1}{N M} \sum_{n=1}^{N} \sum_{j=1}^{M} \mathbf{1}\!\left[\,O_c(n, j) = 0\,\right].$$
#
# Here $O$ is `activations`, $n$ runs over dimension 0, $c$ over dimension 1, and $j$ over all the dimensions behind
# them. A linear layer has one position: $M = 1$.
#
# *By hand.* Two images, one channel with maps of two positions: $(0, 3)$ and $(0, 0)$. Three of the four entries are
# zero, so $\text{APoZ} = 0.75$. It would be wrong to ask in how many images the channel is silent *everywhere* (one of
# two), or to average for each position (1 and 0.5).
#
# <details><summary>Hint</summary>
#
# Bring the channels to the front and join everything else: `transpose` exchanges two dimensions, `flatten(1)` joins all
# dimensions from the second one on. A comparison gives a boolean tensor, and the mean of zeros and ones is a share. (float16
# cannot count beyond 2048: take the mean in float32 or float64.)
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=8
from solutions.lab07_activations import apoz

# %% tags=["visible-check"]
maps = torch.tensor([
    [[[0.0, 3.0]], [[1.0, 2.0]]],  # image 0: the map of channel 0, then that of channel 1
    [[[0.0, 0.0]], [[4.0, 5.0]]],  # image 1
])  # N = 2, C = 2, H = 1, W = 2
result = apoz(maps)
assert isinstance(result, torch.Tensor), f"You returned {result!r}: return a tensor with one number for each channel."
assert result.shape == (2,), (
    f"Your result has the shape {list(result.shape)}; there are two channels, so [2] was expected.\n"
    "Is it []? Then the channels were averaged too. Is it [2, 1, 2]? Then you averaged over the images only.\n"
    "Is it [2, 2]? Then each image has a number of its own."
)
assert result.tolist() == [0.75, 0.0], (
    f"You returned {result.tolist()}; channel 0 has 3 zeros of 4 entries, channel 1 has none: [0.75, 0.0].\n"
    "Is it [0.25, 1.0]? Then you counted what is not zero. Is it [0.25, 0.5]? Then you took the images for the channels.\n"
    "Is it [0.5, 0.0]? Then you asked for maps that are silent everywhere.\n"
    "Is it [3.0, 0.0] or [1.5, 0.0]? Then you did not divide by all the entries. Is it [75.0, 0.0]? Then it is percent."
)
assert apoz(torch.tensor([[0.0], [-1.0], [2.0], [5.0]])).tolist() == [0.25], (
    "A linear layer, four images, one unit with the outputs 0, -1, 2, 5: one of four is zero. A negative number is not zero."
)
try:
    apoz(torch.zeros(3))
except ValueError:
    pass
else:
    raise AssertionError("Activations without channels, of shape [3], raised no ValueError.")
print("apoz: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Exercise collect_apoz
#
# Now for a whole network and many images. A *hook* shows you the outputs of the layers inside, as in Lab 1. New is that
# the activations of 50,000 images do not fit into memory. So *stream*: send the images through in batches, keep two
# counts for each channel, and forget the activations:
#
# $$\text{APoZ}_c = \frac{\sum_b z_{c,b}}{\sum_b e_b} .$$
#
# Here $b$ runs over the batches, $z_{c,b}$ is the number of zeros of channel $c$ in batch $b$, and $e_b$ the number of
# entries of one channel in it. The last batch may be smaller. So the mean of the batches' APoZ is something else.
#
# *By hand.* Three images in batches of two, one unit: outputs $(0, 5)$ and $(0)$. Two zeros of three entries:
# $\text{APoZ} = 0.667$. The mean of the batches' APoZ would be $(0.5 + 1)/2 = 0.75$, too much.
#
# And leave the network as you found it, also when something breaks on the way. Whoever forgets a hook will find it
# months later, in a training that is slow for no reason.
#
# <details><summary>Hint</summary>
#
# `module.register_forward_hook(f)` calls `f(module, inputs, output)` after each run of the module, and returns a handle
# with a method `remove`. A hook for each name needs its own name: write a function that makes the hook. What stands behind
# `finally:` happens also when an error passes. Remember the `training` of every module before you call `eval()`, and
# record no gradients. `images.split(size)` cuts a tensor into batches.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=22
from solutions.lab07_activations import collect_apoz

# %% tags=["visible-check"]
class Recorder(nn.Module):
    """Passes its input on, and remembers the size of each batch and its own mode; breaks where it is told to."""

    def __init__(self):
        super().__init__()
        self.batches, self.modes, self.breaks = [], [], False

    def forward(self, x):
        self.batches.append(x.shape[0])
        self.modes.append(self.training)
        if self.breaks:
            raise RuntimeError("broken on purpose")
        return x


recorder = Recorder()
model = nn.Sequential(recorder, nn.ReLU())
outputs = torch.tensor([[-1.0, 5.0], [5.0, 5.0], [-2.0, 0.0]])  # three images, two units, before the ReLU
result = collect_apoz(model, outputs, ["1"], 2)
assert isinstance(result, dict) and list(result) == ["1"], f"You returned {result!r}: return a dictionary with the given names."
shares = [round(share, 4) for share in result["1"].tolist()]
assert recorder.batches == [2, 1], (
    f"The batches had {recorder.batches} images; three images in batches of two are 2 and then 1."
)
assert shares == [0.6667, 0.3333], (
    f"You returned {shares}; unit 0 is zero for two of three images, unit 1 for one: [0.6667, 0.3333].\n"
    "Is it [0.75, 0.5]? Then the batches' APoZ was averaged: the second batch is smaller.\n"
    "Is it [1.0, 1.0]? Then only the last batch counts. Is it [0.0, 0.3333]? Then you looked at what goes into the ReLU."
)
assert not any(recorder.modes), "The model was in training mode while you measured: call eval() before the first batch."
assert model.training and recorder.training, "The model was in training mode before the call, and it is not afterwards."
assert not model[1]._forward_hooks, "Your hook is still there after the call."
recorder.breaks = True
try:
    collect_apoz(model, outputs, ["1"], 2)
except RuntimeError:
    pass
else:
    raise AssertionError("The forward pass broke, and its error did not come through: let it pass.")
assert not model[1]._forward_hooks and model.training, (
    "After an error in the forward pass your hook, or the evaluation mode, stayed behind: clean up in `finally`."
)
for bad in (["7"], 2), (["1"], 0):
    try:
        collect_apoz(model, outputs, *bad)
    except ValueError:
        pass
    except Exception as error:
        raise AssertionError(f"names and batch_size = {bad} raised {type(error).__name__}, not ValueError.") from error
    else:
        raise AssertionError(f"names and batch_size = {bad} raised no ValueError.")
print("collect_apoz: the visible checks pass")

# %% tags=["graded"] points=5

# %% [markdown]
# ### Experiment: who is silent, and when?
#
# Half of what a ReLU puts out is zero. Can a network be pruned by that? Look at the single zeros first. On the left, the
# 128 units of the CNN's first linear layer, and 60 images, sorted by class: coloured where the unit speaks. On the right,
# the 64 channels of the last convolution: the share of zeros in each map.

# %% tags=["experiment"]
LAYERS = {"cnn": ["relu1", "relu2", "relu3", "relu4"], "mlp": ["relu1", "relu2"]}
silence = {  # network: for each seed {layer: APoZ of each channel}
    name: [collect_apoz(model, seen, LAYERS[name], 200) for model in tqdm(models, desc=f"APoZ of the {name.upper()}")]
    for name, models in networks.items()
}


def outputs_of(model, layers, inputs):
    """What some layers put out for some images (a few: all is kept)."""
    caught, handles = {}, []
    for layer in layers:
        handles.append(model.get_submodule(layer).register_forward_hook(
            lambda module, ins, out, layer=layer: caught.update({layer: out})
        ))
    with torch.no_grad():
        model(inputs)
    for handle in handles:
        handle.remove()
    return caught


chosen = seen_labels[:60].argsort(stable=True)  # 60 images, six of each class
caught = outputs_of(networks["cnn"][0], ["relu3", "relu4"], seen[chosen])
speaks = (caught["relu4"] != 0).t().cpu()  # 128 units, 60 images
zeros_in_map = (caught["relu3"] == 0).float().mean(dim=(2, 3)).t().cpu()  # 64 channels, 60 images
by_apoz = {layer: silence["cnn"][0][layer].argsort().cpu() for layer in ("relu3", "relu4")}

fig, axes = plt.subplots(1, 2, figsize=(11, 4.4))
axes[0].pcolormesh(speaks[by_apoz["relu4"]], cmap=ListedColormap(["#E8E8E8", COLOURS["blue"]]))
label_axes(axes[0], x="image", x_unit="number, sorted by class", y="unit", y_unit="number, sorted by APoZ",
           title="first linear layer: blue = speaks")
mesh = axes[1].pcolormesh(100 * zeros_in_map[by_apoz["relu3"]], cmap="cividis", vmin=0, vmax=100)
label_axes(axes[1], x="image", x_unit="number, sorted by class", y="channel", y_unit="number, sorted by APoZ",
           title="last convolution")
fig.colorbar(mesh, ax=axes[1], label="zeros in the map (%)")
for ax in axes:
    ax.grid(visible=False)
show(fig, alt="Left: a grid of 128 units by 60 images. Blue cells are scattered, in stripes by class; the upper fifth of the "
     "units never speaks. Right: the share of zeros in the maps of 64 channels; it changes from image to image, and no "
     "channel is silent throughout.")

share_of_zeros, always_silent, changes = {}, {}, {}  # layer: one number for each seed
for model, values in zip(networks["cnn"], silence["cnn"]):
    some = outputs_of(model, ["relu3", "relu4"], seen[:200])
    for layer, title in (("relu3", "last convolution"), ("relu4", "first linear layer")):
        zero = some[layer] == 0
        share_of_zeros.setdefault(title, []).append(zero.float().mean().item())
        changes.setdefault(title, []).append((zero[:100] != zero[100:]).float().mean().item())
        always_silent.setdefault(title, []).append((values[layer] == 1).float().mean().item())
for title in share_of_zeros:
    print(f"{title:18}: zeros {in_percent(share_of_zeros[title])}; places that are zero in one of two images and not in the other "
          f"{in_percent(changes[title])}; channels silent on all {len(seen):,} images {in_percent(always_silent[title])}")

# %% [markdown]
# **What we saw.** There are zeros enough, but many are in another place for another image: the sparsity of a ReLU is
# *dynamic* (it depends on the input) and *unstructured* (it comes in single entries). No weight can be removed because
# of a zero that another image fills. This is why a dense kernel gains nothing from it.
#
# APoZ turns it into something *static* and *structured*: one number for each channel, and with it whole channels that
# go, for all images. That is only harmless where a row of the left panel is empty. In the first linear layer about a
# fifth of the rows are: these units said nothing on any of the 2,000 images. In the last convolution there is no such
# channel.
#
# ### Experiment: the histogram
#
# Lectures show a histogram from Hu et al.: the last convolution of VGG-16, CONV5-3, with 512 channels, of which most are
# reported to be zero in about 93% of their outputs. Here are all the layers of our two networks.

# %% tags=["experiment"]
titles = {
    ("cnn", "relu1"): "CNN, convolution 1", ("cnn", "relu2"): "CNN, convolution 2", ("cnn", "relu3"): "CNN, convolution 3",
    ("cnn", "relu4"): "CNN, linear 1", ("mlp", "relu1"): "MLP, linear 1", ("mlp", "relu2"): "MLP, linear 2",
}
fig, axes = plt.subplots(2, 3, figsize=(11, 5.6), sharex=True)
edges = np.linspace(0, 1, 21)
for ax, ((name, layer), title) in zip(axes.flat, titles.items()):
    pool = torch.cat([values[layer] for values in silence[name]]).cpu().numpy()
    ax.hist(pool, bins=edges, weights=np.full(len(pool), 1 / len(SEEDS)), color=COLOURS["blue"])
    ax.axvline(0.9, color="black", linestyle="--", linewidth=1)
    label_axes(ax, x="APoZ", x_unit="fraction of outputs", y="channels", y_unit="mean of 3 seeds", title=title)
for ax in axes[:, 1:].flat:
    ax.set_ylabel("")
for ax in axes[0]:
    ax.set_xlabel("")
show(fig, alt="Six histograms of APoZ. The three convolutions form one hill around one half, far below 0.9. The linear layers "
     "are broad; the CNN's first linear layer has a separate bar at 1, the MLP's only a small tail.")

above, exactly_one, halves = {}, {}, {}
for (name, layer), title in titles.items():
    above[name, layer] = [int((values[layer] > 0.9).sum()) for values in silence[name]]
    exactly_one[name, layer] = [int((values[layer] == 1).sum()) for values in silence[name]]
    medians = [values[layer].median().item() for values in silence[name]]
    most = max(values[layer].max().item() for values in silence[name])
    print(f"{title:19} of {len(silence[name][0][layer]):3}: median {np.mean(medians):.2f}, largest {most:.2f}, "
          f"above 0.9: {above[name, layer]}, exactly 1: {exactly_one[name, layer]}")
for name, model in (("cnn", networks["cnn"][0]), ("mlp", networks["mlp"][0])):
    parts = [collect_apoz(model, seen[part::2], LAYERS[name], 200) for part in (0, 1)]
    halves[name] = max((parts[0][layer] - parts[1][layer]).abs().max().item() for layer in LAYERS[name])
    print(f"{name.upper()}: two halves of the images give values that differ by {halves[name]:.3f} at most")

# %% [markdown]
# **What we saw.** No convolution of ours looks like the lecture's figure: all its channels lie in the middle, none near
# one. So there APoZ names no channel that could clearly go. (VGG-16 is a far larger network, for a thousand classes.) The
# linear layers are broader, and the CNN's first one shows what APoZ was made for: a group apart, exactly at one. Their
# ReLU was off for all the images that we measured: these units are *dead*, as far as we can tell. Where the ReLU is off
# for every training image, no gradient reaches their own weights, and as long as the layers before stay as they are, they
# stay dead.
#
# The last lines say that 1,000 images are enough for such a picture: two halves agree to within a few hundredths.
#
# ## Part 2 · Remove
#
# ### Exercise select_channels
#
# From scores to positions. As always in this course a high score means keep, and exactly
# $r = \text{round}(s \cdot n)$ channels go: those with the lowest scores. Here $s$ is `sparsity` and $n$ the number of
# scores. One rule is new: a layer without any channel is no layer. So at least one stays, $r \le n - 1$.
#
# APoZ is high for what should *go*. So pass $1 - \text{APoZ}$ as the score.
#
# *By hand.* Scores $(0.2,\ 0,\ 0.7,\ 0)$ at $s = 0.25$: one goes. Two are lowest, and the earlier one goes: kept are the
# positions $(0, 2, 3)$. At $s = 1$ all four would go. Three do, and position 2 stays.
#
# <details><summary>Hint</summary>
#
# `argsort(stable=True)` gives positions, the lowest score first, and of equal scores the earlier one first. Cut off its
# beginning. Then bring the rest into ascending order. Python's `round` rounds a half to the even neighbour.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=10
from solutions.lab07_activations import select_channels

# %% tags=["visible-check"]
scores = torch.tensor([0.2, 0.0, 0.7, 0.0, 0.9])
result = select_channels(scores, 0.2)
assert isinstance(result, torch.Tensor) and result.dtype == torch.int64, (
    f"You returned {result!r}: return an int64 tensor with positions. (A boolean mask is something else.)"
)
assert result.tolist() == [0, 2, 3, 4], (
    f"You returned {result.tolist()}. One of five goes; positions 1 and 3 share the lowest score, and the earlier one goes: "
    "kept are [0, 2, 3, 4].\n"
    "Is it [0, 1, 2, 4]? Then the later of the equal ones went. Is it [0, 2, 4]? Then both went: a threshold prunes all ties.\n"
    "Is it [1]? Those are the removed ones. Is it [0, 1, 2, 3]? Then the highest score went.\n"
    "Is the order another one? The positions must ascend."
)
assert select_channels(scores, 0.5).tolist() == [0, 2, 4], (
    f"round(0.5 * 5) = round(2.5) = 2 channels go, and [0, 2, 4] stay; you kept {select_channels(scores, 0.5).tolist()}."
)
assert select_channels(scores, 1.0).tolist() == [4], (
    f"At sparsity 1 the channel with the highest score stays, position 4; you kept {select_channels(scores, 1.0).tolist()}."
)
for bad in (scores, 1.5), (torch.ones(2, 2), 0.5):
    try:
        select_channels(*bad)
    except ValueError:
        pass
    else:
        raise AssertionError(f"scores of shape {list(bad[0].shape)} with sparsity {bad[1]} raised no ValueError.")
print("select_channels: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Exercise remove_filters
#
# Removing channel $c$ of a convolution touches three layers:
#
# ```text
# conv         weight [out, in, kh, kw]: filter c goes (dimension 0), and entry c of the bias
# BatchNorm    scale, shift, running mean, running variance: entry c goes
# following    weight [out', out, kh', kw']: input c of every filter goes (dimension 1); its bias stays
# ```
#
# With the kept positions $K$, that is $W \leftarrow W[K]$ and $W' \leftarrow W'[:, K]$. Here $W$ is `conv.weight`, $W'$ is
# `following.weight`, $K$ is `kept`. What stands between the layers, ReLU or pooling, works on each channel by itself and
# stays as it is.
#
# **What does the smaller network compute?** What the old one computes when channel $c$ is zero *where the next layer reads
# it*. Mind where the zero stands. Set only the filter to zero, and BatchNorm still puts out a constant, from its shift and
# its running mean; the next layer reads it (Lab 6 makes use of that). So "masked" means here: zero behind BatchNorm and
# ReLU. Scale *and* shift set to zero do the same; without BatchNorm, filter and bias do.
#
# *By hand.* Scale $\gamma = 1$, shift $\beta = 0.5$, running mean $\mu = -1$, running variance 1 (eps left out). A filter of
# zeros puts out 0. BatchNorm makes $\gamma (0 - \mu)/1 + \beta = 1.5$ of it, at every position, and the ReLU lets it pass.
#
# <details><summary>Hint</summary>
#
# `copy.deepcopy` of a layer brings along stride, padding, `training` and all else. Then give the copy smaller parameters (a
# new `nn.Parameter` of a detached piece of the old one) and correct the numbers that the layer tells about itself. Running
# mean and variance are plain tensors, and no parameters. Indexing with a tensor of positions makes a new tensor.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=22
from solutions.lab07_activations import remove_filters

# %% tags=["visible-check"]
conv, bn, following = nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3, eps=0.5), nn.Conv2d(3, 1, 1)
with torch.no_grad():
    conv.weight.copy_(torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1))
    conv.bias.copy_(torch.tensor([10.0, 20.0, 30.0]))
    for tensor, start in ((bn.weight, 4.0), (bn.bias, 40.0), (bn.running_mean, 400.0), (bn.running_var, 4000.0)):
        tensor.copy_(torch.tensor([start, start + 1, start + 2]))
    following.weight.copy_(torch.tensor([100.0, 200.0, 300.0]).view(1, 3, 1, 1))
    following.bias.fill_(7.0)
conv.eval()
result = remove_filters(conv, bn, following, torch.tensor([0, 2]))
assert isinstance(result, tuple) and len(result) == 3, f"You returned {type(result).__name__}: return the three new modules."
a, b, c = result
assert isinstance(a, nn.Conv2d) and a.weight.flatten().tolist() == [1.0, 3.0] and a.bias.tolist() == [10.0, 30.0], (
    f"The first convolution has the weights {a.weight.flatten().tolist()} and the bias {None if a.bias is None else a.bias.tolist()}; "
    "filters 0 and 2 stay: [1, 3] and [10, 30]."
)
assert isinstance(b, nn.BatchNorm2d) and (b.weight.tolist(), b.bias.tolist()) == ([4.0, 6.0], [40.0, 42.0]), (
    f"BatchNorm's scale is {b.weight.tolist()} and its shift {b.bias.tolist()}; they should be [4, 6] and [40, 42]."
)
assert (b.running_mean.tolist(), b.running_var.tolist()) == ([400.0, 402.0], [4000.0, 4002.0]), (
    f"BatchNorm's running mean is {b.running_mean.tolist()}, its variance {b.running_var.tolist()}; [400, 402] and "
    "[4000, 4002] were expected. Did you make a new BatchNorm? What the old one had measured must go along."
)
assert isinstance(c, nn.Conv2d) and c.weight.shape == (1, 2, 1, 1) and c.weight.flatten().tolist() == [100.0, 300.0], (
    f"The next convolution's weight is {c.weight.flatten().tolist()} in the shape {list(c.weight.shape)}; its inputs 0 and 2 "
    "stay: [100, 300] in [1, 2, 1, 1]. Inputs are dimension 1."
)
assert c.bias is not None and c.bias.tolist() == [7.0], "The bias of the next convolution belongs to its outputs: it stays as it is."
assert (a.out_channels, b.num_features, c.in_channels) == (2, 2, 2), (
    f"out_channels, num_features and in_channels say {a.out_channels}, {b.num_features} and {c.in_channels}, not 2."
)
assert b.eps == 0.5, f"eps was 0.5 and is now {b.eps}."
assert not a.training and b.training, "conv was in evaluation mode and bn in training mode: the new ones should be, too."
assert conv.weight.shape == (3, 1, 1, 1) and a is not conv, "The old convolution has changed: make new modules."
assert all(parameter.requires_grad for module in result for parameter in module.parameters()), (
    "A parameter of the new modules has requires_grad = False: it should require gradients."
)
old_memory = {tensor.data_ptr() for module in (conv, bn, following) for tensor in module.state_dict().values()}
assert not any(tensor.data_ptr() in old_memory for module in result for tensor in module.state_dict().values()), (
    "A new module shares a tensor with an old one: training the one would change the other."
)
with torch.no_grad():
    image = torch.ones(1, 1, 1, 1)
    maps = bn.eval()(conv(image)).relu()
    maps[:, 1] = 0  # masked: channel 1 is zero where the next convolution reads it
    masked_output, output = following(maps).item(), c(b.eval()(a(image)).relu()).item()
assert math.isclose(masked_output, output, rel_tol=1e-5), (
    f"For an image of one pixel, 1, the old layers with channel 1 masked put out {masked_output:.2f}, the new ones {output:.2f}."
)
for bad in torch.tensor([0, 3]), torch.tensor([2, 0]):
    try:
        remove_filters(conv, bn, following, bad)
    except ValueError:
        pass
    except Exception as error:
        raise AssertionError(f"kept = {bad.tolist()} raised {type(error).__name__}, not ValueError.") from error
    else:
        raise AssertionError(f"kept = {bad.tolist()} raised no ValueError: positions ascend, and lie between 0 and 2.")
print("remove_filters: the visible checks pass")

# %% tags=["graded"] points=5

# %% [markdown]
# ### Exercise remove_before_linear
#
# The last convolution of a network is read by a linear layer, behind `flatten(1)`. Flattening puts the $M$ positions of
# channel 0 first, then those of channel 1, and so on:
#
# ```text
# M = 4, three channels:   0 0 0 0 1 1 1 1 2 2 2 2      the channel of each input of the linear layer
# ```
#
# So channel $c$ owns the inputs $cM,\ cM + 1,\ \dots,\ cM + M - 1$, and they go with it. Here $M$ is
# `linear.in_features` divided by the number of outputs of `layer`. The same function serves two linear layers after each
# other: there $M = 1$.
#
# *By hand.* Channels 0 and 2 of three stay, $M = 2$: of the inputs $0, \dots, 5$ stay $0, 1, 4, 5$.
#
# <details><summary>Hint</summary>
#
# Give the weight of the linear layer, [out, n M], a dimension for the channels: `unflatten(1, (…))`. Choose in that
# dimension, and join the two again. Both kinds of first layer have their outputs in dimension 0 of the weight; only the
# name of the attribute that counts them differs.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=15
from solutions.lab07_activations import remove_before_linear

# %% tags=["visible-check"]
conv, linear = nn.Conv2d(1, 3, 1, bias=False), nn.Linear(6, 2)
with torch.no_grad():
    conv.weight.copy_(torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1))
    linear.weight.copy_(torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]]))
    linear.bias.copy_(torch.tensor([7.0, 8.0]))
result = remove_before_linear(conv, None, linear, torch.tensor([0, 2]))
assert isinstance(result, tuple) and len(result) == 3, f"You returned {type(result).__name__}: return the three new modules."
a, b, c = result
assert b is None, f"There was no BatchNorm, so the second entry should be None, but it is {b!r}."
assert a.weight.flatten().tolist() == [1.0, 3.0], f"Filters 0 and 2 stay, [1, 3]; the convolution has {a.weight.flatten().tolist()}."
assert c.weight.tolist() == [[0.0, 1.0, 4.0, 5.0], [10.0, 11.0, 14.0, 15.0]], (
    f"The linear layer's weight is {c.weight.tolist()}. Three channels own two inputs each: 0 1, 2 3, 4 5; channel 1 goes.\n"
    "Has it two columns? Then you kept one input for each channel. Are the columns 0, 2, 3, 5? Then you took the channels to "
    "alternate. Are they 0, 1, 2, 3? Those are the first ones, not those of the kept channels."
)
assert c.bias is not None and c.bias.tolist() == [7.0, 8.0], "The bias of the linear layer belongs to its outputs: it stays as it is."
assert (a.out_channels, c.in_features) == (2, 4), f"out_channels and in_features say {a.out_channels} and {c.in_features}, not 2 and 4."
first, _, second = remove_before_linear(nn.Linear(5, 4), None, nn.Linear(4, 3), torch.tensor([1]))
assert (first.out_features, second.in_features, first.weight.shape, second.weight.shape) == (1, 1, (1, 5), (3, 1)), (
    f"Between two linear layers each output owns one input; one unit was kept, and the weights have the shapes "
    f"{list(first.weight.shape)} and {list(second.weight.shape)}, not [1, 5] and [3, 1], or the attributes do not say so."
)
try:
    remove_before_linear(conv, None, nn.Linear(7, 2), torch.tensor([0]))
except ValueError:
    pass
else:
    raise AssertionError("Three channels cannot share seven inputs, and no ValueError was raised.")
print("remove_before_linear: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: masked and rebuilt
#
# Half the channels of every layer of the CNN go (by L1 norm, and only to have some choice). Is the rebuilt network the
# masked one? We compare the logits (the ten outputs) in float64, so that rounding does not hide an error. Three masks: *behind the ReLU*
# (the channel is zero where the next layer reads it), *filter, scale and shift* set to zero, and *filter alone*.

# %% tags=["experiment"]
CNN_CHAIN = {  # layer: (its BatchNorm, its ReLU, the layer that reads it)
    "conv1": ("bn1", "relu1", "conv2"), "conv2": ("bn2", "relu2", "conv3"), "conv3": ("bn3", "relu3", "fc1"),
    "fc1": (None, "relu4", "fc2"),
}
MLP_CHAIN = {"fc1": (None, "relu1", "fc2"), "fc2": (None, "relu2", "fc3")}


def rebuild(model, chain, kept):
    """The network without the channels that are not kept: {layer: positions}. The model itself is not changed."""
    new = copy.deepcopy(model)
    for layer, positions in kept.items():
        bn, _, reader = chain[layer]
        remove = remove_filters if isinstance(getattr(new, reader), nn.Conv2d) else remove_before_linear
        parts = remove(getattr(new, layer), None if bn is None else getattr(new, bn), getattr(new, reader), positions)
        for name, part in zip((layer, bn, reader), parts):
            if name is not None:
                setattr(new, name, part)
    return new


def l1_scores(model, chain):
    """{layer: L1 norm of the weights of each of its outputs}."""
    return {layer: getattr(model, layer).weight.detach().abs().flatten(1).sum(dim=1) for layer in chain}


def choose(scores, sparsity):
    """{layer: positions to keep}, the same sparsity in every layer."""
    return {layer: select_channels(values, sparsity) for layer, values in scores.items()}


def gone_of(model, layer, positions):
    """True for the channels that are not kept."""
    gone = torch.ones(len(getattr(model, layer).weight), dtype=torch.bool, device=device)
    gone[positions] = False
    return gone


def masked_outputs(model, chain, kept, inputs):
    """Outputs of the network in which the channels are set to zero behind their ReLU."""
    def zeroing(gone):
        def zero(module, ins, out):
            return out.masked_fill(gone.view(1, -1, *[1] * (out.dim() - 2)), 0)

        return zero

    handles = [
        getattr(model, chain[layer][1]).register_forward_hook(zeroing(gone_of(model, layer, positions)))
        for layer, positions in kept.items()
    ]
    with torch.no_grad():
        outputs = model(inputs)
    for handle in handles:
        handle.remove()
    return outputs


def zeroed(model, chain, kept, with_bn):
    """The network with the filters (and biases) set to zero, and BatchNorm's scale and shift too where with_bn."""
    new = copy.deepcopy(model)
    with torch.no_grad():
        for layer, positions in kept.items():
            names = [layer] + ([chain[layer][0]] if with_bn and chain[layer][0] else [])
            for part in (getattr(new, name) for name in names):
                for parameter in part.parameters():
                    parameter[gone_of(model, layer, positions)] = 0
    return new


gaps = {"behind the ReLU": [], "filter, scale and shift": [], "filter alone": []}
for model in networks["cnn"]:
    model, batch = copy.deepcopy(model).double(), images[:200].double()
    kept = choose(l1_scores(model, CNN_CHAIN), 0.5)
    with torch.no_grad():
        outputs = rebuild(model, CNN_CHAIN, kept)(batch)
        others = [masked_outputs(model, CNN_CHAIN, kept, batch), *(zeroed(model, CNN_CHAIN, kept, bn)(batch) for bn in (True, False))]
    for gap, other in zip(gaps.values(), others):
        gap.append((outputs - other).abs().max().item())
for mask, values in gaps.items():
    print(f"rebuilt against masked, {mask:23}: the logits differ by at most {max(values):.1e}")

# %% [markdown]
# **What we saw.** Two masks agree with the rebuilt network, up to rounding in the last digits of float64. The third
# does not: where only the filter is zero, BatchNorm's constants stay. Whoever tests such a mask tests another network: the
# smaller network is not this one.
#
# ### Exercise saved_cost
#
# What does one removed filter save? In the notation of Li et al., layer $i$ reads $n_i$ channels and has $n_{i+1}$ filters
# of $k \times k$, and its output map has $h_{i+1} \times w_{i+1}$ positions. Then
#
# $$\underbrace{k^2 n_i}_{\text{the filter}} + \underbrace{k^2 n_{i+2}}_{\text{what reads it}} \text{ weights},
# \qquad k^2 n_i\, h_{i+1} w_{i+1} + k^2 n_{i+2}\, h_{i+2} w_{i+2} \text{ MACs}$$
#
# are saved: each weight of a convolution works once at every position of the *output* map of its layer. You write it for
# $m$ removed outputs and in general. The two kernels may differ, and the next layer may be linear. There one channel
# owns $M$ inputs: $k^2 n_{i+2}$ becomes $M n_{i+2}$, at one position. Here $m$ is `removed`, `shape` is $(n_{i+1}, n_i, k, k)$,
# the shape of layer $i$'s weight, and `positions` is $h_{i+1} w_{i+1}$; for layer $i + 1$ `next_shape` is
# $(n_{i+2}, n_{i+1}, k, k)$ or $(n_{i+2}, M n_{i+1})$, and `next_positions` is $h_{i+2} w_{i+2}$.
#
# *By hand.* Convolution 2 of our CNN: $n_i = 16$, $k = 3$, map $14 \times 14$; convolution 3 has 64 filters and the map
# $7 \times 7$. One filter: $9 \cdot 16 + 9 \cdot 64 = 720$ weights, and
# $9 \cdot 16 \cdot 196 + 9 \cdot 64 \cdot 49 = 56{,}448$ MACs.
#
# <details><summary>Hint</summary>
#
# Ask two questions. How many weights make one output of the first layer? How many weights of the next layer read one
# output? `math.prod` multiplies the entries of a tuple; all weights of the next layer are shared equally by the outputs
# that it reads.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab07_activations import saved_cost

# %% tags=["visible-check"]
result = saved_cost((8, 2, 3, 3), (5, 8, 3, 3), 100, 10, 1)
assert isinstance(result, tuple) and len(result) == 2, f"You returned {result!r}: return a tuple, the weights and the MACs."
assert result[0] == 63, (
    f"You counted {result[0]} weights. One filter has 2 * 9 = 18, and each of the 5 filters of the next layer reads it with "
    "9: 18 + 45 = 63.\n"
    "Is it 18? Then the next layer was forgotten. Is it 117? Then you took the 8 outputs for the 2 inputs. Is it 21? Then k is "
    "not squared. Is it 64? Then a bias was counted."
)
assert result[1] == 2250, (
    f"You counted {result[1]} MACs: 18 weights work at 100 positions, 45 at 10: 1800 + 450 = 2250.\n"
    "Is it 6300? Then both layers got the first map. Is it 63? Then the positions were forgotten. Is it 4500? One MAC counts "
    "once here."
)
assert tuple(saved_cost((8, 2, 3, 3), (5, 8, 1, 1), 100, 10, 2)) == (46, 3700), (
    f"Two filters, and 1 x 1 kernels in the next layer: 2 * (18 + 5) = 46 weights and 2 * (1800 + 50) = 3700 MACs; you returned "
    f"{saved_cost((8, 2, 3, 3), (5, 8, 1, 1), 100, 10, 2)}."
)
assert tuple(saved_cost((8, 2, 3, 3), (5, 32), 100, 1, 1)) == (38, 1820), (
    "A linear layer with 32 inputs reads 8 channels, 4 inputs for each: 18 + 5 * 4 = 38 weights and 1800 + 20 = 1820 MACs; "
    f"you returned {saved_cost((8, 2, 3, 3), (5, 32), 100, 1, 1)}."
)
for bad in ((8, 2, 3, 3), (5, 7, 3, 3), 100, 10, 1), ((8, 2, 3, 3), (5, 8, 3, 3), 100, 10, 9):
    try:
        saved_cost(*bad)
    except ValueError:
        pass
    else:
        raise AssertionError(f"saved_cost{bad} raised no ValueError.")
print("saved_cost: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: what is saved?
#
# First the formula against counting: one filter, or unit, of each layer of the CNN goes, and we count weights and MACs of the
# network before and after. Then the same share of *every* layer goes, and we measure the time of 64 images and of one, masked and
# rebuilt, with `labkit.timing` (the versions take turns, and the median of many runs counts). The last lines take the time of 64
# images apart.

# %% tags=["experiment"]
model, image_shape = networks["cnn"][0], (1, 28, 28)
positions_of = {"conv1": 28 * 28, "conv2": 14 * 14, "conv3": 7 * 7, "fc1": 1, "fc2": 1}
formula_holds = {}
for layer, (_, _, reader) in CNN_CHAIN.items():
    shapes = [tuple(getattr(model, name).weight.shape) for name in (layer, reader)]
    weights, macs = saved_cost(*shapes, positions_of[layer], positions_of[reader], 1)
    smaller = rebuild(model, CNN_CHAIN, {layer: torch.arange(1, shapes[0][0], device=device)})
    counted = [
        sum(getattr(m, name).weight.numel() for name in positions_of) for m in (model, smaller)
    ] + [count_macs(m, image_shape) for m in (model, smaller)]
    formula_holds[layer] = (weights, macs) == (counted[0] - counted[1], counted[2] - counted[3])
    print(f"one output of {layer:5}: {weights:5,} weights and {macs:7,} MACs by the formula, "
          f"{counted[0] - counted[1]:5,} and {counted[2] - counted[3]:7,} by counting")

cuts = [0, 0.25, 0.5, 0.75]
batch = images[:64]
kept = {s: choose(l1_scores(model, CNN_CHAIN), s) for s in cuts}
rebuilt = {s: rebuild(model, CNN_CHAIN, kept[s]) for s in cuts}
masked = {s: zeroed(model, CNN_CHAIN, kept[s], True) for s in cuts[1:]}
with torch.no_grad():
    versions = {("rebuilt", s): rebuilt[s] for s in cuts} | {("masked", s): masked[s] for s in cuts[1:]}
    times = compare({key: lambda m=m: m(batch) for key, m in versions.items()}, repeats=25, device=device)
    single = compare({key: lambda m=m: m(batch[:1]) for key, m in versions.items()}, repeats=25, calls=3, device=device)
cost = {
    "weights": [count_parameters(rebuilt[s]) for s in cuts],
    "MACs": [count_macs(rebuilt[s], image_shape) for s in cuts],
}
whole = ("rebuilt", 0)
seconds = {  # (way, batch): time in units of the whole network's
    (way, size): [1.0] + [1 / speedup(timing[whole], timing[way, s])[1] for s in cuts[1:]]
    for way in ("masked", "rebuilt") for size, timing in ((64, times), (1, single))
}

def parts_of(model):
    """The three convolutions and the three poolings of the CNN, each with the input that it gets from the batch."""
    caught = outputs_of(model, ["relu1", "pool1", "relu2", "pool2", "relu3"], batch)
    inputs = {"conv1": batch, "conv2": caught["pool1"], "conv3": caught["pool2"]}
    inputs |= {f"pool{i}": caught[f"relu{i}"] for i in (1, 2, 3)}
    return {kind: [(getattr(model, kind + i), inputs[kind + i]) for i in "123"] for kind in ("conv", "pool")}


with torch.no_grad():
    pieces = {
        (way, kind): part for way, m in (("whole", rebuilt[0]), ("masked", masked[0.75]), ("rebuilt", rebuilt[0.75]))
        for kind, part in parts_of(m).items()
    }
    part_times = compare({key: lambda part=part: [layer(x) for layer, x in part] for key, part in pieces.items()}, repeats=25, device=device)

fig, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
x = [100 * s for s in cuts]
for ax, size in zip(axes, (64, 1)):
    curve(ax, x, [100 * value / cost["MACs"][0] for value in cost["MACs"]], label="MACs, rebuilt", colour="blue")
    curve(ax, x, 100 * np.array(seconds["rebuilt", size]), label="time, rebuilt", colour="black")
    curve(ax, x, 100 * np.array(seconds["masked", size]), label="time, masked", colour="vermilion")
    label_axes(ax, x="channels removed from every layer", x_unit="%", y="cost", y_unit="% of the whole network's",
               title=f"{size} image{'s' if size > 1 else ''} at once")
    ax.set_ylim(0, 130)
axes[1].set_ylabel("")
axes[0].legend(loc="lower left")
show(fig, alt="Cost against the share of channels removed, for 64 images at once and for one. The MACs of the rebuilt "
     "network fall along a curve below the diagonal. The time of the masked network falls little or not at all; that of the "
     "rebuilt one falls far more, less for one image than for 64.")
for s in cuts:
    line = f"{100 * s:2.0f} % removed: {cost['weights'][cuts.index(s)]:6,} weights, {cost['MACs'][cuts.index(s)]:9,} MACs"
    print(line + "".join(f"; {way} {1e3 * times[way, s].median:.2f} ms" for way in ("masked", "rebuilt") if (way, s) in times))
for kind, title in (("conv", "convolutions"), ("pool", "poolings")):
    print(f"the three {title:12} at 75 %: " + ", ".join(
        f"{way} {1e3 * part_times[way, kind].median:.2f} ms" for way in ("whole", "masked", "rebuilt")
    ))

# %% [markdown]
# **What we saw.** The formula and the counting agree to the last weight. The rebuilt network is smaller, and faster, with
# no special kernel and no sparse format. That is the good side of removing whole channels. The masked one keeps all its
# MACs, and its convolutions take as long as before: a zero channel is multiplied like any other. Does its time fall
# all the same? On our CPU it does. The last lines say where: in the *pooling*. A likely reason: to find the largest of four numbers
# the processor guesses the result of each comparison, and where all are zero it guesses right. So measure the parts
# before you praise a mask.
#
# Two details. Weights and MACs fall faster than the share of channels: with half the channels everywhere a middle layer
# has half the outputs *and* half the inputs, a quarter is left. And the time does not follow the MACs exactly: a call
# has a fixed price, whatever the width. For one image at a time it weighs most, and the gain is smaller.
#
# ## Part 3 · Does silence choose well?
#
# ### Experiment: one layer, four ways to choose
#
# The two layers with the widest histograms: the first linear layer of the CNN, and that of the MLP. Units go by *APoZ*
# (the silent ones first), by *L1* (the smallest incoming weights first), at *random* (five draws for each seed), and, for
# comparison, by *APoZ reversed*: the ones that speak most go first. No fine-tuning. Guess first: up to which share of
# removed units is APoZ among the best?

# %% tags=["experiment"]
def head_of(name, model, inputs):
    """A layer whose units are to be chosen, as (layer, the rest), and what goes into it for some images."""
    if name == "mlp":
        rest = nn.Sequential(model.relu1, model.fc2, model.relu2, model.fc3)
        return model.fc1, rest, inputs.flatten(1)
    body = nn.Sequential(*(part for part_name, part in model.named_children() if part_name not in ("fc1", "relu4", "fc2")))
    with torch.no_grad():  # the convolutions run once, and not again for every choice
        features = torch.cat([body(part).flatten(1) for part in inputs.split(200)])
    return model.fc1, nn.Sequential(model.relu4, model.fc2), features


def without(layer, rest, positions):
    """The layer and the rest, rebuilt without the units that are not kept."""
    new_layer, _, reader = remove_before_linear(layer, None, rest[1], positions)
    return nn.Sequential(new_layer, rest[0], reader, *rest[2:]).eval()


RELU = {"cnn": "relu4", "mlp": "relu1"}  # the ReLU behind the layer
heads = {
    (name, seed): head_of(name, networks[name][seed], images)
    for name, seed in tqdm([(name, seed) for name in RELU for seed in SEEDS], desc="features")
}
ratios = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
ways = {"APoZ": "blue", "L1": "green", "random": "orange", "APoZ reversed": "vermilion"}


def unit_scores(name, seed):
    """{way: scores, or a list of scores whose accuracies are averaged}."""
    values, weight = silence[name][seed][RELU[name]], networks[name][seed].fc1.weight.detach()
    generator = torch.Generator().manual_seed(seed)
    draws = [torch.rand(len(values), generator=generator).to(device) for _ in range(5)]
    return {"APoZ": [1 - values], "L1": [weight.abs().sum(dim=1)], "random": draws, "APoZ reversed": [values]}


def accuracy_of(name, seed, scores, ratio):
    """Mean accuracy over some scores, without fine-tuning."""
    layer, rest, features = heads[name, seed]
    return np.mean([accuracy(without(layer, rest, select_channels(s, ratio)), features, labels, 1000) for s in scores])


choice = {}  # (network, way): [seeds, ratios]
for name, seed in tqdm([(name, seed) for name in RELU for seed in SEEDS], desc="four ways"):
    for way, scores in unit_scores(name, seed).items():
        choice.setdefault((name, way), []).append([accuracy_of(name, seed, scores, ratio) for ratio in ratios])

fig, axes = plt.subplots(1, 3, figsize=(13, 4.2))
for ax, name in zip(axes, ("cnn", "cnn", "mlp")):
    for way, colour in ways.items():
        curve(ax, 100 * np.array(ratios), 100 * np.array(choice[name, way]), label=way, colour=colour)
    label_axes(ax, x="units removed from the layer", x_unit="%", y="validation accuracy", y_unit="%",
               title=titles[name, RELU[name]])
    ax.set_ylim(5, 95)
for ax in axes[:2]:
    ax.axvline(100 * np.mean(exactly_one["cnn", "relu4"]) / 128, color="grey", linestyle=":", label="dead units")
axes[1].set(xlim=(-1, 41), ylim=(84.5, 91), ylabel="", title="CNN, linear 1, enlarged")
axes[2].set_ylabel("")
axes[0].legend(loc="lower left")
show(fig, alt="Accuracy against the share of units removed, for four ways to choose. In the CNN APoZ is level with L1 up to the "
     "dotted line at a fifth, and later falls below random. In the MLP APoZ is below random from the start; L1 is above it up "
     "to about a half.")
for name in RELU:
    for ratio in (0.2, 0.3, 0.5, 0.7):
        row = {way: [run[ratios.index(ratio)] for run in choice[name, way]] for way in ways}
        print(f"{name.upper()} {100 * ratio:2.0f} %: " + "   ".join(f"{way} {in_percent(values)}" for way, values in row.items()))

# %% [markdown]
# **What we saw.** In the CNN, APoZ does what it promises, up to the dotted line: the dead fifth goes, and the accuracy does not
# move. (An output that is always zero adds nothing. L1 gets there as well, but it knows nothing of the images.) Behind
# the line APoZ has to choose among units that speak. Its lead over random shrinks, and at high ratios it is *below random*.
#
# In the MLP hardly any unit is dead, and APoZ loses to random at nearly every ratio. The reversed order is bad as well, where
# many units go. So turning the rank round does not help: removing the units that are mostly silent hurts, and removing those
# that speak most hurts too.
#
# ### Experiment: why?
#
# APoZ says how *often* a unit speaks. What a unit does to the next layer depends on two more things: how *large* its output
# is, and how large the weights are that read it. If unit $c$ alone is removed, the sums that the next layer computes, before
# any ReLU, move by $h_c\, w_c$, where $h_c$ is its output and $w_c$ the column of the next weight that reads it. The root mean
# square over the images is
#
# $$\text{contribution}_c = \sqrt{\tfrac1N \textstyle\sum_n h_c(n)^2}\ \cdot \lVert w_c \rVert_2 .$$
#
# The first two panels show it against APoZ. The colour is a third thing, *selectivity*: the share of its activity that a unit
# spends on its favourite class, 10% for a unit that treats all classes alike and 100% for one that answers a single class.
# Then half of the MLP's first layer goes, and the accuracy is shown class by class. On the right, the contribution
# itself as a score. (Selectivity and classes need labels. They are here to explain, and no method chooses by them.)

# %% tags=["experiment"]
def facts(name, seed):
    """APoZ, contribution, selectivity and favourite class of each unit of the layer."""
    layer, rest, inputs = head_of(name, networks[name][seed], seen)
    with torch.no_grad():
        h = rest[0](layer(inputs))  # N, units
        contribution = h.square().mean(dim=0).sqrt() * rest[1].weight.norm(dim=0)
        by_class = torch.stack([h[seen_labels == c].mean(dim=0) for c in range(10)])  # 10, units
    total = by_class.sum(dim=0)
    selectivity = torch.where(total > 0, by_class.max(dim=0).values / total.clamp(min=1e-12), torch.nan)
    return silence[name][seed][RELU[name]], contribution, selectivity, by_class.argmax(dim=0)


def rank_correlation(a, b):
    """Spearman's rank correlation."""
    return np.corrcoef(a.argsort().argsort().cpu(), b.argsort().argsort().cpu())[0, 1]


units = {(name, seed): facts(name, seed) for name in RELU for seed in SEEDS}
related = {}  # (network, other quantity): rank correlation with APoZ among the units that are not dead, by seed
for (name, _), (values, contribution, selectivity, _) in units.items():
    alive = values < 1
    related.setdefault((name, "selectivity"), []).append(rank_correlation(values[alive], selectivity[alive]))
    related.setdefault((name, "contribution"), []).append(rank_correlation(values[alive], contribution[alive]))
for seed in SEEDS:
    choice.setdefault(("mlp", "contribution"), []).append(
        [accuracy_of("mlp", seed, [units["mlp", seed][1]], ratio) for ratio in ratios]
    )

by_class = {}  # way: [seeds, classes] accuracy of the MLP with half of the units
for seed in SEEDS:
    layer, rest, features = heads["mlp", seed]
    every = torch.arange(len(layer.weight), device=device)
    cuts_of = {way: [select_channels(s, 0.5) for s in scores] for way, scores in unit_scores("mlp", seed).items() if way != "L1"}
    for way, kept_units in ({"nothing removed": [every]} | cuts_of).items():
        with torch.no_grad():
            right = torch.stack([without(layer, rest, k)(features).argmax(dim=1) == labels for k in kept_units]).float().mean(dim=0)
        by_class.setdefault(way, []).append([right[labels == c].mean().item() for c in range(10)])

fig, axes = plt.subplots(1, 2, figsize=(10.5, 4.2), width_ratios=[1, 1.2])
for ax, name in zip(axes, RELU):
    values, contribution, selectivity = (torch.cat([units[name, seed][i] for seed in SEEDS]).cpu() for i in range(3))
    dead = values == 1
    points = ax.scatter(values[~dead], contribution[~dead], c=100 * selectivity[~dead], cmap="cividis", s=14, vmin=10, vmax=100)
    ax.scatter(values[dead], contribution[dead], color=COLOURS["vermilion"], marker="x", s=24, label="dead")
    label_axes(ax, x="APoZ", x_unit="fraction of outputs", y="contribution", y_unit="next layer's sums", title=titles[name, RELU[name]])
    ax.legend(loc="upper right")
fig.colorbar(points, ax=axes[1], label="selectivity (%)")
show(fig, alt="Two scatter plots of contribution against APoZ, coloured by selectivity. Dead units sit at APoZ 1 and "
     "contribution 0. Among the others selectivity rises with APoZ. In the CNN the contribution falls with APoZ; in the MLP many "
     "units of high APoZ contribute as much as those of low APoZ.")

fig, axes = plt.subplots(1, 2, figsize=(11.5, 4.4), width_ratios=[1.35, 1])
shown = {"nothing removed": "black", "random": "orange", "APoZ": "blue", "APoZ reversed": "vermilion"}
for place, (way, colour) in enumerate(shown.items()):
    x, runs = np.arange(10) + 0.18 * (place - 1.5), 100 * np.array(by_class[way])
    axes[0].errorbar(x, runs.mean(axis=0), runs.std(axis=0, ddof=1), fmt=MARKERS[list(COLOURS).index(colour)], color=COLOURS[colour],
                     markersize=5, capsize=2, linewidth=1, label=way)
axes[0].set_xticks(range(10), CLASS_NAMES, rotation=40, ha="right")
label_axes(axes[0], x="class", x_unit="name", y="validation accuracy", y_unit="%", title="MLP, half of linear 1 removed")
axes[0].set_ylim(-15, 105)
axes[0].legend(loc="lower left", ncols=2, fontsize=9)
for way, colour in (("APoZ", "blue"), ("L1", "green"), ("random", "orange"), ("contribution", "purple")):
    curve(axes[1], 100 * np.array(ratios), 100 * np.array(choice["mlp", way]), label=way, colour=colour)
label_axes(axes[1], x="units removed from the layer", x_unit="%", y="validation accuracy", y_unit="%", title="MLP, linear 1")
axes[1].legend(loc="lower left")
show(fig, alt="Left: accuracy by class with half of the units removed. APoZ loses most of the sandals, APoZ reversed most of "
     "the shirts; random spreads its losses. Right: accuracy against the share of units removed; the contribution as a score stays at the top.")
for (name, quantity), values in related.items():
    print(f"{name.upper()}: rank correlation of APoZ with {quantity:12} {np.mean(values):+.2f} ± {np.std(values, ddof=1):.2f}")
favourites = {"all": [], "kept": []}  # [seeds, classes]: units of the MLP by their favourite class
for values, _, _, favourite in (units["mlp", seed] for seed in SEEDS):
    favourites["all"].append(favourite[values < 1].bincount(minlength=10).tolist())
    favourites["kept"].append(favourite[select_channels(1 - values, 0.5)].bincount(minlength=10).tolist())
every, left = (np.mean(counts, axis=0) for counts in favourites.values())
print("MLP, units removed by APoZ at 50 % of all, by favourite class (mean of 3 seeds): "
      + ", ".join(f"{CLASS_NAMES[c]} {every[c] - left[c]:.0f} of {every[c]:.0f}" for c in range(10)))

# %% [markdown]
# **What we saw.** The dead units sit together in one corner: silent, and without effect. Among the others selectivity (the
# colour) follows APoZ more closely than the contribution (the height) does. The units that seldom speak are the *selective* ones:
# they answer to few classes. In the CNN their contribution is a little lower, in the MLP hardly: a unit that is zero for 80% of
# the images may move the next layer as much as one that always speaks.
#
# And which classes lose? With APoZ the sandals lose most, then coats and T-shirts, with large spreads. The last line fits that
# for the sandals: of the units with this favourite class APoZ removes the largest share. It does not explain the coats. Under
# random choice no class falls as deep. The reversed order removes the units that speak for many classes, and the shirts lose
# most: perhaps because hardly any unit has them as its favourite class. The average over all images can move by at most ten
# points for one class, and does not say which.
#
# So APoZ answers one question well, *is this unit dead?*, and another one badly, *which of the others matters least?* The
# contribution asks for the size of the output and of the weights that read it. In the MLP it is the best of the four in the
# last plot (APoZ, L1, random, contribution), or level with the best.
#
# ### Experiment: and after fine-tuning?
#
# A pruned network is usually trained again before it is used. Now both hidden layers of the MLP are cut, and in the CNN all
# three convolutions; every network is rebuilt and trained for 47 steps of 128 images (about one pass over 6,000 images). At 0% nothing
# is cut: the *control*, a network with the same training and without the cut.

# %% tags=["experiment"]
STEPS, RATE = 47, 0.001
CHAINS = {"mlp": MLP_CHAIN, "cnn": {layer: CNN_CHAIN[layer] for layer in ("conv1", "conv2", "conv3")}}
tuned_ratios = {"mlp": [0, 0.3, 0.5, 0.7], "cnn": [0, 0.5, 0.75]}
methods = {"APoZ": "blue", "L1": "green", "random": "orange"}


def layer_scores(name, seed):
    """{method: {layer: scores}} for all the layers that are cut."""
    model, chain = networks[name][seed], CHAINS[name]
    generator = torch.Generator().manual_seed(100 + seed)
    return {
        "APoZ": {layer: 1 - silence[name][seed][relu] for layer, (_, relu, _) in chain.items()},
        "L1": l1_scores(model, chain),
        "random": {
            layer: torch.rand(len(getattr(model, layer).weight), generator=generator).to(device) for layer in chain
        },
    }


def tune(model, seed):
    """Train a network for a short time, in place."""
    train(model.to(memory_format=torch.channels_last), train_images, train_labels, lr=RATE, steps=STEPS, seed=seed, progress=False)
    return model


tuned, before, after = {}, {}, {}  # (network, method, ratio, seed): network; accuracies
jobs = [(name, m, r, s) for name in CHAINS for m in methods for r in tuned_ratios[name] for s in SEEDS if r > 0 or m == "APoZ"]
for name, method, ratio, seed in tqdm(jobs, desc="fine-tuning"):
    kept = choose(layer_scores(name, seed)[method], ratio) if ratio > 0 else {}
    model = rebuild(networks[name][seed], CHAINS[name], kept)
    key = name, method if ratio > 0 else "control", ratio, seed
    before[key] = validate(model)
    tuned[key] = tune(model, seed)
    after[key] = validate(model)


def rows(table, name, method):
    """[seeds, ratios], with the control at 0%."""
    return np.array([[table[name, method if r > 0 else "control", r, s] for r in tuned_ratios[name]] for s in SEEDS])


fig, axes = plt.subplots(1, 2, figsize=(11, 4.4))
for ax, (name, title) in zip(axes, {"mlp": "MLP, both hidden layers", "cnn": "CNN, all convolutions"}.items()):
    x = 100 * np.array(tuned_ratios[name])
    for method, colour in methods.items():
        curve(ax, x, 100 * rows(after, name, method), label=f"{method}, fine-tuned", colour=colour)
        ax.plot(x, 100 * rows(before, name, method).mean(axis=0), color=COLOURS[colour], linestyle="--", linewidth=1.2,
                marker=MARKERS[list(COLOURS).index(colour)], markersize=4, label=f"{method}, before")
    label_axes(ax, x="channels removed from every layer", x_unit="%", y="validation accuracy", y_unit="%", title=title)
axes[1].set_ylabel("")
axes[0].legend(loc="lower left", fontsize=9)
show(fig, alt="Accuracy before (dashed) and after fine-tuning for APoZ, L1 and random. Before, all fall far; after, the three "
     "curves of the CNN lie close together; in the MLP APoZ stays below random, and L1 is highest.")
for name, ratio in (("mlp", 0.3), ("mlp", 0.5), ("mlp", 0.7), ("cnn", 0.5), ("cnn", 0.75)):
    print(f"{name.upper()} {100 * ratio:2.0f} %: " + "   ".join(
        f"{method} {in_percent([before[name, method, ratio, s] for s in SEEDS])} -> {in_percent([after[name, method, ratio, s] for s in SEEDS])}"
        for method in methods
    ))
print("nothing cut: " + "   ".join(f"{name.upper()} {in_percent([after[name, 'control', 0, s] for s in SEEDS])}" for name in CHAINS))

# %% [markdown]
# **What we saw.** In the convolutions the cut breaks the network, whoever chooses, with spreads that allow no ranking
# (dashed lines). Fine-tuning brings most of it back, and then the three ways lie close together: compare the distances with
# the printed spreads. Mittal et al. (2018) saw the same in large networks: after retraining, randomly chosen filters do about
# as well. They call it plasticity: the filters that stay learn to do the work. The 47 steps alone cost a little accuracy,
# without any cut: so compare with the control, and not with the dense network.
#
# In the MLP the choice still matters after fine-tuning once half of the units are gone, and APoZ is the worst of the three.
# What it throws away, the short training does not find again.
#
# ## Part 4 · The test images
#
# ### Experiment: once, at the end
#
# All choices are made. We read the test images for three questions: what a fifth of the layer costs (in the CNN that is about
# the dead part), the two layers at 50% without fine-tuning, and the fine-tuned networks at 50%.

# %% tags=["experiment"]
test_images, test_labels = (tensor.to(device) for tensor in load_fashion_mnist("test"))
tested, tested_dense, tested_tuned = {}, {}, {}
for name, seed in tqdm([(name, seed) for name in RELU for seed in SEEDS], desc="test"):
    layer, rest, features = head_of(name, networks[name][seed], test_images)
    tested_dense.setdefault(name, []).append(accuracy(nn.Sequential(layer, *rest), features, test_labels, 1000))
    for way, scores in unit_scores(name, seed).items():
        for ratio in (0.2, 0.5):
            found = [accuracy(without(layer, rest, select_channels(s, ratio)), features, test_labels, 1000) for s in scores]
            tested.setdefault((name, way, ratio), []).append(np.mean(found))
    for method in methods:
        model = tuned[name, method, 0.5, seed]
        tested_tuned.setdefault((name, method), []).append(accuracy(model, test_images, test_labels))
for name in RELU:
    print(f"{name.upper()}, nothing removed: {in_percent(tested_dense[name])}")
    for ratio in (0.2, 0.5):
        print(f"    first linear layer, {100 * ratio:.0f} % removed:   " + "   ".join(f"{way} {in_percent(tested[name, way, ratio])}" for way in ways))
    layers = "three convolutions" if name == "cnn" else "both hidden layers"
    print(f"    {layers} 50 %, fine-tuned:   " + "   ".join(f"{method} {in_percent(tested_tuned[name, method])}" for method in methods))

# %% [markdown]
# **What we saw.** The test images say the same. A fifth of the CNN's first linear layer goes without a loss, by APoZ or by
# L1. At 50% APoZ has no lead left in the CNN, and in the MLP it is far behind.

# %% [markdown] tags=["question"]
# ### Written question
#
# A colleague has a new network with ReLUs and wants to make it smaller by APoZ. Answer in about twelve lines, with your own
# plots as evidence. (a) What should she look at first, for each layer, to know whether APoZ can help there, and up to which
# ratio? (b) She removes 50% of the units of a layer by APoZ, and the accuracy falls far below random choice. Explain how a
# unit that is zero for 90% of the images can be one of the most important ones. Name one measurement that would show it.
# (c) She reports that her masked network (filters set to zero) and the rebuilt one differ by several points. Which of the two
# should she trust, and where does the difference come from?

# %% [markdown] tags=["written"] points=3 grade_id="who_is_silent"
# **Model answer.** (a) The histogram of APoZ for each layer, measured on enough images that two halves of them agree. If there is a
# group apart at (or very near) one, these units are dead or nearly dead, and they can go at once, without a loss. The ratio is
# the size of this group: about a fifth in the CNN's first linear layer, nothing in its convolutions, nearly nothing in the MLP.
# Beyond that point APoZ ranks units that speak: in the CNN its lead over random shrank and then turned, in the MLP it was behind.
#
# (b) APoZ counts how often a unit speaks, not how large its output is, nor the weights that read it. A unit that answers only one class is silent for
# the nine others, so its APoZ is about 0.9, but for its class it may be one of the few that know. If many such units go, that class
# is lost (the sandals in our MLP). A measurement: the accuracy by class before and after the removal, or the selectivity, or the
# contribution (root mean square of the output times the norm of the outgoing weights), or the loss with this unit alone removed.
#
# (c) The rebuilt one: it is the network that will run. In the masked one only the filters are zero, and BatchNorm still puts out a
# constant, ReLU(β − γμ/σ), which the next layer reads. If the scale and the shift are zeroed too, or the channel is zeroed
# behind the ReLU, the two agree up to rounding.
#
# **Points.** 1 for (a): the histogram and the group at one. 1 for (b): seldom is not small, with a measurement. 1 for (c): the rebuilt
# one, and the constant.

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


def key_of(text):
    """A name as a key: no blanks, no commas."""
    return text.replace(", ", "_").replace(" ", "_")


if folder := os.environ.get("LABKIT_RECORD"):
    record = {
        "made_by": "in labs/: LABKIT_RECORD=../data/results python source/lab07_activations.py",
        "unit": "accuracies, APoZ and shares are fractions; sd is the standard deviation over seeds (n - 1); times are shares "
        "of the whole network's, and differ from run to run",
        "images": {"scored": len(seen), "train": len(train_images), "validation": len(images), "test": len(test_images)},
        "steps": STEPS,
        "dense": {name: summary(values) for name, values in dense.items()},
        "zeros": {
            key_of(title): {
                "share": summary(share_of_zeros[title]), "changes": summary(changes[title]), "always": summary(always_silent[title])
            }
            for title in share_of_zeros
        },
        "apoz": {
            name: {
                layer: {
                    "channels": len(silence[name][0][layer]),
                    "median": summary([values[layer].median() for values in silence[name]]),
                    "least": summary([values[layer].min() for values in silence[name]]),
                    "largest": summary([values[layer].max() for values in silence[name]]),
                    "above_90": above[name, layer],
                    "exactly_1": exactly_one[name, layer],
                    "share_exactly_1": summary([(values[layer] == 1).float().mean() for values in silence[name]]),
                }
                for layer in LAYERS[name]
            }
            for name in LAYERS
        },
        "halves_differ_by": {name: round(value, 6) for name, value in halves.items()},
        "rebuilt_against_masked": {key_of(mask): max(values) for mask, values in gaps.items()},
        "formula_holds": formula_holds,
        "cost": {
            f"{100 * s:g}": {
                "weights": round(cost["weights"][i] / cost["weights"][0], 6), "MACs": round(cost["MACs"][i] / cost["MACs"][0], 6),
                **{f"{way}_{size}": round(values[i], 6) for (way, size), values in seconds.items()},
            }
            for i, s in enumerate(cuts)
        },
        "choice": {
            name: {key_of(way): by_percent(ratios, values) for (other, way), values in choice.items() if other == name}
            for name in RELU
        },
        "by_class": {
            key_of(way): {key_of(CLASS_NAMES[c]).replace("/", "_"): summary([run[c] for run in rows_]) for c in range(10)}
            for way, rows_ in by_class.items()
        },
        "part_times": {
            f"{way}_{kind}": round(part_times[way, kind].median / part_times["whole", kind].median, 6) for way, kind in part_times
        },
        "related": {name: {q: summary(values) for (other, q), values in related.items() if other == name} for name in RELU},
        "finetuned": {
            name: {
                method: {
                    "before": by_percent(tuned_ratios[name], rows(before, name, method)),
                    "after": by_percent(tuned_ratios[name], rows(after, name, method)),
                }
                for method in methods
            }
            for name in CHAINS
        },
        "test": {
            name: {
                "dense": summary(tested_dense[name]),
                "layer": {
                    key_of(way): {f"{100 * r:g}": summary(tested[name, way, r]) for r in (0.2, 0.5)} for way in ways
                },
                "finetuned_50": {method: summary(tested_tuned[name, method]) for method in methods},
            }
            for name in RELU
        },
    }
    Path(folder, "lab07_activations.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

# %% [markdown]
# ## What to take with you
#
# - **A ReLU's zeros are dynamic and unstructured.** They move with the image. APoZ makes one static number for each channel
#   of them.
# - **APoZ finds dead units, and little more.** In the CNN's first linear layer a fifth is dead and goes free of charge; beyond it
#   the lead over random soon ends. Our convolutions have no dead channel, and in the MLP's first layer APoZ chooses worse than random.
# - **Seldom is not useless.** Units that seldom speak are selective ones. Remove them, and single classes can be lost.
# - **Removing is exact.** Filter, BatchNorm and the input of the next layer go together, and the rebuilt network
#   computes what the masked one does, if the mask stands behind BatchNorm and ReLU.
# - **A removed channel saves twice**, in its layer and in the next one, and time as well. A masked one saves nothing.
#
# Here the networks were chains. With skip connections (the input of a block is added to its output) one channel is read in
# several places, and all of them must agree on what goes. Torch-Pruning finds such groups in the graph of the network.
#
# Lab 8 asks the next layer directly: which channels does it need to make the same output, and how should its weights
# change?
#
# **Read next.** Hu et al. (2016), for the method and its rounds of trimming and retraining. Li et al. (2016), section 3. Mittal et al.
# (2018), [arXiv:1801.10447](https://arxiv.org/abs/1801.10447), for how well random does. Molchanov et al. (2017),
# [arXiv:1611.06440](https://arxiv.org/abs/1611.06440), for a score that asks the loss. The lecture note of this lab
# (`lecture_notes/lab07_activations.md` in the course's repository) works small examples by hand.
