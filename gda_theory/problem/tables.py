"""Reading data sets: features, labels and the rows to forget, from scikit-learn or a CSV file."""

import csv
import functools
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int, UInt32

from gda_theory.problem import bundled
from gda_theory.problem.losses import Loss
from gda_theory.problem.problem import Problem
from theory_common import checks
from theory_common.precision import ArrayLike


class Dataset(NamedTuple):
    """Rows to keep and rows to forget.

    ``classes`` are the labels that were mapped to -1 and +1. ``notes`` say how the data were
    prepared.
    """

    features: Float[np.ndarray, "n d"]
    labels: Float[np.ndarray, " n"]
    forget: Bool[np.ndarray, " n"]
    names: tuple[str, ...]
    classes: tuple[str, str]
    notes: tuple[str, ...]

    def problem(
        self,
        *,
        ridge: ArrayLike,
        loss: str | Loss = "logistic",
        reduction: str = "mean",
        intercept: bool = False,
    ) -> Problem:
        """The :class:`Problem` of these rows.

        Args:
            ridge, loss, reduction: as in :class:`Problem`.
            intercept: add a last column of ones that carries no ridge, as scikit-learn does.
        Returns: the problem.
        Raises: ``TypeError`` or ``ValueError`` as :class:`Problem`.
        """
        features = self.features
        ridges = ridge
        if intercept:
            penalty = float(checks.positive("ridge", ridge))
            ridges = np.append(np.full(features.shape[1], penalty), 0.0)
            features = np.column_stack([features, np.ones(len(features))])
        return Problem(
            features, self.labels, self.forget, ridge=ridges, loss=loss, reduction=reduction
        )


class Table(NamedTuple):
    """Named columns of text as they stand in a source, its label column among them.

    ``lines`` are the lines of the file on which the rows begin; empty if there is no file.
    """

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
    """A data set and the rows to forget, validated, as arrays.

    Args:
        source: ``"breast_cancer"``, two classes of another set of scikit-learn, or the path of a
            CSV file. Two classes are written ``"digits:3-8"`` or ``"iris:0-1"``. In the file cells
            are separated by comma, semicolon or tab, and the first line names the columns.
        label: the column of a file that holds the two classes. The larger class becomes +1. Numbers
            are compared by value, texts by alphabet.
        forget: ``"3,17,20-25"``: data rows, counted from 0, ranges with both ends.
            ``"random:N"``: N rows drawn without replacement from ``seed``.
            ``"COL==VALUE"``: the rows with that value.
        seed: a whole number of 64 bits.
        standardize: bring every feature to mean 0 and variance 1 over all rows; a constant one
            becomes 0.
        drop: columns that are not to be features. A text column that ``forget`` selects rows by is
            dropped too.
    Returns: :class:`Dataset`.
    Raises: ``ValueError`` that names file, line and column, or the part of ``forget`` at fault;
        ``OSError`` for a file that cannot be opened.
    """
    built_in = source.partition(":")[0] in bundled.BUILT_IN
    table = _built_in(source, label) if built_in else _read(source, label)
    unknown = [name for name in drop if name not in table.columns]
    if unknown:
        raise ValueError(f"drop: {_no_column(table, unknown[0])}")
    mask, selector, selected = _selection(table, forget, seed)
    names = _feature_names(table, drop, selector)
    features = np.column_stack([_numbers(table, name) for name in names])
    labels, classes = _labels(table)
    scaling = "features as they are, not standardised"
    if standardize:
        features, scaling = _standardised(table, names, features)
    notes = (
        f"{table.source}: {len(labels)} rows, {len(names)} features",
        selected,
        f"label {table.label}: {classes[1]} is +1, {classes[0]} is -1",
        scaling,
    )
    return Dataset(
        features=features,
        labels=labels,
        forget=mask,
        names=tuple(names),
        classes=classes,
        notes=notes,
    )


def _feature_names(table: Table, drop: Sequence[str], selector: str | None) -> list[str]:
    """The columns that are features. ``selector`` is the column by which rows were selected."""
    names = [name for name in table.columns if name not in (table.label, *drop)]
    if selector in names and not any(_is_number(text) for text in table.columns[selector]):
        names.remove(selector)
    if not names:
        raise ValueError(f"{table.source}: no column is left as a feature")
    return names


def _standardised(table: Table, names: list[str], features: np.ndarray) -> tuple[np.ndarray, str]:
    """The features with mean 0 and variance 1, and a sentence that says so."""
    with np.errstate(over="ignore", invalid="ignore"):
        immense = np.flatnonzero(~np.isfinite(features.var(axis=0)))
    if len(immense):
        raise ValueError(
            f"{table.source}: column {names[immense[0]]!r} is too large to be standardised:"
            " its variance overflows"
        )
    constant = np.ptp(features, axis=0) == 0
    # A constant column's mean is rounded. Scaled to variance 1, this rounding would be a feature.
    scaled = np.where(constant, 0.0, _scaled(features))
    count = int(np.sum(constant))
    became = f"; {count} constant column{'s' * (count > 1)} became 0" if count else ""
    return scaled, f"features standardised to mean 0, variance 1 over all rows{became}"


def _scaled(features: np.ndarray) -> np.ndarray:
    """What scikit-learn's ``StandardScaler`` returns, to the last digit.

    A column whose variance may be rounding keeps its scale. Source: Chan, Golub and LeVeque, 1983.
    """
    count = len(features)
    mean = np.sum(features, axis=0) / count
    centred = features - mean
    squares = np.sum(centred**2, axis=0) - np.sum(centred, axis=0) ** 2 / count
    variance = squares / count
    eps = np.finfo(features.dtype).eps
    rounding = variance <= count * eps * variance + (count * mean * eps) ** 2
    return centred / np.where(rounding, 1.0, np.sqrt(variance))


