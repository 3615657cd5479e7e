"""The laws of random forget sets against mpmath, SciPy's binomial and hypergeometric laws, all
subsets in turn, and samples from a key.
"""

import functools
import itertools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import stats

from gda_theory.paper import random_sets

# Logarithms of binomial coefficients up to 400 are differences of numbers up to 2000, each known to
# epsilon.
EXACT = 4000 * np.finfo(np.float64).eps
GAPS = [0.0, 0.01, 0.2, 0.5, 1.0]
ACCURACIES = [[0.0], [0.02], [0.5], [0.9], [1.0]]
SIDES = ("one", "two")


def function(name, side):
    """One of a pair of functions, such as ``two_sided_bound``."""
    return getattr(random_sets, name.format(f"{side}_sided"))


# Hoeffding's inequality
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "factor"), [("one", 1), ("two", 2)])
def test_bounds_are_the_lemmas(side, factor):
    bound, width = function("{}_bound", side), function("{}_half_width", side)
    forget, test, gap = np.array([[10.0], [400.0], [1e6]]), np.array([20.0, 1e4, np.inf]), 0.05
    with mpmath.workdps(40):
        t = mpmath.mpf(gap)
        exponents = [
            [
                2 * t**2 / (1 / mpmath.mpf(f) + (0 if np.isinf(m) else 1 / mpmath.mpf(m)))
                for m in test
            ]
            for f in forget[:, 0]
        ]
        expected = [
            [float(min(1, factor * mpmath.exp(-exponent))) for exponent in row] for row in exponents
        ]
    # The exponent, up to 5000, is rounded a few times.
    np.testing.assert_allclose(
        bound(gap, forget_size=forget, test_size=test),
        expected,
        rtol=2e4 * np.finfo(float).eps,
        atol=0,
    )
    significance = np.array([1e-300, 1e-12, 0.05])
    np.testing.assert_allclose(
        bound(
            width(significance, forget_size=forget, test_size=test),
            forget_size=forget,
            test_size=test,
        ),
        np.broadcast_to(significance, (3, 3)),
        rtol=1e-12,
    )
    assert bound(-0.5, forget_size=10) == 1


def test_published_half_widths_and_the_derivative():
    np.testing.assert_allclose(
        random_sets.two_sided_half_width(0.05, forget_size=[10, 100, 500]),
        [0.43, 0.136, 0.061],
        atol=5e-4,
        rtol=2e-3,
    )
    slope = jax.jit(
        jax.vmap(jax.grad(lambda t: random_sets.one_sided_bound(t, forget_size=100, test_size=50)))
    )(jnp.array([0.1, 0.2]))
    size = 100 / 3
    np.testing.assert_allclose(
        slope, [-4 * t * size * math.exp(-2 * t * t * size) for t in (0.1, 0.2)], rtol=1e-14
    )


def test_the_form_for_the_population_is_no_bound_for_a_finite_test_set():
    sizes = {"forget_size": 400, "test_size": 20}
    true = random_sets.two_sided_binomial(0.2, accuracy=0.5, **sizes)
    assert float(true) == pytest.approx(0.083, abs=5e-5)
    assert float(random_sets.two_sided_bound(0.2, forget_size=400)) == pytest.approx(
        2.5e-14, rel=0.02
    )
    assert true < random_sets.two_sided_bound(0.2, **sizes)
    # Independently: the difference itself drawn, within four standard errors.
    draws = 200_000
    random = np.random.default_rng(4)
    forget, test = (random.binomial(size, 0.5, draws) / size for size in (400, 20))
    seen = np.mean(np.abs(test - forget) >= 0.2 - 1e-9)
    assert abs(seen - float(true)) < 4 * math.sqrt(seen * (1 - seen) / draws)


# Two independent binomials
# --------------------------------------------------------------------------------------------------


