"""Hidden checks of lab 4. Experiments only: they observe, and no expected answer stands here."""

import torch

from autograder.experiment import check, close, error_of, exact

ROUNDING = close(1e-4, 1e-6)  # of float32 sums in another order


def normal(rng, *shape, dtype=torch.float32):
    """Weights as they come from training: no two equal, none zero."""
    return torch.randn(*shape, generator=rng, dtype=dtype)


def some(rng, *shape):
    """A mask that keeps about half; its first two entries are False and True."""
    mask = torch.rand(*shape, generator=rng) < 0.5
    mask.view(-1)[:2] = torch.tensor([False, True])
    return mask


def layers(rng):
    """Two parameters of a network."""
    return {"a": torch.nn.Parameter(normal(rng, 6, 5)), "b": torch.nn.Parameter(normal(rng, 4, 6))}


def by_value(weights, sparsity):
    """A rule for `prune` that is not magnitude: keep the largest values, not magnitudes, over all the layers."""
    pool = torch.cat([weight.detach().flatten() for weight in weights.values()])
    order = torch.argsort(pool, stable=True)
    mask = torch.ones(len(pool), dtype=torch.bool)
    mask[order[: round(sparsity * len(pool))]] = False
    parts = mask.split([weight.numel() for weight in weights.values()])
    return {name: part.view(weight.shape) for (name, weight), part in zip(weights.items(), parts)}


def by_size(weights, sparsity):
    """A rule for `prune`: keep the largest magnitudes over all the layers."""
    return by_value({name: weight.detach().abs() for name, weight in weights.items()}, sparsity)


def copies(tensors):
    """The tensors as they are now."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


# --- apply_masks -----------------------------------------------------------------------------------------------


@check("apply_masks", tolerance=exact, weight=2)
def removed_weights_become_zero(lab, rng):
    """Where the mask is False the weight becomes 0; where it is True the weight keeps its value."""
    weights = layers(rng)
    masks = {name: some(rng, *weight.shape) for name, weight in weights.items()}
    lab.apply_masks(weights, masks)
    return {"weights": weights, "masks afterwards": masks}


@check("apply_masks", tolerance=exact)
def the_networks_own_weights(lab, rng):
    """The network's own tensors are changed, in place: they stay the same trainable objects, with their gradients."""
    weights = layers(rng)
    same = dict(weights)
    for weight in same.values():
        weight.grad = torch.ones_like(weight)
    returned = lab.apply_masks(weights, {name: some(rng, *weight.shape) for name, weight in weights.items()})
    return {
        "returned": returned,
        "the network": list(same.values()),
        "the same objects": [weights[name] is weight for name, weight in same.items()],
        "trainable leaves": [weight.requires_grad and weight.is_leaf for weight in same.values()],
        "gradients": [weight.grad for weight in same.values()],
    }


@check("apply_masks", tolerance=exact)
def a_layer_without_a_mask(lab, rng):
    """A layer without a mask stays as it is; without any mask nothing changes; an empty mask removes everything."""
    weights = layers(rng)
    lab.apply_masks(weights, {})
    untouched = copies(weights)
    lab.apply_masks(weights, {"b": torch.zeros(4, 6, dtype=torch.bool)})
    return {"no mask": untouched, "one mask": weights}


@check("apply_masks", tolerance=exact)
def infinite_and_undefined_weights(lab, rng):
    """A removed weight becomes 0 also where it was infinite or NaN."""
    weight = normal(rng, 3, 4, 2, 1, dtype=torch.float64).transpose(0, 2)
    weight[0, 0, :, 0] = torch.tensor([float("inf"), float("nan"), -float("inf")])
    mask = some(rng, 2, 4, 3, 1)
    mask[0, 0] = False
    lab.apply_masks({"w": weight}, {"w": mask})
    return weight


@check("apply_masks", tolerance=exact)
def apply_masks_refuses(lab, rng):
    """An unknown layer or another shape raises ValueError, and no weight is changed then; good input does not."""
    weights = layers(rng)
    good = some(rng, 6, 5)
    unknown, turned = {"a": good, "c": good}, {"a": good, "b": some(rng, 6, 4)}
    row = {"a": good, "b": some(rng, 6)}  # a shape that PyTorch would broadcast
    return {
        "unknown layer": error_of(lambda: lab.apply_masks(weights, unknown)),
        "another shape": error_of(lambda: lab.apply_masks(weights, turned)),
        "one row": error_of(lambda: lab.apply_masks(weights, row)),
        "weights after the errors": copies(weights),
        "good": error_of(lambda: lab.apply_masks(weights, {"a": good})),
    }


# --- masked_step -----------------------------------------------------------------------------------------------


