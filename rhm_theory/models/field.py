r"""A control without a hierarchy: a Gaussian field, whose susceptibility has no peak.

The sites lie on a ring, or on a torus of two or three dimensions. A field is given as a list of all
its sites, ``(*batch, length)``, in the row-major order of the grid.

The field has correlations of every length, by a power-law spectrum. Gaussian noise of level
:math:`\sigma^2 = 1 - \bar\alpha` turns it into
:math:`x_t = \sqrt{\bar\alpha}\, x_0 + \sigma z` (:class:`rhm_theory.GaussianNoise`). In Fourier
space all modes are independent, so the posterior is exact. The *change* of a site is the real
number :math:`\hat x_0 - x_0`, where :math:`\hat x_0` is a sample of the posterior.
"""

import dataclasses
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float

from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable
from theory_common.pytrees import pytree


@readable()
class FieldResponse(NamedTuple):
    """Covariance of the change at a given start, over noise and posterior samples.

    It does not depend on the start.

    Attributes:
        modes: the power spectrum of the change, in the layout of the field's ``spectrum``.
        covariance: by the offset between two sites. On a ring the offset is the distance r = 0 ..
            length - 1. On a torus the array has the grid's shape.
        susceptibility: the sum of the covariance over all pairs of sites, over that of the
            variances of the single sites.
    """

    modes: Float[AnyArray, "*batch_and_modes"]
    covariance: Float[AnyArray, "*batch_and_grid"]
    susceptibility: Float[AnyArray, "*batch"]


@readable()
class FieldMarginals(NamedTuple):
    """The posterior of every site, a normal law with this ``mean`` and ``variance``."""

    mean: Float[AnyArray, "*batch length"]
    variance: Float[AnyArray, "*batch length"]


@readable()
class FieldMoments(NamedTuple):
    """The posterior law of the changes of a field, given a noised one.

    Attributes:
        mean: of the sum of all changes.
        variance: of that sum.
        leaf_changed: the mean change of each site.
        leaf_variance: the sum over the sites of their variances.
    """

    mean: Float[AnyArray, "*batch"]
    variance: Float[AnyArray, "*batch"]
    leaf_changed: Float[AnyArray, "*batch length"]
    leaf_variance: Float[AnyArray, "*batch"]

    @property
    def susceptibility(self) -> Float[AnyArray, "*batch"]:
        """Variance of the sum over the sum of the sites' variances; NaN where nothing varies."""
        return self.variance / self.leaf_variance