def reached(gap, forget_size, test_size, side):
    """Which outcomes of both samples have the gap, compared as integers."""
    a, b = np.arange(forget_size + 1)[:, None], np.arange(test_size + 1)
    difference = b * forget_size - a * test_size
    difference = abs(difference) if side == "two" else difference
    return difference >= Fraction(gap).limit_denominator(10**6) * forget_size * test_size


def enumerated(gap, accuracy, forget_size, test_size, side):
    """The probabilities of all outcomes of both samples that have the gap, added up."""
    a, b = np.arange(forget_size + 1)[:, None], np.arange(test_size + 1)
    weight = stats.binom.pmf(a, forget_size, accuracy) * stats.binom.pmf(b, test_size, accuracy)
    return math.fsum(weight[reached(gap, forget_size, test_size, side)])


def enumerated_at_many(gap, accuracies, forget_size, test_size, side):
    """:func:`enumerated` at each of many accuracies."""
    of_forget = stats.binom.pmf(np.arange(forget_size + 1), forget_size, accuracies[:, None])
    of_test = stats.binom.pmf(np.arange(test_size + 1), test_size, accuracies[:, None])
    met = reached(gap, forget_size, test_size, side)
    return np.einsum("pa,pb,ab->p", of_forget, of_test, met)


@pytest.mark.parametrize("side", SIDES)
def test_binomials_are_all_outcomes_summed(side):
    got = function("{}_binomial", side)(GAPS, accuracy=ACCURACIES, forget_size=400, test_size=20)
    expected = [
        [enumerated(gap, accuracy, 400, 20, side) for gap in GAPS] for (accuracy,) in ACCURACIES
    ]
    assert got.shape == (5, 5)
    np.testing.assert_allclose(got, expected, rtol=EXACT, atol=1e-300)
    assert np.all(got <= function("{}_bound", side)(GAPS, forget_size=400, test_size=20))


def test_far_tails_keep_their_digits():
    got = random_sets.two_sided_binomial(1.0, accuracy=0.5, forget_size=400, test_size=20)
    # All of one sample right and none of the other: twice 2^-420.
    np.testing.assert_allclose(got, 2.0**-419, rtol=EXACT)


@pytest.mark.parametrize("side", SIDES)
def test_the_population_is_an_infinite_test_set(side):
    # 0.3 and 0.7 are no binary fractions: p - a/f reaches 0.2 only up to rounding.
    gaps, accuracies = np.array([0.05, 0.2, 0.3]), np.array([[0.3], [0.7]])
    got = function("{}_binomial", side)(gaps, accuracy=accuracies, forget_size=10)
    low = stats.binom.cdf(np.floor(10 * (accuracies - gaps) + 1e-9), 10, accuracies)
    high = stats.binom.sf(np.ceil(10 * (accuracies + gaps) - 1e-9) - 1, 10, accuracies)
    np.testing.assert_allclose(got, low + high if side == "two" else low, rtol=EXACT)
    assert np.all(got <= function("{}_bound", side)(gaps, forget_size=10))


def test_every_gap_that_can_occur_reaches_itself():
    # The step lies exactly at the gap; a comparison of floats without allowance would miss a part
    # of them.
    sizes = {"forget_size": 7, "test_size": 5}
    steps = sorted({Fraction(b, 5) - Fraction(a, 7) for a in range(8) for b in range(6)})
    gaps = np.array([float(step.numerator) / step.denominator for step in steps])
    quotients = np.array([[b / 5 - a / 7 for b in range(6)] for a in range(8)])
    one = random_sets.one_sided_binomial(gaps, accuracy=0.3, **sizes)
    np.testing.assert_allclose(
        one, [enumerated(step, 0.3, 7, 5, "one") for step in steps], rtol=EXACT
    )
    divided = random_sets.one_sided_binomial(quotients, accuracy=0.3, **sizes)
    expected = dict(zip(steps, np.asarray(one), strict=True))
    np.testing.assert_array_equal(
        divided, [[expected[Fraction(b, 5) - Fraction(a, 7)] for b in range(6)] for a in range(8)]
    )
    assert np.all(np.diff(one) < 0)


