"""Whether a minimum exists without a ridge: the right answer for each kind of data.

Separation and dependence hold by construction. Where a minimum exists, scikit-learn finds it too.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import gda_theory as gt
from gda_theory.solve import existence

SEEDS = range(30)
COUNT = 60
FORGET = np.arange(COUNT) < 5


def plain(seed):
    """Two features, labels that depend on them and overlap."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(COUNT, 2))
    signs = np.where(features @ [1, -0.5] + rng.logistic(size=COUNT) > 0, 1, -1)
    return rng, features, signs


def quasi_separated(seed):
    """A dummy that is 1 only where y = 1, centred, beside an intercept: it separates."""
    rng, features, signs = plain(seed)
    dummy = (signs > 0) & (rng.random(COUNT) < 0.3)
    return np.column_stack([features, dummy - dummy.mean(), np.ones(COUNT)]), signs, (2, 3)


def dependent(seed):
    """Two dummies that add up to the intercept."""
    rng, features, signs = plain(seed)
    group = rng.random(COUNT) < 0.5
    return np.column_stack([features, group, ~group, np.ones(COUNT)]), signs, (2, 3, 4)


def overlapping(seed):
    rng, features, signs = plain(seed)
    group = rng.random(COUNT) < 0.5
    return np.column_stack([features, group, np.ones(COUNT)]), signs, ()


def problem_of(features, signs, **options):
    ridge = np.zeros(features.shape[1])
    return gt.Problem(features, signs, FORGET, **({"ridge": ridge, "reduction": "sum"} | options))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("data", "why"), [(quasi_separated, "separate the labels"), (dependent, "linearly dependent")]
)
def test_where_no_single_minimum_exists_none_is_claimed(data, why, seed):
    features, signs, columns = data(seed)
    problem = problem_of(features, signs)
    *others, last = map(str, columns)
    said = rf"columns {', '.join(others)} and {last} are .*{why}"
    with pytest.warns(RuntimeWarning, match=f"retrain has no single minimum: .*{said}"):
        assert not gt.retrain(problem).converged
    with pytest.warns(RuntimeWarning, match=f"pretrain has no single minimum: .*{said}"):
        assert not gt.pretrain(problem).converged
    sets = [np.arange(5), np.arange(5, 9)]
    with pytest.warns(RuntimeWarning, match=rf"2 of 2 forget sets .*forget_sets\[0\]: .*{said}"):
        assert not np.any(gt.retrain_many(problem, sets).converged)


@pytest.mark.parametrize("seed", SEEDS[:8])
def test_where_one_exists_it_is_found_and_proved(seed):
    features, signs, _ = overlapping(seed)
    problem = problem_of(features, signs)
    found = gt.retrain(problem)
    assert found.converged
    assert gt.pretrain(problem).converged
    assert np.all(gt.retrain_many(problem, [np.arange(5), np.arange(5, 9)]).converged)
    objective = problem.objective()
    data = [
        np.asarray(part) for part in (objective.types, objective.retain_weight, objective.ridge)
    ]
    assert existence.is_proved(problem.loss, *data, np.asarray(found.weights))
    assert existence.existence(*data).exists
    reference = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=10_000)
    reference.fit(features[~FORGET], signs[~FORGET])
    np.testing.assert_allclose(found.weights, reference.coef_[0], atol=1e-4)


@pytest.mark.parametrize("gap", [1e-6, 1e-3, -1e-3, -1e-6])
def test_a_small_overlap_is_told_from_a_small_gap(gap):
    """On a line the labels are separated if and only if the gap between them is >= 0."""
    place = np.array([-1.0, -0.5, -gap / 2, gap / 2, 0.5, 1.0])
    signs = np.array([-1, -1, -1, 1, 1, 1])
    types = signs[:, None] * np.column_stack([place, np.ones(6)])
    found = existence.existence(types, np.ones(6), np.zeros(2))
    assert found.exists == (gap < 0)


def test_rows_of_weight_zero_and_penalised_columns_do_not_count():
    features, signs, _ = quasi_separated(0)
    assert gt.retrain(problem_of(features, signs, ridge=[0, 0, 1e-3, 0])).converged
    features, signs, _ = overlapping(0)
    types = signs[:, None] * features
    separated = types @ [1, -0.5, 0, 0] > 0
    assert existence.existence(types, np.ones(COUNT), np.zeros(4)).exists
    found = existence.existence(types, 1.0 * separated, np.zeros(4))
    assert not found.exists
    assert {0, 1} <= set(found.columns)
    assert not existence.is_proved(
        gt.logistic, types, 1.0 * separated, np.zeros(4), np.array([30.0, -15, 0, 0])
    )
    assert existence.existence(types, 1.0 * separated, np.ones(4)).exists


def test_fewer_rows_than_unpenalised_columns_are_dependent():
    types = np.random.default_rng(0).normal(size=(3, 4))
    assert existence.existence(types, np.ones(3), np.zeros(4)).columns == (0, 1, 2, 3)


def test_a_batch_is_decided_one_by_one_and_traced_numbers_are_not():
    several = [overlapping(0), quasi_separated(0)]
    objectives = [problem_of(features, signs).objective() for features, signs, _ in several]
    batch = jax.tree.map(lambda *parts: jnp.stack(parts), *objectives)
    with pytest.warns(RuntimeWarning, match="columns 2 and 3"):
        assert gt.retrain(batch).converged.tolist() == [True, False]
    jax.jit(gt.retrain)(objectives[1])  # no warning: nothing is known there


def test_the_verdict_names_the_columns():
    features, signs, _ = quasi_separated(3)
    found = gt.diagnose(problem_of(features, signs))
    assert "no single retrained model" in found.given.no_minimum
    assert str(found.verdict).startswith(
        "No verdict: there is no single retrained model, since without a ridge columns 2 and 3"
    )
    assert not found.given.retrain_converged
    assert not found.given.pretrain_converged
    features, signs, _ = overlapping(3)
    assert gt.diagnose(problem_of(features, signs)).given.no_minimum == ""
