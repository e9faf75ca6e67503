"""Lab 12's reference against independent oracles: exact books in whole numbers, torch.sparse, SGD of torch.optim, plain Python."""

import io
import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from solutions.lab12_gradient_sparsity import (
    accumulate_residual,
    bytes_sent,
    gradient_drop,
    momentum_correction,
    sparse_allreduce,
    threshold_sparsify,
    topk_sparsify,
)

FLOATING = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
quick = settings(deadline=None, max_examples=80)
whole_numbers = st.lists(st.integers(-4, 4), min_size=1, max_size=30)
sparsities = st.integers(0, 20).map(lambda twentieths: twentieths / 20)


def tensor(numbers, dtype=torch.float32):
    return torch.tensor(numbers, dtype=dtype)


def dense(message, n, dtype=torch.float32):
    """The message as a dense tensor, by torch.sparse, which adds duplicates."""
    indices, values = message
    return (
        torch.sparse_coo_tensor(indices.long()[None], values, (n,), check_invariants=True)
        .to_dense()
        .to(dtype)
    )


def ranked(numbers, sparsity):
    """The positions that are sent, in plain Python: sort (magnitude, position)."""
    order = sorted(range(len(numbers)), key=lambda i: (abs(numbers[i]), i))
    return sorted(order[round(sparsity * len(numbers)) :])


# --- threshold and top-k -----------------------------------------------------------------------------------------


@quick
@given(whole_numbers, st.integers(0, 5))
def test_threshold_sends_what_plain_python_sends(numbers, threshold):
    indices, values = threshold_sparsify(tensor(numbers), threshold)
    expected = [i for i, number in enumerate(numbers) if abs(number) >= threshold]
    assert indices.tolist() == expected and values.tolist() == [numbers[i] for i in expected]


@quick
@given(whole_numbers, sparsities)
def test_topk_sends_what_plain_python_sends(numbers, sparsity):
    indices, values = topk_sparsify(tensor(numbers), sparsity)
    expected = ranked(numbers, sparsity)
    assert indices.tolist() == expected and values.tolist() == [numbers[i] for i in expected]


@pytest.mark.parametrize("dtype", FLOATING)
def test_topk_agrees_with_torch_topk_where_nothing_is_equal(dtype):
    gradient = (torch.randperm(200, generator=torch.Generator().manual_seed(0)) + 1).to(dtype).view(10, 20)
    gradient[::2] *= -1
    indices, values = topk_sparsify(gradient.t(), 0.9)
    flat = gradient.t().reshape(-1)
    assert indices.tolist() == flat.abs().topk(20).indices.sort().values.tolist()
    assert torch.equal(values, flat[indices]) and values.dtype == dtype and indices.dtype == torch.int64


@pytest.mark.parametrize("sparsify", [lambda g: threshold_sparsify(g, 0.5), lambda g: topk_sparsify(g, 0.5)])
def test_a_message_is_a_copy_without_history(sparsify):
    parameter = torch.nn.Parameter(torch.ones(4))
    indices, values = sparsify(parameter)
    values.zero_()
    assert not values.requires_grad and parameter.tolist() == [1, 1, 1, 1] and len(indices) in (2, 4)


@pytest.mark.parametrize("bad", [-0.1, math.nan])
def test_threshold_and_topk_refuse(bad):
    with pytest.raises(ValueError, match="threshold"):
        threshold_sparsify(torch.ones(3), bad)
    for sparsity in (bad, 1.1):
        with pytest.raises(ValueError, match="sparsity"):
            topk_sparsify(torch.ones(3), sparsity)


# --- gradient_drop -----------------------------------------------------------------------------------------------


@quick
@given(whole_numbers, whole_numbers, sparsities)
def test_one_pool_is_top_k_of_the_joined_layers_and_layer_is_top_k_of_each(first, second, sparsity):
    layers = {"b": tensor(first), "a": tensor(second)}
    joined = topk_sparsify(torch.cat(list(layers.values())), sparsity)[0].tolist()
    messages = gradient_drop(layers, sparsity, "global")
    found = messages["b"][0].tolist() + [len(first) + i for i in messages["a"][0].tolist()]
    assert found == joined and list(messages) == ["b", "a"]
    for name, message in gradient_drop(layers, sparsity, "layer").items():
        assert all(torch.equal(*pair) for pair in zip(message, topk_sparsify(layers[name], sparsity)))


