"""Lab 5: how much will the loss change? Criteria from gradients and curvature, and the surgeon's compensation.

The chapter that explains it: lecture_notes/lab05_second_order.md; the notebook: labs/lab05_second_order.ipynb.
"""

from collections.abc import Callable, Iterable, Sequence

import torch


def gradient_scores(
    compute_loss: Callable[[], torch.Tensor], weights: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Score each weight by the magnitude of the loss's gradient.

    Args:
        compute_loss: takes no argument, returns the loss, a tensor with exactly one entry that depends on every
            weight. Call it exactly once.
        weights: {layer name: the network's own parameter, `requires_grad` True}, any shape and floating dtype.

    Returns:
        {layer name: |dL/dw|, the shape, dtype and device of that weight}, the same names, without gradient history
        (`requires_grad` False). Higher = keep.

    The weights stay as they are, and so does the `.grad` of every parameter: gradients that were there before do not
    count, and yours are not stored there.

    Raises:
        ValueError: if `weights` is empty, or if the loss has not exactly one entry.

    Source: the gradient-magnitude criterion, as tutorials on pruning propose it.
    """
    if not weights:
        raise ValueError("there is no weight to score: weights is empty")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError(f"the loss must be a single number, but its shape is {list(loss.shape)}")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
    return {name: gradient.abs() for name, gradient in zip(weights, gradients)}


def hybrid_mask(
    weight: torch.Tensor, gradient: torch.Tensor, weight_threshold: float, gradient_threshold: float
) -> torch.Tensor:
    """Keep a weight only if both its magnitude and the magnitude of its gradient reach their thresholds.

    Args:
        weight: tensor of any shape, any floating dtype; it is not changed.
        gradient: dL/dw with its sign, the shape and dtype of `weight`; it is not changed.
        weight_threshold: a >= 0, in the units of the weights.
        gradient_threshold: b >= 0, in the units of the gradient.

    Returns:
        Boolean tensor, the shape and device of `weight`. True = keep: |w| >= a and |g| >= b. An entry exactly at a
        threshold reaches it.

    Raises:
        ValueError: if the two shapes differ, or if a threshold is negative or NaN.

    Source: a hybrid criterion, as a tutorial on pruning proposes it.
    """
    if weight.shape != gradient.shape:
        raise ValueError(f"the weight has shape {list(weight.shape)}, its gradient {list(gradient.shape)}")
    if not (weight_threshold >= 0 and gradient_threshold >= 0):  # written so that NaN is refused too
        raise ValueError(
            f"thresholds must be numbers >= 0, but they are {weight_threshold} and {gradient_threshold}"
        )
    return (weight.abs() >= weight_threshold) & (gradient.abs() >= gradient_threshold)


def taylor_scores(weight: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Score each weight by the first-order change of the loss when it is set to zero.

    Args:
        weight: tensor of any shape, any floating dtype; it is not changed.
        gradient: dL/dw with its sign, the shape and dtype of `weight`; it is not changed.

    Returns:
        Tensor, the shape, dtype and device of `weight`, without gradient history: |g * w|, entry by entry.
        Higher = keep.

    Raises:
        ValueError: if the two shapes differ.

    Source: Molchanov, Tyree, Karras, Aila and Kautz (2017), arXiv:1611.06440, for feature maps; for single weights,
    squared, Molchanov et al. (2019), arXiv:1906.10771. The square gives the same order.
    """
    if weight.shape != gradient.shape:
        raise ValueError(f"the weight has shape {list(weight.shape)}, its gradient {list(gradient.shape)}")
    return (weight.detach() * gradient.detach()).abs()


def hessian_diagonal(
    compute_loss: Callable[[], torch.Tensor], weights: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Compute the diagonal of the Hessian exactly: the second derivative of the loss by each single weight.

    Args:
        compute_loss: takes no argument, returns the loss, a tensor with exactly one entry. Call it exactly once. You
            may assume that autograd never finds an unused weight, neither in the first derivative nor in the second.
        weights: {layer name: the network's own parameter, `requires_grad` True}, any shape, float32 or float64, n
            entries in all. With n backward passes this is meant for small networks.

    Returns:
        {layer name: d^2 L / dw_i^2, the shape, dtype and device of that weight}, the same names, without gradient
        history. Entries may be negative; they are returned as they are.

    The weights and the `.grad` of every parameter stay as they are.

    Raises:
        ValueError: if `weights` is empty, or if the loss has not exactly one entry.

    Source: the h_kk of LeCun, Denker and Solla (1989), "Optimal Brain Damage", here by differentiating twice.
    """
    if not weights:
        raise ValueError("there is no weight: weights is empty")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError(f"the loss must be a single number, but its shape is {list(loss.shape)}")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()), create_graph=True)
    diagonal = {}
    for (name, weight), gradient in zip(weights.items(), gradients):
        entries = []
        for i, g_i in enumerate(gradient.flatten()):
            (row,) = torch.autograd.grad(g_i, weight, retain_graph=True)  # dg_i/dw: a part of row i of H
            entries.append(row.flatten()[i])
        diagonal[name] = torch.stack(entries).reshape(weight.shape)
    return diagonal


def hutchinson_diagonal(
    compute_loss: Callable[[], torch.Tensor],
    weights: dict[str, torch.Tensor],
    probes: Sequence[dict[str, torch.Tensor]],
) -> dict[str, torch.Tensor]:
    """Estimate the diagonal of the Hessian from products of the Hessian with random vectors.

    Args:
        compute_loss: takes no argument, returns the loss, a tensor with exactly one entry. Call it exactly once. You
            may assume that autograd never finds an unused weight, neither in the first derivative nor in the second.
        weights: {layer name: the network's own parameter, `requires_grad` True}, any shape, float32 or float64.
        probes: m >= 1 vectors z, drawn before the call. Each is a dictionary with the names of `weights`, in the same
            order, and for each name a tensor of the weight's shape, dtype and device, whose entries are +1 or -1.
            All its tensors together are *one* vector z of the whole network.

    Returns:
        {layer name: tensor with the shape, dtype and device of that weight}, the same names, without gradient
        history: the mean over the m probes of z * (H z), entry by entry. H is the Hessian of the loss by *all*
        the weights together. With one probe it is z * (H z) itself. Entries may be negative.

    The weights and the `.grad` of every parameter stay as they are. The probes are not changed.

    Raises:
        ValueError: if `probes` is empty, or if a probe has other names than `weights`, or another shape for one of
            them; if `weights` is empty, or the loss has not exactly one entry.

    Source: Bekas, Kokiopoulou and Saad (2007), "An estimator for the diagonal of a matrix"; after Hutchinson (1990),
    who estimated the trace.
    """
    if not weights or not probes:
        raise ValueError("there must be at least one weight and one probe")
    for probe in probes:
        if probe.keys() != weights.keys():
            raise ValueError(f"a probe is for {list(probe)}, the weights are {list(weights)}")
        if any(probe[name].shape != weight.shape for name, weight in weights.items()):
            raise ValueError("a probe has another shape than its weight")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError(f"the loss must be a single number, but its shape is {list(loss.shape)}")
    parameters = list(weights.values())
    gradients = torch.autograd.grad(loss.sum(), parameters, create_graph=True)
    total = [torch.zeros_like(weight, requires_grad=False) for weight in parameters]
    for probe in probes:
        z = [probe[name] for name in weights]
        products = torch.autograd.grad(gradients, parameters, grad_outputs=z, retain_graph=True)  # H z
        for sum_, z_part, product in zip(total, z, products):
            sum_ += z_part * product
    return {name: sum_ / len(probes) for name, sum_ in zip(weights, total)}


def empirical_fisher_diagonal(
    sample_losses: Iterable[torch.Tensor], weights: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Estimate the diagonal of the Hessian by the mean square of the gradient of single samples.

    Args:
        sample_losses: the losses l_1, ..., l_N of N >= 1 samples, one after the other; each is a tensor with exactly
            one entry, has a graph of its own, and depends on every weight. It may be a generator, which computes each
            loss when you ask for it: go through it once.
        weights: {layer name: the network's own parameter, `requires_grad` True}, any shape, float32 or float64.

    Returns:
        {layer name: (1/N) * the sum over n of (dl_n/dw)^2, the shape, dtype and device of that weight}, the same
        names, without gradient history. No entry is negative.

    The weights and the `.grad` of every parameter stay as they are.

    Raises:
        ValueError: if there is no sample, if `weights` is empty, or if one of the losses has not exactly one entry.

    Source: the empirical Fisher matrix, of which Kunstner, Balles and Hennig (2019), arXiv:1905.12558, tell the
    limits; for pruning Theis, Korshunova, Tejani and Huszar (2018), arXiv:1801.05787.
    """
    if not weights:
        raise ValueError("there is no weight: weights is empty")
    total = [torch.zeros_like(weight, requires_grad=False) for weight in weights.values()]
    samples = 0
    for loss in sample_losses:
        if loss.numel() != 1:
            raise ValueError(f"the loss of a sample must be a single number, not of shape {list(loss.shape)}")
        gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
        for sum_, gradient in zip(total, gradients):
            sum_ += gradient.square()
        samples += 1
    if samples == 0:
        raise ValueError("there is no sample: sample_losses is empty")
    return {name: sum_ / samples for name, sum_ in zip(weights, total)}


def obd_saliency(weight: torch.Tensor, curvature: torch.Tensor) -> torch.Tensor:
    """Score each weight by the second-order change of the loss when it is set to zero: Optimal Brain Damage.

    Args:
        weight: tensor of any shape, any floating dtype; it is not changed.
        curvature: the diagonal of the Hessian at these weights, exact or estimated, the shape and dtype of `weight`;
            it is not changed.

    Returns:
        Tensor, the shape, dtype and device of `weight`, without gradient history: h * w^2 / 2, entry by entry.
        Higher = keep. Where the curvature is negative so is the score; it is not cut off.

    Raises:
        ValueError: if the two shapes differ.

    Source: LeCun, Denker and Solla (1989), "Optimal Brain Damage": s_k = h_kk u_k^2 / 2.
    """
    if weight.shape != curvature.shape:
        raise ValueError(f"the weight has shape {list(weight.shape)}, its curvature {list(curvature.shape)}")
    return 0.5 * curvature.detach() * weight.detach().square()


def obs_step(
    weight: torch.Tensor, inverse_hessian: torch.Tensor, kept: torch.Tensor
) -> tuple[int, float, torch.Tensor, torch.Tensor]:
    """Remove the one weight that costs least, and move all the others so that they make up for it.

    Args:
        weight: [n], all the weights as one vector, floating dtype. The removed ones are zero.
        inverse_hessian: [n, n], symmetric, same dtype: the inverse of the Hessian of the weights that are still
            kept. The rows and columns of the removed ones are zero.
        kept: [n], boolean. True = this weight is still there. At the start all are True.

    None of the three is changed.

    Returns:
        index: the position q of the weight that is removed, an int: the kept weight with the smallest saliency; of
            equal saliencies the lowest index.
        saliency: w_q^2 / (2 [H^-1]_qq), a float: by how much the loss rises if it is quadratic.
        weight: [n], new, without gradient history: w - (w_q / [H^-1]_qq) * (column q of H^-1). Its entry q is
            exactly 0, and those that were removed before are still exactly 0.
        inverse_hessian: [n, n], new, without gradient history: the inverse of the Hessian of the weights that are
            kept after this step, A - (column q of A)(row q of A) / A_qq with A = H^-1. Its row q and its column q are
            exactly 0; when the last weight goes, all of it is 0.

    Raises:
        ValueError: if no weight is kept; if the diagonal of the inverse is not above 0 (or is NaN) for any of the
            kept weights: then the surface is no valley; if the shapes are not [n], [n, n] and [n] with the same n.

    Source: Hassibi and Stork (1993), "Optimal Brain Surgeon", for the saliency and the change of the weights;
    Frantar, Singh and Alistarh (2022), "Optimal Brain Compression", lemma 1, arXiv:2208.11580, for the new inverse.
    """
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,):
        raise ValueError(
            f"[n], [n, n] and [n] are needed, not {list(weight.shape)}, {list(inverse_hessian.shape)} "
            f"and {list(kept.shape)}"
        )
    if not kept.any():
        raise ValueError("no weight is left to remove")
    w, inverse = weight.detach(), inverse_hessian.detach()
    diagonal = inverse.diagonal()  # n
    if not (diagonal[kept] > 0).all():  # written so that NaN is refused too
        raise ValueError(
            "the diagonal of the inverse Hessian is not above 0 for every kept weight: more damping?"
        )
    saliencies = torch.full_like(w, float("inf"))  # n
    saliencies[kept] = w[kept].square() / (2 * diagonal[kept])
    q = int(saliencies.argmin())
    column = inverse[:, q]  # n
    new_weight = w - w[q] / diagonal[q] * column  # n
    new_inverse = inverse - torch.outer(column, inverse[q]) / diagonal[q]  # n, n
    gone = ~kept
    gone[q] = True
    new_weight[gone] = 0
    new_inverse[q, :] = 0
    new_inverse[:, q] = 0
    return q, saliencies[q].item(), new_weight, new_inverse
