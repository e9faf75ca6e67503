"""Hidden checks of lab 1. Experiments only: they observe, and no expected answer stands here."""

import torch
from torch import nn

from autograder.experiment import check, close, error_of, exact


def normal(rng, *shape, dtype=torch.float32):
    """Numbers as they come from training: no zeros, no two equal."""
    return torch.randn(*shape, generator=rng, dtype=dtype)


def with_zeros(rng, *shape, share=0.4):
    """Normal numbers of which a share, drawn at random, is exactly zero."""
    return normal(rng, *shape) * (torch.rand(*shape, generator=rng) >= share)


# --- sparsity --------------------------------------------------------------------------------------------------


@check("sparsity", tolerance=close(1e-6), weight=2)
def share_of_zeros(lab, rng):
    """The result is the number of zeros divided by the number of entries, a Python float."""
    return {
        f"planted {share}": lab.sparsity(with_zeros(rng, 9, 11, share=share)) for share in (0.1, 0.3, 0.8)
    }


@check("sparsity", tolerance=close(1e-6))
def only_exact_zeros(lab, rng):
    """Only what is exactly zero counts, -0.0 included: no small number and no negative one."""
    tiny = 1e-9 * with_zeros(rng, 40)
    return {
        "tiny numbers": lab.sparsity(tiny),
        "with -0.0": lab.sparsity(torch.tensor([-0.0, 0.0, 1e-30, -2.0])),
    }


@check("sparsity", tolerance=close(1e-6))
def none_and_all_zeros(lab, rng):
    """Without a zero the result is 0, with nothing but zeros it is 1."""
    return {"none": lab.sparsity(normal(rng, 5, 3)), "all": lab.sparsity(torch.zeros(4, 2))}


@check("sparsity", tolerance=close(1e-6))
def sparsity_any_tensor(lab, rng):
    """Any shape, dtype and memory layout will do, a boolean mask too, and the tensor is unchanged."""
    tensor = with_zeros(rng, 3, 2, 5, 7)
    large = (normal(rng, 70, 90) > 0.3).half()
    return {
        "4-d": lab.sparsity(tensor.double()),
        "transposed": lab.sparsity(with_zeros(rng, 6, 5).t()),
        "one entry": lab.sparsity(torch.tensor(0.0)),
        "half precision": lab.sparsity(large),
        "a mask": lab.sparsity(normal(rng, 7, 5) > 0.3),
        "integers": lab.sparsity(torch.randint(0, 3, (31,), generator=rng)),
        "the tensor afterwards": tensor,
    }


@check("sparsity", tolerance=exact)
def sparsity_refuses(lab, rng):
    """A tensor without entries raises ValueError; a good one does not."""
    return {
        "no entries": error_of(lambda: lab.sparsity(torch.zeros(0, 3))),
        "good": error_of(lambda: lab.sparsity(normal(rng, 3))),
    }


# --- near_zero_fraction ----------------------------------------------------------------------------------------


@check("near_zero_fraction", tolerance=close(1e-6), weight=2)
def share_of_small_numbers(lab, rng):
    """The entries whose magnitude lies below the threshold are counted, whatever their sign."""
    tensor = normal(rng, 12, 9)
    return {f"threshold {t}": lab.near_zero_fraction(tensor, t) for t in (0.3, 0.7, 1.5)}


@check("near_zero_fraction", tolerance=close(1e-6))
def at_the_threshold(lab, rng):
    """An entry exactly at the threshold does not count, so a threshold of 0 counts nothing."""
    tensor = torch.tensor([-2.0, -1.0, 0.0, 0.0, 1.0, 2.0, 3.0])[torch.randperm(7, generator=rng)]
    return {f"threshold {t}": lab.near_zero_fraction(tensor, float(t)) for t in (0, 1, 2)}


