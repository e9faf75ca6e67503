# %% [markdown] tags=["lab"] question="One shot, or little by little?" minutes=100 prerequisite="lab03_magnitude"
# # Lab 4 · Prune and fine-tune
#
# **The question: one shot, or little by little?**
#
# Lab 3 cut weights away and left the network as it was. Here training comes back. First you make sure that what was cut
# stays cut. Then you measure how much fine-tuning repairs, and whether it is better to prune in many small steps.
#
# | you build | it answers |
# |---|---|
# | `apply_masks`, `masked_step` | How do zeros survive training? |
# | `prune_and_finetune` | How much does fine-tuning bring back, after one cut or after each of several? |
# | `iterative_sparsities`, `cubic_sparsity` | In which steps should the sparsity rise? |
# | `train_time_pruning` | And if weights may grow back? |
#
# **Before you begin.** You have done Lab 3 (magnitude pruning). The lecture note of this lab
# (`lecture_notes/lab04_prune_finetune.md` in the course's repository) teaches the ideas first.
#
# **How long it takes.** The experiments together run for about a minute on a quiet laptop with two cores, and for
# several minutes on a busy one. Every experiment of more than two seconds shows its progress in a bar.
#
# **Papers.** Han et al. (2015), [arXiv:1506.02626](https://arxiv.org/abs/1506.02626): train, prune, retrain, repeat. Zhu
# and Gupta (2017), [arXiv:1710.01878](https://arxiv.org/abs/1710.01878): raise the sparsity by a cubic schedule during
# training. Guo et al. (2016), [arXiv:1608.04493](https://arxiv.org/abs/1608.04493): let pruned weights return.
#
# **The words.** A *mask* is boolean, and `True` means keep. *Sparsity* is the fraction removed. *Fine-tuning* is
# training after pruning, from the weights that are left. A *budget* is the number of training steps that a method may
# take; methods are compared at equal budgets.
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
import torch.nn.functional as F
from safetensors.torch import save
from torch import nn
from tqdm.auto import tqdm

from labkit.checkpoints import SEEDS, load_checkpoint
from labkit.cost import count_macs
from labkit.datasets import load_fashion_mnist
from labkit.models import MLP, prunable_weights
from labkit.plots import COLOURS, MARKERS, curve, label_axes, show, use_style
from labkit.timing import compare, speedup
from labkit.training import accuracy

use_style()

# %% [markdown]
# ## What the experiments use
#
# The trained MLP in its three copies (three *seeds*), 3,000 training images, and the validation images. A curve is the
# mean over the seeds, in a band of one standard deviation to each side. The test images are read once, in the last
# experiment.
#
# Two functions of Lab 3 are given: `magnitude_mask`, and `global_masks`, which applies it to all the layers as one pool.

# %% tags=["given"]
from solutions.lab03_magnitude import magnitude_mask

# %% tags=["given"]
from solutions.lab03_magnitude import global_masks

# %% tags=["experiment"]
torch.set_num_threads(1)  # the MLP's products are too small for two threads to pay
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
train_images, train_labels = (tensor[:3000].to(device) for tensor in load_fashion_mnist("train"))
images, labels = (tensor.to(device) for tensor in load_fashion_mnist("validation"))
networks = [load_checkpoint("mlp", seed).to(device) for seed in SEEDS]
BATCH = 128
EPOCH = len(train_images) // BATCH  # steps
BUDGET = 5 * EPOCH  # steps: what a method may spend


def prune(weights, sparsity):
    """The rule of this lab: global magnitude."""
    return global_masks(weights, sparsity, magnitude_mask)


def validate(model):
    """Accuracy on the validation images."""
    return accuracy(model, images, labels)


def zeros(model):
    """The fraction of the prunable weights that are exactly zero."""
    weights = prunable_weights(model).values()
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


def in_percent(values):
    """Mean and standard deviation over the seeds, as text."""
    return f"{100 * np.mean(values):5.1f} ± {100 * np.std(values, ddof=1):4.1f} %"


dense = [validate(model) for model in networks]
print(f"{EPOCH} steps of {BATCH} images make an epoch, and a budget is {BUDGET} steps")
print(f"validation accuracy of the unpruned networks: {in_percent(dense)}")

# %% [markdown]
# ## Part 1 · Zeros that stay
#
# ### Exercise apply_masks
#
# Pruning a network means to multiply each weight by its mask,
#
# $$w_\ell \leftarrow m_\ell \odot w_\ell .$$
#
# Here $\ell$ runs over the names in `masks`, $w_\ell$ is `weights[name]`, and $m_\ell$ is `masks[name]`. The weights are
# the network's own parameters: when you change one in place, the network uses the changed values.
#
# *By hand.* $w = (3,\ -1,\ 2)$ with the mask (True, False, True) becomes $(3,\ 0,\ 2)$. And
# $w = (3,\ \infty,\ 2)$ becomes $(3,\ 0,\ 2)$ too: removed means zero, whatever the weight was. (In floating-point
# numbers $0 \cdot \infty$ is NaN.)
#
# <details><summary>Hint</summary>
#
# PyTorch lets you change a parameter in place only where no gradients are recorded (`torch.no_grad()`).
# `masked_fill_` writes a value where a boolean tensor is True, and `~` turns a boolean tensor round. Look at all the
# masks before you change the first weight.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=8
from solutions.lab04_prune_finetune import apply_masks

# %% tags=["visible-check"]
layer = nn.Parameter(torch.tensor([[3.0, -1.0], [2.0, 4.0]]))
other = nn.Parameter(torch.tensor([5.0, 6.0]))
weights = {"layer": layer, "other": other}
result = apply_masks(weights, {"layer": torch.tensor([[True, False], [True, False]])})
assert layer.tolist() == [[3.0, 0.0], [2.0, 0.0]], (
    f"The network's weight is now {layer.tolist()}; its second column should be zero, and the first as it was.\n"
    "Is nothing changed? Then you made a new tensor; change the weight itself, in place.\n"
    "Is the first column zero? Then the mask is taken the wrong way round: True means keep."
)
assert other.tolist() == [5.0, 6.0], f"`other` has no mask and should stay as it was, but it is now {other.tolist()}."
assert weights["layer"] is layer and layer.requires_grad, "The dictionary should still hold the network's own parameters."
assert result is None, f"You returned {result!r}: the function changes the network and returns nothing."
infinite = torch.tensor([float("inf"), 1.0])
apply_masks({"w": infinite}, {"w": torch.tensor([False, True])})
assert infinite.tolist() == [0.0, 1.0], (
    f"An infinite weight was removed and became {infinite[0].item()}, not 0. Did you multiply by the mask?"
)
try:
    apply_masks({"w": torch.ones(2)}, {"v": torch.tensor([True, False])})
except ValueError:
    pass
else:
    raise AssertionError("A mask for `v`, which is no weight, raised no ValueError.")
