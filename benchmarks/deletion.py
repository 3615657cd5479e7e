"""One row deleted by a Newton step against a refit of scikit-learn, with its default solver.

Both run on one core, in CPU seconds. Ours starts from the fitted model, computes a bound on the
distance to the retrained model, and makes a receipt. A refit needs none of this. It stops at its
default tolerance, farther from the minimum.
"""

import copy
import time
from collections.abc import Callable, Iterator

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

import gda_theory as gt
from benchmarks import timing

SAMPLES, DIMENSION, TARGET = 100_000, 50, 10
# The correlation of neighbouring features. Independent ones are the easiest case for lbfgs, which
# then needs six iterations.
CORRELATIONS = {"correlated features": 0.9, "independent features": 0.0}
FORGOTTEN = 7


def data(correlation: float, samples: int = SAMPLES) -> tuple[np.ndarray, np.ndarray]:
    """Features of variance 1, each correlated with the one before it, and labels."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(samples, DIMENSION))
    for column in range(1, DIMENSION):
        new = np.sqrt(1 - correlation**2) * features[:, column]
        features[:, column] = correlation * features[:, column - 1] + new
    weights = rng.normal(size=DIMENSION) / 4
    return features, np.where(features @ weights + rng.logistic(size=samples) > 0, 1, 0)


def cpu_seconds(prepare: Callable[[], Callable[[], object]]) -> float:
    """CPU seconds of the call that ``prepare`` returns, on one core."""
    call = prepare()
    with threadpool_limits(1):
        start = time.process_time()
        call()
        return time.process_time() - start


def row(name: str, correlation: float, samples: int = SAMPLES, turns: int = 7) -> dict:
    """One row of the table."""
    features, labels = data(correlation, samples)
    fitted = gt.ForgettingLogisticRegression().fit(features, labels)
    kept = np.arange(samples) != FORGOTTEN
    features, labels = features[kept], labels[kept]

    def ours() -> Callable[[], object]:
        twin = copy.deepcopy(fitted)
        return lambda: twin.forget([FORGOTTEN])

    def theirs() -> Callable[[], object]:
        return lambda: LogisticRegression().fit(features, labels)

    mine, other = timing.medians(
        lambda: cpu_seconds(ours), lambda: cpu_seconds(theirs), turns=turns
    )
    exact = LogisticRegression(solver="newton-cholesky", tol=1e-12).fit(features, labels)
    far = np.linalg.norm(LogisticRegression().fit(features, labels).coef_ - exact.coef_)
    bound = copy.deepcopy(fitted).forget([FORGOTTEN]).distance_bound_
    return {
        "work": f"one deletion by a Newton step, {samples:,} x {DIMENSION}, {name}",
        "against": "scikit-learn's refit, default solver",
        "ours_seconds": mine,
        "theirs_seconds": other,
        "ratio": other / mine,
        "target": TARGET,
        "limit": f"One pass over the data. Ours ends within {bound:.0e} of the minimum, the refit"
        f" {far:.0e} from it",
    }


def rows() -> Iterator[dict]:
    """Both rows."""
    for name, correlation in CORRELATIONS.items():
        yield row(name, correlation)
