"""Arguments that several commands share, and the data and the problem that they describe."""

import argparse
from collections.abc import Callable
from concurrent.futures import Executor

from gda_theory.problem import parquet, reading
from gda_theory.problem import tables as data
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.parquet_rows import RowsAsked
from gda_theory.problem.partitions import PartitionedProblem
from gda_theory.problem.prepared import Choices
from gda_theory.problem.problem import Problem
from gda_theory.problem.reading import Table

RIDGE_MEANING = "weight of the penalty: ridge/2 times the squared length of the weights"


def add_rows(parser: argparse.ArgumentParser, *, many_sets: bool = False) -> None:
    """The data, the rows to forget, the columns, and how a text file is written.

    With ``many_sets`` there is an option for many forget sets.
    """
    parser.add_argument(
        "data",
        help="breast_cancer, or two classes of another set (digits:3-8, iris:0-1, wine:0-1), "
        "or a file: CSV, Parquet, Arrow, JSON lines, npz or svmlight, compressed by gzip or not",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--forget",
        metavar="SPEC",
        help="the rows to forget: numbers from 0 (3,17,20-25), random:N, COLUMN==VALUE, or an SQL "
        "condition such as \"branch = 7 and opened < '2020-01-01'\"",
    )
    which.add_argument(
        "--forget-ids", metavar="FILE", help="a file of ids to forget, one a line; needs --id"
    )
    if many_sets:
        which.add_argument(
            "--forget-sets",
            metavar="FILE",
            help="a file of many forget sets, which are ranked by harm: npz with a mask or row "
            "numbers for each set, or a table with two columns, set and row number (with --id: "
            "set and id)",
        )
    parser.add_argument(
        "--id", metavar="COLUMN", help="the column of the data that holds these ids"
    )
    parser.add_argument("--allow-missing", action="store_true", help="accept ids that match no row")
    parser.add_argument("--seed", type=int, default=0, help="seed of random:N (default 0)")
    _add_columns(parser)
    _add_format(parser)


def _add_columns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--label", metavar="COLUMN", help="the column that holds the class of each row"
    )
    parser.add_argument(
        "--labels", metavar="FILE", help="a file of labels, for arrays that come without them"
    )
    parser.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column that is not a feature (may be repeated)",
    )
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column that is a feature although it looks like an identifier (may be repeated)",
    )
    parser.add_argument(
        "--keep-selector",
        action="store_true",
        help="keep the column by which rows are selected as a feature",
    )
    parser.add_argument(
        "--standardize",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="scale each feature to mean 0 and variance 1 (the default), or do not",
    )
    parser.add_argument(
        "--scale-on",
        choices=["kept", "all"],
        default="kept",
        help="the rows on which scaling, categories and imputation are fitted (default kept)",
    )
    parser.add_argument(
        "--intercept",
        action="store_true",
        help="add an intercept without ridge, as scikit-learn does",
    )


def _add_format(parser: argparse.ArgumentParser) -> None:
    text = parser.add_argument_group("how a text file is written")
    text.add_argument(
        "--delimiter",
        metavar="CHAR",
        help="what separates cells (default: comma, semicolon, tab or |, found from the file)",
    )
    text.add_argument("--decimal", choices=[".", ","], default=".", help="decimal mark (default .)")
    text.add_argument(
        "--encoding",
        metavar="NAME",
        help="of the file (default: its byte-order mark, else UTF-8)",
    )
    text.add_argument(
        "--comment",
        metavar="TEXT",
        default="#",
        help="skip lines that begin with this text (default #; '' skips none)",
    )
    text.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="say that the first line names the columns although it holds numbers, or that it is a "
        "row of data (default: it names the columns, and a number in it is an error)",
    )


def add_problem(parser: argparse.ArgumentParser, *, many_sets: bool = False) -> None:
    """The rows, and the ridge, strength, loss and reduction."""
    add_rows(parser, many_sets=many_sets)
    parser.add_argument("--ridge", type=float, default=1e-2, help=f"{RIDGE_MEANING} (default 0.01)")
    parser.add_argument(
        "--strength",
        type=float,
        default=1.0,
        help="weight of the ascent on the rows to forget (default 1, as in the paper)",
    )
    add_conventions(parser, "logistic")


