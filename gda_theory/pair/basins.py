r"""The basin of a correlated pair: the starts from which descent-ascent reaches its minimum.

The basin is bounded by the saddle's stable manifold.
Write the weights in the basis of the types, :math:`w = p\,u - q\,v`. In units of ``1/ridge`` the
limit of small steps is

.. math:: \dot p = -p + P, \quad \dot y = -y + k_{12} P - k_{22} Q, \qquad
          P = \tfrac A\lambda\varphi(x),\; Q = \tfrac B\lambda\varphi(y),\;
          x = (\det k\; p + k_{12}\, y)/k_{22} .

Both :math:`\partial\dot p/\partial y` and :math:`\partial\dot y/\partial p` are :math:`\le 0`. So
the flow preserves an order: a start is higher when its ``y`` is larger and its ``p`` smaller. Hence
the saddle's stable manifold is the graph of an increasing function ``y = S(p)``. A start above the
graph reaches the minimum that continues the oracle. A start below it does not: with the exponential
loss it diverges, and with the logistic loss it reaches the far minimum.

For :math:`k_{12} < 0` both derivatives are :math:`\ge 0`. The same results then hold with the order
of p reversed, and S decreases. The logistic loss has no saddle in that case.

``p`` is a coordinate of the weights. It equals the retain dual ``P`` at a stationary point, and
differs from it elsewhere. In the coordinates ``(y, P)`` the flow preserves no order. The four
stationary points are always in the order :math:`p_D < p_R < p_{DA} < p_{saddle}`. For the
exponential loss :math:`\ln p + k_{11} p - \ln(A/\lambda)` has at these points the values
:math:`\ln\tfrac rn - k_{12}Q_D`, 0, :math:`k_{12}Q_{DA}` and :math:`k_{12}Q_{saddle}`. For sums the
term :math:`\ln\tfrac rn` is absent.

The results are for the flow, the limit of small steps. A finite step size moves the boundary by an
amount of the order of the step size.
Source: new.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Bool, Float

from gda_theory.pair import curve
from gda_theory.pair.curve import ASCENT, Gram
from gda_theory.pair.model import CorrelatedPair, require_pair
from gda_theory.problem.losses import Loss
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.numerics import special
from theory_common.precision import ArrayLike
from theory_common.printing.display import readable

# Steps to the boundary. Each goes as far as a tenth of an e-fold of the distance from the saddle.
STEPS = 256
CORRECTIONS = 4  # Newton corrections in each step
_ROOT = np.sqrt(6.0)
# Radau IIA, three stages, order 5: Hairer and Wanner, Solving Ordinary Differential Equations II,
# Table IV.5.6.
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
    """The coordinates ``y = <w, v>`` and ``p`` of the weights ``w = p u - q v``.

    The flow preserves an order in them: one point is higher if its ``y`` is larger and its ``p``
    smaller.
    """

    y: Float[AnyArray, "*batch"]
    p: Float[AnyArray, "*batch"]


@backed_by("flow-preserves-order")
def order_coordinates(pair: CorrelatedPair, weights: ArrayLike) -> OrderCoordinates:
    r"""The order coordinates of weights.

    .. math:: y = \langle w, v\rangle, \qquad w = p\,u - q\,v

    Args:
        pair: any :class:`CorrelatedPair`.
        weights: finite, ``(*batch, 2)``; batch dimensions broadcast against the pair's.
    Returns: :class:`OrderCoordinates`.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: new. Claim: ``flow-preserves-order``.
    """
    weights = checks.finite("weights", weights)
    if not weights.ndim or weights.shape[-1] != 2:
        raise ValueError(f"weights must have shape (*batch, 2), got {weights.shape}")
    _check_batch(pair, weights=weights.shape[:-1])
    retained = pair.types[..., 0, :]
    forgotten = pair.types[..., 1, :]
    # A ratio of areas: solving by the Gram matrix would square the condition number.
    p = _area(weights, forgotten) / _area(retained, forgotten)
    return OrderCoordinates(y=jnp.sum(weights * forgotten, -1), p=p)


@backed_by("flow-preserves-order")
def weights_at(pair: CorrelatedPair, y: ArrayLike, p: ArrayLike) -> Float[Array, "*batch 2"]:
    r"""The weights at these order coordinates: the inverse of :func:`order_coordinates`.

    .. math:: w = p\,u - q\,v, \qquad q = (k_{12}\,p - y)/k_{22}

    Args:
        pair: any :class:`CorrelatedPair`.
        y, p: the coordinates; they broadcast against each other and the pair.
    Returns: weights ``(*batch, 2)``.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: new. Claim: ``flow-preserves-order``.
    """
    y, p = checks.broadcast("weights_at", y=y, p=p).values()
    _check_batch(pair, y=y.shape)
    q = (pair.gram.cross * p - y) / pair.gram.second
    return p[..., None] * pair.types[..., 0, :] - q[..., None] * pair.types[..., 1, :]


@backed_by("flow-preserves-order")
def velocity(
    pair: CorrelatedPair, y: ArrayLike, p: ArrayLike, strength: ArrayLike = 1.0
) -> OrderCoordinates:
    r"""The velocity of the flow in the order coordinates, in units of the ridge.

    .. math:: \dot p = -p + P, \qquad \dot y = -y + k_{12} P - k_{22} Q

    Args:
        pair: any :class:`CorrelatedPair`.
        y, p: the coordinates.
        strength: ascent strength >= 0. All broadcast against each other.
    Returns: :class:`OrderCoordinates`, the velocities of ``y`` and ``p``.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: new. Claim: ``flow-preserves-order``.
    """
    y, p = checks.broadcast("velocity", y=y, p=p).values()
    _check_batch(pair, y=y.shape, strength=np.shape(strength))
    y_velocity, p_velocity, log_scale = _velocity(pair.loss, _forces(pair, strength), y, p)
    scale = jnp.exp(log_scale)
    return OrderCoordinates(y=scale * y_velocity, p=scale * p_velocity)


@backed_by("flow-preserves-order", "basin-theorem")
def separatrix(
    pair: CorrelatedPair, p: ArrayLike, strength: ArrayLike = 1.0
) -> Float[Array, "*batch"]:
    r"""The basin's boundary ``y = S(p)``: the stable manifold of the saddle.

    The computation starts at the saddle along its stable eigenvector, and integrates backwards in
    time. In this direction errors across the manifold shrink. With
    :math:`y = y_s + (p - p_s)\,g` and :math:`\sigma = \ln|p - p_s|` the equation is

    .. math:: \frac{dg}{d\sigma} = \frac{\dot y}{\dot p} - g,

    It has no singularity, and it does not contain the time, which would run to infinity. The method
    is implicit, of order 5, with a fixed number of steps.

    Args:
        pair: any :class:`CorrelatedPair`.
        p: the coordinate; it broadcasts against the pair and the strength.
        strength: ascent strength >= 0.
    Returns: ``S(p)``. It is NaN where there is no saddle: past the fold, with nothing forgotten, or
    for a loss without folds.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Accuracy: 1e-10 of the way from the saddle in float64, 1e-4 in float32 (measured). Beyond 1e20
        there are fewer digits, and NaN from 1e200 on.
    Source: new.
    Claims: ``flow-preserves-order``, ``basin-theorem``.
    """
    p = checks.finite("p", p)
    _check_batch(pair, p=p.shape, strength=np.shape(strength))
    return _followed(pair.loss, _forces(pair, strength), p).boundary


@backed_by("mass-order", "basin-theorem", "basin-from-pretraining", "flow-blow-up")
def in_basin(
    pair: CorrelatedPair, weights: ArrayLike, strength: ArrayLike = 1.0
) -> Bool[Array, "*batch"]:
    """Whether the flow from ``weights`` reaches the minimum that continues the oracle.

    Where there is a saddle, it does iff ``y > S(p)`` (:func:`separatrix`).

    Args:
        pair: any :class:`CorrelatedPair`.
        weights: finite, ``(*batch, 2)``; batch dimensions broadcast against the pair's.
        strength: ascent strength >= 0.
    Returns: booleans. They are False past the fold, where that minimum no longer exists. They are
        True everywhere if the minimum exists and there is no saddle.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: new.
    Claims: ``mass-order``, ``basin-theorem``, ``basin-from-pretraining``, ``flow-blow-up``.
    """
    start = order_coordinates(pair, weights)
    _check_batch(pair, weights=start.y.shape, strength=np.shape(strength))
    found = _followed(pair.loss, _forces(pair, strength), start.p)
    return found.has_minimum & (~found.has_saddle | (start.y > found.boundary))


def _check_batch(pair: CorrelatedPair, **shapes: tuple[int, ...]) -> None:
    """``TypeError`` if ``pair`` is none; ``ValueError`` unless the shapes broadcast against it."""
    require_pair(pair)
    checks.common_shape(pair=pair.ridge.shape, **shapes)


class _Forces(NamedTuple):
    """Parameters of the flow: the Gram matrix, ``log(A/ridge)`` and ``log(strength B/ridge)``."""

    gram: Gram
    log_retain: Float[Array, "*batch"]
    log_forget: Float[Array, "*batch"]


class _Followed(NamedTuple):
    """``S(p)``, and whether the saddle and the minimum that continues the oracle exist."""

    boundary: Float[Array, "*batch"]
    has_saddle: Bool[Array, "*batch"]
    has_minimum: Bool[Array, "*batch"]


def _forces(pair: CorrelatedPair, strength: ArrayLike) -> _Forces:
    strength = checks.nonnegative("strength", strength).astype(pair.ridge.dtype)
    retain_mass, forget_mass = pair.ascent_masses
    return _Forces(
        gram=pair.gram,
        log_retain=special.log_ratio(retain_mass, pair.ridge),
        log_forget=special.log_ratio(strength * forget_mass, pair.ridge),
    )


def _area(first: Array, second: Array) -> Array:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def _margin(gram: Gram, y: Array, p: Array) -> Array:
    """``x`` at these order coordinates."""
    return (gram.determinant * p + gram.cross * y) / gram.second


def _velocity(loss: Loss, forces: _Forces, y: Array, p: Array) -> tuple[Array, Array, Array]:
    """The velocities of ``y`` and ``p``, divided by ``exp(scale)`` to be finite; and ``scale``."""
    gram = forces.gram
    log_retain_dual = forces.log_retain + loss.log_phi(_margin(gram, y, p))
    log_forget_dual = forces.log_forget + loss.log_phi(y)
    scale = jnp.maximum(jnp.maximum(log_retain_dual, log_forget_dual), 0)
    retain_dual = jnp.exp(log_retain_dual - scale)
    forget_dual = jnp.exp(log_forget_dual - scale)
    one = jnp.exp(-scale)
    y_velocity = -one * y + gram.cross * retain_dual - gram.second * forget_dual
    return y_velocity, retain_dual - one * p, scale


def _stable_slope(gram: Gram, retain_stiffness: Array, forget_stiffness: Array) -> Array:
    r"""``dy/dp`` of the saddle's stable eigenvector, which has the sign of k12.

    A stiffness is a dual times the loss's decay. The flow's linear part plus 1 is
    :math:`-\begin{pmatrix}\alpha & \beta\\ \gamma & -\eta\end{pmatrix}` in (p, y).
    """
    alpha = retain_stiffness * gram.determinant / gram.second
    beta = retain_stiffness * gram.cross / gram.second
    gamma = gram.cross * alpha
    eta = gram.second * forget_stiffness - gram.cross * beta
    total = alpha + eta
    root = jnp.sqrt(total**2 + 4 * beta * gamma)
    # Two forms of one root, each where it does not cancel.
    rising = total >= 0
    return jnp.where(
        rising,
        2 * gamma / jnp.where(rising, total + root, 1),
        (root - total) / jnp.where(rising, 1, 2 * beta),
    )


@functools.partial(jax.jit, static_argnums=0)
def _followed(loss: Loss, forces: _Forces, p: Array) -> _Followed:
    """The boundary at ``p``, for every pair of a batch."""
    leaves = jnp.broadcast_arrays(*forces.gram, forces.log_retain, forces.log_forget)
    gram = Gram(*leaves[:4])
    log_retain, level = leaves[4], leaves[5]
    log_mass = log_retain + jnp.log(gram.first)
    folds = curve.fold_points(loss, gram, log_mass)
    at_saddle = curve.saddle_branch(loss, gram, log_mass, level, folds)
    saddle = curve.point_at(loss, gram, log_mass, at_saddle, ASCENT)
    top = curve.point_at(loss, gram, log_mass, folds.upper, ASCENT).level
    lanes = jnp.broadcast_arrays(*leaves, saddle.x, saddle.y, p)
    boundary = jax.vmap(functools.partial(_boundary, loss))(*(lane.ravel() for lane in lanes))
    return _Followed(
        boundary=boundary.reshape(lanes[0].shape),
        has_saddle=~jnp.isnan(saddle.y),
        has_minimum=jnp.isnan(folds.upper) | (level <= top),
    )


def _boundary(
    loss: Loss,
    k11: Array,
    k12: Array,
    k22: Array,
    determinant: Array,
    log_retain: Array,
    log_forget: Array,
    x: Array,
    y: Array,
    p: Array,
) -> Array:
    """``S(p)`` for one pair with the saddle ``(x, y)``."""
    gram = Gram(first=k11, cross=k12, second=k22, determinant=determinant)
    forces = _Forces(gram=gram, log_retain=log_retain, log_forget=log_forget)
    retain_dual = jnp.exp(log_retain + loss.log_phi(x))
    forget_dual = jnp.exp(log_forget + loss.log_phi(y))
    slope = _stable_slope(gram, retain_dual * loss.decay(x), forget_dual * loss.decay(y))
    away = p - retain_dual  # at rest the coordinate p is the retain dual
    eps = float(jnp.finfo(y.dtype).eps)
    # So near the saddle the graph is its tangent: what its curvature adds is of the order of the
    # distance squared, what rounding adds is of the order of eps over the distance.
    near = eps ** (1 / 3) / (jnp.abs(slope) + (determinant + k12 * slope) / k22)
    begin = jnp.log(near)
    end = jnp.maximum(begin, jnp.log(jnp.abs(away)))
    side = jnp.where(away < 0, -1, 1)

    def change(secant: Array, log_distance: Array) -> Array:
        distance = side * jnp.exp(log_distance)
        y_velocity, p_velocity, _ = _velocity(
            loss, forces, y + distance * secant, retain_dual + distance
        )
        return y_velocity / p_velocity - secant

    return y + away * _radau(change, slope, begin, end)


def _radau(
    change: Callable[[Array, Array], Array], start: Array, begin: Array, end: Array
) -> Array:
    """The end of ``dg/ds = change(g, s)``, with ``change`` elementwise.

    The method is implicit, since far below a fold the errors are damped too fast for an explicit
    one.
    """
    step = (end - begin) / STEPS
    # Rounded before they meet a traced number: a float32 program takes no float64 constant.
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
    """The solution, by Cramer's rule.

    XLA fuses it. A library call for each small system would take longer than all the rest.
    """
    first, second, third = matrix.T
    normal = jnp.cross(second, third)
    return jnp.stack(
        [right @ normal, first @ jnp.cross(right, third), first @ jnp.cross(second, right)]
    ) / (first @ normal)
