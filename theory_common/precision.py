"""The working float dtype, decided in one place."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def dtype(*values) -> np.dtype:
    """The float dtype that ``values`` are worked in.

    float64 if JAX's 64-bit mode is on, else float32; float32 too when every *array* among ``values`` that holds
    floats is float32 (Python numbers, lists and integer arrays have no say), so that a caller who chose float32 keeps it.
    """
    default = jax.dtypes.canonicalize_dtype(float)
    chosen = {
        value.dtype
        for value in values
        if hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.floating)
    }
    if chosen and all(candidate.itemsize < default.itemsize for candidate in chosen):
        return np.dtype(np.float32)
    return np.dtype(default)


def working(value, to: np.dtype | None = None) -> Array:
    """``value`` (any real number, list or array) as an array of the dtype ``to``, by default :func:`dtype` of the value."""
    with np.errstate(
        over="ignore"
    ):  # a float64 beyond float32's range becomes inf, and the checks say so; a warning would say less
        return jnp.asarray(value, dtype=dtype(value) if to is None else to)
