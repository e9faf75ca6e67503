"""Lab 7's bank. An answer uses only what the notebook's first cell imports: copy, math, torch, nn and numpy as np."""

import copy
import math

import numpy as np
import torch
from torch import nn

from autograder.wrong_answers import right, wrong

# --- apoz ------------------------------------------------------------------------------------------------------


@wrong("apoz", "You computed the share of entries that are not zero: APoZ is high for a silent channel.")
def apoz_inverted(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    return (activations != 0).transpose(0, 1).flatten(1).float().mean(dim=1)


@wrong("apoz", "You counted negative numbers as zeros too.")
def apoz_not_positive(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    return (activations <= 0).transpose(0, 1).flatten(1).float().mean(dim=1)


@wrong("apoz", "You counted very small numbers as zeros.")
def apoz_nearly_zero(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    return (activations.abs() < 1e-6).transpose(0, 1).flatten(1).float().mean(dim=1)


@wrong("apoz", "You averaged over the images only: what came back has a number for each position.")
def apoz_per_position(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    return (activations == 0).float().mean(dim=0)


@wrong("apoz", "You averaged over the positions only: what came back has a number for each image.")
def apoz_per_image(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    return (
        (activations == 0).flatten(2).float().mean(dim=2)
        if activations.dim() > 2
        else (activations == 0).float()
    )


@wrong("apoz", "You averaged over the channels as well: one number for the whole layer came back.")
def apoz_of_the_layer(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    return (activations == 0).float().mean()


@wrong("apoz", "You took the images for the channels: dimension 0 counts images, dimension 1 channels.")
def apoz_of_images(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    return (activations == 0).flatten(1).float().mean(dim=1)


@wrong(
    "apoz",
    "You asked whether a channel is silent on a whole map: the positions are to be counted one by one.",
)
def apoz_silent_maps(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    maps = activations.reshape(activations.shape[0], activations.shape[1], -1)
    return (maps == 0).all(dim=2).float().mean(dim=0)


@wrong("apoz", "You returned percent, from 0 to 100; a fraction from 0 to 1 is asked for.")
def apoz_in_percent(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    return 100 * (activations == 0).transpose(0, 1).flatten(1).float().mean(dim=1)


@wrong("apoz", "Your function only takes the four dimensions of a convolution's output.")
def apoz_four_dimensions(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    return (activations == 0).float().mean(dim=(0, 2, 3))


@wrong(
    "apoz",
    "You rearranged the numbers with `reshape`, which does not bring dimension 1 to the front: channels are mixed.",
)
def apoz_reshaped(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    return (activations == 0).reshape(activations.shape[1], -1).float().mean(dim=1)


@wrong("apoz", "You counted the zeros and did not divide by the number of entries.")
def apoz_counts(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    return (activations == 0).transpose(0, 1).flatten(1).float().sum(dim=1)


@wrong("apoz", "You divided by the number of images only, and forgot the M positions of a map.")
def apoz_without_positions(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    return (activations == 0).transpose(0, 1).flatten(1).float().sum(dim=1) / len(activations)


@wrong("apoz", "You computed in the dtype of the activations, in which such counts are not exact.")
def apoz_in_their_dtype(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("activations")
    by_channel = activations.transpose(0, 1).flatten(1)
    return (by_channel == 0).to(by_channel.dtype).sum(dim=1).div(by_channel.shape[1]).float()


@wrong("apoz", "Activations without channels or without any entry are accepted, or break with another error.")
def apoz_unchecked(activations):
    return (activations == 0).transpose(0, 1).flatten(1).float().mean(dim=1)


@right("apoz")
def apoz_by_loop(activations):
    if activations.dim() < 2 or 0 in activations.shape:
        raise ValueError("no entries")
    shares = []
    for channel in range(activations.shape[1]):
        values = activations[:, channel]
        shares.append(int((values == 0).sum()) / values.numel())
    return torch.tensor(shares, dtype=torch.float32)


@right("apoz")
def apoz_by_numpy(activations):
    if activations.ndim < 2 or activations.numel() == 0:
        raise ValueError("no entries")
    zeros = activations.detach().numpy() == 0
    axes = tuple(axis for axis in range(zeros.ndim) if axis != 1)
    return torch.from_numpy(zeros.mean(axis=axes).astype(np.float32))


@right("apoz")
def apoz_by_nonzeros(activations):
    if activations.dim() < 2 or activations.numel() == 0:
        raise ValueError("no entries")
    dims = [d for d in range(activations.dim()) if d != 1]
    spoken = torch.count_nonzero(activations, dim=dims).double()
    return (1 - spoken * activations.shape[1] / activations.numel()).float()


# --- collect_apoz ----------------------------------------------------------------------------------------------


@wrong(
    "collect_apoz",
    "You kept the activations of all batches until the end: the memory grows with the number of images.",
)
def collect_keeps_everything(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    outputs = {name: [] for name in names}
    modes = [(module, module.training) for module in model.modules()]
    handles = [
        modules[name].register_forward_hook(
            lambda m, i, o, name=name: outputs[name].append(o.detach().clone())
        )
        for name in names
    ]
    try:
        model.eval()
        with torch.no_grad():
            for batch in images.split(batch_size):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    result = {}
    for name in names:
        zeros = sum((o == 0).transpose(0, 1).flatten(1).sum(dim=1) for o in outputs[name])
        entries = sum(o.numel() // o.shape[1] for o in outputs[name])
        result[name] = zeros.float() / entries
    return result


@wrong(
    "collect_apoz", "You averaged the APoZ of the batches: a smaller last batch weighs as much as the others."
)
def collect_mean_of_means(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    sums, runs = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def counter(name):
        def count(module, inputs, output):
            sums[name] = sums[name] + (output == 0).transpose(0, 1).flatten(1).float().mean(dim=1)
            runs[name] += 1

        return count

    modes = [(module, module.training) for module in model.modules()]
    handles = [modules[name].register_forward_hook(counter(name)) for name in names]
    try:
        model.eval()
        with torch.no_grad():
            for batch in images.split(batch_size):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return {name: sums[name] / runs[name] for name in names}


@wrong("collect_apoz", "You kept the result of the last batch only: each batch overwrites the one before.")
def collect_last_batch(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    result = {}

    def counter(name):
        def count(module, inputs, output):
            result[name] = (output == 0).transpose(0, 1).flatten(1).float().mean(dim=1)

        return count

    modes = [(module, module.training) for module in model.modules()]
    handles = [modules[name].register_forward_hook(counter(name)) for name in names]
    try:
        model.eval()
        with torch.no_grad():
            for batch in images.split(batch_size):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return result


@wrong("collect_apoz", "You left out the last batch, which is smaller than the others.")
def collect_whole_batches(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    zeros, entries = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def counter(name):
        def count(module, inputs, output):
            by_channel = output.transpose(0, 1).flatten(1)
            zeros[name] = zeros[name] + (by_channel == 0).sum(dim=1)
            entries[name] += by_channel.shape[1]

        return count

    modes = [(module, module.training) for module in model.modules()]
    handles = [modules[name].register_forward_hook(counter(name)) for name in names]
    try:
        model.eval()
        with torch.no_grad():
            for start in range(0, max(1, len(images) - batch_size + 1), batch_size):
                model(images[start : start + batch_size])
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return {name: zeros[name].float() / entries[name] for name in names}


@wrong("collect_apoz", "You sent all the images through the model in one pass: batch_size plays no part.")
def collect_one_pass(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    zeros, entries = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def counter(name):
        def count(module, inputs, output):
            by_channel = output.transpose(0, 1).flatten(1)
            zeros[name] = zeros[name] + (by_channel == 0).sum(dim=1)
            entries[name] += by_channel.shape[1]

        return count

    modes = [(module, module.training) for module in model.modules()]
    handles = [modules[name].register_forward_hook(counter(name)) for name in names]
    try:
        model.eval()
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return {name: zeros[name].float() / entries[name] for name in names}


@wrong("collect_apoz", "You counted over the whole layer: one number came back, not one for each channel.")
def collect_of_layers(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    zeros, entries = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def counter(name):
        def count(module, inputs, output):
            zeros[name] = zeros[name] + (output == 0).sum()
            entries[name] += output.numel()

        return count

    modes = [(module, module.training) for module in model.modules()]
    handles = [modules[name].register_forward_hook(counter(name)) for name in names]
    try:
        model.eval()
        with torch.no_grad():
            for batch in images.split(batch_size):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return {name: zeros[name].float() / entries[name] for name in names}


@wrong("collect_apoz", "You looked at what goes into the modules, not at what comes out.")
def collect_inputs(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    zeros, entries = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def counter(name):
        def count(module, inputs):
            by_channel = inputs[0].transpose(0, 1).flatten(1)
            zeros[name] = zeros[name] + (by_channel == 0).sum(dim=1)
            entries[name] += by_channel.shape[1]

        return count

    modes = [(module, module.training) for module in model.modules()]
    handles = [modules[name].register_forward_pre_hook(counter(name)) for name in names]
    try:
        model.eval()
        with torch.no_grad():
            for batch in images.split(batch_size):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return {name: zeros[name].float() / entries[name] for name in names}


@wrong(
    "collect_apoz",
    "You measured in the mode that the model was in: in training BatchNorm and dropout act otherwise.",
)
def collect_in_its_mode(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    zeros, entries = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def counter(name):
        def count(module, inputs, output):
            by_channel = output.transpose(0, 1).flatten(1)
            zeros[name] = zeros[name] + (by_channel == 0).sum(dim=1)
            entries[name] += by_channel.shape[1]

        return count

    handles = [modules[name].register_forward_hook(counter(name)) for name in names]
    try:
        with torch.no_grad():
            for batch in images.split(batch_size):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: zeros[name].float() / entries[name] for name in names}


@wrong("collect_apoz", "You left the model in evaluation mode.")
def collect_leaves_evaluation(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    zeros, entries = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def counter(name):
        def count(module, inputs, output):
            by_channel = output.transpose(0, 1).flatten(1)
            zeros[name] = zeros[name] + (by_channel == 0).sum(dim=1)
            entries[name] += by_channel.shape[1]

        return count

    handles = [modules[name].register_forward_hook(counter(name)) for name in names]
    try:
        model.eval()
        with torch.no_grad():
            for batch in images.split(batch_size):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: zeros[name].float() / entries[name] for name in names}


@wrong(
    "collect_apoz", "You gave all modules the mode of the whole model: some of them had another one before."
)
def collect_one_mode(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    zeros, entries = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def counter(name):
        def count(module, inputs, output):
            by_channel = output.transpose(0, 1).flatten(1)
            zeros[name] = zeros[name] + (by_channel == 0).sum(dim=1)
            entries[name] += by_channel.shape[1]

        return count

    was_training = model.training
    handles = [modules[name].register_forward_hook(counter(name)) for name in names]
    try:
        model.eval()
        with torch.no_grad():
            for batch in images.split(batch_size):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
        model.train(was_training)
    return {name: zeros[name].float() / entries[name] for name in names}


@wrong("collect_apoz", "Your hooks are still on the model afterwards.")
def collect_leaves_hooks(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    zeros, entries = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def counter(name):
        def count(module, inputs, output):
            by_channel = output.transpose(0, 1).flatten(1)
            zeros[name] = zeros[name] + (by_channel == 0).sum(dim=1)
            entries[name] += by_channel.shape[1]

        return count

    modes = [(module, module.training) for module in model.modules()]
    for name in names:
        modules[name].register_forward_hook(counter(name))
    try:
        model.eval()
        with torch.no_grad():
            for batch in images.split(batch_size):
                model(batch)
    finally:
        for module, training in modes:
            module.training = training
    return {name: zeros[name].float() / entries[name] for name in names}


@wrong("collect_apoz", "You removed all the hooks of the modules, those of others included.")
def collect_clears_hooks(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    zeros, entries = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def counter(name):
        def count(module, inputs, output):
            by_channel = output.transpose(0, 1).flatten(1)
            zeros[name] = zeros[name] + (by_channel == 0).sum(dim=1)
            entries[name] += by_channel.shape[1]

        return count

    modes = [(module, module.training) for module in model.modules()]
    for name in names:
        modules[name].register_forward_hook(counter(name))
    try:
        model.eval()
        with torch.no_grad():
            for batch in images.split(batch_size):
                model(batch)
    finally:
        for name in names:
            modules[name]._forward_hooks.clear()
        for module, training in modes:
            module.training = training
    return {name: zeros[name].float() / entries[name] for name in names}


@wrong("collect_apoz", "When a forward pass fails, your hooks and the evaluation mode stay behind.")
def collect_without_finally(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    zeros, entries = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def counter(name):
        def count(module, inputs, output):
            by_channel = output.transpose(0, 1).flatten(1)
            zeros[name] = zeros[name] + (by_channel == 0).sum(dim=1)
            entries[name] += by_channel.shape[1]

        return count

    modes = [(module, module.training) for module in model.modules()]
    handles = [modules[name].register_forward_hook(counter(name)) for name in names]
    model.eval()
    with torch.no_grad():
        for batch in images.split(batch_size):
            model(batch)
    for handle in handles:
        handle.remove()
    for module, training in modes:
        module.training = training
    return {name: zeros[name].float() / entries[name] for name in names}


@wrong(
    "collect_apoz",
    "You counted after the whole pass: a later module may have changed the output in place by then.",
)
def collect_after_the_pass(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    zeros, entries = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    outputs = []
    modes = [(module, module.training) for module in model.modules()]
    handles = [
        modules[name].register_forward_hook(lambda m, i, o, name=name: outputs.append((name, o)))
        for name in names
    ]
    try:
        model.eval()
        with torch.no_grad():
            for batch in images.split(batch_size):
                model(batch)
                for name, output in outputs:
                    by_channel = output.transpose(0, 1).flatten(1)
                    zeros[name] = zeros[name] + (by_channel == 0).sum(dim=1)
                    entries[name] += by_channel.shape[1]
                output = by_channel = None
                outputs.clear()
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return {name: zeros[name].float() / entries[name] for name in names}


@wrong(
    "collect_apoz",
    "You kept one output for each name and batch: where a module runs twice, only its last run counts.",
)
def collect_last_run(model, images, names, batch_size):
    modules = dict(model.named_modules())
    if not set(names) <= set(modules) or len(images) == 0 or batch_size < 1:
        raise ValueError("input")
    zeros, entries, current = dict.fromkeys(names, 0), dict.fromkeys(names, 0), {}

    def counter(name):
        def count(module, inputs, output):
            by_channel = output.transpose(0, 1).flatten(1)
            current[name] = ((by_channel == 0).sum(dim=1), by_channel.shape[1])

        return count

    modes = [(module, module.training) for module in model.modules()]
    handles = [modules[name].register_forward_hook(counter(name)) for name in names]
    try:
        model.eval()
        with torch.no_grad():
            for batch in images.split(batch_size):
                model(batch)
                for name, (count, size) in current.items():
                    zeros[name], entries[name] = zeros[name] + count, entries[name] + size
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return {name: zeros[name].float() / entries[name] for name in names}


@wrong(
    "collect_apoz",
    "An unknown name, no images or a batch size below 1 is accepted, or breaks with another error than ValueError.",
)
def collect_unchecked(model, images, names, batch_size):
    modules = dict(model.named_modules())
    zeros, entries = dict.fromkeys(names, 0), dict.fromkeys(names, 0)

    def counter(name):
        def count(module, inputs, output):
            by_channel = output.transpose(0, 1).flatten(1)
            zeros[name] = zeros[name] + (by_channel == 0).sum(dim=1)
            entries[name] += by_channel.shape[1]

        return count

    modes = [(module, module.training) for module in model.modules()]
    handles = []
    try:
        for name in names:
            handles.append(modules[name].register_forward_hook(counter(name)))
        model.eval()
        with torch.no_grad():
            for batch in images.split(max(1, abs(batch_size))):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return {name: zeros[name] / max(entries[name], 1) for name in names}


@right("collect_apoz")
def collect_by_weights(model, images, names, batch_size):
    found = dict(model.named_modules())
    for name in names:
        if name not in found:
            raise ValueError(f"no module {name}")
    if images.shape[0] < 1:
        raise ValueError("no images")
    if batch_size <= 0:
        raise ValueError("no batches")
    means, weights = {}, {}

    def remember(name):
        def hook(module, inputs, output):
            dims = [d for d in range(output.dim()) if d != 1]
            mean, weight = (output == 0).double().mean(dim=dims), output.numel() / output.shape[1]
            total = weights.get(name, 0) + weight
            means[name] = mean if name not in means else means[name] + (mean - means[name]) * weight / total
            weights[name] = total

        return hook

    training = {module: module.training for module in model.modules()}
    handles = []
    try:
        for name in names:
            handles.append(found[name].register_forward_hook(remember(name)))
        model.eval()
        with torch.inference_mode():
            for start in range(0, images.shape[0], batch_size):
                model(images[start : start + batch_size])
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in training.items():
            module.training = mode
    return {name: means[name].clone().float() for name in names}


@right("collect_apoz")
def collect_by_lists_of_counts(model, images, names, batch_size):
    modules = {name: module for name, module in model.named_modules()}
    if any(name not in modules for name in names) or len(images) < 1 or not batch_size >= 1:
        raise ValueError("input")
    counts = {name: [] for name in names}
    modes = {name: module.training for name, module in modules.items()}

    def hook_of(name):
        def hook(module, inputs, output):
            zeros = output.detach().numpy() == 0
            axes = tuple(axis for axis in range(zeros.ndim) if axis != 1)
            counts[name].append((zeros.sum(axis=axes), zeros.size // zeros.shape[1]))

        return hook

    handles = [modules[name].register_forward_hook(hook_of(name)) for name in names]
    try:
        for module in modules.values():
            module.training = False
        with torch.no_grad():
            for batch in torch.split(images, batch_size):
                model(batch)
    finally:
        [handle.remove() for handle in handles]
        for name, module in modules.items():
            module.training = modes[name]
    result = {}
    for name, pairs in counts.items():
        share = np.sum([zeros for zeros, _ in pairs], axis=0) / sum(size for _, size in pairs)
        result[name] = torch.from_numpy(share.astype(np.float32))
    return result


# --- select_channels -------------------------------------------------------------------------------------------


@wrong("select_channels", "You kept the channels with the lowest scores: a high score means keep.")
def select_lowest(scores, sparsity):
    if scores.dim() != 1 or len(scores) == 0 or not 0 <= sparsity <= 1:
        raise ValueError("input")
    removed = min(round(sparsity * len(scores)), len(scores) - 1)
    return scores.argsort(stable=True, descending=True)[removed:].sort().values


@wrong("select_channels", "You returned the channels to remove; those to keep are asked for.")
def select_the_removed(scores, sparsity):
    if scores.dim() != 1 or len(scores) == 0 or not 0 <= sparsity <= 1:
        raise ValueError("input")
    removed = min(round(sparsity * len(scores)), len(scores) - 1)
    return scores.argsort(stable=True)[:removed].sort().values


@wrong("select_channels", "You returned the positions in the order of the scores; they must ascend.")
def select_unsorted(scores, sparsity):
    if scores.dim() != 1 or len(scores) == 0 or not 0 <= sparsity <= 1:
        raise ValueError("input")
    removed = min(round(sparsity * len(scores)), len(scores) - 1)
    return scores.argsort(stable=True)[removed:].flip(0)


@wrong("select_channels", "You returned a boolean mask; positions are asked for.")
def select_mask(scores, sparsity):
    if scores.dim() != 1 or len(scores) == 0 or not 0 <= sparsity <= 1:
        raise ValueError("input")
    removed = min(round(sparsity * len(scores)), len(scores) - 1)
    mask = torch.ones(len(scores), dtype=torch.bool)
    mask[scores.argsort(stable=True)[:removed]] = False
    return mask


@wrong("select_channels", "You ranked the scores without their sign: a negative score is lower than zero.")
def select_by_magnitude(scores, sparsity):
    if scores.dim() != 1 or len(scores) == 0 or not 0 <= sparsity <= 1:
        raise ValueError("input")
    removed = min(round(sparsity * len(scores)), len(scores) - 1)
    return scores.abs().argsort(stable=True)[removed:].sort().values


@wrong("select_channels", "You rounded down: the number of channels to remove is `round(sparsity * n)`.")
def select_rounds_down(scores, sparsity):
    if scores.dim() != 1 or len(scores) == 0 or not 0 <= sparsity <= 1:
        raise ValueError("input")
    removed = min(int(sparsity * len(scores)), len(scores) - 1)
    return scores.argsort(stable=True)[removed:].sort().values


@wrong("select_channels", "You rounded up: the number of channels to remove is `round(sparsity * n)`.")
def select_rounds_up(scores, sparsity):
    if scores.dim() != 1 or len(scores) == 0 or not 0 <= sparsity <= 1:
        raise ValueError("input")
    removed = min(math.ceil(sparsity * len(scores)), len(scores) - 1)
    return scores.argsort(stable=True)[removed:].sort().values


@wrong("select_channels", "Of equal scores you removed the one with the higher position first.")
def select_later_ties(scores, sparsity):
    if scores.dim() != 1 or len(scores) == 0 or not 0 <= sparsity <= 1:
        raise ValueError("input")
    kept = max(len(scores) - round(sparsity * len(scores)), 1)
    return scores.argsort(stable=True, descending=True)[:kept].sort().values


@wrong(
    "select_channels", "You compared with a threshold: all channels that are equal to it go or stay together."
)
def select_by_threshold(scores, sparsity):
    if scores.dim() != 1 or len(scores) == 0 or not 0 <= sparsity <= 1:
        raise ValueError("input")
    removed = min(round(sparsity * len(scores)), len(scores) - 1)
    if removed == 0:
        return torch.arange(len(scores))
    return (scores > scores.sort().values[removed - 1]).nonzero().flatten()


@wrong("select_channels", "You took the sparsity for a threshold on the scores.")
def select_sparsity_as_threshold(scores, sparsity):
    if scores.dim() != 1 or len(scores) == 0 or not 0 <= sparsity <= 1:
        raise ValueError("input")
    return (scores > sparsity).nonzero().flatten()


@wrong("select_channels", "At a high sparsity you removed every channel: at least one is kept.")
def select_none(scores, sparsity):
    if scores.dim() != 1 or len(scores) == 0 or not 0 <= sparsity <= 1:
        raise ValueError("input")
    return scores.argsort(stable=True)[round(sparsity * len(scores)) :].sort().values


@wrong("select_channels", "You sorted the scores themselves, in place: what was passed in has changed.")
def select_sorts_in_place(scores, sparsity):
    if scores.dim() != 1 or len(scores) == 0 or not 0 <= sparsity <= 1:
        raise ValueError("input")
    removed = min(round(sparsity * len(scores)), len(scores) - 1)
    ordered, order = scores.sort(stable=True)
    scores.data.copy_(ordered)
    return order[removed:].sort().values


@wrong(
    "select_channels",
    "A sparsity that is no fraction, or scores that are not one number for each channel, are accepted, or break with another error.",
)
def select_unchecked(scores, sparsity):
    flat = scores.flatten()
    removed = 0 if math.isnan(sparsity) else min(max(round(sparsity * len(flat)), 0), len(flat) - 1)
    return flat.argsort(stable=True)[max(removed, 0) :].sort().values


@right("select_channels")
def select_by_pairs(scores, sparsity):
    if scores.ndim != 1 or scores.numel() < 1:
        raise ValueError("one score for each channel")
    if not (sparsity >= 0 and sparsity <= 1):
        raise ValueError("sparsity")
    pairs = sorted((value, position) for position, value in enumerate(scores.tolist()))
    kept = pairs[round(sparsity * len(pairs)) :] or pairs[-1:]
    return torch.tensor(sorted(position for _, position in kept))


@right("select_channels")
def select_by_numpy(scores, sparsity):
    if len(scores.shape) != 1 or scores.shape[0] == 0 or np.isnan(sparsity) or sparsity < 0 or sparsity > 1:
        raise ValueError("input")
    values = scores.detach().numpy()
    mask = np.ones(len(values), dtype=bool)
    mask[np.argsort(values, kind="stable")[: min(round(sparsity * len(values)), len(values) - 1)]] = False
    return torch.from_numpy(np.flatnonzero(mask))


@right("select_channels")
def select_by_repeated_minimum(scores, sparsity):
    if scores.dim() != 1 or not len(scores) or not 0 <= sparsity <= 1:
        raise ValueError("input")
    values, left = scores.tolist(), list(range(len(scores)))
    for _ in range(min(round(sparsity * len(scores)), len(scores) - 1)):
        left.remove(min(left, key=lambda position: (values[position], position)))
    return torch.tensor(left)


# --- remove_filters --------------------------------------------------------------------------------------------


@wrong(
    "remove_filters",
    "You kept the channels that should go: `kept` holds those that stay.",
)
def filters_inverted(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    if len(kept) < n:
        kept = torch.tensor([c for c in range(n) if c not in set(kept.tolist())])
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "The next convolution still has all its inputs: it reads channels that are no longer there.",
)
def filters_forget_the_next(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "In the next convolution you cut its filters (dimension 0); it must lose inputs (dimension 1).",
)
def filters_cut_the_next_outputs(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    own = [c for c in kept.tolist() if c < len(following.weight)]
    new_following.weight = nn.Parameter(following.weight.detach()[own])
    if following.bias is not None:
        new_following.bias = nn.Parameter(following.bias.detach()[own])
    new_following.out_channels = len(own)
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "In the first convolution you cut inputs (dimension 1); its filters are dimension 0.",
)
def filters_cut_own_inputs(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    own = [c for c in kept.tolist() if c < conv.in_channels]
    new_conv.weight = nn.Parameter(conv.weight.detach()[:, own])
    new_conv.in_channels = len(own)
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "You set the channels to zero; the layers are as large as before.",
)
def filters_only_zeroed(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    gone = [c for c in range(n) if c not in set(kept.tolist())]
    with torch.no_grad():
        new_conv.weight[gone] = 0
        if conv.bias is not None:
            new_conv.bias[gone] = 0
        if bn is not None:
            new_bn.weight[gone], new_bn.bias[gone] = 0, 0
        new_following.weight[:, gone] = 0
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "BatchNorm still has the features of all the old channels.",
)
def filters_forget_bn(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "The new BatchNorm starts from nothing: what the old one had learned and measured is lost.",
)
def filters_new_bn(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn = nn.BatchNorm2d(len(kept), bn.eps, bn.momentum, dtype=bn.weight.dtype).train(bn.training)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "You carried BatchNorm's scale and shift over, but not its running mean and variance.",
)
def filters_bn_without_statistics(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn = nn.BatchNorm2d(len(kept), bn.eps, bn.momentum, dtype=bn.weight.dtype).train(bn.training)
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.num_batches_tracked.copy_(bn.num_batches_tracked)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "In BatchNorm you kept the first features, not those of the kept channels.",
)
def filters_bn_first_features(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        first = len(kept)
        new_bn.weight = nn.Parameter(bn.weight.detach()[:first].clone())
        new_bn.bias = nn.Parameter(bn.bias.detach()[:first].clone())
        new_bn.running_mean, new_bn.running_var = (
            bn.running_mean[:first].clone(),
            bn.running_var[:first].clone(),
        )
        new_bn.num_features = first
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "The new BatchNorm has PyTorch's eps and momentum, not those of the old one.",
)
def filters_bn_defaults(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn = nn.BatchNorm2d(len(kept), dtype=bn.weight.dtype).train(bn.training)
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_batches_tracked.copy_(bn.num_batches_tracked)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "The bias of the first convolution is lost.",
)
def filters_drop_the_bias(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    new_conv.bias = None
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "The bias of the first convolution still has an entry for each of the old filters.",
)
def filters_whole_bias(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "The bias of the next convolution is lost; it belongs to its outputs, which all stay.",
)
def filters_drop_the_next_bias(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    new_following.bias = None
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "You built new convolutions without stride, padding and dilation.",
)
def filters_default_geometry(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv = nn.Conv2d(
        conv.in_channels, len(kept), conv.kernel_size, bias=conv.bias is not None, dtype=conv.weight.dtype
    ).train(conv.training)
    new_following = nn.Conv2d(
        len(kept),
        following.out_channels,
        following.kernel_size,
        bias=following.bias is not None,
        dtype=following.weight.dtype,
    ).train(following.training)
    new_bn = copy.deepcopy(bn)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    if following.bias is not None:
        new_following.bias = nn.Parameter(following.bias.detach().clone())
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "The weights are cut, but `out_channels`, `num_features` and `in_channels` still say the old numbers.",
)
def filters_stale_numbers(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    new_conv.out_channels, new_following.in_channels = n, n
    if bn is not None:
        new_bn.num_features = n
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "You changed the old modules themselves; new ones are asked for.",
)
def filters_in_place(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = conv, bn, following
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "The new layers use the very bias of the old next convolution: a change of one changes the other.",
)
def filters_share_the_bias(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    new_following.bias = following.bias
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "All the new modules are in evaluation mode, whatever the old ones were in.",
)
def filters_evaluation_mode(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    new_conv.eval()
    new_following.eval()
    if bn is not None:
        new_bn.eval()
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "All the new modules are in training mode, as PyTorch makes them; the old ones had modes of their own.",
)
def filters_training_mode(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    new_conv.train()
    new_following.train()
    if bn is not None:
        new_bn.train()
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "Your new layers are float32, whatever the dtype of the old ones was.",
)
def filters_float32(conv, bn, following, kept):
    n = conv.out_channels
    if conv.groups != 1 or following.groups != 1 or following.in_channels != n:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept])
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept])
    new_following.in_channels = len(kept)
    new_conv.float()
    new_following.float()
    if bn is not None:
        new_bn.float()
    return new_conv, new_bn, new_following


@wrong(
    "remove_filters",
    "Layers that do not fit, groups, or positions that make no sense are accepted, or break with another error.",
)
def filters_unchecked(conv, bn, following, kept):
    kept = kept.flatten()
    new_conv, new_bn, new_following = copy.deepcopy(conv), copy.deepcopy(bn), copy.deepcopy(following)
    new_conv.weight = nn.Parameter(conv.weight.detach()[kept % conv.out_channels])
    new_conv.out_channels = len(kept)
    if conv.bias is not None:
        new_conv.bias = nn.Parameter(conv.bias.detach()[kept % conv.out_channels])
    if bn is not None:
        own = kept % bn.num_features
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[own]),
            nn.Parameter(bn.bias.detach()[own]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[own], bn.running_var[own]
        new_bn.num_features = len(kept)
    new_following.weight = nn.Parameter(following.weight.detach()[:, kept % following.weight.shape[1]])
    new_following.in_channels = len(kept)
    return new_conv, new_bn, new_following


@right("remove_filters")
def filters_by_construction(conv, bn, following, kept):
    n, positions = conv.out_channels, kept.tolist() if kept.dim() == 1 else []
    if (
        conv.groups != 1
        or following.groups != 1
        or following.in_channels != n
        or (bn and bn.num_features != n)
    ):
        raise ValueError("layers")
    if not positions or positions != sorted(set(positions)) or min(positions) < 0 or max(positions) >= n:
        raise ValueError("positions")
    new_conv = nn.Conv2d(
        conv.in_channels,
        len(kept),
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
        dtype=conv.weight.dtype,
    )
    new_following = nn.Conv2d(
        len(kept),
        following.out_channels,
        following.kernel_size,
        following.stride,
        following.padding,
        following.dilation,
        bias=following.bias is not None,
        padding_mode=following.padding_mode,
        dtype=following.weight.dtype,
    )
    new_bn = None
    with torch.no_grad():
        new_conv.weight.copy_(conv.weight[positions])
        new_following.weight.copy_(following.weight[:, positions])
        if conv.bias is not None:
            new_conv.bias.copy_(conv.bias[positions])
        if following.bias is not None:
            new_following.bias.copy_(following.bias)
        if bn is not None:
            new_bn = nn.BatchNorm2d(len(kept), eps=bn.eps, momentum=bn.momentum, dtype=bn.weight.dtype)
            for name in ("weight", "bias", "running_mean", "running_var"):
                getattr(new_bn, name).copy_(getattr(bn, name)[positions])
            new_bn.num_batches_tracked.copy_(bn.num_batches_tracked)
            new_bn.train(bn.training)
    return new_conv.train(conv.training), new_bn, new_following.train(following.training)


@right("remove_filters")
def filters_by_state(conv, bn, following, kept):
    n = conv.weight.shape[0]
    steps = kept[1:] - kept[:-1] if kept.dim() == 1 else torch.zeros(1)
    if (
        kept.dim() != 1
        or kept.numel() == 0
        or int(kept.min()) < 0
        or int(kept.max()) >= n
        or bool((steps < 1).any())
    ):
        raise ValueError("positions")
    if conv.groups > 1 or following.groups > 1 or following.weight.shape[1] != n:
        raise ValueError("layers")
    if bn is not None and len(bn.weight) != n:
        raise ValueError("BatchNorm")
    cut = []
    for module, dim in ((conv, 0), (bn, 0), (following, 1)):
        new = copy.deepcopy(module)
        if module is not None:
            for name, tensor in list(module.state_dict().items()):
                if tensor.dim() > dim and (dim == 0 or name == "weight"):
                    smaller = tensor.index_select(dim, kept)
                    setattr(new, name, nn.Parameter(smaller) if name in ("weight", "bias") else smaller)
        cut.append(new)
    cut[0].out_channels = cut[2].in_channels = len(kept)
    if bn is not None:
        cut[1].num_features = len(kept)
    return tuple(cut)


# --- remove_before_linear --------------------------------------------------------------------------------------


@wrong(
    "remove_before_linear",
    "You kept the channels that should go: `kept` holds those that stay.",
)
def linear_inverted(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    if len(kept) < n:
        kept = torch.tensor([c for c in range(n) if c not in set(kept.tolist())])
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    by_channel = linear.weight.detach().unflatten(1, (n, -1))
    new_linear.weight = nn.Parameter(by_channel[:, kept].flatten(1))
    new_linear.in_features = new_linear.weight.shape[1]
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "Behind a convolution you kept one input for each channel: a map has M positions, and each has an input.",
)
def linear_one_input_each(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    new_linear.weight = nn.Parameter(linear.weight.detach()[:, kept])
    new_linear.in_features = len(kept)
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "You took the inputs in the wrong order: `flatten(1)` puts the positions of one channel next to each other.",
)
def linear_channels_last(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    by_channel = linear.weight.detach().unflatten(1, (-1, n))
    new_linear.weight = nn.Parameter(by_channel[:, :, kept].flatten(1))
    new_linear.in_features = new_linear.weight.shape[1]
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "You kept the first inputs of the linear layer, as many as are needed, and not those of the kept channels.",
)
def linear_first_inputs(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    count = len(kept) * (linear.in_features // n)
    new_linear.weight = nn.Parameter(linear.weight.detach()[:, :count].clone())
    new_linear.in_features = count
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "In the linear layer you cut outputs (dimension 0); it must lose inputs (dimension 1).",
)
def linear_cuts_rows(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    own = [c for c in kept.tolist() if c < len(linear.weight)]
    new_linear.weight = nn.Parameter(linear.weight.detach()[own])
    if linear.bias is not None:
        new_linear.bias = nn.Parameter(linear.bias.detach()[own])
    new_linear.out_features = len(own)
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "The linear layer still has all its inputs: it reads channels that are no longer there.",
)
def linear_forgotten(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "You set the channels to zero; the layers are as large as before.",
)
def linear_only_zeroed(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    gone = [c for c in range(n) if c not in set(kept.tolist())]
    with torch.no_grad():
        new_layer.weight[gone] = 0
        if layer.bias is not None:
            new_layer.bias[gone] = 0
        if bn is not None:
            new_bn.weight[gone], new_bn.bias[gone] = 0, 0
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "BatchNorm still has the features of all the old channels.",
)
def linear_forgets_bn(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    by_channel = linear.weight.detach().unflatten(1, (n, -1))
    new_linear.weight = nn.Parameter(by_channel[:, kept].flatten(1))
    new_linear.in_features = new_linear.weight.shape[1]
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "You carried BatchNorm's scale and shift over, but not its running mean and variance.",
)
def linear_bn_without_statistics(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        new_bn = type(bn)(len(kept), bn.eps, bn.momentum, dtype=bn.weight.dtype).train(bn.training)
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.num_batches_tracked.copy_(bn.num_batches_tracked)
    by_channel = linear.weight.detach().unflatten(1, (n, -1))
    new_linear.weight = nn.Parameter(by_channel[:, kept].flatten(1))
    new_linear.in_features = new_linear.weight.shape[1]
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "The bias of the first layer still has an entry for each of the old outputs.",
)
def linear_forgets_the_first_bias(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    by_channel = linear.weight.detach().unflatten(1, (n, -1))
    new_linear.weight = nn.Parameter(by_channel[:, kept].flatten(1))
    new_linear.in_features = new_linear.weight.shape[1]
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "The bias of the linear layer is lost; it belongs to its outputs, which all stay.",
)
def linear_drops_its_bias(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    by_channel = linear.weight.detach().unflatten(1, (n, -1))
    new_linear.weight = nn.Parameter(by_channel[:, kept].flatten(1))
    new_linear.in_features = new_linear.weight.shape[1]
    new_linear.bias = None
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "Your function takes a convolution as the first layer only; a linear layer breaks it.",
)
def linear_needs_a_convolution(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    assert layer.out_channels == n
    new_layer.out_channels = len(kept)
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    by_channel = linear.weight.detach().unflatten(1, (n, -1))
    new_linear.weight = nn.Parameter(by_channel[:, kept].flatten(1))
    new_linear.in_features = new_linear.weight.shape[1]
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "The weights are cut, but the attributes that say how many channels there are still say the old numbers.",
)
def linear_stale_numbers(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    by_channel = linear.weight.detach().unflatten(1, (n, -1))
    new_linear.weight = nn.Parameter(by_channel[:, kept].flatten(1))
    new_linear.in_features = new_linear.weight.shape[1]
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", n)
    new_linear.in_features = linear.in_features
    if bn is not None:
        new_bn.num_features = n
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "You changed the old modules themselves; new ones are asked for.",
)
def linear_in_place(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = layer, bn, linear
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    by_channel = linear.weight.detach().unflatten(1, (n, -1))
    new_linear.weight = nn.Parameter(by_channel[:, kept].flatten(1))
    new_linear.in_features = new_linear.weight.shape[1]
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "All the new modules are in evaluation mode, whatever the old ones were in.",
)
def linear_evaluation_mode(layer, bn, linear, kept):
    n = len(layer.weight)
    if getattr(layer, "groups", 1) != 1 or linear.in_features % n != 0:
        raise ValueError("layers")
    if bn is not None and bn.num_features != n:
        raise ValueError("bn")
    if kept.dim() != 1 or len(kept) == 0 or kept[0] < 0 or kept[-1] >= n or (kept[1:] <= kept[:-1]).any():
        raise ValueError("kept")
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[kept]),
            nn.Parameter(bn.bias.detach()[kept]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[kept], bn.running_var[kept]
        new_bn.num_features = len(kept)
    by_channel = linear.weight.detach().unflatten(1, (n, -1))
    new_linear.weight = nn.Parameter(by_channel[:, kept].flatten(1))
    new_linear.in_features = new_linear.weight.shape[1]
    new_layer.eval()
    new_linear.eval()
    if bn is not None:
        new_bn.eval()
    return new_layer, new_bn, new_linear


@wrong(
    "remove_before_linear",
    "Layers that do not fit, groups, or positions that make no sense are accepted, or break with another error.",
)
def linear_unchecked(layer, bn, linear, kept):
    n, kept = len(layer.weight), kept.flatten() % len(layer.weight)
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    new_layer.weight = nn.Parameter(layer.weight.detach()[kept])
    if layer.bias is not None:
        new_layer.bias = nn.Parameter(layer.bias.detach()[kept])
    setattr(new_layer, "out_channels" if isinstance(layer, nn.Conv2d) else "out_features", len(kept))
    if bn is not None:
        own = kept % bn.num_features
        new_bn.weight, new_bn.bias = (
            nn.Parameter(bn.weight.detach()[own]),
            nn.Parameter(bn.bias.detach()[own]),
        )
        new_bn.running_mean, new_bn.running_var = bn.running_mean[own], bn.running_var[own]
        new_bn.num_features = len(kept)
    by_channel = linear.weight.detach()[:, : linear.in_features // n * n].unflatten(1, (n, -1))
    new_linear.weight = nn.Parameter(by_channel[:, kept].flatten(1))
    new_linear.in_features = new_linear.weight.shape[1]
    return new_layer, new_bn, new_linear


@right("remove_before_linear")
def linear_by_columns(layer, bn, linear, kept):
    n, positions = len(layer.weight), kept.tolist() if kept.dim() == 1 else []
    if getattr(layer, "groups", 1) > 1 or linear.in_features % n or (bn is not None and bn.num_features != n):
        raise ValueError("layers")
    if not positions or positions != sorted(set(positions)) or positions[0] < 0 or positions[-1] >= n:
        raise ValueError("positions")
    size = linear.in_features // n
    columns = [c * size + position for c in positions for position in range(size)]
    if isinstance(layer, nn.Conv2d):
        new_layer = nn.Conv2d(
            layer.in_channels,
            len(kept),
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.dilation,
            bias=layer.bias is not None,
            padding_mode=layer.padding_mode,
            dtype=layer.weight.dtype,
        )
    else:
        new_layer = nn.Linear(
            layer.in_features, len(kept), bias=layer.bias is not None, dtype=layer.weight.dtype
        )
    new_linear = nn.Linear(
        len(columns), linear.out_features, bias=linear.bias is not None, dtype=linear.weight.dtype
    )
    new_bn = None
    with torch.no_grad():
        new_layer.weight.copy_(layer.weight[positions])
        new_linear.weight.copy_(linear.weight[:, columns])
        if layer.bias is not None:
            new_layer.bias.copy_(layer.bias[positions])
        if linear.bias is not None:
            new_linear.bias.copy_(linear.bias)
        if bn is not None:
            new_bn = type(bn)(len(kept), eps=bn.eps, momentum=bn.momentum, dtype=bn.weight.dtype)
            for name in ("weight", "bias", "running_mean", "running_var"):
                getattr(new_bn, name).copy_(getattr(bn, name)[positions])
            new_bn.num_batches_tracked.copy_(bn.num_batches_tracked)
            new_bn.train(bn.training)
    return new_layer.train(layer.training), new_bn, new_linear.train(linear.training)


@right("remove_before_linear")
def linear_by_mask(layer, bn, linear, kept):
    n = layer.weight.shape[0]
    if kept.dim() != 1 or kept.numel() == 0 or int(kept.min()) < 0 or int(kept.max()) >= n:
        raise ValueError("positions")
    if len(kept) > 1 and bool((kept[1:] - kept[:-1] < 1).any()):
        raise ValueError("order")
    if linear.weight.shape[1] % n != 0 or (isinstance(layer, nn.Conv2d) and layer.groups != 1):
        raise ValueError("layers")
    if bn is not None and len(bn.weight) != n:
        raise ValueError("BatchNorm")
    stays = torch.zeros(n, dtype=torch.bool)
    stays[kept] = True
    new_layer, new_bn, new_linear = copy.deepcopy(layer), copy.deepcopy(bn), copy.deepcopy(linear)
    modules = [(layer, new_layer)] + ([] if bn is None else [(bn, new_bn)])
    for old, new in modules:
        for name, parameter in list(old.named_parameters()):
            setattr(new, name, nn.Parameter(parameter.detach()[stays]))
    if bn is not None:
        new_bn.running_mean, new_bn.running_var = bn.running_mean[stays], bn.running_var[stays]
        new_bn.num_features = int(stays.sum())
    inputs = stays.repeat_interleave(linear.weight.shape[1] // n)
    new_linear.weight = nn.Parameter(linear.weight.detach()[:, inputs])
    new_linear.in_features = int(inputs.sum())
    if isinstance(layer, nn.Conv2d):
        new_layer.out_channels = int(stays.sum())
    else:
        new_layer.out_features = int(stays.sum())
    return new_layer, new_bn, new_linear


# --- saved_cost ------------------------------------------------------------------------------------------------


@wrong(
    "saved_cost",
    "You counted the filters alone: the next layer loses weights too.",
)
def saved_forgets_the_next(shape, next_shape, positions, next_positions, removed):
    out = shape[0]
    if not 0 <= removed <= out or next_shape[1] % out != 0 or (len(next_shape) == 4 and next_shape[1] != out):
        raise ValueError("input")
    own = math.prod(shape[1:])
    return removed * own, removed * own * positions


@wrong(
    "saved_cost",
    "You counted the next layer alone: the filters themselves go too.",
)
def saved_only_the_next(shape, next_shape, positions, next_positions, removed):
    out = shape[0]
    if not 0 <= removed <= out or next_shape[1] % out != 0 or (len(next_shape) == 4 and next_shape[1] != out):
        raise ValueError("input")
    read = math.prod(next_shape) // out
    return removed * read, removed * read * next_positions


@wrong(
    "saved_cost",
    "You used the first layer's map for both layers: the next one has positions of its own.",
)
def saved_one_size(shape, next_shape, positions, next_positions, removed):
    out = shape[0]
    if not 0 <= removed <= out or next_shape[1] % out != 0 or (len(next_shape) == 4 and next_shape[1] != out):
        raise ValueError("input")
    own, read = math.prod(shape[1:]), math.prod(next_shape) // out
    return removed * (own + read), removed * (own + read) * positions


@wrong(
    "saved_cost",
    "Your multiply-adds are the number of weights: each weight works once at every output position.",
)
def saved_without_positions(shape, next_shape, positions, next_positions, removed):
    out = shape[0]
    if not 0 <= removed <= out or next_shape[1] % out != 0 or (len(next_shape) == 4 and next_shape[1] != out):
        raise ValueError("input")
    own, read = math.prod(shape[1:]), math.prod(next_shape) // out
    return removed * (own + read), removed * (own + read)


@wrong(
    "saved_cost",
    "You counted for one output, however many are removed.",
)
def saved_one_filter(shape, next_shape, positions, next_positions, removed):
    out = shape[0]
    if not 0 <= removed <= out or next_shape[1] % out != 0 or (len(next_shape) == 4 and next_shape[1] != out):
        raise ValueError("input")
    own, read = math.prod(shape[1:]), math.prod(next_shape) // out
    return own + read, own * positions + read * next_positions


@wrong(
    "saved_cost",
    "You counted two operations for each multiply-add.",
)
def saved_operations(shape, next_shape, positions, next_positions, removed):
    out = shape[0]
    if not 0 <= removed <= out or next_shape[1] % out != 0 or (len(next_shape) == 4 and next_shape[1] != out):
        raise ValueError("input")
    own, read = math.prod(shape[1:]), math.prod(next_shape) // out
    return removed * (own + read), 2 * removed * (own * positions + read * next_positions)


@wrong(
    "saved_cost",
    "You used the first layer's kernel for the next layer too.",
)
def saved_kernel_once(shape, next_shape, positions, next_positions, removed):
    out = shape[0]
    if not 0 <= removed <= out or next_shape[1] % out != 0 or (len(next_shape) == 4 and next_shape[1] != out):
        raise ValueError("input")
    own, read = math.prod(shape[1:]), math.prod(next_shape) // out
    if len(next_shape) == 4:
        read = next_shape[0] * math.prod(shape[2:])
    return removed * (own + read), removed * (own * positions + read * next_positions)


@wrong(
    "saved_cost",
    "You took one side of the kernel instead of its area.",
)
def saved_kernel_side(shape, next_shape, positions, next_positions, removed):
    out = shape[0]
    if not 0 <= removed <= out or next_shape[1] % out != 0 or (len(next_shape) == 4 and next_shape[1] != out):
        raise ValueError("input")
    own, read = math.prod(shape[1:]), math.prod(next_shape) // out
    if len(shape) == 4:
        own = shape[1] * shape[2]
    if len(next_shape) == 4:
        read = next_shape[0] * next_shape[2]
    return removed * (own + read), removed * (own * positions + read * next_positions)


@wrong(
    "saved_cost",
    "You took the number of filters of the layer where its number of inputs belongs.",
)
def saved_outputs_for_inputs(shape, next_shape, positions, next_positions, removed):
    out = shape[0]
    if not 0 <= removed <= out or next_shape[1] % out != 0 or (len(next_shape) == 4 and next_shape[1] != out):
        raise ValueError("input")
    own, read = math.prod(shape[1:]), math.prod(next_shape) // out
    own = shape[0] * math.prod(shape[2:])
    return removed * (own + read), removed * (own * positions + read * next_positions)


@wrong(
    "saved_cost",
    "You counted a bias for each removed output.",
)
def saved_with_biases(shape, next_shape, positions, next_positions, removed):
    out = shape[0]
    if not 0 <= removed <= out or next_shape[1] % out != 0 or (len(next_shape) == 4 and next_shape[1] != out):
        raise ValueError("input")
    own, read = math.prod(shape[1:]), math.prod(next_shape) // out
    return removed * (own + 1 + read), removed * (own * positions + read * next_positions)


@wrong(
    "saved_cost",
    "At a linear layer you counted one input for each removed output: behind a map there are several.",
)
def saved_one_input_each(shape, next_shape, positions, next_positions, removed):
    out = shape[0]
    if not 0 <= removed <= out or next_shape[1] % out != 0 or (len(next_shape) == 4 and next_shape[1] != out):
        raise ValueError("input")
    own, read = math.prod(shape[1:]), math.prod(next_shape) // out
    if len(next_shape) == 2:
        read = next_shape[0]
    return removed * (own + read), removed * (own * positions + read * next_positions)


@wrong(
    "saved_cost",
    "You counted what is left of the two layers, not what is saved.",
)
def saved_what_is_left(shape, next_shape, positions, next_positions, removed):
    out = shape[0]
    if not 0 <= removed <= out or next_shape[1] % out != 0 or (len(next_shape) == 4 and next_shape[1] != out):
        raise ValueError("input")
    own, read = math.prod(shape[1:]), math.prod(next_shape) // out
    left = out - removed
    return left * (own + read), left * (own * positions + read * next_positions)


@wrong(
    "saved_cost",
    "Layers that do not follow each other, or more outputs than there are, are accepted.",
)
def saved_unchecked(shape, next_shape, positions, next_positions, removed):
    own, read = math.prod(shape[1:]), math.prod(next_shape) // shape[0]
    return removed * (own + read), removed * (own * positions + read * next_positions)


@right("saved_cost")
def saved_by_difference(shape, next_shape, positions, next_positions, removed):
    out = shape[0]
    if (
        removed < 0
        or removed > out
        or (next_shape[1] != out if len(next_shape) == 4 else next_shape[1] % out)
    ):
        raise ValueError("input")
    each = next_shape[1] // out
    smaller = (out - removed, *shape[1:])
    next_smaller = (next_shape[0], next_shape[1] - removed * each, *next_shape[2:])
    first = math.prod(shape) - math.prod(smaller)
    second = math.prod(next_shape) - math.prod(next_smaller)
    return first + second, first * positions + second * next_positions


@right("saved_cost")
def saved_by_numpy(shape, next_shape, positions, next_positions, removed):
    out, width = shape[0], next_shape[1]
    if not 0 <= removed <= out or width % out or (len(next_shape) > 2 and width != out):
        raise ValueError("input")
    first = np.zeros(shape, dtype=bool)
    first[:removed] = True
    second = np.zeros(next_shape, dtype=bool)
    second[:, : removed * (width // out)] = True
    weights = int(first.sum()) + int(second.sum())
    return weights, int(first.sum()) * positions + int(second.sum()) * next_positions
