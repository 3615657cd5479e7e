"""Roots of functions of one real variable inside brackets, for a whole batch at once.

:func:`bracketed` and :func:`bracketed_jet` take Newton's or Halley's steps and need a function that
crosses zero upwards. :func:`bisect` only asks on which side of the root a point lies.
"""

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


class Bracket(NamedTuple):
    """Two ends, between which the root lies."""

    low: Array
    high: Array


def bisect(
    beyond: Callable[[Array], Array],
    low: Array,
    high: Array,
    halvings: int,
    *,
    logarithmic: bool = False,
) -> Bracket:
    """Halve ``[low, high]`` a fixed number of times, elementwise over one common shape.

    Args:
        beyond: whether a point lies above the root.
        halvings: how often the bracket is halved.
        logarithmic: halve the bracket of the logarithm; both ends are then positive.
    Returns: the last bracket. ``beyond`` held at its ``high`` unless that is the one given.
    """

    def halve(_, bracket):
        middle = (
            jnp.sqrt(bracket.low * bracket.high)
            if logarithmic
            else (bracket.low + bracket.high) / 2
        )
        above = beyond(middle)
        return Bracket(
            low=jnp.where(above, bracket.low, middle), high=jnp.where(above, middle, bracket.high)
        )

    return jax.lax.fori_loop(0, halvings, halve, Bracket(low, high))


def bracketed(
    function: Callable[[Array], Array], low: Array, high: Array, start: Array, *, noise=0.0
) -> Array:
    """:func:`bracketed_jet` by Newton's steps, the slope from automatic differentiation; ``noise`` as in :class:`Jet`."""

    def jet(point):
        return Jet(*jax.jvp(function, (point,), (jnp.ones_like(point),)), second=0.0, noise=noise)

    return bracketed_jet(jet, low, high, start)


def bracketed_jet(
    jet: Callable[[Array], Jet], low: Array, high: Array, start: Array, *, iterations: int = 120
) -> Array:
    """The root in ``[low, high]`` of a function, given as its ``jet``, that crosses zero upwards; elementwise over one common shape.

    A Halley step (Newton's where the second derivative is 0) ends at the bracket; one that does not shrink by a quarter, or where
    the function falls, is replaced by bisection, so the error shrinks whatever the shape of the function, and cubically near the
    root. A search ends with the step after which the next one, foretold from the last two as if they converged quadratically, is
    rounding, or after a value that is: eight machine epsilons of ``|point| + noise``. From then on its point stays, so that no result
    depends on the rest of the batch. A start of NaN gives NaN. Not differentiable: callers attach implicit derivatives.
    """
    eps = jnp.finfo(start.dtype).eps

    def body(state):
        step, point, low, high, last, going = state
        value, slope, second, noise = jet(point)
        unit = eps * (jnp.abs(point) + noise)
        low, high = jnp.where(value <= 0, point, low), jnp.where(value >= 0, point, high)
        # At most twice Newton's step: far from the root the second derivative says little.
        halley = 2 * value * slope / jnp.maximum(2 * slope**2 - value * second, slope**2)
        proposal, settled = jnp.clip(point - halley, low, high), jnp.abs(value) <= 8 * unit
        # A zero value closes the bracket on the point; a NaN proposal is refused by the comparison. Where the function falls, the step
        # points away from the root, and the end of the bracket would be taken for it.
        accept = (slope > 0) & (jnp.abs(proposal - point) <= 0.75 * last)
        updated = jnp.where(accept, proposal, jnp.where(settled, point, low + (high - low) / 2))
        updated = jnp.where(going & jnp.isfinite(updated), updated, point)
        move = jnp.abs(updated - point)
        # The first step foretells nothing.
        still = jnp.where(jnp.isinf(last), move > unit, move**3 > unit * last**2)
        return (
            step + 1,
            updated,
            low,
            high,
            jnp.where(accept, move, (high - low) / 2),
            going & ~settled & still,
        )

    def keep_going(state):
        return (state[0] < iterations) & jnp.any(state[5])

    point = jnp.clip(start, low, high)
    low, high = (jnp.broadcast_to(end, point.shape) for end in (low, high))
    state = (jnp.int32(0), point, low, high, jnp.full_like(point, jnp.inf), jnp.isfinite(point))
    return jax.lax.while_loop(keep_going, body, state)[1]
