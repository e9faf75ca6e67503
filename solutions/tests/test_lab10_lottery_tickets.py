"""Lab 10's reference against brute force, problems whose ticket is known, and exact fractions."""

import copy
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune as torch_prune

from solutions.lab10_lottery_tickets import (
    find_ticket,
    keep_signs,
    rewind,
    scratch_epochs,
    supermask_accuracy,
    ticket_scores,
)

quick = settings(max_examples=60, deadline=None)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def size(w_i, w_f):
    return w_f.abs()


# --- rewind ----------------------------------------------------------------------------------------------------


@quick
@given(st.lists(st.booleans(), min_size=12, max_size=12), st.integers(0, 1000))
def test_rewind_entry_by_entry(keep, seed):
    weight, bias = nn.Parameter(normal(3, 4, seed=seed)), nn.Parameter(normal(4, seed=seed + 1))
    start = {"w": normal(3, 4, seed=seed + 2), "b": normal(4, seed=seed + 3), "more": torch.ones(1)}
    rewind({"w": weight, "b": bias}, start, {"w": torch.tensor(keep).view(3, 4)})
    expected = [value if kept else 0.0 for value, kept in zip(start["w"].flatten().tolist(), keep)]
    assert weight.flatten().tolist() == expected and bias.tolist() == start["b"].tolist()


def test_rewound_networks_repeat_their_training_exactly():
    """A network that is put back to step k and trained on is the network that was never put back."""
    torch.manual_seed(0)
    net, images, labels = (
        nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)),
        normal(20, 6).float(),
        torch.arange(20) % 3,
    )

    def descend(steps):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
        for _ in range(steps):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images), labels).backward()
            optimizer.step()

    descend(3)
    checkpoint = copy.deepcopy(net.state_dict())
    descend(5)
    once = copy.deepcopy(net.state_dict())
    descend(4)
    rewind(dict(net.named_parameters()), checkpoint, {})
    descend(5)
    assert all(torch.equal(once[name], value) for name, value in net.state_dict().items())


def test_rewind_writes_zero_over_infinite_and_undefined_values():
    weight = torch.tensor([math.nan, 1.0, math.inf])
    rewind(
        {"w": weight},
        {"w": torch.tensor([math.inf, math.nan, 2.0])},
        {"w": torch.tensor([False, False, True])},
    )
    assert weight.tolist() == [0, 0, 2]


@pytest.mark.parametrize(
    ("checkpoint", "masks", "message"),
    [
        ({"a": torch.zeros(2)}, {}, "does not hold b"),
        ({"a": torch.zeros(2), "b": torch.zeros(1, 3)}, {}, "checkpoint of b"),
        ({"a": torch.zeros(2), "b": torch.zeros(2, 3)}, {"b": torch.ones(3, dtype=torch.bool)}, "mask of b"),
        (
            {"a": torch.zeros(2), "b": torch.zeros(2, 3)},
            {"c": torch.ones(3, dtype=torch.bool)},
            "no such parameter",
        ),
    ],
)
def test_rewind_refuses_before_it_changes_anything(checkpoint, masks, message):
    parameters = {"a": torch.ones(2), "b": torch.ones(2, 3)}
    with pytest.raises(ValueError, match=message):
        rewind(parameters, checkpoint, masks)
    assert parameters["a"].all() and parameters["b"].all()


# --- find_ticket -----------------------------------------------------------------------------------------------


def test_the_ticket_of_a_problem_with_two_weights():
    """L = (a - 3)^2 + b^2 by gradient descent: only a is needed, although b starts larger."""

    def train(start, masks):
        w = start["w"].clone().requires_grad_()
        for _ in range(200):
            loss = (w[0] - 3) ** 2 + w[1] ** 2
            (gradient,) = torch.autograd.grad(loss, w)
            w = ((w - 0.1 * gradient) * masks["w"]).detach().requires_grad_()
        return {"w": w.detach()}

    start = {"w": torch.tensor([0.1, 2.0], dtype=torch.float64)}
    (ticket,) = find_ticket(start, train, size, 1, 0.5)
    assert ticket["w"].tolist() == [True, False]
    trained = train({"w": start["w"] * ticket["w"]}, ticket)["w"]
    assert torch.allclose(trained, torch.tensor([3.0, 0.0], dtype=torch.float64))


