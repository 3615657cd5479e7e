"""Many oracles against scikit-learn's and against ``retrain`` one by one: easy sets by shared work,
hard ones by Newton's method.
"""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

import gda_theory as gt
from gda_theory.solve import many

EPS = np.finfo(float).eps
COUNT = 569


@functools.cache
def cancer(intercept: bool):
    """Standardised features with a last column of ones, or of zeros: one shape, so that one program
    serves most tests.
    """
    features, labels = load_breast_cancer(return_X_y=True)
    scaled = (features - features.mean(0)) / features.std(0)
    return np.column_stack([scaled, np.full(COUNT, float(intercept))]), labels


@functools.cache
def easy_sets() -> tuple[np.ndarray, ...]:
    """Random rows, 1 to 284 of them, in no order of size."""
    rng = np.random.default_rng(0)
    return tuple(rng.choice(COUNT, size, replace=False) for size in (28, 5, 284, 1, 57, 28))


def masks_of(sets, count=COUNT) -> np.ndarray:
    masks = np.zeros((len(sets), count), bool)
    for mask, rows in zip(masks, sets, strict=True):
        mask[rows] = True
    return masks


def one_by_one(problem, sets) -> list[gt.Solution]:
    return [gt.retrain(problem.replace(forget=mask)) for mask in masks_of(sets, len(problem.signs))]


def check(problem, sets, found, atol):
    """Equal to ``retrain`` one by one, and honest: the gradient and the value are those at the
    weights, by NumPy.
    """
    features, signs, weight, ridge = (
        np.asarray(a)
        for a in (problem.features, problem.signs, problem.sample_weight, problem.ridge)
    )
    assert np.all(found.converged)
    for number, (mask, one) in enumerate(
        zip(masks_of(sets, len(signs)), one_by_one(problem, sets), strict=True)
    ):
        weights = np.asarray(found.weights[number])
        np.testing.assert_allclose(
            weights, one.weights, rtol=0, atol=atol * np.abs(one.weights).max()
        )
        np.testing.assert_allclose(found.value[number], one.value, rtol=1e-12)
        kept = signs[~mask, None] * features[~mask]
        share = weight[~mask] / (weight[~mask].sum() if problem.reduction == "mean" else 1)
        slopes = share * np.asarray(problem.loss.phi(jnp.asarray(kept @ weights)))
        gradient = ridge * weights - slopes @ kept
        # Two ways to round the same gradient.
        noise = 16 * EPS * np.linalg.norm(np.abs(ridge * weights) + np.abs(slopes) @ np.abs(kept))
        np.testing.assert_allclose(
            found.gradient_norm[number], np.linalg.norm(gradient), rtol=0, atol=noise
        )
        assert found.gradient_norm[number] <= many.TOLERANCE


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("intercept", [False, True])
def test_breast_cancer_agrees_with_scikit_learn(intercept, reduction):
    features, labels = cancer(intercept)
    ridge = 1e-2 if reduction == "mean" else 4.0
    ridges = np.append(np.full(30, ridge), 0.0 if intercept else 1.0)
    problem = gt.Problem(
        features, labels, masks_of(easy_sets())[0], ridge=ridges, reduction=reduction
    )
    found = gt.retrain_many(problem, easy_sets())
    assert np.all(found.converged)
    assert np.max(found.gradient_norm) <= 1e-10
    for mask, weights in zip(masks_of(easy_sets()), np.asarray(found.weights), strict=True):
        strength = 1 / (ridge * ((~mask).sum() if reduction == "mean" else 1))
        theirs = LogisticRegression(
            C=strength, fit_intercept=intercept, tol=1e-11, solver="newton-cholesky"
        )
        theirs.fit(features[~mask, :30], labels[~mask])
        np.testing.assert_allclose(
            weights, np.append(theirs.coef_, theirs.intercept_), rtol=0, atol=1e-8
        )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_one_by_one_with_weights_and_a_ridge_per_coordinate(reduction):
    features, labels = cancer(True)
    rng = np.random.default_rng(1)
    weight = rng.exponential(size=COUNT) * (rng.random(COUNT) < 0.9)
    weight[easy_sets()[3]] = 2  # the set of one row
    ridge = np.append(np.logspace(-3, 0, 30), 0.0) * (1 if reduction == "mean" else 300)
    problem = gt.Problem(
        features,
        labels,
        masks_of(easy_sets())[1],
        ridge=ridge,
        reduction=reduction,
        sample_weight=weight,
    )
    found = gt.retrain_many(problem, masks_of(easy_sets()))
    check(problem, easy_sets(), found, 1e-8)
    assert not np.any(
        found.fell_back[np.array([0, 1, 3, 4, 5])]
    )  # sets of a tenth of the data need no Newton


