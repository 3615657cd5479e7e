r"""The forward-backward experiment on text, for a trained model and for controls, from raw data.

Each start is a window of a held-out chapter. Each token is hidden independently with probability t.
Let S be the shown tokens and :math:`n_i = 1` where token i, drawn anew, differs from the true one.
Two estimators see the backward part, the covariance of changes at a fixed mask:

* *teacher-forced*: :math:`\operatorname{Cov}(n_i, n_j \mid S) = p_j(S)\,(p_i(S+j) - p_i(S))`, for
  some columns j, without sampling;
* *sampled*: the sample covariance of several trajectories of the ancestral sampler.

The two agree for a conditional that belongs to a joint law. For a trained network they differ.

With :math:`v = \sum_i \operatorname{Var}(n_i \mid S)`, summed over starts and masks,

.. math:: \chi_B = \frac{\sum_{|i-j| \le r_{\max}} \operatorname{Cov}(n_i, n_j \mid S)}{v} .

Errors are clustered by chapter. The same masks and columns serve the model and all controls.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from rhm_theory.denoisers import sampling
from rhm_theory.denoisers.sampling import Conditional
from rhm_theory.denoisers.text.encoded import Starts
from rhm_theory.experiment import measure
from rhm_theory.experiment.measure import Estimate, Measurement, Sums
from theory_common import checks

BLOCK = 64  # sequences at once


class Pairs(NamedTuple):
    """Covariances of changes at one noise level, for each start s and mask m.

    Attributes:
        hidden: which tokens are hidden.
        columns: which tokens j covariances are known of.
        weight: hidden tokens over columns, by which sums over columns are multiplied.
        kept: probability of the true token, 1 where it is shown.
        variance: of the single changes, summed over the tokens.
        covariance: of token j of the columns with each token i; 0 where either is shown.
    """

    hidden: Bool[np.ndarray, "starts masks length"]
    columns: Int[np.ndarray, "starts masks columns"]
    weight: Float[np.ndarray, "starts masks"]
    kept: Float[np.ndarray, "starts masks length"]
    variance: Float[np.ndarray, "starts masks"]
    covariance: Float[np.ndarray, "starts masks columns length"]


class Masks(NamedTuple):
    """What is hidden of each start, and the columns of its covariances."""

    hidden: Bool[np.ndarray, "starts masks length"]
    columns: Int[np.ndarray, "starts masks columns"]
    weight: Float[np.ndarray, "starts masks"]


def masks(key: Array, starts: int, length: int, level: float, *, masks: int, columns: int) -> Masks:
    """Random masks and columns. The first starts have the same ones, however many follow.

    Args:
        key: of all random numbers.
        starts: how many.
        length: tokens of a start.
        level: probability t that a token is hidden, in (0, 1].
        masks: of each start, at least 1.
        columns: of each mask, at least 1; hidden tokens while there are any left.
    """
    seed = np.asarray(jax.random.key_data(checks.key("key", key)))
    masks = checks.whole("masks", masks, least=1)
    columns = min(checks.whole("columns", columns, least=1), length)
    drawn = np.random.default_rng(seed).random((starts, masks, 2, length))
    hidden = drawn[:, :, 0] < level
    chosen = np.argsort(np.where(hidden, drawn[:, :, 1], 2.0), -1)[..., :columns]
    count = hidden.sum(-1)
    weight = count / np.maximum(np.minimum(count, columns), 1)
    return Masks(hidden=hidden, columns=chosen.astype(np.int32), weight=weight)


def teacher_forced(
    conditional: Conditional,
    tokens: Int[np.ndarray, "starts length"],
    at: Masks,
    *,
    vocabulary: int,
    advance: Callable[[], None] = lambda: None,
) -> Pairs:
    """Covariances without sampling, by :func:`rhm_theory.denoisers.sampling.pair_covariance`.

    Args:
        conditional: a trained model or a control.
        tokens: the starts.
        at: masks and columns.
        vocabulary: the number of tokens.
        advance: is called after each block of ``BLOCK`` masks.
    """
    starts, count, length = at.hidden.shape
    true = np.repeat(tokens, count, 0)
    rows = (true, ~at.hidden.reshape(-1, length), at.columns.reshape(starts * count, -1))
    kept = []
    covariance = []
    for begin in range(0, len(true), BLOCK):
        block = [_filled_up(part[begin : begin + BLOCK]) for part in rows]
        found = sampling.pair_covariance(conditional, *block, vocabulary=vocabulary)
        size = len(true[begin : begin + BLOCK])
        kept.append(np.asarray(found.kept, np.float32)[:size])
        covariance.append(np.asarray(found.covariance, np.float32)[:size])
        advance()
    shape = (starts, count)
    own = np.concatenate(kept).reshape(*shape, length)
    return Pairs(
        hidden=at.hidden,
        columns=at.columns,
        weight=at.weight,
        kept=own,
        variance=(own * (1 - own)).sum(-1),
        covariance=np.concatenate(covariance).reshape(*shape, -1, length),
    )


def sampled(
    key: Array,
    conditional: Conditional,
    tokens: Int[np.ndarray, "starts length"],
    hidden: Bool[np.ndarray, "starts masks length"],
    *,
    vocabulary: int,
    trajectories: int,
    steps: int,
    advance: Callable[[], None] = lambda: None,
) -> Bool[np.ndarray, "starts masks trajectories length"]:
    """Which tokens changed, in trajectories of the ancestral sampler.

    Args:
        key: of the sampler.
        conditional: a trained model or a control.
        tokens: the starts.
        hidden: the masks.
        vocabulary: the number of tokens.
        trajectories: of each mask, at least 2.
        steps: of the sampler, at least 1.
        advance: is called after each block of ``BLOCK`` trajectories.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    trajectories = checks.whole("trajectories", trajectories, least=2)
    steps = checks.whole("steps", steps, least=1)
    true = tokens[:, None, None]
    shape = (*hidden.shape[:2], trajectories, hidden.shape[2])
    seen = np.broadcast_to(np.where(hidden[:, :, None], vocabulary, true), shape)
    rows = seen.reshape(-1, shape[-1])
    sampler = functools.partial(sampling.ancestral, steps=steps)
    found = []
    for number, begin in enumerate(range(0, len(rows), BLOCK)):
        block = _filled_up(rows[begin : begin + BLOCK])
        drawn = sampler(jax.random.fold_in(key, number), conditional, block)
        found.append(np.asarray(drawn)[: len(rows[begin : begin + BLOCK])])
        advance()
    return np.concatenate(found).reshape(shape) != true


