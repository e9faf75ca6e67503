"""Draw the weight or the mask of a convolution as a grid of kernels: a row for each output, a column for each input."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from labkit.plots import COLOURS, label_axes

REMOVED = "#DDDDDD"  # light grey: what is gone recedes


def draw_kernels(ax: Axes, values: torch.Tensor, *, title: str = "", colour: str = "blue") -> None:
    """Draw [out, in, kh, kw] as out by in little grids, each of kh by kw cells.

    Args:
        ax: the axes to draw into; a gap of white stands between two kernels.
        values: boolean for a mask (True, kept, is drawn in the colour, False in light grey), or numbers, which are
            drawn by their magnitude: the brighter, the larger.
        title: the title; "" for none.
        colour: a name from labkit.plots.COLOURS; it plays no part where values are numbers.

    Raises:
        ValueError: values does not have four dimensions, or there is no such colour.
    """
    if values.dim() != 4:
        raise ValueError(
            f"values has shape {list(values.shape)}: give the four dimensions [out, in, kh, kw]."
        )
    if colour not in COLOURS:
        raise ValueError(f"There is no colour {colour!r}: choose one of {', '.join(COLOURS)}.")
    out, inputs, kh, kw = values.shape
    is_mask = values.dtype == torch.bool
    cells = values.detach().cpu().float().abs().numpy()
    padded = np.full((out, inputs, kh + 1, kw + 1), np.nan)  # one row and one column of gap for each kernel
    padded[:, :, :kh, :kw] = cells
    picture = padded.transpose(0, 2, 1, 3).reshape(out * (kh + 1), inputs * (kw + 1))[:-1, :-1]
    ax.pcolormesh(
        np.ma.masked_invalid(picture),
        cmap=ListedColormap([REMOVED, COLOURS[colour]]) if is_mask else "cividis",
        vmin=0,
        vmax=1 if is_mask else None,
        edgecolors="white",
        linewidth=0.5,
    )
    ax.invert_yaxis()  # output 0 on top, as a matrix is written
    ax.set_aspect("equal")
    ax.set_xticks(np.arange(inputs) * (kw + 1) + kw / 2, range(inputs))
    ax.set_yticks(np.arange(out) * (kh + 1) + kh / 2, range(out))
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    label_axes(ax, x="input", x_unit="number", y="output", y_unit="number", title=title)
