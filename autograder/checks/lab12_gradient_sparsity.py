"""Hidden checks of lab 12. Experiments only: they observe, and no expected answer stands here."""

import torch

from autograder.experiment import check, close, error_of, exact

ROUNDING = close(1e-5, 1e-6)  # of float32 sums in another order


def normal(rng, *shape, dtype=torch.float32):
    """A gradient: no two magnitudes equal, none zero."""
    return torch.randn(*shape, generator=rng, dtype=torch.float64).to(dtype)


def whole(rng, *shape, low=-6, high=7):
    """Small whole numbers as floats: many ties, and sums without rounding."""
    return torch.randint(low, high, shape, generator=rng).float()


def shuffled(rng, magnitudes, *shape):
    """The given magnitudes, in random order and with random signs: mistakes show whatever is drawn."""
    entries = torch.tensor(magnitudes)[torch.randperm(len(magnitudes), generator=rng)].float()
    return (entries * (2 * torch.randint(2, entries.shape, generator=rng) - 1)).view(shape or (-1,))


def drawn(rng, low, high):
    """A random whole number from low to high, high excluded."""
    return int(torch.randint(low, high, (1,), generator=rng))


def positions(rng, n, k):
    """k different positions below n, not sorted."""
    return torch.randperm(n, generator=rng)[:k]


def plain(message):
    """A message as it came back, its parts as a list, and whether the values carry a history."""
    indices, values = message
    return {
        "indices": indices,
        "values": values,
        "history": bool(getattr(values, "requires_grad", False)),
    }


# --- threshold_sparsify ----------------------------------------------------------------------------------------


@check("threshold_sparsify", tolerance=exact, weight=2)
def magnitudes_that_reach_the_threshold(lab, rng):
    """Every entry with a magnitude of at least the threshold is sent, negative ones too, with its own value and position."""
    gradient = normal(rng, 40)
    return {f"threshold {t}": plain(lab.threshold_sparsify(gradient, t)) for t in (0.3, 1.0, 1.7)}


@check("threshold_sparsify", tolerance=exact)
def exactly_at_the_threshold(lab, rng):
    """An entry exactly at the threshold is sent."""
    return plain(lab.threshold_sparsify(shuffled(rng, [1, 2, 3, 3, 4, 5] * 5), 3.0))


@check("threshold_sparsify", tolerance=exact)
def all_and_none(lab, rng):
    """Threshold 0 sends all the entries, zeros too; a threshold above every magnitude sends an empty message."""
    gradient = whole(rng, 30, low=-2, high=3)
    return {f"threshold {t}": plain(lab.threshold_sparsify(gradient, t)) for t in (0.0, 100.0, float("inf"))}


@check("threshold_sparsify", tolerance=exact)
def any_shape_and_dtype(lab, rng):
    """Positions are those of the flattened gradient, of any shape, contiguous or not, and the dtype stays."""
    square, cube = normal(rng, 5, 7).t(), normal(rng, 3, 4, 6, dtype=torch.float64)[:, ::2, 1:]
    half = (whole(rng, 4, 9) / 2).to(torch.bfloat16)
    return [plain(lab.threshold_sparsify(gradient, 0.8)) for gradient in (square, cube, half)]


@check("threshold_sparsify", tolerance=exact)
def a_copy_of_a_parameter(lab, rng):
    """The gradient is not changed, and the message is a copy without gradient history."""
    gradient = torch.nn.Parameter(normal(rng, 6, 5))
    message = lab.threshold_sparsify(gradient, 0.5)
    seen = plain(message)
    message[1].detach().zero_()
    return {"message": seen["indices"], "history": seen["history"], "gradient": gradient}


@check("threshold_sparsify", tolerance=exact)
def threshold_sparsify_refuses(lab, rng):
    """A negative threshold or NaN raises ValueError; a good one does not."""
    gradient = normal(rng, 8)
    return {
        str(t): error_of(lambda t=t: lab.threshold_sparsify(gradient, t)) for t in (-0.1, float("nan"), 0.5)
    }


