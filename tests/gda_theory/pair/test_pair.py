"""The correlated pair: closed forms against tables, mpmath, SciPy, Newton's method on the objective
and continuation.
"""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.optimize
import scipy.special

import gda_theory as gt
from gda_theory.codes import Kind, Reason
from gda_theory.pair import curve
from gda_theory.solve import minimise, path
from tests.pair_blocks import in_blocks
from theory_common.numerics import roots

EPS = np.finfo(np.float64).eps


def make(correlation=0.5, ridge=0.1, r=80, f=20, r_p=8, f_p=1.0, loss="exponential", **more):
    return gt.CorrelatedPair(
        correlation,
        ridge=ridge,
        retain_size=r,
        forget_size=f,
        retain_in_pair=r_p,
        forget_in_pair=f_p,
        loss=loss,
        **more,
    )


# Of the theory: r, f, r_p, ridge, correlation; x_R; alpha at x_D = x_R and at y_D = y_R; folds as
# (x, y, alpha), lower first.
TABLE = {
    "exponential-0.1": (
        "exponential",
        (80, 20, 8, 0.1, 0.5),
        0.651547905441852,
        0.290886803352252,
        0.147361369022355,
        [(0.00443659224492311, -0.554464204320641, 0.178062078871913)],
    ),
    "exponential-1": (
        "exponential",
        (95, 5, 9.5, 1, 0.2),
        0.0946115316339233,
        0.130462432325526,
        0.0177370400424339,
        [(-0.257002903906004, -0.96612601248692, 0.196025593559444)],
    ),
    "logistic-0.1": (
        "logistic",
        (80, 20, 8, 0.1, 0.5),
        0.4783131590057965,
        0.3026119392056256,
        0.1738935510708352,
        [],
    ),
    "logistic-0.001": (
        "logistic",
        (80, 20, 8, 0.001, 0.5),
        3.536481617827306,
        0.2146385056080588,
        0.04949807624687188,
        [
            (2.543163883642575, -0.9209437473335705, 0.02295653791988297),
            (3.136538987310373, 1.579269265228267, 0.0302310442662184),
        ],
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_reference_values(name):
    loss, (r, f, r_p, ridge, correlation), x_oracle, *_, folds = TABLE[name]
    pair = make(correlation, ridge, r, f, r_p, loss=loss)
    found = in_blocks(gt.pair.folds, pair)
    # The table has 15 digits; 1e-12 is the promise.
    np.testing.assert_allclose(in_blocks(gt.pair.retrain, pair).x, x_oracle, rtol=1e-12)
    expected = np.full((2, 3), np.nan)
    expected[: len(folds)] = np.reshape(folds, (-1, 3))
    np.testing.assert_allclose(
        np.stack([found.x, found.y, found.alpha], -1), expected, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if row[0] == "logistic" else ())
        for name, row in TABLE.items()
    ],
)
def test_reference_values_of_windows(name):
    loss, (r, f, r_p, ridge, correlation), _, x_edge, y_edge, _ = TABLE[name]
    pair = make(correlation, ridge, r, f, r_p, loss=loss)
    windows = in_blocks(gt.pair.ordering_windows, pair)
    np.testing.assert_allclose(
        [windows.x_upper.alpha, windows.y_upper.alpha], [x_edge, y_edge], rtol=1e-12
    )


def test_the_exact_window_where_the_sufficient_one_is_empty():
    pair = make(0.5, 0.01)
    exact, sufficient = in_blocks(gt.pair.ordering_windows, pair), gt.pair.sufficient_window(pair)
    assert bool(exact.exists)
    assert not bool(sufficient.exists)
    np.testing.assert_allclose(
        [exact.lower, exact.upper], [0.03194, 0.06070], atol=6e-6
    )  # the theory gives these digits


def test_cusps():
    reference = {
        0.2: (919.319286177807, 4.40334870102258),
        0.5: (32.0374142170412, 6.72265715820468),
        0.8: (27.6422875127565, 17.6714669357577),
        0.95: (82.8349046908355, 74.852070027226),
    }
    correlation = np.array([*reference, 0, 1e-6, -0.5])
    cusp = gt.pair.cusp(gram=(1 + correlation**2, 2 * correlation, 1 + correlation**2))
    # The bend is quadratic in its location, but A/ridge is its logarithm's exponential: a few
    # digits of the 15 are lost.
    found = np.stack([cusp.retain_ratio, cusp.forget_ratio], -1)
    np.testing.assert_allclose(found[:4], list(reference.values()), rtol=2e-12)
    assert np.all(
        np.isnan([part[4:] for part in cusp])
    )  # none, one at about 1/ε = 1e6, beyond the search, and none


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["forward", "backward"])
def test_derivatives_of_the_cusp_in_both_modes(mode):
    """Against central differences, whose error is about 1e-9 here."""

    def critical(correlation):
        return gt.pair.cusp(correlation).retain_ratio

    # Seven, as in test_cusps: one shape, one compilation of the search.
    at = np.array([0.5, 0.5 + 1e-4, 0.5 - 1e-4, 0.3, 0.3 + 1e-4, 0.3 - 1e-4, 0.4])

    def forward(at):
        return jax.jvp(critical, (at,), (jnp.ones(7),))

    def backward(at):
        value, cotangents_of = jax.vjp(critical, at)
        return value, cotangents_of(jnp.ones(7))[0]

    derivatives = jax.jit({"forward": forward, "backward": backward}[mode])
    value, derivative = (np.asarray(numbers) for numbers in derivatives(at))
    slopes = np.array([value[1] - value[2], value[4] - value[5]]) / 2e-4
    np.testing.assert_allclose(derivative[[0, 3]], slopes, rtol=1e-6)


def random_pairs(loss, count, seed, *, ridge=(-6, 2)):
    """Log-uniform ridges, correlations in [1e-4, 0.999], alpha over the realisable range."""
    draw = np.random.default_rng(seed)
    r_p, f = draw.uniform(1, 80, count), draw.uniform(5, 40, count)
    return make(
        10 ** draw.uniform(-4, np.log10(0.999), count),
        10 ** draw.uniform(*ridge, count),
        f=f,
        r_p=r_p,
        f_p=np.minimum(f, r_p * 10 ** draw.uniform(-4, 1.5, count)),
        loss=loss,
    )


def long(array):
    return np.asarray(array).astype(np.longdouble)


