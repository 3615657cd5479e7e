"""How far a change reaches in a random hierarchy (arXiv:2410.13770), in mean field: correlations by tree level, and when χ diverges.

Going down, each node is *unchanged* (U) or *changed* (C) against the start, given its parent. One step has four numbers: the weight w of
the true rule under an unchanged parent, and 1/A, with A = 1 + p + … + p^{s-1}, p of the child's level.
"""

import functools
import itertools
import math
from fractions import Fraction
from typing import NamedTuple

import sympy as sp

from derivations.ledger import claim
from derivations.mean_field import PAPER, geometric, geometric_steps, numerator, power, slope_of_upward, tuples, upward, wrong_tuple
from derivations.steps import Certificate, Equal, Positive
from derivations.symbols import belief as p
from derivations.symbols import branching as s
from derivations.symbols import rules_per_symbol as m
from derivations.symbols import vocabulary as v

w, A, unchanged = sp.symbols("w A P", positive=True)  # weight of the true rule; 1 + p + .. + p^(s-1); P(the parent is unchanged)
first, second, path, level, slack = sp.symbols("a b Lambda l t", positive=True)
ascent, exponent, image = sp.symbols("F' nu F", positive=True)

terms = geometric(p)  # A
true_rule = power / (power + (m - 1) * wrong_tuple)
one_of_wrong = (p - power) / (1 - power)  # g: a child unchanged in a tuple that is not the true one
two_of_wrong = (p**2 - power) / (1 - power)  # g_2: two children
damping = w / A
siblings = (unchanged * w - power) * (1 - unchanged * w) / A**2


@claim(
    "rhm-descent",
    where=f"{PAPER}, mean field of the ε-process, going down",
    domain="v >= 2, 1 <= m <= v^(s-1), s >= 2, 0 < p < 1 of the child's level",
    origin="new",
    evidence="proved",
    backs="rhm_theory.mean_field.correlations",
    rules=["linearity of expectation", "geometric sum"],
    counterexample="v, m, s, p at which the mean posterior of a rule leaves a child unchanged with another probability",
)
def descent(
    weight=power * (tuples - 1) / numerator,
    changed_given_changed=1 / A,
    changed_given_unchanged=(1 - w) / A,
    lost=w / A,
):
    """A child of a changed parent is changed with probability 1/A, of an unchanged one with (1−w)/A, A = 1 + p + … + p^{s−1}, w =
    p^s(v^s−1)/((v^s−m)p^s + m − 1): one level damps by λ = w/A.

    Of all tuples, with the children's beliefs, the true one has p^s and a given child is true in a share p. Without the true tuple that
    share is g = (p - p^s)/(1 - p^s), and 1 - g = 1/A. An unchanged parent took its true rule with probability w, any other tuple else.
    """
    yield from geometric_steps()
    given_unchanged, given_changed = w + (1 - w) * one_of_wrong, one_of_wrong
    yield Equal("w, by Bayes' rule", true_rule, weight)
    yield Equal("1 - g", 1 - given_changed, changed_given_changed.subs(A, terms))
    yield Equal("1 - P(U|U)", 1 - given_unchanged, changed_given_unchanged.subs(A, terms))
    yield Equal("P(U|U) - P(U|C)", given_unchanged - given_changed, lost.subs(A, terms))


@claim(
    "rhm-sibling-covariance",
    where=f"{PAPER}, mean field of the ε-process, two children of one node",
    domain="as rhm-descent; P the probability that their parent is unchanged",
    origin="new",
    evidence="proved",
    backs="rhm_theory.mean_field.correlations",
    rules=["linearity of expectation"],
    counterexample="v, m, s, p, P at which two children have another covariance",
)
def sibling_covariance(
    covariance=siblings,
    expanded=(unchanged * (1 - w) * (w - power) - (1 - unchanged) * power + unchanged * (1 - unchanged) * w**2) / A**2,
):
    """Two siblings have Cov = (Pw − p^s)(1 − Pw)/A² = (P(1−w)(w−p^s) − (1−P)p^s + P(1−P)w²)/A²: 0 where the true tuple, of probability
    Pw, is as likely as for independent children.

    The tuple is the true one with probability t = Pw; otherwise two children are both unchanged with probability g_2 and one with g.
    """
    whole = unchanged * w
    both, one = whole + (1 - whole) * two_of_wrong, whole + (1 - whole) * one_of_wrong
    yield Equal("E n_i n_j - E n_i E n_j, of unchanged and so of changed ones", both - one**2, covariance.subs(A, terms))
    by_parent = unchanged * (w + (1 - w) * one_of_wrong) + (1 - unchanged) * one_of_wrong
    yield Equal("one child, by its parent's state", by_parent, one)
    yield Equal("the expanded form", expanded, siblings)


