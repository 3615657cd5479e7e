r"""Would gradient ascent on the forget set help or harm on these data? A verdict in words, and the numbers that it rests on.

Everything is measured by the Euclidean distance of weights to the retrained model (the *oracle*). To first order in f/r

.. math:: w_D - w_R \approx -H_R^{-1}\, e, \qquad w(\gamma) - w_R \approx +\gamma\, H_R^{-1}\nabla L_F,

where :math:`e = \tfrac fr(\nabla L_F + \Lambda w_R)` for means and :math:`\nabla L_F` for sums: pretraining and ascent lie on
*opposite sides* of the oracle. So ascent does better than doing nothing only below the *break-even strength*, about f/r for means
and 1 for sums. Source: new.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array as AnyArray
from jaxtyping import Bool, Float

from gda_theory.codes import Cause, Outcome, Reason, sentence
from gda_theory.dynamics import outcomes, trials
from gda_theory.problem.objective import Objective
from gda_theory.problem.problem import Problem
from gda_theory.solve import newton
from gda_theory.solve.newton import norm
from gda_theory.solve.path import Path, ascent_path
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.numerics.implicit import solve_linear
from theory_common.printing import tables

NEGLIGIBLE = (
    1e-9  # of the retrained weights' length: a pretrained model this near has nothing to forget
)
GOOD_STEP = (
    0.5  # a Newton step that leaves more than this part of the distance is not worth recommending
)


class Verdict(IntEnum):
    """What the numbers say about gradient ascent at the asked strength; the rules are tried in this order, the first that holds decides.

    ``UNCERTAIN``: pretraining, retraining or the search for ascent's minimum did not reach its tolerance.
    ``NOTHING_TO_FORGET``: pretrained and retrained model agree to 1e-9 of the weights' length.
    ``UNBOUNDED``: the objective has no lower bound along an unpenalised coordinate (the class-share bound).
    ``LOST``: the minimum that starts at the oracle ends at a smaller strength.
    ``FARTHER``: ascent's minimum is farther from the oracle than the pretrained model; ``NEARER``: it is not.
    """

    UNCERTAIN = 0
    NOTHING_TO_FORGET = 1
    UNBOUNDED = 2
    LOST = 3
    FARTHER = 4
    NEARER = 5


@backed_by("first-step-any-data", "first-step-sign-pair")
class Convention(NamedTuple):
    """The numbers of one reduction; NaN where there is none.

    ``ridge``: of the penalised coordinates (NaN if they differ). ``size_ratio``: f/r, total weights. Distances are those to the oracle.
    ``descent_ascent_distance``: of the minimum at the asked strength; ``reason`` (:class:`gda_theory.codes.Reason`) if there is none.
    ``break_even_strength``: where ascent's minimum is as far as the pretrained model, before ``searched_to``; ``first_order_break_even``:
    :math:`|H_R^{-1}e| / |H_R^{-1}\nabla L_F|` of the module's formula. ``critical_strength``: where the minimum is lost (the fold).
    ``opposite_cosine``: between :math:`w_D - w_R` and :math:`H_R^{-1}\nabla L_F(w_R)`, the path's first direction; -1 is straight opposite.
    ``newton_distance``: after one Newton step from the pretrained weights on the oracle's objective; ``newton_relative``: over
    ``pretrain_distance``. ``first_step_towards``: whether a first small step of ascent at strength 1 from the pretrained weights comes
    nearer to the oracle, which it nearly always does, also where the limit is far worse: never a verdict.
    Claims: ``first-step-any-data``, ``first-step-sign-pair``.
    """

    reduction: str
    ridge: float
    size_ratio: float
    pretrain_distance: float
    descent_ascent_distance: float
    reason: int
    bounded_below: bool
    break_even_strength: float
    first_order_break_even: float
    critical_strength: float
    searched_to: float
    opposite_cosine: float
    first_step_towards: bool
    newton_distance: float
    newton_relative: float
    retrain_iterations: int
    pretrain_gradient_norm: float
    retrain_gradient_norm: float
    descent_ascent_gradient_norm: float
    pretrain_converged: bool
    retrain_converged: bool
    code: int
    verdict: str


class Stop(NamedTuple):
    """One scheme at one step size, run for ``epochs`` from the pretrained model; distances to the oracle in units of the pretrained one.

    ``best_relative`` at ``best_epoch`` (0: doing nothing was best); ``good_epochs`` of the epochs leave at most half of the distance;
    ``descent_relative`` is left by plain descent on the retain set at ``best_epoch``, ``descent_final`` after all epochs,
    ``final_relative`` by the scheme. ``outcome`` and ``cause``: what was seen at the end, and why.
    """

    scheme: str
    step_size: float
    epochs: int
    best_epoch: int
    best_relative: float
    good_epochs: int
    descent_relative: float
    final_relative: float
    descent_final: float
    outcome: str
    cause: str


class Diagnosis(NamedTuple):
    """A verdict on gradient ascent at ``strength``; ``given`` holds the problem's own reduction, ``other`` the other one.

    ``other`` has the ridge at which the *pretrained* model is the same (n times or one n-th), since that is the model one has.
    ``stops``: what early stopping can do in the given reduction, for each scheme and step size.
    """

    strength: float
    given: Convention
    other: Convention
    stops: tuple[Stop, ...]

    @property
    def verdict(self) -> str:
        """One sentence: what to do."""
        return self.given.verdict

    def rows(self) -> list[tuple]:
        """The table of :meth:`summary`: quantity, given reduction, other reduction."""
        return [
            (name, *(show(one) for one in (self.given, self.other)))
            for name, show in _rows(self.strength)
        ]

    def summary(self) -> str:
        """Verdict and numbers as text that fits a terminal of 80 columns."""
        import textwrap

        heading = ("", f"{self.given.reduction} (given)", f"{self.other.reduction} (*)")
        cells = [heading, *((name, *map(tables.cell, values)) for name, *values in self.rows())]
        widths = [max(len(row[column]) for row in cells) for column in range(3)]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        ]
        lines.insert(1, "-" * (sum(widths) + 4))
        lines += ["", *_stopping(self.stops)]
        other = f"(*) {self.other.reduction}, at the ridge that gives the same pretrained model: {self.other.verdict}"
        said = [textwrap.fill(other, 80), "", textwrap.fill(f"VERDICT: {self.given.verdict}", 80)]
        return "\n".join([*lines, "", *said])

    def __str__(self) -> str:
        return self.summary()


def diagnose(problem: Problem, strength: float = 1.0) -> Diagnosis:
    """What gradient ascent at ``strength`` would do to this problem's model, in numbers and in one sentence, for both reductions.

    Rules of the verdict: :class:`Verdict`. Minima are solved for and the path is followed from the oracle to its fold; then every
    scheme is run from the pretrained model at several step sizes (:func:`gda_theory.dynamics.trials.trials`) and judged at its best epoch.

    Args:
        problem: a :class:`Problem` with concrete arrays. strength: finite and > 0; 1 is the paper's.
    Raises: ``TypeError`` for anything that is not a Problem, ``ValueError`` for a bad strength.
    """
    if not isinstance(problem, Problem):
        raise TypeError(
            f"problem must be a Problem, got {type(problem).__name__}; a CorrelatedPair has gda_theory.pair.regime"
        )
    strength = float(checks.positive("strength", strength))
    paths = [ascent_path(one, [strength]) for one in (problem, other_convention(problem))]
    stops = _stops(problem, paths[0], strength)
    given = _convention(problem, paths[0], strength, stops)
    return Diagnosis(
        strength, given, _convention(other_convention(problem), paths[1], strength, ()), stops
    )


@backed_by("one-path")
def other_convention(problem: Problem) -> Problem:
    """The same data under the other reduction, at the ridge that leaves the pretrained model as it is: n times (sum) or one n-th (mean).

    Claim: ``one-path``.
    """
    total = jnp.sum(problem.sample_weight)
    if problem.reduction == "mean":
        return problem.replace(reduction="sum", ridge=problem.ridge * total)
    return problem.replace(reduction="mean", ridge=problem.ridge / total)


class OppositeSides(NamedTuple):
    """How pretraining and ascent lie around the oracle, for many forget sets; see :class:`Convention` for the words.

    ``distance`` and ``along`` belong to ascent's minima at the strengths asked for: their distance to the oracle and its signed part in the
    direction of the pretrained model, both in units of ``pretrain_distance``. ``fold_distance``, ``fold_along``: at the fold.
    """

    size_ratio: Float[AnyArray, " sets"]
    pretrain_distance: Float[AnyArray, " sets"]
    break_even_strength: Float[AnyArray, " sets"]
    first_order_break_even: Float[AnyArray, " sets"]
    critical_strength: Float[AnyArray, " sets"]
    searched_to: Float[AnyArray, " sets"]
    opposite_cosine: Float[AnyArray, " sets"]
    first_step_towards: Bool[AnyArray, " sets"]
    distance: Float[AnyArray, "sets q"]
    along: Float[AnyArray, "sets q"]
    fold_distance: Float[AnyArray, " sets"]
    fold_along: Float[AnyArray, " sets"]


def opposite_sides(problem: Problem, forget_sets: Iterable, strengths) -> OppositeSides:
    """The law of opposite sides measured on many forget sets of one data set; all have the same shapes, so it compiles once.

    Args:
        problem: features, labels, ridge, loss and reduction; its own forget set is not used.
        forget_sets: boolean masks ``(sets, n)``. strengths: ``(q,)``, at which the minima are compared.
    One set costs about one ``ascent_path``: 10 ms for n = 569, d = 30. ``opposite_cosine`` -1 would be exactly opposite.
    """
    found = [_opposite_sides(problem.replace(forget=mask), strengths) for mask in forget_sets]
    if not found:
        raise ValueError("forget_sets must hold at least one mask")
    return jax.tree.map(lambda *values: np.stack(values), *found)


def _opposite_sides(problem: Problem, strengths) -> OppositeSides:
    objective, path = problem.objective(), ascent_path(problem, strengths)
    return _around(objective, path)


@jax.jit
def _around(objective: Objective, path: Path) -> OppositeSides:
    """One forget set's numbers, from its path."""
    oracle, trained = path.oracle.weights, path.pretrained.weights
    away = trained - oracle
    distance = norm(away)
    direction = away / jnp.where(distance > 0, distance, 1)
    curvature = objective.hessian(oracle, 0.0)
    # At the oracle the retain part of pretraining's gradient vanishes, so this is what the forget set and its share of the ridge add.
    pulled = solve_linear(curvature, objective.gradient(oracle, objective.pretrain_strength))
    pushed = solve_linear(curvature, objective.forget_gradient(oracle))
    step = objective.gradient(trained, 1.0)
    moved, folded = path.weights - oracle, path.fold_weights - oracle
    return OppositeSides(
        size_ratio=objective.size_ratio,
        pretrain_distance=distance,
        break_even_strength=path.break_even_strength,
        first_order_break_even=norm(pulled) / norm(pushed),
        critical_strength=path.critical_strength,
        searched_to=path.searched_to,
        opposite_cosine=direction @ pushed / norm(pushed),
        first_step_towards=step @ away > 0,
        distance=norm(moved) / distance,
        along=moved @ direction / distance,
        fold_distance=norm(folded) / distance,
        fold_along=folded @ direction / distance,
    )


