"""Lab 2's reference against independent oracles: torch.nn.utils.prune, brute force over groups, properties."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune as torch_prune

from solutions.lab02_granularity import (
    channel_mask,
    filter_mask,
    fine_grained_mask,
    index_bits,
    kernel_mask,
    nm_mask,
    vector_mask,
)

FLOATING = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
quick = settings(deadline=None, max_examples=60)
sparsity_values = st.floats(0, 1) | st.sampled_from([0.0, 0.1, 0.15, 0.25, 0.5, 0.75, 0.875, 1.0])

# For each granularity: its mask, and which weights stand together, as the part of a position that they share.
STRUCTURED = {
    "vector": (vector_mask, lambda o, i, y, x: (o, i, y)),
    "kernel": (kernel_mask, lambda o, i, y, x: (o, i)),
    "filter": (filter_mask, lambda o, i, y, x: (o,)),
    "channel": (channel_mask, lambda o, i, y, x: (i,)),
}
GROUPS = {
    "fine": lambda o, i, y, x: (o, i, y, x),
    "layer": lambda o, i, y, x: (),
    **{name: group for name, (_, group) in STRUCTURED.items()},
}
each_structure = pytest.mark.parametrize("granularity", STRUCTURED)


def normal(*shape, seed=0, dtype=torch.float32):
    """Weights of which no two have the same magnitude."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@st.composite
def tensors(draw, dims=(0, 4), dtypes=tuple(FLOATING)):
    """Small weights of any shape and dtype, with or without ties, contiguous or not."""
    shape = draw(st.lists(st.integers(1, 5), min_size=dims[0], max_size=dims[1]))
    entries = st.integers(-3, 3) | st.floats(-4, 4, width=16)
    flat = draw(st.lists(entries, min_size=math.prod(shape), max_size=math.prod(shape)))
    weight = torch.tensor(flat, dtype=draw(st.sampled_from(dtypes))).reshape(shape)
    return weight.permute(draw(st.permutations(range(len(shape)))))


@st.composite
def whole_numbers(draw):
    """Convolutions of small integers: many ties, and every sum is exact in whatever order it is taken."""
    shape = draw(st.lists(st.integers(1, 4), min_size=4, max_size=4))
    flat = draw(st.lists(st.integers(-3, 3), min_size=math.prod(shape), max_size=math.prod(shape)))
    return torch.tensor(flat, dtype=torch.float32).reshape(shape).permute(draw(st.permutations(range(4))))


def positions(weight):
    return itertools.product(*map(range, weight.shape))


def by_hand(weight, sparsity, group):
    """The kept positions in plain Python: add up each group, sort by (score, place), drop the first ones."""
    scores = {}
    for position in positions(weight):
        scores[group(*position)] = scores.get(group(*position), 0.0) + abs(weight[position].item())
    ranked = sorted(scores, key=lambda key: (scores[key], key))
    removed = set(ranked[: round(sparsity * len(ranked))])
    return [group(*position) not in removed for position in positions(weight)]


# --- fine_grained_mask -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(40,), (8, 5), (4, 3, 3, 3)])
@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.33, 0.5, 0.875, 1.0])
def test_fine_grained_mask_agrees_with_torch_prune_where_there_are_no_ties(shape, sparsity, dtype):
    layer = nn.Module()
    layer.weight = nn.Parameter(normal(*shape, dtype=dtype))
    torch_prune.l1_unstructured(layer, "weight", amount=sparsity)
    assert torch.equal(fine_grained_mask(layer.weight_orig, sparsity), layer.weight_mask.bool())


@quick
@given(tensors(), sparsity_values)
def test_fine_grained_mask_agrees_with_brute_force_ties_included(weight, sparsity):
    before = weight.clone()
    mask = fine_grained_mask(weight, sparsity)
    magnitudes = [abs(entry) for entry in weight.flatten().tolist()]
    ranked = sorted(range(len(magnitudes)), key=lambda place: (magnitudes[place], place))
    removed = set(ranked[: round(sparsity * len(ranked))])
    assert mask.flatten().tolist() == [place not in removed for place in range(len(magnitudes))]
    assert (mask.dtype, mask.shape, mask.device) == (torch.bool, weight.shape, weight.device)
    assert torch.equal(weight, before)


