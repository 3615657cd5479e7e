"""Mean field: the facts' reference values.

Exact rational arithmetic, and enumeration of every pattern of changes on a small tree.
"""

import itertools
from fractions import Fraction

import jax
import mpmath
import numpy as np
import pytest
import sympy as sp

from rhm_theory.theory import mean_field

EPS = np.finfo(np.float64).eps
CASES = [(16, 4, 2), (32, 8, 2), (64, 8, 2), (8, 16, 3)]  # all with a transition


def arguments(vocabulary, rules, branching):
    return {"vocabulary": vocabulary, "rules_per_symbol": rules, "branching": branching}


def rational_step(p, v, m, s):
    """F as the paper writes it, with the share f of valid tuples; exact for fractions."""
    f = Fraction(m * v - 1, v**s - 1)
    return (p**s + f * Fraction(m - 1, m * v - 1) * (1 - p**s)) / (p**s + f * (1 - p**s))


# --- the map and its fixed points


@pytest.mark.parametrize(("v", "m", "s"), [*CASES, (32, 32, 2), (16, 15, 2), (5, 1, 4)])
def test_upward_iterates_the_papers_map_exactly(v, m, s):
    noise = [Fraction(k, 10) for k in range(11)]
    expected = [[1 - e + e / v] for e in noise]
    for path in expected:
        for _ in range(3):
            path.append(rational_step(path[-1], v, m, s))
    found = mean_field.upward([float(e) for e in noise], **arguments(v, m, s), depth=3)
    # An error of one eps in p is multiplied by F' < s at each level.
    np.testing.assert_allclose(found, np.array(expected, dtype=float), rtol=8 * s**3 * EPS)
    points = np.array([float(path[0]) for path in expected])
    np.testing.assert_allclose(
        mean_field.step(points, **arguments(v, m, s)),
        [float(path[1]) for path in expected],
        rtol=32 * EPS,
    )
    p = sp.Symbol("p", positive=True)
    f = sp.Rational(m * v - 1, v**s - 1)
    law = (p**s + f * sp.Rational(m - 1, max(m * v - 1, 1)) * (1 - p**s)) / (p**s + f * (1 - p**s))
    derivative = sp.diff(law, p)
    expected = [float(derivative.subs(p, 1 - e + e / v)) for e in map(sp.Rational, map(str, noise))]
    np.testing.assert_allclose(
        mean_field.slope(points, **arguments(v, m, s)), expected, rtol=64 * EPS
    )


def test_small_noise_keeps_relative_accuracy():
    """``1 - p`` near p = 1, where a difference would keep no digit."""
    noise, changed = 1e-12, mpmath.mpf("1e-12") * 15 / 16
    with mpmath.workdps(40):
        for _ in range(5):
            p = 1 - changed
            changed = 1 - (252 * p**2 + 3) / (192 * p**2 + 63)
        w = lambda p: p**2 / (p**2 + 3 * (1 - p**2) / 255)  # noqa: E731
        path = [mpmath.mpf("1e-12") * 15 / 16]
        for _ in range(5):
            p = 1 - path[-1]
            path.append(1 - (252 * p**2 + 3) / (192 * p**2 + 63))
        for child in reversed(path[:-1]):
            p = 1 - child
            stay, back = w(p) + (1 - w(p)) * p / (1 + p), p / (1 + p)
            changed = 1 - ((1 - changed) * stay + changed * back)
    found = mean_field.mean_changed(noise, **arguments(16, 4, 2), depth=5)
    assert abs(float(found) / float(changed) - 1) < 32 * EPS


@pytest.mark.parametrize("s", [2, 3, 4, 5, 6])
def test_fixed_points_factorise_for_every_branching(s):
    p, v, m = sp.symbols("p v m")
    fixed = ((v**s - m) * p**s + m - 1) - p * ((v**s - m * v) * p**s + m * v - 1)
    claimed = -(p - 1) * (v * p - 1) * sum((v**k - m) * p**k for k in range(s))
    assert sp.expand(fixed - claimed) == 0
    assert sp.expand(fixed - claimed.subs(m, m + 1)) != 0


