"""Hidden checks of lab 5. Experiments only: they observe, and no expected answer stands here."""

import torch
import torch.nn.functional as F

from autograder.experiment import check, close, error_of, exact

ROUNDING = close(1e-4, 1e-7)  # of sums in another order
COARSE = close(1e-3, 1e-5)  # the same in float32


def normal(rng, *shape, dtype=torch.float64):
    """Numbers as they come from training: no two equal, none zero."""
    return torch.randn(*shape, generator=rng, dtype=dtype)


def signs(rng, *shape, dtype=torch.float64):
    """Random signs: +1 or -1."""
    return 2 * torch.randint(0, 2, shape, generator=rng).to(dtype) - 1


class Network:
    """A small network with two weights and a bias; its layers depend on each other. It counts how often it runs.

    Its outputs are piecewise linear in each weight, so that no entry of its Hessian's diagonal is negative.
    """

    def __init__(self, rng, samples=9, dtype=torch.float64):
        self.weights = {
            "a": torch.nn.Parameter(normal(rng, 4, 3, dtype=dtype)),
            "b": torch.nn.Parameter(normal(rng, 2, 4, dtype=dtype)),
        }
        self.bias = torch.nn.Parameter(normal(rng, 2, dtype=dtype))
        self.inputs, self.labels = normal(rng, samples, 3, dtype=dtype), torch.arange(samples) % 2
        self.calls = 0
        self.before = [parameter.detach().clone() for parameter in self.parameters()]

    def parameters(self):
        return [*self.weights.values(), self.bias]

    def losses(self):
        self.calls += 1
        hidden = F.leaky_relu(self.inputs @ self.weights["a"].t(), 0.3)
        return F.cross_entropy(hidden @ self.weights["b"].t() + self.bias, self.labels, reduction="none")

    def loss(self):
        return self.losses().mean()

    def sample_losses(self):
        """One loss after the other, each with a graph of its own."""
        for image, label in zip(self.inputs, self.labels):
            hidden = F.leaky_relu(self.weights["a"] @ image, 0.3)
            yield F.cross_entropy(self.weights["b"] @ hidden + self.bias, label)

    def probes(self, rng, count):
        return [
            {name: signs(rng, *weight.shape, dtype=weight.dtype) for name, weight in self.weights.items()}
            for _ in range(count)
        ]

    def after(self):
        """What a function may not change."""
        return {
            "the weights as before": [
                bool(torch.equal(p, q)) for p, q in zip(self.parameters(), self.before)
            ],
            "trainable": [parameter.requires_grad for parameter in self.parameters()],
            "grad": [parameter.grad for parameter in self.parameters()],
        }


def quadratic(rng, sign=1.0):
    """A loss 0.5 w'Aw + b'w over three weights of odd shapes, one not contiguous; A couples all of them."""
    weights = {
        "conv": torch.nn.Parameter(normal(rng, 2, 1, 2, 1)),
        "turned": torch.nn.Parameter(normal(rng, 2, 3).t()),
        "one": torch.nn.Parameter(normal(rng, 1)),
    }
    root = normal(rng, 11, 11)
    coupling, slope = sign * root @ root.t() / 4, normal(rng, 11)

    def loss():
        w = torch.cat([weight.flatten() for weight in weights.values()])
        return 0.5 * w @ coupling @ w + slope @ w

    return weights, loss


def history(result):
    """Whether what came back still hangs on a graph, name by name."""
    return {name: tensor.requires_grad for name, tensor in result.items()}


# --- gradient_scores -------------------------------------------------------------------------------------------


@check("gradient_scores", tolerance=ROUNDING, weight=2)
def magnitude_of_the_gradient(lab, rng):
    """The score of a weight is the magnitude of the loss's derivative by this weight."""
    network = Network(rng)
    return lab.gradient_scores(network.loss, network.weights)


