"""Estimates of a divergence, against brute force, closed forms and SciPy."""

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import entropy

from gda_theory import evaluation

GENERATOR = np.random.default_rng(5)


def closed_form(mean: float, spread: float) -> float:
    """KL of a normal law from the standard one."""
    return np.log(1 / spread) + (spread**2 + mean**2) / 2 - 0.5


def samples(mean: float, spread: float, models: int, points: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(11)
    return (
        mean + spread * generator.normal(size=(models, points)),
        generator.normal(size=(models, points)),
    )


def test_margins_are_the_logit_of_the_right_class():
    logits = GENERATOR.normal(size=(3, 7, 4)) * 3
    labels = GENERATOR.integers(4, size=7)
    of_right = np.take_along_axis(log_softmax(logits, -1), labels[None, :, None], -1)[..., 0]
    others = np.log(-np.expm1(of_right))
    found = evaluation.margins(logits, labels)
    np.testing.assert_allclose(found, of_right - others, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(evaluation.margins([[900.0, 0, 0]], [0]), 900 - np.log(2))
    two = evaluation.margins(logits[..., :2], labels % 2)
    sign = np.where(labels % 2 == 1, 1, -1)
    np.testing.assert_allclose(two, sign * (logits[..., 1] - logits[..., 0]), rtol=1e-12)


@pytest.mark.parametrize(
    ("logits", "labels", "said"),
    [
        (np.zeros((3, 1)), [0, 0, 0], "two classes or more"),
        (np.zeros(3), [0, 0, 0], "shape"),
        (np.full((3, 2), np.nan), [0, 0, 1], "finite; 6 of 6"),
        (np.zeros((3, 2)), [0, 2, 1], "got 2 at point 1"),
        (np.zeros((3, 2)), [0, 1], "one per point"),
    ],
)
def test_bad_logits_are_named(logits, labels, said):
    with pytest.raises(ValueError, match=said):
        evaluation.margins(logits, labels)


@pytest.mark.parametrize("limits", [None, (-2.0, 2.0)])
def test_histogram_counts_every_value_as_numpy_does(limits):
    first, second = samples(1.0, 1.5, 60, 12)
    expected = []
    for p, q in zip(first.T, second.T, strict=True):
        edges = limits or (min(p.min(), q.min()), max(p.max(), q.max()))
        counts, others = (np.histogram(one, 20, edges)[0] / 60 for one in (p, q))
        there = counts > 0
        ratio = counts[there] / np.maximum(others[there], 1e-5)
        expected.append(np.sum(counts[there] * np.log(ratio)))
    found = evaluation.histogram(first, second, limits=limits)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_equal_margins_score_zero_and_separate_ones_the_ceiling():
    same = np.full((30, 2), 4.0)
    np.testing.assert_array_equal(evaluation.histogram(same, same), 0)
    np.testing.assert_allclose(evaluation.histogram(same, same + 1), np.log(1e5))


@pytest.mark.parametrize(("mean", "spread"), [(0, 1), (2, 1), (0, 2), (1, 0.5)])
def test_gaussian_has_no_bias(mean, spread):
    found = evaluation.gaussian(*samples(mean, spread, 20, 20_000))
    error = found.std() / np.sqrt(len(found))
    assert abs(found.mean() - closed_form(mean, spread)) < 4 * error
    assert error < 0.02


def test_gaussian_of_unequal_numbers_has_no_bias():
    generator = np.random.default_rng(3)
    first, second = generator.normal(size=(9, 20_000)), generator.normal(size=(31, 20_000))
    found = evaluation.gaussian(first, second + 1)
    assert abs(found.mean() - 0.5) < 4 * found.std() / np.sqrt(len(found))


def test_gaussian_of_repeated_margins():
    same, other = np.full((5, 1), 2.0), np.full((5, 1), 3.0)
    vary = GENERATOR.normal(size=(5, 1))
    assert evaluation.gaussian(same, same) == 0
    assert np.isinf(evaluation.gaussian(same, other))
    assert np.isinf(evaluation.gaussian(same, vary))
    assert np.isinf(evaluation.gaussian(vary, same))


def test_nearest_neighbour_is_the_formula():
    first, second = samples(0.5, 1.3, 13, 6)
    second = second[:9]
    expected = []
    for p, q in zip(first.T, second.T, strict=True):
        own = np.abs(p[:, None] - p) + np.diag(np.full(13, np.inf))
        other = np.abs(p[:, None] - q)
        expected.append(np.mean(np.log(other.min(1) / own.min(1))) + np.log(9 / 12))
    np.testing.assert_allclose(evaluation.nearest_neighbour(first, second), expected, rtol=1e-9)
    assert np.isnan(evaluation.nearest_neighbour(first[[0, 0, 1]], second)).all()


def test_public_scores_lose_the_largest_margin():
    first, second = samples(1.0, 1.0, 40, 15)
    ours, theirs = [], []
    for p, q in zip(first.T, second.T, strict=True):
        edges = np.linspace(min(p.min(), q.min()), max(p.max(), q.max()), 21)
        counts, others = (np.histogram(one[one < edges[-1]], edges)[0] for one in (p, q))
        shares, other_shares = counts / counts.sum(), others / others.sum()
        there = shares > 0
        safe = np.maximum(other_shares, 1e-5)
        ours.append(np.sum(shares[there] * np.log(shares[there] / safe[there])))
        there = other_shares > 0
        theirs.append(entropy(other_shares, np.where(there, np.maximum(shares, 1e-5), shares)))
    np.testing.assert_allclose(evaluation.public.easydub(first, second), ours, rtol=1e-12)
    bench = evaluation.public.data_unlearning_bench(first, second)
    np.testing.assert_allclose(bench, theirs, rtol=1e-12)
    assert np.any(np.abs(evaluation.histogram(first, second) - ours) > 1e-3)


def test_the_fixed_range_is_blind():
    generator = np.random.default_rng(0)
    first, second = generator.normal(3, 1, (2000, 4)), generator.normal(6, 1, (2000, 4))
    assert np.all(evaluation.public.fixed_range(first, second) < 0.05)
    assert np.all(evaluation.gaussian(first, second) > 4)