@pytree(static=("grid",))
@dataclasses.dataclass(frozen=True, eq=False)
class GaussianField:
    """A stationary Gaussian field of unit variance; made by :func:`gaussian_field`.

    A ``likelihood`` is a :class:`rhm_theory.noise.processes.GaussianLikelihood`: what
    ``GaussianNoise(level).likelihood(noised)`` gives.

    Attributes:
        spectrum: the variance of each mode, in the layout of ``numpy.fft.rfftn``: on a ring those
            of k = 0 .. length//2. Its mean over all modes is 1.
        grid: the number of sites of each direction.
    """

    spectrum: Float[AnyArray, "*modes"]
    grid: tuple[int, ...]

    @property
    def length(self) -> int:
        """The number of sites."""
        return math.prod(self.grid)

    @backed_by("gaussian-control-response", "gaussian-control-monotone")
    def response(self, level: Float[ArrayLike, "*batch"]) -> FieldResponse:
        r"""The covariance of the change, averaged over the noise, in closed form.

        .. math:: C(k) = \sigma^2 S_k
            \frac{2\bar\alpha S_k + \sigma^2}{(\bar\alpha S_k + \sigma^2)^2}, \qquad \chi = C(0) /
            \operatorname{mean}_k C(k).

        With :math:`u = \bar\alpha S_k/\sigma^2`, :math:`C \propto u(2u+1)/(u+1)^2`. The logarithmic
        slope of this falls with u. So where the spectrum is largest at k = 0, the susceptibility
        has no peak: it never falls. It goes from N/N₊, its limit at level 0, to
        :math:`S_0/\operatorname{mean} S` at level 1. N₊ of the N modes have S_k > 0. It is constant
        if every mode has 0 or S_0.

        Args: level: :math:`\sigma^2` of the noise in [0, 1], any shape.
        Raises: ``TypeError`` or ``ValueError`` that names ``level``.
        Accuracy: a few eps, nothing cancels.
        Source: new. Claims: ``gaussian-control-response``, ``gaussian-control-monotone``.
        """
        level = checks.require(
            "level", level, lambda value: (value >= 0) & (value <= 1), "in [0, 1]"
        )
        level = level.reshape(*level.shape, *(1,) * len(self.grid))
        signal = (1 - level) * self.spectrum
        per_level = self.spectrum * (2 * signal + level) / (signal + level) ** 2
        return FieldResponse(
            modes=level * per_level,
            covariance=level * _to_sites(per_level, self.grid),
            susceptibility=self._uniform(per_level) / _mean_over_modes(per_level, self.grid),
        )

    def sample(self, key: Array, shape: tuple[int, ...] = ()) -> Float[AnyArray, "*shape length"]:
        """Independent fields.

        Args:
            key: of the samples.
            shape: of the batch.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        """
        checks.key("key", key)
        shape = (*checks.sizes("shape", shape), self.length)
        white = jax.random.normal(key, shape, self.spectrum.dtype)
        return self._filtered(white, jnp.sqrt(self.spectrum))

    def log_evidence(self, likelihood) -> Float[AnyArray, "*batch"]:
        r"""Log density of the noised field.

        Its modes are normal, with variance :math:`\bar\alpha S_k + \sigma^2`.

        Args: likelihood: a noised field and the level of its noise.
        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        """
        level, noised = self._seen(likelihood)
        total = (1 - level) * self.spectrum + level
        power = jnp.abs(_to_modes(noised, self.grid)) ** 2 / self.length
        per_mode = power / total + jnp.log(2 * jnp.pi * total)
        return -self.length / 2 * _mean_over_modes(per_mode, self.grid)

    def marginals(self, likelihood) -> FieldMarginals:
        """The posterior of every site.

        Args: likelihood: a noised field and the level of its noise.
        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        """
        level, noised = self._seen(likelihood)
        mean = self._posterior_mean(level, noised)
        variance = _mean_over_modes(self._posterior_modes(level), self.grid)
        return FieldMarginals(mean=mean, variance=jnp.broadcast_to(variance[..., None], mean.shape))

    @backed_by("gaussian-control-response")
    def sample_posterior(
        self, key: Array, likelihood, shape: tuple[int, ...] = ()
    ) -> Float[AnyArray, "*batch length"]:
        """Independent exact samples of the clean field given each noised one.

        Args:
            key: of the samples.
            likelihood: noised fields and the level of their noise.
            shape: how many samples of each.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        Claim: ``gaussian-control-response``.
        """
        checks.key("key", key)
        shape = checks.sizes("shape", shape)
        level, noised = self._seen(likelihood)
        mean = self._posterior_mean(level, noised)
        white = jax.random.normal(key, (*shape, *mean.shape), mean.dtype)
        return mean + self._filtered(white, jnp.sqrt(self._posterior_modes(level)))

    def change_moments(self, likelihood, start: Float[ArrayLike, "*#batch length"]) -> FieldMoments:
        r"""Mean and variance of :math:`\sum_i (\hat x_i - x_i)` over the posterior, in closed form.

        Args:
            likelihood: a noised field and the level of its noise.
            start: the field before the noise.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        """
        level, noised, start = self._seen_from(likelihood, start)
        mean = self._posterior_mean(level, noised) - start
        modes = self._posterior_modes(level)
        batch = mean.shape[:-1]
        leaf_variance = self.length * _mean_over_modes(modes, self.grid)
        return FieldMoments(
            mean=mean.sum(-1),
            variance=jnp.broadcast_to(self.length * self._uniform(modes), batch),
            leaf_changed=mean,
            leaf_variance=jnp.broadcast_to(leaf_variance, batch),
        )

    def change_correlations(
        self, likelihood, start: Float[ArrayLike, "*#batch length"]
    ) -> Float[AnyArray, "*batch length length"]:
        """Covariance matrix of the changes over the posterior, given the noised field.

        Args:
            likelihood: a noised field and the level of its noise.
            start: the field before the noise; only its batch matters.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        """
        level, noised, start = self._seen_from(likelihood, start)
        by_offset = _to_sites(self._posterior_modes(level), self.grid)
        by_offset = by_offset.reshape(*level.shape[: -len(self.grid)], self.length)
        sites = np.stack(np.unravel_index(np.arange(self.length), self.grid))
        offsets = sites[:, :, None] - sites[:, None]
        matrix = by_offset[..., np.ravel_multi_index(tuple(offsets), self.grid, mode="wrap")]
        batch = jnp.broadcast_shapes(noised.shape, start.shape)[:-1]
        return jnp.broadcast_to(matrix, (*batch, self.length, self.length))

    def _posterior_mean(self, level: Array, noised: Array) -> Array:
        total = (1 - level) * self.spectrum + level
        return self._filtered(noised, jnp.sqrt(1 - level) * self.spectrum / total)

    def _posterior_modes(self, level: Array) -> Array:
        """The variance of each mode of the clean field, given the noised one."""
        return self.spectrum * level / ((1 - level) * self.spectrum + level)

    def _filtered(self, field: Array, gain: Array) -> Array:
        filtered = _to_sites(gain * _to_modes(field, self.grid), self.grid)
        return filtered.reshape(*filtered.shape[: -len(self.grid)], self.length)

    def _uniform(self, modes: Array) -> Array:
        """The mode k = 0."""
        return modes[(..., *(0,) * len(self.grid))]

    def _seen(self, likelihood) -> tuple[Array, Array]:
        """The level of the noise, with axes for the modes, and the noised field."""
        if not (hasattr(likelihood, "noised") and hasattr(likelihood, "level")):
            raise TypeError(
                "likelihood must be what GaussianNoise(level).likelihood(noised) gives, "
                f"got {type(likelihood).__name__}"
            )
        values = checks.reals(level=likelihood.level, noised=likelihood.noised)
        level = values["level"]
        noised = self._field("noised", values["noised"])
        checks.common_shape(noised=noised.shape[:-1], level=level.shape)
        return level.reshape(*level.shape, *(1,) * len(self.grid)), noised

    def _seen_from(self, likelihood, start) -> tuple[Array, Array, Array]:
        level, noised = self._seen(likelihood)
        start = self._field("start", start)
        batch = noised.shape[:-1]
        levels = level.shape[: -len(self.grid)]
        checks.common_shape(noised=batch, level=levels, start=start.shape[:-1])
        return level, noised, start

    def _field(self, name: str, value) -> Array:
        field = checks.finite(name, value)
        if field.shape[-1:] != (self.length,):
            raise ValueError(
                f"{name} must have a last axis of {self.length} sites, got shape {field.shape}"
            )
        return field


