"""Runs of descent-ascent on K classes: epochs against NumPy, and early stops against the runs."""

import numpy as np
import pytest

import gda_theory as gt
from gda_theory.codes import Outcome
from gda_theory.dynamics import schemes, simulation, trials
from tests import class_data
from tests.class_data import CLASSES, FEATURES

WEIGHTS = np.random.default_rng(0).normal(size=(CLASSES, FEATURES))
STEP = 0.3


def split(problem, weights):
    """The gradients of the retained losses, the forgotten losses and the ridge, by NumPy."""
    at_zero, at_one = (class_data.gradient(problem, weights, strength) for strength in (0.0, 1.0))
    penalty = np.asarray(problem.ridge) * weights
    return at_zero - penalty, at_zero - at_one, penalty


@pytest.mark.parametrize("scheme", ["simultaneous", "retain_first", "forget_first", "pure_ascent"])
def test_an_epoch_is_that_of_numpy(scheme):
    problem = class_data.problem()
    strength = 0.7
    expected = WEIGHTS - WEIGHTS.mean(0)
    start = problem.coordinates_of(expected)
    for retain, forget in schemes.SCHEMES[scheme].half_steps:
        kept, lost, penalty = split(problem, expected)
        expected = expected - STEP * (retain * kept - forget * strength * lost + penalty)
    moved = simulation.epoch(
        problem.objective(), start, step_size=STEP, scheme=scheme, strength=strength
    )
    np.testing.assert_allclose(problem.weights_of(moved), expected, atol=1e-13)


def test_descent_reaches_the_oracle_and_trials_measure_the_way():
    problem = class_data.problem()
    objective = problem.objective()
    path = gt.ascent_path(objective, np.array([0.05]))
    run = gt.simulate(objective, path.pretrained.weights, step_size=1.0, epochs=3000, strength=0.0)
    assert run.outcome == Outcome.CONVERGED
    np.testing.assert_allclose(run.weights, path.oracle.weights, atol=1e-10)
    found = trials.trials(
        objective,
        path.pretrained.weights,
        path.oracle.weights,
        strength=0.05,
        schemes=["simultaneous"],
        step_sizes=[0.5],
        epochs=50,
    )[0]
    assert found.distances.shape == (1, 51)
    assert found.distances[0, 0] == 1
    weights = np.asarray(problem.weights_of(path.pretrained.weights))
    oracle = np.asarray(problem.weights_of(path.oracle.weights))
    first = np.linalg.norm(weights - oracle)
    kept, lost, penalty = split(problem, weights)
    step = found.step_size[0]
    weights = weights - step * (kept - 0.05 * lost + penalty)
    np.testing.assert_allclose(
        found.distances[0, 1], np.linalg.norm(weights - oracle) / first, rtol=1e-11
    )
