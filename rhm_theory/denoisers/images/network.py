"""A small U-Net that predicts the velocity of a noised picture.

All arrays are ``(batch, side, side, channels)``: XLA's convolutions on a CPU are several times
faster with one set of weights for a batch than under ``vmap``.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

WAVES = 16  # sines and cosines of the time
SMALL = 1e-5
DATA_LAYOUT = ("NHWC", "HWIO", "NHWC")


class Convolution(eqx.Module):
    """A 3 x 3 convolution with zeros around the picture."""

    weight: Float[Array, "3 3 inputs outputs"]
    bias: Float[Array, " outputs"]

    def __init__(self, key: Array, inputs: int, outputs: int, *, scale: float = 1.0) -> None:
        spread = scale / (9 * inputs) ** 0.5
        self.weight = spread * jax.random.normal(key, (3, 3, inputs, outputs), jnp.float32)
        self.bias = jnp.zeros(outputs, jnp.float32)

    def __call__(
        self, pixels: Float[Array, "batch side side inputs"]
    ) -> Float[Array, "batch side side outputs"]:
        found = jax.lax.conv_general_dilated(
            pixels, self.weight, (1, 1), "SAME", dimension_numbers=DATA_LAYOUT
        )
        return found + self.bias


class Dense(eqx.Module):
    """A linear map of the last axis."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]

    def __init__(self, key: Array, inputs: int, outputs: int, *, scale: float = 1.0) -> None:
        spread = scale / inputs**0.5
        self.weight = spread * jax.random.normal(key, (inputs, outputs), jnp.float32)
        self.bias = jnp.zeros(outputs, jnp.float32)

    def __call__(self, rows: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        return rows @ self.weight + self.bias


class Block(eqx.Module):
    """Two convolutions around a residual connection; the time scales and shifts the channels."""

    first: Convolution
    second: Convolution
    modulation: Dense
    shortcut: Dense | None

    def __init__(self, key: Array, inputs: int, outputs: int, times: int) -> None:
        keys = jax.random.split(key, 4)
        self.first = Convolution(keys[0], inputs, outputs)
        self.second = Convolution(keys[1], outputs, outputs, scale=0.1)
        self.modulation = Dense(keys[2], times, 2 * outputs, scale=0.1)
        self.shortcut = None if inputs == outputs else Dense(keys[3], inputs, outputs)

    def __call__(
        self, pixels: Float[Array, "batch side side inputs"], time: Float[Array, "batch times"]
    ) -> Float[Array, "batch side side outputs"]:
        hidden = self.first(jax.nn.silu(_normalised(pixels)))
        scale, shift = jnp.split(self.modulation(time)[:, None, None], 2, -1)
        hidden = self.second(jax.nn.silu(_normalised(hidden) * (1 + scale) + shift))
        kept = pixels if self.shortcut is None else self.shortcut(pixels)
        return kept + hidden


class UNet(eqx.Module):
    """Two resolutions, four blocks.

    Args:
        key: of the weights.
        channels: at full resolution; twice as many at half of it.
    """

    waves: Dense
    times: Dense
    into: Convolution
    down: Block
    middle: tuple[Block, ...]
    up: Block
    out: Convolution

    def __init__(self, key: Array, channels: int = 32) -> None:
        keys = iter(jax.random.split(key, 8))
        width = 4 * channels
        self.waves = Dense(next(keys), 2 * WAVES, width)
        self.times = Dense(next(keys), width, width)
        self.into = Convolution(next(keys), 1, channels)
        self.down = Block(next(keys), channels, channels, width)
        self.middle = (
            Block(next(keys), channels, 2 * channels, width),
            Block(next(keys), 2 * channels, 2 * channels, width),
        )
        self.up = Block(next(keys), 3 * channels, channels, width)
        self.out = Convolution(next(keys), channels, 1, scale=0.1)

    def __call__(
        self, pictures: Float[Array, "batch side side"], time: Float[Array, " batch"]
    ) -> Float[Array, "batch side side"]:
        """The velocity of ``pictures`` noised up to ``time``; the side is even."""
        times = jax.nn.silu(self.times(jax.nn.silu(self.waves(_waves(time)))))
        fine = self.down(self.into(pictures[..., None]), times)
        coarse = _halved(fine)
        for block in self.middle:
            coarse = block(coarse, times)
        joined = jnp.concatenate([fine, _doubled(coarse)], -1)
        hidden = self.up(joined, times)
        return self.out(jax.nn.silu(_normalised(hidden)))[..., 0]


def _waves(time: Float[Array, " batch"]) -> Float[Array, "batch waves"]:
    frequencies = jnp.exp(jnp.linspace(0, jnp.log(100.0), WAVES)).astype(jnp.float32)
    angles = time[:, None] * frequencies
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


def _normalised(pixels: Float[Array, "*batch channels"]) -> Float[Array, "*batch channels"]:
    """Divided by the root mean square of the channels of each pixel."""
    return pixels * jax.lax.rsqrt(jnp.mean(pixels**2, -1, keepdims=True) + SMALL)


def halves(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape in which each 2 x 2 pixels have axes of their own."""
    batch, side, _, channels = shape
    return (batch, side // 2, 2, side // 2, 2, channels)


def _halved(pixels: Float[Array, "batch side side c"]) -> Float[Array, "batch half half c"]:
    return pixels.reshape(halves(pixels.shape)).mean((2, 4))


def _doubled(pixels: Float[Array, "batch half half c"]) -> Float[Array, "batch side side c"]:
    return pixels.repeat(2, 1).repeat(2, 2)