@check("gradient_scores", tolerance=ROUNDING)
def gradients_that_were_there(lab, rng):
    """A gradient that was stored before does not count and stays stored; where there was none there is none after."""
    empty, full = Network(rng), Network(rng)
    for parameter in full.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    return {
        "none before": {"scores": lab.gradient_scores(empty.loss, empty.weights), **empty.after()},
        "some before": {"scores": lab.gradient_scores(full.loss, full.weights), **full.after()},
    }


@check("gradient_scores", tolerance=ROUNDING)
def scores_without_history(lab, rng):
    """The loss is computed once, and the scores carry no graph."""
    network = Network(rng)
    result = lab.gradient_scores(network.loss, network.weights)
    return {"history": history(result), "calls": network.calls}


@check("gradient_scores", tolerance=COARSE)
def scores_of_any_shape(lab, rng):
    """The scores have the shape and dtype of their weight, also for a convolution and a transposed weight."""
    weights, loss = quadratic(rng)
    small = Network(rng, dtype=torch.float32)
    return {
        "quadratic": lab.gradient_scores(loss, weights),
        "loss of shape [1]": lab.gradient_scores(lambda: loss().reshape(1), weights),
        "float32": lab.gradient_scores(small.loss, small.weights),
    }


@check("gradient_scores", tolerance=exact)
def gradient_scores_refuses(lab, rng):
    """No weights, or a loss of several numbers, raise ValueError; good input does not."""
    network = Network(rng)
    return {
        "no weights": error_of(lambda: lab.gradient_scores(network.loss, {})),
        "a loss for each sample": error_of(lambda: lab.gradient_scores(network.losses, network.weights)),
        "good": error_of(lambda: lab.gradient_scores(network.loss, network.weights)),
    }


# --- hybrid_mask -----------------------------------------------------------------------------------------------


def all_kinds(rng, *shape, a, b, dtype=torch.float64):
    """A weight and a gradient of 16 entries or more: large and small ones, of both signs, in every combination."""
    n = torch.Size(shape).numel()
    kinds = torch.cartesian_prod(*[torch.tensor([0, 1])] * 4).repeat(n // 16 + 1, 1)[:n]  # n, 4
    kinds = kinds[torch.randperm(n, generator=rng)].to(dtype)
    jitter = 0.9 + 0.2 * torch.rand(2, n, generator=rng, dtype=dtype)
    weight = (
        a * (0.5 + 2.5 * kinds[:, 0]) * (2 * kinds[:, 1] - 1) * jitter[0]
    )  # half of the threshold, or three times
    gradient = b * (0.5 + 2.5 * kinds[:, 2]) * (2 * kinds[:, 3] - 1) * jitter[1]
    return weight.reshape(shape), gradient.reshape(shape)


@check("hybrid_mask", tolerance=exact, weight=2)
def both_must_be_large(lab, rng):
    """A weight stays where its magnitude and the magnitude of its gradient both reach their thresholds."""
    pairs = ((0.4, 0.05), (0.9, 0.02), (0.03, 0.5))
    return [lab.hybrid_mask(*all_kinds(rng, 7, 9, a=a, b=b), a, b) for a, b in pairs]


@check("hybrid_mask", tolerance=exact)
def exactly_at_a_threshold(lab, rng):
    """An entry exactly at a threshold reaches it, with either sign."""
    weight = torch.tensor([[0.5, -0.5, 0.5, -0.5]] * 4)
    gradient = torch.tensor([[0.25, 0.25, -0.25, -0.25]] * 4)
    weight[0], gradient[1] = 2.0, -1.0
    weight[2], gradient[3] = 0.25, 0.125
    return lab.hybrid_mask(weight, gradient, 0.5, 0.25)


@check("hybrid_mask", tolerance=exact)
def thresholds_zero_and_infinite(lab, rng):
    """A threshold of 0 keeps every entry, zeros too; one that nothing reaches keeps none."""
    weight, gradient = all_kinds(rng, 4, 8, a=0.5, b=0.5)
    weight[0], gradient[:, 0] = 0.0, 0.0
    pairs = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (float("inf"), 0.0), (0.0, float("inf")))
    return {f"a={a}, b={b}": lab.hybrid_mask(weight, gradient, a, b) for a, b in pairs}


