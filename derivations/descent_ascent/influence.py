"""First-order approximations and their errors (App. B): influence, Newton's step, opposite sides.

λ is the least curvature that the ridge guarantees. M is a Lipschitz constant of the retain
objective's Hessian, and S one of ∇L_F, so the Hessian of L_F is at most S. At the oracle w_R,
V = |∇L_F + λw| and G = |∇L_F|; ρ = f/r. Every bound follows from the triangle inequality.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

from typing import NamedTuple

import mpmath
import numpy as np
import sympy as sp
from mpmath import mpf

from derivations.descent_ascent import data_measures, measures, scalar_measures
from derivations.descent_ascent.coordinate.basics import (
    closed_form_weights,
    descent_ascent_mass,
    masses_by_eq_1,
    phi_w,
    pretrain_mass,
    retrain_mass,
    rise,
)
from derivations.ledger.domains import Drawn, OneOf, positive, positive_within, real
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import alpha, forget, on_coordinate, phi, retain, ridge, total, w
from derivations.ledger.theorems import Eq, Ge, Gt, Iff, Implies, Le, Lt, NoValue, Theorem

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


data = sp.Symbol("data")
error_D, error_A = sp.symbols("error_D error_A", real=True)
step_error, newton_error, squared = sp.symbols("step_error newton_error bound_d", real=True)
NO_DATA = data_measures.Data(((0, 0), (0, 0)), (1, 1), (0, 0))  # the samples are all 0
SETS = Drawn(
    "up to 4 samples in up to 2 dimensions, the last of which is forgotten",
    data_measures.data_maker(4, 2, signed=False),
    special=(
        *data_measures.special()[:3],
        NO_DATA,
    ),
)


class Around(NamedTuple):
    """The oracle, the pretrained model and the constants at the top of this module."""

    oracle: mpmath.matrix
    pretrained: mpmath.matrix
    rows: mpmath.matrix
    shares: list
    forgotten: mpmath.matrix
    slope_at_oracle: mpmath.matrix
    constants: dict


def around_the_oracle(data, rho, ridge) -> Around:
    """Both minima of logistic data by Newton's method on the gradients."""
    kept, forgotten = data_measures.matrix(data.rows[:-1]), data_measures.matrix(data.rows[-1:])
    shares = [mpf(1) / kept.rows] * kept.rows
    oracle = data_measures.stationary(kept, shares, ridge)
    every = data_measures.matrix(data.rows)
    pretrained = data_measures.stationary(every, [*shares, rho], ridge * (1 + rho))
    slope = data_measures.gradient(forgotten, [mpf(1)], mpf(0), oracle)
    lengths = [data_measures.norm(kept[i, :]) for i in range(kept.rows)]
    constants = {  # |φ'| <= 1/4 and |φ''| <= 1/(6√3)
        bend: sum(length**3 for length in lengths) / kept.rows / (6 * mpmath.sqrt(3)),
        smooth: data_measures.norm(forgotten) ** 2 / 4,
        full_gradient: data_measures.norm(slope + ridge * oracle),
        forget_slope: data_measures.norm(slope),
    }
    return Around(oracle, pretrained, kept, shares, forgotten, slope, constants)


def _opposite_sides(data, rho, gamma, ridge):
    """How far both displacements are from their first-order forms."""
    found = around_the_oracle(data, rho, ridge)
    hessian = data_measures.data_hessian(found.rows, found.shares, ridge, found.oracle)
    direction = mpmath.lu_solve(hessian, found.slope_at_oracle + ridge * found.oracle)
    errors = {error_D: found.pretrained - found.oracle + rho * direction}
    if gamma * found.constants[smooth] < ridge:
        every = data_measures.matrix(data.rows)
        ascended = data_measures.stationary(every, [*found.shares, -gamma], ridge)
        direction = mpmath.lu_solve(hessian, found.slope_at_oracle)
        errors[error_A] = ascended - found.oracle - gamma * direction
    sizes = {name: data_measures.norm(error) for name, error in errors.items()}
    return {error_A: mpmath.nan} | sizes | found.constants


