"""Which runs work, which is the best, and what each defect of a bench changes.

A run *works* if the estimate for normal margins falls by half or more on forgotten rows, and does
not rise above 0.1 on unseen rows, or above what doing nothing has there. All rates and epochs
count. Each function takes the numbers of one set as
:func:`gda_theory.studies.networks.scores.of_set` gives them.
"""

from typing import Any

import numpy as np

from gda_theory.studies.networks.scores import SPLITS

UNHARMED = 0.1
NOISE = 0.05  # a relative fall or rise of mean KLoM that is no noise
GRADIENT_METHODS = ("ascent", "descent-ascent", "fine-tuning", "SCRUB")
METHODS = (*GRADIENT_METHODS, "Newton, last layer", "Newton, network")
FORGET, RETAIN, VALIDATION = range(len(SPLITS))
MEAN, P95, NORMAL = range(3)


def by(found: dict[str, Any], method: str) -> np.ndarray:
    """Which runs are of this method."""
    return np.array([name == method for name in found["method"]])


def works(found: dict[str, Any], method: str) -> np.ndarray:
    """Whether each run of a method works."""
    runs = found["runs"][by(found, method), NORMAL]
    nothing = found["nothing"][NORMAL]
    spared = runs[:, VALIDATION] <= max(UNHARMED, nothing[VALIDATION])
    return (runs[:, FORGET] <= nothing[FORGET] / 2) & spared


def best(found: dict[str, Any], method: str, measure: int = NORMAL) -> np.ndarray:
    """The scores by split of the run with the least sum over forgotten and unseen rows."""
    values = found["runs"][by(found, method), measure]
    return values[np.argmin(values[:, FORGET] + values[:, VALIDATION])]


def verdict(holds: int, total: int) -> str:
    """In words: of ``total`` cases, the claim holds in ``holds``."""
    if holds == total:
        return "holds"
    return "holds in part" if holds else "fails"


def deepest(found: dict[str, Any]) -> tuple[float, float, float, float] | None:
    """Start, least and end of the mean, and the rate, where it falls most and rises again."""
    start = found["nothing"][MEAN].mean()
    courses = []
    for rate in np.unique(found["rate"][by(found, "ascent")]):
        values = found["runs"][by(found, "ascent") & (found["rate"] == rate), MEAN].mean(1)
        if min(start, values[-1]) - values.min() > NOISE * start:
            courses.append((start, values.min(), values[-1], rate))
    return min(courses, key=lambda course: course[1]) if courses else None


def defects(sets: dict[str, Any]) -> dict[str, dict[str, float]]:
    """How far each defect moves P95 of the runs, and the order of runs and of methods.

    ``forget`` and ``validation`` are median absolute changes over all runs, ``largest`` is the
    largest of both. ``tau`` is Kendall's rank correlation of the runs' sums of both, averaged over
    sets. ``other_best`` counts the sets where another method has the best run.
    """
    result = {}
    for defect in next(iter(sets.values()))["defects"]:
        pairs = [found["defects"][defect] for found in sets.values()]
        moved = np.abs(np.concatenate([pair[:, 1] - pair[:, 0] for pair in pairs]))
        sums = [pair[..., FORGET] + pair[..., VALIDATION] for pair in pairs]
        result[defect] = {
            "forget": float(np.median(moved[:, FORGET])),
            "validation": float(np.median(moved[:, VALIDATION])),
            "largest": float(moved[:, [FORGET, VALIDATION]].max()),
            "tau": float(np.mean([_tau(*both.T) for both in sums])),
            "other_best": sum(
                _best_method(found, both[:, 0]) != _best_method(found, both[:, 1])
                for found, both in zip(sets.values(), sums, strict=True)
            ),
        }
    return result


def _tau(first: np.ndarray, second: np.ndarray) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(first, second).statistic)


def _best_method(found: dict[str, Any], values: np.ndarray) -> str:
    allowed = np.array([method in METHODS for method in found["method"]])
    return found["method"][int(np.argmin(np.where(allowed, values, np.inf)))]
