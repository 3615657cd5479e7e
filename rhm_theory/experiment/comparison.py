r"""A denoiser against Bayes, level by level: what it loses, how often it changes a node, how often it leaves the language.

*Log loss from samples alone.* For a noised sequence y let :math:`p_u(a)` be the exact posterior of the symbol at node u and
:math:`q_u(a)` the probability that a sample of the denoiser has it there, by its parse. The excess log loss of node u is
:math:`E_{a\sim p}[\ln p_u(a) - \ln q_u(a)] = KL(p_u \| q_u)`, but q is known by K samples only, and no function of them has the mean
:math:`-\ln q`. The first K terms of its series, the loss *of order K*, do have an unbiased estimate, with n the number of samples that
have the symbol and H the harmonic numbers:

.. math:: \ell_K(q) = \sum_{k=1}^{K} \frac{(1-q)^k}{k} \le -\ln q, \qquad
          E\,[H_K - H_n] = \ell_K(q) \quad\text{for } n \sim \operatorname{Bin}(K, q).

So the loss of a node is :math:`\sum_a p_u(a)\,(H_K - H_{n(a)})`, Bayes' own is :math:`\sum_a p_u(a)\,\ell_K(p_u(a))`, and their difference,
the *gap*, has mean 0 for the exact posterior, at any K. In general

.. math:: \text{gap}_K = KL(p \| q) - T_K(q) + T_K(p), \qquad
          0 \le T_K(q) = \sum_a p_a \sum_{k > K} \frac{(1-q_a)^k}{k} \le \sum_a \frac{p_a}{q_a} \frac{(1 - q_a)^{K+1}}{K + 1};

:math:`T_K(p)`, which is the entropy less Bayes' loss, is known and at most vocabulary/(K + 1). What a denoiser never says costs at most
:math:`H_K \approx \ln K + 0.58`, not infinity: compare gaps at equal K. The gap is of *marginals*, node by node; that of the leaves alone
does not see wrong correlations, which show one level up and higher, since a symbol there needs all leaves below.

*Outside the language.* A node whose children no rule gives has no symbol, and neither have those above it. "No symbol" counts as
one more, which Bayes never has: it differs from the start's, and its share of q is lost to the true one. That share is a result itself.

Source: the log loss by sampling, van Opheusden, Acerbi & Ma, *Unbiased and efficient log-likelihood estimation with inverse binomial
sampling* (2020), here for a fixed number of samples; the rest is new.
"""

import functools
import io
import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from rhm_theory.experiment import measure
from rhm_theory.experiment import trajectories as experiment
from rhm_theory.experiment.measure import Estimate
from rhm_theory.inference import evidence as inference
from rhm_theory.inference import sampling
from rhm_theory.models.grammar import Grammar, require_grammar
from rhm_theory.noise import likelihood
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing import tables

NOISES = ("mask", "flips")


class Comparison(NamedTuple):
    """For each noise level (first axis) and level of the tree, leaves first (second axis), means over its nodes; ``str`` is a table.

    ``process`` names the noise and its law, ``samples`` is the order K of the losses. ``log_loss`` and ``changed`` (share of nodes that
    differ from the start's) are the denoiser's, ``bayes_log_loss`` and ``bayes_changed`` exact for the same noised sequences;
    ``log_loss_gap`` and ``changed_gap`` are the differences, whose errors know that both saw the same. ``entropy`` is the limit of
    ``bayes_log_loss`` for many samples. ``underivable``: share of the denoiser's nodes without a symbol; at the root, of samples
    outside the language.
    """

    process: str
    samples: int
    noise_levels: Float[np.ndarray, " levels"]
    log_loss: Estimate
    bayes_log_loss: Float[np.ndarray, "levels tree_levels"]
    log_loss_gap: Estimate
    entropy: Float[np.ndarray, "levels tree_levels"]
    changed: Estimate
    bayes_changed: Float[np.ndarray, "levels tree_levels"]
    changed_gap: Estimate
    underivable: Estimate

    def __repr__(self) -> str:
        columns = [
            "noise",
            "level",
            "log loss",
            "Bayes' loss",
            "loss gap",
            "changed",
            "Bayes' changed",
            "changed gap",
            "no symbol",
        ]
        losses = (self.log_loss.value, self.bayes_log_loss, self.log_loss_gap)
        changes = (self.changed.value, self.bayes_changed, self.changed_gap, self.underivable.value)
        rows = [
            (
                float(self.noise_levels[place[0]]),
                place[1],
                *(_shown(part, place) for part in (*losses, *changes)),
            )
            for place in np.ndindex(self.entropy.shape)
        ]
        text = io.StringIO()
        title = f"{self.process}: denoiser against Bayes; level 0 is the leaves; losses of order {self.samples}"
        tables.print_table(rows, columns, title, file=text)
        return text.getvalue().rstrip()


