"""The measurement of a model of a grammar: by enumeration, and through the command."""

import functools
import itertools
import json
import re

import jax
import numpy as np
import pytest

from rhm_theory import cli
from rhm_theory.denoisers import MaskedDiffusion, grammar_controls, grammar_report, grammar_study
from rhm_theory.denoisers.grammar_study import EXACT
from rhm_theory.denoisers.sequences.measurement import MODEL, Effort
from tests import rhm_enumeration as enumeration

GRAMMAR = enumeration.random_grammar(1, (2, 3, 2, 2))
TREES = enumeration.all_trees(np.asarray(GRAMMAR.rules))
LEAVES = TREES[0]
LENGTH = 4
SEQUENCES = np.array(list(itertools.product(range(3), repeat=LENGTH)))


@pytest.mark.parametrize("shape", enumeration.SHAPES)
def test_pair_laws_are_those_of_all_trees(shape):
    grammar = enumeration.random_grammar(2, shape)
    leaves, *_, root = enumeration.all_trees(np.asarray(grammar.rules))
    found = grammar_controls.pair_laws(grammar)
    expected = np.zeros_like(found)
    for symbol in range(grammar.vocabulary):
        own = leaves[root[:, 0] == symbol]
        for site in range(grammar.length - 1):
            np.add.at(expected[symbol, site], (own[:, site], own[:, site + 1]), 1 / len(own))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def law_of(name: str) -> np.ndarray:
    """The probability of each of all sequences under a control, from the counts of all trees."""
    groups = (
        [LEAVES] if name == "Markov chain" else [LEAVES[TREES[-1][:, 0] == s] for s in range(3)]
    )
    total = np.zeros(len(SEQUENCES))
    for own in groups:
        law = np.array([np.mean(own[:, 0] == s) for s in range(3)])[SEQUENCES[:, 0]]
        for site in range(LENGTH - 1):
            table = np.zeros((3, 3))
            np.add.at(table, (own[:, site], own[:, site + 1]), 1)
            if name == "flat mixture":
                table = np.tile(table.sum(0), (3, 1))
            table /= np.maximum(table.sum(1, keepdims=True), 1)
            law = law * table[SEQUENCES[:, site], SEQUENCES[:, site + 1]]
        total += law / len(groups)
    return total


@pytest.mark.parametrize("name", grammar_controls.CONTROLS)
def test_the_posteriors_of_controls_are_those_of_enumeration(name):
    law = law_of(name)
    assert law.sum() == pytest.approx(1)
    hidden = np.array(list(itertools.product([False, True], repeat=LENGTH)))
    tokens = np.where(hidden, 3, LEAVES[[5]])
    chains = grammar_controls.chains(GRAMMAR, name)
    found = np.exp(grammar_controls.conditional(chains)(tokens))
    for row, answer in zip(tokens, found, strict=True):
        weights = np.where(((row == SEQUENCES) | (row == 3)).all(-1), law, 0)
        onehot = SEQUENCES[..., None] == np.arange(3)
        expected = np.tensordot(weights / weights.sum(), onehot, 1)
        np.testing.assert_allclose(answer, expected, atol=1e-6)


@functools.cache
def bayes_as_model() -> grammar_study.GrammarStudy:
    """Bayes in the place of a model, with every token as a column."""
    exact = grammar_study.sampling.exact_conditional(GRAMMAR)
    effort = Effort(starts=24, masks=2, columns=LENGTH, trajectories=6, steps=None)
    return grammar_study.study(0, exact, GRAMMAR, [0.5, 1.0], effort, controls=["flat mixture"])


