r"""A control without a hierarchy: a Markov chain of symbols.

The chain gets the same noise as the leaves of a tree (:mod:`rhm_theory.noise`). Filtering and
smoothing give its posterior exactly, so the forward-backward experiment works as for a grammar. Its
transition matrix fixes its correlation length. So its susceptibility has no peak that grows with
the number of sites.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.models.grammar import symbols_in
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable


@readable()
class ChainMoments(NamedTuple):
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


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True, eq=False)
class MarkovChain:
    """A chain of ``length`` symbols; made by :func:`markov_chain`.

    A ``likelihood`` is ``(*batch, length, vocabulary)``, finite and >= 0, as for the leaves of a
    tree. Evidence that contradicts the chain has log evidence -inf. Its marginals and moments are
    NaN, and its samples -1.

    Attributes:
        transition: ``transition[a, b]`` is the probability of b after a.
        initial: the law of the first site.
        length: the number of sites.
    """

    transition: Float[AnyArray, "*chains vocabulary vocabulary"]
    initial: Float[AnyArray, "*chains vocabulary"]
    length: int

    def tree_flatten(self):
        return (self.transition, self.initial), self.length

    @classmethod
    def tree_unflatten(cls, length, leaves):
        return cls(*leaves, length)

    @property
    def vocabulary(self) -> int:
        """The number of symbols."""
        return self.initial.shape[-1]

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Int[AnyArray, "*shape length"]:
        """Independent sequences.

        Args:
            key: of the samples.
            shape: of the batch.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        """
        batch = checks.sizes("shape", shape)
        everything = jnp.ones((*batch, self.length, self.vocabulary), self.initial.dtype)
        return self.sample_posterior(key, everything)

    def sequences(
        self, name: str, leaves: Int[ArrayLike, "*batch length"] | Sequence
    ) -> Int[Array, "*batch length"]:
        """``leaves`` as symbols of this chain, one for each site; errors call them ``name``."""
        leaves = symbols_in(name, leaves, self.vocabulary)
        if leaves.shape[-1:] != (self.length,):
            raise ValueError(
                f"{name} must have a last axis of {self.length} sites, got shape {leaves.shape}"
            )
        return leaves

    @backed_by("markov-chain-passes")
    def log_evidence(
        self, likelihood: Float[ArrayLike, "*batch length vocabulary"]
    ) -> Float[AnyArray, "*batch"]:
        r""":math:`\ln Z`, the log probability of what was seen, by exact filtering.

        Args: likelihood: of every site and symbol.
        Returns: -inf, with derivatives 0, where the likelihood contradicts the chain.
        Raises: ``TypeError`` or ``ValueError`` that names ``likelihood``.
        Claim: ``markov-chain-passes``.
        """
        return _filter(self, self._likelihood(likelihood)).log_evidence

    @backed_by("markov-chain-passes")
    def marginals(
        self, likelihood: Float[ArrayLike, "*batch length vocabulary"]
    ) -> Float[AnyArray, "*batch length vocabulary"]:
        """Posterior of every site; NaN where the evidence is zero.

        Args: likelihood: of every site and symbol.
        Raises: ``TypeError`` or ``ValueError`` that names ``likelihood``.
        Claim: ``markov-chain-passes``.
        """
        passed = _filter(self, self._likelihood(likelihood))
        return jnp.moveaxis(_smoothed(passed), 0, -2)

    @backed_by("markov-chain-passes")
    def sample_posterior(
        self,
        key: Array,
        likelihood: Float[ArrayLike, "*batch length vocabulary"],
        shape: tuple[int, ...] = (),
    ) -> Int[AnyArray, "*samples length"]:
        """Independent exact samples of whole sequences, by backward sampling.

        Args:
            key: of the samples.
            likelihood: of every site and symbol.
            shape: how many samples of each entry of the batch.

        Returns: symbols; -1 where the evidence is zero.
        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        Claim: ``markov-chain-passes``.
        """
        return _sample_backwards(
            self,
            checks.key("key", key),
            self._likelihood(likelihood),
            shape=checks.sizes("shape", shape),
        )

    @backed_by("markov-chain-passes")
    def change_moments(
        self,
        likelihood: Float[ArrayLike, "*#batch length vocabulary"],
        start: Int[ArrayLike, "*#batch length"] | Sequence,
    ) -> ChainMoments:
        r"""Exact moments of the number N of changed sites, by one filtering and one smoothing pass.

        Let :math:`w(a|b)` be the weight of symbol a before a site with symbol b, given all sites
        before. The conditional mean and variance are
        :math:`N(b) = [b \ne x^0] + \sum_a w N(a)` and
        :math:`V(b) = \sum_a w\,[V(a) + (N(a) - \sum w N)^2]`. All terms are >= 0.

        Args:
            likelihood: of every site and symbol.
            start: the sequence before the noise.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        Claim: ``markov-chain-passes``.
        """
        return _chain_moments(self, *self._observed(likelihood, start))

    @backed_by("markov-chain-passes")
    def change_correlations(
        self,
        likelihood: Float[ArrayLike, "*#batch length vocabulary"],
        start: Int[ArrayLike, "*#batch length"] | Sequence,
    ) -> Float[AnyArray, "*batch length length"]:
        """Covariance matrix of "site i changed".

        Time and memory grow with the square of the length.

        Args:
            likelihood: of every site and symbol.
            start: the sequence before the noise.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        Claim: ``markov-chain-passes``.
        """
        return _chain_correlations(self, *self._observed(likelihood, start))

    def _likelihood(self, likelihood) -> Array:
        likelihood = checks.nonnegative("likelihood", likelihood)
        if likelihood.shape[-2:] != (self.length, self.vocabulary):
            raise ValueError(
                "likelihood must end in (length, vocabulary) = "
                f"{self.length, self.vocabulary}, got shape {likelihood.shape}"
            )
        # The chain's own precision, or more.
        return likelihood.astype(jnp.promote_types(likelihood.dtype, self.transition.dtype))

    def _observed(self, likelihood, start) -> tuple[Array, Array]:
        """Both of one batch shape; the second is True for symbols that differ from the start."""
        likelihood = self._likelihood(likelihood)
        start = self.sequences("start", start)
        checks.common_shape(likelihood=likelihood.shape[:-2], start=start.shape[:-1])
        return _with_differences(likelihood, start)


@backed_by("markov-chain-passes")
def markov_chain(
    transition: Float[ArrayLike, "vocabulary vocabulary"] | Sequence,
    *,
    length: int,
    initial: Float[ArrayLike, " vocabulary"] | Sequence | None = None,
) -> MarkovChain:
    """A chain with ``transition[a, b]`` = P(next is b | a).

    Args:
        transition: square, rows >= 0 that sum to 1.
        length: number of sites, at least 1.
        initial: law of the first site; by default the stationary one, which must be unique.

    Raises: ``ValueError`` or ``TypeError`` that names the argument.
    Claim: ``markov-chain-passes``.
    """
    transition = checks.nonnegative("transition", transition)
    if transition.ndim != 2 or transition.shape[0] != transition.shape[1] or not transition.size:
        raise ValueError(
            "transition must be a square matrix of one symbol or more, "
            f"got shape {transition.shape}"
        )
    _require_sum_one("transition", transition)
    if initial is None:
        initial = _stationary(transition)
    else:
        initial = checks.nonnegative("initial", initial).astype(transition.dtype)
        if initial.shape != transition.shape[:1]:
            raise ValueError(f"initial must have shape {transition.shape[:1]}, got {initial.shape}")
        _require_sum_one("initial", initial)
    length = checks.whole("length", length, least=1)
    return MarkovChain(transition=transition, initial=initial, length=length)


def _stationary(transition: Array) -> Array:
    """The only law that a transition keeps."""
    size = len(transition)
    # Singular unless the law is unique; the added matrix of ones makes the solution sum to 1.
    balance = _balance(transition)
    if not checks.is_traced(balance) and np.linalg.matrix_rank(np.asarray(balance)) < size:
        raise ValueError("transition must have one stationary law, or initial must be given")
    return _kept_by(balance)


@jax.jit
def _balance(transition: Array) -> Array:
    return jnp.eye(len(transition), dtype=transition.dtype) - transition.T + 1


@jax.jit
def _kept_by(balance: Array) -> Array:
    return jnp.maximum(jnp.linalg.solve(balance, jnp.ones(len(balance), balance.dtype)), 0)


@jax.jit
def _with_differences(likelihood: Array, start: Array) -> tuple[Array, Array]:
    """The likelihood, and True for symbols that differ from the start, of one batch shape."""
    differs = start[..., None] != jnp.arange(likelihood.shape[-1])
    likelihood, differs = jnp.broadcast_arrays(likelihood, differs)
    return likelihood, differs


def _require_sum_one(name: str, rows: Array) -> None:
    if checks.is_traced(rows):
        return
    sums = np.asarray(rows).sum(-1)
    excess = np.abs(sums - 1)
    if np.any(excess > 1e3 * np.finfo(rows.dtype).eps):
        raise ValueError(f"{name} must sum to 1, got {sums.flat[excess.argmax()]:g}")


class _Filtered(NamedTuple):
    """The result of the filtering pass.

    Attributes:
        log_evidence: of all sites.
        weights: ``weights[i]`` is P(symbol a at site i | symbol b at i + 1, likelihoods up to i).
        last: the posterior of the last site.
    """

    log_evidence: Array
    weights: Array
    last: Array


@jax.jit
def _filter(chain: MarkovChain, likelihood: Array) -> _Filtered:
    likelihood = jnp.moveaxis(likelihood, -2, 0)

    def normalised(message):
        """And the logarithm of the sum, which has no derivative where the sum is 0."""
        total = message.sum(-1, keepdims=True)
        safe = jnp.where(total == 0, 1, total)
        return message / safe, jnp.where(total == 0, -jnp.inf, jnp.log(safe))[..., 0]

    def body(message, seen):
        joint = message[..., :, None] * chain.transition
        predicted = joint.sum(-2, keepdims=True)
        message, log_total = normalised(predicted[..., 0, :] * seen)
        return message, (joint / jnp.where(predicted > 0, predicted, 1), log_total)

    first, log_first = normalised(chain.initial * likelihood[0])
    last, (weights, logs) = jax.lax.scan(body, first, likelihood[1:])
    log_evidence = log_first + logs.sum(0)
    log_evidence = jnp.where(
        jnp.isneginf(log_evidence), -jnp.inf, log_evidence
    )  # of one site or of all, the derivatives go
    # Contradictory likelihoods leave zeros all along; what they say of the posterior is NaN.
    return _Filtered(
        log_evidence, weights, jnp.where(jnp.isneginf(log_evidence)[..., None], jnp.nan, last)
    )


@jax.jit
def _smoothed(passed: _Filtered) -> Array:
    """Posterior of every site, sites first."""

    def body(after, weights):
        before = jnp.einsum("...ab,...b->...a", weights, after)
        return before, before

    _, sites = jax.lax.scan(body, passed.last, passed.weights, reverse=True)
    return jnp.concatenate([sites, passed.last[None]])


@functools.partial(jax.jit, static_argnames="shape")
def _sample_backwards(
    chain: MarkovChain, key: Array, likelihood: Array, *, shape: tuple[int, ...]
) -> Array:
    passed = _filter(chain, likelihood)
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(chain.length))
    batch = (*shape, *likelihood.shape[:-2])
    impossible = jnp.isneginf(passed.log_evidence)

    def body(after, step):
        weights, key = step
        weights = jnp.broadcast_to(weights, (*batch, *weights.shape[-2:]))
        chosen = jnp.take_along_axis(weights, after[..., None, None], -1)[..., 0]
        before = jax.random.categorical(key, jnp.log(chosen), -1).astype(jnp.int32)
        return before, before

    last = jax.random.categorical(keys[-1], jnp.log(passed.last), -1, shape=batch).astype(jnp.int32)
    _, sites = jax.lax.scan(body, last, (passed.weights, keys[:-1]), reverse=True)
    return jnp.where(
        impossible[..., None], -1, jnp.moveaxis(jnp.concatenate([sites, last[None]]), 0, -1)
    )


@jax.jit
def _chain_moments(chain: MarkovChain, likelihood: Array, differs: Array) -> ChainMoments:
    passed = _filter(chain, likelihood)
    changes = jnp.moveaxis(differs, -2, 0).astype(likelihood.dtype)
    sites = _smoothed(passed)

    def mixed(weights, mean, variance):
        """Mean and variance of a mixture over the symbol before."""
        centre = jnp.einsum("...ab,...a->...b", weights, mean)
        spread = (mean[..., :, None] - centre[..., None, :]) ** 2 + variance[..., :, None]
        return centre, (weights * spread).sum(-2)

    def body(state, step):
        weights, change = step
        centre, variance = mixed(weights, *state)
        return (change + centre, variance), None

    (mean, variance), _ = jax.lax.scan(
        body, (changes[0], jnp.zeros_like(changes[0])), (passed.weights, changes[1:])
    )
    mean, variance = mixed(passed.last[..., :, None], mean, variance)
    changed = (sites * changes).sum(-1)
    return ChainMoments(
        mean=mean[..., 0],
        variance=variance[..., 0],
        changed=jnp.moveaxis(changed, 0, -1),
        site_variance=jnp.moveaxis(changed * (sites * (1 - changes)).sum(-1), 0, -1),
    )


@jax.jit
def _chain_correlations(chain: MarkovChain, likelihood: Array, differs: Array) -> Array:
    passed = _filter(chain, likelihood)
    changes = jnp.moveaxis(differs, -2, 0).astype(likelihood.dtype)
    sites = _smoothed(passed)
    mean = jnp.moveaxis((sites * changes).sum(-1), 0, -1)
    weights = jnp.concatenate(
        [jnp.zeros((1, *passed.weights.shape[1:]), passed.weights.dtype), passed.weights]
    )

    def body(expected, step):
        """``expected[i, b]``: P(site i changed | symbol b here) for the sites up to this one."""
        site, weights, change, posterior = step
        expected = jnp.einsum("...ab,...ia->...ib", weights, expected)
        expected = expected.at[..., site, :].set(change)
        return expected, jnp.einsum(
            "...b,...ib->...i", posterior * change, expected - mean[..., None]
        )

    steps = jnp.arange(chain.length), weights, changes, sites
    _, rows = jax.lax.scan(body, jnp.zeros_like(likelihood), steps)
    lower = jnp.tril(jnp.moveaxis(rows, 0, -2))
    return lower + jnp.swapaxes(jnp.tril(lower, -1), -1, -2)
