r"""A control without a hierarchy: a hidden Markov chain, with exact inference.

A chain of hidden states :math:`z_1, z_2, \dots` emits one symbol at each site. With
:math:`T(a,b)` = P(next state is b | a) and :math:`E_i(a,x)` = P(symbol x at site i | state a),

.. math:: P(x) = \sum_z p(z_1)\, E_1(z_1, x_1) \prod_{i>1} T(z_{i-1}, z_i)\, E_i(z_i, x_i).

Noise is the same as on the leaves of a tree (:mod:`rhm_theory.noise`). One pass over the states
forwards and one backwards give the posterior exactly. So the forward-backward experiment works as
for a grammar. The transition fixes a correlation length, so the susceptibility has no peak that
grows with the number of sites, as long as the states mix. Chains are made by the functions of
:mod:`rhm_theory.models.chains`.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.models.draws import draw_index
from rhm_theory.models.interface import SiteMoments
from rhm_theory.models.sites import OfSites, likelihood_of, observed
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.pytrees import pytree


@pytree(static=("length",))
@dataclasses.dataclass(frozen=True, eq=False)
class HiddenMarkov(OfSites):
    """A hidden Markov chain of ``length`` sites; made by :func:`rhm_theory.controls.hidden_markov`.

    A ``likelihood`` is ``(*batch, length, vocabulary)``, finite and >= 0, as for the leaves of a
    tree. Evidence that contradicts the chain has log evidence -inf. Its marginals and moments are
    NaN, and its samples -1.

    Attributes:
        transition: ``transition[a, b]`` is the probability of state b after state a.
        initial: the law of the first state.
        emission: ``emission[i, a, x]`` is the probability of symbol x at site i in state a. The
            first axis has one entry if all sites have the same law.
        length: the number of sites.
    """

    transition: Float[AnyArray, "*chains states states"]
    initial: Float[AnyArray, "*chains states"]
    emission: Float[AnyArray, "*chains sites states vocabulary"]
    length: int

    @property
    def vocabulary(self) -> int:
        """The number of symbols."""
        return self.emission.shape[-1]

    @property
    def dtype(self) -> Any:
        """The precision of the model."""
        return self.transition.dtype

    @backed_by("hidden-markov-passes")
    def log_evidence(
        self, likelihood: Float[ArrayLike, "*batch length vocabulary"]
    ) -> Float[AnyArray, "*batch"]:
        r""":math:`\ln Z`, the log probability of what was seen, by exact filtering.

        Args: likelihood: of every site and symbol.
        Returns: -inf, with derivatives 0, where the likelihood contradicts the chain.
        Raises: ``TypeError`` or ``ValueError`` that names ``likelihood``.
        Claim: ``hidden-markov-passes``.
        """
        return _filter(self, likelihood_of(self, likelihood)).log_evidence

    @backed_by("hidden-markov-passes")
    def marginals(
        self, likelihood: Float[ArrayLike, "*batch length vocabulary"]
    ) -> Float[AnyArray, "*batch length vocabulary"]:
        """Posterior of every site; NaN where the evidence is zero.

        Args: likelihood: of every site and symbol.
        Raises: ``TypeError`` or ``ValueError`` that names ``likelihood``.
        Claim: ``hidden-markov-passes``.
        """
        return _marginals(self, likelihood_of(self, likelihood))

    @backed_by("hidden-markov-passes")
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
        Claim: ``hidden-markov-passes``.
        """
        return _sample_backwards(
            self,
            checks.key("key", key),
            likelihood_of(self, likelihood),
            shape=checks.sizes("shape", shape),
        )

    @backed_by("hidden-markov-passes")
    def change_moments(
        self,
        likelihood: Float[ArrayLike, "*#batch length vocabulary"],
        start: Int[ArrayLike, "*#batch length"] | Sequence,
    ) -> SiteMoments:
        r"""Exact moments of the number N of changed sites, by one pass each way.

        Let :math:`w(a|b)` be the weight of state a before a site with state b, given all sites
        before. Let :math:`c(b)` be the probability that the symbol of a site in state b differs
        from the start. The conditional mean and variance are :math:`N(b) = c(b) + \sum_a w N(a)`
        and :math:`V(b) = c(b)(1 - c(b)) + \sum_a w\,[V(a) + (N(a) - \sum w N)^2]`. All terms are
        >= 0.

        Args:
            likelihood: of every site and symbol.
            start: the sequence before the noise.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        Claim: ``hidden-markov-passes``.
        """
        return _moments(self, *observed(self, likelihood, start))

    @backed_by("hidden-markov-passes")
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
        Claim: ``hidden-markov-passes``.
        """
        return _correlations(self, *observed(self, likelihood, start))


# --- the passes, with the sites as the first axis of every array


class _Filtered(NamedTuple):
    """The result of the pass forwards.

    Attributes:
        log_evidence: of all sites.
        given: ``given[i]`` is P(state at site i | likelihoods up to i).
        predicted: ``predicted[i]`` is P(state at site i + 1 | likelihoods up to i).
        last: the posterior of the last state; NaN where the evidence is zero.
    """

    log_evidence: Array
    given: Array
    predicted: Array
    last: Array


class _Changes(NamedTuple):
    """The probability that a site's symbol differs from the start, and that it does not.

    Both are given the state of the site.
    """

    changed: Array
    kept: Array


@jax.jit
def _filter(chain: HiddenMarkov, likelihood: Array) -> _Filtered:
    seen = _by_state(chain, likelihood)

    def normalised(message):
        """And the logarithm of the sum, which has no derivative where the sum is 0."""
        total = message.sum(-1, keepdims=True)
        safe = jnp.where(total == 0, 1, total)
        return message / safe, jnp.where(total == 0, -jnp.inf, jnp.log(safe))[..., 0]

    def body(message, seen):
        predicted = message @ chain.transition
        message, log_total = normalised(predicted * seen)
        return message, (message, predicted, log_total)

    first, log_first = normalised(chain.initial * seen[0])
    last, (others, predicted, logs) = jax.lax.scan(body, first, seen[1:])
    log_evidence = log_first + logs.sum(0)
    # Of one site or of all: the derivatives go.
    log_evidence = jnp.where(jnp.isneginf(log_evidence), -jnp.inf, log_evidence)
    # Contradictory likelihoods leave zeros all along; what they say of the posterior is NaN.
    return _Filtered(
        log_evidence,
        jnp.concatenate([first[None], others]),
        predicted,
        jnp.where(jnp.isneginf(log_evidence)[..., None], jnp.nan, last),
    )


def _by_state(chain: HiddenMarkov, weights: Array) -> Array:
    """The sum over the symbols of emission times ``weights``, for each site and state."""
    return jnp.einsum("...ix,izx->i...z", weights, _emission(chain))


def _emission(chain: HiddenMarkov) -> Array:
    return jnp.broadcast_to(chain.emission, (chain.length, *chain.emission.shape[1:]))


def _over(numerator: Array, denominator: Array) -> Array:
    """The quotient, where a denominator of 0 has a numerator of 0 or NaN, which stays."""
    return numerator / jnp.where(denominator > 0, denominator, 1)


def _smoothed(chain: HiddenMarkov, passed: _Filtered) -> Array:
    """Posterior of the state of every site."""

    def body(after, step):
        given, predicted = step
        before = given * (_over(after, predicted) @ chain.transition.T)
        return before, before

    steps = passed.given[:-1], passed.predicted
    _, states = jax.lax.scan(body, passed.last, steps, reverse=True)
    return jnp.concatenate([states, passed.last[None]])


@jax.jit
def _marginals(chain: HiddenMarkov, likelihood: Array) -> Array:
    states = _smoothed(chain, _filter(chain, likelihood))
    share = _over(states, _by_state(chain, likelihood))
    return likelihood * jnp.einsum("i...z,izx->...ix", share, _emission(chain))


@functools.partial(jax.jit, static_argnames="shape")
def _sample_backwards(
    chain: HiddenMarkov, key: Array, likelihood: Array, *, shape: tuple[int, ...]
) -> Array:
    passed = _filter(chain, likelihood)
    batch = (*shape, *likelihood.shape[:-2])
    uniform = jax.random.uniform(key, (2, chain.length, *batch), likelihood.dtype)
    to_state = chain.transition.T

    def body(after, step):
        given, uniform = step
        before = draw_index(uniform, given * to_state[after])
        return before, before

    last = draw_index(uniform[0, -1], jnp.broadcast_to(passed.last, (*batch, len(to_state))))
    _, others = jax.lax.scan(body, last, (passed.given[:-1], uniform[0, :-1]), reverse=True)
    states = jnp.concatenate([others, last[None]])
    emitted = jax.vmap(lambda law, state: law[state])(_emission(chain), states)
    seen = likelihood.reshape(*(1,) * len(shape), *likelihood.shape)
    symbols = draw_index(uniform[1], emitted * jnp.moveaxis(seen, -2, 0))
    impossible = jnp.isneginf(passed.log_evidence)
    return jnp.where(impossible[..., None], -1, jnp.moveaxis(symbols, 0, -1))


def _changes(chain: HiddenMarkov, likelihood: Array, start: Array) -> _Changes:
    differs = start[..., None] != jnp.arange(chain.vocabulary)
    whole = _by_state(chain, likelihood)
    return _Changes(
        changed=_over(_by_state(chain, likelihood * differs), whole),
        kept=_over(_by_state(chain, likelihood * ~differs), whole),
    )


@jax.jit
def _moments(chain: HiddenMarkov, likelihood: Array, start: Array) -> SiteMoments:
    passed = _filter(chain, likelihood)
    changed, kept = _changes(chain, likelihood, start)
    states = _smoothed(chain, passed)

    def mixed(weights, mean, variance):
        """Mean and variance of a mixture over the state before, of weights ``[before, here]``."""
        centre = jnp.einsum("...ab,...a->...b", weights, mean)
        spread = (mean[..., :, None] - centre[..., None, :]) ** 2 + variance[..., :, None]
        return centre, (weights * spread).sum(-2)

    def body(state, step):
        given, predicted, changed, kept = step
        weights = _over(given[..., :, None] * chain.transition, predicted[..., None, :])
        centre, variance = mixed(weights, *state)
        return (changed + centre, changed * kept + variance), None

    first = changed[0], changed[0] * kept[0]
    steps = passed.given[:-1], passed.predicted, changed[1:], kept[1:]
    (mean, variance), _ = jax.lax.scan(body, first, steps)
    mean, variance = mixed(passed.last[..., :, None], mean, variance)
    site_changed = (states * changed).sum(-1)
    site_variance = site_changed * (states * kept).sum(-1)
    return SiteMoments(
        mean=mean[..., 0],
        variance=variance[..., 0],
        changed=jnp.moveaxis(site_changed, 0, -1),
        site_variance=jnp.moveaxis(site_variance, 0, -1),
    )


@jax.jit
def _correlations(chain: HiddenMarkov, likelihood: Array, start: Array) -> Array:
    passed = _filter(chain, likelihood)
    changed, kept = _changes(chain, likelihood, start)
    states = _smoothed(chain, passed)
    mean = jnp.moveaxis((states * changed).sum(-1), 0, -1)
    variance = mean * jnp.moveaxis((states * kept).sum(-1), 0, -1)

    def body(expected, step):
        """``expected[i, b]``: P(site i changed | state b here) for the sites before this one."""
        site, state, changed, given, predicted = step
        row = jnp.einsum("...b,...ib->...i", state * changed, expected - mean[..., None])
        expected = expected.at[..., site, :].set(changed)
        moved = (given[..., None, :] * expected) @ chain.transition
        return _over(moved, predicted[..., None, :]), row

    after_last = jnp.ones_like(passed.given[:1])
    predicted = jnp.concatenate([passed.predicted, after_last])
    steps = jnp.arange(chain.length), states, changed, passed.given, predicted
    none = jnp.zeros((*variance.shape, states.shape[-1]), variance.dtype)
    _, rows = jax.lax.scan(body, none, steps)
    lower = jnp.tril(jnp.moveaxis(rows, 0, -2), -1)
    alone = variance[..., None] * jnp.eye(chain.length, dtype=variance.dtype)
    return lower + jnp.swapaxes(lower, -1, -2) + alone