@backed_by("rhm-truncated-loss")
def compare(
    denoiser: Callable,
    grammar: Grammar,
    *,
    key: Array,
    noise: str = "mask",
    noise_levels,
    starts,
    draws: int = 8,
    samples: int = 64,
    law: str = "independent",
    groups=None,
) -> Comparison:
    """Any denoiser beside the exact posterior, at each noise level and each level of the tree.

    Args:
        denoiser: from noised sequences ``(batch, length)`` of integers (masked leaves are ``vocabulary``) to samples of the same shape, as
            :func:`rhm_theory.forward_backward` takes it; NumPy, JAX or anything that NumPy reads. It is called once for each start and
            noise level, with each of the ``draws`` noised sequences ``samples`` times in a row.
        key: of the noise and the starts; the denoiser draws by itself.
        noise: ``"mask"`` (``law`` as in :func:`rhm_theory.noise.likelihood.random_mask`) or ``"flips"``. noise_levels: in [0, 1].
        starts: sequences of the language ``(starts, length)``, or how many to draw; at least 2 for errors.
        draws: noised sequences of each start. samples: of the denoiser for each, which is the order of the losses; at least 1.
        groups: a label for each start that errors are clustered by; each start alone by default.
    Raises: ``TypeError`` or ``ValueError`` naming the argument; ``denoiser`` for a wrong shape, no integers, or a symbol out of range.
    Memory: draws x samples x 2 length integers, and as many floats as the counts of every symbol of every node.
    Claim: ``rhm-truncated-loss``.
    """
    checks.choice("noise", noise, NOISES)
    checks.choice("law", law, likelihood.MASK_LAWS)
    draws, samples = (
        checks.whole("draws", draws, least=1),
        checks.whole("samples", samples, least=1),
    )
    experiment.require_denoiser(denoiser)
    levels = experiment.levels_of(noise_levels)
    start_key, noise_key = jax.random.split(checks.key("key", key))
    starts = experiment.starts_of(start_key, grammar, starts)
    groups = measure.labels(groups, len(starts))
    seen = _process(noise, law, grammar.vocabulary)
    keys = jax.random.split(noise_key, (len(levels), len(starts)))
    found = []
    for place in np.ndindex(keys.shape):
        start = starts[place[1]]
        noised, evidence = seen(keys[place], np.tile(start, (draws, 1)), levels[place[0]])
        answers = experiment.denoised(denoiser, grammar, np.repeat(noised, samples, 0)).reshape(
            draws, samples, -1
        )
        found.append(_scores(grammar, start, evidence, answers))
    scores = _Scores(
        *(np.reshape(part, (*keys.shape, grammar.depth + 1)) for part in zip(*found, strict=True))
    )

    def over_starts(values) -> Estimate:
        by_level = [measure.ratio(value, np.ones(len(starts)), groups) for value in values]
        return Estimate(*(np.stack(part) for part in zip(*by_level, strict=True)))

    return Comparison(
        process=f"mask, {law}" if noise == "mask" else noise,
        samples=samples,
        noise_levels=levels,
        log_loss=over_starts(scores.log_loss),
        bayes_log_loss=scores.bayes_log_loss.mean(1),
        log_loss_gap=over_starts(scores.log_loss - scores.bayes_log_loss),
        entropy=scores.entropy.mean(1),
        changed=over_starts(scores.changed),
        bayes_changed=scores.bayes_changed.mean(1),
        changed_gap=over_starts(scores.changed - scores.bayes_changed),
        underivable=over_starts(scores.underivable),
    )


@backed_by("rhm-joint-sampling")
def bayes(key: Array, grammar: Grammar, *, noise: str = "mask", noise_level=None) -> Callable:
    """The exact posterior as a denoiser: to test a measurement, or with another ``noise_level`` to see what a wrong one costs.

    Masks show what is hidden; ``"flips"`` do not, and need the ``noise_level``. Each call of the denoiser draws anew: the same calls in
    the same order give the same samples. Claim: ``rhm-joint-sampling``.
    """
    checks.choice("noise", noise, NOISES)
    if (noise_level is None) == (noise == "flips"):
        raise ValueError(
            f"noise_level must be given for noise='flips' and only there, got {noise_level} for {noise!r}"
        )
    checks.key("key", key)
    require_grammar(grammar)
    noise_level = None if noise_level is None else likelihood._noise(noise_level, "noise_level")
    calls = itertools.count()

    def denoiser(noised):
        evidence = _evidence(noise, grammar.vocabulary, np.asarray(noised), noise_level)
        return np.asarray(
            sampling.sample_posterior(
                jax.random.fold_in(key, next(calls)), grammar, evidence
            ).leaves
        )

    return denoiser


