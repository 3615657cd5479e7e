r"""The numbers of :mod:`gda_theory.verdict.harm` for the softmax model of K classes.

The Hessian of the kept rows at the pretrained weights is that of all rows less that of the
forgotten ones, so a set costs no Hessian of all rows. The oracle is found by chord steps with this
matrix, each a gradient over the kept rows. Where they do not converge, damped Newton steps do.

The eigenvalues of :math:`\operatorname{diag}(p) - pp^\top` are at most 1/2, which takes the place
of 1/4 in the bound that says "not nearer".
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from gda_theory.deletion import methods
from gda_theory.deletion import rows as deletion_rows
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.verdict import measure, scores
from gda_theory.verdict.harm import SLACK, Estimates, SetNumbers
from gda_theory.verdict.scores import ClassScores

CURVATURE = 0.5  # the largest eigenvalue of a row's second derivative
CHORDS = 30
REST = 1e-13  # of the first gradient: smaller ones are rounding
CLOSE = 1e-9  # of the weights' length: how near to the oracle a step must say that it is


class _Data(NamedTuple):
    """All rows, and what is known of them at the pretrained coordinates."""

    rows: ClassScores
    weight: Float[np.ndarray, " n"]
    ridge: Float[np.ndarray, " m"]
    start: Float[np.ndarray, " m"]
    losses: Float[np.ndarray, " n"]
    slopes: Float[np.ndarray, "n c"]
    bends: Float[np.ndarray, "n c c"]
    slope: Float[np.ndarray, " m"]
    bend: Float[np.ndarray, "m m"]
    smoothness: float


def estimates(
    problem: MultinomialProblem,
    pretrained: Float[np.ndarray, "classes d"],
    sets: Iterable[Int[np.ndarray, " f"]],
    strength: float,
) -> tuple[Estimates, Bool[np.ndarray, " sets"]]:
    """The numbers of every set, and whether its oracle was found.

    Args:
        problem: the data, in float64.
        pretrained: its pretrained weights.
        sets: row numbers.
        strength: of the ascent.
    Raises: ``ValueError`` for a set without an oracle.
    """
    data = _data(problem, pretrained)
    found, converged = zip(*(_estimated(data, problem, one, strength) for one in sets), strict=True)
    columns = zip(SetNumbers._fields, zip(*found, strict=True), strict=True)
    return Estimates(**{name: np.array(column) for name, column in columns}), np.array(converged)


def _data(problem: MultinomialProblem, pretrained: Float[np.ndarray, "classes d"]) -> _Data:
    rows = scores.scores_of(problem)
    assert isinstance(rows, ClassScores)
    weight = np.asarray(problem.sample_weight)
    start = deletion_rows.vector("pretrained", problem, pretrained)
    slopes = weight[:, None] * rows.slopes(start)
    bends = weight[:, None, None] * rows.bends(start)
    whole = (rows.features.T * weight) @ rows.features
    return _Data(
        rows=rows,
        weight=weight,
        ridge=np.tile(np.asarray(problem.ridge), rows.count),
        start=start,
        losses=rows.losses(start),
        slopes=slopes,
        bends=bends,
        slope=scores.total(rows, slopes),
        bend=scores.gram(rows, bends),
        smoothness=CURVATURE * float(np.linalg.eigvalsh(whole)[-1]),
    )


def _estimated(
    data: _Data, problem: MultinomialProblem, forgotten: Int[np.ndarray, " f"], strength: float
) -> tuple[SetNumbers, bool]:
    """One set. Its sums at the pretrained weights are those of all rows less its own."""
    mask = np.isin(np.arange(len(data.weight)), forgotten)
    one = problem.replace(forget=mask)
    part, weight = data.rows.part(forgotten), data.weight[forgotten]
    mean = problem.reduction == "mean"
    retain = 1 / (data.weight.sum() - weight.sum()) if mean else 1.0
    forget = 1 / weight.sum() if mean else 1.0
    slope = data.slope - scores.total(part, data.slopes[forgotten])
    bend = data.bend - scores.gram(part, data.bends[forgotten])
    hessian = retain * bend + np.diag(data.ridge)
    gradient = data.ridge * data.start + retain * slope
    stepped = data.start - measure.solved(hessian, gradient)
    oracle, converged = _oracle(one, hessian, stepped)
    uphill = forget * scores.total(part, weight[:, None] * part.slopes(oracle))
    distance = float(measure.norm(data.start - oracle))
    moved = float(measure.norm(measure.solved(hessian, uphill)))
    row = SetNumbers(
        pretrain_distance=distance,
        newton_distance=float(measure.norm(stepped - oracle)),
        mean_forget_loss=float(weight @ data.losses[forgotten] / weight.sum()),
        break_even_strength=distance / moved if moved > 0 else math.nan,
        unbounded=measure.runaway_class(one, strength) is not None,
        not_nearer=_is_not_nearer(data, forgotten, distance, uphill, (retain, forget), strength),
    )
    return row, converged


def _oracle(
    problem: MultinomialProblem, hessian: Float[np.ndarray, "m m"], near: Float[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " m"], bool]:
    """The oracle by chord steps from a point near it, else by Newton's method."""
    objective = deletion_rows.kept(problem)
    weights, gradient = near, objective.gradient(near)
    first = last = float(measure.norm(gradient))
    for _ in range(CHORDS):
        if last <= REST * first:
            break
        after = weights - measure.solved(hessian, gradient)
        gradient = objective.gradient(after)
        length = float(measure.norm(gradient))
        if not length < last:
            break
        weights, last = after, length
    left = measure.norm(measure.solved(hessian, objective.gradient(weights)))
    if left <= CLOSE * measure.norm(weights):
        return weights, True
    found = methods.minimum(objective, weights)
    return found.weights, found.hessians < methods.MOST_STEPS


def _is_not_nearer(
    data: _Data,
    forgotten: Int[np.ndarray, " f"],
    distance: float,
    uphill: Float[np.ndarray, " m"],
    shares: Sequence[float],
    strength: float,
) -> bool:
    """Whether no stationary point of ascent is as near to the oracle as the pretrained model."""
    if not distance > 0:
        return False
    retain, forget = shares
    features = data.rows.features[forgotten]
    squares = data.weight[forgotten] @ np.einsum("fd,fd->f", features, features)
    radius = SLACK * distance
    retained = (retain * data.smoothness + data.ridge.max()) * radius
    risen = float(measure.norm(uphill)) - CURVATURE * forget * squares * radius
    return bool(strength * risen > SLACK * retained)
