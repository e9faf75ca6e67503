"""Hidden checks of lab 10. Experiments only: they observe, and no expected answer stands here."""

import torch
from torch import nn

from autograder.experiment import at_most, check, close, error_of, exact

ROUNDING = close(1e-5, 1e-7)
INF, NAN = float("inf"), float("nan")


def normal(rng, *shape, dtype=torch.float32):
    """Weights as they come from training: no two equal, none zero."""
    return torch.randn(*shape, generator=rng, dtype=dtype)


def some(rng, *shape):
    """A mask that keeps about half; its first two entries are False and True."""
    mask = torch.rand(*shape, generator=rng) < 0.5
    mask.view(-1)[:2] = torch.tensor([False, True])
    return mask


def copies(tensors):
    """The tensors as they are now."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


# --- rewind ----------------------------------------------------------------------------------------------------


def network(rng):
    """The parameters of a network after training: two weights and a bias."""
    return {
        "a": nn.Parameter(normal(rng, 6, 5)),
        "a.bias": nn.Parameter(normal(rng, 6)),
        "b": nn.Parameter(normal(rng, 4, 6)),
    }


def earlier(rng, parameters):
    """A checkpoint of an earlier step, with an entry that is no parameter."""
    return {name: normal(rng, *value.shape) for name, value in parameters.items()} | {
        "running": normal(rng, 3)
    }


@check("rewind", tolerance=exact, weight=2)
def kept_weights_go_back(lab, rng):
    """Kept weights have the checkpoint's values, removed ones are 0, and a parameter without a mask goes back as a whole."""
    parameters = network(rng)
    checkpoint = earlier(rng, parameters)
    lab.rewind(parameters, checkpoint, {name: some(rng, *parameters[name].shape) for name in ("a", "b")})
    return parameters


@check("rewind", tolerance=exact)
def without_masks_and_with_empty_ones(lab, rng):
    """Without any mask the whole network goes back; a mask that keeps nothing leaves zeros."""
    parameters = network(rng)
    checkpoint = earlier(rng, parameters)
    lab.rewind(parameters, checkpoint, {})
    whole = copies(parameters)
    lab.rewind(parameters, checkpoint, {"b": torch.zeros(4, 6, dtype=torch.bool)})
    return {"no mask": whole, "b empty": copies(parameters)}


@check("rewind", tolerance=exact)
def in_place_and_apart_from_the_checkpoint(lab, rng):
    """The network's own parameters are changed in place, and the checkpoint stays as it is, now and later."""
    parameters = network(rng)
    same, checkpoint = dict(parameters), earlier(rng, parameters)
    for parameter in same.values():
        parameter.grad = torch.ones_like(parameter)
    before = copies(checkpoint)
    returned = lab.rewind(parameters, checkpoint, {"a": some(rng, 6, 5)})
    network_now = copies(same)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(1)
    return {
        "returned": returned,
        "the network": network_now,
        "the same objects": [parameters[name] is same[name] for name in same],
        "trainable leaves": [parameter.requires_grad and parameter.is_leaf for parameter in same.values()],
        "gradients": [parameter.grad for parameter in same.values()],
        "checkpoint unchanged": [bool(torch.equal(checkpoint[name], before[name])) for name in before],
    }


@check("rewind", tolerance=exact)
def removed_means_zero(lab, rng):
    """A removed weight is 0 also where the checkpoint or the network holds an infinite or undefined value."""
    weight = normal(rng, 3, 4, dtype=torch.float64).t()
    weight[0] = torch.tensor([NAN, INF, -INF])
    start = normal(rng, 4, 3, dtype=torch.float64)
    start[1] = torch.tensor([INF, NAN, -INF])
    mask = some(rng, 4, 3)
    mask[1] = False
    lab.rewind({"w": weight}, {"w": start}, {"w": mask})
    return weight


