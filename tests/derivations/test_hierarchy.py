"""The libraries' closed forms against the derivations' expressions and enumerations."""

from fractions import Fraction
from typing import NamedTuple

import mpmath
import numpy as np
import pytest
import sympy as sp

import derivations
import gda_theory as gt
import rhm_theory as rt
from derivations.hierarchy import (
    controls,
    enumeration,
    finite_size,
    flat_models,
    mean_field,
    tree_measures,
)
from derivations.hierarchy.enumeration import SMALL
from derivations.hierarchy.measures import Shape
from derivations.ledger import certificates

SYSTEMS = ((16, 4, 2), (8, 16, 3), (5, 3, 2))
# A few roundings for each of the two sides.
EXACT = 64 * np.finfo(float).eps


def at(expression, vocabulary, rules, branching):
    """A function of p."""
    values = dict(
        zip(
            (mean_field.maps.v, mean_field.maps.m, mean_field.maps.s),
            (vocabulary, rules, branching),
            strict=True,
        )
    )
    return sp.lambdify(mean_field.maps.p, expression.subs(values), "numpy")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_map_and_its_slope_are_the_claims(system):
    vocabulary, rules, branching = system
    numbers = {"vocabulary": vocabulary, "rules_per_symbol": rules, "branching": branching}
    belief = np.linspace(0.05, 1, 20)
    up, slope = (
        derivations.claim(name).claimed[key]
        for name, key in (("rhm-upward-map", "F"), ("rhm-upward-slope", "slope"))
    )
    np.testing.assert_allclose(
        rt.mean_field.step(belief, **numbers), at(up, *system)(belief), rtol=EXACT
    )
    np.testing.assert_allclose(
        rt.mean_field.slope(belief, **numbers), at(slope, *system)(belief), rtol=EXACT
    )


@pytest.mark.parametrize("system", mean_field.values.TRANSITIONS)
def test_the_transition_lies_in_its_enclosure(system):
    found = rt.mean_field.criticality(
        **dict(zip(("vocabulary", "rules_per_symbol", "branching"), system, strict=True))
    )
    certified = mean_field.values.certified_transition(system)
    for value, ball in zip(
        (found.belief, found.noise, found.slope, found.exponent), certified, strict=True
    ):
        assert float(value) == pytest.approx(
            float(ball.mid()), rel=1e-14
        )  # the ends of ln F' cancel digits at no point
    assert bool(found.diverges) == (float(certified.exponent.mid()) < 2)


class Enumerable(NamedTuple):
    """A hierarchy whose states can be enumerated, and p_0."""

    vocabulary: int
    rules_per_symbol: int
    branching: int
    depth: int
    belief: Fraction

    def covariances(self) -> list[Fraction]:
        """Variance of a leaf, then its covariance with one leaf at each tree distance, exactly."""
        leaves, *_ = tree_measures.all_states(Shape(*self[:3]), self.belief, self.depth)
        nearest = [0, *(self.branching**height for height in range(self.depth))]
        return [tree_measures.covariance_of(leaves, 0, leaf) for leaf in nearest]

    def susceptibility(self) -> Fraction:
        variance, *covariances = self.covariances()
        partners = [(self.branching - 1) * self.branching**k for k in range(self.depth)]
        pairs = zip(partners, covariances, strict=True)
        return 1 + sum(number * covariance for number, covariance in pairs) / variance


@pytest.mark.parametrize(
    "system",
    [Enumerable(4, 2, 2, 3, Fraction(7, 10)), Enumerable(3, 2, 3, 2, Fraction(7, 10))],
)
def test_correlations_are_those_of_all_states(system):
    noise = float((1 - system.belief) / (1 - Fraction(1, system.vocabulary)))
    numbers = {
        "vocabulary": system.vocabulary,
        "rules_per_symbol": system.rules_per_symbol,
        "branching": system.branching,
    }
    found = rt.mean_field.correlations(noise, **numbers, depth=system.depth)
    variance, *covariances = (float(value) for value in system.covariances())
    assert float(found.variance) == pytest.approx(variance, rel=1e-14)
    np.testing.assert_allclose(found.covariance, covariances, rtol=1e-13)
    assert float(found.susceptibility) == pytest.approx(float(system.susceptibility()), rel=1e-14)


