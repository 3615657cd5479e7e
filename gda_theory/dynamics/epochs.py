"""One epoch of descent-ascent for many objectives side by side, with the batch in the last axis."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from gda_theory.dynamics.schemes import Factors, Scheme
from gda_theory.problem.losses import RowLoss
from gda_theory.solve import newton


class Tilt(NamedTuple):
    """Quadratic functions added to the losses of both sets, the same for all lanes.

    At ``w`` their gradients are ``retain_slope + retain_bend (w - centre)``, and the same for the
    forgotten losses. The ``forget`` parts contain the strength. Beyond the distance ``reach`` from
    the centre, ``w`` is replaced by the point at that distance in the same direction. So the
    gradients stay bounded.
    """

    centre: Float[Array | np.ndarray, " d"]
    retain_slope: Float[Array | np.ndarray, " d"]
    forget_slope: Float[Array | np.ndarray, " d"]
    retain_bend: Float[Array | np.ndarray, "d d"]
    forget_bend: Float[Array | np.ndarray, "d d"]
    reach: Float[Array | np.ndarray, ""] | float

    def gradient(self, retain: Any, forget: Any, weights: Float[Array, "d lanes"]) -> Array:
        """The gradient with these factors on both parts, lane by lane."""
        away = weights - self.centre[:, None]
        distance = newton.norm(away.T)
        away = away * jnp.minimum(1, self.reach / jnp.where(distance > 0, distance, 1))
        kept = self.retain_slope[:, None] + self.retain_bend @ away
        forgotten = self.forget_slope[:, None] + self.forget_bend @ away
        return retain * kept - forget * forgotten


class Lanes(NamedTuple):
    """Objectives side by side, with the batch in the last axis.

    ``forget`` contains the strength. Types ``(k, d, *lanes)`` that all lanes share have no batch
    axis. Those of several classes are always shared. ``tilt`` is what is added to their losses.
    """

    types: Any
    retain: Float[Array, "k #lanes"]
    forget: Float[Array, "k #lanes"]
    ridge: Float[Array, "d #lanes"]
    step: Float[Array, " lanes"]
    tilt: Tilt | None = None


def _products(types: Array, columns: Float[Array, "d lanes"]) -> Array:
    """``types @ column`` lane by lane."""
    if types.ndim == 2:
        return types @ columns
    if types.shape[1] > 8:
        return jnp.sum(types * columns, 1)
    # A few columns are unrolled, which XLA fuses into one loop.
    return functools.reduce(jnp.add, [types[:, j] * columns[j] for j in range(types.shape[1])])


def _slopes_of_classes(loss: RowLoss, lanes: Lanes, coefficients: Array, weights: Array) -> Array:
    """The gradient of weighted losses with several scores a row, lane by lane."""

    def one(coefficients, weights):
        return loss.slope(lanes.types, coefficients, loss.scores(lanes.types, weights))

    wide = jnp.broadcast_to(coefficients, (len(coefficients), weights.shape[-1]))
    return jax.vmap(one, -1, -1)(wide, weights)


def gradient_of(loss: RowLoss, lanes: Lanes, coefficients: Array, weights: Array) -> Array:
    """The gradient of the losses, weighted by ``coefficients``, and of the ridge."""
    if not hasattr(lanes.types, "shape"):
        return lanes.ridge * weights + _slopes_of_classes(loss, lanes, coefficients, weights)
    # Clipped: a row of weight 0 adds nothing, even if its loss is infinite.
    slopes = jnp.minimum(
        loss.phi(_products(lanes.types, weights)),  # type: ignore[attr-defined]
        jnp.finfo(weights.dtype).max,
    )
    return lanes.ridge * weights - _products(jnp.swapaxes(lanes.types, 0, 1), coefficients * slopes)


def size_of(
    gradient: Float[Array, "d lanes"], strength: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """The Euclidean length; infinite where an entry is beyond the range of the dtype."""
    size = newton.norm(gradient.T).reshape(strength.shape)
    inside = in_range(gradient).reshape(strength.shape)
    return jnp.where(inside | jnp.isnan(strength), size, jnp.inf)


def one_epoch(
    loss: RowLoss,
    scheme: Scheme | Factors,
    lanes: Lanes,
    weights: Array,
    step: Array,
    time: int | Array,
) -> Array:
    """The map of one epoch, whose number is ``time``."""
    for retain, forget in scheme.half_steps:
        alone = scheme.ascends_alone(time)
        if alone is not None:
            retain, forget = jnp.where(alone, 0, retain), jnp.where(alone, 1, forget)
        coefficients = retain * lanes.retain - forget * lanes.forget
        gradient = gradient_of(loss, lanes, coefficients, weights)
        if lanes.tilt is not None:
            gradient = gradient + lanes.tilt.gradient(retain, forget, weights)
        weights = weights - step * gradient
    return weights


def minibatch(lanes: Lanes, order: Int[Array, " k"], rows: int, time: int | Array) -> Lanes:
    """The lanes of one minibatch of the shuffled rows, scaled to all rows."""
    count = order.shape[0]
    chosen = jax.lax.dynamic_slice(order, (time % (count // rows) * rows,), (rows,))
    rows_of = (lanes.types, lanes.retain, lanes.forget)
    types, retain, forget = jax.tree.map(lambda array: array[chosen], rows_of)
    return lanes._replace(
        types=types, retain=retain * (count / rows), forget=forget * (count / rows)
    )


def in_range(weights: Array) -> Array:
    """Whether all squares of a lane's entries are in the range of the dtype; False for NaN."""
    # Entry by entry, since XLA's maximum over many lanes on a CPU can lose a NaN.
    return jnp.all(jnp.abs(weights) <= np.sqrt(float(jnp.finfo(weights.dtype).max)), 0)
