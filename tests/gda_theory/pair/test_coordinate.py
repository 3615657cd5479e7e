"""One coordinate: closed forms against mpmath, SciPy's Brent, Newton's method on the objective and
continuation.
"""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

import gda_theory as gt
from gda_theory.codes import Reason
from gda_theory.solve import minimise, path

EPS = np.finfo(np.float64).eps
LOSSES = ["exponential", "logistic"]
COUNT = 400
PHI = {"exponential": lambda m: mpmath.exp(-m), "logistic": lambda m: 1 / (1 + mpmath.exp(m))}


def make(ridge=0.1, r=80, f=20, r_j=8, f_j=1.0, **more):
    return gt.Coordinate(
        ridge=ridge,
        retain_size=r,
        forget_size=f,
        retain_in_coordinate=r_j,
        forget_in_coordinate=f_j,
        allow_unrealisable=True,
        **more,
    )


def random_coordinates(seed, **more):
    """Log-uniform ridges; alpha on both sides of the threshold f/r."""
    draw = np.random.default_rng(seed)
    r, f = draw.uniform(10, 100, COUNT), draw.uniform(1, 50, COUNT)
    r_j = r * draw.uniform(0.01, 1, COUNT)
    return make(
        10 ** draw.uniform(-4, 2, COUNT), r, f, r_j, r_j * f / r * draw.uniform(0, 2, COUNT), **more
    )


def log_phi(loss, margin):
    return -margin if loss == "exponential" else -np.logaddexp(margin, np.longdouble(0))


def backward_error(loss, weight, mass, ridge):
    """Residual of ``log|w| = log|K/ridge| + log phi(w)`` over the size of its terms, in extended
    precision.
    """
    weight, mass, ridge = (
        np.asarray(value).astype(np.longdouble) for value in (weight, mass, ridge)
    )
    terms = np.log(abs(weight)), np.log(abs(mass) / ridge), log_phi(loss, weight)
    assert np.all(np.sign(weight) == np.sign(mass))
    return np.abs(terms[0] - sum(terms[1:])) / (1 + sum(abs(term) for term in terms)).astype(float)


def lambert(ratio, branch=0):
    return float(mpmath.lambertw(mpmath.mpf(ratio), branch).real)


# --- stationary points


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "exponents", [(-300, -200), (-8, 8), (200, 300)], ids=["tiny", "ordinary", "huge"]
)
def test_every_point_is_stationary_at_any_ridge(loss, exponents):
    draw = np.random.default_rng(1)
    ridge = 10 ** draw.uniform(*exponents, COUNT)
    ridge[:2] = 10.0 ** exponents[0], 10.0 ** exponents[1]
    size = 10 ** draw.uniform(-3, 0, COUNT)
    for mass in (size, -size, -ridge / np.e * draw.uniform(0.001, 0.999, COUNT)):
        points = gt.coordinate.stationary_points(mass, ridge=ridge, loss=loss)
        below = (mass < 0) & (mass / ridge < -1 / np.e)
        np.testing.assert_array_equal(
            points.exists, ~below if loss == "exponential" else np.full(COUNT, True)
        )
        there = np.asarray(points.exists)
        assert (
            np.max(
                backward_error(loss, points.minimum[there], mass[there], ridge[there]), initial=0
            )
            <= 32 * EPS
        )
        top = ~np.isnan(np.asarray(points.maximum))
        np.testing.assert_array_equal(top, there & (mass < 0) & (loss == "exponential"))
        assert (
            np.max(backward_error(loss, points.maximum[top], mass[top], ridge[top]), initial=0)
            <= 32 * EPS
        )
        # The measure can fail: one part in 1e10 is seen. (A long flat phi magnifies the weight, not
        # its logarithm: half of them.)
        if np.any(there):
            wrong = backward_error(
                loss, points.minimum[there] * (1 + 1e-10), mass[there], ridge[there]
            )
            assert np.median(wrong) > 32 * EPS


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.floats(-290, 290), st.floats(1e-12, 1), st.booleans())
def test_both_branches_are_those_of_mpmath(exponent, share, attracted):
    ridge = 10.0**exponent
    mass = share if attracted else -ridge * share * 0.367
    points = gt.coordinate.stationary_points(mass, ridge=ridge)
    ratio = mpmath.mpf(mass) / mpmath.mpf(ridge)
    if not 1e-307 < abs(ratio) < 1e307:
        return  # the weight itself would be subnormal
    # Conditioning 1/(1+W) <= 16 at a share of 0.367 e of the fold, and the rounding of a logarithm
    # of size 700.
    np.testing.assert_allclose(points.minimum, lambert(ratio), rtol=2e-13)
    if attracted:
        assert np.isnan(points.maximum)
    else:
        np.testing.assert_allclose(points.maximum, lambert(ratio, -1), rtol=2e-14)