# --- topk_sparsify ---------------------------------------------------------------------------------------------


@check("topk_sparsify", tolerance=exact, weight=2)
def largest_magnitudes(lab, rng):
    """The largest magnitudes are sent, negative ones too, with their own values, at rising positions."""
    gradient = normal(rng, 40)
    return {f"sparsity {s}": plain(lab.topk_sparsify(gradient, s)) for s in (0.25, 0.5, 0.9)}


@check("topk_sparsify", tolerance=exact)
def exactly_as_many_as_asked(lab, rng):
    """Exactly round(sparsity * n) entries stay behind; of equal magnitudes the lowest position stays behind first."""
    gradient = whole(rng, 50, low=-2, high=3)
    return {f"sparsity {s}": plain(lab.topk_sparsify(gradient, s)) for s in (0.1, 0.33, 0.5, 0.87)}


@check("topk_sparsify", tolerance=exact)
def rounded_as_python_rounds(lab, rng):
    """The number left out is rounded as Python's round does it, also where it lies half-way between two."""
    return {
        f"{n} entries": plain(lab.topk_sparsify(normal(rng, n), s))
        for n, s in ((5, 0.5), (7, 0.5), (9, 0.7), (11, 0.15))
    }


@check("topk_sparsify", tolerance=exact)
def everything_and_nothing(lab, rng):
    """Sparsity 0 sends every entry, sparsity 1 an empty message, and of a short gradient nothing may be left."""
    gradient = whole(rng, 12)
    sent = {f"sparsity {s}": plain(lab.topk_sparsify(gradient, s)) for s in (0.0, 1.0)}
    return sent | {"short": plain(lab.topk_sparsify(normal(rng, 10), 0.999))}


@check("topk_sparsify", tolerance=exact)
def flattened_of_any_shape(lab, rng):
    """Positions are those of the flattened gradient, of any shape, contiguous or not; the dtype stays, nothing is changed."""
    parameter = torch.nn.Parameter(normal(rng, 6, 5))
    square, cube = normal(rng, 5, 7).t(), normal(rng, 3, 4, 6, dtype=torch.float64)[:, ::2, 1:]
    seen = [plain(lab.topk_sparsify(gradient, 0.6)) for gradient in (square, cube, parameter)]
    return {"messages": seen, "gradients": [square, cube, parameter]}


@check("topk_sparsify", tolerance=exact)
def topk_sparsify_refuses(lab, rng):
    """A sparsity below 0, above 1 or NaN raises ValueError; a good one does not."""
    gradient = normal(rng, 8)
    return {
        str(s): error_of(lambda s=s: lab.topk_sparsify(gradient, s)) for s in (-0.1, 1.1, float("nan"), 0.5)
    }


# --- gradient_drop ---------------------------------------------------------------------------------------------


def network(rng):
    """Three layers whose gradients have different sizes; the names are not in alphabetical order."""
    scale = 0.5 + torch.rand(1, generator=rng)
    return {
        "out": scale * shuffled(rng, [0.21 * (i + 0.37) for i in range(24)], 4, 6),
        "first": scale * shuffled(rng, [0.0002 * (i + 0.61) ** 2 for i in range(50)], 10, 5),
        # The root mean square of this one is far from its mean.
        "middle": scale * shuffled(rng, [0.31, 0.62, 0.97, 1.28, 1.61, 9.3]),
    }


def each(messages):
    """The messages of all layers, with the order of their names."""
    return {"order": list(messages), **{name: plain(message) for name, message in messages.items()}}


@check("gradient_drop", tolerance=exact)
def one_pool(lab, rng):
    """With "global" all the layers are one pool, and round(sparsity * n) of all the entries are dropped."""
    gradients = network(rng)
    return [each(lab.gradient_drop(gradients, s, "global")) for s in (0.3, 0.62, 0.9)]


