"""How the susceptibility depends on the depth: its exponents."""

# A claim's defaults are its statement, and SymPy expressions are immutable.

import functools

import mpmath
import sympy as sp
from mpmath import mpf

from derivations.hierarchy.finite_size.critical import (
    MANY,
    AtTransition,
    above,
    constant,
    critical,
    far_at,
    in_measured,
    kappa,
    levels_at,
    lost,
    nu_star,
    of_size,
    offset,
    recursive_susceptibility,
    transition_of,
)
from derivations.hierarchy.mean_field.maps import (
    GEOMETRIC,
    PAPER,
    WITH_TRANSITION,
    fewest,
    geometric,
    geometric_steps,
    slope_star,
)
from derivations.hierarchy.tree_correlations import (
    C_l,
    ascent,
    chi,
    exponent,
    far,
    first,
    level,
    path,
    second,
    slack,
)
from derivations.ledger.domains import Integers, OneOf
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import branching as s
from derivations.ledger.symbols import vocabulary as v
from derivations.ledger.theorems import (
    Gt,
    Iff,
    Lt,
    NoValue,
    Order,
    Theorem,
    limit,
)

chi_even, rungs = sp.symbols("chi_even rungs", positive=True)
MANY_SYMBOLS = 10**4


@functools.cache
def with_double_exponent(branching: int) -> AtTransition:
    """A hierarchy with F'(p*)² = s, so that ν = 2. Its m is no whole number."""
    with mpmath.workdps(40):
        size, width = mpf(MANY_SYMBOLS), mpf(branching)

        def excess(rules):
            return transition_of(size, rules, width).slope ** 2 - width

        least = mpf(str(sp.N(fewest.subs({v: MANY_SYMBOLS, s: branching}), 40)))
        ends = least * mpf("1.001"), size ** ((width - 1) / 2)
        rules = mpmath.findroot(excess, ends, solver="anderson", tol=mpf(10) ** -60)
        return transition_of(size, rules, width)


@functools.cache
def susceptibility_for_double_exponent(branching: int, levels: int):
    """χ at ε* where ν = 2."""
    with mpmath.workdps(40):
        return with_double_exponent(branching).tree(levels).susceptibility


def correlation_at_height(vocabulary, rules_per_symbol, branching, level, far=None, rungs=None):
    """C_ℓ and χ at ε* of a deep tree; χ where ν = 2."""
    if level < 1:
        raise NoValue("two leaves meet above the leaves")
    found = transition_of(vocabulary, rules_per_symbol, branching)
    numbers = found.numbers()
    if far is not None:
        levels = levels_at(far)
        above = found.tree(levels - int(level))
        siblings_there = found.law.covariance(1 - above.changed)
        numbers[C_l] = found.law.slope() ** (2 * (level - 1)) * siblings_there
        numbers[chi] = found.tree(levels).susceptibility
    if rungs is not None:
        numbers[chi_even] = susceptibility_for_double_exponent(int(branching), int(rungs))
    return numbers