@check("hybrid_mask", tolerance=exact)
def masks_of_any_shape(lab, rng):
    """The mask is boolean and has the weight's shape; weight and gradient are not changed."""
    weight, gradient = all_kinds(rng, 8, 2, 1, 2, a=0.5, b=0.1, dtype=torch.float32)
    weight, gradient = weight.transpose(0, 1), gradient.transpose(0, 1)
    flat, slope = all_kinds(rng, 16, a=0.5, b=0.1)
    parameter = torch.nn.Parameter(flat)
    return {
        "convolution, transposed": lab.hybrid_mask(weight, gradient, 0.5, 0.1),
        "a parameter": lab.hybrid_mask(parameter, slope, 0.5, 0.1),
        "inputs afterwards": [weight, gradient, parameter, slope],
    }


@check("hybrid_mask", tolerance=exact)
def hybrid_mask_refuses(lab, rng):
    """Two shapes that differ, a negative threshold or NaN raise ValueError; good input does not."""
    weight, gradient, nan = normal(rng, 3, 4), normal(rng, 3, 4), float("nan")
    cases = {
        "one row of gradients": (weight, gradient[0], 0.1, 0.1), "a below 0": (weight, gradient, -0.1, 0.1),
        "b below 0": (weight, gradient, 0.1, -0.1), "a is NaN": (weight, gradient, nan, 0.1),
        "b is NaN": (weight, gradient, 0.1, nan), "good": (weight, gradient, 0.1, 0.1),
    }  # fmt: skip
    return {name: error_of(lambda args=args: lab.hybrid_mask(*args)) for name, args in cases.items()}


# --- taylor_scores ---------------------------------------------------------------------------------------------


@check("taylor_scores", tolerance=ROUNDING, weight=2)
def weight_times_gradient(lab, rng):
    """The score is the magnitude of weight times gradient, entry by entry, whatever the two signs are."""
    return lab.taylor_scores(normal(rng, 5, 6), normal(rng, 5, 6))


@check("taylor_scores", tolerance=ROUNDING)
def a_weight_or_a_gradient_of_zero(lab, rng):
    """Where the weight or the gradient is zero, so is the score."""
    weight, gradient = normal(rng, 4, 4), normal(rng, 4, 4)
    weight[0], gradient[:, 0] = 0.0, 0.0
    return lab.taylor_scores(weight, gradient)


@check("taylor_scores", tolerance=COARSE)
def taylor_scores_of_any_shape(lab, rng):
    """The scores have the weight's shape and dtype and no graph; nothing is changed."""
    weight = normal(rng, 3, 2, 1, 2, dtype=torch.float32).transpose(0, 1)
    gradient = normal(rng, 2, 3, 1, 2, dtype=torch.float32)
    parameter = torch.nn.Parameter(normal(rng, 1))
    result = lab.taylor_scores(parameter, normal(rng, 1))
    return {
        "convolution, transposed": lab.taylor_scores(weight, gradient),
        "a parameter": {"scores": result, "history": result.requires_grad},
        "inputs afterwards": [weight, gradient, parameter],
    }


@check("taylor_scores", tolerance=exact)
def taylor_scores_refuses(lab, rng):
    """Two shapes that differ raise ValueError, also where PyTorch would broadcast; good input does not."""
    weight = normal(rng, 3, 4)
    return {
        "one row": error_of(lambda: lab.taylor_scores(weight, weight[0])),
        "transposed": error_of(lambda: lab.taylor_scores(weight, weight.t())),
        "good": error_of(lambda: lab.taylor_scores(weight, weight)),
    }


