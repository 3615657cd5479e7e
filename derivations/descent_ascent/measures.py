"""Numbers that the searches compare statements with: minima of margin losses, from gradients alone.

No closed form of the ledger is used. A coordinate is bisected. A pair is solved by damped Newton
steps on ``λ m = K (c φ(m))``. All stationary points of descent-ascent are sign changes along a
curve, and the first of them is the minimum that is continued from the oracle. All numbers are
mpmath's, at the precision that is set when a function is called.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import mpmath
import numpy as np
from mpmath import mpf

from derivations.ledger.theorems import NoValue

NEWTON_STEPS = 400
CURVE_POINTS = 800  # places at which a curve of stationary points is computed
CURVE_LENGTH = 60  # how far ln Q runs along it, from its least possible value


class MarginLoss(NamedTuple):
    """φ = -ℓ' of a margin loss, with its first two derivatives. ``decreases`` says if φ does.

    ``log_phi`` is ln φ on NumPy arrays, for a first search in double precision.
    """

    name: str
    phi: Callable
    slope: Callable
    second: Callable
    log_phi: Callable
    decreases: bool = True


def _logistic(m):
    return mpmath.mpf(1) / (1 + mpmath.exp(m)) if m < 0 else mpmath.exp(-m) / (1 + mpmath.exp(-m))


EXPONENTIAL = MarginLoss(
    name="exponential",
    phi=lambda m: mpmath.exp(-m),
    slope=lambda m: -mpmath.exp(-m),
    second=lambda m: mpmath.exp(-m),
    log_phi=lambda m: -m,
)
LOGISTIC = MarginLoss(
    name="logistic",
    phi=_logistic,
    slope=lambda m: -_logistic(m) * _logistic(-m),
    second=lambda m: _logistic(m) * _logistic(-m) * (_logistic(-m) - _logistic(m)),
    log_phi=lambda m: -np.logaddexp(0, m),
)
# φ = e^-m + 1/2: decreasing, convex, bounded away from 0 to the right.
RAISED = MarginLoss(
    name="exponential plus linear",
    phi=lambda m: mpmath.exp(-m) + mpf(1) / 2,
    slope=lambda m: -mpmath.exp(-m),
    second=lambda m: mpmath.exp(-m),
    log_phi=lambda m: np.logaddexp(-m, -np.log(2)),
)
# φ = π/2 - arctan m: decreasing with a heavy tail.
HEAVY = MarginLoss(
    name="heavy tail",
    phi=lambda m: mpmath.pi / 2 - mpmath.atan(m) if m < 0 else mpmath.atan2(1, m),
    slope=lambda m: -1 / (1 + m * m),
    second=lambda m: 2 * m / (1 + m * m) ** 2,
    log_phi=lambda m: np.log(np.arctan2(1, m)),
)
# φ > 0 that does not decrease: for searches without that hypothesis.
WAVY = MarginLoss(
    name="wavy",
    phi=lambda m: 1 + mpf(9) / 10 * mpmath.sin(20 * m),
    slope=lambda m: 18 * mpmath.cos(20 * m),
    second=lambda m: -360 * mpmath.sin(20 * m),
    log_phi=lambda m: np.log(1 + 0.9 * np.sin(20 * m)),
    decreases=False,
)
DECREASING = (EXPONENTIAL, LOGISTIC, RAISED, HEAVY)


class Gram(NamedTuple):
    """Products of the retained type u and the forgotten type v."""

    uu: mpf
    uv: mpf
    vv: mpf


def papers_gram(correlation) -> Gram:
    """u = (1, ε) and v = (ε, 1)."""
    return Gram(uu=1 + correlation**2, uv=2 * correlation, vv=1 + correlation**2)


def weight(signed_mass, ridge, loss: MarginLoss = EXPONENTIAL):
    """The stationary point of ``K ℓ(w) + λw²/2`` that is continued from K = 0.

    It is the only one for K >= 0. For K < 0 it is the first one below 0.
    :class:`NoValue` if there is none, or if the ridge is not positive.
    """

    def slope(w):
        return ridge * w - signed_mass * loss.phi(w)

    def curvature(w):
        return ridge - signed_mass * loss.slope(w)

    _require_ridge(ridge)
    if signed_mass == 0:
        return mpf(0)
    if signed_mass < 0 and loss is EXPONENTIAL:
        if slope(mpf(-1)) > 0:  # the slope is convex, and 0 at its minimum w > -1
            raise NoValue("descent-ascent has no minimum")
        return root_between(slope, curvature, mpf(-1), mpf(0))
    near, step = mpf(0), (mpf(1) if signed_mass > 0 else mpf(-1)) / 4
    for _ in range(400):
        if slope(near) * slope(near + step) <= 0:
            return root_between(slope, curvature, *sorted((near, near + step)))
        near, step = near + step, step * (2 if signed_mass > 0 else mpf(5) / 4)
    raise NoValue("no stationary point was met")


def _require_ridge(ridge) -> None:
    if not ridge > 0:
        raise NoValue(f"the ridge must be > 0, got {ridge}")


def root_between(function: Callable, derivative: Callable, low, high):
    """The root between ``low`` and ``high``, where the function has opposite signs.

    Newton's method, with a bisection wherever it would leave the bracket.
    """
    rising = function(high) > 0
    x = (low + high) / 2
    for _ in range(3000):
        value = function(x)
        if value == 0:
            return x
        if (value > 0) == rising:
            high = x
        else:
            low = x
        slope = derivative(x)
        new = x - value / slope if slope != 0 else low
        if not low < new < high:
            new = (low + high) / 2
        if abs(new - x) <= 4 * mpmath.eps * abs(x):
            return new
        x = new
    raise NoValue("the root was not reached")


def margins(
    masses: tuple, gram: Gram, ridge, loss: MarginLoss = EXPONENTIAL, start: Sequence = (0, 0)
) -> tuple:
    """(x, y) with ``ridge m = K (c φ(m))``, by damped Newton steps from ``start``.

    ``masses`` = (c_u, c_v): (a, αa) for pretraining, (A, 0) for the oracle, (A, -B) for
    descent-ascent. The solution is unique where both are >= 0 and φ decreases.
    :class:`NoValue` if the steps do not settle.
    """
    _require_ridge(ridge)
    x, y = mpf(start[0]), mpf(start[1])
    residual = _residual(masses, gram, ridge, loss, x, y)
    for _ in range(NEWTON_STEPS):
        move = _newton_move(masses, gram, ridge, loss, x, y, residual)
        share = mpf(1)
        while True:
            new = x - share * move[0], y - share * move[1]
            left = _residual(masses, gram, ridge, loss, *new)
            if _size(left) < _size(residual) or share < mpf("1e-12"):
                break
            share /= 2
        terms = _terms(masses, gram, ridge, loss, x, y)
        settled = all(
            abs(ridge * one) <= 8 * mpmath.eps * term for one, term in zip(move, terms, strict=True)
        )
        if settled or share < mpf("1e-12"):
            break
        (x, y), residual = new, left
    terms = _terms(masses, gram, ridge, loss, x, y)
    close = mpmath.sqrt(mpmath.eps)
    if any(abs(left) > close * term for left, term in zip(residual, terms, strict=True)):
        raise NoValue("Newton's steps do not settle")
    return x, y


def _terms(masses, gram: Gram, ridge, loss: MarginLoss, x, y) -> tuple:
    """The sizes of the terms of both equations. Steps and residuals are compared with them."""
    on_u, on_v = abs(masses[0] * loss.phi(x)), abs(masses[1] * loss.phi(y))
    return (
        abs(ridge * x) + abs(gram.uu) * on_u + abs(gram.uv) * on_v,
        abs(ridge * y) + abs(gram.uv) * on_u + abs(gram.vv) * on_v,
    )


def _residual(masses, gram: Gram, ridge, loss: MarginLoss, x, y) -> tuple:
    on_u, on_v = masses[0] * loss.phi(x), masses[1] * loss.phi(y)
    return (
        ridge * x - gram.uu * on_u - gram.uv * on_v,
        ridge * y - gram.uv * on_u - gram.vv * on_v,
    )


def _newton_move(masses, gram: Gram, ridge, loss: MarginLoss, x, y, residual) -> tuple:
    on_u, on_v = masses[0] * loss.slope(x), masses[1] * loss.slope(y)
    xx, xy = ridge - gram.uu * on_u, -gram.uv * on_v
    yx, yy = -gram.uv * on_u, ridge - gram.vv * on_v
    determinant = xx * yy - xy * yx
    if determinant == 0:
        raise NoValue("the Hessian is singular")
    return (
        (yy * residual[0] - xy * residual[1]) / determinant,
        (xx * residual[1] - yx * residual[0]) / determinant,
    )


def _size(pair: Sequence):
    return max(abs(pair[0]), abs(pair[1]))


def oracle(retain_mass, gram: Gram, ridge, loss: MarginLoss = EXPONENTIAL) -> tuple:
    """(x_R, y_R): the oracle's margins."""
    return margins((retain_mass, mpf(0)), gram, ridge, loss)


