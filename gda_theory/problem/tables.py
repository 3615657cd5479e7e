"""Data sets by name or path: features, labels and the rows to forget."""

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gda_theory.problem import arrays, bundled, forget_sets, prepared, reading, rows
from gda_theory.problem.arrays import Arrays
from gda_theory.problem.losses import Loss
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.naming import listed
from gda_theory.problem.prepared import Choices, Prepared
from gda_theory.problem.problem import Problem, of_prepared
from gda_theory.problem.random_rows import random_forget_set
from gda_theory.problem.reading import Format, Table
from gda_theory.problem.rows import Selected
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
    ) -> Problem | MultinomialProblem:
        """The :class:`Problem` of these rows, with more than two classes a MultinomialProblem.

        Args:
            ridge, loss, reduction: as in :class:`Problem`.
            intercept: add a last column of ones that carries no ridge, as scikit-learn does.
        Returns: the problem.
        Raises: ``TypeError`` or ``ValueError`` as :class:`Problem`.
        """
        return of_prepared(self, ridge=ridge, loss=loss, reduction=reduction, intercept=intercept)


def load(
    source: str,
    *,
    label: str | None = None,
    labels: str | None = None,
    forget: str | None = None,
    forget_ids: str | None = None,
    forget_sets: str | None = None,
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
            file: CSV or another delimited text, Parquet, Arrow (Feather) or JSON lines; or arrays
            as :func:`gda_theory.problem.arrays.read` takes them. Two classes are written
            ``"digits:3-8"`` or ``"iris:0-1"``.
        label: the column or array that holds the classes. Of two, the larger number is +1, or
            True, or the later text by alphabet.
        labels: of arrays without labels, a file that holds them.
        forget: ``"3,17,20-25"`` or ``"rows 3,17"``: data rows, counted from 0, ranges with both
            ends. ``"random:N"``: N rows drawn without replacement from ``seed``. ``"COL==VALUE"``:
            the rows whose cell is written so. Anything else is an SQL condition. Arrays may hold
            the rows themselves, in an array ``forget``.
        forget_ids: instead of ``forget``, a file of ids, one a line, of the column ``id``.
        forget_sets: instead of ``forget``, a file of many forget sets, as
            :func:`gda_theory.problem.forget_sets.read` takes it. Everything is then fitted on all
            rows, and ``sets`` of the result has the sets.
        id: the column with these ids.
        allow_missing: accept ids that no row has.
        seed: a whole number >= 0.
        standardize, scale_on, drop, keep, keep_selector: as in :class:`Choices`.
        settings: how a text file is written.
    Returns: :class:`Dataset`.
    Raises: ``ValueError`` that names file, line and column, or the part of ``forget`` at fault;
        ``OSError`` for a file that cannot be opened.
    """
    which = Which(forget, forget_ids, forget_sets, id, allow_missing, seed)
    which.check()
    every = "all" if forget_sets is not None else scale_on
    choices = Choices(drop, keep, keep_selector, standardize, every)
    built_in = source.partition(":")[0] in bundled.BUILT_IN
    if built_in or arrays.holds_arrays(source):
        data = _built_in(source, label) if built_in else arrays.read(source, label, labels)
        selected = _of_arrays(data, which)
        return _with_sets(arrays.prepare(data, selected, choices), selected)
    if labels is not None:
        raise ValueError(f"labels is only for arrays; name the column of {source} with label")
    table = _read(source, settings, {name for name in (label, id) if name} | rows.words(forget))

    def select() -> Selected:
        return which.of(source, table.frame.height, lambda: table)

    selected, found = prepared.selected_and_prepared(table, label, select, choices)
    return _with_sets(found, selected)


class Which(NamedTuple):
    """Which rows to forget, as :func:`load` takes them."""

    forget: str | None
    forget_ids: str | None
    forget_sets: str | None
    id: str | None
    allow_missing: bool
    seed: int

    def check(self) -> None:
        """Raise ``ValueError`` for options that exclude each other."""
        ways = {
            name: getattr(self, name)
            for name in ("forget", "forget_ids", "forget_sets")
            if getattr(self, name) is not None
        }
        if len(ways) > 1:
            raise ValueError(f"give one of forget, forget_ids or forget_sets, got {listed(ways)}")
        if self.forget_ids is not None and self.id is None:
            raise ValueError("forget_ids needs id, the column with these ids")
        if self.id is not None and self.forget_ids is None and self.forget_sets is None:
            raise ValueError("id is only for forget_ids or forget_sets")

    def asked(self) -> bool:
        """Whether rows are named at all."""
        return (self.forget, self.forget_ids, self.forget_sets) != (None, None, None)

    def of(self, source: str, height: int, table: Callable[[], Table]) -> Selected:
        """The rows of a table."""
        if self.forget_sets is not None:
            return forget_sets.read(
                self.forget_sets, height, table, self.id, allow_missing=self.allow_missing
            )
        if self.forget_ids is not None and self.id is not None:
            return rows.by_ids(table(), self.forget_ids, self.id, allow_missing=self.allow_missing)
        if self.forget is None:
            raise ValueError("say which rows to forget, by forget, forget_ids or forget_sets")
        return rows.select(source, height, self.forget, seed=self.seed, table=table)


def _with_sets(found: Prepared, selected: Selected) -> Dataset:
    """The data set. Of many forget sets the first is the one to forget."""
    if not selected.sets:
        return Dataset(*found)
    mask = np.zeros_like(selected.mask)
    mask[next(iter(selected.sets.values()))] = True
    return Dataset(*found)._replace(forget=mask, sets=selected.sets)


def _of_arrays(data: Arrays, which: Which) -> Selected:
    """The rows that are asked for, else those that came with the arrays."""
    if not which.asked() and data.forget is not None:
        return rows.checked(Selected(data.forget, (), "of the array 'forget'"))
    return which.of(data.source, data.features.shape[0], data.table)


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


def _read(source: str, settings: Format | None, as_text: Collection[str]) -> Table:
    if not Path(source).exists() and not reading.is_partitioned(source):
        names = ", ".join(bundled.BUILT_IN)
        raise FileNotFoundError(
            f"no file {source!r}, and no data set of that name (there are {names})"
        )
    return reading.read(source, settings, as_text)


# Data sets that come with scikit-learn ----------------------------------------------------------


def _built_in(source: str, label: str | None) -> Arrays:
    """Two classes of such a set. Its features are numbers, so that it needs no scikit-learn."""
    name = source.partition(":")[0]
    if label is not None:
        raise ValueError(f"label is only for files: {name} has its own classes, got {label!r}")
    data = _two_classes(source)
    return Arrays(source, data.features, data.names, "target", {"target": data.targets})


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