@backed_by("rhm-truncated-loss")
def truncated_log_loss(probability, order: int) -> Array:
    r""":math:`\ell_K(q) = \sum_{k=1}^{K} (1-q)^k/k`, below and for growing K towards :math:`-\ln q`; K = ``order`` >= 1.

    Claim: ``rhm-truncated-loss``.
    """
    probability = checks.require(
        "probability", probability, lambda q: (q >= 0) & (q <= 1), "in [0, 1]"
    )
    return _truncated_log_loss(probability, order=checks.whole("order", order, least=1))


class _Scores(NamedTuple):
    """Means over draws and nodes."""

    log_loss: Float[np.ndarray, "levels starts tree_levels"]
    bayes_log_loss: Float[np.ndarray, "levels starts tree_levels"]
    entropy: Float[np.ndarray, "levels starts tree_levels"]
    changed: Float[np.ndarray, "levels starts tree_levels"]
    bayes_changed: Float[np.ndarray, "levels starts tree_levels"]
    underivable: Float[np.ndarray, "levels starts tree_levels"]


def _shown(part, place) -> str:
    if isinstance(part, Estimate):
        return f"{part.value[place]:+.4f} ± {part.error[place]:.4f}"
    return f"{part[place]:.4f}"


def _process(noise: str, law: str, vocabulary: int) -> Callable:
    """From a key, starts and a level to the noised sequences and their likelihood."""

    def forward(key, starts, level):
        if noise == "mask":
            noised = np.where(
                likelihood.random_mask(key, starts.shape, level, law), vocabulary, starts
            )
        else:
            noised = np.asarray(likelihood.flipped(key, starts, level, vocabulary=vocabulary))
        return noised, _evidence(noise, vocabulary, noised, level)

    return forward


def _evidence(noise: str, vocabulary: int, noised: np.ndarray, level) -> Array:
    if noise == "flips":
        return likelihood.epsilon_process(noised, level, vocabulary=vocabulary)
    hidden = noised == vocabulary
    return likelihood.masked(np.where(hidden, 0, noised), hidden, vocabulary=vocabulary)


@jax.jit
def _scores(grammar: Grammar, start: Array, evidence: Array, answers: Array) -> tuple[Array, ...]:
    """The fields of :class:`_Scores` for one start and noise level. Answers are ``(draws, samples, length)``.

    A traced parse does not raise, but has -1 where there is no symbol.
    """
    order = answers.shape[1]
    harmonic = jnp.concatenate([jnp.zeros(1), jnp.cumsum(1 / jnp.arange(1, order + 1))])
    levels = zip(
        inference.marginals(grammar, evidence),
        grammar.parse(start).symbols,
        grammar.parse(answers).symbols,
        strict=True,
    )

    def one_level(posterior, original, sampled):
        counts = (sampled[..., None] == jnp.arange(grammar.vocabulary)).sum(1)
        kept = jnp.take_along_axis(posterior, original[None, :, None], -1)
        return (
            jnp.sum(posterior * (harmonic[order] - harmonic[counts]), -1).mean(),
            jnp.sum(posterior * _truncated_log_loss(posterior, order=order), -1).mean(),
            -jnp.sum(posterior * jnp.log(jnp.where(posterior > 0, posterior, 1)), -1).mean(),
            jnp.mean(sampled != original),
            1 - kept.mean(),
            jnp.mean(sampled < 0),
        )

    return tuple(map(jnp.stack, zip(*itertools.starmap(one_level, levels), strict=True)))


@functools.partial(jax.jit, static_argnames="order")
def _truncated_log_loss(probability: Array, *, order: int) -> Array:
    """By Horner's rule from the last term, which adds positive numbers only."""
    rest = 1 - probability

    def add(total, inverse):
        return rest * (inverse + total), None

    return jax.lax.scan(add, jnp.zeros_like(rest), 1 / jnp.arange(order, 0, -1, dtype=rest.dtype))[
        0
    ]
