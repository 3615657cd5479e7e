"""The measurement of several laws of sequences at every noise level, with the same masks for all.

A *law* is anything with a conditional: a trained model, an exact posterior, a control. Each part,
one level of one law, is kept in a folder as soon as it is computed, so that a stopped measurement
goes on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from rhm_theory.denoisers import parts
from rhm_theory.denoisers.sampling import Conditional
from rhm_theory.denoisers.sequences import backward
from rhm_theory.denoisers.sequences.backward import Pairs
from theory_common import checks

MODEL = "model"
BY_SAMPLES = ", sampled"  # ends the name of a law that is measured by samples
SAMPLED = MODEL + BY_SAMPLES
FINEST = 10**6  # levels that differ by less share their random numbers


class Effort(NamedTuple):
    """How much is measured at each noise level.

    Attributes:
        starts: how many.
        masks: of each start, at least 2.
        columns: tokens of each mask whose covariances with all others are computed.
        trajectories: of each mask for the sampled estimator; 0 to leave it out.
        steps: of the ancestral sampler; None reveals one token at a time.
    """

    starts: int = 96
    masks: int = 4
    columns: int = 4
    trajectories: int = 4
    steps: int | None = 32


class Law(NamedTuple):
    """One law in a measurement, and how much of it is measured.

    Attributes:
        conditional: makes the conditional, when it is first needed.
        effort: with ``trajectories`` > 0 the law is sampled, else it is teacher-forced.
        weights: arrays that tell laws of one name apart, such as those of a trained model.
    """

    conditional: Callable[[], Conditional]
    effort: Effort
    weights: tuple[Any, ...] = ()


class Changes(NamedTuple):
    """The raw data of a measurement.

    Attributes:
        levels: of the noise.
        tokens: the starts.
        groups: a label for each start, by which errors are clustered.
        pairs: covariances by law, one entry a level.
    """

    levels: tuple[float, ...]
    tokens: Int[np.ndarray, "starts length"]
    groups: Int[np.ndarray, " starts"]
    pairs: dict[str, list[Pairs]]


def measured(
    seed: int,
    laws: Mapping[str, Law],
    tokens: Int[np.ndarray, "starts length"],
    groups: Int[np.ndarray, " starts"],
    levels: Sequence[float],
    *,
    vocabulary: int,
    about: str = "",
    folder: str | Path | None = None,
    shown: Callable[[str], None] = lambda text: None,
) -> Changes:
    """Measure all laws at all levels.

    Args:
        seed: of the masks and of the sampler. All laws have the same masks.
        laws: by name.
        tokens: the starts.
        groups: a label for each start.
        levels: of the noise, each in (0, 1].
        vocabulary: the number of tokens.
        about: a text that tells the parts of different data apart.
        folder: keeps the parts.
        shown: is called with a text about each part before it is computed.

    Raises: ``TypeError`` or ``ValueError`` that names the argument; ``OSError`` if a part cannot be
        written.
    """
    level_of = checked_levels(levels)
    key = jax.random.key(checks.whole("seed", seed))
    pairs: dict[str, list[Pairs]] = {name: [] for name in laws}
    total = len(level_of) * len(laws)
    for level in level_of:
        # The same masks whatever other levels are measured.
        at_level = jax.random.fold_in(key, round(level * FINEST))
        for name, law in laws.items():
            number = sum(map(len, pairs.values())) + 1
            text = f"part {number} of {total}: {name}, {level:g} hidden"

            def compute(key=at_level, law=law, level=level, text=text) -> Pairs:
                shown(text)
                return _part(key, law, tokens, level, vocabulary)

            place = parts.digest_of(
                _identity(seed, name, level, law.effort, about), (tokens, *law.weights)
            )
            pairs[name].append(parts.kept(folder, place, Pairs, compute))
    return Changes(levels=level_of, tokens=tokens, groups=groups, pairs=pairs)


def checked_effort(effort: Effort) -> Effort:
    """The effort, if it gives errors.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    return Effort(
        starts=checks.whole("starts", effort.starts, least=2),
        masks=checks.whole("masks", effort.masks, least=2),
        columns=checks.whole("columns", effort.columns, least=1),
        trajectories=_trajectories(effort.trajectories),
        steps=None if effort.steps is None else checks.whole("steps", effort.steps, least=1),
    )


def checked_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """The levels, in (0, 1] and all different.

    Raises: ``TypeError`` or ``ValueError`` that names ``levels``.
    """
    found = np.atleast_1d(np.asarray(levels, float))
    checks.require("levels", found, lambda t: (t > 0) & (t <= 1), "in (0, 1]")
    if not found.size or len(set(found.tolist())) < found.size:
        raise ValueError(f"levels must be at least one, and different, got {found.tolist()}")
    return tuple(found.tolist())


def weights_of(conditional: Conditional) -> tuple[Any, ...]:
    """The arrays of the model that a conditional is a method of; none for a plain function."""
    return tuple(jax.tree.leaves(getattr(conditional, "__self__", None)))


def arrays(found: Changes) -> Iterator[tuple[str, np.ndarray]]:
    """The raw data under the names of an ``.npz`` file."""
    yield "levels", np.array(found.levels)
    yield "tokens", found.tokens
    yield "groups", found.groups
    for name, by_level in found.pairs.items():
        for level, part in zip(found.levels, by_level, strict=True):
            for field, value in part._asdict().items():
                yield f"{name}/{level:g}/{field}", value


def _trajectories(value: int) -> int:
    if value == 1:
        raise ValueError("trajectories must be at least 2 for a covariance, or 0 for none, got 1")
    return checks.whole("trajectories", value)


def _identity(seed: int, name: str, level: float, effort: Effort, about: str) -> str:
    text = f"{seed} {name} {level} {effort[:3]} {about}"
    return f"{text} {effort.trajectories} {effort.steps}" if effort.trajectories else text


def _part(key: jax.Array, law: Law, tokens: np.ndarray, level: float, vocabulary: int) -> Pairs:
    effort = law.effort
    own = tokens[: effort.starts]
    for_masks, for_samples = jax.random.split(key)
    at = backward.masks(
        for_masks,
        len(own),
        own.shape[1],
        level,
        masks=effort.masks,
        columns=max(effort.columns, 1),
    )
    conditional = law.conditional()
    if not effort.trajectories:
        return backward.teacher_forced(conditional, own, at, vocabulary=vocabulary)
    changed = backward.sampled(
        for_samples,
        conditional,
        own,
        at.hidden,
        vocabulary=vocabulary,
        trajectories=effort.trajectories,
        steps=effort.steps,
    )
    return backward.from_changes(changed, at.hidden)