def backward_error(pair, x, y, descent, ascent, side):
    """Relative residual of the stationary equations in logarithms, in extended precision.

    No conditioning enters.

    The masses are those that the margins imply: ``P = (k22 x - k12 y)/det`` cancels, so the
    equations are taken as
    ``x = k11 A phi(x)/ridge ± ...`` and compared with the sum of their absolute terms, after the
    margins' own rounding.
    """
    k11, k12, k22, _ = (long(entry) for entry in pair.gram)
    x, y, ridge = long(x), long(y), long(pair.ridge)
    log_phi = (
        (lambda m: -m)
        if pair.loss.name == "exponential"
        else (lambda m: -np.logaddexp(m, np.longdouble(0)))
    )
    log_p = np.log(long(descent)) - np.log(ridge) + log_phi(x)
    log_q = np.log(long(ascent)) - np.log(ridge) + log_phi(y)
    p, q = np.exp(log_p), np.exp(log_q)
    size_x, size_y = k11 * p + k12 * q + abs(x), k12 * p + k22 * q + abs(y)
    # phi turns a rounding of its argument into a relative error of the mass: its condition number
    # is part of the measure.
    amplification = (
        1
        + np.maximum(abs(x), abs(np.log(long(descent)) - np.log(ridge)))
        + np.maximum(abs(y), abs(log_q))
    )
    amplification = amplification + abs(k12 * p) + abs(k22 * q)
    first = abs(x - k11 * p - side * k12 * q) / (size_x * amplification)
    second = abs(y - k12 * p - side * k22 * q) / (size_y * amplification)
    return np.maximum(first, second).astype(float)


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize(
    "ridge", [(-6, 2), (-300, -200), (200, 300)], ids=["ordinary", "tiny", "huge"]
)
def test_every_point_is_stationary(loss, ridge):
    pair = random_pairs(loss, 1000, 1, ridge=ridge)
    points = jax.tree.map(np.asarray, gt.pair.stationary_points(pair))
    descent, ascent = (np.asarray(mass) for mass in pair.ascent_masses)
    entries = SimpleNamespace(
        gram=[np.asarray(entry) for entry in pair.gram],
        ridge=np.asarray(pair.ridge),
        loss=pair.loss,
    )
    for index in range(points.x.shape[-1]):
        there = np.flatnonzero(points.kind[:, index] >= 0)
        some = SimpleNamespace(
            gram=[entry[there] for entry in entries.gram],
            ridge=entries.ridge[there],
            loss=pair.loss,
        )
        error = backward_error(
            some, points.x[there, index], points.y[there, index], descent[there], ascent[there], -1
        )
        assert np.max(error, initial=0) <= 32 * EPS
    trained = gt.pair.pretrain(pair)
    masses = pair.pretrain_masses
    assert np.max(backward_error(entries, trained.x, trained.y, *masses, 1)) <= 32 * EPS
    oracle = gt.pair.retrain(pair)
    assert (
        np.max(
            backward_error(
                entries, oracle.x, oracle.y, descent, long(ascent) * np.longdouble("1e-4000"), -1
            )
        )
        <= 32 * EPS
    )
    # The measure can fail: one part in 1e10 is seen where the margins are not minute.
    wrong = backward_error(entries, long(trained.x) * (1 + 1e-10), trained.y, *masses, 1)
    assert np.median(wrong) > 32 * EPS


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_number_and_kind_of_points(loss):
    """Against sign changes along the paper-like explicit curve on a fine grid, an independent
    count.
    """
    pair = random_pairs(loss, 300, 2, ridge=(-4, 1))
    points = in_blocks(gt.pair.stationary_points, pair)
    phi = (
        (lambda m: np.exp(-m))
        if loss == "exponential"
        else (lambda m: 1 / (1 + np.exp(np.minimum(m, 700))))
    )
    # In NumPy: to take one number out of an array of JAX is a call of a compiled function.
    kind, determinant = np.asarray(points.kind), np.asarray(points.determinant)
    gram, ridge = np.array(pair.gram), np.asarray(pair.ridge)
    masses = np.array(pair.ascent_masses) / ridge
    checked = 0
    for i in range(300):
        k11, k12, k22, det = gram[:, i]
        a, b = masses[:, i]
        # Parametrised by y: P solves log P = log a + log phi((det P + k12 y)/k22), then Q = (k12 P
        # - y)/k22 against b phi(y).
        y_oracle = k12 * scipy.optimize.brentq(
            lambda p, a=a, k11=k11: p - a * phi(k11 * p),
            0,
            a * phi(0) + 1e-300,
            xtol=1e-300,
            rtol=8 * EPS,
        )
        y = y_oracle - np.concatenate([[0], np.geomspace(1e-9, 1e7, 4001)]) * (1 + abs(y_oracle))
        with np.errstate(over="ignore", under="ignore"):
            low, high = (
                np.full(y.shape, -700.0),
                np.log(a) + np.log(np.maximum(phi(np.clip(k12 / k22 * y, -700, 700)), 1e-320)),
            )
            for _ in range(60):  # from 700 to 1e-15, the rounding of the logarithms
                middle = (low + high) / 2
                p = np.exp(middle)
                above = middle > np.log(a) + np.log(
                    np.maximum(phi(np.clip((det * p + k12 * y) / k22, -700, 700)), 1e-320)
                )
                low, high = np.where(above, low, middle), np.where(above, middle, high)
            gap = (k12 * np.exp(low) - y) / k22 - b * phi(np.clip(y, -700, 700))
        usable = np.isfinite(gap)
        crossings = int(np.sum(np.diff(np.sign(gap[usable])) != 0))
        kinds = kind[i]
        found = int(np.sum(kinds != Kind.NONE))
        near_fold = np.any(np.abs(determinant[i] / ridge[i] ** 2) < 1e-3)
        if near_fold or k12 * 1e7 < 1:
            continue  # the grid does not resolve a nearly double root
        checked += 1
        assert found == crossings
        assert list(kinds[:found]) == [Kind.MINIMUM, Kind.SADDLE, Kind.MINIMUM][:found]
    assert checked > 200