@check("rewind", tolerance=exact)
def rewind_refuses(lab, rng):
    """A missing entry, an unknown mask or another shape raises ValueError before anything is changed; good input does not."""
    parameters = network(rng)
    checkpoint = earlier(rng, parameters)
    before = copies(parameters)
    missing = {name: value for name, value in checkpoint.items() if name != "b"}
    row = some(rng, 6)
    cases = {
        "missing": lambda: lab.rewind(parameters, missing, {}),
        "unknown mask": lambda: lab.rewind(parameters, checkpoint, {"running": some(rng, 3)}),
        "checkpoint shape": lambda: lab.rewind(parameters, checkpoint | {"b": normal(rng, 1, 6)}, {}),
        "mask shape": lambda: lab.rewind(parameters, checkpoint, {"b": row}),
    }
    errors = {name: error_of(call) for name, call in cases.items()}
    unchanged = [bool(torch.equal(before[name], parameters[name])) for name in before]
    good = error_of(lambda: lab.rewind(parameters, checkpoint, {"b": some(rng, 4, 6)}))
    return {"errors": errors, "unchanged": unchanged, "good": good}


# --- find_ticket -----------------------------------------------------------------------------------------------


class Training:
    """A deterministic stand-in for training, which keeps a journal of what it was given and works in place."""

    def __init__(self, rng, shapes=None):
        shapes = shapes or {"a": (5, 4), "b": (3, 5), "c": (7,)}
        self.initial = {name: normal(rng, *shape) for name, shape in shapes.items()}
        scales = (2.0, 0.5, 5.0)  # of the layers: one pool and three pools differ
        self.pulls = {
            name: scale * normal(rng, *shape) for (name, shape), scale in zip(shapes.items(), scales)
        }
        self.journal = []

    def train(self, start, masks):
        self.journal.append(
            {"start": copies(start), "masks": copies(masks), "order": [list(start), list(masks)]}
        )
        turn = 0.3 * len(self.journal)  # no two rounds train alike
        for name in start:
            start[name].mul_(0.5).add_(self.pulls[name] * (1 + turn * torch.cos(self.pulls[name]))).mul_(
                masks[name]
            )
        return start


def size(w_i, w_f):
    """The usual criterion."""
    return w_f.abs()


def smallness(w_i, w_f):
    """A criterion of both signs, by which a removed weight, which is zero, ranks high."""
    return 1 - w_f.abs() + 0.1 * w_i


def whole_search(lab, training, score, rounds, fraction):
    """Everything that can be seen of one search."""
    result = lab.find_ticket(training.initial, training.train, score, rounds, fraction)
    return {"masks": result, "trained from": training.journal, "initial": training.initial}


@check("find_ticket", tolerance=ROUNDING)
def one_round(lab, rng):
    """One round: train the whole network, and remove the lowest scores of all the layers together."""
    return whole_search(lab, Training(rng), size, 1, 0.4)


@check("find_ticket", tolerance=ROUNDING, weight=2)
def every_round_begins_at_the_start(lab, rng):
    """Each round trains the masked initial weights anew, and removes its share of what is left."""
    return whole_search(lab, Training(rng), size, 4, 0.3)


@check("find_ticket", tolerance=ROUNDING)
def training_may_change_what_it_gets(lab, rng):
    """Training that spoils the weights and the masks that it was given in place does not disturb the search."""
    training = Training(rng)
    given = []

    def train(start, masks):
        given.append(copies(masks))
        trained = copies(training.train(start, masks))
        for name in start:
            start[name].fill_(7)
            masks[name].fill_(True)
        return trained

    masks = lab.find_ticket(training.initial, train, size, 3, 0.4)
    return {"masks": masks, "trained with": given, "initial": training.initial}


@check("find_ticket", tolerance=ROUNDING)
def the_criterion_sees_the_whole_start(lab, rng):
    """The criterion gets the initial weight as it stands, removed entries too, and the trained weight of the round."""
    training = Training(rng)

    def score(w_i, w_f):
        return w_f.abs() * w_i.square().mean() ** 2  # never negative; it looks at the whole layer

    return lab.find_ticket(training.initial, training.train, score, 3, 0.4)


