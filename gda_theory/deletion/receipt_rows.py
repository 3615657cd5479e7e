"""The data of a receipt: their SHA-256 sum, and the objective of some of their rows."""

import hashlib
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from gda_theory.deletion import partitioned
from gda_theory.deletion.margins import Floats, Margins
from gda_theory.deletion.partitioned import PartitionedMargins
from gda_theory.deletion.rows import AnyObjective, of_classes
from gda_theory.problem import losses
from gda_theory.problem.partitions import PartitionedProblem


class DeletionSettings(NamedTuple):
    """How a model was made: the objective, and the method with its arguments.

    ``ridge`` has one number for each feature. ``intercept`` says whether the last feature is a
    column of ones without a ridge. With more than two ``classes`` the loss is ``"softmax"``.
    """

    method: str
    steps: int | None
    step_size: float | None
    loss: str
    reduction: str
    ridge: list[float]
    intercept: bool
    classes: int = 2


def digest(*arrays: Any) -> str:
    """SHA-256 of arrays: the shape and the little-endian float64 values of each."""
    found = hashlib.sha256()
    for array in arrays:
        values = np.ascontiguousarray(array, "<f8")
        found.update(f"{values.shape}".encode() + values.tobytes())
    return found.hexdigest()


class Rows(NamedTuple):
    """The data of a receipt. Labels are -1 and 1, or numbers of several classes."""

    features: Float[Floats, "n d"]
    labels: Float[Floats, " n"]
    sample_weight: Float[Floats, " n"]

    def digest(self) -> str:
        """SHA-256 of the three arrays."""
        return digest(*self)

    def objective(self, chosen: Bool[np.ndarray, " n"], settings: DeletionSettings) -> AnyObjective:
        """The objective of the chosen rows, as :mod:`gda_theory.deletion.rows` has it."""
        _check(settings, self.features.shape[1])
        weight = np.where(chosen, self.sample_weight, 0.0)
        if settings.reduction == "mean":
            weight = weight / np.sum(weight)
        ridge = np.array(settings.ridge)
        if settings.classes > 2:
            return of_classes(self.features, self.labels, weight, ridge, settings.classes)
        return Margins(self.features, self.labels, weight, ridge, losses.resolve(settings.loss))


class PartitionedRows(NamedTuple):
    """The data of a receipt in partitions, with ``forget``: which rows are forgotten."""

    problem: PartitionedProblem
    forget: Bool[np.ndarray, " n"]

    def digest(self) -> str:
        """SHA-256 of the three arrays, as if they were in memory."""
        return partitioned.digest(self.problem)

    def objective(
        self, chosen: Bool[np.ndarray, " n"], settings: DeletionSettings
    ) -> PartitionedMargins:
        """The objective of the chosen rows, which are those to keep, or those to forget.

        Raises: ``ValueError`` for others.
        """
        _check(settings, len(self.problem.ridge))
        if settings.classes != 2:
            raise ValueError("rows in partitions have two classes")
        problem = self.problem.replace(
            ridge=settings.ridge, loss=settings.loss, reduction=settings.reduction
        )
        if np.array_equal(chosen, ~self.forget):
            return partitioned.objective_of(problem, "kept")
        if np.array_equal(chosen, self.forget):
            return partitioned.objective_of(problem, "forgotten")
        raise ValueError("of rows in partitions all that are forgotten must be one request")


AnyRows: TypeAlias = Rows | PartitionedRows


def _check(settings: DeletionSettings, columns: int) -> None:
    """Raise ``ValueError`` for a reduction or a ridge that no problem has."""
    if settings.reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean' or 'sum', got {settings.reduction!r}")
    finite_vector(settings.ridge, columns)


def finite_vector(values: Any, size: int) -> Float[Floats, " d"]:
    """The values as an array.

    Raises: ``ValueError`` unless there are ``size`` finite numbers.
    """
    found = np.array([float(value) for value in values])
    if found.shape != (size,) or not np.all(np.isfinite(found)):
        raise ValueError(f"weights must be {size} finite numbers")
    return found
