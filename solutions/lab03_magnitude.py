"""Lab 3: which weights matter, and in which layers? Magnitude scores, masks, and the sensitivity scan.

The chapter that explains it: lecture_notes/lab03_magnitude.md; the notebook: labs/lab03_magnitude.ipynb.
"""

from collections.abc import Callable

import torch


def threshold_mask(weight: torch.Tensor, threshold: float) -> torch.Tensor:
    """Keep every weight whose magnitude reaches a fixed threshold.

    Args:
        weight: tensor of any shape, any floating dtype; it is not changed.
        threshold: smallest magnitude that is kept, >= 0, in the units of the weights.

    Returns:
        Boolean tensor, same shape and device as `weight`. True = keep: |w| >= threshold.
        A weight exactly at the threshold is kept.

    Raises:
        ValueError: if the threshold is negative or NaN.

    Source: Han, Pool, Tran and Dally (2015), "Learning both Weights and Connections for Efficient Neural
    Networks", section 3, arXiv:1506.02626.
    """
    if not threshold >= 0:  # written so that NaN is refused too
        raise ValueError(f"the threshold must be a number >= 0, but it is {threshold}")
    return weight.abs() >= threshold


def magnitude_mask(weight: torch.Tensor, sparsity: float) -> torch.Tensor:
    """Remove the given fraction of the weights, the smallest magnitudes first.

    Args:
        weight: tensor of any shape with n entries, any floating dtype, contiguous or not; it is not changed.
        sparsity: fraction to remove, between 0 and 1, both included.

    Returns:
        Boolean tensor, same shape and device as `weight`. True = keep. Exactly `round(sparsity * n)` entries
        (Python's round) are False. Of equal magnitudes, the one earlier in `weight.flatten()` (row-major
        order) is removed first.

    Raises:
        ValueError: if the sparsity is below 0, above 1, or NaN.

    Source: Han et al. (2015), arXiv:1506.02626; pruning by rank instead of by threshold.
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"the sparsity must lie between 0 and 1, but it is {sparsity}")
    scores = weight.abs().flatten()  # [n]
    removed = torch.argsort(scores, stable=True)[: round(sparsity * scores.numel())]
    mask = torch.ones_like(scores, dtype=torch.bool)  # [n]
    mask[removed] = False
    return mask.reshape(weight.shape)


def row_scores(weight: torch.Tensor, p: int = 1) -> torch.Tensor:
    """Score each output row of a layer by the norm of its weights.

    Args:
        weight: [out, in] of a linear layer or [out, in, kh, kw] of a convolution, any floating dtype.
        p: 1 for the L1 norm (sum of |w|), 2 for the L2 norm (square root of the sum of w^2).

    Returns:
        Tensor [out], dtype and device of `weight`; entry i is the norm of everything in `weight[i]`.
        Higher = keep.

    Raises:
        ValueError: if `weight` has fewer than two dimensions, or if p is neither 1 nor 2.

    Source: Li, Kadav, Durdanovic, Samet and Graf (2016), "Pruning Filters for Efficient ConvNets",
    section 3.1 (s_j = sum of |K|), arXiv:1608.08710.
    """
    if weight.dim() < 2:
        raise ValueError(f"a layer's weight has at least two dimensions, but this one has {weight.dim()}")
    if p not in (1, 2):
        raise ValueError(f"p must be 1 or 2, but it is {p}")
    rows = weight.flatten(start_dim=1)  # [out, in * kh * kw]
    return torch.linalg.vector_norm(rows, ord=p, dim=1)  # in float16 a square of its own would overflow


def uniform_masks(
    weights: dict[str, torch.Tensor],
    sparsity: float,
    prune: Callable[[torch.Tensor, float], torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Prune every layer to the same sparsity.

    Args:
        weights: {layer name: weight tensor of any shape}; the tensors are not changed.
        sparsity: fraction to remove from each layer.
        prune: the rule. `prune(weight, sparsity)` returns a boolean mask with the shape of `weight`.
            It may be any rule, not only `magnitude_mask`: call it, do not write it again. You need not check the
            sparsity: that is the task of `prune`.

    Returns:
        {layer name: boolean mask with the shape of that layer's weight}, the same names.

    Raises:
        ValueError: if `weights` is empty.

    Source: the layer-wise baseline of Zhu and Gupta (2017), arXiv:1710.01878.
    """
    if not weights:
        raise ValueError("there is no layer to prune: weights is empty")
    return {name: prune(weight, sparsity) for name, weight in weights.items()}


