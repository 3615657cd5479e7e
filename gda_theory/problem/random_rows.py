"""Rows drawn at random, the same whatever JAX's settings."""

import numpy as np

from theory_common import checks


def random_forget_set(count: int, size: int, seed: int) -> np.ndarray:
    """A random forget set: what ``random:size`` means with this seed.

    NumPy's generator draws it: ``default_rng(seed).choice(count, size, replace=False)``.

    Args:
        count: the number of rows.
        size: how many of them to draw, without replacement.
        seed: a whole number >= 0 of any size.
    Returns: a boolean mask ``(count,)``.
    Raises: ``TypeError`` or ``ValueError`` that names ``count``, ``size`` or ``seed``.
    """
    count = checks.whole("count", count)
    size = checks.whole("size", size)
    if size > count:
        raise ValueError(f"size must be <= count = {count}, got {size}")
    generator = np.random.default_rng(checks.whole("seed", seed))
    mask = np.zeros(count, bool)
    mask[generator.choice(count, size, replace=False)] = True
    return mask
