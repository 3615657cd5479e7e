"""The commands ``diagnose``, ``certify``, ``check`` and ``solve``.

``diagnose`` gives a verdict on data. ``certify`` writes a proof about data, and ``check`` verifies
it. ``solve`` prints all results for a correlated pair.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gda_theory import codes, pair
from gda_theory.codes import Kind
from gda_theory.pair import CorrelatedPair
from gda_theory.problem import tables as data
from gda_theory.problem.problem import Problem
from gda_theory.verdict import report
from gda_theory.verdict.diagnosis import diagnose
from theory_common import entry
from theory_common.claims import claims_of
from theory_common.printing import tables

LARGE = 8_000_000  # bytes of a file, about a million numbers: then optimised programs pay
RIDGE_MEANING = "weight of the penalty: ridge/2 times the squared length of the weights"
COUNTS = {
    "ridge": RIDGE_MEANING,
    "retain_size": "number of samples to keep, in the pair or not",
    "forget_size": "number of samples to forget, in the pair or not",
    "retain_in_pair": "how many of the samples to keep are (1, e)",
    "forget_in_pair": "how many of the samples to forget are (e, 1) (default 0)",
}
# Of solve's table: the symbols in the names of its rows.
SYMBOLS = (
    "x is the margin of the kept type and y that of the forgotten type. D stands for the "
    "pretrained model, R for the retrained one, DA for descent-ascent. At a fold the minimum of "
    "descent-ascent meets a saddle and disappears."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see :func:`theory_common.entry.run_command`)."""
    options = _parser().parse_args(arguments)
    entry.enable_float64()
    entry.compile_quickly(optimise=_is_large(options))
    entry.keep_compiled_code()

    def command() -> int:
        print_answer = options.command(options)
        print_answer()
        return 0

    return entry.run_command(f"gda_theory {options.name}", command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gda_theory",
        description="When can a logistic-regression model unlearn, that is, forget some rows?",
    )
    entry.add_version(parser)
    commands = parser.add_subparsers(required=True, metavar="diagnose|certify|check|solve")
    verdict = _command(
        commands,
        "diagnose",
        _diagnose,
        "say whether gradient ascent would help to forget some rows of your data",
    )
    _data(verdict)
    verdict.add_argument("--json", action="store_true", help="print JSON instead of a table")
    proof = _command(
        commands,
        "certify",
        _certify,
        "prove how far ascent ends from the retrained model, and write a certificate (JSON)",
    )
    _data(proof)
    proof.add_argument(
        "--out", metavar="FILE", help="where to write the certificate (default: standard output)"
    )
    check = _command(
        commands,
        "check",
        _check,
        "check a certificate against its data, with rigorous bounds on every rounding error",
    )
    check.add_argument("certificate", help="the JSON file that certify wrote")
    _rows_of(check)
    solve = _command(
        commands,
        "solve",
        _solve,
        "print all results for one kept and one forgotten type of sample, with their claims",
    )
    solve.add_argument(
        "--correlation",
        type=float,
        required=True,
        help="e in [0, 1): kept samples of the pair are (1, e), forgotten ones (e, 1)",
    )
    for name, meaning in COUNTS.items():
        solve.add_argument(
            f"--{name.replace('_', '-')}",
            type=float,
            required=name != "forget_in_pair",
            default=0.0,
            help=meaning,
        )
    solve.add_argument(
        "--allow-unrealisable",
        action="store_true",
        help="accept a --forget-in-pair above --forget-size, as the paper's figures do",
    )
    _conventions(solve, "exponential")
    solve.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def _rows_of(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        help="breast_cancer, or two classes of another set (digits:3-8, iris:0-1, wine:0-1), "
        "or a file: CSV, Parquet, Arrow or JSON lines, packed with gzip or not",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--forget",
        metavar="SPEC",
        help="the rows to forget: numbers from 0 (3,17,20-25), random:N, COLUMN==VALUE, or an SQL "
        "condition such as \"branch = 7 and opened < '2020-01-01'\"",
    )
    which.add_argument(
        "--forget-ids", metavar="FILE", help="a file of ids to forget, one a line; needs --id"
    )
    parser.add_argument("--id", metavar="COLUMN", help="the column with the ids of --forget-ids")
    parser.add_argument("--allow-missing", action="store_true", help="accept ids that match no row")
    parser.add_argument("--seed", type=int, default=0, help="seed of random:N (default 0)")
    _columns_of(parser)
    _format_of(parser)