@claim(
    "rhm-susceptibility-exponents",
    statement=(
        "At ε*, C_ℓ tends to c₀λ^{2(ℓ−1)} as the tree grows, ℓ levels above the leaves. That is "
        "c₀λ^{−2} r^{−(2−2/ν)} at r = s^ℓ. There χ ~ d^{2/ν−1} if F′(p*)² > s, that is ν < 2; "
        "χ ~ ln d if F′² = s; and χ is bounded if F′² < s, although ξ diverges as F′ > 1."
    ),
    explanation=(
        "By rhm-critical-susceptibility C_ℓ is λ^{2(ℓ-1)} times c₀ + c₁x - δ²λ²x², with x = "
        "λ^{L-ℓ} → 0. The covariance of siblings lies between two positive bounds "
        "(rhm-stationary-covariance). So χ - 1 lies between two multiples of Σ_{ℓ<L} κ^ℓ with κ = "
        "F'²/s, and that sum has a closed form."
    ),
    where=f"{PAPER}, susceptibility at the transition",
    domain="where rhm-transition has an interior fixed point p*; d = s^L leaves, L → ∞",
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.mean_field.criticality",
    theorem=Theorem(
        domain=MANY | {level: Integers(1, 6)},
        hypotheses=WITH_TRANSITION,
        conclusions={
            "C_ℓ": Order(
                C_l - in_measured(constant / lost**2) * (s**level) ** (2 / nu_star - 2),
                far,
                of_size(1 / nu_star - 1),  # λ^L
                at=(far_at(100), far_at(200)),  # λ may be near 1
            ),
            "χ": Order(
                chi,
                far,
                of_size(sp.Max(2 / nu_star - 1, 0)),
                at=(far_at(100), far_at(200)),
                exactly=True,
            ),
            "ν < 2": Iff(Gt(slope_star**2, s), Lt(nu_star, 2)),
            "ln d": Order(chi_even, rungs, sp.Integer(1), at=("1000", "4000"), exactly=True),
            "F' > 1": Gt(slope_star, 1),
        },
        measure=correlation_at_height,
        digits=250,  # λ^200 is down to 1e-156
        most_digits=250,
        points=8,
    ),
    joins=[
        GEOMETRIC,
        join("identity", "F' > 1", equation="claim:rhm-exponent"),
        join(
            "identity",
            "C_ℓ",
            equation=(
                "x → 0",
                "λ^{2ℓ} is r^-(2-2/ν)",
                "claim:rhm-critical-susceptibility",
                "known:c₀ + c₁x - δ²λ²x² is c₀ + O(x)",
            ),
        ),
        join(
            "equivalence",
            "ν < 2",
            identity=("ln κ = 2x", "(2 - ν) ln F' = 2x"),
            factor="F' > 1",
        ),
        join(
            "squeeze",
            ("χ", "ln d"),
            bounds=("claim:rhm-stationary-covariance", "claim:rhm-correlations"),
            order=(
                "sλ²",
                "sums in closed form",
                "Σ_{ℓ<L} κ^ℓ",
                "κ^L is d^(2/ν-1)",
                "over κ^L",
                "κ > 1: L → ∞",
                "κ = 1",
                "κ < 1: what the sum lacks",
                "κ < 1: L → ∞",
                "and 1/(1-κ) is finite",
            ),
        ),
    ],
    counterexample=(
        "(v, m, s) with F'² > s whose χ at ε* stays bounded in the depth, or with F'² < s whose χ "
        "grows without bound"
    ),
)
def susceptibility_exponents(
    decay=2 - 2 / exponent,
    growth=2 / exponent - 1,
    kesten_stigum=ascent**2 / s,
    total=(kappa**level - 1) / (kappa - 1),
):
    yield from geometric_steps()
    damping_here = ascent / s
    nu = sp.log(s) / sp.log(ascent)
    yield Equal(
        "λ^{2ℓ} is r^-(2-2/ν)",
        level * sp.log(damping_here**2),
        -decay.subs(exponent, nu) * sp.log(s**level),
    )
    covariance = first + second * above - offset**2 * lost**2 * above**2
    yield Equal("x → 0", sp.limit(covariance, above, 0), first)
    yield Equal("sλ²", s * damping_here**2, kesten_stigum)
    yield Equal(
        "κ^L is d^(2/ν-1)",
        level * sp.log(kesten_stigum),
        growth.subs(exponent, nu) * sp.log(s**level),
    )
    # ν < 2 and κ > 1 are one condition: F' = sqrt(s) e^x.
    beyond = {ascent: sp.sqrt(s) * sp.exp(above)}
    yield Equal("ln κ = 2x", sp.log(kesten_stigum.subs(beyond)), 2 * above)
    yield Equal(
        "(2 - ν) ln F' = 2x",
        ((2 - exponent).subs(exponent, nu) * sp.log(ascent)).subs(beyond),
        2 * above,
    )
    yield Equal("Σ_{ℓ<L} κ^ℓ", geometric(kappa, level), total)
    yield Equal("κ = 1", sp.limit(total, kappa, 1), level)
    yield Equal("over κ^L", total / kappa**level, (1 - kappa**-level) / (kappa - 1))
    larger, smaller = {kappa: 1 + path}, {kappa: path / (1 + path)}
    yield Equal("κ > 1: L → ∞", sp.limit(larger[kappa] ** -level, level, sp.oo), 0)
    yield Equal("κ < 1: what the sum lacks", 1 / (1 - kappa) - total, kappa**level / (1 - kappa))
    yield Equal("κ < 1: L → ∞", sp.limit(smaller[kappa] ** level, level, sp.oo), 0)
    yield Positive("and 1/(1-κ) is finite", (1 / (1 - kappa)).subs(smaller))