@check("find_ticket", tolerance=ROUNDING)
def any_criterion(lab, rng):
    """The criterion ranks, whatever its sign, and what was removed stays removed even where it scores high."""
    return whole_search(lab, Training(rng), smallness, 4, 0.35)


@check("find_ticket", tolerance=ROUNDING)
def a_ticket_that_is_known(lab, rng):
    """Least squares with some useless inputs, trained to its end: the ticket is found, round after round."""
    useful = torch.rand(8, generator=rng) + 1
    useful[torch.randperm(8, generator=rng)[:5]] = 0
    initial = {"w": normal(rng, 8)}

    def train(start, masks):
        return {"w": torch.where(masks["w"], useful + 0.01 * start["w"], 0)}

    return lab.find_ticket(initial, train, size, 3, 0.5)


@check("find_ticket", tolerance=exact)
def equal_scores(lab, rng):
    """Of equal scores the first go, across the layers and row by row; the number is rounded as Python rounds."""
    initial = {"b": torch.ones(2, 3), "a": torch.ones(5), "c": torch.ones(3, 3).t()[:, :2]}
    order = torch.randint(0, 2, (5,), generator=rng).float()

    def score(w_i, w_f):
        return order.clone() if w_f.dim() == 1 else torch.ones_like(w_f)

    return [lab.find_ticket(initial, lambda start, masks: start, score, 3, f) for f in (0.5, 0.25)]


@check("find_ticket", tolerance=exact)
def nothing_or_everything(lab, rng):
    """The fraction 0 removes nothing in any round; the fraction 1 removes everything in the first."""
    return {f: whole_search(lab, Training(rng), size, 2, f)["masks"] for f in (0.0, 1.0)}


@check("find_ticket", tolerance=exact)
def find_ticket_refuses(lab, rng):
    """No layer, no round or a fraction outside 0 to 1 raises ValueError before anything is trained; good input does not."""
    training = Training(rng)
    empty = Training(rng)
    empty.initial = {}
    cases = {
        "no layer": (empty, 2, 0.5), "no round": (training, 0, 0.5), "below 0": (training, 2, -0.1),
        "above 1": (training, 2, 1.1), "NaN": (training, 2, NAN),
    }  # fmt: skip
    errors = {
        name: error_of(lambda t=t, r=r, f=f: whole_search(lab, t, size, r, f))
        for name, (t, r, f) in cases.items()
    }
    trained = len(training.journal) + len(empty.journal)
    good = error_of(lambda: whole_search(lab, training, size, 2, 0.5))
    return {"errors": errors, "trained": trained, "good": good}


# --- ticket_scores ---------------------------------------------------------------------------------------------

PLAIN = ("large_final", "small_final", "large_init", "small_init", "magnitude_increase", "movement")
SCALED = ("large_init_large_final", "small_init_small_final")


def pair(rng, *shape, dtype=torch.float32):
    """Weights before and after training; about a third of the signs have flipped."""
    return normal(rng, *shape, dtype=dtype), 1.5 * normal(rng, *shape, dtype=dtype)


@check("ticket_scores", tolerance=ROUNDING, weight=2)
def large_and_small(lab, rng):
    """The four criteria of one value alone: large or small, before or after training."""
    w_i, w_f = pair(rng, 5, 4)
    return {name: lab.ticket_scores(w_i, w_f, name) for name in PLAIN[:4]}


@check("ticket_scores", tolerance=ROUNDING, weight=2)
def increase_and_movement(lab, rng):
    """magnitude_increase is the growth of the magnitude; movement is the distance travelled."""
    w_i, w_f = pair(rng, 5, 4)
    return {name: lab.ticket_scores(w_i, w_f, name) for name in PLAIN[4:]}


