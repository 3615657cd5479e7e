"""The working float dtype, decided in one place."""

from collections.abc import Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

# What public functions take as numbers. JAX's type of this name leaves out lists.
ArrayLike: TypeAlias = jax.typing.ArrayLike | Sequence

ENABLE_FLOAT64 = "jax.config.update('jax_enable_x64', True)"


def dtype(*values: object) -> np.dtype:
    """The float dtype for a computation with ``values``.

    It is float64 if JAX's 64-bit mode is on, else float32. If all arrays of floats among ``values``
    are float32, it is float32 as well, so that a caller who chose float32 keeps it. Python numbers,
    lists and integer arrays do not count.
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


def working(value: ArrayLike, to: np.dtype | None = None) -> Array:
    """``value``, a real number, list or array, as an array of the dtype ``to``.

    Without ``to`` the dtype is that of :func:`dtype`.
    """
    to = dtype(value) if to is None else to
    # A float64 beyond float32's range becomes inf. The checks report it, with the remedy.
    with np.errstate(over="ignore"):
        if isinstance(value, Array):
            return jnp.asarray(value, to)
        # jnp.asarray would compile a program for each shape.
        return jax.device_put(np.asarray(value, to))
