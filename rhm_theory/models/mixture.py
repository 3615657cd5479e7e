r"""A control without a hierarchy: a flat mixture of models.

A component k is drawn with weight :math:`\pi_k`, and then a sequence from its law. There is one
hidden variable and no tree. Let :math:`Z_k` be the evidence of component k. Then

.. math:: Z = \sum_k \pi_k Z_k, \qquad w_k = P(k \mid \text{seen}) = \pi_k Z_k / Z,

and moments follow by conditioning on the component. With :math:`N_k` and :math:`V_k` the mean and
the variance of N in component k, and :math:`c_k` the change probabilities of its sites,

.. math:: \operatorname{Var} N = \sum_k w_k \left[ V_k + (N_k - \bar N)^2 \right], \qquad
          C = \sum_k w_k \left[ C_k + (c_k - \bar c)(c_k - \bar c)^{\mathsf T} \right].

A mixture of independent sites is the flat control that has correlations of all lengths: all sites
depend on the component.

Source: new.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.models import interface
from rhm_theory.models.draws import draw_index
from rhm_theory.models.interface import SequenceModel, SiteMoments
from rhm_theory.models.sites import OfSites, likelihood_of, observed, require_sum_one
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.pytrees import pytree

METHODS = ("log_evidence", "marginals", "sample_posterior", "change_moments", "change_correlations")


@pytree()
@dataclasses.dataclass(frozen=True, eq=False)
class Mixture(OfSites):
    """A flat mixture of models of sequences; made by :func:`mixture`.

    A ``likelihood`` is ``(*batch, length, vocabulary)``, finite and >= 0. Evidence that contradicts
    all components of positive weight has log evidence -inf. Its marginals and moments are NaN, and
    its samples -1. Components of one structure, such as chains of one size, are computed by one
    loop. Time is the sum over the components.

    Attributes:
        components: the models, all of one length and vocabulary.
        weights: of the components; their sum is 1.
    """

    components: tuple[SequenceModel, ...]
    weights: Float[AnyArray, " components"]

    @property
    def length(self) -> int:
        """The number of sites."""
        return self.components[0].length

    @property
    def vocabulary(self) -> int:
        """The number of symbols."""
        return self.components[0].vocabulary

    @property
    def dtype(self) -> Any:
        """The precision of the model."""
        return self.weights.dtype

    @backed_by("flat-mixture-moments")
    def log_evidence(
        self, likelihood: Float[ArrayLike, "*batch length vocabulary"]
    ) -> Float[AnyArray, "*batch"]:
        r""":math:`\ln Z = \ln \sum_k \pi_k Z_k`.

        Args: likelihood: of every site and symbol.
        Returns: -inf, with derivatives 0, where the likelihood contradicts all components.
        Raises: ``TypeError`` or ``ValueError`` that names ``likelihood``.
        Claim: ``flat-mixture-moments``.
        """
        return _log_evidence(self, likelihood_of(self, likelihood))

    @backed_by("flat-mixture-moments")
    def component_posterior(
        self, likelihood: Float[ArrayLike, "*batch length vocabulary"]
    ) -> Float[AnyArray, "*batch components"]:
        """The probability of each component given what was seen; NaN where the evidence is zero.

        Args: likelihood: of every site and symbol.
        Raises: ``TypeError`` or ``ValueError`` that names ``likelihood``.
        Claim: ``flat-mixture-moments``.
        """
        return jnp.moveaxis(_component_posterior(self, likelihood_of(self, likelihood)), 0, -1)

    @backed_by("flat-mixture-moments")
    def marginals(
        self, likelihood: Float[ArrayLike, "*batch length vocabulary"]
    ) -> Float[AnyArray, "*batch length vocabulary"]:
        """Posterior of every site; NaN where the evidence is zero.

        Args: likelihood: of every site and symbol.
        Raises: ``TypeError`` or ``ValueError`` that names ``likelihood``.
        Claim: ``flat-mixture-moments``.
        """
        return _marginals(self, likelihood_of(self, likelihood))

    @backed_by("flat-mixture-moments")
    def sample_posterior(
        self,
        key: Array,
        likelihood: Float[ArrayLike, "*batch length vocabulary"],
        shape: tuple[int, ...] = (),
    ) -> Int[AnyArray, "*samples length"]:
        """Independent exact samples of whole sequences: a component, then its sequence.

        Every component makes a sample, and one of them is taken. So the time is that of samples
        from all components.

        Args:
            key: of the samples.
            likelihood: of every site and symbol.
            shape: how many samples of each entry of the batch.

        Returns: symbols; -1 where the evidence is zero.
        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        Claim: ``flat-mixture-moments``.
        """
        return _sample(
            self,
            checks.key("key", key),
            likelihood_of(self, likelihood),
            shape=checks.sizes("shape", shape),
        )

    @backed_by("flat-mixture-moments")
    def change_moments(
        self,
        likelihood: Float[ArrayLike, "*#batch length vocabulary"],
        start: Int[ArrayLike, "*#batch length"] | Sequence,
    ) -> SiteMoments:
        r"""Exact moments of the number N of changed sites, by the law of total variance.

        .. math:: \operatorname{Var} N = \sum_k w_k \left[ V_k + (N_k - \bar N)^2 \right] .

        Args:
            likelihood: of every site and symbol.
            start: the sequence before the noise.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        Claim: ``flat-mixture-moments``.
        """
        return _moments(self, *observed(self, likelihood, start))

    @backed_by("flat-mixture-moments")
    def change_correlations(
        self,
        likelihood: Float[ArrayLike, "*#batch length vocabulary"],
        start: Int[ArrayLike, "*#batch length"] | Sequence,
    ) -> Float[AnyArray, "*batch length length"]:
        """Covariance matrix of "site i changed", by the law of total covariance.

        Args:
            likelihood: of every site and symbol.
            start: the sequence before the noise.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        Claim: ``flat-mixture-moments``.
        """
        return _correlations(self, *observed(self, likelihood, start))


@backed_by("flat-mixture-moments")
def mixture(
    components: Sequence[SequenceModel],
    weights: Float[ArrayLike, " components"] | Sequence | None = None,
) -> Mixture:
    """A flat mixture of models of sequences.

    Args:
        components: at least one, all of one length and vocabulary: chains, independent sites,
            mixtures, or your own class that is a pytree of JAX.
        weights: >= 0, with sum 1; by default all equal.

    Raises: ``ValueError`` or ``TypeError`` that names the argument.
    Claim: ``flat-mixture-moments``.
    """
    components = tuple(components)
    if not components:
        raise ValueError("components must be at least one model")
    for index, component in enumerate(components):
        for name in METHODS:
            if isinstance(component, type) or not callable(getattr(component, name, None)):
                raise TypeError(
                    f"components[{index}] must have a method {name}, "
                    f"got {interface.describe(component)}"
                )
    sizes = [(component.length, component.vocabulary) for component in components]
    other = next((index for index, size in enumerate(sizes) if size != sizes[0]), None)
    if other is not None:
        raise ValueError(
            "components must agree in (length, vocabulary), "
            f"got {sizes[0]} and, at index {other}, {sizes[other]}"
        )
    count = len(components)
    weights = checks.nonnegative(
        "weights", np.full(count, 1 / count) if weights is None else weights
    )
    if weights.shape != (count,):
        raise ValueError(
            f"weights must be one number for each of {count} components, got shape {weights.shape}"
        )
    require_sum_one("weights", weights)
    return Mixture(components=components, weights=weights)


# --- loops over the components


def _groups(components: tuple) -> list[tuple[np.ndarray, Any]]:
    """The numbers of the components of one structure, and these components stacked."""
    alike: dict[Any, list[int]] = {}
    for index, component in enumerate(components):
        leaves, structure = jax.tree.flatten(component)
        shapes = tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
        alike.setdefault((structure, shapes), []).append(index)
    return [
        (
            np.array(numbers),
            jax.tree.map(lambda *parts: jnp.stack(parts), *map(components.__getitem__, numbers)),
        )
        for numbers in alike.values()
    ]


def _each(model: Mixture, function: Callable[[Any], Any]) -> Any:
    """``function(component)`` for all components, stacked in their order."""
    groups = _groups(model.components)
    found = [jax.lax.map(function, stacked) for _, stacked in groups]
    order = np.argsort(np.concatenate([numbers for numbers, _ in groups]))
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[order], *found)


def _folded(model: Mixture, add: Callable[[Any, Any, Any], Any], start: Any, rows: Any) -> Any:
    """``add(so_far, component, row)`` for all components, with their ``rows``."""
    for numbers, stacked in _groups(model.components):
        mine = jax.tree.map(lambda row, at=numbers: row[at], rows)
        start, _ = jax.lax.scan(
            lambda so_far, one: (add(so_far, *one), None), start, (stacked, mine)
        )
    return start


# --- the posterior, with the components as the first axis


def _log_joint(model: Mixture, likelihood: Array) -> Array:
    """The logarithm of the weight times the evidence of each component."""
    logs = _each(model, lambda component: component.log_evidence(likelihood))
    weights = model.weights.reshape(-1, *(1,) * (logs.ndim - 1))
    return jnp.where(weights > 0, jnp.log(jnp.where(weights > 0, weights, 1)) + logs, -jnp.inf)


@jax.jit
def _log_evidence(model: Mixture, likelihood: Array) -> Array:
    return _log_sum(_log_joint(model, likelihood))


def _log_sum(logs: Array) -> Array:
    """The logarithm of the sum of exponentials, over the components."""
    top = jax.lax.stop_gradient(logs.max(0))
    possible = top > -jnp.inf
    shift = jnp.where(possible, top, 0)
    total = jnp.where(possible, jnp.exp(logs - shift).sum(0), 1)
    return jnp.where(possible, shift + jnp.log(total), -jnp.inf)


@jax.jit
def _component_posterior(model: Mixture, likelihood: Array) -> Array:
    """NaN where the evidence is zero."""
    logs = _log_joint(model, likelihood)
    return jnp.exp(logs - _log_sum(logs))


def _times(weights: Array, value: Array) -> Array:
    """``value`` times the weights, which broadcast from the left; 0 where a weight is 0."""
    weights = weights.reshape(*weights.shape, *(1,) * (value.ndim - weights.ndim))
    return jnp.where(weights == 0, 0, weights * value)


@jax.jit
def _marginals(model: Mixture, likelihood: Array) -> Array:
    weights = _component_posterior(model, likelihood)

    def add(total, component, weight):
        return total + _times(weight, component.marginals(likelihood))

    return _folded(model, add, jnp.zeros_like(likelihood), weights)


@functools.partial(jax.jit, static_argnames="shape")
def _sample(model: Mixture, key: Array, likelihood: Array, *, shape: tuple[int, ...]) -> Array:
    logs = _log_joint(model, likelihood)
    weights = jnp.moveaxis(jnp.exp(logs - _log_sum(logs)), 0, -1)
    batch = (*shape, *likelihood.shape[:-2])
    count = len(model.components)
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(count + 1))
    uniform = jax.random.uniform(keys[-1], batch, likelihood.dtype)
    chosen = draw_index(uniform, jnp.broadcast_to(weights, (*batch, count)))

    def add(taken, component, row):
        index, one = row
        sampled = component.sample_posterior(one, likelihood, shape)
        return jnp.where((chosen == index)[..., None], sampled, taken)

    none = jnp.full((*batch, model.length), -1, jnp.int32)
    taken = _folded(model, add, none, (jnp.arange(count), keys[:-1]))
    return jnp.where(jnp.isneginf(_log_sum(logs))[..., None], -1, taken)


@jax.jit
def _moments(model: Mixture, likelihood: Array, start: Array) -> SiteMoments:
    weights = _component_posterior(model, likelihood)

    def one(component):
        found = component.change_moments(likelihood, start)
        return found.mean, found.variance, found.leaf_changed

    means, variances, changes = _each(model, one)
    mean = _times(weights, means).sum(0)
    changed = _times(weights, changes).sum(0)
    site_variances = changes * (1 - changes) + (changes - changed) ** 2
    return SiteMoments(
        mean=mean,
        variance=_times(weights, variances + (means - mean) ** 2).sum(0),
        changed=changed,
        site_variance=_times(weights, site_variances).sum(0),
    )


@jax.jit
def _correlations(model: Mixture, likelihood: Array, start: Array) -> Array:
    weights = _component_posterior(model, likelihood)
    changes = _each(
        model, lambda component: component.change_moments(likelihood, start).leaf_changed
    )
    apart = changes - _times(weights, changes).sum(0)

    def add(total, component, row):
        weight, apart = row
        within = component.change_correlations(likelihood, start)
        between = apart[..., :, None] * apart[..., None, :]
        return total + _times(weight, within + between)

    none = jnp.zeros((*apart.shape[1:], model.length), likelihood.dtype)
    return _folded(model, add, none, (weights, apart))
