"""Functions of many small matrices, and the product of a matrix with its own transpose."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float


def one_by_one(function: Callable[[Any], Any], matrices: jax.Array) -> Any:
    """``function`` of each matrix of an array ``(*batch, d, d)``, one after another.

    ``jax.vmap`` hands a whole batch to LAPACK. JAX then waits, inside a thread of XLA on CPUs, for
    other threads of XLA to take a part of the batch. Programs that do so in as many threads as
    there are cores wait for each other for ever (seen with JAX 0.10.2). Small matrices lose little:
    each takes one core.
    """
    batch = matrices.shape[:-2]
    found = jax.lax.map(function, matrices.reshape(-1, *matrices.shape[-2:]))
    return jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), found)


def weighted_square(
    rows: Float[np.ndarray, "n d"], factors: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "d d"]:
    """``rows' diag(factors) rows`` for factors of any sign.

    It takes half the work of a product of two matrices: NumPy computes one triangle of ``A' A``.
    """
    rooted = np.sqrt(np.abs(factors))[:, None] * rows
    below = factors < 0
    if not np.any(below):
        return rooted.T @ rooted
    above, under = rooted[~below], rooted[below]
    return above.T @ above - under.T @ under
