"""Lab 10: is there a winning ticket? Rewinding, iterative tickets, mask criteria, signs, supermasks, fair scratch training.

The chapter that explains it: lecture_notes/lab10_lottery_tickets.md; the notebook: labs/lab10_lottery_tickets.ipynb.
"""

from collections.abc import Callable

import torch
from torch import nn


def rewind(
    parameters: dict[str, torch.Tensor], checkpoint: dict[str, torch.Tensor], masks: dict[str, torch.Tensor]
) -> None:
    """Put a network back to an earlier point of its training, in place, without the weights that were removed.

    Args:
        parameters: {name: the network's own parameter}, weights and biases alike.
        checkpoint: {name: that parameter's value at the earlier point, same shape and dtype}: step 0 for the
            original tickets, an early step k for late rewinding. It may hold more names, which are ignored. It is
            not changed, and shares no memory with the network afterwards.
        masks: {name: boolean tensor with the shape of that parameter}. True = keep.

    Returns:
        None. Afterwards an entry has the checkpoint's value where its mask is True and 0 where it is False,
        whatever the checkpoint holds there, infinite and NaN included. A parameter without a mask (a bias) is put
        back as a whole. The dictionary holds the same tensor objects, and their `requires_grad` and `.grad` are
        as before.

    Raises:
        ValueError: if a parameter is missing from the checkpoint, a mask names no parameter, or a shape differs.
            Nothing has been changed then.

    Source: Frankle and Carbin (2019), section 1, arXiv:1803.03635 (step 0); Frankle, Dziugaite, Roy and Carbin
    (2020), arXiv:1912.05671 (step k).
    """
    for name in masks:
        if name not in parameters:
            raise ValueError(f"there is a mask for {name}, but no such parameter")
    for name, parameter in parameters.items():
        if name not in checkpoint:
            raise ValueError(f"the checkpoint does not hold {name}")
        for what, tensor in (("checkpoint", checkpoint[name]), ("mask", masks.get(name, parameter))):
            if tensor.shape != parameter.shape:
                raise ValueError(
                    f"the {what} of {name} has shape {list(tensor.shape)}, the parameter {list(parameter.shape)}"
                )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(checkpoint[name])
            if name in masks:
                parameter.masked_fill_(~masks[name], 0)