def test_the_derivative_in_the_accuracy_is_that_of_the_polynomial():
    met = [
        (a, b)
        for a in range(8)
        for b in range(6)
        if abs(Fraction(b, 5) - Fraction(a, 7)) >= Fraction(2, 5)
    ]

    def total(p):
        return sum(
            mpmath.binomial(7, a) * mpmath.binomial(5, b) * p ** (a + b) * (1 - p) ** (12 - a - b)
            for a, b in met
        )

    probability = functools.partial(random_sets.two_sided_binomial, 0.4, forget_size=7, test_size=5)
    got = jax.jit(jax.vmap(jax.grad(lambda p: probability(accuracy=p))))(jnp.array([0.1, 0.6]))
    np.testing.assert_allclose(got, [float(mpmath.diff(total, p)) for p in (0.1, 0.6)], rtol=1e-11)


@pytest.mark.parametrize("side", SIDES)
def test_the_worst_accuracy(side):
    gaps, sizes = np.array([0.05, 0.4, 0.9]), (7, 5)
    worst = function("worst_{}_binomial", side)(gaps, forget_size=7, test_size=5)
    fine = np.linspace(0, 1, 501)
    expected = np.array([max(enumerated_at_many(gap, fine, *sizes, side)) for gap in gaps])
    # The grid of the test misses the top by the square of its spacing, times at most N^2.
    np.testing.assert_allclose(worst.probability, expected, rtol=(12 / 500) ** 2)
    assert np.all(worst.probability >= expected * (1 - EXACT))
    attained = function("{}_binomial", side)(
        gaps, accuracy=worst.accuracy, forget_size=7, test_size=5
    )
    np.testing.assert_array_equal(attained, worst.probability)
    near = np.clip(np.asarray(worst.accuracy)[:, None] + [-1e-3, 1e-3], 0, 1)
    beside = function("{}_binomial", side)(gaps[:, None], accuracy=near, forget_size=7, test_size=5)
    assert np.all(beside <= worst.probability[:, None])
    # Ehlich and Zeller's bound, from the values on their grid of 8 points per degree.
    grid = (1 - np.cos(np.pi * np.arange(97) / 96)) / 2
    top = np.max(
        function("{}_binomial", side)(gaps[:, None], accuracy=grid, forget_size=7, test_size=5), 1
    )
    np.testing.assert_allclose(worst.at_most, np.minimum(1, top / np.cos(np.pi / 16)), rtol=1e-13)
    assert np.all(worst.probability <= worst.at_most)
    assert np.all(worst.probability <= function("{}_bound", side)(gaps, forget_size=7, test_size=5))


def test_the_worst_accuracy_need_not_be_a_half():
    # With one forgotten and one tested sample 2p(1-p) is greatest at 1/2; with few samples that
    # must all agree, at the ends.
    assert float(
        random_sets.worst_two_sided_binomial(1.0, forget_size=1, test_size=1).accuracy
    ) == pytest.approx(0.5, abs=1e-8)
    odd = random_sets.worst_one_sided_binomial(1.0, forget_size=7, test_size=5)  # p^5 (1-p)^7
    assert float(odd.accuracy) == pytest.approx(5 / 12, abs=1e-8)
    np.testing.assert_allclose(odd.probability, (5 / 12) ** 5 * (7 / 12) ** 7, rtol=EXACT)


# A random subset of a finite set
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_subsets_are_scipys_hypergeometric_law(side):
    correct = np.array([[0], [3], [100], [222], [228]])
    gaps = np.array([-0.3, 0.0, 0.02, 0.1, 0.6])
    got = function("{}_subset", side)(gaps, correct=correct, forget_size=57, test_size=171)
    inside = np.arange(58)
    apart = (correct - inside) / 171 - inside / 57
    weights = stats.hypergeom.pmf(inside, 228, correct, 57)
    met = (abs(apart) if side == "two" else apart)[:, None, :] >= gaps[:, None] - 1e-12
    # SciPy's own law is good to about 1e-12 of the commonest outcome's logarithm.
    np.testing.assert_allclose(got, np.sum(weights[:, None, :] * met, -1), rtol=1e-11, atol=1e-300)


