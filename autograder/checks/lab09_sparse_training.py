"""Hidden checks of lab 9. Experiments only: they observe, and no expected answer stands here.

Where chance is part of the answer, the experiment hands out the answers, and `measure` counts in the grader's process:
what is certain (how many, which ones stayed) exactly, and shares with a tolerance of six standard deviations or more.
"""

import math

import torch

from autograder.experiment import Tolerance, check, close, error_of, exact

ROUNDING = close(1e-4, 1e-6)  # of float32 sums in another order
SHARE = Tolerance(0.0, 0.1)  # of half a million draws; of 700, where a wrong answer draws for rows only


def normal(rng, *shape, dtype=torch.float32):
    """Numbers of which no two are equal and none is zero."""
    return torch.randn(*shape, generator=rng, dtype=dtype)


def some(rng, *shape, share=0.5):
    """A mask that keeps about this share; its first two entries are False and True."""
    mask = torch.rand(*shape, generator=rng) < share
    mask.view(-1)[:2] = torch.tensor([False, True])
    return mask


def seeded(seed):
    """A generator of one's own."""
    return torch.Generator().manual_seed(seed)


def drawn_seeds(rng):
    """Two different seeds."""
    first = int(torch.randint(1 << 30, (1,), generator=rng))
    return first, first + 1


def thrice(rng, call):
    """call(generator) with one seed twice, between them torch's global state is another one, and with another seed."""
    one, other = drawn_seeds(rng)
    torch.manual_seed(1)
    first, before = call(seeded(one)), torch.get_rng_state()
    torch.manual_seed(2)
    again = call(seeded(one))
    torch.manual_seed(1)
    call(seeded(one))
    return {
        "first": first,
        "again": again,
        "other": call(seeded(other)),
        "global state": torch.get_rng_state(),
        "before": before,
    }


def tensors_in(answer):
    """All the tensors of an answer, in order."""
    if isinstance(answer, torch.Tensor):
        return [answer]
    parts = answer.values() if isinstance(answer, dict) else answer
    return [tensor for part in parts for tensor in tensors_in(part)]


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(tensors_in(one), tensors_in(other), strict=True))


def sameness(answers, rng):
    """Whether equal seeds gave equal answers and others gave others, and whether the global state was left alone."""
    torch.manual_seed(1)
    return {
        "equal seeds, equal answers": equal(answers["first"], answers["again"]),
        "other seeds, equal answers": equal(answers["first"], answers["other"]),
        "global state as it was": equal(torch.get_rng_state(), answers["before"]),
    }


def zeros_and_factors(values, per):
    """The share of zeros in `values`, and the least and greatest factor between the others and `per`."""
    left = values != 0
    factors = (values[left] / per[left]).double() if left.any() else torch.zeros(1, dtype=torch.float64)
    return {
        "share of zeros": 1 - left.double().mean().item(),
        "factors": [factors.min().item(), factors.max().item()],
        "shape and dtype": f"{list(values.shape)} {values.dtype}",
    }


ZEROS = {"share of zeros": SHARE, "factors": ROUNDING, "shape and dtype": exact}


def different(patterns):
    """How many different rows a table has."""
    return len(torch.unique(patterns.flatten(1), dim=0))


# --- dropout ---------------------------------------------------------------------------------------------------


def dropout_case(rng, *shape):
    return float(0.15 + 0.2 * torch.rand(1, generator=rng)), normal(rng, *shape)


def measured_dropout(answer, rng):
    return zeros_and_factors(answer, dropout_case(rng, 700, 700)[1])


@check("dropout", tolerance=ZEROS, weight=2, measure=measured_dropout)
def dropped_and_scaled(lab, rng):
    """In training an entry is 0 with probability p, and otherwise it is divided by 1 - p."""
    p, inputs = dropout_case(rng, 700, 700)
    return lab.dropout(inputs, p, True, rng)


def different_masks(answer, rng):
    return {"different rows": different(answer != 0), "different columns": different((answer != 0).t())}


@check("dropout", tolerance=exact, measure=different_masks)
def a_draw_for_each_entry(lab, rng):
    """Every entry has a draw of its own: no two rows and no two columns of a large input lose the same places."""
    return lab.dropout(torch.ones(50, 40), 0.5, True, rng)


