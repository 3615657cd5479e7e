r"""Masked diffusion: a model that predicts the hidden symbols of a sequence from the shown ones.

A share t of the sites is hidden, each independently. The model gives each hidden site a law over
the symbols. Its loss is the unweighted masked cross-entropy,

.. math:: \mathcal L = \frac{\sum_{\text{hidden } i} -\ln p_i(x_i \mid \text{shown})}
                            {\text{number of hidden sites}}, \qquad t \sim U(0, 1).

A *conditional* is any function from sequences ``(..., length)``, in which a hidden site has the
number ``vocabulary``, to the log probabilities ``(..., length, vocabulary)`` of its symbols.
:meth:`MaskedDiffusion.log_probabilities` is one.

Source: Sahoo et al., *Simple and Effective Masked Diffusion Language Models* (2024), without their
weight 1/t.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.denoisers import storage
from rhm_theory.denoisers.sampling import Conditional
from rhm_theory.denoisers.transformer import Sizes, Transformer
from rhm_theory.models.grammar import symbols_in
from theory_common import checks

KIND = "masked diffusion model"
BLOCK = 64  # sequences that the network takes at once


class MaskedDiffusion(eqx.Module):
    """A masked diffusion model; made by :meth:`create` or :meth:`load`.

    Attributes:
        network: the transformer.
        vocabulary: symbols of the sequences. The number ``vocabulary`` itself is the mask.
        length: sites of a sequence.
    """

    network: Transformer
    vocabulary: int = eqx.field(static=True)
    length: int = eqx.field(static=True)

    @classmethod
    def create(
        cls,
        key: Array,
        *,
        vocabulary: int,
        length: int,
        width: int = 128,
        layers: int = 4,
        heads: int = 4,
        reach: int = 2,
    ) -> "MaskedDiffusion":
        """A model that is not trained yet: it gives every symbol the same probability.

        Args:
            key: of the initial weights.
            vocabulary: symbols of the sequences, at least 2.
            length: sites of a sequence, at least 1.
            width: numbers for each site, a multiple of ``2 * heads``.
            layers: of the transformer, at least 1.
            heads: of the attention, at least 1.
            reach: up to which distance a site's input contains its neighbours.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        """
        vocabulary = checks.whole("vocabulary", vocabulary, least=2)
        heads = checks.whole("heads", heads, least=1)
        width = checks.whole("width", width, least=1)
        if width % (2 * heads):
            raise ValueError(f"width must be a multiple of 2 * heads = {2 * heads}, got {width}")
        sizes = Sizes(
            symbols=vocabulary + 1,
            vocabulary=vocabulary,
            length=checks.whole("length", length, least=1),
            width=width,
            layers=checks.whole("layers", layers, least=1),
            heads=heads,
            reach=checks.whole("reach", reach),
        )
        network = Transformer.create(checks.key("key", key), sizes)
        return cls(network=network, vocabulary=vocabulary, length=sizes.length)

    def logits(
        self, tokens: Int[ArrayLike, "*batch length"]
    ) -> Float[AnyArray, "*batch length vocabulary"]:
        """Unnormalised log probabilities of every symbol at every site, float32.

        Args: tokens: symbols, with the number ``vocabulary`` at hidden sites.
        Raises: ``TypeError`` or ``ValueError`` that names ``tokens``.
        """
        return self._by_blocks(_logits, tokens)

    def log_probabilities(
        self, tokens: Int[ArrayLike, "*batch length"]
    ) -> Float[AnyArray, "*batch length vocabulary"]:
        """The law of each site given the shown ones, float32: this model as a conditional.

        A site that is shown has its own symbol with probability 1.

        Args: tokens: symbols, with the number ``vocabulary`` at hidden sites.
        Raises: ``TypeError`` or ``ValueError`` that names ``tokens``.
        """
        return self._by_blocks(_log_probabilities, tokens)

    def save(self, path: str | Path, *, notes: Mapping | None = None, force: bool = False) -> None:
        """Write the model to a file, whole or not at all.

        Args:
            path: the file.
            notes: further data for :func:`read_notes`, anything that JSON holds.
            force: whether a file of that name may be replaced.

        Raises: ``OSError`` as :func:`theory_common.printing.files.write_whole` does.
        """
        header = {"sizes": self.network.sizes._asdict(), "notes": dict(notes or {})}
        storage.write(path, KIND, header, weights_of(self), force=force)

    @staticmethod
    def load(path: str | Path) -> "MaskedDiffusion":
        """The model that :meth:`save` wrote.

        Raises: ``OSError`` if there is no such file; ``ValueError`` if it is no model, is broken,
            or has another version of the format.
        """
        header, weights = storage.read(path, KIND)
        return with_weights(Sizes(**header["sizes"]), weights, str(path))

    def _by_blocks(self, function: Callable, tokens: Any) -> Any:
        """``function`` of few shapes: blocks of ``BLOCK`` sequences, or a power of two if fewer."""
        seen = symbols_in("tokens", tokens, self.vocabulary + 1)
        if seen.shape[-1:] != (self.length,):
            raise ValueError(
                f"tokens must have a last axis of {self.length} sites, got shape {seen.shape}"
            )
        flat = seen.reshape(-1, self.length)
        shape = (*seen.shape, self.vocabulary)
        if checks.is_traced(flat):
            return function(self, flat).reshape(shape)
        rows = np.asarray(flat, np.int32)
        count = len(rows)
        size = min(BLOCK, 1 << max(count - 1, 0).bit_length())
        padded = np.pad(rows, ((0, -count % size), (0, 0)))
        found = np.empty((len(padded), self.length, self.vocabulary), np.float32)
        for begin in range(0, len(padded), size):
            found[begin : begin + size] = function(self, padded[begin : begin + size])
        return found[:count].reshape(shape)


