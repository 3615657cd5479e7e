"""One root of an increasing function of one real variable, for a whole batch at once: Newton's or Halley's steps inside a bracket."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


class Jet(NamedTuple):
    """A function at a point: its value, its first two derivatives, and the size of the terms that cancel in the value."""

    value: Array
    slope: Array
    second: ArrayLike
    noise: ArrayLike


def bracketed(function: Callable[[Array], Array], low: Array, high: Array, start: Array, *, noise=0.0, iterations: int = 120) -> Array:
    """:func:`bracketed_jet` by Newton's steps, the slope of ``function`` by automatic differentiation; ``noise`` as in :class:`Jet`."""

    def jet(point):
        return Jet(*jax.jvp(function, (point,), (jnp.ones_like(point),)), second=0.0, noise=noise)

    return bracketed_jet(jet, low, high, start, iterations=iterations)


def bracketed_jet(jet: Callable[[Array], Jet], low: Array, high: Array, start: Array, *, iterations: int = 120) -> Array:
    """The root in ``[low, high]`` of a function, given as its ``jet``, that crosses zero upwards; elementwise over one common shape.

    A Halley step (Newton's where the second derivative is 0) ends at the bracket; one that does not shrink by a quarter is
    replaced by bisection, so the error shrinks whatever the shape of the function, and cubically near the root. A value below
    eight machine epsilons of ``|point| + noise`` is rounding, and ends the search after one more step. A start of NaN gives NaN.
    Not differentiable: callers attach implicit derivatives.
    """
    eps = jnp.finfo(start.dtype).eps
    inside = jnp.clip(start, low, high)

    def body(state):
        step, point, low, high, last, _ = state
        value, slope, second, noise = jet(point)
        low, high = jnp.where(value <= 0, point, low), jnp.where(value >= 0, point, high)
        newton = value / slope
        # At most twice Newton's step: far from the root the second derivative says little.
        proposal = jnp.clip(point - newton / jnp.maximum(1 - newton * second / (2 * slope), 0.5), low, high)
        unit = eps * (jnp.abs(point) + noise)
        settled = jnp.abs(value) <= 8 * unit
        # A zero value closes the bracket on the point; a NaN proposal is refused by the comparison.
        accept = jnp.abs(proposal - point) <= 0.75 * last
        updated = jnp.where(accept, proposal, jnp.where(settled, point, low + (high - low) / 2))
        updated = jnp.where(jnp.isfinite(updated), updated, point)
        move = jnp.abs(updated - point)
        return step + 1, updated, low, high, jnp.where(accept, move, (high - low) / 2), ~settled & (move > 2 * unit)

    def keep_going(state):
        return (state[0] < iterations) & jnp.any(state[5])

    # A bracket of NaN keeps a start of NaN from being bisected into a number.
    low, high = (jnp.where(jnp.isnan(inside), jnp.nan, end) for end in (low, high))
    state = (jnp.int32(0), inside, low, high, jnp.full_like(inside, jnp.inf), jnp.isfinite(inside))
    return jax.lax.while_loop(keep_going, body, state)[1]
