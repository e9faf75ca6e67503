"""The numbers that a lab's long run wrote into data/results, for a notebook that shows them beside its own short run."""

import json

from labkit.data_folder import data_folder


def recorded_results(stem: str) -> dict:
    """Read what the long run of a lab has recorded.

    Args:
        stem: the lab's name, such as "lab10_lottery_tickets".

    Returns:
        The content of results/STEM.json in the data folder; {} where there is no such file yet.

    Raises:
        FileNotFoundError: there is no data folder.
        ValueError: the file is no JSON.
    """
    path = data_folder() / "results" / f"{stem}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
