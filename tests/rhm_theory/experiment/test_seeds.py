"""The mean over seeds, against SciPy's t tests."""

import numpy as np
import pytest
from scipy import stats

from rhm_theory.experiment.seeds import mean_of_seeds

GENERATOR = np.random.default_rng(3)


def test_two_sources_of_error_are_those_of_welch():
    # Welch's interval of a difference of means has the same two variances.
    over_groups = GENERATOR.normal(size=7)
    over_seeds = GENERATOR.normal(2, 3, size=3)
    found = mean_of_seeds(over_seeds, over_groups.var(ddof=1) / 7, 7)
    expected = stats.ttest_ind(over_seeds, over_groups, equal_var=False).confidence_interval()
    assert found.value == pytest.approx(over_seeds.mean())
    assert found.high - found.low == pytest.approx(expected.high - expected.low, rel=1e-12)


def test_one_source_of_error_is_an_ordinary_interval():
    of_seeds = GENERATOR.normal(size=4)
    expected = stats.ttest_1samp(of_seeds, 0).confidence_interval()
    found = mean_of_seeds(of_seeds, 0.0, 9)
    np.testing.assert_allclose([found.low, found.high], expected, rtol=1e-12)
    of_groups = GENERATOR.normal(size=9)
    expected = stats.ttest_1samp(of_groups, 0).confidence_interval()
    found = mean_of_seeds([of_groups.mean()], of_groups.var(ddof=1) / 9, 9)
    np.testing.assert_allclose([found.low, found.high], expected, rtol=1e-12)


def test_no_variance_gives_a_point():
    found = mean_of_seeds(np.ones((3, 2)), np.zeros(2), 5)
    np.testing.assert_array_equal(found, np.array([[1, 1], [0, 0], [1, 1], [1, 1]]))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="by_seed must have at least one seed"):
        mean_of_seeds([], 1.0, 5)
    with pytest.raises(ValueError, match="groups"):
        mean_of_seeds([1.0], 1.0, 1)