def covariances(start: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Of the changes of leaves under Bayes, from all trees."""
    fits = ((start == LEAVES) | mask).all(-1)
    return np.cov((LEAVES[fits] != start).T.astype(float), ddof=0)


@pytest.mark.slow
def test_bayes_has_the_exact_susceptibility():
    study = bayes_as_model()
    found = grammar_report.numbers(study, GRAMMAR)
    sibling = np.kron(np.eye(2), np.ones((2, 2))) - np.eye(4)
    for place in range(2):
        pairs = study.changes.pairs[EXACT][place]
        every = [
            covariances(start, mask)
            for start, masks in zip(study.changes.tokens, pairs.hidden, strict=True)
            for mask in masks
        ]
        whole = np.sum(every, 0)
        expected = whole.sum() / np.trace(whole)
        assert found.laws[EXACT][place].susceptibility.value == pytest.approx(expected, abs=1e-5)
        by_ancestor = np.array([(whole * sibling).sum() / 4, (whole * (1 - sibling)).sum()])
        by_ancestor[1] = (by_ancestor[1] - np.trace(whole)) / 8
        scale = np.trace(whole) / 4
        np.testing.assert_allclose(
            found.by_ancestor[EXACT][place].value, by_ancestor / scale, atol=1e-5
        )
        # It is the model too. Teacher-forced it is the same; its samples agree within their error.
        assert found.above_bayes[MODEL][place].value == pytest.approx(0, abs=1e-6)
        sampled = found.laws["model, sampled"][place].susceptibility
        half = np.sum(every[:24], 0)  # half of the starts are sampled
        assert abs(sampled.value - half.sum() / np.trace(half)) < 4 * sampled.error
    np.testing.assert_allclose(found.used[MODEL].value, 1, atol=1e-6)
    assert found.used["flat mixture"].value.max() < 0.5
    assert "uses 100.0 %, 100.0 % at levels 1, 2" in grammar_report.answer(found)[0]


@pytest.mark.slow
def test_changes_of_nodes_are_those_of_enumeration():
    starts = LEAVES[[0, 7, 11]]
    mask = np.array([True, True, True, False])
    found = grammar_study.exact_nodes(GRAMMAR, starts, np.tile(mask, (3, 1, 1)))
    for start, changed in zip(starts, found.changed, strict=True):
        fits = ((start == LEAVES) | mask).all(-1)
        own = int(np.flatnonzero((start == LEAVES).all(-1))[0])
        expected = [np.mean(level[fits] != level[own]) for level in TREES]
        np.testing.assert_allclose(changed, expected, atol=1e-6)
    nodes = bayes_as_model().nodes
    for model, exact in zip(nodes[MODEL], nodes[EXACT], strict=True):
        assert not model.without_symbol.any()  # samples of Bayes are of the language
        gap = model.changed - exact.changed
        error = gap.std(0, ddof=1) / np.sqrt(len(gap))
        assert (np.abs(gap.mean(0)) < 4 * error).all()


def tiny(path) -> None:
    model = MaskedDiffusion.create(
        jax.random.key(0), vocabulary=3, length=LENGTH, width=8, layers=1, heads=1
    )
    model.save(path, notes=grammar_study.notes_of(GRAMMAR))


@pytest.mark.slow
def test_the_command_measures_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    tiny(tmp_path / "model.eqx")
    options = "--levels 0.5,1 --starts 8 --masks 2 --columns 2 --trajectories 2 --steps 3"
    command = ["measure", str(tmp_path / "model.eqx"), *options.split()]
    command += ["--folder", str(tmp_path / "parts")]
    out = ["--out", str(tmp_path / "study.npz"), "--html", str(tmp_path / "page.html")]
    assert cli.main([*command, *out]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("hidden") == 2 * (4 + 3) + 2  # laws with the controls, and nodes
    assert "level of the tree" in captured.out
    with (tmp_path / "study.npz").open("rb") as file, np.load(file) as held:
        assert held["exact posterior/0.5/covariance"].shape == (8, 2, 2, LENGTH)
        assert held["gaps/model/gap"].shape == (2, 8)
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 7
    assert "http://" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
    assert cli.main([*command, "--json"]) == 0
    again = capsys.readouterr()
    assert again.err == ""  # every part was kept
    answer = json.loads(again.out)
    # The untrained model is uniform: tokens are independent.
    assert answer["value and error"]["model"]["susceptibility"][0][0] == pytest.approx(1, abs=1e-5)
    assert len(answer["by level of the tree"]["used"]["model"][0]) == 2
    # A part that is broken is an error, and names the folder.
    next((tmp_path / "parts").iterdir()).write_bytes(b"no part")
    assert cli.main([*command, "--json"]) == 2
    assert "folder holds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--levels", "0:1:0.5"], "levels must be in"),
        (["--levels", "0.5,0.5"], "levels must be at least one, and different"),
        (["--starts", "1"], "starts must be >= 2"),
        (["--trajectories", "1"], "trajectories must be at least 2"),
        (["--steps", "0"], "steps must be >= 1"),
        (["--masks", "1"], "masks must be >= 2"),
        (["--columns", "0"], "columns must be >= 1"),
        (["--r-max", "4"], "r_max must be below the length = 4"),
        (["--controls", "bigrams"], "controls must be one of"),
        (["--seed", "-1"], "seed must be"),
    ],
)
def test_bad_arguments_are_named(tmp_path, capsys, arguments, message):
    tiny(tmp_path / "model.eqx")
    assert cli.main(["measure", str(tmp_path / "model.eqx"), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_model_of_another_grammar_is_refused(tmp_path, capsys):
    model = MaskedDiffusion.create(
        jax.random.key(0), vocabulary=5, length=LENGTH, width=8, layers=1, heads=1
    )
    model.save(tmp_path / "model.eqx", notes=grammar_study.notes_of(GRAMMAR))
    assert cli.main(["measure", str(tmp_path / "model.eqx")]) == 2
    assert "its model has 4 sites and 5 symbols, its grammar 4 and 3" in capsys.readouterr().err
