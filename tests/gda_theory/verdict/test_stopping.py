"""Early stops of many rows, followed on a sample, against runs on all rows."""

import jax
import numpy as np
import pytest

import gda_theory as gt
from gda_theory.codes import Cause
from gda_theory.dynamics import samples
from gda_theory.problem.set_losses import set_losses_of
from gda_theory.solve.stages import widened
from gda_theory.verdict import measure, stopping

ROWS, SAMPLED, RIDGE = 600, 160, 0.05


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(4)
    features = rng.normal(size=(ROWS, 3))
    labels = np.where(features @ [1.0, -1, 0.5] + rng.logistic(size=ROWS) > 0, 1.0, -1.0)
    forget = np.zeros(ROWS, bool)
    forget[np.argsort(-features[:, 0] - labels)[:120]] = True
    problem = gt.Problem(features, labels, forget, ridge=RIDGE)
    objective = measure.objective_of(problem)
    path = jax.tree.map(np.asarray, gt.ascent_path(objective, [1.0]))
    return objective, set_losses_of(objective, widened(objective)), path


@pytest.fixture
def on_sample(monkeypatch):
    monkeypatch.setattr(stopping, "ALL", SAMPLED)
    monkeypatch.setattr(stopping, "LARGEST", SAMPLED)


def gradient(objective, w, retain, forget):
    weight = retain * objective.retain_weight + forget * objective.forget_weight
    return -objective.types.T @ (weight / (1 + np.exp(objective.types @ w)))


def hessian(objective, w, retain, forget):
    weight = retain * objective.retain_weight + forget * objective.forget_weight
    chance = 1 / (1 + np.exp(objective.types @ w))
    return (objective.types.T * (weight * chance * (1 - chance))) @ objective.types


def test_a_sample_has_the_gradient_and_the_hessian_of_all_rows(case):
    objective, losses, path = case
    oracle = path.oracle.weights
    sample = samples.sample_of(objective, losses, oracle, 0.7, SAMPLED, reach=10.0)
    assert len(sample.objective.retain_weight) == SAMPLED
    assert np.sum(sample.objective.forget_weight > 0) == 80
    for name in ("retain_weight", "forget_weight"):
        np.testing.assert_allclose(np.sum(getattr(sample.objective, name)), 1, rtol=1e-12)
    for retain, forget in ((1.0, 0.0), (0.0, 1.0), (2.0, 1.0)):

        def slope(w, retain=retain, forget=forget):
            tilted = np.asarray(sample.tilt.gradient(retain, forget, w[:, None]))[:, 0]
            return gradient(sample.objective, w, retain, -0.7 * forget) + tilted

        exact = gradient(objective, oracle, retain, -0.7 * forget)
        np.testing.assert_allclose(slope(oracle), exact, atol=1e-14)
        bend = np.column_stack(
            [(slope(oracle + 1e-5 * e) - slope(oracle - 1e-5 * e)) / 2e-5 for e in np.eye(3)]
        )
        np.testing.assert_allclose(
            bend, hessian(objective, oracle, retain, -0.7 * forget), atol=1e-9
        )


def test_the_correction_is_bounded_far_away(case):
    objective, losses, path = case
    sample = samples.sample_of(objective, losses, path.oracle.weights, 1.0, SAMPLED, reach=1.0)
    far = [
        np.asarray(sample.tilt.gradient(1, 1, (path.oracle.weights + size * np.ones(3))[:, None]))
        for size in (1.0, 1e6)
    ]
    np.testing.assert_allclose(far[0], far[1], rtol=1e-9)


def test_stops_on_a_sample_are_those_on_all_rows_up_to_the_error_given(case, on_sample):
    objective, losses, path = case
    sampled = stopping.stops(objective, losses, path, 1.0)
    assert {stop.rows for stop in sampled} == {SAMPLED}
    for stop in sampled:
        # The same run on all rows, by a plain loop.
        half_steps = {
            "simultaneous": [(1, 1)],
            "retain_first": [(1, 0), (0, 1)],
            "forget_first": [(0, 1), (1, 0)],
            "pure_ascent": [(0, 1)],
        }
        w, distances = path.pretrained.weights, [1.0]
        apart = np.linalg.norm(w - path.oracle.weights)
        for epoch in range(stop.epochs):
            early = stop.scheme == "ascent_then_descent" and epoch < 5
            for retain, forget in half_steps.get(stop.scheme, [(0, 1) if early else (1, 0)]):
                slope = RIDGE * w + gradient(objective, w, retain, -forget)
                w = w - stop.step_size * slope
            distances.append(np.linalg.norm(w - path.oracle.weights) / apart)
        assert abs(stop.best_relative - np.min(distances)) <= 2 * stop.error + 1e-9
        assert stop.error < 0.03
        # The epoch is as good as the best one, up to the same error.
        assert distances[stop.best_epoch] <= np.min(distances) + 2 * stop.error + 1e-9
    rest = [stop for stop in sampled if stop.best_relative < 1e-9]
    assert {stop.cause for stop in rest} == {Cause.REACHED_ORACLE}


def test_few_rows_are_all_taken(case):
    stops = stopping.stops(*case, 1.0)
    assert {(stop.rows, stop.error) for stop in stops} == {(ROWS, 0.0)}
