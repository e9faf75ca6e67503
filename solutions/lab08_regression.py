"""Lab 8: can the layer's output choose for us? Channels chosen by a Lasso, weights rebuilt by least squares.

The chapter that explains it: lecture_notes/lab08_regression.md; the notebook: labs/lab08_regression.ipynb.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F


def sample_patches(
    inputs: torch.Tensor,
    positions: torch.Tensor,
    kernel_size: tuple[int, int],
    stride: int = 1,
    padding: int = 0,
) -> torch.Tensor:
    """Cut out the parts of a layer's input from which the layer computes its output at some positions.

    Args:
        inputs: what the convolution is given, shape [B, in, H, W], any floating dtype.
        positions: int64, shape [B, P, 2]: for each input its own P places (row, column) of the *output*. The
            rows of an output run from 0 to (H + 2 * padding - kh) // stride, its columns in the same way. A place
            may occur more than once. P may be 0.
        kernel_size: (kh, kw), each at least 1. The kernel fits into the padded input.
        stride: the convolution's stride, the same along both axes, at least 1.
        padding: how many zeros the convolution adds at each of the four edges, at least 0.

    Returns:
        A new tensor of shape [B * P, in, kh, kw], same dtype and device as `inputs`. Entry b * P + p belongs to
        place p of input b: with weight [out, in, kh, kw], the sum of weight[o] * patch is the convolution's
        output (without its bias) in channel o at that place.

    Raises:
        ValueError: if `inputs` does not have four dimensions, `positions` does not have the shape [B, P, 2], or a
            place lies outside the output (a negative one does).

    Source: the sampled patches X of He, Zhang and Sun (2017), section 3.1, arXiv:1707.06168.
    """
    if inputs.dim() != 4:
        raise ValueError(f"inputs must have the shape [B, in, H, W], not {list(inputs.shape)}")
    if positions.dim() != 3 or positions.shape[0] != len(inputs) or positions.shape[2] != 2:
        raise ValueError(f"positions must have the shape [{len(inputs)}, P, 2], not {list(positions.shape)}")
    kh, kw = kernel_size
    padded = F.pad(inputs, (padding, padding, padding, padding))  # B, in, H + 2 padding, W + 2 padding
    rows, columns = ((size - k) // stride + 1 for size, k in zip(padded.shape[2:], (kh, kw)))  # of the output
    r, c = positions.unbind(dim=2)  # B, P each
    if ((r < 0) | (r >= rows) | (c < 0) | (c >= columns)).any():
        raise ValueError(f"the output has {rows} rows and {columns} columns: a place lies outside")
    windows = padded.unfold(2, kh, stride).unfold(3, kw, stride)  # B, in, rows, columns, kh, kw
    image = torch.arange(len(inputs), device=inputs.device)[:, None]  # B, 1
    return windows[image, :, r, c].flatten(0, 1)  # B, P, in, kh, kw -> B * P, in, kh, kw


def channel_contributions(patches: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Split a layer's output into one part for each input channel.

    Args:
        patches: shape [N, in, kh, kw], floating dtype: N samples of the layer's input.
        weight: the layer's weight, shape [out, in, kh, kw], same dtype.

    Returns:
        A tensor Z of shape [in, N, out], same dtype: Z[c, n, o] is what channel c of sample n adds to output o.
        The sum of Z over c is the layer's output without its bias, shape [N, out]. The arguments are unchanged.

    Raises:
        ValueError: if patches and weight do not both have four dimensions, or differ in one of the last three.

    Source: Z_i = X_i W_i^T of He, Zhang and Sun (2017), section 3.1, arXiv:1707.06168.
    """
    if patches.dim() != 4 or weight.dim() != 4 or patches.shape[1:] != weight.shape[1:]:
        raise ValueError(
            f"patches {list(patches.shape)} and weight {list(weight.shape)} must have four dimensions and agree in "
            "the last three"
        )
    return torch.einsum("nihw,oihw->ino", patches, weight)


