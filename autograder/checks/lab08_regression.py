"""Hidden checks of lab 8. Experiments only: they observe, and no expected answer stands here."""

import torch

from autograder.experiment import at_most, check, close, error_of, exact

ROUNDING = close(1e-3, 1e-4)  # another order of adding up, or float64 inside, is as right as ours


def normal(rng, *shape, dtype=torch.float32):
    return torch.randn(*shape, generator=rng).to(dtype)


def places(rng, b, p, rows, columns):
    """p places in each of b outputs."""
    return torch.stack([torch.randint(size, (b, p), generator=rng) for size in (rows, columns)], dim=2)


def transposed(tensor):
    """The same values, with the first two dimensions stored the other way round."""
    return tensor.transpose(0, 1).contiguous().transpose(0, 1)


# --- sample_patches --------------------------------------------------------------------------------------------


@check("sample_patches", tolerance=exact, weight=2)
def patches_of_places(lab, rng):
    """Each place of each input gives the patch that the layer reads there, input after input."""
    return lab.sample_patches(normal(rng, 3, 4, 6, 9), places(rng, 3, 5, 4, 7), (3, 3))


@check("sample_patches", tolerance=exact)
def padding_is_zeros(lab, rng):
    """With padding the places count from the padded edge, and what lies beyond the edge is zero."""
    corners = torch.tensor([[0, 0], [0, 4], [5, 0], [5, 4], [2, 3]]).repeat(2, 1, 1)
    wide = torch.tensor([[0, 0], [7, 6], [1, 5]]).repeat(2, 1, 1)
    inputs = normal(rng, 2, 3, 6, 5)
    return {
        "padding 1": lab.sample_patches(inputs, corners, (3, 3), 1, 1),
        "padding 2": lab.sample_patches(inputs, wide, (3, 3), 1, 2),
    }


@check("sample_patches", tolerance=exact)
def strides_and_kernels(lab, rng):
    """With a stride the places are those of the output, and a kernel need not be square."""
    inputs = normal(rng, 2, 3, 9, 11)
    return {
        "stride 2": lab.sample_patches(inputs, places(rng, 2, 6, 4, 5), (3, 3), 2),
        "stride 3, padding 1": lab.sample_patches(inputs, places(rng, 2, 6, 3, 4), (3, 3), 3, 1),
        "kernel 2 x 4": lab.sample_patches(inputs, places(rng, 2, 6, 8, 8), (2, 4)),
        "kernel 1 x 1": lab.sample_patches(inputs, places(rng, 2, 6, 9, 11), (1, 1)),
    }


@check("sample_patches", tolerance=exact)
def one_place_or_none(lab, rng):
    """One input, one place, the whole input as one patch, a place named twice, or no place at all."""
    inputs = normal(rng, 1, 2, 3, 3)
    return {
        "whole": lab.sample_patches(inputs, torch.zeros(1, 1, 2, dtype=torch.int64), (3, 3)),
        "twice": lab.sample_patches(inputs, torch.tensor([[[1, 0], [1, 0]]]), (2, 2)),
        "none": lab.sample_patches(inputs, torch.zeros(1, 0, 2, dtype=torch.int64), (2, 2)),
    }


@check("sample_patches", tolerance=exact)
def patches_of_any_inputs(lab, rng):
    """Any floating dtype and memory layout will do, and the patches are a new tensor: writing to them changes no input."""
    double, where = normal(rng, 2, 3, 5, 5, dtype=torch.float64), places(rng, 2, 3, 3, 3)
    other = transposed(normal(rng, 2, 3, 5, 5))
    single = normal(rng, 1, 2, 3, 3)
    result = {
        "float64": lab.sample_patches(double, where, (3, 3)),
        "not contiguous": lab.sample_patches(other, where, (3, 3)),
    }
    lab.sample_patches(single, torch.zeros(1, 1, 2, dtype=torch.int64), (3, 3)).fill_(7)
    return result | {"the inputs afterwards": [double, other, single, where]}


