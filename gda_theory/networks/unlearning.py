"""Run one method on many networks, and keep their margins after some of the epochs."""

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
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
MEMORISED = 0.9  # the least share of flipped labels that networks should know
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
    forget_batch: int = FORGET_BATCH,
    targets: Float[np.ndarray, "models n classes"] | None = None,
    kept_epochs: Sequence[int] | None = None,
    kept_points: Int[np.ndarray, " points"] | None = None,
    folder: str | None = None,
    progress: bool = False,
) -> Float[np.ndarray, "kept models points"]:
    """The margins of all networks at some points after some epochs of one method.

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
        ascent_epochs: how many of the first epochs raise the loss on F.
        forget_batch: rows of F in a step, at most.
        targets: logits of retrained networks, for ``"oracle matching"``.
        kept_epochs: after which epochs the margins are wanted; None for all, 1 for the first.
        kept_points: numbers of the points whose margins are wanted; None for all.
        folder: where finished networks are kept, so that a run that was stopped goes on.
        progress: show a bar.
    Raises: ``ValueError`` for an unknown method, oracle matching without targets, or epochs that
        are not run.
    """
    checks.choice("method", method, METHODS)
    if (method == "oracle matching") != (targets is not None):
        raise ValueError("targets are needed for 'oracle matching', and for no other method")
    at = np.arange(epochs) if kept_epochs is None else np.asarray(kept_epochs) - 1
    if len(at) == 0 or at.min() < 0 or at.max() >= epochs:
        raise ValueError(f"kept_epochs must lie between 1 and {epochs}, got {kept_epochs}")
    kept = np.setdiff1d(np.arange(len(data.inputs)), forget)
    if targets is None:
        targets = np.zeros((len(seeds), 1, 1), np.float32)
    whole = method in NEWTON
    forget_size = len(forget) if whole else min(len(forget), forget_batch)
    rows = {
        "network": networks,
        "seed": np.asarray(seeds, np.int32),
        "forget": _orders(seeds, forget, epochs, forget_size),
        "retain": _orders(seeds, kept, epochs, len(kept) if whole else RETAIN_BATCH),
        "target": targets,
    }
    points, labels = all_points(data)
    chosen = np.arange(len(points)) if kept_points is None else np.asarray(kept_points)
    shared = {
        "inputs": data.inputs,
        "labels": data.labels,
        "points": points[chosen],
        "point_labels": labels[chosen],
        "epochs": at.astype(np.int32),
        "rate": np.float32(rate),
        "ascent_epochs": np.int32(ascent_epochs),
        "ridge": np.float32(recipe.weight_decay),
    }
    wanted = hashlib.sha256(np.concatenate([at, chosen]).astype(np.int64).tobytes()).hexdigest()
    found = chunks.mapped(
        runner(method),
        shared,
        rows,
        chunk=training.CHUNK,
        folder=folder,
        name=f"unlearn {training.digest(data)} {method} {rate} {ascent_epochs} {recipe} {wanted}",
        progress=progress,
    )
    return np.moveaxis(found["margins"], 0, 1)


def memorised(
    data: NetworkData, margins: Float[np.ndarray, "models points"], least: float = MEMORISED
) -> float:
    """The share of the flipped training labels that networks give more than half the probability.

    Without flipped labels that networks know, there is nothing to forget.

    Args:
        data: with flipped labels.
        margins: of networks that were trained on all rows; the training rows come first.
        least: the smallest share that is accepted.
    Raises: ``RuntimeError`` if the share is smaller; ``ValueError`` if no label is flipped.
    """
    flipped = np.flatnonzero(data.flipped)
    if not len(flipped):
        raise ValueError("data must have flipped labels, got none")
    share = float(np.mean(margins[:, flipped] > 0))
    if share < least:
        raise RuntimeError(
            f"the networks know only {100 * share:.0f} % of the flipped labels of {data.name}, "
            f"less than {100 * least:.0f} %: then there is nothing to forget; "
            "train for more epochs"
        )
    return share


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
def runner(method: str) -> Callable[[Any, Any], Any]:
    """A compiled function that runs the method on the networks of one chunk.

    It returns each seed with its margins ``(kept epochs, points)``, so that a file of finished
    networks tells its seeds.
    """

    def one(shared: dict, row: dict) -> dict:
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
        after = METHODS[method](row["network"], task)
        kept = jax.tree.map(lambda leaf: leaf[shared["epochs"]], after)

        def shown(network: Parameters) -> Float[jax.Array, " points"]:
            return model.margins(network, shared["points"], shared["point_labels"])

        return {"margins": jax.lax.map(shown, kept), "seed": row["seed"]}

    return jax.jit(lambda shared, rows: jax.lax.map(lambda row: one(shared, row), rows))


def _orders(seeds, rows: np.ndarray, epochs: int, batch: int) -> np.ndarray:
    return np.stack([training.order(seed, rows, epochs, batch) for seed in seeds])


@jax.jit
def _margins(networks: Parameters, points, labels) -> Float[jax.Array, "models points"]:
    return jax.lax.map(lambda network: model.margins(network, points, labels), networks)


@jax.jit
def _outputs(networks: Parameters, inputs) -> Float[jax.Array, "models n classes"]:
    return jax.lax.map(lambda network: model.logits(network, inputs), networks)