def add_command(commands, name: str, command: Callable, purpose: str) -> argparse.ArgumentParser:
    """A parser of one command. ``command`` takes the options and returns what prints the answer."""
    parser = commands.add_parser(name, help=purpose, description=purpose)
    parser.set_defaults(command=command, name=name)
    return parser


def add_conventions(parser: argparse.ArgumentParser, loss: str) -> None:
    """The loss, by default ``loss``, and the reduction."""
    parser.add_argument(
        "--loss",
        choices=["logistic", "exponential"],
        default=loss,
        help=f"loss of one row (default {loss})",
    )
    parser.add_argument(
        "--reduction",
        choices=["mean", "sum"],
        default="mean",
        help="average or add up the losses of each set (default mean, as in the paper)",
    )


def loaded_data(options, *, standardize: bool | None = None) -> data.Dataset:
    """The data that the options of :func:`add_rows` describe.

    ``standardize`` takes the place of the option of that name.
    """
    return data.load(
        options.data,
        label=options.label,
        labels=options.labels,
        forget=options.forget,
        forget_ids=options.forget_ids,
        forget_sets=getattr(options, "forget_sets", None),
        id=options.id,
        allow_missing=options.allow_missing,
        seed=options.seed,
        standardize=options.standardize if standardize is None else standardize,
        scale_on=options.scale_on,
        drop=options.drop,
        keep=options.keep,
        keep_selector=options.keep_selector,
        settings=_format(options),
    )


def table_of(options) -> Table:
    """The cells of the file of :func:`add_rows`, as they are written."""
    return reading.read(options.data, _format(options))


def _format(options) -> data.Format:
    return data.Format(
        delimiter=_character(options.delimiter),
        decimal=options.decimal,
        encoding=options.encoding,
        comment=options.comment,
        header=options.header,
    )


def _character(delimiter: str | None) -> str | None:
    """The delimiter. A tab is hard to type, so that its name and ``\\t`` mean it too."""
    return "\t" if delimiter in ("tab", "\\t") else delimiter


def add_scheduler(parser: argparse.ArgumentParser) -> None:
    """The address of a Dask cluster."""
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="address of a Dask cluster, such as tcp://10.0.0.1:8786, which reads and sums the"
        " Parquet files of a folder or of a pattern such as sales/*.parquet (default: threads of"
        " this machine do so)",
    )


def is_partitioned(options) -> bool:
    """Whether the rows come in partitions: from a folder, a pattern, or on a cluster."""
    return options.scheduler is not None or reading.is_partitioned(options.data)


def partitioned_problem(
    options, executor: Executor | None, watch: Callable[[], object] | None
) -> PartitionedProblem:
    """The problem of Parquet files that the options of :func:`add_problem` describe.

    ``watch`` is called after each pass over the rows.

    Raises: ``ValueError`` for options that say how a text file is written, and what
        :func:`gda_theory.from_parquet` raises.
    """
    return planned_files(options, executor).problem(
        ridge=options.ridge,
        loss=options.loss,
        reduction=options.reduction,
        intercept=options.intercept,
        executor=executor,
        watch=watch,
    )


def planned_files(options, executor: Executor | None) -> parquet.PlannedFiles:
    """The Parquet files that the options of :func:`add_rows` describe.

    Raises: as :func:`partitioned_problem`.
    """
    if options.labels is not None:
        raise ValueError("--labels is not for Parquet files; name their column by --label")
    return parquet.planned_files(
        options.data,
        options.label,
        RowsAsked(
            forget=options.forget,
            forget_ids=options.forget_ids,
            id=options.id,
            allow_missing=options.allow_missing,
            seed=options.seed,
        ),
        Choices(
            drop=options.drop,
            keep=options.keep,
            keep_selector=options.keep_selector,
            standardize=options.standardize,
            scale_on=options.scale_on,
        ),
        executor,
    )


def problem_of(options, loaded: data.Dataset) -> Problem | MultinomialProblem:
    """The problem that the options of :func:`add_problem` describe."""
    return loaded.problem(
        ridge=options.ridge,
        loss=options.loss,
        reduction=options.reduction,
        intercept=options.intercept,
    )


def add_force(parser: argparse.ArgumentParser) -> None:
    """Permission to replace a file."""
    parser.add_argument(
        "--force", action="store_true", help="replace the output file if there is one already"
    )
