"""Mean field of the Random Hierarchy Model (arXiv:2410.13770): one level up, and the transition.

Apart from its depth a hierarchy has three numbers: v symbols, m rules for each symbol, and s
symbols in each rule. There are v^s tuples, and mv of them are rules. s is a symbol in p^s and v^s,
so what is proved holds for every s. Sums over k < s are replaced by closed forms, by induction.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import mpmath
import sympy as sp

from derivations.hierarchy import enumeration, measures
from derivations.ledger import intervals
from derivations.ledger.certificates import Root, digits_of
from derivations.ledger.domains import Integers, OneOf, between
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import belief as p
from derivations.ledger.symbols import branching as s
from derivations.ledger.symbols import rules_per_symbol as m
from derivations.ledger.symbols import vocabulary as v
from derivations.ledger.theorems import (
    Eq,
    Given,
    Gt,
    Iff,
    Implies,
    Le,
    Lt,
    NoValue,
    Order,
    Printed,
    Theorem,
)

PAPER = "arXiv:2410.13770"
noise = sp.Symbol("noise", positive=True)
more, gap, steps = sp.symbols("u t k", positive=True)
none_or_more, kept_power, surplus = sp.symbols("m_0 P_0 t_0", nonnegative=True)
power, tuples = p**s, v**s  # of the true tuple: its belief; of all tuples: their number
wrong_tuple = (1 - power) / (tuples - 1)  # q: mean belief of one of the other tuples
numerator = (tuples - m) * power + m - 1
denominator = (tuples - m * v) * power + m * v - 1
upward = numerator / denominator
slope_of_upward = s * m * (v - 1) * (tuples - 1) * p ** (s - 1) / denominator**2
fewest = s * v ** (s - 1) * (v - 1) / (tuples - 1)  # rules below which nothing is ever lost
most = (tuples - 1) / (s * (v - 1))  # rules above which nothing is ever recovered

# What the measures return.
F_p, F_start, slope_p, slope_1, slope_v = sp.symbols("F_p p_0 F'(p) F'(1) F'(1/v)", real=True)
true_mean, other_mean, all_mean, child_mean = sp.symbols("mu_true mu_other mu_all P_1", real=True)
p_star, slope_star = sp.symbols("p_* F'(p_*)", real=True)

# Hierarchies with v^s tuples for mv rules. m need not be a whole number in the mean field.
SIZES = {v: Integers(2, 60), m: between(1, None, "[)", decades=2), s: Integers(1, 6)}
BRANCHING = SIZES | {s: Integers(2, 6)}
ENOUGH = Le(m, v ** (s - 1))
WITH_TRANSITION = (Gt(m, fewest), Lt(m, most))


def geometric(ratio: sp.Expr, terms: sp.Expr = s) -> sp.Expr:
    """``sum_{k < terms} ratio^k``, in closed form."""
    return (ratio**terms - 1) / (ratio - 1)


def geometric_steps() -> Iterator[Equal]:
    """The induction behind :func:`geometric`."""
    ratio = sp.Symbol("x", positive=True)
    yield Equal(NO_TERM, geometric(ratio, sp.Integer(0)), 0)
    yield Equal(
        ONE_TERM_MORE,
        geometric(ratio, steps + 1) - geometric(ratio, steps),
        ratio**steps,
    )


NO_TERM, ONE_TERM_MORE = "geometric sum: no term", "geometric sum: one term more"
GEOMETRIC = join("geometric sum", "sums in closed form", base=NO_TERM, step=ONE_TERM_MORE)


def denominator_step() -> Positive:
    """The denominator of F for v > 1, m >= 1, p >= 0 and v^s >= mv, equalities included."""
    ranges = {tuples: m * v + surplus, power: kept_power}
    positive = denominator.subs(ranges).subs(v, 1 + more).subs(m, 1 + none_or_more)
    return Positive(DEFINED, positive)


DEFINED = "the denominator is positive"

interior = geometric(v * p) - m * geometric(p)  # sum_{k<s} (v^k - m) p^k


def _shape(vocabulary, rules_per_symbol, branching) -> measures.Shape:
    return measures.Shape(vocabulary, rules_per_symbol, branching)


def fraction(number) -> Fraction:
    """A SymPy or Python number as an exact fraction."""
    number = sp.Rational(number)
    return Fraction(int(number.p), int(number.q))


class TableMeans(NamedTuple):
    """Means over all tables of one level, exact."""

    true_symbol: Fraction
    other_symbol: Fraction
    all_symbols: Fraction


@functools.lru_cache(maxsize=256)
def mean_messages(system: tuple[int, int, int], belief: Fraction) -> TableMeans:
    """Mean messages over all tables (v, m, s) whose first rule is the true tuple.

    ``belief`` is the probability of each child's true symbol.
    """
    vocabulary, rules, branching = system
    child = [belief, *[(1 - belief) / (vocabulary - 1)] * (vocabulary - 1)]
    found = [
        enumeration.upward(enumeration.Grammar((table,)), [child] * branching)[1][0]
        for table in enumeration.random_tables(vocabulary, rules, branching)
    ]
    return TableMeans(
        true_symbol=sum(messages[0] for messages in found) / len(found),
        other_symbol=sum(messages[1] for messages in found) / len(found),
        all_symbols=sum(sum(messages) for messages in found) / len(found),
    )


@functools.cache
def mean_marginal(system: tuple[int, int, int]) -> Fraction:
    """Over all tables: the share of rules whose last child is the last symbol."""
    vocabulary, rules, branching = system
    tuples = itertools.product(range(vocabulary), repeat=branching)
    tables = list(itertools.permutations(tuples, vocabulary * rules))
    met = sum(rule[-1] == vocabulary - 1 for table in tables for rule in table)
    return Fraction(met, len(tables) * vocabulary * rules)


TABLES = ((2, 1, 2), (2, 2, 2), (3, 1, 2), (2, 2, 3))  # v, m, s: 3, 6, 56 and 210 tables


def over_tables(system, belief):
    """All tables of one level, enumerated."""
    if not 0 <= belief <= 1:
        raise NoValue("a belief lies in [0, 1]")
    means = mean_messages(system, Fraction(belief))
    numbers = dict(zip((v, m, s), system, strict=True))
    return numbers | {
        true_mean: means.true_symbol,
        other_mean: means.other_symbol,
        all_mean: means.all_symbols,
        child_mean: mean_marginal(system),
    }


RANDOM_ORDER = Given("mv distinct tuples, in random order, are the rules", lambda **_: True)


@claim(
    "rhm-random-rules",
    statement=(
        "Average over random rules, given the true tuple. The message to the true symbol is (p^s + "
        "(m−1)q)/m, and q to each other, with q = (1−p^s)/(v^s−1). All messages add up to (p^s + "
        "(mv−1)q)/m. Without evidence each child's mean marginal is 1/v."
    ),
    explanation=(
        "All tuples together have weight (Σ_x μ(x))^s = 1. So the v^s - 1 tuples other than the "
        "true one have mean weight q, and each other rule is one of them with equal chances. The "
        "mean of the *quotient* is not F. That, and the rules which the nodes of a level share, is "
        "the error of the mean field. Without evidence, v^{s-1} of the v^s tuples have a given "
        "symbol at a given place."
    ),
    where=f"{PAPER}, averages of belief propagation over random rules",
    domain="mv distinct tuples uniformly without replacement; children's messages fixed; one level",
    origin="paper",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.upward",
    theorem=Theorem(
        domain={sp.Symbol("system"): OneOf(TABLES), p: between(0, 1, "[]")},
        hypotheses=(RANDOM_ORDER,),
        conclusions={
            "the true symbol": Eq(true_mean, (power + (m - 1) * (1 - power) / (tuples - 1)) / m),
            "another symbol": Eq(other_mean, (1 - power) / (tuples - 1)),
            "all symbols": Eq(all_mean, (power + (m * v - 1) * (1 - power) / (tuples - 1)) / m),
            "without evidence": Eq(child_mean, 1 / v),
        },
        measure=over_tables,
        exact=True,
        points=16,
    ),
    joins=[
        join(
            "exchangeability",
            "q is the mean weight of each other rule",
            draws=(
                f"given:{RANDOM_ORDER}",
                "one child's messages sum to 1",
                "the tuples' weights sum to 1",
            ),
        ),
        join(
            "linearity of expectation",
            ("the true symbol", "another symbol", "all symbols"),
            terms=(
                "q is the mean weight of each other rule",
                "m μ(true): the true tuple and m - 1 others",
                "m Σ μ: the true tuple and mv - 1 others",
            ),
        ),
        join(
            "exchangeability",
            "without evidence",
            draws=(f"given:{RANDOM_ORDER}", "share of tuples with a given symbol at a given place"),
        ),
    ],
    counterexample="v, m, s, p whose enumerated tables have another mean message",
)
def random_rules(
    other_tuple=wrong_tuple,
    true_symbol=(power * (tuples - m) + m - 1) / (m * (tuples - 1)),
    all_symbols=denominator / (m * (tuples - 1)),
    uniform=1 / v,
):
    other_message = (1 - p) / (v - 1)
    yield Equal("one child's messages sum to 1", p + v * other_message - other_message, 1)
    yield Equal("the tuples' weights sum to 1", power + tuples * other_tuple - other_tuple, 1)
    yield Equal(
        "m μ(true): the true tuple and m - 1 others",
        m * true_symbol,
        power + (m - 1) * other_tuple,
    )
    yield Equal(
        "m Σ μ: the true tuple and mv - 1 others",
        m * all_symbols,
        power + (m * v - 1) * other_tuple,
    )
    yield Equal(
        "share of tuples with a given symbol at a given place", v ** (s - 1) / tuples, uniform
    )


def one_level(vocabulary, rules_per_symbol, branching, belief, noise):
    """Bayes' rule one level up, and a leaf of the ε-process."""
    if not 0 <= noise <= 1:
        raise NoValue("a noise lies in [0, 1]")
    leaf = [1 - noise + noise / vocabulary, *[noise / vocabulary] * int(vocabulary - 1)]
    shape = _shape(vocabulary, rules_per_symbol, branching)
    return {F_p: measures.bayes(shape, belief), F_start: leaf[0] / sum(leaf)}


