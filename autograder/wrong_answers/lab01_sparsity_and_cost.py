"""Lab 1's bank. An answer uses only what the notebook's first cell imports, such as torch, nn, math and np."""

import math

import numpy as np
import torch
from torch import nn

from autograder.wrong_answers import right, wrong

# --- sparsity --------------------------------------------------------------------------------------------------


@wrong("sparsity", "You returned the density, the share of the entries that are not zero.")
def sparsity_is_density(tensor):
    if tensor.numel() == 0:
        raise ValueError("no entries")
    return int((tensor != 0).sum()) / tensor.numel()


@wrong("sparsity", "You returned the number of zeros, not their share of the entries.")
def sparsity_is_a_count(tensor):
    if tensor.numel() == 0:
        raise ValueError("no entries")
    return float((tensor == 0).sum())


@wrong("sparsity", "You divided by the number of rows, not by the number of entries.")
def sparsity_by_rows(tensor):
    if tensor.numel() == 0:
        raise ValueError("no entries")
    return int((tensor == 0).sum()) / (len(tensor) if tensor.dim() else 1)


@wrong("sparsity", "You counted numbers that are small but not zero.")
def sparsity_counts_small_numbers(tensor):
    if tensor.numel() == 0:
        raise ValueError("no entries")
    return (
        int((tensor.abs() < 1e-7).sum() if tensor.dtype != torch.bool else (~tensor).sum()) / tensor.numel()
    )


@wrong("sparsity", "You counted the negative entries as zeros too, as if a ReLU had been applied.")
def sparsity_counts_negatives(tensor):
    if tensor.numel() == 0:
        raise ValueError("no entries")
    return int((tensor <= 0).sum()) / tensor.numel()


@wrong("sparsity", "You returned a tensor, not a Python float.")
def sparsity_is_a_tensor(tensor):
    if tensor.numel() == 0:
        raise ValueError("no entries")
    return (tensor == 0).float().mean()


@wrong("sparsity", "You added up in the dtype of the tensor: in half precision the result is rounded.")
def sparsity_in_half_precision(tensor):
    if tensor.numel() == 0:
        raise ValueError("no entries")
    dtype = tensor.dtype if tensor.is_floating_point() else torch.float32
    return (tensor == 0).to(dtype).mean().item()


@wrong("sparsity", "A tensor without entries does not raise ValueError.")
def sparsity_unchecked(tensor):
    return int((tensor == 0).sum()) / max(1, tensor.numel())


@right("sparsity")
def sparsity_by_count_nonzero(tensor):
    if not tensor.numel():
        raise ValueError("there are no entries")
    return 1 - torch.count_nonzero(tensor).item() / tensor.numel()


@right("sparsity")
def sparsity_by_numpy(tensor):
    array = tensor.detach().cpu().numpy()
    if array.size == 0:
        raise ValueError("there are no entries")
    return float(np.mean(array == 0))


@right("sparsity")
def sparsity_by_a_loop(tensor):
    entries = tensor.flatten().tolist()
    if not entries:
        raise ValueError("there are no entries")
    return sum(entry == 0 for entry in entries) / len(entries)


# --- near_zero_fraction ----------------------------------------------------------------------------------------


@wrong("near_zero_fraction", "You compared the entries themselves, so every negative number counts as small.")
def near_zero_forgets_abs(tensor, threshold):
    if tensor.numel() == 0 or not threshold >= 0:
        raise ValueError("tensor or threshold")
    return int((tensor < threshold).sum()) / tensor.numel()


@wrong("near_zero_fraction", "You counted the entries that lie exactly at the threshold.")
def near_zero_not_strict(tensor, threshold):
    if tensor.numel() == 0 or not threshold >= 0:
        raise ValueError("tensor or threshold")
    return int((tensor.abs() <= threshold).sum()) / tensor.numel()


@wrong("near_zero_fraction", "You returned the share of the entries that reach the threshold.")
def near_zero_inverted(tensor, threshold):
    if tensor.numel() == 0 or not threshold >= 0:
        raise ValueError("tensor or threshold")
    return int((tensor.abs() >= threshold).sum()) / tensor.numel()


@wrong(
    "near_zero_fraction",
    "You took the threshold as a share of the largest magnitude, not in the units of the entries.",
)
def near_zero_relative_to_the_largest(tensor, threshold):
    if tensor.numel() == 0 or not threshold >= 0:
        raise ValueError("tensor or threshold")
    return int((tensor.abs() < threshold * tensor.abs().max()).sum()) / tensor.numel()


@wrong(
    "near_zero_fraction", "You took the threshold in standard deviations, not in the units of the entries."
)
def near_zero_in_deviations(tensor, threshold):
    if tensor.numel() == 0 or not threshold >= 0:
        raise ValueError("tensor or threshold")
    deviation = tensor.double().std() if tensor.numel() > 1 else 1.0
    return int((tensor.double().abs() < threshold * deviation).sum()) / tensor.numel()


