"""Hidden checks of lab 2. Experiments only: they observe, and no expected answer stands here."""

import torch

from autograder.experiment import check, close, error_of, exact


def normal(rng, *shape, dtype=torch.float32):
    """Weights as they come from training: no two equal."""
    return torch.randn(*shape, generator=rng, dtype=dtype)


def with_ties(rng, *shape):
    """Weights of which many have the same magnitude: integers from -3 to 3."""
    return torch.randint(-3, 4, shape, generator=rng).float()


def exact_sums(rng, *shape, dtype=torch.float32):
    """Weights whose sums have no rounding: whole numbers of 64ths, so the order of adding up plays no part."""
    return torch.randint(-250, 251, shape, generator=rng).to(dtype) / 64


def by_mean(scores, sparsity):
    """A rule for `prune` that is not a ranking: keep the scores that reach a multiple of their mean."""
    return scores.double() >= 2 * sparsity * scores.double().mean()


def by_position(scores, sparsity):
    """A rule for `prune` that looks at positions only: the first ones go."""
    return (torch.arange(scores.numel()) >= round(sparsity * scores.numel())).reshape(scores.shape)


class Spy:
    """A rule for `prune` that keeps what it was called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, scores, sparsity):
        self.calls.append([scores.clone(), sparsity])
        return by_position(scores, sparsity)


# --- fine_grained_mask -----------------------------------------------------------------------------------------


@check("fine_grained_mask", tolerance=exact, weight=2)
def the_smallest_go(lab, rng):
    """The entries with the smallest magnitudes are removed, whatever their sign, from the whole tensor together."""
    weight = normal(rng, 4, 3, 3, 2)
    return {f"sparsity {s}": lab.fine_grained_mask(weight, s) for s in (0.25, 0.5, 0.875)}


@check("fine_grained_mask", tolerance=exact)
def the_number_is_exact(lab, rng):
    """Exactly round(sparsity * n) entries go, with Python's round, for every n and sparsity."""
    sizes = torch.randint(5, 40, (6,), generator=rng).tolist()
    counts = {}
    for n in [*sizes, 2, 10]:
        weight = normal(rng, n)
        for s in (0.15, 0.25, 0.35, 0.5, 0.77):
            counts[f"n {n}, sparsity {s}"] = int((~lab.fine_grained_mask(weight, s)).sum())
    return counts


@check("fine_grained_mask", tolerance=exact, weight=2)
def ties_are_broken_by_position(lab, rng):
    """Among equal magnitudes the first ones in row-major order go first, and no more than the number asked for."""
    weight = with_ties(rng, 2, 3, 2, 4)
    return {f"sparsity {s}": lab.fine_grained_mask(weight, s) for s in (0.2, 0.4, 0.6, 0.8)}


@check("fine_grained_mask", tolerance=exact)
def nothing_and_everything(lab, rng):
    """Sparsity 0 keeps every entry and sparsity 1 removes every entry."""
    weight = with_ties(rng, 3, 4)
    return {f"sparsity {s}": lab.fine_grained_mask(weight, s) for s in (0.0, 1.0)}


@check("fine_grained_mask", tolerance=exact)
def fine_grained_any_tensor(lab, rng):
    """Any shape, dtype and memory layout will do, the mask is boolean, and the weight is unchanged."""
    weight = normal(rng, 3, 2, 5, 1, dtype=torch.float64)
    transposed = normal(rng, 4, 6).t()
    parameter = torch.nn.Parameter(normal(rng, 6, 2))
    return {
        "4-d": lab.fine_grained_mask(weight, 0.8),
        "transposed": lab.fine_grained_mask(transposed, 0.8),
        "parameter": lab.fine_grained_mask(parameter, 0.8),
        "the weights afterwards": [weight, transposed, parameter],
    }


@check("fine_grained_mask", tolerance=exact)
def fine_grained_mask_refuses(lab, rng):
    """A sparsity below 0, above 1 or NaN raises ValueError; a good one does not."""
    weight = normal(rng, 10)
    return {
        f"sparsity {s}": error_of(lambda s=s: lab.fine_grained_mask(weight, s))
        for s in (-0.1, 1.5, float("nan"), 0.5)
    }


# --- nm_mask ---------------------------------------------------------------------------------------------------


@check("nm_mask", tolerance=exact, weight=2)
def linear_patterns(lab, rng):
    """In a linear layer [out, in] the n largest magnitudes of every m consecutive inputs stay."""
    weight = normal(rng, 8, 16)
    return {f"{n}:{m}": lab.nm_mask(weight, n, m) for n, m in ((2, 4), (1, 4), (3, 4), (1, 2), (1, 8))}