def test_kinds_are_those_of_the_hessian():
    pair = random_pairs("logistic", 1000, 3, ridge=(-5, 0))
    points = gt.pair.stationary_points(pair)
    seen = set()
    for index in range(3):
        hessian = np.asarray(
            pair.objective().hessian(points.weights[:, index]) / pair.ridge[:, None, None]
        )
        there = np.asarray(points.kind[:, index]) >= 0
        if not np.any(there):
            continue
        eigenvalues = np.linalg.eigvalsh(hessian[there])
        clear = np.min(np.abs(eigenvalues), -1) > 1e-6 * np.max(np.abs(eigenvalues), -1)
        expected = np.where(eigenvalues[:, 0] > 0, Kind.MINIMUM, Kind.SADDLE)
        np.testing.assert_array_equal(np.asarray(points.kind[there, index])[clear], expected[clear])
        np.testing.assert_allclose(
            np.linalg.det(hessian[there])[clear],
            np.asarray(points.determinant[there, index] / pair.ridge[there] ** 2)[clear],
            rtol=1e-7,
        )
        seen |= set(expected.tolist())
    assert seen == {Kind.MINIMUM, Kind.SADDLE}


@pytest.mark.parametrize("loss", ["exponential", pytest.param("logistic", marks=pytest.mark.slow)])
def test_closed_form_newton_and_continuation_agree(loss):
    pair = random_pairs(loss, 1000, 4)
    closed = gt.pair.descent_ascent(pair)
    followed = path.descent_ascent(pair.objective())
    safe = np.asarray(closed.exists) & np.asarray(followed.exists)
    hessian = (
        np.asarray(pair.objective().hessian(closed.weights)) / np.asarray(pair.ridge)[:, None, None]
    )
    curvature = np.abs(np.linalg.det(np.where(safe[:, None, None], hessian, np.eye(2))))
    regular = safe & (curvature > 1e-3)
    scale = np.linalg.norm(closed.weights, axis=-1)
    gap = np.linalg.norm(closed.weights - followed.weights, axis=-1) / scale
    assert np.sum(regular) > 400
    assert np.max(gap[regular]) < 1e-12
    # Existence may differ only within rounding of the fold.
    assert not np.any(np.asarray(followed.reason) == Reason.NOT_CONVERGED)
    disagree = np.asarray(closed.exists) != np.asarray(followed.exists)
    fold = np.asarray(gt.pair.folds(pair).critical_alpha)
    assert np.all(np.abs(np.asarray(pair.alpha) / fold - 1)[disagree] < 1e-9)
    for solve, exact in (
        (minimise.pretrain, gt.pair.pretrain),
        (minimise.retrain, gt.pair.retrain),
    ):
        solution, point = solve(pair.objective()), exact(pair)
        assert bool(np.all(solution.converged))
        np.testing.assert_array_less(
            np.linalg.norm(solution.weights - point.weights, axis=-1),
            1e-12 * np.linalg.norm(point.weights, axis=-1),
        )


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("side", [1 - 1e-6, 1 + 1e-6])
def test_next_to_a_fold(loss, side):
    """Within 1e-6 of the fold: existence is right, and the points are those of mpmath."""
    correlation = np.array([0.01, 0.3, 0.5, 0.9, 0.999])
    ridge = np.array([1e-3, 1e-3, 1e-3, 1e-3, 1e-5])
    base = make(correlation, ridge, loss=loss)
    alpha = in_blocks(gt.pair.folds, base).critical_alpha
    have = ~np.isnan(np.asarray(alpha))
    assert np.sum(have) >= (5 if loss == "exponential" else 3)
    pair = make(
        correlation,
        ridge,
        f_p=np.where(have, 8 * alpha * side, 1e-3),
        loss=loss,
        allow_unrealisable=True,
    )
    points, minimum = (
        in_blocks(gt.pair.stationary_points, pair),
        in_blocks(gt.pair.descent_ascent, pair),
    )
    np.testing.assert_array_equal(np.asarray(minimum.exists)[have], side < 1)
    assert np.all(
        np.asarray(minimum.reason)[have & ~np.asarray(minimum.exists)] == Reason.PAST_FOLD
    )
    for i in np.flatnonzero(have):
        if side > 1:
            continue
        with mpmath.workdps(40):
            k11, k12 = 1 + mpmath.mpf(correlation[i]) ** 2, 2 * mpmath.mpf(correlation[i])
            a, b = (mpmath.mpf(float(m[i])) / mpmath.mpf(ridge[i]) for m in pair.ascent_masses)
            phi = (
                (lambda m: mpmath.exp(-m))
                if loss == "exponential"
                else (lambda m: 1 / (1 + mpmath.exp(m)))
            )

            def equations(x, y, k11=k11, k12=k12, a=a, b=b, phi=phi):
                return (
                    x - a * k11 * phi(x) + b * k12 * phi(y),
                    y - a * k12 * phi(x) + b * k11 * phi(y),
                )

            exact = mpmath.findroot(equations, (float(points.x[i, 0]), float(points.y[i, 0])))
        # At relative distance 1e-6 of the fold the answer is 1e3 times as sensitive as the data.
        np.testing.assert_allclose(
            [float(points.x[i, 0]), float(points.y[i, 0])],
            [float(v) for v in exact],
            rtol=3e-9,
            atol=1e-10,
        )
        assert list(np.asarray(points.kind[i, :2])) == [Kind.MINIMUM, Kind.SADDLE]


def test_limits_of_no_correlation_and_nothing_forgotten():
    apart = make(0.0, f_p=1.0)
    solution = in_blocks(gt.pair.descent_ascent, apart)
    np.testing.assert_allclose(
        in_blocks(gt.pair.retrain, apart).x,
        gt.coordinate.stationary_points(0.1, ridge=0.1).minimum,
        rtol=1e-14,
    )
    # y is a coordinate of its own with mass -1/20, beyond its fold at -0.1/e: none.
    assert not bool(solution.exists)
    gentle = in_blocks(gt.pair.descent_ascent, make(0.0, f_p=0.5))
    np.testing.assert_allclose(
        gentle.y, gt.coordinate.stationary_points(-0.025, ridge=0.1).minimum, rtol=1e-13
    )
    nothing = make(0.5, f_p=0.0)
    for solve in (gt.pair.descent_ascent, gt.pair.retrain):
        np.testing.assert_allclose(in_blocks(solve, nothing).x, 0.651547905441852, rtol=1e-12)
    points = in_blocks(gt.pair.stationary_points, nothing)
    assert points.kind.tolist() == [Kind.MINIMUM, Kind.NONE]
    trained = in_blocks(gt.pair.pretrain, nothing)
    oracle = in_blocks(gt.pair.retrain, make(0.5, r=100))
    np.testing.assert_allclose(trained.x, oracle.x, rtol=1e-14)


