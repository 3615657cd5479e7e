r"""How far weights are from the oracle: bounds that need no oracle.

Let :math:`g = \nabla J_R(w)` and :math:`H = \nabla^2 J_R(w)` be taken at the weights in question,
and let :math:`d = w_R - w` lead to the oracle, so that :math:`g = -\bar H d` with the mean
:math:`\bar H` of the Hessian on the segment.

**By the ridge.** If every coordinate has a ridge of at least :math:`\lambda`, then
:math:`\bar H \succeq \lambda`, so :math:`|d| \le |g| / \lambda`. This holds for any convex loss.

**By the curvature** (new). For the logistic and the exponential loss :math:`|\ell'''| \le \ell''`.
Along the segment a row's curvature therefore changes by a factor of at most :math:`e^{\pm S t}`,
with :math:`S = \max_i |\langle x_i, d\rangle|`. Integrating over t gives

.. math:: \tfrac1q H \preceq \bar H \preceq \tfrac{e^S-1}{S} H, \qquad q = \frac{S}{1-e^{-S}} .

Write :math:`\nu^2 = g^\top H^{-1} g` and :math:`\rho = \max_i (x_i^\top H^{-1} x_i)^{1/2}`.
From :math:`\nu |d|_H \ge -g^\top d = d^\top\bar H d \ge |d|_H^2 / q` and
:math:`S \le \rho |d|_H` follows :math:`1 - e^{-S} \le \rho\nu`. So if :math:`\rho\nu < 1`, then
:math:`S \le -\log(1-\rho\nu)`. With a ridge, :math:`S \le \max_i |x_i| |g| / \lambda` as well.
Any such bound on S gives :math:`|d|_H \le q\nu` and, since :math:`d = -\bar H^{-1} g`,

.. math:: |d| \le |H^{-1} g| + (q - 1)\, \nu / \sqrt{\mu}, \qquad \mu = \lambda_{\min}(H) .

It needs no ridge, only :math:`\mu > 0` and :math:`\rho\nu < 1`. It therefore holds with an
unpenalised intercept, and then also proves that the oracle exists: along every ray from w the
slope becomes positive. Near the oracle q tends to 1 and the bound to the distance itself.

**Rounding.** What is computed in float64 is widened before it enters the bounds. The standard
error of a sum of r terms, r + 10 units of rounding times the sum of their sizes, bounds the error
of g. The same for the Hessian gives :math:`H \succeq (1-\eta)\hat H` for the computed
:math:`\hat H`, so q is divided by :math:`1-\eta`. Assumed, and not proved here: the exponential
function and LAPACK's factorisation and eigenvalues err by at most 10 d units of rounding. The last
few operations on single numbers are covered by one factor, ``1 + 1e-12``.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gda_theory.deletion.margins import Floats, Margins, RowSizes, slopes
from gda_theory.deletion.rows import AnyObjective, AnyPoint, AnyProblem, common_length, kept, vector
from gda_theory.problem import losses
from theory_common.claims import backed_by
from theory_common.precision import ArrayLike
from theory_common.printing.display import readable

UNIT = np.finfo(np.float64).eps / 2
LAST_OPERATIONS = 1 + 1e-12
THIRD_DERIVATIVE = 1 / (6 * math.sqrt(3))  # the largest |loss'''| of the logistic loss
COARSE = 1e-3  # a cheap bound on rho nu above this is replaced by the exact one
# From the inverse of the Hessian's Cholesky factor to rho.
Reach = Callable[[Float[Floats, "d d"]], float]
BY_RIDGE = "by the ridge: |gradient| / ridge"
BY_CURVATURE = "by the curvature of the loss at the weights"
SINGULAR = "the Hessian at the weights is singular up to rounding, and some coordinate has no ridge"
NO_THIRD = (
    "of this loss no bound on its third derivative is known, and some coordinate has no ridge"
)
OVERFLOW = "the gradient at the weights overflows"
TOO_FAR = (
    "the weights are too far from the oracle for the bound by the curvature, and some coordinate"
    " has no ridge"
)


@readable()
class Certificate(NamedTuple):
    """A bound on the distance of weights to the oracle, and what it rests on.

    * ``distance_bound``: at least the Euclidean distance to the oracle; infinite without a bound.
    * ``gradient_norm``: of the oracle's objective at the weights, as measured in float64.
    * ``gradient_error``: a bound on the rounding error of this gradient.
    * ``smallest_curvature``: a lower bound on the Hessian's smallest eigenvalue there.
    * ``reason``: which bound it is, or why there is none.
    """

    distance_bound: float
    gradient_norm: float
    gradient_error: float
    smallest_curvature: float
    reason: str


class Derivatives(NamedTuple):
    """The gradient and a Hessian of the oracle's objective."""

    gradient: Float[Floats, " d"]
    hessian: Float[Floats, "d d"]


