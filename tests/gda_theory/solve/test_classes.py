"""The solvers on K classes: against scikit-learn, NumPy and the binary problem."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import gda_theory as gt
from gda_theory.codes import Reason
from tests import class_data
from tests.class_data import CLASSES, FEATURES, FORGET, INTERCEPT, ROWS, data, solved

STRENGTHS = np.array([-FORGET.sum() / (~FORGET).sum(), -0.05, 0.0, 0.1, 0.4])


@pytest.fixture(scope="module")
def path():
    return gt.ascent_path(class_data.problem(), STRENGTHS)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("C", [0.1, 10.0])
def test_solutions_are_those_of_scikit_learn(kept, C):
    features, labels = data()
    weight = np.linspace(0.5, 2, ROWS)
    rows = ~FORGET if kept else np.ones(ROWS, bool)
    fitted = LogisticRegression(C=C, tol=1e-10, max_iter=10_000, solver="newton-cg")
    fitted.fit(features[rows, :-1], labels[rows], weight[rows])
    problem = class_data.problem(
        "sum", ridge=np.where(INTERCEPT > 0, 1 / C, 0), sample_weight=weight
    )
    found = gt.retrain(problem) if kept else gt.pretrain(problem)
    assert found.converged
    expected = np.column_stack([fitted.coef_, fitted.intercept_])
    np.testing.assert_allclose(found.weights, expected, atol=1e-8)
    np.testing.assert_allclose(np.sum(found.weights, 0), 0, atol=1e-14)


@pytest.mark.slow
def test_two_classes_are_the_binary_problem_at_half_the_ridge():
    """W = (-w/2, w/2), so that |w_0|^2 + |w_1|^2 = |w|^2/2."""
    features, labels = data()
    labels = labels > 0
    several = gt.MultinomialProblem(features, labels.astype(int), FORGET, ridge=INTERCEPT)
    binary = gt.Problem(features, labels, FORGET, ridge=INTERCEPT / 2)
    ours, theirs = (gt.ascent_path(problem, STRENGTHS) for problem in (several, binary))

    def weights(of_margin):
        return np.stack([-of_margin / 2, of_margin / 2], -2)

    close = {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(ours.weights, weights(theirs.weights), **close)
    np.testing.assert_allclose(ours.fold_weights, weights(theirs.fold_weights), **close)
    np.testing.assert_allclose(ours.pretrained.weights, weights(theirs.pretrained.weights), **close)
    np.testing.assert_allclose(ours.critical_strength, theirs.critical_strength, **close)
    np.testing.assert_allclose(ours.break_even_strength, theirs.break_even_strength, **close)
    np.testing.assert_allclose(ours.oracle.value, theirs.oracle.value, **close)
    np.testing.assert_array_equal(ours.bounded_below, theirs.bounded_below)
    np.testing.assert_allclose(
        gt.newton_step(several, ours.pretrained.weights),
        weights(gt.newton_step(binary, theirs.pretrained.weights)),
        **close,
    )


@pytest.mark.slow
def test_the_path_is_that_of_newtons_method_at_each_strength(path):
    problem = class_data.problem()
    assert np.all(path.exists)
    for strength, weights in zip(STRENGTHS, path.weights, strict=True):
        direct = np.asarray(path.oracle.weights)
        for between in np.linspace(0, strength, 9)[1:]:
            direct = solved(problem, direct, between)
        np.testing.assert_allclose(weights, direct, atol=1e-10)
        assert np.max(np.abs(class_data.gradient(problem, weights, strength))) < 1e-13


def test_pretraining_and_the_oracle_lie_on_the_path(path):
    np.testing.assert_allclose(path.weights[0], path.pretrained.weights, atol=1e-13)
    np.testing.assert_allclose(path.weights[2], path.oracle.weights, atol=1e-13)
    assert path.pretrained.converged
    assert path.oracle.converged


def test_the_hessian_is_singular_at_the_fold_and_definite_before(path):
    problem = class_data.problem()
    critical = float(path.critical_strength)
    assert STRENGTHS[-1] < critical < path.searched_to * (1 + 1e-12)
    fold = np.asarray(path.fold_weights)
    assert np.max(np.abs(class_data.gradient(problem, fold, critical))) < 1e-12
    # One eigenvalue is 0 for the common shift of the intercepts. At a fold there is another.
    eigenvalues = np.linalg.eigvalsh(class_data.hessian(problem, fold, critical))
    assert np.sort(np.abs(eigenvalues))[1] < 1e-9 * eigenvalues[-1]
    before = np.linalg.eigvalsh(class_data.hessian(problem, path.weights[-1], STRENGTHS[-1]))
    assert np.sort(np.abs(before))[1] > 1e-4 * before[-1]
    assert before[0] > -1e-15
    beyond = gt.descent_ascent(problem, 1.01 * critical)
    assert not beyond.exists
    assert beyond.reason in (Reason.PAST_FOLD, Reason.UNBOUNDED)
    np.testing.assert_allclose(beyond.critical_strength, critical, rtol=1e-10)


def test_break_even_is_as_far_as_pretraining(path):
    even = float(path.break_even_strength)
    assert 0 < even < path.critical_strength
    at_even = solved(class_data.problem(), path.weights[3], even)
    oracle = np.asarray(path.oracle.weights)
    np.testing.assert_allclose(
        np.linalg.norm(at_even - oracle),
        np.linalg.norm(path.pretrained.weights - oracle),
        rtol=1e-9,
    )


def test_an_intercept_runs_away_where_a_class_is_forgotten_more_than_kept():
    _, labels = data()
    forget = np.zeros(ROWS, bool)
    forget[np.flatnonzero(labels == 0)[:9]] = True
    forget[np.flatnonzero(labels == 1)[:3]] = True
    shares = [np.mean(labels[rows] == 0) for rows in (~forget, forget)]
    problem = class_data.problem().replace(forget=forget)
    slopes = problem.objective().recession_slopes
    limit = shares[0] / shares[1]
    assert np.all(np.asarray(slopes(limit * 0.999)) > 0)
    assert np.asarray(slopes(limit * 1.001)).min() < 0
    penalised = problem.replace(ridge=0.1).objective()
    assert np.all(np.isinf(penalised.recession_slopes(5.0)))


def test_newtons_step_is_that_of_numpy(path):
    problem = class_data.problem()
    start = np.asarray(path.pretrained.weights)
    shift = np.kron(np.ones((CLASSES, CLASSES)) / CLASSES, np.eye(FEATURES))
    curvature = class_data.hessian(problem, start) + shift
    step = np.linalg.solve(curvature, class_data.gradient(problem, start).ravel())
    np.testing.assert_allclose(
        gt.newton_step(problem, start), start - step.reshape(start.shape), atol=1e-12
    )
    with pytest.raises(ValueError, match=r"weights must have shape \(3, 4\), got \(4,\)"):
        gt.newton_step(problem, start[0])


@pytest.mark.slow
def test_weights_have_derivatives_under_jit():
    problem = class_data.problem()

    def length(ridge):
        inside = problem.replace(ridge=jnp.append(jnp.full(FEATURES - 1, ridge), 0.0))
        return jnp.sum(gt.retrain(inside).weights ** 2)

    slope = jax.jit(jax.grad(length))(0.05)
    after, before = (
        np.sum(np.asarray(gt.retrain(problem.replace(ridge=[r, r, r, 0])).weights) ** 2)
        for r in (0.05 + 1e-5, 0.05 - 1e-5)
    )
    np.testing.assert_allclose(slope, (after - before) / 2e-5, rtol=1e-7)


def test_a_path_ends_where_an_intercept_runs_away():
    """Then the critical strength is the ratio of a class's shares of kept and forgotten rows."""
    _, labels = data()
    labels = np.where(np.arange(ROWS) < 40, labels, np.where(labels == 0, 1, labels))
    problem = class_data.problem().replace(labels=labels)
    shares = [np.mean(labels[rows] == 0) for rows in (~FORGET, FORGET)]
    path = gt.ascent_path(problem, STRENGTHS)
    np.testing.assert_allclose(path.critical_strength, shares[0] / shares[1], rtol=1e-6)
    assert np.all(np.isnan(path.fold_weights))


def test_a_path_of_too_many_weights_is_refused():
    wide = np.random.default_rng(0).normal(size=(ROWS, 700))
    problem = gt.MultinomialProblem(wide, data()[1], FORGET, ridge=0.1)
    with pytest.raises(ValueError, match=r"at most 2000 weights.*3 classes x 700 features = 2100"):
        gt.ascent_path(problem, np.array([1.0]))
