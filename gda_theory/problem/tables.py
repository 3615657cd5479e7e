"""Data sets by name or path: features, labels and the rows to forget."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from gda_theory.problem import bundled, columns, prepared, reading, rows
from gda_theory.problem.losses import Loss
from gda_theory.problem.prepared import Choices, Prepared
from gda_theory.problem.problem import Problem
from gda_theory.problem.random_rows import random_forget_set
from gda_theory.problem.reading import Format, Table
from theory_common.precision import ArrayLike

__all__ = ["Dataset", "Format", "from_frame", "load", "random_forget_set"]


class Dataset(Prepared):
    """Rows to keep and rows to forget, which :meth:`problem` turns into a :class:`Problem`."""

    __slots__ = ()

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
        features, ridges = prepared.features_and_ridge(self, ridge, intercept)
        return Problem(
            features, self.labels, self.forget, ridge=ridges, loss=loss, reduction=reduction
        )


def load(
    source: str,
    *,
    label: str | None = None,
    forget: str | None = None,
    forget_ids: str | None = None,
    id: str | None = None,
    allow_missing: bool = False,
    seed: int = 0,
    standardize: bool = True,
    scale_on: str = "kept",
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    keep_selector: bool = False,
    settings: Format | None = None,
) -> Dataset:
    """A data set and the rows to forget, validated, as arrays.

    Args:
        source: ``"breast_cancer"``, two classes of another set of scikit-learn, or the path of a
            file: CSV or another delimited text, Parquet, Arrow (Feather) or JSON lines. Two
            classes are written ``"digits:3-8"`` or ``"iris:0-1"``.
        label: the column of a file that holds the two classes. The larger number is +1, or True, or
            the later text by alphabet.
        forget: ``"3,17,20-25"`` or ``"rows 3,17"``: data rows, counted from 0, ranges with both
            ends. ``"random:N"``: N rows drawn without replacement from ``seed``. ``"COL==VALUE"``:
            the rows whose cell is written so. Anything else is an SQL condition.
        forget_ids: instead of ``forget``, a file of ids, one a line, of the column ``id``.
        id: the column with these ids.
        allow_missing: accept ids that no row has.
        seed: a whole number >= 0.
        standardize, scale_on, drop, keep, keep_selector: as in :class:`Choices`.
        settings: how a text file is written.
    Returns: :class:`Dataset`.
    Raises: ``ValueError`` that names file, line and column, or the part of ``forget`` at fault;
        ``OSError`` for a file that cannot be opened.
    """
    choices = Choices(drop, keep, keep_selector, standardize, scale_on)
    if (forget is None) == (forget_ids is None):
        raise ValueError("give either forget or forget_ids, not both")
    if (forget_ids is None) != (id is None):
        raise ValueError("forget_ids and id belong together: a file, and the column of its ids")
    if source.partition(":")[0] in bundled.BUILT_IN:
        if forget is None:
            raise ValueError(f"forget_ids is only for files, got {source!r}")
        return _built_in(source, label, forget, seed, choices)
    table = _read(source, settings)
    label = prepared.checked_label(table, label)
    if forget_ids is not None and id is not None:
        selected = rows.by_ids(table, forget_ids, id, allow_missing=allow_missing)
    else:
        assert forget is not None
        selected = rows.select(source, table.frame.height, forget, seed=seed, table=lambda: table)
    return Dataset(*prepared.prepare(table, label, selected, choices))


def from_frame(frame: Any, *, label: str, forget: Any, seed: int = 0, **choices: Any) -> Dataset:
    """The data set of a data frame of any library.

    Args:
        frame, label, forget, seed: as in :meth:`Problem.from_frame`.
        choices: as in :class:`Choices`.
    Returns: the data set.
    Raises: ``TypeError`` or ``ValueError`` as :meth:`Problem.from_frame`.
    """
    chosen = Choices(**choices)
    return Dataset(
        *prepared.from_frame(frame, label=label, forget=forget, seed=seed, choices=chosen)
    )


def _read(source: str, settings: Format | None) -> Table:
    if not Path(source).exists():
        names = ", ".join(bundled.BUILT_IN)
        raise FileNotFoundError(
            f"no file {source!r}, and no data set of that name (there are {names})"
        )
    return reading.read(source, settings)


# Data sets that come with scikit-learn ----------------------------------------------------------


def _built_in(source: str, label: str | None, forget: str, seed: int, choices: Choices) -> Dataset:
    """Two classes of such a set. Its features are numbers, so that it needs no scikit-learn."""
    name = source.partition(":")[0]
    if label is not None:
        raise ValueError(f"label is only for files: {name} has its own classes, got {label!r}")
    data = _two_classes(source)
    selected = rows.select(
        source,
        len(data.targets),
        forget,
        seed=seed,
        table=lambda: _table(source, data),
    )
    names, dropped = prepared.features_of(
        source, [*data.names, "target"], "target", selected, choices
    )
    fitted_on = prepared.fitted_rows(selected.mask, choices.scale_on)
    features = data.features[:, [data.names.index(key) for key in names]]
    if choices.standardize:
        features = scaled(features, fitted_on)
    features, scaling = columns.scaled_note(
        features, names, fitted_on, choices.standardize, prepared.SCALE_ON[choices.scale_on]
    )
    classes = np.unique(data.targets)
    notes = (
        f"{source}: {len(features)} rows, {len(names)} features",
        f"to forget: {rows.described(selected)}",
        *rows.examples(
            [*data.names, "target"],
            lambda row: [*data.features[row].tolist(), int(data.targets[row])],
            selected.mask,
            prepared.LINE,
        ),
        *dropped,
        f"label target: {classes[1]} is +1, {classes[0]} is -1",
        *scaling,
    )
    return Dataset(
        features=features,
        labels=np.where(data.targets == classes[1], 1.0, -1.0),
        forget=selected.mask,
        names=tuple(names),
        classes=(str(classes[0]), str(classes[1])),
        notes=notes,
    )


def _two_classes(source: str) -> bundled.Bundled:
    name, _, pair = source.partition(":")
    data = bundled.read(name)
    if name == "breast_cancer" and not pair:
        pair = "0-1"
    chosen = re.fullmatch(r"(\d+)-(\d+)", pair)
    classes = {int(chosen[1]), int(chosen[2])} if chosen else set()
    known = np.unique(data.targets)
    if len(classes) != 2 or not classes <= set(known.tolist()):
        raise ValueError(
            f"{name} needs two of its classes {known[0]}-{known[-1]}, such as {name}:0-1,"
            f" got {source!r}"
        )
    chosen_rows = np.isin(data.targets, list(classes))
    return data._replace(features=data.features[chosen_rows], targets=data.targets[chosen_rows])


def _table(source: str, data: bundled.Bundled) -> Table:
    import polars as pl

    frame = pl.DataFrame(dict(zip(data.names, data.features.T, strict=True)))
    return Table(source, frame.with_columns(pl.Series("target", data.targets)))


def scaled(
    features: Float[np.ndarray, "n d"], fitted_on: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, "n d"]:
    """What scikit-learn's ``StandardScaler``, fitted on these rows, returns to the last digit.

    A column whose variance may be rounding keeps its scale. Source: Chan, Golub and LeVeque, 1983.
    """
    fitted = features[fitted_on]
    count = len(fitted)
    mean = np.sum(fitted, axis=0) / count
    centred = fitted - mean
    squares = np.sum(centred**2, axis=0) - np.sum(centred, axis=0) ** 2 / count
    variance = squares / count
    eps = np.finfo(features.dtype).eps
    rounding = variance <= count * eps * variance + (count * mean * eps) ** 2
    return (features - mean) / np.where(rounding, 1.0, np.sqrt(variance))
