"""Lab 5's bank. An answer uses only what the notebook's first cell imports: torch and numpy as np."""

import numpy as np
import torch

from autograder.wrong_answers import right, wrong

# --- gradient_scores -------------------------------------------------------------------------------------------


@wrong("gradient_scores", "You kept the sign: a large negative gradient gets the lowest score.")
def scores_with_sign(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
    return dict(zip(weights, gradients))


@wrong("gradient_scores", "You squared the gradient: the magnitude is asked for.")
def scores_squared(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
    return {name: gradient.square() for name, gradient in zip(weights, gradients)}


@wrong("gradient_scores", "The gradient that was stored in .grad before is added to yours.")
def scores_accumulate(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    loss.backward()
    return {name: weight.grad.abs() for name, weight in weights.items()}


@wrong("gradient_scores", "Your backward pass writes into .grad: what stood there before is lost.")
def scores_overwrite_grad(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    for weight in weights.values():
        weight.grad = None
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    loss.backward()
    return {name: weight.grad.abs() for name, weight in weights.items()}


@wrong("gradient_scores", "You multiplied the gradient by the weight: that is the next criterion.")
def scores_times_weight(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
    return {name: (g * w.detach()).abs() for (name, w), g in zip(weights.items(), gradients)}


@wrong("gradient_scores", "You scored by the magnitude of the weight: the loss plays no part.")
def scores_by_magnitude(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    if compute_loss().numel() != 1:
        raise ValueError("loss")
    return {name: weight.detach().abs() for name, weight in weights.items()}


@wrong("gradient_scores", "You computed the loss once for each weight: every call may be another batch.")
def scores_call_again(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    scores = {}
    for name, weight in weights.items():
        loss = compute_loss()
        if loss.numel() != 1:
            raise ValueError("loss")
        scores[name] = torch.autograd.grad(loss.sum(), weight)[0].abs()
    return scores


@wrong("gradient_scores", "Your scores still hang on a graph: they were differentiated with create_graph.")
def scores_with_history(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()), create_graph=True)
    return {name: gradient.abs() for name, gradient in zip(weights, gradients)}


@wrong("gradient_scores", "Without weights, or with a loss of several numbers, you raise no ValueError.")
def scores_unchecked(compute_loss, weights):
    loss = compute_loss().sum()
    gradients = torch.autograd.grad(loss, list(weights.values())) if weights else []
    return {name: gradient.abs() for name, gradient in zip(weights, gradients)}


@right("gradient_scores")
def scores_by_backward(compute_loss, weights):
    if len(weights) == 0:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() > 1:
        raise ValueError("loss")
    leaves, queue, seen = [], [loss.grad_fn], set()
    while queue:  # every parameter that the loss depends on
        node = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        queue += [parent for parent, _ in node.next_functions]
    old = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    loss.backward()
    scores = {name: torch.abs(weight.grad) for name, weight in weights.items()}
    for leaf, grad in zip(leaves, old):
        leaf.grad = grad
    return scores


@right("gradient_scores")
def scores_one_by_one(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss().flatten()
    if len(loss) != 1:
        raise ValueError("loss")
    return {
        name: torch.autograd.grad(loss[0], weight, retain_graph=True)[0].detach().abs()
        for name, weight in weights.items()
    }


# --- hybrid_mask -----------------------------------------------------------------------------------------------


@wrong("hybrid_mask", "You joined the two conditions with “or”: one of them is enough to stay.")
def hybrid_or(weight, gradient, weight_threshold, gradient_threshold):
    if weight.shape != gradient.shape or not (weight_threshold >= 0 and gradient_threshold >= 0):
        raise ValueError("input")
    return (weight.abs() >= weight_threshold) | (gradient.abs() >= gradient_threshold)


@wrong("hybrid_mask", "An entry exactly at a threshold is removed: your comparison is strict.")
def hybrid_strict(weight, gradient, weight_threshold, gradient_threshold):
    if weight.shape != gradient.shape or not (weight_threshold >= 0 and gradient_threshold >= 0):
        raise ValueError("input")
    return (weight.abs() > weight_threshold) & (gradient.abs() > gradient_threshold)


@wrong("hybrid_mask", "You compared the gradient with its sign: all the negative gradients are small then.")
def hybrid_signed_gradient(weight, gradient, weight_threshold, gradient_threshold):
    if weight.shape != gradient.shape or not (weight_threshold >= 0 and gradient_threshold >= 0):
        raise ValueError("input")
    return (weight.abs() >= weight_threshold) & (gradient >= gradient_threshold)


@wrong("hybrid_mask", "You compared the weight with its sign: all the negative weights are small then.")
def hybrid_signed_weight(weight, gradient, weight_threshold, gradient_threshold):
    if weight.shape != gradient.shape or not (weight_threshold >= 0 and gradient_threshold >= 0):
        raise ValueError("input")
    return (weight >= weight_threshold) & (gradient.abs() >= gradient_threshold)


@wrong("hybrid_mask", "You exchanged the thresholds of the weight and of the gradient.")
def hybrid_swapped(weight, gradient, weight_threshold, gradient_threshold):
    if weight.shape != gradient.shape or not (weight_threshold >= 0 and gradient_threshold >= 0):
        raise ValueError("input")
    return (weight.abs() >= gradient_threshold) & (gradient.abs() >= weight_threshold)


@wrong("hybrid_mask", "Your mask is True on what goes: True means keep.")
def hybrid_inverted(weight, gradient, weight_threshold, gradient_threshold):
    if weight.shape != gradient.shape or not (weight_threshold >= 0 and gradient_threshold >= 0):
        raise ValueError("input")
    return ~((weight.abs() >= weight_threshold) & (gradient.abs() >= gradient_threshold))


@wrong("hybrid_mask", "You compared the product of the two with the product of the thresholds.")
def hybrid_product(weight, gradient, weight_threshold, gradient_threshold):
    if weight.shape != gradient.shape or not (weight_threshold >= 0 and gradient_threshold >= 0):
        raise ValueError("input")
    return (weight * gradient).abs() >= weight_threshold * gradient_threshold


@wrong("hybrid_mask", "The magnitude of the weight alone decides: the gradient plays no part.")
def hybrid_magnitude_only(weight, gradient, weight_threshold, gradient_threshold):
    if weight.shape != gradient.shape or not (weight_threshold >= 0 and gradient_threshold >= 0):
        raise ValueError("input")
    return weight.abs() >= weight_threshold


@wrong("hybrid_mask", "Shapes that differ, or a threshold below 0 or NaN, are accepted without a word.")
def hybrid_unchecked(weight, gradient, weight_threshold, gradient_threshold):
    return (weight.abs() >= weight_threshold) & (gradient.abs() >= gradient_threshold)


@wrong("hybrid_mask", "A threshold that is NaN passes your test: every comparison with NaN is False.")
def hybrid_lets_nan_pass(weight, gradient, weight_threshold, gradient_threshold):
    if weight.shape != gradient.shape or weight_threshold < 0 or gradient_threshold < 0:
        raise ValueError("input")
    return (weight.abs() >= weight_threshold) & (gradient.abs() >= gradient_threshold)


@right("hybrid_mask")
def hybrid_by_removal(weight, gradient, weight_threshold, gradient_threshold):
    if tuple(weight.shape) != tuple(gradient.shape):
        raise ValueError("shapes")
    for threshold in (weight_threshold, gradient_threshold):
        if np.isnan(threshold) or threshold < 0:
            raise ValueError("threshold")
    small = torch.logical_or(torch.abs(weight) < weight_threshold, torch.abs(gradient) < gradient_threshold)
    return torch.logical_not(small)


@right("hybrid_mask")
def hybrid_by_numpy(weight, gradient, weight_threshold, gradient_threshold):
    if weight.shape != gradient.shape or not min(weight_threshold, gradient_threshold) >= 0:
        raise ValueError("input")
    if np.isnan(weight_threshold) or np.isnan(gradient_threshold):
        raise ValueError("NaN")
    w, g = weight.detach().numpy(), gradient.detach().numpy()
    return torch.from_numpy((np.abs(w) >= weight_threshold) * (np.abs(g) >= gradient_threshold))


# --- taylor_scores ---------------------------------------------------------------------------------------------


@wrong("taylor_scores", "You kept the sign of the product: where it is negative the score ranks lowest.")
def taylor_signed(weight, gradient):
    if weight.shape != gradient.shape:
        raise ValueError("shapes")
    return weight.detach() * gradient.detach()


@wrong("taylor_scores", "You squared the product: the magnitude is asked for.")
def taylor_squared(weight, gradient):
    if weight.shape != gradient.shape:
        raise ValueError("shapes")
    return (weight.detach() * gradient.detach()).square()


@wrong(
    "taylor_scores", "You took the magnitude of one factor only: the sign of the other is left in the score."
)
def taylor_half_abs(weight, gradient):
    if weight.shape != gradient.shape:
        raise ValueError("shapes")
    return weight.detach() * gradient.detach().abs()


@wrong("taylor_scores", "You returned the gradient's magnitude: how far the weight moves plays no part.")
def taylor_gradient_only(weight, gradient):
    if weight.shape != gradient.shape:
        raise ValueError("shapes")
    return gradient.detach().abs() * torch.ones_like(weight.detach())


@wrong("taylor_scores", "You added the two magnitudes: the first-order change is their product.")
def taylor_sum(weight, gradient):
    if weight.shape != gradient.shape:
        raise ValueError("shapes")
    return weight.detach().abs() + gradient.detach().abs()


@wrong("taylor_scores", "You halved the product: the factor one half belongs to the second order.")
def taylor_halved(weight, gradient):
    if weight.shape != gradient.shape:
        raise ValueError("shapes")
    return 0.5 * (weight.detach() * gradient.detach()).abs()


@wrong("taylor_scores", "You added the products of the whole layer: every weight needs a score of its own.")
def taylor_summed(weight, gradient):
    if weight.shape != gradient.shape:
        raise ValueError("shapes")
    return (weight.detach() * gradient.detach()).sum().abs()


@wrong("taylor_scores", "Your scores still hang on the graph of the weight: they require a gradient.")
def taylor_with_history(weight, gradient):
    if weight.shape != gradient.shape:
        raise ValueError("shapes")
    return (weight * gradient).abs()


@wrong("taylor_scores", "You wrote the product into one of the arguments: it is changed now.")
def taylor_in_place(weight, gradient):
    if weight.shape != gradient.shape:
        raise ValueError("shapes")
    return gradient.mul_(weight.detach()).abs_()


@wrong(
    "taylor_scores",
    "Two shapes that differ raise no ValueError: PyTorch broadcasts, or raises another error.",
)
def taylor_unchecked(weight, gradient):
    return (weight.detach() * gradient.detach()).abs()


@right("taylor_scores")
def taylor_by_factors(weight, gradient):
    if tuple(weight.shape) != tuple(gradient.shape):
        raise ValueError("shapes")
    return weight.detach().abs() * gradient.detach().abs()


@right("taylor_scores")
def taylor_by_numpy(weight, gradient):
    if weight.shape != gradient.shape:
        raise ValueError("shapes")
    return torch.from_numpy(np.abs(weight.detach().numpy() * gradient.detach().numpy()))


@right("taylor_scores")
def taylor_by_root(weight, gradient):
    if weight.shape != gradient.shape:
        raise ValueError("shapes")
    with torch.no_grad():
        return torch.sqrt((weight * gradient) ** 2)


# --- hessian_diagonal ------------------------------------------------------------------------------------------


@wrong(
    "hessian_diagonal",
    "You differentiated the sum of the gradient's entries: that adds up a row of the Hessian.",
)
def diagonal_row_sums(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    parameters = list(weights.values())
    gradients = torch.autograd.grad(loss.sum(), parameters, create_graph=True)
    second = torch.autograd.grad(sum(gradient.sum() for gradient in gradients), parameters)
    return dict(zip(weights, second))


@wrong(
    "hessian_diagonal",
    "For each layer you differentiated the sum of its gradient: the other weights of the layer are added in.",
)
def diagonal_row_sums_in_a_layer(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()), create_graph=True)
    return {
        name: torch.autograd.grad(gradient.sum(), weight, retain_graph=True)[0]
        for (name, weight), gradient in zip(weights.items(), gradients)
    }


@wrong("hessian_diagonal", "You squared the first derivative: that is not the second derivative.")
def diagonal_squared_gradient(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
    return {name: gradient.square() for name, gradient in zip(weights, gradients)}


@wrong(
    "hessian_diagonal", "You halved the second derivative: the factor one half belongs to the Taylor formula."
)
def diagonal_halved(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()), create_graph=True)
    result = {}
    for (name, weight), gradient in zip(weights.items(), gradients):
        rows = [torch.autograd.grad(g, weight, retain_graph=True)[0].flatten() for g in gradient.flatten()]
        result[name] = torch.stack(rows).diagonal().reshape(weight.shape).clone() / 2
    return result


@wrong("hessian_diagonal", "You returned the magnitude: a negative curvature looks positive.")
def diagonal_magnitude(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()), create_graph=True)
    result = {}
    for (name, weight), gradient in zip(weights.items(), gradients):
        rows = [torch.autograd.grad(g, weight, retain_graph=True)[0].flatten() for g in gradient.flatten()]
        result[name] = torch.stack(rows).diagonal().reshape(weight.shape).abs()
    return result


@wrong("hessian_diagonal", "You cut negative curvatures off at zero.")
def diagonal_clamped(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()), create_graph=True)
    result = {}
    for (name, weight), gradient in zip(weights.items(), gradients):
        rows = [torch.autograd.grad(g, weight, retain_graph=True)[0].flatten() for g in gradient.flatten()]
        result[name] = torch.stack(rows).diagonal().reshape(weight.shape).clamp(min=0)
    return result


@wrong("hessian_diagonal", "You returned one column of the Hessian for each layer, not the diagonal.")
def diagonal_first_column(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()), create_graph=True)
    return {
        name: torch.autograd.grad(gradient.flatten()[0], weight, retain_graph=True)[0]
        for (name, weight), gradient in zip(weights.items(), gradients)
    }


@wrong("hessian_diagonal", "You left your first derivatives in .grad.")
def diagonal_leaves_grad(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()), create_graph=True)
    result = {}
    for (name, weight), gradient in zip(weights.items(), gradients):
        rows = [torch.autograd.grad(g, weight, retain_graph=True)[0].flatten() for g in gradient.flatten()]
        result[name] = torch.stack(rows).diagonal().reshape(weight.shape).clone()
        weight.grad = gradient.detach()
    return result


@wrong(
    "hessian_diagonal",
    "Your result still hangs on a graph: the second derivative was taken with create_graph too.",
)
def diagonal_with_history(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    gradients = torch.autograd.grad(loss.sum(), list(weights.values()), create_graph=True)
    result = {}
    for (name, weight), gradient in zip(weights.items(), gradients):
        entries = [
            torch.autograd.grad(g, weight, create_graph=True)[0].flatten()[i] + 0 * gradient.sum()
            for i, g in enumerate(gradient.flatten())
        ]
        result[name] = torch.stack(entries).reshape(weight.shape)
    return result


@wrong(
    "hessian_diagonal",
    "You did not test the input: no weights, or a loss of several numbers, raise no ValueError.",
)
def diagonal_unchecked(compute_loss, weights):
    gradients = (
        torch.autograd.grad(compute_loss().sum(), list(weights.values()), create_graph=True)
        if weights
        else []
    )
    result = {}
    for (name, weight), gradient in zip(weights.items(), gradients):
        rows = [torch.autograd.grad(g, weight, retain_graph=True)[0].flatten() for g in gradient.flatten()]
        result[name] = torch.stack(rows).diagonal().reshape(weight.shape).clone()
    return result


@right("hessian_diagonal")
def diagonal_by_whole_matrix(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    parameters = list(weights.values())
    first = torch.autograd.grad(loss.reshape(()), parameters, create_graph=True)
    vector = torch.cat([part.flatten() for part in first])
    rows = []
    for entry in vector:
        parts = torch.autograd.grad(entry, parameters, retain_graph=True)
        rows.append(torch.cat([part.flatten() for part in parts]))
    diagonal = torch.stack(rows).diagonal().split([weight.numel() for weight in parameters])
    return {name: part.reshape(w.shape).clone() for (name, w), part in zip(weights.items(), diagonal)}


@right("hessian_diagonal")
def diagonal_by_unit_vectors(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    first = torch.autograd.grad(loss.sum(), list(weights.values()), create_graph=True)
    result = {}
    for (name, weight), gradient in zip(weights.items(), first):
        diagonal = torch.zeros_like(weight).detach()
        for position in np.ndindex(*weight.shape):
            unit = torch.zeros_like(gradient)
            unit[position] = 1
            (product,) = torch.autograd.grad(gradient, weight, grad_outputs=unit, retain_graph=True)
            diagonal[position] = product[position]
        result[name] = diagonal
    return result


@right("hessian_diagonal")
def diagonal_in_one_batch(compute_loss, weights):
    if not weights:
        raise ValueError("weights")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    first = torch.autograd.grad(loss.sum(), list(weights.values()), create_graph=True)
    result = {}
    for (name, weight), gradient in zip(weights.items(), first):
        units = torch.eye(weight.numel(), dtype=weight.dtype).reshape(-1, *weight.shape)
        (rows,) = torch.autograd.grad(
            gradient, weight, grad_outputs=units, is_grads_batched=True, retain_graph=True
        )
        result[name] = rows.flatten(1).diagonal().reshape(weight.shape).detach().clone()
    return result


# --- hutchinson_diagonal ---------------------------------------------------------------------------------------


@wrong("hutchinson_diagonal", "You drew probes of your own: the ones that were given play no part.")
def hutchinson_own_probes(compute_loss, weights, probes):
    if not weights or not probes:
        raise ValueError("empty")
    for probe in probes:
        if probe.keys() != weights.keys() or any(probe[n].shape != w.shape for n, w in weights.items()):
            raise ValueError("probe")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    parameters = list(weights.values())
    first = torch.autograd.grad(loss.sum(), parameters, create_graph=True)
    total = [torch.zeros_like(w).detach() for w in parameters]
    for _ in probes:
        z = [2.0 * torch.randint_like(w, 2).detach() - 1 for w in parameters]
        product = torch.autograd.grad(first, parameters, grad_outputs=z, retain_graph=True)
        total = [t + a * b for t, a, b in zip(total, z, product)]
    return {name: t / len(probes) for name, t in zip(weights, total)}


@wrong("hutchinson_diagonal", "You returned the mean of Hz: the second factor z is missing.")
def hutchinson_without_z(compute_loss, weights, probes):
    if not weights or not probes:
        raise ValueError("empty")
    for probe in probes:
        if probe.keys() != weights.keys() or any(probe[n].shape != w.shape for n, w in weights.items()):
            raise ValueError("probe")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    parameters = list(weights.values())
    first = torch.autograd.grad(loss.sum(), parameters, create_graph=True)
    total = [torch.zeros_like(w).detach() for w in parameters]
    for probe in probes:
        z = [probe[name] for name in weights]
        product = torch.autograd.grad(first, parameters, grad_outputs=z, retain_graph=True)
        total = [t + b for t, b in zip(total, product)]
    return {name: t / len(probes) for name, t in zip(weights, total)}


@wrong("hutchinson_diagonal", "You added the probes up and did not divide by their number.")
def hutchinson_sum(compute_loss, weights, probes):
    if not weights or not probes:
        raise ValueError("empty")
    for probe in probes:
        if probe.keys() != weights.keys() or any(probe[n].shape != w.shape for n, w in weights.items()):
            raise ValueError("probe")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    parameters = list(weights.values())
    first = torch.autograd.grad(loss.sum(), parameters, create_graph=True)
    total = [torch.zeros_like(w).detach() for w in parameters]
    for probe in probes:
        z = [probe[name] for name in weights]
        product = torch.autograd.grad(first, parameters, grad_outputs=z, retain_graph=True)
        total = [t + a * b for t, a, b in zip(total, z, product)]
    return dict(zip(weights, total))


@wrong("hutchinson_diagonal", "You used one probe only: the estimate does not get better with more of them.")
def hutchinson_last_probe(compute_loss, weights, probes):
    if not weights or not probes:
        raise ValueError("empty")
    for probe in probes:
        if probe.keys() != weights.keys() or any(probe[n].shape != w.shape for n, w in weights.items()):
            raise ValueError("probe")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    parameters = list(weights.values())
    first = torch.autograd.grad(loss.sum(), parameters, create_graph=True)
    for probe in probes:
        z = [probe[name] for name in weights]
        product = torch.autograd.grad(first, parameters, grad_outputs=z, retain_graph=True)
        estimate = {name: a * b for name, a, b in zip(weights, z, product)}
    return estimate


@wrong(
    "hutchinson_diagonal",
    "You took each layer for itself: the part of Hz that comes from the other layers is missing.",
)
def hutchinson_layer_by_layer(compute_loss, weights, probes):
    if not weights or not probes:
        raise ValueError("empty")
    for probe in probes:
        if probe.keys() != weights.keys() or any(probe[n].shape != w.shape for n, w in weights.items()):
            raise ValueError("probe")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    first = torch.autograd.grad(loss.sum(), list(weights.values()), create_graph=True)
    result = {}
    for (name, weight), gradient in zip(weights.items(), first):
        result[name] = sum(
            probe[name]
            * torch.autograd.grad(gradient, weight, grad_outputs=probe[name], retain_graph=True)[0]
            for probe in probes
        ) / len(probes)
    return result


@wrong(
    "hutchinson_diagonal", "You added the entries of z * Hz up: that estimates the trace, one number for all."
)
def hutchinson_trace(compute_loss, weights, probes):
    if not weights or not probes:
        raise ValueError("empty")
    for probe in probes:
        if probe.keys() != weights.keys() or any(probe[n].shape != w.shape for n, w in weights.items()):
            raise ValueError("probe")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    parameters = list(weights.values())
    first = torch.autograd.grad(loss.sum(), parameters, create_graph=True)
    trace = 0.0
    for probe in probes:
        z = [probe[name] for name in weights]
        product = torch.autograd.grad(first, parameters, grad_outputs=z, retain_graph=True)
        trace = trace + sum((a * b).sum() for a, b in zip(z, product)) / len(probes)
    return {name: trace * torch.ones_like(w).detach() for name, w in weights.items()}


@wrong("hutchinson_diagonal", "You took the magnitude of each z * Hz: the noise no longer cancels.")
def hutchinson_magnitude(compute_loss, weights, probes):
    if not weights or not probes:
        raise ValueError("empty")
    for probe in probes:
        if probe.keys() != weights.keys() or any(probe[n].shape != w.shape for n, w in weights.items()):
            raise ValueError("probe")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    parameters = list(weights.values())
    first = torch.autograd.grad(loss.sum(), parameters, create_graph=True)
    total = [torch.zeros_like(w).detach() for w in parameters]
    for probe in probes:
        z = [probe[name] for name in weights]
        product = torch.autograd.grad(first, parameters, grad_outputs=z, retain_graph=True)
        total = [t + (a * b).abs() for t, a, b in zip(total, z, product)]
    return {name: t / len(probes) for name, t in zip(weights, total)}


@wrong("hutchinson_diagonal", "You multiplied z by the gradient: no second derivative was taken.")
def hutchinson_first_order(compute_loss, weights, probes):
    if not weights or not probes:
        raise ValueError("empty")
    for probe in probes:
        if probe.keys() != weights.keys() or any(probe[n].shape != w.shape for n, w in weights.items()):
            raise ValueError("probe")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    first = torch.autograd.grad(loss.sum(), list(weights.values()))
    return {
        name: sum(probe[name] * gradient for probe in probes) / len(probes)
        for name, gradient in zip(weights, first)
    }


@wrong("hutchinson_diagonal", "You computed the loss anew for each probe: every call may be another batch.")
def hutchinson_calls_again(compute_loss, weights, probes):
    if not weights or not probes:
        raise ValueError("empty")
    for probe in probes:
        if probe.keys() != weights.keys() or any(probe[n].shape != w.shape for n, w in weights.items()):
            raise ValueError("probe")
    parameters = list(weights.values())
    total = [torch.zeros_like(w).detach() for w in parameters]
    for probe in probes:
        loss = compute_loss()
        if loss.numel() != 1:
            raise ValueError("loss")
        first = torch.autograd.grad(loss.sum(), parameters, create_graph=True)
        z = [probe[name] for name in weights]
        product = torch.autograd.grad(first, parameters, grad_outputs=z)
        total = [t + a * b for t, a, b in zip(total, z, product)]
    return {name: t / len(probes) for name, t in zip(weights, total)}


@wrong("hutchinson_diagonal", "You wrote the products into the probes that were given.")
def hutchinson_in_place(compute_loss, weights, probes):
    if not weights or not probes:
        raise ValueError("empty")
    for probe in probes:
        if probe.keys() != weights.keys() or any(probe[n].shape != w.shape for n, w in weights.items()):
            raise ValueError("probe")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    parameters = list(weights.values())
    first = torch.autograd.grad(loss.sum(), parameters, create_graph=True)
    total = [torch.zeros_like(w).detach() for w in parameters]
    for probe in probes:
        z = [probe[name] for name in weights]
        product = torch.autograd.grad(first, parameters, grad_outputs=z, retain_graph=True)
        total = [t + a.mul_(b) for t, a, b in zip(total, z, product)]
    return {name: t / len(probes) for name, t in zip(weights, total)}


@wrong(
    "hutchinson_diagonal", "A probe for other weights, none at all, or a loss of several numbers is accepted."
)
def hutchinson_unchecked(compute_loss, weights, probes):
    if not weights or not probes:
        return {}
    parameters = list(weights.values())
    first = torch.autograd.grad(compute_loss().sum(), parameters, create_graph=True)
    total = [torch.zeros_like(w).detach() for w in parameters]
    for probe in probes:
        z = [torch.zeros_like(w).detach() + probe.get(name, 1.0) for name, w in weights.items()]
        product = torch.autograd.grad(first, parameters, grad_outputs=z, retain_graph=True)
        total = [t + a * b for t, a, b in zip(total, z, product)]
    return {name: t / len(probes) for name, t in zip(weights, total)}


@right("hutchinson_diagonal")
def hutchinson_by_inner_product(compute_loss, weights, probes):
    if len(weights) == 0 or len(probes) == 0:
        raise ValueError("empty")
    for probe in probes:
        if set(probe) != set(weights):
            raise ValueError("names")
        for name in weights:
            if tuple(probe[name].shape) != tuple(weights[name].shape):
                raise ValueError("shape")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    parameters = list(weights.values())
    first = torch.autograd.grad(loss.reshape(()), parameters, create_graph=True)
    estimates = []
    for probe in probes:
        inner = sum((g * probe[name]).sum() for name, g in zip(weights, first))
        product = torch.autograd.grad(inner, parameters, retain_graph=True)
        estimates.append([probe[name] * part for name, part in zip(weights, product)])
    return {name: torch.stack(parts).mean(dim=0).detach() for name, parts in zip(weights, zip(*estimates))}


@right("hutchinson_diagonal")
def hutchinson_divides_by_z(compute_loss, weights, probes):
    if not weights or not probes:
        raise ValueError("empty")
    for probe in probes:
        if probe.keys() != weights.keys() or any(probe[n].shape != w.shape for n, w in weights.items()):
            raise ValueError("probe")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    parameters = list(weights.values())
    first = torch.autograd.grad(loss.sum(), parameters, create_graph=True)
    total = {name: 0.0 for name in weights}
    for probe in probes:
        z = [probe[name] for name in weights]
        product = torch.autograd.grad(first, parameters, grad_outputs=z, retain_graph=True)
        for name, part in zip(weights, product):
            total[name] = total[name] + part / probe[name] / len(probes)
    return total


@right("hutchinson_diagonal")
def hutchinson_in_one_batch(compute_loss, weights, probes):
    if not weights or not probes:
        raise ValueError("empty")
    if any(probe.keys() != weights.keys() for probe in probes):
        raise ValueError("names")
    if any(probe[name].shape != weights[name].shape for probe in probes for name in weights):
        raise ValueError("shape")
    loss = compute_loss()
    if loss.numel() != 1:
        raise ValueError("loss")
    parameters = list(weights.values())
    first = torch.autograd.grad(loss.sum(), parameters, create_graph=True)
    z = [torch.stack([probe[name] for probe in probes]) for name in weights]
    products = torch.autograd.grad(first, parameters, grad_outputs=z, is_grads_batched=True)
    return {name: (a * b).mean(0).detach() for name, a, b in zip(weights, z, products)}


# --- empirical_fisher_diagonal ---------------------------------------------------------------------------------


@wrong(
    "empirical_fisher_diagonal",
    "You squared the mean gradient: at a minimum that is zero. Each sample's is squared.",
)
def fisher_of_the_mean(sample_losses, weights):
    if not weights:
        raise ValueError("weights")
    total, count = [0.0] * len(weights), 0
    for loss in sample_losses:
        if loss.numel() != 1:
            raise ValueError("loss")
        total = [t + g for t, g in zip(total, torch.autograd.grad(loss.sum(), list(weights.values())))]
        count += 1
    if count == 0:
        raise ValueError("samples")
    return {name: (t / count).square() for name, t in zip(weights, total)}


@wrong("empirical_fisher_diagonal", "You added the samples up and did not divide by their number.")
def fisher_sum(sample_losses, weights):
    if not weights:
        raise ValueError("weights")
    total, count = [0.0] * len(weights), 0
    for loss in sample_losses:
        if loss.numel() != 1:
            raise ValueError("loss")
        gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
        total = [t + g.square() for t, g in zip(total, gradients)]
        count += 1
    if count == 0:
        raise ValueError("samples")
    return dict(zip(weights, total))


@wrong("empirical_fisher_diagonal", "You took the mean of the magnitudes: the square is missing.")
def fisher_magnitudes(sample_losses, weights):
    if not weights:
        raise ValueError("weights")
    total, count = [0.0] * len(weights), 0
    for loss in sample_losses:
        if loss.numel() != 1:
            raise ValueError("loss")
        gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
        total = [t + g.abs() for t, g in zip(total, gradients)]
        count += 1
    if count == 0:
        raise ValueError("samples")
    return {name: t / count for name, t in zip(weights, total)}


@wrong(
    "empirical_fisher_diagonal",
    "The gradients of the samples before are still in .grad: yours are added to them.",
)
def fisher_accumulates(sample_losses, weights):
    if not weights:
        raise ValueError("weights")
    total, count = [0.0] * len(weights), 0
    for loss in sample_losses:
        if loss.numel() != 1:
            raise ValueError("loss")
        loss.backward()
        total = [t + w.grad.square() for t, w in zip(total, weights.values())]
        count += 1
    if count == 0:
        raise ValueError("samples")
    return {name: t / count for name, t in zip(weights, total)}


@wrong("empirical_fisher_diagonal", "Your backward passes write into .grad and leave their gradients there.")
def fisher_leaves_grad(sample_losses, weights):
    if not weights:
        raise ValueError("weights")
    total, count = [0.0] * len(weights), 0
    for loss in sample_losses:
        if loss.numel() != 1:
            raise ValueError("loss")
        for weight in weights.values():
            weight.grad = None
        loss.backward()
        total = [t + w.grad.square() for t, w in zip(total, weights.values())]
        count += 1
    if count == 0:
        raise ValueError("samples")
    return {name: t / count for name, t in zip(weights, total)}


@wrong(
    "empirical_fisher_diagonal",
    "You subtracted the square of the mean: that is the variance of the gradients.",
)
def fisher_variance(sample_losses, weights):
    if not weights:
        raise ValueError("weights")
    total, mean, count = [0.0] * len(weights), [0.0] * len(weights), 0
    for loss in sample_losses:
        if loss.numel() != 1:
            raise ValueError("loss")
        gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
        total = [t + g.square() for t, g in zip(total, gradients)]
        mean = [m + g for m, g in zip(mean, gradients)]
        count += 1
    if count == 0:
        raise ValueError("samples")
    return {name: t / count - (m / count).square() for name, t, m in zip(weights, total, mean)}


@wrong(
    "empirical_fisher_diagonal",
    "You went through the samples twice: a generator has nothing left the second time.",
)
def fisher_two_passes(sample_losses, weights):
    if not weights:
        raise ValueError("weights")
    total = [0.0] * len(weights)
    for loss in sample_losses:
        if loss.numel() != 1:
            raise ValueError("loss")
        gradients = torch.autograd.grad(loss.sum(), list(weights.values()), retain_graph=True)
        total = [t + g.square() for t, g in zip(total, gradients)]
    if isinstance(total[0], float):
        raise ValueError("samples")
    count = sum(1 for _ in sample_losses)
    return {name: t / count for name, t in zip(weights, total)}


@wrong("empirical_fisher_diagonal", "You divided by one sample less: the mean over all of them is asked for.")
def fisher_bessel(sample_losses, weights):
    if not weights:
        raise ValueError("weights")
    total, count = [0.0] * len(weights), 0
    for loss in sample_losses:
        if loss.numel() != 1:
            raise ValueError("loss")
        gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
        total = [t + g.square() for t, g in zip(total, gradients)]
        count += 1
    if count == 0:
        raise ValueError("samples")
    return {name: t / (count - 1) for name, t in zip(weights, total)}


@wrong(
    "empirical_fisher_diagonal", "No sample, no weights, or several losses in one tensor raise no ValueError."
)
def fisher_unchecked(sample_losses, weights):
    total, count = [torch.zeros_like(w).detach() for w in weights.values()], 0
    for loss in sample_losses:
        if weights:
            gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
            total = [t + g.square() for t, g in zip(total, gradients)]
        count += 1
    return {name: t / max(count, 1) for name, t in zip(weights, total)}


@right("empirical_fisher_diagonal")
def fisher_by_stacking(sample_losses, weights):
    losses = list(sample_losses)
    if not losses or not weights:
        raise ValueError("empty")
    if any(loss.numel() != 1 for loss in losses):
        raise ValueError("loss")
    parameters = list(weights.values())
    gradients = [torch.autograd.grad(loss.sum(), parameters, retain_graph=True) for loss in losses]
    return {name: (torch.stack(parts) ** 2).mean(dim=0) for name, parts in zip(weights, zip(*gradients))}


@right("empirical_fisher_diagonal")
def fisher_by_numpy(sample_losses, weights):
    if not weights:
        raise ValueError("weights")
    squares = []
    for loss in sample_losses:
        if loss.numel() != 1:
            raise ValueError("loss")
        gradients = torch.autograd.grad(loss.reshape(()), list(weights.values()))
        squares.append([np.square(gradient.numpy()) for gradient in gradients])
    if not squares:
        raise ValueError("samples")
    return {
        name: torch.from_numpy(np.asarray(np.mean(parts, axis=0))).to(weight.dtype)
        for (name, weight), parts in zip(weights.items(), zip(*squares))
    }


@right("empirical_fisher_diagonal")
def fisher_running_mean(sample_losses, weights):
    if not weights:
        raise ValueError("weights")
    mean = None
    for n, loss in enumerate(sample_losses, start=1):
        if loss.numel() != 1:
            raise ValueError("loss")
        squares = [g * g for g in torch.autograd.grad(loss.sum(), list(weights.values()))]
        mean = squares if mean is None else [m + (s - m) / n for m, s in zip(mean, squares)]
    if mean is None:
        raise ValueError("samples")
    return dict(zip(weights, mean))


# --- obd_saliency ----------------------------------------------------------------------------------------------


@wrong("obd_saliency", "The weight is not squared: the sign of the weight is left in the saliency.")
def obd_without_square(weight, curvature):
    if weight.shape != curvature.shape:
        raise ValueError("shapes")
    return 0.5 * curvature.detach() * weight.detach()


@wrong("obd_saliency", "The magnitude of the weight stands where its square belongs.")
def obd_magnitude(weight, curvature):
    if weight.shape != curvature.shape:
        raise ValueError("shapes")
    return 0.5 * curvature.detach() * weight.detach().abs()


@wrong("obd_saliency", "The factor one half is missing.")
def obd_without_half(weight, curvature):
    if weight.shape != curvature.shape:
        raise ValueError("shapes")
    return curvature.detach() * weight.detach().square()


@wrong("obd_saliency", "The sign is turned round: where the loss bends upwards a removal costs something.")
def obd_negative(weight, curvature):
    if weight.shape != curvature.shape:
        raise ValueError("shapes")
    return -0.5 * curvature.detach() * weight.detach().square()


@wrong("obd_saliency", "You took the magnitude of the curvature: a negative one gives a positive saliency.")
def obd_absolute(weight, curvature):
    if weight.shape != curvature.shape:
        raise ValueError("shapes")
    return 0.5 * curvature.detach().abs() * weight.detach().square()


@wrong("obd_saliency", "You cut negative saliencies off at zero.")
def obd_clamped(weight, curvature):
    if weight.shape != curvature.shape:
        raise ValueError("shapes")
    return (0.5 * curvature.detach() * weight.detach().square()).clamp(min=0)


@wrong("obd_saliency", "You squared the product: the curvature is squared too.")
def obd_squares_all(weight, curvature):
    if weight.shape != curvature.shape:
        raise ValueError("shapes")
    return 0.5 * (curvature.detach() * weight.detach()).square()


@wrong("obd_saliency", "You divided by the curvature: that is the form for an inverse Hessian.")
def obd_divides(weight, curvature):
    if weight.shape != curvature.shape:
        raise ValueError("shapes")
    return weight.detach().square() / (2 * curvature.detach())


@wrong("obd_saliency", "Your saliencies still hang on the graph of the weight: they require a gradient.")
def obd_with_history(weight, curvature):
    if weight.shape != curvature.shape:
        raise ValueError("shapes")
    return 0.5 * curvature * weight.square()


@wrong(
    "obd_saliency", "Two shapes that differ raise no ValueError: they are broadcast, or another error comes."
)
def obd_unchecked(weight, curvature):
    return 0.5 * curvature.detach() * weight.detach().square()


@right("obd_saliency")
def obd_by_halves(weight, curvature):
    if tuple(weight.shape) != tuple(curvature.shape):
        raise ValueError("shapes")
    with torch.no_grad():
        return curvature * weight * weight / 2


@right("obd_saliency")
def obd_by_numpy(weight, curvature):
    if weight.shape != curvature.shape:
        raise ValueError("shapes")
    return torch.from_numpy(curvature.detach().numpy() * weight.detach().numpy() ** 2 / 2)


# --- obs_step --------------------------------------------------------------------------------------------------


@wrong("obs_step", "You chose the smallest weight: what the others can make up for plays no part.")
def obs_smallest_weight(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    w, inverse = weight.detach(), inverse_hessian.detach()
    d = inverse.diagonal()
    if not (d[kept] > 0).all():
        raise ValueError("damping")
    q = int(torch.where(kept, w.abs(), torch.inf).argmin())
    new = w - w[q] / d[q] * inverse[:, q]
    rest = inverse - torch.outer(inverse[:, q], inverse[q]) / d[q]
    new[q], new[~kept], rest[q], rest[:, q] = 0, 0, 0, 0
    return q, (w[q] ** 2 / (2 * d[q])).item(), new, rest


@wrong("obs_step", "You multiplied by the diagonal of the inverse where it divides.")
def obs_multiplies(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    w, inverse = weight.detach(), inverse_hessian.detach()
    d = inverse.diagonal()
    if not (d[kept] > 0).all():
        raise ValueError("damping")
    saliency = w.square() * d / 2
    q = int(torch.where(kept, saliency, torch.inf).argmin())
    new = w - w[q] / d[q] * inverse[:, q]
    rest = inverse - torch.outer(inverse[:, q], inverse[q]) / d[q]
    new[q], new[~kept], rest[q], rest[:, q] = 0, 0, 0, 0
    return q, saliency[q].item(), new, rest


@wrong("obs_step", "The factor one half of the saliency is missing.")
def obs_without_half(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    w, inverse = weight.detach(), inverse_hessian.detach()
    d = inverse.diagonal()
    if not (d[kept] > 0).all():
        raise ValueError("damping")
    saliency = torch.where(kept, w.square() / d, torch.inf)
    q = int(saliency.argmin())
    new = w - w[q] / d[q] * inverse[:, q]
    rest = inverse - torch.outer(inverse[:, q], inverse[q]) / d[q]
    new[q], new[~kept], rest[q], rest[:, q] = 0, 0, 0, 0
    return q, saliency[q].item(), new, rest


@wrong("obs_step", "You set the weight to zero and left the others where they were: nothing makes up for it.")
def obs_without_compensation(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    w, inverse = weight.detach(), inverse_hessian.detach()
    d = inverse.diagonal()
    if not (d[kept] > 0).all():
        raise ValueError("damping")
    saliency = torch.where(kept, w.square() / (2 * d), torch.inf)
    q = int(saliency.argmin())
    new = w.clone()
    rest = inverse - torch.outer(inverse[:, q], inverse[q]) / d[q]
    new[q], new[~kept], rest[q], rest[:, q] = 0, 0, 0, 0
    return q, saliency[q].item(), new, rest


@wrong("obs_step", "The other weights move in the wrong direction: the sign of the change is turned round.")
def obs_wrong_sign(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    w, inverse = weight.detach(), inverse_hessian.detach()
    d = inverse.diagonal()
    if not (d[kept] > 0).all():
        raise ValueError("damping")
    saliency = torch.where(kept, w.square() / (2 * d), torch.inf)
    q = int(saliency.argmin())
    new = w + w[q] / d[q] * inverse[:, q]
    rest = inverse - torch.outer(inverse[:, q], inverse[q]) / d[q]
    new[q], new[~kept], rest[q], rest[:, q] = 0, 0, 0, 0
    return q, saliency[q].item(), new, rest


@wrong("obs_step", "You did not divide the change of the weights by the diagonal entry of the inverse.")
def obs_change_not_divided(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    w, inverse = weight.detach(), inverse_hessian.detach()
    d = inverse.diagonal()
    if not (d[kept] > 0).all():
        raise ValueError("damping")
    saliency = torch.where(kept, w.square() / (2 * d), torch.inf)
    q = int(saliency.argmin())
    new = w - w[q] * inverse[:, q]
    rest = inverse - torch.outer(inverse[:, q], inverse[q]) / d[q]
    new[q], new[~kept], rest[q], rest[:, q] = 0, 0, 0, 0
    return q, saliency[q].item(), new, rest


@wrong(
    "obs_step", "You returned the inverse as it was: the removed weight still takes part in the next step."
)
def obs_old_inverse(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    w, inverse = weight.detach(), inverse_hessian.detach()
    d = inverse.diagonal()
    if not (d[kept] > 0).all():
        raise ValueError("damping")
    saliency = torch.where(kept, w.square() / (2 * d), torch.inf)
    q = int(saliency.argmin())
    new = w - w[q] / d[q] * inverse[:, q]
    new[q], new[~kept] = 0, 0
    return q, saliency[q].item(), new, inverse.clone()


@wrong(
    "obs_step",
    "You struck row and column q out of the inverse: a part of the inverse is not the inverse of the part.",
)
def obs_strikes_out(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    w, inverse = weight.detach(), inverse_hessian.detach()
    d = inverse.diagonal()
    if not (d[kept] > 0).all():
        raise ValueError("damping")
    saliency = torch.where(kept, w.square() / (2 * d), torch.inf)
    q = int(saliency.argmin())
    new = w - w[q] / d[q] * inverse[:, q]
    rest = inverse.clone()
    new[q], new[~kept], rest[q], rest[:, q] = 0, 0, 0, 0
    return q, saliency[q].item(), new, rest


@wrong("obs_step", "You choose among all the weights: those that are gone are zero and look cheapest.")
def obs_chooses_the_gone(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    w, inverse = weight.detach(), inverse_hessian.detach()
    d = inverse.diagonal()
    if not (d[kept] > 0).all():
        raise ValueError("damping")
    saliency = w.square() / (2 * d).clamp(min=1e-12)
    q = int(saliency.argmin())
    divisor = d[q].clamp(min=1e-12)
    new = w - w[q] / divisor * inverse[:, q]
    rest = inverse - torch.outer(inverse[:, q], inverse[q]) / divisor
    new[q], new[~kept], rest[q], rest[:, q] = 0, 0, 0, 0
    return q, saliency[q].item(), new, rest


@wrong("obs_step", "You removed the weight with the largest saliency: it costs most.")
def obs_largest(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    w, inverse = weight.detach(), inverse_hessian.detach()
    d = inverse.diagonal()
    if not (d[kept] > 0).all():
        raise ValueError("damping")
    saliency = torch.where(kept, w.square() / (2 * d), -torch.inf)
    q = int(saliency.argmax())
    new = w - w[q] / d[q] * inverse[:, q]
    rest = inverse - torch.outer(inverse[:, q], inverse[q]) / d[q]
    new[q], new[~kept], rest[q], rest[:, q] = 0, 0, 0, 0
    return q, saliency[q].item(), new, rest


@wrong("obs_step", "You changed your arguments in place: the caller's weights and inverse are overwritten.")
def obs_in_place(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    w, inverse = weight.detach(), inverse_hessian.detach()
    d = inverse.diagonal().clone()
    if not (d[kept] > 0).all():
        raise ValueError("damping")
    saliency = torch.where(kept, w.square() / (2 * d), torch.inf)
    q = int(saliency.argmin())
    w -= w[q] / d[q] * inverse[:, q]
    inverse -= torch.outer(inverse[:, q], inverse[q]) / d[q]
    w[q], w[~kept], inverse[q], inverse[:, q] = 0, 0, 0, 0
    return q, saliency[q].item(), w, inverse


@wrong("obs_step", "Of equal saliencies you removed the last one: the lowest index comes first.")
def obs_last_of_equals(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    w, inverse = weight.detach(), inverse_hessian.detach()
    d = inverse.diagonal()
    if not (d[kept] > 0).all():
        raise ValueError("damping")
    saliency = torch.where(kept, w.square() / (2 * d), torch.inf)
    q = n - 1 - int(saliency.flip(0).argmin())
    new = w - w[q] / d[q] * inverse[:, q]
    rest = inverse - torch.outer(inverse[:, q], inverse[q]) / d[q]
    new[q], new[~kept], rest[q], rest[:, q] = 0, 0, 0, 0
    return q, saliency[q].item(), new, rest


@wrong("obs_step", "Your new tensors still hang on the graph of the weight: they require a gradient.")
def obs_with_history(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    d = inverse_hessian.diagonal()
    if not (d[kept] > 0).all():
        raise ValueError("damping")
    saliency = torch.where(kept, weight.square() / (2 * d), torch.inf)
    q = int(saliency.argmin())
    new = weight - weight[q] / d[q] * inverse_hessian[:, q]
    rest = inverse_hessian - torch.outer(inverse_hessian[:, q], inverse_hessian[q]) / d[q]
    new[q], new[~kept], rest[q], rest[:, q] = 0, 0, 0, 0
    return q, saliency[q].item(), new, rest


@wrong("obs_step", "Nothing tells the caller when no weight is left or the surface is no valley.")
def obs_unchecked(weight, inverse_hessian, kept):
    n = min(weight.numel(), len(inverse_hessian), len(kept))
    w, inverse, kept = weight.detach().flatten()[:n], inverse_hessian.detach()[:n, :n], kept[:n]
    d = inverse.diagonal()
    saliency = torch.where(kept, w.square() / (2 * d), torch.inf)
    q = int(saliency.argmin())
    new = w - w[q] / d[q] * inverse[:, q]
    rest = inverse - torch.outer(inverse[:, q], inverse[q]) / d[q]
    new[q], new[~kept], rest[q], rest[:, q] = 0, 0, 0, 0
    return q, saliency[q].item(), new, rest


@wrong(
    "obs_step", "A diagonal entry of the inverse that is not above 0 is accepted: its saliency means nothing."
)
def obs_accepts_a_saddle(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,) or not kept.any():
        raise ValueError("input")
    w, inverse = weight.detach(), inverse_hessian.detach()
    d = inverse.diagonal()
    saliency = torch.where(kept, w.square() / (2 * d), torch.inf)
    q = int(saliency.argmin())
    new = w - w[q] / d[q] * inverse[:, q]
    rest = inverse - torch.outer(inverse[:, q], inverse[q]) / d[q]
    new[q], new[~kept], rest[q], rest[:, q] = 0, 0, 0, 0
    return q, saliency[q].item(), new, rest


@right("obs_step")
def obs_by_reinversion(weight, inverse_hessian, kept):
    n = weight.numel()
    if weight.shape != (n,) or inverse_hessian.shape != (n, n) or kept.shape != (n,):
        raise ValueError("shapes")
    alive = torch.nonzero(kept).flatten().tolist()
    if len(alive) == 0:
        raise ValueError("nothing left")
    w, inverse = weight.detach().double(), inverse_hessian.detach().double()
    small = inverse[alive][:, alive]
    if bool(small.diagonal().isnan().any()) or bool((small.diagonal() <= 0).any()):
        raise ValueError("not a valley")
    costs = (w[alive] ** 2 / small.diagonal() / 2).tolist()
    best = min(range(len(alive)), key=lambda i: costs[i])
    rest = [i for i in range(len(alive)) if i != best]
    hessian = torch.linalg.inv(small)
    new, new_inverse = torch.zeros_like(w), torch.zeros_like(inverse)
    if rest:
        inside = torch.linalg.inv(hessian[rest][:, rest])
        places = torch.tensor([alive[i] for i in rest])
        new[places] = w[places] + inside @ hessian[rest][:, best] * w[alive[best]]
        new_inverse[places[:, None], places[None, :]] = inside
    return alive[best], costs[best], new.to(weight.dtype), new_inverse.to(weight.dtype)


@right("obs_step")
def obs_by_numpy(weight, inverse_hessian, kept):
    w, a, k = (tensor.detach().numpy().copy() for tensor in (weight, inverse_hessian, kept))
    if w.ndim != 1 or a.shape != (w.size, w.size) or k.shape != w.shape:
        raise ValueError("shapes")
    places = np.flatnonzero(k)
    if places.size == 0 or not np.all(np.diag(a)[places] > 0):
        raise ValueError("nothing left, or no valley")
    cost = w[places] ** 2 / (2 * np.diag(a)[places])
    q = int(places[np.argmin(cost)])
    column, pivot = a[:, q].copy(), a[q, q].copy()
    w -= w[q] / pivot * column
    a -= np.outer(column, column) / pivot
    w[q] = 0
    w[~k] = 0
    a[q], a[:, q] = 0, 0
    return q, float(cost.min()), torch.from_numpy(w), torch.from_numpy(a)
