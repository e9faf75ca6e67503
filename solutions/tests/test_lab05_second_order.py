"""Lab 5's reference against independent oracles: torch.func's Hessian, finite differences, formulas, least squares."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from solutions.lab05_second_order import (
    empirical_fisher_diagonal,
    gradient_scores,
    hessian_diagonal,
    hutchinson_diagonal,
    hybrid_mask,
    obd_saliency,
    obs_step,
    taylor_scores,
)

quick = settings(deadline=None, max_examples=60)
N = 20


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def net(activation=nn.Tanh, seed=0):
    """A small classifier in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 5), activation(), nn.Linear(5, 3)).double()


IMAGES, LABELS = normal(N, 4, seed=9), torch.arange(N) % 3


def weights_of(network):
    return {name: weight for name, weight in network.named_parameters() if "weight" in name}


def loss_of(network):
    return F.cross_entropy(network(IMAGES), LABELS)


def functional(network):
    """The loss as a function of one vector that holds all the weights, for torch.func."""
    weights, rest = weights_of(network), dict(network.named_parameters())
    sizes = [weight.numel() for weight in weights.values()]

    def loss(vector):
        parts = {n: p.view(w.shape) for (n, w), p in zip(weights.items(), vector.split(sizes))}
        return F.cross_entropy(torch.func.functional_call(network, {**rest, **parts}, (IMAGES,)), LABELS)

    return loss, flat(weights)


def flat(tensors):
    return torch.cat([tensor.detach().flatten() for tensor in tensors.values()])


def oracle_hessian(network):
    loss, vector = functional(network)
    return torch.func.jacrev(torch.func.jacrev(loss))(vector)


def signs(weights, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        {
            name: 2 * torch.randint(0, 2, w.shape, generator=generator).to(w.dtype) - 1
            for name, w in weights.items()
        }
        for _ in range(count)
    ]


def sample_losses(network):
    for image, label in zip(IMAGES, LABELS):
        yield F.cross_entropy(network(image[None]), label[None])


# --- gradient_scores, taylor_scores, hybrid_mask ---------------------------------------------------------------


def test_gradient_scores_agree_with_central_differences():
    network = net()
    loss, vector = functional(network)
    steps = 1e-6 * torch.eye(len(vector), dtype=torch.float64)
    expected = torch.stack([(loss(vector + e) - loss(vector - e)) / 2e-6 for e in steps]).abs()
    scores = gradient_scores(lambda: loss_of(network), weights_of(network))
    assert torch.allclose(flat(scores), expected, rtol=1e-6, atol=1e-9)
    assert [s.shape for s in scores.values()] == [w.shape for w in weights_of(network).values()]


