"""Mean field of the Random Hierarchy Model: the transition and its exponent."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import sympy as sp

from derivations.hierarchy import measures
from derivations.hierarchy.mean_field.maps import (
    BRANCHING,
    DEFINED,
    ENOUGH,
    GEOMETRIC,
    PAPER,
    WITH_TRANSITION,
    denominator,
    denominator_step,
    fewest,
    gap,
    geometric,
    geometric_steps,
    more,
    most,
    noise,
    p_star,
    shape_of,
    slope_1,
    slope_of_upward,
    slope_star,
    slope_v,
    steps,
    upward,
)
from derivations.ledger.domains import OneOf, between
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import belief as p
from derivations.ledger.symbols import branching as s
from derivations.ledger.symbols import rules_per_symbol as m
from derivations.ledger.symbols import vocabulary as v
from derivations.ledger.theorems import (
    Eq,
    Gt,
    Iff,
    Implies,
    Le,
    Lt,
    NoValue,
    Order,
    Theorem,
)

count_between = sp.Symbol("count", integer=True)
TOO_NEAR = mpmath.mpf("1e-8")  # of a slope to 1: then a fixed point may be nearer than the grid
EQUAL_TO_ONE = mpmath.mpf("1e-20")


def fixed_points_between(vocabulary, rules_per_symbol, branching):
    """How many fixed points sign changes show between 1/v and 1, and slopes by complex steps."""
    shape = shape_of(vocabulary, rules_per_symbol, branching)

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
    shape = shape_of(vocabulary, rules_per_symbol, branching)
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
    shape = shape_of(vocabulary, rules_per_symbol, branching)
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
