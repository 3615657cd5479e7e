"""Checked arguments of a model of sequences: symbols, one for each site, and their likelihood."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike, Bool, Float, Int

from rhm_theory.models.grammar import symbols_in
from rhm_theory.models.interface import SequenceModel
from theory_common import checks


def sites_in(
    name: str, leaves: Int[ArrayLike, "*batch length"] | Sequence, length: int, vocabulary: int
) -> Int[Array, "*batch length"]:
    """``leaves`` as symbols below ``vocabulary``, one for each of ``length`` sites.

    Raises: ``TypeError`` or ``ValueError`` that calls the argument ``name``.
    """
    symbols = symbols_in(name, leaves, vocabulary)
    if symbols.shape[-1:] != (length,):
        raise ValueError(
            f"{name} must have a last axis of {length} sites, got shape {symbols.shape}"
        )
    return symbols


def likelihood_of(
    model: SequenceModel, likelihood: Any, dtype: Any
) -> Float[Array, "*batch length vocabulary"]:
    """``likelihood`` if it fits the model, in the precision ``dtype`` of the model or more.

    Raises: ``TypeError`` or ``ValueError`` that names ``likelihood``.
    """
    likelihood = checks.nonnegative("likelihood", likelihood)
    if likelihood.shape[-2:] != (model.length, model.vocabulary):
        raise ValueError(
            "likelihood must end in (length, vocabulary) = "
            f"{model.length, model.vocabulary}, got shape {likelihood.shape}"
        )
    return likelihood.astype(jnp.promote_types(likelihood.dtype, dtype))


def with_differences(
    model: SequenceModel, likelihood: Float[Array, "*#batch length vocabulary"], start: Any
) -> tuple[Float[Array, "*batch length vocabulary"], Bool[Array, "*batch length vocabulary"]]:
    """The likelihood, and True for symbols that differ from the start, of one batch shape.

    Raises: ``TypeError`` or ``ValueError`` that names ``start``.
    """
    start = model.sequences("start", start)
    checks.common_shape(likelihood=likelihood.shape[:-2], start=start.shape[:-1])
    return _with_differences(likelihood, start)


def require_sum_one(name: str, rows: Float[Array, "*laws choices"]) -> None:
    """``ValueError`` that names the argument unless each row sums to 1; traced rows pass."""
    if checks.is_traced(rows):
        return
    sums = np.asarray(rows).sum(-1)
    excess = np.abs(sums - 1)
    if np.any(excess > 1e3 * np.finfo(rows.dtype).eps):
        raise ValueError(f"{name} must sum to 1, got {sums.flat[excess.argmax()]:g}")


@jax.jit
def _with_differences(likelihood: Array, start: Array) -> tuple[Array, Array]:
    differs = start[..., None] != jnp.arange(likelihood.shape[-1])
    likelihood, differs = jnp.broadcast_arrays(likelihood, differs)
    return likelihood, differs
