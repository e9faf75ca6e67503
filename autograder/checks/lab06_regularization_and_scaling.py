"""Hidden checks of lab 6. Experiments only: they observe, and no expected answer stands here."""

import torch

from autograder.experiment import check, close, error_of, exact

ROUNDING = close(1e-4, 1e-6)  # of float32 sums in another order


def normal(rng, *shape, dtype=torch.float32):
    """Weights as they come from training: no two equal, none zero."""
    return torch.randn(*shape, generator=rng, dtype=dtype)


def between(rng, low, high):
    """A number of this run."""
    return low + (high - low) * float(torch.rand(1, generator=rng))


def layers(rng, dtype=torch.float32):
    """Two parameters of a network whose rows differ in length."""
    return {
        "linear": torch.nn.Parameter(normal(rng, 5, 7, dtype=dtype)),
        "conv": torch.nn.Parameter(normal(rng, 4, 3, 2, 3, dtype=dtype)),
    }


def copies(tensors):
    """The tensors as they are now."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def followed(penalty, weights, strength):
    """The penalty and the gradient that it gives to each weight."""
    value = penalty(weights, strength)
    value.backward()
    return {
        "penalty": value,
        "gradients": {name: weight.grad for name, weight in weights.items()},
        "weights": copies(weights),
    }


def in_a_loss(penalty, weights, strength, rng):
    """The gradients of a loss to which the penalty is added."""
    loss = sum((weight * normal(rng, *weight.shape)).sum() for weight in weights.values())
    (loss + penalty(weights, strength)).backward()
    return {name: weight.grad for name, weight in weights.items()}


def at_zero(penalty, rng):
    """Single zeros, a row of zeros, a layer of zeros: the penalty and the gradients; and the strength 0."""
    weights = layers(rng)
    with torch.no_grad():
        weights["linear"][1, 2:4] = 0
        weights["linear"][3] = 0
        weights["conv"][0] = 0
    nothing = torch.nn.Parameter(torch.zeros(2, 3))
    return {
        "some zeros": followed(penalty, weights, between(rng, 0.2, 0.9)),
        "only zeros": followed(penalty, {"w": nothing}, 0.5),
        "strength 0": penalty(layers(rng), 0.0),
    }


def kinds(penalty, rng):
    """Float64, a tensor that needs no gradient, a transposed one, a single weight, a strength above 1."""
    return {
        "float64": penalty(layers(rng, torch.float64), 0.3),
        "no gradient": penalty({"w": normal(rng, 3, 4)}, 0.4),
        "transposed": penalty({"w": normal(rng, 6, 4, 2).transpose(0, 1)}, 2.5),
        "one weight": penalty({"w": normal(rng, 1, 1)}, 0.7),
    }


def refusals(penalty, rng, **more):
    """The errors of bad input, and of good input."""
    weights = layers(rng)
    cases = {"no weights": ({}, 0.1), "negative": (weights, -0.1), "NaN": (weights, float("nan")), **more}
    return {
        name: error_of(lambda args=args: penalty(*args))
        for name, args in {**cases, "good": (weights, 0.1)}.items()
    }


# --- l1_penalty ------------------------------------------------------------------------------------------------


@check("l1_penalty", tolerance=ROUNDING, weight=2)
def sum_of_magnitudes(lab, rng):
    """The penalty is the strength times the sum of all magnitudes, and its gradient is the strength times the sign."""
    weights = {**layers(rng), "bias": torch.nn.Parameter(normal(rng, 6))}
    return followed(lab.l1_penalty, weights, between(rng, 0.2, 0.9))


@check("l1_penalty", tolerance=ROUNDING)
def l1_in_a_loss(lab, rng):
    """Added to a loss, the penalty adds its share to the gradients."""
    return in_a_loss(lab.l1_penalty, layers(rng), between(rng, 0.2, 0.9), rng)


@check("l1_penalty", tolerance=ROUNDING)
def l1_at_zero(lab, rng):
    """A weight that is zero has no share in the penalty or in the gradient; the strength 0 gives 0."""
    return at_zero(lab.l1_penalty, rng)


@check("l1_penalty", tolerance=ROUNDING)
def l1_of_other_kinds(lab, rng):
    """The result is a scalar of the weights' dtype, for transposed weights and for weights without gradients too."""
    return kinds(lab.l1_penalty, rng)


