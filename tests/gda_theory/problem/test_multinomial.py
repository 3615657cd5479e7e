"""Problems with K classes: validation, and their objective against NumPy's and JAX's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gda_theory as gt
from gda_theory.problem import classes
from tests import class_data
from tests.class_data import CLASSES, FEATURES, FORGET, ROWS


@pytest.mark.parametrize("count", [2, 3, 7])
def test_contrasts_are_orthonormal_and_sum_to_zero(count):
    basis = classes.contrasts(count)
    np.testing.assert_allclose(basis @ basis.T, np.eye(count - 1), atol=1e-15)
    np.testing.assert_allclose(basis.sum(1), 0, atol=1e-14)


def test_coordinates_keep_lengths_and_lead_back():
    weights = np.random.default_rng(0).normal(size=(5, CLASSES, FEATURES))
    weights -= weights.mean(1, keepdims=True)
    inner = classes.coordinates_of(weights)
    assert inner.shape == (5, (CLASSES - 1) * FEATURES)
    np.testing.assert_allclose(classes.weights_of(inner, CLASSES), weights, atol=1e-15)
    lengths = np.linalg.norm(weights.reshape(5, -1), axis=1)
    np.testing.assert_allclose(np.linalg.norm(inner, axis=1), lengths, rtol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_objective_is_the_one_of_numpy(reduction):
    problem = class_data.problem(reduction, sample_weight=np.linspace(0.5, 2, ROWS))
    objective = problem.objective()
    inner = np.random.default_rng(1).normal(size=(CLASSES - 1) * FEATURES)
    weights = np.asarray(problem.weights_of(inner))
    strength = 0.7
    np.testing.assert_allclose(
        objective.value(inner, strength), class_data.value(problem, weights, strength), rtol=1e-13
    )
    np.testing.assert_allclose(
        objective.gradient(inner, strength),
        problem.coordinates_of(class_data.gradient(problem, weights, strength)),
        rtol=1e-11,
        atol=1e-13,
    )
    lift = np.kron(classes.contrasts(CLASSES), np.eye(FEATURES))
    np.testing.assert_allclose(
        objective.hessian(inner, strength),
        lift @ class_data.hessian(problem, weights, strength) @ lift.T,
        rtol=1e-11,
        atol=1e-13,
    )


@pytest.mark.slow
def test_derivatives_are_those_of_the_value():
    objective = class_data.problem().objective()
    inner = jnp.asarray(np.random.default_rng(2).normal(size=(CLASSES - 1) * FEATURES))

    def value(point):
        return objective.value(point, 0.6)

    np.testing.assert_allclose(
        objective.gradient(inner, 0.6), jax.grad(value)(inner), rtol=1e-12, atol=1e-14
    )
    np.testing.assert_allclose(
        objective.hessian(inner, 0.6), jax.hessian(value)(inner), rtol=1e-11, atol=1e-14
    )


def test_losses_far_from_the_boundary_keep_their_digits():
    """A row that is right by 60 has a loss of 2 exp(-60), which 1 - p rounds to 0."""
    rows = classes.ClassRows(features=jnp.eye(1), own=jnp.eye(3)[:1])
    inner = classes.coordinates_of(jnp.array([[40.0], [-20.0], [-20.0]]))
    loss = classes.softmax
    scores = loss.scores(rows, inner)
    np.testing.assert_allclose(loss.losses(rows, scores), 2 * np.exp(-60), rtol=1e-12)
    slope = classes.weights_of(loss.slope(rows, jnp.ones(1), scores), 3)
    np.testing.assert_allclose(slope[:, 0], np.exp(-60) * np.array([-2, 1, 1]), rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.full(ROWS, 0.5)}, r"labels must be whole numbers 0 to K-1, got 0.5"),
        ({"labels": np.full(ROWS, -1)}, r"labels must be whole numbers 0 to K-1, got -1"),
        ({"labels": np.zeros(ROWS, int), "classes": None}, "labels must be of at least 2 classes"),
        ({"labels": np.arange(ROWS - 1)}, r"labels must have shape \(90,\)"),
        ({"classes": ["a", "b"]}, "labels must be < 2, the number of classes, got 2 at index"),
        ({"classes": ["a", "b", "a"]}, "classes must be at least 2 different names"),
        ({"ridge": [0.1, 0.0, 0.1, 0.1]}, r"ridge must be > 0 at index \(1,\): with several"),
        ({"ridge": -1.0}, "ridge must be finite and > 0"),
        ({"forget": np.ones(ROWS, bool)}, "the retain set has no sample"),
        ({"features": np.zeros(ROWS)}, "features must have shape"),
        ({"sample_weight": np.ones(3)}, r"sample_weight must have shape \(90,\)"),
        ({"reduction": "total"}, "reduction must be one of"),
    ],
)
def test_bad_input_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        class_data.problem().replace(**changes)


def test_names_for_labels_are_refused_with_a_remedy():
    with pytest.raises(TypeError, match="return_inverse=True"):
        class_data.problem().replace(labels=np.full(ROWS, "cat"))


def test_two_unpenalised_intercepts_are_refused():
    features, labels = class_data.data()
    twice = np.column_stack([features, np.ones(ROWS)])
    with pytest.raises(ValueError, match="linearly dependent"):
        gt.MultinomialProblem(twice, labels, FORGET, ridge=[1, 1, 1, 0, 0])


def test_a_whole_class_may_be_forgotten_unless_the_intercept_is_free():
    features, labels = class_data.data()
    whole = labels == 1
    problem = gt.MultinomialProblem(features, labels, whole, ridge=0.1, classes=["a", "b", "c"])
    assert problem.classes == ("a", "b", "c")
    with pytest.raises(ValueError, match="class 'b' has none, so its intercept would be -infinity"):
        problem.replace(ridge=class_data.INTERCEPT)


def test_it_is_a_pytree():
    problem = class_data.problem(classes=["a", "b", "c"])
    leaves, structure = jax.tree.flatten(problem)
    again = jax.tree.unflatten(structure, leaves)
    assert again.classes == problem.classes
    assert again.reduction == problem.reduction
    np.testing.assert_array_equal(again.labels, problem.labels)
    assert problem.size == CLASSES * FEATURES
