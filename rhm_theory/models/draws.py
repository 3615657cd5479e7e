"""Random choices with given weights, one for each number of a uniform draw."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int


def draw_index(
    uniform: Float[Array, "*shape"], weights: Float[Array, "*#shape choices"]
) -> Int[Array, "*shape"]:
    """An index for each number of [0, 1), with the given weights; the last one if all are 0.

    Args:
        uniform: independent draws from [0, 1).
        weights: >= 0; their sum need not be 1. An index of weight 0 is never drawn, unless all are.
    """
    below = jnp.cumsum(weights, -1)
    # The number is < 1, so the product stays below the total: the first sum above it belongs to a
    # positive weight.
    chosen = jnp.sum(below <= (uniform * below[..., -1])[..., None], -1, dtype=jnp.int32)
    return jnp.minimum(chosen, weights.shape[-1] - 1)