# --- hessian_diagonal ------------------------------------------------------------------------------------------


@check("hessian_diagonal", tolerance=ROUNDING, weight=2)
def second_derivatives_of_a_network(lab, rng):
    """Each entry is the second derivative of the loss by that weight alone."""
    network = Network(rng)
    return lab.hessian_diagonal(network.loss, network.weights)


@check("hessian_diagonal", tolerance=ROUNDING)
def weights_that_depend_on_each_other(lab, rng):
    """The coupling of two weights has no part in the diagonal; shapes and layouts may be any."""
    weights, loss = quadratic(rng)
    return {
        "a scalar": lab.hessian_diagonal(loss, weights),
        "shape [1]": lab.hessian_diagonal(lambda: loss().reshape(1), weights),
    }


@check("hessian_diagonal", tolerance=ROUNDING)
def negative_curvature(lab, rng):
    """Where the loss bends downwards the entry is negative, and it is returned so."""
    weights, loss = quadratic(rng, sign=-1.0)
    return lab.hessian_diagonal(loss, weights)


@check("hessian_diagonal", tolerance=COARSE)
def diagonal_in_float32(lab, rng):
    """The diagonal has the dtype of its weight."""
    network = Network(rng, dtype=torch.float32)
    return lab.hessian_diagonal(network.loss, network.weights)


@check("hessian_diagonal", tolerance=exact)
def the_network_stays_as_it_was(lab, rng):
    """Weights and stored gradients stay as they are, the loss is computed once, and the result carries no graph."""
    network = Network(rng)
    network.weights["b"].grad = torch.ones_like(network.weights["b"])
    result = lab.hessian_diagonal(network.loss, network.weights)
    return {"network": network.after(), "history": history(result), "calls": network.calls}


@check("hessian_diagonal", tolerance=exact)
def hessian_diagonal_refuses(lab, rng):
    """No weights, or a loss of several numbers, raise ValueError; good input does not."""
    network = Network(rng)
    return {
        "no weights": error_of(lambda: lab.hessian_diagonal(network.loss, {})),
        "a loss for each sample": error_of(lambda: lab.hessian_diagonal(network.losses, network.weights)),
        "good": error_of(lambda: lab.hessian_diagonal(network.loss, network.weights)),
    }


# --- hutchinson_diagonal ---------------------------------------------------------------------------------------


@check("hutchinson_diagonal", tolerance=ROUNDING)
def one_probe(lab, rng):
    """With one probe z the estimate is z times Hz, entry by entry, with the z that was given."""
    network = Network(rng)
    return lab.hutchinson_diagonal(network.loss, network.weights, network.probes(rng, 1))


@check("hutchinson_diagonal", tolerance=ROUNDING, weight=2)
def mean_over_the_probes(lab, rng):
    """With several probes the estimate is the mean over them."""
    network = Network(rng)
    return [
        lab.hutchinson_diagonal(network.loss, network.weights, network.probes(rng, count)) for count in (2, 7)
    ]


@check("hutchinson_diagonal", tolerance=ROUNDING)
def the_hessian_of_the_whole_network(lab, rng):
    """H belongs to all the weights together: one probe reaches over all the layers, of any shape."""
    weights, loss = quadratic(rng, sign=-1.0)
    probes = [{name: signs(rng, *weight.shape) for name, weight in weights.items()} for _ in range(3)]
    return {
        "a scalar": lab.hutchinson_diagonal(loss, weights, probes),
        "shape [1]": lab.hutchinson_diagonal(lambda: loss().reshape(1), weights, probes),
    }


@check("hutchinson_diagonal", tolerance=ROUNDING)
def every_sign_vector_once(lab, rng):
    """Over all the sign vectors of a small network the mean is the diagonal itself: the estimate has no bias."""
    weights = {"a": torch.nn.Parameter(normal(rng, 2)), "b": torch.nn.Parameter(normal(rng, 1, 2))}
    root = normal(rng, 4, 4)

    def loss():
        w = torch.cat([weights["a"], weights["b"].flatten()])
        return (root @ w).square().sum()

    grid = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 4)  # 16, 4
    probes = [{"a": z[:2], "b": z[2:].reshape(1, 2)} for z in grid]
    return lab.hutchinson_diagonal(loss, weights, probes)


