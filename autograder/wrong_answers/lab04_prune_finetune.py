"""Lab 4's bank. An answer uses only what the notebook's first cell imports: torch and numpy as np."""

import numpy as np
import torch

from autograder.wrong_answers import right, wrong

# --- apply_masks -----------------------------------------------------------------------------------------------


@wrong("apply_masks", "You set the weights that should stay to zero: the mask is True on what is kept.")
def apply_inverted(weights, masks):
    for name, mask in masks.items():
        if name not in weights or mask.shape != weights[name].shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(mask, 0)


@wrong(
    "apply_masks",
    "You put new tensors into the dictionary: the network still holds its own weights and does not feel it.",
)
def apply_replaces_the_entry(weights, masks):
    for name, mask in masks.items():
        if name not in weights or mask.shape != weights[name].shape:
            raise ValueError(name)
    for name, mask in masks.items():
        weights[name] = torch.where(mask, weights[name].detach(), 0).requires_grad_()


@wrong("apply_masks", "You multiplied by the mask: zero times infinity, or times NaN, is NaN and not zero.")
def apply_by_product(weights, masks):
    for name, mask in masks.items():
        if name not in weights or mask.shape != weights[name].shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].mul_(mask)


@wrong("apply_masks", "You went through all the weights: a layer without a mask breaks your function.")
def apply_needs_every_mask(weights, masks):
    for name, mask in masks.items():
        if name not in weights or mask.shape != weights[name].shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, weight in weights.items():
            weight.masked_fill_(~masks[name], 0)


@wrong("apply_masks", "You also removed the layers for which there is no mask.")
def apply_removes_the_others(weights, masks):
    for name, mask in masks.items():
        if name not in weights or mask.shape != weights[name].shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, weight in weights.items():
            weight.masked_fill_(
                ~masks[name] if name in masks else torch.ones_like(weight, dtype=torch.bool), 0
            )


@wrong(
    "apply_masks",
    "A mask for an unknown layer, or of another shape, is accepted, or breaks with another error.",
)
def apply_unchecked(weights, masks):
    with torch.no_grad():
        for name, mask in masks.items():
            if name in weights and mask.shape == weights[name].shape:
                weights[name].masked_fill_(~mask, 0)


@wrong(
    "apply_masks",
    "You checked each mask just before you used it: the layers before the bad one were changed.",
)
def apply_checks_too_late(weights, masks):
    with torch.no_grad():
        for name, mask in masks.items():
            if name not in weights or mask.shape != weights[name].shape:
                raise ValueError(name)
            weights[name].masked_fill_(~mask, 0)


@wrong("apply_masks", "You also set the gradients to zero (or to None): they are no part of the pruning.")
def apply_clears_gradients(weights, masks):
    for name, mask in masks.items():
        if name not in weights or mask.shape != weights[name].shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0)
            weights[name].grad = None


@wrong("apply_masks", "You returned the weights; the function changes the network in place and returns None.")
def apply_returns_weights(weights, masks):
    for name, mask in masks.items():
        if name not in weights or mask.shape != weights[name].shape:
            raise ValueError(name)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0)
    return weights


@right("apply_masks")
def apply_by_where(weights, masks):
    if not set(masks) <= set(weights):
        raise ValueError("a mask for a layer that is not there")
    if any(masks[name].shape != weights[name].shape for name in masks):
        raise ValueError("a mask of another shape")
    for name in masks:
        weights[name].data.copy_(
            torch.where(masks[name], weights[name].data, torch.zeros_like(weights[name]))
        )


@right("apply_masks")
def apply_by_index(weights, masks):
    for name in masks:
        if name not in weights:
            raise ValueError(f"{name} is unknown")
        if tuple(masks[name].shape) != tuple(weights[name].shape):
            raise ValueError(f"{name} has another shape")
    for name in masks:
        weights[name].data[torch.logical_not(masks[name])] = 0.0


@right("apply_masks")
def apply_by_numpy(weights, masks):
    if masks.keys() - weights.keys():
        raise ValueError("a mask for a layer that is not there")
    for name, mask in masks.items():
        if mask.shape != weights[name].shape:
            raise ValueError("a mask of another shape")
    for name, mask in masks.items():
        values = weights[name].detach().numpy()  # shares its memory with the weight
        np.copyto(values, 0, where=~mask.numpy())


