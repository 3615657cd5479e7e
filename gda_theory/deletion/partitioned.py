"""The objectives of deletion for rows in partitions: every number is a sum over all rows.

A partition is read, summed in blocks by the same NumPy code as rows in memory, and let go. So as
many partitions are in memory at once as there are threads. Sums over partitions are compensated.
"""

import hashlib
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from gda_theory.deletion.margins import Floats, Margins, RowSizes
from gda_theory.problem import losses
from gda_theory.problem.losses import Loss
from gda_theory.problem.partitions import Partition, PartitionedProblem
from theory_common.batching import executors
from theory_common.numerics.summation import compensated

ENTRIES = 2**20  # of one block of features: 8 MiB
CHOSEN = ("kept", "forgotten", "everything")


class AtPointInParts(NamedTuple):
    """An objective at one point, from sums over its rows.

    ``rounding_size`` is the product of the lengths of ``forces`` and of the rows' lengths.
    """

    gradient: Float[Floats, " d"]
    hessian: Float[Floats, "d d"]
    row_sizes: RowSizes
    rounding_size: float


class PartitionedMargins(NamedTuple):
    """Margin losses of rows in partitions, and a ridge for each coordinate.

    It has the methods of :class:`gda_theory.deletion.margins.Margins` that deletion needs. Its
    rows are ``chosen``: those to keep, to forget, or all. ``unit_weight`` is what a sample weight
    of 1 counts.
    """

    problem: PartitionedProblem
    chosen: str
    unit_weight: float
    ridge: Float[Floats, " d"]

    @property
    def like(self) -> Margins:
        """The same objective without rows."""
        none = np.zeros(0)
        return Margins(np.zeros((0, len(self.ridge))), none, none, self.ridge, self.problem.loss)

    @property
    def loss(self) -> Loss:
        """Of a margin."""
        return self.problem.loss

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows, all of them, and of columns."""
        return int(self.problem.survey.rows.sum()), len(self.ridge)

    @property
    def steady(self) -> bool:
        """As of rows in memory."""
        return self.like.steady

    @property
    def unit(self) -> float:
        """As of rows in memory."""
        return self.like.unit

    @property
    def doubt(self) -> float:
        """As of rows in memory."""
        return self.like.doubt

    def gradient(self, weights: Float[Floats, " d"]) -> Float[Floats, " d"]:
        """The gradient: one pass over the rows."""
        total = compensated(self._each(gradient_of, weights))
        return self.ridge * weights + self.unit_weight * total

    def local(self, weights: Float[Floats, " d"]) -> AtPointInParts:
        """Gradient, Hessian, and what bounds their rounding: one pass over the rows."""
        longest = []

        def sums() -> Iterator[tuple]:
            for found, length in self._each(sums_of, weights):
                longest.append(length)
                yield found

        total = DeletionSums(*compensated(sums()))
        unit = self.unit_weight
        return AtPointInParts(
            gradient=self.ridge * weights + unit * total.gradient,
            hessian=unit * total.hessian + np.diag(self.ridge),
            row_sizes=RowSizes(
                forces=unit * float(total.forces),
                squares=unit * float(total.squares),
                cubes=unit * float(total.cubes),
                longest=max(longest),
            ),
            rounding_size=unit * math.sqrt(total.squared_forces * total.squared_lengths),
        )

    def sizes_at(self, local: AtPointInParts) -> RowSizes:
        """The sums that bound rounding."""
        return local.row_sizes

    def rounding_size(self, local: AtPointInParts) -> float:
        """See :class:`AtPointInParts`."""
        return local.rounding_size

    def change(self, step: Float[Floats, " d"]) -> float:
        """The largest change of a margin by a step, of all rows: one pass."""
        return max(self._each(change_of, step))

    def reach_in(self, inverse: Float[Floats, "d d"]) -> float:
        """``max_i |A x_i|`` over the rows with a weight: one pass."""
        return max(self._each(reach_of, inverse))

    def largest_curvature(self, weights: Float[Floats, " d"]) -> float:
        """A bound on the Hessian's eigenvalues anywhere, or, but for the logistic loss, here."""
        # The logistic loss bends most at 0.
        place = np.zeros_like(weights) if self.problem.loss == losses.logistic else weights
        return float(np.linalg.eigvalsh(self.local(place).hessian)[-1])

    def _each(self, function: Any, argument: Floats) -> Iterator[Any]:
        problem = self.problem
        items = [(one, self.chosen, problem.loss, argument) for one in problem.partitions]
        yield from executors.in_order(problem.executor, function, items)
        if problem.watch is not None:
            problem.watch()


def objective_of(problem: PartitionedProblem, chosen: str) -> PartitionedMargins:
    """The objective of the rows to keep, to forget, or of all."""
    kept, forgotten = problem.totals.tolist()
    total = {"kept": kept, "forgotten": forgotten, "everything": kept + forgotten}[chosen]
    unit = 1 / total if problem.reduction == "mean" else 1.0
    return PartitionedMargins(problem, chosen, unit, problem.ridge)


