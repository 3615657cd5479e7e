"""The figures of the closed forms: their data say what the theory says."""

import numpy as np
import pytest

from tests.figure_checks import assert_claims_complete, assert_drawn_legibly, made

# Every test that reads the data of "fig4", "logistic" or "distances" is slow.
NAMES = (
    "normalisation",
    "appendix_j",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("fig4", "logistic", "distances")),
)


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_is_legible_and_the_claims_are_complete(name):
    module, data = made(name)
    assert_drawn_legibly(
        module, data, lambda axes: axes.get_xlabel() or not axes.get_subplotspec().is_last_row()
    )
    assert_claims_complete(module, data)


def at(values, value):
    index = int(np.argmin(np.abs(values - value)))
    assert values[index] == pytest.approx(value, rel=1e-12)
    return index


@pytest.mark.slow
def test_fig4_holds_the_reference_values():
    _, data = made("fig4")
    half = at(data["correlation"], 0.5)
    column, row = at(data["ridge"], 0.1), at(data["forget_fraction"], 0.2)
    assert data["fold"][column, row, half] == pytest.approx(0.178062078871913, rel=1e-12)
    assert data["exact"]["upper"][column, row, half] == pytest.approx(0.147361369022355, rel=1e-12)
    column, row, fifth = (
        at(data["ridge"], 1.0),
        at(data["forget_fraction"], 0.05),
        at(data["correlation"], 0.2),
    )
    assert data["fold"][column, row, fifth] == pytest.approx(0.196025593559444, rel=1e-12)
    assert data["exact"]["upper"][column, row, fifth] == pytest.approx(
        0.0177370400424339, rel=1e-12
    )
    assert data["exact"]["realisable"][column, row, fifth] == pytest.approx(5 / 9.5)


@pytest.mark.slow
def test_fig4_sufficient_windows_lie_inside_the_exact_ones_and_the_fold_bounds_the_regimes():
    _, data = made("fig4")
    sufficient, exact, fold = data["sufficient"], data["exact"], data["fold"]
    held = sufficient["exists"] & (sufficient["lower"] < fold)
    assert held.any()
    assert np.all(exact["exists"][held])
    assert np.all(exact["lower"][held] <= sufficient["lower"][held])
    # The fold cuts the paper's upper edge, which knows nothing of it.
    assert np.all(np.minimum(sufficient["upper"], fold)[held] <= exact["upper"][held] * (1 + 1e-12))
    divergent = data["regime"] == 2
    np.testing.assert_array_equal(divergent, data["alpha"][:, None] > fold[:, 2, None, :])
    # The order of both margins, x and y, need not order the distances. Where it does not hold at
    # alpha -> 0, ascent is benign.
    assert np.all(data["regime"][:, 0] == 0)


@pytest.mark.slow
def test_logistic_folds_lie_on_the_curves_and_the_wedge_begins_at_the_cusp():
    _, data = made("logistic")
    logistic, proxy = data["curves"]["logistic"], data["curves"]["exponential"]
    np.testing.assert_allclose(
        logistic["fold_alpha"], [0.02295653791988297, 0.0302310442662184], rtol=1e-12
    )
    np.testing.assert_allclose(
        logistic["fold_y"], [-0.9209437473335705, 1.579269265228267], rtol=1e-12
    )
    # The folds are the turning points of the drawn curve. Between grid points of x, alpha misses
    # them by the square of the spacing.
    y, alpha = logistic["y"], logistic["alpha"]
    for fold_y, fold_alpha in zip(logistic["fold_y"], logistic["fold_alpha"], strict=True):
        assert np.interp(fold_y, y, alpha) == pytest.approx(fold_alpha, rel=1e-3)
    above = y > logistic["fold_y"][0]
    assert alpha[above].max() == pytest.approx(logistic["fold_alpha"][1], rel=1e-3)
    assert np.all(np.isnan(proxy["fold_alpha"]) == [False, True])
    assert proxy["alpha"].max() == pytest.approx(proxy["fold_alpha"][0], rel=1e-3)
    cusp = data["cusp"]
    np.testing.assert_allclose(
        cusp["descent"],
        [919.319286177807, 32.0374142170412, 27.6422875127565, 82.8349046908355],
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        cusp["ascent"],
        [4.40334870102258, 6.72265715820468, 17.6714669357577, 74.852070027226],
        rtol=1e-7,
    )
    for mass, folds, start in zip(
        data["wedge"]["descent"], data["wedge"]["logistic"], cusp["descent"], strict=True
    ):
        assert np.all(np.isnan(folds[mass < start * (1 - 1e-9)]))
        assert np.all(np.diff(folds[mass > start * (1 + 1e-9)], axis=-1) > 0)
        assert np.all(np.isfinite(folds[mass > start * (1 + 1e-9)]))


