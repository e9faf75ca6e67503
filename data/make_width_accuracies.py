"""Record how accurate the CNN is at every width vector of a grid, before and after fine-tuning, for lab 11.

    python data/make_width_accuracies.py

Writes data/results/width_accuracies.json. All the vectors are read before training, and some are fine-tuned. It takes
about a quarter of an hour on one core; --workers shares the vectors out. The test images are read to report, and nothing
is chosen here. On one machine with one version of PyTorch the same numbers come out every time; another processor rounds
differently, and training makes that visible.
"""

import argparse
import functools
import itertools
import json
import multiprocessing
from pathlib import Path

import torch
from tqdm import tqdm

from labkit.checkpoints import SEEDS, load_checkpoint
from labkit.data_folder import record_checksums
from labkit.datasets import load_fashion_mnist
from labkit.models import CNN
from labkit.training import accuracy, train
from labkit.widths import FILE, FULL, cnn_macs, narrow
from solutions.lab11_automatic import adapt_batchnorm

LEVELS = tuple(tuple(full * eighths // 8 for eighths in range(2, 9)) for full in FULL)
LEAST, MOST = 0.375, 0.405  # of the MACs of the whole network; five eighths everywhere are 40.4%
UNIFORM = (10, 20, 40, 80)
ADAPT_BATCHES, ADAPT_SIZE = 5, 200  # training images that renew the BatchNorm statistics
STEPS, RATE, TRAIN_IMAGES = 47, 1e-3, 6000  # of the fine-tuning
TUNED = 40  # vectors of the grid that are fine-tuned, drawn at random; the uniform one always is
ORDER_SEED = 0
QUICK = ["pruned_first", "adapted_first", "adapted_second"]
FINAL = ["tuned_first", "tuned_second", "tuned_test"]
HALVES = {"first": slice(0, 1000), "second": slice(1000, 2000)}


load = functools.cache(load_fashion_mnist)


def adapted(widths: tuple[int, ...], seed: int, row: dict[str, list[float]]) -> CNN:
    """Build one network, note its accuracies before training, and return it with its statistics adapted."""
    images, labels = load("validation")
    model = narrow(load_checkpoint("cnn", seed), widths).to(memory_format=torch.channels_last)
    batches = list(load("train")[0][: ADAPT_BATCHES * ADAPT_SIZE].split(ADAPT_SIZE))
    for stage in ("pruned", "adapted"):
        if stage == "adapted":
            adapt_batchnorm(model, batches)
        for half, part in HALVES.items():
            if f"{stage}_{half}" in row:
                row[f"{stage}_{half}"].append(accuracy(model, images[part], labels[part]))
    return model


def quick(widths: tuple[int, ...]) -> dict[str, list[float]]:
    """Evaluate one width vector on every checkpoint before any training."""
    torch.set_num_threads(1)
    row = {name: [] for name in QUICK}
    for seed in SEEDS:
        adapted(widths, seed, row)
    return row


def final(widths: tuple[int, ...]) -> dict[str, list[float]]:
    """Evaluate one width vector on every checkpoint after fine-tuning."""
    torch.set_num_threads(1)
    images, labels = (tensor[:TRAIN_IMAGES] for tensor in load("train"))
    validation, test = load("validation"), load("test")
    row = {name: [] for name in FINAL}
    for seed in SEEDS:
        model = adapted(widths, seed, {})
        train(model, images, labels, lr=RATE, steps=STEPS, seed=seed, progress=False)
        for half, part in HALVES.items():
            row[f"tuned_{half}"].append(accuracy(model, *(tensor[part] for tensor in validation)))
        row["tuned_test"].append(accuracy(model, *test))
    return row


def vectors() -> list[tuple[int, ...]]:
    """Every width vector of the grid in the window of MACs, in lexicographic order."""
    whole = cnn_macs(FULL)
    return [w for w in itertools.product(*LEVELS) if LEAST * whole <= cnn_macs(w) <= MOST * whole]


def main() -> None:
    """Measure every vector and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=1, help="processes that share the vectors")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="the data folder")
    arguments = parser.parse_args()
    grid, whole = vectors(), cnn_macs(FULL)
    order = torch.randperm(len(grid), generator=torch.Generator().manual_seed(ORDER_SEED)).tolist()
    tuned = dict.fromkeys([UNIFORM, *(grid[place] for place in order[:TUNED])])
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        early = list(tqdm(pool.imap(quick, grid), total=len(grid), desc="before training"))
        late = dict(
            zip(tuned, tqdm(pool.imap(final, tuned), total=len(tuned), desc="fine-tuning"), strict=True)
        )
    rows = [
        {"widths": list(widths), "macs": cnn_macs(widths)} | row | late.get(widths, {})
        for widths, row in zip(grid, early)
    ]
    record = {
        "made_by": "python data/make_width_accuracies.py",
        "unit": "accuracies are fractions of images, one for each checkpoint (seeds 0, 1, 2); macs for one image",
        "images": {"adapt": ADAPT_BATCHES * ADAPT_SIZE, "tune": TRAIN_IMAGES, "half": 1000, "test": 4000},
        "fine_tuning": {"steps": STEPS, "lr": RATE, "batch_size": 128},
        "torch": torch.__version__,
        "levels": LEVELS,
        "window": [-int(-LEAST * whole // 1), int(MOST * whole)],
        "columns": [*QUICK, *FINAL],
        "vectors": rows,
    }
    lines = json.dumps(record | {"vectors": None}, indent=2).rsplit("null", 1)
    body = "[\n    " + ",\n    ".join(map(json.dumps, rows)) + "\n  ]"
    (arguments.out / FILE).write_text(body.join(lines) + "\n", encoding="utf-8")
    record_checksums(arguments.out, [FILE])


if __name__ == "__main__":
    main()
