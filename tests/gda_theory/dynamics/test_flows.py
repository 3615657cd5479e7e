"""The gradient flow, tested against independent computations.

These are quadrature, a Taylor solver of mpmath, closed-form equilibria and small steps.
"""

import sys

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import gda_theory as gt
from gda_theory.codes import Outcome
from tests.pair_blocks import in_blocks

PAIR = gt.CorrelatedPair(
    0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=1
)


def coordinate(mass, ridge):
    """``mass exp(-w) + ridge w^2/2``: all mass is retained, or all forgotten if it is negative."""
    retain = max(mass, 0.0)
    forget = max(-mass, 0.0)
    return gt.Objective(
        jnp.ones((1, 1)),
        jnp.array([retain]),
        jnp.array([forget]),
        jnp.array([ridge]),
        jnp.asarray(0.25),
        gt.exponential,
        "mean",
    )


def test_the_flow_follows_an_independent_solver():
    """mpmath's Taylor series method on w' = K e^{-w} - ridge w."""
    found = gt.flow(coordinate(2.0, 0.5), [-1.0], [0.0, 0.3, 1.0, 3.0])
    with mpmath.workdps(20):
        exact = mpmath.odefun(lambda t, w: 2 * mpmath.exp(-w) - w / 2, 0, -1, tol=1e-14)
        np.testing.assert_allclose(
            found.weights[:, 0], [float(exact(t)) for t in (0, 0.3, 1, 3)], rtol=0, atol=2e-10
        )


def test_it_ends_where_the_closed_form_is():
    found = gt.flow(PAIR, [[0.0, 0.0], [0.5, 0.3]], [1.0, 1000.0])
    assert np.all(found.outcome == Outcome.CONVERGED)
    assert np.all(found.reached == 1000)
    np.testing.assert_allclose(
        found.weights[:, -1],
        np.tile(in_blocks(gt.pair.descent_ascent, PAIR).weights, (2, 1)),
        rtol=1e-9,
    )
    early = gt.flow(PAIR, [[0.0, 0.0], [0.5, 0.3]], [0.5, 1.0])
    assert np.all(early.outcome == Outcome.MOVING)
    np.testing.assert_allclose(early.weights[:, 1], found.weights[:, 0], rtol=1e-9)


def test_small_steps_approach_it_at_first_order():
    exact = np.asarray(gt.flow(PAIR, np.zeros((2, 2)), [1.0, 4.0]).weights[0, 1])
    steps = np.array([0.2, 0.1, 0.05, 0.025])
    ends = [
        gt.simulate(PAIR, np.zeros(2), step_size=step, epochs=round(4 / step)).weights
        for step in steps
    ]
    errors = np.linalg.norm(np.array(ends) - exact, axis=1)
    np.testing.assert_allclose(np.diff(np.log(errors)) / np.diff(np.log(steps)), 1, atol=0.1)


def test_it_blows_up_when_the_integral_says():
    """Past the branch point, w reaches -infinity after the integral of -dw/w'.

    There w' = -(K e^{-w} + ridge w) < 0.
    """
    # The last time must not change when the flow leaves.
    found = gt.flow(coordinate(-2.0, 0.5), [1.0], [0.1, 1.0, 2.0, 1e9])
    time = mpmath.quad(lambda w: 1 / (2 * mpmath.exp(-w) + w / 2), [-mpmath.inf, -5, 0, 1])
    assert found.outcome == Outcome.LEFT_RANGE
    np.testing.assert_allclose(found.reached, float(time), rtol=1e-9)  # ten times the tolerance
    assert np.all(np.isfinite(found.weights))
    assert found.weights[-1, 0] < -10
    pair = PAIR.replace(forget_in_pair=jnp.asarray(2.0))  # past its fold at 1.42
    gone = gt.flow(pair, np.zeros((2, 2)), [1.0, 1000.0])
    assert np.all(gone.outcome == Outcome.LEFT_RANGE)
    steps = gt.simulate(pair, np.zeros(2), step_size=1e-3, epochs=40_000)
    np.testing.assert_allclose(gone.reached, 1e-3 * steps.seen_at, rtol=2e-3)


def test_a_steep_start_is_not_a_run_away():
    """At margins (-12, 5) the first steps are at most 1e-7, the last as long as the whole time."""
    start = np.linalg.solve(PAIR.types, [-12.0, 5.0])
    found = gt.flow(PAIR, [start, start], [1e-6, 1e12])
    assert np.all(found.outcome == Outcome.CONVERGED)
    np.testing.assert_allclose(
        found.weights[0, -1], in_blocks(gt.pair.descent_ascent, PAIR).weights, rtol=1e-9
    )
    objective = PAIR.objective()
    types = np.asarray(PAIR.types)
    masses = np.asarray(objective.coefficients(1.0))
    ridge = np.asarray(objective.ridge)
    exact = solve_ivp(
        lambda _, w: types.T @ (masses * np.exp(-types @ w)) - ridge * w,
        (0, 1e-6),
        start,
        rtol=1e-12,
        atol=1e-12,
    )
    np.testing.assert_allclose(found.weights[0, 0], exact.y[:, -1], rtol=1e-9)


