"""Lab 7's reference against independent oracles: loops, masked networks, Torch-Pruning, FlopCounterMode, counting."""

import copy
import gc
import math
import weakref

import numpy as np
import pytest
import torch
import torch_pruning
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from solutions.lab07_activations import (
    apoz,
    collect_apoz,
    remove_before_linear,
    remove_filters,
    saved_cost,
    select_channels,
)

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64]
quick = settings(deadline=None, max_examples=30)


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def relu_of(*shape, seed=0):
    """Activations with about half zeros, and a few negative numbers, as a leaky layer would have."""
    values = normal(*shape, seed=seed)
    return torch.where(values > -1.5, values.clamp(min=0), values)


def loop_apoz(activations):
    """The definition, entry by entry."""
    zeros, total = [0] * activations.shape[1], 0
    for image in activations.numpy():
        for channel, values in enumerate(image):
            zeros[channel] += sum(1 for value in np.ravel(values) if value == 0.0)
    total = activations.numel() // activations.shape[1]
    return torch.tensor([count / total for count in zeros])


# --- apoz ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2, 5), (1, 1), (7, 2, 6), (2, 3, 2, 2, 2), (1, 4, 1, 1)])
def test_apoz_agrees_with_a_loop_over_the_definition(shape):
    activations = relu_of(*shape)
    result = apoz(activations)
    assert torch.allclose(result, loop_apoz(activations), atol=1e-7)
    assert result.dtype == torch.float32 and result.shape == (shape[1],)


@pytest.mark.parametrize("dtype", DTYPES)
def test_apoz_takes_any_dtype_and_layout_and_changes_nothing(dtype):
    activations = relu_of(3, 5, 4, 6).mul(8).to(dtype).permute(1, 3, 0, 2)  # 5, 6, 3, 4
    before = activations.clone()
    expected = (activations == 0).double().mean(dim=(0, 2, 3))
    assert torch.allclose(apoz(activations).double(), expected, atol=1e-6)
    assert torch.equal(activations, before)


def test_apoz_is_exact_where_a_mean_in_half_precision_would_not_be():
    activations = torch.ones(1, 1, 1, 100_000, dtype=torch.float16)
    activations[..., :33_333] = 0
    assert apoz(activations).item() == pytest.approx(0.33333, abs=1e-6)


def test_apoz_counts_both_zeros_and_no_small_number():
    activations = torch.tensor([[0.0, 1e-30], [-0.0, -1e-30], [1.0, float("nan")], [2.0, 0.0]])
    assert apoz(activations).tolist() == [0.5, 0.25]


@pytest.mark.parametrize("shape", [(4,), (), (0, 3), (0, 3, 2, 2), (2, 3, 0, 4)])
def test_apoz_refuses(shape):
    with pytest.raises(ValueError, match="shape"):
        apoz(torch.zeros(shape))


# --- collect_apoz ----------------------------------------------------------------------------------------------


