"""Data that come as arrays: ``.npz``, ``.npy``, sparse matrices of SciPy, svmlight files.

Their features are numbers. Arrays with one entry a row are columns to select rows by.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from gda_theory.problem import columns, prepared, reading, row_span, rows, scaling
from gda_theory.problem.naming import listed, no_column
from gda_theory.problem.prepared import Choices, Prepared
from gda_theory.problem.reading import Table
from gda_theory.problem.rows import Selected
from theory_common.printing.nouns import plural

FEATURES = ("features", "X")
LABELS = ("labels", "label", "y", "target")
NAMES = ("names", "feature_names")
FORGET = "forget"
_SPARSE = {"format", "shape", "data"}  # among others, what scipy.sparse.save_npz writes
_NUMBER = rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_SVMLIGHT = re.compile(
    rb"(?:\s*#[^\n]*\n|\s)*"
    + _NUMBER
    + rb"(?:[ \t]+qid:\d+)?(?:[ \t]+\d+:"
    + _NUMBER
    + rb")+[ \t]*(?:#[^\n]*)?\r?(?:\n|$)"
)


class Arrays(NamedTuple):
    """Features and what is known of each row.

    ``features`` are dense, or a sparse matrix of SciPy. ``entries`` are the arrays with one entry a
    row, the ``label`` among them. ``forget`` is the mask that came with them, if one did.
    """

    source: str
    features: Any
    names: tuple[str, ...]
    label: str
    entries: dict[str, np.ndarray]
    forget: Bool[np.ndarray, " n"] | None = None

    def table(self) -> Table:
        """The columns to select rows by: the features, unless they are sparse, and the entries."""
        import polars as pl

        frame = pl.DataFrame({name: values.tolist() for name, values in self.entries.items()})
        if not row_span.is_sparse(self.features):
            new = [name for name in self.names if name not in self.entries]
            places = [self.names.index(name) for name in new]
            frame = pl.DataFrame(self.features[:, places], schema=new).hstack(frame)
        return Table(self.source, frame)


# Files ------------------------------------------------------------------------------------------


def holds_arrays(path: str) -> bool:
    """Whether the first bytes of a file are those of arrays, and not of a table."""
    if not Path(path).is_file():
        return False
    with _opened(path) as file:
        start = file.read(2**16)
    if start.startswith(b"PK\x03\x04"):
        return b".npy" in start[:300]
    return start.startswith(b"\x93NUMPY") or _SVMLIGHT.match(start) is not None


def read(path: str, label: str | None = None, labels: str | None = None) -> Arrays:
    """The arrays in a file, packed with gzip or not.

    Args:
        path: of an ``.npz`` file with ``features`` or ``X``, and ``labels`` or ``y``; of a sparse
            matrix that ``scipy.sparse.save_npz`` wrote; of an ``.npy`` file with the features; or
            of an svmlight (libsvm) file.
        label: the array with the labels, if it has another name.
        labels: a file with the labels: ``.npy``, or text with one a line.
    Returns: the arrays.
    Raises: ``ValueError`` that names the array at fault.
    """
    with _opened(path) as file:
        start = file.read(6)
        file.seek(0)
        if start.startswith(b"PK"):
            given = _packed(path, file)
        elif start == b"\x93NUMPY":
            given = {"features": _array(path, file)}
        else:
            given = _of_svmlight(path, file)
    if labels is not None:
        label = label or "label"
        given[label] = _labels_in(labels)
    return _arrays(path, given, label)


def unpacked(path: str) -> dict[str, Any]:
    """The arrays of an ``.npz`` file by name.

    Raises: ``ValueError`` if it is broken, or no such file.
    """
    with _opened(path) as file:
        return _packed(path, file)


def _opened(path: str) -> BinaryIO:
    file = open(path, "rb")  # noqa: SIM115 - the caller closes it
    if file.read(2) == b"\x1f\x8b":
        file.close()
        return io.BytesIO(reading.content(path))
    file.seek(0)
    return file


def _array(path: str, file: BinaryIO) -> np.ndarray:
    try:
        return np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def _packed(path: str, file: BinaryIO) -> dict[str, Any]:
    """The arrays of an ``.npz`` file by name; those of a sparse matrix become ``features``."""
    try:
        with np.load(file, allow_pickle=False) as packed:
            if set(packed.files) >= _SPARSE:
                from scipy import sparse

                file.seek(0)
                return {"features": sparse.load_npz(file)}
            return {name: packed[name] for name in packed.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        hint = "; save text with numpy.array(..., dtype=str)" if "pickle" in str(error) else ""
        raise ValueError(f"{path} cannot be read: {error}{hint}") from None


def _of_svmlight(path: str, file: BinaryIO) -> dict[str, Any]:
    from sklearn.datasets import load_svmlight_file

    try:
        features, labels = load_svmlight_file(file, zero_based="auto")
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as svmlight (libsvm): {error}") from None
    return {"features": features, "label": labels}


def _labels_in(path: str) -> np.ndarray:
    """The labels in a file: an array, or text with one a line."""
    with _opened(path) as file:
        start = file.read(6)
        file.seek(0)
        if start == b"\x93NUMPY":
            return _array(path, file)
        if start.startswith(b"PK"):
            given = _packed(path, file)
            return given[_named("labels", path, given, LABELS)]
        lines = reading.decode(path, file.read()).split("\n")
    cells = [line.strip() for line in lines]
    while cells and not cells[-1]:
        cells.pop()
    for kind in (int, float):
        try:
            return np.array([kind(cell) for cell in cells])
        except ValueError:
            continue
    return np.array(cells)


def _arrays(path: str, given: dict[str, Any], label: str | None) -> Arrays:
    place = _named("features", path, given, FEATURES)
    features = _matrix(path, place, given[place])
    count, dimension = features.shape
    label = label or _named("labels", path, given, LABELS, "name them with --label or --labels")
    if label not in given:
        raise ValueError(f"label: {no_column(path, label, tuple(given))}")
    if given[label].shape != (count,):
        raise ValueError(
            f"{path}: labels must have shape ({count},), one per row of {place!r},"
            f" got {given[label].shape} in {label!r}"
        )
    others = {name: values for name, values in given.items() if name not in (place, FORGET, *NAMES)}
    entries = {name: _text(v) for name, v in others.items() if v.shape == (count,)}
    names = next((given[name] for name in NAMES if name in given), None)
    if names is not None and names.shape != (dimension,):
        raise ValueError(
            f"{path}: names must have shape ({dimension},), one per column of {place!r},"
            f" got {names.shape}"
        )
    return Arrays(
        source=path,
        features=features,
        names=_names(dimension) if names is None else tuple(map(str, _text(names))),
        label=label,
        entries=entries,
        forget=_mask(path, given[FORGET], count) if FORGET in given else None,
    )


def _named(
    what: str, path: str, given: dict[str, Any], known: tuple[str, ...], how: str = ""
) -> str:
    """The first of the ``known`` names that is given."""
    for name in known:
        if name in given:
            return name
    remedy = f"; {how}" if how else ""
    raise ValueError(
        f"{path} has no {what}: expected an array called {' or '.join(map(repr, known))},"
        f" got {listed(given)}{remedy}"
    )


def _names(dimension: int) -> tuple[str, ...]:
    return tuple(f"x{place}" for place in range(dimension))


def _text(values: np.ndarray) -> np.ndarray:
    return values.astype(str) if values.dtype.kind == "S" else values


def _matrix(path: str, name: str, values: Any) -> Any:
    """Features as floats, all finite."""
    if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "biuf":
        raise ValueError(
            f"{path}: {name!r} must be numbers of shape (n, d), got {values.dtype} of shape"
            f" {values.shape}"
        )
    sparse = row_span.is_sparse(values)
    matrix = values.tocsr().astype(float) if sparse else values.astype(float)
    bad = ~np.isfinite(matrix.data if sparse else matrix)
    if np.any(bad):
        where = "" if sparse else f", the first in row {np.argmax(bad.any(1))} (counted from 0)"
        raise ValueError(
            f"{path}: {name!r} must be finite, got {bad.sum()} entries that are not{where};"
            " impute them first"
        )
    return matrix


def _mask(path: str, given: np.ndarray, count: int) -> Bool[np.ndarray, " n"]:
    """The rows to forget, from a mask or from row numbers."""
    if given.dtype == bool and given.shape == (count,):
        return given
    if given.dtype.kind in "iu" and given.ndim == 1:
        if given.shape == (count,) and set(np.unique(given)) <= {0, 1}:
            return given == 1
        if np.all((given >= 0) & (given < count)):
            mask = np.zeros(count, bool)
            mask[given] = True
            return mask
    raise ValueError(
        f"{path}: 'forget' must be a boolean mask of {count} rows or row numbers from 0 to"
        f" {count - 1}, got {given.dtype} of shape {given.shape}"
    )


# Preparation ------------------------------------------------------------------------------------


def prepare(data: Arrays, selected: Selected, choices: Choices) -> Prepared:
    """Features, labels and forget mask of arrays.

    Dense features are scaled as ``choices`` say. Sparse ones stay as they are. If there are more
    columns than rows, the features become the coordinates of their row span.

    Args:
        data: the arrays.
        selected: the rows to forget.
        choices: of columns and scaling.
    Returns: the data set.
    Raises: ``ValueError`` that names what is at fault.
    """
    labels, classes = columns.array_labels(data.source, data.label, data.entries[data.label])
    among = tuple(name for name in selected.columns if name in data.names)
    names, dropped = prepared.features_of(
        data.source,
        [*data.names, data.label],
        data.label,
        selected._replace(columns=among),
        choices,
    )
    features = data.features
    if len(names) < len(data.names):
        chosen = set(names)
        features = features[:, [place for place, name in enumerate(data.names) if name in chosen]]
    fitted_on = prepared.fitted_rows(selected.mask, choices.scale_on)
    features, measured = _scaled(features, names, fitted_on, choices)
    features, span, spanned = _narrow(features)
    notes = (
        f"{data.source}: {len(labels)} rows, {plural(len(names), 'feature')}",
        f"to forget: {rows.described(selected)}",
        *rows.examples(lambda row: _cells(data, row), selected.mask, prepared.LINE),
        *dropped,
        columns.classes_note(data.label, classes),
        *measured,
        *spanned,
    )
    return Prepared(
        features=features,
        labels=labels,
        forget=selected.mask,
        names=tuple(names) if span is None else _directions(features.shape[1]),
        classes=classes,
        notes=notes,
        span=span,
    )


def _cells(data: Arrays, row: int) -> Iterator[tuple[str, object]]:
    """The entries of a row, then its features. Of sparse features, those that are not 0."""
    for name, values in data.entries.items():
        yield name, values[row].item()
    features = data.features[[row]]
    sparse = row_span.is_sparse(features)
    places = features.indices if sparse else range(features.shape[1])
    numbers = features.data if sparse else features[0]
    for place, number in zip(places, numbers, strict=True):
        yield data.names[place], f"{number:.4g}"


def _directions(count: int) -> tuple[str, ...]:
    return tuple(f"direction {place}" for place in range(1, count + 1))


def _scaled(
    features: Any, names: list[str], fitted_on: Bool[np.ndarray, " n"], choices: Choices
) -> tuple[Any, tuple[str, ...]]:
    if row_span.is_sparse(features):
        return features, ("features are sparse: as they are, not standardised",)
    if choices.standardize:
        features = scaling.scaled(features, fitted_on)
    return columns.scaled_note(
        features, names, fitted_on, choices.standardize, prepared.SCALE_ON[choices.scale_on]
    )


def _narrow(
    features: Any,
) -> tuple[Float[np.ndarray, "n m"], row_span.RowSpan | None, tuple[str, ...]]:
    """Dense features, with no more columns than rows."""
    count, dimension = features.shape
    if dimension <= count:
        return row_span.dense_features(features, 1.0)[0], None, ()
    span = row_span.row_span(features)
    said = (
        f"more columns than rows: computed exactly in the {span.coordinates.shape[1]} directions"
        " that the rows span"
    )
    return span.coordinates, span, (said,)
