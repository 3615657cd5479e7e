"""What ``import gda_theory`` costs over ``import jax``, in a new interpreter each time."""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks import timing

ALLOWED_SECONDS = 0.3
CODE = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def import_seconds(module: str) -> float:
    """Seconds that ``import module`` takes, by the clock of a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(module)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def rows() -> Iterator[dict]:
    """One row; the target is a difference, not a ratio."""
    ours, theirs = timing.medians(
        lambda: import_seconds("gda_theory"), lambda: import_seconds("jax"), turns=9
    )
    excess = ours - theirs
    yield {
        "work": "import gda_theory",
        "against": "import jax",
        "ours_seconds": ours,
        "theirs_seconds": theirs,
        "ratio": theirs / ours,
        "target": f"+{ALLOWED_SECONDS} s at most",
        "met": excess <= ALLOWED_SECONDS,
        "limit": f"It takes {excess:.3f} s more than JAX alone, which it has to load",
    }
