"""Many forget sets in one file: masks, row numbers, or ids of the rows."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int, Shaped

from gda_theory.problem import arrays, reading
from gda_theory.problem.naming import listed, no_column
from gda_theory.problem.reading import Table
from gda_theory.problem.rows import Selected, as_text
from theory_common.printing.nouns import plural

if TYPE_CHECKING:
    import polars as pl

Sets = dict[str, Int[np.ndarray, " f"]]


def read(
    path: str,
    height: int,
    table: Callable[[], Table],
    id: str | None = None,
    *,
    allow_missing: bool = False,
) -> Selected:
    """The forget sets in a file, as row numbers by the names of the sets.

    Args:
        path: of an ``.npz`` file, each array of which is a set: a boolean mask, or row numbers, or
            ids if ``id`` is given. Or of a table (CSV, Parquet, ...) of two columns: the name of
            the set, and a row number or an id.
        height: the number of rows of the data.
        table: makes the table of the data. It is called only for ids.
        id: the column of the data that holds the ids.
        allow_missing: accept ids that no row has.
    Returns: a selection with ``sets``. Its mask holds no row, since no single set is meant.
    Raises: ``ValueError`` that names the set, the row number or the ids at fault.
    """
    packed = arrays.holds_arrays(path)
    given = arrays.unpacked(path) if packed else _grouped(path)
    if not given:
        raise ValueError(f"forget_sets: {path} holds no set")
    source = ids = None
    if id is not None:
        source = table()
        if id not in source.frame.columns:
            raise ValueError(f"id: {no_column(source.source, id, source.frame.columns)}")
        ids = _places(as_text(source.frame[id]))
    sets: Sets = {}
    missing: list[str] = []
    for name, values in given.items():
        if values.dtype == bool or ids is None:
            sets[name] = _numbered(path, name, values, height)
        else:
            sets[name], unknown = _identified(ids, values)
            missing += unknown
    if missing and not allow_missing:
        raise ValueError(
            f"forget_sets: {plural(len(missing), 'id')} of {path} match no row in column {id!r}:"
            f" {listed(dict.fromkeys(missing))}; --allow-missing accepts them"
        )
    for name, rows in sets.items():
        if not 0 < len(rows) < height:
            raise ValueError(
                f"forget_sets: set {name!r} must leave both rows to keep and rows to forget, got"
                f" {len(rows)} of {height}"
            )
    sizes = [len(rows) for rows in sets.values()]
    by = "by number, counted from 0" if id is None else f"by {id}"
    many = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    note = f"in {plural(len(sets), 'set')} of {many} rows, {by}, from {path}"
    columns = () if id is None else (id,)
    return Selected(np.zeros(height, bool), columns, note, sets)


def _grouped(path: str) -> dict[str, Shaped[np.ndarray, " f"]]:
    """The second column by the first, as texts, in the order of the file."""
    import polars as pl

    frame = reading.read(path).frame
    if frame.width != 2:
        raise ValueError(
            f"forget_sets: {path} must have two columns, the name of a set and a row number or an"
            f" id, got {listed(frame.columns)}"
        )
    name, value = frame.columns
    texts = frame.select(as_text(frame[name]).alias("set"), as_text(frame[value]).alias("id"))
    if texts.null_count().sum_horizontal()[0]:
        raise ValueError(f"forget_sets: {path} must have no empty cells")
    groups = texts.group_by("set", maintain_order=True).agg(pl.col("id"))
    return {key: np.array(values) for key, values in groups.iter_rows()}


def _places(cells: "pl.Series") -> dict[str, list[int]]:
    """The rows of each id."""
    places: dict[str, list[int]] = {}
    for row, cell in enumerate(cells.to_list()):
        places.setdefault(cell, []).append(row)
    return places


def _identified(
    places: dict[str, list[int]], values: Shaped[np.ndarray, " f"]
) -> tuple[Int[np.ndarray, " f"], list[str]]:
    """The rows that have one of the ids, and the ids that no row has."""
    wanted = list(dict.fromkeys(map(str, values.tolist())))
    found = [row for value in wanted for row in places.get(value, ())]
    return np.array(sorted(found), int), [value for value in wanted if value not in places]


def _numbered(
    path: str, name: str, values: Shaped[np.ndarray, "..."], height: int
) -> Int[np.ndarray, " f"]:
    """Row numbers from a mask or from numbers, sorted, each once."""
    if values.dtype == bool and values.shape == (height,):
        return np.flatnonzero(values)
    written = values.dtype.kind == "U"
    # A text such as 007 is an id.
    if written and all(re.fullmatch("0|[1-9][0-9]*", text) for text in values.ravel()):
        values = values.astype(int)
    numbers = values
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
        raise ValueError(
            f"forget_sets: set {name!r} of {path} must be a boolean mask of {height} rows or row"
            f" numbers, got {values.dtype} of shape {values.shape}, such as"
            f" {values.ravel()[:1].tolist()}; for ids say --id COLUMN"
        )
    outside = numbers[(numbers < 0) | (numbers >= height)]
    if len(outside):
        raise ValueError(
            f"forget_sets: row numbers must be from 0 to {height - 1}, got {outside[0]} in set"
            f" {name!r} of {path}"
        )
    return np.unique(numbers)
