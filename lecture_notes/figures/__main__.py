"""Draw the figures of the lecture notes: `python lecture_notes/figures [STEM…]`; `make notes` does it first.

Each module of this folder is named after a lab, and each of its public functions draws one figure:
`lab04_prune_finetune.answer` becomes `lab04_prune_finetune-answer.svg`. A function takes the lab's results file, read,
and draws from it, or from what the lab's reference solution returns. `answer` is the one picture that answers the
lab's question; the course's start page shows it. The text alternative stands in the note, beside the figure.
"""

import importlib.util
import inspect
import json
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import matplotlib as mpl

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parents[1] / "data" / "results"


def figures_of(stem: str) -> dict[str, Callable]:
    """The drawing functions of one lab: {name of the SVG file: function of the results}."""
    spec = importlib.util.spec_from_file_location(f"figures_{stem}", HERE / f"{stem}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {
        f"{stem}-{name}.svg": function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }


def drawn(stem: str) -> dict[str, str]:
    """The SVG text of each of a lab's figures, the same in every run: no date, and ids from a fixed salt."""
    import matplotlib.pyplot as plt

    from labkit.plots import use_style

    results = json.loads((RESULTS / f"{stem}.json").read_text(encoding="utf-8"))
    texts = {}
    look = {"svg.hashsalt": "pruning", "svg.fonttype": "path", "figure.facecolor": "white"}
    for name, draw in figures_of(stem).items():
        with mpl.rc_context(look):
            use_style()
            figure, text = draw(results), StringIO()
            figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
            plt.close(figure)
        texts[name] = "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
    return texts


def main(stems: list[str]) -> int:
    mpl.use("svg")
    known = sorted(path.stem for path in HERE.glob("lab*.py"))
    unknown = [stem for stem in stems if stem not in known]
    if unknown:
        print(
            f"There are no figures of {', '.join(unknown)}: choose from {', '.join(known)}.", file=sys.stderr
        )
        return 2
    for stem in stems or known:
        for name, text in drawn(stem).items():
            path = HERE / name
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
                print(f"drawn: {path.relative_to(HERE.parents[1])}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
