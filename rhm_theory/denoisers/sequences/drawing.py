"""Pictures of a measurement of sequences."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rhm_theory.denoisers.page import COLOURS, INK, MARKS, looks
from rhm_theory.denoisers.sequences.measurement import MODEL
from rhm_theory.experiment.measure import Estimate, Measurement

SHOWN = 5  # levels of which C(r) is drawn


def susceptibility(
    ax: Any, levels: Sequence[float], found: Mapping[str, Sequence[Measurement]]
) -> None:
    """chi of each law against the level."""
    look = looks(list(found), MODEL)
    for name, by_level in found.items():
        estimates = [one.susceptibility for one in by_level]
        values = [float(one.value) for one in estimates]
        ax.errorbar(levels, values, [float(one.error) for one in estimates], **look[name])
    ax.axhline(1, color=INK, linestyle=":", linewidth=0.8)
    ax.set(xlabel="share of hidden tokens t", ylabel=r"backward susceptibility $\chi_B$")


def correlation(
    ax: Any, levels: Sequence[float], found: Sequence[Measurement], unit: str = "tokens"
) -> None:
    """C(r) over C(0), at up to five levels; ``unit`` is that of the distance."""
    chosen = np.unique(np.linspace(0, len(levels) - 1, SHOWN).round().astype(int))
    for place, colour, mark in zip(chosen, COLOURS, MARKS, strict=False):
        one = over_first(found[place].correlation)
        ax.errorbar(
            np.arange(1, len(one.value)),
            one.value[1:],
            one.error[1:],
            label=f"t = {levels[place]:g}",
            color=colour,
            marker=mark,
            markersize=4,
            capsize=2,
        )
    ax.axhline(0, color=INK, linestyle=":", linewidth=0.8)
    ax.set(xlabel=f"distance r ({unit})", ylabel="C(r) / C(0)")


def over_first(one: Estimate) -> Estimate:
    """An estimate over the first of its values."""
    return Estimate(*(np.asarray(part) / one.value[0] for part in one))