@claim(
    "rhm-upward-map",
    statement=(
        "One level up, the probability of the true symbol becomes F(p) = ((v^s−m)p^s + m − "
        "1)/((v^s−mv)p^s + mv − 1), from p₀ = 1 − ε + ε/v. Moreover 1 − F = "
        "m(v−1)(1−p^s)/((v^s−mv)p^s + mv − 1)."
    ),
    explanation=(
        "The true symbol has its true rule and m - 1 others; every other symbol has m others. The "
        "true tuple has belief p^s, and any other q = (1 - p^s)/(v^s - 1) in the mean "
        "(rhm-random-rules). Bayes' rule gives F, with numerator and denominator averaged "
        "separately. The denominator is positive."
    ),
    where=f"{PAPER}, mean field of the ε-process",
    domain="v >= 2, 1 <= m <= v^(s-1), s >= 1, 0 <= p <= 1, 0 <= ε <= 1",
    origin="paper",
    evidence="proved",
    backs=[
        "rhm_theory.theory.mean_field.step",
        "rhm_theory.theory.mean_field.upward",
        "rhm_theory.noise.likelihood.epsilon_process",
    ],
    theorem=Theorem(
        domain=SIZES | {p: between(0, 1, "[]"), noise: between(0, 1, "[]")},
        hypotheses=(ENOUGH,),
        conclusions={
            "F": Eq(F_p, upward),
            "1 - F": Eq(1 - F_p, m * (v - 1) * (1 - power) / denominator),
            "p₀": Eq(F_start, 1 - noise + noise / v),
        },
        measure=one_level,
    ),
    joins=[
        join("identity", "F", equation=("Bayes' rule", "claim:rhm-random-rules", DEFINED)),
        join("identity", "1 - F", equation=("F", "the other symbols", "claim:rhm-random-rules")),
        join("identity", "p₀", equation=("p₀ by Bayes' rule", "each other symbol of a leaf")),
    ],
    counterexample=(
        "v, m, s, p at which Bayes' rule with the mean messages of rhm-random-rules gives another "
        "number"
    ),
)
def upward_map(
    F=upward,
    changed=m * (v - 1) * (1 - power) / denominator,
    start=1 - noise + noise / v,
):
    true_symbol, others = power + (m - 1) * wrong_tuple, (v - 1) * m * wrong_tuple
    yield Equal("Bayes' rule", true_symbol / (true_symbol + others), F)
    yield Equal("the other symbols", others / (true_symbol + others), changed)
    # ε-process: ε/v on every symbol, and 1 - ε more on the true one.
    yield Equal("p₀ by Bayes' rule", (1 - noise + noise / v) / (1 - noise + v * noise / v), start)
    yield Equal("each other symbol of a leaf", (1 - start) / (v - 1), noise / v)
    yield denominator_step()


