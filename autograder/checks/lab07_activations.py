"""Hidden checks of lab 7. Experiments only: they observe, and no expected answer stands here."""

import gc

import torch
from torch import nn

from autograder.experiment import check, close, error_of, exact

COUNTED = close(1e-6, 1e-7)  # counts divided by counts, in float32
ROUNDING = close(1e-4, 1e-5)  # of float32 sums in another order


def normal(rng, *shape, dtype=torch.float32):
    return torch.randn(*shape, generator=rng, dtype=dtype)


def partly_zero(rng, *shape):
    """Activations of both signs with zeros among them, more in the later channels; [N, C, ...]."""
    share = torch.linspace(0.15, 0.85, shape[1]).view(1, -1, *[1] * (len(shape) - 2))
    return normal(rng, *shape) * (torch.rand(shape, generator=rng) >= share)


# --- apoz ------------------------------------------------------------------------------------------------------


@check("apoz", tolerance=COUNTED, weight=2)
def over_images_and_positions(lab, rng):
    """One number for each channel: exact zeros divided by entries, over all images and all positions."""
    return lab.apoz(partly_zero(rng, 6, 5, 4, 3).relu())


@check("apoz", tolerance=COUNTED)
def of_a_linear_layer(lab, rng):
    """A linear layer has one position; any number of dimensions may stand behind the channels."""
    return {
        "[N, C]": lab.apoz(partly_zero(rng, 40, 7).relu()),
        "[N, C, L]": lab.apoz(partly_zero(rng, 9, 4, 11).relu()),
        "one image, one channel": lab.apoz(partly_zero(rng, 1, 1, 9, 9).relu()),
    }


@check("apoz", tolerance=COUNTED)
def exact_zeros_only(lab, rng):
    """A zero of either sign counts; a negative number or a very small one does not."""
    activations = partly_zero(rng, 8, 6, 5, 5)
    activations[0, :, 0, :3] = 1e-9
    activations[1, :, 1, :3] = -0.0
    return {
        "negative numbers": lab.apoz(activations),
        "never and always": lab.apoz(torch.tensor([[0.0, 1.0, -2.0], [0.0, 3.0, -1.0]])),
    }


@check("apoz", tolerance=COUNTED)
def activations_of_any_kind(lab, rng):
    """Any dtype and memory layout will do, the result is float32, and the activations are not changed."""
    half = torch.ones(3, 2, 60, 60, dtype=torch.float16)
    half[:, 0, :41] = 0
    double = partly_zero(rng, 4, 6, 3, 5).double()
    other_layout = partly_zero(rng, 5, 4, 6, 3).permute(2, 1, 3, 0)
    return {
        "float16, many entries": lab.apoz(half),
        "float64": lab.apoz(double),
        "int64": lab.apoz((3 * double).long()),
        "not contiguous": lab.apoz(other_layout),
        "afterwards": [half.float().mean(), double, other_layout],
    }


@check("apoz", tolerance=exact)
def apoz_refuses(lab, rng):
    """Fewer than two dimensions, or channels without any entry, raise ValueError; good input does not."""
    shapes = {
        "one dimension": (4,),
        "a number": (),
        "no image": (0, 3, 2, 2),
        "an empty map": (2, 3, 0, 4),
        "good": (2, 3),
    }
    return {name: error_of(lambda s=s: lab.apoz(torch.zeros(s))) for name, s in shapes.items()}


# --- collect_apoz ----------------------------------------------------------------------------------------------


