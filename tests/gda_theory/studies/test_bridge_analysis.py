"""The analysis of the bridge: rules against trying all of them, correlations against SciPy."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from gda_theory import networks
from gda_theory.studies.bridge import analysis, rules, study
from tests.bridge_table import RATES, analysed, invented

# The rules ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 1.0, 2.0, 3.0, np.inf, np.nan]), st.integers(-3, 3)),
        min_size=1,
        max_size=7,
    )
)
def test_the_best_threshold_is_found_by_trying_all(pairs):
    values, gains = (np.array(column, float) for column in zip(*pairs, strict=True))
    found = rules.fitted(values, gains)
    options = [-np.inf, *values[~np.isnan(values)]]
    means = [np.mean(np.where(values <= threshold, gains, 0)) for threshold in options]
    assert found.gain == pytest.approx(max(means))
    assert np.mean(np.where(values <= found.threshold, gains, 0)) == pytest.approx(found.gain)


def test_a_rule_is_chosen_among_all_columns_and_sides():
    values = np.array([[1.0, 5.0], [2.0, 1.0], [3.0, 4.0], [4.0, 2.0]])
    gains = np.array([-1.0, 1.0, -1.0, 2.0])  # column 1 at most 2; no side of column 0 is as good
    rule = rules.chosen(values, gains)
    assert (int(rule.column), float(rule.threshold), float(rule.gain)) == (1, 2.0, 0.75)
    assert rules.applied(rule, values[:2], gains[:2]) == 0.5
    turned = rules.chosen(-values, gains)
    assert (int(turned.column), float(turned.threshold)) == (3, 2.0)
    assert rules.chosen(values, -np.ones(4)).threshold == rules.NEVER
    assert rules.chosen(values, np.ones(4)).threshold == rules.ALWAYS


def test_nested_draws_are_groups_of_their_own_rows():
    groups = ["b"] * 5 + ["a"] * 5 + ["c"] * 5
    found = rules.nested(groups, 300, np.random.default_rng(0))
    blocks = found.reshape(300, 3, 5) // 5
    assert (blocks == blocks[..., :1]).all()
    # Each group is drawn once a replicate on average, each row once.
    np.testing.assert_allclose(np.bincount(found.ravel(), minlength=15) / 300, 1, atol=0.25)
    with pytest.raises(ValueError, match="equal sizes"):
        rules.nested(["a", "a", "b"], 2, np.random.default_rng(0))


def test_a_predictor_that_knows_the_gain_is_judged_better_than_always_and_never():
    generator = np.random.default_rng(0)
    known, blind = generator.normal(size=(2, 2, 120))
    parts = [np.stack([blind[place], known[place]], axis=1) for place in (0, 1)]
    drawn = tuple(rules.nested(np.arange(120) // 40, 200, generator) for _ in range(2))
    here, there = zip(parts, known, strict=True)
    found = rules.judged(here, there, drawn, 0.95)
    assert found.column == 3  # at least: the negated second column
    assert found.gain[0] == pytest.approx(found.possible, rel=0.05)
    assert found.excess[1] > 0
    useless = rules.judged((parts[0][:, :1], known[0]), (parts[1][:, :1], known[1]), drawn, 0.95)
    assert useless.excess[1] < 0


# The correlations ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    return analysed()


def test_correlations_are_means_of_spearmans_over_the_splits(data):
    table = data["table"]
    kind = ("loss", "retain", 5)
    rises = table["runs"][:, 2, 0, 2, 1] - table["nothing"][:, 2, 1]
    expected = []
    for split in range(3):
        here = (np.array(table["dataset"]) == "fashion") & (table["split"] == split)
        expected.append(spearmanr(table["loss_norm"][here], rises[here]).statistic)
    found = analysis.estimate(data, "fashion", "plain", "loss_norm", 0.05, kind)
    assert found[0] == pytest.approx(np.mean(expected), abs=1e-12)
    assert found[1] < found[0] < found[2]


def test_a_gain_is_the_fall_of_the_mean_over_the_splits():
    table = invented()
    table["nothing"][0, 0] = (9, 1, 2)
    table["runs"][0, 1, 1, 0] = (3, 2, 4)
    assert analysis.gain(table, 1, 10, "published")[0] == pytest.approx(1.0)


def test_a_hypothesis_is_judged_by_its_interval():
    assert analysis.verdict((0.5, 0.1, 0.8), 1) == "holds"
    assert analysis.verdict((0.5, 0.1, 0.8), -1) == "fails"
    assert analysis.verdict((0.5, 0.1, 0.8), 0) == "fails"
    assert analysis.verdict((0.5, -0.1, 0.8), 1) == "open"
    assert analysis.verdict((0.5, -0.1, 0.8), 0) == "holds"


def test_without_fashion_mnist_the_digits_are_measured_alone():
    quick = study.PRESETS["quick"]
    with mock.patch.object(networks, "fashion", side_effect=FileNotFoundError):
        assert study.available(quick) == ("digits",)
    table = invented()
    half = {name: column[: len(column) // 2] for name, column in table.items()}
    found = analysis.analysed(half, RATES, 10)
    assert found["datasets"] == ["digits"]
    assert found["rules"] == []
