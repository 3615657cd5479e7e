r"""Dual masses: a stationary point is known by how hard each sample type pulls.

Two types ``u`` (retained) and ``v`` (forgotten) with Gram matrix ``k`` have margins ``x = <w, u>``, ``y = <w, v>``. At a
stationary point :math:`w = P u + \varsigma Q v` with the masses

.. math:: P = \tfrac A\lambda \varphi(x), \quad Q = \tfrac B\lambda \varphi(y), \qquad
          x = k_{11} P + \varsigma k_{12} Q, \quad y = k_{12} P + \varsigma k_{22} Q,

and :math:`\varsigma = +1` for pretraining, -1 for descent-ascent; ``B = 0`` is the oracle, ``k12 = 0`` two separate
coordinates. Eliminating ``P`` leaves one explicit curve over ``q = log Q``, without a division by the correlation:

.. math:: \log\tfrac B\lambda = L(q) = q - \log\varphi\bigl(y(Q)\bigr), \qquad L'(q) = 1 + \varsigma h(q), \qquad
          h = Q\,\sigma\,\frac{k_{22} + \det k\;\rho P}{1 + k_{11}\rho P},

where :math:`\rho, \sigma` are the loss's decay :math:`\ell''/\varphi` at x and y. Everything is a question about this curve:
solutions are its level points, folds its critical points, and :math:`\det H = \lambda^2 (1 + k_{11}\rho P)(1 + \varsigma h)` gives
the kind.

Functions here are strictly typed (one dtype, one shape, no checks) and written once for any margin loss.
Source: new. Claims: ``dual-masses``, ``fold-hessian``.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from gda_theory.problem import losses
from gda_theory.problem.losses import Loss
from theory_common.claims import backed_by
from theory_common.numerics import roots, special
from theory_common.numerics.implicit import with_change
from theory_common.printing.display import readable

PRETRAIN, ASCENT = 1, -1


class Gram(NamedTuple):
    """Gram matrix of the two types. The determinant is carried: formed from the entries it would cancel near correlation 1."""

    first: Float[Array, "*batch"]
    cross: Float[Array, "*batch"]
    second: Float[Array, "*batch"]
    determinant: Float[Array, "*batch"]


@readable()
class Masses(NamedTuple):
    """The pulls ``descent = P`` of the retained and ``ascent = Q`` of the forgotten type, in units of weight."""

    descent: Float[Array, "*batch"]
    ascent: Float[Array, "*batch"]


class Curve(NamedTuple):
    """A point of the curve: ``level = log(B/ridge)``, the masses and margins, ``bend = h``, which is 1 at a fold, and
    ``steepening``, the slope of ``log h`` in q (for the ascent curve)."""

    level: Float[Array, "*batch"]
    masses: Masses
    x: Float[Array, "*batch"]
    y: Float[Array, "*batch"]
    bend: Float[Array, "*batch"]
    steepening: Float[Array, "*batch"]


@backed_by("lemma-2-closed-forms", "r-lambert-form")
def shifted_mass(loss: Loss, log_ratio: Array, shift: Array) -> Array:
    r"""The root ``t > 0`` of :math:`t = z\,\varphi(t - c)`, for ``log z = log_ratio`` and ``c = shift``.

    Unique: the left side increases, the right side does not. Exponential loss: :math:`W_0(z e^c)`; logistic: the r-Lambert
    function at :math:`r = e^c`; any other loss by Newton's method in ``log t``. Source: Lemma 2 at shift 0; new otherwise.
    Claims: ``lemma-2-closed-forms``, ``r-lambert-form``.
    """

    def change(mass, parameters, tangents):
        decay = loss.decay(mass - parameters[1])
        return mass * (tangents[0] + decay * tangents[1]) / (1 + decay * mass)

    found = _shifted_mass(loss, *jax.lax.stop_gradient((log_ratio, shift)))
    return with_change(change, found, log_ratio, shift)


def _shifted_mass(loss: Loss, log_ratio: Array, shift: Array) -> Array:
    """:func:`shifted_mass` without its derivatives."""
    if loss.shifted_mass is not None:
        return loss.shifted_mass(log_ratio, shift)

    def residual(log_mass):
        return log_mass - loss.log_phi(jnp.exp(log_mass) - shift) - log_ratio

    # phi decreases, so t <= z phi(-c); the residual's slope is at least 1, so it is no farther away than its value.
    high = log_ratio + loss.log_phi(-shift)
    return jnp.exp(roots.bracketed(residual, high - residual(high), high, high))


def log_pull(gram: Gram, descent: Array, ridge: Array) -> Array:
    """``log(k11 A / ridge)``, by which everything below knows the retained mass ``A = descent``."""
    return special.log_ratio(gram.first * descent, ridge)


def oracle_mass(loss: Loss, gram: Gram, pull: Array) -> Array:
    """The mass ``P`` of the oracle, where nothing is forgotten."""
    return shifted_mass(loss, pull, jnp.zeros_like(pull)) / gram.first


@backed_by("dual-masses", "dual-curve")
def curve(loss: Loss, gram: Gram, pull: Array, log_ascent_mass: Array, side: int) -> Curve:
    """The point of the curve at ``q = log_ascent_mass``, given ``pull`` = :func:`log_pull`. Claims: ``dual-masses``, ``dual-curve``."""
    ascent = jnp.exp(log_ascent_mass)
    descent = shifted_mass(loss, pull, -side * gram.cross * ascent) / gram.first
    x, y = margins(gram, Masses(descent, ascent), side)
    decay, softening = _value_and_slope(loss.decay, x)
    _, fading = _value_and_slope(loss.log_decay, y)
    stiffness = decay * descent
    free, bound = gram.second + gram.determinant * stiffness, 1 / (1 + gram.first * stiffness)
    y_slope = ascent * free * bound
    x_slope, grip = (
        gram.cross * ascent * bound,
        gram.cross**2 * descent * bound * (decay**2 - softening),
    )
    steepening = 1 + side * (fading * y_slope + x_slope * grip / free)
    return Curve(
        log_ascent_mass - loss.log_phi(y),
        Masses(descent, ascent),
        x,
        y,
        loss.decay(y) * y_slope,
        steepening,
    )


def _value_and_slope(function, at: Array) -> tuple[Array, Array]:
    return jax.jvp(function, (at,), (jnp.ones_like(at),))


@backed_by("dual-masses")
def margins(gram: Gram, masses: Masses, side: int) -> tuple[Array, Array]:
    """``x = k11 P ± k12 Q`` and ``y = k12 P ± k22 Q``. Claim: ``dual-masses``."""
    return (
        gram.first * masses.descent + side * gram.cross * masses.ascent,
        gram.cross * masses.descent + side * gram.second * masses.ascent,
    )


@backed_by("dual-curve", "fold-hessian")
def log_bend(loss: Loss, gram: Gram, pull: Array, q: Array) -> Array:
    """``log h`` on the ascent curve, 0 at a fold; from logarithms, since ``h`` underflows far beyond the second fold.

    Claims: ``dual-curve``, ``fold-hessian``.
    """
    point = curve(loss, gram, pull, q, ASCENT)
    stiffness = loss.decay(point.x) * point.masses.descent
    return (
        q
        + loss.log_decay(point.y)
        + jnp.log((gram.second + gram.determinant * stiffness) / (1 + gram.first * stiffness))
    )


def level_point(
    loss: Loss,
    gram: Gram,
    pull: Array,
    level: Array,
    low: Array,
    high: Array,
    start: Array,
    side: int,
    *,
    direction: int = 1,
) -> Array:
    """``q`` in ``[low, high]``, a stretch on which the curve rises (``direction`` 1) or falls (-1), where it has the given level."""

    def miss(q):
        point = curve(loss, gram, pull, q, side)
        second = side * point.bend * point.steepening
        noise = 1 + jnp.abs(level) + gram.second * point.masses.ascent
        return roots.Jet(
            direction * (point.level - level),
            direction * (1 + side * point.bend),
            direction * second,
            noise,
        )

    return roots.bracketed_jet(miss, low, high, start)


@backed_by("pretrain-unique")
def pretrain_point(loss: Loss, gram: Gram, pull: Array, level: Array) -> Array:
    """``q`` of the pretrained solution: unique, since the curve's slope is at least 1. Claim: ``pretrain-unique``."""
    alone = oracle_mass(loss, gram, pull)
    start = jnp.log(
        shifted_mass(loss, level + jnp.log(gram.second), -gram.cross * alone) / gram.second
    )
    # Slope at least 1: the root is no farther away than the miss.
    reached = start + level - curve(loss, gram, pull, start, PRETRAIN).level
    return level_point(
        loss,
        gram,
        pull,
        level,
        jnp.minimum(start, reached),
        jnp.maximum(start, reached),
        start,
        PRETRAIN,
    )


