"""Blocks change no number, whatever their size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theory_common.batching.blocks import in_blocks, weighted_gram


@pytest.mark.parametrize("size", [1, 4, 7, 100])
def test_blocks_change_nothing(size):
    first, second = jnp.arange(14.0).reshape(7, 2), {"tilt": jnp.linspace(-1, 1, 7)}
    seen = []

    def function(first, second):
        seen.append(len(first))
        return first * second["tilt"][:, None], jnp.exp(first).sum(-1)

    expected = function(first, second)
    found = in_blocks(function, size, first, second)
    assert set(seen[1:]) == {min(size, 7)}
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_derivatives_go_through():
    rows = jnp.linspace(0.1, 1, 5)
    loss = jax.grad(lambda rows: in_blocks(jnp.sin, 2, rows).sum())
    np.testing.assert_allclose(loss(rows), jnp.cos(rows), rtol=1e-15)
    np.testing.assert_allclose(
        jax.vmap(lambda row: in_blocks(jnp.sin, 2, row))(jnp.stack([rows, -rows]))[1],
        -jnp.sin(rows),
        rtol=1e-15,
    )


@pytest.mark.parametrize("count", [50, 2**16 + 5000])  # in one product, and in blocks with a rest
def test_a_gram_matrix_of_weighted_rows(count):
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(size=(count, 3)), rng.normal(size=count)
    found = jax.jit(weighted_gram)(rows, weights)
    np.testing.assert_allclose(found, rows.T @ (weights[:, None] * rows), rtol=1e-11, atol=1e-9)