# p* = (m-1)/(v-m) is rational for s = 2.
@pytest.mark.parametrize(
    "system",
    [
        Enumerable(4, 2, 2, 3, Fraction(1, 2)),
        Enumerable(9, 3, 2, 3, Fraction(1, 3)),
        Enumerable(16, 4, 2, 3, Fraction(1, 4)),
    ],
)
def test_the_closed_form_at_the_transition_is_that_of_all_states(system):
    """Exactly, in rational numbers."""
    sizes = dict(
        zip(
            (finite_size.critical.v, finite_size.critical.m, finite_size.critical.s),
            system,
            strict=False,
        )
    )
    values = sizes | {finite_size.critical.p: sp.Rational(system.belief)}
    exact = {
        finite_size.critical.p_star: values[finite_size.critical.p],
        finite_size.critical.w_m: finite_size.critical.true_rule.subs(values),
        finite_size.critical.A_m: sum(
            values[finite_size.critical.p] ** k for k in range(system.branching)
        ),
        finite_size.critical.slope_star: finite_size.critical.slope_of_upward.subs(values),
        finite_size.critical.depth: system.depth,
    }
    exact[finite_size.critical.damped] = (
        exact[finite_size.critical.w_m] / exact[finite_size.critical.A_m]
    )
    conclusion = derivations.claim("rhm-critical-susceptibility").theorem.conclusions["χ"]
    closed = conclusion.right.subs(sizes).subs(exact)
    assert sp.nsimplify(closed) == sp.Rational(system.susceptibility())


def test_a_peak_that_settles_need_not_stand_at_the_transition():
    system, depth, place = finite_size.peaks.ELSEWHERE
    depth = [depth, 2 * depth]
    numbers = dict(zip(("vocabulary", "rules_per_symbol", "branching"), system, strict=True))
    peak = rt.mean_field.susceptibility_peak(**numbers, depth=depth)
    np.testing.assert_allclose(peak.noise, float(place), atol=1e-4)
    np.testing.assert_allclose(
        peak.height,
        float(derivations.claim("rhm-largest-susceptibility").claimed["largest"]),
        atol=5e-5,
    )
    at_transition = rt.mean_field.susceptibility(
        rt.mean_field.critical_noise(**numbers), **numbers, depth=depth
    )
    assert np.all(peak.height > 1.29 * at_transition)


def test_no_noise_gives_more_than_the_largest_susceptibility():
    """A grid over all noises stays below the certified bound, and one of 1e-4 less is refused."""
    system, depth, _ = finite_size.peaks.ELSEWHERE
    numbers = dict(zip(("vocabulary", "rules_per_symbol", "branching"), system, strict=True))
    chi = rt.mean_field.susceptibility(np.linspace(0, 1, 2001), **numbers, depth=depth)
    assert 3.3066 < np.max(chi) < 3.30675
    proof = derivations.claim("rhm-largest-susceptibility").prove(largest=sp.Rational("3.3066"))
    assert not proof.holds
    share = str(1 - sp.Rational(1, system[0]))
    arguments = (sp.Rational("3.3066"), system, depth)
    cover = certificates.Cover("too low", (("0", share),), finite_size.peaks.below_bound, arguments)
    assert cover.verify().holds is False


@pytest.mark.parametrize(
    ("parameters", "terms"),
    [
        ({}, 2),
        ({"vocabulary": 32}, 1),
        ({"vocabulary": 256, "rules_per_symbol": 16, "depth": 640}, 4),
        ({"vocabulary": 300, "rules_per_symbol": 300, "branching": 3, "depth": 640}, 8),
        ({"vocabulary": 16, "rules_per_symbol": 4, "depth": 640}, 0),
    ],
)
def test_all_growing_powers_are_needed(parameters, terms):
    """Without the last of them, what is left exceeds any constant."""
    claim = derivations.claim("rhm-finite-size")
    computed, claimed = claim.evaluate(**parameters)
    assert computed == pytest.approx(claimed, rel=1e-12)
    numbers = {"vocabulary": 64, "rules_per_symbol": 8, "branching": 2} | parameters
    depth = numbers.pop("depth", 320)
    system = tuple(numbers.values())
    with mpmath.workdps(finite_size.critical.digits(system, depth)):
        found = finite_size.critical.critical(system)
        kept = finite_size.critical.growing_terms(system, found)
        leaves = mpmath.mpf(system[2]) ** depth
        chi = finite_size.critical.recursive_susceptibility(system, depth, found.belief)
        left = abs(chi - sum(amplitude * leaves**power for power, amplitude in kept))
        assert len(kept) - 1 == terms
        assert left < 0.05
        if terms:
            power, amplitude = kept[-2]
            assert abs(amplitude * leaves**power) > 100 * left


