r"""Derivatives of a solution by the implicit function theorem.

A point with :math:`g(w; \theta) = 0` moves by :math:`dw = -(\partial_w g)^{-1}\, \partial_\theta g\, d\theta`. No derivative
goes through the iteration that found the point.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def implicit(
    gradient: Callable[..., Array], point: Float[Array, " d"], *parameters
) -> Float[Array, " d"]:
    r"""``point``, where ``gradient(point, *parameters) = 0``, with its derivatives by the implicit function theorem.

    The rule is :math:`dw = -(\partial_w g)^{-1}\, \partial_\theta g\, d\theta`. It is made of differentiable steps, so that it
    can be differentiated again. The tangent of ``point`` itself is ignored. Where ``point`` is NaN, so are the derivatives. At a
    fold they are infinite or NaN.

    Args:
        gradient: the function that vanishes at the point. It selects code: give the same object again.
        point: one solution, of shape ``(d,)``; use jax.vmap for many.
        parameters: pytrees of float arrays, in which the point is differentiable.
    Returns: ``point``, unchanged.
    """
    return point


@implicit.defjvp
def _implicit_jvp(gradient, primals, tangents):
    point, *parameters = primals
    solved = implicit(gradient, point, *parameters)

    def at_solution(*values):
        return gradient(solved, *values)

    _, shift = jax.jvp(at_solution, tuple(parameters), tuple(tangents[1:]))
    return solved, -solve_linear(jax.jacfwd(gradient)(solved, *parameters), shift)


def solve_linear(
    matrix: Float[Array, "*batch d d"], right: Float[Array, "*batch d"]
) -> Float[Array, "*batch d"]:
    """``matrix^{-1} right``, after scaling the matrix to a unit diagonal.

    The scaling matters where the entries of the diagonal differ by many powers of ten, as ridges may.
    """
    size = jnp.abs(jnp.diagonal(matrix, axis1=-2, axis2=-1))
    scale = jax.lax.stop_gradient(
        jnp.where(size > 0, 1 / jnp.sqrt(jnp.where(size > 0, size, 1)), 1)
    )
    unit = matrix * scale[..., :, None] * scale[..., None, :]
    return scale * jnp.linalg.solve(unit, (scale * right)[..., None])[..., 0]
