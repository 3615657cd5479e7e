"""Newton's method against scikit-learn, mpmath, SciPy and the Lambert function; implicit
derivatives against finite differences.
"""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import optimize
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

from gda_theory.problem import losses
from gda_theory.problem.objective import Objective
from gda_theory.problem.problem import Problem
from gda_theory.solve import minimise
from gda_theory.solve.span import span_pattern

EPS = np.finfo(float).eps


@pytest.fixture(scope="module")
def cancer():
    features, labels = load_breast_cancer(return_X_y=True)
    forget = np.zeros(len(labels), bool)
    forget[np.random.default_rng(0).choice(len(labels), 28, replace=False)] = True
    return (features - features.mean(0)) / features.std(0), labels, forget


def small(seed=0, count=40, dimension=3, **settings):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, dimension))
    labels = np.where(
        features @ np.linspace(1, -1, dimension) + rng.logistic(size=count) > 0, 1, -1
    )
    return Problem(features, labels, np.arange(count) % 5 == 0, **({"ridge": 0.05} | settings))


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_breast_cancer_agrees_with_scikit_learn(cancer, intercept, reduction):
    features, labels, forget = cancer
    ridge = 1e-2 if reduction == "mean" else 4.0
    columns = np.column_stack([features, np.ones(len(labels))]) if intercept else features
    ridges = np.append(np.full(30, ridge), 0.0)[: columns.shape[1]]
    problem = Problem(columns, labels, forget, ridge=ridges, reduction=reduction)
    for solve, rows in ((minimise.pretrain, forget | True), (minimise.retrain, ~forget)):
        strength = 1 / (ridge * (rows.sum() if reduction == "mean" else 1))
        fitted = LogisticRegression(
            C=strength, fit_intercept=intercept, tol=1e-10, solver="newton-cholesky"
        ).fit(features[rows], labels[rows])
        expected = np.append(fitted.coef_, fitted.intercept_)[: columns.shape[1]]
        found = solve(problem)
        assert found.converged
        assert found.backward_error <= 4 * EPS
        np.testing.assert_allclose(found.weights, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_any_ridge(loss):
    """Two types, one coordinate's worth: the oracle's margin solves s A phi(x) = ridge x, by mpmath
    at any magnitude.
    """
    ridges = 10.0 ** np.arange(-300, 301, 50)
    batch = len(ridges)
    objective = Objective(
        jnp.tile(jnp.array([[1.0, 0.5], [0.5, 1.0]]), (batch, 1, 1)),
        jnp.tile(jnp.array([0.1, 0.0]), (batch, 1)),
        jnp.tile(jnp.array([0.0, 0.2]), (batch, 1)),
        jnp.tile(ridges[:, None], (1, 2)),
        jnp.full(batch, 0.25),
        losses.resolve(loss),
        "mean",
    )
    found = minimise.retrain(objective)
    assert np.all(found.converged)
    assert np.all(found.backward_error <= 16 * EPS)
    with mpmath.workdps(40):
        for ridge, weights in zip(ridges, np.asarray(found.weights), strict=True):
            ratio = mpmath.mpf(1.25) * mpmath.mpf(0.1) / mpmath.mpf(float(ridge))
            x = mpmath.lambertw(ratio).real
            if loss == "logistic":
                x = mpmath.findroot(
                    lambda z, r=ratio: z * (1 + mpmath.exp(z)) / r - 1,
                    ratio / 2 if ridge > 1 else x,
                )
            # The margin is conditioned better than 1; the weights are (1, 1/2) x / 1.25.
            np.testing.assert_allclose(
                weights, np.array([1, 0.5]) * float(x / mpmath.mpf(1.25)), rtol=1e-14
            )


def test_scalar_and_batched_agree():
    problem = small()
    objective = problem.objective()
    ridges = jnp.array([0.01, 0.05, 0.3])
    batched = jax.vmap(lambda ridge: minimise.retrain(problem.replace(ridge=ridge)).weights)(ridges)
    one = minimise.retrain(problem).weights
    np.testing.assert_allclose(batched[1], one, rtol=1e-13)
    pile = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), objective)
    both = minimise.solve(pile, jnp.array([0.0, objective.pretrain_strength]))
    np.testing.assert_allclose(
        both.weights, jnp.stack([one, minimise.pretrain(problem).weights]), rtol=1e-12
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_pretraining_is_on_the_path(reduction):
    problem = small(reduction=reduction, sample_weight=np.linspace(0.5, 2, 40))
    objective = problem.objective()
    on_path = minimise.solve(objective, objective.pretrain_strength)
    direct = minimise.pretrain(problem)
    np.testing.assert_allclose(on_path.weights, direct.weights, rtol=1e-13)
    factor = 1 + float(objective.size_ratio) if reduction == "mean" else 1
    np.testing.assert_allclose(on_path.value, direct.value * factor, rtol=1e-13)
    with pytest.raises(
        ValueError, match=r"strength must be >= .*, where the path is pretraining, got -3"
    ):
        minimise.solve(objective, -3.0)


@pytest.mark.parametrize("ridge", [0.05, 1e-8])
@pytest.mark.parametrize("unpenalised", [0, 1])
def test_fewer_types_than_weights(ridge, unpenalised):
    rng = np.random.default_rng(3)
    features, labels = rng.normal(size=(8, 20)), np.array([1, -1] * 4)
    ridges = ridge * rng.uniform(0.5, 2, 20)
    if unpenalised:
        features[:, 4], ridges[4] = 1, 0
    problem = Problem(features, labels, np.arange(8) == 3, ridge=ridges, loss="exponential")
    found = minimise.retrain(problem)
    dense = jax.jit(minimise.retrain)(problem)  # a traced ridge leaves no pattern, so no reduction
    assert span_pattern(problem.objective()) == ((4,) if unpenalised else ())
    assert found.converged
    # The dense Hessian's condition number is about 1/ridge.
    np.testing.assert_allclose(
        found.weights, dense.weights, rtol=0, atol=100 * EPS / ridge * np.abs(found.weights).max()
    )
    gradient = problem.objective().gradient(found.weights, 0.0)
    assert (
        np.abs(gradient).max() <= 100 * EPS * ridge * np.abs(found.weights).max()
        or np.abs(gradient).max() <= 1e-15
    )


def test_implicit_derivatives_against_differences():
    problem = small(ridge=[0.05, 0.1, 0.2])

    def readout(ridge, features):
        weights = minimise.retrain(problem.replace(ridge=ridge, features=features)).weights
        return jnp.sum(jnp.array([1.0, -2.0, 0.5]) * weights) + jnp.sum(weights**2)

    ridge, features = problem.ridge, problem.features
    step, both = 1e-5, jax.jit(jax.value_and_grad(readout, argnums=(0, 1)))
    by_ridge, by_features = both(ridge, features)[1]

    def value(*at):
        return both(*at)[0]

    for j in range(3):
        bump = step * np.eye(3)[j]
        # Central differences: step² plus eps/step.
        np.testing.assert_allclose(
            by_ridge[j],
            (value(ridge + bump, features) - value(ridge - bump, features)) / (2 * step),
            rtol=1e-7,
        )
    way = np.random.default_rng(1).normal(size=features.shape)
    difference = (value(ridge, features + step * way) - value(ridge, features - step * way)) / (
        2 * step
    )
    np.testing.assert_allclose(jnp.sum(by_features * way), difference, rtol=1e-7)
    # Second derivatives: the rule differentiates itself.
    hessian = jax.jit(jax.hessian(readout))(ridge, features)
    bump = step * np.eye(3)[0]

    def gradient(*at):
        return both(*at)[1][0]

    np.testing.assert_allclose(
        hessian[0],
        (gradient(ridge + bump, features) - gradient(ridge - bump, features)) / (2 * step),
        rtol=1e-6,
    )


def test_newton_step_is_preconditioned_ascent():
    """With means, grad J_R(w_D) = -(f/r)(grad L_F + ridge w_D): section 8 of the facts, by NumPy
    alone.
    """
    problem = small()
    x, y, forget = (
        np.asarray(problem.features),
        np.asarray(problem.signs),
        np.asarray(problem.forget),
    )
    start = np.asarray(minimise.pretrain(problem).weights)
    odds = 1 / (1 + np.exp(y * (x @ start)))
    forget_gradient = -(y * odds)[forget] @ x[forget] / forget.sum()
    curvature = (x.T * (odds * (1 - odds) * ~forget)) @ x / (~forget).sum() + 0.05 * np.eye(3)
    expected = start + forget.sum() / (~forget).sum() * np.linalg.solve(
        curvature, forget_gradient + 0.05 * start
    )
    np.testing.assert_allclose(minimise.newton_step(problem, start), expected, rtol=1e-12)


def test_any_smooth_function():
    def valley(point, scale):
        return scale * (point[1] - point[0] ** 2) ** 2 + (1 - point[0]) ** 2

    found = minimise.minimise(valley, [-1.2, 1.0], 100.0)
    assert found.converged
    np.testing.assert_allclose(found.weights, [1, 1], rtol=1e-14)

    def wells(point, tilt):  # two minima; a maximum near 0, where the Hessian is negative
        return jnp.sum(point**4 / 4 - point**2 / 2) + tilt * point[0]

    for start in (-0.2, 0.4):
        found = minimise.minimise(wells, [start], 0.1)
        expected = optimize.brentq(
            lambda x: x**3 - x + 0.1, *((-2, -0.7) if start < 0 else (0.7, 2)), xtol=1e-15
        )
        assert found.converged
        np.testing.assert_allclose(found.weights[0], expected, rtol=1e-14)
    slope = jax.grad(lambda tilt: minimise.minimise(wells, [0.4], tilt).weights[0])(0.1)
    np.testing.assert_allclose(slope, -1 / (3 * expected**2 - 1), rtol=1e-12)


def test_no_minimum_is_not_converged():
    objective = small(loss="exponential").objective()
    found = minimise.solve(objective, 50.0, max_iterations=60)
    assert not found.converged
    flat = Problem(
        [[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], [1, -1, 1], [False, False, True], ridge=1.0
    )
    assert minimise.retrain(flat).converged  # a column of zeros is no obstacle


def test_float32():
    problem = small()
    exact = minimise.retrain(problem).weights
    with jax.enable_x64(False):
        single = small()
        found = minimise.retrain(single)
        assert found.weights.dtype == np.float32
        assert found.converged
    np.testing.assert_allclose(found.weights, exact, rtol=0, atol=1e-5)  # condition number about 10
