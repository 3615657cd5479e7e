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

from derivations.descent_ascent.pair import counted
from derivations.ledger import numeric
from derivations.ledger.ledger import claim
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import (
    A,
    B,
    P,
    Q,
    a,
    alpha,
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

y_D, y_R = sp.symbols("y_D y_R", real=True)
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
        "Pretraining: y_D(x) = (k₂₂x − aΔφ(x)/λ)/k₁₂ and α_D(x) = (λx − ak₁₁φ(x))/(k₁₂aφ(y_D)). "
        "Descent-ascent: y_DA(x) = (k₂₂x − AΔφ(x)/λ)/k₁₂ and α_DA(x) = (f/(k₁₂r_p)) (Ak₁₁φ(x) − "
        "λx)/φ(y_DA)."
    ),
    explanation=(
        "k22 times the x equation minus k12 times the y equation no longer contains αφ(y). The x "
        "equation then gives α. For the paper's Gram matrix, for example, y_D(x) = (s x - a q "
        "φ(x)/λ)/(2ε)."
    ),
    where="Sec. 5.1.2 (which says that no explicit solution is known for D and DA)",
    domain=(
        "any φ > 0, k12 > 0, λ > 0; pretraining λx >= a k11 φ(x), descent-ascent λx <= A k11 φ(x)"
    ),
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.pretrain_curve", "gda_theory.pair.descent_ascent_curve"],
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
    papers = (s * x - a * q * phi(x) / ridge) / (2 * epsilon)
    yield Equal("the paper's Gram matrix", y_D.subs(paper_gram), papers)


def _bijections(*, alpha=0.1, **parameters):
    """x_D at α and at 1.01 α."""
    with mpmath.workdps(numeric.DIGITS):
        smaller, larger = (
            numeric.masses(**parameters, alpha=share) for share in (alpha, 1.01 * alpha)
        )
        return float(numeric.pretrain(smaller)[0]), float(numeric.pretrain(larger)[0])


