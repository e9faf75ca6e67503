"""Lab 12: what must workers tell each other? Sparse gradient messages, their bytes, and what happens to the rest.

The chapter that explains it: lecture_notes/lab12_gradient_sparsity.md; the notebook: labs/lab12_gradient_sparsity.ipynb.
"""

from collections.abc import Callable

import torch


def threshold_sparsify(gradient: torch.Tensor, threshold: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Make a message of every gradient entry whose magnitude reaches a fixed threshold.

    Args:
        gradient: tensor of any shape with n entries, any floating dtype, contiguous or not, without NaN; it
            is not changed. It may be a parameter or carry a gradient history.
        threshold: the smallest magnitude that is sent, >= 0. It may be infinite: then only infinite entries
            are sent.

    Returns:
        indices: int64 tensor [k], the positions in the flattened gradient (row after row) with |g| >=
            threshold, rising. An entry exactly at the threshold is sent; with threshold 0 all n entries are,
            zeros too. k may be 0.
        values: [k], the gradient's entries at these positions, signs included, in its dtype; a copy without
            gradient history.
        Both are on the gradient's device.

    Raises:
        ValueError: if the threshold is negative or NaN.

    Source: a fixed threshold, Strom (2015), "Scalable Distributed DNN Training Using Commodity GPU Cloud
    Computing", Interspeech; here the values are sent as they are, and not rounded to plus or minus the threshold.
    """
    if not threshold >= 0:  # written so that NaN is refused too
        raise ValueError(f"the threshold must be a number >= 0, but it is {threshold}")
    flat = gradient.detach().flatten()  # n
    indices = (flat.abs() >= threshold).nonzero().flatten()  # k
    return indices, flat[indices]


def topk_sparsify(gradient: torch.Tensor, sparsity: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Make a message of the given fraction of a gradient, the largest magnitudes.

    Args:
        gradient: tensor of any shape with n entries, any floating dtype, contiguous or not, without NaN; it
            is not changed. It may be a parameter or carry a gradient history.
        sparsity: fraction of the entries that is not sent, between 0 and 1, both included.

    Returns:
        indices: int64 tensor [k], the positions in the flattened gradient (row after row) of the entries that
            are sent, rising. Exactly `round(sparsity * n)` (Python's round) entries are left out, the
            smallest magnitudes; of equal magnitudes the one with the lowest position is left out first.
            So k = n - round(sparsity * n), which may be 0; zeros are sent where k asks for them.
        values: [k], the gradient's entries at these positions, signs included, in its dtype; a copy without
            gradient history.
        Both are on the gradient's device.

    Raises:
        ValueError: if the sparsity is below 0, above 1, or NaN.

    Source: a fixed share of the gradient instead of a fixed threshold, Aji and Heafield (2017), section 3,
    arXiv:1704.05021.
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"the sparsity must lie between 0 and 1, but it is {sparsity}")
    flat = gradient.detach().flatten()  # n
    size, out = flat.abs(), round(sparsity * flat.numel())
    keep = torch.ones_like(size, dtype=torch.bool)  # n
    if out > 0:
        # The largest magnitude that is left out: kthvalue is much faster than sorting all of them.
        limit = size.kthvalue(out).values
        keep = size > limit
        equal = (size == limit).nonzero().flatten()
        keep[equal[out - int((size < limit).sum()) :]] = True  # of equal ones the highest positions stay
    indices = keep.nonzero().flatten()  # k
    return indices, flat[indices]


def gradient_drop(
    gradients: dict[str, torch.Tensor], sparsity: float, scope: str
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Drop the smallest entries of a network's gradient: in one pool, in each layer, or in one of layers made equal.

    Args:
        gradients: {layer name: gradient}, at least one layer; any shapes (layer l has n_l >= 1 entries), one
            floating dtype and one device for all, without NaN or infinite entries; nothing is changed.
        sparsity: fraction of the entries to drop, between 0 and 1, both included.
        scope: what is ranked with what, by which magnitude:
            "global": all the layers are one pool of n = sum of n_l entries, ranked by |g|.
            "layer": each layer is a pool of its own, ranked by |g|.
            "normalised": all the layers are one pool, ranked by |g| / r_l, where r_l is the root mean square
                of the layer's entries, computed in float64 as the division is. A layer of zeros only has the
                score 0 for each of its entries.

    Returns:
        {layer name: (indices, values)}, every layer, in the order of `gradients`.
        indices: int64 tensor [k_l], the positions in the flattened layer of the entries that are kept,
            rising; k_l may be 0.
        values: [k_l], the layer's own entries there (not the normalised ones), in its dtype; a copy without
            gradient history.
        In a pool of n entries exactly `round(sparsity * n)` (Python's round) are dropped, the smallest first;
        of equal ones the earlier layer first (in the order of `gradients`), and in a layer the lowest
        position first.

    Raises:
        ValueError: if the sparsity is below 0, above 1 or NaN, if `scope` is none of the three, or if there
            is no layer.

    Source: gradient dropping with one threshold for all the layers or one for each, Aji and Heafield (2017),
    section 3, arXiv:1704.05021. They make the layers comparable inside the network, by layer normalisation;
    "normalised" does it to the gradients.
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"the sparsity must lie between 0 and 1, but it is {sparsity}")
    if scope not in ("global", "layer", "normalised"):
        raise ValueError(f'the scope must be "global", "layer" or "normalised", but it is {scope!r}')
    if not gradients:
        raise ValueError("there is no layer")
    flat = {name: gradient.detach().flatten() for name, gradient in gradients.items()}
    sizes = {name: values.abs().double() for name, values in flat.items()}
    if scope == "normalised":
        for name, size in sizes.items():
            r = size.square().mean().sqrt()
            sizes[name] = size / r if r > 0 else size
    pools = [[name] for name in flat] if scope == "layer" else [list(flat)]
    messages = {}
    for names in pools:
        pool = torch.cat([sizes[name] for name in names])
        keep = torch.ones_like(pool, dtype=torch.bool)
        keep[pool.argsort(stable=True)[: round(sparsity * len(pool))]] = False
        for name, part in zip(names, keep.split([len(sizes[name]) for name in names])):
            indices = part.nonzero().flatten()  # k_l
            messages[name] = (indices, flat[name][indices])
    return messages


def accumulate_residual(
    residual: torch.Tensor,
    gradient: torch.Tensor,
    sparsify: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Send a part of the gradient, and keep what was not sent for the next step (error feedback).

    Args:
        residual: [n], what earlier steps have not sent; zeros before the first step. It is not changed.
        gradient: [n], this step's gradient, the same floating dtype and device; it is not changed.
        sparsify: the rule. It takes a tensor [n] and returns (indices, values), each index at most once. The
            values need not be the entries themselves: a rule may round what it sends. Call it exactly once.

    Returns:
        indices, values: the message, exactly as `sparsify` returned it for the sum residual + gradient.
        new_residual: [n], that sum minus what the message says: at each index the value is subtracted,
            everywhere else the sum stays. A new tensor without gradient history.

    Where the values are the entries themselves nothing is scaled and nothing is lost: an entry is either in
    the message or in the residual.

    Raises:
        ValueError: if residual and gradient have not the same shape, or not exactly one dimension.

    Source: Aji and Heafield (2017), algorithm 1, arXiv:1704.05021; with rounded values Strom (2015), and
    Karimireddy et al. (2019), arXiv:1901.09847.
    """
    if residual.shape != gradient.shape or residual.dim() != 1:
        raise ValueError(
            f"residual and gradient need one and the same shape [n], but they have {list(residual.shape)} and {list(gradient.shape)}"
        )
    total = residual.detach() + gradient.detach()  # n
    indices, values = sparsify(total)
    new_residual = total.clone()
    new_residual[indices] -= values
    return indices, values, new_residual


def momentum_correction(
    velocity: torch.Tensor,
    accumulated: torch.Tensor,
    gradient: torch.Tensor,
    momentum: float,
    sparsify: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Accumulate velocities instead of gradients, and send a part: Deep Gradient Compression's step in one worker.

    Args:
        velocity: u [n], this worker's momentum; zeros before the first step.
        accumulated: v [n], the velocities that were not sent yet; zeros before the first step.
        gradient: g [n], this step's gradient. The three have one shape, floating dtype and device, and none
            is changed.
        momentum: m, between 0 and 1, 1 excluded.
        sparsify: the rule. It takes a tensor [n] and returns (indices, values), the entries of that tensor at
            some positions, each at most once. Call it exactly once.

    Returns:
        indices, values: the message, exactly as `sparsify` returned it for the new v.
        new_velocity, new_accumulated: [n] each, new tensors without gradient history: u <- m * u + g, then
            v <- v + u, and then both are set to 0 at the indices that were sent. (For v that is error
            feedback; for u it is momentum factor masking.)

    Gradient clipping, which Lin et al. do before this step, is not part of it, and neither is Nesterov's variant.

    Raises:
        ValueError: if the three shapes differ or have not exactly one dimension, or unless 0 <= momentum < 1.

    Source: Lin, Han, Mao, Wang and Dally (2018), "Deep Gradient Compression", sections 3.2 and 3.3 (momentum
    correction, momentum factor masking), arXiv:1712.01887.
    """
    if not velocity.shape == accumulated.shape == gradient.shape or gradient.dim() != 1:
        shapes = [list(tensor.shape) for tensor in (velocity, accumulated, gradient)]
        raise ValueError(f"velocity, accumulated and gradient need one shape [n], but they have {shapes}")
    if not 0 <= momentum < 1:
        raise ValueError(f"the momentum must be at least 0 and below 1, but it is {momentum}")
    new_velocity = momentum * velocity.detach() + gradient.detach()  # n
    new_accumulated = accumulated.detach() + new_velocity  # n
    indices, values = sparsify(new_accumulated.clone())
    new_velocity[indices] = 0
    new_accumulated[indices] = 0
    return indices, values, new_velocity, new_accumulated


def sparse_allreduce(messages: list[tuple[torch.Tensor, torch.Tensor]], n: int) -> torch.Tensor:
    """Add up the sparse messages of all the workers.

    Args:
        messages: one (indices, values) for each worker, at least one worker. indices: integer tensor [k],
            each from 0 to n - 1, in any order; values: [k], one floating dtype and device for all the
            messages. k may differ, and may be 0. Nothing is changed.
        n: the number of entries of the dense gradient, at least 1.

    Returns:
        Dense tensor [n] of the values' dtype and device: at each position the sum of all the values that any
        message has for it, 0 where there is none. A position that is in several messages, or more than once
        in one, gets all of them. It is a sum, not a mean.

    Raises:
        ValueError: if there is no message, if indices and values of one have not the same length, or if an
            index is below 0 or not below n.

    Source: the exchange of Aji and Heafield (2017), arXiv:1704.05021, and of Lin et al. (2018), arXiv:1712.01887.
    """
    if not messages:
        raise ValueError("there is no message")
    for indices, values in messages:
        if len(indices) != len(values):
            raise ValueError(f"a message has {len(indices)} indices for {len(values)} values")
        if len(indices) and not (indices.min() >= 0 and indices.max() < n):
            raise ValueError(f"an index lies outside of 0 … {n - 1}")
    values = messages[0][1]
    total = torch.zeros(n, dtype=values.dtype, device=values.device)
    for indices, values in messages:
        # Unlike total[indices] += values, index_add_ adds every duplicate.
        total.index_add_(0, indices.long(), values.detach())
    return total


def bytes_sent(indices: torch.Tensor | None, values: torch.Tensor, padded_to: int | None = None) -> int:
    """Count the bytes of one worker's message, as it is handed to the exchange.

    Args:
        indices: None for a dense message; for a sparse one an integer tensor [k] of any width.
        values: sparse: [k]; dense: any shape. Any dtype; contiguous or not, possibly a view of a larger tensor.
        padded_to: number of entries to which a sparse message is filled up before it is sent, because all the
            workers' messages must have one length; None: it is not filled up. For a dense message it must be
            None.

    Returns:
        An int. Dense: the entries times their width in bytes. Sparse: 8 bytes for the length (an int64, sent
        first), and for each of the k entries, or of the `padded_to` entries, the width of an index plus the
        width of a value, in the dtypes of the two tensors. Only entries of the tensors given count, not the
        memory that they may be a view of. Where no entry is handed over
        (k = 0 and `padded_to` None or 0) the length alone is left.

    Raises:
        ValueError: if indices and values of a sparse message have not the same length, if `padded_to` is
            below that length, or if it is given for a dense message.

    Source: counting, as in the tables of Lin et al. (2018), arXiv:1712.01887, which report gradient sizes in
    bytes.
    """
    width = values.element_size()
    if indices is None:
        if padded_to is not None:
            raise ValueError("a dense message is not filled up")
        return values.numel() * width
    entries = len(values)
    if len(indices) != entries:
        raise ValueError(f"the message has {len(indices)} indices for {entries} values")
    if padded_to is not None:
        if padded_to < entries:
            raise ValueError(f"{entries} entries cannot be filled up to {padded_to}")
        entries = padded_to
    return 8 + entries * (indices.element_size() + width)
