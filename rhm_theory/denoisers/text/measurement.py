"""The whole measurement of a model of text: every noise level, the model and its controls.

Each part, one level of one law, is kept in a folder as soon as it is computed, so that a stopped
measurement goes on. Numbers are computed from the parts afterwards
(:mod:`rhm_theory.denoisers.text.report`).
"""

import functools
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from rhm_theory.denoisers.sampling import Conditional
from rhm_theory.denoisers.text import backward, encoded, ngrams
from rhm_theory.denoisers.text.backward import Pairs
from rhm_theory.denoisers.text.encoded import Starts, TextData
from theory_common import checks
from theory_common.printing import files

MODEL = "model"
SAMPLED = "model, sampled"
FINEST = 10**6  # levels that differ by less share their random numbers
GROUPS = 6  # components of the mixture of chains of bigrams


class Effort(NamedTuple):
    """How much is measured at each noise level.

    Attributes:
        starts: windows of held-out text.
        masks: of each start, at least 2.
        columns: tokens of each mask whose covariances with all others are computed.
        trajectories: of each mask for the sampled estimator; 0 to leave it out.
        steps: of the sampler.
    """

    starts: int = 96
    masks: int = 4
    columns: int = 4
    trajectories: int = 4
    steps: int = 32


class Study(NamedTuple):
    """The raw data of a measurement.

    Attributes:
        levels: of the noise.
        starts: the windows and their chapters.
        word: the number of the word of each token of a start.
        boundary: whether a token contains the end of a clause.
        pairs: covariances by law, one entry a level.
        titles: of the held-out chapters.
    """

    levels: tuple[float, ...]
    starts: Starts
    word: np.ndarray
    boundary: np.ndarray
    pairs: dict[str, list[Pairs]]
    titles: tuple[str, ...]


class _Law(NamedTuple):
    """One law in the measurement, and how much of the effort it gets."""

    conditional: Callable[[], Conditional]
    starts: int
    masks: int
    columns: int


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
    effort = _checked(effort)
    level_of = _levels(levels)
    starts = encoded.starts(data.held_out, length, effort.starts)
    if len(set(starts.chapter.tolist())) < 2:
        raise ValueError(
            "starts must be from at least 2 held-out chapters, since errors are over chapters, "
            f"got {len(starts.chapter)} from {len(set(starts.chapter.tolist()))}"
        )
    laws = _laws(model, data, effort, controls)
    key = jax.random.key(checks.whole("seed", seed))
    pairs: dict[str, list[Pairs]] = {name: [] for name in laws}
    for level in level_of:
        for name, law in laws.items():
            # The same masks whatever other levels are measured.
            at_level = jax.random.fold_in(key, round(level * FINEST))
            trained = model if name in (MODEL, SAMPLED) else None
            about = f"{seed} {name} {level} {law[1:]} {data.encoding}"
            if name == SAMPLED:
                about += f" {effort.trajectories} {effort.steps}"
            place = _place(folder, about, starts, trained)
            found = _kept(place)
            if found is None:
                shown(f"{name}, {level:g} hidden")
                found = _part(name, at_level, law, starts, level, effort, data.vocabulary)
                _keep(place, found)
            pairs[name].append(found)
    encoding = encoded.encoding_of(data)
    return Study(
        levels=level_of,
        starts=starts,
        word=encoded.words(encoding, starts.tokens),
        boundary=encoded.ends(encoding)[starts.tokens],
        pairs=pairs,
        titles=data.held_out_titles,
    )


def arrays(found: Study) -> Iterator[tuple[str, np.ndarray]]:
    """The raw data under the names of an ``.npz`` file."""
    yield "levels", np.array(found.levels)
    yield "tokens", found.starts.tokens
    yield "chapter", found.starts.chapter
    yield "word", found.word
    yield "boundary", found.boundary
    yield "titles", np.array(found.titles)
    for name, parts in found.pairs.items():
        for level, part in zip(found.levels, parts, strict=True):
            for field, value in part._asdict().items():
                yield f"{name}/{level:g}/{field}", value


def _checked(effort: Effort) -> Effort:
    return Effort(
        starts=checks.whole("starts", effort.starts, least=2),
        masks=checks.whole("masks", effort.masks, least=2),
        columns=checks.whole("columns", effort.columns, least=1),
        trajectories=_trajectories(effort.trajectories),
        steps=checks.whole("steps", effort.steps, least=1),
    )


def _trajectories(value: int) -> int:
    if value == 1:
        raise ValueError("trajectories must be at least 2 for a covariance, or 0 for none, got 1")
    return checks.whole("trajectories", value)


