"""The parts of the ledger's engine: domains, steps, certificates, rules."""

import itertools
import random
from fractions import Fraction

import mpmath
import pytest
import sympy as sp

from derivations.ledger import certificates, domains, rules, search, theorems
from derivations.ledger.certificates import Cover, Enclosed, Enumerated, Root, digits_of, rounds_to
from derivations.ledger.domains import Drawn, Integers, OneOf, between, nonnegative, positive, real
from derivations.ledger.intervals import ball
from derivations.ledger.steps import Continuous, Equal, Positive
from derivations.ledger.theorems import Ge, Le, Lt, NoValue, Numbers, Order, Printed, Theorem

p, q = sp.symbols("g h", positive=True)
r = sp.Symbol("r", real=True)
n = sp.Symbol("n", nonnegative=True)
z = sp.Symbol("z")


def sampled(domain, count=400):
    return list(itertools.islice(domains.sample(domain, random.Random(1)), count))


def test_samples_cover_ends_signs_and_extreme_sizes():
    values = [point[r] for point in sampled({r: real, p: positive})]
    assert min(values) < -(10**11)
    assert max(values) > 10**11
    assert 0 in values
    assert 0 < min(abs(v) for v in values if v) < Fraction(1, 10**11)
    assert {-1, 1, 2, 3} <= set(values)


@pytest.mark.parametrize(
    ("ranged", "inside", "outside"),
    [
        (nonnegative, [0, 1], [-1]),
        (positive, [1], [0, -1]),
        (between(0, 1, "(]"), [1, Fraction(1, 2)], [0, 2]),
        (Integers(1, 4), [1, 4], [0, 5]),
        (OneOf(("a", "b"), others=("c",)), ["a"], ["c"]),
    ],
)
def test_samples_stay_inside(ranged, inside, outside):
    assert all(value in ranged for value in inside)
    assert not any(value in ranged for value in outside)
    values = [point[p] for point in sampled({p: ranged})]
    assert all(value in ranged for value in values)
    assert set(ranged.notable()) <= set(values)


def test_equal_parameters_and_special_objects_are_tried():
    maker = Drawn("a row", lambda generator: (generator.random(),), special=((0.0,),))
    points = sampled({p: positive, q: positive, z: maker}, 60)
    assert any(point[p] == point[q] for point in points)
    assert any(point[z] == (0.0,) for point in points)


def test_equality_of_a_hypothesis_is_met_exactly():
    theorem = Theorem({p: positive, q: positive}, {"c": Lt(p, q)}, lambda g, h: {})
    point = {p: Fraction(1, 3), q: Fraction(5)}
    (found,) = search.on_boundary(Le(3 * p, q - 2), theorem.domain, point, random.Random(0))
    assert 3 * found[p] == found[q] - 2


def test_boundaries_with_whole_exponents_are_met():
    base, exponent, bound = sp.symbols("base exponent bound", positive=True)
    domain = {base: Integers(2, 9), exponent: Integers(1, 4), bound: positive}
    point = {base: 7, exponent: 3, bound: Fraction(1)}
    relation = Le(bound, base ** (exponent - 1) / (base - 1))
    (found,) = search.on_boundary(relation, domain, point, random.Random(0))
    assert found[bound] == Fraction(49, 6)
    irrational = Le(bound, sp.sqrt(base))
    assert not list(search.on_boundary(irrational, domain, point, random.Random(0)))


def test_close_sides_are_told_apart_by_more_digits():
    tiny = Fraction(1, 10**50)
    value = sp.Symbol("value")

    def measure(g):
        return {value: g + mpmath.mpf(tiny.numerator) / tiny.denominator}

    theorem = Theorem({p: positive}, {}, measure)
    numbers = Numbers(theorem, {p: Fraction(1)})
    assert numbers.judge(Lt(p, value)).holds
    assert not numbers.judge(Le(value, p)).holds
    same = Numbers(theorem._replace(measure=lambda g: {value: +g}), {p: Fraction(1, 3)})
    assert same.judge(Le(value, p)) == theorems.Judged(holds=True, margin=0.0, equal=True)
    assert not same.judge(Lt(value, p)).holds


def test_differences_of_tiny_sides_are_told_from_rounding():
    shift = sp.Symbol("shift")
    left, right = sp.symbols("left right")

    def measure(h, shift):
        tiny = mpmath.mpf("1e-24") / 3
        return {left: tiny, right: tiny * (1 + shift) * h / h}

    theorem = Theorem({q: positive, shift: real}, {}, measure)
    seventh = {q: Fraction(1, 7)}
    apart = Numbers(theorem, seventh | {shift: Fraction(-1, 10**37)})
    assert apart.judge(Lt(right, left)).holds
    assert apart.judge(Lt(right, left)).margin == pytest.approx(1e-37)
    equal = Numbers(theorem, seventh | {shift: Fraction(0)})
    assert equal.judge(Le(left, right)).margin == 0
    assert not equal.judge(Lt(left, right)).holds


