"""The checkpoints are what data/results/checkpoints.json says that they are."""

import json

import pytest
import torch

from labkit.checkpoints import MODELS, SEEDS, load_checkpoint, save_checkpoint
from labkit.cost import count_macs, count_parameters
from labkit.data_folder import data_folder
from labkit.datasets import load_fashion_mnist
from labkit.training import accuracy


@pytest.fixture(scope="module")
def results():
    return json.loads((data_folder() / "results" / "checkpoints.json").read_text(encoding="utf-8"))["models"]


@pytest.mark.parametrize("name", MODELS)
def test_recorded_accuracies_are_measured_again(results, name):
    """Another processor may round a tie differently: at most one image in the split."""
    for split in ("validation", "test"):
        images, labels = load_fashion_mnist(split)
        for seed, recorded in zip(SEEDS, results[name]["seeds"], strict=True):
            measured = accuracy(load_checkpoint(name, seed), images, labels)
            assert abs(measured - recorded[f"{split}_accuracy"]) * len(images) <= 1.01


@pytest.mark.parametrize("name", MODELS)
def test_recorded_summary_follows_from_the_seeds(results, name):
    entry = results[name]
    for split in ("train_accuracy", "validation_accuracy", "test_accuracy"):
        runs = torch.tensor([run[split] for run in entry["seeds"]], dtype=torch.float64)
        assert entry["mean_over_seeds"][split] == pytest.approx(runs.mean().item())
        assert entry["standard_deviation_over_seeds"][split] == pytest.approx(runs.std().item())


@pytest.mark.parametrize("name", MODELS)
def test_recorded_cost_is_that_of_the_model(results, name):
    model = load_checkpoint(name)
    assert results[name]["parameters"] == count_parameters(model)
    assert results[name]["macs_for_one_image"] == count_macs(model, (1, 28, 28))


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_is_ready_to_use(name):
    model = load_checkpoint(name, seed=1)
    assert isinstance(model, MODELS[name])
    assert not any(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_seeds_are_different_networks_and_two_loads_share_nothing():
    first, same, other = load_checkpoint("mlp", 0), load_checkpoint("mlp", 0), load_checkpoint("mlp", 1)
    assert torch.equal(first.fc1.weight, same.fc1.weight)
    assert not torch.equal(first.fc1.weight, other.fc1.weight)
    with torch.no_grad():
        first.fc1.weight.zero_()
    assert same.fc1.weight.abs().sum() > 0


@pytest.mark.parametrize(("name", "seed"), [("vgg", 0), ("mlp", 3), ("cnn", -1)])
def test_an_unknown_checkpoint_names_the_known_ones(name, seed):
    with pytest.raises(ValueError, match="choose one of"):
        load_checkpoint(name, seed)


def test_the_same_state_is_saved_as_the_same_bytes(tmp_path):
    model = MODELS["cnn"]()
    save_checkpoint(model, tmp_path / "a" / "first.safetensors")
    save_checkpoint(model, tmp_path / "second.safetensors")
    assert (tmp_path / "a" / "first.safetensors").read_bytes() == (
        tmp_path / "second.safetensors"
    ).read_bytes()


def test_a_damaged_checkpoint_is_refused(tmp_path, monkeypatch):
    sums = (data_folder() / "SHA256SUMS").read_bytes()
    (tmp_path / "SHA256SUMS").write_bytes(sums)
    save_checkpoint(
        MODELS["mlp"](), tmp_path / "checkpoints" / "mlp-0.safetensors"
    )  # valid, but another network
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    with pytest.raises(RuntimeError, match="damaged"):
        load_checkpoint("mlp")