@pytest.mark.parametrize("loss", ["exponential", pytest.param("logistic", marks=pytest.mark.slow)])
def test_windows_against_brent(loss):
    """Each edge again, by SciPy's Brent on solutions found by SciPy's own root finder."""
    for correlation, ridge in ((0.5, 0.02), (0.3, 0.3), (0.8, 0.01)):
        windows = in_blocks(gt.pair.ordering_windows, make(correlation, ridge, loss=loss))

        def margins(alpha, correlation=correlation, ridge=ridge):
            pair = make(correlation, ridge, f_p=8 * alpha, loss=loss, allow_unrealisable=True)
            return gt.pair.pretrain(pair), gt.pair.descent_ascent(pair), gt.pair.retrain(pair)

        for name in ("x", "y"):

            def excess(log_alpha, name=name, margins=margins):
                trained, _, oracle = margins(np.exp(log_alpha))
                return float(getattr(trained, name) - getattr(oracle, name))

            upper = float(getattr(windows, name + "_upper").alpha)
            crossing = scipy.optimize.brentq(
                excess, np.log(upper) - 3, np.log(upper) + 3, xtol=1e-14, rtol=1e-14
            )
            np.testing.assert_allclose(np.exp(crossing), upper, rtol=1e-11)
            lower = float(getattr(windows, name + "_lower").alpha)
            if np.isfinite(lower):
                for factor, sign in ((1 - 1e-6, -1), (1 + 1e-6, 1)):
                    trained, ascended, _ = margins(lower * factor)
                    assert np.sign(float(getattr(trained, name) - getattr(ascended, name))) == sign


def test_explicit_curves_pass_through_the_solutions():
    for loss in ("exponential", "logistic"):
        pair = random_pairs(loss, 200, 5, ridge=(-2, 1))
        ordinary = np.asarray(pair.correlation) > 0.05  # the curves divide by the correlation
        trained, ascended = (
            in_blocks(gt.pair.pretrain, pair),
            in_blocks(gt.pair.descent_ascent, pair),
        )
        curve = gt.pair.pretrain_curve(pair, trained.x)
        np.testing.assert_allclose(
            np.asarray(curve.alpha)[ordinary], np.asarray(pair.alpha)[ordinary], rtol=1e-7
        )
        curve = gt.pair.descent_ascent_curve(pair, ascended.x)
        there = ordinary & np.asarray(ascended.exists) & (np.asarray(pair.alpha) > 1e-2)
        np.testing.assert_allclose(
            np.asarray(curve.y)[there], np.asarray(ascended.y)[there], rtol=1e-7, atol=1e-9
        )
        np.testing.assert_allclose(
            np.asarray(curve.alpha)[there], np.asarray(pair.alpha)[there], rtol=1e-6
        )


@functools.cache
def lemma_pairs():
    return random_pairs("exponential", 2000, 6, ridge=(-3, 1))


def test_lemma_7_and_8_bounds_hold_and_are_nearly_reached():
    pair = lemma_pairs()
    trained, points = in_blocks(gt.pair.pretrain, pair), in_blocks(gt.pair.stationary_points, pair)
    slack = 1 + 1e-12
    reached = []
    for margin, bounds in zip((trained.x, trained.y), gt.pair.lemma_7_bounds(pair), strict=True):
        margin, lower, upper = (
            np.asarray(margin),
            np.asarray(bounds.lower),
            np.asarray(bounds.upper),
        )
        for tight in (lower, upper):
            reached.append(np.nanmin(np.abs(margin / tight - 1)))
        assert np.all((lower <= margin * slack) | np.isnan(lower))
        assert np.all((margin <= upper * slack) | np.isnan(upper))
    assert max(reached) < 0.01
    bounds = gt.pair.lemma_8_bounds(pair)
    for margin, bound in ((points.x, bounds.x), (points.y, bounds.y)):
        bound = np.asarray(bound)[:, None]
        assert np.all(
            (np.asarray(margin) <= bound + 1e-12 * (1 + np.abs(bound)))
            | np.isnan(np.asarray(margin))
        )


def test_sums_leave_no_window():
    pairs = make(np.linspace(0.1, 0.99, 20), np.logspace(-6, 1, 20), reduction="sum")
    windows = in_blocks(gt.pair.ordering_windows, pairs)
    fold = in_blocks(gt.pair.folds, pairs).critical_alpha
    assert not np.any(windows.exists)
    for edge in (windows.x_lower, windows.x_upper, windows.y_lower, windows.y_upper):
        assert np.all(edge.alpha == 0)
    pairs = pairs.replace(forget_in_pair=jnp.asarray(0.5 * fold * pairs.retain_in_pair))
    trained = in_blocks(gt.pair.pretrain, pairs)
    oracle = in_blocks(gt.pair.retrain, pairs)
    ascended = in_blocks(gt.pair.descent_ascent, pairs)
    for name in ("x", "y"):
        high, middle, low = (
            np.asarray(getattr(point, name)) for point in (trained, oracle, ascended)
        )
        assert np.all((high >= middle) & (middle >= low))
        assert np.mean(high > low) > 0.8