class Errors(NamedTuple):
    """What the bounds need besides gradient and Hessian.

    * ``reach``: the largest ``|x_i|``, so that ``S <= reach |d|``.
    * ``gradient_error``, ``hessian_error``: bounds on rounding, in the Euclidean norm.
    """

    reach: float
    gradient_error: float
    hessian_error: float


def distance_bound(problem: AnyProblem, weights: ArrayLike) -> float:
    """A bound on the Euclidean distance from ``weights`` to the oracle; see :func:`certified`."""
    return certified(problem, weights).distance_bound


@backed_by("distance-by-curvature")
def certified(problem: AnyProblem, weights: ArrayLike) -> Certificate:
    """The bound on the distance from ``weights`` to the oracle, and what it rests on.

    Args:
        problem: with any loss. For a loss of your own only the bound by the ridge is known.
        weights: any weights, ``(d,)``, or ``(K, d)`` of several classes.
    Returns: :class:`Certificate`.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: new; see the module. Claim: ``distance-by-curvature``.
    """
    objective = kept(problem)
    point = vector("weights", problem, weights)
    found = certified_at(objective, point, objective.local(point))
    # What all classes have in common is 0 at the oracle.
    common = common_length(problem, weights)
    return found._replace(distance_bound=math.hypot(found.distance_bound, common))


def certified_at(
    objective: AnyObjective, weights: Float[Floats, " d"], local: AnyPoint
) -> Certificate:
    """:func:`certified`, with the objective at the weights already known."""
    derivatives = Derivatives(local.gradient, local.hessian)
    sizes = objective.sizes_at(local)  # type: ignore[arg-type]
    return certified_by(objective, weights, derivatives, sizes)


def certified_by(
    objective: AnyObjective,
    weights: Float[Floats, " d"],
    derivatives: Derivatives,
    sizes: RowSizes,
    *,
    change: float = 0.0,
) -> Certificate:
    """:func:`certified`, with gradient, Hessian and the sums that bound rounding already known.

    Args:
        objective: of the oracle.
        weights: ``(d,)``.
        derivatives: the gradient at the weights, and the Hessian there or at another point.
        sizes: at the weights, or at least as large.
        change: the largest change of a margin from that other point to the weights. The Hessian at
            the weights is then at least ``exp(-change)`` times the given one.
    """
    if not np.all(np.isfinite(derivatives.gradient)):
        return Certificate(math.inf, math.inf, math.inf, 0.0, OVERFLOW)
    errors = _errors(objective, weights, sizes)
    norm = float(np.linalg.norm(derivatives.gradient))
    least = float(np.min(objective.ridge))
    by_ridge = (norm + errors.gradient_error) / least if least > 0 else math.inf
    curvature = Curvature(math.inf, 0.0, NO_THIRD)
    if objective.steady:
        share = math.exp(-change)
        curvature = by_curvature(derivatives, errors, share, by_ridge, objective.reach_in)
    is_by_ridge = by_ridge <= curvature.distance and math.isfinite(by_ridge)
    return Certificate(
        distance_bound=float(min(by_ridge, curvature.distance) * LAST_OPERATIONS),
        gradient_norm=norm,
        gradient_error=errors.gradient_error,
        smallest_curvature=float(max(curvature.smallest, least)),
        reason=BY_RIDGE if is_by_ridge else curvature.reason,
    )