def spread_of_counts(answer, rng):
    return {"spread": (answer != 0).double().sum(dim=1).std().item()}


@check("dropout", tolerance={"spread": Tolerance(0.0, 0.7)}, measure=spread_of_counts)
def the_number_varies(lab, rng):
    """The draws are independent, so the number of dropped entries differs from call to call."""
    inputs = torch.ones(20)
    return torch.stack([lab.dropout(inputs, 0.5, True, rng) for _ in range(600)])


@check("dropout", tolerance=close(1e-6, 1e-8))
def evaluation_changes_nothing(lab, rng):
    """In evaluation the inputs come back as they are: nothing dropped, nothing scaled, whatever p is."""
    inputs = normal(rng, 6, 5)
    return {f"p {p}": lab.dropout(inputs, p, False, rng) for p in (0.3, 0.8, 1.0)}


@check("dropout", tolerance=close(1e-6, 1e-8))
def none_or_all(lab, rng):
    """In training p = 0 drops nothing and p = 1 drops everything; dtype and shape stay, and the input is not changed."""
    inputs = normal(rng, 3, 4, 2, dtype=torch.float64).transpose(0, 2)
    flat = normal(rng, 7).to(torch.bfloat16)
    return {
        "p 0": lab.dropout(inputs, 0.0, True, rng),
        "p 1": lab.dropout(inputs, 1.0, True, rng),
        "bfloat16": lab.dropout(flat, 0.0, True, rng),
        "input": inputs,
    }


def measured_slopes(answers, rng):
    p, inputs = dropout_case(rng, 60, 50)
    return {
        "factors": zeros_and_factors(answers["gradient"], torch.ones_like(inputs))["factors"],
        "the same places": torch.equal(answers["gradient"] != 0, answers["output"] != 0),
        "input as it was": torch.equal(answers["input"], inputs),
    }


@check("dropout", tolerance=ROUNDING, measure=measured_slopes)
def gradients_take_the_same_way(lab, rng):
    """The gradient passes where the entry stayed, with the same factor, and the input is not changed."""
    p, inputs = dropout_case(rng, 60, 50)
    leaf = inputs.clone().requires_grad_()
    output = lab.dropout(leaf, p, True, rng)
    output.sum().backward()
    return {"gradient": leaf.grad, "output": output, "input": leaf}


@check("dropout", tolerance=exact, measure=sameness)
def the_generator_alone(lab, rng):
    """The generator alone decides: the same state gives the same result, and torch's global state plays no part."""
    inputs = normal(rng, 60, 50)
    return thrice(rng, lambda generator: lab.dropout(inputs, 0.5, True, generator))


@check("dropout", tolerance=exact)
def dropout_refuses(lab, rng):
    """A p that is no probability raises ValueError, in training and in evaluation; a good one does not."""
    inputs = torch.ones(3)
    cases = {"below 0": -0.1, "above 1": 1.2, "NaN": float("nan"), "good": 0.4}
    return {
        f"{name}, {training}": error_of(lambda p=p, t=training: lab.dropout(inputs, p, t, rng))
        for name, p in cases.items()
        for training in (True, False)
    }


# --- dropconnect -----------------------------------------------------------------------------------------------


def one_input_case(rng):
    """A layer with one input, so that each output shows one connection."""
    p = float(0.15 + 0.2 * torch.rand(1, generator=rng))
    return p, normal(rng, 700, 1), normal(rng, 700, 1), normal(rng, 700)


def measured_connections(answer, rng):
    _, inputs, weight, bias = one_input_case(rng)
    parts = answer - bias
    parts = torch.where(parts.abs() < 1e-5 * (1 + bias.abs()), torch.zeros_like(parts), parts)
    measured = zeros_and_factors(parts, inputs @ weight.t())
    large = (inputs @ weight.t()).abs() > 0.05  # elsewhere the rounding of the bias shows in the factors
    factors = (parts / (inputs @ weight.t()))[large & (parts != 0)]
    return measured | {"factors": [factors.min().item(), factors.max().item()] if len(factors) else []}


