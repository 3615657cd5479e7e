"""The whole measurement of a model of text: every noise level, the model and its controls.

The estimators and the parts on disk are those of :mod:`rhm_theory.denoisers.sequences`. Text gives
them windows of held-out chapters, and chains and flat mixtures as controls. Numbers are computed
from the parts afterwards (:mod:`rhm_theory.denoisers.text.report`).
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rhm_theory.denoisers.sampling import Conditional
from rhm_theory.denoisers.sequences import measurement
from rhm_theory.denoisers.sequences.measurement import MODEL, SAMPLED, Changes, Effort, Law
from rhm_theory.denoisers.text import encoded, ngrams
from rhm_theory.denoisers.text.encoded import TextData
from theory_common import checks

GROUPS = 6  # components of the mixture of chains of bigrams


class Study(NamedTuple):
    """The raw data of a measurement.

    Attributes:
        changes: the covariances. The groups are held-out chapters.
        word: the number of the word of each token of a start.
        boundary: whether a token contains the end of a clause.
        titles: of the held-out chapters.
    """

    changes: Changes
    word: np.ndarray
    boundary: np.ndarray
    titles: tuple[str, ...]


def study(
    seed: int,
    model: Conditional,
    length: int,
    data: TextData,
    levels: Sequence[float],
    effort: Effort,
    *,
    controls: Sequence[str] = (),
    folder: str | Path | None = None,
    shown: Callable[[str], None] = lambda text: None,
) -> Study:
    """Measure a model and controls at every level.

    Args:
        seed: of starts' masks and of the sampler. Model and controls have the same masks.
        model: a conditional of the data's tokens.
        length: tokens of a start.
        data: the text that the model was trained on; starts come from its held-out chapters.
        levels: of the noise, each in (0, 1].
        effort: how much.
        controls: names of :data:`CONTROLS`.
        folder: keeps the parts, so that a stopped measurement goes on.
        shown: is called with the name of each part before it is computed.

    Raises: ``TypeError`` or ``ValueError`` that names the argument; ``OSError`` if a part cannot be
        written.
    """
    effort = measurement.checked_effort(effort)
    starts = encoded.starts(data.held_out, length, effort.starts)
    if len(set(starts.chapter.tolist())) < 2:
        raise ValueError(
            "starts must be from at least 2 held-out chapters, since errors are over chapters, "
            f"got {len(starts.chapter)} from {len(set(starts.chapter.tolist()))}"
        )
    found = measurement.measured(
        seed,
        _laws(model, data, effort, controls),
        starts.tokens,
        starts.chapter,
        levels,
        vocabulary=data.vocabulary,
        about=data.encoding,
        folder=folder,
        shown=shown,
    )
    encoding = encoded.encoding_of(data)
    return Study(
        changes=found,
        word=encoded.words(encoding, starts.tokens),
        boundary=encoded.ends(encoding)[starts.tokens],
        titles=data.held_out_titles,
    )


def arrays(found: Study) -> Iterator[tuple[str, np.ndarray]]:
    """The raw data under the names of an ``.npz`` file. Groups are chapters."""
    yield from measurement.arrays(found.changes)
    yield "word", found.word
    yield "boundary", found.boundary
    yield "titles", np.array(found.titles)


def _laws(
    model: Conditional, data: TextData, effort: Effort, controls: Sequence[str]
) -> dict[str, Law]:
    weights = measurement.weights_of(model)
    forced = effort._replace(trajectories=0)
    laws = {MODEL: Law(lambda: model, forced, weights)}
    if effort.trajectories:
        few = effort._replace(starts=max(effort.starts // 2, 2), masks=2, columns=0)
        laws[SAMPLED] = Law(lambda: model, few, weights)
    for name in controls:
        make = CONTROLS[checks.choice("controls", name, CONTROLS)]
        laws[name] = make(data, forced)
    return laws


def _bigrams(data: TextData, effort: Effort) -> Law:
    @functools.cache
    def conditional() -> Conditional:
        return ngrams.bigram_conditional(ngrams.fit(data.training, data.vocabulary))

    return Law(conditional, effort)


def _trigrams(data: TextData, effort: Effort) -> Law:
    @functools.cache
    def conditional() -> Conditional:
        return ngrams.trigram_conditional(ngrams.fit(data.training, data.vocabulary))

    return Law(conditional, _less(effort))


def _mixture_of_unigrams(data: TextData, effort: Effort) -> Law:
    @functools.cache
    def conditional() -> Conditional:
        groups = [[chapter] for chapter in data.training]
        return ngrams.mixture_of_unigrams(groups, data.vocabulary)

    return Law(conditional, effort)


def _mixture_of_bigrams(data: TextData, effort: Effort) -> Law:
    @functools.cache
    def conditional() -> Conditional:
        ends = np.cumsum([len(chapter) for chapter in data.training])
        group = np.minimum((ends - 1) * GROUPS // ends[-1], GROUPS - 1)
        groups = [
            [chapter for chapter, its in zip(data.training, group, strict=True) if its == one]
            for one in np.unique(group)
        ]
        return ngrams.mixture_of_bigrams(groups, data.vocabulary)

    return Law(conditional, _less(effort))


def _less(effort: Effort) -> Effort:
    """The effort of a control that takes long."""
    return effort._replace(
        starts=max(effort.starts // 2, 2), masks=2, columns=min(effort.columns, 3)
    )


CONTROLS: dict[str, Callable[[TextData, Effort], Law]] = {
    "mixture of unigrams": _mixture_of_unigrams,
    "bigrams": _bigrams,
    "mixture of bigrams": _mixture_of_bigrams,
    "trigrams": _trigrams,
}
