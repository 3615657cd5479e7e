"""The study of the bridge: its forget sets, the convex model of a last layer, and its scores."""

from unittest import mock

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from gda_theory import evaluation, networks
from gda_theory.studies.bridge import analysis, forget_sets, last_layer, study

# The forget sets ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cell():
    """The digits with losses and components that no network has to give."""
    data = forget_sets.load("digits", 3)
    generator = np.random.default_rng(0)
    return forget_sets.Cell(
        data=data,
        loss=generator.gamma(1, size=len(data.labels)),
        features=generator.normal(size=(len(data.labels), 4)),
        components=generator.normal(size=(2, len(data.labels))),
    )


def test_forget_sets_are_what_the_protocol_says(cell):
    sets = forget_sets.forget_sets(cell, 5)
    kinds = {kind: [one.rows for one in sets if one.kind == kind] for kind in forget_sets.KINDS}
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
        np.stack([one.rows for one in forget_sets.forget_sets(cell, seed)]) for seed in (1, 1, 2)
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
    found = last_layer.influence(last_layer.RowTerms.of(features, labels, weights), forget)
    p = softmax(features @ weights.T, axis=1)
    bends = [hessian_of_row(x, q) for x, q in zip(features, p, strict=True)]
    inverse = np.linalg.inv(sum(bends) / 30 + last_layer.RIDGE * np.eye(9))
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
    gradient = last_layer.RowTerms.of(features, labels, weights).margin_gradient

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
    found = last_layer.reduced(features)
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
    found = study.scores(ours, oracle, names)
    losses = -log_softmax(logits[0], axis=-1)[:, np.arange(12), labels]
    for column, split in enumerate(analysis.SPLITS):
        there = names == split
        published, normal, loss = found[:, column]
        assert published == pytest.approx(evaluation.histogram(ours, oracle)[there].mean())
        assert normal == pytest.approx(evaluation.gaussian(ours, oracle)[there].mean())
        assert loss == pytest.approx(losses[:, there].mean())


def test_margins_that_are_not_finite_count_as_the_least():
    found = study.finite(np.array([np.nan, np.inf, -np.inf, 3.0, -200.0]))
    np.testing.assert_array_equal(found, [-100, 100, -100, 3, -100])


# What takes seconds ------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_models_are_those_of_scikit_learn():
    generator = np.random.default_rng(1)
    features = np.column_stack([generator.normal(size=(60, 3)), np.ones(60)])
    labels = np.argmax(features[:, :3] + generator.normal(size=(60, 3)), axis=1)
    rows = np.arange(6)
    found = last_layer.diagnosed(features, labels, rows, 3)
    weights = []
    for kept in (np.arange(60), np.arange(6, 60)):
        fitted = LogisticRegression(
            C=1 / (last_layer.RIDGE * len(kept)), fit_intercept=False, tol=1e-10
        ).fit(features[kept], labels[kept])
        weights.append(fitted.coef_)
    distance = np.linalg.norm(weights[0] - weights[1]) / np.linalg.norm(weights[1])
    assert found["pretrain_distance"] == pytest.approx(distance, rel=1e-4)
    forget = np.isin(np.arange(60), rows)
    again = last_layer.influence(last_layer.RowTerms.of(features, labels, weights[0]), forget)
    for name, value in again.items():
        assert found[name] == pytest.approx(value, rel=1e-4), name
    # To first order in f/r both break-even strengths agree; f/r is 1/9 here.
    assert found["break_even_strength"] == pytest.approx(found["first_order_break_even"], rel=0.7)
    p = softmax(features @ weights[1].T, axis=1)
    kept = features[6:], p[6:]
    bend = sum(hessian_of_row(x, q) for x, q in zip(*kept, strict=True)) / 54
    curvature = bend + last_layer.RIDGE * np.eye(12)
    residual = p - np.eye(3)[labels]
    forgotten = np.mean([np.kron(residual[i], features[i]) for i in rows], axis=0)
    added = (forgotten + last_layer.RIDGE * weights[1].ravel()) / 9
    lengths = [np.linalg.norm(np.linalg.solve(curvature, v)) for v in (added, forgotten)]
    assert found["first_order_break_even"] == pytest.approx(lengths[0] / lengths[1], rel=1e-4)


@pytest.mark.slow
def test_a_tiny_study_is_the_same_again_and_goes_on_where_it_was_stopped(tmp_path):
    tiny = study.BridgeSettings(
        datasets=("digits",),
        splits=(1,),
        sets=2,
        networks=4,
        rates=(0.05,),
        recipe=networks.Recipe(hidden=64, epochs=25),
    )

    def load(name, split):
        return networks.digits(split, train=250)

    with mock.patch.object(forget_sets, "load", load):
        first = study.study(tiny, tmp_path)
        with mock.patch.object(study, "prepared", side_effect=AssertionError):
            kept = study.study(tiny, tmp_path)
        next(tmp_path.glob("*.json")).unlink()
        again = study.study(tiny, tmp_path)
    assert first["kind"] == ["random", "flipped"]
    assert first["runs"].shape == (2, 1, 2, 3, 3)
    assert first["halves"].shape == (2, 2, 1, 2, 3)
    for name, column in first.items():
        np.testing.assert_array_equal(column, kept[name])
        np.testing.assert_array_equal(column, again[name])
    # Networks that know the flipped labels have a small loss on them, and retrained ones do not.
    assert (first["nothing"][:, 2, 0] < 0.5).all()
    assert first["nothing"][1, 0, 0] > first["nothing"][1, 0, 2]
