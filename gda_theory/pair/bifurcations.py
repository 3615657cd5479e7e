r"""Folds: where the minimum of descent-ascent merges with a saddle, as the share :math:`\alpha` of forgotten samples grows.

On the curve of :mod:`gda_theory.pair.curve` a fold is :math:`h = 1`, that is :math:`\det \nabla^2 J = 0`. In the exponential loss

.. math:: Q = \frac{1 + k_{11} P}{k_{22} + \det k\, P}, \qquad \log P + k_{11} P - k_{12} Q = \log(A/\lambda)

has one solution; the logistic loss has none or two, born together at a cusp. Claims: ``fold-hessian``, ``fold-locus``.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Float

from gda_theory.pair import curve as masses
from gda_theory.pair import model
from gda_theory.pair.curve import ASCENT, Gram
from gda_theory.pair.model import CorrelatedPair
from gda_theory.problem import losses
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.numerics import roots, special
from theory_common.numerics.implicit import implicit, implicit_root
from theory_common.printing.display import readable


@readable()
class FoldSet(NamedTuple):
    """Folds along a last axis of 2, in order of alpha, NaN where there is none: the exponential loss has one, first; the logistic
    none, or ``lower`` then ``upper`` (:attr:`critical_alpha`, where the minimum that starts at the oracle ends, is the last one)."""

    alpha: Float[AnyArray, "*batch 2"]
    log_alpha: Float[AnyArray, "*batch 2"]
    x: Float[AnyArray, "*batch 2"]
    y: Float[AnyArray, "*batch 2"]

    @property
    def critical_alpha(self) -> Float[AnyArray, "*batch"]:
        """Where the minimum that starts at the oracle ends; NaN if it never does."""
        return jnp.where(jnp.isnan(self.alpha[..., 1]), self.alpha[..., 0], self.alpha[..., 1])

    @property
    def critical_log_alpha(self) -> Float[AnyArray, "*batch"]:
        """``log(critical_alpha)``, also where that over- or underflows."""
        return jnp.where(
            jnp.isnan(self.log_alpha[..., 1]), self.log_alpha[..., 0], self.log_alpha[..., 1]
        )


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
    r"""Every fold of descent-ascent in alpha, at this pair's correlation, ridge and sizes (its ``forget_in_pair`` is ignored).

    Implicitly differentiable (d alpha_fold / d ridge, ...). Accuracy: alpha to a few units of rounding of ``y`` and ``log alpha``.
    Source: Sec. 5.1.2 shows that there is a threshold; its value: new.
    Claims: ``exponential-one-fold``, ``fold-hessian``, ``fold-condition-any-loss``, ``two-points-below-fold``, ``fold-locus-bounds``,
    ``small-correlation-series``, ``fold-power-law``, ``logistic-zero-or-two-folds``, ``fold-correlation-limits``.
    """
    retain, share = pair.ascent_masses[0], forget_share(pair)
    pull = masses.log_pull(pair.gram, retain, pair.ridge)
    found = masses.fold_points(pair.loss, pair.gram, pull)
    ends = [_fold_point(pair, pull, share, q) for q in (found.lower, found.upper)]
    lower, upper = ends
    first = jax.tree.map(lambda low, high: jnp.where(jnp.isnan(lower[0]), high, low), lower, upper)
    second = jax.tree.map(lambda high: jnp.where(jnp.isnan(lower[0]), jnp.nan, high), upper)
    return FoldSet(*(jnp.stack(both, -1) for both in zip(first, second, strict=True)))


def forget_share(pair: CorrelatedPair) -> Array:
    """``B / alpha``: the mass of forgotten samples at alpha = 1."""
    return (
        pair.retain_in_pair / pair.forget_size if pair.reduction == "mean" else pair.retain_in_pair
    )


def _fold_point(
    pair: CorrelatedPair, pull: Array, share: Array, q: Array
) -> tuple[Array, Array, Array, Array]:
    # NaN marks a fold that is not there; it is put back at the end, since reverse-mode derivatives would spread it.
    there = ~jnp.isnan(q)
    q = _implicit_fold(pair.loss, jnp.where(there, q, 0), pull, pair.gram)
    point = masses.curve(pair.loss, pair.gram, pull, q, ASCENT)
    unit = special.log_ratio(share, pair.ridge)
    log_alpha = point.level - unit
    # The plain product where it neither over- nor underflows: no digits lost to the size of its logarithms.
    plain = point.masses.ascent / jnp.exp(pair.loss.log_phi(point.y)) * (pair.ridge / share)
    ordinary = (
        (jnp.abs(point.level) < 300) & (jnp.abs(unit) < 300)
        if plain.dtype == jnp.float64
        else jnp.zeros_like(plain, bool)
    )
    found = (
        jnp.where(ordinary, plain, jnp.exp(jnp.where(ordinary, 0, log_alpha))),
        log_alpha,
        point.x,
        point.y,
    )
    return jax.tree.map(lambda value: jnp.where(there, value, jnp.nan), found)


def _implicit_fold(loss, q: Array, pull: Array, gram: Gram) -> Array:
    """``q``, a root of ``log h = 0``, with its implicit derivatives."""

    def log_bend(at, pull, gram):
        return masses.log_bend(loss, gram, pull, at)

    return implicit_root(log_bend, jax.lax.stop_gradient(q), pull, gram)


@readable()
class FoldLocus(NamedTuple):
    """A point of the exponential fold's locus, in units of the ridge: ``A/ridge``, ``B_fold/ridge`` and the mass ``Q``."""

    descent_ratio: Float[AnyArray, "*batch"]
    ascent_ratio: Float[AnyArray, "*batch"]
    ascent_mass: Float[AnyArray, "*batch"]


