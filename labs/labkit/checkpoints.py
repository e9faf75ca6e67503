"""Trained weights of the two networks, three seeds each. Made by data/make_checkpoints.py."""

from pathlib import Path

from safetensors.torch import load_file, save
from torch import nn

from labkit.data_folder import verified
from labkit.models import CNN, MLP

MODELS: dict[str, type[MLP] | type[CNN]] = {"mlp": MLP, "cnn": CNN}
SEEDS = (0, 1, 2)


def checkpoint_file(name: str, seed: int) -> str:
    """Return a checkpoint's path relative to the data folder.

    Raises:
        ValueError: there is no such model or seed.
    """
    if name not in MODELS:
        raise ValueError(f"There is no model {name!r}: choose one of {', '.join(map(repr, MODELS))}.")
    if seed not in SEEDS:
        raise ValueError(
            f"There is no checkpoint of seed {seed!r}: choose one of {', '.join(map(str, SEEDS))}."
        )
    return f"checkpoints/{name}-{seed}.safetensors"


def load_checkpoint(name: str, seed: int = 0) -> MLP | CNN:
    """Load a trained network.

    Args:
        name: "mlp" or "cnn".
        seed: 0, 1 or 2: another start and another order of the training images.

    Returns:
        A new model on the CPU, in evaluation mode, parameters float32 that require gradients.

    Raises:
        ValueError: there is no such model or seed.
        FileNotFoundError: the file is missing.
        RuntimeError: the file is damaged.
    """
    path = verified(checkpoint_file(name, seed))
    model = MODELS[name]()
    model.load_state_dict(load_file(path))
    return model.eval()


def save_checkpoint(model: nn.Module, path: Path) -> None:
    """Save a model's state as safetensors: the same state gives the same bytes.

    Raises:
        RuntimeError: two entries of the state share memory (safetensors refuses them).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(save({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}))
