"""A data set ready for a problem: features, labels, rows to forget, and what was decided."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from gda_theory.problem import columns, rows
from gda_theory.problem.naming import listed, no_column
from gda_theory.problem.reading import Table
from gda_theory.problem.row_span import RowSpan
from gda_theory.problem.rows import Selected
from theory_common import checks
from theory_common.precision import ArrayLike
from theory_common.printing.nouns import plural

if TYPE_CHECKING:
    import polars as pl

LINE = 78  # characters of a line that shows a row
SCALE_ON = {"kept": "kept rows", "all": "rows, which are all"}


class Choices(NamedTuple):
    """Which columns are features, and how they are scaled.

    Args:
        drop: columns that are no features.
        keep: columns that are features although they look like identifiers.
        keep_selector: whether a column by which rows were selected stays a feature.
        standardize: bring every feature to mean 0 and variance 1; a constant one becomes 0.
        scale_on: the rows on which scaling, categories and imputation are fitted: ``"kept"`` or
            ``"all"``.
    """

    drop: Sequence[str] = ()
    keep: Sequence[str] = ()
    keep_selector: bool = False
    standardize: bool = True
    scale_on: str = "kept"


class Prepared(NamedTuple):
    """Rows to keep and rows to forget.

    ``classes`` are the labels that were mapped to -1 and +1, or to 0 to K-1 if there are more than
    two. ``notes`` say how the data were
    prepared. ``transformer`` is scikit-learn's fitted ``ColumnTransformer``, or None for a data set
    that comes as arrays. ``dropped`` are the sentences about columns that were dropped without
    being asked for. ``span`` is there if the features are coordinates of their row span. ``sets``
    are the row numbers of many forget sets by name; if there are any, ``forget`` is the first.
    """

    features: Float[np.ndarray, "n d"]
    labels: Float[np.ndarray, " n"]
    forget: Bool[np.ndarray, " n"]
    names: tuple[str, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    transformer: Any = None
    dropped: tuple[str, ...] = ()
    span: RowSpan | None = None
    sets: Mapping[str, Int[np.ndarray, " f"]] = MappingProxyType({})


def features_and_ridge(
    data: Prepared, ridge: ArrayLike, intercept: bool
) -> tuple[Float[np.ndarray, "n d"], ArrayLike]:
    """The features and the ridge of each, with a last column of ones for an intercept.

    A warning names the columns that lose values because JAX computes in float32.

    Args:
        data: the rows.
        ridge: of the features.
        intercept: add a last column of ones that carries no ridge, as scikit-learn does.
    """
    _warn_of_lost_values(data)
    if not intercept:
        return data.features, ridge
    penalty = float(checks.positive("ridge", ridge))
    ridges = np.append(np.full(data.features.shape[1], penalty), 0.0)
    return np.column_stack([data.features, np.ones(len(data.features))]), ridges


def _warn_of_lost_values(data: Prepared) -> None:
    """Warn of columns whose values become fewer in JAX's working precision."""
    if jax.config.read("jax_enable_x64"):
        return
    lost = []
    for name, column in zip(data.names, data.features.T, strict=True):
        before = len(np.unique(column))
        after = len(np.unique(column.astype(np.float32)))
        if after < before and np.ptp(column) < 1e-3 * np.max(np.abs(column)):
            lost.append(f"{name!r} keeps {after} of {before} values")
    if lost:
        warnings.warn(
            f"float32 is too coarse for these features: {'; '.join(lost)}. Standardise them, or"
            ' enable float64 with jax.config.update("jax_enable_x64", True).',
            stacklevel=4,
        )


def fitted_rows(forget: Bool[np.ndarray, " n"], scale_on: str) -> Bool[np.ndarray, " n"]:
    """The rows on which the encoding is fitted.

    Raises: ``ValueError`` if ``scale_on`` is neither ``"kept"`` nor ``"all"``.
    """
    checks.choice("scale_on", scale_on, SCALE_ON)
    return ~forget if scale_on == "kept" else np.ones_like(forget)


def prepare(table: Table, label: str, selected: Selected, choices: Choices) -> Prepared:
    """Features, labels and forget mask of a table.

    Args:
        table: the data.
        label: the column with the classes.
        selected: the rows to forget.
        choices: of columns and scaling.
    Returns: the data set.
    Raises: ``ValueError`` that names the columns at fault, all at once.
    """
    try:
        return _prepared(table, label, selected, choices)
    except ValueError as error:
        raise ValueError("; ".join(faults(table, label, selected, choices)) or error) from None


