"""The parts of panels draw what they are given, and the words of claims say it."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from figures import parts

X = np.array([1.0, 2.0, 4.0])
ESTIMATE = {
    "value": np.array([1.0, 2.0, 3.0]),
    "low": np.array([0.5, 1.0, 2.5]),
    "high": np.array([2.0, 2.5, 3.1]),
}


@pytest.fixture
def panel():
    return Figure().subplots()


def test_a_band_and_bars_reach_from_low_to_high(panel):
    parts.band(panel, X, ESTIMATE, "red", label="exact")
    corners = panel.collections[0].get_paths()[0].vertices
    for x, low, high in zip(X, ESTIMATE["low"], ESTIMATE["high"], strict=True):
        assert {low, high} <= set(corners[corners[:, 0] == x, 1])
    np.testing.assert_array_equal(panel.lines[0].get_ydata(), ESTIMATE["value"])
    assert panel.lines[0].get_label() == "exact"
    parts.dots(panel, X, ESTIMATE, fmt="o")
    bars = panel.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose(
        [bar[:, 1] for bar in bars], np.transpose([ESTIMATE["low"], ESTIMATE["high"]]), rtol=1e-15
    )


def test_an_exact_estimate_has_no_band(panel):
    parts.band(panel, X, {"value": X}, "red")
    assert not panel.collections
    assert len(panel.lines) == 1


def test_a_power_meets_its_curve_where_it_is_told(panel):
    parts.power(panel, X, np.array([7.0, 8.0, 9.0]), -2, through=1, ls="--")
    np.testing.assert_allclose(panel.lines[0].get_ydata(), 8 * (X / 2) ** -2.0)


def test_categories_have_their_fills(panel):
    fills = ["#112233", "#445566", "#778899"]
    parts.categories(panel, [0, 1], [0, 1], np.array([[0, 2], [1, 2]]), fills)
    mesh = panel.collections[0]
    mesh.update_scalarmappable()
    np.testing.assert_allclose(
        mesh.get_facecolors(), [to_rgba(fills[code]) for code in (0, 2, 1, 2)]
    )


def test_boxes_stand_at_their_places_and_the_key_names_all(panel):
    parts.boxes(panel, [[1, 2, 3], [4, 5, 9]], [0, 3], 0.5)
    assert [line.get_ydata()[0] for line in panel.lines if line.get_color() == "#D55E00"] == [2, 5]
    parts.key(
        panel.figure,
        [("red", "-", "", "a line"), ("blue", "", "o", "marks"), Patch(label="a patch")],
        ncols=3,
    )
    assert [text.get_text() for text in panel.figure.legends[0].get_texts()] == [
        "a line",
        "marks",
        "a patch",
    ]


def test_words():
    assert parts.nearest(X, 2.9) == 1
    assert parts.log_slope(X, 3 / X**2) == pytest.approx(-2)
    assert (
        parts.plus_minus({"value": np.array([1.2345]), "error": np.array([0.0312])}, 0)
        == "1.23 ± 0.031"
    )
    assert parts.plus_minus({"value": X}, -1) == "4"
    assert parts.listed(X / 3) == "0.333, 0.667, 1.33"
    assert parts.listed(X / 3, 1) == "0.3, 0.7, 1"
    assert parts.spread(np.array([3.0, np.nan, 1.0, 7.0])) == "median 3, from 1 to 7"
    assert parts.spread(X / 3, 2) == "median 0.67, from 0.33 to 1.3"
