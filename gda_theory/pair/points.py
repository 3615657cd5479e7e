"""All stationary points of a correlated pair: pretraining, the oracle, descent-ascent and what else there is."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Bool, Float, Int

from gda_theory.codes import Kind, Reason
from gda_theory.pair import curve as masses
from gda_theory.pair.curve import ASCENT, PRETRAIN, Masses
from gda_theory.pair.model import CorrelatedPair
from theory_common import checks
from theory_common.batching.blocks import over_cores
from theory_common.claims import backed_by
from theory_common.numerics import special
from theory_common.printing.display import readable

BLOCK = 2048  # pairs whose arrays fit the cache of a core


@readable(reason=Reason)
class PairSolution(NamedTuple):
    """One stationary point: margins ``x``, ``y``, ``weights``, the dual ``masses``; NaN, ``exists`` False and a ``reason`` if none."""

    x: Float[AnyArray, "*batch"]
    y: Float[AnyArray, "*batch"]
    weights: Float[AnyArray, "*batch 2"]
    masses: Masses
    exists: Bool[AnyArray, "*batch"]
    reason: Int[AnyArray, "*batch"]


@readable(kind=Kind)
class StationaryPoints(NamedTuple):
    """All stationary points along a last axis (2 for unbounded ``phi``, 3 for bounded), existing ones first, in order of distance
    from the oracle; NaN and ``kind`` -1 after them. ``kind`` is a :class:`gda_theory.codes.Kind`."""

    x: Float[AnyArray, "*batch k"]
    y: Float[AnyArray, "*batch k"]
    weights: Float[AnyArray, "*batch k 2"]
    kind: Int[AnyArray, "*batch k"]
    determinant: Float[AnyArray, "*batch k"]


@jax.jit
@backed_by("dual-masses", "pretrain-unique", "pair-gradient")
def pretrain(pair: CorrelatedPair) -> PairSolution:
    r"""The unique minimum on all the data.

    .. math:: \lambda x = a(k_{11}\varphi(x) + \alpha k_{12}\varphi(y)), \quad \lambda y = a(k_{12}\varphi(x) + \alpha k_{22}\varphi(y))

    with a = r_p/n. Accuracy: backward stable in the logarithms of the masses. Source: Sec. 5.1.2; the paper knows no explicit
    solution. Claims: ``dual-masses``, ``pretrain-unique``, ``pair-gradient``.
    """
    retain, forget = pair.pretrain_masses
    pull, level = (
        masses.log_pull(pair.gram, retain, pair.ridge),
        special.log_ratio(forget, pair.ridge),
    )
    q = masses.pretrain_point(pair.loss, pair.gram, pull, level)
    return _solution(pair, retain, forget, _unless_empty(forget, q), PRETRAIN)


@jax.jit
@backed_by("lemma-6")
def retrain(pair: CorrelatedPair) -> PairSolution:
    r"""The oracle, the minimum on the retained data: :math:`x_R = k_{11} P,\; y_R = k_{12} P` with ``k11 P`` a Lambert W.

    Source: Lemma 6 (exponential loss); any loss: new. Claim: ``lemma-6``.
    """
    retain, forget = pair.ascent_masses
    return _solution(pair, retain, jnp.zeros_like(forget), jnp.full_like(retain, -jnp.inf), ASCENT)


@backed_by(
    "dual-masses", "two-points-below-fold", "pair-gradient", "lemma-8-bounds", "flow-blow-up"
)
def descent_ascent(pair: CorrelatedPair, strength=1.0) -> PairSolution:
    r"""The minimum of descent-ascent that continues the oracle as forgotten samples are added.

    .. math:: \lambda x = A k_{11}\varphi(x) - \gamma B k_{12}\varphi(y), \quad \lambda y = A k_{12}\varphi(x) - \gamma B k_{22}\varphi(y)

    Args: strength: ascent strength ``gamma >= 0``; 1 is the paper's descent-ascent, 0 the oracle.
    Returns: NaN, ``exists`` False and ``reason`` ``PAST_FOLD`` beyond the fold, even where a logistic loss has another, far
    minimum (:func:`stationary_points` has all).
    Source: Sec. 5.1.2, Lemma 8; existence: new.
    Claims: ``dual-masses``, ``two-points-below-fold``, ``pair-gradient``, ``lemma-8-bounds``, ``flow-blow-up``.
    """
    strength = checks.nonnegative("strength", strength)
    return _descent_ascent(pair, strength.astype(pair.ridge.dtype))


@jax.jit
def _descent_ascent(pair: CorrelatedPair, strength: Array) -> PairSolution:
    pair = _scaled(pair, strength)
    retain, forget = pair.ascent_masses
    pull, level = (
        masses.log_pull(pair.gram, retain, pair.ridge),
        special.log_ratio(forget, pair.ridge),
    )
    folds = masses.fold_points(pair.loss, pair.gram, pull)
    q = masses.oracle_branch(pair.loss, pair.gram, pull, level, folds.upper)
    return _solution(pair, retain, forget, _unless_empty(forget, q), ASCENT)


@backed_by("two-points-below-fold", "logistic-zero-or-two-folds", "dual-masses")
def stationary_points(pair: CorrelatedPair, strength=1.0) -> StationaryPoints:
    """Every stationary point of descent-ascent, with its kind.

    Exponential loss: a minimum and a saddle below the fold, none above. Logistic: one minimum, or two minima and a saddle
    between two folds. Source: new. Claims: ``two-points-below-fold``, ``logistic-zero-or-two-folds``, ``dual-masses``.
    """
    strength = checks.nonnegative("strength", strength)
    pair = _scaled(pair, strength.astype(pair.ridge.dtype))
    return over_cores(_stationary_points, pair, pair.ridge.shape, size=BLOCK)


@jax.jit
def _stationary_points(pair: CorrelatedPair) -> StationaryPoints:
    retain, forget = pair.ascent_masses
    pull, level = (
        masses.log_pull(pair.gram, retain, pair.ridge),
        special.log_ratio(forget, pair.ridge),
    )
    known = (pair.loss, pair.gram, pull, level)
    folds = masses.fold_points(*known[:3])
    near, saddle = masses.oracle_branch(*known, folds.upper), masses.saddle_branch(*known, folds)
    branches = [_unless_empty(forget, near), saddle]
    if np.isfinite(pair.loss.slope_at_minus_infinity):
        # Past the fold only the far minimum is left, and comes first.
        far, lost = masses.far_branch(*known, folds.lower), jnp.isnan(near)
        branches = [jnp.where(lost, far, branches[0]), saddle, jnp.where(lost, jnp.nan, far)]
    found = [_solution(pair, retain, forget, q, ASCENT) for q in branches]
    curves = [masses.curve(*known[:3], q, ASCENT) for q in branches]
    x, y, bend = (
        jnp.stack(values, -1)
        for values in zip(
            *((s.x, s.y, c.bend) for s, c in zip(found, curves, strict=True)), strict=True
        )
    )
    relative = jnp.stack(
        [
            (1 + pair.gram.first * pair.loss.decay(c.x) * c.masses.descent) * (1 - c.bend)
            for c in curves
        ],
        -1,
    )
    # At the fold 1 - h is the square root of what rounding does to the level.
    rounding = jnp.sqrt(
        32 * jnp.finfo(x.dtype).eps * (1 + jnp.where(forget == 0, 0, jnp.abs(level)))
    )[..., None]
    kind = jnp.where(bend < 1, Kind.MINIMUM, Kind.SADDLE)
    kind = jnp.where(jnp.abs(1 - bend) <= rounding, Kind.DEGENERATE, kind)
    kind = jnp.where(jnp.isnan(x), Kind.NONE, kind)
    return StationaryPoints(
        x, y, jnp.stack([s.weights for s in found], -2), kind, relative * pair.ridge[..., None] ** 2
    )


def _unless_empty(forget: Array, q: Array) -> Array:
    """``q``, or -infinity, its limit, where nothing is forgotten: no iteration gets there."""
    return jnp.where(forget == 0, -jnp.inf, q)


def _solution(
    pair: CorrelatedPair, descent: Array, ascent: Array, q: Array, side: int
) -> PairSolution:
    """The point at ``q``, with the implicit derivatives of its masses."""
    pull = masses.log_pull(pair.gram, descent, pair.ridge)
    found = jax.lax.stop_gradient(masses.curve(pair.loss, pair.gram, pull, q, side).masses)
    solved = masses.implicit(pair.loss, side, found, descent, ascent, pair.ridge, pair.gram)
    x, y = masses.margins(pair.gram, solved, side)
    weights = (
        solved.descent[..., None] * pair.types[..., 0, :]
        + side * solved.ascent[..., None] * pair.types[..., 1, :]
    )
    known, exists = ~jnp.isnan(pull), ~(jnp.isnan(q) | jnp.isnan(pull))
    why_not = jnp.where(known, Reason.PAST_FOLD, Reason.NOT_CONVERGED)
    return PairSolution(x, y, weights, solved, exists, jnp.where(exists, Reason.FOUND, why_not))


@jax.jit
def _scaled(pair: CorrelatedPair, strength: Array) -> CorrelatedPair:
    """Ascent at a strength is ascent at 1 with that many times the forgotten samples; also broadcasts the batch."""
    shape = jnp.broadcast_shapes(pair.ridge.shape, strength.shape)
    wide = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, shape + leaf.shape[pair.ridge.ndim :]), pair
    )
    return wide.replace(forget_in_pair=wide.forget_in_pair * strength)