@check(
    "dropconnect",
    tolerance=ZEROS | {"factors": close(1e-3, 1e-4)},
    weight=2,
    measure=measured_connections,
)
def a_connection_is_dropped_or_scaled(lab, rng):
    """In training a connection counts 0 with probability p, and otherwise its part divided by 1 - p; the bias stays."""
    p, inputs, weight, bias = one_input_case(rng)
    return lab.dropconnect(inputs, weight, bias, p, True, rng)


def different_connections(answer, rng):
    numbers = (answer / 2).round().long()  # B, out: each holds its mask in binary
    masks = (numbers.unsqueeze(2) >> torch.arange(8)) & 1  # B, out, in
    return {
        "examples": different(masks),
        "outputs": different(masks.transpose(0, 1)),
        "inputs": different(masks.permute(2, 0, 1)),
    }


@check("dropconnect", tolerance=exact, weight=2, measure=different_connections)
def a_mask_for_each_example(lab, rng):
    """Each example has its own mask, and in it each connection its own draw: no two examples, outputs or inputs agree."""
    weight = torch.tensor([2.0**i for i in range(8)]).repeat(
        6, 1
    )  # an output is the sum of the powers that stay
    return lab.dropconnect(torch.ones(40, 8), weight, torch.zeros(6), 0.5, True, rng)


@check("dropconnect", tolerance=ROUNDING)
def evaluation_is_the_plain_layer(lab, rng):
    """In evaluation it is the plain linear layer, whatever p is."""
    inputs, weight, bias = normal(rng, 7, 5), normal(rng, 4, 5), normal(rng, 4)
    return {f"p {p}": lab.dropconnect(inputs, weight, bias, p, False, rng) for p in (0.3, 0.8, 1.0)}


@check("dropconnect", tolerance=close(1e-5, 1e-6))
def no_connection_or_all(lab, rng):
    """In training p = 0 is the plain layer and p = 1 leaves the bias alone; nothing that was handed in is changed."""
    inputs = normal(rng, 5, 7, dtype=torch.float64).t()
    weight, bias = normal(rng, 4, 5, dtype=torch.float64), normal(rng, 4, dtype=torch.float64)
    return {
        "p 0": lab.dropconnect(inputs, weight, bias, 0.0, True, rng),
        "p 1": lab.dropconnect(inputs, weight, bias, 1.0, True, rng),
        "half": lab.dropconnect(inputs, weight, bias, 0.5, True, rng).shape,
        "handed in": [inputs, weight, bias],
    }


def slopes_of_the_layer(answers, rng):
    weight, bias, inputs = answers["weight"], answers["bias"], answers["inputs"]
    parts = (answers["output"] - bias).squeeze(0)  # out
    parts = torch.where(parts.abs() < 1e-9, torch.zeros_like(parts), parts)
    slopes = answers["gradients"][0].squeeze(1)  # out
    return {
        "weight": torch.allclose(slopes * weight.squeeze(1), parts, atol=1e-9),
        "weight, zero": torch.equal(slopes == 0, parts == 0),
        "bias": answers["gradients"][1],
        "inputs": torch.allclose(answers["gradients"][2] * inputs, parts.sum(), atol=1e-9),
    }


@check("dropconnect", tolerance=exact, measure=slopes_of_the_layer)
def gradients_of_the_layer(lab, rng):
    """The gradient reaches the inputs, the bias, and those weights whose connection stayed."""
    inputs, weight, bias = (normal(rng, *shape, dtype=torch.float64) for shape in ((1, 1), (60, 1), (60,)))
    leaves = [tensor.clone().requires_grad_() for tensor in (weight, bias, inputs)]
    output = lab.dropconnect(leaves[2], leaves[0], leaves[1], 0.5, True, rng)
    output.sum().backward()
    gradients = [leaf.grad for leaf in leaves]
    return {
        "output": output,
        "gradients": gradients,
        "weight": leaves[0],
        "bias": leaves[1],
        "inputs": leaves[2],
    }


@check("dropconnect", tolerance=exact, measure=sameness)
def the_generator_alone_decides(lab, rng):
    """The generator alone decides: the same state gives the same result, and torch's global state plays no part."""
    inputs, weight, bias = normal(rng, 6, 5), normal(rng, 4, 5), normal(rng, 4)
    return thrice(rng, lambda generator: lab.dropconnect(inputs, weight, bias, 0.5, True, generator))


