"""Read the whole of Fashion-MNIST: 60,000 training images and 10,000 test images."""

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # the package dataset-fashion-mnist
TORCHVISION_ROOT = Path("~/.cache/labkit")  # torchvision adds FashionMNIST/raw, and keeps the .gz files there

ORIGINAL_FILES = {  # the images and the labels, as the original names them
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def read_full(split: str, subset: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Read one whole original file, in its own order.

    Looks for the original gzipped files in the folder of Debian's package, then in torchvision's folder under
    ~/.cache/labkit; where neither has them, torchvision downloads them into the latter.

    Args:
        split: "train" or "test".
        subset: "images" (uint8 [N, 28, 28]) and "labels" (uint8 [N]) known to stand at "indices" of that file.
            They prove that the file found is the one that the subset was drawn from.

    Returns:
        images: uint8, shape [60000 or 10000, 28, 28]; labels: uint8, shape [60000 or 10000].

    Raises:
        FileNotFoundError: the files are in neither folder, and torchvision is missing or could not download.
        RuntimeError: a file is damaged, or does not hold the subset.
    """
    folder = _find_folder()
    images, labels = (read_idx(folder / name) for name in ORIGINAL_FILES[split])
    at = subset["indices"]
    if (
        len(images) != len(labels)
        or len(images) <= at.max()
        or not np.array_equal(images[at], subset["images"])
        or not np.array_equal(labels[at], subset["labels"])
    ):
        raise RuntimeError(
            f"The files in {folder} are not the Fashion-MNIST that the course's subset was drawn from: "
            "install Debian's package dataset-fashion-mnist, or delete that folder to download them again."
        )
    return images, labels


def read_idx(path: Path) -> np.ndarray:
    """Read one gzipped idx file of bytes, the format of MNIST (Y. LeCun, http://yann.lecun.com/exdb/mnist).

    The header is big-endian: two zero bytes, the type (8 = unsigned byte), the number of dimensions, then each
    dimension as 4 bytes. The values follow, last dimension fastest.

    Returns:
        uint8, of the shape that the header states.

    Raises:
        RuntimeError: the file is damaged or of another format.
    """
    try:
        content = gzip.decompress(path.read_bytes())
        zeros, kind, dimensions = content[:2], content[2], content[3]
        shape = np.frombuffer(content, dtype=">u4", count=dimensions, offset=4)
        values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions)
        if zeros != b"\0\0" or kind != 8:
            raise ValueError("not an idx file of unsigned bytes")
        return values.reshape(shape)
    except (ValueError, IndexError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RuntimeError(
            f"{path} cannot be read as a gzipped idx file ({error}): delete it and install it again."
        ) from error


def _find_folder() -> Path:
    root = TORCHVISION_ROOT.expanduser()
    folders = (DEBIAN_FOLDER, root / "FashionMNIST" / "raw")
    for folder in folders:
        if all((folder / name).is_file() for names in ORIGINAL_FILES.values() for name in names):
            return folder
    try:
        from torchvision.datasets import FashionMNIST

        FashionMNIST(root, download=True)
    except (ImportError, OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"The whole of Fashion-MNIST was not found ({error}): install Debian's package "
            "dataset-fashion-mnist, or torchvision and a connection to download it, or leave out full=True."
        ) from error
    return folders[-1]