def convnet(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential()
        for name, layer in {
            "conv": nn.Conv2d(1, 5, 3),
            "bn": nn.BatchNorm2d(5),
            "relu": nn.ReLU(inplace=True),
            "pool": nn.MaxPool2d(2),
            "flat": nn.Flatten(),
            "fc": nn.Linear(45, 7),
            "relu2": nn.ReLU(),
            "drop": nn.Dropout(0.5),
        }.items():
            model.add_module(name, layer)
        model.bn.running_mean.fill_(0.3)
    return model


@quick
@given(st.integers(1, 23), st.integers(1, 30), st.integers(0, 99))
def test_collect_apoz_does_not_depend_on_the_batch_size(n, batch_size, seed):
    model, images = convnet(seed % 5), normal(n, 1, 8, 8, seed=seed)
    found = collect_apoz(model, images, ["bn", "relu", "pool", "relu2", "drop"], batch_size)
    model.eval()
    with torch.no_grad():
        bn = model.bn(model.conv(images))
        relu = bn.relu()
        pool = model.pool(relu)
        relu2 = model.fc(pool.flatten(1)).relu()
    for name, outputs in {"bn": bn, "relu": relu, "pool": pool, "relu2": relu2, "drop": relu2}.items():
        assert torch.allclose(found[name], loop_apoz(outputs), atol=1e-6), name
        assert found[name].dtype == torch.float32


class Shared(nn.Module):
    """One ReLU that runs twice, on maps of two sizes."""

    def __init__(self):
        super().__init__()
        self.relu, self.calls = nn.ReLU(), []

    def forward(self, x):
        self.calls.append(len(x))
        return self.relu(self.relu(x)[:, :, ::2] - 1)


def test_collect_apoz_counts_all_runs_and_sends_each_image_once():
    model, images = Shared(), relu_of(10, 3, 6)
    found = collect_apoz(model, images, ["relu"], 4)["relu"]
    first, second = images.relu(), (images.relu()[:, :, ::2] - 1).relu()
    expected = ((first == 0).sum(dim=(0, 2)) + (second == 0).sum(dim=(0, 2))) / (10 * 9)
    assert torch.allclose(found, expected) and model.calls == [4, 4, 2]
    assert collect_apoz(model, images, [], 3) == {}


class Memory(nn.Module):
    """Counts the activations of earlier batches that are still alive, and all entries of living tensors."""

    def __init__(self):
        super().__init__()
        self.seen, self.alive, self.entries = [], [], []

    def forward(self, x):
        gc.collect()
        self.alive.append(sum(reference() is not None for reference in self.seen))
        tensors = [item for item in gc.get_objects() if issubclass(type(item), torch.Tensor)]
        self.entries.append(sum(tensor.numel() for tensor in tensors))
        output = x.relu()
        self.seen.append(weakref.ref(output))
        return output


def test_the_memory_of_collect_apoz_does_not_grow_with_the_number_of_images():
    memory = Memory()
    model = nn.Sequential(nn.Conv2d(1, 4, 3), memory)
    collect_apoz(model, normal(60, 1, 8, 8), ["1"], 5)
    assert max(memory.alive[2:]) <= 1 and len(memory.alive) == 12
    assert memory.entries[-1] <= memory.entries[2]


class Fails(nn.Module):
    def forward(self, x):
        raise ZeroDivisionError


@pytest.mark.parametrize("broken", [False, True])
def test_collect_apoz_leaves_the_model_as_it_was_also_after_an_error(broken):
    model = convnet().train()
    model.bn.eval()
    model.relu.register_forward_hook(lambda module, inputs, output: None)
    if broken:
        model.add_module("last", Fails())
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    if broken:
        with pytest.raises(ZeroDivisionError):
            collect_apoz(model, normal(7, 1, 8, 8), ["relu", "pool"], 3)
    else:
        collect_apoz(model, normal(7, 1, 8, 8), ["relu", "pool"], 3)
    assert [module.training for module in model.modules()] == modes
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()] == hooks
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("count", "names", "batch_size", "message"),
    [
        (4, ["relu", "relu9"], 2, "relu9"),
        (0, ["relu"], 2, "at least 1"),
        (4, ["relu"], 0, "at least 1"),
        (4, ["relu"], -3, "at least 1"),
    ],
)
def test_collect_apoz_refuses_and_touches_nothing(count, names, batch_size, message):
    model = convnet()
    with pytest.raises(ValueError, match=message):
        collect_apoz(model, normal(count, 1, 8, 8), names, batch_size)
    assert model.training and not any(module._forward_hooks for module in model.modules())


# --- select_channels -------------------------------------------------------------------------------------------


