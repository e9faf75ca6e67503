"""Hidden checks of lab 11. Experiments only: they observe, and no expected answer stands here."""

import random
from collections import Counter

import numpy as np
import torch
from torch import nn

from autograder.experiment import check, close, error_of, exact

ROUNDING = close(1e-4, 1e-6)  # of float32 sums in another order


def normal(rng, *shape, dtype=torch.float32):
    return torch.randn(*shape, generator=rng, dtype=dtype)


def between(rng, low, high):
    return int(torch.randint(low, high, (1,), generator=rng))


def chain(rng, layers):
    """The multiply-adds of a chain of layers: each pair of neighbours costs the product of their widths."""
    prices = [between(rng, 3, 9) for _ in range(layers + 1)]

    def macs(widths):
        padded = (1, *widths, 1)
        return sum(price * a * b for price, a, b in zip(prices, padded, padded[1:]))

    return macs


def generator_of(rng):
    return torch.Generator().manual_seed(between(rng, 0, 10**9))


def other_random_states():
    """Fingerprints of the random states that a function of this lab has no business with."""
    return [
        int(torch.get_rng_state().long().sum()),
        int(np.random.get_state()[1].astype(np.int64).sum()) + int(np.random.get_state()[2]),
        hash(random.getstate()) % 10**9,
    ]


def far(counts, size, cells, total):
    """Whether a frequency is further from 1 / cells than chance allows (about six standard deviations)."""
    share = 1 / cells
    slack = 6 * (share * (1 - share) / total) ** 0.5
    return len(counts) != size or any(abs(count / total - share) > slack for count in counts.values())


# --- uniform_widths --------------------------------------------------------------------------------------------


@check("uniform_widths", tolerance=exact, weight=2)
def the_largest_that_fits(lab, rng):
    """The largest common ratio whose network is within the budget, for budgets of every size."""
    full = (16, 32, 64, 128)
    macs = chain(rng, 4)
    shares = (0.9, 0.7, 0.5, 0.3, 0.1)
    return {f"budget {s}": lab.uniform_widths(full, macs, int(s * macs(full)), 64) for s in shares}


@check("uniform_widths", tolerance=exact)
def rounded_and_at_least_one(lab, rng):
    """A layer keeps Python's round of k * f / steps, and at least 1, also where the layers are narrow."""
    full = (3, 5, 10, 2)
    macs = chain(rng, 4)
    budgets = {
        f"steps {n}": [macs(tuple(max(1, round(k * f / n)) for f in full)) for k in range(1, n + 1)]
        for n in (4, 8)
    }
    return {
        name: [lab.uniform_widths(full, macs, budget, int(name.split()[1])) for budget in values]
        for name, values in budgets.items()
    }


@check("uniform_widths", tolerance=exact)
def exactly_the_budget(lab, rng):
    """A network that needs exactly the budget fits; one multiply-add less, and it does not."""
    full = (8, 16, 24)
    macs = chain(rng, 3)
    cost = macs((5, 10, 15))
    return {
        "exactly": lab.uniform_widths(full, macs, cost, 8),
        "one less": lab.uniform_widths(full, macs, cost - 1, 8),
        "everything": lab.uniform_widths(full, macs, macs(full), 8),
        "more than everything": lab.uniform_widths(full, macs, 10 * macs(full), 8),
        "one layer, one step": lab.uniform_widths([7], lambda widths: 2 * widths[0], 14, 1),
        "type": type(lab.uniform_widths(full, macs, cost, 8)).__name__,
    }


@check("uniform_widths", tolerance=exact)
def uniform_widths_refuses(lab, rng):
    """No layer, a width or steps below 1, or a budget below the smallest network raise ValueError; good input does not."""
    macs = chain(rng, 2)
    cases = {
        "no layer": ((), lambda widths: 0, 10, 4),
        "a width of 0": ((8, 0), macs, 10**6, 4),
        "no step": ((8, 8), macs, 10**6, 0),
        "too small a budget": ((8, 8), macs, macs((2, 2)) - 1, 4),
        "good": ((8, 8), macs, macs((2, 2)), 4),
    }
    return {name: error_of(lambda c=case: lab.uniform_widths(*c)) for name, case in cases.items()}


