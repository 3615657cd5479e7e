r"""The forward-backward experiment on sequences: covariances of changes, and numbers from them.

Each start is a sequence. Each token is hidden independently with probability t. Let S be the shown
tokens and :math:`n_i = 1` where token i, drawn anew, differs from the true one.
Two estimators see the backward part, the covariance of changes at a fixed mask:

* *teacher-forced*: :math:`\operatorname{Cov}(n_i, n_j \mid S) = p_j(S)\,(p_i(S+j) - p_i(S))`, for
  some columns j, without sampling;
* *sampled*: the sample covariance of several trajectories of a sampler.

The two agree for a conditional that belongs to a joint law. For a trained network they differ.

With :math:`v = \sum_i \operatorname{Var}(n_i \mid S)`, summed over starts and masks,

.. math:: \chi_B = \frac{\sum_{|i-j| \le r_{\max}} \operatorname{Cov}(n_i, n_j \mid S)}{v} .

Errors are clustered: the starts of one group, such as a chapter of a text, count as one. The same
masks and columns serve the model and all controls.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from rhm_theory.denoisers import sampling
from rhm_theory.denoisers.sampling import Conditional
from rhm_theory.experiment import measure
from rhm_theory.experiment.measure import Estimate, Groups, Measurement, Sums
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


def sampled_tokens(
    key: Array,
    conditional: Conditional,
    tokens: Int[np.ndarray, "starts length"],
    hidden: Bool[np.ndarray, "starts masks length"],
    *,
    vocabulary: int,
    trajectories: int,
    steps: int | None,
    advance: Callable[[], None] = lambda: None,
) -> Int[np.ndarray, "starts masks trajectories length"]:
    """Trajectories of a sampler: the starts with their hidden tokens drawn anew.

    Args:
        key: of the sampler.
        conditional: a trained model or a control.
        tokens: the starts.
        hidden: the masks.
        vocabulary: the number of tokens.
        trajectories: of each mask, at least 1.
        steps: of the ancestral sampler, at least 1. With None tokens are revealed one at a time.
        advance: is called after each block of ``BLOCK`` trajectories.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    trajectories = checks.whole("trajectories", trajectories, least=1)
    true = tokens[:, None, None]
    shape = (*hidden.shape[:2], trajectories, hidden.shape[2])
    seen = np.broadcast_to(np.where(hidden[:, :, None], vocabulary, true), shape)
    rows = seen.reshape(-1, shape[-1])
    sampler: sampling.Sampler = sampling.one_at_a_time
    if steps is not None:
        steps = checks.whole("steps", steps, least=1)
        sampler = functools.partial(sampling.ancestral, steps=steps)
    found = []
    for number, begin in enumerate(range(0, len(rows), BLOCK)):
        block = _filled_up(rows[begin : begin + BLOCK])
        drawn = sampler(jax.random.fold_in(key, number), conditional, block)
        found.append(np.asarray(drawn)[: len(rows[begin : begin + BLOCK])])
        advance()
    return np.concatenate(found).reshape(shape)


def sampled(
    key: Array,
    conditional: Conditional,
    tokens: Int[np.ndarray, "starts length"],
    hidden: Bool[np.ndarray, "starts masks length"],
    *,
    vocabulary: int,
    trajectories: int,
    steps: int | None,
    advance: Callable[[], None] = lambda: None,
) -> Bool[np.ndarray, "starts masks trajectories length"]:
    """Which tokens changed, in at least 2 trajectories; arguments as :func:`sampled_tokens` has."""
    found = sampled_tokens(
        key,
        conditional,
        tokens,
        hidden,
        vocabulary=vocabulary,
        trajectories=checks.whole("trajectories", trajectories, least=2),
        steps=steps,
        advance=advance,
    )
    return found != tokens[:, None, None]


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


def sums_by(
    pairs: Pairs,
    kind: Int[np.ndarray, "length length"],
    allowed: Bool[np.ndarray, "starts length length"] | None = None,
) -> Float[np.ndarray, "starts kinds"]:
    """Covariances summed over the ordered pairs (i, j) of each kind, averaged over the masks.

    Args:
        pairs: covariances.
        kind: a number from 0 for each pair, the same for (i, j) and (j, i).
        allowed: which pairs of different tokens count; all by default.
    """
    starts, count, length = pairs.hidden.shape
    of_pair = kind[pairs.columns]
    values = pairs.covariance * pairs.weight[..., None, None]
    if allowed is not None:
        first = np.arange(starts)[:, None, None]
        itself = pairs.columns[..., None] == np.arange(length)
        values = values * (allowed[first, pairs.columns] | itself)
    return (
        np.stack(
            [
                np.bincount(k.ravel(), weights=v.ravel(), minlength=int(kind.max()) + 1)
                for k, v in zip(of_pair, values, strict=True)
            ]
        )
        / count
    )


def distances(length: int) -> Int[np.ndarray, "length length"]:
    """The distance of each pair of tokens."""
    site = np.arange(length)
    return np.abs(site[:, None] - site)


def pair_sums(
    pairs: Pairs, allowed: Bool[np.ndarray, "starts length length"] | None = None
) -> Sums:
    """The sums of each start, averaged over its masks, as :func:`measure.measurement` takes them.

    Args:
        pairs: covariances.
        allowed: which pairs of different tokens count; all by default.
    """
    found: Any = sums_by(pairs, distances(pairs.hidden.shape[-1]), allowed) / 2
    found[:, 0] = pairs.variance.mean(1)
    return Sums(pair_sums=found, mean=(1 - pairs.kept).sum(-1).mean(1))


def measured(
    pairs: Pairs,
    groups: Groups,
    *,
    r_max: int | None = None,
    allowed: Bool[np.ndarray, "starts length length"] | None = None,
) -> Measurement:
    """C(r), the backward susceptibility and lengths, with errors clustered by group.

    Args:
        pairs: covariances.
        groups: a label for each start; more labels than starts are left out.
        r_max: the largest distance that counts; all by default.
        allowed: which pairs of different tokens count; all by default.

    Raises: ``ValueError`` that names ``r_max``.
    """
    own = np.asarray(groups)[: len(pairs.hidden)]
    return measure.measurement(pair_sums(pairs, allowed), r_max=r_max, groups=own)


def mask_part(pairs: Pairs, groups: Groups) -> Estimate:
    """Var(E[N | mask]) over the sum of the tokens' own such variances. NaN where masks are equal.

    Needs at least 2 masks of each start.

    Args:
        pairs: covariances.
        groups: a label for each start; more labels than starts are left out.
    """
    changed = 1 - pairs.kept
    own = np.asarray(groups)[: len(changed)]
    if changed.shape[1] < 2:
        unknown = np.full(len(changed), np.nan)
        return measure.ratio(unknown, np.ones(len(changed)), own)
    whole = changed.sum(-1).var(1, ddof=1)
    single = changed.var(1, ddof=1).sum(-1)
    same = np.ptp(pairs.hidden.sum(-1)) == 0 and pairs.hidden.all()
    return measure.ratio(whole, np.zeros_like(single) if same else single, own)


def _filled_up(rows: np.ndarray) -> np.ndarray:
    """The rows, repeated up to a whole block, so that only one shape is compiled."""
    return rows if len(rows) == BLOCK else np.resize(rows, (BLOCK, *rows.shape[1:]))
