"""One root of an increasing function of one real variable, for a whole batch at once: Newton's steps inside a bracket."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array


def bracketed(function: Callable[[Array], Array], low: Array, high: Array, start: Array, *, noise=0.0, iterations: int = 120) -> Array:
    """The root of ``function`` in ``[low, high]``, where it crosses zero upwards; elementwise over one common shape.

    A Newton step that leaves the bracket, or shrinks by less than a quarter, is replaced by bisection, so the error shrinks
    whatever the shape of the function, and quadratically near the root. ``noise`` is the size of the terms that cancel in
    ``function``: a value below eight machine epsilons of ``|point| + noise`` is rounding, and ends the search after one more
    step. NaN in, NaN out. Not differentiable: callers attach implicit derivatives.
    """
    eps = jnp.finfo(start.dtype).eps
    inside = jnp.clip(start, low, high)

    def body(state):
        step, point, low, high, last, _ = state
        value, slope = jax.jvp(function, (point,), (jnp.ones_like(point),))
        low, high = jnp.where(value <= 0, point, low), jnp.where(value >= 0, point, high)
        proposal, unit = point - value / slope, eps * (jnp.abs(point) + noise)
        inside, settled = (proposal >= low) & (proposal <= high), jnp.abs(value) <= 8 * unit
        accept = inside & (jnp.abs(proposal - point) <= 0.75 * last)
        # A zero value closes the bracket on the point; a NaN proposal is refused by the comparisons.
        updated = jnp.where(accept, proposal, jnp.where(settled, point, low + (high - low) / 2))
        updated = jnp.where(jnp.isfinite(updated), updated, point)
        move = jnp.abs(updated - point)
        return step + 1, updated, low, high, jnp.where(accept, move, (high - low) / 2), ~settled & (move > 2 * unit)

    def keep_going(state):
        return (state[0] < iterations) & jnp.any(state[5])

    wide = jnp.full_like(inside, jnp.inf)
    state = (jnp.int32(0), inside, jnp.broadcast_to(low, inside.shape), jnp.broadcast_to(high, inside.shape), wide, jnp.isfinite(inside))
    return jax.lax.while_loop(keep_going, body, state)[1]
