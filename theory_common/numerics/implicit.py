r"""Derivatives of a solution by the implicit function theorem.

A point with :math:`g(w; \theta) = 0` moves by
:math:`dw = -(\partial_w g)^{-1}\, \partial_\theta g\, d\theta`. No derivative goes through the
iteration that found the point. There is one rule, :func:`with_change`, and two equations for it:

* :func:`implicit`: ``d`` equations for ``d`` unknowns, by a linear solve;
* :func:`implicit_root`: one equation for one unknown, elementwise.

Callers whose change has a closed form with less rounding give it to :func:`with_change`.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from theory_common.checks import Numbers


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def with_change(change: Callable[[Any, tuple, tuple], Any], point: Any, *parameters: Any) -> Any:
    """``point``, with the derivatives that ``change`` says.

    Args:
        change: ``change(point, parameters, tangents)`` returns the tangent of the point, where
            ``tangents`` are those of the parameters. If it is made of differentiable steps, the
            result can be differentiated again.
        point: a pytree of float arrays. Its own tangent is ignored.
        parameters: pytrees of float arrays, in which the point is differentiable.
    Returns: ``point``, unchanged.
    """
    return point


@with_change.defjvp
def _with_change_jvp(change, primals, tangents):
    point, *parameters = primals
    solved = with_change(change, point, *parameters)
    return solved, change(solved, tuple(parameters), tuple(tangents[1:]))


def implicit(
    gradient: Callable[..., Array], point: Float[Numbers, " d"], *parameters: Any
) -> Float[Array, " d"]:
    r"""``point``, where ``gradient(point, *parameters) = 0``, with its implicit derivatives.

    Where ``point`` is NaN, so are the derivatives. At a fold they are infinite or NaN.

    Args:
        gradient: the function that vanishes at the point.
        point: one solution, of shape ``(d,)``; use jax.vmap for many.
        parameters: pytrees of float arrays, in which the point is differentiable.
    Returns: ``point``, unchanged.
    """

    def change(solved, values, tangents):
        shift = _shift(gradient, solved, values, tangents)
        return -solve_linear(jax.jacfwd(gradient)(solved, *values), shift)

    return with_change(change, point, *parameters)


def implicit_root(
    function: Callable[..., Array], root: Float[Array, "*batch"], *parameters: Any
) -> Float[Array, "*batch"]:
    """``root``, where ``function(root, *parameters) = 0`` elementwise, with implicit derivatives.

    Args:
        function: from the root's shape to the same shape, each element by itself.
        root: one root an element. Where it is NaN, so are the derivatives.
        parameters: pytrees of float arrays, in which the root is differentiable.
    Returns: ``root``, unchanged.
    """

    def change(solved, values, tangents):
        _, slope = jax.jvp(
            lambda point: function(point, *values), (solved,), (jnp.ones_like(solved),)
        )
        return -_shift(function, solved, values, tangents) / slope

    return with_change(change, root, *parameters)


def _shift(function: Callable[..., Array], point: Array, values: tuple, tangents: tuple) -> Array:
    """The change of ``function`` with its parameters, at a fixed point."""
    return jax.jvp(lambda *given: function(point, *given), values, tangents)[1]


def solve_linear(
    matrix: Float[Array, "*batch d d"], right: Float[Array, "*batch d"]
) -> Float[Array, "*batch d"]:
    """``matrix^{-1} right``, after scaling the matrix to a unit diagonal.

    The scaling matters where the entries of the diagonal differ by many powers of ten, as ridges
    may.
    """
    size = jnp.abs(jnp.diagonal(matrix, axis1=-2, axis2=-1))
    scale = jax.lax.stop_gradient(
        jnp.where(size > 0, 1 / jnp.sqrt(jnp.where(size > 0, size, 1)), 1)
    )
    unit = matrix * scale[..., :, None] * scale[..., None, :]
    return scale * jnp.linalg.solve(unit, (scale * right)[..., None])[..., 0]