def pretrained(pretrain_mass, alpha, gram: Gram, ridge, loss: MarginLoss = EXPONENTIAL) -> tuple:
    """(x_D, y_D): the pretrained model's margins."""
    return margins((pretrain_mass, alpha * pretrain_mass), gram, ridge, loss)


def reduced_determinant(retain_mass, forget_mass, gram: Gram, ridge, loss: MarginLoss, x, y):
    """det H/λ² of descent-ascent on the span of u and v: positive at a minimum."""
    h_u = -retain_mass * loss.slope(x) / ridge
    h_v = -forget_mass * loss.slope(y) / ridge
    determinant = gram.uu * gram.vv - gram.uv**2
    return 1 + gram.uu * h_u - gram.vv * h_v - determinant * h_u * h_v


class Curve(NamedTuple):
    """Stationary points over a grid of forget duals Q, in double precision.

    ``excess`` is ``ln(λQ) - ln φ(y) - ln B``: it is 0 at the points of the forget mass B.
    """

    x: np.ndarray
    y: np.ndarray
    excess: np.ndarray


def curve(
    retain_mass,
    forget_mass,
    gram: Gram,
    ridge,
    loss: MarginLoss = EXPONENTIAL,
    *,
    before: float = 1,
) -> Curve:
    """For each Q the x with ``x = k11 P - k12 Q`` and ``λP = A φ(x)``, by bisection in ln P.

    As y falls with Q, φ(y) is at least φ(y_R): so no point has a smaller Q than B φ(y_R)/λ. The
    grid starts at that Q, less ``before`` in ln Q.
    """
    uu, uv, vv = (float(entry) for entry in gram)
    _, y_oracle = oracle(retain_mass, gram, ridge, loss)
    least = float(mpmath.log(forget_mass / ridge) + mpmath.log(loss.phi(y_oracle)))
    points = round(CURVE_POINTS * (1 + before / CURVE_LENGTH))
    log_q = least + np.linspace(-before, CURVE_LENGTH, points)
    log_scale = float(mpmath.log(retain_mass / ridge))
    with np.errstate(all="ignore"):
        duals = np.exp(log_q)
        log_p = bisected(
            lambda p: p - log_scale - loss.log_phi(uu * np.exp(p) - uv * duals), log_q.shape
        )
        x = uu * np.exp(log_p) - uv * duals
        y = uv * np.exp(log_p) - vv * duals
        excess = log_q - loss.log_phi(y) - float(mpmath.log(forget_mass / ridge))
    return Curve(x, y, excess)


