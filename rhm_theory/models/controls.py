r"""Controls: data with correlations of every length, or of one, but without a hierarchy. Their susceptibility has no peak inside.

* :func:`gaussian_field`: a Gaussian field on a ring with a power-law spectrum, noised to :math:`x_t = \sqrt{1-\sigma^2}\, x_0 + \sigma z`.
* :func:`markov_chain`: a chain of symbols under the same forward processes as the leaves of a tree (:mod:`rhm_theory.noise.likelihood`).

Both know their posterior exactly, so that the forward-backward experiment is measured on them as on a grammar. ``noise`` is the variance
:math:`\sigma^2 = 1 - \bar\alpha` in [0, 1] for the field; for the chain it is in the likelihood.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Float, Int

from rhm_theory.models.grammar import symbols_in
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable


@readable()
class FieldResponse(NamedTuple):
    """Covariance of the change x0_hat - x0 at a given start: by ``modes`` k = 0..length//2, by distance ``covariance`` r = 0..length-1.

    The covariance does not depend on the start; ``susceptibility`` is the sum over pairs over the sum over sites.
    """

    modes: Float[AnyArray, "*batch modes"]
    covariance: Float[AnyArray, "*batch length"]
    susceptibility: Float[AnyArray, "*batch"]


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True, eq=False)
class GaussianField:
    """A stationary Gaussian field of unit variance on a ring of ``length`` sites; made by :func:`gaussian_field`.

    ``spectrum`` is the variance of mode k = 0 .. length//2, whose mean over all ``length`` modes is 1.
    """

    spectrum: Float[AnyArray, " modes"]
    length: int

    def tree_flatten(self):
        return (self.spectrum,), self.length

    @classmethod
    def tree_unflatten(cls, length, leaves):
        return cls(*leaves, length)

    @backed_by("gaussian-control-response", "gaussian-control-monotone")
    def response(self, noise) -> FieldResponse:
        r"""What changes, in closed form, at each ``noise`` (any batch shape).

        .. math:: C(k) = \sigma^2 S_k \frac{2\bar\alpha S_k + \sigma^2}{(\bar\alpha S_k + \sigma^2)^2}, \qquad
            \chi = C(0) / \operatorname{mean}_k C(k).

        With :math:`u = \bar\alpha S_k/\sigma^2`, :math:`C \propto u(2u+1)/(u+1)^2`, whose logarithmic slope falls with u: where the
        spectrum is largest at k = 0, the susceptibility grows monotonically, from 1 (its limit at zero noise) to
        :math:`S_0/\operatorname{mean} S` at noise 1: no peak. Accuracy: a few eps, nothing cancels. Source: new.
        Claims: ``gaussian-control-response``, ``gaussian-control-monotone``.
        """
        noise = _noise(noise)[..., None]
        signal = (1 - noise) * self.spectrum
        per_noise = self.spectrum * (2 * signal + noise) / (signal + noise) ** 2
        return FieldResponse(
            modes=noise * per_noise,
            covariance=noise * jnp.fft.irfft(per_noise, self.length),
            susceptibility=per_noise[..., 0] / _mean_over_modes(per_noise, self.length),
        )

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[AnyArray, "*shape length"]:
        """Fields of batch ``shape``."""
        key, shape = checks.key("key", key), checks.sizes("shape", shape)
        return self._filtered(
            jax.random.normal(key, (*shape, self.length), self.spectrum.dtype),
            jnp.sqrt(self.spectrum),
        )

    def forward(self, key: Array, start, noise) -> Float[AnyArray, "*batch length"]:
        r"""The noised field :math:`x_t = \sqrt{1-\sigma^2}\, x_0 + \sigma z`; ``noise`` broadcasts against the batch of ``start``."""
        key, (noise, start) = checks.key("key", key), self._noised("start", start, noise)
        shape = jnp.broadcast_shapes(start.shape, noise.shape)
        return jnp.sqrt(1 - noise) * start + jnp.sqrt(noise) * jax.random.normal(
            key, shape, start.dtype
        )

    @backed_by("gaussian-control-response")
    def sample_posterior(self, key: Array, noised, noise) -> Float[AnyArray, "*batch length"]:
        """One exact sample of the clean field given each ``noised`` one. Claim: ``gaussian-control-response``."""
        key, (noise, noised) = checks.key("key", key), self._noised("noised", noised, noise)
        total = (1 - noise) * self.spectrum + noise
        mean = self._filtered(noised, jnp.sqrt(1 - noise) * self.spectrum / total)
        white = jax.random.normal(key, mean.shape, mean.dtype)
        return mean + self._filtered(white, jnp.sqrt(self.spectrum * noise / total))

    def _filtered(self, field: Array, gain: Array) -> Array:
        return jnp.fft.irfft(gain * jnp.fft.rfft(field), self.length)

    def _noised(self, name: str, field, noise) -> tuple[Array, Array]:
        """``noise``, with an axis for the sites, and ``field``."""
        values = checks.reals(noise=noise, **{name: field})
        noise, field = _noise(values["noise"]), checks.finite(name, values[name])
        if field.shape[-1:] != (self.length,):
            raise ValueError(
                f"{name} must have a last axis of {self.length} sites, got shape {field.shape}"
            )
        checks.common_shape(**{name: field.shape[:-1]}, noise=noise.shape)
        return noise[..., None], field


@backed_by("gaussian-control-decay")
def gaussian_field(length: int, decay) -> GaussianField:
    r"""A field with :math:`S_k \propto k^{-decay}` at the wave numbers :math:`k = 2\pi j/length`, and :math:`S_0 = S_1`.

    For 0 < decay < 1 its correlations fall with the distance like :math:`r^{-(1-decay)}`; 0 is white noise.
    Claim: ``gaussian-control-decay``.

    Args: length: sites, >= 2. decay: one number, finite and >= 0.
    Raises: ``ValueError`` or ``TypeError`` naming the argument.
    """
    length, decay = (
        checks.whole("length", length, least=2),
        checks.nonnegative("decay", checks.one("decay", decay)),
    )
    wave = jnp.maximum(jnp.arange(length // 2 + 1, dtype=decay.dtype), 1)
    spectrum = wave**-decay
    return GaussianField(spectrum / _mean_over_modes(spectrum, length), length)


@readable()
class ChainMoments(NamedTuple):
    """Law of N, the number of sites that differ from the start: ``mean``, ``variance``, and P(changed) and variance of each site."""

    mean: Float[AnyArray, "*batch"]
    variance: Float[AnyArray, "*batch"]
    changed: Float[AnyArray, "*batch length"]
    site_variance: Float[AnyArray, "*batch length"]

    @property
    def susceptibility(self) -> Float[AnyArray, "*batch"]:
        """Variance of N over the sum of the sites' variances; NaN where nothing can change."""
        return self.variance / self.site_variance.sum(-1)


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True, eq=False)
class MarkovChain:
    """A chain of ``length`` symbols; made by :func:`markov_chain`. Likelihoods are ``(*batch, length, vocabulary)``, as for leaves."""

    transition: Float[AnyArray, "vocabulary vocabulary"]
    initial: Float[AnyArray, " vocabulary"]
    length: int

    def tree_flatten(self):
        return (self.transition, self.initial), self.length

    @classmethod
    def tree_unflatten(cls, length, leaves):
        return cls(*leaves, length)

    @property
    def vocabulary(self) -> int:
        """Symbols."""
        return self.initial.shape[-1]

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Int[AnyArray, "*shape length"]:
        """Chains of batch ``shape``."""
        everything = jnp.ones(
            (*checks.sizes("shape", shape), self.length, self.vocabulary), self.initial.dtype
        )
        return self.sample_posterior(key, everything)

    @backed_by("markov-chain-passes")
    def log_evidence(self, likelihood) -> Float[AnyArray, "*batch"]:
        """log Z of each likelihood, by exact filtering; -inf, with derivatives 0, where it contradicts the chain.

        Claim: ``markov-chain-passes``.
        """
        return _filter(self, self._likelihood(likelihood)).log_evidence

    @backed_by("markov-chain-passes")
    def marginals(self, likelihood) -> Float[AnyArray, "*batch length vocabulary"]:
        """Posterior of every site; NaN where the evidence is zero. Claim: ``markov-chain-passes``."""
        passed = _filter(self, self._likelihood(likelihood))
        return jnp.moveaxis(_smoothed(passed), 0, -2)

    @backed_by("markov-chain-passes")
    def sample_posterior(
        self, key: Array, likelihood, shape: tuple[int, ...] = ()
    ) -> Int[AnyArray, "*batch length"]:
        """Exact joint samples by backward sampling, of shape (*shape, *batch, length); -1 where the evidence is zero.

        Claim: ``markov-chain-passes``.
        """
        return _sample_posterior(
            self,
            checks.key("key", key),
            self._likelihood(likelihood),
            shape=checks.sizes("shape", shape),
        )

    @backed_by("markov-chain-passes")
    def change_moments(self, likelihood, start) -> ChainMoments:
        r"""Exact moments of the number of changed sites, by one filtering and one smoothing pass.

        With weights :math:`w(a|b)` of the symbol before a site with symbol b, given all before, the conditional mean and variance are
        :math:`N(b) = [b \ne x^0] + \sum_a w N(a)` and :math:`V(b) = \sum_a w\,[V(a) + (N(a) - \sum w N)^2]`: all terms are >= 0.
        Claim: ``markov-chain-passes``.
        """
        return _chain_moments(self, *self._observed(likelihood, start))

    @backed_by("markov-chain-passes")
    def change_correlations(self, likelihood, start) -> Float[AnyArray, "*batch length length"]:
        """Covariance matrix of "site i changed"; time and memory of the square of the length. Claim: ``markov-chain-passes``."""
        return _chain_correlations(self, *self._observed(likelihood, start))

    def _likelihood(self, likelihood) -> Array:
        likelihood = checks.nonnegative("likelihood", likelihood)
        if likelihood.shape[-2:] != (self.length, self.vocabulary):
            raise ValueError(
                f"likelihood must end in (length, vocabulary) = {self.length, self.vocabulary}, got shape {likelihood.shape}"
            )
        # The chain's own precision, or more.
        return likelihood.astype(jnp.promote_types(likelihood.dtype, self.transition.dtype))

    def _observed(self, likelihood, start) -> tuple[Array, Array]:
        """Both of one batch shape; the second is True for symbols that differ from the start."""
        likelihood, start = (
            self._likelihood(likelihood),
            symbols_in("start", start, self.vocabulary),
        )
        if start.shape[-1:] != (self.length,):
            raise ValueError(
                f"start must have a last axis of {self.length} sites, got shape {start.shape}"
            )
        checks.common_shape(likelihood=likelihood.shape[:-2], start=start.shape[:-1])
        likelihood, differs = jnp.broadcast_arrays(
            likelihood, start[..., None] != jnp.arange(self.vocabulary)
        )
        return likelihood, differs


