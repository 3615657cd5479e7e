"""Numbers of one coordinate, for the searches: Lambert W, stationary points, times of the flow.

Roots come from bisection, derivatives from difference quotients of the objective, times from
quadrature of 1/velocity. No closed form of the ledger is used.
"""

import itertools
from collections.abc import Callable

import mpmath
import numpy as np
from mpmath import mpf

from derivations.descent_ascent import measures
from derivations.ledger.theorems import NoValue

LARGEST_EXPONENT = 10**5  # e^x is iterated only for smaller x
EXTRA_DIGITS = 15


def finely(function: Callable) -> Callable:
    """``function`` at twice the working precision: roots of w e^w = z are double at w = -1."""

    def computed(*arguments, **named):
        with mpmath.workdps(2 * mpmath.mp.dps + EXTRA_DIGITS):
            return function(*arguments, **named)

    return computed


def derivative(function: Callable, at, order: int = 1):
    """The derivative of that order, by a difference quotient. mpmath doubles the precision."""
    if at == 0:
        return mpmath.diff(function, mpf(0), order)
    in_shares = mpmath.diff(lambda share: function(at * (1 + share)), mpf(0), order)
    return in_shares / at**order


def inverse(z, branch: int):
    """The w with w e^w = z: w >= -1 for branch 0, w <= -1 for branch -1."""

    def excess(w):
        return w * mpmath.exp(w) - z

    def slope(w):
        return (1 + w) * mpmath.exp(w)

    if isinstance(z, mpmath.mpc):
        raise NoValue("z must be real")
    if z == 0 and branch == 0:
        return mpf(0)
    low, high = mpf(-1), mpf(-1)
    least = excess(mpf(-1))
    if abs(least) <= 4 * mpmath.eps:  # z = -1/e, up to rounding
        return mpf(-1)
    if least > 0:
        raise NoValue("w e^w = z has no root")
    if branch == 0 and z > 1:
        return _inverse_of_large(z)
    step = mpf(1)
    while branch == 0 and excess(high) < 0:
        high += step
    while branch == -1 and excess(low) < 0:
        low -= step
        step *= 2
        if z >= 0:
            raise NoValue("branch -1 has z < 0")
    return measures.root_between(excess, slope, low, high)


def _inverse_of_large(z):
    """The root of w + ln w = ln z, by bisection in logarithms."""
    log_z = mpmath.log(z)
    return measures.root_between(
        lambda w: w + mpmath.log(w) - log_z, lambda w: 1 + 1 / w, mpf(1) / 2, 1 + log_z
    )


def side(weight) -> int:
    """The branch on which ``weight`` is a value of W."""
    return 0 if weight >= -1 else -1


def exponential_loss(w):
    """e^-w."""
    return mpmath.exp(-w)


def logistic_loss(w):
    """log(1 + e^-w)."""
    return mpmath.log1p(mpmath.exp(-w)) if w > 0 else -w + mpmath.log1p(mpmath.exp(w))


def one_weight_objective(mass, ridge, loss: Callable = exponential_loss) -> Callable:
    """The function ``K ℓ(w) + λw²/2`` of w."""
    return lambda w: mass * loss(w) + ridge * w**2 / 2


def zeros_of_slope(mass, ridge) -> list:
    """All zeros of ``λw - K e^-w``, from the left to the right, by bisection.

    For K < 0 this slope falls, and then rises. Its least value decides how many zeros there are.
    """

    def slope(w):
        return ridge * w - mass * mpmath.exp(-w)

    def curvature(w):
        return ridge + mass * mpmath.exp(-w)

    if mass >= 0:
        return [measures.weight(mass, ridge)]
    if ridge <= 0:
        raise NoValue("the ridge must be positive")
    reach = mpf(1)
    while curvature(-reach) > 0 or curvature(reach) < 0:
        reach *= 2
    least = measures.root_between(curvature, lambda w: -mass * mpmath.exp(-w), -reach, reach)
    if slope(least) > 0:
        return []
    left, right = least - 1, max(least + 1, mpf(0))
    while slope(left) < 0:
        left = least - 2 * (least - left)
    return [
        measures.root_between(slope, curvature, left, least),
        measures.root_between(slope, curvature, least, right),
    ]


