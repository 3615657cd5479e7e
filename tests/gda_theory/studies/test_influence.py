"""The study of cross-influence: its data, its forget sets and its measures of harm."""

import importlib.util
from unittest import mock

import numpy as np
import pytest
from scipy.special import expit
from sklearn.datasets import load_wine

from gda_theory.studies.influence import data, forget_sets, harm, study

RIDGE = 0.01
SHARE = 0.05


@pytest.fixture(scope="module")
def wine():
    return data.load("wine")


def any_model(given):
    """A model of zeros, so that nothing has to be solved; its components are two features."""
    return forget_sets.PretrainedModel(
        loss=np.abs(given.features[:, 0]), components=given.features[:, 1:3]
    )


def test_data_are_standardised_with_an_intercept(wine):
    features, target = load_wine(return_X_y=True)
    np.testing.assert_allclose(
        wine.features[:, :-1], (features - features.mean(0)) / features.std(0), atol=1e-12
    )
    assert np.all(wine.features[:, -1] == 1)
    np.testing.assert_array_equal(wine.labels == 1, target == 1)


def test_many_columns_become_principal_components():
    digits = data.load("digits 3-8")
    assert digits.features.shape[1] == data.COLUMNS
    inner = digits.features[:, :-1].T @ digits.features[:, :-1]
    spread = np.diagonal(inner)
    assert np.all(np.diff(spread) < 0)
    assert np.abs(inner - np.diag(spread)).max() < 1e-9 * spread[0]
    assert digits.source == "digits"


def test_a_package_that_is_not_installed_leaves_its_data_sets_out():
    with mock.patch.object(importlib.util, "find_spec", return_value=None):
        found, missing = data.datasets(("adult", "wine", "flights"))
    assert [one.name for one in found] == ["wine"]
    assert missing == ["adult", "flights"]


def test_forget_sets_are_what_the_protocol_says(wine):
    trained = any_model(wine)
    sets = list(forget_sets.forget_sets(wine, trained, SHARE))
    by_kind = {kind: [one for one in sets if one.kind == kind] for kind in forget_sets.KINDS}
    assert {kind: len(found) for kind, found in by_kind.items()} == forget_sets.DRAWS
    size = round(SHARE * len(wine.labels))
    assert {one.forget.sum() for one in sets} == {size}
    assert {one.kind for one in sets if one.flipped} == {"mislabelled"}
    for one in by_kind["group"]:
        assert len(np.unique(wine.groups[one.forget])) == 1
    for one in by_kind["nearest"]:
        inside, outside = wine.features[one.forget], wine.features[~one.forget]
        # Around one of its rows: no row outside is nearer than the farthest inside.
        assert any(
            np.linalg.norm(inside - centre, axis=1).max()
            <= np.linalg.norm(outside - centre, axis=1).min()
            for centre in inside
        )
    quarter = np.sort(trained.loss)[round(len(wine.labels) / 4) - 1]
    assert all(np.all(trained.loss[one.forget] <= quarter) for one in by_kind["easy"])
    top, bottom = (trained.components[one.forget, 0] for one in by_kind["component"][:2])
    assert top.min() >= np.sort(trained.components[:, 0])[-size]
    assert bottom.max() <= np.sort(trained.components[:, 0])[size - 1]
    again = list(forget_sets.forget_sets(wine, trained, SHARE))
    assert all(
        np.array_equal(one.forget, other.forget) for one, other in zip(sets, again, strict=True)
    )


def test_the_shared_objective_is_that_of_each_problem(wine):
    sets = list(forget_sets.forget_sets(wine, any_model(wine), SHARE))
    problems = [forget_sets.problem_of(wine, one, RIDGE) for one in sets]
    shared = harm.shared_objective(wine, sets, problems)
    weights = np.random.default_rng(0).normal(size=wine.features.shape[1])
    force = expit(-shared.types @ weights)
    for row, (chosen, problem) in enumerate(zip(sets, problems, strict=True)):
        labels = np.asarray(problem.signs)
        assert np.all(labels[chosen.forget] == wine.labels[chosen.forget]) != chosen.flipped
        types = labels[:, None] * wine.features
        own = expit(-types @ weights)
        for name, members in (("retain_weight", ~chosen.forget), ("forget_weight", chosen.forget)):
            np.testing.assert_allclose(
                (getattr(shared, name)[row, 0] * force) @ shared.types,
                np.mean(own[members, None] * types[members], 0),
                rtol=1e-12,
            )


# What takes seconds ------------------------------------------------------------------------------


def minimum(types, ridge):
    """The minimum of mean logistic losses, by Newton's method in NumPy."""
    w = np.zeros(types.shape[1])
    for _ in range(30):
        force = expit(-types @ w)
        gradient = ridge * w - types.T @ force / len(types)
        bend = force * (1 - force) / len(types)
        w = w - np.linalg.solve((types.T * bend) @ types + ridge * np.eye(len(w)), gradient)
    return w


@pytest.mark.slow
def test_the_harm_is_that_of_a_plain_loop(wine):
    found = study.cell(wine, RIDGE, SHARE)
    trained = forget_sets.model(wine, RIDGE)
    sets = list(forget_sets.forget_sets(wine, trained, SHARE))
    for row in (0, found["kind"].tolist().index("mislabelled")):
        chosen = sets[row]
        labels = np.where(chosen.forget & chosen.flipped, -wine.labels, wine.labels)
        types = labels[:, None] * wine.features
        kept, forgotten = types[~chosen.forget], types[chosen.forget]
        oracle, start = minimum(kept, RIDGE), minimum(types, RIDGE)
        step = 0.1 / (np.linalg.eigvalsh(kept.T @ kept / 4 / len(kept))[-1] + RIDGE)

        def descent(w, kept=kept):
            return RIDGE * w - kept.T @ expit(-kept @ w) / len(kept)

        def ascent(w, forgotten=forgotten):
            return forgotten.T @ expit(-forgotten @ w) / len(forgotten)

        weak = len(forgotten) / len(kept)
        ends = {"budget": start, "budget_weak": start, "budget_alternating": start}
        for _ in range(100):
            w = ends["budget"]
            ends["budget"] = w - step * (descent(w) + ascent(w))
            w = ends["budget_weak"]
            ends["budget_weak"] = w - step * (descent(w) + weak * ascent(w))
            w = ends["budget_alternating"]
            w = w - step * descent(w)
            ends["budget_alternating"] = w - step * (RIDGE * w + ascent(w))
        apart = np.linalg.norm(start - oracle)
        for name, w in ends.items():
            expected = np.log10(np.linalg.norm(w - oracle) / apart)
            assert found[name][row] == pytest.approx(expected, abs=1e-6), name

        def value(w, kept=kept):
            return np.mean(np.logaddexp(0, -kept @ w)) + RIDGE * w @ w / 2

        rise = np.log10(value(ends["budget"]) - value(oracle))
        assert found["retain_rise"][row] == pytest.approx(rise, abs=1e-6)
        assert found["early_stop"][row] <= min(0, found["budget"][row])
        distance = apart / np.linalg.norm(oracle)
        assert found["pretrain_distance"][row] == pytest.approx(distance, rel=1e-6)
