"""Lab 8's reference against independent oracles: conv2d, scikit-learn, numpy, and a search over all channel subsets."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso

from solutions.lab08_regression import (
    channel_contributions,
    lasso_betas,
    prune_in_order,
    reconstruct_weights,
    regression_prune,
    sample_patches,
    search_penalty,
)

quick = settings(deadline=None, max_examples=40)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def problem(channels=8, samples=60, outputs=5, seed=0, correlated=0.7, dtype=torch.float64):
    """Contributions of channels that resemble each other, and their sum with some noise."""
    own, shared = (
        normal(channels, samples, outputs, seed=seed),
        normal(1, samples, outputs, seed=seed + 1),
    )
    size = torch.linspace(0.2, 1.5, channels, dtype=torch.float64)[:, None, None]
    z = size * ((1 - correlated) * own + correlated * shared)
    y = z.sum(dim=0) + 0.3 * normal(samples, outputs, seed=seed + 2)
    return z.to(dtype), y.to(dtype)


def objective(beta, z, y, penalty):
    rest = y - (beta[:, None, None] * z).sum(dim=0)
    return (rest.square().sum() / (2 * y.numel()) + penalty * beta.abs().sum()).item()


# --- sample_patches and channel_contributions ------------------------------------------------------------------


@quick
@given(
    st.integers(1, 3), st.integers(0, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2),
    st.integers(3, 6), st.integers(3, 7), st.integers(0, 1000),
)  # fmt: skip
def test_patches_and_contributions_give_the_outputs_of_conv2d(b, p, kh, kw, stride, padding, h, w, seed):
    inputs, weight = normal(b, 4, h, w, seed=seed), normal(6, 4, kh, kw, seed=seed + 1)
    whole = F.conv2d(inputs, weight, stride=stride, padding=padding)  # b, 6, rows, columns
    generator = torch.Generator().manual_seed(seed)
    positions = torch.stack(
        [torch.randint(size, (b, p), generator=generator) for size in whole.shape[2:]], dim=2
    )
    patches = sample_patches(inputs, positions, (kh, kw), stride, padding)
    assert patches.shape == (b * p, 4, kh, kw)
    contributions = channel_contributions(patches, weight)
    assert contributions.shape == (4, b * p, 6)
    for i, j in itertools.product(range(b), range(p)):
        row, column = positions[i, j].tolist()
        expected = whole[i, :, row, column]
        torch.testing.assert_close(contributions.sum(dim=0)[i * p + j], expected)


def test_patches_are_those_of_unfold_and_a_new_tensor():
    inputs = normal(2, 3, 5, 5, dtype=torch.float32)
    columns = F.unfold(inputs, 3, padding=1).reshape(2, 3, 3, 3, 25)  # image, in, kh, kw, place
    everywhere = torch.cartesian_prod(torch.arange(5), torch.arange(5)).repeat(2, 1, 1)
    patches = sample_patches(inputs, everywhere, (3, 3), padding=1)
    assert torch.equal(patches, columns.permute(0, 4, 1, 2, 3).flatten(0, 1))
    before = inputs.clone()
    patches.zero_()
    assert torch.equal(inputs, before)


@pytest.mark.parametrize("place", [(-1, 0), (0, -1), (3, 0), (0, 2)])
def test_sample_patches_refuses_places_outside_the_output(place):
    with pytest.raises(ValueError, match="outside"):
        sample_patches(torch.ones(1, 2, 5, 4), torch.tensor([[place]]), (3, 3))


@pytest.mark.parametrize("shape", [(1, 2), (2, 3, 2), (1, 3, 3)])
def test_sample_patches_refuses_positions_of_another_shape(shape):
    with pytest.raises(ValueError, match="positions"):
        sample_patches(torch.ones(1, 2, 5, 5), torch.zeros(shape, dtype=torch.int64), (3, 3))


def test_sample_patches_refuses_inputs_of_three_dimensions():
    with pytest.raises(ValueError, match="inputs"):
        sample_patches(torch.ones(2, 5, 5), torch.zeros(2, 1, 2, dtype=torch.int64), (3, 3))


def test_a_contribution_is_the_output_with_every_other_channel_zero():
    patches, weight = normal(7, 4, 2, 3), normal(5, 4, 2, 3, seed=1)
    z = channel_contributions(patches, weight)
    for c in range(4):
        alone = torch.zeros_like(patches)
        alone[:, c] = patches[:, c]
        torch.testing.assert_close(z[c], alone.flatten(1) @ weight.flatten(1).t())


@pytest.mark.parametrize(("patches", "weight"), [((3, 2, 3, 3), (4, 3, 3, 3)), ((3, 2), (4, 2)), ((3, 2, 3, 3), (4, 2, 1, 1))])  # fmt: skip
def test_channel_contributions_refuses(patches, weight):
    with pytest.raises(ValueError, match="agree"):
        channel_contributions(torch.ones(patches), torch.ones(weight))


# --- lasso_betas -----------------------------------------------------------------------------------------------


@quick
@given(st.integers(0, 1000), st.floats(0.001, 0.9), st.sampled_from([0.0, 0.5, 0.9]))
def test_lasso_betas_agree_with_scikit_learn(seed, share, correlated):
    z, y = problem(seed=seed, correlated=correlated)
    a, b = z.flatten(1).t().numpy(), y.flatten().numpy()  # N * out rows
    penalty = (
        share * np.abs(a.T @ b).max() / len(b)
    )  # a share of the smallest penalty that removes every channel
    theirs = Lasso(alpha=penalty, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(a, b)
    mine = lasso_betas(z, y, penalty)
    np.testing.assert_allclose(mine.numpy(), theirs.coef_, atol=1e-5)
    assert ((mine != 0).numpy() == (np.abs(theirs.coef_) > 1e-9)).all()


def test_lasso_betas_of_channels_that_do_not_overlap_are_soft_thresholds():
    z = torch.zeros(3, 3, 1, dtype=torch.float64)
    z[0, 0], z[1, 1], z[2, 2] = 3, 3, 3  # each curvature is 9 / 3 = 3
    y = torch.tensor([[5.0], [-2.0], [1.0]], dtype=torch.float64)  # correlations 5, -2, 1
    assert lasso_betas(z, y, 2.0).tolist() == [1.0, 0.0, 0.0]
    assert lasso_betas(z, y, 1.0).tolist() == pytest.approx([4 / 3, -1 / 3, 0.0])
    assert lasso_betas(z, y, 5.0).tolist() == [0.0, 0.0, 0.0]


def test_lasso_betas_without_penalty_are_least_squares():
    z, y = problem()
    theirs = np.linalg.lstsq(z.flatten(1).t().numpy(), y.flatten().numpy(), rcond=None)[0]
    np.testing.assert_allclose(lasso_betas(z, y, 0.0).numpy(), theirs, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lasso_betas_keep_the_dtype_and_the_arguments_and_drop_dead_channels(dtype):
    z, y = problem(dtype=dtype)
    z[3] = 0
    before = z.clone(), y.clone()
    beta = lasso_betas(z, y, 0.01)
    assert beta.dtype == dtype and beta[3] == 0 and torch.equal(z, before[0]) and torch.equal(y, before[1])
    assert not lasso_betas(z, torch.zeros_like(y), 0.01).any()


def test_a_lasso_with_two_equal_channels_reaches_the_minimum():
    z, y = problem()
    z[1] = z[0]
    a, b = z.flatten(1).t().numpy(), y.flatten().numpy()
    theirs = Lasso(alpha=0.05, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(a, b).coef_
    assert objective(lasso_betas(z, y, 0.05), z, y, 0.05) <= objective(
        torch.from_numpy(theirs), z, y, 0.05
    ) * (1 + 1e-7)


@pytest.mark.parametrize("penalty", [-0.1, math.nan])
def test_lasso_betas_refuses_a_penalty(penalty):
    with pytest.raises(ValueError, match="penalty"):
        lasso_betas(*problem(), penalty)


@pytest.mark.parametrize("shape", [(60,), (60, 4), (61, 5)])
def test_lasso_betas_refuses_shapes(shape):
    with pytest.raises(ValueError, match="contributions"):
        lasso_betas(problem()[0], torch.ones(shape, dtype=torch.float64), 0.1)


# --- search_penalty --------------------------------------------------------------------------------------------


def soft(values):
    """A path that is known: channel c leaves at the penalty |values[c]|. It counts its calls."""
    values = torch.tensor(values, dtype=torch.float64)
    calls = []

    def solve(penalty):
        calls.append(penalty)
        return values.sign() * (values.abs() - penalty).clamp(min=0)

    solve.calls = calls
    return solve


@quick
@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=12), st.integers(0, 12))
def test_search_penalty_leaves_the_count_or_says_where_it_is_jumped_over(values, count):
    solve = soft(values)
    penalty, beta = search_penalty(solve, count, 1.0)
    assert len(solve.calls) <= 50 and 0 <= penalty <= 1 and torch.equal(beta, solve(penalty))
    left = int((beta != 0).sum())
    assert left <= count
    if len(values) <= count:
        assert penalty == 0
    elif left < count:
        assert (solve(penalty - 1e-4) != 0).sum() > count


def test_search_penalty_at_ties_leaves_fewer():
    penalty, beta = search_penalty(soft([0.5, -0.5, 0.2, 0.9]), 2, 1.0)
    assert int((beta != 0).sum()) == 1 and 0.5 <= penalty <= 0.5001


@quick
@given(st.integers(0, 200), st.integers(1, 7))
def test_search_penalty_with_the_lasso_leaves_the_count(seed, count):
    z, y = problem(seed=seed)
    highest = (z.flatten(1) @ y.flatten()).abs().max().item() / y.numel()
    penalty, beta = search_penalty(lambda p: lasso_betas(z, y, p), count, highest, 1e-9)
    assert int((beta != 0).sum()) == count


@pytest.mark.parametrize(("count", "highest", "tolerance"), [(-1, 1.0, 0.1), (1, 0.0, 0.1), (1, math.nan, 0.1), (1, 1.0, 0.0), (1, 0.3, 0.1)])  # fmt: skip
def test_search_penalty_refuses(count, highest, tolerance):
    with pytest.raises(ValueError):
        search_penalty(soft([0.5, 0.6, 0.2]), count, highest, tolerance)


# --- reconstruct_weights ---------------------------------------------------------------------------------------


@quick
@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 1000))
def test_reconstruct_weights_is_numpys_least_squares(n, kept, kh, kw, seed):
    x, y = normal(n, kept, kh, kw, seed=seed), normal(n, 5, seed=seed + 1)
    mine = reconstruct_weights(x, y)
    assert mine.shape == (5, kept, kh, kw)
    theirs = np.linalg.lstsq(x.flatten(1).numpy(), y.numpy(), rcond=None)[0].T
    np.testing.assert_allclose(mine.flatten(1).numpy(), theirs, atol=1e-7)


def test_reconstruct_weights_finds_the_weights_that_made_the_targets():
    x, weight = normal(50, 3, 2, 2, dtype=torch.float32), normal(4, 3, 2, 2, seed=1, dtype=torch.float32)
    y = channel_contributions(x, weight).sum(dim=0)
    mine = reconstruct_weights(x, y)
    assert mine.dtype == torch.float32
    torch.testing.assert_close(mine, weight, atol=1e-5, rtol=1e-5)


def test_reconstruct_weights_with_dead_and_equal_channels_is_finite_and_minimal():
    x, y = normal(50, 4, 1, 2), normal(50, 3, seed=1)
    x[:, 1], x[:, 3] = 0, x[:, 2]
    mine = reconstruct_weights(x, y)
    assert mine.isfinite().all()
    best = np.linalg.lstsq(x[:, [0, 2]].flatten(1).numpy(), y.numpy(), rcond=None)[1].sum()
    assert (y - x.flatten(1) @ mine.flatten(1).t()).square().sum().item() == pytest.approx(best)


@pytest.mark.parametrize(("x", "y"), [((5, 2), (5, 3)), ((5, 2, 1, 1), (5,)), ((5, 2, 1, 1), (4, 3))])
def test_reconstruct_weights_refuses(x, y):
    with pytest.raises(ValueError, match="patches"):
        reconstruct_weights(torch.ones(x), torch.ones(y))


# --- regression_prune ------------------------------------------------------------------------------------------


def layer(seed=0, samples=200, channels=6, out=4):
    """Channels that resemble each other, as those of a trained network do."""
    mix = normal(channels, channels, seed=seed) + 2 * normal(1, channels, seed=seed + 3)
    patches = torch.einsum("nihw,ji->njhw", normal(samples, channels, 2, 2, seed=seed + 1), mix).relu()
    weight = normal(out, channels, 2, 2, seed=seed + 2)
    return patches, channel_contributions(patches, weight).sum(dim=0), weight


def by_lasso(contributions, targets, count):
    highest = (contributions.flatten(1) @ targets.flatten()).abs().max().item() / targets.numel()
    return search_penalty(lambda p: lasso_betas(contributions, targets, p), count, highest, 1e-9)[1]


def error(patches, targets, kept, weight):
    return (targets - patches[:, kept].flatten(1) @ weight.flatten(1).t()).square().sum().item()


@quick
@given(st.integers(0, 500), st.integers(1, 5))
def test_regression_prune_against_all_subsets(seed, count):
    patches, targets, weight = layer(seed)
    kept, new = regression_prune(
        patches, targets, weight, [count], channel_contributions, by_lasso, reconstruct_weights
    )
    assert len(kept) == count and kept.tolist() == sorted(set(kept.tolist()))
    errors = {
        subset: np.linalg.lstsq(patches[:, subset].flatten(1).numpy(), targets.numpy(), rcond=None)[1].sum()
        for subset in itertools.combinations(range(6), count)
    }
    mine = error(patches, targets, kept, new)
    assert mine == pytest.approx(errors[tuple(kept.tolist())], rel=1e-6, abs=1e-9)
    assert min(errors.values()) - 1e-9 <= mine
    assert mine <= error(patches, targets, kept, weight[:, kept]) + 1e-9  # least squares never does harm


def test_the_lasso_is_better_than_a_typical_subset():
    better = []
    for seed in range(20):
        patches, targets, weight = layer(seed)
        kept, new = regression_prune(
            patches, targets, weight, [3], channel_contributions, by_lasso, reconstruct_weights
        )
        errors = [
            error(patches, targets, list(subset), reconstruct_weights(patches[:, subset], targets))
            for subset in itertools.combinations(range(6), 3)
        ]
        better.append(np.mean(np.array(errors) > error(patches, targets, kept, new)))
    assert np.mean(better) > 0.6  # the share of the twenty subsets that it beats, on average


def test_regression_prune_works_with_unit_norms_and_all_channels_in_every_round():
    patches, targets, weight = layer()
    weight[:, 4] = 0
    seen = []

    def contribute(patches, weight):
        seen.append(weight.clone())
        return channel_contributions(patches, weight)

    before = patches.clone(), targets.clone(), weight.clone()
    kept, new = regression_prune(patches, targets, weight, [4, 2], contribute, by_lasso, reconstruct_weights)
    first, second = (w.square().sum(dim=(0, 2, 3)).sqrt() for w in seen)
    assert first.tolist() == pytest.approx([1, 1, 1, 1, 0, 1])
    assert sorted(round(norm, 9) for norm in second.tolist()) == [0, 0, 1, 1, 1, 1]
    assert len(kept) == 2 and new.shape == (4, 2, 2, 2) and kept.dtype == torch.int64
    assert all(torch.equal(*pair) for pair in zip(before, (patches, targets, weight)))


@quick
@given(st.floats(0.01, 100), st.integers(0, 100))
def test_the_choice_does_not_depend_on_the_scale_of_the_weights(scale, seed):
    patches, targets, weight = layer(seed)
    answers = [
        regression_prune(patches, targets, w, [3], channel_contributions, by_lasso, reconstruct_weights)[0]
        for w in (weight, scale * weight)
    ]
    assert torch.equal(*answers)


@pytest.mark.parametrize("counts", [[], [0], [2, 3], [3, 0], [-1]])
def test_regression_prune_refuses_before_it_calls(counts):
    def never(*arguments):
        raise AssertionError("it was called")

    with pytest.raises(ValueError, match="counts"):
        regression_prune(*layer(), counts, never, never, never)


# --- prune_in_order --------------------------------------------------------------------------------------------


def test_prune_in_order_calls_in_order():
    journal = []

    def note(what, answer):
        def call(*arguments):
            journal.append((what, *arguments))
            return answer(*arguments)

        return call

    kept = prune_in_order(
        ["a", "b"],
        note("inputs", lambda name: f"in {name}"),
        note("targets", lambda name: f"out {name}"),
        note("prune", lambda name, patches, targets: (f"kept {name}", f"weight {name}")),
        note("write", lambda name, kept, weight: None),
    )
    assert kept == {"a": "kept a", "b": "kept b"} and list(kept) == ["a", "b"]
    assert [entry[:2] for entry in journal] == [
        (what, name) for name in "ab" for what in ("inputs", "targets", "prune", "write")
    ]
    assert journal[2] == ("prune", "a", "in a", "out a") and journal[7] == (
        "write", "b", "kept b", "weight b",
    )  # fmt: skip


def test_prune_in_order_of_nothing_and_of_a_name_twice():
    assert prune_in_order([], None, None, None, None) == {}
    with pytest.raises(ValueError, match="twice"):
        prune_in_order(["a", "b", "a"], None, None, None, None)


def two_layers_pruned(way):
    """The error of two linear layers (as 1 x 1 convolutions), each cut from six channels to four."""
    inputs, first, second = normal(300, 6), normal(6, 6, seed=1), normal(3, 6, seed=2)
    net = {"first": first.clone(), "second": second.clone()}

    def hidden(weights):
        return (inputs @ weights["first"].t())[:, :, None, None]

    def read_inputs(name):
        if name == "first":
            return inputs[:, :, None, None]
        return hidden(net if way == "pruned" else {"first": first})

    def read_targets(name):
        return inputs @ first.t() if name == "first" else hidden({"first": first}).flatten(1) @ second.t()

    def prune_layer(name, patches, targets):
        return torch.arange(4), reconstruct_weights(patches[:, :4], targets)

    def write(name, kept, weight):
        net[name].zero_()
        net[name][:, kept] = weight.flatten(1)

    prune_in_order(["first", "second"], read_inputs, read_targets, prune_layer, write)
    outputs = hidden(net).flatten(1) @ net["second"].t()
    return (outputs - read_targets("second")).square().sum().item()


def test_later_layers_repair_what_earlier_ones_lost():
    assert two_layers_pruned("pruned") < 0.9 * two_layers_pruned("original")
