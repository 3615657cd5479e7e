"""Cross-influence and other measures of dependence, against the matrices formed in NumPy."""

import dataclasses
import itertools
import json

import jax
import numpy as np
import pytest
from scipy.special import expit

import gda_theory as gt
from gda_theory.verdict import dependence as module
from gda_theory.verdict.dependence import dependence, position

COUNT, DIMENSION, FORGOTTEN = 60, 4, 7
RIDGE = 0.02
# The norms come from d x d matrices, that is from squares: eps over the normalised norm squared.
CLOSE = 1e-11


def drawn(loss="logistic", reduction="mean", weighted=False, intercept=True):
    """A random problem whose last column is an unpenalised intercept."""
    rng = np.random.default_rng(5)
    features = rng.normal(size=(COUNT, DIMENSION))
    ridge = np.full(DIMENSION, RIDGE if reduction == "mean" else RIDGE * COUNT)
    if intercept:
        features[:, -1] = 1
        ridge[-1] = 0
    labels = np.where(features @ [1, -1, 0.5, 0.3] + rng.normal(size=COUNT) > 0, 1.0, -1.0)
    forget = np.arange(COUNT) < FORGOTTEN
    weight = rng.integers(1, 4, COUNT).astype(float) if weighted else None
    return gt.Problem(
        features,
        labels,
        forget,
        ridge=ridge,
        loss=loss,
        reduction=reduction,
        sample_weight=weight,
    )


class Formed:
    """All that is measured, by matrices with one row for each row of the data."""

    def __init__(self, problem, weights):
        types = np.asarray(problem.signs)[:, None] * np.asarray(problem.features)
        margins = types @ weights
        if problem.loss.name == "logistic":
            self.loss = np.log1p(np.exp(-margins))
            self.force, self.bend = expit(-margins), expit(margins) * expit(-margins)
        else:
            self.loss = self.force = self.bend = np.exp(-margins)
        self.sample = np.asarray(problem.sample_weight)
        self.weight = self.sample / (self.sample.sum() if problem.reduction == "mean" else 1)
        self.types, self.ridge = types, np.asarray(problem.ridge)
        self.forget = np.asarray(problem.forget)
        hessian = (types.T * (self.weight * self.bend)) @ types + np.diag(self.ridge)
        self.inverse = np.linalg.inv(hessian)
        self.inner = types @ self.inverse @ types.T
        self.root = np.sqrt(np.outer(self.weight, self.weight))

    def block(self, left, right):
        """One matrix, forget x retain; its factors are those of the rows and of the columns."""
        whole = self.root * np.outer(left, right) * self.inner
        return whole[self.forget][:, ~self.forget]

    def numbers(self):
        one = np.ones_like(self.force)
        loss = self.block(self.force, self.force)
        curvature = np.sqrt(self.bend)
        factor = (np.sqrt(self.weight) * self.force)[:, None] * self.types
        whiten = np.linalg.cholesky(self.inverse)
        parts = [
            np.linalg.norm(factor[chosen] @ whiten, 2) for chosen in (self.forget, ~self.forget)
        ]
        leverages = (self.weight * self.bend * np.diagonal(self.inner))[self.forget]
        units = self.types / np.linalg.norm(self.types, axis=1)[:, None]
        pairs = list(itertools.product(np.flatnonzero(self.forget), np.flatnonzero(~self.forget)))
        mean_gradients = [
            np.average(-self.force[chosen, None] * self.types[chosen], 0, self.sample[chosen])
            for chosen in (self.forget, ~self.forget)
        ]
        return {
            "loss_norm": np.linalg.norm(loss, 2),
            "margin_norm": np.linalg.norm(self.block(self.force, one), 2),
            "leverage_norm": np.linalg.norm(self.block(curvature, curvature), 2),
            "normalised_norm": np.linalg.norm(loss, 2) / np.prod(parts),
            "mean_forget_loss": np.average(
                self.loss[self.forget], weights=self.sample[self.forget]
            ),
            "mean_retain_loss": np.average(
                self.loss[~self.forget], weights=self.sample[~self.forget]
            ),
            "mean_leverage": leverages.mean(),
            "max_leverage": leverages.max(),
            "mean_cosine": np.average(
                [units[i] @ units[j] for i, j in pairs],
                weights=[self.sample[i] * self.sample[j] for i, j in pairs],
            ),
            "gradient_cosine": mean_gradients[0]
            @ mean_gradients[1]
            / np.prod([np.linalg.norm(gradient) for gradient in mean_gradients]),
        }


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_the_numbers_are_those_of_the_matrices(loss, reduction, weighted):
    problem = drawn(loss, reduction, weighted)
    weights = np.asarray(gt.pretrain(problem).weights)
    found = vars(dependence(problem, weights))
    expected = Formed(problem, weights).numbers()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=CLOSE, err_msg=name)
    assert 0 < found["leverage_norm"] < 1
    assert 0 < found["normalised_norm"] < 1