@check("l1_penalty", tolerance=exact)
def l1_penalty_refuses(lab, rng):
    """No weights, or a strength that is negative or NaN, raise ValueError; good input does not."""
    return refusals(lab.l1_penalty, rng)


# --- l2_penalty ------------------------------------------------------------------------------------------------


@check("l2_penalty", tolerance=ROUNDING, weight=2)
def sum_of_squares(lab, rng):
    """The penalty is the strength times the sum of all squares: no root, no half, no mean."""
    weights = {**layers(rng), "bias": torch.nn.Parameter(normal(rng, 6))}
    return followed(lab.l2_penalty, weights, between(rng, 0.2, 0.9))


@check("l2_penalty", tolerance=ROUNDING)
def l2_in_a_loss(lab, rng):
    """Added to a loss, the penalty adds its share to the gradients."""
    return in_a_loss(lab.l2_penalty, layers(rng), between(rng, 0.2, 0.9), rng)


@check("l2_penalty", tolerance=ROUNDING)
def l2_at_zero(lab, rng):
    """A weight that is zero has no share in the penalty or in the gradient; the strength 0 gives 0."""
    return at_zero(lab.l2_penalty, rng)


@check("l2_penalty", tolerance=ROUNDING)
def l2_of_other_kinds(lab, rng):
    """The result is a scalar of the weights' dtype, for transposed weights and for weights without gradients too."""
    return kinds(lab.l2_penalty, rng)


@check("l2_penalty", tolerance=exact)
def l2_penalty_refuses(lab, rng):
    """No weights, or a strength that is negative or NaN, raise ValueError; good input does not."""
    return refusals(lab.l2_penalty, rng)


# --- group_lasso_penalty ---------------------------------------------------------------------------------------


@check("group_lasso_penalty", tolerance=ROUNDING, weight=2)
def norms_of_rows(lab, rng):
    """The penalty sums the L2 norms of the rows, each times the root of the number of weights in it."""
    return followed(lab.group_lasso_penalty, layers(rng), between(rng, 0.2, 0.9))


@check("group_lasso_penalty", tolerance=ROUNDING)
def groups_in_a_loss(lab, rng):
    """Added to a loss, the penalty adds its share to the gradients."""
    return in_a_loss(lab.group_lasso_penalty, layers(rng), between(rng, 0.2, 0.9), rng)


@check("group_lasso_penalty", tolerance=ROUNDING)
def groups_at_zero(lab, rng):
    """A row of zeros adds nothing, and its gradient is 0 and not NaN; the strength 0 gives 0."""
    return at_zero(lab.group_lasso_penalty, rng)


@check("group_lasso_penalty", tolerance=ROUNDING)
def groups_of_other_kinds(lab, rng):
    """The result is a scalar of the weights' dtype, for transposed weights and for weights without gradients too."""
    return kinds(lab.group_lasso_penalty, rng)


@check("group_lasso_penalty", tolerance=exact)
def group_lasso_penalty_refuses(lab, rng):
    """No weights, a weight without rows, or a strength that is negative or NaN, raise ValueError; good input does not."""
    vector = {**layers(rng), "bias": normal(rng, 4)}
    return refusals(lab.group_lasso_penalty, rng, vector=(vector, 0.1))


# --- soft_threshold --------------------------------------------------------------------------------------------