@check("nm_mask", tolerance=exact, weight=2)
def convolution_patterns(lab, rng):
    """In a convolution the groups lie along the inputs too: output, kernel row and kernel column are fixed."""
    weight = normal(rng, 4, 8, 3, 2)
    return {f"{n}:{m}": lab.nm_mask(weight, n, m) for n, m in ((2, 4), (1, 4))}


@check("nm_mask", tolerance=exact)
def ties_in_a_group(lab, rng):
    """Every group keeps exactly n, also where magnitudes are equal: then the lower input goes first."""
    weight = with_ties(rng, 4, 12, 2, 1)
    return {f"{n}:{m}": lab.nm_mask(weight, n, m) for n, m in ((2, 4), (1, 4), (1, 3), (2, 6))}


@check("nm_mask", tolerance=exact)
def none_and_all_of_a_group(lab, rng):
    """n = 0 removes everything and n = m keeps everything; one group may hold all inputs or only one."""
    weight = normal(rng, 6, 12, 2, 2)
    return {f"{n}:{m}": lab.nm_mask(weight, n, m) for n, m in ((0, 3), (3, 3), (2, 6), (0, 1), (1, 1))}


@check("nm_mask", tolerance=exact)
def nm_any_tensor(lab, rng):
    """Any floating dtype and memory layout will do, the mask is boolean, and the weight is unchanged."""
    weight = normal(rng, 5, 8, 1, 3, dtype=torch.float64)
    transposed = normal(rng, 8, 6).t()
    parameter = torch.nn.Parameter(normal(rng, 3, 4))
    return {
        "4-d": lab.nm_mask(weight, 2, 4),
        "transposed": lab.nm_mask(transposed, 1, 4),
        "parameter": lab.nm_mask(parameter, 1, 2),
        "the weights afterwards": [weight, transposed, parameter],
    }


@check("nm_mask", tolerance=exact)
def nm_mask_refuses(lab, rng):
    """An m that does not divide the inputs, a wrong n, an m below 1 or a weight of one dimension raises ValueError."""
    weight = normal(rng, 8, 6, 3, 3)
    cases = {"m = 4, 6 inputs": (1, 4), "n > m": (4, 3), "n < 0": (-1, 3), "m = 0": (0, 0), "good": (1, 3)}
    return {
        "one dimension": error_of(lambda: lab.nm_mask(normal(rng, 8), 2, 4)),
        **{name: error_of(lambda n=n, m=m: lab.nm_mask(weight, n, m)) for name, (n, m) in cases.items()},
    }


# --- the structured masks: the same five experiments for each --------------------------------------------------


def one_large(rng, shape, dims):
    """Groups along `dims`: some of weights that are all alike, some with one large weight and yet a smaller sum."""
    size = 1
    for dim in dims:
        size *= shape[dim]
    signs = torch.randint(0, 2, shape, generator=rng) * 2 - 1
    alike = torch.randint(60, 69, shape, generator=rng) / 64
    large = torch.zeros(shape)
    large[tuple(slice(0, 1) if dim in dims else slice(None) for dim in range(4))] = 0.75 * size
    which = torch.rand([1 if dim in dims else shape[dim] for dim in range(4)], generator=rng) < 0.5
    which.view(-1)[:2] = torch.tensor([True, False])
    return signs * torch.where(which, large, alike)


def low_norms(make, rng, dims):
    weight, uneven = exact_sums(rng, 8, 10, 3, 2), one_large(rng, (6, 8, 3, 2), dims)
    masks = {f"sparsity {s}": make(weight, s, by_mean) for s in (0.5, 0.25, 0.75)}
    return masks | {"one large weight in some": make(uneven, 0.5, by_mean)}


def rules(make, rng):
    weight = exact_sums(rng, 12, 14, 2, 3)
    return {f"sparsity {s}": make(weight, s, by_position) for s in (0.0, 0.3, 0.8, 1.0)}


def rule_calls(make, rng):
    spy = Spy()
    make(exact_sums(rng, 3, 4, 2, 3), 0.4, spy)
    return spy.calls


def any_weight(make, rng):
    double = exact_sums(rng, 8, 6, 1, 1, dtype=torch.float64)
    other_layout = exact_sums(rng, 3, 2, 7, 6).permute(3, 2, 1, 0)
    parameter = torch.nn.Parameter(exact_sums(rng, 8, 9, 3, 3))
    return {
        "1 x 1 kernels, float64": make(double, 0.5, by_position),
        "not contiguous": make(other_layout, 0.5, by_position),
        "parameter": make(parameter, 0.5, by_position),
        "the weights afterwards": [double, other_layout, parameter],
    }