def least_squares(target):
    """A training that goes to the minimum of |w - target|^2 on the kept weights, whatever its start is."""
    return lambda start, masks: {name: target[name] * masks[name] for name in start}


@pytest.mark.parametrize("seed", range(5))
def test_the_ticket_is_the_best_subset_where_brute_force_can_look_at_all(seed):
    target = {"a": normal(4, seed=seed), "b": normal(2, 2, seed=seed + 50)}
    masks = find_ticket(
        {name: torch.ones_like(t) for name, t in target.items()}, least_squares(target), size, 2, 0.5
    )[-1]
    flat = torch.cat([target["a"], target["b"].flatten()])
    best = min(
        itertools.combinations(range(8), 2),
        key=lambda keep: sum(flat[i] ** 2 for i in range(8) if i not in keep),
    )
    kept = torch.cat([masks["a"], masks["b"].flatten()]).nonzero().flatten().tolist()
    assert tuple(kept) == best


@quick
@given(st.integers(1, 5), st.integers(0, 20), st.integers(0, 100))
def test_rounds_against_torch_prunes_and_lists_of_positions(rounds, twentieth, seed):
    """torch.nn.utils.prune removes from what is left; a sorted list of (score, position) breaks ties as we do."""
    fraction = twentieth / 20
    target = {"a": normal(3, 5, seed=seed), "b": normal(7, seed=seed + 1).round()}
    history = find_ticket(
        {name: torch.ones_like(t) for name, t in target.items()},
        least_squares(target),
        size,
        rounds,
        fraction,
    )
    flat = torch.cat([t.flatten() for t in target.values()]).abs().tolist()
    left = list(range(22))
    for masks in history:
        ranked = sorted(left, key=lambda place: (flat[place], place))
        left = sorted(ranked[round(fraction * len(left)) :])
        assert torch.cat([mask.flatten() for mask in masks.values()]).nonzero().flatten().tolist() == left
    assert all(
        bool((later[n] <= earlier[n]).all()) for earlier, later in zip(history, history[1:]) for n in target
    )
    layer = nn.Module()
    layer.a = nn.Parameter(target["a"].clone())
    for count in (round(fraction * 15),):  # a single layer: torch's own rounding of a number of weights
        only = find_ticket({"a": target["a"]}, least_squares(target), size, 1, fraction)[0]["a"]
        torch_prune.l1_unstructured(layer, "a", amount=count)
        assert torch.equal(only, layer.a_mask.bool())


def test_every_round_starts_from_the_masked_start_and_train_may_work_in_place():
    seen = []

    def train(start, masks):
        seen.append({name: value.clone() for name, value in start.items()})
        for name in start:
            start[name].add_(1).mul_(3 * masks[name])
            masks[name].zero_()  # what train does to its masks is its own affair
        return start

    initial = {"a": normal(4, 4), "b": normal(6, seed=1)}
    kept = copy.deepcopy(initial)
    history = find_ticket(initial, train, size, 4, 0.3)
    for r, start in enumerate(seen):
        for name in initial:
            mask = history[r - 1][name] if r else torch.ones_like(initial[name], dtype=torch.bool)
            assert torch.equal(start[name], torch.where(mask, kept[name], 0))
            assert torch.equal(initial[name], kept[name])
    assert [sum(int(mask.sum()) for mask in masks.values()) for masks in history] == [
        15,
        11,
        8,
        6,
    ]  # round(4.5) = 4


def test_a_removed_weight_never_returns_whatever_its_score():
    initial = {"w": torch.tensor([5.0, 1.0, 2.0, 3.0])}
    history = find_ticket(initial, lambda start, masks: start, lambda w_i, w_f: -w_f.abs(), 3, 0.25)
    assert [masks["w"].tolist() for masks in history][0] == [False, True, True, True]
    assert not any(masks["w"][0] for masks in history)


@pytest.mark.parametrize(
    ("initial", "rounds", "fraction", "message"),
    [({}, 1, 0.5, "no layer"), ({"w": torch.ones(2)}, 0, 0.5, "one round"), ({"w": torch.ones(2)}, 1, -0.1, "between"),
     ({"w": torch.ones(2)}, 1, 1.5, "between"), ({"w": torch.ones(2)}, 1, math.nan, "between")],
)  # fmt: skip
def test_find_ticket_refuses_before_it_trains(initial, rounds, fraction, message):
    with pytest.raises(ValueError, match=message):
        find_ticket(initial, pytest.fail, pytest.fail, rounds, fraction)


