"""Train a classifier, and measure its accuracy."""

import itertools
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from labkit.models import evaluating


@torch.no_grad()
def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch_size: int = 200) -> float:
    """Measure the fraction of images that a model classifies correctly.

    Runs in evaluation mode on the model's device, and leaves the mode of every module and all gradients as
    they were.

    Args:
        model: maps images to logits, shape [B, classes].
        images: float32, shape [N, 1, 28, 28], on any device.
        labels: int64, shape [N].
        batch_size: images per forward pass (200: about twice as fast on a CPU as 1,000, for the CNN here).

    Returns:
        Correct / N, between 0 and 1.

    Raises:
        ValueError: no images, as many labels as images are not given, labels are not int64, or batch_size < 1.
    """
    _require_examples(images, labels, batch_size)
    device = _device_of(model, images)
    correct = 0
    with evaluating(model):
        for batch, answers in zip(images.split(batch_size), labels.split(batch_size), strict=True):
            predicted = model(batch.to(device)).argmax(dim=1)  # B, classes -> B
            correct += int((predicted == answers.to(device)).sum())
    return correct / len(images)


def train(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    lr: float,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 128,
    weight_decay: float = 0.01,
    seed: int = 0,
    progress: bool = True,
    after_step: Callable[[nn.Module, int], object] | None = None,
) -> list[float]:
    """Train a model in place with AdamW, a one-cycle learning rate and the cross-entropy loss.

    Images are visited in a random order, drawn anew for each epoch; the last N % batch_size images of an order
    are left out of that epoch. The same seed on the same machine, with the same number of CPU threads, gives the same
    weights, bit for bit on a CPU; the global random state is left as it was.

    Sources: I. Loshchilov and F. Hutter, 2019, arXiv:1711.05101 (AdamW); L. N. Smith and N. Topin, 2018,
    arXiv:1708.07120 (one-cycle).

    Args:
        model: maps images to logits, shape [B, classes]. It is left in evaluation mode, without gradients.
        images: float32, shape [N, 1, 28, 28], on any device.
        labels: int64, shape [N].
        lr: the peak of the learning rate, reached after 30% of the steps.
        epochs: length of the training in passes over the images. Give either this or `steps`.
        steps: length of the training in mini-batches.
        batch_size: images per step; where N is smaller, all N are taken.
        weight_decay: AdamW's decoupled weight decay (PyTorch's default).
        seed: decides the order of the images, and dropout where the model has it.
        progress: show a progress bar.
        after_step: called as after_step(model, step) after each update of the weights, step = 0, 1, ...:
            the place to apply pruning masks again.

    Returns:
        The mini-batch loss of each step, in nats.

    Raises:
        ValueError: not exactly one of epochs and steps, or it is below 1; lr is not above 0; or the examples
            are not valid (see `accuracy`).
    """
    _require_examples(images, labels, batch_size)
    steps_per_epoch = max(1, len(images) // batch_size)
    steps = _number_of_steps(epochs, steps, steps_per_epoch)
    if not lr > 0:
        raise ValueError(f"lr is {lr}: give a learning rate above 0.")
    device = _device_of(model, images)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=steps)
    losses = []
    model.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        batches = itertools.islice(_batches(len(images), batch_size, steps_per_epoch), steps)
        for step, batch in enumerate(
            tqdm(batches, total=steps, desc="training", unit="step", disable=not progress)
        ):
            loss = F.cross_entropy(model(images[batch].to(device)), labels[batch].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if after_step is not None:
                after_step(model, step)
    optimizer.zero_grad()
    model.eval()
    return losses


def _batches(examples: int, batch_size: int, per_epoch: int) -> Iterator[torch.Tensor]:
    while True:
        order = torch.randperm(examples)  # N
        for start in range(0, per_epoch * batch_size, batch_size):
            yield order[start : start + batch_size]  # B


def _number_of_steps(epochs: int | None, steps: int | None, steps_per_epoch: int) -> int:
    if (epochs is None) == (steps is None):
        raise ValueError("Give exactly one of epochs and steps.")
    if (length := epochs if steps is None else steps) < 1:
        raise ValueError(f"The training would last {length} epochs or steps: give 1 or more.")
    return epochs * steps_per_epoch if steps is None else steps


def _require_examples(images: torch.Tensor, labels: torch.Tensor, batch_size: int) -> None:
    if len(images) == 0 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"images has shape {list(images.shape)} and labels {list(labels.shape)}: "
            "give at least one image and exactly one label for each."
        )
    if labels.dtype != torch.int64:
        raise ValueError(
            f"labels are {labels.dtype}: give class numbers as torch.int64, as with labels.long()."
        )
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: give 1 or more.")


def _device_of(model: nn.Module, images: torch.Tensor) -> torch.device:
    tensors = itertools.chain(model.parameters(), model.buffers(), [images])
    return next(tensors).device