@check("dropconnect", tolerance=exact)
def dropconnect_refuses(lab, rng):
    """A p that is no probability raises ValueError, in training and in evaluation; a good one does not."""
    layer = (torch.ones(2, 3), torch.ones(4, 3), torch.ones(4))
    cases = {"below 0": -0.1, "above 1": 1.2, "NaN": float("nan"), "good": 0.4}
    return {
        f"{name}, {training}": error_of(lambda p=p, t=training: lab.dropconnect(*layer, p, t, rng))
        for name, p in cases.items()
        for training in (True, False)
    }


# --- erdos_renyi_sparsities ------------------------------------------------------------------------------------

DENSITIES = close(1e-6, 1e-9)


def sizes(rng, *lows):
    """Dimensions, each drawn between its low and twice that."""
    return tuple(int(torch.randint(low, 2 * low, (1,), generator=rng)) for low in lows)


@check("erdos_renyi_sparsities", tolerance=DENSITIES, weight=2)
def linear_layers(lab, rng):
    """For linear layers the density is proportional to (in + out) / (in * out), and the total is the one asked for."""
    shapes = {"a": sizes(rng, 300, 700), "b": sizes(rng, 100, 300), "c": sizes(rng, 40, 100)}
    return {f"{s}": lab.erdos_renyi_sparsities(shapes, s) for s in (0.9, 0.97)}


@check("erdos_renyi_sparsities", tolerance=DENSITIES)
def convolutions(lab, rng):
    """For convolutions the dimensions of the kernel belong to the sum too."""
    shapes = {
        "conv": (*sizes(rng, 30, 30), 3, 5),
        "wide": (*sizes(rng, 60, 40), 1, 1),
        "fc": sizes(rng, 100, 200),
    }
    return {f"{s}": lab.erdos_renyi_sparsities(shapes, s) for s in (0.9, 0.97)}


@check("erdos_renyi_sparsities", tolerance=DENSITIES, weight=2)
def full_layers(lab, rng):
    """A layer never gets more than all its weights; what it cannot take goes to the others, and may fill them in turn."""
    shapes = {"thin": (1200, 2), "large": (400, *sizes(rng, 400)), "middle": (40, 36)}
    return {f"{s}": lab.erdos_renyi_sparsities(shapes, s) for s in (0.87, 0.85, 0.6, 0.3, 0.05)}


@check("erdos_renyi_sparsities", tolerance=DENSITIES)
def nothing_or_everything(lab, rng):
    """Sparsity 0 leaves every layer dense, 1 leaves every layer empty; a single layer gets the total itself."""
    shapes = {"a": sizes(rng, 20, 30), "b": sizes(rng, 5, 4)}
    return {f"{s}": lab.erdos_renyi_sparsities(shapes, s) for s in (0.0, 1.0)} | {
        "one layer": lab.erdos_renyi_sparsities({"a": shapes["a"]}, 0.7)
    }


@check("erdos_renyi_sparsities", tolerance=exact)
def erdos_renyi_sparsities_refuses(lab, rng):
    """A sparsity that is no fraction, no layer, or a shape that is none of a layer raise ValueError; good input does not."""
    good = {"a": (4, 5), "b": (3, 4, 2, 2)}
    cases = {
        "below 0": (good, -0.1),
        "above 1": (good, 1.1),
        "NaN": (good, float("nan")),
        "no layer": ({}, 0.5),
        "one dimension": ({"a": (4, 5), "b": (3,)}, 0.5),
        "an empty dimension": ({"a": (4, 5), "b": (3, 0)}, 0.5),
        "good": (good, 0.5),
    }
    return {
        name: error_of(lambda args=args: lab.erdos_renyi_sparsities(*args)) for name, args in cases.items()
    }


# --- random_masks ----------------------------------------------------------------------------------------------


def kept_counts(answers, rng):
    return {
        case: {
            name: [list(mask.shape), str(mask.dtype), int((mask != 0).sum())] for name, mask in masks.items()
        }
        for case, masks in answers.items()
    }


