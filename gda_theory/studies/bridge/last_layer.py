r"""What the convex model of a network's last layer says about a forget set.

The model is multinomial logistic regression on the leading principal components of what the last
layer receives, and a column of ones. It is solved exactly, without and with the forgotten rows.

The *cross-influence* of a forgotten row i on a kept row j is defined as for two classes, see
:mod:`gda_theory.verdict.dependence`. With the gradient :math:`g_i` of the loss of row i, the
Hessian H of pretraining, the probability :math:`p_j` of the label of row j, and the Hessian
:math:`B_j` of the loss of row j,

.. math::

    C_{ij} &= \tfrac1n\, g_i^\top H^{-1} g_j & &\text{(loss)} \\
    M_{ij} &= \tfrac1n\, g_i^\top H^{-1} g_j / (1 - p_j) & &\text{(margin)} \\
    K_{ij} &= \tfrac1n\, B_i^{1/2} H^{-1} B_j^{1/2} & &\text{(leverage, one block for two rows)} \\
    N &= \|C\|_2 / (\|U\|_2 \|V\|_2), \quad C = U V^\top & &\text{(normalised)}

In M, the vector :math:`-g_j / (1 - p_j)` is the gradient of the margin
:math:`\log p_j / (1 - p_j)`. The leverage of row i is the trace of :math:`B_i H^{-1} / n`.
"""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import logsumexp, softmax

import gda_theory as gt
from gda_theory.verdict.dependence import largest, product_norm

COMPONENTS = 30
RIDGE = 0.01
SEARCHED = 0.1  # how far the path of minima is followed


def reduced(features: Float[np.ndarray, "n hidden"]) -> Float[np.ndarray, "n d"]:
    """The leading principal components of the features, not rescaled, and a column of ones."""
    left, sizes, right = np.linalg.svd(features - features.mean(0), full_matrices=False)
    # The signs of singular vectors are not determined.
    signs = np.where(np.sum(right**3, 1) < 0, -1, 1)
    columns = (left * sizes * signs)[:, :COMPONENTS]
    return np.column_stack([columns, np.ones(len(features))])


def diagnosed(
    features: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    rows: Int[np.ndarray, " k"],
    classes: int,
) -> dict[str, float]:
    """All numbers of the convex model, by name.

    ``break_even_strength`` is the critical strength where no break-even was met before the fold. It
    is infinite if neither was met up to :data:`SEARCHED`, as ``critical_strength`` is if there is
    no fold up to there. Both are NaN if the path could not be followed so far.

    Args:
        features: with a last column of ones.
        labels: 0 to ``classes - 1``.
        rows: those to forget.
        classes: their number.
    """
    forget = np.isin(np.arange(len(labels)), rows)
    problem = gt.MultinomialProblem(
        features, labels, forget, ridge=RIDGE, classes=tuple(range(classes))
    )
    ratio = len(rows) / (len(labels) - len(rows))
    path = jax.tree.map(np.asarray, gt.ascent_path(problem, np.array([ratio]), search_to=SEARCHED))
    pretrained, oracle = path.pretrained.weights, path.oracle.weights
    return {
        **strengths(path),
        "first_order_break_even": first_order(problem, oracle, ratio),
        "pretrain_distance": float(np.linalg.norm(pretrained - oracle) / np.linalg.norm(oracle)),
        **influence(RowTerms.of(features, labels, pretrained), forget),
    }


def strengths(path: gt.Path) -> dict[str, float]:
    """The critical and the break-even strength, as :func:`diagnosed` gives them."""
    critical, even = float(path.critical_strength), float(path.break_even_strength)
    # Without a fold the search ends at its limit, up to rounding.
    if np.isnan(critical) and path.searched_to > 0.999 * SEARCHED:
        critical = np.inf
    return {
        "break_even_strength": critical if np.isnan(even) else even,
        "critical_strength": critical,
    }