def test_orders_are_measured_towards_zero_and_infinity():
    value = sp.Symbol("value")
    numbers = Numbers(Theorem({}, {}, lambda g: {value: g**2 + g**3}), {})
    assert numbers.judge(Order(value, p, sp.Integer(2), exactly=True)).holds
    assert not numbers.judge(Order(value, p, sp.Integer(3))).holds
    assert numbers.judge(Order(value, p, sp.Integer(1))).holds
    assert not numbers.judge(Order(value, p, sp.Integer(1), exactly=True)).holds
    large = Order(value, p, sp.Integer(3), at=("1e3", "1e4"))
    assert numbers.judge(large).holds
    assert not numbers.judge(large._replace(power=sp.Integer(2))).holds


def test_printed_digits_count_to_the_last():
    value = sp.Symbol("value")
    numbers = Numbers(Theorem({}, {}, lambda: {value: mpmath.pi}), {})
    assert numbers.judge(Printed(value, "3.14159")).holds
    assert not numbers.judge(Printed(value, "3.14158")).holds
    assert not numbers.judge(Printed(value, "3.14160")).holds
    assert numbers.judge(Printed(value * 1000, "3.142e3")).holds


@pytest.mark.parametrize(
    ("digits", "moved"),
    [("1.8927961", "18927960e-7"), ("12e1", "11e1"), ("4.01e-1", "400e-3"), ("1.0", "9e-1")],
)
def test_a_moved_digit_keeps_the_place_of_the_last_one(digits, moved):
    assert search.moved_by_a_digit(digits, -1) == moved
    assert theorems.last_digit(moved) == theorems.last_digit(digits)


def test_a_sign_with_symbolic_exponents_is_refuted_not_raised():
    wrong = (1 - (1 + p) ** q) / ((1 + p) ** q * (q + 1))
    assert Positive("a mutant", wrong).verify().holds is False


def test_a_missing_quantity_is_named():
    value = sp.Symbol("value")
    with pytest.raises(KeyError, match="measure returns no value"):
        Numbers(Theorem({p: positive}, {}, lambda g: {}), {p: Fraction(1)}).judge(Le(value, p))
    with pytest.raises(NoValue, match="not real"):
        theorems.evaluated(sp.log(r), {r: Fraction(-1)})


def test_complex_numbers_have_no_value():
    value = sp.Symbol("value")
    theorem = Theorem({p: positive}, {}, lambda g: {value: max(mpmath.log(-g), 0)})
    with pytest.raises(NoValue, match=r"mpc|complex"):
        Numbers(theorem, {p: Fraction(1)}).judge(Le(value, p))
    with pytest.raises(NoValue, match=r"mpc|complex"):
        theorems.evaluated(sp.Max(sp.log(r), 1), {r: Fraction(-1)})
    wrong_name = theorem._replace(measure=lambda another: {})
    with pytest.raises(TypeError, match="unexpected keyword"):
        Numbers(wrong_name, {p: Fraction(1)}).judge(Le(value, p))


@pytest.mark.parametrize(
    ("expression", "strict"),
    [
        (z**2 + 1, True),  # z need not be real
        (1 / n, False),  # undefined at n = 0
        (1 / (p - q) ** 2, True),  # undefined at p = q
        (p - q, True),
    ],
)
def test_signs_that_are_not_visible_are_not_proved(expression, strict):
    assert Positive("sign", expression, strict).verify().holds is not True


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ((p + 1) / (q + p) ** (p + 2), True),
        (q / (q + 1) + p / (p + q) ** (p + 2), True),
        (q ** (-p - 1) - (q + p) ** (-p - 1), None),  # true, but not visible
        ((q ** (-p - 1) - (q + p) ** (-p - 1)) / (1 + q), None),
        (1 / (q ** (-p) - (q + 1) ** (-p - 1)), None),
        ((q + p) ** (-p - 1) - q ** (-p - 1), False),
    ],
)
def test_signs_with_symbolic_exponents_are_shown_or_not_visible(expression, holds):
    assert Positive("sign", expression).verify().holds is holds


