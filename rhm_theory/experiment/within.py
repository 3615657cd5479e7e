r"""The susceptibility *within a group*: which sites change together among alike trajectories?

A hierarchy and a flat mixture both give a susceptibility with a peak over the noise. In a flat
mixture the peak consists of trajectories that changed their component. So compare only trajectories
of one start that have the same *group*, such as the same class.

Let start a have the trajectories k, with the groups g(k). Let :math:`n_{ki}` be the change of site
i, and :math:`\bar n_{gi}` its mean over the :math:`K_{ag}` trajectories of start a and group g. The
unbiased covariance of a start and a group, and the susceptibility, are

.. math:: C^{ag}_{ij} = \frac{1}{K_{ag} - 1} \sum_{k:\,g(k) = g}
          (n_{ki} - \bar n_{gi})(n_{kj} - \bar n_{gj}), \qquad
          \chi_{\text{within}} = \frac{\sum_{a,g} (K_{ag} - 1) \sum_{ij} C^{ag}_{ij}}
          {\sum_{a,g} (K_{ag} - 1) \sum_i C^{ag}_{ii}} .

The weights :math:`K_{ag} - 1` are those of a pooled variance. They give a group of 2 trajectories
the weight 1, where its covariance has the largest error, and a group of one trajectory no weight.
The numerator and the denominator are unbiased for the same weighted sums, given the groups. If all
trajectories are in one group, this is :math:`\chi` of :mod:`rhm_theory.experiment.measure`.

Take a mixture of product laws, its components as groups, and evidence without randomness, as in the
epsilon-process. Then chi is 1 at every noise level (claim ``rhm-within-flat``, which has the
formula for random masks too). Labels with errors give more (``rhm-within-label``).

Source: the pooled covariance within classes of discriminant analysis; its use here is new.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int

from rhm_theory.experiment import measure
from rhm_theory.experiment.measure import Estimate
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable

UNKNOWN = -1


@readable()
class WithinSums(NamedTuple):
    """The sums of each start.

    Attributes:
        pair_sums: the numerator's sum over pairs of sites at distance r = 0 .. length - 1. At r = 0
            it is the denominator. At r > 0 each pair counts once.
        weight: the sum of ``K - 1`` over the groups.
        used: trajectories in groups of at least two.
    """

    pair_sums: Float[np.ndarray, "starts length"]
    weight: Int[np.ndarray, " starts"]
    used: Int[np.ndarray, " starts"]


@readable()
class Within(NamedTuple):
    """The susceptibility within groups.

    Attributes:
        susceptibility: chi within a group. It is NaN if no group has two trajectories or no site
            varies within a group.
        used: the share of all trajectories that lie in groups of at least two.
    """

    susceptibility: Estimate
    used: float


@backed_by("rhm-within-flat", "rhm-within-label")
def within(
    changes: Float[ArrayLike, "starts trajectories length"]
    | Bool[ArrayLike, "starts trajectories length"],
    group: Int[ArrayLike, "starts trajectories"] | None = None,
    *,
    r_max: int | None = None,
    groups: measure.Groups | None = None,
) -> Within:
    """The susceptibility within groups of trajectories, with a 95 % interval.

    To compare only trajectories that keep their class, give 0 to those and -1 to the others.

    Args:
        changes: how much each site of a trajectory changed: a real number, or True and False.
        group: the group of each trajectory, an integer >= 0, or -1 where it is unknown. The same
            number in two starts means nothing. By default all trajectories are in one group.
        r_max: the largest distance between sites that counts; all by default. It makes sense only
            if the sites are in a row.
        groups: a label for each start that errors are clustered by; each start alone by default.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Errors: of a ratio of clustered sums, as in :func:`rhm_theory.measure.ratio`.
    Claims: ``rhm-within-flat``, ``rhm-within-label``.
    """
    sums = within_sums(changes, group)
    used = float(sums.used.sum() / np.prod(np.shape(changes)[:2]))
    return Within(susceptibility=susceptibility(sums, r_max=r_max, groups=groups), used=used)


def within_sums(
    changes: Float[ArrayLike, "starts trajectories length"]
    | Bool[ArrayLike, "starts trajectories length"],
    group: Int[ArrayLike, "starts trajectories"] | None = None,
) -> WithinSums:
    """The sums of each start that :func:`susceptibility` needs; arguments as :func:`within`."""
    values = _changes(changes)
    starts, trajectories, length = values.shape
    labels = _labels(group, (starts, trajectories))
    known = labels != UNKNOWN
    rows = values[known]
    start_of = np.nonzero(known)[0]
    # A cell is a group of one start.
    _, cell, size = np.unique(
        np.stack([start_of, labels[known]]), axis=1, return_inverse=True, return_counts=True
    )
    means = np.zeros((len(size), length))
    np.add.at(means, cell, rows)
    means /= size[:, None]
    deviation = rows - means[cell]
    # Padded to twice the length, the circular correlation is the open one.
    power = np.abs(np.fft.rfft(deviation, 2 * length)) ** 2
    by_start = np.zeros((starts, length + 1))
    np.add.at(by_start, start_of, power)
    together = size[cell] > 1
    used = np.bincount(start_of[together], minlength=starts)
    cell_start = np.zeros(len(size), int)
    cell_start[cell] = start_of
    return WithinSums(
        pair_sums=np.fft.irfft(by_start, 2 * length)[:, :length],
        weight=np.bincount(cell_start, size - 1, minlength=starts).astype(int),
        used=used,
    )


def susceptibility(
    sums: WithinSums, *, r_max: int | None = None, groups: measure.Groups | None = None
) -> Estimate:
    """Chi within groups, from the sums of each start; other arguments as :func:`within`."""
    length = sums.pair_sums.shape[1]
    r_max = length - 1 if r_max is None else checks.whole("r_max", r_max)
    if r_max >= length:
        raise ValueError(f"r_max must be below the length = {length}, got {r_max}")
    both = np.where(np.arange(r_max + 1) > 0, 2, 1)
    numerators = sums.pair_sums[:, : r_max + 1] @ both
    return measure.ratio(numerators, sums.pair_sums[:, 0], groups)


def _changes(changes: ArrayLike) -> np.ndarray:
    values = np.asarray(changes)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"changes must be real or boolean, got {values.dtype}")
    if values.ndim != 3 or not values.size:
        raise ValueError(
            "changes must have shape (starts, trajectories, length) with at least one of each, "
            f"got {values.shape}"
        )
    values = values.astype(float)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        place = tuple(bad[0].tolist())
        raise ValueError(f"changes must be finite, got {values[place]} at index {place}")
    return values


def _labels(group: ArrayLike | None, shape: tuple[int, int]) -> np.ndarray:
    if group is None:
        return np.zeros(shape, int)
    labels = np.asarray(group)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"group must be integers, got {labels.dtype}")
    if labels.shape != shape:
        raise ValueError(
            f"group must have shape {shape}, one label a trajectory, got {labels.shape}"
        )
    if labels.min() < UNKNOWN:
        place = tuple(np.argwhere(labels < UNKNOWN)[0].tolist())
        raise ValueError(
            f"group must be >= 0, or {UNKNOWN} where it is unknown, got {labels[place]} "
            f"at index {place}"
        )
    return labels
