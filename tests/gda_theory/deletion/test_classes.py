"""Deletion with K classes against scikit-learn's multinomial fits."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import gda_theory as gt
from gda_theory import deletion
from gda_theory.deletion import receipt_rows, receipts

RIDGE = 2.0


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(8)
    X = rng.normal(size=(150, 4))
    scores = X @ rng.normal(size=(4, 3)) + [0.3, 0, -0.3] + rng.gumbel(size=(150, 3))
    return X, np.argmax(scores, axis=1)


def refit(X, y, *, intercept=True, ridge=RIDGE):
    fitted = LogisticRegression(
        C=1 / ridge, fit_intercept=intercept, solver="newton-cholesky", tol=1e-13, max_iter=1000
    ).fit(X, y)
    table = fitted.coef_
    return np.column_stack([table, fitted.intercept_]) if intercept else table


def problem_of(data, intercept):
    X, y = data
    features = np.column_stack([X, np.ones(150)]) if intercept else X
    ridge = np.append(np.full(4, RIDGE), np.zeros(int(intercept)))
    return gt.MultinomialProblem(features, y, np.arange(150) < 6, ridge=ridge, reduction="sum")


@pytest.mark.parametrize("intercept", [True, False])
def test_the_bounds_hold(data, intercept):
    X, y = data
    problem = problem_of(data, intercept)
    start = refit(X, y, intercept=intercept)
    oracle = refit(X[6:], y[6:], intercept=intercept)
    retrained = deletion.retrain(problem, start)
    np.testing.assert_allclose(retrained.weights, oracle, atol=1e-9)
    assert retrained.distance_bound < 1e-9
    one = deletion.newton(problem, start)
    np.testing.assert_allclose(one.weights, gt.newton_step(problem, start), atol=1e-10)
    for found in (one, deletion.newton(problem, start, 2), deletion.fine_tune(problem, start, 5)):
        away = np.linalg.norm(found.weights - oracle)
        assert away <= found.distance_bound + 1e-9
        assert found.distance_bound < 1.5 * away + 1e-9
    # What all classes have in common is no part of the model, but of the distance.
    shifted = start + np.arange(start.shape[1])
    away = np.linalg.norm(shifted - oracle)
    assert away <= deletion.distance_bound(problem, shifted) < 1.2 * away
    noisy = deletion.published(problem, one, epsilon=1.0, delta=1e-5, seed=1)
    assert noisy.weights.shape == start.shape
    np.testing.assert_allclose(noisy.weights.mean(axis=0), 0, atol=1e-12)


def test_gradient_and_hessian_are_those_of_the_library(data):
    problem = problem_of(data, True)
    point = np.random.default_rng(0).normal(size=10)
    ours = deletion.rows.kept(problem).local(point)
    objective = problem.objective()
    np.testing.assert_allclose(ours.gradient, objective.gradient(point, 0.0), rtol=1e-10)
    np.testing.assert_allclose(ours.hessian, objective.hessian(point, 0.0), atol=1e-11)


def test_two_classes_are_refused_where_they_are_needed(data):
    problem = problem_of(data, True)
    start = np.zeros((3, 5))
    with pytest.raises(TypeError, match="must have two classes"):
        deletion.newton_residual_bound(problem, start)
    with pytest.raises(TypeError, match="must have two classes"):
        deletion.noisy_descent(problem, start, epsilon=1, delta=0.1, seed=1)
    with pytest.raises(ValueError, match=r"start must have shape \(3, 5\)"):
        deletion.newton(problem, start.T)


@pytest.mark.parametrize("method", ["newton", "retrain", "pure_ascent"])
def test_the_estimator_with_three_classes(data, method):
    X, y = data
    names = np.array(["a", "b", "c"])[y]
    model = gt.ForgettingLogisticRegression(method, C=1 / RIDGE).fit(X, names)
    found = np.column_stack([model.coef_, model.intercept_])
    np.testing.assert_allclose(found, refit(X, y), atol=1e-9)
    kept = np.ones(150, bool)
    for rows in ([3, 70], [5]):
        model.forget(rows)
        kept[rows] = False
        found = np.column_stack([model.coef_, model.intercept_])
        away = np.linalg.norm(found - refit(X[kept], y[kept]))
        assert away <= model.distance_bound_ + 1e-9
    theirs = LogisticRegression().fit(X, names)
    theirs.coef_, theirs.intercept_ = model.coef_, model.intercept_
    np.testing.assert_array_equal(model.predict(X), theirs.predict(X))
    np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(X), rtol=1e-10)
    rows = receipt_rows.Rows(np.column_stack([X, np.ones(150)]), y.astype(float), np.ones(150))
    written = receipts.text(model.receipt_).encode()
    assert receipts.failures(written, rows, ~kept) == []
    with pytest.raises(ValueError, match="class 'b' has none"):
        model.forget((names == "b") & kept)
