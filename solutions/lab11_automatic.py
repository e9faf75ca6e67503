"""Lab 11: who should choose the ratios? Widths drawn, judged quickly, and searched for under a budget of multiply-adds.

The chapter that explains it: lecture_notes/lab11_automatic.md; the notebook: labs/lab11_automatic.ipynb.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn


def uniform_widths(
    full: Sequence[int], macs: Callable[[tuple[int, ...]], int], budget: int, steps: int
) -> tuple[int, ...]:
    """Find the largest network under a budget in which every layer keeps the same ratio.

    Args:
        full: the width of each layer now, whole numbers of 1 or more; at least one layer.
        macs: gives the multiply-adds of a network; it is called with a tuple of Python ints, one width for each
            layer. It never falls when a width grows. It may be called any number of times.
        budget: the most multiply-adds that are allowed; exactly `budget` is allowed too.
        steps: the ratios to try are k / steps for k = 1, 2, ..., steps; steps >= 1.

    Returns:
        A tuple of Python ints. At the ratio k / steps a layer of width f keeps `round(k * f / steps)` (Python's
        round), but at least 1. Returned are the widths of the largest k whose network has at most `budget`
        multiply-adds.

    Raises:
        ValueError: if there is no layer, a width is below 1, steps is below 1, or not even k = 1 fits the budget.

    Source: the baseline that every search has to beat; "uniform" in He et al. (2018), arXiv:1802.03494.
    """
    if len(full) == 0 or min(full) < 1 or steps < 1:
        raise ValueError(f"widths {full!r} and {steps} steps: there must be layers, and numbers of 1 or more")
    for k in range(steps, 0, -1):
        widths = tuple(max(1, round(k * width / steps)) for width in full)
        if macs(widths) <= budget:
            return widths
    raise ValueError(f"even the smallest ratio, 1 / {steps}, needs more than {budget} multiply-adds")


def sample_widths(
    levels: Sequence[Sequence[int]],
    macs: Callable[[tuple[int, ...]], int],
    window: tuple[int, int],
    generator: torch.Generator,
    tries: int,
) -> tuple[int, ...]:
    """Draw the widths of a sub-network at random, every network of the budget with the same probability.

    Args:
        levels: for each layer, the widths that it may have: different whole numbers of 1 or more, in any order.
        macs: gives the multiply-adds of a network; it is called with a tuple of Python ints, one width for each
            layer, any number of times.
        window: (least, most) multiply-adds that are allowed, both included.
        generator: a torch.Generator on the CPU. All randomness comes from it: the same state gives the same widths,
            the call moves its state on, and no other random state is touched. It is not seeded anew.
        tries: how many vectors are drawn at most, at least 1. A method that does not draw vectors in vain, such as one
            that lists all the vectors of the window, needs no tries and raises only where the window is empty.

    Returns:
        A tuple of Python ints, one width for each layer. Each layer's width is drawn by itself, each of its levels
        with the same probability; a draw outside the window is thrown away as a whole and drawn again. Any method
        that gives the same probabilities is right: every vector in the window is as likely as any other.

    Raises:
        ValueError: if there is no layer, a layer has no level, the least is above the most, tries is below 1, or
            none of the `tries` vectors is in the window (a method without tries: if no vector at all is in it).

    Source: random candidates under a constraint of operations, as in Li et al. (2020), "EagleEye", arXiv:2007.02491.
    """
    if len(levels) == 0 or any(len(layer) == 0 for layer in levels):
        raise ValueError("there must be a layer, and each layer needs a width to choose from")
    if window[0] > window[1] or tries < 1:
        raise ValueError(f"the window {window} or the number of tries, {tries}, leaves nothing to draw")
    for _ in range(tries):
        places = [int(torch.randint(len(layer), (1,), generator=generator)) for layer in levels]
        widths = tuple(int(layer[place]) for layer, place in zip(levels, places))
        if window[0] <= macs(widths) <= window[1]:
            return widths
    raise ValueError(f"{tries} draws in a row missed the window {window}")


def adapt_batchnorm(model: nn.Module, batches: list[torch.Tensor]) -> None:
    """Compute the running statistics of every BatchNorm layer anew, from a few batches, and change nothing else.

    Args:
        model: any network, in any mode. Its BatchNorm layers are those of the classes BatchNorm1d, BatchNorm2d and
            BatchNorm3d (and their subclasses) that keep running statistics; others, and networks without any, are
            left alone. Each of them runs exactly once in a forward pass.
        batches: one or more inputs of the model, on its device. They may differ in size.

    The model runs once on each batch, in the given order, without recording gradients. In these passes the BatchNorm
    layers are in training mode, so each normalises with the statistics of the batch; every other module is in
    evaluation mode (dropout drops nothing).

    Afterwards, in each BatchNorm layer, with n batches:
        - `running_mean` is the plain average of the n batch means, each batch with the same weight 1 / n, whatever
          its size; what stood there before has no influence;
        - `running_var` is the plain average of the n unbiased batch variances (divided by m - 1, where m is the
          number of values of a channel in the batch), as PyTorch's BatchNorm computes them;
        - `num_batches_tracked` is n.
    Parameters, their gradients, all other buffers, the `momentum` of each layer and the `training` of every module
    are as before. The buffers may be new tensors or the old ones.

    Where a forward pass raises, its error passes; `momentum` and `training` of every module are then as before, and
    the statistics may be anything.

    Raises:
        ValueError: if there is no batch. Nothing is changed then.

    Source: adaptive BatchNorm of Li et al. (2020), "EagleEye", section 3.2, arXiv:2007.02491; the plain average in
    place of the moving one is our choice (PyTorch: momentum = None).
    """
    if len(batches) == 0:
        raise ValueError("there is no batch to take the statistics from")
    layers = [
        module
        for module in model.modules()
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d))
        and module.running_mean is not None
    ]
    was_training = {module: module.training for module in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # a cumulative average: every batch weighs the same
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, was in was_training.items():
            module.training = was


def rank_correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    """Compute Spearman's rank correlation of two lists of numbers.

    Args:
        first: [n], n >= 2, any floating or integer dtype, no NaN, contiguous or not; it is not changed.
        second: [n], the same; its dtype may be another one.

    Returns:
        A Python float between -1 and 1: the Pearson correlation of the ranks, computed in float64. The smallest
        number has rank 1. Equal numbers share the mean of the ranks that they occupy together: (5, 7, 7, 9) has the
        ranks (1, 2.5, 2.5, 4).

    Raises:
        ValueError: if the two do not have one dimension and the same length, if n is below 2, or if all the numbers
            of one of them are equal (the correlation is then undefined).

    Source: C. Spearman (1904), with mean ranks for ties.
    """
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError(
            f"two lists of the same length, at least 2, are needed: {list(first.shape)}, {list(second.shape)}"
        )
    centred = []
    for values in (first, second):
        below = (values[:, None] > values[None, :]).sum(dim=1).double()  # n: how many are smaller
        equal = (values[:, None] == values[None, :]).sum(dim=1).double()  # n: how many are equal, with itself
        ranks = below + (equal + 1) / 2  # n: the mean of below + 1, ..., below + equal
        centred.append(ranks - ranks.mean())
    x, y = centred
    scale = (x.square().sum() * y.square().sum()).sqrt()
    if scale == 0:
        raise ValueError("all the numbers of a list are equal: it has no order to correlate")
    return float((x * y).sum() / scale)


def evolve(
    population: Sequence[tuple[int, ...]],
    fitness: Sequence[float],
    levels: Sequence[Sequence[int]],
    macs: Callable[[tuple[int, ...]], int],
    window: tuple[int, int],
    parents: int,
    elites: int,
    rate: float,
    generator: torch.Generator,
) -> list[tuple[int, ...]]:
    """Make the next generation of width vectors: keep the best, cross the good ones, mutate, stay in the budget.

    Args:
        population: at least two width vectors, tuples of Python ints, all with multiply-adds in the window; vectors
            may be equal. It is not changed.
        fitness: one finite number for each of them; higher is better. It is not changed.
        levels: for each layer, the widths that it may have, different whole numbers.
        macs: gives the multiply-adds of a network; it is called with a tuple of Python ints, any number of times.
        window: (least, most) multiply-adds that are allowed, both included.
        parents: how many of the best may have children, at least 2 and at most all.
        elites: how many of the best pass unchanged, between 0 and all of them.
        rate: probability of a mutation, between 0 and 1, both included.
        generator: a torch.Generator on the CPU. All randomness comes from it, and no other random state is touched.
            The same state gives the same generation. It is not seeded anew.

    Returns:
        A new list of as many tuples of Python ints as the population has. First the `elites` fittest vectors, the
        fittest first; of equal fitness, the one at the lower position comes first. Then children, each made so:

        1. draw two different members of the `parents` fittest (in the same order), every pair with the same
           probability; different members may hold equal vectors;
        2. for each layer, take the width of the one or of the other, each with probability 1/2, for each layer anew;
        3. for each layer, with probability `rate`, replace the width by one of the layer's levels, each with the
           same probability (it may be the old one);
        4. if the multiply-adds are outside the window, throw the child away, and begin again at 1.

        A child may be equal to a parent or to another child. How the random numbers are drawn is free, as long as the
        probabilities are these.

    Raises:
        ValueError: if fitness does not have one number for each vector, or parents, elites or rate are outside their
            bounds.

    Source: an evolutionary search over the widths of layers, as in Liu et al. (2019), "MetaPruning", arXiv:1903.10258.
    """
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError(
            f"{size} vectors, {len(fitness)} numbers, {parents} parents, {elites} elites and rate {rate} do not fit"
        )
    order = sorted(range(size), key=lambda place: -fitness[place])  # stable: the lower position first
    ranked = [population[place] for place in order]
    generation = ranked[:elites]
    while len(generation) < size:
        one, other = torch.randperm(parents, generator=generator)[:2].tolist()
        first = torch.rand(len(levels), generator=generator) < 0.5
        mutated = torch.rand(len(levels), generator=generator) < rate
        child = []
        for layer, choices in enumerate(levels):
            width = ranked[one][layer] if first[layer] else ranked[other][layer]
            if mutated[layer]:
                width = choices[int(torch.randint(len(choices), (1,), generator=generator))]
            child.append(width)
        if window[0] <= macs(tuple(child)) <= window[1]:
            generation.append(tuple(child))
    return generation


def reinforce_step(
    logits: torch.Tensor,
    actions: torch.Tensor,
    rewards: torch.Tensor,
    baseline: float,
    lr: float,
    decay: float,
) -> tuple[torch.Tensor, float]:
    """Take one step of REINFORCE with a baseline, for a policy that chooses one level for each layer.

    The policy draws the level of layer l, by itself, with the probabilities softmax(logits[l]).

    Args:
        logits: [L, K] for L layers of K levels each, float32 or float64, contiguous or not; it is not changed.
        actions: int64 [N, L]: the levels, 0 to K - 1, that each of N >= 1 samples chose.
        rewards: [N], of the same dtype as logits, the reward of each sample.
        baseline: what is subtracted from each reward in this step.
        lr: step size.
        decay: how much of the old baseline stays, between 0 and 1, both included.

    Returns:
        (logits, baseline), both new.
        logits: [L, K] of the same dtype and device, without gradient history:
            logits + lr * (1 / N) * sum over i of (rewards[i] - baseline) * (gradient of log p(actions[i])), where
            log p(a) = sum over l of log softmax(logits[l])[a[l]] and the gradient is taken with respect to logits.
            The rewards are not scaled or centred in any other way.
        baseline: a Python float, decay * baseline + (1 - decay) * (mean of the rewards). This step used the old one.

    Raises:
        ValueError: if the shapes do not fit each other, there is no sample, an action is no level, or decay is
            outside its bounds.

    Source: R. J. Williams (1992), "Simple statistical gradient-following algorithms for connectionist reinforcement
    learning", Machine Learning 8.
    """
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != logits.shape[0] or len(actions) == 0:
        raise ValueError(
            f"actions of shape {list(actions.shape)} do not fit logits of shape {list(logits.shape)}"
        )
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError(
            f"{list(rewards.shape)} rewards for {len(actions)} samples, or decay {decay} outside 0 to 1"
        )
    levels = logits.shape[1]
    if actions.min() < 0 or actions.max() >= levels:
        raise ValueError(f"an action is a level from 0 to {levels - 1}")
    old = logits.detach()
    chosen = torch.nn.functional.one_hot(actions, levels).to(old.dtype)  # N, L, K
    gradients = chosen - old.softmax(dim=1)  # N, L, K: of log p, for each sample
    advantages = rewards.detach() - baseline  # N
    step = torch.einsum("n,nlk->lk", advantages, gradients) / len(actions)  # L, K
    return old + lr * step, decay * baseline + (1 - decay) * float(rewards.double().mean())