def around(rng, threshold, *shape, dtype=torch.float32):
    """Numbers of both signs, about half of them clearly below the threshold and the others clearly above."""
    share = torch.rand(*shape, generator=rng, dtype=dtype)
    below = torch.rand(*shape, generator=rng) < 0.5
    sign = torch.where(torch.rand(*shape, generator=rng) < 0.5, -1.0, 1.0).to(dtype)
    return sign * threshold * torch.where(below, 0.9 * share, 1.1 + 2 * share)


@check("soft_threshold", tolerance=ROUNDING, weight=2)
def shrunk_by_the_threshold(lab, rng):
    """Entries above the threshold in magnitude move towards zero by the threshold, on both sides of zero."""
    t = between(rng, 0.3, 0.9)
    return lab.soft_threshold(around(rng, t, 8, 9), t)


@check("soft_threshold", tolerance=exact)
def exact_zeros(lab, rng):
    """Entries whose magnitude is at most the threshold become exactly zero, and no others."""
    t = between(rng, 0.3, 0.9)
    return {
        "zero": lab.soft_threshold(around(rng, t, 12, 9), t) == 0,
        "as large as the threshold": lab.soft_threshold(torch.tensor([0.5, -0.5, 0.0, 2.0, -2.0]), 0.5),
    }


@check("soft_threshold", tolerance=close(1e-6, 1e-9))
def values_of_other_kinds(lab, rng):
    """Any shape and floating dtype: float64, transposed, one number, nothing; threshold 0 changes no value."""
    t = between(rng, 0.3, 0.9)
    return {
        "float64": lab.soft_threshold(around(rng, t, 4, 3, 2, dtype=torch.float64), t),
        "transposed": lab.soft_threshold(around(rng, t, 3, 5, dtype=torch.float64).t(), t),
        "one number": lab.soft_threshold(torch.tensor(-3.0, dtype=torch.float64), t),
        "nothing": lab.soft_threshold(torch.zeros(0, 3), t),
        "threshold 0": lab.soft_threshold(normal(rng, 6), 0.0),
        "large threshold": lab.soft_threshold(normal(rng, 6), 100.0),
    }


def apart(operator, values, thresholds):
    """Whether the results are new and detached: they are overwritten, then the input is looked at."""
    seen = []
    for threshold in thresholds:
        result = operator(values, threshold)
        seen.append(result.requires_grad)
        result.detach().fill_(77.0)
    return {"needs a gradient": seen, "input afterwards": values}


@check("soft_threshold", tolerance=exact)
def a_new_tensor(lab, rng):
    """The input is not changed, and the result is a new tensor without gradients, with threshold 0 too."""
    return apart(lab.soft_threshold, torch.nn.Parameter(normal(rng, 5, 4)), (0.4, 0.0))


@check("soft_threshold", tolerance=exact)
def soft_threshold_refuses(lab, rng):
    """A threshold that is negative or NaN raises ValueError; good input does not."""
    values = normal(rng, 3, 4)
    cases = {"negative": -0.1, "NaN": float("nan"), "good": 0.1}
    return {name: error_of(lambda t=t: lab.soft_threshold(values, t)) for name, t in cases.items()}


# --- group_soft_threshold --------------------------------------------------------------------------------------


def rows_around(rng, threshold, *shape, dtype=torch.float32):
    """Rows whose norms lie clearly below and clearly above the threshold, in turn; the last row is zero."""
    weight = normal(rng, *shape, dtype=dtype)
    norms = weight.flatten(1).norm(dim=1)
    share = torch.rand(len(weight), generator=rng, dtype=dtype)
    wanted = threshold * torch.where(torch.arange(len(weight)) % 2 == 0, 1.2 + 0.7 * share, 0.3 + 0.5 * share)
    weight *= (wanted / norms).reshape(-1, *[1] * (weight.dim() - 1))
    weight[-1] = 0
    return weight


