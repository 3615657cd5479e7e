r"""Gaussian noise that hides what is left of the forgotten rows.

Two published models, :math:`w^- + \sigma z` after deletion and :math:`w_R + \sigma z` after
retraining, with the same :math:`\sigma` and standard normal z, are *indistinguishable up to*
:math:`(\varepsilon, \delta)` if for every set S of models each of the two probabilities of S is at
most :math:`e^\varepsilon` times the other plus :math:`\delta`. That depends on the distance
:math:`\Delta = |w^- - w_R|` alone, through :math:`\Delta/\sigma`.
"""

import hashlib
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from theory_common import checks

Floats = np.ndarray


class Noise(NamedTuple):
    """Gaussian noise on every coordinate of published weights, and what it guarantees.

    * ``scale``: the standard deviation.
    * ``epsilon``, ``delta``: of the guarantee.
    * ``distance``: the distance between both models, before the noise, up to which it holds.
    """

    scale: float
    epsilon: float
    delta: float
    distance: float


def gaussian_noise(distance: float, epsilon: float, delta: float) -> Noise:
    """The least noise that makes two models at most ``distance`` apart indistinguishable.

    This is the analytic Gaussian mechanism. Its condition is exact, so no smaller noise will do:

    ``Phi(D/2s - eps s/D) - exp(eps) Phi(-D/2s - eps s/D) <= delta``, with ``D`` the distance and
    ``s`` the scale.

    Args:
        distance: a bound on the distance of both models, finite and >= 0.
        epsilon: finite and >= 0.
        delta: between 0 and 1, both excluded.
    Returns: :class:`Noise`.
    Raises: ``ValueError`` that names the argument.
    Source: Balle and Wang, ICML 2018, Theorem 8.
    """
    distance = float(checks.nonnegative("distance", distance))
    epsilon, delta = checked_budget(epsilon, delta)
    return Noise(distance / _largest_ratio(epsilon, delta), epsilon, delta, distance)


def checked_budget(epsilon: float, delta: float) -> tuple[float, float]:
    """Both as floats.

    Raises: ``ValueError`` unless ``epsilon`` is finite and >= 0, and ``0 < delta < 1``.
    """
    epsilon = float(checks.one("epsilon", checks.nonnegative("epsilon", epsilon)))
    delta = float(checks.one("delta", checks.positive("delta", delta)))
    if not delta < 1:
        raise ValueError(f"delta must be > 0 and < 1, got {delta:g}")
    return epsilon, delta


def delta_of(ratio: float, epsilon: float) -> float:
    """The least ``delta`` of two normal laws whose means are ``ratio`` standard deviations apart.

    Source: Balle and Wang, ICML 2018, Theorem 8.
    """
    from scipy.special import log_ndtr

    if ratio == 0:
        return 0.0
    upper = log_ndtr(ratio / 2 - epsilon / ratio)
    lower = epsilon + log_ndtr(-ratio / 2 - epsilon / ratio)
    return float(-math.exp(upper) * math.expm1(min(lower - upper, 0.0)))


def _largest_ratio(epsilon: float, delta: float) -> float:
    """The largest ratio of distance and scale with ``delta_of(ratio, epsilon) <= delta``."""
    from scipy.optimize import brentq

    low, high = 0.0, 1.0
    while delta_of(high, epsilon) < delta:
        low, high = high, 2 * high
    found = brentq(lambda ratio: delta_of(ratio, epsilon) - delta, low, high, xtol=1e-300)
    # On the safe side of the root.
    while delta_of(found, epsilon) > delta:
        found *= 1 - 1e-12
    return found


def drawn(
    noise: Noise, size: int, seed: int, forget: Bool[np.ndarray, " n"]
) -> Float[Floats, " d"]:
    """The noise itself, from NumPy's generator.

    Args:
        noise: its scale.
        size: the number of weights.
        seed: a secret. Whoever knows it can subtract the noise. So it must not be guessed either:
            take ``secrets.randbits(128)``.
        forget: the rows that are not in the model. Other rows get other noise from the same seed.
    """
    rows = hashlib.sha256(np.packbits(forget).tobytes()).digest()
    generator = np.random.default_rng(
        [checks.whole("seed", seed), int.from_bytes(rows), len(forget)]
    )
    return noise.scale * generator.standard_normal(size)


def descent_to_delete_scale(
    lipschitz: float,
    strong_convexity: float,
    smoothness: float,
    count: int,
    steps: int,
    epsilon: float,
    delta: float,
) -> float:
    r"""The standard deviation of Descent-to-Delete, as its Theorem 3.1 states it.

    .. math:: \sigma = \frac{4\sqrt2\, L \gamma^I}
              {m n (1-\gamma^I) (\sqrt{\log(1/\delta) + \varepsilon} - \sqrt{\log(1/\delta)})},
              \qquad \gamma = \frac{M-m}{M+m} .

    Derived again: an update moves the minimum of a mean of :math:`n'` losses by at most
    :math:`2L/(mn')`. I steps contract by :math:`\gamma^I`, so the steady error is
    :math:`\gamma^I/(1-\gamma^I)` times this, and two runs are twice as far apart. The Gaussian
    mechanism through its Rényi divergence needs :math:`\sigma = \Delta/(\sqrt2(\ldots))`. Together
    this is :math:`2\sqrt2` with :math:`n'` for n. So the constant :math:`4\sqrt2` is right if at
    least half of the n rows always remain. It is twice too large if n is the number of rows now.

    Args:
        lipschitz, strong_convexity, smoothness: L, m and M of the loss of one row with its ridge.
        count: n.
        steps: I, of gradient descent with step size 2/(m + M) after each update.
        epsilon, delta: of the guarantee.
    Source: Neel, Roth and Sharifi-Malvajerdi, ALT 2021, Theorem 3.1.
    """
    contraction = ((smoothness - strong_convexity) / (smoothness + strong_convexity)) ** steps
    logarithm = math.log(1 / delta)
    # sqrt(a + b) - sqrt(a) without cancellation.
    root = epsilon / (math.sqrt(logarithm + epsilon) + math.sqrt(logarithm))
    unit = lipschitz * contraction / (strong_convexity * count * (1 - contraction))
    return 4 * math.sqrt(2) * unit / root
