"""Sums of many terms, added in one order and with the rounding errors kept."""

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np


def compensated(terms: Iterable[Any]) -> Any:
    """The sum of pytrees of equal shapes, as NumPy arrays; each entry as if by twice the digits.

    The rounding error of each addition is known exactly, and these errors are added up beside the
    sum. So the way in which a sum is split into terms shows in the last digit at most.

    Args:
        terms: at least one; they are added in the order given.
    Raises: ``ValueError`` if there is none, or if shapes differ.
    Source: Knuth's two-sum; Neumaier (1974); Ogita, Rump and Oishi (2005).
    """
    total = errors = structure = None
    for term in terms:
        leaves, structure = jax.tree.flatten(term)
        leaves = [np.asarray(leaf) for leaf in leaves]
        if total is None or errors is None:
            total, errors = leaves, [np.zeros_like(leaf) for leaf in leaves]
            continue
        shapes = [[leaf.shape for leaf in arrays] for arrays in (total, leaves)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"terms must have equal shapes, got {shapes[0]} and {shapes[1]}")
        pairs = [_two_sum(one, other) for one, other in zip(total, leaves, strict=True)]
        total = [sum_ for sum_, _ in pairs]
        errors = [error + new for error, (_, new) in zip(errors, pairs, strict=True)]
    if total is None or errors is None or structure is None:
        raise ValueError("terms must hold at least one term")
    sums = [one + error for one, error in zip(total, errors, strict=True)]
    return jax.tree.unflatten(structure, sums)


def _two_sum(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rounded sum, and its rounding error (0 where an integer or an infinity takes part)."""
    total = one + other
    if total.dtype.kind != "f":
        return total, np.zeros_like(total)
    with np.errstate(invalid="ignore"):
        part = total - one
        error = (one - (total - part)) + (other - part)
    return total, np.where(np.isfinite(error), error, 0)