@check("group_soft_threshold", tolerance=ROUNDING, weight=2)
def shortened_rows(lab, rng):
    """A row that is longer than the threshold keeps its direction and loses the threshold of its length."""
    t = between(rng, 0.5, 1.5)
    return {
        "linear": lab.group_soft_threshold(rows_around(rng, t, 7, 5), t),
        "conv": lab.group_soft_threshold(rows_around(rng, t, 7, 3, 3, 2), t),
    }


@check("group_soft_threshold", tolerance=exact)
def rows_of_exact_zeros(lab, rng):
    """A row that is no longer than the threshold becomes exactly zero, a row of zeros too, and no other row does."""
    t = between(rng, 0.5, 1.5)
    return {
        "zero": lab.group_soft_threshold(rows_around(rng, t, 9, 4), t) == 0,
        "as long as the threshold": lab.group_soft_threshold(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), 5.0),
        "only zeros": lab.group_soft_threshold(torch.zeros(2, 3), 0.5),
    }


@check("group_soft_threshold", tolerance=close(1e-6, 1e-9))
def rows_of_other_kinds(lab, rng):
    """Float64, transposed, one row, one weight in each row; threshold 0 changes no value, a large one leaves nothing."""
    t = between(rng, 0.5, 1.5)
    wide = rows_around(rng, t, 5, 4, 2, dtype=torch.float64)
    return {
        "float64": lab.group_soft_threshold(wide, t),
        "transposed": lab.group_soft_threshold(wide.transpose(1, 2), t),
        "rows are columns": lab.group_soft_threshold(3 * normal(rng, 6, 4, dtype=torch.float64).t(), 0.25),
        "one row": lab.group_soft_threshold(3 + normal(rng, 1, 6, dtype=torch.float64), t),
        "one weight in a row": lab.group_soft_threshold(
            torch.tensor([[5.0], [-4.0], [0.1]], dtype=torch.float64), t
        ),
        "threshold 0": lab.group_soft_threshold(wide, 0.0),
        "large threshold": lab.group_soft_threshold(wide, 100.0),
    }


@check("group_soft_threshold", tolerance=exact)
def a_new_weight(lab, rng):
    """The input is not changed, and the result is a new tensor without gradients, with threshold 0 too."""
    return apart(lab.group_soft_threshold, torch.nn.Parameter(normal(rng, 5, 4)), (0.4, 0.0))


@check("group_soft_threshold", tolerance=exact)
def group_soft_threshold_refuses(lab, rng):
    """A weight without rows, or a threshold that is negative or NaN, raises ValueError; good input does not."""
    weight, vector = normal(rng, 3, 4), normal(rng, 3)
    cases = {
        "negative": (weight, -0.1),
        "NaN": (weight, float("nan")),
        "vector": (vector, 0.1),
        "good": (weight, 0.1),
    }
    return {name: error_of(lambda args=args: lab.group_soft_threshold(*args)) for name, args in cases.items()}


# --- scale_masks -----------------------------------------------------------------------------------------------


def scales(rng):
    """The scales of three layers of different size, of both signs, shuffled; no two magnitudes are equal."""
    sizes = (5, 9, 7)
    values = (
        0.3 + 0.1 * torch.randperm(sum(sizes), generator=rng) + 0.01 * torch.rand(sum(sizes), generator=rng)
    )
    values *= torch.where(torch.rand(sum(sizes), generator=rng) < 0.5, -1.0, 1.0)
    parts = values.split(sizes)
    return {"bn1": parts[0], "bn2": parts[1] / 2, "bn3": 2 * parts[2]}


def weak_layer(rng):
    """Three layers; all the scales of the second are smaller than those of the others."""
    layers = scales(rng)
    return {**layers, "bn2": layers["bn2"] / 100}


@check("scale_masks", tolerance=exact, weight=2)
def one_ranking(lab, rng):
    """The smallest magnitudes of all layers together go, exactly round(sparsity * n) of them; no floor unless given."""
    return {f"sparsity {s}": lab.scale_masks(scales(rng), s) for s in (0.13, 0.3, 0.5, 0.77)}


