"""Fits of exponents: exact data give the exponent, intervals cover it, and scipy's fit agrees."""

import jax
import mpmath
import numpy as np
import pytest
import scipy.optimize

from derivations.hierarchy import finite_size
from rhm_theory.theory import mean_field, scaling

SIZES = 2.0 ** np.arange(3, 10)


@pytest.mark.parametrize("exponent", [-0.7, 0.0, 0.365, 2.5])
def test_exact_data_give_the_exponent(exponent):
    found = scaling.power_law(SIZES, 3 * SIZES**exponent, 0.01 * SIZES**exponent)
    assert found.exponent == pytest.approx(exponent, abs=1e-5)  # a grid of 1e-3 and a parabola
    assert found.low < exponent < found.high
    assert found.amplitude == pytest.approx(3, rel=1e-4)
    assert found.misfit < 1e-6
    growth = np.log(SIZES) if exponent == 0 else (SIZES**exponent - 1) / exponent
    found = scaling.approach(SIZES, 2 + 0.5 * growth, np.full(7, 0.01))
    assert found.exponent == pytest.approx(exponent, abs=1e-4)
    rebuilt = (
        found.offset + found.amplitude * np.expm1(found.exponent * np.log(SIZES)) / found.exponent
    )
    np.testing.assert_allclose(
        rebuilt, 2 + 0.5 * growth, rtol=1e-3
    )  # offset and amplitude alone are less certain than their sum
    assert (found.freedom, scaling.power_law(SIZES, growth, growth).freedom) == (4, 5)


def test_agrees_with_scipy_on_noisy_data():
    random, errors = np.random.default_rng(0), np.full(7, 0.05)
    values = 1 + 0.8 * SIZES**0.4 + errors * random.standard_normal(7)
    model = lambda d, offset, amplitude, a: offset + amplitude * (d**a - 1) / a  # noqa: E731
    other, covariance = scipy.optimize.curve_fit(
        model, SIZES, values, (1, 0.5, 0.3), errors, absolute_sigma=True
    )
    found = scaling.approach(SIZES, values, errors)
    np.testing.assert_allclose((found.offset, found.amplitude, found.exponent), other, rtol=1e-3)
    assert (found.high - found.low) / 2 == pytest.approx(
        1.96 * np.sqrt(covariance[2, 2]), rel=0.05
    )  # curvature against profile
    assert found.misfit == pytest.approx(
        np.sum(((model(SIZES, *other) - values) / errors) ** 2), rel=1e-6
    )


@pytest.mark.slow
def test_intervals_cover():
    """300 noisy repetitions.

    95 % intervals cover in 91 to 98 % (a binomial count outside has probability 2e-3).
    """
    random, errors = np.random.default_rng(1), 0.1 * SIZES**0.2
    truth = 2 * SIZES**0.3
    fits = [
        scaling.power_law(SIZES, truth + errors * random.standard_normal(7), errors)
        for _ in range(300)
    ]
    assert 273 <= sum(fit.low <= 0.3 <= fit.high for fit in fits) <= 294


@pytest.mark.parametrize(("vocabulary", "rules"), [(64, 8), (16, 4)])
def test_mean_field_peaks_are_of_the_form_and_have_the_exponent_of_theory(vocabulary, rules):
    numbers = {"vocabulary": vocabulary, "rules_per_symbol": rules, "branching": 2}
    depths = np.arange(
        30, 46, 2
    )  # what is left of corrections falls with the powers of smaller eigenvalues
    heights = np.asarray(mean_field.susceptibility_peak(**numbers, depth=depths).height)
    found = scaling.approach(2.0**depths, heights, 1e-4 * heights)
    assert found.exponent == pytest.approx(2 / float(mean_field.exponent(**numbers)) - 1, abs=4e-3)
    assert (found.exponent > 0) == bool(mean_field.criticality(**numbers).diverges)


SYSTEMS = ((64, 8, 2), (32, 8, 2), (16, 4, 2), (8, 16, 3), (40, 7, 2))