def test_subsets_are_counted_one_by_one():
    right = np.array(
        [1, 1, 1, 0, 1, 0, 1, 0, 0]
    )  # nine samples, five of them right, four forgotten
    gaps = np.array(
        [
            right[[i for i in range(9) if i not in chosen]].mean() - right[list(chosen)].mean()
            for chosen in itertools.combinations(range(9), 4)
        ]
    )
    thresholds = np.unique(np.round(gaps, 12))
    got = random_sets.one_sided_subset(thresholds, correct=5, forget_size=4, test_size=5)
    np.testing.assert_allclose(
        got, [np.mean(gaps >= threshold - 1e-9) for threshold in thresholds], rtol=EXACT
    )


def test_subsets_given_the_count_add_up_to_the_binomials():
    # The two laws are one: a binomial draw is a draw of the count and then of the subset.
    counts = np.arange(13)
    weight = stats.binom.pmf(counts, 12, 0.3)
    for side, gap in itertools.product(SIDES, (0.1, 0.4)):
        mixed = weight @ np.asarray(
            function("{}_subset", side)(gap, correct=counts, forget_size=7, test_size=5)
        )
        np.testing.assert_allclose(
            mixed,
            function("{}_binomial", side)(gap, accuracy=0.3, forget_size=7, test_size=5),
            rtol=EXACT,
        )


def test_exact_half_widths_are_the_last_gaps_outside():
    significance = np.array([0.5, 0.05, 1e-4])
    counts, accuracy = np.array([[2], [6], [9]]), np.array([[0.1], [0.5], [0.9]])
    cases = (
        (
            random_sets.two_sided_subset_half_width,
            random_sets.two_sided_subset,
            {"correct": counts},
        ),
        (
            random_sets.two_sided_binomial_half_width,
            random_sets.two_sided_binomial,
            {"accuracy": accuracy},
        ),
    )
    lattice = np.array(
        sorted({abs(Fraction(b, 5) - Fraction(a, 7)) for a in range(8) for b in range(6)}), float
    )
    for half_width, probability, given in cases:
        width = np.asarray(half_width(significance, **given, forget_size=7, test_size=5))
        outside = np.asarray(
            probability(
                lattice,
                **{name: values[:, :, None] for name, values in given.items()},
                forget_size=7,
                test_size=5,
            )
        )
        improbable = outside <= significance[:, None]
        last = np.where(improbable.all(-1), 0, lattice[np.sum(~improbable, -1) - 1])
        np.testing.assert_allclose(width, last, rtol=0, atol=1e-15)
        assert np.all(
            width <= random_sets.two_sided_half_width(significance, forget_size=7, test_size=5)
        )
    certain = random_sets.two_sided_subset_half_width(
        0.05, correct=[0, 12], forget_size=7, test_size=5
    )
    np.testing.assert_array_equal(certain, 0)


def test_departure_is_fishers_exact_test():
    forget, test = np.array([40, 50, 57, 0]), np.array([165, 165, 150, 171])
    found = random_sets.departure(forget / 57, test / 171, forget_size=57, test_size=171)
    fisher = [
        stats.fisher_exact([[a, 57 - a], [b, 171 - b]], alternative="less").pvalue
        for a, b in zip(forget, test, strict=True)
    ]
    np.testing.assert_allclose(found.exact, fisher, rtol=1e-11)
    np.testing.assert_allclose(found.gap, test / 171 - forget / 57, rtol=0, atol=1e-15)
    np.testing.assert_allclose(found.confidence, 1 - np.array(fisher), rtol=1e-11, atol=1e-16)
    assert np.all(found.exact <= found.hoeffding)
    assert found.hoeffding[2] == 1
    assert found.exact[3] < 1e-50


