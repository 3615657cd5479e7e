"""Every number of a report's sections again, by NumPy, SciPy and scikit-learn alone.

Two data sets: random rows of ``breast_cancer``, where ascent has no minimum, and a group of rows of
``wine`` with an intercept, at a strength where it has one.
"""

import dataclasses
import hashlib
import importlib.resources
import json
from typing import NamedTuple

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats
import sklearn.datasets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

import gda_theory as gt
from gda_theory.verdict import course, evidence, membership, report
from gda_theory.verdict.evidence import EQUAL
from tests.gda_theory.verdict.page_reading import check

CLOSE = 1e-6
RIDGE = 1e-2


class Case(NamedTuple):
    """A data set with the models' weights, found without our solvers, and what we found."""

    features: np.ndarray
    signs: np.ndarray
    forget: np.ndarray
    ridge: np.ndarray
    strength: float
    weights: dict
    names: tuple
    found: report.Diagnosis

    @property
    def kept(self):
        return ~self.forget

    def coefficients(self, strength):
        return self.kept / self.kept.sum() - strength * self.forget / self.forget.sum()

    def margins(self, w):
        return self.signs * (self.features @ w)

    def gradient(self, w, coefficients):
        phi = scipy.special.expit(-self.margins(w))
        return self.ridge * w - self.features.T @ (coefficients * phi * self.signs)

    def hessian(self, w, coefficients):
        chance = scipy.special.expit(self.margins(w))
        bend = coefficients * chance * (1 - chance)
        return (self.features.T * bend) @ self.features + np.diag(self.ridge)

    def newton(self, w, coefficients, steps=20):
        for _ in range(steps):
            w = w - np.linalg.solve(self.hessian(w, coefficients), self.gradient(w, coefficients))
        return w

    def distance(self, w):
        """From the retrained model, over that of the pretrained one."""
        pretrained, retrained = self.weights["pretrained"], self.weights["retrained"]
        return np.linalg.norm(w - retrained) / np.linalg.norm(pretrained - retrained)

    def sets(self):
        return {"all": self.kept | self.forget, "kept": self.kept, "forgotten": self.forget}


def fitted(features, signs, intercept):
    model = LogisticRegression(
        C=1 / (RIDGE * len(signs)), fit_intercept=intercept, tol=1e-12, solver="newton-cholesky"
    ).fit(features[:, : features.shape[1] - intercept], signs)
    return np.append(model.coef_[0], model.intercept_ if intercept else [])


def case(features, target, forget, intercept, strength, names):
    mean, deviation = features[~forget].mean(0), features[~forget].std(0)
    features = (features - mean) / deviation
    signs = 2.0 * target - 1
    ridge = np.full(features.shape[1], RIDGE)
    if intercept:
        features = np.column_stack([features, np.ones(len(features))])
        ridge = np.append(ridge, 0.0)
    problem = gt.Problem(features, signs, forget, ridge=ridge)
    one = Case(
        features=features,
        signs=signs,
        forget=forget,
        ridge=ridge,
        strength=strength,
        weights={},
        names=(*names, "intercept") if intercept else tuple(names),
        found=dataclasses.replace(gt.diagnose(problem, strength), names=tuple(names)),
    )
    everything = np.full(len(signs), 1 / len(signs))
    pretrained = one.newton(fitted(features, signs, intercept), everything, 3)
    retrained = one.newton(
        fitted(features[~forget], signs[~forget], intercept), one.coefficients(0), 3
    )
    one.weights.update(
        pretrained=pretrained,
        retrained=retrained,
        newton=one.newton(pretrained, one.coefficients(0), 1),
    )
    if one.found.given.reason == gt.Reason.FOUND:
        w = retrained
        for now in np.linspace(0, strength, 11):
            w = one.newton(w, one.coefficients(now), 6)
        one.weights["ascent"] = w
    return one


@pytest.fixture(scope="module")
def cancer():
    data = sklearn.datasets.load_breast_cancer()
    forget = np.zeros(len(data.target), bool)
    forget[np.random.default_rng(18).choice(len(forget), 28, replace=False)] = True
    return case(data.data, data.target, forget, False, 1.0, data.feature_names.tolist())


