"""The estimator against scikit-learn's, and its requests, noise and receipts."""

import json
import pickle

import joblib
import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import check_estimator

import gda_theory as gt
from gda_theory.deletion import receipt_rows, receipts
from gda_theory.deletion.margins import Margins


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(200, 5))
    y = np.where(X @ [1.0, -1, 0.5, 0, 0.2] + 0.4 + rng.logistic(size=200) > 0, "yes", "no")
    return X, y


def refit(X, y, kept, *, intercept=True, weight=None):
    fitted = LogisticRegression(
        C=2.0, fit_intercept=intercept, solver="newton-cholesky", tol=1e-13, max_iter=1000
    )
    fitted.fit(X[kept], y[kept], None if weight is None else weight[kept])
    return np.append(fitted.coef_[0], fitted.intercept_ if intercept else [])


def weights_of(model, *, intercept=True):
    return np.append(model.coef_[0], model.intercept_ if intercept else [])


def test_scikit_learns_own_checks(data):
    # One check is skipped unless SciPy's support of array APIs is switched on.
    results = check_estimator(gt.ForgettingLogisticRegression(), on_skip=None)
    assert len(results) > 50
    assert {result["status"] for result in results} <= {"passed", "skipped"}
    check_estimator(
        gt.ForgettingLogisticRegression("fine_tune", C=0.5, fit_intercept=False), on_skip=None
    )


@pytest.mark.parametrize("intercept", [True, False])
def test_the_fit_is_scikit_learns(data, intercept):
    X, y = data
    everything = np.ones(len(y), bool)
    model = gt.ForgettingLogisticRegression(C=2.0, fit_intercept=intercept).fit(X, y)
    expected = refit(X, y, everything, intercept=intercept)
    np.testing.assert_allclose(weights_of(model, intercept=intercept), expected, atol=1e-9)
    weight = np.random.default_rng(0).uniform(0.2, 2, len(y))
    model.fit(X, y, weight)
    expected = refit(X, y, everything, intercept=intercept, weight=weight)
    np.testing.assert_allclose(weights_of(model, intercept=intercept), expected, atol=1e-9)
    theirs = LogisticRegression(C=2.0).fit(X, y)
    theirs.coef_, theirs.intercept_ = model.coef_, model.intercept_
    np.testing.assert_array_equal(model.predict(X), theirs.predict(X))
    np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(X), rtol=1e-12)


@pytest.mark.parametrize("method", ["newton", "retrain", "fine_tune", "pure_ascent"])
def test_requests_in_sequence_are_certified(data, method):
    X, y = data
    model = gt.ForgettingLogisticRegression(method, C=2.0).fit(X, y)
    kept = np.ones(len(y), bool)
    bounds = []
    for rows in ([3, 8, 90], np.arange(200) % 40 == 1, np.array([7])):
        model.forget(rows)
        kept[rows] = False
        away = np.linalg.norm(weights_of(model) - refit(X, y, kept))
        assert away <= model.distance_bound_ + 1e-10
        assert model.distance_bound_ < (0.02 if method == "newton" else 1.0)
        bounds.append(model.distance_bound_)
    np.testing.assert_allclose(model.bound_sum_, sum(bounds), rtol=1e-12)
    assert bounds[0] < 1e-9 or method != "retrain"
    written = receipts.text(model.receipt_).encode()
    rows = receipt_rows.Rows(
        np.column_stack([X, np.ones(200)]), np.where(y == "yes", 1.0, -1), np.ones(200)
    )
    assert receipts.failures(written, rows, ~kept) == []
    other = rows._replace(features=rows.features + 1e-15)
    assert receipts.failures(written, other, ~kept) == ["the data are not those of the receipt"]


def test_more_newton_steps_come_closer(data):
    X, y = data
    one, two = (
        gt.ForgettingLogisticRegression(steps=steps).fit(X, y).forget(range(20)).distance_bound_
        for steps in (1, 2)
    )
    assert two < one / 20


def test_forgotten_rows_are_gone_from_memory(data):
    X, y = data
    marked = X.copy()
    marked[17] = 1234.5
    model = gt.ForgettingLogisticRegression(C=1e-3).fit(marked, y)
    assert np.float64(1234.5).tobytes() in pickle.dumps(model)
    model.forget([17])
    assert np.float64(1234.5).tobytes() not in pickle.dumps(model)
    assert np.array_equal(marked[17], np.full(5, 1234.5))
    bare = model.without_data()
    np.testing.assert_array_equal(bare.predict(X), model.predict(X))
    assert len(pickle.dumps(bare)) < 2000
    with pytest.raises(ValueError, match="holds no data, so it cannot forget"):
        bare.forget([1])


def test_a_model_from_disk_goes_on(data, tmp_path):
    X, y = data
    model = gt.ForgettingLogisticRegression().fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(again.forget([5]).coef_, model.forget([5]).coef_)
    json.dumps(again.receipt_, allow_nan=False)