@backed_by("fold-locus", "fold-power-law")
def fold_locus(descent_mass, *, correlation=None, gram=None) -> FoldLocus:
    r"""The exponential fold for all data at once, by one parameter P > 0.

    .. math:: Q = \frac{1 + k_{11}P}{k_{22} + \det k\,P}, \quad \frac A\lambda = P e^{k_{11}P - k_{12}Q}, \quad
              \frac{B}{\lambda} = Q e^{k_{12}P - k_{22}Q}, \qquad \alpha_{fold} = \frac{f}{r_p} B .

    Source: new. Claims: ``fold-locus``, ``fold-power-law``.
    """
    gram, _ = model.geometry(correlation, gram)
    descent = checks.positive("descent_mass", descent_mass)
    ascent = (1 + gram.first * descent) / (gram.second + gram.determinant * descent)
    x, y = masses.margins(gram, masses.Masses(descent, ascent), ASCENT)
    return FoldLocus(descent * jnp.exp(x), ascent * jnp.exp(y), ascent)


@readable()
class FoldRates(NamedTuple):
    r"""Critical slowing down at distance :math:`\delta = |\alpha/\alpha_{fold} - 1|`, by one number :math:`\kappa_f`.

    ``slowest_rate`` :math:`2\lambda\kappa_f\sqrt\delta` of the decay to the minimum below the fold, ``escape_time``
    :math:`\pi/(\lambda\kappa_f\sqrt\delta)` of the flow past the ghost of the minimum above it.
    """

    coefficient: Float[AnyArray, "*batch"]
    slowest_rate: Float[AnyArray, "*batch"]
    escape_time: Float[AnyArray, "*batch"]


@backed_by("fold-rates")
def fold_rates(pair: CorrelatedPair, distance) -> FoldRates:
    r"""Rates near the fold where the oracle's minimum ends, to leading order in ``distance`` = :math:`\delta`.

    With :math:`\theta = k_{12}Q\sigma/(1 + k_{11}\rho P)`, decays :math:`\rho, \sigma` and :math:`\tau = \varphi''/\varphi` at x, y:

    .. math:: \kappa_f = \frac{\sqrt{Q\,(Q\tau_y - P\tau_x\theta^3)/2}}{Q\sigma - P\rho\,\theta^2};

    for the exponential loss all three ratios are 1 and :math:`\theta = k_{12}/(k_{22} + \det k\,P)`. Source: new. Claim: ``fold-rates``.
    """
    distance = checks.nonnegative("distance", distance)
    pull = masses.log_pull(pair.gram, pair.ascent_masses[0], pair.ridge)
    point = masses.curve(
        pair.loss, pair.gram, pull, masses.fold_points(pair.loss, pair.gram, pull).upper, ASCENT
    )
    (descent_mass, ascent_mass), decay = point.masses, pair.loss.decay
    tilt = (
        pair.gram.cross
        * ascent_mass
        * decay(point.y)
        / (1 + pair.gram.first * decay(point.x) * descent_mass)
    )
    skew = (
        ascent_mass * _third(pair.loss, point.y)
        - descent_mass * _third(pair.loss, point.x) * tilt**3
    )
    norm = ascent_mass * decay(point.y) - descent_mass * decay(point.x) * tilt**2
    coefficient = jnp.sqrt(ascent_mass * skew / 2) / norm
    pace = pair.ridge * coefficient * jnp.sqrt(distance)
    return FoldRates(coefficient, 2 * pace, jnp.pi / pace)


