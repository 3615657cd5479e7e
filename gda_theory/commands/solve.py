"""``solve`` prints all results for a correlated pair, with the claims that back them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gda_theory import codes, pair
from gda_theory.codes import Kind
from gda_theory.commands import arguments
from gda_theory.pair import CorrelatedPair
from theory_common.claims import claims_of
from theory_common.printing import tables

COUNTS = {
    "ridge": arguments.RIDGE_MEANING,
    "retain_size": "number of rows to keep, in the pair or not",
    "forget_size": "number of rows to forget, in the pair or not",
    "retain_in_pair": "how many of the rows to keep are (1, e)",
    "forget_in_pair": "how many of the rows to forget are (e, 1) (default 0)",
}
# The symbols in the names of the rows of solve's table.
SYMBOLS = (
    "x is the margin of the kept type and y that of the forgotten type. D stands for the "
    "pretrained model, R for the retrained one, DA for descent-ascent. At a fold the minimum of "
    "descent-ascent meets a saddle and disappears."
)


class Answer(NamedTuple):
    """One number or sentence about a pair, and the ids of the claims that back it."""

    name: str
    value: object
    claims: tuple[str, ...]


def add(commands) -> None:
    """Add the command's parser."""
    parser = arguments.add_command(
        commands,
        "solve",
        run,
        "print all results for one kept and one forgotten type of row, with the claims behind them",
    )
    parser.add_argument(
        "--correlation",
        type=float,
        required=True,
        help="e in [0, 1): kept rows of the pair are (1, e), forgotten ones (e, 1)",
    )
    for name, meaning in COUNTS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=float,
            required=name != "forget_in_pair",
            default=0.0,
            help=meaning,
        )
    parser.add_argument(
        "--allow-unrealisable",
        action="store_true",
        help="accept a --forget-in-pair above --forget-size, as the paper's figures do",
    )
    arguments.add_conventions(parser, "exponential")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options) -> Callable[[], None]:
    """Solve, and return what prints the answers."""
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
        "x_D <= x_R up to": exact.x_upper,
        "y_D <= y_R up to": exact.y_upper,
    }
    found = [
        _answer(f"{name} alpha", float(edge.alpha), pair.ordering_windows)
        for name, edge in edges.items()
    ]
    window = _point(exact.lower, exact.upper) if exact.exists else "empty"
    found.append(_answer("exact window of alpha", window, pair.ordering_windows))
    found.append(_answer("realisable up to alpha", float(exact.realisable), pair.ordering_windows))
    enough = pair.sufficient_window(given)
    window = _point(enough.lower, enough.upper) if enough.exists else "empty"
    found.append(
        _answer("Lemma 9: from alpha", _point(*pair.lemma_9_edges(given)), pair.lemma_9_edges)
    )
    found.append(
        _answer("Lemma 10: up to alpha", _point(*pair.lemma_10_edges(given)), pair.lemma_10_edges)
    )
    found.append(_answer("Lemmas 9 and 10: window of alpha", window, pair.sufficient_window))
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
