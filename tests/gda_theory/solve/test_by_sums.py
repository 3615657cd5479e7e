"""Rows in partitions give what the same rows in memory give, whatever the partitions."""

import functools
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.special import expit, log_expit

import gda_theory as gt
from gda_theory.problem import partitions

SIZE = 300
NUMBERS = ("critical_strength", "break_even_strength", "searched_to")


@functools.cache
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=(SIZE, 4)), np.ones(SIZE)])
    labels = np.where(features @ [1, -1, 0.5, 0, 0.3] + rng.logistic(size=SIZE) > 0, 1.0, -1.0)
    return features, labels, np.arange(SIZE) % 12 == 5, rng.uniform(0.5, 2, SIZE)


def problem(intercept: bool = False, **changes) -> gt.Problem:
    features, labels, forget, weight = rows()
    ridge = np.array([0.01] * 4 + [0.0 if intercept else 0.02])
    given = {"ridge": ridge, "sample_weight": weight} | changes
    return gt.Problem(features, labels, forget, **given)


CASES = {
    "fold": problem(),
    "intercept": problem(intercept=True),
    "sum": problem(ridge=1.0, reduction="sum"),
    "exponential": problem(loss="exponential"),
}


@functools.cache
def in_memory(name: str) -> gt.Path:
    return gt.ascent_path(CASES[name], [1.0, 0.02, 0.0, -0.01])


# One partition, uneven ones, and small ones of which many forget nothing.
@pytest.mark.parametrize(
    ("name", "parts"),
    [
        *((name, 7) for name in CASES),
        pytest.param("exponential", 1, marks=pytest.mark.slow),
        pytest.param("exponential", 45, marks=pytest.mark.slow),
    ],
)
def test_the_path_is_that_of_the_rows_in_memory(name, parts):
    """By other algorithms: that one has a compiled continuation, and a fold by Moore and Spence."""
    expected = in_memory(name)
    found = gt.ascent_path(gt.PartitionedProblem.split(CASES[name], parts), [1.0, 0.02, 0.0, -0.01])
    for field in ("weights", *NUMBERS):
        np.testing.assert_allclose(
            getattr(found, field), getattr(expected, field), rtol=1e-12, atol=1e-12, err_msg=field
        )
    # At a fold the weights move as the square root of an error in the strength.
    np.testing.assert_allclose(found.fold_weights, expected.fold_weights, rtol=1e-7)
    for field in ("exists", "reason", "bounded_below"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
    for mine, theirs in ((found.oracle, expected.oracle), (found.pretrained, expected.pretrained)):
        np.testing.assert_allclose(mine.weights, theirs.weights, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(mine.value, theirs.value, rtol=1e-13)
        assert mine.converged


def test_the_cases_meet_a_fold_an_end_and_none():
    assert np.isfinite(in_memory("fold").critical_strength)
    assert not in_memory("intercept").exists[0]
    assert np.isnan(in_memory("sum").critical_strength)


def test_the_numbers_do_not_depend_on_the_partitions_to_1e_12():
    features, labels, forget, weight = rows()
    paths = []
    for parts in (1, 2, 11, 40):
        cut = np.sort(np.random.default_rng(parts).choice(SIZE, parts - 1))
        pieces = [np.split(array, cut) for array in (features, labels, forget, weight)]
        rows_of = [gt.PartitionRows(*piece) for piece in zip(*pieces, strict=True)]
        divided = gt.PartitionedProblem(
            [functools.partial(same, part) for part in rows_of], ridge=0.01
        )
        paths.append(gt.ascent_path(divided, [0.3], search_to=0.4))
    for path in paths[1:]:
        for field in ("weights", *NUMBERS):
            np.testing.assert_allclose(getattr(path, field), getattr(paths[0], field), rtol=1e-12)


def same(rows):
    return rows


def test_sums_are_those_of_numpy():
    features, labels, forget, weight = rows()
    point = np.array([0.3, -0.2, 0.1, 0.5, 0.2])
    found = gt.PartitionedProblem.split(problem(), 3).sums(point)
    types = labels[:, None] * features
    margins = types @ point
    for index, chosen in enumerate((~forget, forget)):
        part, own, at = types[chosen], weight[chosen], margins[chosen]
        bend = own * expit(at) * expit(-at)
        np.testing.assert_allclose(found.value[index], -own @ log_expit(at), rtol=1e-13)
        np.testing.assert_allclose(found.gradient[index], -(own * expit(-at)) @ part, rtol=1e-12)
        np.testing.assert_allclose(found.hessian[index], (part.T * bend) @ part, rtol=1e-12)


def test_solutions_steps_and_points_one_by_one():
    given = CASES["fold"]
    divided = gt.PartitionedProblem.split(given, 4)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-13)
    close(gt.pretrain(divided).weights, gt.pretrain(given).weights)
    close(gt.retrain(divided).weights, gt.retrain(given).weights)
    start = gt.pretrain(given).weights
    for strength in (0.0, 0.1, -0.02):
        close(gt.newton_step(divided, start, strength), gt.newton_step(given, start, strength))
    mine, theirs = gt.descent_ascent(divided, 0.1), gt.descent_ascent(given, 0.1)
    close(mine.weights, theirs.weights)
    close(mine.value, theirs.value)
    assert mine.exists
    assert not gt.descent_ascent(divided, 5.0).exists


def test_an_executor_changes_no_number():
    divided = gt.PartitionedProblem.split(problem(), 6)
    with ThreadPoolExecutor(3) as executor:
        other = gt.retrain(divided.replace(executor=executor))
    np.testing.assert_array_equal(other.weights, gt.retrain(divided).weights)
    again = pickle.loads(pickle.dumps(divided.partitions))
    assert np.array_equal(again[2]().features, divided.partitions[2]().features)


def test_changes_and_the_repr():
    divided = gt.PartitionedProblem.split(problem(), 6)
    assert repr(divided) == (
        "PartitionedProblem(6 partitions, 275 rows to keep, 25 to forget, 5 columns,"
        " logistic loss, means)"
    )
    changed = divided.replace(ridge=0.5, reduction="sum", loss="exponential")
    expected = problem(ridge=0.5, reduction="sum", loss="exponential")
    np.testing.assert_allclose(
        gt.retrain(changed).weights, gt.retrain(expected).weights, rtol=1e-12, atol=1e-14
    )
    assert changed.pretrain_strength == -1
    assert divided.size_ratio == float(problem().objective().size_ratio)
    with pytest.raises(ValueError, match="the name of a change must be one of"):
        divided.replace(forget=3)


# What is refused ----------------------------------------------------------------------------------


def one(**changes) -> gt.PartitionRows:
    features, labels, forget, _ = rows()
    return gt.PartitionRows(features, labels, forget)._replace(**changes)


def nan_at_3() -> np.ndarray:
    features = rows()[0].copy()
    features[3, 1] = np.nan
    return features


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"features": nan_at_3()}, "partition 1: features must be finite"),
        ({"features": np.ones((SIZE, 2))[:3]}, r"partition 1 must have features \(n, d\)"),
        ({"features": np.ones((SIZE, 2))}, "equal shapes"),
        ({"labels": np.zeros(SIZE)}, r"partition 1: labels must be -1 or \+1"),
        ({"forget": np.zeros(SIZE)}, "partition 1: forget must be a boolean mask"),
        ({"sample_weight": -np.ones(SIZE)}, "partition 1: .* sample_weight finite and >= 0"),
    ],
)
def test_a_bad_partition_is_named(changes, says):
    parts = [functools.partial(same, one()), functools.partial(same, one(**changes))]
    with pytest.raises(ValueError, match=says):
        gt.PartitionedProblem(parts, ridge=0.1)


