"""App.

J's limits against all d samples written out, solved by SciPy, and against mpmath's Lambert W.
"""

import mpmath
import numpy as np
import pytest
import scipy.optimize

from gda_theory import pair
from gda_theory.paper import appendix

DIMENSION, RIDGE = 6, 7.0


def samples(correlation, dimension):
    rows = np.eye(dimension)
    rows[0, 1] = rows[1, 0] = correlation
    return rows


def solved(correlation, weights, ridge):
    """The stationary point that SciPy reaches from 0, all samples in place; ``weights`` are the
    samples' signed ones.
    """
    rows = samples(correlation, len(weights))
    found = scipy.optimize.root(
        lambda w: ridge * w + rows.T @ (weights * -np.exp(-rows @ w)),
        np.zeros(len(weights)),
        tol=1e-13,
    )
    assert found.success
    return found.x


@pytest.mark.parametrize("correlation", [0.3, 0.999])
@pytest.mark.parametrize("model", ["pretrain", "retrain", "descent_ascent"])
def test_the_pair_is_the_first_two_of_all_samples(model, correlation):
    kept = np.full(DIMENSION, 1 / (DIMENSION - 1))
    kept[1] = {"retrain": 0.0, "descent_ascent": -1.0}.get(model, np.nan)
    weights = np.full(DIMENSION, 1 / DIMENSION) if model == "pretrain" else kept
    ours = getattr(pair, model)(
        appendix.aligned_pair(correlation, dimension=DIMENSION, ridge=RIDGE)
    ).weights
    # hybr stops at 1e-13 relative steps; the weights are below 1.
    np.testing.assert_allclose(ours, solved(correlation, weights, RIDGE)[:2], rtol=0, atol=1e-11)


def test_limits_are_lambert_w_and_are_approached():
    d, ridge = np.array([2, 4, 10, 50]), 8.0
    limits = appendix.aligned_limits(dimension=d, ridge=ridge)
    masses = {"pretrain": 4 / d, "retrain": 2 / (d - 1), "descent_ascent": -2 * (d - 2) / (d - 1)}
    near = appendix.aligned_pair(1 - 1e-9, dimension=d, ridge=ridge)
    for model, mass in masses.items():
        expected = [float(mpmath.lambertw(z / ridge) / 2) for z in mass]
        np.testing.assert_allclose(getattr(limits, model), expected, rtol=1e-14, atol=0)
        # First order in 1 - correlation.
        np.testing.assert_allclose(
            getattr(pair, model)(near).weights,
            np.stack([expected, expected], -1),
            rtol=0,
            atol=1e-8,
        )


def test_descent_ascent_exists_from_the_least_ridge_on():
    d = np.array([3, 10, 100])
    least = np.asarray(appendix.aligned_limits(dimension=d, ridge=1.0).least_ridge)
    np.testing.assert_allclose(least, 2 * np.e * (d - 2) / (d - 1), rtol=1e-15)
    for factor, exists in ((1 - 1e-6, False), (1 + 1e-6, True)):
        limits = appendix.aligned_limits(dimension=d, ridge=least * factor)
        assert np.all(np.asarray(limits.exists) == exists)
        assert np.all(np.isfinite(limits.descent_ascent) == exists)
        # The fold of the pair itself closes in on the same ridge.
        close = pair.descent_ascent(
            appendix.aligned_pair(
                1 - 1e-5, dimension=d, ridge=least * (factor + np.sign(factor - 1) * 1e-3)
            )
        )
        assert np.all(np.asarray(close.exists) == exists)


def test_the_logistic_loss_always_has_its_limits():
    limits = appendix.aligned_limits(dimension=10, ridge=0.01, loss="logistic")
    near = appendix.aligned_pair(1 - 1e-9, dimension=10, ridge=0.01, loss="logistic")
    assert bool(limits.exists)
    assert limits.least_ridge == 0
    for model in ("pretrain", "retrain"):
        np.testing.assert_allclose(
            getattr(pair, model)(near).weights,
            np.full(2, getattr(limits, model)),
            rtol=0,
            atol=1e-6,
        )
    # 2 w (1 + exp(2 w)) = -2 (d - 2) / ((d - 1) ridge)
    w = float(limits.descent_ascent)
    assert 2 * w * (1 + np.exp(2 * w)) == pytest.approx(-2 * 8 / 9 / 0.01, rel=1e-14)


@pytest.mark.parametrize(
    ("bad", "message"), [({"dimension": 1}, "dimension must be"), ({"ridge": 0}, "ridge must be")]
)
def test_bad_input_names_the_argument(bad, message):
    good = {"dimension": 5, "ridge": 8.0}
    with pytest.raises(ValueError, match=message):
        appendix.aligned_limits(**(good | bad))
    with pytest.raises(ValueError, match=message):
        appendix.aligned_pair(0.5, **(good | bad))