class Network:
    """A linear network with a bias, masks for its two weights, and a stream of batches."""

    def __init__(self, rng, optimizer, warm=0, **options):
        self.rng, self.calls, self.broken = rng, 0, False
        self.weights = layers(rng)
        self.bias = torch.nn.Parameter(normal(rng, 4))
        self.batches = [(normal(rng, 8, 5), normal(rng, 8, 4)) for _ in range(12)]
        self.optimizer = optimizer([*self.weights.values(), self.bias], **options)
        self.masks = {name: some(rng, *weight.shape) for name, weight in self.weights.items()}
        for _ in range(warm):  # dense steps: after them the optimiser holds momentum for every weight
            self.optimizer.zero_grad()
            self.loss().backward()
            self.optimizer.step()
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.masked_fill_(~self.masks[name], 0)

    def loss(self):
        inputs, targets = self.batches[self.calls % len(self.batches)]
        self.calls += 1
        outputs = torch.tanh(inputs @ self.weights["a"].t()) @ self.weights["b"].t() + self.bias
        return (outputs - targets).square().mean() * (float("nan") if self.broken else 1.0)

    def state(self):
        return {**copies(self.weights), "bias": self.bias.detach().clone()}


def steps(lab, network, count):
    """The losses of some masked steps, and the network after them."""
    losses = [
        lab.masked_step(network.weights, network.masks, network.optimizer, network.loss) for _ in range(count)
    ]
    return {"losses": losses, "network": network.state(), "batches used": network.calls}


@check("masked_step", tolerance=ROUNDING)
def plain_descent(lab, rng):
    """With plain gradient descent the kept weights and the bias follow the gradient, and the removed ones stay 0."""
    return steps(lab, Network(rng, torch.optim.SGD, lr=0.1), 3)


@check("masked_step", tolerance=ROUNDING, weight=2)
def momentum_does_not_bring_weights_back(lab, rng):
    """Momentum from before the pruning does not move a removed weight, with SGD and with Adam."""
    heavy = Network(rng, torch.optim.SGD, warm=3, lr=0.05, momentum=0.9, weight_decay=0.01)
    adam = Network(rng, torch.optim.AdamW, warm=3, lr=0.02, weight_decay=0.1)
    return {"SGD": steps(lab, heavy, 3), "AdamW": steps(lab, adam, 3)}


@check("masked_step", tolerance=ROUNDING)
def gradients_of_this_batch_alone(lab, rng):
    """A gradient that was there before the step does not count."""
    network = Network(rng, torch.optim.SGD, lr=0.1)
    for parameter in [*network.weights.values(), network.bias]:
        parameter.grad = torch.ones_like(parameter)
    return steps(lab, network, 1)


@check("masked_step", tolerance=ROUNDING)
def a_mask_for_some_layers(lab, rng):
    """A layer without a mask is trained as a whole; the weights stay the network's own parameters."""
    network = Network(rng, torch.optim.SGD, warm=2, lr=0.05, momentum=0.5)
    network.masks = {"b": network.masks["b"]}
    same = dict(network.weights)
    return {
        "steps": steps(lab, network, 2),
        "the same objects": [network.weights[name] is weight for name, weight in same.items()],
    }


@check("masked_step", tolerance=exact)
def a_loss_that_is_not_a_number(lab, rng):
    """An infinite or undefined loss raises ValueError before anything is changed; a good one does not."""
    network = Network(rng, torch.optim.AdamW, warm=2, lr=0.1)
    network.broken = True
    before = network.state()
    error = error_of(lambda: steps(lab, network, 1))
    after = network.state()
    network.broken = False
    return {
        "error": error,
        "unchanged": [bool(torch.equal(before[name], after[name])) for name in before],
        "good": error_of(lambda: steps(lab, network, 1)),
    }


# --- prune_and_finetune ----------------------------------------------------------------------------------------


class Training:
    """A stand-in for a network and its training, which keeps a journal of what was done to it."""

    def __init__(self, rng, shift=0.5):
        self.weights = layers(rng)
        self.pulls = {name: shift * normal(rng, *weight.shape) for name, weight in self.weights.items()}
        self.gains = {name: torch.rand(weight.shape, generator=rng) for name, weight in self.weights.items()}
        self.journal = []

    @torch.no_grad()
    def finetune(self, masks):
        self.journal.append({"masks": {name: mask.clone() for name, mask in masks.items()}})
        for name, weight in self.weights.items():
            weight.add_(self.pulls[name])
            if name in masks:
                weight.mul_(masks[name])

    @torch.no_grad()
    def train_epoch(self):
        self.journal.append(copies(self.weights))
        for name, weight in self.weights.items():
            weight.add_(self.pulls[name] * (-0.7) ** len(self.journal))

    @torch.no_grad()
    def evaluate(self):
        return float(sum((w.square() * self.gains[name]).sum() for name, w in self.weights.items()))