@wrong("near_zero_fraction", "You left out the entries that are exactly zero: they are near zero too.")
def near_zero_without_zeros(tensor, threshold):
    if tensor.numel() == 0 or not threshold >= 0:
        raise ValueError("tensor or threshold")
    return int(((tensor.abs() < threshold) & (tensor != 0)).sum()) / tensor.numel()


@wrong("near_zero_fraction", "You set the small entries of the tensor that you were given to zero.")
def near_zero_in_place(tensor, threshold):
    if tensor.numel() == 0 or not threshold >= 0:
        raise ValueError("tensor or threshold")
    small = tensor.abs() < threshold
    tensor[small] = 0
    return int(small.sum()) / tensor.numel()


@wrong("near_zero_fraction", "A negative threshold, NaN, or a tensor without entries is accepted.")
def near_zero_unchecked(tensor, threshold):
    return int((tensor.abs() < threshold).sum()) / max(1, tensor.numel())


@right("near_zero_fraction")
def near_zero_by_numpy(tensor, threshold):
    array = tensor.detach().cpu().numpy()
    if array.size == 0 or np.isnan(threshold) or threshold < 0:
        raise ValueError("the tensor is empty, or the threshold is no magnitude")
    return float(np.count_nonzero(np.abs(array) < threshold) / array.size)


@right("near_zero_fraction")
def near_zero_between_two_bounds(tensor, threshold):
    if math.isnan(threshold) or threshold < 0 or tensor.numel() == 0:
        raise ValueError("the tensor is empty, or the threshold is no magnitude")
    inside = (tensor > -threshold) & (tensor < threshold)
    return inside.double().mean().item()


# --- layer_costs -----------------------------------------------------------------------------------------------


@wrong("layer_costs", "You counted the product and the sum apart: these are operations, twice the MACs.")
def costs_in_operations(layer, output_shape):
    if isinstance(layer, nn.Conv2d):
        good = len(output_shape) == 3 and output_shape[0] == layer.out_channels
    else:
        good = (
            isinstance(layer, nn.Linear) and len(output_shape) > 0 and output_shape[-1] == layer.out_features
        )
    if not good:
        raise ValueError("layer or shape")
    parameters = list(layer.parameters())
    outputs = math.prod(output_shape)
    return {
        "parameters": sum(p.numel() for p in parameters),
        "macs": 2 * outputs * layer.weight[0].numel(),
        "activations": outputs,
        "bytes": sum(p.numel() * p.element_size() for p in parameters),
    }


@wrong("layer_costs", "You counted each weight once: a convolution uses it at every place of its output.")
def costs_each_weight_once(layer, output_shape):
    if isinstance(layer, nn.Conv2d):
        good = len(output_shape) == 3 and output_shape[0] == layer.out_channels
    else:
        good = (
            isinstance(layer, nn.Linear) and len(output_shape) > 0 and output_shape[-1] == layer.out_features
        )
    if not good:
        raise ValueError("layer or shape")
    parameters = list(layer.parameters())
    return {
        "parameters": sum(p.numel() for p in parameters),
        "macs": layer.weight.numel(),
        "activations": math.prod(output_shape),
        "bytes": sum(p.numel() * p.element_size() for p in parameters),
    }


@wrong(
    "layer_costs",
    "You left the size of the kernel out of the MACs: a filter is kh × kw weights for each channel.",
)
def costs_without_kernel(layer, output_shape):
    if isinstance(layer, nn.Conv2d):
        good = len(output_shape) == 3 and output_shape[0] == layer.out_channels
    else:
        good = (
            isinstance(layer, nn.Linear) and len(output_shape) > 0 and output_shape[-1] == layer.out_features
        )
    if not good:
        raise ValueError("layer or shape")
    parameters = list(layer.parameters())
    outputs = math.prod(output_shape)
    return {
        "parameters": sum(p.numel() for p in parameters),
        "macs": outputs * layer.weight.shape[1],
        "activations": outputs,
        "bytes": sum(p.numel() * p.element_size() for p in parameters),
    }


@wrong("layer_costs", "You took the kernel to be square: its height and width may differ.")
def costs_of_square_kernels(layer, output_shape):
    outputs = math.prod(output_shape)
    if isinstance(layer, nn.Conv2d):
        good = len(output_shape) == 3 and output_shape[0] == layer.out_channels
        each = layer.in_channels // layer.groups * layer.kernel_size[0] ** 2
    else:
        good = (
            isinstance(layer, nn.Linear) and len(output_shape) > 0 and output_shape[-1] == layer.out_features
        )
        each = layer.in_features if good else 0
    if not good:
        raise ValueError("layer or shape")
    parameters = list(layer.parameters())
    return {
        "parameters": sum(p.numel() for p in parameters),
        "macs": outputs * each,
        "activations": outputs,
        "bytes": sum(p.numel() * p.element_size() for p in parameters),
    }


