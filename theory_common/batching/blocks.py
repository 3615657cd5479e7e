"""Many rows inside a compiled function, a block of them at a time: what one block works on fits the cache of a core."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def in_blocks(function: Callable, size: int, *rows):
    """``function(*rows)``, which takes each row (of the leading axis) for itself, on ``size`` rows at a time or a few less, so that all
    blocks have as many; what the last one lacks are repetitions of the last row.

    Args: rows: pytrees of arrays with one leading axis. Under grad, jvp and vmap like ``function``.
    """
    count = len(jax.tree.leaves(rows)[0])
    if count <= size:
        return function(*rows)
    blocks = -(-count // size)
    size = -(-count // blocks)

    def cut(leaf):
        padding = [(0, blocks * size - count)] + [(0, 0)] * (leaf.ndim - 1)
        return jnp.pad(leaf, padding, mode="edge").reshape(blocks, size, *leaf.shape[1:])

    done = jax.lax.map(lambda block: function(*block), jax.tree.map(cut, rows))
    return jax.tree.map(lambda leaf: leaf.reshape(blocks * size, *leaf.shape[2:])[:count], done)