# --- masked_step -----------------------------------------------------------------------------------------------


@wrong(
    "masked_step",
    "You never zero the removed weights: the step has moved them, and they stay where they are.",
)
def step_without_mask(weights, masks, optimizer, compute_loss):
    optimizer.zero_grad()
    loss = compute_loss()
    if not torch.isfinite(loss):
        raise ValueError("loss")
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong(
    "masked_step",
    "You applied the masks before the optimiser's step: the step moves the removed weights again.",
)
def step_masks_too_early(weights, masks, optimizer, compute_loss):
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0)
    optimizer.zero_grad()
    loss = compute_loss()
    if not torch.isfinite(loss):
        raise ValueError("loss")
    loss.backward()
    optimizer.step()
    return loss.item()


@wrong(
    "masked_step",
    "You masked the gradients and not the weights: momentum still moves a weight whose gradient is zero.",
)
def step_masks_the_gradient(weights, masks, optimizer, compute_loss):
    optimizer.zero_grad()
    loss = compute_loss()
    if not torch.isfinite(loss):
        raise ValueError("loss")
    loss.backward()
    for name, mask in masks.items():
        weights[name].grad.masked_fill_(~mask, 0)
    optimizer.step()
    return loss.item()


@wrong("masked_step", "The gradients of earlier batches are still there: yours are added to them.")
def step_accumulates(weights, masks, optimizer, compute_loss):
    loss = compute_loss()
    if not torch.isfinite(loss):
        raise ValueError("loss")
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0)
    return loss.item()


@wrong("masked_step", "You cleared the gradients between backward and step: the step has nothing to follow.")
def step_clears_too_late(weights, masks, optimizer, compute_loss):
    loss = compute_loss()
    if not torch.isfinite(loss):
        raise ValueError("loss")
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0)
    return loss.item()


@wrong("masked_step", "You zero the weights that should stay: the mask is True on what is kept.")
def step_inverted(weights, masks, optimizer, compute_loss):
    optimizer.zero_grad()
    loss = compute_loss()
    if not torch.isfinite(loss):
        raise ValueError("loss")
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(mask, 0)
    return loss.item()


@wrong(
    "masked_step",
    "You computed the loss a second time, after the step: that is another batch and another loss.",
)
def step_returns_the_next_loss(weights, masks, optimizer, compute_loss):
    optimizer.zero_grad()
    loss = compute_loss()
    if not torch.isfinite(loss):
        raise ValueError("loss")
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0)
    return compute_loss().item()


@wrong("masked_step", "You returned the loss as a tensor; a Python float is asked for.")
def step_returns_a_tensor(weights, masks, optimizer, compute_loss):
    optimizer.zero_grad()
    loss = compute_loss()
    if not torch.isfinite(loss):
        raise ValueError("loss")
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0)
    return loss


@wrong("masked_step", "You need a mask for every weight: a layer without one breaks your function.")
def step_needs_every_mask(weights, masks, optimizer, compute_loss):
    optimizer.zero_grad()
    loss = compute_loss()
    if not torch.isfinite(loss):
        raise ValueError("loss")
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, weight in weights.items():
            weight.masked_fill_(~masks[name], 0)
    return loss.item()


@wrong(
    "masked_step",
    "You put the masked weights into the dictionary as new tensors: the network keeps its unmasked ones.",
)
def step_replaces_the_entry(weights, masks, optimizer, compute_loss):
    optimizer.zero_grad()
    loss = compute_loss()
    if not torch.isfinite(loss):
        raise ValueError("loss")
    loss.backward()
    optimizer.step()
    for name, mask in masks.items():
        weights[name] = torch.nn.Parameter(weights[name].detach() * mask)
    return loss.item()


@wrong(
    "masked_step",
    "You moved the weights by lr times the gradient yourself: what the optimiser adds, such as momentum, is left out.",
)
def step_by_hand(weights, masks, optimizer, compute_loss):
    optimizer.zero_grad()
    loss = compute_loss()
    if not torch.isfinite(loss):
        raise ValueError("loss")
    loss.backward()
    with torch.no_grad():
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter -= group["lr"] * parameter.grad
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0)
    return loss.item()


