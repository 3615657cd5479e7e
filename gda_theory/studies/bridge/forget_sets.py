"""The forget sets of the study of the bridge, and the pretrained network that chooses them.

A *cell* is one data set in one split into training and validation rows. All its forget sets have
the same size. The network that chooses them is the one that is diagnosed. It is none of those whose
unlearning is measured.
"""

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from gda_theory import networks
from gda_theory.networks import model, sets

DATASETS = ("digits", "fashion")
TRAIN, VALIDATION = 1000, 800  # rows of Fashion-MNIST, as many as the digits give
SIZE = 10  # rows of a forget set
EASY = 0.25  # of the rows, those of the smallest loss, from which easy sets are drawn
HIGH = 0.05  # of the rows, those of the largest loss
MIXED = (1, 2, 3, 5, 7)  # flipped rows of the mixed sets
DIAGNOSED = 5000  # seed of the network that is diagnosed


class Cell(NamedTuple):
    """One data set in one split, and what the diagnosed network says about its training rows.

    * ``loss``: the cross-entropy of each training row.
    * ``features``: what its last layer receives.
    * ``components``: the first two principal components of its neural tangent kernel.
    """

    data: networks.NetworkData
    loss: Float[np.ndarray, " n"]
    features: Float[np.ndarray, "n hidden"]
    components: Float[np.ndarray, "2 n"]


class ForgetRows(NamedTuple):
    """The kind of a forget set, and its row numbers in increasing order."""

    kind: str
    rows: Int[np.ndarray, " k"]


def load(name: str, split: int) -> networks.NetworkData:
    """One data set in one split.

    Raises: ``FileNotFoundError`` if Fashion-MNIST is not there.
    """
    if name == "digits":
        return networks.digits(split, train=TRAIN)
    return networks.fashion(split, train=TRAIN, validation=VALIDATION)


def cell_of(data: networks.NetworkData, recipe: networks.Recipe) -> Cell:
    """Train the network to diagnose, and ask it about the training rows."""
    network = networks.train(data, recipe, np.array([DIAGNOSED]))
    single = jax.tree.map(lambda leaf: leaf[0], network)
    return Cell(
        data=data,
        loss=sets.mean_losses(network, data),
        features=np.asarray(model.features(single, jnp.asarray(data.inputs)), float),
        components=sets.components(network, data),
    )


def forget_sets(cell: Cell, seed: int) -> list[ForgetRows]:
    """All forget sets of a cell, in an order in which the kinds take turns.

    Args:
        cell: with the training rows.
        seed: of NumPy's generators, one for each kind.
    """
    by_kind = {}
    for kind, (count, draw) in KINDS.items():
        generator = np.random.default_rng([seed, zlib.crc32(kind.encode())])
        by_kind[kind] = [draw(cell, generator, number) for number in range(count)]
    longest = max(count for count, _ in KINDS.values())
    return [
        ForgetRows(kind, np.sort(rows[number]))
        for number in range(longest)
        for kind, rows in by_kind.items()
        if number < len(rows)
    ]


# The kinds: each function gives the rows of the set of this number -------------------------------


def _random(cell: Cell, generator: np.random.Generator, number: int) -> np.ndarray:
    return _some(generator, np.arange(len(cell.loss)))


def _flipped(cell: Cell, generator: np.random.Generator, number: int) -> np.ndarray:
    return _some(generator, np.flatnonzero(cell.data.flipped))


def _neighbours(cell: Cell, generator: np.random.Generator, number: int) -> np.ndarray:
    centre = cell.data.inputs[generator.integers(len(cell.loss))]
    distances = np.linalg.norm(cell.data.inputs - centre, axis=1)
    return np.argsort(distances, kind="stable")[:SIZE]


def _one_class(cell: Cell, generator: np.random.Generator, number: int) -> np.ndarray:
    label = generator.integers(cell.data.classes)
    return _some(generator, np.flatnonzero(cell.data.labels == label))


def _mixed(cell: Cell, generator: np.random.Generator, number: int) -> np.ndarray:
    wrong = MIXED[number]
    return np.concatenate(
        [
            generator.choice(np.flatnonzero(cell.data.flipped), wrong, replace=False),
            generator.choice(np.flatnonzero(~cell.data.flipped), SIZE - wrong, replace=False),
        ]
    )


def _component(cell: Cell, generator: np.random.Generator, number: int) -> np.ndarray:
    """Numbers 0 to 3: the top and the bottom of the first, then of the second component."""
    along = cell.components[number // 2]
    order = np.argsort(along, kind="stable")
    return order[-SIZE:] if number % 2 == 0 else order[:SIZE]


def _easy(cell: Cell, generator: np.random.Generator, number: int) -> np.ndarray:
    order = np.argsort(cell.loss, kind="stable")
    return _some(generator, order[: round(EASY * len(order))])


def _high_loss(cell: Cell, generator: np.random.Generator, number: int) -> np.ndarray:
    order = np.argsort(cell.loss, kind="stable")
    return _some(generator, order[-round(HIGH * len(order)) :])


def _high_loss_clean(cell: Cell, generator: np.random.Generator, number: int) -> np.ndarray:
    clean = np.flatnonzero(~cell.data.flipped)
    order = clean[np.argsort(cell.loss[clean], kind="stable")]
    return _some(generator, order[-round(HIGH * len(order)) :])


def _some(generator: np.random.Generator, rows: np.ndarray) -> np.ndarray:
    return generator.choice(rows, SIZE, replace=False)


# How many sets of each kind, and how they are drawn.
KINDS: dict[str, tuple[int, Callable[[Cell, np.random.Generator, int], Any]]] = {
    "random": (8, _random),
    "flipped": (6, _flipped),
    "neighbours": (6, _neighbours),
    "one class": (5, _one_class),
    "mixed": (len(MIXED), _mixed),
    "component": (4, _component),
    "easy": (4, _easy),
    "high loss": (3, _high_loss),
    "high loss, clean": (3, _high_loss_clean),
}
