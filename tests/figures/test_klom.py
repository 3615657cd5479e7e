"""The figure of KLoM's estimates: the truth is a closed form, and bars hold the noise."""

import numpy as np
import pytest

from figures import klom
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly, made

pytestmark = pytest.mark.slow  # the data of the figure take ten seconds


@pytest.fixture(scope="module")
def data():
    return made("klom")[1]


def test_the_estimate_of_normal_laws_has_no_bias(data):
    middle, low, high = np.moveaxis(data["value"]["gaussian"], -1, 0)
    error = (high - low) / 4 / np.sqrt(data["repeats"])
    assert np.all(np.abs(middle - data["truth"][:, None]) < 4 * error)


def test_the_published_score_of_equal_models_is_the_floor(data):
    np.testing.assert_allclose(data["value"]["histogram"][0, :, 0], data["floor"][:, 0], rtol=0.1)
    assert np.all(np.diff(data["value"]["histogram"][..., 0], axis=1) < 0)


def test_intervals_cover(data):
    assert np.all(data["covered"]["gaussian"] >= 0.84)


def test_drawn_and_complete(data):
    assert_drawn_legibly(klom, data)
    assert_claims_complete(klom, data)
