"""Where the pair's solver looks for a root: two ends with the root between them.

The unknowns are those of :mod:`gda_theory.pair.curve`: q = ln Q on the curve of stationary points,
with the level L(q) = ln(B/λ) and its slope 1 + h (pretraining) or 1 - h (descent-ascent). A fold
has h = 1 (dual-curve). Each claim gives both ends and the sign of what remains.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import sympy as sp

from derivations.descent_ascent import bracket_numbers as numbers
from derivations.descent_ascent import fold_numbers
from derivations.descent_ascent.folds import fold_Q
from derivations.descent_ascent.pair_numbers import any_k12
from derivations.ledger.domains import OneOf, between, positive_within
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import (
    A,
    B,
    P,
    Q,
    gram_determinant,
    k11,
    k12,
    k22,
    ridge,
)
from derivations.ledger.theorems import Eq, Ge, Gt, Implies, Le, Lt, NoValue, Theorem

more, share = sp.symbols("e s", positive=True)
h_u, sigma, slope_excess = sp.symbols("h_u sigma m", nonnegative=True)
log_mass, shift, level, start, at_start = sp.symbols("ln_z c L q_0 L_0", real=True)
cross, along = sp.symbols("kappa q", real=True)  # k12 of either sign; ln Q
log_phi = sp.Function("ln_phi", real=True)
log_root, high_value, log_k22, log_reach, lean, margin_of_oracle = sp.symbols(
    "u F_h ln_k22 ln_reach ell y_R", real=True
)
determinant, depth, t, apart, rest, largest = sp.symbols("Delta d t s_0 n g", positive=True)
some_gram = {k11: (determinant + cross**2) / k22, k12: cross}
# Any Gram matrix, for the searches: k11 follows from the determinant.
TYPES = {
    any_k12: between(None, None, decades=3),
    k22: positive_within(3),
    numbers.determinant: positive_within(3),
}
MASSES = {A: positive_within(3), B: positive_within(3), ridge: positive_within(3)}
bend = Q * sigma * (k22 + gram_determinant * h_u) / (1 + k11 * h_u)  # h


LOW_SIGN = "it is not positive there"


@claim(
    "shifted-dual-bracket",
    statement=(
        "Let F(u) = u − ln φ(e^u − c) − ln z and u₁ = ln z + ln φ(−c). The root of F, which is ln "
        "t for t = zφ(t − c), lies between u₁ − F(u₁) and u₁."
    ),
    explanation=(
        "φ decreases, so F(u₁) = ln φ(-c) - ln φ(e^{u₁} - c) >= 0. The slope of F is 1 + "
        "σ e^u >= 1, with the decay σ of φ. So F(u₁ - d) <= F(u₁) - d, which is 0 at d = F(u₁)."
    ),
    where="Sec. 5.1.2, the retain dual of any margin loss",
    domain="φ > 0 that does not increase, with a derivative; z > 0, c real",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.curve.shifted_dual",
    theorem=Theorem(
        domain={
            numbers.log_z: between(None, None, decades=2),
            numbers.c: between(None, None, decades=2),
            numbers.loss: numbers.NOT_RISING,
        },
        conclusions={
            "low end": Le(numbers.log_z + numbers.log_phi_high, numbers.root),
            "high end": Le(numbers.root, numbers.log_z + numbers.log_phi_first),
        },
        measure=numbers.shifted_dual,
    ),
    joins=[
        join(
            "sign",
            "F is not negative at the high end",
            sign=("F(u₁)", "known:φ decreases, and t > 0"),
        ),
        join("sign", "F is not positive at the low end", sign=("F at the lower end", LOW_SIGN)),
        join(
            "intermediate value",
            "a root between the ends",
            continuous="known:φ > 0 has a derivative, so F is continuous",
            ends=("F is not negative at the high end", "F is not positive at the low end"),
        ),
        join(
            "monotone bijection",
            ("low end", "high end"),
            continuous="a root between the ends",
            slope=("F'", "F' - 1"),
        ),
    ],
    counterexample="z, c and a decreasing φ whose root t lies outside",
)
def shifted_dual_bracket(
    high=log_mass + log_phi(-shift),
    low_distance=high_value,
    slope=1 + sigma * sp.exp(log_root),
):
    residual = log_root - log_phi(sp.exp(log_root) - shift) - log_mass
    at = sp.Symbol("m", real=True)
    decreasing = sp.Lambda(at, -sigma * at)  # ln φ to first order: its slope is -σ
    yield Equal("F'", sp.diff(residual.replace(log_phi, decreasing).doit(), log_root), slope)
    yield Positive("F' - 1", slope - 1, strict=False)
    drop = log_phi(-shift) - log_phi(sp.exp(high) - shift)
    yield Equal("F(u₁)", residual.subs(log_root, high), drop)
    # F(u₁ - d) = F(u₁) - (1 + m) d with a mean slope 1 + m.
    value = sp.Symbol("F_1", nonnegative=True)
    below = (high_value - (1 + slope_excess) * low_distance).subs(high_value, value)
    yield Equal("F at the lower end", below, -slope_excess * value)
    yield Positive(LOW_SIGN, -below, strict=False)


REACHED = numbers.start_there + sp.log(B / ridge) - numbers.level_there


@claim(
    "pretrain-bracket",
    statement=(
        "On the curve of pretraining, the point of level L lies between any q₀ and q₀ + L − L(q₀)."
    ),
    explanation=(
        "The slope 1 + h of the curve is at least 1 (pretrain-unique). With its mean 1 + m between "
        "q₀ and the root, the root is at q₀ + (L - L(q₀))/(1 + m)."
    ),
    where="Sec. 5.1.2",
    domain="φ > 0 that does not increase, any types, A, B, λ > 0, any start q₀",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.curve.pretrain_point",
    theorem=Theorem(
        domain={
            numbers.start: between(None, None, decades=1),
            numbers.where: OneOf(("start", "the root")),
        }
        | TYPES
        | {numbers.determinant: between(0, None, "[)", decades=3)}
        | MASSES
        | {numbers.loss: numbers.NOT_RISING},
        conclusions={
            "a start that is too low": Implies(
                Ge(sp.log(B / ridge), numbers.level_there),
                (Le(numbers.start_there, numbers.root), Le(numbers.root, REACHED)),
            ),
            "a start that is too high": Implies(
                Le(sp.log(B / ridge), numbers.level_there),
                (Le(REACHED, numbers.root), Le(numbers.root, numbers.start_there)),
            ),
        },
        measure=numbers.pretrained_dual,
        most_digits=60,
    ),
    joins=[
        join(
            "identity",
            "the root with the mean slope",
            equation=("the level at the root", "root - q₀ is a part of the interval"),
        ),
        join(
            "sign",
            ("a start that is too low", "a start that is too high"),
            sign=(
                "the root with the mean slope",
                "the part is positive",
                "and at most 1",
                "claim:pretrain-unique",
                "claim:dual-curve",
            ),
        ),
    ],
    counterexample="a start q₀ whose interval does not hold the pretrained solution",
)
def pretrain_bracket(reached=start + level - at_start):
    mean_slope = 1 + slope_excess
    root = start + (level - at_start) / mean_slope
    yield Equal("the level at the root", at_start + mean_slope * (root - start), level)
    part = 1 / mean_slope
    yield Equal("root - q₀ is a part of the interval", root - start, part * (reached - start))
    yield Positive("the part is positive", part)
    yield Positive("and at most 1", 1 - part, strict=False)


@claim(
    "bend-bounds",
    statement=(
        "QσΔ/k₁₁ ≤ h ≤ Qσk₂₂. So for a decay σ between e^{−m} and e^m, h ≤ 1 at Q = e^{−m}/k₂₂ and "
        "below, and h ≥ 1 at Q = e^m k₁₁/Δ and beyond."
    ),
    explanation=(
        "h = Qσ(k22 + Δh_u)/(1 + k11 h_u). Both differences are multiples of k12². A loss with "
        "unbounded φ then has a fold between the two Q. The solver takes m = 30."
    ),
    where="Sec. 5.1.2, folds of any margin loss",
    domain="φ > 0 that does not increase, σ = -φ'/φ at y, Δ > 0, k12 of either sign, Q > 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.curve.fold_points",
    theorem=Theorem(
        domain={
            Q: positive_within(3),
            numbers.m: between(0, None, "[)", decades=1),
            numbers.log_mass: between(None, None, decades=1),
        }
        | TYPES
        | {numbers.loss: numbers.NOT_RISING},
        conclusions={
            "lower bound": Le(
                Q * numbers.sigma_there * numbers.determinant / k11, numbers.bend_there
            ),
            "upper bound": Le(numbers.bend_there, Q * numbers.sigma_there * k22),
            "low end": Implies(
                (
                    Le(numbers.sigma_there, sp.exp(numbers.m)),
                    Le(Q, sp.exp(-numbers.m) / k22),
                ),
                Le(numbers.bend_there, 1),
            ),
            "high end": Implies(
                (
                    Ge(numbers.sigma_there, sp.exp(-numbers.m)),
                    Ge(Q, sp.exp(numbers.m) * k11 / numbers.determinant),
                ),
                Ge(numbers.bend_there, 1),
            ),
        },
        measure=numbers.bend_at,
    ),
    joins=[
        join(
            "sign",
            "lower bound",
            sign=("claim:dual-curve", "h - lower bound", "slack of the lower bound"),
        ),
        join(
            "sign",
            "upper bound",
            sign=("claim:dual-curve", "upper bound - h", "slack of the upper bound"),
        ),
        join(
            "monotone bijection",
            "low end",
            continuous=("upper bound", "upper bound at the low end"),
            slope="known:Qσk22 increases in Q and in σ",
        ),
        join(
            "monotone bijection",
            "high end",
            continuous=("lower bound", "lower bound at the high end"),
            slope="known:QσΔ/k11 increases in Q and in σ",
        ),
    ],
    counterexample="a point of the curve with h outside the two bounds",
)
def bend_bounds(
    lower=Q * sigma * gram_determinant / k11,
    upper=Q * sigma * k22,
    low_dual=sp.exp(-more) / k22,
    high_dual=sp.exp(more) * k11 / gram_determinant,
):
    above = Q * sigma * k12**2 / (k11 * (1 + k11 * h_u))
    below = Q * sigma * k12**2 * h_u / (1 + k11 * h_u)
    yield Equal("h - lower bound", bend - lower, above)
    yield Equal("upper bound - h", upper - bend, below)
    for name, slack in (("lower", above), ("upper", below)):
        yield Positive(f"slack of the {name} bound", slack.subs(some_gram), strict=False)
    yield Equal("upper bound at the low end", upper.subs({Q: low_dual, sigma: sp.exp(more)}), 1)
    yield Equal("lower bound at the high end", lower.subs({Q: high_dual, sigma: sp.exp(-more)}), 1)


DEPTH = (
    sp.Abs(sp.log(k22))
    + sp.Abs(any_k12) * numbers.P_R
    + sp.Abs(sp.log(2 * k11 / numbers.determinant))
    + 2
)


@claim(
    "bounded-fold-bracket",
    statement=(
        "Let σ(y) ≤ min(1, e^y), as for the logistic loss. Then h < 1 for Q ≤ e^{−30}/k₂₂. And h < "
        "1 for Q ≥ d k₁₁·2/Δ, with d = |ln k₂₂| + |k₁₂|P_R + |ln(2k₁₁/Δ)| + 2. So every fold of "
        "descent-ascent lies between the two."
    ),
    explanation=(
        "The low end: h <= Qσk22 (bend-bounds) and σ <= 1. The high end: k11 y = k12 x - ΔQ, and "
        "k12 x falls along the curve, from k12 k11 P_R at the oracle. With σ <= e^y, ln h <= ln "
        "k22 + ln Q + k12 P_R - ΔQ/k11. At Q = d·2k11/Δ the right side is at most ln d - d - 2 "
        "<= -3. Its slope in Q is 1/Q - Δ/k11, which is negative there and beyond. How many folds "
        "lie between is not claimed: see logistic-zero-or-two-folds."
    ),
    where="Sec. 5.1.2, the true loss",
    domain=(
        "φ > 0, decay at most min(1, e^y) and not negative, Δ > 0, k12 of either sign, A, λ > 0; "
        "P_R is the oracle's retain dual"
    ),
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.curve.largest_bend", "gda_theory.pair.curve.fold_points"],
    theorem=Theorem(
        domain={
            numbers.beyond: between(1, None, "[)", decades=3),
            numbers.log_mass: between(None, None, decades=1),
        }
        | TYPES
        | {numbers.loss: numbers.ANY_DECREASING},
        hypotheses=(numbers.SMALL_DECAY,),
        conclusions={
            "below the low end": Lt(numbers.h_low, 1),
            "beyond the high end": Lt(numbers.h_high, 1),
            "folds": Implies(
                Gt(fold_numbers.count, 0),
                (
                    Lt(sp.exp(-30) / k22, numbers.Q_first),
                    Lt(numbers.Q_last, 2 * k11 * DEPTH / numbers.determinant),
                ),
            ),
        },
        measure=numbers.bends_outside,
        most_digits=30,
        points=20,
    ),
    joins=[
        join(
            "sign",
            "below the low end",
            sign=(
                "claim:bend-bounds",
                "h at the low end is at most",
                f"given:{numbers.SMALL_DECAY}",
            ),
        ),
        join(
            "monotone bijection",
            "k12 x is at most its value at the oracle",
            continuous="known:x is continuous along the curve",
            slope=("claim:mass-order", "d(k12 x)/dQ", "k12 x does not rise"),
        ),
        join(
            "identity",
            "ln h is at most the ceiling",
            equation=(
                "claim:bend-bounds",
                "k11 y = k12 x - ΔQ",
                "k12 x is at most its value at the oracle",
                "the ceiling: ln(k22 Q) and the bound on y",
                f"given:{numbers.SMALL_DECAY}",
            ),
        ),
        join(
            "tangent line",
            "the ceiling is negative at the high end",
            use=("the ceiling at the high end", "it is ln d - d - 2, and less"),
        ),
        join(
            "monotone bijection",
            "beyond the high end",
            continuous=("ln h is at most the ceiling", "the ceiling is negative at the high end"),
            slope="the ceiling falls from there on",
        ),
        join(
            "contradiction",
            "folds",
            assumption="known:a fold lies outside",
            absurd=("below the low end", "beyond the high end", "claim:dual-curve"),
        ),
    ],
    counterexample="a logistic pair with h >= 1 outside the two ends",
)
def bounded_fold_bracket(
    low_dual=sp.exp(-30) / k22,
    high_dual=2 * k11 * depth / gram_determinant,
    ceiling=sp.log(k22) + sp.log(Q) + lean - gram_determinant * Q / k11,
):
    yield Equal("h at the low end is at most", (Q * k22).subs(Q, low_dual), sp.exp(-30))
    margins = {"x": k11 * P - k12 * Q, "y": k12 * P - k22 * Q}
    exchanged = k12 * margins["x"] - gram_determinant * Q
    yield Equal("k11 y = k12 x - ΔQ", k11 * margins["y"], exchanged)
    rise_of_P = k12 * h_u / (1 + k11 * h_u)  # dP/dQ (mass-order)
    fall = k12**2 / (1 + k11 * h_u)
    yield Equal("d(k12 x)/dQ", k12 * (k11 * rise_of_P - k12), -fall)
    yield Positive("k12 x does not rise", fall.subs(some_gram), strict=False)
    at_oracle = (k12 * margins["x"]).subs(Q, 0) / k11 - gram_determinant * Q / k11
    yield Equal(
        "the ceiling: ln(k22 Q) and the bound on y",
        sp.log(k22 * Q) + at_oracle,
        ceiling.subs(lean, k12 * P),
    )
    reach = (2 * k11 / gram_determinant).subs(some_gram)
    here = ceiling.subs(Q, high_dual).subs(some_gram)
    terms = log_k22 + log_reach + sp.log(depth) + lean - 2 * depth
    logarithms = {log_k22: sp.log(k22), log_reach: sp.log(reach)}
    yield Equal("the ceiling at the high end", here, terms.subs(logarithms))
    # |ln k22|, |k12| P_R and |ln(2 k11/Δ)| exceed what they bound by g_1, g_2, g_3 >= 0.
    sizes = sp.symbols("a_1:4", positive=True)
    slacks = sp.symbols("g_1:4", nonnegative=True)
    whole = sum(sizes) + 2
    known = {
        name: size - slack
        for name, size, slack in zip((log_k22, lean, log_reach), sizes, slacks, strict=True)
    }
    bounded = terms.subs(known).subs(depth, whole)
    yield Equal("it is ln d - d - 2, and less", bounded, sp.log(whole) - whole - 2 - sum(slacks))
    slope = sp.diff(ceiling, Q).subs(Q, high_dual * (1 + more))
    yield Positive("the ceiling falls from there on", -slope.subs(depth, whole).subs(some_gram))


def _lift(dual, n=rest, s=apart):
    """g(t) of exponential-fold-bracket."""
    return dual * (n + s * dual) / (1 + s * dual)


T_FOLD = k11 * fold_numbers.P_f
S = numbers.determinant / (k11 * k22)
N = S + (1 - S) * (1 - any_k12 / k22)
C = sp.log(k11 * A / ridge) + any_k12 / k22
G = sp.Max(C, N, 1)
T_MOST = 2 * G / (sp.sqrt((N - S * G) ** 2 + 4 * S * G) + N - S * G)


def _first_fold(retain_mass, ridge, k12, k22, determinant):
    """The first fold. Where c < -100, ln t and c agree to 40 digits: too close to tell apart."""
    if k22 > 0 and mpmath.log(retain_mass / ridge) + k12 / k22 < -100:
        raise NoValue("the retain dual at the fold is too small")
    return fold_numbers.exponential_folds(retain_mass, ridge, k12, k22, determinant)


@claim(
    "exponential-fold-bracket",
    statement=(
        "Let t = k₁₁P, s = Δ/(k₁₁k₂₂) and n = s + (1−s)(1−k₁₂/k₂₂). The exponential fold solves "
        "ln t + g(t) = c, with g(t) = t(n+st)/(1+st) and c = ln(k₁₁A/λ) + k₁₂/k₂₂. Let G = "
        "max(c, n, 1). Then c − G ≤ ln t, ln t < c and ln t ≤ ln T. Here T is the positive root of "
        "sT² + (n − sG)T = G."
    ),
    explanation=(
        "The equation is that of fold-locus with Q = (1+t)/(k22(1+st)). g increases from 0. At the "
        "root g(t) <= G: for t >= 1, ln t >= 0 gives g(t) <= c. For t < 1, g(t) <= g(1), which is "
        "a mean of n and 1. So t <= T, as g(T) = G. And ln t = c - g(t) lies between c - G and c."
    ),
    where="Sec. 5.1.2",
    domain="exponential loss, Δ > 0, k12 <= k22 of either sign, A, λ > 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.curve.exponential_fold",
    theorem=Theorem(
        domain=TYPES | {A: positive_within(6), ridge: positive_within(6)},
        hypotheses=(Le(any_k12, k22),),
        conclusions={
            "equation": Eq(sp.log(T_FOLD) + T_FOLD * (N + S * T_FOLD) / (1 + S * T_FOLD), C),
            "low end": Le(C - G, sp.log(T_FOLD)),
            "first high end": Lt(sp.log(T_FOLD), C),
            "second high end": Le(sp.log(T_FOLD), sp.log(T_MOST)),
            "T": Eq(S * T_MOST**2 + (N - S * G) * T_MOST, G),
        },
        measure=_first_fold,
        most_digits=240,
        points=10,
    ),
    joins=[
        join(
            "identity",
            "equation",
            equation=("claim:fold-locus", "claim:fold-hessian", "the equation of the fold"),
        ),
        join("sign", "n > 0", sign=("1 - s", "n", "given:k12 <= k22")),
        join(
            "monotone bijection",
            "g(t) <= G at the root",
            continuous=("equation", "n > 0", "g(1)", "a mean of n and 1"),
            slope="g increases",
        ),
        join("identity", "T", equation="g(T) = G"),
        join(
            "monotone bijection",
            "second high end",
            continuous=("g(t) <= G at the root", "T"),
            slope="g increases",
        ),
        join("sign", "first high end", sign=("equation", "g is positive")),
        join("sign", "low end", sign=("equation", "g(t) <= G at the root")),
    ],
    counterexample="(k, A/λ) with k12 <= k22 whose fold lies outside",
)
def exponential_fold_bracket(
    n_claimed=apart + (1 - apart) * (1 - k12 / k22),
    lift=_lift(t),
    target=sp.log(k11 * A / ridge) + k12 / k22,
    most=2
    * largest
    / (sp.sqrt((rest - apart * largest) ** 2 + 4 * apart * largest) + rest - apart * largest),
):
    of_gram = gram_determinant / (k11 * k22)
    on_fold = sp.log(P) + k11 * P - k12 * fold_Q - sp.log(A / ridge)
    here = sp.log(t) + lift - target
    yield Equal(
        "the equation of the fold",
        on_fold.subs(P, t / k11),
        here.subs(rest, n_claimed).subs(apart, of_gram),
    )
    yield Equal("g(1)", lift.subs(t, 1), (rest + apart) / (1 + apart))
    mean = share * rest + (1 - share)
    yield Equal("a mean of n and 1", lift.subs(t, 1), mean.subs(share, 1 / (1 + apart)))
    yield Equal("g(T) = G", lift.subs(t, most), largest)
    # n = s + (1 - s) w with w = 1 - k12/k22 >= 0 and 1 - s = k12²/(k11 k22) >= 0.
    yield Equal("1 - s", 1 - of_gram, k12**2 / (k11 * k22))
    weight = sp.Symbol("w", nonnegative=True)
    squared = sp.Symbol("1-s", nonnegative=True)
    above_apart = {rest: apart + squared * weight}
    yield Positive("n", rest.subs(above_apart))
    slope = sp.diff(lift, t).subs(above_apart)
    yield Positive("g increases", slope)
    yield Positive("g is positive", lift.subs(above_apart))


@claim(
    "branch-bracket",
    statement=(
        "Every stationary point of descent-ascent has ln(B/λ) + ln φ(k₁₂P_R) ≤ ln Q ≤ ln(B/λ) + ln "
        "sup φ. The minimum that continues the oracle lies below the first fold as well."
    ),
    explanation=(
        "Q = (B/λ)φ(y), and y falls along the curve, from k12 P_R at the oracle. So φ(y) lies "
        "between φ(k12 P_R) and sup φ. From the oracle to the first fold h < 1. There the level "
        "rises from -oo with slope 1 - h. So it meets ln(B/λ) once or not at all."
    ),
    where="Sec. 5.1.2, any margin loss",
    domain=(
        "φ > 0 that does not increase, Δ > 0, k12 of either sign, A, B, λ > 0; P_R is the oracle's "
        "retain dual; "
        "the upper end is infinite for an unbounded φ"
    ),
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.curve.oracle_branch", "gda_theory.pair.curve.far_branch"],
    theorem=Theorem(
        domain=MASSES | TYPES | {numbers.loss: numbers.NOT_RISING},
        conclusions={
            "low end": Le(sp.log(B / ridge) + numbers.log_phi_R, numbers.q_least),
            "high end": Implies(
                Eq(numbers.bounded, 1),
                Le(numbers.q_most, sp.log(B / ridge) + numbers.log_supremum),
            ),
            "continued minimum": Implies(
                Eq(numbers.continued, 1), Lt(numbers.q_continued, numbers.q_fold)
            ),
        },
        measure=numbers.branches,
        most_digits=30,
        points=12,
    ),
    joins=[
        join(
            "monotone bijection",
            "y < k12 P_R",
            continuous=("y at Q = 0", "known:y is continuous along the curve"),
            slope=("claim:mass-order", "dy/dQ", "y falls"),
        ),
        join(
            "sign",
            "low end",
            sign=("y < k12 P_R", "Q over the low end", "that ratio, less 1", "claim:dual-masses"),
        ),
        join(
            "sign",
            "high end",
            sign=("the high end over Q", "known:φ(y) <= sup φ", "claim:dual-masses"),
        ),
        join(
            "monotone bijection",
            "continued minimum",
            continuous="known:the continued minimum moves continuously, with det H > 0",
            slope=("claim:dual-curve", "claim:fold-hessian"),
        ),
    ],
    counterexample="a stationary point of descent-ascent with ln Q outside",
)
def branch_bracket(
    low=sp.log(B / ridge) + log_phi(margin_of_oracle),
    high=sp.log(B / ridge) + sp.Symbol("ln_sup", real=True),
    y_slope=-(k22 + gram_determinant * h_u) / (1 + k11 * h_u),
):
    rise_of_P = k12 * h_u / (1 + k11 * h_u)  # dP/dQ (mass-order)
    yield Equal("dy/dQ", k12 * rise_of_P - k22, y_slope)
    yield Positive("y falls", -y_slope.subs(some_gram))
    yield Equal("y at Q = 0", (k12 * P - k22 * Q).subs(Q, 0), k12 * P)
    # φ(y) = φ(y_R) + e, and sup φ = φ(y) + e'.
    value, supremum = sp.symbols("phi_R phi_sup", positive=True)
    excess = sp.Symbol("e_0", nonnegative=True)
    at_point = sp.log(B / ridge) + sp.log(value + excess)
    below = low.replace(log_phi, sp.Lambda(margin_of_oracle, sp.log(value)))
    above = high.subs(sp.Symbol("ln_sup", real=True), sp.log(supremum))
    yield Equal("Q over the low end", sp.exp(at_point - below), (value + excess) / value)
    yield Positive("that ratio, less 1", (value + excess) / value - 1, strict=False)
    yield Equal("the high end over Q", sp.exp(above - at_point), supremum / (value + excess))


GAP = numbers.drop + numbers.ease - 1 - sp.log(numbers.ease)


@claim(
    "saddle-bracket",
    statement=(
        "Let φ be unbounded with decay at least e^{−m} beyond the fold Q_f. Let a = e^{−m}Q_f "
        "Δ/k₁₁; it is at most 1. "
        "Where the ascent curve has fallen by D from the fold, ln(Q/Q_f) ≤ ln(−W/a), with W = "
        "W₋₁(−e^{−1−G}) and G = D + a − 1 − ln a. For the exponential loss m = 0."
    ),
    explanation=(
        "The curve falls with slope h - 1, and h >= a e^v at v = ln(Q/Q_f) (bend-bounds). So it "
        "falls by at least a(e^v - 1) - v, which is convex in v. Put e^s = a e^v: this equals D "
        "where e^s - 1 - s = G, that is at e^s = -W. There a <= 1, since h = 1 at the fold. So W "
        "<= -1 gives v >= 0. Beyond this v the lower bound of the fall exceeds D."
    ),
    where="Sec. 5.1.2, the saddle",
    domain="φ > 0 decreasing and unbounded, Δ > 0, D >= 0, 0 < a <= 1, m >= 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.curve.saddle_branch",
    theorem=Theorem(
        domain={
            numbers.drop: between(0, None, "[)", decades=2),
            numbers.log_mass: between(None, None, decades=1),
        }
        | TYPES
        | {numbers.loss: numbers.UNBOUNDED},
        conclusions={
            "end": Le(
                numbers.gone,
                sp.log(-sp.LambertW(-sp.exp(-1 - GAP), -1) / numbers.ease),
            ),
            "a": Le(numbers.ease, 1),
        },
        measure=numbers.fallen,
        points=50,  # k12 = 0, where both are equalities, comes late
    ),
    joins=[
        join("sign", "a", sign=("claim:bend-bounds", "claim:dual-curve")),
        join(
            "convexity",
            "the least fall exceeds D beyond the end",
            convex="it is convex",
            coercive=(
                "slope of the least fall: a e^v - 1",
                "it starts at 0",
                "the least fall at the end is D",
                "slope at the end: e^t - 1",
                "v >= 0 at the end",
                "a",
            ),
        ),
        join(
            "definition of W",
            "end",
            equation=(
                "ln(-W) + W + 1 at W = -e^t",
                "the least fall exceeds D beyond the end",
                "claim:bend-bounds",
                "claim:dual-curve",
            ),
        ),
    ],
    counterexample="an exponential pair whose saddle lies farther beyond the fold",
)
def saddle_bracket(
    least_fall=share * (sp.exp(along) - 1) - along,
    gap=depth + share - 1 - sp.log(share),
    end=sp.log(sp.exp(t) / share),
):
    # share is a, depth is D, and -W = e^t with t >= 0.
    yield Equal(
        "slope of the least fall: a e^v - 1", sp.diff(least_fall, along), share * sp.exp(along) - 1
    )
    yield Equal("it starts at 0", least_fall.subs(along, 0), 0)
    yield Positive("it is convex", sp.diff(least_fall, along, 2))
    # W e^W = -e^{-1-G} at W = -e^t says e^t - 1 - t = G.
    yield Equal("ln(-W) + W + 1 at W = -e^t", t - sp.exp(t) + 1, -(sp.exp(t) - 1 - t))
    fallen = sp.solve(gap - (sp.exp(t) - 1 - t), depth)[0]
    yield Equal("the least fall at the end is D", least_fall.subs(along, end), fallen)
    yield Equal(
        "slope at the end: e^t - 1", sp.diff(least_fall, along).subs(along, end), sp.exp(t) - 1
    )
    small = sp.Symbol("b", positive=True)  # a = 1/(1 + b)
    yield Positive("v >= 0 at the end", (sp.exp(end) - sp.exp(t)).subs(share, 1 / (1 + small)))