def lasso_betas(contributions: torch.Tensor, targets: torch.Tensor, penalty: float) -> torch.Tensor:
    """Find one factor for each channel, so that few channels are left and the output stays near the target.

    Args:
        contributions: Z, shape [in, N, out], float32 or float64; N and out at least 1.
        targets: Y, shape [N, out], same dtype.
        penalty: lambda, at least 0.

    Returns:
        beta, shape [in], dtype and device of `contributions`: a vector that minimises

            1 / (2 * N * out) * (sum of all entries of (Y - sum over c of beta_c * Z[c])^2)
            + penalty * (sum over c of |beta_c|).

        Its value of this objective exceeds the minimum by at most 1e-6 of the objective's value at beta = 0. An
        entry that is zero at the minimum is exactly 0.0, and not a small number. Entries may be negative. A channel
        whose contributions are all zero gets 0.0. With penalty 0 several vectors may be minimal: return any.
        The arguments are unchanged.

    Raises:
        ValueError: if `penalty` is negative or NaN, or if the shapes do not fit together as above.

    Source: He, Zhang and Sun (2017), section 3.1, step (i), arXiv:1707.06168. With the factor 1 / (2 * N * out)
    this is the objective of scikit-learn's `Lasso` on N * out rows, without intercept.
    """
    if not penalty >= 0:
        raise ValueError(f"the penalty must not be negative, but it is {penalty}")
    if contributions.dim() != 3 or contributions.shape[1:] != targets.shape:
        raise ValueError(
            f"contributions {list(contributions.shape)} must be [in, N, out], targets {list(targets.shape)} [N, out]"
        )
    a = contributions.flatten(1)  # in, N * out: the columns of the regression, as rows
    rows = a.shape[1]
    gram = (a @ a.t() / rows).double().cpu().numpy()  # in, in
    slope = (
        (a @ targets.flatten() / rows).double().cpu().numpy()
    )  # in: minus the gradient of the squared part
    small = 1e-8 * targets.double().square().mean().sqrt().item()
    beta = np.zeros(len(gram))
    for _ in range(10_000):
        largest = 0.0  # change of beta_c * sqrt(G_cc) in this round
        for c in range(len(beta)):
            if gram[c, c] == 0:
                continue
            free = slope[c] + gram[c, c] * beta[c]  # f_c: what channel c could explain of the rest
            new = np.sign(free) * max(abs(free) - penalty, 0.0) / gram[c, c]  # soft threshold
            if new != beta[c]:
                largest = max(largest, abs(new - beta[c]) * gram[c, c] ** 0.5)
                slope -= (new - beta[c]) * gram[c]
                beta[c] = new
        if largest <= small:
            break
    return torch.from_numpy(beta).to(contributions)


def search_penalty(
    solve: Callable[[float], torch.Tensor], count: int, highest: float, tolerance: float = 1e-4
) -> tuple[float, torch.Tensor]:
    """Find a penalty that leaves a given number of channels.

    Args:
        solve: solve(penalty) returns the factors beta, shape [in], for a penalty; the same penalty gives the same
            factors. A channel is left when its factor is not exactly 0. With a larger penalty fewer channels are
            left, or as many, with few exceptions.
        count: how many channels may be left, at least 0.
        highest: a penalty, above 0, at which no more than `count` channels are left.
        tolerance: relative width, above 0, at which the search may stop. Below 1e-14 the limit on the calls ends the
            search first, and that is right.

    Returns:
        (penalty, beta) with 0 <= penalty <= highest (a float) and beta = solve(penalty). If already solve(0.0) leaves
        no more than `count`, the penalty is 0.0, whatever solve(highest) leaves. Else, where the search meets a
        penalty that leaves exactly `count` channels, it returns that one (any such penalty is right, `highest` too).
        Otherwise fewer are left, and at the penalty minus `tolerance * highest`, or closer, more than `count` were
        left: then several channels leave at the same penalty.

    `solve` is expensive: it is called at most 50 times.

    Raises:
        ValueError: if `count` is negative, `highest` or `tolerance` is not above 0 (NaN is not), or solve(highest)
            leaves more than `count` (and solve(0.0) does, too).

    Source: He, Zhang and Sun (2017), section 3.1, raise lambda until c' channels are left; their code bisects.
    """
    if count < 0 or not highest > 0 or not tolerance > 0:
        raise ValueError(
            f"count must not be negative, highest and tolerance must be above 0: {count}, {highest}, {tolerance}"
        )
    beta = solve(0.0)
    if int((beta != 0).sum()) <= count:
        return 0.0, beta
    low, high, best = 0.0, float(highest), solve(float(highest))
    if int((best != 0).sum()) > count:
        raise ValueError(f"at the penalty {highest} more than {count} channels are left")
    for _ in range(48):
        if int((best != 0).sum()) == count or high - low <= tolerance * highest:
            break
        middle = (low + high) / 2
        beta = solve(middle)
        if int((beta != 0).sum()) > count:
            low = middle
        else:
            high, best = middle, beta
    return high, best


