"""Pairs of any batch in blocks of one size, so that each function compiles once for a loss."""

import jax
import jax.numpy as jnp
import numpy as np

COUNT = 1000  # pairs in a block


def in_blocks(function, pair, *arguments):
    """``function(pair)`` of any batch in blocks of COUNT pairs, the last one padded."""
    shape = pair.ridge.shape
    size = int(np.prod(shape))
    blocks = -(-size // COUNT)
    order = np.minimum(np.arange(blocks * COUNT), size - 1).reshape(blocks, COUNT)

    def flat(leaf):
        return np.asarray(leaf).reshape((size, *leaf.shape[len(shape) :]))

    parts = [
        function(
            jax.tree.map(lambda leaf, rows=rows: jnp.asarray(flat(leaf)[rows]), pair), *arguments
        )
        for rows in order
    ]

    def joined(*leaves):
        whole = np.concatenate([np.asarray(leaf) for leaf in leaves])[:size]
        return whole.reshape((*shape, *whole.shape[1:]))

    return jax.tree.map(joined, *parts)