def filled(model, rng):
    """The model with every parameter drawn from rng, so that each run has a network of its own."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.7 * normal(rng, *parameter.shape))
    return model


def network(rng):
    """A small convolutional network whose BatchNorm statistics are far from those of any batch, and with dropout."""
    model = nn.Sequential()
    for name, layer in {
        "conv": nn.Conv2d(1, 6, 3),
        "bn": nn.BatchNorm2d(6),
        "relu": nn.ReLU(),
        "pool": nn.MaxPool2d(2),
        "flat": nn.Flatten(),
        "fc": nn.Linear(54, 12),
        "relu2": nn.ReLU(),
        "drop": nn.Dropout(0.5),
        "out": nn.Linear(12, 5),
    }.items():
        model.add_module(name, layer)
    filled(model, rng)
    model.bn.weight.data.fill_(1.0)
    model.bn.bias.data.fill_(0.0)
    model.bn.running_mean.fill_(0.4)
    return model


@check("collect_apoz", tolerance=COUNTED, weight=2)
def per_channel_over_all_batches(lab, rng):
    """Zeros divided by entries of each channel, over all images; a smaller last batch weighs less."""
    model, images = network(rng).eval(), normal(rng, 18, 1, 8, 8)
    images[16:] *= 0.01  # the last batch of eight holds two images, and they are unlike the others
    return {f"batches of {b}": lab.collect_apoz(model, images, ["relu", "relu2"], b) for b in (6, 8, 50, 1)}


@check("collect_apoz", tolerance=COUNTED)
def in_evaluation_mode(lab, rng):
    """The model is measured in evaluation mode, whatever mode it is in; no name gives no result."""
    model, images = network(rng).train(), normal(rng, 14, 1, 8, 8)
    return {
        "training": lab.collect_apoz(model, images, ["relu", "pool", "drop"], 5),
        "no name": lab.collect_apoz(model, images, [], 5),
    }


@check("collect_apoz", tolerance=exact)
def modes_and_state_are_given_back(lab, rng):
    """Afterwards every module is in its own mode again, and parameters, buffers and gradients are as before."""
    model, images = network(rng), normal(rng, 7, 1, 8, 8)
    model.train()
    model.bn.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lab.collect_apoz(model, images, ["relu"], 3)
    mixed = {name: module.training for name, module in model.named_modules()}
    model.eval()
    lab.collect_apoz(model, images, ["relu"], 3)
    return {
        "mixed": mixed,
        "evaluation": [module.training for module in model.modules()],
        "state as before": [bool(torch.equal(before[name], v)) for name, v in model.state_dict().items()],
        "gradients": [parameter.grad for parameter in model.parameters()],
    }


@check("collect_apoz", tolerance=exact)
def hooks_are_given_back(lab, rng):
    """Afterwards the hooks that were added are gone, and those of others are still there."""
    model, images, calls = network(rng), normal(rng, 7, 1, 8, 8), []
    model.relu.register_forward_hook(lambda module, inputs, output: calls.append(1))
    lab.collect_apoz(model, images, ["relu", "pool"], 4)
    hooks = {
        name: len(module._forward_hooks) + len(module._forward_pre_hooks)
        for name, module in model.named_modules()
    }
    calls.clear()
    with torch.no_grad():
        model(images)
    return {"hooks": hooks, "calls of the other hook in the next pass": len(calls)}


class Fails(nn.Module):
    """Breaks at its second run."""

    def __init__(self):
        super().__init__()
        self.runs = 0

    def forward(self, x):
        self.runs += 1
        if self.runs == 2:
            raise ZeroDivisionError("the forward pass failed")
        return x


@check("collect_apoz", tolerance=exact)
def given_back_after_an_error(lab, rng):
    """When a forward pass raises, its error is passed on, the modes are restored and the hooks are gone."""
    model, images = network(rng), normal(rng, 8, 1, 8, 8)
    model.out = Fails()
    model.train()
    model.bn.eval()
    error = error_of(lambda: lab.collect_apoz(model, images, ["relu", "pool"], 2))
    return {
        "error": error,
        "modes": [module.training for module in model.modules()],
        "hooks": [len(module._forward_hooks) for module in model.modules()],
    }


class Watch(nn.Module):
    """Passes its input on; notes the size of each batch, and how many entries young tensors hold when it begins."""

    def __init__(self):
        super().__init__()
        self.batches, self.entries = [], []

    def forward(self, x):
        self.batches.append(len(x))
        young = [item for item in gc.get_objects(generation=0) if issubclass(type(item), torch.Tensor)]
        self.entries.append(sum(tensor.numel() for tensor in young))
        return x


@check("collect_apoz", tolerance=exact)
def memory_does_not_grow(lab, rng):
    """Each image goes through the model once, in batches of the given size, and no activations pile up."""
    watch = Watch()
    model = nn.Sequential(watch, filled(nn.Conv2d(1, 8, 3), rng), nn.ReLU())
    images = normal(rng, 26, 1, 18, 18)
    gc.collect(0)  # empties the youngest generation
    gc.disable()  # so that whatever is made from now on stays in the youngest generation while it lives
    try:
        lab.collect_apoz(model, images, ["2"], 4)
    finally:
        gc.enable()
    one_batch = 4 * 8 * 16 * 16  # entries of the activations of one batch
    grown = watch.entries[-1] - watch.entries[2] if len(watch.entries) > 2 else 0
    return {"batches": watch.batches, "grew by a batch or more": grown >= one_batch}


@check("collect_apoz", tolerance=COUNTED)
def counted_as_it_leaves(lab, rng):
    """An output is counted as its module returns it, before a later module changes it in place."""
    model = filled(nn.Sequential(nn.Linear(9, 30), nn.ReLU(inplace=True), nn.Linear(30, 4)), rng)
    return lab.collect_apoz(model, normal(rng, 8, 9), ["0", "1"], 3)


class Twice(nn.Module):
    """One ReLU that serves two maps of different sizes."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.relu = nn.Conv2d(2, 5, 3), nn.Conv2d(5, 5, 3, stride=2), nn.ReLU()

    def forward(self, x):
        return self.relu(self.second(self.relu(self.first(x) - 2.0)) + 2.0)


