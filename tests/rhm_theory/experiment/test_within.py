"""The susceptibility within a group: against NumPy's covariance, known laws, and bad input."""

import numpy as np
import pytest

import rhm_theory as rt
from rhm_theory.experiment import measure, within


def by_definition(changes, group, r_max=None):
    """The module's equation, with ``numpy.cov`` for each start and group."""
    length = changes.shape[-1]
    near = np.abs(np.subtract.outer(range(length), range(length))) <= (r_max or length)
    above = below = 0.0
    for rows, labels in zip(changes, group, strict=True):
        for label in set(labels.tolist()) - {-1}:
            alike = rows[labels == label]
            if len(alike) > 1:
                covariance = np.cov(alike.T, ddof=1)
                above += (len(alike) - 1) * (covariance * near).sum()
                below += (len(alike) - 1) * np.trace(covariance)
    return above / below


@pytest.mark.parametrize("r_max", [None, 2])
def test_it_is_the_equation(r_max):
    rng = np.random.default_rng(0)
    changes = rng.normal(size=(5, 12, 7)).cumsum(-1)
    group = rng.integers(-1, 4, (5, 12))
    found = within.within(changes, group, r_max=r_max)
    np.testing.assert_allclose(
        found.susceptibility.value, by_definition(changes, group, r_max), rtol=1e-12
    )
    counts = [np.sum(row == label) for row in group for label in range(4)]
    assert found.used == sum(count for count in counts if count > 1) / 60
    sums = within.within_sums(changes, group)
    assert sums.weight.sum() == sum(max(count - 1, 0) for count in counts)


def test_one_group_is_the_susceptibility_of_measure():
    changed = np.random.default_rng(1).random((6, 9, 8)) < 0.4
    expected = measure.measure(changed, groups=[0, 0, 1, 1, 2, 3]).susceptibility
    for group in (None, np.full((6, 9), 5)):
        found = within.within(changed, group, groups=[0, 0, 1, 1, 2, 3])
        np.testing.assert_allclose(found.susceptibility, expected, rtol=1e-12)


def two_components(rng, starts, trajectories, length=10):
    """A flat mixture: all sites change with probability 0.1, or all with 0.8."""
    component = rng.integers(0, 2, (starts, trajectories))
    chance = np.where(component, 0.8, 0.1)
    return rng.random((starts, trajectories, length)) < chance[..., None], component


def test_a_flat_mixture_gives_one_within_its_components():
    """The interval holds the known answer in about 95 of 100 repetitions, and chi is not 1."""
    rng = np.random.default_rng(2)
    inside = 0
    values = []
    for _ in range(200):
        changed, component = two_components(rng, 24, 8)
        chi = within.within(changed, component).susceptibility
        values.append(float(chi.value))
        inside += bool(chi.low <= 1 <= chi.high)
    assert 180 <= inside <= 199
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values) - 1) < 4 * error + 1 / 24 / 8
    everything = within.within(changed).susceptibility
    # By the law of total covariance: p(1 - p) is 0.09 and 0.16, and the means differ by 0.7.
    exact = 1 + 9 * 0.25 * 0.7**2 / ((0.09 + 0.16) / 2 + 0.25 * 0.7**2)
    assert everything.low < exact < everything.high


def test_the_sums_are_unbiased():
    """Mean of sums / weight over all draws of 3 trajectories in one group of a known law."""
    outcomes = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1]])
    law = np.array([0.5, 0.3, 0.2])
    expected = np.zeros(3)
    for place in np.ndindex(3, 3, 3):
        sums = within.within_sums(outcomes[list(place)][None], np.zeros((1, 3), int))
        expected += law[list(place)].prod() * sums.pair_sums[0] / sums.weight[0]
    mean = law @ outcomes
    covariance = (law[:, None] * outcomes).T @ outcomes - np.outer(mean, mean)
    np.testing.assert_allclose(
        expected, [np.trace(covariance, offset=r) for r in range(3)], atol=1e-14
    )


def test_groups_of_one_trajectory_carry_nothing():
    changed = np.random.default_rng(3).random((2, 3, 4)) < 0.5
    alone = within.within(changed, [[0, 1, 2], [-1, -1, 0]])
    assert np.isnan(alone.susceptibility.value)
    assert alone.used == 0


@pytest.mark.parametrize(
    ("changes", "group", "message"),
    [
        (np.zeros((2, 3)), None, r"changes must have shape .* got \(2, 3\)"),
        (np.full((1, 2, 2), np.nan), None, r"changes must be finite, got nan at index \(0, 0, 0\)"),
        (np.full((1, 2, 2), "a"), None, "changes must be real or boolean"),
        (np.zeros((1, 2, 2)), [[0, 0, 0]], r"group must have shape \(1, 2\)"),
        (np.zeros((1, 2, 2)), [[0.5, 0]], "group must be integers"),
        (np.zeros((1, 2, 2)), [[0, -2]], r"group must be >= 0, .* got -2 at index \(0, 1\)"),
    ],
)
def test_bad_input_is_named(changes, group, message):
    with pytest.raises((TypeError, ValueError), match=message):
        rt.within.within(changes, group)
