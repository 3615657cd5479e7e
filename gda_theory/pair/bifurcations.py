r"""Folds: where the minimum of descent-ascent merges with a saddle.

The unknown is the share :math:`\alpha` of forgotten samples.
On the curve of :mod:`gda_theory.pair.curve` a fold is :math:`h = 1`, that is
:math:`\det \nabla^2 J = 0`. For the exponential loss

.. math:: Q = \frac{1 + k_{11} P}{k_{22} + \det k\, P}, \qquad
          \log P + k_{11} P - k_{12} Q = \log(A/\lambda)

has one solution. The logistic loss has no fold or two. Its two folds begin together at a *cusp*.
Claims: ``fold-hessian``, ``fold-locus``.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Float

from gda_theory.pair import curve, model
from gda_theory.pair.curve import ASCENT, Duals, Gram
from gda_theory.pair.model import CorrelatedPair, require_pair
from gda_theory.problem import losses
from gda_theory.problem.losses import Loss
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.numerics import roots, special
from theory_common.numerics.implicit import implicit, implicit_root
from theory_common.precision import ArrayLike
from theory_common.printing.display import readable


@readable()
class FoldSet(NamedTuple):
    """The folds of a pair, in increasing order of alpha along a last axis of 2.

    The exponential loss has one fold, so the second entry is NaN. The logistic loss has two folds,
    or none, and then both entries are NaN. :attr:`critical_alpha` is the last fold that exists.
    """

    alpha: Float[AnyArray, "*batch 2"]
    log_alpha: Float[AnyArray, "*batch 2"]
    x: Float[AnyArray, "*batch 2"]
    y: Float[AnyArray, "*batch 2"]

    @property
    def critical_alpha(self) -> Float[AnyArray, "*batch"]:
        """Where the minimum that starts at the oracle ends; NaN if it never does."""
        return _last(self.alpha)

    @property
    def critical_log_alpha(self) -> Float[AnyArray, "*batch"]:
        """``log(critical_alpha)``, also where that over- or underflows."""
        return _last(self.log_alpha)


def _last(values: Array) -> Array:
    return jnp.where(jnp.isnan(values[..., 1]), values[..., 0], values[..., 1])


class _Fold(NamedTuple):
    """One fold: alpha, its logarithm, and the margins there."""

    alpha: Float[Array, "*batch"]
    log_alpha: Float[Array, "*batch"]
    x: Float[Array, "*batch"]
    y: Float[Array, "*batch"]


@jax.jit
@backed_by(
    "exponential-one-fold",
    "fold-hessian",
    "fold-condition-any-loss",
    "two-points-below-fold",
    "fold-locus-bounds",
    "small-correlation-series",
    "fold-power-law",
    "logistic-zero-or-two-folds",
    "fold-correlation-limits",
)
def folds(pair: CorrelatedPair) -> FoldSet:
    r"""Every fold of descent-ascent in alpha, at this pair's correlation, ridge and sizes.

    .. math:: h = Q\,\sigma\,\frac{k_{22} + \det k\;\rho P}{1 + k_{11}\rho P} = 1

    with the symbols of :mod:`gda_theory.pair.curve`. The folds are differentiable in the pair's
    numbers, for example in the ridge, by the implicit function theorem.

    Args:
        pair: any :class:`CorrelatedPair`; its ``forget_in_pair`` is not used.
    Returns: :class:`FoldSet`.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`.
    Accuracy: alpha to a few units of rounding of ``y`` and ``log alpha``.
    Source: Sec. 5.1.2 shows that there is a threshold; its value: new.
    Claims: ``exponential-one-fold``, ``fold-hessian``, ``fold-condition-any-loss``,
        ``two-points-below-fold``, ``fold-locus-bounds``, ``small-correlation-series``,
        ``fold-power-law``, ``logistic-zero-or-two-folds``, ``fold-correlation-limits``.
    """
    require_pair(pair)
    unit_mass = unit_forget_mass(pair)
    log_mass = curve.log_retain_mass(pair.gram, pair.ascent_masses[0], pair.ridge)
    found = curve.fold_points(pair.loss, pair.gram, log_mass)
    lower = _fold_point(pair, log_mass, unit_mass, found.lower)
    upper = _fold_point(pair, log_mass, unit_mass, found.upper)
    alone = jnp.isnan(lower.alpha)
    first = jax.tree.map(lambda low, high: jnp.where(alone, high, low), lower, upper)
    second = jax.tree.map(lambda high: jnp.where(alone, jnp.nan, high), upper)
    return FoldSet(
        alpha=jnp.stack([first.alpha, second.alpha], -1),
        log_alpha=jnp.stack([first.log_alpha, second.log_alpha], -1),
        x=jnp.stack([first.x, second.x], -1),
        y=jnp.stack([first.y, second.y], -1),
    )


def unit_forget_mass(pair: CorrelatedPair) -> Float[Array, "*batch"]:
    """``B / alpha``: the forget mass of descent-ascent at alpha = 1."""
    if pair.reduction == "mean":
        return pair.retain_in_pair / pair.forget_size
    return pair.retain_in_pair


def _fold_point(pair: CorrelatedPair, log_mass: Array, unit_mass: Array, q: Array) -> _Fold:
    # NaN marks a fold that is not there. It is put back at the end: reverse-mode derivatives would
    # spread it.
    there = ~jnp.isnan(q)
    q = _implicit_fold(pair.loss, jnp.where(there, q, 0), log_mass, pair.gram)
    point = curve.point_at(pair.loss, pair.gram, log_mass, q, ASCENT)
    unit_level = special.log_ratio(unit_mass, pair.ridge)
    log_alpha = point.level - unit_level
    # The plain product, where it neither over- nor underflows, loses no digits to the size of its
    # logarithms.
    forget_ratio = point.duals.forget_dual / jnp.exp(pair.loss.log_phi(point.y))
    plain = forget_ratio * (pair.ridge / unit_mass)
    if plain.dtype == jnp.float64:
        ordinary = (jnp.abs(point.level) < 300) & (jnp.abs(unit_level) < 300)
    else:
        ordinary = jnp.zeros_like(plain, bool)
    alpha = jnp.where(ordinary, plain, jnp.exp(jnp.where(ordinary, 0, log_alpha)))
    found = _Fold(alpha=alpha, log_alpha=log_alpha, x=point.x, y=point.y)
    return jax.tree.map(lambda value: jnp.where(there, value, jnp.nan), found)


def _implicit_fold(loss: Loss, q: Array, log_mass: Array, gram: Gram) -> Array:
    """``q``, a root of ``log h = 0``, with its implicit derivatives."""

    def log_bend(at: Array, log_mass: Array, gram: Gram) -> Array:
        return curve.log_bend(loss, gram, log_mass, at)

    return implicit_root(log_bend, jax.lax.stop_gradient(q), log_mass, gram)


@readable()
class FoldLocus(NamedTuple):
    """A point of the exponential loss's folds, in units of the ridge.

    ``retain_ratio`` is ``A/ridge``, ``forget_ratio`` is ``B/ridge`` at the fold, ``forget_dual`` is
    ``Q`` there.
    """

    retain_ratio: Float[AnyArray, "*batch"]
    forget_ratio: Float[AnyArray, "*batch"]
    forget_dual: Float[AnyArray, "*batch"]


@backed_by("fold-locus", "fold-power-law")
def fold_locus(
    retain_dual: ArrayLike,
    *,
    correlation: ArrayLike | None = None,
    gram: Sequence[ArrayLike] | None = None,
) -> FoldLocus:
    r"""All folds of the exponential loss, as a curve with the parameter P > 0.

    .. math:: Q = \frac{1 + k_{11}P}{k_{22} + \det k\,P}, \quad
              \frac A\lambda = P e^{k_{11}P - k_{12}Q}, \quad
              \frac{B}{\lambda} = Q e^{k_{12}P - k_{22}Q}, \qquad \alpha_{fold} = \frac{f}{r_p} B .

    Args:
        retain_dual: P, finite and > 0.
        correlation, gram: as in :class:`CorrelatedPair`; exactly one is given.
    Returns: :class:`FoldLocus`, broadcast over the arguments.
    Raises: ``ValueError`` or ``TypeError`` that names the argument.
    Source: new. Claims: ``fold-locus``, ``fold-power-law``.
    """
    gram, _ = model.geometry(correlation, gram)
    retain_dual = checks.positive("retain_dual", retain_dual)
    forget_dual = (1 + gram.first * retain_dual) / (gram.second + gram.determinant * retain_dual)
    duals = Duals(retain_dual=retain_dual, forget_dual=forget_dual)
    x, y = curve.margins(gram, duals, ASCENT)
    return FoldLocus(
        retain_ratio=retain_dual * jnp.exp(x),
        forget_ratio=forget_dual * jnp.exp(y),
        forget_dual=forget_dual,
    )


@readable()
class FoldRates(NamedTuple):
    r"""Critical slowing down at distance :math:`\delta = |\alpha/\alpha_{fold} - 1|` from a fold.

    ``coefficient`` is :math:`\kappa_f`. Below the fold the flow decays to the minimum at the rate
    ``slowest_rate`` = :math:`2\lambda\kappa_f\sqrt\delta`. Above the fold it passes the place where
    the minimum was in the time ``escape_time`` = :math:`\pi/(\lambda\kappa_f\sqrt\delta)`.
    """

    coefficient: Float[AnyArray, "*batch"]
    slowest_rate: Float[AnyArray, "*batch"]
    escape_time: Float[AnyArray, "*batch"]


@backed_by("fold-rates")
def fold_rates(pair: CorrelatedPair, distance: ArrayLike) -> FoldRates:
    r"""Rates near the fold where the oracle's minimum ends, to leading order in the distance.

    With :math:`\theta = k_{12}Q\sigma/(1 + k_{11}\rho P)`, the decays :math:`\rho, \sigma` and
    :math:`\tau = \varphi''/\varphi` at x and y:

    .. math:: \kappa_f = \frac{\sqrt{Q\,(Q\tau_y - P\tau_x\theta^3)/2}}{Q\sigma - P\rho\,\theta^2} .

    For the exponential loss :math:`\rho = \sigma = \tau = 1` and
    :math:`\theta = k_{12}/(k_{22} + \det k\,P)`.

    Args:
        pair: any :class:`CorrelatedPair`; its ``forget_in_pair`` is not used.
        distance: :math:`\delta = |\alpha/\alpha_{fold} - 1| \ge 0`; it broadcasts.
    Returns: :class:`FoldRates`; NaN where there is no fold.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`; ``ValueError`` or ``TypeError``
        for a bad ``distance``.
    Source: new. Claim: ``fold-rates``.
    """
    require_pair(pair)
    return _fold_rates(pair, checks.nonnegative("distance", distance))


@jax.jit
def _fold_rates(pair: CorrelatedPair, distance: Array) -> FoldRates:
    loss, gram = pair.loss, pair.gram
    log_mass = curve.log_retain_mass(gram, pair.ascent_masses[0], pair.ridge)
    q = curve.fold_points(loss, gram, log_mass).upper
    point = curve.point_at(loss, gram, log_mass, q, ASCENT)
    retain_dual, forget_dual = point.duals
    decay_x = loss.decay(point.x)
    decay_y = loss.decay(point.y)
    tilt = gram.cross * forget_dual * decay_y / (1 + gram.first * decay_x * retain_dual)
    third_y = forget_dual * _third(loss, point.y)
    third_x = retain_dual * _third(loss, point.x) * tilt**3
    norm = forget_dual * decay_y - retain_dual * decay_x * tilt**2
    coefficient = jnp.sqrt(forget_dual * (third_y - third_x) / 2) / norm
    pace = pair.ridge * coefficient * jnp.sqrt(distance)
    return FoldRates(coefficient=coefficient, slowest_rate=2 * pace, escape_time=jnp.pi / pace)


def _third(loss: Loss, margin: Array) -> Array:
    """``phi''/phi = decay^2 - decay'``."""
    decay, change = jax.jvp(loss.decay, (margin,), (jnp.ones_like(margin),))
    return decay**2 - change


