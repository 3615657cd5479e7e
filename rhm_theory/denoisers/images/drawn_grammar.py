"""The positive control: strings of a grammar drawn as pictures, with the exact posterior.

The noise of a picture leaves of each leaf a likelihood of its symbols, and Bayes' posterior of the
whole tree follows by :func:`rhm_theory.sample_posterior`. So the hierarchy is known.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rhm_theory.denoisers.images import data, mixtures
from rhm_theory.denoisers.images.mixtures import Draws
from rhm_theory.inference.evidence import marginals
from rhm_theory.inference.sampling import sample_posterior
from rhm_theory.models.grammar import Grammar

FLOOR = -300.0  # the least log likelihood beside a leaf's largest, so that no product is 0


@dataclasses.dataclass(frozen=True, eq=False)
class DrawnGrammar:
    """Bayes' posterior of pictures that :func:`rhm_theory.denoisers.images.data.drawn` made.

    Attributes:
        grammar: of the strings.
        name: what the posterior is called.
    """

    grammar: Grammar
    name: str = "exact posterior"

    def likelihood(
        self, noised: Float[np.ndarray, "batch side side"], time: float
    ) -> Float[np.ndarray, "batch length vocabulary"]:
        """Of each leaf the likelihood of its symbols, with 1 as the largest."""
        signal, noise = mixtures.scales(time)
        glyphs = 2.0 * data.GLYPHS[: self.grammar.vocabulary].reshape(-1, 1, 4) - 1
        patches = leaf_patches(noised, self.grammar.length)
        squares = ((patches[:, :, None] - signal * glyphs[:, 0]) ** 2).sum(-1)
        logs = -squares / (2 * noise**2)
        return np.exp(np.maximum(logs - logs.max(-1, keepdims=True), FLOOR))

    def denoised(
        self, noised: Float[np.ndarray, "batch side side"], time: float
    ) -> Float[np.ndarray, "batch side side"]:
        """The mean of the clean picture given the noised one, at ``time`` in (0, 1]."""
        likelihood = jnp.asarray(self.likelihood(noised, time))
        share = np.asarray(marginals(self.grammar, likelihood)[0])
        every = [np.full(self.grammar.length, symbol) for symbol in range(share.shape[-1])]
        symbols = leaf_patches(data.drawn(np.array(every)), self.grammar.length)
        patches = np.einsum("nls,slp->nlp", share, symbols)
        return _pictures(patches, noised.shape)

    def sample_posterior(
        self, key: jax.Array, noised: Float[np.ndarray, "batch side side"], time: float
    ) -> Draws:
        """One exact sample for each noised picture; its component is the root's symbol."""
        likelihood = jnp.asarray(self.likelihood(noised, time))
        tree = sample_posterior(key, self.grammar, likelihood)
        return Draws(pictures=data.drawn(np.asarray(tree.leaves)), component=np.asarray(tree.root))


def leaf_patches(
    pictures: Float[np.ndarray, "batch side side"], length: int
) -> Float[np.ndarray, "batch length 4"]:
    """The pixels of each leaf's glyph, in the order of the leaves."""
    cells = pictures.shape[-1] // data.GLYPH_SIDE
    if cells**2 != length:
        raise ValueError(
            f"noised must be pictures of {length} glyphs of 2 x 2 pixels, got {pictures.shape[1:]}"
        )
    blocks = pictures.reshape(len(pictures), cells, 2, cells, 2).swapaxes(2, 3)
    return blocks.reshape(len(pictures), length, 4)[:, data.leaf_places(length)]


def _pictures(
    patches: Float[np.ndarray, "batch length 4"], shape: tuple[int, ...]
) -> Float[np.ndarray, "batch side side"]:
    """The inverse of :func:`leaf_patches`."""
    grid = np.empty_like(patches)
    grid[:, data.leaf_places(patches.shape[1])] = patches
    cells = shape[-1] // data.GLYPH_SIDE
    return grid.reshape(len(patches), cells, cells, 2, 2).swapaxes(2, 3).reshape(shape)
