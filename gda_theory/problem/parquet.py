"""A folder of Parquet files as a problem whose rows come in partitions.

Three passes prepare it: the rows to forget, the sums of each column, and the survey of the problem.
Each is a map over the files, in threads or on an executor. No file is read whole if it is large.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, UInt8

from gda_theory.problem import column_sums, parquet_rows, prepared, rows
from gda_theory.problem.column_sums import ColumnSums, Levels, Scaled
from gda_theory.problem.losses import Loss
from gda_theory.problem.naming import listed, no_column
from gda_theory.problem.parquet_rows import Piece, RowsAsked
from gda_theory.problem.partitions import PartitionedProblem, PartitionRows
from gda_theory.problem.prepared import Choices
from gda_theory.problem.rows import Selected
from theory_common import checks
from theory_common.batching import executors
from theory_common.precision import ArrayLike
from theory_common.printing.nouns import plural

if TYPE_CHECKING:
    import polars as pl

Answer = TypeVar("Answer")


class Plan(NamedTuple):
    """How rows become features and labels: a column each, and the label that is +1."""

    columns: tuple[Scaled | Levels, ...]
    label: str
    positive: Any
    intercept: bool


class LabelValues(NamedTuple):
    """The values of the label in some rows, and in how many it is missing."""

    values: frozenset
    missing: int


class PlannedFiles(NamedTuple):
    """Parquet files whose columns have been looked at: how their rows become those of a problem.

    ``masks`` says for each piece which rows are to be forgotten. ``classes`` are the labels that
    are -1 and +1. ``notes`` say what was decided.
    """

    pieces: tuple[Piece, ...]
    masks: tuple[Bool[np.ndarray, " k"], ...]
    plan: Plan
    classes: tuple[str, str]
    notes: tuple[str, ...]

    @property
    def paths(self) -> list[str]:
        """The files, in order."""
        return list(dict.fromkeys(piece.path for piece in self.pieces))

    @property
    def forget(self) -> Bool[np.ndarray, " n"]:
        """The rows to forget, over all files."""
        return np.concatenate(self.masks)

    def problem(
        self,
        *,
        ridge: ArrayLike = 1e-2,
        loss: str | Loss = "logistic",
        reduction: str = "mean",
        intercept: bool = False,
        executor: Executor | None = None,
        watch: Callable[[], object] | None = None,
    ) -> PartitionedProblem:
        """The problem of these rows; the arguments are those of :func:`from_parquet`."""
        names = [name for column in self.plan.columns for name in column.names]
        penalty = float(checks.positive("ridge", ridge))
        plan = self.plan._replace(intercept=intercept)
        return PartitionedProblem(
            [
                functools.partial(read_rows, piece, plan, np.packbits(mask))
                for piece, mask in zip(self.pieces, self.masks, strict=True)
            ],
            ridge=np.append(np.full(len(names), penalty), [0.0] * intercept),
            loss=loss,
            reduction=reduction,
            executor=executor,
            names=names,
            notes=self.notes,
            watch=watch,
        )


def from_parquet(
    source: str,
    *,
    label: str | None,
    forget: str | None = None,
    forget_ids: str | None = None,
    id: str | None = None,
    allow_missing: bool = False,
    seed: int = 0,
    choices: Choices | None = None,
    ridge: ArrayLike = 1e-2,
    loss: str | Loss = "logistic",
    reduction: str = "mean",
    intercept: bool = False,
    executor: Executor | None = None,
    watch: Callable[[], object] | None = None,
) -> PartitionedProblem:
    """The problem of all Parquet files in a folder, or that match a pattern, in order of names.

    Args:
        source: a folder, a pattern such as ``"sales/*.parquet"``, or one file.
        label, forget, forget_ids, id, allow_missing, seed: as in
            :func:`gda_theory.problem.tables.load`. Rows are counted from 0 over all files.
        choices: which columns are features, and how they are scaled.
        ridge: > 0, of the features.
        loss, reduction: as in :class:`gda_theory.Problem`.
        intercept: add a last column of ones that carries no ridge.
        executor: where files are read and summed. Its workers must see the files by the same names.
        watch: called after each pass over the rows, to show progress.
    Returns: the problem. Its ``notes`` say what was decided.
    Raises: ``ValueError`` that names the file; or the label, the rows and the columns at fault, all
        at once. ``OSError`` for a file that cannot be read.
    """
    which = RowsAsked(forget, forget_ids, id, allow_missing, seed)
    planned = planned_files(source, label, which, choices or Choices(), executor)
    return planned.problem(
        ridge=ridge,
        loss=loss,
        reduction=reduction,
        intercept=intercept,
        executor=executor,
        watch=watch,
    )


def planned_files(
    source: str,
    label: str | None,
    which: RowsAsked,
    choices: Choices,
    executor: Executor | None = None,
) -> PlannedFiles:
    """How the rows of Parquet files become those of a problem.

    Arguments and errors are those of :func:`from_parquet`.
    """
    executor = executors.checked(executor)
    names, pieces = parquet_rows.in_pieces(source)
    faults: list[str] = []

    def tried(function: Callable[..., Answer], *arguments: Any) -> Answer | None:
        try:
            return function(*arguments)
        except ValueError as error:
            said = str(error)
            faults.append(said.removeprefix(f"{source}: ") if faults else said)
            return None

    known = tried(_checked_label, source, label, names)
    chosen = tried(parquet_rows.selected, source, names, pieces, which, executor)
    faults += [
        f"{option}: {no_column(source, name, names)}"
        for option, given in (("drop", choices.drop), ("keep", choices.keep))
        for name in given
        if name not in names
    ]
    there = choices._replace(
        drop=[name for name in choices.drop if name in names],
        keep=[name for name in choices.keep if name in names],
    )
    # Without rows to forget, or without a label, the columns are judged all the same.
    height = sum(piece.height for piece in pieces)
    selected = chosen or Selected(np.zeros(height, bool), (), "")
    features = tried(prepared.features_of, source, names, known, selected, there)
    masks = np.split(selected.mask, np.cumsum([piece.height for piece in pieces])[:-1])
    found = None
    if features is not None:
        fitted = [prepared.fitted_rows(mask, choices.scale_on) for mask in masks]
        found = tried(_planned, source, pieces, fitted, features[0], known, there, executor)
    if faults or known is None or features is None or found is None:
        raise ValueError("; ".join(faults))
    columns, classes, decisions = found
    files = len({piece.path for piece in pieces})
    notes = (
        f"{source}: {len(selected.mask):,} rows in {plural(files, 'file')} and"
        f" {plural(len(pieces), 'partition')},"
        f" {plural(sum(len(one.names) for one in columns), 'feature')}",
        f"to forget: {rows.described(selected)}",
        *features[1],
        f"label {known}: {classes[1]} is +1, {classes[0]} is -1",
        *decisions,
    )
    return PlannedFiles(
        pieces=tuple(pieces),
        masks=tuple(masks),
        plan=Plan(tuple(columns), known, classes[1], intercept=False),
        classes=(str(classes[0]), str(classes[1])),
        notes=notes,
    )


def _checked_label(source: str, label: str | None, names: Sequence[str]) -> str:
    if label is None:
        raise ValueError(f"{source}: label must name a column, one of {listed(names)}")
    if label not in names:
        raise ValueError(f"label: {no_column(source, label, names)}")
    return label


# Columns ---------------------------------------------------------------------------------------


def _planned(
    source: str,
    pieces: Sequence[Piece],
    fitted: Sequence[Bool[np.ndarray, " k"]],
    used: Sequence[str],
    label: str | None,
    choices: Choices,
    executor: Executor | None,
) -> tuple[list[Scaled | Levels], list[Any], list[str]]:
    """The plan of each column, the two classes, and what was decided.

    Raises: ``ValueError`` that names all columns at fault.
    """
    first = pieces[0]._replace(height=1).read(used)
    origins = tuple(column_sums.origin_of(first[name]) for name in used)
    items = [
        (piece, tuple(used), origins, label, np.packbits(mask))
        for piece, mask in zip(pieces, fitted, strict=True)
    ]
    labels, sums = _merged(executors.in_order(executor, surveyed_columns, items))
    classes = _sorted(labels.values)
    decided = [
        column_sums.decided(
            name, one, origin, keep=name in choices.keep, standardize=choices.standardize
        )
        for name, one, origin in zip(used, sums, origins, strict=True)
    ]
    faults = [] if label is None else _faults_of_label(label, labels, classes)
    faults += [
        f"column {name!r} {one.fault}" for name, one in zip(used, decided, strict=True) if one.fault
    ]
    plans = [one.plan for one in decided if one.plan is not None]
    told = [f"  {one.decision}" for one in decided if one.decision]
    if not plans and not any(one.fault for one in decided):
        faults.append(f"no column is left as a feature: {'; '.join(told)}")
    if faults:
        raise ValueError(f"{source}: {'; '.join(faults)}")
    scaled = prepared.SCALE_ON[choices.scale_on]
    count = sum(int(np.sum(mask)) for mask in fitted)
    notes = [f"{plural(len(told), 'column')} needed a decision:"] if told else []
    notes += told
    notes.append(
        f"features standardised on {count:,} {scaled}"
        if choices.standardize
        else "features as they are, not standardised"
    )
    return plans, classes, notes


def _faults_of_label(label: str, labels: LabelValues, classes: list) -> list[str]:
    faults = []
    if labels.missing:
        faults.append(f"the label {label!r} is missing in {plural(labels.missing, 'row')}")
    if len(classes) != 2:
        shown = ", ".join(map(repr, classes[:5])) + ", ..." * (len(classes) > 5)
        more = "; forget --in-memory takes more" if len(classes) > 2 else ""
        faults.append(f"label {label!r} must have two values, got {len(classes)}: {shown}{more}")
    return faults


def surveyed_columns(
    piece: Piece,
    used: Sequence[str],
    origins: Sequence[int],
    label: str | None,
    fitted: UInt8[np.ndarray, " bytes"],
) -> tuple[LabelValues, list[ColumnSums]]:
    """The values of the label, if there is one, and the sums of each column, in one piece."""
    frame = piece.read(used if label is None else [*used, label])
    mask = np.unpackbits(fitted, count=piece.height).astype(bool)
    values = LabelValues(frozenset(), 0)
    if label is not None:
        labels = _labels(frame[label])
        values = LabelValues(frozenset(labels.drop_nulls().unique()), labels.null_count())
    return (
        values,
        [
            column_sums.sums_of(frame[name], mask, origin)
            for name, origin in zip(used, origins, strict=True)
        ],
    )


def _merged(found: Iterator[tuple[LabelValues, list[ColumnSums]]]) -> tuple[LabelValues, list]:
    labels, sums = next(found)
    for other_labels, other_sums in found:
        labels = LabelValues(
            labels.values | other_labels.values, labels.missing + other_labels.missing
        )
        sums = [column_sums.merged(*pair) for pair in zip(sums, other_sums, strict=True)]
    return labels, sums


def _labels(series: "pl.Series") -> "pl.Series":
    """Labels as numbers if they are, else as text, with null for what is missing."""
    return (
        series.fill_nan(None)
        if series.dtype.is_float()
        else (series if series.dtype.is_numeric() else rows.as_text(series))
    )


def _sorted(values: frozenset) -> list:
    """In order of numbers if all are numbers, or texts of numbers; else by alphabet."""
    try:
        return sorted(values, key=float)
    except ValueError:
        return sorted(values)


def read_rows(piece: Piece, plan: Plan, forget: UInt8[np.ndarray, " bytes"]) -> PartitionRows:
    """The rows of a piece: a partition of the problem."""
    frame = piece.read([*(column.name for column in plan.columns), plan.label])
    features = column_sums.features(frame, plan.columns)
    if plan.intercept:
        features = np.column_stack([features, np.ones(len(features))])
    positive = (_labels(frame[plan.label]) == plan.positive).to_numpy()
    return PartitionRows(
        features=features,
        labels=np.where(positive, 1.0, -1.0),
        forget=np.unpackbits(forget, count=piece.height).astype(bool),
    )
