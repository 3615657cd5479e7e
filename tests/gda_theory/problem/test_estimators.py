"""Whether a fitted estimator solved the problem that it is said to have solved."""

import warnings

import jax
import numpy as np
import pytest
import scipy.sparse
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from gda_theory.problem.multinomial import MultinomialProblem
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


EXACT = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000}


def solved(fitted, features, labels, **weights):
    """The pretrained weights of the problem of an estimator, and those of its last step."""
    problem = Problem.from_estimator(fitted, features, labels, MASK, **weights)
    last = fitted[-1] if hasattr(fitted, "steps") else fitted
    return problem, np.asarray(minimise.pretrain(problem).weights), last


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_pipeline_takes_the_raw_features():
    features, labels, weight = data(3)
    site = np.array(["a", "b", "c"])[np.arange(COUNT) % 3]
    raw = np.column_stack([features.astype(object), site])
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), [0, 1, 2]), ("site", OneHotEncoder(), [3])]
    )
    fitted = make_pipeline(columns, LogisticRegression(C=0.7, **EXACT))
    fitted.fit(raw, labels, logisticregression__sample_weight=weight)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem, found, last = solved(fitted, raw, labels, sample_weight=weight)
    assert problem.features.shape == (COUNT, 3 + 3 + 1)
    np.testing.assert_allclose(found, np.append(last.coef_, last.intercept_), atol=1e-8)
    with pytest.warns(UserWarning, match=f"{UNSOLVED}.*Were sample weights"):
        Problem.from_estimator(fitted, raw, labels, MASK)


def test_a_sparse_transformation_is_made_dense(monkeypatch):
    words = np.array(["red", "green", "blue", "small", "large"])
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, 6)) for _ in range(COUNT)]
    labels = np.array([text.count("red") > text.count("blue") for text in texts])
    fitted = make_pipeline(CountVectorizer(), LogisticRegression(C=0.5, tol=1e-10))
    fitted.fit(texts, labels)
    _, found, last = solved(fitted, texts, labels)
    np.testing.assert_allclose(found, np.append(last.coef_, last.intercept_), atol=1e-5)
    monkeypatch.setattr("gda_theory.problem.estimators.LARGEST_DENSE", 100)
    with pytest.raises(ValueError, match="TruncatedSVD"):
        Problem.from_estimator(fitted, texts, labels, MASK)


