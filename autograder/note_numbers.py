"""Fill a lecture note's numbers in from its lab's results file.

A number that a lab has measured stands in its note with the key that it has in data/results/labNN_*.json:
`88.0%<!-- cnn.global.50.mean -->`. The results hold fractions, the note percent, with as many decimals as stand there.
"""

import json
import re

from autograder.labs import ROOT, Lab, UsageError

MARKED = re.compile(r"([\d.]+)%<!-- (\S+) -->")


def value_at(results: dict, key: str) -> float:
    """The number at a key such as "cnn.global.50.mean". Raises KeyError where there is none."""
    for part in key.split("."):
        results = results[part]
    return results


def filled(text: str, results: dict, name: str) -> str:
    """The text of the note of that name, with every marked number as the results have it.

    Raises:
        UsageError: a key is not in the results, or its number is negative: the note writes signs as words of its own.
    """

    def number(match: re.Match) -> str:
        written, key = match.groups()
        decimals = len(written.partition(".")[2])
        try:
            new = f"{100 * value_at(results, key):z.{decimals}f}"
        except (KeyError, TypeError):
            raise UsageError(
                f"{name} quotes {key}, which is not in its results file; mend one of them."
            ) from None
        if new.startswith("-"):
            raise UsageError(
                f"{name} quotes {key}, which is {new}%: quote its opposite, and read the sentence again."
            )
        return f"{new}%<!-- {key} -->"

    return MARKED.sub(number, text)


def filled_note(lab: Lab) -> str:
    """The note of a lab as it should be; before anything is measured, it may quote nothing."""
    path = ROOT / "data" / "results" / f"{lab.stem}.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return filled(lab.note.read_text(encoding="utf-8"), results, lab.note.name)
