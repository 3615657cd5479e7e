"""First-order approximations and their errors (App. B): influence, Newton's step, opposite sides.

λ is the least curvature that the ridge guarantees. M is a Lipschitz constant of the retain
objective's Hessian, and S one of ∇L_F, so the Hessian of L_F is at most S. At the oracle w_R,
V = |∇L_F + λw| and G = |∇L_F|; ρ = f/r. Every bound follows from the triangle inequality.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent.coordinate import (
    closed_form_weights,
    descent_ascent_mass,
    pretrain_mass,
    retrain_mass,
)
from derivations.ledger.ledger import claim
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import alpha, forget, on_coordinate, retain, ridge, total, w

rho, gamma = sp.symbols("rho gamma", positive=True)
bend, smooth, full_gradient, forget_slope, moved = sp.symbols("M S V G d", positive=True)
size, steepest, squares = sp.symbols("|w| phi_1 Z_2", positive=True)


def one_sample_each(*, share=0.05, strength=0.02, ridge=0.3, retained=1.0, forgotten=-0.6):
    """(w_D, w_R, w(γ)) and the constants of the bounds, in 30 digits.

    Logistic loss, one retained and one forgotten sample in one dimension.
    """
    with mpmath.workdps(30):
        share, strength, ridge, retained, forgotten = (
            mpmath.mpf(v) for v in (share, strength, ridge, retained, forgotten)
        )

        def slope(margin):
            return 1 / (1 + mpmath.exp(margin))

        def solve(on_retained, on_forgotten, ridge):
            def gradient(v):
                from_loss = (
                    on_retained * slope(retained * v) * retained
                    + on_forgotten * slope(forgotten * v) * forgotten
                )
                return ridge * v - from_loss

            return mpmath.findroot(gradient, 0)

        oracle = solve(1, 0, ridge)
        found = solve(1, share, ridge * (1 + share)), oracle, solve(1, -strength, ridge)
        forget_gradient = -slope(forgotten * oracle) * forgotten
        decay = slope(retained * oracle) * (1 - slope(retained * oracle))
        hessian = ridge + decay * retained**2
        # Logistic: |φ'| <= 1/4, |φ''| <= 1/(6√3).
        constants = {
            "M": abs(retained) ** 3 / (6 * mpmath.sqrt(3)),
            "S": forgotten**2 / 4,
            "V": abs(forget_gradient + ridge * oracle),
        }
        return (
            found,
            forget_gradient,
            hessian,
            constants
            | {"G": abs(forget_gradient), "rho": share, "gamma": strength, "ridge": ridge},
        )


def _first_order_errors(**parameters):
    """The errors of the first-order forms of pretraining and ascent, and their bounds.

    Those of ascent are NaN for γS >= λ.
    """
    (pretrained, oracle, ascended), gradient, hessian, k = one_sample_each(**parameters)
    errors = (
        abs(pretrained - oracle + k["rho"] * (gradient + k["ridge"] * oracle) / hessian),
        abs(ascended - oracle - k["gamma"] * gradient / hessian),
    )
    convexity = k["ridge"] - k["gamma"] * k["S"] if k["gamma"] * k["S"] < k["ridge"] else mpmath.nan
    bounds = (
        k["rho"] ** 2
        * k["V"]
        / k["ridge"] ** 2
        * (k["M"] * k["V"] / (2 * k["ridge"]) + k["S"] + k["ridge"]),
        k["gamma"] ** 2
        * k["G"]
        / (k["ridge"] * convexity)
        * (k["M"] * k["G"] / (2 * convexity) + k["S"]),
    )
    return np.array(errors, float), np.array(bounds, float)


@claim(
    "opposite-sides-error",
    statement=(
        "‖w_D − w_R + ρH_R⁻¹(∇L_F + λw_R)‖ ≤ ρ²(V/λ²)(MV/(2λ) + S + λ), and ‖w(γ) − w_R − "
        "γH_R⁻¹∇L_F‖ ≤ γ²(G/(λμ))(MG/(2μ) + S) with μ = λ − γS. Where both errors are below the "
        "first-order terms, pretraining and ascent move away from the oracle to opposite sides, up "
        "to λw_R."
    ),
    explanation=(
        "(n/r)J_D is λ-strongly convex and has gradient ρ(∇L_F + λw) at w_R, so |d| <= ρV/λ. "
        "Moreover H_R d + R = -ρ(∇L_F + λw)(w_D), where |R| <= M|d|²/2 and the right side is "
        "within ρ(S + λ)|d| of its value at w_R. H_R⁻¹ is at most 1/λ. For ascent, J_γ is "
        "μ-strongly convex with gradient -γ∇L_F at w_R, and the right side is within γS|d|."
    ),
    where="Sec. 5.1, any data: opposite-sides with explicit errors",
    domain="convex losses with the constants above; mean losses; the ascent half for γS < λ",
    origin="new",
    evidence="proved",
    backs="gda_theory.solve.path.ascent_path",
    rules=["triangle inequality", "Taylor", "convexity"],
    relation="<=",
    evaluate=_first_order_errors,
    counterexample=(
        "data whose displacement differs from its first-order form by more than the bound"
    ),
)
def opposite_sides_error(
    pretrain_moved=rho * full_gradient / ridge,
    pretrain_error=rho**2
    * full_gradient
    / ridge**2
    * (bend * full_gradient / (2 * ridge) + smooth + ridge),
    ascent_moved=gamma * forget_slope / (ridge - gamma * smooth),
    ascent_error=gamma**2
    * forget_slope
    / (ridge * (ridge - gamma * smooth))
    * (bend * forget_slope / (2 * (ridge - gamma * smooth)) + smooth),
):
    yield Equal(
        "strong convexity bounds d: λ|d| <= ρV", ridge * pretrain_moved, rho * full_gradient
    )
    remainder = (bend * moved**2 / 2 + rho * (smooth + ridge) * moved) / ridge
    yield Equal("error of pretraining", remainder.subs(moved, pretrain_moved), pretrain_error)
    yield Equal("μ|d| <= γG", (ridge - gamma * smooth) * ascent_moved, gamma * forget_slope)
    remainder = (bend * moved**2 / 2 + gamma * smooth * moved) / ridge
    yield Equal("error of ascent", remainder.subs(moved, ascent_moved), ascent_error)
    # The Hessian of scaled pretraining is H_R plus positive terms.
    # That of ascent is at least λ - γS.
    hessian_f, hessian_r = sp.symbols("H_F H_R", positive=True)
    yield Positive("H of (n/r)J_D minus λ", hessian_r + rho * hessian_f + ridge * (1 + rho) - ridge)


def _newton_error(**parameters):
    (pretrained, oracle, _), _, _, k = one_sample_each(**parameters)
    with mpmath.workdps(30):
        retained = mpmath.mpf(parameters.get("retained", 1.0))
        slope = 1 / (1 + mpmath.exp(retained * pretrained))
        step = (k["ridge"] * pretrained - slope * retained) / (
            k["ridge"] + slope * (1 - slope) * retained**2
        )
        return float(abs(pretrained - step - oracle)), float(
            k["M"] * k["rho"] ** 2 * k["V"] ** 2 / (2 * k["ridge"] ** 3)
        )


@claim(
    "influence-error",
    statement=(
        "The influence (Newton) step from w_D on J_R is +(f/r)H_R⁻¹(∇L_F + λw_D). It ends within "
        "M‖w_D − w_R‖²/(2λ) ≤ Mρ²V²/(2λ³) of w_R."
    ),
    explanation=(
        "w_N - w_R = H⁻¹(H(w_D - w_R) - ∇J_R(w_D)). Here ∇J_R(w_D) = ∇J_R(w_D) - ∇J_R(w_R) is the "
        "integral of the Hessian along the segment, so the bracket is at most M|d|²/2. Moreover "
        "|d| <= ρV/λ (opposite-sides-error)."
    ),
    where="App. B; certified removal",
    domain="convex losses with the constants above; mean losses",
    origin="reconstructed",
    evidence="proved",
    backs="gda_theory.solve.minimise.newton_step",
    rules=["triangle inequality", "Taylor"],
    relation="<=",
    evaluate=_newton_error,
    counterexample=(
        "data on which one Newton step from w_D on J_R ends farther from w_R than the bound"
    ),
)
def influence_error(
    step_error=bend * moved**2 / (2 * ridge),
    error=bend * rho**2 * full_gradient**2 / (2 * ridge**3),
):
    tau = sp.Symbol("tau", positive=True)
    bracket = sp.integrate(
        bend * tau * moved * moved, (tau, 0, 1)
    )  # |H(w_D) - H(w_D - τd)| <= Mτ|d|
    yield Equal("|bracket|/λ", bracket / ridge, step_error)
    yield Equal("with |d| <= ρV/λ", step_error.subs(moved, rho * full_gradient / ridge), error)


def _origin(*, ridge=2.0, retained=1.0):
    with mpmath.workdps(30):
        ridge, retained = mpmath.mpf(ridge), mpmath.mpf(retained)
        at = mpmath.findroot(lambda v: ridge * v - retained / (1 + mpmath.exp(retained * v)), 0)
        return float(abs(at - retained / (2 * ridge))), float(retained**2 * at / (4 * ridge))


@claim(
    "near-the-origin",
    statement=(
        "A stationary point is (φ(0)/λ) Σ c_i y_i x_i up to φ₁Z₂‖w‖/λ. So near the origin every "
        "model is a signed mean of its samples, and forgetting is subtraction. Logistic loss: φ(0) "
        "= 1/2 and φ₁ = 1/4."
    ),
    explanation="λw = Σ c_i φ(m_i) y_i x_i, and |φ(m) - φ(0)| <= φ_1|m| <= φ_1|w||x_i|.",
    where="App. B: large ridge, weights near 0",
    domain=(
        "any margin loss with |φ'| <= φ_1 between the margins and 0, signed weights c_i, Z_2 = "
        "Σ|c_i||x_i|²"
    ),
    origin="reconstructed",
    evidence="proved",
    backs="gda_theory.problem.objective.Objective",
    rules=["Taylor", "triangle inequality"],
    relation="<=",
    evaluate=_origin,
    counterexample="a stationary point farther from (φ(0)/λ) Σ c_i y_i x_i than the bound",
)
def near_the_origin(
    error=steepest * squares * size / ridge,
    logistic_steepest=sp.Rational(1, 4),
    series=-sp.Rational(1, 4),
    value=sp.Rational(1, 2),
):
    m = sp.Symbol("m", real=True)
    weight, length = sp.symbols("|c| |x|", positive=True)
    one_term = weight * steepest * size * length * length / ridge  # |c| |φ(m) - φ(0)| |x| / λ
    yield Equal(
        "one sample's share of the error", one_term.subs(weight, squares / length**2), error
    )
    slope = 1 / (1 + sp.exp(m))
    yield Equal("logistic φ(0)", slope.subs(m, 0), value)
    yield Equal("logistic φ'(0)", sp.diff(slope, m).subs(m, 0), series)
    yield Equal(
        "it is the steepest: 1/4 - |φ'| is a square",
        logistic_steepest + sp.diff(slope, m),
        (slope - sp.Rational(1, 2)) ** 2,
    )


def _first_step(**parameters):
    """⟨∇J_DA(w_D), w_D - w_R⟩ from the numbers, and by the claimed factors."""
    defaults = {
        "alpha": 0.1,
        "retain_size": 80,
        "forget_size": 20,
        "retain_on_coordinate": 8,
        "ridge": 0.01,
    } | parameters
    with mpmath.workdps(30):
        pretrained, oracle, _ = closed_form_weights(**defaults)
        a, r, f, share, ridge = (
            mpmath.mpf(defaults[k])
            for k in ("alpha", "retain_size", "forget_size", "retain_on_coordinate", "ridge")
        )
        slope = ridge * pretrained - (1 - a * r / f) * share / r * mpmath.exp(-pretrained)
        lower = f**2 / (r * (2 * f + r))
        claimed = (
            mpmath.exp(-pretrained)
            * share
            * (2 * f + r)
            / (f * (r + f))
            * (a - lower)
            * (pretrained - oracle)
        )
        return float(slope * (pretrained - oracle)), float(claimed)


@claim(
    "first-step-sign",
    statement=(
        "The first step from w_D moves towards the oracle exactly when (α − f²/(r(f+n)))(α − f/r) "
        "> 0, whatever λ. In Lemma 3's range it moves away."
    ),
    explanation=(
        "λw_D = K_D φ(w_D), so J_DA'(w_D) = (K_D - K_DA) φ(w_D) has the sign of α - f²/(r(f+n)). "
        "The difference w_D - w_R has the sign of K_D - K_R, which is that of α - f/r. The step is "
        "-ηJ'."
    ),
    where="Sec. 5.1.1; the first step of descent-ascent",
    domain="one coordinate, exponential loss (any decreasing φ: φ(w_D) for e^-w), λ, r_j, α > 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.order_range",
    rules=["monotone bijection"],
    evaluate=_first_step,
    counterexample="α between the two thresholds whose first step from w_D goes towards w_R",
)
def first_step_sign(
    slope=sp.exp(-w)
    * (alpha - forget**2 / (retain * (forget + total)))
    * on_coordinate
    * (total + forget)
    / (forget * total),
    upper=forget / retain,
):
    gradient = ridge * w - descent_ascent_mass * sp.exp(-w)
    at_pretrained = {ridge: pretrain_mass * sp.exp(-w) / w}
    yield Equal("J_DA'(w_D)", gradient.subs(at_pretrained), slope)
    yield Equal("K_D - K_R", pretrain_mass - retrain_mass, (alpha - upper) * on_coordinate / total)
    positive = on_coordinate * (total + forget) / (forget * total)
    yield Positive("the common factor", positive)


def _early_stop(**parameters):
    pretrained, oracle, ascended = closed_form_weights(**{"alpha": 0.03} | parameters)
    return float((oracle - ascended) / (oracle - pretrained)), 1.0


@claim(
    "best-early-stop",
    statement=(
        "min_t |w(t) − w_R|/|w_D − w_R| is 1 for f²/(r(f+n)) ≤ α < f/r: doing nothing is best. It "
        "is (w_R − w_DA)/(w_R − w_D) < 1 for smaller α. It is 0 for α > f/r, where the flow passes "
        "the oracle. At α = f/r the flow starts at the oracle, w_D = w_R, and leaves it."
    ),
    explanation=(
        "In one dimension the flow moves monotonically from w_D to w_DA. By Lemma 3 w_DA <= w_D <= "
        "w_R in the range, so every step leads away. For smaller α w_D < w_DA < w_R, so the end is "
        "best. For larger α w_DA < w_R < w_D, so the oracle lies between."
    ),
    where="Sec. 5.1.1; stopping descent-ascent early",
    domain=(
        "one coordinate, mean losses, gradient flow of descent-ascent from w_D, exponential loss, "
        "any α > 0 with a minimum; the ratio is 0/0 at α = f/r"
    ),
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.coordinate.order_range", "gda_theory.pair.coordinate.distances"],
    rules=["monotone bijection", "intermediate value"],
    relation="<=",
    evaluate=_early_stop,
    counterexample=(
        "α inside Lemma 3's range at which some time on the flow is nearer to the oracle than w_D"
    ),
)
def best_early_stop(
    below=forget**2 / (retain * (forget + total)),
    gain=alpha * on_coordinate / forget,
    order=forget / retain,
):
    yield Equal(
        "K_D - K_DA is 0 at the lower end",
        (pretrain_mass - descent_ascent_mass).subs(alpha, below),
        0,
    )
    yield Equal("K_D - K_R is 0 at f/r", (pretrain_mass - retrain_mass).subs(alpha, order), 0)
    yield Equal("K_R - K_DA > 0 always", retrain_mass - descent_ascent_mass, gain)
    yield Positive("so w_R is never passed from below", gain)
    velocity = (descent_ascent_mass * sp.exp(-w) - ridge * w).subs(
        ridge, pretrain_mass * sp.exp(-w) / w
    )
    yield Equal(
        "the flow leaves w_D with the sign of K_DA - K_D",
        velocity,
        (descent_ascent_mass - pretrain_mass) * sp.exp(-w),
    )
