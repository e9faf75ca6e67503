"""Lab 4: one shot, or little by little? Masks that survive training, schedules of sparsity, and three ways to prune.

The chapter that explains it: lecture_notes/lab04_prune_finetune.md; the notebook: labs/lab04_prune_finetune.ipynb.
"""

from collections.abc import Callable

import torch


def apply_masks(weights: dict[str, torch.Tensor], masks: dict[str, torch.Tensor]) -> None:
    """Set the removed weights of a network to zero, in place.

    Args:
        weights: {layer name: the network's own weight (an nn.Parameter is usual), any shape and floating dtype}.
        masks: {layer name: boolean tensor with the shape of that layer's weight}. True = keep. A layer without
            a mask stays as it is, so `{}` changes nothing.

    Returns:
        None. Afterwards every removed entry is 0, whatever it was before, infinite and NaN included, and every
        kept entry has its old value. The dictionary holds the same tensor objects, and their `requires_grad`
        and `.grad` are as before.

    Raises:
        ValueError: if a mask names a layer that is not in `weights`, or has another shape than its weight. In
            both cases no weight has been changed, not even of the other layers.

    Source: Han, Pool, Tran and Dally (2015), section 3, arXiv:1506.02626: the pruned weight is m * w.
    """
    for name, mask in masks.items():
        if name not in weights:
            raise ValueError(f"there is a mask for {name}, but no such weight")
        if mask.shape != weights[name].shape:
            raise ValueError(
                f"the mask of {name} has shape {list(mask.shape)}, its weight {list(weights[name].shape)}"
            )
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0)  # a product with the mask would keep NaN


def masked_step(
    weights: dict[str, torch.Tensor],
    masks: dict[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    compute_loss: Callable[[], torch.Tensor],
) -> float:
    """Make one training step after which every removed weight is exactly zero.

    Args:
        weights: {layer name: the network's own parameter}. The removed entries are zero when the step begins.
        masks: {layer name: boolean tensor with the shape of that layer's weight}. True = keep. A layer without
            a mask is trained as a whole.
        optimizer: any PyTorch optimiser of the network's parameters whose `step()` needs no closure, possibly
            used before: it may hold momentum, decay the weights, and hold parameters that are not in `weights`
            (biases).
        compute_loss: takes no argument, runs the network on the next batch, returns the loss, a scalar tensor
            with a gradient. Call it exactly once.

    Returns:
        The loss of the batch, computed before the update, as a Python float.

    The gradients are those of this batch alone: gradients that were there before do not count. The kept
    weights and the biases move as the optimiser moves them without any mask.

    Raises:
        ValueError: if the loss is infinite or NaN. Then no parameter has been changed, and the optimiser has
            not made a step.

    Source: training with masks as in Zhu and Gupta (2017), section 3, arXiv:1710.01878.
    """
    optimizer.zero_grad()
    loss = compute_loss()
    if not torch.isfinite(loss):
        raise ValueError(f"the loss is {loss.item()}: no step is made")
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0)
    return loss.item()


def prune_and_finetune(
    weights: dict[str, torch.Tensor],
    sparsities: list[float],
    prune: Callable[[dict[str, torch.Tensor], float], dict[str, torch.Tensor]],
    finetune: Callable[[dict[str, torch.Tensor]], None],
    evaluate: Callable[[], float],
) -> tuple[dict[str, torch.Tensor], list[tuple[float, float]]]:
    """Prune a network and fine-tune it, once for each sparsity in turn.

    Args:
        weights: {layer name: the network's own parameter}; it is pruned and trained in place.
        sparsities: what `prune` is asked for in each round; no entry is smaller than the one before. With
            magnitudes it is the total sparsity after the round. One entry is one-shot pruning.
        prune: the rule. `prune(weights, sparsity)` returns {layer name: boolean mask}, True = keep, for every
            layer of `weights`, and changes nothing. You need not check the sparsity: that is the task of `prune`.
        finetune: `finetune(masks)` trains the network in place and keeps the weights that `masks` removes at zero.
        evaluate: takes no argument, returns the network's accuracy as it is now.

    Returns:
        masks: {layer name: boolean mask} after the last round, the same names as `weights`.
        history: one pair for each round: (accuracy right after pruning, accuracy after fine-tuning).

    A round takes its mask from the weights as they are when it begins, so from the second round on from
    fine-tuned weights. What an earlier round removed stays removed: the round's mask keeps a weight only if
    `prune` keeps it now *and* the mask of the round before kept it. Then the removed weights are set to zero,
    the network is evaluated, fine-tuned with the round's masks, and evaluated again.

    Raises:
        ValueError: if `sparsities` is empty or falls from one entry to the next. Nothing has been changed then.

    Source: Han et al. (2015), section 3 and figure 5 (iterative pruning), arXiv:1506.02626.
    """
    if not sparsities:
        raise ValueError("there is no round: sparsities is empty")
    if any(later < earlier for earlier, later in zip(sparsities, sparsities[1:])):
        raise ValueError(f"the sparsities must not fall, but they are {sparsities}")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    history = []
    for s in sparsities:
        chosen = prune(weights, s)
        masks = {name: masks[name] & chosen[name] for name in weights}
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        pruned = evaluate()
        finetune(masks)
        history.append((pruned, evaluate()))
    return masks, history