@check("ticket_scores", tolerance=ROUNDING, weight=2)
def both_large_or_both_small(lab, rng):
    """The two criteria of both values; alpha scales the final one, and is 1 unless it is given."""
    w_i, w_f = pair(rng, 5, 4)
    alphas = {name: {a: lab.ticket_scores(w_i, w_f, name, a) for a in (0.4, 1.0, 2.5)} for name in SCALED}
    return {"alpha": alphas, "default": {name: lab.ticket_scores(w_i, w_f, name) for name in SCALED}}


def unevenness(answer, rng):
    """How far random scores are from uniform and independent: of the place, of the weights, inside [0, 1)."""
    draws = answer["draws"]  # draws, weights
    good = isinstance(draws, torch.Tensor) and draws.shape == (600, 8) and draws.is_floating_point()
    if not good or not bool(draws.isfinite().all()):
        return {"unevenness": 1e9}
    draws = draws.double()
    outside = float(((draws < 0) | (draws >= 1)).double().mean())
    place = float((draws.mean(0) - 0.5).abs().max())
    spread = float((draws.var(0) - 1 / 12).abs().max())
    link = float((torch.corrcoef(draws.t()) - torch.eye(8, dtype=torch.float64)).nan_to_num(1).abs().max())
    # from one draw to the next, with the same generator going on
    series = float(
        (torch.corrcoef(torch.stack([draws[:-1].flatten(), draws[1:].flatten()]))[0, 1]).nan_to_num(1).abs()
    )
    return {"unevenness": max(outside * 100, place * 4, spread * 8, link, series)}


@check("ticket_scores", tolerance={"unevenness": at_most(0.0, 0.3)}, measure=unevenness)
def random_scores_are_uniform(lab, rng):
    """random gives each weight a uniform number in [0, 1), whatever the weights are, and new ones in every call."""
    w_i, w_f = pair(rng, 8)
    generator = torch.Generator().manual_seed(int(torch.randint(1 << 30, (1,), generator=rng)))
    scores = [lab.ticket_scores(w_i, w_f, "random", generator=generator) for _ in range(600)]
    return {"draws": torch.stack(scores)}


@check("ticket_scores", tolerance=exact)
def random_scores_follow_the_generator(lab, rng):
    """random draws from the generator that is given: the same seed gives the same scores, and the global one is left alone."""
    w_i, w_f = pair(rng, 6, 3)
    seed = int(torch.randint(1 << 30, (1,), generator=rng))
    state = torch.random.get_rng_state()
    one, two = (lab.ticket_scores(w_i, w_f, "random", 1.0, torch.Generator().manual_seed(seed)) for _ in "12")
    other = lab.ticket_scores(w_i, w_f, "random", 1.0, torch.Generator().manual_seed(seed + 1))
    untouched = bool(torch.equal(state, torch.random.get_rng_state()))
    torch.manual_seed(seed)
    three = lab.ticket_scores(w_i, w_f, "random")
    torch.manual_seed(seed)
    four = lab.ticket_scores(w_i, w_f, "random")
    torch.manual_seed(seed + 1)
    five = lab.ticket_scores(w_i, w_f, "random")
    return {
        "same seed": bool(torch.equal(one, two)), "other seed": bool(torch.equal(one, other)),
        "global generator untouched": untouched, "global, same seed": bool(torch.equal(three, four)),
        "global, other seed": bool(torch.equal(three, five)), "shape": list(one.shape), "dtype": str(one.dtype),
    }  # fmt: skip


@check("ticket_scores", tolerance=ROUNDING)
def shapes_types_and_gradients(lab, rng):
    """Scores have the weights' shape and dtype and no gradient history; the weights are as they were."""
    w_i, w_f = pair(rng, 2, 3, 4, dtype=torch.float64)
    w_i, w_f = w_i.transpose(0, 2), w_f.transpose(0, 2)
    w_f.requires_grad_()
    before = w_i.clone(), w_f.detach().clone()
    scores = {name: lab.ticket_scores(w_i, w_f, name) for name in PLAIN + SCALED}
    attached = [score.requires_grad for score in scores.values()]
    kept = copies(scores)
    for score in scores.values():
        score.detach().add_(1)
    return {
        "scores": kept, "gradient": attached,
        "unchanged": [bool(torch.equal(a, b)) for a, b in zip(before, (w_i, w_f.detach()))],
    }  # fmt: skip


