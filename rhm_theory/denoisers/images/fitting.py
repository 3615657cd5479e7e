"""Fit any network to pictures: Adam with a cosine decay, and a moving mean of the weights."""

import time as clock
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float

from rhm_theory.denoisers import storage
from theory_common import checks

REPORTED = 25  # steps between reports
SAVED_AFTER = 20.0  # seconds between checkpoints
KIND = "checkpoint of a fit to pictures"
Tree = TypeVar("Tree")
Loss: TypeAlias = Callable[..., Array]  # of the network, a key and a batch of each array
Report: TypeAlias = Callable[[int, float], None]


class Recipe(NamedTuple):
    """How a network is fitted.

    Attributes:
        steps: of Adam; its rate falls to 0 along half a cosine.
        batch: pictures of each step.
        rate: the first learning rate.
        channels: of the network at full resolution.
        memory: of the moving mean of the weights, which the fitted network has.
    """

    steps: int = 1500
    batch: int = 64
    rate: float = 2e-3
    channels: int = 24
    memory: float = 0.99


class State(NamedTuple):
    """Everything that a run continues from."""

    network: Any
    mean: Any
    optimiser: optax.OptState
    losses: Float[Array, " steps"]
    step: Array


class Fitted(NamedTuple):
    """A fitted network, and the loss of each step."""

    network: Any
    losses: Float[np.ndarray, " steps"]


def fit(
    key: Array,
    network: eqx.Module,
    loss: Loss,
    data: Sequence[np.ndarray],
    recipe: Recipe,
    *,
    checkpoint: str | Path | None = None,
    report: Report | None = None,
) -> Fitted:
    """Fit ``network``, or go on from its checkpoint.

    The same arguments give the same network on one machine, stopped or not.

    Args:
        key: of all batches.
        network: where the fit begins.
        loss: ``loss(network, key, *batch)`` gives a number.
        data: arrays with the pictures, or what belongs to them, in their first axis.
        recipe: how.
        checkpoint: a file from which an interrupted run goes on. It is written whole about every
            20 seconds.
        report: is called with the number of finished steps and the mean loss of the last ones.
    Raises: ``TypeError`` or ``ValueError`` that names the argument. ``OSError`` if the checkpoint
        cannot be written; the last one is kept.
    """
    checks.key("key", key)
    steps = checks.whole("steps", recipe.steps, least=1)
    checks.whole("batch", recipe.batch, least=1)
    arrays = tuple(jnp.asarray(array) for array in data)
    if not arrays or not len(arrays[0]) or len({len(array) for array in arrays}) > 1:
        raise ValueError(
            f"data must be arrays of one length >= 1, got shapes {[a.shape for a in arrays]}"
        )
    state = _start(network, recipe)
    path = Path(checkpoint) if checkpoint is not None else None
    header = {"recipe": list(recipe), "key": np.asarray(jax.random.key_data(key)).tolist()}
    if path is not None and path.exists():
        state = _continued(path, header, state)
    saved = clock.monotonic()
    for done in range(int(state.step) + 1, steps + 1):
        state = _step(state, key, arrays, loss, recipe)
        last = done == steps
        if report is not None and (last or done % REPORTED == 0):
            report(done, float(jnp.mean(state.losses[max(done - REPORTED, 0) : done])))
        if path is not None and (last or clock.monotonic() - saved > SAVED_AFTER):
            storage.write(path, KIND, header, jax.tree.leaves(state), force=True)
            saved = clock.monotonic()
    return Fitted(network=state.mean, losses=np.asarray(state.losses))


def restored(tree: Tree, arrays: Sequence[np.ndarray], path: str | Path) -> Tree:
    """``tree`` with other ``arrays``, which came from ``path``.

    Raises: ``ValueError`` if their number or shapes differ.
    """
    leaves, structure = jax.tree.flatten(tree)
    if [leaf.shape for leaf in leaves] != [array.shape for array in arrays]:
        raise ValueError(f"{path} must hold arrays of the shapes of its network")
    held = [jnp.asarray(array, leaf.dtype) for array, leaf in zip(arrays, leaves, strict=True)]
    return jax.tree.unflatten(structure, held)


def _continued(path: Path, header: dict, blank: State) -> State:
    found, arrays = storage.read(path, KIND)
    if found != header:
        raise ValueError(f"checkpoint {path} must be of the run {header}, got {found}")
    return restored(blank, arrays, path)


def _start(network: eqx.Module, recipe: Recipe) -> State:
    return State(
        network=network,
        mean=network,
        optimiser=_optimiser(recipe).init(network),
        losses=jnp.zeros(recipe.steps, jnp.float32),
        step=jnp.zeros((), jnp.int32),
    )


def _optimiser(recipe: Recipe) -> optax.GradientTransformation:
    def rate(step: Array) -> Array:
        done = jnp.minimum(step / recipe.steps, 1)
        return (recipe.rate * (1 + jnp.cos(jnp.pi * done)) / 2).astype(jnp.float32)

    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


@eqx.filter_jit
def _step(state: State, key: Array, data: tuple[Array, ...], loss: Loss, recipe: Recipe) -> State:
    """One step. A loop inside the compiled function would make XLA's convolutions slow."""
    for_rows, for_loss = jax.random.split(jax.random.fold_in(key, state.step))
    rows = jax.random.randint(for_rows, (recipe.batch,), 0, len(data[0]), jnp.int32)
    value, gradient = eqx.filter_value_and_grad(loss)(
        state.network, for_loss, *(array[rows] for array in data)
    )
    change, memory = _optimiser(recipe).update(gradient, state.optimiser)
    network = eqx.apply_updates(state.network, change)
    # At first the mean forgets faster, so that it does not keep the random weights.
    kept = jnp.minimum(recipe.memory, (1 + state.step) / (10 + state.step))
    mean = jax.tree.map(
        lambda old, new: (kept * old + (1 - kept) * new).astype(old.dtype), state.mean, network
    )
    return State(
        network=network,
        mean=mean,
        optimiser=memory,
        losses=state.losses.at[state.step].set(value),
        step=state.step + 1,
    )
