"""Lab 3's reference against independent oracles: torch.nn.utils.prune, a whole network, brute force, properties."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune as torch_prune

from solutions.lab03_magnitude import (
    choose_sparsities,
    global_masks,
    magnitude_mask,
    row_scores,
    sensitivity_scan,
    threshold_mask,
    uniform_masks,
)

FLOATING = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
quick = settings(deadline=None, max_examples=60)
sparsity_values = st.floats(0, 1) | st.sampled_from([0.0, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 0.9, 1.0])


def normal(*shape, seed=0, dtype=torch.float32):
    """Weights of which no two have the same magnitude."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@st.composite
def tensors(draw, min_dims=0, max_dims=4):
    """Small weights of any shape and dtype, with or without ties, contiguous or not."""
    shape = draw(st.lists(st.integers(1, 5), min_size=min_dims, max_size=max_dims))
    entries = st.integers(-3, 3) | st.floats(-4, 4, width=16)
    flat = draw(st.lists(entries, min_size=math.prod(shape), max_size=math.prod(shape)))
    weight = torch.tensor(flat, dtype=draw(st.sampled_from(FLOATING))).reshape(shape)
    return weight.permute(draw(st.permutations(range(len(shape)))))


def removed_by_hand(weight, sparsity):
    """The positions that go, in plain Python: sort by (magnitude, position), take the first round(s * n)."""
    magnitudes = [abs(entry) for entry in weight.flatten().tolist()]
    ranked = sorted((magnitude, position) for position, magnitude in enumerate(magnitudes))
    return {position for _, position in ranked[: round(sparsity * len(ranked))]}


def removed(mask):
    return {position for position, keep in enumerate(mask.flatten().tolist()) if not keep}


# --- threshold_mask --------------------------------------------------------------------------------------------


@quick
@given(tensors(), st.floats(0, 5))
def test_threshold_mask_keeps_what_reaches_the_threshold(weight, threshold):
    before = weight.clone()
    threshold = float(torch.tensor(threshold, dtype=weight.dtype))  # a number that the weights can have
    mask = threshold_mask(weight, threshold)
    assert mask.flatten().tolist() == [abs(entry) >= threshold for entry in weight.flatten().tolist()]
    assert (mask.dtype, mask.shape, mask.device) == (torch.bool, weight.shape, weight.device)
    assert torch.equal(weight, before)


@pytest.mark.parametrize("dtype", FLOATING)
def test_threshold_mask_keeps_a_weight_exactly_at_the_threshold(dtype):
    weight = torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0], dtype=dtype)
    assert threshold_mask(weight, 1.0).tolist() == [True, True, False, False, False, True]
    assert threshold_mask(weight, 0).all()


@pytest.mark.parametrize("threshold", [-1e-9, -1.0, -math.inf, math.nan])
def test_threshold_mask_refuses_a_threshold_that_is_no_magnitude(threshold):
    with pytest.raises(ValueError, match="threshold"):
        threshold_mask(normal(3), threshold)


# --- magnitude_mask --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(40,), (8, 5), (4, 3, 3, 3)])
@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.33, 0.5, 0.875, 1.0])
def test_magnitude_mask_agrees_with_torch_prune_where_there_are_no_ties(shape, sparsity, dtype):
    layer = nn.Module()
    layer.weight = nn.Parameter(normal(*shape, dtype=dtype))
    torch_prune.l1_unstructured(layer, "weight", amount=sparsity)
    assert torch.equal(magnitude_mask(layer.weight_orig, sparsity), layer.weight_mask.bool())


@quick
@given(tensors(), sparsity_values)
def test_magnitude_mask_agrees_with_brute_force_ties_included(weight, sparsity):
    mask = magnitude_mask(weight, sparsity)
    assert removed(mask) == removed_by_hand(weight, sparsity)
    assert (mask.dtype, mask.shape, mask.device) == (torch.bool, weight.shape, weight.device)


@quick
@given(tensors(), sparsity_values)
def test_magnitude_mask_never_keeps_less_than_it_removes(weight, sparsity):
    mask, magnitudes = magnitude_mask(weight, sparsity), weight.abs()
    if mask.any() and not mask.all():
        assert magnitudes[~mask].max() <= magnitudes[mask].min()


@quick
@given(tensors(), sparsity_values, sparsity_values)
def test_magnitude_masks_only_shrink_as_the_sparsity_grows(weight, one, other):
    smaller, larger = sorted((one, other))
    assert (magnitude_mask(weight, smaller) | ~magnitude_mask(weight, larger)).all()


