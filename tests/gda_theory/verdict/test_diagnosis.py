"""Every number of ``diagnose breast_cancer``, again by NumPy, SciPy and scikit-learn alone.

Further tests check the verdict's rules, and the law of opposite sides on many forget sets.
"""

import dataclasses
import json
from typing import NamedTuple

import jax
import numpy as np
import pytest
import sklearn.datasets
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression

import gda_theory as gt
from gda_theory.codes import Cause, Reason, RunEnd
from gda_theory.problem import tables as data
from gda_theory.verdict import decide, measure, report, words
from gda_theory.verdict.decide import Verdict
from theory_common.printing import tables

SEED = 18  # its minimum disappears before strength 1 for means, and beyond it for sums
RIDGE = 1e-2
# Distances are differences of weights of size 1. These are known to about 1e-15 / (ridge times the
# smallest curvature), which is some 1e-12.
CLOSE = 1e-9


class Reference(NamedTuple):
    """Logistic regression with signed weights in NumPy.

    The objective is ``sum (a - strength b) log(1 + exp(-m)) + ridge |w|^2 / 2``.
    """

    types: np.ndarray
    retain: np.ndarray
    forget: np.ndarray
    ridge: np.ndarray

    def gradient(self, w, strength):
        phi = 1 / (1 + np.exp(self.types @ w))
        return self.ridge * w - self.types.T @ ((self.retain - strength * self.forget) * phi)

    def hessian(self, w, strength):
        phi = 1 / (1 + np.exp(self.types @ w))
        return (
            self.types.T * ((self.retain - strength * self.forget) * phi * (1 - phi))
        ) @ self.types + np.diag(self.ridge)

    def forget_gradient(self, w):
        return -self.types.T @ (self.forget / (1 + np.exp(self.types @ w)))

    def newton(self, w, strength, steps=12):
        for _ in range(steps):
            w = w - np.linalg.solve(self.hessian(w, strength), self.gradient(w, strength))
        return w

    def on_path(self, oracle, strength, pieces=40):
        """The minimum continued from the oracle by small steps of the strength."""
        w = oracle
        for now in np.linspace(0, strength, pieces + 1)[1:]:
            w = self.newton(w, now, 6)
        assert np.linalg.eigvalsh(self.hessian(w, strength))[0] > 0
        return self.newton(w, strength)

    def held(self, w, strength, direction, height):
        """The stationary point with ``direction @ w = height``, at whatever strength it lies.

        This equation is regular at a fold too.
        """
        for _ in range(12):
            matrix = np.block(
                [[self.hessian(w, strength), -self.forget_gradient(w)[:, None]], [direction, 0]]
            )
            change = np.linalg.solve(
                matrix, np.append(self.gradient(w, strength), direction @ w - height)
            )
            w, strength = w - change[:-1], strength - change[-1]
        return w, strength

    def fold(self, oracle, near):
        """The strength where the smallest eigenvalue of the Hessian crosses zero.

        It is found by bisection along the curve. ``near`` is just below it. The lowest eigenvector
        is nearly the null vector there, so Newton's method at a height converges.
        """
        w = self.on_path(oracle, near)
        strength = near
        direction = np.linalg.eigh(self.hessian(w, strength))[1][:, 0]
        # The path moves by H^-1 grad L_F, which lies mainly along this direction.
        direction *= np.sign(direction @ self.forget_gradient(w))
        low = direction @ w
        step = 0.002 * np.linalg.norm(w)

        def smallest(height):
            return np.linalg.eigvalsh(self.hessian(*self.held(w, strength, direction, height)))[0]

        while smallest(low + step) > 0:
            w, strength = self.held(w, strength, direction, low + step)
            low += step
        w, strength = self.held(
            w, strength, direction, brentq(smallest, low, low + step, xtol=1e-13)
        )
        assert np.linalg.norm(self.gradient(w, strength)) < 1e-12 * np.max(
            self.ridge
        ) * np.linalg.norm(w)
        return strength


def cancer(**options):
    return data.load("breast_cancer", forget="random:28", seed=SEED, scale_on="all", **options)


@pytest.fixture(scope="module")
def rows():
    features, target = sklearn.datasets.load_breast_cancer(return_X_y=True)
    features = (features - features.mean(0)) / features.std(0)
    return (
        features,
        2.0 * target - 1,
        cancer().forget,
    )


