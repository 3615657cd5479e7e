"""Every number of the sections of a report on three classes again, by NumPy and scikit-learn.

The references work with all K d weights. The Hessian gets curvature 1 along equal shifts of all
classes, where the gradients are 0, so that it can be inverted.
"""

import dataclasses

import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

import gda_theory as gt
from gda_theory.verdict import random_test
from tests import class_data
from tests.class_data import CLASSES, FEATURES, FORGET, INTERCEPT, ROWS, data, solved
from tests.gda_theory.verdict.page_reading import check
from tests.gda_theory.verdict.test_evidence import attacked, calibration, close

STRENGTH = 0.3
NAMES = ("cat", "dog", "owl")
COLUMNS = ("height", "width", "speed")
SHIFT = np.kron(np.ones((CLASSES, CLASSES)) / CLASSES, np.eye(FEATURES))
PROBLEM = class_data.problem()
FEATURE, LABEL = data()
OWN = np.eye(CLASSES)[LABEL]
RATIO = FORGET.sum() / (~FORGET).sum()
SETS = {"all": np.ones(ROWS, bool), "kept": ~FORGET, "forgotten": FORGET}


@pytest.fixture(scope="module")
def found():
    diagnosed = gt.diagnose(class_data.problem(classes=NAMES), STRENGTH)
    return dataclasses.replace(diagnosed, names=COLUMNS)


def curvature(weights, coefficients, ridge=INTERCEPT):
    """The Hessian of losses with these coefficients, without shifts."""
    chance = class_data.probabilities(PROBLEM, weights)
    bends = np.einsum("ik,kl->ikl", chance, np.eye(CLASSES)) - chance[:, :, None] * chance[:, None]
    blocks = np.einsum("i,ikl,id,ie->kdle", coefficients, bends, FEATURE, FEATURE)
    size = CLASSES * FEATURES
    return blocks.reshape(size, size) + np.diag(np.tile(ridge, CLASSES)) + SHIFT


def slope(weights, coefficients, ridge=INTERCEPT):
    residual = class_data.probabilities(PROBLEM, weights) - OWN
    return ((coefficients[:, None] * residual).T @ FEATURE + ridge * weights).ravel()


def newton(weights, coefficients, steps=1):
    for _ in range(steps):
        step = np.linalg.solve(curvature(weights, coefficients), slope(weights, coefficients))
        weights = weights - step.reshape(weights.shape)
    return weights


def coefficients(strength):
    return class_data.signed(PROBLEM, strength)[0]


@pytest.fixture(scope="module")
def weights():
    zero = np.zeros((CLASSES, FEATURES))
    retrained, pretrained = solved(PROBLEM, zero), solved(PROBLEM, zero, -RATIO)
    ascended = retrained
    for strength in np.linspace(0, STRENGTH, 9)[1:]:
        ascended = solved(PROBLEM, ascended, strength)
    return {
        "pretrained": pretrained,
        "retrained": retrained,
        "newton": newton(pretrained, coefficients(0)),
        "ascent": ascended,
    }


def chances(weights):
    return class_data.probabilities(PROBLEM, weights)


def distance(weights, one):
    away = weights["pretrained"] - weights["retrained"]
    return np.linalg.norm(one - weights["retrained"]) / np.linalg.norm(away)


def test_every_section_is_there(found, weights):
    evidence = found.evidence
    assert not evidence.missing
    assert not evidence.unanswered
    assert evidence.effects.distance.keys() == weights.keys()
    document = found.to_dict()
    assert document["classes"] == CLASSES
    check(found.to_html(), document)


def test_effects(found, weights):
    goal = chances(weights["retrained"])
    measured = found.evidence.effects
    for name, one in weights.items():
        length = np.linalg.norm(one - weights["retrained"])
        whole = np.linalg.norm(weights["retrained"])
        close(measured.distance[name], [length, length / whole, distance(weights, one)], 1e-10)
        chance = chances(one)
        right = chance.argmax(1) == LABEL
        for key, members in SETS.items():
            close(
                measured.quality[name][key],
                [
                    log_loss(LABEL[members], chance[members], labels=range(CLASSES)),
                    right[members].mean(),
                    np.mean(np.sum((chance - OWN)[members] ** 2, 1)),
                    calibration(chance.max(1)[members], right[members]),
                ],
            )
            if name != "retrained":
                change = measured.change[name][key]
                moved = np.abs(chance - goal)[members].sum(1) / 2
                close([change.mean, change.largest], [moved.mean(), moved.max()], 1e-12)
                other = chance.argmax(1) != goal.argmax(1)
                assert change.other_class == other[members].mean()


def test_weights_that_differ(found, weights):
    change = weights["pretrained"] - weights["retrained"]
    effect = (change * np.sqrt(np.mean(FEATURE**2, 0))).ravel()
    measured = found.evidence.differences
    assert measured.feature_count == CLASSES * FEATURES
    for feature, index in zip(measured.features, np.argsort(-np.abs(effect)), strict=True):
        label, column = divmod(index, FEATURES)
        assert feature.name == f"{(*COLUMNS, 'intercept')[column]}, class {NAMES[label]}"
        pretrained, retrained = (
            weights[name].ravel()[index] for name in ("pretrained", "retrained")
        )
        close(feature[1:], [pretrained, retrained, change.ravel()[index], effect[index]], 1e-10)


