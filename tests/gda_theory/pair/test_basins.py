"""The basin of descent-ascent: its boundary against SciPy's flow and bisection, its order, and what
it says of every start.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import gda_theory as gt
from gda_theory.pair import basins
from tests.pair_blocks import in_blocks

PAIR = gt.CorrelatedPair(
    0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=1
)  # fold at 1.4245
LOGISTIC = gt.CorrelatedPair(
    0.5,
    ridge=1e-3,
    retain_size=80,
    forget_size=20,
    retain_in_pair=8,
    forget_in_pair=0.2,
    loss="logistic",
)  # folds at 0.1837 and 0.2419
OBTUSE = gt.CorrelatedPair(
    gram=(1.0, -0.6, 1.2),
    ridge=0.1,
    retain_size=80,
    forget_size=20,
    retain_in_pair=8,
    forget_in_pair=0.2,
)  # fold at 0.4828
POINTS = np.array([-3.0, -1.0, 1.0, 3.5, 6.0])
TOLERANCE = 1e-9  # ten times what separatrix promises, and SciPy's own error


@pytest.fixture(scope="module")
def pairs():
    """Pairs below their fold, half of them hard: hardly anything kept, high correlation, a tiny
    ridge.
    """
    rng = np.random.default_rng(3)
    kept = 10 ** rng.uniform(-3, -0.05, 200)
    sizes = {
        "retain_size": 1e3 * kept,
        "forget_size": 1e3 * (1 - kept),
        "retain_in_pair": 1e3 * kept * rng.uniform(0.05, 1, 200),
    }
    pair = gt.CorrelatedPair(
        rng.uniform(0.05, 0.97, 200), ridge=10 ** rng.uniform(-7, 0, 200), **sizes
    )
    alpha = in_blocks(gt.pair.folds, pair).critical_alpha * rng.uniform(0.02, 0.98, 200)
    return pair.replace(forget_in_pair=jnp.asarray(alpha * sizes["retain_in_pair"]))


def four_points(pair):
    """Weights of pretraining, the oracle, the minimum of descent-ascent and the saddle."""
    points = in_blocks(gt.pair.stationary_points, pair).weights
    return (
        in_blocks(gt.pair.pretrain, pair).weights,
        in_blocks(gt.pair.retrain, pair).weights,
        points[..., 0, :],
        points[..., 1, :],
    )


def flow(pair, weights, time):
    """The flow in the weights, in units of the ridge, by SciPy: it knows nothing of margins, masses
    or orders.
    """
    types = np.asarray(pair.types)
    retain_mass, forget_mass = (float(mass) for mass in pair.ascent_masses)
    ratios = np.array([retain_mass, -forget_mass]) / float(pair.ridge)

    def field(_, w):
        return -w + types.T @ (ratios * np.exp(-types @ w))

    def gone(_, w):
        return types[1] @ w + 25

    gone.terminal = True
    return solve_ivp(
        field, (0, time), weights, method="DOP853", rtol=1e-12, atol=1e-13, events=gone
    )


def test_coordinates_and_weights_are_inverse():
    weights = np.random.default_rng(0).normal(size=(50, 2))
    start = basins.order_coordinates(PAIR, weights)
    np.testing.assert_allclose(basins.weights_at(PAIR, *start), weights, rtol=1e-13, atol=1e-14)
    u, v = np.asarray(PAIR.types)
    ascent = np.linalg.solve(np.stack([u, -v], 1), weights.T)
    np.testing.assert_allclose(start.p, ascent[0], rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(start.y, weights @ v, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("pair", [PAIR, LOGISTIC], ids=["exponential", "logistic"])
def test_velocity_is_that_of_the_weights(pair):
    weights = np.random.default_rng(1).normal(size=(50, 2))
    moved = -pair.objective().gradient(weights) / pair.ridge
    expected = basins.order_coordinates(pair, moved)  # they are linear in the weights
    found = basins.velocity(pair, *basins.order_coordinates(pair, weights))
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_the_flow_preserves_the_order_in_y_and_p_but_not_in_y_and_the_mass():
    """Kamke's condition is a sign of the Jacobian's two off-diagonal entries."""
    rng = np.random.default_rng(2)
    starts = basins.order_coordinates(PAIR, rng.normal(size=(100, 2)) * 2)

    def field(y, descent):
        return jnp.stack(basins.velocity(PAIR, y, descent))

    jacobians = jax.vmap(jax.jacfwd(lambda z: field(*z)))(jnp.stack(starts, -1))
    assert np.all(jacobians[:, 0, 1] <= 0)
    assert np.all(jacobians[:, 1, 0] <= 0)

    def margins(z):  # x and y, of which the mass A exp(-x)/ridge is a function
        y, x = z
        gram = PAIR.gram
        descent = (gram.second * x - gram.cross * y) / gram.determinant
        y_dot, p_dot = field(y, descent)
        return jnp.stack([y_dot, (gram.determinant * p_dot + gram.cross * y_dot) / gram.second])

    signs = np.sign(jax.vmap(jax.jacfwd(margins))(jnp.stack(starts, -1)))
    assert np.all(signs[:, 0, 1] * signs[:, 1, 0] < 0)


def test_the_saddle_lies_on_the_separatrix_and_the_minimum_above_it(pairs):
    points = in_blocks(gt.pair.stationary_points, pairs)
    np.testing.assert_array_equal(
        points.kind, np.broadcast_to([gt.Kind.MINIMUM, gt.Kind.SADDLE], (200, 2))
    )
    minimum, saddle = (
        basins.order_coordinates(pairs, points.weights[:, index]) for index in (0, 1)
    )
    scale = 1 + np.abs(saddle.y) + np.abs(saddle.p)
    assert np.all(np.abs(basins.separatrix(pairs, saddle.p) - saddle.y) <= 1e-11 * scale)
    assert np.all(minimum.y > basins.separatrix(pairs, minimum.p))


@pytest.mark.parametrize("pair", [PAIR, OBTUSE], ids=["acute", "obtuse"])
def test_the_separatrix_parts_what_returns_from_what_leaves(pair):
    boundary = np.asarray(basins.separatrix(pair, POINTS))
    assert np.all(np.sign(np.diff(boundary)) == np.sign(pair.gram.cross))
    for p, y in zip(POINTS, boundary, strict=True):
        for side in (-1, 1):
            start = np.asarray(basins.weights_at(pair, y + side * TOLERANCE * (1 + abs(p)), p))
            end = flow(pair, start, 80.0)
            assert end.success
            assert (end.t[-1] == 80) == (side > 0), (p, side)


def test_obtuse_types_have_a_basin_too():
    """Here the stable slope is nearly minus that of the margin: the two must not cancel."""
    sizes = {"retain_size": 80, "forget_size": 20, "retain_in_pair": 8, "forget_in_pair": 2.8e-12}
    pair = gt.CorrelatedPair(gram=(1.5, -2.2, 4.4), ridge=1e-6, **sizes)  # fold at 3.5e-12
    minimum = in_blocks(gt.pair.stationary_points, pair).weights[0]
    assert basins.in_basin(pair, minimum)


def test_the_separatrix_is_invariant():
    """The flow moves a point of it along it: SciPy's, and 200 small steps of the simulator."""
    boundary = basins.separatrix(PAIR, POINTS)
    starts = basins.weights_at(PAIR, boundary, POINTS)
    assert np.all(np.diff(boundary) > 0)
    moved = np.array([flow(PAIR, np.asarray(start), 1.0).y[:, -1] for start in starts])
    after = basins.order_coordinates(PAIR, moved)
    # The saddle's unstable rate is 1.5: what the start is off grows by a factor of 5.
    np.testing.assert_allclose(basins.separatrix(PAIR, after.p), after.y, atol=10 * TOLERANCE)
    steps = gt.simulate(PAIR, starts, step_size=0.01 / 0.1 / 200, epochs=200).weights
    after = basins.order_coordinates(PAIR, steps)
    np.testing.assert_allclose(
        basins.separatrix(PAIR, after.p), after.y, atol=2e-4
    )  # of the order of the step, 5e-3 on a path of 0.1
    off = basins.separatrix(PAIR, after.p + 0.1) - after.y
    assert np.all(np.abs(off) > 2e-3)  # the test can fail