@pytest.fixture(scope="module")
def found():
    return gt.diagnose(cancer().problem(ridge=RIDGE))


def fitted(features, labels, ridge_of_sum):
    """scikit-learn minimises ``C sum loss + |w|^2/2``, so C is one over the ridge of a sum."""
    return (
        LogisticRegression(
            C=1 / ridge_of_sum, fit_intercept=False, tol=1e-13, solver="newton-cholesky"
        )
        .fit(features, labels)
        .coef_[0]
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_every_number_of_breast_cancer_again(rows, found, reduction):
    features, labels, mask = rows
    n, f = len(labels), mask.sum()
    r = n - f
    numbers, code = (
        (found.given, found.code) if reduction == "mean" else (found.other, found.other_code)
    )
    mean = reduction == "mean"
    ridge = RIDGE if mean else n * RIDGE
    types = labels[:, None] * features
    reference = Reference(
        types, ~mask / (r if mean else 1), mask / (f if mean else 1), np.full(30, ridge)
    )

    pretrained = fitted(features, labels, n * RIDGE)
    oracle = fitted(features[~mask], labels[~mask], r * ridge if mean else ridge)
    everything = Reference(
        types, np.full(n, 1 / n if mean else 1.0), np.zeros(n), np.full(30, ridge)
    )
    for rough, problem in ((pretrained, everything), (oracle, reference)):
        np.testing.assert_allclose(problem.newton(rough, 0, 3), rough, rtol=0, atol=1e-8)
    pretrained, oracle = everything.newton(pretrained, 0, 3), reference.newton(oracle, 0, 3)

    away = pretrained - oracle
    distance = np.linalg.norm(away)
    curvature = reference.hessian(oracle, 0)
    ascent = np.linalg.solve(curvature, reference.forget_gradient(oracle))
    shifted = np.linalg.solve(
        curvature,
        (f / r if mean else 1)
        * (reference.forget_gradient(oracle) + (ridge * oracle if mean else 0)),
    )
    stepped = pretrained - np.linalg.solve(
        reference.hessian(pretrained, 0), reference.gradient(pretrained, 0)
    )

    def excess(strength):
        return np.linalg.norm(reference.on_path(oracle, strength, 10) - oracle) - distance

    even = brentq(excess, 1e-3 * (1 if mean else 20), 0.1 if mean else 1, xtol=1e-14)
    fold = reference.fold(oracle, 0.1785 if mean else 3.46)
    expected = {
        "ridge": ridge,
        "size_ratio": f / r,
        "retrain_norm": np.linalg.norm(oracle),
        "pretrain_distance": distance,
        "descent_ascent_distance": np.nan
        if fold < 1
        else np.linalg.norm(reference.on_path(oracle, 1.0) - oracle),
        "break_even_strength": even,
        "first_order_break_even": np.linalg.norm(shifted) / np.linalg.norm(ascent),
        "critical_strength": fold,
        "searched_to": fold,
        "opposite_cosine": away @ ascent / distance / np.linalg.norm(ascent),
        "newton_distance": np.linalg.norm(stepped - oracle),
        "newton_relative": np.linalg.norm(stepped - oracle) / distance,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(numbers, name), value, rtol=CLOSE, err_msg=name)
    assert numbers.reason == (Reason.PAST_FOLD if mean else Reason.FOUND)
    assert code == (Verdict.LOST if mean else Verdict.FARTHER)
    assert numbers.bounded_below  # every coordinate has a ridge
    assert numbers.first_step_towards == (reference.gradient(pretrained, 1.0) @ away > 0)
    assert numbers.pretrain_converged
    assert numbers.retrain_converged
    # From the origin, plain Newton steps reach rounding noise in as many steps as the library. It
    # may take one more or less, since its first steps are longer.
    scale = np.abs(types).T @ np.abs(reference.retain)
    starts = [
        reference.newton(np.zeros(30), 0, numbers.retrain_iterations + more) for more in (1, -2)
    ]
    errors = [np.max(np.abs(reference.gradient(start, 0)) / scale) for start in starts]
    assert errors[0] < 16 * np.finfo(float).eps < errors[1]
    # The gradients' terms are this large, and noise is a few units of their rounding.
    noise = 16 * np.finfo(float).eps * np.linalg.norm(scale)
    assert max(numbers.pretrain_gradient_norm, numbers.retrain_gradient_norm) < noise
    assert (
        np.isnan(numbers.descent_ascent_gradient_norm)
        if mean
        else numbers.descent_ascent_gradient_norm < 2 * noise
    )


def test_the_law_of_opposite_sides_on_thirty_random_sets(rows):
    """The facts about opposite sides, measured on 30 draws of 28 rows."""
    features, labels, _ = rows
    masks = [data.random_forget_set(569, 28, seed) for seed in range(30)]
    problem = gt.Problem(features, labels, masks[0], ridge=RIDGE)
    sides = measure.opposite_sides(problem, masks, [1.0])
    even, fold = sides.break_even_strength, sides.critical_strength
    np.testing.assert_allclose(sides.size_ratio, 28 / 541, rtol=1e-15)
    assert 0.03 < np.median(even) < 0.045
    assert np.all(even < 28 / 541)
    assert 1.15 < np.median(sides.first_order_break_even / even) < 1.4
    assert -0.97 < np.median(sides.opposite_cosine) < -0.92
    assert np.sum(fold < 1) == 25
    assert 0.3 < np.median(fold) < 0.45
    # Every first step leads towards the oracle. Still, no set is nearer at strength 1 than before.
    assert np.all(sides.first_step_towards)
    assert not np.any(sides.distance[:, 0] < 1)
    # Where there is a minimum, the part of its distance along the direction is at most the whole.
    found = np.isfinite(sides.distance)
    np.testing.assert_array_equal(found[:, 0], ~(fold < 1))
    assert np.all(np.abs(sides.along[found]) <= sides.distance[found])
    # One set alone gives the same numbers.
    alone = gt.diagnose(problem.replace(forget=masks[7])).given
    for name in (
        "pretrain_distance",
        "break_even_strength",
        "first_order_break_even",
        "critical_strength",
        "opposite_cosine",
    ):
        np.testing.assert_allclose(getattr(sides, name)[7], getattr(alone, name), rtol=1e-10)
    with pytest.raises(ValueError, match="forget_sets must hold at least one mask"):
        measure.opposite_sides(problem, [], [1.0])


def test_both_conventions_have_the_same_pretrained_model_and_lead_back(rows):
    problem = gt.Problem(*rows, ridge=RIDGE, sample_weight=np.linspace(1, 2, 569))
    other = measure.other_reduction(problem)
    assert other.reduction == "sum"
    np.testing.assert_allclose(
        gt.pretrain(other).weights, gt.pretrain(problem).weights, rtol=0, atol=1e-12
    )
    back = measure.other_reduction(other)
    np.testing.assert_allclose(back.ridge, problem.ridge, rtol=1e-15)
    assert back.reduction == "mean"


def test_an_unpenalised_intercept_has_no_lower_bound_at_strength_one(rows):
    _, labels, mask = rows
    # One feature fewer and the intercept give the shape of the other tests, so nothing is compiled
    # again.
    problem = data.load(
        "breast_cancer", forget="random:28", seed=SEED, scale_on="all", drop=["mean radius"]
    ).problem(ridge=RIDGE, intercept=True)
    found = gt.diagnose(problem)
    shares = [np.mean(labels[~mask] == c) / np.mean(labels[mask] == c) for c in (-1, 1)]
    assert min(shares) < 1
    assert not found.given.bounded_below
    assert found.code == Verdict.UNBOUNDED
    printed = words.percents_apart(
        found.given.runaway_class.forgotten, found.given.runaway_class.kept
    )
    assert f"{printed[0]} of the forgotten but {printed[1]} of the kept rows" in found.verdict
    assert found.other.bounded_below
    assert gt.diagnose(problem, min(shares) * 0.999).given.bounded_below
    assert not gt.diagnose(problem, min(shares) * 1.001).given.bounded_below


def test_a_fitted_estimator_is_diagnosed_in_its_own_convention(rows):
    features, labels, mask = rows
    estimator = LogisticRegression(C=1.0, tol=1e-12, solver="newton-cholesky").fit(
        features[:, 1:], labels
    )
    found = gt.diagnose(gt.Problem.from_estimator(estimator, features[:, 1:], labels, mask))
    assert (found.given.reduction, found.given.ridge) == ("sum", 1.0)
    assert found.given.bounded_below
    assert found.other_code == Verdict.UNBOUNDED
    np.testing.assert_allclose(found.other.ridge, 1 / 569, rtol=1e-14)


def test_the_sentences_follow_the_numbers(found):
    """The decision table, rule by rule, on altered numbers."""

    def but(numbers, **changes):
        return dataclasses.replace(numbers, **changes)

    given = found.given
    apart = given.pretrain_distance
    met = but(
        given,
        reason=int(Reason.FOUND),
        descent_ascent_distance=0.1 * apart,
        run_end=RunEnd.NOT_FOLLOWED,
        run_distance=np.nan,
    )
    elsewhere = but(met, run_end=RunEnd.ELSEWHERE, run_distance=7 * apart)
    nearby = but(given, run_distance=0.5 * apart)
    leaves = but(met, run_end=RunEnd.DIVERGES)
    unknown = but(met, run_end=RunEnd.UNDECIDED)
    far = but(met, descent_ascent_distance=14 * given.pretrain_distance)
    tie = but(met, descent_ascent_distance=given.pretrain_distance)
    just = but(met, descent_ascent_distance=given.pretrain_distance * (1 + 1e-9))
    runaway = measure.RunawayClass(label=-1, forgotten=0.33001, kept=0.33)
    endless = but(met, bounded_below=False)
    cases = [
        (but(given, retrain_converged=False), Verdict.UNCERTAIN, "No verdict"),
        (but(given, pretrain_distance=1e-10), Verdict.NOTHING_TO_FORGET, "Do nothing"),
        (endless, Verdict.UNBOUNDED, "no lower bound"),
        (but(endless, runaway_class=runaway), Verdict.UNBOUNDED, "33.001 % of the forgotten but"),
        (
            given,
            Verdict.LOST,
            "At strength 0.02 its minimum is as far away as the pretrained model",
        ),
        (
            given,
            Verdict.LOST,
            "and at 0.18 it disappears; at strength 1 the run from your model ends",
        ),
        (but(given, break_even_strength=np.nan), Verdict.LOST, "At strength 0.18 its minimum"),
        (but(given, run_end=RunEnd.DIVERGES), Verdict.LOST, "the run from your model diverges"),
        (nearby, Verdict.NEARER, "leaves 50 % of the distance"),
        (elsewhere, Verdict.FARTHER, "The run from your model ends 7 times as far"),
        (elsewhere, Verdict.FARTHER, "continues the retrained one lies 0.1 times as far"),
        (leaves, Verdict.UNBOUNDED, "The run from your model diverges"),
        (unknown, Verdict.NEARER, "Where the run from your model ends was not decided"),
        (
            but(met, reason=int(Reason.NOT_CONVERGED), descent_ascent_distance=np.nan),
            Verdict.UNCERTAIN,
            "No verdict",
        ),
        (far, Verdict.FARTHER, "14 times as far"),
        (just, Verdict.FARTHER, "slightly farther from the retrained model than doing nothing"),
        (met, Verdict.NEARER, "10 % of the distance"),
        (tie, Verdict.NEARER, "gains nothing: its minimum leaves 100 % of the distance"),
    ]
    for numbers, code, said in cases:
        for towards in (True, False):  # the sign of the first step decides nothing
            assert decide.decide(but(numbers, first_step_towards=towards)) == code
        text = words.sentences(code, numbers, 1.0)
        assert said in text
        assert text.count(". ") <= 2
        assert text.endswith(".")
    poor = but(given, newton_relative=0.8)
    assert "removes 92.9 % of the distance" in words.sentences(Verdict.LOST, given, 1.0)
    assert "Retrain instead, which takes 8 Newton steps." in words.sentences(
        Verdict.LOST, poor, 1.0
    )


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (1, "100 %"),
        (1 - 1e-9, "almost 100 %"),
        (1 + 1e-9, "just over 100 %"),
        (0.9994, "99.9 %"),
        (1e-9, "less than 0.01 %"),
        (0, "0 %"),
        (-0.25, "-25 %"),
    ],
)
def test_no_part_is_rounded_to_all_or_nothing(part, text):
    assert words.percent(part) == text