def _newton(data, rho, ridge):
    """One Newton step from w_D on J_R, and where it ends."""
    found = around_the_oracle(data, rho, ridge)
    hessian = data_measures.data_hessian(found.rows, found.shares, ridge, found.pretrained)
    gradient = data_measures.gradient(found.rows, found.shares, ridge, found.pretrained)
    step = -mpmath.lu_solve(hessian, gradient)
    slope = data_measures.gradient(found.forgotten, [mpf(1)], mpf(0), found.pretrained)
    influence = rho * mpmath.lu_solve(hessian, slope + ridge * found.pretrained)
    return found.constants | {
        step_error: data_measures.norm(step - influence),
        newton_error: data_measures.norm(found.pretrained + step - found.oracle),
        moved: data_measures.norm(found.pretrained - found.oracle),
    }


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
        "‖w_D − w_R + ρH_R⁻¹(∇L_F + λw_R)‖ ≤ ρ²(V/λ²)(MV/(2λ) + S + λ). For γS < λ also ‖w(γ) − "
        "w_R − γH_R⁻¹∇L_F‖ ≤ γ²(G/(λμ))(MG/(2μ) + S) with μ = λ − γS."
    ),
    explanation=(
        "(n/r)J_D is λ-strongly convex and has gradient ρ(∇L_F + λw) at w_R, so |d| <= ρV/λ. "
        "Moreover H_R d + R = -ρ(∇L_F + λw)(w_D), where |R| <= M|d|²/2 and the right side is "
        "within ρ(S + λ)|d| of its value at w_R. H_R⁻¹ is at most 1/λ. For ascent, J_γ is "
        "μ-strongly convex with gradient -γ∇L_F at w_R, and the right side is within γS|d|. To "
        "first order the two displacements are opposite, up to the term λw_R."
    ),
    where="Sec. 5.1, any data: opposite-sides with explicit errors",
    domain="convex losses with the constants above; mean losses; the ascent half for γS < λ",
    origin="new",
    evidence="proved",
    backs="gda_theory.solve.path.ascent_path",
    theorem=Theorem(
        domain={
            data: SETS,
            rho: positive_within(2),
            gamma: positive_within(2),
            ridge: positive_within(2),
        },
        conclusions={
            "pretraining": Le(
                error_D,
                rho**2
                * full_gradient
                / ridge**2
                * (bend * full_gradient / (2 * ridge) + smooth + ridge),
            ),
            "ascent": Implies(
                Lt(gamma * smooth, ridge),
                Le(
                    error_A,
                    gamma**2
                    * forget_slope
                    / (ridge * (ridge - gamma * smooth))
                    * (bend * forget_slope / (2 * (ridge - gamma * smooth)) + smooth),
                ),
            ),
        },
        measure=_opposite_sides,
        digits=20,
        most_digits=40,
        points=10,
    ),
    joins=[
        join(
            "convexity",
            "|d| <= ρV/λ, and for ascent |d| <= γG/μ",
            convex=(
                "strong convexity bounds d: λ|d| <= ρV",
                "H of (n/r)J_D minus λ",
                "μ|d| <= γG",
            ),
            coercive="known:a strongly convex function is coercive",
        ),
        join(
            "Taylor",
            "the remainder is at most M|d|²/2",
            second_derivative="known:M is a Lipschitz constant of the Hessian",
        ),
        join(
            "triangle inequality",
            "pretraining",
            terms=(
                "|d| <= ρV/λ, and for ascent |d| <= γG/μ",
                "the remainder is at most M|d|²/2",
                "error of pretraining",
            ),
        ),
        join(
            "triangle inequality",
            "ascent",
            terms=(
                "|d| <= ρV/λ, and for ascent |d| <= γG/μ",
                "the remainder is at most M|d|²/2",
                "error of ascent",
            ),
        ),
    ],
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
        "The influence (Newton) step from w_D on J_R is +(f/r)H_R⁻¹(∇L_F + λw_D), all at w_D. It "
        "ends within M‖w_D − w_R‖²/(2λ) ≤ Mρ²V²/(2λ³) of w_R."
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
    theorem=Theorem(
        domain={data: SETS, rho: positive_within(2), ridge: positive_within(2)},
        conclusions={
            "the step": Eq(step_error, 0),
            "its end": Le(newton_error, bend * moved**2 / (2 * ridge)),
            "both bounds": Le(
                bend * moved**2 / (2 * ridge),
                bend * rho**2 * full_gradient**2 / (2 * ridge**3),
            ),
        },
        measure=_newton,
        digits=20,
        most_digits=40,
        points=10,
    ),
    joins=[
        join("identity", "the step", equation="∇J_R where (n/r)∇J_D = 0"),
        join(
            "Taylor",
            "the bracket is at most M|d|²/2",
            second_derivative="known:M is a Lipschitz constant of the Hessian",
        ),
        join(
            "triangle inequality",
            "its end",
            terms=("|bracket|/λ", "the bracket is at most M|d|²/2"),
        ),
        join(
            "triangle inequality",
            "both bounds",
            terms=("with |d| <= ρV/λ", "claim:opposite-sides-error"),
        ),
    ],
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
    # Components: (n/r)∇J_D = ∇J_R + ρ(∇L_F + λw), with ∇J_R = ∇L_R + λw.
    slope_r, slope_f = sp.symbols("L_R L_F", real=True)
    pretraining = slope_r + rho * slope_f + ridge * (1 + rho) * w
    yield Equal(
        "∇J_R where (n/r)∇J_D = 0",
        (slope_r + ridge * w).subs(slope_r, sp.solve(pretraining, slope_r)[0]),
        -rho * (slope_f + ridge * w),
    )
    yield Equal("|bracket|/λ", bracket / ridge, step_error)
    yield Equal("with |d| <= ρV/λ", step_error.subs(moved, rho * full_gradient / ridge), error)


