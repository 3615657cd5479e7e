"""The diffusion model of pictures: its loss, its samples, its file."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike, Float

from rhm_theory.denoisers import storage
from rhm_theory.denoisers.images import schedule
from rhm_theory.denoisers.images.fitting import Fitted, Recipe, Report, fit, restored
from rhm_theory.denoisers.images.network import UNet
from theory_common import checks

STEPS = 20
KIND = "diffusion model of pictures"


class Diffusion(eqx.Module):
    """A network that predicts the velocity, and the size of its pictures.

    Attributes:
        network: a U-Net.
        side: pixels along one side.
        channels: of the network at full resolution.
    """

    network: UNet
    side: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)

    @classmethod
    def create(cls, key: Array, *, side: int, channels: int = 32) -> "Diffusion":
        """A model with random weights.

        Args:
            key: of the weights.
            side: pixels along one side, an even number.
            channels: of the network at full resolution.
        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        """
        checks.key("key", key)
        side = checks.whole("side", side, least=2)
        if side % 2:
            raise ValueError(f"side must be even, got {side}")
        channels = checks.whole("channels", channels, least=1)
        return cls(UNet(key, channels), side, channels)

    def denoised(
        self, noised: Float[ArrayLike, "batch side side"], time: Float[ArrayLike, ""]
    ) -> Float[Array, "batch side side"]:
        """The mean of the clean picture given the noised one, as far as the model knows it.

        Args:
            noised: pictures at ``time``.
            time: in (0, 1].
        Raises: ``ValueError`` that names the argument.
        """
        return _denoised(self, _pictures(self, noised), _time(time))

    def sample_posterior(
        self,
        key: Array,
        noised: Float[ArrayLike, "batch side side"],
        time: Float[ArrayLike, ""],
        *,
        steps: int = STEPS,
    ) -> Float[Array, "batch side side"]:
        """A clean picture for each noised one, by ancestral sampling.

        Args:
            key: of the samples.
            noised: pictures at ``time``.
            time: in (0, 1].
            steps: equal steps from ``time`` to 0, at least 1. The last one returns the mean.
        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        """
        checks.key("key", key)
        steps = checks.whole("steps", steps, least=1)
        current = _pictures(self, noised)
        grid = _time(time) * jnp.linspace(1, 0, steps + 1, dtype=jnp.float32)
        for place in range(steps):
            of_step = jax.random.fold_in(key, place)
            current = _earlier(self, of_step, current, grid[place], grid[place + 1])
        return current

    def save(self, path: str | Path, *, notes: Mapping | None = None, force: bool = False) -> None:
        """Write the model to one file, whole or not at all.

        Args:
            path: the file.
            notes: further data for :func:`read_notes`, anything that JSON holds.
            force: whether a file of that name may be replaced.
        Raises: ``OSError`` where it cannot be written.
        """
        header = {"side": self.side, "channels": self.channels, "notes": dict(notes or {})}
        storage.write(path, KIND, header, jax.tree.leaves(self), force=force)

    @classmethod
    def load(cls, path: str | Path) -> "Diffusion":
        """Read a model from :meth:`save`.

        Raises: ``OSError`` if there is no such file, ``ValueError`` if it is no such model, is cut
            off or of another version.
        """
        header, arrays = storage.read(path, KIND)
        sizes = {name: header[name] for name in ("side", "channels")}
        return restored(cls.create(jax.random.key(0), **sizes), arrays, path)


@dataclasses.dataclass(frozen=True)
class WithSteps:
    """A model whose samples take a number of steps.

    Attributes:
        model: the model.
        steps: of a sample, at least 1.
    """

    model: Diffusion
    steps: int

    def denoised(
        self, noised: Float[ArrayLike, "batch side side"], time: Float[ArrayLike, ""]
    ) -> Float[Array, "batch side side"]:
        """As :meth:`Diffusion.denoised`."""
        return self.model.denoised(noised, time)

    def sample_posterior(
        self, key: Array, noised: Float[ArrayLike, "batch side side"], time: Float[ArrayLike, ""]
    ) -> Float[Array, "batch side side"]:
        """As :meth:`Diffusion.sample_posterior`, with these steps."""
        return self.model.sample_posterior(key, noised, time, steps=self.steps)


def read_notes(path: str | Path) -> dict:
    """The notes that were saved with a model; errors as :meth:`Diffusion.load` has them."""
    return storage.read(path, KIND)[0].get("notes", {})


def train(
    key: Array,
    pictures: Float[np.ndarray, "n side side"],
    recipe: Recipe | None = None,
    *,
    checkpoint: str | Path | None = None,
    report: Report | None = None,
) -> Fitted:
    """Train a model from scratch, or go on from its checkpoint.

    Args:
        key: of the weights and of all batches.
        pictures: of even side, pixels in [-1, 1].
        recipe: how; ``Recipe()`` by default.
        checkpoint, report: as :func:`rhm_theory.denoisers.images.fitting.fit` takes them.
    Raises: ``TypeError`` or ``ValueError`` that names the argument. ``OSError`` if the checkpoint
        cannot be written.
    """
    checks.key("key", key)
    if pictures.ndim != 3 or pictures.shape[1] != pictures.shape[2]:
        raise ValueError(f"pictures must have shape (n, side, side), got {pictures.shape}")
    recipe = recipe or Recipe()
    for_weights, for_batches = jax.random.split(key)
    model = Diffusion.create(for_weights, side=pictures.shape[1], channels=recipe.channels)
    shown = pictures.astype(np.float32)
    return fit(for_batches, model, loss, [shown], recipe, checkpoint=checkpoint, report=report)


def loss(
    model: Diffusion, key: Array, pictures: Float[Array, "batch side side"]
) -> Float[Array, ""]:
    """The mean squared error of the velocity, at uniform times."""
    for_time, for_noise = jax.random.split(key)
    time = jax.random.uniform(for_time, (len(pictures),), jnp.float32)
    white = jax.random.normal(for_noise, pictures.shape, jnp.float32)
    apart = time[:, None, None]
    predicted = model.network(schedule.noised(pictures, white, apart), time)
    return jnp.mean((predicted - schedule.velocity(pictures, white, apart)) ** 2)


def _predicted(model: Diffusion, noised: Array, time: Array) -> Array:
    """The clean picture, within the range of pixels."""
    velocity = model.network(noised, jnp.broadcast_to(time, (len(noised),)))
    return jnp.clip(schedule.clean_of(noised, velocity, time), -1, 1)


@eqx.filter_jit
def _denoised(model: Diffusion, noised: Array, time: Array) -> Array:
    return schedule.clean_of(
        noised, model.network(noised, jnp.broadcast_to(time, (len(noised),))), time
    )


@eqx.filter_jit
def _earlier(model: Diffusion, key: Array, current: Array, later: Array, earlier: Array) -> Array:
    """One reverse step. A loop inside the compiled function makes XLA's convolutions slow."""
    law = schedule.reverse_step(later, earlier)
    white = jax.random.normal(key, current.shape, jnp.float32)
    mean = law.noised * current + law.clean * _predicted(model, current, later)
    return mean + law.spread * white


def _pictures(model: Diffusion, noised: ArrayLike) -> Array:
    array = jnp.asarray(noised, jnp.float32)
    if array.ndim != 3 or array.shape[1:] != (model.side, model.side):
        raise ValueError(
            f"noised must have shape (batch, {model.side}, {model.side}), got {array.shape}"
        )
    return array


def _time(time: ArrayLike) -> Array:
    value = checks.one("time", time)
    if not 0 < float(value) <= 1:
        raise ValueError(f"time must lie in (0, 1], got {float(value)}")
    return jnp.asarray(value, jnp.float32)