def test_normalised_does_not_feel_the_scale_of_a_layer_and_sends_the_entries_themselves():
    random = torch.Generator().manual_seed(1)
    layers = {"a": torch.randn(40, generator=random), "b": torch.randn(6, 5, generator=random)}
    scaled = {"a": 1024 * layers["a"], "b": layers["b"] / 64}  # by powers of two: exact
    one, other = (gradient_drop(gradients, 0.7, "normalised") for gradients in (layers, scaled))
    for name in layers:
        assert torch.equal(one[name][0], other[name][0])
        assert torch.equal(other[name][1], scaled[name].flatten()[other[name][0]])
    a, b = (values.double().flatten() for values in layers.values())
    relative = np.concatenate([np.abs(v.numpy()) / np.sqrt(np.mean(v.numpy() ** 2)) for v in (a, b)])
    kept = sorted(np.argsort(relative, kind="stable")[round(0.7 * 70) :].tolist())
    assert one["a"][0].tolist() + [40 + i for i in one["b"][0].tolist()] == kept


def test_a_layer_of_zeros_is_dropped_first_and_stays_in_the_result():
    messages = gradient_drop({"dead": torch.zeros(4), "a": tensor([3.0, 1.0, 2.0, 4.0])}, 0.5, "normalised")
    assert len(messages["dead"][0]) == 0 and messages["a"][1].tolist() == [3.0, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("gradients", "sparsity", "scope"),
    [({"a": torch.ones(2)}, 1.5, "global"), ({"a": torch.ones(2)}, math.nan, "layer"), ({"a": torch.ones(2)}, 0.5, "all"), ({}, 0.5, "layer")],
)  # fmt: skip
def test_gradient_drop_refuses(gradients, sparsity, scope):
    with pytest.raises(ValueError, match="sparsity|scope|no layer"):
        gradient_drop(gradients, sparsity, scope)


# --- the book ----------------------------------------------------------------------------------------------------


@quick
@given(st.lists(st.lists(st.integers(-9, 9), min_size=12, max_size=12), min_size=1, max_size=8), sparsities)
def test_what_was_sent_and_the_residual_are_the_sum_of_all_gradients_exactly(steps, sparsity):
    total, sent, residual = torch.zeros(12), torch.zeros(12), torch.zeros(12)
    for numbers in steps:
        gradient = tensor(numbers) / 8  # dyadic: no sum is rounded
        total += gradient
        *message, residual = accumulate_residual(residual, gradient, lambda t: topk_sparsify(t, sparsity))
        sent += dense(message, 12)
        assert torch.equal(total, sent + residual)


@quick
@given(st.lists(st.lists(st.integers(-9, 9), min_size=8, max_size=8), min_size=1, max_size=8))
def test_the_book_is_right_for_a_rule_that_rounds_too(steps):
    def strom(t):
        indices = (t.abs() >= 4).nonzero().flatten()
        return indices, 4 * t[indices].sign()

    total, sent, residual = torch.zeros(8), torch.zeros(8), torch.zeros(8)
    for numbers in steps:
        total += tensor(numbers)
        *message, residual = accumulate_residual(residual, tensor(numbers), strom)
        sent += dense(message, 8)
        assert torch.equal(total, sent + residual)


def test_accumulate_residual_calls_the_rule_once_and_changes_nothing():
    residual, gradient, seen = tensor([1.0, 2.0]), torch.nn.Parameter(tensor([3.0, 4.0])), []

    def rule(t):
        seen.append(t.tolist())
        return topk_sparsify(t, 0.5)

    new = accumulate_residual(residual, gradient, rule)[2]
    assert seen == [[4.0, 6.0]] and residual.tolist() == [1.0, 2.0] and gradient.tolist() == [3.0, 4.0]
    assert new.tolist() == [4.0, 0.0] and not new.requires_grad


@pytest.mark.parametrize("shapes", [((2,), (3,)), ((1,), (3,)), ((2, 2), (2, 2))])
def test_accumulate_residual_refuses(shapes):
    with pytest.raises(ValueError, match="shape"):
        accumulate_residual(torch.zeros(shapes[0]), torch.zeros(shapes[1]), lambda t: topk_sparsify(t, 0.5))


# --- momentum ----------------------------------------------------------------------------------------------------


def test_with_everything_sent_and_no_momentum_it_is_plain_gradient_descent():
    zeros, gradient = torch.zeros(6), torch.randn(6)
    indices, values, u, v = momentum_correction(zeros, zeros, gradient, 0.0, lambda t: topk_sparsify(t, 0.0))
    assert torch.equal(dense((indices, values), 6), gradient) and not u.any() and not v.any()


