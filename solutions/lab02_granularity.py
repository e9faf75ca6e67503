"""Lab 2: how fine may we cut, and what does it cost? Masks of every granularity, and the bits of their positions.

The chapter that explains it: lecture_notes/lab02_granularity.md; the notebook: labs/lab02_granularity.ipynb.
"""

from collections.abc import Callable

import torch


def fine_grained_mask(weight: torch.Tensor, sparsity: float) -> torch.Tensor:
    """Remove single weights: the given fraction of them, the smallest magnitudes first.

    Args:
        weight: tensor of any shape with n entries, any floating dtype, contiguous or not; it is not changed.
        sparsity: fraction to remove, between 0 and 1, both included.

    Returns:
        Boolean tensor, same shape and device as `weight`. True = keep. Exactly `round(sparsity * n)` entries
        (Python's round) are False. Of equal magnitudes, the one earlier in `weight.flatten()` (row-major
        order) is removed first.

    Raises:
        ValueError: if the sparsity is below 0, above 1, or NaN.

    Source: Han et al. (2015), arXiv:1506.02626; "fine-grained" as in Mao et al. (2017), arXiv:1705.08922.
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"the sparsity must lie between 0 and 1, but it is {sparsity}")
    order = weight.abs().flatten().argsort(stable=True)  # [n]: positions, the smallest magnitude first
    mask = torch.ones_like(order, dtype=torch.bool)  # [n]
    mask[order[: round(sparsity * len(order))]] = False
    return mask.reshape(weight.shape)


def nm_mask(weight: torch.Tensor, n: int, m: int) -> torch.Tensor:
    """Keep the n largest magnitudes of every m consecutive inputs (N:M sparsity: at most N nonzero in every M).

    Args:
        weight: [out, in] of a linear layer or [out, in, kh, kw] of a convolution, any floating dtype, contiguous
            or not; it is not changed.
        n: how many of each group are kept, 0 <= n <= m.
        m: size of a group, >= 1. The groups lie along dimension 1, the inputs: 0 to m-1, m to 2m-1, and so on,
            and everything else (output, kernel row, kernel column) is fixed within a group.

    Returns:
        Boolean tensor, same shape and device as `weight`. True = keep. Exactly n entries of each group are True. Of
        equal magnitudes, the one with the lower input index is removed first.

    Raises:
        ValueError: if `weight` has fewer than two dimensions, if m is below 1 or does not divide the number of
            inputs, or if n is below 0 or above m.

    Source: Mishra et al. (2021), "Accelerating Sparse Deep Neural Networks", arXiv:2104.08378 (2:4).
    """
    if weight.dim() < 2:
        raise ValueError(f"a layer's weight has at least two dimensions, but this one has {weight.dim()}")
    if m < 1 or weight.shape[1] % m != 0:
        raise ValueError(f"groups of {m} do not divide the {weight.shape[1]} inputs")
    if not 0 <= n <= m:
        raise ValueError(f"{n} of {m} cannot be kept: n must lie between 0 and m")
    groups = weight.abs().unflatten(1, (-1, m))  # out, in / m, m, kh, kw
    order = groups.argsort(dim=2, stable=True)  # input indices within a group, the smallest magnitude first
    mask = torch.ones_like(groups, dtype=torch.bool)
    mask.scatter_(2, order[:, :, : m - n], False)
    return mask.flatten(1, 2)  # out, in, kh, kw


def vector_mask(
    weight: torch.Tensor, sparsity: float, prune: Callable[[torch.Tensor, float], torch.Tensor]
) -> torch.Tensor:
    """Remove vectors: a row of a kernel, the kw weights of one output, one input and one kernel row, goes as a whole.

    Args:
        weight: [out, in, kh, kw], any floating dtype, contiguous or not; it is not changed.
        sparsity: fraction of the vectors to remove.
        prune: the rule. `prune(scores, sparsity)` returns a boolean mask with the shape of `scores`. It may be
            any rule, not only `fine_grained_mask`: call it once, on the scores [out, in, kh]. The score of
            a vector is its L1 norm, the sum of |w| in the dtype of `weight`. You need not check the sparsity: that is
            the task of `prune`.

    Returns:
        Boolean tensor, same shape and device as `weight`, equal for all weights of a vector. True = keep.
        It may be a view, as `expand` makes it.

    Raises:
        ValueError: if `weight` does not have four dimensions.

    Source: Mao et al. (2017), "Exploring the Regularity of Sparse Structure in Convolutional Neural Networks",
    arXiv:1705.08922.
    """
    if weight.dim() != 4:
        raise ValueError(f"the weight of a convolution has four dimensions, but this one has {weight.dim()}")
    keep = prune(weight.abs().sum(dim=3), sparsity)  # out, in, kh
    return keep[:, :, :, None].expand(weight.shape).clone()


def kernel_mask(
    weight: torch.Tensor, sparsity: float, prune: Callable[[torch.Tensor, float], torch.Tensor]
) -> torch.Tensor:
    """Remove kernels: the kh * kw weights between one input and one output go as a whole.

    Args:
        weight: [out, in, kh, kw], any floating dtype, contiguous or not; it is not changed.
        sparsity: fraction of the kernels to remove.
        prune: the rule. `prune(scores, sparsity)` returns a boolean mask with the shape of `scores`. It may be
            any rule, not only `fine_grained_mask`: call it once, on the scores [out, in]. The score of
            a kernel is its L1 norm, the sum of |w| in the dtype of `weight`. You need not check the sparsity: that is
            the task of `prune`.

    Returns:
        Boolean tensor, same shape and device as `weight`, equal for all weights of a kernel. True = keep.
        It may be a view, as `expand` makes it.

    Raises:
        ValueError: if `weight` does not have four dimensions.

    Source: Mao et al. (2017), arXiv:1705.08922.
    """
    if weight.dim() != 4:
        raise ValueError(f"the weight of a convolution has four dimensions, but this one has {weight.dim()}")
    keep = prune(weight.abs().sum(dim=(2, 3)), sparsity)  # out, in
    return keep[:, :, None, None].expand(weight.shape).clone()


def filter_mask(
    weight: torch.Tensor, sparsity: float, prune: Callable[[torch.Tensor, float], torch.Tensor]
) -> torch.Tensor:
    """Remove filters: the in * kh * kw weights of one output go as a whole.

    Args:
        weight: [out, in, kh, kw], any floating dtype, contiguous or not; it is not changed.
        sparsity: fraction of the filters to remove.
        prune: the rule. `prune(scores, sparsity)` returns a boolean mask with the shape of `scores`. It may be
            any rule, not only `fine_grained_mask`: call it once, on the scores [out]. The score of
            a filter is its L1 norm, the sum of |w| in the dtype of `weight`. You need not check the sparsity: that is
            the task of `prune`.

    Returns:
        Boolean tensor, same shape and device as `weight`, equal for all weights of a filter. True = keep.
        It may be a view, as `expand` makes it.

    Raises:
        ValueError: if `weight` does not have four dimensions.

    Source: Li et al. (2016), "Pruning Filters for Efficient ConvNets", section 3.1, arXiv:1608.08710.
    """
    if weight.dim() != 4:
        raise ValueError(f"the weight of a convolution has four dimensions, but this one has {weight.dim()}")
    keep = prune(weight.abs().sum(dim=(1, 2, 3)), sparsity)  # out
    return keep[:, None, None, None].expand(weight.shape).clone()


def channel_mask(
    weight: torch.Tensor, sparsity: float, prune: Callable[[torch.Tensor, float], torch.Tensor]
) -> torch.Tensor:
    """Remove channels: the out * kh * kw weights that read one input go as a whole.

    Args:
        weight: [out, in, kh, kw], any floating dtype, contiguous or not; it is not changed.
        sparsity: fraction of the input channels to remove.
        prune: the rule. `prune(scores, sparsity)` returns a boolean mask with the shape of `scores`. It may be
            any rule, not only `fine_grained_mask`: call it once, on the scores [in]. The score of
            a channel is its L1 norm, the sum of |w| in the dtype of `weight`. You need not check the sparsity: that is
            the task of `prune`.

    Returns:
        Boolean tensor, same shape and device as `weight`, equal for all weights of a channel. True = keep.
        It may be a view, as `expand` makes it.

    Raises:
        ValueError: if `weight` does not have four dimensions.

    Source: channel-wise sparsity as in Wen et al. (2016), "Learning Structured Sparsity in Deep Neural Networks",
    arXiv:1608.03665.
    """
    if weight.dim() != 4:
        raise ValueError(f"the weight of a convolution has four dimensions, but this one has {weight.dim()}")
    keep = prune(weight.abs().sum(dim=(0, 2, 3)), sparsity)  # in
    return keep[None, :, None, None].expand(weight.shape).clone()


def index_bits(mask: torch.Tensor, granularity: str, m: int | None = None) -> int:
    """Count the bits that say where the kept weights of a layer are.

    Args:
        mask: boolean, [out, in, kh, kw], contiguous or not; True = keep.
        granularity: what one group is. "fine": a weight; "vector": the kw weights of a kernel row; "kernel": kh * kw
            weights; "filter": all weights of one output; "channel": all weights of one input; "layer": all
            weights; or "N:M": m consecutive inputs, as in `nm_mask`.
        m: size of a group; needed for "N:M", ignored for the others.

    Returns:
        Number of bits, an int. "N:M": each kept weight stores its place in its group of m, in ceil(log2(m)) bits.
        All others: the layer falls into G groups, and each kept group stores its number, from 0 to G - 1, in
        ceil(log2(G)) bits. Every kept one pays, also when nothing is removed.

    Raises:
        ValueError: if `mask` does not have four dimensions, if there is no such granularity, or if the mask does
            not have it: a group is kept in part; or, for "N:M", m is missing, below 1 or does not divide the number
            of inputs, or the groups do not all keep the same number of weights.

    Source: the cost of positions against granularity after Mao et al. (2017), arXiv:1705.08922, with absolute
    positions in place of that paper's own code for indices.
    """
    if mask.dim() != 4:
        raise ValueError(f"the mask of a convolution has four dimensions, but this one has {mask.dim()}")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m != 0:
            raise ValueError(f"groups of {m} do not divide the {inputs} inputs")
        kept = mask.unflatten(1, (-1, m)).sum(dim=2)  # out, in / m, kh, kw
        if len(kept.unique()) > 1:
            raise ValueError(f"the mask is not N:M: its groups of {m} keep different numbers of weights")
        return int(kept.sum()) * (m - 1).bit_length()
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "filter": inputs * kh * kw, "channel": out * kh * kw}
    sizes["layer"] = mask.numel()
    if granularity not in sizes:
        raise ValueError(f"there is no granularity {granularity!r}: choose one of {', '.join(sizes)}, N:M")
    in_order = mask.transpose(0, 1) if granularity == "channel" else mask
    groups = in_order.reshape(-1, sizes[granularity])  # G, weights in a group
    kept = groups.any(dim=1)  # G
    if (kept != groups.all(dim=1)).any():
        raise ValueError(f"the mask has not the granularity {granularity}: a group is kept in part")
    return int(kept.sum()) * (len(groups) - 1).bit_length()  # bit_length of G - 1 is ceil(log2(G))