def named(system):
    return dict(zip(("vocabulary", "rules_per_symbol", "branching"), system, strict=True))


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_closed_form_is_the_recursion_at_the_critical_noise(system):
    depth = np.array([1, 2, 5, 12])
    noise = mean_field.critical_noise(**named(system))
    np.testing.assert_allclose(
        scaling.critical_susceptibility(**named(system), depth=depth),
        mean_field.susceptibility(noise, **named(system), depth=depth),
        rtol=1e-12,
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_growing_terms_leave_nothing_at_large_depths(system):
    """Against the claim's recursions in many digits, at depths where the float recursion fails."""
    found = scaling.critical_growth(**named(system), terms=3)
    growing = int(found.growing)
    nu = float(mean_field.exponent(**named(system)))
    assert growing == (2 if nu < 1.5 else 1 if nu < 2 else 0)
    assert growing == np.sum(found.exponents > 0)
    errors = []
    for depth in (60, 90, 120):
        with mpmath.workdps(finite_size.critical.digits(system, depth)):
            belief = finite_size.critical.critical(system).belief
            chi = finite_size.critical.recursive_susceptibility(system, depth, belief)
            leaves = mpmath.mpf(system[2]) ** depth
            # Powers in many digits: those in floats would be off by more than the constant.
            kept = finite_size.critical.growing_terms(system, finite_size.critical.critical(system))
            errors.append(float(abs(chi - sum(A * leaves**power for power, A in kept))))
    powers, amplitudes = (
        np.array([[float(number) for number in term] for term in kept[:-1]]).reshape(-1, 2).T
    )
    np.testing.assert_allclose(found.exponents[:growing], powers, rtol=1e-12)
    np.testing.assert_allclose(found.amplitudes[:growing], amplitudes, rtol=1e-9)
    assert float(found.constant) == pytest.approx(float(kept[-1][1]), rel=1e-9)
    # What is left falls with the next power.
    slope = np.diff(np.log(errors)) / (30 * np.log(system[2]))
    np.testing.assert_allclose(slope, float(found.exponents[growing]), rtol=0.02)


def test_one_power_and_a_constant_are_the_wrong_form_below_three_halves():
    """(64, 8, 2): what A d^a leaves exceeds any constant. The numbers are those of the attack."""
    system, left = (64, 8, 2), []
    with mpmath.workdps(300):
        found = finite_size.critical.critical(system)
        power, amplitude = finite_size.critical.growing_terms(system, found)[0]
        for depth in (20, 80, 160, 320):
            chi = finite_size.critical.recursive_susceptibility(system, depth, found.belief)
            left.append(float(chi - amplitude * mpmath.mpf(2) ** (depth * power)))
    np.testing.assert_allclose(left, [-2.483, -7.673, -85.13, -16284.04], rtol=2e-4)
    second = scaling.critical_growth(**named(system))
    predicted = second.constant + second.amplitudes[1] * 2.0 ** (
        second.exponents[1] * np.array([80, 160, 320])
    )
    np.testing.assert_allclose(left[1:], predicted, rtol=1e-6)


def test_the_growth_is_a_logarithm_at_nu_2():
    """Between 1 and v^(s-1) there is an m with nu = 2; it need not be a whole number."""
    rules = scipy.optimize.brentq(
        lambda m: float(mean_field.exponent(vocabulary=32, rules_per_symbol=m, branching=2)) - 2,
        8,
        12,
    )
    numbers = {"vocabulary": 32, "rules_per_symbol": rules, "branching": 2}
    depth = np.array([40, 60, 80])
    chi = np.asarray(scaling.critical_susceptibility(**numbers, depth=depth))
    assert np.diff(chi)[1] == pytest.approx(np.diff(chi)[0], rel=1e-4)


def test_no_transition_has_no_critical_susceptibility():
    numbers = {"vocabulary": 32, "rules_per_symbol": 32, "branching": 2}
    assert np.isnan(scaling.critical_susceptibility(**numbers, depth=3))
    assert int(scaling.critical_growth(**numbers).growing) == 0
    with pytest.raises(TypeError, match="depth must be an integer"):
        scaling.critical_susceptibility(**numbers, depth=3.5)
    with pytest.raises(ValueError, match="depth must be >= 1"):
        scaling.critical_susceptibility(**numbers, depth=0)


def test_two_powers_are_recovered():
    sizes = 2.0 ** np.arange(3, 19)
    a = 0.4
    values = -1.5 + 2 * sizes**a - 0.5 * sizes ** (a - (1 - a) / 2)
    found = scaling.approach(sizes, values, 1e-3 * values, terms=2)
    assert found.exponent == pytest.approx(a, abs=1e-4)
    assert found.amplitude == pytest.approx(2 * a, rel=1e-2)
    assert found.further == pytest.approx((-0.5 * (a - (1 - a) / 2),), rel=1e-1)
    assert found.misfit < 1e-3
    assert scaling.approach(sizes, values, 1e-3 * values).misfit > 100 * found.misfit
    with pytest.raises(ValueError, match="size must be at least 4 distinct numbers"):
        scaling.approach(sizes[:3], values[:3], values[:3], terms=2)


def test_what_nothing_bounds_ends_where_the_search_ends():
    found = scaling.approach([8, 32, 128], [1, 1.1, 1.2], [5, 5, 5])
    assert (found.low, found.high) == (-4, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [1, 2], [1, 1]), "size must be at least 3 distinct numbers"),
        (([1, 2, 2], [1, 2, 3], [1, 1, 1]), "size must be at least 3 distinct numbers"),
        (([1, 2, 0], [1, 2, 3], [1, 1, 1]), "size must be finite and > 0"),
        (([1, 2, 3], [1, 2], [1, 1, 1]), r"value must have shape \(3,\)"),
        (([1, 2, 3], [1, 2, np.nan], [1, 1, 1]), "value must be finite"),
        (([1, 2, 3], [1, 2, 3], [1, 0, 1]), "error must be finite and > 0"),
        (([1, 2, 1e50], [1, 2, 3], [1, 1, 1]), "size must span less than a factor of 1e43"),
        (([1, 2, 3], [1, 2, 3], [1, 1e-200, 1]), "error must not be below 1e-60"),
    ],
)
def test_bad_input_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        scaling.approach(*arguments)


def test_a_fit_is_not_traced():
    with pytest.raises(TypeError, match="the arguments of a fit must be concrete"):
        jax.jit(lambda value: scaling.power_law([1, 2, 3], value, [1, 1, 1]).exponent)(np.ones(3))
