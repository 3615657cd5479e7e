"""A data set of scikit-learn or a CSV file, and what to forget of it, as the arrays of a :class:`gda_theory.problem.problem.Problem`."""

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from gda_theory.problem.problem import Problem
from theory_common import checks

BUILT_IN = ("breast_cancer", "digits", "iris", "wine")


class Dataset(NamedTuple):
    """Rows to keep and rows to forget. ``classes`` are the labels that became -1 and +1; ``notes`` say what was done to the data."""

    features: Float[np.ndarray, "n d"]
    labels: Float[np.ndarray, " n"]
    forget: Bool[np.ndarray, " n"]
    names: tuple[str, ...]
    classes: tuple[str, str]
    notes: tuple[str, ...]

    def problem(
        self, *, ridge, loss="logistic", reduction="mean", intercept: bool = False
    ) -> Problem:
        """The :class:`Problem` of these rows; with ``intercept`` a last column of ones that carries no ridge, as in scikit-learn."""
        if not intercept:
            return Problem(
                self.features, self.labels, self.forget, ridge=ridge, loss=loss, reduction=reduction
            )
        checks.positive("ridge", ridge)
        features = np.column_stack([self.features, np.ones(len(self.features))])
        ridges = np.append(np.full(self.features.shape[1], float(ridge)), 0.0)
        return Problem(
            features, self.labels, self.forget, ridge=ridges, loss=loss, reduction=reduction
        )


class Table(NamedTuple):
    """Named columns of text as they stand in a source, its label column among them, and the line of the file each row begins on."""

    source: str
    columns: dict[str, list[str]]
    label: str
    lines: tuple[int, ...]

    def place(self, row: int, column: str) -> str:
        """Where a cell is, for an error."""
        line = f"line {self.lines[row]}" if self.lines else f"row {row}"
        return f"{self.source}, {line}, column {column!r}"

    @property
    def height(self) -> int:
        """The number of rows."""
        return len(self.columns[self.label])


def load(
    source: str,
    *,
    label: str | None = None,
    forget: str,
    seed: int = 0,
    standardize: bool = True,
    drop: Sequence[str] = (),
) -> Dataset:
    """A data set and the rows to forget, checked, as arrays.

    Args:
        source: ``"breast_cancer"``; two classes of another set that comes with scikit-learn, such as ``"digits:3-8"`` or ``"iris:0-1"``;
            or the path of a CSV file (comma, semicolon or tab) whose first line names the columns.
        label: of a file, the column with the two classes; the larger one becomes +1 (numbers by value, else texts by alphabet).
        forget: ``"3,17,20-25"``: data rows, counted from 0, ranges with both ends; ``"random:N"``: N rows drawn without
            replacement from ``seed``; ``"COL==VALUE"``: the rows with that value.
        standardize: bring every feature to mean 0 and variance 1 over all rows; a constant one becomes 0.
        drop: columns that are not to be features. A column of text by which rows are selected is none either.

    Raises: ``ValueError`` naming file, line and column or the part of ``forget`` at fault; ``OSError`` for a file that cannot be opened.
    """
    table = (
        _built_in(source, label) if source.partition(":")[0] in BUILT_IN else _read(source, label)
    )
    unknown = [name for name in drop if name not in table.columns]
    if unknown:
        raise ValueError(f"drop: {_no_column(table, unknown[0])}")
    mask, selector, said = _selection(table, forget, seed)
    names = [name for name in table.columns if name not in (table.label, *drop)]
    if selector in names and not any(_is_number(text) for text in table.columns[selector]):
        names.remove(selector)
    if not names:
        raise ValueError(f"{table.source}: no column is left as a feature")
    features = np.column_stack([_numbers(table, name) for name in names])
    labels, classes = _labels(table)
    notes = [said, f"label {table.label}: {classes[1]} is +1, {classes[0]} is -1"]
    if standardize:
        from sklearn.preprocessing import StandardScaler

        with np.errstate(over="ignore", invalid="ignore"):
            immense = np.flatnonzero(~np.isfinite(features.var(axis=0)))
        if len(immense):
            raise ValueError(
                f"{table.source}: column {names[immense[0]]!r} is too large to be standardised: its variance overflows"
            )
        constant = int(np.sum(np.ptp(features, axis=0) == 0))
        # A constant column's mean is rounded, and rounding noise would be blown up to variance 1.
        features = np.where(
            np.ptp(features, axis=0) == 0, 0.0, StandardScaler().fit_transform(features)
        )
        became = (
            "" if not constant else f"; {constant} constant column{'s' * (constant > 1)} became 0"
        )
        notes.append(f"features standardised to mean 0, variance 1 over all rows{became}")
    else:
        notes.append("features as they are, not standardised")
    return Dataset(
        features,
        labels,
        mask,
        tuple(names),
        classes,
        (f"{table.source}: {len(labels)} rows, {len(names)} features", *notes),
    )


