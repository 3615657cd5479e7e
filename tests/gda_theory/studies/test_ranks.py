"""Pooled rank correlations of the studies, against SciPy and least squares."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from gda_theory.studies import ranks


def drawn(count=30, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, 4))
    values[:, 1] += values[:, 0]
    values[:, 2] = np.round(values[:, 2])  # ties
    values[:3, 3] = np.inf
    return values


def residual(y, controls):
    design = np.column_stack([np.ones(len(y)), *controls])
    return y - design @ np.linalg.lstsq(design, y, rcond=None)[0]


def test_correlations_are_spearmans():
    values = drawn()
    found = ranks.correlations(values)
    finite = np.where(np.isinf(values), 1e9, values)  # SciPy gives NaN for infinity
    np.testing.assert_allclose(found, spearmanr(finite).statistic, atol=1e-14)
    assert np.isnan(ranks.correlations(np.column_stack([values, np.ones(30)]))[-1]).all()


def test_what_is_not_known_does_not_count():
    values = drawn()
    values[[3, 8, 20], 1] = np.nan
    values[[8, 9], 2] = np.nan
    found = ranks.correlations(values)
    known = ~np.isnan(values)
    for x in range(4):
        for y in range(4):
            both = known[:, x] & known[:, y]
            pair = [rankdata(values[known[:, z], z]) for z in (x, y)]
            pair = [of[both[known[:, z]]] for of, z in zip(pair, (x, y), strict=True)]
            np.testing.assert_allclose(found[x, y], np.corrcoef(*pair)[0, 1], atol=1e-12)


@pytest.mark.parametrize("controls", [[2], [2, 3]])
def test_partial_correlations_are_those_of_the_residuals(controls):
    values = drawn()
    found = ranks.partial(ranks.correlations(values), [0], [1], controls)
    ranked = rankdata(values, axis=0)
    others = [ranked[:, number] for number in controls]
    left, right = (residual(ranked[:, number], others) for number in (0, 1))
    expected = left @ right / np.linalg.norm(left) / np.linalg.norm(right)
    np.testing.assert_allclose(found, [[expected]], atol=1e-12)


def test_a_control_explains_itself_and_a_constant_one_nothing():
    values = np.column_stack([drawn(), np.ones(30)])
    found = ranks.correlations(values)
    assert np.isnan(ranks.partial(found, [2], [1], [2])).all()
    np.testing.assert_allclose(
        ranks.partial(found, [0], [1], [2, 4]), ranks.partial(found, [0], [1], [2]), atol=1e-12
    )


def test_sources_weigh_the_same_whatever_their_cells():
    cells = [np.column_stack([drawn(seed=seed), np.ones(30)]) for seed in range(4)]
    sources = ["a", "a", "a", "b"]
    constant = ranks.pooled(cells, sources, [4], [3], replicates=50, seed=1)
    assert np.isnan([constant.value, constant.low, constant.high]).all()
    found = ranks.pooled(cells, sources, [0, 1], [3], replicates=50, seed=1)
    each = np.stack([ranks.correlations(one)[[0, 1]][:, [3]] for one in cells])
    np.testing.assert_allclose(found.value, (each[:3].mean(0) + each[3]) / 2, atol=1e-14)
    assert np.all(found.cells == 4)
    assert np.all(found.low <= found.high)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Sources with rank correlations around 0.4: the mean is inside in about 95 % of studies."""
    inside = []
    rng = np.random.default_rng(3)
    for study in range(60):
        cells = []
        for slope in rng.normal(0.45, 0.3, size=12):
            x = rng.normal(size=25)
            cells.append(np.column_stack([x, slope * x + rng.normal(size=25)]))
        names = [str(number) for number in range(12)]
        found = ranks.pooled(cells, names, [0], [1], replicates=200, seed=study)
        inside.append(found.low[0, 0] <= TRUTH <= found.high[0, 0])
    # Of 60 studies at a coverage of 90 to 97 %, 48 to 60 have the truth inside.
    assert 48 <= sum(inside) < 60


# The mean over slopes of Spearman's correlation 6/pi asin(rho/2), with rho = b/sqrt(1 + b^2). That
# of 25 points is smaller by the factor 24/26 and a part of Kendall's, from Moran (1948).
RHO = [slope / np.hypot(1, slope) for slope in np.random.default_rng(0).normal(0.45, 0.3, 100_000)]
TAU = 2 / np.pi * np.mean(np.arcsin(RHO))
TRUTH = (25 - 2) / (25 + 1) * 6 / np.pi * np.mean(np.arcsin(np.array(RHO) / 2)) + 3 * TAU / 26
