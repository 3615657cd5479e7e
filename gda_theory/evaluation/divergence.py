r"""Three estimates of a Kullback-Leibler divergence from two samples, at many points at once.

Each takes samples ``first`` (models, points) and ``second`` (other models, points). It returns an
estimate of :math:`\mathrm{KL}(P \| Q) = \int p \log (p/q)` for each point, in nats. P is the law
behind ``first``, and Q the law behind ``second``.

* :func:`histogram`: what the literature reports. It is biased upwards by the *noise floor* where P
  and Q agree, and cannot exceed ``log(1e5) = 11.5``.
* :func:`gaussian`: without bias if both laws are normal, at any sample size.
* :func:`nearest_neighbour`: needs no such assumption, and has more noise. It is too small where P
  lies far outside of Q.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

BINS = 20
LEAST = 1e-5  # the least probability of a bin of Q that P reaches
CLIP = 100.0
BLOCK = 50_000  # margins of one block, which fit into the cache of a core


def histogram(
    first: Float[np.ndarray, "models points"],
    second: Float[np.ndarray, "others points"],
    bins: int = BINS,
    limits: tuple[float, float] | None = None,
) -> Float[np.ndarray, " points"]:
    """The divergence between two histograms.

    Margins are clipped to [-100, 100]. A bin of Q that P reaches gets the probability 1e-5 at
    least.

    Args:
        first, second: margins.
        bins: number of bins of equal width.
        limits: first and last edge. By default they are the smallest and the largest margin of both
            samples at the point. Then each margin lies in some bin, and the largest in the last
            bin.
    """
    points = first.shape[1]
    width = max(1, BLOCK // max(len(first), len(second)))
    blocks = [slice(start, start + width) for start in range(0, points, width)]
    scores = [_of_block(first[:, block], second[:, block], bins, limits) for block in blocks]
    return np.concatenate(scores) if scores else np.empty(0)


def gaussian(
    first: Float[np.ndarray, "models points"], second: Float[np.ndarray, "others points"]
) -> Float[np.ndarray, " points"]:
    r"""The divergence of two normal laws, estimated without bias from n and m models.

    The closed form is
    :math:`\tfrac12\bigl[\log(\sigma_Q^2/\sigma_P^2) - 1 + (\sigma_P^2 + \Delta^2)/\sigma_Q^2\bigr]`
    with the difference :math:`\Delta` of the means. For normal samples, means and variances are
    independent, and with :math:`\psi` the digamma function

    .. math:: E \log s^2 = \log\sigma^2 + \psi(\tfrac{n-1}2) - \log\tfrac{n-1}2, \qquad
              E\, s_Q^{-2} = \tfrac{m-1}{m-3}\, \sigma_Q^{-2}, \qquad
              E\,(\bar p - \bar q)^2 = \Delta^2 + \sigma_P^2/n + \sigma_Q^2/m .

    So an estimate without bias is

    .. math:: \tfrac12\Bigl[\log s_Q^2 - \log s_P^2 + b_n - b_m - 1 - \tfrac1m + \tfrac{m-3}{m-1}\,
              \frac{s_P^2(1 - 1/n) + (\bar p - \bar q)^2}{s_Q^2}\Bigr],
              \qquad b_n = \psi(\tfrac{n-1}2) - \log\tfrac{n-1}2 .

    Being without bias, it can be slightly negative. If all margins of Q are equal, or all
    margins of P, the result is infinite. It is 0 if all margins of both have the same value.
    Source: new.

    Args:
        first, second: margins of at least 2 and 4 models.
    """
    return of_moments(
        *(SampleMoments(len(x), x.mean(0), x.var(0, ddof=1)) for x in (first, second))
    )


class SampleMoments(NamedTuple):
    """Number, means and variances (with divisor n - 1) of margins; any axes, points last."""

    models: int
    mean: Float[np.ndarray, "*exchanges points"]
    variance: Float[np.ndarray, "*exchanges points"]


def of_moments(
    first: SampleMoments, second: SampleMoments
) -> Float[np.ndarray, "*exchanges points"]:
    """:func:`gaussian` from the moments of both samples."""
    (n, mean_p, spread_p), (m, mean_q, spread_q) = first, second
    gap = (mean_p - mean_q) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(spread_q) - np.log(spread_p) + _log_bias(n) - _log_bias(m)
        ratio = (spread_p * (1 - 1 / n) + gap) / spread_q
        result = (logs - 1 - 1 / m + (m - 3) / (m - 1) * ratio) / 2
    single = (spread_p == 0) | (spread_q == 0)
    same = (spread_p == 0) & (spread_q == 0) & (gap == 0)
    return np.where(same, 0.0, np.where(single, np.inf, result))


def nearest_neighbour(
    first: Float[np.ndarray, "models points"], second: Float[np.ndarray, "others points"]
) -> Float[np.ndarray, " points"]:
    r"""The estimate from distances to the nearest neighbour (Wang, Kulkarni and Verdu 2009).

    .. math:: \frac1n \sum_i \log\frac{\nu_i}{\rho_i} + \log\frac{m}{n-1},

    where :math:`\rho_i` is the distance of margin i of P to the nearest other margin of P, and
    :math:`\nu_i` that to the nearest margin of Q. NaN where two margins of P are equal, or a margin
    of P equals one of Q: then the laws are not continuous.
    """
    n, m = len(first), len(second)
    both = np.concatenate([first, second])
    order = np.argsort(both, axis=0, kind="stable")
    values = np.take_along_axis(both, order, axis=0)
    of_first = order < n
    own = _nearest(values, of_first)[of_first.T].reshape(-1, n)
    other = _nearest(values, ~of_first)[of_first.T].reshape(-1, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        result = np.mean(np.log(other) - np.log(own), axis=1) + np.log(m / (n - 1))
    return np.where(np.isfinite(result), result, np.nan)


def _nearest(
    values: Float[np.ndarray, "both points"], there: np.ndarray
) -> Float[np.ndarray, "points both"]:
    """Distance of each sorted value to the nearest *other* value where ``there`` holds."""
    below = np.full_like(values, -np.inf)
    below[1:] = np.maximum.accumulate(np.where(there, values, -np.inf), axis=0)[:-1]
    above = np.full_like(values, np.inf)
    above[:-1] = np.minimum.accumulate(np.where(there, values, np.inf)[::-1], axis=0)[::-1][1:]
    return np.minimum(values - below, above - values).T


def _log_bias(models: int) -> float:
    """Mean of ``log s^2`` minus ``log sigma^2``, for a normal sample."""
    from scipy.special import digamma

    return float(digamma((models - 1) / 2) - np.log((models - 1) / 2))


def _of_block(
    first: Float[np.ndarray, "models points"],
    second: Float[np.ndarray, "others points"],
    bins: int,
    limits: tuple[float, float] | None,
) -> Float[np.ndarray, " points"]:
    """:func:`histogram` for few points."""
    from scipy.special import rel_entr

    one, two = _clipped(first), _clipped(second)
    if limits is None:
        low = np.minimum(one.min(0), two.min(0))
        high = np.maximum(one.max(0), two.max(0))
    else:
        low, high = (np.full(one.shape[1], edge) for edge in limits)
    p = _counts(one, low, high, bins, outside=limits is not None) / len(one)
    q = _counts(two, low, high, bins, outside=limits is not None) / len(two)
    return rel_entr(p, np.maximum(q, LEAST)).sum(axis=1)


def _clipped(values: Float[np.ndarray, "models points"]) -> Float[np.ndarray, "models points"]:
    inside = values.min() >= -CLIP and values.max() <= CLIP
    return values if inside else np.clip(values, -CLIP, CLIP)


def _counts(
    values: Float[np.ndarray, "models points"],
    low: Float[np.ndarray, " points"],
    high: Float[np.ndarray, " points"],
    bins: int,
    outside: bool,
) -> Int[np.ndarray, "points bins"]:
    """How many values of each point lie in each bin; the last bin holds its upper edge.

    If ``outside``, values may lie beyond the edges, and are then left out.
    """
    points = len(low)
    scaled = (np.clip(values, low, high) if outside else values) - low
    scaled *= bins / np.where(high > low, high - low, 1.0)
    cells = scaled.astype(np.intp)
    np.minimum(cells, bins - 1, out=cells)
    cells += np.arange(points) * bins
    counted = cells[(values >= low) & (values <= high)] if outside else cells.ravel()
    return np.bincount(counted, minlength=points * bins).reshape(points, bins)