FUNCTIONS = {
    "gradient_scores": lambda network: gradient_scores(lambda: loss_of(network), weights_of(network)),
    "hessian_diagonal": lambda network: hessian_diagonal(lambda: loss_of(network), weights_of(network)),
    "hutchinson_diagonal": lambda network: hutchinson_diagonal(
        lambda: loss_of(network), weights_of(network), signs(weights_of(network), 2)
    ),
    "empirical_fisher_diagonal": lambda network: empirical_fisher_diagonal(
        sample_losses(network), weights_of(network)
    ),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_nothing_of_the_network_is_touched_and_no_graph_is_left(function):
    network = net()
    before = copy.deepcopy(network.state_dict())
    network[0].weight.grad = torch.full_like(network[0].weight, 7.0)
    result = function(network)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert (network[0].weight.grad == 7).all() and network[2].weight.grad is None
    assert not any(tensor.requires_grad for tensor in result.values())


@quick
@given(st.integers(0, 10**6))
def test_first_order_change_is_exact_where_the_loss_is_linear(seed):
    weight, slope = normal(3, 4, seed=seed), normal(3, 4, seed=seed + 1)
    scores = taylor_scores(weight, slope)
    for i in range(3):
        for j in range(4):
            pruned = weight.clone()
            pruned[i, j] = 0
            change = ((slope * pruned).sum() - (slope * weight).sum()).abs()
            assert scores[i, j].item() == pytest.approx(change.item(), abs=1e-12)


@quick
@given(st.integers(0, 10**6), st.floats(0, 2), st.floats(0, 2))
def test_hybrid_mask_is_the_intersection_of_two_sets(seed, a, b):
    weight, gradient = normal(5, 6, seed=seed), normal(5, 6, seed=seed + 1)
    mask = hybrid_mask(weight, gradient, a, b)
    expected = {i for i, v in enumerate(weight.flatten().tolist()) if abs(v) >= a} & {
        i for i, v in enumerate(gradient.flatten().tolist()) if abs(v) >= b
    }
    assert set(torch.nonzero(mask.flatten()).flatten().tolist()) == expected and mask.dtype == torch.bool


def test_hybrid_mask_keeps_what_stands_exactly_at_a_threshold():
    mask = hybrid_mask(torch.tensor([0.5, -0.5, 0.25]), torch.tensor([-1.0, 1.0, 1.0]), 0.5, 1.0)
    assert mask.tolist() == [True, True, False]


@pytest.mark.parametrize("a,b", [(-1, 0), (0, -1), (math.nan, 0), (0, math.nan)])
def test_hybrid_mask_refuses_a_threshold(a, b):
    with pytest.raises(ValueError, match="thresholds"):
        hybrid_mask(torch.ones(2), torch.ones(2), a, b)


@pytest.mark.parametrize("function", [taylor_scores, obd_saliency, lambda w, g: hybrid_mask(w, g, 0.1, 0.1)])
def test_shapes_that_differ_are_refused_even_where_they_would_broadcast(function):
    with pytest.raises(ValueError, match="shape"):
        function(torch.ones(3, 4), torch.ones(4))


# --- hessian_diagonal ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.Softplus])
def test_hessian_diagonal_is_that_of_torch_funcs_hessian(activation):
    network = net(activation)
    diagonal = hessian_diagonal(lambda: loss_of(network), weights_of(network))
    assert torch.allclose(flat(diagonal), oracle_hessian(network).diagonal(), rtol=1e-10, atol=1e-12)


def test_hessian_diagonal_agrees_with_second_differences():
    network = net()
    loss, vector = functional(network)
    step, here = 1e-4, functional(network)[0](vector)
    expected = [
        (loss(vector + e) - 2 * here + loss(vector - e)) / step**2
        for e in step * torch.eye(len(vector), dtype=torch.float64)
    ]
    diagonal = hessian_diagonal(lambda: loss_of(network), weights_of(network))
    assert torch.allclose(flat(diagonal), torch.stack(expected), rtol=1e-4, atol=1e-6)


def test_with_relu_the_diagonal_is_never_negative_and_with_tanh_it_is():
    """With ReLU the outputs are piecewise linear in each single weight: only the convex loss bends."""
    network, bent = net(nn.ReLU), net(nn.Tanh)
    assert (flat(hessian_diagonal(lambda: loss_of(network), weights_of(network))) >= -1e-12).all()
    assert (flat(hessian_diagonal(lambda: loss_of(bent), weights_of(bent))) < 0).any()
    assert (
        torch.linalg.eigvalsh(oracle_hessian(network))[0] < 0
    )  # the whole matrix is indefinite all the same


# --- hutchinson_diagonal: mean and variance --------------------------------------------------------------------


def test_one_probe_is_z_times_hz_with_the_hessian_of_the_whole_network():
    network = net()
    weights, hessian = weights_of(network), oracle_hessian(net())
    (probe,) = signs(weights, 1)
    z = flat(probe)
    estimate = flat(hutchinson_diagonal(lambda: loss_of(network), weights, [probe]))
    assert torch.allclose(estimate, z * (hessian @ z), rtol=1e-9, atol=1e-12)


def test_the_estimates_mean_and_variance_are_those_of_the_theory():
    """E = h_ii, Var = sum of the squares of the rest of row i. 4,000 estimates; bounds of five standard errors."""
    network = net()
    weights, hessian, count = weights_of(network), oracle_hessian(net()), 4000
    z = torch.stack([flat(probe) for probe in signs(weights, count)])
    estimates = torch.stack(
        [
            flat(hutchinson_diagonal(lambda: loss_of(network), weights, [probe]))
            for probe in signs(weights, 200)
        ]
    )
    assert torch.allclose(estimates, z[:200] * (z[:200] @ hessian), rtol=1e-8, atol=1e-11)
    estimates = z * (z @ hessian)  # shown above to be the function's
    variance = hessian.square().sum(1) - hessian.diagonal().square()
    error = (estimates.mean(0) - hessian.diagonal()).abs()
    assert (error <= 5 * (variance / count).sqrt()).all()
    assert torch.allclose(estimates.var(0), variance, rtol=0.25)


def test_m_probes_give_the_mean_of_m_estimates_and_all_sign_vectors_give_the_diagonal():
    root = normal(3, 3)
    weights = {"a": nn.Parameter(normal(2, seed=1)), "b": nn.Parameter(normal(1, 1, seed=2))}

    def loss():
        return (root @ torch.cat([weights["a"], weights["b"].flatten()])).square().sum() / 2

    grid = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 3)
    probes = [{"a": z[:2], "b": z[2:].view(1, 1)} for z in grid]
    each = torch.stack([flat(hutchinson_diagonal(loss, weights, [probe])) for probe in probes])
    together = flat(hutchinson_diagonal(loss, weights, probes))
    assert torch.allclose(together, each.mean(0), rtol=1e-12)
    assert torch.allclose(together, (root.T @ root).diagonal(), rtol=1e-12)