# --- sample_widths ---------------------------------------------------------------------------------------------


def small_space(rng):
    """Three layers of four levels, out of order, and a window that holds eleven of the 64 vectors."""
    levels = [[2, 8, 4, 6], [3, 12, 6, 9], [10, 4, 2, 8]]
    macs = chain(rng, 3)
    every = sorted(macs((a, b, c)) for a in levels[0] for b in levels[1] for c in levels[2])
    start = between(rng, 20, 30)
    return levels, macs, (every[start], every[start + 10])


def inside(levels, macs, window):
    return {
        (a, b, c)
        for a in levels[0]
        for b in levels[1]
        for c in levels[2]
        if window[0] <= macs((a, b, c)) <= window[1]
    }


DRAWS = 900


def well_drawn(answer, rng):
    """Whether the draws are width vectors of the window, all of them occur, and none more often than the others."""
    levels, macs, window = small_space(rng)
    allowed = inside(levels, macs, window)
    as_asked = all(isinstance(w, tuple) and len(w) == 3 and all(type(x) is int for x in w) for w in answer)
    counts = Counter(tuple(widths) for widths in answer)
    return {
        "tuples of whole numbers": as_asked,
        "levels of the layers": all(
            len(w) == 3 and all(x in level for x, level in zip(w, levels)) for w in answer
        ),
        "within the window": all(len(w) == 3 and window[0] <= macs(tuple(w)) <= window[1] for w in answer),
        "last levels too": any(w[-1:] == (levels[-1][-1],) or w[:1] == (levels[0][-1],) for w in answer),
        "every vector as often": len(answer) == DRAWS and not far(counts, len(allowed), len(allowed), DRAWS),
    }


@check("sample_widths", tolerance=exact, weight=3, measure=well_drawn)
def every_network_as_often(lab, rng):
    """Widths are levels of their layers, in the window, and every vector in it is drawn equally often."""
    levels, macs, window = small_space(rng)
    generator = generator_of(rng)
    return [lab.sample_widths(levels, macs, window, generator, 5000) for _ in range(DRAWS)]


def two_ends(rng):
    """A space, its smallest and its largest network: each is the only one with its multiply-adds."""
    levels, macs, _ = small_space(rng)
    levels = [sorted(layer) for layer in levels]
    return (
        levels,
        macs,
        {"least": macs([layer[0] for layer in levels]), "most": macs([layer[-1] for layer in levels])},
    )


def at_the_ends(answer, rng):
    _, macs, ends = two_ends(rng)
    return {
        end: isinstance(answer.get(end), tuple) and macs(answer[end]) == cost for end, cost in ends.items()
    }


@check("sample_widths", tolerance=exact, measure=at_the_ends)
def both_ends_are_allowed(lab, rng):
    """A network with exactly the least or exactly the most multiply-adds is in the window."""
    levels, macs, ends = two_ends(rng)
    generator = generator_of(rng)
    return {
        end: lab.sample_widths(levels, macs, (cost, cost), generator, 20_000) for end, cost in ends.items()
    }


def same_state_same_draws(answer, rng):
    return {
        "the same state": answer["first"] == answer["again"],
        "the state moves on": len(set(answer["first"])) > 1,
        "another state": answer["first"] != answer["other"],
        "other random states": answer["before"] == answer["after"],
    }