@quick
@given(tensors(), sparsity_values, sparsity_values)
def test_fine_grained_masks_only_shrink_and_never_keep_less_than_they_remove(weight, one, other):
    smaller, larger = (fine_grained_mask(weight, sparsity) for sparsity in sorted((one, other)))
    assert (smaller | ~larger).all()
    if larger.any() and not larger.all():
        assert weight.abs()[~larger].max() <= weight.abs()[larger].min()


def test_fine_grained_mask_removes_the_first_of_equals_in_row_major_order():
    weight = torch.tensor([[1.0, -2.0, 2.0], [-1.0, 2.0, 1.0]])
    assert fine_grained_mask(weight, 1 / 3).tolist() == [[False, True, True], [False, True, True]]
    assert fine_grained_mask(weight.t(), 1 / 3).tolist() == [[False, False], [True, True], [True, True]]


@pytest.mark.parametrize("sparsity", [-0.01, 1.01, math.inf, -math.inf, math.nan])
def test_fine_grained_mask_refuses_what_is_no_fraction(sparsity):
    with pytest.raises(ValueError, match="between 0 and 1"):
        fine_grained_mask(normal(4), sparsity)


# --- nm_mask ---------------------------------------------------------------------------------------------------


@st.composite
def patterns(draw):
    """A weight whose inputs are a multiple of m, and n from 0 to m."""
    m = draw(st.integers(1, 5))
    shape = [
        draw(st.integers(1, 3)),
        m * draw(st.integers(1, 3)),
        *draw(st.lists(st.integers(1, 2), max_size=2)),
    ]
    flat = draw(st.lists(st.integers(-3, 3), min_size=math.prod(shape), max_size=math.prod(shape)))
    weight = torch.tensor(flat, dtype=draw(st.sampled_from(FLOATING))).reshape(shape)
    if draw(st.booleans()):  # the same values, stored in another order
        weight = weight.transpose(0, 1).contiguous().transpose(0, 1)
    return weight, draw(st.integers(0, m)), m


@quick
@given(patterns())
def test_nm_mask_agrees_with_brute_force_over_every_group(pattern):
    weight, n, m = pattern
    before = weight.clone()
    mask = nm_mask(weight, n, m)
    assert (mask.dtype, mask.shape, mask.device) == (torch.bool, weight.shape, weight.device)
    assert torch.equal(weight, before)
    for output, start in itertools.product(range(weight.shape[0]), range(0, weight.shape[1], m)):
        for rest in itertools.product(*map(range, weight.shape[2:])):
            group = [(output, start + place, *rest) for place in range(m)]
            ranked = sorted(group, key=lambda position: (abs(weight[position].item()), position[1]))
            assert [mask[position].item() for position in ranked] == [False] * (m - n) + [True] * n


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (1, 4), (3, 4), (1, 8)])
@pytest.mark.parametrize("shape", [(5, 16), (3, 8, 3, 3)])
def test_nm_mask_keeps_the_n_largest_wherever_the_groups_are_looked_at_as_rows(shape, n, m):
    """The layout of NVIDIA's tool: kernel positions and outputs become rows, the inputs stay in line; then topk."""
    weight = normal(*shape)
    rows = weight.movedim(1, -1).reshape(-1, m)
    expected = torch.zeros_like(rows).scatter(1, rows.abs().topk(n, dim=1).indices, 1).bool()
    found = nm_mask(weight, n, m).movedim(1, -1).reshape(-1, m)
    assert torch.equal(found, expected)


def test_one_to_four_keeps_one_of_four_and_is_not_one_removed_of_four():
    weight = torch.tensor([[4.0, -3.0, 2.0, 1.0]])
    assert nm_mask(weight, 1, 4).tolist() == [[True, False, False, False]]
    assert nm_mask(weight, 3, 4).tolist() == [[True, True, True, False]]
    assert nm_mask(weight, 0, 4).tolist() == [[False] * 4]
    assert nm_mask(weight, 4, 4).tolist() == [[True] * 4]


def test_nm_mask_removes_the_lower_input_first_where_all_are_equal():
    assert nm_mask(torch.ones(1, 4), 1, 4).tolist() == [[False, False, False, True]]


