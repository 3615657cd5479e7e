r"""Comparison of a denoiser with Bayes' posterior, level by level of the tree.

It measures three things: the excess log loss of a denoiser, how often it changes a node, and how
often its sequences do not belong to the language.

*Log loss from samples alone.* For a noised sequence let :math:`p_u(a)` be the exact posterior of
symbol a at node u. Let :math:`q_u(a)` be the probability that a parsed sample of the denoiser has
symbol a there. The excess log loss of node u is
:math:`E_{a\sim p}[\ln p_u(a) - \ln q_u(a)] = KL(p_u \| q_u)`. But q is known by K samples only, and
no function of them has the mean :math:`-\ln q`. The first K terms of its series, the loss *of order
K*, do have an unbiased estimate. Let n be the number of samples that have the symbol and H the
harmonic numbers:

.. math:: \ell_K(q) = \sum_{k=1}^{K} \frac{(1-q)^k}{k} \le -\ln q, \qquad
          E\,[H_K - H_n] = \ell_K(q) \quad\text{for } n \sim \operatorname{Bin}(K, q).

So the loss of a node is :math:`\sum_a p_u(a)\,(H_K - H_{n(a)})`, and that of Bayes is
:math:`\sum_a p_u(a)\,\ell_K(p_u(a))`. Their difference, the *gap*, has mean 0 for the exact
posterior, at any K. In general

.. math:: \text{gap}_K = KL(p \| q) - T_K(q) + T_K(p), \qquad
          0 \le T_K(q) = \sum_a p_a \sum_{k > K} \frac{(1-q_a)^k}{k}
          \le \sum_a \frac{p_a}{q_a} \frac{(1 - q_a)^{K+1}}{K + 1}.

:math:`T_K(p)` is the entropy minus the loss of Bayes. It is known and at most vocabulary/(K + 1).
A symbol that a denoiser never returns costs at most :math:`H_K \approx \ln K + 0.58`, and not
infinity. So compare gaps only at equal K. The gap is computed from the *marginals* of single nodes.
The gap of the leaves does not detect wrong correlations. The gaps of higher levels do, since a
symbol there depends on all leaves below it.

*Outside the language.* If no rule gives the children of a node, the node and all nodes above it
have no symbol. "No symbol" counts as one more symbol, whose probability under Bayes is 0. It
differs from the start's symbol, and its probability under q is missing from the true symbol. Its
share is reported too.

Source: the log loss by sampling, van Opheusden, Acerbi & Ma, *Unbiased and efficient log-likelihood
estimation with inverse binomial sampling* (2020), here for a fixed number of samples. The rest is
new.
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
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.experiment import measure
from rhm_theory.experiment import trajectories as experiment
from rhm_theory.experiment.measure import Estimate
from rhm_theory.inference import evidence as inference
from rhm_theory.inference import sampling
from rhm_theory.models import interface
from rhm_theory.models.grammar import Grammar, Tree, leaves_of
from rhm_theory.models.interface import SequenceModel
from rhm_theory.noise.processes import Mask, Noise, require_noise
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing import tables

COLUMNS = (
    "noise",
    "level",
    "log loss",
    "Bayes' loss",
    "loss gap",
    "changed",
    "Bayes' changed",
    "changed gap",
    "no symbol",
)


class Comparison(NamedTuple):
    """The numbers of a denoiser and of Bayes' posterior; ``str`` of it is a table.

    The first axis is the noise level, the second the level of the tree, leaves first. Numbers are
    means over the nodes of the level.

    Attributes:
        noise: the process and its levels.
        samples: K, the number of samples from which a loss is estimated.
        log_loss: of the denoiser.
        bayes_log_loss: exact, for the same noised sequences.
        log_loss_gap: the difference, with the error of a paired comparison.
        entropy: the limit of ``bayes_log_loss`` for many samples.
        changed: the share of the denoiser's nodes that differ from the start's.
        bayes_changed: exact, for the same noised sequences.
        changed_gap: the difference, with the error of a paired comparison.
        underivable: the share of the denoiser's nodes without a symbol. At the root it is the share
            of samples outside the language.
    """

    noise: Noise
    samples: int
    log_loss: Estimate
    bayes_log_loss: Float[np.ndarray, "levels tree_levels"]
    log_loss_gap: Estimate
    entropy: Float[np.ndarray, "levels tree_levels"]
    changed: Estimate
    bayes_changed: Float[np.ndarray, "levels tree_levels"]
    changed_gap: Estimate
    underivable: Estimate

    def __repr__(self) -> str:
        shown = (
            self.log_loss.value,
            self.bayes_log_loss,
            self.log_loss_gap,
            self.changed.value,
            self.bayes_changed,
            self.changed_gap,
            self.underivable.value,
        )
        levels = np.asarray(self.noise.level)
        rows = [
            (float(levels[place[0]]), place[1], *(_shown(part, place) for part in shown))
            for place in np.ndindex(self.entropy.shape)
        ]
        title = (
            f"{self.noise.name}: denoiser against Bayes; level 0 is the leaves; "
            f"losses of order {self.samples}"
        )
        text = io.StringIO()
        tables.print_table(rows, list(COLUMNS), title, file=text)
        return text.getvalue().rstrip()


@backed_by("rhm-truncated-loss")
def compare(
    key: Array,
    model: Grammar | SequenceModel,
    noise: Noise,
    denoiser: Callable,
    *,
    starts: int | Int[ArrayLike, "starts length"] | Tree,
    draws: int = 8,
    samples: int = 64,
    groups: measure.Groups | None = None,
) -> Comparison:
    """Compare a denoiser with the exact posterior, at each noise level and level of the tree.

    Args:
        key: of the noise and the starts. The denoiser has its own random numbers.
        model: the law of the sequences, such as a grammar.
        noise: :class:`rhm_theory.Mask` or :class:`rhm_theory.Flips` with one level or a vector of
            them.
        denoiser: a function from noised sequences to samples, as
            :func:`rhm_theory.forward_backward` takes it. It is called once for each start and noise
            level. It gets each of the ``draws`` noised sequences ``samples`` times in a row.
        starts: sequences of the language ``(starts, length)``, or how many to draw. Errors need at
            least 2.
        draws: noised sequences of each start, at least 1.
        samples: of the denoiser for each noised sequence, at least 1. It is the order of the
            losses.
        groups: a label for each start that errors are clustered by; each start alone by default.

    Raises: ``TypeError`` or ``ValueError`` that names the argument. ``denoiser`` is named for a
        wrong shape, for entries that are no integers, and for a symbol out of range.
    Memory: draws x samples x 2 length integers, and a count of every symbol of every node.
    Claim: ``rhm-truncated-loss``.
    """
    draws = checks.whole("draws", draws, least=1)
    samples = checks.whole("samples", samples, least=1)
    levels = experiment.levels_of(noise)
    experiment.require_denoiser(denoiser, noise)
    start_key, noise_key = jax.random.split(checks.key("key", key))
    trees = experiment.starts_of(start_key, model, starts)
    count = len(trees.leaves)
    groups = measure.labels(groups, count)
    keys = jax.random.split(noise_key, (len(levels), count))
    found = []
    for place in np.ndindex(keys.shape):
        tree = jax.tree.map(lambda level, at=place[1]: level[at], trees)
        repeated = np.tile(tree.leaves, (draws, 1))
        here = noise.at(levels[place[0]])
        noised = here.sample(keys[place], repeated, vocabulary=model.vocabulary)
        seen = here.likelihood(noised, vocabulary=model.vocabulary)
        asked = np.repeat(np.asarray(noised), samples, 0)
        answers = experiment.denoised(denoiser, model, asked).reshape(draws, samples, -1)
        found.append(_scores(model, tree, seen, answers))
    scores = jax.tree.map(lambda *parts: np.reshape(parts, (*keys.shape, -1)), *found)

    def over_starts(values) -> Estimate:
        by_level = [measure.ratio(value, np.ones(count), groups) for value in values]
        return jax.tree.map(lambda *parts: np.stack(parts), *by_level)

    return Comparison(
        noise=noise.at(levels),
        samples=samples,
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
def bayes(key: Array, model: Grammar | SequenceModel, noise: Noise) -> Callable:
    """The exact posterior as a denoiser, to test a measurement.

    If ``noise`` has another level than the experiment, the comparison shows what a wrong level
    costs. Each call of the denoiser draws new samples. The same calls in the same order give the
    same samples.

    Args:
        key: of the samples.
        model: the law of the sequences.
        noise: the process that the denoiser assumes. The level of :class:`rhm_theory.Flips` is one
            number. That of :class:`rhm_theory.Mask` does not matter: masks show what is hidden.

    Returns: a function from noised sequences ``(batch, length)`` to samples.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Claim: ``rhm-joint-sampling``.
    """
    checks.key("key", key)
    interface.verb(model, "sequences")
    require_noise(noise)
    if not noise.random:
        raise ValueError(f"noise must give noised sequences, which {noise.name!r} does not")
    if jnp.ndim(noise.level) and not isinstance(noise, Mask):
        raise ValueError(f"noise must have one level, got shape {noise.level.shape}")
    calls = itertools.count()

    def denoiser(noised):
        seen = noise.likelihood(np.asarray(noised), vocabulary=model.vocabulary)
        this = jax.random.fold_in(key, next(calls))
        return np.asarray(leaves_of(sampling.sample_posterior(this, model, seen)))

    return denoiser


@backed_by("rhm-truncated-loss")
def truncated_log_loss(
    probability: Float[ArrayLike, "*batch"], order: int
) -> Float[Array, "*batch"]:
    r""":math:`\ell_K(q) = \sum_{k=1}^{K} (1-q)^k/k`, the loss of order K.

    It is below :math:`-\ln q`, and grows towards it with K.

    Args:
        probability: q in [0, 1].
        order: K, at least 1.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Claim: ``rhm-truncated-loss``.
    """
    probability = checks.require(
        "probability", probability, lambda q: (q >= 0) & (q <= 1), "in [0, 1]"
    )
    return _truncated_log_loss(probability, order=checks.whole("order", order, least=1))


class _Scores(NamedTuple):
    """Means over draws and nodes, by level of the tree."""

    log_loss: Float[ArrayLike, "*batch tree_levels"]
    bayes_log_loss: Float[ArrayLike, "*batch tree_levels"]
    entropy: Float[ArrayLike, "*batch tree_levels"]
    changed: Float[ArrayLike, "*batch tree_levels"]
    bayes_changed: Float[ArrayLike, "*batch tree_levels"]
    underivable: Float[ArrayLike, "*batch tree_levels"]


def _shown(part, place) -> str:
    if isinstance(part, Estimate):
        return f"{part.value[place]:+.4f} ± {part.error[place]:.4f}"
    return f"{part[place]:.4f}"


@jax.jit
def _scores(model: Grammar | SequenceModel, start: Tree, seen: Array, answers: Array) -> _Scores:
    """The scores for one start and noise level; ``answers`` are ``(draws, samples, length)``.

    A traced parse does not raise, but has -1 where there is no symbol.
    """
    order = answers.shape[1]
    harmonic = jnp.concatenate([jnp.zeros(1), jnp.cumsum(1 / jnp.arange(1, order + 1))])
    posteriors = inference.marginals(model, seen)
    if not isinstance(posteriors, tuple):
        posteriors = (posteriors,)
    sampled = experiment.tree_of(model, answers).symbols

    def one_level(posterior, original, sampled):
        counts = (sampled[..., None] == jnp.arange(model.vocabulary)).sum(1)
        kept = jnp.take_along_axis(posterior, original[None, :, None], -1)
        loss = posterior * (harmonic[order] - harmonic[counts])
        least_loss = posterior * _truncated_log_loss(posterior, order=order)
        information = posterior * jnp.log(jnp.where(posterior > 0, posterior, 1))
        return _Scores(
            log_loss=jnp.sum(loss, -1).mean(),
            bayes_log_loss=jnp.sum(least_loss, -1).mean(),
            entropy=-jnp.sum(information, -1).mean(),
            changed=jnp.mean(sampled != original),
            bayes_changed=1 - kept.mean(),
            underivable=jnp.mean(sampled < 0),
        )

    by_level = map(one_level, posteriors, start.symbols, sampled)
    return jax.tree.map(lambda *parts: jnp.stack(parts), *by_level)


@functools.partial(jax.jit, static_argnames="order")
def _truncated_log_loss(probability: Array, *, order: int) -> Array:
    """By Horner's rule from the last term, which adds positive numbers only."""
    rest = 1 - probability

    def add(total, inverse):
        return rest * (inverse + total), None

    inverses = 1 / jnp.arange(order, 0, -1, dtype=rest.dtype)
    return jax.lax.scan(add, jnp.zeros_like(rest), inverses)[0]