@wrong(
    "masked_step", "An infinite or undefined loss is accepted without a word: the step spoils every weight."
)
def step_unchecked(weights, masks, optimizer, compute_loss):
    optimizer.zero_grad()
    loss = compute_loss()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0)
    return loss.item()


@wrong(
    "masked_step", "You looked at the loss only after the step: the error comes when the weights are spoiled."
)
def step_checks_too_late(weights, masks, optimizer, compute_loss):
    optimizer.zero_grad()
    loss = compute_loss()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].masked_fill_(~mask, 0)
    if not torch.isfinite(loss):
        raise ValueError("loss")
    return loss.item()


@right("masked_step")
def step_by_where(weights, masks, optimizer, compute_loss):
    loss = compute_loss()
    if not np.isfinite(loss.item()):
        raise ValueError("the loss is not finite")
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()
    for name in masks:
        weights[name].data = torch.where(
            masks[name], weights[name].data, torch.zeros_like(weights[name].data)
        )
    return float(loss.detach())


@right("masked_step")
def step_by_closure(weights, masks, optimizer, compute_loss):
    def closure():
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = compute_loss()
        if torch.isnan(loss) or torch.isinf(loss):
            raise ValueError("the loss is not finite")
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name] *= mask
    return loss.item()


@right("masked_step")
def step_masks_gradient_and_weight(weights, masks, optimizer, compute_loss):
    loss = compute_loss()
    if not torch.isfinite(loss).item():
        raise ValueError("the loss is not finite")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    gradients = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient
    for name, mask in masks.items():
        weights[name].grad = weights[name].grad * mask
    optimizer.step()
    for name, mask in masks.items():
        weights[name].data[~mask] = 0
    return loss.item()


# --- prune_and_finetune ----------------------------------------------------------------------------------------


@wrong(
    "prune_and_finetune",
    "Every mask comes from the weights as they were at the very beginning, before any round.",
)
def rounds_from_the_start(weights, sparsities, prune, finetune, evaluate):
    if not sparsities or any(b < a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("sparsities")
    begin = {name: weight.detach().clone() for name, weight in weights.items()}
    masks, history = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}, []
    for sparsity in sparsities:
        chosen = prune(begin, sparsity)
        masks = {name: masks[name] & chosen[name] for name in weights}
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        pruned = evaluate()
        finetune(masks)
        history.append((pruned, evaluate()))
    return masks, history