def test_bad_problems_are_refused():
    features, labels, _, _ = rows()
    whole = functools.partial(same, one())

    def made(ridge=0.1, **changes):
        return gt.PartitionedProblem([functools.partial(same, one(**changes))], ridge=ridge)

    with pytest.raises(TypeError, match="partitions must be functions"):
        gt.PartitionedProblem([one()], ridge=0.1)
    with pytest.raises(TypeError, match="partitions must be functions"):
        gt.PartitionedProblem([], ridge=0.1)
    with pytest.raises(ValueError, match="the forget set has none"):
        made(forget=np.zeros(SIZE, bool))
    with pytest.raises(ValueError, match=r"it takes all samples with label \+1"):
        made(forget=labels > 0)
    with pytest.raises(ValueError, match="for all columns but one"):
        gt.PartitionedProblem([whole], ridge=[0, 0, 1, 1, 1])
    with pytest.raises(ValueError, match=r"ridge must be > 0 at index \(4,\)"):
        made(ridge=[1, 1, 1, 1, 0], features=features * np.append(np.ones(4), 0))
    with pytest.raises(ValueError, match=r"ridge must be one number or have shape \(5,\)"):
        gt.PartitionedProblem([whole], ridge=[1, 1])
    with pytest.raises(ValueError, match=r"weights must have shape \(5,\), got \(4,\)"):
        gt.newton_step(gt.PartitionedProblem([whole], ridge=1), np.zeros(4))
    with pytest.raises(ValueError, match=r"strength must be >="):
        gt.descent_ascent(gt.PartitionedProblem([whole], ridge=1), -0.5)


def test_blocks_are_bounded(monkeypatch):
    monkeypatch.setattr(partitions, "ROWS", 8)
    monkeypatch.setattr(partitions, "LEAST", 8)
    shapes = {types.shape for types, _ in partitions._blocks(one(), ~rows()[2])}
    assert shapes == {(8, 5)}
    found = gt.PartitionedProblem.split(problem(), 2).sums(np.ones(5))
    monkeypatch.undo()
    whole = gt.PartitionedProblem.split(problem(), 2).sums(np.ones(5))
    np.testing.assert_allclose(found.hessian, whole.hessian, rtol=1e-13)