@wrong(
    "layer_costs",
    "You overlooked groups: a filter of a grouped convolution sees only a part of the input channels.",
)
def costs_without_groups(layer, output_shape):
    outputs = math.prod(output_shape)
    if isinstance(layer, nn.Conv2d):
        good = len(output_shape) == 3 and output_shape[0] == layer.out_channels
        each = layer.in_channels * math.prod(layer.kernel_size)
    else:
        good = (
            isinstance(layer, nn.Linear) and len(output_shape) > 0 and output_shape[-1] == layer.out_features
        )
        each = layer.in_features if good else 0
    if not good:
        raise ValueError("layer or shape")
    parameters = list(layer.parameters())
    return {
        "parameters": sum(p.numel() for p in parameters),
        "macs": outputs * each,
        "activations": outputs,
        "bytes": sum(p.numel() * p.element_size() for p in parameters),
    }


@wrong("layer_costs", "You counted the addition of the bias as a MAC.")
def costs_count_the_bias(layer, output_shape):
    if isinstance(layer, nn.Conv2d):
        good = len(output_shape) == 3 and output_shape[0] == layer.out_channels
    else:
        good = (
            isinstance(layer, nn.Linear) and len(output_shape) > 0 and output_shape[-1] == layer.out_features
        )
    if not good:
        raise ValueError("layer or shape")
    parameters = list(layer.parameters())
    outputs = math.prod(output_shape)
    return {
        "parameters": sum(p.numel() for p in parameters),
        "macs": outputs * (layer.weight[0].numel() + (layer.bias is not None)),
        "activations": outputs,
        "bytes": sum(p.numel() * p.element_size() for p in parameters),
    }


@wrong("layer_costs", "You left the bias out of the parameters.")
def costs_forget_the_bias(layer, output_shape):
    if isinstance(layer, nn.Conv2d):
        good = len(output_shape) == 3 and output_shape[0] == layer.out_channels
    else:
        good = (
            isinstance(layer, nn.Linear) and len(output_shape) > 0 and output_shape[-1] == layer.out_features
        )
    if not good:
        raise ValueError("layer or shape")
    outputs = math.prod(output_shape)
    return {
        "parameters": layer.weight.numel(),
        "macs": outputs * layer.weight[0].numel(),
        "activations": outputs,
        "bytes": layer.weight.numel() * layer.weight.element_size(),
    }


@wrong("layer_costs", "You took every parameter to have 4 bytes, whatever its dtype.")
def costs_four_bytes(layer, output_shape):
    if isinstance(layer, nn.Conv2d):
        good = len(output_shape) == 3 and output_shape[0] == layer.out_channels
    else:
        good = (
            isinstance(layer, nn.Linear) and len(output_shape) > 0 and output_shape[-1] == layer.out_features
        )
    if not good:
        raise ValueError("layer or shape")
    parameters = sum(p.numel() for p in layer.parameters())
    outputs = math.prod(output_shape)
    return {
        "parameters": parameters,
        "macs": outputs * layer.weight[0].numel(),
        "activations": outputs,
        "bytes": 4 * parameters,
    }


@wrong("layer_costs", "You counted only parameters that are trained: a frozen layer has its parameters too.")
def costs_of_trainable_only(layer, output_shape):
    if isinstance(layer, nn.Conv2d):
        good = len(output_shape) == 3 and output_shape[0] == layer.out_channels
    else:
        good = (
            isinstance(layer, nn.Linear) and len(output_shape) > 0 and output_shape[-1] == layer.out_features
        )
    if not good:
        raise ValueError("layer or shape")
    parameters = [p for p in layer.parameters() if p.requires_grad]
    outputs = math.prod(output_shape)
    return {
        "parameters": sum(p.numel() for p in parameters),
        "macs": outputs * layer.weight[0].numel(),
        "activations": outputs,
        "bytes": sum(p.numel() * p.element_size() for p in parameters),
    }


@wrong("layer_costs", "You left out what is zero: a dense layer multiplies by a zero as by any other number.")
def costs_of_nonzeros(layer, output_shape):
    if isinstance(layer, nn.Conv2d):
        good = len(output_shape) == 3 and output_shape[0] == layer.out_channels
    else:
        good = (
            isinstance(layer, nn.Linear) and len(output_shape) > 0 and output_shape[-1] == layer.out_features
        )
    if not good:
        raise ValueError("layer or shape")
    parameters = list(layer.parameters())
    outputs = math.prod(output_shape)
    return {
        "parameters": sum(int((p != 0).sum()) for p in parameters),
        "macs": outputs * int((layer.weight != 0).sum()) // len(layer.weight),
        "activations": outputs,
        "bytes": sum(int((p != 0).sum()) * p.element_size() for p in parameters),
    }


@wrong("layer_costs", "For a linear layer you counted one position only; it may be applied at many.")
def costs_of_one_position(layer, output_shape):
    if isinstance(layer, nn.Conv2d):
        good = len(output_shape) == 3 and output_shape[0] == layer.out_channels
    else:
        good = (
            isinstance(layer, nn.Linear) and len(output_shape) > 0 and output_shape[-1] == layer.out_features
        )
    if not good:
        raise ValueError("layer or shape")
    parameters = list(layer.parameters())
    outputs = math.prod(output_shape) if isinstance(layer, nn.Conv2d) else layer.out_features
    return {
        "parameters": sum(p.numel() for p in parameters),
        "macs": outputs * layer.weight[0].numel(),
        "activations": outputs,
        "bytes": sum(p.numel() * p.element_size() for p in parameters),
    }