@check("sample_widths", tolerance=exact, measure=same_state_same_draws)
def randomness_from_the_generator(lab, rng):
    """All randomness comes from the generator, which moves on and is not seeded anew."""
    levels, macs, window = small_space(rng)
    seed = between(rng, 0, 10**9)
    before, found = other_random_states(), {}
    for name, start in (("first", seed), ("again", seed), ("other", seed + 1)):
        generator = torch.Generator().manual_seed(start)
        found[name] = [lab.sample_widths(levels, macs, window, generator, 5000) for _ in range(12)]
    return found | {"before": before, "after": other_random_states()}


@check("sample_widths", tolerance=exact)
def sample_widths_refuses(lab, rng):
    """No layer, no level, a window upside down, no try or a window that no network meets raise ValueError."""
    levels, macs, window = small_space(rng)
    cases = {
        "no layer": ([], lambda widths: 5, (0, 10), 3),
        "no level": ([[1, 2], []], lambda widths: 5, (0, 10), 3),
        "upside down": (levels, macs, (window[1], window[0]), 50),
        "no try": (levels, macs, (0, 10**9), 0),
        "nothing in the window": (levels, macs, (10**8, 10**9), 50),
        "good": (levels, macs, (0, 10**9), 1),
    }
    return {
        name: error_of(lambda c=c: lab.sample_widths(*c[:3], generator_of(rng), c[3]))
        for name, c in cases.items()
    }


# --- adapt_batchnorm -------------------------------------------------------------------------------------------


def network(rng, dropout=0.0):
    """A small network with two BatchNorm layers whose statistics and parameters are far from any default."""
    layers = {
        "conv": nn.Conv2d(2, 4, 3),
        "bn": nn.BatchNorm2d(4, momentum=0.3),
        "relu": nn.ReLU(),
        "drop": nn.Dropout(dropout),
        "flat": nn.Flatten(),
        "fc": nn.Linear(36, 5),
        "norm": nn.BatchNorm1d(5),
        "out": nn.Linear(5, 3),
    }
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(normal(rng, *parameter.shape))
    for layer in (model.bn, model.norm):
        layer.running_mean.copy_(3 + normal(rng, layer.num_features))
        layer.running_var.copy_(2 + torch.rand(layer.num_features, generator=rng))
        layer.num_batches_tracked.fill_(between(rng, 20, 90))
    return model


def some_batches(rng, sizes=(12, 9, 5)):
    return [normal(rng, size, 2, 5, 5) * (1 + place) + place for place, size in enumerate(sizes)]


def statistics(model):
    return {
        name: [layer.running_mean, layer.running_var, layer.num_batches_tracked]
        for name, layer in model.named_modules()
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d))
    }


@check("adapt_batchnorm", tolerance=ROUNDING, weight=3)
def the_average_of_the_batches(lab, rng):
    """The new statistics are the plain average over the batches, whatever stood there before; a small batch weighs as much."""
    results = {}
    for sizes in ((12, 9, 5), (8,), (6, 6, 6, 6)):
        model = network(rng).eval()
        lab.adapt_batchnorm(model, some_batches(rng, sizes))
        results[f"batches of {sizes}"] = statistics(model)
    nested = nn.Sequential(nn.Identity(), nn.Sequential(network(rng)))
    lab.adapt_batchnorm(nested, some_batches(rng))
    return results | {"deeper inside": statistics(nested)}


@check("adapt_batchnorm", tolerance=ROUNDING)
def dropout_drops_nothing(lab, rng):
    """Only BatchNorm is in training mode in these passes: dropout drops nothing, in whatever mode the model is."""
    results = {}
    for training in (True, False):
        model = network(rng, dropout=0.6).train(training)
        lab.adapt_batchnorm(model, some_batches(rng))
        results[f"training {training}"] = statistics(model)
    return results


