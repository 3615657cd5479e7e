"""The roles of columns, and their encoding as numbers by scikit-learn's ``ColumnTransformer``.

Every column that needs a decision is listed with what was done to it. Faults are collected, so that
one error names them all.
"""

import itertools
import math
import re
import warnings
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from gda_theory.problem import scaling
from gda_theory.problem.naming import listed
from gda_theory.problem.reading import Table
from gda_theory.problem.rows import EXACT, as_text
from theory_common.printing.nouns import plural

if TYPE_CHECKING:
    import polars as pl

MISSING = ("NA", "N/A", "NaN", "nan", "null", "NULL", "None")
FEW_ROWS = 20  # in a smaller table, distinct integers are no sign of an identifier
LARGE = 2**20  # numbers that are scaled without scikit-learn
FEW_LEVELS = 20  # a column of numbers and so many texts may be a category, such as 0, 1, 2, 3+
MOST_CLASSES = 100  # a column of more values is no label
_DECIMAL_COMMA = r"^[+-]?\d+(?:,\d+)?(?:[eE][+-]?\d+)?$"
CALLED_ID = re.compile(r"(?:^|[_\s-])(?:id|uuid|guid|key)$|(?<=[a-z])I[dD]$", re.ASCII)


class Role(StrEnum):
    """What a column becomes."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    CATEGORY = "category"
    DROPPED = "dropped"


class Column(NamedTuple):
    """One column: its kind, its values ready to be encoded, and what was decided.

    ``decision`` is empty where there was nothing to decide. ``fault`` says why it cannot be used.
    """

    name: str
    kind: Role
    values: Any
    decision: str = ""
    fault: str = ""


class Encoded(NamedTuple):
    """Features, their names, sentences about them, and the fitted transformer, if there is one.

    ``dropped`` are the sentences about columns that were dropped without being asked for.
    """

    features: Float[np.ndarray, "n d"]
    names: tuple[str, ...]
    notes: tuple[str, ...]
    transformer: Any = None
    dropped: tuple[str, ...] = ()


def encode(
    table: Table,
    names: Sequence[str],
    fitted_on: Bool[np.ndarray, " n"],
    *,
    keep: Sequence[str] = (),
    standardize: bool = True,
    rows_fitted: str = "kept rows",
) -> Encoded:
    """The columns as numbers.

    Numbers, booleans and dates are imputed by the median. A category is imputed by its most
    frequent value and becomes one column a value, or one column if it has two. Then every column is
    brought to mean 0 and variance 1. All this is fitted on the rows ``fitted_on``.

    Args:
        table: the data.
        names: of the columns that may be features.
        fitted_on: mask of the rows that decide.
        keep: columns that are features although they look like identifiers.
        standardize: whether to scale. Dates are centred in any case.
        rows_fitted: how the notes call these rows.
    Returns: the features.
    Raises: ``ValueError`` that names every column at fault.
    """
    columns = [column_of(table, name, fitted_on, name in keep) for name in names]
    faults = [f"column {column.name!r} {column.fault}" for column in columns if column.fault]
    if faults:
        raise ValueError(f"{table.source}: {'; '.join(faults)}")
    used = [column for column in columns if column.kind != Role.DROPPED]
    if not used:
        decided = "; ".join(column.decision for column in columns)
        raise ValueError(
            f"{table.source}: no column is left as a feature{': ' * bool(decided)}{decided}"
        )
    features, transformer = _encoded(table.source, used, fitted_on, standardize)
    features, measured = scaled_note(
        features, transformer.get_feature_names_out().tolist(), fitted_on, standardize, rows_fitted
    )
    decisions = tuple(f"  {column.decision}" for column in columns if column.decision)
    return Encoded(
        features,
        tuple(map(str, transformer.get_feature_names_out())),
        (*_heading(decisions), *decisions, *measured),
        transformer,
        tuple(column.decision for column in columns if column.kind == Role.DROPPED),
    )


def _encoded(
    source: str, used: Sequence[Column], fitted_on: Bool[np.ndarray, " n"], standardize: bool
) -> tuple[Float[np.ndarray, "n d"], Any]:
    """The features, and the fitted transformer."""
    frame = _frame(used)
    transformer = _transformer(used, standardize)
    if standardize and len(transformer.transformers) == 1 and frame.height * frame.width >= LARGE:
        kind, missing = _treatment(used[0])
        if kind == Role.NUMBER and not missing:
            return _numbers(source, used, frame, fitted_on, transformer), transformer
    _refuse_overflow(source, used, fitted_on)
    # A category that only rows outside fitted_on have becomes zeros, which the note says.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found unknown categories")
        transformer.fit(frame.filter(fitted_on))
        return np.asarray(transformer.transform(frame), dtype=float), transformer


def _numbers(
    source: str,
    used: Sequence[Column],
    frame: "pl.DataFrame",
    fitted_on: Bool[np.ndarray, " n"],
    transformer: Any,
) -> Float[np.ndarray, "n d"]:
    """Many numbers, scaled in place: half the time of the transformer, and one copy of them.

    The transformer is fitted on two rows, and then gets the mean and the variance of all.
    """
    features = frame.to_numpy(order="c", writable=True)
    with np.errstate(over="ignore", invalid="ignore"):
        found = scaling.moments(features, fitted_on)
    if not np.all(np.isfinite(found.variance)):
        _refuse_overflow(source, used, fitted_on)
    count = int(np.sum(fitted_on))
    scale = scaling.scale_of(found, count)
    scaling.scale_in_place(features, found.mean, scale)
    transformer.fit(frame.head(2))
    scaler = transformer.transformers_[0][1][-1]
    scaler.mean_, scaler.var_, scaler.scale_ = found.mean, found.variance, scale
    scaler.n_samples_seen_ = count
    return features


def _heading(decisions: Sequence[str]) -> tuple[str, ...]:
    return (f"{plural(len(decisions), 'column')} needed a decision:",) if decisions else ()


def scaled_note(
    features: Float[np.ndarray, "n d"],
    names: Sequence[str],
    fitted_on: Bool[np.ndarray, " n"],
    standardize: bool,
    rows_fitted: str,
) -> tuple[Float[np.ndarray, "n d"], tuple[str, ...]]:
    """Measure the scaling, and make columns exactly 0 that are constant where it was fitted.

    Args:
        features: after scaling.
        names: of the features.
        fitted_on: the rows that decided.
        standardize: whether the features were to be scaled.
        rows_fitted: how the notes call these rows.
    Returns: the features and notes with the measured mean and variance.
    """
    if not standardize:
        return features, ("features as they are, not standardised",)
    found = scaling.moments(features, fitted_on)
    constant = found.lowest == found.highest
    if np.any(constant):
        # A constant column's mean is rounded. What is left of it would be a feature.
        features = np.where(constant, features - found.lowest, features)
    mean = np.max(np.abs(found.mean), where=~constant, initial=0)
    variance = found.variance
    bad = ~constant & ~(np.abs(variance - 1) < 1e-6)
    good = variance[~constant & ~bad]
    count = int(np.sum(constant))
    said = f"features standardised on {int(np.sum(fitted_on))} {rows_fitted}"
    if len(good):
        spread = np.max(np.abs(good - 1))
        said += f": |mean| <= {mean:.1g}, |variance-1| <= {spread:.1g}"
    notes = [said]
    if count:
        where = "" if np.all(features[:, constant] == 0) else " in those rows"
        notes.append(f"  {plural(count, 'constant column')} became 0{where}")
    notes += [
        f"  not scaled: {name}, whose variance is {value:.3g}; multiply it by a power of 10"
        for name, value in zip(np.array(names)[bad], variance[bad], strict=True)
    ]
    return features, tuple(notes)


def labels(table: Table, name: str) -> tuple[Float[np.ndarray, " n"], tuple[str, ...]]:
    """The label column as -1 and +1, and the texts of its two values.

    The larger number is +1, or True, or the later text by alphabet. More than two values become 0
    to K-1 in that order.

    Raises: ``ValueError`` that names the rows without a label, or the values if they are fewer than
        two or more than ``MOST_CLASSES``.
    """
    series = table.frame[name]
    texts = as_text(series)
    empty = texts.is_null() | texts.is_in(MISSING)
    if empty.any():
        raise ValueError(_missing_labels(table.source, name, empty.arg_true().to_list()))
    values = _comparable(series if series.dtype.is_numeric() else texts, table.decimal)
    classes = values.unique().sort().to_list()
    _require_classes(table.source, name, classes)
    if len(classes) == 2:  # without a sort of all rows
        places = (values == classes[1]).to_numpy().astype(int)
        first = np.array([np.argmin(places), np.argmax(places)])
    else:
        _, first, places = np.unique(values.to_numpy(), return_index=True, return_inverse=True)
    return _numbered(places, len(classes)), tuple(str(texts[int(row)]) for row in first)


def array_labels(
    source: str, name: str, values: Shaped[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], tuple[str, ...]]:
    """An array of labels as numbers, and the texts of its values, as :func:`labels`.

    Raises: ``ValueError`` as :func:`labels`.
    """
    empty = values != values if values.dtype.kind in "fM" else values == ""
    if np.any(empty):
        raise ValueError(_missing_labels(source, name, np.flatnonzero(empty).tolist()))
    classes, places = np.unique(values, return_inverse=True)
    _require_classes(source, name, classes.tolist())
    return _numbered(places, len(classes)), tuple(map(_class_name, classes))


def _numbered(places: Int[np.ndarray, " n"], count: int) -> Float[np.ndarray, " n"]:
    """The places of labels in their order as numbers: -1 and +1 of two, else the places."""
    return np.where(places == 1, 1.0, -1.0) if count == 2 else places.astype(float)


def classes_note(name: str, classes: Sequence[str]) -> str:
    """Which label is +1 and which is -1, or how many classes there are."""
    if len(classes) == 2:
        return f"label {name}: {classes[1]} is +1, {classes[0]} is -1"
    shown = ", ".join(classes[:5]) + ", ..." * (len(classes) > 5)
    return f"label {name}: {len(classes)} classes ({shown}), so the loss is softmax"


def _class_name(value: Any) -> str:
    """A label as text. Whole numbers that are floats lose their point."""
    whole = value.dtype.kind == "f" and value == np.floor(value) and abs(value) <= EXACT
    return str(int(value)) if whole else str(value)


def _missing_labels(source: str, name: str, rows: Sequence[int]) -> str:
    shown = ", ".join(map(str, rows[:8]))
    return (
        f"{source}: the label {name!r} is missing in {plural(len(rows), 'row')}:"
        f" {shown}{', ...' * (len(rows) > 8)} (counted from 0)"
    )


def _require_classes(source: str, name: str, classes: Sequence[object]) -> None:
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise ValueError(
            f"{source}: label column {name!r} must have two values, or up to {MOST_CLASSES}"
            f" classes, got {len(classes)}: {', '.join(map(_plain, classes[:5]))}"
            f"{', ...' * (len(classes) > 5)}"
        )
    fractions = any(isinstance(value, float) and value % 1 != 0 for value in classes)
    if len(classes) > 2 and fractions:
        raise ValueError(
            f"{source}: label column {name!r} must have whole numbers or texts for more than two"
            f" classes, got {', '.join(map(_plain, classes[:5]))}{', ...' * (len(classes) > 5)}"
        )


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _comparable(series: "pl.Series", decimal: str) -> "pl.Series":
    """Numbers where every text is one: exact integers if possible."""
    import polars as pl

    if series.dtype != pl.String:
        return series
    written = _point(series, decimal)
    whole = written.cast(pl.Int64, strict=False)
    if whole.null_count() == 0:
        return whole
    number = written.cast(pl.Float64, strict=False)
    return number if number.is_finite().fill_null(False).all() else series


def _point(series: "pl.Series", decimal: str) -> "pl.Series":
    return series.str.replace(",", ".", literal=True) if decimal == "," else series


# One column -------------------------------------------------------------------------------------


def column_of(table: Table, name: str, fitted_on: Bool[np.ndarray, " n"], keep: bool) -> Column:
    """What one column becomes, and why.

    Args:
        table: the data.
        name: of the column.
        fitted_on: the rows that the encoding is fitted on.
        keep: it is a feature although it looks like an identifier.
    """
    import polars as pl

    series = table.frame[name]
    kind = series.dtype
    if kind == pl.String or kind in (pl.Categorical, pl.Enum):
        return _text(name, series.cast(pl.String), table.decimal, fitted_on, keep)
    if kind == pl.Boolean:
        return _boolean(name, series, fitted_on)
    if kind.is_temporal():
        return _date(name, series, fitted_on)
    if kind.is_integer():
        return _integer(name, series, fitted_on, keep)
    if kind.is_numeric():
        return _number(name, series.cast(pl.Float64).fill_nan(None), fitted_on)
    if series.null_count() == len(series):
        return _dropped(name, series, "all its cells are empty")
    return _dropped(name, series, f"it holds {kind}, not single values")


def _dropped(name: str, values: "pl.Series", why: str) -> Column:
    return Column(name, Role.DROPPED, values, f"{name}: dropped, since {why}")


def _text(
    name: str,
    series: "pl.Series",
    decimal: str,
    fitted_on: Bool[np.ndarray, " n"],
    keep: bool,
) -> Column:
    import polars as pl

    cells = series.set(series.is_in(MISSING), None)
    there = cells.drop_nulls()
    if not len(there):
        return _dropped(name, cells, "all its cells are empty")
    written = _point(cells, decimal)
    whole = written.cast(pl.Int64, strict=False)
    if whole.null_count() == cells.null_count():
        return _integer(name, whole.alias(name), fitted_on, keep)
    number = written.cast(pl.Float64, strict=False)
    if number.null_count() == cells.null_count():
        if there.str.contains(r"^\d{16,}$").all() and not keep:
            return _identifier(name, cells, "its integers are no floats")
        return _number(name, number.alias(name), fitted_on)
    if decimal != "," and there.str.contains(_DECIMAL_COMMA).all():
        return _fault(name, cells, "looks like numbers with a decimal comma: say --decimal ,")
    lower = cells.str.to_lowercase()
    if there.str.to_lowercase().is_in(["true", "false"]).all():
        return _boolean(name, (lower == "true").alias(name), fitted_on)
    for read in (_as_day, _as_time):
        time = read(cells)
        if time.null_count() == cells.null_count():
            return _date(name, time, fitted_on)
    return _category(name, series, number, fitted_on, keep)


def _as_day(cells: "pl.Series") -> "pl.Series":
    return cells.str.to_date("%Y-%m-%d", strict=False)


def _as_time(cells: "pl.Series") -> "pl.Series":
    import polars as pl

    same = cells.str.replace(r"^(\d{4}-\d\d-\d\d) ", "${1}T").str.replace("Z$", "")
    same = same.str.replace(r"T(\d\d:\d\d)$", "T${1}:00")
    return same.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False).cast(pl.Datetime("us"))


def _category(
    name: str,
    cells: "pl.Series",
    number: "pl.Series",
    fitted_on: Bool[np.ndarray, " n"],
    keep: bool,
) -> Column:
    """A column of text. ``number`` holds those of its cells that are numbers."""
    there = cells.drop_nulls()
    levels = there.n_unique()
    many = levels > len(there) / 2
    numeric = len(number) - number.null_count()
    if 2 * numeric >= len(there) and (levels > FEW_LEVELS or many):
        row = int((number.is_null() & cells.is_not_null()).arg_true()[0])
        return _fault(
            name,
            cells,
            f"has numbers and the text {cells[row]!r} (row {row}, counted from 0):"
            " mend the cell, or --drop it",
        )
    if levels == len(there) > 1 and not keep:
        return _identifier(name, cells, f"its {levels} texts are distinct")
    if many and len(there) >= FEW_ROWS and not keep:
        return _identifier(name, cells, f"{levels} of its {len(there)} texts are distinct")
    fitted = cells.filter(fitted_on)
    known = fitted.drop_nulls().unique()
    if not len(known):
        return _dropped(name, cells, "all its cells are empty in the rows that it is fitted on")
    said = f"{name}: text, {plural(len(known), 'value')}, one-hot"
    missing = cells.null_count()
    if missing:
        said += f"; {plural(missing, 'empty cell')} imputed by the most frequent value"
    unknown = levels - len(known)
    if unknown:
        said += f"; {plural(unknown, 'value')} of other rows became zeros"
    return Column(name, Role.CATEGORY, cells, said)


def _fault(name: str, cells: "pl.Series", why: str) -> Column:
    return Column(name, Role.DROPPED, cells, fault=why)


def _identifier(name: str, values: "pl.Series", why: str) -> Column:
    said = f"{name}: dropped as an identifier, since {why} (--keep)"
    return Column(name, Role.DROPPED, values, said)


def _integer(
    name: str, series: "pl.Series", fitted_on: Bool[np.ndarray, " n"], keep: bool
) -> Column:
    """Integers. Large ones are centred while they are exact."""
    import polars as pl

    there = series.drop_nulls()
    if not len(there):
        return _dropped(name, series, "all its cells are empty")
    lowest = int(str(there.min()))
    highest = int(str(there.max()))
    immense = max(abs(lowest), abs(highest)) > EXACT
    distinct = len(there) == len(series) >= FEW_ROWS and there.n_unique() == len(there)
    consecutive = highest - lowest == len(there) - 1
    if distinct and not keep and (immense or consecutive or CALLED_ID.search(name)):
        return _identifier(name, series, f"its {len(there)} integers are distinct")
    if not immense:
        found = _number(name, series.cast(pl.Float64), fitted_on)
        if distinct and not keep and not found.decision:
            said = f"{name}: a number; its integers are distinct (--drop it if it is an id)"
            return found._replace(decision=said)
        return found
    middle = (lowest + highest) // 2
    shifted = [None if cell is None else float(cell - middle) for cell in series.to_list()]
    found = _number(name, pl.Series(name, shifted, dtype=pl.Float64), fitted_on)
    said = f"{name}: {middle} subtracted while the integers were exact"
    left = found.values.n_unique()
    if left < series.n_unique():
        said += f"; as floats they keep {left} of {series.n_unique()} values"
    return found._replace(decision="; ".join(filter(None, [said, found.decision])))


def _number(name: str, series: "pl.Series", fitted_on: Bool[np.ndarray, " n"]) -> Column:
    infinite = series.is_infinite().fill_null(False)
    if infinite.any():
        row = int(infinite.arg_true()[0])
        where = f"(row {row}, counted from 0)"
        return _fault(name, series, f"has {series[row]} {where}, which is not a finite number")
    return _imputed(name, Role.NUMBER, series, f"{name}: number", fitted_on, decided=False)


def _boolean(name: str, series: "pl.Series", fitted_on: Bool[np.ndarray, " n"]) -> Column:
    import polars as pl

    said = f"{name}: boolean, true became 1 and false 0"
    return _imputed(name, Role.BOOLEAN, series.cast(pl.Float64), said, fitted_on)


def _date(name: str, series: "pl.Series", fitted_on: Bool[np.ndarray, " n"]) -> Column:
    """Dates become days and times become seconds, from the earliest one. They are exact so."""
    import polars as pl

    unit = "days" if series.dtype == pl.Date else "seconds"
    whole = series.cast(pl.Int64)
    there = whole.drop_nulls()
    if not len(there):
        return _dropped(name, series, "all its cells are empty")
    scale = 1
    if series.dtype != pl.Date:
        step = getattr(series.dtype, "time_unit", "ns")
        scale = {"ms": 10**3, "us": 10**6, "ns": 10**9}[step or "us"]
    number = (whole - int(str(there.min()))).cast(pl.Float64) / scale
    said = f"{name}: {'date' if unit == 'days' else 'time'}, as {unit} from its mean"
    return _imputed(name, Role.DATE, number.alias(name), said, fitted_on)


def _imputed(
    name: str,
    kind: Role,
    series: "pl.Series",
    said: str,
    fitted_on: Bool[np.ndarray, " n"],
    *,
    decided: bool = True,
) -> Column:
    missing = series.null_count()
    if missing:
        there = series.filter(fitted_on).drop_nulls().to_numpy()
        if not len(there):
            why = "all its cells are empty in the rows that it is fitted on"
            return _dropped(name, series, why)
        said = f"{said}; {plural(missing, 'empty cell')} imputed by the median"
        if kind != Role.DATE:
            said += f" {np.median(there):g}"
    return Column(name, kind, series, said if decided or missing else "")


# All columns ------------------------------------------------------------------------------------


def _frame(columns: Sequence[Column]) -> "pl.DataFrame":
    import polars as pl

    return pl.DataFrame([column.values.alias(column.name) for column in columns])


def _refuse_overflow(
    source: str, columns: Sequence[Column], fitted_on: Bool[np.ndarray, " n"]
) -> None:
    numbers = [column for column in columns if column.kind != Role.CATEGORY]
    with np.errstate(over="ignore", invalid="ignore"):
        immense = [
            column.name
            for column in numbers
            if not math.isfinite(column.values.filter(fitted_on).var(ddof=0) or 0.0)
        ]
    if immense:
        raise ValueError(
            f"{source}: {listed(immense)} too large to be standardised: the variance overflows"
        )


def _transformer(columns: Sequence[Column], standardize: bool) -> Any:
    """An unfitted ``ColumnTransformer`` that keeps the order of the columns."""
    from sklearn.compose import ColumnTransformer

    steps: list[tuple[str, Any, list[str]]] = []
    for key, group in itertools.groupby(columns, key=_treatment):
        kind, missing = key
        names = [column.name for column in group]
        steps.append((f"{kind}-{len(steps)}", _pipeline(kind, missing, standardize), names))
    return ColumnTransformer(steps, verbose_feature_names_out=False)


def _treatment(column: Column) -> tuple[Role, bool]:
    kind = Role.NUMBER if column.kind == Role.BOOLEAN else column.kind
    return kind, column.values.null_count() > 0


def _pipeline(kind: Role, missing: bool, standardize: bool) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    steps: list[Any] = []
    if kind == Role.CATEGORY:
        if missing:
            steps.append(SimpleImputer(missing_values=None, strategy="most_frequent"))
        steps.append(
            OneHotEncoder(
                drop="if_binary",
                handle_unknown="ignore",
                sparse_output=False,
                feature_name_combiner=_named,
            )
        )
    elif missing:
        steps.append(SimpleImputer(strategy="median"))
    if standardize:
        steps.append(StandardScaler())
    elif kind == Role.DATE:
        steps.append(StandardScaler(with_std=False))
    return make_pipeline(*steps) if steps else "passthrough"


def _named(column: str, value: object) -> str:
    """The name of the feature that is 1 where ``column`` has ``value``."""
    return f"{column}={value}"
