"""Mean field of the Random Hierarchy Model (arXiv:2410.13770): one level up, and the transition.

Apart from its depth a hierarchy has three numbers: v symbols, m rules for each symbol, and s
symbols in each rule. There are v^s tuples, and mv of them are rules. s is a symbol in p^s and v^s,
so what is proved holds for every s. Sums over k < s are replaced by closed forms, by induction.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import mpmath
import sympy as sp

from derivations.hierarchy import enumeration
from derivations.ledger import intervals
from derivations.ledger.ledger import claim
from derivations.ledger.steps import Certificate, Equal, Positive
from derivations.ledger.symbols import belief as p
from derivations.ledger.symbols import branching as s
from derivations.ledger.symbols import rules_per_symbol as m
from derivations.ledger.symbols import vocabulary as v

PAPER = "arXiv:2410.13770"
noise = sp.Symbol("epsilon", positive=True)
more, gap, steps = sp.symbols("u t k", positive=True)
power, tuples = p**s, v**s  # of the true tuple: its belief; of all tuples: their number
wrong_tuple = (1 - power) / (tuples - 1)  # q: mean belief of one of the other tuples
numerator = (tuples - m) * power + m - 1
denominator = (tuples - m * v) * power + m * v - 1
upward = numerator / denominator
slope_of_upward = s * m * (v - 1) * (tuples - 1) * p ** (s - 1) / denominator**2
fewest = s * v ** (s - 1) * (v - 1) / (tuples - 1)  # rules below which nothing is ever lost
most = (tuples - 1) / (s * (v - 1))  # rules above which nothing is ever recovered


def geometric(ratio: sp.Expr, terms: sp.Expr = s) -> sp.Expr:
    """``sum_{k < terms} ratio^k``, in closed form."""
    return (ratio**terms - 1) / (ratio - 1)


def geometric_steps() -> Iterator[Equal]:
    """The induction behind :func:`geometric`."""
    ratio = sp.Symbol("x", positive=True)
    yield Equal("geometric sum: no term", geometric(ratio, sp.Integer(0)), 0)
    yield Equal(
        "geometric sum: one term more",
        geometric(ratio, steps + 1) - geometric(ratio, steps),
        ratio**steps,
    )


interior = geometric(v * p) - m * geometric(p)  # sum_{k<s} (v^k - m) p^k


def fraction(number) -> Fraction:
    """A SymPy or Python number as an exact fraction."""
    number = sp.Rational(number)
    return Fraction(int(number.p), int(number.q))


@functools.cache
def _mean_messages(
    vocabulary: int, rules: int, branching: int, belief: Fraction
) -> tuple[Fraction, Fraction]:
    """Mean message to the true symbol and to symbol 1 over all tables, given the true tuple.

    ``belief`` is the probability of each child's true symbol.
    """
    child = [belief, *[(1 - belief) / (vocabulary - 1)] * (vocabulary - 1)]
    true_sum = other_sum = Fraction(0)
    count = 0
    for table in enumeration.random_tables(vocabulary, rules, branching):
        messages = enumeration.upward(enumeration.Grammar((table,)), [child] * branching)[1][0]
        true_sum = true_sum + messages[0]
        other_sum = other_sum + messages[1]
        count = count + 1
    return true_sum / count, other_sum / count


TABLES = ((2, 1, 2), (2, 2, 2), (3, 1, 2), (2, 2, 3))  # v, m, s: 3, 6, 56 and 210 tables


def _random_rules(*, vocabulary=3, rules_per_symbol=1, branching=2, belief=0.7):
    values = {v: vocabulary, m: rules_per_symbol, s: branching, p: sp.Rational(str(belief))}
    computed = _mean_messages(vocabulary, rules_per_symbol, branching, Fraction(str(belief)))
    claimed = RANDOM_RULES["true_symbol"], RANDOM_RULES["other_symbol"]
    return [float(number) for number in computed], [
        float(expression.subs(values)) for expression in claimed
    ]


RANDOM_RULES = {
    "true_symbol": (power + (m - 1) * (1 - power) / (tuples - 1)) / m,
    "other_symbol": (1 - power) / (tuples - 1),
}


@claim(
    "rhm-random-rules",
    statement=(
        "Average over random rules, given the true tuple. The message to the true symbol is (p^s + "
        "(m−1)q)/m, and q to every other, with q = (1−p^s)/(v^s−1). This is exact, also for "
        "numerator and denominator of Bayes' rule separately. Without evidence every node's mean "
        "marginal is 1/v."
    ),
    explanation=(
        "All tuples together have weight (Σ_x μ(x))^s = 1. So the v^s - 1 tuples other than the "
        "true one have mean weight q, and each other rule is one of them with equal chances. The "
        "mean of the *quotient* is not F. That, and the rules which the nodes of a level share, is "
        "the error of the mean field. Without evidence, v^{s-1} of the v^s tuples have a given "
        "symbol at a given place. Certified: all tables of four sizes."
    ),
    where=f"{PAPER}, averages of belief propagation over random rules",
    domain="mv distinct tuples uniformly without replacement; children's messages fixed; one level",
    origin="paper",
    evidence="certified",
    backs="rhm_theory.theory.mean_field.upward",
    rules=["exchangeability", "linearity of expectation"],
    evaluate=_random_rules,
    counterexample="v, m, s, p whose enumerated tables have another mean message",
)
def random_rules(
    true_symbol=RANDOM_RULES["true_symbol"],
    other_symbol=RANDOM_RULES["other_symbol"],
    uniform=1 / v,
):
    one_child = p + (v - 1) * (1 - p) / (v - 1)
    yield Equal("one child's messages sum to 1, hence those of all tuples", one_child, 1)
    mean_of_others = (1 - power) / (tuples - 1)
    yield Equal(
        "the true symbol: one rule is the true tuple",
        true_symbol,
        (power + (m - 1) * mean_of_others) / m,
    )
    yield Equal("another symbol: m rules", other_symbol, m * mean_of_others / m)
    yield Equal(
        "share of tuples with a given symbol at a given place", v ** (s - 1) / tuples, uniform
    )
    for system in TABLES:
        values = dict(zip((v, m, s), system, strict=True))
        agree = all(
            tuple(
                fraction(claimed.subs(values | {p: sp.Rational(at, 10)}))
                for claimed in (true_symbol, other_symbol)
            )
            == _mean_messages(*system, Fraction(at, 10))
            for at in range(
                2, 3 + system[2]
            )  # both sides are polynomials in p of degree s: s + 1 points suffice
        )
        yield Certificate(
            f"all tables, (v, m, s) = {system}", agree, f"at {system[2] + 1} beliefs, hence at all"
        )


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
        "separately."
    ),
    where=f"{PAPER}, mean field of the ε-process",
    domain="v >= 2, 1 <= m <= v^(s-1), s >= 1, 0 <= p <= 1",
    origin="paper",
    evidence="proved",
    backs=[
        "rhm_theory.theory.mean_field.step",
        "rhm_theory.theory.mean_field.upward",
        "rhm_theory.noise.likelihood.epsilon_process",
    ],
    rules=["linearity of expectation"],
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
    yield Equal("p₀", (1 - noise + noise / v) / (1 - noise + v * noise / v), start)
    yield Equal("each other symbol of a leaf", (1 - start) / (v - 1), noise / v)
    # At m = v^(s-1), t = 0, the first term is gone and the second is positive.
    ranges = {tuples: m * v + gap, v: 1 + more, m: 1 + steps}
    yield Positive(
        "the denominator, where v^s = mv + t",
        denominator.subs(tuples, ranges[tuples]).subs(v, ranges[v]).subs(m, ranges[m]),
    )


@claim(
    "rhm-upward-slope",
    statement=(
        "F′(p) = s m (v−1)(v^s−1) p^{s−1}/((v^s−mv)p^s + mv − 1)² > 0. In particular F′(1) = s m "
        "(v−1)/(v^s−1) and F′(1/v) = s v^{s−1}(v−1)/(m(v^s−1))."
    ),
    where=f"{PAPER}, mean field of the ε-process",
    domain="as rhm-upward-map",
    origin="paper",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.slope",
    counterexample="v, m, s, p at which a difference quotient of F is not the slope",
)
def upward_slope(
    slope=slope_of_upward,
    at_recovered=s * m * (v - 1) / (tuples - 1),
    at_lost=s * v ** (s - 1) * (v - 1) / (m * (tuples - 1)),
):
    yield Equal("dF/dp", sp.diff(upward, p), slope)
    yield Equal("at p = 1", slope.subs(p, 1), at_recovered)
    yield Equal("at p = 1/v", slope.subs(p, 1 / v), at_lost)
    yield Positive(
        "over a square, v - 1 = u and v^s - 1 = t",
        (slope_of_upward * denominator**2).subs(tuples, 1 + gap).subs(v, 1 + more),
    )


@claim(
    "rhm-fixed-points",
    statement=(
        "F(p) − p = (1−p)(vp−1) Σ_{k<s}(v^k−m)p^k/((v^s−mv)p^s + mv − 1). So F(p) = p exactly when "
        "p = 1, p = 1/v, or the sum is 0."
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
    rules=["geometric sum"],
    counterexample=(
        "v, m, s and a p in [0, 1] other than 1 and 1/v with F(p) = p and a sum that is not 0"
    ),
)
def fixed_points(
    interior_sum=interior,
    two_children=(m - 1) / (v - m),
    three_children=(v**2 - m) * p**2 + (v - m) * p - (m - 1),
):
    yield from geometric_steps()
    yield Equal("F(p) - p", upward - p, (1 - p) * (v * p - 1) * interior_sum / denominator)
    yield Equal("s = 2", interior_sum.subs(s, 2), (v - m) * (p - two_children))
    yield Equal("s = 3", interior_sum.subs(s, 3), three_children)


@claim(
    "rhm-transition",
    statement=(
        "An interior fixed point exists exactly when s v^{s−1}(v−1)/(v^s−1) < m < "
        "(v^s−1)/(s(v−1)), that is, when F′ < 1 at both ends. It is unique and repels."
    ),
    explanation=(
        "The sum of rhm-fixed-points is 0 exactly when m = R(p) = Σ(vp)^k/Σp^k, a mean of v^k with "
        "weights p^k. R increases, since dR/d ln p is a covariance of k and v^k, which both "
        "increase. So each m between R(1/v) and R(1) is met once, and no other m is. On (1/v, 1), "
        "F(p) - p has the sign of R(p) - m."
    ),
    where=f"{PAPER}, mean field of the ε-process: when there is a transition",
    domain="v > 1, 1 <= m <= v^(s-1), every s >= 2",
    origin="new",
    evidence="proved",
    backs=["rhm_theory.theory.mean_field.fixed_points", "rhm_theory.theory.mean_field.criticality"],
    rules=[
        "geometric sum",
        "increasing functions correlate",
        "monotone bijection",
        "intermediate value",
        "tangent line",
    ],
    counterexample=(
        "v, m, s with two interior fixed points, or with one although m is outside the range"
    ),
)
def transition(lower=fewest, upper=most, pair_difference=(steps - gap) * (v**steps - v**gap)):
    yield from geometric_steps()
    yield Equal("R(1/v): s terms of 1 above", s / geometric(1 / v), lower)
    yield Equal("R(1): s terms of 1 below", geometric(v) / s, upper)
    swapped = (
        steps * v**steps - gap * v**steps + gap * v**gap - steps * v**gap
    )  # the terms (k, t) and (t, k) of N'D - ND'
    yield Equal("the terms of a pair k, t in p D² dR/dp", swapped, pair_difference)
    both = pair_difference.subs(steps, gap + more)
    yield Equal("k = t + u", both, more * v**gap * (v**more - 1))
    log_v = sp.Symbol("h", positive=True)
    yield Positive("v^u - 1 >= u ln v > 0", more * v**gap * (more * log_v))
    yield Equal("F'(1) = m/R(1)", slope_of_upward.subs(p, 1), m / upper)
    yield Equal("F'(1/v) = R(1/v)/m", slope_of_upward.subs(p, 1 / v), lower / m)


@claim(
    "rhm-critical-noise",
    statement=(
        "As the depth grows, the root is recovered (p → 1) for ε < ε* and lost (p → 1/v) for ε > "
        "ε*, with ε* = (1−p*)/(1−1/v). For s = 2, ε* = v(v+1−2m)/((v−m)(v−1))."
    ),
    explanation=(
        "p₀ falls with ε, and equals p* at ε*. F increases (rhm-upward-slope) and maps [1/v, 1] "
        "onto itself. Between fixed points F - id has one sign: + above p* and - below "
        "(rhm-transition). So orbits tend to 1 and to 1/v."
    ),
    where=f"{PAPER}, mean field of the ε-process",
    domain="where rhm-transition has an interior fixed point p*",
    origin="paper",
    evidence="proved",
    backs=[
        "rhm_theory.theory.mean_field.critical_noise",
        "rhm_theory.theory.mean_field.criticality",
    ],
    rules=["monotone iteration"],
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


@claim(
    "rhm-exponent",
    statement=(
        "ξ ~ |ε−ε*|^{−ν} with ν = ln s/ln F′(p*) and F′(p*) > 1. For s = 2, F′(p*) = "
        "2(v−m)(m−1)(v+1)/(m(v−1)²)."
    ),
    explanation=(
        "A deviation t from p* grows by F'(p*) on each level. So it is of order 1 after ln(1/t)/ln "
        "F'(p*) levels, up to O(1), and ξ is s to that power, with t = (1-1/v)|ε-ε*|. For the "
        "slope: F - id is a positive factor times the sum of rhm-fixed-points, which increases "
        "through p*."
    ),
    where=f"{PAPER}, the exponent of the correlation length",
    domain="where rhm-transition has an interior fixed point p*; ε → ε*",
    origin="paper",
    evidence="proved",
    backs=[
        "rhm_theory.theory.mean_field.exponent",
        "rhm_theory.theory.mean_field.criticality",
        "rhm_theory.theory.mean_field.correlated_size",
    ],
    rules=["Koenigs linearisation"],
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
    root_sum = sp.Function("S")(p)
    excess = (1 - p) * (v * p - 1) * root_sum / denominator
    at_root = {root_sum: 0}
    derivative = sp.diff(excess, p).subs(sp.diff(root_sum, p), gap).subs(at_root)
    yield Equal("F'(p*) - 1, t = S'(p*)", derivative, (1 - p) * (v * p - 1) * gap / denominator)
    between = {v: (1 + more) / p}  # vp > 1
    yield Positive(
        "(1-p)(vp-1) on (1/v, 1)",
        ((1 - p) * (v * p - 1)).subs(between).subs(p, steps / (1 + steps)),
    )
    yield Equal("s = 2", slope_of_upward.subs(s, 2).subs(p, (m - 1) / (v - m)), two_children)


@claim(
    "rhm-duality",
    statement=(
        "With m′ = v^{s−1}/m, F_{m′}(1/(vp)) = 1/(v F_m(p)). So p*(m′) = 1/(v p*(m)), with the "
        "same slope and ν. If m² = v^{s−1}, then p* = v^{−1/2}."
    ),
    explanation=(
        "The map p -> 1/(vp) is an exact conjugacy, and its own inverse. It does not change the "
        "multipliers of fixed points."
    ),
    where=f"{PAPER}, mean field of the ε-process",
    domain="v > 1, m > 0, p > 0, every s",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.dual",
    counterexample="v, m, s, p at which the two sides differ",
)
def duality(rules=v ** (s - 1) / m, conjugate=1 / (v * p), self_dual=v ** sp.Rational(-1, 2)):
    yield Equal(
        "conjugacy", upward.subs({m: rules, p: conjugate}, simultaneous=True), 1 / (v * upward)
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


def certified_transition(system: tuple[int, int, int]) -> Transition:
    """The transition of (v, m, s) in balls.

    The Krawczyk test gives the interior root. Enclosures of the claims' expressions give the rest.
    """
    values = dict(zip((v, m, s), map(sp.Integer, system), strict=True))
    size, rules, width = system
    polynomial = sum((size**k - rules) * p**k for k in range(width))
    with mpmath.workdps(40):
        root = mpmath.findroot(
            sp.lambdify(p, polynomial, "mpmath"),
            (1 / mpmath.mpf(size), mpmath.mpf(1)),
            solver="anderson",
        )
    centre = sp.Rational(mpmath.nstr(root, 30))
    radius = sp.Rational(1, 10**24)
    holds, detail = intervals.krawczyk([polynomial], [p], [centre], radius, {})
    if not holds:
        raise ArithmeticError(detail)
    box = {p: intervals.ball(centre, radius)}
    expressions = (p, (1 - p) / (1 - 1 / v), slope_of_upward, sp.log(s) / sp.log(slope_of_upward))
    return Transition(
        *(intervals.enclose(expression.subs(values), box) for expression in expressions)
    )


def _transition(*, vocabulary=16, rules_per_symbol=4, branching=2):
    """(p*, ε*, F'(p*), ν) from the map alone, and the middles of the enclosures.

    The map gives a root of F(p) - p, and a difference quotient.
    """
    with mpmath.workdps(40):
        system = {v: vocabulary, m: rules_per_symbol, s: branching}
        step = sp.lambdify(p, upward.subs(system), "mpmath")
        # Divided by the factors of the two ends, F - id has one root between them.
        inside = lambda at: (step(at) - at) / ((1 - at) * (vocabulary * at - 1))  # noqa: E731
        edge = mpmath.mpf("1e-6")
        root = mpmath.findroot(
            inside, (1 / mpmath.mpf(vocabulary) + edge, 1 - edge), solver="anderson"
        )
        slope = mpmath.diff(step, root)
        found = (
            root,
            (1 - root) / (1 - 1 / mpmath.mpf(vocabulary)),
            slope,
            mpmath.log(branching) / mpmath.log(slope),
        )
    certified = certified_transition((vocabulary, rules_per_symbol, branching))
    return [float(number) for number in found], [float(ball.mid()) for ball in certified]


@claim(
    "rhm-critical-values",
    statement=(
        "(v, m, s) has (ε*, ν): (16, 4, 2): (0.8, 2.2542493); (32, 8, 2): (0.7311828, 1.8927961); "
        "(64, 8, 2): (8/9, 1.4651632); (8, 16, 3): (0.4016828587, 3.7097871). (32, 32, 2) and (16, "
        "15, 2) have no transition."
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
    rules=["Krawczyk"],
    evaluate=_transition,
    counterexample="an enclosure that excludes a value",
)
def critical_values(
    noise_16_4=sp.Rational(4, 5),
    exponent_16_4=sp.Rational("2.2542493"),
    noise_32_8=sp.Rational("0.7311828"),
    exponent_32_8=sp.Rational("1.8927961"),
    noise_64_8=sp.Rational(8, 9),
    exponent_64_8=sp.Rational("1.4651632"),
    noise_8_16=sp.Rational("0.4016828587"),
    exponent_8_16=sp.Rational("3.7097871"),
):
    claimed = (
        (noise_16_4, exponent_16_4),
        (noise_32_8, exponent_32_8),
        (noise_64_8, exponent_64_8),
        (noise_8_16, exponent_8_16),
    )
    for system, (threshold, power_law) in zip(TRANSITIONS, claimed, strict=True):
        found = certified_transition(system)
        # 6e-8: half a unit of the last digit of the exponents and of the shortest threshold.
        near = (
            abs(found.noise - intervals.ball(threshold)) < 6e-8
            and abs(found.exponent - intervals.ball(power_law)) < 6e-8
        )
        yield Certificate(
            f"(v, m, s) = {system}",
            bool(near),
            f"ε* in {found.noise.str(15)}, ν in {found.exponent.str(15)}",
        )
    for system in WITHOUT:
        values = dict(zip((v, m, s), map(sp.Integer, system), strict=True))
        yield Positive(f"{system}: m above the largest number of rules", (m - most).subs(values))
