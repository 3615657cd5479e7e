"""The libraries' closed forms against the derivations' expressions and enumerations."""

import numpy as np
import pytest
import sympy as sp

import derivations
import gda_theory as gt
import rhm_theory as rt
from derivations.hierarchy import controls, enumeration, mean_field, tree_correlations
from derivations.hierarchy.enumeration import SMALL

SYSTEMS = ((16, 4, 2), (8, 16, 3), (5, 3, 2))
# A few roundings for each of the two sides.
EXACT = 64 * np.finfo(float).eps


def at(expression, vocabulary, rules, branching):
    """A function of p."""
    values = dict(
        zip((mean_field.v, mean_field.m, mean_field.s), (vocabulary, rules, branching), strict=True)
    )
    return sp.lambdify(mean_field.p, expression.subs(values), "numpy")


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


@pytest.mark.parametrize("system", mean_field.TRANSITIONS)
def test_the_transition_lies_in_its_enclosure(system):
    found = rt.mean_field.criticality(
        **dict(zip(("vocabulary", "rules_per_symbol", "branching"), system, strict=True))
    )
    certified = mean_field.certified_transition(system)
    for value, ball in zip(
        (found.belief, found.noise, found.slope, found.exponent), certified, strict=True
    ):
        assert float(value) == pytest.approx(
            float(ball.mid()), rel=1e-14
        )  # the ends of ln F' cancel digits at no point
    assert bool(found.diverges) == (float(certified.exponent.mid()) < 2)


@pytest.mark.parametrize(
    "system",
    [tree_correlations.System(), tree_correlations.System(vocabulary=3, branching=3, depth=2)],
)
def test_correlations_are_those_of_all_states(system):
    noise = float((1 - system.belief) / (1 - sp.Rational(1, system.vocabulary)))
    numbers = {
        "vocabulary": system.vocabulary,
        "rules_per_symbol": system.rules_per_symbol,
        "branching": system.branching,
    }
    found = rt.mean_field.correlations(noise, **numbers, depth=system.depth)
    variance, *covariances = (float(value) for value in tree_correlations.enumerated(system))
    assert float(found.variance) == pytest.approx(variance, rel=1e-14)
    np.testing.assert_allclose(found.covariance, covariances, rtol=1e-13)
    partners = (system.branching - 1) * system.branching ** np.arange(system.depth)
    assert float(found.susceptibility) == pytest.approx(
        1 + partners @ covariances / variance, rel=1e-14
    )


def test_a_peak_that_settles_need_not_stand_at_the_transition():
    system, depth, place = tree_correlations.ELSEWHERE
    depth = [depth, 2 * depth]
    numbers = dict(zip(("vocabulary", "rules_per_symbol", "branching"), system, strict=True))
    peak = rt.mean_field.susceptibility_peak(**numbers, depth=depth)
    np.testing.assert_allclose(peak.noise, float(place), atol=1e-4)
    np.testing.assert_allclose(
        peak.height, float(derivations.claim("rhm-finite-size").claimed["largest"]), atol=5e-5
    )
    at_transition = rt.mean_field.susceptibility(
        rt.mean_field.critical_noise(**numbers), **numbers, depth=depth
    )
    assert np.all(peak.height > 1.29 * at_transition)


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


@pytest.mark.parametrize("small", SMALL[:2], ids=lambda grammar: f"branching {grammar.branching}")
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


@pytest.mark.parametrize("gap", [0.03, 0.01])
def test_the_logistic_cusp_is_found_for_almost_equal_samples(gap):
    solved, _ = derivations.claim("logistic-cusp-near-one").evaluate(gap_to_one=gap)
    assert float(gt.pair.cusp(1 - gap).log_retain_ratio) == pytest.approx(
        np.log(solved / gap), abs=1e-10
    )
