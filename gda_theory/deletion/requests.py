"""What a model keeps in order to forget, and one request to it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from gda_theory.deletion import methods
from gda_theory.deletion.bounds import Certificate, certified_at, newton_direction
from gda_theory.deletion.margins import AtPoint, Floats, Margins, slope
from gda_theory.deletion.rows import AnyObjective
from theory_common import checks
from theory_common.precision import ArrayLike

CLOSE = 0.1  # a larger change of a margin asks for a new Hessian in the certificate


class FittedRows(NamedTuple):
    """What a fitted model keeps in order to forget: the rows, and its weights without noise.

    Labels are -1 and 1, or numbers of classes. Of several classes, ``weights`` are the coordinates
    of the softmax loss. Forgotten rows are zeros here, and have weight 0. ``margins`` and ``at``
    are those at the weights. They are None where they are not known.
    """

    features: Float[Floats, "n d"]
    labels: Float[Floats, " n"]
    sample_weight: Float[Floats, " n"]
    lengths: Float[Floats, " n"]
    forgotten: Bool[np.ndarray, " n"]
    data: str
    weights: Float[Floats, " d"]
    margins: Float[Floats, " n"] | None
    at: AtPoint | None


class Result(NamedTuple):
    """A model after deletion; ``at`` is None where the Hessian there is not known."""

    weights: Float[Floats, " d"]
    margins: Float[Floats, " n"] | None
    at: AtPoint | None
    certificate: Certificate


def result(objective: AnyObjective, weights: Float[Floats, " d"]) -> Result:
    """Weights with their margins, derivatives and certificate."""
    at = objective.local(weights)
    certificate = certified_at(objective, weights, at)
    return Result(weights, margins_at(objective, weights), at, certificate)


def margins_at(objective: AnyObjective, weights: Float[Floats, " d"]) -> Floats | None:
    """The margins of all rows; None for more than two classes."""
    return objective.margins(weights) if isinstance(objective, Margins) else None


def newton_request(
    objective: Margins, memory: FittedRows, mask: Bool[np.ndarray, " n"], steps: int
) -> Result:
    """Newton steps. The first takes the Hessian of the last request less the forgotten rows'.

    So one small request costs two passes over the data: the margins after the step, and the
    gradient. The certificate takes the same Hessian, and allows for the change of the margins.
    """
    at = objective.local(memory.weights) if memory.at is None else _less(memory, mask)
    weights = memory.weights + newton_direction(at)
    if steps > 1:
        found = methods.newton_steps(objective, weights, steps - 1)
        return result(objective, found.weights)
    margins = objective.margins(weights)
    # The margins are rounded, each by less than 1e-9 of the largest.
    before = objective.margins(memory.weights) if memory.margins is None else memory.margins
    change = float(np.max(np.abs(margins - before) * (objective.weight > 0)))
    change += 1e-9 * float(np.max(np.abs(margins)))
    if change > CLOSE:
        return result(objective, weights)
    forces = objective.weight * slope(objective.loss, margins)
    here = AtPoint(
        gradient=objective.ridge * weights - (objective.signs * forces) @ objective.features,
        hessian=at.hessian,
        forces=forces,
        # Of the bound on rounding alone: loss'' <= phi, and the rows that were subtracted count.
        bend=np.maximum(forces, at.bend),
    )
    certificate = certified_at(objective, weights, here, change=change, lengths=memory.lengths)
    return Result(weights, margins, None, certificate)


def _less(memory: FittedRows, mask: Bool[np.ndarray, " n"]) -> AtPoint:
    """The objective at the weights without the rows of ``mask``. ``bend`` still has them."""
    at = memory.at
    assert at is not None
    rows = memory.features[mask]
    rooted = np.sqrt(at.bend[mask])[:, None] * rows
    return AtPoint(
        gradient=at.gradient + (memory.labels[mask] * at.forces[mask]) @ rows,
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
        if not np.any((labels == code) & (weight > 0)):
            raise ValueError(
                "each class must keep a row whose sample_weight is not zero, and class"
                f" {name!r} has none"
            )
