r"""How the susceptibility grows with the number of leaves: closed forms, and fits of exponents.

At the critical noise the mean-field susceptibility is a closed form
(:func:`critical_susceptibility`). For d leaves it is a sum of powers, a constant, and terms that
vanish (:func:`critical_growth`):

.. math:: \chi = \sum_k A_k\, d^{a_k} + B + o(1), \qquad
    a_k = a - k\,\tfrac{1 - a}{2}, \quad a = 2/\nu - 1 .

The powers that grow are those with :math:`(k+1)(\nu-1) < 1`: none for :math:`\nu > 2`, one for
:math:`3/2 \le \nu < 2`, two for :math:`4/3 \le \nu < 3/2`, and so on. So
:math:`B + A\,(d^a - 1)/a` is the form for :math:`\nu \ge 3/2` only.

The peak over the noise is conjectured to have the same powers and the same B where the
susceptibility diverges. Where it has a limit, the peak need not be at the critical noise. For
(v, m, s) = (8, 16, 3) it stays elsewhere. For (16, 2, 2) its height even falls with the depth.

Measured values are fitted. There are two models of a quantity :math:`\chi` at sizes d, known with
independent errors:

* :func:`power_law`: :math:`\chi = A\, d^a`;
* :func:`approach`: a constant, and the first of the powers :math:`a_k`.

For each a the other parameters are a linear fit, weighted by the errors. *a* minimises what is
left, :math:`X^2(a)`. Its 95 % interval is where :math:`X^2(a) \le \min X^2 + 3.84` (profile
likelihood, for normal errors of known size).

Source: new for this use. The interval: Venzon & Moolgavkar, *A method for computing
profile-likelihood-based confidence intervals* (1988).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from rhm_theory.theory import mean_field
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable

QUANTILE = 3.841458820694124  # 95 % of chi-square with one degree of freedom
EXPONENTS = np.linspace(-4, 4, 8001)  # exponents sought
THEORETICAL = EXPONENTS[np.abs(EXPONENTS) < 1]  # nu > 1, so a = 2/nu - 1 is in (-1, 1)


@readable()
class Fit(NamedTuple):
    """A fitted law.

    Attributes:
        exponent: a.
        low: lower end of its 95 % interval; the end of the range sought where nothing bounds it.
            The range is -4 to 4, and -0.999 to 0.999 for two and more powers.
        high: upper end.
        amplitude: A.
        further: the amplitudes of the further powers, if any.
        offset: B; 0 of a power law.
        misfit: min X^2; where the model holds, it is about ``freedom``.
        freedom: the number of sizes less that of parameters.
    """

    exponent: float
    low: float
    high: float
    amplitude: float
    further: tuple[float, ...]
    offset: float
    misfit: float
    freedom: int


@readable()
class CriticalGrowth(NamedTuple):
    r"""The susceptibility at the critical noise, for many leaves; NaN without a transition.

    Attributes:
        exponents: :math:`a_k`, falling, in the last axis.
        amplitudes: :math:`A_k`, in the last axis.
        constant: B, the limit where no power grows (nu > 2).
        growing: the number of powers that grow.
    """

    exponents: Float[Array, "*batch terms"]
    amplitudes: Float[Array, "*batch terms"]
    constant: Float[Array, "*batch"]
    growing: Int[Array, "*batch"]


@backed_by("rhm-critical-susceptibility")
def critical_susceptibility(
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
    depth: Int[ArrayLike, "*#batch"],
) -> Float[Array, "*batch"]:
    r"""The mean-field susceptibility at the critical noise, in closed form.

    .. math:: \chi = 1 + \frac{(s-1)\left(c_0 \frac{\kappa^L - 1}{\kappa - 1} +
        c_1 \frac{\kappa^L - \lambda^L}{\lambda (F' - 1)}\right)
        - \delta^2 (\kappa^L - \lambda^{2L})}{P_L (1 - P_L)}, \qquad
        P_L = P_\infty + \delta \lambda^L, \quad \kappa = s \lambda^2 .

    :func:`rhm_theory.theory.mean_field.susceptibility` at the critical noise is the same number. It
    loses all digits at depths where F'^L times the rounding of the noise is of order 1.

    Args:
        vocabulary: as in :func:`rhm_theory.theory.mean_field.upward`, and so the other numbers.
        depth: L >= 1; depths broadcast.

    Returns: the susceptibility; NaN without a transition.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Accuracy: relative, a few eps times the depth, and times 1/(F' - 1).
    Source: new. Claim: ``rhm-critical-susceptibility``.
    """
    branching = checks.whole("branching", branching, least=2)
    at = _critical(vocabulary, rules_per_symbol, branching)
    if np.asarray(depth).dtype.kind not in "iu":
        raise TypeError(f"depth must be an integer or an array of them, got {depth!r}")
    levels = checks.require("depth", depth, lambda value: value >= 1, ">= 1")
    checks.common_shape(arguments=at.slope.shape, depth=levels.shape)
    return _critical_sum(at, branching, levels)


@backed_by("rhm-finite-size")
def critical_growth(
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
    terms: int = 2,
) -> CriticalGrowth:
    r"""Powers, amplitudes and constant of the susceptibility at the critical noise.

    .. math:: \chi = \sum_k A_k\, d^{a_k} + B + o(1), \qquad
        A_k = N \delta^k \left((1-P_\infty)^{-k-1} + (-1)^k P_\infty^{-k-1}\right) .

    Args:
        vocabulary: as in :func:`rhm_theory.theory.mean_field.upward`, and so the other numbers.
        terms: the number of powers, >= 1. All that grow are needed for an error that vanishes.

    Returns: see :class:`CriticalGrowth`. Near nu = 2 the first amplitude and the constant are large
        and of opposite sign: together they are a logarithm.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: new. Claim: ``rhm-finite-size``.
    """
    branching = checks.whole("branching", branching, least=2)
    at = _critical(vocabulary, rules_per_symbol, branching)
    order = jnp.arange(checks.whole("terms", terms, least=1))
    ratio = (branching - 1) * at.shared / (branching * at.damping**2 - 1)
    linear = (branching - 1) * at.linear / (at.damping * (at.slope - 1))
    leading = ratio + linear - at.offset**2
    nu = at.exponent[..., None]
    rest = at.rest[..., None]
    series = (1 - rest) ** (-order - 1.0) + (-1.0) ** order * rest ** (-order - 1.0)
    return CriticalGrowth(
        exponents=(order + 2) / nu - order - 1,
        amplitudes=leading[..., None] * at.offset[..., None] ** order * series,
        constant=1 - ratio / (at.rest * (1 - at.rest)),
        # NaN, where there is no transition, counts as none.
        growing=jnp.nan_to_num(jnp.ceil(1 / (at.exponent - 1)) - 1, nan=0).astype(int),
    )


class _Critical(NamedTuple):
    slope: Array
    exponent: Array
    damping: Array
    rest: Array  # P_oo
    offset: Array  # p* - P_oo
    shared: Array  # c_0
    linear: Array  # c_1


def _critical(vocabulary: ArrayLike, rules_per_symbol: ArrayLike, branching: int) -> _Critical:
    found = mean_field.criticality(
        vocabulary=vocabulary, rules_per_symbol=rules_per_symbol, branching=branching
    )
    v, m = (jnp.asarray(number, found.belief.dtype) for number in (vocabulary, rules_per_symbol))
    power = found.belief**branching
    length = sum(found.belief**k for k in range(branching))
    weight = power * (v**branching - 1) / ((v**branching - m) * power + m - 1)
    rest = (length - 1) / (length - weight)
    offset = found.belief - rest
    return _Critical(
        slope=found.slope,
        exponent=found.exponent,
        damping=found.slope / branching,
        rest=rest,
        offset=offset,
        shared=(1 - weight) * (found.belief * weight - power) / (length - weight) ** 2,
        linear=offset * weight * (1 + power - 2 * rest * weight) / length**2,
    )


def _critical_sum(at: _Critical, branching: int, depth: Array) -> Array:
    lost = at.damping**depth
    ratio = branching * at.damping**2
    grown = jnp.exp(depth * jnp.log(ratio))
    # Both quotients are geometric sums, which hold where the ratio is 1 too.
    shared = at.shared * _geometric(ratio, depth)
    linear = at.linear * at.damping ** (depth - 1) * _geometric(at.slope, depth)
    pairs = (branching - 1) * (shared + linear) - at.offset**2 * (grown - lost**2)
    state = at.rest + at.offset * lost
    return 1 + pairs / (state * (1 - state))


def _geometric(ratio: Array, count: Array) -> Array:
    """``(ratio^count - 1)/(ratio - 1)``, without cancellation near 1."""
    flat = ratio == 1
    log_ratio = jnp.log(jnp.where(flat, 2, ratio))
    return jnp.where(flat, count, jnp.expm1(count * log_ratio) / jnp.expm1(log_ratio))


def power_law(
    size: Float[ArrayLike, " n"], value: Float[ArrayLike, " n"], error: Float[ArrayLike, " n"]
) -> Fit:
    """The fit of ``A size^a``, from at least 2 sizes.

    Args: as :func:`approach`.
    Raises: as :func:`approach`.
    Source: see the module's docstring.
    """
    data = _checked(size, value, error, least=2)
    return _fit(data, lambda size, a: [size**a], EXPONENTS, constant=False)


@backed_by("rhm-finite-size", "rhm-peak-growth")
def approach(
    size: Float[ArrayLike, " n"],
    value: Float[ArrayLike, " n"],
    error: Float[ArrayLike, " n"],
    *,
    terms: int = 1,
) -> Fit:
    r"""The fit of ``B + sum_{k < terms} A_k (size^{a_k} - 1)/a_k``, from at least terms + 2 sizes.

    The powers follow from the first one, :math:`a_k = a - k (1-a)/2`, as at the transition. One
    term is the form for :math:`a \le 1/3`, two are for :math:`a \le 1/2`, and k for
    :math:`a \le k/(k+2)`. Beyond, the terms left out exceed any constant for large sizes.

    Args:
        size: positive and distinct.
        value: the quantity at each size.
        error: its standard errors, positive.
        terms: the number of powers, >= 1.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Claims: ``rhm-finite-size``, ``rhm-peak-growth``.
    """
    terms = checks.whole("terms", terms, least=1)

    def basis(size, a):
        powers = (_box_cox(size, a - k * (1 - a) / 2) for k in range(terms))
        return [np.ones_like(size * a), *powers]

    data = _checked(size, value, error, least=terms + 2)
    return _fit(data, basis, EXPONENTS if terms == 1 else THEORETICAL, constant=True)


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


def _fit(data, basis, exponents: np.ndarray, *, constant: bool) -> Fit:
    size, value, error = data
    # Another unit changes no exponent, and keeps all powers in range.
    unit = size / np.exp(np.log(size).mean())
    left = _left(unit, value, error, basis, exponents)
    best = _lowest(exponents, left)
    least = float(_left(unit, value, error, basis, np.array([best]))[0])
    low, high = (
        _crossing(exponents[::way], left[::way], best * way, least + QUANTILE) for way in (-1, 1)
    )
    solved = np.linalg.lstsq(
        np.stack(basis(size, best), -1) / error[:, None], value / error, rcond=None
    )[0]
    offset, amplitudes = (solved[0], solved[1:]) if constant else (0.0, solved)
    return Fit(
        exponent=best,
        low=float(low),
        high=float(high),
        amplitude=float(amplitudes[0]),
        further=tuple(map(float, amplitudes[1:])),
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
