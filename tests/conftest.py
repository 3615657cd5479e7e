"""Tests run in float64; float32 is tested where a test asks for it (``jax.enable_x64(False)``)."""

import gc
from pathlib import Path

import jax
import matplotlib
import pytest

from theory_common import precision

matplotlib.use("Agg")
precision.enable_float64()

REGIONS = Path("/proc/self/maps")
MANY_REGIONS = 20_000  # Linux allows a process 65,530, and each compiled function takes about nine


@pytest.fixture(autouse=True, scope="module")
def room_for_compiled_code():
    """Forget compiled functions between files where they are many: with too many regions of memory XLA's compiler crashes."""
    yield
    if REGIONS.exists() and REGIONS.read_text().count("\n") > MANY_REGIONS:
        jax.clear_caches()
        gc.collect()