# --- ticket_scores ---------------------------------------------------------------------------------------------

BY_HAND = {  # of one weight, in plain Python
    "large_final": lambda i, f, a: abs(f),
    "small_final": lambda i, f, a: -abs(f),
    "large_init": lambda i, f, a: abs(i),
    "small_init": lambda i, f, a: -abs(i),
    "large_init_large_final": lambda i, f, a: min(a * abs(f), abs(i)),
    "small_init_small_final": lambda i, f, a: -max(a * abs(f), abs(i)),
    "magnitude_increase": lambda i, f, a: abs(f) - abs(i),
    "movement": lambda i, f, a: abs(f - i),
}
numbers = st.lists(st.floats(-5, 5), min_size=6, max_size=6)


@quick
@given(st.sampled_from(sorted(BY_HAND)), numbers, numbers, st.floats(0.1, 4))
def test_scores_weight_by_weight(criterion, initial, final, alpha):
    w_i, w_f = (torch.tensor(values, dtype=torch.float64).view(2, 3) for values in (initial, final))
    scores = ticket_scores(w_i, w_f, criterion, alpha)
    expected = [BY_HAND[criterion](i, f, alpha) for i, f in zip(initial, final)]
    assert scores.shape == (2, 3) and np.allclose(scores.flatten().numpy(), expected, rtol=1e-12)


def test_magnitude_increase_keeps_the_weights_that_grew():
    """The source's reading turned round: of two weights the one that grew is the one with the higher score."""
    grew, shrank = ticket_scores(torch.tensor([0.1, 0.9]), torch.tensor([-0.8, 0.2]), "magnitude_increase")
    assert grew > 0 > shrank


@pytest.mark.parametrize("criterion", ["large_init_large_final", "small_init_small_final"])
def test_with_one_threshold_the_criterion_of_both_is_the_quadrant_of_the_papers_code(criterion):
    """The authors' code asks |w_i| and |w_f| each to pass; a threshold on min (on -max) asks the same."""
    w_i, w_f, t = normal(200, seed=1), normal(200, seed=2), 0.6
    if criterion.startswith("large"):
        quadrant, kept = (w_i.abs() >= t) & (w_f.abs() >= t), ticket_scores(w_i, w_f, criterion) >= t
    else:
        quadrant, kept = (w_i.abs() <= t) & (w_f.abs() <= t), ticket_scores(w_i, w_f, criterion) >= -t
    assert torch.equal(quadrant, kept) and 0 < int(kept.sum()) < 200


def test_random_scores_are_uniform_and_follow_their_generator():
    w = normal(50, 40)
    one = ticket_scores(w, w, "random", generator=torch.Generator().manual_seed(3))
    two = ticket_scores(w, 2 * w, "random", generator=torch.Generator().manual_seed(3))
    assert torch.equal(one, two) and one.dtype == w.dtype and one.shape == w.shape
    counts = torch.histc(one, bins=10, min=0, max=1)
    assert float(((counts - 200) ** 2 / 200).sum()) < 30  # chi-squared, 9 degrees of freedom
    assert abs(float(torch.corrcoef(torch.stack([one.flatten(), w.abs().flatten()]))[0, 1])) < 0.1


@pytest.mark.parametrize(
    ("final", "criterion", "alpha", "message"),
    [(torch.ones(3), "large", 1, "no criterion"), (torch.ones(1, 3), "movement", 1, "shape"),
     (torch.ones(3), "movement", 0, "alpha"), (torch.ones(3), "movement", math.nan, "alpha")],
)  # fmt: skip
def test_ticket_scores_refuses(final, criterion, alpha, message):
    with pytest.raises(ValueError, match=message):
        ticket_scores(torch.ones(3), final, criterion, alpha)


# --- keep_signs ------------------------------------------------------------------------------------------------

values = st.floats(-10, 10).filter(lambda x: x == 0 or abs(x) > 1e-6)