def test_numbers_that_differ_look_different():
    assert words.apart(1 / 3, 1 / 3) == ("0.333", "0.333")
    assert words.apart(0.123456, 0.123457) == ("0.123456", "0.123457")
    for first, second in ((1.0, np.nextafter(1, 2)), (0.1, np.nextafter(0.1, 1))):
        assert len(set(words.apart(first, second))) == 2


def by_hand(reference, start, step, epochs, halves):
    """The weights at every epoch of a plain loop.

    ``halves(epoch)`` lists the (retain factor, forget factor) of the epoch's half-steps.
    """
    w = start
    seen = [start]
    for epoch in range(epochs):
        for retain, forget in halves(epoch):
            phi = 1 / (1 + np.exp(np.minimum(reference.types @ w, 700)))
            gradient = reference.types.T @ (
                (retain * reference.retain - forget * reference.forget) * phi
            )
            w = w - step * (reference.ridge * w - gradient)
        seen.append(w)
    return np.array(seen)


def test_every_early_stop_again_by_a_plain_loop(rows, found):
    features, labels, mask = rows
    types = labels[:, None] * features
    f = mask.sum()
    reference = Reference(types, ~mask / (569 - f), mask / f, np.full(30, RIDGE))
    everything = Reference(types, np.full(569, 1 / 569), np.zeros(569), np.full(30, RIDGE))
    pretrained, oracle = (
        everything.newton(np.zeros(30), 0, 20),
        reference.newton(np.zeros(30), 0, 20),
    )
    largest = np.linalg.eigvalsh(reference.hessian(pretrained, 0))[-1]
    halves = {
        "simultaneous": lambda epoch: [(1, 1)],
        "retain_first": lambda epoch: [(1, 0), (0, 1)],
        "forget_first": lambda epoch: [(0, 1), (1, 0)],
        "ascent_then_descent": lambda epoch: [(0, 1)] if epoch < 5 else [(1, 0)],
        "pure_ascent": lambda epoch: [(0, 1)],
    }
    apart = np.linalg.norm(pretrained - oracle)
    assert [stop.scheme for stop in found.stops[::3]] == list(halves)
    assert {stop.cause for stop in found.stops[12:]} == {Cause.ASCENT_ALONE}
    # Without the largest steps of the first three schemes, which are chaotic.
    for stop in found.stops[:2] + found.stops[3:5] + found.stops[6:8] + found.stops[9:]:
        path = by_hand(reference, pretrained, stop.step_size, stop.epochs, halves[stop.scheme])
        descent = by_hand(
            reference, pretrained, stop.step_size, stop.epochs, lambda epoch: [(1, 0)]
        )
        distances, plain = (np.linalg.norm(one - oracle, axis=1) / apart for one in (path, descent))
        assert any(
            np.isclose(stop.step_size, part / largest, rtol=1e-9) for part in (0.01, 0.1, 1.0)
        )
        np.testing.assert_allclose(stop.best_relative, distances.min(), rtol=1e-7, atol=1e-11)
        # Where distances are equal up to rounding, any of these epochs may be called the best.
        np.testing.assert_allclose(
            distances[stop.best_epoch], distances.min(), rtol=1e-7, atol=1e-11
        )
        np.testing.assert_allclose(
            stop.descent_relative, plain[stop.best_epoch], rtol=1e-7, atol=1e-11
        )
        np.testing.assert_allclose(stop.descent_final, plain[-1], rtol=1e-7, atol=1e-11)
        np.testing.assert_allclose(stop.final_relative, distances[-1], rtol=1e-6, atol=1e-11)
        assert stop.good_epochs == np.sum(distances <= 0.5)
    assert found.stops[0].cause == Cause.ESCAPING
    assert "past the fold" in report.as_json(found)["stops"][0]["cause"]
    ascending = [*found.stops[:9], *found.stops[12:]]
    best = min(stop.best_relative for stop in ascending)
    assert f"leaves {tables.number(100 * best, 3)} % of the distance" in found.verdict