def iterative_sparsities(final: float, rounds: int) -> list[float]:
    """Plan the sparsities of iterative pruning: each round removes the same fraction of what is left.

    Args:
        final: total sparsity after the last round, between 0 and 1, both included.
        rounds: number of rounds R, at least 1.

    Returns:
        A list of R floats, the total sparsity s_r after each round r = 1, ..., R. With the same fraction p
        removed from the remaining weights in every round, 1 - s_r = (1 - p)^r, and s_R = final, up to rounding. For final = 1
        every entry is 1.0: the fraction p is 1.

    Raises:
        ValueError: if `final` is below 0, above 1 or NaN, or if `rounds` is below 1.

    Source: the rounds of Frankle and Carbin (2019), arXiv:1803.03635; iterating after Han et al. (2015).
    """
    if not 0 <= final <= 1:
        raise ValueError(f"the final sparsity must lie between 0 and 1, but it is {final}")
    if rounds < 1:
        raise ValueError(f"there must be at least one round, but there are {rounds}")
    return [1 - (1 - final) ** (r / rounds) for r in range(1, rounds + 1)]


def cubic_sparsity(
    step: int, start: int, updates: int, interval: int, final: float, initial: float = 0.0
) -> float:
    """Compute the sparsity that Zhu and Gupta's gradual schedule asks for at one training step.

    Args:
        step: the training step t, a whole number.
        start: the step t_0 at which the schedule begins.
        updates: the number n of updates of the mask, at least 1.
        interval: the number of steps Δt from one update to the next, at least 1.
        final: sparsity s_f at the end, between 0 and 1.
        initial: sparsity s_i at the start, between 0 and `final`.

    Returns:
        A float. At the steps t = t_0, t_0 + Δt, ..., t_0 + nΔt it is
        s_t = s_f + (s_i - s_f) * (1 - (t - t_0) / (nΔt))^3. Between two of these steps the mask does not change:
        the sparsity is that of the earlier one. Before t_0 it is s_i; after t_0 + nΔt it is s_f.

    Raises:
        ValueError: if `updates` or `interval` is below 1, or unless 0 <= initial <= final <= 1.

    Source: Zhu and Gupta (2017), equation 1, arXiv:1710.01878.
    """
    if updates < 1 or interval < 1:
        raise ValueError(f"updates and interval must be at least 1, but they are {updates} and {interval}")
    if not 0 <= initial <= final <= 1:
        raise ValueError(f"0 <= initial <= final <= 1 does not hold for {initial} and {final}")
    done = min(max((step - start) // interval, 0), updates)  # updates made so far
    return final + (initial - final) * (1 - done / updates) ** 3  # equation 1 at t = t_0 + done * Δt


def train_time_pruning(
    weights: dict[str, torch.Tensor],
    sparsities: list[float],
    prune: Callable[[dict[str, torch.Tensor], float], dict[str, torch.Tensor]],
    train_epoch: Callable[[], None],
) -> tuple[dict[str, torch.Tensor], list[int]]:
    """Prune during training: after each epoch renew the masks, so that removed weights may grow back.

    Args:
        weights: {layer name: the network's own parameter}; it is trained and pruned in place.
        sparsities: the total sparsity after each epoch; one entry for each epoch. They may rise or fall.
        prune: the rule. `prune(weights, sparsity)` returns {layer name: boolean mask}, True = keep, for every
            layer of `weights`, and changes nothing. You need not check the sparsity: that is the task of `prune`.
        train_epoch: takes no argument, trains the network in place for one epoch *without any mask*: weights
            that are zero may become nonzero.

    Returns:
        masks: {layer name: boolean mask} of the last epoch, the same names as `weights`.
        regrown: one int for each epoch: how many weights of the whole network this epoch's masks keep although
            the epoch before had removed them; 0 for the first epoch.

    Every epoch is: train, take new masks from all the weights as they are now (the old masks are not used), set the
    removed weights to zero. So the network ends pruned, not trained.

    Raises:
        ValueError: if `sparsities` is empty. Nothing has been changed then.

    Source: gradual pruning during training, Zhu and Gupta (2017), arXiv:1710.01878; with renewed masks, in which
    pruned connections may return, Guo, Yao and Chen (2016), "Dynamic Network Surgery", arXiv:1608.04493.
    """
    if not sparsities:
        raise ValueError("there is no epoch: sparsities is empty")
    masks, regrown = {}, []
    for s in sparsities:
        train_epoch()
        renewed = prune(weights, s)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~renewed[name], 0)
        regrown.append(sum(int((renewed[name] & ~mask).sum()) for name, mask in masks.items()))
        masks = renewed
    return masks, regrown
