"""The two networks that the labs prune, and the list of their prunable weights.

Shapes: B, C, H, W for activations.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


class MLP(nn.Module):
    """Fully connected network of the shape of LeNet-300-100: 266,610 parameters at the default widths.

    Source: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, 1998, "Gradient-Based Learning Applied to Document
    Recognition", Proceedings of the IEEE 86(11); with ReLU in place of the sigmoid.
    """

    def __init__(self, hidden: Sequence[int] = (300, 100), classes: int = 10):
        """Build the network with PyTorch's default random weights.

        Args:
            hidden: widths of the two hidden layers.
            classes: number of outputs.

        Raises:
            ValueError: not two widths, or a width below 1.
        """
        super().__init__()
        _require_widths("hidden", hidden, 2)
        _require_widths("classes", [classes], 1)
        self.fc1 = nn.Linear(28 * 28, hidden[0])
        self.relu1 = nn.ReLU()
        self.fc2 = nn.Linear(hidden[0], hidden[1])
        self.relu2 = nn.ReLU()
        self.fc3 = nn.Linear(hidden[1], classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, shape [B, classes], of images, shape [B, 1, 28, 28]."""
        x = images.flatten(1)  # B, 784
        x = self.relu1(self.fc1(x))  # B, 300
        x = self.relu2(self.fc2(x))  # B, 100
        return self.fc3(x)  # B, 10


class CNN(nn.Module):
    """Three convolutions with BatchNorm, then two linear layers: 98,554 parameters at the default widths.

    A convolution has no bias, since the BatchNorm after it has one. This network is the course's own.
    """

    def __init__(self, channels: Sequence[int] = (16, 32, 64), hidden: int = 128, classes: int = 10):
        """Build the network with PyTorch's default random weights.

        Args:
            channels: output channels of the three convolutions.
            hidden: width of the hidden linear layer.
            classes: number of outputs.

        Raises:
            ValueError: not three channel counts, or a width below 1.
        """
        super().__init__()
        _require_widths("channels", channels, 3)
        _require_widths("hidden, classes", [hidden, classes], 2)
        self.conv1 = nn.Conv2d(1, channels[0], kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(channels[0], channels[1], kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels[1])
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.conv3 = nn.Conv2d(channels[1], channels[2], kernel_size=3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels[2])
        self.relu3 = nn.ReLU()
        self.pool3 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(channels[2] * 3 * 3, hidden)
        self.relu4 = nn.ReLU()
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, shape [B, classes], of images, shape [B, 1, 28, 28]."""
        x = self.pool1(self.relu1(self.bn1(self.conv1(images))))  # B, 16, 14, 14
        x = self.pool2(self.relu2(self.bn2(self.conv2(x))))  # B, 32, 7, 7
        x = self.pool3(self.relu3(self.bn3(self.conv3(x))))  # B, 64, 3, 3
        x = x.flatten(1)  # B, 576: channel c owns entries 9c to 9c + 8
        x = self.relu4(self.fc1(x))  # B, 128
        return self.fc2(x)  # B, 10


def prunable_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weight of every Conv2d and Linear layer, in the model's order.

    Biases and BatchNorm are never listed: they are few, and each acts on a whole unit.

    Returns:
        Name, as in `model.state_dict()` ("conv1.weight"), to the parameter itself, not a copy.
        Conv2d: shape [out, in, kh, kw]. Linear: shape [out, in].

    Raises:
        ValueError: the weight of a layer is not a parameter, as under torch.nn.utils.prune or parametrize.
    """
    weights = {}
    for layer_name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            name = f"{layer_name}.weight" if layer_name else "weight"
            if not isinstance(layer.weight, nn.Parameter):
                raise ValueError(
                    f"{name} is computed from other tensors and is not a parameter: make it one first, "
                    "for instance with torch.nn.utils.prune.remove(layer, 'weight')."
                )
            weights[name] = layer.weight
    return weights


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Put a model in evaluation mode inside a `with`; after it every module has its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield model.eval()
    finally:
        for module, training in modes:
            module.training = training


def _require_widths(name: str, widths: Sequence[int], count: int) -> None:
    if len(widths) != count or any(width < 1 for width in widths):
        raise ValueError(f"{name} is {widths!r}: give {count} whole number(s) of 1 or more.")