class Folds(NamedTuple):
    """``q`` at the curve's local maximum (``upper``, met first from the oracle) and minimum (``lower``); NaN where none."""

    upper: Float[Array, "*batch"]
    lower: Float[Array, "*batch"]


def largest_bend(loss: Loss, gram: Gram, pull: Array) -> tuple[Array, Array, Array]:
    """``low < q < high`` for a loss with bounded ``phi``: all folds lie between, and ``h`` is largest at ``q``."""
    alone = oracle_mass(loss, gram, pull)
    # y <= (k12 x_R - det Q)/k11, so beyond this Q even the factor Q exp(y) is below 1.
    reach = 2 * gram.first / gram.determinant
    depth = (
        jnp.abs(jnp.log(gram.second)) + jnp.abs(gram.cross) * alone + jnp.abs(jnp.log(reach)) + 2
    )
    low, high = -jnp.log(gram.second) - 30, jnp.log(reach * depth) + 2

    def fall(q):
        return -jax.jvp(lambda at: log_bend(loss, gram, pull, at), (q,), (jnp.ones_like(q),))[1]

    return (
        low,
        roots.bracketed(
            fall, low, high, jnp.log1p(jnp.abs(gram.cross) * alone / gram.second), noise=1.0
        ),
        high,
    )


@backed_by("fold-locus")
def exponential_fold(gram: Gram, pull: Array) -> Array:
    r"""``q`` at the only fold of the exponential loss, where :math:`Q = (1 + k_{11}P)/(k_{22} + \det k\,P)`.

    The first equation is then one of :math:`t = k_{11}P` alone, and every term of it is positive:

    .. math:: \log t + t\,\frac{n + st}{1 + st} = c, \quad s = \frac{\det k}{k_{11}k_{22}}, \quad
              n = s + (1 - s)(1 - k_{12}/k_{22}), \quad c = \log(k_{11}A/\lambda) + k_{12}/k_{22}.

    Claim: ``fold-locus``.
    """
    ratio, diagonal = gram.cross / gram.second, gram.first * gram.second
    apart, shared = gram.determinant / diagonal, gram.cross**2 / diagonal
    rest = apart + shared * ((gram.second - gram.cross) / gram.second)
    target = pull + ratio

    def miss(log_t):
        t = jnp.exp(log_t)
        scale = 1 / (1 + apart * t)
        lost = shared * ratio * scale * scale
        slope = t * (1 - lost)
        second = slope + 2 * apart * t * t * lost * scale
        return roots.Jet(
            log_t + t * (rest + apart * t) * scale - target,
            1 + slope,
            second,
            noise=jnp.abs(target),
        )

    # Where the second term alone, which is at most max(1, n) at t = 1, takes this value, t is no smaller than at the root.
    share = jnp.maximum(target, jnp.maximum(rest, 1))
    half = (rest - apart * share) / 2
    root = jnp.sqrt(half * half + apart * share)
    most = jnp.where(half > 0, share / (half + root), (root - half) / apart)
    high = jnp.minimum(jnp.log(most), target)
    t = jnp.exp(roots.bracketed_jet(miss, target - share, high, high))
    return jnp.log((1 + t) / (gram.second * (1 + apart * t)))