# Sources -----------------------------------------------------------------------------------------------------------------------


def _built_in(source: str, label: str | None) -> Table:
    """A data set that comes with scikit-learn, whose label column is called ``target``."""
    import sklearn.datasets

    name, _, pair = source.partition(":")
    if label is not None:
        raise ValueError(f"label is for files: {name} has its own classes, got label {label!r}")
    data = getattr(sklearn.datasets, f"load_{name}")()
    targets, values = data.target, data.data
    if name == "breast_cancer" and not pair:
        pair = "0-1"
    chosen = re.fullmatch(r"(\d+)-(\d+)", pair)
    known = np.unique(targets)
    if (
        not chosen
        or not {int(chosen[1]), int(chosen[2])} <= set(known.tolist())
        or int(chosen[1]) == int(chosen[2])
    ):
        raise ValueError(
            f"{name} needs two of its classes {known[0]}-{known[-1]}, such as {name}:0-1, got {source!r}"
        )
    rows = np.isin(targets, [int(chosen[1]), int(chosen[2])])
    # repr gives the shortest digits that read back to the same float, so nothing is lost on the way through text.
    columns = {
        str(key): [repr(x) for x in column.tolist()]
        for key, column in zip(data.feature_names, values[rows].T, strict=True)
    }
    columns["target"] = [str(x) for x in targets[rows].tolist()]
    return Table(source, columns, "target", ())


def _read(source: str, label: str | None) -> Table:
    """A CSV file, every row as long as the header."""
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(
            f"no file {source!r}, and no data set of that name (there are {', '.join(BUILT_IN)})"
        )
    if path.is_dir():
        raise IsADirectoryError(f"{source!r} is a folder, not a CSV file")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{source}, line {line}: not UTF-8 text (byte {raw[error.start]:#04x})"
        ) from None
    rows = _rows(source, text)
    if not rows:
        raise ValueError(f"{source} is empty; its first line must name the columns")
    (first, header), *body = rows
    header = [name.strip() for name in header]
    if all(_is_number(name) for name in header):
        raise ValueError(
            f"{source}, line {first}: the first line must name the columns, got numbers: {', '.join(header[:4])}"
        )
    repeated = {name for name in header if header.count(name) > 1}
    if repeated or "" in header:
        what = (
            f"{min(repeated)!r} more than once"
            if repeated - {""}
            else f"nothing for column {header.index('') + 1}"
        )
        raise ValueError(f"{source}, line {first}: each column needs a name of its own, got {what}")
    if not body:
        raise ValueError(f"{source} has no rows after its header")
    for line, cells in body:
        if len(cells) != len(header):
            raise ValueError(
                f"{source}, line {line}: expected {len(header)} cells, as in the header, got {len(cells)}"
            )
    columns = {
        name: [cells[index].strip() for _, cells in body] for index, name in enumerate(header)
    }
    table = Table(source, columns, label or "", tuple(line for line, _ in body))
    if label is None:
        raise ValueError(
            f"{source}: label must name the column with the classes, one of {_listed(columns)}"
        )
    if label not in columns:
        raise ValueError(f"label: {_no_column(table, label)}")
    return table


def _rows(source: str, text: str) -> list[tuple[int, list[str]]]:
    """The rows that are not blank, each with the line it begins on (a quoted cell may hold line breaks)."""
    first = text.lstrip().partition("\n")[0]
    # Not splitlines: it breaks lines at form feeds and other separators of Unicode too, which may stand in a cell.
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True
    )
    rows, begins = [], 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((begins, cells))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{source}, line {begins}: {error}") from None
    return rows


def _numbers(table: Table, name: str) -> np.ndarray:
    """A column as finite numbers."""
    texts = table.columns[name]
    for row, text in enumerate(texts):
        if not _is_number(text):
            if not any(_is_number(other) for other in texts):
                raise ValueError(
                    f"{table.place(row, name)}: {text!r} is not a number; a column of text must be encoded first, or dropped"
                )
            what = "is empty" if text == "" else f"has {text!r}, which is not a finite number"
            raise ValueError(f"{table.place(row, name)}: the cell {what}")
    return np.array([float(text) for text in texts])