@check("ticket_scores", tolerance=exact)
def ticket_scores_refuses(lab, rng):
    """An unknown criterion, other shapes or an alpha that is not above 0 raises ValueError; good input does not."""
    w_i, w_f = pair(rng, 3, 4)
    cases = {
        "unknown": (w_i, w_f, "largest"), "a row": (w_i, w_f[0], "large_final"), "turned": (w_i, w_f.t(), "movement"),
        "alpha 0": (w_i, w_f, "large_init_large_final", 0.0), "alpha below 0": (w_i, w_f, "large_init_large_final", -1.0),
        "good": (w_i, w_f, "large_init_large_final", 0.5),
    }  # fmt: skip
    return {name: error_of(lambda args=args: lab.ticket_scores(*args)) for name, args in cases.items()}


# --- keep_signs ------------------------------------------------------------------------------------------------


@check("keep_signs", tolerance=exact, weight=2)
def magnitudes_new_signs_old(lab, rng):
    """The result has the magnitudes of the fresh values and the signs of the initial ones."""
    return lab.keep_signs(normal(rng, 5, 4), normal(rng, 5, 4))


@check("keep_signs", tolerance=exact)
def one_size(lab, rng):
    """Fresh values of one size, positive or negative, give that size with the initial signs."""
    return [lab.keep_signs(normal(rng, 7), torch.full((7,), value)) for value in (0.25, -0.25, 0.0)]


@check("keep_signs", tolerance=exact)
def no_sign_to_keep(lab, rng):
    """Where the initial weight is 0.0 or -0.0 the fresh value stays as it is."""
    initial = normal(rng, 8)
    initial[:4] = torch.tensor([0.0, 0.0, -0.0, -0.0])
    fresh = normal(rng, 8).abs() * torch.tensor([1.0, -1.0] * 4)
    return lab.keep_signs(initial, fresh)


@check("keep_signs", tolerance=exact)
def a_new_tensor(lab, rng):
    """The result is a new tensor without gradient history, and the inputs are as they were; any layout and float64 will do."""
    initial, fresh = normal(rng, 3, 4, dtype=torch.float64).t(), normal(rng, 4, 3, dtype=torch.float64)
    before = initial.clone(), fresh.clone()
    result = lab.keep_signs(initial.clone().requires_grad_(), fresh.clone().requires_grad_())
    again = lab.keep_signs(initial, fresh)
    kept = again.detach().clone()
    again.detach().add_(1)
    return {
        "result": result, "gradient": result.requires_grad, "again": kept,
        "unchanged": [bool(torch.equal(a, b)) for a, b in zip(before, (initial, fresh))],
    }  # fmt: skip


@check("keep_signs", tolerance=exact)
def keep_signs_refuses(lab, rng):
    """Two shapes raise ValueError, also where PyTorch would stretch one; the same shape does not."""
    cases = {"a row": (normal(rng, 3, 4), normal(rng, 4)), "turned": (normal(rng, 3, 4), normal(rng, 4, 3)),
             "a number": (normal(rng, 3), normal(rng, 1)), "good": (normal(rng, 3), normal(rng, 3))}  # fmt: skip
    return {name: error_of(lambda args=args: lab.keep_signs(*args)) for name, args in cases.items()}


# --- supermask_accuracy ----------------------------------------------------------------------------------------