def _stops(problem: Problem, path: Path, strength: float) -> tuple[Stop, ...]:
    """Every scheme at every step size; none where there is nothing to forget, or no oracle to compare with."""
    objective, found = problem.objective(), []
    apart, length = (
        float(norm(vector))
        for vector in (path.pretrained.weights - path.oracle.weights, path.oracle.weights)
    )
    if not (path.oracle.converged and apart > NEGLIGIBLE * length):
        return ()
    for trial in trials.trials(
        objective, path.pretrained.weights, path.oracle.weights, strength=strength
    ):
        causes = outcomes.explain(trial.run, objective).cause
        for i in range(len(trial.step_size)):
            found.append(
                Stop(
                    scheme=trial.scheme.name,
                    step_size=float(trial.step_size[i]),
                    epochs=trial.distances.shape[-1] - 1,
                    best_epoch=int(trial.best_epoch[i]),
                    best_relative=float(trial.best_distance[i]),
                    good_epochs=int(trial.good_epochs[i]),
                    descent_relative=float(trial.descent_distance[i]),
                    final_relative=float(trial.final_distance[i]),
                    descent_final=float(trial.descent_final[i]),
                    outcome=sentence(Outcome(int(trial.run.outcome[i]))),
                    cause=sentence(Cause(int(causes[i]))),
                )
            )
    return tuple(found)