def slopes_of_bayes(vocabulary, rules_per_symbol, branching, belief):
    """Complex steps of Bayes' rule at a belief, at 1 and at 1/v."""
    shape = _shape(vocabulary, rules_per_symbol, branching)
    places = {slope_p: belief, slope_1: mpmath.mpf(1), slope_v: 1 / vocabulary}
    return {
        name: measures.slope_at(lambda at: measures.bayes(shape, at), place)
        for name, place in places.items()
    }


@claim(
    "rhm-upward-slope",
    statement=(
        "F′(p) = s m (v−1)(v^s−1) p^{s−1}/((v^s−mv)p^s + mv − 1)² > 0. In particular F′(1) = s m "
        "(v−1)/(v^s−1) and F′(1/v) = s v^{s−1}(v−1)/(m(v^s−1))."
    ),
    explanation="The square in the denominator, v - 1 and v^s - 1 are positive.",
    where=f"{PAPER}, mean field of the ε-process",
    domain="as rhm-upward-map, with p > 0",
    origin="paper",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.slope",
    theorem=Theorem(
        domain=SIZES | {p: between(0, 1, "(]")},
        hypotheses=(ENOUGH,),
        conclusions={
            "F'": Eq(slope_p, slope_of_upward),
            "F' > 0": Gt(slope_p, 0),
            "F'(1)": Eq(slope_1, s * m * (v - 1) / (tuples - 1)),
            "F'(1/v)": Eq(slope_v, s * v ** (s - 1) * (v - 1) / (m * (tuples - 1))),
        },
        measure=slopes_of_bayes,
    ),
    joins=[
        join("identity", "F'", equation=("dF/dp", DEFINED)),
        join("sign", "F' > 0", sign=("F'", "over a square, v - 1 = u and v^s - 1 = t")),
        join("identity", "F'(1)", equation=("F'", "at p = 1")),
        join("identity", "F'(1/v)", equation=("F'", "at p = 1/v")),
    ],
    counterexample="v, m, s, p at which a difference quotient of F is not the slope",
)
def upward_slope(
    slope=slope_of_upward,
    at_recovered=s * m * (v - 1) / (tuples - 1),
    at_lost=s * v ** (s - 1) * (v - 1) / (m * (tuples - 1)),
):
    yield denominator_step()
    yield Equal("dF/dp", sp.diff(upward, p), slope)
    yield Equal("at p = 1", slope.subs(p, 1), at_recovered)
    yield Equal("at p = 1/v", slope.subs(p, 1 / v), at_lost)
    yield Positive(
        "over a square, v - 1 = u and v^s - 1 = t",
        (slope * denominator**2).subs({tuples: 1 + gap, p ** (s - 1): steps}).subs(v, 1 + more),
    )


sum_p, sum_2, sum_3 = sp.symbols("S S_2 S_3", real=True)


def excess_and_sums(vocabulary, rules_per_symbol, branching, belief):
    """Bayes' rule, and the sums term by term."""

    def terms(count):
        return sum((vocabulary**k - rules_per_symbol) * belief**k for k in range(count))

    shape = _shape(vocabulary, rules_per_symbol, branching)
    return {
        F_p: measures.bayes(shape, belief),
        sum_p: terms(int(branching)),
        sum_2: terms(2),
        sum_3: terms(3),
    }