@check("random_masks", tolerance=exact, weight=2, measure=kept_counts)
def exactly_so_many(lab, rng):
    """Each mask is boolean, has the layer's shape, and loses exactly round(sparsity * n) entries."""
    shapes = {"fc": (30, 20), "conv": (8, 4, 3, 3), "flat": (50,)}
    part = int(torch.randint(150, 280, (1,), generator=rng))
    up = {
        "fc": (part + 0.7) / 600,
        "conv": (part + 0.3) / 288,
        "flat": 0.9,
    }  # round(s * n) is part + 1, part, 45
    return {"drawn": lab.random_masks(shapes, up, rng)}


@check("random_masks", tolerance=exact, measure=kept_counts)
def rounding_and_extremes(lab, rng):
    """Halves are rounded as Python's round does; 0 removes nothing and 1 everything; the names keep their order."""
    shapes = {"z": (2, 5), "a": (10,), "m": (3, 3)}
    return {
        "halves": lab.random_masks(shapes, {"a": 0.25, "z": 0.35, "m": 0.5}, rng),
        "up": lab.random_masks(shapes, {"m": 0.75, "a": 0.38, "z": 0.77}, rng),
        "extremes": lab.random_masks(shapes, {"a": 0.0, "z": 1.0, "m": 1.0}, rng),
    }


def shares_of_places(answers, rng):
    tables = torch.stack(answers["first"]).double()  # draws, rows, columns
    return {
        "share kept, by place": tables.mean(dim=0),
        "the rows' counts vary": [bool(v > 0.1) for v in tables.sum(dim=2).std(dim=0)],
        "the columns' counts vary": [bool(v > 0.1) for v in tables.sum(dim=1).std(dim=0)],
        "two layers agree": torch.equal(torch.stack(answers["first"]), torch.stack(answers["second"])),
    }


@check("random_masks", tolerance=Tolerance(0.0, 0.25), weight=2, measure=shares_of_places)
def every_choice_is_equally_likely(lab, rng):
    """Every place is kept as often as any other, rows and columns are not balanced, and two layers differ."""
    draws = [
        lab.random_masks({"first": (4, 5), "second": (4, 5)}, {"first": 0.5, "second": 0.5}, rng)
        for _ in range(400)
    ]
    return {name: [masks[name] for masks in draws] for name in ("first", "second")}


@check("random_masks", tolerance=exact, measure=sameness)
def masks_from_the_generator(lab, rng):
    """The generator alone decides: the same state gives the same masks, and torch's global state plays no part."""
    shapes, sparsities = {"a": (6, 5), "b": (8, 3)}, {"a": 0.5, "b": 0.4}
    return thrice(rng, lambda generator: lab.random_masks(shapes, sparsities, generator))


@check("random_masks", tolerance=exact)
def random_masks_refuses(lab, rng):
    """Names that are not the same, or a sparsity that is no fraction, raise ValueError; good input does not."""
    shapes = {"a": (2, 3), "b": (4,)}
    cases = {
        "a name is missing": {"a": 0.5},
        "a name too many": {"a": 0.5, "b": 0.5, "c": 0.5},
        "below 0": {"a": 0.5, "b": -0.2},
        "above 1": {"a": 1.5, "b": 0.5},
        "NaN": {"a": 0.5, "b": float("nan")},
        "good": {"b": 0.5, "a": 0.5},
    }
    return {name: error_of(lambda s=s: lab.random_masks(shapes, s, rng)) for name, s in cases.items()}


# --- set_update ------------------------------------------------------------------------------------------------


def lopsided(rng, *shape, share=0.5, dtype=torch.float32):
    """A weight and a mask. Of the connections 37 in 100 are negative, and most of these are nearer to zero than any positive."""
    n = math.prod(shape)
    kept = round(share * n)
    order = torch.randperm(n, generator=rng)
    weight = torch.randn(n, generator=rng, dtype=dtype)
    sizes = weight.abs() + 0.01
    negative, positive = order[: round(0.37 * kept)], order[round(0.37 * kept) : kept]
    weight[negative], weight[positive] = -0.4 * sizes[negative], sizes[positive] + 0.6
    mask = torch.zeros(n, dtype=torch.bool)
    mask[order[:kept]] = True
    return weight.reshape(shape), mask.reshape(shape)