def test_identities_hold_for_all_signs_or_fail():
    assert Equal("log", sp.log(r**2), 2 * sp.log(r)).verify().holds is not True
    assert Equal("log", sp.log(p**2), 2 * sp.log(p)).verify().holds is True
    assert Equal("root", sp.sqrt(r**2), r).verify().holds is False


def test_continuity_needs_defined_parts():
    assert Continuous("c", sp.log(p) / (1 + q) + sp.sqrt(p)).verify().holds is True
    assert Continuous("c", sp.log(r)).verify().holds is None
    assert Continuous("c", 1 / (p - q)).verify().holds is None


def test_a_root_prints_only_right_digits():
    def root(digits, radius="1e-12", centre="0.7390851332151607"):
        cosine = sp.exp(-r) - r  # no cosine in ball arithmetic: e^-r = r at 0.5671432904097838...
        return Root("root", (cosine,), (r,), (centre,), radius, {"r": (r, digits)}).verify()

    assert root("0.56714329", centre="0.567143290409784").holds is True
    assert root("0.56714328", centre="0.567143290409784").holds is False
    assert root("0.56714329").holds is not True  # there is no root in this box


def test_balls_decide_inequalities_and_enumerations_are_exact():
    assert Enclosed("e", sp.exp(r), "<", sp.Integer(3), {r: ball(1, "1e-3")}).verify().holds
    assert (
        Enclosed("e", sp.exp(r), ">", sp.Integer(3), {r: ball(1, "1e-3")}).verify().holds is False
    )
    near = Enclosed("e", sp.exp(r), ">", sp.Rational("2.7182"), {r: ball(1, "1e-3")})
    assert near.verify().holds is None
    assert Enumerated("sum", lambda k: sum(range(k)), (5,), 10).verify().holds
    assert Enumerated("sum", lambda k: sum(range(k)), (5,), 11).verify().holds is False
    assert Enumerated("float", lambda: 0.5, (), 0.5).verify().holds is None
    assert Enumerated("truth", lambda: True, (), True).verify().holds is None


def least_square(bound, side):
    if side * side > bound:
        return True
    return False if side * side < bound else None


def test_a_cover_has_no_gaps():
    """The point 1/3 lies in no box whose ends are rounded inwards; here it always is in one."""
    away = Cover("away from 0", (("1/3", "1"),), least_square, (ball("1/10"),))
    assert away.verify().holds is True
    touches = Cover("at 1/3", (("1/3", "1"),), least_square, (ball("1/9"),), deepest=30)
    assert touches.verify().holds is not True
    seen = []

    def note(side):
        seen.append(side)
        return True if float(side.rad()) < 0.01 else None

    assert Cover("all", (("0", "1"),), note).verify().holds
    leaves = sorted((float(s.lower()), float(s.upper())) for s in seen if float(s.rad()) < 0.01)
    assert all(one[1] >= after[0] for one, after in itertools.pairwise(leaves))


def test_rounding_of_balls():
    assert rounds_to(ball("1.2344", "1e-9"), "1.234") is True
    assert rounds_to(ball("1.2346", "1e-9"), "1.234") is False
    assert rounds_to(ball("1.2345", "1e-9"), "1.234") is None
    assert digits_of(sp.Rational(1, 3), 4) == "3.333e-1"
    assert (Root, Enclosed, Enumerated, Cover) == certificates.KINDS


def test_every_rule_states_what_it_needs():
    assert all(rule.needs and rule.statement for rule in rules.RULES.values())
    joined = [
        rules.join("sign", "part", sign="a step"),
        rules.join("contradiction", "whole", assumption="given:g in (0, oo)", absurd="part"),
    ]
    assert rules.undischarged(joined, {"a step"}, set(), {"g in (0, oo)"}) == []
    assert rules.basis(joined, "whole") == {"a step", "given:g in (0, oo)"}
    assert rules.basis(joined, "nothing") is None
    assert len(rules.undischarged(joined, set(), set(), set())) == 2
    assert Ge(p, q).sign == ">="


def test_the_parts_of_a_cover_leave_no_gap():
    seen = []

    def small(side):
        if side.rad() < 1e-7:
            seen.append(side)
            return True
        return None

    # An end that no binary number hits, and parts narrower than the rounding of 1e-9 about 1000.
    cover = Cover("thin parts", (("1000", "1000.0000033"),), small)
    assert cover.verify().holds
    seen.sort(key=lambda side: float(side.mid()))
    assert len(seen) > 16
    assert all(one.overlaps(other) for one, other in itertools.pairwise(seen))
    assert seen[0].contains(ball("1000"))
    assert seen[-1].contains(ball("1000.0000033"))