def sign_changes(function: Callable, points) -> int:
    """How often ``function`` changes its sign along ``points``; a zero counts as positive."""
    signs = [function(point) >= 0 for point in points]
    return sum(one != other for one, other in itertools.pairwise(signs))


def both_signs(largest, count: int = 60) -> list:
    """0 and ``count`` numbers of either sign, evenly spread in logarithms up to ``largest``."""
    sizes = [largest * mpf(10) ** (-40 + 40 * mpf(k) / count) for k in range(1, count + 1)]
    return [*(-size for size in reversed(sizes)), mpf(0), *sizes]


def least_value(function: Callable, low, high):
    """The least value of a function that falls and then rises, by thirds of the interval.

    The place has a third of the digits, so the value has two thirds of them.
    """
    for _ in range(2 * mpmath.mp.dps + 20):
        third = (high - low) / 3
        if function(low + third) < function(high - third):
            high = high - third
        else:
            low = low + third
    return function((low + high) / 2)


def steps_down(mass, ridge, weight, step_size, steps: int):
    """The weight after ``steps`` gradient steps on ``K e^-w + λw²/2``."""
    for done in range(steps):
        if done and (-weight > LARGEST_EXPONENT or weight > 10**30):
            raise NoValue("the next exponential is too large")
        weight = weight - step_size * (ridge * weight - mass * mpmath.exp(-weight))
    return weight


def time_to_minus_infinity(start, log_kappa) -> float:
    """∫ dw/(w + κ e^-w) from -oo to ``start``: λ times the flow's time, in double precision.

    Simpson's rule in t, for w = ln κ + s sinh t with s the width of the slow place.
    """
    excess = float(1 + log_kappa)
    if excess <= 0:
        raise NoValue("the flow stops at a stationary point")
    width = min(1.0, np.sqrt(excess))
    first = -60.0 - np.log1p(excess)
    last = float(start - log_kappa)
    if last <= first:
        raise NoValue("the rest of the time is below double precision")
    t = np.linspace(np.arcsinh(first / width), np.arcsinh(last / width), 20001)
    u = width * np.sinh(t)
    # u - 1 + e^-u without cancellation near 0.
    bowl = np.where(np.abs(u) < 1e-3, u**2 / 2 - u**3 / 6 + u**4 / 24, u + np.expm1(-u))
    integrand = width * np.cosh(t) / (excess + bowl)
    weights = np.ones_like(t)
    weights[1:-1:2] = 4
    weights[2:-1:2] = 2
    return float((t[1] - t[0]) / 3 * np.sum(weights * integrand))


@finely
def time_between(high, low):
    """∫ ds/(s - 1 + e^-s) from ``low`` to ``high`` > ``low``, in ln s by Gauss and Legendre."""

    def integrand(log_s):
        s = mpmath.exp(log_s)
        return s / (s + mpmath.expm1(-s))

    if low <= 0 or high <= 0:
        raise NoValue("the flow does not leave w = -1")
    if high / low > 10**7:
        raise NoValue("too many decades for the quadrature")
    ends = mpmath.linspace(mpmath.log(low), mpmath.log(high), 9)
    return mpmath.quad(integrand, ends, method="gauss-legendre", maxdegree=5)


@finely
def time_below(start):
    """∫ ds/(e^s - 1 - s) from ``start`` to oo, in ln s. Beyond 400 + start it is below e^-400."""

    def integrand(log_s):
        s = mpmath.exp(log_s)
        return s / (mpmath.expm1(s) - s)

    if start <= 0:
        raise NoValue("the flow does not leave w = -1")
    ends = mpmath.linspace(mpmath.log(start), mpmath.log(400 + start), 13)
    return mpmath.quad(integrand, ends, method="gauss-legendre", maxdegree=5)
