"""How far a change reaches in a random hierarchy (arXiv:2410.13770), in mean field.

Compared with the start, each node is *unchanged* (U) or *changed* (C), given its parent. One level
down has two numbers: the weight w of the true rule under an unchanged parent, and 1/A with
A = 1 + p + … + p^{s-1}, where p is that of the child's level.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
import itertools
import math
from fractions import Fraction
from typing import NamedTuple

import sympy as sp

from derivations.hierarchy.mean_field import (
    PAPER,
    fraction,
    geometric,
    geometric_steps,
    noise,
    numerator,
    power,
    slope_of_upward,
    tuples,
    upward,
    wrong_tuple,
)
from derivations.ledger.ledger import claim
from derivations.ledger.steps import Certificate, Equal, Positive
from derivations.ledger.symbols import belief as p
from derivations.ledger.symbols import branching as s
from derivations.ledger.symbols import rules_per_symbol as m
from derivations.ledger.symbols import vocabulary as v

w, A, unchanged = sp.symbols(
    "w A P", positive=True
)  # weight of the true rule; 1 + p + .. + p^(s-1); P(the parent is unchanged)
first, second, path, level, slack = sp.symbols("a b Lambda l t", positive=True)
ascent, exponent, image, size = sp.symbols("F' nu F d", positive=True)

terms = geometric(p)  # A
true_rule = power / (power + (m - 1) * wrong_tuple)
one_of_wrong = (p - power) / (1 - power)  # g: a child unchanged in a tuple that is not the true one
two_of_wrong = (p**2 - power) / (1 - power)  # g_2: two children
damping = w / A
siblings = (unchanged * w - power) * (1 - unchanged * w) / A**2


@claim(
    "rhm-descent",
    statement=(
        "A child of a changed parent is changed with probability 1/A; a child of an unchanged one "
        "with (1−w)/A. Here A = 1 + p + … + p^{s−1} and w = p^s(v^s−1)/((v^s−m)p^s + m − 1). So "
        "one level damps by λ = w/A."
    ),
    explanation=(
        "Weigh all tuples by the children's beliefs. The true one has p^s, and a given child is "
        "true in a share p. Without the true tuple that share is g = (p - p^s)/(1 - p^s), and 1 - "
        "g = 1/A. An unchanged parent took its true rule with probability w, and otherwise any "
        "other tuple."
    ),
    where=f"{PAPER}, mean field of the ε-process, going down",
    domain="v >= 2, 1 <= m <= v^(s-1), s >= 2, 0 < p < 1 of the child's level",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.correlations",
    rules=["linearity of expectation", "geometric sum"],
    counterexample=(
        "v, m, s, p at which the mean posterior of a rule leaves a child unchanged with another "
        "probability"
    ),
)
def descent(
    weight=power * (tuples - 1) / numerator,
    changed_given_changed=1 / A,
    changed_given_unchanged=(1 - w) / A,
    lost=w / A,
):
    yield from geometric_steps()
    given_unchanged = w + (1 - w) * one_of_wrong
    given_changed = one_of_wrong
    yield Equal("w, by Bayes' rule", true_rule, weight)
    yield Equal("1 - g", 1 - given_changed, changed_given_changed.subs(A, terms))
    yield Equal("1 - P(U|U)", 1 - given_unchanged, changed_given_unchanged.subs(A, terms))
    yield Equal("P(U|U) - P(U|C)", given_unchanged - given_changed, lost.subs(A, terms))


@claim(
    "rhm-sibling-covariance",
    statement=(
        "Two siblings have Cov = (Pw − p^s)(1 − Pw)/A² = (P(1−w)(w−p^s) − (1−P)p^s + P(1−P)w²)/A². "
        "It is 0 where the true tuple, of probability Pw, is as likely as for independent "
        "children."
    ),
    explanation=(
        "The tuple is the true one with probability t = Pw. Otherwise two children are both "
        "unchanged with probability g_2, and one with g."
    ),
    where=f"{PAPER}, mean field of the ε-process, two children of one node",
    domain="as rhm-descent; P the probability that their parent is unchanged",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.correlations",
    rules=["linearity of expectation"],
    counterexample="v, m, s, p, P at which two children have another covariance",
)
def sibling_covariance(
    covariance=siblings,
    expanded=(
        unchanged * (1 - w) * (w - power)
        - (1 - unchanged) * power
        + unchanged * (1 - unchanged) * w**2
    )
    / A**2,
):
    whole = unchanged * w
    both, one = whole + (1 - whole) * two_of_wrong, whole + (1 - whole) * one_of_wrong
    yield Equal(
        "E n_i n_j - E n_i E n_j, of unchanged and so of changed ones",
        both - one**2,
        covariance.subs(A, terms),
    )
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
    """Variance of a leaf, then its covariance with one leaf at each tree distance.

    The numbers are exact, from the states of all nodes.
    """
    top = fraction(system.beliefs()[-1])
    laws = [_laws(fraction(below), system) for below in system.beliefs()[-2::-1]]
    leaves = system.branching**system.depth
    mean = Fraction(0)
    products = [Fraction(0)] * leaves
    for chance, changed in _all_states([(top, (0,)), (1 - top, (1,))], laws):
        if changed[0]:
            mean += chance
            products = [
                product + chance * other for product, other in zip(products, changed, strict=True)
            ]
    nearest = [
        0,
        *(system.branching**level for level in range(system.depth)),
    ]  # a leaf at each distance from the first
    return [products[leaf] - mean**2 for leaf in nearest]


def _laws(below: Fraction, system: System) -> list[dict[tuple, Fraction]]:
    """The law of the children's states (1: changed), given an unchanged and a changed parent.

    It follows from the beliefs of all tuples.
    """
    chosen = fraction(true_rule.subs(system.values).subs(p, sp.Rational(below)))
    plain = {
        states: below ** states.count(0) * (1 - below) ** states.count(1)
        for states in itertools.product((0, 1), repeat=system.branching)
    }
    true_tuple = (0,) * system.branching
    wrong = {
        states: 0 if states == true_tuple else weight / (1 - plain[true_tuple])
        for states, weight in plain.items()
    }
    return [
        {
            states: chosen * (states == true_tuple) + (1 - chosen) * weight
            for states, weight in wrong.items()
        },
        wrong,
    ]


def _all_states(states: list[tuple[Fraction, tuple]], laws: list) -> list[tuple[Fraction, tuple]]:
    """(probability, states) of the leaves, from one level and the laws of the levels below."""
    for law in laws:
        states = [
            (
                chance
                * math.prod(
                    law[parent][some] for parent, some in zip(parents, chosen, strict=True)
                ),
                sum(chosen, ()),
            )
            for chance, parents in states
            for chosen in itertools.product(law[0], repeat=len(parents))
        ]
        states = [(chance, below) for chance, below in states if chance]
    return states


def closed_form(system: System, covariance: sp.Expr) -> list[Fraction]:
    """The same by rhm-descent and the ``covariance`` of siblings.

    It is damped twice on each level below the ancestor.
    """
    *beliefs, state = system.beliefs()
    found: list[sp.Rational] = []
    for below in reversed(beliefs):
        numbers = system.values | {p: below}
        numbers |= {w: true_rule.subs(numbers), A: terms.subs(numbers), unchanged: state}
        found = [covariance.subs(numbers), *(above * damping.subs(numbers) ** 2 for above in found)]
        state = 1 - (1 - state * numbers[w]) / numbers[A]
    return [fraction(number) for number in (state * (1 - state), *found)]


def _correlations(**parameters):
    system = System(**parameters)
    return [float(number) for number in enumerated(system)], [
        float(number) for number in closed_form(system, siblings)
    ]


@claim(
    "rhm-correlations",
    statement=(
        "Two leaves with common ancestor at level ℓ have C_ℓ = (λ₁⋯λ_{ℓ−1})² Cov(siblings at ℓ), "
        "and each leaf has (s−1)s^{ℓ−1} such partners. So χ = 1 + Σ_ℓ (s−1)s^{ℓ−1} C_ℓ/C_0. From P "
        "= p_L at the root, P(changed) = (1 − Pw)/A, level by level."
    ),
    explanation=(
        "Given the two children of the ancestor, the leaves are independent. The mean of each is "
        "affine in its child's state, with slope λ₁⋯λ_{ℓ−1} (rhm-descent). Certified by "
        "enumerating all states: depth 3 with s = 2, and depth 2 with s = 3."
    ),
    where=f"{PAPER}, mean field of the ε-process: C at every tree distance, χ at finite depth",
    domain="as rhm-descent, any depth",
    origin="new",
    evidence="certified",
    backs=[
        "rhm_theory.theory.mean_field.correlations",
        "rhm_theory.theory.mean_field.mean_changed",
        "rhm_theory.theory.mean_field.susceptibility",
    ],
    rules=["tree Markov property", "conditioning", "geometric sum"],
    evaluate=_correlations,
    counterexample=(
        "v, m, s, p₀, depth at which the enumeration of all states gives another covariance"
    ),
)
def correlations(
    joined=path**2 * siblings,
    partners=(s - 1) * s ** (level - 1),
    changed=(1 - unchanged * w) / A,
    covariance=siblings,
):
    yield from geometric_steps()
    one, other, both = sp.symbols(
        "x y z", positive=True
    )  # means of two siblings' states, and of their product
    affine = first * second + first * path * other + second * path * one + path**2 * both
    apart = (first + path * one) * (second + path * other)
    yield Equal(
        "covariance of a + Λn and b + Λn'",
        (affine - apart).subs(both, siblings + one * other),
        joined,
    )
    yield Equal(
        "they add up: the leaves below level ℓ that are not below level ℓ - 1",
        partners,
        s**level - s ** (level - 1),
    )
    mixed = unchanged * (1 - w) / A + (1 - unchanged) / A
    yield Equal("P(changed), by its parent's state", mixed, changed)
    for system in (System(), System(vocabulary=3, branching=3, depth=2)):
        found = enumerated(system)
        leaves = f"{system.branching}^{system.depth}"
        numbers = f"v = {system.vocabulary}, m = {system.rules_per_symbol}"
        text = f"all states of {leaves} leaves, {numbers}"
        yield Certificate(
            text,
            found == closed_form(system, covariance),
            f"C_1 = {found[1]} and {system.depth - 1} more, exactly",
        )


@claim(
    "rhm-path-damping",
    statement=(
        "F′(p) = sλ · F(1−F)/(p(1−p)) for every p. So sλ = F′(p*) at each fixed point, and along a "
        "path s^ℓ λ₁⋯λ_ℓ = (dp_ℓ/dp₀) p₀(1−p₀)/(p_ℓ(1−p_ℓ))."
    ),
    explanation=(
        "λ = w/A with A = (1-p^s)/(1-p). Where F(p) = p the quotient is 1. Along a path the "
        "quotients telescope, since F(p_ℓ) = p_{ℓ+1}."
    ),
    where=f"{PAPER}, mean field of the ε-process: what goes down is what came up",
    domain="v >= 2, 1 <= m <= v^(s-1), every s >= 2, 0 < p < 1",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.criticality",
    counterexample="v, m, s, p at which s λ F(1-F)/(p(1-p)) is not F'(p)",
)
def path_damping(
    ratio=image * (1 - image) / (p * (1 - p)),
    excess=(image - p) * (1 - image - p) / (p * (1 - p)),
):
    damped = power * (tuples - 1) / numerator / terms
    yield Equal("F'", slope_of_upward, s * damped * ratio.subs(image, upward))
    yield Equal("λ is that of rhm-descent", damped, true_rule / terms)
    yield Equal("the quotient minus 1", ratio - 1, excess)
    highest = sp.Symbol("p_2", positive=True)
    above = ratio.subs({p: image, image: highest}, simultaneous=True)
    yield Equal("two quotients telescope", ratio * above, ratio.subs(image, highest))


@claim(
    "rhm-stationary-covariance",
    statement=(
        "At p*, going down, the probability of being unchanged tends to (A−1)/(A−w). The "
        "covariance of siblings goes from (pw−p^s)(1−pw)/A² at the root to (1−w)(pw−p^s)/(A−w)². "
        "All of them are positive, since pw > p^s for m < v^{s−1}."
    ),
    explanation=(
        "P -> 1 - (1 - Pw)/A is affine with slope λ in (0, 1), so P moves monotonically from p* to "
        "its limit. (Pw - p^s)(1 - Pw) is concave in P, so it is at least the smaller of its two "
        "end values."
    ),
    where=f"{PAPER}, mean field of the ε-process, at the transition",
    domain="at an interior fixed point p*, 1 < m < v^(s-1)",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.criticality",
    counterexample=(
        "v, m, s with a transition at which two siblings, at some level, have a covariance <= 0"
    ),
)
def stationary_covariance(
    stationary=(A - 1) / (A - w),
    covariance=(1 - w) * (p * w - power) / (A - w) ** 2,
    at_root=(p * w - power) * (1 - p * w) / A**2,
    excess=(tuples - m * v) * (1 - power) / (tuples - 1),
):
    step = 1 - (1 - unchanged * w) / A
    yield Equal("the limit is at rest", step.subs(unchanged, stationary), stationary)
    yield Equal("the slope of the step is λ", sp.diff(step, unchanged), damping)
    # p^s = 1 - A (1-p), by the closed form of A.
    of_sum = {p: 1 - (1 - power) / A}
    limit = siblings.subs(unchanged, stationary)
    placeholder = sp.Symbol("X", positive=True)  # p^s

    def by_power(e):
        return e.subs(power, placeholder).subs(p, of_sum[p].subs(power, placeholder))

    yield Equal("covariance in the limit", by_power(limit), by_power(covariance))
    yield Equal("covariance at the root, P = p*", siblings.subs(unchanged, p), at_root)
    yield Equal("it is concave in P", sp.diff(siblings, unchanged, 2), -2 * w**2 / A**2)
    # At p* the numerator of F is p times its denominator,
    # (v^s - mv) p^s + mv - 1 = v^s - 1 - (v^s - mv)(1 - p^s).
    denominator = tuples - 1 - (tuples - m * v) * (1 - power)
    weight = power * (tuples - 1) / (p * denominator)
    yield Equal("pw - p^s at p*, over pw", (p * weight - power) / (p * weight), excess)
    yield Equal("denominator of F", denominator, (tuples - m * v) * power + m * v - 1)
    below_most = (
        excess.subs(tuples, m * v + slack)
        .subs({m: 1 + first, v: 1 + second})
        .subs(power, 1 / (1 + path))
    )
    yield Positive("which is positive for v^s = mv + t, p < 1", below_most)


@claim(
    "rhm-free-strings",
    statement=(
        "For m = v^{s−1} nothing correlates. At every level Pw = p^s, siblings have covariance 0, "
        "and a child is unchanged with its own p. So χ = 1."
    ),
    explanation=(
        "Go down from the root, where P = F(p). Then Pw = F(p)w = p^s, and a child has P = 1 - (1 "
        "- Pw)/A = p, which is F of the level below."
    ),
    where=f"{PAPER}, mean field of the ε-process: every string is valid",
    domain="m = v^(s-1), v >= 2, s >= 2, 0 < p < 1, any depth",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.susceptibility_peak",
    rules=["geometric sum"],
    counterexample=(
        "v, s, a noise and a depth at which m = v^(s-1) has a susceptibility other than 1"
    ),
)
def free_strings(rules=v ** (s - 1), chosen=power, kept=p):
    yield from geometric_steps()
    yield Equal("F(p) w", (upward * true_rule).subs(m, rules), chosen)
    yield Equal("covariance of siblings", siblings.subs(unchanged, chosen / w), 0)
    yield Equal("a child's P", 1 - (1 - chosen) / terms, kept)


@claim(
    "rhm-small-noise",
    statement=(
        "χ → 1 as ε → 0. With 1 − p = ta, 1 − P = tb and t ~ ε, the parent takes another rule with "
        "probability t s(m−1)a/(v^s−1), a child is changed with probability t(b + "
        "s(m−1)a/(v^s−1))/s, and siblings have covariance O(t²)."
    ),
    explanation=(
        "Both factors of Cov = (Pw - p^s)(1 - Pw)/A² vanish at t = 0. A leaf's variance does not "
        "fall as fast: b > 0 at the root, as F' > 0, and so on each level below. A tends to s."
    ),
    where=f"{PAPER}, mean field of the ε-process as ε → 0",
    domain="as rhm-descent, any depth; of grammars in place of their averages: rhm-zero-noise",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.susceptibility",
    counterexample=(
        "v, m, s and a depth at which χ of the mean field tends to another number than 1 as ε → 0"
    ),
)
def small_noise(
    lost_rule=s * (m - 1) * first / (tuples - 1),
    changed=second + s * (m - 1) * first / (tuples - 1),
):
    near = {p: 1 - slack * first, unchanged: 1 - slack * second}
    other_rule = sp.diff((1 - true_rule).subs(near), slack).subs(slack, 0)
    yield Equal("d(1 - w)/dt", other_rule, lost_rule)
    another = sp.Function("o")(slack)  # 1 - w, of which the value and the slope at 0 are known

    def at_zero(e):
        return e.subs({sp.diff(another, slack): lost_rule, another: 0}).subs(slack, 0)

    whole = (unchanged * (1 - another)).subs(near)
    yield Equal("d(1 - Pw)/dt, by A over the child's", at_zero(sp.diff(1 - whole, slack)), changed)
    yield Positive(
        "which is positive for m - 1 = l, v^s - 1 = F'",
        changed.subs(tuples, 1 + ascent).subs(m, 1 + level),
    )
    covariance = (whole - power.subs(near)) * (1 - whole)  # times A², whose limit is s²
    yield Equal("the covariance at t = 0", at_zero(covariance), 0)
    yield Equal("its slope there", at_zero(sp.diff(covariance, slack)), 0)


@claim(
    "rhm-root-slope",
    statement=(
        "At ε* the root's belief falls with the noise at the rate (1 − 1/v) F′(p*)^L = (1 − "
        "1/v) d^{1/ν}."
    ),
    explanation=(
        "p₀ falls at the rate 1 - 1/v and starts at p*. Each level multiplies the slope by F'(p*), "
        "since p* is a fixed point."
    ),
    where=f"{PAPER}, the class transition at finite depth",
    domain="where rhm-transition has an interior fixed point p*; the mean field, d = s^L leaves",
    origin="new",
    evidence="proved",
    backs="rhm_theory.experiment.trajectories.root_slope",
    counterexample=(
        "v, m, s and a depth L at which the root's belief falls at ε* with another slope"
    ),
)
def root_slope(at_critical=(1 - 1 / v) * ascent**level, growth=1 / exponent):
    yield Equal("no level", -sp.diff(1 - noise + noise / v, noise), at_critical.subs(level, 0))
    yield Equal("one level more", at_critical.subs(level, level + 1), ascent * at_critical)
    nu = sp.log(s) / sp.log(ascent)
    yield Equal(
        "ln F'^L is ln d^(1/ν)",
        level * sp.log(ascent),
        growth.subs(exponent, nu) * level * sp.log(s),
    )