def whole_flow(lab, training, sparsities, prune):
    """Everything that can be seen of one call: what it returned, what it trained with, what the network is now."""
    result = lab.prune_and_finetune(training.weights, sparsities, prune, training.finetune, training.evaluate)
    return {"returned": result, "fine-tuned with": training.journal, "network": training.weights}


@check("prune_and_finetune", tolerance=ROUNDING)
def one_shot(lab, rng):
    """One sparsity: prune, evaluate, fine-tune with the mask, evaluate."""
    return whole_flow(lab, Training(rng), [0.6], by_size)


@check("prune_and_finetune", tolerance=ROUNDING, weight=2)
def from_the_weights_as_they_are(lab, rng):
    """Each round takes its mask from the weights as the round before left them, fine-tuned."""
    return whole_flow(lab, Training(rng), [0.2, 0.4, 0.7], by_size)


@check("prune_and_finetune", tolerance=ROUNDING)
def removed_stays_removed(lab, rng):
    """What an earlier round removed stays removed, also where the rule would keep it now."""
    return whole_flow(lab, Training(rng), [0.3, 0.5, 0.5], by_value)


@check("prune_and_finetune", tolerance=ROUNDING)
def nothing_and_everything(lab, rng):
    """Sparsity 0 removes nothing and sparsity 1 removes everything; the network keeps its own parameters."""
    training = Training(rng)
    same = dict(training.weights)
    flow = whole_flow(lab, training, [0.0, 1.0], by_size)
    return {"flow": flow, "the same objects": [training.weights[name] is same[name] for name in same]}


@check("prune_and_finetune", tolerance=exact)
def prune_and_finetune_refuses(lab, rng):
    """No sparsity, or sparsities that fall, raise ValueError before anything is changed; good ones do not."""
    training = Training(rng)
    before = copies(training.weights)
    return {
        "empty": error_of(lambda: whole_flow(lab, training, [], by_size)),
        "falls": error_of(lambda: whole_flow(lab, training, [0.2, 0.6, 0.4], by_size)),
        "unchanged": [bool(torch.equal(before[name], training.weights[name])) for name in before],
        "good": error_of(lambda: whole_flow(lab, training, [0.2, 0.2, 0.6], by_size)),
    }


# --- iterative_sparsities --------------------------------------------------------------------------------------


@check("iterative_sparsities", tolerance=close(1e-6, 1e-9), weight=2)
def the_same_fraction_of_what_is_left(lab, rng):
    """Each round removes the same fraction of the weights that are left, and the last one ends at the final sparsity."""
    finals = (0.5 + 0.49 * torch.rand(3, generator=rng)).tolist()
    return {f"final {s}, {r} rounds": lab.iterative_sparsities(s, r) for s in finals for r in (2, 3, 7)}


@check("iterative_sparsities", tolerance=close(1e-6, 1e-9))
def one_round(lab, rng):
    """One round is one shot: a list with the final sparsity alone."""
    return lab.iterative_sparsities(float(0.3 + 0.5 * torch.rand(1, generator=rng)), 1)


@check("iterative_sparsities", tolerance=close(1e-6, 1e-9))
def final_sparsity_zero_or_one(lab, rng):
    """A final sparsity of 0 removes nothing in any round, one of 1 removes everything in every round."""
    return {f"final {s}": lab.iterative_sparsities(s, 4) for s in (0.0, 1.0)}


@check("iterative_sparsities", tolerance=exact)
def iterative_sparsities_refuses(lab, rng):
    """A final sparsity that is no fraction, or less than one round, raises ValueError; good input does not."""
    cases = {
        "below 0": (-0.1, 3),
        "above 1": (1.5, 3),
        "NaN": (float("nan"), 3),
        "no round": (0.5, 0),
        "good": (0.5, 2),
    }
    return {name: error_of(lambda args=args: lab.iterative_sparsities(*args)) for name, args in cases.items()}


# --- cubic_sparsity --------------------------------------------------------------------------------------------


def drawn(rng):
    """A start, a number of updates, an interval above 2, a final and an initial sparsity above 0."""
    start, updates, interval = (int(torch.randint(low, low + 6, (1,), generator=rng)) for low in (11, 4, 3))
    low, high = (torch.rand(2, generator=rng) * 0.2).tolist()
    return start, updates, interval, 0.75 + high, 0.1 + low


