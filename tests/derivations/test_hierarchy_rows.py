"""Wrong forms of the claims about hierarchies, each violated at a point where it must be."""

from fractions import Fraction

import mpmath
import pytest
import sympy as sp

import derivations
import rhm_theory as rt
from derivations.hierarchy import enumeration, hierarchy, mean_field, measurement, measures
from derivations.ledger import domains, search, theorems


def wrongly(identifier, **conclusions):
    """The search against the theorem of a claim with other conclusions."""
    theorem = derivations.claim(identifier).theorem
    return search.search(theorem._replace(conclusions=conclusions), "wrong").violation


@pytest.mark.parametrize("end", [mean_field.maps.fewest, mean_field.maps.most])
@pytest.mark.parametrize(("vocabulary", "branching"), [(2, 2), (16, 2), (5, 3)])
def test_no_interior_fixed_point_at_an_end_of_the_range(end, vocabulary, branching):
    rules = end.subs({mean_field.maps.v: vocabulary, mean_field.maps.s: branching})
    numbers = {"vocabulary": vocabulary, "branching": branching}
    claim = derivations.claim("rhm-transition")
    judged = claim.at(**numbers, rules_per_symbol=Fraction(int(rules.p), int(rules.q)))
    assert all(one.holds is not False for one in judged.values())
    assert judged["existence"].sides == (False, False)
    closed = theorems.Iff(
        theorems.Eq(mean_field.transition.count_between, 1),
        (
            theorems.Ge(mean_field.maps.m, mean_field.maps.fewest),
            theorems.Le(mean_field.maps.m, mean_field.maps.most),
        ),
    )
    assert wrongly("rhm-transition", existence=closed)


@pytest.mark.parametrize(
    ("noise", "recovered", "lost"),
    [("0.8", False, False), ("0.799999999999", True, False), ("0.800000000001", False, True)],
)
def test_at_the_critical_noise_the_root_is_neither_recovered_nor_lost(noise, recovered, lost):
    numbers = {"vocabulary": 16, "rules_per_symbol": 4, "branching": 2}
    judged = derivations.claim("rhm-critical-noise").at(**numbers, noise=noise)
    assert all(one.holds for one in judged.values())
    assert judged["recovered"].sides == (recovered, recovered)
    assert judged["lost"].sides == (lost, lost)


def test_another_exponent_of_the_correlated_size_is_violated():
    order = derivations.claim("rhm-exponent").theorem.conclusions["ν"]
    nu = mean_field.transition.log_size * mean_field.transition.closeness - order.error
    for factor in (sp.Rational(9, 10), sp.Rational(11, 10)):
        wrong = order.error + nu * (1 - factor)
        assert wrongly("rhm-exponent", ν=order._replace(error=wrong))


def test_the_slope_vanishes_without_belief_and_a_ring_is_too_small_beyond_its_half():
    slopes = derivations.claim("rhm-upward-slope").theorem
    at_none = slopes._replace(
        domain=slopes.domain | {mean_field.maps.p: domains.between(0, 0, "[]")}
    )
    assert search.search(at_none, "none").violation.conclusion == "F' > 0"
    pairs = derivations.claim("rhm-sample-covariance").theorem
    beyond = theorems.Gt(measurement.distance, measurement.leaves)
    far = pairs._replace(hypotheses=(beyond,), points=40)
    assert search.search(far, "far").violation.conclusion == "ring"


def test_changes_are_small_only_where_no_sequence_is_near():
    """Without noise the susceptibility need not be 1, nor a number below the least distance."""
    theorem = derivations.claim("rhm-zero-noise").theorem
    order = theorem.conclusions["χ"]
    for wrong in (sp.Integer(1), hierarchy.laws.least - 1, hierarchy.laws.least + 1):
        error = hierarchy.laws.chi - wrong
        assert wrongly("rhm-zero-noise", χ=order._replace(error=error))


def test_fixed_points_are_those_of_the_library():
    shape = measures.Shape(*map(mpmath.mpf, (8, 16, 3)))
    (found,) = measures.interior_fixed_points(shape)
    critical = rt.mean_field.criticality(vocabulary=8, rules_per_symbol=16, branching=3)
    assert float(found) == pytest.approx(float(critical.belief), rel=1e-14)
    slope = measures.slope_at(lambda at: measures.bayes(shape, at), found)
    assert float(slope) == pytest.approx(float(critical.slope), rel=1e-14)


@pytest.mark.parametrize("system", [(2, 1, 2), (3, 1, 2), (2, 2, 3)])
def test_the_mean_of_the_quotient_is_not_the_map(system):
    vocabulary, rules, branching = system
    belief = Fraction(7, 10)
    child = [belief, *[(1 - belief) / (vocabulary - 1)] * (vocabulary - 1)]
    found = [
        enumeration.upward(enumeration.Grammar((table,)), [child] * branching)[1][0]
        for table in enumeration.random_tables(vocabulary, rules, branching)
    ]
    mean = sum(messages[0] / sum(messages) for messages in found) / len(found)
    means = mean_field.maps.mean_messages(system, belief)
    of_means = means.true_symbol / means.all_symbols
    values = dict(
        zip((mean_field.maps.v, mean_field.maps.m, mean_field.maps.s), system, strict=True)
    )
    claimed = derivations.claim("rhm-upward-map").claimed["F"]
    exact = claimed.subs(values | {mean_field.maps.p: sp.Rational(7, 10)})
    assert of_means == Fraction(int(exact.p), int(exact.q))
    assert abs(mean - of_means) > Fraction(1, 1000)
