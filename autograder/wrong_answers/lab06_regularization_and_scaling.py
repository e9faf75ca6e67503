"""Lab 6's bank. An answer uses only what the notebook's first cell imports: torch and numpy as np."""

import numpy as np
import torch

from autograder.wrong_answers import right, wrong

# --- l1_penalty --------------------------------------------------------------------------------------------------


@wrong(
    "l1_penalty",
    "You took numbers out of the tensors, with .item() or .detach(): no gradient can flow through the penalty.",
)
def l1_without_gradient(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum((weight.abs().sum()).detach() for weight in weights.values())


@wrong("l1_penalty", "The strength is missing from your penalty.")
def l1_without_strength(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return sum(weight.abs().sum() for weight in weights.values())


@wrong("l1_penalty", "You returned inside the loop: only one layer is counted.")
def l1_one_layer(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    for weight in weights.values():
        total = strength * (weight.abs().sum())
    return total


@wrong("l1_penalty", "A strength that is negative or NaN is accepted.")
def l1_strength_unchecked(weights, strength):
    if not weights:
        raise ValueError("empty")
    return strength * sum(weight.abs().sum() for weight in weights.values())


@wrong(
    "l1_penalty", "Of a bad strength you refuse only the negative one: a comparison with NaN is always False."
)
def l1_nan_accepted(weights, strength):
    if not weights:
        raise ValueError("empty")
    if strength < 0:
        raise ValueError("strength")
    return strength * sum(weight.abs().sum() for weight in weights.values())


@wrong("l1_penalty", "A network without weights is accepted, and its penalty is not even a tensor.")
def l1_empty_accepted(weights, strength):
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(weight.abs().sum() for weight in weights.values())


@wrong("l1_penalty", "You summed the weights without their magnitudes: positive and negative ones cancel.")
def l1_signed(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(weight.sum() for weight in weights.values())


@wrong(
    "l1_penalty",
    "You averaged in each layer where the penalty is a sum: the strength of each weight depends on the size of its layer.",
)
def l1_mean(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(weight.abs().mean() for weight in weights.values())


@wrong("l1_penalty", "You summed squares: that is the L2 penalty.")
def l1_squares(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(weight.square().sum() for weight in weights.values())


@wrong(
    "l1_penalty",
    "You took the L2 norm of each layer, a root of a sum of squares, and not the sum of the magnitudes.",
)
def l1_norm(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(weight.norm() for weight in weights.values())


@wrong(
    "l1_penalty",
    "You used a matrix norm: it takes the largest column sum of a matrix, not the sum of all magnitudes.",
)
def l1_matrix_norm(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(
        torch.linalg.norm(weight.flatten(1) if weight.dim() > 1 else weight, ord=1)
        for weight in weights.values()
    )


@wrong(
    "l1_penalty",
    "You took the magnitude of the sum of a layer: it is the single weights that need their magnitudes.",
)
def l1_of_the_sum(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(weight.sum().abs() for weight in weights.values())


@right("l1_penalty")
def l1_by_cat(weights, strength):
    if len(weights) == 0 or np.isnan(strength) or strength < 0:
        raise ValueError("bad input")
    return strength * torch.cat([weight.flatten() for weight in weights.values()]).norm(p=1)


@right("l1_penalty")
def l1_by_sign(weights, strength):
    if not weights:
        raise ValueError("bad input")
    if not strength >= 0:
        raise ValueError("bad input")
    parts = [(weight * weight.detach().sign()).sum() for weight in weights.values()]
    return torch.stack(parts).sum() * strength


@right("l1_penalty")
def l1_by_relu(weights, strength):
    if not weights or not 0 <= strength:
        raise ValueError("bad input")
    total = 0
    for name in weights:
        total = total + strength * (torch.relu(weights[name]) + torch.relu(-weights[name])).sum()
    return total


# --- l2_penalty --------------------------------------------------------------------------------------------------


@wrong(
    "l2_penalty",
    "You took numbers out of the tensors, with .item() or .detach(): no gradient can flow through the penalty.",
)
def l2_without_gradient(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum((weight.square().sum()).detach() for weight in weights.values())


@wrong("l2_penalty", "The strength is missing from your penalty.")
def l2_without_strength(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return sum(weight.square().sum() for weight in weights.values())


@wrong("l2_penalty", "You returned inside the loop: only one layer is counted.")
def l2_one_layer(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    for weight in weights.values():
        total = strength * (weight.square().sum())
    return total


@wrong("l2_penalty", "A strength that is negative or NaN is accepted.")
def l2_strength_unchecked(weights, strength):
    if not weights:
        raise ValueError("empty")
    return strength * sum(weight.square().sum() for weight in weights.values())


@wrong(
    "l2_penalty", "Of a bad strength you refuse only the negative one: a comparison with NaN is always False."
)
def l2_nan_accepted(weights, strength):
    if not weights:
        raise ValueError("empty")
    if strength < 0:
        raise ValueError("strength")
    return strength * sum(weight.square().sum() for weight in weights.values())


@wrong("l2_penalty", "A network without weights is accepted, and its penalty is not even a tensor.")
def l2_empty_accepted(weights, strength):
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(weight.square().sum() for weight in weights.values())


@wrong(
    "l2_penalty",
    "You took the root of the sum of squares of each layer: the penalty is the sum of squares itself.",
)
def l2_rooted(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(torch.linalg.vector_norm(weight) for weight in weights.values())


@wrong("l2_penalty", "You put a half before the sum: many texts do, and this contract does not.")
def l2_halved(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(0.5 * weight.square().sum() for weight in weights.values())


@wrong("l2_penalty", "You averaged the squares in each layer where the penalty is a sum.")
def l2_mean(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(weight.square().mean() for weight in weights.values())


@wrong("l2_penalty", "You summed magnitudes: that is the L1 penalty.")
def l2_magnitudes(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(weight.abs().sum() for weight in weights.values())


@wrong("l2_penalty", "You squared the sum of a layer: it is the single weights that are squared.")
def l2_square_of_sum(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(weight.sum().square() for weight in weights.values())


@right("l2_penalty")
def l2_by_dot(weights, strength):
    if not weights or not strength >= 0:
        raise ValueError("bad input")
    flat = torch.cat([weight.reshape(-1) for weight in weights.values()])
    return strength * (flat @ flat)


@right("l2_penalty")
def l2_by_power(weights, strength):
    if len(weights) == 0:
        raise ValueError("bad input")
    if np.isnan(strength) or strength < 0:
        raise ValueError("bad input")
    return sum((strength * weight**2).sum() for weight in weights.values())


# --- group_lasso_penalty -----------------------------------------------------------------------------------------


@wrong(
    "group_lasso_penalty",
    "You took numbers out of the tensors, with .item() or .detach(): no gradient can flow through the penalty.",
)
def group_without_gradient(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        (weight[0].numel() ** 0.5 * torch.linalg.vector_norm(weight.flatten(1), dim=1).sum()).detach()
        for weight in weights.values()
    )


@wrong("group_lasso_penalty", "The strength is missing from your penalty.")
def group_without_strength(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return sum(
        weight[0].numel() ** 0.5 * torch.linalg.vector_norm(weight.flatten(1), dim=1).sum()
        for weight in weights.values()
    )


@wrong("group_lasso_penalty", "You returned inside the loop: only one layer is counted.")
def group_one_layer(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    for weight in weights.values():
        total = strength * (
            weight[0].numel() ** 0.5 * torch.linalg.vector_norm(weight.flatten(1), dim=1).sum()
        )
    return total


@wrong("group_lasso_penalty", "A strength that is negative or NaN is accepted.")
def group_strength_unchecked(weights, strength):
    if not weights:
        raise ValueError("empty")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        weight[0].numel() ** 0.5 * torch.linalg.vector_norm(weight.flatten(1), dim=1).sum()
        for weight in weights.values()
    )


@wrong(
    "group_lasso_penalty",
    "Of a bad strength you refuse only the negative one: a comparison with NaN is always False.",
)
def group_nan_accepted(weights, strength):
    if not weights:
        raise ValueError("empty")
    if strength < 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        weight[0].numel() ** 0.5 * torch.linalg.vector_norm(weight.flatten(1), dim=1).sum()
        for weight in weights.values()
    )


@wrong("group_lasso_penalty", "A network without weights is accepted, and its penalty is not even a tensor.")
def group_empty_accepted(weights, strength):
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        weight[0].numel() ** 0.5 * torch.linalg.vector_norm(weight.flatten(1), dim=1).sum()
        for weight in weights.values()
    )


@wrong(
    "group_lasso_penalty",
    "The root of the number of weights in a row is missing: long rows are punished less than short ones.",
)
def group_without_root_p(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        torch.linalg.vector_norm(weight.flatten(1), dim=1).sum() for weight in weights.values()
    )


@wrong("group_lasso_penalty", "You multiplied by the number of weights in a row, and not by its root.")
def group_by_p(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        weight[0].numel() * torch.linalg.vector_norm(weight.flatten(1), dim=1).sum()
        for weight in weights.values()
    )


@wrong(
    "group_lasso_penalty",
    "You took the root of the number of rows: what counts is the number of weights in one row.",
)
def group_root_of_the_rows(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        len(weight) ** 0.5 * torch.linalg.vector_norm(weight.flatten(1), dim=1).sum()
        for weight in weights.values()
    )


@wrong(
    "group_lasso_penalty", "Your groups are the columns: a group is everything that makes one output, a row."
)
def group_columns(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        weight[:, 0].numel() ** 0.5 * torch.linalg.vector_norm(weight.transpose(0, 1).flatten(1), dim=1).sum()
        for weight in weights.values()
    )


@wrong(
    "group_lasso_penalty",
    "You summed the squared norms: a sum of squares knows no groups, and is the L2 penalty with a factor.",
)
def group_squares(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(weight[0].numel() ** 0.5 * weight.square().sum() for weight in weights.values())


@wrong("group_lasso_penalty", "You took the L1 norm of the rows: a sum of magnitudes knows no groups.")
def group_l1_norms(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(weight[0].numel() ** 0.5 * weight.abs().sum() for weight in weights.values())


@wrong("group_lasso_penalty", "You took the norm of the whole layer: each row is a group of its own.")
def group_one_group(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        weight[0].numel() ** 0.5 * torch.linalg.vector_norm(weight) for weight in weights.values()
    )


@wrong(
    "group_lasso_penalty",
    "You took the root of a sum of squares: for a row of zeros its gradient is 0 times infinity, which is NaN.",
)
def group_nan_gradient(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        weight[0].numel() ** 0.5 * weight.flatten(1).square().sum(dim=1).sqrt().sum()
        for weight in weights.values()
    )


@wrong(
    "group_lasso_penalty",
    "You added a small number under the root: a row of zeros then costs something, and every norm is a little too large.",
)
def group_epsilon(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        weight[0].numel() ** 0.5 * (weight.flatten(1).square().sum(dim=1) + 0.01).sqrt().sum()
        for weight in weights.values()
    )


@wrong(
    "group_lasso_penalty",
    "In a convolution you took the norm along the last dimension only: a group is the whole filter.",
)
def group_kernel_rows(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        weight[0].numel() ** 0.5 * torch.linalg.vector_norm(weight, dim=-1).sum()
        if weight.dim() != 2
        else weight[0].numel() ** 0.5 * torch.linalg.vector_norm(weight.flatten(1), dim=1).sum()
        for weight in weights.values()
    )


@wrong(
    "group_lasso_penalty", "For a convolution you counted its input channels and not the weights of a filter."
)
def group_fan_in_only(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        weight.shape[1] ** 0.5 * torch.linalg.vector_norm(weight.flatten(1), dim=1).sum()
        for weight in weights.values()
    )


@wrong(
    "group_lasso_penalty",
    "A weight of one dimension, which has no rows, is accepted: each of its entries becomes a group.",
)
def group_vector_accepted(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    return strength * sum(
        weight.reshape(len(weight), -1).shape[1] ** 0.5
        * torch.linalg.vector_norm(weight.reshape(len(weight), -1), dim=1).sum()
        for weight in weights.values()
    )


@wrong(
    "group_lasso_penalty",
    "You used view, which fails where a weight is not contiguous in memory, such as a transposed one.",
)
def group_by_view(weights, strength):
    if not weights:
        raise ValueError("empty")
    if not strength >= 0:
        raise ValueError("strength")
    if any(weight.dim() < 2 for weight in weights.values()):
        raise ValueError("rows")
    return strength * sum(
        weight[0].numel() ** 0.5 * torch.linalg.vector_norm(weight.view(len(weight), -1), dim=1).sum()
        for weight in weights.values()
    )


@right("group_lasso_penalty")
def group_row_by_row(weights, strength):
    if not weights or not strength >= 0:
        raise ValueError("bad input")
    if min(weight.dim() for weight in weights.values()) < 2:
        raise ValueError("bad input")
    return sum(strength * row.numel() ** 0.5 * row.norm() for weight in weights.values() for row in weight)


@right("group_lasso_penalty")
def group_without_zero_rows(weights, strength):
    if not weights or not strength >= 0:
        raise ValueError("bad input")
    total = 0
    for weight in weights.values():
        if weight.dim() < 2:
            raise ValueError("bad input")
        squares = weight.reshape(len(weight), -1).pow(2)
        sums = squares.sum(dim=1)
        total = total + np.sqrt(squares.shape[1]) * torch.where(sums > 0, sums, 1).sqrt()[sums > 0].sum()
        total = total + 0 * squares.sum()
    return strength * total


# --- soft_threshold ----------------------------------------------------------------------------------------------


@wrong(
    "soft_threshold",
    "You set the small entries to zero and left the others alone: those are to move by the threshold too.",
)
def soft_hard(values, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    values = values.detach()
    return torch.where(values.abs() > threshold, values, 0)


@wrong("soft_threshold", "The sign is lost: your negative entries become positive.")
def soft_no_sign(values, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    return (values.detach().abs() - threshold).clamp(min=0)


@wrong("soft_threshold", "You only treat the positive side: every negative entry becomes zero.")
def soft_one_side(values, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    return (values.detach() - threshold).clamp(min=0)


@wrong(
    "soft_threshold",
    "You moved every entry by the threshold, the small ones too: they cross zero and come out on the other side.",
)
def soft_overshoots(values, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    values = values.detach()
    return values - threshold * values.sign()


@wrong(
    "soft_threshold",
    "You multiplied by a factor: that is what an L2 penalty does, and it never reaches zero.",
)
def soft_shrinks_by_factor(values, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    return values.detach() / (1 + threshold)


@wrong(
    "soft_threshold", "You limited the entries to the threshold: you kept what soft thresholding takes away."
)
def soft_clipped(values, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    return values.detach().clamp(-threshold, threshold)


@wrong(
    "soft_threshold",
    "You left the entries below the threshold as they are: they are the ones that become zero.",
)
def soft_small_ones_kept(values, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    values = values.detach()
    return torch.where(values.abs() > threshold, values - threshold * values.sign(), values)


@wrong("soft_threshold", "You moved the entries away from zero.")
def soft_grows(values, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    values = values.detach()
    return torch.where(values.abs() > threshold, values + threshold * values.sign(), 0)


@wrong(
    "soft_threshold",
    "You moved the entries by half of the threshold: the half belongs to the square in the proximal objective.",
)
def soft_half(values, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    values = values.detach()
    return values.sign() * (values.abs() - threshold / 2).clamp(min=0)


@wrong("soft_threshold", "You changed the input: it is the caller who decides where the result goes.")
def soft_in_place(values, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    values = values.detach()
    values.copy_(values.sign() * (values.abs() - threshold).clamp(min=0))
    return values.clone()


@wrong("soft_threshold", "With the threshold 0 you returned the input itself, and not a copy.")
def soft_same_tensor_at_zero(values, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    if threshold == 0:
        return values.detach()
    values = values.detach()
    return values.sign() * (values.abs() - threshold).clamp(min=0)


@wrong("soft_threshold", "Your result still hangs on the gradient graph: it was not detached.")
def soft_with_gradient(values, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    return values.sign() * (values.abs() - threshold).clamp(min=0)


@wrong("soft_threshold", "You turned the values into float32: the dtype of the input is lost.")
def soft_float32(values, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    values = values.detach().float()
    return values.sign() * (values.abs() - threshold).clamp(min=0)


@wrong("soft_threshold", "A threshold that is negative or NaN is accepted.")
def soft_unchecked(values, threshold):
    values = values.detach()
    return values.sign() * (values.abs() - threshold).clamp(min=0)


@wrong(
    "soft_threshold",
    "Of a bad threshold you refuse only the negative one: a comparison with NaN is always False.",
)
def soft_nan_accepted(values, threshold):
    if threshold < 0:
        raise ValueError("threshold")
    values = values.detach()
    return values.sign() * (values.abs() - threshold).clamp(min=0)


@right("soft_threshold")
def soft_by_torch(values, threshold):
    if np.isnan(threshold) or threshold < 0:
        raise ValueError("bad input")
    return torch.nn.functional.softshrink(values.detach().clone(), threshold)


@right("soft_threshold")
def soft_by_two_relus(values, threshold):
    if not threshold >= 0:
        raise ValueError("bad input")
    with torch.no_grad():
        return torch.relu(values - threshold) - torch.relu(-values - threshold)


@right("soft_threshold")
def soft_by_numpy(values, threshold):
    if not threshold >= 0:
        raise ValueError("bad input")
    v = values.detach().cpu().numpy().astype(np.float64)
    v = np.where(v > threshold, v - threshold, np.where(v < -threshold, v + threshold, 0.0))
    return torch.tensor(v, dtype=values.dtype, device=values.device)


@right("soft_threshold")
def soft_by_distance(values, threshold):
    if not threshold >= 0:
        raise ValueError("bad input")
    values = values.detach()
    return values - values.clamp(-threshold, threshold)


# --- group_soft_threshold ----------------------------------------------------------------------------------------


@wrong(
    "group_soft_threshold",
    "You thresholded the single entries: the length of a whole row decides, and its direction stays.",
)
def group_soft_entries(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    weight = weight.detach()
    return weight.sign() * (weight.abs() - threshold).clamp(min=0)


@wrong(
    "group_soft_threshold",
    "You took the norms of the columns: a group is everything that makes one output, a row.",
)
def group_soft_columns(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    swapped = weight.detach().transpose(0, 1)
    rows = swapped.flatten(1)
    norms = rows.norm(dim=1, keepdim=True)
    factors = torch.where(norms > threshold, 1 - threshold / norms, 0)
    return (rows * factors).reshape(swapped.shape).transpose(0, 1)


@wrong("group_soft_threshold", "You took one norm for the whole weight: each row has its own.")
def group_soft_whole_layer(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    weight = weight.detach()
    norm = weight.norm()
    return weight * (1 - threshold / norm) if norm > threshold else torch.zeros_like(weight)


@wrong("group_soft_threshold", "You measured the rows by their L1 norm: the length of a row is its L2 norm.")
def group_soft_l1_norm(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    rows = weight.detach().flatten(1)
    norms = rows.abs().sum(dim=1, keepdim=True)
    return (rows * torch.where(norms > threshold, 1 - threshold / norms, 0)).reshape(weight.shape)


@wrong("group_soft_threshold", "You forgot the root: you compared with the squared length of a row.")
def group_soft_squared_norm(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    rows = weight.detach().flatten(1)
    norms = rows.square().sum(dim=1, keepdim=True)
    return (rows * torch.where(norms > threshold, 1 - threshold / norms, 0)).reshape(weight.shape)


@wrong(
    "group_soft_threshold",
    "You multiplied the threshold by the root of the row's size: here the threshold is given as it is, that factor is the caller's.",
)
def group_soft_root_p(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    rows = weight.detach().flatten(1)
    norms = rows.norm(dim=1, keepdim=True)
    t = threshold * rows.shape[1] ** 0.5
    return (rows * torch.where(norms > t, 1 - t / norms, 0)).reshape(weight.shape)


@wrong("group_soft_threshold", "A row of zeros becomes NaN: you divided by its norm.")
def group_soft_nan_row(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    rows = weight.detach().flatten(1)
    norms = rows.norm(dim=1, keepdim=True)
    return (rows / norms * (norms - threshold).clamp(min=0)).reshape(weight.shape)


@wrong(
    "group_soft_threshold",
    "Short rows are turned round: their factor is negative, and it should stop at zero.",
)
def group_soft_turned_round(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    rows = weight.detach().flatten(1)
    norms = rows.norm(dim=1, keepdim=True)
    return (rows * torch.where(norms > 0, 1 - threshold / norms, 0)).reshape(weight.shape)


@wrong(
    "group_soft_threshold",
    "You set the short rows to zero and left the others alone: those become shorter by the threshold too.",
)
def group_soft_hard(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    rows = weight.detach().flatten(1)
    norms = rows.norm(dim=1, keepdim=True)
    return (rows * (norms > threshold)).reshape(weight.shape)


@wrong(
    "group_soft_threshold",
    "Your long rows end with the threshold as their length: they should lose the threshold of their length.",
)
def group_soft_to_the_threshold(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    rows = weight.detach().flatten(1)
    norms = rows.norm(dim=1, keepdim=True)
    return (rows * torch.where(norms > threshold, threshold / norms, 0)).reshape(weight.shape)


@wrong(
    "group_soft_threshold",
    "You added a small number to the norm before you divided: every row comes out a little too long.",
)
def group_soft_epsilon(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    rows = weight.detach().flatten(1)
    norms = rows.norm(dim=1, keepdim=True)
    return (rows * (1 - threshold / (norms + 0.01)).clamp(min=0)).reshape(weight.shape)


@wrong(
    "group_soft_threshold",
    "In a convolution you took the norm along the last dimension only: a group is the whole filter.",
)
def group_soft_kernel_rows(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    weight = weight.detach()
    norms = weight.norm(dim=-1, keepdim=True)
    return weight * torch.where(norms > threshold, 1 - threshold / norms, 0)


@wrong("group_soft_threshold", "Your result has two dimensions: the shape of the weight is lost.")
def group_soft_flattened(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    rows = weight.detach().flatten(1)
    norms = rows.norm(dim=1, keepdim=True)
    return rows * torch.where(norms > threshold, 1 - threshold / norms, 0)


@wrong(
    "group_soft_threshold",
    "You used view, which fails where a weight is not contiguous in memory, such as a transposed one.",
)
def group_soft_by_view(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    rows = weight.detach().view(len(weight), -1)
    norms = rows.norm(dim=1, keepdim=True)
    return (rows * torch.where(norms > threshold, 1 - threshold / norms, 0)).view(weight.shape)


@wrong("group_soft_threshold", "You changed the input: it is the caller who decides where the result goes.")
def group_soft_in_place(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    rows = weight.detach().flatten(1)
    norms = rows.norm(dim=1, keepdim=True)
    weight.detach().copy_(
        (rows * torch.where(norms > threshold, 1 - threshold / norms, 0)).reshape(weight.shape)
    )
    return weight.detach().clone()


@wrong("group_soft_threshold", "Your result still hangs on the gradient graph: it was not detached.")
def group_soft_with_gradient(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    if not threshold >= 0:
        raise ValueError("threshold")
    rows = weight.flatten(1)
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return (rows * torch.where(norms > threshold, 1 - threshold / norms, 0)).reshape(weight.shape)


@wrong("group_soft_threshold", "A weight of one dimension, which has no rows, is accepted.")
def group_soft_vector_accepted(weight, threshold):
    if not threshold >= 0:
        raise ValueError("threshold")
    rows = weight.detach().reshape(len(weight), -1)
    norms = rows.norm(dim=1, keepdim=True)
    return (rows * torch.where(norms > threshold, 1 - threshold / norms, 0)).reshape(weight.shape)


@wrong("group_soft_threshold", "A threshold that is negative or NaN is accepted.")
def group_soft_threshold_unchecked(weight, threshold):
    if weight.dim() < 2:
        raise ValueError("rows")
    rows = weight.detach().reshape(len(weight), -1)
    norms = rows.norm(dim=1, keepdim=True)
    return (rows * torch.where(norms > threshold, 1 - threshold / norms, 0)).reshape(weight.shape)


@wrong(
    "group_soft_threshold",
    "Of a bad threshold you refuse only the negative one: a comparison with NaN is always False.",
)
def group_soft_nan_accepted(weight, threshold):
    if weight.dim() < 2 or threshold < 0:
        raise ValueError("bad")
    rows = weight.detach().reshape(len(weight), -1)
    norms = rows.norm(dim=1, keepdim=True)
    return (rows * torch.where(norms > threshold, 1 - threshold / norms, 0)).reshape(weight.shape)


@right("group_soft_threshold")
def group_soft_row_by_row(weight, threshold):
    if weight.dim() < 2 or not threshold >= 0:
        raise ValueError("bad input")
    result = torch.zeros_like(weight.detach())
    for i, row in enumerate(weight.detach()):
        norm = float(row.double().square().sum() ** 0.5)
        if norm > threshold:
            result[i] = row * ((norm - threshold) / norm)
    return result


@right("group_soft_threshold")
def group_soft_by_normalize(weight, threshold):
    if weight.dim() < 2 or not threshold >= 0:
        raise ValueError("bad input")
    rows = weight.detach().flatten(1)
    lengths = (rows.norm(dim=1, keepdim=True) - threshold).clamp(min=0)
    return (torch.nn.functional.normalize(rows, dim=1) * lengths).reshape(weight.shape)


@right("group_soft_threshold")
def group_soft_by_numpy(weight, threshold):
    if weight.dim() < 2 or not threshold >= 0:
        raise ValueError("bad input")
    rows = weight.detach().cpu().numpy().reshape(len(weight), -1).copy()
    norms = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    rows *= np.maximum(norms - threshold, 0) / np.where(norms > 0, norms, 1)
    return torch.from_numpy(rows).reshape(weight.shape)


# --- scale_masks -------------------------------------------------------------------------------------------------


@wrong("scale_masks", "You removed the channels with the largest scales.")
def scales_keeps_the_smallest(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda item: -item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong("scale_masks", "You ranked the scales with their signs: a scale of -2 is a strong channel.")
def scales_signed(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, g) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong("scale_masks", "Of equal scales you removed the later one first.")
def scales_squares_off(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels))
    for name, c, _ in sorted(channels[::-1], key=lambda item: item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong(
    "scale_masks",
    "Of equal scales your ranking does not follow the order of the layers: you sorted them by their index in the layer.",
)
def scales_by_index(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda item: (item[2], item[1])):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong(
    "scale_masks",
    "Of equal scales your ranking follows the names of the layers: whole tuples were sorted, and not the magnitudes alone.",
)
def scales_by_name(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(abs(g), name, c) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels))
    for _, name, c in sorted(channels):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong("scale_masks", "You cut the number of channels off after the point: it is to be rounded.")
def scales_truncated(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = int(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong("scale_masks", "You round a half up; Python's round goes to the even number.")
def scales_half_up(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = int(sparsity * len(channels) + 0.5)
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong("scale_masks", "You rounded the number of channels up.")
def scales_rounded_up(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = int(np.ceil(sparsity * len(channels) - 1e-9))
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong("scale_masks", "The floor has no effect: a layer can lose all its channels.")
def scales_floor_ignored(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and True:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong(
    "scale_masks",
    "Your floor is one channel too high: a layer that has one more than the floor may still lose that one.",
)
def scales_floor_off_by_one(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > least + (least > 0):
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong("scale_masks", "Your floor is one channel too low: layers end with one channel less than it says.")
def scales_floor_too_low(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > max(least - 1, 0):
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong("scale_masks", "Your masks are numbers; boolean masks are asked for, True where a channel is kept.")
def scales_numbers(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g)) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong("scale_masks", "Your masks are True where a channel goes: True means keep.")
def scales_true_means_gone(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    masks = {name: ~mask for name, mask in masks.items()}
    return masks


@wrong("scale_masks", "A network without layers is accepted.")
def scales_empty_accepted(scales, sparsity, least=0):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong("scale_masks", "A sparsity outside 0 to 1 is accepted.")
def scales_sparsity_unchecked(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(min(max(sparsity, 0), 1) * len(channels)) if sparsity == sparsity else 0
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong(
    "scale_masks",
    "A sparsity that is NaN is not refused with a ValueError: a comparison with NaN is always False.",
)
def scales_nan_crashes(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if sparsity < 0 or sparsity > 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels)) if sparsity == sparsity else 0
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong("scale_masks", "A negative floor is accepted.")
def scales_negative_floor(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong(
    "scale_masks",
    "Where the floor stops you, you quietly remove fewer channels than asked for: that should raise ValueError.",
)
def scales_too_few_removed(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [(name, c, abs(g)) for name, layer in scales.items() for c, g in enumerate(layer.tolist())]
    wanted = round(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    return masks


@wrong(
    "scale_masks",
    "You prune each layer to the same sparsity: the ranking should run over all layers together.",
)
def scales_layer_by_layer(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    total = sum(len(g) for g in scales.values())
    if round(sparsity * total) > sum(max(len(g) - least, 0) for g in scales.values()):
        raise ValueError("floor")
    masks = {}
    for name, g in scales.items():
        masks[name] = torch.ones(len(g), dtype=torch.bool)
        count = min(round(sparsity * len(g)), max(len(g) - least, 0))
        masks[name][torch.argsort(g.detach().abs(), stable=True)[:count]] = False
    return masks


@wrong(
    "scale_masks",
    "You divided each layer's scales by their mean before the ranking: the scales themselves are to be ranked.",
)
def scales_normalised(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    left = {name: len(g) for name, g in scales.items()}
    channels = [
        (name, c, abs(g) / (float(layer.detach().abs().mean()) or 1))
        for name, layer in scales.items()
        for c, g in enumerate(layer.tolist())
    ]
    wanted = round(sparsity * len(channels))
    for name, c, _ in sorted(channels, key=lambda item: item[2]):
        if wanted > 0 and left[name] > least:
            masks[name][c] = False
            left[name] -= 1
            wanted -= 1
    if wanted > 0:
        raise ValueError("floor")
    return masks


@wrong("scale_masks", "You used the sparsity as the threshold: it is the fraction of channels that goes.")
def scales_ratio_as_threshold(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    total = sum(len(g) for g in scales.values())
    if round(sparsity * total) > sum(max(len(g) - least, 0) for g in scales.values()):
        raise ValueError("floor")
    masks = {}
    for name, g in scales.items():
        masks[name] = g.detach().abs() > sparsity
        if int(masks[name].sum()) < least:
            masks[name][torch.argsort(g.detach().abs(), descending=True)[:least]] = True
    return masks


@wrong(
    "scale_masks",
    "You removed everything up to a threshold: of equal scales all go, and more than asked for.",
)
def scales_every_tie(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    total = sum(len(g) for g in scales.values())
    if round(sparsity * total) > sum(max(len(g) - least, 0) for g in scales.values()):
        raise ValueError("floor")
    pool = torch.cat([g.detach().abs() for g in scales.values()]).sort().values
    count = round(sparsity * total)
    if least == 0 and count > 0:
        return {name: g.detach().abs() > pool[count - 1] for name, g in scales.items()}
    masks = {name: torch.ones(len(g), dtype=torch.bool) for name, g in scales.items()}
    order = sorted(
        (float(v), i, c) for i, g in enumerate(scales.values()) for c, v in enumerate(g.detach().abs())
    )
    names, wanted = list(scales), count
    for _, i, c in order:
        if wanted > 0 and masks[names[i]].sum() > least:
            masks[names[i]][c] = False
            wanted -= 1
    return masks


@wrong(
    "scale_masks",
    "A channel that the floor saves is not replaced by the next one in the ranking: too few channels go.",
)
def scales_not_replaced(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    total = sum(len(g) for g in scales.values())
    if round(sparsity * total) > sum(max(len(g) - least, 0) for g in scales.values()):
        raise ValueError("floor")
    order = sorted(
        (float(v), i, c) for i, g in enumerate(scales.values()) for c, v in enumerate(g.detach().abs())
    )
    masks = [torch.ones(len(g), dtype=torch.bool) for g in scales.values()]
    for _, i, c in order[: round(sparsity * total)]:
        if masks[i].sum() > least:
            masks[i][c] = False
    return dict(zip(scales, masks))


@wrong("scale_masks", "What the floor saves in a layer are its first channels, and not its largest ones.")
def scales_saves_the_first(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    total = sum(len(g) for g in scales.values())
    if round(sparsity * total) > sum(max(len(g) - least, 0) for g in scales.values()):
        raise ValueError("floor")
    order = sorted(
        (float(v), i, c)
        for i, g in enumerate(scales.values())
        for c, v in enumerate(g.detach().abs())
        if c >= least
    )
    masks = [torch.ones(len(g), dtype=torch.bool) for g in scales.values()]
    for _, i, c in order[: round(sparsity * total)]:
        masks[i][c] = False
    return dict(zip(scales, masks))


@wrong("scale_masks", "You changed the scales: you are to return masks, and the network stays as it is.")
def scales_zeroed(scales, sparsity, least=0):
    if not scales:
        raise ValueError("empty")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    if least < 0:
        raise ValueError("least")
    total = sum(len(g) for g in scales.values())
    if round(sparsity * total) > sum(max(len(g) - least, 0) for g in scales.values()):
        raise ValueError("floor")
    order = sorted(
        (float(v), i, c) for i, g in enumerate(scales.values()) for c, v in enumerate(g.detach().abs())
    )
    masks, wanted = [torch.ones(len(g), dtype=torch.bool) for g in scales.values()], round(sparsity * total)
    for _, i, c in order:
        if wanted > 0 and masks[i].sum() > least:
            masks[i][c] = False
            wanted -= 1
    for g, mask in zip(scales.values(), masks):
        g.data.mul_(mask)
    return dict(zip(scales, masks))


@right("scale_masks")
def scales_by_protection(scales, sparsity, least=0):
    if not scales or not 0 <= sparsity <= 1 or least < 0:
        raise ValueError("bad input")
    protected = []
    for g in scales.values():
        best = torch.zeros(len(g), dtype=torch.bool, device=g.device)
        if least > 0:
            best[torch.argsort(g.detach().abs(), stable=True)[-least:]] = True
        protected.append(best)
    pool = torch.cat([g.detach().abs().double() for g in scales.values()])
    pool = pool.masked_fill(torch.cat(protected), float("inf"))
    count = round(sparsity * len(pool))
    if count > int(torch.isfinite(pool).sum()):
        raise ValueError("bad input")
    keep = torch.ones_like(pool, dtype=torch.bool)
    keep[torch.argsort(pool, stable=True)[:count]] = False
    return dict(zip(scales, keep.split([len(g) for g in scales.values()])))


@right("scale_masks")
def scales_one_at_a_time(scales, sparsity, least=0):
    if len(scales) == 0 or least < 0:
        raise ValueError("bad input")
    if np.isnan(sparsity) or sparsity < 0 or sparsity > 1:
        raise ValueError("bad input")
    sizes = {name: np.abs(g.detach().cpu().double().numpy()).copy() for name, g in scales.items()}
    gone = {name: np.zeros(len(g), dtype=bool) for name, g in sizes.items()}
    for _ in range(round(sparsity * sum(len(g) for g in sizes.values()))):
        best = None
        for name, g in sizes.items():
            if (~gone[name]).sum() <= least:
                continue
            for c in np.flatnonzero(~gone[name]):
                if best is None or g[c] < sizes[best[0]][best[1]]:
                    best = (name, c)
        if best is None:
            raise ValueError("bad input")
        gone[best[0]][best[1]] = True
    return {name: torch.from_numpy(~mask) for name, mask in gone.items()}


# --- fold_constant -----------------------------------------------------------------------------------------------


@wrong("fold_constant", "You folded beta itself: after the ReLU a negative beta leaves nothing.")
def fold_without_relu(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return start + weight.reshape(len(weight), n, -1).sum(dim=2) @ (shifts * ~mask)


@wrong(
    "fold_constant", "You folded the magnitude of beta: the ReLU makes a negative beta zero, not positive."
)
def fold_magnitude(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return start + weight.reshape(len(weight), n, -1).sum(dim=2) @ (shifts.abs() * ~mask)


@wrong("fold_constant", "You folded the channels that are kept: the mask is True on those.")
def fold_kept_ones(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return start + weight.reshape(len(weight), n, -1).sum(dim=2) @ (shifts.clamp(min=0) * mask)


@wrong("fold_constant", "You folded every channel, the kept ones too: those still speak for themselves.")
def fold_all_channels(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return start + weight.reshape(len(weight), n, -1).sum(dim=2) @ shifts.clamp(min=0)


@wrong("fold_constant", "The layer's own bias is lost.")
def fold_bias_lost(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return 0 * start + weight.reshape(len(weight), n, -1).sum(dim=2) @ (shifts.clamp(min=0) * ~mask)


@wrong("fold_constant", "You subtracted what the channels add: the bias is to take its place.")
def fold_subtracted(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return start - weight.reshape(len(weight), n, -1).sum(dim=2) @ (shifts.clamp(min=0) * ~mask)


@wrong(
    "fold_constant",
    "You took the mean of each kernel: every weight of it meets the constant, so their sum counts.",
)
def fold_kernel_mean(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return start + weight.reshape(len(weight), n, -1).mean(dim=2) @ (shifts.clamp(min=0) * ~mask)


@wrong("fold_constant", "You took one weight of each kernel: all of them meet the constant.")
def fold_kernel_centre(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return start + weight.reshape(len(weight), n, -1)[
        :, :, weight.reshape(len(weight), n, -1).shape[2] // 2
    ] @ (shifts.clamp(min=0) * ~mask)


@wrong(
    "fold_constant",
    "After flatten a channel owns consecutive entries; you took every n-th entry, as if the channels took turns.",
)
def fold_interleaved(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return start + (
        weight.reshape(len(weight), -1, n).sum(dim=1)
        if weight.dim() == 2
        else weight.reshape(len(weight), n, -1).sum(dim=2)
    ) @ (shifts.clamp(min=0) * ~mask)


@wrong("fold_constant", "You summed the magnitudes of the weights: a negative weight takes away.")
def fold_weight_magnitudes(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return start + weight.abs().reshape(len(weight), n, -1).sum(dim=2) @ (shifts.clamp(min=0) * ~mask)


@wrong("fold_constant", "You averaged over the channels where their contributions add up.")
def fold_mean_of_channels(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return start + weight.reshape(len(weight), n, -1).sum(dim=2) @ (shifts.clamp(min=0) * ~mask) / n


@wrong("fold_constant", "With nothing removed you returned the layer's own bias, and not a new tensor.")
def fold_no_copy(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return (
        start
        if bool(mask.all())
        else start + weight.reshape(len(weight), n, -1).sum(dim=2) @ (shifts.clamp(min=0) * ~mask)
    )


@wrong("fold_constant", "You changed the layer's own bias: a new one is to be returned.")
def fold_in_place(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return start.add_(weight.reshape(len(weight), n, -1).sum(dim=2) @ (shifts.clamp(min=0) * ~mask)).clone()


@wrong(
    "fold_constant",
    "You applied the ReLU to the sum: it stands right after the BatchNorm, channel by channel.",
)
def fold_relu_too_late(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    weight, shifts, n = weight.detach(), shifts.detach(), len(shifts)
    start = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach()
    return start + (weight.reshape(len(weight), n, -1).sum(dim=2) @ (shifts * ~mask)).clamp(min=0)


@wrong("fold_constant", "A layer without a bias breaks your function.")
def fold_needs_a_bias(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    added = weight.detach().reshape(len(weight), len(shifts), -1).sum(dim=2) @ (
        shifts.detach().clamp(min=0) * ~mask
    )
    return bias.detach().add(added)


@wrong("fold_constant", "Your result still hangs on the gradient graph: it was not detached.")
def fold_with_gradient(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts) and (weight.dim() > 2 or weight.shape[1] % len(shifts)):
        raise ValueError("weight")
    added = weight.reshape(len(weight), len(shifts), -1).sum(dim=2) @ (shifts.clamp(min=0) * ~mask)
    return added if bias is None else bias + added


@wrong(
    "fold_constant",
    "A linear layer after flatten breaks your function: there a channel owns several entries of a row.",
)
def fold_one_entry_each(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] != len(shifts):
        raise ValueError("weight")
    added = weight.detach().flatten(2).sum(dim=2) if weight.dim() > 2 else weight.detach()
    added = added @ (shifts.detach().clamp(min=0) * ~mask)
    return added if bias is None else bias.detach() + added


@wrong(
    "fold_constant",
    "Shifts, mask and weight that do not fit together are accepted, or break with another error.",
)
def fold_unchecked(weight, bias, shifts, mask):
    inputs = weight.shape[1]
    constants = (
        (shifts.detach().clamp(min=0) * ~mask[: len(shifts)])[:inputs] if len(shifts) > 1 else shifts.detach()
    )
    wanted = constants.repeat_interleave(max(inputs // len(constants), 1))[:inputs]
    wanted = torch.cat([wanted, wanted.new_zeros(inputs - len(wanted))])
    sums = weight.detach().flatten(2).sum(dim=2) if weight.dim() > 2 else weight.detach()
    return sums @ wanted if bias is None else bias.detach() + sums @ wanted


@wrong(
    "fold_constant",
    "A convolution whose inputs are a multiple of the channels is accepted: only a linear layer after flatten has that.",
)
def fold_conv_multiple_accepted(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("shapes")
    if weight.shape[1] % len(shifts):
        raise ValueError("weight")
    added = weight.detach().reshape(len(weight), len(shifts), -1).sum(dim=2) @ (
        shifts.detach().clamp(min=0) * ~mask
    )
    return added if bias is None else bias.detach() + added


@right("fold_constant")
def fold_by_forward(weight, bias, shifts, mask):
    if shifts.dim() != 1 or shifts.shape != mask.shape:
        raise ValueError("bad input")
    channels, inputs = len(shifts), weight.shape[1]
    if (weight.dim() > 2 and inputs != channels) or channels == 0 or inputs % channels:
        raise ValueError("bad input")
    with torch.no_grad():
        constants = torch.where(mask, torch.zeros_like(shifts), torch.relu(shifts))
        if weight.dim() == 2:
            result = torch.nn.functional.linear(constants.repeat_interleave(inputs // channels), weight, bias)
        else:
            image = constants[None, :, None, None].expand(1, channels, *weight.shape[2:])
            result = torch.nn.functional.conv2d(image, weight, bias).flatten()
    return result.clone()


@right("fold_constant")
def fold_by_loop(weight, bias, shifts, mask):
    if shifts.dim() != 1 or mask.dim() != 1 or len(shifts) != len(mask):
        raise ValueError("bad input")
    if weight.dim() > 2 and weight.shape[1] != len(shifts):
        raise ValueError("bad input")
    if weight.shape[1] % len(shifts) != 0:
        raise ValueError("bad input")
    size = weight.shape[1] // len(shifts)
    result = torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach().clone()
    for c in range(len(shifts)):
        if not mask[c]:
            result += max(float(shifts.detach()[c]), 0.0) * weight.detach()[
                :, c * size : (c + 1) * size
            ].flatten(1).sum(dim=1)
    return result


@right("fold_constant")
def fold_by_numpy(weight, bias, shifts, mask):
    if shifts.ndim != 1 or shifts.shape != mask.shape or len(shifts) == 0:
        raise ValueError("bad input")
    n = len(shifts)
    if (weight.ndim > 2 and weight.shape[1] != n) or weight.shape[1] % n:
        raise ValueError("bad input")
    w = weight.detach().contiguous().numpy().astype(np.float64).reshape(len(weight), n, -1)
    b = np.maximum(shifts.detach().numpy().astype(np.float64), 0)
    added = np.einsum("ocp,c->o", w[:, ~mask.numpy()], b[~mask.numpy()])
    if bias is not None:
        added = added + bias.detach().numpy()
    return torch.tensor(added, dtype=weight.dtype)