@pytest.mark.parametrize("change", ["none", "name", "shape"])
def test_hutchinson_diagonal_refuses_probes_that_do_not_fit(change):
    network = net()
    (probe,) = signs(weights_of(network), 1)
    probes = {
        "none": [],
        "name": [{"0.weight": probe["0.weight"], "x": probe["2.weight"]}],
        "shape": [{**probe, "2.weight": probe["2.weight"][0]}],
    }[change]
    with pytest.raises(ValueError, match="probe"):
        hutchinson_diagonal(lambda: loss_of(network), weights_of(network), probes)


# --- empirical_fisher_diagonal ---------------------------------------------------------------------------------


def test_empirical_fisher_is_the_mean_square_of_torch_funcs_per_sample_gradients():
    network = net()
    parameters = dict(network.named_parameters())

    def loss(parameters, image, label):
        logits = torch.func.functional_call(network, parameters, (image[None],))
        return F.cross_entropy(logits, label[None])

    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, IMAGES, LABELS)
    fisher = empirical_fisher_diagonal(sample_losses(network), weights_of(network))
    for name, tensor in fisher.items():
        assert torch.allclose(tensor, gradients[name].square().mean(0), rtol=1e-10, atol=1e-14)


def test_with_labels_from_the_model_the_expected_fisher_is_the_hessian_of_a_relu_network():
    """Weighted by the model's own probabilities the mean square is the Fisher diagonal, here equal to the Hessian's."""
    network = net(nn.ReLU)
    logits = network(IMAGES)
    probabilities = logits.softmax(1).detach()
    losses = [
        probabilities[n, c].sqrt() * F.cross_entropy(network(IMAGES[n : n + 1]), torch.tensor([c]))
        for n in range(N)
        for c in range(3)
    ]
    fisher = flat(empirical_fisher_diagonal(losses, weights_of(network))) * 3  # N * 3 terms, N samples
    hessian = flat(hessian_diagonal(lambda: loss_of(network), weights_of(network)))
    assert torch.allclose(fisher, hessian, rtol=1e-9, atol=1e-12)


def test_a_subset_of_the_samples_estimates_the_mean_over_all_without_bias():
    network = net()
    each = torch.stack(
        [flat(empirical_fisher_diagonal([loss], weights_of(network))) for loss in sample_losses(network)]
    )
    whole = flat(empirical_fisher_diagonal(sample_losses(network), weights_of(network)))
    assert torch.allclose(each.mean(0), whole, rtol=1e-12)
    halves = [
        flat(empirical_fisher_diagonal(list(sample_losses(network))[i::2], weights_of(network)))
        for i in (0, 1)
    ]
    assert torch.allclose((halves[0] + halves[1]) / 2, whole, rtol=1e-12)


def test_empirical_fisher_refuses_an_empty_generator_and_a_vector_of_losses():
    network = net()
    with pytest.raises(ValueError, match="no sample"):
        empirical_fisher_diagonal(iter(()), weights_of(network))
    with pytest.raises(ValueError, match="single number"):
        empirical_fisher_diagonal(
            [F.cross_entropy(network(IMAGES), LABELS, reduction="none")], weights_of(network)
        )


@pytest.mark.parametrize("function", [gradient_scores, hessian_diagonal])
def test_no_weights_and_a_vector_of_losses_are_refused(function):
    network = net()
    with pytest.raises(ValueError, match="empty"):
        function(lambda: loss_of(network), {})
    with pytest.raises(ValueError, match="single number"):
        function(lambda: F.cross_entropy(network(IMAGES), LABELS, reduction="none"), weights_of(network))


# --- obd_saliency ----------------------------------------------------------------------------------------------


@quick
@given(st.integers(0, 10**6))
def test_obd_saliency_is_the_change_of_a_separable_quadratic_loss_at_its_minimum(seed):
    """L(w) = 0.5 * sum h (w - w*)^2: at the minimum, removing one weight costs h w^2 / 2 exactly."""
    minimum, curvature = normal(6, seed=seed), normal(6, seed=seed + 1)
    saliency = obd_saliency(minimum, curvature)
    for i in range(6):
        pruned = minimum.clone()
        pruned[i] = 0
        cost = 0.5 * (curvature * (pruned - minimum).square()).sum()
        assert saliency[i].item() == pytest.approx(cost.item(), rel=1e-12, abs=1e-15)


# --- obs_step --------------------------------------------------------------------------------------------------


def valley(n, seed=0):
    root = normal(n, 2 * n, seed=seed)
    hessian = root @ root.t() / n
    return normal(n, seed=seed + 1), hessian


