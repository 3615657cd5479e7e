"""A fitted model as a scikit-learn ``Pipeline`` that predicts raw rows, as they stand in the file.

Three steps: cells of each column become numbers or categories (:class:`RawRows`), the fitted
``ColumnTransformer`` encodes and scales them, and a ``LogisticRegression`` holds the weights. The
file holds no rows of the data.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from gda_theory.problem import column_sums, columns
from gda_theory.problem.column_sums import Levels, Scaled
from gda_theory.problem.columns import MISSING, Role
from gda_theory.problem.naming import listed
from gda_theory.problem.parquet import PlannedFiles
from gda_theory.problem.prepared import Prepared
from gda_theory.problem.reading import Table
from gda_theory.problem.rows import EXACT

if TYPE_CHECKING:
    import polars as pl

VERIFIED = 1000  # rows on which a pipeline is compared with the features it was made for
AGREEMENT = 1e-8


class RawColumn(NamedTuple):
    """How the cells of one column are read.

    ``origin`` is subtracted while the cells are whole numbers: days, ticks or integers. ``ticks``
    is how many of them make one unit, and ``unit`` is the time unit of Polars, or ``"d"``.
    """

    name: str
    role: str
    origin: int = 0
    ticks: int = 1
    unit: str = ""
    decimal: str = "."


class RawRows(TransformerMixin, BaseEstimator):
    """Cells as they stand in a file or a data frame, as the columns that the encoder expects.

    Args:
        columns: how each column is read.
    """

    def __init__(self, columns: Sequence[RawColumn] = ()) -> None:
        self.columns = columns

    def fit(self, X: Any, y: Any = None) -> "RawRows":
        """Nothing is fitted."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: Any) -> "pl.DataFrame":
        """The columns that are needed, in order, as a Polars frame.

        Args:
            X: a data frame of any library that narwhals knows, with these columns. More are
                ignored.
        Raises: ``TypeError`` if it is no data frame; ``ValueError`` that names missing columns.
        """
        import polars as pl

        known = known_frame(X, [column.name for column in self.columns])
        return pl.DataFrame(
            [
                numbers(known[column.name].to_polars(), column).alias(column.name)
                for column in self.columns
            ]
        )


def numbers(cells: "pl.Series", column: RawColumn) -> "pl.Series":
    """The cells of one column as the encoder expects them: floats, or text of a category."""
    import polars as pl

    if column.role == Role.CATEGORY:
        return cells.cast(pl.String)
    if cells.dtype == pl.String:
        cells = cells.set(cells.is_in(MISSING), None)
    if column.role == Role.DATE:
        return (ticks(cells, column.unit) - column.origin).cast(pl.Float64) / column.ticks
    if cells.dtype == pl.String:
        lower = cells.str.to_lowercase()
        if lower.drop_nulls().is_in(["true", "false"]).all() and column.role == Role.BOOLEAN:
            return (lower == "true").cast(pl.Float64)
        if column.decimal == ",":
            cells = cells.str.replace(",", ".", literal=True)
        if column.origin:
            cells = cells.cast(pl.Int64)
    if column.origin:
        shifted = [None if cell is None else float(int(cell) - column.origin) for cell in cells]
        return pl.Series(cells.name, shifted, dtype=pl.Float64)
    return cells.cast(pl.Float64).fill_nan(None)


def ticks(cells: "pl.Series", unit: str) -> "pl.Series":
    """Dates as days, times as ticks of ``unit``, since 1970."""
    import polars as pl

    if unit == "d":
        days = cells.str.to_date("%Y-%m-%d") if cells.dtype == pl.String else cells.cast(pl.Date)
        return days.cast(pl.Int64)
    if cells.dtype == pl.String:
        same = cells.str.replace(r"^(\d{4}-\d\d-\d\d) ", "${1}T").str.replace("Z$", "")
        same = same.str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00:00")
        same = same.str.replace(r"T(\d\d:\d\d)$", "T${1}:00")
        cells = same.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f")
    return cells.cast(pl.Datetime(unit)).cast(pl.Int64)  # type: ignore[arg-type]


