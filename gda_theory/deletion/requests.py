"""What a model keeps in order to forget, and one request to it."""

import math
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
from gda_theory.deletion.margins import Floats, Margins, RowSizes, slope, slopes
from gda_theory.deletion.rows import AnyObjective
from theory_common import checks
from theory_common.precision import ArrayLike

CLOSE = 0.1  # a larger change of a margin asks for a new Hessian in the certificate
# What a step may miss for lack of a new Hessian, over the weights' length. A receipt allows 1e-7.
STALE = 1e-9
CORRECTIONS = 2
ROWS = 4096  # that are looked at together


class Known(NamedTuple):
    """What is known of a model with two classes, to be used by its next request.

    The Hessian was computed at the *base*: the weights after a fit, or after a large request. Later
    requests take their rows out of it.

    * ``gradient``: of the rows' objective, at the weights of the model.
    * ``hessian``: of the rows' objective, at the base.
    * ``margins``: at the base, and 0 in rows that had weight 0 there.
    * ``largest_margin``: of these.
    * ``sizes``: at the base, or larger.
    * ``change``: the largest change of a margin from the base to the weights.
    """

    gradient: Float[Floats, " d"]
    hessian: Float[Floats, "d d"]
    margins: Float[Floats, " n"]
    largest_margin: float
    sizes: RowSizes
    change: float


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
        certificate = certified_by(objective, weights, _derivatives(known), known.sizes)
        return Result(weights, known, certificate)
    return Result(weights, None, certified_at(objective, weights, objective.local(weights)))


def known_at(objective: Margins, weights: Float[Floats, " d"]) -> Known:
    """Margins and derivatives at the weights, which become the base."""
    at = objective.local(weights)
    margins = np.where(objective.weight > 0, objective.margins(weights), 0.0)
    return Known(
        gradient=at.gradient,
        hessian=at.hessian,
        margins=margins,
        largest_margin=float(np.max(np.abs(margins))),
        sizes=objective.sizes_at(at),
        change=0.0,
    )


def newton_request(
    objective: Margins, memory: FittedRows, mask: Bool[np.ndarray, " n"], steps: int
) -> Result:
    r"""Newton steps. The first takes the Hessian at the base less the forgotten rows'.

    So the first small request costs one pass over the data, for the gradient after the step. The
    next ones cost one or two passes more, which correct the step: each multiplies the Hessian here
    by the step. Where margins have changed by at most S since the base, both Hessians differ by at
    most :math:`e^S - 1` times the one at the base. So each correction leaves about this part of
    the last one. Where ``CORRECTIONS`` do not bring it below ``STALE``, there is a new base.

    The certificate takes the Hessian at the base, and allows for the change of the margins. What
    bounds its rounding is also carried over.
    """
    known, step = _first_step(objective, memory, mask)
    weights = memory.weights + step
    if steps > 1:
        found = methods.newton_steps(objective, weights, steps - 1)
        return result(objective, found.weights)
    swept = objective.sweep(weights, known.margins)
    # The margins are rounded, each by less than 1e-9 of the largest.
    change = (1 + 1e-9) * swept.change + 1e-9 * known.largest_margin
    if change > CLOSE:
        return result(objective, weights)
    known = known._replace(gradient=swept.gradient, change=change)
    sizes = known.sizes.after(change)
    certificate = certified_by(objective, weights, _derivatives(known), sizes, change=change)
    return Result(weights, known, certificate)


def _first_step(
    objective: Margins, memory: FittedRows, mask: Bool[np.ndarray, " n"]
) -> tuple[Known, Float[Floats, " d"]]:
    """What is known without the rows of ``mask``, and the step from the model's weights."""
    if memory.known is not None:
        known = _less(objective, memory, memory.known, mask)
        found = _corrected(objective, memory.weights, known)
        if found is not None:
            return known, found
    known = known_at(objective, memory.weights)
    return known, newton_direction(_derivatives(known))


def _corrected(
    objective: Margins, weights: Float[Floats, " d"], known: Known
) -> Float[Floats, " d"] | None:
    """Newton's step from the weights by the Hessian at the base, or None if that is too far."""
    derivatives = _derivatives(known)
    step = newton_direction(derivatives)
    if known.change == 0:
        return step
    least = STALE * np.linalg.norm(weights)
    for _ in range(CORRECTIONS):
        left = known.gradient + objective.curved(weights, step)
        correction = newton_direction(derivatives._replace(gradient=left))
        step = step + correction
        if math.expm1(known.change) * np.linalg.norm(correction) <= least:
            return step
    return None


def _derivatives(known: Known) -> Derivatives:
    return Derivatives(known.gradient, known.hessian)


def _less(
    objective: Margins, memory: FittedRows, known: Known, mask: Bool[np.ndarray, " n"]
) -> Known:
    """What is known without the rows of ``mask``: the gradient here, the Hessian at the base."""
    chosen = np.flatnonzero(mask)
    rows, labels = memory.features[chosen], memory.labels[chosen]
    weight = memory.sample_weight[chosen]
    forces = weight * slope(objective.loss, labels * (rows @ memory.weights))
    _, bend = slopes(objective.loss, known.margins[chosen])
    rooted = np.sqrt(weight * bend)[:, None] * rows
    # The rows are subtracted with an error like that of so many more terms.
    more = 1 + (len(chosen) + 1) / len(memory.labels)
    return known._replace(
        gradient=known.gradient + (labels * forces) @ rows,
        hessian=known.hessian - rooted.T @ rooted,
        sizes=known.sizes._replace(squares=more * known.sizes.squares),
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
