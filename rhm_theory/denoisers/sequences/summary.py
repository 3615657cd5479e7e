r"""Numbers from the raw data of a measurement of sequences, with errors over groups of starts.

The *contrast* of a law is :math:`\chi_B(\text{peak}) - \chi_B(\text{end})`. The peak is the level
nearest to 0.7, which was fixed before any run. The end is the highest level.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from rhm_theory.denoisers.sequences import backward
from rhm_theory.denoisers.sequences.backward import Pairs
from rhm_theory.denoisers.sequences.measurement import BY_SAMPLES, MODEL, Changes
from rhm_theory.experiment import measure
from rhm_theory.experiment.measure import Estimate, Measurement

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
    places = [found.levels.index(level) for level in peak_and_end(found.levels)]
    rows = {
        name: np.stack([_fraction(by_level[place], r_max, allowed) for place in places], 1)
        for name, by_level in found.pairs.items()
    }
    own = {
        name: measure.jackknife(_contrast, row, found.groups[: len(row)])
        for name, row in rows.items()
    }
    above = {
        name: measure.jackknife(
            lambda both: _contrast(both[0]) - _contrast(both[1]),
            np.stack([rows[MODEL][: len(row)], row], 1),
            found.groups[: len(row)],
        )
        for name, row in rows.items()
        if name != MODEL and not name.endswith(BY_SAMPLES)
    }
    return Contrasts(own=own, above=above)


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