# Sources ------------------------------------------------------------------------------------------


def _built_in(source: str, label: str | None) -> Table:
    """A data set that comes with scikit-learn, whose label column is called ``target``."""
    name, _, pair = source.partition(":")
    if label is not None:
        raise ValueError(f"label is only for files: {name} has its own classes, got {label!r}")
    data = bundled.read(name)
    targets = data.targets
    if name == "breast_cancer" and not pair:
        pair = "0-1"
    chosen = re.fullmatch(r"(\d+)-(\d+)", pair)
    classes = {int(chosen[1]), int(chosen[2])} if chosen else set()
    known = np.unique(targets)
    if len(classes) != 2 or not classes <= set(known.tolist()):
        raise ValueError(
            f"{name} needs two of its classes {known[0]}-{known[-1]}, such as {name}:0-1,"
            f" got {source!r}"
        )
    rows = np.isin(targets, list(classes))
    # repr gives the shortest digits that read back to the same float: nothing is lost as text.
    columns = {
        key: [repr(x) for x in column.tolist()]
        for key, column in zip(data.names, data.features[rows].T, strict=True)
    }
    columns["target"] = [str(x) for x in targets[rows].tolist()]
    return Table(source=source, columns=columns, label="target", lines=())


def _read(source: str, label: str | None) -> Table:
    """A CSV file, every row as long as the header."""
    path = Path(source)
    if not path.exists():
        names = ", ".join(bundled.BUILT_IN)
        raise FileNotFoundError(
            f"no file {source!r}, and no data set of that name (there are {names})"
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
            f"{source}, line {first}: the first line must name the columns,"
            f" got numbers: {', '.join(header[:4])}"
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
                f"{source}, line {line}: expected {len(header)} cells, as in the header,"
                f" got {len(cells)}"
            )
    columns = {
        name: [cells[index].strip() for _, cells in body] for index, name in enumerate(header)
    }
    lines = tuple(line for line, _ in body)
    table = Table(source=source, columns=columns, label=label or "", lines=lines)
    if label is None:
        raise ValueError(
            f"{source}: label must name the column with the classes, one of {_listed(columns)}"
        )
    if label not in columns:
        raise ValueError(f"label: {_no_column(table, label)}")
    return table


def _rows(source: str, text: str) -> list[tuple[int, list[str]]]:
    """The rows that are not blank, each with the line it begins on.

    A quoted cell may hold line breaks.
    """
    first = text.lstrip().partition("\n")[0]
    # Not splitlines, which breaks lines at form feeds and other Unicode separators in a cell too.
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
                    f"{table.place(row, name)}: {text!r} is not a number;"
                    " a column of text must be encoded first, or dropped"
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
            f"{table.source}: label column {table.label!r} must have two values,"
            f" got {len(classes)}: {shown}{', ...' * (len(classes) > 5)}"
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


# What to forget -----------------------------------------------------------------------------------


def _selection(table: Table, forget: str, seed: int) -> tuple[np.ndarray, str | None, str]:
    """The mask that ``forget`` means, the column it selects by, and a sentence that says so."""
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
            f"forget: no row of {table.source} has {value!r} in column {column!r};"
            f" it has {_listed(sorted(set(texts)))}"
        )
    return mask


def random_forget_set(count: int, size: int, seed: int) -> np.ndarray:
    """A random forget set: what ``random:size`` means with this seed.

    Args:
        count: the number of rows.
        size: how many of them to draw, without replacement.
        seed: a whole number of 64 bits.
    Returns: a boolean mask ``(count,)``.
    Raises: ``ValueError`` if the seed does not fit 64 bits.
    """
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed must fit 64 bits, got {seed}")
    mask = np.zeros(count, bool)
    mask[np.asarray(_shuffled(jax.random.key(seed), count))[:size]] = True
    return mask


def _shuffled(key: Array, count: int) -> Int[np.ndarray, " n"]:
    """The numbers below ``count`` in the order of ``jax.random.permutation(key, count)``.

    They are sorted by random numbers, each of which depends on the key and its place only. So more
    numbers than needed are drawn, and tables of other lengths reuse the compiled function.
    """
    rounds = math.ceil(3 * math.log(max(count, 2)) / math.log(2**32 - 1))
    order = np.arange(count)
    for numbers in np.asarray(_random_numbers(key, rounds, max(1024, 2 ** count.bit_length()))):
        order = order[np.argsort(numbers[:count], kind="stable")]
    return order


@functools.partial(jax.jit, static_argnums=(1, 2))
def _random_numbers(key: Array, rounds: int, count: int) -> UInt32[Array, "rounds n"]:
    rows = []
    for _ in range(rounds):
        key, own = jax.random.split(key)
        rows.append(jax.random.bits(own, (count,), jnp.uint32))
    return jnp.stack(rows)


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
                "forget must be rows such as 3,17,20-25, or random:N, or COL==VALUE,"
                f" got {part.strip()!r} in {forget!r}"
            )
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last >= count:
            raise ValueError(
                f"forget: row numbers must be from 0 to {count - 1} and ranges must ascend,"
                f" got {part.strip()!r}"
            )
        rows |= set(range(first, last + 1))
    return np.array(sorted(rows))
