"""All stationary points of a correlated pair: pretraining, the oracle, descent-ascent, saddles."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Bool, Float, Int

from gda_theory.codes import Kind, Reason
from gda_theory.pair import curve
from gda_theory.pair.curve import ASCENT, PRETRAIN, Duals
from gda_theory.pair.model import CorrelatedPair, require_pair, with_arrays
from theory_common import checks
from theory_common.batching.blocks import over_cores
from theory_common.claims import backed_by
from theory_common.numerics import special
from theory_common.precision import ArrayLike
from theory_common.printing.display import readable

BLOCK = 2048  # pairs whose arrays fit the cache of a core


@readable(reason=Reason)
class PairSolution(NamedTuple):
    """One stationary point: its margins ``x`` and ``y``, its ``weights``, its ``duals``.

    Where there is none, the numbers are NaN, ``exists`` is False and ``reason`` says why
    (a :class:`gda_theory.codes.Reason`).
    """

    x: Float[AnyArray, "*batch"]
    y: Float[AnyArray, "*batch"]
    weights: Float[AnyArray, "*batch 2"]
    duals: Duals
    exists: Bool[AnyArray, "*batch"]
    reason: Int[AnyArray, "*batch"]


@readable(kind=Kind)
class StationaryPoints(NamedTuple):
    """All stationary points along a last axis: 2 for a loss with unbounded ``phi``, else 3.

    Existing points come first, in order of their distance from the oracle. Entries for missing
    points are NaN, with ``kind`` -1. ``kind`` is a :class:`gda_theory.codes.Kind`, and
    ``determinant`` is the determinant of the Hessian.
    """

    x: Float[AnyArray, "*batch k"]
    y: Float[AnyArray, "*batch k"]
    weights: Float[AnyArray, "*batch k 2"]
    kind: Int[AnyArray, "*batch k"]
    determinant: Float[AnyArray, "*batch k"]


@jax.jit
@backed_by("dual-masses", "pretrain-unique", "pair-gradient")
def pretrain(pair: CorrelatedPair) -> PairSolution:
    r"""The unique minimum on all the data.

    .. math:: \lambda x = A k_{11}\varphi(x) + B k_{12}\varphi(y), \qquad
              \lambda y = A k_{12}\varphi(x) + B k_{22}\varphi(y)

    with (A, B) = (r_p, f_p)/n for means and (r_p, f_p) for sums.

    Args:
        pair: any :class:`CorrelatedPair`.
    Returns: :class:`PairSolution`; it exists for every valid pair.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`.
    Accuracy: backward stable in the logarithms of the duals.
    Source: Sec. 5.1.2, which has no explicit solution.
    Claims: ``dual-masses``, ``pretrain-unique``, ``pair-gradient``.
    """
    require_pair(pair)
    retain_mass, forget_mass = pair.pretrain_masses
    log_mass = curve.log_retain_mass(pair.gram, retain_mass, pair.ridge)
    level = special.log_ratio(forget_mass, pair.ridge)
    q = curve.pretrain_point(pair.loss, pair.gram, log_mass, level)
    return _solution(pair, retain_mass, forget_mass, _unless_empty(forget_mass, q), PRETRAIN)


@jax.jit
@backed_by("lemma-6")
def retrain(pair: CorrelatedPair) -> PairSolution:
    r"""The oracle, the minimum on the retained data.

    .. math:: x_R = k_{11} P, \qquad y_R = k_{12} P, \qquad k_{11} P = W(k_{11} A/\lambda)

    where W(z) is the root of :math:`w = z\varphi(w)`: Lambert W for the exponential loss, the
    r-Lambert function for the logistic loss.

    Args:
        pair: any :class:`CorrelatedPair`; its ``forget_in_pair`` is not used.
    Returns: :class:`PairSolution`; it exists for every valid pair.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`.
    Source: Lemma 6 (exponential loss); any loss: new. Claim: ``lemma-6``.
    """
    require_pair(pair)
    retain_mass, forget_mass = pair.ascent_masses
    nothing = jnp.zeros_like(forget_mass)
    return _solution(pair, retain_mass, nothing, jnp.full_like(retain_mass, -jnp.inf), ASCENT)


@backed_by(
    "dual-masses", "two-points-below-fold", "pair-gradient", "lemma-8-bounds", "flow-blow-up"
)
def descent_ascent(pair: CorrelatedPair, strength: ArrayLike = 1.0) -> PairSolution:
    r"""The minimum of descent-ascent that continues the oracle as forgotten samples are added.

    .. math:: \lambda x = A k_{11}\varphi(x) - \gamma B k_{12}\varphi(y), \qquad
              \lambda y = A k_{12}\varphi(x) - \gamma B k_{22}\varphi(y)

    with (A, B) = (r_p/r, f_p/f) for means and (r_p, f_p) for sums.

    Args:
        pair: any :class:`CorrelatedPair`.
        strength: ascent strength ``gamma >= 0``: 1 is the paper's descent-ascent, 0 the oracle.
            It broadcasts against the pair.
    Returns: :class:`PairSolution`. Beyond the fold it is NaN, with ``exists`` False and ``reason``
        ``PAST_FOLD``, even where a logistic loss has another, far minimum. All points are in
        :func:`stationary_points`.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`; ``ValueError`` or ``TypeError``
        for a bad ``strength``.
    Source: Sec. 5.1.2, Lemma 8; existence: new.
    Claims: ``dual-masses``, ``two-points-below-fold``, ``pair-gradient``, ``lemma-8-bounds``,
        ``flow-blow-up``.
    """
    require_pair(pair)
    strength = checks.nonnegative("strength", strength)
    return _descent_ascent(pair, strength.astype(pair.ridge.dtype))


@jax.jit
def _descent_ascent(pair: CorrelatedPair, strength: Array) -> PairSolution:
    pair = _scaled(pair, strength)
    return continued(pair, upper_fold(pair))


def upper_fold(pair: CorrelatedPair) -> Float[Array, "*batch"]:
    """``q`` at the fold where the oracle's minimum ends; NaN if it never does.

    It does not depend on how many samples are forgotten.
    """
    log_mass = curve.log_retain_mass(pair.gram, pair.ascent_masses[0], pair.ridge)
    return curve.fold_points(pair.loss, pair.gram, log_mass).upper


def continued(pair: CorrelatedPair, fold: Float[Array, "*batch"]) -> PairSolution:
    """:func:`descent_ascent` at strength 1, given ``fold`` = :func:`upper_fold`."""
    retain_mass, forget_mass = pair.ascent_masses
    log_mass = curve.log_retain_mass(pair.gram, retain_mass, pair.ridge)
    level = special.log_ratio(forget_mass, pair.ridge)
    q = curve.oracle_branch(pair.loss, pair.gram, log_mass, level, fold)
    return _solution(pair, retain_mass, forget_mass, _unless_empty(forget_mass, q), ASCENT)


@backed_by("two-points-below-fold", "logistic-zero-or-two-folds", "dual-masses")
def stationary_points(pair: CorrelatedPair, strength: ArrayLike = 1.0) -> StationaryPoints:
    """Every stationary point of descent-ascent, with its kind.

    They solve the equations of :func:`descent_ascent`.
    Exponential loss: a minimum and a saddle below the fold, none above.
    Logistic loss: one minimum, or two minima and a saddle between two folds.

    Args:
        pair: any :class:`CorrelatedPair`. A large concrete batch is shared by the cores.
        strength: ascent strength ``gamma >= 0``; it broadcasts against the pair.
    Returns: :class:`StationaryPoints`.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`; ``ValueError`` or ``TypeError``
        for a bad ``strength``.
    Source: new.
    Claims: ``two-points-below-fold``, ``logistic-zero-or-two-folds``, ``dual-masses``.
    """
    require_pair(pair)
    strength = checks.nonnegative("strength", strength)
    pair = _scaled(pair, strength.astype(pair.ridge.dtype))
    return over_cores(_stationary_points, pair, pair.ridge.shape, size=BLOCK)


@jax.jit
def _stationary_points(pair: CorrelatedPair) -> StationaryPoints:
    retain_mass, forget_mass = pair.ascent_masses
    log_mass = curve.log_retain_mass(pair.gram, retain_mass, pair.ridge)
    level = special.log_ratio(forget_mass, pair.ridge)
    branches = _branches(pair, log_mass, level)
    found = [_solution(pair, retain_mass, forget_mass, q, ASCENT) for q in branches]
    points = [curve.point_at(pair.loss, pair.gram, log_mass, q, ASCENT) for q in branches]
    x = jnp.stack([solution.x for solution in found], -1)
    bend = jnp.stack([point.bend for point in points], -1)
    determinant = jnp.stack([_relative_determinant(pair, point) for point in points], -1)
    return StationaryPoints(
        x=x,
        y=jnp.stack([solution.y for solution in found], -1),
        weights=jnp.stack([solution.weights for solution in found], -2),
        kind=_kinds(x, bend, jnp.where(forget_mass == 0, 0, jnp.abs(level))),
        determinant=determinant * pair.ridge[..., None] ** 2,
    )


def _branches(pair: CorrelatedPair, log_mass: Array, level: Array) -> list[Array]:
    """``q`` of every branch of stationary points, in order of distance from the oracle."""
    known = (pair.loss, pair.gram, log_mass, level)
    folds = curve.fold_points(pair.loss, pair.gram, log_mass)
    near = curve.oracle_branch(*known, folds.upper)
    saddle = curve.saddle_branch(*known, folds)
    first = _unless_empty(pair.ascent_masses[1], near)
    if np.isinf(pair.loss.slope_at_minus_infinity):
        return [first, saddle]
    # Past the fold only the far minimum is left, and comes first.
    far = curve.far_branch(*known, folds.lower)
    lost = jnp.isnan(near)
    return [jnp.where(lost, far, first), saddle, jnp.where(lost, jnp.nan, far)]


def _relative_determinant(pair: CorrelatedPair, point: curve.CurvePoint) -> Array:
    """``det H / ridge^2`` of descent-ascent (see :mod:`gda_theory.pair.curve`)."""
    stiffness = pair.gram.first * pair.loss.decay(point.x) * point.duals.retain_dual
    return (1 + stiffness) * (1 - point.bend)


def _kinds(x: Array, bend: Array, level_size: Array) -> Array:
    """The :class:`Kind` of points with margins ``x`` and ``bend`` h, along the last axis."""
    # Next to a fold 1 - h is the square root of the rounding error of the level.
    rounding = jnp.sqrt(32 * jnp.finfo(x.dtype).eps * (1 + level_size))[..., None]
    kind = jnp.where(bend < 1, Kind.MINIMUM, Kind.SADDLE)
    kind = jnp.where(jnp.abs(1 - bend) <= rounding, Kind.DEGENERATE, kind)
    return jnp.where(jnp.isnan(x), Kind.NONE, kind)


def _unless_empty(forget_mass: Array, q: Array) -> Array:
    """``q``, or its limit -infinity where nothing is forgotten, which no iteration reaches."""
    return jnp.where(forget_mass == 0, -jnp.inf, q)


def _solution(
    pair: CorrelatedPair, retain_mass: Array, forget_mass: Array, q: Array, side: int
) -> PairSolution:
    """The point at ``q``, with the implicit derivatives of its duals."""
    gram, ridge = pair.gram, pair.ridge
    log_mass = curve.log_retain_mass(gram, retain_mass, ridge)
    found = jax.lax.stop_gradient(curve.point_at(pair.loss, gram, log_mass, q, side).duals)
    solved = curve.implicit(pair.loss, side, found, retain_mass, forget_mass, ridge, gram)
    x, y = curve.margins(gram, solved, side)
    retained = solved.retain_dual[..., None] * pair.types[..., 0, :]
    forgotten = side * solved.forget_dual[..., None] * pair.types[..., 1, :]
    known = ~jnp.isnan(log_mass)
    exists = ~(jnp.isnan(q) | jnp.isnan(log_mass))
    why_not = jnp.where(known, Reason.PAST_FOLD, Reason.NOT_CONVERGED)
    return PairSolution(
        x=x,
        y=y,
        weights=retained + forgotten,
        duals=solved,
        exists=exists,
        reason=jnp.where(exists, Reason.FOUND, why_not),
    )


@jax.jit
def _scaled(pair: CorrelatedPair, strength: Array) -> CorrelatedPair:
    """The pair with ``strength`` times the forgotten samples, broadcast to a common batch.

    Ascent on it at strength 1 is ascent on ``pair`` at ``strength``.
    """
    return with_arrays(pair, forget_in_pair=pair.forget_in_pair * strength)