@pytest.mark.parametrize("kind", ["any", "any, sums", "k12 > k11", "k12 < 0"])
def test_lemmas_7_to_10_hold_for_any_types_or_are_nan(kind):
    counts = {
        name: getattr(lemma_pairs(), name)
        for name in ("ridge", "retain_size", "forget_size", "retain_in_pair", "forget_in_pair")
    }
    random = np.random.default_rng(7)
    longer, share = 10 ** random.uniform(0.1, 1.5, 2000), random.uniform(0.02, 0.98, 2000)
    cross = {
        "k12 > k11": 1 + share * 0.98 * (np.sqrt(longer) - 1),
        "k12 < 0": -share * np.sqrt(longer),
    }.get(kind, share)
    pair = gt.CorrelatedPair(
        gram=(1.0, cross, longer), reduction="sum" if "sums" in kind else "mean", **counts
    )
    trained = in_blocks(gt.pair.pretrain, pair)
    oracle = in_blocks(gt.pair.retrain, pair)
    ascended = in_blocks(gt.pair.descent_ascent, pair)
    alpha = np.asarray(pair.alpha)

    def at_most(smaller, larger):
        return np.asarray(smaller) <= np.asarray(larger) + 1e-12 * (1 + np.abs(larger))

    seventh, eighth, ninth, tenth = (
        getattr(gt.pair, name)(pair)
        for name in ("lemma_7_bounds", "lemma_8_bounds", "lemma_9_edges", "lemma_10_edges")
    )
    for name, bounds in zip("xy", seventh, strict=True):
        assert np.all(at_most(bounds.lower, getattr(trained, name)) | np.isnan(bounds.lower))
        assert np.all(at_most(getattr(trained, name), bounds.upper) | np.isnan(bounds.upper))
        assert np.all(np.isnan(bounds.lower) & np.isnan(bounds.upper)) == (kind == "k12 < 0")
        bound, low = getattr(eighth, name), getattr(trained, name)
        assert np.all(
            at_most(getattr(ascended, name), bound)
            | np.isnan(getattr(ascended, name))
            | np.isnan(bound)
        )
        assert (
            np.all(np.isnan(bound)) == np.all(np.isnan(getattr(ninth, name))) == ("any" not in kind)
        )
        beyond = ascended.exists & (alpha >= getattr(ninth, name))
        assert np.all(at_most(getattr(ascended, name), low)[beyond])
        before = alpha <= (
            tenth.x if name == "x" else np.minimum(tenth.y, gt.pair.order_limit(pair))
        )
        assert np.all(at_most(low, getattr(oracle, name))[before])
        assert np.any(beyond) == ("any" in kind)


def test_lemmas_9_and_10_are_sufficient_and_10_fails_beyond_alpha_1():
    pair = lemma_pairs()
    window, exact = gt.pair.sufficient_window(pair), in_blocks(gt.pair.ordering_windows, pair)
    some = np.asarray(window.exists)
    assert np.sum(some) > 20
    assert np.all(
        np.asarray(window.upper)[some]
        <= np.asarray(jnp.minimum(exact.x_upper.alpha, exact.y_upper.alpha))[some] * (1 + 1e-10)
    )
    edges = gt.pair.lemma_9_edges(pair)
    for name in ("x", "y"):
        exact_edge, edge = (
            np.asarray(getattr(exact, name + "_lower").alpha),
            np.asarray(getattr(edges, name)),
        )
        known = ~np.isnan(exact_edge) & (edge <= 1)
        assert np.sum(known) > 50
        assert np.all(exact_edge[known] <= edge[known] * (1 + 1e-10))
    # The theory's counterexample to Lemma 10's y part without alpha <= 1.
    counter = make(0.455356, 0.00106846, r=7.09182, f=123.107, r_p=6.94339)
    np.testing.assert_allclose(gt.pair.lemma_10_edges(counter).y, 2.980, atol=5e-4)
    windows = in_blocks(gt.pair.ordering_windows, counter)
    np.testing.assert_allclose(windows.y_upper.alpha, 2.677, atol=5e-4)


def test_bounds_and_edges_are_the_lemmas_own_numbers():
    """Lemmas 7 to 10 as the paper writes them, with SciPy's Lambert W: a bound that is merely valid
    could still be the wrong one.
    """
    e, ridge, r, f, r_p, alpha = 0.3, 0.05, 80.0, 20.0, 8.0, 0.15
    s, n, a, retained, forgotten = 1 + e**2, r + f, r_p / (r + f), r_p / r, alpha * r_p / f
    pair = make(e, ridge, r, f, r_p, alpha * r_p)

    def w(z):
        return scipy.special.lambertw(z / ridge).real

    x, y = gt.pair.lemma_7_bounds(pair)
    expected = [
        w((s + 2 * alpha * e) * a),
        w(s * a) + 2 * e / s * w(alpha * s * a),
        w(alpha * s * a),
        w((2 * e + alpha * s) * a),
    ]
    np.testing.assert_allclose([*x, *y], expected, rtol=1e-13)
    expected = [w(s * retained - 2 * e * forgotten), w(2 * e * retained - s * forgotten)]
    np.testing.assert_allclose(gt.pair.lemma_8_bounds(pair), expected, rtol=1e-12)
    expected = [s / (2 * e) * f**2 / (r * (n + f)), 2 * e / s * f * n / (r * (n + f))]
    np.testing.assert_allclose(gt.pair.lemma_9_edges(pair), expected, rtol=1e-14)
    q = s / (2 * e) * (w(s * retained) - w(s * a))
    x_oracle = w(s * retained)
    expected = [
        q * np.exp(q) * ridge / (s * a),
        2 * e / s * (n / r * np.exp((2 * e / s - 1) * x_oracle) - 1),
    ]
    np.testing.assert_allclose(gt.pair.lemma_10_edges(pair), expected, rtol=1e-12)


def test_fold_locus_is_the_fold():
    pair = make(np.array([0.1, 0.5, 0.9]), np.array([1e-3, 0.1, 10.0]))
    found = in_blocks(gt.pair.folds, pair)
    share = 8 / 80
    descent = share / pair.ridge * jnp.exp(-found.x[:, 0])
    locus = gt.pair.fold_locus(descent, correlation=pair.correlation)
    np.testing.assert_allclose(locus.retain_ratio, share / pair.ridge, rtol=1e-12)
    np.testing.assert_allclose(
        20 / 8 * locus.forget_ratio * pair.ridge, found.alpha[:, 0], rtol=1e-12
    )


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_slowing_down_below_the_fold(loss):
    """The smallest eigenvalue of the Hessian is 2 ridge kappa sqrt(delta), up to a relative error
    of order sqrt(delta).
    """
    base = make(0.5, 1e-3, loss=loss)
    alpha = in_blocks(gt.pair.folds, base).critical_alpha
    ratios = []
    for delta in (1e-4, 1e-6):
        pair = make(0.5, 1e-3, f_p=8 * alpha * (1 - delta), loss=loss)
        hessian = pair.objective().hessian(in_blocks(gt.pair.descent_ascent, pair).weights)
        ratios.append(
            float(jnp.linalg.eigvalsh(hessian)[0] / gt.pair.fold_rates(base, delta).slowest_rate)
        )
    assert abs(ratios[0] - 1) < 0.05
    assert abs(ratios[1] - 1) < 0.2 * abs(ratios[0] - 1)
    rates = gt.pair.fold_rates(base, 1e-4)
    np.testing.assert_allclose(rates.escape_time * rates.slowest_rate, 2 * np.pi, rtol=1e-14)


