"""Fits of exponents: exact data give the exponent, intervals cover it, and scipy's fit agrees."""

import jax
import numpy as np
import pytest
import scipy.optimize

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