def forget_mask(problem: PartitionedProblem) -> Bool[np.ndarray, " n"]:
    """Which rows are to be forgotten, over all partitions: one pass."""
    items = [(partition,) for partition in problem.partitions]
    return np.concatenate(list(executors.in_order(problem.executor, mask_of, items)))


def digest(problem: PartitionedProblem) -> str:
    """SHA-256 of features, labels and sample weights, as if they were in memory.

    It reads one partition after the other.
    """
    found = hashlib.sha256()
    count, width = int(problem.survey.rows.sum()), len(problem.ridge)
    labels, weights = [], []
    found.update(f"{(count, width)}".encode())
    for partition in problem.partitions:
        rows = partition()
        found.update(np.ascontiguousarray(rows.features, "<f8").data)
        labels.append(np.asarray(rows.labels, np.int8))
        weights.append(rows.sample_weight)
    heights = [len(one) for one in labels]
    found.update(f"{(count,)}".encode())
    for one in labels:
        found.update(one.astype("<f8").data)
    found.update(f"{(count,)}".encode())
    for weight, height in zip(weights, heights, strict=True):
        known = np.ones(height) if weight is None else weight
        found.update(np.ascontiguousarray(known, "<f8").data)
    return found.hexdigest()


# What happens to a partition, here or in a worker ------------------------------------------------


class DeletionSums(NamedTuple):
    """Sums over the chosen rows, without the ridge; see :class:`RowSizes` for three of them."""

    gradient: Float[Floats, " d"]
    hessian: Float[Floats, "d d"]
    forces: Float[Floats, ""]
    squares: Float[Floats, ""]
    cubes: Float[Floats, ""]
    squared_forces: Float[Floats, ""]
    squared_lengths: Float[Floats, ""]


def sums_of(
    partition: Partition, chosen: str, loss: Loss, weights: Float[Floats, " d"]
) -> tuple[DeletionSums, float]:
    """The sums over a partition, and the length of its longest row.

    Args:
        partition: gives the rows.
        chosen: which of them count.
        loss: of a margin.
        weights: of the model.
    """
    width = len(weights)
    terms = [DeletionSums(np.zeros(width), np.zeros((width, width)), *np.zeros(5))]
    longest = 0.0
    for block in _blocks(partition, chosen, loss, width):
        local = block.local(weights)
        lengths = block.lengths()
        sizes = local.sizes(lengths)
        longest = max(longest, sizes.longest)
        terms.append(
            DeletionSums(
                gradient=local.gradient,
                hessian=local.hessian,
                forces=np.asarray(sizes.forces),
                squares=np.asarray(sizes.squares),
                cubes=np.asarray(sizes.cubes),
                squared_forces=local.forces @ local.forces,
                squared_lengths=np.sum(lengths[local.forces > 0] ** 2),
            )
        )
    return compensated(terms), longest


def gradient_of(
    partition: Partition, chosen: str, loss: Loss, weights: Float[Floats, " d"]
) -> Float[Floats, " d"]:
    """The gradient of a partition; arguments as of :func:`sums_of`."""
    blocks = _blocks(partition, chosen, loss, len(weights))
    return compensated([np.zeros(len(weights)), *(block.gradient(weights) for block in blocks)])


def change_of(partition: Partition, chosen: str, loss: Loss, step: Float[Floats, " d"]) -> float:
    """The largest change of a margin of any row of a partition."""
    return max((one.change(step) for one in _blocks(partition, chosen, loss, len(step))), default=0)


def reach_of(partition: Partition, chosen: str, loss: Loss, inverse: Float[Floats, "d d"]) -> float:
    """``max_i |A x_i|`` over the chosen rows of a partition."""
    blocks = _blocks(partition, chosen, loss, len(inverse))
    return max((one.reach_in(inverse) for one in blocks if np.any(one.weight > 0)), default=0.0)


def mask_of(partition: Partition) -> Bool[np.ndarray, " k"]:
    """Which rows of a partition are to be forgotten."""
    return np.asarray(partition().forget)


def _blocks(partition: Partition, chosen: str, loss: Loss, width: int) -> Iterator[Margins]:
    """The rows of a partition, some at a time. Rows that are not chosen have weight 0."""
    rows = partition()
    weight = np.ones(len(rows.labels)) if rows.sample_weight is None else rows.sample_weight
    if chosen != "everything":
        weight = np.where(rows.forget == (chosen == "forgotten"), weight, 0.0)
    step = max(ENTRIES // width, 1)
    for first in range(0, len(weight), step):
        part = slice(first, first + step)
        yield Margins(
            np.ascontiguousarray(rows.features[part], float),
            np.asarray(rows.labels[part], float),
            np.asarray(weight[part], float),
            np.zeros(width),
            loss,
        )