@check("adapt_batchnorm", tolerance=exact)
def everything_else_is_as_before(lab, rng):
    """Parameters, gradients, `momentum` and the mode of every module are as before; nothing is returned."""
    model = network(rng)
    model.train()
    model.bn.eval()
    model.drop.eval()
    model.norm.momentum = None
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    returned = lab.adapt_batchnorm(model, some_batches(rng))
    mixed = {name: module.training for name, module in model.named_modules()}
    grads = [parameter.grad for parameter in model.parameters()]
    model.eval()
    lab.adapt_batchnorm(model, some_batches(rng))
    return {
        "returns nothing": returned is None,
        "mixed": mixed,
        "evaluation": [module.training for module in model.modules()],
        "parameters": [parameter.detach() for parameter in model.parameters()],
        "trained": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": grads,
        "momentum": [model.bn.momentum, model.norm.momentum],
    }


class Witness(nn.Module):
    """Passes its input on; notes the size of each batch, its own mode and whether gradients are recorded."""

    def __init__(self, breaks_at=0):
        super().__init__()
        self.seen, self.breaks_at = [], breaks_at

    def forward(self, x):
        self.seen.append([len(x), self.training, torch.is_grad_enabled()])
        if len(self.seen) == self.breaks_at:
            raise ZeroDivisionError("the forward pass failed")
        return x


@check("adapt_batchnorm", tolerance=exact)
def one_pass_without_gradients(lab, rng):
    """Each batch goes through the model once, in its order, and no gradients are recorded."""
    model = nn.Sequential(Witness(), network(rng)).train()
    lab.adapt_batchnorm(model, some_batches(rng))
    enabled = torch.is_grad_enabled()
    return {"seen": model[0].seen, "gradients afterwards": enabled}


@check("adapt_batchnorm", tolerance=ROUNDING)
def other_layers_are_left_alone(lab, rng):
    """A BatchNorm without running statistics, another kind of norm, and a network without any are left alone."""
    bare = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.InstanceNorm1d(6)
    ).eval()
    linear = nn.Linear(4, 3)
    tracked = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Unflatten(1, (6, 1, 1)), nn.BatchNorm2d(6, affine=False)
    )
    kept = nn.InstanceNorm1d(4, track_running_stats=True)
    with torch.no_grad():
        for parameter in [*bare.parameters(), *linear.parameters(), *tracked.parameters()]:
            parameter.copy_(normal(rng, *parameter.shape))
    mixed = nn.Sequential(
        nn.Unflatten(1, (4, 1)), nn.Upsample(scale_factor=3), kept, nn.Flatten(), nn.BatchNorm1d(12)
    )
    batches = [normal(rng, 7, 4), normal(rng, 5, 4)]
    for model in (bare[:2], linear, tracked, mixed):
        lab.adapt_batchnorm(model, batches)
    return {
        "tracked": statistics(tracked),
        "mixed": statistics(mixed),
        "instance norm": [kept.running_mean, kept.running_var],
    }


@check("adapt_batchnorm", tolerance=exact)
def given_back_after_an_error(lab, rng):
    """When a forward pass raises, its error is passed on, and modes and `momentum` are as before."""
    model = nn.Sequential(network(rng), Witness(breaks_at=2)).train()
    model[0].bn.eval()
    return {
        "error": error_of(lambda: lab.adapt_batchnorm(model, some_batches(rng))),
        "modes": [module.training for module in model.modules()],
        "momentum": [model[0].bn.momentum, model[0].norm.momentum],
    }


@check("adapt_batchnorm", tolerance=exact)
def adapt_batchnorm_refuses(lab, rng):
    """No batch raises ValueError, and the statistics are then as before; good input does not raise."""
    model = network(rng)
    empty = error_of(lambda: lab.adapt_batchnorm(model, []))
    before = {name: [value.clone() for value in values] for name, values in statistics(model).items()}
    modes = [module.training for module in model.modules()]
    return {
        "empty": empty,
        "statistics": before,
        "modes": modes,
        "good": error_of(lambda: lab.adapt_batchnorm(model, some_batches(rng))),
    }


# --- rank_correlation ------------------------------------------------------------------------------------------