def seen_of_set(case, answer):
    """What is certain of an update: which connections stayed as they were, and how many there are."""
    (weight, mask), (new, new_mask) = case, answer
    stayed = mask & (new_mask != 0) & (new == weight)  # a fresh weight is never bitwise the old one
    return {
        "stayed": stayed,
        "connections": int((new_mask != 0).sum()),
        "zero elsewhere": not bool(new[new_mask == 0].any()),
        "dtypes": f"{new.dtype} {new_mask.dtype} {list(new.shape)} {list(new_mask.shape)}",
    }


def seen_of_the_drop(answer, rng):
    return seen_of_set(lopsided(rng, 20, 15), answer)


@check("set_update", tolerance=exact, weight=3, measure=seen_of_the_drop)
def closest_to_zero_go(lab, rng):
    """The smallest of the positive and the largest of the negative weights go, each by the fraction; as many are grown."""
    weight, mask = lopsided(rng, 20, 15)
    return lab.set_update(weight, mask, 0.3, rng)


SMALL = {
    "ties": ([0.5, -0.5, 0.5, 0.5, -0.5, -0.5, 0.9, -0.9], [1] * 8, 0.5),
    "halves": ([0.1, 0.2, 0.3, 0.4, 0.5, -0.1, -0.2, -0.3], [1] * 8, 0.5),
    "up": ([0.1, 0.2, 0.3, 0.4, 0.5, -0.1, -0.2, -0.3], [1] * 8, 0.33),
    "no positive": ([-0.1, -0.2, -0.3, -0.4, 0.7, 0.8], [1, 1, 1, 1, 0, 0], 0.25),
    "hidden values": ([0.1, 0.2, 0.3, 0.4, 0.01, -0.01], [1, 1, 1, 1, 0, 0], 0.5),
    "nothing": ([0.1, -0.2, 0.3, 0.9], [1, 1, 0, 0], 0.0),
    "everything": ([0.1, -0.2, 0.3, 0.9], [1, 1, 1, 0], 1.0),
    "no connection": ([0.1, -0.2], [0, 0], 0.5),
}
ZERO = {
    "zero, some": ([0.0, 0.4, 0.8, -0.4, -0.8, 0.0], [1, 1, 1, 1, 1, 0], 0.5),
    "zero, none": ([0.0, 0.4, -0.4, 0.0, 0.0], [1, 1, 1, 1, 0], 0.0),
}


def small(case):
    values, kept, fraction = case
    return torch.tensor(values), torch.tensor(kept, dtype=torch.bool), fraction


def seen_of_small(answers, rng):
    cases = SMALL | ZERO
    seen = {name: seen_of_set(small(cases[name])[:2], answer) for name, answer in answers.items()}
    return {name: {key: item[key] for key in ("stayed", "connections")} for name, item in seen.items()}


@check("set_update", tolerance=exact, weight=2, measure=seen_of_small)
def set_ties_and_rounding(lab, rng):
    """Ties go by position, halves are rounded as Python's round does; what the mask hides is no connection; 0 and 1 work."""
    return {name: lab.set_update(*small(case), rng) for name, case in SMALL.items()}


@check("set_update", tolerance=exact, measure=seen_of_small)
def a_weight_of_zero_goes(lab, rng):
    """A connection whose weight is exactly zero goes, for every fraction."""
    return {name: lab.set_update(*small(case), rng) for name, case in ZERO.items()}


def seen_of_the_growth(answer, rng):
    weight, mask = lopsided(rng, 120, 100, share=0.6)
    new, new_mask = answer
    stayed = mask & (new_mask != 0) & (new == weight)
    free, grown = ~stayed, (new_mask != 0) & ~stayed
    half = torch.zeros_like(mask)
    half[:60] = True
    return {
        "of the places just dropped": (grown & mask).sum().item() / max(1, (free & mask).sum().item()),
        "of the places that were free before": (grown & ~mask).sum().item()
        / max(1, (free & ~mask).sum().item()),
        "of the upper half": (grown & half).sum().item() / max(1, (free & half).sum().item()),
    }


