r"""What an outsider could still tell: was a forgotten row in the training data?

Training is made random by *objective perturbation*: a term :math:`b^\top w` with
:math:`b \sim N(0, s^2 I)` is added to the sum form of the objective
(:mod:`~gda_theory.verdict.models`). To first order the margin of row i is then Gaussian,

.. math:: m_i \sim N\bigl(y_i\langle w, x_i\rangle,\ s^2 |H^{-1} x_i|^2\bigr),

with the Hessian H of the sum form of the model's own objective. With K classes the margin is the
logarithm of the odds of the own class, and its derivative by the weights stands in place of
:math:`y_i x_i`. Here s is chosen such that b is, in the root mean square, as long as the gradient
of one kept row. Without noise, training would be deterministic, and any difference would show.

The outsider knows this law for a model that was trained with the row, and for one that was
retrained without the forgotten rows, and sees one margin. This is the test of LiRA (Carlini et al.,
2022) with exact laws. For each row

* the *score* is the logarithm of the ratio of both densities (with over without) at the margin that
  a model has in the middle of its law. It is positive if "was in the training data" fits better.
* the *attack accuracy* is how often the best guess is right, where the model and a retrained one
  are equally likely: (1 + V)/2 with the total variation V of their laws. 1/2 is guessing.
* *Pinsker's bound* is :math:`\tfrac12 + \tfrac12\sqrt{K/2}`, with the Kullback-Leibler divergence K
  of the model's law from that of the retrained model.
"""

from typing import NamedTuple

import numpy as np
import scipy  # its modules load at first use
from jaxtyping import Float

from gda_theory.verdict import models as of_models
from gda_theory.verdict import scores
from gda_theory.verdict.models import Models, NoAnswer

LISTED = 20  # rows in the list
PERCENTILES = tuple(range(101))


class Law(NamedTuple):
    """The Gaussian laws of the margins of some rows."""

    mean: Float[np.ndarray, " f"]
    deviation: Float[np.ndarray, " f"]


class Attack(NamedTuple):
    """What an outsider can tell about the forgotten rows from one model.

    * ``median``, ``highest``: of the attack accuracy over the forgotten rows.
    * ``pinsker_median``, ``pinsker_highest``: the same of Pinsker's bound, at most 1.
    * ``divergence_median``: of the Kullback-Leibler divergence.
    * ``positive``: share of the forgotten rows with a positive score.
    * ``accuracy``: the attack accuracies at 0 %, 1 %, ..., 100 % of the rows, in order.
    """

    median: float
    highest: float
    pinsker_median: float
    pinsker_highest: float
    divergence_median: float
    positive: float
    accuracy: tuple[float, ...]


class Exposed(NamedTuple):
    """One forgotten row: the score of each model, and the attack accuracy on each."""

    row: int
    score: dict[str, float]
    accuracy: dict[str, float]


class Membership(NamedTuple):
    """What an outsider can still tell.

    ``noise`` is s. ``attack`` has one entry for each model; that of the retrained model is the
    goal. ``rows`` are the :data:`LISTED` forgotten rows of the highest attack accuracy on the
    pretrained model.
    """

    noise: float
    attack: dict[str, Attack]
    rows: tuple[Exposed, ...]


def membership(models: Models) -> Membership:
    """What an outsider could tell about each forgotten row from each model.

    Cost: one Hessian for each model, and d^2 for each forgotten row.
    Raises: :class:`NoAnswer` if a law is beyond the range of numbers.
    """
    noise = noise_level(models)
    laws = {name: law_of(models, name, noise) for name in models.weights}
    outside = laws["retrained"]
    scores = {name: _score(law, laws["pretrained"], outside) for name, law in laws.items()}
    accuracy = {name: (1 + total_variation(law, outside)) / 2 for name, law in laws.items()}
    if not all(np.all(np.isfinite(part)) for part in (*scores.values(), *accuracy.values())):
        raise NoAnswer("a law of the margins is beyond the range of numbers; a larger ridge helps")
    forgotten = np.flatnonzero(models.forget)
    exposed = np.argsort(-accuracy["pretrained"], kind="stable")[:LISTED]
    return Membership(
        noise=noise,
        attack={
            name: _attack(scores[name], accuracy[name], divergence(law, outside))
            for name, law in laws.items()
        },
        rows=tuple(
            Exposed(
                row=int(forgotten[index]),
                score={name: float(score[index]) for name, score in scores.items()},
                accuracy={name: float(part[index]) for name, part in accuracy.items()},
            )
            for index in exposed
        ),
    )