def test_the_column_sums_of_the_cross_influence():
    """``sum_j C_ij`` over R is ``-g_i' H^{-1} Lambda w - sum_j C_ij`` over F, at the minimum."""
    problem = drawn(intercept=False)
    weights = np.asarray(gt.pretrain(problem).weights)
    formed = Formed(problem, weights)
    whole = np.outer(formed.force, formed.force) * formed.inner / COUNT
    inside = whole[formed.forget]
    gradients = -formed.force[formed.forget, None] * formed.types[formed.forget]
    expected = -gradients @ formed.inverse @ (formed.ridge * weights)
    expected -= inside[:, formed.forget].sum(1)
    # The gradient at the minimum, at most 1e-10, enters.
    np.testing.assert_allclose(inside[:, ~formed.forget].sum(1), expected, atol=1e-10)
    block = inside[:, ~formed.forget]
    found = dependence(problem, weights).loss_norm
    np.testing.assert_allclose(found, np.linalg.norm(block, 2), rtol=CLOSE)


def test_removal_of_one_row_raises_the_losses_by_its_row_of_c():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(4000, 3))
    labels = features[:, 0] + rng.normal(size=4000) > 0
    problem = gt.Problem(features, labels, np.arange(4000) < 1, ridge=0.01)
    weights = np.asarray(gt.pretrain(problem).weights)
    formed = Formed(problem, weights)
    row = formed.block(formed.force, formed.force)[0]
    # Row 0 is removed, and the weights of the others stay 1/n.
    left = formed.weight.copy()
    left[0] = 0
    moved = weights
    for _ in range(5):
        margins = formed.types @ moved
        gradient = formed.ridge * moved - formed.types.T @ (left * expit(-margins))
        bend = left * expit(margins) * expit(-margins)
        hessian = (formed.types.T * bend) @ formed.types + np.diag(formed.ridge)
        moved = moved - np.linalg.solve(hessian, gradient)
    rise = (np.log1p(np.exp(-formed.types @ moved)) - formed.loss)[1:]
    assert np.linalg.norm(rise - row) < 0.01 * np.linalg.norm(rise)  # one row of 4,000
    found = dependence(problem, weights)
    np.testing.assert_allclose(found.loss_norm, np.linalg.norm(row), rtol=CLOSE)
    # A single row spans one direction, in which U has rank 1.
    assert found.normalised_norm < 1


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_sample_weight_of_2_is_two_rows(reduction):
    problem = drawn(reduction=reduction, weighted=True)
    copies = np.repeat(np.arange(COUNT), np.asarray(problem.sample_weight).astype(int))
    copied = gt.Problem(
        np.asarray(problem.features)[copies],
        np.asarray(problem.signs)[copies],
        np.asarray(problem.forget)[copies],
        ridge=problem.ridge,
        reduction=reduction,
    )
    weights = np.asarray(gt.pretrain(problem).weights)
    found, expected = (vars(dependence(one, weights)) for one in (problem, copied))
    for name in found.keys() - {"mean_leverage", "max_leverage"}:  # of a row, so it is shared
        np.testing.assert_allclose(found[name], expected[name], rtol=CLOSE, err_msg=name)


def test_rows_of_weight_0_do_not_count():
    problem = drawn()
    weight = np.ones(COUNT)
    weight[[0, -1]] = 0
    without = gt.Problem(
        np.asarray(problem.features)[1:-1],
        np.asarray(problem.signs)[1:-1],
        np.asarray(problem.forget)[1:-1],
        ridge=problem.ridge,
    )
    weights = np.ones(DIMENSION)
    found = vars(dependence(problem.replace(sample_weight=weight), weights))
    expected = vars(dependence(without, weights))
    np.testing.assert_allclose([*found.values()], [*expected.values()], rtol=CLOSE)


def test_columns_that_depend_on_each_other_change_no_norm():
    problem = drawn()
    features = np.asarray(problem.features)
    doubled = np.column_stack([features, 2 * features[:, -1]])  # twice the intercept
    weights = np.asarray(gt.pretrain(problem).weights)
    ridge = np.append(np.asarray(problem.ridge), 0.0)
    with_copy = gt.Problem(doubled, problem.signs, problem.forget, ridge=ridge)
    found = vars(dependence(with_copy, np.append(weights, 0.0)))
    expected = vars(dependence(problem, weights))
    for name in found.keys() - {"mean_cosine", "gradient_cosine"}:  # a column more
        np.testing.assert_allclose(found[name], expected[name], rtol=CLOSE, err_msg=name)