@check("set_update", tolerance=Tolerance(0.0, 0.06), weight=2, measure=seen_of_the_growth)
def grown_anywhere(lab, rng):
    """Every place without a connection after the drop is as likely as any other, those just dropped too."""
    weight, mask = lopsided(rng, 120, 100, share=0.6)
    return lab.set_update(weight, mask, 0.5, rng)


def seen_of_the_values(answers, rng):
    weight, mask = lopsided(rng, 80, 80)
    measured = {}
    for name, (new, new_mask) in answers.items():
        fresh = new[(new_mask != 0) & ~(mask & (new == weight))].double()
        std = fresh.std().item() if len(fresh) > 1 else 0.0
        measured[f"{name}, mean in units of the spread"] = fresh.mean().item() / std if std > 0 else 0.0
        measured[f"{name}, log of the spread"] = torch.tensor(max(std, 1e-12)).log().item()
    return measured


@check("set_update", tolerance=Tolerance(0.0, 0.25), measure=seen_of_the_values)
def fresh_weights(lab, rng):
    """The grown weights are drawn around 0 with the standard deviation that is asked for, 0.1 where none is."""
    weight, mask = lopsided(rng, 80, 80)
    return {
        "default": lab.set_update(weight, mask, 0.6, rng),
        "0.02": lab.set_update(weight, mask, 0.6, rng, 0.02),
        "2": lab.set_update(weight, mask, 0.6, rng, std=2.0),
    }


def seen_of_the_arguments(answers, rng):
    weight, mask = lopsided(rng, 4, 5, 6, dtype=torch.float64)
    return {
        "update": seen_of_set((weight.transpose(0, 2), mask.transpose(0, 2)), answers["update"]),
        "weight as it was": torch.equal(answers["weight"], weight.transpose(0, 2)),
        "mask as it was": torch.equal(answers["mask"], mask.transpose(0, 2)),
        "trainable": answers["trainable"],
    }


@check("set_update", tolerance=exact, measure=seen_of_the_arguments)
def set_leaves_its_arguments(lab, rng):
    """The old weight and mask stay as they were; the new weight has no gradient history; any shape and dtype."""
    weight, mask = lopsided(rng, 4, 5, 6, dtype=torch.float64)
    weight, mask = weight.transpose(0, 2).requires_grad_(), mask.transpose(0, 2)
    update = lab.set_update(weight, mask, 0.4, rng)
    return {"update": update, "weight": weight, "mask": mask, "trainable": update[0].requires_grad}


@check("set_update", tolerance=exact, measure=sameness)
def set_from_the_generator(lab, rng):
    """The generator alone decides: the same state gives the same update, and torch's global state plays no part."""
    weight, mask = lopsided(rng, 9, 8)
    return thrice(rng, lambda generator: lab.set_update(weight.clone(), mask.clone(), 0.5, generator))


@check("set_update", tolerance=exact)
def set_update_refuses(lab, rng):
    """A mask of another shape, or a fraction that is none, raises ValueError; good input does not."""
    weight, mask = lopsided(rng, 4, 5)
    cases = {
        "another shape": (weight, mask.t().contiguous(), 0.5),
        "one row": (weight, mask[0], 0.5),
        "below 0": (weight, mask, -0.1),
        "above 1": (weight, mask, 1.1),
        "NaN": (weight, mask, float("nan")),
        "good": (weight, mask, 0.5),
    }
    return {name: error_of(lambda args=args: lab.set_update(*args, rng)) for name, args in cases.items()}


# --- rigl_update -----------------------------------------------------------------------------------------------


@check("rigl_update", tolerance=exact, weight=2)
def smallest_go_steepest_come(lab, rng):
    """The smallest magnitudes go; as many come where the magnitude of the gradient is largest, with weight 0."""
    weight, mask = lopsided(rng, 12, 9)
    gradient = torch.where(mask, 0.01, 1.0) * normal(rng, 12, 9)  # the new ones are all elsewhere
    return lab.rigl_update(weight * mask, gradient, mask, 0.3)