@check("gradient_drop", tolerance=exact)
def a_pool_for_each_layer(lab, rng):
    """With "layer" each layer drops its own round(sparsity * n_l) entries."""
    gradients = network(rng)
    return [each(lab.gradient_drop(gradients, s, "layer")) for s in (0.3, 0.62, 0.95)]


@check("gradient_drop", tolerance=exact, weight=2)
def layers_made_equal(lab, rng):
    """With "normalised" the magnitudes are ranked relative to the root mean square of their layer, and sent as they are."""
    gradients = network(rng)
    return [each(lab.gradient_drop(gradients, s, "normalised")) for s in (0.3, 0.62, 0.9)]


@check("gradient_drop", tolerance=exact)
def equal_entries_across_layers(lab, rng):
    """Of equal entries the earlier layer's are dropped first, and in a layer the lowest position."""
    gradients = {
        "b": shuffled(rng, [0] * 4 + [1] * 12 + [2] * 4, 4, 5),
        "a": shuffled(rng, [0] + [1] * 5 + [2] * 9),
    }
    return {scope: each(lab.gradient_drop(gradients, 0.5, scope)) for scope in ("global", "layer")}


@check("gradient_drop", tolerance=exact)
def a_layer_of_zeros(lab, rng):
    """A layer whose gradient is zero has the lowest rank; sparsity 0 keeps everything, sparsity 1 nothing."""
    gradients = {
        "a": shuffled(rng, [0.013 * (i + 1) for i in range(9)], 3, 3),
        "dead": torch.zeros(5),
        "c": shuffled(rng, [11, 22, 33, 44]),
    }
    return {
        f"{scope}, {s}": each(lab.gradient_drop(gradients, s, scope))
        for scope in ("global", "layer", "normalised")
        for s in (0.0, 0.6, 1.0)
    }


@check("gradient_drop", tolerance=exact)
def views_and_parameters(lab, rng):
    """Layers that are not contiguous or carry a history are taken too; nothing is changed, and the dtype stays."""
    gradients = {
        "t": shuffled(rng, [i + 0.37 for i in range(35)], 5, 7).double().t(),
        "p": torch.nn.Parameter(shuffled(rng, [41, 83, 117, 161, 202, 239]).double()),
    }
    before = {name: tensor.detach().clone() for name, tensor in gradients.items()}
    seen = {
        scope: each(lab.gradient_drop(gradients, 0.6, scope)) for scope in ("global", "layer", "normalised")
    }
    return {"seen": seen, "unchanged": [bool(torch.equal(gradients[name], before[name])) for name in before]}


@check("gradient_drop", tolerance=exact)
def gradient_drop_refuses(lab, rng):
    """A wrong sparsity, an unknown scope, or no layer raises ValueError; good input does not."""
    gradients = network(rng)
    cases = {
        "below 0": (gradients, -0.1, "global"), "above 1": (gradients, 1.1, "layer"), "NaN": (gradients, float("nan"), "global"),
        "scope": (gradients, 0.5, "local"), "empty": ({}, 0.5, "global"), "good": (gradients, 0.5, "normalised"),
    }  # fmt: skip
    return {name: error_of(lambda case=case: lab.gradient_drop(*case)) for name, case in cases.items()}


# --- accumulate_residual ---------------------------------------------------------------------------------------


def larger_than(limit):
    """A rule that sends the entries themselves."""

    def rule(total):
        indices = (total.abs() > limit).nonzero().flatten()
        return indices, total[indices]

    return rule


def last_three(total):
    """A rule that sends three entries whatever they are, in falling order of position."""
    indices = torch.tensor([len(total) - 1, len(total) - 2, len(total) - 3])
    return indices, total[indices]


def rounded(tensor):
    """A rule that sends plus or minus 2 for each entry beyond 2: not the entries themselves."""
    indices = (tensor.abs() >= 2).nonzero().flatten()
    return indices, 2 * tensor[indices].sign()


def parts(answer):
    """The three or four parts that came back, in order."""
    return list(answer)