@check("rank_correlation", tolerance=close(1e-6, 1e-9), weight=2)
def without_ties(lab, rng):
    """The order counts, and not the distances: on numbers without ties, related strongly, weakly and not at all."""
    x = normal(rng, 30)
    return {f"noise {s}": lab.rank_correlation(x, x.exp() + s * normal(rng, 30)) for s in (0.1, 1.0, 5.0)} | {
        "reversed": lab.rank_correlation(x, -(x**3)),
        "two": lab.rank_correlation(x[:2], x[:2].flip(0)),
    }


@check("rank_correlation", tolerance=close(1e-6, 1e-9), weight=2)
def with_ties(lab, rng):
    """Equal numbers share the mean of their ranks, in either list and in both."""
    grades = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 3, 3])[torch.randperm(10, generator=rng)]
    scores = torch.tensor([5, 5, 6, 6, 6, 7, 8, 8, 9, 9])[torch.randperm(10, generator=rng)]
    x = normal(rng, 10)
    return {
        "in the first": lab.rank_correlation(grades, x),
        "in the second": lab.rank_correlation(x, grades),
        "in both": lab.rank_correlation(grades, scores),
        "with itself": lab.rank_correlation(grades, grades),
        "reversed": lab.rank_correlation(grades, -grades),
        "two values": lab.rank_correlation((grades > 1).long(), (scores > 6).long()),
    }


@check("rank_correlation", tolerance=close(1e-6, 1e-9))
def numbers_of_any_kind(lab, rng):
    """Any two dtypes and memory layouts will do; the answer is a Python float, and nothing is changed."""
    integers = torch.randperm(14, generator=rng)
    strided = normal(rng, 14, 3, dtype=torch.float64)[:, 1]
    parameter = nn.Parameter(normal(rng, 14))
    large = torch.arange(3000).double() + 1500 * torch.rand(3000, generator=rng, dtype=torch.float64)
    return {
        "int64, float64": lab.rank_correlation(integers, strided),
        "float16, parameter": lab.rank_correlation(strided.half(), parameter),
        "many": lab.rank_correlation(large, large.flip(0)),
        "nearly equal": lab.rank_correlation(1 + 1e-12 * strided, integers),
        "afterwards": [integers, strided, parameter],
    }


@check("rank_correlation", tolerance=exact)
def rank_correlation_refuses(lab, rng):
    """Other lengths, another number of dimensions, fewer than two numbers or all equal raise ValueError."""
    x = normal(rng, 6)
    cases = {
        "other length": (x, x[:5]),
        "two dimensions": (x.view(2, 3), x.view(2, 3)),
        "one number": (x[:1], x[:1]),
        "none": (x[:0], x[:0]),
        "all equal": (x, torch.ones(6)),
        "all equal, first": (torch.full((6,), 0.1), x),
        "good": (x, x),
    }
    return {name: error_of(lambda c=case: lab.rank_correlation(*c)) for name, case in cases.items()}


# --- evolve ----------------------------------------------------------------------------------------------------

WIDE = (0, 10**12)  # a window that every network meets


def product(widths):
    return 100 * widths[0] + sum(widths)


@check("evolve", tolerance=exact, weight=2)
def the_best_pass_unchanged(lab, rng):
    """The fittest vectors come first, the fittest of all in front; of equal fitness the earlier; the size stays."""
    levels = [[1, 2, 3, 4, 5, 6, 7, 8]] * 4
    population = [tuple(between(rng, 1, 9) for _ in range(4)) for _ in range(9)]
    fitness = [0.5, 0.8, 0.5, 0.1, 0.8, 0.3, 0.8, -0.2, 0.5]
    results = {}
    for elites in (0, 1, 2, 5, 9):
        new = lab.evolve(population, fitness, levels, product, WIDE, 4, elites, 0.5, generator_of(rng))
        results[f"{elites} elites"] = [new[:elites], len(new), type(new) is list]
    return results | {"population": population, "fitness": fitness}


CHILDREN = 640


