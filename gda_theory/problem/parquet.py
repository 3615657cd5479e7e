"""A folder of Parquet files as a problem whose rows come in partitions.

Three passes prepare it: the rows to forget, the sums of each column, and the survey of the problem.
Each is a map over the files, in threads or on an executor. No file is read whole if it is large.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from gda_theory.problem import column_sums, prepared, rows
from gda_theory.problem.column_sums import ColumnSums, Levels, Scaled
from gda_theory.problem.losses import Loss
from gda_theory.problem.naming import listed, no_column, plural
from gda_theory.problem.partitions import PartitionedProblem, PartitionRows
from gda_theory.problem.prepared import Choices
from gda_theory.problem.reading import Table, partitions
from gda_theory.problem.rows import Selected
from theory_common import checks
from theory_common.batching import executors
from theory_common.precision import ArrayLike

if TYPE_CHECKING:
    import polars as pl

CELLS = 2**25  # of one partition, at most: 256 MiB as floats


class Piece(NamedTuple):
    """Some consecutive rows of a file."""

    path: str
    start: int
    height: int

    def read(self, columns: Sequence[str]) -> "pl.DataFrame":
        """These columns of the rows."""
        import polars as pl

        return pl.scan_parquet(self.path).slice(self.start, self.height).select(columns).collect()


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
    Raises: ``ValueError`` that names the file, or all columns at fault; ``OSError`` for a file that
        cannot be read.
    """
    executor = executors.checked(executor)
    choices = choices or Choices()
    names, pieces = _pieces(source)
    if label is None or label not in names:
        if label is None:
            raise ValueError(f"{source}: label must name a column, one of {listed(names)}")
        raise ValueError(f"label: {no_column(source, label, names)}")
    if (forget is None) == (forget_ids is None) or (forget_ids is None) != (id is None):
        raise ValueError("give either forget, or forget_ids with the id column")
    if forget_ids is not None and id is not None:
        selected = _by_ids(source, names, pieces, forget_ids, id, allow_missing, executor)
    else:
        assert forget is not None
        selected = _selected(source, names, pieces, forget, seed, executor)
    used, apart = prepared.features_of(source, names, label, selected, choices)
    masks = _cut(selected.mask, pieces)
    positive, classes, plans, decisions = _planned(
        source, pieces, masks, used, label, choices, executor
    )
    width = sum(len(plan.names) for plan in plans)
    penalty = float(checks.positive("ridge", ridge))
    plan = Plan(tuple(plans), label, positive, intercept)
    parts = [
        functools.partial(read_rows, piece, plan, np.packbits(mask))
        for piece, mask in zip(pieces, masks, strict=True)
    ]
    files = len({piece.path for piece in pieces})
    notes = (
        f"{source}: {len(selected.mask):,} rows in {plural(files, 'file')} and"
        f" {plural(len(pieces), 'partition')}, {plural(width, 'feature')}",
        f"to forget: {rows.described(selected)}",
        *apart,
        f"label {label}: {classes[1]} is +1, {classes[0]} is -1",
        *decisions,
    )
    return PartitionedProblem(
        parts,
        ridge=np.append(np.full(width, penalty), [0.0] * intercept),
        loss=loss,
        reduction=reduction,
        executor=executor,
        names=[name for plan in plans for name in plan.names],
        notes=notes,
        watch=watch,
    )


