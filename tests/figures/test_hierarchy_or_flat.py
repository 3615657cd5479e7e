"""The figure of chi within a group: labels by enumeration, exact numbers beside samples."""

import itertools

import numpy as np
import pytest

from figures import hierarchy_or_flat
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly, made


def test_chi_within_labels_is_that_of_all_patterns():
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(3), (1, 1))
    changes = rng.random((1, 1, 3, 4))
    label = 0.7 * np.eye(3) + 0.1
    above = below = 0.0
    patterns = np.array(list(itertools.product((0, 1), repeat=4)))
    for number in range(3):
        weight = chances[0, 0] * label[:, number]
        chance = np.where(patterns[:, None], changes[0, 0], 1 - changes[0, 0]).prod(-1) @ weight
        mean = chance @ patterns / weight.sum()
        total = patterns.sum(1)
        above += chance @ (total - mean.sum()) ** 2
        below += weight.sum() * (mean * (1 - mean)).sum()
    found = hierarchy_or_flat.chi_given_label(label, chances, changes)
    np.testing.assert_allclose(found["value"], above / below, rtol=1e-12)


def test_the_starts_needed_are_those_of_the_textbook():
    """A ratio of known spread: n = (z spread / difference)^2."""
    rng = np.random.default_rng(1)
    below = np.full(100_000, 2.0)
    above = rng.normal(2.5, 0.6, 100_000)
    found = hierarchy_or_flat.needed(np.stack([above, below])[None])
    z = 1.959964 + 1.281552
    assert found["starts"][0] == pytest.approx((z * 0.3 / 0.25) ** 2, rel=0.02)
    assert found["error"][0] == pytest.approx(0.3 / np.sqrt(100_000), rel=0.02)


@pytest.mark.slow
def test_the_data_say_what_the_caption_says():
    module, data = made("hierarchy_or_flat")
    tops = {name: np.max(one["value"]) for name, one in data["hierarchy"].items()}
    assert tops["all"] > tops["level 5"] > tops["level 4"] > tops["level 1"] > 1.3
    for one in data["hierarchy"].values():
        assert np.max(one["value"]) > one["value"][-1] + 0.1
    np.testing.assert_allclose(data["flat"]["0"]["value"], 1, rtol=1e-12)
    assert np.max(data["flat"]["all"]["value"]) > data["flat"]["all"]["value"][-1] + 0.2
    assert_drawn_legibly(module, data)
    assert_claims_complete(module, data)
