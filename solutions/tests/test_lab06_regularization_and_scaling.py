"""Lab 6's reference against independent oracles: scikit-learn's Lasso, torch's own weight decay and softshrink, brute
force over the objective, a threshold found by NumPy, and networks whose outputs are compared."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso
from torch import nn

from labkit.models import CNN
from solutions.lab06_regularization_and_scaling import (
    fold_constant,
    group_lasso_penalty,
    group_soft_threshold,
    l1_penalty,
    l2_penalty,
    scale_masks,
    soft_threshold,
)

FLOATING = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
PENALTIES = [l1_penalty, l2_penalty, group_lasso_penalty]
quick = settings(deadline=None, max_examples=60)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def layers(dtype=torch.float64):
    return {
        "linear": nn.Parameter(normal(4, 6, seed=1, dtype=dtype)),
        "conv": nn.Parameter(normal(3, 2, 2, 3, seed=2, dtype=dtype)),
    }


# --- the penalties ---------------------------------------------------------------------------------------------


def test_penalties_agree_with_sums_written_out_in_python():
    weights = layers()
    numbers = {name: weight.tolist() for name, weight in weights.items()}
    rows = {
        "linear": numbers["linear"],
        "conv": [[w for kernel in row for line in kernel for w in line] for row in numbers["conv"]],
    }
    flat = [w for layer in rows.values() for row in layer for w in row]
    assert l1_penalty(weights, 0.3).item() == pytest.approx(0.3 * math.fsum(map(abs, flat)))
    assert l2_penalty(weights, 0.3).item() == pytest.approx(0.3 * math.fsum(w * w for w in flat))
    expected = 0.3 * sum(math.sqrt(len(row)) * math.hypot(*row) for layer in rows.values() for row in layer)
    assert group_lasso_penalty(weights, 0.3).item() == pytest.approx(expected)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_gradients_of_the_penalties_agree_with_finite_differences(penalty):
    weights = layers()
    assert torch.autograd.gradcheck(lambda a, b: penalty({"a": a, "b": b}, 0.7), tuple(weights.values()))


@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_zero_weight_has_no_gradient_and_no_nan(penalty):
    weight = nn.Parameter(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    penalty({"w": weight}, 1.0).backward()
    assert weight.grad[0].tolist() == [0, 0] and weight.grad.isfinite().all() and weight.grad[1].all()


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("dtype", FLOATING)
def test_penalties_are_scalars_of_the_weights_dtype(penalty, dtype):
    weights = layers(dtype)
    result = penalty(weights, 0.5)
    assert result.shape == () and result.dtype == dtype and result.requires_grad
    assert penalty(weights, 0.0).item() == 0
    reference = penalty({name: weight.double() for name, weight in weights.items()}, 0.5).item()
    assert result.item() == pytest.approx(reference, rel=0.02)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize(
    ("weights", "strength", "message"),
    [({}, 1.0, "empty"), (layers(), -0.1, "strength"), (layers(), math.nan, "strength")],
)
def test_penalties_refuse(penalty, weights, strength, message):
    with pytest.raises(ValueError, match=message):
        penalty(weights, strength)


def test_group_lasso_refuses_a_vector():
    with pytest.raises(ValueError, match="at least two"):
        group_lasso_penalty({"bias": torch.ones(3)}, 1.0)


def test_the_l2_penalty_is_weight_decay_of_plain_sgd():
    """SGD adds weight_decay * w to the gradient, and the penalty adds 2 * strength * w."""
    mine, theirs = nn.Linear(5, 3).double(), nn.Linear(5, 3).double()
    theirs.load_state_dict(mine.state_dict())
    x = normal(8, 5)
    ours = torch.optim.SGD(mine.parameters(), lr=0.1)
    decayed = torch.optim.SGD(
        [{"params": [theirs.weight], "weight_decay": 0.06}, {"params": [theirs.bias]}], lr=0.1
    )
    for _ in range(5):
        ours.zero_grad()
        (mine(x).square().mean() + l2_penalty({"w": mine.weight}, 0.03)).backward()
        ours.step()
        decayed.zero_grad()
        theirs(x).square().mean().backward()
        decayed.step()
    assert torch.allclose(mine.weight, theirs.weight, rtol=1e-12)


# --- the proximal operators ------------------------------------------------------------------------------------


@quick
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.floats(0, 3))
def test_soft_threshold_is_torchs_softshrink(values, threshold):
    values = torch.tensor(values, dtype=torch.float64)
    assert torch.equal(soft_threshold(values, threshold), F.softshrink(values, threshold))


@quick
@given(st.floats(-4, 4), st.floats(0, 3))
def test_soft_threshold_minimises_the_proximal_objective(v, t):
    """prox(v) = argmin_x 1/2 (x - v)^2 + t |x|: no point of a fine grid is better."""
    x = soft_threshold(torch.tensor([v], dtype=torch.float64), t).item()
    grid = np.linspace(-5, 5, 2001)
    assert 0.5 * (x - v) ** 2 + t * abs(x) <= (0.5 * (grid - v) ** 2 + t * np.abs(grid)).min() + 1e-12


def test_soft_threshold_gives_scikit_learns_lasso_on_an_orthogonal_design():
    """With X'X = n I the Lasso is soft thresholding of least squares: min 1/(2n) |y - Xb|^2 + alpha |b|_1."""
    n, p, alpha = 64, 8, 0.35
    q, _ = np.linalg.qr(normal(n, p, seed=4).numpy())
    x, y = q * np.sqrt(n), normal(n, seed=5).numpy() + 2 * q[:, 0] * np.sqrt(n)
    fitted = Lasso(alpha=alpha, fit_intercept=False, tol=1e-12, max_iter=10_000).fit(x, y).coef_
    mine = soft_threshold(torch.from_numpy(x.T @ y / n), alpha).numpy()
    assert np.allclose(mine, fitted, atol=1e-8) and (mine == 0).any() and (mine != 0).any()