loss, margin_at = sp.Symbol("loss"), sp.Symbol("m", real=True)
off_mean, logistic_value, logistic_slope = sp.symbols("off_mean phi_0 phi_slope_m", real=True)


def _near_origin(data, ridge, loss, m):
    """A stationary point against the signed mean, and the steepest φ up to its margins."""
    rows, signed = data_measures.matrix(data.rows), data_measures.numbers(data.signed)
    at = data_measures.stationary(rows, signed, ridge, loss)
    mean = loss.phi(mpf(0)) / ridge * rows.T * mpmath.matrix(signed)
    lengths = [data_measures.norm(rows[i, :]) for i in range(rows.rows)]
    return {
        off_mean: data_measures.norm(at - mean),
        size: data_measures.norm(at),
        steepest: max(_steepest(loss, margin) for margin in rows * at),
        squares: sum(abs(c) * length**2 for c, length in zip(signed, lengths, strict=True)),
        logistic_value: -scalar_measures.derivative(scalar_measures.logistic_loss, mpf(0)),
        logistic_slope: scalar_measures.derivative(scalar_measures.logistic_loss, m, 2),
    }


def _steepest(loss, margin):
    """The largest abs(φ') between 0 and ``margin``, at 41 points: at an end for these losses."""
    return max(abs(loss.slope(margin * k / 40)) for k in range(41))


def _origin(*, ridge=2.0, retained=1.0):
    with mpmath.workdps(30):
        ridge, retained = mpmath.mpf(ridge), mpmath.mpf(retained)
        at = mpmath.findroot(lambda v: ridge * v - retained / (1 + mpmath.exp(retained * v)), 0)
        return float(abs(at - retained / (2 * ridge))), float(retained**2 * at / (4 * ridge))


