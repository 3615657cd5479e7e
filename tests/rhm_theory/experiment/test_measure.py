"""The measurement on samples.

Against sums written out, exact moments, and its intervals' coverage.
"""

import jax
import numpy as np
import pytest

from rhm_theory.experiment import measure


def by_hand(changed):
    n = changed.astype(float)
    length = n.shape[-1]
    covariance = np.cov(n, rowvar=False, ddof=1).reshape(length, length)
    return np.array([np.trace(covariance, offset=r) for r in range(length)])


def test_the_sums_are_those_of_the_covariance_matrix():
    changed = np.random.default_rng(0).random((3, 7, 12)) < 0.4
    sums = measure.change_sums(changed)
    np.testing.assert_allclose(sums.pair_sums, [by_hand(one) for one in changed], atol=1e-13)
    np.testing.assert_allclose(sums.mean, changed.sum(-1).mean(-1), rtol=1e-14)
    found = measure.measure(changed)
    total = sum(by_hand(one) for one in changed)
    np.testing.assert_allclose(
        found.susceptibility.value, (total[0] + 2 * total[1:].sum()) / total[0], rtol=1e-12
    )
    np.testing.assert_allclose(
        found.correlation.value, 4 * total / 3 / (12 - np.arange(12)), atol=1e-14
    )
    short = measure.measure(changed, r_max=2)
    np.testing.assert_allclose(
        short.susceptibility.value, (total[0] + 2 * total[1:3].sum()) / total[0], rtol=1e-12
    )


def test_a_block_that_changes_together_has_its_size():
    rng = np.random.default_rng(1)
    blocks = rng.random((40, 50, 4)) < 0.3
    found = measure.measure(np.repeat(blocks, 5, axis=-1))
    # Numerator and denominator of each start are those of its blocks times 25 and 5, but for chance
    # correlations between blocks.
    assert abs(found.susceptibility.value - 5) < 3 * found.susceptibility.error
    assert found.half_length.value < 5
    single = measure.measure(np.repeat(blocks[..., :1], 5, axis=-1))
    np.testing.assert_allclose(single.susceptibility.value, 5, rtol=1e-12)
    np.testing.assert_allclose(single.susceptibility.error, 0, atol=1e-12)


