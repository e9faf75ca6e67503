"""Lab 10's bank. An answer uses only what the notebook's first cell imports: torch and numpy as np, nn, F, copy."""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from autograder.wrong_answers import right, wrong

# --- rewind -----------------------------------------------------------------------------------------------------------


@wrong("rewind", "You put every weight back and never applied the masks: nothing is removed.")
def rewind_forgets_the_masks(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(checkpoint[name])


@wrong("rewind", "You removed the weights that should stay: the mask is True on what is kept.")
def rewind_inverted(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(checkpoint[name])
            if name in masks:
                parameter.masked_fill_(masks[name], 0)


@wrong("rewind", "You masked the trained weights where they are: nothing went back to the checkpoint.")
def rewind_only_masks(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].masked_fill_(~mask, 0)


@wrong("rewind", "You put back only the parameters that have a mask: the others keep what they learned.")
def rewind_leaves_the_biases(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].copy_(checkpoint[name])
            parameters[name].masked_fill_(~mask, 0)


@wrong("rewind", "The removed entries keep their trained values: only the kept ones went back.")
def rewind_removed_keep_their_value(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, parameter in parameters.items():
            mask = masks.get(name, torch.ones_like(parameter, dtype=torch.bool))
            parameter.copy_(torch.where(mask, checkpoint[name], parameter))


@wrong("rewind", "You multiplied by the mask: zero times infinity, or times NaN, is NaN and not zero.")
def rewind_by_product(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(checkpoint[name] * masks[name] if name in masks else checkpoint[name])


@wrong(
    "rewind", "You put new tensors into the dictionary: the network still holds its own and does not feel it."
)
def rewind_replaces_the_entries(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    for name in parameters:
        value = checkpoint[name].clone()
        parameters[name] = nn.Parameter(value.masked_fill(~masks[name], 0) if name in masks else value)


@wrong("rewind", "Your network shares its memory with the checkpoint: training it changes the checkpoint.")
def rewind_shares_memory(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        parameter.data = (
            checkpoint[name] if name not in masks else torch.where(masks[name], checkpoint[name], 0)
        )


@wrong("rewind", "You applied the masks to the checkpoint itself: its removed values are lost.")
def rewind_changes_the_checkpoint(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, parameter in parameters.items():
            if name in masks:
                checkpoint[name].masked_fill_(~masks[name], 0)
            parameter.copy_(checkpoint[name])


@wrong("rewind", "You went through the checkpoint: an entry that is no parameter breaks your function.")
def rewind_wants_a_parameter_for_each_entry(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, value in checkpoint.items():
            parameters[name].copy_(value)
            if name in masks:
                parameters[name].masked_fill_(~masks[name], 0)


@wrong("rewind", "You also cleared the gradients: they are no part of the rewinding.")
def rewind_clears_gradients(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(checkpoint[name])
            if name in masks:
                parameter.masked_fill_(~masks[name], 0)
            parameter.grad = None


@wrong("rewind", "You returned the parameters; the function changes the network in place and returns None.")
def rewind_returns_the_parameters(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(checkpoint[name])
            if name in masks:
                parameter.masked_fill_(~masks[name], 0)
    return parameters


@wrong(
    "rewind", "You checked each parameter just before you changed it: those before the bad one were changed."
)
def rewind_checks_too_late(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters:
            raise ValueError(name)
    with torch.no_grad():
        for name, parameter in parameters.items():
            if name not in checkpoint or checkpoint[name].shape != parameter.shape:
                raise ValueError(name)
            if name in masks and masks[name].shape != parameter.shape:
                raise ValueError(name)
            parameter.copy_(checkpoint[name])
            if name in masks:
                parameter.masked_fill_(~masks[name], 0)


@wrong(
    "rewind", "A missing entry, an unknown mask or another shape is accepted, or breaks with another error."
)
def rewind_unchecked(parameters, checkpoint, masks):
    with torch.no_grad():
        for name, parameter in parameters.items():
            if name in checkpoint:
                parameter.copy_(checkpoint[name])
            if name in masks:
                parameter.masked_fill_(~masks[name], 0)


@right("rewind")
def rewind_by_where(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        value = checkpoint[name].detach()
        if name in masks:
            value = torch.where(masks[name], value, torch.zeros_like(value))
        parameter.data.copy_(value)


@right("rewind")
def rewind_by_numpy(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        values = parameter.detach().numpy()  # shares its memory with the parameter
        values[...] = checkpoint[name].detach().numpy()
        if name in masks:
            values[~masks[name].numpy()] = 0


@right("rewind")
def rewind_by_index(parameters, checkpoint, masks):
    for name in masks:
        if name not in parameters or masks[name].shape != parameters[name].shape:
            raise ValueError(name)
    for name, parameter in parameters.items():
        if name not in checkpoint or checkpoint[name].shape != parameter.shape:
            raise ValueError(name)
    with torch.no_grad():
        for name in parameters:
            parameters[name].zero_()
            keep = masks.get(name, torch.ones(parameters[name].shape, dtype=torch.bool))
            parameters[name][keep] = checkpoint[name][keep]


# --- find_ticket ------------------------------------------------------------------------------------------------------


@wrong("find_ticket", "You trained on from the weights of the round before: no round goes back to the start.")
def ticket_without_rewinding(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    current = {name: weight.clone() for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in current.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        current = {name: weight.detach().clone() for name, weight in trained.items()}
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[left[torch.argsort(scores[left], stable=True)[: round(fraction * len(left))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong("find_ticket", "You ranked each layer on its own; all the layers are one pool.")
def ticket_layer_by_layer(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        renewed = {}
        for name in initial:
            kept = masks[name].flatten().clone()
            left = kept.nonzero().flatten()
            scores = score(initial[name], trained[name]).flatten()
            kept[left[torch.argsort(scores[left], stable=True)[: round(fraction * len(left))]]] = False
            renewed[name] = kept.view(initial[name].shape)
        masks = renewed
        history.append(masks)
    return history


@wrong("find_ticket", "You removed the weights with the highest scores: a high score means keep.")
def ticket_removes_the_highest(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[left[torch.argsort(-scores[left], stable=True)[: round(fraction * len(left))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong("find_ticket", "A round removed its fraction of all the weights, not of those that are left.")
def ticket_share_of_all(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[left[torch.argsort(scores[left], stable=True)[: round(fraction * len(kept))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong(
    "find_ticket",
    "You ranked the removed weights again: they take the place of weights that should go, or they return.",
)
def ticket_ranks_what_is_gone(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        count = round(fraction * int(sum(mask.sum() for mask in masks.values())))
        gone = len(scores) - int(sum(mask.sum() for mask in masks.values()))
        kept = torch.ones(len(scores), dtype=torch.bool)
        kept[torch.argsort(scores, stable=True)[: gone + count]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong("find_ticket", "You ranked by the magnitude after training, and did not ask `score`.")
def ticket_by_magnitude(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([trained[name].abs().flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[left[torch.argsort(scores[left], stable=True)[: round(fraction * len(left))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong("find_ticket", "You took the absolute value of the scores: a very negative score now ranks high.")
def ticket_magnitude_of_the_score(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[left[torch.argsort(scores[left].abs(), stable=True)[: round(fraction * len(left))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong("find_ticket", "You called `score` with its two arguments exchanged: the initial weight comes first.")
def ticket_arguments_exchanged(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(trained[name], initial[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[left[torch.argsort(scores[left], stable=True)[: round(fraction * len(left))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong(
    "find_ticket",
    "You trained the whole network in every round: the removed weights were not zero at the start.",
)
def ticket_trains_the_whole(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: weight.clone() for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[left[torch.argsort(scores[left], stable=True)[: round(fraction * len(left))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong(
    "find_ticket",
    "You handed your only copy of the initial weights to `train`, which may change them in place.",
)
def ticket_spoils_the_start(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        with torch.no_grad():
            for name, weight in initial.items():
                weight.mul_(masks[name])
        start = initial
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[left[torch.argsort(scores[left], stable=True)[: round(fraction * len(left))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong("find_ticket", "Of equal scores you removed the last; the first goes.")
def ticket_last_first_among_equals(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten().flip(0)
        kept[left[torch.argsort(scores[left], stable=True)[: round(fraction * len(left))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong(
    "find_ticket",
    "You removed everything up to a threshold: equal scores go together, and too many are gone.",
)
def ticket_every_tie(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = scores[kept].sort().values
        count = round(fraction * len(left))
        if count > 0:
            kept &= scores > left[count - 1]
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong("find_ticket", "You handed out your own masks: training may change what it is given.")
def ticket_hands_out_its_masks(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, masks)
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[left[torch.argsort(scores[left], stable=True)[: round(fraction * len(left))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong("find_ticket", "You gave the criterion the masked start; it gets the initial weight as it stands.")
def ticket_scores_the_masked_start(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat(
            [score(torch.where(masks[name], initial[name], 0), trained[name]).flatten() for name in initial]
        )
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[left[torch.argsort(scores[left], stable=True)[: round(fraction * len(left))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong("find_ticket", "You rounded the number of weights that go down; Python's round is asked for.")
def ticket_rounds_down(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[left[torch.argsort(scores[left], stable=True)[: int(fraction * len(left))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@wrong(
    "find_ticket",
    "You returned the masks of the last round alone; a list with those of every round is asked for.",
)
def ticket_last_masks_only(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[left[torch.argsort(scores[left], stable=True)[: round(fraction * len(left))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history[-1]


@wrong(
    "find_ticket",
    "Your history holds the same masks many times: you changed them in place after you had put them in.",
)
def ticket_one_mask_for_all_rounds(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[left[torch.argsort(scores[left], stable=True)[: round(fraction * len(left))]]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        for name, part in zip(initial, parts):
            masks[name].copy_(part.view(initial[name].shape))
        history.append(masks)
    return history


@wrong("find_ticket", "You pruned once to the final sparsity; each round trains and removes its own share.")
def ticket_one_shot(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    trained = train({name: weight.clone() for name, weight in initial.items()}, masks)
    scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
    order, history, left = torch.argsort(scores, stable=True), [], len(scores)
    for _ in range(rounds):
        left -= round(fraction * left)
        kept = torch.ones(len(scores), dtype=torch.bool)
        kept[order[: len(scores) - left]] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        history.append({name: part.view(initial[name].shape) for name, part in zip(initial, parts)})
    return history


@wrong(
    "find_ticket",
    "No layer, no round or a fraction outside 0 to 1 is accepted, or breaks with another error.",
)
def ticket_unchecked(initial, train, score, rounds, fraction):
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in initial.items()}
    history = []
    for _ in range(rounds):
        start = {name: torch.where(masks[name], weight, 0) for name, weight in initial.items()}
        trained = train(start, {name: mask.clone() for name, mask in masks.items()})
        scores = torch.cat([score(initial[name], trained[name]).flatten() for name in initial])
        kept = torch.cat([mask.flatten() for mask in masks.values()])
        left = kept.nonzero().flatten()
        kept[
            left[
                torch.argsort(scores[left], stable=True)[
                    : max(0, min(len(left), int(round(fraction * len(left)) if fraction == fraction else 0)))
                ]
            ]
        ] = False
        parts = kept.split([weight.numel() for weight in initial.values()])
        masks = {name: part.view(initial[name].shape) for name, part in zip(initial, parts)}
        history.append(masks)
    return history


@right("find_ticket")
def ticket_by_sorted_list(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    alive = [(n, i) for n, weight in initial.items() for i in range(weight.numel())]
    history = []
    for _ in range(rounds):
        masks = {name: torch.zeros(weight.numel(), dtype=torch.bool) for name, weight in initial.items()}
        for name, i in alive:
            masks[name][i] = True
        masks = {name: mask.reshape(initial[name].shape) for name, mask in masks.items()}
        if len(history) < rounds:
            start = {name: weight.detach().clone() * masks[name] for name, weight in initial.items()}
            trained = train(start, copy.deepcopy(masks))
            scores = {name: score(initial[name], trained[name]).flatten().tolist() for name in initial}
        ranked = sorted(alive, key=lambda place: scores[place[0]][place[1]])  # sorted is stable
        gone = set(ranked[: round(fraction * len(alive))])
        alive = [place for place in alive if place not in gone]
        after = {name: mask.clone() for name, mask in masks.items()}
        for name, i in gone:
            after[name].view(-1)[i] = False
        history.append(after)
    return history


@right("find_ticket")
def ticket_by_numpy(initial, train, score, rounds, fraction):
    if not initial or rounds < 1 or not 0 <= fraction <= 1:
        raise ValueError("find_ticket")
    shapes = {name: tuple(weight.shape) for name, weight in initial.items()}
    kept = {name: np.ones(shape, dtype=bool) for name, shape in shapes.items()}
    history = []
    for _ in range(rounds):
        masks = {name: torch.from_numpy(mask.copy()) for name, mask in kept.items()}
        trained = train(
            {name: initial[name].detach().masked_fill(~masks[name], 0) for name in initial}, masks
        )
        pool = np.concatenate(
            [score(initial[name], trained[name]).detach().numpy().ravel() for name in initial]
        )
        free = np.concatenate([mask.ravel() for mask in kept.values()])
        pool[~free] = np.inf
        free[np.argsort(pool, kind="stable")[: round(fraction * int(free.sum()))]] = False
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])[:-1]
        kept = {name: part.reshape(shapes[name]) for name, part in zip(shapes, np.split(free, ends))}
        history.append({name: torch.from_numpy(mask.copy()) for name, mask in kept.items()})
    return history


# --- ticket_scores ----------------------------------------------------------------------------------------------------


@wrong("ticket_scores", "You turned magnitude_increase round: it keeps the weights whose magnitude grew.")
def scores_prune_what_grew(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_i.abs() - w_f.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong(
    "ticket_scores",
    "You took the absolute value of the growth: a weight that shrank much is kept like one that grew.",
)
def scores_increase_is_movement(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: (w_f.abs() - w_i.abs()).abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong(
    "ticket_scores",
    "For magnitude_increase you took the difference of the signed weights: it compares magnitudes.",
)
def scores_increase_without_magnitudes(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f - w_i,
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong(
    "ticket_scores",
    "For movement you compared the magnitudes: it is the distance between the weights themselves.",
)
def scores_movement_of_magnitudes(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f.abs() - w_i.abs()).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong(
    "ticket_scores",
    "You forgot the absolute value in movement: a weight that moved down counts as one that did not move.",
)
def scores_movement_signed(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: w_f - w_i,
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong("ticket_scores", "You used the weights with their signs: large negative weights count as small.")
def scores_forget_abs(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f,
        "small_final": lambda: -w_f,
        "large_init": lambda: w_i,
        "small_init": lambda: -w_i,
        "large_init_large_final": lambda: torch.minimum(alpha * w_f, w_i),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f, w_i),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong(
    "ticket_scores",
    "The criteria that keep small weights need a minus: with yours the large ones score high.",
)
def scores_small_without_the_minus(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong("ticket_scores", "You exchanged the weights before and after training.")
def scores_init_and_final_exchanged(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_f, w_i = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong(
    "ticket_scores", "You took the larger of the two values: large_init_large_final asks that both are large."
)
def scores_max_for_both_large(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong("ticket_scores", "You scaled the initial weights by alpha; it belongs to the final ones.")
def scores_alpha_on_the_start(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(w_f.abs(), alpha * w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(w_f.abs(), alpha * w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong("ticket_scores", "You did not use alpha.")
def scores_ignore_alpha(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong("ticket_scores", "You multiplied the two magnitudes: one large value then makes up for a small one.")
def scores_product_for_both(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: alpha * w_f.abs() * w_i.abs(),
        "small_init_small_final": lambda: -alpha * w_f.abs() * w_i.abs(),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong("ticket_scores", "You drew from PyTorch's global generator although another one was given.")
def scores_random_ignores_the_generator(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong("ticket_scores", "Your random scores depend on the weights: you multiplied by their magnitude.")
def scores_random_in_weights(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype) * w_f.abs(),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong("ticket_scores", "Your random scores are 0 or 1: nearly all of them are equal, and cannot be ranked.")
def scores_random_zero_or_one(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: (torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype) < 0.5).to(w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong("ticket_scores", "You drew one random number for the whole layer; each weight needs its own.")
def scores_random_one_number(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(1, generator=generator, dtype=w_i.dtype).expand(w_i.shape).clone(),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong("ticket_scores", "Your random scores are normal, not uniform in [0, 1).")
def scores_random_normal(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.randn(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong("ticket_scores", "Your scores carry a gradient history: they are not detached from the weights.")
def scores_attached(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial, final
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong("ticket_scores", "You took absolute values in place: the weights themselves have changed.")
def scores_change_the_weights(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs_(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs_(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong("ticket_scores", "You computed in float32, and float64 weights lost their precision.")
def scores_in_float32(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach().float(), final.detach().float()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    if criterion not in scores:
        raise ValueError(criterion)
    return scores[criterion]()


@wrong(
    "ticket_scores",
    "An unknown criterion, another shape or a bad alpha is accepted, or breaks with another error.",
)
def scores_unchecked(initial, final, criterion, alpha=1.0, generator=None):
    w_i, w_f = initial.detach(), final.detach()
    scores = {
        "large_final": lambda: w_f.abs(),
        "small_final": lambda: -w_f.abs(),
        "large_init": lambda: w_i.abs(),
        "small_init": lambda: -w_i.abs(),
        "large_init_large_final": lambda: torch.minimum(alpha * w_f.abs(), w_i.abs()),
        "small_init_small_final": lambda: -torch.maximum(alpha * w_f.abs(), w_i.abs()),
        "magnitude_increase": lambda: w_f.abs() - w_i.abs(),
        "movement": lambda: (w_f - w_i).abs(),
        "random": lambda: torch.rand(w_i.shape, generator=generator, dtype=w_i.dtype),
    }
    return scores.get(criterion, scores["large_final"])()


@right("ticket_scores")
def scores_by_if(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    w_i, w_f = initial.detach(), final.detach()
    size_i, size_f = (w_i**2).sqrt(), (w_f**2).sqrt()
    if criterion == "random":
        values = torch.rand(w_i.numel(), generator=generator, dtype=torch.float64)
        return values.to(w_i.dtype).clamp(max=1 - 1e-7).view(w_i.shape)
    both = torch.stack([alpha * size_f, size_i])
    if criterion in ("large_final", "small_final"):
        score = size_f
    elif criterion in ("large_init", "small_init"):
        score = size_i
    elif criterion == "large_init_large_final":
        score = both.min(dim=0).values
    elif criterion == "small_init_small_final":
        score = both.max(dim=0).values
    elif criterion == "magnitude_increase":
        score = size_f - size_i
    elif criterion == "movement":
        score = ((w_i - w_f) ** 2).sqrt()
    else:
        raise ValueError(f"unknown: {criterion}")
    return -score if criterion.startswith("small") else score


@right("ticket_scores")
def scores_by_numpy(initial, final, criterion, alpha=1.0, generator=None):
    if initial.shape != final.shape or not alpha > 0:
        raise ValueError("shapes or alpha")
    i, f = initial.detach().numpy(), final.detach().numpy()
    if criterion == "random":
        if generator is None:
            seed = int(torch.randint(2**31, (1,)))
        else:
            seed = int(torch.randint(2**31, (1,), generator=generator))
        return (
            torch.from_numpy(np.random.default_rng(seed).random(i.shape))
            .to(initial.dtype)
            .clamp(max=1 - 1e-7)
        )
    table = {
        "large_final": np.abs(f),
        "small_final": -np.abs(f),
        "large_init": np.abs(i),
        "small_init": -np.abs(i),
        "large_init_large_final": np.where(alpha * np.abs(f) < np.abs(i), alpha * np.abs(f), np.abs(i)),
        "small_init_small_final": -np.where(alpha * np.abs(f) > np.abs(i), alpha * np.abs(f), np.abs(i)),
        "magnitude_increase": np.abs(f) - np.abs(i),
        "movement": np.abs(f - i),
    }
    if criterion not in table:
        raise ValueError(criterion)
    return torch.from_numpy(np.array(table[criterion], dtype=i.dtype))


# --- keep_signs -------------------------------------------------------------------------------------------------------


@wrong(
    "keep_signs",
    "You multiplied the fresh values by the signs without taking their magnitudes: negative ones turn round.",
)
def signs_multiply_signed(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    values = fresh.detach()
    return torch.where(initial == 0, values, values * torch.sign(initial.detach()))


@wrong("keep_signs", "You kept the initial magnitudes and took the fresh signs: it is the other way round.")
def signs_exchanged(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    values = fresh.detach()
    return torch.where(initial == 0, values, initial.detach().abs() * torch.sign(values))


@wrong("keep_signs", "Where the initial weight is zero you return zero: there the fresh value stays.")
def signs_zero_where_initial_is_zero(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    return fresh.detach().abs() * torch.sign(initial.detach())


@wrong(
    "keep_signs",
    "Zero has no sign, but your function gives it one: 0.0 counts as positive and -0.0 as negative.",
)
def signs_copysign(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    return torch.copysign(fresh.detach(), initial.detach())


@wrong("keep_signs", "You count a zero as negative: only weights above zero got a positive sign.")
def signs_zero_is_negative(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    values = fresh.detach().abs()
    return torch.where(initial > 0, values, -values)


@wrong("keep_signs", "You count a zero as positive: all weights that are not below zero got a positive sign.")
def signs_zero_is_positive(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    values = fresh.detach().abs()
    return torch.where(initial < 0, -values, values)


@wrong("keep_signs", "You gave every weight the opposite of its initial sign.")
def signs_opposite(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    values = fresh.detach()
    return torch.where(initial == 0, values, -values.abs() * torch.sign(initial.detach()))


@wrong(
    "keep_signs",
    "Where the signs disagree you set the weight to zero: its magnitude should stay, with the old sign.",
)
def signs_drop_those_that_disagree(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    values = fresh.detach()
    return torch.where((initial == 0) | (torch.sign(initial) == torch.sign(values)), values, 0)


@wrong(
    "keep_signs",
    "Where the signs disagree you took the initial value back: its magnitude should be the fresh one.",
)
def signs_initial_where_they_disagree(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    values = fresh.detach()
    agree = (initial == 0) | (torch.sign(initial.detach()) == torch.sign(values))
    return torch.where(agree, values, initial.detach())


@wrong("keep_signs", "You changed the fresh values in place: the result is not a new tensor.")
def signs_in_place(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    with torch.no_grad():
        fresh.copy_(torch.where(initial == 0, fresh, fresh.abs() * torch.sign(initial)))
    return fresh.detach()


@wrong("keep_signs", "Your result carries a gradient history: it is not detached.")
def signs_attached(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    return torch.where(initial == 0, fresh, fresh.abs() * torch.sign(initial))


@wrong("keep_signs", "Two different shapes are accepted, or break with another error.")
def signs_unchecked(initial, fresh):
    values = fresh.detach()
    return torch.where(initial == 0, values, values.abs() * torch.sign(initial.detach()))


@right("keep_signs")
def signs_by_where(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    i, f = initial.detach(), fresh.detach()
    size = f.abs()
    return torch.where(i > 0, size, torch.where(i < 0, -size, f)).clone()


@right("keep_signs")
def signs_by_flipping(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    result = fresh.detach().clone()
    turn = (initial.detach() > 0) & (result < 0) | (initial.detach() < 0) & (result > 0)
    result[turn] = -result[turn]
    return result


@right("keep_signs")
def signs_by_loop(initial, fresh):
    if initial.shape != fresh.shape:
        raise ValueError("shapes")
    pairs = zip(initial.detach().flatten().tolist(), fresh.detach().flatten().tolist())
    values = [f if i == 0 else (abs(f) if i > 0 else -abs(f)) for i, f in pairs]
    return torch.tensor(values, dtype=fresh.dtype).reshape(fresh.shape)


# --- supermask_accuracy -----------------------------------------------------------------------------------------------


@wrong("supermask_accuracy", "Your masks have no effect: the whole network was judged.")
def supermask_whole_network(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        logits = model(images)
    for module, training in modes:
        module.training = training
    return (logits.argmax(dim=1) == labels).double().mean().item()


@wrong("supermask_accuracy", "You judged the part that was removed: the mask is True on what is kept.")
def supermask_inverted(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {name: parameters[name].detach().masked_fill(mask, 0) for name, mask in masks.items()}
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        logits = torch.func.functional_call(model, masked, (images,))
    for module, training in modes:
        module.training = training
    return (logits.argmax(dim=1) == labels).double().mean().item()


@wrong("supermask_accuracy", "You wrote the zeros into the network and left them there.")
def supermask_leaves_the_masks_on(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].masked_fill_(~mask, 0)
        logits = model(images)
    for module, training in modes:
        module.training = training
    return (logits.argmax(dim=1) == labels).double().mean().item()


@wrong("supermask_accuracy", "You multiplied by the mask: zero times infinity is NaN and not zero.")
def supermask_by_product(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {name: parameters[name].detach() * mask for name, mask in masks.items()}
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        logits = torch.func.functional_call(model, masked, (images,))
    for module, training in modes:
        module.training = training
    return (logits.argmax(dim=1) == labels).double().mean().item()


@wrong(
    "supermask_accuracy",
    "You judged the network in the mode in which it came: in training mode dropout and BatchNorm change the outputs.",
)
def supermask_in_the_models_mode(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {name: parameters[name].detach().masked_fill(~mask, 0) for name, mask in masks.items()}
    state = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        logits = torch.func.functional_call(model, masked, (images,))
    model.load_state_dict(state)
    return (logits.argmax(dim=1) == labels).double().mean().item()


@wrong("supermask_accuracy", "You left the model in evaluation mode.")
def supermask_stays_in_evaluation_mode(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {name: parameters[name].detach().masked_fill(~mask, 0) for name, mask in masks.items()}
    model.eval()
    with torch.no_grad():
        logits = torch.func.functional_call(model, masked, (images,))
    return (logits.argmax(dim=1) == labels).double().mean().item()


@wrong(
    "supermask_accuracy",
    "You put the whole model into training mode afterwards: a part of it was in evaluation mode before.",
)
def supermask_training_mode_for_all(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {name: parameters[name].detach().masked_fill(~mask, 0) for name, mask in masks.items()}
    training = model.training
    model.eval()
    with torch.no_grad():
        logits = torch.func.functional_call(model, masked, (images,))
    model.train(training)
    return (logits.argmax(dim=1) == labels).double().mean().item()


@wrong("supermask_accuracy", "You cleared the gradients of the model.")
def supermask_clears_gradients(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {name: parameters[name].detach().masked_fill(~mask, 0) for name, mask in masks.items()}
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        logits = torch.func.functional_call(model, masked, (images,))
    model.zero_grad()
    for module, training in modes:
        module.training = training
    return (logits.argmax(dim=1) == labels).double().mean().item()


@wrong(
    "supermask_accuracy",
    "You put new parameters into the model: the objects that others hold are no longer its own.",
)
def supermask_replaces_parameters(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    old = {name: parameters[name].detach().clone() for name in masks}
    for kind in (0, 1):
        for name, mask in masks.items():
            owner, _, own = name.rpartition(".")
            value = old[name] if kind else old[name].masked_fill(~mask, 0)
            setattr(model.get_submodule(owner), own, nn.Parameter(value))
        if kind == 0:
            with torch.no_grad():
                logits = model(images)
    for module, training in modes:
        module.training = training
    return (logits.argmax(dim=1) == labels).double().mean().item()


@wrong("supermask_accuracy", "You returned the number of right answers, not their share.")
def supermask_counts_right_answers(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {name: parameters[name].detach().masked_fill(~mask, 0) for name, mask in masks.items()}
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        logits = torch.func.functional_call(model, masked, (images,))
    for module, training in modes:
        module.training = training
    return float((logits.argmax(dim=1) == labels).sum())


@wrong(
    "supermask_accuracy", "You averaged the accuracies of batches: the last, smaller batch counts too much."
)
def supermask_mean_of_batches(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {name: parameters[name].detach().masked_fill(~mask, 0) for name, mask in masks.items()}
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    shares = []
    with torch.no_grad():
        for batch, answers in zip(images.split(64), labels.split(64)):
            logits = torch.func.functional_call(model, masked, (batch,))
            shares.append((logits.argmax(dim=1) == answers).double().mean().item())
    for module, training in modes:
        module.training = training
    return sum(shares) / len(shares)


@wrong("supermask_accuracy", "You left out the images after the last full batch.")
def supermask_loses_the_last_batch(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {name: parameters[name].detach().masked_fill(~mask, 0) for name, mask in masks.items()}
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    right, size = 0, min(64, len(images))
    with torch.no_grad():
        for i in range(0, len(images) // size * size, size):
            logits = torch.func.functional_call(model, masked, (images[i : i + size],))
            right += int((logits.argmax(dim=1) == labels[i : i + size]).sum())
    for module, training in modes:
        module.training = training
    return right / len(images)


@wrong("supermask_accuracy", "You returned the error rate, not the accuracy.")
def supermask_error(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {name: parameters[name].detach().masked_fill(~mask, 0) for name, mask in masks.items()}
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        logits = torch.func.functional_call(model, masked, (images,))
    for module, training in modes:
        module.training = training
    return (logits.argmax(dim=1) != labels).double().mean().item()


@wrong(
    "supermask_accuracy",
    "You returned the mean probability of the right class: accuracy counts right answers.",
)
def supermask_confidence(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {name: parameters[name].detach().masked_fill(~mask, 0) for name, mask in masks.items()}
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        logits = torch.func.functional_call(model, masked, (images,))
    for module, training in modes:
        module.training = training
    return F.softmax(logits, dim=1)[torch.arange(len(labels)), labels].double().mean().item()


@wrong("supermask_accuracy", "You also removed the parameters that have no mask.")
def supermask_removes_the_unmasked(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {
        name: p.detach().masked_fill(~masks[name], 0) if name in masks else torch.zeros_like(p)
        for name, p in parameters.items()
    }
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        logits = torch.func.functional_call(model, masked, (images,))
    for module, training in modes:
        module.training = training
    return (logits.argmax(dim=1) == labels).double().mean().item()


@wrong("supermask_accuracy", "You need a mask for every parameter: one without a mask breaks your function.")
def supermask_wants_every_mask(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {name: p.detach().masked_fill(~masks[name], 0) for name, p in parameters.items()}
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        logits = torch.func.functional_call(model, masked, (images,))
    for module, training in modes:
        module.training = training
    return (logits.argmax(dim=1) == labels).double().mean().item()


@wrong(
    "supermask_accuracy",
    "An unknown mask, another shape, no image or missing labels are accepted, or break with another error.",
)
def supermask_unchecked(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    masked = {}
    for name, mask in masks.items():
        if name in parameters:
            masked[name] = parameters[name].detach().masked_fill(~mask, 0)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        logits = torch.func.functional_call(model, masked, (images,))
    for module, training in modes:
        module.training = training
    return (logits.argmax(dim=1) == labels).sum().item() / max(1, len(images))


@right("supermask_accuracy")
def supermask_on_a_copy(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    twin = copy.deepcopy(model).eval()
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            if name in masks:
                parameter[~masks[name]] = 0
        right = sum(int(twin(image[None]).argmax() == label) for image, label in zip(images, labels))
    return right / len(labels)


@right("supermask_accuracy")
def supermask_put_back(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    modes = {name: module.training for name, module in model.named_modules()}
    saved = {name: parameters[name].detach().clone() for name in masks}
    model.eval()
    right = 0
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].copy_(torch.where(mask, saved[name], torch.zeros_like(saved[name])))
        for batch, answers in zip(images.split(50), labels.split(50)):
            right += int((model(batch).max(dim=1).indices == answers).sum())
        for name, value in saved.items():
            parameters[name].copy_(value)
    for name, module in model.named_modules():
        module.training = modes[name]
    return right / len(images)


@right("supermask_accuracy")
def supermask_by_numpy(model, masks, images, labels):
    parameters = dict(model.named_parameters())
    if any(name not in parameters or masks[name].shape != parameters[name].shape for name in masks):
        raise ValueError("masks")
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError("images")
    masked = {name: parameters[name].detach().masked_fill(~mask, 0) for name, mask in masks.items()}
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with torch.no_grad():
        logits = torch.func.functional_call(model, masked, (images,))
    for module, training in modes:
        module.training = training
    return float(np.mean(logits.numpy().argmax(axis=1) == labels.numpy()))


# --- scratch_epochs ---------------------------------------------------------------------------------------------------


@wrong(
    "scratch_epochs", "You turned the ratio upside down: the small network may train for longer, not shorter."
)
def scratch_upside_down(epochs, dense_macs, pruned_macs):
    if epochs < 1 or not 1 <= pruned_macs <= dense_macs:
        raise ValueError("epochs or MACs")
    return epochs, epochs * pruned_macs // dense_macs


@wrong("scratch_epochs", "You exchanged the two: Scratch-E comes first, with the same number of epochs.")
def scratch_swapped(epochs, dense_macs, pruned_macs):
    if epochs < 1 or not 1 <= pruned_macs <= dense_macs:
        raise ValueError("epochs or MACs")
    return epochs * dense_macs // pruned_macs, epochs


@wrong("scratch_epochs", "You returned Scratch-B alone; both numbers are asked for.")
def scratch_only_b(epochs, dense_macs, pruned_macs):
    if epochs < 1 or not 1 <= pruned_macs <= dense_macs:
        raise ValueError("epochs or MACs")
    return epochs * dense_macs // pruned_macs


@wrong("scratch_epochs", "You rounded to the nearest number: the budget may then be exceeded.")
def scratch_rounded(epochs, dense_macs, pruned_macs):
    if epochs < 1 or not 1 <= pruned_macs <= dense_macs:
        raise ValueError("epochs or MACs")
    return epochs, (2 * epochs * dense_macs + pruned_macs) // (2 * pruned_macs)


@wrong("scratch_epochs", "You rounded up: the budget is then exceeded.")
def scratch_rounded_up(epochs, dense_macs, pruned_macs):
    if epochs < 1 or not 1 <= pruned_macs <= dense_macs:
        raise ValueError("epochs or MACs")
    return epochs, -(-epochs * dense_macs // pruned_macs)


@wrong("scratch_epochs", "You rounded the ratio of the MACs before you multiplied by the epochs.")
def scratch_rounds_the_ratio_first(epochs, dense_macs, pruned_macs):
    if epochs < 1 or not 1 <= pruned_macs <= dense_macs:
        raise ValueError("epochs or MACs")
    return epochs, epochs * (dense_macs // pruned_macs)


@wrong("scratch_epochs", "You divided in floats before you multiplied: rounding can cost an epoch.")
def scratch_float_ratio(epochs, dense_macs, pruned_macs):
    if epochs < 1 or not 1 <= pruned_macs <= dense_macs:
        raise ValueError("epochs or MACs")
    return epochs, int(epochs * (dense_macs / pruned_macs))


@wrong("scratch_epochs", "You divided in floats: for very large numbers the quotient is not exact.")
def scratch_float_quotient(epochs, dense_macs, pruned_macs):
    if epochs < 1 or not 1 <= pruned_macs <= dense_macs:
        raise ValueError("epochs or MACs")
    return epochs, int(epochs * dense_macs / pruned_macs)


@wrong("scratch_epochs", "You added the large network's epochs: the budget is spent twice.")
def scratch_budget_beyond(epochs, dense_macs, pruned_macs):
    if epochs < 1 or not 1 <= pruned_macs <= dense_macs:
        raise ValueError("epochs or MACs")
    return epochs, epochs + epochs * dense_macs // pruned_macs


@wrong("scratch_epochs", "You never gave more than twice the epochs: here the whole budget may be spent.")
def scratch_at_most_double(epochs, dense_macs, pruned_macs):
    if epochs < 1 or not 1 <= pruned_macs <= dense_macs:
        raise ValueError("epochs or MACs")
    return epochs, min(2 * epochs, epochs * dense_macs // pruned_macs)


@wrong("scratch_epochs", "You returned floats; whole numbers are asked for.")
def scratch_floats(epochs, dense_macs, pruned_macs):
    if epochs < 1 or not 1 <= pruned_macs <= dense_macs:
        raise ValueError("epochs or MACs")
    return float(epochs), float(epochs * dense_macs // pruned_macs)


@wrong(
    "scratch_epochs",
    "No epoch, no MACs, or a pruned network that costs more is accepted, or breaks with another error.",
)
def scratch_unchecked(epochs, dense_macs, pruned_macs):
    return epochs, epochs * dense_macs // max(1, pruned_macs)


@right("scratch_epochs")
def scratch_by_counting(epochs, dense_macs, pruned_macs):
    if epochs < 1 or not 1 <= pruned_macs <= dense_macs:
        raise ValueError("epochs or MACs")
    low, high = 0, epochs * dense_macs  # B lies between; halve the interval
    while low < high:
        middle = (low + high + 1) // 2
        if middle * pruned_macs <= epochs * dense_macs:
            low = middle
        else:
            high = middle - 1
    return epochs, low


@right("scratch_epochs")
def scratch_by_divmod(epochs, dense_macs, pruned_macs):
    if epochs < 1 or not 1 <= pruned_macs <= dense_macs:
        raise ValueError("epochs or MACs")
    many, rest = divmod(dense_macs, pruned_macs)
    return (epochs, epochs * many + divmod(epochs * rest, pruned_macs)[0])