class Curvature(NamedTuple):
    """The bound by the curvature, the Hessian's smallest eigenvalue, and why there is no bound."""

    distance: float
    smallest: float
    reason: str


def by_curvature(
    local: Derivatives, errors: Errors, share: float, by_ridge: float, exact_reach: Reach
) -> Curvature:
    """The bound by the curvature.

    Args:
        local: gradient at the weights, and a Hessian.
        errors: of rounding, and the longest row.
        share: the Hessian at the weights is at least this part of the given one, but for rounding.
        by_ridge: the bound by the ridge, infinite without one.
        exact_reach: returns rho. It is called where the cheap bound ``reach / sqrt(mu)`` is too
            coarse.
    """
    if not np.all(np.isfinite(local.hessian)):
        return Curvature(math.inf, 0.0, "the Hessian at the weights overflows")
    spectrum = np.linalg.eigvalsh(local.hessian)
    error = errors.hessian_error + 10 * len(spectrum) * UNIT * float(spectrum[-1])
    mu = float(spectrum[0]) - error
    if not mu > 2 * error:
        return Curvature(math.inf, 0.0, SINGULAR)
    share *= 1 - error / mu
    distance = _distance(local, errors, mu, share, by_ridge, exact_reach)
    reason = BY_CURVATURE if math.isfinite(distance) else TOO_FAR
    return Curvature(distance, share * mu, reason)


def _distance(
    local: Derivatives, errors: Errors, mu: float, share: float, by_ridge: float, exact_reach: Reach
) -> float:
    """The bound, with a Hessian at the weights of at least ``share`` times the computed one."""
    from scipy.linalg import cholesky, solve_triangular

    factor = cholesky(local.hessian, lower=True, check_finite=False)
    half = solve_triangular(factor, local.gradient, lower=True, check_finite=False)
    step = solve_triangular(factor, half, lower=True, trans=1, check_finite=False)
    decrement = float(np.linalg.norm(half)) + errors.gradient_error / math.sqrt(mu)
    nu = decrement / math.sqrt(share)
    rho = errors.reach / math.sqrt(mu * share)
    if rho * nu > COARSE:
        inverse = solve_triangular(factor, np.eye(len(factor)), lower=True, check_finite=False)
        rho = min(rho, exact_reach(inverse) / math.sqrt(share))
    largest = _largest_change(rho * nu, errors.reach * by_ridge)
    if not math.isfinite(largest):
        return math.inf
    first = float(np.linalg.norm(step)) + errors.gradient_error / mu
    return first + (_relaxed(largest) / share - 1) * decrement / math.sqrt(mu)


def _largest_change(product: float, by_ridge: float) -> float:
    """A bound on S from ``rho nu``, and from the bound by the ridge."""
    found = min(-math.log1p(-product) if product < 1 else math.inf, by_ridge)
    for _ in range(3):
        # S <= rho |d|_H <= rho nu q(S), which improves a bound that came from the ridge.
        found = min(found, product * _relaxed(found))
    return found


def _relaxed(change: float) -> float:
    """``S / (1 - exp(-S))``, at least 1."""
    if math.isinf(change):
        return math.inf
    return change / -math.expm1(-change) if change > 1e-8 else 1 + change


