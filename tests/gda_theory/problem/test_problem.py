"""What a problem refuses and with which words, what it maps, and what a fitted estimator gives."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier

from gda_theory.problem.losses import logistic
from gda_theory.problem.problem import Problem
from gda_theory.solve import minimise

FEATURES = np.array([[1.0, 2.0], [0.5, -1.0], [-1.0, 0.0], [2.0, 1.0], [-0.5, 0.3], [0.1, -2.0]])
LABELS = np.array([1, -1, 1, -1, 1, -1])
FORGET = np.array([True, False, False, False, False, True])
GOOD = {"features": FEATURES, "labels": LABELS, "forget": FORGET, "ridge": 0.1}


def bad(array, index, value):
    changed = np.array(array, float)
    changed[index] = value
    return changed


REFUSED = {
    "labels 2": (
        {"labels": bad(LABELS, 3, 2)},
        ValueError,
        r"labels must be all -1/\+1 or all 0/1, got 2 at index \(3,\)",
    ),
    "labels mix": (
        {"labels": bad(LABELS, 3, 0)},
        ValueError,
        r"labels must be .* got 0 at index \(3,\)",
    ),
    "labels nan": (
        {"labels": bad(LABELS, 2, np.nan)},
        ValueError,
        r"labels must be .* got nan at index \(2,\)",
    ),
    "labels text": ({"labels": list("abcdef")}, TypeError, "labels must be .*map your classes"),
    "labels of objects": (
        {"labels": LABELS.astype(object)},
        TypeError,
        "labels must be .*got dtype object, 1 at index",
    ),
    "labels shape": (
        {"labels": LABELS[:5]},
        ValueError,
        r"labels must have shape \(6,\).*got \(5,\)",
    ),
    "features nan": (
        {"features": bad(FEATURES, (2, 1), np.nan)},
        ValueError,
        r"features must be finite, got nan at index \(2, 1\)",
    ),
    "features inf": (
        {"features": bad(FEATURES, (0, 0), np.inf)},
        ValueError,
        r"features must be finite, got inf at index \(0, 0\)",
    ),
    "features shape": (
        {"features": FEATURES[:, 0]},
        ValueError,
        r"features must have shape \(n, d\)",
    ),
    "features ragged": (
        {"features": [[1.0], [1.0, 2.0]]},
        TypeError,
        "features must be a real number or a rectangular",
    ),
    "ridge zero": ({"ridge": 0}, ValueError, "ridge must be finite and > 0, got 0"),
    "ridge negative": (
        {"ridge": [0.1, -0.1]},
        ValueError,
        r"ridge must be finite and >= 0, got -0.1 at index \(1,\)",
    ),
    "ridge inf": ({"ridge": np.inf}, ValueError, "ridge must be finite and > 0, got inf"),
    "ridge shape": (
        {"ridge": [1.0, 1.0, 1.0]},
        ValueError,
        r"ridge must be one number or have shape \(2,\)",
    ),
    "ridge bool": ({"ridge": True}, TypeError, "ridge must be a real number"),
    "ridge needed": (
        {"features": np.column_stack([FEATURES[:, 0], LABELS * 1.0]), "ridge": [0.1, 0]},
        ValueError,
        r"ridge must be > 0 at index \(1,\)",
    ),
    "forget indices": ({"forget": [0, 5]}, TypeError, "forget must be a boolean mask, not indices"),
    "forget ints": (
        {"forget": FORGET.astype(int)},
        TypeError,
        "forget must be a boolean mask, not 0/1",
    ),
    "forget shape": ({"forget": FORGET[:4]}, ValueError, r"forget must have shape \(6,\)"),
    "forget empty": ({"forget": FORGET & False}, ValueError, "the forget set has no sample"),
    "retain empty": ({"forget": FORGET | True}, ValueError, "the retain set has no sample"),
    "forget weightless": (
        {"sample_weight": [0, 1, 1, 1, 1, 0]},
        ValueError,
        "the forget set has no sample of positive sample_weight",
    ),
    "class gone": (
        {"forget": LABELS > 0},
        ValueError,
        r"leave each class in the retain set: it takes all 3 samples with label \+1",
    ),
    "loss": ({"loss": "hinge"}, ValueError, "loss must be one of .*got 'hinge'"),
    "reduction": (
        {"reduction": "median"},
        ValueError,
        "reduction must be one of 'mean', 'sum', got 'median'",
    ),
    "weight negative": (
        {"sample_weight": [1, 1, -1, 1, 1, 1]},
        ValueError,
        r"sample_weight must be finite and >= 0, got -1 at index \(2,\)",
    ),
    "weight shape": ({"sample_weight": [1.0]}, ValueError, r"sample_weight must have shape \(6,\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_by_name(case):
    change, error, match = REFUSED[case]
    with pytest.raises(error, match=match):
        Problem(**(GOOD | change))
    Problem(**GOOD)


@pytest.mark.parametrize(
    "labels", [(LABELS + 1) // 2, LABELS > 0, LABELS.tolist(), LABELS.astype(np.float32)]
)
def test_labels_are_mapped(labels):
    problem = Problem(**(GOOD | {"labels": labels}))
    assert problem.signs.tolist() == LABELS.tolist()
    assert problem.loss is logistic


def test_is_a_pytree_without_checks():
    problem = Problem(**GOOD)
    leaves, structure = jax.tree.flatten(problem)
    assert len(leaves) == 5
    nothing = jax.tree.unflatten(structure, [None] * 5)
    assert nothing.reduction == "mean"
    doubled = jax.tree.map(lambda leaf: leaf, problem)
    assert doubled.features is problem.features
    assert problem.replace(ridge=0.5).ridge.tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="ridge must be"):
        problem.replace(ridge=-1)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_objective_is_the_formula(reduction):
    weight = np.array([2.0, 1, 0.5, 3, 1, 1.5])
    problem = Problem(**GOOD, reduction=reduction, sample_weight=weight)
    objective, w, strength = problem.objective(), np.array([0.3, -0.7]), 0.6
    losses = weight * np.log1p(np.exp(-LABELS * (FEATURES @ w)))
    totals = (weight[~FORGET].sum(), weight[FORGET].sum()) if reduction == "mean" else (1, 1)
    expected = (
        losses[~FORGET].sum() / totals[0]
        - strength * losses[FORGET].sum() / totals[1]
        + 0.05 * w @ w
    )
    np.testing.assert_allclose(objective.value(w, strength), expected, rtol=1e-14)
    assert float(objective.size_ratio) == pytest.approx(3.5 / 5.5, rel=1e-15)


def test_float32_features_keep_their_precision():
    problem = Problem(**(GOOD | {"features": FEATURES.astype(np.float32)}))
    assert {leaf.dtype for leaf in jax.tree.leaves(problem) if leaf.dtype != bool} == {
        np.dtype(np.float32)
    }
    with (
        jax.enable_x64(False),
        pytest.raises(
            ValueError, match=r"ridge must be finite and > 0, got 0 in float32.*enable float64"
        ),
    ):
        Problem(**(GOOD | {"ridge": 1e-300}))


def test_traced_input_gives_nan_instead_of_raising():
    solve = jax.jit(
        lambda ridge, labels, weight: minimise.retrain(
            Problem(FEATURES, labels, FORGET, ridge=ridge, sample_weight=weight)
        )
    )
    one, lost_class, no_forget_weight = np.ones(6), np.array([1, -1, -1, -1, -1, -1]), 1.0 - FORGET
    for ridge, labels, weight, good in [
        (0.1, LABELS, one, True),
        (-0.1, LABELS, one, False),
        (np.nan, LABELS, one, False),
        (0.1, bad(LABELS, 1, 3), one, False),
        (0.1, lost_class, one, False),
        (0.1, LABELS, -one, False),
        (0.1, LABELS, no_forget_weight, False),
    ]:
        found = solve(ridge, jnp.asarray(labels, float), weight)
        assert bool(found.converged) == good
        assert bool(jnp.all(jnp.isfinite(found.weights))) == good


# scikit-learn
# --------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3)) * [1.0, 2.0, 0.5] + [0, 1.0, 0]
Y = np.where(X @ [1.0, -0.5, 1.0] + RNG.logistic(size=80) > 0.3, "yes", "no")
MASK = np.arange(80) % 9 == 0

ESTIMATORS = {
    "intercept": {"C": 2.0},
    "no intercept": {"C": 0.3, "fit_intercept": False},
    "no penalty": {"C": np.inf},
    "balanced": {"C": 1.0, "class_weight": "balanced"},
    "liblinear": {
        "C": 0.7,
        "solver": "liblinear",
        "intercept_scaling": 3.0,
        "tol": 1e-14,
        "max_iter": 10**5,
    },
}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("weighted", [False, True])
def test_estimator_solved_this_problem(name, weighted):
    weight = RNG.uniform(0.5, 2, 80) if weighted else None
    settings = {"solver": "newton-cholesky", "tol": 1e-13, "max_iter": 1000} | ESTIMATORS[name]
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # its line search stops at rounding before tol=1e-13
        fitted = LogisticRegression(**settings).fit(X, Y, weight)
    problem = Problem.from_estimator(fitted, X, Y, MASK, sample_weight=weight)
    scale = settings.get("intercept_scaling", 1.0)
    expected = (
        np.append(fitted.coef_, fitted.intercept_ / scale)
        if settings.get("fit_intercept", True)
        else fitted.coef_[0]
    )
    found = minimise.pretrain(problem)
    assert found.converged
    # liblinear's coordinate descent stops earlier than its tolerance asks.
    np.testing.assert_allclose(
        found.weights, expected, rtol=0, atol=2e-6 if name == "liblinear" else 1e-8
    )
    assert problem.reduction == "sum"


def test_estimator_errors():
    fitted = LogisticRegression().fit(X, Y)
    cases = [
        (
            RidgeClassifier().fit(X, Y),
            X,
            Y,
            TypeError,
            "fitted must be a scikit-learn LogisticRegression, .* got RidgeClassifier",
        ),
        (LogisticRegression(), X, Y, ValueError, "fitted must be fitted"),
        (
            SGDClassifier(loss="log_loss").fit(X, np.arange(80) % 3),
            X,
            Y,
            ValueError,
            "fitted must be binary if it is an SGDClassifier.*got 3 classes",
        ),
        (
            SGDClassifier(loss="hinge").fit(X, Y),
            X,
            Y,
            ValueError,
            "fitted must have loss='log_loss', got loss='hinge'",
        ),
        (
            LogisticRegression(l1_ratio=1.0, solver="liblinear").fit(X, Y),
            X,
            Y,
            ValueError,
            "fitted must have an l2 penalty or none",
        ),
        (fitted, X[:, :2], Y, ValueError, r"X must have shape \(n, 3\)"),
        (
            fitted,
            bad(X, (1, 2), np.nan),
            Y,
            ValueError,
            r"X must be finite, got nan at index \(1, 2\)",
        ),
        (fitted, X, Y == "yes", ValueError, "y must hold the fitted classes"),
        (fitted, X, Y[:-1], ValueError, r"y must have shape \(80,\).*got \(79,\)"),
    ]
    for estimator, features, labels, error, match in cases:
        with pytest.raises(error, match=match):
            Problem.from_estimator(estimator, features, labels, MASK)
