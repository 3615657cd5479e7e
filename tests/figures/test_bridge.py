"""The study of the bridge: its forget sets, the convex diagnosis, the rules, and the figure."""

import re
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

pytest.importorskip("equinox")
pytest.importorskip("optax")

from figures import (
    _bridge_data,
    _bridge_diagnosis,
    _bridge_numbers,
    _bridge_page,
    _bridge_rules,
    _bridge_study,
    bridge,
)
from gda_theory import evaluation, networks
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly
from theory_common.printing import tables

# The forget sets ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cell():
    """The digits with losses and components that no network has to give."""
    data = _bridge_data.load("digits", 3)
    generator = np.random.default_rng(0)
    return _bridge_data.Cell(
        data=data,
        loss=generator.gamma(1, size=len(data.labels)),
        features=generator.normal(size=(len(data.labels), 4)),
        components=generator.normal(size=(2, len(data.labels))),
    )


def test_forget_sets_are_what_the_protocol_says(cell):
    sets = _bridge_data.forget_sets(cell, 5)
    kinds = {kind: [one.rows for one in sets if one.kind == kind] for kind in _bridge_data.KINDS}
    counts = {kind: len(rows) for kind, rows in kinds.items()}
    assert counts == {
        "random": 8,
        "flipped": 6,
        "neighbours": 6,
        "one class": 5,
        "mixed": 5,
        "component": 4,
        "easy": 4,
        "high loss": 3,
        "high loss, clean": 3,
    }
    assert all(len(np.unique(one.rows)) == 10 for one in sets)
    # The kinds take turns: the first nine sets have one of each.
    assert {one.kind for one in sets[:9]} == set(kinds)
    flipped, labels, loss = cell.data.flipped, cell.data.labels, cell.loss
    assert all(flipped[rows].all() for rows in kinds["flipped"])
    assert [flipped[rows].sum() for rows in kinds["mixed"]] == [1, 2, 3, 5, 7]
    assert all(len(np.unique(labels[rows])) == 1 for rows in kinds["one class"])
    assert all((loss[rows] <= np.sort(loss)[249]).all() for rows in kinds["easy"])
    assert all((loss[rows] >= np.sort(loss)[-50]).all() for rows in kinds["high loss"])
    assert not any(flipped[rows].any() for rows in kinds["high loss, clean"])
    for number, rows in enumerate(kinds["component"]):
        along = cell.components[number // 2] * (1, -1)[number % 2]
        np.testing.assert_array_equal(rows, np.sort(np.argsort(-along)[:10]))


def test_forget_sets_depend_on_the_seed_alone(cell):
    first, again, other = (
        np.stack([one.rows for one in _bridge_data.forget_sets(cell, seed)]) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


# The convex diagnosis ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    """Features with a column of ones, labels of 3 classes, rows to forget, and any weights."""
    generator = np.random.default_rng(2)
    features = np.column_stack([generator.normal(size=(30, 2)), np.ones(30)])
    return features, generator.integers(3, size=30), np.arange(4), generator.normal(size=(3, 3))


def hessian_of_row(x, p):
    return np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x))