def noise_level(models: Models) -> float:
    """s: the noise is as long as the gradient of a kept row, in the root mean square."""
    kept = np.where(models.forget, 0, models.sample_weight)
    retrained = models.weights["retrained"]
    lengths = np.einsum("nd,nd->n", models.features, models.features)
    squares = np.sum(models.rows.slopes(retrained) ** 2, axis=1) * lengths
    return float(np.sqrt(kept @ squares / (np.sum(kept) * len(retrained))))


def law_of(models: Models, name: str, noise: float) -> Law:
    """The law of the margins of the forgotten rows under one model."""
    factor = scipy.linalg.cho_factor(_own_hessian(models, name))
    rows, weights = models.rows.part(models.forget), models.weights[name]
    spread = []
    for block in scores.blocks(rows):
        part = rows.part(block)
        towards = scores.gradients(part, part.turns(weights))
        spread.append(np.linalg.norm(scipy.linalg.cho_solve(factor, towards.T), axis=0))
    return Law(mean=rows.margins(weights), deviation=noise * np.concatenate(spread))


def _own_hessian(models: Models, name: str) -> Float[np.ndarray, "d d"]:
    """The Hessian of the sum form of the objective by which a model was trained.

    A Newton step carries the noise over by the Hessian at its start.
    """
    kept = ~models.forget
    if name == "pretrained":
        return of_models.sum_hessian(models, models.weights[name], kept | models.forget)
    if name == "newton":
        return of_models.sum_hessian(models, models.weights["pretrained"], kept)
    whole = of_models.sum_hessian(models, models.weights[name], kept)
    if name == "retrained":
        return whole
    weight = np.where(models.forget, models.sample_weight, 0)
    factor = models.strength
    if models.reduction == "mean":
        factor *= np.sum(models.sample_weight[kept]) / np.sum(weight)
    return whole - factor * of_models.hessian(models, models.weights[name], weight)


def _score(seen: Law, inside: Law, outside: Law) -> Float[np.ndarray, " f"]:
    """The logarithm of the ratio of densities, at the mean of ``seen``."""
    near = (seen.mean - inside.mean) / inside.deviation
    far = (seen.mean - outside.mean) / outside.deviation
    return (far**2 - near**2) / 2 + np.log(outside.deviation / inside.deviation)


def divergence(law: Law, other: Law) -> Float[np.ndarray, " f"]:
    """The Kullback-Leibler divergence of ``law`` from ``other``, in nats."""
    ratio = law.deviation / other.deviation
    shift = (law.mean - other.mean) / other.deviation
    # log1p form: both terms are small where the deviations agree.
    square = (ratio - 1) * (ratio + 1)
    return np.maximum((square - np.log1p(square) + shift**2) / 2, 0)


def total_variation(law: Law, other: Law) -> Float[np.ndarray, " f"]:
    """The total variation between two Gaussian laws, from the points where the densities cross.

    In units of ``other``, with ratio r and shift d, they are the roots of
    ``(1 - r^2) u^2 - 2 d u + d^2 + 2 r^2 log r = 0``.
    """
    ratio = law.deviation / other.deviation
    shift = (law.mean - other.mean) / other.deviation
    leading = (1 - ratio) * (1 + ratio)
    root = ratio * np.sqrt(np.maximum(shift**2 - 2 * leading * np.log(ratio), 0))
    stable = shift + np.copysign(root, shift)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = [stable / leading, (shift**2 + 2 * ratio**2 * np.log(ratio)) / stable]
    parts = [
        scipy.special.ndtr((point - shift) / ratio) - scipy.special.ndtr(point)
        for point in crossings
    ]
    # Equal laws have no crossing, which is 0/0.
    return np.where(stable == 0, 0, np.abs(parts[0] - parts[1]))


def _attack(
    score: Float[np.ndarray, " f"],
    accuracy: Float[np.ndarray, " f"],
    apart: Float[np.ndarray, " f"],
) -> Attack:
    pinsker = np.minimum(0.5 + 0.5 * np.sqrt(apart / 2), 1)
    return Attack(
        median=float(np.median(accuracy)),
        highest=float(np.max(accuracy)),
        pinsker_median=float(np.median(pinsker)),
        pinsker_highest=float(np.max(pinsker)),
        divergence_median=float(np.median(apart)),
        positive=float(np.mean(score > 0)),
        accuracy=tuple(np.percentile(accuracy, PERCENTILES).tolist()),
    )
