"""Lab 11's bank. An answer uses only what the notebook's first cell imports: torch, nn and numpy as np."""

import numpy as np
import torch
from torch import nn

from autograder.wrong_answers import right, wrong

# --- uniform_widths ---------------------------------------------------------------------------------------------


@wrong("uniform_widths", "You cut the widths down to whole numbers, or up, in place of Python's round.")
def uniform_floor(full, macs, budget, steps):
    if len(full) == 0 or min(full) < 1 or steps < 1:
        raise ValueError("input")
    for k in range(steps, 0, -1):
        widths = tuple(max(1, int(k * width / steps)) for width in full)
        if macs(widths) <= budget:
            return widths
    raise ValueError("nothing fits")


@wrong("uniform_widths", "A narrow layer is rounded down to width 0: it needs at least 1.")
def uniform_zero(full, macs, budget, steps):
    if len(full) == 0 or min(full) < 1 or steps < 1:
        raise ValueError("input")
    for k in range(steps, 0, -1):
        widths = tuple(round(k * width / steps) for width in full)
        if macs(widths) <= budget:
            return widths
    raise ValueError("nothing fits")


@wrong("uniform_widths", "You refuse a network that needs exactly the budget.")
def uniform_strict(full, macs, budget, steps):
    if len(full) == 0 or min(full) < 1 or steps < 1:
        raise ValueError("input")
    for k in range(steps, 0, -1):
        widths = tuple(max(1, round(k * width / steps)) for width in full)
        if macs(widths) < budget:
            return widths
    raise ValueError("nothing fits")


@wrong(
    "uniform_widths",
    "You returned the smallest network of all: you stop at the first ratio that fits, counted from below.",
)
def uniform_smallest(full, macs, budget, steps):
    if len(full) == 0 or min(full) < 1 or steps < 1:
        raise ValueError("input")
    for k in range(1, steps + 1):
        widths = tuple(max(1, round(k * width / steps)) for width in full)
        if macs(widths) <= budget:
            return widths
    raise ValueError("nothing fits")


@wrong("uniform_widths", "You returned the first network above the budget.")
def uniform_one_too_many(full, macs, budget, steps):
    if len(full) == 0 or min(full) < 1 or steps < 1:
        raise ValueError("input")
    tried = [tuple(max(1, round(k * width / steps)) for width in full) for k in range(1, steps + 1)]
    if macs(tried[0]) > budget:
        raise ValueError("nothing fits")
    for widths in tried:
        if macs(widths) > budget:
            return widths
    return tried[-1]


@wrong("uniform_widths", "You took the network nearest to the budget, also where it is above it.")
def uniform_nearest(full, macs, budget, steps):
    if len(full) == 0 or min(full) < 1 or steps < 1:
        raise ValueError("input")
    tried = [tuple(max(1, round(k * width / steps)) for width in full) for k in range(steps, 0, -1)]
    if macs(tried[-1]) > budget:
        raise ValueError("nothing fits")
    return min(tried, key=lambda widths: abs(macs(widths) - budget))


@wrong(
    "uniform_widths",
    "You used the share of the budget as the ratio: the multiply-adds do not fall in proportion to the widths.",
)
def uniform_share(full, macs, budget, steps):
    if len(full) == 0 or min(full) < 1 or steps < 1:
        raise ValueError("input")
    if macs(tuple(max(1, round(width / steps)) for width in full)) > budget:
        raise ValueError("nothing fits")
    k = max(1, min(steps, int(steps * budget / macs(tuple(full)))))
    return tuple(max(1, round(k * width / steps)) for width in full)


@wrong("uniform_widths", "The whole network, k = steps, is never tried.")
def uniform_never_whole(full, macs, budget, steps):
    if len(full) == 0 or min(full) < 1 or steps < 1:
        raise ValueError("input")
    for k in range(max(1, steps - 1), 0, -1):
        widths = tuple(max(1, round(k * width / steps)) for width in full)
        if macs(widths) <= budget:
            return widths
    raise ValueError("nothing fits")


@wrong("uniform_widths", "You returned a list; a tuple is asked for.")
def uniform_list(full, macs, budget, steps):
    if len(full) == 0 or min(full) < 1 or steps < 1:
        raise ValueError("input")
    for k in range(steps, 0, -1):
        widths = [max(1, round(k * width / steps)) for width in full]
        if macs(tuple(widths)) <= budget:
            return widths
    raise ValueError("nothing fits")


@wrong("uniform_widths", "Input that makes no sense, or a budget that nothing fits, raises no ValueError.")
def uniform_unchecked(full, macs, budget, steps):
    widths = tuple(full)
    for k in range(steps, 0, -1):
        widths = tuple(max(1, round(k * width / steps)) for width in full)
        if macs(widths) <= budget:
            break
    return widths