def test_logistic_is_the_r_lambert_function_by_brent():
    draw = np.random.default_rng(2)
    ratio = 10 ** draw.uniform(-6, 6, COUNT) * np.where(np.arange(COUNT) % 2, 1, -1)
    minimum = np.asarray(gt.coordinate.stationary_points(ratio, ridge=1.0, loss="logistic").minimum)
    for found, z in zip(minimum[:100], ratio[:100], strict=True):
        # w e^w + w = z, divided by its growing factor where that overflows.
        ends = sorted((0.0, z if z < 0 else min(z, np.log(z + 1) + 1)))
        exact = scipy.optimize.brentq(
            lambda w, z=z: w - z / (1 + np.exp(w)), *ends, xtol=1e-300, rtol=4 * EPS
        )
        # 32 epsilons of backward error in logarithms, on either side the size of the logarithm of
        # z; conditioning at most 1.
        np.testing.assert_allclose(found, exact, rtol=32 * EPS * (1 + 2 * abs(np.log(abs(z)))))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_minimum_is_where_the_second_derivative_is_positive(loss):
    """App.

    F exchanges the branches: W_0 is the minimum. By automatic differentiation of J itself.
    """
    curve = {"exponential": lambda w: jnp.exp(-w), "logistic": lambda w: jnp.log1p(jnp.exp(-w))}[
        loss
    ]
    ridge = 0.3
    mass = np.linspace(-0.999, 4, COUNT) * ridge / np.e

    def objective(w, mass):
        return mass * curve(w) + ridge / 2 * w**2

    points = gt.coordinate.stationary_points(mass, ridge=ridge, loss=loss)
    slope, bend = (jax.vmap(f) for f in (jax.grad(objective), jax.grad(jax.grad(objective))))
    np.testing.assert_allclose(slope(points.minimum, mass), 0, atol=1e-15)
    assert np.all(bend(points.minimum, mass) > 0)
    if loss == "exponential":
        repelled = mass < 0
        np.testing.assert_allclose(
            slope(points.maximum, mass)[repelled], 0, atol=1e-14
        )  # weights up to 8
        assert np.all(bend(points.maximum, mass)[repelled] < 0)
        # lambda (1 + w), by the stationary equation.
        np.testing.assert_allclose(
            bend(points.minimum, mass), ridge * (1 + points.minimum), rtol=1e-12
        )


def test_the_fold_is_at_minus_one_over_e():
    at = -np.exp(-1.0) * np.array([1 - 1e-12, 1, 1 + 1e-12])
    points = gt.coordinate.stationary_points(at, ridge=1.0)
    assert list(np.asarray(points.exists)) == [True, True, False]
    assert np.isnan(points.minimum[2])
    assert np.isnan(points.maximum[2])
    # w + 1 ~ +-sqrt(2 (1 + e K/ridge)); at the float next to -1/e that is at most 1e-8.
    np.testing.assert_allclose(points.minimum[:2], -1, atol=2e-6)
    np.testing.assert_allclose([points.minimum[1], points.maximum[1]], -1, atol=2e-8)
    exact = [lambert(at[0], branch) for branch in (0, -1)]
    np.testing.assert_allclose(
        [points.minimum[0], points.maximum[0]], exact, rtol=1e-9
    )  # conditioning 1/(1+w) = 7e5
    # The same at any scale of ridge.
    scaled = gt.coordinate.stationary_points(at * 1e-280, ridge=1e-280)
    assert list(np.asarray(scaled.exists)) == [True, True, False]


def test_no_mass_is_the_origin():
    for loss in LOSSES:
        points = gt.coordinate.stationary_points(0.0, ridge=0.1, loss=loss)
        assert float(points.minimum) == 0
        assert np.isnan(points.maximum)


