"""The ranking of forget sets: every number again by NumPy and scikit-learn, and its verdicts."""

import math

import numpy as np
import pytest
import sklearn.datasets
from scipy.optimize import root
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import gda_theory as gt
from gda_theory.verdict import ranking
from theory_common.printing import tables

X, Y = sklearn.datasets.load_breast_cancer(return_X_y=True)
X = StandardScaler().fit_transform(X)
SIGNS = 2.0 * Y - 1
COUNT = len(Y)
RIDGE = 1e-2
RNG = np.random.default_rng(0)
# The largest cells make an easy set, on which ascent helps; rows of one class can take an intercept
# away, and large sets lose the minimum early.
SETS = {
    "easy": np.argsort(-X[:, 20])[:20],
    "two": RNG.choice(COUNT, 2, replace=False),
    "forty": np.isin(np.arange(COUNT), RNG.choice(COUNT, 40, replace=False)),
    "one class": np.flatnonzero(Y == 0)[:30],
}


def problem(reduction="mean", intercept=False):
    features = np.column_stack([X, np.ones(COUNT)]) if intercept else X
    ridge = np.append(np.full(30, RIDGE), 0) if intercept else RIDGE
    if reduction == "sum":
        ridge = ridge * COUNT
    return gt.Problem(features, SIGNS, SETS["forty"], ridge=ridge, reduction=reduction)


def fitted(rows, ridge, reduction, intercept):
    total = rows.sum() if reduction == "mean" else COUNT
    model = LogisticRegression(
        C=1 / (ridge * total), fit_intercept=intercept, solver="newton-cholesky", tol=1e-13
    ).fit(X[rows], SIGNS[rows])
    weights = model.coef_[0]
    return np.append(weights, model.intercept_) if intercept else weights


@pytest.mark.parametrize(("reduction", "intercept"), [("mean", False), ("sum", True)])
def test_every_number_of_the_first_stage_is_scikit_learns(reduction, intercept):
    found = gt.rank(problem(reduction, intercept), SETS, exact=0)
    features = np.column_stack([X, np.ones(COUNT)]) if intercept else X
    types = SIGNS[:, None] * features
    start = fitted(np.ones(COUNT, bool), RIDGE, reduction, intercept)
    phi = 1 / (1 + np.exp(types @ start))
    frame = found.to_frame()
    assert sorted(frame["set"]) == sorted(SETS)
    assert not found.exact.any()
    assert found.converged.all()
    for row in frame.iter_rows(named=True):
        forget = np.zeros(COUNT, bool)
        forget[SETS[row["set"]]] = True
        kept = ~forget
        oracle = fitted(kept, RIDGE, reduction, intercept)
        share = 1 / kept.sum() if reduction == "mean" else 1.0
        own = 1 / forget.sum() if reduction == "mean" else 1.0
        ridges = np.diag(np.append(np.full(30, RIDGE), np.zeros(int(intercept))))
        ridges = ridges if reduction == "mean" else ridges * COUNT
        gradient = ridges @ start - share * phi[kept] @ types[kept]
        curvature = phi * (1 - phi)
        hessian = ridges + share * (types[kept].T * curvature[kept]) @ types[kept]
        newton = start - np.linalg.solve(hessian, gradient)
        slopes = 1 / (1 + np.exp(types[forget] @ oracle))
        pushed = np.linalg.solve(hessian, own * slopes @ types[forget])
        distance = np.linalg.norm(start - oracle)
        assert row["rows"] == forget.sum()
        assert row["pretrain_distance"] == pytest.approx(distance, abs=1e-9)
        assert row["newton_distance"] == pytest.approx(np.linalg.norm(newton - oracle), abs=1e-9)
        loss = np.logaddexp(0, -types[forget] @ start).mean()
        assert row["mean_forget_loss"] == pytest.approx(loss, rel=1e-9)
        expected = distance / np.linalg.norm(pushed)
        assert row["break_even_strength"] == pytest.approx(expected, rel=1e-6)
        if not math.isinf(row["harm"]):
            assert row["harm"] == pytest.approx(1 / expected, rel=1e-6)
        # Without end along the intercept: a class has more of the forgotten than of the kept.
        if intercept:
            runs_away = any(sum(SIGNS[forget] == s) > sum(SIGNS[kept] == s) for s in (-1, 1))
            assert (row["verdict"] == "unbounded") == runs_away


def test_an_intercept_that_runs_away_is_seen_without_a_path():
    """It does where a class has a larger share of the forgotten, times strength, than of kept."""
    found = gt.rank(problem(intercept=True), SETS, 0.8, exact=0)
    expected = {}
    for name, rows in SETS.items():
        forget = np.isin(np.arange(COUNT), rows) if name != "forty" else rows
        shares = [(np.mean(Y[forget] == c), np.mean(Y[~forget] == c)) for c in (0, 1)]
        expected[name] = any(0.8 * forgotten > kept for forgotten, kept in shares)
    assert {"easy", "one class"} <= {name for name, lost in expected.items() if lost} < set(SETS)
    for name, verdict, harm in zip(found.names, found.verdict, found.harm, strict=True):
        assert (verdict == "unbounded") == expected[name] == math.isinf(harm)
    assert found.verdict[0] == "unbounded"
    assert found.verdict[-1] != "unbounded"