@check("collect_apoz", tolerance=COUNTED)
def a_module_that_runs_twice(lab, rng):
    """A module that runs several times in a pass counts the entries of all its runs together."""
    return lab.collect_apoz(filled(Twice(), rng), normal(rng, 9, 2, 9, 9), ["relu"], 4)


@check("collect_apoz", tolerance=exact)
def collect_apoz_refuses(lab, rng):
    """An unknown name, no images or batches below one image raise ValueError and leave no hook; good input does not."""
    model, images = network(rng), normal(rng, 4, 1, 8, 8)
    cases = {
        "unknown name": (images, ["relu", "relu9"], 2),
        "no images": (images[:0], ["relu"], 2),
        "batches of 0": (images, ["relu"], 0),
        "batches below 0": (images, ["relu"], -2),
        "good": (images, ["relu"], 2),
    }
    errors = {name: error_of(lambda c=case: lab.collect_apoz(model, *c)) for name, case in cases.items()}
    return errors | {"hooks": sum(len(module._forward_hooks) for module in model.modules())}


# --- select_channels -------------------------------------------------------------------------------------------


@check("select_channels", tolerance=exact, weight=2)
def the_highest_stay(lab, rng):
    """The channels with the highest scores are kept, whatever the sign of the scores; their positions ascend."""
    scores = normal(rng, 16)
    return {f"sparsity {s}": lab.select_channels(scores, s) for s in (0.25, 0.5, 0.75)}


@check("select_channels", tolerance=exact)
def number_of_channels(lab, rng):
    """Exactly round(sparsity * n) channels are removed, with Python's round."""
    results = {}
    for n in (5, 7, 10, 13):
        scores = torch.rand(n, generator=rng)
        for s in (0.05, 0.3, 0.5, 0.58, 0.7):
            results[f"n {n}, sparsity {s}"] = lab.select_channels(scores, s)
    return results


