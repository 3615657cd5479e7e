"""Diagnoses of K classes: their numbers by NumPy, and one class against the rest."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import gda_theory as gt
from gda_theory.verdict import against_rest, diagnosis, measure
from tests import class_data
from tests.class_data import CLASSES, FEATURES, FORGET, ROWS, data, solved

STRENGTH = 0.3
NAMES = ("cat", "dog", "owl")
ZERO = np.zeros((CLASSES, FEATURES))


@pytest.fixture(scope="module")
def found():
    return gt.diagnose(class_data.problem(classes=NAMES), STRENGTH)


def test_the_numbers_are_those_of_numpy(found):
    problem = class_data.problem()
    given = found.given
    oracle = solved(problem, ZERO)
    share = FORGET.sum() / (~FORGET).sum()
    pretrained = solved(problem, ZERO, -share)
    ascended = oracle
    for strength in np.linspace(0, STRENGTH, 9)[1:]:
        ascended = solved(problem, ascended, strength)
    shift = np.kron(np.ones((CLASSES, CLASSES)) / CLASSES, np.eye(FEATURES))
    curvature = class_data.hessian(problem, pretrained) + shift
    step = np.linalg.solve(curvature, class_data.gradient(problem, pretrained).ravel())
    newton = pretrained - step.reshape(pretrained.shape)

    def apart(weights):
        return np.linalg.norm(weights - oracle)

    close = {"rtol": 1e-9}
    np.testing.assert_allclose(given.size_ratio, share, **close)
    np.testing.assert_allclose(given.retrain_norm, np.linalg.norm(oracle), **close)
    np.testing.assert_allclose(given.pretrain_distance, apart(pretrained), **close)
    np.testing.assert_allclose(given.descent_ascent_distance, apart(ascended), **close)
    np.testing.assert_allclose(given.newton_distance, apart(newton), **close)
    at_oracle = class_data.hessian(problem, oracle) + shift
    forget = class_data.gradient(problem, oracle) - class_data.gradient(problem, oracle, 1.0)
    pushed = np.linalg.solve(at_oracle, forget.ravel())
    away = (pretrained - oracle).ravel()
    cosine = away @ pushed / np.linalg.norm(away) / np.linalg.norm(pushed)
    np.testing.assert_allclose(given.opposite_cosine, cosine, **close)


def test_the_run_from_the_pretrained_model_is_followed(found):
    assert found.code == gt.Verdict.FARTHER
    assert found.given.run_end == gt.RunEnd.CONTINUED
    np.testing.assert_allclose(
        found.given.run_distance, found.given.descent_ascent_distance, rtol=1e-6
    )
    assert found.stops
    assert all(stop.epochs == 1000 for stop in found.stops)


def test_the_weights_of_the_path_have_a_row_for_each_class(found):
    assert found.path.weights.shape == (1, CLASSES, FEATURES)


def test_a_class_that_runs_away_is_named():
    _, labels = data()
    shares = [np.mean(labels[rows] == 0) for rows in (~FORGET, FORGET)]
    limit = shares[0] / shares[1]
    problem = class_data.problem(classes=NAMES)
    assert measure.runaway_class(problem, 0.99 * limit) is None
    runaway = measure.runaway_class(problem, 1.01 * limit)
    assert runaway.label == "cat"
    np.testing.assert_allclose([runaway.kept, runaway.forgotten], shares, rtol=1e-12)


@pytest.fixture(scope="module")
def judged():
    """Classes that are judged alone, one of which is forgotten as a whole."""
    features, labels = data()
    labels = np.where(FORGET & (np.arange(ROWS) < 3), 3, labels)
    problem = gt.MultinomialProblem(features, labels, FORGET, ridge=0.05, classes=[*NAMES, "yak"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagnosis, "MOST_ON_PATH", 5)
        return problem, gt.diagnose(problem, 1.0)


def test_too_many_weights_give_a_verdict_on_each_class(judged):
    problem, found = judged
    assert isinstance(found, against_rest.AgainstRest)
    assert found.weights == 4 * FEATURES
    assert [one.name for one in found.classes] == [*NAMES, "yak"]
    text = found.summary()
    assert "one binary model for each class" in found.scope
    assert all(name in text for name in NAMES)
    assert max(map(len, text.splitlines())) <= 80
    assert found.classes[3].numbers is None
    assert "all rows of this class are forgotten" in found.classes[3].verdict
    document = found.to_dict()
    assert document["classes"][0]["numbers"]["pretrain_distance"] > 0
    assert document["weights"] == 16
    harmed = sum(one.code in against_rest.HARM for one in found.classes)
    assert f"it does harm to {harmed} of 3 models" in found.verdict
    assert problem.size == found.weights


def test_the_verdict_on_a_class_is_that_of_its_binary_model(judged):
    problem, found = judged
    features, labels = np.asarray(problem.features), np.asarray(problem.labels)
    weights = []
    for rows in (np.ones(ROWS, bool), ~FORGET):
        C = 1 / (0.05 * rows.sum())
        fitted = LogisticRegression(C=C, fit_intercept=False, tol=1e-12, solver="newton-cg")
        weights.append(fitted.fit(features[rows], labels[rows] == 1).coef_)
    distance = np.linalg.norm(weights[0] - weights[1])
    one = found.classes[1]
    np.testing.assert_allclose(one.numbers.pretrain_distance, distance, rtol=1e-6)
    # Judged at half of f/r or at twice f/r, if ascent's minimum is farther there already.
    share = FORGET.sum() / (~FORGET).sum()
    assert min(abs(one.strength / share - part) for part in against_rest.NEAR) < 1e-12
    assert one.numbers.descent_ascent_distance > one.numbers.pretrain_distance
    assert one.verdict.endswith(against_rest.FURTHER)


def test_sets_are_ranked_by_the_softmax_model():
    """The first stage by NumPy: oracles, Newton steps, losses and the estimate of break-even."""
    problem = class_data.problem()
    labels = data()[1]
    sets = {
        "early": np.arange(5),
        "mask": FORGET,
        "one class": np.flatnonzero(labels == 1)[:8],
    }
    ranked = gt.rank(problem, sets, STRENGTH, exact=1)
    assert ranked.exact.tolist() == [True, False, False]
    assert ranked.converged.all()
    pretrained = solved(problem, ZERO, -FORGET.sum() / (~FORGET).sum())
    own = class_data.probabilities(problem, pretrained)[np.arange(ROWS), labels]
    shift = np.kron(np.ones((CLASSES, CLASSES)) / CLASSES, np.eye(FEATURES))
    for row in ranked.to_frame().iter_rows(named=True):
        mask = np.isin(np.arange(ROWS), np.arange(ROWS)[sets[row["set"]]])
        one = problem.replace(forget=mask)
        oracle = solved(one, ZERO)
        curvature = class_data.hessian(one, pretrained) + shift
        step = np.linalg.solve(curvature, class_data.gradient(one, pretrained).ravel())
        newton = pretrained - step.reshape(oracle.shape)
        distance = np.linalg.norm(pretrained - oracle)
        np.testing.assert_allclose(row["pretrain_distance"], distance, rtol=1e-7)
        np.testing.assert_allclose(
            row["newton_distance"], np.linalg.norm(newton - oracle), rtol=1e-6
        )
        np.testing.assert_allclose(row["mean_forget_loss"], -np.log(own[mask]).mean(), rtol=1e-9)
        if not row["exact"]:
            uphill = class_data.gradient(one, oracle) - class_data.gradient(one, oracle, 1.0)
            moved = np.linalg.norm(np.linalg.solve(curvature, uphill.ravel()))
            np.testing.assert_allclose(row["break_even_strength"], distance / moved, rtol=1e-6)
            if row["verdict"] == "not nearer":
                assert not gt.ascent_path(one, [STRENGTH]).break_even_strength > STRENGTH


def test_a_set_that_takes_a_class_is_named():
    labels = data()[1]
    with pytest.raises(ValueError, match="forget set 'owls': forget must leave rows of each class"):
        gt.rank(class_data.problem(), {"two": [0, 1], "owls": labels == 2})