@check("sample_patches", tolerance=exact)
def sample_patches_refuses(lab, rng):
    """A place outside the output, or inputs or positions of another shape, raise ValueError; good ones do not."""
    inputs = normal(rng, 2, 3, 6, 6)
    cases = {
        "row -1": torch.tensor([[-1, 0]]), "column -1": torch.tensor([[0, -1]]), "row too large": torch.tensor([[4, 0]]),
        "column too large": torch.tensor([[0, 4]]), "good": torch.tensor([[3, 3]]),
    }  # fmt: skip
    return {
        **{
            name: error_of(lambda p=p: lab.sample_patches(inputs, p.repeat(2, 1, 1), (3, 3)))
            for name, p in cases.items()
        },
        "three dimensions": error_of(lambda: lab.sample_patches(inputs[0], places(rng, 3, 1, 2, 2), (3, 3))),
        "places of one input": error_of(lambda: lab.sample_patches(inputs, places(rng, 1, 2, 2, 2), (3, 3))),
        "places of two dimensions": error_of(
            lambda: lab.sample_patches(inputs, places(rng, 2, 2, 2, 2)[0], (3, 3))
        ),
    }


# --- channel_contributions -------------------------------------------------------------------------------------


@check("channel_contributions", tolerance=ROUNDING, weight=2)
def one_part_for_each_channel(lab, rng):
    """Z[c, n, o] is what channel c of sample n adds to output o."""
    return lab.channel_contributions(normal(rng, 7, 4, 3, 2), normal(rng, 5, 4, 3, 2))


@check("channel_contributions", tolerance=ROUNDING)
def ones_of_everything(lab, rng):
    """One sample, one channel, one output or kernels of 1 x 1: the three dimensions stay."""
    sizes = {"1 x 1": (6, 4, 3, 1, 1), "one channel": (3, 1, 4, 2, 2), "one output": (3, 4, 1, 2, 2), "one sample": (1, 3, 2, 2, 2)}  # fmt: skip
    return {
        name: lab.channel_contributions(normal(rng, n, i, h, w), normal(rng, o, i, h, w))
        for name, (n, i, o, h, w) in sizes.items()
    }


@check("channel_contributions", tolerance=ROUNDING)
def contributions_of_any_tensors(lab, rng):
    """Any floating dtype and memory layout will do, and the arguments are unchanged."""
    patches, weight = (
        normal(rng, 4, 3, 2, 3, dtype=torch.float64),
        normal(rng, 5, 3, 2, 3, dtype=torch.float64),
    )
    x, w = transposed(normal(rng, 4, 3, 2, 2)), transposed(normal(rng, 5, 3, 2, 2))
    return {
        "float64": lab.channel_contributions(patches, weight),
        "not contiguous": lab.channel_contributions(x, w),
        "the arguments afterwards": [patches, weight, x, w],
    }


@check("channel_contributions", tolerance=exact)
def channel_contributions_refuses(lab, rng):
    """Patches and a weight that do not fit together raise ValueError; good ones do not."""
    cases = {
        "other channels": ((3, 2, 3, 3), (4, 1, 3, 3)), "other kernel": ((3, 2, 3, 3), (4, 2, 1, 1)),
        "two dimensions": ((3, 2), (4, 2)), "good": ((3, 2, 3, 3), (4, 2, 3, 3)),
    }  # fmt: skip
    return {
        name: error_of(lambda s=s: lab.channel_contributions(normal(rng, *s[0]), normal(rng, *s[1])))
        for name, s in cases.items()
    }


# --- lasso_betas -----------------------------------------------------------------------------------------------


def regression(rng, penalty, channels=7, samples=12, outputs=5, left=4, dtype=torch.float32):
    """Contributions that resemble each other, and targets for which the Lasso clearly leaves `left` channels.

    The slope of the squared part is set to +-penalty where a channel is left, and to at most 0.6 of it elsewhere.
    """
    shared = torch.randn(samples * outputs, 1, generator=rng, dtype=torch.float64)
    own = torch.randn(samples * outputs, channels, generator=rng, dtype=torch.float64)
    a = (own + 0.7 * shared) * (0.5 + torch.rand(channels, generator=rng, dtype=torch.float64))
    sign = torch.tensor([1.0, -1.0] * channels, dtype=torch.float64)[:channels]
    beta = sign * (0.4 + torch.rand(channels, generator=rng, dtype=torch.float64))
    slope = sign.clone()
    gone = (
        3 + torch.randperm(channels - 3, generator=rng)[: channels - left]
    )  # the first three, of both signs, stay
    beta[gone] = 0
    slope[gone] *= 0.6 * torch.rand(len(gone), generator=rng, dtype=torch.float64)
    rest = a @ torch.linalg.solve(a.t() @ a, len(a) * penalty * slope)
    y = a @ beta + rest
    return a.t().reshape(channels, samples, outputs).to(dtype), y.reshape(samples, outputs).to(dtype)


