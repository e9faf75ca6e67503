"""Count parameters and multiply-adds.

One multiply-add (MAC) is one product added to a sum: y += w * x. PyTorch's counter reports floating-point
operations and counts the product and the sum apart, so MACs are half of what it reports.

These are *dense* MACs: a weight that is zero costs as much as any other, since dense kernels do not skip it.
Masking weights therefore changes nothing here; removing whole channels or units does. Only convolutions and
matrix products are counted: not biases, BatchNorm, activations or pooling.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from labkit.models import evaluating

OPERATIONS_PER_MAC = 2  # one product and one sum


def count_parameters(model: nn.Module) -> int:
    """Count the entries of all parameters, zero or not; a shared parameter counts once, buffers never."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Count the dense multiply-adds of one forward pass on one input.

    Args:
        model: in any mode; it is run once in evaluation mode, and left as it was.
        input_shape: shape of one input without the batch dimension, such as (1, 28, 28).

    Returns:
        Multiply-adds for one input (zeros are not skipped; see the top of this module).

    Raises:
        ValueError: the model does not take an input of this shape.
    """
    return _count(model, input_shape).get_total_flops() // OPERATIONS_PER_MAC


def count_macs_by_layer(model: nn.Module, input_shape: Sequence[int]) -> dict[str, int]:
    """Count the dense multiply-adds of each Conv2d and Linear layer in one forward pass on one input.

    Args:
        model: in any mode; it is run once in evaluation mode, and left as it was.
        input_shape: shape of one input without the batch dimension, such as (1, 28, 28).

    Returns:
        Name of the layer, as in `model.named_modules()`, to its multiply-adds; 0 for a layer that did not run.

    Raises:
        ValueError: the model does not take an input of this shape.
    """
    counts = _count(model, input_shape).get_flop_counts()
    root = type(model).__name__  # the counter's names are "CNN.conv1" where ours are "conv1"
    return {
        name: sum(counts.get(f"{root}.{name}" if name else root, {}).values()) // OPERATIONS_PER_MAC
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }


@torch.no_grad()
def _count(model: nn.Module, input_shape: Sequence[int]) -> FlopCounterMode:
    like = next(model.parameters(), torch.empty(0))
    one_input = torch.zeros(1, *input_shape, dtype=like.dtype, device=like.device)  # 1, *input_shape
    counter = FlopCounterMode(display=False)
    try:
        with evaluating(model), counter:
            model(one_input)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"The model does not take an input of shape {list(one_input.shape)}: give input_shape without "
            f"the batch dimension, such as (1, 28, 28) ({error})."
        ) from error
    return counter