@wrong("prune_and_finetune", "A removed weight may come back: your round takes the rule's mask alone.")
def rounds_revive(weights, sparsities, prune, finetune, evaluate):
    if not sparsities or any(b < a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("sparsities")
    history = []
    for sparsity in sparsities:
        masks = prune(weights, sparsity)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        pruned = evaluate()
        finetune(masks)
        history.append((pruned, evaluate()))
    return masks, history


@wrong("prune_and_finetune", "You join the masks with “or”: a weight stays as soon as one round kept it.")
def rounds_join_by_or(weights, sparsities, prune, finetune, evaluate):
    if not sparsities or any(b < a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("sparsities")
    masks, history = None, []
    for sparsity in sparsities:
        chosen = prune(weights, sparsity)
        masks = chosen if masks is None else {name: masks[name] | chosen[name] for name in weights}
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        pruned = evaluate()
        finetune(masks)
        history.append((pruned, evaluate()))
    return masks, history


@wrong("prune_and_finetune", "You fine-tuned first and pruned afterwards: nothing repairs the last cut.")
def rounds_prune_last(weights, sparsities, prune, finetune, evaluate):
    if not sparsities or any(b < a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("sparsities")
    masks, history = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}, []
    for sparsity in sparsities:
        finetune(masks)
        tuned = evaluate()
        chosen = prune(weights, sparsity)
        masks = {name: masks[name] & chosen[name] for name in weights}
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        history.append((evaluate(), tuned))
    return masks, history


@wrong(
    "prune_and_finetune",
    "You measured before the cut: the first number of a pair is that of the unpruned weights.",
)
def rounds_measure_too_early(weights, sparsities, prune, finetune, evaluate):
    if not sparsities or any(b < a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("sparsities")
    masks, history = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}, []
    for sparsity in sparsities:
        chosen = prune(weights, sparsity)
        masks = {name: masks[name] & chosen[name] for name in weights}
        pruned = evaluate()
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        finetune(masks)
        history.append((pruned, evaluate()))
    return masks, history


@wrong(
    "prune_and_finetune", "Your pairs are the other way round: the accuracy right after pruning comes first."
)
def rounds_swap_the_pair(weights, sparsities, prune, finetune, evaluate):
    if not sparsities or any(b < a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("sparsities")
    masks, history = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}, []
    for sparsity in sparsities:
        chosen = prune(weights, sparsity)
        masks = {name: masks[name] & chosen[name] for name in weights}
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        pruned = evaluate()
        finetune(masks)
        history.append((evaluate(), pruned))
    return masks, history


@wrong("prune_and_finetune", "You cut to the last sparsity at once: the earlier rounds are left out.")
def rounds_cut_at_once(weights, sparsities, prune, finetune, evaluate):
    if not sparsities or any(b < a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("sparsities")
    masks, history = prune(weights, sparsities[-1]), []
    for _ in sparsities:
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        pruned = evaluate()
        finetune(masks)
        history.append((pruned, evaluate()))
    return masks, history


@wrong(
    "prune_and_finetune",
    "Each round begins again from the first weights: the fine-tuning of the round before is lost.",
)
def rounds_rewind(weights, sparsities, prune, finetune, evaluate):
    if not sparsities or any(b < a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("sparsities")
    begin = {name: weight.detach().clone() for name, weight in weights.items()}
    masks, history = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}, []
    for sparsity in sparsities:
        chosen = prune(weights, sparsity)
        masks = {name: masks[name] & chosen[name] for name in weights}
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(torch.where(masks[name], begin[name], 0))
        pruned = evaluate()
        finetune(masks)
        history.append((pruned, evaluate()))
    return masks, history


@wrong("prune_and_finetune", "You fine-tuned without the masks: what was removed is trained and comes back.")
def rounds_finetune_dense(weights, sparsities, prune, finetune, evaluate):
    if not sparsities or any(b < a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("sparsities")
    masks, history = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}, []
    for sparsity in sparsities:
        chosen = prune(weights, sparsity)
        masks = {name: masks[name] & chosen[name] for name in weights}
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        pruned = evaluate()
        finetune({})
        history.append((pruned, evaluate()))
    return masks, history


@wrong(
    "prune_and_finetune",
    "You fine-tuned once, after all the cuts: each cut is to be repaired before the next.",
)
def rounds_finetune_once(weights, sparsities, prune, finetune, evaluate):
    if not sparsities or any(b < a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("sparsities")
    masks, pruned = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}, []
    for sparsity in sparsities:
        chosen = prune(weights, sparsity)
        masks = {name: masks[name] & chosen[name] for name in weights}
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        pruned.append(evaluate())
    finetune(masks)
    return masks, [(value, evaluate()) for value in pruned]


@wrong("prune_and_finetune", "You returned the history without the masks.")
def rounds_return_the_history(weights, sparsities, prune, finetune, evaluate):
    if not sparsities or any(b < a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("sparsities")
    masks, history = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}, []
    for sparsity in sparsities:
        chosen = prune(weights, sparsity)
        masks = {name: masks[name] & chosen[name] for name in weights}
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        pruned = evaluate()
        finetune(masks)
        history.append((pruned, evaluate()))
    return history


@wrong(
    "prune_and_finetune",
    "Input that makes no sense (no sparsity, or sparsities that fall) is accepted without a word.",
)
def rounds_unchecked(weights, sparsities, prune, finetune, evaluate):
    masks, history = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}, []
    for sparsity in sparsities:
        chosen = prune(weights, sparsity)
        masks = {name: masks[name] & chosen[name] for name in weights}
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        pruned = evaluate()
        finetune(masks)
        history.append((pruned, evaluate()))
    return masks, history


@right("prune_and_finetune")
def rounds_by_where(weights, sparsities, prune, finetune, evaluate):
    if len(sparsities) == 0 or list(sparsities) != sorted(sparsities):
        raise ValueError("the sparsities must be there and must not fall")
    masks, history = None, []
    for sparsity in sparsities:
        new = prune({name: weight.detach().clone() for name, weight in weights.items()}, sparsity)
        masks = new if masks is None else {name: torch.logical_and(new[name], masks[name]) for name in new}
        for name in weights:
            weights[name].data.copy_(
                torch.where(masks[name], weights[name].data, torch.zeros_like(weights[name]))
            )
        before = evaluate()
        finetune(masks)
        after = evaluate()
        history += [(before, after)]
    return masks, history


@right("prune_and_finetune")
def rounds_by_accumulated_removal(weights, sparsities, prune, finetune, evaluate):
    if not sparsities or (np.diff(sparsities) < 0).any():
        raise ValueError("the sparsities must be there and must not fall")
    gone = {name: torch.zeros(weight.shape, dtype=torch.bool) for name, weight in weights.items()}
    history = []
    for sparsity in sparsities:
        for name, mask in prune(weights, sparsity).items():
            gone[name] = gone[name] | ~mask
            weights[name].data[gone[name]] = 0
        pair = [evaluate()]
        finetune({name: ~removed for name, removed in gone.items()})
        pair.append(evaluate())
        history.append(tuple(pair))
    return {name: ~removed for name, removed in gone.items()}, history


# --- iterative_sparsities --------------------------------------------------------------------------------------


@wrong(
    "iterative_sparsities",
    "Your sparsity grows by equal steps: each round removes a larger fraction of what is left.",
)
def plan_by_equal_steps(final, rounds):
    if not 0 <= final <= 1 or rounds < 1:
        raise ValueError("final or rounds")
    return [final * r / rounds for r in range(1, rounds + 1)]


@wrong("iterative_sparsities", "You returned the fractions that are left, not the sparsities.")
def plan_of_densities(final, rounds):
    if not 0 <= final <= 1 or rounds < 1:
        raise ValueError("final or rounds")
    return [(1 - final) ** (r / rounds) for r in range(1, rounds + 1)]


@wrong(
    "iterative_sparsities",
    "You returned what each round removes from the whole, not the total sparsity after it.",
)
def plan_of_differences(final, rounds):
    if not 0 <= final <= 1 or rounds < 1:
        raise ValueError("final or rounds")
    totals = [1 - (1 - final) ** (r / rounds) for r in range(rounds + 1)]
    return [later - earlier for earlier, later in zip(totals, totals[1:])]


@wrong(
    "iterative_sparsities",
    "You returned the fraction that each round removes; the total sparsity is asked for.",
)
def plan_of_fractions(final, rounds):
    if not 0 <= final <= 1 or rounds < 1:
        raise ValueError("final or rounds")
    return [1 - (1 - final) ** (1 / rounds)] * rounds


@wrong(
    "iterative_sparsities",
    "Your list begins with the sparsity before the first round: it is one entry too long.",
)
def plan_with_the_start(final, rounds):
    if not 0 <= final <= 1 or rounds < 1:
        raise ValueError("final or rounds")
    return [1 - (1 - final) ** (r / rounds) for r in range(rounds + 1)]


@wrong(
    "iterative_sparsities",
    "Your rounds count from 0: the first one removes nothing, and the final sparsity is never reached.",
)
def plan_stops_early(final, rounds):
    if not 0 <= final <= 1 or rounds < 1:
        raise ValueError("final or rounds")
    return [1 - (1 - final) ** (r / rounds) for r in range(rounds)]


@wrong(
    "iterative_sparsities",
    "You took a power of the sparsity where the fraction that is left has to be taken.",
)
def plan_by_powers_of_sparsity(final, rounds):
    if not 0 <= final <= 1 or rounds < 1:
        raise ValueError("final or rounds")
    return [float(final) ** (rounds / r) for r in range(1, rounds + 1)]


@wrong(
    "iterative_sparsities",
    "Each round removes the fraction `final` of what is left: the last round overshoots.",
)
def plan_overshoots(final, rounds):
    if not 0 <= final <= 1 or rounds < 1:
        raise ValueError("final or rounds")
    return [1 - (1 - final) ** r for r in range(1, rounds + 1)]


@wrong(
    "iterative_sparsities",
    "A final sparsity that is no fraction, or a plan of no round, is accepted without a word.",
)
def plan_unchecked(final, rounds):
    return [1 - abs(1 - final) ** (r / rounds) for r in range(1, rounds + 1)]


@right("iterative_sparsities")
def plan_by_loop(final, rounds):
    if np.isnan(final) or final < 0 or final > 1 or rounds <= 0:
        raise ValueError("final or rounds")
    kept_each_round = (1 - final) ** (1 / rounds)
    left, plan = 1.0, []
    for _ in range(rounds):
        left = left * kept_each_round
        plan.append(1 - left)
    return plan


@right("iterative_sparsities")
def plan_by_numpy(final, rounds):
    if not (final >= 0 and final <= 1) or not rounds >= 1:
        raise ValueError("final or rounds")
    return (1 - np.power(1.0 - final, np.linspace(1 / rounds, 1, rounds))).tolist()


# --- cubic_sparsity --------------------------------------------------------------------------------------------


@wrong("cubic_sparsity", "Your sparsity rises at every step; the mask changes at the updates only.")
def cubic_without_interval(step, start, updates, interval, final, initial=0.0):
    if updates < 1 or interval < 1 or not 0 <= initial <= final <= 1:
        raise ValueError("schedule")
    progress = min(max((step - start) / (updates * interval), 0), 1)
    return final + (initial - final) * (1 - progress) ** 3


@wrong("cubic_sparsity", "Your schedule is a straight line: the power of three is missing.")
def cubic_linear(step, start, updates, interval, final, initial=0.0):
    if updates < 1 or interval < 1 or not 0 <= initial <= final <= 1:
        raise ValueError("schedule")
    done = min(max((step - start) // interval, 0), updates)
    return final + (initial - final) * (1 - done / updates)


@wrong("cubic_sparsity", "You took the square where equation 1 has the power of three.")
def cubic_squared(step, start, updates, interval, final, initial=0.0):
    if updates < 1 or interval < 1 or not 0 <= initial <= final <= 1:
        raise ValueError("schedule")
    done = min(max((step - start) // interval, 0), updates)
    return final + (initial - final) * (1 - done / updates) ** 2


@wrong(
    "cubic_sparsity", "You cubed the progress itself: your schedule begins slowly and cuts most at the end."
)
def cubic_of_the_progress(step, start, updates, interval, final, initial=0.0):
    if updates < 1 or interval < 1 or not 0 <= initial <= final <= 1:
        raise ValueError("schedule")
    done = min(max((step - start) // interval, 0), updates)
    return initial + (final - initial) * (done / updates) ** 3


@wrong(
    "cubic_sparsity",
    "You exchanged the two sparsities: your schedule falls from the final to the initial one.",
)
def cubic_swapped(step, start, updates, interval, final, initial=0.0):
    if updates < 1 or interval < 1 or not 0 <= initial <= final <= 1:
        raise ValueError("schedule")
    done = min(max((step - start) // interval, 0), updates)
    return initial + (final - initial) * (1 - done / updates) ** 3


@wrong("cubic_sparsity", "You left the initial sparsity out: your schedule always begins at 0.")
def cubic_from_zero(step, start, updates, interval, final, initial=0.0):
    if updates < 1 or interval < 1 or not 0 <= initial <= final <= 1:
        raise ValueError("schedule")
    done = min(max((step - start) // interval, 0), updates)
    return final - final * (1 - done / updates) ** 3


@wrong("cubic_sparsity", "You ignored the start: your schedule begins at step 0.")
def cubic_ignores_the_start(step, start, updates, interval, final, initial=0.0):
    if updates < 1 or interval < 1 or not 0 <= initial <= final <= 1:
        raise ValueError("schedule")
    done = min(max(step // interval, 0), updates)
    return final + (initial - final) * (1 - done / updates) ** 3


@wrong(
    "cubic_sparsity",
    "Before the start your sparsity is not the initial one: the equation does not hold there.",
)
def cubic_without_a_floor(step, start, updates, interval, final, initial=0.0):
    if updates < 1 or interval < 1 or not 0 <= initial <= final <= 1:
        raise ValueError("schedule")
    done = min((step - start) // interval, updates)
    return final + (initial - final) * (1 - done / updates) ** 3


@wrong(
    "cubic_sparsity", "After the last update your sparsity goes on rising: the equation does not hold there."
)
def cubic_without_a_ceiling(step, start, updates, interval, final, initial=0.0):
    if updates < 1 or interval < 1 or not 0 <= initial <= final <= 1:
        raise ValueError("schedule")
    done = max((step - start) // interval, 0)
    return final + (initial - final) * (1 - done / updates) ** 3


@wrong("cubic_sparsity", "You count one update too many: the first one already stands at the start.")
def cubic_one_too_many(step, start, updates, interval, final, initial=0.0):
    if updates < 1 or interval < 1 or not 0 <= initial <= final <= 1:
        raise ValueError("schedule")
    done = min(max((step - start) // interval + 1, 0), updates)
    return final + (initial - final) * (1 - done / updates) ** 3


@wrong(
    "cubic_sparsity",
    "A schedule that makes no sense (no update, no interval, a sparsity that is no fraction or falls) is accepted.",
)
def cubic_unchecked(step, start, updates, interval, final, initial=0.0):
    done = min(max((step - start) // max(interval, 1), 0), updates)
    return final + (initial - final) * (1 - done / max(updates, 1)) ** 3


@right("cubic_sparsity")
def cubic_by_table(step, start, updates, interval, final, initial=0.0):
    if updates < 1 or interval < 1 or not (initial >= 0 and final <= 1 and initial <= final):
        raise ValueError("schedule")
    sparsity = initial
    for update in range(updates + 1):
        if step >= start + update * interval:
            sparsity = final - (final - initial) * ((updates - update) / updates) ** 3
    return float(sparsity)


@right("cubic_sparsity")
def cubic_by_numpy(step, start, updates, interval, final, initial=0.0):
    if updates < 1 or interval < 1 or not (0 <= initial and initial <= final and final <= 1):
        raise ValueError("schedule")
    moments = start + interval * np.arange(updates + 1)
    values = final + (initial - final) * (1 - np.arange(updates + 1) / updates) ** 3
    return float(np.r_[initial, values][np.searchsorted(moments, step, side="right")])


# --- train_time_pruning ----------------------------------------------------------------------------------------


@wrong("train_time_pruning", "Nothing can grow back: you keep a weight only if the masks before kept it too.")
def epochs_never_regrow(weights, sparsities, prune, train_epoch):
    if not sparsities:
        raise ValueError("sparsities")
    masks, regrown = None, []
    for sparsity in sparsities:
        train_epoch()
        renewed = prune(weights, sparsity)
        masks = renewed if masks is None else {name: masks[name] & renewed[name] for name in masks}
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        regrown.append(0)
    return masks, regrown


@wrong(
    "train_time_pruning",
    "You pruned before you trained: the network ends with an epoch that fills the zeros again.",
)
def epochs_prune_first(weights, sparsities, prune, train_epoch):
    if not sparsities:
        raise ValueError("sparsities")
    masks, regrown = {}, []
    for sparsity in sparsities:
        renewed = prune(weights, sparsity)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~renewed[name], 0)
        train_epoch()
        regrown.append(sum(int((renewed[name] & ~mask).sum()) for name, mask in masks.items()))
        masks = renewed
    return masks, regrown


@wrong("train_time_pruning", "You took the masks once, after the first epoch, and never renewed them.")
def epochs_never_renew(weights, sparsities, prune, train_epoch):
    if not sparsities:
        raise ValueError("sparsities")
    masks, regrown = None, []
    for sparsity in sparsities:
        train_epoch()
        masks = prune(weights, sparsity) if masks is None else masks
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        regrown.append(0)
    return masks, regrown


@wrong(
    "train_time_pruning", "You took the masks and never applied them: the network ends with all its weights."
)
def epochs_never_apply(weights, sparsities, prune, train_epoch):
    if not sparsities:
        raise ValueError("sparsities")
    masks, regrown = {}, []
    for sparsity in sparsities:
        train_epoch()
        renewed = prune(weights, sparsity)
        regrown.append(sum(int((renewed[name] & ~mask).sum()) for name, mask in masks.items()))
        masks = renewed
    return masks, regrown


@wrong("train_time_pruning", "You zeroed the weights that should stay: the mask is True on what is kept.")
def epochs_inverted(weights, sparsities, prune, train_epoch):
    if not sparsities:
        raise ValueError("sparsities")
    masks, regrown = {}, []
    for sparsity in sparsities:
        train_epoch()
        renewed = prune(weights, sparsity)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(renewed[name], 0)
        regrown.append(sum(int((renewed[name] & ~mask).sum()) for name, mask in masks.items()))
        masks = renewed
    return masks, regrown


@wrong("train_time_pruning", "You counted the weights that were newly removed, not those that came back.")
def epochs_count_the_lost(weights, sparsities, prune, train_epoch):
    if not sparsities:
        raise ValueError("sparsities")
    masks, regrown = {}, []
    for sparsity in sparsities:
        train_epoch()
        renewed = prune(weights, sparsity)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~renewed[name], 0)
        regrown.append(sum(int((mask & ~renewed[name]).sum()) for name, mask in masks.items()))
        masks = renewed
    return masks, regrown


@wrong("train_time_pruning", "You counted every weight whose mask changed, those that were lost included.")
def epochs_count_all_changes(weights, sparsities, prune, train_epoch):
    if not sparsities:
        raise ValueError("sparsities")
    masks, regrown = {}, []
    for sparsity in sparsities:
        train_epoch()
        renewed = prune(weights, sparsity)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~renewed[name], 0)
        regrown.append(sum(int((mask != renewed[name]).sum()) for name, mask in masks.items()))
        masks = renewed
    return masks, regrown


@wrong(
    "train_time_pruning",
    "In the first epoch nothing had been removed yet: all that is kept is counted as grown back.",
)
def epochs_count_the_first(weights, sparsities, prune, train_epoch):
    if not sparsities:
        raise ValueError("sparsities")
    masks, regrown = {name: torch.zeros_like(w, dtype=torch.bool) for name, w in weights.items()}, []
    for sparsity in sparsities:
        train_epoch()
        renewed = prune(weights, sparsity)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~renewed[name], 0)
        regrown.append(sum(int((renewed[name] & ~mask).sum()) for name, mask in masks.items()))
        masks = renewed
    return masks, regrown


@wrong("train_time_pruning", "You pruned once, after the last epoch: until then nothing was removed.")
def epochs_prune_once(weights, sparsities, prune, train_epoch):
    if not sparsities:
        raise ValueError("sparsities")
    for _ in sparsities:
        train_epoch()
    masks = prune(weights, sparsities[-1])
    with torch.no_grad():
        for name, weight in weights.items():
            weight.masked_fill_(~masks[name], 0)
    return masks, [0] * len(sparsities)


@wrong("train_time_pruning", "You returned the masks without the numbers of weights that grew back.")
def epochs_return_the_masks(weights, sparsities, prune, train_epoch):
    if not sparsities:
        raise ValueError("sparsities")
    for sparsity in sparsities:
        train_epoch()
        masks = prune(weights, sparsity)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
    return masks


@wrong(
    "train_time_pruning",
    "A training without any epoch (an empty list of sparsities) is accepted, or breaks with another error.",
)
def epochs_unchecked(weights, sparsities, prune, train_epoch):
    masks, regrown = {}, []
    for sparsity in sparsities:
        train_epoch()
        renewed = prune(weights, sparsity)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~renewed[name], 0)
        regrown.append(sum(int((renewed[name] & ~mask).sum()) for name, mask in masks.items()))
        masks = renewed
    return masks, regrown


@right("train_time_pruning")
def epochs_by_history(weights, sparsities, prune, train_epoch):
    if len(sparsities) == 0:
        raise ValueError("no epoch")
    seen = []
    for sparsity in sparsities:
        train_epoch()
        seen.append(prune({name: weight.detach().clone() for name, weight in weights.items()}, sparsity))
        for name in weights:
            weights[name].data.copy_(
                torch.where(seen[-1][name], weights[name].data, torch.zeros_like(weights[name]))
            )
    back = [sum(((~a[n]) & b[n]).sum().item() for n in a) for a, b in zip(seen, seen[1:])]
    return seen[-1], [0, *back]


@right("train_time_pruning")
def epochs_by_zeros(weights, sparsities, prune, train_epoch):
    if not sparsities:
        raise ValueError("no epoch")
    regrown = []
    masks = {name: np.ones(tuple(weight.shape), dtype=bool) for name, weight in weights.items()}
    for sparsity in sparsities:
        train_epoch()
        count, renewed = 0, {}
        for name, mask in prune(weights, sparsity).items():
            renewed[name] = mask.numpy()
            count += int(np.sum(renewed[name] & ~masks[name]))
            weights[name].data[~mask] = 0
        masks = renewed
        regrown.append(count)
    return {name: torch.from_numpy(mask.copy()) for name, mask in masks.items()}, regrown