def selected_and_prepared(
    table: Table, label: str | None, select: Callable[[], Selected], choices: Choices
) -> tuple[Selected, Prepared]:
    """The rows that ``select`` finds, and what :func:`prepare` makes of them.

    Raises: ``ValueError`` that names the label, the rows and the columns at fault, all at once.
    """
    wrong: list[str] = []
    known = chosen = None
    try:
        known = checked_label(table, label)
    except ValueError as error:
        wrong.append(str(error))
    try:
        chosen = select()
    except ValueError as error:
        wrong.append(str(error))
    if known is None or chosen is None:
        raise ValueError("; ".join([*wrong, *faults(table, known, chosen, choices, wrong)]))
    return chosen, prepare(table, known, chosen, choices)


def faults(
    table: Table,
    label: str | None,
    selected: Selected | None,
    choices: Choices,
    before: Sequence[str] = (),
) -> list[str]:
    """All that is wrong with the columns, after the sentences ``before``.

    Without a label all columns count as features, and without selected rows none is forgotten.
    """
    columns_there = table.frame.columns
    found = [
        f"{option}: {no_column(table.source, name, columns_there)}"
        for option, given in (("drop", choices.drop), ("keep", choices.keep))
        for name in given
        if name not in columns_there
    ]
    known = choices._replace(
        drop=[name for name in choices.drop if name in columns_there],
        keep=[name for name in choices.keep if name in columns_there],
    )
    if selected is None:
        selected = Selected(np.zeros(table.frame.height, bool), (), "")
    tries: list[Callable[[], object]] = [lambda: _encoded(table, label, selected, known)]
    if label is not None:
        tries.insert(0, lambda: columns.labels(table, label))
    for one in tries:
        try:
            one()
        except ValueError as error:
            said = str(error)
            found.append(said.removeprefix(f"{table.source}: ") if found or before else said)
    return found


def _encoded(
    table: Table, label: str | None, selected: Selected, choices: Choices
) -> tuple[columns.Encoded, tuple[str, ...]]:
    """The features, and a note on the columns by which rows were selected."""
    names, dropped = features_of(table.source, table.frame.columns, label, selected, choices)
    encoded = columns.encode(
        table,
        names,
        fitted_rows(selected.mask, choices.scale_on),
        keep=choices.keep,
        standardize=choices.standardize,
        rows_fitted=SCALE_ON[choices.scale_on],
    )
    return encoded, dropped


def _prepared(table: Table, label: str, selected: Selected, choices: Choices) -> Prepared:
    labels, classes = columns.labels(table, label)
    encoded, dropped = _encoded(table, label, selected, choices)
    notes = (
        f"{table.source}: {len(labels)} rows, {plural(len(encoded.names), 'feature')}",
        *table.notes,
        f"to forget: {rows.described(selected)}",
        *rows.examples(
            lambda row: zip(table.frame.columns, table.frame.row(row), strict=True),
            selected.mask,
            LINE,
        ),
        *dropped,
        columns.classes_note(label, classes),
        *encoded.notes,
    )
    return Prepared(
        features=encoded.features,
        labels=labels,
        forget=selected.mask,
        names=encoded.names,
        classes=classes,
        notes=notes,
        transformer=encoded.transformer,
        dropped=encoded.dropped,
    )


def features_of(
    source: str, names: Sequence[str], label: str | None, selected: Selected, choices: Choices
) -> tuple[list[str], tuple[str, ...]]:
    """The columns that may be features, and a note on the ones by which rows were selected.

    Raises: ``ValueError`` for a name that is no column, or if no column is left.
    """
    for option, given in (("drop", choices.drop), ("keep", choices.keep)):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ValueError(f"{option}: {no_column(source, unknown[0], names)}")
    selectors = () if choices.keep_selector else selected.columns
    apart = [name for name in selectors if name not in (label, *choices.drop)]
    left = [name for name in names if name not in (label, *choices.drop, *selectors)]
    if not left:
        remedy = f"; rows were selected by {listed(apart)} (--keep-selector)" if apart else ""
        raise ValueError(f"{source}: no column is left as a feature{remedy}")
    if not apart:
        return left, ()
    said = f"no feature, since rows were selected by it: {', '.join(apart)} (--keep-selector)"
    return left, (said,)


