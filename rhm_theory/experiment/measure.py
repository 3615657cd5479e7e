r"""Measurements on forward-backward samples of any model, with confidence intervals.

C(r) is the correlation of changes at distance r. Take one start and K samples (trajectories). Let
:math:`n_i = 1` where leaf i differs from the start, and :math:`\bar n_i` its mean over the
trajectories. Then

.. math:: S(r) = \frac{1}{K-1} \sum_{\text{traj.}} \sum_i (n_i - \bar n_i)(n_{i+r} - \bar n_{i+r}),
          \qquad C(r) = \frac{4\,S(r)}{d - r}, \qquad
          \chi = \frac{S(0) + 2\sum_{r=1}^{r_{\max}} S(r)}{S(0)} .

The sums are unbiased. C is the correlation of the paper's spins :math:`\sigma = 1 - 2n`. Over
several starts numerators and denominators are summed separately.

Errors are clustered: trajectories of one start are not independent, nor are starts of one group (a
grammar). The standard error of a ratio :math:`\sum_g a_g/\sum_g b_g` over G groups is
:math:`\sqrt{\tfrac{G}{G-1}\sum_g (a_g - \chi b_g)^2}/\sum_g b_g`. Intervals use
Student's t with G - 1 degrees of freedom.

Source: Sec. 2 of the paper (C, chi); errors: Cochran, *Sampling Techniques*, 6.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Bool, Float, Int

from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable

Groups: TypeAlias = Sequence | np.ndarray  # a label for each start


@readable()
class Estimate(NamedTuple):
    """A number with its standard error and 95 % interval; fewer than two groups give NaN errors."""

    value: Float[np.ndarray, "*batch"]
    error: Float[np.ndarray, "*batch"]
    low: Float[np.ndarray, "*batch"]
    high: Float[np.ndarray, "*batch"]


@readable()
class Sums(NamedTuple):
    """The sums of one start: ``S(r)`` for r = 0 .. d - 1, and the mean number of changed leaves."""

    pair_sums: Float[AnyArray, "*starts length"]
    mean: Float[AnyArray, "*starts"]


@readable()
class Blocks(NamedTuple):
    """Blocks of leaves that changed together, counted by level, leaves first.

    Attributes:
        tops: how many changed nodes have no changed ancestor.
        leaves: how many changed leaves lie below these nodes.
    """

    tops: Int[np.ndarray, "levels *batch"]
    leaves: Int[np.ndarray, "levels *batch"]


@readable()
class Measurement(NamedTuple):
    """The measurements over all starts.

    Attributes:
        correlation: C(r), r = 0 .. r_max.
        susceptibility: chi.
        half_length: the first r at which C falls below C(0)/2, interpolated. It is NaN if there is
            none up to r_max. Its error is NaN if there is none without some group.
        second_moment_length: see :func:`correlation_length`.
        mean_changed: the share of leaves that changed.
    """

    correlation: Estimate
    susceptibility: Estimate
    half_length: Estimate
    second_moment_length: Estimate
    mean_changed: Estimate


@backed_by("rhm-sample-covariance")
def change_sums(changed: Bool[ArrayLike, "*starts trajectories length"]) -> Sums:
    """S(r) and the mean of N for each start.

    Args: changed: True where a leaf differs from the start's, in at least two trajectories.
    Raises: ``TypeError`` or ``ValueError`` that names ``changed``.
    Claim: ``rhm-sample-covariance``.
    """
    differs = checks.unless_traced(changed)
    if differs.dtype != bool:
        raise TypeError(
            "changed must be boolean, True where a leaf differs from the start's, "
            f"got {differs.dtype}"
        )
    if differs.ndim < 2 or differs.shape[-2] < 2 or not differs.shape[-1]:
        raise ValueError(
            "changed must have shape (*starts, trajectories, length) with at least 2 trajectories, "
            f"got {differs.shape}"
        )
    return _change_sums(differs)


@jax.jit
def _change_sums(changed: Array) -> Sums:
    n = changed.astype(jnp.zeros(()).dtype)
    trajectories, length = n.shape[-2:]
    deviation = n - n.mean(-2, keepdims=True)
    # Padded to twice the length, the circular correlation is the open one.
    power = jnp.sum(jnp.abs(jnp.fft.rfft(deviation, 2 * length)) ** 2, -2)
    circular = jnp.fft.irfft(power, 2 * length)
    return Sums(pair_sums=circular[..., :length] / (trajectories - 1), mean=n.sum(-1).mean(-1))


def blocks(changed: Sequence[Bool[AnyArray, "*batch _nodes"]]) -> Blocks:
    """Blocks of leaves that changed together, by their topmost changed ancestor.

    Each changed leaf lies in one block, its own if no ancestor changed.

    Args: changed: which nodes changed, one array a level, leaves first.
    Raises: ``ValueError`` if ``changed`` is no tree.
    """
    levels = [np.asarray(level, bool) for level in changed]
    if not levels or any(not level.ndim for level in levels):
        raise ValueError("changed must have at least one level, each with an axis of nodes")
    sizes = [level.shape[-1] for level in levels]
    branching = sizes[0] // sizes[1] if len(sizes) > 1 else 1
    if (
        sizes != [branching**height for height in reversed(range(len(sizes)))]
        or len({level.shape[:-1] for level in levels}) > 1
    ):
        raise ValueError(
            "changed must be the levels of one tree, leaves first, "
            f"got shapes {[level.shape for level in levels]}"
        )
    covered = np.zeros_like(levels[-1])
    tops = []
    for nodes in reversed(levels):
        covered = np.repeat(covered, nodes.shape[-1] // covered.shape[-1], -1)
        tops.append(nodes & ~covered)
        covered = covered | nodes
    below = [
        (top * levels[0].reshape(*top.shape, sizes[0] // top.shape[-1]).sum(-1)).sum(-1)
        for top in tops
    ]
    return Blocks(
        tops=np.array([top.sum(-1) for top in reversed(tops)]), leaves=np.array(below[::-1])
    )


@backed_by("rhm-sample-covariance")
def ratio(
    numerators: Float[ArrayLike, "starts *batch"],
    denominators: Float[ArrayLike, "starts ..."],
    groups: Groups | None = None,
) -> Estimate:
    """``sum a / sum b`` over starts (the first axis), with clustered errors.

    Args:
        numerators: a.
        denominators: b, with the first axes of ``numerators``.
        groups: a label for each start; starts of one group count as one. Each start alone by
            default.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: Cochran, as in the module's docstring. Claim: ``rhm-sample-covariance``.
    """
    a, b = (np.asarray(array, float) for array in (numerators, denominators))
    if not a.ndim or b.shape != a.shape[: b.ndim] or not b.ndim:
        raise ValueError(
            "numerators (starts, ...) and denominators must begin with the same axes, "
            f"got {a.shape} and {b.shape}"
        )
    if not len(a):
        raise ValueError(f"numerators must have at least one start, got shape {a.shape}")
    if groups is not None:
        group_of = labels(groups, len(a))
        a, b = (_by_group(array, group_of)[0] for array in (a, b))
    count = len(a)
    b = np.broadcast_to(b.reshape(b.shape + (1,) * (a.ndim - b.ndim)), a.shape)
    total = b.sum(0)
    safe = np.where(total == 0, np.nan, total)
    value = a.sum(0) / safe
    if count < 2:
        return _without_error(value)
    error = np.sqrt(count / (count - 1) * np.sum((a - value * b) ** 2, 0)) / np.abs(safe)
    return _with_interval(value, error, count)


def labels(groups: Groups | None, count: int) -> np.ndarray:
    """``groups`` as labels of ``count`` starts; each start alone by default.

    ``numpy.unique`` tells the labels apart.

    Raises: ``TypeError`` or ``ValueError`` that names ``groups``.
    """
    found = np.arange(count) if groups is None else np.asarray(groups)
    if found.shape != (count,):
        raise ValueError(f"groups must have shape ({count},), one label a start, got {found.shape}")
    if found.dtype.kind == "O":
        raise TypeError(
            f"groups must be labels of one kind, numbers or texts, got {found.tolist()}"
        )
    return found


def _by_group(rows: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the rows of each group, and how many they are."""
    names, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return np.stack([rows[index == group].sum(0) for group in range(len(names))]), counts