def test_rows_that_make_the_difference(found, weights):
    way = (weights["retrained"] - weights["pretrained"]).ravel()
    rows = np.flatnonzero(FORGET)
    rest = [np.where(np.arange(ROWS) == row, 0, 1 / (ROWS - 1)) for row in rows]
    moved = [(newton(weights["pretrained"], one) - weights["pretrained"]).ravel() for one in rest]
    along = np.array(moved) @ way / (way @ way)
    measured = found.evidence.differences
    order = np.argsort(-np.abs(along))
    assert [row.row for row in measured.rows] == rows[order].tolist()
    own = np.sum(chances(weights["pretrained"]) * OWN, 1)[rows]
    close([row.probability for row in measured.rows], own[order])
    close([row.size for row in measured.rows], np.linalg.norm(moved, axis=1)[order])
    close([row.along for row in measured.rows], along[order], 1e-10)
    close(measured.sum_along, along.sum())


def test_the_course_of_the_minimum(found, weights):
    course = found.evidence.course
    one, before = weights["retrained"], 0.0
    away = (weights["pretrained"] - one).ravel()
    for strength, far, along in zip(course.strengths, course.distance, course.along, strict=True):
        for now in np.linspace(before, strength, 5)[1:]:
            one = newton(one, coefficients(now), 8)
        before = strength
        moved = (one - weights["retrained"]).ravel()
        # Just below the fold the Hessian is nearly singular.
        tolerance = 1e-5 if strength > 0.9999 * found.given.critical_strength else 1e-9
        assert abs(far - distance(weights, one)) < tolerance * max(1, far)
        assert abs(along - moved @ away / (away @ away)) < tolerance * max(1, far)


def test_the_fold(found, weights):
    """Its equations hold, and the numbers follow, with differences for the third derivative."""
    fold, critical = found.evidence.course.fold, found.given.critical_strength
    at = found.path.fold_weights
    given = coefficients(critical)
    assert np.max(np.abs(slope(at, given))) < 1e-8
    values, vectors = np.linalg.eigh(curvature(at, given))
    assert abs(values[0]) < 1e-6 * values[-1]
    null = vectors[:, 0].reshape(at.shape)
    force = null.ravel() @ slope(at, FORGET / FORGET.sum(), 0 * INTERCEPT)
    small = 1e-4

    def bent(step):
        return null.ravel() @ curvature(at + step * null, given) @ null.ravel()

    bend = (bent(small) - bent(-small)) / (2 * small)
    product = abs(force * bend) * critical * fold.near
    # Along equal shifts, which are no directions of the model, the curvature is below 0 here.
    at_oracle = np.linalg.eigvalsh(curvature(weights["retrained"], coefficients(0)) - 2 * SHIFT)
    inside = at_oracle[at_oracle > 0]
    close(fold.distance, distance(weights, at))
    np.testing.assert_allclose(
        [fold.slowdown, fold.oracle_epochs / fold.before_epochs],
        [inside[0] / np.sqrt(2 * product), np.sqrt(2 * product) / inside[0]],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        fold.passage_epochs, np.pi * np.sqrt(2 / product) * inside[-1], rtol=1e-5
    )


def test_dependence(found, weights):
    """The four matrices, formed from the gradients of losses and of margins."""
    one = weights["pretrained"]
    chance = chances(one)
    own = np.sum(chance * OWN, 1)
    others = chance * (1 - OWN) / (1 - own)[:, None]
    inverse = np.linalg.inv(curvature(one, np.full(ROWS, 1 / ROWS)))

    def rows(slopes):
        return np.einsum("ik,id->ikd", slopes, FEATURE).reshape(ROWS, -1)

    loss, margin = rows(chance - OWN), rows(OWN - others)
    measured = found.evidence.dependence
    between = loss[FORGET] @ inverse @ loss[~FORGET].T / ROWS
    close(measured.loss_norm, np.linalg.norm(between, 2))
    between = loss[FORGET] @ inverse @ margin[~FORGET].T / ROWS
    close(measured.margin_norm, np.linalg.norm(between, 2))
    factors = []
    for p, x in zip(chance, FEATURE, strict=True):
        values, vectors = np.linalg.eigh(np.diag(p) - np.outer(p, p))
        factors.append(np.kron((vectors * np.sqrt(np.maximum(values, 0))).T, x[None]))
    kinds = np.array(factors)
    left, right = (kinds[members].reshape(-1, loss.shape[1]) for members in (FORGET, ~FORGET))
    close(measured.leverage_norm, np.linalg.norm(left @ inverse @ right.T / ROWS, 2))
    leverage = np.einsum("ikd,de,ike->i", kinds[FORGET], inverse, kinds[FORGET]) / ROWS
    close([measured.mean_leverage, measured.max_leverage], [leverage.mean(), leverage.max()])
    root = np.linalg.cholesky(inverse)
    parts = [np.linalg.norm(loss[members] @ root, 2) ** 2 / ROWS for members in (FORGET, ~FORGET)]
    close(measured.normalised_norm, measured.loss_norm / np.sqrt(np.prod(parts)))
    close(measured.mean_forget_loss, -np.log(own[FORGET]).mean())
    close(measured.mean_retain_loss, -np.log(own[~FORGET]).mean())
    units = loss / np.linalg.norm(loss, axis=1, keepdims=True)
    close(measured.mean_cosine, np.mean(units[FORGET] @ units[~FORGET].T))


