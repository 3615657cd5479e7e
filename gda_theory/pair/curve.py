r"""The curve of stationary points of a pair, with the dual coefficients as coordinates.

Two types ``u`` (retained) and ``v`` (forgotten) with Gram matrix ``k`` have the margins
``x = <w, u>`` and ``y = <w, v>``.
The retain mass ``A`` and the forget mass ``B`` are the weights of the two types in the objective.
A stationary point is :math:`w = P u + \varsigma Q v`. Its coefficients ``P`` (retain dual) and
``Q`` (forget dual) obey

.. math:: P = \tfrac A\lambda \varphi(x), \quad Q = \tfrac B\lambda \varphi(y), \qquad
          x = k_{11} P + \varsigma k_{12} Q, \quad y = k_{12} P + \varsigma k_{22} Q .

Here :math:`\varsigma` is +1 for pretraining and -1 for descent-ascent. The oracle has ``B = 0``.
Eliminating ``P`` leaves one explicit curve over ``q = log Q``. No step divides by the correlation:

.. math:: \log\tfrac B\lambda = L(q) = q - \log\varphi\bigl(y(Q)\bigr), \qquad L'(q) = 1 + \varsigma
          h(q), \qquad
          h = Q\,\sigma\,\frac{k_{22} + \det k\;\rho P}{1 + k_{11}\rho P},

where :math:`\rho, \sigma` are the loss's decay :math:`\ell''/\varphi` at x and y.

* A *level point* is a point where the curve has the level :math:`\log(B/\lambda)` of the data. It
  is a stationary point of the problem.
* A *fold* is a point of the ascent curve with :math:`h = 1`. Two stationary points merge there.
* The *kind* of a stationary point (minimum or saddle) is the sign of
  :math:`\det H = \lambda^2 (1 + k_{11}\rho P)(1 + \varsigma h)`.

Functions here take arrays of one dtype and one shape, and validate nothing. They hold for any
margin loss. They take the retain mass as ``log_mass`` = :func:`log_retain_mass`.
Source: new. Claims: ``dual-masses``, ``fold-hessian``.
"""

import functools
from collections.abc import Callable
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

PRETRAIN = 1
ASCENT = -1


class Gram(NamedTuple):
    """Gram matrix of the two types.

    The determinant is a field of its own. Computed from the entries it would lose its digits near
    correlation 1.
    """

    first: Float[Array, "*batch"]
    cross: Float[Array, "*batch"]
    second: Float[Array, "*batch"]
    determinant: Float[Array, "*batch"]


@readable()
class Duals(NamedTuple):
    """The coefficients of a stationary point ``w = P u - Q v`` (of pretraining ``w = P u + Q v``).

    ``retain_dual`` is ``P`` and ``forget_dual`` is ``Q``; both are >= 0.
    """

    retain_dual: Float[Array, "*batch"]
    forget_dual: Float[Array, "*batch"]


class CurvePoint(NamedTuple):
    """A point of the curve.

    ``level`` is ``log(B/ridge)``; ``x`` and ``y`` are the margins. ``bend`` is ``h``, which is 1 at
    a fold.
    ``steepening`` is the slope of ``log h`` in ``q``.
    """

    level: Float[Array, "*batch"]
    duals: Duals
    x: Float[Array, "*batch"]
    y: Float[Array, "*batch"]
    bend: Float[Array, "*batch"]
    steepening: Float[Array, "*batch"]


class CurveFolds(NamedTuple):
    """``q`` at the folds of the ascent curve; NaN where there is none.

    ``upper`` is the curve's local maximum, met first from the oracle. ``lower`` is its local
    minimum.
    """

    upper: Float[Array, "*batch"]
    lower: Float[Array, "*batch"]


@backed_by("lemma-2-closed-forms", "r-lambert-form", "shifted-dual-bracket")
def shifted_dual(loss: Loss, log_mass: Array, shift: Array) -> Array:
    r"""The root ``t > 0`` of :math:`t = z\,\varphi(t - c)`.

    Here ``log z = log_mass`` and ``c = shift``. With ``z = k11 A/ridge`` and ``c = -side k12 Q`` it
    is ``k11 P``, the scaled retain dual.
    It is unique, since the left side increases and the right side does not.
    Exponential loss: :math:`W_0(z e^c)`. Logistic loss: the r-Lambert function at :math:`r = e^c`.
    Any other loss: Newton's method in ``log t``.

    Source: Lemma 2 at shift 0; new otherwise.
    Claims: ``lemma-2-closed-forms``, ``r-lambert-form``, ``shifted-dual-bracket``.
    """

    def change(root: Array, parameters: tuple, tangents: tuple) -> Array:
        _, shift = parameters
        log_mass_dot, shift_dot = tangents
        decay = loss.decay(root - shift)
        return root * (log_mass_dot + decay * shift_dot) / (1 + decay * root)

    found = _shifted_dual(loss, *jax.lax.stop_gradient((log_mass, shift)))
    return with_change(change, found, log_mass, shift)


