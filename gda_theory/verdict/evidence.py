"""The sections of a report beyond the numbers of the verdict, computed together."""

from typing import NamedTuple

import jax

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
from gda_theory.verdict.models import models_of
from gda_theory.verdict.random_test import RandomTest
from gda_theory.verdict.remedies import Remedies

UNSOLVED = "pretraining or retraining has no single minimum that was found to its tolerance"
SEVERAL = "the further answers are computed for two classes only"
EQUAL = "the pretrained and the retrained model are equal, so there is no difference to explain"


class Evidence(NamedTuple):
    """The sections of a report; None where there is nothing to compute, and ``missing`` says why.

    Each section is described in the module of its name.
    """

    missing: str
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
    given: Measurement,
    other: Measurement,
    strength: float,
    names: tuple[str, ...] = (),
) -> Evidence:
    """Every section of a report.

    Cost: some passes over the data, one path and one retraining. Nothing is simulated.

    Args:
        problem: the data, in float64.
        path: its ``ascent_path(objective, [strength])``, as NumPy arrays.
        given: what was measured of it.
        other: the same under the other reduction.
        strength: of the ascent.
        names: of the features.
    Returns: the sections.
    """
    if not (given.pretrain_converged and given.retrain_converged):
        return Evidence(missing=given.no_minimum or UNSOLVED)
    if isinstance(problem, MultinomialProblem):
        return Evidence(missing=SEVERAL)
    if given.pretrain_distance <= measure.NEGLIGIBLE * given.retrain_norm:
        return Evidence(missing=EQUAL)
    with jax.enable_x64(True):
        models = models_of(problem, path, strength, names)
        objective = measure.objective_of(problem)
        depends = dependence.dependence(problem, models.weights["pretrained"])
        return Evidence(
            missing="",
            effects=effects.effects(models),
            differences=differences.differences(models),
            course=course.course(models, objective, path, given),
            dependence=depends,
            position=_position(depends, given if given.reduction == "mean" else other),
            random_test=random_test.random_test(problem, models),
            remedies=remedies.remedies(problem, models),
            membership=membership.membership(models),
        )


def _position(depends: Dependence, means: Measurement) -> Position:
    """Where the problem lies among those of the study, which has means."""
    return dependence.position(
        depends,
        break_even_strength=means.break_even_strength,
        critical_strength=means.critical_strength,
        searched_to=means.searched_to,
        size_ratio=means.size_ratio,
    )