def test_the_last_printed_digit_of_each_critical_value_is_checked():
    claim = derivations.claim("rhm-critical-values")
    moved = {"exponent_16_4": "1e-7", "exponent_32_8": "1e-7", "exponent_64_8": "1e-7"}
    moved |= {"noise_8_16": "1e-10", "exponent_8_16": "1e-7", "noise_32_8": "1e-12"}
    for name, unit in moved.items():
        for way in (-1, 1):
            wrong = claim.claimed[name] + way * sp.Rational(unit)
            assert claim.broken_step(**{name: wrong}), name


def test_the_sign_of_a_pair_is_that_of_its_power():
    """v^u - 1 enters the step: with 1 - v^u in its place the proof breaks."""
    steps, gap, v = mean_field.maps.steps, mean_field.maps.gap, mean_field.maps.v
    claim = derivations.claim("rhm-transition")
    reverse = (steps - gap) * (v**gap - v**steps)
    (step,) = (step for step in claim.steps(pair_difference=reverse) if "grows" in step.text)
    values = {symbol: 2 for symbol in step.expression.free_symbols}
    assert step.expression.subs(values) < 0


@pytest.mark.parametrize(
    ("spectrum", "start"),
    [
        ((1, 1, 0, 0), 2),  # χ is 2 at every noise
        ((3, 1, 1, 0, 0), 5 / 3),
        ((2, 0, 0, 0), 4),
        ((3, 2, 1), 1),
    ],
)
def test_a_gaussian_field_with_zero_modes_starts_above_one(spectrum, start):
    noise = np.concatenate([[1e-12], np.linspace(1e-3, 1, 400)])
    formula = sp.lambdify((controls.S, controls.signal, controls.sigma2), controls.response)
    modes = np.array([formula(float(each), 1 - noise, noise) for each in spectrum])
    chi = modes[0] / modes.mean(0)
    assert chi[0] == pytest.approx(start, rel=1e-10)
    assert chi[-1] == pytest.approx(spectrum[0] / np.mean(spectrum))
    constant = set(spectrum) <= {0, spectrum[0]}
    assert np.ptp(chi) < 1e-12 if constant else np.all(np.diff(chi) > 0)


@pytest.mark.parametrize("decay", [0.05, 0.3, 0.5, 0.9])
def test_the_fourier_integral_of_a_power_is_a_power(decay):
    values = [float(controls.cosine_integral(decay, distance)) for distance in (1.0, 7.0)]
    for computed, distance in zip(values, (1.0, 7.0), strict=True):
        closed = distance ** (decay - 1) * mpmath.gamma(1 - decay) * np.sin(np.pi * decay / 2)
        assert computed == pytest.approx(float(closed), rel=1e-10)
        assert computed > 0
    assert np.log(values[1] / values[0]) == pytest.approx((decay - 1) * np.log(7))


def test_a_long_ring_comes_near_the_power():
    """A check of the library's finite ring, which the claim leaves out: its slope between sites."""
    field = rt.controls.gaussian_field(2**22, 0.5)
    covariance = np.fft.irfft(np.asarray(field.spectrum), field.length)
    slope = np.log(covariance[128] / covariance[64]) / np.log(2)
    assert slope == pytest.approx(-0.5, abs=0.02)


@pytest.mark.parametrize("chain", flat_models.CHAINS)
def test_each_listed_chain_agrees_with_the_library(chain):
    evidence, _, mean, variance, _ = flat_models.chain_by_sequences(chain)
    assert flat_models.chain_by_passes(chain) == flat_models.chain_by_sequences(chain)
    model = rt.controls.HiddenMarkov(
        transition=np.array(chain.transition, float),
        initial=np.array(chain.initial, float),
        emission=np.array(chain.emission, float)[None],
        length=len(chain.start),
    )
    likelihood = np.array(chain.likelihood, float)
    assert float(model.log_evidence(likelihood)) == pytest.approx(np.log(float(evidence)))
    moments = model.change_moments(likelihood, np.array(chain.start))
    assert float(moments.mean) == pytest.approx(float(mean))
    assert float(moments.variance) == pytest.approx(float(variance), abs=1e-14)


def test_two_parts_and_unbiased_have_no_step_that_reads_the_same_on_both_sides():
    for name in ("rhm-two-parts", "rhm-unbiased"):
        steps = derivations.claim(name).own_steps
        sides = [step for step in steps if hasattr(step, "left")]
        assert sides
        assert all(sp.sympify(step.left) != sp.sympify(step.right) for step in sides)