@quick
@given(tensors(), sparsity_values)
def test_magnitude_mask_leaves_its_input_alone_and_ignores_its_memory_layout(weight, sparsity):
    before = weight.clone()
    mask = magnitude_mask(weight, sparsity)
    assert torch.equal(weight, before)
    assert torch.equal(mask, magnitude_mask(weight.contiguous(), sparsity))


@pytest.mark.parametrize(
    ("n", "sparsity", "count"),
    [
        (0, 0.5, 0),
        (1, 0.5, 0),
        (1, 0.51, 1),
        (3, 0.5, 2),
        (5, 0.5, 2),
        (10, 0.25, 2),
        (10, 0.35, 4),
        (7, 1, 7),
    ],
)
def test_magnitude_mask_rounds_as_python_does(n, sparsity, count):
    assert int((~magnitude_mask(torch.ones(n), sparsity)).sum()) == count == round(sparsity * n)


def test_magnitude_mask_removes_the_first_of_equals():
    weight = torch.tensor([[1.0, -2.0, 2.0], [-1.0, 2.0, 1.0]])
    assert magnitude_mask(weight, 1 / 3).tolist() == [[False, True, True], [False, True, True]]
    assert magnitude_mask(weight.t(), 1 / 3).tolist() == [[False, False], [True, True], [True, True]]


def test_magnitude_mask_ignores_the_sign_of_zero():
    assert magnitude_mask(torch.tensor([0.0, -0.0, 0.0, -0.0]), 0.5).tolist() == [False, False, True, True]


def test_magnitude_mask_takes_a_parameter_and_returns_no_gradient():
    assert not magnitude_mask(nn.Parameter(normal(4, 4)), 0.5).requires_grad


@pytest.mark.parametrize("sparsity", [-0.01, 1.01, math.inf, -math.inf, math.nan])
def test_magnitude_mask_refuses_what_is_no_fraction(sparsity):
    with pytest.raises(ValueError, match="between 0 and 1"):
        magnitude_mask(normal(4), sparsity)


# --- row_scores ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("shape", [(6, 4), (5, 3, 3, 2), (1, 7), (4, 1, 1, 1), (3, 2, 4)])
@pytest.mark.parametrize("dtype", FLOATING)
def test_row_scores_are_the_norms_of_the_rows_added_up_in_plain_python(shape, p, dtype):
    weight = normal(*shape).to(dtype)
    scores = row_scores(weight, p)
    rows = [row.flatten().tolist() for row in weight.double()]
    oracle = torch.tensor(
        [math.fsum(abs(w) ** p for w in row) ** (1 / p) for row in rows], dtype=torch.float64
    )
    assert (scores.dtype, scores.shape) == (dtype, shape[:1])
    assert torch.allclose(scores.double(), oracle, rtol=4 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("layer", [nn.Linear(6, 9), nn.Conv2d(3, 8, (3, 2))])
@pytest.mark.parametrize("sparsity", [0.25, 0.5])
def test_row_scores_rank_the_rows_as_torch_prune_does(layer, p, sparsity):
    layer = copy.deepcopy(layer)
    layer.weight.data = normal(*layer.weight.shape)
    scores = row_scores(layer.weight, p)
    torch_prune.ln_structured(layer, "weight", amount=sparsity, n=p, dim=0)
    kept = layer.weight_mask.flatten(1).all(dim=1)
    assert scores[~kept].max() < scores[kept].min()
    assert torch.equal(magnitude_mask(scores, sparsity), kept)


def test_row_scores_in_float16_neither_overflow_nor_vanish():
    weight = torch.tensor([[300.0, 400.0], [3e-4, 4e-4]], dtype=torch.float16)
    assert row_scores(weight, 2).tolist() == pytest.approx([500, 5e-4], rel=1e-2)


def test_row_scores_of_a_3_4_triangle_and_the_default():
    weight = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    assert row_scores(weight).tolist() == row_scores(weight, 1).tolist() == [7.0, 0.0]
    assert row_scores(weight, 2).tolist() == [5.0, 0.0]


@quick
@given(tensors(min_dims=2), st.sampled_from([1, 2]))
def test_row_scores_leave_their_input_alone_and_ignore_its_memory_layout(weight, p):
    before = weight.clone()
    scores = row_scores(weight, p)
    assert torch.equal(weight, before)
    assert torch.allclose(scores, row_scores(weight.contiguous(), p), rtol=4 * torch.finfo(weight.dtype).eps)


@pytest.mark.parametrize(
    ("shape", "p", "message"),
    [((), 1, "dimensions"), ((3,), 1, "dimensions"), ((3, 2), 0, "p must"), ((3, 2), 3, "p must"), ((3, 2), math.inf, "p must")],
)  # fmt: skip
def test_row_scores_refuse(shape, p, message):
    with pytest.raises(ValueError, match=message):
        row_scores(torch.ones(shape), p)


# --- uniform_masks and global_masks ----------------------------------------------------------------------------


def layers(dtype=torch.float32):
    """Layers of different shapes and scales, one of them stored transposed."""
    return {
        "conv": 0.2 * normal(4, 3, 3, 3, seed=1, dtype=dtype),
        "fc1": normal(10, 6, seed=2, dtype=dtype).t(),
        "fc2": nn.Parameter(3 * normal(2, 6, seed=3, dtype=dtype)),
    }


def by_sign(weight, sparsity):
    """A rule that is not magnitude and whose answer tells whether it was called on the whole or on a part."""
    return (weight > 0) & (torch.arange(weight.numel()).reshape(weight.shape) >= sparsity * weight.numel())


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 1.0])
def test_uniform_masks_prune_each_layer_as_torch_prune_does(sparsity):
    masks = uniform_masks(layers(), sparsity, magnitude_mask)
    for name, weight in layers().items():
        layer = nn.Module()
        layer.weight = nn.Parameter(weight.detach().contiguous())
        torch_prune.l1_unstructured(layer, "weight", amount=sparsity)
        assert torch.equal(masks[name], layer.weight_mask.bool())