def test_the_problems_own_set_is_ignored():
    features, labels = cancer(False)
    first, second = (
        gt.Problem(features, labels, mask, ridge=1e-2) for mask in masks_of(easy_sets())[:2]
    )
    for mine, other in zip(
        gt.retrain_many(first, easy_sets()), gt.retrain_many(second, easy_sets()), strict=True
    ):
        np.testing.assert_array_equal(mine, other)


def hard_sets(features, labels) -> list[np.ndarray]:
    """Half of the data, at random and by a feature; nearly all of one class; the rows with the
    largest values.
    """
    halves = [
        np.random.default_rng(2).choice(COUNT, 284, replace=False),
        np.argsort(features[:, 0])[:284],
    ]
    classes = [np.flatnonzero(labels == 0)[4:], np.argsort(features[:, 2])[-60:]]
    return [*halves, *classes, np.argsort(features[:, 5])[-100:], np.array([7])]


def test_hard_sets_fall_back_and_are_right():
    features, labels = cancer(True)
    ridge = np.append(np.full(30, 0.1), 0.0)
    problem = gt.Problem(features, labels, masks_of(easy_sets())[0], ridge=ridge, reduction="sum")
    sets = hard_sets(features, labels)
    found = gt.retrain_many(problem, sets)
    assert np.sum(found.fell_back) >= 3
    assert not found.fell_back[-1]
    check(problem, sets, found, 1e-8)


def test_an_oracle_that_does_not_exist_is_not_claimed():
    """Separable by two coordinates without a ridge: the weights run away, though both signs meet
    along either coordinate.
    """
    features, _ = cancer(True)
    labels = features[:, 0] > 0.3
    ridge = np.append(np.r_[0.0, np.full(29, 1e-2)], 0.0)
    problem = gt.Problem(features, labels, masks_of(easy_sets())[0], ridge=ridge)
    with pytest.warns(RuntimeWarning, match="columns 0 and 30 are enough to separate the labels"):
        found = gt.retrain_many(problem, easy_sets())
    assert not np.any(found.converged)
    assert np.all(found.fell_back)
    assert np.all(np.isfinite(found.weights))
    with pytest.warns(RuntimeWarning, match="retrain has no single minimum"):
        assert not any(one.converged for one in one_by_one(problem, easy_sets()))


def test_features_in_the_thousands():
    """Raw data, in a sum: there rounding alone leaves gradients above 1e-10, which must not count
    as a failure.
    """
    features, labels = cancer(False)
    raw = np.column_stack([load_breast_cancer(return_X_y=True)[0] * 100, features[:, 30]])
    problem = gt.Problem(raw, labels, masks_of(easy_sets())[0], ridge=1.0, reduction="sum")
    found = gt.retrain_many(problem, easy_sets())
    assert np.all(found.converged)
    assert np.max(found.gradient_norm) > many.TOLERANCE
    for one, weights in zip(one_by_one(problem, easy_sets()), found.weights, strict=True):
        np.testing.assert_allclose(weights, one.weights, rtol=0, atol=1e-8)


def test_the_exponential_loss_in_blocks_and_tiles(monkeypatch, capsys):
    """Two blocks of four and three sets, three tiles of 190 rows (one of them padding), the order
    of the sets restored.
    """
    monkeypatch.setattr(many, "SETS", 4)
    monkeypatch.setattr(many, "ROWS", 200)
    features, labels = cancer(False)
    problem = gt.Problem(features, labels, masks_of(easy_sets())[0], ridge=3e-2, loss="exponential")
    sets = [*easy_sets(), np.arange(20)]
    found = gt.retrain_many(problem, sets, progress=True)
    check(problem, sets, found, 1e-8)
    assert not np.all(found.fell_back)
    output = capsys.readouterr()
    assert "oracles" in output.err
    assert output.out == ""


@pytest.mark.slow
def test_more_weights_than_rows_and_a_loss_of_ones_own():
    """In the span of the types, with a loss told by its value only: a wide hinge."""
    rng = np.random.default_rng(3)
    features = np.column_stack([rng.normal(size=(40, 60)), np.ones(40)])
    labels, ridge = np.arange(40) % 2, np.append(np.logspace(-2, 0, 60), 0.0)
    mine = gt.margin_loss(
        "wide", lambda m: jnp.sqrt(1 + (m - 1) ** 2) - (m - 1), slope_at_minus_infinity=2.0
    )
    problem = gt.Problem(features, labels, np.arange(40) < 3, ridge=ridge, loss=mine)
    sets = [[0, 1], [5], np.arange(10, 14)]
    found = gt.retrain_many(problem, sets)
    check(problem, sets, found, 1e-8)
    assert not found.fell_back[1]