print("apply_masks: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: zeroed or removed?
#
# A mask writes zeros. Is the network smaller now? Four versions of one network, from which about three quarters of the
# weights are gone: *single weights* by magnitude; *rows*, whole hidden neurons with the smallest L1 norm, set to zero;
# and the same rows *removed*, so that a narrower network is built. For each: the weights that are not zero, the
# multiply-adds (MACs) of one image, the bytes of its file, and the time of 256 images. The times are measured in turns
# (`labkit.timing.compare`), since only their ratio means something.

# %% tags=["experiment"]
def rows_to_keep(weight, count):
    """The positions of the rows with the largest L1 norm, in order."""
    return weight.detach().abs().sum(dim=1).topk(count).indices.sort().values


whole = networks[0]
kept1, kept2 = rows_to_keep(whole.fc1.weight, 75), rows_to_keep(whole.fc2.weight, 25)

rows_zeroed = copy.deepcopy(whole)
with torch.no_grad():
    for layer, kept in ((rows_zeroed.fc1, kept1), (rows_zeroed.fc2, kept2)):
        gone = torch.ones(len(layer.bias), dtype=torch.bool, device=device)
        gone[kept] = False
        layer.weight[gone], layer.bias[gone] = 0, 0
    rows_zeroed.fc2.weight[:, [i for i in range(300) if i not in set(kept1.tolist())]] = 0  # nothing comes from there
    rows_zeroed.fc3.weight[:, [i for i in range(100) if i not in set(kept2.tolist())]] = 0

rows_removed = MLP(hidden=(75, 25)).to(device).eval()
rows_removed.load_state_dict({
    "fc1.weight": whole.fc1.weight[kept1], "fc1.bias": whole.fc1.bias[kept1],
    "fc2.weight": whole.fc2.weight[kept2][:, kept1], "fc2.bias": whole.fc2.bias[kept2],
    "fc3.weight": whole.fc3.weight[:, kept2], "fc3.bias": whole.fc3.bias,
})

weights_zeroed = copy.deepcopy(whole)
masks = prune(prunable_weights(weights_zeroed), zeros(rows_zeroed))
apply_masks(prunable_weights(weights_zeroed), masks)

versions = {"whole": whole, "single weights zeroed": weights_zeroed, "rows zeroed": rows_zeroed, "rows removed": rows_removed}
batch = images[:256]
with torch.no_grad():
    gap = (rows_zeroed(batch) - rows_removed(batch)).abs().max().item()
    times = compare({name: lambda model=model: model(batch) for name, model in versions.items()}, calls=3, repeats=40)
cost = {
    name: {
        "nonzero weights": sum(int((w != 0).sum()) for w in prunable_weights(model).values()),
        "MACs": count_macs(model, (1, 28, 28)),
        "bytes": len(save({key: value.cpu().contiguous() for key, value in model.state_dict().items()})),
        "time": 1 / speedup(times["whole"], times[name])[1],  # in units of the whole network's
    }
    for name, model in versions.items()
}

fig, ax = plt.subplots(figsize=(8, 4))
quantities = {"nonzero weights": "blue", "MACs": "green", "bytes": "orange", "time": "black"}
for place, (quantity, colour) in enumerate(quantities.items()):
    shares = [100 * cost[name][quantity] / cost["whole"][quantity] for name in list(versions)[1:]]
    ax.bar(np.arange(3) + 0.2 * (place - 1.5), shares, width=0.18, color=COLOURS[colour], label=quantity)
ax.axhline(100, color="grey", linestyle=":")
ax.set_xticks(range(3), list(versions)[1:])
ax.set_ylim(0, 135)
label_axes(ax, x="version", x_unit="what was done", y="cost", y_unit="% of the whole network's")
ax.grid(axis="x", visible=False)
ax.legend(ncols=4, loc="upper center")
show(fig, alt="Bars for three pruned versions of a network. Where weights or rows were zeroed, MACs, bytes and time stay "
     "near 100%; where the rows were removed, all of them fall.")

for name, row in cost.items():
    print(f"{name:22} {row['nonzero weights']:8,} nonzero weights {row['MACs']:8,} MACs {row['bytes']:10,} bytes   "
          f"{times[name]}   accuracy {100 * validate(versions[name]):.1f} %")
print(f"rows zeroed and rows removed: the outputs differ by {gap:.1e} at most")

# %% [markdown]
# **What we saw.** Zeros save nothing. The multiply-adds, the bytes and the time of a zeroed network are those of the
# whole one; a product with zero takes as long as any other. (Is the black bar a little off 100? The times are noisy.
# Compare it with the quartiles that are printed.) Where the rows were *removed*, all four fall. And the last line says
# that nothing else has changed: zeroed and removed rows compute the same outputs, up to rounding.
#
# So why mask at all? Compare the printed accuracies at the same number of nonzero weights. Single weights are chosen
# with more freedom, and in this network the cut costs far less. A mask is how we look for a sparse network; Lab 7
# removes rows for good, and Labs 13 and 14 ask what stored zeros and special hardware can save.
#
# ### Exercise masked_step
#
# Now train the masked network. After a normal step the zeros are gone: the optimiser moves *every* weight. So mask
# again, after the step:
#
# $$g = \nabla_w L(w), \qquad w \leftarrow m \odot \operatorname{step}(w, g).$$
#
# Here $L$ is what `compute_loss()` returns, $g$ is computed by its `backward`, $\operatorname{step}$ is
# `optimizer.step()`, and $m$ are the masks. Is it not enough to set the *gradients* of the removed weights to zero? No:
# an optimiser with momentum moves a weight by its memory too.
#
# *By hand.* SGD with learning rate 0.1 and momentum 0.9. A weight had the velocity $v = 1$ when it was cut, so $w = 0$.
# Its gradient is masked: $g = 0$. Then $v \leftarrow 0.9 \cdot 1 + 0 = 0.9$, and
# $w \leftarrow 0 - 0.1 \cdot 0.9 = -0.09$. The weight is back.
#
# <details><summary>Hint</summary>
#
# One step of PyTorch has four parts: forget the old gradients, compute the loss, `backward`, `step`. Ask yourself where
# a loss that is no number must be noticed, so that no weight is spoiled. `loss.item()` is the loss as a float.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=15
from solutions.lab04_prune_finetune import masked_step

# %% tags=["visible-check"]
weight = nn.Parameter(torch.tensor([1.0, 2.0]))
optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.5)
(4 * weight.sum()).backward()
optimizer.step()  # a step before the pruning: from now on the optimiser remembers the velocity 4 of both weights
with torch.no_grad():
    weight.copy_(torch.tensor([1.0, 0.0]))  # the second weight is cut; the old gradient, 4, is still there
result = masked_step({"w": weight}, {"w": torch.tensor([True, False])}, optimizer, lambda: 2 * weight.sum())
values = [round(value, 4) for value in weight.tolist()]
assert values[1] == 0.0, (
    f"The removed weight is now {values[1]}, not 0. With the gradient 2 and the velocity 4 the step moves it by "
    "-0.1 * (0.5 * 4 + 2) = -0.4; with the gradient masked it still moves by -0.2.\n"
    "Is it -0.4? Then no mask was applied after the step, or True and False are exchanged (True means keep).\n"
    "Is it -0.2? Then only the gradient was masked."
)
assert values[0] == 0.6, (
    f"The kept weight is now {values[0]}, and 1 - 0.1 * (0.5 * 4 + 2) = 0.6 was expected.\n"
    "Is it 0.2? Then the old gradient 4 was added to the new one.\n"
    "Is it 0.8 or 1.0? Then there was no gradient when the step was made, or no step."
)
assert isinstance(result, float) and result == 2.0, (
    f"You returned {result!r}: return the loss of this batch, before the step, as a float: 2 * (1 + 0) = 2.0."
)
try:
    masked_step({"w": weight}, {}, optimizer, lambda: float("nan") * weight.sum())
except ValueError:
    assert not weight.isnan().any(), "The ValueError came too late: the weights are NaN already."
else:
    raise AssertionError("A loss that is NaN raised no ValueError.")