def _shifted_dual(loss: Loss, log_mass: Array, shift: Array) -> Array:
    """:func:`shifted_dual` without its derivatives."""
    if loss.shifted_dual is not None:
        return loss.shifted_dual(log_mass, shift)

    def residual(log_root: Array) -> Array:
        return log_root - loss.log_phi(jnp.exp(log_root) - shift) - log_mass

    # Both ends: claim shifted-dual-bracket.
    high = log_mass + loss.log_phi(-shift)
    low = high - residual(high)
    return jnp.exp(roots.bracketed(residual, low, high, high))


def log_retain_mass(gram: Gram, retain_mass: Array, ridge: Array) -> Array:
    """``log(k11 A / ridge)``, the ``log_mass`` of this module; ``A = retain_mass``."""
    return special.log_ratio(gram.first * retain_mass, ridge)


def oracle_dual(loss: Loss, gram: Gram, log_mass: Array) -> Array:
    """The retain dual ``P`` of the oracle, where nothing is forgotten."""
    return shifted_dual(loss, log_mass, jnp.zeros_like(log_mass)) / gram.first


@backed_by("dual-masses", "dual-curve")
def point_at(loss: Loss, gram: Gram, log_mass: Array, q: Array, side: int) -> CurvePoint:
    """The point of the curve at ``q = log Q``. ``side`` is ``PRETRAIN`` or ``ASCENT``.

    Claims: ``dual-masses``, ``dual-curve``.
    """
    forget_dual = jnp.exp(q)
    retain_dual = shifted_dual(loss, log_mass, -side * gram.cross * forget_dual) / gram.first
    duals = Duals(retain_dual=retain_dual, forget_dual=forget_dual)
    x, y = margins(gram, duals, side)
    decay_x, decay_x_slope = _value_and_slope(loss.decay, x)
    _, log_decay_y_slope = _value_and_slope(loss.log_decay, y)
    stiffness = decay_x * retain_dual
    # h = Q sigma * numerator * inverse; the slopes are abs(dx/dq) and abs(dy/dq).
    numerator = gram.second + gram.determinant * stiffness
    inverse = 1 / (1 + gram.first * stiffness)
    y_slope = forget_dual * numerator * inverse
    x_slope = gram.cross * forget_dual * inverse
    stiffness_change = gram.cross**2 * retain_dual * inverse * (decay_x**2 - decay_x_slope)
    steepening = 1 + side * (log_decay_y_slope * y_slope + x_slope * stiffness_change / numerator)
    return CurvePoint(
        level=q - loss.log_phi(y),
        duals=duals,
        x=x,
        y=y,
        bend=loss.decay(y) * y_slope,
        steepening=steepening,
    )


def _value_and_slope(function: Callable[[Array], Array], at: Array) -> tuple[Array, Array]:
    return jax.jvp(function, (at,), (jnp.ones_like(at),))


@backed_by("dual-masses")
def margins(gram: Gram, duals: Duals, side: int) -> tuple[Array, Array]:
    """``x = k11 P ± k12 Q`` and ``y = k12 P ± k22 Q``. Claim: ``dual-masses``."""
    x = gram.first * duals.retain_dual + side * gram.cross * duals.forget_dual
    y = gram.cross * duals.retain_dual + side * gram.second * duals.forget_dual
    return x, y


@backed_by("dual-curve", "fold-hessian")
def log_bend(loss: Loss, gram: Gram, log_mass: Array, q: Array) -> Array:
    """``log h`` on the ascent curve, which is 0 at a fold.

    It is computed from logarithms, since ``h`` underflows far beyond the second fold.
    Claims: ``dual-curve``, ``fold-hessian``.
    """
    point = point_at(loss, gram, log_mass, q, ASCENT)
    stiffness = loss.decay(point.x) * point.duals.retain_dual
    return (
        q
        + loss.log_decay(point.y)
        + jnp.log((gram.second + gram.determinant * stiffness) / (1 + gram.first * stiffness))
    )


