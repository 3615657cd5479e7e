r"""KLoM: how far the margins of unlearned models are from those of retrained ones, point by point.

Train N models, and unlearn the same rows from each; retrain N models without these rows (the
*oracles*). At each point the score is the Kullback-Leibler divergence between both sets of margins.
Published scores have a *noise floor*: two sets of oracles score above 0 as well. So each score is
shown beside the same score of two halves of the oracles, with as many models on either side.

Source: arXiv:2410.23232 and the paper, Sec. 3; floor, intervals and estimates without bias: new.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from gda_theory.evaluation import divergence, exchange
from gda_theory.evaluation.margins import FEWEST_MODELS, of_models, same_points
from theory_common import checks

DIRECTIONS = ("unlearned||oracle", "oracle||unlearned")
SPLITS = 100
COVERED = 0.95
PERCENTILE = 95.0


class Statistic(NamedTuple):
    """The mean or the 95th percentile of the scores of all points.

    * ``value``: of all models, between ``low`` and ``high`` with 95 % confidence.
    * ``at_half``: with half as many models on both sides, averaged over random halves.
    * ``floor``: the same for two halves of the oracles.
    * ``excess``: ``at_half - floor``, between ``excess_low`` and ``excess_high``. It is 0 on
      average if the unlearned models have the law of the oracles.
    """

    value: float
    low: float
    high: float
    at_half: float
    floor: float
    excess: float
    excess_low: float
    excess_high: float


@dataclasses.dataclass(frozen=True)
class Klom:
    """KLoM at each point, and its mean and 95th percentile over the points.

    * ``direction``, ``bins``, ``limits``: of the histograms; ``limits`` is None where the bins span
      both samples.
    * ``unlearned_models``, ``oracle_models``: the numbers of models. ``half_models`` is the number
      on each side of a comparison of halves, and ``splits`` how often halves were drawn.
    * ``histogram``: the score at each point, as the literature has it.
    * ``gaussian``: without bias if margins are normal; it may be slightly negative.
    * ``nearest_neighbour``: for margins of any continuous law; NaN where margins are repeated.
    * ``floor``: the histogram's score at each point between halves of the oracles, on average.
    * ``p_value``: if both sets of models have the same law, it is 0.05 or less with probability
      0.05 at most (see :mod:`gda_theory.evaluation.exchange`).
    * ``summary``: :class:`Statistic` for each estimator's ``"mean"`` and ``"p95"``.
    """

    direction: str
    bins: int
    limits: tuple[float, float] | None
    unlearned_models: int
    oracle_models: int
    half_models: int
    splits: int
    histogram: Float[np.ndarray, " points"]
    gaussian: Float[np.ndarray, " points"]
    nearest_neighbour: Float[np.ndarray, " points"]
    floor: Float[np.ndarray, " points"]
    p_value: float
    summary: dict[str, dict[str, Statistic]]

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers, lists and texts, for JSON."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        arrays = {
            name: value.tolist() for name, value in fields.items() if isinstance(value, np.ndarray)
        }
        summary = {
            estimator: {name: found._asdict() for name, found in statistics.items()}
            for estimator, statistics in self.summary.items()
        }
        return fields | arrays | {"summary": summary}


def klom(
    unlearned: ArrayLike,
    oracle: ArrayLike,
    *,
    direction: str = "unlearned||oracle",
    bins: int = divergence.BINS,
    limits: tuple[float, float] | None = None,
    splits: int = SPLITS,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> Klom:
    """KLoM of unlearned models at each point, with its noise floor and intervals.

    Intervals come from random halves of the models and from points drawn with replacement. They
    therefore cover the choice of models and of points. Halves hold no model twice, which would look
    like a difference.

    Args:
        unlearned: margins ``(models, points)``, of 20 models or more.
        oracle: margins ``(other models, points)`` of retrained models, 20 or more.
        direction: ``"unlearned||oracle"`` is KL(unlearned || oracle), or the other way round.
        bins: number of bins of the histograms.
        limits: first and last edge of the bins; by default those of both samples at the point.
        splits: how often halves are drawn, at least 20.
        seed: of NumPy's generator, which draws them.
        advance: called after each split, for a progress bar.

    Returns: :class:`Klom`.
    Raises: ``ValueError`` or ``TypeError`` that names the argument, for bad shapes, values that are
        not finite, or a bad option. Fewer than 20 models are an error that states the noise floor.
    """
    checks.choice("direction", direction, DIRECTIONS)
    _check_options(bins, limits, splits)
    ours = _enough("unlearned", unlearned)
    theirs = _enough("oracle", oracle)
    same_points(unlearned=ours, oracle=theirs)
    estimators = _estimators(direction, bins, limits)
    scores = {name: estimate(ours, theirs) for name, estimate in estimators.items()}
    halves = _halves(ours, theirs, estimators, splits, np.random.default_rng(seed), advance)
    return Klom(
        direction=direction,
        bins=bins,
        limits=limits,
        unlearned_models=len(ours),
        oracle_models=len(theirs),
        half_models=min(len(ours), len(theirs)) // 2,
        splits=splits,
        histogram=scores["histogram"],
        gaussian=scores["gaussian"],
        nearest_neighbour=scores["nearest_neighbour"],
        floor=halves.floor,
        p_value=exchange.p_value(*_turned(direction, ours, theirs), np.random.default_rng(seed)),
        summary={
            name: {
                kind: _statistic(STATISTICS[kind](scores[name]), halves.drawn[name][kind])
                for kind in STATISTICS
            }
            for name in estimators
        },
    )


def noise_floor(first: int, second: int, bins: int = divergence.BINS) -> tuple[float, float]:
    """What two sets of models with the same normal margins score by the histogram.

    The law of this score depends neither on the mean nor on the variance of the margins.

    Args:
        first, second: numbers of models.
        bins: of the histogram, which spans both samples.

    Returns: mean and 95th percentile, from 1,000 simulated points with a fixed seed.
    """
    generator = np.random.default_rng(0)
    one, other = (generator.normal(size=(models, 1000)) for models in (first, second))
    scores = divergence.histogram(one, other, bins)
    return float(np.mean(scores)), float(np.percentile(scores, PERCENTILE))


def _mean(scores: np.ndarray) -> float:
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")


def _percentile(scores: np.ndarray) -> float:
    known = scores[~np.isnan(scores)]
    # The largest may be infinite: "nearest" does not interpolate towards it.
    return float(np.percentile(known, PERCENTILE, method="nearest")) if len(known) else float("nan")


STATISTICS: dict[str, Callable[[np.ndarray], float]] = {"mean": _mean, "p95": _percentile}


def _check_options(bins: int, limits: tuple[float, float] | None, splits: int) -> None:
    if bins < 2:
        raise ValueError(f"bins must be at least 2, got {bins}")
    if splits < 20:
        raise ValueError(f"splits must be at least 20, got {splits}")
    if limits is not None and not limits[0] < limits[1]:
        raise ValueError(f"limits must be increasing, got {limits}")


def _enough(name: str, values: ArrayLike) -> Float[np.ndarray, "models points"]:
    array = of_models(name, values)
    if len(array) < FEWEST_MODELS:
        mean, high = noise_floor(len(array), len(array))
        raise ValueError(
            f"{name} must hold at least {FEWEST_MODELS} models, got {len(array)}: with so few, two "
            f"sets of equal models already score {mean:.1f} on average and {high:.1f} at the 95th "
            "percentile (the noise floor)"
        )
    return array


def _turned(direction: str, ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (ours, theirs) if direction == DIRECTIONS[0] else (theirs, ours)


def _estimators(
    direction: str, bins: int, limits: tuple[float, float] | None
) -> dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    """Each estimator as a function of the margins of unlearned and of retrained models."""

    def histogram(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return divergence.histogram(first, second, bins, limits)

    def turned(estimate: Callable) -> Callable:
        return lambda one, two: estimate(*_turned(direction, one, two))

    return {
        "histogram": turned(histogram),
        "gaussian": turned(divergence.gaussian),
        "nearest_neighbour": turned(divergence.nearest_neighbour),
    }


class _Halves(NamedTuple):
    """Statistics ``(splits, 2)`` of each estimator: of unlearned against oracle, and the floor."""

    drawn: dict[str, dict[str, Float[np.ndarray, "splits 2"]]]
    floor: Float[np.ndarray, " points"]


def _halves(
    ours: Float[np.ndarray, "models points"],
    theirs: Float[np.ndarray, "others points"],
    estimators: dict[str, Callable],
    splits: int,
    generator: np.random.Generator,
    advance: Callable[[], None],
) -> _Halves:
    half = min(len(ours), len(theirs)) // 2
    points = ours.shape[1]
    drawn = {name: {kind: np.empty((splits, 2)) for kind in STATISTICS} for name in estimators}
    floor = np.zeros(points)
    for split in range(splits):
        one = ours[generator.permutation(len(ours))[:half]]
        order = generator.permutation(len(theirs))
        control, reference = theirs[order[:half]], theirs[order[half : 2 * half]]
        again = generator.integers(points, size=points)
        for name, estimate in estimators.items():
            pair = (estimate(one, reference), estimate(control, reference))
            for kind, statistic in STATISTICS.items():
                drawn[name][kind][split] = [statistic(scores[again]) for scores in pair]
            if name == "histogram":
                floor += pair[1] / splits
        advance()
    return _Halves(drawn, floor)


def _statistic(value: float, drawn: Float[np.ndarray, "splits 2"]) -> Statistic:
    scores, floors = drawn.T
    low, high = _interval(value, scores)
    excess = float(np.mean(scores - floors))
    excess_low, excess_high = _interval(excess, scores - floors)
    return Statistic(
        value=value,
        low=low,
        high=high,
        at_half=float(np.mean(scores)),
        floor=float(np.mean(floors)),
        excess=excess,
        excess_low=excess_low,
        excess_high=excess_high,
    )


def _interval(centre: float, drawn: Float[np.ndarray, " splits"]) -> tuple[float, float]:
    """The centre minus the quantiles of the deviations from their mean (the basic bootstrap)."""
    if not np.isfinite(drawn).all():
        return float("nan"), float("nan")
    tails = 50 * (1 - COVERED), 50 * (1 + COVERED)
    below, above = np.percentile(drawn - np.mean(drawn), tails)
    return float(centre - above), float(centre - below)