@pytest.fixture(scope="module")
def wine():
    data = sklearn.datasets.load_wine()
    two = data.target < 2
    features, target = data.data[two], data.target[two]
    return case(features, target, features[:, 0] > 14, True, 0.02, data.feature_names)


@pytest.fixture(params=["cancer", "wine"])
def one(request):
    return request.getfixturevalue(request.param)


def close(found, wanted, atol=0.0):
    np.testing.assert_allclose(found, wanted, rtol=CLOSE, atol=atol)


def test_the_cases_are_what_they_are_for(cancer, wine):
    assert "ascent" not in cancer.found.evidence.effects.distance
    assert list(wine.found.evidence.effects.distance) == list(wine.weights)
    assert wine.forget.sum() == 19
    assert not cancer.found.evidence.missing


# (a) effects -------------------------------------------------------------------------------------


def test_distances(one):
    retrained = one.weights["retrained"]
    for name, w in one.weights.items():
        length = np.linalg.norm(w - retrained)
        close(
            one.found.evidence.effects.distance[name],
            [length, length / np.linalg.norm(retrained), one.distance(w)],
            atol=1e-11,
        )


def calibration(chance, positive):
    total = 0.0
    for low in range(10):
        inside = (chance >= low / 10) & ((chance < (low + 1) / 10) | (low == 9))
        if inside.any():
            total += inside.mean() * abs(chance[inside].mean() - positive[inside].mean())
    return total


def test_quality(one):
    for name, w in one.weights.items():
        scores = one.features @ w
        chance = scipy.special.expit(scores)
        for key, members in one.sets().items():
            label = one.signs[members] > 0
            close(
                one.found.evidence.effects.quality[name][key],
                [
                    log_loss(label, chance[members], labels=[False, True]),
                    np.mean((scores[members] > 0) == label),
                    brier_score_loss(label, chance[members], labels=[False, True]),
                    calibration(chance[members], label),
                ],
            )


def test_changes_of_predictions(one):
    goal = scipy.special.expit(one.features @ one.weights["retrained"])
    levels = one.found.evidence.effects.levels
    assert "retrained" not in one.found.evidence.effects.change
    for name, w in one.weights.items():
        if name == "retrained":
            continue
        chance = scipy.special.expit(one.features @ w)
        for key, members in one.sets().items():
            change = one.found.evidence.effects.change[name][key]
            moved = np.sort(np.abs(chance - goal)[members])
            # The smallest value that at least this part of the rows does not exceed.
            places = [max(int(np.ceil(level * len(moved) - 1e-9)) - 1, 0) for level in levels]
            close(change.mean, moved.mean())
            close(change.largest, moved[-1])
            close(change.quantiles, moved[places], atol=1e-12)
            assert change.other_class == np.mean(((chance > 0.5) != (goal > 0.5))[members])


# (b) differences ---------------------------------------------------------------------------------


def test_features(one):
    spread = np.sqrt(np.mean(one.features**2, 0))
    change = one.weights["pretrained"] - one.weights["retrained"]
    order = np.argsort(-np.abs(change * spread))
    found = one.found.evidence.differences
    assert [feature.name for feature in found.features] == [one.names[index] for index in order]
    for feature, index in zip(found.features, order, strict=True):
        close(
            feature[1:],
            [
                one.weights["pretrained"][index],
                one.weights["retrained"][index],
                change[index],
                change[index] * spread[index],
            ],
            atol=1e-10,
        )
    parts = np.abs(change * spread)[order]
    assert parts[: found.half].sum() >= parts.sum() / 2 > parts[: found.half - 1].sum()


def without(one, row):
    """The coefficients of the mean loss without one row."""
    rest = np.ones(len(one.signs))
    rest[row] = 0
    return rest / rest.sum()


