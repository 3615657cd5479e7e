"""The sections of a report beyond the numbers of the verdict, computed together."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.problem import Problem
from gda_theory.solve.path import Path
from gda_theory.verdict import (
    course,
    dependence,
    differences,
    effects,
    measure,
    membership,
    random_test,
    remedies,
)
from gda_theory.verdict.course import MinimumCourse
from gda_theory.verdict.dependence import Dependence, Position
from gda_theory.verdict.differences import Differences
from gda_theory.verdict.effects import Effects
from gda_theory.verdict.measure import Measurement
from gda_theory.verdict.membership import Membership
from gda_theory.verdict.models import NoAnswer, models_of
from gda_theory.verdict.random_test import RandomTest
from gda_theory.verdict.remedies import Remedies
from theory_common.batching.threads import one_thread_of_blas

SINGULAR = "a Hessian is singular up to rounding; a larger ridge helps"
UNSOLVED = "pretraining or retraining has no single minimum that was found to its tolerance"
EQUAL = "the pretrained and the retrained model are equal, so there is no difference to explain"


class Evidence(NamedTuple):
    """The sections of a report, each described in the module of its name.

    ``missing`` says why there is no section at all, and is empty if there are sections. A section
    that could not be computed is None, and ``unanswered`` says why, by the name of the section.
    """

    missing: str
    unanswered: dict[str, str]
    effects: Effects | None = None
    differences: Differences | None = None
    course: MinimumCourse | None = None
    dependence: Dependence | None = None
    position: Position | None = None
    random_test: RandomTest | None = None
    remedies: Remedies | None = None
    membership: Membership | None = None


def evidence(
    problem: Problem | MultinomialProblem,
    path: Path,
    followed: Path,
    given: Measurement,
    other: Measurement,
    strength: float,
    names: tuple[str, ...] = (),
) -> Evidence:
    """Every section of a report.

    Cost: some passes over the data and one retraining. Nothing is simulated.

    Args:
        problem: the data, in float64.
        path: its ``ascent_path(problem, [strength])``, as NumPy arrays.
        followed: the path of the objective at the strengths of :func:`course.strengths_of`.
        given: what was measured of it.
        other: the same under the other reduction.
        strength: of the ascent.
        names: of the features.
    Returns: the sections.
    """
    if not (given.pretrain_converged and given.retrain_converged):
        return Evidence(given.no_minimum or UNSOLVED, {})
    if given.pretrain_distance <= measure.NEGLIGIBLE * given.retrain_norm:
        return Evidence(EQUAL, {})
    with jax.enable_x64(True), one_thread_of_blas():
        models = models_of(problem, path, strength, names)
        objective = measure.objective_of(problem)
        means = given if given.reduction == "mean" else other
        depends = dependence.dependence(problem, path.pretrained.weights)
        sections: dict[str, Callable[[], object]] = {
            "effects": lambda: effects.effects(models),
            "differences": lambda: differences.differences(models),
            "course": lambda: course.course(models, objective, followed, given),
            "dependence": lambda: depends,
            "position": lambda: _position(depends, means),
            "random_test": lambda: random_test.random_test(problem, models, objective),
            "remedies": lambda: remedies.remedies(problem, models),
            "membership": lambda: membership.membership(models),
        }
        found, unanswered = _computed(sections)
        return Evidence("", unanswered, **found)


def _computed(
    sections: dict[str, Callable[[], object]],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Each section, or why it could not be computed."""
    found: dict[str, object] = {}
    unanswered: dict[str, str] = {}
    for name, compute in sections.items():
        try:
            found[name] = compute()
        except np.linalg.LinAlgError:
            unanswered[name] = SINGULAR
        except NoAnswer as reason:
            unanswered[name] = str(reason)
    return found, unanswered


def _position(depends: Dependence, means: Measurement) -> Position:
    """Where the problem lies among those of the study, which has means."""
    return dependence.position(
        depends,
        break_even_strength=means.break_even_strength,
        critical_strength=means.critical_strength,
        searched_to=means.searched_to,
        size_ratio=means.size_ratio,
    )
