"""Lab 1: what does a zero save? Counting zeros in weights, activations and gradients, and counting costs.

The chapter that explains it: lecture_notes/lab01_sparsity_and_cost.md; the notebook: labs/lab01_sparsity_and_cost.ipynb.
"""

import math

import torch
from torch import nn


def sparsity(tensor: torch.Tensor) -> float:
    """Measure the fraction of the entries that are exactly zero.

    Args:
        tensor: any shape with at least one entry, any dtype, contiguous or not; it is not changed. In a boolean
            mask (True = keep) False counts as zero.

    Returns:
        Number of zeros / number of entries, a Python float between 0 and 1. -0.0 is zero; a number that is very
        small is not.

    Raises:
        ValueError: if the tensor has no entries.

    Source: the sparsity of Hoefler, Alistarh, Ben-Nun, Dryden and Peste (2021), "Sparsity in Deep Learning",
    arXiv:2102.00554.
    """
    if tensor.numel() == 0:
        raise ValueError("a tensor without entries has no sparsity")
    return int((tensor == 0).sum()) / tensor.numel()


def near_zero_fraction(tensor: torch.Tensor, threshold: float) -> float:
    """Measure the fraction of the entries whose magnitude lies below a threshold.

    Args:
        tensor: any shape with at least one entry, any floating dtype, contiguous or not; it is not changed.
        threshold: >= 0, in the units of the entries.

    Returns:
        Number of entries x with |x| < threshold / number of entries, a Python float between 0 and 1. An entry
        exactly at the threshold does not count, so a threshold of 0 gives 0.0. The comparison is PyTorch's, in
        the dtype of the tensor.

    Raises:
        ValueError: if the tensor has no entries, or if the threshold is negative or NaN.
    """
    if tensor.numel() == 0:
        raise ValueError("a tensor without entries has no fraction near zero")
    if not threshold >= 0:  # written so that NaN is refused too
        raise ValueError(f"the threshold must be a number >= 0, but it is {threshold}")
    return int((tensor.abs() < threshold).sum()) / tensor.numel()


def layer_costs(layer: nn.Conv2d | nn.Linear, output_shape: tuple[int, ...]) -> dict[str, int]:
    """Count what one layer costs for one sample, from shapes alone.

    Args:
        layer: a linear layer, or a convolution with any kernel, stride, padding, dilation and groups; with or
            without bias, any dtype, frozen (`requires_grad=False`) or not. It is not changed.
        output_shape: shape of the layer's output for one sample, without the batch dimension: (out, H, W) for a
            convolution, (out,) or (positions, out) for a linear layer. Each is >= 1.

    Returns:
        Four ints under these keys. Zeros are counted like any other number.
        "parameters": the entries of the weight and, where there is one, of the bias.
        "macs": the multiply-adds: one for each pair of an output entry and a weight that enters it. Adding the
            bias is not counted.
        "activations": the output entries.
        "bytes": the bytes that the parameters take in their own dtype.

    Raises:
        ValueError: if the layer is neither a Conv2d nor a Linear, or if output_shape is not of the form above
            (`out` must be the number of outputs that the layer has).

    Source: the MACs of Sze, Chen, Yang and Emer (2017), "Efficient Processing of Deep Neural Networks: A Tutorial
    and Survey", arXiv:1703.09039.
    """
    if isinstance(layer, nn.Conv2d):
        fits = len(output_shape) == 3 and output_shape[0] == layer.out_channels
    elif isinstance(layer, nn.Linear):
        fits = len(output_shape) >= 1 and output_shape[-1] == layer.out_features
    else:
        raise ValueError(f"only Conv2d and Linear layers are counted, but this is a {type(layer).__name__}")
    if not fits:
        raise ValueError(f"{tuple(output_shape)} is no output of one sample of the layer {layer}")
    tensors = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
    outputs = math.prod(output_shape)
    weights_of_an_output = layer.weight[0].numel()  # in, or (in / groups) * kh * kw
    return {
        "parameters": sum(tensor.numel() for tensor in tensors),
        "macs": outputs * weights_of_an_output,
        "activations": outputs,
        "bytes": sum(tensor.numel() * tensor.element_size() for tensor in tensors),
    }