def raw_columns(
    table: Table, names: Sequence[str], fitted_on: Bool[np.ndarray, " n"], keep: Sequence[str]
) -> list[RawColumn]:
    """How the columns of a table are read so that they become what was encoded.

    Each is verified on all rows.

    Raises: ``ValueError`` that names columns for which no way was found.
    """
    found = []
    wrong = []
    for name in names:
        column = columns.column_of(table, name, fitted_on, name in keep)
        cells = table.frame[name]
        match = next(
            (
                candidate
                for candidate in _candidates(cells, column, table.decimal)
                if _gives(cells, candidate, column.values)
            ),
            None,
        )
        if match is None:
            wrong.append(name)
        else:
            found.append(match)
    if wrong:
        raise ValueError(
            f"{table.source}: no model can be saved that reads raw rows, because of {listed(wrong)}"
        )
    return found


def _candidates(cells: "pl.Series", column: columns.Column, decimal: str) -> list[RawColumn]:
    plain = RawColumn(column.name, str(column.kind), decimal=decimal)
    if column.kind == Role.DATE:
        return [
            plain._replace(unit=unit, ticks=count, origin=origin)
            for unit, count in (("d", 1), ("us", 10**6), ("ms", 10**3), ("ns", 10**9))
            if (origin := _earliest(cells, unit)) is not None
        ]
    if column.kind == Role.NUMBER:
        return [plain, *_shifted(cells, plain)]
    return [plain]


def _earliest(cells: "pl.Series", unit: str) -> int | None:
    import polars as pl

    try:
        if cells.dtype == pl.String:
            cells = cells.set(cells.is_in(MISSING), None)
        return int(str(ticks(cells, unit).min()))
    except (pl.exceptions.PolarsError, ValueError):
        return None