def quality(beta, z, y, penalty):
    """The objective, as a share of its value at zero, and how many channels are left."""
    z, y, b = z.double(), y.double(), beta.double()
    squares = (y - (b[:, None, None] * z).sum(dim=0)).square().sum() / (2 * y.numel())
    at_zero = y.square().sum() / (2 * y.numel())
    return {
        "objective": ((squares + penalty * b.abs().sum()) / at_zero).item(),
        "channels left": int((beta != 0).sum()),
        "shape and dtype": f"{list(beta.shape)} {beta.dtype}",
    }


JUDGED = {"objective": at_most(0, 2e-5)}
PENALTIES = (0.02, 0.1, 0.4)


def by_quantity(measured):
    """{case: {quantity: value}} as {quantity: {case: value}}, so that each quantity has its own tolerance."""
    quantities = list(next(iter(measured.values())))
    return {
        quantity: {case: values[quantity] for case, values in measured.items()} for quantity in quantities
    }


def quality_of_three(answers, rng):
    return by_quantity(
        {f"penalty {p}": quality(answers[f"penalty {p}"], *regression(rng, p), p) for p in PENALTIES}
    )


@check("lasso_betas", tolerance=JUDGED, weight=3, measure=quality_of_three)
def the_minimum(lab, rng):
    """The objective reaches its minimum, and the channels that are zero there are exactly zero."""
    return {f"penalty {p}": lab.lasso_betas(*regression(rng, p), p) for p in PENALTIES}


def quality_without_penalty(beta, rng):
    z, y = regression(rng, 0.1)
    return {"objective": quality(beta, z, y, 0.0)["objective"]}


@check("lasso_betas", tolerance=JUDGED, measure=quality_without_penalty)
def without_penalty(lab, rng):
    """With penalty 0 the squared error alone is minimal."""
    return lab.lasso_betas(*regression(rng, 0.1), 0.0)


def around_the_largest(rng):
    """A penalty just above the largest slope at zero, and one well below."""
    z, y = regression(rng, 0.1)
    slopes = z.flatten(1) @ y.flatten() / y.numel()
    z[slopes.abs().argmax()] *= -slopes[slopes.abs().argmax()].sign()
    largest = slopes.abs().max().item()  # of a channel whose factor is negative
    return {"above": (z, y, 1.05 * largest), "below": (z, y, 0.3 * largest)}


def quality_around(answers, rng):
    measured = {name: quality(answers[name], *case) for name, case in around_the_largest(rng).items()}
    measured["below"]["channels left"] = measured["below"]["channels left"] > 0
    return by_quantity(measured)


@check("lasso_betas", tolerance=JUDGED, measure=quality_around)
def the_last_channel(lab, rng):
    """A penalty above the largest slope at zero leaves no channel; one well below it leaves some."""
    return {name: lab.lasso_betas(*case) for name, case in around_the_largest(rng).items()}


def with_a_dead_channel(rng):
    z, y = regression(rng, 0.1, channels=5, samples=9, outputs=4, left=4, dtype=torch.float64)
    return torch.cat([z[:2], torch.zeros_like(z[:1]), z[2:]]), y


def quality_with_a_dead_channel(answer, rng):
    z, y = with_a_dead_channel(rng)
    cases = {
        "with a dead channel": quality(answer["beta"], z, y, 0.1),
        "one channel": quality(answer["one"], z[:1], y, 0.1),
    }
    return by_quantity(cases) | {
        "dead": answer["beta"][2].item(),
        "unchanged": [torch.equal(answer["z"], z), torch.equal(answer["y"], y)],
    }


@check("lasso_betas", tolerance=JUDGED, measure=quality_with_a_dead_channel)
def a_dead_channel(lab, rng):
    """A channel that contributes nothing gets 0, one channel alone will do, float64 stays, and the arguments are unchanged."""
    z, y = with_a_dead_channel(rng)
    beta = lab.lasso_betas(z, y, 0.1)
    return {"beta": beta, "one": lab.lasso_betas(z[:1].clone(), y.clone(), 0.1), "z": z, "y": y}


