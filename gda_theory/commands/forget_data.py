"""The data of ``forget``: rows in memory, or rows in partitions."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from gda_theory.commands import arguments
from gda_theory.deletion.receipt_rows import AnyRows, PartitionedRows, Rows
from gda_theory.deletion.rows import AnyProblem
from gda_theory.problem import tables
from gda_theory.problem.multinomial import MultinomialProblem

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

PART = "data/"  # begins the name of each Parquet file in a receipt


class Model(NamedTuple):
    """The objective of a model: the weight of its penalty, and how losses are added up."""

    ridge: float
    reduction: str
    intercept: bool


class ForgetData(NamedTuple):
    """What ``forget`` was given.

    ``rows`` and ``forget`` are what a receipt is about. ``sources`` are the files, by their names
    in a receipt. ``pipeline`` makes a model that predicts raw rows.
    """

    problem: AnyProblem
    rows: AnyRows
    forget: Bool[np.ndarray, " n"]
    classes: Sequence[str]
    notes: Sequence[str]
    sources: Mapping[str, Path]
    pipeline: "Callable[[LogisticRegression], Pipeline]"

    @property
    def described(self) -> str:
        """Its kind, for an error."""
        kind = "rows in partitions" if isinstance(self.rows, PartitionedRows) else "rows in memory"
        return f"{len(self.classes)} classes and {kind}"


def given(options, executor: Executor | None) -> ForgetData:
    """The data of the command ``forget``."""
    model = Model(options.ridge, options.reduction, options.intercept)
    if arguments.is_partitioned(options) and not options.in_memory:
        return in_partitions(options, model, executor)
    return in_memory(options, model)


def as_in_receipt(
    options, receipt: Mapping[str, Any], model: Model, executor: Executor | None
) -> ForgetData:
    """The data of the command ``check``, read as they were for the receipt."""
    if any(name.startswith(PART) for name in receipt["files"]):
        return in_partitions(options, model, executor)
    return in_memory(options, model)


def in_memory(options, model: Model) -> ForgetData:
    """All rows as arrays."""
    loaded = arguments.loaded_data(options)
    problem = loaded.problem(**model._asdict())
    labels = problem.labels if isinstance(problem, MultinomialProblem) else problem.signs
    source = Path(options.data)
    return ForgetData(
        problem=problem,
        rows=Rows(
            np.asarray(problem.features, float),
            np.asarray(labels, float),
            np.asarray(problem.sample_weight, float),
        ),
        forget=np.asarray(problem.forget),
        classes=loaded.classes,
        notes=loaded.notes,
        sources={"data": source} if source.is_file() else {},
        pipeline=functools.partial(_pipeline, options, loaded),
    )


def in_partitions(options, model: Model, executor: Executor | None) -> ForgetData:
    """Rows of Parquet files, which need not fit in memory."""
    from gda_theory.deletion import pipelines

    planned = arguments.planned_files(options, executor)
    problem = planned.problem(**model._asdict(), executor=executor)
    paths = [Path(path) for path in planned.paths]
    folder = os.path.commonpath([path.absolute().parent for path in paths])
    return ForgetData(
        problem=problem,
        rows=PartitionedRows(problem, planned.forget),
        forget=planned.forget,
        classes=planned.classes,
        notes=planned.notes,
        sources={PART + path.absolute().relative_to(folder).as_posix(): path for path in paths},
        pipeline=functools.partial(pipelines.of_files, planned),
    )


def _pipeline(options, loaded: tables.Dataset, classifier: "LogisticRegression") -> "Pipeline":
    """The pipeline of a model of rows in memory."""
    from gda_theory.deletion import pipelines

    fitted_on = ~loaded.forget if options.scale_on == "kept" else np.ones_like(loaded.forget)
    if loaded.transformer is not None:
        table = arguments.table_of(options)
        return pipelines.of_table(table, loaded, fitted_on, options.keep, classifier)
    if loaded.span is not None:
        raise ValueError(
            f"{options.data} has more columns than rows, and no model of it can be saved: reduce"
            " them first, for example by scikit-learn's TruncatedSVD"
        )
    raw = arguments.loaded_data(options, standardize=False).features
    standardize = options.standardize and not np.array_equal(raw, loaded.features)
    return pipelines.of_numbers(raw, loaded, fitted_on, standardize, classifier)