@check("accumulate_residual", tolerance=exact, weight=2)
def sent_or_kept(lab, rng):
    """The message is chosen from residual + gradient, and what it does not send is the new residual."""
    return [
        parts(lab.accumulate_residual(whole(rng, 30), whole(rng, 30), rule))
        for rule in (larger_than(4), last_three)
    ]


@check("accumulate_residual", tolerance=exact)
def over_several_steps(lab, rng):
    """Step after step: the old residual is used up, and a small entry is sent when enough of it has gathered."""
    residual, steps = torch.zeros(20), []
    for _ in range(6):
        indices, values, residual = lab.accumulate_residual(
            residual, whole(rng, 20, low=-2, high=3), larger_than(2.5)
        )
        steps.append([indices, values, residual.clone()])
    return steps


@check("accumulate_residual", tolerance=exact)
def a_rule_that_rounds(lab, rng):
    """Where the rule rounds what it sends, the residual keeps the difference at these entries too."""
    return parts(lab.accumulate_residual(whole(rng, 30), whole(rng, 30), rounded))


@check("accumulate_residual", tolerance=exact)
def nothing_or_everything_sent(lab, rng):
    """An empty message leaves the whole sum in the residual, a full one leaves zeros."""
    residual, gradient = whole(rng, 12), whole(rng, 12)
    rules = {"nothing": larger_than(100), "everything": larger_than(-1)}
    return {name: parts(lab.accumulate_residual(residual, gradient, rule)) for name, rule in rules.items()}


@check("accumulate_residual", tolerance=exact)
def inputs_stay_and_rule_runs_once(lab, rng):
    """Residual and gradient are not changed, the rule is called once, with the sum, and the dtype stays."""
    residual, gradient, seen = whole(rng, 15).double(), torch.nn.Parameter(whole(rng, 15).double()), []

    def rule(tensor):
        seen.append(tensor.detach().clone())
        return larger_than(4)(tensor)

    answer = parts(lab.accumulate_residual(residual, gradient, rule))
    return {
        "answer": [part.detach() for part in answer], "history": bool(answer[2].requires_grad), "rule saw": seen,
        "residual": residual, "gradient": gradient,
    }  # fmt: skip


@check("accumulate_residual", tolerance=exact)
def accumulate_residual_refuses(lab, rng):
    """Different shapes, or more than one dimension, raise ValueError; good input does not."""
    cases = {
        "lengths": (whole(rng, 5), whole(rng, 6)), "one entry": (whole(rng, 1), whole(rng, 6)),
        "matrices": (whole(rng, 2, 3), whole(rng, 2, 3)), "good": (whole(rng, 5), whole(rng, 5)),
    }  # fmt: skip
    return {
        name: error_of(lambda case=case: lab.accumulate_residual(*case, larger_than(2)))
        for name, case in cases.items()
    }


# --- momentum_correction ---------------------------------------------------------------------------------------


@check("momentum_correction", tolerance=exact, weight=2)
def one_step_of_two_sums(lab, rng):
    """The velocity is m * u + g, the message is chosen from v plus the new velocity, and what is sent is 0 in both."""
    return [
        parts(lab.momentum_correction(whole(rng, 30), whole(rng, 30), whole(rng, 30), 0.5, rule))
        for rule in (larger_than(4), last_three)
    ]


@check("momentum_correction", tolerance=exact)
def steps_in_a_row(lab, rng):
    """Step after step: momentum of what was not sent goes on, and sent entries begin anew."""
    velocity, accumulated, steps = torch.zeros(20), torch.zeros(20), []
    for _ in range(5):
        gradient = whole(rng, 20, low=-2, high=3)
        answer = lab.momentum_correction(velocity, accumulated, gradient, 0.5, larger_than(3.5))
        indices, values, velocity, accumulated = answer
        steps.append([indices, values, velocity.clone(), accumulated.clone()])
    return steps


