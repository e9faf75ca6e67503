"""Hidden checks of lab 3. Experiments only: they observe, and no expected answer stands here."""

import torch

from autograder.experiment import check, close, error_of, exact


def normal(rng, *shape, dtype=torch.float32):
    """Weights as they come from training: no two equal."""
    return torch.randn(*shape, generator=rng, dtype=dtype)


def with_ties(rng, *shape):
    """Weights of which many have the same magnitude: integers from -3 to 3."""
    return torch.randint(-3, 4, shape, generator=rng).float()


def by_quantile(weight, sparsity):
    """A rule for `prune` that is not magnitude: keep the values (not magnitudes) from the quantile up."""
    return weight >= torch.quantile(weight.double().flatten(), sparsity).to(weight.dtype)


# --- threshold_mask --------------------------------------------------------------------------------------------


@check("threshold_mask", tolerance=exact, weight=2)
def large_weights_stay(lab, rng):
    """A weight is kept when its magnitude reaches the threshold, whatever its sign."""
    weight = normal(rng, 7, 5)
    return {f"threshold {t}": lab.threshold_mask(weight, t) for t in (0.1, 0.5, 1.5)}


@check("threshold_mask", tolerance=exact)
def the_threshold_itself_is_kept(lab, rng):
    """A weight whose magnitude equals the threshold is kept; a threshold of 0 keeps everything."""
    weight = with_ties(rng, 4, 6)
    return {f"threshold {t}": lab.threshold_mask(weight, float(t)) for t in (0, 1, 2)}


@check("threshold_mask", tolerance=exact)
def threshold_mask_any_tensor(lab, rng):
    """The mask is boolean and has the weight's shape, for any shape, dtype and memory layout; the weight is unchanged."""
    weight = normal(rng, 3, 2, 5, 1, dtype=torch.float64)
    return {
        "4-d": lab.threshold_mask(weight, 0.7),
        "transposed": lab.threshold_mask(weight.flatten(1).t(), 0.7),
        "one entry": lab.threshold_mask(torch.tensor(2.0), 1.0),
        "the weight afterwards": weight,
    }


@check("threshold_mask", tolerance=exact)
def threshold_mask_refuses(lab, rng):
    """A negative threshold raises ValueError; a good one does not."""
    weight = normal(rng, 4)
    return {
        f"threshold {t}": error_of(lambda t=t: lab.threshold_mask(weight, t))
        for t in (-0.5, float("nan"), 0.5)
    }


# --- magnitude_mask --------------------------------------------------------------------------------------------


@check("magnitude_mask", tolerance=exact, weight=2)
def the_smallest_go(lab, rng):
    """The entries with the smallest magnitudes are removed, whatever their sign."""
    weight = normal(rng, 8, 9)
    return {f"sparsity {s}": lab.magnitude_mask(weight, s) for s in (0.25, 0.5, 0.875)}


@check("magnitude_mask", tolerance=exact)
def the_number_is_exact(lab, rng):
    """Exactly round(sparsity * n) entries go, with Python's round, for every n and sparsity."""
    sizes = torch.randint(5, 40, (6,), generator=rng).tolist()
    counts = {}
    for n in [*sizes, 2, 10]:
        weight = normal(rng, n)
        for s in (0.15, 0.25, 0.35, 0.5, 0.77):
            counts[f"n {n}, sparsity {s}"] = int((~lab.magnitude_mask(weight, s)).sum())
    return counts


@check("magnitude_mask", tolerance=exact, weight=2)
def ties_are_broken_by_position(lab, rng):
    """Among equal magnitudes the first ones in row-major order go first, and no more than the number asked for."""
    weight = with_ties(rng, 5, 8)
    return {f"sparsity {s}": lab.magnitude_mask(weight, s) for s in (0.2, 0.4, 0.6, 0.8)}


@check("magnitude_mask", tolerance=exact)
def nothing_and_everything(lab, rng):
    """Sparsity 0 keeps every entry and sparsity 1 removes every entry."""
    weight = with_ties(rng, 3, 4)
    return {f"sparsity {s}": lab.magnitude_mask(weight, s) for s in (0.0, 1.0)}


@check("magnitude_mask", tolerance=exact)
def any_tensor(lab, rng):
    """Any shape, dtype and memory layout will do, the mask is boolean, and the weight is unchanged."""
    weight = normal(rng, 3, 2, 5, 1, dtype=torch.float64)
    transposed = normal(rng, 4, 6).t()
    parameter = torch.nn.Parameter(normal(rng, 6, 2))
    return {
        "4-d": lab.magnitude_mask(weight, 0.8),
        "transposed": lab.magnitude_mask(transposed, 0.8),
        "parameter": lab.magnitude_mask(parameter, 0.8),
        "the weights afterwards": [weight, transposed, parameter],
    }


@check("magnitude_mask", tolerance=exact)
def magnitude_mask_refuses(lab, rng):
    """A sparsity below 0, above 1 or NaN raises ValueError; a good one does not."""
    weight = normal(rng, 10)
    return {
        f"sparsity {s}": error_of(lambda s=s: lab.magnitude_mask(weight, s))
        for s in (-0.1, 1.5, float("nan"), 0.5)
    }