@claim(
    "near-the-origin",
    statement=(
        "A stationary point is (φ(0)/λ) Σ c_i y_i x_i up to φ₁Z₂‖w‖/λ. Logistic loss: φ(0) = 1/2, "
        "and |φ′| ≤ φ₁ = 1/4, with equality exactly at 0."
    ),
    explanation=(
        "λw = Σ c_i φ(m_i) y_i x_i, and |φ(m) - φ(0)| <= φ_1|m| <= φ_1|w||x_i|. So near the "
        "origin every model is a signed mean of its samples, and forgetting is subtraction."
    ),
    where="App. B: large ridge, weights near 0",
    domain=(
        "any margin loss with |φ'| <= φ_1 between the margins and 0, signed weights c_i, Z_2 = "
        "Σ|c_i||x_i|²"
    ),
    origin="reconstructed",
    evidence="proved",
    backs="gda_theory.problem.objective.Objective",
    theorem=Theorem(
        domain={
            data: Drawn(
                "up to 4 samples in up to 3 dimensions, with weights of either sign",
                data_measures.data_maker(4, 3, signed=True),
                special=(NO_DATA, *data_measures.special()),
            ),
            ridge: positive_within(2),
            loss: OneOf((measures.LOGISTIC, measures.HEAVY, measures.EXPONENTIAL)),
            margin_at: real,
        },
        conclusions={
            "signed mean": Le(off_mean, steepest * squares * size / ridge),
            "logistic φ(0) = 1/2": Eq(logistic_value, sp.Rational(1, 2)),
            "logistic φ₁": Le(logistic_slope, sp.Rational(1, 4)),
            "steepest at 0": Iff(Eq(logistic_slope, sp.Rational(1, 4)), Eq(margin_at, 0)),
        },
        measure=_near_origin,
        most_digits=60,
        points=16,
    ),
    joins=[
        join(
            "triangle inequality",
            "signed mean",
            terms=(
                "one sample's share of the error",
                "claim:type-reduction",
                "known:|φ(m) - φ(0)| <= φ_1|m| by the mean value theorem",
            ),
        ),
        join("identity", "logistic φ(0) = 1/2", equation="logistic φ(0)"),
        join(
            "sign",
            ("logistic φ₁", "steepest at 0"),
            sign=("it is the steepest: 1/4 - |φ'| is a square", "logistic φ'(0)"),
        ),
    ],
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


LOWER, UPPER = forget**2 / (retain * (2 * forget + retain)), forget / retain
COUNTS = dict.fromkeys((ridge, alpha, retain, forget, on_coordinate), positive)
towards = sp.Symbol("towards", real=True)


def _first_move(ridge, loss, **counts):
    """Cosine of the first step with w_R - w_D: the product of two relative differences."""
    masses = {symbol.name: signed for symbol, signed in masses_by_eq_1(**counts)}
    pretrained = measures.weight(masses["w_D"], ridge, loss)
    oracle = measures.weight(masses["w_R"], ridge, loss)
    slope = 1 - masses["w_DA"] * loss.phi(pretrained) / (ridge * pretrained)
    return {towards: slope * (1 - oracle / pretrained)}


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
        "> 0, whatever λ. Inside Lemma 3's range it moves away."
    ),
    explanation=(
        "λw_D = K_D φ(w_D), so J_DA'(w_D) = (K_D - K_DA) φ(w_D) has the sign of α - f²/(r(f+n)). "
        "The difference w_D - w_R has the sign of K_D - K_R, which is that of α - f/r. The step is "
        "-ηJ'."
    ),
    where="Sec. 5.1.1; the first step of descent-ascent",
    domain="one coordinate, any margin loss with φ decreasing, λ, r_j, α > 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.order_range",
    theorem=Theorem(
        domain={**COUNTS, loss: OneOf(measures.DECREASING, others=(measures.WAVY,))},
        conclusions={
            "towards": Iff(Gt(towards, 0), Gt((alpha - LOWER) * (alpha / UPPER - 1) / LOWER, 0)),
            "away": Implies((Gt(alpha, LOWER), Lt(alpha, UPPER)), Lt(towards, 0)),
        },
        measure=_first_move,
        digits=60,  # 1 - αr/f cancels
        points=15,
    ),
    joins=[
        join(
            "monotone bijection",
            "w_D - w_R has the sign of K_D - K_R",
            continuous="known:w/φ(w) is continuous",
            slope="z = w/φ(w) increases, as φ' = -e < 0",
        ),
        join(
            "equivalence",
            ("towards", "away"),
            identity=(
                "J_DA'(w_D)",
                "any loss: J_DA'(w_D)",
                "K_D - K_R",
                "w_D - w_R has the sign of K_D - K_R",
            ),
            factor="the common factor",
        ),
    ],
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
    of_any_loss = (ridge * w - descent_ascent_mass * phi(w)).subs(ridge, pretrain_mass * phi(w) / w)
    yield Equal("any loss: J_DA'(w_D)", of_any_loss, slope * sp.exp(w) * phi(w))
    yield Equal("K_D - K_R", pretrain_mass - retrain_mass, (alpha - upper) * on_coordinate / total)
    increase = sp.diff(w / phi(w), w).subs(sp.diff(phi(w), w), -rise).subs(phi(w), phi_w)
    yield Positive(
        "z = w/φ(w) increases, as φ' = -e < 0", increase.subs(w, sp.Symbol("w_+", positive=True))
    )
    factor = on_coordinate * (total + forget) / (forget * total)
    yield Positive("the common factor", factor)


