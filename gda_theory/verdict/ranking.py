r"""Many forget sets of one data set, ranked by what gradient ascent would do to each.

The first stage computes for *every* set the retrained model (the *oracle*), its distance to the
pretrained model, the Newton step, the losses, and an estimate of harm
(:mod:`gda_theory.verdict.harm`). The second stage follows the exact path of minima for the sets
with the largest estimates.
"""

import contextlib
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from gda_theory.problem.classes import MOST_ON_PATH
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.problem import Problem
from gda_theory.problem.row_span import row_span
from gda_theory.solve.many import retrain_many, row_numbers
from gda_theory.solve.minimise import pretrain
from gda_theory.solve.path import ascent_path
from gda_theory.verdict import class_harm, harm, measure
from gda_theory.verdict.decide import Verdict, decide
from gda_theory.verdict.harm import Estimates
from gda_theory.verdict.measure import AnyProblem, Measurement
from theory_common import checks
from theory_common.precision import ArrayLike
from theory_common.printing import tables

if TYPE_CHECKING:
    import polars as pl

WORK = 2**31  # of all exact paths by default: rows times columns squared, some tens of seconds
LEAST = 3  # exact paths, whatever they cost
SHOWN = 40  # sets in a summary
WIDTH = 100
NAME = 20  # characters of a name in a summary
WORDS = {
    Verdict.UNCERTAIN: "uncertain",
    Verdict.NOTHING_TO_FORGET: "nothing to forget",
    Verdict.UNBOUNDED: "unbounded",
    Verdict.LOST: "no minimum",
    Verdict.FARTHER: "farther",
    Verdict.NEARER: "nearer",
}
BOUNDED = "not nearer"
LIKELY = ("likely nearer", "likely farther")
COLUMNS = ("", "set", "rows", "verdict", "harm", "break-even", "critical", "ascent", "nothing")
LEGEND = (
    "nothing, Newton, ascent: distance to the retrained model after doing nothing, after one Newton"
    " step on the kept rows, and at ascent's minimum. harm: ascent over nothing. break-even:"
    " strength above which ascent ends farther away than doing nothing. critical: strength where"
    " its minimum disappears. loss: mean loss of the pretrained model on the set.",
    "~ marks estimates of first order, and 'likely' verdicts that rest on them. All other numbers"
    " are exact. 'not nearer' follows from a bound: ascent's minimum is farther away than doing"
    " nothing, or there is none.",
)


