"""The figure of cross-influence, its page, and the table that comes with the package."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from figures import cross_influence
from gda_theory.studies.influence import correlations
from gda_theory.verdict import dependence
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly, made


def test_the_page_has_the_numbers_of_the_packages_table():
    """Correlations with the primary measure, by SciPy, from three digits of each number."""
    study = dependence.study()
    cells = np.unique(
        np.stack([study["dataset"], study["ridge"], study["size_ratio"]]),
        axis=1,
        return_inverse=True,
    )[1]
    sources = np.array([name.partition(" ")[0] for name in study["dataset"]])
    page = (Path(__file__).parents[2] / "docs" / "cross_influence.md").read_text()
    for name in (
        "loss_norm",
        "leverage_norm",
        "normalised_norm",
        "mean_forget_loss",
        "break_even_strength",
    ):
        by_source = {}
        for number in np.unique(cells):
            here = cells == number
            found = spearmanr(study[name][here], study["budget"][here]).statistic
            by_source.setdefault(sources[here][0], []).append(found)
        expected = np.mean([np.mean(found) for found in by_source.values()])
        row = re.search(rf"^\| {re.escape(correlations.LABELS[name])} \| (\S+)", page, re.M)
        # Values that agree to three digits are ties here, and have an order in the study.
        assert float(row[1]) == pytest.approx(expected, abs=0.015), name


def test_only_the_paper_preset_gives_the_packages_table(tmp_path, capsys):
    source = tmp_path / "cross_influence.json"
    source.write_text('{"preset": "quick"}')
    with pytest.raises(SystemExit):
        cross_influence.main([str(source)])
    assert "must be made with --preset paper, got quick" in capsys.readouterr().err


@pytest.mark.slow
def test_the_figure_is_drawn_and_its_claims_are_complete():
    module, data = made("cross_influence")
    assert module is cross_influence
    # A colour bar has a label on one side only.
    assert_drawn_legibly(module, data, labelled=lambda axes: axes.get_ylabel())
    assert_claims_complete(module, data)
    assert np.all(data["table"]["converged"] == 1)
    even, limit = data["table"]["break_even_strength"], data["table"]["limit_weak"]
    # By definition: at f/r ascent is worse than nothing iff that is above the break-even strength.
    np.testing.assert_array_equal(limit > 0, data["table"]["size_ratio"] > even)
