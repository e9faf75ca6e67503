"""Lab 9: must we ever train dense? Dropout and DropConnect, Erdős–Rényi densities, and networks that rewire themselves.

The chapter that explains it: lecture_notes/lab09_sparse_training.md; the notebook: labs/lab09_sparse_training.ipynb.
"""

import math

import torch
import torch.nn.functional as F


def dropout(inputs: torch.Tensor, p: float, training: bool, generator: torch.Generator) -> torch.Tensor:
    """Set each entry to zero with probability p while training, and scale the others up ("inverted" dropout).

    Args:
        inputs: any shape, floating, with finite entries.
        p: the probability that an entry is dropped, between 0 and 1, both included.
        training: True in training; False in evaluation.
        generator: the source of all randomness, on the device of `inputs`.

    Returns:
        A tensor with the shape and dtype of `inputs`. In training, each entry is 0 with probability p, and otherwise the
        entry of `inputs` divided by (1 - p). Every entry has a draw of its own, independent of all the others. With p = 1
        every entry is 0. In evaluation, the values of `inputs` as they are: nothing is dropped, nothing is scaled. There the
        result may be `inputs` itself or a copy.
        Autograd can differentiate the result with respect to `inputs`; with p = 1 in training this is not asked, since
        nothing depends on `inputs` then. The forward values depend on the arguments and on the generator's state alone;
        torch's global random state is not used. How many numbers a call draws from the generator is free, also in
        evaluation. `inputs` itself is not changed.

    Raises:
        ValueError: if p is below 0, above 1 or NaN, in training and in evaluation.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), JMLR 15; first Hinton et al. (2012),
    arXiv:1207.0580. They scale the weights in evaluation; to scale in training is the form that libraries use.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"the probability p must lie between 0 and 1, but it is {p}")
    if not training:
        return inputs
    if p == 1:
        return inputs * 0
    draws = torch.rand(inputs.shape, generator=generator, device=inputs.device)  # uniform on [0, 1)
    return inputs * (draws >= p) / (1 - p)


def dropconnect(
    inputs: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    p: float,
    training: bool,
    generator: torch.Generator,
) -> torch.Tensor:
    """Compute a linear layer whose connections are dropped at random while training, anew for every example.

    Args:
        inputs: shape [B, in], floating.
        weight: shape [out, in], the same dtype.
        bias: shape [out], the same dtype. It is never dropped.
        p: the probability that a connection is dropped, between 0 and 1, both included.
        training: True in training; False in evaluation.
        generator: the source of all randomness, on the device of `inputs`.

    Returns:
        Shape [B, out]. In training, example b has a mask m_b of its own, shape [out, in], whose entries are independent and
        True with probability 1 - p, and
        outputs[b, o] = sum over i of m_b[o, i] * weight[o, i] * inputs[b, i] / (1 - p) + bias[o].
        With p = 1 the outputs are the bias alone. In evaluation, the plain layer: inputs @ weight.T + bias.
        Autograd can differentiate the result with respect to `inputs`, `weight` and `bias`; with p = 1 in training only
        with respect to `bias` is asked. The forward values depend on the arguments and on the generator's state alone;
        torch's global random state is not used. How many numbers a call draws from the generator is free, also in
        evaluation. No argument is changed: the stored weight stays dense.

    Raises:
        ValueError: if p is below 0, above 1 or NaN, in training and in evaluation.

    Source: Wan, Zeiler, Zhang, LeCun and Fergus (2013), ICML, with a mask for each example. They drop biases too, and sample
    the outputs in evaluation from a Gaussian; here the evaluation is the mean of the training, as in inverted dropout.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"the probability p must lie between 0 and 1, but it is {p}")
    if not training:
        return F.linear(inputs, weight, bias)
    draws = torch.rand(len(inputs), *weight.shape, generator=generator, device=inputs.device)  # B, out, in
    mask = draws >= p
    scale = 0.0 if p == 1 else 1 / (1 - p)
    return torch.einsum("boi,oi,bi->bo", mask.to(inputs.dtype), weight, inputs) * scale + bias


