"""Verdicts on many classes, one binary model for each class against the rest.

The path of the softmax model needs its Hessian, of (K - 1) d rows. Above K d = 2000 weights that is
too much. Then each class is judged by a model of its own, which tells its rows from all others. It
has the rows, the forget set, the ridge and the reduction of the softmax problem, and the logistic
loss. These verdicts say what ascent would do to the binary models. They need not hold for the
softmax model.

Ascent stops helping near the strength f/r for means, and 1 for sums. So a class is first judged at
half of that, then at twice that. Where ascent's minimum is harmful, the path is followed no
further: the objective of the kept rows rises along it (claim ``path-monotone``). Otherwise the
class is judged at the given strength.
"""

import concurrent.futures
import dataclasses
import functools
import math
import textwrap
from typing import Any

import jax
import numpy as np

from gda_theory.codes import Reason
from gda_theory.problem.classes import MOST_ON_PATH
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.objective import Objective
from gda_theory.problem.problem import Problem
from gda_theory.solve.path import ascent_path
from gda_theory.verdict import measure, words
from gda_theory.verdict.decide import Verdict, decide
from gda_theory.verdict.measure import Measurement
from theory_common.batching import threads
from theory_common.printing import tables

WIDTH = 80
HARM = (Verdict.UNBOUNDED, Verdict.LOST, Verdict.FARTHER)
EFFECTS = {
    Verdict.UNCERTAIN: "(no verdict)",
    Verdict.NOTHING_TO_FORGET: "change nothing",
    Verdict.UNBOUNDED: "diverge",
    Verdict.LOST: "lose its minimum",
    Verdict.FARTHER: "do harm",
    Verdict.NEARER: "help",
}
NEAR = (0.5, 2.0)  # times the strength near which ascent stops helping
FURTHER = "At higher strengths the objective of the kept rows is higher still."
NO_ROWS = "No verdict: all rows of this class are forgotten, so that no model knows it."


@dataclasses.dataclass(frozen=True)
class ClassVerdict:
    """The verdict on the binary model of one class against the rest.

    ``numbers`` are those of :class:`gda_theory.verdict.measure.Measurement`; None where all rows of
    the class are forgotten. The run from the pretrained model is not followed, and early stops are
    not simulated. ``strength`` is the one at which the class is judged, at most ``asked``. Folds
    are looked for up to it.
    """

    name: Any
    numbers: Measurement | None
    strength: float
    asked: float

    @property
    def code(self) -> Verdict:
        """The verdict; UNCERTAIN where no row of the class is kept."""
        return Verdict.UNCERTAIN if self.numbers is None else decide(self.numbers)

    @property
    def verdict(self) -> str:
        """At most three sentences."""
        if self.numbers is None:
            return NO_ROWS
        said = words.sentences(self.code, self.numbers, self.strength)
        if self.strength < self.asked:
            return f"{said} {FURTHER}"
        return said