@check("near_zero_fraction", tolerance=close(1e-6))
def near_zero_any_tensor(lab, rng):
    """The threshold is in the units of the entries; any shape, dtype and layout will do; the tensor is unchanged."""
    tensor = normal(rng, 3, 4, 5)
    return {
        "3-d": lab.near_zero_fraction(tensor, 0.5),
        "small units": lab.near_zero_fraction(0.01 * tensor, 0.005),
        "large units": lab.near_zero_fraction(100 * tensor.double(), 50.0),
        "transposed": lab.near_zero_fraction(normal(rng, 6, 5).t(), 0.5),
        "one entry": lab.near_zero_fraction(torch.tensor(-3.0), 4.0),
        "half precision": lab.near_zero_fraction(
            (torch.randint(-4, 5, (70, 90), generator=rng) / 4).half(), 0.3
        ),
        "the tensor afterwards": tensor,
    }


@check("near_zero_fraction", tolerance=exact)
def near_zero_refuses(lab, rng):
    """A negative threshold, NaN, or a tensor without entries raises ValueError; good input does not."""
    tensor = normal(rng, 4)
    return {
        "negative": error_of(lambda: lab.near_zero_fraction(tensor, -0.1)),
        "NaN": error_of(lambda: lab.near_zero_fraction(tensor, float("nan"))),
        "no entries": error_of(lambda: lab.near_zero_fraction(torch.zeros(0), 0.1)),
        "good": error_of(lambda: lab.near_zero_fraction(tensor, 0.1)),
    }


# --- layer_costs -----------------------------------------------------------------------------------------------


def whole_number(rng, low, high):
    return int(torch.randint(low, high + 1, (1,), generator=rng))


def costs(lab, layer, *input_shape):
    """The learner's costs of a layer on an input; the shape of its output comes from running it."""
    dtype = layer.weight.dtype
    with torch.no_grad():
        output_shape = tuple(layer(torch.zeros(1, *input_shape, dtype=dtype)).shape[1:])
    return lab.layer_costs(layer, output_shape)


@check("layer_costs", tolerance=exact)
def linear_costs(lab, rng):
    """A linear layer has in × out weights and as many MACs; the bias counts as parameters only."""
    inputs, outputs = whole_number(rng, 5, 30), whole_number(rng, 31, 40)
    return {
        "with bias": costs(lab, nn.Linear(inputs, outputs), inputs),
        "without bias": costs(lab, nn.Linear(inputs, outputs, bias=False), inputs),
    }


@check("layer_costs", tolerance=exact, weight=2)
def convolution_costs(lab, rng):
    """A convolution uses each filter at every place of its output, whatever its kernel, stride and padding."""
    channels, filters = whole_number(rng, 2, 5), whole_number(rng, 6, 9)
    layers = {
        "3 by 3": nn.Conv2d(channels, filters, 3, padding=1, bias=False),
        "3 by 5, with bias": nn.Conv2d(channels, filters, (3, 5)),
        "stride 2": nn.Conv2d(channels, filters, 3, stride=2, padding=1),
        "dilation": nn.Conv2d(channels, filters, (2, 3), dilation=(3, 1), bias=False),
    }
    return {name: costs(lab, layer, channels, 9, 12) for name, layer in layers.items()}


@check("layer_costs", tolerance=exact)
def grouped_convolution_costs(lab, rng):
    """With groups, a filter sees only its own part of the input channels."""
    filters = 4 * whole_number(rng, 2, 4)
    return {
        "two groups": costs(lab, nn.Conv2d(6, filters, 3, groups=2), 6, 8, 7),
        "depthwise": costs(lab, nn.Conv2d(filters, filters, 3, groups=filters, bias=False), filters, 8, 7),
    }


@check("layer_costs", tolerance=exact)
def linear_at_many_positions(lab, rng):
    """A linear layer that is applied at several positions computes its outputs at each of them."""
    positions = whole_number(rng, 2, 9)
    return costs(lab, nn.Linear(7, 11), positions, 7)


