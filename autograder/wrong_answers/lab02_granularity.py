"""Lab 2's bank. An answer uses only what the notebook's first cell imports: math, torch, numpy as np."""

import math

import numpy as np
import torch

from autograder.wrong_answers import right, wrong

# --- fine_grained_mask -----------------------------------------------------------------------------------------


@wrong("fine_grained_mask", "You removed the largest weights and kept the smallest.")
def keeps_the_smallest(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.abs().flatten()
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True, descending=True)[: round(sparsity * scores.numel())]] = False
    return mask.reshape(weight.shape)


@wrong(
    "fine_grained_mask", "You ranked the weights with their sign: large negative weights are removed first."
)
def fine_mask_forgets_abs(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.flatten()
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: round(sparsity * scores.numel())]] = False
    return mask.reshape(weight.shape)


@wrong("fine_grained_mask", "Your mask is the other way round: True stands on the weights that should go.")
def fine_mask_inverted(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.abs().flatten()
    mask = torch.zeros(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: round(sparsity * scores.numel())]] = True
    return mask.reshape(weight.shape)


@wrong("fine_grained_mask", "You took the sparsity as the fraction to keep; it is the fraction to remove.")
def sparsity_for_density(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.abs().flatten()
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: round((1 - sparsity) * scores.numel())]] = False
    return mask.reshape(weight.shape)


@wrong(
    "fine_grained_mask",
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
    "fine_grained_mask",
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
    "fine_grained_mask",
    "You cut at a quantile of the magnitudes: it falls between two of them, or on several, so the number is off.",
)
def fine_mask_by_quantile(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.detach().abs()
    return scores > torch.quantile(scores.double().flatten(), sparsity)


@wrong(
    "fine_grained_mask",
    "You took what argsort returns for ranks: it returns the positions of the sorted entries.",
)
def positions_for_ranks(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    order = torch.argsort(weight.abs().flatten(), stable=True)
    return (order >= round(sparsity * weight.numel())).reshape(weight.shape)


@wrong("fine_grained_mask", "You took the sparsity for a threshold: it is the fraction of weights to remove.")
def sparsity_for_threshold(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    return weight.abs() >= sparsity


@wrong(
    "fine_grained_mask",
    "You cut the number of weights down to a whole number (int or //) where the contract rounds.",
)
def rounds_down(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.abs().flatten()
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: int(sparsity * scores.numel())]] = False
    return mask.reshape(weight.shape)


@wrong("fine_grained_mask", "You remove one weight too many.")
def off_by_one(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.abs().flatten()
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: round(sparsity * scores.numel()) + 1]] = False
    return mask.reshape(weight.shape)


@wrong("fine_grained_mask", "Among equal magnitudes you remove the last ones first.")
def ties_from_the_end(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.abs().flatten()
    order = torch.argsort(scores.flip(0), stable=True)
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[order[: round(sparsity * scores.numel())]] = False
    return mask.flip(0).reshape(weight.shape)


@wrong(
    "fine_grained_mask",
    "You prune each row to the sparsity on its own; the ranking is over the whole tensor.",
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
    "fine_grained_mask",
    "You set the removed weights of your input to zero: a mask function leaves its input alone.",
)
def fine_mask_in_place(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    scores = weight.detach().abs().flatten()
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: round(sparsity * scores.numel())]] = False
    mask = mask.reshape(weight.shape)
    weight.data[~mask] = 0
    return mask


@wrong("fine_grained_mask", "It breaks at sparsity 0 or 1: an empty choice, or a position behind the end.")
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
    "fine_grained_mask",
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
    "fine_grained_mask",
    "A sparsity below 0, above 1 or NaN is accepted without a word, or breaks with another error.",
)
def fine_mask_unchecked(weight, sparsity):
    scores = weight.abs().flatten()
    sparsity = min(max(sparsity, 0), 1)
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[: round(sparsity * scores.numel())]] = False
    return mask.reshape(weight.shape)


@right("fine_grained_mask")
def fine_by_sort(weight, sparsity):
    if np.isnan(sparsity) or sparsity < 0 or sparsity > 1:
        raise ValueError("the sparsity must lie between 0 and 1")
    values, order = torch.sort(weight.abs().reshape(-1), stable=True)
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(values))
    return (ranks >= round(sparsity * len(values))).reshape(weight.shape)


@right("fine_grained_mask")
def fine_by_kthvalue(weight, sparsity):
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


