"""Settings of the tests: float64, little optimisation, and a compilation cache on disk.

Float32 is tested where a test asks for it (``jax.enable_x64(False)``). Most of the time of the
tests goes into tracing and compiling functions for hundreds of small shapes, so XLA optimises
little here. ``XLA_FLAGS= pytest`` (the variable set, and empty) tests what users get by default;
``.ci/run`` does so for some files. ``CHECK_TYPES=1 pytest`` executes the annotated shapes.
"""

import gc
import os
from pathlib import Path

import jax
import jaxtyping
import matplotlib
import pytest
from threadpoolctl import threadpool_limits

if os.environ.get("CHECK_TYPES"):  # before the packages are imported
    import tests.typechecking  # noqa: F401

    PACKAGES = ["gda_theory", "rhm_theory", "theory_common"]
    jaxtyping.install_import_hook(PACKAGES, "tests.typechecking.checked")

from theory_common import entry

# Each of the workers has one core. More threads of BLAS wait for each other, and busily: small
# matrices take up to ten times the CPU time.
for library in ("OPENBLAS", "OMP", "MKL"):  # where it is loaded later, or by another process
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
threadpool_limits(int(os.environ["OMP_NUM_THREADS"]))  # where it is loaded already

matplotlib.use("Agg")
entry.enable_float64()
if "XLA_FLAGS" not in os.environ:
    # One part of a program at a time, for the same reason.
    os.environ["XLA_FLAGS"] = "--xla_cpu_parallel_codegen_split_count=1"
    entry.compile_quickly(optimise=False)
entry.keep_compiled_code()
if jax.config.values["jax_persistent_cache_min_compile_time_secs"] == 0:
    # Writing thousands of small functions to the disk takes an eighth of the time of the tests.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)

gc.set_threshold(50_000, 10, 10)  # tracing makes many objects, of which few are garbage

REGIONS = Path("/proc/self/maps")
MANY_REGIONS = 40_000  # Linux allows a process 65,530; a compiled function takes about nine.


def pytest_collection_finish():
    """Let the collector of garbage pass over the modules, which stay."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_functions():
    """Forget compiled functions between files once they are many.

    XLA's compiler crashes when the process has too many regions of memory.
    """
    yield
    if REGIONS.exists() and REGIONS.read_text().count("\n") > MANY_REGIONS:
        jax.clear_caches()
        gc.collect()