def root(matrix):
    """The symmetric square root of a matrix that may be singular."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def test_norms_are_those_of_matrices_with_an_entry_for_each_pair(small):
    features, labels, rows, weights = small
    forget = np.isin(np.arange(30), rows)
    found = _bridge_diagnosis.influence(
        _bridge_diagnosis.Softmax.of(features, labels, weights), forget
    )
    p = softmax(features @ weights.T, axis=1)
    bends = [hessian_of_row(x, q) for x, q in zip(features, p, strict=True)]
    inverse = np.linalg.inv(sum(bends) / 30 + _bridge_diagnosis.RIDGE * np.eye(9))
    residual = p - np.eye(3)[labels]
    gradients = np.stack([np.kron(r, x) for r, x in zip(residual, features, strict=True)])
    loss = gradients @ inverse @ gradients.T / 30
    own = p[np.arange(30), labels]
    roots = [root(bend) for bend in bends]
    leverage = np.block(
        [[roots[i] @ inverse @ roots[j] / 30 for j in range(30) if not forget[j]] for i in rows]
    )
    sizes = [
        np.linalg.norm(loss[np.ix_(part, part)], 2) for part in (rows, np.flatnonzero(~forget))
    ]
    unit = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    norm = np.linalg.norm(loss[forget][:, ~forget], 2)
    expected = {
        "loss_norm": norm,
        "margin_norm": np.linalg.norm((loss / (1 - own))[forget][:, ~forget], 2),
        "leverage_norm": np.linalg.norm(leverage, 2),
        "normalised_norm": norm / np.sqrt(sizes[0] * sizes[1]),
        "mean_leverage": np.mean([np.trace(bends[i] @ inverse) / 30 for i in rows]),
        "mean_cosine": (unit @ unit.T)[forget][:, ~forget].mean(),
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


def test_a_margin_gradient_is_that_of_the_logit(small):
    features, labels, _, weights = small
    gradient = _bridge_diagnosis.Softmax.of(features, labels, weights).margin_gradient

    def margin(flat):
        logits = features @ flat.reshape(3, 3).T
        return evaluation.margins(logits[None], labels)[0]

    step = 1e-6
    for column in range(9):
        moved = np.zeros(9)
        moved[column] = step
        slope = (margin(weights.ravel() + moved) - margin(weights.ravel() - moved)) / (2 * step)
        np.testing.assert_allclose(gradient[:, column], slope, atol=1e-7)


def test_features_become_principal_components_with_a_column_of_ones():
    features = np.random.default_rng(0).normal(size=(60, 40)) * np.linspace(3, 1, 40) + 5
    found = _bridge_diagnosis.reduced(features)
    assert found.shape == (60, 31)
    assert (found[:, -1] == 1).all()
    variances = np.linalg.eigvalsh(np.cov(features.T))[::-1][:30]
    np.testing.assert_allclose(np.cov(found[:, :-1].T), np.diag(variances), atol=1e-9)


# The scores --------------------------------------------------------------------------------------


def test_scores_are_means_over_the_rows_of_each_split():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(2, 8, 12, 3))
    labels = generator.integers(3, size=12)
    ours, oracle = (evaluation.margins(one, labels) for one in logits)
    names = np.array(["forget"] * 3 + ["retain"] * 4 + ["validation"] * 5)
    found = _bridge_study.scores(ours, oracle, names)
    losses = -log_softmax(logits[0], axis=-1)[:, np.arange(12), labels]
    for column, split in enumerate(_bridge_numbers.SPLITS):
        there = names == split
        published, normal, loss = found[:, column]
        assert published == pytest.approx(evaluation.histogram(ours, oracle)[there].mean())
        assert normal == pytest.approx(evaluation.gaussian(ours, oracle)[there].mean())
        assert loss == pytest.approx(losses[:, there].mean())


def test_margins_that_are_not_finite_count_as_the_least():
    found = _bridge_study.finite(np.array([np.nan, np.inf, -np.inf, 3.0, -200.0]))
    np.testing.assert_array_equal(found, [-100, 100, -100, 3, -100])


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
    found = _bridge_rules.fitted(values, gains)
    options = [-np.inf, *values[~np.isnan(values)]]
    means = [np.mean(np.where(values <= threshold, gains, 0)) for threshold in options]
    assert found.gain == pytest.approx(max(means))
    assert np.mean(np.where(values <= found.threshold, gains, 0)) == pytest.approx(found.gain)


def test_a_rule_is_chosen_among_all_columns_and_sides():
    values = np.array([[1.0, 5.0], [2.0, 1.0], [3.0, 4.0], [4.0, 2.0]])
    gains = np.array([-1.0, 1.0, -1.0, 2.0])  # column 1 at most 2; no side of column 0 is as good
    rule = _bridge_rules.chosen(values, gains)
    assert (int(rule.column), float(rule.threshold), float(rule.gain)) == (1, 2.0, 0.75)
    assert _bridge_rules.applied(rule, values[:2], gains[:2]) == 0.5
    turned = _bridge_rules.chosen(-values, gains)
    assert (int(turned.column), float(turned.threshold)) == (3, 2.0)
    assert _bridge_rules.chosen(values, -np.ones(4)).threshold == _bridge_rules.NEVER
    assert _bridge_rules.chosen(values, np.ones(4)).threshold == _bridge_rules.ALWAYS


def test_nested_draws_are_groups_of_their_own_rows():
    groups = ["b"] * 5 + ["a"] * 5 + ["c"] * 5
    found = _bridge_rules.nested(groups, 300, np.random.default_rng(0))
    blocks = found.reshape(300, 3, 5) // 5
    assert (blocks == blocks[..., :1]).all()
    # Each group is drawn once a replicate on average, each row once.
    np.testing.assert_allclose(np.bincount(found.ravel(), minlength=15) / 300, 1, atol=0.25)
    with pytest.raises(ValueError, match="equal sizes"):
        _bridge_rules.nested(["a", "a", "b"], 2, np.random.default_rng(0))


def test_a_predictor_that_knows_the_gain_is_judged_better_than_always_and_never():
    generator = np.random.default_rng(0)
    known, blind = generator.normal(size=(2, 2, 120))
    parts = [np.stack([blind[place], known[place]], axis=1) for place in (0, 1)]
    drawn = tuple(_bridge_rules.nested(np.arange(120) // 40, 200, generator) for _ in range(2))
    here, there = zip(parts, known, strict=True)
    found = _bridge_rules.judged(here, there, drawn, 0.95)
    assert found.column == 3  # at least: the negated second column
    assert found.gain[0] == pytest.approx(found.possible, rel=0.05)
    assert found.excess[1] > 0
    useless = _bridge_rules.judged(
        (parts[0][:, :1], known[0]), (parts[1][:, :1], known[1]), drawn, 0.95
    )
    assert useless.excess[1] < 0


# The numbers -------------------------------------------------------------------------------------


def invented(cells=3, sets=12, rates=4):
    """A table as a study gives it, of random numbers; infinite and unknown ones among them."""
    generator = np.random.default_rng(0)
    count = 2 * cells * sets
    table = {name: generator.gamma(1, size=count) for name in _bridge_numbers.LABELS}
    table["critical_strength"][::5] = np.inf
    table["first_order_break_even"][::7] = np.nan
    return {
        "dataset": ["digits"] * (count // 2) + ["fashion"] * (count // 2),
        "split": np.tile(np.repeat(np.arange(cells), sets), 2),
        "kind": (list(_bridge_data.KINDS) * count)[:count],
        **table,
        "nothing": generator.gamma(1, size=(count, 3, 3)),
        "runs": generator.gamma(2, size=(count, rates, 2, 3, 3)),
        "halves": generator.normal(size=(count, 2, rates, 2, 3)),
    }


@pytest.fixture(scope="module")
def data():
    """What the figure computes, from an invented table."""
    found = invented()
    analysis = _bridge_numbers.analysed(found, (0.005, 0.02, 0.05, 0.1), 40)
    return tables.loads(tables.dumps({"table": found, "networks": 40, **analysis}))


def test_correlations_are_means_of_spearmans_over_the_splits(data):
    table = data["table"]
    kind = ("loss", "retain", 5)
    rises = table["runs"][:, 2, 0, 2, 1] - table["nothing"][:, 2, 1]
    expected = []
    for split in range(3):
        here = (np.array(table["dataset"]) == "fashion") & (table["split"] == split)
        expected.append(spearmanr(table["loss_norm"][here], rises[here]).statistic)
    found = _bridge_numbers.estimate(data, "fashion", "plain", "loss_norm", 0.05, kind)
    assert found[0] == pytest.approx(np.mean(expected), abs=1e-12)
    assert found[1] < found[0] < found[2]


def test_a_gain_is_the_fall_of_the_mean_over_the_splits():
    table = invented()
    table["nothing"][0, 0] = (9, 1, 2)
    table["runs"][0, 1, 1, 0] = (3, 2, 4)
    assert _bridge_numbers.gain(table, 1, 10, "published")[0] == pytest.approx(1.0)


def test_a_hypothesis_is_judged_by_its_interval():
    assert _bridge_numbers.verdict((0.5, 0.1, 0.8), 1) == "holds"
    assert _bridge_numbers.verdict((0.5, 0.1, 0.8), -1) == "fails"
    assert _bridge_numbers.verdict((0.5, 0.1, 0.8), 0) == "fails"
    assert _bridge_numbers.verdict((0.5, -0.1, 0.8), 1) == "open"
    assert _bridge_numbers.verdict((0.5, -0.1, 0.8), 0) == "holds"


def test_the_figure_is_drawn_and_its_claims_are_complete(data):
    assert_drawn_legibly(bridge, data, labelled=lambda axes: axes.get_xlabel() or axes.get_ylabel())
    assert_claims_complete(bridge, data)
    page = _bridge_page.page(data)
    assert page.count("\n| ---") == 2 * 2 + 6 + len(_bridge_numbers.HARMS)


def test_without_fashion_mnist_the_digits_are_measured_alone():
    quick = _bridge_study.PRESETS["quick"]
    with mock.patch.object(networks, "fashion", side_effect=FileNotFoundError):
        assert _bridge_study.available(quick) == ("digits",)
    table = invented()
    half = {name: column[: len(column) // 2] for name, column in table.items()}
    found = _bridge_numbers.analysed(half, (0.005, 0.02, 0.05, 0.1), 10)
    assert found["datasets"] == ["digits"]
    assert found["rules"] == []


def test_the_page_has_the_numbers_of_the_kept_table():
    """Correlations with the primary harm, by SciPy, and how many sets each run harms."""
    table = tables.loads(bridge.TABLE.read_text())
    page = (Path(__file__).parents[2] / "docs" / "bridge.md").read_text()
    for dataset, start in (("digits", "On the digits, primary"), ("fashion", "On Fashion-MNIST:")):
        part = page[page.index(start) :]
        for name in ("network_loss", "break_even_strength", "margin_norm", "mean_cosine"):
            row = re.search(rf"^\| {re.escape(_bridge_numbers.LABELS[name])} \|(.*)\|$", part, re.M)
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


# What takes seconds ------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_models_are_those_of_scikit_learn():
    generator = np.random.default_rng(1)
    features = np.column_stack([generator.normal(size=(60, 3)), np.ones(60)])
    labels = np.argmax(features[:, :3] + generator.normal(size=(60, 3)), axis=1)
    rows = np.arange(6)
    found = _bridge_diagnosis.diagnosed(features, labels, rows, 3)
    weights = []
    for kept in (np.arange(60), np.arange(6, 60)):
        fitted = LogisticRegression(
            C=1 / (_bridge_diagnosis.RIDGE * len(kept)), fit_intercept=False, tol=1e-10
        ).fit(features[kept], labels[kept])
        weights.append(fitted.coef_)
    distance = np.linalg.norm(weights[0] - weights[1]) / np.linalg.norm(weights[1])
    assert found["pretrain_distance"] == pytest.approx(distance, rel=1e-4)
    forget = np.isin(np.arange(60), rows)
    again = _bridge_diagnosis.influence(
        _bridge_diagnosis.Softmax.of(features, labels, weights[0]), forget
    )
    for name, value in again.items():
        assert found[name] == pytest.approx(value, rel=1e-4), name
    # To first order in f/r both break-even strengths agree; f/r is 1/9 here.
    assert found["break_even_strength"] == pytest.approx(found["first_order_break_even"], rel=0.7)
    p = softmax(features @ weights[1].T, axis=1)
    kept = features[6:], p[6:]
    bend = sum(hessian_of_row(x, q) for x, q in zip(*kept, strict=True)) / 54
    curvature = bend + _bridge_diagnosis.RIDGE * np.eye(12)
    residual = p - np.eye(3)[labels]
    forgotten = np.mean([np.kron(residual[i], features[i]) for i in rows], axis=0)
    added = (forgotten + _bridge_diagnosis.RIDGE * weights[1].ravel()) / 9
    lengths = [np.linalg.norm(np.linalg.solve(curvature, v)) for v in (added, forgotten)]
    assert found["first_order_break_even"] == pytest.approx(lengths[0] / lengths[1], rel=1e-4)


@pytest.mark.slow
def test_a_tiny_study_is_the_same_again_and_goes_on_where_it_was_stopped(tmp_path):
    tiny = _bridge_study.Settings(
        datasets=("digits",),
        splits=(1,),
        sets=2,
        networks=4,
        rates=(0.05,),
        recipe=networks.Recipe(hidden=64, epochs=25),
    )

    def load(name, split):
        return networks.digits(split, train=250)

    with mock.patch.object(_bridge_data, "load", load):
        first = _bridge_study.study(tiny, tmp_path)
        with mock.patch.object(_bridge_study, "prepared", side_effect=AssertionError):
            kept = _bridge_study.study(tiny, tmp_path)
        next(tmp_path.glob("*.json")).unlink()
        again = _bridge_study.study(tiny, tmp_path)
    assert first["kind"] == ["random", "flipped"]
    assert first["runs"].shape == (2, 1, 2, 3, 3)
    assert first["halves"].shape == (2, 2, 1, 2, 3)
    for name, column in first.items():
        np.testing.assert_array_equal(column, kept[name])
        np.testing.assert_array_equal(column, again[name])
    # Networks that know the flipped labels have a small loss on them, and retrained ones do not.
    assert (first["nothing"][:, 2, 0] < 0.5).all()
    assert first["nothing"][1, 0, 0] > first["nothing"][1, 0, 2]
