r"""What is measured on forward-backward samples of any model: C(r), the susceptibility and correlation lengths, with intervals.

For one start and K samples (trajectories), :math:`n_i = 1` where leaf i differs from the start, and with :math:`\bar n_i` its mean over
the trajectories

.. math:: S(r) = \frac{1}{K-1} \sum_{\text{traj.}} \sum_i (n_i - \bar n_i)(n_{i+r} - \bar n_{i+r}), \qquad
          C(r) = \frac{4\,S(r)}{d - r}, \qquad \chi = \frac{S(0) + 2\sum_{r=1}^{r_{\max}} S(r)}{S(0)} ,

unbiased sums, C in the paper's spins :math:`\sigma = 1 - 2n`. Over several starts numerators and denominators are summed apart. Errors
are clustered: trajectories of one start, and starts of one group (a grammar), are not independent; the standard error of a ratio
:math:`\sum_g a_g/\sum_g b_g` over G groups is :math:`\sqrt{\tfrac{G}{G-1}\sum_g (a_g - \chi b_g)^2}/\sum_g b_g`, and intervals use
Student's t with G - 1 degrees of freedom. Source: Sec. 2 of the paper (C, chi); errors: Cochran, *Sampling Techniques*, 6.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Bool, Float, Int

from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable


@readable()
class Estimate(NamedTuple):
    """A ratio with its standard error and the 95 % interval; NaN errors from fewer than two groups."""

    value: Float[np.ndarray, "*batch"]
    error: Float[np.ndarray, "*batch"]
    low: Float[np.ndarray, "*batch"]
    high: Float[np.ndarray, "*batch"]


@readable()
class Sums(NamedTuple):
    """Of one start: ``S(r)`` for r = 0 .. d - 1, and the mean number of changed leaves."""

    pair_sums: Float[AnyArray, "*starts length"]
    mean: Float[AnyArray, "*starts"]


@readable()
class Blocks(NamedTuple):
    """By level, leaves first: how many changed nodes have no changed ancestor (``tops``), and how many changed ``leaves`` lie below."""

    tops: Int[np.ndarray, "levels *batch"]
    leaves: Int[np.ndarray, "levels *batch"]


@readable()
class Measurement(NamedTuple):
    """Over all starts. ``correlation``: C(r), r = 0 .. r_max; ``half_length``: first r at which C falls below C(0)/2, interpolated."""

    correlation: Estimate
    susceptibility: Estimate
    half_length: Estimate
    second_moment_length: Estimate
    mean_changed: Estimate


@backed_by("rhm-sample-covariance")
def change_sums(changed: Bool[AnyArray, "*starts trajectories length"]) -> Sums:
    """S(r) and the mean of N for each start, from which leaves changed in each trajectory (at least two).

    Claim: ``rhm-sample-covariance``.
    """
    differs = changed if checks.is_traced(changed) else np.asarray(changed)
    if differs.dtype != bool:
        raise TypeError(
            f"changed must be boolean, True where a leaf differs from the start's, got {differs.dtype}"
        )
    if differs.ndim < 2 or differs.shape[-2] < 2 or not differs.shape[-1]:
        raise ValueError(
            f"changed must have shape (*starts, trajectories, length) with at least 2 trajectories, got {differs.shape}"
        )
    return _change_sums(differs)


@jax.jit
def _change_sums(changed: Array) -> Sums:
    n = changed.astype(jnp.zeros(()).dtype)
    trajectories, length = n.shape[-2:]
    deviation = n - n.mean(-2, keepdims=True)
    # Padded to twice the length, the circular correlation is the open one.
    power = jnp.sum(jnp.abs(jnp.fft.rfft(deviation, 2 * length)) ** 2, -2)
    return Sums(
        jnp.fft.irfft(power, 2 * length)[..., :length] / (trajectories - 1), n.sum(-1).mean(-1)
    )


def blocks(changed: Sequence[Bool[AnyArray, "*batch nodes"]]) -> Blocks:
    """Blocks of leaves that changed together, by their topmost changed ancestor; from which nodes changed, by level, leaves first.

    Each changed leaf lies in one block, its own if no ancestor changed. Raises: ``ValueError`` if the levels make no tree.
    """
    levels = [np.asarray(level, bool) for level in changed]
    sizes = [level.shape[-1] for level in levels]
    branching = sizes[0] // sizes[1] if len(sizes) > 1 else 1
    if (
        sizes != [branching**height for height in reversed(range(len(sizes)))]
        or len({level.shape[:-1] for level in levels}) > 1
    ):
        raise ValueError(
            f"changed must be the levels of one tree, leaves first, got shapes {[level.shape for level in levels]}"
        )
    covered, tops = np.zeros_like(levels[-1]), []
    for nodes in reversed(levels):
        covered = np.repeat(covered, nodes.shape[-1] // covered.shape[-1], -1)
        tops.append(nodes & ~covered)
        covered = covered | nodes
    below = [(top * levels[0].reshape(*top.shape, -1).sum(-1)).sum(-1) for top in tops]
    return Blocks(np.array([top.sum(-1) for top in reversed(tops)]), np.array(below[::-1]))


@backed_by("rhm-sample-covariance")
def ratio(numerators, denominators, groups=None) -> Estimate:
    """``sum a / sum b`` over starts (first axis), with clustered errors: starts of one group count as one.

    Source: Cochran, as in the module's docstring. Claim: ``rhm-sample-covariance``.
    """
    a, b = (np.asarray(array, float) for array in (numerators, denominators))
    if not a.ndim or b.shape != a.shape[: b.ndim] or not b.ndim:
        raise ValueError(
            f"numerators (starts, ...) and denominators must begin with the same axes, got {a.shape} and {b.shape}"
        )
    if groups is not None:
        groups = labels(groups, len(a))
        a, b = (_by_group(array, groups)[0] for array in (a, b))
    count = len(a)
    b = np.broadcast_to(b.reshape(b.shape + (1,) * (a.ndim - b.ndim)), a.shape)
    total = b.sum(0)
    safe = np.where(total == 0, np.nan, total)
    value = a.sum(0) / safe
    if count < 2:
        return Estimate(value, *(np.full_like(value, np.nan) for _ in range(3)))
    error = np.sqrt(count / (count - 1) * np.sum((a - value * b) ** 2, 0)) / np.abs(safe)
    return Estimate(
        value, error, value - _quantile(count) * error, value + _quantile(count) * error
    )


def labels(groups, count: int) -> np.ndarray:
    """``groups`` as labels of ``count`` starts, which are told apart by ``numpy.unique``; each start alone by default."""
    found = np.arange(count) if groups is None else np.asarray(groups)
    if found.shape != (count,):
        raise ValueError(f"groups must have shape ({count},), one label a start, got {found.shape}")
    if found.dtype.kind == "O":
        raise TypeError(
            f"groups must be labels of one kind, numbers or texts, got {found.tolist()}"
        )
    return found


def _by_group(rows: np.ndarray, groups) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the rows of each group, and how many they are."""
    names, index, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return np.stack([rows[index == group].sum(0) for group in range(len(names))]), counts