@claim(
    "bijections",
    statement=(
        "α ↦ x_D and α ↦ y_D are strictly increasing bijections: dy_D/dx > 0 and d ln α_D/dx > 0 "
        "along the curve."
    ),
    explanation=(
        "α_D runs from 0, where λx = a k11 φ(x), to infinity. Both derivatives are sums of "
        "positive terms, since -φ' > 0, λx - a k11 φ(x) > 0, and the determinant of a Gram matrix "
        "is positive."
    ),
    where="Sec. 5.1.2; used for every exact window",
    domain="φ > 0 decreasing, k12 > 0, D > 0; x from the root of λx = a k11 φ(x) (α = 0) upward",
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.ordering_windows", "gda_theory.pair.pretrain_curve"],
    rules=["monotone bijection"],
    relation="<=",
    evaluate=_bijections,
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
    determinant = sp.Symbol("Delta", positive=True)
    yield Positive("dy_D/dx", y_slope.subs(k11, (determinant + k12**2) / k22))
    yield Positive("d ln α_D/dx", log_slope.subs(k11, (determinant + k12**2) / k22))
    yield Equal("α_D = 0 where the excess is", alpha_pretrain.subs(ridge, a * k11 * phi(x) / x), 0)


def _exact_windows(**parameters):
    """(x_D, x_R) at the edge α_D(x_R), x_D from the numerical minimiser."""
    with mpmath.workdps(numeric.DIGITS):
        system = numeric.masses(**parameters)
        x_R, _ = numeric.oracle(system)
        edge = curve_share(system, x_R)
        return float(numeric.pretrain(system._replace(alpha=edge))[0]), float(x_R)


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


@claim(
    "exact-windows",
    statement=(
        "x_D ≤ x_R exactly when α ≤ α_D(x_R) = (A−a)λx_R/(A k₁₂ a φ(y_D(x_R))). y_D ≤ y_R exactly "
        "when α ≤ α_D(x_b). For the exponential loss and the paper's types x_b = k + W(c e^{−k}), "
        "with c = aq/(λs) and k = 2εy_R/s."
    ),
    explanation=(
        "α_D increases (bijections), so both edges are α_D at the x where the margins agree. Write "
        "both in duals, with P_R the oracle's. x_D = x_R holds at P = (a/A) P_R and k12 Q = k11 "
        "(P_R - P). y_D = y_R holds at k22 Q = k12 (P_R - P), which leaves P = (a/λ)φ((Δ P + k12² "
        "P_R)/k22)."
    ),
    where="replaces Lemma 10's sufficient windows",
    domain="0 < ε < 1, λ > 0, any α > 0; the x form for any φ > 0 decreasing",
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.ordering_windows", "gda_theory.pair.regime"],
    rules=["monotone bijection", "definition of W"],
    evaluate=_exact_windows,
    counterexample="α <= α_D(x_R) with x_D > x_R, or α <= α_D(x_b) with y_D > y_R",
)
def exact_windows(
    forget_dual=k11 / k12 * (1 - a / A) * P,
    x_edge=(A - a) * ridge * x / (A * k12 * a * phi(y)),
    phi_argument=gram_determinant / k22 * Q + k12**2 / k22 * P,
    c=a * q / (ridge * s),
    k=2 * epsilon * y_R / s,
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
    exponential = (s * x - a * q * sp.exp(-x) / ridge) / (2 * epsilon)
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
    with mpmath.workdps(numeric.DIGITS):
        system = numeric.masses(**example | parameters)
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
        ends = numeric.pretrain(at), numeric.descent_ascent(at)
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
        "x_D ≥ x_DA exactly when α ≥ α_D(x_c), where x_c > x_fold is the root of α_D(x) = α_DA(x) "
        "in (x₀, x_R). If there is no such root, x_D < x_DA up to the fold."
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
        "φ > 0 decreasing, k12 > 0; where descent-ascent has its stable branch x_fold < x <= x_R"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.ordering_windows",
    rules=["monotone bijection", "intermediate value"],
    relation="<=",
    evaluate=_lower_edges,
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


@claim(
    "dual-curve",
    statement=(
        "Along the curve over q = ln Q, the level L = ln(B/λ) = q − ln φ(y) has slope 1 + ςh, with "
        "h = σQ(k₂₂ + Δρ P)/(1 + k₁₁ρP). Moreover det H = λ²(1 + k₁₁ρP)(1 + ςh)."
    ),
    explanation=(
        "ln P - ln φ(x) = ln(A/λ) is fixed while Q varies, with x = k11 P + ς k12 Q and y = k12 P "
        "+ ς k22 Q. Here h_u = ρP and h_v = σQ."
    ),
    where="Sec. 5.1.2, any loss; the form that the solver uses",
    domain=(
        "any φ > 0 with decays ρ = -φ'/φ at x and σ at y; ς = 1 pretraining, ς = -1 descent-ascent"
    ),
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.curve.point_at", "gda_theory.pair.curve.log_bend"],
    rules=["implicit function"],
    counterexample="masses on the curve at which dL/d ln Q differs from 1 + ςh",
)
def dual_curve(
    bend=h_v * (k22 + gram_determinant * h_u) / (1 + k11 * h_u),
    determinant=(1 + k11 * h_u) * (1 + side * bend_symbol),
):
    dP, rho, sigma = sp.symbols("P' rho sigma")
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
        "Pretraining has exactly one stationary point, and so has the oracle: H = λ(1 + h_u uu′ + "
        "h_v vv′) is positive definite, and the slope 1 + h of its curve is at least 1."
    ),
    explanation=(
        "The quadratic form of H is λ|n|² plus nonnegative squares. So J is strictly convex. It is "
        "coercive, since a line bounds the loss from below."
    ),
    where="Sec. 5.1.2",
    domain="any convex loss, λ > 0, nonnegative masses",
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.pretrain", "gda_theory.pair.curve.pretrain_point"],
    rules=["convexity", "monotone bijection"],
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
    yield Positive("each added square", h_u * (n_1 * u_1 + n_2 * u_2) ** 2, strict=False)
    determinant = sp.Symbol("Delta", positive=True)
    yield Positive("h of dual-curve", (h_v * (k22 + determinant * h_u) / (1 + k11 * h_u)))