@check("hutchinson_diagonal", tolerance=COARSE)
def nothing_is_changed_by_the_estimate(lab, rng):
    """Weights, stored gradients and probes stay as they are, the loss is computed once, and no graph is left."""
    network = Network(rng, dtype=torch.float32)
    network.bias.grad = torch.ones_like(network.bias)
    probes = network.probes(rng, 3)
    result = lab.hutchinson_diagonal(network.loss, network.weights, probes)
    return {
        "network": network.after(), "probes": probes, "history": history(result), "calls": network.calls,
        "dtypes": [str(tensor.dtype) for tensor in result.values()],
    }  # fmt: skip


@check("hutchinson_diagonal", tolerance=exact)
def hutchinson_diagonal_refuses(lab, rng):
    """No probe, a probe for other weights or of another shape, no weights, or a loss of several numbers raise
    ValueError; good input does not."""
    network = Network(rng)
    good = network.probes(rng, 2)
    other = [good[0], {"a": good[1]["a"], "c": good[1]["b"]}]
    row = [good[0], {"a": good[1]["a"][0], "b": good[1]["b"]}]
    run = lambda probes, loss=network.loss, weights=network.weights: error_of(
        lambda: lab.hutchinson_diagonal(loss, weights, probes)
    )
    return {
        "no probe": run([]),
        "another name": run(other),
        "another shape": run(row),
        "a weight without a probe": run([{"a": good[0]["a"]}]),
        "no weights": run([{}], weights={}),
        "a loss for each sample": run(good, loss=network.losses),
        "good": run(good),
    }


# --- empirical_fisher_diagonal ---------------------------------------------------------------------------------


@check("empirical_fisher_diagonal", tolerance=ROUNDING, weight=2)
def mean_square_over_the_samples(lab, rng):
    """The estimate is the mean over the samples of the squared derivative of each sample's own loss."""
    network = Network(rng)
    return lab.empirical_fisher_diagonal(list(network.sample_losses()), network.weights)


@check("empirical_fisher_diagonal", tolerance=ROUNDING)
def one_sample(lab, rng):
    """With one sample it is the square of its derivative."""
    network = Network(rng, samples=1)
    return lab.empirical_fisher_diagonal(list(network.sample_losses()), network.weights)


@check("empirical_fisher_diagonal", tolerance=ROUNDING)
def losses_from_a_generator(lab, rng):
    """The losses may come from a generator, which can be gone through only once."""
    network = Network(rng, samples=5)
    return lab.empirical_fisher_diagonal(network.sample_losses(), network.weights)


@check("empirical_fisher_diagonal", tolerance=COARSE)
def fisher_leaves_the_network_alone(lab, rng):
    """Weights and stored gradients stay as they are; the result has the dtype of the weights and no graph."""
    network = Network(rng, dtype=torch.float32)
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    result = lab.empirical_fisher_diagonal(list(network.sample_losses()), network.weights)
    return {"result": result, "network": network.after(), "history": history(result)}


@check("empirical_fisher_diagonal", tolerance=ROUNDING)
def fisher_of_any_shape(lab, rng):
    """Weights of any shape and layout, and losses of shape [1]."""
    weights, loss = quadratic(rng)
    losses = [(loss() * factor).reshape(1) for factor in (1.0, -2.0, 0.5)]
    return lab.empirical_fisher_diagonal(losses, weights)