@wrong(
    "layer_costs",
    "A layer that is not counted, or a shape that cannot be its output, does not raise ValueError.",
)
def costs_unchecked(layer, output_shape):
    parameters = list(layer.parameters())
    outputs = math.prod(output_shape)
    return {
        "parameters": sum(p.numel() for p in parameters),
        "macs": outputs * layer.weight[0].numel() if parameters else 0,
        "activations": outputs,
        "bytes": sum(p.numel() * p.element_size() for p in parameters),
    }


@right("layer_costs")
def costs_from_attributes(layer, output_shape):
    if isinstance(layer, nn.Conv2d):
        if len(output_shape) != 3 or output_shape[0] != layer.out_channels:
            raise ValueError("the shape does not fit the convolution")
        kh, kw = layer.kernel_size
        weights = layer.out_channels * (layer.in_channels // layer.groups) * kh * kw
        macs = weights * output_shape[1] * output_shape[2]
        biases = layer.out_channels if layer.bias is not None else 0
    elif isinstance(layer, nn.Linear):
        if not output_shape or output_shape[-1] != layer.out_features:
            raise ValueError("the shape does not fit the linear layer")
        weights = layer.in_features * layer.out_features
        macs = weights * math.prod(output_shape[:-1])
        biases = layer.out_features if layer.bias is not None else 0
    else:
        raise ValueError("neither a convolution nor a linear layer")
    size = layer.weight.element_size()
    count = weights + biases
    return {"parameters": count, "macs": macs, "activations": math.prod(output_shape), "bytes": count * size}


@right("layer_costs")
def costs_by_numpy(layer, output_shape):
    if not isinstance(layer, (nn.Conv2d, nn.Linear)):
        raise ValueError("neither a convolution nor a linear layer")
    place, rank = (0, 3) if isinstance(layer, nn.Conv2d) else (-1, max(1, len(output_shape)))
    if len(output_shape) != rank or output_shape[place] != layer.weight.shape[0]:
        raise ValueError("the shape does not fit the layer")
    places = int(np.prod(output_shape)) // output_shape[place]
    state = layer.state_dict()
    return {
        "bytes": sum(tensor.nbytes for tensor in state.values()),
        "activations": int(np.prod(output_shape)),
        "macs": places * int(np.prod(layer.weight.shape)),
        "parameters": sum(int(np.prod(tensor.shape)) for tensor in state.values()),
    }


# --- model_size_bytes ------------------------------------------------------------------------------------------


@wrong("model_size_bytes", "Your sparse size holds every entry, zero or not.")
def size_counts_zeros(weights, value_bits=32, index_bits=None):
    if value_bits < 1 or (index_bits is not None and index_bits < 0):
        raise ValueError("bits")
    bits = (value_bits + (index_bits or 0)) * sum(tensor.numel() for tensor in weights.values())
    return math.ceil(bits / 8)


@wrong("model_size_bytes", "Your dense size leaves out the zeros: dense storage holds every entry.")
def size_dense_without_zeros(weights, value_bits=32, index_bits=None):
    if value_bits < 1 or (index_bits is not None and index_bits < 0):
        raise ValueError("bits")
    bits = (value_bits + (index_bits or 0)) * sum(int((tensor != 0).sum()) for tensor in weights.values())
    return math.ceil(bits / 8)


@wrong("model_size_bytes", "Your sparse size has no room for the positions: only the values are counted.")
def size_without_positions(weights, value_bits=32, index_bits=None):
    if value_bits < 1 or (index_bits is not None and index_bits < 0):
        raise ValueError("bits")
    if index_bits is None:
        return math.ceil(value_bits * sum(tensor.numel() for tensor in weights.values()) / 8)
    return math.ceil(value_bits * sum(int((tensor != 0).sum()) for tensor in weights.values()) / 8)


@wrong("model_size_bytes", "You took index_bits=0 for “no index given”: 0 counts as false in Python.")
def size_takes_zero_for_none(weights, value_bits=32, index_bits=None):
    if value_bits < 1 or (index_bits is not None and index_bits < 0):
        raise ValueError("bits")
    if index_bits:
        bits = (value_bits + index_bits) * sum(int((tensor != 0).sum()) for tensor in weights.values())
    else:
        bits = value_bits * sum(tensor.numel() for tensor in weights.values())
    return math.ceil(bits / 8)


@wrong("model_size_bytes", "You gave a position to every entry, also to those that are zero.")
def size_positions_of_zeros(weights, value_bits=32, index_bits=None):
    if value_bits < 1 or (index_bits is not None and index_bits < 0):
        raise ValueError("bits")
    entries = sum(tensor.numel() for tensor in weights.values())
    if index_bits is None:
        return math.ceil(value_bits * entries / 8)
    kept = sum(int((tensor != 0).sum()) for tensor in weights.values())
    return math.ceil((value_bits * kept + index_bits * entries) / 8)


@wrong("model_size_bytes", "You returned bits, not bytes.")
def size_in_bits(weights, value_bits=32, index_bits=None):
    if value_bits < 1 or (index_bits is not None and index_bits < 0):
        raise ValueError("bits")
    if index_bits is None:
        return value_bits * sum(tensor.numel() for tensor in weights.values())
    return (value_bits + index_bits) * sum(int((tensor != 0).sum()) for tensor in weights.values())


@wrong("model_size_bytes", "You rounded down: the bits of the last, unfilled byte are lost.")
def size_rounds_down(weights, value_bits=32, index_bits=None):
    if value_bits < 1 or (index_bits is not None and index_bits < 0):
        raise ValueError("bits")
    if index_bits is None:
        return value_bits * sum(tensor.numel() for tensor in weights.values()) // 8
    return (value_bits + index_bits) * sum(int((tensor != 0).sum()) for tensor in weights.values()) // 8


@wrong("model_size_bytes", "You rounded each tensor up to whole bytes before adding.")
def size_rounds_each_tensor(weights, value_bits=32, index_bits=None):
    if value_bits < 1 or (index_bits is not None and index_bits < 0):
        raise ValueError("bits")
    if index_bits is None:
        return sum(math.ceil(value_bits * tensor.numel() / 8) for tensor in weights.values())
    return sum(math.ceil((value_bits + index_bits) * int((t != 0).sum()) / 8) for t in weights.values())


@wrong("model_size_bytes", "You took the bits of a value from the dtype of the tensor, not from value_bits.")
def size_by_dtype(weights, value_bits=32, index_bits=None):
    if value_bits < 1 or (index_bits is not None and index_bits < 0):
        raise ValueError("bits")
    if index_bits is None:
        return sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    bits = sum(int((t != 0).sum()) * (8 * t.element_size() + index_bits) for t in weights.values())
    return math.ceil(bits / 8)


@wrong("model_size_bytes", "You returned the smaller of the sparse and the dense size.")
def size_takes_the_smaller(weights, value_bits=32, index_bits=None):
    if value_bits < 1 or (index_bits is not None and index_bits < 0):
        raise ValueError("bits")
    dense = value_bits * sum(tensor.numel() for tensor in weights.values())
    kept = sum(int((tensor != 0).sum()) for tensor in weights.values())
    return math.ceil((dense if index_bits is None else min(dense, (value_bits + index_bits) * kept)) / 8)


@wrong("model_size_bytes", "Negative index_bits, or value_bits below 1, is accepted.")
def size_unchecked(weights, value_bits=32, index_bits=None):
    if index_bits is None:
        return math.ceil(value_bits * sum(tensor.numel() for tensor in weights.values()) / 8)
    return math.ceil((value_bits + index_bits) * sum(int((t != 0).sum()) for t in weights.values()) / 8)


@right("model_size_bytes")
def size_by_a_loop(weights, value_bits=32, index_bits=None):
    if value_bits < 1:
        raise ValueError("a value needs a bit")
    if index_bits is not None and index_bits < 0:
        raise ValueError("a position cannot take less than nothing")
    bits = 0
    for name in weights:
        for entry in weights[name].flatten().tolist():
            if index_bits is None:
                bits += value_bits
            elif entry != 0:
                bits += value_bits + index_bits
    return bits // 8 + (bits % 8 > 0)


@right("model_size_bytes")
def size_by_concatenation(weights, value_bits=32, index_bits=None):
    if value_bits < 1 or (index_bits or 0) < 0:
        raise ValueError("the number of bits is not possible")
    pool = torch.cat([torch.zeros(0)] + [(tensor != 0).float().flatten() for tensor in weights.values()])
    if index_bits is None:
        return int(np.ceil(len(pool) * value_bits / 8))
    return int(np.ceil(torch.count_nonzero(pool).item() * (value_bits + index_bits) / 8))


# --- activation_sparsity ---------------------------------------------------------------------------------------


@wrong(
    "activation_sparsity",
    "You ran the model in the mode that it was in: dropout and BatchNorm act as in training.",
)
def activations_in_any_mode(model, images, names):
    modules = dict(model.named_modules())
    if len(images) == 0 or any(name not in modules for name in names):
        raise ValueError("images or names")
    seen = {name: [0, 0] for name in names}

    def hook_of(name):
        def hook(module, inputs, output):
            seen[name][0] += int((output == 0).sum())
            seen[name][1] += output.numel()

        return hook

    handles = [modules[name].register_forward_hook(hook_of(name)) for name in names]
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return {name: zeros / entries for name, (zeros, entries) in seen.items()}


@wrong("activation_sparsity", "You left the model in evaluation mode.")
def activations_leave_eval(model, images, names):
    modules = dict(model.named_modules())
    if len(images) == 0 or any(name not in modules for name in names):
        raise ValueError("images or names")
    seen = {name: [0, 0] for name in names}

    def hook_of(name):
        def hook(module, inputs, output):
            seen[name][0] += int((output == 0).sum())
            seen[name][1] += output.numel()

        return hook

    handles = [modules[name].register_forward_hook(hook_of(name)) for name in names]
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return {name: zeros / entries for name, (zeros, entries) in seen.items()}


@wrong("activation_sparsity", "You put the model in training mode at the end, whatever its mode was before.")
def activations_end_in_training(model, images, names):
    modules = dict(model.named_modules())
    if len(images) == 0 or any(name not in modules for name in names):
        raise ValueError("images or names")
    seen = {name: [0, 0] for name in names}

    def hook_of(name):
        def hook(module, inputs, output):
            seen[name][0] += int((output == 0).sum())
            seen[name][1] += output.numel()

        return hook

    handles = [modules[name].register_forward_hook(hook_of(name)) for name in names]
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
        model.train()
    return {name: zeros / entries for name, (zeros, entries) in seen.items()}


@wrong(
    "activation_sparsity",
    "You gave all modules the mode of the whole model: a module may have a mode of its own.",
)
def activations_one_mode_for_all(model, images, names):
    modules = dict(model.named_modules())
    if len(images) == 0 or any(name not in modules for name in names):
        raise ValueError("images or names")
    seen = {name: [0, 0] for name in names}

    def hook_of(name):
        def hook(module, inputs, output):
            seen[name][0] += int((output == 0).sum())
            seen[name][1] += output.numel()

        return hook

    handles = [modules[name].register_forward_hook(hook_of(name)) for name in names]
    before = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
        model.train(before)
    return {name: zeros / entries for name, (zeros, entries) in seen.items()}


@wrong("activation_sparsity", "Your hooks are still on the model: they go on counting in every later pass.")
def activations_keep_hooks(model, images, names):
    modules = dict(model.named_modules())
    if len(images) == 0 or any(name not in modules for name in names):
        raise ValueError("images or names")
    seen = {name: [0, 0] for name in names}

    def hook_of(name):
        def hook(module, inputs, output):
            seen[name][0] += int((output == 0).sum())
            seen[name][1] += output.numel()

        return hook

    for name in names:
        modules[name].register_forward_hook(hook_of(name))
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    finally:
        for module, training in modes:
            module.training = training
    return {name: zeros / entries for name, (zeros, entries) in seen.items()}


@wrong("activation_sparsity", "You removed all hooks of the modules, also those that others had added.")
def activations_clear_all_hooks(model, images, names):
    modules = dict(model.named_modules())
    if len(images) == 0 or any(name not in modules for name in names):
        raise ValueError("images or names")
    seen = {name: [0, 0] for name in names}

    def hook_of(name):
        def hook(module, inputs, output):
            seen[name][0] += int((output == 0).sum())
            seen[name][1] += output.numel()

        return hook

    for name in names:
        modules[name].register_forward_hook(hook_of(name))
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    finally:
        for name in names:
            modules[name]._forward_hooks.clear()
        for module, training in modes:
            module.training = training
    return {name: zeros / entries for name, (zeros, entries) in seen.items()}


@wrong("activation_sparsity", "When the forward pass raises, your function ends before it has cleaned up.")
def activations_without_finally(model, images, names):
    modules = dict(model.named_modules())
    if len(images) == 0 or any(name not in modules for name in names):
        raise ValueError("images or names")
    seen = {name: [0, 0] for name in names}

    def hook_of(name):
        def hook(module, inputs, output):
            seen[name][0] += int((output == 0).sum())
            seen[name][1] += output.numel()

        return hook

    handles = [modules[name].register_forward_hook(hook_of(name)) for name in names]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        model(images)
    for handle in handles:
        handle.remove()
    for module, training in modes:
        module.training = training
    return {name: zeros / entries for name, (zeros, entries) in seen.items()}


@wrong(
    "activation_sparsity",
    "You kept the outputs and counted after the pass: a later module may change them in place.",
)
def activations_counted_afterwards(model, images, names):
    modules = dict(model.named_modules())
    if len(images) == 0 or any(name not in modules for name in names):
        raise ValueError("images or names")
    kept = {name: [] for name in names}

    def hook_of(name):
        return lambda module, inputs, output: kept[name].append(output)

    handles = [modules[name].register_forward_hook(hook_of(name)) for name in names]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return {
        name: sum(int((output == 0).sum()) for output in outputs) / sum(output.numel() for output in outputs)
        for name, outputs in kept.items()
    }


@wrong("activation_sparsity", "Of a module that runs several times you kept the last run only.")
def activations_of_the_last_run(model, images, names):
    modules = dict(model.named_modules())
    if len(images) == 0 or any(name not in modules for name in names):
        raise ValueError("images or names")
    seen = {}

    def hook_of(name):
        def hook(module, inputs, output):
            seen[name] = int((output == 0).sum()) / output.numel()

        return hook

    handles = [modules[name].register_forward_hook(hook_of(name)) for name in names]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return seen


@wrong(
    "activation_sparsity", "You averaged the shares of several runs: a run with more entries must weigh more."
)
def activations_averaged_over_runs(model, images, names):
    modules = dict(model.named_modules())
    if len(images) == 0 or any(name not in modules for name in names):
        raise ValueError("images or names")
    shares = {name: [] for name in names}

    def hook_of(name):
        return lambda module, inputs, output: shares[name].append(int((output == 0).sum()) / output.numel())

    handles = [modules[name].register_forward_hook(hook_of(name)) for name in names]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return {name: sum(values) / len(values) for name, values in shares.items()}


@wrong("activation_sparsity", "You returned the share of the entries that are not zero.")
def activations_density(model, images, names):
    modules = dict(model.named_modules())
    if len(images) == 0 or any(name not in modules for name in names):
        raise ValueError("images or names")
    seen = {name: [0, 0] for name in names}

    def hook_of(name):
        def hook(module, inputs, output):
            seen[name][0] += int((output != 0).sum())
            seen[name][1] += output.numel()

        return hook

    handles = [modules[name].register_forward_hook(hook_of(name)) for name in names]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return {name: kept / entries for name, (kept, entries) in seen.items()}


@wrong("activation_sparsity", "You looked at what goes into each module, not at what it returns.")
def activations_of_the_input(model, images, names):
    modules = dict(model.named_modules())
    if len(images) == 0 or any(name not in modules for name in names):
        raise ValueError("images or names")
    seen = {name: [0, 0] for name in names}

    def hook_of(name):
        def hook(module, inputs):
            seen[name][0] += int((inputs[0] == 0).sum())
            seen[name][1] += inputs[0].numel()

        return hook

    handles = [modules[name].register_forward_pre_hook(hook_of(name)) for name in names]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return {name: zeros / entries for name, (zeros, entries) in seen.items()}


@wrong("activation_sparsity", "An unknown name, or no images, does not raise ValueError.")
def activations_unchecked(model, images, names):
    modules = dict(model.named_modules())
    seen = {name: [0, 0] for name in names}

    def hook_of(name):
        def hook(module, inputs, output):
            seen[name][0] += int((output == 0).sum())
            seen[name][1] += output.numel()

        return hook

    modes = [(module, module.training) for module in model.modules()]
    handles = [modules[name].register_forward_hook(hook_of(name)) for name in names if name in modules]
    model.eval()
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return {name: zeros / max(1, entries) for name, (zeros, entries) in seen.items()}


@right("activation_sparsity")
def activations_as_lists(model, images, names):
    found = {name: module for name, module in model.named_modules() if name in set(names)}
    if len(found) < len(set(names)):
        raise ValueError("a name is unknown")
    if images.shape[0] < 1:
        raise ValueError("no images")
    flags = {name: [] for name in found}
    training = {module: module.training for module in model.modules()}
    handles = {
        name: module.register_forward_hook(
            lambda _module, _inputs, output, name=name: flags[name].append((output == 0).flatten())
        )
        for name, module in found.items()
    }
    try:
        model.eval()
        with torch.no_grad():
            model(images)
    finally:
        for module in training:
            module.training = training[module]
        for name in handles:
            handles[name].remove()
    return {name: torch.cat(parts).double().mean().item() for name, parts in flags.items()}


@right("activation_sparsity")
def activations_by_wrapping_forward(model, images, names):
    modules = dict(model.named_modules())
    for name in names:
        if name not in modules:
            raise ValueError(f"{name} is unknown")
    if images.numel() == 0:
        raise ValueError("no images")
    counts = {name: np.zeros(2) for name in names}
    modes = {name: module.training for name, module in modules.items()}

    def watched(name, forward):
        def run(*inputs):
            output = forward(*inputs)
            array = output.detach().cpu().numpy()
            counts[name] += np.array([np.sum(array == 0), array.size])
            return output

        return run

    try:
        for name in counts:
            modules[name].forward = watched(name, modules[name].forward)
        for module in modules.values():
            module.training = False
        with torch.inference_mode():
            model(images)
    finally:
        for name in counts:
            modules[name].__dict__.pop("forward", None)
        for name, module in modules.items():
            module.training = modes[name]
    return {name: float(count[0] / count[1]) for name, count in counts.items()}


# --- gradient_energy -------------------------------------------------------------------------------------------


@wrong("gradient_energy", "You added up magnitudes, not their squares.")
def energy_of_magnitudes(gradient, fraction):
    if not 0 <= fraction <= 1 or not gradient.any():
        raise ValueError("fraction or gradient")
    sizes = gradient.detach().double().abs().flatten()
    return float(sizes.topk(round(fraction * len(sizes))).values.sum() / sizes.sum())


@wrong("gradient_energy", "You took the share of the norm: the square root of the energy.")
def energy_of_norms(gradient, fraction):
    if not 0 <= fraction <= 1 or not gradient.any():
        raise ValueError("fraction or gradient")
    sizes = gradient.detach().double().abs().flatten()
    return float(sizes.topk(round(fraction * len(sizes))).values.norm() / sizes.norm())


@wrong("gradient_energy", "You took the smallest magnitudes, not the largest.")
def energy_of_the_smallest(gradient, fraction):
    if not 0 <= fraction <= 1 or not gradient.any():
        raise ValueError("fraction or gradient")
    squares = gradient.detach().double().square().flatten()
    count = round(fraction * len(squares))
    return float(squares.topk(count, largest=False).values.sum() / squares.sum())


@wrong(
    "gradient_energy", "You ranked the entries by their value: a large negative entry counts as the smallest."
)
def energy_ranked_by_value(gradient, fraction):
    if not 0 <= fraction <= 1 or not gradient.any():
        raise ValueError("fraction or gradient")
    entries = gradient.detach().double().flatten()
    largest = entries.topk(round(fraction * len(entries))).values
    return float(largest.square().sum() / entries.square().sum())


@wrong("gradient_energy", "You took the fraction for a threshold: a share of the largest magnitude.")
def energy_above_a_threshold(gradient, fraction):
    if not 0 <= fraction <= 1 or not gradient.any():
        raise ValueError("fraction or gradient")
    sizes = gradient.detach().double().abs().flatten()
    return float(sizes[sizes > fraction * sizes.max()].square().sum() / sizes.square().sum())


@wrong("gradient_energy", "You ranked each row on its own, not the whole tensor.")
def energy_row_by_row(gradient, fraction):
    if not 0 <= fraction <= 1 or not gradient.any():
        raise ValueError("fraction or gradient")
    squares = gradient.detach().double().square()
    largest = squares.topk(round(fraction * squares.shape[-1]), dim=-1).values
    return float(largest.sum() / squares.sum())


@wrong("gradient_energy", "You rounded the number of entries down.")
def energy_rounds_down(gradient, fraction):
    if not 0 <= fraction <= 1 or not gradient.any():
        raise ValueError("fraction or gradient")
    squares = gradient.detach().double().square().flatten()
    return float(squares.topk(int(fraction * len(squares))).values.sum() / squares.sum())


@wrong("gradient_energy", "You always took at least one entry.")
def energy_of_at_least_one(gradient, fraction):
    if not 0 <= fraction <= 1 or not gradient.any():
        raise ValueError("fraction or gradient")
    squares = gradient.detach().double().square().flatten()
    return float(squares.topk(max(1, round(fraction * len(squares)))).values.sum() / squares.sum())


@wrong("gradient_energy", "You cut at a magnitude, so of equal entries you took all.")
def energy_takes_all_ties(gradient, fraction):
    if not 0 <= fraction <= 1 or not gradient.any():
        raise ValueError("fraction or gradient")
    squares = gradient.detach().double().square().flatten()
    count = round(fraction * len(squares))
    if count == 0:
        return 0.0
    cut = squares.sort(descending=True).values[count - 1]
    return float(squares[squares >= cut].sum() / squares.sum())


@wrong("gradient_energy", "You squared in the dtype of the gradient: float16 overflows or vanishes there.")
def energy_in_half_precision(gradient, fraction):
    if not 0 <= fraction <= 1 or not gradient.any():
        raise ValueError("fraction or gradient")
    squares = gradient.detach().square().flatten()
    return float(squares.topk(round(fraction * len(squares))).values.sum() / squares.sum())


@wrong(
    "gradient_energy",
    "You divided the mean of the largest by the mean of all: the numbers of entries differ.",
)
def energy_of_means(gradient, fraction):
    if not 0 <= fraction <= 1 or not gradient.any():
        raise ValueError("fraction or gradient")
    squares = gradient.detach().double().square().flatten()
    count = round(fraction * len(squares))
    return float(squares.topk(count).values.mean() / squares.mean()) if count else 0.0


@wrong("gradient_energy", "A fraction outside 0 to 1, or a gradient of zeros only, is accepted.")
def energy_unchecked(gradient, fraction):
    squares = gradient.detach().double().square().flatten()
    count = round(min(max(fraction, 0), 1) * len(squares)) if fraction == fraction else 0
    return float(squares.topk(count).values.sum() / max(squares.sum(), torch.tensor(1e-300).double()))


@right("gradient_energy")
def energy_by_numpy(gradient, fraction):
    squares = np.sort(gradient.detach().cpu().numpy().astype(np.float64).ravel() ** 2)[::-1]
    if not (fraction >= 0 and fraction <= 1):
        raise ValueError("the fraction is none")
    if squares.sum() == 0:
        raise ValueError("there is no energy")
    return float(squares[: round(fraction * squares.size)].sum() / squares.sum())


@right("gradient_energy")
def energy_by_cumsum(gradient, fraction):
    if math.isnan(fraction) or fraction < 0 or fraction > 1:
        raise ValueError("the fraction is none")
    entries = gradient.detach().double().flatten()
    order = entries.abs().argsort(descending=True)
    running = torch.cat([torch.zeros(1).double(), (entries[order] ** 2).cumsum(0)])
    if running[-1] == 0:
        raise ValueError("there is no energy")
    return (running[round(fraction * len(entries))] / running[-1]).item()


@right("gradient_energy")
def energy_by_a_loop(gradient, fraction):
    if not 0.0 <= fraction <= 1.0:
        raise ValueError("the fraction is none")
    squares = sorted((entry * entry for entry in gradient.flatten().tolist()), reverse=True)
    total = math.fsum(squares)
    if not total:
        raise ValueError("there is no energy")
    return math.fsum(squares[: round(fraction * len(squares))]) / total
