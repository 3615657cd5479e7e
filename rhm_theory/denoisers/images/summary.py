r"""Estimates of a study of pictures, with errors over starts and seeds.

The error over starts comes from a bootstrap: starts are drawn with replacement, the same ones for
all posteriors, times and seeds. The error over seeds is that of the mean of the seeds' values. Both
variances are added, which counts the noise of the trajectories twice. Intervals use Student's t
with the degrees of freedom of Welch and Satterthwaite. One seed has an error over starts only.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from rhm_theory.denoisers.images.loss_gate import MODEL, Gate, compared, flat_places
from rhm_theory.denoisers.images.measure import MEASURES
from rhm_theory.denoisers.images.study import Seed
from rhm_theory.experiment.measure import Estimate
from rhm_theory.experiment.seeds import mean_of_seeds
from theory_common import checks

# Among all trajectories; those that keep the class; those that keep the component or root.
AMONG = ("all", "class", "component")
DRAWS = 1000


class AgainstMixtures(NamedTuple):
    """The contrast of a posterior minus that of the flat mixture with the largest one.

    Attributes:
        difference: over starts and seeds. The largest one is found anew in every draw.
        strongest: the flat mixture with the largest mean contrast.
        beats_mixtures: of the gate. Where it is False, the model's contrast shows nothing.
    """

    difference: Estimate
    strongest: str
    beats_mixtures: bool


def susceptibility(
    key: jax.Array, seeds: Sequence[Seed], measure: str, among: str = "all"
) -> dict[str, Estimate]:
    """chi at each time, for each posterior.

    Args:
        key: of the bootstrap.
        seeds: of one study.
        measure: of the changes, one of ``MEASURES``.
        among: which trajectories, one of ``AMONG``.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    return _by_name(key, seeds, _sums(seeds, measure, among), chi)


def contrasts(
    key: jax.Array, seeds: Sequence[Seed], measure: str, among: str = "all"
) -> dict[str, Estimate]:
    """chi(peak) - chi(1) of each posterior; arguments as in :func:`susceptibility`."""
    return _by_name(key, seeds, _sums(seeds, measure, among), contrast)


def class_change(key: jax.Array, seeds: Sequence[Seed]) -> dict[str, Estimate]:
    """The share of trajectories with another class by the classifier, at each time."""
    changed = np.array([seed.changed for seed in seeds])
    return _by_name(key, seeds, np.stack([changed, np.ones_like(changed)], 3), chi)


def component_change(key: jax.Array, seeds: Sequence[Seed]) -> dict[str, Estimate]:
    """The share with another component, or another class where there are no components."""
    moved = np.array([seed.moved for seed in seeds])
    return _by_name(key, seeds, np.stack([moved, np.ones_like(moved)], 3), chi)


def against_mixtures(
    key: jax.Array, seeds: Sequence[Seed], measure: str, among: str = "all", of: str = MODEL
) -> AgainstMixtures:
    """The test of the protocol. ``of`` is the posterior; for others see :func:`susceptibility`."""
    names = seeds[0].names
    flat = flat_places(names)
    own = names.index(checks.choice("of", of, names))
    sums = _sums(seeds, measure, among)
    halves = np.arange(sums.shape[-1]) % 2

    def difference(weights: np.ndarray) -> np.ndarray:
        each = contrast(sums, weights, halves)
        return each[..., own, :] - each[..., flat, :].max(-2)

    mean = contrast(sums, np.ones((1, sums.shape[-1])), halves).mean((0, -1))
    return AgainstMixtures(
        difference=_combined(difference, _draws(key, halves)),
        strongest=names[flat[int(np.argmax(mean[flat]))]],
        beats_mixtures=gate(seeds, of).beats,
    )


def gate(seeds: Sequence[Seed], of: str = MODEL) -> Gate:
    """Compare the denoising loss of ``of`` with the best flat mixture's, picture by picture."""
    names = seeds[0].names
    checks.choice("of", of, names)
    return compared(names, [seed.losses.mean(1) for seed in seeds], of)


def chi(
    sums: Float[np.ndarray, "*batch times 2 starts"],
    weights: Float[np.ndarray, "draws starts"],
    halves: Int[np.ndarray, " starts"] | None = None,
) -> Float[np.ndarray, "*batch draws times"]:
    """The ratio of the weighted sums; NaN where nothing varies. ``halves`` is not used."""
    total, single = (np.swapaxes(sums[..., place, :] @ weights.T, -1, -2) for place in (0, 1))
    return np.divide(total, single, out=np.full_like(total, np.nan), where=single > 0)


def contrast(
    sums: Float[np.ndarray, "*batch times 2 starts"],
    weights: Float[np.ndarray, "draws starts"],
    halves: Int[np.ndarray, " starts"],
) -> Float[np.ndarray, "*batch draws"]:
    """chi(peak) - chi(last time): the peak of one half of the starts, read off the other.

    The mean of both ways. Noise alone gives 0 on average where chi is constant. Times at which
    nothing varies in one half are left out.
    """
    by_half = [chi(sums, weights * (halves == half)) for half in (0, 1)]
    found = []
    for chosen, read in (by_half, by_half[::-1]):
        known = np.isfinite(chosen) & np.isfinite(read)
        peak = np.where(known, chosen, -np.inf).argmax(-1)
        found.append(np.take_along_axis(read, peak[..., None], -1)[..., 0] - read[..., -1])
    return (found[0] + found[1]) / 2


def _sums(seeds: Sequence[Seed], measure: str, among: str) -> np.ndarray:
    """Of shape (seeds, posteriors, times, 2, starts)."""
    place = AMONG.index(checks.choice("among", among, AMONG))
    number = MEASURES.index(checks.choice("measure", measure, MEASURES))
    return np.array([seed.sums[:, :, place, :, number] for seed in seeds])


def _draws(key: jax.Array, halves: np.ndarray) -> np.ndarray:
    """How often each start is drawn, of shape (draws, starts); each half by itself."""
    counts = np.zeros((DRAWS, len(halves)))
    for half in (0, 1):
        places = np.flatnonzero(halves == half)
        of_half = jax.random.fold_in(checks.key("key", key), half)
        drawn = np.asarray(jax.random.randint(of_half, (DRAWS, len(places)), 0, len(places)))
        np.add.at(counts, (np.arange(DRAWS)[:, None], places[drawn]), 1)
    return counts


def _by_name(
    key: jax.Array, seeds: Sequence[Seed], sums: np.ndarray, statistic: Callable
) -> dict[str, Estimate]:
    halves = np.arange(sums.shape[-1]) % 2
    draws = _draws(key, halves)
    return {
        name: _combined(functools.partial(statistic, sums[:, number], halves=halves), draws)
        for number, name in enumerate(seeds[0].names)
    }


def _combined(statistic: Callable[[np.ndarray], np.ndarray], draws: np.ndarray) -> Estimate:
    """From weights ``(draws, starts)`` to values ``(seeds, draws, ...)``, as an estimate."""
    starts = draws.shape[1]
    by_seed = statistic(np.ones((1, starts)))[:, 0]
    return mean_of_seeds(by_seed, statistic(draws).mean(0).var(0, ddof=1), starts)
