"""Tests run in float64; float32 is tested where a test asks for it (``jax.enable_x64(False)``).

Nearly all of their time is XLA's, which compiles for hundreds of small shapes: they have it optimise little, and less than half of
the time is left. ``XLA_FLAGS= pytest`` (the variable set, and empty) tests what users get by default; ``.ci/run`` does, in part.
"""

import gc
import os
from pathlib import Path

import jax
import matplotlib
import pytest

from theory_common import entry

matplotlib.use("Agg")
entry.enable_float64()
if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = (
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    )
    entry.compile_quickly()

REGIONS = Path("/proc/self/maps")
MANY_REGIONS = 20_000  # Linux allows a process 65,530, and each compiled function takes about nine


@pytest.fixture(autouse=True, scope="module")
def room_for_compiled_code():
    """Forget compiled functions between files where they are many: with too many regions of memory XLA's compiler crashes."""
    yield
    if REGIONS.exists() and REGIONS.read_text().count("\n") > MANY_REGIONS:
        jax.clear_caches()
        gc.collect()