def errors(make, rng):
    shapes = {"linear layer": (4, 6), "three dimensions": (4, 6, 3), "good": (4, 6, 3, 3)}
    return {name: error_of(lambda s=s: make(normal(rng, *s), 0.5, by_position)) for name, s in shapes.items()}


@check("vector_mask", tolerance=exact, weight=2)
def low_vectors_go(lab, rng):
    """The vectors with low scores go as a whole; a vector is a row of a kernel: kw weights."""
    return low_norms(lab.vector_mask, rng, (3,))


@check("vector_mask", tolerance=exact)
def vectors_by_the_rule(lab, rng):
    """The given rule decides, whatever it is: its answer for a vector holds for each of its weights."""
    return rules(lab.vector_mask, rng)


@check("vector_mask", tolerance=close(1e-4))
def scores_of_vectors(lab, rng):
    """The rule is called once, on the sums of the magnitudes, [out, in, kh], and with the sparsity as it is."""
    return rule_calls(lab.vector_mask, rng)


@check("vector_mask", tolerance=exact)
def vectors_of_any_weight(lab, rng):
    """Any kernel size, dtype and memory layout will do, the mask is boolean, and the weight is unchanged."""
    return any_weight(lab.vector_mask, rng)


@check("vector_mask", tolerance=exact)
def vector_mask_refuses(lab, rng):
    """A weight that does not have four dimensions raises ValueError; a convolution's does not."""
    return errors(lab.vector_mask, rng)


@check("kernel_mask", tolerance=exact, weight=2)
def low_kernels_go(lab, rng):
    """The kernels with low scores go as a whole; a kernel is what lies between one input and one output."""
    return low_norms(lab.kernel_mask, rng, (2, 3))


@check("kernel_mask", tolerance=exact)
def kernels_by_the_rule(lab, rng):
    """The given rule decides, whatever it is: its answer for a kernel holds for each of its weights."""
    return rules(lab.kernel_mask, rng)


@check("kernel_mask", tolerance=close(1e-4))
def scores_of_kernels(lab, rng):
    """The rule is called once, on the sums of the magnitudes, [out, in], and with the sparsity as it is."""
    return rule_calls(lab.kernel_mask, rng)


@check("kernel_mask", tolerance=exact)
def kernels_of_any_weight(lab, rng):
    """Any kernel size, dtype and memory layout will do, the mask is boolean, and the weight is unchanged."""
    return any_weight(lab.kernel_mask, rng)


@check("kernel_mask", tolerance=exact)
def kernel_mask_refuses(lab, rng):
    """A weight that does not have four dimensions raises ValueError; a convolution's does not."""
    return errors(lab.kernel_mask, rng)


@check("filter_mask", tolerance=exact, weight=2)
def low_filters_go(lab, rng):
    """The filters with low scores go as a whole; a filter is all that makes one output."""
    return low_norms(lab.filter_mask, rng, (1, 2, 3))


@check("filter_mask", tolerance=exact)
def filters_by_the_rule(lab, rng):
    """The given rule decides, whatever it is: its answer for a filter holds for each of its weights."""
    return rules(lab.filter_mask, rng)


@check("filter_mask", tolerance=close(1e-4))
def scores_of_filters(lab, rng):
    """The rule is called once, on the sums of the magnitudes, [out], and with the sparsity as it is."""
    return rule_calls(lab.filter_mask, rng)


@check("filter_mask", tolerance=exact)
def filters_of_any_weight(lab, rng):
    """Any kernel size, dtype and memory layout will do, the mask is boolean, and the weight is unchanged."""
    return any_weight(lab.filter_mask, rng)


@check("filter_mask", tolerance=exact)
def filter_mask_refuses(lab, rng):
    """A weight that does not have four dimensions raises ValueError; a convolution's does not."""
    return errors(lab.filter_mask, rng)


@check("channel_mask", tolerance=exact, weight=2)
def low_channels_go(lab, rng):
    """The channels with low scores go as a whole; a channel is all that reads one input."""
    return low_norms(lab.channel_mask, rng, (0, 2, 3))


@check("channel_mask", tolerance=exact)
def channels_by_the_rule(lab, rng):
    """The given rule decides, whatever it is: its answer for a channel holds for each of its weights."""
    return rules(lab.channel_mask, rng)


