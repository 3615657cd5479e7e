r"""The models that a report compares, with the data, as NumPy arrays.

A report's sections need Hessians, gradients and scores of the same few models. They are taken over
blocks of rows, so that no second copy of the features is made. Rows of two and of K classes are
treated alike (:mod:`~gda_theory.verdict.scores`).

The *sum form* of an objective is its total over the rows of a set S, without division by their
number:

.. math:: N_S J_S(w) = \sum_{i \in S} s_i \ell(m_i) + \tfrac12 \sum_j \Lambda_j w_j^2,

with the *total ridge* :math:`\Lambda = N_S \lambda` for means and :math:`\lambda` for sums.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from gda_theory.codes import Reason
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.objective import in_coordinates
from gda_theory.problem.problem import Problem
from gda_theory.solve.path import Path
from gda_theory.verdict import scores
from gda_theory.verdict.measure import solved
from gda_theory.verdict.scores import Scores

NAMES = ("pretrained", "retrained", "newton", "ascent")


class NoAnswer(Exception):
    """A section of a report cannot be computed; the message says why."""


@dataclasses.dataclass(frozen=True, eq=False)
class Models:
    """The data of a problem and the weights of the models that a report compares.

    * ``rows``: how each row depends on the weights.
    * ``ridge``: of each weight.
    * ``weights``: by name. ``pretrained``; ``retrained`` (the oracle); ``newton``, one Newton step
      on the kept rows from the pretrained weights, if it is finite; ``ascent``, the minimum at
      ``strength``, if there is one. Of several classes they are coordinates
      (:mod:`gda_theory.problem.classes`).
    * ``names``: of the features.
    * ``classes``: names of the classes; empty for two classes.
    * The other fields are those of :class:`gda_theory.Problem`, as NumPy arrays.
    """

    rows: Scores
    forget: Bool[np.ndarray, " n"]
    sample_weight: Float[np.ndarray, " n"]
    ridge: Float[np.ndarray, " m"]
    reduction: str
    strength: float
    weights: dict[str, Float[np.ndarray, " m"]]
    names: tuple[str, ...]
    classes: tuple[str, ...]

    @property
    def features(self) -> Float[np.ndarray, "n d"]:
        """The features of all rows."""
        return self.rows.features


def models_of(
    problem: Problem | MultinomialProblem, path: Path, strength: float, names: tuple[str, ...]
) -> Models:
    """The models of one problem.

    Args:
        problem: the data, in float64.
        path: its ``ascent_path(problem, [strength])``.
        strength: of the ascent.
        names: of the features; too few are filled up by numbers from 0.
    """

    def vector(weights) -> Float[np.ndarray, " m"]:
        return np.asarray(in_coordinates(problem, np.asarray(weights)))

    rows = scores.scores_of(problem)
    ridge = np.asarray(problem.ridge)
    weights = {
        "pretrained": vector(path.pretrained.weights),
        "retrained": vector(path.oracle.weights),
    }
    classes = problem.classes if isinstance(problem, MultinomialProblem) else ()
    found = Models(
        rows=rows,
        forget=np.asarray(problem.forget),
        sample_weight=np.asarray(problem.sample_weight),
        ridge=np.tile(ridge, rows.count),
        reduction=problem.reduction,
        strength=strength,
        weights=weights,
        names=feature_names(names, rows.features, ridge),
        classes=tuple(map(str, classes)),
    )
    stepped = newton_step(found)
    if np.all(np.isfinite(stepped)):
        weights["newton"] = stepped
    if int(path.reason[0]) == Reason.FOUND:
        weights["ascent"] = vector(path.weights[0])
    return found


def feature_names(
    names: tuple[str, ...], features: Float[np.ndarray, "n d"], ridge: Float[np.ndarray, " d"]
) -> tuple[str, ...]:
    """A name for each column: the given ones, then ``intercept`` or a number from 0."""
    rest = range(len(names), features.shape[1])
    return (*names, *(_name(index, features[:, index], ridge[index]) for index in rest))


def _name(index: int, column: Float[np.ndarray, " n"], ridge: float) -> str:
    constant = ridge == 0 and column[0] != 0 and np.all(column == column[0])
    return "intercept" if constant else f"feature {index}"


def newton_step(models: Models) -> Float[np.ndarray, " m"]:
    """The weights after one Newton step on the kept rows from the pretrained weights."""
    start = models.weights["pretrained"]
    kept = ~models.forget
    return start - solved(sum_hessian(models, start, kept), sum_gradient(models, start, kept))


# Sums over rows ----------------------------------------------------------------------------------


def total_ridge(models: Models, members: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
    """The ridge of the sum form over these rows."""
    if models.reduction == "mean":
        return models.ridge * np.sum(models.sample_weight[members])
    return models.ridge


def sum_gradient(
    models: Models, weights: Float[np.ndarray, " m"], members: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, " m"]:
    """The gradient of the sum form over these rows."""
    weight = np.where(members, models.sample_weight, 0)
    slopes = weight[:, None] * models.rows.slopes(weights)
    return total_ridge(models, members) * weights + scores.total(models.rows, slopes)


def sum_hessian(
    models: Models, weights: Float[np.ndarray, " m"], members: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, "m m"]:
    """The Hessian of the sum form over these rows."""
    ridge = np.diag(total_ridge(models, members))
    return hessian(models, weights, np.where(members, models.sample_weight, 0)) + ridge


def hessian(
    models: Models, weights: Float[np.ndarray, " m"], factors: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "m m"]:
    """The Hessian of the losses times these factors, without a ridge."""
    return scores.gram(models.rows, factors[:, None, None] * models.rows.bends(weights))
