"""Columns of a table in partitions: how each becomes numbers, decided from sums over all rows.

The decisions are those of :mod:`gda_theory.problem.columns`, as far as sums can make them. What
they cannot make, such as a median for empty cells, is an error that names the column.
"""

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from gda_theory.problem.columns import CALLED_ID, FEW_ROWS, MISSING
from gda_theory.problem.rows import EXACT
from theory_common.printing.nouns import plural

if TYPE_CHECKING:
    import polars as pl

LEVELS = 1000  # the largest number of values of a category
UNITS = {"ms": 1e3, "us": 1e6, "ns": 1e9}


class Numbers(NamedTuple):
    """A column of numbers. ``mean`` and ``squares`` (of deviations) are of ``fitted`` rows.

    ``distinct``: no partition has a value twice. ``lowest`` and ``highest`` are of all rows.
    """

    kind: str
    rows: int
    missing: int
    distinct: bool
    lowest: float
    highest: float
    fitted: int
    mean: float
    squares: float
    fitted_lowest: float
    fitted_highest: float


class Texts(NamedTuple):
    """A column of texts: how often each value is among the fitted rows (0: only among others).

    ``many``: there were more values than a category may have, and ``counts`` is empty.
    """

    rows: int
    missing: int
    fitted: int
    counts: dict[str, int]
    many: bool
    mostly_distinct: bool


class Other(NamedTuple):
    """A column of another type."""

    kind: str


ColumnSums = Numbers | Texts | Other


class Scaled(NamedTuple):
    """A column that becomes ``(number - shift) / scale``; the number is counted from ``origin``."""

    name: str
    origin: int
    shift: float
    scale: float

    @property
    def names(self) -> tuple[str, ...]:
        """Of the feature."""
        return (self.name,)