class LevelLosses(NamedTuple):
    """Masked cross-entropy of each sequence at each noise level.

    ``loss.sum(1) / hidden.sum(1)`` is the loss in nats for each hidden symbol. The two arrays are
    what :func:`rhm_theory.measure.ratio` takes.

    Attributes:
        level: the share t of hidden sites.
        loss: summed over the hidden sites of a sequence.
        hidden: how many there are.
    """

    level: Float[np.ndarray, " levels"]
    loss: Float[np.ndarray, "levels sequences"]
    hidden: Float[np.ndarray, "levels sequences"]

    @property
    def mean(self) -> Float[np.ndarray, ""]:
        """The loss over all levels, in nats for each hidden symbol."""
        return self.loss.sum() / self.hidden.sum()


def losses(
    key: Array,
    conditional: Conditional,
    sequences: Int[ArrayLike, "sequences length"],
    levels: Float[ArrayLike, " levels"],
    *,
    vocabulary: int,
) -> LevelLosses:
    """Masked cross-entropy of any conditional. The same ``key`` gives the same masks.

    Args:
        key: of the masks.
        conditional: see the module's docstring.
        sequences: symbols below ``vocabulary``.
        levels: shares of hidden sites, in (0, 1].
        vocabulary: the number of symbols.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    true = np.asarray(symbols_in("sequences", sequences, vocabulary))
    if true.ndim != 2 or not true.size:
        raise ValueError(f"sequences must have shape (sequences, length), got {true.shape}")
    checked = checks.require("levels", levels, lambda t: (t > 0) & (t <= 1), "in (0, 1]")
    level = np.atleast_1d(np.asarray(checked))
    seed = np.asarray(jax.random.key_data(checks.key("key", key)))
    # Sequences first: the first ones have the same masks, however many follow.
    uniform = np.random.default_rng(seed).random((len(true), len(level), true.shape[1]))
    hidden = uniform.swapaxes(0, 1) < level[:, None, None]
    loss = np.empty((len(level), len(true)))
    for index, mask in enumerate(hidden):
        law = np.asarray(conditional(np.where(mask, vocabulary, true)))
        own = np.take_along_axis(law, true[..., None], -1)[..., 0]
        loss[index] = -np.where(mask, own, 0).sum(-1)
    return LevelLosses(level=level, loss=loss, hidden=hidden.sum(-1).astype(float))


def masked_loss(
    model: MaskedDiffusion, tokens: Int[Array, "batch length"], uniform: Float[Array, "b l"]
) -> Float[Array, ""]:
    """The loss that is trained, of one batch, inside compiled code.

    The levels of a batch of size B are (u + k)/B for k = 0 .. B - 1, with one random u. They cover
    [0, 1] evenly, which makes the gradient less noisy.

    Args:
        tokens: symbols.
        uniform: random numbers in [0, 1), one column more than ``tokens``. The first number gives
            the levels, the last columns give the masks.
    """
    batch = len(tokens)
    level = (uniform[0, 0] + jnp.arange(batch, dtype=jnp.float32)) / np.float32(batch)
    hidden = uniform[:, 1:] < level[:, None]
    law = jax.nn.log_softmax(model.network(jnp.where(hidden, model.vocabulary, tokens)), -1)
    own = jnp.take_along_axis(law, tokens[..., None], -1)[..., 0]
    count = jnp.maximum(hidden.sum(dtype=jnp.int32), 1).astype(jnp.float32)
    return -jnp.sum(jnp.where(hidden, own, np.float32(0))) / count


def read_notes(path: str | Path) -> dict:
    """The notes that were saved with a model; errors as :meth:`MaskedDiffusion.load` has them."""
    return storage.read(path, KIND)[0]["notes"]


def weights_of(model: MaskedDiffusion) -> list[Array]:
    """The arrays of a model, in a fixed order."""
    return jax.tree.leaves(model)


def with_weights(sizes: Sizes, weights: Sequence[np.ndarray], source: str) -> MaskedDiffusion:
    """The model of these ``sizes`` and arrays; ``ValueError`` names ``source`` if they differ."""
    expected, structure = jax.tree.flatten(_empty(sizes))
    if [leaf.shape for leaf in expected] != [leaf.shape for leaf in weights]:
        raise ValueError(f"{source} is broken: its weights do not have the shapes of its sizes")
    return jax.tree.unflatten(structure, [jnp.asarray(leaf, jnp.float32) for leaf in weights])


def _empty(sizes: Sizes) -> MaskedDiffusion:
    """The structure of a model of these sizes, with shapes in place of arrays."""

    def create(key: Array) -> MaskedDiffusion:
        network = Transformer.create(key, sizes)
        return MaskedDiffusion(network=network, vocabulary=sizes.vocabulary, length=sizes.length)

    return jax.eval_shape(create, jax.random.key(0))


@eqx.filter_jit
def _logits(model: MaskedDiffusion, tokens: Array) -> Array:
    return model.network(tokens)


@eqx.filter_jit
def _log_probabilities(model: MaskedDiffusion, tokens: Array) -> Array:
    law = jax.nn.log_softmax(model.network(tokens), -1)
    own = tokens[..., None] == jnp.arange(model.vocabulary, dtype=jnp.int32)
    certain = jnp.where(own, np.float32(0), np.float32(-jnp.inf))
    return jnp.where((tokens == model.vocabulary)[..., None], law, certain)