def two_families(rng):
    """A population whose two fittest members differ in every layer; the others are like neither."""
    best, second = (1, 2, 3, 4), (5, 6, 7, 8)
    population = [(9, 9, 9, 9)] * (CHILDREN - 2) + [second, best]
    fitness = torch.rand(CHILDREN - 2, generator=rng).tolist() + [2.0, 3.0]
    return population, fitness, best, second


def crossed(answer, rng):
    _, _, best, second = two_families(rng)
    mine = [
        child
        for child in answer
        if len(child) == 4 and all(c in pair for c, *pair in zip(child, best, second))
    ]
    counts = Counter(tuple(child) for child in mine)
    return {
        "widths of the two parents": len(mine) == CHILDREN,
        "every mixture occurs": len(counts) == 16,
        "each layer by itself, from either": not far(counts, 16, 16, CHILDREN),
        "tuples of whole numbers": all(
            isinstance(c, tuple) and all(type(x) is int for x in c) for c in answer
        ),
    }


@check("evolve", tolerance=exact, weight=2, measure=crossed)
def children_of_two_parents(lab, rng):
    """Without mutation each layer's width comes from one of two of the fittest, each with probability 1/2, by itself."""
    population, fitness, _, _ = two_families(rng)
    levels = [list(range(1, 10))] * 4
    return lab.evolve(population, fitness, levels, product, WIDE, 2, 0, 0.0, generator_of(rng))


def pairs(answer, rng):
    """With five constant parents a child tells its pair; each of the ten pairs is as likely."""
    found = Counter(frozenset(child) for child in answer if len(set(child)) == 2)
    alone = sum(1 for child in answer if len(set(child)) == 1)
    total = sum(found.values())
    return {
        "only the parents": all(set(child) <= {1, 2, 3, 4, 5} for child in answer),
        "every pair as often": total > 0 and not far(found, 10, 10, total),
        "few are of one parent": alone < 0.08 * len(answer),  # 2 of 2 ** 6 are expected
        "number": len(answer),
    }


@check("evolve", tolerance=exact, measure=pairs)
def every_pair_as_often(lab, rng):
    """Parents are two different ones of the fittest, and every pair is as likely as any other."""
    population = [(place,) * 6 for place in (1, 2, 3, 4, 5)] + [(9,) * 6] * 635
    fitness = [float(10 - place) for place in range(5)] + [0.0] * 635
    levels = [list(range(1, 10))] * 6
    return lab.evolve(population, fitness, levels, product, WIDE, 5, 0, 0.0, generator_of(rng))


def mutations(answer, rng):
    """All the parents are equal: what differs is a mutation."""
    changed = [sum(x != 5 for x in child) for child in answer]
    share = sum(changed) / (4 * len(answer))
    spread = np.var(changed)
    fresh = Counter(x for child in answer for x in child if x != 5)
    total = sum(fresh.values())
    return {
        "a share of rate * 3 / 4 is new": abs(share - 0.3)
        < 0.055,  # rate 0.4, four levels of which one is the old
        "each layer by itself": 0.5 < spread < 1.25,  # 4 * 0.3 * 0.7 = 0.84 where independent
        "each level as often": total > 0 and not far(fresh, 3, 3, total),
        "number": len(answer),
    }


@check("evolve", tolerance=exact, weight=2, measure=mutations)
def each_layer_mutates_by_itself(lab, rng):
    """Each layer of a child mutates by itself with probability `rate`, to any of the layer's levels."""
    population = [(5, 5, 5, 5)] * 640
    levels = [[5, 2, 7, 9]] * 4
    return lab.evolve(population, [0.0] * 640, levels, product, WIDE, 6, 0, 0.4, generator_of(rng))