def test_oracles_obey_their_law_and_models_that_saw_the_forget_set_do_not():
    """A random subset of a finite set: a test at 5 % is wrong at most so often, and finds what it
    should.
    """
    right = np.tile(np.arange(228) < 200, (4000, 1))
    shuffled = np.random.default_rng(1).permuted(right, axis=1)
    forget, test = shuffled[:, :57].mean(1), shuffled[:, 57:].mean(1)
    exact = random_sets.departure(forget, test, forget_size=57, test_size=171).exact
    # Discrete: below the level, but not by much. Standard error 0.003.
    assert 0.02 < float(jnp.mean(exact <= 0.05)) < 0.05 + 4 * 0.0035
    worse = random_sets.departure(
        np.maximum(forget - 10 / 57, 0), test, forget_size=57, test_size=171
    )
    assert float(jnp.mean(worse.exact <= 0.05)) > 0.8


# Validation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: random_sets.two_sided_bound(0.1, forget_size=0),
            ValueError,
            "forget_size must be finite and > 0, got 0",
        ),
        (
            lambda: random_sets.two_sided_bound(0.1, forget_size=np.inf),
            ValueError,
            "forget_size must be finite",
        ),
        (
            lambda: random_sets.one_sided_bound(np.nan, forget_size=1),
            ValueError,
            "gap must be finite, got nan",
        ),
        (
            lambda: random_sets.one_sided_bound("1", forget_size=1),
            TypeError,
            "gap must be a real number",
        ),
        (
            lambda: random_sets.two_sided_bound(0.1, forget_size=1, test_size=[1, -1]),
            ValueError,
            r"test_size must be > 0, got -1 at index",
        ),
        (
            lambda: random_sets.two_sided_half_width(1.0, forget_size=1),
            ValueError,
            r"significance must be in \(0, 1\), got 1",
        ),
        (
            lambda: random_sets.two_sided_binomial(0.1, accuracy=1.1, forget_size=3),
            ValueError,
            r"accuracy must be in \[0, 1\], got 1.1",
        ),
        (
            lambda: random_sets.two_sided_binomial(0.1, accuracy=0.5, forget_size=3.0),
            TypeError,
            "forget_size must be an integer",
        ),
        (
            lambda: random_sets.two_sided_binomial(0.1, accuracy=0.5, forget_size=True),
            TypeError,
            "forget_size must be an integer",
        ),
        (
            lambda: random_sets.two_sided_binomial(0.1, accuracy=0.5, forget_size=3, test_size=0),
            ValueError,
            "test_size must be >= 1, got 0",
        ),
        (
            lambda: random_sets.worst_one_sided_binomial(0.1, forget_size=3, test_size=math.inf),
            TypeError,
            "test_size must be an integer",
        ),
        (
            lambda: random_sets.two_sided_subset(0.1, correct=9, forget_size=3, test_size=5),
            ValueError,
            r"correct must be .* = 8, got 9",
        ),
        (
            lambda: random_sets.one_sided_subset(0.1, correct=1.5, forget_size=3, test_size=5),
            ValueError,
            "correct must be a whole number",
        ),
        (
            lambda: random_sets.departure(0.5, 1, forget_size=3, test_size=5),
            ValueError,
            r"forget_accuracy must be .* multiple of 1/3, got 0.5",
        ),
        (
            lambda: random_sets.departure([1, 0], [1, 1, 1], forget_size=3, test_size=5),
            ValueError,
            "departure must broadcast",
        ),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_traced_nonsense_is_not_a_number():
    sizes = {"forget_size": 7, "test_size": 5}
    binomial = jax.jit(
        lambda gap, accuracy: random_sets.two_sided_binomial(gap, accuracy=accuracy, **sizes)
    )
    got = binomial(
        jnp.array([0.4, 0.4, 0.4, jnp.nan, 0.4, 0.0]),
        jnp.array([0.3, -0.1, 1.1, 0.3, jnp.nan, jnp.nan]),
    )
    np.testing.assert_array_equal(np.isnan(got), [False, True, True, True, True, True])
    subset = jax.jit(
        lambda gap, correct: random_sets.one_sided_subset(gap, correct=correct, **sizes)
    )
    got = subset(jnp.array([0.4, 0.4, 0.4, 0.4, jnp.nan]), jnp.array([3.0, -1.0, 13.0, 2.5, 3.0]))
    np.testing.assert_array_equal(np.isnan(got), [False, True, True, True, True])
    # A size below 0 turned the exponent round, an accuracy that no count has was rounded to one
    # that a count has.
    bound = jax.jit(lambda size: random_sets.one_sided_bound(0.1, forget_size=size))
    np.testing.assert_array_equal(
        np.isnan(bound(jnp.array([7.0, -1.0, 0.0, jnp.inf, jnp.nan]))),
        [False, True, True, True, True],
    )
    departed = jax.jit(lambda accuracy: random_sets.departure(accuracy, 0.6, **sizes))(
        jnp.array([3 / 7, 0.5, 8 / 7, -1 / 7])
    )
    for field in departed:
        np.testing.assert_array_equal(np.isnan(field), [False, True, True, True])
    for width in (
        lambda significance: random_sets.two_sided_half_width(significance, forget_size=7),
        lambda significance: random_sets.two_sided_binomial_half_width(
            significance, accuracy=0.5, forget_size=7
        ),
        lambda significance: random_sets.two_sided_subset_half_width(
            significance, correct=3, **sizes
        ),
    ):
        np.testing.assert_array_equal(
            np.isnan(jax.jit(width)(jnp.array([0.1, 0.0, 1.5, jnp.nan]))), [False, True, True, True]
        )


