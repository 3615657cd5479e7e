r"""Which starts reach the minimum of descent-ascent: the basin of a correlated pair, bounded by the saddle's stable manifold.

Write the weights in the basis of the types, :math:`w = p\,u - q\,v`. In units of ``1/ridge`` the limit of small steps is

.. math:: \dot p = -p + P, \quad \dot y = -y + k_{12} P - k_{22} Q, \qquad
          P = \tfrac A\lambda\varphi(x),\; Q = \tfrac B\lambda\varphi(y),\; x = (\det k\; p + k_{12}\, y)/k_{22},

and both :math:`\partial\dot p/\partial y` and :math:`\partial\dot y/\partial p` are :math:`\le 0`: the flow preserves the order
in which a start is higher when its ``y`` is larger and its ``p`` smaller. Hence the saddle's stable manifold is the graph of an
increasing function ``y = S(p)``; what starts above it reaches the minimum that continues the oracle, what starts below leaves
(exponential loss: for good, logistic: to the far minimum). For :math:`k_{12} < 0` both derivatives are :math:`\ge 0`: all of this holds
with the order of p turned round, and S decreases (the logistic loss then has no saddle).

``p`` is a coordinate of the weights. At rest it equals the mass ``P``, elsewhere it does not, and in ``(y, P)`` the flow preserves no
order. Pretraining, the oracle, the minimum and the saddle are always in the order :math:`p_D < p_R < p_{DA} < p_{saddle}`: there
:math:`\ln p + k_{11} p` (exponential loss) is :math:`\ln(A/\lambda)` plus :math:`\ln\tfrac rn - k_{12}Q_D`, 0, :math:`k_{12}Q_{DA}`
and :math:`k_{12}Q_{saddle}` (for sums without the r/n).

Only the flow is treated: finite steps move the boundary by something of the order of the step. Source: new.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Bool, Float

from gda_theory.pair import CorrelatedPair
from gda_theory.pair import curve as masses
from gda_theory.pair.curve import Gram
from gda_theory.problem.losses import Loss
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.numerics import special
from theory_common.printing.display import readable

STEPS = (
    256  # to the boundary; they go as far as a tenth of an e-fold of the distance from the saddle
)
CORRECTIONS = 4  # Newton's, a step
_ROOT = np.sqrt(6.0)
# Radau IIA, three stages, order 5: Hairer and Wanner, Solving Ordinary Differential Equations II, Table IV.5.6.
_NODES = np.array([(4 - _ROOT) / 10, (4 + _ROOT) / 10, 1.0])
_RADAU = np.array(
    [
        [(88 - 7 * _ROOT) / 360, (296 - 169 * _ROOT) / 1800, (-2 + 3 * _ROOT) / 225],
        [(296 + 169 * _ROOT) / 1800, (88 + 7 * _ROOT) / 360, (-2 - 3 * _ROOT) / 225],
        [(16 - _ROOT) / 36, (16 + _ROOT) / 36, 1 / 9],
    ]
)


@readable()
class OrderCoordinates(NamedTuple):
    """The weights ``p u - q v`` by ``y = <w, v>`` and ``descent = p``: in these the flow preserves an order, up in y and down in p."""

    y: Float[AnyArray, "*batch"]
    descent: Float[AnyArray, "*batch"]


@backed_by("flow-preserves-order")
def order_coordinates(pair: CorrelatedPair, weights) -> OrderCoordinates:
    """The order coordinates of ``weights`` ``(*batch, 2)``; batch dimensions broadcast against the pair's.

    Claim: ``flow-preserves-order``.
    """
    weights = checks.finite("weights", weights)
    if not weights.ndim or weights.shape[-1] != 2:
        raise ValueError(f"weights must have shape (*batch, 2), got {weights.shape}")
    _check_batch(pair, weights=weights.shape[:-1])
    retained, forgotten = pair.types[..., 0, :], pair.types[..., 1, :]
    # A ratio of areas: solving by the Gram matrix would square the condition number.
    return OrderCoordinates(
        jnp.sum(weights * forgotten, -1), _area(weights, forgotten) / _area(retained, forgotten)
    )


@backed_by("flow-preserves-order")
def weights_at(pair: CorrelatedPair, y, descent) -> Float[Array, "*batch 2"]:
    """The weights at these order coordinates: the inverse of :func:`order_coordinates`. Claim: ``flow-preserves-order``."""
    y, descent = checks.broadcast("weights_at", y=y, descent=descent).values()
    _check_batch(pair, y=y.shape)
    ascent = (pair.gram.cross * descent - y) / pair.gram.second
    return descent[..., None] * pair.types[..., 0, :] - ascent[..., None] * pair.types[..., 1, :]


@backed_by("flow-preserves-order")
def velocity(pair: CorrelatedPair, y, descent, strength=1.0) -> OrderCoordinates:
    """How fast the flow moves the order coordinates, in units of the ridge. Claim: ``flow-preserves-order``."""
    y, descent = checks.broadcast("velocity", y=y, descent=descent).values()
    _check_batch(pair, y=y.shape, strength=np.shape(strength))
    up, along, scale = _velocity(pair.loss, _forces(pair, strength), y, descent)
    return OrderCoordinates(jnp.exp(scale) * up, jnp.exp(scale) * along)


@backed_by("flow-preserves-order", "basin-theorem")
def separatrix(pair: CorrelatedPair, descent, strength=1.0) -> Float[Array, "*batch"]:
    r"""The basin's boundary ``y = S(p)`` at ``p = descent``: the stable manifold of the saddle.

    It is followed from the saddle along its stable eigenvector, backwards in time, which damps the errors across it. With
    :math:`y = y_s + (p - p_s)\,g` and :math:`\sigma = \ln|p - p_s|` it obeys :math:`dg/d\sigma = \dot y/\dot p - g`, without a
    singularity and without a time that runs to infinity: an implicit method of order 5, in steps of a fixed number.

    Args:
        descent: ``p``; broadcasts against the pair and the strength.
    Returns: NaN where there is no saddle: past the fold, nothing forgotten, or a loss without folds.
    Accuracy: 1e-10 of the way from the saddle in float64, 1e-4 in float32 (measured; beyond 1e20 fewer digits, and NaN from 1e200 on).
    Source: new.
    Claims: ``flow-preserves-order``, ``basin-theorem``.
    """
    descent = checks.finite("descent", descent)
    _check_batch(pair, descent=descent.shape, strength=np.shape(strength))
    return _followed(pair.loss, _forces(pair, strength), descent)[0]


@backed_by("mass-order", "basin-theorem", "basin-from-pretraining", "flow-blow-up")
def in_basin(pair: CorrelatedPair, weights, strength=1.0) -> Bool[Array, "*batch"]:
    """Whether the flow from ``weights`` ``(*batch, 2)`` reaches the minimum that continues the oracle.

    False past the fold, where that minimum is gone; True everywhere where it exists and there is no saddle. Source: new.
    Claims: ``mass-order``, ``basin-theorem``, ``basin-from-pretraining``, ``flow-blow-up``.
    """
    start = order_coordinates(pair, weights)
    _check_batch(pair, weights=start.y.shape, strength=np.shape(strength))
    boundary, bounded, exists = _followed(pair.loss, _forces(pair, strength), start.descent)
    return exists & (~bounded | (start.y > boundary))


def _check_batch(pair: CorrelatedPair, **shapes: tuple[int, ...]) -> None:
    """``TypeError`` if ``pair`` is none; ``ValueError`` unless the batch shapes broadcast against the pair's."""
    if not isinstance(pair, CorrelatedPair):
        raise TypeError(f"pair must be a CorrelatedPair, got {type(pair).__name__}")
    checks.common_shape(pair=pair.ridge.shape, **shapes)


