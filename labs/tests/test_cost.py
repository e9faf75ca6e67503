"""Counted costs equal sums done by hand."""

import pytest
import torch
from torch import nn

from labkit.cost import count_macs, count_macs_by_layer, count_parameters
from labkit.models import CNN, MLP

IMAGE = (1, 28, 28)

MLP_MACS = {"fc1": 784 * 300, "fc2": 300 * 100, "fc3": 100 * 10}
CNN_MACS = {  # output pixels * output channels * input channels * 3 * 3
    "conv1": 28 * 28 * 16 * 1 * 9,
    "conv2": 14 * 14 * 32 * 16 * 9,
    "conv3": 7 * 7 * 64 * 32 * 9,
    "fc1": 64 * 3 * 3 * 128,
    "fc2": 128 * 10,
}


def test_parameters_by_hand():
    assert count_parameters(MLP()) == 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10 == 266_610
    convolutions = 9 * (1 * 16 + 16 * 32 + 32 * 64)
    batch_norms = 2 * (16 + 32 + 64)
    assert count_parameters(CNN()) == convolutions + batch_norms + 576 * 128 + 128 + 128 * 10 + 10 == 98_554


def test_a_shared_parameter_counts_once():
    layer = nn.Linear(4, 4)
    assert count_parameters(nn.Sequential(layer, layer)) == 20


@pytest.mark.parametrize(("build", "expected"), [(MLP, MLP_MACS), (CNN, CNN_MACS)])
def test_macs_by_hand(build, expected):
    assert count_macs_by_layer(build(), IMAGE) == expected
    assert count_macs(build(), IMAGE) == sum(expected.values())


@pytest.mark.parametrize(("groups", "stride", "dilation"), [(1, 2, 1), (4, 1, 1), (2, 2, 2)])
def test_macs_of_one_convolution_by_counting_its_products(groups, stride, dilation):
    layer = nn.Conv2d(4, 8, (3, 5), stride=stride, dilation=dilation, groups=groups)
    height, width = layer(torch.zeros(1, 4, 20, 23)).shape[2:]
    products = height * width * layer.weight.numel()  # every weight once at every output pixel
    assert count_macs(layer, (4, 20, 23)) == products
    assert count_macs_by_layer(layer, (4, 20, 23)) == {"": products}


def test_zeros_are_not_skipped():
    model = CNN()
    with torch.no_grad():
        model.conv2.weight.zero_()
    assert count_macs(model, IMAGE) == sum(CNN_MACS.values())


def test_a_layer_that_does_not_run_costs_nothing():
    model = MLP()
    model.spare = nn.Linear(5, 5)
    assert count_macs_by_layer(model, IMAGE)["spare"] == 0


def test_nested_layers_and_other_dtypes():
    model = nn.Sequential(nn.Sequential(nn.Linear(6, 5), nn.ReLU()), nn.Linear(5, 2)).double()
    assert count_macs_by_layer(model, (6,)) == {"0.0": 30, "1": 10}


def test_the_model_is_left_as_it_was():
    model = CNN().train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count_macs(model, IMAGE)
    assert model.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in model.modules())


def test_an_input_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="without the batch dimension"):
        count_macs(CNN(), (1, 1, 28, 28))