# --- pretraining, the oracle, descent-ascent


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_masses_are_those_of_lemma_2(loss, reduction):
    """The stationary equation itself, by mpmath, with the masses written out for each problem."""
    problems = random_coordinates(3, loss=loss, reduction=reduction)
    found = (
        gt.coordinate.pretrain(problems),
        gt.coordinate.retrain(problems),
        gt.coordinate.descent_ascent(problems, 0.7),
    )
    for i in range(0, COUNT, 20):
        ridge, r, f, r_j, f_j = (
            mpmath.mpf(float(getattr(problems, name)[i]))
            for name in (
                "ridge",
                "retain_size",
                "forget_size",
                "retain_in_coordinate",
                "forget_in_coordinate",
            )
        )
        alpha, n = f_j / r_j, r + f
        if reduction == "mean":
            masses = (
                (1 + alpha) * r_j / n,
                r_j / r,
                (1 - mpmath.mpf(0.7) * alpha * r / f) * r_j / r,
            )
        else:
            masses = ((1 + alpha) * r_j, r_j, (1 - mpmath.mpf(0.7) * alpha) * r_j)
        for solution, mass in zip(found, masses, strict=True):
            w = mpmath.mpf(float(solution.weight[i]))
            if loss == "exponential" and mass / ridge < -mpmath.exp(-1):
                assert np.isnan(solution.weight[i])
                assert not bool(solution.exists[i])
                assert int(solution.reason[i]) == Reason.PAST_FOLD
                continue
            assert bool(solution.exists[i])
            assert int(solution.reason[i]) == Reason.FOUND
            # Newton's distance to the root; the mass r_j/r - alpha r_j/f cancels, so it is measured
            # against its terms.
            phi = PHI[loss](w)
            decay = 1 if loss == "exponential" else 1 - phi
            distance = (ridge * w - mass * phi) / (ridge + mass * decay * phi)
            rounding = (masses[1] + abs(masses[1] - mass)) * phi / abs(ridge + mass * decay * phi)
            assert abs(distance) <= 1e-14 * (abs(w) + rounding)
            if loss == "exponential":
                np.testing.assert_allclose(float(w), lambert(mass / ridge), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("loss", "reduction"),
    [
        pytest.param("exponential", "mean", marks=pytest.mark.slow),  # compiles the continuation
        ("logistic", "sum"),
    ],
)
def test_newton_and_continuation_agree(loss, reduction):
    draw = np.random.default_rng(4)
    problems = make(
        10 ** draw.uniform(-3, 1, 40),
        r_j=draw.uniform(1, 80, 40),
        f_j=draw.uniform(0, 20, 40),
        loss=loss,
        reduction=reduction,
    )
    objective = problems.objective()
    for solve, closed in (
        (minimise.pretrain, gt.coordinate.pretrain),
        (minimise.retrain, gt.coordinate.retrain),
    ):
        solution = solve(objective)
        assert bool(np.all(solution.converged))
        np.testing.assert_allclose(solution.weights[:, 0], closed(problems).weight, rtol=1e-12)
    closed = gt.coordinate.descent_ascent(problems)
    there = np.asarray(closed.exists)
    if loss == "exponential":
        followed = path.descent_ascent(objective)
        np.testing.assert_array_equal(followed.exists, there)
    else:
        followed = minimise.solve(objective, 1.0)  # its only minimum, from anywhere
    assert np.sum(there) > 10
    assert reduction == "sum" or loss == "logistic" or np.sum(~there) > 3
    stiffness = (
        np.asarray(objective.hessian(closed.weight[:, None]))[there, 0, 0]
        / np.asarray(problems.ridge)[there]
    )
    # A rounding of the gradient's terms is magnified by the curvature's inverse.
    scale = 1 + np.abs(np.asarray(closed.weight)[there])
    gap = np.abs(np.asarray(followed.weights)[there, 0] - np.asarray(closed.weight)[there])
    terms = (
        np.asarray(problems.ascent_masses[0] + problems.ascent_masses[1])[there]
        / np.asarray(problems.ridge)[there]
    )
    assert np.all(gap <= 1e-12 * scale + 64 * EPS * terms / stiffness)


# --- order and distances