def level_point(
    loss: Loss,
    gram: Gram,
    log_mass: Array,
    level: Array,
    low: Array,
    high: Array,
    start: Array,
    side: int,
    *,
    direction: int = 1,
) -> Array:
    """``q`` in ``[low, high]`` where the curve has the given level.

    On ``[low, high]`` the curve must rise (``direction`` 1) or fall (``direction`` -1).
    """

    def miss(q: Array) -> roots.Jet:
        point = point_at(loss, gram, log_mass, q, side)
        return roots.Jet(
            direction * (point.level - level),
            direction * (1 + side * point.bend),
            direction * (side * point.bend * point.steepening),
            noise=1 + jnp.abs(level) + gram.second * point.duals.forget_dual,
        )

    return roots.bracketed_jet(miss, low, high, start)


@backed_by("pretrain-unique", "pretrain-bracket")
def pretrain_point(loss: Loss, gram: Gram, log_mass: Array, level: Array) -> Array:
    """``q`` of the pretrained solution, which is unique.

    Claims: ``pretrain-unique``, ``pretrain-bracket``.
    """
    alone = oracle_dual(loss, gram, log_mass)
    log_forget_mass = level + jnp.log(gram.second)
    start = jnp.log(shifted_dual(loss, log_forget_mass, -gram.cross * alone) / gram.second)
    reached = start + level - point_at(loss, gram, log_mass, start, PRETRAIN).level
    low = jnp.minimum(start, reached)
    high = jnp.maximum(start, reached)
    return level_point(loss, gram, log_mass, level, low, high, start, PRETRAIN)


@backed_by("bounded-fold-bracket")
def largest_bend(loss: Loss, gram: Gram, log_mass: Array) -> tuple[Array, Array, Array]:
    """``low < q < high`` for a loss with bounded ``phi``: ``h`` is largest at ``q``.

    All folds lie between ``low`` and ``high``, for a loss whose decay at ``y`` is at most
    ``min(1, exp(y))``.
    The logistic loss has this decay. That ``h`` has only one peak is assumed, not proved.
    Claim: ``bounded-fold-bracket``.
    """
    alone = oracle_dual(loss, gram, log_mass)
    # At most exp(-30) below low; in the claim d is ``depth``, and high is a factor e^2 further.
    reach = 2 * gram.first / gram.determinant
    lean = jnp.abs(gram.cross) * alone
    depth = jnp.abs(jnp.log(gram.second)) + lean + jnp.abs(jnp.log(reach)) + 2
    low = -jnp.log(gram.second) - 30
    high = jnp.log(reach * depth) + 2

    def fall(q: Array) -> Array:
        return -jax.jvp(lambda at: log_bend(loss, gram, log_mass, at), (q,), (jnp.ones_like(q),))[1]

    start = jnp.log1p(jnp.abs(gram.cross) * alone / gram.second)
    return low, roots.bracketed(fall, low, high, start, noise=1.0), high


@backed_by("fold-locus", "exponential-fold-bracket")
def exponential_fold(gram: Gram, log_mass: Array) -> Array:
    r"""``q`` at the only fold of the exponential loss.

    There :math:`Q = (1 + k_{11}P)/(k_{22} + \det k\,P)`. The first equation is then one of
    :math:`t = k_{11}P` alone, and every term of g is positive:

    .. math:: \log t + g(t) = c, \quad g(t) = t\,\frac{n + st}{1 + st}, \quad s = \frac{\det
              k}{k_{11}k_{22}}, \quad
              n = s + (1 - s)(1 - k_{12}/k_{22}), \quad c = \log(k_{11}A/\lambda) + k_{12}/k_{22}.

    Claims: ``fold-locus``, ``exponential-fold-bracket``.
    """
    diagonal = gram.first * gram.second
    ratio = gram.cross / gram.second
    apart = gram.determinant / diagonal
    shared = gram.cross**2 / diagonal
    rest = apart + shared * ((gram.second - gram.cross) / gram.second)
    target = log_mass + ratio

    def miss(log_t: Array) -> roots.Jet:
        t = jnp.exp(log_t)
        scale = 1 / (1 + apart * t)
        lost = shared * ratio * scale * scale
        slope = t * (1 - lost)
        return roots.Jet(
            log_t + t * (rest + apart * t) * scale - target,
            1 + slope,
            slope + 2 * apart * t * t * lost * scale,
            noise=jnp.abs(target),
        )

    # In the claim s is ``apart``, n is ``rest``, c is ``target``, G is ``share``, T is ``most``.
    share = jnp.maximum(target, jnp.maximum(rest, 1))
    half = (rest - apart * share) / 2
    root = jnp.sqrt(half * half + apart * share)
    most = jnp.where(half > 0, share / (half + root), (root - half) / apart)
    high = jnp.minimum(jnp.log(most), target)
    t = jnp.exp(roots.bracketed_jet(miss, target - share, high, high))
    return jnp.log((1 + t) / (gram.second * (1 + apart * t)))


