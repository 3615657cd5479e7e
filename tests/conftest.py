"""Tests run in float64; float32 is tested where a test asks for it (``jax.enable_x64(False)``)."""

import matplotlib

from theory_common import precision

matplotlib.use("Agg")
precision.enable_float64()