def test_below_break_even_ascent_is_not_refused(found):
    gentle = gt.diagnose(
        cancer().problem(ridge=RIDGE),
        found.given.break_even_strength * 0.99,
    )
    assert gentle.code == Verdict.NEARER
    firm = gt.diagnose(
        cancer().problem(ridge=RIDGE),
        found.given.break_even_strength * 1.01,
    )
    assert firm.code == Verdict.FARTHER


def test_samples_that_change_nothing_need_no_forgetting(rows):
    """Rows of zeros change nothing, so with sums the pretrained model is the retrained one."""
    features, labels, mask = rows
    problem = gt.Problem(
        np.where(mask[:, None], 0, features), labels, mask, ridge=569 * RIDGE, reduction="sum"
    )
    assert gt.diagnose(problem).code == Verdict.NOTHING_TO_FORGET


def test_the_summary_fits_a_terminal_and_ends_with_the_verdict(found):
    text = str(found)
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) <= 56  # a row for each model and each scheme
    assert " ".join(text.split("VERDICT: ")[1].split()) == found.verdict
    values = dict((name.strip(), rest) for name, *rest in found.rows())
    assert values["strength where ascent stops helping"] == [
        found.given.break_even_strength,
        found.other.break_even_strength,
    ]
    assert values["ascent's minimum at strength 1"][0] == "no minimum"
    back = tables.from_json(json.loads(tables.dumps(found.to_dict())))
    assert back["given"]["pretrain_distance"] == found.given.pretrain_distance