@backed_by(
    "exponential-one-fold", "logistic-zero-or-two-folds", "bend-bounds", "bounded-fold-bracket"
)
def fold_points(loss: Loss, gram: Gram, log_mass: Array) -> CurveFolds:
    """Where minima and saddles of descent-ascent merge.

    A loss with unbounded ``phi`` (exponential) has exactly one fold. A loss with bounded ``phi``
    (logistic) has no fold, or one on each side of the largest bend.
    Claims: ``exponential-one-fold``, ``logistic-zero-or-two-folds``, ``bend-bounds``,
        ``bounded-fold-bracket``.
    """
    if np.isinf(loss.slope_at_minus_infinity):
        upper = _only_fold(loss, gram, log_mass)
        return CurveFolds(upper=upper, lower=jnp.full_like(upper, jnp.nan))

    def bend(q: Array) -> Array:
        return log_bend(loss, gram, log_mass, q)

    def negative_bend(q: Array) -> Array:
        return -bend(q)

    low, peak, high = largest_bend(loss, gram, log_mass)
    # h - 1 is negative at both ends, and changes sign once on each side of the peak if it is
    # positive there.
    exists = bend(peak) > 0
    upper = roots.bracketed(bend, low, peak, (low + peak) / 2, noise=1.0)
    lower = roots.bracketed(negative_bend, peak, high, (peak + high) / 2, noise=1.0)
    return CurveFolds(
        upper=jnp.where(exists, upper, jnp.nan), lower=jnp.where(exists, lower, jnp.nan)
    )


def _only_fold(loss: Loss, gram: Gram, log_mass: Array) -> Array:
    """``q`` at the fold of a loss with unbounded ``phi``."""
    start = exponential_fold(gram, log_mass)
    if loss is losses.exponential:
        return start
    # Decays between exp(-30) and exp(30) are covered (claim bend-bounds).
    low = -jnp.log(gram.second) - 30
    high = jnp.log(gram.first / gram.determinant) + 30
    return roots.bracketed(lambda q: log_bend(loss, gram, log_mass, q), low, high, start, noise=1.0)


def _beside_fold(
    loss: Loss, gram: Gram, log_mass: Array, level: Array, fold: Array, branch: int
) -> tuple[Array, Array]:
    """How far the ascent curve falls from its maximum ``fold`` to ``level``, and a guess of ``q``.

    ``q`` is where the curve has this level. The guess is exact if ``log h`` is a straight line, as
    it is without correlation. With slope m of that line the fall at ``q = fold + v/m`` is ``(exp(v)
    - 1 - v)/m``. ``branch`` is 0 for the side of small q and -1 for that of large q, as in Lambert
    W. NaN if ``level`` is above the maximum.
    """
    top = point_at(loss, gram, log_mass, fold, ASCENT)
    drop = top.level - level
    gap = top.steepening * drop
    from_fold = special.lambertw_plus_one_from_gap(gap, branch=branch) + gap
    return drop, fold - from_fold / top.steepening


@backed_by("branch-bracket")
def oracle_branch(
    loss: Loss, gram: Gram, log_mass: Array, level: Array, upper_fold: Array
) -> Array:
    """``q`` of the minimum that starts at the oracle (level -infinity).

    NaN beyond the fold ``upper_fold``. An ``upper_fold`` of NaN means that there is no fold.
    Claim: ``branch-bracket``.
    """
    no_fold = jnp.isnan(upper_fold)
    low = level + loss.log_phi(gram.cross * oracle_dual(loss, gram, log_mass))
    ceiling = level + jnp.log(jnp.asarray(loss.slope_at_minus_infinity, level.dtype))
    high = jnp.where(no_fold, ceiling, jnp.minimum(upper_fold, ceiling))
    drop, guess = _beside_fold(loss, gram, log_mass, level, upper_fold, 0)
    start = jnp.where(no_fold | (drop >= 0), jnp.fmax(low, guess), jnp.nan)
    return level_point(loss, gram, log_mass, level, low, high, start, ASCENT)


