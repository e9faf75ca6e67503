"""One look for every figure of the course, and figures that a screen reader can read."""

import base64
import html
import io
from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Colours that people with any common colour blindness tell apart: M. Okabe and K. Ito, 2008, "Color Universal
# Design". Yellow comes last, since it is faint on white.
COLOURS = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "orange": "#E69F00",
    "black": "#000000",
    "yellow": "#F0E442",
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # one for each colour, so that colour is never alone
_PNG_DPI = 144  # sharp on a dense screen
_CSS_DPI = 96  # CSS pixels per inch


def use_style() -> None:
    """Give every later figure of this process the course's look: 7 by 4.2 inches, 11-point text, COLOURS."""
    mpl.rcParams.update(
        {
            "figure.figsize": (7.0, 4.2),
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.prop_cycle": mpl.cycler(color=list(COLOURS.values())),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "lines.linewidth": 2,
            "legend.frameon": False,
            "image.cmap": "cividis",
        }
    )


def curve(ax: Axes, x: Sequence[float], y: Sequence, *, label: str, colour: str | None = None) -> None:
    """Draw the mean over seeds as a line with markers, and one standard deviation to each side as a band.

    Args:
        ax: the axes to draw into.
        x: shape [points].
        y: shape [seeds, points], or [points] for a single run, which has no band. The standard deviation
            divides by seeds - 1.
        label: the text of the legend.
        colour: a name from COLOURS; None takes the next one. The marker goes with the colour.

    Raises:
        ValueError: y does not have one column for each x, or there is no such colour.
    """
    x = np.asarray(x, dtype=float)  # points
    runs = np.atleast_2d(np.asarray(y, dtype=float))  # seeds, points
    if x.ndim != 1 or runs.ndim != 2 or runs.shape[1] != len(x):
        raise ValueError(
            f"x has shape {list(x.shape)} and y {list(np.shape(y))}: give y as [seeds, points] or [points], "
            "with one point for each x."
        )
    names = list(COLOURS)
    name = names[len(ax.get_lines()) % len(names)] if colour is None else colour
    if name not in COLOURS:
        raise ValueError(f"There is no colour {name!r}: choose one of {', '.join(names)}.")
    mean = runs.mean(axis=0)  # points
    ax.plot(x, mean, color=COLOURS[name], marker=MARKERS[names.index(name)], label=label)
    if len(runs) > 1:
        deviation = runs.std(axis=0, ddof=1)  # points
        ax.fill_between(x, mean - deviation, mean + deviation, color=COLOURS[name], alpha=0.2, linewidth=0)


def label_axes(ax: Axes, *, x: str, x_unit: str, y: str, y_unit: str, title: str = "") -> None:
    """Label both axes as "quantity (unit)".

    Args:
        ax: the axes to label.
        x, y: the quantity, such as "sparsity" or "test accuracy".
        x_unit, y_unit: its unit, such as "%", "ms" or "fraction of weights"; a count has a unit too ("weights").
        title: the title; "" for none.

    Raises:
        ValueError: a quantity or a unit is empty.
    """
    if not all(text.strip() for text in (x, x_unit, y, y_unit)):
        raise ValueError("An axis label or its unit is empty: name the quantity and its unit on both axes.")
    ax.set(xlabel=f"{x} ({x_unit})", ylabel=f"{y} ({y_unit})", title=title)


def show(fig: Figure, *, alt: str) -> None:
    """Display a figure in a notebook as an image with a text alternative, and close it.

    Args:
        fig: the figure.
        alt: what the figure shows, in a sentence or two, for people who cannot see it.

    Raises:
        ValueError: alt is empty.
    """
    from IPython.display import HTML, display

    if not alt.strip():
        raise ValueError("alt is empty: say in a sentence what the figure shows.")
    png = io.BytesIO()
    fig.savefig(png, format="png", dpi=_PNG_DPI)
    width = round(fig.get_figwidth() * _CSS_DPI)
    plt.close(fig)
    source = base64.b64encode(png.getvalue()).decode("ascii")
    display(
        HTML(
            f'<img alt="{html.escape(alt.strip())}" width="{width}" style="max-width: 100%; height: auto" '
            f'src="data:image/png;base64,{source}">'
        )
    )
