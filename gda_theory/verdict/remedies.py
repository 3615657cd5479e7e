"""What to do instead of descent-ascent: what each method costs, and what it leaves.

The methods are those of :mod:`gda_theory.deletion`, from the pretrained weights. *Work* is in units
of one gradient over the kept rows: two products with the features. A Hessian over r rows with d
features takes as many operations as ``1 + d/2`` gradients, with its gradient; with K > 2 classes as
many as ``1 + (K - 1) d / 4``, since it has K (K - 1) / 2 blocks and a gradient has K products.

Distances are over the distance of doing nothing. The bound is certified for the weights that were
found, without the retrained weights.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gda_theory import deletion
from gda_theory.deletion import Deleted
from gda_theory.deletion.rows import lifted, vector
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.problem import Problem
from gda_theory.verdict.measure import norm
from gda_theory.verdict.models import Models, NoAnswer

NEWTON_STEPS = 3
FEW, MANY = 10, 100  # gradient steps
EPSILON, DELTA, SEED = 1.0, 1e-5, 0  # of noisy descent
DESCRIPTIONS = {
    "nothing": "doing nothing",
    "pure_ascent": "pure ascent",
    "fine_tune_few": "fine-tuning, few steps",
    "fine_tune_many": "fine-tuning, many steps",
    "newton_1": "one Newton step",
    "newton_2": "two Newton steps",
    "newton_3": "three Newton steps",
    "retrain": "exact retraining",
    "noisy_descent": "noisy descent",
}


class Remedy(NamedTuple):
    """One method.

    * ``name``: a key of :data:`DESCRIPTIONS`.
    * ``gradients``, ``hessians``: how many were computed.
    * ``work``: in gradients over the kept rows.
    * ``distance``: of the weights found from the retrained weights, over that of doing nothing.
    * ``bound``: what is certified of this distance; infinite without a bound.
    * ``reason``: which bound it is, or why there is none.
    """

    name: str
    gradients: int
    hessians: int
    work: float
    distance: float
    bound: float
    reason: str


class Remedies(NamedTuple):
    """The methods, and the settings of noisy descent.

    ``missing`` says why noisy descent is not among them; empty if it is. ``few`` and ``many`` are
    the gradient steps of fine-tuning. Pure ascent takes ``few``, and noisy descent ``many``.
    """

    methods: tuple[Remedy, ...]
    few: int
    many: int
    epsilon: float
    delta: float
    missing: str


def remedies(problem: Problem | MultinomialProblem, models: Models) -> Remedies:
    """What each method costs, and what it leaves.

    Cost: about 16 Hessians and 120 gradients.
    Raises: :class:`NoAnswer` if a method fails.
    """
    start = lifted(problem, models.weights["pretrained"])
    try:
        methods = _methods(problem, models, start)
    except ValueError as error:  # no Newton step, since the Hessian is not positive definite
        raise NoAnswer(str(error)) from None
    missing = ""
    try:
        noisy = deletion.noisy_descent(
            problem, start, epsilon=EPSILON, delta=DELTA, seed=SEED, steps=MANY
        )
        methods.append(_remedy(problem, models, "noisy_descent", noisy))
    except (TypeError, ValueError) as error:  # one of its premises does not hold
        missing = str(error)
    return Remedies(
        methods=tuple(methods),
        few=FEW,
        many=MANY,
        epsilon=EPSILON,
        delta=DELTA,
        missing=missing,
    )


def _methods(
    problem: Problem | MultinomialProblem, models: Models, start: Float[np.ndarray, "*classes d"]
) -> list[Remedy]:
    """All methods but noisy descent."""
    nothing = deletion.certified(problem, start)
    unit = float(norm(models.weights["pretrained"] - models.weights["retrained"]))
    return [
        Remedy(
            name="nothing",
            gradients=0,
            hessians=0,
            work=0.0,
            distance=1.0,
            bound=nothing.distance_bound / unit,
            reason=nothing.reason,
        ),
        _remedy(problem, models, "pure_ascent", deletion.pure_ascent(problem, start, FEW)),
        _remedy(problem, models, "fine_tune_few", deletion.fine_tune(problem, start, FEW)),
        _remedy(problem, models, "fine_tune_many", deletion.fine_tune(problem, start, MANY)),
        *_newton(problem, models, start),
        _remedy(problem, models, "retrain", deletion.retrain(problem, start)),
    ]


def _newton(
    problem: Problem | MultinomialProblem, models: Models, start: Float[np.ndarray, "*classes d"]
) -> list[Remedy]:
    """One, two, ... Newton steps, each from where the one before ended."""
    found, weights = [], start
    for steps in range(1, NEWTON_STEPS + 1):
        deleted = deletion.newton(problem, weights)
        weights = deleted.weights
        found.append(_remedy(problem, models, f"newton_{steps}", deleted, steps))
    return found


def _remedy(
    problem: Problem | MultinomialProblem,
    models: Models,
    name: str,
    deleted: Deleted,
    repeated: int = 1,
) -> Remedy:
    """One method as a row. ``repeated`` is how often its cost is incurred."""
    retrained = models.weights["retrained"]
    unit = float(norm(models.weights["pretrained"] - retrained))
    gradients, hessians = (repeated * count for count in deleted.cost[:2])
    rows = float(np.mean(models.forget)) / float(np.mean(~models.forget))
    share = rows if name == "pure_ascent" else 1.0
    distance = float(norm(vector("deleted", problem, deleted.weights) - retrained)) / unit
    return Remedy(
        name=name,
        gradients=gradients,
        hessians=hessians,
        work=gradients * share + hessians * (1 + _products(models)),
        distance=distance if math.isfinite(distance) else math.inf,
        bound=deleted.distance_bound / unit,
        reason=deleted.certificate.reason,
    )


def _products(models: Models) -> float:
    """Operations of a Hessian over those of a gradient."""
    width = models.features.shape[1]
    return width / 2 if not models.classes else models.rows.count * width / 4