@check("layer_costs", tolerance=exact)
def dtype_and_zeros(lab, rng):
    """Bytes follow the dtype of the parameters; neither zeros nor a frozen layer change any count."""
    frozen = nn.Linear(6, 10).requires_grad_(False)
    empty = nn.Conv2d(3, 5, 3, bias=False)
    with torch.no_grad():
        empty.weight.zero_()
    return {
        "float64": costs(lab, nn.Linear(6, 10).double(), 6),
        "bfloat16": costs(lab, nn.Linear(6, 10).bfloat16(), 6),
        "frozen": costs(lab, frozen, 6),
        "all zero": costs(lab, empty, 3, 6, 6),
    }


@check("layer_costs", tolerance=exact)
def layer_costs_refuses(lab, rng):
    """Another kind of layer, or a shape that its output cannot have, raises ValueError; good input does not."""
    linear, convolution = nn.Linear(4, 6), nn.Conv2d(2, 3, 3)
    return {
        "ReLU": error_of(lambda: lab.layer_costs(nn.ReLU(), (6,))),
        "input shape": error_of(lambda: lab.layer_costs(linear, (4,))),
        "empty shape": error_of(lambda: lab.layer_costs(linear, ())),
        "with a batch": error_of(lambda: lab.layer_costs(convolution, (1, 3, 5, 5))),
        "wrong channels": error_of(lambda: lab.layer_costs(convolution, (2, 5, 5))),
        "good linear": error_of(lambda: lab.layer_costs(linear, (6,))),
        "good convolution": error_of(lambda: lab.layer_costs(convolution, (3, 5, 5))),
    }


# --- model_size_bytes ------------------------------------------------------------------------------------------


def layers(rng):
    """Three weights of different shapes with zeros in them; the number of entries is a multiple of 8."""
    return {
        "conv.weight": with_zeros(rng, 4, 3, 2, 2),
        "fc1.weight": with_zeros(rng, 8, 10),
        "fc2.weight": with_zeros(rng, 5, 8).t(),
    }


@check("model_size_bytes", tolerance=exact, weight=2)
def dense_size(lab, rng):
    """Dense storage holds every entry, zero or not, with value_bits each (32 unless said)."""
    weights = layers(rng)
    return {
        "default": lab.model_size_bytes(weights),
        "16 bits": lab.model_size_bytes(weights, 16),
        "4 bits": lab.model_size_bytes(weights, value_bits=4),
    }


@check("model_size_bytes", tolerance=exact, weight=2)
def sparse_size(lab, rng):
    """Sparse storage holds the entries that are not zero, each with its value and its index bits."""
    weights = layers(rng)
    return {
        f"{value} + {index} bits": lab.model_size_bytes(weights, value, index)
        for value, index in ((32, 32), (32, 16), (8, 64), (16, 8))
    }


@check("model_size_bytes", tolerance=exact)
def positions_for_free(lab, rng):
    """index_bits=0 stores only what is not zero, without positions: it is not dense."""
    return lab.model_size_bytes(layers(rng), 32, 0)


@check("model_size_bytes", tolerance=exact)
def rounded_up_once(lab, rng):
    """The bits of all tensors are added first, and then rounded up once to whole bytes."""
    weights = {name: torch.zeros(7)[torch.randperm(7, generator=rng)] for name in "abc"}
    for weight in weights.values():
        weight[whole_number(rng, 0, 6)] = 1.5
    return {
        "sparse, 15 bits": lab.model_size_bytes(weights, 3, 2),
        "sparse, 24 bits": lab.model_size_bytes(weights, 5, 3),
        "dense, 63 bits": lab.model_size_bytes(weights, 3),
    }


@check("model_size_bytes", tolerance=exact)
def size_of_little(lab, rng):
    """Nothing stored takes 0 bytes; the tensors' own dtype plays no part; the tensors are unchanged."""
    weights = {"a": with_zeros(rng, 6, 8).double(), "mask": torch.rand(16, generator=rng) < 0.5}
    return {
        "no tensor": lab.model_size_bytes({}),
        "only zeros": lab.model_size_bytes({"a": torch.zeros(3, 3)}, 32, 16),
        "double and bool": [lab.model_size_bytes(weights), lab.model_size_bytes(weights, 32, 32)],
        "the tensors afterwards": weights,
    }


