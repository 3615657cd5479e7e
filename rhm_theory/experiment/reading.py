r"""Branching and levels of a tree, read off C(r) alone.

If :math:`C_{ij}` depends on the smallest block of :math:`s^\ell` sites that holds both, then

.. math:: (d - r)\, C(r) = \sum_\ell a_\ell\, d\, (1 - r/s^\ell)_+ , \qquad a_\ell \ge 0 .

This is a broken line in r, with a kink at each power of the branching s. The last term, of the
whole sequence, is constant in C. The verdict of :mod:`rhm_theory.experiment.structure` uses the
whole matrix and sees more.

Source: new.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Float

from rhm_theory.experiment import measure
from rhm_theory.experiment.structure import BRANCHINGS
from theory_common.printing.display import readable


@readable()
class Reading(NamedTuple):
    """Branching and levels read off C(r) alone; None where no level is seen."""

    branching: int | None
    levels: int


def reading(
    correlation: Float[ArrayLike, "starts length"], groups: measure.Groups | None = None
) -> Reading:
    """The branching and the number of levels that fit C(r) best.

    For each branching the a are fitted by least squares with a >= 0, weighted by the errors of
    C(r). The branching with the least chi-square plus twice the number of positive a is chosen. A
    level counts if its a exceeds twice its jackknife error, over at most 20 sets of groups.

    Args:
        correlation: for each start the mean covariance at distance r = 0 .. length - 1.
        groups: a label for each start that errors are clustered by; each start alone by default.
    """
    rows = np.asarray(correlation, float)
    starts, length = rows.shape
    _, index = np.unique(measure.labels(groups, starts), return_inverse=True)
    parts = np.array_split(np.argsort(index, kind="stable"), min(index.max() + 1, 20))
    error = np.maximum(measure.ratio(rows, np.ones(starts), index).error[1:], 1e-12)
    fits = {s: _kinks(length, s) for s in BRANCHINGS if s < length}
    costs = {}
    for s, design in fits.items():
        found = _least_squares(design, rows.mean(0)[1:], error)
        misfit = (design @ found - rows.mean(0)[1:]) / error
        costs[s] = float((misfit**2).sum() + 2 * (found > 0).sum())
    branching = min(costs, key=costs.__getitem__)
    fitted = measure.jackknife(
        lambda mean: _least_squares(fits[branching], mean[1:], error),
        np.stack([rows[part].mean(0) for part in parts]),
        np.arange(len(parts)),
    )
    seen = int((fitted.value > 2 * fitted.error).sum())
    return Reading(branching=branching if seen else None, levels=seen)


def _kinks(length: int, branching: int) -> np.ndarray:
    """For r = 1 .. length - 1, the share of pairs in one block of each size; then of all."""
    distance = np.arange(1, length)
    columns = []
    size = branching
    while size < length:
        places = np.arange(length)
        together = [
            np.mean(places[: length - r] // size == places[r:] // size) for r in distance.tolist()
        ]
        columns.append(np.array(together))
        size *= branching
    return np.stack([*columns, np.ones(length - 1)], 1)


def _least_squares(design: np.ndarray, values: np.ndarray, error: np.ndarray) -> np.ndarray:
    from scipy.optimize import nnls

    return nnls(design / error[:, None], values / error)[0]


def correlation_rows(changed: np.ndarray) -> Float[np.ndarray, "starts length"]:
    """For each start the mean covariance at each distance, as :func:`reading` takes it."""
    sums = measure.change_sums(np.asarray(changed, bool))
    return np.asarray(sums.pair_sums) / np.arange(changed.shape[-1], 0, -1)