class Ranking(NamedTuple):
    """Forget sets in the order of harm, the worst first.

    The sets with an exact path come first. Among them those without a minimum stand first, the one
    that loses it at the smallest strength before the others. Then come the other sets, by their
    estimates.

    Attributes:
        strength: of the ascent.
        names: of the sets.
        rows: how many rows each set has.
        pretrain_distance: from the pretrained to the retrained model, exact for every set.
        newton_distance: the same after one Newton step on the kept rows, exact for every set.
        mean_forget_loss: mean loss of the pretrained model on the set, exact for every set.
        harm: distance of ascent's minimum over ``pretrain_distance``. It is infinite where there is
            no minimum, and an estimate where ``exact`` is False.
        break_even_strength: above it ascent ends farther away than doing nothing. NaN if none was
            met; an estimate where ``exact`` is False.
        descent_ascent_distance: from ascent's minimum to the retrained model. NaN where there is
            none (then ``verdict`` says why) or ``exact`` is False.
        critical_strength: where the minimum disappears. NaN as above.
        verdict: where ascent ends: nearer, farther, no minimum, unbounded, nothing to forget or
            uncertain. Where ``exact`` is False it is "not nearer" if a bound says so, else likely
            nearer or likely farther.
        exact: whether the path of minima was followed.
        converged: whether the retrained model was found to its tolerance.
    """

    strength: float
    names: tuple[str, ...]
    rows: Int[np.ndarray, " sets"]
    pretrain_distance: Float[np.ndarray, " sets"]
    newton_distance: Float[np.ndarray, " sets"]
    mean_forget_loss: Float[np.ndarray, " sets"]
    harm: Float[np.ndarray, " sets"]
    break_even_strength: Float[np.ndarray, " sets"]
    descent_ascent_distance: Float[np.ndarray, " sets"]
    critical_strength: Float[np.ndarray, " sets"]
    verdict: tuple[str, ...]
    exact: Bool[np.ndarray, " sets"]
    converged: Bool[np.ndarray, " sets"]

    def to_frame(self) -> "pl.DataFrame":
        """A Polars data frame with one row a set, the worst first."""
        import polars as pl

        return pl.DataFrame(self._columns())

    def to_dict(self) -> dict[str, Any]:
        """What ``diagnose --forget-sets --json`` prints: the strength, and one entry a set."""
        columns = self._columns()
        keys = list(columns)
        values = zip(*columns.values(), strict=True)
        return {
            "strength": self.strength,
            "sets": [dict(zip(keys, row, strict=True)) for row in values],
        }

    def summary(self) -> str:
        """The table as text; of more than 40 sets, the worst 40."""
        return "\n".join([*tables.aligned(list(_cells(self))), *_legend(self)])

    def __str__(self) -> str:
        return self.summary()

    def _columns(self) -> dict[str, list]:
        fields = self._asdict()
        fields.pop("strength")
        columns = {"rank": list(range(1, len(self.names) + 1)), "set": list(fields.pop("names"))}
        return columns | {name: np.asarray(values).tolist() for name, values in fields.items()}


def rank(
    problem: Problem | MultinomialProblem,
    forget_sets: Mapping[str, ArrayLike] | ArrayLike | Iterable[ArrayLike],
    strength: float = 1.0,
    *,
    exact: int | None = None,
    progress: bool = False,
) -> Ranking:
    """Many forget sets of one data set, ranked by the harm of gradient ascent.

    Args:
        problem: the data; its own forget set is not used.
        forget_sets: names and sets, or the sets alone. Each is a boolean mask or an array of row
            numbers.
        strength: of the ascent, finite and > 0.
        exact: for how many sets the path of minima is followed, which costs some twenty exact
            retrainings each. By default as many as take some tens of seconds, at least three.
        progress: show bars on standard error.
    Returns: :class:`Ranking`, the worst first. It says which numbers are exact.
    Raises: ``TypeError`` or ``ValueError`` that names the set, as :func:`gda_theory.retrain_many`.
    Cost: that of ``retrain_many``, ``f d^2 + d^3/3`` for a set of f rows, and the exact paths. Of K
        classes, for each set ``f (K d)^2 / 2 + (K d)^3 / 3`` and some ten gradients over all rows.
        With more than 2,000 weights no exact path is followed.
    """
    if not isinstance(problem, Problem | MultinomialProblem):
        raise TypeError(
            f"problem must be a Problem or a MultinomialProblem, got {type(problem).__name__}"
        )
    checks.concrete("rank", problem, strength)
    names, given = _named(forget_sets)
    with jax.enable_x64(True):
        strength = float(checks.positive("strength", checks.one("strength", strength)))
        problem = _narrow(jax.tree.map(_widened, problem))
        wanted = _affordable(problem) if exact is None else checks.whole("exact", exact)
        sets, found, converged = _estimated(problem, names, given, strength, progress)
        order = np.lexsort((found.break_even_strength, ~found.unbounded))
        paths = {
            int(at): _path(_with(problem, sets[at]), strength)
            for at in _tracked(order[:wanted], "exact paths", progress)
        }
    return _ranking(strength, names, [len(rows) for rows in sets], converged, found, paths)