def test_single_precision():
    """float32 reaches its own rounding, by shared work: weights to 1e-4 (curvature 1e-2, rounding
    1e-7 of gradients about 1).
    """
    features, labels = cancer(True)
    ridge = np.append(np.full(30, 1e-2), 0.0)
    exact = gt.retrain_many(
        gt.Problem(features, labels, masks_of(easy_sets())[0], ridge=ridge), easy_sets()
    )
    single = gt.Problem(
        features.astype("f4"), labels, masks_of(easy_sets())[0], ridge=ridge.astype("f4")
    )
    found = gt.retrain_many(single, easy_sets())
    assert {array.dtype for array in found[:3]} == {np.dtype("float32")}
    assert np.all(found.converged)
    assert np.sum(found.fell_back) <= 1
    np.testing.assert_allclose(found.weights, exact.weights, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.value, exact.value, rtol=1e-5)


def test_a_wrong_retain_set_is_seen():
    """The mutant: one forgotten row stays in.

    Its oracle differs by far more than the tolerance of these tests.
    """
    features, labels = cancer(True)
    problem = gt.Problem(
        features, labels, masks_of(easy_sets())[0], ridge=np.append(np.full(30, 1e-2), 0.0)
    )
    mutant = gt.retrain_many(
        problem, [rows[:-1] if len(rows) > 1 else np.array([100]) for rows in easy_sets()]
    )
    found = gt.retrain_many(problem, easy_sets())
    assert np.all(np.linalg.norm(mutant.weights - found.weights, axis=1) > 1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_softplus(dtype):
    """The loss's value by its series, to 2 ulp plus the rounding of the exponential's argument,
    against mpmath.
    """
    margins = np.concatenate([np.linspace(-50, 80, 300), [-1e-3, 0, 1e-3]]).astype(dtype)
    got = np.asarray(many.softplus(jnp.asarray(margins)))
    assert got.dtype == dtype
    for margin, value in zip(margins.tolist(), got.tolist(), strict=True):
        exact = mpmath.log1p(mpmath.exp(-margin))
        assert abs(value / exact - 1) <= 4 * np.finfo(dtype).eps
    assert many.softplus(jnp.asarray(dtype(1e6))) == 0
    assert many.softplus(jnp.asarray(dtype(-1e6))) == 1e6


# Validation ---------------------------------------------------------------------------------------


@functools.cache
def tiny() -> gt.Problem:
    features = np.column_stack([np.linspace(-1, 1, 10), np.ones(10)])
    return gt.Problem(
        features,
        np.arange(10) % 2,
        np.arange(10) < 2,
        ridge=[0.1, 0.0],
        sample_weight=np.sign(np.arange(10)),
    )


@pytest.mark.parametrize(
    ("sets", "error", "message"),
    [
        ([], ValueError, "forget_sets must hold at least one set"),
        (np.zeros((0, 10), bool), ValueError, "forget_sets must hold at least one set"),
        (7, TypeError, "forget_sets must be a boolean array"),
        (np.arange(10) < 3, ValueError, r"forget_sets must have shape \(B, 10\).* got \(10,\)"),
        (np.zeros((2, 3, 4), bool), ValueError, r"forget_sets must have shape \(B, 10\)"),
        (
            np.arange(10)[None] < np.array([[3], [0]]),
            ValueError,
            r"forget_sets\[1\] must forget at least one row",
        ),
        ([[1], []], ValueError, r"forget_sets\[1\] must forget at least one row"),
        (
            [[1], range(10)],
            ValueError,
            r"forget_sets\[1\] must leave an oracle: no row of positive",
        ),
        ([range(1, 10)], ValueError, r"forget_sets\[0\] must leave an oracle: no row of positive"),
        (
            [[1], [2], range(1, 10, 2)],
            ValueError,
            r"forget_sets\[2\] must leave an oracle: every row with label \+1",
        ),
        (
            [range(2, 10, 2)],
            ValueError,
            r"forget_sets\[0\] must leave an oracle: every row with label -1",
        ),  # row 0 has no weight
        ([[0]], ValueError, r"forget_sets\[0\] must forget a row of positive sample_weight"),
        (
            [[1], [2, 3, 2]],
            ValueError,
            r"forget_sets\[1\] must not repeat a row, got 2 more than once$",
        ),
        (
            np.eye(10, dtype=int),
            ValueError,
            r"forget_sets\[0\] must not repeat a row.* for 0/1 use",
        ),
        (
            [[1], [2, 10]],
            ValueError,
            r"forget_sets\[1\] must hold row numbers from 0 to 9, got 10 at index \(1,\)",
        ),
        ([[-1]], ValueError, r"forget_sets\[0\] must hold row numbers from 0 to 9, got -1"),
        (
            [[1], [0.5]],
            TypeError,
            r"forget_sets\[1\] must hold row numbers or be a boolean mask, got dtype float64",
        ),
        (["ab"], ValueError, r"forget_sets\[0\] must be one list of row numbers"),
        ([1, 2], ValueError, r"forget_sets\[0\] must be one list of row numbers, got shape \(\)"),
        (
            [[[1]]],
            ValueError,
            r"forget_sets\[0\] must be one list of row numbers, got shape \(1, 1\)",
        ),
        ([[[1], [2, 3]]], TypeError, r"forget_sets\[0\] must be a list of row numbers"),
        (
            [np.ones(9, bool)],
            ValueError,
            r"forget_sets\[0\] must have shape \(10,\) as a mask.* got \(9,\)",
        ),
    ],
)
def test_bad_sets(sets, error, message):
    with pytest.raises(error, match=message):
        gt.retrain_many(tiny(), sets)


def test_names_of_sets_are_not_taken_for_sets():
    """A data frame or a mapping iterates its names; both have a remedy, which works."""
    masks = masks_of([[1], [2, 3]], 10)
    expected = gt.retrain_many(tiny(), masks)
    frame = pytest.importorskip("polars").DataFrame({"first": masks[0], "second": masks[1]})
    with pytest.raises(
        TypeError, match=r"forget_sets must be .*got DataFrame; .*asarray\(forget_sets\).T"
    ):
        gt.retrain_many(tiny(), frame)
    found = gt.retrain_many(tiny(), np.asarray(frame).T)
    np.testing.assert_array_equal(found.weights, expected.weights)
    for named in ({0: [1], 1: [2, 3]}, {"first": masks[0], "second": masks[1]}):
        with pytest.raises(
            TypeError, match=r"forget_sets must be .*got dict; pass list\(forget_sets.values\(\)\)"
        ):
            gt.retrain_many(tiny(), named)
        found = gt.retrain_many(tiny(), list(named.values()))
        np.testing.assert_array_equal(found.weights, expected.weights)
    with pytest.raises(TypeError, match=r"forget_sets must be .*got 'random:2'"):
        gt.retrain_many(tiny(), "random:2")


@pytest.mark.parametrize("rows", [[0, 1], [2, 3, 4]])
def test_a_coordinate_that_would_run_away(rows):
    """Without rows 0 and 1, or without 2, 3 and 4, the unpenalised coordinate has y_i x_i of one
    sign; both classes stay.
    """
    signs = np.array([1, -1, 1, -1, 1, 1, -1])
    features = np.column_stack([signs * np.array([1.0, 1, -1, -1, -1, 0, 0]), np.ones(7)])
    problem = gt.Problem(features, signs, np.arange(7) == 5, ridge=[0.0, 1.0])
    with pytest.raises(
        ValueError,
        match=r"forget_sets\[1\] must leave an oracle: y_i x_i0 has one sign only.* at \(0,\)",
    ):
        gt.retrain_many(problem, [[5], rows])


def test_bad_problem_and_tracing():
    with pytest.raises(TypeError, match="problem must be a Problem, got Objective"):
        gt.retrain_many(tiny().objective(), [[1]])
    with pytest.raises(TypeError, match="must be concrete"):
        jax.jit(lambda masks: gt.retrain_many(tiny(), masks))(masks_of([[1]], 10))
    with pytest.raises(TypeError, match="must be concrete"):
        jax.grad(lambda problem: gt.retrain_many(problem, [[1]]).value[0], allow_int=True)(tiny())


def test_a_generator_of_sets():
    np.testing.assert_array_equal(
        gt.retrain_many(tiny(), ([row] for row in (1, 2))).weights,
        gt.retrain_many(tiny(), [[1], [2]]).weights,
    )


def test_little_that_is_left_is_summed_anew():
    """A forgotten weight of 1e20 must not round the others away."""
    weight = np.array([1e20, 1.0, 2.0])
    assert many._left(weight, float(weight.sum()), np.array([0])) == 3
    assert many._left(np.ones(4), 4.0, np.array([1])) == 3
