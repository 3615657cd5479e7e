"""The figure of the bridge, its page, and the table that is kept with it."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from figures import _bridge_page, bridge
from gda_theory.studies.bridge import analysis
from tests.bridge_table import analysed
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly
from theory_common.printing import tables


@pytest.fixture(scope="module")
def data():
    return analysed()


def test_the_figure_is_drawn_and_its_claims_are_complete(data):
    assert_drawn_legibly(bridge, data, labelled=lambda axes: axes.get_xlabel() or axes.get_ylabel())
    assert_claims_complete(bridge, data)
    page = _bridge_page.page(data)
    assert page.count("\n| ---") == 2 * 2 + 6 + len(analysis.HARMS)


def test_the_page_has_the_numbers_of_the_kept_table():
    """Correlations with the primary harm, by SciPy, and how many sets each run harms."""
    table = tables.loads(bridge.TABLE.read_text())
    page = (Path(__file__).parents[2] / "docs" / "bridge.md").read_text()
    for dataset, start in (("digits", "On the digits, primary"), ("fashion", "On Fashion-MNIST:")):
        part = page[page.index(start) :]
        for name in ("network_loss", "break_even_strength", "margin_norm", "mean_cosine"):
            row = re.search(rf"^\| {re.escape(analysis.LABELS[name])} \|(.*)\|$", part, re.M)
            written = [float(cell.split()[0]) for cell in row[1].split("|")]
            for rate, number in enumerate(written):
                rise = table["runs"][:, rate, 0, 1, 2] - table["nothing"][:, 1, 2]
                each = []
                for split in (11, 12, 13):
                    here = (np.array(table["dataset"]) == dataset) & (table["split"] == split)
                    assert here.sum() == 44
                    each.append(spearmanr(table[name][here], rise[here]).statistic)
                assert number == pytest.approx(np.mean(each), abs=0.0051), (dataset, name, rate)
    digits = np.array(table["dataset"]) == "digits"
    for rate, value in enumerate(("0.005", "0.02", "0.05", "0.1")):
        rise = table["runs"][digits, rate, 0, 1, 2] - table["nothing"][digits, 1, 2]
        assert f"| {value} | 5 | {np.sum(rise > 0)} of 132 |" in page
    assert max(table["broken"]) == 0
    assert bridge.TABLE.stat().st_size < 300_000


def test_only_the_paper_preset_gives_the_kept_table(tmp_path, capsys):
    source = tmp_path / "bridge.json"
    source.write_text('{"preset": "quick"}')
    with pytest.raises(SystemExit):
        bridge.main([str(source)])
    assert "must be made with --preset paper, got quick" in capsys.readouterr().err
