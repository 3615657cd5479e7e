"""The first step of descent-ascent from the pretrained model, and what stopping early can do.

The claims are about the pair, about orthogonal coordinates together, and about any data. One
coordinate alone is in :mod:`derivations.descent_ascent.influence`.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent.coordinate import closed_form_weights
from derivations.descent_ascent.pair import counted
from derivations.ledger import numeric
from derivations.ledger.ledger import claim
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import (
    A,
    B,
    a,
    alpha,
    below_one,
    forget,
    k11,
    k12,
    k22,
    phi,
    retain,
    ridge,
    total,
    x,
    y,
)

p, q, p_R = sp.symbols(
    "p_D q_D p_R", positive=True
)  # dual masses of pretraining, p u + q v, and of the oracle, p_R u
x_R, y_R, x_D, y_D = sp.symbols("x_R y_R x_D y_D", real=True)
g1, g2, w1, w2 = sp.symbols("g_1 g_2 w_1 w_2", real=True)
i12 = sp.Symbol("i_12", real=True)
i11, rest, rho = sp.symbols("i_11 k rho", positive=True)
inside, outside, farther, left = sp.symbols("S_in S_out a b", nonnegative=True)
step, along, size, distance = sp.symbols("eta c |g| |d|", positive=True)


def _pair_step(**parameters):
    """⟨∇J_DA(w_D), w_D - w_R⟩/λ from the weights of a pair, and by the claimed margins."""
    with mpmath.workdps(numeric.DIGITS):
        system = numeric.masses(**parameters)
        x_d, y_d = numeric.pretrain(system)
        x_r, y_r = numeric.oracle(system)
        correlation = system.cross / 2
        to_weights = mpmath.matrix([[1, correlation], [correlation, 1]]) ** -1
        w_d, w_r = to_weights * mpmath.matrix([x_d, y_d]), to_weights * mpmath.matrix([x_r, y_r])
        kinds = mpmath.matrix([[1, correlation], [correlation, 1]])
        coefficients = mpmath.matrix(
            [system.retain * mpmath.exp(-x_d), -system.forget * mpmath.exp(-y_d)]
        )
        gradient = system.ridge * w_d - kinds * coefficients
        computed = sum(g * d for g, d in zip(gradient, w_d - w_r, strict=True)) / system.ridge
        f_over_r = system.retain / system.pretrain - 1  # n/r - 1
        first = system.pretrain * mpmath.exp(-x_d) / system.ridge
        second = system.alpha * system.pretrain * mpmath.exp(-y_d) / system.ridge
        return float(computed), float(
            (1 / f_over_r + 2) * second * (y_d - y_r) - f_over_r * first * (x_d - x_r)
        )


@claim(
    "first-step-sign-pair",
    statement=(
        "⟨∇J_DA(w_D), w_D − w_R⟩/λ = ((n+f)/f) q_D(y_D − y_R) − (f/r) p_D(x_D − x_R), with p_D = "
        "aφ(x_D)/λ and q_D = αaφ(y_D)/λ. The step w_D − η∇J_DA approaches the oracle exactly for 0 "
        "< η < 2⟨∇J_DA, w_D − w_R⟩/|∇J_DA|². So such an η exists exactly when ((n+f)/f) q_D(y_R − "
        "y_D) < (f/r) p_D(x_R − x_D). For small α it always does."
    ),
    explanation=(
        "w_D = p u + q v, and ∇J_DA(w_D)/λ = w_D - (n/r) p u + (n/f) q v, since A = (n/r) a and B "
        "= (n/f) αa. Take the product with w_D - w_R = (p - p_R) u + q v, whose margins are the "
        "differences. |d - ηg|² - |d|² = η(η|g|² - 2<g, d>) for a step along g from distance d. As "
        "α -> 0, q -> 0, and p < p_R since A > a."
    ),
    where="Sec. 5.1.2; the first step of descent-ascent, a condition on (ε, α, λ)",
    domain=(
        "any margin loss with φ > 0 decreasing, any two types, λ, α > 0; mean losses; one "
        "simultaneous step of size η with ∇J_DA(w_D) != 0"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.verdict.measure.Measurement",
    rules=["monotone bijection"],
    evaluate=_pair_step,
    counterexample=(
        "a pair and a step size η between 0 and the bound whose first step from w_D does not "
        "approach w_R, or one beyond the bound whose step does"
    ),
)
def first_step_pair(
    product=(total + forget) / forget * q * (y_D - y_R) - forget / retain * p * (x_D - x_R),
    at_small_alpha=forget / retain * p * (k11 * (p_R - p)),
    largest_step=2 * along / size**2,
):
    approach = (distance**2 - 2 * step * along + step**2 * size**2) - distance**2
    yield Equal("|d - ηg|² - |d|², c = <g, d>", approach, size**2 * step * (step - largest_step))
    gram = {"uu": k11, "uv": k12, "vv": k22}
    gradient = {"u": p - A / a * p, "v": q + B / (alpha * a) * q}
    move = {"u": p - p_R, "v": q}
    direct = sum(
        gradient[i] * move[j] * gram["".join(sorted((i, j)))] for i in "uv" for j in "uv"
    ).subs(counted)
    margins = {x_D: k11 * p + k12 * q, y_D: k12 * p + k22 * q, x_R: k11 * p_R, y_R: k12 * p_R}
    yield Equal("the product", direct, product.subs(margins))
    duals = {p: a * phi(x) / ridge, q: alpha * a * phi(y) / ridge}
    yield Equal("coefficient of u at w_D", (A / a * p).subs(duals), A * phi(x) / ridge)
    yield Equal("coefficient of v at w_D", (B / (alpha * a) * q).subs(duals), B * phi(y) / ridge)
    yield Equal("as α -> 0", product.subs(margins).subs(q, 0), at_small_alpha)
    yield Positive("which is positive for p < p_R", at_small_alpha.subs(p, p_R * below_one))


@claim(
    "first-step-any-data",
    statement=(
        "⟨∇J_DA(w_D), w_D − w_R⟩ = ρ⟨∇L_F, H_R⁻¹(∇L_F + λw_R)⟩ + O(ρ²). Without the term λw_R "
        "(with sums) this is always positive: the first step leads towards the oracle, whatever "
        "the limit of the run."
    ),
    explanation=(
        "∇J_DA(w_D) = -(ρ + 1)∇L_F - ρλw_D (newton-step-is-preconditioned-ascent), and w_D - w_R = "
        "-ρH_R⁻¹(∇L_F + λw_R) + O(ρ²) (opposite-sides). The steps are written out for two weights, "
        "with H⁻¹ = [[i11, i12], [i12, i12²/i11 + k]], any positive definite matrix."
    ),
    where="Sec. 5.1, any data: why the first step says little",
    domain="first order in ρ = f/r; any loss with H_R positive definite; mean losses",
    origin="new",
    evidence="proved",
    backs="gda_theory.verdict.measure.Measurement",
    rules=["implicit function"],
    counterexample="data with <g, H⁻¹(g + λw)> > 0 whose first step, as f/r -> 0, leads away",
)
def first_step_any_data(
    leading=i11 * g1 * (g1 + ridge * w1)
    + i12 * (g1 * (g2 + ridge * w2) + g2 * (g1 + ridge * w1))
    + (i12**2 / i11 + rest) * g2 * (g2 + ridge * w2),
    square=i11 * (g1 + i12 * g2 / i11) ** 2 + rest * g2**2,
):
    inverse = sp.Matrix([[i11, i12], [i12, i12**2 / i11 + rest]])
    g, w = sp.Matrix([g1, g2]), sp.Matrix([w1, w2])
    gradient = -rho * (g + ridge * w) - g
    move = -rho * inverse * (g + ridge * w)
    yield Equal(
        "∇J_DA(w_D), ∇J_R(w_D) being -ρ(∇L_F + λw_D)", gradient, -(1 + rho) * g - rho * ridge * w
    )
    yield Equal("first order in ρ", sp.diff(gradient.dot(move), rho).subs(rho, 0), leading)
    yield Equal("without λw", leading.subs({w1: 0, w2: 0}), square)
    yield Equal("H⁻¹ is positive definite: determinant", inverse.det(), i11 * rest)
    yield Positive(
        "a sum of squares",
        square.subs(g1, sp.Symbol("s", real=True) - i12 * g2 / i11),
        strict=False,
    )


def _coordinates(*, alphas=(0.15, 0.255), ridge=0.01, time=2000.0):
    """The least squared distance on the flow over the start's, and the share in Lemma 3's range.

    There are two orthogonal coordinates.
    """
    from scipy.integrate import solve_ivp

    retain = 80
    forget = 20
    on_coordinate = 8
    ends = np.array([closed_form_weights(alpha=share, ridge=ridge) for share in alphas], float)
    pretrained, oracle, _ = ends.T
    masses = on_coordinate / retain - np.array(alphas) * on_coordinate / forget
    run = solve_ivp(
        lambda _, w: masses * np.exp(-w) - ridge * w,
        (0, time),
        pretrained,
        method="LSODA",
        rtol=1e-10,
        atol=1e-12,
    )
    apart, start = (run.y - oracle[:, None]) ** 2, (pretrained - oracle) ** 2
    kept = (np.array(alphas) >= forget**2 / (retain * (retain + 2 * forget))) & (
        np.array(alphas) <= forget / retain
    )
    return float(apart.sum(0).min() / start.sum()), float(start[kept].sum() / start.sum())


@claim(
    "early-stop-coordinates",
    statement=(
        "min_t ‖w(t) − w_R‖²/‖w_D − w_R‖² is at least the share of ‖w_D − w_R‖² on coordinates "
        "with f²/(r(f+n)) ≤ α_j ≤ f/r. If all coordinates are in this range, doing nothing is "
        "best."
    ),
    explanation=(
        "The flow decouples. By best-early-stop a coordinate in the range only moves away, so its "
        "part of the squared distance is S_in(1 + a) with a >= 0. The part of the others is b >= "
        "0."
    ),
    where="Sec. 5.1.1; stopping descent-ascent early, orthogonal coordinates together",
    domain=(
        "orthogonal coordinates, each with its own r_j and α_j; gradient flow from w_D, "
        "exponential loss; each with a minimum"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.dynamics.trials.trials",
    rules=["monotone bijection"],
    relation=">=",
    evaluate=_coordinates,
    counterexample=(
        "orthogonal data whose flow comes nearer to the oracle than the share of the distance "
        "inside Lemma 3's range"
    ),
)
def early_stop_coordinates(
    share=inside / (inside + outside), slack=(inside * farther + left) / (inside + outside)
):
    at_any_time = (inside * (1 + farther) + left) / (inside + outside)
    yield Equal("the ratio at any time, less the share", at_any_time - share, slack)
    both = inside + outside
    yield Positive("over a sum of squares", slack * both, strict=False)
    yield Equal("all inside", share.subs(outside, 0), 1)


@claim(
    "early-stop-one-step",
    statement=(
        "Let d = w_D − w_R. A step of size η = c|d|/|g| leaves √(1−c²) of the distance |d|, and no "
        "other size leaves less. So the best early stop over all step sizes leaves at most "
        "√(1−c²)."
    ),
    explanation="|d - ηg|² = |d|² - 2ηc|g||d| + η²|g|² is a parabola in η.",
    where="Sec. 5.1, any data: what the best single step can do",
    domain=(
        "any objective, any start w_D != w_R with gradient g, c the cosine of g and w_D - w_R, c > "
        "0"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.dynamics.trials.trials",
    counterexample=(
        "data on which no step size brings one step within √(1-c²) of the start's distance"
    ),
)
def early_stop_one_step(best=along * distance / size, nearest=(1 - along**2) * distance**2):
    squared = distance**2 - 2 * step * along * size * distance + step**2 * size**2
    yield Equal("stationary", sp.diff(squared, step).subs(step, best), 0)
    yield Equal("its value", squared.subs(step, best), nearest)
    yield Equal("it opens upwards", sp.diff(squared, step, 2), 2 * size**2)