def global_masks(
    weights: dict[str, torch.Tensor],
    sparsity: float,
    prune: Callable[[torch.Tensor, float], torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Prune all layers together: one pool, one ranking, each layer ends with a sparsity of its own.

    Args:
        weights: {layer name: weight tensor of any shape}, one dtype and device; the tensors are not changed.
        sparsity: fraction to remove from all the weights together.
        prune: the rule. `prune(weight, sparsity)` returns a boolean mask with the shape of `weight`.
            It may be any rule, not only `magnitude_mask`: call it once, on all the weights as one vector [n],
            layer after layer in the order of the dictionary, each flattened in row-major order. You need not check
            the sparsity: that is the task of `prune`.

    Returns:
        {layer name: boolean mask with the shape of that layer's weight}, the same names.

    Raises:
        ValueError: if `weights` is empty.

    Source: global pruning as in Blalock et al. (2020), "What is the State of Neural Network Pruning?",
    section 2.3, arXiv:2003.03033; `torch.nn.utils.prune.global_unstructured` does the same.
    """
    if not weights:
        raise ValueError("there is no layer to prune: weights is empty")
    pool = torch.cat([weight.flatten() for weight in weights.values()])  # [n]
    parts = prune(pool, sparsity).split([weight.numel() for weight in weights.values()])
    return {name: part.reshape(weight.shape) for (name, weight), part in zip(weights.items(), parts)}


def sensitivity_scan(
    weights: dict[str, torch.Tensor],
    sparsities: list[float],
    prune: Callable[[torch.Tensor, float], torch.Tensor],
    evaluate: Callable[[], float],
) -> dict[str, list[float]]:
    """Prune one layer at a time, at each sparsity, and record the network's accuracy.

    Args:
        weights: {layer name: the network's own weight (an nn.Parameter is usual)}. The scan sets entries of one
            layer to zero in place, so that the network uses the pruned values, and puts them back before the
            next measurement.
        sparsities: fractions to remove, in the order to be reported.
        prune: the rule. `prune(weight, sparsity)` returns a boolean mask with the shape of `weight`. Each mask
            is taken from the unpruned weight.
        evaluate: takes no argument, returns the network's accuracy as it is now.

    Returns:
        {layer name: [accuracy with only this layer pruned, one for each entry of `sparsities`]}.
        Empty `weights` give {}.

    After the scan, and also when `evaluate` raises (let its error pass), each weight
        - has the same values as before, bit for bit;
        - is the same tensor object in the dictionary;
        - has the same `requires_grad` and no new `.grad`.

    Source: Han et al. (2015), figure 6, arXiv:1506.02626.
    """
    scan = {}
    for name, weight in weights.items():
        original = weight.detach().clone()
        scan[name] = []
        for sparsity in sparsities:
            mask = prune(original, sparsity)
            try:
                with torch.no_grad():
                    weight.copy_(torch.where(mask, original, 0))
                scan[name].append(evaluate())
            finally:
                with torch.no_grad():
                    weight.copy_(original)
    return scan


def choose_sparsities(
    scan: dict[str, list[float]], sparsities: list[float], baseline: float, tolerance: float
) -> dict[str, float]:
    """Choose for each layer the largest sparsity that a sensitivity scan calls safe.

    Args:
        scan: {layer name: [accuracy at each entry of `sparsities`]}, as `sensitivity_scan` returns it.
        sparsities: the scanned sparsities, strictly increasing.
        baseline: accuracy of the unpruned network, same unit as the scan.
        tolerance: the drop in accuracy that you accept, >= 0, same unit.

    Returns:
        {layer name: sparsity}. A scanned sparsity is safe when the accuracy there, *and at every smaller scanned
        sparsity*, is at least `baseline - tolerance`. The largest safe one is chosen; 0.0 where none is safe.

    Raises:
        ValueError: if the tolerance is negative, if `sparsities` is not strictly increasing, or if a layer has
            not exactly one accuracy for each sparsity.

    Source: the choice of each layer's threshold from its sensitivity in Han et al. (2015), section 5,
    arXiv:1506.02626.
    """
    if tolerance < 0:
        raise ValueError(f"the tolerance must be >= 0, but it is {tolerance}")
    if any(later <= earlier for earlier, later in zip(sparsities, sparsities[1:])):
        raise ValueError(f"the sparsities must be strictly increasing, but they are {sparsities}")
    chosen = {}
    for name, accuracies in scan.items():
        if len(accuracies) != len(sparsities):
            raise ValueError(f"{name} has {len(accuracies)} accuracies for {len(sparsities)} sparsities")
        chosen[name] = 0.0
        for sparsity, accuracy in zip(sparsities, accuracies):
            if accuracy < baseline - tolerance:
                break
            chosen[name] = sparsity
    return chosen
