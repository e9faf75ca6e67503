"""Make data/fashion_mnist.npz, the course's fixed subset of Fashion-MNIST.

    sudo apt-get install dataset-fashion-mnist
    python data/make_fashion_mnist.py

12,000 training and 2,000 validation images come from the original training file and share no image; 4,000 test
images come from the original test file. Each split has as many images of every class, and every 10 consecutive
images hold one of each class, in random order.
"""

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np

from labkit.data_folder import record_checksums
from labkit.datasets import FILE
from labkit.full_fashion_mnist import DEBIAN_FOLDER, ORIGINAL_FILES, read_idx

SEED = 20170825  # the day on which Fashion-MNIST was published
CLASSES = 10
SIZES = {  # images in each split, and the original file that they are drawn from
    "train": {"train": 12_000, "validation": 2_000},
    "test": {"test": 4_000},
}


def draw(labels: np.ndarray, sizes: tuple[int, ...], random: np.random.RandomState) -> list[np.ndarray]:
    """Draw disjoint stratified samples of the positions in `labels`.

    Args:
        labels: shape [N], class numbers from 0 to CLASSES - 1.
        sizes: images in each sample, multiples of CLASSES.
        random: the source of randomness.

    Returns:
        For each size, int32 of shape [size]: every CLASSES consecutive entries hold one of each class.
    """
    shuffled = [random.permutation(np.flatnonzero(labels == label)) for label in range(CLASSES)]
    samples, start = [], 0
    for size in sizes:
        stop = start + size // CLASSES
        rounds = np.stack([positions[start:stop] for positions in shuffled], axis=1)  # size / 10, 10
        rounds = np.stack([random.permutation(one_of_each) for one_of_each in rounds])  # size / 10, 10
        samples.append(rounds.ravel().astype(np.int32))  # size
        start = stop
    return samples


def make_arrays(source: Path) -> dict[str, np.ndarray]:
    """Return <split>_images (uint8 [N, 28, 28]), <split>_labels (uint8 [N]) and <split>_indices (int32 [N]).

    Args:
        source: the folder of the original files; `indices` are positions in them, counted from 0.
    """
    random = np.random.RandomState(SEED)  # NumPy promises that this generator's stream never changes (NEP 19)
    arrays = {}
    for original, sizes in SIZES.items():
        images, labels = (read_idx(source / name) for name in ORIGINAL_FILES[original])  # N, 28, 28 and N
        for split, indices in zip(sizes, draw(labels, tuple(sizes.values()), random), strict=True):
            arrays |= {
                f"{split}_images": images[indices],
                f"{split}_labels": labels[indices],
                f"{split}_indices": indices,
            }
    return arrays


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays like np.savez_compressed, smaller, and without a date or a trace of the system.

    The same arrays give the same bytes wherever Python uses the original zlib; zlib-ng compresses differently.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980-01-01
            entry.create_system = 3  # Unix, wherever this runs
            npy = io.BytesIO()
            np.lib.format.write_array(npy, array, allow_pickle=False)
            archive.writestr(entry, npy.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, default=DEBIAN_FOLDER, help="folder of the original .gz files")
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent, help="where to write")
    options = parser.parse_args()
    write_npz(options.folder / FILE, make_arrays(options.source))
    record_checksums(options.folder, [FILE])
    print(f"wrote {options.folder / FILE}: {(options.folder / FILE).stat().st_size:,} bytes")