def model_size_bytes(
    weights: dict[str, torch.Tensor], value_bits: int = 32, index_bits: int | None = None
) -> int:
    """Compute how many bytes the weights of a model take, stored dense or sparse.

    Args:
        weights: {name: tensor of any shape and dtype}; the tensors are not changed. Their own dtype plays no part.
        value_bits: bits for one stored value, >= 1.
        index_bits: None stores dense: every entry, zero or not. A number >= 0 stores sparse: only the entries
            that are not zero, each with its value and this many bits for its position. 0 means that positions
            are free, not that the storage is dense.

    Returns:
        Bytes of all tensors together, an int: the bits of all are added, and the sum is rounded up once to whole
        bytes. 0 where nothing is stored.

    Raises:
        ValueError: if value_bits is below 1, or index_bits is below 0.

    Source: the storage of Han, Mao and Dally (2016), "Deep Compression", section 2, arXiv:1510.00149, without its
    padding zeros.
    """
    if value_bits < 1:
        raise ValueError(f"a value needs at least 1 bit, but value_bits is {value_bits}")
    if index_bits is not None and index_bits < 0:
        raise ValueError(f"a position cannot take a negative number of bits, but index_bits is {index_bits}")
    if index_bits is None:
        bits = value_bits * sum(tensor.numel() for tensor in weights.values())
    else:
        bits = (value_bits + index_bits) * sum(int((tensor != 0).sum()) for tensor in weights.values())
    return (bits + 7) // 8  # whole bytes, rounded up


def activation_sparsity(model: nn.Module, images: torch.Tensor, names: list[str]) -> dict[str, float]:
    """Measure the fraction of exact zeros in the outputs of some modules, in one forward pass in evaluation mode.

    Args:
        model: any network, in any mode.
        images: one batch, [B, ...], on the model's device; B >= 1.
        names: modules to observe, named as `model.named_modules()` lists them, none twice; `[]` gives `{}`. Each
            returns one tensor, and runs at least once in a forward pass.

    Returns:
        {name: zeros / entries, a Python float}, over everything that the module returned in the pass. A module
        that runs several times counts the entries of all its runs together. An output is counted as the module
        returns it: a later module that works in place may change it afterwards.

    After the call, and also when the forward pass raises (let its error pass)
        - every module of the model has the mode (`training`) that it had before, each its own;
        - the hooks added here are removed, and hooks that others have added are still there;
        - parameters, buffers and gradients are as before.

    Raises:
        ValueError: if a name is no module of the model, or if there are no images. The model is then untouched.
    """
    modules = dict(model.named_modules())
    if unknown := [name for name in names if name not in modules]:
        raise ValueError(f"the model has no module named {unknown[0]!r}")
    if len(images) == 0:
        raise ValueError("there are no images to run the model on")
    zeros, entries = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def counter(name):
        def count(module, inputs, output):
            zeros[name] += int((output == 0).sum())
            entries[name] += output.numel()

        return count

    modes = [(module, module.training) for module in modules.values()]
    handles = []
    try:
        for name in zeros:
            handles.append(modules[name].register_forward_hook(counter(name)))
        model.eval()
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode
    return {name: zeros[name] / entries[name] for name in zeros}


def gradient_energy(gradient: torch.Tensor, fraction: float) -> float:
    """Measure the share of the squared norm that the largest entries of a gradient hold.

    Args:
        gradient: any shape with n >= 1 entries, any floating dtype, contiguous or not; it is not changed.
        fraction: which entries are "the largest": the `round(fraction * n)` (Python's round) with the largest
            magnitudes, in the whole tensor; between 0 and 1, both included.

    Returns:
        (Sum of the squares of these entries) / (sum of all the squares), a Python float between 0 and 1, up to
        rounding. The squares are computed in float64: those of float16 would overflow or vanish.

    Raises:
        ValueError: if the fraction is below 0, above 1, or NaN, or if every entry is zero (or there is none): such
            a gradient has no energy to share out.

    Source: the concentration that top-k gradient sparsification rests on: Aji and Heafield (2017),
    arXiv:1704.05021.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"the fraction must lie between 0 and 1, but it is {fraction}")
    energies = gradient.double().square().flatten()  # [n]
    total = energies.sum().item()
    if total == 0:
        raise ValueError("every entry of the gradient is zero: there is no energy to share out")
    largest = energies.topk(round(fraction * energies.numel())).values
    return min(1.0, largest.sum().item() / total)  # another order of summation may round to just above 1