def _columns_of(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--label", metavar="COLUMN", help="the column of a file that holds the two classes"
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


def _format_of(parser: argparse.ArgumentParser) -> None:
    text = parser.add_argument_group("how a text file is written")
    text.add_argument(
        "--delimiter", metavar="CHAR", help="what separates cells (default: , ; tab or |, found)"
    )
    text.add_argument("--decimal", choices=[".", ","], default=".", help="decimal mark (default .)")
    text.add_argument(
        "--encoding", metavar="NAME", help="default: by the byte-order mark, else UTF-8"
    )
    text.add_argument(
        "--comment",
        metavar="TEXT",
        default="#",
        help="skip lines that begin with it (default #; '' for none)",
    )
    text.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether the first line names the columns (default: it must)",
    )


def _data(parser: argparse.ArgumentParser) -> None:
    _rows_of(parser)
    parser.add_argument("--ridge", type=float, default=1e-2, help=f"{RIDGE_MEANING} (default 0.01)")
    parser.add_argument(
        "--strength",
        type=float,
        default=1.0,
        help="weight of the ascent on the rows to forget (default 1, as in the paper)",
    )
    _conventions(parser, "logistic")


def _command(commands, name: str, command: Callable, purpose: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=purpose, description=purpose)
    parser.set_defaults(command=command, name=name)
    return parser


def _conventions(parser: argparse.ArgumentParser, loss: str) -> None:
    parser.add_argument(
        "--loss",
        choices=["logistic", "exponential"],
        default=loss,
        help=f"loss of one sample (default {loss})",
    )
    parser.add_argument(
        "--reduction",
        choices=["mean", "sum"],
        default="mean",
        help="average or add up the losses of each set (default mean, as in the paper)",
    )


def _is_large(options) -> bool:
    """Whether the command reads a large file."""
    path = Path(getattr(options, "data", ""))
    return path.is_file() and path.stat().st_size > LARGE


# diagnose ----------------------------------------------------------------------------------------


def _loaded(options) -> data.Dataset:
    return data.load(
        options.data,
        label=options.label,
        forget=options.forget,
        forget_ids=options.forget_ids,
        id=options.id,
        allow_missing=options.allow_missing,
        seed=options.seed,
        standardize=options.standardize,
        scale_on=options.scale_on,
        drop=options.drop,
        keep=options.keep,
        keep_selector=options.keep_selector,
        settings=data.Format(
            delimiter=_character(options.delimiter),
            decimal=options.decimal,
            encoding=options.encoding,
            comment=options.comment,
            header=options.header,
        ),
    )


def _character(delimiter: str | None) -> str | None:
    """The delimiter. A tab is hard to type, so that its name and ``\\t`` mean it too."""
    return "\t" if delimiter in ("tab", "\\t") else delimiter


def _problem(options, loaded: data.Dataset) -> Problem:
    return loaded.problem(
        ridge=options.ridge,
        loss=options.loss,
        reduction=options.reduction,
        intercept=options.intercept,
    )


def _diagnose(options) -> Callable[[], None]:
    loaded = _loaded(options)
    problem = _problem(options, loaded)
    found = diagnose(problem, options.strength)
    bias = "with an intercept that carries no ridge" if options.intercept else "no intercept"
    notes = [*loaded.notes, f"model: {options.loss} loss, {options.reduction}s, {bias}"]
    if options.json:
        return lambda: print(tables.dumps(report.as_json(found, notes), indent=2))
    return lambda: print("\n".join([*notes, "", found.summary()]))


# certify and check -------------------------------------------------------------------------------


def _certify(options) -> Callable[[], None]:
    from gda_theory.verdict import certificates

    certificate = certificates.certify(_problem(options, _loaded(options)), options.strength)
    text = json.dumps(certificate, indent=1)
    if options.out is None:
        return lambda: print(text)
    Path(options.out).write_text(text + "\n")
    return lambda: print(f"PROVED: {certificate['claim']}.\nThe certificate is in {options.out}.")


def _check(options) -> Callable[[], None]:
    from gda_theory.verdict import checker

    try:
        certificate = json.loads(Path(options.certificate).read_bytes())
    except ValueError as error:
        raise ValueError(
            f"{options.certificate} must be a JSON file that certify wrote: {error}"
        ) from None
    # The ridge plays no part in how rows are read.
    problem = _loaded(options).problem(ridge=1.0, intercept=options.intercept)
    wrong = checker.failures(certificate, problem.features, problem.signs, problem.forget)
    if wrong:
        raise ValueError(f"{options.certificate} is rejected: {'; '.join(wrong)}")
    return lambda: print(f"CHECKED: {certificate['claim']}.")


# solve -------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """One number or sentence about a pair, and the ids of the claims that back it."""

    name: str
    value: object
    claims: tuple[str, ...]