@pytest.mark.parametrize("loss", ["exponential", pytest.param("logistic", marks=pytest.mark.slow)])
def test_pretrained_oracle_minimum_and_saddle_are_in_order(pairs, loss):
    between = LOGISTIC.replace(forget_in_pair=np.linspace(0.185, 0.241, 15))
    pair = pairs if loss == "exponential" else between
    descents = np.array(
        [basins.order_coordinates(pair, weights).p for weights in four_points(pair)]
    )
    assert np.all(np.diff(descents, axis=0) > 0)


def test_what_descent_ascent_does_is_what_the_basin_says():
    starts = np.random.default_rng(5).uniform([-1, -4], [3, 2], (500, 2))
    inside = np.asarray(basins.in_basin(PAIR, starts))
    run = gt.simulate(PAIR, starts, step_size=0.05, epochs=10_000)
    np.testing.assert_array_equal(run.outcome == gt.Outcome.LEFT_RANGE, ~inside)
    assert 100 < np.sum(inside) < 400


@pytest.mark.slow
def test_a_start_beyond_the_separatrix_goes_to_the_far_logistic_minimum():
    near, _, far = in_blocks(gt.pair.stationary_points, LOGISTIC).weights
    starts = near + np.array([0, 0.2, 0.5, 0.9, 1.2])[:, None] * (far - near)
    inside = np.asarray(basins.in_basin(LOGISTIC, starts))
    ends = gt.simulate(LOGISTIC, starts, step_size=5.0, epochs=40_000).weights
    assert inside[0]
    assert not inside[-1]
    np.testing.assert_array_equal(np.linalg.norm(ends - near, axis=-1) < 1e-6, inside)
    np.testing.assert_array_equal(np.linalg.norm(ends - far, axis=-1) < 1e-6, ~inside)