def test_blocks_are_those_below_topmost_changed_nodes():
    rng = np.random.default_rng(5)
    changed = [rng.random((30, 2, 3**height)) < 0.3 for height in (2, 1, 0)]
    found = measure.blocks(changed)
    tops, leaves = np.zeros((3, 30, 2), int), np.zeros((3, 30, 2), int)
    for sample in np.ndindex(30, 2):
        for leaf in range(9):  # climb from each changed leaf, and from each node
            above = [level for level in range(3) if changed[level][sample][leaf // 3**level]]
            if changed[0][sample][leaf]:
                leaves[(max(above), *sample)] += 1
        for level in range(3):
            for node in range(3 ** (2 - level)):
                higher = [
                    changed[up][sample][node // 3 ** (up - level)] for up in range(level + 1, 3)
                ]
                tops[(level, *sample)] += changed[level][sample][node] and not any(higher)
    np.testing.assert_array_equal(found.tops, tops)
    np.testing.assert_array_equal(found.leaves, leaves)
    with pytest.raises(
        ValueError, match="changed must be the levels of one tree, leaves first, got shapes"
    ):
        measure.blocks(changed[:2])


@pytest.mark.slow
def test_intervals_cover_the_truth():
    """Groups of two starts that share a rate: 400 replications of 12 groups.

    The truth of independent leaves is 1.
    """
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        rate = np.repeat(rng.uniform(0.1, 0.9, 12), 2)
        changed = rng.random((24, 10, 8)) < rate[:, None, None]
        interval = measure.measure(changed, groups=np.repeat(np.arange(12), 2)).susceptibility
        hits += interval.low <= 1 <= interval.high
    assert 0.90 <= hits / 400 <= 0.99


def test_lengths_of_known_functions():
    r = np.arange(50)
    np.testing.assert_allclose(measure.correlation_length(2.0 ** (-r / 7)), 7, rtol=1e-2)
    both = np.where(r > 0, 2, 1) * np.exp(-r / 3.0)
    np.testing.assert_allclose(
        measure.correlation_length(np.exp(-r / 3.0), "second_moment"),
        np.sqrt((r**2 * both).sum() / both.sum()),
        rtol=1e-14,
    )
    assert np.isnan(measure.correlation_length(np.ones(5)))  # longer than all distances
    assert np.isnan(measure.correlation_length(np.zeros(5)))
    np.testing.assert_allclose(measure.correlation_length([1.0, 0.6, 0.4]), 1.5)


def test_clusters_widen_the_error():
    rng = np.random.default_rng(3)
    starts = rng.normal(size=10)
    a = np.repeat(starts, 4) + 10
    alone, grouped = (
        measure.ratio(a, np.ones(40)),
        measure.ratio(a, np.ones(40), np.repeat(np.arange(10), 4)),
    )
    np.testing.assert_allclose(alone.value, grouped.value)
    np.testing.assert_allclose(grouped.error, np.std(starts, ddof=1) / np.sqrt(10), rtol=1e-12)
    assert grouped.error > 1.8 * alone.error
    assert np.isnan(measure.ratio([1.0], [2.0]).error)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measure.change_sums(np.zeros((1, 5), bool)), "at least 2 trajectories"),
        (
            lambda: measure.measure(np.zeros((2, 5), bool)),
            r"shape \(starts, trajectories, length\)",
        ),
        (
            lambda: measure.measure(np.zeros((0, 3, 5), bool)),
            r"with at least one start, got \(0, 3, 5\)",
        ),
        (
            lambda: measure.measure(np.zeros((2, 3, 0), bool)),
            r"changed must have shape .*, got \(2, 3, 0\)",
        ),
        (
            lambda: measure.correlation_length([]),
            r"correlation must have a last axis C\(0\), C\(1\), \.\., got shape \(0,\)",
        ),
        (
            lambda: measure.correlation_length(3.0),
            r"correlation must have a last axis .*, got shape \(\)",
        ),
        (
            lambda: measure.ratio([1.0, 2.0], [1.0]),
            r"must begin with the same axes, got \(2,\) and \(1,\)",
        ),
        (lambda: measure.ratio([1.0, 2.0], [1.0, 1.0], [1]), r"groups must have shape \(2,\)"),
        (lambda: measure.ratio([], []), "numerators must have at least one start"),
        (lambda: measure.jackknife(np.sum, np.zeros((0, 3)), []), "rows must be at least one"),
        (lambda: measure.blocks([]), "changed must have at least one level"),
        (
            lambda: measure.measure(np.zeros((2, 3, 5), bool), r_max=5),
            "r_max must be below the length = 5",
        ),
        (
            lambda: measure.measure(np.zeros((2, 3, 5), bool), groups=[1]),
            r"groups must have shape \(2,\)",
        ),
        (
            lambda: measure.correlation_length([1.0], "third"),
            "definition must be one of 'half', 'second_moment'",
        ),
    ],
)
def test_bad_input_names_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_wrong_kinds_are_named():
    """Numbers could be symbols: their squares would have been measured."""
    with pytest.raises(
        TypeError,
        match="changed must be boolean, True where a leaf differs from the start's, got int64",
    ):
        measure.change_sums(np.zeros((2, 3, 5), np.int64))
    for value in (None, "a", [[1.0], [1.0, 2.0]]):
        with pytest.raises(TypeError, match="correlation must be a real number"):
            measure.correlation_length(value)
    with pytest.raises(TypeError, match="the arguments of correlation_length must be concrete"):
        jax.jit(measure.correlation_length)(np.ones(3))
    with pytest.raises(TypeError, match="groups must be labels of one kind"):
        measure.measure(np.zeros((2, 3, 5), bool), groups=[1, None])
    assert np.isnan(measure.correlation_length([1e308] * 3, "second_moment"))  # no warning
