"""From a problem to the objectives of deletion, and from weights to their coordinates and back."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from gda_theory.deletion import class_margins, partitioned
from gda_theory.deletion.class_margins import ClassMargins
from gda_theory.deletion.margins import AtPoint, Floats, Margins
from gda_theory.deletion.partitioned import AtPointInParts, PartitionedMargins
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.partitions import PartitionedProblem
from gda_theory.problem.problem import Problem
from theory_common import checks
from theory_common.precision import ArrayLike

AnyProblem: TypeAlias = Problem | MultinomialProblem | PartitionedProblem
AnyObjective: TypeAlias = Margins | ClassMargins | PartitionedMargins
AnyPoint: TypeAlias = AtPoint | AtPointInParts


def kept(problem: AnyProblem) -> AnyObjective:
    """The oracle's objective: the rows that are kept, and the ridge."""
    if isinstance(problem, PartitionedProblem):
        return partitioned.objective_of(problem, "kept")
    return _part(problem, ~_forget(problem))


def everything(problem: AnyProblem) -> AnyObjective:
    """The objective of pretraining: all rows, and the ridge."""
    if isinstance(problem, PartitionedProblem):
        return partitioned.objective_of(problem, "everything")
    return _part(problem, np.ones_like(_forget(problem)))


def forgotten(problem: AnyProblem) -> AnyObjective:
    """The forget loss minus the ridge penalty: what ascent raises."""
    if isinstance(problem, PartitionedProblem):
        of_parts = partitioned.objective_of(problem, "forgotten")
        return of_parts._replace(ridge=-of_parts.ridge)
    part = _part(problem, _forget(problem))
    return part._replace(ridge=-part.ridge)


def forget_mask(problem: AnyProblem) -> Bool[np.ndarray, " n"]:
    """The rows to forget. Of rows in partitions it takes a pass."""
    if isinstance(problem, PartitionedProblem):
        return partitioned.forget_mask(problem)
    return _forget(problem)


def _forget(problem: Problem | MultinomialProblem) -> Bool[np.ndarray, " n"]:
    checks.concrete("gda_theory.deletion", problem, hint="; it computes with NumPy")
    if not isinstance(problem, Problem | MultinomialProblem):
        raise TypeError(
            "problem must be a Problem, a MultinomialProblem or a PartitionedProblem,"
            f" got {type(problem).__name__}"
        )
    return np.asarray(problem.forget)


def _part(
    problem: Problem | MultinomialProblem, mask: Bool[np.ndarray, " n"]
) -> Margins | ClassMargins:
    weight = np.where(mask, np.asarray(problem.sample_weight, float), 0.0)
    if problem.reduction == "mean":
        weight = weight / np.sum(weight)
    features = np.asarray(problem.features, float)
    ridge = np.asarray(problem.ridge, float)
    if isinstance(problem, MultinomialProblem):
        count = len(problem.classes)
        return of_classes(features, np.asarray(problem.labels), weight, ridge, count)
    return Margins(
        features=features,
        signs=np.asarray(problem.signs, float),
        weight=weight,
        ridge=ridge,
        loss=problem.loss,
    )


def of_classes(
    features: Float[Floats, "n d"],
    labels: np.ndarray,
    weight: Float[Floats, " n"],
    ridge: Float[Floats, " d"],
    count: int,
) -> ClassMargins:
    """The softmax objective of labels 0 to ``count - 1``, with one ridge per feature."""
    own = (labels[:, None] == np.arange(count)).astype(float)
    return ClassMargins(features, own, weight, np.tile(ridge, count - 1))


def vector(name: str, problem: AnyProblem, weights: ArrayLike) -> Float[Floats, " m"]:
    """Weights as one vector in float64: themselves, or their coordinates if they are (K, d).

    Raises: ``TypeError`` or ``ValueError`` that quotes ``name``.
    """
    given = np.shape(checks.finite(name, weights))
    shape: tuple[int, ...] = problem.ridge.shape
    if isinstance(problem, MultinomialProblem):
        shape = (len(problem.classes), *shape)
    if given != shape:
        raise ValueError(f"{name} must have shape {shape}, one per feature, got {given}")
    values = np.asarray(weights, float)
    return values if values.ndim == 1 else class_margins.coordinates(values)


def lifted(problem: AnyProblem, vector: Float[Floats, " m"]) -> Floats:
    """The weights of a vector."""
    if isinstance(problem, MultinomialProblem):
        return class_margins.weights_of(vector, len(problem.classes))
    return vector


def common_length(problem: AnyProblem, weights: ArrayLike) -> float:
    """The length of what the coordinates leave out: 0 but for weights of several classes."""
    if isinstance(problem, MultinomialProblem):
        return class_margins.common_length(np.asarray(weights, float))
    return 0.0