@backed_by("saddle-bracket")
def saddle_branch(
    loss: Loss, gram: Gram, log_mass: Array, level: Array, folds: CurveFolds
) -> Array:
    """``q`` of the saddle between the folds; NaN where there is none.

    A loss with unbounded ``phi`` has one fold only. Its saddle lies beyond that fold.
    Claim: ``saddle-bracket``.
    """
    drop, guess = _beside_fold(loss, gram, log_mass, level, folds.upper, -1)
    if np.isinf(loss.slope_at_minus_infinity):
        exists = (drop >= 0) & (level > -jnp.inf)
        # In the claim a is ``ease``, and a decay of at least exp(-slack) is covered.
        slack = 0.0 if loss is losses.exponential else 30.0
        ease = jnp.exp(folds.upper - slack) * gram.determinant / gram.first
        gap = drop + (ease - 1 - jnp.log(ease))
        lower_branch = special.lambertw_plus_one_from_gap(gap, branch=-1)
        high = folds.upper + jnp.log((1 - lower_branch) / ease)
    else:
        exists = (drop >= 0) & (level >= point_at(loss, gram, log_mass, folds.lower, ASCENT).level)
        high = folds.lower
    start = jnp.where(exists, jnp.fmin(guess, high), jnp.nan)
    return level_point(loss, gram, log_mass, level, folds.upper, high, start, ASCENT, direction=-1)


@backed_by("branch-bracket")
def far_branch(loss: Loss, gram: Gram, log_mass: Array, level: Array, lower_fold: Array) -> Array:
    """``q`` of the far minimum of a loss with bounded ``phi``, beyond its second fold.

    NaN where there is none. Claim: ``branch-bracket``.
    """
    high = level + jnp.log(jnp.asarray(loss.slope_at_minus_infinity, level.dtype))
    exists = level >= point_at(loss, gram, log_mass, lower_fold, ASCENT).level
    found = level_point(loss, gram, log_mass, level, lower_fold, high, high, ASCENT)
    return jnp.where(exists, found, jnp.nan)


def implicit(
    loss: Loss,
    side: int,
    found: Duals,
    retain_mass: Array,
    forget_mass: Array,
    ridge: Array,
    gram: Gram,
) -> Duals:
    """``found``, with its derivatives by the implicit function theorem, to any order.

    They are NaN at a fold.
    ``found`` must solve ``P = A phi(x)/ridge`` and ``Q = B phi(y)/ridge`` for ``A = retain_mass``
    and ``B = forget_mass``.
    The tangent of ``found`` is ignored.
    """
    change = functools.partial(_change_of_duals, loss, side)
    return with_change(change, found, retain_mass, forget_mass, ridge, gram)


def _change_of_duals(
    loss: Loss, side: int, solved: Duals, parameters: tuple, tangents: tuple
) -> Duals:
    """The change of ``solved`` with the parameters: the 2x2 system in closed form."""
    retain_mass, _, ridge, gram = parameters
    retain_mass_dot, forget_mass_dot, ridge_dot, gram_dot = tangents
    x, y = margins(gram, solved, side)
    x_dot, y_dot = margins(gram_dot, solved, side)
    retain_stiffness = solved.retain_dual * loss.decay(x)
    forget_stiffness = solved.forget_dual * loss.decay(y)
    # Written with phi/ridge and not Q/B, so that it holds at B = 0.
    first = (
        solved.retain_dual * (retain_mass_dot / retain_mass - ridge_dot / ridge)
        - retain_stiffness * x_dot
    )
    second = (
        jnp.exp(loss.log_phi(y) - jnp.log(ridge)) * forget_mass_dot
        - solved.forget_dual * ridge_dot / ridge
        - forget_stiffness * y_dot
    )
    k11, k12, k22, det = gram
    determinant = (
        1 + k11 * retain_stiffness + side * forget_stiffness * (k22 + det * retain_stiffness)
    )
    determinant = jnp.where(determinant == 0, jnp.nan, determinant)
    retain_change = (1 + side * k22 * forget_stiffness) * first
    retain_change = retain_change - side * k12 * retain_stiffness * second
    forget_change = (1 + k11 * retain_stiffness) * second - k12 * forget_stiffness * first
    return Duals(retain_dual=retain_change / determinant, forget_dual=forget_change / determinant)
