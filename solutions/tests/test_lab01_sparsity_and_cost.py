"""Lab 1's reference against independent oracles: NumPy, FlopCounterMode, unfolded convolutions, real sparse storage."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from labkit.checkpoints import load_checkpoint
from labkit.cost import count_macs_by_layer, count_parameters
from solutions.lab01_sparsity_and_cost import (
    activation_sparsity,
    gradient_energy,
    layer_costs,
    model_size_bytes,
    near_zero_fraction,
    sparsity,
)

FLOATING = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
quick = settings(deadline=None, max_examples=60)


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@st.composite
def tensors(draw, min_entries=1):
    """Small tensors of any shape and dtype, with zeros and without, contiguous or not."""
    shape = draw(st.lists(st.integers(1, 5), max_size=4).filter(lambda s: math.prod(s) >= min_entries))
    entries = st.integers(-3, 3) | st.floats(-4, 4, width=16) | st.just(-0.0)
    flat = draw(st.lists(entries, min_size=math.prod(shape), max_size=math.prod(shape)))
    tensor = torch.tensor(flat, dtype=draw(st.sampled_from(FLOATING))).reshape(shape)
    return tensor.permute(draw(st.permutations(range(len(shape)))))


# --- sparsity and near_zero_fraction ---------------------------------------------------------------------------


@quick
@given(tensors())
def test_sparsity_agrees_with_numpy(tensor):
    before = tensor.clone()
    share = sparsity(tensor)
    array = tensor.double().numpy()
    assert share == pytest.approx(1 - np.count_nonzero(array) / array.size, abs=1e-12)
    assert isinstance(share, float) and torch.equal(tensor, before)


@quick
@given(tensors(), st.floats(0, 5))
def test_near_zero_fraction_agrees_with_plain_python(tensor, threshold):
    threshold = float(torch.tensor(threshold, dtype=tensor.dtype))  # a number that the entries can have
    entries = tensor.flatten().tolist()
    share = near_zero_fraction(tensor, threshold)
    assert share == sum(abs(entry) < threshold for entry in entries) / len(entries)
    assert isinstance(share, float)


@quick
@given(tensors(), st.floats(0.25, 4))
def test_scaling_moves_what_is_near_zero_and_not_what_is_zero(tensor, factor):
    tensor = tensor.double()
    assert sparsity(tensor * factor) == sparsity(tensor)
    assert near_zero_fraction(tensor * 2, 1.0) == near_zero_fraction(tensor, 0.5)


@quick
@given(tensors(), st.floats(0, 5), st.floats(0, 5))
def test_near_zero_fraction_grows_with_the_threshold(tensor, one, other):
    low, high = sorted((one, other))
    assert near_zero_fraction(tensor, low) <= near_zero_fraction(tensor, high)
    assert near_zero_fraction(tensor, 0) == 0.0
    assert (
        near_zero_fraction(tensor, 1e-30) <= sparsity(tensor) <= near_zero_fraction(tensor, math.inf) == 1.0
    )


def test_sparsity_of_masks_integers_and_many_half_precision_entries():
    assert sparsity(torch.tensor([True, False, False, True])) == 0.5
    assert sparsity(torch.tensor([3, 0, -1, 7])) == 0.25
    assert sparsity((torch.arange(90_000) % 9 == 0).half()) == 80_000 / 90_000
    assert sparsity(torch.tensor([-0.0, 1e-30])) == 0.5


@pytest.mark.parametrize("empty", [torch.zeros(0), torch.zeros(3, 0, 2)])
def test_what_is_empty_has_no_fractions(empty):
    with pytest.raises(ValueError, match="without entries"):
        sparsity(empty)
    with pytest.raises(ValueError, match="without entries"):
        near_zero_fraction(empty, 0.1)


@pytest.mark.parametrize("threshold", [-1e-9, -math.inf, math.nan])
def test_near_zero_fraction_refuses_what_is_no_magnitude(threshold):
    with pytest.raises(ValueError, match="threshold"):
        near_zero_fraction(normal(3), threshold)


# --- layer_costs -----------------------------------------------------------------------------------------------


@st.composite
def convolutions(draw):
    """A convolution of any kind, and an input that it takes."""
    groups = draw(st.integers(1, 3))
    layer = nn.Conv2d(
        groups * draw(st.integers(1, 3)),
        groups * draw(st.integers(1, 3)),
        (draw(st.integers(1, 3)), draw(st.integers(1, 4))),
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 2))),
        padding=draw(st.sampled_from([0, 1, (0, 2)])),
        dilation=draw(st.sampled_from([1, 2])),
        groups=groups,
        bias=draw(st.booleans()),
    )
    return layer, torch.zeros(1, layer.in_channels, draw(st.integers(7, 10)), draw(st.integers(7, 10)))


def flops(layer, inputs):
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        layer(inputs)
    return counter.get_total_flops()


def macs_by_unfolding(layer, inputs):
    """The second counter: lay out every patch that a group of filters meets, and count weight-patch products."""
    channels = inputs.shape[1] // layer.groups
    patches = F.unfold(
        inputs[:, :channels], layer.kernel_size, layer.dilation, layer.padding, layer.stride
    )  # 1, channels * kh * kw, places
    return sum(patches[0].numel() for _ in range(layer.out_channels))  # each filter meets every patch once


@quick
@given(convolutions())
def test_macs_of_a_convolution_are_half_the_counted_operations_and_those_of_the_patches(case):
    layer, inputs = case
    output = layer(inputs)
    costs = layer_costs(layer, tuple(output.shape[1:]))
    assert 2 * costs["macs"] == flops(layer, inputs)
    assert costs["macs"] == macs_by_unfolding(layer, inputs)
    assert costs["activations"] == output.numel()
    assert costs["parameters"] == count_parameters(layer)
    assert all(type(value) is int for value in costs.values())


def test_macs_of_a_tiny_convolution_counted_one_by_one():
    layer, count = nn.Conv2d(2, 3, (2, 3), stride=(1, 2), bias=False), 0
    for _filter in range(3):
        for _row in range(0, 5 - 2 + 1, 1):
            for _column in range(0, 8 - 3 + 1, 2):
                for _channel in range(2):
                    for _kernel_row in range(2):
                        count += 3  # one for each kernel column
    shape = tuple(layer(torch.zeros(1, 2, 5, 8)).shape[1:])
    assert layer_costs(layer, shape) == {
        "parameters": 36, "macs": count, "activations": 3 * 4 * 3, "bytes": 144,
    }  # fmt: skip


@quick
@given(st.integers(1, 9), st.integers(1, 9), st.booleans(), st.lists(st.integers(1, 4), max_size=2))
def test_macs_of_a_linear_layer_are_half_the_counted_operations(inputs, outputs, bias, positions):
    layer = nn.Linear(inputs, outputs, bias=bias)
    costs = layer_costs(layer, (*positions, outputs))
    assert 2 * costs["macs"] == flops(layer, torch.zeros(1, *positions, inputs))
    assert costs["parameters"] == count_parameters(layer)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_costs_of_the_courses_networks_agree_with_labkit(kind):
    model, shapes = load_checkpoint(kind), {}
    for name, layer in model.named_modules():
        layer.register_forward_hook(
            lambda _, __, output, name=name: shapes.update({name: tuple(output.shape[1:])})
        )
    with torch.no_grad():
        model(torch.zeros(1, 1, 28, 28))
    for name, macs in count_macs_by_layer(model, (1, 28, 28)).items():
        costs = layer_costs(model.get_submodule(name), shapes[name])
        assert costs["macs"] == macs
        assert costs["bytes"] == sum(
            p.untyped_storage().nbytes() for p in model.get_submodule(name).parameters()
        )


@pytest.mark.parametrize("dtype", FLOATING)
def test_bytes_follow_the_dtype_and_zeros_cost_what_others_cost(dtype):
    layer = nn.Linear(3, 5).to(dtype)
    before = layer_costs(layer, (5,))
    assert before["bytes"] == 20 * torch.finfo(dtype).bits // 8
    with torch.no_grad():
        layer.weight.zero_()
    assert layer_costs(layer.requires_grad_(False), (5,)) == before


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.ReLU(), (5,)),
        (nn.BatchNorm2d(4), (4, 3, 3)),
        (nn.Linear(3, 5), (3,)),
        (nn.Linear(3, 5), ()),
        (nn.Conv2d(2, 4, 3), (4, 3)),
        (nn.Conv2d(2, 4, 3), (1, 4, 3, 3)),
        (nn.Conv2d(2, 4, 3), (2, 3, 3)),
    ],
)
def test_layer_costs_refuses(layer, shape):
    with pytest.raises(ValueError, match="Conv2d and Linear|no output of one sample"):
        layer_costs(layer, shape)


# --- model_size_bytes ------------------------------------------------------------------------------------------


@quick
@given(st.lists(tensors(), max_size=4), st.integers(1, 64), st.none() | st.integers(0, 64))
def test_model_size_agrees_with_counting_bit_by_bit(several, value_bits, index_bits):
    weights = {str(place): tensor for place, tensor in enumerate(several)}
    entries = [entry for tensor in several for entry in tensor.flatten().tolist()]
    kept = [entry for entry in entries if entry != 0] if index_bits is not None else entries
    bits = sum(value_bits + (index_bits or 0) for _ in kept)
    size = model_size_bytes(weights, value_bits, index_bits)
    assert size == math.ceil(Fraction(bits, 8)) and type(size) is int


def test_dense_size_is_that_of_the_memory():
    model = load_checkpoint("cnn")
    weights = dict(model.named_parameters())
    assert model_size_bytes(weights) == sum(w.untyped_storage().nbytes() for w in weights.values())
    assert model_size_bytes(weights, 16) * 2 == model_size_bytes(weights)


def test_sparse_size_is_that_of_torchs_coordinate_format():
    weight = normal(20, 30) * (normal(20, 30, seed=1) > 0.5)
    stored = weight.to_sparse_coo()  # two int64 numbers, row and column, for each value
    real = stored.values().untyped_storage().nbytes() + stored.indices().untyped_storage().nbytes()
    assert model_size_bytes({"w": weight}, 32, 128) == real


@quick
@given(st.integers(1, 64), st.integers(0, 64), st.integers(0, 40))
def test_sparse_storage_pays_above_index_over_value_plus_index(value_bits, index_bits, zeros):
    weight = torch.ones(40)
    weight[:zeros] = 0
    bits_saved = 40 * value_bits - (40 - zeros) * (value_bits + index_bits)
    pays = Fraction(zeros, 40) > Fraction(index_bits, value_bits + index_bits)
    assert pays == (bits_saved > 0)
    sparse, dense = (model_size_bytes({"w": weight}, value_bits, bits) for bits in (index_bits, None))
    assert sparse <= dense if pays else sparse >= dense


@pytest.mark.parametrize(("value_bits", "index_bits"), [(0, None), (-8, 8), (32, -1)])
def test_model_size_refuses(value_bits, index_bits):
    with pytest.raises(ValueError, match="bits"):
        model_size_bytes({"w": normal(3)}, value_bits, index_bits)


# --- activation_sparsity ---------------------------------------------------------------------------------------


def forward_by_hand(model, images):
    """The CNN of the course layer by layer, without hooks: {name: output}."""
    outputs, x = {}, images
    for name, layer in model.named_children():
        x = layer(x.flatten(1) if isinstance(layer, nn.Linear) else x)
        outputs[name] = x
    return outputs


def test_activation_sparsity_agrees_with_running_the_layers_by_hand_and_numpy():
    model, images = load_checkpoint("cnn"), normal(30, 1, 28, 28)
    names = [name for name, _ in model.named_children()]
    found = activation_sparsity(model.train(), images, names)
    model.eval()
    with torch.no_grad():
        expected = {
            name: float(np.mean(x.numpy() == 0)) for name, x in forward_by_hand(model, images).items()
        }
    assert found == pytest.approx(expected, abs=1e-12)
    assert found["relu1"] > found["pool1"] > 0 == found["fc2"]


class Awkward(nn.Module):
    """A ReLU that runs twice on different widths, dropout, and a layer that works in place."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow, self.relu = nn.Linear(6, 40), nn.Linear(40, 3), nn.ReLU()
        self.drop, self.inplace = nn.Dropout(0.5), nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.wide(x))
        return self.relu(self.inplace(self.narrow(self.drop(x))) - 0.1)