@dataclasses.dataclass(frozen=True)
class AgainstRest:
    """What :func:`gda_theory.diagnose` says of a problem with too many weights for its path.

    Attributes:
        strength: of the ascent.
        classes: a :class:`ClassVerdict` for each class.
        weights: K d, the number of weights of the softmax model, which was not diagnosed.
        names: of the features.
        notes: sentences about the data, for the report.
    """

    strength: float
    classes: tuple[ClassVerdict, ...]
    weights: int
    names: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    notes: tuple[str, ...] = dataclasses.field(default=(), repr=False)

    @property
    def scope(self) -> str:
        """Which models were judged, and why."""
        return (
            f"The softmax model has {self.weights:,} weights, more than the {MOST_ON_PATH:,} for"
            " which it is diagnosed. These are verdicts on one binary model for each class, against"
            " all other classes. They need not hold for the softmax model."
        )

    @property
    def verdict(self) -> str:
        """For how many classes ascent would do harm."""
        judged = [one for one in self.classes if one.code != Verdict.UNCERTAIN]
        harmed = [one for one in judged if one.code in HARM]
        if not judged:
            return "No verdict on any class."
        at = tables.number(self.strength)
        if not harmed:
            return f"Gradient ascent at strength {at} does harm to no class's model."
        count = f"{len(harmed)} of {len(judged)}"
        return (
            f"Do not use gradient ascent at strength {at}: it does harm to {count} models."
            " Retrain instead."
        )

    def rows(self) -> list[tuple]:
        """The table of :meth:`summary`."""
        return [_row(one) for one in self.classes]

    def summary(self) -> str:
        """A table with a row for each class, and the verdict last."""
        columns = ("class", "ascent would", "at", "nothing", "ascent", "newton", "helps to", "lost")
        cells = [tuple(map(tables.cell, row)) for row in self.rows()]
        legend = [
            "at: the strength at which the class is judged",
            "nothing, ascent, newton: distances from the retrained model that doing nothing,",
            "  ascent's minimum, and one Newton step leave",
            "helps to: strength at which ascent's minimum is as far as doing nothing",
            "lost: strength at which ascent's minimum disappears",
        ]
        lines = [*tables.aligned([columns, *cells]), *legend]
        for paragraph in (self.scope, f"VERDICT: {self.verdict}"):
            lines += ["", *textwrap.wrap(paragraph, WIDTH)]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()

    def to_html(self, path: object = None, *, force: bool = False) -> str:
        """There is no page for verdicts on many models.

        Raises: ``ValueError``, always.
        """
        raise ValueError(
            f"the report as a page is for at most {MOST_ON_PATH:,} weights, got"
            f" {self.weights:,}; leave out --html, or write --json"
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers and sentences in types of JSON."""
        return tables.to_json(
            {
                "verdict": self.verdict,
                "data": list(self.notes),
                "scope": self.scope,
                "strength": self.strength,
                "weights": self.weights,
                "classes": [
                    {
                        "name": one.name,
                        "code": int(one.code),
                        "verdict": one.verdict,
                        "numbers": None if one.numbers is None else dataclasses.asdict(one.numbers),
                    }
                    for one in self.classes
                ],
            }
        )


def against_rest(problem: MultinomialProblem, strength: float) -> AgainstRest:
    """Judge each class by a binary model against the rest.

    Several classes are solved at once, in one thread for each core.

    Args:
        problem: its arrays in float64.
        strength: of the ascent.
    """
    judge = functools.partial(_judged, problem, strength)
    first = judge(0)  # compiles what all classes share
    cores = threads.count(jax.devices())
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        others = pool.map(threads.with_precision_of_caller(judge), range(1, len(problem.classes)))
    return AgainstRest(strength=strength, classes=(first, *others), weights=problem.size)


def binary(problem: MultinomialProblem, number: int) -> Problem:
    """The problem of one class against all others.

    Raises: ``ValueError`` if no row of the class is kept.
    """
    return Problem(
        problem.features,
        np.where(np.asarray(problem.labels) == number, 1, -1),
        problem.forget,
        ridge=problem.ridge,
        reduction=problem.reduction,
        sample_weight=problem.sample_weight,
    )


def _judged(problem: MultinomialProblem, strength: float, number: int) -> ClassVerdict:
    name = problem.classes[number]
    of_class = (np.asarray(problem.labels) == number) & (np.asarray(problem.sample_weight) > 0)
    if not np.any(of_class & ~np.asarray(problem.forget)):
        return ClassVerdict(name=name, numbers=None, strength=strength, asked=strength)
    one = binary(problem, number)
    objective = measure.objective_of(one)
    even = -float(objective.pretrain_strength)
    for at in (*(part * even for part in NEAR if part * even < strength), strength):
        numbers = _measured(one, objective, at)
        if decide(numbers) in HARM:
            break
    return ClassVerdict(name=name, numbers=numbers, strength=at, asked=strength)


def _measured(problem: Problem, objective: Objective, strength: float) -> Measurement:
    path = ascent_path(objective, np.array([strength]), search_to=strength)
    return measure.measure(problem, objective, path, follow=False)


def _row(one: ClassVerdict) -> tuple:
    numbers = one.numbers
    if numbers is None:
        return (str(one.name), "no row kept", *[math.nan] * 6)
    found = numbers.reason == Reason.FOUND
    return (
        str(one.name),
        EFFECTS[one.code],
        one.strength,
        numbers.pretrain_distance,
        numbers.descent_ascent_distance if found else "none",
        numbers.newton_distance,
        numbers.break_even_strength,
        numbers.critical_strength,
    )