def test_proximal_gradient_descent_reaches_scikit_learns_lasso_on_any_design():
    n, p, alpha = 60, 10, 0.2
    x, y = normal(n, p, seed=6), normal(n, seed=7) + 2 * normal(n, p, seed=6)[:, 3]
    fitted = (
        Lasso(alpha=alpha, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(x.numpy(), y.numpy()).coef_
    )
    rate = n / torch.linalg.matrix_norm(x, 2).item() ** 2
    beta = torch.zeros(p, dtype=torch.float64)
    for _ in range(3000):
        beta = soft_threshold(beta - rate * x.T @ (x @ beta - y) / n, rate * alpha)
    assert np.allclose(beta.numpy(), fitted, atol=1e-7)
    assert np.array_equal(beta.numpy() == 0, fitted == 0) and (fitted == 0).any()


def test_sub_gradient_descent_reaches_no_zero_where_proximal_descent_does():
    v, t = normal(50, seed=8), 0.5
    x = v.clone()
    for _ in range(200):
        x = x - 0.1 * ((x - v) + t * x.sign())
    assert (x == 0).sum() == 0
    assert torch.equal(soft_threshold(v, t) == 0, v.abs() <= t) and (v.abs() <= t).any()


@pytest.mark.parametrize("shape", [(1, 1), (5, 4), (4, 3, 3, 1)])
@pytest.mark.parametrize("t", [0.0, 0.8, 2.0, 50.0])
def test_group_soft_threshold_row_by_row_in_numpy(shape, t):
    weight = normal(*shape, seed=9)
    weight[0] = 0
    expected = weight.numpy().copy()
    for row in expected:
        norm = math.sqrt((row**2).sum())
        row[...] = 0 if norm <= t else row * ((norm - t) / norm)
    assert np.allclose(group_soft_threshold(weight, t).numpy(), expected, rtol=1e-12)


@quick
@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3), st.floats(0, 3), st.integers(0, 100))
def test_group_soft_threshold_minimises_the_proximal_objective(row, t, seed):
    row = torch.tensor(row, dtype=torch.float64)
    x = group_soft_threshold(row[None], t)[0]

    def objective(points):
        return 0.5 * (points - row).square().sum(-1) + t * points.norm(dim=-1)

    others = torch.cat(
        [x + 0.3 * normal(200, 3, seed=seed), torch.zeros(1, 3, dtype=torch.float64), row[None]]
    )
    assert objective(x) <= objective(others).min() + 1e-12