def find_ticket(
    initial: dict[str, torch.Tensor],
    train: Callable[[dict[str, torch.Tensor], dict[str, torch.Tensor]], dict[str, torch.Tensor]],
    score: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    rounds: int,
    fraction: float,
) -> list[dict[str, torch.Tensor]]:
    """Search for a ticket: train from the start, remove the lowest scores, go back to the start, and again.

    Args:
        initial: {layer name: weight before training}; weights alone, no biases: `train` sees to those. It is not
            changed.
        train: `train(start, masks)` trains the network whose weights are `start` and returns {layer name: weight
            after training}, removed weights zero. `masks` is {layer name: boolean mask}, True = keep. Both
            dictionaries hold every layer, in the order of `initial`. `train` may change the weights and the masks
            that it is given in place.
        score: the criterion. `score(initial weight, trained weight)` of one layer returns a tensor of that layer's
            shape; higher = keep. Its values are finite. The initial weight is that of `initial`, whole: removed
            entries are not set to zero in it.
        rounds: number of rounds R, at least 1; `train` is called once in each.
        fraction: what a round removes, between 0 and 1: exactly round(fraction * n) (Python's round) of the n
            weights that are left in all the layers together.

    Returns:
        A list of R dictionaries {layer name: boolean mask}, the masks after round 1, ..., R.

    Each round starts from `initial`, with the weights that are removed so far at zero, never from trained weights.
    The weights with the lowest scores go, ranked over all the layers as one pool. Of equal scores the one that
    comes first goes: layers in the order of `initial`, each row by row. What is removed stays removed and is not
    ranked again, whatever its score.

    Raises:
        ValueError: if `initial` is empty, `rounds` is below 1, or `fraction` is below 0, above 1 or NaN. Nothing
            has been trained then.

    Source: Frankle and Carbin (2019), section 2 (iterative pruning), arXiv:1803.03635; one pool for all the layers
    as in its deeper networks.
    """
    if not initial:
        raise ValueError("there is no layer: initial is empty")
    if rounds < 1:
        raise ValueError(f"there must be at least one round, but there are {rounds}")
    if not 0 <= fraction <= 1:
        raise ValueError(f"the fraction must lie between 0 and 1, but it is {fraction}")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: weight.detach().masked_fill(~masks[name], 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(initial[name], trained[name]).detach().flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()  # positions in the pool, in order
        gone = torch.argsort(scores[left], stable=True)[: round(fraction * len(left))]
        kept[left[gone]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.reshape(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


def ticket_scores(
    initial: torch.Tensor,
    final: torch.Tensor,
    criterion: str,
    alpha: float = 1.0,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Score the weights of a layer by one of the nine mask criteria of Zhou et al. Higher = keep.

    Args:
        initial: weights w_i before training, any shape, floating.
        final: the same weights w_f after training, same shape and dtype.
        criterion: one of the nine names below.
        alpha: a scale above 0 that brings |w_f| to the size of |w_i|; only two criteria use it.
        generator: the source of the random numbers; only "random" uses it. None takes PyTorch's global generator.

    The score of a weight, with min and max of two numbers taken weight by weight:
        "large_final":             |w_f|
        "small_final":             -|w_f|
        "large_init":              |w_i|
        "small_init":              -|w_i|
        "large_init_large_final":  min(alpha * |w_f|, |w_i|)
        "small_init_small_final":  -max(alpha * |w_f|, |w_i|)
        "magnitude_increase":      |w_f| - |w_i|
        "movement":                |w_f - w_i|
        "random":                  random numbers, independent and uniform in [0, 1), whatever the weights are

    Returns:
        A new tensor with the shape and dtype of `initial`, without gradient history. The inputs are not changed.

    Raises:
        ValueError: if the criterion is unknown, the shapes differ, or `alpha` is not above 0.

    Source: Zhou, Lan, Liu and Yosinski (2019), section 2 ("mask criteria"), arXiv:1905.01067.
    """
    if initial.shape != final.shape:
        raise ValueError(f"initial has shape {list(initial.shape)}, final has {list(final.shape)}")
    if not alpha > 0:
        raise ValueError(f"alpha must be above 0, but it is {alpha}")
    w_i, w_f = initial.detach(), final.detach()
    formulas = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype).to(w_i.device),
    }
    if criterion not in formulas:
        raise ValueError(f"there is no criterion {criterion!r}: choose one of {', '.join(formulas)}")
    return formulas[criterion]()


def keep_signs(initial: torch.Tensor, fresh: torch.Tensor) -> torch.Tensor:
    """Re-initialise a weight but keep its signs: magnitudes from the fresh values, signs from the initial ones.

    Args:
        initial: the weight at the start of the first training, any shape, floating.
        fresh: the new values, same shape and dtype, of any sign.

    Returns:
        A new tensor with the shape and dtype of `fresh`, without gradient history: |fresh| where `initial` is
        positive and -|fresh| where it is negative. Where `initial` is zero (0.0 or -0.0) it has no sign: there
        the fresh value stays as it is. The inputs are not changed.

    Raises:
        ValueError: if the shapes differ.

    Source: Zhou et al. (2019), section 3 (on the values that the kept weights go back to), arXiv:1905.01067.
    """
    if initial.shape != fresh.shape:
        raise ValueError(f"initial has shape {list(initial.shape)}, fresh has {list(fresh.shape)}")
    values = fresh.detach()
    return torch.where(initial == 0, values, values.abs() * torch.sign(initial.detach()))


def supermask_accuracy(
    model: nn.Module, masks: dict[str, torch.Tensor], images: torch.Tensor, labels: torch.Tensor
) -> float:
    """Measure the accuracy of a network whose removed weights count as zero, without training or changing it.

    Args:
        model: maps images [N, ...] to logits [N, classes]; its parameters are as they are (here: untrained). It
            may be in training mode and hold dropout and BatchNorm.
        masks: {parameter name, as in `model.named_parameters()`: boolean tensor of its shape}. True = keep. A
            removed weight counts as 0 whatever it is, infinite and NaN included. A parameter without a mask is used
            as it is.
        images: shape [N, ...], N at least 1, on the model's device.
        labels: int64, shape [N].

    Returns:
        Correct / N, a Python float. An image counts as correct if the largest logit is that of its label (of equal
        logits the first class is taken). The network is judged in evaluation mode.

    Afterwards the model is as before: the same parameter objects with the same values and `.grad`, the same buffers,
    and every module in the mode (training or evaluation) that it was in.

    Raises:
        ValueError: if a mask names no parameter or has another shape, there is no image, or images and labels
            differ in number.

    Source: the supermasks of Zhou et al. (2019), section 5, arXiv:1905.01067.
    """
    own = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in own:
            raise ValueError(f"there is a mask for {name}, but no such parameter")
        if mask.shape != own[name].shape:
            raise ValueError(f"the mask of {name} has shape {list(mask.shape)}")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError(f"there are {len(images)} images and {len(labels)} labels")
    masked = {name: own[name].detach().masked_fill(~mask, 0) for name, mask in masks.items()}
    was_training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            logits = torch.func.functional_call(model, masked, (images,))  # N, classes
    finally:
        for module, was in was_training.items():
            module.training = was
    return (logits.argmax(dim=1) == labels).sum().item() / len(labels)


def scratch_epochs(epochs: int, dense_macs: int, pruned_macs: int) -> tuple[int, int]:
    """Compute how long a small network may train from scratch, to be compared fairly with a pruned one.

    Args:
        epochs: length of the large network's training, at least 1.
        dense_macs: multiply-adds of the large network for one image.
        pruned_macs: multiply-adds of the small network for one image, from 1 to `dense_macs`.

    Returns:
        (E, B), two ints. Scratch-E trains for the same number of epochs, E = epochs. Scratch-B trains for the same
        budget of multiply-adds: B is the largest whole number of epochs with B * pruned_macs <= epochs * dense_macs,
        exactly, however large the numbers are. (A training step costs about three times the MACs of its forward
        pass in both networks, so the factor cancels.)

    Raises:
        ValueError: if `epochs` is below 1, or unless 1 <= pruned_macs <= dense_macs.

    Source: Liu et al. (2019), "Rethinking the Value of Network Pruning", section 3, arXiv:1810.05270; rounded down
    as in the authors' code.
    """
    if epochs < 1:
        raise ValueError(f"there must be at least one epoch, but there are {epochs}")
    if not 1 <= pruned_macs <= dense_macs:
        raise ValueError(f"1 <= pruned_macs <= dense_macs does not hold for {pruned_macs} and {dense_macs}")
    return epochs, epochs * dense_macs // pruned_macs
