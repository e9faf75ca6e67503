"""The subset is stratified, disjoint, normalised as documented, and a faithful part of the original."""

import gzip
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from labkit import datasets, full_fashion_mnist
from labkit.data_folder import data_folder, verified
from labkit.datasets import CLASS_NAMES, MEAN, SPLITS, STD, load_fashion_mnist

SIZES = {"train": 12_000, "validation": 2_000, "test": 4_000}
DEBIAN = full_fashion_mnist.DEBIAN_FOLDER
needs_debian = pytest.mark.skipif(
    not DEBIAN.is_dir(), reason="Debian's dataset-fashion-mnist is not installed"
)


@pytest.fixture(scope="module")
def arrays():
    with np.load(verified(datasets.FILE)) as file:
        return dict(file)


@pytest.mark.parametrize("split", SPLITS)
def test_shapes_types_and_normalisation(arrays, split):
    images, labels = load_fashion_mnist(split)
    assert images.shape == (SIZES[split], 1, 28, 28)
    assert images.dtype == torch.float32
    assert labels.shape == (SIZES[split],)
    assert labels.dtype == torch.int64
    grey = arrays[f"{split}_images"]
    expected = (grey[:, None] / 255.0 - MEAN) / STD  # float64
    np.testing.assert_allclose(images.numpy(), expected, atol=1e-5)


def test_mean_and_std_are_those_of_the_training_images(arrays):
    grey = arrays["train_images"] / 255.0
    assert round(grey.mean(), 3) == MEAN
    assert round(grey.std(), 3) == STD


@pytest.mark.parametrize("split", SPLITS)
def test_every_ten_consecutive_images_hold_one_of_each_class(split):
    _, labels = load_fashion_mnist(split)
    rounds = labels.view(-1, 10).sort(dim=1).values
    assert torch.equal(rounds, torch.arange(10).expand_as(rounds))
    assert len(CLASS_NAMES) == 10


def test_the_order_within_a_round_is_random():
    _, labels = load_fashion_mnist("test")
    assert labels.view(-1, 10).unique(dim=0).shape[0] > 390  # of 400 rounds; 10! orders are possible


def test_no_position_is_drawn_twice(arrays):
    from_training_file = np.concatenate([arrays["train_indices"], arrays["validation_indices"]])
    assert len(np.unique(from_training_file)) == 14_000
    assert len(np.unique(arrays["test_indices"])) == 4_000


def test_changing_the_returned_images_does_not_change_the_next_ones():
    images, _ = load_fashion_mnist("validation")
    images.zero_()
    again, _ = load_fashion_mnist("validation")
    assert again.abs().sum() > 0


def test_an_unknown_split_names_the_known_ones():
    with pytest.raises(ValueError, match="'validation'"):
        load_fashion_mnist("val")


def test_a_damaged_data_set_is_refused(tmp_path, monkeypatch):
    content = bytearray(verified(datasets.FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / datasets.FILE).write_bytes(content)
    (tmp_path / "SHA256SUMS").write_bytes((data_folder() / "SHA256SUMS").read_bytes())
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    with pytest.raises(RuntimeError, match="damaged"):
        load_fashion_mnist("test")


@needs_debian
def test_the_data_set_is_made_again_from_the_original(arrays):
    script = Path(data_folder() / "make_fashion_mnist.py")
    spec = importlib.util.spec_from_file_location("make_fashion_mnist", script)
    make_fashion_mnist = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_fashion_mnist)
    made = make_fashion_mnist.make_arrays(DEBIAN)
    assert list(made) == list(arrays)
    for name, array in made.items():
        assert array.dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, arrays[name])


@needs_debian
def test_the_full_set_holds_out_the_same_validation_images(arrays):
    images, labels = load_fashion_mnist("train", full=True)
    assert images.shape == (58_000, 1, 28, 28)
    assert labels.bincount().tolist() == [5_800] * 10
    training = {image.numpy().tobytes() for image in images}
    held_out, _ = load_fashion_mnist("validation")
    assert not any(image.numpy().tobytes() in training for image in held_out)
    for split in ("validation", "test"):
        small_images, small_labels = load_fashion_mnist(split)
        full_images, full_labels = load_fashion_mnist(split, full=True)
        if split == "test":
            assert full_images.shape == (10_000, 1, 28, 28)
            full_images = full_images[arrays["test_indices"]]
            full_labels = full_labels[arrays["test_indices"]]
        assert torch.equal(full_images, small_images)
        assert torch.equal(full_labels, small_labels)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def original(tmp_path, monkeypatch):
    """Return a folder of tiny "original" files that stands in for Debian's, and a subset of them."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20, 28, 28), dtype=np.uint8)
    labels = random.integers(0, 10, 20, dtype=np.uint8)
    for prefix in ("train", "t10k"):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", labels)
    monkeypatch.setattr(full_fashion_mnist, "DEBIAN_FOLDER", tmp_path)
    at = np.array([3, 1, 19])
    return tmp_path, {"images": images[at], "labels": labels[at], "indices": at}, images


def test_a_whole_file_is_read_in_its_own_order(original):
    _, subset, expected = original
    images, labels = full_fashion_mnist.read_full("test", subset)
    np.testing.assert_array_equal(images, expected)
    assert labels.shape == (20,)


def test_a_file_that_does_not_hold_the_subset_is_refused(original):
    _, subset, _ = original
    other = subset | {"images": 255 - subset["images"]}
    with pytest.raises(RuntimeError, match="not the Fashion-MNIST that the course's subset was drawn from"):
        full_fashion_mnist.read_full("train", other)


def test_a_truncated_file_is_refused(original):
    folder, subset, _ = original
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RuntimeError, match="cannot be read"):
        full_fashion_mnist.read_full("train", subset)


def test_without_the_full_set_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(full_fashion_mnist, "DEBIAN_FOLDER", tmp_path)
    monkeypatch.setattr(full_fashion_mnist, "TORCHVISION_ROOT", tmp_path)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)  # as if torchvision were not installed
    with pytest.raises(FileNotFoundError, match="dataset-fashion-mnist"):
        load_fashion_mnist("train", full=True)