# --- row_scores ------------------------------------------------------------------------------------------------


@check("row_scores", tolerance=close(1e-4))
def linear_rows(lab, rng):
    """For a linear layer [out, in], entry i is the L1 norm (p=1) or the L2 norm (p=2) of row i."""
    weight = normal(rng, 5, 9)
    return {"p=1": lab.row_scores(weight, 1), "p=2": lab.row_scores(weight, 2)}


@check("row_scores", tolerance=close(1e-4))
def filters(lab, rng):
    """For a convolution [out, in, kh, kw], entry i is the norm of the whole filter i, kernels of any shape."""
    weight = normal(rng, 4, 6, 3, 2)
    return {"p=1": lab.row_scores(weight, 1), "p=2": lab.row_scores(weight, 2)}


@check("row_scores", tolerance=close(1e-9, 1e-12))
def row_scores_any_tensor(lab, rng):
    """The scores keep the weight's dtype, the default is p=1, any memory layout will do, the weight is unchanged."""
    weight = normal(rng, 6, 4, 3, 3, dtype=torch.float64)
    before = weight.transpose(0, 1)
    return {
        "default": lab.row_scores(weight),
        "transposed": lab.row_scores(before, 2),
        "the weight afterwards": weight,
    }


@check("row_scores", tolerance=exact)
def row_scores_refuses(lab, rng):
    """A weight of one dimension, or a p that is neither 1 nor 2, raises ValueError; good input does not."""
    return {
        "one dimension": error_of(lambda: lab.row_scores(normal(rng, 4), 1)),
        "p=3": error_of(lambda: lab.row_scores(normal(rng, 4, 2), 3)),
        "good": error_of(lambda: lab.row_scores(normal(rng, 4, 2), 2)),
    }


# --- uniform_masks and global_masks ----------------------------------------------------------------------------


def layers(rng):
    """Three layers of different shapes and scales, so that a common ranking treats them differently."""
    return {
        "conv.weight": 0.2 * normal(rng, 4, 3, 3, 3),
        "fc1.weight": normal(rng, 6, 10),
        "fc2.weight": 3 * normal(rng, 2, 6),
    }


@check("uniform_masks", tolerance=exact, weight=2)
def every_layer_alike(lab, rng):
    """Every layer is pruned by the given rule, to the same sparsity, and its mask has its shape."""
    return {f"sparsity {s}": lab.uniform_masks(layers(rng), s, by_quantile) for s in (0.25, 0.7)}


@check("uniform_masks", tolerance=exact)
def uniform_weights_unchanged(lab, rng):
    """The weights are as they were, and so is the dictionary."""
    weights = layers(rng)
    lab.uniform_masks(weights, 0.5, by_quantile)
    return weights


@check("uniform_masks", tolerance=exact)
def uniform_masks_refuses(lab, rng):
    """Without any layer, ValueError is raised; with one, it is not."""
    one = {"fc.weight": normal(rng, 3, 3)}
    return {
        "no layer": error_of(lambda: lab.uniform_masks({}, 0.5, by_quantile)),
        "one layer": error_of(lambda: lab.uniform_masks(one, 0.5, by_quantile)),
    }


@check("global_masks", tolerance=exact, weight=2)
def one_ranking(lab, rng):
    """All weights are ranked together by the given rule; each layer's mask is its part of that one ranking."""
    weights = layers(rng)
    return {f"sparsity {s}": lab.global_masks(weights, s, by_quantile) for s in (0.25, 0.7)}


@check("global_masks", tolerance=exact)
def pooled_in_order(lab, rng):
    """The pool holds the layers in the order of the dictionary, each flattened in row-major order."""

    def first_go(weight, sparsity):  # a rule that looks at positions only
        return (torch.arange(weight.numel()) >= round(sparsity * weight.numel())).reshape(weight.shape)

    shapes = torch.randint(2, 6, (4, 2), generator=rng).tolist()
    weights = {name: normal(rng, *shape) for name, shape in zip("dacb", shapes)}
    return {f"sparsity {s}": lab.global_masks(weights, s, first_go) for s in (0.1, 0.45, 0.8)}


@check("global_masks", tolerance=exact)
def global_any_tensor(lab, rng):
    """Parameters and transposed weights will do, and they are unchanged afterwards."""
    weights = {"a": torch.nn.Parameter(normal(rng, 20, 30)), "b": 5 * normal(rng, 12, 5).t()}
    return {"masks": lab.global_masks(weights, 0.8, by_quantile), "the weights afterwards": weights}


@check("global_masks", tolerance=exact)
def global_masks_refuses(lab, rng):
    """Without any layer, ValueError is raised; with one, it is not."""
    one = {"fc.weight": normal(rng, 3, 3)}
    return {
        "no layer": error_of(lambda: lab.global_masks({}, 0.5, by_quantile)),
        "one layer": error_of(lambda: lab.global_masks(one, 0.5, by_quantile)),
    }


# --- sensitivity_scan ------------------------------------------------------------------------------------------