def test_fixed_points_of_the_reference_cases():
    for (v, m, s), belief, noise, nu in zip(
        CASES,
        [1 / 4, 7 / 24, 1 / 8, 0.648527498594],
        [4 / 5, 0.7311828, 8 / 9, 0.4016828587],
        [2.2542493, 1.8927961, 1.4651632, 3.7097871],
        strict=True,
    ):
        points = mean_field.fixed_points(**arguments(v, m, s))
        assert bool(points.exists)
        assert float(points.lost) == 1 / v
        assert float(points.recovered) == 1
        np.testing.assert_allclose(points.interior, belief, rtol=1e-12)
        np.testing.assert_allclose(
            mean_field.critical_noise(**arguments(v, m, s)), noise, atol=5e-8
        )  # half a unit of the digits given
        np.testing.assert_allclose(mean_field.exponent(**arguments(v, m, s)), nu, atol=5e-8)
    critical = mean_field.criticality(
        vocabulary=[16, 32, 64], rules_per_symbol=[4, 8, 8], branching=2
    )
    np.testing.assert_allclose(critical.slope[0], 34 / 25, rtol=8 * EPS)
    np.testing.assert_allclose(critical.kesten_stigum, [0.925, 1.040, 1.288], atol=5e-4)
    assert critical.diverges.tolist() == [False, True, True]
    assert np.all(np.asarray(critical.susceptibility_growth > 0) == critical.diverges)
    np.testing.assert_allclose(
        mean_field.criticality(**arguments(8, 16, 3)).kesten_stigum, 0.603, atol=5e-4
    )


def test_interior_point_of_random_numbers_is_the_polynomials_root():
    draw = np.random.default_rng(0)
    for s in (2, 3, 5):
        v = draw.uniform(2, 100, 40)
        low, high = s * v ** (s - 1) * (v - 1) / (v**s - 1), (v**s - 1) / (s * (v - 1))
        m = low * (high / low) ** draw.uniform(0.01, 0.99, 40)
        points = mean_field.fixed_points(vocabulary=v, rules_per_symbol=m, branching=s)
        roots = [
            mpmath.polyroots([vi**k - mi for k in reversed(range(s))], maxsteps=200)
            for vi, mi in zip(v, m, strict=True)
        ]
        roots = [
            next(float(root.real) for root in some if root.imag == 0 and root.real > 0)
            for some in roots
        ]
        np.testing.assert_allclose(
            points.interior, roots, rtol=1e-12
        )  # conditioned by 1/(F' - 1) near the ends of m's range
        assert np.all(points.exists)
        outside = np.concatenate([m * 0 + low * 0.999, high * 1.001])
        ok = (outside >= 1) & (outside <= np.tile(v, 2) ** (s - 1))
        none = mean_field.fixed_points(
            vocabulary=np.tile(v, 2)[ok], rules_per_symbol=outside[ok], branching=s
        )
        assert not np.any(none.exists)
        assert np.all(np.isnan(none.interior))


@pytest.mark.parametrize("m", [32, 1])
def test_no_transition_is_nan(m):
    critical = mean_field.criticality(**arguments(32, m, 2))
    assert np.isnan(critical.noise)
    assert np.isnan(critical.susceptibility_growth)
    assert not critical.diverges
    assert np.isnan(mean_field.exponent(**arguments(16, 15, 2)))


def test_the_correlated_size_diverges_with_the_exponent():
    distance = np.array([[1e-9, 1e-8], [1e-3, 0.4]])
    size = mean_field.correlated_size(distance, **arguments(16, 4, 2))
    # At small distances the way out is a geometric sequence from p*, of the slope: the size is a
    # power, up to a ripple of its period.
    slope = np.log(size[0, 0] / size[0, 1]) / np.log(10)
    assert slope == pytest.approx(float(mean_field.exponent(**arguments(16, 4, 2))), abs=0.01)
    # One by hand: iterate until half of the way is gone, and interpolate.
    critical = mean_field.criticality(**arguments(16, 4, 2))
    beliefs = [1 - float(critical.noise) * 0.6 * 15 / 16]
    half = (1 + float(critical.belief)) / 2
    while beliefs[-1] < half:
        beliefs.append(float(mean_field.step(beliefs[-1], **arguments(16, 4, 2))))
    level = (
        len(beliefs) - 1 - (beliefs[-1] - half) / (beliefs[-1] - beliefs[-2])
        if len(beliefs) > 1
        else 0
    )
    assert size[1, 1] == pytest.approx(2**level, rel=1e-9)
    assert np.all(np.isnan(mean_field.correlated_size(distance, **arguments(32, 1, 2))))
    with pytest.raises(ValueError, match=r"distance must be in \(0, 1\]"):
        mean_field.correlated_size(0.0, **arguments(16, 4, 2))