def _labels(table: Table) -> tuple[np.ndarray, tuple[str, str]]:
    """The label column as -1 and +1, and what they were."""
    texts = table.columns[table.label]
    if "" in texts:
        raise ValueError(f"{table.place(texts.index(''), table.label)}: the cell is empty")
    values: list = (
        [float(text) for text in texts] if all(_is_number(text) for text in texts) else list(texts)
    )
    classes = sorted(set(values))
    if len(classes) != 2:
        shown = ", ".join(
            f"{value:g}" if isinstance(value, float) else repr(value) for value in classes[:5]
        )
        raise ValueError(
            f"{table.source}: label column {table.label!r} must have two values, got {len(classes)}: {shown}{', ...' * (len(classes) > 5)}"
        )
    first = {value: text for value, text in reversed(list(zip(values, texts, strict=True)))}
    return np.where(np.array([value == classes[1] for value in values]), 1.0, -1.0), (
        first[classes[0]],
        first[classes[1]],
    )


def _is_number(text: str) -> bool:
    try:
        return "_" not in text and math.isfinite(float(text))  # Python's 1_0 is 10
    except ValueError:
        return False


def _no_column(table: Table, name: str) -> str:
    return f"{table.source} has no column {name!r}; it has {_listed(table.columns)}"


def _listed(names) -> str:
    shown = list(names)
    return ", ".join(map(repr, shown[:8])) + (
        f" and {len(shown) - 8} more" if len(shown) > 8 else ""
    )


# What to forget ----------------------------------------------------------------------------------------------------------------


def _selection(table: Table, forget: str, seed: int) -> tuple[np.ndarray, str | None, str]:
    """The mask that a forget specification means, the column it looks at, and a sentence that says so."""
    count = table.height
    column, equal, value = forget.partition("==")
    if equal:
        mask = _matches(table, column.strip(), value.strip())
        return (
            mask,
            column.strip(),
            f"to forget: {mask.sum()} rows where {column.strip()} is {value.strip()}",
        )
    if forget.startswith("random:"):
        mask = random_forget_set(count, _random_size(forget, count), seed)
        return mask, None, f"to forget: {mask.sum()} rows drawn at random (seed {seed})"
    mask = np.zeros(count, bool)
    mask[_listed_rows(forget, count)] = True
    if mask.all():
        raise ValueError(f"forget must leave rows to keep, got all {count} of them")
    return mask, None, f"to forget: {mask.sum()} of the rows, counted from 0"


def _matches(table: Table, column: str, value: str) -> np.ndarray:
    if column not in table.columns:
        raise ValueError(f"forget: {_no_column(table, column)}")
    texts = table.columns[column]
    if _is_number(value):
        mask = np.array([_is_number(text) and float(text) == float(value) for text in texts])
    else:
        mask = np.array([text == value for text in texts])
    if not mask.any():
        raise ValueError(
            f"forget: no row of {table.source} has {value!r} in column {column!r}; it has {_listed(sorted(set(texts)))}"
        )
    return mask


def random_forget_set(count: int, size: int, seed: int) -> np.ndarray:
    """A mask ``(count,)`` of ``size`` rows drawn without replacement: what ``random:size`` means with this seed."""
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed must fit 64 bits, got {seed}")
    mask = np.zeros(count, bool)
    mask[np.asarray(jax.random.choice(jax.random.key(seed), count, (size,), replace=False))] = True
    return mask


def _random_size(forget: str, count: int) -> int:
    size = forget.removeprefix("random:")
    if not size.isdecimal() or not 1 <= int(size) < count:
        raise ValueError(
            f"forget must be random:N with 1 <= N < {count}, the number of rows, got {forget!r}"
        )
    return int(size)


def _listed_rows(forget: str, count: int) -> np.ndarray:
    rows: set[int] = set()
    for part in forget.split(","):
        found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if not found:
            raise ValueError(
                f"forget must be rows such as 3,17,20-25, or random:N, or COL==VALUE, got {part.strip()!r} in {forget!r}"
            )
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last >= count:
            raise ValueError(
                f"forget: rows are counted from 0 to {count - 1} and ranges ascend, got {part.strip()!r}"
            )
        rows |= set(range(first, last + 1))
    return np.array(sorted(rows))