@right("uniform_widths")
def uniform_by_filter(full, macs, budget, steps):
    if len(full) == 0 or min(full) < 1 or steps < 1:
        raise ValueError("input")
    tried = [tuple(max(1, round(k * width / steps)) for width in full) for k in range(1, steps + 1)]
    fitting = [widths for widths in tried if macs(widths) <= budget]
    if not fitting:
        raise ValueError("nothing fits")
    return fitting[-1]


@right("uniform_widths")
def uniform_by_bisection(full, macs, budget, steps):
    if len(full) == 0 or min(full) < 1 or steps < 1:
        raise ValueError("input")

    def widths_at(k):
        return tuple(max(1, round(k * width / steps)) for width in full)

    low, high = 0, steps
    while low < high:
        middle = (low + high + 1) // 2
        if macs(widths_at(middle)) <= budget:
            low = middle
        else:
            high = middle - 1
    if low == 0:
        raise ValueError("nothing fits")
    return widths_at(low)


# --- sample_widths ----------------------------------------------------------------------------------------------


@wrong("sample_widths", "You look at the upper end of the window only: networks that are too small pass.")
def sample_no_least(levels, macs, window, generator, tries):
    if not levels or any(len(layer) == 0 for layer in levels) or window[0] > window[1] or tries < 1:
        raise ValueError("input")
    for _ in range(tries):
        widths = tuple(
            int(layer[int(torch.randint(len(layer), (1,), generator=generator))]) for layer in levels
        )
        if macs(widths) <= window[1]:
            return widths
    raise ValueError("nothing in the window")


@wrong(
    "sample_widths", "You exclude the ends of the window: exactly the least and exactly the most are allowed."
)
def sample_open(levels, macs, window, generator, tries):
    if not levels or any(len(layer) == 0 for layer in levels) or window[0] > window[1] or tries < 1:
        raise ValueError("input")
    for _ in range(tries):
        widths = tuple(
            int(layer[int(torch.randint(len(layer), (1,), generator=generator))]) for layer in levels
        )
        if window[0] < macs(widths) < window[1]:
            return widths
    raise ValueError("nothing in the window")


@wrong("sample_widths", "You drew one ratio for all the layers; each layer draws its own.")
def sample_one_ratio(levels, macs, window, generator, tries):
    if not levels or any(len(layer) == 0 for layer in levels) or window[0] > window[1] or tries < 1:
        raise ValueError("input")
    for _ in range(tries):
        share = float(torch.rand(1, generator=generator))
        widths = tuple(int(sorted(layer)[int(share * len(layer))]) for layer in levels)
        if window[0] <= macs(widths) <= window[1]:
            return widths
    raise ValueError("nothing in the window")


@wrong("sample_widths", "You took the random numbers from the global random state, not from the generator.")
def sample_global(levels, macs, window, generator, tries):
    if not levels or any(len(layer) == 0 for layer in levels) or window[0] > window[1] or tries < 1:
        raise ValueError("input")
    for _ in range(tries):
        widths = tuple(int(layer[int(torch.randint(len(layer), (1,)))]) for layer in levels)
        if window[0] <= macs(widths) <= window[1]:
            return widths
    raise ValueError("nothing in the window")


@wrong("sample_widths", "You seeded a generator inside the function: every call draws the same widths.")
def sample_reseeds(levels, macs, window, generator, tries):
    if not levels or any(len(layer) == 0 for layer in levels) or window[0] > window[1] or tries < 1:
        raise ValueError("input")
    generator = torch.Generator().manual_seed(0)
    for _ in range(tries):
        widths = tuple(
            int(layer[int(torch.randint(len(layer), (1,), generator=generator))]) for layer in levels
        )
        if window[0] <= macs(widths) <= window[1]:
            return widths
    raise ValueError("nothing in the window")


@wrong("sample_widths", "The last level of a layer is never drawn.")
def sample_never_last(levels, macs, window, generator, tries):
    if not levels or any(len(layer) == 0 for layer in levels) or window[0] > window[1] or tries < 1:
        raise ValueError("input")
    for _ in range(tries):
        widths = tuple(
            int(layer[int(torch.randint(max(1, len(layer) - 1), (1,), generator=generator))])
            for layer in levels
        )
        if window[0] <= macs(widths) <= window[1]:
            return widths
    raise ValueError("nothing in the window")