@check("empirical_fisher_diagonal", tolerance=exact)
def empirical_fisher_diagonal_refuses(lab, rng):
    """No sample, no weights, or the losses of several samples in one tensor raise ValueError; good input does not."""
    network = Network(rng)
    return {
        "no sample": error_of(lambda: lab.empirical_fisher_diagonal([], network.weights)),
        "an empty generator": error_of(lambda: lab.empirical_fisher_diagonal(iter(()), network.weights)),
        "no weights": error_of(lambda: lab.empirical_fisher_diagonal(network.sample_losses(), {})),
        "several in one": error_of(
            lambda: lab.empirical_fisher_diagonal([network.losses()], network.weights)
        ),
        "good": error_of(lambda: lab.empirical_fisher_diagonal(network.sample_losses(), network.weights)),
    }


# --- obd_saliency ----------------------------------------------------------------------------------------------


@check("obd_saliency", tolerance=ROUNDING, weight=2)
def half_curvature_times_square(lab, rng):
    """The saliency is half the curvature times the square of the weight, entry by entry."""
    return lab.obd_saliency(normal(rng, 5, 6), normal(rng, 5, 6).abs())


@check("obd_saliency", tolerance=ROUNDING)
def saliency_of_negative_curvature(lab, rng):
    """A negative curvature gives a negative saliency; a curvature or a weight of zero gives zero."""
    weight, curvature = normal(rng, 4, 4), -normal(rng, 4, 4).abs()
    weight[0], curvature[:, 0] = 0.0, 0.0
    return lab.obd_saliency(weight, curvature)


@check("obd_saliency", tolerance=COARSE)
def saliencies_of_any_shape(lab, rng):
    """The saliencies have the weight's shape and dtype and no graph; nothing is changed."""
    weight = normal(rng, 3, 2, 1, 2, dtype=torch.float32).transpose(0, 1)
    curvature = normal(rng, 2, 3, 1, 2, dtype=torch.float32)
    parameter = torch.nn.Parameter(normal(rng, 1))
    result = lab.obd_saliency(parameter, normal(rng, 1))
    return {
        "convolution, transposed": lab.obd_saliency(weight, curvature),
        "a parameter": {"saliency": result, "history": result.requires_grad},
        "inputs afterwards": [weight, curvature, parameter],
    }


@check("obd_saliency", tolerance=exact)
def obd_saliency_refuses(lab, rng):
    """Two shapes that differ raise ValueError, also where PyTorch would broadcast; good input does not."""
    weight = normal(rng, 3, 4)
    return {
        "one row": error_of(lambda: lab.obd_saliency(weight, weight[0])),
        "transposed": error_of(lambda: lab.obd_saliency(weight, weight.t())),
        "good": error_of(lambda: lab.obd_saliency(weight, weight)),
    }


# --- obs_step --------------------------------------------------------------------------------------------------


def valley(rng, n, removed=(), dtype=torch.float64):
    """Weights, the inverse Hessian of those that are kept (zeros elsewhere), and which are kept.

    The smaller a weight, the steeper its direction: the cheapest weight is never the smallest one.
    """
    order = torch.randperm(n, generator=rng)
    sizes = torch.linspace(0.5, 1.5, n, dtype=torch.float64) + 0.02 * torch.rand(n, generator=rng)
    steepness = torch.logspace(1, -1, n, dtype=torch.float64)
    root = normal(rng, n, 2 * n)
    hessian = 6 * root @ root.t() / n + torch.diag(20 * steepness[order])  # no entry of the inverse near 1
    kept = torch.ones(n, dtype=torch.bool)
    kept[list(removed)] = False
    inverse = torch.zeros(n, n, dtype=torch.float64)
    inside = torch.outer(kept, kept)
    inverse[inside] = torch.linalg.inv(hessian[kept][:, kept]).flatten()
    weight = (sizes[order] * signs(rng, n)).masked_fill(~kept, 0)
    return weight.to(dtype), ((inverse + inverse.t()) / 2).to(dtype), kept