@check("channel_mask", tolerance=close(1e-4))
def scores_of_channels(lab, rng):
    """The rule is called once, on the sums of the magnitudes, [in], and with the sparsity as it is."""
    return rule_calls(lab.channel_mask, rng)


@check("channel_mask", tolerance=exact)
def channels_of_any_weight(lab, rng):
    """Any kernel size, dtype and memory layout will do, the mask is boolean, and the weight is unchanged."""
    return any_weight(lab.channel_mask, rng)


@check("channel_mask", tolerance=exact)
def channel_mask_refuses(lab, rng):
    """A weight that does not have four dimensions raises ValueError; a convolution's does not."""
    return errors(lab.channel_mask, rng)


# --- index_bits ------------------------------------------------------------------------------------------------


def some(rng, *shape):
    """About half True, at least one of each."""
    keep = torch.rand(shape, generator=rng) < 0.5
    keep.view(-1)[:2] = torch.tensor([True, False])
    return keep


def masks_of(rng, out, inputs, kh, kw):
    """A random mask of each granularity, {its name: mask}."""
    shape = (out, inputs, kh, kw)
    return {
        "fine": some(rng, *shape),
        "vector": some(rng, out, inputs, kh)[:, :, :, None].expand(shape).clone(),
        "kernel": some(rng, out, inputs)[:, :, None, None].expand(shape).clone(),
        "filter": some(rng, out)[:, None, None, None].expand(shape).clone(),
        "channel": some(rng, inputs)[None, :, None, None].expand(shape).clone(),
    }


@check("index_bits", tolerance=exact, weight=2)
def bits_of_groups(lab, rng):
    """Each kept group stores its number among all groups of the layer."""
    masks = masks_of(rng, 6, 10, 3, 5)
    return {name: lab.index_bits(mask, name) for name, mask in masks.items()}


@check("index_bits", tolerance=exact)
def bits_where_groups_are_a_power_of_two(lab, rng):
    """G groups have the numbers 0 to G - 1: where G is a power of two, they need log2(G) bits and no more."""
    masks = masks_of(rng, 8, 4, 2, 4)
    return {name: lab.index_bits(mask, name) for name, mask in masks.items()}


@check("index_bits", tolerance=exact, weight=2)
def bits_of_patterns(lab, rng):
    """For N:M each kept weight stores its place in its group of m."""

    def pattern(n, m):
        order = torch.rand(3, 4, m, 3, 2, generator=rng).argsort(dim=2)
        return (order < n).flatten(1, 2)

    cases = ((2, 4), (1, 4), (1, 2), (2, 5), (1, 8), (1, 1))
    return {f"{n}:{m}": lab.index_bits(pattern(n, m), "N:M", m) for n, m in cases}


@check("index_bits", tolerance=exact)
def bits_at_the_ends(lab, rng):
    """A layer that is one group needs no index, nor does an empty one; a full one pays for every group."""
    names = ("fine", "vector", "kernel", "filter", "channel", "layer")
    full = torch.ones(3, 5, 2, 3, dtype=torch.bool)
    return {
        "full": {name: lab.index_bits(full, name) for name in names},
        "empty": {name: lab.index_bits(~full, name) for name in names},
        "empty, N:M": lab.index_bits(~full, "N:M", 5),
    }


@check("index_bits", tolerance=exact)
def bits_of_any_layout(lab, rng):
    """The memory layout plays no part, m is ignored where it is not needed, and the mask is unchanged."""
    masks = {
        name: m.permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0)
        for name, m in masks_of(rng, 5, 6, 3, 2).items()
    }
    bits = {name: lab.index_bits(mask, name, 4) for name, mask in masks.items()}
    return {"bits": bits, "the masks afterwards": masks}


@check("index_bits", tolerance=exact)
def index_bits_refuses(lab, rng):
    """A mask that has not the granularity, an unknown one, a wrong m or shape raises ValueError; good input does not."""
    mask = torch.ones(4, 6, 3, 3, dtype=torch.bool)
    one_removed = mask.clone()
    one_removed[1, 2, 0, 1] = False
    cases = {
        **{f"{name} kept in part": (one_removed, name) for name in ("vector", "kernel", "filter", "channel", "layer")},
        "groups that differ": (one_removed, "N:M", 3),
        "no m": (mask, "N:M"),
        "m does not divide": (mask, "N:M", 4),
        "m = 0": (mask, "N:M", 0),
        "unknown": (mask, "row"),
        "linear layer": (mask[:, :, 0, 0], "fine"),
        "good": (one_removed, "fine"),
    }  # fmt: skip
    return {name: error_of(lambda c=case: lab.index_bits(*c)) for name, case in cases.items()}