@pytest.mark.parametrize("loss", LOSSES)
def test_the_order_flips_exactly_at_its_edges(loss):
    draw = np.random.default_rng(5)
    r, f, ridge = (
        draw.uniform(10, 100, COUNT),
        draw.uniform(1, 50, COUNT),
        10 ** draw.uniform(-2, 1, COUNT),
    )
    r_j = r * draw.uniform(0.05, 1, COUNT)
    edges = gt.coordinate.order_range(make(ridge, r, f, r_j, loss=loss))
    n = r + f
    np.testing.assert_allclose(edges.lower, f**2 / (r * (f + n)), rtol=1e-14)
    np.testing.assert_allclose(edges.upper, f / r, rtol=1e-14)

    def solutions(alpha):
        problems = make(ridge, r, f, r_j, alpha * r_j, loss=loss)
        return [
            np.asarray(solve(problems).weight)
            for solve in (
                gt.coordinate.pretrain,
                gt.coordinate.retrain,
                gt.coordinate.descent_ascent,
            )
        ]

    # The weights move by 1e-9 of themselves there, a million times their rounding.
    for factor in (1 - 1e-9, 1 + 1e-9):
        trained, oracle, ascended = solutions(np.asarray(edges.lower) * factor)
        assert np.all((ascended < trained) == (factor > 1))
        assert np.all(trained < oracle)
        trained, oracle, ascended = solutions(np.asarray(edges.upper) * factor)
        assert np.all((trained < oracle) == (factor < 1))
        assert np.all(ascended < trained)
    if loss == "logistic":
        assert np.all(np.isposinf(edges.last))
        return
    np.testing.assert_allclose(edges.last, f / r + ridge * f / (np.e * r_j), rtol=1e-14)
    assert not np.any(np.isnan(solutions(np.asarray(edges.last) * (1 - 1e-12))[2]))
    assert np.all(np.isnan(solutions(np.asarray(edges.last) * (1 + 1e-12))[2]))


