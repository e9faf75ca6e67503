"""Lab 6: Can training itself make the zeros? Penalties, proximal steps, BatchNorm scales, and the constant they leave.

The chapter that explains it: lecture_notes/lab06_regularization_and_scaling.md; the notebook: labs/lab06_regularization_and_scaling.ipynb.
"""

import torch


def l1_penalty(weights: dict[str, torch.Tensor], strength: float) -> torch.Tensor:
    """Compute the L1 penalty of a network: strength times the sum of all the magnitudes.

    Args:
        weights: {layer name: weight tensor of any shape, one floating dtype and device for all}. A tensor may be a
            parameter that requires gradients. No tensor is changed.
        strength: the factor lambda, 0 or more; infinity need not be handled.

    Returns:
        Tensor without dimensions, dtype and device of the weights, through which gradients flow: after
        `(loss + l1_penalty(weights, strength)).backward()` each weight's gradient holds the penalty's share too,
        strength * sign(w). At a weight that is exactly 0 this share is 0. An empty tensor adds nothing.

    Raises:
        ValueError: if `weights` has no entry, or if `strength` is negative or NaN.

    Source: Tibshirani (1996), "Regression Shrinkage and Selection via the Lasso"; for the weights of a network to
    be pruned, Han, Pool, Tran and Dally (2015), section 3.1, arXiv:1506.02626.
    """
    if not weights:
        raise ValueError("there is nothing to penalise: weights is empty")
    if not strength >= 0:
        raise ValueError(f"the strength must be 0 or more, but it is {strength}")
    return strength * sum(weight.abs().sum() for weight in weights.values())


def l2_penalty(weights: dict[str, torch.Tensor], strength: float) -> torch.Tensor:
    """Compute the L2 penalty of a network: strength times the sum of all the squares, without a half and without a root.

    Args:
        weights: {layer name: weight tensor of any shape, one floating dtype and device for all}. A tensor may be a
            parameter that requires gradients. No tensor is changed.
        strength: the factor lambda, 0 or more; infinity need not be handled.

    Returns:
        Tensor without dimensions, dtype and device of the weights, through which gradients flow: each weight's
        gradient gets the share 2 * strength * w. An empty tensor adds nothing.

    Raises:
        ValueError: if `weights` has no entry, or if `strength` is negative or NaN.

    Source: Han et al. (2015), section 3.1, arXiv:1506.02626. In plain SGD this is `weight_decay = 2 * strength`.
    """
    if not weights:
        raise ValueError("there is nothing to penalise: weights is empty")
    if not strength >= 0:
        raise ValueError(f"the strength must be 0 or more, but it is {strength}")
    return strength * sum(weight.square().sum() for weight in weights.values())


def group_lasso_penalty(weights: dict[str, torch.Tensor], strength: float) -> torch.Tensor:
    """Compute the group-lasso penalty of a network, with one group for each output unit of each layer.

    Args:
        weights: {layer name: [out, in] of a linear layer or [out, in, kh, kw] of a convolution, or another tensor of
            two or more dimensions, none of them empty, one floating dtype and device for all}. Group i of a layer
            is everything in `weight[i]`. A tensor may be a parameter that requires gradients. No tensor is changed.
        strength: the factor lambda, 0 or more; infinity need not be handled.

    Returns:
        Tensor without dimensions, dtype and device of the weights:
        strength * sum over layers of sqrt(p) * sum over the groups of ||weight[i]||_2, where p is the number of
        weights in one group of that layer, and the norm is the root of the sum of squares. Gradients flow through it.
        A group whose weights are all exactly 0 adds 0, and its share of the gradient is 0, not NaN.

    Raises:
        ValueError: if `weights` has no entry, if a weight has fewer than two dimensions, or if `strength` is
            negative or NaN.

    Source: Yuan and Lin (2006), "Model Selection and Estimation in Regression with Grouped Variables", with the
    factor sqrt(p); for the filters of a network, without that factor, Wen, Wu, Wang, Chen and Li (2016),
    arXiv:1608.03665.
    """
    if not weights:
        raise ValueError("there is nothing to penalise: weights is empty")
    if not strength >= 0:
        raise ValueError(f"the strength must be 0 or more, but it is {strength}")
    total = 0
    for name, weight in weights.items():
        if weight.dim() < 2:
            raise ValueError(
                f"{name} has {weight.dim()} dimension(s): a weight needs at least two to have rows"
            )
        rows = weight.flatten(start_dim=1)  # [out, p]
        norms = torch.linalg.vector_norm(
            rows, dim=1
        )  # [out]; its gradient at a zero row is 0, that of sqrt is not
        total = total + rows.shape[1] ** 0.5 * norms.sum()
    return strength * total