@pytest.mark.parametrize(
    ("shape", "n", "m", "message"),
    [
        ((8,), 2, 4, "two dimensions"),
        ((4, 6), 2, 4, "do not divide"),
        ((4, 6), 0, 0, "do not divide"),
        ((4, 6), 1, -3, "do not divide"),
        ((6, 4, 3, 3), 1, 3, "do not divide"),
        ((4, 8), 5, 4, "between 0 and m"),
        ((4, 8), -1, 4, "between 0 and m"),
    ],
)
def test_nm_mask_refuses(shape, n, m, message):
    with pytest.raises(ValueError, match=message):
        nm_mask(torch.ones(shape), n, m)


# --- vector_mask, kernel_mask, filter_mask, channel_mask -------------------------------------------------------


@each_structure
@quick
@given(weight=whole_numbers(), sparsity=sparsity_values)
def test_a_structured_mask_agrees_with_brute_force_over_its_groups_ties_included(
    granularity, weight, sparsity
):
    mask_of, group = STRUCTURED[granularity]
    before = weight.clone()
    mask = mask_of(weight, sparsity, fine_grained_mask)
    assert mask.flatten().tolist() == by_hand(weight, sparsity, group)
    assert (mask.dtype, mask.shape, mask.device) == (torch.bool, weight.shape, weight.device)
    assert torch.equal(weight, before)


@pytest.mark.parametrize(("granularity", "dim"), [("filter", 0), ("channel", 1)])
@pytest.mark.parametrize("sparsity", [0.0, 0.25, 0.5, 0.75])
def test_filters_and_channels_agree_with_torch_prune(granularity, dim, sparsity):
    layer = nn.Conv2d(8, 12, (3, 2))
    layer.weight.data = normal(12, 8, 3, 2)
    torch_prune.ln_structured(layer, "weight", amount=sparsity, n=1, dim=dim)
    mask = STRUCTURED[granularity][0](layer.weight_orig, sparsity, fine_grained_mask)
    assert torch.equal(mask, layer.weight_mask.bool())


@pytest.mark.parametrize(("granularity", "groups"), [("vector", (12 * 8 * 3, 2)), ("kernel", (12 * 8, 6))])
@pytest.mark.parametrize("sparsity", [0.0, 0.25, 0.5, 0.75])
def test_vectors_and_kernels_agree_with_torch_prune_on_rows(granularity, groups, sparsity):
    layer = nn.Module()
    layer.weight = nn.Parameter(normal(12, 8, 3, 2).reshape(groups))
    torch_prune.ln_structured(layer, "weight", amount=sparsity, n=1, dim=0)
    mask = STRUCTURED[granularity][0](normal(12, 8, 3, 2), sparsity, fine_grained_mask)
    assert torch.equal(mask.reshape(groups), layer.weight_mask.bool())


@each_structure
@pytest.mark.parametrize("dtype", FLOATING)
def test_the_rule_is_called_once_on_the_l1_norms(granularity, dtype):
    weight, calls = normal(3, 4, 2, 5).to(dtype), []

    def rule(scores, sparsity):
        calls.append((scores.clone(), sparsity))
        return torch.arange(scores.numel()).reshape(scores.shape) % 3 == 0

    mask_of, group = STRUCTURED[granularity]
    mask = mask_of(weight, 0.3, rule)
    ((scores, sparsity),) = calls
    assert sparsity == 0.3
    keys = sorted({group(*position) for position in positions(weight)})
    sums = [math.fsum(abs(weight[p].item()) for p in positions(weight) if group(*p) == key) for key in keys]
    assert scores.shape == tuple(max(column) + 1 for column in zip(*keys))
    assert scores.double().flatten().tolist() == pytest.approx(sums, rel=16 * torch.finfo(dtype).eps)
    kept = {key for place, key in enumerate(keys) if place % 3 == 0}
    assert mask.flatten().tolist() == [group(*position) in kept for position in positions(weight)]


@each_structure
def test_a_structured_mask_may_be_written_to(granularity):
    mask = STRUCTURED[granularity][0](normal(2, 3, 2, 2), 0.5, fine_grained_mask)
    mask[0, 0, 0, 0] = True
    mask[0, 0, 0, 1] = False
    assert mask[0, 0, 0].tolist() == [True, False]


@each_structure
@pytest.mark.parametrize("shape", [(), (4,), (4, 6), (4, 6, 3), (4, 6, 3, 3, 3)])
def test_a_structured_mask_refuses_what_is_no_convolution(granularity, shape):
    with pytest.raises(ValueError, match="four dimensions"):
        STRUCTURED[granularity][0](torch.ones(shape), 0.5, fine_grained_mask)