print("masked_step: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: the drift
#
# Four optimisers, three treatments. Each network makes ten dense steps, so that the optimiser has something to
# remember, is pruned to 90%, and makes one more epoch of steps: with *no mask*, with the *gradients masked* before the
# step, and with your `masked_step`. The curves show the size of the removed weights (root mean square, in % of the kept
# weights'): zero is what we want. Guess first: which of the twelve curves will leave zero? "Weight decay moves masked
# weights", one can read. Does it?

# %% tags=["experiment"]
def batches(seed):
    """Positions of training images, batch after batch, in a random order drawn anew for each epoch."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(len(train_images), generator=generator).split(BATCH)[:EPOCH]


def loss_on(model, stream):
    """The cross-entropy loss on the next batch."""
    batch = next(stream)
    return F.cross_entropy(model(train_images[batch]), train_labels[batch])


def gradient_masked_step(weights, masks, optimizer, compute_loss):
    """What is often tried: zero the gradients of the removed weights, then step."""
    optimizer.zero_grad()
    compute_loss().backward()
    for name, mask in masks.items():
        weights[name].grad.mul_(mask)
    optimizer.step()


optimizers = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.05),
    "SGD, weight decay": lambda p: torch.optim.SGD(p, lr=0.05, weight_decay=0.01),
    "SGD, momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.001),
}
treatments = {
    "no mask": lambda weights, masks, optimizer, loss: masked_step(weights, {}, optimizer, loss),
    "gradients masked": gradient_masked_step,
    "masked_step": masked_step,
}
zeros_left, drift = {}, {}  # (treatment, optimiser): [seeds, steps] fraction of zeros; size of the removed weights
for treatment, name, seed in tqdm([(t, o, s) for t in treatments for o in optimizers for s in SEEDS], desc="drift"):
    model = copy.deepcopy(networks[seed]).train()
    next_loss = partial(loss_on, model, batches(seed))
    weights, optimizer = prunable_weights(model), optimizers[name](model.parameters())
    for _ in range(10):
        masked_step(weights, {}, optimizer, next_loss)
    masks = prune(weights, 0.9)
    apply_masks(weights, masks)
    gone = torch.cat([~mask.flatten() for mask in masks.values()]).float()
    counts, sizes = [], []
    for step in range(EPOCH + 1):
        if step > 0:
            treatments[treatment](weights, masks, optimizer, next_loss)
        square = torch.cat([weights[layer].detach().flatten() for layer in masks]).square()
        counts.append(zeros(model))
        removed, kept = (square @ which / which.sum() for which in (gone, 1 - gone))  # mean squares
        sizes.append((removed / kept).sqrt().item())
    zeros_left.setdefault((treatment, name), []).append(counts)
    drift.setdefault((treatment, name), []).append(sizes)

fig, axes = plt.subplots(1, 3, figsize=(11, 3.8), sharey=True)
for ax, treatment in zip(axes, treatments):
    for name, colour in zip(optimizers, ("blue", "orange", "vermilion", "black")):
        curve(ax, range(EPOCH + 1), 100 * np.array(drift[treatment, name]), label=name, colour=colour)
    label_axes(ax, x="time since the cut", x_unit="steps", y="size of removed weights", y_unit="% of the kept", title=treatment)
axes[2].legend(loc="center right")
for ax in axes[1:]:
    ax.set_ylabel("")
show(fig, alt="Size of the removed weights against steps after the cut. With no mask it grows for all optimisers. With masked "
     "gradients it grows for momentum and AdamW and stays zero for plain SGD, with and without weight decay. With masked_step it "
     "stays zero for all.")
print("weights that are exactly zero at the end, of 90 % that were cut:")
for (treatment, name), counts in zeros_left.items():
    print(f"    {treatment:17} {name:18} {in_percent([run[-1] for run in counts])}")

# %% [markdown]
# **What we saw.** Without a mask every optimiser leaves zero. With masked gradients they part. Plain SGD keeps the
# zeros, and so does SGD *with* weight decay: decay shrinks a weight in proportion to itself, and a share of zero is
# zero. So weight decay alone moves no weight that is exactly zero. What moves it is memory: SGD's momentum, and in
# AdamW the running mean of the gradients. Only the right panel holds for every optimiser.
#
# Read the printed lines too: where a curve leaves zero, hardly any weight is exactly zero any more, although the sizes
# are small. That is how the mistake stays hidden. The accuracy looks fine, as that of a dense network does, and nobody
# counts the zeros. So count them.
#
# ## Part 2 · One shot
#
# ### Exercise prune_and_finetune
#
# The flow of the whole field, in one function. For each sparsity $s_r$ in turn:
#
# $$m_r = m_{r-1} \wedge \text{prune}(w, s_r), \qquad w \leftarrow m_r \odot w, \qquad w \leftarrow \text{finetune}(w, m_r).$$
#
# Here $s_r$ runs over `sparsities`, $m_0$ keeps everything, and $\wedge$ is "and": what is gone stays gone. The rule,
# the training and the measurement are arguments: call them, and do not build your own in. One entry in `sparsities` is
# one shot; several are iterative pruning.
#
# *By hand.* $w = (4,\ 1,\ 2,\ 3)$, sparsities $(0.25,\ 0.5)$, a rule by magnitude, and a fine-tuning that subtracts 2.5
# from each kept weight. Round 1 removes the 1, and $(4, 0, 2, 3)$ becomes $(1.5, 0, -0.5, 0.5)$. Round 2 looks at
# *these* values: two are to go, the 0 and one of the two $\pm 0.5$, the earlier one. $(1.5, 0, 0, 0.5)$ becomes
# $(-1, 0, 0, -2)$.
#
# <details><summary>Hint</summary>
#
# Carry the masks from round to round, and start with masks that keep everything. `&` joins two boolean tensors. Write
# down in which order a round cuts, measures, trains and measures.
#
# </details>

# %% tags=["exercise"] difficulty=3 minutes=20
from solutions.lab04_prune_finetune import prune_and_finetune

# %% tags=["visible-check"]
def drop_below(weights, sparsity):
    """A rule for `prune`, not magnitude: keep what exceeds `sparsity` times the largest entry."""
    return {name: weight > sparsity * weight.max() for name, weight in weights.items()}


def subtract(masks):
    """Stands for the fine-tuning: subtract 6 from each kept weight."""
    with torch.no_grad():
        network.sub_(6 * masks["w"])


network = nn.Parameter(torch.tensor([2.0, 5.0, 8.0, 10.0]))
result = prune_and_finetune({"w": network}, [0.3, 0.6], drop_below, subtract, lambda: network.sum().item())
assert isinstance(result, tuple) and len(result) == 2, f"You returned {result!r}: return the masks and the history."
masks, history = result
assert [tuple(pair) for pair in history] == [(23.0, 5.0), (4.0, -2.0)], (
    f"Your history is {history}. The sum of the weights stands for the accuracy. Round 1 removes the 2 (sum 23) and trains "
    "5, 8, 10 to -1, 2, 4 (sum 5). Round 2 keeps what exceeds 0.6 * 4 = 2.4: the 4 (sum 4), which becomes -2.\n"
    "Is the first pair (25, 7)? Then the removed weights were not set to zero. Is it (25, 5)? Then you measured before the "
    "cut.\n"
    "Are the pairs the other way round? Right after the cut comes first.\n"
    "Is the last pair (6, -6)? Then round 2 took its mask from the weights before the fine-tuning. Is it (18, 6)? Then the "
    "weights were set back."
)
assert masks["w"].tolist() == [False, False, False, True] and network.tolist() == [0.0, 0.0, 0.0, -2.0], (
    f"At the end the mask is {masks['w'].tolist()} and the weights are {network.tolist()}; only the last one should be left, "
    "with the value -2."
)
network = nn.Parameter(torch.tensor([-5.0, 1.0, 2.0]))
masks, _ = prune_and_finetune({"w": network}, [0.0, 0.0], lambda w, s: {"w": w["w"] > -1}, lambda masks: None, lambda: 0.0)
assert masks["w"].tolist() == [False, True, True], (
    f"Round 1 removed the -5; in round 2 it is 0, and this rule would keep it. Your masks at the end are "
    f"{masks['w'].tolist()}: what is removed stays removed."
)
print("prune_and_finetune: the visible checks pass")

# %% tags=["graded"] points=4

# %% [markdown]
# ### Experiment: cut once, then fine-tune
#
# One shot at nine sparsities, each fine-tuned for the whole budget: AdamW, whose learning rate falls in a straight line
# from 0.001 to zero. The sparsity 0 is there as the *control*: the same training with nothing cut.

# %% tags=["experiment"]
class Trainer:
    """A budget of training for one network: AdamW, and a learning rate that falls in a straight line to zero."""

    def __init__(self, model, seed, steps=BUDGET, lr=0.001):
        self.model, self.weights, self.stream = model.train(), prunable_weights(model), batches(seed)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=lr, fused=True)  # one pass over all weights: faster
        self.rate = torch.optim.lr_scheduler.LinearLR(self.optimizer, 1.0, 0.0, total_iters=steps)

    def train(self, steps, masks):
        """Spend some of the steps, with these masks."""
        for _ in range(steps):
            masked_step(self.weights, masks, self.optimizer, lambda: loss_on(self.model, self.stream))
            self.rate.step()


def one_shot(seed, sparsity, steps=BUDGET, lr=0.001):
    """Cut once, fine-tune for all the steps: the network, and its accuracy before and after the fine-tuning."""
    model = copy.deepcopy(networks[seed])
    trainer = Trainer(model, seed, steps, lr)
    _, [pair] = prune_and_finetune(
        trainer.weights, [sparsity], prune, lambda masks: trainer.train(steps, masks), lambda: validate(model)
    )
    return model, pair


all_sparsities = [0, 0.1, 0.3, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99]
once = {(s, seed): one_shot(seed, s) for s, seed in tqdm([(s, seed) for s in all_sparsities for seed in SEEDS], desc="one shot")}
before, after = (
    np.array([[once[s, seed][1][moment] for s in all_sparsities] for seed in SEEDS]) for moment in (0, 1)
)  # [seeds, sparsities]

x = 100 * np.array(all_sparsities)
fig, axes = plt.subplots(1, 2, figsize=(10.5, 4))
for ax in axes:
    curve(ax, x, 100 * before, label="prune", colour="vermilion")
    curve(ax, x, 100 * after, label="prune and fine-tune", colour="blue")
    ax.axhline(100 * np.mean(dense), color="grey", linestyle=":", label="not pruned, not fine-tuned")
    label_axes(ax, x="sparsity", x_unit="%", y="validation accuracy", y_unit="%")
axes[0].legend(loc="lower left")
axes[1].set(xlim=(-3, 53), ylim=(85, 90), ylabel="", title="the left end, enlarged")
show(fig, alt="Accuracy against sparsity, right after pruning and after fine-tuning. Fine-tuning brings nearly all back up "
     "to 90% and much less beyond 95%. Enlarged, no sparsity up to 50% lies above the unpruned network by more than the "
     "bands.")
print("Mild pruning: change of the validation accuracy, in points, mean and standard deviation over the seeds")
for column, s in enumerate(all_sparsities[:4]):
    row = [100 * (values[:, column] - reference) for values, reference in
           ((before, dense), (after, dense), (after, after[:, 0]))]
    texts = [f"{np.mean(values):+5.2f} ± {np.std(values, ddof=1):.2f}" for values in row]
    print(f"    sparsity {100 * s:2.0f} %: pruned {texts[0]}   fine-tuned {texts[1]}   against the control {texts[2]}")

# %% [markdown]
# **What we saw.** Fine-tuning repairs a lot. The blue curve stays near the dotted line over sparsities at which the red
# one has fallen far, and only at the right end does it break too: what is left there is too little, or the budget is.
#
# *Does mild pruning raise the accuracy?* Some papers say so. Look at the enlarged panel and at the table: not here. No mean,
# pruned or fine-tuned, stands above the unpruned network. And mind the first line. With nothing cut, the additional
# training alone changes the accuracy. So whoever prunes *and* trains must compare with this control. The last column
# does; where it shows a gain, it is a fraction of a point, a few of 2,000 images. Part 5 asks once more, with the test
# images.
#
# ### Experiment: where do the weights go?
#
# Histograms of all the weights that are not zero (thousands, the mean of the three seeds): before pruning, right after
# it, and after fine-tuning. Global magnitude is one threshold for all the layers; the dashed lines show it (the mean
# over the seeds).

# %% tags=["experiment"]
SHOWN = 0.9


def nonzero(model):
    """All the prunable weights that are not zero, as one array."""
    flat = torch.cat([weight.detach().flatten() for weight in prunable_weights(model).values()])
    return flat[flat != 0].cpu().numpy()


cut_networks = [copy.deepcopy(model) for model in networks]
for model in cut_networks:
    apply_masks(prunable_weights(model), prune(prunable_weights(model), SHOWN))
stages = {
    "before": [nonzero(model) for model in networks],
    "after pruning": [nonzero(model) for model in cut_networks],
    "after fine-tuning": [nonzero(once[SHOWN, seed][0]) for seed in SEEDS],
}
cuts = [np.abs(values).min() for values in stages["after pruning"]]
inside = {stage: [np.mean(np.abs(v) < cut) for v, cut in zip(values, cuts)] for stage, values in stages.items()}

fig, axes = plt.subplots(1, 3, figsize=(11, 3.6), sharex=True)
edges = np.linspace(-0.3, 0.3, 121)
for ax, (stage, values) in zip(axes, stages.items()):
    pool = np.concatenate(values)
    ax.hist(pool, bins=edges, weights=np.full(len(pool), 1 / 3000), color=COLOURS["blue"])
    for side in (-1, 1):
        ax.axvline(side * np.mean(cuts), color="black", linestyle="--", linewidth=1)
    label_axes(ax, x="weight", x_unit="as stored", y="nonzero weights", y_unit="thousands", title=stage)
for ax in axes[1:]:
    ax.set_ylabel("")
show(fig, alt="Three histograms of the nonzero weights. Before pruning one hill around zero. After pruning the middle is "
     "empty and two flanks are left. After fine-tuning the edges of the gap are rounded and a part of the gap is filled.")
for stage, shares in inside.items():
    print(f"nonzero weights between the dashed lines, {stage}: {in_percent(shares)}")

# %% [markdown]
# **What we saw.** Mind the vertical axes: the first hill is far higher. The cut takes its middle out and leaves two
# flanks. Fine-tuning rounds the flanks into two humps, and the edges of the gap become soft: some kept weights are now
# smaller than weights that were removed. That is the reason why a second round may choose differently from the first.
# But the gap stays, and so do the two humps; nothing returns to the one hill of the beginning.
#
# ## Part 3 · Little by little
#
# ### Exercise iterative_sparsities
#
# Han et al. repeat: prune a little, retrain, prune a little more. How much in each of $R$ rounds? A common plan
# removes the same fraction $p$ of what is left in every round. After round $r$,
#
# $$1 - s_r = (1 - p)^r, \qquad s_R = s .$$
#
# Here $s$ is `final`, $R$ is `rounds`, and $s_1, \dots, s_R$ is the list that you return; $p$ follows from $s$ and $R$.
#
# *By hand.* $s = 0.75$ and $R = 2$: a quarter is left after two rounds, so half is left after one. The plan is
# $(0.5,\ 0.75)$.
#
# <details><summary>Hint</summary>
#
# Solve the second equation for $1 - p$ (a root is a power with a fraction in the exponent), and put it into the first.
#
# </details>

# %% tags=["exercise"] difficulty=1 minutes=6
from solutions.lab04_prune_finetune import iterative_sparsities

# %% tags=["visible-check"]
result = iterative_sparsities(0.875, 3)
assert isinstance(result, list) and all(isinstance(sparsity, float) for sparsity in result), (
    f"You returned {result!r}: return a list of floats. (None? Then did you forget `return`?)"
)
assert [round(sparsity, 6) for sparsity in result] == [0.5, 0.75, 0.875], (
    f"You returned {result}. An eighth is to be left after three rounds, so each round leaves a half: 0.5, 0.75, 0.875.\n"
    "Is it 0.29, 0.58, 0.875? Then the steps are equal, and not the fraction of what is left.\n"
    "Is it 0.5, 0.25, 0.125? That is what is left, or what each round takes.\n"
    "Does it begin with 0? The list begins after the first round.\n"
    "Are all 0.5? That is the fraction of what is left; the total sparsity is asked for."
)
try:
    iterative_sparsities(1.2, 3)
except ValueError:
    pass
else:
    raise AssertionError("A final sparsity of 1.2 raised no ValueError.")
print("iterative_sparsities: the visible checks pass")

# %% tags=["graded"] points=2

# %% [markdown]
# ### Exercise cubic_sparsity
#
# Zhu and Gupta do not stop between the rounds: the sparsity rises *while* the network trains. Their equation 1 is
#
# $$s_t = s_f + (s_i - s_f) \left(1 - \frac{t - t_0}{n \Delta t}\right)^3, \qquad
# t \in \{t_0,\ t_0 + \Delta t,\ \dots,\ t_0 + n \Delta t\}.$$
#
# Here $t$ is `step`, $t_0$ is `start`, $n$ is `updates`, $\Delta t$ is `interval`, $s_i$ is `initial` and $s_f$ is
# `final`. The equation holds at the steps of the set only. Between two of them the mask stays, so the sparsity is that
# of the earlier one; before the first it is $s_i$, and after the last $s_f$. The power of three makes large cuts first,
# when there is much to spare, and small ones at the end.
#
# *By hand.* $t_0 = 100$, $n = 4$, $\Delta t = 10$, $s_i = 0$, $s_f = 0.8$. At $t = 110$ a quarter of the way is done:
# $0.8 - 0.8 \cdot 0.75^3 = 0.4625$, more than half of the cut. At $t = 119$ it is still $0.4625$. At $t = 120$:
# $0.8 - 0.8 \cdot 0.5^3 = 0.7$.
#
# <details><summary>Hint</summary>
#
# Count first how many updates have been made at `step`: a whole number, never below 0 and never above n. Python's `//`
# divides and rounds down, and `min` and `max` keep a number between two limits.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab04_prune_finetune import cubic_sparsity

# %% tags=["visible-check"]
by_hand = {110: 0.4625, 120: 0.7, 130: 0.7875, 140: 0.8, 100: 0.0, 119: 0.4625, 0: 0.0, 500: 0.8}
why = {
    110: "one of four updates is made: 0.8 - 0.8 * 0.75 ** 3. (0.2: a straight line. 0.35: a square. 0.0125: the progress "
         "was cubed, so the cuts grow. 0.3375: initial and final were exchanged. "
         "0.7: one update too many. 0.0: one too few.)",
    119: "between two updates the mask stays: as at 110.",
    100: "at the start no update is made yet.",
    0: "before the start the sparsity is the initial one.",
    500: "after the last update the sparsity is the final one.",
}
for step, expected in by_hand.items():
    result = cubic_sparsity(step, 100, 4, 10, 0.8)
    assert isinstance(result, (int, float)), f"You returned {result!r}: return a number."
    assert abs(result - expected) < 1e-9, (
        f"At step {step} you returned {result}, and {expected} was expected: {why.get(step, 'equation 1 by hand')}"
    )
result = cubic_sparsity(30, 20, 2, 10, 0.9, 0.5)
assert abs(result - 0.85) < 1e-9, f"From 0.5 to 0.9, half of the way: 0.9 - 0.4 * 0.5 ** 3 = 0.85, and you returned {result}."
try:
    cubic_sparsity(0, 0, 4, 10, 0.5, 0.6)
except ValueError:
    pass
else:
    raise AssertionError("A schedule that falls, from 0.6 to 0.5, raised no ValueError.")
print("cubic_sparsity: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: the three curves
#
# Every lecture on pruning shows this figure: prune; prune and fine-tune; iterate. Ours gives all methods the *same
# number of training steps*, which such figures seldom do. *One shot* is your blue curve from above. *Rounds* cuts
# five times, and after each cut trains for a fifth of the budget, with a new optimiser each time. *Gradual* makes ten cuts by the
# cubic schedule in the first half of the budget, with one optimiser and one falling learning rate. Your
# `prune_and_finetune` runs both: they differ in the plan, and in what the fine-tuning remembers.

# %% tags=["experiment"]
def rounds(seed, sparsity, count=5):
    """Iterative pruning: equal parts of the budget, and a new optimiser for each."""
    model, steps = copy.deepcopy(networks[seed]), BUDGET // count
    streams = iter(range(100 * seed, 100 * seed + count))  # another order of the images in each round
    prune_and_finetune(
        prunable_weights(model), iterative_sparsities(sparsity, count), prune,
        lambda masks: Trainer(model, next(streams), steps).train(steps, masks), lambda: 0.0,  # only the end is measured
    )
    return model, (None, validate(model))


def gradual(seed, sparsity, steps=BUDGET, lr=0.001, updates=10):
    """Zhu and Gupta's schedule in the first half of the budget, one optimiser throughout."""
    model, interval = copy.deepcopy(networks[seed]), steps // (2 * updates)
    trainer = Trainer(model, seed, steps, lr)
    plan = [cubic_sparsity(i * interval, 0, updates, interval, sparsity) for i in range(1, updates + 1)]
    parts = iter([interval] * (updates - 1) + [steps - (updates - 1) * interval])
    prune_and_finetune(trainer.weights, plan, prune, lambda masks: trainer.train(next(parts), masks), lambda: 0.0)
    return model, (None, validate(model))


plans = {
    "one shot": [0.95] * BUDGET,
    "rounds": [iterative_sparsities(0.95, 5)[t // EPOCH] for t in range(BUDGET)],
    "gradual": [cubic_sparsity(t + BUDGET // 20, 0, 10, BUDGET // 20, 0.95) for t in range(BUDGET)],
}
sparsities = all_sparsities[3:]
trained = {("one shot", s, seed): once[s, seed] for s in sparsities for seed in SEEDS}
jobs = [(way, s, seed) for way in (rounds, gradual) for s in sparsities for seed in SEEDS]
for way, s, seed in tqdm(jobs, desc="little by little"):
    trained[way.__name__, s, seed] = way(seed, s)
finals = {
    way: np.array([[trained[way, s, seed][1][1] for s in sparsities] for seed in SEEDS]) for way in plans
}  # [seeds, sparsities]

WAY_COLOUR = {"prune": "vermilion", "one shot": "blue", "rounds": "orange", "gradual": "green"}
x = range(len(sparsities))  # equal distances, or the right end would be a hair's breadth
fig, axes = plt.subplots(1, 3, figsize=(12, 4), width_ratios=[0.8, 1.1, 1.1])
for way, plan in plans.items():
    axes[0].step(range(BUDGET), 100 * np.array(plan), where="post", color=COLOURS[WAY_COLOUR[way]], label=way)
label_axes(axes[0], x="training", x_unit="steps", y="sparsity", y_unit="%", title="the plans, to 95%")
axes[0].set_ylim(0, 100)
axes[0].legend(loc="lower right")
curve(axes[1], x, 100 * before[:, 3:], label="prune", colour="vermilion")
for way in plans:
    curve(axes[1], x, 100 * finals[way], label=way, colour=WAY_COLOUR[way])
axes[1].axhline(100 * np.mean(dense), color="grey", linestyle=":", label="not pruned")
label_axes(axes[1], x="sparsity", x_unit="%", y="validation accuracy", y_unit="%", title="the effect figure")
axes[1].legend(loc="lower left")
gain = {way: 100 * (finals[way] - finals["one shot"]) for way in ("rounds", "gradual")}
for way, points in gain.items():
    curve(axes[2], x, points, label=f"{way} − one shot", colour=WAY_COLOUR[way])
axes[2].axhline(0, color="grey", linestyle=":")
label_axes(axes[2], x="sparsity", x_unit="%", y="gain over one shot", y_unit="points", title="is iterating better?")
for ax in axes[1:]:
    ax.set_xticks(x, [f"{100 * s:.0f}" for s in sparsities])
axes[2].legend(loc="upper left")
show(fig, alt="Three panels: the plans of sparsity against training steps; accuracy against sparsity for pruning alone, one "
     "shot, rounds and gradual; and the differences to one shot, which are near zero up to 90% and clearly positive at 98 "
     "and 99%.")
print("Difference to one shot with the same number of steps, in points")
for way, points in gain.items():
    texts = [f"{100 * s:.0f} %: {np.mean(c):+.1f} ± {np.std(c, ddof=1):.1f}" for s, c in zip(sparsities, points.T)]
    print(f"    {way:8}", "   ".join(texts))

# %% [markdown]
# **What we saw.** The textbook promises that iterating is better. Up to 90% it does not show: the three upper curves
# lie on each other, and in the right panel *gradual* is at zero within its band. *Rounds* is even a little below zero
# there: it spends only a fifth of the budget at the final sparsity. One cut and a fine-tuning is as good, and simpler.
#
# The gain begins where the red curve has broken down: at the right end both ways of iterating lie clearly above one
# shot. There is a reason to be found in the curves. Magnitude chooses the weights once, in a network that still has all
# the others. When nearly all of them go at once, the choice was made for a network that no longer exists. With many
# small cuts each choice is made in a network that has already begun to do without.
#
# ### Experiment: a gain of the method, or of the budget?
#
# Before we believe the gain, we give one shot a chance: the same cut to 98% with a *larger learning rate*, and with
# *three times the steps*. A comparison with a baseline that nobody has tuned proves little.

# %% tags=["experiment"]
HARD = 0.98
settings = {  # label: (steps, learning rate)
    "as before": (BUDGET, 0.001),
    "learning rate 3×": (BUDGET, 0.003),
    "steps 3×": (3 * BUDGET, 0.001),
}
tuned = {}
for label, way, seed in tqdm([(k, w, seed) for k in settings for w in (one_shot, gradual) for seed in SEEDS], desc="budgets"):
    steps, lr = settings[label]
    key = (way.__name__.replace("_", " "), label, seed)
    tuned[key] = trained[key[0], HARD, seed] if label == "as before" else way(seed, HARD, steps, lr)

fig, ax = plt.subplots(figsize=(7.5, 4))
for way, shift in (("one shot", -0.08), ("gradual", 0.08)):
    values = 100 * np.array([[tuned[way, label, seed][1][1] for label in settings] for seed in SEEDS])
    place = np.arange(len(settings)) + shift
    ax.errorbar(place, values.mean(0), values.std(0, ddof=1), fmt="none", color=COLOURS[WAY_COLOUR[way]], capsize=4)
    ax.scatter(np.tile(place, len(SEEDS)), values.flatten(), color=COLOURS[WAY_COLOUR[way]],
               marker=MARKERS[list(COLOURS).index(WAY_COLOUR[way])], label=way)
ax.set_xticks(range(len(settings)), settings)
label_axes(ax, x="fine-tuning", x_unit="what was changed", y="validation accuracy at 98%", y_unit="%")
ax.grid(axis="x", visible=False)
ax.legend(loc="lower right")
show(fig, alt="Accuracy at 98% sparsity of one shot and gradual under three settings of the fine-tuning, three seeds each. "
     "With the short budget gradual is ahead; with a larger learning rate or more steps the two come close.")

# %% [markdown]
# **What we saw.** Nearly all of the gain was the fine-tuning. With the larger learning rate, and with more steps,
# *both* methods end higher, one shot by far, and the distance between them shrinks to the size of the spread. A larger
# learning rate costs nothing. So the honest conclusion is: with a short, cautious fine-tuning and a cut that breaks the
# network, little by little is better; with a better fine-tuning there is little or nothing left of the difference.
#
# ## Part 4 · During training
#
# ### Exercise train_time_pruning
#
# So far a removed weight was gone for ever. Here is the other way, often called training-time pruning: train one epoch
# *without* masks, take new masks from all the weights, set the removed ones to zero, and go on:
#
# $$w \leftarrow \text{epoch}(w), \qquad m_e = \text{prune}(w, s_e), \qquad w \leftarrow m_e \odot w .$$
#
# Here $s_e$ is entry $e$ of `sparsities`, and the old mask is not used for the new one. A weight that was cut may grow in
# the next epoch until it ranks above others: it has *regrown*. Count such weights: kept by $m_e$, removed by $m_{e-1}$.
#
# *By hand.* Four weights, sparsity 0.5 in each epoch. After epoch 1 they are $(4, 3, 2, 1)$: keep (True, True, False,
# False), weights $(4, 3, 0, 0)$. Epoch 2 trains them to $(4, 1, 2, 0.5)$: keep (True, False, True, False). One weight
# has regrown, the third. So `regrown` is $[0,\ 1]$.
#
# <details><summary>Hint</summary>
#
# Compare the new masks with the old ones before you forget the old ones. In the first epoch there are none.
# `int(….sum())` of a boolean tensor counts its True entries.
#
# </details>

# %% tags=["exercise"] difficulty=2 minutes=12
from solutions.lab04_prune_finetune import train_time_pruning

# %% tags=["visible-check"]
def drop_below(weights, sparsity):
    """A rule for `prune`, not magnitude: keep what exceeds `sparsity` times the largest entry."""
    return {name: weight > sparsity * weight.max() for name, weight in weights.items()}


def add():
    """Stands for an epoch of training without masks."""
    with torch.no_grad():
        network.add_(torch.tensor([1.0, -2.0, 2.0, -0.5]))


network = nn.Parameter(torch.tensor([3.0, 5.0, 0.0, 1.5]))
result = train_time_pruning({"w": network}, [0.6, 0.3], drop_below, add)
assert isinstance(result, tuple) and len(result) == 2, f"You returned {result!r}: return the masks and the counts."
masks, regrown = result
assert network.tolist() == [5.0, 0.0, 2.0, 0.0] and masks["w"].tolist() == [True, False, True, False], (
    f"The weights end as {network.tolist()} and the mask as {masks['w'].tolist()}. Epoch 1 trains to 4, 3, 2, 1 and keeps what "
    "exceeds 0.6 * 4 = 2.4: 4, 3, 0, 0. Epoch 2 trains to 5, 1, 2, -0.5 and keeps what exceeds 0.3 * 5 = 1.5: 5, 0, 2, 0.\n"
    "Is the third weight 0? Then the old mask is still used: a weight may come back.\n"
    "Is the last weight not 0? Then the masks were not applied, or the pruning came before the training."
)
assert isinstance(regrown, list) and all(type(count) is int for count in regrown), (
    f"You returned {regrown!r} for what has regrown: return a list of ints, one for each epoch."
)
assert regrown == [0, 1], (
    f"You returned {regrown} for what has regrown. In epoch 1 nothing had been removed before, so 0; in epoch 2 the third "
    "weight came back, so 1. Is the last number 2? Then the weight that was newly removed was counted too."
)
print("train_time_pruning: the visible checks pass")

# %% tags=["graded"] points=3

# %% [markdown]
# ### Experiment: does it help that weights may return?
#
# Training-time pruning makes most sense for a network that has no trained weights yet. So here new MLPs are trained and
# pruned to 98% in the same ten epochs. *Renewed* is your `train_time_pruning`; *kept* is `prune_and_finetune`, where
# nothing returns. In each, the sparsity is 98% from the first epoch on (*at once*), or rises by the cubic schedule (*gradual*).
# *Late* trains all the weights and cuts at the end of the eighth epoch. Every method spends the last two epochs with
# fixed masks, so that each can repair its last cut.

# %% tags=["experiment"]
RISING, FIXED = 8, 2  # epochs
shapes = {
    "at once": [HARD] * RISING,
    "gradual": [cubic_sparsity(e, 0, RISING // 2, 1, HARD) for e in range(1, RISING + 1)],
}


def during_training(seed, masks_are, sparsities):
    """A new network, pruned while it trains: accuracy after the last cut and at the end, regrown weights by epoch."""
    torch.manual_seed(seed)
    model = MLP().to(device)
    trainer, regrown = Trainer(model, seed, (RISING + FIXED) * EPOCH, lr=0.002), []
    if masks_are == "renewed":
        masks, regrown = train_time_pruning(trainer.weights, sparsities, prune, lambda: trainer.train(EPOCH, {}))
    else:  # every cut after an epoch too; what follows the last cut is below
        trainer.train(EPOCH, {})
        parts = iter([EPOCH] * (len(sparsities) - 1) + [0])
        masks, _ = prune_and_finetune(
            trainer.weights, sparsities, prune, lambda masks: trainer.train(next(parts), masks), lambda: 0.0
        )
    cut = validate(model)
    trainer.train(FIXED * EPOCH, masks)
    return cut, validate(model), regrown


def late(seed):
    """A new network, trained as a whole and cut once."""
    torch.manual_seed(seed)
    model = MLP().to(device)
    trainer = Trainer(model, seed, (RISING + FIXED) * EPOCH, lr=0.002)
    trainer.train(RISING * EPOCH, {})
    _, [pair] = prune_and_finetune(
        trainer.weights, [HARD], prune, lambda masks: trainer.train(FIXED * EPOCH, masks), lambda: validate(model)
    )
    return *pair, []


growth = {}
with torch.random.fork_rng():
    for shape, masks_are, seed in tqdm([(a, b, c) for a in shapes for b in ("kept", "renewed") for c in SEEDS], desc="epochs"):
        growth[f"{masks_are}, {shape}", seed] = during_training(seed, masks_are, shapes[shape])
    for seed in SEEDS:
        growth["late", seed] = late(seed)

names = ["renewed, at once", "kept, at once", "renewed, gradual", "kept, gradual", "late"]
total = sum(weight.numel() for weight in prunable_weights(networks[0]).values())
fig, axes = plt.subplots(1, 2, figsize=(11.5, 4))
for name, colour in (("renewed, at once", "blue"), ("renewed, gradual", "green")):
    counts = [growth[name, seed][2] for seed in SEEDS]
    curve(axes[0], range(1, RISING + 1), counts, label=name, colour=colour)
label_axes(axes[0], x="epoch", x_unit="number", y="regrown", y_unit="weights", title=f"of {total:,} weights, to 98%")
axes[0].legend()
for moment, colour, label in ((0, "vermilion", "after the last cut"), (1, "blue", "after two more epochs, masks fixed")):
    values = 100 * np.array([[growth[name, seed][moment] for name in names] for seed in SEEDS])
    place = np.arange(len(names)) + 0.16 * (moment - 0.5)
    axes[1].errorbar(place, values.mean(0), values.std(0, ddof=1), fmt="none", color=COLOURS[colour], capsize=4)
    axes[1].scatter(np.tile(place, len(SEEDS)), values.flatten(), color=COLOURS[colour], label=label,
                    marker=MARKERS[list(COLOURS).index(colour)])
axes[1].set_xticks(range(len(names)), [name.replace(", ", "\n") for name in names])
label_axes(axes[1], x="pruned during training", x_unit="masks, plan", y="validation accuracy", y_unit="%")
axes[1].grid(axis="x", visible=False)
axes[1].legend(loc="lower left")
show(fig, alt="Left: the number of regrown weights in each epoch, about twenty out of 266,200 at most. Right: accuracy of five ways "
     "to prune during training; at once, renewed masks lie below kept ones; with the gradual plan they are alike; one late cut "
     "is far below all.")

# %% [markdown]
# **What we saw.** Hardly anything regrows. A weight that was cut starts again at zero, and it has one epoch to overtake
# weights that kept what they had learned. And being allowed to return does not help here: compare each *renewed* with
# its *kept*. With the gradual plan the two cannot be told apart; at once, *renewed* is the lower one. A likely reason:
# between two cuts the renewed network trains with all its weights, and learns to rely on those that the next cut takes
# away. The kept network trains with the weights that it will have. What matters more is that there is time after the
# cut: look at *late*.
#
# This is no verdict on regrowth. The methods that live by it (Lab 9) give a returning weight more than one epoch, or
# choose by the gradient which ones come back.
#
# ## Part 5 · The test images
#
# ### Experiment: once, at the end
#
# All choices are made. We read the test images for the effect figure, and once more for the question about mild pruning.

# %% tags=["experiment"]
test_images, test_labels = (tensor.to(device) for tensor in load_fashion_mnist("test"))


def test(model):
    """Accuracy on the test images."""
    return accuracy(model, test_images, test_labels)


test_dense = [test(model) for model in networks]
test_once = {(s, seed): test(once[s, seed][0]) for s in all_sparsities for seed in SEEDS}
test_gradual = {(s, seed): test(trained["gradual", s, seed][0]) for s in sparsities for seed in SEEDS}
test_tuned = {key: test(result[0]) for key, result in tuned.items()}

print(f"not pruned                {in_percent(test_dense)}")
for s in all_sparsities:
    line = f"sparsity {100 * s:2.0f} %:  one shot {in_percent([test_once[s, seed] for seed in SEEDS])}"
    if s in sparsities:
        line += f"   gradual {in_percent([test_gradual[s, seed] for seed in SEEDS])}"
    if s <= 0.5:
        points = [100 * (test_once[s, seed] - test_dense[seed]) for seed in SEEDS]
        line += f"   change {np.mean(points):+.2f} ± {np.std(points, ddof=1):.2f} points"
    print(line)
print("at 98 %, other fine-tuning:")
for label in settings:
    texts = [f"{way} {in_percent([test_tuned[way, label, seed] for seed in SEEDS])}" for way in ("one shot", "gradual")]
    print(f"    {label:17}", "   ".join(texts))

# %% [markdown]
# **What we saw.** The order of the methods is the same on images that played no part in any choice. For mild pruning
# read the column *change*, and its first line first: there nothing was cut. All these changes are smaller than their
# spread. So the answer to "does mild pruning raise the accuracy?" is: not that three seeds could show it. It costs
# nothing, which is good news enough.

# %% [markdown] tags=["question"]
# ### Written question
#
# Your team has two jobs for the MLP: one network at 90% sparsity and one at 98%. Answer in about twelve lines, with
# your own plots as evidence. (a) Which procedure do you choose for each job, and what in the plots decides? (b) A paper
# reports: "iterative pruning beats one shot by five points at 98%". Name *two* things that you would have to know, or
# try yourself, before you believe that the iterating is the cause. (c) A colleague prunes a network to 95%, fine-tunes
# it with AdamW, and reports the accuracy of the network exactly as the last step left it. It is as good as before the pruning, which makes
# you suspicious. What may have gone wrong, and which one number would show it?

# %% [markdown] tags=["written"] points=3 grade_id="which_procedure"
# **Model answer.** (a) At 90%: one shot and a fine-tuning. The three curves lie on each other there, the differences are
# within the spread of the seeds, and one cut is simpler. At 98%: gradual (or rounds) if the fine-tuning is
# short and cautious, since one shot breaks there and the differences are clearly above zero; or one shot with a
# larger learning rate or a longer budget, which reaches about the same. Either choice is right with its condition.
#
# (b) Two of: Did both get the same number of training steps, or did the iterative one get a full fine-tuning in each
# round? Was the learning rate of one shot tuned as well? How many seeds, and what is the spread? At how many other
# sparsities does it hold? Was it chosen and reported on the same images?
#
# (c) The masks were not applied after the optimiser's step (or only the gradients were masked, and AdamW's memory moved
# the weights). The removed weights came back, and the reported network is dense. The number: the fraction of weights
# that are exactly zero, counted after the fine-tuning.
#
# **Points.** 1 for (a): a choice for each job that the answerer's own plots support, with the reason. 1 for (b): two
# valid points. 1 for (c): the cause and the number.

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


def by_percent(xs, rows, of=summary):
    """{x in percent: summary of that column of rows, [seeds, xs]}."""
    return {f"{100 * x:g}": of(column) for x, column in zip(xs, np.array(rows).T)}


def key_of(text):
    """A name as a key: no blanks, no commas, no signs."""
    return text.replace(", ", "_").replace(" ", "_").replace("×", "x").replace("-", "_")


if folder := os.environ.get("LABKIT_RECORD"):
    record = {
        "made_by": "in labs/: LABKIT_RECORD=../data/results python source/lab04_prune_finetune.py",
        "unit": "accuracies, differences and sparsities are fractions; sd is the standard deviation over seeds (n - 1)",
        "images": {"train": len(train_images), "validation": len(images), "test": len(test_images)},
        "steps": {"epoch": EPOCH, "budget": BUDGET},
        "dense": summary(dense),
        "cost": {
            key_of(name): {key_of(q): round(row[q] / cost["whole"][q], 6) for q in quantities} for name, row in cost.items()
        },
        "cost_accuracy": {key_of(name): validate(model) for name, model in versions.items()},
        "drift": {
            key_of(treatment): {
                key_of(name): {
                    "zeros": summary([counts[-1] for counts in zeros_left[treatment, name]]),
                    "after_one_step": summary([counts[1] for counts in zeros_left[treatment, name]]),
                    "size": summary([sizes[-1] for sizes in drift[treatment, name]]),
                }
                for name in optimizers
            }
            for treatment in treatments
        },
        "pruned": by_percent(all_sparsities, before),
        "one_shot": by_percent(all_sparsities, after),
        "mild": {
            "pruned": by_percent(all_sparsities[:4], before[:, :4] - np.array(dense)[:, None], change),
            "finetuned": by_percent(all_sparsities[:4], after[:, :4] - np.array(dense)[:, None], change),
            "against_control": by_percent(all_sparsities[:4], after[:, :4] - after[:, :1], change),
        },
        "inside_the_gap": {key_of(stage): summary(shares) for stage, shares in inside.items()},
        "rounds": by_percent(sparsities, finals["rounds"]),
        "gradual": by_percent(sparsities, finals["gradual"]),
        "gain": {way: by_percent(sparsities, points / 100, change) for way, points in gain.items()},
        "budgets": {
            key_of(label): {
                **{key_of(way): summary([tuned[way, label, seed][1][1] for seed in SEEDS]) for way in ("one shot", "gradual")},
                "difference": change([tuned["gradual", label, seed][1][1] - tuned["one shot", label, seed][1][1] for seed in SEEDS]),
            }
            for label in settings
        },
        "during_training": {
            key_of(name): {
                "cut": summary([growth[name, seed][0] for seed in SEEDS]),
                "end": summary([growth[name, seed][1] for seed in SEEDS]),
                "most_regrown": summary([max(growth[name, seed][2], default=0) / total for seed in SEEDS]),
            }
            for name in names
        },
        "test": {
            "dense": summary(test_dense),
            "one_shot": by_percent(all_sparsities, [[test_once[s, seed] for s in all_sparsities] for seed in SEEDS]),
            "gradual": by_percent(sparsities, [[test_gradual[s, seed] for s in sparsities] for seed in SEEDS]),
            "mild": by_percent(
                all_sparsities[:4],
                [[test_once[s, seed] - test_dense[seed] for s in all_sparsities[:4]] for seed in SEEDS],
                change,
            ),
            "budgets": {
                key_of(label): {
                    key_of(way): summary([test_tuned[way, label, seed] for seed in SEEDS]) for way in ("one shot", "gradual")
                }
                for label in settings
            },
        },
    }
    Path(folder, "lab04_prune_finetune.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

# %% [markdown]
# ## What to take with you
#
# - **A mask is not a smaller network.** Zeros cost as much as other weights until rows are removed or a special format is
#   used. Removed rows give the same outputs as zeroed ones.
# - **Mask after the optimiser's step.** Masking the gradients is not enough as soon as the optimiser has a memory. Count the
#   zeros at the end.
# - **One shot and a fine-tuning suffice until the cut breaks the network.** Up to 90% iterating gains nothing here at equal
#   steps. Beyond the breaking point it gains, under a short and cautious fine-tuning; a larger learning rate or more steps
#   take nearly all of the gain away.
# - **That mild pruning raises the accuracy did not show here.** Compare with a control that had the same training.
# - **Letting weights return did not help here**, and hardly any did return.
#
# Lab 5 asks whether another score than magnitude would choose better. Lab 9 trains sparse from the beginning, Lab 10
# puts the remaining weights back to their start.
#
# **Read next.** Han et al. (2015), figure 5, for the effect figure of AlexNet. Zhu and Gupta (2017), sections 3 and 4.
# Renda et al. (2020), [arXiv:2003.02389](https://arxiv.org/abs/2003.02389), for what to do in the retraining. Le and
# Hua (2021), [arXiv:2105.03193](https://arxiv.org/abs/2105.03193), for how much the learning rate of the retraining
# explains. The lecture note of this lab (`lecture_notes/lab04_prune_finetune.md` in the course's repository) works
# small examples by hand.
