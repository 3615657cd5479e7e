"""Gaps to Bayes by level: those of known conditionals, of enumeration, and of a tiny model."""

import json

import jax
import numpy as np
import pytest

import rhm_theory as rt
from rhm_theory import cli
from rhm_theory.denoisers import MaskedDiffusion, grammars, sampling, train
from tests import rhm_enumeration as enumeration

GRAMMAR = rt.Grammar.affine(2, 4, 2, 2, multiplier=5, offset=3)
SENTENCES = enumeration.all_trees(np.asarray(GRAMMAR.rules))[0]
EXACT = sampling.exact_conditional(GRAMMAR)
NOTHING = np.full(4, 4)


def only_the_sibling(tokens):
    """The exact law given one's sibling alone: it knows level 1, and nothing above."""
    siblings = np.asarray(tokens).reshape(*np.shape(tokens)[:-1], 2, 2)
    left = np.where([[True, True], [False, False]], siblings, 4)
    right = np.where([[False, False], [True, True]], siblings, 4)
    laws = [np.asarray(EXACT(half.reshape(np.shape(tokens)))) for half in (left, right)]
    return np.concatenate([laws[0][..., :2, :], laws[1][..., 2:, :]], -2)


def test_fresh_sequences_are_those_of_the_language():
    draw = grammars.fresh(GRAMMAR)
    found = draw(np.random.default_rng(0), 6400)
    codes, counts = np.unique(found @ 4 ** np.arange(4), return_counts=True)
    np.testing.assert_array_equal(codes, np.sort(SENTENCES @ 4 ** np.arange(4)))
    assert np.abs(counts / 6400 * len(SENTENCES) - 1).max() < 1


def test_the_gap_is_the_excess_of_the_expected_log_loss_by_enumeration():
    start = SENTENCES[3]
    hidden = np.array([True, True, False, False])
    fits = SENTENCES[(SENTENCES[:, 2:] == start[2:]).all(-1)]
    uniform = lambda tokens: np.full((*np.shape(tokens), 4), -np.log(4))  # noqa: E731
    alone = np.exp(EXACT(NOTHING))
    gap, information = 0, 0
    for leaf in (0, 1):
        p = np.bincount(fits[:, leaf], minlength=4) / len(fits)
        entropy = -np.sum(p[p > 0] * np.log(p[p > 0]))
        gap += np.log(4) - entropy
        information += -np.sum(p * np.log(alone[leaf])) - entropy
    found = grammars.gaps(GRAMMAR, uniform, start, hidden)
    assert found.hidden == 2
    np.testing.assert_allclose(found.gap, gap)
    np.testing.assert_allclose(found.information, information)


def test_bayes_has_no_gap_and_one_who_ignores_the_context_has_all_of_it():
    found = grammars.level_gaps(GRAMMAR, EXACT, SENTENCES)
    np.testing.assert_allclose(found.gap, 0, atol=1e-12)
    np.testing.assert_array_equal(found.hidden.mean(-1), [1, 2])
    ignores = lambda tokens: EXACT(np.full_like(tokens, 4))  # noqa: E731
    np.testing.assert_allclose(
        grammars.level_gaps(GRAMMAR, ignores, SENTENCES).gap, found.information
    )


def test_one_who_knows_level_1_alone_uses_nothing_of_level_2():
    found = grammars.level_gaps(GRAMMAR, only_the_sibling, SENTENCES)
    gap = found.gap.sum(-1) / found.information.sum(-1)
    assert gap[0] < 0.5
    np.testing.assert_allclose(gap[1], 1)


def test_nodes_that_have_a_symbol():
    valid = {tuple(pair) for pair in np.asarray(GRAMMAR.rules[0]).reshape(-1, 2)}
    wrong = next(pair for pair in np.ndindex(4, 4) if pair not in valid)
    broken = [*wrong, *SENTENCES[0, 2:]]
    found = grammars.valid_nodes(GRAMMAR, np.array([SENTENCES[0], broken]))
    np.testing.assert_array_equal(found, [[1, 1], [0.5, 0]])


@pytest.mark.slow  # trains for 3 seconds
def test_a_tiny_model_learns_the_lowest_level_first():
    model = MaskedDiffusion.create(
        jax.random.key(0), vocabulary=4, length=4, width=16, layers=1, heads=2
    )
    trained = train(jax.random.key(1), model, grammars.fresh(GRAMMAR), batch=64, steps=400)
    found = grammars.level_gaps(GRAMMAR, trained.model.log_probabilities, SENTENCES)
    share = 1 - found.gap.sum(-1) / found.information.sum(-1)
    assert share[0] > 0.7
    assert share[0] > share[1] + 0.1
    assert "level" in grammars.table({"400 steps": found})


def test_the_command_trains_and_prints_the_gaps(tmp_path, capsys):
    out = tmp_path / "model.eqx"
    text = "--depth 2 --vocabulary 4 --width 16 --layers 1 --heads 2 --steps 8 --batch 64 --json"
    command = ["train", "grammar", "--out", str(out), *text.split()]
    assert cli.main(command) == 0
    found = json.loads(capsys.readouterr().out)
    gaps = found["nats for each hidden leaf"]["gap by share of the run"]
    assert list(gaps) == ["0.015625", "0.0625", "0.25", "1"]
    grammar = rt.Grammar(found["grammar"]["rules"])
    kept = MaskedDiffusion.load(out)
    assert (kept.length, kept.vocabulary) == (grammar.length, grammar.vocabulary) == (4, 4)
    assert cli.main(command) == 2  # the file is there
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grammars.gaps(GRAMMAR, EXACT, SENTENCES, SENTENCES), "hidden must be boolean"),
        (lambda: grammars.level_gaps(GRAMMAR, EXACT, SENTENCES[0]), "sequences must have shape"),
        (lambda: grammars.hidden_blocks(GRAMMAR, 0), "count must"),
        (lambda: grammars.fresh(3), "Grammar"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