@wrong(
    "sample_widths",
    "You drew any whole number between the smallest and the largest level, not one of the levels.",
)
def sample_between(levels, macs, window, generator, tries):
    if not levels or any(len(layer) == 0 for layer in levels) or window[0] > window[1] or tries < 1:
        raise ValueError("input")
    for _ in range(tries):
        widths = tuple(
            int(torch.randint(min(layer), max(layer) + 1, (1,), generator=generator)) for layer in levels
        )
        if window[0] <= macs(widths) <= window[1]:
            return widths
    raise ValueError("nothing in the window")


@wrong("sample_widths", "You returned a list; a tuple is asked for.")
def sample_list(levels, macs, window, generator, tries):
    if not levels or any(len(layer) == 0 for layer in levels) or window[0] > window[1] or tries < 1:
        raise ValueError("input")
    for _ in range(tries):
        widths = tuple(
            int(layer[int(torch.randint(len(layer), (1,), generator=generator))]) for layer in levels
        )
        if window[0] <= macs(widths) <= window[1]:
            return list(widths)
    raise ValueError("nothing in the window")


@wrong("sample_widths", "You returned tensors or NumPy numbers in place of Python's whole numbers.")
def sample_tensors(levels, macs, window, generator, tries):
    if not levels or any(len(layer) == 0 for layer in levels) or window[0] > window[1] or tries < 1:
        raise ValueError("input")
    for _ in range(tries):
        widths = tuple(
            int(layer[int(torch.randint(len(layer), (1,), generator=generator))]) for layer in levels
        )
        if window[0] <= macs(widths) <= window[1]:
            return tuple(torch.tensor(width) for width in widths)
    raise ValueError("nothing in the window")


@wrong("sample_widths", "Input that makes no sense, or a window that nothing meets, raises no ValueError.")
def sample_unchecked(levels, macs, window, generator, tries):
    widths = tuple(layer[0] for layer in levels if layer)
    for _ in range(max(1, tries)):
        widths = tuple(
            int(layer[int(torch.randint(len(layer), (1,), generator=generator))]) for layer in levels if layer
        )
        if window[0] <= macs(widths) <= window[1]:
            return widths
    return widths


@right("sample_widths")
def sample_by_listing(levels, macs, window, generator, tries):
    if not levels or any(len(layer) == 0 for layer in levels) or window[0] > window[1] or tries < 1:
        raise ValueError("input")
    vectors = [()]
    for layer in levels:
        vectors = [(*vector, int(width)) for vector in vectors for width in layer]
    vectors = [vector for vector in vectors if window[0] <= macs(vector) <= window[1]]
    if not vectors:
        raise ValueError("nothing in the window")
    return vectors[int(torch.randint(len(vectors), (1,), generator=generator))]


@right("sample_widths")
def sample_by_rand(levels, macs, window, generator, tries):
    if not levels or any(len(layer) == 0 for layer in levels) or window[0] > window[1] or tries < 1:
        raise ValueError("input")
    for _ in range(tries):
        shares = torch.rand(len(levels), generator=generator).tolist()
        widths = tuple([int(layer[int(share * len(layer))]) for layer, share in zip(levels, shares)])
        if macs(widths) >= window[0] and macs(widths) <= window[1]:
            return widths
    raise ValueError("nothing in the window")


@right("sample_widths")
def sample_by_permutation(levels, macs, window, generator, tries):
    if not levels or any(len(layer) == 0 for layer in levels) or window[0] > window[1] or tries < 1:
        raise ValueError("input")
    misses = 0
    while misses < tries:
        widths = []
        for layer in levels:
            widths.append(int(layer[torch.randperm(len(layer), generator=generator)[0].item()]))
        if not window[0] <= macs(tuple(widths)) <= window[1]:
            misses += 1
        else:
            return tuple(widths)
    raise ValueError("nothing in the window")


# --- adapt_batchnorm --------------------------------------------------------------------------------------------


