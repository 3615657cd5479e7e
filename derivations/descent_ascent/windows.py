"""Exact windows: the stationary curves with α as the unknown, for any margin loss and any types.

The Gram matrix of the types has k11, k12 > 0, k22 (in the paper s, 2ε, s) and determinant
Δ = k11 k22 - k12² > 0 (in the paper q); φ > 0 decreases. α enters the two stationary equations only
as αφ(y), so it can be eliminated. Then y and α are explicit functions of x. Monotonicity follows
from logarithmic derivatives, written so that each term has a visible sign.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent import example_pairs, window_numbers
from derivations.descent_ascent.pair.basics import counted
from derivations.descent_ascent.pair_numbers import (
    ANY_LOSS,
    DECREASING,
    TYPES,
    any_k12,
    count,
    is_exponential,
    loss,
    x_A,
    x_D,
    x_R,
    y_A,
    y_D,
    y_R,
)
from derivations.descent_ascent.window_numbers import edge, exists, rho, sigma, x_c
from derivations.ledger.domains import OneOf, between, positive, positive_within, real
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import (
    A,
    B,
    P,
    Q,
    a,
    alpha,
    forget,
    gram_determinant,
    in_pair,
    k11,
    k12,
    k22,
    phi,
    retain,
    ridge,
    x,
    y,
)  # fmt: skip
from derivations.ledger.theorems import Eq, Ge, Gt, Iff, Implies, Le, Lt, Ne, Theorem

steepness, steepness_y = sp.symbols("psi_x psi_y", positive=True)  # -φ'(x), -φ'(y) > 0
phi_x, phi_y, excess = sp.symbols("phi_x phi_y e", positive=True)
h_u, h_v = sp.symbols("h_u h_v", positive=True)  # ρP and σQ
side, bend_symbol = sp.symbols("varsigma h", real=True)
n_1, n_2, u_1, u_2, v_1, v_2 = sp.symbols("n_1 n_2 u_1 u_2 v_1 v_2", real=True)

# λx and λy at a stationary point: pretraining (masses a, αa) and descent-ascent (A, -B).
pretrain_x = a * (k11 * phi(x) + alpha * k12 * phi(y))
pretrain_y = a * (k12 * phi(x) + alpha * k22 * phi(y))
ascent_x, ascent_y = A * k11 * phi(x) - B * k12 * phi(y), A * k12 * phi(x) - B * k22 * phi(y)

y_pretrain = (k22 * x - a * gram_determinant * phi(x) / ridge) / k12
alpha_pretrain = (ridge * x - a * k11 * phi(x)) / (k12 * a * phi(y))
y_ascent = (k22 * x - A * gram_determinant * phi(x) / ridge) / k12
alpha_ascent = forget * (A * k11 * phi(x) - ridge * x) / (k12 * in_pair * phi(y))
alpha_of_forget_mass = {B: alpha * in_pair / forget}


COUNTS = {retain: positive, forget: positive, in_pair: positive, alpha: positive}
MASSES = {a: positive, A: positive, alpha: positive}
GRAM = Le(k12**2, k11 * k22)
ANY_GRAM = Le(any_k12**2, k11 * k22)
GIVEN_GRAM = f"given:{GRAM}"
GIVEN_DECREASING = f"given:loss {DECREASING}"
determinant_of_types = sp.Symbol("Delta", nonnegative=True)
of_determinant = {k11: (determinant_of_types + k12**2) / k22}


def on_curve(expression, **at):
    """``expression`` in counts and k12 of either sign, with measured symbols for x, y and φ."""
    measured = {phi(x): at["phi_x"], phi(y): at["phi_y"], x: at["x"], y: at["y"]}
    return expression.subs(counted).subs(measured).subs(k12, any_k12)


D = {
    "x": x_D,
    "y": y_D,
    "phi_x": window_numbers.phi_xD,
    "phi_y": window_numbers.phi_yD,
}
DA = {
    "x": x_A,
    "y": y_A,
    "phi_x": window_numbers.phi_xA,
    "phi_y": window_numbers.phi_yA,
}


def at_positive(expression):
    """``expression`` with positive symbols for φ and -φ' at x and y.

    That is all we know of a decreasing φ > 0.
    """
    for point, value, slope in ((x, phi_x, steepness), (y, phi_y, steepness_y)):
        expression = expression.subs(phi(point).diff(point), -slope).subs(phi(point), value)
    return expression


@claim(
    "explicit-curves",
    statement=(
        "Every stationary point lies on its curve. Pretraining: y_D(x) = (k₂₂x − aΔφ(x)/λ)/k₁₂ "
        "and α_D(x) = (λx − ak₁₁φ(x))/(k₁₂aφ(y_D)). Descent-ascent: y_DA(x) = (k₂₂x − "
        "AΔφ(x)/λ)/k₁₂ and α_DA(x) = (f/(k₁₂r_p)) (Ak₁₁φ(x) − λx)/φ(y_DA)."
    ),
    explanation=(
        "k22 times the x equation minus k12 times the y equation no longer contains αφ(y). The x "
        "equation then gives α."
    ),
    where="Sec. 5.1.2 (which says that no explicit solution is known for D and DA)",
    domain="any φ > 0, λ, α > 0; any types with k12 != 0; every stationary point",
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.pretrain_curve", "gda_theory.pair.descent_ascent_curve"],
    theorem=Theorem(
        domain={**TYPES, **COUNTS, any_k12: real, loss: ANY_LOSS},
        hypotheses=(Ne(any_k12, 0),),
        conclusions={
            "y_D": Eq(y_D, on_curve(y_pretrain, **D)),
            "α_D": Eq(alpha, on_curve(alpha_pretrain, **D)),
            "y_DA": Implies(Ge(count, 1), Eq(y_A, on_curve(y_ascent, **DA))),
            "α_DA": Implies(Ge(count, 1), Eq(alpha, on_curve(alpha_ascent, **DA))),
        },
        measure=window_numbers.both_points,
        digits=90,  # up to 36 digits cancel in Ak11 φ(x) - λx
        most_digits=90,
        points=10,
    ),
    joins=[
        join("identity", name, equation=(step, "given:k12 != 0"))
        for name, step in (
            ("y_D", "pretraining: y"),
            ("α_D", "pretraining: α"),
            ("y_DA", "descent-ascent: y"),
            ("α_DA", "descent-ascent: α"),
        )
    ],
    counterexample="a stationary point (x, y, α) off its curve",
)
def explicit_curves(y_D=y_pretrain, alpha_D=alpha_pretrain, y_DA=y_ascent, alpha_DA=alpha_ascent):
    combined_D = k22 * (ridge * x - pretrain_x) - k12 * (ridge * y - pretrain_y)
    yield Equal("pretraining: y", combined_D, ridge * k12 * (y_D - y))
    yield Equal("pretraining: α", ridge * x - pretrain_x, a * k12 * phi(y) * (alpha_D - alpha))
    combined_A = k22 * (ridge * x - ascent_x) - k12 * (ridge * y - ascent_y)
    yield Equal("descent-ascent: y", combined_A, ridge * k12 * (y_DA - y))
    with_alpha = (ridge * x - ascent_x).subs(alpha_of_forget_mass)
    yield Equal(
        "descent-ascent: α", with_alpha, k12 * in_pair * phi(y) / forget * (alpha - alpha_DA)
    )


def _bijections(*, alpha=0.1, **parameters):
    """x_D at α and at 1.01 α."""
    with mpmath.workdps(example_pairs.DIGITS):
        smaller, larger = (
            example_pairs.masses(**parameters, alpha=share) for share in (alpha, 1.01 * alpha)
        )
        return float(example_pairs.pretrained_margins(smaller)[0]), float(
            example_pairs.pretrained_margins(larger)[0]
        )


@claim(
    "bijections",
    statement=(
        "x_D and y_D increase strictly with α. x_D takes every value above x₀, its value at α = 0, "
        "where λx₀ = ak₁₁φ(x₀)."
    ),
    explanation=(
        "Along the curve dy_D/dx > 0 and d ln α_D/dx > 0. Both derivatives are sums of positive "
        "terms. The reasons are -φ' > 0 and λx - a k11 φ(x) > 0. Moreover the determinant of a "
        "Gram matrix is not negative. α_D is 0 at x₀, where λx = a k11 φ(x). It is at least (λx - "
        "a k11 φ(x))/(k12 aφ(y_D(x₀))), which tends to infinity with x."
    ),
    where="Sec. 5.1.2; used for every exact window",
    domain="φ > 0 decreasing; λ, a, α > 0; any types with k12 > 0",
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.ordering_windows", "gda_theory.pair.pretrain_curve"],
    relation="<=",
    evaluate=_bijections,
    theorem=Theorem(
        domain={
            **TYPES,
            k12: positive,
            a: positive,
            alpha: positive,
            sp.Symbol("growth"): positive,
            window_numbers.height: positive_within(2),  # beyond, α overflows
            loss: DECREASING,
        },
        hypotheses=(GRAM,),
        conclusions={
            "x_D increases": Lt(x_D, window_numbers.x_more),
            "y_D increases": Lt(y_D, window_numbers.y_more),
            "x_D takes every value": Eq(
                window_numbers.x_at, window_numbers.x_start + window_numbers.height
            ),
        },
        measure=window_numbers.two_shares,
        points=12,
    ),
    joins=[
        join(
            "monotone bijection",
            "x_D increases",
            continuous="known:α_D(x) is continuous",
            slope=(
                "claim:explicit-curves",
                "d ln α_D/dx",
                "d ln α_D/dx is positive",
                GIVEN_DECREASING,
                GIVEN_GRAM,
            ),
        ),
        join(
            "monotone bijection",
            "y_D increases",
            continuous="x_D increases",
            slope=("dy_D/dx", "dy_D/dx is positive", GIVEN_GRAM),
        ),
        join(
            "intermediate value",
            "x_D takes every value",
            continuous="known:α_D(x) is continuous",
            ends=(
                "α_D = 0 where the excess is",
                "the excess grows like λx",
                "y_D increases",
                "claim:pretrain-unique",
                GIVEN_DECREASING,
            ),
        ),
    ],
    counterexample="α < α' with x_D(α) >= x_D(α') or y_D(α) >= y_D(α')",
)
def bijections(
    y_slope=(k22 + a * gram_determinant * steepness / ridge) / k12,
    log_slope=(ridge + a * k11 * steepness) / excess
    + steepness_y / phi_y * (k22 + a * gram_determinant * steepness / ridge) / k12,
):
    yield Equal("dy_D/dx", at_positive(sp.diff(y_pretrain, x)), y_slope)
    along = sp.Function("y")(x)
    log_alpha = sp.log(ridge * x - a * k11 * phi(x)) - sp.log(k12 * a) - sp.log(phi(along))
    derivative = (
        sp.diff(log_alpha, x)
        .doit()
        .subs(sp.diff(along, x), sp.diff(y_pretrain, x))
        .subs(along, y)
        .doit()
    )
    at_excess = at_positive(derivative).subs(ridge * x, excess + a * k11 * phi_x)
    yield Equal("d ln α_D/dx", at_excess, log_slope)
    yield Positive("dy_D/dx is positive", y_slope.subs(of_determinant))
    yield Positive("d ln α_D/dx is positive", log_slope.subs(of_determinant))
    yield Equal("α_D = 0 where the excess is", alpha_pretrain.subs(ridge, a * k11 * phi(x) / x), 0)
    # φ(x) <= φ(x₀) = φ_x above x₀.
    excess_below = ridge * x - a * k11 * phi_x
    yield Equal("the excess grows like λx", sp.limit(excess_below / x, x, sp.oo), ridge)


def _exact_windows(**parameters):
    """(x_D, x_R) at the edge α_D(x_R), x_D from the numerical minimiser."""
    with mpmath.workdps(example_pairs.DIGITS):
        system = example_pairs.masses(**parameters)
        x_R, _ = example_pairs.oracle_margins(system)
        edge = curve_share(system, x_R)
        return float(example_pairs.pretrained_margins(system._replace(alpha=edge))[0]), float(x_R)


def curve_share(system, x_value):
    """α_D(x) of the exponential pair, in mpmath."""
    decayed = system.pretrain * mpmath.exp(-x_value)
    determinant = system.own**2 - system.cross**2
    y_value = (system.own * x_value - determinant * decayed / system.ridge) / system.cross
    return (
        (system.ridge * x_value - system.own * decayed)
        * mpmath.exp(y_value)
        / (system.cross * system.pretrain)
    )


EDGE_OF_X = (A - a) * ridge * x_R / (A * k12 * a * window_numbers.phi_edge)
EDGE_OF_Y = (ridge * window_numbers.x_b - a * k11 * window_numbers.phi_xb) / (
    k12 * a * window_numbers.phi_yR
)
SHIFT = k12 * y_R / k22


@claim(
    "exact-windows",
    statement=(
        "x_D ≤ x_R exactly when α ≤ α_D(x_R) = (A−a)λx_R/(A k₁₂ a φ(y_D(x_R))). y_D ≤ y_R exactly "
        "when α ≤ α_D(x_b) = (λx_b − ak₁₁φ(x_b))/(k₁₂aφ(y_R)). Here x_b solves x = k + cφ(x), with "
        "k = k₁₂y_R/k₂₂, c = aΔ/(λk₂₂) and Δ = k₁₁k₂₂ − k₁₂². For the exponential loss x_b = k + "
        "W(c e^{−k})."
    ),
    explanation=(
        "α_D increases (bijections), so both edges are α_D at the x where the margins agree. Write "
        "both in duals, with P_R the oracle's. x_D = x_R holds at P = (a/A) P_R and k12 Q = k11 "
        "(P_R - P). y_D = y_R holds at k22 Q = k12 (P_R - P), which leaves P = (a/λ)φ((Δ P + k12² "
        "P_R)/k22)."
    ),
    where="replaces Lemma 10's sufficient windows",
    domain="φ > 0 decreasing; λ, α > 0 and A > a > 0; any types with k12 > 0",
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.ordering_windows", "gda_theory.pair.regime"],
    evaluate=_exact_windows,
    theorem=Theorem(
        domain={**TYPES, **MASSES, k12: positive, loss: DECREASING},
        hypotheses=(Lt(a, A), GRAM),
        conclusions={
            "x": Iff(Le(x_D / x_R, 1), Le(alpha, EDGE_OF_X)),
            "y": Iff(Le(y_D / y_R, 1), Le(alpha, EDGE_OF_Y)),
            "x_D = x_R": Eq(window_numbers.edge_x, EDGE_OF_X),
            "y_D = y_R": Eq(window_numbers.edge_y, EDGE_OF_Y),
            "x_b": Implies(
                Eq(is_exponential, 1),
                Eq(
                    window_numbers.x_b,
                    SHIFT + sp.LambertW(a * gram_determinant / (ridge * k22) * sp.exp(-SHIFT)),
                ),
            ),
        },
        measure=window_numbers.exact_edges,
        digits=60,
        most_digits=60,
        points=8,
    ),
    joins=[
        join("identity", "x_D = x_R", equation=("x_D = x_R in dual masses", "α_D(x_R)")),
        join(
            "identity",
            "y_D = y_R",
            equation=("y_D = y_R in dual masses", "x_b there", "claim:explicit-curves"),
        ),
        *(
            join(
                "monotone bijection",
                margin,
                continuous="claim:bijections",
                slope=(
                    f"{margin}_D = {margin}_R",
                    "claim:bijections",
                    GIVEN_DECREASING,
                    GIVEN_GRAM,
                    "given:a < retain_mass",
                ),
            )
            for margin in "xy"
        ),
        join("definition of W", "x_b", equation="y_D(x_b) = y_R, exponential"),
    ],
    counterexample="α <= α_D(x_R) with x_D > x_R, or α <= α_D(x_b) with y_D > y_R",
)
def exact_windows(
    forget_dual=k11 / k12 * (1 - a / A) * P,
    x_edge=(A - a) * ridge * x / (A * k12 * a * phi(y)),
    phi_argument=gram_determinant / k22 * Q + k12**2 / k22 * P,
    c=a * gram_determinant / (ridge * k22),
    k=k12 * y_R / k22,
):
    # Pretraining has x_D = k11 p + k12 Q and y_D = k12 p + k22 Q, with p its retain dual.
    # The oracle has x_R = k11 P and y_R = k12 P.
    p = a / A * P
    yield Equal("x_D = x_R in dual masses", k11 * p + k12 * forget_dual, k11 * P)
    at_oracle = alpha_pretrain.subs(phi(x), ridge * x / (A * k11))  # the oracle has λx = A k11 φ(x)
    yield Equal("α_D(x_R)", at_oracle, x_edge)
    forgotten = k12 * (P - Q) / k22  # with Q here the unknown retain mass p of pretraining
    yield Equal("y_D = y_R in dual masses", k12 * Q + k22 * forgotten, k12 * P)
    yield Equal("x_b there", k11 * Q + k12 * forgotten, phi_argument)
    # x_b = k + t with t = W(c e^{-k}), that is t e^t = c e^{-k}: hence e^{-x_b} = t/c.
    t = sp.Symbol("t_b", positive=True)
    exponential = y_pretrain.subs(phi(x), sp.exp(-x))
    yield Equal(
        "y_D(x_b) = y_R, exponential", exponential.subs(sp.exp(-x), t / c).subs(x, k + t), y_R
    )


def _lower_edges(**parameters):
    """The α at which x_D = x_DA and at which y_D = y_DA, and Lemma 9's thresholds.

    The first two come from the stationary equations. They are NaN beyond the fold.
    """
    example = {
        "correlation": 0.2,
        "ridge": 1,
        "retain_size": 95,
        "forget_size": 5,
        "retain_in_pair": 9.5,
    }
    with mpmath.workdps(example_pairs.DIGITS):
        system = example_pairs.masses(**example | parameters)
        whole = system.retain / system.pretrain  # n/r
        gone = system.forget / (system.alpha * system.pretrain)  # n/f
        # f²/(r(n+f)) and f n/(r(n+f)) by these ratios
        share = whole / (gone * (gone + 1))
        thresholds = system.own / system.cross * share, system.cross / system.own * share * gone
        edges = [
            _common_margin(system, whole, gone, which, threshold)
            for which, threshold in enumerate(thresholds)
        ]
        return np.array(edges, float), np.array(thresholds, float)


def _common_margin(system, whole, gone, which, threshold):
    """The α at which two stationary points share x (``which`` = 0) or y (1).

    Newton's method in α and the three margins, from those at Lemma 9's threshold.
    """

    def equations(alpha, shared, pretrained, ascended):
        points = [(shared, own) if which == 0 else (own, shared) for own in (pretrained, ascended)]
        masses = (
            (system.pretrain, alpha * system.pretrain),
            (system.retain, -alpha * system.pretrain * gone),
        )
        return [
            system.ridge * margin
            - near * on_retain * mpmath.exp(-x)
            - far * on_forget * mpmath.exp(-y)
            for (x, y), (on_retain, on_forget) in zip(points, masses, strict=True)
            for margin, near, far in ((x, system.own, system.cross), (y, system.cross, system.own))
        ]

    at = system._replace(alpha=threshold, forget=threshold * system.pretrain * gone)
    try:
        ends = example_pairs.pretrained_margins(at), example_pairs.descent_ascent_margins(at)
        start = (
            threshold,
            (ends[0][which] + ends[1][which]) / 2,
            ends[0][1 - which],
            ends[1][1 - which],
        )
        return mpmath.findroot(equations, start, tol=mpmath.mpf(10) ** -30, maxsteps=60)[0]
    except ValueError:  # no descent-ascent there
        return mpmath.nan


@claim(
    "exact-lower-edge",
    statement=(
        "Let α lie below the fold, and x_DA on the branch from the oracle. x_D ≥ x_DA exactly when "
        "α ≥ α_D(x_c), where x_c is the root of α_D(x) = α_DA(x) in (x₀, x_R) on that branch. If "
        "there is no such root, x_D < x_DA."
    ),
    explanation=(
        "At x₀ = x_D(α=0), where λx = a k11 φ(x), α_D is 0 and α_DA is positive. At x_R, where λx "
        "= A k11 φ(x), α_DA is 0 and α_D is positive. So there is a root. For x > x_fold, α_D "
        "increases (bijections) and α_DA decreases (fold-hessian), so at most one root lies there. "
        "With α, y_D increases and y_DA decreases, as y rises with x on both curves: so there is "
        "one crossing for y too. The numbers compare the exact edges with Lemma 9's thresholds."
    ),
    where="replaces Lemma 9's sufficient window",
    domain=(
        "φ > 0 decreasing; any types with k12 > 0; where descent-ascent has its stable branch "
        "x_fold < x <= x_R"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.ordering_windows",
    relation="<=",
    evaluate=_lower_edges,
    theorem=Theorem(
        domain={**TYPES, **COUNTS, k12: positive, loss: DECREASING},
        hypotheses=(GRAM,),
        conclusions={
            "x_D ≥ x_DA": Iff(Ge(x_D / x_R, x_A / x_R), Ge(alpha, edge)),
            "x_D = x_c": Implies(Eq(exists, 1), Eq(window_numbers.x_Dc, x_c)),
            "x_DA = x_c": Implies(Eq(exists, 1), Eq(window_numbers.x_Ac, x_c)),
            "between": Implies(
                Eq(exists, 1), (Gt(x_c / window_numbers.x_start, 1), Lt(x_c / x_R, 1))
            ),
        },
        measure=window_numbers.lower_edge,
        digits=60,
        most_digits=60,
        points=8,
    ),
    joins=[
        join(
            "intermediate value",
            ("x_D = x_c", "x_DA = x_c", "between"),
            continuous="claim:explicit-curves",
            ends=("α_D at x₀", "α_DA at x₀", "α_DA at x_R", "α_D at x_R", "start", "end"),
        ),
        join(
            "monotone bijection",
            "x_D ≥ x_DA",
            continuous="claim:explicit-curves",
            slope=(
                "x_D = x_c",
                "x_DA = x_c",
                "claim:bijections",
                "claim:fold-hessian",
                GIVEN_DECREASING,
                GIVEN_GRAM,
            ),
        ),
    ],
    counterexample="α < α_D(x_c), below the fold, with x_D >= x_DA, or α above it with x_D < x_DA",
)
def exact_lower_edge(
    start=ridge * x * (A / a - 1) * forget / (k12 * in_pair * phi(y)),
    end=ridge * x * (1 - a / A) / (k12 * a * phi(y)),
):
    at_start, at_end = {phi(x): ridge * x / (a * k11)}, {phi(x): ridge * x / (A * k11)}
    yield Equal("α_D at x₀", alpha_pretrain.subs(at_start), 0)
    yield Equal("α_DA at x₀", alpha_ascent.subs(at_start), start)
    yield Equal("α_DA at x_R", alpha_ascent.subs(at_end), 0)
    yield Equal("α_D at x_R", alpha_pretrain.subs(at_end), end)
    margin = sp.Symbol("x_+", positive=True)
    for name, expression in (("start", start), ("end", end)):
        yield Positive(name, expression.subs(phi(y), phi_y).subs(x, margin).subs(counted))


any_determinant = k11 * k22 - any_k12**2
BEND = sigma * Q * (k22 + any_determinant * rho * P) / (1 + k11 * rho * P)


@claim(
    "dual-curve",
    statement=(
        "Along the curve over q = ln Q, the level L = ln(B/λ) = q − ln φ(y) has slope 1 + ςh, with "
        "h = σQ(k₂₂ + ΔρP)/(1 + k₁₁ρP). Moreover det H = λ²(1 + k₁₁ρP)(1 + ςh)."
    ),
    explanation=(
        "ln P - ln φ(x) = ln(A/λ) is fixed while Q varies, with x = k11 P + ς k12 Q and y = k12 P "
        "+ ς k22 Q. Here h_u = ρP and h_v = σQ."
    ),
    where="Sec. 5.1.2, any loss; the form that the solver uses",
    domain=(
        "any φ > 0 with decays ρ = -φ'/φ at x and σ at y, 1 + k11 ρP != 0; any types; ς = 1 for "
        "pretraining, ς = -1 for descent-ascent"
    ),
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.curve.point_at", "gda_theory.pair.curve.log_bend"],
    theorem=Theorem(
        # Difference quotients need margins of moderate size.
        domain={
            **{symbol: positive_within(2) for symbol in (k11, k22, ridge, P, Q)},
            any_k12: between(None, None, decades=2),
            side: OneOf((1, -1)),
            loss: ANY_LOSS,
        },
        hypotheses=(ANY_GRAM,),
        conclusions={
            "slope": Eq(window_numbers.level_slope, 1 + side * BEND),
            "det H": Eq(window_numbers.hessian, ridge**2 * (1 + k11 * rho * P) * (1 + side * BEND)),
        },
        measure=window_numbers.along_curve,
        digits=60,
        most_digits=60,
        points=12,
    ),
    joins=[
        join("implicit function", "slope", jacobian="dL/dq", smooth="known:φ is smooth"),
        join("identity", "det H", equation=("det H/λ²", f"given:{ANY_GRAM}")),
    ],
    counterexample="masses on the curve at which dL/d ln Q differs from 1 + ςh",
)
def dual_curve(
    bend=h_v * (k22 + gram_determinant * h_u) / (1 + k11 * h_u),
    determinant=(1 + k11 * h_u) * (1 + side * bend_symbol),
):
    dP = sp.Symbol("P'", real=True)
    # d/dq of ln P - ln φ(x): P'/P + ρ (k11 P' + ς k12 Q) = 0, as dQ/dq = Q.
    change = sp.solve(dP / P + rho * (k11 * dP + side * k12 * Q), dP)[0]
    slope = 1 + sigma * (k12 * change + side * k22 * Q)
    decays = {rho: h_u / P, sigma: h_v / Q}
    yield Equal("dL/dq", slope.subs(decays), (1 + side * bend).subs(side**2, 1))
    u, v = sp.Matrix(sp.symbols("u_1:3", real=True)), sp.Matrix(sp.symbols("v_1:3", real=True))
    gram = {k11: u.dot(u), k12: u.dot(v), k22: v.dot(v)}
    hessian = sp.eye(2) + h_u * u * u.T + side * h_v * v * v.T
    yield Equal("det H/λ²", hessian.det(), determinant.subs(bend_symbol, bend).subs(gram))


@claim(
    "pretrain-unique",
    statement=(
        "Pretraining has exactly one stationary point, and so has the oracle. The eigenvalues of H "
        "are at least λ, and the slope 1 + h of the dual curve is at least 1."
    ),
    explanation=(
        "H = λ(1 + h_u uu′ + h_v vv′), so its quadratic form is λ|n|² plus nonnegative squares. So "
        "J is strictly convex. It is coercive, since a line bounds the loss from below."
    ),
    where="Sec. 5.1.2",
    domain="any convex loss; λ, a, α, A > 0; any types",
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.pretrain", "gda_theory.pair.curve.pretrain_point"],
    theorem=Theorem(
        # The points are counted in double precision, over 160 units of ln Q.
        domain={
            **{symbol: positive_within(4) for symbol in (k11, k22, ridge, alpha, a, A)},
            any_k12: between(None, None, decades=4),
            loss: DECREASING,
        },
        hypotheses=(ANY_GRAM,),
        conclusions={
            "pretraining": Eq(window_numbers.count_D, 1),
            "oracle": Eq(window_numbers.count_R, 1),
            "eigenvalues": Ge(window_numbers.least, ridge),
            "slope": Ge(window_numbers.level_slope, 1),
        },
        measure=window_numbers.counted_points,
        points=12,
    ),
    joins=[
        join(
            "sign",
            "eigenvalues",
            sign=("n'Hn", "square of u", "square of v", GIVEN_DECREASING),
        ),
        join(
            "convexity",
            ("pretraining", "oracle"),
            convex="eigenvalues",
            coercive="known:a convex loss lies above one of its tangents",
        ),
        join("sign", "slope", sign=("claim:dual-curve", "h of dual-curve", f"given:{ANY_GRAM}")),
    ],
    counterexample="two stationary points of pretraining",
)
def pretrain_unique(
    form=ridge * (n_1**2 + n_2**2)
    + ridge * h_u * (n_1 * u_1 + n_2 * u_2) ** 2
    + ridge * h_v * (n_1 * v_1 + n_2 * v_2) ** 2,
):
    u = sp.Matrix([u_1, u_2])
    v = sp.Matrix([v_1, v_2])
    n = sp.Matrix([n_1, n_2])
    hessian = ridge * (sp.eye(2) + h_u * u * u.T + h_v * v * v.T)
    yield Equal("n'Hn", (n.T * hessian * n)[0], form)
    yield Positive("square of u", h_u * (n_1 * u_1 + n_2 * u_2) ** 2, strict=False)
    yield Positive("square of v", h_v * (n_1 * v_1 + n_2 * v_2) ** 2, strict=False)
    yield Positive("h of dual-curve", h_v * (k22 + determinant_of_types * h_u) / (1 + k11 * h_u))