@check("scale_masks", tolerance=exact, weight=2)
def a_floor_for_each_layer(lab, rng):
    """With a floor a layer keeps its largest scales, and the next channels of the ranking go instead."""
    return {
        f"sparsity {s}, floor {least}": lab.scale_masks(weak_layer(rng), s, least)
        for s, least in ((0.4, 1), (0.4, 3), (0.5, 2), (0.4, 4))
    }


@check("scale_masks", tolerance=exact)
def small_layers(lab, rng):
    """A layer that has no more channels than the floor keeps them all; with the floor 0 a layer may lose all."""
    layers = {
        "narrow": torch.tensor([0.001, 0.002]),
        "one": torch.tensor([0.003]),
        "wide": 1 + torch.randperm(12, generator=rng) / 12,
    }
    return {f"floor {least}": lab.scale_masks(copies(layers), 0.4, least) for least in (0, 1, 2, 3)}


@check("scale_masks", tolerance=exact)
def equal_scales(lab, rng):
    """Of equal magnitudes the one of the layer that is earlier in the dictionary goes first, then the lower index."""
    layers = {
        "norm9": torch.tensor([0.5, -0.5, 1.0]),
        "norm10": torch.tensor([1.0, 0.5, -0.5, 0.5]),
        "first": torch.ones(3),
    }  # not in the order of the alphabet
    return {
        f"sparsity {s}, floor {least}": lab.scale_masks(copies(layers), s, least)
        for s in (0.1, 0.3, 0.4, 0.6, 0.7)
        for least in (0, 1)
    }


@check("scale_masks", tolerance=exact)
def nothing_and_all_channels(lab, rng):
    """Sparsity 0 keeps every channel, sparsity 1 none; half of an odd number follows Python's round."""
    return {
        "nothing": lab.scale_masks(scales(rng), 0.0, 2),
        "all": lab.scale_masks(scales(rng), 1.0),
        "half of 13": lab.scale_masks({"w": torch.randperm(13, generator=rng) + 1.0}, 0.5),
        "half of 11": lab.scale_masks({"w": torch.randperm(11, generator=rng) + 1.0}, 0.5),
        "all that the floor allows": lab.scale_masks(
            {"w": torch.arange(1.0, 5), "v": torch.arange(2.0, 6)}, 0.75, 1
        ),
    }


@check("scale_masks", tolerance=exact)
def scales_unchanged(lab, rng):
    """The scales may be the network's own parameters, and they are not changed."""
    layers = {name: torch.nn.Parameter(g.double()) for name, g in scales(rng).items()}
    masks = lab.scale_masks(layers, 0.4)
    return {"masks": masks, "scales": layers}


@check("scale_masks", tolerance=exact)
def scale_masks_refuses(lab, rng):
    """No layer, a sparsity that is no fraction, a negative floor or one too high, raise ValueError; good input does not."""
    layers = scales(rng)
    cases = {
        "no layer": ({}, 0.5, 0),
        "below 0": (layers, -0.1, 0),
        "above 1": (layers, 1.2, 0),
        "NaN": (layers, float("nan"), 0),
        "negative floor": (layers, 0.5, -1),
        "floor too high": (layers, 0.9, 2),
        "one channel too many": ({"a": torch.arange(1.0, 5), "b": torch.arange(2.0, 6)}, 7 / 8, 1),
        "good": (layers, 0.5, 2),
    }
    return {name: error_of(lambda args=args: lab.scale_masks(*args)) for name, args in cases.items()}


# --- fold_constant ---------------------------------------------------------------------------------------------