@wrong(
    "adapt_batchnorm",
    "You kept each layer's momentum: the statistics become a moving average, in which the last batches weigh most.",
)
def adapt_momentum(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


@wrong(
    "adapt_batchnorm",
    "The old statistics still have an influence: they are part of a moving average that begins with them.",
)
def adapt_from_the_old(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


@wrong(
    "adapt_batchnorm",
    "You asked for the plain average, but did not forget the old statistics and their count of batches.",
)
def adapt_no_reset(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.momentum = None
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


@wrong("adapt_batchnorm", "The momentum of the layers is None afterwards: it was not given back.")
def adapt_momentum_lost(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for module, training in modes.items():
            module.training = training


@wrong(
    "adapt_batchnorm",
    "You put the whole model into training mode: dropout drops activations while you measure.",
)
def adapt_all_train(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.train()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


@wrong(
    "adapt_batchnorm",
    "The model was in evaluation mode in your passes: the statistics of BatchNorm do not move, or stand at 0 and 1.",
)
def adapt_in_eval(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


@wrong("adapt_batchnorm", "You left every module in evaluation mode, whatever its mode was before.")
def adapt_leaves_eval(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        model.eval()


@wrong(
    "adapt_batchnorm", "You gave the whole model the mode of its root: modules may have had different modes."
)
def adapt_mode_of_root(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        model.train(modes[model])


@wrong(
    "adapt_batchnorm",
    "You put all the batches into one: a small batch no longer weighs as much as a large one.",
)
def adapt_one_batch(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
            layer.training = True
        with torch.no_grad():
            model(torch.cat(list(batches)))
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


@wrong("adapt_batchnorm", "You reset the layers whole, and with them their learnt scale and shift.")
def adapt_resets_parameters(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.reset_parameters()
            layer.momentum = None
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


@wrong("adapt_batchnorm", "Gradients are recorded during the passes: that costs memory for nothing.")
def adapt_with_gradients(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
            layer.training = True
        for batch in batches:
            model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


@wrong("adapt_batchnorm", "When a forward pass raises, modes or momentum are not given back.")
def adapt_no_finally(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
        layer.training = True
    with torch.no_grad():
        for batch in batches:
            model(batch)
    for layer, momentum in momenta.items():
        layer.momentum = momentum
    for module, training in modes.items():
        module.training = training


@wrong(
    "adapt_batchnorm",
    "You only looked for BatchNorm2d: the other BatchNorm layers keep their old statistics.",
)
def adapt_2d_only(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


@wrong(
    "adapt_batchnorm",
    "You only looked at the model's direct children: layers deeper inside keep their old statistics.",
)
def adapt_children_only(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.children()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


@wrong("adapt_batchnorm", "A list without any batch raises no ValueError.")
def adapt_unchecked(model, batches):
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


@wrong("adapt_batchnorm", "You forgot the old statistics before you looked whether there is any batch.")
def adapt_checks_too_late(model, batches):
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    for layer in layers:
        layer.reset_running_stats()
    if len(batches) == 0:
        raise ValueError("no batch")
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.momentum = None
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training


@wrong("adapt_batchnorm", "You returned the model; it is changed in place, and nothing is returned.")
def adapt_returns_model(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        model.eval()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
            layer.training = True
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, training in modes.items():
            module.training = training
    return model


@right("adapt_batchnorm")
def adapt_by_shrinking_momentum(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = {m: m.training for m in model.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    try:
        for module in model.modules():
            module.training = module in layers
        for layer in layers:
            layer.num_batches_tracked.zero_()
        with torch.no_grad():
            for count, batch in enumerate(batches, start=1):
                for layer in layers:
                    layer.momentum = 1 / count
                model(batch)
    finally:
        for layer in layers:
            layer.momentum = momenta[layer]
        for module in modes:
            module.training = modes[module]


@right("adapt_batchnorm")
def adapt_by_hooks(model, batches):
    if len(batches) == 0:
        raise ValueError("no batch")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and m.running_mean is not None
    ]
    modes = [(m, m.training) for m in model.modules()]
    found = {layer: [] for layer in layers}

    def note(module, inputs):
        axes = [axis for axis in range(inputs[0].dim()) if axis != 1]
        found[module].append((inputs[0].mean(dim=axes), inputs[0].var(dim=axes, unbiased=True)))

    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        model.eval()
        for layer in layers:
            layer.train()
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    for layer in layers:
        layer.running_mean.copy_(torch.stack([mean for mean, _ in found[layer]]).mean(dim=0))
        layer.running_var.copy_(torch.stack([var for _, var in found[layer]]).mean(dim=0))
        layer.num_batches_tracked.fill_(len(batches))


# --- rank_correlation -------------------------------------------------------------------------------------------


@wrong("rank_correlation", "You correlated the numbers themselves (Pearson), not their ranks.")
def rank_pearson(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")
    pair = torch.stack([first.detach().double(), second.detach().double()])
    return float(torch.corrcoef(pair)[0, 1])


@wrong("rank_correlation", "Equal numbers got different ranks, by their position.")
def rank_ordinal(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")
    ranks = [values.detach().argsort(stable=True).argsort().double() for values in (first, second)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


@wrong("rank_correlation", "Equal numbers got the smallest of their ranks; they share the mean.")
def rank_min(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")
    ranks = []
    for values in (first, second):
        _, inverse, counts = values.detach().unique(return_inverse=True, return_counts=True)
        ends = counts.cumsum(0).double()
        ranks.append((ends - counts + 1)[inverse])
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


@wrong("rank_correlation", "Equal numbers got the largest of their ranks; they share the mean.")
def rank_max(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")
    ranks = []
    for values in (first, second):
        _, inverse, counts = values.detach().unique(return_inverse=True, return_counts=True)
        ends = counts.cumsum(0).double()
        ranks.append(ends[inverse])
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


@wrong(
    "rank_correlation",
    "You numbered the different values (dense ranks): a value that occurs often takes several ranks.",
)
def rank_dense(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")
    ranks = []
    for values in (first, second):
        _, inverse = values.detach().unique(return_inverse=True)
        ranks.append(inverse.double())
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


@wrong(
    "rank_correlation",
    "You used the short formula with the squared differences of the ranks: it holds without ties only.",
)
def rank_short_formula(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")
    ranks = []
    for values in (first, second):
        _, inverse, counts = values.detach().unique(return_inverse=True, return_counts=True)
        ends = counts.cumsum(0).double()
        ranks.append((ends - (counts - 1) / 2)[inverse])
    n = len(first)
    return float(1 - 6 * (ranks[0] - ranks[1]).square().sum() / (n * (n**2 - 1)))


@wrong(
    "rank_correlation", "You computed Kendall's tau, which counts pairs; asked for is Spearman's correlation."
)
def rank_kendall(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")
    x, y = first.detach().double(), second.detach().double()
    a, b = (x[:, None] - x[None, :]).sign(), (y[:, None] - y[None, :]).sign()
    return float((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt())


@wrong(
    "rank_correlation", "You correlated the positions that a sort gives (argsort once): these are no ranks."
)
def rank_argsort_once(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")
    ranks = [values.detach().argsort(stable=True).double() for values in (first, second)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


@wrong("rank_correlation", "You lost the sign of the correlation.")
def rank_absolute(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")
    ranks = []
    for values in (first, second):
        _, inverse, counts = values.detach().unique(return_inverse=True, return_counts=True)
        ends = counts.cumsum(0).double()
        ranks.append((ends - (counts - 1) / 2)[inverse])
    return abs(float(torch.corrcoef(torch.stack(ranks))[0, 1]))


@wrong("rank_correlation", "You returned a tensor; a Python float is asked for.")
def rank_tensor(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")
    ranks = []
    for values in (first, second):
        _, inverse, counts = values.detach().unique(return_inverse=True, return_counts=True)
        ends = counts.cumsum(0).double()
        ranks.append((ends - (counts - 1) / 2)[inverse])
    return torch.corrcoef(torch.stack(ranks))[0, 1]


@wrong(
    "rank_correlation",
    "You compared the numbers in float32: numbers that differ in their last digits became equal.",
)
def rank_float32(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")
    ranks = []
    for values in (first, second):
        _, inverse, counts = values.detach().float().unique(return_inverse=True, return_counts=True)
        ends = counts.cumsum(0).double()
        ranks.append((ends - (counts - 1) / 2)[inverse])
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


@wrong("rank_correlation", "Lists that do not fit, or whose numbers are all equal, raise no ValueError.")
def rank_unchecked(first, second):
    if first.shape != second.shape or first.dim() != 1 or len(first) < 2:
        return 0.0
    ranks = []
    for values in (first, second):
        _, inverse, counts = values.detach().unique(return_inverse=True, return_counts=True)
        ends = counts.cumsum(0).double()
        ranks.append((ends - (counts - 1) / 2)[inverse])
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


@right("rank_correlation")
def rank_by_unique(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")
    ranks = []
    for values in (first, second):
        _, inverse, counts = values.detach().unique(return_inverse=True, return_counts=True)
        ends = counts.cumsum(0).double()
        ranks.append((ends - (counts - 1) / 2)[inverse])
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


@right("rank_correlation")
def rank_by_loop(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")

    def ranks_of(values):
        ordered, ranks, start = sorted(values), {}, 0
        while start < len(ordered):
            end = start
            while end < len(ordered) and ordered[end] == ordered[start]:
                end += 1
            ranks[ordered[start]] = (start + 1 + end) / 2
            start = end
        return np.array([ranks[value] for value in values])

    x, y = ranks_of(first.detach().tolist()), ranks_of(second.detach().tolist())
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()))


@right("rank_correlation")
def rank_by_scipy(first, second):
    if first.dim() != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError("two lists of the same length")
    if len(first.unique()) == 1 or len(second.unique()) == 1:
        raise ValueError("all equal")
    from scipy.stats import spearmanr

    return float(spearmanr(first.detach().numpy(), second.detach().numpy()).statistic)


# --- evolve -----------------------------------------------------------------------------------------------------


@wrong("evolve", "You kept the least fit: higher fitness is better.")
def evolve_worst(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "Of equal fitness you put the later one first.")
def evolve_ties(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: (fitness[i], i), reverse=True)
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "No elite passes: the best vectors are lost where no child is equal to them.")
def evolve_no_elites(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = []
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "The elites come last, behind the children.")
def evolve_elites_last(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = []
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new[: size - elites] + ranked[:elites]


@wrong("evolve", "You added the elites to a whole generation of children: the population grows.")
def evolve_grows(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size + elites:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "Parents are drawn from the whole population, not from the fittest.")
def evolve_all_parents(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(size, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "The two parents are drawn with replacement: both may be the same member.")
def evolve_same_parent(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randint(parents, (2,), generator=generator).tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "Always the two fittest are the parents; every pair of the fittest has the same chance.")
def evolve_two_fittest(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        a, b = ranked[0], ranked[1]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "Without crossover: each child is a copy of one parent.")
def evolve_copies(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i = int(torch.randint(parents, (1,), generator=generator))
        child = list(ranked[i])
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "You cut both parents at one point: neighbouring layers then come from the same parent.")
def evolve_one_point(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        cut = int(torch.randint(len(levels) + 1, (1,), generator=generator))
        child = [*a[:cut], *b[cut:]]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "You took the mean of the parents' widths, not the width of one of them.")
def evolve_mean(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [min(levels[at], key=lambda w: abs(w - (a[at] + b[at]) / 2)) for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "You decide once for the whole child whether it mutates: layers mutate one by one.")
def evolve_mutates_whole(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        if torch.rand(1, generator=generator) < rate:
            child = [c[int(torch.randint(len(c), (1,), generator=generator))] for c in levels]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "A mutation changes exactly one layer of a child: each layer has its own chance.")
def evolve_mutates_one(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        if torch.rand(1, generator=generator) < rate:
            at = int(torch.randint(len(levels), (1,), generator=generator))
            child[at] = levels[at][int(torch.randint(len(levels[at]), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "A mutation only steps to a neighbouring level: every level has the same chance.")
def evolve_neighbours(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                ordered = sorted(choices)
                step = 1 if torch.rand(1, generator=generator) < 0.5 else -1
                place = ordered.index(child[at]) + step
                child[at] = ordered[min(len(ordered) - 1, max(0, place))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "You mutate with probability 1 - rate.")
def evolve_rate_inverted(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) >= rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "No child ever mutates.")
def evolve_no_mutation(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "Children outside the window pass: the budget is not looked at.")
def evolve_no_window(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if True:
            new.append(tuple(child))
    return new


@wrong("evolve", "Children below the least multiply-adds of the window pass.")
def evolve_no_least(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "You looked at the budget before the mutation, and not after it.")
def evolve_budget_before_mutation(
    population, fitness, levels, macs, window, parents, elites, rate, generator
):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        if not window[0] <= macs(tuple(child)) <= window[1]:
            continue
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        new.append(tuple(child))
    return new


@wrong("evolve", "You took the random numbers from the global random state, not from the generator.")
def evolve_global(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,)))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "You seeded a generator inside the function: every generation draws the same numbers.")
def evolve_reseeds(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    generator = torch.Generator().manual_seed(0)
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "You sorted the population that was given to you, in place.")
def evolve_in_place(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    population[:] = [population[i] for i in order]
    order = range(size)
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@wrong("evolve", "The children are lists; tuples are asked for.")
def evolve_lists(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(child)
    return new


@wrong("evolve", "Numbers outside their bounds raise no ValueError.")
def evolve_unchecked(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    fitness = [*fitness, *[0.0] * (size - len(fitness))]
    parents, elites = min(size, max(2, parents)), max(0, elites)
    order = sorted(range(size), key=lambda i: -fitness[i])
    ranked = [population[i] for i in order]
    new = ranked[:elites]
    while len(new) < size:
        i, j = torch.randperm(parents, generator=generator)[:2].tolist()
        a, b = ranked[i], ranked[j]
        child = [a[at] if torch.rand(1, generator=generator) < 0.5 else b[at] for at in range(len(levels))]
        for at, choices in enumerate(levels):
            if torch.rand(1, generator=generator) < rate:
                child[at] = choices[int(torch.randint(len(choices), (1,), generator=generator))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            new.append(tuple(child))
    return new


@right("evolve")
def evolve_by_numbers(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    order = torch.tensor(fitness, dtype=torch.float64).argsort(descending=True, stable=True).tolist()
    best = [population[place] for place in order]
    made = []
    while len(made) < size - elites:
        i = int(torch.randint(parents, (1,), generator=generator))
        j = (i + 1 + int(torch.randint(parents - 1, (1,), generator=generator))) % parents
        child = ()
        for layer, choices in enumerate(levels):
            if float(torch.rand(1, generator=generator)) < rate:
                child += (choices[int(torch.randint(len(choices), (1,), generator=generator))],)
            else:
                child += (best[i if int(torch.randint(2, (1,), generator=generator)) else j][layer],)
        if window[0] <= macs(child) <= window[1]:
            made.append(child)
    return best[:elites] + made


@right("evolve")
def evolve_by_numpy(population, fitness, levels, macs, window, parents, elites, rate, generator):
    size = len(population)
    if len(fitness) != size or not 2 <= parents <= size or not 0 <= elites <= size or not 0 <= rate <= 1:
        raise ValueError("input")
    numbers = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    order = np.argsort(-np.array(fitness, dtype=np.float64), kind="stable")
    best = [population[place] for place in order]
    made = list(best[:elites])
    while len(made) < size:
        pair = numbers.choice(parents, size=2, replace=False)
        side = numbers.integers(0, 2, size=len(levels))
        child = [best[pair[s]][layer] for layer, s in enumerate(side)]
        for layer in np.flatnonzero(numbers.random(len(levels)) < rate):
            child[layer] = levels[layer][int(numbers.integers(len(levels[layer])))]
        if window[0] <= macs(tuple(child)) <= window[1]:
            made.append(tuple(child))
    return made


# --- reinforce_step ---------------------------------------------------------------------------------------------


@wrong("reinforce_step", "You stepped down: the reward is to grow, so the step goes along the gradient.")
def reinforce_descends(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.softmax(dim=1)
    advantage = rewards.detach() - baseline
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return old - lr * step, decay * baseline + (1 - decay) * float(rewards.mean())


@wrong("reinforce_step", "The baseline is not subtracted from the rewards.")
def reinforce_no_baseline(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.softmax(dim=1)
    advantage = rewards.detach()
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return old + lr * step, decay * baseline + (1 - decay) * float(rewards.mean())


@wrong("reinforce_step", "You used the new baseline in the step; this step takes the one that was given.")
def reinforce_new_baseline(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    baseline = decay * baseline + (1 - decay) * float(rewards.mean())
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.softmax(dim=1)
    advantage = rewards.detach() - baseline
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return old + lr * step, baseline


@wrong("reinforce_step", "You subtracted the mean of these rewards, not the baseline that was given.")
def reinforce_batch_mean(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.softmax(dim=1)
    advantage = rewards.detach() - rewards.detach().mean()
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return old + lr * step, decay * baseline + (1 - decay) * float(rewards.mean())


@wrong("reinforce_step", "You summed over the samples and did not divide by their number.")
def reinforce_sum(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.softmax(dim=1)
    advantage = rewards.detach() - baseline
    step = (advantage[:, None, None] * gradients).sum(dim=0)
    return old + lr * step, decay * baseline + (1 - decay) * float(rewards.mean())


@wrong("reinforce_step", "You took the softmax over the layers; it goes over the levels of a layer.")
def reinforce_wrong_softmax(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.softmax(dim=0)
    advantage = rewards.detach() - baseline
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return old + lr * step, decay * baseline + (1 - decay) * float(rewards.mean())


@wrong("reinforce_step", "You took the softmax over all the layers and levels together.")
def reinforce_joint_softmax(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.flatten().softmax(dim=0).view(old.shape)
    advantage = rewards.detach() - baseline
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return old + lr * step, decay * baseline + (1 - decay) * float(rewards.mean())


@wrong(
    "reinforce_step",
    "The other levels do not give way: the probabilities are missing from the gradient of log p.",
)
def reinforce_no_probabilities(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen
    advantage = rewards.detach() - baseline
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return old + lr * step, decay * baseline + (1 - decay) * float(rewards.mean())


@wrong("reinforce_step", "You scaled the advantages by their standard deviation or their size.")
def reinforce_normalised(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.softmax(dim=1)
    advantage = (rewards.detach() - baseline) / (rewards.detach() - baseline).abs().max().clamp(min=1e-12)
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return old + lr * step, decay * baseline + (1 - decay) * float(rewards.mean())


@wrong("reinforce_step", "You averaged log p over the layers: it is their sum.")
def reinforce_mean_over_layers(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.softmax(dim=1)
    advantage = rewards.detach() - baseline
    step = (advantage[:, None, None] * gradients).sum(dim=0) / actions.numel()
    return old + lr * step, decay * baseline + (1 - decay) * float(rewards.mean())


@wrong("reinforce_step", "You took the gradient of p, not of log p.")
def reinforce_gradient_of_p(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = (chosen - old.softmax(dim=1)) * (chosen * old.softmax(dim=1)).sum(dim=2, keepdim=True)
    advantage = rewards.detach() - baseline
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return old + lr * step, decay * baseline + (1 - decay) * float(rewards.mean())


@wrong("reinforce_step", "The baseline stays as it was.")
def reinforce_baseline_stays(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.softmax(dim=1)
    advantage = rewards.detach() - baseline
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return old + lr * step, float(baseline)


@wrong("reinforce_step", "You exchanged decay and 1 - decay in the new baseline.")
def reinforce_decay_exchanged(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.softmax(dim=1)
    advantage = rewards.detach() - baseline
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return old + lr * step, (1 - decay) * baseline + decay * float(rewards.mean())


@wrong("reinforce_step", "You changed the logits in place.")
def reinforce_in_place(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.softmax(dim=1)
    advantage = rewards.detach() - baseline
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return old.add_(lr * step), decay * baseline + (1 - decay) * float(rewards.mean())


@wrong("reinforce_step", "The new logits still hang on the gradient history of the old ones.")
def reinforce_history(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.softmax(dim=1)
    advantage = rewards.detach() - baseline
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return logits + lr * step, decay * baseline + (1 - decay) * float(rewards.mean())


@wrong("reinforce_step", "The new baseline is a tensor; a Python float is asked for.")
def reinforce_tensor_baseline(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach()
    chosen = nn.functional.one_hot(actions, logits.shape[1]).to(logits.dtype)
    gradients = chosen - old.softmax(dim=1)
    advantage = rewards.detach() - baseline
    step = (advantage[:, None, None] * gradients).sum(dim=0) / len(actions)
    return old + lr * step, decay * baseline + (1 - decay) * rewards.mean()


@wrong(
    "reinforce_step",
    "Shapes that do not fit, an action that is no level or a wrong decay raise no ValueError.",
)
def reinforce_unchecked(logits, actions, rewards, baseline, lr, decay):
    try:
        old, probabilities = logits.detach(), logits.detach().softmax(dim=1)
        step = torch.zeros_like(old)
        for choice, reward in zip(actions, rewards):
            for layer, level in enumerate(choice.tolist()):
                step[layer] += (reward - baseline) * (
                    torch.eye(old.shape[1], dtype=old.dtype)[level] - probabilities[layer]
                )
        return old + lr * step / len(actions), decay * baseline + (1 - decay) * float(rewards.mean())
    except (IndexError, RuntimeError, ZeroDivisionError):
        return logits, baseline


@right("reinforce_step")
def reinforce_by_autograd(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    leaf = logits.detach().clone().requires_grad_()
    log_p = leaf.log_softmax(dim=1)[torch.arange(len(leaf)), actions].sum(dim=1)
    ((rewards.detach() - baseline) * log_p).mean().backward()
    new_baseline = decay * baseline + (1 - decay) * rewards.mean().item()
    return leaf.detach() + lr * leaf.grad, new_baseline


@right("reinforce_step")
def reinforce_by_distributions(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    leaf = logits.detach().clone().requires_grad_()
    policy = torch.distributions.Categorical(logits=leaf)
    objective = sum(
        (r - baseline) * policy.log_prob(a).sum() for a, r in zip(actions, rewards.detach())
    ) / len(actions)
    (gradient,) = torch.autograd.grad(objective, leaf)
    return (leaf + lr * gradient).detach(), float(decay * baseline + (1 - decay) * rewards.mean())


@right("reinforce_step")
def reinforce_by_numpy(logits, actions, rewards, baseline, lr, decay):
    if logits.dim() != 2 or actions.dim() != 2 or actions.shape[1] != len(logits) or len(actions) == 0:
        raise ValueError("shapes")
    if rewards.shape != actions.shape[:1] or not 0 <= decay <= 1:
        raise ValueError("rewards or decay")
    if actions.min() < 0 or actions.max() >= logits.shape[1]:
        raise ValueError("no level")
    old = logits.detach().numpy().astype(np.float64)
    p = np.exp(old - old.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    new = old.copy()
    for choice, reward in zip(actions.tolist(), rewards.tolist()):
        for layer, level in enumerate(choice):
            direction = -p[layer]
            direction = direction + np.eye(old.shape[1])[level]
            new[layer] += lr * (reward - baseline) * direction / len(actions)
    return torch.from_numpy(new).to(logits.dtype), decay * baseline + (1 - decay) * float(
        np.mean(rewards.tolist())
    )