@check("select_channels", tolerance=exact)
def ties(lab, rng):
    """Of equal scores the one with the lower position is removed first, and no more are removed than asked for."""
    dead = torch.tensor([0, 1, 0, 2, 0, 1, 0, 2, 1, 0])[torch.randperm(10, generator=rng)]
    return {
        "all equal": lab.select_channels(torch.full((9,), 0.5), 0.34),
        "many equal, integers": lab.select_channels(dead.clone(), 0.3),
        "many equal, more removed": lab.select_channels(dead.double(), 0.6),
    }


@check("select_channels", tolerance=exact)
def never_all(lab, rng):
    """Sparsity 0 keeps every channel; at least one channel, the highest, is always kept."""
    return {
        "nothing": lab.select_channels(torch.rand(6, generator=rng), 0.0),
        "everything": lab.select_channels(torch.rand(6, generator=rng), 1.0),
        "nearly everything": lab.select_channels(torch.rand(5, generator=rng), 0.95),
        "one channel": lab.select_channels(torch.rand(1, generator=rng), 0.8),
        "everything, equal": lab.select_channels(torch.zeros(4), 1.0),
    }


@check("select_channels", tolerance=exact)
def scores_of_any_kind(lab, rng):
    """Any dtype and memory layout will do, and the scores are not changed."""
    integers, strided = (
        torch.randperm(12, generator=rng),
        torch.rand(9, 2, generator=rng, dtype=torch.float64)[:, 0],
    )
    parameter = nn.Parameter(normal(rng, 8))
    return {
        "int64": lab.select_channels(integers, 0.5),
        "strided float64": lab.select_channels(strided, 0.4),
        "with a gradient": lab.select_channels(parameter.square(), 0.5),
        "afterwards": [integers, strided, parameter],
    }


@check("select_channels", tolerance=exact)
def select_channels_refuses(lab, rng):
    """A sparsity that is no fraction, or scores that are not one number for each channel, raise ValueError."""
    scores = torch.rand(6, generator=rng)
    cases = {
        "below 0": (scores, -0.1),
        "above 1": (scores, 1.2),
        "NaN": (scores, float("nan")),
        "no channel": (scores[:0], 0.5),
        "two dimensions": (scores.view(2, 3), 0.5),
        "good": (scores, 0.5),
    }
    return {name: error_of(lambda c=case: lab.select_channels(*c)) for name, case in cases.items()}


# --- remove_filters and remove_before_linear -------------------------------------------------------------------

NUMBERS = [
    "in_channels", "out_channels", "in_features", "out_features", "num_features", "kernel_size", "stride",
    "padding", "padding_mode", "dilation", "groups", "eps", "momentum", "training",
]  # fmt: skip


