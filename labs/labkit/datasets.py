"""Fashion-MNIST: the course's subset, and the full set where it is installed.

Source: H. Xiao, K. Rasul and R. Vollgraf, 2017, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
Learning Algorithms", arXiv:1708.07747. The subset is made by data/make_fashion_mnist.py; see data/README.md.
"""

import numpy as np
import torch

from labkit.data_folder import verified
from labkit.full_fashion_mnist import read_full

FILE = "fashion_mnist.npz"
SPLITS = ("train", "validation", "test")
CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
MEAN = 0.286  # of the training images' grey values, scaled to 0..1, rounded to three digits
STD = 0.353  # their standard deviation


def load_fashion_mnist(split: str, *, full: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Load one split of Fashion-MNIST.

    | split | subset | full=True |
    |---|---|---|
    | "train" | 12,000 images of the original training file | the other 58,000 images of that file, in its order |
    | "validation" | 2,000 images of the original training file | the same 2,000 images |
    | "test" | 4,000 images of the original test file | all 10,000 images of that file, in its order |

    The three splits share no image, so a model trained on either training split may be validated on the same
    validation images. In the subset, and in the validation split always, every 10 consecutive images hold
    one of each class: `images[:n]` is balanced for every multiple n of 10.

    Args:
        split: "train", "validation" or "test".
        full: take the whole set, from Debian's package dataset-fashion-mnist or through torchvision, which
            downloads it once.

    Returns:
        images: float32, shape [N, 1, 28, 28], normalised: (grey / 255 - MEAN) / STD.
        labels: int64, shape [N], the index into CLASS_NAMES.

    Raises:
        ValueError: `split` is not one of the three.
        FileNotFoundError: the data file is missing, or `full` and the whole set is found nowhere.
        RuntimeError: the data file is damaged, or the whole set is not the one that the subset was drawn from.
    """
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}: choose one of {', '.join(map(repr, SPLITS))}.")
    with np.load(verified(FILE)) as file:
        subset = {name: file[f"{split}_{name}"] for name in ("images", "labels", "indices")}
        held_out = file["validation_indices"]
    images, labels = subset["images"], subset["labels"]  # uint8 [N, 28, 28], uint8 [N]
    if full and split != "validation":
        images, labels = read_full(split, subset)
        if split == "train":
            images, labels = np.delete(images, held_out, axis=0), np.delete(labels, held_out)
    return _normalise(images), torch.from_numpy(labels.astype(np.int64))


def _normalise(images: np.ndarray) -> torch.Tensor:
    grey = torch.tensor(images, dtype=torch.float32).unsqueeze(1)  # N, 28, 28 -> N, 1, 28, 28
    return grey.div_(255).sub_(MEAN).div_(STD)