best = sp.Symbol("best", real=True)
w_D, w_R, w_DA = sp.symbols("w_D w_R w_DA", real=True)
MODERATE = dict.fromkeys((ridge, alpha, retain, forget, on_coordinate), positive_within(1))
MOST_STEPS = 4000


def _best_on_the_way(ridge, **counts):
    """The least distance to the oracle on the way, by steps too short to pass a minimum."""
    masses = {symbol.name: signed for symbol, signed in masses_by_eq_1(**counts)}
    start = measures.weight(masses["w_D"], ridge)
    oracle = measures.weight(masses["w_R"], ridge)
    found = {w_D: start, w_R: oracle}
    if abs(start - oracle) <= mpmath.sqrt(mpmath.eps) * start:
        return found | {w_DA: measures.weight(masses["w_DA"], ridge), best: mpmath.nan}
    passed = _path(masses["w_DA"], ridge, start, oracle)
    if passed is None:
        return found | {w_DA: -mpmath.inf, best: mpf(0)}
    least, end = passed
    return found | {w_DA: end, best: least / abs(start - oracle)}


def _path(signed_mass, ridge, start, oracle):
    """(least distance, end) of the descent from ``start``, None where it passes the oracle."""
    w_at, least = start, abs(start - oracle)
    steepest = ridge + max(signed_mass, 0) * mpmath.exp(-min(start, 0))
    for _ in range(MOST_STEPS):
        move = (ridge * w_at - signed_mass * mpmath.exp(-w_at)) / steepest
        if (w_at - move - oracle) * (start - oracle) <= 0:
            return None
        w_at -= move
        least = min(least, abs(w_at - oracle))
        if abs(move) <= mpmath.eps * abs(w_at):
            return least, w_at
    raise NoValue("the descent is too slow")


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
        "any α > 0; the ratio is 0/0 at α = f/r"
    ),
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.coordinate.order_range", "gda_theory.pair.coordinate.distances"],
    theorem=Theorem(
        domain=MODERATE,  # the descents of wider ranges take too many steps
        conclusions={
            "at f/r": Implies(Eq(alpha, UPPER), (Eq(w_D, w_R), Lt(w_DA, w_R))),
            "in the range": Implies((Ge(alpha, LOWER), Lt(alpha, UPPER)), Eq(best, 1)),
            "below it": Implies(
                Lt(alpha, LOWER), (Eq(best, (w_R - w_DA) / (w_R - w_D)), Lt(best, 1))
            ),
            "above it": Implies(Gt(alpha, UPPER), Eq(best, 0)),
        },
        measure=_best_on_the_way,
        most_digits=30,
        points=15,
    ),
    joins=[
        join(
            "monotone bijection",
            "weights are ordered as masses",
            continuous="known:w e^w is continuous",
            slope="claim:lemma-3-order",
        ),
        join(
            "monotone iteration",
            "the flow moves monotonically from w_D towards w_DA",
            increasing="known:an orbit in one dimension is monotone",
            fixed_points=(
                "the flow leaves w_D with the sign of K_DA - K_D",
                "claim:lemma-2-branches",
            ),
        ),
        join(
            "sign",
            ("in the range", "below it"),
            sign=(
                "the flow moves monotonically from w_D towards w_DA",
                "weights are ordered as masses",
                "K_D - K_DA is 0 at the lower end",
                "so w_R is never passed from below",
                "K_R - K_DA > 0 always",
            ),
        ),
        join(
            "sign",
            "at f/r",
            sign=(
                "weights are ordered as masses",
                "K_D - K_R is 0 at f/r",
                "K_R - K_DA > 0 always",
                "so w_R is never passed from below",
            ),
        ),
        join(
            "intermediate value",
            "above it",
            continuous="the flow moves monotonically from w_D towards w_DA",
            ends=("weights are ordered as masses", "K_D - K_R is 0 at f/r"),
        ),
    ],
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