def test_rows(one):
    way = one.weights["retrained"] - one.weights["pretrained"]
    rows = np.flatnonzero(one.forget)
    steps = [one.newton(one.weights["pretrained"], without(one, row), 1) for row in rows]
    moved = np.array(steps) - one.weights["pretrained"]
    along = moved @ way / (way @ way)
    order = np.argsort(-np.abs(along))[:20]
    found = one.found.evidence.differences
    assert [row.row for row in found.rows] == rows[order].tolist()
    chance = scipy.special.expit(one.margins(one.weights["pretrained"]))[rows[order]]
    close([row.probability for row in found.rows], chance)
    close([row.size for row in found.rows], np.linalg.norm(moved, axis=1)[order])
    close([row.along for row in found.rows], along[order], atol=1e-9)
    close(found.quantiles, np.quantile(along, np.linspace(0, 1, 101)), atol=1e-9)
    close(found.sum_along, along.sum())
    close(found.strongest_tenth, np.sort(along)[-max(1, len(rows) // 10) :].sum())


def test_the_newton_form_of_influence_is_near_exact_refits(one):
    """The error is of second order: here at most a fifth of the change, for the strongest rows."""
    pretrained = one.weights["pretrained"]
    for row in one.found.evidence.differences.rows[:5]:
        exact = one.newton(pretrained, without(one, row.row)) - pretrained
        assert abs(np.linalg.norm(exact) - row.size) < 0.2 * row.size
        assert abs(np.linalg.norm(exact) - row.size) > 1e-9 * row.size  # and not the refit itself


# (c) early stops ---------------------------------------------------------------------------------

HALVES = {
    "simultaneous": lambda epoch: [(1, 1)],
    "retain_first": lambda epoch: [(1, 0), (0, 1)],
    "forget_first": lambda epoch: [(0, 1), (1, 0)],
    "ascent_then_descent": lambda epoch: [(0, 1)] if epoch < 5 else [(1, 0)],
    "pure_ascent": lambda epoch: [(0, 1)],
    "descent": lambda epoch: [(1, 0)],
}


def run(one, halves, step_size, epochs):
    """The relative distances of a run, epoch by epoch; ``halves`` lists its half-steps."""
    keep, ascend = one.coefficients(0), one.strength * one.forget / one.forget.sum()
    w = one.weights["pretrained"]
    seen = [1.0]
    for epoch in range(epochs):
        for retain, forget in halves(epoch):
            w = w - step_size * one.gradient(w, retain * keep - forget * ascend)
        seen.append(one.distance(w))
    return np.array(seen)


def test_early_stops_with_an_intercept(wine):
    """Those of ``breast_cancer`` are in test_diagnosis."""
    assert {stop.scheme for stop in wine.found.stops} == HALVES.keys() - {"descent"}
    for stop in wine.found.stops:
        distances = run(wine, HALVES[stop.scheme], stop.step_size, stop.epochs)
        plain = run(wine, HALVES["descent"], stop.step_size, stop.epochs)
        # Where distances are equal up to rounding, any of these epochs may be called the best.
        close([stop.best_relative, distances[stop.best_epoch]], distances.min(), atol=1e-11)
        close(stop.descent_relative, plain[stop.best_epoch], atol=1e-11)
        close([stop.descent_final, stop.final_relative], [plain[-1], distances[-1]], atol=1e-11)
        assert stop.good_epochs == np.sum(distances <= 0.5)


# (d) course --------------------------------------------------------------------------------------


def test_the_course_of_the_minimum(one):
    course = one.found.evidence.course
    w = one.weights["retrained"]
    away = one.weights["pretrained"] - w
    before = 0.0
    for strength, distance, along in zip(
        course.strengths, course.distance, course.along, strict=True
    ):
        for now in np.linspace(before, strength, 5)[1:]:
            w = one.newton(w, one.coefficients(now), 8)
        before = strength
        moved = w - one.weights["retrained"]
        # Just below the fold the Hessian is nearly singular.
        tolerance = 1e-5 if strength > 0.9999 * one.found.given.critical_strength else 1e-9
        assert abs(distance - one.distance(w)) < tolerance * max(1, distance)
        assert abs(along - moved @ away / (away @ away)) < tolerance * max(1, distance)
    assert course.strengths[-1] > 0.99 * min(
        one.found.given.critical_strength,
        1.5 * max(one.found.given.break_even_strength, one.strength),
    )


def test_the_fold(cancer):
    """The fold by Newton's method on ``gradient = 0, H v = 0, |v| = 1``, from nearby."""
    fold = cancer.found.evidence.course.fold
    critical = cancer.found.given.critical_strength
    w = cancer.weights["retrained"]
    for now in np.linspace(0, 0.999 * critical, 60):
        w = cancer.newton(w, cancer.coefficients(now), 6)
    null = np.linalg.eigh(cancer.hessian(w, cancer.coefficients(0.999 * critical)))[1][:, 0]
    w, null, strength = moore_spence(cancer, w, null, 0.999 * critical)
    close(strength, critical)
    close(fold.distance, cancer.distance(w))
    curvatures = np.linalg.eigvalsh(
        cancer.hessian(cancer.weights["retrained"], cancer.coefficients(0))
    )
    force = null @ -(
        cancer.features.T
        @ (
            cancer.forget
            / cancer.forget.sum()
            * cancer.signs
            * scipy.special.expit(-cancer.margins(w))
        )
    )
    bend = third(cancer, w, strength) @ cancer.margins(null) ** 3
    product = abs(force * bend) * critical / 100
    close(fold.oracle_epochs, np.log(2) * curvatures[-1] / curvatures[0])
    close(fold.before_epochs, np.log(2) * curvatures[-1] / np.sqrt(2 * product))
    close(fold.slowdown, curvatures[0] / np.sqrt(2 * product))
    close(fold.passage_epochs, np.pi * np.sqrt(2 / product) * curvatures[-1])
    start = w + np.sign(force) * np.sqrt(2 * abs(force) * critical / 100 / abs(bend)) * null
    over = cancer.coefficients(1.01 * critical)
    landed = scipy.optimize.minimize(
        lambda w: over @ np.logaddexp(0, -cancer.margins(w)) + cancer.ridge @ w**2 / 2,
        start,
        jac=lambda w: cancer.gradient(w, over),
        method="BFGS",
    ).x
    close(fold.beyond, cancer.distance(cancer.newton(landed, over, 5)))


def third(one, w, strength):
    chance = scipy.special.expit(one.margins(w))
    return one.coefficients(strength) * chance * (1 - chance) * (1 - 2 * chance)


def moore_spence(one, w, null, strength):
    size = len(w)
    for _ in range(15):
        coefficients = one.coefficients(strength)
        hessian = one.hessian(w, coefficients)
        bent = one.features.T @ (
            (third(one, w, strength) * one.signs * (one.features @ null))[:, None] * one.features
        )
        share = -1.0 * one.forget / one.forget.sum()
        pushed = one.gradient(w, share) - one.ridge * w
        turned = (one.hessian(w, share) - np.diag(one.ridge)) @ null
        matrix = np.zeros((2 * size + 1,) * 2)
        matrix[:size, :size], matrix[:size, -1] = hessian, pushed
        matrix[size:-1, :size], matrix[size:-1, size:-1] = bent, hessian
        matrix[size:-1, -1], matrix[-1, size:-1] = turned, null
        residual = np.concatenate(
            [one.gradient(w, coefficients), hessian @ null, [(null @ null - 1) / 2]]
        )
        change = np.linalg.solve(matrix, residual)
        w, null, strength = w - change[:size], null - change[size:-1], strength - change[-1]
    return w, null, strength


def test_slowness_before_the_fold_is_that_of_the_hessian(cancer):
    """The formula is of leading order. One in 10,000 below the fold the error is some percent."""
    fold = cancer.found.evidence.course.fold
    critical = cancer.found.given.critical_strength
    strength = critical * (1 - 1e-4)
    w = cancer.weights["retrained"]
    for now in critical - np.linspace(np.sqrt(critical), np.sqrt(critical - strength), 80) ** 2:
        w = cancer.newton(w, cancer.coefficients(now), 6)
    smallest = np.linalg.eigvalsh(cancer.hessian(w, cancer.coefficients(strength)))[0]
    at_oracle = np.linalg.eigvalsh(
        cancer.hessian(cancer.weights["retrained"], cancer.coefficients(0))
    )[0]
    # The curvature is proportional to the root of the distance to the fold: 10 times less here.
    assert at_oracle / smallest == pytest.approx(10 * fold.slowdown, rel=0.05)


def test_the_position_in_the_study(one):
    text = importlib.resources.files("gda_theory.verdict").joinpath("study.json").read_text()
    study = json.loads(text)
    levels = study.pop("levels")
    given, evidence = one.found.given, one.found.evidence
    ratio = np.array(levels["size_ratio"])[study["size_ratio"]]
    # Above 10 the critical strength is infinite, and unknown (null) where the path failed.
    column = {
        name: np.array([np.nan if value is None else float(value) for value in study[name]])
        for name in (
            "break_even_strength",
            "critical_strength",
            "normalised_norm",
            "mean_forget_loss",
        )
    }
    column["break_even_relative"] = column["break_even_strength"] / ratio
    wanted = {
        "break_even_strength": given.break_even_strength,
        "break_even_relative": given.break_even_strength / given.size_ratio,
        "critical_strength": given.critical_strength,
        "normalised_norm": evidence.dependence.normalised_norm,
        "mean_forget_loss": evidence.dependence.mean_forget_loss,
    }
    for name, number in wanted.items():
        assert np.isfinite(number)
        known = column[name][~np.isnan(column[name])]
        place = (np.sum(known < number) + np.sum(known <= number)) / (2 * len(known))
        close(getattr(evidence.position, name), place)
    assert evidence.position.forget_sets == len(ratio)
    assert evidence.position.datasets == len(levels["dataset"])


# (f) random test ---------------------------------------------------------------------------------


def test_the_random_test(one):
    kept = np.flatnonzero(one.kept)
    held = np.random.default_rng(0).choice(kept, round(len(kept) / 5), replace=False)
    rest = np.setdiff1d(kept, held)
    share = np.isin(np.arange(len(one.signs)), rest) / len(rest)
    start = fitted(one.features[rest], one.signs[rest], 0 in one.ridge)
    right = one.margins(one.newton(start, share, 3)) > 0
    f, m = one.forget.sum(), len(held)
    correct = right[one.forget].sum() + right[held].sum()
    gap = right[held].mean() - right[one.forget].mean()
    law = scipy.stats.hypergeom(f + m, correct, f)
    counts = np.arange(f + 1)
    gaps = np.abs((correct - counts) / m - counts / f)
    found = one.found.evidence.random_test
    assert (found.forget_size, found.test_size) == (f, m)
    close(
        [found.forget_accuracy, found.test_accuracy, found.gap],
        [right[one.forget].mean(), right[held].mean(), gap],
    )
    close(found.bound, min(1, 2 * np.exp(-2 * gap**2 * f * m / (f + m))))
    close(found.half_width, np.sqrt(np.log(2 / 0.05) * (f + m) / (2 * f * m)))
    close(found.exact, law.pmf(counts)[gaps >= abs(gap) - 1e-12].sum())
    assert found.looks_random == (found.exact >= 0.05)
    for name, w in one.weights.items():
        accuracy = np.mean(one.margins(w)[one.forget] > 0)
        close(found.models[name], accuracy)
        assert (name in found.outside) == (abs(accuracy - right[held].mean()) > found.half_width)


@pytest.mark.slow
def test_a_set_of_hard_rows_does_not_look_random(cancer):
    """The rows of which the model is least sure are the wrong ones."""
    margin = cancer.margins(cancer.weights["pretrained"])
    hard = margin <= np.sort(margin)[27]
    found = gt.diagnose(gt.Problem(cancer.features, cancer.signs, hard, ridge=RIDGE))
    test = found.evidence.random_test
    assert not test.looks_random
    assert test.exact < test.bound < 0.01


# (g) remedies ------------------------------------------------------------------------------------


def descended(one, coefficients, step_size, steps):
    w = one.weights["pretrained"]
    for _ in range(steps):
        w = w - step_size * one.gradient(w, coefficients)
    return w


def noise_scale(distance, epsilon, delta):
    """The analytic Gaussian mechanism (Balle and Wang, 2018, Theorem 8)."""
    phi = scipy.stats.norm.cdf

    def excess(scale):
        half, shift = distance / (2 * scale), epsilon * scale / distance
        return phi(half - shift) - np.exp(epsilon) * phi(-half - shift) - delta

    return scipy.optimize.brentq(excess, 0.1 * distance, 100 * distance, xtol=1e-12 * distance)


def test_remedies(one):
    """The weights of each method again; the bounds hold, and those of Newton's steps are tight."""
    found = one.found.evidence.remedies
    kept, f, r, d = one.coefficients(0), one.forget.sum(), one.kept.sum(), one.features.shape[1]
    rows = one.features[one.kept]
    least = one.ridge.min()
    largest = np.linalg.eigvalsh(rows.T @ rows / (4 * r) + np.diag(one.ridge))[-1]
    rate = 2 / (largest + least) if least > 0 else 1 / largest
    rise = -1.0 * one.forget / f
    newton = [one.newton(one.weights["pretrained"], kept, steps) for steps in (1, 2, 3)]
    wanted = {
        "nothing": (one.weights["pretrained"], 0, 0, 0),
        # Ascent has a ridge that shrinks the weights too.
        "pure_ascent": (
            descended(one, rise, rate, found.few),
            found.few,
            1,
            found.few * f / r + 1 + d / 2,
        ),
        "fine_tune_few": (
            descended(one, kept, rate, found.few),
            found.few,
            1,
            found.few + 1 + d / 2,
        ),
        "fine_tune_many": (
            descended(one, kept, rate, found.many),
            found.many,
            1,
            found.many + 1 + d / 2,
        ),
        **{
            f"newton_{steps}": (newton[steps - 1], 0, steps, steps * (1 + d / 2))
            for steps in (1, 2, 3)
        },
        "retrain": (one.weights["retrained"], 0, None, None),
    }
    methods = {method.name: method for method in found.methods}
    if least > 0:
        wanted["noisy_descent"] = (noisy(one, found), found.many, 0, found.many)
        assert not found.missing
    else:
        assert "ridge must be one number > 0" in found.missing
    assert methods.keys() == wanted.keys()
    for name, (w, gradients, hessians, work) in wanted.items():
        method = methods[name]
        close(method.distance, one.distance(w), atol=1e-11)
        assert method.distance <= method.bound
        assert method.gradients == gradients
        if hessians is not None:
            assert method.hessians == hessians
            close(method.work, work)
    assert 3 <= methods["retrain"].hessians <= 12
    close(methods["retrain"].work, methods["retrain"].hessians * (1 + d / 2))
    assert methods["newton_1"].bound < 1.2 * methods["newton_1"].distance


def noisy(one, found):
    f, r = one.forget.sum(), one.kept.sum()
    longest = np.linalg.norm(one.features, axis=1).max()
    least, largest = RIDGE, RIDGE + longest**2 / 4
    contraction = ((largest - least) / (largest + least)) ** found.many
    error = contraction / (1 - contraction) * 2 * f * longest / (least * r)
    scale = noise_scale(2 * error, found.epsilon, found.delta)
    w = descended(one, one.coefficients(0), 2 / (largest + least), found.many)
    rows = int.from_bytes(hashlib.sha256(np.packbits(one.forget).tobytes()).digest())
    generator = np.random.default_rng([0, rows, len(one.forget)])
    return w + scale * generator.standard_normal(len(w))


# (h) membership ----------------------------------------------------------------------------------


def test_membership(one):
    kept, n, d = one.kept, *one.features.shape
    lengths = scipy.special.expit(-one.margins(one.weights["retrained"])) ** 2 * np.sum(
        one.features**2, 1
    )
    noise = np.sqrt(lengths[kept].mean() / d)
    found = one.found.evidence.membership
    close(found.noise, noise)
    oracle = one.coefficients(0)
    own = {
        "pretrained": n * one.hessian(one.weights["pretrained"], np.full(n, 1 / n)),
        "retrained": kept.sum() * one.hessian(one.weights["retrained"], oracle),
        "newton": kept.sum() * one.hessian(one.weights["pretrained"], oracle),
    }
    if "ascent" in one.weights:
        own["ascent"] = kept.sum() * one.hessian(
            one.weights["ascent"], one.coefficients(one.strength)
        )
    rows = np.flatnonzero(one.forget)
    mean = {name: one.margins(w)[rows] for name, w in one.weights.items()}
    deviation = {
        name: noise * np.linalg.norm(np.linalg.inv(hessian) @ one.features[rows].T, axis=0)
        for name, hessian in own.items()
    }
    law = {name: scipy.stats.norm(mean[name], deviation[name]) for name in own}
    parts = {name: attacked(law[name], law["retrained"]) for name in own}
    for name, attack in found.attack.items():
        score = law["pretrained"].logpdf(mean[name]) - law["retrained"].logpdf(mean[name])
        variance, goal = deviation[name] ** 2, deviation["retrained"] ** 2
        apart = (
            np.log(goal / variance) / 2
            + (variance + (mean[name] - mean["retrained"]) ** 2) / (2 * goal)
            - 0.5
        )
        pinsker = np.minimum(1, 0.5 + 0.5 * np.sqrt(np.maximum(apart, 0) / 2))
        # The quadrature of the reference is good to 1e-7.
        close(attack.accuracy, np.percentile(parts[name], range(101)), atol=1e-6)
        close([attack.median, attack.highest], [np.median(parts[name]), parts[name].max()])
        close([attack.pinsker_median, attack.pinsker_highest], [np.median(pinsker), pinsker.max()])
        close(attack.divergence_median, np.median(apart), atol=1e-9)
        assert attack.positive == np.mean(score > 0)
        for exposed in found.rows:
            place = np.flatnonzero(rows == exposed.row)[0]
            close(exposed.score[name], score[place], atol=1e-7)
            close(exposed.accuracy[name], parts[name][place], atol=1e-6)
    assert len(found.rows) == min(20, len(rows))


def attacked(law, other):
    """1/2 plus half of the integral of the absolute difference of densities, over two."""
    low = np.minimum(law.mean() - 12 * law.std(), other.mean() - 12 * other.std())
    high = np.maximum(law.mean() + 12 * law.std(), other.mean() + 12 * other.std())
    grid = low + (high - low) * np.linspace(0, 1, 20_001)[:, None]
    difference = np.abs(law.pdf(grid) - other.pdf(grid))
    return 0.5 + scipy.integrate.simpson(difference, x=grid, axis=0) / 4


@pytest.mark.parametrize("ratio", [1, 1 + 1e-9, 0.5, 3])
@pytest.mark.parametrize("shift", [0, 1e-7, 0.3, -2, 50])
def test_total_variation(ratio, shift):
    law = membership.Law(np.array([shift], float), np.array([ratio], float))
    other = membership.Law(np.zeros(1), np.ones(1))
    found = membership.total_variation(law, other)
    wanted = 2 * (
        attacked(scipy.stats.norm(law.mean, law.deviation), scipy.stats.norm(0, np.ones(1))) - 0.5
    )
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert found <= np.sqrt(membership.divergence(law, other) / 2) + 1e-15


# (e) dependence ----------------------------------------------------------------------------------


def test_dependence(one):
    """The four matrices, formed, and their spectral norms."""
    w, n = one.weights["pretrained"], len(one.signs)
    margin = one.margins(w)
    types = one.signs[:, None] * one.features
    chance = scipy.special.expit(margin)
    inverse = np.linalg.inv(one.hessian(w, np.full(n, 1 / n)))
    between = types[one.forget] @ inverse @ types[one.kept].T / n
    force, bend = 1 - chance, np.sqrt(chance * (1 - chance))
    margins = force[one.forget][:, None] * between
    losses = margins * force[one.kept]
    root = np.linalg.cholesky(inverse)
    parts = [
        np.linalg.norm((force[:, None] * types @ root)[rows], 2) / np.sqrt(n)
        for rows in (one.forget, one.kept)
    ]
    units = types / np.linalg.norm(types, axis=1, keepdims=True)
    leverage = bend**2 * np.sum(types @ inverse * types, 1) / n
    found = one.found.evidence.dependence
    close(found.loss_norm, np.linalg.norm(losses, 2))
    close(found.margin_norm, np.linalg.norm(margins, 2))
    close(
        found.leverage_norm,
        np.linalg.norm(bend[one.forget][:, None] * between * bend[one.kept], 2),
    )
    close(found.normalised_norm, np.linalg.norm(losses, 2) / np.prod(parts))
    close(found.mean_forget_loss, -np.log(chance[one.forget]).mean())
    close(found.mean_retain_loss, -np.log(chance[one.kept]).mean())
    close(
        [found.mean_leverage, found.max_leverage],
        [leverage[one.forget].mean(), leverage[one.forget].max()],
    )
    close(found.mean_cosine, (units[one.forget] @ units[one.kept].T).mean())


# All together ------------------------------------------------------------------------------------


def test_every_number_in_the_page_is_in_the_json(one):
    check(one.found.to_html(), one.found.to_dict())


def test_the_numbers_of_the_verdict_with_an_intercept(wine):
    """Those of ``breast_cancer`` are in test_diagnosis."""
    given, pretrained, retrained = (
        wine.found.given,
        wine.weights["pretrained"],
        wine.weights["retrained"],
    )
    away = pretrained - retrained
    oracle, share = wine.coefficients(0), wine.forget / wine.forget.sum()
    pushed = np.linalg.solve(
        wine.hessian(retrained, oracle), wine.gradient(retrained, share) - wine.ridge * retrained
    )
    ratio = wine.forget.sum() / wine.kept.sum()
    close(given.size_ratio, ratio)
    close([given.retrain_norm, given.pretrain_distance], np.linalg.norm([retrained, away], axis=1))
    close(given.newton_relative, wine.distance(wine.weights["newton"]))
    close(given.newton_distance, np.linalg.norm(wine.weights["newton"] - retrained))
    close(given.descent_ascent_distance, np.linalg.norm(wine.weights["ascent"] - retrained))
    close(given.opposite_cosine, away @ pushed / np.linalg.norm(away) / np.linalg.norm(pushed))
    first = np.linalg.solve(
        wine.hessian(retrained, oracle), ratio * wine.gradient(retrained, share)
    )
    close(given.first_order_break_even, np.linalg.norm(first) / np.linalg.norm(pushed))

    def excess(strength):
        w = retrained
        for now in np.linspace(0, strength, 12)[1:]:
            w = wine.newton(w, wine.coefficients(now), 8)
        return wine.distance(w) - 1

    near = given.break_even_strength * np.array([0.8, 1.25])
    even = scipy.optimize.brentq(excess, *near, xtol=1e-12)
    close(given.break_even_strength, even)


def test_where_nothing_is_to_forget_there_is_no_section(wine):
    """Rows of zeros change nothing, so with sums the pretrained model is the retrained one."""
    features = np.where(wine.forget[:, None], 0, wine.features)
    ridge = np.full(features.shape[1], 1.0)
    found = gt.diagnose(gt.Problem(features, wine.signs, wine.forget, ridge=ridge, reduction="sum"))
    assert found.evidence.missing == EQUAL
    assert found.evidence.effects is None
    assert found.to_dict()["membership"] is None


def test_a_section_that_fails_leaves_the_others(wine, monkeypatch):
    found = wine.found
    lost = found.path._replace(searched_to=0.0, critical_strength=np.nan)
    strengths = course.strengths_of(lost)
    assert len(strengths) == 0
    followed = found.followed._replace(strengths=strengths, weights=found.followed.weights[:0])
    monkeypatch.setattr(membership, "noise_level", lambda models: np.nan)
    sections = evidence.evidence(
        found.problem, found.path, followed, found.given, found.other, found.strength
    )
    assert sections.unanswered == {
        "course": "the minimum could not be followed to any strength",
        "membership": "a law of the margins is beyond the range of numbers; a larger ridge helps",
    }
    assert sections.course is sections.membership is None
    assert sections.effects == found.evidence.effects


@pytest.mark.slow
def test_sums_and_sample_weights(wine):
    """With sums, and whole sample weights: the same as repeated rows."""
    weight = np.where(np.arange(len(wine.signs)) % 3 == 0, 2.0, 1.0)
    repeated = np.repeat(np.arange(len(weight)), weight.astype(int))
    whole = {"ridge": wine.ridge, "reduction": "sum"}
    weighted = gt.diagnose(
        gt.Problem(wine.features, wine.signs, wine.forget, sample_weight=weight, **whole), 0.02
    ).evidence
    longer = gt.diagnose(
        gt.Problem(wine.features[repeated], wine.signs[repeated], wine.forget[repeated], **whole),
        0.02,
    ).evidence
    for name in ("effects", "course"):
        for one, other in zip(
            leaves(getattr(weighted, name)), leaves(getattr(longer, name)), strict=True
        ):
            close(one, other, atol=1e-8)
    features = [item.differences.features for item in (weighted, longer)]
    close([item[1:] for item in features[0]], [item[1:] for item in features[1]], atol=1e-9)
    close(weighted.membership.noise, longer.membership.noise)


def leaves(value):
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, tuple):
        return [leaf for item in value for leaf in leaves(item)]
    return [np.nan if value is None else value]