def test_no_function_moves_its_work_to_another_device():
    weight = torch.ones(6, 4, 3, 3, device="meta")  # a device without data: mixing it with the CPU's raises
    masks = [fine_grained_mask(weight, 0.5), nm_mask(weight, 2, 4)]
    masks += [mask_of(weight, 0.5, fine_grained_mask) for mask_of, _ in STRUCTURED.values()]
    assert {(mask.device.type, mask.shape) for mask in masks} == {("meta", weight.shape)}


# --- index_bits ------------------------------------------------------------------------------------------------


def bits_needed(count):
    """The shortest binary numbers that tell `count` things apart, found by trying."""
    return next(bits for bits in range(64) if 2**bits >= count)


@pytest.mark.parametrize("granularity", GROUPS)
@quick
@given(shape=st.lists(st.integers(1, 4), min_size=4, max_size=4), data=st.data())
def test_index_bits_count_the_kept_groups_and_what_tells_them_apart(granularity, shape, data):
    group = GROUPS[granularity]
    every = sorted({group(*position) for position in itertools.product(*map(range, shape))})
    kept = {key for key in every if data.draw(st.booleans())}
    flat = [group(*position) in kept for position in itertools.product(*map(range, shape))]
    mask = torch.tensor(flat).reshape(shape)
    other_layout = mask.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    for each in (mask, other_layout):
        bits = index_bits(each, granularity)
        assert type(bits) is int and bits == len(kept) * bits_needed(len(every))


@pytest.mark.parametrize(
    ("n", "m", "bits"), [(1, 2, 1), (2, 4, 2), (1, 4, 2), (3, 6, 3), (1, 8, 3), (1, 1, 0)]
)
def test_index_bits_of_a_pattern_are_those_of_a_place_in_its_group(n, m, bits):
    mask = nm_mask(normal(5, 24, 3, 2), n, m)
    assert index_bits(mask, "N:M", m) == int(mask.sum()) * bits


def test_index_bits_by_hand():
    mask = torch.ones(4, 8, 3, 3, dtype=torch.bool)  # 288 weights: 9 bits tell them apart
    assert index_bits(mask, "fine") == 288 * 9
    assert index_bits(mask, "vector") == 96 * 7
    assert index_bits(mask, "kernel") == 32 * 5
    assert index_bits(mask, "filter") == 4 * 2
    assert index_bits(mask, "channel") == 8 * 3
    assert index_bits(mask, "layer") == 0
    assert index_bits(~mask, "fine") == index_bits(~mask, "N:M", 4) == 0


@each_structure
@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
def test_a_mask_has_its_own_granularity_and_all_finer_ones(granularity, sparsity):
    mask = STRUCTURED[granularity][0](normal(8, 8, 3, 3), sparsity, fine_grained_mask)
    finer = {"vector": ["fine"], "kernel": ["fine", "vector"]}.get(granularity, ["fine", "vector", "kernel"])
    costs = [index_bits(mask, each) for each in [*finer, granularity]]
    assert costs == sorted(costs, reverse=True)
    for coarser in {"vector", "kernel", "filter", "channel", "layer"} - {granularity, *finer}:
        with pytest.raises(ValueError, match="kept in part"):
            index_bits(mask, coarser)


@pytest.mark.parametrize(
    ("mask", "granularity", "m", "message"),
    [
        (torch.ones(4, 8, dtype=torch.bool), "fine", None, "four dimensions"),
        (torch.ones(4, 8, 3, 3, dtype=torch.bool), "row", None, "no granularity 'row'"),
        (torch.ones(4, 8, 3, 3, dtype=torch.bool), "N:M", None, "do not divide"),
        (torch.ones(4, 8, 3, 3, dtype=torch.bool), "N:M", 3, "do not divide"),
        (torch.ones(4, 8, 3, 3, dtype=torch.bool), "N:M", 0, "do not divide"),
        (torch.eye(4, dtype=torch.bool).reshape(2, 2, 2, 2), "layer", None, "kept in part"),
        (torch.tensor([True, True, True, False]).reshape(1, 4, 1, 1), "N:M", 2, "different numbers"),
    ],
)
def test_index_bits_refuses(mask, granularity, m, message):
    with pytest.raises(ValueError, match=message):
        index_bits(mask, granularity, m)