def _convention(
    problem: Problem, path: Path, strength: float, stops: tuple[Stop, ...]
) -> Convention:
    sides = _around(problem.objective(), path)
    stepped = norm(newton.newton_step(problem, path.pretrained.weights) - path.oracle.weights)
    ridges = np.unique(np.asarray(problem.ridge)[np.asarray(problem.ridge) > 0])
    numbers = Convention(
        reduction=problem.reduction,
        ridge=float(ridges[0]) if len(ridges) == 1 else math.nan,
        size_ratio=float(sides.size_ratio),
        pretrain_distance=float(sides.pretrain_distance),
        descent_ascent_distance=float(norm(path.weights[0] - path.oracle.weights)),
        reason=int(path.reason[0]),
        bounded_below=bool(path.bounded_below[0]),
        break_even_strength=float(sides.break_even_strength),
        first_order_break_even=float(sides.first_order_break_even),
        critical_strength=float(sides.critical_strength),
        searched_to=float(sides.searched_to),
        opposite_cosine=float(sides.opposite_cosine),
        first_step_towards=bool(sides.first_step_towards),
        newton_distance=float(stepped),
        newton_relative=float(stepped / sides.pretrain_distance),
        retrain_iterations=int(path.oracle.iterations),
        pretrain_gradient_norm=float(path.pretrained.gradient_norm),
        retrain_gradient_norm=float(path.oracle.gradient_norm),
        descent_ascent_gradient_norm=float(path.gradient_norm[0]),
        pretrain_converged=bool(path.pretrained.converged),
        retrain_converged=bool(path.oracle.converged),
        code=Verdict.UNCERTAIN,
        verdict="",
    )
    code = _decide(numbers, float(norm(path.oracle.weights)))
    return numbers._replace(code=int(code), verdict=_sentence(code, numbers, strength, stops))


