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

import numpy as np
from jaxtyping import Float, Int

BINS = 20
LEAST = 1e-5  # the least probability of a bin of Q that P reaches
CLIP = 100.0


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
        limits: first and last edge. By default they are the least and the largest margin of both
            samples at the point; each sample lies in some bin, the largest in the last.
    """
    one = np.clip(first, -CLIP, CLIP)
    two = np.clip(second, -CLIP, CLIP)
    if limits is None:
        low = np.minimum(one.min(0), two.min(0))
        high = np.maximum(one.max(0), two.max(0))
    else:
        low, high = (np.full(one.shape[1], edge) for edge in limits)
    p = _counts(one, low, high, bins) / len(one)
    q = np.maximum(_counts(two, low, high, bins) / len(two), LEAST)
    return np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0) / q), 0.0), axis=1)


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

    Being without bias, it can be slightly negative. If all margins of Q agree, the result is
    infinite, and 0 if those of P have the same value. If only those of P agree, it is infinite.
    Source: new.

    Args:
        first, second: margins of at least 2 and 4 models.
    """
    n, m = len(first), len(second)
    spread_p = first.var(0, ddof=1)
    spread_q = second.var(0, ddof=1)
    gap = (first.mean(0) - second.mean(0)) ** 2
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


def _counts(
    values: Float[np.ndarray, "models points"],
    low: Float[np.ndarray, " points"],
    high: Float[np.ndarray, " points"],
    bins: int,
) -> Int[np.ndarray, "points bins"]:
    """How many values of each point lie in each bin; those beyond the edges are left out."""
    points = len(low)
    width = np.where(high > low, high - low, 1.0)
    scaled = (values - low) * (bins / width)
    # The last bin holds its upper edge.
    index = np.minimum(np.floor(scaled).astype(np.int64), bins - 1)
    inside = (values >= low) & (values <= high)
    cells = index + np.arange(points) * bins
    cells = cells.ravel() if inside.all() else cells[inside]
    return np.bincount(cells, minlength=points * bins).reshape(points, bins)