@check("lasso_betas", tolerance=exact)
def lasso_betas_refuses(lab, rng):
    """A negative penalty, NaN, or targets that do not fit raise ValueError; good input does not."""
    z, y = regression(rng, 0.1)
    cases = {
        "negative": (z, y, -0.1), "NaN": (z, y, float("nan")), "another N": (z, y[1:], 0.1), "another out": (z, y[:, 1:], 0.1),
        "two dimensions": (z[0], y, 0.1), "good": (z, y, 0.1),
    }  # fmt: skip
    return {name: error_of(lambda case=case: lab.lasso_betas(*case)) for name, case in cases.items()}


# --- search_penalty --------------------------------------------------------------------------------------------


class Path:
    """A path of solutions: channel c leaves at the penalty |values[c]|. It counts the calls."""

    def __init__(self, values):
        self.values, self.calls = values, 0

    def __call__(self, penalty):
        self.calls += 1
        return self.values.sign() * (self.values.abs() - penalty).clamp(min=0)


def spread(rng, channels=9):
    """Values between 0.05 and 0.95, no two magnitudes nearer than 0.03."""
    steps = torch.randperm(channels, generator=rng) + 0.6 * torch.rand(channels, generator=rng)
    sign = torch.randint(0, 2, (channels,), generator=rng) * 2 - 1
    return sign * (0.05 + 0.9 * steps / channels).double()


def searched(lab, values, *arguments):
    path = Path(values)
    answer = lab.search_penalty(path, *arguments)
    return {"answer": answer, "calls": path.calls}


def found(seen, values, count, highest=1.0, tolerance=1e-4):
    """What a search found: how many channels are left, and whether the rest of the contract holds."""
    penalty, beta = seen["answer"]
    penalty = float(penalty)
    left = int((Path(values)(penalty) != 0).sum())
    below = int((Path(values)(penalty - tolerance * highest * 1.001) != 0).sum())
    return {
        "channels left": left,
        "beta is that of the penalty": bool(torch.equal(beta, Path(values)(penalty))),
        "penalty in its range": 0 <= penalty <= highest,
        "close to where more were left": left == count or penalty == 0 or below > count,
        "at most 50 calls": seen["calls"] <= 50,
    }


COUNTS = (1, 3, 4, 7)


def found_counts(answers, rng):
    values = spread(rng)
    return {f"count {c}": found(answers[f"count {c}"], values, c) for c in COUNTS}


@check("search_penalty", tolerance=exact, weight=2, measure=found_counts)
def the_count_is_met(lab, rng):
    """Exactly `count` channels are left where a penalty leaves them, beta belongs to the penalty, few calls are made."""
    values = spread(rng)
    return {f"count {c}": searched(lab, values, c, 1.0) for c in COUNTS}


def tied(rng):
    """Values of which the third and fourth largest magnitude are equal."""
    values = spread(rng)
    order = values.abs().argsort(descending=True)
    values[order[3]] = -values[order[2]]
    return values


def found_at_a_tie(answer, rng):
    return found(answer, tied(rng), 3)


@check("search_penalty", tolerance=exact, measure=found_at_a_tie)
def a_count_that_is_jumped_over(lab, rng):
    """Where two channels leave at one penalty, fewer than `count` are left, and the penalty is just above that place."""
    return searched(lab, tied(rng), 3, 1.0)


def sparse(rng):
    values = spread(rng)
    values[torch.randperm(9, generator=rng)[:4]] = 0
    return values


def found_at_once(answers, rng):
    values = sparse(rng)
    return {
        name: [float(answers[name]["answer"][0]), found(answers[name], values, count)]
        for name, count in (("as many", 5), ("more", 6), ("all", 9))
    }


@check("search_penalty", tolerance=exact, measure=found_at_once)
def nothing_to_search(lab, rng):
    """Where no more than `count` channels are left without a penalty, the penalty is 0."""
    values = sparse(rng)
    return {
        name: searched(lab, values, count, 1.0) for name, count in (("as many", 5), ("more", 6), ("all", 9))
    }


def found_none(answers, rng):
    values = spread(rng)
    tiny = values / 1000
    return {
        "none": found(answers["none"], values, 0),
        "tiny": found(answers["tiny"], tiny, 6, 1.0, 1e-6),
        "other highest": found(answers["other highest"], 20 * values, 4, 20.0),
    }