@quick
@given(st.lists(st.floats(-2, 2), min_size=1, max_size=8), st.floats(0, 3))
def test_rows_of_one_weight_are_soft_thresholded(values, t):
    column = torch.tensor(values, dtype=torch.float64)[:, None]
    assert torch.allclose(group_soft_threshold(column, t), soft_threshold(column, t), atol=1e-12)


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("operator", [soft_threshold, group_soft_threshold])
def test_the_operators_return_new_detached_tensors_of_the_same_kind(operator, dtype):
    weight = nn.Parameter(normal(6, 4, seed=10, dtype=dtype).t())  # not contiguous
    before = weight.detach().clone()
    for t in (0.0, 0.7):
        result = operator(weight, t)
        assert result.shape == (4, 6) and result.dtype == dtype and not result.requires_grad
        result.fill_(9)
        assert torch.equal(weight, before)
    assert torch.equal(operator(weight, 0.0), before)
    assert not operator(weight, 100.0).any()


def test_a_row_of_norm_equal_to_the_threshold_becomes_zero():
    assert group_soft_threshold(torch.tensor([[3.0, 4.0], [6.0, 8.0]]), 5.0).tolist() == [[0, 0], [3, 4]]
    assert soft_threshold(torch.tensor([0.5, -0.5, 1.0]), 0.5).tolist() == [0, 0, 0.5]


@pytest.mark.parametrize("operator", [soft_threshold, group_soft_threshold])
@pytest.mark.parametrize("threshold", [-0.1, math.nan])
def test_the_operators_refuse_a_threshold(operator, threshold):
    with pytest.raises(ValueError, match="threshold"):
        operator(torch.ones(2, 2), threshold)


def test_group_soft_threshold_refuses_a_vector():
    with pytest.raises(ValueError, match="at least two"):
        group_soft_threshold(torch.ones(3), 0.1)


# --- scale_masks -----------------------------------------------------------------------------------------------


def scales(seed=0, sizes=(4, 6, 3)):
    return {f"bn{i}": normal(n, seed=seed + i) for i, n in enumerate(sizes)}


@pytest.mark.parametrize("sparsity", [0, 0.3, 0.5, 0.85, 1])
def test_without_a_floor_it_is_one_threshold_for_the_network(sparsity):
    """Liu et al. sort all |gamma| and take one of them as the threshold."""
    layers = scales()
    pool = np.sort(np.abs(np.concatenate([g.numpy() for g in layers.values()])))
    threshold = np.append(pool, np.inf)[round(sparsity * len(pool))]
    masks = scale_masks(layers, sparsity)
    assert list(masks) == list(layers)
    for name, mask in masks.items():
        assert np.array_equal(mask.numpy(), np.abs(layers[name].numpy()) >= threshold)


@quick
@given(
    st.lists(st.lists(st.integers(-3, 3), min_size=1, max_size=5), min_size=1, max_size=4),
    st.floats(0, 1), st.integers(0, 3),
)  # fmt: skip
def test_with_a_floor_it_is_the_greedy_choice_and_the_cheapest_feasible_one(values, sparsity, least):
    """Many ties. An oracle protects the `least` best of each layer (the later of equal ones), and ranks the rest."""
    layers = {str(i): torch.tensor(layer, dtype=torch.float32) for i, layer in enumerate(values)}
    total, wanted = sum(map(len, values)), round(sparsity * sum(map(len, values)))
    free = []
    for i, layer in enumerate(values):
        order = sorted((abs(g), i, c) for c, g in enumerate(layer))
        free += order[: max(len(layer) - least, 0)]
    if wanted > len(free):
        with pytest.raises(ValueError, match="floor"):
            scale_masks(layers, sparsity, least)
        return
    gone = {(i, c) for _, i, c in sorted(free)[:wanted]}
    masks = scale_masks(layers, sparsity, least)
    found = {(i, c) for i in range(len(values)) for c, keep in enumerate(masks[str(i)].tolist()) if not keep}
    assert found == gone
    assert all(int(mask.sum()) >= min(least, len(mask)) for mask in masks.values())
    assert sum(int(mask.sum()) for mask in masks.values()) == total - wanted