def _without_error(value: np.ndarray) -> Estimate:
    unknown = np.full_like(value, np.nan)
    return Estimate(value=value, error=unknown, low=unknown, high=unknown)


def _with_interval(value: np.ndarray, error: np.ndarray, groups: int) -> Estimate:
    reach = _quantile(groups) * error
    return Estimate(value=value, error=error, low=value - reach, high=value + reach)


def _quantile(groups: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, groups - 1))


def correlation_length(
    correlation: Float[ArrayLike, "*batch distances"], definition: str = "half"
) -> Float[np.ndarray, "*batch"]:
    r"""A length of a correlation function.

    Args:
        correlation: C(0), C(1), .. in the last axis.
        definition: ``"half"`` is the first r with C(r) < C(0)/2, interpolated linearly, and NaN if
            there is none: the length is then longer than all r given. ``"second_moment"`` is
            :math:`\sqrt{\sum_r r^2 C(r)/\sum_r C(r)}` over :math:`-r_{\max} .. r_{\max}`, NaN if
            that is no real number.

    Returns: the length; NaN where C(0) <= 0.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    checks.choice("definition", definition, ("half", "second_moment"))
    checks.concrete("correlation_length", correlation)
    checks.real("correlation", correlation)
    c = np.asarray(correlation, float)
    if not c.ndim or not c.shape[-1]:
        raise ValueError(f"correlation must have a last axis C(0), C(1), .., got shape {c.shape}")
    distance = np.arange(c.shape[-1])
    positive = c[..., 0] > 0
    if definition == "second_moment":
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            both = np.where(distance > 0, 2, 1) * c
            square = (distance**2 * both).sum(-1) / both.sum(-1)
            return np.where(positive, np.sqrt(square), np.nan)
    below = c < c[..., :1] / 2
    first = below.argmax(-1)
    before = np.maximum(first - 1, 0)
    at, earlier = (np.take_along_axis(c, index[..., None], -1)[..., 0] for index in (first, before))
    with np.errstate(invalid="ignore", divide="ignore"):
        crossed = before + (earlier - c[..., 0] / 2) / (earlier - at)
    return np.where(positive & below.any(-1), crossed, np.nan)


def measure(
    changed: Bool[ArrayLike, "starts trajectories length"],
    *,
    r_max: int | None = None,
    groups: Groups | None = None,
    inside: Bool[ArrayLike, "starts length"] | None = None,
) -> Measurement:
    """All measurements, from which leaves changed. Lengths have jackknife errors over the groups.

    Args:
        changed: True where a leaf of a trajectory differs from the start's.
        r_max: the largest distance that enters chi and the lengths; all by default.
        groups: a label for each start; starts of one group (one grammar, one text) are not
            independent. Each start alone by default.
        inside: which leaves a start has, if starts differ in length; all by default. Changes of
            other leaves do not count, nor do pairs with them.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    shape = np.shape(changed)
    if len(shape) != 3 or not shape[0]:
        raise ValueError(
            "changed must have shape (starts, trajectories, length) with at least one start, "
            f"got {shape}"
        )
    if inside is None:
        return measurement(change_sums(changed), r_max=r_max, groups=groups)
    inside = np.asarray(inside)
    if inside.dtype != bool or inside.shape != (shape[0], shape[2]):
        raise ValueError(
            f"inside must be boolean of shape {(shape[0], shape[2])}, one entry a leaf of each "
            f"start, got {inside.dtype} of shape {inside.shape}"
        )
    sums = change_sums(np.asarray(changed) & inside[:, None])
    return measurement(sums, r_max=r_max, groups=groups, inside=inside)