@pytest.mark.parametrize("s", [2, 3, 4])
def test_duality_is_a_conjugacy(s):
    v, m, p = 7.0, 3.0, np.linspace(1 / 7, 1, 20)
    other = mean_field.dual(**arguments(v, m, s))
    image = mean_field.step(1 / (v * p), **arguments(v, other, s))
    np.testing.assert_allclose(
        image, 1 / (v * mean_field.step(p, **arguments(v, m, s))), rtol=32 * EPS
    )
    here, there = (
        mean_field.criticality(**arguments(v, m, s)),
        mean_field.criticality(**arguments(v, other, s)),
    )
    np.testing.assert_allclose(
        [here.exponent, here.belief], [there.exponent, 1 / (v * there.belief)], rtol=1e-12
    )
    own = mean_field.fixed_points(**arguments(v, v ** ((s - 1) / 2), s))
    np.testing.assert_allclose(own.interior, v**-0.5, rtol=1e-13)


# --- correlations


def enumerated(p_leaf, v, m, s, depth):
    """Mean and covariances of the leaves, by a sum over every pattern of unchanged nodes (1)."""
    beliefs = [p_leaf]
    for _ in range(depth):
        beliefs.append(float(rational_step(Fraction(beliefs[-1]), v, m, s)))
    law = {(1,): beliefs[-1], (0,): 1 - beliefs[-1]}
    for p in reversed(beliefs[:-1]):
        true_rule = p**s / (p**s + (m - 1) * (1 - p**s) / (v**s - 1))
        patterns = list(itertools.product((0, 1), repeat=s))
        other = {
            b: 0 if all(b) else p ** sum(b) * (1 - p) ** (s - sum(b)) / (1 - p**s) for b in patterns
        }
        kernel = {
            0: other,
            1: {b: (1 - true_rule) * other[b] + true_rule * all(b) for b in patterns},
        }
        below = {}
        for nodes, probability in law.items():
            for blocks in itertools.product(patterns, repeat=len(nodes)):
                weight = probability * np.prod(
                    [kernel[node][block] for node, block in zip(nodes, blocks, strict=True)]
                )
                leaves = tuple(itertools.chain(*blocks))
                below[leaves] = below.get(leaves, 0) + weight
        law = below
    changed, weights = 1 - np.array(list(law)), np.array(list(law.values()))
    mean = weights @ changed
    return mean, (changed - mean).T @ (weights[:, None] * (changed - mean))


