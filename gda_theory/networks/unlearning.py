"""Run one method on many networks, and keep the margins after each epoch."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from gda_theory.networks import model, training
from gda_theory.networks.data import NetworkData
from gda_theory.networks.methods import METHODS, Task
from gda_theory.networks.model import Parameters
from theory_common import checks
from theory_common.batching import chunks

FORGET_BATCH = 32  # at most; fewer where F is smaller
RETAIN_BATCH = 64
NEWTON = ("Newton, last layer", "Newton, network")


def unlearn(
    data: NetworkData,
    recipe: training.Recipe,
    networks: Parameters,
    forget: Int[np.ndarray, " k"],
    method: str,
    *,
    rate: float,
    seeds: Int[np.ndarray, " models"],
    epochs: int = 10,
    ascent_epochs: int = 5,
    targets: Float[np.ndarray, "models n classes"] | None = None,
    folder: str | None = None,
    progress: bool = False,
) -> Float[np.ndarray, "epochs models points"]:
    """The margins of all networks at all points after each epoch of one method.

    Points are the training rows, then the validation rows.

    Args:
        data: with all rows.
        recipe: how the networks were trained; its weight decay is the ridge of the Newton steps.
        networks: pretrained, with the networks in the first axis.
        forget: numbers of the training rows to forget.
        method: a name in :data:`gda_theory.networks.methods.METHODS`.
        rate: learning rate; the Newton steps do not use it.
        seeds: of the order of the rows, one for each network.
        epochs: number of passes (or of Newton steps).
        ascent_epochs: in the first of which the loss on F is raised.
        targets: logits of retrained networks, for ``"oracle matching"``.
        folder: where finished networks are kept, so that a run that was stopped goes on.
        progress: show a bar.
    Raises: ``ValueError`` for an unknown method, or oracle matching without targets.
    """
    checks.choice("method", method, METHODS)
    if (method == "oracle matching") != (targets is not None):
        raise ValueError("targets are needed for 'oracle matching', and for no other method")
    kept = np.setdiff1d(np.arange(len(data.inputs)), forget)
    if targets is None:
        targets = np.zeros((len(seeds), 1, 1), np.float32)
    whole = method in NEWTON
    rows = {
        "network": networks,
        "forget": _orders(
            seeds, forget, epochs, len(forget) if whole else min(len(forget), FORGET_BATCH)
        ),
        "retain": _orders(seeds, kept, epochs, len(kept) if whole else RETAIN_BATCH),
        "target": targets,
    }
    shared = {
        "inputs": data.inputs,
        "labels": data.labels,
        "validation_inputs": data.validation_inputs,
        "validation_labels": data.validation_labels,
        "rate": np.float32(rate),
        "ascent_epochs": np.int32(ascent_epochs),
        "ridge": np.float32(recipe.weight_decay),
    }
    found = chunks.mapped(
        runner(method),
        shared,
        rows,
        chunk=training.CHUNK,
        folder=folder,
        name=f"unlearn {data.name} {method} {rate} {ascent_epochs} {recipe}",
        progress=progress,
    )
    return np.moveaxis(found, 0, 1)


def margins(data: NetworkData, networks: Parameters) -> Float[np.ndarray, "models points"]:
    """The margins of networks at the training rows, then the validation rows."""
    points, labels = all_points(data)
    return np.asarray(_margins(networks, points, labels))


def all_points(data: NetworkData) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of the training rows, then the validation rows."""
    inputs = np.concatenate([data.inputs, data.validation_inputs])
    return inputs, np.concatenate([data.labels, data.validation_labels])


def outputs(data: NetworkData, networks: Parameters) -> Float[np.ndarray, "models n classes"]:
    """The logits of networks at the training rows."""
    return np.asarray(_outputs(networks, data.inputs))


def split_names(data: NetworkData, forget: Int[np.ndarray, " k"]) -> np.ndarray:
    """Of each point ``"forget"``, ``"retain"`` or ``"validation"``."""
    names = np.array(["retain"] * len(data.inputs) + ["validation"] * len(data.validation_inputs))
    names[forget] = "forget"
    return names


@functools.cache
def runner(method: str) -> Callable[[Any, Any], Float[jax.Array, "models epochs points"]]:
    """A compiled function that runs the method on the networks of one chunk."""

    def one(shared: dict, row: dict) -> Float[jax.Array, "epochs points"]:
        task = Task(
            inputs=shared["inputs"],
            labels=shared["labels"],
            forget=row["forget"],
            retain=row["retain"],
            rate=shared["rate"],
            ascent_epochs=shared["ascent_epochs"],
            ridge=shared["ridge"],
            target=row["target"],
        )
        points = jnp.concatenate([shared["inputs"], shared["validation_inputs"]])
        labels = jnp.concatenate([shared["labels"], shared["validation_labels"]])
        after = METHODS[method](row["network"], task)
        return jax.lax.map(lambda network: model.margins(network, points, labels), after)

    return jax.jit(lambda shared, rows: jax.lax.map(lambda row: one(shared, row), rows))


def _orders(seeds, rows: np.ndarray, epochs: int, batch: int) -> np.ndarray:
    return np.stack([training.order(seed, rows, epochs, batch) for seed in seeds])


@jax.jit
def _margins(networks: Parameters, points, labels) -> Float[jax.Array, "models points"]:
    return jax.lax.map(lambda network: model.margins(network, points, labels), networks)


@jax.jit
def _outputs(networks: Parameters, inputs) -> Float[jax.Array, "models n classes"]:
    return jax.lax.map(lambda network: model.logits(network, inputs), networks)
