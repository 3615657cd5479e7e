"""The special functions against enclosures by Arb, mpmath and SciPy, in float64 and float32."""

import flint
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import accuracy
from benchmarks import special as speed
from theory_common.numerics import special

FOLD = -0.36787944117144233  # the float nearest to -1/e; it lies 1.2e-17 below
POINTS = 1024  # one shape for all: each new one compiles anew
LIMIT = 700.0


def ball(x) -> flint.arb:
    return flint.arb(float(x))


def r_in_logs(t, u, v):
    """``ln t + ln(exp(t) + exp(v)) - u`` with the larger exponential drawn out.

    NaN, which proves nothing, for a negative ``t``.
    """
    larger, smaller = (t, v) if t > v else (v, t)
    return t.log() + larger + (1 + (smaller - larger).exp()).log() - u


# Increasing in the root, or decreasing throughout: exact equations of what each function returns.
EQUATIONS = {
    "lambertw": lambda w, z: w * w.exp() - z,
    "plus_one": lambda t, z: (t - 1) * (t - 1).exp() - z,
    "logs": lambda w, u: w + abs(w).log() - u,
    "gap": lambda t, gap: -t - (1 - t).log() - gap,
    "r": lambda w, z, r: w * w.exp() + r * w - z,
    "r logs": r_in_logs,
}


def misses(name: str, roots, *arguments, ulps: int = 4) -> list:
    """Arguments where no change of sign is proved between ``root - ulps`` and ``root + ulps``."""
    equation, found = EQUATIONS[name], []
    for root, *point in zip(np.asarray(roots), *map(np.asarray, arguments), strict=True):
        width = ulps * np.spacing(np.abs(root)).astype(np.float64)
        exact = [ball(number) for number in point]
        ends = [equation(ball(root) + side * ball(width), *exact) for side in (-1, 1)]
        if not (ends[0] * ends[1] < 0):
            found.append((float(root), *map(float, point)))
    return found


@pytest.fixture(autouse=True)
def _many_bits():
    """Enough for ``w exp(w) - z`` at a w of 1e-300 next to 1."""
    with flint.ctx.workprec(2200):
        yield


