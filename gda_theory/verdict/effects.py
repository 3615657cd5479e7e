"""How far models are from the retrained one: weights, predictions, loss, accuracy, calibration.

Every number is given for all rows, for the kept and for the forgotten ones. The kept rows were in
the training of every model, so that accuracies on them are higher than on new rows. Means and
shares count each row by its sample weight.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from gda_theory.verdict.measure import norm
from gda_theory.verdict.models import Models

BINS = 10  # of predicted probabilities, for the calibration error
LEVELS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


class Quality(NamedTuple):
    """How well a model does on one set of rows.

    * ``loss``: mean loss, without the ridge.
    * ``accuracy``: share of rows whose class is predicted. A tie counts as wrong.
    * ``brier``: mean squared distance of the predicted probability from 0 or 1. Of K classes the
      squares are added up over the classes, as scikit-learn does.
    * ``calibration_error``: expected calibration error. The rows are put into ten equal bins by
      their predicted probability of the class +1. In each bin this is compared with the share of
      the class +1. The mean over rows of the absolute difference is returned. Of K classes the
      probability of the predicted class is compared with the accuracy (Guo et al., 2017).
    """

    loss: float
    accuracy: float
    brier: float
    calibration_error: float


class Change(NamedTuple):
    """How far predicted probabilities are from those of the retrained model, on one set of rows.

    ``mean`` and ``largest`` are of the absolute difference. Of K classes it is half of the sum over
    the classes, the total variation, which is the same for two. ``quantiles`` are at
    :data:`LEVELS`. ``other_class`` is the share of rows for which another class is predicted.
    """

    mean: float
    largest: float
    quantiles: tuple[float, ...]
    other_class: float


class Distance(NamedTuple):
    """Euclidean distance of weights from the retrained ones: as it is, over the length of the
    retrained weights, and over the distance of the pretrained weights.
    """

    weights: float
    relative: float
    over_pretrained: float


class Effects(NamedTuple):
    """The models by name; ``quality`` and ``change`` have one entry for each set of rows."""

    levels: tuple[float, ...]
    distance: dict[str, Distance]
    quality: dict[str, dict[str, Quality]]
    change: dict[str, dict[str, Change]]


def effects(models: Models) -> Effects:
    """How far each model is from the retrained one.

    Cost: a few passes over the data for each model.
    """
    chances = {name: models.rows.chances(weights) for name, weights in models.weights.items()}
    sets = row_sets(models)
    return Effects(
        levels=LEVELS,
        distance={name: _distance(models, name) for name in chances},
        quality={name: _qualities(models, name, chance) for name, chance in chances.items()},
        change={
            name: {
                key: _change(models, chance, chances["retrained"], members) for key, members in sets
            }
            for name, chance in chances.items()
            if name != "retrained"
        },
    )


def row_sets(models: Models) -> tuple[tuple[str, Bool[np.ndarray, " n"]], ...]:
    """The sets of rows, without those of weight 0."""
    counted = models.sample_weight > 0
    forget = models.forget
    return ("all", counted), ("kept", counted & ~forget), ("forgotten", counted & forget)


def _distance(models: Models, name: str) -> Distance:
    retrained = models.weights["retrained"]
    length = float(norm(models.weights[name] - retrained))
    doing_nothing = float(norm(models.weights["pretrained"] - retrained))
    return Distance(
        weights=length,
        relative=_ratio(length, float(norm(retrained))),
        over_pretrained=_ratio(length, doing_nothing),
    )


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else float("nan")


def _qualities(
    models: Models, name: str, chances: Float[np.ndarray, "n classes"]
) -> dict[str, Quality]:
    """The quality of one model on each set of rows."""
    weights, own = models.weights[name], models.rows.own
    several = len(models.classes) > 2
    squares = np.sum((chances - own) ** 2, axis=1) if several else (chances - own)[:, 1] ** 2
    terms = {
        "loss": models.rows.losses(weights),
        "accuracy": models.rows.right(weights),
        "brier": squares,
    }
    if several:
        sure, right = chances.max(axis=1), terms["accuracy"]
    else:
        sure, right = chances[:, 1], own[:, 1]
    return {
        key: Quality(
            **{
                term: _mean(of_rows[members], models.sample_weight[members])
                for term, of_rows in terms.items()
            },
            calibration_error=calibration_error(
                sure[members], right[members], models.sample_weight[members]
            ),
        )
        for key, members in row_sets(models)
    }


def calibration_error(
    chance: Float[np.ndarray, " n"],
    right: Bool[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
) -> float:
    """The expected calibration error in :data:`BINS` equal bins (:class:`Quality`)."""
    index = np.minimum((BINS * chance).astype(int), BINS - 1)
    excess = np.bincount(index, weight * (chance - right), BINS)
    return float(np.sum(np.abs(excess)) / np.sum(weight))


def _change(
    models: Models,
    chances: Float[np.ndarray, "n classes"],
    retrained: Float[np.ndarray, "n classes"],
    members: Bool[np.ndarray, " n"],
) -> Change:
    weight = models.sample_weight[members]
    moved = np.sum(np.abs(chances - retrained), axis=1)[members] / 2
    other = np.argmax(chances, axis=1) != np.argmax(retrained, axis=1)
    quantiles = np.quantile(moved, LEVELS, weights=weight, method="inverted_cdf")
    return Change(
        mean=_mean(moved, weight),
        largest=float(np.max(moved)),
        quantiles=tuple(quantiles.tolist()),
        other_class=_mean(other[members], weight),
    )


def _mean(values: np.ndarray, weight: Float[np.ndarray, " n"]) -> float:
    return float(np.sum(weight * values) / np.sum(weight))
