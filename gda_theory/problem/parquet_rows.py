"""The files of a folder of Parquet files in pieces, and which of their rows are to be forgotten."""

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gda_theory.problem import rows
from gda_theory.problem.naming import no_column
from gda_theory.problem.reading import Table, partitions
from gda_theory.problem.rows import Selected
from theory_common.batching import executors

if TYPE_CHECKING:
    import polars as pl

CELLS = 2**25  # of one partition, at most: 256 MiB as floats


class RowsAsked(NamedTuple):
    """Which rows to forget; the arguments are those of :func:`gda_theory.from_parquet`."""

    forget: str | None = None
    forget_ids: str | None = None
    id: str | None = None
    allow_missing: bool = False
    seed: int = 0


class Piece(NamedTuple):
    """Some consecutive rows of a file."""

    path: str
    start: int
    height: int

    def read(self, columns: Sequence[str]) -> "pl.DataFrame":
        """These columns of the rows."""
        import polars as pl

        return pl.scan_parquet(self.path).slice(self.start, self.height).select(columns).collect()


def in_pieces(source: str) -> tuple[list[str], list[Piece]]:
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


# Which rows ------------------------------------------------------------------------------------


def selected(
    source: str,
    names: Sequence[str],
    pieces: Sequence[Piece],
    which: RowsAsked,
    executor: Executor | None,
) -> Selected:
    """The rows that are asked for.

    Raises: ``ValueError`` that names the argument at fault.
    """
    forget, forget_ids, id = which.forget, which.forget_ids, which.id
    if (forget is None) == (forget_ids is None) or (forget_ids is None) != (id is None):
        raise ValueError("give either forget, or forget_ids with the id column")
    if forget_ids is not None and id is not None:
        return _by_ids(source, names, pieces, forget_ids, id, which.allow_missing, executor)
    assert forget is not None
    return _selected(source, names, pieces, forget, which.seed, executor)


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
