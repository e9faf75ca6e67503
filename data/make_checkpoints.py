"""Train the checkpoints of both networks, and record how good they are.

    python data/make_checkpoints.py

Writes data/checkpoints/<model>-<seed>.safetensors and data/results/checkpoints.json. Nothing is chosen here: the
test set is read once, to report. On one machine with one version of PyTorch the same bytes come out every time;
another processor rounds differently, so its checkpoints differ.
"""

import argparse
import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from labkit.checkpoints import MODELS, SEEDS, checkpoint_file, save_checkpoint
from labkit.cost import count_macs, count_parameters
from labkit.data_folder import record_checksums
from labkit.datasets import load_fashion_mnist
from labkit.timing import cpu_threads
from labkit.training import accuracy, train


@dataclass(frozen=True)
class Recipe:
    """How one network is trained."""

    epochs: int
    lr: float  # peak of the one-cycle schedule
    batch_size: int = 128
    weight_decay: float = 0.01


RECIPES = {"mlp": Recipe(epochs=15, lr=2e-3), "cnn": Recipe(epochs=6, lr=5e-3)}


def make_checkpoints(name: str, folder: Path) -> dict[str, object]:
    """Train one network from each seed, save the weights, and return its entry of the results."""
    train_set, validation_set, test_set = map(load_fashion_mnist, ("train", "validation", "test"))
    runs = []
    for seed in SEEDS:
        torch.manual_seed(seed)  # decides the start
        model = MODELS[name]()
        started = time.perf_counter()
        train(model, *train_set, seed=seed, **asdict(RECIPES[name]))  # decides the order of the images
        seconds = time.perf_counter() - started
        save_checkpoint(model, folder / checkpoint_file(name, seed))
        runs.append(
            {
                "seed": seed,
                "train_accuracy": accuracy(model, *train_set),
                "validation_accuracy": accuracy(model, *validation_set),
                "test_accuracy": accuracy(model, *test_set),
                "seconds_on_the_machine_below": round(seconds, 1),
            }
        )
    splits = ("train_accuracy", "validation_accuracy", "test_accuracy")
    return {
        "parameters": count_parameters(model),
        "macs_for_one_image": count_macs(model, (1, 28, 28)),
        "recipe": asdict(RECIPES[name]),
        "seeds": runs,
        "mean_over_seeds": {split: statistics.mean(run[split] for run in runs) for split in splits},
        "standard_deviation_over_seeds": {
            split: statistics.stdev(run[split] for run in runs) for split in splits
        },
    }


def main() -> None:
    """Make all checkpoints on one CPU thread."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent, help="where to write")
    folder = parser.parse_args().folder
    with cpu_threads(1):
        models = {name: make_checkpoints(name, folder) for name in RECIPES}
    results = {
        "made_by": "python data/make_checkpoints.py",
        "accuracy": "fraction of images classified correctly",
        "machine": {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability(), "threads": 1},
        "models": models,
    }
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / "checkpoints.json").write_text(
        json.dumps(results, indent=2) + "\n", encoding="utf-8"
    )
    record_checksums(folder, [checkpoint_file(name, seed) for name in MODELS for seed in SEEDS])


if __name__ == "__main__":
    main()
