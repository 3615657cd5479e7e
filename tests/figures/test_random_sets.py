"""The figure of random forget sets: models against scikit-learn's, its law against SciPy's."""

import re

import jax
import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

import gda_theory as gt
from figures import random_sets
from gda_theory.problem import tables as datasets
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly
from theory_common.printing import tables

FORGET, TEST = random_sets.FORGET, random_sets.TEST

pytestmark = pytest.mark.slow  # the data of the figure take 10 to 20 seconds


@pytest.fixture(scope="module")
def computed():
    return tables.loads(tables.dumps(random_sets.compute("quick")))


def test_oracles_are_scikit_learns(computed):
    problem = datasets.load("breast_cancer", forget="random:57", scale_on="all").problem(
        ridge=random_sets.RIDGE
    )
    oracles = computed["models"]["0"]
    keys = jax.random.split(jax.random.key(random_sets.SEED), 200)
    for draw in (0, 7):
        rows = np.asarray(jax.random.permutation(keys[draw], 569))
        forgotten, held_out, retained = np.split(rows, [FORGET, FORGET + TEST])
        x, y = np.asarray(problem.features), np.asarray(problem.signs)
        inverse = 1 / (random_sets.RIDGE * len(retained))  # scikit-learn sums the losses
        model = LogisticRegression(
            C=inverse, fit_intercept=False, tol=1e-8, solver="newton-cholesky"
        ).fit(x[retained], y[retained])
        assert oracles["forget"][draw] == model.score(x[forgotten], y[forgotten])
        assert oracles["test"][draw] == model.score(x[held_out], y[held_out])


def test_numbers_follow_from_the_accuracies(computed):
    for model in computed["models"].values():
        right, right_in_test = np.round(model["forget"] * FORGET), np.round(model["test"] * TEST)
        np.testing.assert_allclose(
            model["gap"], right_in_test / TEST - right / FORGET, rtol=0, atol=1e-15
        )
        np.testing.assert_array_equal(model["correct"], right + right_in_test)
        # Two-sided by the distance of the accuracies. SciPy orders by probability: summed here.
        inside = np.arange(FORGET + 1)
        apart = np.abs((model["correct"][:, None] - inside) / TEST - inside / FORGET)
        weights = stats.hypergeom.pmf(
            inside, FORGET + TEST, model["correct"][:, None].astype(int), FORGET
        )
        met = apart >= np.abs(model["gap"])[:, None] - 1e-9
        np.testing.assert_allclose(model["probability"], np.sum(weights * met, 1), rtol=1e-10)


def test_what_the_caption_says(computed):
    *path, end = computed["models"].values()
    band = computed["band"]
    # The oracles keep their law: 5 % of 200, plus three standard errors.
    assert np.mean(path[0]["probability"] <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    oracles = computed["oracles"]
    error = np.sqrt(oracles["exact"] * (1 - oracles["exact"]) / 200)
    assert np.all(np.abs(oracles["measured"] - oracles["exact"]) <= 4 * error + 0.5 / 200)
    assert np.all(oracles["exact"] <= oracles["finite"])
    # Along one path a minimum exists up to some strength and then no more.
    # Hardly a path is not followed to its fold.
    reason = computed["reason"]
    found = reason == gt.Reason.FOUND
    assert found.shape == (200, len(random_sets.STRENGTHS))
    assert [len(model["gap"]) for model in (*path, end)] == [*np.sum(found, 0), 200]
    assert np.all(np.diff(found.astype(int), axis=1) <= 0)
    assert np.mean(reason[:, -1] == gt.Reason.PAST_FOLD) > 0.8
    assert np.mean(reason[:, -1] == gt.Reason.NOT_CONVERGED) <= 0.02
    # At the paper's strength the model is ruined on both sets, and neither band says so for most.
    assert np.median(end["test"]) < 0.5 < 0.95 < np.median(path[0]["test"])
    assert np.mean(np.abs(end["gap"]) > band["hoeffding"]) < 0.05
    assert np.mean(end["probability"] <= 0.05) < 0.25
    assert np.all(band["exact"] <= band["hoeffding"])
    small = computed["small"]
    assert small["at"]["population"] < 1e-13 < 0.08 < small["at"]["exact"] <= small["at"]["finite"]
    assert np.any(small["exact"] > small["population"])
    assert np.all(small["exact"] <= small["finite"])


def test_claims_are_computed(computed):
    assert_claims_complete(random_sets, computed)
    here = {claim: found for claim, _, found in random_sets.claims(computed)}
    outside = np.sum(computed["models"]["0"]["probability"] <= 0.05)
    assert (
        here["oracles outside their 95 % band"]
        == f"0 by Hoeffding, {outside} by the exact law, of 200"
    )
    lost, unknown = re.fullmatch(
        r"(\d+) of 200 \(not followed so far: (\d+)\)", here["minimum lost before γ = 1"]
    ).groups()
    assert int(lost) + int(unknown) == 200 - len(computed["models"]["1"]["gap"])
    last = here["f = 400, m = 20, p = ½: probability of a gap of 0.2"]
    assert re.fullmatch(r"0\.083, at most 0\.083 for any p; finite form: at most 0\.436", last)


def test_drawn_and_legible(computed):
    assert_drawn_legibly(random_sets, computed)
