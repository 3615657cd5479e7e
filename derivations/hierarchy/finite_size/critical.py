"""How the susceptibility of a random hierarchy depends on its depth, in mean field.

At the critical noise every level has the same p, so the recursions of rhm-correlations are
geometric. Their sum is closed: a rational function of λ^L and (sλ²)^L for a tree of depth L.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.

from typing import NamedTuple

import mpmath
import sympy as sp

from derivations.hierarchy import measures, tree_measures
from derivations.hierarchy.mean_field.maps import (
    BRANCHING,
    GEOMETRIC,
    PAPER,
    WITH_TRANSITION,
    geometric,
    geometric_steps,
    numerator,
    p_star,
    power,
    slope_of_upward,
    slope_star,
    tuples,
)
from derivations.hierarchy.measures import Shape
from derivations.hierarchy.tree_correlations import (
    A,
    A_m,
    P_leaf,
    ascent,
    chi,
    damped,
    damping,
    depth,
    exponent,
    far,
    first,
    level,
    path,
    second,
    siblings,
    true_rule,
    unchanged,
    w,
    w_m,
)
from derivations.ledger.domains import Integers, between
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
    Lt,
    NoValue,
    Order,
    Theorem,
)

rest, lost, kappa, above = sp.symbols("P_oo lambda kappa x", positive=True)
count = sp.Symbol("k", integer=True, positive=True)
offset = sp.Symbol("delta", real=True)  # p* - P_oo, of either sign

at_rest = (A - 1) / (A - w)
constant = (1 - w) * (p * w - power) / (A - w) ** 2
linear = offset * w * (1 + power - 2 * rest * w) / A**2
# Σ_{ℓ<=L} (s-1) s^(ℓ-1) C_ℓ, with a and b in place of c_0 and c_1.
pair_sum = (s - 1) * (
    first * (kappa**level - 1) / (kappa - 1)
    + second * (kappa**level - lost**level) / (lost * (ascent - 1))
) - offset**2 * (kappa**level - lost ** (2 * level))
leading = (s - 1) * (first / (kappa - 1) + second / (lost * (ascent - 1))) - offset**2
remaining = 1 - (s - 1) * first / ((kappa - 1) * rest * (1 - rest))


class Critical(NamedTuple):
    """A hierarchy at its critical noise; c_0, c_1, A_k and B as in the claims below."""

    belief: mpmath.mpf
    true_rule: mpmath.mpf
    damping: mpmath.mpf
    slope: mpmath.mpf
    exponent: mpmath.mpf
    rest: mpmath.mpf
    offset: mpmath.mpf
    constant: mpmath.mpf
    linear: mpmath.mpf


def _numbers(system: tuple[int, int, int]) -> dict[sp.Symbol, int]:
    return dict(zip((v, m, s), map(sp.Integer, system), strict=True))


def _evaluated(expression: sp.Expr, values: dict):
    names = sorted(expression.free_symbols, key=str)
    return sp.lambdify(names, expression, "mpmath")(*(mpmath.mpmathify(values[n]) for n in names))


def critical(system: tuple[int, int, int]) -> Critical:
    """The numbers at the transition of (v, m, s), to the working precision of mpmath."""
    size, rules, width = system
    values = {v: size, m: rules, s: width}
    low = 1 / mpmath.mpf(size)
    high = mpmath.mpf(1)
    for _ in range(mpmath.mp.prec + 10):  # of a sum with one sign change
        middle = (low + high) / 2
        below = sum((size**k - rules) * middle**k for k in range(width)) < 0
        low, high = (middle, high) if below else (low, middle)
    values[p] = low
    values[w] = _evaluated(true_rule, values)
    values[A] = _evaluated(sum(p**k for k in range(width)), values)
    values[rest] = _evaluated(at_rest, values)
    values[offset] = low - values[rest]
    slope = _evaluated(slope_of_upward, values)
    return Critical(
        belief=low,
        true_rule=values[w],
        damping=_evaluated(damping, values),
        slope=slope,
        exponent=mpmath.log(width) / mpmath.log(slope),
        rest=values[rest],
        offset=values[offset],
        constant=_evaluated(constant, values),
        linear=_evaluated(linear, values),
    )


def _symbols(system: tuple[int, int, int], found: Critical, depth: int = 0) -> dict:
    return {
        s: system[2],
        level: depth,
        first: found.constant,
        second: found.linear,
        kappa: system[2] * found.damping**2,
        lost: found.damping,
        ascent: found.slope,
        offset: found.offset,
        rest: found.rest,
    }


def growing_terms(system: tuple[int, int, int], found: Critical) -> list[tuple]:
    """(power of d, amplitude) of the terms that grow, then (0, B)."""
    values = _symbols(system, found)
    amplitude = _evaluated(leading, values)
    grown = []
    while (len(grown) + 1) * (found.exponent - 1) < 1:
        k = len(grown)
        share = (1 - found.rest) ** (-k - 1) + (-1) ** k * found.rest ** (-k - 1)
        grown.append(
            ((k + 2) / found.exponent - k - 1, amplitude * found.offset**k * share),
        )
    return [*grown, (mpmath.mpf(0), _evaluated(remaining, values))]


def recursive_susceptibility(system: tuple[int, int, int], depth: int, belief) -> mpmath.mpf:
    """χ at p_0 = ``belief`` from the laws of single and of paired children, level by level."""
    size, rules, width = system
    tuples_in_all = mpmath.mpf(size) ** width
    beliefs = [belief]
    for _ in range(depth):
        true = beliefs[-1] ** width
        beliefs.append(
            ((tuples_in_all - rules) * true + rules - 1)
            / ((tuples_in_all - size * rules) * true + size * rules - 1)
        )
    *children, state = beliefs
    pairs = mpmath.mpf(0)
    for child in reversed(children):
        true = child**width
        wrong = (1 - true) / (tuples_in_all - 1)
        chosen = true / (true + (rules - 1) * wrong)
        one, two = ((child**count - true) / (1 - true) for count in (1, 2))
        whole = state * chosen
        kept = whole + (1 - whole) * one
        covariance = whole + (1 - whole) * two - kept**2
        slope = chosen + (1 - chosen) * one - one  # P(U|U) - P(U|C)
        pairs = width * slope**2 * pairs + (width - 1) * covariance
        state = kept
    return 1 + pairs / (state * (1 - state))


def digits(system: tuple[int, int, int], depth: int) -> int:
    """Digits with which χ at ε* is exact to 1e-60: p* repels, and χ is of order (F'^2/s)^depth."""
    with mpmath.workdps(30):
        return 60 + int(3 * depth * mpmath.log10(critical(system).slope))


# ν < 2 needs many symbols.
MANY = BRANCHING | {v: Integers(2, 1000), m: between(1, None, "[)", decades=3)}
MEASURED = {p: p_star, w: w_m, A: A_m, lost: damped, ascent: slope_star, level: depth}
nu_star = sp.log(s) / sp.log(slope_star)
LEVELS_PER_DOUBLING = 10  # depth 10 where ``far`` is 2, so that small powers are told apart


def in_measured(expression: sp.Expr) -> sp.Expr:
    """``expression`` at p*, in the quantities that the measures return."""
    inner = expression.subs({first: constant, second: linear}).subs(kappa, s * lost**2)
    return inner.subs(offset, p - rest).subs(rest, at_rest).subs(MEASURED)


def of_size(per_leaf: sp.Expr) -> sp.Expr:
    """The power of ``far`` that is the power ``per_leaf`` of the number of leaves."""
    return LEVELS_PER_DOUBLING * per_leaf * sp.log(s) / sp.log(2)


def levels_at(far) -> int:
    """The depth that the scale ``far`` stands for."""
    return int(mpmath.nint(LEVELS_PER_DOUBLING * mpmath.log(far, 2)))


def far_at(levels: int) -> str:
    """The scale ``far`` of a depth that is a multiple of ten."""
    return str(2 ** (levels // LEVELS_PER_DOUBLING))


class AtTransition(NamedTuple):
    """The interior fixed point, the law of children there, and F' there."""

    shape: Shape
    belief: object
    law: tree_measures.Level
    slope: object

    def numbers(self) -> dict[sp.Symbol, object]:
        """What the closed forms are made of."""
        return {
            p_star: self.belief,
            w_m: self.law.true_rule,
            A_m: sum(self.belief**k for k in range(int(self.shape.branching))),
            damped: self.law.slope(),
            slope_star: self.slope,
        }

    def tree(self, levels: int) -> tree_measures.Sums:
        """A tree whose beliefs are p* on every level, followed down from its root."""
        if levels < 0:
            raise NoValue("a tree has levels")
        return tree_measures.followed([self.law] * levels, self.belief, self.shape.branching)


def transition_of(vocabulary, rules_per_symbol, branching) -> AtTransition:
    """By sign changes of Bayes' rule, and the states of the children."""
    shape = Shape(vocabulary, rules_per_symbol, branching)
    fixed = measures.the_fixed_point(shape)
    return AtTransition(
        shape=shape,
        belief=fixed,
        law=tree_measures.level_of(shape, fixed),
        slope=measures.slope_at(lambda at: measures.bayes(shape, at), fixed),
    )


def critical_tree(vocabulary, rules_per_symbol, branching, depth):
    """χ and P of a leaf at ε*, level by level."""
    found = transition_of(vocabulary, rules_per_symbol, branching)
    sums = found.tree(int(depth))
    return found.numbers() | {chi: sums.susceptibility, P_leaf: 1 - sums.changed}


leaf_state = in_measured(rest + offset * lost**level)


@claim(
    "rhm-critical-susceptibility",
    statement=(
        "At ε*, k levels below the root, P = P_∞ + δλ^k. Here P_∞ = (A−1)/(A−w) and δ = p* − P_∞. "
        "Exactly, χ = 1 + N_L/(P_L(1−P_L)), where P_L is that of the leaves. With κ = sλ² = F′²/s, "
        "N_L = (s−1)[c₀(κ^L−1)/(κ−1) + c₁(κ^L−λ^L)/(λ(F′−1))] − δ²(κ^L−λ^{2L}). Moreover c₀ = "
        "(1−w)(pw−p^s)/(A−w)² and c₁ = δw(1+p^s−2P_∞w)/A²."
    ),
    explanation=(
        "At p* all levels have one p, and so one w, A and λ. P ↦ (A-1)/A + λP has slope λ and "
        "rests at P_∞. Two siblings under a parent with P = P_∞ + δx have covariance c₀ + c₁x - "
        "δ²λ²x². So N_L is a sum of three geometric series. Each adds κ^L per level and multiplies "
        "the rest by 1, λ or λ²."
    ),
    where=f"{PAPER}, susceptibility at the transition of a finite tree",
    domain=(
        "where rhm-transition has an interior fixed point p*, every depth L >= 0, every s >= 2; "
        "κ = 1 (ν = 2) as the limit (κ^L − 1)/(κ − 1) → L"
    ),
    origin="new",
    evidence="proved",
    backs="rhm_theory.theory.scaling.critical_susceptibility",
    theorem=Theorem(
        domain=BRANCHING | {depth: Integers(0, 12)},
        hypotheses=WITH_TRANSITION,
        conclusions={
            "P_L": Eq(P_leaf, leaf_state),
            "κ": Eq(s * damped**2, slope_star**2 / s),
            "χ": Eq(chi, 1 + in_measured(pair_sum) / (leaf_state * (1 - leaf_state))),
        },
        measure=critical_tree,
        points=15,
    ),
    joins=[
        GEOMETRIC,
        join(
            "induction",
            "P_L",
            base="the root, where P = p*",
            step=("one level down", "claim:rhm-descent"),
        ),
        join(
            "geometric sum",
            "each series in closed form",
            base="a series: no level",
            step="a series: one level more",
        ),
        join("identity", "κ", equation="claim:rhm-path-damping"),
        join(
            "identity",
            "χ",
            equation=(
                "P_L",
                "siblings, without their parts linear and quadratic in x",
                "the weights of C_ℓ, κ = sλ²",
                "each series in closed form",
                "the three series",
                "sums in closed form",
                "claim:rhm-sibling-covariance",
                "claim:rhm-correlations",
            ),
        ),
    ],
    counterexample="v, m, s and a depth at which the recursions give another χ at ε*",
)
def critical_susceptibility(
    state=rest + offset * above,
    independent=constant,
    linear_part=linear,
    quadratic_part=-(offset**2) * damping**2,
    series=(kappa**level - path**level) / (kappa - path),
    total=pair_sum,
):
    yield from geometric_steps()
    step = 1 - (1 - unchanged * w) / A
    below = state.subs(above, damping * above)
    yield Equal(
        "one level down",
        step.subs(unchanged, state).subs(rest, at_rest),
        below.subs(rest, at_rest),
    )
    yield Equal("the root, where P = p*", state.subs({above: 1, offset: p - rest}), p)

    # p^s = 1 - A(1-p), by the closed form of A.
    placeholder = sp.Symbol("X", positive=True)

    def by_power(e):
        return e.subs(power, placeholder).subs(p, 1 - (1 - placeholder) / A)

    of_state = siblings.subs(unchanged, rest + offset * above)
    without = of_state - (linear_part * above + quadratic_part * above**2)
    yield Equal(
        "siblings, without their parts linear and quadratic in x",
        by_power(without.subs(rest, at_rest)),
        by_power(independent),
    )
    weight = s ** (level - 1) * lost ** (2 * (level - 1))
    yield Equal("the weights of C_ℓ, κ = sλ²", weight, (s * lost**2) ** (level - 1))
    # Σ_{ℓ<=L} κ^{ℓ-1} μ^{L-ℓ}, μ = 1, λ and λ².
    yield Equal("a series: no level", series.subs(level, 0), 0)
    one_more = series.subs(level, level + 1)
    yield Equal("a series: one level more", one_more, path * series + kappa**level)
    by_damping = {kappa: s * lost**2, ascent: s * lost}
    parts = (
        (first, sp.Integer(1)),
        (second, lost),
        (-(offset**2) * lost**2, lost**2),
    )
    summed = sum((s - 1) * part * series.subs(path, base) for part, base in parts)
    yield Equal("the three series", total.subs(by_damping), summed.subs(by_damping))


most_terms = 12
power_of_size = (count + 2) / nu_star - (count + 1)


def deep_tree(vocabulary, rules_per_symbol, branching, k, far=None):
    """χ at ε* of a deep tree, level by level. ``k`` only names a power."""
    if k < 0:
        raise NoValue("powers are counted from 0")
    found = transition_of(vocabulary, rules_per_symbol, branching)
    if found.slope**most_terms > branching ** (most_terms - 1):
        raise NoValue("more terms grow than the statement is written out for")
    numbers = found.numbers()
    if far is not None:
        levels = levels_at(far)
        numbers |= {chi: found.tree(levels).susceptibility, leaves: branching**levels}
    return numbers


leaves = sp.Symbol("d", positive=True)


def kept_terms() -> sp.Expr:
    """Σ A_k d^{a_k} + B over the k with (k+1)(ν-1) < 1, in measured quantities."""
    found = in_measured(remaining)
    for k in range(most_terms):
        share = (1 - rest) ** (-k - 1) + (-1) ** k * rest ** (-k - 1)
        term = in_measured(leading * offset**k * share) * leaves ** power_of_size.subs(count, k)
        found += sp.Piecewise((term, (k + 1) * (nu_star - 1) < 1), (0, True))
    return found


next_count = sp.ceiling(1 / (nu_star - 1)) - 1


def _finite_size(*, vocabulary=64, rules_per_symbol=8, branching=2, depth=320):
    """χ at ε* by the recursions, and the sum of the terms that do not vanish."""
    system = (vocabulary, rules_per_symbol, branching)
    with mpmath.workdps(digits(system, depth)):
        found = critical(system)
        leaves = mpmath.mpf(branching) ** depth
        computed = recursive_susceptibility(system, depth, found.belief)
        kept = sum(amplitude * leaves**power for power, amplitude in growing_terms(system, found))
        return float(computed), float(kept)


of_changed = (1 - rest) ** (-count - 1)
of_unchanged = (-1) ** count * rest ** (-count - 1)


@claim(
    "rhm-finite-size",
    statement=(
        "At ε*, χ = Σ_k A_k d^{a_k} + B for d leaves, with a_k = (k+2)/ν − (k+1), up to O(d^a). "
        "The sum is over the k ≥ 0 with (k+1)(ν−1) < 1, which is a_k > 0. So a₀ = 2/ν − 1 grows "
        "for ν < 2, a₁ = 3/ν − 2 only for ν < 3/2, and so on. Here a < 0 is the next a_k, or 1/ν "
        "− 1 if that is larger. A_k = Nδ^k((1−P_∞)^{−k−1} + (−1)^k P_∞^{−k−1}), B = 1 − "
        "(s−1)c₀/((κ−1)P_∞(1−P_∞)). Here N = (s−1)(c₀/(κ−1) + c₁/(λ(F′−1))) − δ²."
    ),
    explanation=(
        "In rhm-critical-susceptibility, λ^L = d^{1/ν−1} vanishes, since λ < 1. N_L is N κ^L "
        "without constants and vanishing terms, and κ^L = d^{2/ν−1}. Expand 1/(P_L(1-P_L)) in "
        "λ^L. It is the sum of two geometric series, 1/P_L and 1/(1-P_L). Where (k+1)(ν-1) = 1 "
        "for a k >= 1, d^{a_k} = 1, and A_k adds to B; there is no logarithm. Only ν = 2 has one "
        "(rhm-susceptibility-exponents). For ν > 2 no term grows, and χ tends to B."
    ),
    where=f"{PAPER}, susceptibility at the transition of a finite tree",
    domain=(
        "where rhm-transition has an interior fixed point p*, (k+1)(ν−1) ≠ 1 for every k, d = s^L "
        "with L → ∞; c₀, c₁, δ, λ as there"
    ),
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.theory.scaling.approach",
        "rhm_theory.theory.scaling.critical_growth",
    ],
    theorem=Theorem(
        domain=MANY | {count: Integers(0, 3)},
        hypotheses=WITH_TRANSITION,
        conclusions={
            "χ": Order(
                chi - kept_terms(),
                far,
                of_size(sp.Max(power_of_size.subs(count, next_count), 1 / nu_star - 1)),
                at=(far_at(100), far_at(200)),
            ),
            "the powers that grow": Iff(Gt(power_of_size, 0), Lt((count + 1) * (nu_star - 1), 1)),
        },
        measure=deep_tree,
        digits=400,  # χ is up to 1e160, and what is left down to 1e-160
        most_digits=400,
        points=10,
    ),
    joins=[
        GEOMETRIC,
        join(
            "sign",
            "λ^L vanishes",
            sign=(
                "1 - w",
                "λ = w/A < 1, since w < 1 < A; v^s = mv + Λ, p < 1",
                "claim:rhm-descent",
            ),
        ),
        join(
            "series",
            "1/(P_L(1-P_L)) in powers of λ^L",
            terms=(
                "1/(P(1-P))",
                "1/P less k terms",
                "1/(1-P) less k terms",
                "term k",
                "sums in closed form",
            ),
            analytic=("λ^L vanishes", "known:1/P and 1/(1-P) are analytic for 0 < P < 1"),
        ),
        join(
            "identity",
            "χ",
            equation=(
                "N_L less N κ^L, up to terms that vanish",
                "λ^L vanishes",
                "1/(P_L(1-P_L)) in powers of λ^L",
                "ln(κλ^k) is a_k ln s",
                "claim:rhm-critical-susceptibility",
            ),
        ),
        join(
            "equivalence",
            "the powers that grow",
            identity="ν a_k > 0 is (k+1)(ν-1) < 1",
            factor="claim:rhm-exponent",
        ),
    ],
    evaluate=_finite_size,
    counterexample=(
        "(v, m, s) with a transition at which χ at ε*, less these terms, does not tend to 0"
    ),
)
def finite_size(
    size_power=(count + 2) / exponent - (count + 1),
    expansion=offset**count * (of_changed + of_unchanged),
    amplitude=leading,
    settled=remaining,
):
    yield from geometric_steps()
    nu = sp.log(s) / sp.log(ascent)
    damping_here = ascent / s
    yield Equal(
        "ln(κλ^k) is a_k ln s",
        sp.log(s * damping_here ** (2 + count)),
        size_power.subs(exponent, nu) * sp.log(s),
    )
    grows = 1 - (count + 1) * (exponent - 1)
    yield Equal("ν a_k > 0 is (k+1)(ν-1) < 1", exponent * size_power, grows)
    weight = power * (tuples - 1) / numerator
    yield Equal("1 - w", 1 - weight, (m - 1) * (1 - power) / numerator)
    ranges = {m: 1 + first, v: 1 + second}
    share = (1 - weight).subs(tuples, m * v + path).subs(ranges).subs(power, 1 / (1 + above))
    yield Positive("λ = w/A < 1, since w < 1 < A; v^s = mv + Λ, p < 1", share)
    # 1/(P(1-P)) with P = P_∞ + y and y = δλ^L.
    deviation = sp.Symbol("y", real=True)
    one, other = rest + deviation, 1 - rest - deviation
    yield Equal("1/(P(1-P))", 1 / (one * other), 1 / one + 1 / other)
    for start, quotient, name in (
        (rest, -deviation / rest, "1/P"),
        (1 - rest, deviation / (1 - rest), "1/(1-P)"),
    ):
        partial = geometric(quotient, count) / start  # of terms like "term k" below
        yield Equal(f"{name} less k terms", 1 - start * (1 - quotient) * partial, quotient**count)
    term = (offset / (1 - rest)) ** count / (1 - rest) + (-offset / rest) ** count / rest
    yield Equal("term k", term, expansion)
    vanishing = (s - 1) * second * lost**level / (lost * (ascent - 1)) - offset**2 * lost ** (
        2 * level
    )
    yield Equal(
        "N_L less N κ^L, up to terms that vanish",
        pair_sum + vanishing - amplitude * kappa**level,
        (settled - 1) * rest * (1 - rest),
    )