@quick
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.integers(0, 20))
def test_select_channels_agrees_with_sorted_pairs(values, twentieths):
    """Few different values, so there are many ties; in Python: sort (score, position), drop the first ones."""
    sparsity = twentieths / 20
    pairs = sorted((value, position) for position, value in enumerate(values))
    removed = round(sparsity * len(values))
    left = pairs[removed:] or pairs[-1:]
    for dtype in DTYPES:
        scores = torch.tensor(values, dtype=dtype)
        kept = select_channels(scores, sparsity)
        assert kept.tolist() == sorted(position for _, position in left)
        assert kept.dtype == torch.int64 and scores.tolist() == values


@pytest.mark.parametrize("n", range(1, 8))
def test_select_channels_never_removes_the_last_one(n):
    scores = normal(n, seed=n)
    assert select_channels(scores, 1.0).tolist() == [int(scores.argmax())]


@quick
@given(st.integers(2, 9), st.integers(0, 10), st.integers(0, 999))
def test_no_subset_of_the_same_size_has_a_larger_sum_of_scores(n, tenths, seed):
    scores = normal(n, seed=seed, dtype=torch.float64)
    kept = select_channels(scores, tenths / 10)
    best = max(
        math.fsum(float(scores[i]) for i in range(n) if subset >> i & 1)
        for subset in range(1 << n)
        if subset.bit_count() == len(kept)
    )
    assert float(scores[kept].sum()) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "sparsity"),
    [(torch.ones(3), -0.1), (torch.ones(3), 1.1), (torch.ones(3), math.nan), (torch.ones(0), 0.5), (torch.ones(2, 2), 0.5), (torch.tensor(1.0), 0.5)],
)  # fmt: skip
def test_select_channels_refuses(scores, sparsity):
    with pytest.raises(ValueError, match="score|fraction"):
        select_channels(scores, sparsity)


# --- rebuilding: chain networks of random shapes ---------------------------------------------------------------


