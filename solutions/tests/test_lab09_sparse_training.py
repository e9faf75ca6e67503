"""Lab 9's reference against independent oracles: torch's dropout, brute force over masks, bisection, plain Python lists."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from solutions.lab09_sparse_training import (
    dropconnect,
    dropout,
    erdos_renyi_sparsities,
    random_masks,
    rigl_update,
    set_update,
)

quick = settings(deadline=None, max_examples=60)
FLOATING = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
NO_FRACTION = [-0.1, 1.1, math.nan]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


# --- dropout ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_has_the_distribution_of_torchs(p):
    """The same values are possible, and the mean and the variance of 20,000 draws agree, as do those of the count in a row."""
    inputs = torch.tensor([3.0, -1.0, 2.0]).repeat(20_000, 1)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        theirs = F.dropout(inputs, p, True)
    mine = dropout(inputs, p, True, seeded())
    assert sorted(set(mine.flatten().tolist())) == pytest.approx(sorted(set(theirs.flatten().tolist())))
    for statistic in (
        lambda y: y.mean(dim=0) / inputs[0],
        lambda y: y.var(dim=0) / inputs[0].square() / (p / (1 - p)),
        lambda y: (y != 0).sum(dim=1).double().var() / (3 * p * (1 - p)),
    ):
        assert torch.allclose(statistic(mine), statistic(theirs), atol=0.1)
        assert torch.allclose(statistic(mine), torch.ones_like(statistic(mine)), atol=0.1)


@pytest.mark.parametrize("dtype", FLOATING)
def test_dropout_keeps_shape_dtype_and_input(dtype):
    inputs = normal(4, 6).to(dtype).t()
    before = inputs.clone()
    for p, training in itertools.product((0.0, 0.4, 1.0), (True, False)):
        outputs = dropout(inputs, p, training, seeded())
        assert outputs.shape == inputs.shape and outputs.dtype == dtype
        if not training or p == 0:
            assert torch.equal(outputs, before)
        if training and p == 1:
            assert not outputs.any()
    assert torch.equal(inputs, before)


def test_dropouts_gradient_is_its_own_factor():
    inputs = normal(50, 4).requires_grad_()
    outputs = dropout(inputs, 0.3, True, seeded())
    outputs.sum().backward()
    assert torch.allclose(inputs.grad * inputs, outputs)
    assert sorted(set(inputs.grad.flatten().tolist())) == pytest.approx([0.0, 1 / 0.7])


@pytest.mark.parametrize("p", NO_FRACTION)
@pytest.mark.parametrize("training", [True, False])
def test_no_probability_is_refused(p, training):
    with pytest.raises(ValueError, match="between 0 and 1"):
        dropout(torch.ones(2), p, training, seeded())
    with pytest.raises(ValueError, match="between 0 and 1"):
        dropconnect(torch.ones(1, 2), torch.ones(3, 2), torch.ones(3), p, training, seeded())


def test_only_the_generator_is_used():
    torch_state = torch.get_rng_state()
    calls = [
        lambda g: dropout(torch.ones(30), 0.5, True, g),
        lambda g: dropconnect(torch.ones(3, 4), torch.ones(5, 4), torch.ones(5), 0.5, True, g),
        lambda g: random_masks({"a": (5, 6)}, {"a": 0.5}, g)["a"],
        lambda g: torch.stack(set_update(normal(5, 6), normal(5, 6, seed=1) > 0, 0.5, g)),
    ]
    for call in calls:
        assert torch.equal(call(seeded(3)), call(seeded(3)))
        assert not torch.equal(call(seeded(3)), call(seeded(4)))
    assert torch.equal(torch.get_rng_state(), torch_state)


# --- dropconnect -----------------------------------------------------------------------------------------------


def test_dropconnect_has_the_distribution_of_all_masks():
    """With three inputs there are eight masks: each output is one of eight values, each with its own probability."""
    p, inputs, weight, bias = (
        0.3,
        torch.tensor([1.0, 2.0, 4.0]),
        torch.tensor([[1.0, -3.0, 5.0]]),
        torch.tensor([7.0]),
    )
    exact: dict[float, float] = {}
    for mask in itertools.product((0, 1), repeat=3):
        value = round(float((torch.tensor(mask) * weight[0]) @ inputs) / (1 - p) + 7, 3)
        exact[value] = exact.get(value, 0) + math.prod(1 - p if m else p for m in mask)
    outputs = dropconnect(inputs.repeat(40_000, 1), weight, bias, p, True, seeded()).flatten()
    values, counts = outputs.mul(1000).round().unique(return_counts=True)
    assert (values / 1000).tolist() == pytest.approx(sorted(exact))
    assert (counts / 40_000).tolist() == pytest.approx([exact[value] for value in sorted(exact)], abs=0.015)
    assert outputs.mean().item() == pytest.approx(F.linear(inputs, weight, bias).item(), abs=0.2)


def test_dropconnect_in_evaluation_and_at_the_ends():
    inputs, weight, bias = (
        normal(*shape, seed=i, dtype=torch.float64) for i, shape in enumerate([(6, 4), (3, 4), (3,)])
    )
    plain = torch.nn.Linear(4, 3).double()
    plain.weight.data, plain.bias.data = weight, bias
    for p, training in ((0.7, False), (1.0, False), (0.0, True)):
        assert torch.allclose(dropconnect(inputs, weight, bias, p, training, seeded()), plain(inputs))
    assert torch.equal(dropconnect(inputs, weight, bias, 1.0, True, seeded()), bias.expand(6, 3))


def test_dropconnects_gradients_are_those_of_the_masked_layer():
    tensors = [
        normal(*shape, seed=i, dtype=torch.float64).requires_grad_()
        for i, shape in enumerate([(5, 4), (3, 4), (3,)])
    ]
    assert torch.autograd.gradcheck(lambda x, w, b: dropconnect(x, w, b, 0.4, True, seeded()), tensors)


# --- erdos_renyi_sparsities ------------------------------------------------------------------------------------

layers = st.lists(st.lists(st.integers(1, 40), min_size=2, max_size=4), min_size=1, max_size=5)


@quick
@given(layers, st.floats(0, 1))
def test_the_densities_meet_the_budget_and_have_one_eps(shapes, sparsity):
    """The defining properties, and a bisection of eps as a second way."""
    shapes = {f"layer {i}": tuple(shape) for i, shape in enumerate(shapes)}
    found = erdos_renyi_sparsities(shapes, sparsity)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    densities = {name: 1 - s for name, s in found.items()}
    assert list(found) == list(shapes)
    assert all(-1e-9 <= d <= 1 + 1e-9 for d in densities.values())
    total = sum(sizes.values())
    assert sum(densities[n] * sizes[n] for n in shapes) == pytest.approx(
        (1 - sparsity) * total, abs=1e-6 * total
    )
    low, high = 0.0, float(total)
    for _ in range(200):
        eps = (low + high) / 2
        kept = sum(min(sizes[n], eps * sum(shapes[n])) for n in shapes)
        low, high = (eps, high) if kept < (1 - sparsity) * total else (low, eps)
    for name in shapes:
        assert densities[name] == pytest.approx(min(1, high * sum(shapes[name]) / sizes[name]), abs=1e-6)


def test_mocanus_formula_where_no_layer_is_full():
    """Density eps (in + out) / (in out): the formula of the paper, for one eps."""
    shapes = {"a": (300, 784), "b": (100, 300), "c": (10, 100)}
    found = erdos_renyi_sparsities(shapes, 0.98)
    eps = [(1 - found[name]) * n * m / (n + m) for name, (n, m) in shapes.items()]
    assert max(eps) - min(eps) < 1e-9


@pytest.mark.parametrize(
    ("shapes", "sparsity"),
    [({"a": (2, 3)}, s) for s in NO_FRACTION] + [({}, 0.5), ({"a": (3,)}, 0.5), ({"a": (3, 0)}, 0.5)],
)
def test_erdos_renyi_refuses(shapes, sparsity):
    with pytest.raises(ValueError):
        erdos_renyi_sparsities(shapes, sparsity)


# --- random_masks ----------------------------------------------------------------------------------------------


@quick
@given(layers, st.lists(st.floats(0, 1), min_size=5, max_size=5), st.integers(0, 1000))
def test_random_masks_remove_exactly_the_rounded_number(shapes, sparsities, seed):
    shapes = {f"layer {i}": tuple(shape) for i, shape in enumerate(shapes)}
    wanted = dict(zip(shapes, sparsities))
    for name, mask in random_masks(shapes, wanted, seeded(seed)).items():
        assert mask.dtype == torch.bool and mask.shape == shapes[name]
        assert int((~mask).sum()) == round(wanted[name] * mask.numel())


def test_every_mask_is_equally_likely():
    """Brute force: the ten masks of five places with two removed, 5,000 draws."""
    generator, counts = seeded(), {}
    for _ in range(5000):
        mask = tuple(random_masks({"a": (5,)}, {"a": 0.4}, generator)["a"].tolist())
        counts[mask] = counts.get(mask, 0) + 1
    assert len(counts) == 10
    assert all(abs(count - 500) < 110 for count in counts.values())  # five standard deviations


@pytest.mark.parametrize("sparsities", [{}, {"a": 0.5, "b": 0.5}, *({"a": s} for s in NO_FRACTION)])
def test_random_masks_refuse(sparsities):
    with pytest.raises(ValueError):
        random_masks({"a": (2, 3)}, sparsities, seeded())


# --- set_update ------------------------------------------------------------------------------------------------

quantised = st.integers(-4, 4).map(lambda number: number / 4)  # with ties and zeros
cases = st.lists(st.tuples(quantised, st.booleans(), quantised), min_size=1, max_size=24)


def stays_in_set(values, kept, fraction):
    """Which connections stay, in plain Python."""
    gone = {i for i, v in enumerate(values) if kept[i] and v == 0}
    for sign in (1, -1):
        side = sorted((sign * v, i) for i, v in enumerate(values) if kept[i] and sign * v > 0)
        gone |= {i for _, i in side[: round(fraction * len(side))]}
    return [there and i not in gone for i, there in enumerate(kept)]


@quick
@given(cases, st.floats(0, 1), st.integers(0, 1000))
def test_set_drops_closest_to_zero_and_keeps_the_number(entries, fraction, seed):
    values, kept = [entry[0] for entry in entries], [entry[1] for entry in entries]
    weight, mask = torch.tensor(values, dtype=torch.float64), torch.tensor(kept)
    new, new_mask = set_update(weight, mask, fraction, seeded(seed))
    stayed = torch.tensor(stays_in_set(values, kept, fraction))
    assert int(new_mask.sum()) == sum(kept)
    assert bool(new_mask[stayed].all()) and torch.equal(new[stayed], weight[stayed])
    assert not new[~new_mask].any()
    assert weight.tolist() == values and mask.tolist() == kept


def test_set_grows_everywhere_equally_often():
    """Three of six places are free after the drop, one of them just dropped: each grows in a third of 3,000 updates."""
    weight, mask = torch.tensor([0.1, 0.9, -0.9, 0.8, 0.0, 0.0]), torch.tensor([True] * 4 + [False] * 2)
    generator, counts, values = seeded(), torch.zeros(6), []
    for _ in range(3000):
        new, new_mask = set_update(
            weight, mask, 1 / 3, generator, 0.5
        )  # one of three positive, none of one negative
        grown = new_mask & (new != weight)
        counts += grown
        values += new[grown].tolist()
    assert counts[1:4].tolist() == [0.0, 0.0, 0.0]
    assert all(abs(counts[i] - 1000) < 140 for i in (0, 4, 5))  # more than five standard deviations
    values = torch.tensor(values)
    assert len(values) == 3000 and abs(values.mean()) < 0.05
    assert values.std().item() == pytest.approx(0.5, rel=0.08)


@pytest.mark.parametrize("fraction", NO_FRACTION)
def test_updates_refuse_a_fraction(fraction):
    weight, mask = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="fraction"):
        set_update(weight, mask, fraction, seeded())
    with pytest.raises(ValueError, match="fraction"):
        rigl_update(weight, weight, mask, fraction)


def test_updates_refuse_other_shapes():
    weight, mask = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool)
    for bad in (mask[0], mask.t()):
        with pytest.raises(ValueError, match="shape"):
            set_update(weight, bad, 0.5, seeded())
        with pytest.raises(ValueError, match="shapes"):
            rigl_update(weight, weight, bad, 0.5)
        with pytest.raises(ValueError, match="shapes"):
            rigl_update(weight, bad.float(), mask, 0.5)


# --- rigl_update -----------------------------------------------------------------------------------------------


@quick
@given(cases, st.floats(0, 1))
def test_rigl_is_what_plain_lists_say(entries, fraction):
    values, kept, slopes = (list(column) for column in zip(*entries))
    there = [i for i, is_kept in enumerate(kept) if is_kept]
    k = round(fraction * len(there))
    left = set(there) - set(sorted(there, key=lambda i: (abs(values[i]), i))[:k])
    free = sorted(set(range(len(values))) - left, key=lambda i: (-abs(slopes[i]), i))
    after = left | set(free[:k])
    weight, mask = torch.tensor(values, dtype=torch.float64), torch.tensor(kept)
    new, new_mask = rigl_update(weight, torch.tensor(slopes, dtype=torch.float64), mask, fraction)
    assert new_mask.tolist() == [i in after for i in range(len(values))]
    assert new.tolist() == [v if i in after and kept[i] else 0.0 for i, v in enumerate(values)]
    assert int(new_mask.sum()) == len(there)


def test_growing_changes_no_output_and_follows_the_steepest_slope():
    """A grown connection starts at 0, so the loss is that after the drop; its slope is the largest that was free."""
    inputs, targets = normal(20, 6, dtype=torch.float64), normal(20, 4, seed=1, dtype=torch.float64)
    mask = normal(4, 6, seed=2) > 0
    weight = (normal(4, 6, seed=3, dtype=torch.float64) * mask).requires_grad_()
    (inputs @ weight.t() - targets).square().mean().backward()
    new, new_mask = rigl_update(weight, weight.grad, mask, 0.3)
    dropped = torch.where(new_mask & mask, weight.detach(), 0)
    assert torch.equal(new, dropped)
    grown, free = new_mask & ~mask, ~new_mask
    assert weight.grad[grown].abs().min() >= weight.grad[free].abs().max()


@pytest.mark.parametrize("dtype", FLOATING)
def test_updates_keep_shape_and_dtype_and_have_no_history(dtype):
    weight, mask = normal(3, 4, 5).to(dtype).transpose(0, 2).requires_grad_(), normal(5, 4, 3, seed=1) > 0
    for new, new_mask in (
        set_update(weight, mask, 0.4, seeded()),
        rigl_update(weight, weight.detach(), mask, 0.4),
    ):
        assert new.shape == new_mask.shape == weight.shape
        assert new.dtype == dtype and new_mask.dtype == torch.bool and not new.requires_grad
