"""The study of trained grammars: its numbers hang together, and finished runs are kept."""

import numpy as np
import pytest

from figures import trained_grammar
from rhm_theory.studies import grammars as study
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly

CHOSEN = trained_grammar.PARAMETERS
TINY = study.GrammarSetting(
    cells=((2, 2, 2, 1),),
    sampled=(2, 2),
    steps=128,
    tests=64,
    starts=32,
    samples=8,
    compared=2,
    batch=32,
    width=16,
    layers=1,
    heads=2,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("parts")


@pytest.fixture(scope="module")
def data(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(study.SETTINGS, "quick", TINY)
        return trained_grammar.compute("quick", **CHOSEN, folder=folder)


@pytest.mark.slow  # trains two networks
def test_the_numbers_hang_together(data):
    cell = data["cells"]["depth 2, 2 rules"]
    assert (cell["runs"], cell["grammars"]) == (2, 2)
    gap, information = cell["gap"]["value"], cell["information"]["value"]
    assert gap.shape == (7, 2)
    assert (gap > 0).all()
    np.testing.assert_allclose(cell["used"]["value"][0], 1 - gap[0] / information, atol=0.2)
    assert gap[-1, 0] < 0.8 * gap[0, 0]
    # The exact posterior: coherent, symmetric, and sampled as it is computed.
    np.testing.assert_array_equal(cell["valid"]["value"][0], 1)
    np.testing.assert_allclose(cell["asymmetry"]["value"][0], 0, atol=1e-20)
    chi, sampled = cell["chi"]["value"][0, 2], cell["sampled_chi"]["value"][0]
    assert abs(chi - sampled) < 0.25
    # Its samples one token at a time, or the most confident first, are of the language.
    np.testing.assert_array_equal(cell["sampler_root"]["value"][0, -2:], 1)
    assert cell["sampler_root"]["value"][0, 0] < 0.9
    assert (np.diff(cell["correlation"]["value"][0, :, 0]) == 0).all()


@pytest.mark.slow
def test_the_picture_is_legible_and_the_claims_are_complete(data):
    assert_drawn_legibly(trained_grammar, data)
    assert_claims_complete(trained_grammar, data)


@pytest.mark.slow
def test_finished_runs_are_kept(data, folder, monkeypatch):
    monkeypatch.setitem(study.SETTINGS, "quick", TINY)
    monkeypatch.setattr(study, "_run", None)
    again = trained_grammar.compute("quick", **CHOSEN, folder=folder)
    np.testing.assert_array_equal(
        again["cells"]["depth 2, 2 rules"]["gap"]["value"],
        data["cells"]["depth 2, 2 rules"]["gap"]["value"],
    )
    assert len(list(folder.iterdir())) == 2


def test_cells_are_chosen():
    found = study.chosen(study.SETTINGS["paper"], (3, 4), (2, 4), 1)
    assert found.cells == ((3, 2, 3, 1), (3, 4, 3, 1), (4, 2, 3, 1))
    assert trained_grammar.shown(found) == (4, 2)
    # Without the cell in which samplers are compared, the panels show the first one.
    found = study.chosen(study.SETTINGS["paper"], (3, 5), (3, 2), 1)
    assert trained_grammar.shown(found) == (3, 2)
    with pytest.raises(ValueError, match="must leave one of"):
        study.chosen(study.SETTINGS["paper"], (2,), (2,), 1)


@pytest.mark.slow
def test_cells_without_samplers_are_drawn_too(data):
    one = dict(data["cells"]["depth 2, 2 rules"])
    del one["sampler_root"]
    without = data | {"cells": {"depth 2, 2 rules": one}}
    assert_drawn_legibly(trained_grammar, without)
    assert_claims_complete(trained_grammar, without)


def test_the_time_to_learn_is_interpolated_in_the_logarithm():
    seen = np.array([10.0, 100.0, 1000.0])
    used = np.array([[0.6, 0.0, -1.0, 0.1], [0.7, 0.25, 0.2, 0.2], [0.9, 0.75, 0.4, 0.5]])
    found = trained_grammar.half_times(seen, {"used": {"value": used}})
    np.testing.assert_allclose(found[[0, 1, 3]], [10, 100 * 10**0.5, 1000])
    assert np.isnan(found[2])