class Network:
    """A stand-in for a network: two parameters, and a value that feels every entry of both."""

    def __init__(self, rng):
        self.weights = {
            name: torch.nn.Parameter(normal(rng, *shape)) for name, shape in (("a", (4, 5)), ("b", (3, 4)))
        }
        self.parameters = list(self.weights.values())
        self.gains = [torch.rand(weight.shape, generator=rng) + 0.5 for weight in self.parameters]

    def evaluate(self):
        with torch.no_grad():
            values = [(w.square() * gain).sum() for w, gain in zip(self.parameters, self.gains)]
        return float(values[0] * 3 + values[1])


@check("sensitivity_scan", tolerance=close(1e-4), weight=2)
def one_layer_at_a_time(lab, rng):
    """Each number is measured with one layer pruned by the given rule, and all the others whole."""
    network = Network(rng)
    return lab.sensitivity_scan(network.weights, [0.6], by_quantile, network.evaluate)


@check("sensitivity_scan", tolerance=close(1e-4))
def masks_of_the_unpruned_weight(lab, rng):
    """Each mask is taken from the unpruned weight."""

    def not_twice(weight, sparsity):  # a rule that leaves a weight alone when it is pruned already
        return by_quantile(weight, sparsity) | (weight == 0).any()

    network = Network(rng)
    return lab.sensitivity_scan(network.weights, [0.25, 0.5, 0.9], not_twice, network.evaluate)


@check("sensitivity_scan", tolerance=close(1e-4))
def whole_again_each_time(lab, rng):
    """The layer is whole again before the next sparsity, in whatever order the sparsities come."""
    network = Network(rng)
    return lab.sensitivity_scan(network.weights, [0.9, 0.1, 0.5, 0.1], by_quantile, network.evaluate)


@check("sensitivity_scan", tolerance=exact)
def the_network_is_given_back(lab, rng):
    """Every weight ends exactly as it began: bit for bit, still the same parameter, with no gradient."""
    network = Network(rng)
    same = dict(network.weights)
    lab.sensitivity_scan(network.weights, [0.5, 1.0], by_quantile, network.evaluate)
    return {
        "weights": network.weights,
        "the same objects": [network.weights[name] is weight for name, weight in same.items()],
        "trainable": [weight.requires_grad for weight in same.values()],
        "gradients": [weight.grad for weight in same.values()],
    }


@check("sensitivity_scan", tolerance=exact)
def given_back_after_an_error(lab, rng):
    """When evaluate raises, its error is passed on and the weights are whole again."""
    network = Network(rng)

    def evaluate():
        raise ZeroDivisionError("the evaluation failed")

    error = error_of(lambda: lab.sensitivity_scan(network.weights, [0.5], by_quantile, evaluate))
    return {"error": error, "weights": network.weights}


# --- choose_sparsities -----------------------------------------------------------------------------------------


@check("choose_sparsities", tolerance=exact, weight=2)
def largest_safe_one(lab, rng):
    """The largest safe sparsity is chosen, for each layer on its own."""
    sparsities = [0.25, 0.5, 0.75, 0.875]
    falls = torch.rand(16, 4, generator=rng).cumsum(dim=1) * 0.1
    scan = {f"layer{i}": (0.6 - fall).tolist() for i, fall in enumerate(falls)}
    return {f"tolerance {t}": lab.choose_sparsities(scan, sparsities, 0.6, t) for t in (0.05, 0.1, 0.2)}


@check("choose_sparsities", tolerance=exact)
def a_safe_island_does_not_count(lab, rng):
    """A sparsity counts as safe only when every smaller scanned one is safe too."""
    scan = {
        "up and down": [0.875, 0.5, 0.875, 0.25],
        "never": [0.5, 0.875, 0.875, 0.875],
        "always": [1.0] * 4,
    }
    return lab.choose_sparsities(scan, [0.2, 0.4, 0.6, 0.8], 0.875, 0.0625)


@check("choose_sparsities", tolerance=exact)
def exactly_at_the_limit(lab, rng):
    """An accuracy of exactly baseline - tolerance is safe; without a safe sparsity the choice is 0.0."""
    return lab.choose_sparsities({"a": [0.75, 0.5], "b": [0.625, 0.5]}, [0.5, 0.9], 0.875, 0.125)


@check("choose_sparsities", tolerance=exact)
def choose_sparsities_refuses(lab, rng):
    """A negative tolerance, sparsities that do not increase, or a missing accuracy raise ValueError; good input does not."""
    scan = {"a": [0.9, 0.8]}
    return {
        "negative tolerance": error_of(lambda: lab.choose_sparsities(scan, [0.5, 0.9], 0.9, -0.1)),
        "decreasing": error_of(lambda: lab.choose_sparsities(scan, [0.9, 0.5], 0.9, 0.1)),
        "repeated": error_of(lambda: lab.choose_sparsities(scan, [0.5, 0.5], 0.9, 0.1)),
        "one missing": error_of(lambda: lab.choose_sparsities(scan, [0.5, 0.7, 0.9], 0.9, 0.1)),
        "good": error_of(lambda: lab.choose_sparsities(scan, [0.5, 0.9], 0.9, 0.1)),
    }