@check("model_size_bytes", tolerance=exact)
def model_size_bytes_refuses(lab, rng):
    """value_bits below 1, or negative index_bits, raises ValueError; good input does not."""
    weights = layers(rng)
    return {
        "value_bits 0": error_of(lambda: lab.model_size_bytes(weights, 0)),
        "index_bits -1": error_of(lambda: lab.model_size_bytes(weights, 32, -1)),
        "good": error_of(lambda: lab.model_size_bytes(weights, 1, 1)),
    }


# --- activation_sparsity ---------------------------------------------------------------------------------------


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
    model.bn.running_mean.fill_(0.9)
    return model


@check("activation_sparsity", tolerance=close(1e-6), weight=2)
def zeros_in_evaluation_mode(lab, rng):
    """The share of exact zeros in each named output, measured in evaluation mode, whatever mode the model is in."""
    model, images = network(rng), normal(rng, 20, 1, 8, 8)
    names = ["relu", "pool", "relu2", "drop", "bn"]
    return {
        "in training mode": lab.activation_sparsity(model.train(), images, names),
        "in evaluation mode": lab.activation_sparsity(model.eval(), images, ["relu2"]),
    }


@check("activation_sparsity", tolerance=exact)
def modes_are_given_back(lab, rng):
    """Afterwards every module is in its own mode again, also where some were training and some were not."""
    model, images = network(rng), normal(rng, 4, 1, 8, 8)
    model.train()
    model.bn.eval()
    lab.activation_sparsity(model, images, ["relu"])
    mixed = {name: module.training for name, module in model.named_modules()}
    model.eval()
    lab.activation_sparsity(model, images, ["relu"])
    return {"mixed": mixed, "evaluation": [module.training for module in model.modules()]}


@check("activation_sparsity", tolerance=exact)
def hooks_are_given_back(lab, rng):
    """Afterwards the hooks that were added are gone, and those of others are still there."""
    model, images, calls = network(rng), normal(rng, 4, 1, 8, 8), []
    model.relu.register_forward_hook(lambda module, inputs, output: calls.append(1))
    lab.activation_sparsity(model, images, ["relu", "pool"])
    hooks = {name: len(module._forward_hooks) for name, module in model.named_modules()}
    calls.clear()
    with torch.no_grad():
        model(images)
    return {"hooks": hooks, "calls of the other hook in the next pass": len(calls)}


class Fails(nn.Module):
    def forward(self, x):
        raise ZeroDivisionError("the forward pass failed")


@check("activation_sparsity", tolerance=exact)
def given_back_after_an_error(lab, rng):
    """When the forward pass raises, its error is passed on, the modes are restored and the hooks are gone."""
    model, images = network(rng), normal(rng, 4, 1, 8, 8)
    model.out = Fails()
    model.train()
    model.bn.eval()
    error = error_of(lambda: lab.activation_sparsity(model, images, ["relu", "pool"]))
    return {
        "error": error,
        "modes": [module.training for module in model.modules()],
        "hooks": [len(module._forward_hooks) for module in model.modules()],
    }


@check("activation_sparsity", tolerance=close(1e-6))
def counted_as_it_leaves(lab, rng):
    """An output is counted as its module returns it, before a later module changes it in place."""
    model = filled(nn.Sequential(nn.Linear(9, 30), nn.ReLU(inplace=True), nn.Linear(30, 4)), rng)
    return lab.activation_sparsity(model, normal(rng, 8, 9), ["0", "1"])