@pytest.mark.parametrize("sparsity", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_global_masks_agree_with_torch_prune(sparsity):
    network = nn.ModuleDict({name: nn.Module() for name in layers()})
    for name, weight in layers().items():
        network[name].weight = nn.Parameter(weight.detach().contiguous())
    pairs = [(layer, "weight") for layer in network.values()]
    torch_prune.global_unstructured(pairs, pruning_method=torch_prune.L1Unstructured, amount=sparsity)
    masks = global_masks(layers(), sparsity, magnitude_mask)
    assert list(masks) == list(network)
    for name, layer in network.items():
        assert torch.equal(masks[name], layer.weight_mask.bool())


def test_uniform_masks_call_the_given_rule_on_each_layer():
    masks = uniform_masks(layers(), 0.4, by_sign)
    assert list(masks) == list(layers())
    for name, weight in layers().items():
        assert torch.equal(masks[name], by_sign(weight, 0.4))


def test_global_masks_call_the_given_rule_once_on_the_pool():
    calls = []

    def rule(weight, sparsity):
        calls.append((weight.detach().clone(), sparsity))
        return by_sign(weight, sparsity)

    masks = global_masks(layers(), 0.4, rule)
    ((pool, sparsity),) = calls
    assert sparsity == 0.4
    assert pool.tolist() == [entry for weight in layers().values() for entry in weight.flatten().tolist()]
    pooled = torch.cat([mask.flatten() for mask in masks.values()])
    assert torch.equal(pooled, by_sign(pool, 0.4))
    assert {name: mask.shape for name, mask in masks.items()} == {n: w.shape for n, w in layers().items()}


@quick
@given(st.lists(tensors(), min_size=1, max_size=4), sparsity_values)
def test_global_masks_remove_exactly_the_number_asked_for_the_first_layers_ties_first(several, sparsity):
    weights = {f"layer{index}": weight.float() for index, weight in enumerate(several)}
    masks = global_masks(weights, sparsity, magnitude_mask)
    pool = torch.cat([weight.reshape(-1) for weight in weights.values()])
    assert removed(torch.cat([mask.reshape(-1) for mask in masks.values()])) == removed_by_hand(
        pool, sparsity
    )


@pytest.mark.parametrize("masks_of", [uniform_masks, global_masks])
@pytest.mark.parametrize("dtype", FLOATING)
def test_layer_masks_are_boolean_for_any_dtype_and_leave_the_weights_alone(masks_of, dtype):
    weights = layers(torch.float64)
    weights = {name: weight.detach().to(dtype) for name, weight in weights.items()}
    before = {name: weight.clone() for name, weight in weights.items()}
    masks = masks_of(weights, 0.5, magnitude_mask)
    assert {mask.dtype for mask in masks.values()} == {torch.bool}
    assert list(weights) == list(before)
    assert all(torch.equal(weights[name], before[name]) for name in before)


@pytest.mark.parametrize("masks_of", [uniform_masks, global_masks])
def test_layer_masks_refuse_an_empty_dictionary(masks_of):
    with pytest.raises(ValueError, match="no layer"):
        masks_of({}, 0.5, magnitude_mask)


def test_no_function_moves_its_work_to_another_device():
    weight = torch.ones(6, 4, device="meta")  # a device without data: mixing it with the CPU's raises
    weights = {"a": weight, "b": weight.t()}
    masks = [threshold_mask(weight, 0.5), magnitude_mask(weight, 0.5)]
    masks += [*uniform_masks(weights, 0.5, magnitude_mask).values()]
    masks += [*global_masks(weights, 0.5, magnitude_mask).values()]
    assert {result.device.type for result in [*masks, row_scores(weight, 1), row_scores(weight, 2)]} == {
        "meta"
    }


# --- sensitivity_scan ------------------------------------------------------------------------------------------


class Probe:
    """A small network and the accuracy with which it imitates its unpruned self on random inputs."""

    def __init__(self, dtype=torch.float32):
        self.network = nn.Sequential(
            nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 5)
        )
        for seed, parameter in enumerate(self.network.parameters()):
            parameter.data = 0.5 * normal(*parameter.shape, seed=seed)
        self.network = self.network.to(dtype)
        self.inputs = normal(200, 8, seed=99).to(dtype)
        self.labels = self.network(self.inputs).argmax(dim=1)

    def weights(self, network=None):
        parameters = (network or self.network).named_parameters()
        return {name: weight for name, weight in parameters if "weight" in name}

    @torch.no_grad()
    def accuracy(self, network=None):
        predictions = (network or self.network)(self.inputs).argmax(dim=1)
        return (predictions == self.labels).double().mean().item()