@pytest.mark.parametrize("kind", [scipy.sparse.csr_matrix, scipy.sparse.csc_array])
@pytest.mark.parametrize("classes", [2, 3])
def test_sparse_rows_give_the_problem_of_dense_ones(kind, classes):
    rng = np.random.default_rng(3)
    dense = np.where(rng.random((COUNT, 5)) < 0.3, rng.normal(size=(COUNT, 5)), 0.0)
    labels = np.digitize(dense @ [2, -1, 1, 0, 1] + rng.logistic(size=COUNT), range(classes - 1))
    fitted = LogisticRegression(tol=1e-10, max_iter=1000).fit(kind(dense), labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sparse = Problem.from_estimator(fitted, kind(dense), labels, MASK)
    same = Problem.from_estimator(fitted, dense, labels, MASK)
    assert isinstance(sparse, MultinomialProblem if classes == 3 else Problem)
    np.testing.assert_array_equal(sparse.features, same.features)
    found = np.asarray(minimise.pretrain(sparse).weights)
    wanted = np.column_stack([fitted.coef_, fitted.intercept_])
    np.testing.assert_allclose(np.atleast_2d(found), wanted, atol=1e-5)
    with pytest.warns(UserWarning, match=UNSOLVED):
        Problem.from_estimator(fitted, kind(2 * dense), labels, MASK)
    with pytest.raises(ValueError, match=r"X must have shape \(n, 5\)"):
        Problem.from_estimator(fitted, kind(dense[:, 1:]), labels, MASK)


def test_a_pipeline_of_another_estimator_is_refused():
    features, labels, _ = data(0)
    fitted = make_pipeline(StandardScaler(), StandardScaler()).fit(features)
    with pytest.raises(TypeError, match=r"or a Pipeline that ends so, got StandardScaler"):
        Problem.from_estimator(fitted, features, labels, MASK)
    with pytest.raises(ValueError, match="fitted must be fitted"):
        Problem.from_estimator(
            make_pipeline(StandardScaler(), LogisticRegression()), features, labels, MASK
        )


@pytest.mark.parametrize("class_weight", [None, "balanced", {False: 2.0, True: 0.5}])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_stochastic_descent_has_the_ridge_alpha_of_means(class_weight, weighted):
    """C sum_i s_i loss_i + |w|^2/2 has the minimum of SGD's mean over n rows at C = 1/(n alpha)."""
    features, labels, weight = data(4, scale=(1.0, 1.0, 1.0), shift=(0.0, 0.0, 0.0))
    weight = weight if weighted else None
    alpha = 0.02
    settings = {"loss": "log_loss", "alpha": alpha, "tol": None, "max_iter": 300}
    fitted = SGDClassifier(class_weight=class_weight, random_state=0, **settings)
    fitted.fit(features, labels, sample_weight=weight)
    with pytest.warns(UserWarning, match="Stochastic descent stops early"):
        problem, found, _ = solved(fitted, features, labels, sample_weight=weight)
    assert problem.reduction == "mean"
    # "balanced" balances the number of rows here, but the sample weights in the exact solver.
    of_row = np.ones(COUNT) if weight is None else weight
    if class_weight == "balanced":
        counts = np.bincount(labels)
        of_row = of_row * (COUNT / (2 * counts))[labels.astype(int)]
        class_weight = None
    exact = LogisticRegression(C=1 / (COUNT * alpha), class_weight=class_weight, **EXACT)
    exact.fit(features, labels, of_row)
    expected = np.append(exact.coef_, exact.intercept_)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    # It comes near, so that alpha and the weights were read as it means them.
    near = np.linalg.norm(np.append(fitted.coef_, fitted.intercept_) - expected)
    assert near < 0.15 * np.linalg.norm(expected)


def test_the_warning_of_stochastic_descent_gives_the_gradient_of_the_mean():
    features, labels, _ = data(4)
    scaled = StandardScaler().fit_transform(features)
    fitted = SGDClassifier(loss="log_loss", alpha=0.01, random_state=0).fit(scaled, labels)
    probability = fitted.predict_proba(scaled)[:, 1]
    wide = np.column_stack([scaled, np.ones(COUNT)])
    gradient = (probability - labels) @ wide / COUNT + np.append(0.01 * fitted.coef_[0], 0)
    with pytest.warns(UserWarning, match="not reached the minimum") as caught:
        Problem.from_estimator(fitted, scaled, labels, MASK)
    assert f"is {np.max(np.abs(gradient)):.2g}," in str(caught[0].message)
    assert "pretrain of this problem gives the exact minimum" in str(caught[0].message)


def classes(seed=0):
    features, _, weight = data(seed, scale=(1.0, 1.0, 1.0), shift=(0.0, 0.0, 0.0))
    rng = np.random.default_rng(seed)
    scores = features @ rng.normal(size=(3, 3)) + rng.gumbel(size=(COUNT, 3))
    return features, np.array(["cat", "dog", "owl"])[np.argmax(scores, 1)], weight


@pytest.mark.parametrize("class_weight", [None, "balanced", {"cat": 2.0, "owl": 0.5}])
@pytest.mark.parametrize("cross_validated", [False, True])
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_multinomial_fit_becomes_a_problem_with_classes(class_weight, cross_validated):
    features, labels, weight = classes()
    settings = {"solver": "newton-cg", "tol": 1e-10, "class_weight": class_weight}
    if cross_validated:
        last = LogisticRegressionCV(Cs=[0.1, 1.0], cv=3, max_iter=1000, **settings)
    else:
        last = LogisticRegression(C=0.3, max_iter=1000, **settings)
    fitted = make_pipeline(StandardScaler(), last)
    fitted.fit(features, labels, **{f"{fitted.steps[-1][0]}__sample_weight": weight})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem, found, last = solved(fitted, features, labels, sample_weight=weight)
    assert isinstance(problem, MultinomialProblem)
    assert problem.classes == ("cat", "dog", "owl")
    np.testing.assert_allclose(found, np.column_stack([last.coef_, last.intercept_]), atol=1e-6)
    again = MultinomialProblem.from_estimator(fitted, features, labels, MASK, sample_weight=weight)
    np.testing.assert_array_equal(again.features, problem.features)


def test_a_multinomial_fit_on_other_data_is_seen():
    features, labels, weight = classes()
    fitted = LogisticRegression().fit(3 * features, labels)
    with pytest.warns(UserWarning, match=f"{UNSOLVED}.*column . of class '(cat|dog|owl)'"):
        Problem.from_estimator(fitted, features, labels, MASK)
    fitted = LogisticRegression().fit(features, labels, weight)
    with pytest.warns(UserWarning, match=f"{UNSOLVED}.*Were sample weights"):
        Problem.from_estimator(fitted, features, labels, MASK)


def test_a_binary_fit_has_no_problem_with_classes():
    features, labels, _ = data(0)
    fitted = LogisticRegression().fit(features, labels)
    with pytest.raises(ValueError, match=r"take gt\.Problem\.from_estimator"):
        MultinomialProblem.from_estimator(fitted, features, labels, MASK)