def reconstruct_weights(patches: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Compute the weights with which the channels that are left come closest to the target.

    Args:
        patches: X, the samples of the channels that are left, shape [N, kept, kh, kw], float32 or float64.
            N, kept, kh and kw are at least 1.
        targets: Y, shape [N, out], same dtype: the outputs to reach, without the layer's bias.

    Returns:
        W', shape [out, kept, kh, kw], dtype and device of `patches`: it minimises the sum of the squares of
        Y - (X as a matrix [N, kept * kh * kw]) @ (W' as a matrix [out, kept * kh * kw])^T. There is no intercept.
        Where several weights are minimal (fewer samples than weights of an output; a channel that is zero in every
        sample; two channels that are equal), any of them is right, as long as every entry is finite. The arguments
        are unchanged.

    Raises:
        ValueError: if `patches` does not have four dimensions, `targets` does not have two, or they differ in N.

    Source: He, Zhang and Sun (2017), section 3.1, step (ii), arXiv:1707.06168.
    """
    if patches.dim() != 4 or targets.dim() != 2 or len(patches) != len(targets):
        raise ValueError(
            f"patches {list(patches.shape)} must be [N, kept, kh, kw], targets {list(targets.shape)} [N, out]"
        )
    x = patches.flatten(1).double().cpu()  # N, kept * kh * kw
    solution = torch.linalg.lstsq(x, targets.double().cpu(), driver="gelsd").solution  # kept * kh * kw, out
    return solution.t().reshape(-1, *patches.shape[1:]).to(patches)


def regression_prune(
    patches: torch.Tensor,
    targets: torch.Tensor,
    weight: torch.Tensor,
    counts: list[int],
    contribute: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    choose: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor],
    reconstruct: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Prune the input channels of one layer: choose channels and rebuild the weights, in turn.

    Args:
        patches: X, shape [N, in, kh, kw].
        targets: Y, shape [N, out]: the outputs to keep, without the layer's bias.
        weight: the layer's weight, shape [out, in, kh, kw]. All tensors have one floating dtype, in every round.
        counts: how many channels may be left after each round; each entry at least 1, none larger than the one
            before. One entry: choose once and rebuild once.
        contribute: contribute(patches, weight) returns what each channel adds, shape [in, N, out].
        choose: choose(contributions, targets, count) returns the factors beta, shape [in], at least one and at most
            `count` of them nonzero. It gives 0 to a channel that contributes nothing.
        reconstruct: reconstruct(patches of the channels that are left, targets) returns their weights,
            shape [out, kept, kh, kw].

    Returns:
        kept: int64, the channels that are left at the end, ascending.
        new_weight: their weights, shape [out, len(kept), kh, kw].

    A round takes the weights as they are (`weight` at first; later those of the round before, with zeros in the
    slices of the channels that have left), divides the slice W[:, c] of every channel by its Frobenius norm (a slice
    of zeros stays zero), and calls `contribute` with *all* the patches and these weights, once, and `choose`, once.
    The channels whose beta is not exactly 0 are left. Then `reconstruct` is called, once, with the patches of these
    channels, ascending. What it returns are the weights: the factors beta only choose. The arguments are unchanged.

    Raises:
        ValueError: if `counts` is empty, holds an entry below 1, or rises. Nothing has been called then.

    Source: He, Zhang and Sun (2017), section 3.1, equation 2 and the two steps after it, arXiv:1707.06168.
    """
    if not counts or min(counts) < 1:
        raise ValueError(f"counts must hold at least one entry, each at least 1, but it is {counts}")
    if any(later > earlier for earlier, later in zip(counts, counts[1:])):
        raise ValueError(f"counts must not rise, but it is {counts}")
    weight = weight.clone()
    for count in counts:
        norms = weight.square().sum(dim=(0, 2, 3), keepdim=True).sqrt()  # 1, in, 1, 1
        unit = weight / torch.where(norms > 0, norms, 1)  # every slice has norm 1, or 0
        beta = choose(contribute(patches, unit), targets, count)  # in
        kept = beta.nonzero().flatten()  # ascending
        weight = torch.zeros_like(weight)
        weight[:, kept] = reconstruct(patches[:, kept], targets)
    return kept, weight[:, kept]


def prune_in_order(
    layers: list[str],
    read_inputs: Callable[[str], torch.Tensor],
    read_targets: Callable[[str], torch.Tensor],
    prune_layer: Callable[[str, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    write: Callable[[str, torch.Tensor, torch.Tensor], None],
) -> dict[str, torch.Tensor]:
    """Prune a network layer after layer, so that each layer repairs what the layers before it have lost.

    Args:
        layers: names of the layers to prune, in the order in which the network runs them. May be empty.
        read_inputs: read_inputs(name) returns the layer's patches [N, in, kh, kw], computed by the network *as it
            is when you call*: what `write` has changed so far counts.
        read_targets: read_targets(name) returns the outputs of the same layer in the *original* network at the same
            places, shape [N, out], whenever you call it.
        prune_layer: prune_layer(name, patches, targets) returns (kept, new weights); it changes nothing.
        write: write(name, kept, new weights) puts them into the network.

    Returns:
        {layer name: kept}, in the order of `layers`.

    For each layer: inputs as the pruned network gives them now, targets of the original network, prune,
    write. Each of the four is called exactly once for each layer, `write` of a layer before `read_inputs` of the
    next.

    Raises:
        ValueError: if a layer is named twice. Nothing has been called then.

    Source: He, Zhang and Sun (2017), section 3.2 (whole model pruning), arXiv:1707.06168.
    """
    if len(set(layers)) < len(layers):
        raise ValueError(f"a layer is named twice in {layers}")
    kept = {}
    for name in layers:
        patches, targets = read_inputs(name), read_targets(name)
        kept[name], weight = prune_layer(name, patches, targets)
        write(name, kept[name], weight)
    return kept