@pytest.mark.slow
def test_logistic_coordinate_is_never_without_a_minimum():
    _, data = made("logistic")
    proxy, logistic = data["coordinate"]["exponential"], data["coordinate"]["logistic"]
    np.testing.assert_array_equal(proxy["exists"], proxy["mass"] >= -np.exp(-1))
    w = logistic["minimum"]
    # w e^w + w = K/ridge; below 0 the terms cancel nowhere, so a few roundings.
    np.testing.assert_allclose(w * np.exp(w) + w, logistic["mass"], rtol=1e-14, atol=1e-300)


@pytest.mark.slow
def test_distances_agree_with_the_solver_and_keep_their_bounds():
    module, data = made("distances")
    every = data["every"]
    for loss in module.LOSSES:
        for kind in ("coordinate", "pair"):
            for name in module.NAMES:
                line, solver = data[loss][kind][name][..., every], data[loss][kind]["solver"][name]
                np.testing.assert_array_equal(np.isnan(line), np.isnan(solver))
                # At alpha next to f/r the signed mass cancels to 1e-4 of its terms.
                # This makes a difference of weights of up to 30.
                np.testing.assert_allclose(line, solver, rtol=1e-9, atol=1e-12)
        found = data[loss]["coordinate"]
        assert np.all(found["pretrain_oracle"] <= found["lemma_4_bound"] + 1e-14)
        # Corollary 1: at alpha = f/r the distance of descent-ascent is w_R itself.
        # It grows without limit as the ridge falls.
        np.testing.assert_allclose(
            found["descent_ascent_oracle"][2], found["lemma_5_bound"][2], rtol=1e-14
        )
        assert np.all(np.diff(found["descent_ascent_oracle"][2]) < 0)
        gap = found["rate_bound"][:2] - found["descent_ascent_oracle"][:2]
        assert np.all(gap > 0)
        assert np.all(gap[0, :5] < 0.1 * found["rate_bound"][0, :5])
    exponential = data["exponential"]["coordinate"]
    assert exponential["last"] == pytest.approx(0.25 + 0.1 * 20 / (np.e * 8), rel=1e-14)
    np.testing.assert_array_equal(
        np.isfinite(exponential["descent_ascent_oracle"][3]), data["alpha"] <= exponential["last"]
    )
    assert np.all(np.isfinite(data["logistic"]["coordinate"]["descent_ascent_oracle"]))


def test_normalisation_decides_the_order():
    _, data = made("normalisation")
    mean, total = data["mean"], data["sum"]
    assert mean["coordinate"]["retrain"][0] == pytest.approx(
        total["coordinate"]["retrain"][0], rel=1e-14
    )
    for place in ("coordinate", "x", "y"):
        trained, oracle, ascended = (
            total[place][name][1:] for name in ("pretrain", "retrain", "descent_ascent")
        )
        there = np.isfinite(ascended)
        assert there.any()
        assert np.all((ascended < oracle)[there])
        assert np.all(oracle < trained)
        # Nothing forgotten: all three are there, and descent-ascent is the oracle.
        assert (
            total[place]["descent_ascent"][0]
            == total[place]["retrain"][0]
            == total[place]["pretrain"][0]
        )
    trained, oracle, ascended = mean["coordinate"].values()
    lower, upper, alpha = mean["order_range"]["lower"], mean["order_range"]["upper"], mean["alpha"]
    assert (lower, upper) == (pytest.approx(20**2 / (80 * 120)), pytest.approx(20 / 80))
    clear = np.abs(alpha - upper) > 1e-9
    np.testing.assert_array_equal(
        ((ascended <= trained) & (trained <= oracle))[clear],
        ((alpha >= lower) & (alpha <= upper))[clear],
    )
    assert mean["window"]["lower"] == pytest.approx(0.03194, abs=5e-6)
    assert mean["window"]["upper"] == pytest.approx(0.06070, abs=5e-6)
    assert np.isnan(total["window"]["lower"])
    assert np.isnan(total["order_range"]["lower"])


def test_appendix_j_curves_reach_the_limits():
    module, data = made("appendix_j")
    found, limits = data["against_correlation"], data["limits"]
    assert found["correlation"][0] == 0
    assert np.all(np.isfinite(found["pretrain"]))
    for name in module.MODELS:
        both = np.stack([limits[name], limits[name]], -1)
        # First order in 1 - correlation = 1e-6.
        np.testing.assert_allclose(found[name][:, -1], both, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(limits["exists"], [True, False])
    assert np.all(np.isfinite(found["descent_ascent"][1, 0]))