def test_the_floor_gives_the_smallest_sum_by_brute_force():
    layers = scales(seed=3, sizes=(3, 4))
    sizes = {name: g.abs().tolist() for name, g in layers.items()}
    channels = [(name, c) for name, g in sizes.items() for c in range(len(g))]
    for count, least in itertools.product(range(6), (0, 1)):
        best = min(
            sum(sizes[name][c] for name, c in gone)
            for gone in itertools.combinations(channels, count)
            if all(len(g) - sum(n == name for n, _ in gone) >= least for name, g in sizes.items())
        )
        masks = scale_masks(layers, count / 7, least)
        mine = sum(sizes[name][c] for name, c in channels if not masks[name][c])
        assert mine == pytest.approx(best) and sum(int((~m).sum()) for m in masks.values()) == count


@pytest.mark.parametrize("dtype", FLOATING)
def test_scale_masks_change_nothing_and_take_parameters(dtype):
    layers = {name: nn.Parameter(g.to(dtype)) for name, g in scales().items()}
    before = copy.deepcopy(layers)
    masks = scale_masks(layers, 0.5, 1)
    assert all(mask.dtype == torch.bool and mask.shape == layers[n].shape for n, mask in masks.items())
    assert all(torch.equal(layers[name], before[name]) for name in layers)


@pytest.mark.parametrize(
    ("sparsity", "least", "message"),
    [
        (-0.1, 0, "sparsity"),
        (1.1, 0, "sparsity"),
        (math.nan, 0, "sparsity"),
        (0.5, -1, "floor"),
        (1.0, 1, "floor"),
    ],
)
def test_scale_masks_refuse(sparsity, least, message):
    with pytest.raises(ValueError, match=message):
        scale_masks(scales(), sparsity, least)
    with pytest.raises(ValueError, match="empty"):
        scale_masks({}, 0.5)


# --- fold_constant ---------------------------------------------------------------------------------------------


