"""Lab 7: which neurons never speak? APoZ, and networks rebuilt without the channels that go.

The chapter that explains it: lecture_notes/lab07_activations.md; the notebook: labs/lab07_activations.ipynb.
"""

import copy
import math

import torch
from torch import nn


def apoz(activations: torch.Tensor) -> torch.Tensor:
    """Compute the average percentage of zeros (APoZ) of each channel, as a fraction.

    Args:
        activations: what one layer put out for N images, N >= 1, in C >= 1 channels: [N, C] of a linear layer,
            [N, C, H, W] of a convolution, or [N, C, ...] with any number of dimensions behind the channels, none of
            size 0. Any dtype, contiguous or not; it is not changed. It may hold negative numbers.

    Returns:
        Float32 tensor [C] on the same device, between 0 and 1: for each channel, entries that are exactly zero
        (0 and -0.0, nothing else) divided by all its entries, over all the images and all the M positions of the
        map (M = 1 for a linear layer, H * W for a convolution).

    Raises:
        ValueError: if there are fewer than two dimensions, or a channel has no entry (N = 0, or a map of size 0).

    Source: Hu, Peng, Tai and Tang (2016), "Network Trimming", the definition of APoZ, arXiv:1607.03250.
    """
    if activations.dim() < 2:
        raise ValueError(f"activations need the shape [N, C, ...], but it is {list(activations.shape)}")
    by_channel = activations.transpose(0, 1).flatten(1)  # C, N * M
    if by_channel.shape[1] == 0:
        raise ValueError(f"no channel has any entry: the shape is {list(activations.shape)}")
    return (by_channel == 0).float().mean(dim=1)  # C


def collect_apoz(
    model: nn.Module, images: torch.Tensor, names: list[str], batch_size: int
) -> dict[str, torch.Tensor]:
    """Measure the APoZ of several layers over many images, batch after batch, in evaluation mode.

    Args:
        model: any network, in any mode.
        images: [N, ...] on the model's device, N >= 1.
        names: modules to observe, named as `model.named_modules()` lists them, none twice; `[]` gives `{}`, with
            or without a run of the model (wrong arguments raise all the same). Each module runs at least once in a
            forward pass and returns one tensor [B, C, ...]. C may differ between modules, but is the same in every
            run of one module.
        batch_size: images in one forward pass, at least 1; the last batch holds what is left, and may be smaller.

    Returns:
        {name: float32 tensor [C] on the device of the output}, in the order of `names`: for each channel, exact
        zeros divided by entries, over all N images and all positions. A module that runs several times in a pass
        counts all its runs together. An output is counted as the module returns it: a later module that works in
        place may change it afterwards.

    Unless `names` is empty, every image goes through the model once. The memory does not grow with N: from one
    batch to the next the function keeps counts, never activations.

    After the call, and also when a forward pass raises (let its error pass)
        - every module of the model has the `training` that it had before; modules may have had different ones;
        - the hooks added here are removed, and hooks that others have added are still there;
        - parameters, buffers and gradients are as before.

    Raises:
        ValueError: if a name is not among those of `model.named_modules()`, if there are no images, or if
            batch_size is below 1. The model is then untouched.

    Source: Hu et al. (2016), arXiv:1607.03250.
    """
    modules = dict(model.named_modules())
    if unknown := [name for name in names if name not in modules]:
        raise ValueError(f"there is no module {unknown[0]!r} in the model")
    if len(images) == 0 or batch_size < 1:
        raise ValueError(f"{len(images)} images in batches of {batch_size}: both must be at least 1")
    zeros, entries = (
        dict.fromkeys(names, 0),
        dict.fromkeys(names, 0),
    )  # zeros becomes [C] with the first batch

    def counter(name):
        def count(module, inputs, output):
            by_channel = output.detach().transpose(0, 1).flatten(1)  # C, B * M
            zeros[name] = zeros[name] + (by_channel == 0).sum(dim=1)
            entries[name] += by_channel.shape[1]

        return count

    was_training = {module: module.training for module in model.modules()}
    handles = [modules[name].register_forward_hook(counter(name)) for name in names]
    try:
        model.eval()
        with torch.no_grad():
            for batch in images.split(batch_size):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in was_training.items():
            module.training = mode
    return {name: (zeros[name].double() / entries[name]).float() for name in names}