@backed_by("gaussian-control-decay")
def gaussian_field(shape: int | tuple[int, ...], decay: Float[ArrayLike, ""]) -> GaussianField:
    r"""A field with :math:`S_k \propto |k|^{-decay}`; S_0 is that of the smallest wave number.

    On a ring :math:`k = 2\pi j/length`. For 0 < decay < dimension its correlations fall with the
    distance r like :math:`r^{-(dimension-decay)}`, which the claim proves for the ring. Decay 0 is
    white noise.

    Args:
        shape: number of sites of the ring, at least 2; or of each direction of a torus, of at most
            three dimensions.
        decay: one number, finite and >= 0.

    Raises: ``ValueError`` or ``TypeError`` that names the argument.
    Claim: ``gaussian-control-decay``.
    """
    grid = shape if isinstance(shape, tuple) else (shape,)
    if not 1 <= len(grid) <= 3:
        raise ValueError(f"shape must have 1 to 3 directions, got {shape}")
    grid = tuple(checks.whole("shape", sites, least=2) for sites in grid)
    decay = checks.nonnegative("decay", checks.one("decay", decay))
    # In units of the smallest wave number.
    axes = [np.fft.fftfreq(sites, 1 / max(grid)) for sites in grid[:-1]]
    axes.append(np.fft.rfftfreq(grid[-1], 1 / max(grid)))
    wave = np.sqrt(sum(axis**2 for axis in np.ix_(*axes)))
    spectrum = jnp.asarray(np.maximum(wave, 1), decay.dtype) ** -decay
    return GaussianField(spectrum=spectrum / _mean_over_modes(spectrum, grid), grid=grid)


@functools.partial(jax.jit, static_argnums=1)
def _to_modes(field: Array, grid: tuple[int, ...]) -> Array:
    """The Fourier transform of sites ``(*batch, length)``: half of the modes, the others mirror."""
    axes = tuple(range(-len(grid), 0))
    return jnp.fft.rfftn(field.reshape(*field.shape[:-1], *grid), axes=axes)


@functools.partial(jax.jit, static_argnums=1)
def _to_sites(half: Array, grid: tuple[int, ...]) -> Array:
    """Back to the sites, as arrays ``(*batch, *grid)``."""
    return jnp.fft.irfftn(half, grid, axes=tuple(range(-len(grid), 0)))


@functools.partial(jax.jit, static_argnums=1)
def _mean_over_modes(half: Array, grid: tuple[int, ...]) -> Array:
    """Mean over all modes, from those of ``rfftn``: most of the others mirror these."""
    times = np.full(half.shape[-1], 2)
    times[0] = 1
    if grid[-1] % 2 == 0:
        times[-1] = 1
    axes = tuple(range(-len(grid), 0))
    return (half * times.astype(half.dtype)).sum(axes) / math.prod(grid)
