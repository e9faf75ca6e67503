"""Lab 3's bank. An answer uses only what the notebook's first cell imports: torch and numpy as np."""

import numpy as np
import torch

from autograder.wrong_answers import right, wrong

# --- threshold_mask --------------------------------------------------------------------------------------------


@wrong(
    "threshold_mask",
    "You compared the weights themselves, not their magnitudes: every negative weight is removed.",
)
def threshold_forgets_abs(weight, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    return weight >= threshold


@wrong(
    "threshold_mask",
    "Your comparison is strict: a weight whose magnitude is exactly the threshold is removed.",
)
def threshold_strict(weight, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    return weight.abs() > threshold


@wrong("threshold_mask", "Your mask is the other way round: True stands on the weights that should go.")
def threshold_inverted(weight, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    return weight.abs() < threshold


@wrong("threshold_mask", "You returned the pruned weights, not the mask that says which of them stay.")
def threshold_returns_weights(weight, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    return weight * (weight.abs() >= threshold)


@wrong("threshold_mask", "Your mask is made of the numbers 0 and 1; a mask in this course is boolean.")
def threshold_float_mask(weight, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    return (weight.abs() >= threshold).float()


@wrong(
    "threshold_mask",
    "You set the small weights of your input to zero: a mask function leaves its input alone.",
)
def threshold_in_place(weight, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    mask = weight.abs() >= threshold
    weight[~mask] = 0
    return mask


@wrong("threshold_mask", "You took the magnitudes in place (abs_ or out=): your input has lost its signs.")
def threshold_abs_in_place(weight, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    return weight.abs_() >= threshold


@wrong("threshold_mask", "A threshold that makes no sense (negative, or NaN) is accepted without a word.")
def threshold_unchecked(weight, threshold):
    return weight.abs() >= threshold


@right("threshold_mask")
def threshold_two_sided(weight, threshold):
    if np.isnan(threshold) or threshold < 0:
        raise ValueError("the threshold must not be negative")
    return (weight >= threshold) | (weight <= -threshold)


@right("threshold_mask")
def threshold_by_numpy(weight, threshold):
    if not threshold >= 0:
        raise ValueError("the threshold must not be negative")
    magnitudes = np.abs(weight.detach().cpu().numpy())
    return torch.from_numpy(np.asarray(magnitudes >= threshold))


# --- magnitude_mask --------------------------------------------------------------------------------------------


@wrong("magnitude_mask", "You removed the largest weights and kept the smallest.")
def keeps_the_smallest(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.abs().flatten()
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True, descending=True)[: round(sparsity * scores.numel())]] = False
    return mask.reshape(weight.shape)


@wrong("magnitude_mask", "You ranked the weights with their sign: large negative weights are removed first.")
def mask_forgets_abs(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.flatten()
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: round(sparsity * scores.numel())]] = False
    return mask.reshape(weight.shape)


@wrong("magnitude_mask", "Your mask is the other way round: True stands on the weights that should go.")
def mask_inverted(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.abs().flatten()
    mask = torch.zeros(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: round(sparsity * scores.numel())]] = True
    return mask.reshape(weight.shape)


@wrong("magnitude_mask", "You took the sparsity as the fraction to keep; it is the fraction to remove.")
def sparsity_for_density(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.abs().flatten()
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: round((1 - sparsity) * scores.numel())]] = False
    return mask.reshape(weight.shape)


@wrong(
    "magnitude_mask",
    "You cut at a threshold: all the weights tied with it go (or stay) together, so the number is off.",
)
def prunes_every_tie(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    count = round(sparsity * weight.numel())
    if count == 0:
        return torch.ones(weight.shape, dtype=torch.bool)
    return weight.abs() > weight.abs().flatten().sort().values[count - 1]


@wrong(
    "magnitude_mask",
    "You cut at a threshold, and the weights that are tied with it are all kept: too few go.",
)
def keeps_every_tie(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    count = round(sparsity * weight.numel())
    if count == weight.numel():
        return torch.zeros(weight.shape, dtype=torch.bool)
    return weight.abs() >= weight.abs().flatten().sort().values[count]


@wrong(
    "magnitude_mask",
    "You cut at a quantile of the magnitudes: it falls between two of them, or on several, so the number is off.",
)
def mask_by_quantile(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.detach().abs()
    return scores > torch.quantile(scores.double().flatten(), sparsity)


@wrong(
    "magnitude_mask",
    "You took what argsort returns for ranks: it returns the positions of the sorted entries.",
)
def positions_for_ranks(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    order = torch.argsort(weight.abs().flatten(), stable=True)
    return (order >= round(sparsity * weight.numel())).reshape(weight.shape)


@wrong("magnitude_mask", "You took the sparsity for a threshold: it is the fraction of weights to remove.")
def sparsity_for_threshold(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    return weight.abs() >= sparsity


@wrong(
    "magnitude_mask",
    "You cut the number of weights down to a whole number (int or //) where the contract rounds.",
)
def rounds_down(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.abs().flatten()
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: int(sparsity * scores.numel())]] = False
    return mask.reshape(weight.shape)


@wrong("magnitude_mask", "You remove one weight too many.")
def off_by_one(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.abs().flatten()
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: round(sparsity * scores.numel()) + 1]] = False
    return mask.reshape(weight.shape)


@wrong("magnitude_mask", "Among equal magnitudes you remove the last ones first.")
def ties_from_the_end(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.abs().flatten()
    order = torch.argsort(scores.flip(0), stable=True)
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[order[: round(sparsity * scores.numel())]] = False
    return mask.flip(0).reshape(weight.shape)


@wrong(
    "magnitude_mask", "You prune each row to the sparsity on its own; the ranking is over the whole tensor."
)
def row_by_row(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    rows = weight.abs().reshape(-1, weight.shape[-1])
    count = round(sparsity * rows.shape[1])
    mask = torch.ones(rows.shape, dtype=torch.bool)
    mask.scatter_(1, torch.argsort(rows, dim=1, stable=True)[:, :count], False)
    return mask.reshape(weight.shape)


@wrong(
    "magnitude_mask",
    "You set the removed weights of your input to zero: a mask function leaves its input alone.",
)
def mask_in_place(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.detach().abs().flatten()
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: round(sparsity * scores.numel())]] = False
    mask = mask.reshape(weight.shape)
    weight.data[~mask] = 0
    return mask


@wrong("magnitude_mask", "It breaks at sparsity 0 or 1: an empty choice, or a position behind the end.")
def breaks_at_the_ends(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.abs().flatten()
    order = torch.argsort(scores, stable=True)
    count = round(sparsity * scores.numel())
    order[count]  # the first one that stays: there is none when all go
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[order[:count]] = False
    return mask.reshape(weight.shape)


@wrong(
    "magnitude_mask",
    "You read the entries in memory order (view, as_strided, storage): a transposed weight is read wrongly.",
)
def assumes_contiguous(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.detach().abs().as_strided((weight.numel(),), (1,))
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: round(sparsity * scores.numel())]] = False
    return mask.reshape(weight.shape)


@wrong(
    "magnitude_mask",
    "A sparsity below 0, above 1 or NaN is accepted without a word, or breaks with another error.",
)
def mask_unchecked(weight, sparsity):
    scores = weight.abs().flatten()
    sparsity = min(max(sparsity, 0), 1)
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: round(sparsity * scores.numel())]] = False
    return mask.reshape(weight.shape)


@right("magnitude_mask")
def by_sort(weight, sparsity):
    if np.isnan(sparsity) or sparsity < 0 or sparsity > 1:
        raise ValueError("the sparsity must lie between 0 and 1")
    values, order = torch.sort(weight.abs().reshape(-1), stable=True)
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(values))
    return (ranks >= round(sparsity * len(values))).reshape(weight.shape)


@right("magnitude_mask")
def by_kthvalue(weight, sparsity):
    if not (sparsity >= 0 and sparsity <= 1):
        raise ValueError("the sparsity must lie between 0 and 1")
    scores = weight.detach().abs().flatten()
    count = round(sparsity * scores.numel())
    if count == 0:
        return torch.ones_like(weight, dtype=torch.bool)
    cut = scores.kthvalue(count).values
    below, tied = scores < cut, scores == cut
    tied_to_remove = tied & (tied.cumsum(0) <= count - below.sum())
    return ~(below | tied_to_remove).reshape(weight.shape)


@right("magnitude_mask")
def by_numpy(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("the sparsity must lie between 0 and 1")
    scores = np.abs(weight.detach().cpu().numpy()).ravel()
    mask = np.ones(scores.size, dtype=bool)
    mask[np.argsort(scores, kind="stable")[: round(sparsity * scores.size)]] = False
    return torch.from_numpy(mask.reshape(tuple(weight.shape)))


@right("magnitude_mask")
def by_loop(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("the sparsity must lie between 0 and 1")
    scores = weight.abs().flatten().tolist()
    ranked = sorted(range(len(scores)), key=lambda position: (scores[position], position))
    removed = set(ranked[: round(sparsity * len(scores))])
    return torch.tensor([position not in removed for position in range(len(scores))]).reshape(weight.shape)


# --- row_scores ------------------------------------------------------------------------------------------------


@wrong("row_scores", "You scored the columns (the inputs); the rows are the first dimension.")
def scores_of_columns(weight, p=1):
    if weight.dim() < 2 or p not in (1, 2):
        raise ValueError("weight or p")
    columns = weight.transpose(0, 1).flatten(1)
    return columns.norm(p=p, dim=1)


@wrong("row_scores", "You took the mean of the magnitudes, not their sum.")
def scores_by_mean(weight, p=1):
    if weight.dim() < 2 or p not in (1, 2):
        raise ValueError("weight or p")
    rows = weight.flatten(1)
    return rows.abs().mean(1) if p == 1 else rows.square().mean(1).sqrt()


@wrong(
    "row_scores", "You summed the weights without taking magnitudes first: positive and negative ones cancel."
)
def scores_forget_abs(weight, p=1):
    if weight.dim() < 2 or p not in (1, 2):
        raise ValueError("weight or p")
    rows = weight.flatten(1)
    return rows.sum(1) if p == 1 else rows.square().sum(1).sqrt()


@wrong("row_scores", "Your L2 score lacks the square root.")
def scores_lack_the_root(weight, p=1):
    if weight.dim() < 2 or p not in (1, 2):
        raise ValueError("weight or p")
    rows = weight.flatten(1)
    return rows.abs().sum(1) if p == 1 else rows.square().sum(1)


@wrong("row_scores", "You mixed up the norms: p=1 gives the L2 norm and p=2 the L1 norm.")
def scores_swap_the_norms(weight, p=1):
    if weight.dim() < 2 or p not in (1, 2):
        raise ValueError("weight or p")
    return weight.flatten(1).norm(p=3 - p, dim=1)


@wrong("row_scores", "You ignore p: the L1 norm comes back for p=2 as well.")
def scores_ignore_p(weight, p=1):
    if weight.dim() < 2 or p not in (1, 2):
        raise ValueError("weight or p")
    return weight.flatten(1).abs().sum(1)


@wrong(
    "row_scores",
    "For a convolution you reduce one dimension only: each filter needs one number, not one for each position.",
)
def scores_reduce_one_dimension(weight, p=1):
    if weight.dim() < 2 or p not in (1, 2):
        raise ValueError("weight or p")
    return weight.norm(p=p, dim=1)


@wrong("row_scores", "You convert to float32: the scores of a float64 weight lose their dtype.")
def scores_in_float32(weight, p=1):
    if weight.dim() < 2 or p not in (1, 2):
        raise ValueError("weight or p")
    return weight.flatten(1).float().norm(p=p, dim=1)


@wrong("row_scores", "A weight with one dimension, or a p other than 1 and 2, is accepted without a word.")
def scores_unchecked(weight, p=1):
    return weight.reshape(weight.shape[0], -1).norm(p=p, dim=1)


@right("row_scores")
def scores_by_vector_norm(weight, p=1):
    if weight.ndim < 2:
        raise ValueError("the weight needs two dimensions or more")
    if p not in (1, 2):
        raise ValueError("p must be 1 or 2")
    return torch.linalg.vector_norm(weight, ord=p, dim=tuple(range(1, weight.ndim)))


@right("row_scores")
def scores_by_loop(weight, p=1):
    if weight.ndim < 2 or p not in {1, 2}:
        raise ValueError("the weight needs two dimensions or more, and p must be 1 or 2")
    return torch.stack([(row.abs() ** p).sum() ** (1 / p) for row in weight])


@right("row_scores")
def scores_by_einsum(weight, p=1):
    if weight.ndim < 2 or p not in {1, 2}:
        raise ValueError("the weight needs two dimensions or more, and p must be 1 or 2")
    rows = weight.reshape(weight.shape[0], -1)
    return torch.einsum("oi->o", rows.abs()) if p == 1 else torch.einsum("oi,oi->o", rows, rows) ** 0.5


# --- uniform_masks ---------------------------------------------------------------------------------------------


@wrong(
    "uniform_masks",
    "You ranked all layers in one pool: that is global pruning, and the layers end with different sparsities.",
)
def uniform_is_global(weights, sparsity, prune):
    if not weights:
        raise ValueError("weights is empty")
    pool = torch.cat([weight.flatten() for weight in weights.values()])
    parts = prune(pool, sparsity).split([weight.numel() for weight in weights.values()])
    return {name: part.reshape(weight.shape) for (name, weight), part in zip(weights.items(), parts)}


@wrong("uniform_masks", "You ranked by magnitude yourself and left the given rule `prune` unused.")
def uniform_ignores_the_rule(weights, sparsity, prune):
    if not weights:
        raise ValueError("weights is empty")
    masks = {}
    for name, weight in weights.items():
        scores = weight.abs().flatten()
        mask = torch.ones(scores.numel(), dtype=torch.bool)
        mask[torch.argsort(scores, stable=True)[: round(sparsity * scores.numel())]] = False
        masks[name] = mask.reshape(weight.shape)
    return masks


@wrong("uniform_masks", "You returned the pruned weights, not the masks.")
def uniform_returns_weights(weights, sparsity, prune):
    if not weights:
        raise ValueError("weights is empty")
    return {name: weight * prune(weight, sparsity) for name, weight in weights.items()}


@wrong("uniform_masks", "You also applied the masks: the weights that were passed in are changed.")
def uniform_applies_the_masks(weights, sparsity, prune):
    if not weights:
        raise ValueError("weights is empty")
    masks = {name: prune(weight, sparsity) for name, weight in weights.items()}
    for name, mask in masks.items():
        weights[name] = weights[name] * mask
    return masks


@wrong("uniform_masks", "You split the sparsity between the layers: each layer gets only its share of it.")
def uniform_divides_the_sparsity(weights, sparsity, prune):
    if not weights:
        raise ValueError("weights is empty")
    return {name: prune(weight, sparsity / len(weights)) for name, weight in weights.items()}


@wrong("uniform_masks", "An empty dictionary of layers is accepted without a word.")
def uniform_unchecked(weights, sparsity, prune):
    return {name: prune(weight, sparsity) for name, weight in weights.items()}


@right("uniform_masks")
def uniform_by_loop(weights, sparsity, prune):
    if len(weights) == 0:
        raise ValueError("no layers")
    masks = {}
    for name in weights:
        masks[name] = prune(weights[name].detach().clone(), sparsity)
    return masks


@right("uniform_masks")
def uniform_on_flat_weights(weights, sparsity, prune):
    if not weights:
        raise ValueError("no layers")
    return {name: prune(weight.reshape(-1), sparsity).view(weight.shape) for name, weight in weights.items()}


# --- global_masks ----------------------------------------------------------------------------------------------


@wrong(
    "global_masks", "You pruned each layer on its own: that is uniform pruning, whatever the layers' scales."
)
def global_is_uniform(weights, sparsity, prune):
    if not weights:
        raise ValueError("weights is empty")
    return {name: prune(weight, sparsity) for name, weight in weights.items()}


@wrong("global_masks", "You averaged the layers' thresholds instead of ranking all the weights together.")
def global_mean_of_thresholds(weights, sparsity, prune):
    if not weights:
        raise ValueError("weights is empty")
    smallest = [weight[prune(weight, sparsity)].min() for weight in weights.values()]
    cut = sum(smallest) / len(smallest)
    return {name: weight >= cut for name, weight in weights.items()}


@wrong(
    "global_masks",
    "You pooled magnitudes: the rule was given |w| instead of the weights, and may need their sign.",
)
def global_pools_magnitudes(weights, sparsity, prune):
    if not weights:
        raise ValueError("weights is empty")
    pool = torch.cat([weight.abs().flatten() for weight in weights.values()])
    parts = prune(pool, sparsity).split([weight.numel() for weight in weights.values()])
    return {name: part.reshape(weight.shape) for (name, weight), part in zip(weights.items(), parts)}


@wrong(
    "global_masks", "You pooled the layers in the order of their names, not in the order of the dictionary."
)
def global_sorted_by_name(weights, sparsity, prune):
    if not weights:
        raise ValueError("weights is empty")
    names = sorted(weights)
    pool = torch.cat([weights[name].flatten() for name in names])
    parts = prune(pool, sparsity).split([weights[name].numel() for name in names])
    return {name: part.reshape(weights[name].shape) for name, part in zip(names, parts)}


@wrong(
    "global_masks",
    "You cut the pooled mask back into layers in the wrong order: the last layer gets the first part.",
)
def global_splits_backwards(weights, sparsity, prune):
    if not weights:
        raise ValueError("weights is empty")
    pool = torch.cat([weight.flatten() for weight in weights.values()])
    mask, masks, start = prune(pool, sparsity), {}, 0
    for name, weight in reversed(weights.items()):
        masks[name] = mask[start : start + weight.numel()].reshape(weight.shape)
        start += weight.numel()
    return masks


@wrong("global_masks", "Your masks are flat: each must be reshaped to the shape of its layer.")
def global_forgets_the_shape(weights, sparsity, prune):
    if not weights:
        raise ValueError("weights is empty")
    pool = torch.cat([weight.flatten() for weight in weights.values()])
    parts = prune(pool, sparsity).split([weight.numel() for weight in weights.values()])
    return dict(zip(weights, parts))


@wrong("global_masks", "An empty dictionary of layers does not raise ValueError.")
def global_unchecked(weights, sparsity, prune):
    if not weights:
        return {}
    pool = torch.cat([weight.flatten() for weight in weights.values()])
    parts = prune(pool, sparsity).split([weight.numel() for weight in weights.values()])
    return {name: part.reshape(weight.shape) for (name, weight), part in zip(weights.items(), parts)}


@right("global_masks")
def global_by_offsets(weights, sparsity, prune):
    if len(weights) == 0:
        raise ValueError("no layers")
    pool = torch.cat([weight.detach().reshape(-1) for weight in weights.values()])
    mask, masks, start = prune(pool, sparsity), {}, 0
    for name, weight in weights.items():
        masks[name] = mask[start : start + weight.numel()].view(weight.shape)
        start += weight.numel()
    return masks


@right("global_masks")
def global_by_numpy(weights, sparsity, prune):
    if len(weights) == 0:
        raise ValueError("no layers")
    flat = [weight.detach().numpy().ravel() for weight in weights.values()]
    mask = prune(torch.from_numpy(np.concatenate(flat)), sparsity).numpy()
    parts = np.split(mask, np.cumsum([len(part) for part in flat])[:-1])
    return {name: torch.tensor(part).reshape(weights[name].shape) for name, part in zip(weights, parts)}


# --- sensitivity_scan ------------------------------------------------------------------------------------------


@wrong(
    "sensitivity_scan",
    "You never put the weights back: each layer is measured with all the earlier ones pruned.",
)
def scan_never_restores(weights, sparsities, prune, evaluate):
    scan = {}
    for name, weight in weights.items():
        original = weight.detach().clone()
        scan[name] = []
        for sparsity in sparsities:
            with torch.no_grad():
                weight.copy_(original * prune(original, sparsity))
            scan[name].append(evaluate())
    return scan


@wrong(
    "sensitivity_scan",
    "Each mask is taken from the weight that the step before had pruned, not from the unpruned one.",
)
def scan_prunes_the_pruned(weights, sparsities, prune, evaluate):
    scan = {}
    for name, weight in weights.items():
        original = weight.detach().clone()
        scan[name] = []
        try:
            for sparsity in sparsities:
                with torch.no_grad():
                    weight.mul_(prune(weight, sparsity))
                scan[name].append(evaluate())
        finally:
            with torch.no_grad():
                weight.copy_(original)
    return scan


@wrong(
    "sensitivity_scan", "The layer is not made whole again between two sparsities, only after the last one."
)
def scan_restores_after_each_layer(weights, sparsities, prune, evaluate):
    scan = {}
    for name, weight in weights.items():
        original = weight.detach().clone()
        scan[name] = []
        try:
            for sparsity in sparsities:
                with torch.no_grad():
                    weight.mul_(prune(original, sparsity))
                scan[name].append(evaluate())
        finally:
            with torch.no_grad():
                weight.copy_(original)
    return scan


@wrong(
    "sensitivity_scan",
    "Your copy of the weight is no copy: it shares memory with the weight, so nothing is put back.",
)
def scan_copies_by_reference(weights, sparsities, prune, evaluate):
    scan = {}
    for name, weight in weights.items():
        original = weight.detach()
        scan[name] = []
        for sparsity in sparsities:
            with torch.no_grad():
                weight.mul_(prune(original, sparsity))
                scan[name].append(evaluate())
                weight.copy_(original)
    return scan


@wrong(
    "sensitivity_scan", "You prune all layers at once: the scan cannot tell which one the loss comes from."
)
def scan_prunes_all_layers(weights, sparsities, prune, evaluate):
    originals = {name: weight.detach().clone() for name, weight in weights.items()}
    values = []
    try:
        for sparsity in sparsities:
            with torch.no_grad():
                for name, weight in weights.items():
                    weight.copy_(originals[name] * prune(originals[name], sparsity))
            values.append(evaluate())
    finally:
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(originals[name])
    return {name: list(values) for name in weights}


@wrong("sensitivity_scan", "You zero the weights that should stay: the mask is True on what is kept.")
def scan_inverts_the_mask(weights, sparsities, prune, evaluate):
    scan = {}
    for name, weight in weights.items():
        original = weight.detach().clone()
        scan[name] = []
        try:
            for sparsity in sparsities:
                with torch.no_grad():
                    weight.copy_(original * ~prune(original, sparsity))
                scan[name].append(evaluate())
        finally:
            with torch.no_grad():
                weight.copy_(original)
    return scan


@wrong(
    "sensitivity_scan",
    "The network was whole when you measured: you measured before the pruning, or you pruned a copy of the weight.",
)
def scan_measures_too_early(weights, sparsities, prune, evaluate):
    scan = {}
    for name, weight in weights.items():
        original = weight.detach().clone()
        scan[name] = []
        for sparsity in sparsities:
            scan[name].append(evaluate())
            with torch.no_grad():
                weight.copy_(original * prune(original, sparsity))
                weight.copy_(original)
    return scan


@wrong(
    "sensitivity_scan",
    "You put a new tensor into the dictionary: the network still holds its own weight and does not feel it.",
)
def scan_replaces_the_entry(weights, sparsities, prune, evaluate):
    scan = {}
    for name, weight in list(weights.items()):
        scan[name] = []
        try:
            for sparsity in sparsities:
                weights[name] = weight.detach() * prune(weight.detach(), sparsity)
                scan[name].append(evaluate())
        finally:
            weights[name] = weight.detach().clone()
    return scan


@wrong("sensitivity_scan", "When evaluate raises, your function ends before the weights are put back.")
def scan_without_finally(weights, sparsities, prune, evaluate):
    scan = {}
    for name, weight in weights.items():
        original = weight.detach().clone()
        scan[name] = []
        for sparsity in sparsities:
            with torch.no_grad():
                weight.copy_(original * prune(original, sparsity))
            scan[name].append(evaluate())
            with torch.no_grad():
                weight.copy_(original)
    return scan


@wrong(
    "sensitivity_scan",
    "Your dictionary holds one number for each sparsity; it must hold a list for each layer.",
)
def scan_by_sparsity(weights, sparsities, prune, evaluate):
    scan = {}
    for sparsity in sparsities:
        for _name, weight in weights.items():
            original = weight.detach().clone()
            try:
                with torch.no_grad():
                    weight.copy_(original * prune(original, sparsity))
                scan[sparsity] = evaluate()
            finally:
                with torch.no_grad():
                    weight.copy_(original)
    return scan


@right("sensitivity_scan")
def scan_by_data(weights, sparsities, prune, evaluate):
    results = {}
    for name in weights:
        whole = weights[name].data.clone()
        try:
            values = []
            for sparsity in sparsities:
                weights[name].data[...] = torch.where(prune(whole, sparsity), whole, torch.zeros_like(whole))
                values.append(evaluate())
            results[name] = values
        finally:
            weights[name].data[...] = whole
    return results


@right("sensitivity_scan")
def scan_restores_once(weights, sparsities, prune, evaluate):
    results = {name: [] for name in weights}
    for name, weight in weights.items():
        backup = torch.empty_like(weight, requires_grad=False).copy_(weight.detach())
        try:
            for sparsity in sparsities:
                with torch.no_grad():
                    weight.copy_(backup).masked_fill_(~prune(backup, sparsity), 0)
                results[name].append(evaluate())
        finally:
            with torch.no_grad():
                weight.copy_(backup)
    return results


# --- choose_sparsities -----------------------------------------------------------------------------------------


@wrong(
    "choose_sparsities",
    "You take any sparsity that is safe on its own, also behind one where the layer had broken.",
)
def choice_takes_islands(scan, sparsities, baseline, tolerance):
    if tolerance < 0 or any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("tolerance or sparsities")
    if any(len(accuracies) != len(sparsities) for accuracies in scan.values()):
        raise ValueError("scan")
    return {
        name: max([s for s, a in zip(sparsities, accuracies) if a >= baseline - tolerance], default=0.0)
        for name, accuracies in scan.items()
    }


@wrong("choose_sparsities", "You choose the first sparsity that is no longer safe, one step too far.")
def choice_goes_one_too_far(scan, sparsities, baseline, tolerance):
    if tolerance < 0 or any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("tolerance or sparsities")
    chosen = {}
    for name, accuracies in scan.items():
        if len(accuracies) != len(sparsities):
            raise ValueError("scan")
        chosen[name] = sparsities[-1]
        for sparsity, accuracy in zip(sparsities, accuracies):
            if accuracy < baseline - tolerance:
                chosen[name] = sparsity
                break
    return chosen


@wrong(
    "choose_sparsities",
    "Your comparison is strict: an accuracy of exactly baseline - tolerance counts as lost.",
)
def choice_is_strict(scan, sparsities, baseline, tolerance):
    if tolerance < 0 or any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("tolerance or sparsities")
    chosen = {}
    for name, accuracies in scan.items():
        if len(accuracies) != len(sparsities):
            raise ValueError("scan")
        chosen[name] = 0.0
        for sparsity, accuracy in zip(sparsities, accuracies):
            if accuracy <= baseline - tolerance:
                break
            chosen[name] = sparsity
    return chosen


@wrong("choose_sparsities", "A layer without a safe sparsity is missing from your dictionary.")
def choice_leaves_layers_out(scan, sparsities, baseline, tolerance):
    if tolerance < 0 or any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("tolerance or sparsities")
    chosen = {}
    for name, accuracies in scan.items():
        if len(accuracies) != len(sparsities):
            raise ValueError("scan")
        for sparsity, accuracy in zip(sparsities, accuracies):
            if accuracy < baseline - tolerance:
                break
            chosen[name] = sparsity
    return chosen


@wrong("choose_sparsities", "You choose one sparsity for all layers; each layer has its own.")
def choice_is_common(scan, sparsities, baseline, tolerance):
    if tolerance < 0 or any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("tolerance or sparsities")
    common = sparsities[-1] if sparsities else 0.0
    for accuracies in scan.values():
        if len(accuracies) != len(sparsities):
            raise ValueError("scan")
        safe = 0.0
        for sparsity, accuracy in zip(sparsities, accuracies):
            if accuracy < baseline - tolerance:
                break
            safe = sparsity
        common = min(common, safe)
    return {name: common for name in scan}


@wrong("choose_sparsities", "You choose the smallest safe sparsity instead of the largest.")
def choice_takes_the_smallest(scan, sparsities, baseline, tolerance):
    if tolerance < 0 or any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("tolerance or sparsities")
    if any(len(accuracies) != len(sparsities) for accuracies in scan.values()):
        raise ValueError("scan")
    return {
        name: sparsities[0] if accuracies[0] >= baseline - tolerance else 0.0
        for name, accuracies in scan.items()
    }


@wrong(
    "choose_sparsities",
    "You took the tolerance as a fraction of the baseline; it is a number of accuracy points below it.",
)
def choice_is_relative(scan, sparsities, baseline, tolerance):
    if tolerance < 0 or any(b <= a for a, b in zip(sparsities, sparsities[1:])):
        raise ValueError("tolerance or sparsities")
    chosen = {}
    for name, accuracies in scan.items():
        if len(accuracies) != len(sparsities):
            raise ValueError("scan")
        chosen[name] = 0.0
        for sparsity, accuracy in zip(sparsities, accuracies):
            if accuracy < baseline * (1 - tolerance):
                break
            chosen[name] = sparsity
    return chosen


@wrong(
    "choose_sparsities",
    "Input that makes no sense (a negative tolerance, unsorted sparsities, a missing accuracy) is accepted.",
)
def choice_unchecked(scan, sparsities, baseline, tolerance):
    chosen = {}
    for name, accuracies in scan.items():
        chosen[name] = 0.0
        for sparsity, accuracy in zip(sparsities, accuracies):
            if accuracy < baseline - tolerance:
                break
            chosen[name] = sparsity
    return chosen


@right("choose_sparsities")
def choice_by_cumprod(scan, sparsities, baseline, tolerance):
    if tolerance < 0:
        raise ValueError("the tolerance must not be negative")
    if sorted(set(sparsities)) != list(sparsities):
        raise ValueError("the sparsities must increase")
    if {len(accuracies) for accuracies in scan.values()} - {len(sparsities)}:
        raise ValueError("one accuracy for each sparsity")
    steps = [0.0, *sparsities]
    return {
        name: steps[int(np.cumprod(np.array(accuracies) >= baseline - tolerance).sum())]
        for name, accuracies in scan.items()
    }


@right("choose_sparsities")
def choice_by_while(scan, sparsities, baseline, tolerance):
    if tolerance < 0 or (np.diff(sparsities) <= 0).any():
        raise ValueError("the tolerance must not be negative and the sparsities must increase")
    chosen = {}
    for name in scan:
        if len(scan[name]) != len(sparsities):
            raise ValueError(f"{name}: one accuracy for each sparsity")
        safe = 0
        while safe < len(sparsities) and scan[name][safe] >= baseline - tolerance:
            safe += 1
        chosen[name] = sparsities[safe - 1] if safe else 0.0
    return chosen
