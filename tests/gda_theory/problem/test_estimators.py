"""Whether a fitted estimator solved the problem that it is said to have solved."""

import warnings

import jax
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.preprocessing import StandardScaler

from gda_theory.problem.problem import Problem
from gda_theory.solve import minimise

COUNT = 200
MASK = np.arange(COUNT) % 9 == 0
UNSOLVED = "fitted has not minimised its loss on X and y"


def data(seed, scale=(1.0, 2.0, 0.5), shift=(0.0, 1.0, 0.0)):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(COUNT, 3))
    labels = features @ [1.0, -0.5, 1.0] + rng.logistic(size=COUNT) > 0.3
    return features * scale + shift, labels, rng.uniform(0.2, 5, COUNT)


def warnings_of(fitted, features, labels, **weights):
    """The messages of the warnings when a problem is made of ``fitted``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Problem.from_estimator(fitted, features, labels, MASK, **weights)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cholesky", "newton-cg", "liblinear"])
@pytest.mark.parametrize("C", [0.01, 1.0, 1e4])
@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_fit_on_the_data_given_is_accepted(solver, C, tol, dtype):
    """Columns may differ in size in float64. In float32 the smallest would not be solved for."""
    scales = [(1.0, 2.0, 0.5), (1e-3, 1.0, 30.0)]
    for scale in scales if dtype == np.float64 else scales[:1]:
        features, labels, weight = data(0, scale)
        features = features.astype(dtype)
        fitted = LogisticRegression(C=C, tol=tol, solver=solver, max_iter=100_000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # line searches that stop at rounding
            fitted.fit(features, labels, weight)
        assert warnings_of(fitted, features, labels, sample_weight=weight) == []


@pytest.mark.parametrize("solver", ["sag", "saga"])
@pytest.mark.parametrize("tol", [1e-3, 1e-4])
def test_a_stochastic_fit_on_the_data_given_is_accepted(solver, tol):
    features, labels, _ = data(0)
    fitted = LogisticRegression(solver=solver, tol=tol, max_iter=10_000, random_state=0)
    assert warnings_of(fitted.fit(features, labels), features, labels) == []


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cholesky", "liblinear", "saga"])
def test_a_fit_on_other_data_is_seen(seed, solver):
    features, labels, weight = data(seed)
    settings = {"solver": solver, "max_iter": 10_000, "random_state": 0}
    scaled = StandardScaler().fit_transform(features)
    with pytest.warns(UserWarning, match=f"{UNSOLVED}.*Was X scaled"):
        Problem.from_estimator(
            LogisticRegression(**settings).fit(scaled, labels), features, labels, MASK
        )
    with pytest.warns(UserWarning, match=f"{UNSOLVED}.*Were sample weights"):
        Problem.from_estimator(
            LogisticRegression(**settings).fit(features, labels, weight), features, labels, MASK
        )


def test_a_fit_on_fewer_rows_or_one_that_stopped_early_is_seen():
    features, labels, _ = data(0)
    fewer = LogisticRegression().fit(features[:-5], labels[:-5])
    with pytest.warns(UserWarning, match="rows used"):
        Problem.from_estimator(fewer, features, labels, MASK)
    with pytest.warns(ConvergenceWarning):
        early = LogisticRegression(max_iter=1).fit(features, labels)
    with pytest.warns(UserWarning, match="Did the fit end at max_iter"):
        Problem.from_estimator(early, features, labels, MASK)


def test_the_gradient_in_the_warning_is_that_of_the_sum():
    features, labels, weight = data(1)
    fitted = LogisticRegression(C=0.5).fit(features, labels, weight)
    probability = fitted.predict_proba(features)[:, 1]
    wide = np.column_stack([features, np.ones(COUNT)])
    gradient = (probability - labels) @ wide + np.append(fitted.coef_[0] / 0.5, 0)
    worst = np.argmax(np.abs(gradient))
    column = "the intercept" if worst == 3 else f"column {worst}"
    said = f"along {column} is {abs(gradient[worst]):.2g}, where its solver allows 0.04[.]"
    with pytest.warns(UserWarning, match=said):
        Problem.from_estimator(fitted, features, labels, MASK)


def test_traced_features_are_not_checked():
    features, labels, _ = data(0)
    fitted = LogisticRegression().fit(features, labels)
    jax.jit(lambda x: Problem.from_estimator(fitted, x, labels, MASK).features)(features + 1)


@pytest.mark.parametrize("legacy", [True, False])
def test_cross_validation_stands_for_the_fit_at_its_chosen_strength(legacy):
    features, labels, weight = data(2)
    settings = {"Cs": [0.03, 0.3, 3.0], "cv": 3, "tol": 1e-10, "solver": "newton-cholesky"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its defaults change from version to version
        try:
            fitted = LogisticRegressionCV(use_legacy_attributes=legacy, **settings)
        except TypeError:  # before scikit-learn 1.8
            fitted = LogisticRegressionCV(**settings)
        fitted.fit(features, labels, weight)
    problem = Problem.from_estimator(fitted, features, labels, MASK, sample_weight=weight)
    chosen = float(np.ravel(fitted.C_)[0])
    assert chosen in settings["Cs"]
    np.testing.assert_allclose(problem.ridge, [*[1 / chosen] * 3, 0], rtol=1e-12)
    np.testing.assert_allclose(
        minimise.pretrain(problem).weights,
        np.append(fitted.coef_, fitted.intercept_),
        atol=1e-6,
    )


def test_the_mean_over_folds_is_no_fit():
    features, labels, _ = data(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = LogisticRegressionCV(Cs=[0.3], cv=3, refit=False).fit(features, labels)
    with pytest.raises(ValueError, match="refit=False, whose coef_ is a mean over folds"):
        Problem.from_estimator(fitted, features, labels, MASK)
