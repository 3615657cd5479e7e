r"""Which features and which forgotten rows make the difference between the two models.

*Features*: the coordinates of :math:`w_D - w_R`. A coordinate counts by what it does to the scores,
so by its change times the root mean square of its feature.

*Rows*: how far one Newton step moves the pretrained weights when row i alone is removed. In the sum
form (:mod:`~gda_theory.verdict.models`) with the loss of row i taken out and, for means, its share
of the ridge,

.. math:: \delta_i = \bigl(S_i - s_i\ell''(m_i) x_i x_i^\top\bigr)^{-1}
          \bigl(\tilde g_i\bigr), \qquad
          \tilde g_i = s_i(\nabla\ell_i + \lambda w_D), \qquad
          S_i = \sum_j s_j \ell''(m_j) x_j x_j^\top + (N - s_i)\lambda .

For sums the ridge stays: :math:`\tilde g_i = s_i\nabla\ell_i`, and S has the ridge
:math:`\lambda`. One factorisation serves all rows: both parts of :math:`S_i` are made diagonal
together, and the row itself is a change of rank one (Sherman and Morrison), or of rank K - 1 with
K classes (Woodbury), since the curvature of a row is then a matrix of that size.

The exact change, by retraining without the row, differs by a term of second order in
:math:`\delta_i`. Source: the step is that of certified removal (Guo et al., 2020).
"""

from typing import NamedTuple

import numpy as np
import scipy  # its modules load at first use
from jaxtyping import Float

from gda_theory.problem import classes
from gda_theory.verdict import models as of_models
from gda_theory.verdict import scores
from gda_theory.verdict.measure import norm
from gda_theory.verdict.models import Models

LISTED = 20  # rows in the list


class Feature(NamedTuple):
    """One weight of both models, and its ``change`` from the retrained to the pretrained one.

    Of K classes a feature has a weight for each class, and ``name`` says which.

    ``effect`` is the change times the root mean square of the feature, which is how far it moves a
    typical score.
    """

    name: str
    pretrained: float
    retrained: float
    change: float
    effect: float


class Row(NamedTuple):
    """One forgotten row.

    * ``row``: its number in the data, from 0.
    * ``probability``: of its own class, by the pretrained model.
    * ``size``: length of the change of the weights when this row alone is removed.
    * ``along``: the part of the way from the pretrained to the retrained weights that this change
      covers. Negative if it leads away.
    """

    row: int
    probability: float
    size: float
    along: float


class Differences(NamedTuple):
    """Which features and which rows make the difference.

    * ``features``: by decreasing ``abs(effect)``, and ``feature_count``, how many there are. Of K
      classes they are the weights of all features and classes.
    * ``half``: the smallest number of features whose effects have half of the sum of all
      ``abs(effect)``.
    * ``rows``: the :data:`LISTED` forgotten rows of the largest ``abs(along)``, in that order.
    * ``quantiles``: of ``along`` over all forgotten rows, at 0 %, 1 %, ..., 100 %.
    * ``sum_along``: the sum of ``along`` over all forgotten rows. It would be 1 if the rows acted
      independently.
    * ``strongest_tenth``: the sum of ``along`` over the tenth of the rows (at least one) that has
      the largest values.
    """

    features: tuple[Feature, ...]
    feature_count: int
    half: int
    rows: tuple[Row, ...]
    quantiles: tuple[float, ...]
    sum_along: float
    strongest_tenth: float