def generator(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def negative_arguments() -> np.ndarray:
    return accuracy.fold_and_beyond(generator(), POINTS)[0]


# --- float64, rigorously --------------------------------------------------------------------------


@pytest.mark.parametrize("branch", [0, -1])
def test_lambertw_and_its_distance_from_the_fold_change_sign_within_4_ulp(branch):
    z = negative_arguments()
    assert np.all(z > FOLD)
    w, t = np.asarray(special.lambertw(z, branch)), np.asarray(special.lambertw_plus_one(z, branch))
    assert not misses("lambertw", w, z)
    assert not misses("plus_one", t, z)
    assert np.all(w >= -1 if branch == 0 else w <= -1)
    assert np.all(t > 0 if branch == 0 else t < 0)


def test_lambertw_of_positive_numbers_changes_sign_within_4_ulp():
    z = np.exp(np.linspace(-LIMIT, 709, POINTS))
    assert not misses("lambertw", special.lambertw(z), z)


def test_wright_omega_changes_sign_within_4_ulp():
    u = np.concatenate(
        [
            np.linspace(-LIMIT, LIMIT, POINTS // 2),
            np.linspace(-4, 4, POINTS // 4),
            np.exp(np.linspace(2, LIMIT, POINTS // 4)),
        ]
    )
    assert not misses("logs", special.wright_omega(u), u)


@pytest.mark.parametrize(("sign", "branch"), [(1, 0), (-1, 0), (-1, -1)])
def test_lambertw_exp_changes_sign_within_4_ulp(sign, branch):
    bottom = -LIMIT if branch == 0 else -1e5
    u = (
        np.linspace(bottom, 1e5, POINTS)
        if sign > 0
        else -1 - np.geomspace(1e-13, -1 - bottom, POINTS)
    )
    assert not misses("logs", special.lambertw_exp(u, np.full(POINTS, float(sign)), branch), u)


@pytest.mark.parametrize("branch", [0, -1])
def test_the_distance_from_the_fold_in_terms_of_the_gap_changes_sign_within_4_ulp(branch):
    gap = np.geomspace(1e-150, 30 if branch == 0 else 1e5, POINTS)
    assert not misses("gap", special.lambertw_plus_one_from_gap(gap, branch), gap)
    assert np.allclose(
        special.lambertw_from_gap(gap, branch),
        special.lambertw_exp(-1 - gap, -1.0, branch),
        rtol=3e-16 + 1e-7 * (gap < 1),
    )


@pytest.mark.parametrize("which", ["one", "moderate", "triple"])
def test_r_lambertw_changes_sign_within_4_ulp(which):
    source, half = generator(), POINTS // 2
    z, r = {
        "one": lambda: (
            np.concatenate([-np.geomspace(1e-300, 1e300, half), np.geomspace(1e-300, 1e300, half)]),
            np.ones(POINTS),
        ),
        "moderate": lambda: (
            source.choice([-1, 1], POINTS) * np.exp(source.uniform(-6, 6, POINTS)),
            np.exp(source.uniform(-1.99, 6, POINTS)),
        ),
        "triple": lambda: accuracy.triple(source, POINTS),
    }[which]()
    assert not misses("r", special.r_lambertw(z, r), z, r)


def test_r_lambertw_at_the_lowest_r_itself():
    z = (
        -4
        * np.exp(-2.0)
        * (
            1
            + np.concatenate(
                [
                    [0],
                    np.geomspace(1e-16, 0.5, POINTS // 2),
                    -np.geomspace(1e-16, 0.5, POINTS // 2 - 1),
                ]
            )
        )
    )
    assert not misses("r", special.r_lambertw(z, np.exp(-2.0)), z, np.full(POINTS, np.exp(-2.0)))


@pytest.mark.parametrize("which", ["wide", "middle", "passing"])
def test_r_lambertw_exp_changes_sign_within_4_ulp(which):
    source = generator()
    u, v = {
        "wide": lambda: (source.uniform(-300, 1e4, POINTS), source.uniform(-1e4, 300, POINTS)),
        "middle": lambda: source.uniform(-6, 6, (2, POINTS)),
        "passing": lambda: accuracy.passing(source, POINTS),
    }[which]()
    assert not misses("r logs", special.r_lambertw_exp(u, v), u, v)


MUTATIONS = {
    "8 ulp": lambda w: w + 8 * np.spacing(w),
    "-8 ulp": lambda w: w - 8 * np.spacing(w),
    "negated": lambda w: -w,
    "doubled": lambda w: 2 * w,
}


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS)
def test_the_sign_change_can_fail(mutate):
    z = np.geomspace(0.1, 100, 16)
    u, v = np.log(z), np.full(16, -1.0)
    roots = {
        "lambertw": (special.lambertw(z), z),
        "logs": (special.wright_omega(u), u),
        "r": (special.r_lambertw(z, np.ones(16)), z, np.ones(16)),
        "r logs": (special.r_lambertw_exp(u, v), u, v),
    }
    for name, (root, *arguments) in roots.items():
        assert not misses(name, root, *arguments)
        assert len(misses(name, mutate(np.asarray(root)), *arguments)) == 16, name


# --- against other programs -----------------------------------------------------------------------


@pytest.mark.parametrize("branch", [0, -1])
def test_lambertw_against_mpmath(branch):
    some = slice(None, None, 8)
    arguments = [negative_arguments()]
    if branch == 0:
        arguments.append(np.exp(np.linspace(-LIMIT, 709, POINTS)))
    for z in arguments:
        w = np.asarray(special.lambertw(z, branch))[some]
        t = np.asarray(special.lambertw_plus_one(z, branch))[some]
        with mpmath.workprec(1200):
            exact = [mpmath.lambertw(mpmath.mpf(float(x)), branch).real for x in z[some]]
            assert accuracy.ulps(w, exact, np.float64).max() <= 4
            assert accuracy.ulps(t, [1 + w for w in exact], np.float64).max() <= 4


@pytest.mark.parametrize(
    "dtype",
    [np.float64, pytest.param(np.float32, marks=pytest.mark.slow)],
    ids=["float64", "float32"],
)
def test_every_row_of_the_published_table_holds_on_other_arguments(dtype):
    for case in accuracy.cases(dtype):
        found = accuracy.errors(case, dtype, generator(seed=7), 64)
        assert found.ours.max() <= case.allowed, case.name + " on " + case.domain


def test_lambertw_is_nearer_than_scipy_where_scipy_is_far_off():
    for case in accuracy.lambert_cases(np.float64):
        if case.scipy and case.name.startswith("lambertw,"):
            found = accuracy.errors(case, np.float64, generator(seed=7), POINTS)
            if case.domain == "z > 0":  # where SciPy's, too, is little worse than rounding
                assert max(found.ours.max(), found.scipy.max()) < 1.5
            else:
                assert 1e6 * found.ours.max() < found.scipy.max(), case.domain


def test_all_float32_numbers_by_a_stride():
    stride = 40_009  # a prime: no pattern of the mantissa is left out
    z = np.arange(
        np.float32(1.2e-38).view(np.int32), np.float32(3e38).view(np.int32), stride, dtype=np.int32
    ).view(np.float32)
    below = -z[z < 0.367]
    for values, branch in ((z, 0), (below, 0), (below, -1)):
        ours = np.asarray(special.lambertw(values, branch))
        assert ours.dtype == np.float32
        exact = scipy.special.lambertw(values.astype(np.float64), branch).real
        assert np.max(np.abs(ours - exact) / np.spacing(np.abs(exact.astype(np.float32)))) <= 4
    u = np.concatenate([-z[(z > 1e-3) & (z < 86)], z])
    exact = scipy.special.wrightomega(u.astype(np.float64))
    assert (
        np.max(np.abs(special.wright_omega(u) - exact) / np.spacing(exact.astype(np.float32))) <= 4
    )


def test_in_32_bit_mode():
    with jax.enable_x64(False):
        w = special.lambertw([0.5, -0.2])
        assert w.dtype == jnp.float32
        assert np.allclose(
            w, scipy.special.lambertw([0.5, -0.2]).real, rtol=4 * np.finfo(np.float32).eps
        )
        t = special.r_lambertw_exp(100.0, 3.0)
        assert np.allclose(
            np.log(t) + np.logaddexp(t, 3.0), 100.0, rtol=8 * np.finfo(np.float32).eps
        )
        assert special.lambertw(np.float32(-1 / np.e)) == -1


@settings(deadline=None, max_examples=200)
@given(u=st.floats(-1e6, 1e6), v=st.floats(-1e6, 1e6))
def test_r_lambertw_exp_anywhere(u, v):
    t = float(special.r_lambertw_exp(u, v))
    if t > 1e-300:
        assert not misses("r logs", [t], [u], [v])
    else:
        assert u - max(v, 0) < -690


@settings(deadline=None, max_examples=200)
@given(z=st.floats(-1e300, 1e300, allow_subnormal=False), r=st.floats(float(np.exp(-2.0)), 1e300))
def test_r_lambertw_anywhere(z, r):
    w = float(special.r_lambertw(z, r))
    if abs(w) > 1e-300:
        assert not misses("r", [w], [z], [r])
    else:
        assert abs(z) <= 2e-300 * (1 + r)


# --- special values, domains, errors --------------------------------------------------------------


def test_limits():
    tiny = float(np.finfo(np.float64).tiny)
    ours = special.lambertw(np.array([0.0, np.inf, FOLD, tiny, -tiny]))
    assert np.array_equal(ours, [0, np.inf, -1, tiny, -tiny])
    assert np.array_equal(special.lambertw(np.array([0.0, -0.0, FOLD]), -1), [-np.inf, -np.inf, -1])
    assert np.array_equal(special.lambertw_plus_one(np.array([0.0, np.inf, FOLD])), [1, np.inf, 0])
    assert np.array_equal(
        special.wright_omega(np.array([-np.inf, -1e308, 1.0, 1e308, np.inf])),
        [0, 0, 1, 1e308, np.inf],
    )
    assert np.array_equal(special.lambertw_exp(-1e308, -1, -1), -1e308)
    assert np.array_equal(special.lambertw_exp([5.0, -1.0, -np.inf], [0, -1, -1], 0), [0, -1, 0])
    assert np.array_equal(
        special.lambertw_exp([5.0, -1.0, -np.inf], [0, -1, -1], -1), [-np.inf, -1, -np.inf]
    )
    assert np.array_equal(special.lambertw_plus_one_from_gap([0.0, np.inf], -1), [0, -np.inf])
    assert np.array_equal(
        special.r_lambertw(
            np.array([0.0, np.inf, -np.inf, -1e308, 1e308]), [1, 1, 1, 1e308, 1e308]
        ),
        [0, np.inf, -np.inf, -1, 1],
    )
    assert np.array_equal(
        special.r_lambertw_exp([1.0, 1e300, 1e300, 5.0, -np.inf], [-np.inf, 1e300, -1e300, 1e9, 0]),
        [1, 1, 1e300, 0, 0],
    )


def test_the_log_domain_meets_the_plain_one():
    z = np.geomspace(1e-200, 1e200, POINTS)
    # ln z loses |ln z|/2 ulp, which the root sees divided by 1 + w.
    loss = (2 + np.abs(np.log(z)) / special.lambertw_plus_one(z)) * np.finfo(np.float64).eps
    assert np.all(np.abs(special.lambertw_exp(np.log(z), 1.0) / special.lambertw(z) - 1) <= loss)
    assert np.all(np.abs(special.wright_omega(np.log(z)) / special.lambertw(z) - 1) <= loss)
    assert np.all(
        np.abs(special.r_lambertw_exp(np.log(z), -np.inf) / special.lambertw(z) - 1) <= loss
    )


def test_a_signed_mass_serves_as_sign():
    assert np.array_equal(
        special.lambertw_exp(-2.0, [-80.0, 0.3]), special.lambertw_exp(-2.0, [-1, 1])
    )
    assert jax.grad(lambda mass: special.lambertw_exp(-2.0, mass))(-80.0) == 0


def test_outside_the_domain_is_nan():
    assert np.all(
        np.isnan(
            special.lambertw(
                np.array([-0.3679, -1.0, -1e308, -np.inf, np.nan, np.nextafter(FOLD, -1)])
            )
        )
    )
    assert np.all(np.isnan(special.lambertw(np.array([-0.3679, 1e-3, 1.0, np.inf, np.nan]), -1)))
    assert np.all(np.isnan(special.lambertw_exp([-0.99, 3.0], -1, 0)))
    assert np.all(np.isnan(special.lambertw_exp([-0.99, 3.0], -1, -1)))
    assert np.isnan(special.lambertw_exp(-3.0, 1, -1))
    assert np.all(np.isnan(special.lambertw_plus_one_from_gap([-1e-3, np.nan])))
    assert np.isnan(jax.jit(special.r_lambertw)(1.0, 0.1))  # traced: it cannot raise
    assert np.all(np.isnan(special.r_lambertw_exp([np.nan, 1.0], [0.0, np.nan])))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: special.lambertw(1.0, branch=1), ValueError, "branch must be one of 0, -1, got 1"),
        (
            lambda: special.lambertw_exp(1.0, 1.0, branch=2),
            ValueError,
            "branch must be one of 0, -1, got 2",
        ),
        (lambda: special.lambertw("a"), TypeError, "z must be a real number"),
        (lambda: special.lambertw(True), TypeError, "z must be a real number"),
        (lambda: special.wright_omega(1j), TypeError, "u must be a real number"),
        (
            lambda: special.lambertw_exp([[1.0], [1.0, 2.0]], 1.0),
            TypeError,
            "log_abs must be a real number or a rectangular array",
        ),
        (
            lambda: special.r_lambertw(1.0, [1.0, 0.1]),
            ValueError,
            r"r must be finite and >= exp\(-2\) = 0\.135335\.\.\., got 0\.1 at index \(1,\)",
        ),
        (lambda: special.r_lambertw(1.0, np.nan), ValueError, "r must be finite"),
        (lambda: special.r_lambertw_exp(None, 1.0), TypeError, "log_z must be a real number"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_shapes_and_types():
    assert special.lambertw(3).shape == ()
    assert special.lambertw(np.ones((2, 3), np.int32)).dtype == jnp.float64
    assert special.lambertw_exp(np.zeros((2, 1)), np.ones(3)).shape == (2, 3)
    assert special.r_lambertw(np.zeros((2, 1)), np.ones(3)).shape == (2, 3)
    assert special.r_lambertw_exp(np.float32(1), np.zeros(3, np.float32)).dtype == jnp.float32
    z = jnp.array([-0.3, 0.5])
    assert np.array_equal(jax.vmap(special.lambertw)(z), special.lambertw(z))
    assert np.array_equal(
        jax.jit(special.lambertw, static_argnames="branch")(z, branch=0), special.lambertw(z)
    )


def test_log_ratio():
    a, b = np.array([8.0, 1e-200, 1e300, 0.0, 3.0]), np.array([2.0, 1e200, 1e-300, 1.0, 3.0])
    assert np.allclose(
        special.log_ratio(a, b),
        [np.log(4), -400 * np.log(10), 600 * np.log(10), -np.inf, 0],
        rtol=4e-16,
    )
    slopes = jax.vmap(jax.grad(special.log_ratio, (0, 1)))(a[[0, 1, 2, 4]], b[[0, 1, 2, 4]])
    assert np.allclose(slopes[0] * a[[0, 1, 2, 4]], 1, rtol=4e-16)
    assert np.allclose(slopes[1] * b[[0, 1, 2, 4]], -1, rtol=4e-16)


# --- derivatives ----------------------------------------------------------------------------------


def test_derivatives_at_the_ends_are_what_they_should_be():
    assert jax.grad(special.lambertw)(0.0) == 1
    assert jax.grad(special.lambertw)(np.inf) == 0
    assert jax.grad(special.lambertw)(FOLD) == np.inf
    assert jax.grad(lambda z: special.lambertw(z, -1))(FOLD) == -np.inf
    assert np.array_equal(
        jax.vmap(jax.grad(special.wright_omega))(jnp.array([-1e308, 1e308])), [0, 1]
    )
    assert jax.grad(special.r_lambertw)(0.0, 1.0) == 0.5
    assert jax.grad(special.r_lambertw_exp, 0)(1e300, -1e300) == 1
    assert jax.grad(special.r_lambertw_exp, 1)(1.0, -np.inf) == 0


SECOND = {
    "W_0": (
        special.lambertw,
        lambda z: mpmath.lambertw(z),
        [0.0, 1e-9, -0.3, -0.36, 0.5, 3.0, 1e5],
    ),
    "W_-1": (
        lambda z: special.lambertw(z, -1),
        lambda z: mpmath.lambertw(z, -1).real,
        [-1e-5, -0.1, -0.3, -0.36],
    ),
    "omega": (
        special.wright_omega,
        lambda u: mpmath.lambertw(mpmath.exp(u)),
        [-30.0, -2.0, 0.0, 2.0, 30.0],
    ),
    "t from the gap": (
        special.lambertw_plus_one_from_gap,
        lambda g: 1 + mpmath.lambertw(-mpmath.exp(-1 - g)),
        [1e-3, 0.1, 1.0, 5.0],
    ),
}


@pytest.mark.parametrize(("ours", "exact", "points"), SECOND.values(), ids=SECOND)
def test_second_and_third_derivatives(ours, exact, points):
    # Second derivatives of the formulas lose about 1/(1+w) each; mpmath's differences in 60 digits
    # lose nothing here.
    second, third = jax.vmap(jax.grad(jax.grad(ours))), jax.vmap(jax.grad(jax.grad(jax.grad(ours))))
    with mpmath.workdps(60):
        for order, computed in ((2, second(jnp.array(points))), (3, third(jnp.array(points)))):
            expected = [
                float(mpmath.re(mpmath.diff(exact, mpmath.mpf(x), order, h=mpmath.mpf(10) ** -18)))
                for x in points
            ]
            assert np.allclose(computed, expected, rtol=1e-11, atol=0)


@pytest.mark.parametrize(
    ("ours", "root", "points"),
    [
        (
            special.r_lambertw,
            lambda z, r, near: mpmath.findroot(lambda w: w * mpmath.exp(w) + r * w - z, near),
            [(-3.0, 0.2), (0.0, 1.0), (5.0, 2.0)],
        ),
        (
            special.r_lambertw_exp,
            lambda u, v, near: mpmath.findroot(
                lambda t: mpmath.log(t) + mpmath.log(mpmath.exp(t) + mpmath.exp(v)) - u, near
            ),
            [(3.0, 1.0), (-2.0, 4.0), (12.0, 7.0)],
        ),
    ],
    ids=["plain", "logs"],
)
def test_hessians_of_the_r_lambert_functions(ours, root, points):
    with mpmath.workdps(50):
        for point in points:
            (hzz, hzr), (hrz, hrr) = jax.hessian(ours, (0, 1))(*point)
            near = mpmath.mpf(float(ours(*point)))

            def exact(a, b, near=near):
                return root(a, b, near)

            for computed, orders in ((hzz, (2, 0)), (hzr, (1, 1)), (hrz, (1, 1)), (hrr, (0, 2))):
                expected = float(
                    mpmath.diff(
                        exact, tuple(map(mpmath.mpf, point)), orders, h=mpmath.mpf(10) ** -14
                    )
                )
                assert np.isclose(computed, expected, rtol=1e-11, atol=1e-13)


def test_forward_over_reverse_under_jit_and_vmap():
    z = jnp.array([-0.2, 0.3, 4.0])
    nested = jax.jit(jax.vmap(jax.jacfwd(jax.grad(special.lambertw))))(z)
    w = special.lambertw(z)
    assert np.allclose(nested, -jnp.exp(-2 * w) * (2 + w) / (1 + w) ** 3, rtol=1e-14)


# --- the benchmark --------------------------------------------------------------------------------


def test_the_benchmark_compares_equals():
    for _, ours, theirs, arguments, *_ in speed.cases():
        some = [argument[:POINTS] for argument in arguments]
        assert np.allclose(ours(*some), theirs(*some), rtol=1e-12, atol=1e-300)


def test_the_published_table_is_complete():
    page = accuracy.DOCUMENT.read_text()
    for dtype in (np.float64, np.float32):
        for case in accuracy.cases(dtype):
            line = next(
                line
                for line in page.splitlines()
                if line.startswith(f"| {case.name} | {case.domain} |")
            )
            assert float(line.split("|")[3]) <= case.allowed