def scan_by_copies(probe, sparsities):
    """The oracle: a fresh copy of the network for every measurement, so that nothing ever has to be put back."""
    scan = {}
    for name in probe.weights():
        scan[name] = []
        for sparsity in sparsities:
            network = copy.deepcopy(probe.network)
            layer = network.get_submodule(name.removesuffix(".weight"))
            torch_prune.l1_unstructured(layer, "weight", amount=sparsity)
            scan[name].append(probe.accuracy(network))
    return scan


def bits(weight):
    """The bytes of a tensor: unlike its values they tell -0.0 from 0.0, and one NaN from another."""
    return bytes(weight.detach().clone().view(torch.uint8).flatten().tolist())


def test_the_scan_agrees_with_a_network_copied_for_every_measurement():
    probe, sparsities = Probe(), [0.9, 0.3, 0.0, 0.6, 1.0, 0.3]
    scan = sensitivity_scan(probe.weights(), sparsities, magnitude_mask, probe.accuracy)
    assert scan == scan_by_copies(probe, sparsities)
    assert (
        len({accuracy for accuracies in scan.values() for accuracy in accuracies}) > 5
    )  # it does tell layers apart


def test_during_the_scan_one_layer_is_masked_and_the_others_are_whole():
    probe, seen = Probe(), []
    whole = {name: weight.detach().clone() for name, weight in probe.weights().items()}

    def evaluate():
        seen.append({name: weight.detach().clone() for name, weight in probe.weights().items()})
        return float(len(seen))

    sparsities = [0.75, 0.25]
    scan = sensitivity_scan(probe.weights(), sparsities, by_sign, evaluate)
    assert list(scan.values()) == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    plan = [(name, sparsity) for name in whole for sparsity in sparsities]
    for (pruned, sparsity), weights in zip(plan, seen, strict=True):
        for name, weight in whole.items():
            expected = weight.masked_fill(~by_sign(weight, sparsity), 0) if name == pruned else weight
            assert torch.equal(weights[name], expected)


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("at_call", [None, 1, 4])
def test_the_scan_gives_the_network_back_bit_for_bit_also_after_an_error(dtype, at_call):
    probe, calls = Probe(dtype), []
    with torch.no_grad():
        probe.weights()["0.weight"][0, :3] = torch.tensor([-0.0, 0.0, 1e-7], dtype=dtype)
    before = {name: bits(weight) for name, weight in probe.network.named_parameters()}
    same = dict(probe.network.named_parameters())

    def evaluate():
        calls.append(1)
        if len(calls) == at_call:
            raise ZeroDivisionError("the evaluation failed")
        return probe.accuracy()

    def scan():
        return sensitivity_scan(probe.weights(), [0.5, 1.0], magnitude_mask, evaluate)

    if at_call:
        with pytest.raises(ZeroDivisionError, match="the evaluation failed"):
            scan()
    else:
        scan()
    after = dict(probe.network.named_parameters())
    assert {name: bits(weight) for name, weight in after.items()} == before
    assert all(after[name] is same[name] for name in same)
    assert all(weight.requires_grad and weight.grad is None for weight in after.values())