@claim(
    "rhm-fixed-points",
    statement=(
        "F(p) − p = (1−p)(vp−1) S(p)/((v^s−mv)p^s + mv − 1) with S(p) = Σ_{k<s}(v^k−m)p^k. So F(p) "
        "= p exactly when p = 1, p = 1/v, or S(p) = 0. For s = 2, S = (v−m)p − (m−1). For s = 3, S "
        "= (v²−m)p² + (v−m)p − (m−1)."
    ),
    explanation=(
        "The sum is ((vp)^s - 1)/(vp - 1) - m (p^s - 1)/(p - 1). Multiplied out, the numerator of "
        "F(p) - p remains. For s = 2 the root of the sum is (m-1)/(v-m); for s = 3 it is that of a "
        "quadratic equation."
    ),
    where=f"{PAPER}, mean field of the ε-process",
    domain="as rhm-upward-map, every s >= 1",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.fixed_points",
    theorem=Theorem(
        domain=SIZES | {p: between(0, 1, "[]")},
        hypotheses=(ENOUGH,),
        conclusions={
            "F(p) - p": Eq(F_p - p, (1 - p) * (v * p - 1) * sum_p / denominator),
            "fixed points": Iff(Eq(F_p, p), Eq((1 - p) * (v * p - 1) * sum_p, 0)),
            "1/v is one": Implies(Eq(v * p, 1), Eq(F_p, p)),
            "two children": Eq(sum_2, (v - m) * p - (m - 1)),
            "three children": Eq(sum_3, (v**2 - m) * p**2 + (v - m) * p - (m - 1)),
            "the root for two": Implies((Eq(s, 2), Eq((v - m) * p, m - 1)), Eq(F_p, p)),
        },
        measure=excess_and_sums,
        points=40,
    ),
    joins=[
        GEOMETRIC,
        join(
            "identity",
            "F(p) - p",
            equation=(
                "sums in closed form",
                "F(p) minus p",
                DEFINED,
                "known:polynomials in p that agree except at p = 1 and p = 1/v are equal",
            ),
        ),
        join(
            "equivalence",
            ("fixed points", "1/v is one"),
            identity="F(p) - p",
            factor=DEFINED,
        ),
        join("identity", "two children", equation=("sums in closed form", "s = 2")),
        join("identity", "three children", equation=("sums in closed form", "s = 3")),
        join("identity", "the root for two", equation=("two children", "fixed points")),
    ],
    counterexample=(
        "v, m, s and a p in [0, 1] other than 1 and 1/v with F(p) = p and a sum that is not 0"
    ),
)
def fixed_points(
    interior_sum=interior,
    two_children=(v - m) * p - (m - 1),
    three_children=(v**2 - m) * p**2 + (v - m) * p - (m - 1),
):
    yield from geometric_steps()
    yield denominator_step()
    yield Equal("F(p) minus p", upward - p, (1 - p) * (v * p - 1) * interior_sum / denominator)
    yield Equal("s = 2", interior_sum.subs(s, 2), two_children)
    yield Equal("s = 3", interior_sum.subs(s, 3), three_children)


count_between = sp.Symbol("count", integer=True)
TOO_NEAR = mpmath.mpf("1e-8")  # of a slope to 1: then a fixed point may be nearer than the grid
EQUAL_TO_ONE = mpmath.mpf("1e-20")


def fixed_points_between(vocabulary, rules_per_symbol, branching):
    """How many fixed points sign changes show between 1/v and 1, and slopes by complex steps."""
    shape = _shape(vocabulary, rules_per_symbol, branching)

    def slope(at):
        return measures.slope_at(lambda belief: measures.bayes(shape, belief), at)

    ends = slope(mpmath.mpf(1)), slope(1 / vocabulary)
    if any(EQUAL_TO_ONE < abs(end - 1) < TOO_NEAR for end in ends):
        raise NoValue("a fixed point may be too near to an end")
    found = measures.interior_fixed_points(shape, measures.FINE_GRID)
    return {
        count_between: len(found),
        slope_1: ends[0],
        slope_v: ends[1],
        slope_star: slope(found[0]) if found else mpmath.nan,
    }


@claim(
    "rhm-transition",
    statement=(
        "Between 1/v and 1 there is a fixed point exactly when s v^{s−1}(v−1)/(v^s−1) < m < "
        "(v^s−1)/(s(v−1)), that is, when F′ < 1 at both ends. It is unique and repels: F′ > 1."
    ),
    explanation=(
        "The sum of rhm-fixed-points is 0 exactly when m = R(p) = Σ(vp)^k/Σp^k, a mean of v^k with "
        "weights p^k. R increases, since dR/d ln p is a covariance of k and v^k, which both "
        "increase. So each m between R(1/v) and R(1) is met once, and no other m is. On (1/v, 1), "
        "F(p) - p has the sign of R(p) - m."
    ),
    where=f"{PAPER}, mean field of the ε-process: when there is a transition",
    domain="v >= 2, 1 <= m <= v^(s-1), every s >= 2",
    origin="new",
    evidence="proved",
    backs=["rhm_theory.theory.mean_field.fixed_points", "rhm_theory.theory.mean_field.criticality"],
    theorem=Theorem(
        domain=BRANCHING,
        hypotheses=(ENOUGH,),
        conclusions={
            "existence": Iff(Eq(count_between, 1), WITH_TRANSITION),
            "at most one": Le(count_between, 1),
            "slopes at the ends": Iff((Lt(slope_1, 1), Lt(slope_v, 1)), WITH_TRANSITION),
            "it repels": Implies(Eq(count_between, 1), Gt(slope_star, 1)),
        },
        measure=fixed_points_between,
        points=15,
    ),
    joins=[
        GEOMETRIC,
        join(
            "increasing functions correlate",
            "R increases",
            pairs=(
                "the terms of a pair k, t in p D² dR/dp",
                "k = t + u, over u v^t",
                "it is 0 for u = 0",
                "and grows with each unit of u, where v = 1 + p",
            ),
        ),
        join(
            "monotone bijection",
            "m = R(p) at one p of (1/v, 1) if R(1/v) < m < R(1), and at none otherwise",
            continuous="known:R is a quotient of polynomials, and its denominator is positive",
            slope=(
                "R increases",
                "sums in closed form",
                "R(1/v): s terms of 1 above",
                "R(1): s terms of 1 below",
            ),
        ),
        join(
            "equivalence",
            ("existence", "at most one"),
            identity=(
                "m = R(p) at one p of (1/v, 1) if R(1/v) < m < R(1), and at none otherwise",
                "claim:rhm-fixed-points",
            ),
            factor="known:the sum of p^k is positive",
        ),
        join(
            "equivalence",
            "slopes at the ends",
            identity=("F'(1) = m/R(1)", "F'(1/v) = R(1/v)/m", "claim:rhm-upward-slope"),
            factor="given:rules_per_symbol in [1, oo)",
        ),
        join(
            "sign",
            "it repels",
            sign=(
                "R increases",
                "F'(p*) - 1, t = S'(p*)",
                "(1-p)(vp-1) on (1/v, 1)",
                DEFINED,
                "claim:rhm-fixed-points",
            ),
        ),
    ],
    counterexample=(
        "v, m, s with two interior fixed points, or with one although m is outside the range"
    ),
)
def transition(lower=fewest, upper=most, pair_difference=(steps - gap) * (v**steps - v**gap)):
    yield from geometric_steps()
    yield denominator_step()
    yield Equal("R(1/v): s terms of 1 above", s / geometric(1 / v), lower)
    yield Equal("R(1): s terms of 1 below", geometric(v) / s, upper)
    swapped = (
        steps * v**steps - gap * v**steps + gap * v**gap - steps * v**gap
    )  # the terms (k, t) and (t, k) of N'D - ND'
    yield Equal("the terms of a pair k, t in p D² dR/dp", swapped, pair_difference)
    both = pair_difference.subs(steps, gap + more)
    over = both / (more * v**gap)
    yield Equal("k = t + u, over u v^t", over, v**more - 1)
    yield Equal("it is 0 for u = 0", sp.limit(over, more, 0), 0)
    one_more = sp.simplify(over.subs(more, more + 1) - over).subs(v, 1 + p)
    yield Positive("and grows with each unit of u, where v = 1 + p", one_more)
    yield Equal("F'(1) = m/R(1)", slope_of_upward.subs(p, 1), m / upper)
    yield Equal("F'(1/v) = R(1/v)/m", slope_of_upward.subs(p, 1 / v), lower / m)
    root_sum = sp.Function("S")(p)
    excess = (1 - p) * (v * p - 1) * root_sum / denominator
    at_root = {root_sum: 0}
    derivative = sp.diff(excess, p).subs(sp.diff(root_sum, p), gap).subs(at_root)
    yield Equal("F'(p*) - 1, t = S'(p*)", derivative, (1 - p) * (v * p - 1) * gap / denominator)
    between_ends = {v: (1 + more) / p}  # vp > 1
    yield Positive(
        "(1-p)(vp-1) on (1/v, 1)",
        ((1 - p) * (v * p - 1)).subs(between_ends).subs(p, steps / (1 + steps)),
    )