def mixed(rng, channels):
    """Shifts of both signs and a mask: of the removed channels some have a positive shift and some a negative one."""
    shifts = 0.3 + torch.rand(channels, generator=rng)
    order = torch.randperm(channels, generator=rng)
    shifts[order[::2]] *= -1
    mask = torch.zeros(channels, dtype=torch.bool)
    mask[order[: channels // 3]] = True  # kept ones of both signs too
    return shifts, mask


@check("fold_constant", tolerance=ROUNDING, weight=2)
def into_a_convolution(lab, rng):
    """Each removed channel adds ReLU(beta) times the sum of its kernel to each output's bias; a kept one adds nothing."""
    shifts, mask = mixed(rng, 8)
    return lab.fold_constant(normal(rng, 5, 8, 3, 2), normal(rng, 5), shifts, mask)


@check("fold_constant", tolerance=ROUNDING)
def into_a_linear_layer(lab, rng):
    """In a linear layer without flattening each channel meets one weight of each output."""
    shifts, mask = mixed(rng, 7)
    return lab.fold_constant(normal(rng, 4, 7), normal(rng, 4), shifts, mask)


@check("fold_constant", tolerance=ROUNDING)
def after_flatten(lab, rng):
    """After flatten channel c owns the entries c * positions to (c + 1) * positions - 1."""
    shifts, mask = mixed(rng, 6)
    return lab.fold_constant(normal(rng, 5, 6 * 4), normal(rng, 5), shifts, mask)


@check("fold_constant", tolerance=ROUNDING)
def without_a_bias(lab, rng):
    """Where the layer has no bias, the result is what the removed channels add."""
    shifts, mask = mixed(rng, 8)
    return lab.fold_constant(normal(rng, 5, 8, 2, 2), None, shifts, mask)


@check("fold_constant", tolerance=ROUNDING)
def none_or_all_removed(lab, rng):
    """With nothing removed the bias stays; with everything removed the constants of all channels are in it; any dtype."""
    weight, bias = normal(rng, 5, 6, 2, 3, dtype=torch.float64), normal(rng, 5, dtype=torch.float64)
    shifts = mixed(rng, 6)[0].double()
    keep = torch.ones(6, dtype=torch.bool)
    return {
        "nothing removed": lab.fold_constant(weight, bias, shifts, keep),
        "nothing removed, no bias": lab.fold_constant(weight, None, shifts, keep),
        "all removed": lab.fold_constant(weight, bias.clone(), shifts, ~keep),
        "channels last": lab.fold_constant(
            weight.to(memory_format=torch.channels_last), bias.clone(), shifts, ~keep
        ),
    }


@check("fold_constant", tolerance=exact)
def a_new_bias(lab, rng):
    """The network's tensors are not changed, and the result is a new tensor without gradients."""
    weight, bias = (torch.nn.Parameter(normal(rng, *shape)) for shape in ((4, 5, 2, 2), (4,)))
    shifts = torch.nn.Parameter(0.3 + torch.rand(5, generator=rng))
    needs = []
    for mask in (torch.ones(5, dtype=torch.bool), torch.arange(5) % 2 == 0):
        result = lab.fold_constant(weight, bias, shifts, mask)
        needs.append(result.requires_grad)
        result.detach().fill_(77.0)
    return {"needs a gradient": needs, "weight": weight, "bias": bias, "shifts": shifts}


@check("fold_constant", tolerance=exact)
def fold_constant_refuses(lab, rng):
    """Shifts, mask and weight that do not fit together raise ValueError; good input does not."""
    keep = torch.ones(6, dtype=torch.bool)
    cases = {
        "too few shifts": (normal(rng, 3, 6), None, normal(rng, 5), keep),
        "one shift": (normal(rng, 3, 6), None, normal(rng, 1), keep),  # a shape that PyTorch would broadcast
        "convolution of twice as many channels": (normal(rng, 3, 12, 2, 2), None, normal(rng, 6), keep),
        "linear layer that is no multiple": (normal(rng, 3, 15), None, normal(rng, 6), keep),
        "good": (normal(rng, 3, 12), None, normal(rng, 6), keep),
    }
    return {name: error_of(lambda args=args: lab.fold_constant(*args)) for name, args in cases.items()}