def test_exact_paths_are_those_of_a_diagnosis_and_come_first():
    given = problem()
    found = gt.rank(given, SETS, exact=3)
    assert found.exact.tolist() == [True, True, True, False]
    assert found.names[-1] == "easy"
    assert found.verdict[-1] == "likely nearer"
    assert np.isnan(found.critical_strength[-1])
    for at in range(3):
        mask = np.zeros(COUNT, bool)
        mask[SETS[found.names[at]]] = True
        one = gt.ascent_path(given.replace(forget=mask), [1.0])
        assert found.break_even_strength[at] == pytest.approx(
            float(one.break_even_strength), rel=1e-9
        )
        np.testing.assert_allclose(
            found.critical_strength[at], one.critical_strength, rtol=1e-9, equal_nan=True
        )
        distance = np.linalg.norm(one.weights[0] - one.oracle.weights)
        np.testing.assert_allclose(found.descent_ascent_distance[at], distance, equal_nan=True)
        assert (found.verdict[at] == "no minimum") == math.isnan(distance)
    lost = found.critical_strength[[verdict == "no minimum" for verdict in found.verdict]]
    assert len(lost) >= 2
    assert (np.diff(lost) > 0).all()
    text = found.summary()
    assert (
        "4 forget sets at strength 1, the most harmful first; 3 of them with an exact path" in text
    )
    last = next(line for line in text.split("\n") if line.startswith("4 "))
    assert "likely nearer  ~" in last
    entries = tables.loads(tables.dumps(found.to_dict()))["sets"]
    assert [entry["set"] for entry in entries] == list(found.names)
    assert entries[0]["harm"] == math.inf


def stationary_within(types, kept, oracle, radius, strength):
    """Whether Newton's method, from many points of the ball, finds a stationary point inside."""
    weight = np.where(kept, 1 / kept.sum(), -strength / (~kept).sum())

    def gradient(w):
        return 0.1 * w - (weight / (1 + np.exp(types @ w))) @ types

    def hessian(w):
        phi = 1 / (1 + np.exp(types @ w))
        return 0.1 * np.eye(2) + (types.T * (weight * phi * (1 - phi))) @ types

    for start in oracle + radius * RNG.uniform(-0.7, 0.7, size=(4, 2)):
        found = root(gradient, start, jac=hessian, tol=1e-12)
        if found.success and np.linalg.norm(found.x - oracle) < radius:
            return True
    return False


def test_the_bound_is_right_where_it_decides():
    """No stationary point is in the ball that it excludes; elsewhere some balls have one."""
    decided, inside = 0, 0
    for seed in range(15):
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(COUNT, 2))
        labels = features @ [1, -1] + rng.logistic(size=COUNT) > 0
        types = np.where(labels, 1.0, -1.0)[:, None] * features
        sets = {"a": rng.choice(COUNT, 30, replace=False), "b": np.arange(5)}
        strength = float(rng.choice([0.005, 0.1, 1.0]))
        one = gt.Problem(features, labels, np.arange(COUNT) < 5, ridge=0.1)
        found = gt.rank(one, sets, strength, exact=0)
        oracles = gt.retrain_many(one, [sets[name] for name in found.names])
        for at, name in enumerate(found.names):
            kept = ~np.isin(np.arange(COUNT), sets[name])
            radius = found.pretrain_distance[at]
            there = stationary_within(types, kept, oracles.weights[at], radius, strength)
            assert not (there and found.verdict[at] == "not nearer")
            decided += found.verdict[at] == "not nearer"
            inside += there
    assert decided > 10
    assert inside > 2


def test_wide_features_are_ranked_in_the_span_of_their_rows():
    wide = np.random.default_rng(0).normal(size=(24, 60))
    one = gt.Problem(wide, np.arange(24) % 2, np.arange(24) < 3, ridge=0.5)
    sets = [np.arange(3), np.arange(5)]
    found = gt.rank(one, sets, exact=0)
    oracles = gt.retrain_many(one, sets)
    start = gt.pretrain(one).weights
    for name, distance in zip(found.names, found.pretrain_distance, strict=True):
        expected = np.linalg.norm(start - oracles.weights[int(name.split()[1])])
        assert distance == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("sets", "error", "message"),
    [
        ({"all": np.ones(COUNT, bool)}, ValueError, "forget set 'all' must leave an oracle"),
        ({"a": [0], "b": [COUNT]}, ValueError, "forget set 'b' must hold row numbers from 0"),
        ([[0], [1.5]], TypeError, "forget set 'set 1' must hold row numbers"),
        ([], ValueError, "at least one set"),
    ],
)
def test_a_wrong_set_is_named(sets, error, message):
    with pytest.raises(error, match=message):
        ranking.rank(problem(), sets, exact=0)
    with pytest.raises(TypeError, match="or a MultinomialProblem, got dict"):
        ranking.rank({}, sets)
