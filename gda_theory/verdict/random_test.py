r"""Does the forget set look like a random one?

If the forgotten rows F are drawn at random, a model that never saw them is as accurate on F as on
other rows that it never saw. The kept rows are no such rows, since the retrained model was trained
on them. So a part T of them is *held out*: drawn at random, and left out of a further training.
Given the rows in F and T together, a random F is a random part of them. So the rows that this model
gets right are distributed among F and T as if by a lottery
(:func:`gda_theory.random_sets.two_sided_subset`), and

.. math:: P(|\mathrm{Acc}_T - \mathrm{Acc}_F| \ge t) \le 2 e^{-2 t^2 f m/(f+m)} .

Two things are approximate. The model is trained without T, so it is slightly different from the
retrained model. And features that were scaled on the kept rows were scaled with T and without F.
A test cannot show that F is random. It can only fail to show that it is not.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from gda_theory.paper import random_sets
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.objective import Objective
from gda_theory.problem.problem import Problem
from gda_theory.solve import minimise
from gda_theory.verdict import measure
from gda_theory.verdict.models import Models, NoAnswer

HELD_OUT = 0.2  # part of the kept rows
SIGNIFICANCE = 0.05
SEED = 0


class RandomTest(NamedTuple):
    """Accuracies of a model that saw neither the forgotten nor the held-out rows.

    * ``forget_size``, ``test_size``: f and m, rows of positive weight. Each counts once.
    * ``forget_accuracy``, ``test_accuracy``, and ``gap``, the latter minus the former.
    * ``bound``: Hoeffding's bound on the probability of such a distance, at most 1.
    * ``half_width``: the distance at which the bound is ``significance``.
    * ``exact``: the probability of such a distance among all ways to draw f of the f + m rows.
    * ``looks_random``: whether ``exact`` is at least ``significance``.
    * ``models``: accuracy on the forgotten rows of the models that are compared.
    * ``outside``: which of these are farther from ``test_accuracy`` than ``half_width``.
    """

    forget_size: int
    test_size: int
    forget_accuracy: float
    test_accuracy: float
    gap: float
    bound: float
    significance: float
    half_width: float
    exact: float
    looks_random: bool
    models: dict[str, float]
    outside: tuple[str, ...]


def random_test(
    problem: Problem | MultinomialProblem, models: Models, objective: Objective
) -> RandomTest:
    """Whether the forget set is distinguishable from a random one, by its accuracy.

    Cost: one retraining that starts at the retrained model.

    Args:
        problem: the data.
        models: its models.
        objective: that of the problem.
    Raises: :class:`NoAnswer` if the rows that are left have no single minimum.
    """
    held = held_out(models)
    rest = np.where(held, 0, models.sample_weight)
    try:
        without = measure.objective_of(problem.replace(sample_weight=rest), objective)
    except ValueError:
        raise NoAnswer("without the held-out rows a class has no kept row") from None
    found = minimise.solve(without, 0.0, models.weights["retrained"])
    trained, _ = minimise.confirmed(without, found)
    if not trained.converged:
        raise NoAnswer("without the held-out rows there is no single minimum")
    forget = models.forget & (models.sample_weight > 0)
    f, m = int(np.sum(forget)), int(np.sum(held))
    right = models.rows.right(np.asarray(trained.weights))
    in_forget, in_test = int(np.sum(right[forget])), int(np.sum(right[held]))
    gap = in_test / m - in_forget / f
    exact = random_sets.two_sided_subset(
        abs(gap), correct=in_forget + in_test, forget_size=f, test_size=m
    )
    width = random_sets.two_sided_half_width(SIGNIFICANCE, forget_size=f, test_size=m)
    accuracies = {
        name: float(np.mean(models.rows.right(weights)[forget]))
        for name, weights in models.weights.items()
    }
    return RandomTest(
        forget_size=f,
        test_size=m,
        forget_accuracy=in_forget / f,
        test_accuracy=in_test / m,
        gap=gap,
        bound=float(random_sets.two_sided_bound(abs(gap), forget_size=f, test_size=m)),
        significance=SIGNIFICANCE,
        half_width=float(width),
        exact=float(exact),
        looks_random=bool(exact >= SIGNIFICANCE),
        models=accuracies,
        outside=tuple(
            name for name, value in accuracies.items() if abs(value - in_test / m) > float(width)
        ),
    )


def held_out(models: Models) -> Bool[np.ndarray, " n"]:
    """A fifth of the kept rows of positive weight, at least one, drawn by ``default_rng(0)``."""
    candidates = np.flatnonzero(~models.forget & (models.sample_weight > 0))
    size = max(1, round(HELD_OUT * len(candidates)))
    mask = np.zeros_like(models.forget)
    mask[np.random.default_rng(SEED).choice(candidates, size, replace=False)] = True
    return mask