def select_channels(scores: torch.Tensor, sparsity: float) -> torch.Tensor:
    """Choose the channels to keep: those with the highest scores.

    Args:
        scores: [n], one number for each channel, n >= 1; higher = keep. Any floating or integer dtype, no NaN; it
            is not changed. (APoZ is high for channels to remove: pass `1 - apoz`.)
        sparsity: fraction of the channels to remove, between 0 and 1, both included.

    Returns:
        Int64 tensor with the positions of the kept channels in ascending order, on the device of `scores`.
        `round(sparsity * n)` channels (Python's round) are removed, but never all: at least one is kept. Of equal
        scores, the one with the lower position is removed first.

    Raises:
        ValueError: if `scores` does not have exactly one dimension or is empty, or if the sparsity is below 0,
            above 1, or NaN.

    Source: the ranking of Li et al. (2016), "Pruning Filters for Efficient ConvNets", section 3.1, arXiv:1608.08710.
    """
    if scores.dim() != 1 or len(scores) == 0:
        raise ValueError(f"give one score for each channel; the shape is {list(scores.shape)}")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"a fraction between 0 and 1 can be removed, not {sparsity}")
    removed = min(round(sparsity * len(scores)), len(scores) - 1)
    order = scores.argsort(stable=True)  # n: positions, the lowest score first
    return order[removed:].sort().values


def remove_filters(
    conv: nn.Conv2d, bn: nn.BatchNorm2d | None, following: nn.Conv2d, kept: torch.Tensor
) -> tuple[nn.Conv2d, nn.BatchNorm2d | None, nn.Conv2d]:
    """Rebuild a convolution, its BatchNorm and the next convolution without the channels that are not kept.

    Args:
        conv: the convolution that loses filters, n of them now, with or without bias.
        bn: the BatchNorm behind it, with scale, shift, running mean and variance (PyTorch's defaults), or None.
        following: the convolution that reads the n channels, after any activation or pooling (each channel by itself).
        kept: int64 tensor (no other dtype is passed), the positions of the n' channels to keep, 1 <= n' <= n,
            strictly ascending.

    Returns:
        (conv, bn, following), three new modules; bn is None where it was None. The new convolution has n' filters,
        the BatchNorm n' features, the next convolution n' inputs and as many filters as before; `out_channels`,
        `num_features` and `in_channels` say so. What belongs to a kept channel keeps its values: weights, bias,
        scale, shift, running mean and variance. All else is as before: the bias of the next convolution, kernel
        size, stride, padding, padding_mode, dilation, eps, momentum, the count of batches, dtype, device, and
        `training` of each module.
        The parameters are nn.Parameters that require gradients, as all the old ones do; hooks and `.grad` do not
        matter. The new modules share no memory with the old ones, and the old ones are not changed.

    The outputs of the new chain are those of the old one in which the removed channels are set to zero *where the
    next convolution reads them*, behind BatchNorm and activation.

    Raises:
        ValueError: if a convolution has groups other than 1, if the channels of bn or following are not the n of
            conv, or if `kept` is empty, has not one dimension, is not strictly ascending, or leaves the range
            0 to n - 1.

    Source: Li et al. (2016), section 3.1 and figure 1, arXiv:1608.08710.
    """
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1:
        raise ValueError("convolutions with groups cannot be cut like this")
    if following.in_channels != n or (bn is not None and bn.num_features != n):
        raise ValueError(f"the {n} filters do not fit the layers behind them")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError(
            f"kept must hold ascending positions between 0 and {n - 1}, but it is {kept.tolist()}"
        )
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])  # n', in, kh, kw
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    new_conv.out_channels = len(kept)
    if bn is not None:
        new_bn.weight = nn.Parameter(bn.weight.detach()[kept])
        new_bn.bias = nn.Parameter(bn.bias.detach()[kept])
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])  # out, n', kh, kw
    new_following.in_channels = len(kept)
    return new_conv, new_bn, new_following


