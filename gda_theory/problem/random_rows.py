"""Rows drawn at random."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int, UInt32


def random_forget_set(count: int, size: int, seed: int) -> np.ndarray:
    """A random forget set: what ``random:size`` means with this seed.

    Args:
        count: the number of rows.
        size: how many of them to draw, without replacement.
        seed: a whole number of 64 bits.
    Returns: a boolean mask ``(count,)``.
    Raises: ``ValueError`` if the seed does not fit 64 bits.
    """
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed must fit 64 bits, got {seed}")
    mask = np.zeros(count, bool)
    mask[np.asarray(_shuffled(jax.random.key(seed), count))[:size]] = True
    return mask


def _shuffled(key: Array, count: int) -> Int[np.ndarray, " n"]:
    """The numbers below ``count`` in the order of ``jax.random.permutation(key, count)``.

    They are sorted by random numbers, each of which depends on the key and its place only. So more
    numbers than needed are drawn, and tables of other lengths reuse the compiled function.
    """
    rounds = math.ceil(3 * math.log(max(count, 2)) / math.log(2**32 - 1))
    order = np.arange(count)
    for numbers in np.asarray(_random_numbers(key, rounds, max(1024, 2 ** count.bit_length()))):
        order = order[np.argsort(numbers[:count], kind="stable")]
    return order


@functools.partial(jax.jit, static_argnums=(1, 2))
def _random_numbers(key: Array, rounds: int, count: int) -> UInt32[Array, "rounds n"]:
    rows = []
    for _ in range(rounds):
        key, own = jax.random.split(key)
        rows.append(jax.random.bits(own, (count,), jnp.uint32))
    return jnp.stack(rows)