def measurement(
    sums: Sums,
    *,
    r_max: int | None = None,
    groups: Groups | None = None,
    inside: Bool[np.ndarray, "starts length"] | None = None,
) -> Measurement:
    """:func:`measure` from the sums of each start ``(starts, length)``, which are all it needs."""
    pair_sums = np.asarray(sums.pair_sums, float)
    starts, length = pair_sums.shape
    pairs = _pairs(starts, length, inside)
    if r_max is None:
        r_max = int(np.flatnonzero(pairs.any(0))[-1])
    r_max = checks.whole("r_max", r_max)
    if r_max >= length:
        raise ValueError(f"r_max must be below the length = {length}, got {r_max}")
    group_of = labels(groups, starts)
    kept = pair_sums[:, : r_max + 1]
    weight = np.where(np.arange(r_max + 1) > 0, 2, 1)
    unpadded = length - np.arange(r_max + 1)
    # Over the pairs of unpadded starts, so that without padding the denominators are exactly 1.
    numerators = kept * (4 / unpadded)
    denominators = pairs[:, : r_max + 1] / unpadded
    correlation = ratio(numerators, denominators, group_of)
    both = np.stack([numerators, denominators], 1)
    chi = ratio((kept * weight).sum(-1), kept[:, 0], group_of)
    return Measurement(
        correlation=correlation,
        susceptibility=chi,
        half_length=jackknife(functools.partial(_length_of_ratio, "half"), both, group_of),
        second_moment_length=jackknife(
            functools.partial(_length_of_ratio, "second_moment"), both, group_of
        ),
        mean_changed=ratio(np.asarray(sums.mean), pairs[:, 0], group_of),
    )