def test_activation_sparsity_counts_all_runs_in_place_layers_and_evaluation_mode():
    torch.manual_seed(0)
    model, x = Awkward(), normal(50, 6)
    with torch.no_grad():
        wide = F.relu(F.linear(x, model.wide.weight, model.wide.bias))
        narrow = F.linear(wide, model.narrow.weight, model.narrow.bias)
        last = F.relu(F.relu(narrow) - 0.1)
    both = int((wide == 0).sum()) + int((last == 0).sum())
    assert activation_sparsity(model, x, ["relu", "narrow", "drop", "inplace"]) == pytest.approx(
        {
            "relu": both / (wide.numel() + last.numel()),
            "narrow": 0.0,
            "drop": float((wide == 0).double().mean()),
            "inplace": float((narrow <= 0).double().mean()),
        }
    )


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_activation_sparsity_gives_the_model_back(fails, training):
    model = load_checkpoint("cnn").train(training)
    model.bn2.train(not training)
    own = model.relu1.register_forward_hook(lambda *_: None)
    if fails:
        model.fc2.forward = lambda x: 1 / 0
    model.conv1.weight.grad = torch.ones_like(model.conv1.weight)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]

    if fails:
        with pytest.raises(ZeroDivisionError):
            activation_sparsity(model, normal(4, 1, 28, 28), ["relu1", "pool1"])
    else:
        activation_sparsity(model, normal(4, 1, 28, 28), ["relu1", "pool1"])
    assert [module.training for module in model.modules()] == modes
    assert sum(len(module._forward_hooks) for module in model.modules()) == 1
    assert own.id in model.relu1._forward_hooks
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(model.conv1.weight.grad, torch.ones_like(model.conv1.weight))
    assert model.fc1.weight.grad is None