def differences(models: Models) -> Differences:
    """Which features and which rows make the difference.

    Cost: one Hessian, one eigenvalue decomposition, and d^2 for each forgotten row.
    """
    features = feature_differences(models)
    effects = np.abs([feature.effect for feature in features])
    forgotten = np.flatnonzero(models.forget)
    size, along = row_influence(models)
    strongest = np.argsort(-np.abs(along), kind="stable")[:LISTED]
    chosen = models.rows.part(forgotten)
    chance = np.sum(chosen.chances(models.weights["pretrained"]) * chosen.own, axis=1)
    tenth = max(1, len(along) // 10)
    return Differences(
        features=features,
        feature_count=len(features),
        half=int(np.searchsorted(np.cumsum(effects), np.sum(effects) / 2) + 1),
        rows=tuple(
            Row(
                row=int(forgotten[index]),
                probability=float(chance[index]),
                size=float(size[index]),
                along=float(along[index]),
            )
            for index in strongest
        ),
        quantiles=tuple(np.quantile(along, np.linspace(0, 1, 101)).tolist()),
        sum_along=float(np.sum(along)),
        strongest_tenth=float(np.sum(np.sort(along)[-tenth:])),
    )


def feature_differences(models: Models) -> tuple[Feature, ...]:
    """The weights by decreasing effect."""
    weight = models.sample_weight
    spread = np.sqrt(weight @ models.features**2 / np.sum(weight))
    names, pretrained = _named(models, "pretrained")
    retrained = _named(models, "retrained")[1]
    change = pretrained - retrained
    effect = change * np.tile(spread, len(change) // len(spread))
    return tuple(
        Feature(
            name=names[index],
            pretrained=float(pretrained[index]),
            retrained=float(retrained[index]),
            change=float(change[index]),
            effect=float(effect[index]),
        )
        for index in np.argsort(-np.abs(effect), kind="stable")
    )


def _named(models: Models, model: str) -> tuple[list[str], Float[np.ndarray, " w"]]:
    """Names and values of a model's weights, one class after the other."""
    weights = models.weights[model]
    if not models.classes:
        return list(models.names), weights
    names = [f"{name}, class {label}" for label in models.classes for name in models.names]
    return names, np.asarray(classes.weights_of(weights, len(models.classes))).reshape(-1)


def row_influence(
    models: Models,
) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, " f"]]:
    """``size`` and ``along`` of every forgotten row, as in :class:`Row`."""
    way = models.weights["retrained"] - models.weights["pretrained"]
    distance = norm(way)
    direction = way / distance if distance > 0 else np.full_like(way, np.nan)
    forgotten = np.flatnonzero(models.forget)
    basis, share = _common_basis(models)
    sizes, alongs = [], []
    chosen = models.rows.part(forgotten)
    for rows in scores.blocks(chosen):
        moved = _steps(models, forgotten[rows], basis, share)
        sizes.append(norm(moved))
        alongs.append(moved @ direction / distance if distance > 0 else moved @ direction)
    return np.concatenate(sizes), np.concatenate(alongs)


def _common_basis(models: Models) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, " d"]]:
    """A basis B and numbers u with ``B' M B = 1`` and ``B' diag(ridge) B = diag(u)``.

    M is the Hessian of the sum form over all rows at the pretrained weights. So
    ``(M - s diag(ridge))^{-1} = B diag(1 / (1 - s u)) B'``.
    """
    everything = np.ones_like(models.forget)
    whole = of_models.sum_hessian(models, models.weights["pretrained"], everything)
    lower = np.linalg.cholesky(whole)
    half = scipy.linalg.solve_triangular(lower, np.diag(np.sqrt(models.ridge)), lower=True)
    values, vectors = np.linalg.eigh(half @ half.T)
    basis = scipy.linalg.solve_triangular(lower, vectors, lower=True, trans="T")
    return basis, values if models.reduction == "mean" else np.zeros_like(values)


def _steps(
    models: Models,
    rows: np.ndarray,
    basis: Float[np.ndarray, "d d"],
    share: Float[np.ndarray, " d"],
) -> Float[np.ndarray, "b d"]:
    """The Newton step of each of these rows, removed alone."""
    weights, weight = models.weights["pretrained"], models.sample_weight[rows]
    part = models.rows.part(rows)
    force = weight[:, None] * part.slopes(weights)
    bend = weight[:, None, None] * part.bends(weights)
    count, size = part.count, basis.shape[1]
    # Each row's scores as functions of the coordinates in the basis.
    inside = np.einsum("nd,cdm->ncm", part.features, basis.reshape(count, -1, size), optimize=True)
    decay = (models.ridge * weights) @ basis if models.reduction == "mean" else 0.0
    # The gradient without the row is minus its own part, as the whole gradient is 0.
    pushed = weight[:, None] * decay + np.einsum("nc,ncm->nm", force, inside)
    inverse = 1 / (1 - weight[:, None] * share)
    found = inverse * pushed
    spread = np.einsum("ncm,nm,nem->nce", inside, inverse, inside, optimize=True)
    within = np.eye(count) - bend @ spread
    towards = bend @ np.einsum("ncm,nm->nc", inside, found)[:, :, None]
    correction = np.linalg.solve(within, towards)[:, :, 0]
    return (found + inverse * np.einsum("nc,ncm->nm", correction, inside)) @ basis.T
