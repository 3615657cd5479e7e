"""Numbers for ``evaluate``: stationary points of the pair in 30 digits, from the gradient alone, independent of every closed form."""

from typing import NamedTuple

import mpmath

DIGITS = 30
CONTINUATION_STEPS = 24


class Masses(NamedTuple):
    """A, B and a of a pair, its ridge and the entries s and 2ε of its Gram matrix."""

    retain: mpmath.mpf
    forget: mpmath.mpf
    pretrain: mpmath.mpf
    ridge: mpmath.mpf
    own: mpmath.mpf
    cross: mpmath.mpf
    alpha: mpmath.mpf


REFERENCE = {
    "correlation": 0.5,
    "ridge": 0.1,
    "retain_size": 80,
    "forget_size": 20,
    "retain_in_pair": 8,
    "alpha": 0.1,
}


def masses(**parameters) -> Masses:
    """The masses at ``parameters``, those not given taken from the first reference system of the facts."""
    unknown = parameters.keys() - REFERENCE.keys()
    if unknown:
        raise TypeError(
            f"unknown parameter {', '.join(sorted(unknown))}; known: {', '.join(REFERENCE)}"
        )
    given = {name: mpmath.mpf(value) for name, value in (REFERENCE | parameters).items()}
    retain, forget, in_pair, alpha = (
        given[name] for name in ("retain_size", "forget_size", "retain_in_pair", "alpha")
    )
    correlation = given["correlation"]
    return Masses(
        in_pair / retain,
        alpha * in_pair / forget,
        in_pair / (retain + forget),
        given["ridge"],
        1 + correlation**2,
        2 * correlation,
        alpha,
    )


def lambertw(z):
    """W_0(z), a real number."""
    return mpmath.lambertw(z).real


def stationary(retain, forget, system: Masses, start=(0, 0)):
    """Margins (x, y) at which ``retain e^{-x} + forget e^{-y} + ridge |w|²/2`` is stationary, by Newton from ``start``."""

    def equations(x, y):
        on_retain, on_forget = retain * mpmath.exp(-x), forget * mpmath.exp(-y)
        return (
            system.ridge * x - system.own * on_retain - system.cross * on_forget,
            system.ridge * y - system.cross * on_retain - system.own * on_forget,
        )

    return tuple(
        mpmath.findroot(equations, start, tol=mpmath.mpf(10) ** (8 - 2 * DIGITS), maxsteps=200)
    )


def oracle(system: Masses):
    """(x_R, y_R), followed from a ridge so large that 0 is a good start."""
    return _shrinking_ridge(system.retain, mpmath.mpf(0), system)


def pretrain(system: Masses):
    """(x_D, y_D)."""
    return _shrinking_ridge(system.pretrain, system.alpha * system.pretrain, system)


def descent_ascent(system: Masses):
    """(x_DA, y_DA): the minimum continued from the oracle by raising α. ``ValueError`` beyond the fold (Newton finds no root)."""
    point = oracle(system)
    for step in range(1, CONTINUATION_STEPS + 1):
        point = stationary(system.retain, -system.forget * step / CONTINUATION_STEPS, system, point)
    return point


def _shrinking_ridge(retain, forget, system: Masses):
    ridge, point = max(system.ridge, 10 * (retain + forget)), (mpmath.mpf(0), mpmath.mpf(0))
    while True:
        point = stationary(retain, forget, system._replace(ridge=ridge), point)
        if ridge == system.ridge:
            return point
        ridge = max(system.ridge, ridge / 3)