class System(NamedTuple):
    """Numbers of a hierarchy whose states can be enumerated, and p_0."""

    vocabulary: int = 4
    rules_per_symbol: int = 2
    branching: int = 2
    depth: int = 3
    belief: sp.Rational = sp.Rational(7, 10)

    @property
    def values(self) -> dict[sp.Symbol, int]:
        return {v: self.vocabulary, m: self.rules_per_symbol, s: self.branching}

    def beliefs(self) -> list[sp.Rational]:
        """p_0 .. p_depth."""
        found = [sp.Rational(self.belief)]
        for _ in range(self.depth):
            found.append(upward.subs(self.values).subs(p, found[-1]))
        return found


@functools.cache
def enumerated(system: System) -> list[Fraction]:
    """Variance of a leaf, then its covariance with one leaf at each tree distance, from the states of all nodes, in exact numbers."""
    top = _fraction(system.beliefs()[-1])
    laws = [_laws(_fraction(below), system) for below in system.beliefs()[-2::-1]]
    leaves = system.branching**system.depth
    mean, products = Fraction(0), [Fraction(0)] * leaves
    for chance, changed in _all_states([(top, (0,)), (1 - top, (1,))], laws):
        if changed[0]:
            mean += chance
            products = [product + chance * other for product, other in zip(products, changed, strict=True)]
    nearest = [0, *(system.branching**level for level in range(system.depth))]  # a leaf at each distance from the first
    return [products[leaf] - mean**2 for leaf in nearest]


def _laws(below: Fraction, system: System) -> list[dict[tuple, Fraction]]:
    """The law of the children's states (1: changed) given an unchanged and a changed parent, from the beliefs of all tuples."""
    chosen = _fraction(true_rule.subs(system.values).subs(p, sp.Rational(below)))
    plain = {
        states: below ** states.count(0) * (1 - below) ** states.count(1) for states in itertools.product((0, 1), repeat=system.branching)
    }
    true_tuple = (0,) * system.branching
    wrong = {states: 0 if states == true_tuple else weight / (1 - plain[true_tuple]) for states, weight in plain.items()}
    return [{states: chosen * (states == true_tuple) + (1 - chosen) * weight for states, weight in wrong.items()}, wrong]


def _all_states(states: list[tuple[Fraction, tuple]], laws: list) -> list[tuple[Fraction, tuple]]:
    """(probability, states) of the leaves, from those of one level and the laws of the levels below."""
    for law in laws:
        states = [
            (chance * math.prod(law[parent][some] for parent, some in zip(parents, chosen, strict=True)), sum(chosen, ()))
            for chance, parents in states
            for chosen in itertools.product(law[0], repeat=len(parents))
        ]
        states = [(chance, below) for chance, below in states if chance]
    return states


def closed_form(system: System, covariance: sp.Expr) -> list[Fraction]:
    """The same by rhm-descent and the ``covariance`` of siblings: damped twice on each level below the ancestor."""
    *beliefs, state = system.beliefs()
    found: list[sp.Rational] = []
    for below in reversed(beliefs):
        numbers = system.values | {p: below}
        numbers |= {w: true_rule.subs(numbers), A: terms.subs(numbers), unchanged: state}
        found = [covariance.subs(numbers), *(above * damping.subs(numbers) ** 2 for above in found)]
        state = 1 - (1 - state * numbers[w]) / numbers[A]
    return [_fraction(number) for number in (state * (1 - state), *found)]


def _fraction(number: sp.Rational) -> Fraction:
    return Fraction(int(number.p), int(number.q))


def _correlations(**parameters):
    system = System(**parameters)
    return [float(number) for number in enumerated(system)], [float(number) for number in closed_form(system, siblings)]


