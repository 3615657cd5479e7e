"""What a model keeps in order to forget, and one request to it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from gda_theory.deletion import methods
from gda_theory.deletion.bounds import (
    Certificate,
    Derivatives,
    certified_at,
    certified_by,
    newton_direction,
)
from gda_theory.deletion.margins import AtPoint, Floats, Margins, RowSizes
from gda_theory.deletion.rows import AnyObjective
from theory_common import checks
from theory_common.precision import ArrayLike

CLOSE = 0.1  # a larger change of a margin asks for a new Hessian in the certificate

ROWS = 4096  # that are looked at together


class Known(NamedTuple):
    """What is known at the weights of a model with two classes.

    ``margins`` are 0 in rows of weight 0. ``sizes`` are those of ``at``, or larger.
    """

    margins: Float[Floats, " n"]
    largest_margin: float
    at: AtPoint
    sizes: RowSizes


class FittedRows(NamedTuple):
    """What a fitted model keeps in order to forget: the rows, and its weights without noise.

    Labels are -1 and 1, or numbers of classes. Of several classes, ``weights`` are the coordinates
    of the softmax loss. Forgotten rows are zeros here, and have weight 0. ``known`` is None where
    nothing is known at the weights.
    """

    features: Float[Floats, "n d"]
    labels: Float[Floats, " n"]
    sample_weight: Float[Floats, " n"]
    forgotten: Bool[np.ndarray, " n"]
    data: str
    weights: Float[Floats, " d"]
    known: Known | None


class Result(NamedTuple):
    """A model after deletion; ``known`` as in :class:`FittedRows`."""

    weights: Float[Floats, " d"]
    known: Known | None
    certificate: Certificate


def result(objective: AnyObjective, weights: Float[Floats, " d"]) -> Result:
    """Weights with what is known there, and their certificate."""
    if isinstance(objective, Margins):
        known = known_at(objective, weights)
        derivatives = Derivatives(known.at.gradient, known.at.hessian)
        certificate = certified_by(objective, weights, derivatives, known.sizes)
        return Result(weights, known, certificate)
    return Result(weights, None, certified_at(objective, weights, objective.local(weights)))


def known_at(objective: Margins, weights: Float[Floats, " d"]) -> Known:
    """Margins and derivatives at the weights."""
    at = objective.local(weights)
    margins = np.where(objective.weight > 0, objective.margins(weights), 0.0)
    largest = float(np.max(np.abs(margins)))
    return Known(margins, largest, at, at.sizes(objective.lengths()))


def newton_request(
    objective: Margins, memory: FittedRows, mask: Bool[np.ndarray, " n"], steps: int
) -> Result:
    """Newton steps. The first takes the Hessian of the last request less the forgotten rows'.

    So one small request costs one pass over the data, for the gradient after the step. The
    certificate takes the same Hessian, and allows for the change of the margins. What bounds its
    rounding is also carried over.
    """
    known = known_at(objective, memory.weights) if memory.known is None else memory.known
    at = known.at if memory.known is None else _less(memory, known.at, mask)
    weights = memory.weights + newton_direction(at)
    if steps > 1:
        found = methods.newton_steps(objective, weights, steps - 1)
        return result(objective, found.weights)
    swept = objective.sweep(weights, known.margins)
    # The margins are rounded, each by less than 1e-9 of the largest.
    change = (1 + 1e-9) * swept.change + 1e-9 * known.largest_margin
    if change > CLOSE:
        return result(objective, weights)
    # Of the bound on rounding alone: the rows that were subtracted count.
    sizes = known.sizes.after(change)
    derivatives = Derivatives(swept.gradient, at.hessian)
    certificate = certified_by(objective, weights, derivatives, sizes, change=change)
    return Result(weights, None, certificate)


def _less(memory: FittedRows, at: AtPoint, mask: Bool[np.ndarray, " n"]) -> AtPoint:
    """The objective at the weights without the rows of ``mask``. ``bend`` still has them."""
    chosen = np.flatnonzero(mask)
    rows = memory.features[chosen]
    rooted = np.sqrt(at.bend[chosen])[:, None] * rows
    return AtPoint(
        gradient=at.gradient + (memory.labels[chosen] * at.forces[chosen]) @ rows,
        hessian=at.hessian - rooted.T @ rooted,
        forces=at.forces,
        bend=at.bend,
    )


def mask_of(rows: ArrayLike, forgotten: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """``rows`` as a mask of rows that are there.

    Raises: ``TypeError`` or ``ValueError`` that names the rows at fault.
    """
    given = np.asarray(rows)
    count = len(forgotten)
    if given.ndim != 1:
        raise ValueError(f"rows must be a mask or a list of row numbers, got shape {given.shape}")
    if given.dtype == bool:
        if len(given) != count:
            raise ValueError(
                f"rows must have {count} entries, one per fitted row, got {len(given)}"
            )
        mask = given.copy()
    else:
        if given.size and given.dtype.kind not in "iu":
            raise TypeError(
                f"rows must be a boolean mask or whole row numbers, got dtype {given.dtype}"
            )
        outside = given[(given < 0) | (given >= count)]
        if len(outside):
            raise ValueError(f"rows must be from 0 to {count - 1}, got {outside[0]}")
        mask = np.zeros(count, bool)
        mask[given.astype(int)] = True
    if not np.any(mask):
        raise ValueError("rows must name at least one row to forget, got none")
    again = np.flatnonzero(mask & forgotten)
    if len(again):
        raise ValueError(f"rows must not be forgotten twice, got row {again[0]} again")
    return mask


def checked_weights(sample_weight: ArrayLike | None, count: int) -> Float[Floats, " n"]:
    """One weight a row: 1 by default, or one number for all.

    Raises: ``ValueError`` for another shape, or a weight that is negative or not finite.
    """
    if sample_weight is None:
        return np.ones(count)
    found = np.array(checks.nonnegative("sample_weight", np.asarray(sample_weight, float)), float)
    if found.ndim == 0:
        return np.full(count, float(found))
    if found.shape != (count,):
        raise ValueError(f"sample_weight must have shape ({count},), got {found.shape}")
    return np.array(sample_weight, float)


def require_every_class(
    labels: Float[Floats, " n"], weight: Float[Floats, " n"], classes: np.ndarray
) -> None:
    """Raise ``ValueError`` unless each class has a row of positive weight."""
    codes = (-1.0, 1.0) if len(classes) == 2 else range(len(classes))
    for code, name in zip(codes, classes.tolist(), strict=True):
        # Most classes have a row near the beginning.
        parts = (slice(first, first + ROWS) for first in range(0, len(labels), ROWS))
        if not any(np.any((labels[part] == code) & (weight[part] > 0)) for part in parts):
            raise ValueError(
                "each class must keep a row whose sample_weight is not zero, and class"
                f" {name!r} has none"
            )