def _shifted(cells: "pl.Series", plain: RawColumn) -> list[RawColumn]:
    """The column of integers that are too large for floats, less their middle."""
    import polars as pl

    if cells.dtype == pl.String:
        cells = cells.set(cells.is_in(MISSING), None).cast(pl.Int64, strict=False)
    if not cells.dtype.is_integer() or cells.null_count() == len(cells):
        return []
    lowest, highest = int(str(cells.min())), int(str(cells.max()))
    if max(abs(lowest), abs(highest)) <= EXACT:
        return []
    return [plain._replace(origin=(lowest + highest) // 2)]


def _gives(cells: "pl.Series", column: RawColumn, expected: "pl.Series") -> bool:
    import polars as pl

    try:
        return numbers(cells, column).equals(expected.alias(cells.name), null_equal=True)
    except (pl.exceptions.PolarsError, ValueError):
        return False


class PlannedColumns(TransformerMixin, BaseEstimator):
    """Rows as they stand in Parquet files, or in a data frame, as the features of a model.

    Args:
        plans: how each column becomes features.
        types: of these columns in the files, as Polars has them.
    """

    def __init__(
        self,
        plans: Sequence[Scaled | Levels] = (),
        types: "Mapping[str, pl.DataType] | None" = None,
    ) -> None:
        self.plans = plans
        self.types = types

    def fit(self, X: Any, y: Any = None) -> "PlannedColumns":
        """Nothing is fitted."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: Any) -> Float[np.ndarray, "n d"]:
        """The features.

        Args:
            X: a data frame of any library that narwhals knows, with these columns. More are
                ignored.
        Raises: ``TypeError`` if it is no data frame; ``ValueError`` that names missing columns.
        """
        import polars as pl

        known = known_frame(X, [plan.name for plan in self.plans])
        columns = [
            known[plan.name].to_polars().cast((self.types or {})[plan.name]).alias(plan.name)
            for plan in self.plans
        ]
        return column_sums.features(pl.DataFrame(columns), tuple(self.plans))


def known_frame(X: Any, names: Sequence[str]) -> Any:
    """A data frame as narwhals has it.

    Raises: ``TypeError`` if it is none; ``ValueError`` if it lacks one of the ``names``.
    """
    import narwhals as nw

    try:
        known = nw.from_native(X, eager_only=True)
    except TypeError:
        raise TypeError(f"X must be a data frame, got {type(X).__name__}") from None
    missing = [name for name in names if name not in known.columns]
    if missing:
        raise ValueError(f"X must have the columns of the fit, and lacks {listed(missing)}")
    return known


# The whole pipeline -----------------------------------------------------------------------------


def of_table(
    table: Table,
    data: Prepared,
    fitted_on: Bool[np.ndarray, " n"],
    keep: Sequence[str],
    classifier: LogisticRegression,
) -> Pipeline:
    """The pipeline of a model that was fitted on ``data``, which came from ``table``."""
    names = [str(name) for name in data.transformer.feature_names_in_]
    reader = RawRows(raw_columns(table, names, fitted_on, keep))
    pipeline = Pipeline([("read", reader), ("encode", data.transformer), ("classify", classifier)])
    return _verified(pipeline, table.frame.head(VERIFIED), data)


def of_numbers(
    raw: Float[np.ndarray, "n d"],
    data: Prepared,
    fitted_on: Bool[np.ndarray, " n"],
    standardize: bool,
    classifier: LogisticRegression,
) -> Pipeline:
    """The pipeline of a model that was fitted on ``data``, which came from an array ``raw``."""
    steps: list[tuple[str, Any]] = [("classify", classifier)]
    if standardize:
        steps.insert(0, ("scale", StandardScaler().fit(raw[fitted_on])))
    return _verified(Pipeline(steps), raw[:VERIFIED], data)


def of_files(planned: PlannedFiles, classifier: LogisticRegression) -> Pipeline:
    """The pipeline of a model that was fitted on Parquet files."""
    import polars as pl

    types = pl.read_parquet_schema(planned.paths[0])
    plans = planned.plan.columns
    encoder = PlannedColumns(plans, {plan.name: types[plan.name] for plan in plans})
    return Pipeline([("encode", encoder), ("classify", classifier)])


def classifier_of(
    weights: Float[np.ndarray, "*classes d"], classes: Sequence[str], intercept: bool, C: float
) -> LogisticRegression:
    """scikit-learn's own estimator with these weights: one row a class, but one for two classes."""
    found = LogisticRegression(C=C, fit_intercept=intercept)
    table = np.array(np.atleast_2d(weights))
    size = table.shape[1] - int(intercept)
    found.coef_ = table[:, :size]
    found.intercept_ = table[:, size] if intercept else np.zeros(len(table))
    found.classes_ = typed(classes)
    found.n_features_in_ = size
    found.n_iter_ = np.zeros(1, np.int32)
    return found


def typed(classes: Sequence[str]) -> np.ndarray:
    """The names of classes as integers, booleans or floats if they are written so, else as text."""
    if all(name.lower() in ("true", "false") for name in classes):
        return np.array([name.lower() == "true" for name in classes])
    for kind in (int, float):
        try:
            values = np.array([kind(name) for name in classes])
        except ValueError:
            continue
        padded = kind is int and values.astype(str).tolist() != list(classes)  # such as 007
        return np.array(classes) if padded else values
    return np.array(classes)


def _verified(pipeline: Pipeline, raw: Any, data: Prepared) -> Pipeline:
    """The pipeline, if it makes the features from raw rows.

    Raises: ``ValueError`` otherwise.
    """
    features = np.asarray(pipeline[:-1].transform(raw) if len(pipeline) > 1 else raw, float)
    expected = data.features[: len(features)]
    if features.shape != expected.shape or not np.allclose(
        features, expected, rtol=AGREEMENT, atol=AGREEMENT
    ):
        raise ValueError(
            "no model can be saved that reads raw rows: their features are not those of the fit"
        )
    return pipeline


def dumped(pipeline: Pipeline) -> bytes:
    """The bytes of a joblib file."""
    import joblib

    buffer = io.BytesIO()
    joblib.dump(pipeline, buffer)
    return buffer.getvalue()
