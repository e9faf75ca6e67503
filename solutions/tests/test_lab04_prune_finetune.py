"""Lab 4's reference against independent oracles: torch.nn.utils.prune, updates written out by hand, exact fractions."""

import copy
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune as torch_prune

from solutions.lab04_prune_finetune import (
    apply_masks,
    cubic_sparsity,
    iterative_sparsities,
    masked_step,
    prune_and_finetune,
    train_time_pruning,
)

FLOATING = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
quick = settings(deadline=None, max_examples=60)


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def net(seed=0):
    """A small network with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)).double()


def weights_of(network):
    return {name: weight for name, weight in network.named_parameters() if "weight" in name}


def half(network, seed=5):
    """Masks that keep about half of each weight."""
    return {
        name: normal(*w.shape, seed=seed + i) > 0 for i, (name, w) in enumerate(weights_of(network).items())
    }


def by_magnitude(weights, sparsity):
    """Global magnitude, in plain Python: sort (magnitude, layer, position)."""
    entries = [
        (abs(value), layer, position)
        for layer, weight in enumerate(weights.values())
        for position, value in enumerate(weight.detach().flatten().tolist())
    ]
    masks = [np.ones(weight.numel(), dtype=bool) for weight in weights.values()]
    for _, layer, position in sorted(entries)[: round(sparsity * len(entries))]:
        masks[layer][position] = False
    return {
        name: torch.from_numpy(mask).reshape(weight.shape)
        for (name, weight), mask in zip(weights.items(), masks)
    }


# --- apply_masks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATING)
def test_apply_masks_gives_what_torch_prune_gives(dtype):
    network = net().to(dtype)
    oracle, masks = copy.deepcopy(network), half(network)
    for name, mask in masks.items():
        layer = oracle.get_submodule(name.removesuffix(".weight"))
        torch_prune.remove(torch_prune.custom_from_mask(layer, "weight", mask), "weight")
    assert apply_masks(weights_of(network), masks) is None
    theirs = dict(oracle.named_parameters())
    for name, mine in network.named_parameters():
        assert torch.equal(mine, theirs[name]) and mine.dtype == dtype


def test_apply_masks_keeps_objects_gradients_and_layers_without_a_mask():
    network = net()
    weights, before = (
        weights_of(network),
        {name: w.detach().clone() for name, w in weights_of(network).items()},
    )
    for weight in weights.values():
        weight.grad = torch.ones_like(weight)
    same = dict(weights)
    apply_masks(weights, {"2.weight": torch.zeros(4, 8, dtype=torch.bool)})
    assert all(weights[name] is same[name] and same[name].requires_grad for name in same)
    assert all(torch.equal(weight.grad, torch.ones_like(weight)) for weight in same.values())
    assert torch.equal(weights["0.weight"], before["0.weight"])
    assert not weights["2.weight"].any()


def test_apply_masks_zeroes_infinite_and_undefined_entries_of_a_transposed_weight():
    base = torch.tensor([[math.inf, 1.0], [math.nan, 2.0], [-math.inf, 3.0]])
    apply_masks({"w": base.t()}, {"w": torch.tensor([[False, False, True], [True, False, True]])})
    assert base.tolist() == [[0.0, 1.0], [0.0, 0.0], [-math.inf, 3.0]]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"c": torch.ones(2, dtype=torch.bool)}, "no such weight"),
        ({"b": torch.ones(3, dtype=torch.bool)}, "shape"),
    ],
)
def test_apply_masks_refuses_before_it_changes_anything(bad, message):
    weights = {"a": torch.ones(2), "b": torch.ones(2, 3)}
    with pytest.raises(ValueError, match=message):
        apply_masks(weights, {"a": torch.zeros(2, dtype=torch.bool), **bad})
    assert weights["a"].all() and weights["b"].all()


@quick
@given(st.lists(st.booleans(), min_size=12, max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_two_masks_after_each_other_are_both_together(one, other):
    one, other = torch.tensor(one).reshape(3, 4), torch.tensor(other).reshape(3, 4)
    twice, once = normal(3, 4), normal(3, 4)
    apply_masks({"w": twice}, {"w": one})
    apply_masks({"w": twice}, {"w": other})
    apply_masks({"w": once}, {"w": one & other})
    assert torch.equal(twice, once)


# --- masked_step -----------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "Nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.01),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5),
}


def loss_of(network, step):
    inputs, labels = normal(16, 6, seed=step, dtype=torch.float64), torch.arange(16) % 4
    return F.cross_entropy(network(inputs), labels)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_masked_steps_train_as_torch_prune_does(make):
    """torch.nn.utils.prune multiplies by the mask in the forward pass: the kept weights move in the same way."""
    network = net()
    oracle, masks = copy.deepcopy(network), half(network)
    apply_masks(weights_of(network), masks)
    for name, mask in masks.items():
        torch_prune.custom_from_mask(oracle.get_submodule(name.removesuffix(".weight")), "weight", mask)
    mine, theirs = make(network.parameters()), make(oracle.parameters())
    for step in range(6):
        loss = masked_step(weights_of(network), masks, mine, lambda step=step: loss_of(network, step))
        expected = loss_of(oracle, step)
        theirs.zero_grad()
        expected.backward()
        theirs.step()
        assert loss == pytest.approx(expected.item(), rel=1e-12) and type(loss) is float
    oracle(normal(1, 6, dtype=torch.float64))  # its weights are computed anew in the forward pass
    for index in (0, 2):
        assert torch.allclose(network[index].weight, oracle[index].weight, rtol=1e-10, atol=1e-14)
        assert torch.allclose(network[index].bias, oracle[index].bias, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_a_removed_weight_stays_zero_whatever_the_optimiser_remembers(make):
    network = net()
    optimizer, masks = make(network.parameters()), half(network)
    for step in range(4):  # dense steps fill the optimiser's memory
        optimizer.zero_grad()
        loss_of(network, step).backward()
        optimizer.step()
    free = copy.deepcopy(network)
    apply_masks(weights_of(network), masks)
    for step in range(3):
        masked_step(weights_of(network), masks, optimizer, lambda step=step: loss_of(network, step))
        for name, weight in weights_of(network).items():
            assert torch.equal(weight == 0, ~masks[name])
    assert not torch.equal(free[0].bias, network[0].bias)


def test_masked_step_against_momentum_written_out_by_hand():
    """Least squares y = w x, SGD with momentum and weight decay, the update rule in NumPy."""
    x = normal(10, 5, seed=1, dtype=torch.float64)
    y = normal(10, seed=2, dtype=torch.float64)
    weight = nn.Parameter(normal(5, seed=3, dtype=torch.float64))
    mask = torch.tensor([True, False, True, True, False])
    apply_masks({"w": weight}, {"w": mask})
    w, v, m = weight.detach().numpy().copy(), np.zeros(5), mask.numpy().astype(float)
    optimizer = torch.optim.SGD([weight], lr=0.05, momentum=0.9, weight_decay=0.02)
    for _ in range(8):
        masked_step({"w": weight}, {"w": mask}, optimizer, lambda: ((x @ weight - y) ** 2).mean())
        gradient = 2 * x.numpy().T @ (x.numpy() @ w - y.numpy()) / 10 + 0.02 * w
        v = 0.9 * v + gradient
        w = (w - 0.05 * v) * m
    assert np.allclose(weight.detach().numpy(), w, rtol=1e-12)


def test_masked_step_forgets_old_gradients_and_calls_the_loss_once():
    network, calls = net(), []
    fresh = copy.deepcopy(network)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)

    def compute_loss(network=network):
        calls.append(1)
        return loss_of(network, 0)

    masked_step(weights_of(network), {}, torch.optim.SGD(network.parameters(), lr=0.1), compute_loss)
    optimizer = torch.optim.SGD(fresh.parameters(), lr=0.1)
    loss_of(fresh, 0).backward()
    optimizer.step()
    assert calls == [1]
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), fresh.parameters(), strict=True))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_masked_step_refuses_a_loss_that_is_no_number_and_changes_nothing(value):
    network = net()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(ValueError, match="loss"):
        masked_step(weights_of(network), half(network), optimizer, lambda: loss_of(network, 0) * value)
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    assert not optimizer.state


# --- prune_and_finetune and train_time_pruning on a real, small training ----------------------------------------


class Training:
    """Masked SGD on a small network: `finetune(masks)` makes five steps."""

    def __init__(self, lr=0.5):
        self.network, self.step = net(), 0
        self.weights = weights_of(self.network)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=lr)

    def finetune(self, masks):
        for _ in range(5):
            self.optimizer.zero_grad()
            loss_of(self.network, self.step).backward()
            self.optimizer.step()
            self.step += 1
            for name, mask in masks.items():
                self.weights[name].data *= mask

    def evaluate(self):
        with torch.no_grad():
            return loss_of(self.network, 1000).item()


@pytest.mark.parametrize(
    "sparsities", [[0.5], [0.0, 1.0], [0.25, 0.5, 0.75], [0.5, 0.5], [0.2, 0.4, 0.6, 0.8]]
)
def test_the_rounds_agree_with_torch_prunes_own_iterative_pruning(sparsities):
    training, oracle = Training(), Training()
    masks, history = prune_and_finetune(
        training.weights, sparsities, by_magnitude, training.finetune, training.evaluate
    )
    layers = [(oracle.network[0], "weight"), (oracle.network[2], "weight")]
    total, removed, expected = sum(w.numel() for w in training.weights.values()), 0, []
    for sparsity in sparsities:
        more = round(sparsity * total) - removed  # torch prunes on top of what is already pruned
        removed += more
        torch_prune.global_unstructured(layers, pruning_method=torch_prune.L1Unstructured, amount=more)
        oracle.optimizer = torch.optim.SGD(oracle.network.parameters(), lr=0.5)
        before = oracle.evaluate()
        oracle.finetune({})  # its masks act in the forward pass
        expected.append((before, oracle.evaluate()))
    assert np.allclose(history, expected, rtol=1e-10)
    for name, (layer, _) in zip(training.weights, layers):
        assert torch.equal(masks[name], layer.weight_mask.bool())
        assert torch.allclose(training.weights[name], layer.weight, rtol=1e-10, atol=1e-14)
    assert isinstance(history, list) and all(isinstance(pair, tuple) for pair in history)


def test_a_rule_that_changes_its_mind_cannot_bring_a_weight_back():
    weights, seen = {"w": nn.Parameter(torch.ones(4))}, []
    rules = iter([[True, False, True, True], [True, True, False, True], [False, True, True, True]])
    masks, _ = prune_and_finetune(
        weights, [0.25, 0.25, 0.25], lambda w, s: {"w": torch.tensor(next(rules))},
        lambda masks: seen.append(masks["w"].tolist()), lambda: 0.0,
    )  # fmt: skip
    assert seen == [[True, False, True, True], [True, False, False, True], [False, False, False, True]]
    assert masks["w"].tolist() == seen[-1] and weights["w"].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("sparsities", "message"), [([], "empty"), ([0.5, 0.4], "fall"), ([0.1, 0.9, 0.8], "fall")]
)
def test_prune_and_finetune_refuses_before_it_changes_anything(sparsities, message):
    weights = {"w": torch.ones(4)}
    with pytest.raises(ValueError, match=message):
        prune_and_finetune(weights, sparsities, pytest.fail, pytest.fail, pytest.fail)
    assert weights["w"].all()


@pytest.mark.parametrize("sparsities", [[0.5], [0.5] * 4, [0.2, 0.7, 0.4], [0.0, 1.0, 0.0]])
def test_train_time_pruning_agrees_with_sets_of_positions_kept_by_hand(sparsities):
    training, oracle = Training(), Training()
    masks, regrown = train_time_pruning(
        training.weights, sparsities, by_magnitude, lambda: training.finetune({})
    )
    gone, expected = None, []
    for sparsity in sparsities:
        oracle.finetune({})
        now = {
            (name, tuple(index))
            for name, mask in by_magnitude(oracle.weights, sparsity).items()
            for index in torch.nonzero(~mask).tolist()
        }
        for name, index in now:
            oracle.weights[name].data[index] = 0.0
        expected.append(0 if gone is None else len(gone - now))
        gone = now
    assert regrown == expected and all(type(count) is int for count in regrown)
    for name, weight in training.weights.items():
        assert torch.equal(weight, oracle.weights[name])
        assert {(name, tuple(index)) for index in torch.nonzero(~masks[name]).tolist()} <= gone
    assert sum(int((~mask).sum()) for mask in masks.values()) == len(gone)


def test_renewed_masks_let_weights_return_and_kept_masks_do_not():
    training = Training(lr=3.0)
    _, regrown = train_time_pruning(training.weights, [0.5] * 4, by_magnitude, lambda: training.finetune({}))
    assert regrown[0] == 0 and sum(regrown) > 0


def test_train_time_pruning_refuses_an_empty_plan():
    with pytest.raises(ValueError, match="no epoch"):
        train_time_pruning({"w": torch.ones(2)}, [], pytest.fail, pytest.fail)


# --- iterative_sparsities --------------------------------------------------------------------------------------


def test_iterative_sparsities_by_hand():
    assert iterative_sparsities(0.75, 2) == pytest.approx([0.5, 0.75])
    assert iterative_sparsities(0.875, 3) == pytest.approx([0.5, 0.75, 0.875])
    assert iterative_sparsities(0.9, 1) == pytest.approx([0.9])
    assert iterative_sparsities(0, 3) == [0, 0, 0]
    assert iterative_sparsities(1, 3) == [1, 1, 1]


@pytest.mark.parametrize(("final", "rounds"), [(0.5, 2), (0.9, 4), (0.98, 5), (0.36, 2)])
def test_iterative_sparsities_are_those_of_torch_prune_called_round_after_round(final, rounds):
    """torch.nn.utils.prune takes a fraction of what the earlier calls left."""
    layer = nn.Module()
    layer.weight = nn.Parameter(normal(200, 200))
    fraction = 1 - (1 - final) ** (1 / rounds)
    for planned in iterative_sparsities(final, rounds):
        torch_prune.l1_unstructured(layer, "weight", amount=fraction)
        assert 1 - layer.weight_mask.mean().item() == pytest.approx(planned, abs=1e-4)


@quick
@given(st.floats(0, 1), st.integers(1, 30))
def test_iterative_sparsities_rise_to_the_final_one_and_leave_a_constant_fraction(final, rounds):
    plan = iterative_sparsities(final, rounds)
    assert len(plan) == rounds and plan[-1] == pytest.approx(final, abs=1e-12)
    assert all(0 <= a <= b <= 1 for a, b in zip([0, *plan], plan))
    left = [1.0, *(1 - s for s in plan)]
    if final < 0.999:
        ratios = [after / before for before, after in zip(left, left[1:])]
        assert ratios == pytest.approx([ratios[0]] * rounds, rel=1e-9)


@pytest.mark.parametrize(("final", "rounds"), [(-0.1, 3), (1.01, 3), (math.nan, 3), (0.5, 0), (0.5, -1)])
def test_iterative_sparsities_refuse(final, rounds):
    with pytest.raises(ValueError, match="must"):
        iterative_sparsities(final, rounds)


# --- cubic_sparsity --------------------------------------------------------------------------------------------


def test_cubic_sparsity_by_hand():
    """t_0 = 100, four updates, ten steps apart, to 80%: 0.8 * (1 - (3/4)^3) = 0.4625, and so on."""
    by_hand = {
        0: 0,
        99: 0,
        100: 0,
        109: 0,
        110: 0.4625,
        119: 0.4625,
        120: 0.7,
        130: 0.7875,
        139: 0.7875,
        140: 0.8,
        999: 0.8,
    }
    for step, expected in by_hand.items():
        assert cubic_sparsity(step, 100, 4, 10, 0.8) == pytest.approx(expected)


schedules = st.tuples(
    st.integers(0, 50), st.integers(1, 12), st.integers(1, 9), st.integers(0, 20), st.integers(0, 20)
)


@quick
@given(schedules)
def test_cubic_sparsity_agrees_with_equation_1_in_exact_fractions_and_a_running_mask(schedule):
    start, n, dt, one, other = schedule
    s_i, s_f = sorted((Fraction(one, 20), Fraction(other, 20)))
    current = s_i
    for t in range(start + n * dt + 2 * dt):
        if start <= t <= start + n * dt and (t - start) % dt == 0:
            current = s_f + (s_i - s_f) * (1 - Fraction(t - start, n * dt)) ** 3
        assert cubic_sparsity(t, start, n, dt, float(s_f), float(s_i)) == pytest.approx(
            float(current), abs=1e-12
        )


@quick
@given(schedules)
def test_cubic_sparsity_never_falls_and_slows_down(schedule):
    start, n, dt, one, other = schedule
    initial, final = sorted((one / 20, other / 20))
    values = [cubic_sparsity(start + i * dt, start, n, dt, final, initial) for i in range(n + 1)]
    gains = [after - before for before, after in zip(values, values[1:])]
    assert values[0] == pytest.approx(initial) and values[-1] == pytest.approx(final)
    assert all(gain >= -1e-12 for gain in gains)
    assert all(later <= earlier + 1e-12 for earlier, later in zip(gains, gains[1:]))


@pytest.mark.parametrize(
    ("updates", "interval", "final", "initial"),
    [(0, 5, 0.5, 0), (4, 0, 0.5, 0), (4, 5, 1.2, 0), (4, 5, 0.5, -0.1), (4, 5, 0.5, 0.6), (4, 5, math.nan, 0), (4, 5, 0.5, math.nan)],
)  # fmt: skip
def test_cubic_sparsity_refuses(updates, interval, final, initial):
    with pytest.raises(ValueError, match="at least 1|does not hold"):
        cubic_sparsity(0, 0, updates, interval, final, initial)