def test_sums_overshoot_and_pass_through_the_oracle():
    draw = np.random.default_rng(6)
    for loss in LOSSES:
        base = random_coordinates(6, loss=loss, reduction="sum")
        edges = gt.coordinate.order_range(base)
        assert np.all(np.isnan(edges.lower))
        assert np.all(np.isnan(edges.upper))
        last = (
            1 + base.ridge / (np.e * base.retain_in_coordinate)
            if loss == "exponential"
            else jnp.full(COUNT, 2.0)
        )
        assert (
            np.all(np.isposinf(edges.last))
            if loss == "logistic"
            else np.allclose(edges.last, last, rtol=1e-14, atol=0)
        )
        for factor, exists in (
            (draw.uniform(0.01, 1, COUNT) - 1e-12, True),
            (1 + 1e-12, loss == "logistic"),
        ):
            forgotten = base.retain_in_coordinate * last * factor
            problems = make(
                base.ridge,
                base.retain_size,
                base.forget_size,
                base.retain_in_coordinate,
                forgotten,
                loss=loss,
                reduction="sum",
            )
            ascended = gt.coordinate.descent_ascent(problems)
            np.testing.assert_array_equal(ascended.exists, np.full(COUNT, exists))
            if exists:
                oracle = gt.coordinate.retrain(problems).weight
                assert np.all(ascended.weight < oracle)
                assert np.all(oracle < gt.coordinate.pretrain(problems).weight)
    # Nothing forgotten: all three coincide. A loss of which nothing is known: no threshold is
    # promised.
    nothing = make(f_j=0.0, reduction="sum")
    assert float(gt.coordinate.descent_ascent(nothing).weight) == float(
        gt.coordinate.pretrain(nothing).weight
    )
    assert np.isnan(
        gt.coordinate.order_range(
            make(loss=gt.margin_loss("steep", lambda m: jnp.exp(-2 * m)))
        ).last
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_distance_bounds_hold_and_are_nearly_reached(loss):
    for ridge in (None, 1e-250):
        problems = random_coordinates(7, loss=loss)
        if ridge is not None:
            problems = make(
                ridge,
                problems.retain_size,
                problems.forget_size,
                problems.retain_in_coordinate,
                problems.forget_in_coordinate,
                loss=loss,
            )
        found = gt.coordinate.distances(problems)
        r, f, alpha = (
            np.asarray(value)
            for value in (problems.retain_size, problems.forget_size, problems.alpha)
        )
        trained, oracle, ascended = (
            np.asarray(solve(problems).weight)
            for solve in (
                gt.coordinate.pretrain,
                gt.coordinate.retrain,
                gt.coordinate.descent_ascent,
            )
        )
        np.testing.assert_allclose(found.pretrain_oracle, abs(trained - oracle), rtol=0, atol=0)
        np.testing.assert_array_equal(found.descent_ascent_oracle, abs(ascended - oracle))
        np.testing.assert_allclose(
            found.lemma_4_bound, abs(np.log((1 + alpha) * r / (r + f))), rtol=1e-12, atol=1e-15
        )
        inside = alpha * r / f < 1
        assert 100 < np.sum(inside) < 300
        np.testing.assert_allclose(
            found.rate_bound,
            np.where(inside, -np.log(np.where(inside, 1 - alpha * r / f, 1)), np.nan),
            rtol=1e-10,
        )
        np.testing.assert_array_equal(found.lemma_5_bound, np.where(inside, np.nan, oracle))
        # Weights of 600 are rounded at 1e-13.
        slack = 4 * EPS * (1 + oracle)
        assert np.all(found.pretrain_oracle <= found.lemma_4_bound + slack)
        gap = np.asarray(found.descent_ascent_oracle)
        assert np.all(gap[inside] <= (np.asarray(found.rate_bound) + slack)[inside])
        there = ~inside & ~np.isnan(gap)
        assert np.all(gap[there] >= (np.asarray(found.lemma_5_bound) - slack)[there])
        if ridge is not None:
            # Both bounds are the limits of a vanishing ridge: w/(1+w) at w = 570.
            assert np.median(found.pretrain_oracle / found.lemma_4_bound) > 0.995
            assert np.median(gap[inside] / np.asarray(found.rate_bound)[inside]) > 0.995
    # Lemma 5 is reached at the threshold itself, where descent-ascent forgets the coordinate
    # altogether.
    edge = gt.coordinate.distances(make(0.1, f_j=2.0, loss=loss))
    assert float(edge.descent_ascent_oracle) == float(edge.lemma_5_bound)
    assert np.isnan(edge.rate_bound)


def test_distance_bounds_of_sums():
    found = gt.coordinate.distances(make(f_j=2.0, reduction="sum"))
    np.testing.assert_allclose(
        [found.lemma_4_bound, found.rate_bound], [np.log(1.25), -np.log(0.75)], rtol=1e-14
    )
    assert found.pretrain_oracle <= found.lemma_4_bound
    assert found.descent_ascent_oracle <= found.rate_bound


def test_a_heavier_tail_has_no_logarithmic_bounds():
    """A unit of ln K moves w by up to 4 there, where Lemma 4 allows 1."""
    heavy = gt.margin_loss("heavy", lambda m: 4 * jnp.exp(-m / 4))
    found = gt.coordinate.distances(make(1e-6, loss=heavy))
    assert found.pretrain_oracle > 2 * gt.coordinate.distances(make(1e-6)).lemma_4_bound
    assert np.isnan(found.lemma_4_bound)
    assert np.isnan(found.rate_bound)


def test_the_number_of_corollary_1():
    """kappa = 1e-3 at ridge 1e-200: the gap is 6.892, just short of ln 1000 = 6.908."""
    found = gt.coordinate.distances(make(1e-200, f_j=2 * (1 - 1e-3)))
    np.testing.assert_allclose(found.descent_ascent_oracle, 6.892, atol=5e-4)
    np.testing.assert_allclose(found.rate_bound, np.log(1000), rtol=1e-12)
    exact = lambert(mpmath.mpf("0.1") * mpmath.mpf("1e200")) - lambert(
        mpmath.mpf("1e-4") * mpmath.mpf("1e200")
    )
    np.testing.assert_allclose(found.descent_ascent_oracle, exact, rtol=1e-12)


# --- derivatives, transformations, dtypes


@pytest.mark.parametrize("loss", LOSSES)
def test_derivatives_are_implicit_and_right(loss):
    def minimum(mass, ridge):
        return gt.coordinate.stationary_points(mass, ridge=ridge, loss=loss).minimum

    step = 1e-5
    slopes = jax.jit(jax.grad(minimum, (0, 1)))
    for mass in (1.7, 0.02, -0.09):
        by_mass = (minimum(mass * (1 + step), 0.3) - minimum(mass * (1 - step), 0.3)) / (
            2 * step * mass
        )
        by_ridge = (minimum(mass, 0.3 * (1 + step)) - minimum(mass, 0.3 * (1 - step))) / (
            2 * step * 0.3
        )
        # Central differences: 1e-10 of truncation times a few, 1e-11 of rounding, and -0.09 is near
        # the fold.
        np.testing.assert_allclose(slopes(mass, 0.3), [by_mass, by_ridge], rtol=1e-7)
    # At the threshold, through the counts: dw/dK = phi(0)/ridge.
    slope = jax.grad(
        lambda forgotten: gt.coordinate.descent_ascent(make(0.3, f_j=forgotten, loss=loss)).weight
    )(2.0)
    np.testing.assert_allclose(
        slope, -(1.0 if loss == "exponential" else 0.5) / 0.3 / 20, rtol=1e-14
    )


def test_derivatives_of_the_maximum_and_second_ones():
    def both(mass, ridge):
        points = gt.coordinate.stationary_points(mass, ridge=ridge)
        return jnp.stack([points.minimum, points.maximum])

    mass, ridge, step = -0.05, 0.3, 1e-5
    forward = jax.jit(jax.jacfwd(both, (0, 1)))
    by_mass = (both(mass * (1 + step), ridge) - both(mass * (1 - step), ridge)) / (2 * step * mass)
    by_ridge = (both(mass, ridge * (1 + step)) - both(mass, ridge * (1 - step))) / (
        2 * step * ridge
    )
    np.testing.assert_allclose(forward(mass, ridge), [by_mass, by_ridge], rtol=1e-8)
    second = jax.jit(jax.jacfwd(jax.jacfwd(both, 1), 1))(mass, ridge)
    change = forward(mass, ridge * (1 + step))[1] - forward(mass, ridge * (1 - step))[1]
    np.testing.assert_allclose(second, change / (2 * step * ridge), rtol=1e-8)
    # None where there is no point.
    assert np.isnan(jax.grad(lambda mass: both(mass, ridge)[0])(-1.0))


@pytest.mark.parametrize("loss", LOSSES)
def test_jit_vmap_and_batches_agree(loss):
    problems = random_coordinates(8, loss=loss)
    solve = gt.coordinate.descent_ascent
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12),
        jax.jit(jax.vmap(solve))(problems),
        solve(problems),
    )
    # Ascent at a strength is ascent on that many times the samples; strength 0 is the oracle.
    some = make(f_j=1.6, loss=loss)
    np.testing.assert_allclose(
        solve(some, strength=0.5).weight, solve(make(f_j=0.8, loss=loss)).weight, rtol=1e-14
    )
    assert float(solve(some, strength=0).weight) == float(gt.coordinate.retrain(some).weight)
    bad = jax.jit(lambda ridge: gt.coordinate.retrain(make(ridge=ridge, loss=loss)))(-1.0)
    assert np.isnan(bad.weight)
    assert not bool(bad.exists)