@backed_by("markov-chain-passes")
def markov_chain(transition, *, length: int, initial=None) -> MarkovChain:
    """A chain with ``transition[a, b]`` = P(next is b | a).

    Args:
        transition: square, rows >= 0 that sum to 1.
        length: sites, >= 1.
        initial: law of the first site; by default the stationary one, which must be unique.

    Raises: ``ValueError`` or ``TypeError`` naming the argument. Claim: ``markov-chain-passes``.
    """
    transition = checks.nonnegative("transition", transition)
    if transition.ndim != 2 or transition.shape[0] != transition.shape[1] or not transition.size:
        raise ValueError(
            f"transition must be a square matrix of one symbol or more, got shape {transition.shape}"
        )
    _sums_to_one("transition", transition)
    size = transition.shape[0]
    if initial is None:
        # Singular unless the stationary law is unique; the rank one makes its solution sum to 1.
        balance = jnp.eye(size, dtype=transition.dtype) - transition.T + 1
        if not checks.is_traced(balance) and np.linalg.matrix_rank(np.asarray(balance)) < size:
            raise ValueError("transition must have one stationary law, or initial must be given")
        initial = jnp.linalg.solve(balance, jnp.ones(size, transition.dtype))
        initial = jnp.maximum(initial, 0)
    else:
        initial = checks.nonnegative("initial", initial).astype(transition.dtype)
        if initial.shape != (size,):
            raise ValueError(f"initial must have shape {(size,)}, got {initial.shape}")
        _sums_to_one("initial", initial)
    return MarkovChain(transition, initial, checks.whole("length", length, least=1))


