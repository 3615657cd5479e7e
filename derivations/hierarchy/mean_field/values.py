"""Mean field of the Random Hierarchy Model: duality and printed critical values."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
from typing import NamedTuple

import mpmath
import sympy as sp

from derivations.hierarchy import measures
from derivations.hierarchy.mean_field.maps import (
    ENOUGH,
    PAPER,
    SIZES,
    WITH_TRANSITION,
    F_p,
    gap,
    most,
    p_star,
    shape_of,
    slope_of_upward,
    slope_star,
    upward,
)
from derivations.ledger import intervals
from derivations.ledger.certificates import Root, digits_of
from derivations.ledger.domains import between
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import belief as p
from derivations.ledger.symbols import branching as s
from derivations.ledger.symbols import rules_per_symbol as m
from derivations.ledger.symbols import vocabulary as v
from derivations.ledger.theorems import (
    Eq,
    Implies,
    NoValue,
    Printed,
    Theorem,
)

F_dual, p_dual, slope_dual, F_self = sp.symbols("F' p_*' F'_* F_s", real=True)
SELF_DUAL = v ** sp.Rational(-1, 2)


def both_numbers_of_rules(vocabulary, rules_per_symbol, branching, belief):
    """Bayes' rule for m and for m' = v^(s-1)/m, and the fixed points by sign changes (or NaN)."""
    if vocabulary * belief < 1:
        raise NoValue("1/(vp) is no belief")
    shape = shape_of(vocabulary, rules_per_symbol, branching)
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
        "The values of (ε*, ν) are (4/5, 2.2542493) for (v, m, s) = (16, 4, 2), (68/93, 1.8927961) "
        "for (32, 8, 2) and (8/9, 1.4651632) for (64, 8, 2). They are (0.4016828587, 3.7097871) "
        "for (8, 16, 3). Fractions are exact, and the decimals are correct to half a unit of the "
        "last digit. (32, 32, 2) and (16, 15, 2) have no transition."
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