def test_arguments_broadcast():
    grid = gt.coordinate.stationary_points(np.ones((2, 1)), ridge=[0.1, 0.2, 0.3])
    assert grid.minimum.shape == grid.maximum.shape == grid.exists.shape == (2, 3)
    assert gt.coordinate.descent_ascent(make(), strength=np.array([0.1, 0.2])).weight.shape == (2,)


def test_float32():
    with jax.enable_x64(False):
        solution = gt.coordinate.descent_ascent(make(f_j=2.5))
        assert solution.weight.dtype == jnp.float32
        reached = float(solution.weight)
        with pytest.raises(
            ValueError, match=r"ridge must be finite and > 0, got 0 in float32.*enable float64"
        ):
            make(1e-300)
    np.testing.assert_allclose(
        reached, gt.coordinate.descent_ascent(make(f_j=2.5)).weight, rtol=1e-5
    )
    # Float32 arrays keep their dtype in 64-bit mode too.
    single = gt.coordinate.stationary_points(
        np.float32(0.1), ridge=np.float32(0.1), loss="logistic"
    )
    assert single.minimum.dtype == jnp.float32
    np.testing.assert_allclose(
        single.minimum,
        gt.coordinate.stationary_points(0.1, ridge=0.1, loss="logistic").minimum,
        rtol=1e-6,
    )


@pytest.mark.slow
def test_a_loss_of_your_own():
    """Newton's method replaces a special function; bracketing finds the folds, not -1/e."""
    mine = gt.margin_loss("mine", lambda m: jnp.logaddexp(-m, 0.0), slope_at_minus_infinity=1.0)
    mass = np.array([-3.0, -0.05, 0.0, 0.02, 5.0])
    ours, theirs = (
        gt.coordinate.stationary_points(mass, ridge=0.1, loss=loss) for loss in ("logistic", mine)
    )
    np.testing.assert_allclose(theirs.minimum, ours.minimum, rtol=1e-12)
    assert np.all(np.isnan(theirs.maximum))