quotient = sp.Symbol("quotient", real=True)
hierarchy, side = sp.symbols("system side")
GROWING = ((64, 8, 2), (40, 7, 2), (32, 8, 2))  # (v, m, s) with ν < 2
SETTLED = 300  # levels beyond those on which the deviation grows: χ stays the same there


def off_critical_quotient(system, side, t=None):
    """χ at a distance t/F' from p* over χ at t, on one side of p*."""
    distance = mpf("1e-40") if t is None else t
    with mpmath.workdps(200):
        found = critical(system)
        levels = int(mpmath.log(1 / distance) / mpmath.log(found.slope)) + SETTLED
        near, away = (
            recursive_susceptibility(system, depth, found.belief + side * apart)
            for depth, apart in ((levels + 1, distance / found.slope), (levels, distance))
        )
        return {quotient: near / away, slope_star: found.slope, s: system[2]}


def _off_critical(*, vocabulary=64, rules_per_symbol=8, branching=2):
    """The quotient on both sides of p* and F'^(2-ν), to 10 digits; t = 1e-80."""
    system = (vocabulary, rules_per_symbol, branching)
    with mpmath.workdps(200):
        tiny = mpf(10) ** -80
        ratios = [off_critical_quotient(system, way, tiny)[quotient] for way in (-1, 1)]
        claimed = critical(system).slope ** (2 - critical(system).exponent)
        return [round(float(ratio), 10) for ratio in ratios], [round(float(claimed), 10)] * 2


@claim(
    "rhm-susceptibility-off-critical",
    statement=(
        "Conjectured: in the limit of infinite depth, χ ~ |ε−ε*|^{−(2−ν)} for ν < 2 as ε → ε*, up "
        "to a bounded factor. More exactly, an F′ times smaller |ε−ε*| multiplies χ by F′^{2−ν} = "
        "κ."
    ),
    explanation=(
        "A deviation from p* grows by F' per level. So an F' times smaller one gives the same tree "
        "with one level more below, which multiplies the pair sum by κ. Beyond ξ, F' < 1 at the "
        "ends cuts the sum. Missing are bounds for the levels between. Tried: both sides of p*, "
        "for (64, 8, 2), (40, 7, 2) and (32, 8, 2). From distance 1e-40 to 1e-80 the error falls "
        "with the power 2−ν or ν−1, the smaller of both. 10, 10 and 9 digits agree at 1e-80."
    ),
    where=f"{PAPER}, susceptibility near the transition",
    domain="at an interior fixed point p* with ν < 2; L → ∞ first, then ε → ε*",
    origin="new",
    evidence="conjecture",
    backs="rhm_theory.theory.mean_field.criticality",
    theorem=Theorem(
        domain={hierarchy: OneOf(GROWING), side: OneOf((-1, 1))},
        conclusions={
            "κ": limit(
                quotient,
                slope_star**2 / s,
                slack,
                sp.Min(2 - nu_star, nu_star - 1),
                at=("1e-40", "1e-80"),
            )
        },
        measure=off_critical_quotient,
        points=6,
    ),
    evaluate=_off_critical,
    counterexample="(v, m, s) with ν < 2 for which the quotient tends to another number",
)
def off_critical(
    power_of_distance=2 - exponent,
    growth=2 / exponent - 1,
    ratio=ascent**2 / s,
):
    nu = sp.log(s) / sp.log(ascent)
    yield Equal(
        "F'^(2-ν) is κ",
        power_of_distance.subs(exponent, nu) * sp.log(ascent),
        sp.log(ratio),
    )
    yield Equal("ξ^(2/ν-1) for ξ = |ε-ε*|^-ν", exponent * growth, power_of_distance)
