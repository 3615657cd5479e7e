"""Validation of what every kind of problem has: features, forget mask, ridge and weights."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from theory_common import checks
from theory_common.precision import ArrayLike

REDUCTIONS = ("mean", "sum")


def table(features: Array) -> Float[Array, "n d"]:
    """``features`` if they are a table with a row and a column, else ``ValueError``."""
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"features must have shape (n, d) with n, d >= 1, got {features.shape}")
    return features


def weights(weight: Array | None, features: Float[Array, "n d"]) -> Float[Array, " n"]:
    """``sample_weight`` of each row, 1 where none is given."""
    count = len(features)
    if weight is None:
        return jax.device_put(np.ones(count, features.dtype))
    if weight.shape != (count,):
        raise ValueError(
            f"sample_weight must have shape ({count},), one per row of features, got {weight.shape}"
        )
    return checks.nonnegative("sample_weight", weight)


def both_sets(forget: Bool[np.ndarray, " n"], present: Bool[np.ndarray, " n"]) -> None:
    """``ValueError`` unless rows of positive weight, those ``present``, are in both sets."""
    for name, members in (("retain", ~forget), ("forget", forget)):
        if not np.any(members & present):
            why = "no sample" if not np.any(members) else "no sample of positive sample_weight"
            raise ValueError(
                f"forget must leave both sets with samples: the {name} set has {why}"
                f" (n = {len(forget)})"
            )


def ridges(given: ArrayLike, ridge: Array, dimension: int) -> Float[Array, " d"]:
    """One ridge per coordinate, from ``ridge``, which is ``given`` in the working dtype."""
    if ridge.ndim == 0:
        # The value as given: its message knows that float32 rounded it to 0.
        checks.positive("ridge", given)
        ridge = checks.positive("ridge", ridge)
        if checks.is_traced(ridge):
            return jnp.broadcast_to(ridge, (dimension,))
        return jax.device_put(np.full(dimension, ridge))
    if ridge.shape == (dimension,):
        return checks.nonnegative("ridge", ridge)
    raise ValueError(
        f"ridge must be one number or have shape ({dimension},), one per column of features,"
        f" got {ridge.shape}"
    )


def mask(forget: ArrayLike, count: int) -> Bool[Array, " n"]:
    """``forget`` as a boolean array of length ``count``.

    Indices and 0/1 are refused, since each could mean the other.
    """
    array = checks.unless_traced(forget)
    if array.dtype != bool:
        raise TypeError(_no_mask(array, count))
    if array.shape != (count,):
        raise ValueError(
            f"forget must have shape ({count},), one per row of features, got {array.shape}"
        )
    return array if isinstance(array, Array) else jax.device_put(array)


def _no_mask(array: checks.Numbers, count: int) -> str:
    """What to say of a forget set that is no boolean mask."""
    indices = array.dtype.kind in "iu" and array.shape != (count,)
    found = "indices" if indices else "0/1 or other values"
    advice = "True where a sample is to be forgotten"
    if array.dtype.kind in "iuf":
        advice = (
            f"for indices build one with mask = numpy.zeros({count}, bool); mask[indices] = True;"
            " for 0/1 use numpy.asarray(forget) == 1"
        )
    return (
        f"forget must be a boolean mask, not {found}: {advice};"
        f" got dtype {array.dtype} with shape {array.shape}"
    )