def from_changes(
    changed: Bool[np.ndarray, "starts masks trajectories length"],
    hidden: Bool[np.ndarray, "starts masks length"],
) -> Pairs:
    """The unbiased covariances of sampled trajectories, with every token as a column."""
    deviation = changed - changed.mean(2, keepdims=True)
    covariance = np.einsum("smki,smkj->smij", deviation, deviation) / (changed.shape[2] - 1)
    every = np.broadcast_to(np.arange(hidden.shape[-1], dtype=np.int32), hidden.shape)
    return Pairs(
        hidden=hidden,
        columns=every,
        weight=np.ones(hidden.shape[:2]),
        kept=1 - changed.mean(2),
        variance=np.einsum("smii->sm", covariance),
        covariance=covariance,
    )


def pair_sums(
    pairs: Pairs, allowed: Bool[np.ndarray, "starts length length"] | None = None
) -> Sums:
    """The sums of each start, averaged over its masks, as :func:`measure.measurement` takes them.

    Args:
        pairs: covariances.
        allowed: which pairs of different tokens count; all by default.
    """
    starts, count, length = pairs.hidden.shape
    site = np.arange(length)
    distance = np.abs(site - pairs.columns[..., None])
    values = pairs.covariance * pairs.weight[..., None, None]
    if allowed is not None:
        first = np.arange(starts)[:, None, None]
        values = values * (allowed[first, pairs.columns] | (distance == 0))
    found = np.stack(
        [
            np.bincount(d.ravel(), weights=v.ravel(), minlength=length)
            for d, v in zip(distance, values, strict=True)
        ]
    ) / (2 * count)
    found[:, 0] = pairs.variance.mean(1)
    return Sums(pair_sums=found, mean=(1 - pairs.kept).sum(-1).mean(1))


def measured(
    pairs: Pairs,
    starts: Starts,
    *,
    r_max: int | None = None,
    allowed: Bool[np.ndarray, "starts length length"] | None = None,
) -> Measurement:
    """C(r), the backward susceptibility and lengths, with errors clustered by chapter.

    Args:
        pairs: covariances.
        starts: with their chapters.
        r_max: the largest distance that counts; all by default.
        allowed: which pairs of different tokens count; all by default.

    Raises: ``ValueError`` that names ``r_max``.
    """
    chapter = starts.chapter[: len(pairs.hidden)]
    return measure.measurement(pair_sums(pairs, allowed), r_max=r_max, groups=chapter)


def mask_part(pairs: Pairs, starts: Starts) -> Estimate:
    """Var(E[N | mask]) over the sum of the tokens' own such variances. NaN where masks are equal.

    Needs at least 2 masks of each start.
    """
    changed = 1 - pairs.kept
    chapter = starts.chapter[: len(changed)]
    if changed.shape[1] < 2:
        unknown = np.full(len(changed), np.nan)
        return measure.ratio(unknown, np.ones(len(changed)), chapter)
    whole = changed.sum(-1).var(1, ddof=1)
    single = changed.var(1, ddof=1).sum(-1)
    same = np.ptp(pairs.hidden.sum(-1)) == 0 and pairs.hidden.all()
    return measure.ratio(whole, np.zeros_like(single) if same else single, chapter)


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
    starts: Starts,
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
        starts: with their chapters.
        boundary: True at tokens with punctuation.
        word: the number of the word of each token.
        r_max: the largest distance.
        shuffles: how many.

    Raises: ``ValueError`` if no pair lies across a boundary, or none lies within a clause.
    """
    count = len(pairs.hidden)
    chapter = starts.chapter[:count]
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
    distance = np.abs(np.arange(length) - pairs.columns[..., None])
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


def _filled_up(rows: np.ndarray) -> np.ndarray:
    """The rows, repeated up to a whole block, so that only one shape is compiled."""
    return rows if len(rows) == BLOCK else np.resize(rows, (BLOCK, *rows.shape[1:]))
