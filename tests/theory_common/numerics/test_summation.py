"""Compensated sums against exact ones."""

import math

import numpy as np
import pytest

from theory_common.numerics.summation import compensated


def test_terms_that_cancel_keep_their_digits():
    terms = [1.0, 1e100, 1.0, -1e100] * 100
    assert compensated(np.array(term) for term in terms) == 200.0
    assert sum(terms) == 0.0  # what an ordinary sum gives


def test_any_split_gives_the_exact_sum_up_to_one_rounding():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 3)) * 10.0 ** rng.integers(-12, 12, (400, 3))
    exact = [math.fsum(column) for column in values.T]
    for parts in (400, 57, 3):
        pieces = np.array_split(values, parts)
        found = compensated({"sum": np.array([math.fsum(c) for c in part.T])} for part in pieces)
        np.testing.assert_allclose(found["sum"], exact, rtol=4e-16)
    assert not np.array_equal(np.cumsum(values, 0)[-1], exact)


def test_integers_infinities_and_wrong_terms():
    assert compensated([np.array([2**62]), np.array([1])]) == 2**62 + 1
    assert compensated([np.array(1.0), np.array(np.inf)]) == np.inf
    with pytest.raises(ValueError, match="at least one term"):
        compensated([])
    with pytest.raises(ValueError, match="equal shapes"):
        compensated([np.zeros(2), np.zeros(3)])