def test_regimes():
    exponential = make(0.5, 0.01, f_p=8 * np.array([1e-4, 0.05, 0.07]))
    found = in_blocks(gt.pair.regime, exponential)
    assert list(found.code) == [0, 1, 2]
    assert list(found.ordered) == [False, True, False]
    assert set(gt.pair.REGIME_SENTENCES) == set(gt.pair.RegimeCode)


@pytest.mark.slow
def test_regimes_with_two_folds():
    logistic = make(0.5, 0.001, f_p=8 * np.array([0.029, 0.031]), loss="logistic")
    assert list(in_blocks(gt.pair.regime, logistic).code) == [1, 3]


def test_regimes_where_the_distances_squared_underflow():
    counts = np.array([0.0, 1.0, 20.0])
    found = in_blocks(gt.pair.regime, make(0.5, 1e300, f_p=counts))
    # So far below the ridge phi is 1 everywhere: the weights are the masses times u = (1, 1/2) and
    # v = (1/2, 1), over the ridge.
    u, v = np.array([[1, 0.5], [0.5, 1]])
    oracle, forgotten = 8 / 80 * u, counts[:, None] * v
    for distance, weights in [
        (found.pretrain_distance, (8 * u + forgotten) / 100),
        (found.descent_ascent_distance, oracle - forgotten / 20),
    ]:
        np.testing.assert_allclose(
            distance * 1e300, np.linalg.norm(weights - oracle, axis=-1), rtol=1e-12
        )
    assert list(np.asarray(found.code)) == [0, 1, 1]


def test_windows_and_folds_ignore_how_many_are_forgotten():
    few, many = make(f_p=0.0), make(f_p=20.0)
    for function in (gt.pair.folds, gt.pair.ordering_windows, gt.pair.sufficient_window):
        jax.tree.map(
            np.testing.assert_array_equal, in_blocks(function, few), in_blocks(function, many)
        )


def answers_at(loss, correlation, ridge, forgotten):
    pair = make(correlation, ridge, f_p=forgotten, loss=loss, allow_unrealisable=True)
    return jnp.stack(
        [
            gt.pair.pretrain(pair).x,
            gt.pair.retrain(pair).y,
            gt.pair.descent_ascent(pair).y,
            gt.pair.folds(pair).critical_alpha,
        ]
    )


@pytest.mark.parametrize("loss", ["exponential", pytest.param("logistic", marks=pytest.mark.slow)])
def test_derivatives_are_implicit_and_right(loss):
    answers = functools.partial(answers_at, loss)
    at = (0.5, 0.002, 0.1)

    def twice(*at):
        found = answers(*at)
        return found, found

    # Values and derivatives from one compilation.
    both = jax.jit(jax.jacfwd(twice, (0, 1, 2), has_aux=True))

    def forward(*at):
        return both(*at)[0]

    def value(*at):
        return both(*at)[1]

    slopes = forward(*at)
    for index in range(3):
        step = 1e-5 * at[index]
        moved = [
            tuple(value + sign * step * (i == index) for i, value in enumerate(at))
            for sign in (1, -1)
        ]
        difference = (value(*moved[0]) - value(*moved[1])) / (2 * step)
        # Central differences: 1e-10 of truncation and 1e-11 of rounding, relative to the values.
        np.testing.assert_allclose(slopes[index], difference, rtol=1e-6, atol=1e-7)
    # Where nothing is forgotten the derivative exists too: a one-sided difference, good to the
    # step.
    start = forward(0.5, 0.002, 0.0)[2]
    np.testing.assert_allclose(
        start[2], (value(0.5, 0.002, 1e-7) - value(0.5, 0.002, 0.0))[2] / 1e-7, rtol=1e-4
    )
    if loss == "exponential":
        # Past the fold there is none.
        assert np.isnan(forward(0.5, 0.002, 19.0)[1][2])


@pytest.mark.slow
def test_reverse_mode_and_second_derivatives_agree_with_forward_mode():
    answers, at = functools.partial(answers_at, "exponential"), (0.5, 0.002, 0.1)
    forward = jax.jit(jax.jacfwd(answers, 1))
    np.testing.assert_allclose(jax.jit(jax.jacrev(answers, 1))(*at), forward(*at), rtol=1e-11)
    second = jax.jit(jax.jacfwd(jax.jacfwd(answers, 1), 1))(*at)
    change = [forward(at[0], at[1] + sign * 1e-8, at[2]) for sign in (1, -1)]
    np.testing.assert_allclose(second, (change[0] - change[1]) / 2e-8, rtol=1e-4, atol=1e-3)


def test_jit_vmap_and_batches_agree():
    pair = random_pairs("exponential", 20, 7)
    whole = in_blocks(gt.pair.stationary_points, pair)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13),
        jax.jit(jax.vmap(gt.pair.stationary_points))(pair),
        whole,
    )
    grid = make(np.array([[0.1], [0.5]]), np.array([0.1, 0.2, 0.3]))
    assert gt.pair.descent_ascent(grid).weights.shape == (2, 3, 2)
    assert gt.pair.descent_ascent(make(), strength=np.array([0.1, 0.2])).x.shape == (2,)
    # Ascent at a strength is ascent on that many times the samples.
    np.testing.assert_allclose(
        gt.pair.descent_ascent(make(f_p=0.8), strength=0.5).x,
        gt.pair.descent_ascent(make(f_p=0.4)).x,
        rtol=1e-14,
    )