def test_the_scan_zeroes_infinite_and_undefined_weights_and_gives_them_back():
    weight = torch.tensor([math.inf, -math.inf, math.nan, 2.0])
    before, seen = bits(weight), []

    def evaluate():
        seen.append(weight.clone())
        return 0.0

    sensitivity_scan({"w": weight}, [1.0], magnitude_mask, evaluate)
    assert seen[0].tolist() == [0.0, 0.0, 0.0, 0.0]  # a product with the mask would leave NaN here
    assert bits(weight) == before


def test_the_scan_works_on_a_transposed_weight():
    base = normal(4, 6)
    before, seen = base.clone(), []

    def evaluate():
        seen.append(base.clone())
        return 0.0

    sensitivity_scan({"w": base.t()}, [0.5], magnitude_mask, evaluate)
    assert torch.equal(seen[0], torch.where(magnitude_mask(before.t(), 0.5).t(), before, 0))
    assert torch.equal(base, before)


def test_the_scan_without_layers_or_sparsities_measures_nothing():
    assert sensitivity_scan({}, [0.5], magnitude_mask, pytest.fail) == {}
    assert sensitivity_scan({"w": normal(3)}, [], magnitude_mask, pytest.fail) == {"w": []}


# --- choose_sparsities -----------------------------------------------------------------------------------------


def choose_by_hand(accuracies, sparsities, limit):
    """Try every prefix, the longest first: the last sparsity of the first one that is safe throughout."""
    for length in range(len(sparsities), 0, -1):
        if all(accuracy >= limit for accuracy in accuracies[:length]):
            return sparsities[length - 1]
    return 0.0


@st.composite
def scans(draw):
    sparsities = sorted(draw(st.sets(st.floats(0.01, 1), max_size=6)))
    accuracies = st.lists(st.integers(0, 8), min_size=len(sparsities), max_size=len(sparsities))
    return draw(st.dictionaries(st.text(max_size=3), accuracies, max_size=4)), sparsities


@quick
@given(scans(), st.integers(0, 8), st.integers(0, 4))
def test_choose_sparsities_agrees_with_trying_every_prefix(scan_and_sparsities, baseline, tolerance):
    scan, sparsities = scan_and_sparsities
    chosen = choose_sparsities(scan, sparsities, baseline, tolerance)
    assert chosen == {
        name: choose_by_hand(accuracies, sparsities, baseline - tolerance)
        for name, accuracies in scan.items()
    }
    assert list(chosen) == list(scan)


def test_choose_sparsities_stops_at_the_first_that_is_not_safe():
    scan = {"island": [0.9, 0.5, 0.9], "never": [0.5, 0.9, 0.9], "at the limit": [0.75, 0.75, 0.5]}
    assert choose_sparsities(scan, [0.2, 0.4, 0.8], 0.875, 0.125) == {
        "island": 0.2, "never": 0.0, "at the limit": 0.4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("scan", "sparsities", "tolerance", "message"),
    [
        ({"a": [0.9, 0.8]}, [0.5, 0.9], -0.1, "tolerance"),
        ({"a": [0.9, 0.8]}, [0.9, 0.5], 0.1, "increasing"),
        ({"a": [0.9, 0.8]}, [0.5, 0.5], 0.1, "increasing"),
        ({"a": [0.9]}, [0.5, 0.9], 0.1, "a has 1 accuracies for 2"),
        ({"a": [0.9, 0.8], "b": [0.9, 0.8, 0.7]}, [0.5, 0.9], 0.1, "b has 3 accuracies for 2"),
    ],
)
def test_choose_sparsities_refuses(scan, sparsities, tolerance, message):
    with pytest.raises(ValueError, match=message):
        choose_sparsities(scan, sparsities, 0.9, tolerance)