@check("momentum_correction", tolerance=exact)
def nothing_is_sent(lab, rng):
    """Where nothing is sent, u and v grow as momentum makes them grow; where all is sent both are zero."""
    tensors = whole(rng, 12), whole(rng, 12), whole(rng, 12)
    rules = {"nothing": larger_than(100), "everything": larger_than(-1)}
    return {name: parts(lab.momentum_correction(*tensors, 0.75, rule)) for name, rule in rules.items()}


@check("momentum_correction", tolerance=exact)
def without_momentum(lab, rng):
    """With momentum 0 it is error feedback: the velocity is the gradient alone."""
    return parts(lab.momentum_correction(whole(rng, 20), whole(rng, 20), whole(rng, 20), 0.0, larger_than(4)))


@check("momentum_correction", tolerance=exact)
def nothing_changed_in_place(lab, rng):
    """The three tensors are not changed, the rule is called once, with the new v, and the dtype stays."""
    velocity, accumulated = whole(rng, 15).double(), whole(rng, 15).double()
    gradient, seen = torch.nn.Parameter(whole(rng, 15).double()), []

    def rule(tensor):
        seen.append(tensor.detach().clone())
        return larger_than(4)(tensor)

    answer = parts(lab.momentum_correction(velocity, accumulated, gradient, 0.5, rule))
    return {
        "answer": [part.detach() for part in answer],
        "history": [bool(part.requires_grad) for part in answer[2:]],
        "rule saw": seen,
        "inputs": [velocity, accumulated, gradient],
    }


@check("momentum_correction", tolerance=exact)
def momentum_correction_refuses(lab, rng):
    """Different shapes, more than one dimension, or a momentum outside of [0, 1) raise ValueError; good input does not."""
    u, v, g = whole(rng, 6), whole(rng, 6), whole(rng, 6)
    cases = {
        "velocity": (u[:1], v, g, 0.5), "accumulated": (u, v[:1], g, 0.5), "gradient": (u, v, g[:1], 0.5),
        "matrices": (u.view(2, 3), v.view(2, 3), g.view(2, 3), 0.5), "below 0": (u, v, g, -0.1), "one": (u, v, g, 1.0),
        "NaN": (u, v, g, float("nan")), "good": (u, v, g, 0.9),
    }  # fmt: skip
    return {
        name: error_of(lambda case=case: lab.momentum_correction(*case, larger_than(2)))
        for name, case in cases.items()
    }


# --- sparse_allreduce ------------------------------------------------------------------------------------------


@check("sparse_allreduce", tolerance=ROUNDING, weight=2)
def positions_in_several_messages(lab, rng):
    """What several workers send for one position adds up, and a position that nobody sends is 0."""
    n = drawn(rng, 14, 20)
    order = positions(
        rng, n, n
    )  # the second message shares two positions with the first, the third five with the second
    messages = [(order[:7], normal(rng, 7)), (order[5:11], normal(rng, 6)), (order[6:12], normal(rng, 6))]
    return lab.sparse_allreduce(messages, n)


@check("sparse_allreduce", tolerance=ROUNDING)
def twice_in_one_message(lab, rng):
    """A position that stands twice in one message gets both values."""
    indices = torch.tensor([3, 1, 3, 0, 3])
    return lab.sparse_allreduce([(indices, normal(rng, 5)), (indices.flip(0), normal(rng, 5))], 6)