class Net(nn.Module):
    """A small random network with BatchNorm and dropout: in training mode its outputs are others."""

    def __init__(self, rng):
        super().__init__()
        self.first, self.norm, self.drop, self.last = (
            nn.Linear(12, 10), nn.BatchNorm1d(10), nn.Dropout(0.7), nn.Linear(10, 4),
        )  # fmt: skip
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(normal(rng, *parameter.shape))
            self.last.bias.mul_(0.1)  # no class is favoured: the answers depend on the image
            self.norm.running_mean.copy_(normal(rng, 10))
            self.norm.running_var.copy_(torch.rand(10, generator=rng) + 0.5)

    def forward(self, images):
        return self.last(self.drop(torch.relu(self.norm(self.first(images.flatten(1))))))


def judged(rng, count=211):
    """Images of shape 3 by 4 and labels of four classes."""
    return normal(rng, count, 3, 4), torch.randint(0, 4, (count,), generator=rng)


def masks_for(rng, model, *names):
    """Masks for some of a model's parameters."""
    return {name: some(rng, *dict(model.named_parameters())[name].shape) for name in names}


def accuracies(lab, rng, model, masks, images):
    """One network and eight sets of labels: two networks that answer differently do not agree on all of them."""
    labels = [torch.randint(0, 4, (len(images),), generator=rng) for _ in range(8)]
    return [lab.supermask_accuracy(model, masks, images, answers) for answers in labels]


@check("supermask_accuracy", tolerance=close(1e-6, 1e-6), weight=2)
def accuracy_of_masked_networks(lab, rng):
    """Right answers of the masked network divided by all images, for several networks and numbers of images."""
    seen = []
    for count in (1, 97, 211, 1003):
        model = Net(rng).eval()
        masks = masks_for(rng, model, "first.weight", "last.weight")
        seen.append(accuracies(lab, rng, model, masks, judged(rng, count)[0]))
    return seen


@check("supermask_accuracy", tolerance=close(1e-6, 1e-6))
def which_parameters_have_masks(lab, rng):
    """Without a mask a parameter is used as it is; a mask may also be for a bias; an empty mask leaves zeros."""
    seen = []
    for _ in range(3):
        model, (images, _) = Net(rng).eval(), judged(rng)
        cases = {
            "none": {}, "one": masks_for(rng, model, "first.weight"), "a bias": masks_for(rng, model, "first.bias", "norm.weight"),
            "nothing kept": {"last.weight": torch.zeros(4, 10, dtype=torch.bool)},
        }  # fmt: skip
        seen.append({name: accuracies(lab, rng, model, masks, images) for name, masks in cases.items()})
    return seen


@check("supermask_accuracy", tolerance=close(1e-6, 1e-6))
def judged_in_evaluation_mode(lab, rng):
    """Dropout and BatchNorm work as in evaluation mode, even if the model comes in training mode."""
    models = [Net(rng).train() for _ in range(3)]
    return [
        accuracies(lab, rng, model, masks_for(rng, model, "first.weight"), judged(rng, 499)[0])
        for model in models
    ]


