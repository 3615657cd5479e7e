"""The figure of all bounds: it draws each at numbers of the ledger, and none is broken."""

import numpy as np
import pytest

import derivations
from figures import tightness
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly, made

# Inequalities of the ledger that are orders or counts, not bounds on a size.
NOT_BOUNDS = {
    *(
        "best-early-stop",
        "bijections",
        "lambert-monotone",
        "lemma-9-window",
        "logistic-zero-or-two-folds",
    ),
}


@pytest.fixture(scope="module")
def data():
    return made("tightness")[1]


def test_every_bound_of_the_ledger_is_drawn():
    inequalities = {
        claim.id
        for claim in derivations.LEDGER
        if claim.relation != "==" and claim.evaluation is not None
    }
    drawn = {sweep.claim for sweep in tightness.SWEEPS}
    assert inequalities - drawn == NOT_BOUNDS
    assert {claim for claim in drawn if derivations.claim(claim).relation == "=="} == {
        "small-correlation-series",
        "break-even-first-order",
    }


@pytest.mark.parametrize("sweep", tightness.SWEEPS, ids=lambda sweep: sweep.claim)
def test_no_bound_is_broken(data, sweep):
    found, claim = data[sweep.claim], derivations.claim(sweep.claim)
    assert len(found["factor"]) == len(sweep.labels)
    if claim.relation == "<=":
        assert np.all(found["computed"] <= found["claimed"])
    elif claim.relation == ">=":
        assert np.all(found["computed"] >= found["claimed"])
    assert np.all(found["factor"] >= 1)
    assert np.all(np.isfinite(found["factor"]))


def test_the_factors_are_those_between_both_sides(data):
    found = data["fold-locus-bounds"]
    np.testing.assert_allclose(found["claimed"] / found["computed"], found["factor"])
    lower = data["lemma-5-bound"]
    np.testing.assert_allclose(lower["computed"] / lower["claimed"], lower["factor"])
    series = data["small-correlation-series"]
    np.testing.assert_allclose(
        np.abs(series["computed"] - series["claimed"]), np.log(series["factor"]), atol=1e-15
    )


def test_what_the_caption_says(data):
    factor = {identifier: found["factor"] for identifier, found in data.items()}
    # Like 1 + O(1/ln(1/λ)): 8 % at 1e-8, falling.
    for identifier in ("lemma-4-bound", "corollary-1-rate"):
        assert np.all(factor[identifier][:, 0] < 1.1)
        assert np.all(np.diff(factor["lemma-4-bound"][0]) > 0)
    assert factor["lemma-4-bound"][0, -1] > 1e4
    x_threshold, y_threshold = factor["exact-lower-edge"]
    assert x_threshold[-1] == pytest.approx(1, abs=1e-3)
    assert y_threshold[-1] == pytest.approx(20, abs=0.01)
    for identifier in ("opposite-sides-error", "influence-error"):  # the right order in f/r
        np.testing.assert_allclose(factor[identifier][:, 0], factor[identifier][:, 3], rtol=0.02)
        assert np.all((factor[identifier][:, 0] > 3) & (factor[identifier][:, 0] < 5.5))
    assert 1e3 < factor["hoeffding"].max() < 1e4
    for identifier in (
        "lemma-7-bounds",
        "lemma-8-bounds",
        "lemma-10-x",
        "lemma-10-y",
        "fold-locus-bounds",
    ):
        near = factor[identifier][:, -1] < 1.001
        assert near.sum() == len(near) - (
            identifier == "lemma-7-bounds"
        )  # all but y_D's lower bound, which leaves a whole term out


def test_draws_and_claims(data):
    assert_drawn_legibly(tightness, data, lambda axes: axes.get_xlabel())
    assert_claims_complete(tightness, data)
    assert len(list(tightness.claims(data))) == sum(len(sweep.labels) for sweep in tightness.SWEEPS)
