r"""The models that a report compares, with the data, as NumPy arrays.

A report's sections need Hessians, gradients and scores of the same few models. They are taken over
blocks of rows, so that no second copy of the features is made.

The *sum form* of an objective is its total over the rows of a set S, without division by their
number:

.. math:: N_S J_S(w) = \sum_{i \in S} s_i \ell(m_i) + \tfrac12 \sum_j \Lambda_j w_j^2,

with the *total ridge* :math:`\Lambda = N_S \lambda` for means and :math:`\lambda` for sums.
"""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from gda_theory.codes import Reason
from gda_theory.problem.losses import Loss
from gda_theory.problem.problem import Problem
from gda_theory.solve.path import Path
from gda_theory.verdict.measure import solved

BLOCK = 1 << 16  # rows of one block
NAMES = ("pretrained", "retrained", "newton", "ascent")


class NoAnswer(Exception):
    """A section of a report cannot be computed; the message says why."""


@dataclasses.dataclass(frozen=True, eq=False)
class Models:
    """The data of a problem and the weights of the models that a report compares.

    * ``weights``: by name. ``pretrained``; ``retrained`` (the oracle); ``newton``, one Newton step
      on the kept rows from the pretrained weights, if it is finite; ``ascent``, the minimum at
      ``strength``, if there is one.
    * ``names``: of the features.
    * The other fields are those of :class:`gda_theory.Problem`, as NumPy arrays.
    """

    features: Float[np.ndarray, "n d"]
    signs: Float[np.ndarray, " n"]
    forget: Bool[np.ndarray, " n"]
    sample_weight: Float[np.ndarray, " n"]
    ridge: Float[np.ndarray, " d"]
    loss: Loss
    reduction: str
    strength: float
    weights: dict[str, Float[np.ndarray, " d"]]
    names: tuple[str, ...]


def models_of(problem: Problem, path: Path, strength: float, names: tuple[str, ...]) -> Models:
    """The models of one problem.

    Args:
        problem: the data, in float64.
        path: its ``ascent_path(objective, [strength])``.
        strength: of the ascent.
        names: of the features; too few are filled up by numbers from 0.
    """
    arrays = {
        name: np.asarray(getattr(problem, name))
        for name in ("features", "signs", "forget", "sample_weight", "ridge")
    }
    weights = {
        "pretrained": np.asarray(path.pretrained.weights),
        "retrained": np.asarray(path.oracle.weights),
    }
    found = Models(
        **arrays,
        loss=problem.loss,
        reduction=problem.reduction,
        strength=strength,
        weights=weights,
        names=feature_names(names, arrays["features"], arrays["ridge"]),
    )
    stepped = newton_step(found)
    if np.all(np.isfinite(stepped)):
        weights["newton"] = stepped
    if int(path.reason[0]) == Reason.FOUND:
        weights["ascent"] = np.asarray(path.weights[0])
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


def newton_step(models: Models) -> Float[np.ndarray, " d"]:
    """The weights after one Newton step on the kept rows from the pretrained weights."""
    start = models.weights["pretrained"]
    kept = ~models.forget
    return start - solved(sum_hessian(models, start, kept), sum_gradient(models, start, kept))


# Sums over rows ----------------------------------------------------------------------------------


def blocks(count: int) -> Iterator[slice]:
    """The rows from 0 to ``count`` in blocks."""
    for first in range(0, count, BLOCK):
        yield slice(first, first + BLOCK)


def margins(models: Models, weights: Float[np.ndarray, " d"]) -> Float[np.ndarray, " n"]:
    """``y_i <w, x_i>``."""
    return models.signs * (models.features @ weights)


def phi(models: Models, at: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Minus the first derivative of the loss, at these margins."""
    return np.asarray(models.loss.phi(jnp.asarray(at)))


def curvature(models: Models, at: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The second derivative of the loss, at these margins."""
    return np.asarray(models.loss.curvature(jnp.asarray(at)))


def probability(models: Models, scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    r"""The probability of the class +1 that makes a score z the best one.

    .. math:: p \varphi(z) = (1 - p) \varphi(-z)

    For the logistic loss it is the logistic function of z, for the exponential loss that of 2 z.
    """
    at = jnp.asarray(scores)
    odds = models.loss.log_phi(-at) - models.loss.log_phi(at)
    return np.asarray(jax.nn.sigmoid(odds))


def gram(
    features: Float[np.ndarray, "n d"], weight: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "d d"]:
    """``sum_i weight_i x_i x_i'``."""
    total = np.zeros((features.shape[1],) * 2)
    for rows in blocks(len(features)):
        total += (features[rows] * weight[rows, None]).T @ features[rows]
    return total


def total_ridge(models: Models, members: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " d"]:
    """The ridge of the sum form over these rows."""
    if models.reduction == "mean":
        return models.ridge * np.sum(models.sample_weight[members])
    return models.ridge


def sum_gradient(
    models: Models, weights: Float[np.ndarray, " d"], members: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, " d"]:
    """The gradient of the sum form over these rows."""
    force = np.where(members, models.sample_weight, 0) * phi(models, margins(models, weights))
    return total_ridge(models, members) * weights - (models.signs * force) @ models.features


def sum_hessian(
    models: Models, weights: Float[np.ndarray, " d"], members: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, "d d"]:
    """The Hessian of the sum form over these rows."""
    bend = np.where(members, models.sample_weight, 0) * curvature(models, margins(models, weights))
    return gram(models.features, bend) + np.diag(total_ridge(models, members))