@claim(
    "rhm-correlations",
    where=f"{PAPER}, mean field of the ε-process: C at every tree distance, χ at finite depth",
    domain="as rhm-descent, any depth",
    origin="new",
    evidence="certified",
    backs=["rhm_theory.mean_field.correlations", "rhm_theory.mean_field.mean_changed", "rhm_theory.mean_field.susceptibility"],
    rules=["tree Markov property", "conditioning", "geometric sum"],
    evaluate=_correlations,
    counterexample="v, m, s, p₀, depth at which the enumeration of all states gives another covariance",
)
def correlations(
    joined=path**2 * siblings,
    partners=(s - 1) * s ** (level - 1),
    changed=(1 - unchanged * w) / A,
    covariance=siblings,
):
    """Two leaves with common ancestor at level ℓ have C_ℓ = (λ₁⋯λ_{ℓ−1})² Cov(siblings at ℓ); each leaf has (s−1)s^{ℓ−1} such partners:
    χ = 1 + Σ_ℓ (s−1)s^{ℓ−1} C_ℓ/C_0. P(changed) = (1 − Pw)/A, level by level from P = p_L at the root.

    Given the two children of the ancestor the leaves are independent, and the mean of each is affine in its child's state, of slope
    λ₁⋯λ_{ℓ−1} (rhm-descent). Certified: depth 3, s = 2 and depth 2, s = 3, all states enumerated.
    """
    yield from geometric_steps()
    one, other, both = sp.symbols("x y z", positive=True)  # means of two siblings' states, and of their product
    affine = first * second + first * path * other + second * path * one + path**2 * both
    apart = (first + path * one) * (second + path * other)
    yield Equal("covariance of a + Λn and b + Λn'", (affine - apart).subs(both, siblings + one * other), joined)
    yield Equal("they add up: the leaves below level ℓ that are not below level ℓ - 1", partners, s**level - s ** (level - 1))
    mixed = unchanged * (1 - w) / A + (1 - unchanged) / A
    yield Equal("P(changed), by its parent's state", mixed, changed)
    for system in (System(), System(vocabulary=3, branching=3, depth=2)):
        found = enumerated(system)
        text = f"all states of {system.branching}^{system.depth} leaves, v = {system.vocabulary}, m = {system.rules_per_symbol}"
        yield Certificate(text, found == closed_form(system, covariance), f"C_1 = {found[1]} and {system.depth - 1} more, exactly")


@claim(
    "rhm-path-damping",
    where=f"{PAPER}, mean field of the ε-process: what goes down is what came up",
    domain="v >= 2, 1 <= m <= v^(s-1), every s >= 2, 0 < p < 1",
    origin="new",
    evidence="proved",
    backs="rhm_theory.mean_field.criticality",
    counterexample="v, m, s, p at which s λ F(1-F)/(p(1-p)) is not F'(p)",
)
def path_damping(
    ratio=image * (1 - image) / (p * (1 - p)),
    excess=(image - p) * (1 - image - p) / (p * (1 - p)),
):
    """F′(p) = sλ · F(1−F)/(p(1−p)), for every p; so at each fixed point sλ = F′(p*), and along a path s^ℓ λ₁⋯λ_ℓ =
    (dp_ℓ/dp₀) p₀(1−p₀)/(p_ℓ(1−p_ℓ)).

    λ = w/A with A = (1-p^s)/(1-p). Where F(p) = p the quotient is 1. Along a path the quotients telescope, as F(p_ℓ) = p_{ℓ+1}.
    """
    damped = power * (tuples - 1) / numerator / terms
    yield Equal("F'", slope_of_upward, s * damped * ratio.subs(image, upward))
    yield Equal("λ is that of rhm-descent", damped, true_rule / terms)
    yield Equal("the quotient minus 1", ratio - 1, excess)
    highest = sp.Symbol("p_2", positive=True)
    above = ratio.subs({p: image, image: highest}, simultaneous=True)
    yield Equal("two quotients telescope", ratio * above, ratio.subs(image, highest))


@claim(
    "rhm-stationary-covariance",
    where=f"{PAPER}, mean field of the ε-process, at the transition",
    domain="at an interior fixed point p*, 1 < m < v^(s-1)",
    origin="new",
    evidence="proved",
    backs="rhm_theory.mean_field.criticality",
    counterexample="v, m, s with a transition at which two siblings, at some level, have a covariance <= 0",
)
def stationary_covariance(
    stationary=(A - 1) / (A - w),
    covariance=(1 - w) * (p * w - power) / (A - w) ** 2,
    at_root=(p * w - power) * (1 - p * w) / A**2,
    excess=(tuples - m * v) * (1 - power) / (tuples - 1),
):
    """At p* the probability to be unchanged tends to (A−1)/(A−w) going down, siblings' covariance from (pw−p^s)(1−pw)/A² at the root to
    (1−w)(pw−p^s)/(A−w)², and all of them are positive: pw > p^s for m < v^{s−1}.

    P -> 1 - (1 - Pw)/A is affine with slope λ in (0, 1), so P moves monotonically from p* to its limit. (Pw - p^s)(1 - Pw) is concave in P:
    it is at least the smaller of its two end values.
    """
    step = 1 - (1 - unchanged * w) / A
    yield Equal("the limit is at rest", step.subs(unchanged, stationary), stationary)
    yield Equal("the slope of the step is λ", sp.diff(step, unchanged), damping)
    # p^s = 1 - A (1-p), by the closed form of A.
    of_sum = {p: 1 - (1 - power) / A}
    limit = siblings.subs(unchanged, stationary)
    placeholder = sp.Symbol("X", positive=True)  # p^s
    by_power = lambda e: e.subs(power, placeholder).subs(p, of_sum[p].subs(power, placeholder))  # noqa: E731
    yield Equal("covariance in the limit", by_power(limit), by_power(covariance))
    yield Equal("covariance at the root, P = p*", siblings.subs(unchanged, p), at_root)
    yield Equal("it is concave in P", sp.diff(siblings, unchanged, 2), -2 * w**2 / A**2)
    # At p* the numerator of F is p times its denominator, (v^s - mv) p^s + mv - 1 = v^s - 1 - (v^s - mv)(1 - p^s).
    denominator = tuples - 1 - (tuples - m * v) * (1 - power)
    weight = power * (tuples - 1) / (p * denominator)
    yield Equal("pw - p^s at p*, over pw", (p * weight - power) / (p * weight), excess)
    yield Equal("denominator of F", denominator, (tuples - m * v) * power + m * v - 1)
    below_most = excess.subs(tuples, m * v + slack).subs({m: 1 + first, v: 1 + second}).subs(power, 1 / (1 + path))
    yield Positive("which is positive for v^s = mv + t, p < 1", below_most)