def checked_label(table: Table, label: str | None) -> str:
    """The label column of a file.

    Raises: ``ValueError`` if it is not given or not there.
    """
    names = table.frame.columns
    if label is None:
        raise ValueError(
            f"{table.source}: label must name the column with the classes, one of {listed(names)}"
        )
    if label not in names:
        raise ValueError(f"label: {no_column(table.source, label, names)}")
    return label


# Data frames ------------------------------------------------------------------------------------


def from_frame(
    frame: Any, *, label: str, forget: Any, seed: int, choices: Choices | None = None
) -> Prepared:
    """A data frame of any library that narwhals knows, with the rows to forget.

    Args:
        frame: of pandas, Polars, PyArrow or another library.
        label: the column with the classes.
        forget: a boolean mask, an expression of that library, or a text as on the command line.
        seed: of ``"random:N"``.
        choices: of columns and scaling.
    Returns: the data set.
    Raises: ``TypeError`` if it is no data frame; ``ValueError`` as :func:`prepare`.
    """
    import narwhals as nw

    try:
        known = nw.from_native(frame)
    except TypeError:
        raise TypeError(
            f"frame must be a data frame that narwhals knows, got {type(frame).__name__}"
        ) from None
    if isinstance(known, nw.LazyFrame):
        known = known.collect()
    table = Table("the frame", _as_polars(known))

    def select() -> Selected:
        if not isinstance(forget, str):
            return _masked(known, forget)
        height = table.frame.height
        return rows.select(table.source, height, forget, seed=seed, table=lambda: table)

    return selected_and_prepared(table, label, select, choices or Choices())[1]


def _as_polars(known: Any) -> "pl.DataFrame":
    try:
        frame = known.to_polars()
    except (TypeError, ValueError):
        mixed = [name for name in known.columns if not _converts(known, name)]
        if not mixed:
            raise
        raise ValueError(
            f"frame: {listed(mixed)} of its columns hold values of several types;"
            " make each one type, such as text"
        ) from None
    texts = [str(name) for name in frame.columns]
    return frame.rename(dict(zip(frame.columns, texts, strict=True)))


def _converts(known: Any, name: str) -> bool:
    try:
        known.select(name).to_polars()
    except (TypeError, ValueError):
        return False
    return True


def _masked(known: Any, forget: Any) -> Selected:
    """The rows of a mask or of an expression. Where it is missing, the row is kept."""
    import narwhals as nw

    native = known.to_native()
    names: tuple[str, ...] = ()
    module = type(forget).__module__.partition(".")[0]
    if isinstance(forget, nw.Expr):
        values = known.select(forget.alias("forget"))["forget"].to_list()
    elif module == "polars" and hasattr(forget, "meta"):
        values = native.select(forget.alias("forget"))["forget"].to_list()
        names = tuple(dict.fromkeys(forget.meta.root_names()))
    elif module == "pyarrow" and type(forget).__name__ == "Expression":
        values = _arrow_rows(native, forget)
    elif module == "pandas" and type(forget).__name__ == "Expression":
        values = native.assign(forget=forget)["forget"].tolist()
    else:
        _check_index(native, forget)
        listing = getattr(forget, "to_pylist", getattr(forget, "tolist", None))
        values = listing() if listing else list(forget)
    height = len(known)
    missing = [value is None or value != value for value in values]
    bad = [value for value in values if not isinstance(value, bool | np.bool_)]
    if len(bad) > sum(missing) or len(values) != height:
        raise ValueError(
            f"forget must be a boolean mask with one entry for each of {height} rows, an"
            f" expression or a text, got {len(values)} entries"
            f"{f', such as {bad[0]!r}' if bad else ''}"
        )
    mask = np.array(
        [bool(value) and not gone for value, gone in zip(values, missing, strict=True)], bool
    )
    return rows.checked(Selected(mask, names, "of the mask"))


def _arrow_rows(native: Any, expression: Any) -> list[bool]:
    import pyarrow as pa

    numbered = native.append_column("row number", pa.array(range(len(native))))
    chosen = np.zeros(len(native), bool)
    chosen[numbered.filter(expression)["row number"].to_pylist()] = True
    return chosen.tolist()


def _check_index(native: Any, forget: Any) -> None:
    """A pandas mask must have the index of its frame, so that no row is mistaken for another."""
    mine: Any = getattr(forget, "index", None)
    other: Any = getattr(native, "index", None)
    if hasattr(mine, "equals") and hasattr(other, "equals") and not mine.equals(other):
        raise ValueError("forget must have the index of the frame: use forget.reindex(frame.index)")
