"""The CNN at other widths: what a width vector costs, the network that it stands for, and a recorded table of both.

A width vector is a tuple of four numbers: the channels of the three convolutions, and the units of the hidden layer.
The table in data/results/width_accuracies.json holds the accuracies of every width vector of a grid, for each of the
three checkpoints; data/make_width_accuracies.py makes it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from labkit.checkpoints import SEEDS
from labkit.data_folder import verified
from labkit.models import CNN

FULL = (16, 32, 64, 128)  # conv1, conv2, conv3, fc1
FILE = "results/width_accuracies.json"
LAYERS = ("conv1", "conv2", "conv3", "fc1")
POSITIONS = (
    28 * 28,
    14 * 14,
    7 * 7,
    3 * 3,
)  # output positions of the convolutions; map that the first linear layer reads
KERNEL, CLASSES = 3 * 3, 10


def cnn_macs(widths: Sequence[int]) -> int:
    """Count the multiply-adds of one image through the CNN with these widths.

    Raises:
        ValueError: not four widths, or a width below 1 or above the one in FULL.
    """
    conv1, conv2, conv3, hidden = _checked(widths)
    return (
        conv1 * KERNEL * POSITIONS[0]
        + conv1 * conv2 * KERNEL * POSITIONS[1]
        + conv2 * conv3 * KERNEL * POSITIONS[2]
        + conv3 * POSITIONS[3] * hidden
        + hidden * CLASSES
    )


def narrow(model: CNN, widths: Sequence[int]) -> CNN:
    """Build the CNN that keeps, in each layer, the filters and units with the largest L1 norm.

    The norms are those of the model's own weights (Li et al. 2016, arXiv:1608.08710); of equal norms the later one stays.
    What belongs to a kept channel keeps its values: weights, bias, scale, shift and running statistics.

    Args:
        model: the CNN at its full widths; it is not changed.
        widths: how many channels, or units, each of the four layers keeps.

    Returns:
        A new CNN on the same device, in evaluation mode, which shares no memory with the model.

    Raises:
        ValueError: not four widths, or a width below 1 or above the one in FULL.
    """
    counts = _checked(widths)
    kept = {
        name: _largest(getattr(model, name).weight, count) for name, count in zip(LAYERS, counts, strict=True)
    }
    state = {name: value.detach() for name, value in model.state_dict().items()}
    for place, name in enumerate(LAYERS):
        bn = f"bn{place + 1}"
        for key in state:
            if key.startswith(f"{name}.") or (key.startswith(f"{bn}.") and state[key].dim() > 0):
                state[key] = state[key][kept[name]]  # out: dimension 0
    state["conv2.weight"] = state["conv2.weight"][:, kept["conv1"]]  # in: dimension 1
    state["conv3.weight"] = state["conv3.weight"][:, kept["conv2"]]
    by_channel = state["fc1.weight"].unflatten(1, (FULL[2], POSITIONS[3]))  # hidden, 64, 9
    state["fc1.weight"] = by_channel[:, kept["conv3"]].flatten(1)
    state["fc2.weight"] = state["fc2.weight"][:, kept["fc1"]]
    new = CNN(channels=counts[:3], hidden=counts[3]).to(model.fc1.weight.device)
    new.load_state_dict(state)
    return new.eval()


@dataclass(frozen=True)
class WidthTable:
    """Recorded accuracies of width vectors, as fractions; one row for each vector, one column for each checkpoint.

    Attributes:
        levels: for each layer, the widths of the grid, ascending.
        window: least and largest MACs of a vector in the table.
        widths: every width vector of the grid in the window.
        accuracy: name to float64 tensor [vectors, checkpoints]. "pruned" and "adapted" are read before any training,
            without and with BatchNorm statistics adapted, and "tuned" after fine-tuning; "_first" and "_second" are the
            halves of the validation images, "_test" the test images. NaN where a vector was not fine-tuned.
    """

    levels: tuple[tuple[int, ...], ...]
    window: tuple[int, int]
    widths: list[tuple[int, ...]]
    accuracy: dict[str, torch.Tensor]


def load_width_table() -> WidthTable:
    """Load the recorded accuracies of the CNN at many widths.

    Raises:
        FileNotFoundError: the file is missing.
        RuntimeError: the file is damaged.
    """
    record = json.loads(verified(FILE).read_text(encoding="utf-8"))
    missing = [float("nan")] * len(SEEDS)
    rows = {name: [row.get(name, missing) for row in record["vectors"]] for name in record["columns"]}
    return WidthTable(
        levels=tuple(map(tuple, record["levels"])),
        window=tuple(record["window"]),
        widths=[tuple(row["widths"]) for row in record["vectors"]],
        accuracy={name: torch.tensor(values, dtype=torch.float64) for name, values in rows.items()},
    )


def _checked(widths: Sequence[int]) -> tuple[int, ...]:
    if len(widths) != len(FULL) or any(not 1 <= width <= full for width, full in zip(widths, FULL)):
        raise ValueError(f"widths are {widths!r}: give four whole numbers, each from 1 to those of {FULL}.")
    return tuple(widths)


def _largest(weight: torch.Tensor, count: int) -> torch.Tensor:
    norms = weight.detach().flatten(1).abs().sum(dim=1)  # out
    return norms.argsort(stable=True)[len(norms) - count :].sort().values
