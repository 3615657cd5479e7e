"""Do changes in text keep to clauses? Covariances within a clause against those across its end."""

from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jaxtyping import Bool, Int

from rhm_theory.denoisers.sequences.backward import Pairs, distances
from rhm_theory.experiment import measure
from rhm_theory.experiment.measure import Estimate, Groups
from theory_common import checks


def different_words(word: Int[np.ndarray, "starts length"]) -> Bool[np.ndarray, "starts l l"]:
    """Pairs of tokens that belong to two words."""
    return word[:, :, None] != word[:, None, :]


class Clauses(NamedTuple):
    """Whether changes keep to a clause: mean covariances of pairs at distances 2 .. r_max.

    At each distance, pairs with no boundary between them are compared with pairs across a boundary,
    and the differences are averaged over the distances. The control takes the boundaries of other
    windows. A difference of 0 says that boundaries do not matter.

    Attributes:
        difference: with the true boundaries, over the mean variance of a hidden token.
        shuffled: the same with boundaries of other windows, a mean over shuffles.
        excess: the first minus the second, with errors clustered by chapter.
        p_value: share of the shuffles, and the truth, whose difference is at least the true one.
    """

    difference: float
    shuffled: float
    excess: Estimate
    p_value: float


def clauses(
    key: Array,
    pairs: Pairs,
    groups: Groups,
    boundary: Bool[np.ndarray, "starts length"],
    word: Int[np.ndarray, "starts length"],
    *,
    r_max: int = 10,
    shuffles: int = 199,
) -> Clauses:
    """Compare covariances within clauses with those across boundaries.

    A boundary lies after a token with punctuation. Pairs of one word are left out, and pairs in
    which a token has punctuation itself.

    Args:
        key: of the shuffles.
        pairs: covariances.
        groups: the chapter of each start.
        boundary: True at tokens with punctuation.
        word: the number of the word of each token.
        r_max: the largest distance.
        shuffles: how many.

    Raises: ``ValueError`` if no pair lies across a boundary, or none lies within a clause.
    """
    count = len(pairs.hidden)
    chapter = np.asarray(groups)[:count]
    plain = different_words(word[:count]) & ~boundary[:count, :, None] & ~boundary[:count, None, :]
    seed = np.asarray(jax.random.key_data(checks.key("key", key)))
    generator = np.random.default_rng(seed)
    scale = pairs.variance.sum() / pairs.hidden.sum()

    def by_start(boundary) -> np.ndarray:
        """Sums and numbers of pairs within and across, (starts, 2, 2, distances)."""
        between = np.cumsum(boundary, -1)
        across = between[:, :, None] != between[:, None, :]
        return np.stack([_sums_of(pairs, plain & side, r_max) for side in (~across, across)], 1)

    true = by_start(boundary[:count])
    if not true.sum(0)[:, 1].sum(-1).all():
        raise ValueError("boundary must leave pairs within a clause and pairs across a boundary")
    other = [by_start(boundary[generator.permutation(count)]) for _ in range(shuffles)]
    values = np.array([_difference(one.mean(0)) for one in other])
    found = float(_difference(true.mean(0)))
    mean = np.mean(other, 0)
    excess = measure.jackknife(
        lambda both: (_difference(both[0]) - _difference(both[1])) / scale,
        np.stack([true, mean], 1),
        chapter,
    )
    return Clauses(
        difference=found / scale,
        shuffled=float(values.mean()) / scale,
        excess=excess,
        p_value=float((1 + (values >= found).sum()) / (1 + shuffles)),
    )


def _sums_of(pairs: Pairs, allowed: np.ndarray, r_max: int) -> np.ndarray:
    """Sums and numbers of hidden pairs of each start by distance 2 .. r_max, (starts, 2, r)."""
    starts, _, length = pairs.hidden.shape
    distance = distances(length)[pairs.columns]
    first = np.arange(starts)[:, None, None]
    hidden = (
        np.take_along_axis(pairs.hidden, pairs.columns, -1)[..., None] & pairs.hidden[:, :, None]
    )
    counts = allowed[first, pairs.columns] & hidden
    found = np.zeros((starts, 2, r_max - 1))
    for r in range(2, r_max + 1):
        here = counts & (distance == r)
        found[:, 0, r - 2] = (pairs.covariance * here).sum((1, 2, 3))
        found[:, 1, r - 2] = here.sum((1, 2, 3))
    return found


def _difference(sums: np.ndarray) -> np.ndarray:
    """Mean within minus mean across, averaged over the distances that have both."""
    (within, within_count), (across, across_count) = sums
    both = (within_count > 0) & (across_count > 0)
    safe = np.where(both, within_count, 1), np.where(both, across_count, 1)
    gap = np.where(both, within / safe[0] - across / safe[1], 0)
    weight = np.where(both, 1 / (1 / safe[0] + 1 / safe[1]), 0)
    return (gap * weight).sum() / max(weight.sum(), 1e-300)
