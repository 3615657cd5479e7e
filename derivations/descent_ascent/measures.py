"""Numbers that the searches compare statements with: minima of margin losses, from gradients alone.

No closed form of the ledger is used. A coordinate is bisected. A pair is solved by damped Newton
steps on ``λ m = K (c φ(m))``, and the minimum of descent-ascent is continued from the oracle. All
numbers are mpmath's, at the precision that is set when a function is called.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import mpmath
from mpmath import mpf

from derivations.ledger.theorems import NoValue

NEWTON_STEPS = 400
SMALLEST_MOVE = mpf("1e-7")  # of the forget mass, when the minimum is continued


class MarginLoss(NamedTuple):
    """φ = -ℓ' of a margin loss, with its first two derivatives. ``decreases`` says if φ does."""

    name: str
    phi: Callable
    slope: Callable
    second: Callable
    decreases: bool = True


def _logistic(m):
    return mpmath.mpf(1) / (1 + mpmath.exp(m)) if m < 0 else mpmath.exp(-m) / (1 + mpmath.exp(-m))


EXPONENTIAL = MarginLoss(
    name="exponential",
    phi=lambda m: mpmath.exp(-m),
    slope=lambda m: -mpmath.exp(-m),
    second=lambda m: mpmath.exp(-m),
)
LOGISTIC = MarginLoss(
    name="logistic",
    phi=_logistic,
    slope=lambda m: -_logistic(m) * _logistic(-m),
    second=lambda m: _logistic(m) * _logistic(-m) * (_logistic(-m) - _logistic(m)),
)
# φ = e^-m + 1/2: decreasing, convex, bounded away from 0 to the right.
RAISED = MarginLoss(
    name="exponential plus linear",
    phi=lambda m: mpmath.exp(-m) + mpf(1) / 2,
    slope=lambda m: -mpmath.exp(-m),
    second=lambda m: mpmath.exp(-m),
)
# φ = π/2 - arctan m: decreasing with a heavy tail.
HEAVY = MarginLoss(
    name="heavy tail",
    phi=lambda m: mpmath.pi / 2 - mpmath.atan(m) if m < 0 else mpmath.atan2(1, m),
    slope=lambda m: -1 / (1 + m * m),
    second=lambda m: 2 * m / (1 + m * m) ** 2,
)
# φ > 0 that does not decrease: for searches without that hypothesis.
WAVY = MarginLoss(
    name="wavy",
    phi=lambda m: 1 + mpf(9) / 10 * mpmath.sin(20 * m),
    slope=lambda m: 18 * mpmath.cos(20 * m),
    second=lambda m: -360 * mpmath.sin(20 * m),
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
    :class:`NoValue` if there is none.
    """

    def slope(w):
        return ridge * w - signed_mass * loss.phi(w)

    def curvature(w):
        return ridge - signed_mass * loss.slope(w)

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
        settled = _size(move) <= 8 * mpmath.eps * (1 + _size((x, y)))
        if settled or share < mpf("1e-12"):
            break
        (x, y), residual = new, left
    largest = max(abs(ridge * x), abs(ridge * y), abs(masses[0] * loss.phi(x)) * abs(gram.uu))
    if _size(residual) > mpmath.sqrt(mpmath.eps) * (largest + ridge):
        raise NoValue("Newton's steps do not settle")
    return x, y


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


def descent_ascent(
    retain_mass, forget_mass, gram: Gram, ridge, loss: MarginLoss = EXPONENTIAL
) -> tuple:
    """(x_DA, y_DA): the minimum continued from the oracle by raising the forget mass.

    Steps are halved until Newton's method stays close and det H > 0.
    :class:`NoValue` beyond the fold.
    """
    point = oracle(retain_mass, gram, ridge, loss)
    done, step = mpf(0), mpf(1)
    while done < 1:
        step = min(step, 1 - done)
        new = _continued(retain_mass, forget_mass * (done + step), gram, ridge, loss, point)
        if new is None:
            step /= 2
            if step < SMALLEST_MOVE:
                raise NoValue("descent-ascent has lost its minimum")
            continue
        point, done, step = new, done + step, step * 2
    return point


def _continued(retain_mass, forget_mass, gram: Gram, ridge, loss: MarginLoss, start):
    """The minimum near ``start``, None if Newton's method goes elsewhere."""
    try:
        found = margins((retain_mass, -forget_mass), gram, ridge, loss, start)
    except NoValue:
        return None
    far = max(abs(found[0] - start[0]), abs(found[1] - start[1]))
    determinant = reduced_determinant(retain_mass, forget_mass, gram, ridge, loss, *found)
    return found if determinant > 0 and far < mpf(1) / 2 else None
