"""Numbers of a measurement of sequences for people and programs: texts, rows of tables, JSON."""

from collections.abc import Mapping, Sequence

import numpy as np

from rhm_theory.denoisers.sequences.summary import Contrasts
from rhm_theory.experiment.measure import Estimate, Measurement


def with_error(one: Estimate) -> str:
    """A value and its standard error."""
    if not np.isfinite(one.error):
        return f"{float(one.value):.3f}, error unknown"
    return f"{float(one.value):.3f} ± {float(one.error):.3f}"


def interval(one: Estimate, digits: int = 3) -> str:
    """A value and its 95 % interval."""
    value, low, high = (f"{float(part):+.{digits}f}" for part in (one.value, one.low, one.high))
    return f"{value} [{low}, {high}]"


def pair(one: Estimate) -> list:
    """Value and standard error, as JSON has them."""
    return [np.asarray(one.value).tolist(), np.asarray(one.error).tolist()]


def whole(one: Estimate) -> list[float]:
    """Value, standard error, and the 95 % interval."""
    return [float(part) for part in one]


def by_law(found: Mapping[str, Sequence[Measurement]]) -> dict[str, dict[str, list]]:
    """Measurements as JSON has them."""
    return {
        name: {
            "susceptibility": [pair(one.susceptibility) for one in by_level],
            "half_length": [pair(one.half_length) for one in by_level],
            "correlation": [pair(one.correlation) for one in by_level],
        }
        for name, by_level in found.items()
    }


def contrasts_of(found: Contrasts, suffix: str = "") -> dict[str, dict[str, list[float]]]:
    """Contrasts as JSON has them."""
    return {
        f"contrast{suffix}": {name: whole(one) for name, one in found.own.items()},
        f"model's contrast above{suffix}": {name: whole(one) for name, one in found.above.items()},
    }


def susceptibilities(
    levels: Sequence[float], columns: Mapping[str, Sequence[Measurement]]
) -> tuple[list[str], list[list[str]]]:
    """A table of chi: the head, and a row for each level."""
    head = ["share hidden", *columns]
    return head, [
        [
            f"{level:g}",
            *(with_error(by_level[place].susceptibility) for by_level in columns.values()),
        ]
        for place, level in enumerate(levels)
    ]


def peak(levels: Sequence[float], found: Sequence[Measurement]) -> str:
    """Where chi is largest, and how large it is."""
    values = [float(one.susceptibility.value) for one in found]
    place = int(np.nanargmax(values)) if np.isfinite(values).any() else 0
    return f"largest at t = {levels[place]:g}, with {with_error(found[place].susceptibility)}"


def compared(difference: Estimate) -> str:
    """Whether one number is above another, by the interval of their difference."""
    if float(difference.low) > 0:
        return "is above"
    return "is below" if float(difference.high) < 0 else "cannot be told from"