def _third(loss, margin: Array) -> Array:
    """``phi''/phi = decay^2 - decay'``."""
    decay, change = jax.jvp(loss.decay, (margin,), (jnp.ones_like(margin),))
    return decay**2 - change


@readable()
class Cusp(NamedTuple):
    """Where the two folds of a bounded loss are born, in units of the ridge; ``log_descent_ratio`` for where the ratio overflows."""

    descent_ratio: Float[AnyArray, "*batch"]
    ascent_ratio: Float[AnyArray, "*batch"]
    log_descent_ratio: Float[AnyArray, "*batch"]
    x: Float[AnyArray, "*batch"]
    y: Float[AnyArray, "*batch"]


@backed_by(
    "cusp-condition", "logistic-cusp-values", "logistic-cusp-closed-form", "logistic-cusp-near-one"
)
def cusp(correlation=None, *, gram=None, loss="logistic") -> Cusp:
    r"""The cusp :math:`\kappa_c`: folds, hence hysteresis, exist iff :math:`A/\lambda > \kappa_c`.

    Solves :math:`h = 1,\; dh/dq = 0`. Searched for :math:`\log(A/\lambda)` in (-5, 1e5); NaN where there is none, as for k12 <= 0
    (an unbounded loss always has one fold). Derivatives are implicit. Source: new. Claims: ``cusp-condition``, ``logistic-cusp-values``,
    ``logistic-cusp-closed-form``, ``logistic-cusp-near-one``.
    """
    gram, _ = model.geometry(correlation, gram)
    loss = losses.resolve(loss)
    if loss.slope_at_minus_infinity == jnp.inf:
        raise ValueError(f"loss must have a bounded phi for a cusp to exist, got {loss!r}")
    return _cusp(loss, gram)


@functools.partial(jax.jit, static_argnames="loss")
def _cusp(loss, gram: Gram) -> Cusp:
    fixed = jax.lax.stop_gradient(gram)

    def highest(pull):
        # At the largest bend its derivative along q is zero, so the location may be held fixed.
        peak = jax.lax.stop_gradient(masses.largest_bend(loss, fixed, pull)[1])
        return masses.log_bend(loss, fixed, pull, peak)

    # Not constants, on which XLA's simplifier runs in circles.
    low, start, high = (end + 0 * fixed.first for end in (-5.0, 3.0, 1e5))
    # Where the bend stays below 1 to the end of the search, that end is no root.
    pull = jnp.where(
        highest(high) > 0, roots.bracketed(highest, low, high, start, noise=1.0), jnp.nan
    )
    q = masses.largest_bend(loss, fixed, pull)[1]

    def equations(point, gram):
        bend, rise = jax.jvp(
            lambda q: masses.log_bend(loss, gram, point[1], q),
            (point[0],),
            (jnp.ones_like(point[0]),),
        )
        return jnp.stack([bend, rise])

    solved = functools.partial(implicit, equations)
    for _ in range(gram.first.ndim):
        solved = jax.vmap(solved)
    q, pull = jnp.moveaxis(solved(jax.lax.stop_gradient(jnp.stack([q, pull], -1)), gram), -1, 0)
    point = masses.curve(loss, gram, pull, q, ASCENT)
    log_descent = pull - jnp.log(gram.first)
    return Cusp(jnp.exp(log_descent), jnp.exp(point.level), log_descent, point.x, point.y)
