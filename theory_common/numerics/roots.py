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
    """A function at a point: its value and its first two derivatives.

    ``noise`` is the size of the terms that cancel in the value.
    """

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
    function: Callable[[Array], Array],
    low: Array,
    high: Array,
    start: Array,
    *,
    noise: ArrayLike = 0.0,
) -> Array:
    """:func:`bracketed_jet` by Newton's steps, with the slope by automatic differentiation.

    ``noise`` is the one of :class:`Jet`.
    """

    def jet(point):
        return Jet(*jax.jvp(function, (point,), (jnp.ones_like(point),)), second=0.0, noise=noise)

    return bracketed_jet(jet, low, high, start)


def bracketed_jet(
    jet: Callable[[Array], Jet], low: Array, high: Array, start: Array, *, iterations: int = 120
) -> Array:
    """The root in ``[low, high]`` of a function that crosses zero upwards, for a whole batch.

    Each step is Halley's, or Newton's where the second derivative is 0, and ends at the bracket. A
    step is replaced by bisection if it does not shrink by a quarter, or if the function falls.
    So the error shrinks whatever the shape of the function, and cubically near the root.

    A search ends when the value is rounding, at most eight machine epsilons of
    ``abs(point) + noise``. It also ends when the next step would be rounding. That step is
    predicted from the last two, as if they converged quadratically. From then on the point stays,
    so that no result depends on the rest of the batch.

    Args:
        jet: the function and its derivatives, elementwise.
        low, high: the ends of the bracket.
        start: the first point; its shape is that of the result. NaN gives NaN.
        iterations: the largest number of steps.
    Returns: the roots. They have no derivatives: callers attach them by ``numerics.implicit``.
    """
    eps = jnp.finfo(start.dtype).eps

    def body(state):
        step, point, low, high, last, going = state
        value, slope, second, noise = jet(point)
        unit = eps * (jnp.abs(point) + noise)
        low = jnp.where(value <= 0, point, low)
        high = jnp.where(value >= 0, point, high)
        # At most twice Newton's step: far from the root the second derivative says little.
        halley = 2 * value * slope / jnp.maximum(2 * slope**2 - value * second, slope**2)
        proposal = jnp.clip(point - halley, low, high)
        settled = jnp.abs(value) <= 8 * unit
        # A zero value closes the bracket on the point. The comparison refuses a proposal of NaN.
        # Where the function falls, the step points away from the root, and the end of the bracket
        # would be taken for it.
        accept = (slope > 0) & (jnp.abs(proposal - point) <= 0.75 * last)
        updated = jnp.where(accept, proposal, jnp.where(settled, point, low + (high - low) / 2))
        updated = jnp.where(going & jnp.isfinite(updated), updated, point)
        move = jnp.abs(updated - point)
        # The first step predicts nothing.
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
