"""Mean field of the Random Hierarchy Model (arXiv:2410.13770): one level up, and the transition.

Apart from its depth a hierarchy has three numbers: v symbols, m rules for each symbol, and s
symbols in each rule. There are v^s tuples, and mv of them are rules. s is a symbol in p^s and v^s,
so what is proved holds for every s. Sums over k < s are replaced by closed forms, by induction.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.

import functools
import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import mpmath
import sympy as sp

from derivations.hierarchy import enumeration, measures
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


def shape_of(vocabulary, rules_per_symbol, branching) -> measures.Shape:
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
        "true one have mean weight q. Each other rule is one of these tuples, with equal chances. "
        "The mean of the *quotient* is not F. That, and the rules which the nodes of a level "
        "share, is the error of the mean field. Without evidence, v^{s-1} of the v^s tuples have a "
        "given symbol at a given place."
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
    shape = shape_of(vocabulary, rules_per_symbol, branching)
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
    shape = shape_of(vocabulary, rules_per_symbol, branching)
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

    shape = shape_of(vocabulary, rules_per_symbol, branching)
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
