"""Sparse and wide features: the same models as scikit-learn finds on the original columns."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

import gda_theory as gt
from gda_theory.problem import row_span

COUNT = 40
LABELS = np.arange(COUNT) % 3 > 0
FORGET = np.arange(COUNT) < 6


def texts(columns=300, repeated=True):
    """A sparse matrix like word counts; two rows are the same text."""
    matrix = sparse.random(COUNT, columns, 0.05, random_state=0, format="lil")
    if repeated:
        matrix[3] = matrix[4]
    return matrix.tocsr()


def fitted(features, rows, ridge, intercept):
    model = LogisticRegression(
        C=1 / ridge, fit_intercept=intercept, solver="newton-cg", tol=1e-12, max_iter=10_000
    )
    return model.fit(features[rows], LABELS[rows])


def test_the_coordinates_have_the_inner_products_of_the_rows():
    matrix = texts()
    span = gt.row_span(matrix)
    assert span.coordinates.shape == (COUNT, COUNT - 1)  # of the two equal rows one is enough
    expected = (matrix @ matrix.T).toarray()
    np.testing.assert_allclose(span.coordinates @ span.coordinates.T, expected, atol=1e-14)
    dense = gt.row_span(matrix.toarray()).coordinates
    np.testing.assert_allclose(dense, span.coordinates, atol=1e-13)
    weights = np.random.default_rng(0).normal(size=(2, COUNT - 1))
    lifted = span.lift(weights)
    np.testing.assert_allclose(lifted @ matrix.T, weights @ span.coordinates.T, atol=1e-13)
    np.testing.assert_allclose(np.sum(lifted**2, 1), np.sum(weights**2, 1), rtol=1e-12)


@pytest.mark.parametrize("intercept", [False, True])
def test_a_wide_sparse_problem_has_scikit_learns_models(intercept):
    matrix = texts()
    features, ridge = matrix, 0.5
    if intercept:
        features = sparse.hstack([matrix, np.ones((COUNT, 1))])
        ridge = np.append(np.full(matrix.shape[1], 0.5), 0)
    problem = gt.Problem(features, LABELS, FORGET, ridge=ridge, reduction="sum")
    span = gt.row_span(matrix)
    for solve, rows in ((gt.retrain, ~FORGET), (gt.pretrain, np.ones(COUNT, bool))):
        weights = np.asarray(solve(problem).weights)
        expected = fitted(matrix, rows, 0.5, intercept)
        held = weights[:-1] if intercept else weights
        np.testing.assert_allclose(span.lift(held), expected.coef_[0], atol=1e-9)
        if intercept:
            np.testing.assert_allclose(weights[-1], expected.intercept_[0], atol=1e-9)


@pytest.mark.slow
def test_a_wide_sparse_problem_has_the_path_of_the_dense_one():
    matrix = texts()
    wide = gt.Problem(matrix, LABELS, FORGET, ridge=0.5)
    dense = gt.Problem(matrix.toarray(), LABELS, FORGET, ridge=0.5)
    found, expected = (gt.ascent_path(one, [1.0]) for one in (wide, dense))
    np.testing.assert_allclose(found.critical_strength, expected.critical_strength, rtol=1e-9)
    np.testing.assert_allclose(found.break_even_strength, expected.break_even_strength, rtol=1e-9)
    lifted = gt.row_span(matrix).lift(found.weights[0])
    np.testing.assert_allclose(lifted, expected.weights[0], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.coo_array, sparse.csc_array])
def test_narrow_sparse_features_are_made_dense(kind):
    matrix = texts(columns=5, repeated=False)
    problem = gt.Problem(kind(matrix), LABELS, FORGET, ridge=[1, 2, 3, 4, 5])
    np.testing.assert_array_equal(problem.features, matrix.toarray())


@pytest.mark.parametrize(
    ("features", "ridge", "message"),
    [
        (texts(), np.arange(1.0, 301), "ridge must be one number for sparse .* got 300 different"),
        (texts(), np.ones(299), r"ridge must be one number or have shape \(300,\)"),
        (texts() * np.nan, 1.0, "features must be finite"),
        (sparse.csr_array((COUNT, 50)), 1.0, "features must not all be 0"),
        (
            sparse.csr_array((6000, 9000)),
            1.0,
            r"6,000 rows and 9,000 columns are too large .* sklearn.decomposition.TruncatedSVD",
        ),
    ],
)
def test_what_cannot_be_computed_exactly_is_refused(features, ridge, message):
    with pytest.raises(ValueError, match=message):
        gt.Problem(features, LABELS, FORGET, ridge=ridge)


def test_weights_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"weights must have shape \(..., 39\)"):
        gt.row_span(texts()).lift(np.ones(40))
    with pytest.raises(ValueError, match="5,001 rows"):
        row_span.row_span(np.ones((5001, 6000)))