def _solve(options) -> Callable[[], None]:
    counts = {name: getattr(options, name) for name in COUNTS}
    given = CorrelatedPair(
        options.correlation,
        **counts,
        loss=options.loss,
        reduction=options.reduction,
        allow_unrealisable=options.allow_unrealisable,
    )
    found = answers(given)
    if options.json:
        return lambda: print(tables.dumps({"answers": found}, indent=2))
    shares = f"alpha = forget_in_pair / retain_in_pair = {tables.number(given.alpha)}"
    title = f"{options.loss} loss, {options.reduction}s. {shares}. {SYMBOLS}"
    rows = [(answer.name, answer.value, " ".join(answer.claims)) for answer in found]
    return lambda: tables.print_table(rows, ["answer", "value", "claims"], title, digits=8)


def answers(given: CorrelatedPair) -> list[Answer]:
    """Every answer about one pair: solutions, folds, windows, bounds and the regime."""
    return [*_solutions(given), *_folds(given), *_windows(given), *_bounds(given), *_regime(given)]


def _answer(name: str, value, *functions: Callable) -> Answer:
    """One answer, with every claim that backs one of the functions it was computed by."""
    claims = [claim for function in functions for claim in claims_of(function)]
    return Answer(name, value, tuple(dict.fromkeys(claims)))


def _point(x, y) -> np.ndarray:
    return np.array([float(x), float(y)])


def _solutions(given: CorrelatedPair) -> list[Answer]:
    found = []
    for name, solver in (
        ("pretrained", pair.pretrain),
        ("retrained", pair.retrain),
        ("descent-ascent", pair.descent_ascent),
    ):
        solution = solver(given)
        found.append(_answer(f"{name} (x, y)", _point(solution.x, solution.y), solver))
        found.append(_answer(f"{name}: weights", np.asarray(solution.weights), solver))
    found.append(
        _answer(
            "descent-ascent: status",
            codes.sentence(codes.Reason(int(solution.reason))),
            pair.descent_ascent,
        )
    )
    points = pair.stationary_points(given)
    for x, y, kind in zip(points.x, points.y, points.kind, strict=True):
        if kind != Kind.NONE:
            found.append(
                _answer(
                    f"{Kind(int(kind)).name.lower()} (x, y)", _point(x, y), pair.stationary_points
                )
            )
    return found


def _folds(given: CorrelatedPair) -> list[Answer]:
    folds = pair.folds(given)
    there = [index for index in range(2) if not np.isnan(folds.alpha[index])]
    if not there:
        return [_answer("folds", "none: the minimum never disappears", pair.folds)]
    return [
        answer
        for number, index in enumerate(there, 1)
        for answer in (
            _answer(f"fold {number}: alpha", float(folds.alpha[index]), pair.folds),
            _answer(f"fold {number} (x, y)", _point(folds.x[index], folds.y[index]), pair.folds),
        )
    ]


def _windows(given: CorrelatedPair) -> list[Answer]:
    exact = pair.ordering_windows(given)
    edges = {
        "x_DA <= x_D from": exact.x_lower,
        "y_DA <= y_D from": exact.y_lower,
        "x_D <= x_R to": exact.x_upper,
        "y_D <= y_R to": exact.y_upper,
    }
    found = [
        _answer(f"{name} alpha", float(edge.alpha), pair.ordering_windows)
        for name, edge in edges.items()
    ]
    window = _point(exact.lower, exact.upper) if exact.exists else "empty"
    found.append(_answer("exact window of alpha", window, pair.ordering_windows))
    found.append(_answer("realisable to alpha", float(exact.realisable), pair.ordering_windows))
    enough = pair.sufficient_window(given)
    window = _point(enough.lower, enough.upper) if enough.exists else "empty"
    found.append(
        _answer("Lemma 9: alpha from", _point(*pair.lemma_9_edges(given)), pair.lemma_9_edges)
    )
    found.append(
        _answer("Lemma 10: alpha to", _point(*pair.lemma_10_edges(given)), pair.lemma_10_edges)
    )
    found.append(_answer("their window of alpha", window, pair.sufficient_window))
    return found


def _bounds(given: CorrelatedPair) -> list[Answer]:
    x, y = pair.lemma_7_bounds(given)
    return [
        _answer("Lemma 7: bounds on x_D", _point(x.lower, x.upper), pair.lemma_7_bounds),
        _answer("Lemma 7: bounds on y_D", _point(y.lower, y.upper), pair.lemma_7_bounds),
        _answer(
            "Lemma 8: (x, y)_DA at most", _point(*pair.lemma_8_bounds(given)), pair.lemma_8_bounds
        ),
    ]


def _regime(given: CorrelatedPair) -> list[Answer]:
    found = pair.regime(given)
    return [
        _answer("pretrained to retrained", float(found.pretrain_distance), pair.regime),
        _answer("descent-ascent to retrained", float(found.descent_ascent_distance), pair.regime),
        _answer("regime", pair.REGIME_SENTENCES[pair.RegimeCode(int(found.code))], pair.regime),
    ]