class _Forces(NamedTuple):
    """What the flow depends on: the Gram matrix, ``log(A/ridge)`` and ``log(strength B/ridge)``."""

    gram: Gram
    retain: Float[Array, "*batch"]
    forget: Float[Array, "*batch"]


def _forces(pair: CorrelatedPair, strength) -> _Forces:
    strength = checks.nonnegative("strength", strength).astype(pair.ridge.dtype)
    retain, forget = pair.ascent_masses
    return _Forces(
        pair.gram,
        special.log_ratio(retain, pair.ridge),
        special.log_ratio(strength * forget, pair.ridge),
    )


def _area(first: Array, second: Array) -> Array:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def _margin(gram: Gram, y: Array, descent: Array) -> Array:
    """``x`` at these order coordinates."""
    return (gram.determinant * descent + gram.cross * y) / gram.second


def _velocity(loss: Loss, forces: _Forces, y: Array, descent: Array) -> tuple[Array, Array, Array]:
    """The velocities of ``y`` and ``p``, both to be multiplied by the exponential of a third number that keeps them finite."""
    gram = forces.gram
    pull = forces.retain + loss.log_phi(_margin(gram, y, descent))
    push = forces.forget + loss.log_phi(y)
    scale = jnp.maximum(jnp.maximum(pull, push), 0)
    pull, push, one = jnp.exp(pull - scale), jnp.exp(push - scale), jnp.exp(-scale)
    return -one * y + gram.cross * pull - gram.second * push, pull - one * descent, scale