def test_traced_pairs_that_no_data_have_give_nan_instead_of_raising():
    fields = {
        "correlation": 0.5,
        "ridge": 0.1,
        "retain_size": 80.0,
        "forget_size": 20.0,
        "retain_in_pair": 8.0,
        "forget_in_pair": 1.0,
    }
    solve = jax.jit(lambda values: gt.pair.retrain(gt.CorrelatedPair(**values)))
    assert solve(fields).exists
    wrong = [
        ("correlation", 1.5),
        ("correlation", -0.2),
        ("ridge", -1.0),
        ("retain_size", np.inf),
        ("retain_in_pair", 81.0),
    ]
    for name, value in [
        *wrong,
        ("forget_size", 0.0),
        ("forget_in_pair", -1.0),
        ("forget_in_pair", 21.0),
    ]:
        found = solve(fields | {name: value})
        assert np.all(np.isnan([found.x, found.y, *found.weights])), name
        assert not found.exists


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("side", [curve.PRETRAIN, curve.ASCENT])
def test_the_curves_slope_and_steepening_are_its_derivatives(loss, side):
    """By automatic differentiation, for unequal types too: Halley's steps would hide a wrong one,
    and only be slower.
    """
    first, second, cosine = (
        np.random.default_rng(9).uniform((0.3, 0.3, -0.9), (2, 2, 0.9), (50, 3)).T
    )
    cross = np.minimum(cosine * np.sqrt(first * second), second)
    pair = gt.CorrelatedPair(
        gram=(first, cross, second),
        ridge=0.1,
        retain_size=80,
        forget_size=20,
        retain_in_pair=30,
        loss=loss,
    )
    log_mass = curve.log_retain_mass(pair.gram, pair.ascent_masses[0], pair.ridge)
    q = jnp.linspace(-3.0, 2.0, 50)

    def heights(at):
        point = curve.point_at(pair.loss, pair.gram, log_mass, at, side)
        return point.level, jnp.log(point.bend)

    point = curve.point_at(pair.loss, pair.gram, log_mass, q, side)
    slope, steepening = jax.jvp(heights, (q,), (jnp.ones_like(q),))[1]
    # The slope is a difference of terms of the size of the bend, at most about 10 here.
    np.testing.assert_allclose(
        [1 + side * point.bend, point.steepening], [slope, steepening], rtol=1e-12, atol=1e-13
    )


def test_roots_are_bracketed_and_nan_stays():
    """Halley's steps overshoot where the function is flat, and must not leave the bracket; a start
    of NaN is no search at all.
    """

    def jet(x):
        slope = 1 / (1 + (x - 1) ** 2)
        return roots.Jet(jnp.arctan(x - 1), slope, -2 * (x - 1) * slope**2, noise=1.0)

    start = jnp.array([-40.0, 1.0, 49.0, jnp.nan])
    found = roots.bracketed_jet(jet, jnp.full(4, -50.0), jnp.full(4, 50.0), start)
    np.testing.assert_allclose(found, [1, 1, 1, np.nan], rtol=4 * EPS)


def test_a_large_batch_is_shared_by_the_cores(monkeypatch):
    """In blocks and threads: the points of small batches, of the same shape and dtype."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    many = jax.tree.map(
        lambda leaf: leaf.reshape(17, 241, *leaf.shape[1:]), random_pairs("exponential", 4097, 8)
    )
    with jax.enable_x64(False):
        single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), many)
        assert {leaf.dtype for leaf in gt.pair.stationary_points(single)[:3]} == {
            np.dtype(np.float32)
        }
    blocks, whole = gt.pair.stationary_points(many), in_blocks(gt.pair.stationary_points, many)
    assert blocks.weights.shape == (17, 241, 2, 2)
    for ours, expected in zip(blocks, whole, strict=True):
        # No pair depends on its neighbours; only the compiled code may differ, by a few roundings
        # of the terms that cancel.
        np.testing.assert_allclose(
            ours, expected, rtol=1e-11, atol=1e-13 * np.nanmax(np.abs(expected))
        )


@pytest.mark.parametrize("loss", ["exponential", pytest.param("logistic", marks=pytest.mark.slow)])
def test_any_gram_matrix(loss):
    """Closed form for two arbitrary types, one anticorrelated pair among them, against the solver
    on the rows themselves.
    """
    for rows in ([[1.0, 0.3], [-0.8, 2.0]], [[0.7, 0.1], [0.3, 1.5]]):
        types = np.array(rows)
        gram = types @ types.T
        pair = gt.CorrelatedPair(
            gram=(gram[0, 0], gram[0, 1], gram[1, 1]),
            ridge=0.05,
            retain_size=80,
            forget_size=20,
            retain_in_pair=30,
            forget_in_pair=0.1,
            loss=loss,
        )
        objective = pair.objective()
        np.testing.assert_allclose(objective.types @ objective.types.T, gram, rtol=1e-14)
        rotated = gt.Objective(
            jnp.asarray(types),
            objective.retain_weight,
            objective.forget_weight,
            objective.ridge,
            objective.size_ratio,
            pair.loss,
            "mean",
        )
        for solve, exact in (
            (minimise.retrain, gt.pair.retrain),
            (minimise.pretrain, gt.pair.pretrain),
            (path.descent_ascent, gt.pair.descent_ascent),
        ):
            point = exact(pair)
            margins = types @ np.asarray(solve(rotated).weights)
            np.testing.assert_allclose(
                [float(point.x), float(point.y)], margins, rtol=1e-11, atol=1e-12
            )


@pytest.mark.slow
def test_a_loss_of_your_own():
    """A user's copy of the logistic loss goes the general way (Newton's method, automatic
    derivatives) to the same answers.
    """
    mine = gt.margin_loss("mine", lambda m: jnp.logaddexp(-m, 0.0), slope_at_minus_infinity=1.0)
    ours, theirs = make(0.5, 0.001, f_p=0.2, loss="logistic"), make(0.5, 0.001, f_p=0.2, loss=mine)
    a, b = in_blocks(gt.pair.stationary_points, ours), gt.pair.stationary_points(theirs)
    # Automatic differentiation of log1p(exp) and log of it costs some digits.
    np.testing.assert_allclose(a.x, b.x, rtol=1e-10)
    np.testing.assert_array_equal(a.kind, b.kind)


def test_a_steeper_exponential():
    """A loss of your own again, against another pair with the library's loss."""
    steep = gt.margin_loss("steep", lambda m: jnp.exp(-2 * m))
    # exp(-2m) with types u, v is exp(-m) with types 2u, 2v: weights scale.
    doubled = gt.CorrelatedPair(
        gram=(5.0, 4.0, 5.0),
        ridge=0.1,
        retain_size=80,
        forget_size=20,
        retain_in_pair=8,
        forget_in_pair=0.4,
    )
    np.testing.assert_allclose(
        2 * gt.pair.descent_ascent(make(f_p=0.4, loss=steep)).x,
        in_blocks(gt.pair.descent_ascent, doubled).x,
        rtol=1e-10,
    )