@check("cubic_sparsity", tolerance=close(1e-6, 1e-9), weight=2)
def at_the_updates(lab, rng):
    """At the steps of the updates the sparsity follows equation 1, from the initial to the final one."""
    start, n, dt, final, initial = drawn(rng)
    return [lab.cubic_sparsity(start + i * dt, start, n, dt, final, initial) for i in range(n + 1)]


@check("cubic_sparsity", tolerance=close(1e-6, 1e-9))
def between_two_updates(lab, rng):
    """Between two updates the sparsity stays what it was at the earlier one."""
    start, n, dt, final, initial = drawn(rng)
    return [lab.cubic_sparsity(t, start, n, dt, final, initial) for t in range(start, start + n * dt + 1)]


@check("cubic_sparsity", tolerance=close(1e-6, 1e-9))
def before_and_after(lab, rng):
    """Before the start the sparsity is the initial one, and after the last update it stays the final one."""
    start, n, dt, final, initial = drawn(rng)
    end = start + n * dt
    return {
        "before": [lab.cubic_sparsity(t, start, n, dt, final, initial) for t in (0, start - dt, start - 1)],
        "after": [lab.cubic_sparsity(t, start, n, dt, final, initial) for t in (end + 1, end + dt, 3 * end)],
    }


@check("cubic_sparsity", tolerance=close(1e-6, 1e-9))
def without_an_initial_sparsity(lab, rng):
    """The initial sparsity is 0 unless it is given; one update goes from the initial to the final sparsity at once."""
    start, n, dt, final, initial = drawn(rng)
    return {
        "default": [lab.cubic_sparsity(start + i * dt, start, n, dt, final) for i in range(n + 1)],
        "one update": [lab.cubic_sparsity(t, 0, 1, 5, final, initial) for t in (0, 4, 5, 6)],
        "all equal": lab.cubic_sparsity(start + dt, start, n, dt, 0.5, 0.5),
    }


@check("cubic_sparsity", tolerance=exact)
def cubic_sparsity_refuses(lab, rng):
    """No update, no interval, a sparsity outside 0 to 1 or a final one below the initial raise ValueError; good input does not."""
    cases = {
        "no update": (5, 0, 0, 2, 0.5, 0.0), "no interval": (5, 0, 4, 0, 0.5, 0.0), "above 1": (5, 0, 4, 2, 1.5, 0.0),
        "below 0": (5, 0, 4, 2, 0.5, -0.1), "falls": (5, 0, 4, 2, 0.5, 0.6), "NaN": (5, 0, 4, 2, float("nan"), 0.0),
        "good": (5, 0, 4, 2, 0.5, 0.1),
    }  # fmt: skip
    return {name: error_of(lambda args=args: lab.cubic_sparsity(*args)) for name, args in cases.items()}


# --- train_time_pruning ----------------------------------------------------------------------------------------


def whole_training(lab, training, sparsities, prune):
    """Everything that can be seen of one call; the journal holds the network at the start of each epoch."""
    result = lab.train_time_pruning(training.weights, sparsities, prune, training.train_epoch)
    return {"returned": result, "network before each epoch": training.journal, "network": training.weights}


@check("train_time_pruning", tolerance=ROUNDING)
def one_epoch(lab, rng):
    """One epoch: train, then prune. Nothing has grown back."""
    return whole_training(lab, Training(rng, shift=2.0), [0.6], by_size)


@check("train_time_pruning", tolerance=ROUNDING, weight=2)
def masks_are_renewed(lab, rng):
    """Each epoch's masks come from all the weights as they are then, and what has grown back is counted."""
    return whole_training(lab, Training(rng, shift=2.0), [0.5, 0.5, 0.5, 0.5], by_size)


@check("train_time_pruning", tolerance=ROUNDING)
def a_sparsity_for_each_epoch(lab, rng):
    """Each epoch has a sparsity of its own, and any rule will do."""
    return whole_training(lab, Training(rng, shift=2.0), [0.2, 0.7, 0.4], by_value)


@check("train_time_pruning", tolerance=ROUNDING)
def zero_and_one_in_training(lab, rng):
    """Sparsity 0 removes nothing and 1 removes everything; the network keeps its own parameters."""
    training = Training(rng, shift=2.0)
    same = dict(training.weights)
    seen = whole_training(lab, training, [0.0, 1.0, 0.0], by_size)
    return {"seen": seen, "the same objects": [training.weights[name] is same[name] for name in same]}


@check("train_time_pruning", tolerance=exact)
def train_time_pruning_refuses(lab, rng):
    """No sparsity raises ValueError before anything is changed; a good list does not."""
    training = Training(rng)
    return {
        "empty": error_of(lambda: whole_training(lab, training, [], by_size)),
        "epochs so far": len(training.journal),
        "good": error_of(lambda: whole_training(lab, training, [0.5], by_size)),
    }