def test_what_waits_moves_as_torch_optim_moves_a_weight():
    """As long as an entry is not sent, v is the way that SGD with momentum has made, learning rate 1, with the sign turned."""
    weight = torch.nn.Parameter(torch.zeros(5, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=1.0, momentum=0.5)
    u = v = torch.zeros(5, dtype=torch.float64)
    for step in range(6):
        gradient = torch.arange(5, dtype=torch.float64) - step
        weight.grad = gradient.clone()
        optimizer.step()
        _, _, u, v = momentum_correction(u, v, gradient, 0.5, lambda t: topk_sparsify(t, 1.0))
        assert torch.equal(v, -weight.detach())


@quick
@given(whole_numbers, sparsities)
def test_sent_entries_begin_anew_in_both_sums(numbers, sparsity):
    u, v, g = tensor(numbers), tensor(numbers[::-1]), tensor([number // 2 for number in numbers])
    indices, values, new_u, new_v = momentum_correction(u, v, g, 0.5, lambda t: topk_sparsify(t, sparsity))
    expected_u = [0.5 * a + b for a, b in zip(u.tolist(), g.tolist())]
    expected_v = [a + b for a, b in zip(v.tolist(), expected_u)]
    gone = ranked(expected_v, sparsity)
    assert indices.tolist() == gone and values.tolist() == [expected_v[i] for i in gone]
    assert new_u.tolist() == [0 if i in gone else number for i, number in enumerate(expected_u)]
    assert new_v.tolist() == [0 if i in gone else number for i, number in enumerate(expected_v)]
    assert u.tolist() == numbers and v.tolist() == numbers[::-1]


@pytest.mark.parametrize("momentum", [-0.1, 1.0, math.nan])
def test_momentum_correction_refuses_a_momentum(momentum):
    with pytest.raises(ValueError, match="momentum"):
        momentum_correction(*[torch.zeros(3)] * 3, momentum, lambda t: topk_sparsify(t, 0.5))


@pytest.mark.parametrize(
    "shapes", [((2,), (3,), (3,)), ((3,), (1,), (3,)), ((3,), (3,), (1,)), ((1, 3),) * 3]
)
def test_momentum_correction_refuses_shapes(shapes):
    with pytest.raises(ValueError, match="shape"):
        momentum_correction(*map(torch.zeros, shapes), 0.5, lambda t: topk_sparsify(t, 0.5))


# --- the exchange ------------------------------------------------------------------------------------------------


messages_of_ten = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.integers(-9, 9)), max_size=12), min_size=1, max_size=4
)


@quick
@given(
    messages_of_ten,
    st.sampled_from([torch.int32, torch.int64]),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_the_sum_is_that_of_torch_sparse(lists, index, value):
    messages = [
        (tensor([i for i, _ in pairs], index), tensor([v for _, v in pairs], value)) for pairs in lists
    ]
    total = sparse_allreduce(messages, 10)
    assert torch.equal(total, sum(dense(message, 10, value) for message in messages)) and total.dtype == value


def test_with_everything_sent_the_sum_is_the_dense_one_to_the_bit_in_the_same_order():
    random = torch.Generator().manual_seed(3)
    gradients = [torch.randn(500, generator=random) for _ in range(4)]
    total = sparse_allreduce([topk_sparsify(gradient, 0.0) for gradient in gradients], 500)
    assert torch.equal(total, ((gradients[0] + gradients[1]) + gradients[2]) + gradients[3])


@pytest.mark.parametrize(
    "messages",
    [[], [(tensor([0, 1], torch.int64), torch.ones(1))], [(tensor([5], torch.int64), torch.ones(1))], [(tensor([-1], torch.int64), torch.ones(1))]],
)  # fmt: skip
def test_sparse_allreduce_refuses(messages):
    with pytest.raises(ValueError, match="message|outside"):
        sparse_allreduce(messages, 5)


# --- bytes -------------------------------------------------------------------------------------------------------


def written(indices, values, padded_to=None):
    """Write the message as bytes, and count them."""
    file = io.BytesIO()
    if indices is not None:
        file.write(struct.pack("<q", len(values)))
        fill = (len(values) if padded_to is None else padded_to) - len(values)
        file.write(np.concatenate([indices.numpy(), np.zeros(fill, indices.numpy().dtype)]).tobytes())
        values = np.concatenate([values.numpy(), np.zeros(fill, values.numpy().dtype)])
    else:
        values = values.numpy()
    file.write(values.tobytes())
    return len(file.getvalue())


@quick
@given(
    st.integers(0, 20), st.none() | st.integers(0, 9), st.sampled_from([torch.int16, torch.int32, torch.int64]),
    st.sampled_from([torch.float16, torch.float32, torch.float64]),
)  # fmt: skip
def test_bytes_are_those_of_a_message_that_is_written_down(k, fill, index, value):
    indices, values = torch.arange(2 * k)[::2].to(index), torch.zeros(k, 3, dtype=value)[:, 1]
    padded_to = None if fill is None else k + fill
    assert bytes_sent(indices, values, padded_to) == written(indices, values, padded_to)
    assert bytes_sent(None, values) == written(None, values)


def test_bytes_sent_refuses():
    indices, values = torch.arange(3), torch.ones(3)
    for bad in ((indices[:2], values), (indices, values, 2), (None, values, 3)):
        with pytest.raises(ValueError, match="filled|indices"):
            bytes_sent(*bad)