def test_activation_sparsity_of_no_names_and_of_one_named_twice():
    model, images = load_checkpoint("mlp"), normal(4, 1, 28, 28)
    assert activation_sparsity(model, images, []) == {}
    once = activation_sparsity(model, images, ["relu1"])
    assert activation_sparsity(model, images, ["relu1", "relu1"]) == once


@pytest.mark.parametrize(("names", "count"), [(["relu1", "no"], 4), (["relu1"], 0)])
def test_activation_sparsity_refuses_and_leaves_the_model_alone(names, count):
    model = load_checkpoint("mlp").train()
    with pytest.raises(ValueError, match="no module named 'no'|no images"):
        activation_sparsity(model, normal(count, 1, 28, 28), names)
    assert model.training and not any(module._forward_hooks for module in model.modules())


# --- gradient_energy -------------------------------------------------------------------------------------------


@quick
@given(tensors(min_entries=1).filter(lambda t: bool(t.any())), st.floats(0, 1))
def test_gradient_energy_agrees_with_exact_arithmetic(gradient, fraction):
    squares = sorted((Fraction(entry) ** 2 for entry in gradient.flatten().tolist()), reverse=True)
    share = sum(squares[: round(fraction * len(squares))], Fraction(0)) / sum(squares)
    found = gradient_energy(gradient, fraction)
    assert found == pytest.approx(float(share), abs=1e-12)
    assert isinstance(found, float) and 0 <= found <= 1