class Levels(NamedTuple):
    """A column of texts that becomes a feature for each of ``levels``, shifted and scaled.

    An empty cell is taken for ``filled``.
    """

    name: str
    levels: tuple[str, ...]
    filled: str
    shift: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features."""
        return tuple(f"{self.name}={level}" for level in self.levels)


class Decided(NamedTuple):
    """What becomes of a column: ``plan`` is None if it is dropped. ``fault``: it cannot be used."""

    plan: Scaled | Levels | None = None
    decision: str = ""
    fault: str = ""


def origin_of(series: "pl.Series") -> int:
    """The first cell of a column of integers or times, from which numbers are counted; else 0.

    Integers are subtracted exactly, so that large ones keep their digits as floats.
    """
    import polars as pl

    known = series.drop_nulls()
    if not len(known) or not (series.dtype.is_integer() or series.dtype.is_temporal()):
        return 0
    return int(known[:1].cast(pl.Int64)[0])


def sums_of(series: "pl.Series", fitted: Bool[np.ndarray, " n"], origin: int = 0) -> ColumnSums:
    """The sums of one column of one partition.

    Args:
        series: the column.
        origin: as in :func:`as_numbers`.
        fitted: the rows on which scaling and categories are fitted.
    """
    import polars as pl

    kind = series.dtype
    if kind == pl.String or kind in (pl.Categorical, pl.Enum):
        return _texts(series, fitted)
    numbers = as_numbers(series, origin)
    if numbers is None:
        return Other(str(kind))
    known = numbers.drop_nulls()
    chosen = numbers.filter(fitted).drop_nulls().to_numpy()
    mean = float(chosen.mean()) if len(chosen) else 0.0
    all_known = known.to_numpy()
    return Numbers(
        kind="integer" if kind.is_integer() else "time" if kind.is_temporal() else "number",
        rows=len(series),
        missing=len(series) - len(known),
        distinct=known.n_unique() == len(known),
        lowest=float(all_known.min(initial=math.inf)),
        highest=float(all_known.max(initial=-math.inf)),
        fitted=len(chosen),
        mean=mean,
        squares=float(np.sum((chosen - mean) ** 2)),
        fitted_lowest=float(chosen.min(initial=math.inf)),
        fitted_highest=float(chosen.max(initial=-math.inf)),
    )


def as_numbers(series: "pl.Series", origin: int) -> "pl.Series | None":
    """A column as floats, with null for NaN; None if its cells are no single numbers.

    Integers are counted from ``origin``. So are times, in days or seconds.
    """
    import polars as pl

    kind = series.dtype
    if kind.is_integer() or kind.is_temporal():
        unit = UNITS[getattr(kind, "time_unit", None) or "ns"] if kind.is_temporal() else 1.0
        unit = 1.0 if kind == pl.Date else unit
        return (series.cast(pl.Int64) - origin).cast(pl.Float64) / unit
    if kind == pl.Boolean or kind.is_numeric():
        return series.cast(pl.Float64).fill_nan(None)
    return None


def _texts(series: "pl.Series", fitted: Bool[np.ndarray, " n"]) -> Texts:
    cells = _cells(series)
    known = cells.drop_nulls()
    distinct = known.n_unique()
    chosen = cells.filter(fitted)
    counts: dict[str, int] = {}
    if distinct <= LEVELS:
        counts = dict.fromkeys(known.unique().to_list(), 0)
        counts |= dict(chosen.drop_nulls().value_counts().iter_rows())
    return Texts(
        rows=len(cells),
        missing=len(cells) - len(known),
        fitted=len(chosen),
        counts=counts,
        many=distinct > LEVELS,
        mostly_distinct=distinct > len(known) / 2,
    )


def _cells(series: "pl.Series") -> "pl.Series":
    import polars as pl

    cells = series.cast(pl.String)
    return cells.set(cells.is_in(MISSING), None)


def merged(one: ColumnSums, other: ColumnSums) -> ColumnSums:
    """The sums of the rows of both.

    Source: Chan, Golub and LeVeque (1983) for the mean and the squares.
    """
    if isinstance(one, Numbers) and isinstance(other, Numbers):
        fitted = one.fitted + other.fitted
        apart = other.mean - one.mean
        share = other.fitted / fitted if fitted else 0.0
        return Numbers(
            kind=one.kind,
            rows=one.rows + other.rows,
            missing=one.missing + other.missing,
            distinct=one.distinct and other.distinct,
            lowest=min(one.lowest, other.lowest),
            highest=max(one.highest, other.highest),
            fitted=fitted,
            mean=one.mean + apart * share,
            squares=one.squares + other.squares + apart**2 * one.fitted * share,
            fitted_lowest=min(one.fitted_lowest, other.fitted_lowest),
            fitted_highest=max(one.fitted_highest, other.fitted_highest),
        )
    if isinstance(one, Texts) and isinstance(other, Texts):
        counts = Counter(one.counts)
        counts.update(other.counts)
        many = one.many or other.many or len(counts) > LEVELS
        return Texts(
            rows=one.rows + other.rows,
            missing=one.missing + other.missing,
            fitted=one.fitted + other.fitted,
            counts={} if many else dict(counts),
            many=many,
            mostly_distinct=one.mostly_distinct and other.mostly_distinct,
        )
    return one


def decided(
    name: str, sums: ColumnSums, origin: int = 0, *, keep: bool, standardize: bool
) -> Decided:
    """What becomes of a column.

    Args:
        name: of the column.
        sums: of all rows.
        origin: from which its numbers are counted.
        keep: it is a feature although it looks like an identifier.
        standardize: whether features are scaled. Times are centred in any case.
    """
    if isinstance(sums, Other):
        return Decided(decision=f"{name}: dropped, since it holds {sums.kind}, not single values")
    if sums.missing == sums.rows:
        return Decided(decision=f"{name}: dropped, since all its cells are empty")
    if isinstance(sums, Texts):
        return _decided_texts(name, sums, keep, standardize)
    if not keep and _is_identifier(name, sums, origin):
        why = "no file has one of its integers twice"
        return Decided(decision=f"{name}: dropped as an identifier, since {why} (--keep)")
    if sums.missing:
        fault = f"has {plural(sums.missing, 'empty cell')}, which need a median: fill them in"
        return Decided(fault=f"{fault} the files, or --drop it; forget --in-memory imputes them")
    said = f"{name}: time, as a number from its mean" if sums.kind == "time" else ""
    centred = standardize or sums.kind == "time"
    if sums.fitted_lowest == sums.fitted_highest:
        shift, scale = sums.fitted_lowest, 1.0
    else:
        shift, scale = sums.mean, math.sqrt(sums.squares / sums.fitted)
    if not math.isfinite(scale):
        return Decided(fault="is too large to be standardised: the variance overflows")
    plan = Scaled(name, origin if centred else 0, shift if centred else 0.0, 1.0)
    return Decided(plan._replace(scale=scale) if standardize else plan, said)


def _is_identifier(name: str, sums: Numbers, origin: int) -> bool:
    distinct = sums.distinct and not sums.missing and sums.rows >= FEW_ROWS
    consecutive = sums.highest - sums.lowest == sums.rows - 1
    immense = max(abs(sums.lowest + origin), abs(sums.highest + origin)) > EXACT
    called = bool(CALLED_ID.search(name))
    return sums.kind == "integer" and distinct and (consecutive or immense or called)


def _decided_texts(name: str, sums: Texts, keep: bool, standardize: bool) -> Decided:
    known = sums.rows - sums.missing
    many = sums.mostly_distinct if sums.many else len(sums.counts) > known / 2
    if many and not keep and known >= FEW_ROWS:
        why = "most of its texts are distinct"
        return Decided(decision=f"{name}: dropped as an identifier, since {why} (--keep)")
    if sums.many:
        return Decided(fault=f"has more than {LEVELS:,} different texts: --drop it")
    if all(_is_number(level) for level in sums.counts):
        return Decided(fault="holds numbers that are stored as text: store them as numbers")
    counts = {level: count for level, count in sums.counts.items() if count}
    if not counts:
        why = "all its cells are empty in the rows that it is fitted on"
        return Decided(decision=f"{name}: dropped, since {why}")
    levels = sorted(counts)
    filled = max(levels, key=counts.__getitem__)
    counts[filled] += sums.fitted - sum(counts.values())
    said = f"{name}: text, {plural(len(levels), 'value')}, one-hot"
    if sums.missing:
        said += f"; {plural(sums.missing, 'empty cell')} imputed by the most frequent value"
    if len(sums.counts) > len(levels):
        unknown = len(sums.counts) - len(levels)
        said += f"; {plural(unknown, 'value')} of other rows became zeros"
    shown = levels[1:] if len(levels) == 2 else levels
    share = [counts[level] / sums.fitted for level in shown]
    spread = [math.sqrt(part * (1 - part)) or 1.0 for part in share]
    if not standardize:
        share, spread = [0.0] * len(shown), [1.0] * len(shown)
    return Decided(Levels(name, tuple(shown), filled, tuple(share), tuple(spread)), said)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def features(frame: "pl.DataFrame", plans: tuple[Scaled | Levels, ...]) -> Float[np.ndarray, "n d"]:
    """The features of some rows, by the plans of their columns."""
    width = sum(len(plan.names) for plan in plans)
    out = np.empty((frame.height, width), order="F")  # each column is written at once
    at = 0
    for plan in plans:
        series = frame[plan.name]
        if isinstance(plan, Scaled):
            # Missing cells were refused before, and are not looked for again.
            numbers: Any = series if series.dtype.is_float() else as_numbers(series, plan.origin)
            np.subtract(numbers.to_numpy(), plan.shift, out=out[:, at], dtype=float)
            out[:, at] /= plan.scale
            at += 1
            continue
        cells = _cells(series).fill_null(plan.filled)
        for level, shift, scale in zip(plan.levels, plan.shift, plan.scale, strict=True):
            out[:, at] = ((cells == level).to_numpy() - shift) / scale
            at += 1
    return out
