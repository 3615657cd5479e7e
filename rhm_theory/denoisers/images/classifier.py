"""A small classifier of pictures, for the class and for local features."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from rhm_theory.denoisers.images.data import Pictures
from rhm_theory.denoisers.images.fitting import Recipe, Report, fit
from rhm_theory.denoisers.images.network import Convolution, Dense, halves
from theory_common import checks

BLOCK = 1024  # pictures at a time
RECIPE = Recipe(steps=600, batch=128, rate=3e-3, channels=16)


class Classifier(eqx.Module):
    """Four convolutions; the side is halved after the first.

    The features f1, f2 and f3 are the channels after the first three, at each place of the halved
    grid. One place depends on 4 x 4, 8 x 8 and 12 x 12 pixels of the picture.
    """

    convolutions: tuple[Convolution, ...]
    head: Dense

    def __init__(self, key: Array, *, classes: int, channels: int = 16) -> None:
        keys = jax.random.split(key, 5)
        widths = (1, channels, 2 * channels, 2 * channels, 2 * channels)
        self.convolutions = tuple(
            Convolution(of, inputs, outputs, scale=2**0.5)
            for of, inputs, outputs in zip(keys[:4], widths, widths[1:], strict=False)
        )
        self.head = Dense(keys[4], widths[-1], classes)

    def __call__(
        self, pictures: Float[Array, "batch side side"]
    ) -> tuple[Float[Array, "batch classes"], dict[str, Float[Array, "batch places channels"]]]:
        """The logits, and the features f1, f2, f3."""
        hidden = jax.nn.relu(self.convolutions[0](pictures[..., None]))
        hidden = hidden.reshape(halves(hidden.shape)).mean((2, 4))
        features = {"f1": hidden}
        for number, convolution in enumerate(self.convolutions[1:], 2):
            hidden = jax.nn.relu(convolution(hidden))
            features[f"f{number}"] = hidden
        last = features.pop("f4")
        flat = {
            name: found.reshape(len(found), -1, found.shape[-1]) for name, found in features.items()
        }
        return self.head(last.mean((1, 2))), flat


def train(
    key: Array,
    pictures: Pictures,
    recipe: Recipe = RECIPE,
    *,
    checkpoint: str | Path | None = None,
    report: Report | None = None,
) -> Classifier:
    """Train a classifier from scratch, or go on from its checkpoint.

    Args:
        key: of the weights and of all batches.
        pictures: the training pictures and their classes are used.
        recipe: how.
        checkpoint, report: as :func:`rhm_theory.denoisers.images.fitting.fit` takes them.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    for_weights, for_batches = jax.random.split(checks.key("key", key))
    start = Classifier(for_weights, classes=pictures.classes, channels=recipe.channels)
    data = [pictures.train.astype(np.float32), pictures.train_labels]
    return fit(
        for_batches, start, cross_entropy, data, recipe, checkpoint=checkpoint, report=report
    ).network


def cross_entropy(
    classifier: Classifier,
    key: Array,
    pictures: Float[Array, "batch side side"],
    labels: Int[Array, " batch"],
) -> Float[Array, ""]:
    """The mean of minus the log probability of the class; ``key`` is not used."""
    logits, _ = classifier(pictures)
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], -1)
    return -jnp.mean(chosen)


def seen(
    classifier: Classifier, pictures: Float[np.ndarray, "n side side"]
) -> tuple[Int[np.ndarray, " n"], dict[str, Float[np.ndarray, "n places channels"]]]:
    """The most probable class of each picture, and its features, in blocks of one shape."""
    count = len(pictures)
    size = min(BLOCK, count)
    blocks = []
    for begin in range(0, count, size):
        # The last block is filled with the first pictures, whose results are dropped.
        rows = np.resize(np.arange(begin, min(begin + size, count)), size)
        blocks.append(
            jax.tree.map(np.asarray, _seen(classifier, jnp.asarray(pictures[rows], jnp.float32)))
        )
    labels = np.concatenate([label for label, _ in blocks])[:count]
    features = {
        name: np.concatenate([found[name] for _, found in blocks])[:count] for name in blocks[0][1]
    }
    return labels, features


@eqx.filter_jit
def _seen(classifier: Classifier, pictures: Array) -> tuple[Array, dict[str, Array]]:
    logits, features = classifier(pictures)
    return jnp.argmax(logits, -1).astype(jnp.int32), features