class Twice(nn.Module):
    """One ReLU that serves two layers of different widths."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow, self.relu = nn.Linear(9, 60), nn.Linear(60, 4), nn.ReLU()

    def forward(self, x):
        return self.relu(self.narrow(self.relu(self.wide(x) - 2.0)) + 2.0)


@check("activation_sparsity", tolerance=close(1e-6))
def a_module_that_runs_twice(lab, rng):
    """A module that runs several times in a pass counts the entries of all its runs together."""
    return lab.activation_sparsity(filled(Twice(), rng), normal(rng, 25, 9), ["relu"])


@check("activation_sparsity", tolerance=exact)
def model_is_untouched(lab, rng):
    """Parameters, buffers and gradients are as before."""
    model, images = network(rng).train(), normal(rng, 6, 1, 8, 8)
    lab.activation_sparsity(model, images, ["relu"])
    return {
        "state": dict(model.state_dict()),
        "gradients": [parameter.grad for parameter in model.parameters()],
    }


@check("activation_sparsity", tolerance=exact)
def activation_sparsity_refuses(lab, rng):
    """A name that no module has, or no images, raises ValueError and leaves no hook; good input does not raise."""
    model, images = network(rng), normal(rng, 4, 1, 8, 8)
    return {
        "unknown name": error_of(lambda: lab.activation_sparsity(model, images, ["relu", "relu9"])),
        "no images": error_of(lambda: lab.activation_sparsity(model, images[:0], ["relu"])),
        "hooks": sum(len(module._forward_hooks) for module in model.modules()),
        "good": error_of(lambda: lab.activation_sparsity(model, images, ["relu"])),
    }


# --- gradient_energy -------------------------------------------------------------------------------------------


@check("gradient_energy", tolerance=close(1e-5), weight=2)
def share_of_the_largest(lab, rng):
    """The largest magnitudes in the whole tensor are taken, and their share of the sum of squares is returned."""
    gradient = normal(rng, 8, 15) ** 3
    return {f"fraction {f}": lab.gradient_energy(gradient, f) for f in (0.05, 0.1, 0.5)}


@check("gradient_energy", tolerance=close(1e-5))
def number_of_the_largest(lab, rng):
    """Exactly round(fraction * n) entries are taken, with Python's round."""
    results = {}
    for n in (1, 5, 7, 10):
        gradient = normal(rng, n)
        for f in (0.05, 0.25, 0.35, 0.5, 0.77):
            results[f"n {n}, fraction {f}"] = lab.gradient_energy(gradient, f)
    return results


@check("gradient_energy", tolerance=close(1e-5))
def nothing_everything_and_ties(lab, rng):
    """Fraction 0 holds nothing and fraction 1 everything; equal magnitudes are no reason to take more of them."""
    gradient = normal(rng, 6, 4)
    signs = torch.randint(0, 2, (40,), generator=rng) * 2.0 - 1.0
    return {
        "none": lab.gradient_energy(gradient, 0.0),
        "all": lab.gradient_energy(gradient, 1.0),
        "all equal": lab.gradient_energy(3.0 * signs, 0.3),
    }


@check("gradient_energy", tolerance=close(1e-5))
def gradient_energy_any_tensor(lab, rng):
    """Any shape and memory layout will do, float16 neither overflows nor vanishes, the gradient is unchanged."""
    gradient = normal(rng, 3, 2, 5, 1, dtype=torch.float64)
    parameter = nn.Parameter(normal(rng, 5, 6))
    return {
        "4-d": lab.gradient_energy(gradient, 0.2),
        "transposed": lab.gradient_energy(normal(rng, 7, 6).t(), 0.3),
        "parameter": lab.gradient_energy(parameter, 0.3),
        "large in half precision": lab.gradient_energy(3000 * normal(rng, 50).half(), 0.2),
        "small in half precision": lab.gradient_energy((1e-4 * normal(rng, 50)).half(), 0.2),
        "the gradient afterwards": gradient,
    }


@check("gradient_energy", tolerance=exact)
def gradient_energy_refuses(lab, rng):
    """A fraction outside 0 to 1, NaN, or a gradient of zeros only raises ValueError; good input does not."""
    gradient = normal(rng, 10)
    return {
        "fraction -0.1": error_of(lambda: lab.gradient_energy(gradient, -0.1)),
        "fraction 1.5": error_of(lambda: lab.gradient_energy(gradient, 1.5)),
        "fraction NaN": error_of(lambda: lab.gradient_energy(gradient, float("nan"))),
        "only zeros": error_of(lambda: lab.gradient_energy(torch.zeros(5), 0.5)),
        "good": error_of(lambda: lab.gradient_energy(gradient, 0.5)),
    }
