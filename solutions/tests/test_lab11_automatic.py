"""Lab 11's reference against independent oracles: SciPy, autograd, brute force, NumPy's averages, exact probabilities."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from solutions.lab11_automatic import (
    adapt_batchnorm,
    evolve,
    rank_correlation,
    reinforce_step,
    sample_widths,
    uniform_widths,
)

quick = settings(deadline=None, max_examples=40)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def chain(widths):
    """Multiply-adds of a chain: neighbours cost the product of their widths."""
    padded = (1, *widths, 1)
    return sum(3 * a * b for a, b in itertools.pairwise(padded))


# --- uniform_widths --------------------------------------------------------------------------------------------


@quick
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 12), st.floats(0.05, 1.2))
def test_no_larger_ratio_fits(full, steps, share):
    budget = int(share * chain(full))
    tried = [tuple(max(1, round(k * width / steps)) for width in full) for k in range(1, steps + 1)]
    fitting = [widths for widths in tried if chain(widths) <= budget]
    if not fitting:
        with pytest.raises(ValueError, match="multiply-adds"):
            uniform_widths(full, chain, budget, steps)
    else:
        found = uniform_widths(full, chain, budget, steps)
        assert found == fitting[-1] and chain(found) == max(map(chain, fitting))


@pytest.mark.parametrize(("full", "steps"), [((), 4), ((8, 0), 4), ((8, 8), 0)])
def test_uniform_widths_refuses(full, steps):
    with pytest.raises(ValueError, match="1 or more"):
        uniform_widths(full, chain, 10**9, steps)


# --- sample_widths ---------------------------------------------------------------------------------------------

LEVELS = [[2, 8, 4], [9, 3, 6], [5, 1, 2, 3]]


def test_every_vector_of_the_window_is_as_likely_as_any_other():
    window = (130, 240)
    allowed = [w for w in itertools.product(*LEVELS) if window[0] <= chain(w) <= window[1]]
    assert 5 < len(allowed) < 30
    source = generator()
    counts = Counter(sample_widths(LEVELS, chain, window, source, 1000) for _ in range(6000))
    assert set(counts) == set(allowed)
    assert stats.chisquare([counts[w] for w in allowed]).pvalue > 1e-4


def test_sample_widths_takes_only_its_generator():
    state = torch.get_rng_state()
    one, two = generator(5), generator(5)
    first = [sample_widths(LEVELS, chain, (0, 10**6), one, 1) for _ in range(20)]
    assert first == [sample_widths(LEVELS, chain, (0, 10**6), two, 1) for _ in range(20)]
    assert len(set(first)) > 5 and torch.equal(state, torch.get_rng_state())
    assert all(type(width) is int for widths in first for width in widths)


@pytest.mark.parametrize(
    ("levels", "window", "tries"),
    [
        ([], (0, 9), 1),
        ([[1], []], (0, 9), 1),
        (LEVELS, (9, 8), 1),
        (LEVELS, (0, 9), 0),
        (LEVELS, (10**8, 10**9), 50),
    ],
)
def test_sample_widths_refuses(levels, window, tries):
    with pytest.raises(ValueError, match="layer|window"):
        sample_widths(levels, chain, window, generator(), tries)


# --- adapt_batchnorm -------------------------------------------------------------------------------------------


def network(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Sequential(nn.Linear(27, 4), nn.BatchNorm1d(4))
    )  # fmt: skip
    model[1].running_mean.fill_(7.0)
    model[1].num_batches_tracked.fill_(50)
    return model.double()


def by_numpy(model, batches):
    """The definition, layer after layer: each batch is normalised by its own statistics on the way."""
    means, variances = {1: [], 5: []}, {1: [], 5: []}
    for batch in batches:
        with torch.no_grad():
            x = model[0](batch).numpy()
        means[1].append(x.mean(axis=(0, 2, 3)))
        variances[1].append(x.var(axis=(0, 2, 3), ddof=1))
        weight, bias = (p.detach().numpy()[None, :, None, None] for p in (model[1].weight, model[1].bias))
        biased = x.var(axis=(0, 2, 3), keepdims=True)
        x = weight * (x - x.mean(axis=(0, 2, 3), keepdims=True)) / np.sqrt(biased + model[1].eps) + bias
        x = np.maximum(x, 0).reshape(len(x), -1)
        x = x @ model[5][0].weight.detach().numpy().T + model[5][0].bias.detach().numpy()
        means[5].append(x.mean(axis=0))
        variances[5].append(x.var(axis=0, ddof=1))
    return {layer: (np.mean(means[layer], axis=0), np.mean(variances[layer], axis=0)) for layer in means}


@pytest.mark.parametrize("sizes", [(6,), (8, 3), (5, 5, 2, 7)])
@pytest.mark.parametrize("training", [True, False])
def test_the_statistics_are_averages_of_the_batches(sizes, training):
    model = network().train(training)
    model[1].eval()
    modes = [module.training for module in model.modules()]
    parameters = [p.clone() for p in model.parameters()]
    batches = [torch.randn(n, 2, 5, 5, generator=generator(n), dtype=torch.float64) for n in sizes]
    assert adapt_batchnorm(model, batches) is None
    for layer, (mean, variance) in by_numpy(model, batches).items():
        norm = model[1] if layer == 1 else model[5][1]
        assert np.allclose(norm.running_mean.numpy(), mean) and np.allclose(
            norm.running_var.numpy(), variance
        )
        assert norm.num_batches_tracked == len(sizes) and norm.momentum == 0.1
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(a, b) for a, b in zip(parameters, model.parameters(), strict=True))


def test_after_one_batch_the_evaluation_mode_nearly_normalises_that_batch():
    norm = nn.BatchNorm1d(3).eval()
    batch = 5 + 2 * torch.randn(4000, 3, generator=generator())
    adapt_batchnorm(norm, [batch])
    assert torch.allclose(norm(batch).mean(dim=0), torch.zeros(3), atol=1e-4)
    assert torch.allclose(norm(batch).std(dim=0), torch.ones(3), atol=1e-3)


def test_modes_and_momentum_come_back_after_an_error():
    model = network().train()
    with pytest.raises(RuntimeError):
        adapt_batchnorm(model, [torch.zeros(4, 2, 5, 5).double(), torch.zeros(4, 1, 5, 5).double()])
    assert all(module.training for module in model.modules()) and model[1].momentum == 0.1
    with pytest.raises(ValueError, match="no batch"):
        adapt_batchnorm(model, [])


# --- rank_correlation ------------------------------------------------------------------------------------------


@quick
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=25))
def test_rank_correlation_is_scipy_s(pairs):
    x, y = (torch.tensor(values) for values in zip(*pairs, strict=True))
    assume(len(x.unique()) > 1 and len(y.unique()) > 1)
    expected = stats.spearmanr(x.numpy(), y.numpy()).statistic
    for first, second in ((x, y), (x.double(), y.half())):
        assert rank_correlation(first, second) == pytest.approx(expected, abs=1e-12)
    assert rank_correlation(y, x) == pytest.approx(expected, abs=1e-12)
    assert rank_correlation(x**3, -y) == pytest.approx(-expected, abs=1e-12)


@pytest.mark.parametrize("pair", [(3, 4), (1, 1), (0, 0)])
def test_rank_correlation_refuses(pair):
    with pytest.raises(ValueError, match="length"):
        rank_correlation(torch.arange(pair[0]), torch.arange(pair[1]))
    with pytest.raises(ValueError, match="equal"):
        rank_correlation(torch.ones(4), torch.arange(4))


# --- evolve ----------------------------------------------------------------------------------------------------


def child_probabilities(ranked, levels, macs, window, parents, rate):
    """The exact distribution of a child, by enumeration."""
    chances = Counter()
    pairs = list(itertools.permutations(range(parents), 2))
    for one, other in pairs:
        by_layer = []
        for layer, choices in enumerate(levels):
            chance = Counter()
            for parent in (one, other):
                chance[ranked[parent][layer]] += (1 - rate) / 2
            for width in choices:
                chance[width] += rate / len(choices)
            by_layer.append(chance)
        for child in itertools.product(*by_layer):
            if window[0] <= macs(child) <= window[1]:
                chances[child] += math.prod(c[w] for c, w in zip(by_layer, child, strict=True)) / len(pairs)
    total = sum(chances.values())
    return {child: chance / total for child, chance in chances.items()}


@pytest.mark.parametrize(("parents", "rate"), [(2, 0.0), (3, 0.25), (4, 1.0)])
def test_children_have_the_probabilities_of_the_contract(parents, rate):
    window = (100, 260)
    population = [w for w in itertools.product(*LEVELS) if window[0] <= chain(w) <= window[1]][:9]
    fitness = [float((7 * place) % 9) for place in range(9)]
    ranked = [w for _, w in sorted(zip(fitness, population, strict=True), reverse=True)]
    expected = child_probabilities(ranked, LEVELS, chain, window, parents, rate)
    source, counts = generator(3), Counter()
    for _ in range(450):
        counts.update(evolve(population, fitness, LEVELS, chain, window, parents, 0, rate, source))
    assert set(counts) <= {child for child, chance in expected.items() if chance > 0}
    common = [child for child, chance in expected.items() if chance * counts.total() >= 5]
    observed = [counts[child] for child in common] + [counts.total() - sum(counts[child] for child in common)]
    chances = [expected[child] for child in common] + [max(0.0, 1 - sum(expected[child] for child in common))]
    if chances[-1] * counts.total() < 1:
        observed, chances = observed[:-1], chances[:-1]
    scale = sum(observed) / sum(chances)
    assert stats.chisquare(observed, [chance * scale for chance in chances]).pvalue > 1e-4


def test_elites_pass_in_order_and_nothing_given_is_changed():
    population, fitness = [(2, 3, 1), (8, 6, 5), (4, 9, 2), (2, 6, 3)], [0.5, 0.9, 0.5, 0.1]
    copies = list(population), list(fitness)
    for elites in range(5):
        new = evolve(population, fitness, LEVELS, chain, (0, 10**6), 3, elites, 0.5, generator())
        assert new[:elites] == [(8, 6, 5), (2, 3, 1), (4, 9, 2), (2, 6, 3)][:elites] and len(new) == 4
    assert (population, fitness) == copies


def test_evolution_finds_the_best_of_a_small_space():
    """Brute force knows the optimum; generations of evolution get there."""
    window, target = (60, 300), (4, 6, 3)
    space = [w for w in itertools.product(*LEVELS) if window[0] <= chain(w) <= window[1]]

    def value(widths):
        return -sum(abs(a - b) for a, b in zip(widths, target, strict=True))

    source = generator(1)
    population = [sample_widths(LEVELS, chain, window, source, 1000) for _ in range(8)]
    for _ in range(12):
        population = evolve(
            population, [value(w) for w in population], LEVELS, chain, window, 4, 2, 0.3, source
        )
    assert population[0] == max(space, key=value)


@pytest.mark.parametrize(
    "change", [{"fitness": [1.0]}, {"parents": 1}, {"parents": 3}, {"elites": 3}, {"rate": 1.1}]
)
def test_evolve_refuses(change):
    arguments = {"fitness": [1.0, 2.0], "parents": 2, "elites": 1, "rate": 0.5} | change
    with pytest.raises(ValueError, match="do not fit"):
        evolve(
            [(2, 3, 1), (4, 3, 1)],
            levels=LEVELS,
            macs=chain,
            window=(0, 10**6),
            generator=generator(),
            **arguments,
        )


# --- reinforce_step --------------------------------------------------------------------------------------------


@quick
@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 9), st.integers(0, 999))
def test_the_step_is_autograd_s(layers, levels, n, seed):
    source = generator(seed)
    logits = torch.randn(layers, levels, generator=source, dtype=torch.float64)
    actions = torch.randint(levels, (n, layers), generator=source)
    rewards = torch.rand(n, generator=source, dtype=torch.float64)
    leaf = logits.clone().requires_grad_()
    log_p = torch.distributions.Categorical(logits=leaf.expand(n, -1, -1)).log_prob(actions).sum(dim=1)
    ((rewards - 0.3) * log_p).mean().backward()
    new, baseline = reinforce_step(logits, actions, rewards, 0.3, 0.7, 0.8)
    assert torch.allclose(new, logits + 0.7 * leaf.grad) and not new.requires_grad
    assert baseline == pytest.approx(0.8 * 0.3 + 0.2 * float(rewards.mean()))


@pytest.mark.parametrize("with_window", [False, True])
def test_the_mean_step_is_the_gradient_of_the_expected_reward(with_window):
    """By enumeration; inside a window (draws outside are thrown away) it holds where the baseline is the expected reward."""
    logits = torch.randn(3, 3, generator=generator(2), dtype=torch.float64)
    every = torch.tensor(list(itertools.product(range(3), repeat=3)))
    inside = every.sum(dim=1).ge(3) if with_window else torch.ones(27, dtype=torch.bool)
    rewards = torch.rand(27, generator=generator(4), dtype=torch.float64)

    def chances(theta):
        p = theta.log_softmax(dim=1)[torch.arange(3), every].sum(dim=1).exp() * inside
        return p / p.sum()

    leaf = logits.clone().requires_grad_()
    expected = (chances(leaf) * rewards).sum()
    expected.backward()
    p, mean = chances(logits), torch.zeros_like(logits)
    for place in torch.nonzero(inside).flatten().tolist():
        new, _ = reinforce_step(logits, every[[place]], rewards[[place]], expected.item(), 1.0, 0.5)
        mean += p[place] * (new - logits)
    assert torch.allclose(mean, leaf.grad)


@pytest.mark.parametrize(
    ("actions", "rewards", "decay"),
    [([[0, 1, 2]], [1.0], 0.5), ([[0, 4]], [1.0], 0.5), ([[-1, 0]], [1.0], 0.5), ([[0, 1]], [1.0, 2.0], 0.5), ([[0, 1]], [1.0], 1.5)],
)  # fmt: skip
def test_reinforce_step_refuses(actions, rewards, decay):
    with pytest.raises(ValueError, match="fit|level|decay"):
        reinforce_step(torch.zeros(2, 4), torch.tensor(actions), torch.tensor(rewards), 0.0, 1.0, decay)
    with pytest.raises(ValueError, match="fit"):
        reinforce_step(torch.zeros(2, 4), torch.zeros(0, 2, dtype=torch.int64), torch.zeros(0), 0.0, 1.0, 0.5)