def _estimated(
    problem: AnyProblem, names: Sequence[str], given: list, strength: float, progress: bool
) -> tuple[list[Int[np.ndarray, " f"]], Estimates, Bool[np.ndarray, " sets"]]:
    """The rows of each set, the first stage, and whether each oracle was found."""
    with _named_errors(names):
        if isinstance(problem, Problem):
            oracles = retrain_many(problem, given, progress=progress)
            sets = row_numbers(given, len(problem.forget))
            pretrained = np.asarray(pretrain(_with(problem, sets[0])).weights)
            found = harm.estimates(problem, pretrained, oracles, sets, strength)
            return sets, found, np.asarray(oracles.converged)
        sets = row_numbers(given, len(problem.forget))
        for number, rows in enumerate(sets):
            _require_oracle(problem, number, rows)
        pretrained = np.asarray(pretrain(_with(problem, sets[0])).weights)
        tracked = _tracked(sets, "retrained models", progress)
        return sets, *class_harm.estimates(problem, pretrained, tracked, strength)


def _require_oracle(problem: MultinomialProblem, number: int, rows: Int[np.ndarray, " f"]) -> None:
    try:
        _with(problem, rows)
    except ValueError as error:
        raise ValueError(f"forget_sets[{number}]: {error}") from None


def _named(forget_sets: Any) -> tuple[tuple[str, ...], list]:
    """The names of the sets, and the sets."""
    if isinstance(forget_sets, Mapping):
        return tuple(map(str, forget_sets)), list(forget_sets.values())
    given = list(np.asarray(forget_sets) if hasattr(forget_sets, "ndim") else forget_sets)
    return tuple(f"set {number}" for number in range(len(given))), given


def _widened(leaf: Any) -> Any:
    """Real numbers in float64; anything else as it is."""
    array = np.asarray(leaf)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _narrow(problem: AnyProblem) -> AnyProblem:
    """The problem in the coordinates of its row span, if it has more columns than rows."""
    count, dimension = problem.features.shape
    ridges = np.unique(problem.ridge)
    if dimension <= count or len(ridges) > 1:
        return problem
    span = row_span(problem.features)
    return problem.replace(features=span.coordinates, ridge=float(ridges[0]))


