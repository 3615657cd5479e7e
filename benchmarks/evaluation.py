"""KLoM at many points against the loop over points of a public implementation, in one process."""

from collections.abc import Iterator

import numpy as np

from benchmarks import timing
from gda_theory import evaluation
from gda_theory.evaluation import public

MODELS, POINTS, TARGET = 200, 1_000, 50
# Counting a margin reads it once and adds to one of the point's bins.
BYTES = 8


def rows() -> Iterator[dict]:
    """One row; both scores agree to rounding but at the points whose largest margin is lost."""
    rng = np.random.default_rng(0)
    unlearned, oracle = rng.normal(size=(MODELS, POINTS)), rng.normal(0.3, 1, (MODELS, POINTS))
    found = timing.interleaved(
        lambda: evaluation.histogram(unlearned, oracle),
        lambda: public.easydub(unlearned, oracle),
        turns=5,
    )
    size = 2 * MODELS * POINTS * BYTES / 1e6
    yield {
        "work": f"KLoM of 2 x {MODELS} models at {POINTS:,} points",
        "against": "the public loop over points (NumPy)",
        **found._asdict(),
        "target": TARGET,
        "limit": f"{size:.1f} MB of margins: {size / 1e3 / found.ours_seconds:.1f} GB/s",
    }