@check("sparse_allreduce", tolerance=ROUNDING)
def empty_messages(lab, rng):
    """An empty message adds nothing; one worker alone is enough; if all are empty the sum is zero."""
    nothing = (torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    some = (positions(rng, 9, 4), normal(rng, 4))
    return {
        "one is empty": lab.sparse_allreduce([nothing, some, nothing], 9),
        "alone": lab.sparse_allreduce([some], 9),
        "all are empty": lab.sparse_allreduce([nothing, nothing], 9),
    }


@check("sparse_allreduce", tolerance=ROUNDING)
def narrow_indices_and_other_dtypes(lab, rng):
    """Indices may be int32, the values keep their dtype, and the messages are not changed."""
    messages = [(positions(rng, 11, 6).int(), normal(rng, 6, dtype=torch.float64)) for _ in range(3)]
    total = lab.sparse_allreduce(messages, 11)
    half = [(positions(rng, 11, 6), whole(rng, 6).half()) for _ in range(3)]
    return {"float64": total, "messages": messages, "float16": lab.sparse_allreduce(half, 11)}


@check("sparse_allreduce", tolerance=exact)
def sparse_allreduce_refuses(lab, rng):
    """No message, lengths that differ, or a position outside of the gradient raise ValueError; good input does not."""
    good = (torch.tensor([0, 4]), normal(rng, 2))
    cases = {
        "no message": ([], 5), "lengths": ([good, (torch.tensor([1, 2, 3]), normal(rng, 1))], 5),
        "too high": ([good, (torch.tensor([1, 5]), normal(rng, 2))], 5),
        "below 0": ([good, (torch.tensor([1, -1]), normal(rng, 2))], 5), "good": ([good, good], 5),
    }  # fmt: skip
    return {name: error_of(lambda case=case: lab.sparse_allreduce(*case)) for name, case in cases.items()}


# --- bytes_sent ------------------------------------------------------------------------------------------------


@check("bytes_sent", tolerance=exact)
def dense_messages(lab, rng):
    """A dense message has no indices and no length: its entries times their width."""
    a, b = drawn(rng, 3, 30), drawn(rng, 3, 30)
    dtypes = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
    return {str(dtype): lab.bytes_sent(None, torch.zeros(a, b, dtype=dtype)) for dtype in dtypes}


@check("bytes_sent", tolerance=exact, weight=2)
def sparse_messages(lab, rng):
    """A sparse message has its length, and an index and a value for each entry, in their own widths."""
    k = drawn(rng, 5, 90)
    return {
        f"{index}, {value}": lab.bytes_sent(torch.zeros(k, dtype=index), torch.zeros(k, dtype=value))
        for index in (torch.int64, torch.int32, torch.int16)
        for value in (torch.float32, torch.float64, torch.float16)
    }


@check("bytes_sent", tolerance=exact)
def filled_up(lab, rng):
    """The fill is sent too: a message that is filled up counts with its full length, in both parts."""
    k = drawn(rng, 5, 90)
    more = k + drawn(rng, 1, 50)
    indices, values = torch.zeros(k, dtype=torch.int32), torch.zeros(k, dtype=torch.float64)
    return {"more": lab.bytes_sent(indices, values, more), "no more": lab.bytes_sent(indices, values, k)}


@check("bytes_sent", tolerance=exact)
def an_empty_message(lab, rng):
    """An empty message still says how long it is, and it may be filled up."""
    nothing = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    more = drawn(rng, 3, 40)
    return {
        "alone": lab.bytes_sent(*nothing),
        "0": lab.bytes_sent(*nothing, 0),
        "more": lab.bytes_sent(*nothing, more),
    }


@check("bytes_sent", tolerance=exact)
def views_of_larger_tensors(lab, rng):
    """Only what is sent counts, not the memory that a view belongs to."""
    k = drawn(rng, 20, 60)
    indices, values = torch.arange(4 * k)[::4], normal(rng, k, 3)[:, 1]
    return {
        "sparse": lab.bytes_sent(indices, values),
        "dense": lab.bytes_sent(None, normal(rng, k, 6).t()[1:3]),
    }


@check("bytes_sent", tolerance=exact)
def bytes_sent_refuses(lab, rng):
    """Lengths that differ, a fill below the length, or a fill of a dense message raise ValueError; good input does not."""
    indices, values = torch.arange(6), normal(rng, 6)
    cases = {
        "lengths": (indices[:5], values), "too short": (indices, values, 5), "dense": (None, values, 8),
        "good": (indices, values, 6),
    }  # fmt: skip
    return {name: error_of(lambda case=case: lab.bytes_sent(*case)) for name, case in cases.items()}
