"""One hand-made case for each cause, and the numbers behind it against closed forms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gda_theory as gt
from gda_theory.codes import Cause, Outcome, sentence

EXPONENTIAL = gt.CorrelatedPair(
    0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=1
)  # fold at 1.4245
LOGISTIC = gt.CorrelatedPair(
    0.5,
    ridge=1e-3,
    retain_size=80,
    forget_size=20,
    retain_in_pair=8,
    forget_in_pair=1,
    loss="logistic",
)  # folds at 0.1837 and 0.2419
LARGE = gt.CorrelatedPair(
    0.5,
    ridge=0.01,
    retain_size=80,
    forget_size=20,
    retain_in_pair=80,
    forget_in_pair=80 * 0.026519107,
)
FOLD = 0.178062078871913 * 8


def at(pair, forget_in_pair):
    return pair.replace(forget_in_pair=jnp.asarray(forget_in_pair))


def coordinate(ratio: float):
    """One coordinate with ridge near 0 and b/a = ``ratio``, a = 1."""
    return gt.Objective(
        jnp.ones((1, 1)),
        jnp.ones(1),
        jnp.full(1, ratio),
        jnp.full(1, 1e-6),
        jnp.asarray(0.25),
        gt.exponential,
        "mean",
    )


def with_intercept():
    """Classes in different shares in the two sets, and a column of ones without a ridge."""
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=40), np.ones(40)])
    labels = np.where(np.arange(40) % 2, 1, -1)
    forget = np.isin(np.arange(40), [1, 3, 5, 7, 8])
    return gt.Problem(features, labels, forget, ridge=[0.1, 0.0])


def oracle(problem):
    return gt.retrain(problem).weights


ORIGIN = np.zeros(2)
# name: problem, start, options, what is seen, why
CASES = {
    "settles at the minimum": (
        EXPONENTIAL,
        ORIGIN,
        {"step_size": 1.0, "epochs": 5000},
        Outcome.CONVERGED,
        Cause.REACHED_MINIMUM,
    ),
    "no ascent": (
        EXPONENTIAL,
        ORIGIN,
        {"step_size": 1.0, "epochs": 5000, "strength": 0.0},
        Outcome.CONVERGED,
        Cause.REACHED_ORACLE,
    ),
    "ascent, then descent": (
        EXPONENTIAL,
        ORIGIN,
        {"step_size": 1.0, "epochs": 5000, "scheme": gt.ascent_then_descent(5)},
        Outcome.CONVERGED,
        Cause.REACHED_ORACLE,
    ),
    "logistic, past its upper fold": (
        at(LOGISTIC, 0.3),
        ORIGIN,
        {"step_size": 10.0, "epochs": 20000},
        Outcome.CONVERGED,
        Cause.OTHER_MINIMUM,
    ),
    "logistic, between the folds, from the far side": (
        at(LOGISTIC, 0.2),
        np.array([3.0, -9.0]),
        {"step_size": 10.0, "epochs": 20000},
        Outcome.CONVERGED,
        Cause.OUTSIDE_BASIN,
    ),
    "exponential, from beyond the saddle": (
        EXPONENTIAL,
        np.array([2.0, -8.0]),
        {"step_size": 1e-3, "epochs": 5000},
        Outcome.LEFT_RANGE,
        Cause.OUTSIDE_BASIN,
    ),
    "exponential, past its fold": (
        at(EXPONENTIAL, 2.0),
        ORIGIN,
        {"step_size": 1.0, "epochs": 5000},
        Outcome.LEFT_RANGE,
        Cause.NO_MINIMUM,
    ),
    "unpenalised intercept": (
        with_intercept(),
        ORIGIN,
        {"step_size": 0.5, "epochs": 300},
        Outcome.MOVING,
        Cause.UNBOUNDED,
    ),
    "steps too large, exponential": (
        EXPONENTIAL,
        ORIGIN,
        {"step_size": 20.0, "epochs": 5000},
        Outcome.LEFT_RANGE,
        Cause.STEP_TOO_LARGE,
    ),
    "steps too large, logistic": (
        at(LOGISTIC, 0.1),
        ORIGIN,
        {"step_size": 1500.0, "epochs": 5000},
        Outcome.CYCLE,
        Cause.STEP_TOO_LARGE,
    ),
    "2-cycle above the fold": (
        LARGE,
        np.linalg.solve(np.array([[1, 0.5], [0.5, 1]]), [2.679, 1.7106]),
        {"step_size": 50.0, "epochs": 5000},
        Outcome.CYCLE,
        Cause.CYCLE_PAST_FOLD,
    ),
    "without order above the fold": (
        LARGE,
        np.linalg.solve(np.array([[1, 0.5], [0.5, 1]]), [2.679, 1.7106]),
        {"step_size": 80.0, "epochs": 5000},
        Outcome.MOVING,
        Cause.DISORDER_PAST_FOLD,
    ),
    "alternating, below the fold": (
        EXPONENTIAL,
        ORIGIN,
        {"step_size": 0.1, "epochs": 20000, "scheme": "retain_first"},
        Outcome.CONVERGED,
        Cause.ALTERNATING_MINIMUM,
    ),
    "alternating, nothing to rest at": (
        coordinate(2.0),
        np.zeros(1),
        {"step_size": 0.1, "epochs": 20000, "scheme": "retain_first"},
        Outcome.CONVERGED,
        Cause.ALTERNATING_OWN,
    ),
    "alternating, beyond e^sqrt(2)": (
        coordinate(4.2),
        np.full(1, -1.2),
        {"step_size": 0.1, "epochs": 20000, "scheme": "forget_first"},
        Outcome.CYCLE,
        Cause.PERIOD_DOUBLING,
    ),
    "just above the fold": (
        at(EXPONENTIAL, 1.001 * FOLD),
        ORIGIN,
        {"step_size": 1.0, "epochs": 300},
        Outcome.MOVING,
        Cause.BOTTLENECK,
    ),
    "far above the fold, stopped early": (
        at(EXPONENTIAL, 2.0),
        ORIGIN,
        {"step_size": 0.1, "epochs": 20},
        Outcome.MOVING,
        Cause.ESCAPING,
    ),
    "stopped early": (
        EXPONENTIAL,
        ORIGIN,
        {"step_size": 0.1, "epochs": 20},
        Outcome.MOVING,
        Cause.TOO_FEW_EPOCHS,
    ),
    "stopped early, far from the minimum": (
        at(LOGISTIC, 0.2),
        np.array([3.0, -9.0]),
        {"step_size": 0.1, "epochs": 20},
        Outcome.MOVING,
        Cause.UNDECIDED,
    ),
    "stopped early, the step from a schedule": (
        EXPONENTIAL,
        ORIGIN,
        {"step_size": 100.0, "epochs": 20, "schedule": np.full(20, 1e-3)},
        Outcome.MOVING,
        Cause.TOO_FEW_EPOCHS,
    ),
    "a schedule that grows too large": (
        EXPONENTIAL,
        ORIGIN,
        {
            "step_size": 1.0,
            "epochs": 5000,
            "schedule": lambda epoch: 0.1 + 2.0 * (epoch > 20) * epoch,
        },
        Outcome.LEFT_RANGE,
        Cause.STEP_TOO_LARGE,
    ),
    "minibatches": (
        EXPONENTIAL,
        ORIGIN,
        {"step_size": 0.5, "epochs": 500, "batch_size": 1, "key": jax.random.key(0)},
        Outcome.MOVING,
        Cause.NOISE,
    ),
}


def alone(loss, ridge):
    """One coordinate with both losses at weight 1, for ascent alone."""
    objective = coordinate(1.0)
    return dataclasses.replace(objective, loss=loss, ridge=jnp.full(1, ridge))


CASES |= {
    "ascent alone comes to rest": (
        alone(gt.logistic, 0.1),
        np.full(1, 2.0),
        {"step_size": 1.0, "epochs": 3000, "scheme": "pure_ascent"},
        Outcome.CONVERGED,
        Cause.ASCENT_ALONE,
    ),
    "ascent alone will come to rest": (
        alone(gt.logistic, 1e-2),
        np.full(1, 2.0),
        {"step_size": 1.0, "epochs": 3, "scheme": "pure_ascent"},
        Outcome.MOVING,
        Cause.ASCENT_ALONE,
    ),
    "ascent alone with too large steps": (
        alone(gt.logistic, 0.1),
        np.full(1, 2.0),
        {"step_size": 30.0, "epochs": 3000, "scheme": "pure_ascent"},
        Outcome.LEFT_RANGE,
        Cause.STEP_TOO_LARGE,
    ),
    "ascent alone without a ridge": (
        alone(gt.logistic, 0.0),
        np.full(1, 2.0),
        {"step_size": 1.0, "epochs": 300, "scheme": "pure_ascent"},
        Outcome.MOVING,
        Cause.UNBOUNDED,
    ),
    "ascent alone, exponential, from outside the basin": (
        alone(gt.exponential, 1.0),
        np.full(1, -3.0),
        {"step_size": 0.1, "epochs": 2000, "scheme": "pure_ascent", "strength": 0.3},
        Outcome.LEFT_RANGE,
        Cause.OUTSIDE_BASIN,
    ),
    "ascent alone, exponential, above 1/e": (
        alone(gt.exponential, 1.0),
        np.zeros(1),
        {"step_size": 0.1, "epochs": 2000, "scheme": "pure_ascent", "strength": 0.5},
        Outcome.LEFT_RANGE,
        Cause.NO_MINIMUM,
    ),
    "ascent alone, exponential, undecided": (
        alone(gt.exponential, 1.0),
        np.zeros(1),
        {"step_size": 0.01, "epochs": 5, "scheme": "pure_ascent", "strength": 0.3},
        Outcome.MOVING,
        Cause.UNKNOWN,
    ),
    "ascent alone on a pair": (
        EXPONENTIAL,
        ORIGIN,
        {"step_size": 0.1, "epochs": 2000, "scheme": "pure_ascent"},
        Outcome.LEFT_RANGE,
        Cause.NO_MINIMUM,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_cause_has_a_case(name):
    problem, start, options, seen, why = CASES[name]
    run = gt.simulate(problem, start, **options)
    assert Outcome(int(run.outcome)) is seen
    found = gt.explain(run, problem)
    assert Cause(int(found.cause)) is why
    assert str(found) == sentence(why)


def test_every_cause_but_the_unknown_has_a_case():
    assert {case[-1] for case in CASES.values()} == set(Cause)


@pytest.mark.parametrize("strength", [0.05, 0.3, 0.36])
def test_ascent_alone_on_one_coordinate_in_closed_form(strength):
    """The minimum -v of the ridge minus the forget loss: ``v e^{-v}`` or ``v (1 + e^{-v})``.

    The exponential one is there up to strength 1/e, the logistic one at any strength.
    """
    options = {"step_size": 0.1, "epochs": 20000, "scheme": "pure_ascent"}
    exponential, logistic = alone(gt.exponential, 1.0), alone(gt.logistic, 1.0)
    run = gt.simulate(exponential, [0.0], strength=strength, **options)
    expected = float(gt.lambertw(-strength, branch=0))
    np.testing.assert_allclose(gt.explain(run, exponential).minimum, [expected], rtol=1e-12)
    np.testing.assert_allclose(run.weights, [expected], rtol=1e-9)
    lost = gt.simulate(exponential, [0.0], strength=0.4, **options)
    np.testing.assert_allclose(
        gt.explain(lost, exponential).critical_strength, np.exp(-1), rtol=1e-12
    )
    run = gt.simulate(logistic, [0.0], strength=30 * strength, **options)
    found = -gt.explain(run, logistic).minimum[0]
    np.testing.assert_allclose(found * (1 + np.exp(-found)), 30 * strength, rtol=1e-12)
    np.testing.assert_allclose(-run.weights[0], found, rtol=1e-9)
    assert run.scheme.descends is False


def test_the_numbers_behind_a_cause():
    below = gt.explain(gt.simulate(EXPONENTIAL, ORIGIN, step_size=0.5, epochs=5000), EXPONENTIAL)
    hessian = EXPONENTIAL.objective().hessian(gt.pair.descent_ascent(EXPONENTIAL).weights)
    lowest, highest = np.linalg.eigvalsh(hessian)
    np.testing.assert_allclose(below.stable_step, 2 / highest, rtol=1e-12)
    np.testing.assert_allclose(below.epochs_to_settle, 1 / (0.5 * lowest), rtol=1e-12)
    assert np.isnan(below.critical_strength)
    pair = at(EXPONENTIAL, 2.0)
    run = gt.simulate(pair, ORIGIN, step_size=1.0, epochs=100)
    # The closed form and the path that is followed for any objective know the same fold.
    for problem in (pair, pair.objective()):
        np.testing.assert_allclose(gt.explain(run, problem).critical_strength, FOLD / 2, rtol=1e-10)


def test_one_explanation_for_a_whole_sweep():
    alpha = np.array([0.05, 0.125, 0.17, 0.19, 0.5])
    runs = gt.sweep(EXPONENTIAL, ORIGIN, alpha=alpha, step_size=0.5, epochs=5000)
    found = gt.explain(runs, gt.grid(EXPONENTIAL, alpha=alpha))
    expected = np.where(alpha < FOLD / 8, Cause.REACHED_MINIMUM, Cause.NO_MINIMUM)
    np.testing.assert_array_equal(found.cause, expected)
    assert found.sentences == [sentence(Cause(cause)) for cause in expected]


def test_what_is_no_run_of_the_problem_is_named():
    run = gt.simulate(EXPONENTIAL, np.zeros(2), step_size=0.1, epochs=2)
    with pytest.raises(
        TypeError, match=r"run must be a Trajectory, which gt\.simulate returns, got NoneType"
    ):
        gt.explain(None, EXPONENTIAL)
    other = gt.Problem(np.eye(3), [0, 1, 1], [False, False, True], ridge=0.1)
    with pytest.raises(
        ValueError,
        match="problem must be what the run was made with: it has 3 coordinates, the run 2",
    ):
        gt.explain(run, other)


def test_a_run_said_to_be_on_its_way_arrives_there():
    """Starts all around the minimum: those that are promised an end reach it, if run on."""
    pair = at(LOGISTIC, 0.1)
    minimum = np.asarray(gt.descent_ascent(pair).weights)
    rng = np.random.default_rng(0)
    away = rng.normal(size=(200, 2)) * 10 ** rng.uniform(-3, 1, (200, 1))
    starts = minimum + away
    step = 1.0
    short = gt.simulate(pair, starts, step_size=step, epochs=1)
    promised = np.asarray(gt.explain(short, pair).cause) == Cause.TOO_FEW_EPOCHS
    assert 20 < promised.sum() < 190
    long = gt.simulate(pair, starts, step_size=step, epochs=200_000)
    distance = np.linalg.norm(np.asarray(long.weights) - minimum, axis=1)
    assert np.max(distance[promised]) < 1e-6
    # A promise is kept step by step too.
    before, after = (np.linalg.norm(x - minimum, axis=1) for x in (starts, short.weights))
    assert np.all(after[promised] < before[promised])