def _affordable(problem: AnyProblem) -> int:
    count, dimension = problem.features.shape
    if isinstance(problem, MultinomialProblem):
        if problem.size > MOST_ON_PATH:
            return 0
        dimension = problem.size
    return max(LEAST, WORK // (count * dimension**2))


@contextlib.contextmanager
def _named_errors(names: Sequence[str]) -> Iterator[None]:
    """Sets are called by their names in errors, not by their places."""
    try:
        yield
    except (TypeError, ValueError) as error:
        said = re.sub(
            r"forget_sets\[(\d+)\]",
            lambda found: f"forget set {names[int(found[1])]!r}",
            str(error),
        )
        raise type(error)(said) from None


def _with(problem: AnyProblem, rows: Int[np.ndarray, " f"]) -> Any:
    mask = np.zeros(len(problem.forget), bool)
    mask[rows] = True
    return problem.replace(forget=mask)


def _path(problem: AnyProblem, strength: float) -> Measurement:
    objective = measure.objective_of(problem)
    return measure.measure(problem, objective, ascent_path(objective, np.array([strength])))


def _tracked(chosen: Iterable[Any], what: str, progress: bool) -> Iterable[Any]:
    """The sets, with a bar on standard error if asked for."""
    if not progress:
        return chosen
    from rich.console import Console
    from rich.progress import track

    return track(list(chosen), what, console=Console(stderr=True))


# The table --------------------------------------------------------------------------------------


def _ranking(
    strength: float,
    names: Sequence[str],
    rows: Sequence[int],
    converged: Bool[np.ndarray, " sets"],
    found: Estimates,
    paths: Mapping[int, Measurement],
) -> Ranking:
    """Both stages in one table, sorted."""
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(found.unbounded, math.inf, strength / found.break_even_strength)
    harms = np.array([_harm(paths[at]) if at in paths else one for at, one in enumerate(expected)])
    order = sorted(range(len(names)), key=lambda at: _key(at, paths, harms, found))

    def column(exact: str | None, estimate: Any) -> np.ndarray:
        values = [
            getattr(paths[at], exact) if exact and at in paths else estimate[at] for at in order
        ]
        return np.array(values)

    nothing = np.full(len(names), math.nan)
    return Ranking(
        strength=strength,
        names=tuple(names[at] for at in order),
        rows=np.array(rows)[order],
        pretrain_distance=column(None, found.pretrain_distance),
        newton_distance=column(None, found.newton_distance),
        mean_forget_loss=column(None, found.mean_forget_loss),
        harm=harms[order],
        break_even_strength=column("break_even_strength", found.break_even_strength),
        descent_ascent_distance=column("descent_ascent_distance", nothing),
        critical_strength=column("critical_strength", nothing),
        verdict=tuple(
            WORDS[decide(paths[at])] if at in paths else _expected(at, found, expected[at])
            for at in order
        ),
        exact=np.array([at in paths for at in order]),
        converged=converged[order],
    )


def _harm(numbers: Measurement) -> float:
    verdict = decide(numbers)
    if verdict in (Verdict.UNBOUNDED, Verdict.LOST):
        return math.inf
    if verdict in (Verdict.UNCERTAIN, Verdict.NOTHING_TO_FORGET):
        return math.nan
    return numbers.descent_ascent_distance / numbers.pretrain_distance


def _expected(at: int, found: Estimates, expected: float) -> str:
    """The verdict on a set without an exact path."""
    if found.unbounded[at]:
        return WORDS[Verdict.UNBOUNDED]
    if found.not_nearer[at]:
        return BOUNDED
    return LIKELY[int(expected > 1)]


def _key(
    at: int, paths: Mapping[int, Measurement], harms: Float[np.ndarray, " sets"], found: Estimates
) -> tuple:
    """What the sets are sorted by."""
    last = math.inf
    if at not in paths:
        even = found.break_even_strength[at]
        return 1, not found.unbounded[at], last if math.isnan(even) else even
    numbers, worst = paths[at], harms[at]
    lost = [
        value
        for value in (numbers.critical_strength, numbers.break_even_strength, last)
        if not math.isnan(value)
    ]
    return 0, math.isnan(worst), -worst, lost[0]


def _cells(found: Ranking) -> Iterator[tuple[str, ...]]:
    yield (*COLUMNS, "Newton", "loss")
    for at in range(min(SHOWN, len(found.names))):
        estimated = "" if found.exact[at] else "~"
        known = found.exact[at] or math.isinf(found.harm[at])
        name = found.names[at]
        yield (
            str(at + 1),
            name if len(name) <= NAME else f"{name[: NAME - 3]}...",
            tables.number(int(found.rows[at])),
            found.verdict[at],
            ("" if known else "~") + tables.number(found.harm[at], 3),
            estimated + tables.number(found.break_even_strength[at], 3),
            tables.number(found.critical_strength[at], 3),
            tables.number(found.descent_ascent_distance[at], 3),
            tables.number(found.pretrain_distance[at], 3),
            tables.number(found.newton_distance[at], 3),
            tables.number(found.mean_forget_loss[at], 3),
        )


def _legend(found: Ranking) -> Iterator[str]:
    more = len(found.names) - SHOWN
    if more > 0:
        yield f"... and {more} more sets"
    yield ""
    yield (
        f"{len(found.names)} forget sets at strength {tables.number(found.strength)}, the most"
        f" harmful first; {int(found.exact.sum())} of them with an exact path"
    )
    failed = int(np.sum(~found.converged))
    if failed:
        yield f"The retrained model was not found to its tolerance for {failed} of them."
    for line in LEGEND:
        yield from textwrap.wrap(line, WIDTH)
