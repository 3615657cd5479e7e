"""Many forget sets in one ranked table, against refits of scikit-learn in a loop.

Refits give only the distance to the retrained model, which is one of the table's columns.
"""

from collections.abc import Iterator

import numpy as np

import gda_theory as gt
from benchmarks import many, timing

ROWS, SETS, FORGOTTEN = 100_000, 1000, 1000
SAMPLE = 5  # refits
EXACT = 3  # paths
TOLERANCE = 1e-8  # of a distance, relative to the weights


def rows() -> Iterator[dict]:
    """One row: the first stage for all sets. Its limit names the cost of the exact paths."""
    problem, forget_sets = many.draw(ROWS, SETS, FORGOTTEN)
    threads = many.threads_that_suit(ROWS, forget_sets)

    def ours(exact: int = 0) -> gt.Ranking:
        return gt.rank(problem, forget_sets, exact=exact)

    def theirs() -> np.ndarray:
        return many.scikit_learn(ROWS, forget_sets[:SAMPLE], threads)

    compiling = timing.compile_seconds(ours)
    _require_agreement(problem, theirs(), ours())
    mine, other = timing.medians(
        lambda: many.seconds_after_a_pause(ours), lambda: timing.seconds(theirs), turns=3
    )
    ours(EXACT)  # compiles
    paths = many.seconds_after_a_pause(lambda: ours(EXACT)) - mine
    seconds = other * SETS / SAMPLE
    yield {
        "work": f"{SETS:,} forget sets ranked, n={ROWS:,}, d={many.DIMENSION},"
        f" {FORGOTTEN:,} rows forgotten each",
        "against": "LogisticRegression(newton-cholesky) refitted in a loop"
        f" (sample of {SAMPLE}, {threads} thread{'s' if threads > 1 else ''})",
        "ours_seconds": mine,
        "theirs_seconds": seconds,
        "ratio": seconds / mine,
        "target": 40,
        "compile_seconds": compiling,
        "limit": "Distances, losses and Newton steps of all sets are exact. First-order estimates"
        f" decide the order of the sets. Each exact path takes {paths / EXACT:.1f} s more",
    }


def _require_agreement(problem: gt.Problem, refitted: np.ndarray, found: gt.Ranking) -> None:
    pretrained = np.asarray(gt.pretrain(problem).weights)
    distances = dict(zip(found.names, found.pretrain_distance, strict=True))
    for number, weights in enumerate(refitted):
        expected = np.linalg.norm(pretrained - weights)
        if abs(distances[f"set {number}"] - expected) > TOLERANCE * np.linalg.norm(weights):
            raise RuntimeError(
                f"set {number}: distance {distances[f'set {number}']:g}, refitted {expected:g}"
            )
