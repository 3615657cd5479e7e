"""Where descent-ascent loses its minimum: folds, their locus and bounds, rates near them, cusps.

Everything is written in the duals P = Aφ(x)/λ and Q = Bφ(y)/λ, and their decays h_u = -Aφ'(x)/λ
and h_v = -Bφ'(y)/λ. For the exponential loss h_u = P and h_v = Q. The sample types are u and v,
with Gram matrix k of determinant Δ.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent import fold_numbers
from derivations.descent_ascent.pair_numbers import any_k12
from derivations.descent_ascent.windows import alpha_ascent, y_ascent
from derivations.ledger.certificates import Enclosed
from derivations.ledger.domains import OneOf, between, positive, positive_within
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import (
    A,
    B,
    P,
    Q,
    below_one,
    epsilon,
    forget,
    gram_determinant,
    in_pair,
    k11,
    k12,
    k22,
    paper_gram,
    phi,
    q,
    ridge,
    s,
    x,
    y,
)  # fmt: skip
from derivations.ledger.theorems import Eq, Gt, Iff, Implies, Le, Lt, Order, Theorem, limit

h_u, h_v, delta, sensitivity, cubic = sp.symbols("h_u h_v delta p c_3", positive=True)
E, L, theta, P0, kappa = sp.symbols("E L theta P_0 kappa", positive=True)
t_u, t_v = sp.symbols("t_u t_v", positive=True)
u, v = sp.Matrix(sp.symbols("u_1:3", real=True)), sp.Matrix(sp.symbols("v_1:3", real=True))

n = sp.Matrix(sp.symbols("n_1:3", real=True))

gram = {k11: u.dot(u), k12: u.dot(v), k22: v.dot(v)}
hessian = ridge * (sp.eye(2) + h_u * u * u.T - h_v * v * v.T)
reduced_determinant = 1 + k11 * h_u - k22 * h_v - gram_determinant * h_u * h_v  # det H / λ²
decays = {h_u: -A * phi(x).diff(x) / ridge, h_v: -B * phi(y).diff(y) / ridge}
fold_Q = (1 + k11 * P) / (k22 + gram_determinant * P)
fold_theta = k12 / (k22 + gram_determinant * P)

# Measured numbers, and the parameters of any Gram matrix: k11 follows from the determinant.
P_f = fold_numbers.P_f
Q_f = fold_numbers.Q_f
level_f = fold_numbers.level_f
determinant = fold_numbers.determinant
TYPES = {
    any_k12: between(None, None, decades=6),
    k22: positive_within(6),
    determinant: positive_within(6),
}
ANY_LOSS = fold_numbers.ANY_LOSS
DECREASING = fold_numbers.DECREASING
MEASURED_CONDITION = (2 * epsilon - s * fold_numbers.dy_dx) * fold_numbers.phi_at_y - (
    2 * epsilon * fold_numbers.where_x - s * fold_numbers.y_of_x
) * fold_numbers.phi_slope_y * fold_numbers.dy_dx
THETA = any_k12 / (k22 + determinant * fold_numbers.rho_P)
MEASURED_KAPPA = sp.sqrt(Q_f * (fold_numbers.tau_Q - fold_numbers.tau_P * THETA**3) / 2) / (
    fold_numbers.sigma_Q - fold_numbers.rho_P * THETA**2
)
MEASURED_THETA = k12 / (k22 + determinant * fold_numbers.h_x)
CORRELATION = {epsilon: between(0, 1)}
PROBLEM = {A: positive, ridge: positive}


@claim(
    "fold-hessian",
    statement=(
        "dα_DA/dx = −(f/r_p) det H/(k₁₂λφ(y)), with det H/λ² = 1 + k₁₁h_u − k₂₂h_v − Δh_u h_v. So "
        "α_DA is stationary exactly where det H = 0. If φ decreases, it falls exactly at minima, "
        "and rises exactly at saddles."
    ),
    explanation=(
        "If φ decreases, h_u > 0, and H is positive on the vectors across v. So at most one "
        "eigenvalue is negative, and the sign of det H decides. Without this hypothesis it does "
        "not: for φ = 1 + 0.9 sin 20m, k = (1, 1/2, 1) and A = λ = 1, x = -1.941 is a maximum with "
        "det H > 0. Exponential loss, the paper's types: dα/dx = -(f/r_p) e^y det H/(2ελ)."
    ),
    where="Sec. 5.1.2, the upper (solid) curve of Fig. 4",
    domain=(
        "any φ > 0 with a derivative, decreasing for the last sentence; k12 > 0, v not 0, along "
        "the curve of descent-ascent"
    ),
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.pair.folds",
        "gda_theory.pair.descent_ascent_curve",
        "gda_theory.pair.curve.log_bend",
    ],
    theorem=Theorem(
        domain={
            x: between(None, None, decades=1),
            A: positive_within(2),
            ridge: positive_within(2),
            k12: positive_within(2),
            k22: positive_within(2),
            determinant: between(0, None, "[)", decades=2),
            forget: positive_within(2),
            in_pair: positive_within(2),
            fold_numbers.loss: ANY_LOSS,
            fold_numbers.where: OneOf(("anywhere", "fold")),
        },
        conclusions={
            "slope": Eq(
                fold_numbers.relative_slope,
                -forget
                / in_pair
                * ridge
                * fold_numbers.det_H
                / (k12 * fold_numbers.phi_at_y * fold_numbers.alpha_there),
            ),
            "det H": Eq(
                fold_numbers.det_H,
                1
                + k11 * fold_numbers.h_x
                - k22 * fold_numbers.h_y
                - determinant * fold_numbers.h_x * fold_numbers.h_y,
            ),
            "folds": Iff(Eq(fold_numbers.relative_slope, 0), Eq(fold_numbers.det_H, 0)),
            "minima": Implies(
                (Eq(fold_numbers.decreases, 1), Lt(fold_numbers.relative_slope, 0)),
                Gt(fold_numbers.least, 0),
            ),
            "saddles": Implies(
                (Eq(fold_numbers.decreases, 1), Gt(fold_numbers.relative_slope, 0)),
                (Lt(fold_numbers.least, 0), Gt(fold_numbers.largest, 0)),
            ),
        },
        measure=fold_numbers.along_x,
        digits=60,  # at a fold the slope is 0 up to rounding over k12 Q
    ),
    joins=[
        join("identity", "det H", equation="det H/λ²"),
        join("identity", "slope", equation=("claim:explicit-curves", "dα_DA/dx", "det H")),
        join(
            "equivalence",
            "folds",
            identity="slope",
            factor=(
                "given:retain_in_pair in (0, oo)",
                "given:forget_size in (0, oo)",
                "given:ridge in (0, oo)",
                "given:k12 in (0, oo)",
                "known:φ(y) > 0",
            ),
        ),
        join(
            "inertia of order two",
            ("minima", "saddles"),
            direction=("n'Hn for n across v", "it is positive"),
            determinant="slope",
        ),
    ],
    counterexample=(
        "a stationary point with det H = 0 at which α_DA(x) is not stationary, or the reverse; a "
        "decreasing φ with a minimum where α_DA rises"
    ),
)
def fold_hessian(
    determinant=reduced_determinant,
    slope=-forget / in_pair * ridge * reduced_determinant / (k12 * phi(y)),
    across=ridge * (v.dot(v) + h_u * (u[1] * v[0] - u[0] * v[1]) ** 2),
):
    yield Equal("det H/λ²", hessian.det() / ridge**2, determinant.subs(gram))
    along = sp.Function("y")(x)
    derivative = (
        sp.diff(alpha_ascent.subs(y, along), x)
        .doit()
        .subs(sp.diff(along, x), sp.diff(y_ascent, x))
        .subs(along, y)
        .doit()
    )
    # On the curve B k12 φ(y) = A k11 φ(x) - λx; it removes λx, as h_v brings in B.
    on_curve = sp.solve(A * k11 * phi(x) - B * k12 * phi(y) - ridge * x, phi(x))[0]
    slopes = {phi(x).diff(x): sp.Symbol("phi_x'"), phi(y).diff(y): sp.Symbol("phi_y'")}
    plain, claimed = (
        expression.subs(decays).subs(slopes).subs(phi(x), on_curve)
        for expression in (derivative, slope)
    )
    yield Equal("dα_DA/dx", plain, claimed)
    normal = sp.Matrix([-v[1], v[0]])
    yield Equal("n'Hn for n across v", (normal.T * hessian * normal)[0], across)
    length, product = sp.Symbol("k_vv", positive=True), sp.Symbol("<n,u>", real=True)
    form = across.subs(u[1] * v[0] - u[0] * v[1], product).subs(v.dot(v), length)
    yield Positive("it is positive", form)


@claim(
    "exponential-one-fold",
    statement=(
        "At a fold E = A e^{−x}/λ solves k₁₁E + ln E − ln(A/λ) = k₁₂(1+k₁₁E)/(k₂₂+ΔE). For k₁₂ ≤ "
        "k₂₂ this equation has exactly one root, so there is exactly one fold."
    ),
    explanation=(
        "det H = 0 gives Q as a function of P = E. With L = ln(A/λ), x = k11 P - k12 Q and ln E = "
        "L - x give the equation. The left side runs from -oo to oo with slope above k11. The "
        "right side is bounded, with slope at most k12³/k22² <= k11. The paper's types have k11 = "
        "k22 = s, k12 = 2ε <= s and Δ = q. For k = (100, 10, 1.01) there may be three folds."
    ),
    where="Sec. 5.1.2",
    domain=(
        "exponential loss, k12 <= k22 of either sign, as for the paper's types, Δ >= 0; A, λ > 0"
    ),
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.folds", "gda_theory.pair.curve.fold_points"],
    theorem=Theorem(
        domain=TYPES | {determinant: between(0, None, "[)", decades=6)} | PROBLEM,
        hypotheses=(Le(any_k12, k22),),
        conclusions={
            "equation": Eq(
                k11 * P_f + sp.log(P_f) - sp.log(A / ridge),
                any_k12 * (1 + k11 * P_f) / (k22 + determinant * P_f),
            ),
            "one fold": Eq(fold_numbers.count, 1),
        },
        measure=fold_numbers.exponential_folds,
        most_digits=60,
        points=12,
    ),
    joins=[
        join(
            "identity",
            "equation",
            equation=("claim:fold-hessian", "claim:dual-masses", "ln E + x - L"),
        ),
        join(
            "identity",
            "both slopes",
            equation=("slope of the right side", "slope of the left side"),
        ),
        join(
            "sign",
            "the left side rises faster",
            sign=(
                "both slopes",
                "left slope - right slope, 0 < k12 <= k22",
                "and for k12 = -κ <= 0",
                "given:k12 <= k22",
            ),
        ),
        join(
            "intermediate value",
            "a root",
            continuous="known:ln E and a fraction with a positive denominator are continuous",
            ends=("known:ln E runs from -oo to oo", "known:the right side is bounded"),
        ),
        join(
            "monotone bijection",
            "one fold",
            continuous=("a root", "equation"),
            slope="the left side rises faster",
        ),
        join("sign", "the condition is needed", sign="not for every k12 > k22"),
    ],
    counterexample="a Gram matrix with k12 <= k22, and A/λ, with no fold or two",
)
def exponential_one_fold(
    left=k11 * E + sp.log(E) - L,
    right=k12 * (1 + k11 * E) / (k22 + gram_determinant * E),
    right_slope=k12**3 / (k22 + gram_determinant * E) ** 2,
):
    dual = sp.solve(reduced_determinant.subs({h_u: E, h_v: Q}), Q)[0]
    margin = k11 * E - k12 * dual
    yield Equal("ln E + x - L", sp.log(E) + margin - L, left - right)
    yield Equal("slope of the right side", sp.diff(right, E), right_slope)
    yield Equal("slope of the left side", sp.diff(left, E), k11 + 1 / E)
    # k11 from the determinant; k22 = k12 + κ, or k12 = -κ.
    share, determinant = sp.symbols("kappa Delta", nonnegative=True)
    slack = (k11 + 1 / E - right_slope).subs(k11, (determinant + k12**2) / k22)
    yield Positive("left slope - right slope, 0 < k12 <= k22", slack.subs(k22, k12 + share))
    yield Positive("and for k12 = -κ <= 0", slack.subs(k12, -share))
    # It fails for k12 > k22: u = (10, 0), v = (1, 1/10), E = 1/10.
    # So for some A/λ there are three folds.
    three = (right_slope - sp.diff(left, E)).subs(
        {k11: 100, k12: 10, k22: sp.Rational(101, 100), E: sp.Rational(1, 10)}
    )
    yield Positive("not for every k12 > k22", three)


@claim(
    "two-points-below-fold",
    statement=(
        "Descent-ascent has two stationary points for 0 < α < α_fold: a minimum at the larger x, "
        "and a saddle. It has one at the fold and none above."
    ),
    explanation=(
        "Write the curve α_DA as a function of E = A e^{-x}/λ, so that x = L - ln E. It starts at "
        "0, where x = x_R, and rises to the only fold (exponential-one-fold, fold-hessian). It "
        "falls back to 0 as E -> oo, because e^{-qE/(2ε)} beats every power of E. det H > 0 before "
        "the fold, and det H < 0 after it."
    ),
    where="Sec. 5.1.2",
    domain="exponential loss, 0 < ε < 1",
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.pair.stationary_points",
        "gda_theory.pair.folds",
        "gda_theory.dynamics.outcomes.explain",
        "gda_theory.pair.descent_ascent",
        "gda_theory.pair.regime",
    ],
    theorem=Theorem(
        domain=CORRELATION | PROBLEM | {fold_numbers.share: positive},
        conclusions={
            "below the fold": Implies(
                Lt(fold_numbers.share, 1),
                (
                    Eq(fold_numbers.points, 2),
                    Gt(fold_numbers.x_1, fold_numbers.x_2),
                    Gt(fold_numbers.least_1, 0),
                    Lt(fold_numbers.least_2, 0),
                    Gt(fold_numbers.largest_2, 0),
                ),
            ),
            "at the fold": Implies(Eq(fold_numbers.share, 1), Eq(fold_numbers.points, 1)),
            "above the fold": Implies(Gt(fold_numbers.share, 1), Eq(fold_numbers.points, 0)),
        },
        measure=fold_numbers.points_at_share,
        most_digits=60,
        points=12,
    ),
    joins=[
        join(
            "intermediate value",
            "each value below the fold is met on both sides of it",
            continuous="known:the terms of ln α_DA are continuous where α_DA > 0",
            ends=(
                "ln α_DA",
                "E^m e^{-cE} -> 0",
                "its exponent falls at rate c = q/(2ε) and more",
                "that rate is positive for ε < 1",
            ),
        ),
        join(
            "monotone bijection",
            ("below the fold", "at the fold", "above the fold"),
            continuous="each value below the fold is met on both sides of it",
            slope=("claim:exponential-one-fold", "claim:fold-hessian"),
        ),
    ],
    counterexample="α < α_fold without two stationary points, or α > α_fold with one",
)
def two_points_below_fold(
    log_alpha=sp.log(forget * ridge / (2 * epsilon * in_pair))
    + sp.log(s * E + sp.log(E) - L)
    + (s * (L - sp.log(E)) - q * E) / (2 * epsilon),
):
    curve = (
        alpha_ascent.subs(phi(y), sp.exp(-y_ascent))
        .subs(paper_gram)
        .subs(phi(x), ridge * E / A)
        .subs(x, L - sp.log(E))
    )
    yield Equal("ln α_DA", sp.log(curve), log_alpha)
    # sE + ln E - L <= (s+1) E + |L|, so α is at most a sum of powers E^m times e^{-qE/(2ε)}.
    power, rate = sp.symbols("m c", positive=True)
    yield Equal("E^m e^{-cE} -> 0", sp.limit(E**power * sp.exp(-rate * E), E, sp.oo), 0)
    exponent_slope = sp.diff(log_alpha - sp.log(s * E + sp.log(E) - L), E)
    yield Equal(
        "its exponent falls at rate c = q/(2ε) and more",
        exponent_slope,
        -q / (2 * epsilon) - s / (2 * epsilon * E),
    )
    yield Positive("that rate is positive for ε < 1", (q / (2 * epsilon)).subs(epsilon, below_one))


@claim(
    "fold-locus",
    statement=(
        "Each P > 0 gives a fold. It has Q = (1+k₁₁P)/(k₂₂+ΔP), A/λ = P e^{k₁₁P−k₁₂Q} and B/λ = Q "
        "e^{k₁₂P−k₂₂Q}. For the paper's types Q = (1+sP)/(s+qP)."
    ),
    explanation=(
        "det H = 0 with h_u = P and h_v = Q. Then A/λ = P e^x and B/λ = Q e^y, with x and y by "
        "dual-masses. α_fold = (f/r_p) B."
    ),
    where="Sec. 5.1.2, the upper (solid) curve of Fig. 4, in closed form",
    domain="exponential loss, any Gram matrix with Δ >= 0 and k22 > 0; P > 0 the parameter",
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.fold_locus", "gda_theory.pair.curve.exponential_fold"],
    theorem=Theorem(
        domain={
            P: positive_within(6),
            any_k12: between(None, None, decades=6),
            k22: positive_within(6),
            determinant: between(0, None, "[)", decades=6),
        },
        conclusions={
            "B is stationary": Eq(fold_numbers.slope_f, 0),
            "P": Eq(P_f, P),
            "Q": Eq(Q_f, (1 + k11 * P) / (k22 + determinant * P)),
            "A": Eq(fold_numbers.log_A, sp.log(P) + k11 * P - any_k12 * Q_f),
            "B": Eq(level_f, sp.log(Q_f) + any_k12 * P - k22 * Q_f),
        },
        measure=fold_numbers.on_locus,
        most_digits=60,
        points=12,
    ),
    joins=[
        join("identity", ("Q", "P"), equation="det H = 0"),
        join("identity", "B is stationary", equation=("Q", "claim:fold-hessian")),
        join("identity", "A", equation=("claim:dual-masses", "ln(A/λ)")),
        join("identity", "B", equation=("claim:dual-masses", "ln(B/λ)")),
    ],
    counterexample="P > 0 whose (A/λ, B/λ) is not a fold",
)
def fold_locus(
    Q_fold=fold_Q,
    log_retain=sp.log(P) + k11 * P - k12 * Q,
    log_forget=sp.log(Q) + k12 * P - k22 * Q,
):
    yield Equal(
        "det H = 0",
        reduced_determinant.subs({h_u: P, h_v: Q}),
        (Q_fold - Q) * (k22 + gram_determinant * P),
    )
    margin_x, margin_y = k11 * P - k12 * Q, k12 * P - k22 * Q
    yield Equal("ln(A/λ)", sp.log(P * sp.exp(margin_x)), log_retain)
    yield Equal("ln(B/λ)", sp.log(Q * sp.exp(margin_y)), log_forget)


def log_forget_at_fold(*, correlation=0.5, retain_mass=0.1, ridge=0.1):
    """ln(B_fold/λ) of the paper's types at given A and λ, in 30 digits.

    The locus is solved for its parameter P.
    """
    with mpmath.workdps(30):
        own, cross = 1 + mpmath.mpf(correlation) ** 2, 2 * mpmath.mpf(correlation)
        target = mpmath.log(mpmath.mpf(retain_mass) / mpmath.mpf(ridge))

        def on_locus(dual):
            forget_dual = (1 + own * dual) / (own + (own**2 - cross**2) * dual)
            return mpmath.log(dual) + own * dual - cross * forget_dual - target, mpmath.log(
                forget_dual
            ) + cross * dual - own * forget_dual

        # 1/s <= Q <= s/q. So ln P + sP is at least the target,
        # and sP is at most the target plus 2εs/q where P > 1.
        low = mpmath.lambertw(own * mpmath.exp(target)).real / own
        high = max(1, (target + cross * own / (own**2 - cross**2)) / own)
        bracket = mpmath.log(low), mpmath.log(high)
        dual = mpmath.exp(
            mpmath.findroot(lambda t: on_locus(mpmath.exp(t))[0], bracket, solver="anderson")
        )
        return on_locus(dual)[1]


def _locus_bounds(*, correlation=0.5, retain_mass=0.1, ridge=0.1):
    with mpmath.workdps(30):
        own, cross = 1 + correlation**2, 2 * correlation
        fold = ridge * mpmath.exp(
            log_forget_at_fold(correlation=correlation, retain_mass=retain_mass, ridge=ridge)
        )
        lower, upper = ridge / (mpmath.e * own), (cross * retain_mass + ridge / mpmath.e) / own
        return np.array([lower, fold], float), np.array([fold, upper], float)


@claim(
    "fold-locus-bounds",
    statement="λ/(es) < B_fold < (2εA + λ/e)/s.",
    explanation=(
        "Along the locus ln(B/λ) starts at -1 - ln s as P -> 0 and increases. For the upper bound "
        "use y < x: λy e^y is less than 2εA - sB, and y e^y is never below -1/e."
    ),
    where="Sec. 5.1.2",
    domain="exponential loss, 0 < ε < 1; A, λ > 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.folds",
    theorem=Theorem(
        domain=CORRELATION | PROBLEM,
        conclusions={
            "lower bound": Lt(ridge / (sp.E * s), fold_numbers.B_f),
            "upper bound": Lt(fold_numbers.B_f, (2 * epsilon * A + ridge / sp.E) / s),
        },
        measure=fold_numbers.papers_fold,
    ),
    joins=[
        join(
            "monotone bijection",
            "lower bound",
            continuous=("claim:fold-locus", "ln(B/λ) at P = 0"),
            slope=("its slope along the locus", "the slope"),
        ),
        join(
            "tangent line",
            "w e^w >= -1/e",
            use="known:e^t >= 1 + t at t = -1 - w",
        ),
        join(
            "contradiction",
            "upper bound",
            assumption="Lemma 8's argument at the upper bound",
            absurd=(
                "λy e^y",
                "it is less than 2εA - sB",
                "claim:lemma-12-order",
                "w e^w >= -1/e",
            ),
        ),
    ],
    relation="<=",
    evaluate=_locus_bounds,
    counterexample="a fold with B_fold outside the bounds",
)
def fold_locus_bounds(
    at_zero=-1 - sp.log(s),
    slope=2 * epsilon - 16 * epsilon**4 * P / ((1 + s * P) * (s + q * P) ** 2),
    upper_tangency=(2 * epsilon * A + ridge / sp.E) / s,
):
    on_locus = fold_Q.subs(paper_gram)
    log_forget = sp.log(Q) + 2 * epsilon * P - s * Q
    yield Equal("ln(B/λ) at P = 0", log_forget.subs(Q, on_locus).subs(P, 0), at_zero)
    yield Equal("its slope along the locus", sp.diff(log_forget.subs(Q, on_locus), P), slope)
    yield Positive("the slope", slope.subs(epsilon, below_one))
    yield Equal(
        "Lemma 8's argument at the upper bound",
        (2 * epsilon * A - s * upper_tangency) / ridge,
        -sp.exp(-1),
    )
    # y < x, so e^(y-x) = 1/(1+d).
    times = sp.exp(y) * (2 * epsilon * A * sp.exp(-x) - s * B * sp.exp(-y))
    yield Equal("λy e^y", times, 2 * epsilon * A * sp.exp(y - x) - s * B)
    gap = sp.Symbol("d", positive=True)
    yield Positive("it is less than 2εA - sB", 2 * epsilon * A * (1 - 1 / (1 + gap)))


@claim(
    "fold-rates",
    statement=(
        "Let D³J[n,n,n] > 0 at a fold. As δ → 0 the ratio of the slowest rate below it to 2λκ√δ "
        "tends to 1. So does the ratio of the time of the escape above it to π/(λκ√δ). Here κ² = "
        "Q(Qτ_y − Pτ_xθ³)/(2(Qσ − Pρθ²)²), θ = k₁₂/(k₂₂+ΔρP) and τ = φ″/φ. The exponential loss "
        "has ρ = σ = τ = 1."
    ),
    explanation=(
        "h_u = ρP, h_v = σQ, t_u = τ_x P and t_v = τ_y Q. At the fold H has a unit null vector n; "
        "ξ = <n,u> and η = <n,v>. Let p = <n, d∇J/d ln α> and c = D³J[n,n,n]. Along n the flow is "
        "z' = pδ - c z²/2 below the fold, and z' = -(pδ + c z²/2) above it. So (λκ)² = pc/2. The "
        "sign of n is chosen so that <n,v> > 0. For the exponential loss c > 0 if k12 <= k22, as "
        "in the paper. For k = (100, 10, 1.01) and P = 0.1 it is negative: Q - Pθ³ = -63.2. There "
        "the two points lie above the fold."
    ),
    where="Sec. 5.1.2; critical slowing down",
    domain=(
        "φ > 0 decreasing with φ'' continuous, any types, k12 of either sign, δ = |α/α_fold - 1|, "
        "gradient flow; c > 0 holds for the exponential loss with k12 <= k22, as in the paper"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.fold_rates",
    theorem=Theorem(
        # The flow is integrated in double precision, for moderate types.
        domain={
            fold_numbers.log_steepness: between(None, None, decades=1),
            ridge: positive_within(6),
            any_k12: between(None, None, decades=1),
            k22: positive_within(1),
            determinant: between(0, None, "[)", decades=1),
            fold_numbers.loss: DECREASING,
            fold_numbers.which: OneOf(("first", "last")),
        },
        hypotheses=(Gt(fold_numbers.third, 0),),
        conclusions={
            "rate below": limit(
                fold_numbers.least_rate
                / (2 * ridge * MEASURED_KAPPA * sp.sqrt(fold_numbers.delta_below)),
                1,
                fold_numbers.delta_below,
                power=sp.Rational(1, 2),
                at=("1e-10", "1e-12"),
            ),
            "time above": limit(
                fold_numbers.escape_time
                * (ridge * MEASURED_KAPPA * sp.sqrt(fold_numbers.delta_above))
                / sp.pi,
                1,
                fold_numbers.delta_above,
                power=sp.Rational(1, 2),
                at=("1e-5", "1e-7"),
            ),
        },
        measure=fold_numbers.rates_at_fold,
        points=8,
    ),
    joins=[
        join(
            "identity",
            "null vector",
            equation=(
                "H n = 0 says n = h_v η v - h_u ξ u",
                "<n, u> = ξ gives ξ = θη",
                "<n, n> = h_v η² - h_u ξ²",
                "1/<n,v>² is positive",
            ),
        ),
        join("identity", "p and c", equation=("p = λQη", "c", "(λκ)² = p c/2")),
        join(
            "saddle-node normal form",
            "the flow along n",
            null_vector="null vector",
            p="p and c",
            c=("p and c", f"given:{Gt(fold_numbers.third, 0)}"),
        ),
        join(
            "identity",
            "rate below",
            equation=("the flow along n", "below: z at rest", "below: rate there"),
        ),
        join("identity", "time above", equation=("the flow along n", "above: passage time")),
        join(
            "sign",
            "the sign of c for the exponential loss",
            sign=("exponential, k12 <= k22: c > 0", "exponential, k = (100, 10, 1.01): c < 0"),
        ),
    ],
    counterexample="(ε, A/λ) at which rate/√δ or escape time·√δ tends to another number",
)
def fold_rates(
    kappa_squared=Q * (t_v - t_u * theta**3) / (2 * (h_v - h_u * theta**2) ** 2),
    theta_fold=k12 / (k22 + gram_determinant * h_u),
    rate=2 * ridge * kappa * sp.sqrt(delta),
    escape_time=sp.pi / (ridge * kappa * sp.sqrt(delta)),
):
    xi, eta, shift, log_share = sp.symbols("xi eta tau a", real=True)
    null = h_v * eta * v - h_u * xi * u
    yield Equal(
        "H n = 0 says n = h_v η v - h_u ξ u",
        (hessian - ridge * sp.eye(2)) * n / ridge,
        h_u * n.dot(u) * u - h_v * n.dot(v) * v,
    )
    at_fold = {h_v: sp.solve(reduced_determinant, h_v)[0]}
    products = k12 * h_v * eta - k11 * h_u * xi  # <null, u>
    yield Equal(
        "<n, u> = ξ gives ξ = θη", sp.solve(products - xi, xi)[0].subs(at_fold), theta_fold * eta
    )
    yield Equal("<n, n> = h_v η² - h_u ξ²", null.dot(n), h_v * eta * n.dot(v) - h_u * xi * n.dot(u))
    # The slope of J along n at distance τ, α = e^a times its value at the fold.
    along = (
        -A * phi(x + shift * xi) * xi
        + sp.exp(log_share) * B * phi(y + shift * eta) * eta
        + ridge * shift
    )
    here = {shift: 0, log_share: 0}
    p = sp.diff(along, log_share).subs(here)
    yield Equal("p = λQη", p, B * phi(y) * eta)
    c = sp.diff(along, shift, 2).subs(here).doit()
    yield Equal("c", c, B * phi(y).diff(y, 2) * eta**3 - A * phi(x).diff(x, 2) * xi**3)
    length = (h_v * eta**2 - h_u * xi**2).subs(xi, theta * eta) / eta**2  # 1/η² for a unit vector
    half_product = ridge * Q * eta * ridge * (t_v * eta**3 - t_u * (theta * eta) ** 3) / 2
    yield Equal(
        "(λκ)² = p c/2", half_product.subs(eta, 1 / sp.sqrt(length)), ridge**2 * kappa_squared
    )
    z = sp.Symbol("z", real=True)
    below, above = sensitivity * delta - cubic * z**2 / 2, sensitivity * delta + cubic * z**2 / 2
    coefficient = {kappa: sp.sqrt(sensitivity * cubic / 2) / ridge}
    rest = sp.sqrt(2 * sensitivity * delta / cubic)
    yield Equal("below: z at rest", below.subs(z, rest), 0)
    yield Equal("below: rate there", -sp.diff(below, z).subs(z, rest), rate.subs(coefficient))
    yield Equal(
        "above: passage time",
        sp.integrate(1 / above, (z, -sp.oo, sp.oo)),
        escape_time.subs(coefficient),
    )
    determinant, margin = sp.symbols("Delta d_v", nonnegative=True)
    any_gram = {k11: (determinant + k12**2) / k22}
    squared_length = (h_v - h_u * theta_fold**2).subs(at_fold).subs(any_gram)
    yield Positive("1/<n,v>² is positive", squared_length)
    exponential = (fold_Q - P * fold_theta**3).subs(any_gram)
    yield Positive("exponential, k12 <= k22: c > 0", exponential.subs(k22, k12 + margin))
    three_folds = {k11: 100, k12: 10, k22: sp.Rational(101, 100), P: sp.Rational(1, 10)}
    steep = (fold_Q - P * fold_theta**3).subs(three_folds)
    yield Enclosed("exponential, k = (100, 10, 1.01): c < 0", steep, "<", -63)


@claim(
    "fold-condition-any-loss",
    statement=(
        "A point of the curve is a fold exactly when (2ε − s y′)φ(y) − (2εx − s y)φ′(y) y′ = 0, "
        "with y′ = (s − Aqφ′(x)/λ)/(2ε). The left side equals −qφ(y) det H/(2ελ²)."
    ),
    explanation=(
        "2ε times the x equation minus s times the y equation is λ(2εx - sy) = q B φ(y). So B "
        "along the curve is explicit, and it is stationary at a fold."
    ),
    where="Sec. 5.1.2, any loss",
    domain="any φ > 0, 0 < ε < 1, A, λ > 0; along the curve of descent-ascent, where B > 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.folds",
    theorem=Theorem(
        domain={
            x: between(None, None, decades=1),
            A: positive_within(2),
            ridge: positive_within(2),
            epsilon: between(0, 1, decades=3),
            fold_numbers.loss: ANY_LOSS,
            fold_numbers.where: OneOf(("anywhere", "fold")),
        },
        conclusions={
            "y'": Eq(fold_numbers.dy_dx, (s + q * fold_numbers.h_x) / (2 * epsilon)),
            "left side": Eq(
                MEASURED_CONDITION,
                -q * fold_numbers.phi_at_y * fold_numbers.det_H / (2 * epsilon),
            ),
            "fold": Iff(Eq(fold_numbers.dB_dx, 0), Eq(MEASURED_CONDITION, 0)),
        },
        measure=fold_numbers.along_papers_x,
        digits=60,
    ),
    joins=[
        join("identity", "y'", equation=("claim:explicit-curves", "y' along the curve")),
        join("identity", "left side", equation=("y'", "against det H")),
        join(
            "equivalence",
            "fold",
            identity=("q B φ(y)", "d/dx (2εx - sy)/φ(y), y' = E", "y'"),
            factor=("known:q > 0 for ε < 1", "known:φ(y) > 0", "given:correlation in (0, 1)"),
        ),
    ],
    counterexample="a fold at which the condition is not 0",
)
def fold_condition(
    condition=(2 * epsilon - s * E) * phi(y) - (2 * epsilon * x - s * y) * phi(y).diff(y) * E,
    y_slope=(s - A * q * phi(x).diff(x) / ridge) / (2 * epsilon),
):
    stationary_x = A * s * phi(x) - 2 * epsilon * B * phi(y)
    stationary_y = 2 * epsilon * A * phi(x) - s * B * phi(y)
    yield Equal("q B φ(y)", 2 * epsilon * stationary_x - s * stationary_y, q * B * phi(y))
    along = sp.Function("y")(x)
    on_curve = ((2 * epsilon * x - s * along) / phi(along)).diff(x).doit()
    derivative = on_curve.subs(sp.diff(along, x), E).subs(along, y).doit()
    yield Equal("d/dx (2εx - sy)/φ(y), y' = E", derivative * phi(y) ** 2, condition)
    yield Equal("y' along the curve", sp.diff(y_ascent.subs(paper_gram), x), y_slope)
    forget_mass = {B: ridge * (2 * epsilon * x - s * y) / (q * phi(y))}
    determinant = reduced_determinant.subs(paper_gram).subs(decays).subs(forget_mass)
    yield Equal(
        "against det H", condition.subs(E, y_slope), -q * phi(y) * determinant / (2 * epsilon)
    )


@claim(
    "cusp-condition",
    statement=(
        "Where two folds merge, det H = 0 and Aφ″(x)θ³ = Bφ″(y), with θ = k₁₂/(k₂₂+Δh_u). At a "
        "fold the second equation holds exactly where D³J[n,n,n] = 0 along the null vector n."
    ),
    explanation=(
        "det H vanishes at both folds. So its slope along the curve vanishes somewhere between "
        "them. Where they merge, it vanishes at the fold itself. This is necessary; that two folds "
        "merge wherever both equations hold is not claimed. Along the curve y' = (k22 + Δh_u)/k12 "
        "= 1/θ, and B is stationary at a fold. So d(det H)/dx there is the claimed slope. Since "
        "<n,u> : <n,v> = θ : 1, the third derivative along n is -Aφ''(x)θ³ + Bφ''(y), up to a "
        "positive factor."
    ),
    where="Sec. 5.1.2, any loss with folds that can merge (logistic)",
    domain="any φ > 0 with two continuous derivatives, k12 > 0, k22 > 0; at a fold",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.cusp",
    theorem=Theorem(
        domain={
            k12: positive_within(1),
            k22: positive_within(1),
            determinant: between(0, None, "[)", decades=1),
            fold_numbers.log_steepness: between(None, None, decades=1),
            fold_numbers.loss: fold_numbers.BOUNDED,
            fold_numbers.where: OneOf(("merging", "first fold")),
        },
        conclusions={
            "merging": Implies(
                Eq(fold_numbers.merging, 1),
                (
                    Eq(fold_numbers.det_H, 0),
                    Eq(fold_numbers.phi_xx * MEASURED_THETA**3, fold_numbers.phi_yy),
                ),
            ),
            "third derivative": Iff(
                Eq(fold_numbers.third, 0),
                Eq(fold_numbers.phi_xx * MEASURED_THETA**3, fold_numbers.phi_yy),
            ),
        },
        measure=fold_numbers.at_merging,
        points=8,
        most_digits=60,
    ),
    joins=[
        join("identity", "third derivative", equation=("y' = 1/θ", "D³J along n")),
        join(
            "Rolle",
            "merging",
            zeros=("claim:fold-hessian", "d(det H/λ²)/dx at a fold", "y' = 1/θ"),
            smooth="known:det H is differentiable along the curve where φ'' is continuous",
        ),
    ],
    counterexample="a merging of two folds at which Aφ''(x) θ³ != Bφ''(y)",
)
def cusp_condition(
    theta_fold=k12 / (k22 + gram_determinant * h_u),
    slope=-k12 / (theta**2 * ridge) * (A * phi(x).diff(x, 2) * theta**3 - B * phi(y).diff(y, 2)),
):
    curve_slope = sp.diff(y_ascent, x)
    yield Equal("y' = 1/θ", curve_slope * theta_fold.subs(decays), 1)
    xi, eta, shift = sp.symbols("xi eta tau", real=True)
    along = (
        -A * phi(x + shift * xi) * xi + B * phi(y + shift * eta) * eta + ridge * shift
    )  # slope of J along n
    third = (slope * ridge / k12).subs(theta, xi / eta) * xi**2 * eta
    yield Equal("D³J along n", sp.diff(along, shift, 2).subs(shift, 0).doit(), third)
    on_fold = sp.solve(reduced_determinant, h_v)[0]
    along_u, along_v = sp.diff(reduced_determinant, h_u), sp.diff(reduced_determinant, h_v)
    decay_u, decay_v = -A * phi(x).diff(x, 2) / ridge, -B * phi(y).diff(y, 2) / (ridge * theta)
    total_slope = (along_u * decay_u).subs(h_v, on_fold) + along_v * decay_v
    at_theta = {k11: sp.solve(theta_fold - theta, k11)[0]}
    yield Equal("d(det H/λ²)/dx at a fold", total_slope.subs(at_theta), slope)


def _series(*, correlation=1e-5, retain_mass=0.1, ridge=0.1):
    """ln(B_fold/λ) and its series up to ε²; they differ by O(ε³)."""
    dual = mpmath.lambertw(mpmath.mpf(retain_mass) / ridge).real
    series = -1 + 2 * dual * correlation + (4 * dual / (1 + dual) - 1) * correlation**2
    return float(
        log_forget_at_fold(correlation=correlation, retain_mass=retain_mass, ridge=ridge)
    ), float(series)


@claim(
    "small-correlation-series",
    statement="ln(B_fold/λ) = −1 + 2P₀ε + (4P₀/(1+P₀) − 1)ε² + O(ε³), P₀ = W(A/λ).",
    explanation=(
        "Insert P = P₀ + p₁ε + p₂ε² into the locus. ln P + sP - 2εQ equals ln P₀ + P₀ order by "
        "order, which gives p₁ and p₂. Then expand ln Q + 2εP - sQ."
    ),
    where="Sec. 5.1.2, ε -> 0",
    domain="exponential loss, ε -> 0 at fixed A/λ = P₀ e^{P₀} > 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.folds",
    theorem=Theorem(
        # ε must be small beside A/λ, where the next terms balance.
        domain={A: positive_within(3), ridge: positive_within(3)},
        conclusions={
            "series": Order(
                level_f
                + 1
                - (2 * P0 * epsilon + (4 * P0 / (1 + P0) - 1) * epsilon**2).subs(
                    P0, sp.LambertW(A / ridge)
                ),
                epsilon,
                sp.Integer(3),
                at=("1e-8", "1e-10"),
            ),
        },
        measure=fold_numbers.papers_fold,
        digits=60,
        points=12,
    ),
    joins=[
        join(
            "implicit function",
            "B is smooth in ε",
            jacobian=("claim:exponential-one-fold", "the locus has a slope at ε = 0"),
            smooth="known:the locus is made of logarithms and fractions",
        ),
        join(
            "series",
            "series",
            terms=(
                "order 0 of ln(A/λ)",
                "order 0 of ln(B/λ)",
                "order 1 of ln(B/λ)",
                "order 2 of ln(B/λ)",
                "claim:fold-locus",
            ),
            analytic="B is smooth in ε",
        ),
    ],
    evaluate=_series,
    counterexample="A/λ at which (ln(B_fold/λ) - series)/ε³ is unbounded as ε -> 0",
)
def small_correlation_series(first=2 * P0, second=4 * P0 / (1 + P0) - 1):
    constant, *orders = _fold_series()
    for order, (derived, claimed) in enumerate(
        zip(orders, (sp.Integer(-1), first, second), strict=True)
    ):
        yield Equal(f"order {order} of ln(B/λ)", derived, claimed)
    yield Equal("order 0 of ln(A/λ)", constant, sp.log(P0) + P0)
    yield Positive("the locus has a slope at ε = 0", sp.diff(sp.log(P0) + P0, P0))


@functools.cache
def _fold_series():
    """Order 0 of ln(A/λ), and orders 0, 1, 2 in ε of ln(B/λ), along the fold at fixed A/λ."""
    p1, p2 = sp.symbols("p_1 p_2", real=True)
    on_locus = fold_Q.subs(paper_gram)
    expansion = P0 + p1 * epsilon + p2 * epsilon**2

    def orders(expression):
        along = expression.subs(Q, on_locus).subs(P, expansion)
        return [
            sp.diff(along, epsilon, order).subs(epsilon, 0) / sp.factorial(order)
            for order in range(3)
        ]

    zeroth, linear, quadratic = orders(sp.log(P) + s * P - 2 * epsilon * Q)
    solved = {p1: sp.solve(linear, p1)[0]}
    solved[p2] = sp.solve(quadratic.subs(solved), p2)[0]
    series = orders(sp.log(Q) + 2 * epsilon * P - s * Q)
    return zeroth, *(order.subs(p2, solved[p2]).subs(p1, solved[p1]) for order in series)


@claim(
    "fold-power-law",
    statement=(
        "As λ → 0, α_fold ~ (f/r_p)(s/(eq)) A^{2ε/s} λ^{(1−ε)²/s} P^{−2ε/s}, with P ~ ln(A/λ)/s. "
        "This is a power of λ, up to a logarithm. The logarithms of both sides differ by "
        "O(1/ln²(A/λ))."
    ),
    explanation=(
        "On the locus ln(B/λ) = (2ε/s)(ln(A/λ) - ln P) + ln Q - qQ/s exactly. A/λ -> oo means P -> "
        "oo, hence Q -> s/q."
    ),
    where="Sec. 5.1.2, λ -> 0",
    domain="exponential loss, 0 < ε < 1, A = r_p/r fixed; the identity for every λ",
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.folds", "gda_theory.pair.fold_locus"],
    theorem=Theorem(
        # The law needs ln(A/λ) large beside 1/(1-ε)²: so ε is sampled up to 0.9.
        domain={
            epsilon: between(0, 1, decades=1),
            A: positive_within(3),
            forget: positive_within(3),
            in_pair: positive_within(3),
        },
        conclusions={
            "power law": Order(
                sp.log(fold_numbers.alpha_f)
                - sp.log(forget / in_pair * s / q)
                + 1
                - 2 * epsilon / s * sp.log(A / P_f)
                - (1 - epsilon) ** 2 / s * sp.log(ridge),
                fold_numbers.log_steepness,
                sp.Integer(-2),
                at=("1e5", "1e7"),
            ),
            # The error (2εQ - ln P)/N changes its sign once: so the scales are far apart.
            "P": limit(
                s * P_f / fold_numbers.log_steepness,
                1,
                fold_numbers.log_steepness,
                power=-sp.Rational(1, 2),
                at=("1e5", "1e9"),
            ),
        },
        measure=fold_numbers.fold_of_small_ridge,
        digits=50,
        points=10,
    ),
    joins=[
        join(
            "identity",
            "P",
            equation=("claim:fold-locus", "sP/ln(A/λ) -> 1", "Q as P -> oo"),
        ),
        join(
            "series",
            "power law",
            terms=(
                "ln(B/λ)",
                "the rest there",
                "the rest is stationary there",
                "B = λ (A/λ)^{2ε/s} ...: power of λ",
                "Q - s/q is of order 1/P",
            ),
            analytic="P",
        ),
        join("sign", "the power is positive", sign="the power"),
    ],
    counterexample=(
        "ε at which ln α_fold / ln λ, corrected by the logarithm, tends to another number"
    ),
)
def fold_power_law(
    power=(1 - epsilon) ** 2 / s,
    retain_power=2 * epsilon / s,
    constant=sp.log(s / q) - 1,
    rest=sp.log(Q) - q * Q / s,
):
    log_retain = sp.log(P) + s * P - 2 * epsilon * Q
    log_forget = sp.log(Q) + 2 * epsilon * P - s * Q
    yield Equal("ln(B/λ)", log_forget, retain_power * (log_retain - sp.log(P)) + rest)
    yield Equal("Q as P -> oo", sp.limit(fold_Q.subs(paper_gram), P, sp.oo), s / q)
    yield Equal("the rest there", rest.subs(Q, s / q), constant)
    yield Equal("the rest is stationary there", sp.diff(rest, Q).subs(Q, s / q), 0)
    yield Equal(
        "Q - s/q is of order 1/P",
        fold_Q.subs(paper_gram) - s / q,
        (q - s**2) / (q * (s + q * P)),
    )
    yield Equal("B = λ (A/λ)^{2ε/s} ...: power of λ", 1 - retain_power, power)
    yield Equal("sP/ln(A/λ) -> 1", sp.limit(sp.log(P) / P, P, sp.oo), 0)
    yield Positive("the power", power.subs(epsilon, below_one))


@claim(
    "fold-correlation-limits",
    statement=(
        "As ε → 0, B_fold → λ/e, Lemma 2's threshold for orthogonal types. As ε → 1, B_fold → A + "
        "λ/(2e). That is the threshold of one type of squared norm 2, with net mass A − B."
    ),
    explanation=(
        "On the locus Q -> 1 as ε -> 0, and ln(B/λ) -> ln Q - Q = -1. As ε -> 1 it is Q = P + 1/2, "
        "hence A/λ = P/e and B/λ = (P + 1/2)/e. The merged type has u e^u = 2(A - B)/λ in its "
        "margin u. It ends at -1/e, which gives the same B."
    ),
    where="Sec. 5.1.2, ε -> 0 and ε -> 1; App. J",
    domain="exponential loss, A/λ > 0 fixed",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.folds",
    theorem=Theorem(
        # ε and 1-ε must be small beside (λ/A)², where the next terms balance.
        domain={A: positive_within(3), ridge: positive_within(3)},
        conclusions={
            "ε -> 0": limit(fold_numbers.B_f / ridge, sp.exp(-1), epsilon, at=("1e-8", "1e-10")),
            "ε -> 1": limit(
                fold_numbers.B_near_one / ridge,
                A / ridge + sp.exp(-1) / 2,
                fold_numbers.to_one,
                at=("1e-18", "1e-20"),
            ),
            "merged type": Eq(fold_numbers.merged_B, A + ridge * sp.exp(-1) / 2),
        },
        measure=fold_numbers.fold_at_the_ends,
        digits=70,
        points=12,
    ),
    joins=[
        join(
            "implicit function",
            "B is smooth in ε at both ends",
            jacobian="claim:exponential-one-fold",
            smooth="known:the locus is made of logarithms and fractions",
        ),
        join(
            "identity",
            "ε -> 0",
            equation=("B is smooth in ε at both ends", "Q at ε = 0", "B at ε = 0"),
        ),
        join(
            "identity",
            "ε -> 1",
            equation=("B is smooth in ε at both ends", "Q at ε = 1", "B at ε = 1"),
        ),
        join(
            "definition of W",
            "merged type",
            equation=("the merged type's end of existence", "claim:lemma-2-branches"),
        ),
    ],
    counterexample="A/λ at which B_fold tends to another number",
)
def fold_correlation_limits(
    at_zero=ridge * sp.exp(-1),
    at_one=A + ridge * sp.exp(-1) / 2,
    merged_argument=2 * (A - B) / ridge,
):
    on_locus = fold_Q.subs(paper_gram)
    retain_ratio = P * sp.exp(s * P - 2 * epsilon * Q)
    forget_ratio = Q * sp.exp(2 * epsilon * P - s * Q)
    yield Equal("Q at ε = 0", on_locus.subs(epsilon, 0), 1)
    yield Equal("B at ε = 0", ridge * forget_ratio.subs(Q, on_locus).subs(epsilon, 0), at_zero)
    yield Equal("Q at ε = 1", on_locus.subs(epsilon, 1), P + sp.Rational(1, 2))
    at_end = {Q: P + sp.Rational(1, 2), epsilon: 1}
    mass_at_end = ridge * retain_ratio.subs(at_end)
    yield Equal("B at ε = 1", ridge * forget_ratio.subs(at_end), at_one.subs(A, mass_at_end))
    yield Equal("the merged type's end of existence", merged_argument.subs(B, at_one), -sp.exp(-1))
