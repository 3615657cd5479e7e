"""Features brought to mean 0 and variance 1, and what is measured afterwards."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

BLOCK = 2048  # rows that are in the caches at once


class Moments(NamedTuple):
    """Mean, variance, smallest and largest value of each column."""

    mean: Float[np.ndarray, " d"]
    variance: Float[np.ndarray, " d"]
    lowest: Float[np.ndarray, " d"]
    highest: Float[np.ndarray, " d"]


def moments(features: Float[np.ndarray, "n d"], rows: Bool[np.ndarray, " n"]) -> Moments:
    """The moments of some rows, in two passes over blocks.

    The variance is that of the centred values, less the square of what their mean is off.
    """
    count = int(np.sum(rows))
    parts = [
        (np.sum(block, 0), np.min(block, 0), np.max(block, 0)) for block in _blocks(features, rows)
    ]
    sums, lowest, highest = (np.array(part) for part in zip(*parts, strict=True))
    mean = np.sum(sums, 0) / count
    squares, rest = np.zeros_like(mean), np.zeros_like(mean)
    for block in _blocks(features, rows):
        centred = block - mean
        rest += np.sum(centred, 0)
        squares += np.einsum("nd,nd->d", centred, centred)
    variance = np.maximum(squares - rest**2 / count, 0) / count
    return Moments(mean, variance, np.min(lowest, 0), np.max(highest, 0))


def scale_of(found: Moments, count: int) -> Float[np.ndarray, " d"]:
    """What to divide by. A column whose variance may be rounding keeps its scale.

    Source: Chan, Golub and LeVeque, 1983, as in scikit-learn.
    """
    eps = np.finfo(found.mean.dtype).eps
    rounding = found.variance <= count * eps * found.variance + (count * found.mean * eps) ** 2
    return np.where(rounding, 1.0, np.sqrt(found.variance))


def scale_in_place(
    features: Float[np.ndarray, "n d"],
    mean: Float[np.ndarray, " d"],
    scale: Float[np.ndarray, " d"],
) -> None:
    """Subtract the mean and divide by the scale, without another array of that size."""
    for start in range(0, len(features), BLOCK):
        block = features[start : start + BLOCK]
        block -= mean
        block /= scale


def scaled(
    features: Float[np.ndarray, "n d"], fitted_on: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, "n d"]:
    """What scikit-learn's ``StandardScaler``, fitted on these rows, returns to the last digit."""
    fitted = features[fitted_on]
    count = len(fitted)
    mean = np.sum(fitted, axis=0) / count
    centred = fitted - mean
    squares = np.sum(centred**2, axis=0) - np.sum(centred, axis=0) ** 2 / count
    found = Moments(mean, squares / count, mean, mean)
    return (features - mean) / scale_of(found, count)


def _blocks(
    features: Float[np.ndarray, "n d"], rows: Bool[np.ndarray, " n"]
) -> Iterator[Float[np.ndarray, "b d"]]:
    for start in range(0, len(features), BLOCK):
        chosen = rows[start : start + BLOCK]
        if chosen.all():
            yield features[start : start + BLOCK]
        elif chosen.any():
            yield features[start : start + BLOCK][chosen]