def test_without_a_saddle():
    starts = np.stack([POINTS, -3 * POINTS], -1)
    past, nothing = (
        PAIR.replace(forget_in_pair=jnp.asarray(2.0)),
        PAIR.replace(forget_in_pair=jnp.asarray(0.0)),
    )
    assert not np.any(basins.in_basin(past, starts))
    assert np.all(basins.in_basin(nothing, starts))
    assert np.all(basins.in_basin(PAIR, starts, 0.0))
    assert np.all(np.isnan(basins.separatrix(past, POINTS)))
    assert np.all(np.isnan(basins.separatrix(nothing, POINTS)))
    before = LOGISTIC.replace(forget_in_pair=jnp.asarray(0.1))
    assert np.all(basins.in_basin(before, starts))


def test_strength_is_the_same_as_more_to_forget():
    more = PAIR.replace(forget_in_pair=PAIR.forget_in_pair * 1.2)
    np.testing.assert_allclose(
        basins.separatrix(PAIR, POINTS, 1.2), basins.separatrix(more, POINTS), rtol=1e-9
    )


def test_uncorrelated_types_have_a_straight_boundary():
    pair = gt.CorrelatedPair(
        0.0, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=0.5
    )
    saddle = in_blocks(gt.pair.stationary_points, pair).y[1]
    np.testing.assert_allclose(basins.separatrix(pair, POINTS), saddle, rtol=1e-12)


def test_float32():
    with jax.enable_x64(False):
        pair = gt.CorrelatedPair(
            0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=1
        )
        single = jax.jit(basins.separatrix)(pair, POINTS)
        assert single.dtype == np.float32
    np.testing.assert_allclose(
        single, basins.separatrix(PAIR, POINTS), rtol=1e-4
    )  # eps**(2/3) is 2.4e-5


def test_bad_input():
    with pytest.raises(ValueError, match=r"weights must have shape \(\*batch, 2\)"):
        basins.in_basin(PAIR, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="p must be finite"):
        basins.separatrix(PAIR, np.nan)
    with pytest.raises(ValueError, match="strength must be finite and >= 0"):
        basins.separatrix(PAIR, 1.0, -1.0)
    objective = PAIR.objective()
    three = gt.grid(PAIR, correlation=[0.1, 0.5, 0.7])
    for call in (
        lambda pair: basins.order_coordinates(pair, np.zeros((2, 2))),
        lambda pair: basins.weights_at(pair, [1.0, 2.0], 1.0),
        lambda pair: basins.velocity(pair, [1.0, 2.0], 1.0),
        lambda pair: basins.separatrix(pair, [1.0, 2.0]),
        lambda pair: basins.separatrix(pair, 1.0, [1.0, 2.0]),
        lambda pair: basins.in_basin(pair, [0.0, 0.0], [1.0, 2.0]),
    ):
        with pytest.raises(
            ValueError,
            match=r"batch dimensions must broadcast to one shape, got pair \(3,\), .* \(2,\)",
        ):
            call(three)
        with pytest.raises(TypeError, match="pair must be a CorrelatedPair, got Objective"):
            call(objective)
