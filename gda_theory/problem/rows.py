"""Which rows: numbers, a random draw, a value, an SQL condition, or a file of ids.

An identity is compared as text, as it is written in a text file. Integers are compared exactly.
"""

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from gda_theory.problem import reading
from gda_theory.problem.naming import listed, no_column
from gda_theory.problem.random_rows import random_forget_set
from gda_theory.problem.reading import Table
from theory_common.printing.nouns import plural

if TYPE_CHECKING:
    import polars as pl

EXACT = 2**53  # every whole number up to it is a float
SHOWN = 3
_ORDER = ("<", ">", "<=", ">=")
_EQUAL = ("=", "==", "!=", "<>")
_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\d[\w.]*|[^\W\d]\w*|<=|>=|<>|!=|==|\S""", re.UNICODE
)


class Selected(NamedTuple):
    """The rows that were selected: a mask, the columns that decided, and how they were selected.

    Of many forget sets ``sets`` holds the row numbers by name, and the mask holds no row.
    """

    mask: Bool[np.ndarray, " n"]
    columns: tuple[str, ...]
    note: str
    sets: Mapping[str, Int[np.ndarray, " f"]] = MappingProxyType({})


def select(
    source: str,
    height: int,
    forget: str,
    *,
    seed: int,
    table: Callable[[], Table],
) -> Selected:
    """The rows that ``forget`` means.

    Args:
        source: the name of the data, for errors.
        height: the number of rows.
        forget: ``"3,17,20-25"`` or ``"rows 3,17"``: numbers from 0, ranges with both ends.
            ``"random:N"``: a random draw of N rows. ``"COL==VALUE"``: the rows whose cell is
            written so. Anything else is an SQL condition, such as ``"branch = 7 and opened <
            '2020-01-01'"``.
        seed: of the random draw.
        table: makes the table. It is called only if its cells decide.
    Returns: the rows, at least one and not all.
    Raises: ``ValueError`` that names the part of ``forget`` at fault.
    """
    numbers = re.fullmatch(r"(?:rows\b)?([\d\s,-]*)", forget.strip())
    if numbers:
        found = _numbered(forget, numbers[1], height)
    elif forget.startswith("random:"):
        mask = random_forget_set(height, _random_size(forget, height), seed)
        found = Selected(mask, (), f"drawn at random (seed {seed})")
    else:
        found = by_cells(table(), forget)
    if not found.mask.any():
        raise ValueError(f"forget: no row of {source} meets {forget!r}")
    return checked(found)


def checked(selected: Selected) -> Selected:
    """The rows, if some are selected and some are not.

    Raises: ``ValueError`` otherwise.
    """
    if not selected.mask.any() or selected.mask.all():
        raise ValueError(
            "forget must leave both rows to keep and rows to forget,"
            f" got {selected.mask.sum()} of {len(selected.mask)}"
        )
    return selected


def by_ids(table: Table, path: str, column: str, *, allow_missing: bool = False) -> Selected:
    """The rows whose id stands in a file, one id a line.

    Args:
        table: the rows.
        path: of the file with the ids. A first line that repeats the name of the column is skipped.
        column: the column with the ids.
        allow_missing: accept ids that no row has.
    Returns: the rows.
    Raises: ``ValueError`` that lists the ids that no row has.
    """
    if column not in table.frame.columns:
        raise ValueError(f"id: {no_column(table.source, column, table.frame.columns)}")
    ids = ids_in(path, column)
    cells = as_text(table.frame[column])
    found = set(cells.drop_nulls().to_list())
    mask = cells.is_in(ids).fill_null(False).to_numpy()
    return with_ids(table.source, mask, column, path, ids, found, allow_missing=allow_missing)


def ids_in(path: str, column: str) -> list[str]:
    """The ids in a file, one a line, each once. A first line may repeat the column's name.

    Raises: ``ValueError`` if there is none; ``OSError`` for a file that cannot be opened.
    """
    lines = reading.decode(path, reading.content(path)).splitlines()
    ids = [line.strip().removeprefix('"').removesuffix('"').strip() for line in lines]
    ids = list(dict.fromkeys(name for name in ids if name))
    if ids and ids[0] == column:
        ids = ids[1:]
    if not ids:
        raise ValueError(f"forget_ids: {path} holds no id")
    return ids


def with_ids(
    source: str,
    mask: Bool[np.ndarray, " n"],
    column: str,
    path: str,
    ids: Sequence[str],
    found: Set[str],
    *,
    allow_missing: bool,
) -> Selected:
    """The rows in ``mask``, which have the ``ids`` of a file; ``found`` are the ids of all rows.

    Raises: ``ValueError`` that lists the ids that no row has.
    """
    missing = sorted(set(ids) - found)
    if missing and not allow_missing:
        raise ValueError(
            f"forget_ids: {len(missing)} of {plural(len(ids), 'id')} match no row of"
            f" {source} in column {column!r}: {listed(missing)};"
            " --allow-missing accepts them"
        )
    if not mask.any():
        raise ValueError(f"forget_ids: no id in {path} matches a row of {source}")
    unmatched = f" ({len(missing)} match no row)" if missing else ""
    return checked(Selected(mask, (column,), f"whose {column} is among {len(ids)} ids{unmatched}"))


def words(forget: str | None) -> set[str]:
    """The words of ``forget`` that may be names of columns."""
    if forget is None:
        return set()
    return {*map(_unquoted, _TOKEN.findall(forget)), forget.partition("==")[0].strip()}


def described(selected: Selected) -> str:
    """How many rows were selected, and by what."""
    if selected.sets:
        return f"rows {selected.note}"
    return f"{plural(int(selected.mask.sum()), 'row')} {selected.note}"


def examples(
    pairs: Callable[[int], Iterable[tuple[str, object]]],
    mask: Bool[np.ndarray, " n"],
    width: int,
) -> list[str]:
    """Some of the rows in ``mask``, each on one line of at most ``width`` characters.

    Args:
        pairs: gives the name and the cell of each column of a row.
        mask: of the rows.
        width: of a line.
    """
    lines = []
    for row in np.flatnonzero(mask)[:SHOWN].tolist():
        some = itertools.islice(pairs(row), width)
        text = ", ".join(f"{name} {_shown(cell, width)}" for name, cell in some)
        line = f"  row {row}: {text}"
        lines.append(line if len(line) <= width else f"{line[: width - 3].rstrip()}...")
    return lines


def _shown(cell: object, width: int) -> str:
    return "empty" if cell is None else " ".join(str(cell)[:width].split())


def as_text(column: "pl.Series") -> "pl.Series":
    """A column as text. Whole numbers that are floats lose their point. NaN is missing."""
    import polars as pl

    if not column.dtype.is_float():
        return column.cast(pl.String)
    value = pl.col(column.name)
    whole = (value % 1 == 0) & (value.abs() <= EXACT)
    text = pl.when(whole).then(value.cast(pl.Int64, strict=False).cast(pl.String))
    return column.fill_nan(None).to_frame().select(text.otherwise(value.cast(pl.String)))[:, 0]


# Numbers ----------------------------------------------------------------------------------------


def _random_size(forget: str, count: int) -> int:
    size = forget.removeprefix("random:")
    if not size.isdecimal() or not 1 <= int(size) < count:
        raise ValueError(
            f"forget must be random:N with 1 <= N < {count}, the number of rows, got {forget!r}"
        )
    return int(size)


def _numbered(forget: str, numbers: str, count: int) -> Selected:
    mask = np.zeros(count, bool)
    mask[_listed_rows(forget, numbers, count)] = True
    return Selected(mask, (), "by number, counted from 0")


def _listed_rows(forget: str, numbers: str, count: int) -> Int[np.ndarray, " k"]:
    rows: set[int] = set()
    for part in numbers.split(","):
        found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if not found:
            raise ValueError(
                "forget must be rows such as 3,17,20-25, or random:N, or COL==VALUE, or an SQL"
                f" condition, got {part.strip()!r} in {forget!r}"
            )
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last >= count:
            raise ValueError(
                f"forget: row numbers must be from 0 to {count - 1} and ranges must ascend,"
                f" got {part.strip()!r}"
            )
        rows |= set(range(first, last + 1))
    return np.array(sorted(rows))


# Cells ------------------------------------------------------------------------------------------


def by_cells(table: Table, forget: str, *, must_match: bool = True) -> Selected:
    """The rows whose cells meet ``COL==VALUE`` or an SQL condition.

    Args:
        table: the rows, with all columns that ``forget`` names.
        forget: as in :func:`select`.
        must_match: raise an error if no row has the value. A part of a table need not have it.
    Raises: ``ValueError`` for a column that is not there, or what is no condition.
    """
    column, equal, value = (part.strip() for part in forget.partition("=="))
    if equal and column in table.frame.columns:
        whole = len(_TOKEN.findall(value)) <= 1 or not re.search(r"\b(?:and|or)\b", value, re.I)
        if whole:
            return _by_value(table, column, value, must_match)
    elif equal and len(_TOKEN.findall(column)) <= 1:
        raise ValueError(f"forget: {no_column(table.source, column, table.frame.columns)}")
    return _by_condition(table, forget)


def _by_value(table: Table, column: str, value: str, must_match: bool) -> Selected:
    import polars as pl

    series = table.frame[column]
    cells = as_text(series)
    wanted = value.lower() if series.dtype == pl.Boolean else value
    mask = (cells == wanted).fill_null(False).to_numpy()
    if must_match and not mask.any():
        raise ValueError(
            f"forget: no row of {table.source} has {value!r} in column {column!r};"
            f" it has {listed(cells.drop_nulls().unique().sort().to_list())}"
        )
    return Selected(mask, (column,), f"where {column} is {value}")


def _by_condition(table: Table, condition: str) -> Selected:
    import polars as pl

    tokens = _TOKEN.findall(condition)
    used = [name for name in map(_unquoted, tokens) if name in table.frame.columns]
    typed = typed_for_sql(table, used)
    with_numbers = _with_numbers(typed, used, table.decimal)
    rewritten = _rewritten(tokens, with_numbers)
    try:
        expression = pl.sql_expr(rewritten)
        names = expression.meta.root_names()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(
            f"forget: {condition!r} is no SQL condition: {str(error).partition(chr(10))[0]}"
        ) from None
    for name in names:
        if name not in with_numbers.columns:
            raise ValueError(
                f"forget: {no_column(table.source, name, table.frame.columns)}"
                "; text stands in single quotes"
            )
    try:
        answer = with_numbers.select(expression.alias("answer"))["answer"]
    except pl.exceptions.PolarsError as error:
        raise ValueError(
            f"forget: {condition!r} cannot be decided: {str(error).partition(chr(10))[0]}"
        ) from None
    if answer.dtype != pl.Boolean or len(answer) != table.frame.height:
        raise ValueError(f"forget: {condition!r} must be true or false for each row")
    return Selected(
        answer.fill_null(False).to_numpy(),
        tuple(dict.fromkeys(used)),
        f"where {' '.join(condition.split())}",
    )


def typed_for_sql(table: Table, names: Collection[str]) -> "pl.DataFrame":
    """The table, each of these text columns typed if every cell reads exactly as that type.

    Exactly means that the type writes every cell as it stands: ``007``, ``1.10`` and ``1e5`` stay
    text. The types are Boolean, integer, float and date.
    """
    import polars as pl

    return table.frame.with_columns(
        exact(table.frame[name], table.decimal)
        for name in dict.fromkeys(names)
        if table.frame[name].dtype == pl.String
    )


def exact(series: "pl.Series", decimal: str = ".") -> "pl.Series":
    """A text column in the first type that writes every cell as it stands, or as text."""
    import polars as pl

    if series.null_count() == len(series):
        return series
    if series.str.to_lowercase().is_in(["true", "false"]).all():
        return (series.str.to_lowercase() == "true").alias(series.name)
    whole = series.cast(pl.Int64, strict=False)
    if (whole.cast(pl.String) == series).fill_null(series.is_null()).all():
        return whole
    day = series.str.to_date("%Y-%m-%d", strict=False)
    if (day.cast(pl.String) == series).fill_null(series.is_null()).all():
        return day
    return _exact_float(series, decimal)


def _exact_float(series: "pl.Series", decimal: str) -> "pl.Series":
    import polars as pl

    written = series.str.replace(",", ".", literal=True) if decimal == "," else series
    number = written.cast(pl.Float64, strict=False)
    as_float = (number.cast(pl.String) == written).fill_null(False)
    as_whole = (written.cast(pl.Int64, strict=False).cast(pl.String) == written).fill_null(False)
    finite = number.is_finite().fill_null(False)
    plain = (as_float | as_whole) & finite
    if (plain | series.is_null()).all() and number.n_unique() == series.n_unique():
        return number
    return series


# The literals of a condition --------------------------------------------------------------------


def _numbers_of(name: str) -> str:
    return f"{name} as numbers"


def _with_numbers(typed: "pl.DataFrame", names: Sequence[str], decimal: str) -> "pl.DataFrame":
    """The table with a second, numeric column for each text column of numbers, to order by."""
    import polars as pl

    added = []
    for name in dict.fromkeys(names):
        if typed[name].dtype != pl.String:
            continue
        written = typed[name]
        if decimal == ",":
            written = written.str.replace(",", ".", literal=True)
        number = written.cast(pl.Float64, strict=False)
        if number.null_count() == written.null_count():
            added.append(number.alias(_numbers_of(name)))
    return typed.with_columns(added)


def _unquoted(token: str) -> str:
    return token[1:-1].replace('""', '"') if token.startswith('"') else token


def _is_number(token: str) -> bool:
    return token[:1].isdigit()


def _rewritten(tokens: list[str], frame: "pl.DataFrame") -> str:
    """The condition with the literals that fit the columns they are compared with.

    A number that is compared with a text column becomes text as it is written. If it is compared by
    order and the column holds numbers, the column is read as numbers instead. A text that is
    compared by order with a date becomes a date.
    """
    import polars as pl

    new = ["=" if token == "==" else token for token in tokens]
    for place, token in enumerate(tokens):
        name = _unquoted(token)
        if token.startswith("'") or name not in frame.columns:
            continue
        literals, ordered = _compared_with(tokens, place)
        new[place] = '"' + name.replace('"', '""') + '"'
        kind = frame[name].dtype
        if kind == pl.String and ordered and any(_is_number(tokens[at]) for at in literals):
            if _numbers_of(name) in frame.columns:
                new[place] = '"' + _numbers_of(name).replace('"', '""') + '"'
        elif kind == pl.String:
            _quote(tokens, new, literals)
        elif kind.is_float() and not ordered:
            _refuse_lossy(name, [tokens[at] for at in literals])
        elif kind.is_integer():
            for at in literals:
                if re.fullmatch(r"'-?\d+'", tokens[at]):
                    new[at] = tokens[at].strip("'")
        elif kind == pl.Date and not ordered:
            if any(tokens[at].startswith("'") for at in literals):
                new[place] = f"CAST({new[place]} AS VARCHAR)"
        elif kind.is_temporal():
            for at in literals:
                if tokens[at].startswith("'"):
                    what = "DATE" if len(tokens[at]) == len("'2020-01-01'") else "TIMESTAMP"
                    new[at] = f"{what} {tokens[at]}"
    return " ".join(new)


def _refuse_lossy(name: str, literals: list[str]) -> None:
    """Floats cannot tell large integers apart."""
    large = [token for token in literals if token.isdecimal() and int(token) > EXACT]
    if large:
        raise ValueError(
            f"forget: column {name!r} holds floats, which cannot tell {large[0]} from its"
            " neighbours; store it as text or integers"
        )


def _quote(tokens: list[str], new: list[str], literals: list[int]) -> None:
    """Write the numbers at these places as texts, each with the minus sign before it."""
    for at in literals:
        if _is_number(tokens[at]):
            minus = tokens[at - 1] == "-"
            new[at] = f"'{'-' * minus}{tokens[at]}'"
            if minus:
                new[at - 1] = ""


def _compared_with(tokens: list[str], place: int) -> tuple[list[int], bool]:
    """The places of the literals that the column at ``place`` is compared with.

    Returns: the places, and whether the comparison is by order.
    """
    after = [token.lower() for token in tokens[place + 1 :]]
    start = place + 1
    if after[:1] == ["not"]:
        after, start = after[1:], start + 1
    if after[:2] == ["in", "("]:
        end = start + (after.index(")") if ")" in after else len(after))
        return [at for at in range(start, end) if _is_literal(tokens[at])], False
    if after[:1] == ["between"]:
        end = next((n for n, word in enumerate(after) if word == "and"), len(after))
        inside = range(start, min(start + end + 3, len(tokens)))
        return [at for at in inside if _is_literal(tokens[at])][:2], True
    if after[:1] and after[0] in _ORDER + _EQUAL:
        skip = 2 if after[1:2] == ["-"] else 1
        places = [at for at in (start + skip,) if at < len(tokens) and _is_literal(tokens[at])]
        return places, after[0] in _ORDER
    if place >= 2 and tokens[place - 1] in _ORDER + _EQUAL and _is_literal(tokens[place - 2]):
        return [place - 2], tokens[place - 1] in _ORDER
    return [], False


def _is_literal(token: str) -> bool:
    return _is_number(token) or token.startswith("'")
