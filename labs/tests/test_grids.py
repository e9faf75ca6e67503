"""The grid of kernels shows each weight at its place, and tells kept from removed."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

mpl.use("agg")

import matplotlib.pyplot as plt

from labkit.grids import REMOVED, draw_kernels
from labkit.plots import COLOURS


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


def drawn(ax):
    """The colours of the cells, [rows, columns, 4], and which cells are gaps."""
    (mesh,) = ax.collections
    array = mesh.get_array()
    return mesh.cmap(mesh.norm(array)), np.ma.getmaskarray(array)


def test_a_mask_is_drawn_cell_by_cell_with_a_gap_between_kernels(ax):
    mask = torch.rand(2, 3, 3, 2, generator=torch.Generator().manual_seed(0)) < 0.5
    draw_kernels(ax, mask, title="a mask")
    colours, gaps = drawn(ax)
    assert gaps.shape == (2 * 4 - 1, 3 * 3 - 1)
    for out, inputs, y, x in np.ndindex(*mask.shape):
        row, column = 4 * out + y, 3 * inputs + x
        expected = COLOURS["blue"] if mask[out, inputs, y, x] else REMOVED
        assert not gaps[row, column]
        assert mpl.colors.to_hex(colours[row, column]).upper() == expected
    assert gaps[3].all() and gaps[:, 2].all() and gaps[:, 5].all()
    assert gaps.sum() == gaps.size - mask.numel()


def test_a_mask_that_keeps_nothing_is_grey(ax):
    draw_kernels(ax, torch.zeros(1, 2, 2, 2, dtype=torch.bool))
    colours, gaps = drawn(ax)
    assert {mpl.colors.to_hex(colour).upper() for colour in colours[~gaps]} == {REMOVED}


def test_numbers_are_drawn_by_their_magnitude(ax):
    draw_kernels(ax, torch.tensor([-3.0, 1.0, 2.0, 3.0]).reshape(1, 1, 2, 2))
    colours, _ = drawn(ax)
    brightness = colours[..., :3].mean(axis=-1)
    assert brightness[0, 0] == brightness[1, 1] > brightness[1, 0] > brightness[0, 1]


def test_the_first_output_is_on_top_and_every_axis_is_labelled(ax):
    draw_kernels(ax, torch.ones(4, 2, 3, 3, dtype=torch.bool), title="all")
    low, high = ax.get_ylim()
    assert low > high
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0", "1", "2", "3"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("input (number)", "output (number)", "all")


def test_what_cannot_be_drawn_is_refused(ax):
    with pytest.raises(ValueError, match="four dimensions"):
        draw_kernels(ax, torch.ones(3, 3))
    with pytest.raises(ValueError, match="no colour"):
        draw_kernels(ax, torch.ones(1, 1, 1, 1), colour="mauve")