@pytest.mark.parametrize(("v", "m", "s", "depth"), [(16, 4, 2, 3), (5, 7, 3, 2), (4, 1, 2, 3)])
def test_correlations_are_those_of_every_pattern_of_changes(v, m, s, depth):
    noise = np.array([0.05, 0.5, 0.8, 1.0])
    found = mean_field.correlations(noise, **arguments(v, m, s), depth=depth)
    for k, e in enumerate(noise):
        mean, covariance = enumerated(1 - e + e / v, v, m, s, depth)
        np.testing.assert_allclose(mean, found.mean_changed[k], rtol=1e-13)
        np.testing.assert_allclose(np.diag(covariance), found.variance[k], rtol=1e-12)
        for i, j in itertools.combinations(range(s**depth), 2):
            level = next(level for level in range(1, depth + 1) if i // s**level == j // s**level)
            np.testing.assert_allclose(
                covariance[i, j], found.covariance[k, level - 1], rtol=1e-11, atol=1e-15
            )
        np.testing.assert_allclose(
            covariance.sum() / np.trace(covariance), found.susceptibility[k], rtol=1e-12
        )


def test_the_facts_values_at_finite_depth():
    found = mean_field.correlations(0.78, **arguments(16, 4, 2), depth=7)
    root = mean_field.upward(0.78, **arguments(16, 4, 2), depth=7)[-1]
    np.testing.assert_allclose(
        [root, found.mean_changed, found.susceptibility], [0.445, 0.3081, 4.20], rtol=2e-3
    )
    peak = mean_field.susceptibility_peak(
        vocabulary=[16, 64], rules_per_symbol=[4, 8], branching=2, depth=[[5], [7], [9], [11]]
    )
    claimed = np.array([[3.37, 7.05], [4.22, 12.9], [4.91, 22.4], [5.50, 38.0]])
    assert np.all(
        np.abs(peak.height - claimed) <= [[0.005, 0.005], *3 * [[0.005, 0.05]]]
    )  # half a unit of the last digit given
    np.testing.assert_allclose(peak.noise[-1, 0], 0.796, atol=5e-4)


def test_a_level_damps_by_the_slope_over_the_branching():
    """At the transition ``s lambda = F'(p*)``.

    One more level of tree below two nodes damps their leaves' covariance by ``lambda^2``.
    """
    for v, m, s in [(np.array([16.0, 32, 64]), np.array([4.0, 8, 8]), 2), (8.0, 16.0, 3)]:
        critical = mean_field.criticality(**arguments(v, m, s))
        deep, shallow = (
            mean_field.correlations(critical.noise, **arguments(v, m, s), depth=depth).covariance
            for depth in (6, 5)
        )
        damping = (np.asarray(critical.slope)[..., None] / s) ** 2
        np.testing.assert_allclose(
            deep[..., 1:] / shallow, np.broadcast_to(damping, shallow.shape), rtol=1e-11
        )  # noise* errs by F'^6 eps


@pytest.mark.parametrize("s", [2, 3, 4])
def test_the_damping_is_the_slope_symbolically(s):
    p, v = sp.symbols("p v", positive=True)
    m = sum((v * p) ** k for k in range(s)) / sum(
        p**k for k in range(s)
    )  # p is the interior fixed point of these rules
    below = (v**s - m * v) * p**s + m * v - 1
    slope = s * m * (v - 1) * (v**s - 1) * p ** (s - 1) / below**2
    q = (1 - p**s) / (v**s - 1)
    damping = (
        p**s / (p**s + (m - 1) * q) * (1 - (p - p**s) / (1 - p**s))
    )  # P(U|U) - P(U|C) = w (1 - g)
    assert sp.cancel(sp.together(s * damping - slope)) == 0
    assert sp.cancel(sp.together(damping - slope)) != 0


def test_the_susceptibility_at_the_transition_grows_with_the_predicted_power():
    numbers = {
        "vocabulary": np.array([16.0, 64]),
        "rules_per_symbol": np.array([4.0, 8]),
        "branching": 2,
    }
    critical = mean_field.criticality(**numbers)
    height = mean_field.susceptibility(critical.noise, **numbers, depth=[[26], [30]])
    growth = np.log2(height[1] / height[0]) / 4
    np.testing.assert_allclose(
        growth[1], critical.susceptibility_growth[1], atol=2e-3
    )  # corrections fall by s/F'^2 a level
    assert growth[0] < 0.02
    assert critical.susceptibility_growth[0] == 0


def test_limits_of_the_susceptibility():
    def chi(level):
        numbers = arguments(np.array([16.0, 8]), np.array([4.0, 8]), 2)
        return mean_field.susceptibility(level, **numbers, depth=7)

    np.testing.assert_array_equal(chi(0.0), 1)
    for noise in (0.3, 0.9):
        np.testing.assert_allclose(chi(noise)[1], 1, rtol=1e-13)  # every string is valid
    step = 1e-7
    found = jax.jvp(chi, (0.0,), (1.0,))[1]
    np.testing.assert_allclose(
        found, (chi(step) - 1) / step, rtol=1e-4, atol=1e-8
    )  # the curvature times the step; eps / step


def test_the_peak_is_a_maximum_and_its_derivative_is_implicit():
    m = np.array([4.0, 8.0])
    peak = jax.jit(lambda v: mean_field.susceptibility_peak(**arguments(v, m, 2), depth=7))
    v, v_dot = np.array([16.0, 64.0]), np.array([1.0, 2.0])
    top = peak(v)
    for change in (-1e-3, -1e-5, 1e-5, 1e-3):
        assert np.all(
            mean_field.susceptibility(top.noise + change, **arguments(v, m, 2), depth=7)
            < top.height
        )
    moved, above, below = (
        jax.jvp(peak, (v,), (v_dot,))[1],
        peak(v + 1e-4 * v_dot),
        peak(v - 1e-4 * v_dot),
    )
    np.testing.assert_allclose(
        moved.noise, (above.noise - below.noise) / 2e-4, rtol=1e-6
    )  # eps^(2/3) of the difference, and more
    np.testing.assert_allclose(moved.height, (above.height - below.height) / 2e-4, rtol=1e-6)
    flat = peak(np.array([16.0, 8.0]))
    assert np.isnan(flat.noise[1])
    np.testing.assert_allclose(flat.height[1], 1, rtol=1e-13)


# --- validation


def test_derivatives_of_the_transition_are_implicit():
    nu = lambda v, m: mean_field.exponent(**arguments(v, m, 3))  # noqa: E731
    found = jax.jit(jax.grad(nu, argnums=(0, 1)))(8.0, 16.0)
    difference = [
        (nu(8 + 1e-5, 16.0) - nu(8 - 1e-5, 16.0)) / 2e-5,
        (nu(8.0, 16 + 1e-5) - nu(8.0, 16 - 1e-5)) / 2e-5,
    ]
    np.testing.assert_allclose(found, difference, rtol=1e-7)
    batch = jax.vmap(nu)(np.array([8.0, 9.0]), np.array([16.0, 20.0]))
    np.testing.assert_allclose(batch, [nu(8.0, 16.0), nu(9.0, 20.0)], rtol=8 * EPS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": 1.5}, "level must be between 0 and 1, got 1.5"),
        ({"level": [0.5, -0.1]}, r"level must be between 0 and 1, got -0.1 at index \(1,\)"),
        ({"vocabulary": 1}, "vocabulary must be finite and >= 2"),
        ({"rules_per_symbol": 0.5}, "rules_per_symbol must be >= 1"),
        (
            {"rules_per_symbol": 17},
            r"rules_per_symbol must be <= vocabulary\^\(branching - 1\) = 16",
        ),
        ({"branching": 1}, "branching must be >= 2"),
        ({"depth": 0}, "depth must be >= 1"),
        ({"depth": [3, -1]}, "depth must be >= 1, got -1"),
        ({"depth": np.zeros(0, int)}, "depth must be >= 1, got none"),
        (
            {"depth": 2000},
            r"depth must be such that branching\^depth leaves are in the range of float64, "
            r"got 2000",
        ),
        (
            {"depth": [1, 2], "level": [0.1, 0.2, 0.3]},
            r"one shape, got arguments \(3,\), depth \(2,\)",
        ),
        # What overflowed was taken for "no transition", after a minute of compiling.
        (
            {"branching": 1000},
            r"vocabulary must be such that vocabulary\^branching is below the largest float64 "
            r"\(branching = 1000\)",
        ),
        ({"vocabulary": 1e200}, r"vocabulary must be such that vocabulary\^branching is below"),
    ],
)
def test_bad_input_is_named(change, message):
    good = {"level": 0.5, **arguments(16, 4, 2), "depth": 3}
    with pytest.raises(ValueError, match=message):
        mean_field.susceptibility(**good | change)