orbit_end, noise_star = sp.symbols("p_oo epsilon_*", real=True)
NEAREST_TO_AN_END = mpmath.mpf("1e-7")  # nearer fixed points are confused with the end itself


def end_of_orbit(vocabulary, rules_per_symbol, branching, noise):
    """The fixed point by sign changes, and the end to which Bayes' rule leads by iteration."""
    if not 0 <= noise <= 1:
        raise NoValue("a noise lies in [0, 1]")
    shape = _shape(vocabulary, rules_per_symbol, branching)
    fixed = measures.the_fixed_point(shape)
    if min(fixed - 1 / vocabulary, 1 - fixed) < NEAREST_TO_AN_END:
        raise NoValue("the fixed point is too near to an end")
    start = 1 - noise * (1 - 1 / vocabulary)
    stays = abs(start - fixed) < mpmath.mpf(10) ** (6 - mpmath.mp.dps)
    return {
        p_star: fixed,
        noise_star: (1 - fixed) * vocabulary / (vocabulary - 1),
        orbit_end: fixed if stays else measures.settled(shape, start),
    }


@claim(
    "rhm-critical-noise",
    statement=(
        "As the depth grows, the root's belief settles at 1 exactly for ε < ε*, and at 1/v exactly "
        "for ε > ε*, with ε* = (1−p*)/(1−1/v). For s = 2, ε* = v(v+1−2m)/((v−m)(v−1))."
    ),
    explanation=(
        "p₀ falls with ε, and equals p* at ε*. F increases (rhm-upward-slope) and maps [1/v, 1] "
        "onto itself. Between fixed points F - id has one sign: + above p* and - below "
        "(rhm-transition). So orbits tend to 1 and to 1/v."
    ),
    where=f"{PAPER}, mean field of the ε-process",
    domain="where rhm-transition has an interior fixed point p*; 0 <= ε <= 1",
    origin="paper",
    evidence="proved",
    backs=[
        "rhm_theory.theory.mean_field.critical_noise",
        "rhm_theory.theory.mean_field.criticality",
    ],
    theorem=Theorem(
        domain=BRANCHING | {noise: between(0, 1, "[]")},
        hypotheses=WITH_TRANSITION,
        conclusions={
            "recovered": Iff(Eq(orbit_end, 1), Lt(noise, (1 - p_star) / (1 - 1 / v))),
            "lost": Iff(Eq(orbit_end, 1 / v), Gt(noise, (1 - p_star) / (1 - 1 / v))),
            "two children": Implies(
                Eq(s, 2), Eq(noise_star, v * (v + 1 - 2 * m) / ((v - m) * (v - 1)))
            ),
        },
        measure=end_of_orbit,
    ),
    joins=[
        join(
            "monotone bijection",
            "p₀ > p* exactly when ε < ε*",
            continuous="known:p₀ is linear in ε",
            slope=("p₀ falls", "p₀ at ε*"),
        ),
        join(
            "monotone iteration",
            ("recovered", "lost"),
            increasing="claim:rhm-upward-slope",
            fixed_points=(
                "p₀ > p* exactly when ε < ε*",
                "F(1)",
                "F(1/v)",
                "claim:rhm-fixed-points",
                "claim:rhm-transition",
            ),
        ),
        join("identity", "two children", equation=("s = 2", "claim:rhm-fixed-points")),
    ],
    counterexample=(
        "ε < ε* at which the root is lost as the depth grows, or ε > ε* at which it is recovered"
    ),
)
def critical_noise(
    threshold=(1 - p) / (1 - 1 / v), two_children=v * (v + 1 - 2 * m) / ((v - m) * (v - 1))
):
    start = 1 - noise + noise / v
    yield Equal("p₀ at ε*", start.subs(noise, threshold), p)
    yield Positive("p₀ falls", -sp.diff(start, noise).subs(v, 1 + more))
    yield Equal("F(1)", upward.subs(p, 1), 1)
    yield Equal("F(1/v)", upward.subs(p, 1 / v), 1 / v)
    yield Equal("s = 2", threshold.subs(p, (m - 1) / (v - m)), two_children)