def test_losses_beyond_the_range():
    """A forget margin of -800, where exp(800) is infinite.

    A flow without ascent is not affected. One with ascent leaves the range at the start.
    """
    start = np.linalg.solve(PAIR.types, [1.0, -800.0])
    found = gt.flow(PAIR, start, [1.0, 1000.0], strength=[0.0, 1.0])
    np.testing.assert_array_equal(found.outcome, [Outcome.CONVERGED, Outcome.LEFT_RANGE])
    np.testing.assert_allclose(
        found.weights[0, -1], in_blocks(gt.pair.retrain, PAIR).weights, rtol=1e-9
    )
    np.testing.assert_array_equal(found.weights[1], [start, start])
    np.testing.assert_array_equal(found.reached, [1000, 0])


@pytest.mark.slow
def test_columns_of_different_scale():
    """The flow ends at the minimum although curvatures span eight powers of ten.

    An explicit solver needs tens of thousands of steps here.
    """
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 3)) * [1e-2, 1.0, 1e2]
    labels = np.where(features[:, 1] + rng.logistic(size=60) > 0, 1, -1)
    problem = gt.Problem(features, labels, np.arange(60) < 6, ridge=1e-3)
    found = gt.flow(problem, np.zeros(3), [1e5], strength=0.1)
    assert found.outcome == Outcome.CONVERGED
    np.testing.assert_allclose(
        found.weights[-1], gt.descent_ascent(problem, 0.1).weights, rtol=1e-8
    )


STARTS, STRENGTHS = np.array([[0.0, 0.0], [1.0, -0.5]]), np.array([0.5, 1.2])


@jax.jit
def traced(times, tolerance):
    """From each start at each strength."""
    return gt.flow(PAIR, STARTS[:, None], times, strength=STRENGTHS, tolerance=tolerance)


@pytest.mark.slow
def test_batches_and_jit():
    times = np.array([0.5, 2.0])
    found = traced(times, 1e-10)
    assert found.weights.shape == (2, 2, 2, 2)
    both = gt.flow(PAIR, STARTS[1], times, strength=STRENGTHS)
    np.testing.assert_allclose(found.weights[1], both.weights, rtol=1e-9)


@pytest.mark.slow
def test_reverse_derivatives():
    def end(start):
        return gt.flow(PAIR, start, [0.5, 2.0]).weights[-1, 0]

    start = np.array([1.0, -0.5])
    ends = [end(start + 1e-4 * np.array([sign, 0.0])) for sign in (1, -1)]
    # The difference quotient is good to 1e-10/1e-4 and (1e-4)^2.
    np.testing.assert_allclose(jax.grad(end)(start)[0], (ends[0] - ends[1]) / 2e-4, rtol=1e-5)


@pytest.mark.slow
def test_single_precision_says_what_it_reached():
    with jax.enable_x64(False):
        pair = gt.CorrelatedPair(
            0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=[1, 2]
        )
        found = gt.flow(pair, [[0.0, 0.0], [0.0, 0.0]], [1.0, 1e4])
        assert found.weights.dtype == np.float32
    np.testing.assert_array_equal(found.outcome, [Outcome.CONVERGED, Outcome.LEFT_RANGE])
    np.testing.assert_allclose(
        found.weights[0, -1], in_blocks(gt.pair.descent_ascent, PAIR).weights, rtol=1e-4
    )
    past = PAIR.replace(forget_in_pair=jnp.asarray(2.0))
    gone = gt.flow(past, np.zeros((2, 2)), [1.0, 1e4])
    np.testing.assert_allclose(found.reached[1], gone.reached[0], rtol=1e-4)
    assert np.all(np.isfinite(found.weights))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": np.zeros(3)}, r"start must have shape \(\*batch, 2\)"),
        ({"start": [np.inf, 0.0]}, "start must be finite"),
        ({"times": [1.0, 0.5]}, r"times must increase, got 0.5 after 1 at index \(1,\)"),
        ({"times": [-1.0, 0.5]}, "times must be finite and >= 0"),
        ({"times": 1.0}, r"times must have shape \(t,\)"),
        ({"strength": -3.0}, "strength must be >="),
        ({"tolerance": 0.0}, "tolerance must be finite and > 0"),
        ({"tolerance": [1e-3, 1e-4]}, "tolerance must be one number"),
        (
            {"start": np.zeros((2, 2)), "strength": np.ones(3)},
            r"start and strength must broadcast to one shape, got \(\), \(2,\), \(3,\)",
        ),
    ],
)
def test_bad_input_names_the_argument(changes, message):
    given = {"start": np.zeros(2), "times": [1.0], **changes}
    with pytest.raises(ValueError, match=message):
        gt.flow(PAIR, given.pop("start"), given.pop("times"), **given)


def test_traced_nonsense_is_not_a_number():
    """Traced times that are invalid give NaN, although the solver would stop the program there."""
    for times in ([1.0, 0.5], [-1.0, 0.5], [0.5, 0.5], [0.5, np.nan]):
        found = traced(np.array(times), 1e-10)
        assert np.all(np.isnan(found.weights))
        assert np.all(np.isnan(found.reached))
    times = np.array([0.5, 1.0])
    found = traced(times, 1e-10)
    assert np.all(np.isfinite(found.weights))
    expected = gt.flow(PAIR, STARTS[0], times, strength=STRENGTHS, tolerance=1e-10)
    np.testing.assert_allclose(found.weights[0], expected.weights, rtol=1e-12)
    coarse = traced(times, 1e-3)
    # At the first times some coordinates agree to the last bit, but no run does as a whole.
    assert np.all(np.any(coarse.weights != found.weights, axis=(2, 3)))


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffrax", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"flow needs diffrax: pip install 'gda-theory\[flow\]'"
    ):
        gt.flow(PAIR, np.zeros(2), [1.0])
