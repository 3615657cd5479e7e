"""Pictures for the denoisers: digits, Fashion-MNIST, and strings of a grammar drawn as pictures.

All pixels lie in [-1, 1]. Validation pictures serve as starts and for the denoising loss. Nothing
is fitted to them.
"""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from rhm_theory.models.grammar import Grammar
from theory_common import checks, idx

DIGITS_TRAIN = 1400
# The words of length 4 with an even number of ones: any two differ in at least two pixels.
GLYPHS = np.array([word for word in np.ndindex(2, 2, 2, 2) if sum(word) % 2 == 0])
GLYPH_SIDE = 2


class Pictures(NamedTuple):
    """Square pictures with classes.

    Attributes:
        name: what they are called.
        train: in float32, pixels in [-1, 1].
        train_labels: whole numbers from 0.
        validation: pictures that nothing is fitted to.
        validation_labels: their classes.
        classes: how many there are.
    """

    name: str
    train: Float[np.ndarray, "n side side"]
    train_labels: Int[np.ndarray, " n"]
    validation: Float[np.ndarray, "v side side"]
    validation_labels: Int[np.ndarray, " v"]
    classes: int

    @property
    def side(self) -> int:
        """Pixels along one side."""
        return self.train.shape[-1]


def digits(split: int = 0) -> Pictures:
    """scikit-learn's digits, 8 x 8 pixels: 1,400 pictures for training, 397 for validation.

    Args: split: the seed of NumPy's generator that splits the pictures.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(split).permutation(len(found.target))
    pixels = (found.images[order] / 8 - 1).astype(np.float32)
    return _split("digits", pixels, found.target[order], DIGITS_TRAIN)


def fashion(folder: str | Path = idx.FASHION) -> Pictures:
    """Fashion-MNIST, the mean of each 2 x 2 pixels, 14 x 14: 60,000 and 10,000 pictures.

    Args: folder: with the four idx files, as they are or packed with gzip.
    Raises: ``FileNotFoundError`` if the folder lacks a file; it says how to get them.
    """
    parts = {}
    for name in ("train", "t10k"):
        images = idx.read(idx.find(folder, f"{name}-images-idx3-ubyte"))
        pooled = images.reshape(len(images), 14, 2, 14, 2).mean((2, 4))
        labels = idx.read(idx.find(folder, f"{name}-labels-idx1-ubyte"))
        parts[name] = ((pooled / 127.5 - 1).astype(np.float32), labels.astype(np.int32))
    pictures, labels = (np.concatenate(both) for both in zip(*parts.values(), strict=True))
    return _split("fashion", pictures, labels, len(parts["train"][0]))


def of_grammar(
    key: jax.Array, grammar: Grammar, *, train: int = 20_000, validation: int = 2_000
) -> Pictures:
    """Strings of a grammar, drawn by :func:`drawn`; the class is the root's symbol.

    Args:
        key: of the strings.
        grammar: a vocabulary of at most 8 symbols, branching 2 and an even depth.
        train, validation: numbers of pictures.
    Raises: ``ValueError`` for another grammar.
    """
    if grammar.vocabulary > len(GLYPHS) or grammar.branching != 2 or grammar.depth % 2:
        raise ValueError(
            f"grammar must have at most {len(GLYPHS)} symbols, branching 2 and an even depth, "
            f"got {grammar}"
        )
    trees = grammar.sample(key, (checks.whole("train", train, least=1) + validation,))
    labels = np.asarray(trees.root, np.int32)
    return _split("grammar", drawn(np.asarray(trees.leaves)), labels, train)


def drawn(leaves: Int[np.ndarray, "*batch length"]) -> Float[np.ndarray, "*batch side side"]:
    """Strings as pictures: the symbol of each leaf is a fixed glyph of 2 x 2 pixels.

    The two children of a node lie side by side, those of its children one above the other, and so
    on. So each node of an even level is a square.

    Args: leaves: symbols below 8, the length a power of 4.
    """
    places = leaf_places(leaves.shape[-1])
    grid = np.empty_like(leaves)
    grid[..., places] = leaves
    cells = round(leaves.shape[-1] ** 0.5)
    glyphs = 2 * GLYPHS[grid] - 1
    blocks = glyphs.reshape(*leaves.shape[:-1], cells, cells, GLYPH_SIDE, GLYPH_SIDE)
    side = cells * GLYPH_SIDE
    return np.moveaxis(blocks, -2, -3).reshape(*leaves.shape[:-1], side, side).astype(np.float32)


def leaf_places(length: int) -> Int[np.ndarray, " length"]:
    """Where each leaf lies in the grid, numbered row by row.

    The binary digits of a leaf's number, first to last, choose the side of a column, a row, a
    column, and so on.
    """
    bits = length.bit_length() - 1
    if length != 2**bits or bits % 2:
        raise ValueError(f"length must be a power of 4, got {length}")
    digits = (np.arange(length)[:, None] >> np.arange(bits)[::-1]) & 1
    weights = 2 ** np.arange(bits // 2)[::-1]
    return (digits[:, 1::2] @ weights) * 2 ** (bits // 2) + digits[:, ::2] @ weights


def _split(name: str, pictures: np.ndarray, labels: np.ndarray, train: int) -> Pictures:
    labels = labels.astype(np.int32)
    return Pictures(
        name=name,
        train=pictures[:train],
        train_labels=labels[:train],
        validation=pictures[train:],
        validation_labels=labels[train:],
        classes=int(labels.max()) + 1,
    )