def _noise(noise) -> Array:
    return checks.require(
        "noise", noise, lambda value: np.isfinite(value) & (value >= 0) & (value <= 1), "in [0, 1]"
    )


def _mean_over_modes(half: Array, length: int) -> Array:
    """Mean over all modes of what is given for k = 0 .. length//2: the others are their mirror images."""
    alone = 1 if length % 2 else 2
    doubled = half[..., 1 : half.shape[-1] - (alone - 1)].sum(-1)
    return (half[..., 0] + 2 * doubled + (half[..., -1] if alone == 2 else 0)) / length


def _sums_to_one(name: str, rows: Array) -> None:
    if not checks.is_traced(rows):
        excess = np.abs(np.asarray(rows).sum(-1) - 1)
        if np.any(excess > 1e3 * np.finfo(rows.dtype).eps):
            raise ValueError(
                f"{name} must sum to 1, got {np.asarray(rows).sum(-1).flat[excess.argmax()]:g}"
            )


class _Filtered(NamedTuple):
    """``weights[i]``: P(symbol a at site i | symbol b at i + 1, likelihoods up to i); ``last``: posterior of the last site."""

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
def _sample_posterior(
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
    passed, changes = (
        _filter(chain, likelihood),
        jnp.moveaxis(differs, -2, 0).astype(likelihood.dtype),
    )
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
    passed, changes = (
        _filter(chain, likelihood),
        jnp.moveaxis(differs, -2, 0).astype(likelihood.dtype),
    )
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
