"""Train many networks from scratch: on all rows, or without those to forget (the oracles)."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Int

from gda_theory.networks import model
from gda_theory.networks.data import NetworkData
from gda_theory.networks.model import Parameters
from theory_common.batching import chunks

CHUNK = 10  # networks that one thread trains one after another


class Recipe(NamedTuple):
    """How a network is trained: stochastic gradient descent with momentum.

    The learning rate rises in a straight line to ``peak`` over the first ``rise`` of all steps, and
    falls to 0 after that. ``weight_decay`` times the weights is added to each gradient.
    """

    hidden: int = 128
    epochs: int = 30
    batch: int = 50
    peak: float = 0.1
    rise: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4


def sizes(data: NetworkData, recipe: Recipe) -> tuple[int, int, int]:
    """Numbers of inputs, hidden units and classes."""
    return data.inputs.shape[1], recipe.hidden, data.classes


def train(
    data: NetworkData,
    recipe: Recipe,
    seeds: Int[np.ndarray, " models"],
    *,
    forget: Int[np.ndarray, " k"] | None = None,
    folder: str | None = None,
    progress: bool = False,
) -> Parameters:
    """Train one network for each seed.

    Args:
        data: with the training rows.
        recipe: how to train.
        seeds: each gives the initial weights and the order of the rows.
        forget: numbers of the rows that are left out; None for none.
        folder: where finished networks are kept, so that a run that was stopped goes on.
        progress: show a bar.
    Returns: the arrays of the networks as a pytree, with the networks in the first axis.
    """
    kept = np.setdiff1d(np.arange(len(data.inputs)), [] if forget is None else forget)
    rows = {
        "seed": np.asarray(seeds, np.int32),
        "order": np.stack([order(seed, kept, recipe.epochs, recipe.batch) for seed in seeds]),
    }
    shared = {"inputs": data.inputs, "labels": data.labels}
    found = chunks.mapped(
        trainer(recipe, sizes(data, recipe)),
        shared,
        rows,
        chunk=CHUNK,
        folder=folder,
        name=f"train {data.name} {digest(data)} {recipe}",
        progress=progress,
    )
    return found["network"]


def digest(data: NetworkData) -> str:
    """A short text that differs between data, for the names of files."""
    found = hashlib.sha256()
    for array in data:
        found.update(np.ascontiguousarray(array).tobytes() if hasattr(array, "dtype") else b"")
    return found.hexdigest()[:16]


def order(
    seed: int, rows: Int[np.ndarray, " n"], epochs: int, batch: int
) -> Int[np.ndarray, "epochs steps batch"]:
    """Which rows each step takes: fresh permutations, without the rest that fills no batch."""
    generator = np.random.default_rng([int(seed), len(rows)])
    steps = max(len(rows) // batch, 1)
    return np.stack(
        [
            generator.permutation(rows)[: steps * batch].reshape(steps, -1).astype(np.int32)
            for _ in range(epochs)
        ]
    )


@functools.cache
def trainer(recipe: Recipe, shape: tuple[int, int, int]) -> Callable[[Any, Any], Any]:
    """A compiled function that trains the networks of one chunk, one after another.

    It returns each seed with its network, so that a file of finished networks tells its seeds.
    One after another is as fast as ``vmap`` over them (see the table of speeds), and needs less
    memory.
    """

    def one(shared: dict, row: dict) -> dict:
        return {"network": trained(recipe, shape, shared, row), "seed": row["seed"]}

    return jax.jit(lambda shared, rows: jax.lax.map(lambda row: one(shared, row), rows))


def trained(recipe: Recipe, shape: tuple[int, int, int], shared: dict, row: dict) -> Parameters:
    """One network from scratch.

    Args:
        recipe: how to train.
        shape: numbers of inputs, hidden units and classes.
        shared: ``inputs`` and ``labels`` of all rows.
        row: ``seed`` of the initial weights, and ``order`` ``(epochs, steps, batch)`` of the rows.
    """
    steps = row["order"].shape[0] * row["order"].shape[1]
    optimiser = _optimiser(recipe, steps)
    start = model.initial(row["seed"], shape)
    batches = row["order"].reshape(steps, -1)

    def step(state, batch: Int[Array, " batch"]):
        parameters, memory = state
        gradient = jax.grad(model.loss)(
            parameters, shared["inputs"][batch], shared["labels"][batch]
        )
        change, memory = optimiser.update(gradient, memory, parameters)
        return (optax.apply_updates(parameters, change), memory), None

    (network, _), _ = jax.lax.scan(step, (start, optimiser.init(start)), batches)
    return network


def _optimiser(recipe: Recipe, steps: int) -> optax.GradientTransformation:
    rising = max(int(recipe.rise * steps), 1)

    def rate(step: Array) -> Array:
        up = (step + 1) / rising
        down = (steps - step) / max(steps - rising, 1)
        return (recipe.peak * jnp.minimum(up, down)).astype(jnp.float32)

    return optax.chain(
        optax.add_decayed_weights(recipe.weight_decay), optax.sgd(rate, recipe.momentum)
    )