def _pairs(
    starts: int, length: int, inside: Bool[np.ndarray, "starts length"] | None
) -> Float[np.ndarray, "starts length"]:
    """How many pairs of leaves of each start are at distance r = 0 .. length - 1."""
    if inside is None:
        return np.tile(np.arange(length, 0, -1.0), (starts, 1))
    return np.array([np.correlate(row, row, "full")[length - 1 :] for row in inside.astype(float)])


def _length_of_ratio(definition: str, both: Float[np.ndarray, "2 distances"]) -> np.ndarray:
    """A length of the numerators of C over its denominators, NaN where a denominator is 0."""
    numerators, denominators = both
    known = np.where(denominators > 0, denominators, np.nan)
    return correlation_length(numerators / known, definition)


@backed_by("rhm-sample-covariance")
def jackknife(
    statistic: Callable[[np.ndarray], np.ndarray],
    rows: Float[ArrayLike, "starts *shape"],
    groups: Groups,
) -> Estimate:
    """``statistic`` of the mean of ``rows``, with the errors of leaving one group out at a time.

    Args:
        statistic: from one row (any shape) to an array.
        rows: one a start, at least one.
        groups: a label for each start.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: Efron, *The Jackknife, the Bootstrap and Other Resampling Plans* (1982), 3.
    Claim: ``rhm-sample-covariance``.
    """
    rows = np.asarray(rows)
    if not rows.ndim or not len(rows):
        raise ValueError(f"rows must be at least one, got shape {rows.shape}")
    value = statistic(rows.mean(0))
    sums, counts = _by_group(rows, labels(groups, len(rows)))
    size = len(counts)
    if size < 2:
        return _without_error(value)
    total = rows.sum(0)
    without = np.stack(
        [
            statistic((total - one) / (len(rows) - count))
            for one, count in zip(sums, counts, strict=True)
        ]
    )
    error = np.sqrt((size - 1) * np.mean((without - without.mean(0)) ** 2, 0))
    return _with_interval(value, error, size)
