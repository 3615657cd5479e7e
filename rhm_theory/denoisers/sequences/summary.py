r"""Numbers from the raw data of a measurement of sequences, with errors over groups of starts.

The *contrast* of a law is :math:`\chi_B(\text{peak}) - \chi_B(\text{end})`. The peak is the level
nearest to 0.7, which was fixed before any run. The end is the highest level.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from rhm_theory.denoisers.sequences import backward
from rhm_theory.denoisers.sequences.backward import Pairs
from rhm_theory.denoisers.sequences.measurement import BY_SAMPLES, MODEL, Changes
from rhm_theory.experiment import measure
from rhm_theory.experiment.measure import Estimate, Measurement
from rhm_theory.experiment.seeds import mean_of_seeds

PEAK = 0.7
Allowed = Bool[np.ndarray, "starts length length"] | None


class Contrasts(NamedTuple):
    """chi(peak) - chi(end).

    Attributes:
        own: of each law.
        above: the model's minus that of each other law, on the other law's starts.
    """

    own: dict[str, Estimate]
    above: dict[str, Estimate]


def peak_and_end(levels: tuple[float, ...]) -> tuple[float, float]:
    """The two levels of a contrast."""
    return min(levels, key=lambda level: abs(level - PEAK)), max(levels)


def measurements(
    found: Changes, *, r_max: int, allowed: Allowed = None
) -> dict[str, list[Measurement]]:
    """C(r), chi and lengths by law, one entry a level.

    Args:
        found: the raw data.
        r_max: the largest distance that counts.
        allowed: which pairs of different tokens count; all by default.

    Raises: ``ValueError`` that names ``r_max``.
    """
    return {
        name: [
            backward.measured(one, found.groups, r_max=r_max, allowed=_first(allowed, one))
            for one in by_level
        ]
        for name, by_level in found.pairs.items()
    }


def contrasts(found: Changes, *, r_max: int, allowed: Allowed = None) -> Contrasts:
    """The contrast of each law, and how far the model's is above it.

    Args: as :func:`measurements` takes them.
    """
    return mean_contrasts([found], r_max=r_max, allowed=allowed)


def mean_contrasts(by_seed: Sequence[Changes], *, r_max: int, allowed: Allowed = None) -> Contrasts:
    """The same for models of several seeds: the mean of their contrasts.

    Errors cover groups and seeds (:func:`rhm_theory.experiment.seeds.mean_of_seeds`).

    Args:
        by_seed: the raw data of each model, all with the same starts. The other laws are those of
            the first one. Levels may differ if the two of the contrast are the same.
        r_max: the largest distance that counts.
        allowed: which pairs of different tokens count; all by default.
    """
    groups = by_seed[0].groups
    rows = [_rows(one, r_max, allowed) for one in by_seed]
    models = np.stack([row[MODEL] for row in rows], 1)
    controls = {
        name: row
        for name, row in rows[0].items()
        if name != MODEL and not name.endswith(BY_SAMPLES)
    }
    samples = {
        name: np.stack([row[name] for row in rows], 1)
        for name in rows[0]
        if name.endswith(BY_SAMPLES) and all(name in row for row in rows)
    }
    own = {MODEL: _mean_contrast(models, groups)}
    own |= {name: _mean_contrast(row, groups) for name, row in samples.items()}
    own |= {name: _mean_contrast(row[:, None], groups) for name, row in controls.items()}
    above = {
        name: _mean_contrast(models[: len(row)], groups, row[:, None])
        for name, row in controls.items()
    }
    return Contrasts(own=own, above=above)


def _rows(found: Changes, r_max: int, allowed: Allowed) -> dict[str, np.ndarray]:
    """Numerator and denominator of chi at peak and end, ``(starts, 2, 2)``, by law."""
    places = [found.levels.index(level) for level in peak_and_end(found.levels)]
    return {
        name: np.stack([_fraction(by_level[place], r_max, allowed) for place in places], 1)
        for name, by_level in found.pairs.items()
    }


def _mean_contrast(
    rows: Float[np.ndarray, "starts seeds 2 2"],
    groups: np.ndarray,
    control: Float[np.ndarray, "starts 1 2 2"] | None = None,
) -> Estimate:
    """The mean over seeds, minus the contrast of a control if there is one."""
    both = rows if control is None else np.concatenate([rows, control], 1)
    seeds = rows.shape[1]

    def by_seed(mean: np.ndarray) -> np.ndarray:
        found = np.array([_contrast(one) for one in mean])
        return found[:seeds] - (0 if control is None else found[seeds])

    own = groups[: len(rows)]
    over_groups = measure.jackknife(lambda mean: by_seed(mean).mean(), both, own)
    return mean_of_seeds(by_seed(both.mean(0)), over_groups.error**2, len(set(own.tolist())))


def differences(found: Changes, of: str, other: str, *, r_max: int) -> list[Estimate]:
    """chi of one law minus that of another at each level, on the starts that both have.

    Args:
        found: the raw data.
        of, other: names of laws.
        r_max: the largest distance that counts.
    """
    estimates = []
    for one, two in zip(found.pairs[of], found.pairs[other], strict=True):
        both = [_fraction(pairs, r_max, None) for pairs in (one, two)]
        count = min(map(len, both))
        rows = np.stack([row[:count] for row in both], 1)
        estimates.append(
            measure.jackknife(lambda two: _chi(two)[0] - _chi(two)[1], rows, found.groups[:count])
        )
    return estimates


def _fraction(pairs: Pairs, r_max: int, allowed: Allowed) -> Float[np.ndarray, "starts 2"]:
    """Numerator and denominator of chi."""
    sums = np.asarray(backward.pair_sums(pairs, _first(allowed, pairs)).pair_sums)
    return np.stack([sums[:, 0] + 2 * sums[:, 1 : r_max + 1].sum(1), sums[:, 0]], 1)


def _first(allowed: Allowed, pairs: Pairs) -> Allowed:
    return None if allowed is None else allowed[: len(pairs.hidden)]


def _chi(rows: Float[np.ndarray, "laws 2"]) -> Float[np.ndarray, " laws"]:
    return rows[:, 0] / np.where(rows[:, 1] > 0, rows[:, 1], np.nan)


def _contrast(rows: Float[np.ndarray, "levels 2"]) -> np.ndarray:
    chi = _chi(rows)
    return chi[0] - chi[1]
