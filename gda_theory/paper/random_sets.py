r"""How far a retrained model's forget and test accuracy may lie apart for a random forget set.

This is Sec. 4 of the paper, with Lemmas 1 and 11. The retrained model (the *oracle*) saw neither
the ``f`` forgotten samples nor the ``m`` test samples. So each of its two accuracies is a mean of
independent 0/1 terms. Their success probability p, the population accuracy, is the same for both.
``gap`` is the test accuracy minus the forget accuracy. The functions give the probability that an
oracle has such a gap, in three ways:

* a bound by Hoeffding's inequality, for any p: ``*_bound`` and ``*_half_width``. The paper has it
  for infinite m.
* the exact value for a given p, from two independent binomials: ``*_binomial``. The largest value
  over all p is ``worst_*_binomial`` (Barnard's test).
* the exact value for a finite data set, of which the forget set is a uniformly random subset:
  ``*_subset`` (Fisher's exact test). The number of all f + m samples that the model gets right is
  given. The number of right ones among the forgotten is then hypergeometric. This assumes neither
  a p nor independent samples.

*One-sided* functions are about the event that test minus forget accuracy is at least ``gap``, so
that forgotten samples do worse. *Two-sided* ones are about a distance of at least ``gap`` in either
direction. Differences within 4 machine epsilons of ``gap`` count as equal to it, because accuracies
are rounded quotients. Different possible gaps are distinguished up to f m = 1e15 (float32: 1e6).

A small probability says that a model is *not* an oracle. A large one does not say that it is an
oracle. For example, a model that is wrong everywhere has gap 0.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from theory_common import checks
from theory_common.claims import backed_by
from theory_common.numerics import roots
from theory_common.precision import ArrayLike
from theory_common.printing.display import readable

OVERSAMPLING = 8  # accuracies tried per degree of the polynomial in p whose maximum is sought
Size: TypeAlias = int | float  # a whole number, or infinity for the population

BISECTIONS = 60  # an interval of length 1 becomes shorter than float64 can tell


@readable()
class WorstCase(NamedTuple):
    """The largest probability over all population accuracies.

    ``probability`` is the value at ``accuracy``, a local maximum next to the best point of a grid.
    ``at_most`` is an upper bound over all accuracies, at most 2 % above ``probability``.
    """

    probability: Float[Array, "*batch"]
    accuracy: Float[Array, "*batch"]
    at_most: Float[Array, "*batch"]


@readable()
class Departure(NamedTuple):
    """The probability that an oracle's forget accuracy lies ``gap`` below its test accuracy.

    ``hoeffding`` is an upper bound on it. ``exact`` is its value for a random subset
    (:func:`one_sided_subset`). ``confidence`` is ``1 - exact``.
    """

    gap: Float[Array, "*batch"]
    hoeffding: Float[Array, "*batch"]
    exact: Float[Array, "*batch"]
    confidence: Float[Array, "*batch"]


# Hoeffding's inequality ---------------------------------------------------------------------------


@backed_by("hoeffding-finite-test")
def effective_size(
    forget_size: ArrayLike, test_size: ArrayLike = math.inf
) -> Float[Array, "*batch"]:
    r"""The size of one sample that is as uncertain as the gap between two samples.

    .. math:: \frac{fm}{f+m}

    Args:
        forget_size, test_size: finite and > 0; ``test_size`` may be infinite, which stands for the
            population accuracy. They broadcast.
    Returns: the size.
    Raises: ``TypeError`` or ``ValueError`` that names the argument. Traced values give NaN.
    Source: new. Claim: ``hoeffding-finite-test``.
    """
    sizes = checks.broadcast("effective_size", forget_size=forget_size, test_size=test_size)
    forget = _required("forget_size", sizes["forget_size"], _finite_above_zero, "finite and > 0")
    test = _required("test_size", sizes["test_size"], _above_zero, "> 0")
    # Not f m/(f + m), which is inf/inf for the population.
    return 1 / (1 / forget + 1 / test)


@backed_by("hoeffding", "hoeffding-finite-test")
def two_sided_bound(
    gap: ArrayLike, *, forget_size: ArrayLike, test_size: ArrayLike = math.inf
) -> Float[Array, "*batch"]:
    r"""An upper bound on the probability that an oracle's accuracies lie ``gap`` or more apart.

    .. math:: P(|\mathrm{Acc}_T - \mathrm{Acc}_F| \ge t)
              \le \min\bigl(1,\ 2 e^{-2 t^2 f m/(f+m)}\bigr)

    It holds for any metric with values in [0, 1]. For infinite m, where the population accuracy
    replaces the test accuracy, it is :math:`2e^{-2ft^2}`. That form is no bound for a finite test
    set. For f = 400, m = 20, t = 0.2 and p = 1/2 it gives 2.5e-14, but the probability is 0.083.

    Args:
        gap: finite; 0 or less gives 1.
        forget_size, test_size: as in :func:`effective_size`. All broadcast.
    Returns: the bound.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: Lemmas 1 and 11 (population); finite test set: corrected.
    Claims: ``hoeffding``, ``hoeffding-finite-test``.
    """
    return jnp.minimum(1, 2 * _hoeffding(gap, forget_size, test_size))


@backed_by("hoeffding-one-sided")
def one_sided_bound(
    gap: ArrayLike, *, forget_size: ArrayLike, test_size: ArrayLike = math.inf
) -> Float[Array, "*batch"]:
    r"""An upper bound on the probability that an oracle's forget accuracy is ``gap`` or more below.

    .. math:: P(\mathrm{Acc}_T - \mathrm{Acc}_F \ge t) \le e^{-2 t^2 f m/(f+m)}

    Args:
        gap, forget_size, test_size: as in :func:`two_sided_bound`.
    Returns: the bound: :func:`two_sided_bound` without the factor 2.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: Lemmas 1 and 11. Claim: ``hoeffding-one-sided``.
    """
    return _hoeffding(gap, forget_size, test_size)


@backed_by("hoeffding-finite-test")
def two_sided_half_width(
    significance: ArrayLike, *, forget_size: ArrayLike, test_size: ArrayLike = math.inf
) -> Float[Array, "*batch"]:
    r"""The gap at which :func:`two_sided_bound` is ``significance``.

    .. math:: \sqrt{\ln(2/\mathrm{significance})\,(1/f + 1/m)/2}

    Args:
        significance: in (0, 1). It is one minus the confidence, which would lose the digits of a
            small one.
        forget_size, test_size: as in :func:`effective_size`. All broadcast.
    Returns: the gap. Where it is above 1, no gap is that improbable.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: Lemmas 1 and 11. Claim: ``hoeffding-finite-test``.
    """
    return _half_width(significance, 2, forget_size, test_size)


@backed_by("hoeffding-finite-test")
def one_sided_half_width(
    significance: ArrayLike, *, forget_size: ArrayLike, test_size: ArrayLike = math.inf
) -> Float[Array, "*batch"]:
    r"""The gap at which :func:`one_sided_bound` is ``significance``.

    .. math:: \sqrt{\ln(1/\mathrm{significance})\,(1/f + 1/m)/2}

    Args:
        significance, forget_size, test_size: as in :func:`two_sided_half_width`.
    Returns: the gap. Where it is above 1, no gap is that improbable.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: Lemmas 1 and 11. Claim: ``hoeffding-finite-test``.
    """
    return _half_width(significance, 1, forget_size, test_size)


def _hoeffding(gap: ArrayLike, forget_size: ArrayLike, test_size: ArrayLike) -> Array:
    values = checks.broadcast("a bound", gap=gap, forget_size=forget_size, test_size=test_size)
    gap = jnp.maximum(checks.finite("gap", values["gap"]), 0)
    return jnp.exp(-2 * gap**2 * effective_size(values["forget_size"], values["test_size"]))


def _half_width(
    significance: ArrayLike, sides: int, forget_size: ArrayLike, test_size: ArrayLike
) -> Array:
    values = checks.broadcast(
        "a half width", significance=significance, forget_size=forget_size, test_size=test_size
    )
    significance = _significance(values["significance"])
    size = effective_size(values["forget_size"], values["test_size"])
    return jnp.sqrt((math.log(sides) - jnp.log(significance)) / (2 * size))


# Exactly, two independent binomials ---------------------------------------------------------------


def two_sided_binomial(
    gap: ArrayLike, *, accuracy: ArrayLike, forget_size: int, test_size: int | float = math.inf
) -> Float[Array, "*batch"]:
    r"""The probability that an oracle's accuracies lie ``gap`` or more apart, exactly.

    .. math:: P\bigl(|b/m - a/f| \ge t\bigr), \qquad
              a \sim \mathrm{Bin}(f, p),\ b \sim \mathrm{Bin}(m, p) \text{ independent}

    It is summed over all a and the tails of b, in f + m operations. With ``test_size=inf`` the
    population accuracy p stands for b/m: this is the law that Lemma 1 bounds.

    Args:
        gap: finite; 0 or less gives 1. It broadcasts against ``accuracy``.
        accuracy: the population accuracy p in [0, 1].
        forget_size: a Python integer >= 1. It is a shape, hence never traced.
        test_size: the same, or infinite.
    Returns: the probability, differentiable in ``accuracy`` (0 < p < 1).
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Accuracy: relative (f + m) epsilon; below the smallest normal number 0.
    Source: new.
    """
    return _two_sided_binomial(
        *_gap_and_accuracy(gap, accuracy),
        _whole_size("forget_size", forget_size),
        _test_size(test_size),
    )


def one_sided_binomial(
    gap: ArrayLike, *, accuracy: ArrayLike, forget_size: int, test_size: int | float = math.inf
) -> Float[Array, "*batch"]:
    r"""The probability that an oracle's forget accuracy lies ``gap`` or more below, exactly.

    .. math:: P\bigl(b/m - a/f \ge t\bigr), \qquad
              a \sim \mathrm{Bin}(f, p),\ b \sim \mathrm{Bin}(m, p) \text{ independent}

    Args:
        gap: finite; it may be negative.
        accuracy, forget_size, test_size: as in :func:`two_sided_binomial`.
    Returns: the probability, with the accuracy of :func:`two_sided_binomial`.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: new.
    """
    return _one_sided_binomial(
        *_gap_and_accuracy(gap, accuracy),
        _whole_size("forget_size", forget_size),
        _test_size(test_size),
    )


def two_sided_binomial_half_width(
    significance: ArrayLike,
    *,
    accuracy: ArrayLike,
    forget_size: int,
    test_size: int | float = math.inf,
) -> Float[Array, "*batch"]:
    r"""The half width that an oracle's gap exceeds with a probability of at most ``significance``.

    .. math:: \min\{t : P(|b/m - a/f| > t) \le \mathrm{significance}\}

    Args:
        significance: in (0, 1).
        accuracy, forget_size, test_size: as in :func:`two_sided_binomial`.
    Returns: the smallest such number: a gap that can occur, or 0. It costs 60 sums of
        :func:`two_sided_binomial`.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: new.
    """
    values = checks.broadcast(
        "two_sided_binomial_half_width", significance=significance, accuracy=accuracy
    )
    sizes = _whole_size("forget_size", forget_size), _test_size(test_size)
    accuracy = _share("accuracy", values["accuracy"])
    return _smallest_gap(
        _significance(values["significance"]),
        lambda gap: _two_sided_binomial(gap, accuracy, *sizes),
    )


@backed_by("worst-accuracy-grid")
def worst_two_sided_binomial(gap: ArrayLike, *, forget_size: int, test_size: int) -> WorstCase:
    r"""The largest :func:`two_sided_binomial` over all population accuracies.

    Compare with it when p is not known.

    .. math:: \max_p P\bigl(|b/m - a/f| \ge t\bigr), \qquad p = (1 - \cos\varphi)/2

    The probability is a polynomial in p of degree N = f + m, hence a trigonometric one in
    :math:`\varphi`. Its maximum is at most the largest of its values at
    :math:`\varphi = \pi j/(8N)`, divided by :math:`\cos(\pi/16)` (Ehlich and Zeller, 1964).

    Args:
        gap: finite, any shape.
        forget_size, test_size: Python integers >= 1.
    Returns: :class:`WorstCase`. It costs 8 (f + m)^2 operations a gap.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: new. Claim: ``worst-accuracy-grid``.
    """
    return _worst_case(
        checks.finite("gap", gap), _two_sided_binomial, *_finite_sizes(forget_size, test_size)
    )


@backed_by("worst-accuracy-grid")
def worst_one_sided_binomial(gap: ArrayLike, *, forget_size: int, test_size: int) -> WorstCase:
    r"""The largest :func:`one_sided_binomial` over all population accuracies.

    .. math:: \max_p P\bigl(b/m - a/f \ge t\bigr)

    Args:
        gap, forget_size, test_size: as in :func:`worst_two_sided_binomial`.
    Returns: :class:`WorstCase`.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: new. Claim: ``worst-accuracy-grid``.
    """
    return _worst_case(
        checks.finite("gap", gap), _one_sided_binomial, *_finite_sizes(forget_size, test_size)
    )


@functools.partial(jax.jit, static_argnums=(2, 3))
@functools.partial(jnp.vectorize, excluded=(2, 3))
def _two_sided_binomial(gap: Array, accuracy: Array, forget_size: Size, test_size: Size) -> Array:
    below = _lag(gap, accuracy, forget_size, test_size)
    above = _lag(gap, accuracy, test_size, forget_size)
    # From a gap of 0 down both hold at a tie, and together they are certain.
    return jnp.minimum(below + above, 1)


@functools.partial(jax.jit, static_argnums=(2, 3))
@functools.partial(jnp.vectorize, excluded=(2, 3))
def _one_sided_binomial(gap: Array, accuracy: Array, forget_size: Size, test_size: Size) -> Array:
    return jnp.minimum(_lag(gap, accuracy, forget_size, test_size), 1)


def _lag(gap: Array, accuracy: Array, size: Size, other_size: Size) -> Array:
    """``P(other mean - mean >= gap)``.

    NaN where an argument is NaN, and where ``accuracy`` is no probability: its logarithm is NaN.
    """
    means, weights = _outcomes(accuracy, size)
    probability = jnp.sum(weights * _reached(means + gap, accuracy, other_size))
    return jnp.where(jnp.isnan(gap), jnp.nan, probability)


def _outcomes(accuracy: Array, size: Size) -> tuple[Array, Array]:
    """The values of a mean of ``size`` 0/1 terms, and their probabilities.

    The mean of infinitely many is the accuracy.
    """
    if isinstance(size, float):  # infinite: every other size is an integer
        return accuracy[None], jnp.ones_like(accuracy)[None]
    count = jnp.arange(size + 1, dtype=accuracy.dtype)
    log_odds = jax.scipy.special.xlogy(count, accuracy) + jax.scipy.special.xlog1py(
        size - count, -accuracy
    )
    return count / size, jnp.exp(_log_choose(size, accuracy.dtype) + log_odds)


def _reached(levels: Array, accuracy: Array, size: Size) -> Array:
    """The probability that a mean of ``size`` 0/1 terms is at least each of the ``levels``."""
    _, weights = _outcomes(accuracy, size)
    levels = levels - _slack(levels)
    if size == math.inf:
        return jnp.where(accuracy >= levels, weights, 0)
    tails = jnp.append(jnp.cumsum(weights[::-1])[::-1], 0)
    return tails[jnp.clip(jnp.ceil(levels * size), 0, size + 1).astype(jnp.int32)]


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
@functools.partial(jnp.vectorize, excluded=(1, 2, 3))
def _worst_case(
    gap: Array, probability: Callable[..., Array], forget_size: int, test_size: int
) -> WorstCase:
    def at(angle: Array) -> Array:
        return probability(gap, jnp.sin(angle / 2) ** 2, forget_size, test_size)

    cells = OVERSAMPLING * (forget_size + test_size)
    angles = jnp.linspace(0, np.pi, cells + 1, dtype=gap.dtype)
    found = jax.lax.map(at, angles, batch_size=256)  # all at once would hold 8 (f + m)^2 numbers
    spread = jnp.linspace(-1, 1, 17, dtype=gap.dtype)

    def closer(_: Array, around: tuple[Array, Array]) -> tuple[Array, Array]:
        centre, width = around
        tried = jnp.clip(centre + width * spread, 0, np.pi)
        return tried[jnp.argmax(jax.vmap(at)(tried))], width / 8

    # Rounding in the angle matters to second order at a maximum, so ten rounds are more than
    # enough.
    start = (angles[jnp.argmax(found)], jnp.asarray(np.pi / cells, gap.dtype))
    best, _ = jax.lax.fori_loop(0, 10, closer, start)
    top = jnp.max(found) / math.cos(math.pi / (2 * OVERSAMPLING))
    return WorstCase(
        probability=at(best), accuracy=jnp.sin(best / 2) ** 2, at_most=jnp.minimum(top, 1)
    )


# Exactly, a random subset of a finite set ---------------------------------------------------------


@backed_by("random-subset-law")
def two_sided_subset(
    gap: ArrayLike, *, correct: ArrayLike, forget_size: int, test_size: int
) -> Float[Array, "*batch"]:
    r"""The probability of a distance of ``gap`` or more when the forget set is drawn at random.

    Of f + m given samples, of which ``correct`` are right, f are drawn.

    .. math:: P\Bigl(\Bigl|\frac{c - a}{m} - \frac af\Bigr| \ge t\Bigr), \qquad
              P(a) = \binom fa \binom m{c-a} \Big/ \binom{f+m}c

    Given the retain set, the oracle is fixed, and so are the samples it gets right. The forget and
    the test set are a random partition of the rest. Nothing else is assumed: no population, no
    independent samples.

    Args:
        gap: finite. It broadcasts against ``correct``.
        correct: a whole number from 0 to f + m.
        forget_size, test_size: Python integers >= 1. They are shapes, hence never traced.
    Returns: the probability; NaN for a traced ``correct`` out of its range.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Accuracy: relative (f + m) epsilon; below the smallest normal number 0.
    Source: new. Claim: ``random-subset-law``.
    """
    gap, correct, *sizes = _subset_arguments(gap, correct, forget_size, test_size)
    return _two_sided_subset(gap, correct, *sizes)


@backed_by("random-subset-law")
def one_sided_subset(
    gap: ArrayLike, *, correct: ArrayLike, forget_size: int, test_size: int
) -> Float[Array, "*batch"]:
    r"""The probability that the forget accuracy lies ``gap`` or more below the test accuracy.

    .. math:: P\Bigl(\frac{c - a}{m} - \frac af \ge t\Bigr)

    with the law of :func:`two_sided_subset`.

    Args:
        gap: finite; it may be negative.
        correct, forget_size, test_size: as in :func:`two_sided_subset`.
    Returns: the probability; NaN for a traced ``correct`` out of its range.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: new. Claim: ``random-subset-law``.
    """
    gap, correct, *sizes = _subset_arguments(gap, correct, forget_size, test_size)
    return _one_sided_subset(gap, correct, *sizes)


def two_sided_subset_half_width(
    significance: ArrayLike, *, correct: ArrayLike, forget_size: int, test_size: int
) -> Float[Array, "*batch"]:
    r"""The half width that the gap exceeds with a probability of at most ``significance``.

    .. math:: \min\Bigl\{t : P\Bigl(\Bigl|\frac{c - a}{m} - \frac af\Bigr| > t\Bigr)
              \le \mathrm{significance}\Bigr\}

    with the law of :func:`two_sided_subset`.

    Args:
        significance: in (0, 1).
        correct, forget_size, test_size: as in :func:`two_sided_subset`.
    Returns: the smallest such number: a gap that can occur, or 0. It costs 60 sums of
        :func:`two_sided_subset`.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: new.
    """
    values = checks.broadcast(
        "two_sided_subset_half_width", significance=significance, correct=correct
    )
    _, correct, *sizes = _subset_arguments(
        values["significance"], values["correct"], forget_size, test_size
    )
    return _smallest_gap(
        _significance(values["significance"]), lambda gap: _two_sided_subset(gap, correct, *sizes)
    )


@backed_by("hoeffding", "hoeffding-one-sided", "random-subset-law")
def departure(
    forget_accuracy: ArrayLike, test_accuracy: ArrayLike, *, forget_size: int, test_size: int
) -> Departure:
    r"""The confidence that a model whose forget accuracy is below its test accuracy is no oracle.

    .. math:: P(\mathrm{Acc}_T - \mathrm{Acc}_F \ge \mathrm{gap})
              \text{ of an oracle, by Hoeffding and exactly}

    Args:
        forget_accuracy, test_accuracy: in [0, 1], whole multiples of ``1/forget_size`` and
            ``1/test_size``. They broadcast.
        forget_size, test_size: Python integers >= 1.
    Returns: :class:`Departure`. At ``confidence`` the model leaves the law that every oracle of a
        random forget set obeys. If many models are tested, some lie outside at any confidence.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: Lemmas 1 and 11; the exact value: new.
    Claims: ``hoeffding``, ``hoeffding-one-sided``, ``random-subset-law``.
    """
    forget_size, test_size = _finite_sizes(forget_size, test_size)
    values = checks.broadcast(
        "departure", forget_accuracy=forget_accuracy, test_accuracy=test_accuracy
    )
    in_forget = _count("forget_accuracy", values["forget_accuracy"], forget_size)
    in_test = _count("test_accuracy", values["test_accuracy"], test_size)
    gap = in_test / test_size - in_forget / forget_size
    exact = _one_sided_subset(gap, in_forget + in_test, forget_size, test_size)
    return Departure(
        gap=gap,
        hoeffding=one_sided_bound(gap, forget_size=forget_size, test_size=test_size),
        exact=exact,
        confidence=1 - exact,
    )


@functools.partial(jax.jit, static_argnums=(2, 3))
@functools.partial(jnp.vectorize, excluded=(2, 3))
def _two_sided_subset(gap: Array, correct: Array, forget_size: int, test_size: int) -> Array:
    gaps, weights = _partitions(correct, forget_size, test_size)
    return _share_of(weights, jnp.abs(gaps) >= gap - _slack(gap), gap)


@functools.partial(jax.jit, static_argnums=(2, 3))
@functools.partial(jnp.vectorize, excluded=(2, 3))
def _one_sided_subset(gap: Array, correct: Array, forget_size: int, test_size: int) -> Array:
    gaps, weights = _partitions(correct, forget_size, test_size)
    return _share_of(weights, gaps >= gap - _slack(gap), gap)


def _partitions(correct: Array, forget_size: int, test_size: int) -> tuple[Array, Array]:
    """The gap for each count of right ones among the forgotten, and its relative frequency.

    The largest frequency is 1.
    """
    inside = jnp.arange(forget_size + 1, dtype=correct.dtype)
    outside = correct - inside
    possible = (outside >= 0) & (outside <= test_size)
    index = jnp.clip(jnp.where(possible, outside, 0), 0, test_size).astype(jnp.int32)
    log_weights = (
        _log_choose(forget_size, correct.dtype) + _log_choose(test_size, correct.dtype)[index]
    )
    # All are -inf, which gives NaN, where ``correct`` is out of range.
    log_weights = jnp.where(possible, log_weights, -jnp.inf)
    return outside / test_size - inside / forget_size, jnp.exp(log_weights - jnp.max(log_weights))


def _share_of(weights: Array, chosen: Array, gap: Array) -> Array:
    # Divided by their own sum: the rounding of the logarithms' common part cancels.
    share = jnp.sum(jnp.where(chosen, weights, 0 * weights)) / jnp.sum(weights)
    return jnp.where(jnp.isnan(gap), jnp.nan, share)


# Shared -------------------------------------------------------------------------------------------


def _smallest_gap(significance: Array, probability: Callable[[Array], Array]) -> Array:
    """The last gap whose probability exceeds ``significance``, by bisection.

    ``probability`` must decrease, in jumps, and be 0 above 1.
    """

    def beyond(gap: Array) -> Array:
        return probability(gap) <= significance

    ends = roots.bisect(
        beyond,
        jnp.zeros_like(significance),
        jnp.full_like(significance, 1 + 2 * _slack(significance)),
        BISECTIONS,
    )
    high = ends.high
    # The jump was met as early as the slack allows, which is taken off again. Rounding is left of a
    # jump at 0.
    width = jnp.where(high < 2 * _slack(high), 0, high - _slack(high))
    return jnp.where(jnp.isnan(probability(high) + significance), jnp.nan, width)


def _slack(values: Array) -> float:
    """How far a gap may be off by rounding.

    Accuracies are quotients of floats, each half an epsilon off. So are their difference, and its
    sum with one of them.
    """
    return 4 * float(jnp.finfo(values.dtype).eps)


@functools.lru_cache(maxsize=64)
def _log_factorials(size: int) -> np.ndarray:
    return np.array([math.lgamma(count + 1) for count in range(size + 1)])


def _log_choose(size: int, dtype: np.dtype) -> Array:
    """``log C(size, k)`` for k from 0 to ``size``.

    It is computed in float64 on the host, since the logarithms of the factorials are far larger
    than the result.
    """
    logs = _log_factorials(size)
    return jnp.asarray(logs[-1] - logs - logs[::-1], dtype)


def _above_zero(values: checks.Numbers) -> checks.Truth:
    return values > 0  # False for NaN


def _finite_above_zero(values: checks.Numbers) -> checks.Truth:
    return (values > 0) & (values < math.inf)


def _significance(value: ArrayLike) -> Array:
    return _required("significance", value, lambda values: (values > 0) & (values < 1), "in (0, 1)")


def _share(name: str, value: ArrayLike) -> Array:
    return _required(name, value, lambda values: (values >= 0) & (values <= 1), "in [0, 1]")


def _required(
    name: str, value: ArrayLike, holds: Callable[[checks.Numbers], checks.Truth], rule: str
) -> Array:
    """The value, validated; a traced one becomes NaN where ``holds`` is False."""
    return checks.known(checks.require(name, value, holds, rule), holds)


def _whole_size(name: str, value: Size) -> int:
    return checks.whole(name, value, least=1)


def _test_size(value: Size) -> Size:
    if isinstance(value, (float, np.floating)) and value == math.inf:
        return math.inf
    return _whole_size("test_size", value)


def _finite_sizes(forget_size: int, test_size: int) -> tuple[int, int]:
    return _whole_size("forget_size", forget_size), _whole_size("test_size", test_size)


def _gap_and_accuracy(gap: ArrayLike, accuracy: ArrayLike) -> tuple[Array, Array]:
    values = checks.broadcast("a binomial probability", gap=gap, accuracy=accuracy)
    return checks.finite("gap", values["gap"]), _share("accuracy", values["accuracy"])


def _subset_arguments(
    gap: ArrayLike, correct: ArrayLike, forget_size: int, test_size: int
) -> tuple[Array, Array, int, int]:
    forget_size, test_size = _finite_sizes(forget_size, test_size)
    values = checks.broadcast("a subset probability", gap=gap, correct=correct)
    total = forget_size + test_size

    def holds(counts: checks.Numbers) -> checks.Truth:
        return (counts >= 0) & (counts <= total) & (counts == counts.round())

    rule = f"a whole number from 0 to forget_size + test_size = {total}"
    correct = _required("correct", values["correct"], holds, rule)
    return checks.finite("gap", values["gap"]), correct, forget_size, test_size


def _count(name: str, accuracy: Array, size: int) -> Array:
    """How many of ``size`` an accuracy means: a whole number, up to rounding of the division."""
    tolerance = 4 * float(jnp.finfo(accuracy.dtype).eps) * size
    rule = f"in [0, 1] and a whole multiple of 1/{size}"

    def holds(shares: checks.Numbers) -> checks.Truth:
        whole = abs(shares * size - (shares * size).round()) <= tolerance
        return (shares >= 0) & (shares <= 1) & whole

    return jnp.round(_required(name, accuracy, holds, rule) * size)