def test_the_verdict_begins_with_predictions(rows, found):
    features, labels, mask = rows
    chances = {}
    for name, members, ridge in (
        ("before", np.ones(569, bool), 569 * RIDGE),
        ("after", ~mask, (569 - mask.sum()) * RIDGE),
    ):
        w = fitted(features[members], labels[members], ridge)
        chances[name] = 1 / (1 + np.exp(-features @ w))
    largest = 100 * np.max(np.abs(chances["before"] - chances["after"]))
    said = found.verdict.split(" points")[0].split()[-1]
    assert largest <= float(said) < 1.1 * largest  # rounded up to two digits
    right = [np.mean((chance > 0.5) == (labels > 0)) for chance in chances.values()]
    assert found.effects.quality["pretrained"]["all"].accuracy == pytest.approx(right[0])
    assert found.effects.quality["retrained"]["all"].accuracy == pytest.approx(right[1])
    if right[0] == right[1]:
        assert f"both have accuracy {right[0]:.4f}" in found.verdict
    else:
        assert f"accuracies are {right[0]:.4f} and {right[1]:.4f}" in found.verdict


@pytest.mark.parametrize(
    ("part", "text"), [(0, "0"), (0.01401, "1.5"), (0.014, "1.4"), (1, "100"), (3e-7, "3e-05")]
)
def test_points_are_rounded_up(part, text):
    assert float(words.points(part)) == float(text)


