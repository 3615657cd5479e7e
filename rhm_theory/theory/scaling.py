r"""Fits of exponents: the power of the number of leaves with which a quantity grows or converges.

There are two models of a quantity :math:`\chi` at sizes d, known with independent errors:

* :func:`power_law`: :math:`\chi = A\, d^a`;
* :func:`approach`: :math:`\chi = B + A\,(d^a - 1)/a` (for a = 0 a logarithm).

At the transition the susceptibility is a geometric sum over the levels of the tree. So beyond the
first levels it has the form of :func:`approach`, in mean field with :math:`a = 2/\nu - 1`. It
diverges for :math:`a \ge 0` and converges to :math:`B - A/a` for a < 0. The same holds for its peak
over the noise if the peak moves to the transition. It always does so where the susceptibility
diverges. Otherwise it may not: for (v, m, s) = (8, 16, 3) the peak stays elsewhere, and for
(16, 2, 2) its height even falls with the depth.

For each a the other parameters are a linear fit, weighted by the errors. *a* minimises what is
left, :math:`X^2(a)`. Its 95 % interval is where :math:`X^2(a) \le \min X^2 + 3.84` (profile
likelihood, for normal errors of known size).

Source: new for this use. The interval: Venzon & Moolgavkar, *A method for computing
profile-likelihood-based confidence intervals* (1988).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Float

from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable

QUANTILE = 3.841458820694124  # 95 % of chi-square with one degree of freedom
EXPONENTS = np.linspace(-4, 4, 8001)  # exponents sought


@readable()
class Fit(NamedTuple):
    """A fitted law.

    Attributes:
        exponent: a.
        low: lower end of its 95 % interval; -4, the end of the range sought, where nothing bounds
            it.
        high: upper end; 4 where nothing bounds it.
        amplitude: A.
        offset: B; 0 of a power law.
        misfit: min X^2; where the model holds, it is about ``freedom``.
        freedom: the number of sizes less that of parameters.
    """

    exponent: float
    low: float
    high: float
    amplitude: float
    offset: float
    misfit: float
    freedom: int


def power_law(
    size: Float[ArrayLike, " n"], value: Float[ArrayLike, " n"], error: Float[ArrayLike, " n"]
) -> Fit:
    """The fit of ``A size^a``, from at least 2 sizes.

    Args: as :func:`approach`.
    Raises: as :func:`approach`.
    Source: see the module's docstring.
    """
    return _fit(_checked(size, value, error, least=2), lambda size, a: [size**a])


@backed_by("rhm-finite-size")
def approach(
    size: Float[ArrayLike, " n"], value: Float[ArrayLike, " n"], error: Float[ArrayLike, " n"]
) -> Fit:
    """The fit of ``B + A (size^a - 1)/a``, from at least 3 sizes.

    Args:
        size: positive and distinct.
        value: the quantity at each size.
        error: its standard errors, positive.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Claim: ``rhm-finite-size``.
    """
    return _fit(
        _checked(size, value, error, least=3),
        lambda size, a: [np.ones_like(size * a), _box_cox(size, a)],
    )


def _box_cox(size, a):
    """``(size^a - 1)/a``, the logarithm at a = 0, without cancellation."""
    flat = np.where(a == 0, 1, a)
    return np.where(a == 0, np.log(size), np.expm1(flat * np.log(size)) / flat)


def _checked(size, value, error, *, least: int) -> list[Float[np.ndarray, " sizes"]]:
    checks.concrete("a fit", size, value, error)
    arrays = {
        "size": checks.positive("size", size),
        "value": checks.finite("value", value),
        "error": checks.positive("error", error),
    }
    count = np.size(size)
    for name, array in arrays.items():
        if array.shape != (count,):
            raise ValueError(
                f"{name} must have shape ({count},), as size has entries, got {array.shape}"
            )
    if len(np.unique(size)) < max(least, count):
        raise ValueError(
            f"size must be at least {least} distinct numbers, got {np.asarray(size).tolist()}"
        )
    size, value, error = (np.asarray(array, np.float64) for array in arrays.values())
    # The range must hold powers up to 4 either way of size/mean, and squares over errors.
    if np.ptp(np.log(size)) > 100:
        raise ValueError(f"size must span less than a factor of 1e43, got {size.tolist()}")
    if np.max(np.abs(value) + 1) / np.min(error) > 1e60:
        raise ValueError(
            f"error must not be below 1e-60 of the values and of 1, got {error.tolist()}"
        )
    return [size, value, error]


def _fit(data, basis) -> Fit:
    size, value, error = data
    # Another unit changes no exponent, and keeps all powers in range.
    unit = size / np.exp(np.log(size).mean())
    left = _left(unit, value, error, basis, EXPONENTS)
    best = _lowest(EXPONENTS, left)
    least = float(_left(unit, value, error, basis, np.array([best]))[0])
    low, high = (
        _crossing(EXPONENTS[::way], left[::way], best * way, least + QUANTILE) for way in (-1, 1)
    )
    solved = np.linalg.lstsq(
        np.stack(basis(size, best), -1) / error[:, None], value / error, rcond=None
    )[0]
    amplitude = solved[-1]
    offset = solved[0] if len(solved) == 2 else 0.0
    return Fit(
        exponent=best,
        low=float(low),
        high=float(high),
        amplitude=float(amplitude),
        offset=float(offset),
        misfit=least,
        freedom=len(size) - len(solved) - 1,
    )


def _left(size, value, error, basis, exponents) -> Float[np.ndarray, " exponents"]:
    """X^2 at each exponent, the linear parameters fitted."""
    columns = np.stack(np.broadcast_arrays(*basis(size, exponents[:, None])), -1) / error[:, None]
    target = (value / error)[:, None]
    return np.sum((columns @ (np.linalg.pinv(columns) @ target) - target) ** 2, (-1, -2))


def _lowest(places, values) -> float:
    """The minimum of the parabola through the smallest value and its neighbours.

    An end of the range if that has the smallest value.
    """
    at = int(np.argmin(values))
    if at in (0, len(values) - 1):
        return float(places[at])
    before, here, after = values[at - 1 : at + 2]
    curvature = before - 2 * here + after
    return float(
        places[at]
        + (places[at + 1] - places[at])
        * ((before - after) / (2 * curvature) if curvature > 0 else 0)
    )


def _crossing(places, values, start: float, level: float) -> float:
    """Where ``values`` first exceed ``level``, on the way from ``start``.

    The last place if they never do. Places go up or down.
    """
    way = np.sign(places[1] - places[0])
    beyond = np.flatnonzero((way * places > start) & (values > level))
    if not len(beyond):
        return places[-1]
    at = beyond[0]
    if at == 0 or values[at - 1] > level:
        return places[at]
    return places[at - 1] + (places[at] - places[at - 1]) * (level - values[at - 1]) / (
        values[at] - values[at - 1]
    )