def _stable_slope(gram: Gram, pull: Array, push: Array) -> Array:
    r"""``dy/dp`` of the saddle's stable eigenvector, of the sign of k12; ``pull``, ``push`` are the masses times the loss's decay.

    The flow's linear part plus 1 is :math:`-\begin{pmatrix}\alpha & \beta\\ \gamma & -\eta\end{pmatrix}` in (p, y).
    """
    alpha, beta = pull * gram.determinant / gram.second, pull * gram.cross / gram.second
    gamma, eta = gram.cross * alpha, gram.second * push - gram.cross * beta
    total, root = alpha + eta, jnp.sqrt((alpha + eta) ** 2 + 4 * beta * gamma)
    # Two forms of one root, each where it does not cancel.
    rising = total >= 0
    return jnp.where(
        rising,
        2 * gamma / jnp.where(rising, total + root, 1),
        (root - total) / jnp.where(rising, 1, 2 * beta),
    )


@functools.partial(jax.jit, static_argnums=0)
def _followed(loss: Loss, forces: _Forces, descent: Array) -> tuple[Array, Array, Array]:
    """``S(descent)``, whether there is a saddle, and whether there is the minimum that continues the oracle."""
    leaves = jnp.broadcast_arrays(*forces.gram, forces.retain, forces.forget)
    gram, retain, level = Gram(*leaves[:4]), leaves[4], leaves[5]
    pull = retain + jnp.log(gram.first)
    folds = masses.fold_points(loss, gram, pull)
    saddle = masses.curve(
        loss, gram, pull, masses.saddle_branch(loss, gram, pull, level, folds), masses.ASCENT
    )
    top = masses.curve(loss, gram, pull, folds.upper, masses.ASCENT).level
    lanes = jnp.broadcast_arrays(*leaves, saddle.x, saddle.y, descent)
    boundary = jax.vmap(functools.partial(_boundary, loss))(*(lane.ravel() for lane in lanes))
    return (
        boundary.reshape(lanes[0].shape),
        ~jnp.isnan(saddle.y),
        jnp.isnan(folds.upper) | (level <= top),
    )


def _boundary(loss: Loss, k11, k12, k22, determinant, retain, forget, x, y, descent) -> Array:
    """``S(descent)`` for the saddle ``(x, y)``."""
    forces = _Forces(Gram(k11, k12, k22, determinant), retain, forget)
    pull, push = jnp.exp(retain + loss.log_phi(x)), jnp.exp(forget + loss.log_phi(y))
    slope = _stable_slope(forces.gram, pull * loss.decay(x), push * loss.decay(y))
    away = descent - pull  # at rest the coordinate is the mass
    eps = float(jnp.finfo(y.dtype).eps)
    # So near the saddle the graph is its tangent: the curvature is of the order of the square, the rounding of eps over it.
    near = eps ** (1 / 3) / (jnp.abs(slope) + (determinant + k12 * slope) / k22)
    begin = jnp.log(near)
    end = jnp.maximum(begin, jnp.log(jnp.abs(away)))
    side = jnp.where(away < 0, -1, 1)

    def change(secant, log_distance):
        distance = side * jnp.exp(log_distance)
        up, along, _ = _velocity(loss, forces, y + distance * secant, pull + distance)
        return up / along - secant

    return y + away * _radau(change, slope, begin, end)


def _radau(change, start: Array, begin: Array, end: Array) -> Array:
    """The end of ``dg/ds = change(g, s)``, ``change`` elementwise: implicit, since far below a fold the errors are damped too fast."""
    step = (end - begin) / STEPS
    # Rounded before they meet a traced number: a constant of 64 bits has no place in a program of 32.
    matrix, nodes = step * _RADAU.astype(start.dtype), _NODES.astype(start.dtype)

    def one(carry, index):
        value, rate = carry
        times = begin + step * (index + nodes)

        def correct(_, stages):
            slopes, bends = jax.jvp(
                lambda at: change(at, times), (stages,), (jnp.ones_like(stages),)
            )
            return stages - _solve(
                jnp.eye(3, dtype=start.dtype) - matrix * bends, stages - value - matrix @ slopes
            )

        stages = jax.lax.fori_loop(0, CORRECTIONS, correct, value + step * nodes * rate)
        return (stages[-1], change(stages[-1], times[-1])), None

    return jax.lax.scan(one, (start, jnp.zeros_like(start)), jnp.arange(STEPS))[0][0]


def _solve(matrix: Float[Array, "3 3"], right: Float[Array, "3"]) -> Float[Array, "3"]:
    """By Cramer's rule, which fuses: a library call for each small system would cost more than all the rest."""
    first, second, third = matrix.T
    normal = jnp.cross(second, third)
    return jnp.stack(
        [right @ normal, first @ jnp.cross(right, third), first @ jnp.cross(second, right)]
    ) / (first @ normal)
