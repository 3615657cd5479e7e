"""Bounds on the distance of any weights to the oracle, which need no oracle.

At weights w, g is the gradient and H the Hessian of the retain objective. N = |H⁻¹g| is the length
of Newton's step, ν = (gᵀH⁻¹g)^½ its decrement, ρ the largest (x_iᵀH⁻¹x_i)^½, and μ the smallest
eigenvalue of H.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import numpy as np
import sympy as sp
from mpmath import mpf

from derivations.descent_ascent import data_measures
from derivations.ledger.domains import Drawn, positive_within, real
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.theorems import Gt, Implies, Le, Lt, NoValue, Theorem

data = sp.Symbol("data")
ridge = sp.Symbol("lambda", positive=True)
away, newton_length, decrement, reach, least = sp.symbols("away N nu rho mu", positive=True)
slope_length = sp.Symbol("|g|", positive=True)
after, spectral, squares = sp.symbols("g_1 X_2 u_2", positive=True)
part = sp.Symbol("x", positive=True)
any_ridge = sp.Symbol("any_ridge", real=True)
change, odds, product = sp.symbols("S u p", positive=True)
along = sp.Symbol("tau", positive=True)

NO_ROWS = data_measures.Data(((0, 0), (0, 0)), (1, 1), (1, 2))  # the samples are all 0
SETS = Drawn(
    "up to 4 samples in up to 2 dimensions with positive weights, and any weights w",
    data_measures.data_maker(4, 2, signed=False),
    special=(*data_measures.special()[:3], NO_ROWS),
)


def at_weights(data, ridge):
    """The distance to the minimum of logistic data, and the numbers at the point."""
    rows, shares = data_measures.matrix(data.rows), data_measures.numbers(data.signed)
    point = data_measures.vector(data.point)
    oracle = data_measures.stationary(rows, shares, ridge)
    gradient = data_measures.gradient(rows, shares, ridge, point)
    hessian = data_measures.data_hessian(rows, shares, ridge, point)
    if data_measures.norm(gradient) == 0:
        raise NoValue("the point is the minimum")
    step = data_measures.linear_solution(hessian, gradient)
    return {
        away: data_measures.norm(point - oracle),
        slope_length: data_measures.norm(gradient),
        newton_length: data_measures.norm(step),
        decrement: mpmath.sqrt(data_measures.dot(gradient, step)),
        reach: max(_length_in(hessian, rows[index, :].T) for index in range(rows.rows)),
        least: min(mpmath.eigsy(hessian, eigvals_only=True)),
    }


def _length_in(hessian, row):
    return mpmath.sqrt(data_measures.dot(row, data_measures.linear_solution(hessian, row)))


def _one_row(*, ridge=0.3, row=1.0, point=0.5):
    """The distance and the bound for one logistic row in one dimension."""
    with mpmath.workdps(30):
        ridge, row, point = mpf(ridge), mpf(row), mpf(point)

        def gradient(w):
            return ridge * w - row / (1 + mpmath.exp(row * w))

        oracle = mpmath.findroot(gradient, 0)
        odd = mpmath.exp(row * point)
        hessian = ridge + row**2 * odd / (1 + odd) ** 2
        nu = abs(gradient(point)) / mpmath.sqrt(hessian)
        both = nu * abs(row) / mpmath.sqrt(hessian)
        relaxed = -mpmath.log(1 - both) / both if both < 1 else mpmath.nan
        bound = abs(gradient(point)) / hessian * relaxed
        return np.array([float(abs(point - oracle))]), np.array([float(bound)])


@claim(
    "distance-by-curvature",
    statement=(
        "Logistic loss. If 0 < ρν < 1, the distance to the oracle is < N + (q − 1)ν/√μ, with q = "
        "−log(1 − ρν)/(ρν). With or without this, it is ≤ |g|/λ."
    ),
    explanation=(
        "d = w_R − w. The third derivative of the loss is at most the second. So along the "
        "segment a row's curvature changes by a factor of at most e^{St}, where S is the largest "
        "change of a margin. The mean Hessian H̄ is then at least H/q and at most H(e^S − 1)/S, "
        "with q = S/(1 − e^{−S}). From g = −H̄d follows |d|_H <= qν, and S <= ρ|d|_H. So 1 − "
        "e^{−S} <= ρν, and less unless S = 0. This bounds S and q. Of d = −H̄⁻¹g the part −H⁻¹g "
        "has length N, and the rest is at most (q − 1)ν/√μ."
    ),
    where="Certified removal: a bound from the weights alone",
    domain="logistic loss, rows with positive weights, a ridge on every coordinate",
    origin="new",
    evidence="proved",
    backs="gda_theory.deletion.bounds.certified",
    theorem=Theorem(
        domain={data: SETS, ridge: positive_within(2)},
        conclusions={
            "distance": Implies(
                (Gt(reach * decrement, 0), Lt(reach * decrement, 1)),
                Lt(
                    away,
                    newton_length
                    + (-sp.log(1 - reach * decrement) / (reach * decrement) - 1)
                    * decrement
                    / sp.sqrt(least),
                ),
            ),
            "by the ridge": Le(away, slope_length / ridge),
        },
        measure=at_weights,
        digits=20,
        most_digits=40,
        points=20,
    ),
    joins=[
        join(
            "bounded rate",
            "curvature changes by at most e^{St}",
            rate=("l'' - l'''", "l'' + l'''"),
        ),
        join(
            "operator order",
            "H/q <= H̄ <= H(e^S - 1)/S",
            order=(
                "curvature changes by at most e^{St}",
                "mean of e^{-St}",
                "mean of e^{St}",
            ),
        ),
        join(
            "operator order",
            "1 - e^{-S} <= ρν",
            order=("H/q <= H̄ <= H(e^S - 1)/S", "known:Cauchy's inequality"),
        ),
        join(
            "identity",
            "q at the largest S",
            equation=("S where 1 - e^{-S} = p", "q there", "1 - e^{-S} <= ρν"),
        ),
        join(
            "least value",
            "the lower side decides: q - 1 >= 1 - S/(e^S - 1)",
            convex=("second derivative", "S e^S"),
            stationary="slope at 0",
            value="value at 0",
        ),
        join(
            "triangle inequality",
            "distance",
            terms=(
                "H/q <= H̄ <= H(e^S - 1)/S",
                "q at the largest S",
                "the lower side decides: q - 1 >= 1 - S/(e^S - 1)",
            ),
        ),
        join(
            "operator order",
            "by the ridge",
            order="known:the Hessian of convex losses and a ridge is at least the ridge",
        ),
    ],
    relation="<=",
    evaluate=_one_row,
    counterexample="weights with ρν < 1 that are farther from the oracle than the bound",
)
def distance_by_curvature(
    lower=(1 - sp.exp(-change)) / change,
    upper=(sp.exp(change) - 1) / change,
    largest=-sp.log(1 - product),
    relaxed=-sp.log(1 - product) / product,
):
    second = odds / (1 + odds) ** 2
    third = odds * (1 - odds) / (1 + odds) ** 3
    yield Positive("l'' - l'''", sp.factor(second - third))
    yield Positive("l'' + l'''", sp.factor(second + third))
    yield Equal("mean of e^{-St}", sp.integrate(sp.exp(-change * along), (along, 0, 1)), lower)
    yield Equal("mean of e^{St}", sp.integrate(sp.exp(change * along), (along, 0, 1)), upper)
    yield Equal("S where 1 - e^{-S} = p", 1 - sp.exp(-largest), product)
    yield Equal("q there", largest / (1 - sp.exp(-largest)), relaxed)
    # (q - 1) - (1 - S/(e^S - 1)) is this over e^S - 1.
    sides = change * (sp.exp(change) + 1) - 2 * (sp.exp(change) - 1)
    yield Equal("second derivative", sp.diff(sides, change, 2), change * sp.exp(change))
    yield Positive("S e^S", change * sp.exp(change))
    yield Equal("value at 0", sides.subs(change, 0), 0)
    yield Equal("slope at 0", sp.diff(sides, change).subs(change, 0), 0)


def after_a_step(data, any_ridge):
    """The gradient after one Newton step from the point, and the norms of the bound."""
    ridge = any_ridge
    rows, shares = data_measures.matrix(data.rows), data_measures.numbers(data.signed)
    point = data_measures.vector(data.point)
    gradient = data_measures.gradient(rows, shares, ridge, point)
    hessian = data_measures.data_hessian(rows, shares, ridge, point)
    step = -data_measures.linear_solution(hessian, gradient)
    end = data_measures.gradient(rows, shares, ridge, point + step)
    weighted = rows.T * mpmath.diag(shares) * rows
    moved = rows * step
    return {
        after: data_measures.norm(end),
        spectral: mpmath.sqrt(max(mpmath.eigsy(weighted, eigvals_only=True))),
        squares: mpmath.sqrt(sum(a * u**4 for a, u in zip(shares, moved, strict=True))),
    }


def _residual_of_one_row(*, ridge=0.3, row=1.0, point=0.5):
    """The gradient after a Newton step and the bound, for one logistic row in one dimension."""
    with mpmath.workdps(30):
        ridge, row, point = mpf(ridge), mpf(row), mpf(point)

        def gradient(w):
            return ridge * w - row / (1 + mpmath.exp(row * w))

        odd = mpmath.exp(row * point)
        step = -gradient(point) / (ridge + row**2 * odd / (1 + odd) ** 2)
        bound = abs(row) * (row * step) ** 2 / (12 * mpmath.sqrt(3))
        return np.array([float(abs(gradient(point + step)))]), np.array([float(bound)])


@claim(
    "newton-residual",
    statement=(
        "Logistic loss. After a full Newton step that moves the margins by u, the gradient is ≤ "
        "‖A^½X‖₂ ‖A^½(u∘u)‖₂/(12√3)."
    ),
    explanation=(
        "A holds the weights of the rows. The step cancels the gradient and its derivative. What "
        "is left is the remainder of Taylor's formula: the sum over rows of a_i x_i u_i² times an "
        "integral of (1 − t)ℓ'''. The third derivative is at most 1/(6√3), and the integral of "
        "1 − t is 1/2."
    ),
    where="Certified removal (Guo et al. 2020, Cor. 1), with the best constants",
    domain="logistic loss, rows with positive weights, any ridge with an invertible Hessian",
    origin="new",
    evidence="proved",
    backs="gda_theory.deletion.bounds.newton_residual_bound",
    theorem=Theorem(
        domain={data: SETS, any_ridge: real},
        conclusions={"gradient": Le(after, spectral * squares / (12 * sp.sqrt(3)))},
        measure=after_a_step,
        digits=20,
        most_digits=40,
        points=20,
    ),
    joins=[
        join("sign", "|l'''| <= 1/(6√3)", sign=("square of l'''", "4/27 - x(1 - x)²", "4/3 - x")),
        join(
            "Taylor",
            "each row leaves at most u²/(12√3)",
            second_derivative=("|l'''| <= 1/(6√3)", "integral of the weight"),
        ),
        join(
            "operator order",
            "gradient",
            order=(
                "each row leaves at most u²/(12√3)",
                "known:|B'v| <= |B||v| for the spectral norm",
            ),
        ),
    ],
    relation="<=",
    evaluate=_residual_of_one_row,
    counterexample="data where the gradient after a Newton step is longer than the bound",
)
def newton_residual(
    largest=1 / (6 * sp.sqrt(3)),
    constant=1 / (12 * sp.sqrt(3)),
):
    # With s = φ and x = (1 - 2s)² between 0 and 1: l'''² = (s(1 - s)(1 - 2s))² = x(1 - x)²/16.
    share = sp.Symbol("s", positive=True)
    square = (1 - 2 * share) ** 2
    yield Equal(
        "square of l'''",
        (share * (1 - share) * (1 - 2 * share)) ** 2,
        square * (1 - square) ** 2 / 16,
    )
    yield Equal(
        "4/27 - x(1 - x)²",
        16 * largest**2 - part * (1 - part) ** 2,
        (part - sp.Rational(1, 3)) ** 2 * (sp.Rational(4, 3) - part),
    )
    # x is below 1.
    yield Positive("4/3 - x", (sp.Rational(4, 3) - part).subs(part, 1 / (1 + odds)))
    yield Equal(
        "integral of the weight", largest * sp.integrate(1 - along, (along, 0, 1)), constant
    )