def tight(rng):
    levels = [[2, 4, 6, 8], [3, 6, 9, 12], [2, 4, 8, 10]]
    macs = chain(rng, 3)
    every = sorted((macs((a, b, c)), (a, b, c)) for a in levels[0] for b in levels[1] for c in levels[2])
    start = between(rng, 20, 30)
    chosen = every[start : start + 12]
    return levels, macs, (chosen[0][0], chosen[-1][0]), [w for _, w in chosen]


def in_the_window(answer, rng):
    levels, macs, window, _ = tight(rng)
    found = {}
    for name, children in answer.items():
        costs = [macs(tuple(child)) for child in children]
        found[name] = {
            "none below the least": min(costs) >= window[0],
            "none above the most": max(costs) <= window[1],
            "levels": all(len(c) == 3 and all(x in layer for x, layer in zip(c, levels)) for c in children),
            "number": len(children),
            "not only copies": name == "crossing alone" or len(set(children)) > 4,
        }
    return found


@check("evolve", tolerance=exact, weight=2, measure=in_the_window)
def children_keep_the_budget(lab, rng):
    """Every child is in the window, its ends included, after crossing and after mutation; others are thrown away."""
    levels, macs, window, vectors = tight(rng)
    population = [vectors[place % len(vectors)] for place in range(300)]
    fitness = torch.rand(300, generator=rng).tolist()
    return {
        name: lab.evolve(population, fitness, levels, macs, window, 150, 3, rate, generator_of(rng))
        for name, rate in (("crossing alone", 0.0), ("mutating", 0.5))
    }


def same_generation(answer, rng):
    return {
        "the same state": answer["first"] == answer["again"],
        "another state": answer["first"] != answer["other"],
        "the state moves on": answer["first"] != answer["next"],
        "other random states": answer["before"] == answer["after"],
    }


@check("evolve", tolerance=exact, measure=same_generation)
def evolution_from_the_generator(lab, rng):
    """All randomness comes from the generator, which moves on and is not seeded anew."""
    levels, macs, window, vectors = tight(rng)
    population = [vectors[place % len(vectors)] for place in range(30)]
    fitness, seed = torch.rand(30, generator=rng).tolist(), between(rng, 0, 10**9)
    before, found = other_random_states(), {}
    for name, start in (("first", seed), ("again", seed), ("other", seed + 1)):
        generator = torch.Generator().manual_seed(start)
        found[name] = lab.evolve(population, fitness, levels, macs, window, 15, 2, 0.5, generator)
        if name == "first":
            found["next"] = lab.evolve(population, fitness, levels, macs, window, 15, 2, 0.5, generator)
    return found | {"before": before, "after": other_random_states()}


@check("evolve", tolerance=exact)
def evolve_refuses(lab, rng):
    """Fitness that does not fit, and parents, elites or a rate outside their bounds raise ValueError."""
    levels, macs, window, vectors = tight(rng)
    population, fitness = vectors[:6], torch.rand(6, generator=rng).tolist()
    cases = {
        "fitness too short": (fitness[:5], 3, 1, 0.2),
        "one parent": (fitness, 1, 1, 0.2),
        "too many parents": (fitness, 7, 1, 0.2),
        "too many elites": (fitness, 3, 7, 0.2),
        "elites below 0": (fitness, 3, -1, 0.2),
        "rate above 1": (fitness, 3, 1, 1.2),
        "rate below 0": (fitness, 3, 1, -0.2),
        "good": (fitness, 6, 6, 1.0),
    }
    return {
        name: error_of(
            lambda c=c: lab.evolve(
                population, c[0], levels, macs, window, c[1], c[2], c[3], generator_of(rng)
            )
        )
        for name, c in cases.items()
    }


# --- reinforce_step --------------------------------------------------------------------------------------------


def samples(rng, n, layers, levels, dtype=torch.float32):
    logits = normal(rng, layers, levels, dtype=dtype)
    actions = torch.randint(levels, (n, layers), generator=rng)
    rewards = 0.5 + 0.2 * torch.rand(n, generator=rng, dtype=dtype)
    return logits, actions, rewards


