"""The harm that ascent does to the model of each forget set: every measure of the protocol."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

import gda_theory as gt
from gda_theory.dynamics import simulation
from gda_theory.studies.influence.data import StudyData
from gda_theory.studies.influence.forget_sets import ForgetSet

EPOCHS = 100  # the budget
STEP_SIZES = (0.01, 0.1, 1.0)  # over the largest curvature; the second is that of the budget
BUDGET = 1  # its place
OUTCOMES = (
    "budget",
    "budget_weak",
    "budget_alternating",
    "limit",
    "limit_weak",
    "early_stop",
    "retain_rise",
)


def outcomes(
    data: StudyData,
    sets: Sequence[ForgetSet],
    problems: Sequence[gt.Problem],
    paths: Sequence[gt.Path],
) -> dict[str, np.ndarray]:
    """Every measure of harm, as in the protocol."""
    pretrained, oracle = (
        np.stack([np.asarray(getattr(path, name).weights) for path in paths])
        for name in ("pretrained", "oracle")
    )
    apart = np.linalg.norm(pretrained - oracle, axis=1)

    def ratio(weights):
        return np.log10(np.linalg.norm(weights - oracle, axis=-1) / apart)

    runs = BudgetRuns.of(shared_objective(data, sets, problems), pretrained, oracle)
    return {
        "budget": ratio(runs.strong),
        "budget_weak": ratio(runs.weak),
        "budget_alternating": ratio(runs.alternating),
        "limit": np.array([relative_limit(path, 1) for path in paths]),
        "limit_weak": np.array([relative_limit(path, 0) for path in paths]),
        "early_stop": np.log10(runs.nearest),
        "retain_rise": np.log10(_rises(problems, runs.strong, oracle)),
    }


def relative_limit(path: gt.Path, place: int) -> float:
    """log10 of the relative distance of the minimum at one strength.

    Infinite if it is lost, NaN if the path could not be followed so far.
    """
    if path.reason[place] == gt.Reason.PAST_FOLD:
        return np.inf
    pretrained, oracle = (np.asarray(one.weights) for one in (path.pretrained, path.oracle))
    moved = np.linalg.norm(path.weights[place] - oracle)
    return np.log10(moved / np.linalg.norm(pretrained - oracle))


def _rises(problems: Sequence[gt.Problem], weights, oracles) -> Float[np.ndarray, " sets"]:
    """By how much the objective on the retain set is above its minimum."""
    values = []
    for problem, point, oracle in zip(problems, weights, oracles, strict=True):
        objective = problem.objective()
        values.append(float(objective.value(point, 0.0) - objective.value(oracle, 0.0)))
    return np.array(values)


def shared_objective(
    data: StudyData, sets: Sequence[ForgetSet], problems: Sequence[gt.Problem]
) -> gt.Objective:
    """One objective with a batch of weights, an axis for the step sizes, and shared types.

    A flipped row is a second type, the negative of the first.
    """
    types = data.labels[:, None] * data.features
    flips = np.flatnonzero(np.any([one.forget & one.flipped for one in sets], axis=0))
    masks = np.stack([one.forget for one in sets])
    wrong = masks & np.array([one.flipped for one in sets])[:, None]
    forget = np.concatenate([masks & ~wrong, wrong[:, flips]], axis=1)
    retain = np.concatenate([~masks, np.zeros_like(wrong[:, flips])], axis=1)
    sizes = [np.sum(one, axis=1, keepdims=True) for one in (forget, retain)]
    given = problems[0].objective()
    return dataclasses.replace(
        given,
        types=np.concatenate([types, -types[flips]]),
        retain_weight=(retain / sizes[1])[:, None],
        forget_weight=(forget / sizes[0])[:, None],
        size_ratio=sizes[0] / sizes[1],
    )


class BudgetRuns(NamedTuple):
    """Where the runs from the pretrained models end, and the least relative distance on the way.

    ``nearest`` is exactly 1 where doing nothing was best, so that such sets share a rank.
    """

    strong: Float[np.ndarray, "sets d"]
    weak: Float[np.ndarray, "sets d"]
    alternating: Float[np.ndarray, "sets d"]
    nearest: Float[np.ndarray, " sets"]

    @classmethod
    def of(cls, objective: gt.Objective, pretrained, oracle) -> "BudgetRuns":
        start = pretrained[:, None]
        steepest = np.stack([_steepest(objective, row) for row in range(len(pretrained))])
        step_size = np.asarray(STEP_SIZES) / steepest[:, None]
        budget = step_size[:, BUDGET : BUDGET + 1]
        strong = gt.simulate(
            objective,
            start,
            step_size=step_size,
            epochs=EPOCHS,
            observe=simulation.distances_to(oracle[:, None, None]),
        )
        weak, alternating = (
            gt.simulate(objective, start, step_size=budget, epochs=EPOCHS, **choice).weights
            for choice in ({"strength": objective.size_ratio}, {"scheme": "retain_first"})
        )
        distances = np.asarray(strong.observed)[..., 0]
        return cls(
            strong=np.asarray(strong.weights)[:, BUDGET],
            weak=np.asarray(weak)[:, 0],
            alternating=np.asarray(alternating)[:, 0],
            nearest=np.min(distances / distances[..., :1], axis=(1, 2)),
        )


def _steepest(objective: gt.Objective, row: int) -> float:
    """The largest curvature of the retain objective of one set, for any weights.

    It is that at margin 0, where the curvature of the logistic loss is 1/4.
    """
    weight = objective.retain_weight[row, 0] / 4
    hessian = (objective.types.T * weight) @ objective.types
    return float(np.linalg.eigvalsh(hessian)[-1] + objective.ridge[0])