@pytest.mark.parametrize(("system", "grows"), [((64, 8, 2), True), ((16, 4, 2), False)])
def test_susceptibility_at_the_transition_follows_its_exponent(system, grows):
    numbers = dict(zip(("vocabulary", "rules_per_symbol", "branching"), system, strict=True))
    critical = rt.mean_field.criticality(**numbers)
    chi = np.asarray(
        rt.mean_field.susceptibility(critical.noise, **numbers, depth=np.array([8, 16, 24]))
    )
    growth = np.diff(np.log(chi)) / (8 * np.log(2))
    if grows:
        # (λ^L relative corrections; 0.365)
        assert growth[1] == pytest.approx(float(critical.susceptibility_growth), abs=0.02)
        assert abs(growth[1] - float(critical.susceptibility_growth)) < abs(
            growth[0] - float(critical.susceptibility_growth)
        )
    else:
        # (sλ²)^L = 0.925^L are the terms of a convergent sum.
        ratio = float(critical.kesten_stigum) ** 8
        assert np.diff(chi)[1] / np.diff(chi)[0] == pytest.approx(ratio, rel=0.02)


@pytest.mark.parametrize(
    "small",
    [
        pytest.param(SMALL[0], id=f"branching {SMALL[0].branching}"),
        pytest.param(SMALL[1], id=f"branching {SMALL[1].branching}", marks=pytest.mark.slow),
    ],
)
def test_inference_is_that_of_all_trees(small):
    grammar = rt.Grammar(np.array(small.tables))
    exact = enumeration.generic_likelihood(small)
    likelihood = np.array(exact, float)
    chances = enumeration.tree_weights(small, exact)
    evidence = sum(chances)
    assert float(rt.log_evidence(grammar, likelihood)) == pytest.approx(
        float(sp.log(sp.Rational(str(evidence)))), rel=1e-14
    )
    for level, marginals in enumerate(rt.marginals(grammar, likelihood)):
        for node, symbol in np.ndindex(*marginals.shape):
            pairs = zip(chances, enumeration.trees(small), strict=True)
            expected = (
                sum(chance for chance, tree in pairs if tree.levels[level][node] == symbol)
                / evidence
            )
            assert float(marginals[node, symbol]) == pytest.approx(
                float(expected), rel=1e-13, abs=1e-16
            )
    start = enumeration.trees(small)[-1].leaves
    found = rt.change_moments(grammar, likelihood, np.array(start))
    expected = enumeration.enumerated_moments(small, exact, start)
    for value, reference in zip(
        (found.mean, found.variance, found.leaf_variance, *found.pair_sums),
        (expected.mean, expected.variance, expected.leaf_variance, *expected.pair_sums),
        strict=True,
    ):
        assert float(value) == pytest.approx(float(reference), rel=1e-13, abs=1e-15)


def test_the_affine_grammar_is_the_librarys():
    ours = rt.Grammar.affine(
        vocabulary=3, rules_per_symbol=2, branching=2, depth=2, multiplier=2, offset=1
    )
    np.testing.assert_array_equal(ours.rules, SMALL[0].tables)


def test_the_control_is_the_claims():
    field = rt.controls.gaussian_field(16, 0.5)
    noise = 0.3
    formula = sp.lambdify(
        (controls.S, controls.signal, controls.sigma2),
        derivations.claim("gaussian-control-response").claimed["variance"],
    )
    np.testing.assert_allclose(
        field.response(noise).modes,
        formula(np.asarray(field.spectrum), 1 - noise, noise),
        rtol=EXACT,
    )


@pytest.mark.slow
def test_the_logistic_cusp_follows_its_closed_forms():
    explicit = derivations.claim("logistic-cusp-closed-form")
    for correlation in (0.05, 0.1, 0.2):
        solved, claimed = explicit.evaluate(correlation=correlation)
        found = float(gt.pair.cusp(correlation).log_retain_ratio)
        assert found == pytest.approx(solved, abs=1e-10)
        assert abs(found - claimed) < correlation**4
    limit = float(derivations.claim("logistic-cusp-near-one").claimed["constant"])
    gaps = np.array([0.1, 0.05])
    found = np.array([float(gap * gt.pair.cusp(1 - gap).retain_ratio) for gap in gaps])
    # Richardson: the error is of first order in 1 - ε, and the next one of second.
    assert 2 * found[1] - found[0] == pytest.approx(limit, rel=5 * gaps[0] ** 2)
    assert found[1] != pytest.approx(limit, rel=5 * gaps[0] ** 2)


@pytest.mark.parametrize("gap", [pytest.param(0.03, marks=pytest.mark.slow), 0.01])
def test_the_logistic_cusp_is_found_for_almost_equal_samples(gap):
    solved, _ = derivations.claim("logistic-cusp-near-one").evaluate(gap_to_one=gap)
    assert float(gt.pair.cusp(1 - gap).log_retain_ratio) == pytest.approx(
        np.log(solved / gap), abs=1e-10
    )