def _levels(levels: Sequence[float]) -> tuple[float, ...]:
    found = np.atleast_1d(np.asarray(levels, float))
    checks.require("levels", found, lambda t: (t > 0) & (t <= 1), "in (0, 1]")
    if not found.size or len(set(found.tolist())) < found.size:
        raise ValueError(f"levels must be at least one, and different, got {found.tolist()}")
    return tuple(found.tolist())


def _laws(
    model: Conditional, data: TextData, effort: Effort, controls: Sequence[str]
) -> dict[str, _Law]:
    starts, masks, columns = effort[:3]
    laws = {MODEL: _Law(lambda: model, starts, masks, columns)}
    if effort.trajectories:
        laws[SAMPLED] = _Law(lambda: model, max(starts // 2, 2), 2, 0)
    for name in controls:
        make = CONTROLS[checks.choice("controls", name, CONTROLS)]
        laws[name] = make(data, effort)
    return laws


def _bigrams(data: TextData, effort: Effort) -> _Law:
    @functools.cache
    def conditional() -> Conditional:
        return ngrams.bigram_conditional(ngrams.fit(data.training, data.vocabulary))

    return _Law(conditional, *effort[:3])


def _trigrams(data: TextData, effort: Effort) -> _Law:
    @functools.cache
    def conditional() -> Conditional:
        return ngrams.trigram_conditional(ngrams.fit(data.training, data.vocabulary))

    return _Law(conditional, *_less(effort))


def _mixture_of_unigrams(data: TextData, effort: Effort) -> _Law:
    @functools.cache
    def conditional() -> Conditional:
        groups = [[chapter] for chapter in data.training]
        return ngrams.mixture_of_unigrams(groups, data.vocabulary)

    return _Law(conditional, *effort[:3])


def _mixture_of_bigrams(data: TextData, effort: Effort) -> _Law:
    @functools.cache
    def conditional() -> Conditional:
        ends = np.cumsum([len(chapter) for chapter in data.training])
        group = np.minimum((ends - 1) * GROUPS // ends[-1], GROUPS - 1)
        groups = [
            [chapter for chapter, its in zip(data.training, group, strict=True) if its == one]
            for one in np.unique(group)
        ]
        return ngrams.mixture_of_bigrams(groups, data.vocabulary)

    return _Law(conditional, *_less(effort))


def _less(effort: Effort) -> tuple[int, int, int]:
    """Starts, masks and columns of a control that takes long."""
    return max(effort.starts // 2, 2), 2, min(effort.columns, 3)


CONTROLS: dict[str, Callable[[TextData, Effort], _Law]] = {
    "mixture of unigrams": _mixture_of_unigrams,
    "bigrams": _bigrams,
    "mixture of bigrams": _mixture_of_bigrams,
    "trigrams": _trigrams,
}


def _part(name, key, law: _Law, starts: Starts, level: float, effort: Effort, vocabulary) -> Pairs:
    tokens = starts.tokens[: law.starts]
    for_masks, for_samples = jax.random.split(key)
    at = backward.masks(
        for_masks,
        len(tokens),
        tokens.shape[1],
        level,
        masks=law.masks,
        columns=max(law.columns, 1),
    )
    conditional = law.conditional()
    if name != SAMPLED:
        return backward.teacher_forced(conditional, tokens, at, vocabulary=vocabulary)
    changed = backward.sampled(
        for_samples,
        conditional,
        tokens,
        at.hidden,
        vocabulary=vocabulary,
        trajectories=effort.trajectories,
        steps=effort.steps,
    )
    return backward.from_changes(changed, at.hidden)


# --- parts on disk


def _place(
    folder: str | Path | None, about: str, starts: Starts, model: Conditional | None
) -> Path | None:
    """Where a part is kept, by a name that tells all parts apart. ``model`` is None for a control.

    So models of one corpus that are measured in one folder share the controls.
    """
    if folder is None:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(about.encode())
    digest.update(starts.tokens.tobytes())
    for leaf in jax.tree.leaves(getattr(model, "__self__", None)):
        digest.update(np.asarray(leaf).tobytes())
    return Path(folder) / f"{digest.hexdigest()[:24]}.npz"


def _kept(place: Path | None) -> Pairs | None:
    if place is None or not place.exists():
        return None
    with place.open("rb") as file, np.load(file) as held:
        return Pairs(**{name: held[name] for name in Pairs._fields})


def _keep(place: Path | None, found: Pairs) -> None:
    if place is not None:
        content = io.BytesIO()
        np.savez_compressed(content, **found._asdict())
        files.write_whole(place, content.getvalue(), force=True)
