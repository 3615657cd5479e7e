"""What models of symbols at sites share: samples without evidence, and checked arguments."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.models.grammar import symbols_in
from theory_common import checks


@runtime_checkable
class Sites(Protocol):
    """A law of ``length`` symbols below ``vocabulary``, computed in the precision ``dtype``."""

    @property
    def length(self) -> int: ...

    @property
    def vocabulary(self) -> int: ...

    @property
    def dtype(self) -> Any: ...

    def sample_posterior(self, key: Array, likelihood: Any, shape: tuple[int, ...] = ()) -> Any: ...


class OfSites:
    """The methods that do not depend on how a model of :class:`Sites` is computed."""

    def sample(
        self: Sites, key: Array, shape: tuple[int, ...] = ()
    ) -> Int[AnyArray, "*shape length"]:
        """Independent sequences.

        Args:
            key: of the samples.
            shape: of the batch.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        """
        batch = checks.sizes("shape", shape)
        everything = jnp.ones((self.length, self.vocabulary), self.dtype)
        return self.sample_posterior(key, everything, batch)

    def sequences(
        self: Sites, name: str, leaves: Int[ArrayLike, "*batch length"] | Sequence
    ) -> Int[Array, "*batch length"]:
        """``leaves`` as symbols of this model, one for each site.

        Raises: ``TypeError`` or ``ValueError`` that calls the argument ``name``.
        """
        return sites_in(self, name, leaves)


def sites_in(
    model: Sites, name: str, leaves: Int[ArrayLike, "*batch length"] | Sequence
) -> Int[Array, "*batch length"]:
    """``leaves`` as symbols of the model, one for each site.

    Raises: ``TypeError`` or ``ValueError`` that calls the argument ``name``.
    """
    symbols = symbols_in(name, leaves, model.vocabulary)
    if symbols.shape[-1:] != (model.length,):
        raise ValueError(
            f"{name} must have a last axis of {model.length} sites, got shape {symbols.shape}"
        )
    return symbols


def likelihood_of(model: Sites, likelihood: Any) -> Float[Array, "*batch length vocabulary"]:
    """``likelihood`` if it fits the model, in the precision of the model or more.

    Raises: ``TypeError`` or ``ValueError`` that names ``likelihood``.
    """
    likelihood = checks.nonnegative("likelihood", likelihood)
    if likelihood.shape[-2:] != (model.length, model.vocabulary):
        raise ValueError(
            "likelihood must end in (length, vocabulary) = "
            f"{model.length, model.vocabulary}, got shape {likelihood.shape}"
        )
    return likelihood.astype(jnp.promote_types(likelihood.dtype, model.dtype))


def observed(
    model: Sites, likelihood: Any, start: Any
) -> tuple[Float[Array, "*batch length vocabulary"], Int[Array, "*batch length"]]:
    """The likelihood and the start, of one batch shape.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    likelihood = likelihood_of(model, likelihood)
    start = sites_in(model, "start", start)
    checks.common_shape(likelihood=likelihood.shape[:-2], start=start.shape[:-1])
    return _of_one_batch(likelihood, start)


def require_sum_one(name: str, rows: Float[Array, "*laws choices"]) -> None:
    """``ValueError`` that names the argument unless each row sums to 1; traced rows pass."""
    if checks.is_traced(rows):
        return
    sums = np.asarray(rows).sum(-1)
    excess = np.abs(sums - 1)
    if np.any(excess > 1e3 * np.finfo(rows.dtype).eps):
        raise ValueError(f"{name} must sum to 1, got {sums.flat[excess.argmax()]:g}")


@jax.jit
def _of_one_batch(likelihood: Array, start: Array) -> tuple[Array, Array]:
    batch = jnp.broadcast_shapes(likelihood.shape[:-2], start.shape[:-1])
    return (
        jnp.broadcast_to(likelihood, (*batch, *likelihood.shape[-2:])),
        jnp.broadcast_to(start, (*batch, start.shape[-1])),
    )