log_size, closeness = sp.symbols("ln_xi closeness", positive=True)
SMALLEST_GROWTH = mpmath.mpf("0.05")  # of ln F'(p*): below it a deviation takes too many levels


def growth(vocabulary, rules_per_symbol, branching, lost, closeness=None):
    """F'(p*) by a complex step, and ln ξ by iteration at the noise e^(-1/closeness) from ε*."""
    shape = _shape(vocabulary, rules_per_symbol, branching)
    distance = 1 if closeness is None else mpmath.exp(-1 / closeness)
    with mpmath.workdps(mpmath.mp.dps - int(mpmath.log10(distance))):
        fixed = measures.the_fixed_point(shape)
        found = {
            p_star: fixed,
            slope_star: measures.slope_at(lambda at: measures.bayes(shape, at), fixed),
        }
        if abs(mpmath.log(found[slope_star])) < SMALLEST_GROWTH:
            raise NoValue("the deviation grows too slowly to be followed")
        if closeness is not None:
            deviation = -lost * distance * (1 - 1 / vocabulary)
            levels = measures.levels_to_leave(shape, fixed, deviation)
            found[log_size] = levels * mpmath.log(branching)
    return found


@claim(
    "rhm-exponent",
    statement=(
        "As ε → ε*, ln ξ/ln(1/|ε−ε*|) → ν with ν = ln s/ln F′(p*) and F′(p*) > 1. The error is "
        "O(1/ln(1/|ε−ε*|)), so ξ is |ε−ε*|^{−ν} up to bounded factors. For s = 2, F′(p*) = "
        "2(v−m)(m−1)(v+1)/(m(v−1)²)."
    ),
    explanation=(
        "ξ = s^ℓ, where ℓ levels take the belief half of the way from p* to the next end. A "
        "deviation t from p* grows by F'(p*) on each level. So ℓ = ln(1/t)/ln F'(p*) + O(1), with "
        "t = (1-1/v)|ε-ε*|."
    ),
    where=f"{PAPER}, the exponent of the correlation length",
    domain="where rhm-transition has an interior fixed point p*; ε → ε* from either side",
    origin="paper",
    evidence="proved",
    backs=[
        "rhm_theory.theory.mean_field.exponent",
        "rhm_theory.theory.mean_field.criticality",
        "rhm_theory.theory.mean_field.correlated_size",
    ],
    theorem=Theorem(
        domain=BRANCHING | {sp.Symbol("lost"): OneOf((1, -1))},
        hypotheses=WITH_TRANSITION,
        conclusions={
            "ν": Order(
                log_size * closeness - sp.log(s) / sp.log(slope_star),
                closeness,
                sp.Integer(1),
                at=("1/40", "1/300"),
            ),
            "F'(p*) > 1": Gt(slope_star, 1),
            "two children": Implies(
                Eq(s, 2),
                Eq(slope_star, 2 * (v - m) * (m - 1) * (v + 1) / (m * (v - 1) ** 2)),
            ),
        },
        measure=growth,
        points=12,
    ),
    joins=[
        join("sign", "F'(p*) > 1", sign="claim:rhm-transition"),
        join(
            "Koenigs linearisation",
            "a deviation grows by F'(p*) on each level, up to a bounded factor",
            slope="F'(p*) > 1",
            smooth=(DEFINED, "known:rational functions are smooth where they are defined"),
        ),
        join(
            "identity",
            "ν",
            equation=(
                "a deviation grows by F'(p*) on each level, up to a bounded factor",
                "the deviation after so many levels",
                "ln ξ",
            ),
        ),
        join("identity", "two children", equation=("s = 2", "claim:rhm-fixed-points")),
    ],
    counterexample=(
        "v, m, s and noises near ε* at which the levels to leave p*, over ln(1/|ε-ε*|), tend to "
        "another number"
    ),
)
def exponent(
    levels=sp.log(1 / gap) / sp.log(slope_of_upward),
    nu=sp.log(s) / sp.log(slope_of_upward),
    two_children=2 * (v - m) * (m - 1) * (v + 1) / (m * (v - 1) ** 2),
):
    yield Equal("the deviation after so many levels", slope_of_upward**levels * gap, 1)
    yield Equal("ln ξ", levels * sp.log(s), nu * sp.log(1 / gap))
    yield denominator_step()
    yield Equal("s = 2", slope_of_upward.subs(s, 2).subs(p, (m - 1) / (v - m)), two_children)


F_dual, p_dual, slope_dual, F_self = sp.symbols("F' p_*' F'_* F_s", real=True)
SELF_DUAL = v ** sp.Rational(-1, 2)


def both_numbers_of_rules(vocabulary, rules_per_symbol, branching, belief):
    """Bayes' rule for m and for m' = v^(s-1)/m, and the fixed points by sign changes (or NaN)."""
    if vocabulary * belief < 1:
        raise NoValue("1/(vp) is no belief")
    shape = _shape(vocabulary, rules_per_symbol, branching)
    dual = shape._replace(rules=vocabulary ** (branching - 1) / rules_per_symbol)
    balanced = shape._replace(rules=vocabulary ** ((branching - 1) / 2))
    found = {
        F_p: measures.bayes(shape, belief),
        F_dual: measures.bayes(dual, 1 / (vocabulary * belief)),
        F_self: measures.bayes(balanced, 1 / mpmath.sqrt(vocabulary)),
    }
    for name, slope, one in ((p_star, slope_star, shape), (p_dual, slope_dual, dual)):
        roots = measures.interior_fixed_points(one)
        found[name] = roots[0] if roots else mpmath.nan
        found[slope] = (
            measures.slope_at(lambda at, one=one: measures.bayes(one, at), roots[0])
            if roots
            else mpmath.nan
        )
    return found