def test_float32_works_and_says_what_it_cannot():
    with jax.enable_x64(False):
        pair = make(np.float32(0.5), np.float32(0.1), f_p=np.float32(1.0))
        point = gt.pair.descent_ascent(pair)
        assert point.x.dtype == jnp.float32
        reached = float(point.x)
        alpha = float(gt.pair.folds(pair).alpha[0])
        with pytest.raises(
            ValueError, match=r"ridge must be finite and > 0, got 0 in float32.*enable float64"
        ):
            make(0.5, 1e-300)
    np.testing.assert_allclose(reached, float(gt.pair.descent_ascent(make()).x), rtol=2e-5)
    np.testing.assert_allclose(alpha, 0.178062078871913, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(correlation=1.0), r"correlation must be in \[0, 1\), got 1"),
        (dict(correlation=-0.1), r"correlation must be in \[0, 1\), got -0.1"),
        (dict(correlation=np.nan), "correlation must be in"),
        (dict(ridge=0.0), "ridge must be finite and > 0, got 0"),
        (dict(ridge=[0.1, -1.0]), r"ridge must be finite and > 0, got -1 at index \(1,\)"),
        (dict(r_p=81), "retain_in_pair must be <= retain_size = 80, got 81"),
        (dict(f_p=-1), "forget_in_pair must be finite and >= 0, got -1"),
        (
            dict(f_p=21),
            "forget_in_pair must be <= forget_size = 20, got 21 .*allow_unrealisable=True",
        ),
        (dict(loss="hinge"), "loss must be one of 'exponential', 'logistic'"),
        (dict(reduction="median"), "reduction must be one of 'mean', 'sum', got 'median'"),
        (dict(gram=(1, 0, 1)), "either correlation or gram"),
        (dict(correlation=None, gram=(1, 1, 1)), "determinant .* must be finite and > 0"),
        (
            dict(correlation=None, gram=(100, 10, 1.01)),
            "gram k12 must be <= gram k22 = 1.01, got 10",
        ),
        (dict(correlation=None, gram=(1, 2)), r"gram must be \(k11, k12, k22\)"),
        (dict(ridge=[0.1, 0.2], r_p=[1, 2, 3]), "must broadcast to one shape"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_replace_broadcasts_and_validates_like_the_constructor():
    counts = {"retain_size": 80, "forget_size": 20, "retain_in_pair": 8}
    pair = gt.CorrelatedPair(0.5, ridge=0.1, forget_in_pair=1, **counts)
    wide = pair.replace(ridge=[0.1, 0.2], forget_in_pair=0.5)
    anew = gt.CorrelatedPair(0.5, ridge=[0.1, 0.2], forget_in_pair=0.5, **counts)
    assert jax.tree.structure(wide) == jax.tree.structure(anew)
    jax.tree.map(np.testing.assert_array_equal, wide, anew)
    other = pair.replace(correlation=0.9, loss="logistic", reduction="sum")
    assert other.correlation == 0.9
    assert (other.loss, other.reduction) == (
        gt.CorrelatedPair(0.9, ridge=0.1, loss="logistic", **counts).loss,
        "sum",
    )
    assert pair.replace(gram=(1.0, 0.2, 1.0)).gram.cross == 0.2
    assert pair.replace(forget_in_pair=21, allow_unrealisable=True).forget_in_pair == 21
    for changes, error, message in [
        (dict(ridge=-1), ValueError, "ridge must be finite and > 0, got -1"),
        (dict(forget_in_pair=21), ValueError, "forget_in_pair must be <= forget_size = 20, got 21"),
        (dict(correlation=1), ValueError, "correlation must be in"),
        (dict(retain_size="many"), TypeError, "retain_size must be a real number"),
        (dict(epsilon=0.1), TypeError, "unexpected keyword argument 'epsilon'"),
    ]:
        with pytest.raises(error, match=message):
            pair.replace(**changes)


@pytest.mark.parametrize(
    "function",
    [
        gt.pair.pretrain,
        gt.pair.retrain,
        gt.pair.descent_ascent,
        gt.pair.stationary_points,
        gt.pair.folds,
        gt.pair.ordering_windows,
        gt.pair.order_limit,
        gt.pair.lemma_7_bounds,
        gt.pair.lemma_8_bounds,
        gt.pair.lemma_9_edges,
        gt.pair.lemma_10_edges,
        gt.pair.sufficient_window,
        gt.pair.regime,
        lambda pair: gt.pair.fold_rates(pair, 0.1),
        lambda pair: gt.pair.pretrain_curve(pair, 1.0),
        lambda pair: gt.pair.descent_ascent_curve(pair, 1.0),
    ],
)
def test_another_type_than_a_pair_is_named(function):
    coordinate = gt.coordinate.Coordinate(
        ridge=0.1, retain_size=80, forget_size=20, retain_in_coordinate=8
    )
    for wrong, name in [(coordinate, "Coordinate"), (None, "NoneType"), (0.5, "float")]:
        message = "pair must be a CorrelatedPair, got "
        # Inside jit a plain number has become a traced array.
        with pytest.raises(TypeError, match=message + f"({name}|.*Tracer)"):
            function(wrong)


def test_a_traced_gram_that_breaks_a_rule_gives_nan():
    @jax.jit
    def answers(gram):
        pair = gt.CorrelatedPair(
            gram=gram, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=1
        )
        return gt.pair.descent_ascent(pair), gt.pair.regime(pair)

    found, regime = answers((1.25, 1.0, 1.25))
    assert found.exists
    assert regime.code == in_blocks(gt.pair.regime, make(0.5, f_p=1.0)).code
    # Not positive definite; k12 > k22; k11 <= 0; not finite.
    for wrong in [(1.0, 1.0, 1.0), (4.0, 1.5, 1.0), (-1.0, 0.5, -2.0), (np.inf, 0.5, 1.0)]:
        found, regime = answers(wrong)
        assert np.all(np.isnan([found.x, found.y, *found.weights, regime.fold_alpha])), wrong
        assert not found.exists
        assert found.reason == Reason.NOT_CONVERGED
        assert regime.code == gt.pair.RegimeCode.UNKNOWN
        assert np.isnan(regime.pretrain_distance)


def test_bad_types_and_strengths():
    with pytest.raises(TypeError, match="ridge must be a real number"):
        make(ridge="much")
    with pytest.raises(TypeError, match="correlation must be a real number"):
        make(correlation=True)
    with pytest.raises(ValueError, match="strength must be finite and >= 0, got -1"):
        gt.pair.descent_ascent(make(), strength=-1)
    with pytest.raises(ValueError, match="bounded phi"):
        gt.pair.cusp(0.5, loss="exponential")
    assert bool(gt.pair.descent_ascent(make(f_p=0.5, allow_unrealisable=True)).exists)