def four(result):
    """The four parts of a step by name, so that a message can say which one differs."""
    index, saliency, weight, inverse = result
    return {"index": index, "saliency": saliency, "weight": weight, "inverse": inverse}


@check("obs_step", tolerance=ROUNDING, weight=2)
def the_first_step(lab, rng):
    """The weight of smallest saliency goes, the others make up for it, and the inverse is that of the rest."""
    return four(lab.obs_step(*valley(rng, 8)))


@check("obs_step", tolerance=ROUNDING)
def weights_that_are_gone(lab, rng):
    """A removed weight is never chosen again and stays exactly zero."""
    weight, inverse, kept = valley(rng, 9, removed=(0, 3, 7))
    step = four(lab.obs_step(weight, inverse, kept))
    gone = ~kept
    return {
        **step,
        "zeros": step["weight"][gone] == 0,
        "its own entry": bool(step["weight"][step["index"]] == 0),
        "row and column": bool((step["inverse"][step["index"]] == 0).all())
        and bool((step["inverse"][:, step["index"]] == 0).all()),
    }


@check("obs_step", tolerance=ROUNDING)
def step_after_step(lab, rng):
    """Repeated until nothing is left, each step goes on from what the one before returned."""
    weight, inverse, kept = valley(rng, 6)
    steps = []
    for _ in range(6):
        index, saliency, weight, inverse = lab.obs_step(weight, inverse, kept)
        kept = kept.clone()
        kept[index] = False
        steps.append({"index": index, "saliency": saliency, "weight": weight})
    return steps


@check("obs_step", tolerance=ROUNDING)
def equal_saliencies(lab, rng):
    """Of equal saliencies the lowest index goes; a kept weight that is zero costs nothing."""
    equal = signs(rng, 5)
    with_zero = torch.tensor([1.0, 2.0, 0.0, 3.0], dtype=torch.float64)
    return {
        "equal": four(lab.obs_step(equal, torch.eye(5, dtype=torch.float64), torch.ones(5, dtype=torch.bool))),
        "a zero": four(lab.obs_step(with_zero, torch.eye(4, dtype=torch.float64), torch.ones(4, dtype=torch.bool))),
        "one weight": four(lab.obs_step(*valley(rng, 1))),
    }  # fmt: skip


@check("obs_step", tolerance=COARSE)
def the_arguments_stay(lab, rng):
    """None of the three arguments is changed; float32 stays float32; nothing carries a graph."""
    weight, inverse, kept = valley(rng, 5, removed=(1,), dtype=torch.float32)
    weight = torch.nn.Parameter(weight)
    _, saliency, new, new_inverse = lab.obs_step(weight, inverse, kept)
    return {
        "arguments": [weight, inverse, kept],
        "result": [saliency, new, new_inverse],
        "history": {"weight": new.requires_grad, "inverse": new_inverse.requires_grad},
    }


@check("obs_step", tolerance=exact)
def obs_step_refuses(lab, rng):
    """Nothing left, a diagonal of the inverse that is not above 0, NaN, or shapes that do not fit raise ValueError;
    good input does not."""
    weight, inverse, kept = valley(rng, 4, removed=(2,))
    saddle, undefined, flat = inverse.clone(), inverse.clone(), inverse.clone()
    saddle[1, 1], undefined[1, 1], flat[1, 1] = -0.5, float("nan"), 0.0
    cases = {
        "nothing left": (weight, inverse, torch.zeros(4, dtype=torch.bool)),
        "negative": (weight, saddle, kept), "NaN": (weight, undefined, kept), "zero": (weight, flat, kept),
        "too few weights": (weight[:3], inverse, kept), "a column": (weight.reshape(4, 1), inverse, kept),
        "too small a matrix": (weight, inverse[:3], kept), "a shorter mask": (weight, inverse, kept[:3]),
        "good": (weight, inverse, kept),
    }  # fmt: skip
    return {name: error_of(lambda args=args: lab.obs_step(*args)) for name, args in cases.items()}