@quick
@given(st.lists(st.tuples(values, values), min_size=1, max_size=20))
def test_keep_signs_weight_by_weight(pairs):
    initial, fresh = (torch.tensor(column, dtype=torch.float64) for column in zip(*pairs))
    expected = [f if i == 0 else math.copysign(abs(f), i) for i, f in pairs]
    assert keep_signs(initial, fresh).tolist() == expected


def test_keep_signs_refuses_what_torch_would_stretch():
    with pytest.raises(ValueError, match="shape"):
        keep_signs(torch.ones(2, 3), torch.ones(3))


# --- supermask_accuracy ----------------------------------------------------------------------------------------


def net():
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    model(torch.randn(64, 5))  # gives BatchNorm its statistics
    return model.train()


@pytest.mark.parametrize("level", [0.0, 0.4, 0.9, 1.0])
def test_supermask_accuracy_agrees_with_numpy_image_by_image(level):
    model, images, labels = net(), normal(101, 5).float(), torch.arange(101) % 3
    masks = {
        n: torch.rand(p.shape, generator=torch.Generator().manual_seed(6)) >= level
        for n, p in model.named_parameters()
        if p.dim() == 2
    }
    w1, w2 = (model[k].weight.detach().numpy() * masks[f"{k}.weight"].numpy() for k in (0, 4))
    b1, b2, norm = model[0].bias.detach().numpy(), model[4].bias.detach().numpy(), model[1]
    right = 0
    for image, label in zip(images.numpy(), labels.tolist()):
        h = (w1 @ image + b1 - norm.running_mean.numpy()) / np.sqrt(norm.running_var.numpy() + norm.eps)
        right += int(np.argmax(w2 @ np.maximum(h, 0) + b2) == label)  # BatchNorm's weight is 1 and its bias 0
    assert supermask_accuracy(model, masks, images, labels) == right / 101


def test_supermask_accuracy_leaves_no_trace():
    model = net()
    model[3].eval()
    state = copy.deepcopy(model.state_dict())
    parameters = dict(model.named_parameters())
    supermask_accuracy(
        model,
        {"0.weight": torch.zeros(8, 5, dtype=torch.bool)},
        normal(10, 5).float(),
        torch.zeros(10, dtype=torch.long),
    )
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert all(
        parameter is parameters[name] and parameter.grad is None
        for name, parameter in model.named_parameters()
    )
    assert [module.training for module in model.modules()] == [True, True, True, True, False, True]


def test_a_model_that_fails_gets_its_mode_back():
    model = net()
    with pytest.raises(RuntimeError):
        supermask_accuracy(model, {}, torch.zeros(3, 7), torch.zeros(3, dtype=torch.long))
    assert model.training


@pytest.mark.parametrize(
    ("masks", "count", "message"),
    [({"weight": torch.ones(8, 5, dtype=torch.bool)}, 4, "no such parameter"), ({"0.weight": torch.ones(5, dtype=torch.bool)}, 4, "shape"),
     ({}, 0, "0 images"), ({}, 3, "3 images")],
)  # fmt: skip
def test_supermask_accuracy_refuses(masks, count, message):
    with pytest.raises(ValueError, match=message):
        supermask_accuracy(
            net(),
            masks,
            torch.zeros(count, 5),
            torch.zeros(min(count, 4) if count != 3 else 4, dtype=torch.long),
        )


# --- scratch_epochs --------------------------------------------------------------------------------------------


@quick
@given(st.integers(1, 500), st.integers(1, 10**20), st.integers(0, 10**20))
def test_scratch_epochs_spend_the_budget_and_not_a_multiply_add_more(epochs, pruned, more):
    dense = pruned + more
    e, b = scratch_epochs(epochs, dense, pruned)
    assert e == epochs and b == math.floor(Fraction(epochs * dense, pruned))
    assert b * pruned <= epochs * dense < (b + 1) * pruned


def test_scratch_epochs_by_hand():
    assert scratch_epochs(10, 900, 400) == (10, 22)
    assert scratch_epochs(160, 2, 1) == (160, 320)
    assert scratch_epochs(7, 5, 5) == (7, 7)


@pytest.mark.parametrize("bad", [(0, 5, 5), (1, 5, 0), (1, 5, 6), (1, 0, 0)])
def test_scratch_epochs_refuses(bad):
    with pytest.raises(ValueError):
        scratch_epochs(*bad)