def _errors(objective: AnyObjective, weights: Float[Floats, " d"], sizes: RowSizes) -> Errors:
    """The longest row, and the rounding errors, from the sums of the sizes of their terms."""
    count, dimension = objective.shape
    # A margin is a sum of d products, each of at most |x_i| |w| together.
    margin = objective.doubt * (dimension + 2) * float(np.linalg.norm(weights))
    first = sizes.forces * (count + 10) + sizes.squares * margin
    ridge = 4 * float(np.linalg.norm(objective.ridge * weights))
    second = sizes.squares * (count + 20) + sizes.cubes * margin
    return Errors(
        reach=sizes.longest,
        gradient_error=float(objective.unit * (first + ridge)),
        hessian_error=float(objective.unit * (second + 4 * np.max(objective.ridge))),
    )


# One Newton step, in advance ---------------------------------------------------------------------


@backed_by("newton-residual")
def newton_residual_bound(problem: AnyProblem, start: ArrayLike) -> float:
    r"""A bound on the gradient of the oracle's objective after one Newton step, before taking it.

    Let :math:`u = X_R\delta` be the change of the margins by the step :math:`\delta`. The gradient
    after the step is the remainder of Taylor's formula,
    :math:`X_R^\top (a \circ \int_0^1 (1-t)\,\ell'''(m + tu)\,dt \circ u \circ u)` up to signs. So
    its length is at most :math:`\|A^{1/2} X_R\|_2\, |A^{-1/2} c|_2`, where :math:`c_i` is the
    smaller of two bounds on row i:

    .. math:: \tfrac12 \frac{a_i}{6\sqrt3}\, u_i^2 \quad\text{(logistic)}, \qquad
              a_i\, \ell''(m_i)\, (e^{|u_i|} - 1 - |u_i|) .

    With the first alone, and one weight for all rows, this is
    :math:`\tfrac12 \gamma \|X_R\|_2 |u \circ u|_2` times the weight, with
    :math:`\gamma = 1/(6\sqrt3)`. The Newton step may come from any start. Divided by the smallest
    ridge it bounds the distance to the oracle.

    Args:
        problem: with the logistic or the exponential loss.
        start: the weights from which the step is taken.
    Returns: the bound, computed in float64 and widened by ``1 + 1e-12`` only.
    Raises: ``ValueError`` for another loss, or where the Hessian at the start is singular.
    Source: the first part sharpens Guo et al., 2020, Corollary 1; the second is new. Claim:
        ``newton-residual`` (the first part).
    """
    objective = kept(problem)
    if not isinstance(objective, Margins):
        kind = type(problem).__name__
        raise TypeError(
            f"problem must have two classes, and rows in memory, for this bound, got a {kind}"
        )
    if not objective.steady:
        raise ValueError(
            f"loss must be logistic or exponential for this bound, got {objective.loss.name!r}"
        )
    point = vector("start", problem, start)
    return residual_bound(objective, point, newton_direction(objective.local(point)))


def residual_bound(
    objective: Margins, start: Float[Floats, " d"], step: Float[Floats, " d"]
) -> float:
    """:func:`newton_residual_bound`, with the step already known."""
    change = np.abs(objective.features @ step)
    _, curvature = slopes(objective.loss, objective.margins(start))
    with np.errstate(over="ignore"):
        rows = curvature * (np.expm1(change) - change)
    if objective.loss == losses.logistic:
        rows = np.minimum(rows, THIRD_DERIVATIVE / 2 * change**2)
    present = objective.weight > 0
    length = np.sqrt(np.sum(objective.weight[present] * rows[present] ** 2))
    largest = np.linalg.eigvalsh(objective.product(objective.weight))[-1]
    return float(math.sqrt(max(largest, 0.0)) * length * LAST_OPERATIONS)


def newton_direction(local: AnyPoint | Derivatives) -> Float[Floats, " d"]:
    """``-H^{-1} g``.

    Raises: ``ValueError`` where the Hessian is not positive definite.
    """
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        return -cho_solve(cho_factor(local.hessian), local.gradient)
    except (LinAlgError, ValueError):
        raise ValueError(
            "the Hessian at the weights is not positive definite, so there is no Newton step:"
            " give every coordinate a ridge, or leave out columns that depend on each other"
        ) from None