@quick
@given(tensors().filter(lambda t: bool(t.any())), st.floats(0, 1), st.floats(0, 1))
def test_gradient_energy_grows_with_the_fraction_and_is_at_least_it(gradient, one, other):
    low, high = sorted((one, other))
    assert gradient_energy(gradient, low) <= gradient_energy(gradient, high) + 1e-12
    share = round(high * gradient.numel()) / gradient.numel()
    assert gradient_energy(gradient, high) >= share - 1e-12  # the largest k of n hold at least k / n
    assert gradient_energy(-3 * gradient.double(), high) == pytest.approx(gradient_energy(gradient, high))


def test_gradient_energy_of_normal_noise_is_the_textbook_integral():
    """The largest 1% of normal numbers lie beyond q = 2.5758 and hold 2 (q φ(q) + Φ(-q)) of the energy."""
    q = 2.5758293
    density = math.exp(-q * q / 2) / math.sqrt(2 * math.pi)
    assert gradient_energy(normal(1_000_000), 0.01) == pytest.approx(2 * q * density + 0.01, abs=2e-3)


def test_gradient_energy_in_half_precision():
    gradient = torch.tensor([300.0, 400.0, 0.0, 0.0], dtype=torch.float16)
    assert gradient_energy(gradient, 0.25) == pytest.approx(0.64)
    assert gradient_energy(gradient / 4e6, 0.25) == pytest.approx(0.64, abs=0.01)


@pytest.mark.parametrize("fraction", [-1e-9, 1.01, math.nan, math.inf])
def test_gradient_energy_refuses_what_is_no_fraction(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        gradient_energy(normal(4), fraction)


@pytest.mark.parametrize("gradient", [torch.zeros(4), torch.zeros(0)])
def test_gradient_energy_refuses_a_gradient_without_energy(gradient):
    with pytest.raises(ValueError, match="no energy"):
        gradient_energy(gradient, 0.5)