def test_float32_gives_the_same():
    problem = drawn()
    weights = np.asarray(gt.pretrain(problem).weights, np.float32)
    with jax.enable_x64(False):
        single = drawn()
        found = dependence(single, weights)
    expected = dependence(problem, weights)
    # The features were rounded to float32; nothing else was.
    np.testing.assert_allclose([*vars(found).values()], [*vars(expected).values()], rtol=1e-5)


def test_bad_arguments_are_named():
    problem = drawn()
    with pytest.raises(TypeError, match="or a MultinomialProblem, got Objective"):
        dependence(problem.objective(), np.zeros(DIMENSION))
    with pytest.raises(ValueError, match=r"weights must have shape \(4,\).*got \(3,\)"):
        dependence(problem, np.zeros(3))
    with pytest.raises(ValueError, match="weights must be finite"):
        dependence(problem, np.full(DIMENSION, np.nan))
    with pytest.raises(TypeError, match="dependence must be concrete"):
        jax.jit(lambda w: dependence(problem, w))(np.zeros(DIMENSION))


# Where a problem lies in the study ---------------------------------------------------------------


def middle():
    return module.Dependence(
        loss_norm=0.1,
        margin_norm=0.1,
        leverage_norm=0.1,
        normalised_norm=0.5,
        mean_forget_loss=0.3,
        mean_retain_loss=0.3,
        mean_leverage=0.01,
        max_leverage=0.1,
        mean_cosine=0.0,
        gradient_cosine=-1.0,
    )


def stored(name):
    """A column of the package's table, read by ``json`` alone."""
    table = json.loads(module.STUDY.read_text())
    if name in table["levels"]:
        return [table["levels"][name][place] for place in table[name]]
    return [np.nan if value is None else float(value) for value in table[name]]


def share(values, value):
    known = [x for x in values if not np.isnan(x)]
    return (sum(x < value for x in known) + sum(x == value for x in known) / 2) / len(known)


def place(**changes):
    given = {"break_even_strength": 0.02, "critical_strength": 0.7, "searched_to": 0.7}
    return position(middle(), size_ratio=1 / 30, **given | changes)


def test_a_position_counts_the_sets_of_the_study_that_are_below():
    there = place()
    even, ratio = stored("break_even_strength"), stored("size_ratio")
    relative = [one / other for one, other in zip(even, ratio, strict=True)]
    assert there.break_even_strength == pytest.approx(share(even, 0.02))
    assert there.break_even_relative == pytest.approx(share(relative, 0.6))
    assert there.critical_strength == pytest.approx(share(stored("critical_strength"), 0.7))
    assert there.normalised_norm == pytest.approx(share(stored("normalised_norm"), 0.5))
    assert there.mean_forget_loss == pytest.approx(share(stored("mean_forget_loss"), 0.3))
    assert there.forget_sets == len(even)
    assert there.datasets == len(set(stored("dataset")))
    assert all(0 < value < 1 for value in list(vars(there).values())[:5])


def test_a_strength_that_was_not_found_is_infinite_or_unknown():
    nan = float("nan")
    never = share(stored("critical_strength"), np.inf)
    assert place(critical_strength=nan, searched_to=10.0).critical_strength == pytest.approx(never)
    assert np.isnan(place(critical_strength=nan, searched_to=0.3).critical_strength)
    lost = place(break_even_strength=nan, critical_strength=0.02)
    assert lost == place(break_even_strength=0.02, critical_strength=0.02)
    without = dataclasses.replace(middle(), normalised_norm=nan)
    unknown = position(
        without, break_even_strength=0.1, critical_strength=1.0, searched_to=1.0, size_ratio=0.01
    )
    assert np.isnan(unknown.normalised_norm)


def test_the_table_of_the_study_is_small_and_whole():
    assert module.STUDY.stat().st_size < 100_000
    study = module.study()
    assert len(set(map(len, study.values()))) == 1
    assert len(np.unique(study["dataset"])) >= 6
    assert np.all((study["normalised_norm"] > 0) & (study["normalised_norm"] <= 1))
    assert np.all((study["leverage_norm"] > 0) & (study["leverage_norm"] < 1))
    known = ~np.isnan(study["critical_strength"])
    assert np.mean(known) > 0.8
    assert np.all((study["break_even_strength"] <= study["critical_strength"])[known])
    assert np.isfinite(study["budget"]).all()
