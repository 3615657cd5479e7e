"""The pair of the paper at given counts, for ``evaluate``: its masses and its three minima.

The minima come from the gradient alone (:mod:`derivations.descent_ascent.measures`).
"""

from typing import NamedTuple

import mpmath

from derivations.descent_ascent import measures
from derivations.ledger.theorems import NoValue

DIGITS = 30
ALPHA_STEPS = 24  # how finely the end of descent-ascent is located


class Masses(NamedTuple):
    """A, B and a of a pair, its ridge, and the entries s and 2ε of its Gram matrix."""

    retain: mpmath.mpf
    forget: mpmath.mpf
    pretrain: mpmath.mpf
    ridge: mpmath.mpf
    own: mpmath.mpf
    cross: mpmath.mpf
    alpha: mpmath.mpf

    @property
    def gram(self) -> measures.Gram:
        """The Gram matrix of the two types."""
        return measures.Gram(self.own, self.cross, self.own)


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


def oracle_margins(system: Masses) -> tuple:
    """(x_R, y_R)."""
    return measures.oracle(system.retain, system.gram, system.ridge)


def pretrained_margins(system: Masses) -> tuple:
    """(x_D, y_D)."""
    return measures.pretrained(system.pretrain, system.alpha, system.gram, system.ridge)


def descent_ascent_margins(system: Masses) -> tuple:
    """(x_DA, y_DA): the minimum continued from the oracle by raising α.

    Raises: ``ValueError`` beyond the fold, where there is no such minimum. It says where that is.
    """
    try:
        return _ascended(system, 1)
    except NoValue as error:
        step = next(step for step in range(1, ALPHA_STEPS + 1) if not _exists(system, step))
        last, first = (system.alpha * part / ALPHA_STEPS for part in (step - 1, step))
        raise ValueError(
            f"the minimum of descent-ascent ends between alpha = {mpmath.nstr(last, 3)} and "
            f"{mpmath.nstr(first, 3)} at ridge = {mpmath.nstr(system.ridge, 4)} and these "
            f"counts, got alpha = {mpmath.nstr(system.alpha, 4)}: lower alpha or raise ridge"
        ) from error


def _ascended(system: Masses, share) -> tuple:
    return measures.descent_ascent(system.retain, share * system.forget, system.gram, system.ridge)


def _exists(system: Masses, step: int) -> bool:
    """Whether descent-ascent has its minimum at so many parts of the forget mass."""
    try:
        _ascended(system, mpmath.mpf(step) / ALPHA_STEPS)
    except NoValue:
        return False
    return True
