"""The networks have the sizes that the course states, and their prunable weights are listed by name."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from labkit.models import CNN, MLP, evaluating, prunable_weights


@pytest.mark.parametrize("build", [MLP, CNN])
def test_images_become_ten_logits(build):
    assert build()(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_narrower_networks_can_be_built():
    assert MLP(hidden=(64, 32))(torch.zeros(1, 1, 28, 28)).shape == (1, 10)
    assert CNN(channels=(3, 5, 7), hidden=11, classes=4)(torch.zeros(1, 1, 28, 28)).shape == (1, 4)


def test_each_channel_of_conv3_owns_nine_consecutive_inputs_of_fc1():
    """Channel surgery relies on this: silencing channel c changes entries 9c to 9c + 8 only."""
    model = CNN().eval()
    seen = []
    model.fc1.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0][0]))
    image = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model(image)
        model.bn3.bias[5] = 100.0
        model(image)
    changed = (seen[0] != seen[1]).nonzero().flatten().tolist()
    assert changed == list(range(45, 54))


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (MLP, ["fc1.weight", "fc2.weight", "fc3.weight"]),
        (CNN, ["conv1.weight", "conv2.weight", "conv3.weight", "fc1.weight", "fc2.weight"]),
    ],
)
def test_prunable_weights_are_the_parameters_themselves_in_order(build, names):
    model = build()
    weights = prunable_weights(model)
    assert list(weights) == names
    for name, weight in weights.items():
        assert weight is model.get_parameter(name)
        assert name in model.state_dict()


def test_a_single_layer_has_the_name_of_its_state():
    layer = nn.Linear(3, 2)
    assert prunable_weights(layer) == {"weight": layer.weight}


@pytest.mark.parametrize(
    "hide",
    [
        lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
        lambda layer: parametrizations.orthogonal(layer),
    ],
)
def test_a_weight_that_is_no_parameter_is_refused(hide):
    model = MLP()
    hide(model.fc2)
    with pytest.raises(ValueError, match=r"fc2\.weight"):
        prunable_weights(model)


@pytest.mark.parametrize("widths", [(300,), (300, 0), (1, 2, 3)])
def test_bad_widths_are_refused(widths):
    with pytest.raises(ValueError, match="hidden is"):
        MLP(hidden=widths)


def test_evaluating_restores_the_mode_of_every_module_even_after_an_error():
    model = CNN().train()
    model.bn2.eval()  # frozen by the learner
    with pytest.raises(KeyError), evaluating(model):
        assert not any(module.training for module in model.modules())
        raise KeyError
    assert model.training
    assert model.bn1.training
    assert not model.bn2.training
