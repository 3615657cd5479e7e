r"""A small transformer over sequences of symbols, in both directions, for masked diffusion.

A sequence of length T is embedded in ``width`` numbers for each site. Each of the layers adds

.. math:: x \leftarrow x + \mathrm{attention}(\mathrm{norm}(x)), \qquad
          x \leftarrow x + W_2\,\max(0, W_1\,\mathrm{norm}(x))^2 .

``norm`` divides by the root mean square. Queries and keys are rotated by their position
(Su et al., *RoFormer*, 2021), so attention sees relative positions. The first layer gets the
embeddings of each site and of its neighbours up to a distance of ``reach``, through one matrix for
each offset. All numbers are float32, whatever JAX's setting is.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Float, Int

SLOWEST_TURN = 1e-3  # radians a site, of the last pair of coordinates of a head
SMALL = np.float32(1e-6)


class Sizes(NamedTuple):
    """The numbers that fix the shapes of a :class:`Transformer`.

    Attributes:
        symbols: that a site may have, the mask included.
        vocabulary: symbols that are predicted.
        length: sites T.
        width: numbers for each site; a multiple of twice the ``heads``.
        layers: how many.
        heads: of the attention.
        reach: up to which distance a site's input contains its neighbours; 0 for none.
    """

    symbols: int
    vocabulary: int
    length: int
    width: int
    layers: int
    heads: int
    reach: int


class Layer(eqx.Module):
    """Attention and a network of one hidden layer; matrices are (inputs, outputs)."""

    query: Float[Array, "width width"]
    key: Float[Array, "width width"]
    value: Float[Array, "width width"]
    out: Float[Array, "width width"]
    wide: Float[Array, "width hidden"]
    narrow: Float[Array, "hidden width"]


class Transformer(eqx.Module):
    """The network; made by :meth:`create`. Call it with symbols of shape (batch, length)."""

    embedding: Float[Array, "symbols width"]
    neighbours: list[Float[Array, "width width"]]
    layers: list[Layer]
    head: Float[Array, "width vocabulary"]
    sizes: Sizes = eqx.field(static=True)

    @classmethod
    def create(cls, key: Array, sizes: Sizes) -> "Transformer":
        """Random weights. The output of every layer and of the network begins as zero."""
        keys = iter(jax.random.split(key, 1 + 2 * sizes.reach + 4 * sizes.layers))
        width = sizes.width

        def square() -> Array:
            return _random(next(keys), (width, width), 1 / math.sqrt(width))

        def layer() -> Layer:
            return Layer(
                query=square(),
                key=square(),
                value=square(),
                out=jnp.zeros((width, width), jnp.float32),
                wide=_random(next(keys), (width, 4 * width), 1 / math.sqrt(width)),
                narrow=jnp.zeros((4 * width, width), jnp.float32),
            )

        return cls(
            embedding=_random(next(keys), (sizes.symbols, width), 1.0),
            neighbours=[0.5 * square() for _ in _offsets(sizes.reach)],
            layers=[layer() for _ in range(sizes.layers)],
            head=jnp.zeros((width, sizes.vocabulary), jnp.float32),
            sizes=sizes,
        )

    def __call__(self, tokens: Int[AnyArray, "batch length"]) -> Float[Array, "batch length v"]:
        """Logits of every symbol at every site."""
        # All sites are rows of one matrix. With a separate axis for sequences, XLA on CPUs would
        # transpose every gradient of a product with weights, which takes longer than the product.
        x = self.embedding[tokens].reshape(-1, self.sizes.width)
        x = x + _from_neighbours(x, self.neighbours, self.sizes)
        turns = _turns(self.sizes.length, self.sizes.width // self.sizes.heads)
        for layer in self.layers:
            x = x + _attention(layer, _norm(x), turns, self.sizes)
            x = x + jnp.square(jax.nn.relu(_norm(x) @ layer.wide)) @ layer.narrow
        return (_norm(x) @ self.head).reshape(*tokens.shape, self.sizes.vocabulary)


def _random(key: Array, shape: tuple[int, ...], scale: float) -> Array:
    return np.float32(scale) * jax.random.normal(key, shape, jnp.float32)


def _offsets(reach: int) -> list[int]:
    """-reach .. reach, without 0."""
    return [offset for offset in range(-reach, reach + 1) if offset]


def _from_neighbours(x: Array, matrices: Sequence[Array], sizes: Sizes) -> Array:
    """The embeddings of the neighbours, each through its matrix; zero beyond the ends."""
    reach = sizes.reach
    sites = x.reshape(-1, sizes.length, sizes.width)
    padded = jnp.pad(sites, ((0, 0), (reach, reach), (0, 0)))
    found = jnp.zeros_like(x)
    for offset, matrix in zip(_offsets(reach), matrices, strict=True):
        begin = reach + offset
        found = found + padded[:, begin : begin + sizes.length].reshape(x.shape) @ matrix
    return found


def _norm(x: Array) -> Array:
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + SMALL)


def _turns(length: int, size: int) -> tuple[Array, Array]:
    """Cosine and sine, (length, 1, size / 2), by which a head's pairs of coordinates turn."""
    rates = SLOWEST_TURN ** np.linspace(0, 1, size // 2)
    angles = (np.arange(length)[:, None] * rates)[:, None]
    return jnp.asarray(np.cos(angles), jnp.float32), jnp.asarray(np.sin(angles), jnp.float32)


def _turned(x: Array, turns: tuple[Array, Array]) -> Array:
    cosine, sine = turns
    first, second = jnp.split(x, 2, -1)
    return jnp.concatenate([first * cosine - second * sine, first * sine + second * cosine], -1)


def _attention(layer: Layer, x: Array, turns: tuple[Array, Array], sizes: Sizes) -> Array:
    size = sizes.width // sizes.heads

    def by_head(matrix: Array) -> Array:
        return (x @ matrix).reshape(-1, sizes.length, sizes.heads, size)

    # Normalised queries and keys keep the logits of the attention bounded under large steps.
    query = _turned(_norm(by_head(layer.query)), turns)
    key = _turned(_norm(by_head(layer.key)), turns)
    scale = np.float32(1 / math.sqrt(size))
    weights = jax.nn.softmax(scale * jnp.einsum("bqhc,bkhc->bhqk", query, key), -1)
    mixed = jnp.einsum("bhqk,bkhc->bqhc", weights, by_head(layer.value))
    return mixed.reshape(x.shape) @ layer.out