@check("search_penalty", tolerance=exact, measure=found_none)
def none_left_and_other_scales(lab, rng):
    """The count may be 0, the penalty far below `highest` or far above 1, and the tolerance finer."""
    values = spread(rng)
    return {
        "none": searched(lab, values, 0, 1.0),
        "tiny": searched(lab, values / 1000, 6, 1.0, 1e-6),
        "other highest": searched(lab, 20 * values, 4, 20.0),
    }


@check("search_penalty", tolerance=exact)
def search_penalty_refuses(lab, rng):
    """A negative count, a highest penalty or tolerance not above 0, or one that leaves too many raises ValueError; good input does not."""
    path = Path(spread(rng))
    cases = {
        "count -1": (-1, 1.0, 1e-4), "highest 0": (3, 0.0, 1e-4), "highest negative": (3, -1.0, 1e-4), "highest NaN": (3, float("nan"), 1e-4),
        "tolerance 0": (3, 1.0, 0.0), "highest leaves too many": (1, 0.04, 1e-4), "good": (3, 1.0, 1e-4),
    }  # fmt: skip
    return {name: error_of(lambda case=case: lab.search_penalty(path, *case)) for name, case in cases.items()}


# --- reconstruct_weights ---------------------------------------------------------------------------------------


def samples(rng, n=90, kept=4, out=5, kh=2, kw=3, dtype=torch.float32):
    """Patches whose channels resemble each other, with a mean that is not zero, and targets that they explain in part."""
    x = normal(rng, n, kept, kh, kw) + 0.5 * normal(rng, n, 1, kh, kw) + 0.7
    y = torch.einsum("nihw,oihw->no", x, normal(rng, out, kept, kh, kw)) + 2 * normal(rng, n, out) + 1
    return x.to(dtype), y.to(dtype)


def fit(weight, x, y):
    """The squared error as a share of the targets' squares, and the form of the weights."""
    rest = y.double() - x.flatten(1).double() @ weight.flatten(1).double().t()
    return {
        "error": (rest.square().sum() / y.double().square().sum()).item(),
        "finite": bool(weight.isfinite().all()),
        "shape and dtype": f"{list(weight.shape)} {weight.dtype}",
    }


FITTED = {"error": at_most(0, 2e-4)}


@check("reconstruct_weights", tolerance=FITTED, weight=2, measure=lambda w, rng: fit(w, *samples(rng)))
def the_smallest_error(lab, rng):
    """No weights come closer to the targets, in the sum of the squares."""
    return lab.reconstruct_weights(*samples(rng))


def reachable(rng):
    x, weight = normal(rng, 60, 3, 3, 2), normal(rng, 4, 3, 3, 2)
    return x, torch.einsum("nihw,oihw->no", x, weight)


@check("reconstruct_weights", tolerance=ROUNDING)
def weights_that_fit(lab, rng):
    """Targets that some weights reach exactly give these weights back, each entry in its place."""
    return lab.reconstruct_weights(*reachable(rng))


def few(rng):
    return samples(rng, n=10, kept=3)


@check("reconstruct_weights", tolerance=FITTED, measure=lambda w, rng: fit(w, *few(rng)))
def fewer_samples_than_weights(lab, rng):
    """With fewer samples than weights of an output the error is zero, and the weights are finite."""
    return lab.reconstruct_weights(*few(rng))


def degenerate(rng):
    """Every second channel is zero in every sample, and two are equal."""
    x, y = samples(rng, kept=8)
    x[:, ::2] = 0
    x[:, 7] = x[:, 3]
    return x, y


@check("reconstruct_weights", tolerance=FITTED, measure=lambda w, rng: fit(w, *degenerate(rng)))
def dead_and_equal_channels(lab, rng):
    """Channels that are always zero, or two that are equal, do no harm: the error is minimal, the weights finite."""
    return lab.reconstruct_weights(*degenerate(rng))


def of_other_kinds(rng):
    return {
        "1 x 1, float64": samples(rng, n=40, kept=3, kh=1, kw=1, dtype=torch.float64),
        "one channel, one output": samples(rng, kept=1, out=1),
        "not contiguous": tuple(transposed(tensor) for tensor in samples(rng, kh=3, kw=1)),
    }


