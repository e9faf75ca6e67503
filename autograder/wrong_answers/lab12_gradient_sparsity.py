"""Lab 12's bank. An answer uses only what the notebook's first cell imports: torch and numpy as np."""

import numpy as np
import torch

from autograder.wrong_answers import right, wrong

# --- threshold_sparsify ----------------------------------------------------------------------------------------


@wrong(
    "threshold_sparsify",
    "You compared the entries and not their magnitudes: large negative entries are not sent.",
)
def threshold_forgets_abs(gradient, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    flat = gradient.detach().flatten()
    indices = (flat >= threshold).nonzero().flatten()
    return indices, flat[indices]


@wrong("threshold_sparsify", "You sent the magnitudes: the signs are lost.")
def threshold_sends_magnitudes(gradient, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    flat = gradient.detach().flatten().abs()
    indices = (flat >= threshold).nonzero().flatten()
    return indices, flat[indices]


@wrong("threshold_sparsify", "You compared with >: an entry exactly at the threshold is not sent.")
def threshold_strict(gradient, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    flat = gradient.detach().flatten()
    indices = (flat.abs() > threshold).nonzero().flatten()
    return indices, flat[indices]


@wrong("threshold_sparsify", "You sent the entries below the threshold, and kept the large ones back.")
def threshold_sends_small(gradient, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    flat = gradient.detach().flatten()
    indices = (flat.abs() < threshold).nonzero().flatten()
    return indices, flat[indices]


@wrong(
    "threshold_sparsify",
    "You sent plus or minus the threshold in the place of the entries (that is Strom's rule).",
)
def threshold_rounds(gradient, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    flat = gradient.detach().flatten()
    indices = (flat.abs() >= threshold).nonzero().flatten()
    return indices, (flat[indices].sign() * threshold).to(flat.dtype)


@wrong(
    "threshold_sparsify",
    "Your positions have one column for each dimension: they are not those of the flattened gradient.",
)
def threshold_keeps_dimensions(gradient, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    kept = gradient.detach().abs() >= threshold
    indices = kept.nonzero()
    return indices.flatten() if gradient.dim() == 1 else indices, gradient.detach()[kept]


@wrong(
    "threshold_sparsify",
    "You took the memory in its own order: the positions of a transposed gradient are wrong.",
)
def threshold_in_memory_order(gradient, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    tensor = gradient.detach()
    order = sorted(range(tensor.dim()), key=lambda d: -tensor.stride(d))
    flat = tensor.permute(order).flatten()
    indices = (flat.abs() >= threshold).nonzero().flatten()
    return indices, flat[indices]


@wrong(
    "threshold_sparsify",
    "Your message still carries the gradient history of the tensor that it was taken from.",
)
def threshold_with_history(gradient, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    flat = gradient.flatten()
    indices = (flat.abs() >= threshold).nonzero().flatten()
    return indices, flat[indices]


@wrong("threshold_sparsify", "A negative threshold, or NaN, is accepted.")
def threshold_unchecked(gradient, threshold):
    flat = gradient.detach().flatten()
    indices = (flat.abs() >= threshold).nonzero().flatten()
    return indices, flat[indices]


@right("threshold_sparsify")
def threshold_by_numpy(gradient, threshold):
    if threshold < 0 or threshold != threshold:
        raise ValueError("threshold")
    flat = gradient.detach().reshape(-1)
    places = np.flatnonzero(np.abs(flat.cpu().double().numpy()) >= threshold)
    indices = torch.from_numpy(places).to(flat.device)
    return indices, flat.index_select(0, indices)


@right("threshold_sparsify")
def threshold_by_loop(gradient, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    flat = gradient.detach().contiguous().view(-1)
    places = [i for i, value in enumerate(flat.tolist()) if abs(value) >= threshold]
    indices = torch.tensor(places, dtype=torch.int64, device=flat.device)
    return indices, flat[indices].clone()


# --- topk_sparsify ---------------------------------------------------------------------------------------------


@wrong("topk_sparsify", "You sent the smallest magnitudes.")
def topk_smallest(gradient, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    flat = gradient.detach().flatten()
    order = flat.abs().argsort(stable=True, descending=True)
    indices = order[round(sparsity * flat.numel()) :].sort().values
    return indices, flat[indices]


@wrong(
    "topk_sparsify",
    "You ranked the entries and not their magnitudes: large negative entries are left out first.",
)
def topk_forgets_abs(gradient, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    flat = gradient.detach().flatten()
    order = flat.argsort(stable=True)
    indices = order[round(sparsity * flat.numel()) :].sort().values
    return indices, flat[indices]


@wrong("topk_sparsify", "You sent the fraction that should stay behind: sparsity is what is not sent.")
def topk_takes_density(gradient, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    flat = gradient.detach().flatten()
    order = flat.abs().argsort(stable=True)
    indices = order[flat.numel() - round(sparsity * flat.numel()) :].sort().values
    return indices, flat[indices]


@wrong(
    "topk_sparsify",
    "You made a threshold of the last entry that is sent: entries of equal magnitude are sent beyond the number.",
)
def topk_sends_ties(gradient, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    flat = gradient.detach().flatten()
    k = flat.numel() - round(sparsity * flat.numel())
    if k == 0:
        return torch.zeros(0, dtype=torch.int64), flat[:0]
    threshold = flat.abs().sort(descending=True).values[k - 1]
    indices = (flat.abs() >= threshold).nonzero().flatten()
    return indices, flat[indices]


@wrong("topk_sparsify", "Of equal magnitudes you left the highest position out first.")
def topk_ties_from_the_end(gradient, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    flat = gradient.detach().flatten()
    order = flat.abs().argsort(stable=True, descending=True)
    indices = order[: flat.numel() - round(sparsity * flat.numel())].sort().values
    return indices, flat[indices]


@wrong("topk_sparsify", "The positions come in the order of the magnitudes, and not rising.")
def topk_not_sorted(gradient, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    flat = gradient.detach().flatten()
    indices = flat.abs().argsort(stable=True)[round(sparsity * flat.numel()) :]
    return indices, flat[indices]


@wrong("topk_sparsify", "You cut the number that is left out down to a whole one, and did not round it.")
def topk_truncates(gradient, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    flat = gradient.detach().flatten()
    order = flat.abs().argsort(stable=True)
    indices = order[int(sparsity * flat.numel()) :].sort().values
    return indices, flat[indices]


@wrong(
    "topk_sparsify",
    "You rounded the number that is sent: at a half this is another number than rounding what is left out.",
)
def topk_rounds_what_is_sent(gradient, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    flat = gradient.detach().flatten()
    k = round((1 - sparsity) * flat.numel())
    order = flat.abs().argsort(stable=True)
    indices = order[flat.numel() - k :].sort().values
    return indices, flat[indices]


@wrong("topk_sparsify", "You always send at least one entry.")
def topk_at_least_one(gradient, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    flat = gradient.detach().flatten()
    order = flat.abs().argsort(stable=True)
    indices = order[min(round(sparsity * flat.numel()), flat.numel() - 1) :].sort().values
    return indices, flat[indices]


@wrong("topk_sparsify", "You took order[-k:]: with k = 0 that is everything, where nothing should be sent.")
def topk_minus_zero(gradient, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    flat = gradient.detach().flatten()
    k = flat.numel() - round(sparsity * flat.numel())
    indices = flat.abs().argsort(stable=True)[-k:].sort().values
    return indices, flat[indices]


@wrong("topk_sparsify", "You sent the magnitudes; the signs are lost on the way.")
def topk_sends_magnitudes(gradient, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    flat = gradient.detach().flatten().abs()
    indices = flat.argsort(stable=True)[round(sparsity * flat.numel()) :].sort().values
    return indices, flat[indices]


@wrong("topk_sparsify", "A sparsity outside of 0 to 1, or NaN, is accepted, or breaks with another error.")
def topk_unchecked(gradient, sparsity):
    flat = gradient.detach().flatten()
    if not 0 <= sparsity <= 1:
        return torch.zeros(0, dtype=torch.int64), flat[:0]
    indices = flat.abs().argsort(stable=True)[round(sparsity * flat.numel()) :].sort().values
    return indices, flat[indices]


@right("topk_sparsify")
def topk_by_python_sort(gradient, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    flat = gradient.detach().reshape(-1)
    ranked = sorted(range(len(flat)), key=lambda i: (abs(flat[i].item()), i))
    places = sorted(ranked[round(sparsity * len(flat)) :])
    indices = torch.tensor(places, dtype=torch.int64, device=flat.device)
    return indices, flat[indices]


@right("topk_sparsify")
def topk_by_numpy_mask(gradient, sparsity):
    if not (sparsity >= 0 and sparsity <= 1):
        raise ValueError("sparsity")
    flat = gradient.detach().flatten()
    magnitudes = np.abs(flat.cpu().double().numpy())
    mask = np.ones(len(magnitudes), dtype=bool)
    mask[np.argsort(magnitudes, kind="stable")[: round(sparsity * len(magnitudes))]] = False
    kept = torch.from_numpy(mask).to(flat.device)
    return kept.nonzero().squeeze(1), flat[kept]


@right("topk_sparsify")
def topk_by_argsort(gradient, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    flat = gradient.detach().flatten()
    order = flat.abs().argsort(stable=True)
    indices = order[round(sparsity * flat.numel()) :].sort().values
    return indices, flat[indices]


# --- gradient_drop ---------------------------------------------------------------------------------------------


@wrong("gradient_drop", "You treated each layer alone, whatever the scope says.")
def drop_always_by_layer(gradients, sparsity, scope):
    if not 0 <= sparsity <= 1 or scope not in ("global", "layer", "normalised") or not gradients:
        raise ValueError("arguments")
    messages = {}
    for name, gradient in gradients.items():
        flat = gradient.detach().flatten()
        indices = flat.abs().argsort(stable=True)[round(sparsity * len(flat)) :].sort().values
        messages[name] = (indices, flat[indices])
    return messages


@wrong("gradient_drop", "You ranked by |g| in one pool, whatever the scope says.")
def drop_always_global(gradients, sparsity, scope):
    if not 0 <= sparsity <= 1 or scope not in ("global", "layer", "normalised") or not gradients:
        raise ValueError("arguments")
    flat = {name: gradient.detach().flatten() for name, gradient in gradients.items()}
    pool = torch.cat([values.abs() for values in flat.values()])
    keep = torch.ones(len(pool), dtype=torch.bool)
    keep[pool.argsort(stable=True)[: round(sparsity * len(pool))]] = False
    parts = keep.split([len(values) for values in flat.values()])
    return {
        name: (part.nonzero().flatten(), values[part]) for (name, values), part in zip(flat.items(), parts)
    }


@wrong(
    "gradient_drop", "You divided each layer by the mean of its magnitudes, and not by the root mean square."
)
def drop_by_mean_magnitude(gradients, sparsity, scope):
    if not 0 <= sparsity <= 1 or scope not in ("global", "layer", "normalised") or not gradients:
        raise ValueError("arguments")
    flat = {name: gradient.detach().flatten() for name, gradient in gradients.items()}
    sizes = {name: values.abs().double() for name, values in flat.items()}
    if scope == "normalised":
        sizes = {name: size / size.mean() if size.any() else size for name, size in sizes.items()}
    messages = {}
    for names in [[name] for name in flat] if scope == "layer" else [list(flat)]:
        pool = torch.cat([sizes[name] for name in names])
        keep = torch.ones(len(pool), dtype=torch.bool)
        keep[pool.argsort(stable=True)[: round(sparsity * len(pool))]] = False
        for name, part in zip(names, keep.split([len(sizes[name]) for name in names])):
            messages[name] = (part.nonzero().flatten(), flat[name][part])
    return messages


@wrong("gradient_drop", "You divided each layer by its norm, which grows with the number of entries.")
def drop_by_norm(gradients, sparsity, scope):
    if not 0 <= sparsity <= 1 or scope not in ("global", "layer", "normalised") or not gradients:
        raise ValueError("arguments")
    flat = {name: gradient.detach().flatten() for name, gradient in gradients.items()}
    sizes = {name: values.abs().double() for name, values in flat.items()}
    if scope == "normalised":
        sizes = {name: size / size.norm() if size.any() else size for name, size in sizes.items()}
    messages = {}
    for names in [[name] for name in flat] if scope == "layer" else [list(flat)]:
        pool = torch.cat([sizes[name] for name in names])
        keep = torch.ones(len(pool), dtype=torch.bool)
        keep[pool.argsort(stable=True)[: round(sparsity * len(pool))]] = False
        for name, part in zip(names, keep.split([len(sizes[name]) for name in names])):
            messages[name] = (part.nonzero().flatten(), flat[name][part])
    return messages


@wrong(
    "gradient_drop",
    "You divided each layer by its largest magnitude: one large entry pushes its whole layer down.",
)
def drop_by_maximum(gradients, sparsity, scope):
    if not 0 <= sparsity <= 1 or scope not in ("global", "layer", "normalised") or not gradients:
        raise ValueError("arguments")
    flat = {name: gradient.detach().flatten() for name, gradient in gradients.items()}
    sizes = {name: values.abs().double() for name, values in flat.items()}
    if scope == "normalised":
        sizes = {name: size / size.max() if size.any() else size for name, size in sizes.items()}
    messages = {}
    for names in [[name] for name in flat] if scope == "layer" else [list(flat)]:
        pool = torch.cat([sizes[name] for name in names])
        keep = torch.ones(len(pool), dtype=torch.bool)
        keep[pool.argsort(stable=True)[: round(sparsity * len(pool))]] = False
        for name, part in zip(names, keep.split([len(sizes[name]) for name in names])):
            messages[name] = (part.nonzero().flatten(), flat[name][part])
    return messages


@wrong("gradient_drop", "You sent the normalised values: the receiver gets a gradient that nobody computed.")
def drop_sends_normalised(gradients, sparsity, scope):
    if not 0 <= sparsity <= 1 or scope not in ("global", "layer", "normalised") or not gradients:
        raise ValueError("arguments")
    flat = {name: gradient.detach().flatten() for name, gradient in gradients.items()}
    if scope == "normalised":
        for name, values in flat.items():
            r = values.double().square().mean().sqrt()
            flat[name] = (values.double() / r).to(values.dtype) if r > 0 else values
    messages = {}
    for names in [[name] for name in flat] if scope == "layer" else [list(flat)]:
        pool = torch.cat([flat[name].abs() for name in names])
        keep = torch.ones(len(pool), dtype=torch.bool)
        keep[pool.argsort(stable=True)[: round(sparsity * len(pool))]] = False
        for name, part in zip(names, keep.split([len(flat[name]) for name in names])):
            messages[name] = (part.nonzero().flatten(), flat[name][part])
    return messages


@wrong(
    "gradient_drop", "A layer of zeros is divided by zero: its entries become NaN and take the highest rank."
)
def drop_divides_by_zero(gradients, sparsity, scope):
    if not 0 <= sparsity <= 1 or scope not in ("global", "layer", "normalised") or not gradients:
        raise ValueError("arguments")
    flat = {name: gradient.detach().flatten() for name, gradient in gradients.items()}
    sizes = {name: values.abs().double() for name, values in flat.items()}
    if scope == "normalised":
        sizes = {name: size / size.square().mean().sqrt() for name, size in sizes.items()}
    messages = {}
    for names in [[name] for name in flat] if scope == "layer" else [list(flat)]:
        pool = torch.cat([sizes[name] for name in names])
        keep = torch.ones(len(pool), dtype=torch.bool)
        keep[pool.argsort(stable=True)[: round(sparsity * len(pool))]] = False
        for name, part in zip(names, keep.split([len(sizes[name]) for name in names])):
            messages[name] = (part.nonzero().flatten(), flat[name][part])
    return messages


@wrong(
    "gradient_drop", "Your positions count through the whole network, and do not begin anew in each layer."
)
def drop_positions_of_the_pool(gradients, sparsity, scope):
    if not 0 <= sparsity <= 1 or scope not in ("global", "layer", "normalised") or not gradients:
        raise ValueError("arguments")
    flat = {name: gradient.detach().flatten() for name, gradient in gradients.items()}
    sizes = {name: values.abs().double() for name, values in flat.items()}
    if scope == "normalised":
        for name, size in sizes.items():
            r = size.square().mean().sqrt()
            sizes[name] = size / r if r > 0 else size
    messages = {}
    for names in [[name] for name in flat] if scope == "layer" else [list(flat)]:
        pool = torch.cat([sizes[name] for name in names])
        keep = torch.ones(len(pool), dtype=torch.bool)
        keep[pool.argsort(stable=True)[: round(sparsity * len(pool))]] = False
        start = 0
        for name, part in zip(names, keep.split([len(sizes[name]) for name in names])):
            messages[name] = (start + part.nonzero().flatten(), flat[name][part])
            start += len(part)
    return messages


@wrong(
    "gradient_drop", "You found a threshold and dropped everything up to it: of equal entries too many go."
)
def drop_by_threshold(gradients, sparsity, scope):
    if not 0 <= sparsity <= 1 or scope not in ("global", "layer", "normalised") or not gradients:
        raise ValueError("arguments")
    flat = {name: gradient.detach().flatten() for name, gradient in gradients.items()}
    sizes = {name: values.abs().double() for name, values in flat.items()}
    if scope == "normalised":
        for name, size in sizes.items():
            r = size.square().mean().sqrt()
            sizes[name] = size / r if r > 0 else size
    messages = {}
    for names in [[name] for name in flat] if scope == "layer" else [list(flat)]:
        pool = torch.cat([sizes[name] for name in names])
        out = round(sparsity * len(pool))
        limit = pool.sort().values[out - 1] if out else -1.0
        for name in names:
            part = sizes[name] > limit
            messages[name] = (part.nonzero().flatten(), flat[name][part])
    return messages


@wrong("gradient_drop", "A layer of which nothing is kept is missing in the result.")
def drop_leaves_empty_layers_out(gradients, sparsity, scope):
    if not 0 <= sparsity <= 1 or scope not in ("global", "layer", "normalised") or not gradients:
        raise ValueError("arguments")
    flat = {name: gradient.detach().flatten() for name, gradient in gradients.items()}
    sizes = {name: values.abs().double() for name, values in flat.items()}
    if scope == "normalised":
        for name, size in sizes.items():
            r = size.square().mean().sqrt()
            sizes[name] = size / r if r > 0 else size
    messages = {}
    for names in [[name] for name in flat] if scope == "layer" else [list(flat)]:
        pool = torch.cat([sizes[name] for name in names])
        keep = torch.ones(len(pool), dtype=torch.bool)
        keep[pool.argsort(stable=True)[: round(sparsity * len(pool))]] = False
        for name, part in zip(names, keep.split([len(sizes[name]) for name in names])):
            if part.any():
                messages[name] = (part.nonzero().flatten(), flat[name][part])
    return messages


@wrong("gradient_drop", "A wrong sparsity, an unknown scope, or a network without layers is accepted.")
def drop_unchecked(gradients, sparsity, scope):
    flat = {name: gradient.detach().flatten() for name, gradient in gradients.items()}
    if not flat:
        return {}
    sizes = {name: values.abs().double() for name, values in flat.items()}
    if scope == "normalised":
        for name, size in sizes.items():
            r = size.square().mean().sqrt()
            sizes[name] = size / r if r > 0 else size
    messages = {}
    for names in [[name] for name in flat] if scope == "layer" else [list(flat)]:
        pool = torch.cat([sizes[name] for name in names])
        keep = torch.ones(len(pool), dtype=torch.bool)
        out = round(min(1.0, max(0.0, sparsity)) * len(pool)) if sparsity == sparsity else 0
        keep[pool.argsort(stable=True)[:out]] = False
        for name, part in zip(names, keep.split([len(sizes[name]) for name in names])):
            messages[name] = (part.nonzero().flatten(), flat[name][part])
    return messages


@right("gradient_drop")
def drop_by_python_sort(gradients, sparsity, scope):
    if not (0 <= sparsity <= 1) or scope not in ("global", "layer", "normalised") or len(gradients) == 0:
        raise ValueError("arguments")
    entries = []
    for layer, (name, gradient) in enumerate(gradients.items()):
        values = gradient.detach().double().flatten().tolist()
        r = (sum(value * value for value in values) / len(values)) ** 0.5 if scope == "normalised" else 1.0
        entries += [(abs(value) / r if r else 0.0, layer, i, name) for i, value in enumerate(values)]
    if scope == "layer":
        pools = [[entry for entry in entries if entry[3] == name] for name in gradients]
    else:
        pools = [entries]
    kept = {name: [] for name in gradients}
    for pool in pools:
        for _, _, i, name in sorted(pool)[round(sparsity * len(pool)) :]:
            kept[name].append(i)
    messages = {}
    for name, gradient in gradients.items():
        indices = torch.tensor(sorted(kept[name]), dtype=torch.int64)
        messages[name] = (indices, gradient.detach().flatten()[indices])
    return messages


@right("gradient_drop")
def drop_by_numpy(gradients, sparsity, scope):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if scope not in {"global", "layer", "normalised"}:
        raise ValueError("scope")
    if not gradients:
        raise ValueError("no layer")
    flat = {name: gradient.detach().reshape(-1) for name, gradient in gradients.items()}
    sizes = {}
    for name, values in flat.items():
        size = np.abs(values.cpu().double().numpy())
        if scope == "normalised" and size.any():
            size = size / np.sqrt(np.mean(size**2))
        sizes[name] = size
    kept = {name: np.ones(len(size), dtype=bool) for name, size in sizes.items()}
    if scope == "layer":
        for name, size in sizes.items():
            kept[name][np.argsort(size, kind="stable")[: round(sparsity * len(size))]] = False
    else:
        pool = np.concatenate(list(sizes.values()))
        gone = np.argsort(pool, kind="stable")[: round(sparsity * len(pool))]
        mask = np.ones(len(pool), dtype=bool)
        mask[gone] = False
        start = 0
        for name, size in sizes.items():
            kept[name] = mask[start : start + len(size)]
            start += len(size)
    return {
        name: (torch.from_numpy(np.flatnonzero(kept[name])), values[torch.from_numpy(kept[name])])
        for name, values in flat.items()
    }


# --- accumulate_residual ---------------------------------------------------------------------------------------


@wrong("accumulate_residual", "You chose the message from the gradient alone: the residual is never sent.")
def residual_not_added_before_choosing(residual, gradient, sparsify):
    if residual.shape != gradient.shape or residual.dim() != 1:
        raise ValueError("shapes")
    indices, values = sparsify(gradient.detach().clone())
    new = residual.detach() + gradient.detach()
    new[indices] -= values
    return indices, values, new


@wrong(
    "accumulate_residual", "You kept only what this step's gradient left over: the older residual is lost."
)
def residual_forgets_the_old(residual, gradient, sparsify):
    if residual.shape != gradient.shape or residual.dim() != 1:
        raise ValueError("shapes")
    total = residual.detach() + gradient.detach()
    indices, values = sparsify(total)
    new = gradient.detach().clone()
    new[indices] = 0
    return indices, values, new


@wrong("accumulate_residual", "The new residual still holds what was sent: it will be sent again.")
def residual_keeps_what_was_sent(residual, gradient, sparsify):
    if residual.shape != gradient.shape or residual.dim() != 1:
        raise ValueError("shapes")
    total = residual.detach() + gradient.detach()
    indices, values = sparsify(total)
    return indices, values, total.clone()


@wrong(
    "accumulate_residual",
    "You set the residual to zero where something was sent: what the rule rounded away is lost.",
)
def residual_set_to_zero(residual, gradient, sparsify):
    if residual.shape != gradient.shape or residual.dim() != 1:
        raise ValueError("shapes")
    total = residual.detach() + gradient.detach()
    indices, values = sparsify(total)
    new = total.clone()
    new[indices] = 0
    return indices, values, new


@wrong("accumulate_residual", "Nothing is kept: the new residual is zero, and what is not sent is lost.")
def residual_dropped(residual, gradient, sparsify):
    if residual.shape != gradient.shape or residual.dim() != 1:
        raise ValueError("shapes")
    total = residual.detach() + gradient.detach()
    indices, values = sparsify(total)
    return indices, values, torch.zeros_like(total)


@wrong("accumulate_residual", "You added what was sent to the residual, in the place of subtracting it.")
def residual_wrong_sign(residual, gradient, sparsify):
    if residual.shape != gradient.shape or residual.dim() != 1:
        raise ValueError("shapes")
    total = residual.detach() + gradient.detach()
    indices, values = sparsify(total)
    new = total.clone()
    new[indices] += values
    return indices, values, new


@wrong("accumulate_residual", "You changed the residual that was handed in, in place.")
def residual_in_place(residual, gradient, sparsify):
    if residual.shape != gradient.shape or residual.dim() != 1:
        raise ValueError("shapes")
    residual += gradient.detach()
    indices, values = sparsify(residual.clone())
    new = residual.clone()
    new[indices] -= values
    return indices, values, new


@wrong(
    "accumulate_residual",
    "Shapes that differ, or more than one dimension, are accepted, or break with another error.",
)
def residual_unchecked(residual, gradient, sparsify):
    try:
        total = (residual.detach() + gradient.detach()).flatten()
    except RuntimeError:
        total = gradient.detach().flatten().clone()
    indices, values = sparsify(total)
    new = total.clone()
    new[indices] -= values
    return indices, values, new


@right("accumulate_residual")
def residual_by_dense_message(residual, gradient, sparsify):
    if residual.dim() != 1 or gradient.dim() != 1 or len(residual) != len(gradient):
        raise ValueError("shapes")
    with torch.no_grad():
        total = residual + gradient
        indices, values = sparsify(total.clone())
        sent = torch.zeros_like(total).scatter_(0, indices, values)
        return indices, values, total - sent


@right("accumulate_residual")
def residual_by_loop(residual, gradient, sparsify):
    if residual.shape != gradient.shape or residual.ndim != 1:
        raise ValueError("shapes")
    total = residual.detach().clone().add_(gradient.detach())
    message = sparsify(total.clone())
    for i, value in zip(message[0].tolist(), message[1].tolist()):
        total[i] -= value
    return message[0], message[1], total


# --- momentum_correction ---------------------------------------------------------------------------------------


@wrong(
    "momentum_correction",
    "You accumulated the gradient and not the velocity: the momentum has no effect on what is sent.",
)
def momentum_accumulates_gradient(velocity, accumulated, gradient, momentum, sparsify):
    if (
        not velocity.shape == accumulated.shape == gradient.shape
        or gradient.dim() != 1
        or not 0 <= momentum < 1
    ):
        raise ValueError("arguments")
    u = momentum * velocity.detach() + gradient.detach()
    v = accumulated.detach() + gradient.detach()
    indices, values = sparsify(v.clone())
    u[indices] = 0
    v[indices] = 0
    return indices, values, u, v


@wrong(
    "momentum_correction",
    "The velocity goes on where something was sent: the momentum factor masking is missing.",
)
def momentum_without_masking(velocity, accumulated, gradient, momentum, sparsify):
    if (
        not velocity.shape == accumulated.shape == gradient.shape
        or gradient.dim() != 1
        or not 0 <= momentum < 1
    ):
        raise ValueError("arguments")
    u = momentum * velocity.detach() + gradient.detach()
    v = accumulated.detach() + u
    indices, values = sparsify(v.clone())
    v[indices] = 0
    return indices, values, u, v


@wrong("momentum_correction", "What was sent stays in v: it will be sent again.")
def momentum_keeps_v(velocity, accumulated, gradient, momentum, sparsify):
    if (
        not velocity.shape == accumulated.shape == gradient.shape
        or gradient.dim() != 1
        or not 0 <= momentum < 1
    ):
        raise ValueError("arguments")
    u = momentum * velocity.detach() + gradient.detach()
    v = accumulated.detach() + u
    indices, values = sparsify(v.clone())
    u[indices] = 0
    return indices, values, u, v


@wrong("momentum_correction", "You added the old velocity to v, and not the new one.")
def momentum_adds_old_velocity(velocity, accumulated, gradient, momentum, sparsify):
    if (
        not velocity.shape == accumulated.shape == gradient.shape
        or gradient.dim() != 1
        or not 0 <= momentum < 1
    ):
        raise ValueError("arguments")
    u = momentum * velocity.detach() + gradient.detach()
    v = accumulated.detach() + velocity.detach()
    indices, values = sparsify(v.clone())
    u[indices] = 0
    v[indices] = 0
    return indices, values, u, v


@wrong("momentum_correction", "You damped the gradient by 1 - m: here the velocity is a sum, not a mean.")
def momentum_as_average(velocity, accumulated, gradient, momentum, sparsify):
    if (
        not velocity.shape == accumulated.shape == gradient.shape
        or gradient.dim() != 1
        or not 0 <= momentum < 1
    ):
        raise ValueError("arguments")
    u = momentum * velocity.detach() + (1 - momentum) * gradient.detach()
    v = accumulated.detach() + u
    indices, values = sparsify(v.clone())
    u[indices] = 0
    v[indices] = 0
    return indices, values, u, v


@wrong("momentum_correction", "You chose the message from the velocity: what had gathered in v is not sent.")
def momentum_sends_velocity(velocity, accumulated, gradient, momentum, sparsify):
    if (
        not velocity.shape == accumulated.shape == gradient.shape
        or gradient.dim() != 1
        or not 0 <= momentum < 1
    ):
        raise ValueError("arguments")
    u = momentum * velocity.detach() + gradient.detach()
    v = accumulated.detach() + u
    indices, values = sparsify(u.clone())
    u[indices] = 0
    v[indices] = 0
    return indices, values, u, v


@wrong("momentum_correction", "You applied the momentum to v too: what waits in v fades away.")
def momentum_decays_v(velocity, accumulated, gradient, momentum, sparsify):
    if (
        not velocity.shape == accumulated.shape == gradient.shape
        or gradient.dim() != 1
        or not 0 <= momentum < 1
    ):
        raise ValueError("arguments")
    u = momentum * velocity.detach() + gradient.detach()
    v = momentum * accumulated.detach() + u
    indices, values = sparsify(v.clone())
    u[indices] = 0
    v[indices] = 0
    return indices, values, u, v


@wrong("momentum_correction", "You kept u and v where something was sent, and cleared them everywhere else.")
def momentum_inverted_mask(velocity, accumulated, gradient, momentum, sparsify):
    if (
        not velocity.shape == accumulated.shape == gradient.shape
        or gradient.dim() != 1
        or not 0 <= momentum < 1
    ):
        raise ValueError("arguments")
    u = momentum * velocity.detach() + gradient.detach()
    v = accumulated.detach() + u
    indices, values = sparsify(v.clone())
    sent = torch.zeros(len(v), dtype=torch.bool)
    sent[indices] = True
    return indices, values, u * sent, v * sent


@wrong("momentum_correction", "You changed the tensors that were handed in, in place.")
def momentum_in_place(velocity, accumulated, gradient, momentum, sparsify):
    if (
        not velocity.shape == accumulated.shape == gradient.shape
        or gradient.dim() != 1
        or not 0 <= momentum < 1
    ):
        raise ValueError("arguments")
    velocity.mul_(momentum).add_(gradient.detach())
    accumulated.add_(velocity)
    indices, values = sparsify(accumulated.clone())
    velocity[indices] = 0
    accumulated[indices] = 0
    return indices, values, velocity, accumulated


@wrong(
    "momentum_correction",
    "Shapes that differ, or a momentum outside of [0, 1), are accepted, or break with another error.",
)
def momentum_unchecked(velocity, accumulated, gradient, momentum, sparsify):
    u = (momentum * velocity.detach() + gradient.detach()).flatten()
    v = (accumulated.detach().flatten() + u).flatten()
    indices, values = sparsify(v.clone())
    u, v = u.expand(len(v)).clone(), v.clone()
    u[indices] = 0
    v[indices] = 0
    return indices, values, u, v


@right("momentum_correction")
def momentum_by_masks(velocity, accumulated, gradient, momentum, sparsify):
    if gradient.dim() != 1 or velocity.shape != gradient.shape or accumulated.shape != gradient.shape:
        raise ValueError("shapes")
    if not 0 <= momentum < 1:
        raise ValueError("momentum")
    with torch.no_grad():
        u = velocity * momentum + gradient
        v = accumulated + u
        message = sparsify(v)
        kept = torch.ones(len(v), dtype=torch.bool, device=v.device).index_fill(0, message[0].long(), False)
        return (
            message[0],
            message[1],
            torch.where(kept, u, torch.zeros_like(u)),
            torch.where(kept, v, torch.zeros_like(v)),
        )


@right("momentum_correction")
def momentum_by_loop(velocity, accumulated, gradient, momentum, sparsify):
    if len({tuple(tensor.shape) for tensor in (velocity, accumulated, gradient)}) > 1 or gradient.ndim != 1:
        raise ValueError("shapes")
    if momentum < 0 or not momentum < 1:
        raise ValueError("momentum")
    u, v = torch.empty_like(velocity).detach(), torch.empty_like(accumulated).detach()
    for i in range(len(gradient)):
        u[i] = momentum * velocity[i].item() + gradient[i].item()
        v[i] = accumulated[i].item() + u[i].item()
    indices, values = sparsify(v.clone())
    for i in indices.tolist():
        u[i], v[i] = 0, 0
    return indices, values, u, v


# --- sparse_allreduce ------------------------------------------------------------------------------------------


@wrong("sparse_allreduce", "Where several workers send for one position, only the last one counts.")
def allreduce_overwrites(messages, n):
    if not messages or any(
        len(i) != len(v) or (len(i) and not 0 <= i.min() <= i.max() < n) for i, v in messages
    ):
        raise ValueError("messages")
    total = torch.zeros(n, dtype=messages[0][1].dtype)
    for indices, values in messages:
        for i, value in zip(indices.tolist(), values):
            total[i] = value
    return total


@wrong("sparse_allreduce", "Of a position that stands twice in one message only one value is added.")
def allreduce_loses_duplicates(messages, n):
    if not messages or any(
        len(i) != len(v) or (len(i) and not 0 <= i.min() <= i.max() < n) for i, v in messages
    ):
        raise ValueError("messages")
    total = torch.zeros(n, dtype=messages[0][1].dtype)
    for indices, values in messages:
        one = torch.zeros_like(total)
        for i, value in zip(indices.tolist(), values):
            one[i] = value
        total += one
    return total


@wrong("sparse_allreduce", "You divided by the number of workers: this is the sum, not the mean.")
def allreduce_mean_of_workers(messages, n):
    if not messages or any(
        len(i) != len(v) or (len(i) and not 0 <= i.min() <= i.max() < n) for i, v in messages
    ):
        raise ValueError("messages")
    total = torch.zeros(n, dtype=messages[0][1].dtype)
    for indices, values in messages:
        total.index_add_(0, indices.long(), values)
    return total / len(messages)


@wrong("sparse_allreduce", "You divided each position by the number of values that came for it.")
def allreduce_mean_of_senders(messages, n):
    if not messages or any(
        len(i) != len(v) or (len(i) and not 0 <= i.min() <= i.max() < n) for i, v in messages
    ):
        raise ValueError("messages")
    total = torch.zeros(n, dtype=messages[0][1].dtype)
    count = torch.zeros(n, dtype=messages[0][1].dtype)
    for indices, values in messages:
        total.index_add_(0, indices.long(), values)
        count.index_add_(0, indices.long(), torch.ones_like(values))
    return total / count.clamp(min=1)


@wrong("sparse_allreduce", "You kept only the positions that every worker has sent.")
def allreduce_intersection(messages, n):
    if not messages or any(
        len(i) != len(v) or (len(i) and not 0 <= i.min() <= i.max() < n) for i, v in messages
    ):
        raise ValueError("messages")
    total = torch.zeros(n, dtype=messages[0][1].dtype)
    everywhere = torch.ones(n, dtype=torch.bool)
    for indices, values in messages:
        total.index_add_(0, indices.long(), values)
        here = torch.zeros(n, dtype=torch.bool)
        here[indices.long()] = True
        everywhere &= here
    return total * everywhere


@wrong("sparse_allreduce", "The first message is not added.")
def allreduce_skips_the_first(messages, n):
    if not messages or any(
        len(i) != len(v) or (len(i) and not 0 <= i.min() <= i.max() < n) for i, v in messages
    ):
        raise ValueError("messages")
    total = torch.zeros(n, dtype=messages[0][1].dtype)
    for indices, values in messages[1:]:
        total.index_add_(0, indices.long(), values)
    return total


@wrong("sparse_allreduce", "Your sum is always float32, whatever the values are.")
def allreduce_in_float32(messages, n):
    if not messages or any(
        len(i) != len(v) or (len(i) and not 0 <= i.min() <= i.max() < n) for i, v in messages
    ):
        raise ValueError("messages")
    total = torch.zeros(n)
    for indices, values in messages:
        total.index_add_(0, indices.long(), values.float())
    return total


@wrong(
    "sparse_allreduce", "A negative position counts from the end, as in a Python list: no error is raised."
)
def allreduce_negative_positions(messages, n):
    if not messages or any(len(i) != len(v) or (len(i) and not i.max() < n) for i, v in messages):
        raise ValueError("messages")
    total = torch.zeros(n, dtype=messages[0][1].dtype)
    for indices, values in messages:
        total.index_add_(0, indices.long() % n, values)
    return total


@wrong(
    "sparse_allreduce",
    "Messages that cannot be right, or none at all, are accepted, or break with another error.",
)
def allreduce_unchecked(messages, n):
    total = torch.zeros(n, dtype=messages[0][1].dtype if messages else torch.float32)
    for indices, values in messages:
        for i, value in zip(indices.tolist(), values):
            if 0 <= i < n:
                total[i] += value
    return total


@right("sparse_allreduce")
def allreduce_by_loop(messages, n):
    if len(messages) == 0:
        raise ValueError("no message")
    for indices, values in messages:
        if len(indices) != len(values):
            raise ValueError("lengths")
        if any(i < 0 or i >= n for i in indices.tolist()):
            raise ValueError("positions")
    total = torch.zeros(n, dtype=messages[0][1].dtype, device=messages[0][1].device)
    for indices, values in messages:
        for i, value in zip(indices.tolist(), values.detach()):
            total[i] += value
    return total


@right("sparse_allreduce")
def allreduce_by_coo(messages, n):
    if not messages:
        raise ValueError("no message")
    if any(indices.shape != values.shape for indices, values in messages):
        raise ValueError("lengths")
    indices = torch.cat([indices.long() for indices, _ in messages])
    values = torch.cat([values for _, values in messages])
    if len(indices) > 0 and (indices.min() < 0 or indices.max() >= n):
        raise ValueError("positions")
    return torch.zeros(n, dtype=values.dtype).scatter_add(0, indices, values)


@right("sparse_allreduce")
def allreduce_by_numpy(messages, n):
    if not messages or any(len(i) != len(v) for i, v in messages):
        raise ValueError("messages")
    total = np.zeros(n, dtype=messages[0][1].numpy().dtype)
    for indices, values in messages:
        places = indices.numpy()
        if len(places) and (places.min() < 0 or places.max() >= n):
            raise ValueError("positions")
        np.add.at(total, places, values.numpy())
    return torch.from_numpy(total)


# --- bytes_sent ------------------------------------------------------------------------------------------------


@wrong("bytes_sent", "You counted the values alone: without the positions nobody knows where they belong.")
def bytes_of_values(indices, values, padded_to=None):
    if indices is None:
        if padded_to is not None:
            raise ValueError("dense")
        return values.numel() * values.element_size()
    if len(indices) != len(values) or (padded_to is not None and padded_to < len(values)):
        raise ValueError("lengths")
    k = len(values) if padded_to is None else padded_to
    return 8 + k * values.element_size()


@wrong("bytes_sent", "You forgot the length, which a sparse message sends first.")
def bytes_without_length(indices, values, padded_to=None):
    if indices is None:
        if padded_to is not None:
            raise ValueError("dense")
        return values.numel() * values.element_size()
    if len(indices) != len(values) or (padded_to is not None and padded_to < len(values)):
        raise ValueError("lengths")
    k = len(values) if padded_to is None else padded_to
    return k * (indices.element_size() + values.element_size())


@wrong("bytes_sent", "You counted the entries themselves, and not those with which the message is filled up.")
def bytes_without_fill(indices, values, padded_to=None):
    if indices is None:
        if padded_to is not None:
            raise ValueError("dense")
        return values.numel() * values.element_size()
    if len(indices) != len(values) or (padded_to is not None and padded_to < len(values)):
        raise ValueError("lengths")
    return 8 + len(values) * (indices.element_size() + values.element_size())


@wrong("bytes_sent", "You filled up the values but not the indices.")
def bytes_fill_of_values(indices, values, padded_to=None):
    if indices is None:
        if padded_to is not None:
            raise ValueError("dense")
        return values.numel() * values.element_size()
    if len(indices) != len(values) or (padded_to is not None and padded_to < len(values)):
        raise ValueError("lengths")
    k = len(values) if padded_to is None else padded_to
    return 8 + len(values) * indices.element_size() + k * values.element_size()


@wrong("bytes_sent", "You took four bytes for every number, whatever its dtype.")
def bytes_always_four(indices, values, padded_to=None):
    if indices is None:
        if padded_to is not None:
            raise ValueError("dense")
        return values.numel() * 4
    if len(indices) != len(values) or (padded_to is not None and padded_to < len(values)):
        raise ValueError("lengths")
    k = len(values) if padded_to is None else padded_to
    return 8 + k * 8


@wrong("bytes_sent", "You counted bits.")
def bytes_as_bits(indices, values, padded_to=None):
    if indices is None:
        if padded_to is not None:
            raise ValueError("dense")
        return 8 * values.numel() * values.element_size()
    if len(indices) != len(values) or (padded_to is not None and padded_to < len(values)):
        raise ValueError("lengths")
    k = len(values) if padded_to is None else padded_to
    return 8 * (8 + k * (indices.element_size() + values.element_size()))


@wrong(
    "bytes_sent",
    "You counted the memory behind the tensors: a view sends less than the tensor that it belongs to.",
)
def bytes_of_storage(indices, values, padded_to=None):
    if indices is None:
        if padded_to is not None:
            raise ValueError("dense")
        return values.untyped_storage().nbytes()
    if len(indices) != len(values) or (padded_to is not None and padded_to < len(values)):
        raise ValueError("lengths")
    if padded_to is None:
        return 8 + indices.untyped_storage().nbytes() + values.untyped_storage().nbytes()
    return 8 + padded_to * (indices.element_size() + values.element_size())


@wrong("bytes_sent", "An empty message costs nothing in your count; its length is sent all the same.")
def bytes_of_nothing(indices, values, padded_to=None):
    if indices is None:
        if padded_to is not None:
            raise ValueError("dense")
        return values.numel() * values.element_size()
    if len(indices) != len(values) or (padded_to is not None and padded_to < len(values)):
        raise ValueError("lengths")
    k = len(values) if padded_to is None else padded_to
    return 8 + k * (indices.element_size() + values.element_size()) if k else 0


@wrong(
    "bytes_sent",
    "A fill to 0 is taken for no fill, or a message that cannot be right is accepted.",
)
def bytes_unchecked(indices, values, padded_to=None):
    if indices is None:
        return values.numel() * values.element_size()
    k = padded_to or len(values)
    return 8 + k * (indices.element_size() + values.element_size())


@right("bytes_sent")
def bytes_by_building_it(indices, values, padded_to=None):
    if indices is None:
        if padded_to is not None:
            raise ValueError("dense")
        return values.contiguous().clone().untyped_storage().nbytes()
    if len(indices) != len(values):
        raise ValueError("lengths")
    k = len(values) if padded_to is None else padded_to
    if k < len(values):
        raise ValueError("fill")
    parts = torch.zeros(1, dtype=torch.int64), indices.new_zeros(k), values.new_zeros(k)
    return sum(part.untyped_storage().nbytes() for part in parts)


@right("bytes_sent")
def bytes_by_itemsize(indices, values, padded_to=None):
    if indices is None and padded_to is not None:
        raise ValueError("dense")
    if indices is None:
        return int(np.prod(values.shape)) * values.dtype.itemsize
    k = values.shape[0]
    if indices.shape[0] != k or (padded_to is not None and padded_to < k):
        raise ValueError("lengths")
    return 8 + max(k, padded_to or 0) * sum(tensor.dtype.itemsize for tensor in (indices, values))