def test_a_traced_depth_is_refused():
    with pytest.raises(TypeError, match="depth must be concrete"):
        jax.jit(lambda depth: mean_field.susceptibility(0.5, **arguments(16, 4, 2), depth=depth))(3)


def test_traced_values_out_of_range_are_nan():
    traced = jax.jit(
        lambda noise, m: mean_field.correlations(noise, **arguments(16.0, m, 2), depth=3)
    )
    assert np.isnan(traced(1.5, 4.0).susceptibility)
    assert np.isnan(traced(0.5, 17.0).mean_changed)
    assert np.isfinite(traced(0.5, 4.0).susceptibility)
    assert np.all(
        np.isnan(jax.jit(lambda v: mean_field.criticality(**arguments(v, 4.0, 2)).noise)(1.0))
    )


def test_float32_reaches_a_few_eps_of_its_own(record_property):
    noise = np.linspace(0, 1, 41)
    double = mean_field.correlations(noise, **arguments(16, 4, 2), depth=7)
    with jax.enable_x64(False):
        single = mean_field.correlations(noise, **arguments(16, 4, 2), depth=7)
        point = mean_field.fixed_points(**arguments(16, 4, 2))
    assert (
        single.susceptibility.dtype == point.interior.dtype == point.recovered.dtype == np.float32
    )
    reached = np.max(
        np.abs(np.asarray(single.susceptibility, float) / np.asarray(double.susceptibility) - 1)
    )
    record_property("float32 relative error of chi", float(reached))
    assert (
        reached < 32 * np.finfo(np.float32).eps
    )  # F' <= 2 a level amplifies the rounding of the noise itself
    np.testing.assert_allclose(point.interior, 0.25, rtol=8 * np.finfo(np.float32).eps)
