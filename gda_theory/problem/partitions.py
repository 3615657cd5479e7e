r"""A problem whose rows do not fit in memory: its rows come in partitions, and enter as sums.

A *partition* is a function without arguments that returns :class:`PartitionRows`. It may read a
file, or hold arrays. Solvers see only sums over all rows: of losses, gradients and Hessians, for
the kept and for the forgotten rows apart. Each sum is a map and a reduce over the partitions: on
the threads of this process, or on any executor, such as that of a Dask cluster.

At each point one pass over the rows gives these sums, from which :math:`J_\gamma` follows at every
strength :math:`\gamma`.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from gda_theory.problem.losses import Loss, resolve
from gda_theory.problem.objective import MarginObjective
from gda_theory.problem.problem import Problem
from gda_theory.problem.validation import REDUCTIONS
from theory_common import checks
from theory_common.batching import executors
from theory_common.numerics.summation import compensated
from theory_common.precision import ArrayLike

ROWS = 2**14  # of one block, which compiled code sums at a time
LEAST = 2**8
ENTRIES = 2**22  # of one block, at most


class PartitionRows(NamedTuple):
    """The rows of one partition. ``labels`` are -1 or +1. ``sample_weight`` is 1 where it is None.

    A partition without rows has arrays of length 0.
    """

    features: Float[np.ndarray, "n d"]
    labels: Float[np.ndarray, " n"]
    forget: Bool[np.ndarray, " n"]
    sample_weight: Float[np.ndarray, " n"] | None = None


Partition = Callable[[], PartitionRows]


class Sums(NamedTuple):
    """Sums over the kept rows (index 0) and the forgotten rows (index 1), each with its weight.

    The scales are sums of the terms' sizes, as in :class:`gda_theory.problem.objective.Local`.
    """

    value: Float[np.ndarray, " 2"]
    value_scale: Float[np.ndarray, " 2"]
    gradient: Float[np.ndarray, "2 d"]
    gradient_scale: Float[np.ndarray, "2 d"]
    hessian: Float[np.ndarray, "2 d d"]


class Survey(NamedTuple):
    """What is known of the rows before any model: index 0 for kept, 1 for forgotten rows.

    ``weight`` is their total weight, by class (-1, +1). ``sides`` are the sums of ``max(y x, 0)``
    and ``max(-y x, 0)`` in each column.
    """

    rows: Int[np.ndarray, " 2"]
    weight: Float[np.ndarray, "2 2"]
    sides: Float[np.ndarray, "2 2 d"]


class PartitionedProblem:
    """A :class:`gda_theory.Problem` whose rows come in partitions.

    ``gt.pretrain``, ``gt.retrain``, ``gt.newton_step``, ``gt.descent_ascent``, ``gt.ascent_path``
    and ``gt.diagnose`` take it. Everything is computed in float64. The numbers do not depend on how
    the rows are divided, up to rounding, nor on where they are summed.

    Args:
        partitions: functions without arguments, each of which returns :class:`PartitionRows`. With
            an executor of processes they are pickled.
        ridge: > 0, one number or one per column. One column, such as an intercept, may have 0.
        loss: as in :class:`gda_theory.Problem`.
        reduction: as in :class:`gda_theory.Problem`.
        executor: where the partitions are read and summed: any ``concurrent.futures.Executor``,
            such as ``client.get_executor()`` of a Dask client. None for one thread a core. As many
            partitions are in memory at once as there are threads.
        watch: called after each pass over the rows, to show progress.

    Attributes:
        survey: the numbers of rows and their weights.
        names: of the columns, if they are known.
        notes: sentences about how the data were prepared.
    Raises: ``TypeError`` or ``ValueError`` that names the argument, or the partition, at fault.
    """

    def __init__(
        self,
        partitions: Sequence[Partition],
        *,
        ridge: ArrayLike,
        loss: str | Loss = "logistic",
        reduction: str = "mean",
        executor: Executor | None = None,
        names: Sequence[str] = (),
        notes: Sequence[str] = (),
        watch: Callable[[], object] | None = None,
    ) -> None:
        self.partitions = tuple(partitions)
        if not self.partitions or not all(map(callable, self.partitions)):
            raise TypeError("partitions must be functions without arguments, at least one")
        self.loss = resolve(loss)
        self.reduction = checks.choice("reduction", reduction, REDUCTIONS)
        self.executor = executors.checked(executor)
        self.names = tuple(names)
        self.notes = tuple(notes)
        self.watch = watch
        items = [(partition, number) for number, partition in enumerate(self.partitions)]
        self.survey: Survey = compensated(executors.in_order(self.executor, surveyed, items))
        self.ridge = _ridges(ridge, self.survey.sides.shape[-1])
        _check(self.survey, self.ridge)

    @classmethod
    def split(cls, problem: Problem, parts: int, **options: Any) -> "PartitionedProblem":
        """The rows of a problem in memory, in ``parts`` partitions of nearly equal size.

        Args:
            problem: with known numbers.
            parts: >= 1.
            options: ``executor``, ``names`` and ``notes`` of the new problem.
        """
        checks.concrete("split", problem)
        parts = checks.whole("parts", parts, least=1)
        arrays = (problem.features, problem.signs, problem.forget, problem.sample_weight)
        pieces = [np.array_split(np.asarray(array), parts) for array in arrays]
        return cls(
            [
                functools.partial(_held, PartitionRows(*piece))
                for piece in zip(*pieces, strict=True)
            ],
            ridge=np.asarray(problem.ridge),
            loss=problem.loss,
            reduction=problem.reduction,
            **options,
        )

    def replace(self, **changes: Any) -> "PartitionedProblem":
        """A copy with another ``ridge``, ``loss``, ``reduction`` or ``executor``.

        Args:
            changes: of these arguments.
        """
        copied = object.__new__(type(self))
        vars(copied).update(vars(self))
        checked: dict[str, Callable[[Any], Any]] = {
            "ridge": lambda value: _ridges(value, len(self.ridge)),
            "loss": resolve,
            "reduction": lambda value: checks.choice("reduction", value, REDUCTIONS),
            "executor": executors.checked,
        }
        for name, value in changes.items():
            checks.choice("the name of a change", name, checked)
            setattr(copied, name, checked[name](value))
        _check(self.survey, copied.ridge)
        return copied

    def __repr__(self) -> str:
        kept, forgotten = self.survey.rows.tolist()
        return (
            f"PartitionedProblem({len(self.partitions)} partitions, {kept:,} rows to keep,"
            f" {forgotten:,} to forget, {len(self.ridge)} columns, {self.loss.name} loss,"
            f" {self.reduction}s)"
        )

    @property
    def totals(self) -> Float[np.ndarray, " 2"]:
        """The total weight of the kept and of the forgotten rows."""
        return self.survey.weight.sum(1)

    @property
    def size_ratio(self) -> float:
        """f/r, the ratio of the total weights."""
        kept, forgotten = self.totals.tolist()
        return forgotten / kept

    @property
    def pretrain_strength(self) -> Float[np.ndarray, ""]:
        """The strength at which the path is pretraining, as for an Objective."""
        return np.asarray(-self.size_ratio if self.reduction == "mean" else -1.0)

    def sums(self, weights: Float[np.ndarray, " d"]) -> Sums:
        """All sums at ``weights``: one pass over the rows.

        Raises: ``ValueError`` for weights of another shape.
        """
        point = np.asarray(weights, float)
        if point.shape != self.ridge.shape:
            raise ValueError(f"weights must have shape {self.ridge.shape}, got {point.shape}")
        items = [(partition, self.loss, point) for partition in self.partitions]
        found = compensated(executors.in_order(self.executor, summed, items))
        if self.watch is not None:
            self.watch()
        return found

    def bounded_below(self, strength: float) -> bool:
        """Whether the objective is bounded below along a column without ridge."""
        free = self.ridge == 0
        units = self.totals if self.reduction == "mean" else np.ones(2)
        kept, forgotten = self.survey.sides[..., free] / units[:, None, None]
        total = kept - strength * forgotten
        return bool(np.all(total >= 0))


def _held(rows: PartitionRows) -> PartitionRows:
    """A partition that is in memory."""
    return rows


def _ridges(ridge: ArrayLike, dimension: int) -> Float[np.ndarray, " d"]:
    with jax.enable_x64(True):
        given = np.asarray(checks.nonnegative("ridge", ridge), float)
    if given.ndim == 0:
        given = np.full(dimension, given)
    if given.shape != (dimension,):
        raise ValueError(
            f"ridge must be one number or have shape ({dimension},), one per column,"
            f" got {given.shape}"
        )
    free = np.flatnonzero(given == 0)
    if len(free) > 1:
        raise ValueError(
            "ridge must be > 0 for all columns but one (an intercept) where rows come in"
            f" partitions, got 0 at {', '.join(map(str, free[:5]))}"
        )
    return given


def _check(survey: Survey, ridge: Float[np.ndarray, " d"]) -> None:
    """Both sets have weight, each class stays, and no column without ridge lets weights diverge."""
    for name, weight in zip(("retain", "forget"), survey.weight, strict=True):
        if not weight.sum() > 0:
            raise ValueError(f"forget must leave both sets with samples: the {name} set has none")
    kept, forgotten = survey.weight
    for label, left, gone in zip((-1, 1), kept, forgotten, strict=True):
        if gone > 0 and not left > 0:
            raise ValueError(
                "forget must leave each class in the retain set: it takes all samples with"
                f" label {label:+d}"
            )
    for column in np.flatnonzero(ridge == 0):
        if not np.all(survey.sides[0, :, column] > 0):
            raise ValueError(
                f"ridge must be > 0 at index ({column},): on the retain set y_i x_i{column} has one"
                " sign only, so without a penalty no finite weight is best"
            )


# What happens to a partition, here or in a worker ------------------------------------------------


def surveyed(partition: Partition, number: int) -> Survey:
    """The survey of one partition.

    Args:
        partition: gives the rows.
        number: of the partition, for errors.
    Raises: ``ValueError`` for rows of wrong shapes, or numbers that are not finite.
    """
    rows = _checked(partition(), number)
    weight = np.asarray(rows.sample_weight)
    sets = (~rows.forget, rows.forget)
    by_class = [
        [np.sum(weight[chosen & (rows.labels == label)]) for label in (-1, 1)] for chosen in sets
    ]
    sides = np.zeros((2, 2, rows.features.shape[1]))
    for index, chosen in enumerate(sets):
        for types, block_weight in _blocks(rows, chosen):
            sides[index, 0] += block_weight @ np.maximum(types, 0)
            sides[index, 1] += block_weight @ np.maximum(-types, 0)
    return Survey(
        rows=np.array([np.sum(chosen) for chosen in sets]),
        weight=np.array(by_class, float),
        sides=sides,
    )


def _checked(rows: PartitionRows, number: int) -> PartitionRows:
    """The rows as arrays of float64, validated."""
    features = np.asarray(rows.features, float)
    labels, forget = np.asarray(rows.labels, float), np.asarray(rows.forget)
    weight = np.ones(len(labels)) if rows.sample_weight is None else rows.sample_weight
    weight = np.asarray(weight, float)
    where = f"partition {number}"
    if features.ndim != 2 or {labels.shape, forget.shape, weight.shape} != {(len(features),)}:
        raise ValueError(
            f"{where} must have features (n, d) and labels, forget and sample_weight (n,), got"
            f" {features.shape}, {labels.shape}, {forget.shape} and {weight.shape}"
        )
    if forget.dtype != bool:
        raise ValueError(f"{where}: forget must be a boolean mask, got dtype {forget.dtype}")
    if not np.all(np.abs(labels) == 1):
        raise ValueError(f"{where}: labels must be -1 or +1")
    if not (np.all(np.isfinite(features)) and np.all(np.isfinite(weight) & (weight >= 0))):
        raise ValueError(f"{where}: features must be finite, and sample_weight finite and >= 0")
    return PartitionRows(features, labels, forget, weight)


def summed(partition: Partition, loss: Loss, weights: Float[np.ndarray, " d"]) -> Sums:
    """The sums over one partition.

    Args:
        partition: gives the rows.
        loss: of a margin.
        weights: of the model.
    """
    rows = partition()
    return jax.tree.map(
        lambda *parts: np.stack(parts),
        _sums_of(rows, ~rows.forget, loss, weights),
        _sums_of(rows, rows.forget, loss, weights),
    )


def _sums_of(
    rows: PartitionRows,
    chosen: Bool[np.ndarray, " n"],
    loss: Loss,
    weights: Float[np.ndarray, " d"],
) -> Sums:
    with jax.enable_x64(True):
        return compensated(
            Sums(*_block(loss, types, weight, weights)) for types, weight in _blocks(rows, chosen)
        )


@functools.partial(jax.jit, static_argnums=0)
def _block(loss: Loss, types, weight, weights):
    """The sums over one block: an objective without ridge."""
    objective = MarginObjective(types=types, coefficients=weight, ridge=np.zeros(len(weights)))
    local = objective.local(loss, weights)
    return *local, objective.hessian(loss, weights)


def _blocks(
    rows: PartitionRows, chosen: Bool[np.ndarray, " n"]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The types and weights of the chosen rows, in blocks of one shape.

    The last block is padded with rows of weight 0. There is at least one block. Its size is a power
    of 2, so that few are compiled.
    """
    where = np.flatnonzero(chosen)
    dimension = rows.features.shape[1]
    most = min(ROWS, max(LEAST, 2 ** int(math.log2(ENTRIES / dimension))))
    size = min(most, max(LEAST, 2 ** math.ceil(math.log2(len(where) + 1))))
    for begin in range(0, max(len(where), 1), size):
        part = where[begin : begin + size]
        types = np.zeros((size, dimension))
        weight = np.zeros(size)
        np.multiply(rows.features[part], rows.labels[part, None], out=types[: len(part)])
        weight[: len(part)] = 1 if rows.sample_weight is None else rows.sample_weight[part]
        yield types, weight