@claim(
    "rhm-susceptibility-exponents",
    where=f"{PAPER}, susceptibility at the transition",
    domain="at an interior fixed point p*, F' = F'(p*); d = s^depth leaves; off it to leading order in |ε - ε*|",
    origin="new",
    evidence="proved",
    backs="rhm_theory.mean_field.criticality",
    rules=["geometric sum", "Koenigs linearisation"],
    counterexample="(v, m, s) with F'² > s whose χ at ε* stays bounded in the depth, or with F'² < s whose χ grows without bound",
)
def susceptibility_exponents(
    decay=2 - 2 / exponent,
    growth=2 / exponent - 1,
    off_critical=2 - exponent,
    kesten_stigum=ascent**2 / s,
):
    """C(r) ~ r^{−(2−2/ν)} at ε*; χ ~ d^{2/ν−1} if F′(p*)² > s, that is ν < 2, ~ ln d if F'² = s, and bounded if F'² < s, although ξ always
    diverges; off ε*, χ ~ |ε−ε*|^{−(2−ν)} for ν < 2.

    C_ℓ is λ^{2(ℓ-1)} times a sibling covariance between two positive bounds (rhm-stationary-covariance), λ = F'/s (rhm-path-damping), and
    r = s^ℓ. So χ - 1 lies between two multiples of Σ_ℓ (sλ²)^ℓ, sλ² = F'²/s. Off ε* the levels up to ξ do so too, as deviations from p* add
    up to a bounded factor (Koenigs), and beyond it F' < 1 at the ends cuts the sum: s^ℓ ~ ξ ~ |ε-ε*|^{-ν} in place of d.
    """
    yield from geometric_steps()
    damped = ascent / s
    nu = sp.log(s) / sp.log(ascent)
    yield Equal("ln λ² a level, over ln s", sp.log(damped**2), -decay.subs(exponent, nu) * sp.log(s))
    yield Equal("sλ²", s * damped**2, kesten_stigum)
    yield Equal("ln(sλ²) over ln s", sp.log(s * damped**2), growth.subs(exponent, nu) * sp.log(s))
    yield Equal("ξ^(2/ν - 1)", exponent * growth, off_critical)
    # ν < 2 and the sum's growth are one condition: F' = sqrt(s) e^t.
    above = {ascent: sp.sqrt(s) * sp.exp(slack)}
    yield Equal("ln(F'²/s) = 2t", sp.log(kesten_stigum.subs(above)), 2 * slack)
    yield Equal("(2 - ν) ln F' = 2t", (off_critical.subs(exponent, nu) * sp.log(ascent)).subs(above), 2 * slack)
    # Σ_{ℓ<L} k^ℓ, k = sλ²: beyond 1 a multiple of k^L, below 1 at most 1/(1 - k).
    ratio, depth = sp.symbols("k L", positive=True)
    yield Equal("k^L is d^(2/ν - 1)", depth * sp.log(kesten_stigum), growth.subs(exponent, nu) * sp.log(s**depth))
    rest = 1 / (1 - ratio) - geometric(ratio, depth)
    yield Equal("what the sum lacks of 1/(1 - k)", rest, ratio**depth / (1 - ratio))
    yield Positive("which is positive for k < 1", (1 / (1 - ratio)).subs(ratio, slack / (1 + slack)))
