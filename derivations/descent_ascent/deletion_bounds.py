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
from derivations.ledger.domains import Drawn, positive_within
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.theorems import Gt, Implies, Le, Lt, NoValue, Theorem

data = sp.Symbol("data")
ridge = sp.Symbol("lambda", positive=True)
away, newton_length, decrement, reach, least = sp.symbols("away N nu rho mu", positive=True)
slope_length = sp.Symbol("|g|", positive=True)
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