def randomise(model, seed):
    """Every parameter and statistic drawn anew, so that nothing hides behind a default of 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                shape = module.running_mean.shape
                module.running_mean.copy_(torch.randn(shape, generator=generator, dtype=torch.float64))
                module.running_var.copy_(0.5 + torch.rand(shape, generator=generator, dtype=torch.float64))
    return model


@st.composite
def chains(draw):
    """A chain of convolutions with or without bias, BatchNorm and pooling, a hidden linear layer, an output."""
    size, channels = draw(st.integers(7, 11)), draw(st.integers(1, 3))
    image, layers, prunable = (channels, size, size), [], []
    for _ in range(draw(st.integers(1, 3))):
        out, kernel = draw(st.integers(2, 6)), draw(st.integers(1, 3))
        if size < kernel:
            break
        stride, padding = draw(st.integers(1, 2)), draw(st.integers(0, 2))
        mode = draw(st.sampled_from(["zeros", "replicate"])) if padding else "zeros"
        prunable.append(len(layers))
        layers.append(
            nn.Conv2d(channels, out, kernel, stride, padding, bias=draw(st.booleans()), padding_mode=mode)
        )
        if draw(st.booleans()):
            layers.append(nn.BatchNorm2d(out, eps=draw(st.sampled_from([1e-5, 1e-2]))))
        layers.append(nn.ReLU())
        size, channels = (size + 2 * padding - kernel) // stride + 1, out
        if size >= 4 and draw(st.booleans()):
            layers.append(nn.MaxPool2d(2))
            size //= 2
    layers.append(nn.Flatten())
    hidden = draw(st.integers(2, 7))
    prunable.append(len(layers))
    layers.append(nn.Linear(channels * size * size, hidden, bias=draw(st.booleans())))
    if draw(st.booleans()):
        layers.append(nn.BatchNorm1d(hidden))
    layers += [nn.ReLU(), nn.Linear(hidden, 3, bias=draw(st.booleans()))]
    model = randomise(nn.Sequential(*layers).double(), draw(st.integers(0, 10**6))).eval()
    place = draw(st.sampled_from(prunable))
    outputs = len(model[place].weight)
    kept = sorted(draw(st.sets(st.integers(0, outputs - 1), min_size=1)))
    return model, image, place, torch.tensor(kept)


def parts(model, place):
    """Positions of the layer, its BatchNorm (or None), its ReLU and the layer that reads it."""
    bn = place + 1 if isinstance(model[place + 1], nn.BatchNorm1d | nn.BatchNorm2d) else None
    relu = place + 1 if bn is None else place + 2
    reads = next(i for i in range(relu, len(model)) if isinstance(model[i], nn.Conv2d | nn.Linear))
    return bn, relu, reads


def rebuild(model, place, kept):
    """The chain without the channels that are not kept."""
    bn, _, reads = parts(model, place)
    remove = remove_filters if isinstance(model[reads], nn.Conv2d) else remove_before_linear
    new = copy.deepcopy(model)
    old_bn = None if bn is None else model[bn]
    new[place], new_bn, new[reads] = remove(model[place], old_bn, model[reads], kept)
    if bn is not None:
        new[bn] = new_bn
    else:
        assert new_bn is None
    return new


def masked_outputs(model, place, kept, images):
    """Outputs of the whole network in which the channels are zeroed behind the ReLU, where the next layer reads them."""
    mask = torch.zeros(len(model[place].weight), dtype=torch.float64)
    mask[kept] = 1

    def zero(module, inputs, output):
        return output * mask.view(-1, *[1] * (output.dim() - 2))

    handle = model[parts(model, place)[1]].register_forward_hook(zero)
    with torch.no_grad():
        outputs = model(images)
    handle.remove()
    return outputs


def zeroed_outputs(model, place, kept, images):
    """The same with parameters: filter, bias, and the scale and shift of BatchNorm set to zero."""
    zeroed = copy.deepcopy(model)
    gone = torch.ones(len(model[place].weight), dtype=torch.bool)
    gone[kept] = False
    bn = parts(model, place)[0]
    with torch.no_grad():
        for module in [zeroed[place]] + ([] if bn is None else [zeroed[bn]]):
            module.weight[gone] = 0
            if module.bias is not None:
                module.bias[gone] = 0
        return zeroed(images)


def torch_prunings(model, image, place, kept):
    """What Torch-Pruning makes of the same cut."""
    pruned = copy.deepcopy(model)
    graph = torch_pruning.DependencyGraph().build_dependency(
        pruned, example_inputs=torch.zeros(1, *image, dtype=torch.float64)
    )
    layer = pruned[place]
    rule = (
        torch_pruning.prune_conv_out_channels
        if isinstance(layer, nn.Conv2d)
        else torch_pruning.prune_linear_out_channels
    )
    gone = sorted(set(range(len(layer.weight))) - set(kept.tolist()))
    if gone:
        graph.get_pruning_group(layer, rule, idxs=gone).prune()
    return pruned.eval()


@quick
@given(chains())
def test_the_rebuilt_network_computes_what_the_masked_one_does(chain):
    model, image, place, kept = chain
    before = copy.deepcopy(model.state_dict())
    images = normal(4, *image, seed=1, dtype=torch.float64)
    with torch.no_grad():
        outputs = rebuild(model, place, kept)(images)
    scale = max(1.0, outputs.abs().max().item())
    assert torch.allclose(outputs, masked_outputs(model, place, kept, images), rtol=0, atol=1e-6 * scale)
    assert torch.allclose(outputs, zeroed_outputs(model, place, kept, images), rtol=0, atol=1e-6 * scale)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@quick
@given(chains())
def test_torch_pruning_rebuilds_the_same_shapes_and_outputs(chain):
    model, image, place, kept = chain
    images = normal(3, *image, seed=2, dtype=torch.float64)
    mine, theirs = rebuild(model, place, kept), torch_prunings(model, image, place, kept)
    assert [(name, value.shape) for name, value in mine.state_dict().items()] == [
        (name, value.shape) for name, value in theirs.state_dict().items()
    ]
    for one, other in zip(mine.modules(), theirs.modules(), strict=True):
        for name in ("in_channels", "out_channels", "in_features", "out_features", "num_features"):
            assert getattr(one, name, None) == getattr(other, name, None)
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in mine.state_dict().items())
    with torch.no_grad():
        assert torch.allclose(mine(images), theirs(images), rtol=0, atol=1e-12)


@quick
@given(chains())
def test_the_rebuilt_network_trains_as_the_masked_one_does(chain):
    """The gradients of what is kept are those of the masked network."""
    model, image, place, kept = chain
    rebuilt = rebuild(model, place, kept)
    images = normal(4, *image, seed=3, dtype=torch.float64)
    rebuilt(images).square().sum().backward()
    mask = torch.zeros(len(model[place].weight), dtype=torch.float64)
    mask[kept] = 1
    relu = parts(model, place)[1]
    handle = model[relu].register_forward_hook(
        lambda module, inputs, output: output * mask.view(-1, *[1] * (output.dim() - 2))
    )
    model(images).square().sum().backward()
    handle.remove()
    expected, found = model[place].weight.grad[kept], rebuilt[place].weight.grad
    assert torch.allclose(found, expected, rtol=1e-7, atol=1e-7 * max(1.0, float(expected.abs().max())))


def test_zeroing_the_filter_alone_is_not_removing_it():
    """BatchNorm puts out its constant for an empty map, and the next layer reads it."""
    model = randomise(
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 3)).double(), 0
    ).eval()
    with torch.no_grad():
        model[1].bias.fill_(2.0)
        model[1].running_mean.fill_(0.0)
        images, kept = normal(2, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 2])
        rebuilt = rebuild(model, 0, kept)(images)
        model[0].weight[1], model[0].bias[1] = 0, 0
        assert (model(images) - rebuilt).abs().max() > 0.01


EVERYTHING = torch.tensor([0, 1, 2, 3])


@pytest.mark.parametrize("kind", ["conv", "boundary", "linear"])
def test_all_else_is_as_before_and_nothing_is_shared(kind):
    conv = nn.Conv2d(
        3, 4, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), padding_mode="reflect"
    ).half()
    bn, layer = nn.BatchNorm2d(4, eps=0.01, momentum=0.3).double(), conv
    following = nn.Conv2d(4, 5, 1, stride=3, bias=False)
    linear = nn.Linear(4 * 6, 5)
    bn.num_batches_tracked.fill_(7)
    bn.eval()
    if kind == "conv":
        old = (conv, bn, following)
        new = remove_filters(*old, torch.tensor([1, 3]))
    else:
        layer = conv if kind == "boundary" else nn.Linear(3, 4)
        bn = bn if kind == "boundary" else nn.BatchNorm1d(4, momentum=None)
        linear = linear if kind == "boundary" else nn.Linear(4, 6)
        old = (layer, bn, linear)
        new = remove_before_linear(*old, torch.tensor([1, 3]))
    for one, other in zip(old, new, strict=True):
        assert type(one) is type(other) and one is not other and one.training == other.training
        for name in (
            "stride",
            "padding",
            "dilation",
            "padding_mode",
            "groups",
            "eps",
            "momentum",
            "kernel_size",
        ):
            assert getattr(one, name, None) == getattr(other, name, None)
        for (name, before), (same, after) in zip(
            one.named_parameters(), other.named_parameters(), strict=True
        ):
            assert name == same and before.dtype == after.dtype and after.is_leaf and after.requires_grad
            assert before.data_ptr() != after.data_ptr()
        for before, after in zip(one.buffers(), other.buffers(), strict=True):
            assert before.data_ptr() != after.data_ptr() and before.dtype == after.dtype
    assert len(new[0].weight) == 2 and new[1].num_features == 2
    if kind != "linear":
        assert new[1].num_batches_tracked == old[1].num_batches_tracked


@pytest.mark.parametrize(
    "kept", [[], [0, 0], [1, 0], [0, 4], [-1, 2], [[0, 1]]], ids=["empty", "twice", "falls", "large", "negative", "2-d"]
)  # fmt: skip
def test_a_choice_that_makes_no_sense_is_refused(kept):
    kept = torch.tensor(kept, dtype=torch.int64)
    with pytest.raises(ValueError, match="kept"):
        remove_filters(nn.Conv2d(2, 4, 3), None, nn.Conv2d(4, 2, 3), kept)
    with pytest.raises(ValueError, match="kept"):
        remove_before_linear(nn.Linear(2, 4), None, nn.Linear(4, 2), kept)


def test_layers_that_do_not_fit_are_refused():
    conv, bn = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
    for wrong in (
        (conv, bn, nn.Conv2d(5, 2, 3)),
        (conv, nn.BatchNorm2d(3), nn.Conv2d(4, 2, 3)),
        (nn.Conv2d(2, 4, 3, groups=2), bn, nn.Conv2d(4, 2, 3)),
        (conv, bn, nn.Conv2d(4, 4, 3, groups=4)),
    ):
        with pytest.raises(ValueError, match="fit|groups"):
            remove_filters(*wrong, EVERYTHING)
    for wrong in (
        (conv, bn, nn.Linear(10, 2)),
        (conv, nn.BatchNorm2d(3), nn.Linear(8, 2)),
        (nn.Conv2d(2, 4, 3, groups=2), None, nn.Linear(8, 2)),
    ):
        with pytest.raises(ValueError, match="fit|groups"):
            remove_before_linear(*wrong, EVERYTHING)


# --- saved_cost ------------------------------------------------------------------------------------------------


def costs(model, image):
    """Weights (no biases, no BatchNorm) and MACs of one image."""
    weights = sum(m.weight.numel() for m in model if isinstance(m, nn.Conv2d | nn.Linear))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *image, dtype=torch.float64))
    return weights, counter.get_total_flops() // 2


@quick
@given(chains())
def test_saved_cost_is_what_counting_before_and_after_says(chain):
    model, image, place, kept = chain
    reads = parts(model, place)[2]
    positions = {}
    for index in (place, reads):
        model[index].register_forward_hook(
            lambda m, i, output, index=index: positions.update({index: math.prod(output.shape[2:])})
        )
    with torch.no_grad():
        model(torch.zeros(1, *image, dtype=torch.float64))
    shape, next_shape = tuple(model[place].weight.shape), tuple(model[reads].weight.shape)
    removed = shape[0] - len(kept)
    saved = saved_cost(shape, next_shape, positions[place], positions[reads], removed)
    before, after = costs(model, image), costs(rebuild(model, place, kept), image)
    assert saved == (before[0] - after[0], before[1] - after[1])
    assert all(type(number) is int for number in saved)


def test_saved_cost_is_li_s_formula_for_one_filter():
    n_i, n_mid, n_next, k = 3, 8, 5, 3
    h1, w1, h2, w2 = 6, 7, 4, 5
    weights, macs = saved_cost((n_mid, n_i, k, k), (n_next, n_mid, k, k), h1 * w1, h2 * w2, 1)
    assert weights == k**2 * (n_i + n_next)
    assert macs == k**2 * (n_i * h1 * w1 + n_next * h2 * w2)


@pytest.mark.parametrize(
    ("shape", "next_shape", "removed"),
    [((4, 2, 3, 3), (5, 3, 3, 3), 1), ((4, 2, 3, 3), (5, 10), 1), ((4, 2), (5, 4), 5), ((4, 2), (5, 4), -1), ((4, 2, 3, 3), (5, 8, 3, 3), 1)],
)  # fmt: skip
def test_saved_cost_refuses(shape, next_shape, removed):
    with pytest.raises(ValueError, match="read|removed"):
        saved_cost(shape, next_shape, 10, 10, removed)
    assert saved_cost((4, 2), (5, 4), 1, 1, 0) == (0, 0)
