"""Correlations of the harm with what is known before, and the table that comes with the package.

``data`` is what :func:`gda_theory.studies.influence.study.studied` gives.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from gda_theory.studies import ranks
from gda_theory.studies.influence.harm import OUTCOMES
from theory_common.printing import tables

SHARES = (0.01, 0.05)  # of the rows, forgotten
PRIMARY = "budget"
NORMS = ("loss_norm", "margin_norm", "leverage_norm", "normalised_norm")
NEEDS_ORACLE = ("break_even_strength", "critical_strength", "pretrain_distance")
LABELS = {
    "loss_norm": "cross-influence, loss",
    "margin_norm": "cross-influence, margin",
    "leverage_norm": "cross-influence, leverage",
    "normalised_norm": "cross-influence, normalised",
    "mean_forget_loss": "mean forget loss",
    "mean_leverage": "mean leverage",
    "mean_cosine": "mean cosine of rows",
    "gradient_cosine": "cosine of mean gradients",
    "size": "size of the set",
    "break_even_strength": "break-even strength",
    "critical_strength": "critical strength",
    "pretrain_distance": "pretrained to retrained",
}
# Of the study's results, what comes with the package, to three digits.
LEVELS = ("dataset", "kind", "ridge", "size_ratio")
KEPT = (
    "break_even_strength",
    "critical_strength",
    "loss_norm",
    "leverage_norm",
    "normalised_norm",
    "mean_forget_loss",
    "budget",
)


def centred(cells: Sequence[Float[np.ndarray, " m"]]) -> Float[np.ndarray, " sets"]:
    """All values less the median of their cell; of positive ones their log10."""
    if all(np.all(values > 0) for values in cells):
        cells = [np.log10(values) for values in cells]
    return np.concatenate([values - np.median(values) for values in cells])


def analysed(
    cells: Sequence[Mapping[str, np.ndarray]], sources: Sequence[str], replicates: int
) -> dict[str, dict[str, Any]]:
    """All pooled correlations, ``(predictors, outcomes)``, and those of each data set and ridge.

    Args:
        cells: as :func:`gda_theory.studies.influence.study.cell` gives them. Those of one data set
            and ridge stand beside each other, in the order of :data:`SHARES`.
        sources: that of each cell.
        replicates: of the bootstrap.
    """
    columns = [*LABELS, *OUTCOMES]
    values = [np.stack([one[name] for name in columns], axis=1) for one in cells]
    joined = [
        np.concatenate(values[place : place + len(SHARES)])
        for place in range(0, len(values), len(SHARES))
    ]
    rows = list(range(len(LABELS)))
    harm = list(range(len(LABELS), len(columns)))
    loss, size = columns.index("mean_forget_loss"), columns.index("size")

    def pool(cells, sources, controls):
        found = ranks.pooled(cells, sources, rows, harm, controls, replicates=replicates, seed=0)
        return found._asdict()

    natural = [
        one[~np.isin(cell["kind"], ("mislabelled", "easy"))]
        for one, cell in zip(values, cells, strict=True)
    ]
    both = sources[:: len(SHARES)]
    each = np.stack([ranks.correlations(one)[np.ix_(rows, harm)] for one in values])
    return {
        "equal_size": pool(values, sources, []),
        "given_loss": pool(values, sources, [loss]),
        "both_sizes": pool(joined, both, []),
        "given_size_and_loss": pool(joined, both, [size, loss]),
        "without_mislabelled_and_easy": pool(natural, sources, []),
        "by_dataset": _split(each, [one["dataset"][0] for one in cells]),
        "by_ridge": _split(each, [f"{one['ridge'][0]:g}" for one in cells]),
    }


def _split(each: Float[np.ndarray, "cells p q"], names: Sequence[str]) -> dict[str, np.ndarray]:
    """The mean correlations of the cells that share a name."""
    of_cell = np.array(names)
    return {name: ranks.mean(each[of_cell == name], 0) for name in np.unique(of_cell).tolist()}


def ordered(data: Mapping[str, Any]) -> list[str]:
    """The predictors from top to bottom: what can be known before, and then the others."""
    names = [name for name in data["predictors"] if name != "size"]
    value = dict(
        zip(
            data["predictors"],
            data["equal_size"]["value"][:, list(data["outcomes"]).index(PRIMARY)],
            strict=True,
        )
    )

    def place(name):
        return name in NEEDS_ORACLE, -value[name]

    return sorted(names, key=place)


def best_predictor(data: Mapping[str, Any]) -> str:
    """Of those that need no retrained model, that of the largest absolute correlation."""
    known = [name for name in ordered(data) if name not in NEEDS_ORACLE]
    return max(known, key=lambda name: abs(estimate(data, "equal_size", name)[0]))


def estimate(
    data: Mapping[str, Any], analysis: str, predictor: str, outcome: str = PRIMARY
) -> tuple[float, float, float]:
    """Value, low and high of one correlation."""
    place = list(data["predictors"]).index(predictor), list(data["outcomes"]).index(outcome)
    value, low, high = (float(data[analysis][name][place]) for name in ("value", "low", "high"))
    return value, low, high


def interval(data: Mapping[str, Any], analysis: str, predictor: str, outcome: str = PRIMARY) -> str:
    """An estimate in words."""
    value, low, high = estimate(data, analysis, predictor, outcome)
    return f"{value:+.2f}, 95 % interval {low:+.2f} to {high:+.2f}"


def loss_against_distance(table: Mapping[str, np.ndarray]) -> float:
    """The rank correlation of the mean forget loss with the distance pretrained to retrained.

    It is that in each cell, averaged over the cells of a source, then over sources.
    """
    cells = np.stack([np.array(table[name]) for name in ("dataset", "ridge", "share")])
    number = np.unique(cells, axis=1, return_inverse=True)[1]
    by_source: dict[str, list[float]] = {}
    for cell in np.unique(number):
        here = number == cell
        both = [table[name][here] for name in ("mean_forget_loss", "pretrain_distance")]
        found = ranks.correlations(np.stack(both, axis=1))[0, 1]
        source = cells[0][here][0].partition(" ")[0]
        by_source.setdefault(source, []).append(found)
    return float(np.mean([np.mean(found) for found in by_source.values()]))


# What comes with the package ---------------------------------------------------------------------


def stored(data: Mapping[str, Any]) -> str:
    """The text of the table that ``gda_theory.verdict.dependence.study`` reads.

    Columns of few values are written as places in a list of these values.
    """
    levels: dict[str, Any] = {}
    columns: dict[str, np.ndarray] = {}
    for name in LEVELS:
        found, columns[name] = np.unique(data["table"][name], return_inverse=True)
        levels[name] = _rounded(found) if found.dtype.kind == "f" else found.tolist()
    columns |= {name: _rounded(data["table"][name]) for name in KEPT}
    return tables.dumps({"levels": levels, **columns}).replace(", ", ",")


def _rounded(values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Three digits of each number."""
    return np.array([float(f"{value:.3g}") for value in values])