@claim(
    "rhm-duality",
    statement=(
        "With m′ = v^{s−1}/m, F_{m′}(1/(vp)) = 1/(v F_m(p)). So where there is a transition, "
        "p*(m′) = 1/(v p*(m)), with the same slope. If m² = v^{s−1}, then v^{−1/2} is a fixed "
        "point."
    ),
    explanation=(
        "The map p -> 1/(vp) is an exact conjugacy, and its own inverse. It does not change the "
        "multipliers of fixed points, and so not ν."
    ),
    where=f"{PAPER}, mean field of the ε-process",
    domain="v >= 2, 1 <= m <= v^(s-1), 1/v <= p <= 1, every s",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.dual",
    theorem=Theorem(
        domain=SIZES | {p: between(0, 1, "[]")},
        hypotheses=(ENOUGH,),
        conclusions={
            "conjugacy": Eq(F_dual, 1 / (v * F_p)),
            "fixed point": Implies(WITH_TRANSITION, Eq(p_dual, 1 / (v * p_star))),
            "slope": Implies(WITH_TRANSITION, Eq(slope_dual, slope_star)),
            "self-dual": Eq(F_self, SELF_DUAL),
        },
        measure=both_numbers_of_rules,
        points=15,
    ),
    joins=[
        join("identity", "conjugacy", equation=("F of m' at 1/(vp)", "claim:rhm-upward-map")),
        join(
            "identity",
            "fixed point",
            equation=(
                "conjugacy",
                "1/(vp) is its own inverse",
                "v^(s-1)/m is its own inverse",
                "claim:rhm-transition",
            ),
        ),
        join("identity", "slope", equation=("fixed point", "slopes along the conjugacy")),
        join(
            "identity",
            "self-dual",
            equation=("its fixed point", "which the self-dual number of rules has"),
        ),
    ],
    counterexample="v, m, s, p at which the two sides differ",
)
def duality(rules=v ** (s - 1) / m, conjugate=1 / (v * p), self_dual=SELF_DUAL):
    yield Equal(
        "F of m' at 1/(vp)",
        upward.subs({m: rules, p: conjugate}, simultaneous=True),
        1 / (v * upward),
    )
    yield Equal("1/(vp) is its own inverse", conjugate.subs(p, conjugate), p)
    yield Equal("v^(s-1)/m is its own inverse", rules.subs(m, rules), m)
    chain = slope_of_upward.subs({m: rules, p: conjugate}, simultaneous=True) * sp.diff(
        conjugate, p
    )
    yield Equal(
        "slopes along the conjugacy",
        chain,
        sp.diff(1 / (v * p), p).subs(p, gap).subs(gap, upward) * slope_of_upward,
    )
    yield Equal("its fixed point", conjugate.subs(p, self_dual), self_dual)
    yield Equal(
        "which the self-dual number of rules has",
        upward.subs({m: v ** ((s - 1) / 2), p: self_dual}, simultaneous=True),
        self_dual,
    )


class Transition(NamedTuple):
    """Enclosures (Arb) of a transition."""

    belief: object
    noise: object
    slope: object
    exponent: object


TRANSITIONS = ((16, 4, 2), (32, 8, 2), (64, 8, 2), (8, 16, 3))  # (v, m, s)
WITHOUT = ((32, 32, 2), (16, 15, 2))
RADIUS = "1e-24"  # of the boxes around the interior roots


def _values(system: tuple[int, int, int]) -> dict[sp.Symbol, sp.Integer]:
    return dict(zip((v, m, s), map(sp.Integer, system), strict=True))


def sum_between(system: tuple[int, int, int]) -> sp.Expr:
    """S(p) of rhm-fixed-points, term by term."""
    size, rules, width = system
    return sum((size**k - rules) * p**k for k in range(width))


@functools.cache
def root_centre(system: tuple[int, int, int]) -> str:
    """The interior root in 30 digits."""
    with mpmath.workdps(40):
        root = mpmath.findroot(
            sp.lambdify(p, sum_between(system), "mpmath"),
            (1 / mpmath.mpf(system[0]), mpmath.mpf(1)),
            solver="anderson",
        )
    return mpmath.nstr(root, 30)


def certified_transition(system: tuple[int, int, int]) -> Transition:
    """The transition of (v, m, s) in balls.

    The Krawczyk test gives the interior root. Enclosures of the claims' expressions give the rest.
    """
    centre = root_centre(system)
    holds, detail = intervals.krawczyk([sum_between(system)], [p], [centre], RADIUS, {})
    if not holds:
        raise ArithmeticError(detail)
    box = {p: intervals.ball(centre, RADIUS)}
    expressions = (p, (1 - p) / (1 - 1 / v), slope_of_upward, sp.log(s) / sp.log(slope_of_upward))
    return Transition(
        *(intervals.enclose(expression.subs(_values(system)), box) for expression in expressions)
    )


def _named(system: tuple[int, int, int]) -> str:
    return "({}, {}, {})".format(*system)


NOISES = {system: sp.Symbol(f"epsilon_*{_named(system)}", real=True) for system in TRANSITIONS}
EXPONENTS = {system: sp.Symbol(f"nu{_named(system)}", real=True) for system in TRANSITIONS}
COUNTS = {system: sp.Symbol(f"count{_named(system)}", integer=True) for system in WITHOUT}