def test_the_random_test(found, weights):
    candidates = np.flatnonzero(~FORGET)
    size = round(0.2 * len(candidates))
    held = np.random.default_rng(0).choice(candidates, size, replace=False)
    rest = np.setdiff1d(candidates, held)
    fitted = LogisticRegression(C=1 / (INTERCEPT[0] * len(rest)), tol=1e-10, max_iter=1000)
    fitted.fit(FEATURE[rest, :-1], LABEL[rest])
    right = fitted.predict(FEATURE[:, :-1]) == LABEL
    measured = found.evidence.random_test
    forget_right, held_right = right[FORGET].sum(), right[held].sum()
    gap = held_right / size - forget_right / FORGET.sum()
    close([measured.gap, measured.test_accuracy], [gap, held_right / size])
    law = scipy.stats.hypergeom(FORGET.sum() + size, forget_right + held_right, FORGET.sum())
    counts = np.arange(FORGET.sum() + 1)
    gaps = np.abs((forget_right + held_right - counts) / size - counts / FORGET.sum())
    close(measured.exact, law.pmf(counts)[gaps >= abs(gap) - 1e-12].sum())
    assert measured.significance == random_test.SIGNIFICANCE
    for name, one in weights.items():
        close(measured.models[name], np.mean((chances(one).argmax(1) == LABEL)[FORGET]))


def test_remedies(found, weights):
    measured = found.evidence.remedies
    methods = {method.name: method for method in measured.methods}
    assert "two classes" in measured.missing
    hessian = 1 + (CLASSES - 1) * FEATURES / 4
    for steps in (1, 2, 3):
        method = methods[f"newton_{steps}"]
        one = newton(weights["pretrained"], coefficients(0), steps)
        close(method.distance, distance(weights, one), 1e-11)
        close(method.work, steps * hessian)
    kept = FEATURE[~FORGET]
    largest = np.linalg.eigvalsh(kept.T @ kept)[-1] / (2 * len(kept)) + INTERCEPT.max()
    one = weights["pretrained"]
    for _ in range(measured.few):
        one = one - slope(one, coefficients(0)).reshape(one.shape) / largest
    close(methods["fine_tune_few"].distance, distance(weights, one))
    assert all(method.distance <= float(method.bound) for method in measured.methods)
    assert methods["newton_1"].bound < 1.2 * methods["newton_1"].distance


def test_membership(found, weights):
    rows = np.flatnonzero(FORGET)
    kept = ~FORGET
    residual = chances(weights["retrained"]) - OWN
    squares = np.sum(residual**2, 1) * np.sum(FEATURE**2, 1)
    noise = np.sqrt(squares[kept].mean() / ((CLASSES - 1) * FEATURES))
    measured = found.evidence.membership
    close(measured.noise, noise)
    inside = {
        "pretrained": ROWS * (curvature(weights["pretrained"], np.full(ROWS, 1 / ROWS))),
        "newton": kept.sum() * curvature(weights["pretrained"], coefficients(0)),
        "retrained": kept.sum() * curvature(weights["retrained"], coefficients(0)),
        "ascent": kept.sum() * curvature(weights["ascent"], coefficients(STRENGTH)),
    }
    laws = {}
    for name, one in weights.items():
        chance = chances(one)[rows]
        own = np.sum(chance * OWN[rows], 1)
        turn = OWN[rows] - chance * (1 - OWN[rows]) / (1 - own)[:, None]
        towards = np.einsum("ik,id->ikd", turn, FEATURE[rows]).reshape(len(rows), -1)
        spread = np.linalg.norm(np.linalg.solve(inside[name], towards.T), axis=0)
        laws[name] = scipy.stats.norm(np.log(own / (1 - own)), noise * spread)
    for name, attack in measured.attack.items():
        accuracy = attacked(laws[name], laws["retrained"])
        close(attack.accuracy, np.percentile(accuracy, range(101)), 1e-6)
        mean = laws[name].mean()
        score = laws["pretrained"].logpdf(mean) - laws["retrained"].logpdf(mean)
        assert attack.positive == np.mean(score > 0)
        for exposed in measured.rows:
            close(exposed.score[name], score[rows == exposed.row][0], 1e-7)
