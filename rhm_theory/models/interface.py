"""The methods of a model of sequences, so that one experiment serves all models.

The public functions :func:`rhm_theory.log_evidence`, :func:`rhm_theory.marginals`,
:func:`rhm_theory.sample_posterior`, :func:`rhm_theory.change_moments`,
:func:`rhm_theory.change_correlations` and :func:`rhm_theory.susceptibility` take any model as their
``model``. A :class:`rhm_theory.Grammar` is served by the passes over its tree in
:mod:`rhm_theory.inference`. Every other model has methods of the same names, and the function calls
the method. To add a model, write a class with the methods of :class:`SequenceModel`. A class that
lacks a method works with all functions but that one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float, Int

from theory_common.printing.display import readable


@runtime_checkable
class Moments(Protocol):
    """The entries of ``change_moments`` that an experiment reads.

    ``variance`` is the variance of N, the number of sites that differ from the start.
    ``leaf_variance`` is the sum of the variances of the single sites.
    """

    @property
    def mean(self) -> Float[AnyArray, "*batch"]: ...

    @property
    def variance(self) -> Float[AnyArray, "*batch"]: ...

    @property
    def leaf_changed(self) -> Float[AnyArray, "*batch length"]: ...

    @property
    def leaf_variance(self) -> Float[AnyArray, "*batch"]: ...

    @property
    def susceptibility(self) -> Float[AnyArray, "*batch"]: ...


@readable()
class SiteMoments(NamedTuple):
    """The law of N, the number of sites that differ from the start.

    Attributes:
        mean: of N.
        variance: of N.
        changed: for each site the probability that it differs.
        site_variance: the variance of "site i differs".
    """

    mean: Float[AnyArray, "*batch"]
    variance: Float[AnyArray, "*batch"]
    changed: Float[AnyArray, "*batch length"]
    site_variance: Float[AnyArray, "*batch length"]

    @property
    def leaf_changed(self) -> Float[AnyArray, "*batch length"]:
        """``changed``, under the name that all models have for it."""
        return self.changed

    @property
    def leaf_variance(self) -> Float[AnyArray, "*batch"]:
        """The sum over the sites of their variances."""
        return self.site_variance.sum(-1)

    @property
    def susceptibility(self) -> Float[AnyArray, "*batch"]:
        """Variance of N over the sum of the sites' variances; NaN where nothing can change."""
        return self.variance / self.leaf_variance


@runtime_checkable
class SequenceModel(Protocol):
    """A law of sequences of ``length`` symbols below ``vocabulary``, whose posterior is exact.

    A ``likelihood`` is ``(*batch, length, vocabulary)``, as a noise object gives it. Models of real
    fields have other likelihoods and no vocabulary, and methods of the same names.
    """

    @property
    def length(self) -> int: ...

    @property
    def vocabulary(self) -> int: ...

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Int[AnyArray, "*shape length"]: ...

    def sequences(
        self, name: str, leaves: Int[ArrayLike, "*batch length"]
    ) -> Int[Array, "*batch length"]:
        """``leaves`` as symbols of this model; the error names the argument ``name``."""
        ...

    def log_evidence(self, likelihood: Any) -> Float[AnyArray, "*batch"]: ...

    def marginals(self, likelihood: Any) -> Any: ...

    def sample_posterior(self, key: Array, likelihood: Any, shape: tuple[int, ...] = ()) -> Any: ...

    def change_moments(self, likelihood: Any, start: Any) -> Moments: ...

    def change_correlations(
        self, likelihood: Any, start: Any
    ) -> Float[AnyArray, "*batch length length"]: ...


def verb(model: Any, name: str) -> Callable:
    """The method ``name`` of ``model``; ``TypeError`` that says what is missing if it has none."""
    method = getattr(model, name, None)
    # A class has its methods too, but they belong to no model.
    if isinstance(model, type) or not callable(method):
        raise TypeError(f"model must be a Grammar or have a method {name}, got {describe(model)}")
    return method


def describe(model: Any) -> str:
    """A text for an error: what was given instead of a model."""
    return f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