@check("rigl_update", tolerance=exact, weight=2)
def it_may_come_back(lab, rng):
    """A connection that was just dropped may be grown at once, and then it keeps its weight."""
    weight, mask = lopsided(rng, 10, 8)
    gradient = torch.where(mask, 10.0, 1.0) * normal(rng, 10, 8)
    mixed = normal(rng, 10, 8)
    return [lab.rigl_update(weight * mask, slopes, mask.clone(), 0.2) for slopes in (gradient, mixed)]


@check("rigl_update", tolerance=exact)
def hidden_values_do_not_count(lab, rng):
    """What the mask hides is no connection: its value plays no part, and a grown connection starts at 0 there too."""
    weight, mask = lopsided(rng, 9, 7)
    return lab.rigl_update(weight, torch.where(mask, 0.01, 1.0) * normal(rng, 9, 7), mask, 0.29)


@check("rigl_update", tolerance=exact)
def rigl_ties_and_rounding(lab, rng):
    """Ties go by position, lowest index first, and halves are rounded as Python's round does."""
    weight = torch.tensor([0.5, -0.5, 0.5, 0.0, 0.5, 0.0, 0.0, 0.0])
    mask = torch.tensor([1, 1, 1, 0, 1, 0, 0, 0], dtype=torch.bool)
    flat = torch.ones(8)
    flat[:3] = 0.5
    five = torch.tensor([1, 1, 1, 1, 1, 0, 0, 0], dtype=torch.bool)
    values = torch.tensor([0.5, -0.1, 0.3, 0.2, -0.4, 0.0, 0.0, 0.0]) * (1 + torch.rand(1, generator=rng))
    slopes = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 3.0, 1.0, 2.0])
    return {
        "ties": lab.rigl_update(weight, flat, mask, 0.5),
        "all slopes equal": lab.rigl_update(weight, torch.ones(8), mask, 0.5),
        "2.5": lab.rigl_update(values * five, slopes, five, 0.5),
        "1.65": lab.rigl_update(values * five, slopes, five, 0.33),
    }


@check("rigl_update", tolerance=exact)
def rigl_none_or_all(lab, rng):
    """Fraction 0 changes nothing, 1 drops every connection; a full layer and an empty one stay full and empty."""
    weight, mask = lopsided(rng, 6, 5)
    gradient = normal(rng, 6, 5)
    full, empty = torch.ones(6, 5, dtype=torch.bool), torch.zeros(6, 5, dtype=torch.bool)
    return {
        "none": lab.rigl_update(weight * mask, gradient, mask, 0.0),
        "all": lab.rigl_update(weight * mask, gradient, mask, 1.0),
        "full": lab.rigl_update(weight, gradient, full, 0.4),
        "empty": lab.rigl_update(weight * 0, gradient, empty, 0.4),
    }


@check("rigl_update", tolerance=exact)
def rigl_leaves_its_arguments(lab, rng):
    """Weight, gradient and mask stay as they were; the new weight has no gradient history; any shape and dtype."""
    weight, mask = lopsided(rng, 4, 5, 6, dtype=torch.float64)
    weight, mask = (weight * mask).transpose(0, 2).requires_grad_(), mask.transpose(0, 2)
    gradient = normal(rng, 6, 5, 4, dtype=torch.float64) * (1 + 9 * (mask & some(rng, 6, 5, 4)))
    update = lab.rigl_update(weight, gradient, mask, 0.2)
    return {
        "update": update,
        "handed in": [weight, gradient, mask],
        "trainable": update[0].requires_grad,
    }


@check("rigl_update", tolerance=exact)
def rigl_update_refuses(lab, rng):
    """A gradient or a mask of another shape, or a fraction that is none, raises ValueError; good input does not."""
    weight, mask = lopsided(rng, 4, 5)
    gradient = normal(rng, 4, 5)
    cases = {
        "mask of another shape": (weight, gradient, mask.t().contiguous(), 0.5),
        "gradient of another shape": (weight, gradient.t().contiguous(), mask, 0.5),
        "one row": (weight, gradient, mask[0], 0.5),
        "below 0": (weight, gradient, mask, -0.1),
        "above 1": (weight, gradient, mask, 1.1),
        "NaN": (weight, gradient, mask, float("nan")),
        "good": (weight, gradient, mask, 0.5),
    }
    return {name: error_of(lambda args=args: lab.rigl_update(*args)) for name, args in cases.items()}