def drawn(module, rng):
    """The module with all its parameters and statistics drawn from rng: nothing hides behind a 0 or a 1."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(normal(rng, *parameter.shape, dtype=parameter.dtype))
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.copy_(normal(rng, module.num_features))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=rng))
            module.num_batches_tracked.fill_(int(torch.randint(2, 90, (1,), generator=rng)))
    return module


def some_of(rng, n, count):
    """Positions to keep, in ascending order: neither the first nor the last ones, so that nobody is right by luck."""
    while True:
        kept = torch.randperm(n, generator=rng)[:count].sort().values
        if kept[-1] >= count and kept[0] < n - count:
            return kept


def described(module):
    """All that can be read off a layer."""
    if module is None:
        return None
    return {
        "type": type(module).__name__,
        "state": dict(module.state_dict()),
        "attributes": {name: getattr(module, name) for name in NUMBERS if hasattr(module, name)},
        "trained": [bool(p.requires_grad and p.is_leaf) for p in module.parameters()],
    }


def described_all(modules):
    return [described(module) for module in modules]


def memory_of(modules):
    return {
        tensor.data_ptr()
        for module in modules
        if module is not None
        for tensor in module.state_dict().values()
    }


@check("remove_filters", tolerance=exact, weight=2)
def filters_and_what_reads_them(lab, rng):
    """The kept filters stay, and the next convolution loses the inputs of those that go, in each of its filters."""
    conv, following = drawn(nn.Conv2d(3, 6, 3, padding=1), rng), drawn(nn.Conv2d(6, 4, 3, padding=1), rng)
    return described_all(lab.remove_filters(conv, None, following, some_of(rng, 6, 4)))


@check("remove_filters", tolerance=exact, weight=2)
def batch_norm_goes_along(lab, rng):
    """BatchNorm loses scale, shift, running mean and running variance of the channels that go, and no others."""
    conv = drawn(nn.Conv2d(2, 5, 3, bias=False), rng)
    bn, following = drawn(nn.BatchNorm2d(5, eps=0.01, momentum=0.3), rng), drawn(nn.Conv2d(5, 3, 1), rng)
    return described_all(lab.remove_filters(conv, bn, following, some_of(rng, 5, 3)))


@check("remove_filters", tolerance=ROUNDING)
def convolutions_of_any_shape(lab, rng):
    """Stride, padding, padding_mode, dilation, kernels that are not square and a missing bias stay as they are."""
    conv = drawn(
        nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), padding_mode="reflect"), rng
    )
    following = drawn(nn.Conv2d(4, 5, (1, 3), stride=(1, 2), bias=False), rng)
    new = lab.remove_filters(conv, None, following, some_of(rng, 4, 3))
    with torch.no_grad():
        outputs = new[2](new[0](normal(rng, 2, 3, 9, 11)).relu())
    return {"layers": described_all(new), "outputs": outputs}


@check("remove_filters", tolerance=exact)
def modes_and_dtype_stay(lab, rng):
    """Each module keeps its own `training` and its dtype; keeping all channels changes nothing."""
    conv, following = drawn(nn.Conv2d(2, 4, 3).double().eval(), rng), drawn(nn.Conv2d(4, 2, 3).double(), rng)
    bn = drawn(nn.BatchNorm2d(4).double().eval(), rng)
    return {
        "some": described_all(lab.remove_filters(conv, bn, following, some_of(rng, 4, 2))),
        "all": described_all(lab.remove_filters(conv, bn, following, torch.arange(4))),
        "one": described_all(lab.remove_filters(conv, bn, following, torch.tensor([3]))),
    }


@check("remove_filters", tolerance=exact)
def the_old_layers_stay(lab, rng):
    """The old modules are not changed, and the new ones share no memory with them."""
    old = [drawn(nn.Conv2d(2, 5, 3), rng), drawn(nn.BatchNorm2d(5), rng), drawn(nn.Conv2d(5, 3, 3), rng)]
    kept = some_of(rng, 5, 3)
    new = lab.remove_filters(*old, kept)
    return {
        "old": described_all(old),
        "the same objects": [any(one is other for other in old) for one in new],
        "shared memory": bool(memory_of(old) & memory_of(new)),
        "kept": kept,
    }


@check("remove_filters", tolerance=exact)
def remove_filters_refuses(lab, rng):
    """Layers that do not fit, groups, or positions that make no sense raise ValueError; good input does not."""
    conv, bn, following = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3)
    kept = torch.tensor([0, 2])
    cases = {
        "next layer does not fit": (conv, bn, nn.Conv2d(5, 2, 3), kept),
        "BatchNorm does not fit": (conv, nn.BatchNorm2d(3), following, kept),
        "groups": (conv, bn, nn.Conv2d(4, 4, 3, groups=2), kept),
        "groups in the first": (nn.Conv2d(2, 4, 3, groups=2), bn, following, kept),
        "none kept": (conv, bn, following, kept[:0]),
        "twice": (conv, bn, following, torch.tensor([2, 2])),
        "falling": (conv, bn, following, torch.tensor([2, 0])),
        "too large": (conv, bn, following, torch.tensor([1, 4])),
        "negative": (conv, bn, following, torch.tensor([-1, 2])),
        "two dimensions": (conv, bn, following, kept.view(1, 2)),
        "good": (conv, bn, following, kept),
    }
    return {name: error_of(lambda c=case: lab.remove_filters(*c)) for name, case in cases.items()}


@check("remove_before_linear", tolerance=exact, weight=2)
def each_channel_owns_its_positions(lab, rng):
    """A channel that goes takes its M consecutive inputs of the linear layer with it, and its filter."""
    conv, linear = drawn(nn.Conv2d(2, 5, 3), rng), drawn(nn.Linear(5 * 6, 4), rng)
    return described_all(lab.remove_before_linear(conv, None, linear, some_of(rng, 5, 3)))


@check("remove_before_linear", tolerance=exact)
def between_two_linear_layers(lab, rng):
    """Behind a linear layer each output owns one input; the biases of both layers are where they belong."""
    layer, linear = drawn(nn.Linear(5, 7), rng), drawn(nn.Linear(7, 6), rng)
    bare, normed = drawn(nn.Linear(4, 5, bias=False), rng), drawn(nn.Linear(5, 3, bias=False), rng)
    bn = drawn(nn.BatchNorm1d(5, momentum=0.2), rng)
    return {
        "with bias": described_all(lab.remove_before_linear(layer, None, linear, some_of(rng, 7, 4))),
        "BatchNorm, no bias": described_all(lab.remove_before_linear(bare, bn, normed, some_of(rng, 5, 2))),
    }


@check("remove_before_linear", tolerance=ROUNDING, weight=2)
def a_whole_boundary(lab, rng):
    """Convolution, BatchNorm and linear layer of any shape, with maps that are not square."""
    conv = drawn(nn.Conv2d(2, 6, (2, 3), stride=(1, 2), padding=(1, 0), bias=False), rng)
    bn, linear = drawn(nn.BatchNorm2d(6, eps=0.02), rng).eval(), drawn(nn.Linear(6 * 5 * 3, 4), rng)
    new = lab.remove_before_linear(conv, bn, linear, some_of(rng, 6, 4))
    with torch.no_grad():
        maps = new[1](new[0](normal(rng, 3, 2, 4, 7))).relu()
        outputs = new[2](maps.flatten(1))
    return {"layers": described_all(new), "outputs": outputs}


@check("remove_before_linear", tolerance=exact)
def linear_modes_and_dtype_stay(lab, rng):
    """Each module keeps its own `training` and its dtype, whether all, some or one of the channels are kept."""
    conv, bn = drawn(nn.Conv2d(2, 4, 3).double().eval(), rng), drawn(nn.BatchNorm2d(4).double().eval(), rng)
    linear = drawn(nn.Linear(8, 3).double(), rng)
    return {
        "some": described_all(lab.remove_before_linear(conv, bn, linear, some_of(rng, 4, 2))),
        "all": described_all(lab.remove_before_linear(conv, bn, linear, torch.arange(4))),
        "one": described_all(lab.remove_before_linear(conv, bn, linear, torch.tensor([3]))),
    }


@check("remove_before_linear", tolerance=exact)
def the_old_linear_layers_stay(lab, rng):
    """The old modules are not changed, and the new ones share no memory with them."""
    old = [drawn(nn.Conv2d(2, 5, 3), rng), drawn(nn.BatchNorm2d(5), rng), drawn(nn.Linear(20, 3), rng)]
    kept = some_of(rng, 5, 3)
    new = lab.remove_before_linear(*old, kept)
    return {
        "old": described_all(old),
        "the same objects": [any(one is other for other in old) for one in new],
        "shared memory": bool(memory_of(old) & memory_of(new)),
        "kept": kept,
    }


@check("remove_before_linear", tolerance=exact)
def remove_before_linear_refuses(lab, rng):
    """Layers that do not fit, groups, or positions that make no sense raise ValueError; good input does not."""
    conv, bn, linear = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Linear(12, 3)
    kept = torch.tensor([0, 2])
    cases = {
        "linear layer does not fit": (conv, bn, nn.Linear(10, 3), kept),
        "BatchNorm does not fit": (conv, nn.BatchNorm2d(3), linear, kept),
        "groups": (nn.Conv2d(2, 4, 3, groups=2), bn, linear, kept),
        "none kept": (conv, bn, linear, kept[:0]),
        "twice": (conv, bn, linear, torch.tensor([2, 2])),
        "falling": (conv, bn, linear, torch.tensor([2, 0])),
        "too large": (conv, bn, linear, torch.tensor([1, 4])),
        "negative": (conv, bn, linear, torch.tensor([-1, 2])),
        "two dimensions": (conv, bn, linear, kept.view(1, 2)),
        "good": (conv, bn, linear, kept),
    }
    return {name: error_of(lambda c=case: lab.remove_before_linear(*c)) for name, case in cases.items()}


# --- saved_cost ------------------------------------------------------------------------------------------------


def between(rng, low, high):
    return int(torch.randint(low, high, (1,), generator=rng))


@check("saved_cost", tolerance=exact, weight=2)
def two_convolutions(lab, rng):
    """The filters of the one layer and what reads them in the next, weights and multiply-adds."""
    inputs, out, outputs, k = (between(rng, low, low + 4) for low in (3, 20, 8, 2))
    sizes = between(rng, 50, 90), between(rng, 10, 40)
    shapes = (out, inputs, k, k), (outputs, out, k, k)
    return {f"{m} removed": lab.saved_cost(*shapes, *sizes, m) for m in (1, 2, 5)}


@check("saved_cost", tolerance=exact)
def kernels_of_two_sizes(lab, rng):
    """The two kernels may differ, and need not be square."""
    inputs, out, outputs = (between(rng, low, low + 4) for low in (3, 20, 8))
    return {
        "3 x 3, then 1 x 1": lab.saved_cost((out, inputs, 3, 3), (outputs, out, 1, 1), 64, 36, 3),
        "2 x 3, then 5 x 4": lab.saved_cost((out, inputs, 2, 3), (outputs, out, 5, 4), 30, 42, 2),
    }


@check("saved_cost", tolerance=exact, weight=2)
def before_a_linear_layer(lab, rng):
    """Each output owns in' / out inputs of a linear layer behind it, one where both layers are linear."""
    inputs, out, outputs, positions = (between(rng, low, low + 4) for low in (3, 12, 30, 6))
    return {
        "convolution, linear": lab.saved_cost(
            (out, inputs, 3, 3), (outputs, out * positions), 4 * positions, 1, 3
        ),
        "linear, linear": lab.saved_cost((out, inputs), (outputs, out), 1, 1, 4),
    }


@check("saved_cost", tolerance=exact)
def none_and_all(lab, rng):
    """Removing none saves nothing; removing all saves both layers."""
    shapes = (9, between(rng, 2, 7), 3, 3), (between(rng, 2, 7), 9, 3, 3)
    return {"none": lab.saved_cost(*shapes, 49, 25, 0), "all": lab.saved_cost(*shapes, 49, 25, 9)}


@check("saved_cost", tolerance=exact)
def saved_cost_refuses(lab, rng):
    """Layers that do not follow each other, or more outputs than there are, raise ValueError; good input does not."""
    shape = (4, 3, 3, 3)
    cases = {
        "another number of channels": (shape, (5, 3, 3, 3), 49, 49, 1),
        "a multiple of them": (shape, (5, 8, 3, 3), 49, 49, 1),
        "does not divide": (shape, (5, 10), 49, 1, 1),
        "too many": (shape, (5, 4, 3, 3), 49, 49, 5),
        "below 0": (shape, (5, 4, 3, 3), 49, 49, -1),
        "good": (shape, (5, 8), 49, 1, 4),
    }
    return {name: error_of(lambda c=case: lab.saved_cost(*c)) for name, case in cases.items()}