@check("reinforce_step", tolerance=ROUNDING, weight=3)
def the_policy_gradient(lab, rng):
    """The step goes up the average of (reward - baseline) times the gradient of log p."""
    baseline = 0.4 + 0.4 * float(torch.rand(1, generator=rng))
    return {
        f"{n} samples": lab.reinforce_step(*samples(rng, n, 4, 7), baseline, 1.7, 0.8) for n in (1, 2, 12)
    }


@check("reinforce_step", tolerance=ROUNDING, weight=2)
def the_old_baseline_now(lab, rng):
    """The step uses the baseline that was given; the new one mixes it with the mean reward by `decay`."""
    logits, actions, rewards = samples(rng, 6, 3, 5)
    return {
        f"decay {d}, baseline {b}": lab.reinforce_step(logits, actions, rewards, b, 0.9, d)
        for d in (0.0, 0.3, 0.9, 1.0)
        for b in (0.0, 0.55, 3.0)
    }


@check("reinforce_step", tolerance=ROUNDING)
def equal_rewards(lab, rng):
    """Where every reward equals the baseline nothing moves; one level alone has nothing to learn; lr scales the step."""
    logits, actions, rewards = samples(rng, 5, 3, 4)
    return {
        "all equal": lab.reinforce_step(logits, actions, torch.full((5,), 0.5), 0.5, 2.0, 0.5),
        "one level": lab.reinforce_step(
            normal(rng, 3, 1), torch.zeros(5, 3, dtype=torch.int64), rewards, 0.0, 2.0, 0.5
        ),
        "lr 0": lab.reinforce_step(logits, actions, rewards, 0.1, 0.0, 0.5),
        "square": lab.reinforce_step(*samples(rng, 5, 5, 5), 0.1, 1.0, 0.5),
    }


@check("reinforce_step", tolerance=close(1e-6, 1e-9))
def tensors_of_any_kind(lab, rng):
    """float64 and any memory layout will do; what is given is not changed, and the result has no gradient history."""
    logits, actions, rewards = samples(rng, 8, 6, 3, dtype=torch.float64)
    turned = normal(rng, 3, 6, dtype=torch.float64).t()
    parameter = nn.Parameter(logits.clone())
    with_history = lab.reinforce_step(parameter, actions, rewards, 0.6, 0.5, 0.9)
    return {
        "float64": lab.reinforce_step(logits, actions, rewards, 0.6, 0.5, 0.9),
        "not contiguous": lab.reinforce_step(turned, actions, rewards, 0.6, 0.5, 0.9),
        "large logits": lab.reinforce_step(300 * logits, actions, rewards, 0.6, 0.5, 0.9),
        "a parameter": with_history,
        "history": [with_history[0].requires_grad, parameter.grad],
        "afterwards": [logits, turned, parameter, actions, rewards],
    }


@check("reinforce_step", tolerance=exact)
def reinforce_step_refuses(lab, rng):
    """Shapes that do not fit, no sample, an action that is no level or a wrong decay raise ValueError."""
    logits, actions, rewards = samples(rng, 4, 3, 5)
    cases = {
        "another number of layers": (logits, actions[:, :2], rewards, 0.9),
        "another number of rewards": (logits, actions, rewards[:3], 0.9),
        "no sample": (logits, actions[:0], rewards[:0], 0.9),
        "level too high": (logits, torch.full_like(actions, 5), rewards, 0.9),
        "level below 0": (logits, torch.full_like(actions, -1), rewards, 0.9),
        "logits of one dimension": (logits[0], actions, rewards, 0.9),
        "decay above 1": (logits, actions, rewards, 1.5),
        "decay below 0": (logits, actions, rewards, -0.5),
        "good": (logits, actions, rewards, 1.0),
    }
    return {
        name: error_of(lambda c=c: lab.reinforce_step(c[0], c[1], c[2], 0.5, 0.1, c[3]))
        for name, c in cases.items()
    }