def _quantile(groups: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, groups - 1))


def correlation_length(correlation, definition: str = "half") -> Float[np.ndarray, "*batch"]:
    r"""A length of a correlation function C(0), C(1), .. (last axis).

    ``"half"``: the first r with C(r) < C(0)/2, interpolated linearly; the largest r if there is none. ``"second_moment"``:
    :math:`\sqrt{\sum_r r^2 C(r)/\sum_r C(r)}` over :math:`-r_{\max} .. r_{\max}`, NaN if that is no real number. Both NaN where C(0) <= 0.
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
            return np.where(positive, np.sqrt((distance**2 * both).sum(-1) / both.sum(-1)), np.nan)
    below = c < c[..., :1] / 2
    first = np.where(below.any(-1), below.argmax(-1), c.shape[-1] - 1)
    before = np.maximum(first - 1, 0)
    at, earlier = (np.take_along_axis(c, index[..., None], -1)[..., 0] for index in (first, before))
    with np.errstate(invalid="ignore", divide="ignore"):
        crossed = before + (earlier - c[..., 0] / 2) / (earlier - at)
    return np.where(positive, np.where(below.any(-1), crossed, first), np.nan)


def measure(changed, *, r_max: int | None = None, groups=None) -> Measurement:
    """Everything at once, from ``changed[start, trajectory, leaf]``.

    Args:
        changed: boolean ``(starts, trajectories, length)``.
        r_max: the largest distance that enters chi and the lengths; all by default.
        groups: a label for each start; starts of one group (one grammar, one text) are not independent. Each start alone by default.
    Lengths come with jackknife errors over the groups.
    """
    if np.ndim(changed) != 3 or not len(changed):
        raise ValueError(
            f"changed must have shape (starts, trajectories, length) with at least one start, got {np.shape(changed)}"
        )
    return measurement(change_sums(changed), r_max=r_max, groups=groups)


def measurement(sums: Sums, *, r_max: int | None = None, groups=None) -> Measurement:
    """:func:`measure` from the sums of each start ``(starts, length)``, which are all that it needs."""
    pair_sums = np.asarray(sums.pair_sums, float)
    starts, length = pair_sums.shape
    r_max = length - 1 if r_max is None else checks.whole("r_max", r_max)
    if r_max >= length:
        raise ValueError(f"r_max must be below the length = {length}, got {r_max}")
    groups = labels(groups, starts)
    kept = pair_sums[:, : r_max + 1]
    weight = np.where(np.arange(r_max + 1) > 0, 2, 1)
    pairs = 4 / (length - np.arange(r_max + 1))
    correlation = ratio(kept * pairs, np.ones(starts), groups)
    chi = ratio((kept * weight).sum(-1), kept[:, 0], groups)
    lengths = {
        name: jackknife(
            functools.partial(correlation_length, definition=name), kept * pairs, groups
        )
        for name in ("half", "second_moment")
    }
    mean = ratio(np.asarray(sums.mean), np.full(starts, float(length)), groups)
    return Measurement(correlation, chi, lengths["half"], lengths["second_moment"], mean)


@backed_by("rhm-sample-covariance")
def jackknife(statistic, rows, groups) -> Estimate:
    """``statistic`` of the mean of ``rows`` (one a start), with the errors of leaving one group out at a time.

    Args: statistic: from one row (any shape) to an array. rows: ``(starts, ...)``. groups: a label for each start.
    Source: Efron, *The Jackknife, the Bootstrap and Other Resampling Plans* (1982), 3. Claim: ``rhm-sample-covariance``.
    """
    value = statistic(rows.mean(0))
    sums, counts = _by_group(rows, groups)
    groups = len(counts)
    if groups < 2:
        return Estimate(value, *(np.full_like(value, np.nan) for _ in range(3)))
    total = rows.sum(0)
    without = np.stack(
        [
            statistic((total - one) / (len(rows) - count))
            for one, count in zip(sums, counts, strict=True)
        ]
    )
    error = np.sqrt((groups - 1) * np.mean((without - without.mean(0)) ** 2, 0))
    return Estimate(
        value, error, value - _quantile(groups) * error, value + _quantile(groups) * error
    )