def bisected(function: Callable, shape: tuple) -> np.ndarray:
    """The roots of functions that increase, between -700 and 700, all at once."""
    low, high = np.full(shape, -700.0), np.full(shape, 700.0)
    for _ in range(60):
        middle = (low + high) / 2
        below = function(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def stationary_points(
    retain_mass, forget_mass, gram: Gram, ridge, loss: MarginLoss = EXPONENTIAL
) -> list[tuple]:
    """All stationary points (x, y) of descent-ascent, by falling y.

    They are the sign changes of the curve's excess. Newton's steps bring them to full precision.
    """
    found = curve(retain_mass, forget_mass, gram, ridge, loss)
    signs = np.sign(found.excess)
    changes = np.flatnonzero(np.isfinite(found.excess[1:]) & (signs[:-1] * signs[1:] < 0))
    return [
        margins((retain_mass, -forget_mass), gram, ridge, loss, _between(found, index))
        for index in changes
    ]


def _between(found: Curve, index: int) -> tuple:
    before, after = abs(found.excess[index]), abs(found.excess[index + 1])
    share = before / (before + after)
    return tuple(
        mpf(float(side[index] + share * (side[index + 1] - side[index])))
        for side in (found.x, found.y)
    )


def descent_ascent(
    retain_mass, forget_mass, gram: Gram, ridge, loss: MarginLoss = EXPONENTIAL
) -> tuple:
    """(x_DA, y_DA): the minimum continued from the oracle by raising the forget mass.

    It is the first point of the curve, if the forget mass rises from 0 up to it.
    :class:`NoValue` beyond the fold.
    """
    if forget_mass == 0:
        return oracle(retain_mass, gram, ridge, loss)
    found = curve(retain_mass, forget_mass, gram, ridge, loss, before=CURVE_LENGTH)
    beyond = np.flatnonzero(found.excess >= 0)
    if not beyond.size or np.any(np.diff(found.excess[: beyond[0] + 1]) < 0):
        raise NoValue("descent-ascent has lost its minimum")
    start = _between(found, int(beyond[0]) - 1)
    point = margins((retain_mass, -forget_mass), gram, ridge, loss, start)
    if reduced_determinant(retain_mass, forget_mass, gram, ridge, loss, *point) <= 0:
        raise NoValue("descent-ascent has lost its minimum")
    return point