@check("supermask_accuracy", tolerance=exact)
def the_model_is_left_as_it_was(lab, rng):
    """Afterwards the parameters, their gradients, the buffers and the mode of every module are those of before."""
    model = Net(rng).train()
    model.drop.eval()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    with torch.no_grad():
        model.first.weight[0, 0] = NAN
    same, before = dict(model.named_parameters()), copies(model.state_dict())
    masks = masks_for(rng, model, "first.weight", "last.weight")
    kept = copies(masks)
    lab.supermask_accuracy(model, masks, *judged(rng))
    now = dict(model.named_parameters())
    return {
        "names": list(now), "same objects": [now.get(name) is same[name] for name in same],
        "values": [bool(torch.equal(before[n].nan_to_num(7.0), value.nan_to_num(7.0))) for n, value in model.state_dict().items()],
        "gradients": [bool((p.grad == 1).all()) if p.grad is not None else "none" for p in same.values()],
        "trainable": [p.requires_grad for p in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "masks": [bool(torch.equal(kept[name], masks[name])) for name in masks],
    }  # fmt: skip


@check("supermask_accuracy", tolerance=close(1e-6, 1e-6))
def infinite_weights_that_are_removed(lab, rng):
    """A removed weight counts as 0 also where it is infinite; of equal logits the first class is taken."""
    model = Net(rng).eval()
    images, _ = judged(rng)
    mask = torch.ones(10, 12, dtype=torch.bool)
    with torch.no_grad():
        model.first.weight[3, :5] = INF
    mask[3, :5] = False
    flat = nn.Linear(12, 4).eval()
    nothing = {"weight": torch.zeros(4, 12, dtype=torch.bool), "bias": torch.zeros(4, dtype=torch.bool)}
    return {
        "infinite": accuracies(lab, rng, model, {"first.weight": mask}, images),
        "all equal": accuracies(lab, rng, flat, nothing, images.flatten(1)),
    }


@check("supermask_accuracy", tolerance=exact)
def supermask_accuracy_refuses(lab, rng):
    """A mask for no parameter or of another shape, no image, or another number of labels raises ValueError; good input does not."""
    model = Net(rng).eval()
    images, labels = judged(rng, 30)
    good = masks_for(rng, model, "first.weight")
    cases = {
        "unknown": (model, {"first": good["first.weight"]}, images, labels),
        "a row": (model, {"first.weight": some(rng, 12)}, images, labels),
        "no image": (model, good, images[:0], labels[:0]),
        "fewer labels": (model, good, images, labels[:1]),
        "good": (model, good, images, labels),
    }
    return {name: error_of(lambda args=args: lab.supermask_accuracy(*args)) for name, args in cases.items()}


# --- scratch_epochs --------------------------------------------------------------------------------------------


def whole(rng, low, high):
    """A random whole number, low <= n < high."""
    return int(torch.randint(low, high, (1,), generator=rng))


@check("scratch_epochs", tolerance=exact, weight=2)
def equal_epochs_and_equal_budget(lab, rng):
    """E is the large network's number of epochs; B is what its multiply-adds pay for, rounded down."""
    cases = []
    for _ in range(12):
        pruned = whole(rng, 1000, 90000)
        cases.append((whole(rng, 5, 200), pruned + whole(rng, 1, 200000), pruned))
    return [lab.scratch_epochs(*case) for case in cases]


@check("scratch_epochs", tolerance=exact)
def a_budget_that_is_spent_exactly(lab, rng):
    """Where the budget is spent exactly, that number of epochs is given, not one less."""
    seen = []
    while len(seen) < 10:
        epochs = whole(rng, 3, 200)
        longer, unit = epochs + whole(rng, 0, 500), whole(rng, 1, 1000)
        if epochs * (longer / epochs) < longer:  # where a quotient of floats is a little too small
            seen.append(lab.scratch_epochs(epochs, longer * unit, epochs * unit))
    return seen


@check("scratch_epochs", tolerance=exact)
def nothing_pruned_and_huge_networks(lab, rng):
    """Without pruning B = E; and the numbers are exact for the largest networks."""
    macs = whole(rng, 10, 10**6)
    seen = [lab.scratch_epochs(7, macs, macs), lab.scratch_epochs(1, macs, 1)]
    for _ in range(20):
        small = whole(rng, 2, 10**6)
        seen.append(lab.scratch_epochs(whole(rng, 2, 300), 10**20 + whole(rng, 0, 10**9), small))
    return seen


@check("scratch_epochs", tolerance=exact)
def scratch_epochs_refuses(lab, rng):
    """No epoch, no MACs, or a pruned network that costs more raises ValueError; good input does not."""
    cases = {
        "no epoch": (0, 900, 400), "no MACs": (5, 900, 0), "below 0": (5, -900, -1000), "costs more": (5, 400, 401),
        "good": (5, 400, 400),
    }  # fmt: skip
    return {name: error_of(lambda args=args: lab.scratch_epochs(*args)) for name, args in cases.items()}
