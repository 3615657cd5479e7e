r"""What is measured on pictures: changes of places, their susceptibility, classes, the loss.

A start gives R trajectories: each is noised up to time t anew, and denoised by one sample. The
*change* of a place is a real number, by one of these measures:

* ``pixels``: the pixel minus that of the start.
* ``patches``: the norm of that difference over 2 x 2 pixels.
* ``f1``, ``f2``, ``f3``: the norm of the difference of a classifier's features at a place of its
  grid, which depends on 4, 8 and 12 pixels in each direction.

With the covariance of the changes over the trajectories of a start, the susceptibility is
:math:`\chi = \sum_{ij} C_{ij} / \sum_i C_{ii}`. Means are subtracted for each start. The sums over
starts are taken before the ratio.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from rhm_theory.denoisers.images.classifier import Classifier, seen
from rhm_theory.denoisers.images.mixtures import Draws, scales
from rhm_theory.experiment.within import UNKNOWN, within_sums

MEASURES = ("pixels", "patches", "f1", "f2", "f3")
PATCH = 2


@runtime_checkable
class Posterior(Protocol):
    """A law of the clean picture given a noised one."""

    def denoised(self, noised: Any, time: Any) -> Any:
        """The mean of the clean picture, given pictures ``(batch, side, side)`` at one time."""
        ...

    def sample_posterior(self, key: jax.Array, noised: Any, time: Any) -> Any:
        """One sample for each: :class:`Draws`, or pictures where there are no components."""
        ...


class Level(NamedTuple):
    """One posterior at one time.

    Attributes:
        total: of each measure and start, the variance of the summed changes.
        single: of each measure and start, the sum of the variances of the places.
        class_total, class_single: the same sums among trajectories that keep the class by the
            classifier, each weighted by their number minus 1.
        within_total, within_single: the same among those that keep their component (or root). It is
            the classifier's class where the posterior draws none.
        changed: which trajectories have another class than the start, by the classifier.
        moved: which have another component (or root) than the start; the classifier's class where
            the posterior draws none.
    """

    total: Float[np.ndarray, "measures starts"]
    single: Float[np.ndarray, "measures starts"]
    class_total: Float[np.ndarray, "measures starts"]
    class_single: Float[np.ndarray, "measures starts"]
    within_total: Float[np.ndarray, "measures starts"]
    within_single: Float[np.ndarray, "measures starts"]
    changed: Bool[np.ndarray, "starts trajectories"]
    moved: Bool[np.ndarray, "starts trajectories"]


def level(
    keys: tuple[jax.Array, jax.Array],
    posterior: Posterior,
    classifier: Classifier,
    starts: Float[np.ndarray, "starts side side"],
    groups: Int[np.ndarray, " starts"] | None,
    time: float,
    trajectories: int,
) -> Level:
    """All measures at one time.

    Args:
        keys: of the noise, and of the samples. The same noise serves all posteriors.
        posterior: what denoises.
        classifier: for the features and the class.
        starts: clean pictures.
        groups: the component of each start, for a posterior that draws components.
        time: of the noise, in (0, 1].
        trajectories: of each start, at least 2.
    """
    if trajectories < 2:
        raise ValueError(f"trajectories must be at least 2, got {trajectories}")
    clean = np.repeat(starts, trajectories, 0).astype(np.float64)
    white = np.asarray(jax.random.normal(keys[0], clean.shape), float)
    signal, noise = scales(time)
    drawn = posterior.sample_posterior(keys[1], signal * clean + noise * white, time)
    found = drawn.pictures if isinstance(drawn, Draws) else np.asarray(drawn, float)
    shape = (len(starts), trajectories)
    classes, by_measure = changes(classifier, starts, found.reshape(*shape, *starts.shape[1:]))
    own, _ = seen(classifier, starts)
    changed = classes != own[:, None]
    moved = changed
    if isinstance(drawn, Draws):
        if groups is None:
            raise ValueError("groups must be given for a posterior that draws components")
        moved = drawn.component.reshape(shape) != groups[:, None]
    of_class = _kept_sums(by_measure, ~changed)
    within = _kept_sums(by_measure, ~moved)
    return Level(
        total=np.array([one.sum(-1).var(-1, ddof=1) for one in by_measure]),
        single=np.array([one.var(1, ddof=1).sum(-1) for one in by_measure]),
        class_total=of_class[0],
        class_single=of_class[1],
        within_total=within[0],
        within_single=within[1],
        changed=changed,
        moved=moved,
    )


def _kept_sums(
    by_measure: list[Float[np.ndarray, "starts k places"]], kept: Bool[np.ndarray, "starts k"]
) -> tuple[Float[np.ndarray, "measures starts"], Float[np.ndarray, "measures starts"]]:
    """Total and single variances among the trajectories that are ``kept``."""
    sums = [within_sums(one, np.where(kept, 0, UNKNOWN)).pair_sums for one in by_measure]
    singles = np.array([one[:, 0] for one in sums])
    return singles + 2 * np.array([one[:, 1:].sum(-1) for one in sums]), singles


def changes(
    classifier: Classifier,
    starts: Float[np.ndarray, "starts side side"],
    found: Float[np.ndarray, "starts trajectories side side"],
) -> tuple[Int[np.ndarray, "starts trajectories"], list[Float[np.ndarray, "starts k places"]]]:
    """The class of each trajectory, and the changes of all places by each measure."""
    shape = found.shape[:2]
    side = found.shape[-1]
    pixels = (found - starts[:, None]).reshape(*shape, -1)
    cells = (side // PATCH, PATCH, side // PATCH, PATCH)
    squares = (pixels**2).reshape(*shape, *cells)
    patches = np.sqrt(squares.sum((3, 5))).reshape(*shape, -1)
    _, at_start = seen(classifier, starts)
    classes, at_end = seen(classifier, found.reshape(-1, side, side))
    by_measure = [pixels, patches]
    for name in MEASURES[2:]:
        ends = at_end[name].reshape(*shape, *at_end[name].shape[1:])
        by_measure.append(np.linalg.norm(ends - at_start[name][:, None], axis=-1))
    return classes.reshape(shape), [one.astype(float) for one in by_measure]


def denoising_losses(
    key: jax.Array,
    posterior: Posterior,
    pictures: Float[np.ndarray, "n side side"],
    times: int = 16,
) -> Float[np.ndarray, "times n"]:
    r"""The squared error of the velocity, :math:`|\hat x - x|^2/\sigma^2` for each pixel.

    The same key gives the same noise for every posterior, so that differences are paired.

    Args:
        key: of the noise.
        posterior: whose mean is compared with the clean picture.
        pictures: clean ones that nothing was fitted to.
        times: how many, evenly spread over (0, 1).
    """
    found = []
    for number, time in enumerate((np.arange(times) + 0.5) / times):
        white = np.asarray(jax.random.normal(jax.random.fold_in(key, number), pictures.shape))
        signal, noise = scales(float(time))
        noised = signal * pictures.astype(float) + noise * white
        error = np.asarray(posterior.denoised(noised, float(time)), float) - pictures
        found.append((error**2).mean((1, 2)) / noise**2)
    return np.array(found)
