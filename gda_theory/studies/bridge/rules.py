r"""Rules that say whether to use a run, fixed on one group of forget sets and judged on another.

A *rule* uses a run where a predictor is at most a threshold. For "at least", the predictor is
negated. A rule with the threshold -infinity never uses it. One with +infinity always does.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

NEVER, ALWAYS = -np.inf, np.inf


class Fitted(NamedTuple):
    """The best threshold of one predictor, and the mean gain with it where it was fitted."""

    threshold: Float[np.ndarray, "*b"]
    gain: Float[np.ndarray, "*b"]


class Choice(NamedTuple):
    """The best rule of all predictors: which column, its threshold, and its mean gain."""

    column: Int[np.ndarray, "*b"]
    threshold: Float[np.ndarray, "*b"]
    gain: Float[np.ndarray, "*b"]


def fitted(values: Float[np.ndarray, "*b m"], gains: Float[np.ndarray, "*b m"]) -> Fitted:
    """The threshold of the largest mean gain, the smallest of several.

    It is a value that occurs, or -infinity for never, or +infinity where all are used. Equal values
    are used together. An unknown value (NaN) is never used.
    """
    known = ~np.isnan(values)
    order = np.argsort(values, axis=-1, kind="stable")  # NaN comes last
    ranked = np.take_along_axis(values, order, -1)
    summed = np.cumsum(np.take_along_axis(np.where(known, gains, 0.0), order, -1), axis=-1)
    # A threshold stands behind the last of equal values.
    last = np.concatenate(
        [ranked[..., 1:] != ranked[..., :-1], np.ones((*ranked.shape[:-1], 1), bool)], axis=-1
    )
    possible = np.where(last & ~np.isnan(ranked), summed, -np.inf)
    nothing = np.zeros((*possible.shape[:-1], 1))
    totals = np.concatenate([nothing, possible], axis=-1)
    everything = np.where(np.all(known, -1, keepdims=True), ALWAYS, ranked[..., -1:])
    thresholds = np.concatenate([nothing + NEVER, ranked[..., :-1], everything], axis=-1)
    best = np.argmax(totals, axis=-1)[..., None]
    return Fitted(
        threshold=np.take_along_axis(thresholds, best, -1)[..., 0],
        gain=np.take_along_axis(totals, best, -1)[..., 0] / values.shape[-1],
    )


def chosen(values: Float[np.ndarray, "*b m c"], gains: Float[np.ndarray, "*b m"]) -> Choice:
    """The rule of the largest mean gain over all columns.

    Column ``c + p`` is column p negated, so that "at least" is a rule as well.
    """
    both = np.moveaxis(np.concatenate([values, -values], axis=-1), -1, 0)
    found = [fitted(column, gains) for column in both]
    gain = np.stack([one.gain for one in found])
    best = np.argmax(gain, axis=0)[None]
    thresholds = np.stack([one.threshold for one in found])
    return Choice(
        column=best[0],
        threshold=np.take_along_axis(thresholds, best, 0)[0],
        gain=np.take_along_axis(gain, best, 0)[0],
    )


def applied(
    choice: Choice, values: Float[np.ndarray, "*b m c"], gains: Float[np.ndarray, "*b m"]
) -> Float[np.ndarray, "*b"]:
    """The mean gain of a rule on these forget sets."""
    both = np.concatenate([values, -values], axis=-1)
    column = np.take_along_axis(both, choice.column[..., None, None], axis=-1)[..., 0]
    return np.mean(np.where(column <= choice.threshold[..., None], gains, 0.0), axis=-1)


class Judged(NamedTuple):
    """What a rule that was fixed on one data set gains on another; low and high as asked for.

    * ``column``, ``threshold``, ``fitted_gain``: the rule, and its gain where it was fixed.
    * ``gain``: its mean gain elsewhere. ``used``: the share of sets for which it says yes there.
    * ``always``: the gain of always using the run there. ``possible``: that of knowing each gain.
    * ``excess``: the gain over the better one of always and never.
    """

    column: int
    threshold: float
    fitted_gain: float
    gain: Float[np.ndarray, "3"]
    used: float
    always: Float[np.ndarray, "3"]
    excess: Float[np.ndarray, "3"]
    possible: float


def judged(
    here: tuple[np.ndarray, np.ndarray],
    there: tuple[np.ndarray, np.ndarray],
    drawn: tuple[Int[np.ndarray, "replicates m"], Int[np.ndarray, "replicates m"]],
    coverage: float,
) -> Judged:
    """Fix a rule here, and judge it there; three numbers are value, low and high.

    Args:
        here, there: values ``(m, c)`` of the predictors and gains ``(m,)``.
        drawn: the rows of both in each replicate of the bootstrap, see :func:`nested`.
        coverage: of the intervals.
    """
    rule = chosen(*here)
    both = np.concatenate([there[0], -there[0]], axis=-1)
    again = chosen(here[0][drawn[0]], here[1][drawn[0]])
    gains = there[1][drawn[1]]
    replicates = applied(again, there[0][drawn[1]], gains)
    constant = np.mean(gains, axis=-1)
    gain, always = float(applied(rule, *there)), float(np.mean(there[1]))

    def interval(value, samples):
        tails = 50 * (1 - coverage), 50 * (1 + coverage)
        return np.array([value, *np.percentile(samples, tails)])

    return Judged(
        column=int(rule.column),
        threshold=float(rule.threshold),
        fitted_gain=float(rule.gain),
        gain=interval(gain, replicates),
        used=float(np.mean(both[:, int(rule.column)] <= rule.threshold)),
        always=interval(always, constant),
        excess=interval(gain - max(always, 0.0), replicates - np.maximum(constant, 0)),
        possible=float(np.mean(np.maximum(there[1], 0))),
    )


def nested(
    groups: Sequence, replicates: int, generator: np.random.Generator
) -> Int[np.ndarray, "replicates m"]:
    """Rows drawn with replacement: first groups, then rows within each drawn group.

    Raises: ``ValueError`` if the groups differ in size.
    """
    names, sizes = np.unique(groups, return_counts=True)
    if len(set(sizes.tolist())) > 1:
        raise ValueError(f"groups must have equal sizes, got {sizes.tolist()}")
    members = np.stack([np.flatnonzero(np.asarray(groups) == name) for name in names])
    which = generator.integers(len(names), size=(replicates, len(names)))
    inside = generator.integers(sizes[0], size=(replicates, len(names), sizes[0]))
    return members[which[:, :, None], inside].reshape(replicates, -1)