@readable()
class Cusp(NamedTuple):
    """The point where the two folds of a loss with bounded ``phi`` begin to exist.

    ``retain_ratio`` is ``A/ridge`` and ``forget_ratio`` is ``B/ridge``. ``log_retain_ratio`` is
    finite also where ``retain_ratio`` overflows. ``x`` and ``y`` are the margins.
    """

    retain_ratio: Float[AnyArray, "*batch"]
    forget_ratio: Float[AnyArray, "*batch"]
    log_retain_ratio: Float[AnyArray, "*batch"]
    x: Float[AnyArray, "*batch"]
    y: Float[AnyArray, "*batch"]


@backed_by(
    "cusp-condition", "logistic-cusp-values", "logistic-cusp-closed-form", "logistic-cusp-near-one"
)
def cusp(
    correlation: ArrayLike | None = None,
    *,
    gram: Sequence[ArrayLike] | None = None,
    loss: str | Loss = "logistic",
) -> Cusp:
    r"""The cusp :math:`\kappa_c`, the value of :math:`A/\lambda` at which the two folds merge.

    Above it there are folds, hence hysteresis, and below it none. This is observed, not proved:
    the equations below are necessary where folds merge.

    .. math:: h(q) = 1, \qquad \frac{dh}{dq} = 0

    The search covers :math:`\log(k_{11} A/\lambda)` in (-5, 1e5). Derivatives are those of the
    implicit function theorem.

    Args:
        correlation, gram: as in :class:`CorrelatedPair`; exactly one is given.
        loss: one with bounded ``phi``. A loss with unbounded ``phi`` always has one fold.
    Returns: :class:`Cusp`; NaN where there is none, as for ``k12 <= 0``.
    Raises: ``ValueError`` for a loss with unbounded ``phi``; ``ValueError`` or ``TypeError`` for a
        bad correlation or Gram matrix.
    Source: new.
    Claims: ``cusp-condition``, ``logistic-cusp-values``, ``logistic-cusp-closed-form``,
        ``logistic-cusp-near-one``.
    """
    gram, _ = model.geometry(correlation, gram)
    loss = losses.resolve(loss)
    if loss.slope_at_minus_infinity == jnp.inf:
        raise ValueError(f"loss must have a bounded phi for a cusp to exist, got {loss!r}")
    found = jnp.stack(_cusp_search(loss, jax.lax.stop_gradient(gram)), -1)
    return _cusp(loss, found, gram)