@right("fine_grained_mask")
def fine_by_numpy(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("the sparsity must lie between 0 and 1")
    scores = np.abs(weight.detach().cpu().numpy()).ravel()
    mask = np.ones(scores.size, dtype=bool)
    mask[np.argsort(scores, kind="stable")[: round(sparsity * scores.size)]] = False
    return torch.from_numpy(mask.reshape(tuple(weight.shape)))


@right("fine_grained_mask")
def fine_by_loop(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("the sparsity must lie between 0 and 1")
    scores = weight.abs().flatten().tolist()
    ranked = sorted(range(len(scores)), key=lambda position: (scores[position], position))
    removed = set(ranked[: round(sparsity * len(scores))])
    return torch.tensor([position not in removed for position in range(len(scores))]).reshape(weight.shape)


# --- nm_mask ---------------------------------------------------------------------------------------------------


@wrong("nm_mask", "You removed n of every m: in N:M the N counts the weights that stay.")
def nm_removes_n(weight, n, m):
    if weight.dim() < 2 or m < 1 or weight.shape[1] % m or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    groups = weight.abs().unflatten(1, (-1, m))
    mask = torch.ones_like(groups, dtype=torch.bool)
    mask.scatter_(2, groups.argsort(dim=2, stable=True)[:, :, :n], False)
    return mask.flatten(1, 2)


@wrong("nm_mask", "You kept the n smallest of each group.")
def nm_keeps_the_smallest(weight, n, m):
    if weight.dim() < 2 or m < 1 or weight.shape[1] % m or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    groups = weight.abs().unflatten(1, (-1, m))
    mask = torch.zeros_like(groups, dtype=torch.bool)
    mask.scatter_(2, groups.argsort(dim=2, stable=True)[:, :, :n], True)
    return mask.flatten(1, 2)


@wrong("nm_mask", "Your mask is the other way round: True stands on the weights that should go.")
def nm_inverted(weight, n, m):
    if weight.dim() < 2 or m < 1 or weight.shape[1] % m or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    groups = weight.abs().unflatten(1, (-1, m))
    mask = torch.zeros_like(groups, dtype=torch.bool)
    mask.scatter_(2, groups.argsort(dim=2, stable=True)[:, :, : m - n], True)
    return mask.flatten(1, 2)


@wrong("nm_mask", "You ranked the weights with their sign: large negative weights are removed first.")
def nm_forgets_abs(weight, n, m):
    if weight.dim() < 2 or m < 1 or weight.shape[1] % m or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    groups = weight.detach().unflatten(1, (-1, m))
    mask = torch.ones_like(groups, dtype=torch.bool)
    mask.scatter_(2, groups.argsort(dim=2, stable=True)[:, :, : m - n], False)
    return mask.flatten(1, 2)


@wrong(
    "nm_mask",
    "Your groups are runs of the flattened tensor; in a convolution these are no neighbouring inputs.",
)
def nm_in_the_flat_tensor(weight, n, m):
    if weight.dim() < 2 or m < 1 or weight.shape[1] % m or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    groups = weight.abs().reshape(-1, m)
    mask = torch.ones_like(groups, dtype=torch.bool)
    mask.scatter_(1, groups.argsort(dim=1, stable=True)[:, : m - n], False)
    return mask.reshape(weight.shape)


@wrong("nm_mask", "Your groups lie along the outputs, the first dimension; the inputs are the second.")
def nm_along_the_outputs(weight, n, m):
    if weight.dim() < 2 or m < 1 or weight.shape[1] % m or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    groups = weight.abs().unflatten(0, (-1, m))
    mask = torch.ones_like(groups, dtype=torch.bool)
    mask.scatter_(1, groups.argsort(dim=1, stable=True)[:, : m - n], False)
    return mask.flatten(0, 1)


@wrong("nm_mask", "The members of your groups lie in / m inputs apart; a group is m consecutive inputs.")
def nm_interleaved(weight, n, m):
    if weight.dim() < 2 or m < 1 or weight.shape[1] % m or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    groups = weight.abs().unflatten(1, (m, -1))
    mask = torch.ones_like(groups, dtype=torch.bool)
    mask.scatter_(1, groups.argsort(dim=1, stable=True)[:, : m - n], False)
    return mask.flatten(1, 2)


@wrong(
    "nm_mask",
    "You ranked all weights together: the share removed is right, but the groups keep different numbers.",
)
def nm_without_groups(weight, n, m):
    if weight.dim() < 2 or m < 1 or weight.shape[1] % m or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    order = weight.abs().flatten().argsort(stable=True)
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[order[: weight.numel() * (m - n) // m]] = False
    return mask.reshape(weight.shape)


@wrong(
    "nm_mask",
    "You compared with the n-th largest magnitude of the group: all weights tied with it stay, so too many.",
)
def nm_keeps_every_tie(weight, n, m):
    if weight.dim() < 2 or m < 1 or weight.shape[1] % m or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    groups = weight.abs().unflatten(1, (-1, m))
    if n == 0:
        return torch.zeros(weight.shape, dtype=torch.bool)
    nth = groups.sort(dim=2, descending=True).values[:, :, n - 1 : n]
    return (groups >= nth).flatten(1, 2)


@wrong("nm_mask", "Of equal magnitudes in a group you remove the one with the higher input index first.")
def nm_ties_from_the_end(weight, n, m):
    if weight.dim() < 2 or m < 1 or weight.shape[1] % m or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    groups = weight.abs().unflatten(1, (-1, m))
    mask = torch.zeros_like(groups, dtype=torch.bool)
    mask.scatter_(2, groups.argsort(dim=2, stable=True, descending=True)[:, :, :n], True)
    return mask.flatten(1, 2)


@wrong("nm_mask", "You unpack four dimensions: a linear layer's weight [out, in] is refused.")
def nm_convolutions_only(weight, n, m):
    out, inputs, kh, kw = weight.shape
    if m < 1 or inputs % m or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    groups = weight.abs().reshape(out, inputs // m, m, kh, kw)
    mask = torch.ones_like(groups, dtype=torch.bool)
    mask.scatter_(2, groups.argsort(dim=2, stable=True)[:, :, : m - n], False)
    return mask.reshape(out, inputs, kh, kw)


@wrong("nm_mask", "Inputs that m does not divide are accepted: the last group is shorter than the others.")
def nm_takes_a_remainder(weight, n, m):
    if weight.dim() < 2 or m < 1 or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    mask = torch.ones(weight.shape, dtype=torch.bool)
    for start in range(0, weight.shape[1], m):
        group = weight.detach()[:, start : start + m].abs()
        mask[:, start : start + m].scatter_(1, group.argsort(dim=1, stable=True)[:, : m - n], False)
    return mask


@wrong("nm_mask", "An n below 0 or above m is accepted without a word.")
def nm_takes_any_n(weight, n, m):
    if weight.dim() < 2 or m < 1 or weight.shape[1] % m:
        raise ValueError("weight or m")
    groups = weight.abs().unflatten(1, (-1, m))
    mask = torch.ones_like(groups, dtype=torch.bool)
    mask.scatter_(2, groups.argsort(dim=2, stable=True)[:, :, : max(m - n, 0)], False)
    return mask.flatten(1, 2)


@wrong(
    "nm_mask", "You set the removed weights of your input to zero: a mask function leaves its input alone."
)
def nm_in_place(weight, n, m):
    if weight.dim() < 2 or m < 1 or weight.shape[1] % m or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    groups = weight.detach().abs().unflatten(1, (-1, m))
    mask = torch.ones_like(groups, dtype=torch.bool)
    mask.scatter_(2, groups.argsort(dim=2, stable=True)[:, :, : m - n], False)
    mask = mask.flatten(1, 2)
    weight.data[~mask] = 0
    return mask


@wrong("nm_mask", "Your mask is made of the numbers 0 and 1; a mask in this course is boolean.")
def nm_float_mask(weight, n, m):
    if weight.dim() < 2 or m < 1 or weight.shape[1] % m or not 0 <= n <= m:
        raise ValueError("weight, n or m")
    groups = weight.detach().abs().unflatten(1, (-1, m))
    mask = torch.ones_like(groups)
    mask.scatter_(2, groups.argsort(dim=2, stable=True)[:, :, : m - n], 0.0)
    return mask.flatten(1, 2)


@right("nm_mask")
def nm_by_ranks(weight, n, m):
    if weight.ndim < 2 or m < 1 or weight.shape[1] % m != 0 or n < 0 or n > m:
        raise ValueError("n of m inputs does not fit")
    rows = weight.abs().movedim(1, -1)
    groups = rows.reshape(*rows.shape[:-1], -1, m)
    ranks = groups.argsort(dim=-1, stable=True).argsort(dim=-1)
    return (ranks >= m - n).reshape(rows.shape).movedim(-1, 1)


@right("nm_mask")
def nm_by_comparing_pairs(weight, n, m):
    if weight.ndim < 2 or m < 1 or weight.shape[1] % m != 0 or n not in range(m + 1):
        raise ValueError("n of m inputs does not fit")
    groups = weight.detach().abs().unflatten(1, (-1, m))
    place = torch.arange(m)
    stronger = torch.zeros(groups.shape, dtype=torch.long)
    for other in range(m):
        theirs = groups[:, :, other : other + 1]
        later = (other > place).reshape(1, 1, m, *[1] * (weight.ndim - 2))
        stronger += (theirs > groups) | ((theirs == groups) & later)
    return (stronger < n).flatten(1, 2)


@right("nm_mask")
def nm_by_numpy(weight, n, m):
    if weight.ndim < 2 or m < 1 or weight.shape[1] % m != 0 or n < 0 or n > m:
        raise ValueError("n of m inputs does not fit")
    magnitudes = np.moveaxis(np.abs(weight.detach().cpu().numpy()), 1, -1)
    groups = magnitudes.reshape(-1, m)
    mask = np.ones(groups.shape, dtype=bool)
    order = np.argsort(groups, axis=1, kind="stable")
    np.put_along_axis(mask, order[:, : m - n], False, axis=1)
    return torch.from_numpy(np.moveaxis(mask.reshape(magnitudes.shape), -1, 1).copy())


@right("nm_mask")
def nm_by_loop(weight, n, m):
    if weight.ndim < 2 or m < 1 or weight.shape[1] % m != 0 or n < 0 or n > m:
        raise ValueError("n of m inputs does not fit")
    magnitudes = weight.detach().abs().flatten(2) if weight.ndim > 2 else weight.detach().abs().unsqueeze(2)
    mask = torch.zeros(magnitudes.shape, dtype=torch.bool)
    for output in range(magnitudes.shape[0]):
        for position in range(magnitudes.shape[2]):
            for start in range(0, magnitudes.shape[1], m):
                group = magnitudes[output, start : start + m, position].tolist()
                ranked = sorted(range(m), key=lambda place: (group[place], place))
                for place in ranked[m - n :]:
                    mask[output, start + place, position] = True
    return mask.reshape(weight.shape)


# --- vector_mask ----------------------------------------------------------------------------------------------


@wrong("vector_mask", "You grouped the columns of a kernel; a vector here is a row of it, kw weights.")
def vector_other_axis(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().sum(dim=2), sparsity)
    return keep[:, :, None, :].expand(weight.shape).clone()


@wrong("vector_mask", "You added up the weights with their signs: positive and negative ones cancel.")
def vector_forgets_abs(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.sum(dim=3), sparsity)
    return keep[:, :, :, None].expand(weight.shape).clone()


@wrong("vector_mask", "Your scores are L2 norms: squares were added up, not magnitudes.")
def vector_by_l2(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.square().sum(dim=3).sqrt(), sparsity)
    return keep[:, :, :, None].expand(weight.shape).clone()


@wrong("vector_mask", "Your scores are means of the magnitudes, not their sums.")
def vector_by_mean(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().mean(dim=3), sparsity)
    return keep[:, :, :, None].expand(weight.shape).clone()


@wrong("vector_mask", "Your scores are the largest magnitude of each vector, not the sum.")
def vector_by_maximum(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().amax(dim=3), sparsity)
    return keep[:, :, :, None].expand(weight.shape).clone()


@wrong("vector_mask", "You ranked the scores yourself: the rule that you were given is never called.")
def vector_ignores_the_rule(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    scores = weight.abs().sum(dim=3)
    keep = torch.ones(scores.numel(), dtype=torch.bool)
    keep[scores.flatten().argsort(stable=True)[: round(sparsity * scores.numel())]] = False
    return keep.reshape(scores.shape)[:, :, :, None].expand(weight.shape).clone()


@wrong(
    "vector_mask",
    "You gave the rule the single weights, so they go one by one and no vector goes as a whole.",
)
def vector_single_weights(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    return prune(weight.detach().abs(), sparsity)


@wrong("vector_mask", "You took the sparsity as the fraction to keep; it is the fraction to remove.")
def vector_density(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().sum(dim=3), 1 - sparsity)
    return keep[:, :, :, None].expand(weight.shape).clone()


@wrong("vector_mask", "Your mask is the other way round: True stands on the vectors that should go.")
def vector_inverted(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = ~prune(weight.abs().sum(dim=3), sparsity)
    return keep[:, :, :, None].expand(weight.shape).clone()


@wrong("vector_mask", "You returned what the rule says of the vectors: it has not the shape of the weight.")
def vector_not_expanded(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    return prune(weight.abs().sum(dim=3), sparsity)


@wrong(
    "vector_mask",
    "You set the removed weights of your input to zero: a mask function leaves its input alone.",
)
def vector_in_place(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.detach().abs().sum(dim=3), sparsity)
    mask = keep[:, :, :, None].expand(weight.shape).clone()
    weight.data[~mask] = 0
    return mask


@wrong("vector_mask", "Your mask is made of the numbers 0 and 1; a mask in this course is boolean.")
def vector_float_mask(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.detach().abs().sum(dim=3), sparsity)
    return keep[:, :, :, None] * torch.ones_like(weight.detach())


@wrong(
    "vector_mask",
    "A weight without four dimensions is accepted, or breaks with an error that is no ValueError.",
)
def vector_unchecked(weight, sparsity, prune):
    keep = prune(weight.abs().sum(dim=3), sparsity)
    return keep[:, :, :, None].expand(weight.shape).clone()


@wrong(
    "vector_mask", "You call the rule once for each kernel; all the vectors of the layer are ranked together."
)
def vector_kernel_by_kernel(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    scores = weight.abs().sum(dim=3)
    keep = torch.stack([torch.stack([prune(kernel, sparsity) for kernel in rows]) for rows in scores])
    return keep[:, :, :, None].expand(weight.shape).clone()


@wrong("vector_mask", "You flattened the scores before you called the rule: it sees one long row.")
def vector_flattens_the_scores(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    scores = weight.abs().sum(dim=3)
    keep = prune(scores.flatten(), sparsity).reshape(scores.shape)
    return keep[:, :, :, None].expand(weight.shape).clone()


@right("vector_mask")
def vector_by_loop(weight, sparsity, prune):
    if weight.ndim != 4:
        raise ValueError("the weight of a convolution has four dimensions")
    out, inputs, kh, kw = weight.shape
    scores = torch.zeros(out, inputs, kh, dtype=weight.dtype)
    for column in range(kw):
        scores += weight.detach()[:, :, :, column].abs()
    return torch.repeat_interleave(prune(scores, sparsity).unsqueeze(3), kw, dim=3)


@right("vector_mask")
def vector_by_norm(weight, sparsity, prune):
    if weight.ndim != 4:
        raise ValueError("the weight of a convolution has four dimensions")
    scores = torch.linalg.vector_norm(weight.detach(), ord=1, dim=3, keepdim=True)
    keep = prune(
        scores.reshape([size for dim, size in enumerate(weight.shape) if dim in (0, 1, 2)]), sparsity
    )
    return keep.reshape(scores.shape) & torch.ones_like(weight, dtype=torch.bool)


@right("vector_mask")
def vector_by_numpy(weight, sparsity, prune):
    if weight.ndim != 4:
        raise ValueError("the weight of a convolution has four dimensions")
    scores = np.abs(weight.detach().cpu().numpy()).sum(axis=3)
    keep = prune(torch.from_numpy(scores), sparsity).numpy()
    return torch.from_numpy(np.broadcast_to(keep[:, :, :, None], tuple(weight.shape)).copy())


# --- kernel_mask ----------------------------------------------------------------------------------------------


@wrong(
    "kernel_mask",
    "You added up over outputs and inputs: that scores the places in a kernel, not the kernels.",
)
def kernel_other_axis(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().sum(dim=(0, 1)), sparsity)
    return keep[None, None, :, :].expand(weight.shape).clone()


@wrong("kernel_mask", "You added up the weights with their signs: positive and negative ones cancel.")
def kernel_forgets_abs(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.sum(dim=(2, 3)), sparsity)
    return keep[:, :, None, None].expand(weight.shape).clone()


@wrong("kernel_mask", "Your scores are L2 norms: squares were added up, not magnitudes.")
def kernel_by_l2(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.square().sum(dim=(2, 3)).sqrt(), sparsity)
    return keep[:, :, None, None].expand(weight.shape).clone()


@wrong("kernel_mask", "Your scores are means of the magnitudes, not their sums.")
def kernel_by_mean(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().mean(dim=(2, 3)), sparsity)
    return keep[:, :, None, None].expand(weight.shape).clone()


@wrong("kernel_mask", "Your scores are the largest magnitude of each kernel, not the sum.")
def kernel_by_maximum(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().amax(dim=(2, 3)), sparsity)
    return keep[:, :, None, None].expand(weight.shape).clone()


@wrong("kernel_mask", "You ranked the scores yourself: the rule that you were given is never called.")
def kernel_ignores_the_rule(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    scores = weight.abs().sum(dim=(2, 3))
    keep = torch.ones(scores.numel(), dtype=torch.bool)
    keep[scores.flatten().argsort(stable=True)[: round(sparsity * scores.numel())]] = False
    return keep.reshape(scores.shape)[:, :, None, None].expand(weight.shape).clone()


@wrong(
    "kernel_mask",
    "You gave the rule the single weights, so they go one by one and no kernel goes as a whole.",
)
def kernel_single_weights(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    return prune(weight.detach().abs(), sparsity)


@wrong("kernel_mask", "You took the sparsity as the fraction to keep; it is the fraction to remove.")
def kernel_density(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().sum(dim=(2, 3)), 1 - sparsity)
    return keep[:, :, None, None].expand(weight.shape).clone()


@wrong("kernel_mask", "Your mask is the other way round: True stands on the kernels that should go.")
def kernel_inverted(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = ~prune(weight.abs().sum(dim=(2, 3)), sparsity)
    return keep[:, :, None, None].expand(weight.shape).clone()


@wrong("kernel_mask", "You returned what the rule says of the kernels: it has not the shape of the weight.")
def kernel_not_expanded(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    return prune(weight.abs().sum(dim=(2, 3)), sparsity)


@wrong(
    "kernel_mask",
    "You set the removed weights of your input to zero: a mask function leaves its input alone.",
)
def kernel_in_place(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.detach().abs().sum(dim=(2, 3)), sparsity)
    mask = keep[:, :, None, None].expand(weight.shape).clone()
    weight.data[~mask] = 0
    return mask


@wrong("kernel_mask", "Your mask is made of the numbers 0 and 1; a mask in this course is boolean.")
def kernel_float_mask(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.detach().abs().sum(dim=(2, 3)), sparsity)
    return keep[:, :, None, None] * torch.ones_like(weight.detach())


@wrong(
    "kernel_mask",
    "A weight without four dimensions is accepted, or breaks with an error that is no ValueError.",
)
def kernel_unchecked(weight, sparsity, prune):
    keep = prune(weight.abs().sum(dim=(2, 3)), sparsity)
    return keep[:, :, None, None].expand(weight.shape).clone()


@wrong(
    "kernel_mask", "You call the rule once for each filter; all the kernels of the layer are ranked together."
)
def kernel_filter_by_filter(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = torch.stack([prune(row, sparsity) for row in weight.abs().sum(dim=(2, 3))])
    return keep[:, :, None, None].expand(weight.shape).clone()


@wrong("kernel_mask", "You flattened the scores before you called the rule: it sees one long row.")
def kernel_flattens_the_scores(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    scores = weight.abs().sum(dim=(2, 3))
    keep = prune(scores.flatten(), sparsity).reshape(scores.shape)
    return keep[:, :, None, None].expand(weight.shape).clone()


@wrong("kernel_mask", "You added up over one dimension of the kernel only: its rows go one by one.")
def kernel_sums_one_dimension(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().sum(dim=3), sparsity)
    return keep[:, :, :, None].expand(weight.shape).clone()


@right("kernel_mask")
def kernel_by_norm(weight, sparsity, prune):
    if weight.ndim != 4:
        raise ValueError("the weight of a convolution has four dimensions")
    scores = torch.linalg.vector_norm(weight.detach(), ord=1, dim=(2, 3), keepdim=True)
    keep = prune(scores.reshape([size for dim, size in enumerate(weight.shape) if dim in (0, 1)]), sparsity)
    return keep.reshape(scores.shape) & torch.ones_like(weight, dtype=torch.bool)


@right("kernel_mask")
def kernel_by_numpy(weight, sparsity, prune):
    if weight.ndim != 4:
        raise ValueError("the weight of a convolution has four dimensions")
    scores = np.abs(weight.detach().cpu().numpy()).sum(axis=(2, 3))
    keep = prune(torch.from_numpy(scores), sparsity).numpy()
    return torch.from_numpy(np.broadcast_to(keep[:, :, None, None], tuple(weight.shape)).copy())


# --- filter_mask ----------------------------------------------------------------------------------------------


@wrong("filter_mask", "You removed input channels (dimension 1); a filter belongs to an output.")
def filter_other_axis(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().sum(dim=(0, 2, 3)), sparsity)
    return keep[None, :, None, None].expand(weight.shape).clone()


@wrong("filter_mask", "You added up the weights with their signs: positive and negative ones cancel.")
def filter_forgets_abs(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.sum(dim=(1, 2, 3)), sparsity)
    return keep[:, None, None, None].expand(weight.shape).clone()


@wrong("filter_mask", "Your scores are L2 norms: squares were added up, not magnitudes.")
def filter_by_l2(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.square().sum(dim=(1, 2, 3)).sqrt(), sparsity)
    return keep[:, None, None, None].expand(weight.shape).clone()


@wrong("filter_mask", "Your scores are means of the magnitudes, not their sums.")
def filter_by_mean(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().mean(dim=(1, 2, 3)), sparsity)
    return keep[:, None, None, None].expand(weight.shape).clone()


@wrong("filter_mask", "Your scores are the largest magnitude of each filter, not the sum.")
def filter_by_maximum(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().amax(dim=(1, 2, 3)), sparsity)
    return keep[:, None, None, None].expand(weight.shape).clone()


@wrong("filter_mask", "You ranked the scores yourself: the rule that you were given is never called.")
def filter_ignores_the_rule(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    scores = weight.abs().sum(dim=(1, 2, 3))
    keep = torch.ones(scores.numel(), dtype=torch.bool)
    keep[scores.flatten().argsort(stable=True)[: round(sparsity * scores.numel())]] = False
    return keep.reshape(scores.shape)[:, None, None, None].expand(weight.shape).clone()


@wrong(
    "filter_mask",
    "You gave the rule the single weights, so they go one by one and no filter goes as a whole.",
)
def filter_single_weights(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    return prune(weight.detach().abs(), sparsity)


@wrong("filter_mask", "You took the sparsity as the fraction to keep; it is the fraction to remove.")
def filter_density(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().sum(dim=(1, 2, 3)), 1 - sparsity)
    return keep[:, None, None, None].expand(weight.shape).clone()


@wrong("filter_mask", "Your mask is the other way round: True stands on the filters that should go.")
def filter_inverted(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = ~prune(weight.abs().sum(dim=(1, 2, 3)), sparsity)
    return keep[:, None, None, None].expand(weight.shape).clone()


@wrong("filter_mask", "You returned what the rule says of the filters: it has not the shape of the weight.")
def filter_not_expanded(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    return prune(weight.abs().sum(dim=(1, 2, 3)), sparsity)


@wrong(
    "filter_mask",
    "You set the removed weights of your input to zero: a mask function leaves its input alone.",
)
def filter_in_place(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.detach().abs().sum(dim=(1, 2, 3)), sparsity)
    mask = keep[:, None, None, None].expand(weight.shape).clone()
    weight.data[~mask] = 0
    return mask


@wrong("filter_mask", "Your mask is made of the numbers 0 and 1; a mask in this course is boolean.")
def filter_float_mask(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.detach().abs().sum(dim=(1, 2, 3)), sparsity)
    return keep[:, None, None, None] * torch.ones_like(weight.detach())


@wrong(
    "filter_mask",
    "A weight without four dimensions is accepted, or breaks with an error that is no ValueError.",
)
def filter_unchecked(weight, sparsity, prune):
    keep = prune(weight.abs().sum(dim=(1, 2, 3)), sparsity)
    return keep[:, None, None, None].expand(weight.shape).clone()


@wrong("filter_mask", "You added up over the inputs only: each place in the kernel gets a score of its own.")
def filter_sums_one_dimension(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().sum(dim=1), sparsity)
    return keep[:, None, :, :].expand(weight.shape).clone()


@right("filter_mask")
def filter_by_loop(weight, sparsity, prune):
    if weight.ndim != 4:
        raise ValueError("the weight of a convolution has four dimensions")
    keep = prune(torch.stack([one.detach().abs().sum() for one in weight]), sparsity)
    mask = torch.zeros(weight.shape, dtype=torch.bool)
    for output in range(len(weight)):
        mask[output] = keep[output]
    return mask


@right("filter_mask")
def filter_by_norm(weight, sparsity, prune):
    if weight.ndim != 4:
        raise ValueError("the weight of a convolution has four dimensions")
    scores = torch.linalg.vector_norm(weight.detach(), ord=1, dim=(1, 2, 3), keepdim=True)
    keep = prune(scores.reshape([size for dim, size in enumerate(weight.shape) if dim in (0,)]), sparsity)
    return keep.reshape(scores.shape) & torch.ones_like(weight, dtype=torch.bool)


@right("filter_mask")
def filter_by_numpy(weight, sparsity, prune):
    if weight.ndim != 4:
        raise ValueError("the weight of a convolution has four dimensions")
    scores = np.abs(weight.detach().cpu().numpy()).sum(axis=(1, 2, 3))
    keep = prune(torch.from_numpy(scores), sparsity).numpy()
    return torch.from_numpy(np.broadcast_to(keep[:, None, None, None], tuple(weight.shape)).copy())


# --- channel_mask ---------------------------------------------------------------------------------------------


@wrong("channel_mask", "You removed filters (dimension 0); a channel belongs to an input.")
def channel_other_axis(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().sum(dim=(1, 2, 3)), sparsity)
    return keep[:, None, None, None].expand(weight.shape).clone()


@wrong("channel_mask", "You added up the weights with their signs: positive and negative ones cancel.")
def channel_forgets_abs(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.sum(dim=(0, 2, 3)), sparsity)
    return keep[None, :, None, None].expand(weight.shape).clone()


@wrong("channel_mask", "Your scores are L2 norms: squares were added up, not magnitudes.")
def channel_by_l2(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.square().sum(dim=(0, 2, 3)).sqrt(), sparsity)
    return keep[None, :, None, None].expand(weight.shape).clone()


@wrong("channel_mask", "Your scores are means of the magnitudes, not their sums.")
def channel_by_mean(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().mean(dim=(0, 2, 3)), sparsity)
    return keep[None, :, None, None].expand(weight.shape).clone()


@wrong("channel_mask", "Your scores are the largest magnitude of each channel, not the sum.")
def channel_by_maximum(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().amax(dim=(0, 2, 3)), sparsity)
    return keep[None, :, None, None].expand(weight.shape).clone()


@wrong("channel_mask", "You ranked the scores yourself: the rule that you were given is never called.")
def channel_ignores_the_rule(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    scores = weight.abs().sum(dim=(0, 2, 3))
    keep = torch.ones(scores.numel(), dtype=torch.bool)
    keep[scores.flatten().argsort(stable=True)[: round(sparsity * scores.numel())]] = False
    return keep.reshape(scores.shape)[None, :, None, None].expand(weight.shape).clone()


@wrong(
    "channel_mask",
    "You gave the rule the single weights, so they go one by one and no channel goes as a whole.",
)
def channel_single_weights(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    return prune(weight.detach().abs(), sparsity)


@wrong("channel_mask", "You took the sparsity as the fraction to keep; it is the fraction to remove.")
def channel_density(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().sum(dim=(0, 2, 3)), 1 - sparsity)
    return keep[None, :, None, None].expand(weight.shape).clone()


@wrong("channel_mask", "Your mask is the other way round: True stands on the channels that should go.")
def channel_inverted(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = ~prune(weight.abs().sum(dim=(0, 2, 3)), sparsity)
    return keep[None, :, None, None].expand(weight.shape).clone()


@wrong("channel_mask", "You returned what the rule says of the channels: it has not the shape of the weight.")
def channel_not_expanded(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    return prune(weight.abs().sum(dim=(0, 2, 3)), sparsity)


@wrong(
    "channel_mask",
    "You set the removed weights of your input to zero: a mask function leaves its input alone.",
)
def channel_in_place(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.detach().abs().sum(dim=(0, 2, 3)), sparsity)
    mask = keep[None, :, None, None].expand(weight.shape).clone()
    weight.data[~mask] = 0
    return mask


@wrong("channel_mask", "Your mask is made of the numbers 0 and 1; a mask in this course is boolean.")
def channel_float_mask(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.detach().abs().sum(dim=(0, 2, 3)), sparsity)
    return keep[None, :, None, None] * torch.ones_like(weight.detach())


@wrong(
    "channel_mask",
    "A weight without four dimensions is accepted, or breaks with an error that is no ValueError.",
)
def channel_unchecked(weight, sparsity, prune):
    keep = prune(weight.abs().sum(dim=(0, 2, 3)), sparsity)
    return keep[None, :, None, None].expand(weight.shape).clone()


@wrong(
    "channel_mask", "You added up over the outputs only: each place in the kernel gets a score of its own."
)
def channel_sums_one_dimension(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    keep = prune(weight.abs().sum(dim=0), sparsity)
    return keep[None].expand(weight.shape).clone()


@wrong("channel_mask", "Your channels are right, but your mask comes back with outputs and inputs exchanged.")
def channel_transposed(weight, sparsity, prune):
    if weight.dim() != 4:
        raise ValueError("weight")
    swapped = weight.transpose(0, 1)
    keep = prune(swapped.abs().sum(dim=(1, 2, 3)), sparsity)
    return keep[:, None, None, None].expand(swapped.shape).clone()


@right("channel_mask")
def channel_by_exchanging_the_dimensions(weight, sparsity, prune):
    if weight.ndim != 4:
        raise ValueError("the weight of a convolution has four dimensions")
    swapped = weight.detach().transpose(0, 1)
    keep = prune(swapped.abs().flatten(1).sum(dim=1), sparsity)
    return keep.reshape(-1, 1, 1, 1).repeat(1, *swapped.shape[1:]).transpose(0, 1)


@right("channel_mask")
def channel_by_norm(weight, sparsity, prune):
    if weight.ndim != 4:
        raise ValueError("the weight of a convolution has four dimensions")
    scores = torch.linalg.vector_norm(weight.detach(), ord=1, dim=(0, 2, 3), keepdim=True)
    keep = prune(scores.reshape([size for dim, size in enumerate(weight.shape) if dim in (1,)]), sparsity)
    return keep.reshape(scores.shape) & torch.ones_like(weight, dtype=torch.bool)


@right("channel_mask")
def channel_by_numpy(weight, sparsity, prune):
    if weight.ndim != 4:
        raise ValueError("the weight of a convolution has four dimensions")
    scores = np.abs(weight.detach().cpu().numpy()).sum(axis=(0, 2, 3))
    keep = prune(torch.from_numpy(scores), sparsity).numpy()
    return torch.from_numpy(np.broadcast_to(keep[None, :, None, None], tuple(weight.shape)).copy())


# --- index_bits ------------------------------------------------------------------------------------------------


@wrong("index_bits", "You counted the groups that go; the positions of those that stay are stored.")
def bits_of_the_removed(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m or mask.unflatten(1, (-1, m)).sum(2).unique().numel() > 1:
            raise ValueError("m")
        return int((~mask).sum()) * math.ceil(math.log2(m))
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"filter": inputs * kh * kw, "channel": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "channel" else mask).reshape(-1, sizes[granularity])
    if not torch.equal(groups.any(1), groups.all(1)):
        raise ValueError("kept in part")
    return int((~groups[:, 0]).sum()) * math.ceil(math.log2(len(groups)))


@wrong(
    "index_bits",
    "You took the bit length of the number of groups: where it is a power of two, that is one bit too many.",
)
def bits_of_bit_length(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m or mask.unflatten(1, (-1, m)).sum(2).unique().numel() > 1:
            raise ValueError("m")
        return int(mask.sum()) * m.bit_length()
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"filter": inputs * kh * kw, "channel": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "channel" else mask).reshape(-1, sizes[granularity])
    if not torch.equal(groups.any(1), groups.all(1)):
        raise ValueError("kept in part")
    return int(groups[:, 0].sum()) * len(groups).bit_length()


@wrong("index_bits", "You rounded the logarithm down: so few bits do not tell all the positions apart.")
def bits_rounded_down(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m or mask.unflatten(1, (-1, m)).sum(2).unique().numel() > 1:
            raise ValueError("m")
        return int(mask.sum()) * math.floor(math.log2(m))
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"filter": inputs * kh * kw, "channel": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "channel" else mask).reshape(-1, sizes[granularity])
    if not torch.equal(groups.any(1), groups.all(1)):
        raise ValueError("kept in part")
    return int(groups[:, 0].sum()) * math.floor(math.log2(len(groups)))


@wrong("index_bits", "Every kept weight stores a position of its own; the weights of a group share one.")
def bits_for_every_weight(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m or mask.unflatten(1, (-1, m)).sum(2).unique().numel() > 1:
            raise ValueError("m")
        return int(mask.sum()) * math.ceil(math.log2(m))
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"filter": inputs * kh * kw, "channel": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "channel" else mask).reshape(-1, sizes[granularity])
    if not torch.equal(groups.any(1), groups.all(1)):
        raise ValueError("kept in part")
    return int(groups.sum()) * math.ceil(math.log2(len(groups)))


@wrong("index_bits", "You numbered all the weights; a group needs only its number among the groups.")
def bits_of_weight_positions(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m or mask.unflatten(1, (-1, m)).sum(2).unique().numel() > 1:
            raise ValueError("m")
        return int(mask.sum()) * math.ceil(math.log2(mask.numel()))
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"filter": inputs * kh * kw, "channel": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "channel" else mask).reshape(-1, sizes[granularity])
    if not torch.equal(groups.any(1), groups.all(1)):
        raise ValueError("kept in part")
    return int(groups[:, 0].sum()) * math.ceil(math.log2(mask.numel()))


@wrong("index_bits", "For N:M you stored the number of the input; the place in its group of m is enough.")
def bits_of_the_input(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m or mask.unflatten(1, (-1, m)).sum(2).unique().numel() > 1:
            raise ValueError("m")
        return int(mask.sum()) * math.ceil(math.log2(inputs))
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"filter": inputs * kh * kw, "channel": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "channel" else mask).reshape(-1, sizes[granularity])
    if not torch.equal(groups.any(1), groups.all(1)):
        raise ValueError("kept in part")
    return int(groups[:, 0].sum()) * math.ceil(math.log2(len(groups)))


@wrong("index_bits", "For N:M you took the logarithm of the number kept; a place is one of m.")
def bits_of_n(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m or mask.unflatten(1, (-1, m)).sum(2).unique().numel() > 1:
            raise ValueError("m")
        kept = max(int(mask.unflatten(1, (-1, m)).sum(2).flatten()[0]), 1)
        return int(mask.sum()) * math.ceil(math.log2(kept))
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"filter": inputs * kh * kw, "channel": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "channel" else mask).reshape(-1, sizes[granularity])
    if not torch.equal(groups.any(1), groups.all(1)):
        raise ValueError("kept in part")
    return int(groups[:, 0].sum()) * math.ceil(math.log2(len(groups)))


@wrong(
    "index_bits",
    "You counted one bit for each group, kept or not: that is a bitmask, not a list of positions.",
)
def bits_of_a_bitmask(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m or mask.unflatten(1, (-1, m)).sum(2).unique().numel() > 1:
            raise ValueError("m")
        return mask.numel()
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"filter": inputs * kh * kw, "channel": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "channel" else mask).reshape(-1, sizes[granularity])
    if not torch.equal(groups.any(1), groups.all(1)):
        raise ValueError("kept in part")
    return len(groups)


@wrong("index_bits", "Your answer is in bytes; it is asked for in bits.")
def bits_in_bytes(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m or mask.unflatten(1, (-1, m)).sum(2).unique().numel() > 1:
            raise ValueError("m")
        return int(mask.sum()) * math.ceil(math.log2(m)) // 8
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"filter": inputs * kh * kw, "channel": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "channel" else mask).reshape(-1, sizes[granularity])
    if not torch.equal(groups.any(1), groups.all(1)):
        raise ValueError("kept in part")
    return int(groups[:, 0].sum()) * math.ceil(math.log2(len(groups))) // 8


@wrong("index_bits", "You did not round the logarithm up: a position takes whole bits.")
def bits_not_rounded(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m or mask.unflatten(1, (-1, m)).sum(2).unique().numel() > 1:
            raise ValueError("m")
        return int(mask.sum()) * math.log2(m)
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"filter": inputs * kh * kw, "channel": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "channel" else mask).reshape(-1, sizes[granularity])
    if not torch.equal(groups.any(1), groups.all(1)):
        raise ValueError("kept in part")
    return int(groups[:, 0].sum()) * math.log2(len(groups))


@wrong("index_bits", "You added the bits of the values; only those of the positions are asked for.")
def bits_with_the_values(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m or mask.unflatten(1, (-1, m)).sum(2).unique().numel() > 1:
            raise ValueError("m")
        return int(mask.sum()) * (32 + math.ceil(math.log2(m)))
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"filter": inputs * kh * kw, "channel": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "channel" else mask).reshape(-1, sizes[granularity])
    if not torch.equal(groups.any(1), groups.all(1)):
        raise ValueError("kept in part")
    return int(groups[:, 0].sum()) * math.ceil(math.log2(len(groups))) + 32 * int(mask.sum())


@wrong(
    "index_bits",
    "A group that is kept in part goes through: the mask has not the granularity that was named.",
)
def bits_for_any_group(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m or mask.unflatten(1, (-1, m)).sum(2).unique().numel() > 1:
            raise ValueError("m")
        return int(mask.sum()) * math.ceil(math.log2(m))
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"filter": inputs * kh * kw, "channel": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "channel" else mask).reshape(-1, sizes[granularity])
    return int(groups.any(1).sum()) * math.ceil(math.log2(len(groups)))


@wrong(
    "index_bits",
    "For N:M you do not look whether all groups keep the same number: without it nobody knows where a group ends.",
)
def bits_for_any_pattern(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m:
            raise ValueError("m")
        return int(mask.sum()) * math.ceil(math.log2(m))
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"filter": inputs * kh * kw, "channel": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "channel" else mask).reshape(-1, sizes[granularity])
    if not torch.equal(groups.any(1), groups.all(1)):
        raise ValueError("kept in part")
    return int(groups[:, 0].sum()) * math.ceil(math.log2(len(groups)))


@wrong(
    "index_bits",
    "You mixed up filters and channels: filters are counted along dimension 0, channels along dimension 1.",
)
def bits_channels_for_filters(mask, granularity, m=None):
    if mask.dim() != 4:
        raise ValueError("mask")
    out, inputs, kh, kw = mask.shape
    if granularity == "N:M":
        if m is None or m < 1 or inputs % m or mask.unflatten(1, (-1, m)).sum(2).unique().numel() > 1:
            raise ValueError("m")
        return int(mask.sum()) * math.ceil(math.log2(m))
    sizes = {"fine": 1, "vector": kw, "kernel": kh * kw, "layer": mask.numel()}
    sizes |= {"channel": inputs * kh * kw, "filter": out * kh * kw}
    if granularity not in sizes:
        raise ValueError("granularity")
    groups = (mask.transpose(0, 1) if granularity == "filter" else mask).reshape(-1, sizes[granularity])
    if not torch.equal(groups.any(1), groups.all(1)):
        raise ValueError("kept in part")
    return int(groups[:, 0].sum()) * math.ceil(math.log2(len(groups)))


@right("index_bits")
def bits_by_adding_up_dimensions(mask, granularity, m=None):
    dims = {
        "vector": (3,),
        "kernel": (2, 3),
        "filter": (1, 2, 3),
        "channel": (0, 2, 3),
        "layer": (0, 1, 2, 3),
    }
    if mask.ndim != 4 or granularity not in ("fine", "N:M", *dims):
        raise ValueError("not a convolution, or not a granularity")
    if granularity == "N:M":
        if m is None or m < 1 or mask.shape[1] % m:
            raise ValueError("m does not divide the inputs")
        rows = mask.movedim(1, -1).reshape(-1, m).sum(dim=1)
        if rows.min() != rows.max():
            raise ValueError("the groups keep different numbers")
        choices, kept = m, int(rows.sum())
    elif granularity == "fine":
        choices, kept = mask.numel(), int(mask.sum())
    else:
        size = math.prod(mask.shape[dim] for dim in dims[granularity])
        counts = mask.sum(dim=dims[granularity])
        if bool(((counts != 0) & (counts != size)).any()):
            raise ValueError("a group is kept in part")
        choices, kept = mask.numel() // size, int((counts == size).sum())
    bits = 0
    while 2**bits < choices:
        bits += 1
    return kept * bits


@right("index_bits")
def bits_by_numpy(mask, granularity, m=None):
    array = mask.cpu().numpy()
    if array.ndim != 4:
        raise ValueError("not a convolution")
    out, inputs, kh, kw = array.shape
    if granularity == "N:M":
        if not m or m < 0 or inputs % m:
            raise ValueError("m does not divide the inputs")
        per_group = array.reshape(out, inputs // m, m, kh, kw).sum(axis=2)
        if np.ptp(per_group):
            raise ValueError("the groups keep different numbers")
        return int(array.sum()) * math.ceil(math.log2(m))
    shapes = {
        "fine": (-1, 1), "vector": (-1, kw), "kernel": (-1, kh * kw), "filter": (out, -1), "channel": (inputs, -1),
        "layer": (1, -1),
    }  # fmt: skip
    if granularity not in shapes:
        raise ValueError("no such granularity")
    groups = (array.swapaxes(0, 1) if granularity == "channel" else array).reshape(shapes[granularity])
    if any(len(np.unique(group)) > 1 for group in groups):
        raise ValueError("a group is kept in part")
    return int(groups[:, 0].sum()) * math.ceil(math.log2(len(groups)))