def test_a_steeper_exponential_has_its_fold_elsewhere():
    # exp(-2m): v = 2w solves v e^v = 4 K/ridge.
    steep = gt.margin_loss("steep", lambda m: jnp.exp(-2 * m))
    ratio = np.array([-0.0921, -0.0919, -0.05, 0.3, 4.0])  # the fold is at -1/(4e) = -0.09197
    points = gt.coordinate.stationary_points(ratio * 7, ridge=7.0, loss=steep)
    exact = [np.nan, *(lambert(4 * z) / 2 for z in ratio[1:])]
    np.testing.assert_allclose(
        points.minimum, exact, rtol=1e-9
    )  # at 1e-3 of the fold the conditioning is 50
    np.testing.assert_allclose(
        points.maximum,
        [np.nan, *(lambert(4 * z, -1) / 2 for z in ratio[1:3]), np.nan, np.nan],
        rtol=1e-9,
    )
    np.testing.assert_array_equal(points.exists, [False, True, True, True, True])


# --- validation


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(ridge=0.0), "ridge must be finite and > 0, got 0"),
        (dict(ridge=[0.1, -1.0]), r"ridge must be finite and > 0, got -1 at index \(1,\)"),
        (dict(ridge=np.nan), "ridge must be finite and > 0, got nan"),
        (dict(r=0), "retain_size must be finite and > 0, got 0"),
        (dict(f=0), "forget_size must be finite and > 0, got 0"),
        (dict(r_j=0), "retain_in_coordinate must be finite and > 0, got 0"),
        (dict(r_j=81), "retain_in_coordinate must be <= retain_size = 80, got 81"),
        (dict(f_j=-1), "forget_in_coordinate must be finite and >= 0, got -1"),
        (dict(loss="hinge"), "loss must be one of 'exponential', 'logistic'.* got 'hinge'"),
        (dict(reduction="median"), "reduction must be one of 'mean', 'sum', got 'median'"),
        (
            dict(ridge=[0.1, 0.2], r_j=[1, 2, 3]),
            r"arguments of Coordinate must broadcast to one shape, got ridge \(2,\).*\(3,\)",
        ),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_bad_types_masses_and_strengths():
    with pytest.raises(
        ValueError,
        match=r"forget_in_coordinate must be <= forget_size = 20, got 21 .*retain_in_coordinate"
        r".*allow_unrealisable",
    ):
        gt.Coordinate(
            ridge=0.1,
            retain_size=80,
            forget_size=20,
            retain_in_coordinate=8,
            forget_in_coordinate=21,
        )
    with pytest.raises(TypeError, match="ridge must be a real number"):
        make(ridge="much")
    with pytest.raises(ValueError, match="strength must be finite and >= 0, got -1"):
        gt.coordinate.descent_ascent(make(), strength=-1)
    with pytest.raises(
        ValueError, match="loss must be exponential for this closed form, got Loss\\('logistic'\\)"
    ):
        gt.coordinate.alternating_rest(make(loss="logistic"), step_size=0.1)
    with pytest.raises(
        ValueError, match="scheme must be one of 'retain_first', 'forget_first', got 'simultaneous'"
    ):
        gt.coordinate.alternating_rest(make(), step_size=0.1, scheme="simultaneous")
    with pytest.raises(ValueError, match="step_size must be finite and > 0, got 0"):
        gt.coordinate.alternating_rest(make(), step_size=0)
    assert np.isnan(
        gt.coordinate.alternating_rest(make(f_j=2.0), step_size=0.1).weight
    )  # equal shares: nothing pushes away
    with pytest.raises(ValueError, match="mass must be finite, got inf"):
        gt.coordinate.stationary_points(np.inf, ridge=0.1)
    with pytest.raises(ValueError, match="ridge must be finite and > 0, got 0"):
        gt.coordinate.stationary_points(1.0, ridge=0)
    with pytest.raises(ValueError, match="must broadcast to one shape"):
        gt.coordinate.stationary_points([1.0, 2.0], ridge=[1.0, 2.0, 3.0])
