"""Bounds on the distance to the oracle hold in random problems, and are nearly reached.

The oracle comes from Newton's method in the test itself, checked by mpmath in one case.
"""

import math
from typing import NamedTuple

import mpmath
import numpy as np
import pytest
from scipy.special import expit

import gda_theory as gt
from gda_theory import deletion

THIRD = 1 / (6 * math.sqrt(3))


class Case(NamedTuple):
    """A problem, its pretrained weights and its oracle, both from this file's own solver."""

    problem: gt.Problem
    start: np.ndarray
    oracle: np.ndarray


def slopes(loss, margins):
    if loss == "exponential":
        return np.exp(-margins), np.exp(-margins)
    return expit(-margins), expit(-margins) * expit(margins)


def gradient(loss, types, weight, ridge, w):
    return ridge * w - (weight * slopes(loss, types @ w)[0]) @ types


def minimum(loss, types, weight, ridge):
    """Newton's method with steps halved until the gradient shrinks."""
    w = np.zeros(types.shape[1])
    for _ in range(200):
        g = gradient(loss, types, weight, ridge, w)
        hessian = (types.T * (weight * slopes(loss, types @ w)[1])) @ types + np.diag(ridge)
        step = np.linalg.solve(hessian, g)
        size = 1.0
        while size > 1e-9:
            after = gradient(loss, types, weight, ridge, w - size * step)
            if np.linalg.norm(after) < np.linalg.norm(g):
                break
            size /= 2
        else:
            return w
        w = w - size * step
    return w


