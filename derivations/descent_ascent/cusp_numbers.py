"""The logistic cusp in mpmath numbers, from the gradient alone: what the searches compare with.

The curve of stationary points of one retain mass A is followed by q = ln Q with Q = B φ(y)/λ. A
fold is where B is extremal along it, and a cusp is where its first two derivatives vanish. These
are taken by differences. No formula for a fold or a cusp is used.
"""

from typing import NamedTuple

import mpmath

from derivations.descent_ascent import measures
from derivations.ledger.theorems import NoValue


class Cusp(NamedTuple):
    """A/λ and B/λ at a cusp, the margins x and y, and P = A φ(x)/λ."""

    retain: object
    forget: object
    x: object
    y: object
    retain_dual: object


def margin_of_retained(correlation, retain, forget_dual):
    """x with ``x = (1 + ε²) A φ(x) - 2ε Q``, at ridge 1: left minus right increases."""
    own, cross = 1 + correlation**2, 2 * correlation

    def excess(x):
        return x + cross * forget_dual - own * retain / (1 + mpmath.exp(x))

    def rise(x):
        sigmoid = 1 / (1 + mpmath.exp(-x))
        return 1 + own * retain * sigmoid * (1 - sigmoid)

    low = -cross * forget_dual
    return measures.root_between(excess, rise, low, low + own * retain)


def stationary_with(correlation, log_retain, log_forget_dual) -> Cusp:
    """The point of the curve of stationary points with this A and this Q, cusp or not."""
    retain, forget_dual = mpmath.exp(log_retain), mpmath.exp(log_forget_dual)
    x = margin_of_retained(correlation, retain, forget_dual)
    retain_dual = retain / (1 + mpmath.exp(x))
    y = 2 * correlation * retain_dual - (1 + correlation**2) * forget_dual
    return Cusp(retain, forget_dual * (1 + mpmath.exp(y)), x, y, retain_dual)


def cusp(correlation, start: tuple, scale=1) -> Cusp:
    """The cusp near ``start`` = (x, y), by secants in ln A and q.

    ``scale`` is the size that the derivatives in q have there.
    Raises: ``NoValue`` if the steps do not settle.
    """
    own, cross = 1 + correlation**2, 2 * correlation
    x, y = map(mpmath.mpf, start)
    determinant = (1 - correlation**2) ** 2
    on_retain = (own * x - cross * y) / determinant
    forget_dual = (cross * x - own * y) / determinant

    def bends(log_retain, log_dual):
        def along(q):
            return mpmath.log(stationary_with(correlation, log_retain, q).forget)

        return (
            mpmath.diff(along, log_dual) / scale,
            mpmath.diff(along, log_dual, 2) / scale**2,
        )

    first = mpmath.log(on_retain * (1 + mpmath.exp(x))), mpmath.log(forget_dual)
    try:
        found = mpmath.findroot(bends, first, tol=mpmath.eps**1.2, maxsteps=60)
    except (ValueError, ZeroDivisionError) as error:
        raise NoValue(str(error)) from error
    return stationary_with(correlation, *found)
