"""Figures carry a text alternative, units, and the spread that they claim."""

import base64
import html.parser
import io

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")

import matplotlib.pyplot as plt

from labkit.plots import COLOURS, MARKERS, curve, label_axes, show, use_style


@pytest.fixture
def ax():
    with mpl.rc_context():
        use_style()
        fig, ax = plt.subplots()
        yield ax
        plt.close(fig)


def displayed(fig, alt):
    """Return the attributes of the one <img> that `show` displays."""
    tags = []
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("IPython.display.display", lambda output: parser.feed(output._repr_html_()))
        show(fig, alt=alt)
    ((tag, attributes),) = tags
    assert tag == "img"
    return attributes


@pytest.mark.parametrize(
    "alt", ["Accuracy falls from 89% to 57%.", "\"a\" < b & c > 'd' <script>", "é → 0 ≤ s ≤ 1"]
)
def test_the_alternative_text_arrives_whole(ax, alt):
    assert displayed(ax.figure, alt)["alt"] == alt


def test_the_image_is_the_figure_and_the_figure_is_closed(ax):
    ax.plot([0, 1], [0, 1])
    source = displayed(ax.figure, "A rising line.")["src"]
    prefix = "data:image/png;base64,"
    assert source.startswith(prefix)
    pixels = plt.imread(io.BytesIO(base64.b64decode(source.removeprefix(prefix))), format="png")
    assert pixels[..., :3].min() < 0.5 < pixels[..., :3].max()  # something is drawn
    assert not plt.fignum_exists(ax.figure.number)


def test_a_figure_without_alternative_text_is_refused(ax):
    with pytest.raises(ValueError, match="alt is empty"):
        show(ax.figure, alt="  ")


def test_the_curve_is_the_mean_and_the_band_one_standard_deviation(ax):
    x = np.array([0.0, 0.5, 0.9])
    runs = np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 7.0], [3.0, 2.0, 5.0]])
    curve(ax, x, runs, label="global")
    (line,) = ax.get_lines()
    np.testing.assert_allclose(line.get_xydata(), np.column_stack([x, [2, 2, 5]]))
    (band,) = ax.collections
    low, high = band.get_datalim(ax.transData).intervaly
    assert (low, high) == (1.0, 7.0)  # 2 - 1 at x = 0, and 5 + 2 at x = 0.9
    assert line.get_label() == "global"


def test_a_single_run_has_no_band(ax):
    curve(ax, [0, 1], [0.5, 0.4], label="one seed")
    assert len(ax.collections) == 0


def test_curves_differ_in_colour_and_in_marker(ax):
    for number in range(len(COLOURS)):
        curve(ax, [0, 1], [number, number], label=str(number))
    lines = ax.get_lines()
    assert [line.get_color() for line in lines] == list(COLOURS.values())
    assert [line.get_marker() for line in lines] == list(MARKERS)


def test_a_colour_can_be_chosen(ax):
    curve(ax, [0, 1], [0, 1], label="", colour="green")
    assert ax.get_lines()[0].get_color() == COLOURS["green"]
    with pytest.raises(ValueError, match="vermilion"):
        curve(ax, [0, 1], [0, 1], label="", colour="red")


@pytest.mark.parametrize("y", [[1, 2, 3], [[1, 2, 3]], [[[1, 2]]]])
def test_shapes_that_do_not_fit_are_refused(ax, y):
    with pytest.raises(ValueError, match="points"):
        curve(ax, [0, 1], y, label="")


def test_axes_are_labelled_with_units(ax):
    label_axes(ax, x="sparsity", x_unit="%", y="time", y_unit="ms", title="CNN")
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("sparsity (%)", "time (ms)", "CNN")


@pytest.mark.parametrize("missing", ["x", "x_unit", "y", "y_unit"])
def test_an_axis_without_a_unit_is_refused(ax, missing):
    labels = {"x": "sparsity", "x_unit": "%", "y": "time", "y_unit": "ms"} | {missing: " "}
    with pytest.raises(ValueError, match="unit"):
        label_axes(ax, **labels)