def test_any_infinity_is_the_population():
    law = [
        random_sets.one_sided_binomial(0.1, accuracy=0.5, forget_size=3, test_size=kind(np.inf))
        for kind in (float, np.float32)
    ]
    assert law[0] == law[1]


def test_single_precision():
    with jax.enable_x64(False):
        got = random_sets.two_sided_binomial(
            [0.01, 0.2, 0.5], accuracy=0.9, forget_size=400, test_size=20
        )
        worst = random_sets.worst_one_sided_binomial(0.4, forget_size=7, test_size=5)
        found = random_sets.departure(50 / 57, 165 / 171, forget_size=57, test_size=171)
        assert {values.dtype for values in (got, worst.probability, *found)} == {
            np.dtype(np.float32)
        }
    expected = [enumerated(gap, 0.9, 400, 20, "two") for gap in (0.01, 0.2, 0.5)]
    # Logarithms up to 900 (400 log 10), each rounded to 6e-8 of itself.
    np.testing.assert_allclose(got, expected, rtol=2e-4)
    np.testing.assert_allclose(
        worst.probability,
        random_sets.worst_one_sided_binomial(0.4, forget_size=7, test_size=5).probability,
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        found.exact, stats.fisher_exact([[50, 7], [165, 6]], alternative="less").pvalue, rtol=1e-5
    )


@pytest.mark.parametrize(
    "mutate",
    [
        lambda t, f, m: 2 * np.exp(-2 * t**2 * f),  # the population's form
        lambda t, f, m: 2 * np.exp(-2 * t**2 * (f + m)),
        lambda t, f, m: 2 * np.exp(-4 * t**2 * f * m / (f + m)),
        lambda t, f, m: np.exp(-2 * t**2 * max(f, m)),
    ],
)
def test_the_exact_law_refutes_wrong_bounds(mutate):
    gaps = np.array([0.2, 0.3, 0.5])
    true = np.asarray(
        random_sets.two_sided_binomial(gaps, accuracy=0.5, forget_size=400, test_size=20)
    )
    assert np.all(true <= random_sets.two_sided_bound(gaps, forget_size=400, test_size=20))
    assert np.any(true > mutate(gaps, 400, 20))