def soft_threshold(values: torch.Tensor, threshold: float) -> torch.Tensor:
    """Move every entry towards zero by the threshold, and make those that would cross zero exactly zero.

    Args:
        values: tensor of any shape and floating dtype, finite; it may require gradients. It is not changed.
        threshold: t, 0 or more; infinity need not be handled. In a training step it is the learning rate times the
            strength of the penalty.

    Returns:
        A new tensor, shape, dtype and device of `values`, detached: no gradient flows through it. Entry v becomes
        v - t where v > t, v + t where v < -t, and 0 where |v| <= t. Threshold 0 gives a copy.

    Raises:
        ValueError: if `threshold` is negative or NaN.

    Source: the proximal operator of t * |v|. Parikh and Boyd (2014), "Proximal Algorithms", section 6.5; in
    training, Beck and Teboulle (2009), "A Fast Iterative Shrinkage-Thresholding Algorithm".
    """
    if not threshold >= 0:
        raise ValueError(f"the threshold must be 0 or more, but it is {threshold}")
    values = values.detach()
    return values.sign() * (values.abs() - threshold).clamp(min=0)


def group_soft_threshold(weight: torch.Tensor, threshold: float) -> torch.Tensor:
    """Shorten every row of a weight by the threshold, and make the rows that are no longer than it exactly zero.

    Args:
        weight: [out, in] or [out, in, kh, kw], or another tensor of two or more dimensions, any floating dtype,
            finite, not empty; it may require gradients. Row i is everything in `weight[i]`. It is not changed.
        threshold: t, 0 or more: by how much the L2 norm of each row shrinks; infinity need not be handled. (For a
            step with the penalty of `group_lasso_penalty`, the caller gives learning rate * strength * sqrt(p).)

    Returns:
        A new tensor, shape, dtype and device of `weight`, detached: no gradient flows through it. A row w of norm
        n > t becomes w * (1 - t / n): its direction stays, its norm is n - t. A row of norm n <= t, a row of zeros
        included, becomes exactly 0. Threshold 0 gives a copy.

    Raises:
        ValueError: if `weight` has fewer than two dimensions, or if `threshold` is negative or NaN.

    Source: the proximal operator of t * ||w||_2. Parikh and Boyd (2014), "Proximal Algorithms", section 6.5
    (block soft thresholding).
    """
    if weight.dim() < 2:
        raise ValueError(f"the weight has {weight.dim()} dimension(s): it needs at least two to have rows")
    if not threshold >= 0:
        raise ValueError(f"the threshold must be 0 or more, but it is {threshold}")
    rows = weight.detach().flatten(start_dim=1)  # [out, p]
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)  # [out, 1]
    factors = torch.where(norms > threshold, (norms - threshold) / norms, 0)  # [out, 1]; 0 / 0 is not chosen
    return (rows * factors).reshape(weight.shape)