def constrained(minimum, hessian, removed):
    """Brute force: the least loss 0.5 (w - w*)'H(w - w*) with the removed weights at zero, by solving for the rest."""
    kept = [i for i in range(len(minimum)) if i not in removed]
    weight = torch.zeros_like(minimum)
    right = hessian[kept] @ minimum
    weight[kept] = torch.linalg.solve(hessian[kept][:, kept], right)
    change = weight - minimum
    return weight, (0.5 * change @ hessian @ change).item()


@pytest.mark.parametrize("seed", range(5))
def test_the_first_step_is_the_cheapest_of_all_removals_with_the_best_values_of_the_rest(seed):
    minimum, hessian = valley(7, seed)
    inverse = torch.linalg.inv(hessian)
    index, saliency, weight, _ = obs_step(minimum, inverse, torch.ones(7, dtype=torch.bool))
    costs = [constrained(minimum, hessian, {i})[1] for i in range(7)]
    assert index == int(np.argmin(costs)) and saliency == pytest.approx(min(costs), rel=1e-9)
    assert torch.allclose(weight, constrained(minimum, hessian, {index})[0], atol=1e-9)
    assert isinstance(index, int) and isinstance(saliency, float) and weight[index] == 0


@pytest.mark.parametrize("seed", range(5))
def test_steps_in_a_row_end_at_the_constrained_minimum_and_their_saliencies_add_up(seed):
    minimum, hessian = valley(8, seed)
    weight, inverse = minimum, torch.linalg.inv(hessian)
    kept, removed, spent = torch.ones(8, dtype=torch.bool), set(), 0.0
    for _ in range(8):
        before = (weight.clone(), inverse.clone(), kept.clone())
        index, saliency, new_weight, new_inverse = obs_step(weight, inverse, kept)
        assert all(torch.equal(a, b) for a, b in zip(before, (weight, inverse, kept)))
        assert index not in removed
        weight, inverse = new_weight, new_inverse
        removed.add(index)
        kept[index] = False
        spent += saliency
        assert (weight[~kept] == 0).all() and (inverse[~kept] == 0).all() and (inverse[:, ~kept] == 0).all()
        if len(removed) < 8:
            best, cost = constrained(minimum, hessian, removed)
            assert torch.allclose(weight, best, atol=1e-8) and spent == pytest.approx(cost, rel=1e-8)
            inside = torch.outer(kept, kept)
            again = torch.linalg.inv(hessian[kept][:, kept]).flatten()
            assert torch.allclose(inverse[inside], again, rtol=1e-7, atol=1e-9)


@quick
@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=8), st.integers(0, 10**6))
def test_with_a_diagonal_hessian_the_surgeon_is_optimal_brain_damage(diagonal, seed):
    curvature = torch.tensor(diagonal, dtype=torch.float64)
    weight, n = normal(len(diagonal), seed=seed), len(diagonal)
    index, saliency, new, _ = obs_step(weight, torch.diag(1 / curvature), torch.ones(n, dtype=torch.bool))
    damage = obd_saliency(weight, curvature)
    assert saliency == pytest.approx(damage.min().item(), rel=1e-9)
    others = torch.arange(n) != index
    assert torch.equal(new[others], weight[others]) and new[index] == 0


def test_of_equal_saliencies_the_lowest_index_goes():
    weight = torch.tensor([2.0, -1.0, 1.0])
    assert obs_step(weight, torch.eye(3), torch.ones(3, dtype=torch.bool))[0] == 1
    assert obs_step(weight, torch.eye(3), torch.tensor([True, False, True]))[0] == 2


@pytest.mark.parametrize("bad", [-1.0, 0.0, math.nan])
def test_obs_step_refuses_a_diagonal_that_is_no_valley_unless_that_weight_is_gone(bad):
    inverse = torch.eye(3)
    inverse[1, 1] = bad
    with pytest.raises(ValueError, match="damping"):
        obs_step(torch.ones(3), inverse, torch.ones(3, dtype=torch.bool))
    assert obs_step(torch.ones(3), inverse, torch.tensor([True, False, True]))[0] == 0


def test_obs_step_refuses_shapes_that_do_not_fit_and_an_empty_network():
    ones = torch.ones(3, dtype=torch.bool)
    for weight, inverse, kept in (
        (torch.ones(2), torch.eye(3), ones),
        (torch.ones(3, 1), torch.eye(3), ones),
        (torch.ones(3), torch.eye(3), ones[:2]),
    ):
        with pytest.raises(ValueError, match="needed"):
            obs_step(weight, inverse, kept)
    with pytest.raises(ValueError, match="no weight"):
        obs_step(torch.ones(3), torch.eye(3), ~ones)


def test_obs_step_returns_tensors_without_history_from_a_parameter():
    inverse = torch.eye(3).requires_grad_()
    *_, weight, new_inverse = obs_step(
        torch.nn.Parameter(torch.ones(3)), inverse, torch.ones(3, dtype=torch.bool)
    )
    assert not weight.requires_grad and not new_inverse.requires_grad