@backed_by("exponential-one-fold", "logistic-zero-or-two-folds")
def fold_points(loss: Loss, gram: Gram, pull: Array) -> Folds:
    """Where minima and saddles of descent-ascent meet.

    A loss whose ``phi`` grows without bound (exponential) has exactly one fold, one with bounded ``phi`` (logistic) none or
    two, on either side of the largest bend. Claims: ``exponential-one-fold``, ``logistic-zero-or-two-folds``.
    """

    def bend(q):
        return log_bend(loss, gram, pull, q)

    if np.isinf(loss.slope_at_minus_infinity):
        start = exponential_fold(gram, pull)
        if loss is losses.exponential:
            return Folds(start, jnp.full_like(start, jnp.nan))
        # h is between Q det/k11 and Q k22 for a loss of decay 1. Thirty powers of e more for others.
        low, high = -jnp.log(gram.second) - 30, jnp.log(gram.first / gram.determinant) + 30
        return Folds(
            roots.bracketed(bend, low, high, start, noise=1.0), jnp.full_like(start, jnp.nan)
        )
    low, peak, high = largest_bend(loss, gram, pull)
    bent = bend(peak) > 0
    upper = roots.bracketed(bend, low, peak, (low + peak) / 2, noise=1.0)
    lower = roots.bracketed(lambda q: -bend(q), peak, high, (peak + high) / 2, noise=1.0)
    return Folds(jnp.where(bent, upper, jnp.nan), jnp.where(bent, lower, jnp.nan))


def _beside_fold(
    loss: Loss, gram: Gram, pull: Array, level: Array, fold: Array, branch: int
) -> tuple[Array, Array]:
    """How far the ascent curve falls from its maximum ``fold`` to ``level``, and about where it gets there.

    Exact if ``log h`` is straight, as it is without correlation: with its slope m there the fall at ``q = fold + v/m`` is
    ``(exp(v) - 1 - v)/m``. ``branch`` is 0 for the side of small q, -1 for that of large q, as in Lambert W. NaN if ``level`` is higher.
    """
    top = curve(loss, gram, pull, fold, ASCENT)
    drop = top.level - level
    gap = top.steepening * drop
    return drop, fold - (
        special.lambertw_plus_one_from_gap(gap, branch=branch) + gap
    ) / top.steepening


