"""Numbers for ``evaluate``: stationary points of the pair in 30 digits.

They come from the gradient alone, by Newton's method. So they are independent of closed forms.
"""

from typing import NamedTuple

import mpmath

DIGITS = 30
CONTINUATION_STEPS = 24


class Masses(NamedTuple):
    """A, B and a of a pair, its ridge, and the entries s and 2ε of its Gram matrix."""

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
    """The masses at ``parameters``. Those not given are taken from :data:`REFERENCE`.

    Raises: ``TypeError`` for an unknown name. ``ValueError`` if a value is not > 0 (``alpha`` may
        be 0: nothing is forgotten), or if ``correlation`` is not below 1.
    """
    unknown = parameters.keys() - REFERENCE.keys()
    if unknown:
        raise TypeError(
            f"unknown parameter {', '.join(sorted(unknown))}; known: {', '.join(REFERENCE)}"
        )
    given = {name: mpmath.mpf(value) for name, value in (REFERENCE | parameters).items()}
    for name, value in given.items():
        zero_is_fine = name == "alpha"
        if not (0 < value < mpmath.inf or (zero_is_fine and value == 0)):
            bound = ">= 0" if zero_is_fine else "> 0"
            raise ValueError(f"{name} must be finite and {bound}, got {parameters[name]!r}")
    correlation = given["correlation"]
    if correlation >= 1:
        raise ValueError(f"correlation must be < 1, got {parameters['correlation']!r}")
    retain_size = given["retain_size"]
    forget_size = given["forget_size"]
    retain_in_pair = given["retain_in_pair"]
    return Masses(
        retain=retain_in_pair / retain_size,
        forget=given["alpha"] * retain_in_pair / forget_size,
        pretrain=retain_in_pair / (retain_size + forget_size),
        ridge=given["ridge"],
        own=1 + correlation**2,
        cross=2 * correlation,
        alpha=given["alpha"],
    )


def lambertw(z):
    """W_0(z), a real number."""
    return mpmath.lambertw(z).real


def stationary(retain, forget, system: Masses, start=(0, 0)):
    """Margins (x, y) at which ``retain e^{-x} + forget e^{-y} + ridge |w|²/2`` is stationary.

    Newton's method from ``start``. mpmath's ``ValueError`` if it finds no root.
    """

    def equations(x, y):
        on_retain = retain * mpmath.exp(-x)
        on_forget = forget * mpmath.exp(-y)
        return (
            system.ridge * x - system.own * on_retain - system.cross * on_forget,
            system.ridge * y - system.cross * on_retain - system.own * on_forget,
        )

    def jacobian(x, y):
        on_retain = retain * mpmath.exp(-x)
        on_forget = forget * mpmath.exp(-y)
        return mpmath.matrix(
            [
                [system.ridge + system.own * on_retain, system.cross * on_forget],
                [system.cross * on_retain, system.ridge + system.own * on_forget],
            ]
        )

    tolerance = mpmath.mpf(10) ** (8 - 2 * DIGITS)
    return tuple(mpmath.findroot(equations, start, J=jacobian, tol=tolerance, maxsteps=200))


def oracle(system: Masses):
    """(x_R, y_R), continued from a ridge so large that 0 is a good start."""
    return _shrinking_ridge(system.retain, mpmath.mpf(0), system)


def pretrain(system: Masses):
    """(x_D, y_D)."""
    return _shrinking_ridge(system.pretrain, system.alpha * system.pretrain, system)


def descent_ascent(system: Masses):
    """(x_DA, y_DA): the minimum continued from the oracle by raising α.

    Raises: ``ValueError`` beyond the fold, where there is no such minimum. It says where that is.
    """
    point = oracle(system)
    for step in range(1, CONTINUATION_STEPS + 1):
        share = mpmath.mpf(step) / CONTINUATION_STEPS
        try:
            point = stationary(system.retain, -system.forget * share, system, point)
        except (ValueError, ZeroDivisionError) as error:
            last = system.alpha * (step - 1) / CONTINUATION_STEPS
            first = system.alpha * step / CONTINUATION_STEPS
            raise ValueError(
                f"the minimum of descent-ascent ends between alpha = {mpmath.nstr(last, 3)} and "
                f"{mpmath.nstr(first, 3)} at ridge = {mpmath.nstr(system.ridge, 4)} and these "
                f"counts, got alpha = {mpmath.nstr(system.alpha, 4)}: lower alpha or raise ridge"
            ) from error
    return point


def _shrinking_ridge(retain, forget, system: Masses):
    ridge = max(system.ridge, 10 * (retain + forget))
    point = (mpmath.mpf(0), mpmath.mpf(0))
    while True:
        point = stationary(retain, forget, system._replace(ridge=ridge), point)
        if ridge == system.ridge:
            return point
        ridge = max(system.ridge, ridge / 3)