def critical_numbers():
    """ε* and ν by sign changes of Bayes' rule and complex steps."""
    found = {}
    for system in TRANSITIONS:
        shape = measures.Shape(*map(mpmath.mpf, system))
        fixed = measures.the_fixed_point(shape)
        slope = measures.slope_at(lambda at, shape=shape: measures.bayes(shape, at), fixed)
        found[NOISES[system]] = (1 - fixed) / (1 - 1 / shape.vocabulary)
        found[EXPONENTS[system]] = mpmath.log(shape.branching) / mpmath.log(slope)
    for system in WITHOUT:
        shape = measures.Shape(*map(mpmath.mpf, system))
        roots = measures.interior_fixed_points(shape, measures.FINE_GRID)
        found[COUNTS[system]] = len(roots)
    return found


@claim(
    "rhm-critical-values",
    statement=(
        "(v, m, s) has (ε*, ν): (16, 4, 2): (4/5, 2.2542493); (32, 8, 2): (68/93, 1.8927961); "
        "(64, 8, 2): (8/9, 1.4651632); (8, 16, 3): (0.4016828587, 3.7097871). Fractions are exact, "
        "and the decimals are correct to half a unit of the last digit. (32, 32, 2) and (16, 15, "
        "2) have no transition."
    ),
    explanation=(
        "ν < 2, which means a susceptibility that diverges, holds for the second and the third "
        "only."
    ),
    where=f"{PAPER}, mean field of the ε-process",
    domain=(
        "(v, m, s) = (16, 4, 2), (32, 8, 2), (64, 8, 2), (8, 16, 3); no transition: (32, 32, 2), "
        "(16, 15, 2)"
    ),
    origin="new",
    evidence="certified",
    backs="rhm_theory.theory.mean_field.criticality",
    theorem=Theorem(
        domain={},
        conclusions={
            "ε* of (16, 4, 2)": Eq(NOISES[16, 4, 2], sp.Rational(4, 5)),
            "ε* of (32, 8, 2)": Eq(NOISES[32, 8, 2], sp.Rational(68, 93)),
            "ε* of (64, 8, 2)": Eq(NOISES[64, 8, 2], sp.Rational(8, 9)),
            "ε* of (8, 16, 3)": Printed(NOISES[8, 16, 3], "0.4016828587"),
            "ν of (16, 4, 2)": Printed(EXPONENTS[16, 4, 2], "2.2542493"),
            "ν of (32, 8, 2)": Printed(EXPONENTS[32, 8, 2], "1.8927961"),
            "ν of (64, 8, 2)": Printed(EXPONENTS[64, 8, 2], "1.4651632"),
            "ν of (8, 16, 3)": Printed(EXPONENTS[8, 16, 3], "3.7097871"),
            "none for (32, 32, 2)": Eq(COUNTS[32, 32, 2], 0),
            "none for (16, 15, 2)": Eq(COUNTS[16, 15, 2], 0),
        },
        measure=critical_numbers,
    ),
    joins=[
        *(
            join(
                "identity",
                f"ε* of {_named(system)}",
                equation=(f"exactly, {_named(system)}", "claim:rhm-critical-noise"),
            )
            for system in TRANSITIONS[:3]
        ),
        *(
            join(
                "Krawczyk",
                f"ν of {_named(system)}",
                box=(f"the root of {_named(system)}", "claim:rhm-exponent"),
            )
            for system in TRANSITIONS
        ),
        join(
            "Krawczyk",
            "ε* of (8, 16, 3)",
            box=("the root of (8, 16, 3)", "claim:rhm-critical-noise"),
        ),
        *(
            join(
                "sign",
                f"none for {_named(system)}",
                sign=(
                    f"{_named(system)}: m over the largest number of rules",
                    f"{_named(system)}: m is above it",
                    "claim:rhm-transition",
                ),
            )
            for system in WITHOUT
        ),
    ],
    counterexample="an enclosure that excludes a value",
)
def critical_values(
    noise_16_4=sp.Rational(4, 5),
    exponent_16_4=sp.Rational("2.2542493"),
    noise_32_8=sp.Rational(68, 93),
    exponent_32_8=sp.Rational("1.8927961"),
    noise_64_8=sp.Rational(8, 9),
    exponent_64_8=sp.Rational("1.4651632"),
    noise_8_16=sp.Rational("0.4016828587"),
    exponent_8_16=sp.Rational("3.7097871"),
    excess_32_32=sp.Rational(31, 2),
    excess_16_15=sp.Rational(13, 2),
):
    threshold = (1 - p) / (1 - 1 / v)
    exact = {p: (m - 1) / (v - m)}
    for system, claimed in zip(TRANSITIONS, (noise_16_4, noise_32_8, noise_64_8), strict=False):
        yield Equal(
            f"exactly, {_named(system)}", threshold.subs(exact).subs(_values(system)), claimed
        )
    power_laws = (exponent_16_4, exponent_32_8, exponent_64_8, exponent_8_16)
    for system, power_law in zip(TRANSITIONS, power_laws, strict=True):
        values = _values(system)
        nu = (sp.log(s) / sp.log(slope_of_upward)).subs(values)
        printed = {"ν": (nu, digits_of(power_law, 8))}
        if system == TRANSITIONS[3]:
            printed["ε*"] = (threshold.subs(values), digits_of(noise_8_16, 10))
        yield Root(
            f"the root of {_named(system)}",
            equations=(sum_between(system),),
            unknowns=(p,),
            centre=(root_centre(system),),
            radius=RADIUS,
            printed=printed,
        )
    for system, excess in zip(WITHOUT, (excess_32_32, excess_16_15), strict=True):
        over = (m - most).subs(_values(system))
        yield Equal(f"{_named(system)}: m over the largest number of rules", over, excess)
        yield Positive(f"{_named(system)}: m is above it", excess)