def remove_before_linear(
    layer: nn.Conv2d | nn.Linear,
    bn: nn.BatchNorm2d | nn.BatchNorm1d | None,
    linear: nn.Linear,
    kept: torch.Tensor,
) -> tuple[nn.Conv2d | nn.Linear, nn.BatchNorm2d | nn.BatchNorm1d | None, nn.Linear]:
    """Rebuild a layer, its BatchNorm and the linear layer that reads it without the channels that are not kept.

    Args:
        layer: the layer that loses outputs, n of them now: a convolution or a linear layer, with or without bias.
        bn: the BatchNorm behind it, with scale, shift, running mean and variance (PyTorch's defaults), or None.
        linear: reads the n channels after `flatten(1)` of [B, n, ...]: channel c owns the M consecutive inputs
            c * M to c * M + M - 1, where M = linear.in_features / n is the number of positions of a map (1 behind
            a linear layer).
        kept: int64 tensor (no other dtype is passed), the positions of the n' channels to keep, 1 <= n' <= n,
            strictly ascending.

    Returns:
        (layer, bn, linear), three new modules; bn is None where it was None. The new layer has n' outputs, the
        BatchNorm n' features, the linear layer n' * M inputs and as many outputs as before; `out_channels` or
        `out_features`, `num_features` and `in_features` say so. What belongs to a kept channel keeps its values.
        All else is as before: the bias of `linear`, kernel size, stride, padding, padding_mode, dilation, eps,
        momentum, the count of batches, dtype, device, and `training` of each module. The parameters are
        nn.Parameters that require gradients, as all the old ones do; hooks and `.grad` do not matter. The new
        modules share no memory with the old ones, and the old ones are not changed.

    Raises:
        ValueError: if a convolution has groups other than 1, if n does not divide linear.in_features or is not
            bn.num_features, or if `kept` is empty, has not one dimension, is not strictly ascending, or leaves the
            range 0 to n - 1.

    Source: the boundary of convolution and linear layer; one removed channel takes M inputs with it.
    """
    n = len(layer.weight)  # outputs: dimension 0 of both kinds of weight
    if getattr(layer, "groups", 1) != 1:
        raise ValueError("a convolution with groups cannot be cut like this")
    if linear.in_features % n != 0 or (bn is not None and bn.num_features != n):
        raise ValueError(f"the {n} outputs do not fit the layers behind them")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError(
            f"kept must hold ascending positions between 0 and {n - 1}, but it is {kept.tolist()}"
        )
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])  # n', in, kh, kw or n', in
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        new_bn.weight = nn.Parameter(bn.weight.detach()[kept])
        new_bn.bias = nn.Parameter(bn.bias.detach()[kept])
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    by_channel = linear.weight.detach().unflatten(1, (n, -1))  # out, n, M
    new_linear.weight = nn.Parameter(by_channel[:, kept].flatten(1))  # out, n' * M
    new_linear.in_features = new_linear.weight.shape[1]
    return new_layer, new_bn, new_linear


def saved_cost(
    shape: tuple[int, ...], next_shape: tuple[int, ...], positions: int, next_positions: int, removed: int
) -> tuple[int, int]:
    """Count the weights and the multiply-adds that are saved when a layer loses some of its outputs.

    Args:
        shape: shape of the weight of the layer that loses outputs: (out, in, kh, kw) of a convolution or (out, in) of
            a linear layer.
        next_shape: shape of the weight of the next layer, which reads these outputs: (out', out, kh', kw') of a
            convolution, or (out', in') of a linear layer behind `flatten(1)`, where each output of the layer
            before owns M = in' / out inputs. The two kernels may differ, and need not be square. Behind a linear
            layer comes a linear one with M = 1, and nothing else.
        positions: output positions h * w of the layer for one image; 1 for a linear layer.
        next_positions: the same of the next layer.
        removed: how many outputs go, between 0 and out, both included.

    Returns:
        (weights, macs), two Python ints: how many weights and MACs fewer the two layers have together, MACs for
        one image. Biases and BatchNorm do not count.

    Raises:
        ValueError: if the next layer does not read the outputs of the first one (out is not the second entry of a
            four-dimensional next_shape, or does not divide that of a two-dimensional one), or if `removed` is below 0
            or above out.

    Source: Li et al. (2016), section 3.1, arXiv:1608.08710: n_i k^2 h_{i+1} w_{i+1} + n_{i+2} k^2 h_{i+2} w_{i+2} MACs
    for one filter. There n_i is what is called in here, n_{i+1} is out, n_{i+2} is out', k the size of both
    kernels, and h_{i+1} w_{i+1} the positions.
    """
    out = shape[0]
    fits = next_shape[1] == out if len(next_shape) == 4 else next_shape[1] % out == 0
    if not fits:
        raise ValueError(f"a layer with weight {next_shape} does not read the outputs of one with {shape}")
    if not 0 <= removed <= out:
        raise ValueError(f"{removed} of {out} outputs cannot be removed")
    own = math.prod(shape[1:])  # weights of one output: in * kh * kw
    read = math.prod(next_shape) // out  # weights that read one output: out' * kh' * kw', or out' * in' / out
    return removed * (own + read), removed * (own * positions + read * next_positions)