@functools.partial(jax.jit, static_argnames="loss")
def _cusp(loss: Loss, found: Array, gram: Gram) -> Cusp:
    """The cusp at ``found`` = ``(q, log_mass)``, with its implicit derivatives."""

    def equations(point: Array, gram: Gram) -> Array:
        bend, rise = jax.jvp(
            lambda q: curve.log_bend(loss, gram, point[1], q),
            (point[0],),
            (jnp.ones_like(point[0]),),
        )
        return jnp.stack([bend, rise])

    solved = functools.partial(implicit, equations)
    for _ in range(gram.first.ndim):
        solved = jax.vmap(solved)
    q, log_mass = jnp.moveaxis(solved(jax.lax.stop_gradient(found), gram), -1, 0)
    point = curve.point_at(loss, gram, log_mass, q, ASCENT)
    log_retain_ratio = log_mass - jnp.log(gram.first)
    return Cusp(
        retain_ratio=jnp.exp(log_retain_ratio),
        forget_ratio=jnp.exp(point.level),
        log_retain_ratio=log_retain_ratio,
        x=point.x,
        y=point.y,
    )


@functools.partial(jax.jit, static_argnames="loss")
def _cusp_search(loss: Loss, gram: Gram) -> tuple[Array, Array]:
    """``q`` and ``log(k11 A/ridge)`` at the cusp, without derivatives; NaN where there is none."""

    def highest(log_mass: Array) -> Array:
        # At the largest bend its derivative along q is zero, so the location may be held fixed.
        peak = jax.lax.stop_gradient(curve.largest_bend(loss, gram, log_mass)[1])
        return curve.log_bend(loss, gram, log_mass, peak)

    # Not constants: XLA's simplifier loops on them.
    low = -5.0 + 0 * gram.first
    start = 3.0 + 0 * gram.first
    high = 1e5 + 0 * gram.first
    found = roots.bracketed(highest, low, high, start, noise=1.0)
    # Where the bend stays below 1 to the end of the search, that end is no root.
    log_mass = jnp.where(highest(high) > 0, found, jnp.nan)
    return curve.largest_bend(loss, gram, log_mass)[1], log_mass