def _pieces(source: str) -> tuple[list[str], list[Piece]]:
    """The names of the columns, and the files in pieces of at most ``CELLS`` cells."""
    import polars as pl

    paths = partitions(source)
    schema = None
    pieces = []
    for path in paths:
        try:
            found = dict(pl.read_parquet_schema(path))
            height = pl.scan_parquet(path).select(pl.len()).collect().item()
        except (pl.exceptions.PolarsError, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise ValueError(f"{path} is no Parquet file: {str(error).splitlines()[0]}") from None
        schema = schema or found
        wrong = [name for name, kind in schema.items() if found.get(name) != kind]
        if wrong or len(found) > len(schema):
            other = wrong or sorted(found.keys() - schema.keys())
            raise ValueError(f"{path} and {paths[0]} differ in column {other[0]!r}")
        most = max(1, CELLS // len(schema))
        for start in range(0, height, most):
            pieces.append(Piece(path, start, min(most, height - start)))
    if not pieces:
        raise ValueError(f"{source} has no rows")
    return list(schema or ()), pieces


def _cut(mask: Bool[np.ndarray, " n"], pieces: Sequence[Piece]) -> list[np.ndarray]:
    return np.split(mask, np.cumsum([piece.height for piece in pieces])[:-1])


# Which rows ------------------------------------------------------------------------------------


class _NeedsCells(Exception):
    """The rows are not given by their numbers."""


def _selected(
    source: str,
    names: Sequence[str],
    pieces: Sequence[Piece],
    forget: str,
    seed: int,
    executor: Executor | None,
) -> Selected:
    def table() -> Table:
        raise _NeedsCells

    try:
        height = sum(piece.height for piece in pieces)
        return rows.select(source, height, forget, seed=seed, table=table)
    except _NeedsCells:
        named = [name for name in names if name in forget] or list(names[:1])
    items = [(piece, source, named, tuple(names), forget) for piece in pieces]
    found = list(executors.in_order(executor, matching, items))
    mask = np.concatenate([one for one, _, _ in found])
    if not mask.any():
        raise ValueError(f"forget: no row of {source} meets {forget!r}")
    return rows.checked(Selected(mask, *found[0][1:]))


def matching(
    piece: Piece, source: str, named: Sequence[str], names: Sequence[str], forget: str
) -> tuple[np.ndarray, tuple[str, ...], str]:
    """The rows of a piece that meet a condition: mask, columns that decided, and a note."""
    frame = piece.read(named)
    try:
        found = rows.by_cells(Table(source, frame), forget, must_match=False)
    except ValueError:
        # With all its columns the error names those that there are.
        found = rows.by_cells(Table(source, piece.read(names)), forget, must_match=False)
    return found.mask, found.columns, found.note


def _by_ids(
    source: str,
    names: Sequence[str],
    pieces: Sequence[Piece],
    path: str,
    column: str,
    allow_missing: bool,
    executor: Executor | None,
) -> Selected:
    if column not in names:
        raise ValueError(f"id: {no_column(source, column, names)}")
    ids = rows.ids_in(path, column)
    found = list(executors.in_order(executor, with_id, [(piece, column, ids) for piece in pieces]))
    mask = np.concatenate([one for one, _ in found])
    met = frozenset().union(*(some for _, some in found))
    return rows.with_ids(source, mask, column, path, ids, met, allow_missing=allow_missing)


def with_id(piece: Piece, column: str, ids: list[str]) -> tuple[np.ndarray, frozenset]:
    """The rows of a piece that have one of the ids, and which ids they have."""
    cells = rows.as_text(piece.read([column])[column])
    mask = cells.is_in(ids).fill_null(False)
    return mask.to_numpy(), frozenset(cells.filter(mask).unique().to_list())


# Columns ---------------------------------------------------------------------------------------


def _planned(
    source: str,
    pieces: Sequence[Piece],
    masks: Sequence[np.ndarray],
    used: Sequence[str],
    label: str,
    choices: Choices,
    executor: Executor | None,
) -> tuple[Any, tuple[str, str], list[Scaled | Levels], list[str]]:
    """The label that is +1, both classes as text, the plan of each column, and the decisions."""
    fitted = [prepared.fitted_rows(mask, choices.scale_on) for mask in masks]
    first = pieces[0]._replace(height=1).read(used)
    origins = tuple(column_sums.origin_of(first[name]) for name in used)
    items = [
        (piece, tuple(used), origins, label, np.packbits(mask))
        for piece, mask in zip(pieces, fitted, strict=True)
    ]
    labels, sums = _merged(executors.in_order(executor, surveyed_columns, items))
    faults = []
    if labels.missing:
        faults.append(f"the label {label!r} is missing in {plural(labels.missing, 'row')}")
    classes = _sorted(labels.values)
    if len(classes) != 2:
        shown = ", ".join(map(repr, classes[:5])) + ", ..." * (len(classes) > 5)
        faults.append(f"label {label!r} must have two values, got {len(classes)}: {shown}")
    decided = [
        column_sums.decided(
            name, one, origin, keep=name in choices.keep, standardize=choices.standardize
        )
        for name, one, origin in zip(used, sums, origins, strict=True)
    ]
    faults += [
        f"column {name!r} {one.fault}" for name, one in zip(used, decided, strict=True) if one.fault
    ]
    if faults:
        raise ValueError(f"{source}: {'; '.join(faults)}")
    plans = [one.plan for one in decided if one.plan is not None]
    told = [f"  {one.decision}" for one in decided if one.decision]
    if not plans:
        raise ValueError(f"{source}: no column is left as a feature: {'; '.join(told)}")
    scaled = prepared.SCALE_ON[choices.scale_on]
    count = sum(int(np.sum(mask)) for mask in fitted)
    notes = [f"{plural(len(told), 'column')} needed a decision:"] if told else []
    notes += told
    notes.append(
        f"features standardised on {count:,} {scaled}"
        if choices.standardize
        else "features as they are, not standardised"
    )
    return classes[1], (str(classes[0]), str(classes[1])), plans, notes


def surveyed_columns(
    piece: Piece,
    used: Sequence[str],
    origins: Sequence[int],
    label: str,
    fitted: UInt8[np.ndarray, " bytes"],
) -> tuple[LabelValues, list[ColumnSums]]:
    """The values of the label, and the sums of each column, in one piece."""
    frame = piece.read([*used, label])
    mask = np.unpackbits(fitted, count=piece.height).astype(bool)
    labels = _labels(frame[label])
    values = labels.drop_nulls().unique().to_list()
    return (
        LabelValues(frozenset(values), labels.null_count()),
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