def oracle_branch(loss: Loss, gram: Gram, pull: Array, level: Array, upper_fold: Array) -> Array:
    """``q`` of the minimum that starts at the oracle (level -infinity); NaN beyond the fold ``upper_fold`` (NaN: no fold)."""
    none = jnp.isnan(upper_fold)
    # y only falls along the curve, from the oracle's y: Q >= (B/ridge) phi(y_oracle), and Q <= (B/ridge) sup phi.
    low = level + loss.log_phi(gram.cross * oracle_mass(loss, gram, pull))
    ceiling = level + jnp.log(jnp.asarray(loss.slope_at_minus_infinity, level.dtype))
    high = jnp.where(none, ceiling, jnp.minimum(upper_fold, ceiling))
    drop, guess = _beside_fold(loss, gram, pull, level, upper_fold, 0)
    start = jnp.where(none | (drop >= 0), jnp.fmax(low, guess), jnp.nan)
    return level_point(loss, gram, pull, level, low, high, start, ASCENT)


def saddle_branch(loss: Loss, gram: Gram, pull: Array, level: Array, folds: Folds) -> Array:
    """``q`` of the saddle between the folds (beyond the only fold of an unbounded loss); NaN where there is none."""
    drop, guess = _beside_fold(loss, gram, pull, level, folds.upper, -1)
    if np.isinf(loss.slope_at_minus_infinity):
        exists = (drop >= 0) & (level > -jnp.inf)
        # Exponential: h >= Q det/k11, and a curve with that h in place of h takes longer to fall; thirty more powers of e for other losses.
        ease = jnp.exp(folds.upper) * gram.determinant / gram.first
        gap = drop + (ease - 1 - jnp.log(ease))
        slack = 0.0 if loss is losses.exponential else 30.0
        high = (
            folds.upper
            + jnp.log((1 - special.lambertw_plus_one_from_gap(gap, branch=-1)) / ease)
            + slack
        )
    else:
        exists = (drop >= 0) & (level >= curve(loss, gram, pull, folds.lower, ASCENT).level)
        high = folds.lower
    start = jnp.where(exists, jnp.fmin(guess, high), jnp.nan)
    return level_point(loss, gram, pull, level, folds.upper, high, start, ASCENT, direction=-1)


def far_branch(loss: Loss, gram: Gram, pull: Array, level: Array, lower_fold: Array) -> Array:
    """``q`` of the far minimum of a loss with bounded ``phi``, beyond its second fold; NaN where there is none."""
    high = level + jnp.log(jnp.asarray(loss.slope_at_minus_infinity, level.dtype))
    exists = level >= curve(loss, gram, pull, lower_fold, ASCENT).level
    return jnp.where(
        exists, level_point(loss, gram, pull, level, lower_fold, high, high, ASCENT), jnp.nan
    )


def implicit(
    loss: Loss, side: int, found: Masses, descent: Array, ascent: Array, ridge: Array, gram: Gram
) -> Masses:
    """``found``, with its derivatives by the implicit function theorem (to any order); NaN at a fold.

    ``found`` must solve ``P = A phi(x)/ridge``, ``Q = B phi(y)/ridge`` for ``A = descent``, ``B = ascent``; its tangent is ignored.
    """
    change = functools.partial(_change_of_masses, loss, side)
    return with_change(change, found, descent, ascent, ridge, gram)


def _change_of_masses(
    loss: Loss, side: int, solved: Masses, parameters: tuple, tangents: tuple
) -> Masses:
    """The change of ``solved`` with the ``parameters``: the 2x2 system in closed form."""
    descent, _, ridge, gram = parameters
    descent_dot, ascent_dot, ridge_dot, gram_dot = tangents
    x, y = margins(gram, solved, side)
    x_dot, y_dot = margins(gram_dot, solved, side)
    pull, push = solved.descent * loss.decay(x), solved.ascent * loss.decay(y)
    # Written with phi/ridge and not Q/B, so that it holds at B = 0.
    first = solved.descent * (descent_dot / descent - ridge_dot / ridge) - pull * x_dot
    second = (
        jnp.exp(loss.log_phi(y) - jnp.log(ridge)) * ascent_dot
        - solved.ascent * ridge_dot / ridge
        - push * y_dot
    )
    k11, k12, k22, det = gram
    determinant = 1 + k11 * pull + side * push * (k22 + det * pull)
    determinant = jnp.where(determinant == 0, jnp.nan, determinant)
    descent_change = ((1 + side * k22 * push) * first - side * k12 * pull * second) / determinant
    ascent_change = ((1 + k11 * pull) * second - k12 * push * first) / determinant
    return Masses(descent_change, ascent_change)