def test_bad_requests_change_nothing(data):
    X, y = data
    model = gt.ForgettingLogisticRegression().fit(X, y).forget([3])
    before = pickle.dumps(model)
    few = np.flatnonzero(y == "no")
    for rows, message in (
        ([3], "must not be forgotten twice, got row 3"),
        ([200], "rows must be from 0 to 199, got 200"),
        ([-1], "rows must be from 0 to 199, got -1"),
        ([], "at least one row"),
        (np.ones(5, bool), "rows must have 200 entries"),
        ([[1]], "got shape"),
        (np.setdiff1d(few, [3]), "class 'no' has none"),
    ):
        with pytest.raises(ValueError, match=message):
            model.forget(rows)
    with pytest.raises(TypeError, match="whole row numbers, got dtype float64"):
        model.forget([1.0])
    assert pickle.dumps(model) == before


def test_bad_arguments_are_named(data):
    X, y = data
    for options, message in (
        ({"method": "magic"}, "method must be one of 'newton'"),
        ({"C": 0.0}, "C must be finite and > 0"),
        ({"C": np.inf}, "C must be finite and > 0"),
        ({"steps": 0}, "steps must be >= 1"),
        ({"epsilon": 1.0}, "epsilon and delta belong together"),
        ({"epsilon": 1.0, "delta": 1e-5}, "epsilon needs distance_limit"),
        ({"distance_limit": -1.0}, "distance_limit must be > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            gt.ForgettingLogisticRegression(**options).fit(X, y)


def test_a_limit_says_when_to_retrain(data):
    X, y = data
    model = gt.ForgettingLogisticRegression(distance_limit=1e-4).fit(X, y)
    model.forget([3])
    assert not model.needs_retraining_
    with pytest.warns(UserWarning, match="above distance_limit = 0.0001"):
        model.forget(range(10, 40))
    assert model.needs_retraining_
    model.set_params(method="retrain").forget([50])
    assert not model.needs_retraining_


def test_the_noise_has_a_budget(data):
    X, y = data
    options = {"distance_limit": 2e-4, "epsilon": 1.0, "delta": 1e-6, "noise_seed": 99}
    model = gt.ForgettingLogisticRegression(**options).fit(X, y)
    plain = gt.ForgettingLogisticRegression().fit(X, y)
    moved = weights_of(model.forget([3])) - weights_of(plain.forget([3]))
    assert 0 < np.linalg.norm(moved) < 10 * model.noise_.scale
    assert model.noise_ == gt.deletion.gaussian_noise(2e-4, 1.0, 1e-6)
    assert model.distance_bound_ == plain.distance_bound_
    before = model.coef_.copy()
    with pytest.raises(ValueError, match="the noise's budget is spent"):
        model.forget(range(10, 40))
    np.testing.assert_array_equal(model.coef_, before)
    model.set_params(method="retrain").forget(range(10, 40))
    assert model.bound_sum_ <= 2e-4
    # The next request starts from the weights without noise.
    assert np.linalg.norm(np.subtract(model.receipt_["start"], weights_of(plain))) < 1e-9


def test_small_requests_one_after_the_other_compute_no_new_hessian(monkeypatch):
    """Each is the Newton step of NumPy from the model before, and its bound holds."""
    rng = np.random.default_rng(1)
    count = 20_000
    X = rng.normal(size=(count, 3))
    y = (X[:, 0] + rng.logistic(size=count) > 0).astype(int)
    model = gt.ForgettingLogisticRegression(C=2.0).fit(X, y)
    table = np.column_stack([X, np.ones(count)])
    signs = 2.0 * y - 1
    ridge = np.array([0.5, 0.5, 0.5, 0.0])
    kept = np.ones(count, bool)
    computed = []
    product = Margins.product
    monkeypatch.setattr(Margins, "product", lambda *given: computed.append(1) or product(*given))
    for rows in ([5], [17, 19], [400]):
        before = np.append(model.coef_[0], model.intercept_)
        kept[rows] = False
        model.forget(rows)

        def derivatives(weights):
            odds = expit(-signs * (table @ weights)) * kept
            bend = odds * (1 - odds)
            gradient = ridge * weights - table.T @ (signs * odds)
            return gradient, (table.T * bend) @ table + np.diag(ridge)

        gradient, hessian = derivatives(before)
        step = np.linalg.solve(hessian, gradient)
        weights = np.append(model.coef_[0], model.intercept_)
        np.testing.assert_allclose(weights, before - step, rtol=0, atol=1e-9)
        oracle = weights
        for _ in range(3):
            gradient, hessian = derivatives(oracle)
            oracle = oracle - np.linalg.solve(hessian, gradient)
        assert np.linalg.norm(weights - oracle) <= model.distance_bound_ < 1e-6
        assert model.certificate_.gradient_norm == pytest.approx(
            np.linalg.norm(derivatives(weights)[0]), abs=1e-9
        )
    assert computed == []
    model.forget(np.flatnonzero((X[:, 0] > 0) & (y == 1) & kept))  # margins change much
    assert computed