def scale_masks(scales: dict[str, torch.Tensor], sparsity: float, least: int = 0) -> dict[str, torch.Tensor]:
    """Choose the channels to keep by their BatchNorm scale: one ranking over all the layers, and a floor for each.

    Args:
        scales: {layer name: the scales gamma of its BatchNorm, shape [channels], floating dtype, finite}. They may be
            negative, and may require gradients. They are not changed. Other shapes and NaN need not be handled.
        sparsity: fraction of the channels of all layers together to remove, between 0 and 1, both included.
        least: the floor: how many channels every layer keeps at least, 0 or more. A layer that has no more than
            `least` channels keeps them all.

    Returns:
        {layer name: boolean tensor [channels] on the device of its scales}, True = keep; the same names in the same
        order. Of n channels in all layers together exactly round(sparsity * n) are removed (Python's round): those with the
        smallest |gamma|. Of equal ones the earlier goes first: layers in the order of the dictionary (not of their
        names), in a layer the lowest index. A channel whose layer has only `least` channels left is passed over, and the next one in the
        ranking goes instead.

    Raises:
        ValueError: if `scales` has no entry, if `sparsity` is below 0, above 1 or NaN, if `least` is negative, or if
            the floor leaves fewer than round(sparsity * n) channels to remove.

    Source: Liu, Li, Shen, Huang, Yan and Zhang (2017), "Learning Efficient Convolutional Networks through Network
    Slimming", arXiv:1708.06519: one threshold for the whole network. They have no floor.
    """
    if not scales:
        raise ValueError("there is no layer: scales is empty")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"the sparsity must lie between 0 and 1, but it is {sparsity}")
    if least < 0:
        raise ValueError(f"the floor must be 0 or more channels, but it is {least}")
    masks = {name: torch.ones(len(g), dtype=torch.bool, device=g.device) for name, g in scales.items()}
    channels = [(name, c, g) for name, layer in scales.items() for c, g in enumerate(layer.abs().tolist())]
    left = {name: len(layer) for name, layer in scales.items()}
    wanted = removable = round(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda channel: channel[2]):  # a stable sort: ties stay in order
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError(
            f"{removable} channels are to go, but the floor of {least} lets only {removable - wanted} go"
        )
    return masks


def fold_constant(
    weight: torch.Tensor, bias: torch.Tensor | None, shifts: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Compute the bias that replaces removed channels, each of which gives the constant ReLU(beta) at every position.

    Args:
        weight: of the *next* layer, any floating dtype: [out, channels, kh, kw] of a convolution, or
            [out, channels * positions] of a linear layer after `flatten`, in which channel c owns the entries
            c * positions to (c + 1) * positions - 1 (positions is 1 where nothing was flattened). Not changed.
        bias: [out], that layer's bias, or None where it has none. Not changed. A wrong length, or a weight of
            another number of dimensions, need not be handled.
        shifts: [channels], the beta of the BatchNorm before. A removed channel has gamma = 0, so its BatchNorm gives
            beta everywhere, the ReLU after it max(beta, 0), and max-pooling does not change a constant. All tensors are
            finite, on one device, and of one floating dtype (the mask apart).
        mask: boolean [channels], True = the channel is kept.

    Returns:
        A new tensor [out], dtype and device of `weight`, detached: `bias` (or 0) plus what the removed channels
        add to each output, the constant of the channel times the sum of all the weights that it meets.
        A kept channel adds nothing.
        The result is exact for a linear layer and for a convolution without zero padding. With zero padding it is
        the value inside the image: at the border fewer weights meet the constant.

    Raises:
        ValueError: if `shifts` and `mask` do not have the same shape [channels], with at least one channel, or if the
            second dimension of `weight` does not fit: it must be `channels` for a convolution, and a multiple of it
            for a linear layer.

    Source: Ye, Lu, Lin and Wang (2018), "Rethinking the Smaller-Norm-Less-Informative Assumption in Channel Pruning
    of Convolution Layers", arXiv:1802.00124: constant channels are absorbed into the layers that they reach.
    """
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError(f"shifts {list(shifts.shape)} and mask {list(mask.shape)} must both be [channels]")
    channels, inputs = len(shifts), weight.shape[1]
    if inputs != channels and (weight.dim() > 2 or inputs % channels):
        raise ValueError(f"a weight {list(weight.shape)} does not follow a layer of {channels} channels")
    constants = shifts.detach().clamp(min=0).masked_fill(mask, 0)  # [channels]
    sums = weight.detach().reshape(len(weight), channels, -1).sum(dim=2)  # [out, channels]
    added = sums @ constants  # [out]
    return added if bias is None else bias.detach() + added