def test_what_is_not_a_problem_is_refused(rows):
    pair = gt.CorrelatedPair(0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8)
    with pytest.raises(
        TypeError, match="problem must be a Problem or a MultinomialProblem, got CorrelatedPair"
    ):
        gt.diagnose(pair)
    with pytest.raises(ValueError, match="strength must be finite and > 0"):
        gt.diagnose(gt.Problem(*rows, ridge=RIDGE), 0)


def test_it_is_computed_in_float64_whatever_jax_is_set_to(rows, found):
    with jax.enable_x64(False):
        rough = gt.diagnose(gt.Problem(*rows, ridge=RIDGE))
        assert jax.numpy.ones(1).dtype == np.float32
    assert rough.verdict == found.verdict
    # Only the data are rounded, to 6e-8; the weights follow with a factor of some hundreds.
    for name in ("pretrain_distance", "break_even_strength", "newton_distance"):
        np.testing.assert_allclose(
            getattr(rough.given, name), getattr(found.given, name), rtol=1e-5, err_msg=name
        )


def test_traced_problems_are_refused_in_words(rows):
    problem = gt.Problem(*rows, ridge=RIDGE)
    with pytest.raises(TypeError, match="arguments of diagnose must be concrete"):
        jax.jit(gt.diagnose)(problem)
    with pytest.raises(TypeError, match="arguments of diagnose must be concrete"):
        jax.jit(lambda strength: gt.diagnose(problem, strength))(1.0)


def test_help_shows_an_example_and_the_fields():
    assert "Example::" in gt.diagnose.__doc__
    assert "Returns:" in gt.diagnose.__doc__
    for cls in (gt.Diagnosis, measure.Measurement, measure.Stop):
        for field in dataclasses.fields(cls):
            family = field.name.endswith(("_gradient_norm", "_converged"))
            assert family or field.name in cls.__doc__
