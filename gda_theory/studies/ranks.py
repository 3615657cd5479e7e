r"""Rank correlations within cells, pooled over their sources, with intervals by a bootstrap.

A cell holds forget sets that can be compared with each other. Cells of one source count once.

In a cell the values of m forget sets are replaced by their ranks (equal values share the mean of
their ranks, infinite ones are the largest). Pearson's correlation of the ranks is Spearman's. A
*partial* rank correlation is that of what is left of two ranks after a linear regression on the
ranks of the controls.

The pooled number is a mean over sources of the mean over the cells of a source. For an interval,
sources are drawn with replacement, and, independently in each drawn source, forget sets within each
cell. The interval holds the middle 95 % of the pooled numbers.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

Values = Float[np.ndarray, "m c"]  # one cell: its forget sets, and what was measured of each
COVERAGE = (2.5, 97.5)  # per cent


class Pooled(NamedTuple):
    """Correlations and their 95 % intervals; ``cells`` says how many cells had one."""

    value: Float[np.ndarray, "*pairs"]
    low: Float[np.ndarray, "*pairs"]
    high: Float[np.ndarray, "*pairs"]
    cells: Int[np.ndarray, "*pairs"]


def correlations(values: Float[np.ndarray, "*b m c"]) -> Float[np.ndarray, "*b c c"]:
    """Spearman's rank correlation of every two columns; NaN for a column of equal values.

    A pair of columns is compared on the rows where neither is NaN, by their ranks in the whole
    column.
    """
    known = ~np.isnan(values)
    # Those that are not known come first: this moves the other ranks by a constant.
    ranks = rankdata(np.where(known, values, -np.inf), axis=-2)
    middle = np.mean(ranks, -2, keepdims=True)
    ranks = np.where(known, ranks - middle, 0)
    share = known.astype(float)
    turned = np.swapaxes(ranks, -1, -2)
    # Entry (x, y) is a sum over the rows where both x and y are known: of 1, of x, and of x^2.
    count = np.swapaxes(share, -1, -2) @ share
    total = turned @ share
    squares = turned**2 @ share
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = squares - total**2 / count
        spread = np.where(spread > 1e-9 * count, spread, np.nan)
        covariance = turned @ ranks - total * np.swapaxes(total, -1, -2) / count
        return covariance / np.sqrt(spread * np.swapaxes(spread, -1, -2))


def partial(
    found: Float[np.ndarray, "*b c c"],
    rows: Sequence[int],
    columns: Sequence[int],
    controls: Sequence[int],
) -> Float[np.ndarray, "*b p q"]:
    """Partial correlations of ``rows`` with ``columns``, from all correlations.

    NaN for a control itself, and for what the controls determine.
    """
    if not controls:
        return found[..., rows, :][..., columns]
    inner = found[..., controls, :][..., controls]
    # A control of equal values in this sample says nothing.
    silent = np.isnan(np.diagonal(inner, axis1=-2, axis2=-1))
    inner = np.where(silent[..., None, :] | silent[..., None], np.eye(len(controls)), inner)
    to_rows = np.where(silent[..., None], 0, found[..., controls, :][..., rows])
    to_columns = np.where(silent[..., None], 0, found[..., controls, :][..., columns])
    solve = np.linalg.pinv(inner, hermitian=True)
    explained = np.swapaxes(to_rows, -1, -2) @ solve @ to_columns
    left = found[..., rows, :][..., columns] - explained
    sizes = [1 - np.sum(part * (solve @ part), axis=-2) for part in (to_rows, to_columns)]
    product = sizes[0][..., :, None] * sizes[1][..., None, :]
    with np.errstate(invalid="ignore"):
        return left / np.sqrt(np.where(product > 1e-9, product, np.nan))


def pooled(
    cells: Sequence[Values],
    sources: Sequence[str],
    rows: Sequence[int],
    columns: Sequence[int],
    controls: Sequence[int] = (),
    *,
    replicates: int,
    seed: int,
) -> Pooled:
    """Pooled (partial) rank correlations of the columns ``rows`` with ``columns`` of all cells.

    Args:
        cells: one array a cell, with the same columns.
        sources: that of each cell.
        rows, columns, controls: numbers of columns.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    names = np.array(sources)
    order = np.unique(names)
    here = np.stack([partial(correlations(one), rows, columns, controls) for one in cells])
    drawn = []
    for values in cells:
        picks = rng.integers(len(values), size=(replicates, len(values)))
        drawn.append(partial(correlations(values[picks]), rows, columns, controls))
    again = np.stack(drawn, axis=1)
    # From here on one entry for each source.
    by_source = np.stack([mean(again[:, names == name], 1) for name in order], axis=1)
    chosen = rng.integers(len(order), size=(replicates, len(order)))
    # A source that is drawn twice brings two independent draws of its forget sets.
    which = rng.integers(replicates, size=chosen.shape)
    totals = mean(by_source[which, chosen], 1)
    known = np.any(np.isfinite(totals), axis=0)
    low, high = np.full((2, *known.shape), np.nan)
    if np.any(known):
        low[known], high[known] = np.nanpercentile(totals[:, known], COVERAGE, axis=0)
    return Pooled(
        value=mean(np.stack([mean(here[names == name], 0) for name in order]), 0),
        low=low,
        high=high,
        cells=np.sum(np.isfinite(here), axis=0),
    )


def mean(values: Float[np.ndarray, "..."], axis: int) -> Float[np.ndarray, "..."]:
    """The mean along an axis of those that are numbers; NaN if there are none."""
    count = np.sum(np.isfinite(values), axis)
    return np.where(count > 0, np.nansum(values, axis), np.nan) / np.maximum(count, 1)
