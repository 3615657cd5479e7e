r"""MembershipTest tests: what someone could tell who sees the margin of one model at one point.

*U-LiRA* (arXiv:2403.01218) fits a normal law to the margins of unlearned models at a point, and one
to those of retrained models. Of a further model it says which law fits better. If unlearning
worked, it is right half of the time. By Pinsker's inequality its accuracy is at most

.. math:: \tfrac12 + \tfrac12\sqrt{\mathrm{KL}/2}

for the KL divergence between both laws, in either direction. So KLoM bounds this test.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from gda_theory.evaluation import divergence
from gda_theory.evaluation.margins import of_models, same_points

FEWEST = 8  # models of each kind: half of them fit a law, half test it
RATES = (0.001, 0.01, 0.1)
SPLITS = 5
REPEATS = 100
ALARMS = 10  # a rate of false alarms needs this many of them, or is not reported


class Estimate(NamedTuple):
    """A number, and its interval of 95 % confidence."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class MembershipTest:
    """How well tests tell unlearned from retrained models.

    If both have the same law, the accuracy is 0.5, and each true positive rate is the rate of false
    alarms.

    * ``accuracy``: of U-LiRA at each point. ``mean_accuracy`` has its mean over the points.
    * ``pinsker``: the bound on the accuracy at each point by Pinsker's inequality, with the smaller
      of both divergences of normal laws, estimated without bias.
    * ``true_positive_rates``: the part of unlearned models that are recognised, at each rate of
      false alarms among retrained ones. NaN where the data hold too few models and points.
    * ``holdout_area``: how well one margin tells forgotten points from points that no model has
      seen, in unlearned models: the area under the curve, averaged over models. NaN without
      ``holdout``. It need not be 0.5, because the points may differ in difficulty.
    """

    accuracy: Float[np.ndarray, " points"]
    mean_accuracy: Estimate
    pinsker: Float[np.ndarray, " points"]
    true_positive_rates: dict[float, Estimate]
    holdout_area: float

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers and lists, for JSON. A rate of 0.01 is called ``one_in_100``."""
        return {
            "accuracy": self.accuracy.tolist(),
            "mean_accuracy": self.mean_accuracy._asdict(),
            "pinsker": self.pinsker.tolist(),
            "true_positive_rates": {
                f"one_in_{1 / rate:.0f}": found._asdict()
                for rate, found in self.true_positive_rates.items()
            },
            "holdout_area": self.holdout_area,
        }


def membership(
    unlearned: ArrayLike, oracle: ArrayLike, holdout: ArrayLike | None = None, *, seed: int = 0
) -> MembershipTest:
    """Test whether a model's margin tells if it was unlearned or retrained.

    Laws are fitted to one half of the models and tested on the other, so that equal laws give the
    accuracy 0.5 on average. Intervals come from models and points drawn with replacement.

    Args:
        unlearned: margins ``(models, points)`` at the forgotten points, of 8 models or more.
        oracle: margins ``(other models, points)`` of retrained models at the same points.
        holdout: margins ``(models, other points)`` of the unlearned models at points that no model
            has seen.
        seed: of NumPy's generator, which draws halves.

    Returns: :class:`MembershipTest`.
    Raises: ``ValueError`` or ``TypeError`` that names the argument.
    """
    ours = of_models("unlearned", unlearned, FEWEST)
    theirs = of_models("oracle", oracle, FEWEST)
    same_points(unlearned=ours, oracle=theirs)
    generator = np.random.default_rng(seed)
    tested = [_tested(ours, theirs, generator) for _ in range(SPLITS)]
    ours_right = np.mean([_positive(split.unlearned) for split in tested], axis=0)
    theirs_right = 1 - np.mean([_positive(split.oracle) for split in tested], axis=0)
    return MembershipTest(
        accuracy=(ours_right.mean(0) + theirs_right.mean(0)) / 2,
        mean_accuracy=_mean_accuracy(ours_right, theirs_right, generator),
        pinsker=_pinsker(ours, theirs),
        true_positive_rates=_rates(tested, generator),
        holdout_area=_area(ours, holdout),
    )


class _Scores(NamedTuple):
    """Log ratios of likelihoods, unlearned over retrained, of models outside of the fit."""

    unlearned: Float[np.ndarray, "models points"]
    oracle: Float[np.ndarray, "others points"]


def _tested(ours: np.ndarray, theirs: np.ndarray, generator: np.random.Generator) -> _Scores:
    """Fit to a random half of the models and score the rest, then the other way round."""
    halves, others = (
        np.array_split(generator.permutation(len(models)), 2) for models in (ours, theirs)
    )
    found = _Scores(np.empty_like(ours), np.empty_like(theirs))
    for fit in (0, 1):
        one, two = ours[halves[fit]], theirs[others[fit]]
        for scores, models, tested in (
            (found.unlearned, ours, halves[1 - fit]),
            (found.oracle, theirs, others[1 - fit]),
        ):
            values = models[tested]
            scores[tested] = _log_likelihood(values, one) - _log_likelihood(values, two)
    return found


def _log_likelihood(values: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    # The least spread keeps repeated margins from dividing by zero.
    spread = np.maximum(fitted.std(0, ddof=1), 1e-12)
    return -np.log(spread) - ((values - fitted.mean(0)) / spread) ** 2 / 2


def _positive(scores: Float[np.ndarray, "models points"]) -> Float[np.ndarray, "models points"]:
    """1 where the laws of unlearned models fit better, and 1/2 at a tie."""
    return (scores > 0) + (scores == 0) / 2


def _mean_accuracy(
    ours: np.ndarray, theirs: np.ndarray, generator: np.random.Generator
) -> Estimate:
    """The mean over models and points; the interval draws both with replacement."""

    def mean(first: np.ndarray, second: np.ndarray) -> float:
        return float((np.mean(first) + np.mean(second)) / 2)

    drawn = []
    for _ in range(REPEATS):
        points = generator.integers(ours.shape[1], size=ours.shape[1])
        first, second = (
            models[generator.integers(len(models), size=len(models))][:, points]
            for models in (ours, theirs)
        )
        drawn.append(mean(first, second))
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Estimate(mean(ours, theirs), float(low), float(high))


def _rates(tested: list[_Scores], generator: np.random.Generator) -> dict[float, Estimate]:
    """True-positive rates at the rates of false alarms; the interval draws points."""
    ours = np.concatenate([split.unlearned for split in tested])
    theirs = np.concatenate([split.oracle for split in tested])
    alarms = tested[0].oracle.size
    enough = [rate for rate in RATES if rate * alarms >= ALARMS]
    drawn = [
        _recognised(ours[:, points], theirs[:, points], enough)
        for points in generator.integers(ours.shape[1], size=(REPEATS, ours.shape[1]))
    ]
    found = _recognised(ours, theirs, enough)
    none = Estimate(float("nan"), float("nan"), float("nan"))
    result = dict.fromkeys(RATES, none)
    for place, rate in enumerate(enough):
        low, high = np.percentile([one[place] for one in drawn], (2.5, 97.5))
        result[rate] = Estimate(found[place], float(low), float(high))
    return result


def _recognised(ours: np.ndarray, theirs: np.ndarray, rates: list[float]) -> list[float]:
    """The part of ``ours`` above the thresholds that ``theirs`` exceed at these rates."""
    thresholds = np.quantile(theirs, [1 - rate for rate in rates], method="higher")
    return [float(np.mean(ours > threshold)) for threshold in thresholds]


def _pinsker(ours: np.ndarray, theirs: np.ndarray) -> Float[np.ndarray, " points"]:
    least = np.minimum(divergence.gaussian(ours, theirs), divergence.gaussian(theirs, ours))
    return np.minimum(0.5 + np.sqrt(np.maximum(least, 0) / 2) / 2, 1.0)


def _area(forgotten: np.ndarray, holdout: ArrayLike | None) -> float:
    """Mean over models of P(forgotten margin > unseen margin) + P(equal)/2."""
    if holdout is None:
        return float("nan")
    unseen = of_models("holdout", holdout)
    if len(unseen) != len(forgotten):
        raise ValueError(
            f"holdout must hold the margins of the {len(forgotten)} unlearned models, "
            f"got {len(unseen)} models"
        )
    areas = []
    for one, other in zip(forgotten, np.sort(unseen, axis=1), strict=True):
        below = np.searchsorted(other, one, "left") + np.searchsorted(other, one, "right")
        areas.append(np.mean(below) / (2 * len(other)))
    return float(np.mean(areas))