# Words -------------------------------------------------------------------------------------------------------------------------


def _decide(numbers: Convention, oracle_length: float) -> Verdict:
    """The decision table of :class:`Verdict`."""
    if not (numbers.pretrain_converged and numbers.retrain_converged):
        return Verdict.UNCERTAIN
    if numbers.pretrain_distance <= NEGLIGIBLE * oracle_length:
        return Verdict.NOTHING_TO_FORGET
    if not numbers.bounded_below:
        return Verdict.UNBOUNDED
    if numbers.reason == Reason.PAST_FOLD:
        return Verdict.LOST
    if numbers.reason != Reason.FOUND:
        return Verdict.UNCERTAIN
    return (
        Verdict.FARTHER
        if numbers.descent_ascent_distance > numbers.pretrain_distance
        else Verdict.NEARER
    )


def _sentence(
    code: Verdict, numbers: Convention, strength: float, stops: Sequence[Stop] = ()
) -> str:
    n, at = tables.number, tables.number(strength)
    even = numbers.break_even_strength
    already = (
        f", and already from strength {n(even, 2)} on it is no nearer to the retrained model than doing nothing"
        if even < strength
        else ""
    )
    match code:
        case Verdict.UNCERTAIN:
            return "No verdict: a solver did not reach its tolerance; a larger ridge or standardised features help."
        case Verdict.NOTHING_TO_FORGET:
            return "Do nothing: the model already equals the one retrained without these samples, to nine digits."
        case Verdict.UNBOUNDED:
            why = "one class is too frequent among the forgotten samples, and the intercept carries no ridge"
            wrong = f"its objective has no lower bound ({why}), so training runs away"
        case Verdict.LOST:
            wrong = f"its minimum is lost at strength {n(numbers.critical_strength, 2)}{already}"
        case Verdict.FARTHER:
            wrong = f"it ends {n(_left(numbers), 3)} times as far from the retrained model as doing nothing"
        case Verdict.NEARER:
            left = f"{n(100 * _left(numbers), 3)} %"
            return f"Gradient ascent at strength {at} ends nearer, at {left} of the distance to the retrained model; {_better(numbers)}."
    return f"Do not use gradient ascent at strength {at} here: {wrong}{_even_at_best(stops)}; {_instead(numbers)}."


def _best(stops: Iterable[Stop]) -> Stop:
    return min(stops, key=lambda stop: stop.best_relative)