def fits_of_other_kinds(answers, rng):
    cases = of_other_kinds(rng)
    return by_quantity({name: fit(answers[name], *case) for name, case in cases.items()}) | {
        "unchanged": [
            bool(torch.equal(before, after))
            for name, case in cases.items()
            for before, after in zip(case, answers["arguments"][name])
        ]
    }


@check("reconstruct_weights", tolerance=FITTED, measure=fits_of_other_kinds)
def any_kind_of_patches(lab, rng):
    """Any kernel, dtype and memory layout will do, and the arguments are unchanged."""
    cases = of_other_kinds(rng)
    answers = {name: lab.reconstruct_weights(*case) for name, case in cases.items()}
    return answers | {"arguments": {name: list(case) for name, case in cases.items()}}


@check("reconstruct_weights", tolerance=exact)
def reconstruct_weights_refuses(lab, rng):
    """Patches or targets with other dimensions, or another number of samples, raise ValueError; good ones do not."""
    cases = {
        "another N": ((6, 2, 1, 2), (5, 3)), "targets of one dimension": ((6, 2, 1, 2), (6,)),
        "patches of two dimensions": ((6, 2), (6, 3)), "good": ((6, 2, 1, 2), (6, 3)),
    }  # fmt: skip
    return {
        name: error_of(lambda s=s: lab.reconstruct_weights(normal(rng, *s[0]), normal(rng, *s[1])))
        for name, s in cases.items()
    }


# --- regression_prune ------------------------------------------------------------------------------------------


class Tools:
    """Stand-ins for the three callables, which keep a journal of what they were called with."""

    def __init__(self, fewer=0, factors=(0.5, -2.0, 1e-6, -3.0)):
        self.journal, self.fewer, self.factors = [], fewer, factors

    def contribute(self, patches, weight):
        self.journal.append(["contribute", weight.clone(), list(patches.shape), patches.sum()])
        return torch.einsum("nihw,oihw->ino", patches, weight)

    def choose(self, contributions, targets, count):
        """Leave the channels that contribute most, with factors of both signs, large and small."""
        self.journal.append(["choose", contributions.square().mean(dim=(1, 2)), targets.sum(), count])
        energy = contributions.square().mean(dim=(1, 2))
        kept = energy.topk(count - self.fewer).indices
        beta = torch.zeros_like(energy)
        for place, channel in enumerate(kept.tolist()):
            beta[channel] = self.factors[place % len(self.factors)]
        return beta * (energy > 0)

    def reconstruct(self, patches, targets):
        """Not least squares, but weights that depend on everything: a correlation."""
        self.journal.append(["reconstruct", patches.clone(), targets.sum()])
        kept = patches.shape[1]
        factors = 0.5 + torch.arange(kept, dtype=patches.dtype)[:, None, None] % 3
        return torch.einsum("nihw,no->oihw", patches, targets) * factors / len(patches)


def a_layer(rng, channels=7, out=4, dtype=torch.float32):
    """Channels of clearly different strength, in a random order; the norms of their weights say little about it."""
    strength = (1.5 ** torch.randperm(channels, generator=rng)).to(dtype)
    norms = (1.5 ** torch.randperm(channels, generator=rng)).to(dtype)
    patches = normal(rng, 60, channels, 2, 3, dtype=dtype) * strength[None, :, None, None]
    weight = normal(rng, out, channels, 2, 3, dtype=dtype) * norms[None, :, None, None]
    return patches, torch.einsum("nihw,oihw->no", patches, weight), weight


def whole_prune(lab, arguments, counts, tools):
    """Everything that can be seen of one call."""
    patches, targets, weight = arguments
    result = lab.regression_prune(
        patches, targets, weight, counts, tools.contribute, tools.choose, tools.reconstruct
    )
    return {"returned": result, "journal": tools.journal}


@check("regression_prune", tolerance=ROUNDING)
def one_round(lab, rng):
    """One count: normalise, choose once, rebuild once."""
    return whole_prune(lab, a_layer(rng), [3], Tools())


@check("regression_prune", tolerance=ROUNDING, weight=2)
def rounds_build_on_each_other(lab, rng):
    """Each round starts from the weights of the round before, in which the channels that have left are zero."""
    return whole_prune(lab, a_layer(rng), [5, 3, 3, 2], Tools())


@check("regression_prune", tolerance=ROUNDING)
def a_slice_of_zeros(lab, rng):
    """A channel whose weights are all zero stays zero when the weights are normalised."""
    patches, targets, weight = a_layer(rng)
    weight[:, 2] = 0
    return whole_prune(lab, (patches, targets, weight), [4, 3], Tools())


