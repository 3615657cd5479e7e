r"""Flat controls for pictures: mixtures of Gaussians, whose posterior is exact.

Given :math:`x_t = a x + \sigma z`, component k with weight w, mean m and covariance
:math:`U \operatorname{diag}(s)\, U^\top` has the responsibility

.. math:: r_k \propto w_k\, N(x_t;\; a m_k,\; U (a^2 s + \sigma^2) U^\top),

and within it, mode by mode with :math:`y = U^\top (x_t - a m)`, the clean picture is normal with
mean :math:`a s y/(a^2 s + \sigma^2)` and variance :math:`s \sigma^2/(a^2 s + \sigma^2)`. A mixture
has no hierarchy: its only discrete variable is the component. One Gaussian has none.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from rhm_theory.denoisers.images.data import Pictures
from theory_common import checks

CLUSTERS = 50
LEAST_MEMBERS = 2  # of a cluster, to have a covariance of its own


class Draws(NamedTuple):
    """Clean pictures, and of each the component (or the class) that it was drawn from."""

    pictures: Float[np.ndarray, "batch side side"]
    component: Int[np.ndarray, " batch"]


@dataclasses.dataclass(frozen=True, eq=False)
class GaussianMixture:
    """A mixture of Gaussians over the pixels of pictures.

    Attributes:
        name: what it is called.
        weights: of the components, with sum 1.
        means: of the components.
        axes: the eigenvectors of each covariance, as columns.
        variances: its eigenvalues, >= 0.
    """

    name: str
    weights: Float[np.ndarray, " k"]
    means: Float[np.ndarray, "k d"]
    axes: Float[np.ndarray, "k d d"]
    variances: Float[np.ndarray, "k d"]

    def responsibilities(
        self, noised: Float[np.ndarray, "batch side side"], time: float
    ) -> Float[np.ndarray, "batch k"]:
        """The probability of each component given the noised picture; ``time`` in [0, 1]."""
        _, noise = scales(time)
        logs = np.empty((len(noised), len(self.weights)))
        for k, rotated, total in self._modes(noised, time):
            if noise == 0 and not (self.variances[k] > 0).all():
                raise ValueError("time must be > 0 for a mixture with a variance of 0, got 0")
            logs[:, k] = np.log(self.weights[k]) - (rotated**2 / total + np.log(total)).sum(-1) / 2
        found = np.exp(logs - logs.max(-1, keepdims=True))
        return found / found.sum(-1, keepdims=True)

    def denoised(
        self, noised: Float[np.ndarray, "batch side side"], time: float
    ) -> Float[np.ndarray, "batch side side"]:
        """The mean of the clean picture given the noised one, at ``time`` in (0, 1]."""
        signal, _ = scales(time)
        share = self.responsibilities(noised, time)
        found = share @ self.means
        for k, rotated, total in self._modes(noised, time):
            gain = signal * self.variances[k] / total
            found += share[:, k, None] * ((rotated * gain) @ self.axes[k].T)
        return found.reshape(noised.shape)

    def sample_posterior(
        self, key: jax.Array, noised: Float[np.ndarray, "batch side side"], time: float
    ) -> Draws:
        """One exact sample of the clean picture for each noised one.

        Args:
            key: of the samples.
            noised: pictures at ``time``.
            time: in (0, 1].
        Raises: ``TypeError`` that names ``key``.
        """
        checks.key("key", key)
        signal, noise = scales(time)
        for_component, for_picture = jax.random.split(key)
        rows = noised.reshape(len(noised), -1)
        below = np.cumsum(self.responsibilities(noised, time), -1)
        uniform = np.asarray(jax.random.uniform(for_component, (len(rows), 1)), float)
        component = (uniform * below[:, -1:] >= below).sum(-1).clip(max=len(self.weights) - 1)
        white = np.asarray(jax.random.normal(for_picture, rows.shape), float)
        found = np.empty(rows.shape)
        for k in np.unique(component):
            of = component == k
            total = signal**2 * self.variances[k] + noise**2
            rotated = (rows[of] - signal * self.means[k]) @ self.axes[k]
            mean = rotated * signal * self.variances[k] / total
            spread = noise * np.sqrt(self.variances[k] / total)
            found[of] = self.means[k] + (mean + spread * white[of]) @ self.axes[k].T
        return Draws(pictures=found.reshape(noised.shape), component=component)

    def _modes(
        self, noised: Float[np.ndarray, "batch side side"], time: float
    ) -> Iterator[tuple[int, Float[np.ndarray, "batch d"], Float[np.ndarray, " d"]]]:
        """Each component, with the rotated rows about its mean and the variance of each mode."""
        signal, noise = scales(time)
        rows = noised.reshape(len(noised), -1).astype(float)
        for k, (mean, axes) in enumerate(zip(self.means, self.axes, strict=True)):
            total = signal**2 * self.variances[k] + noise**2
            yield k, (rows - signal * mean) @ axes, total


def one_gaussian(pictures: Pictures) -> GaussianMixture:
    """One Gaussian, with the shrunk covariance of Ledoit and Wolf (scikit-learn)."""
    return fitted("one Gaussian", [_rows(pictures)])


def of_classes(pictures: Pictures, *, diagonal: bool = False) -> GaussianMixture:
    """One Gaussian for each class; ``diagonal`` leaves out the covariances between pixels."""
    rows = _rows(pictures)
    parts = [rows[pictures.train_labels == label] for label in range(pictures.classes)]
    name = "diagonal class Gaussians" if diagonal else "class Gaussians"
    return fitted(name, parts, diagonal=diagonal)


def of_clusters(pictures: Pictures, seed: int, count: int = CLUSTERS) -> GaussianMixture:
    """One Gaussian for each cluster of k-means (scikit-learn).

    Args:
        pictures: whose training pictures are clustered.
        seed: of k-means.
        count: clusters. Those with fewer than two pictures are left out.
    """
    from sklearn.cluster import KMeans

    rows = _rows(pictures)
    found = KMeans(checks.whole("count", count, least=1), n_init=1, random_state=seed).fit(rows)
    parts = [rows[found.labels_ == label] for label in range(count)]
    parts = [part for part in parts if len(part) >= LEAST_MEMBERS]
    return fitted(f"{count} k-means Gaussians", parts)


def fitted(
    name: str, parts: Sequence[Float[np.ndarray, "_n d"]], *, diagonal: bool = False
) -> GaussianMixture:
    """A mixture with one Gaussian for each of the ``parts`` of the rows."""
    covariances = [_covariance(part, diagonal) for part in parts]
    variances, axes = zip(*(np.linalg.eigh(one) for one in covariances), strict=True)
    counts = np.array([len(part) for part in parts], float)
    return GaussianMixture(
        name=name,
        weights=counts / counts.sum(),
        means=np.array([part.mean(0) for part in parts]),
        axes=np.array(axes),
        variances=np.maximum(variances, 0),
    )


def scales(time: float) -> tuple[float, float]:
    """What the noise leaves of the picture, and its standard deviation, at ``time`` in [0, 1]."""
    if not 0 <= time <= 1:
        raise ValueError(f"time must lie in [0, 1], got {time}")
    # As in schedule, in float64 whatever the setting of JAX.
    return math.cos(math.pi / 2 * time), math.sin(math.pi / 2 * time)


def _covariance(rows: Float[np.ndarray, "n d"], diagonal: bool) -> Float[np.ndarray, "d d"]:
    from sklearn.covariance import ledoit_wolf

    shrunk, _ = ledoit_wolf(rows)
    return np.diag(np.diag(shrunk)) if diagonal else shrunk


def _rows(pictures: Pictures) -> Float[np.ndarray, "n d"]:
    return pictures.train.reshape(len(pictures.train), -1).astype(float)