def _even_at_best(stops: Sequence[Stop]) -> str:
    """What early stopping adds to the verdict; a scheme that ends in plain descent is not ascent's merit."""
    ascending = [stop for stop in stops if stop.scheme != "ascent_then_descent"]
    if not ascending:
        return ""
    best = _best(ascending)
    if best.best_epoch == 0:
        return "; no early stop helps, every epoch leads away from the retrained model"
    return (
        f"; stopped at its best epoch, which one cannot see without retraining, it leaves {_percent(best.best_relative)} of the distance"
        f" (plain descent: {_percent(best.descent_relative)} at that epoch, {_percent(_final(stops))} after {best.epochs})"
    )


def _final(stops: Iterable[Stop]) -> float:
    """What plain descent leaves at its best step size."""
    return min(stop.descent_final for stop in stops)


def _percent(part: float) -> str:
    return "<0.01 %" if part < 1e-4 else f"{tables.number(100 * part, 3)} %"


def _stopping(stops: Sequence[Stop]) -> list[str]:
    """The table of early stops: of each scheme the step size with the best one."""
    if not stops:
        return []
    names = ("run from the pretrained model", "step", "at epoch", "leaves", "descent", "good")
    rows = [
        (
            stop.scheme,
            tables.number(stop.step_size, 2),
            str(stop.best_epoch),
            _percent(stop.best_relative),
            _percent(stop.descent_relative),
            str(stop.good_epochs),
        )
        for stop in (
            _best(one for one in stops if one.scheme == name)
            for name in dict.fromkeys(stop.scheme for stop in stops)
        )
    ]
    import textwrap

    slow = next(stop for stop in stops if stop.scheme == "simultaneous")
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    table = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in (names, *rows)
    ]
    table.insert(1, "-" * (sum(widths) + 10))
    notes = [
        f"best of {slow.epochs} epochs; descent: plain descent on the retained samples at that epoch ({_percent(_final(stops))} after all);"
        " good: epochs that leave at most half",
        f"why, at small steps: {slow.cause}",
    ]
    return [*table, *(line for note in notes for line in textwrap.wrap(note, 80))]


def _left(numbers: Convention) -> float:
    """The part of the distance that ascent leaves."""
    return numbers.descent_ascent_distance / numbers.pretrain_distance


def _removed(numbers: Convention) -> str:
    return f"{tables.number(100 * (1 - numbers.newton_relative), 3)} %"


def _instead(numbers: Convention) -> str:
    if not numbers.newton_relative < GOOD_STEP:
        return f"retrain instead ({numbers.retrain_iterations} Newton steps)"
    return f"retrain, or take one Newton step on the retained samples, which removes {_removed(numbers)} of the distance"


def _better(numbers: Convention) -> str:
    if not numbers.newton_relative < min(GOOD_STEP, _left(numbers)):
        return f"retraining ({numbers.retrain_iterations} Newton steps) leaves none"
    return f"one Newton step on the retained samples removes {_removed(numbers)} of it, and retraining all"


def _rows(strength: float) -> list[tuple[str, Callable]]:
    """Name and content of each row of the summary."""
    at = tables.number(strength)
    return [
        ("ridge", lambda c: c.ridge),
        ("samples to forget per retained one, f/r", lambda c: c.size_ratio),
        ("distance to the retrained model", lambda c: ""),
        ("  doing nothing (the pretrained model)", lambda c: c.pretrain_distance),
        (f"  gradient ascent at strength {at}", _ascent),
        ("  one Newton step from the pretrained model", lambda c: c.newton_distance),
        (
            "break-even strength of ascent",
            lambda c: _or(c.break_even_strength, f"none to {tables.number(c.searched_to)}"),
        ),
        ("  predicted to first order", lambda c: c.first_order_break_even),
        (
            "strength where ascent's minimum is lost",
            lambda c: _or(c.critical_strength, f"none to {tables.number(c.searched_to)}"),
        ),
        (f"objective bounded below at strength {at}", lambda c: c.bounded_below),
        ("cosine of pretraining's and ascent's shift", lambda c: c.opposite_cosine),
        ("Newton steps of exact retraining", lambda c: c.retrain_iterations),
    ]


def _or(value: float, otherwise: str):
    return otherwise if math.isnan(value) else value


def _ascent(numbers: Convention):
    short = {
        Reason.PAST_FOLD: "no minimum",
        Reason.UNBOUNDED: "runs away",
        Reason.NOT_CONVERGED: "not found",
    }
    return (
        numbers.descent_ascent_distance
        if numbers.reason == Reason.FOUND
        else short[Reason(numbers.reason)]
    )
