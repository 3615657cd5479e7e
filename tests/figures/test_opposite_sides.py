"""The figure of opposite sides: its numbers are the library's, and its claims follow from them."""

import numpy as np
import pytest

import gda_theory as gt
from figures import opposite_sides
from gda_theory.problem import tables as data
from tests.figure_checks import assert_drawn_legibly, made

pytestmark = pytest.mark.slow  # the data of the figure take 10 to 20 seconds


@pytest.fixture(scope="module")
def computed():
    return made("opposite_sides")[1]


def test_the_sets_are_those_of_the_command_line(computed):
    problem = data.load("breast_cancer", forget="random:28", seed=2, scale_on="all").problem(
        ridge=opposite_sides.PARAMETERS["ridge"]
    )
    path = gt.ascent_path(problem, opposite_sides.STRENGTHS)
    shown = computed["sets"]["28"]
    np.testing.assert_allclose(
        shown["break_even_strength"][2], path.break_even_strength, rtol=1e-12
    )
    np.testing.assert_allclose(shown["critical_strength"][2], path.critical_strength, rtol=1e-12)
    away = np.asarray(path.pretrained.weights - path.oracle.weights)
    moved = np.asarray(path.weights - path.oracle.weights)
    along = moved @ away / (away @ away)
    across = np.linalg.norm(moved - along[:, None] * away, axis=1) / np.linalg.norm(away)
    np.testing.assert_allclose(shown["along"][2], along, rtol=1e-9)
    np.testing.assert_allclose(shown["across"][2], across, rtol=1e-7)  # a difference of squares


def test_what_the_caption_says(computed):
    shown = computed["sets"]["28"]
    count = len(shown["break_even_strength"])
    assert count == 30
    # Away from the pretrained model, across the circle at break-even, and past it up to the fold.
    assert np.all(shown["along"][:, 0] < 0)
    before = computed["strengths"] < shown["break_even_strength"][:, None]
    np.testing.assert_array_equal(shown["distance"][before] < 1, True)
    np.testing.assert_array_equal(
        shown["fold_distance"][np.isfinite(shown["critical_strength"])] > 1, True
    )
    assert np.mean(shown["critical_strength"] < 1) > 0.8
    for found in computed["sets"].values():
        assert np.mean(found["break_even_strength"] < found["size_ratio"]) > 0.8
        assert np.mean(found["opposite_cosine"] < 0) > 0.95  # one set of 7 rows is an exception


def test_claims_are_computed_and_the_picture_is_drawn(computed):
    here = {claim: found for claim, _, found in opposite_sides.claims(computed)}
    even = computed["sets"]["28"]["break_even_strength"]
    assert (
        here["break-even strength, f/r = 0.0518"]
        == f"median {np.median(even):.4g}, from {even.min():.4g} to {even.max():.4g}"
    )
    assert here["minimum lost before γ = 1"].startswith("25 of 30")
    assert_drawn_legibly(opposite_sides, computed)