def block(channels, last, padding=0, pool=False, seed=0):
    """conv, BatchNorm with some gamma exactly 0, ReLU, perhaps pooling, and one more layer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        norm = nn.BatchNorm2d(channels)
        first = nn.Conv2d(2, channels, 3)
        middle = [nn.MaxPool2d(2)] if pool else []
        end = nn.Conv2d(channels, 5, 3, padding=padding) if last == "conv" else nn.Linear(channels * 16, 5)
        for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
            tensor.normal_()
        norm.running_var.uniform_(0.5, 2)
    between = [nn.Flatten()] if last == "linear" else []
    return nn.Sequential(first, norm, nn.ReLU(), *middle, *between, end).double().eval()


def without(network, mask):
    """The network with the removed channels really gone, and the last layer's bias folded."""
    first, norm, *rest, last = copy.deepcopy(network)
    bias = fold_constant(last.weight, last.bias, norm.bias, mask)
    for layer in (first, norm):
        layer.weight, layer.bias = nn.Parameter(layer.weight[mask]), nn.Parameter(layer.bias[mask])
    norm.running_mean, norm.running_var = norm.running_mean[mask], norm.running_var[mask]
    inputs = mask if last.weight.dim() == 4 else mask.repeat_interleave(last.weight.shape[1] // len(mask))
    last.weight, last.bias = nn.Parameter(last.weight[:, inputs]), nn.Parameter(bias)
    return nn.Sequential(first, norm, *rest, last)


@torch.no_grad()
@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("last", ["conv", "linear"])
def test_the_rebuilt_network_gives_the_outputs_of_the_masked_one(last, pool):
    """The masked network holds gamma = 0 and its beta; without zero padding both agree to rounding."""
    network = block(6, last, pool=pool)
    mask = torch.tensor([True, False, False, True, False, True])
    network[1].weight[~mask] = 0
    network[1].bias[1] = 1.0  # at least one constant is not zero
    images = normal(3, 2, 10 if pool else 6, 10 if pool else 6)
    masked, rebuilt = network(images), without(network, mask)(images)
    assert torch.allclose(masked, rebuilt, atol=1e-12)
    network[1].bias[~mask] = 0  # what one gets where the constant is forgotten
    assert not torch.allclose(masked, network(images), atol=1e-3)


@torch.no_grad()
def test_with_zero_padding_only_the_border_differs():
    network = block(6, "conv", padding=1)
    mask = torch.tensor([True, False, False, True, False, True])
    network[1].weight[~mask] = 0
    network[1].bias[1] = 1.0  # at least one constant is not zero
    images = normal(3, 2, 10, 10)
    gap = (network(images) - without(network, mask)(images)).abs().amax((0, 1))  # 8, 8
    assert gap[1:-1, 1:-1].max() < 1e-12
    assert min(side.min() for side in (gap[0], gap[-1], gap[:, 0], gap[:, -1])) > 1e-4


@torch.no_grad()
def test_the_cnn_of_the_course_loses_channels_before_its_linear_layer():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        whole = CNN(channels=(4, 5, 6), hidden=7).eval()
        whole.bn3.weight.normal_(), whole.bn3.bias.normal_()
    mask = torch.tensor([True, False, True, False, False, True])
    whole.bn3.weight[~mask] = 0
    images = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    small = CNN(channels=(4, 5, 3), hidden=7).eval()
    state = whole.state_dict()
    for name in ("conv3.weight", "bn3.weight", "bn3.bias", "bn3.running_mean", "bn3.running_var"):
        state[name] = state[name][mask]
    state["fc1.weight"] = whole.fc1.weight[:, mask.repeat_interleave(9)]
    state["fc1.bias"] = fold_constant(whole.fc1.weight, whole.fc1.bias, whole.bn3.bias, mask)
    small.load_state_dict(state)
    assert torch.allclose(small(images), whole(images), atol=1e-6)


@torch.no_grad()
def test_a_batchnorm_without_a_bias_before_it_takes_the_constant_in_its_running_mean():
    conv, norm = nn.Conv2d(3, 4, 3, bias=False).double(), nn.BatchNorm2d(4).double().eval()
    shifts, mask = torch.tensor([0.7, -1.0, 0.3], dtype=torch.float64), torch.tensor([False, False, True])
    images = normal(2, 3, 6, 6)
    images[:, ~mask] = shifts.relu()[~mask][:, None, None]
    expected = norm(conv(images))
    images[:, ~mask] = 0
    norm.running_mean -= fold_constant(conv.weight, None, shifts, mask)
    assert torch.allclose(norm(conv(images)), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fold_constant_changes_nothing_and_returns_a_new_detached_bias(dtype):
    weight, bias, shifts = (nn.Parameter(normal(*s, dtype=dtype)) for s in ((3, 4, 2, 2), (3,), (4,)))
    before = [tensor.detach().clone() for tensor in (weight, bias, shifts)]
    for mask in (torch.ones(4, dtype=torch.bool), torch.tensor([True, False, True, False])):
        result = fold_constant(weight, bias, shifts, mask)
        assert result.shape == (3,) and result.dtype == dtype and not result.requires_grad
        assert mask.all() == torch.equal(result, before[1])
        result.fill_(9)
        assert fold_constant(weight, None, shifts, mask).shape == (3,)
    assert all(torch.equal(a, b) for a, b in zip((weight, bias, shifts), before, strict=True))


@quick
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(0, 1000))
def test_fold_constant_agrees_with_a_forward_pass_of_constants(out, channels, positions, seed):
    weight, shifts = normal(out, channels * positions, seed=seed), normal(channels, seed=seed + 1)
    mask = normal(channels, seed=seed + 2) > 0
    assume(weight.numel() > 0)
    inputs = torch.stack([torch.zeros(positions) if keep else torch.full((positions,), max(beta, 0.0))
                          for keep, beta in zip(mask.tolist(), shifts.tolist())]).double().flatten()  # fmt: skip
    assert torch.allclose(fold_constant(weight, None, shifts, mask), F.linear(inputs, weight), atol=1e-12)


@pytest.mark.parametrize(
    ("weight", "shifts", "mask"),
    [((3, 4, 1, 1), 5, 5), ((3, 10), 4, 4), ((3, 8, 1, 1), 4, 4), ((3, 4), 4, 3), ((3, 4), 0, 0)],
)
def test_fold_constant_refuses_what_does_not_fit(weight, shifts, mask):
    with pytest.raises(ValueError, match="must both|does not follow"):
        fold_constant(torch.ones(weight), None, torch.ones(shifts), torch.ones(mask, dtype=torch.bool))