def first_order(
    problem: gt.MultinomialProblem, oracle: Float[np.ndarray, "classes d"], ratio: float
) -> float:
    """The break-even strength to first order in f/r (:mod:`gda_theory.verdict.measure`)."""
    objective = problem.objective()
    point = problem.coordinates_of(oracle)
    curvature = np.asarray(objective.hessian(point, 0.0))
    left = np.asarray(objective.gradient(point, -ratio))
    pushed = np.asarray(objective.forget_gradient(point))
    lengths = [np.linalg.norm(np.linalg.solve(curvature, vector)) for vector in (left, pushed)]
    return float(lengths[0] / lengths[1])


class RowTerms(NamedTuple):
    """What each row contributes at the pretrained model.

    * ``loss_gradient``, ``margin_gradient``: as rows, over the weights class after class.
    * ``hessian``: of the mean loss with the ridge.
    """

    features: Float[np.ndarray, "n d"]
    probabilities: Float[np.ndarray, "n classes"]
    loss_gradient: Float[np.ndarray, "n m"]
    margin_gradient: Float[np.ndarray, "n m"]
    hessian: Float[np.ndarray, "m m"]

    @classmethod
    def of(cls, features, labels, weights: Float[np.ndarray, "classes d"]) -> "RowTerms":
        scores = features @ weights.T
        own = np.arange(len(weights)) == labels[:, None]
        probabilities = softmax(scores, axis=1)
        # The margin is the own score less the log of the sum of the others' exponentials.
        others = np.where(own, -np.inf, scores)
        among = np.exp(others - logsumexp(others, axis=1, keepdims=True))
        everyone = np.ones(len(labels), bool)
        bend = curvature(features, probabilities, everyone) / len(labels)
        return cls(
            features=features,
            probabilities=probabilities,
            loss_gradient=_over_classes(probabilities - own, features),
            margin_gradient=_over_classes(own - among, features),
            hessian=bend + RIDGE * np.eye(len(bend)),
        )


def _over_classes(factors, features) -> Float[np.ndarray, "n m"]:
    """For each row the outer product of its factors and its features, flat."""
    return (factors[:, :, None] * features[:, None]).reshape(len(features), -1)


def curvature(
    features: Float[np.ndarray, "n d"],
    probabilities: Float[np.ndarray, "n classes"],
    chosen: Bool[np.ndarray, " n"],
) -> Float[np.ndarray, "m m"]:
    r"""The sum of :math:`(\mathrm{diag}(p) - p p^\top) \otimes x x^\top` over chosen rows."""
    x, p = features[chosen], probabilities[chosen]
    spread = _over_classes(p, x)
    total = -spread.T @ spread
    width = x.shape[1]
    for number in range(p.shape[1]):
        block = slice(number * width, (number + 1) * width)
        total[block, block] += (x * p[:, number, None]).T @ x
    return total


def influence(found: RowTerms, forget: Bool[np.ndarray, " n"]) -> dict[str, float]:
    """The four norms of the cross-influence, the mean leverage, and the mean cosine of gradients.

    The cosine is that between the loss gradients of a forgotten and of a kept row, averaged over
    all such pairs.
    """
    count = len(forget)
    root = np.linalg.inv(np.linalg.cholesky(found.hessian))  # root' root is the inverse Hessian

    def whitened(gram):
        return root @ gram @ root.T / count

    def gram(gradients, chosen):
        return whitened(gradients[chosen].T @ gradients[chosen])

    losses = [gram(found.loss_gradient, chosen) for chosen in (forget, ~forget)]
    bends = [
        whitened(curvature(found.features, found.probabilities, chosen))
        for chosen in (forget, ~forget)
    ]
    loss_norm = product_norm(*losses)
    lengths = np.linalg.norm(found.loss_gradient, axis=1, keepdims=True)
    units = found.loss_gradient / lengths
    return {
        "loss_norm": loss_norm,
        "margin_norm": product_norm(losses[0], gram(found.margin_gradient, ~forget)),
        "leverage_norm": product_norm(*bends),
        "normalised_norm": float(loss_norm / np.sqrt(largest(losses[0]) * largest(losses[1]))),
        "mean_leverage": float(np.trace(bends[0]) / np.sum(forget)),
        "mean_cosine": float(units[forget].mean(0) @ units[~forget].mean(0)),
    }