@check("regression_prune", tolerance=ROUNDING)
def fewer_channels_than_the_count(lab, rng):
    """The channels with a nonzero beta are left, also where they are fewer than the count."""
    return whole_prune(lab, a_layer(rng), [6, 4], Tools(fewer=2))


@check("regression_prune", tolerance=ROUNDING)
def what_stays_as_it_was(lab, rng):
    """The arguments are unchanged, float64 stays, all channels may stay, and one may be left."""
    layer = a_layer(rng, channels=4, dtype=torch.float64)
    return {
        "all": whole_prune(lab, layer, [4], Tools()),
        "one": whole_prune(lab, layer, [4, 1], Tools()),
        "the arguments afterwards": list(layer),
    }


@check("regression_prune", tolerance=exact)
def regression_prune_refuses(lab, rng):
    """No count, a count below 1, or counts that rise raise ValueError before anything is called; good ones do not."""
    layer, tools = a_layer(rng), Tools()
    cases = {"empty": [], "zero": [3, 0], "negative": [-1], "rises": [2, 3]}
    errors = {name: error_of(lambda c=c: whole_prune(lab, layer, c, tools)) for name, c in cases.items()}
    calls = len(tools.journal)
    return errors | {"calls": calls, "good": error_of(lambda: whole_prune(lab, layer, [3, 3], tools))}


# --- prune_in_order --------------------------------------------------------------------------------------------


class Network:
    """A stand-in for a network: what a layer is given depends on all that was written before."""

    def __init__(self, rng, names):
        self.names, self.state, self.seen, self.calls = names, {}, [], []
        self.originals = {name: normal(rng, 6, 3) for name in names}

    def read_inputs(self, name):
        self.calls.append(f"inputs of {name}")
        before = self.names[: self.names.index(name)]
        total = sum(self.state[layer].sum() for layer in before if layer in self.state)
        return self.originals[name].sum(dim=1) + total

    def read_targets(self, name):
        self.calls.append(f"targets of {name}")
        return self.originals[name]

    def prune_layer(self, name, patches, targets):
        self.calls.append(f"prune {name}")
        self.seen.append([name, patches.clone(), targets.clone()])
        kept = torch.tensor([self.names.index(name), 7])
        return kept, targets * 0.5 + patches[:, None]

    def write(self, name, kept, weight):
        self.calls.append(f"write {name}")
        self.seen.append([name, kept.clone(), weight.clone()])
        self.state[name] = weight.clone()


def whole_order(lab, network, layers):
    kept = lab.prune_in_order(
        layers, network.read_inputs, network.read_targets, network.prune_layer, network.write
    )
    return {
        "returned": kept,
        "order of the names": list(kept),
        "pruned and written": network.seen,
        "network": network.state,
        "each call once": sorted(network.calls),
    }


@check("prune_in_order", tolerance=ROUNDING, weight=2)
def inputs_of_the_pruned_network(lab, rng):
    """Each layer is pruned with the inputs that the network, pruned so far, gives it, and with its original outputs."""
    return whole_order(lab, Network(rng, ["a", "b", "c", "d"]), ["a", "b", "c", "d"])


@check("prune_in_order", tolerance=ROUNDING)
def only_the_named_layers(lab, rng):
    """Only the named layers are pruned, in the order of the list, whatever their names."""
    return whole_order(lab, Network(rng, ["z", "m", "a", "k"]), ["z", "a", "k"])


@check("prune_in_order", tolerance=ROUNDING)
def one_layer_or_none(lab, rng):
    """One layer will do; without layers nothing is called and the dictionary is empty."""
    return {
        "one": whole_order(lab, Network(rng, ["a", "b"]), ["b"]),
        "none": whole_order(lab, Network(rng, ["a", "b"]), []),
    }


@check("prune_in_order", tolerance=exact)
def prune_in_order_refuses(lab, rng):
    """A layer that is named twice raises ValueError before anything is called; a good list does not."""
    network = Network(rng, ["a", "b"])
    error = error_of(lambda: whole_order(lab, network, ["a", "b", "a"]))
    calls = len(network.calls)
    return {
        "twice": error,
        "calls": calls,
        "good": error_of(lambda: whole_order(lab, network, ["a", "b"])),
    }