def erdos_renyi_sparsities(shapes: dict[str, tuple[int, ...]], sparsity: float) -> dict[str, float]:
    """Distribute a total sparsity over the layers as in a random graph: by the sums of their dimensions.

    Args:
        shapes: {layer name: shape of its weight}: (out, in) of a linear layer, (out, in, kh, kw) of a convolution. A shape has
            two dimensions or more, each at least 1.
        sparsity: the fraction of all the weights that is to be removed, between 0 and 1, both included.

    Returns:
        {layer name: sparsity of the layer}, Python floats, the names in the order of `shapes`. The density of layer l, with
        N_l weights, is d_l = min(1, eps * sum(shape_l) / N_l). The one number eps is such that the total fits:
        sum over l of d_l * N_l = (1 - sparsity) * sum over l of N_l, up to rounding of floats. So where a layer would need more
        than all its weights it is dense, and what it cannot take goes to the others. No rounding to whole weights is done.
        With sparsity 0 every layer's is 0, with sparsity 1 every layer's is 1.

    Raises:
        ValueError: if `sparsity` is below 0, above 1 or NaN; if `shapes` is empty; or if a shape has fewer than two
            dimensions or a dimension below 1.

    Source: Mocanu et al. (2018), equation 1, arXiv:1707.04780, for linear layers; Evci et al. (2020), section 3,
    arXiv:1911.11134, for the sum over the kernel's dimensions too ("Erdős–Rényi-Kernel").
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"the sparsity must lie between 0 and 1, but it is {sparsity}")
    if not shapes:
        raise ValueError("there is no layer: shapes is empty")
    for name, shape in shapes.items():
        if len(shape) < 2 or min(shape) < 1:
            raise ValueError(
                f"the shape of {name} is {tuple(shape)}: two or more dimensions above 0 are needed"
            )
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}  # N_l
    shares = {name: sum(shape) for name, shape in shapes.items()}  # weights that layer l gets for eps = 1
    budget = (1 - sparsity) * sum(sizes.values())  # weights to keep
    dense: set[str] = set()
    while len(dense) < len(sizes):
        left = budget - sum(sizes[name] for name in dense)
        eps = left / sum(share for name, share in shares.items() if name not in dense)
        full = {name for name in sizes if name not in dense and eps * shares[name] >= sizes[name]}
        if not full:
            break
        dense |= full
    return {name: 0.0 if name in dense else 1 - eps * shares[name] / sizes[name] for name in sizes}


def random_masks(
    shapes: dict[str, tuple[int, ...]], sparsities: dict[str, float], generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """Draw a random mask for each layer, with exactly the number of zeros that is asked for.

    Args:
        shapes: {layer name: shape of its weight}, any number of dimensions.
        sparsities: {layer name: fraction of that layer that is removed, between 0 and 1, both included}, the same names.
        generator: the source of all randomness.

    Returns:
        {layer name: boolean tensor of that layer's shape}, True = keep, the names in the order of `shapes`, on the generator's
        device. A layer with n weights loses exactly round(sparsity * n) of them (Python's round), and every choice of that
        many positions is equally likely, in each layer independently. The result depends on the arguments and on the generator's
        state alone; torch's global random state is not used.

    Raises:
        ValueError: if the names of `shapes` and `sparsities` are not the same, or if a sparsity is below 0, above 1 or NaN.

    Source: the random start of Mocanu et al. (2018), arXiv:1707.04780, with an exact count as in Evci et al. (2020).
    """
    if shapes.keys() != sparsities.keys():
        raise ValueError(f"the layers are {list(shapes)}, but there are sparsities for {list(sparsities)}")
    for name, sparsity in sparsities.items():
        if not 0 <= sparsity <= 1:
            raise ValueError(f"the sparsity of {name} must lie between 0 and 1, but it is {sparsity}")
    masks = {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        order = torch.randperm(n, generator=generator, device=generator.device)  # n
        mask = torch.ones(n, dtype=torch.bool, device=generator.device)
        mask[order[: round(sparsities[name] * n)]] = False
        masks[name] = mask.reshape(shape)
    return masks


def set_update(
    weight: torch.Tensor, mask: torch.Tensor, fraction: float, generator: torch.Generator, std: float = 0.1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rewire one layer as Sparse Evolutionary Training does: drop the connections closest to zero, grow others at random.

    Args:
        weight: any shape, floating. Only its entries where the mask is True count as connections.
        mask: boolean, the shape of `weight`, True = the connection is there.
        fraction: zeta, the fraction that is dropped, between 0 and 1, both included.
        generator: the source of all randomness, on the device of `weight`.
        std: standard deviation of the new weights.

    Returns:
        (new weight, new mask), new tensors with the shape, dtype and device of the old ones; the weight without gradient
        history. First the drop. Of the P connections with a positive weight the round(fraction * P) smallest go, and of the Q
        connections with a negative weight the round(fraction * Q) largest, those closest to zero (Python's round; among equal
        weights the lowest index of the flattened weight goes first). A connection whose weight is exactly 0 goes too, for every
        fraction. Then the growth: as many as were dropped, so that the number of connections stays the same. Their places are
        drawn uniformly, without repetition, from *all* the places where there is no connection after the drop. So a place that
        was just dropped may be drawn. Every grown weight, there too, is a fresh normal draw with mean 0 and standard deviation `std`.
        The other connections keep their weight, and where the new mask is False the new weight is 0. The result depends on
        the arguments and on the generator's state alone. `weight` and `mask` are not changed.

    Raises:
        ValueError: if `mask` has another shape than `weight`, or if `fraction` is below 0, above 1 or NaN.

    Source: Mocanu et al. (2018), algorithm 1, arXiv:1707.04780; places and values of the new weights as in the authors' code.
    """
    if mask.shape != weight.shape:
        raise ValueError(f"the mask has shape {list(mask.shape)}, the weight {list(weight.shape)}")
    if not 0 <= fraction <= 1:
        raise ValueError(f"the fraction must lie between 0 and 1, but it is {fraction}")
    values, kept = weight.detach().flatten(), mask.flatten().clone()  # n, n
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)  # closest to zero first
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()  # places without a connection, those just dropped among them
    drawn = torch.randperm(len(free), generator=generator, device=values.device)
    grown = free[drawn[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    fresh = torch.randn(len(grown), generator=generator, device=values.device)
    new[grown] = std * fresh.to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


def rigl_update(
    weight: torch.Tensor, gradient: torch.Tensor, mask: torch.Tensor, fraction: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rewire one layer as RigL ("rigged lottery") does: drop the smallest connections, grow where the gradient is largest.

    Args:
        weight: any shape, floating. Only its entries where the mask is True count as connections.
        gradient: the shape of `weight`: the gradient of the loss with respect to *every* entry, also where there is no connection.
        mask: boolean, the shape of `weight`, True = the connection is there.
        fraction: the fraction of the connections that is dropped, between 0 and 1, both included.

    Returns:
        (new weight, new mask), new tensors with the shape, dtype and device of the old ones; the weight without gradient
        history. With n connections, k = round(fraction * n) (Python's round). The k connections with the smallest |weight| are
        dropped (among equal ones the lowest index of the flattened weight first). Then, among all the places where there is no
        connection after the drop, the k with the largest |gradient| are grown (among equal ones the lowest index first). So the
        number of connections stays the same. A place that was just dropped may be grown again; it was never away, and keeps its
        weight. Every other grown connection starts at exactly 0. The connections that were not dropped keep their weight, and
        where the new mask is False the new weight is 0. `weight`, `gradient` and `mask` are not changed.

    Raises:
        ValueError: if `gradient` or `mask` has another shape than `weight`, or if `fraction` is below 0, above 1 or NaN.

    Source: Evci, Gale, Menick, Castro and Elsen (2020), section 3 and algorithm 1, arXiv:1911.11134; what happens to a connection
    that is dropped and grown in the same update as in the authors' code.
    """
    if gradient.shape != weight.shape or mask.shape != weight.shape:
        raise ValueError(
            f"weight, gradient and mask have shapes {list(weight.shape)}, {list(gradient.shape)} and {list(mask.shape)}"
        )
    if not 0 <= fraction <= 1:
        raise ValueError(f"the fraction must lie between 0 and 1, but it is {fraction}")
    values, slopes, before = (
        weight.detach().flatten(),
        gradient.detach().flatten().abs(),
        mask.flatten(),
    )  # n each
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()  # those just dropped among them
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)
