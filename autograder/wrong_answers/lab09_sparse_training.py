"""Lab 9's bank. An answer uses only what the notebook's first cell imports: math, torch, numpy as np and functional as F."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from autograder.wrong_answers import right, wrong

# --- dropout ---------------------------------------------------------------------------------------------------


@wrong(
    "dropout",
    "You dropped entries and did not scale the others up: the mean shrinks to 1 - p of what it was.",
)
def dropout_unscaled(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs
    return inputs * (torch.rand(inputs.shape, generator=generator) >= p)


@wrong("dropout", "You divided by p, the share that is dropped, and not by the share that stays.")
def dropout_divides_by_p(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training or p == 0:
        return inputs
    if p == 1:
        return inputs * 0
    return inputs * (torch.rand(inputs.shape, generator=generator) >= p) / p


@wrong("dropout", "You kept an entry with probability p: p is the probability that it is dropped.")
def dropout_keeps_with_p(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs
    if p == 0:
        return inputs * 0
    return inputs * (torch.rand(inputs.shape, generator=generator) < p) / p


@wrong("dropout", "You drop in evaluation too: the output of a trained network would be random.")
def dropout_always(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if p == 1:
        return inputs * 0
    return inputs * (torch.rand(inputs.shape, generator=generator) >= p) / (1 - p)


@wrong(
    "dropout",
    "You scaled in evaluation: the training has been scaled already, and evaluation changes nothing.",
)
def dropout_scales_twice(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs * (1 - p)
    if p == 1:
        return inputs * 0
    return inputs * (torch.rand(inputs.shape, generator=generator) >= p) / (1 - p)


@wrong("dropout", "You took training and evaluation the wrong way round.")
def dropout_in_evaluation_only(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if training:
        return inputs
    if p == 1:
        return inputs * 0
    return inputs * (torch.rand(inputs.shape, generator=generator) >= p) / (1 - p)


@wrong("dropout", "All the rows lose the same entries: you drew one mask for the last dimension only.")
def dropout_same_for_rows(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs
    if p == 1:
        return inputs * 0
    return inputs * (torch.rand(inputs.shape[-1:], generator=generator) >= p) / (1 - p)


@wrong("dropout", "Whole rows go or stay: you drew one number for each row, not for each entry.")
def dropout_of_rows(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs
    if p == 1:
        return inputs * 0
    draws = torch.rand((*inputs.shape[:-1], 1), generator=generator)
    return inputs * (draws >= p) / (1 - p)


@wrong(
    "dropout",
    "You dropped a fixed number of entries; each entry has a draw of its own, so the number varies.",
)
def dropout_of_a_fixed_number(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs
    if p == 1:
        return inputs * 0
    mask = torch.ones(inputs.numel(), dtype=torch.bool)
    mask[torch.randperm(inputs.numel(), generator=generator)[: round(p * inputs.numel())]] = False
    return inputs * mask.reshape(inputs.shape) / (1 - p)


@wrong("dropout", "You drew from torch's global random state; the generator was handed in for this.")
def dropout_global_state(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    return F.dropout(inputs, p, training)


@wrong("dropout", "With p = 1 you divide zero by zero: the result is NaN, and not zero.")
def dropout_nan_at_one(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs
    return inputs * (torch.rand(inputs.shape, generator=generator) >= p) * torch.tensor(1.0).div(1 - p)


@wrong("dropout", "You changed the input itself: the layer before loses its output, and gradients go astray.")
def dropout_in_place(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs
    mask = torch.rand(inputs.shape, generator=generator) >= p
    inputs.data.mul_(mask).div_(max(1 - p, 1e-30))
    return inputs * mask / max(1 - p, 1e-30) * (1 - p)


@wrong("dropout", "You detached the result: no gradient passes through it.")
def dropout_detached(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs.detach()
    if p == 1:
        return torch.zeros_like(inputs)
    return inputs.detach() * (torch.rand(inputs.shape, generator=generator) >= p) / (1 - p)


@wrong("dropout", "A p that is no probability is accepted without a word.")
def dropout_unchecked(inputs, p, training, generator):
    if not training:
        return inputs
    if p == 1:
        return inputs * 0
    return inputs * (torch.rand(inputs.shape, generator=generator) >= p) / (1 - p)


@wrong("dropout", "You looked at p in training only: in evaluation a p that is no probability is accepted.")
def dropout_checked_in_training(inputs, p, training, generator):
    if not training:
        return inputs
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if p == 1:
        return inputs * 0
    return inputs * (torch.rand(inputs.shape, generator=generator) >= p) / (1 - p)


@right("dropout")
def dropout_by_bernoulli(inputs, p, training, generator):
    if p < 0 or p > 1 or math.isnan(p):
        raise ValueError("p must be a probability")
    if not training or p == 0:
        return inputs.clone()
    if p == 1:
        return torch.zeros_like(inputs)
    keep = torch.bernoulli(torch.full(inputs.shape, 1.0 - p), generator=generator).to(inputs.dtype)
    return inputs * keep / (1 - p)


@right("dropout")
def dropout_by_torch(inputs, p, training, generator):
    if not (p >= 0 and p <= 1):
        raise ValueError("p must be a probability")
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(1 << 60, (1,), generator=generator)))
        return F.dropout(inputs, p, training)


@right("dropout")
def dropout_by_numpy(inputs, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError("p must be a probability")
    if not training:
        return inputs * 1
    numbers = np.random.default_rng(int(torch.randint(1 << 60, (1,), generator=generator)))
    factors = np.where(numbers.random(tuple(inputs.shape)) < p, 0.0, 1 / (1 - p) if p < 1 else 0.0)
    return inputs * torch.from_numpy(factors).to(inputs.dtype)


# --- dropconnect -----------------------------------------------------------------------------------------------


@wrong("dropconnect", "You dropped connections and did not scale the others up: the sum shrinks.")
def connect_unscaled(inputs, weight, bias, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs @ weight.t() + bias
    mask = torch.rand(len(inputs), *weight.shape, generator=generator) >= p
    return ((weight * mask) @ inputs.unsqueeze(2)).squeeze(2) + bias


@wrong("dropconnect", "You drew one mask for the whole batch: every example has a mask of its own.")
def connect_one_mask(inputs, weight, bias, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs @ weight.t() + bias
    mask = torch.rand(weight.shape, generator=generator) >= p
    return inputs @ (weight * mask / (1 - p if p < 1 else 1)).t() + bias


@wrong("dropconnect", "You dropped inputs: all the connections from one input go together. That is dropout.")
def connect_drops_inputs(inputs, weight, bias, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs @ weight.t() + bias
    mask = torch.rand(inputs.shape, generator=generator) >= p
    return (inputs * mask / (1 - p if p < 1 else 1)) @ weight.t() + bias


@wrong("dropconnect", "You dropped outputs: all the connections to one output go together. That drops units.")
def connect_drops_outputs(inputs, weight, bias, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs @ weight.t() + bias
    mask = torch.rand(len(inputs), len(bias), generator=generator) >= p
    return (inputs @ weight.t()) * mask / (1 - p if p < 1 else 1) + bias


@wrong("dropconnect", "You scaled the bias too: it is never dropped, so it needs no scaling.")
def connect_scales_the_bias(inputs, weight, bias, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs @ weight.t() + bias
    if p == 1:
        return bias.expand(len(inputs), -1)
    mask = torch.rand(len(inputs), *weight.shape, generator=generator) >= p
    return (((weight * mask) @ inputs.unsqueeze(2)).squeeze(2) + bias) / (1 - p)


@wrong("dropconnect", "You dropped biases too, as Wan et al. do; here the bias always stays.")
def connect_drops_the_bias(inputs, weight, bias, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs @ weight.t() + bias
    scale = 1 / (1 - p) if p < 1 else 0.0
    mask = torch.rand(len(inputs), *weight.shape, generator=generator) >= p
    stays = torch.rand(len(inputs), len(bias), generator=generator) >= p
    return ((weight * mask) @ inputs.unsqueeze(2)).squeeze(2) * scale + bias * stays * scale


@wrong("dropconnect", "You kept a connection with probability p: p is the probability that it is dropped.")
def connect_keeps_with_p(inputs, weight, bias, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs @ weight.t() + bias
    mask = torch.rand(len(inputs), *weight.shape, generator=generator) < p
    return ((weight * mask) @ inputs.unsqueeze(2)).squeeze(2) / max(p, 1e-9) + bias


@wrong("dropconnect", "You drop in evaluation too: the output of a trained network would be random.")
def connect_always(inputs, weight, bias, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    mask = torch.rand(len(inputs), *weight.shape, generator=generator) >= p
    return ((weight * mask) @ inputs.unsqueeze(2)).squeeze(2) / (1 - p if p < 1 else 1) + bias


@wrong(
    "dropconnect",
    "You scaled in evaluation: the training has been scaled already, and evaluation is the plain layer.",
)
def connect_scales_twice(inputs, weight, bias, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs @ weight.t() * (1 - p) + bias
    mask = torch.rand(len(inputs), *weight.shape, generator=generator) >= p
    return ((weight * mask) @ inputs.unsqueeze(2)).squeeze(2) / (1 - p if p < 1 else 1) + bias


@wrong("dropconnect", "With p = 1 you divide zero by zero: the result is NaN, and not the bias.")
def connect_nan_at_one(inputs, weight, bias, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs @ weight.t() + bias
    mask = torch.rand(len(inputs), *weight.shape, generator=generator) >= p
    scale = torch.tensor(1.0, dtype=weight.dtype) / (1 - p)
    return ((weight * mask) @ inputs.unsqueeze(2)).squeeze(2) * scale + bias


@wrong("dropconnect", "You wrote the zeros into the weight itself: after a few calls nothing is left of it.")
def connect_in_place(inputs, weight, bias, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs @ weight.t() + bias
    mask = torch.rand(len(inputs), *weight.shape, generator=generator) >= p
    outputs = ((weight * mask) @ inputs.unsqueeze(2)).squeeze(2) / (1 - p if p < 1 else 1) + bias
    weight.data = weight.data * mask[0]
    return outputs


@wrong("dropconnect", "You drew from torch's global random state; the generator was handed in for this.")
def connect_global_state(inputs, weight, bias, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs @ weight.t() + bias
    mask = torch.rand(len(inputs), *weight.shape) >= p
    return ((weight * mask) @ inputs.unsqueeze(2)).squeeze(2) / (1 - p if p < 1 else 1) + bias


@wrong("dropconnect", "You forgot the bias.")
def connect_without_bias(inputs, weight, bias, p, training, generator):
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}")
    if not training:
        return inputs @ weight.t()
    mask = torch.rand(len(inputs), *weight.shape, generator=generator) >= p
    return ((weight * mask) @ inputs.unsqueeze(2)).squeeze(2) / (1 - p if p < 1 else 1)


@wrong("dropconnect", "A p that is no probability is accepted without a word.")
def connect_unchecked(inputs, weight, bias, p, training, generator):
    if not training:
        return inputs @ weight.t() + bias
    mask = torch.rand(len(inputs), *weight.shape, generator=generator) >= p
    return ((weight * mask) @ inputs.unsqueeze(2)).squeeze(2) / (1 - p if p != 1 else 1) + bias


@right("dropconnect")
def connect_by_loop(inputs, weight, bias, p, training, generator):
    if not (p >= 0 and p <= 1):
        raise ValueError("p must be a probability")
    if not training:
        return F.linear(inputs, weight, bias)
    rows = []
    for example in inputs:
        keep = torch.bernoulli(torch.full(weight.shape, 1.0 - p), generator=generator).to(weight.dtype)
        rows.append((weight * keep) @ example / max(1 - p, 1e-9) + bias)
    return torch.stack(rows)


@right("dropconnect")
def connect_by_batched_product(inputs, weight, bias, p, training, generator):
    if math.isnan(p) or p < 0 or p > 1:
        raise ValueError("p must be a probability")
    if not training or p == 0:
        return inputs @ weight.t() + bias
    if p == 1:
        return inputs @ weight.t() * 0 + bias
    keep = torch.empty(len(inputs), *weight.shape, dtype=weight.dtype).bernoulli_(1 - p, generator=generator)
    return torch.baddbmm(bias[:, None], keep * weight / (1 - p), inputs.unsqueeze(2)).squeeze(2)


# --- erdos_renyi_sparsities ------------------------------------------------------------------------------------


@wrong("erdos_renyi_sparsities", "You returned the densities: the sparsity is the fraction that is removed.")
def densities_for_sparsities(shapes, sparsity):
    if not 0 <= sparsity <= 1 or not shapes:
        raise ValueError("sparsity or shapes")
    if any(len(shape) < 2 or min(shape) < 1 for shape in shapes.values()):
        raise ValueError("shape")
    raw = {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}
    low, high = 0.0, 1 / min(raw.values())
    budget = (1 - sparsity) * sum(math.prod(shape) for shape in shapes.values())
    for _ in range(200):
        eps = (low + high) / 2
        total = sum(min(1, eps * raw[name]) * math.prod(shape) for name, shape in shapes.items())
        low, high = (eps, high) if total < budget else (low, eps)
    return {name: min(1.0, high * value) for name, value in raw.items()}


@wrong("erdos_renyi_sparsities", "Every layer has the same sparsity: that is the uniform distribution.")
def uniform_sparsities(shapes, sparsity):
    if not 0 <= sparsity <= 1 or not shapes:
        raise ValueError("sparsity or shapes")
    if any(len(shape) < 2 or min(shape) < 1 for shape in shapes.values()):
        raise ValueError("shape")
    return {name: float(sparsity) for name in shapes}


@wrong(
    "erdos_renyi_sparsities",
    "A small layer gets more connections than it has places: its sparsity is below zero.",
)
def no_cap(shapes, sparsity):
    if not 0 <= sparsity <= 1 or not shapes:
        raise ValueError("sparsity or shapes")
    if any(len(shape) < 2 or min(shape) < 1 for shape in shapes.values()):
        raise ValueError("shape")
    eps = (1 - sparsity) * sum(math.prod(s) for s in shapes.values()) / sum(sum(s) for s in shapes.values())
    return {name: 1 - eps * sum(shape) / math.prod(shape) for name, shape in shapes.items()}


@wrong(
    "erdos_renyi_sparsities",
    "You capped a full layer at density 1 and gave what it could not take to nobody: the total is too small.",
)
def cap_without_redistribution(shapes, sparsity):
    if not 0 <= sparsity <= 1 or not shapes:
        raise ValueError("sparsity or shapes")
    if any(len(shape) < 2 or min(shape) < 1 for shape in shapes.values()):
        raise ValueError("shape")
    eps = (1 - sparsity) * sum(math.prod(s) for s in shapes.values()) / sum(sum(s) for s in shapes.values())
    return {name: max(0.0, 1 - eps * sum(shape) / math.prod(shape)) for name, shape in shapes.items()}


@wrong(
    "erdos_renyi_sparsities",
    "You redistributed once: a layer that is filled by what another could not take may be too full in turn.",
)
def redistribute_once(shapes, sparsity):
    if not 0 <= sparsity <= 1 or not shapes:
        raise ValueError("sparsity or shapes")
    if any(len(shape) < 2 or min(shape) < 1 for shape in shapes.values()):
        raise ValueError("shape")
    size = {name: math.prod(shape) for name, shape in shapes.items()}
    share = {name: sum(shape) for name, shape in shapes.items()}
    budget = (1 - sparsity) * sum(size.values())
    eps = budget / sum(share.values())
    full = {name for name in shapes if eps * share[name] >= size[name]}
    rest = [name for name in shapes if name not in full]
    if rest:
        eps = (budget - sum(size[name] for name in full)) / sum(share[name] for name in rest)
    return {name: 0.0 if name in full else max(0.0, 1 - eps * share[name] / size[name]) for name in shapes}


@wrong(
    "erdos_renyi_sparsities",
    "You took the first two dimensions only: the dimensions of a kernel belong to the sum.",
)
def without_the_kernel(shapes, sparsity):
    if not 0 <= sparsity <= 1 or not shapes:
        raise ValueError("sparsity or shapes")
    if any(len(shape) < 2 or min(shape) < 1 for shape in shapes.values()):
        raise ValueError("shape")
    raw = {name: sum(shape[:2]) / math.prod(shape[:2]) for name, shape in shapes.items()}
    low, high = 0.0, 1 / min(raw.values())
    budget = (1 - sparsity) * sum(math.prod(shape) for shape in shapes.values())
    for _ in range(200):
        eps = (low + high) / 2
        total = sum(min(1, eps * raw[name]) * math.prod(shape) for name, shape in shapes.items())
        low, high = (eps, high) if total < budget else (low, eps)
    return {name: max(0.0, 1 - high * value) for name, value in raw.items()}


@wrong(
    "erdos_renyi_sparsities",
    "The *mean* of your layers' sparsities is right: a large layer must count with all its weights.",
)
def mean_over_layers(shapes, sparsity):
    if not 0 <= sparsity <= 1 or not shapes:
        raise ValueError("sparsity or shapes")
    if any(len(shape) < 2 or min(shape) < 1 for shape in shapes.values()):
        raise ValueError("shape")
    raw = {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}
    low, high = 0.0, 1 / min(raw.values())
    for _ in range(200):
        eps = (low + high) / 2
        total = sum(min(1, eps * value) for value in raw.values())
        low, high = (eps, high) if total < (1 - sparsity) * len(raw) else (low, eps)
    return {name: max(0.0, 1 - high * value) for name, value in raw.items()}


@wrong(
    "erdos_renyi_sparsities",
    "Your density is proportional to 1 / N: every layer gets the same number of connections.",
)
def same_number_for_each(shapes, sparsity):
    if not 0 <= sparsity <= 1 or not shapes:
        raise ValueError("sparsity or shapes")
    if any(len(shape) < 2 or min(shape) < 1 for shape in shapes.values()):
        raise ValueError("shape")
    raw = {name: 1 / math.prod(shape) for name, shape in shapes.items()}
    low, high = 0.0, 1 / min(raw.values())
    budget = (1 - sparsity) * sum(math.prod(shape) for shape in shapes.values())
    for _ in range(200):
        eps = (low + high) / 2
        total = sum(min(1, eps * raw[name]) * math.prod(shape) for name, shape in shapes.items())
        low, high = (eps, high) if total < budget else (low, eps)
    return {name: max(0.0, 1 - high * value) for name, value in raw.items()}


@wrong(
    "erdos_renyi_sparsities",
    "Your *sparsity* is proportional to (in + out) / (in * out): small layers become the sparsest.",
)
def sparsity_for_density(shapes, sparsity):
    if not 0 <= sparsity <= 1 or not shapes:
        raise ValueError("sparsity or shapes")
    if any(len(shape) < 2 or min(shape) < 1 for shape in shapes.values()):
        raise ValueError("shape")
    raw = {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}
    low, high = 0.0, 1 / min(raw.values())
    budget = sparsity * sum(math.prod(shape) for shape in shapes.values())
    for _ in range(200):
        eps = (low + high) / 2
        total = sum(min(1, eps * raw[name]) * math.prod(shape) for name, shape in shapes.items())
        low, high = (eps, high) if total < budget else (low, eps)
    return {name: min(1.0, high * value) for name, value in raw.items()}


@wrong(
    "erdos_renyi_sparsities",
    "Input that makes no sense (a sparsity, no layer, a shape) is accepted, or breaks otherwise.",
)
def sparsities_unchecked(shapes, sparsity):
    raw = {name: sum(shape) / max(1, math.prod(shape)) for name, shape in shapes.items()}
    low, high = 0.0, 1 / min(raw.values(), default=1.0)
    budget = (1 - sparsity) * sum(math.prod(shape) for shape in shapes.values())
    for _ in range(200):
        eps = (low + high) / 2
        total = sum(min(1, eps * raw[name]) * math.prod(shape) for name, shape in shapes.items())
        low, high = (eps, high) if total < budget else (low, eps)
    return {name: max(0.0, 1 - high * value) for name, value in raw.items()}


@right("erdos_renyi_sparsities")
def sparsities_by_bisection(shapes, sparsity):
    if not (sparsity >= 0 and sparsity <= 1) or len(shapes) == 0:
        raise ValueError("sparsity or shapes")
    for shape in shapes.values():
        if len(shape) < 2 or any(size < 1 for size in shape):
            raise ValueError("shape")
    size = np.array([np.prod(shape) for shape in shapes.values()], dtype=float)
    raw = np.array([sum(shape) for shape in shapes.values()]) / size
    low, high = 0.0, 1 / raw.min()
    for _ in range(300):
        middle = (low + high) / 2
        if np.minimum(1, middle * raw) @ size < (1 - sparsity) * size.sum():
            low = middle
        else:
            high = middle
    return dict(zip(shapes, (1 - np.minimum(1, high * raw)).tolist()))


@right("erdos_renyi_sparsities")
def sparsities_by_sorting(shapes, sparsity):
    if math.isnan(sparsity) or sparsity < 0 or sparsity > 1:
        raise ValueError("sparsity")
    if not shapes or any(len(s) < 2 or min(s) <= 0 for s in shapes.values()):
        raise ValueError("shapes")
    left = (1 - sparsity) * sum(math.prod(s) for s in shapes.values())
    share = float(sum(sum(s) for s in shapes.values()))
    result = {}
    for name in sorted(
        shapes, key=lambda n: math.prod(shapes[n]) / sum(shapes[n])
    ):  # the first to be full first
        n = math.prod(shapes[name])
        kept = min(float(n), left * sum(shapes[name]) / share)
        result[name] = 1 - kept / n
        left, share = left - kept, share - sum(shapes[name])
    return {name: float(result[name]) for name in shapes}


# --- random_masks ----------------------------------------------------------------------------------------------


@wrong(
    "random_masks",
    "Every entry has a draw of its own, so the number that is removed is right only on average.",
)
def masks_by_coin(shapes, sparsities, generator):
    if set(shapes) != set(sparsities) or not all(0 <= s <= 1 for s in sparsities.values()):
        raise ValueError("sparsities")
    return {
        name: torch.rand(shape, generator=generator) >= sparsities[name] for name, shape in shapes.items()
    }


@wrong("random_masks", "You kept as many as should go: True means keep.")
def masks_inverted(shapes, sparsities, generator):
    if set(shapes) != set(sparsities) or not all(0 <= s <= 1 for s in sparsities.values()):
        raise ValueError("sparsities")
    masks = {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        mask = torch.zeros(n, dtype=torch.bool)
        mask[torch.randperm(n, generator=generator)[: round(sparsities[name] * n)]] = True
        masks[name] = mask.reshape(shape)
    return masks


@wrong("random_masks", "You cut the fraction off (int); the number that is removed is rounded.")
def masks_truncated(shapes, sparsities, generator):
    if set(shapes) != set(sparsities) or not all(0 <= s <= 1 for s in sparsities.values()):
        raise ValueError("sparsities")
    masks = {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        mask = torch.ones(n, dtype=torch.bool)
        mask[torch.randperm(n, generator=generator)[: int(sparsities[name] * n)]] = False
        masks[name] = mask.reshape(shape)
    return masks


@wrong("random_masks", "You rounded the number that is *kept*; the number that is removed is rounded.")
def masks_round_the_kept(shapes, sparsities, generator):
    if set(shapes) != set(sparsities) or not all(0 <= s <= 1 for s in sparsities.values()):
        raise ValueError("sparsities")
    masks = {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        mask = torch.zeros(n, dtype=torch.bool)
        mask[torch.randperm(n, generator=generator)[: math.floor((1 - sparsities[name]) * n + 0.5)]] = True
        masks[name] = mask.reshape(shape)
    return masks


@wrong("random_masks", "The places that go are not random: they are the first ones.")
def masks_remove_the_first(shapes, sparsities, generator):
    if set(shapes) != set(sparsities) or not all(0 <= s <= 1 for s in sparsities.values()):
        raise ValueError("sparsities")
    masks = {}
    for name, shape in shapes.items():
        mask = torch.ones(math.prod(shape), dtype=torch.bool)
        mask[: round(sparsities[name] * len(mask))] = False
        masks[name] = mask.reshape(shape)
    return masks


@wrong("random_masks", "Places are drawn with repetition: where one is drawn twice, one too few is removed.")
def masks_with_repetition(shapes, sparsities, generator):
    if set(shapes) != set(sparsities) or not all(0 <= s <= 1 for s in sparsities.values()):
        raise ValueError("sparsities")
    masks = {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        mask = torch.ones(n, dtype=torch.bool)
        mask[torch.randint(n, (round(sparsities[name] * n),), generator=generator)] = False
        masks[name] = mask.reshape(shape)
    return masks


@wrong(
    "random_masks",
    "Two layers of one shape have the same mask: you began again with the same random numbers.",
)
def masks_all_alike(shapes, sparsities, generator):
    if set(shapes) != set(sparsities) or not all(0 <= s <= 1 for s in sparsities.values()):
        raise ValueError("sparsities")
    seed = int(torch.randint(1 << 60, (1,), generator=generator))
    masks = {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        mask = torch.ones(n, dtype=torch.bool)
        places = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        mask[places[: round(sparsities[name] * n)]] = False
        masks[name] = mask.reshape(shape)
    return masks


@wrong("random_masks", "Each row has its share of zeros: whole masks are drawn, so that rows may differ.")
def masks_row_by_row(shapes, sparsities, generator):
    if set(shapes) != set(sparsities) or not all(0 <= s <= 1 for s in sparsities.values()):
        raise ValueError("sparsities")
    masks = {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        rows = torch.ones(shape[0], n // shape[0], dtype=torch.bool)
        gone = round(sparsities[name] * n)
        for number, row in enumerate(rows):
            part = gone // len(rows) + (number < gone % len(rows))
            row[torch.randperm(len(row), generator=generator)[:part]] = False
        masks[name] = rows.reshape(shape)
    return masks


@wrong("random_masks", "You drew from torch's global random state; the generator was handed in for this.")
def masks_global_state(shapes, sparsities, generator):
    if set(shapes) != set(sparsities) or not all(0 <= s <= 1 for s in sparsities.values()):
        raise ValueError("sparsities")
    masks = {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        mask = torch.ones(n, dtype=torch.bool)
        mask[torch.randperm(n)[: round(sparsities[name] * n)]] = False
        masks[name] = mask.reshape(shape)
    return masks


@wrong("random_masks", "Your masks are numbers; a mask is boolean.")
def masks_of_numbers(shapes, sparsities, generator):
    if set(shapes) != set(sparsities) or not all(0 <= s <= 1 for s in sparsities.values()):
        raise ValueError("sparsities")
    masks = {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        mask = torch.ones(n)
        mask[torch.randperm(n, generator=generator)[: round(sparsities[name] * n)]] = 0
        masks[name] = mask.reshape(shape)
    return masks


@wrong(
    "random_masks", "Names that differ, or a sparsity that is no fraction, are accepted, or break otherwise."
)
def masks_unchecked(shapes, sparsities, generator):
    masks = {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        s = sparsities.get(name, 0.5)
        mask = torch.ones(n, dtype=torch.bool)
        mask[torch.randperm(n, generator=generator)[: round((0 if s != s else s) * n)]] = False
        masks[name] = mask.reshape(shape)
    return masks


@right("random_masks")
def masks_by_ranks(shapes, sparsities, generator):
    if sorted(shapes) != sorted(sparsities) or any(not (s >= 0 and s <= 1) for s in sparsities.values()):
        raise ValueError("sparsities")
    masks = {}
    for name, shape in shapes.items():
        draws = torch.rand(math.prod(shape), generator=generator, dtype=torch.float64)
        ranks = draws.argsort().argsort()
        masks[name] = (ranks >= round(sparsities[name] * len(draws))).reshape(shape)
    return masks


@right("random_masks")
def masks_by_topk(shapes, sparsities, generator):
    if shapes.keys() ^ sparsities.keys():
        raise ValueError("names")
    if not all(0 <= s <= 1 for s in sparsities.values()):
        raise ValueError("sparsities")
    masks = {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        draws = torch.rand(n, generator=generator, dtype=torch.float64)
        mask = torch.zeros(n, dtype=torch.bool)
        mask[draws.topk(n - round(sparsities[name] * n)).indices] = True
        masks[name] = mask.view(shape)
    return masks


@right("random_masks")
def masks_by_numpy(shapes, sparsities, generator):
    if set(shapes) != set(sparsities) or not all(0 <= s <= 1 for s in sparsities.values()):
        raise ValueError("sparsities")
    numbers = np.random.default_rng(int(torch.randint(1 << 60, (1,), generator=generator)))
    masks = {}
    for name, shape in shapes.items():
        n = math.prod(shape)
        flat = np.arange(n) >= round(sparsities[name] * n)
        masks[name] = torch.from_numpy(numbers.permutation(flat).reshape(shape))
    return masks


# --- set_update ------------------------------------------------------------------------------------------------


@wrong(
    "set_update",
    "You dropped the smallest magnitudes of all together; SET takes the fraction of the positive and of the negative weights apart.",
)
def set_by_magnitude(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    kept &= values != 0
    places = kept.nonzero().flatten()
    order = torch.argsort(values[places].abs(), stable=True)
    kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong(
    "set_update",
    "Of the negative weights you dropped the most negative ones; those closest to zero are to go, the largest.",
)
def set_most_negative(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places], stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "You dropped the connections that are farthest from zero.")
def set_drops_the_largest(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), descending=True, stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "You dropped of the positive weights only: the largest negative ones go too.")
def set_drops_positive_only(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    kept &= values != 0
    order = torch.argsort(values[positive], stable=True)
    kept[positive[order[: round(fraction * len(positive))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong(
    "set_update",
    "A place that was just dropped can never be drawn in your update; it is as free as any other.",
)
def set_never_back(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept & ~mask.flatten()).nonzero().flatten()
    if len(free) < connections - int(kept.sum()):
        free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "You grew at the first free places: they are to be drawn.")
def set_grows_the_first(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[: connections - int(kept.sum())]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "The grown weights are 0, as RigL's are; SET's are drawn.")
def set_grows_zeros(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = 0
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong(
    "set_update",
    "A place that was dropped and drawn again got its old weight back; every grown weight is a fresh draw.",
)
def set_keeps_the_old_weight(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    back = grown[mask.flatten()[grown]]
    new[back] = values[back]
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "You cut the fraction off (int); the number that is dropped is rounded.")
def set_truncates(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: int(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "You counted what the mask hides among the connections.")
def set_ignores_the_mask(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (values > 0).nonzero().flatten()
    negative = (values < 0).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong(
    "set_update",
    "Where the new mask is False your new weight is not 0: what was dropped, or hidden, is still there.",
)
def set_leaves_the_rest(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = values.clone()
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong(
    "set_update",
    "A connection whose weight is exactly 0 stays in your update: it is neither positive nor negative, and it goes.",
)
def set_keeps_zeros(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong(
    "set_update",
    "You counted a weight of exactly 0 among the positive ones; it is of neither kind, and always goes.",
)
def set_zero_is_positive(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values >= 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "You changed the weight and the mask that were handed in; new tensors are asked for.")
def set_in_place(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    weight.data.copy_(new.reshape(weight.shape))
    mask.copy_(kept.reshape(mask.shape))
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "Among equal weights you dropped the last ones; the lowest index goes first.")
def set_last_of_equals(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = len(places) - 1 - torch.argsort(values[places].abs().flip(0), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "Your grown weights have the standard deviation 1, whatever is asked for.")
def set_forgets_std(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "You took `std` for the variance: the spread of your grown weights is its square root.")
def set_std_as_variance(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = math.sqrt(std) * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "Your grown weights are all positive: they are normal draws, around 0.")
def set_positive_draws(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).abs().to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "You grew the fraction of what is *left*: the number of connections shrinks.")
def set_grows_less(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: round(fraction * int(kept.sum()))]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "You dropped and grew nothing.")
def set_only_drops(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[:0]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong("set_update", "You drew from torch's global random state; the generator was handed in for this.")
def set_global_state(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free))[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown)).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong(
    "set_update",
    "Your new weight has a gradient history: an update of the connections is no part of the loss.",
)
def set_with_history(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    values, kept = weight.flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@wrong(
    "set_update",
    "A mask of another shape, or a fraction that is none, is accepted, or breaks with another error.",
)
def set_unchecked(weight, mask, fraction, generator, std=0.1):
    values, kept = weight.detach().flatten(), mask.flatten().clone()
    connections = int(kept.sum())
    positive = (kept & (values > 0)).nonzero().flatten()
    negative = (kept & (values < 0)).nonzero().flatten()
    kept &= values != 0
    for places in (positive, negative):
        order = torch.argsort(values[places].abs(), stable=True)
        kept[places[order[: round(fraction * len(places))]]] = False
    free = (~kept).nonzero().flatten()
    grown = free[torch.randperm(len(free), generator=generator)[: connections - int(kept.sum())]]
    new = torch.where(kept, values, torch.zeros_like(values))
    new[grown] = std * torch.randn(len(grown), generator=generator).to(values.dtype)
    kept[grown] = True
    return new.reshape(weight.shape), kept.reshape(mask.shape)


@right("set_update")
def set_by_sorted_lists(weight, mask, fraction, generator, std=0.1):
    if tuple(mask.shape) != tuple(weight.shape) or not (fraction >= 0 and fraction <= 1):
        raise ValueError("mask or fraction")
    values, present = weight.detach().flatten().tolist(), mask.flatten().tolist()
    up = sorted((v, i) for i, v in enumerate(values) if present[i] and v > 0)
    down = sorted((-v, i) for i, v in enumerate(values) if present[i] and v < 0)
    gone = [i for _, i in up[: round(fraction * len(up))]] + [
        i for _, i in down[: round(fraction * len(down))]
    ]
    gone += [i for i, v in enumerate(values) if present[i] and v == 0]
    for i in gone:
        present[i] = False
    free = [i for i, there in enumerate(present) if not there]
    order = torch.randperm(len(free), generator=generator).tolist()
    new = [v if there else 0.0 for v, there in zip(values, present)]
    for place in order[: len(gone)]:
        new[free[place]] = std * float(torch.randn((), generator=generator))
        present[free[place]] = True
    weights = torch.tensor(new, dtype=weight.dtype).reshape(weight.shape)
    return weights, torch.tensor(present, dtype=torch.bool).reshape(weight.shape)


@right("set_update")
def set_by_numpy(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    numbers = np.random.default_rng(int(torch.randint(1 << 60, (1,), generator=generator)))
    values = weight.detach().numpy().reshape(-1)
    there = mask.numpy().reshape(-1).copy()
    count = there.sum()
    for sign in (1, -1):
        places = np.flatnonzero(there & (sign * values > 0))
        order = np.argsort(sign * values[places], kind="stable")
        there[places[order[: round(fraction * len(places))]]] = False
    there &= values != 0
    grown = numbers.choice(np.flatnonzero(~there), size=count - there.sum(), replace=False)
    new = np.where(there, values, 0).astype(values.dtype)
    new[grown] = numbers.normal(0, std, len(grown))
    there[grown] = True
    return torch.from_numpy(new.reshape(weight.shape)), torch.from_numpy(there.reshape(weight.shape))


@right("set_update")
def set_by_random_scores(weight, mask, fraction, generator, std=0.1):
    if mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("mask or fraction")
    old = (weight.detach() * mask).flatten()
    there = mask.flatten() & (old != 0)
    for part in (old > 0, old < 0):
        part = part & there
        k = round(fraction * int(part.sum()))
        ranks = torch.where(part, old.abs(), torch.full_like(old, math.inf)).sort(stable=True).indices
        there[ranks[:k]] = False
    missing = int(mask.sum()) - int(there.sum())
    scores = torch.rand(old.shape, generator=generator, dtype=torch.float64) - 2 * there
    chosen = torch.zeros_like(there)
    chosen[scores.topk(missing).indices] = True
    fresh = std * torch.randn(old.shape, generator=generator, dtype=torch.float64).to(old.dtype)
    new = torch.where(chosen, fresh, torch.where(there, old, torch.zeros_like(old)))
    return new.reshape(weight.shape), (there | chosen).reshape(weight.shape)


# --- rigl_update -----------------------------------------------------------------------------------------------


@wrong(
    "rigl_update",
    "A connection that was just dropped can never be grown in your update; it competes with all the others.",
)
def rigl_never_back(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after & ~before).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong("rigl_update", "You took the gradient with its sign: a strongly negative one promises as much.")
def rigl_signed_gradient(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong("rigl_update", "You grew where the gradient is smallest.")
def rigl_flattest(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong("rigl_update", "You dropped the connections with the largest magnitude.")
def rigl_drops_the_largest(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), descending=True, stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong(
    "rigl_update",
    "You dropped the smallest weights with their sign, the most negative ones: the magnitude decides.",
)
def rigl_forgets_abs(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places], stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong(
    "rigl_update",
    "You dropped the fraction of the positive and of the negative weights apart: that is SET; RigL ranks them together.",
)
def rigl_drops_like_set(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    for part in (values > 0, values < 0):
        some = (before & part).nonzero().flatten()
        after[some[torch.argsort(values[some].abs(), stable=True)[: round(fraction * len(some))]]] = False
    k = int(before.sum()) - int(after.sum())
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong("rigl_update", "A grown connection took the value that was hidden under the mask; it starts at 0.")
def rigl_hidden_value(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong(
    "rigl_update",
    "A connection that was dropped and grown in the same update lost its weight; it was never away, and keeps it.",
)
def rigl_returns_as_zero(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    stayed = after.clone()
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(stayed, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong("rigl_update", "Your grown connections start at the gradient's value; they start at 0.")
def rigl_starts_at_the_gradient(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, gradient.flatten() * after)
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong("rigl_update", "You took the fraction of all the places; the fraction of the connections is meant.")
def rigl_counts_the_places(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = min(round(fraction * len(values)), len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong("rigl_update", "You ranked what the mask hides among the connections.")
def rigl_drops_hidden(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[torch.argsort(values.abs(), stable=True)[:k]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong(
    "rigl_update",
    "You took the largest gradients of all the places: where a connection is already, nothing is grown, and the number shrinks.",
)
def rigl_grows_anywhere(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    after[torch.argsort(slopes, descending=True, stable=True)[:k]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong("rigl_update", "You dropped and grew nothing.")
def rigl_only_drops(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:0]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong(
    "rigl_update", "You cut the fraction off (int), as the authors' code does; here the number is rounded."
)
def rigl_truncates(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = int(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong("rigl_update", "Among equal magnitudes you dropped the last ones; the lowest index goes first.")
def rigl_last_of_equals(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[len(places) - 1 - torch.argsort(values[places].abs().flip(0), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong("rigl_update", "Among equal gradients you grew the last ones; the lowest index is grown first.")
def rigl_grows_the_last(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], stable=True)[len(free) - k :]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong(
    "rigl_update",
    "Where the new mask is False your new weight is not 0: what was dropped, or hidden, is still there.",
)
def rigl_leaves_the_rest(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(after & ~before, torch.zeros_like(values), values)
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong("rigl_update", "You changed the weight and the mask that were handed in; new tensors are asked for.")
def rigl_in_place(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    weight.data.copy_(new.reshape(weight.shape))
    mask.copy_(after.reshape(mask.shape))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong(
    "rigl_update",
    "Your new weight has a gradient history: an update of the connections is no part of the loss.",
)
def rigl_with_history(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    values, slopes, before = weight.flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@wrong(
    "rigl_update",
    "A gradient or a mask of another shape, or a fraction that is none, is accepted, or breaks with another error.",
)
def rigl_unchecked(weight, gradient, mask, fraction):
    values, slopes, before = weight.detach().flatten(), gradient.flatten().abs(), mask.flatten()
    places = before.nonzero().flatten()
    k = round(fraction * len(places))
    after = before.clone()
    after[places[torch.argsort(values[places].abs(), stable=True)[:k]]] = False
    free = (~after).nonzero().flatten()
    after[free[torch.argsort(slopes[free], descending=True, stable=True)[:k]]] = True
    new = torch.where(before & after, values, torch.zeros_like(values))
    return new.reshape(weight.shape), after.reshape(mask.shape)


@right("rigl_update")
def rigl_by_sorted_lists(weight, gradient, mask, fraction):
    if gradient.shape != weight.shape or mask.shape != weight.shape or not (fraction >= 0 and fraction <= 1):
        raise ValueError("gradient, mask or fraction")
    values, slopes = weight.detach().flatten().tolist(), gradient.detach().flatten().tolist()
    there = {i for i, kept in enumerate(mask.flatten().tolist()) if kept}
    k = round(fraction * len(there))
    left = there - set(sorted(there, key=lambda i: (abs(values[i]), i))[:k])
    free = [i for i in range(len(values)) if i not in left]
    after = left | set(sorted(free, key=lambda i: (-abs(slopes[i]), i))[:k])
    new = [values[i] if i in after and i in there else 0.0 for i in range(len(values))]
    kept = [i in after for i in range(len(values))]
    return torch.tensor(new, dtype=weight.dtype).reshape(weight.shape), torch.tensor(
        kept, dtype=torch.bool
    ).reshape(mask.shape)


@right("rigl_update")
def rigl_by_numpy(weight, gradient, mask, fraction):
    if not (weight.shape == gradient.shape == mask.shape) or not 0 <= fraction <= 1:
        raise ValueError("gradient, mask or fraction")
    w, g = weight.detach().numpy().reshape(-1), gradient.detach().numpy().reshape(-1)
    old = mask.numpy().reshape(-1)
    k = round(fraction * int(old.sum()))
    rank = np.lexsort((np.arange(len(w)), np.where(old, np.abs(w), np.inf)))
    kept = old.copy()
    kept[rank[:k]] = False
    rank = np.lexsort((np.arange(len(w)), np.where(kept, np.inf, -np.abs(g))))
    kept[rank[:k]] = True
    new = np.where(kept & old, w, 0).astype(w.dtype)
    return torch.from_numpy(new.reshape(weight.shape)), torch.from_numpy(kept.reshape(mask.shape))


@right("rigl_update")
def rigl_one_at_a_time(weight, gradient, mask, fraction):
    if mask.shape != weight.shape or gradient.shape != weight.shape:
        raise ValueError("shape")
    if math.isnan(fraction) or fraction < 0 or fraction > 1:
        raise ValueError("fraction")
    sizes = torch.where(mask, weight.detach().abs(), torch.full_like(weight, math.inf).detach()).flatten()
    kept = mask.flatten().clone()
    k = round(fraction * int(kept.sum()))
    for _ in range(k):
        place = int((sizes == sizes.min()).nonzero()[0])
        kept[place] = False
        sizes[place] = math.inf
    slopes = gradient.detach().abs().flatten().clone()
    for _ in range(k):
        slopes[kept] = -1
        kept[int((slopes == slopes.max()).nonzero()[0])] = True
    new = weight.detach().clone()
    new[~(mask & kept.reshape(mask.shape))] = 0
    return new, kept.reshape(mask.shape)