def case(trial, loss=None):
    """One random problem; every third has an intercept without a ridge."""
    rng = np.random.default_rng(trial)
    n = int(rng.integers(20, 150))
    d = int(rng.integers(1, 7))
    features = rng.normal(size=(n, d)) * np.exp(rng.normal(size=d))
    if trial % 3 == 0:
        features[:, -1] = 1
    labels = np.where(features @ rng.normal(size=d) + rng.logistic(size=n) > 0, 1.0, -1.0)
    # Both classes are kept, on both sides of each column.
    labels[:2] = 1, -1
    features[1] = features[0]
    forget = np.zeros(n, bool)
    forget[rng.choice(np.arange(2, n), int(rng.integers(1, n // 5 + 1)), replace=False)] = True
    ridge = np.full(d, 10 ** rng.uniform(-4, 1))
    if trial % 3 == 0:
        ridge[-1] = 0
    reduction = ["mean", "sum"][trial % 2]
    weight = rng.uniform(0.2, 2, n) if trial % 4 == 0 else np.ones(n)
    loss = loss or ["logistic", "exponential"][trial % 5 == 0]
    problem = gt.Problem(
        features,
        labels,
        forget,
        ridge=ridge,
        reduction=reduction,
        loss=loss,
        sample_weight=weight,
    )
    types = labels[:, None] * features
    kept = np.where(forget, 0, weight)
    if reduction == "mean":
        weight, kept = weight / weight.sum(), kept / kept.sum()
    start = minimum(loss, types, weight, ridge)
    return Case(problem, start, minimum(loss, types, kept, ridge))


def check(trials):
    """Check all bounds. Return the ratios of bounds and truth after one Newton step."""
    ratios = []
    residuals = []
    for trial in trials:
        problem, start, oracle = case(trial)
        # The reference has an error of its own, about the rounding of its gradient.
        slack = deletion.distance_bound(problem, oracle)
        assert slack < 1e-6
        for weights in (start, start + 0.3, 3 * start, 0 * start):
            away = np.linalg.norm(weights - oracle)
            assert away <= deletion.distance_bound(problem, weights) + slack
        stepped = deletion.newton(problem, start)
        away = np.linalg.norm(stepped.weights - oracle)
        assert away <= stepped.distance_bound + slack
        if away > 100 * slack:
            ratios.append(stepped.distance_bound / away)
        bound = deletion.newton_residual_bound(problem, start)
        assert stepped.gradient_norm <= bound + stepped.certificate.gradient_error
        if stepped.gradient_norm > 100 * stepped.certificate.gradient_error:
            residuals.append(stepped.gradient_norm / bound)
    return np.array(ratios), np.array(residuals)


def test_the_bounds_hold_and_are_nearly_reached():
    ratios, residuals = check(range(24))
    assert len(ratios) > 12
    assert np.median(ratios) < 1.05
    assert np.max(residuals) > 1 / 3


@pytest.mark.slow
def test_the_bounds_hold_in_1000_problems():
    ratios, residuals = check(range(1000))
    assert len(ratios) > 500
    assert np.quantile(ratios, 0.9) < 3
    assert np.max(residuals) > 0.9


def test_the_residual_bound_is_reached_where_all_third_derivatives_are_largest():
    # All margins are where the third derivative of the logistic loss is largest, and one forgotten
    # row in 2,000 moves them a little.
    margin = math.log(2 + math.sqrt(3))
    ridge = expit(-margin) / margin
    problem = gt.Problem(
        np.ones((2000, 1)), np.ones(2000), np.arange(2000) < 1, ridge=ridge, reduction="mean"
    )
    start = np.array([margin + 1e-3])
    stepped = deletion.newton(problem, start)
    bound = deletion.newton_residual_bound(problem, start)
    assert 0.99 < stepped.gradient_norm / bound <= 1 + 1e-6
    # In closed form: one row and one coordinate.
    curvature = expit(-start) * expit(start) + ridge
    step = (ridge * start - expit(-start)) / curvature
    np.testing.assert_allclose(bound, THIRD / 2 * step[0] ** 2, rtol=1e-9)


def test_the_bound_by_the_curvature_tends_to_the_distance():
    problem, _, oracle = case(3)
    direction = np.ones_like(oracle) / math.sqrt(len(oracle))
    ratios = [
        deletion.distance_bound(problem, oracle + size * direction) / size
        for size in (1e-1, 1e-2, 1e-3, 1e-4)
    ]
    assert ratios == sorted(ratios, reverse=True)
    assert 1 <= ratios[-1] < 1.01


def test_the_gradient_error_bounds_what_rounding_does():
    problem, start, _ = case(1)
    certificate = deletion.certified(problem, start)
    kept = ~np.asarray(problem.forget)
    types = np.asarray(problem.signs)[kept, None] * np.asarray(problem.features)[kept]
    with mpmath.workdps(40):
        exact = [mpmath.mpf(float(r)) * float(w) for r, w in zip(problem.ridge, start, strict=True)]
        for row in types:
            products = [mpmath.mpf(float(x)) * float(w) for x, w in zip(row, start, strict=True)]
            force = 1 / (1 + mpmath.exp(mpmath.fsum(products)))
            for column, x in enumerate(row):
                exact[column] -= force * mpmath.mpf(float(x))
        length = mpmath.sqrt(mpmath.fsum(entry**2 for entry in exact))
    assert abs(certificate.gradient_norm - length) <= certificate.gradient_error
    assert certificate.gradient_error < 1e-9 * max(1, certificate.gradient_norm)


def test_without_a_ridge_there_is_a_bound_near_the_oracle_only():
    problem, start, oracle = case(0)
    assert float(np.min(problem.ridge)) == 0
    near = deletion.certified(problem, start)
    assert near.distance_bound >= np.linalg.norm(start - oracle)
    assert "curvature" in near.reason
    far = deletion.certified(problem, oracle + 50)
    assert far.distance_bound == np.inf
    assert "no ridge" in far.reason


def test_separated_data_have_no_bound():
    features = np.column_stack([np.arange(1.0, 9), np.ones(8)])
    labels = np.array([-1, -1, -1, -1, 1, 1, 1, 1])
    problem = gt.Problem(features, labels, np.arange(8) == 3, ridge=[0.0, 0.0])
    found = deletion.newton(problem, np.zeros(2), steps=5)
    assert found.distance_bound == np.inf


def test_a_loss_of_your_own_has_the_bound_by_the_ridge():
    problem, start, _ = case(1)
    loss = gt.margin_loss("copy", gt.logistic.value)
    mine = deletion.certified(problem.replace(loss=loss), start)
    known = deletion.certified(problem, start)
    assert mine.reason.startswith("by the ridge")
    assert mine.distance_bound >= known.distance_bound
    np.testing.assert_allclose(mine.gradient_norm, known.gradient_norm, rtol=1e-12)
    with pytest.raises(ValueError, match="loss must be logistic or exponential"):
        deletion.newton_residual_bound(problem.replace(loss=loss), start)


def test_bad_weights_are_named():
    problem, start, _ = case(1)
    with pytest.raises(ValueError, match="weights must have shape"):
        deletion.certified(problem, start[:-1])
    with pytest.raises(ValueError, match="weights must be finite"):
        deletion.certified(problem, start * np.nan)
