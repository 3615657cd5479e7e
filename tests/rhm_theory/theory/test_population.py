"""Population dynamics against exact belief propagation on all derivations, and on large trees."""

import jax
import numpy as np
import pytest

import rhm_theory as rt
from rhm_theory.theory import mean_field, population
from tests.rhm_enumeration import all_trees, random_grammar

SMALL = random_grammar(1, (3, 3, 2, 2))
NUMBERS = {"vocabulary": 16, "rules_per_symbol": 4, "branching": 2}


def exact_roots(grammar, level):
    """The own symbol and the exact posterior of the root, of every derivation."""
    *_, roots = trees = all_trees(np.asarray(grammar.rules))
    seen = rt.likelihood.epsilon_process(trees[0], level, vocabulary=grammar.vocabulary)
    return roots[:, 0], np.asarray(rt.marginals(grammar, seen)[-1])[:, 0]


def test_the_first_level_is_exact():
    """Each rule of each symbol has its members, so nothing is random there."""
    once = rt.Grammar(SMALL.rules[:1])
    own, posterior = exact_roots(once, 0.4)
    found = population.beliefs(jax.random.key(0), once, 0.4, size=1)
    kept = posterior[np.arange(len(own)), own]
    np.testing.assert_allclose(found.mean, [0.6 + 0.4 / 3, kept.mean()], rtol=1e-14)
    np.testing.assert_allclose(found.deviation, [0, kept.std()], atol=1e-14)
    np.testing.assert_allclose(found.messages.reshape(-1, 3), posterior, rtol=1e-13)


def test_the_population_has_the_law_of_exact_belief_propagation():
    levels = np.array([0.3, 0.6])
    keys = jax.random.split(jax.random.key(3), 8)
    found = [population.beliefs(key, SMALL, levels, size=300) for key in keys]
    for index, level in enumerate(levels):
        own, posterior = exact_roots(SMALL, level)
        kept = posterior[np.arange(len(own)), own]
        exact = [kept.mean(), kept.std()]
        exact += [posterior[own == a].mean(0) for a in range(3)]
        each = [
            [one.mean[index, -1], one.deviation[index, -1], *one.messages[index].mean(1)]
            for one in found
        ]
        for values, expected in zip(zip(*each, strict=True), exact, strict=True):
            error = np.std(values, 0, ddof=1) / np.sqrt(len(values))
            assert np.all(np.abs(np.mean(values, 0) - expected) < 6 * error + 1e-12)
            assert np.all(error < 0.02)


def test_the_transition_is_where_the_root_is_lost(tmp_path):
    given = {**NUMBERS, "depth": 24, "size": 4, "populations": 2, "folder": tmp_path}
    found = population.transition(jax.random.key(0), **given)
    assert len(list(tmp_path.iterdir())) == 2  # finished populations are kept
    again = population.transition(jax.random.key(0), **given)
    np.testing.assert_array_equal(again.slope, found.slope)
    assert found.belief.shape == found.slope.shape == (2, 25)
    assert np.all(found.high - found.low < 1e-12)
    # A small population, and each grammar by itself: near the mean field's 0.8, but not at it.
    assert np.all(np.abs(found.low - mean_field.critical_noise(**NUMBERS)) < 0.05)
    key = jax.random.split(jax.random.key(0), 2)[1]
    grammar = rt.Grammar.random(key, **NUMBERS, depth=24)
    ends = found.low[1] + np.array([-1e-3, 0, 1e-3])
    below, _, above = population.beliefs(key, grammar, ends, size=4).mean
    assert below[-1] > 0.9
    assert above[-1] < 0.1
    step = 1e-7
    two = population.beliefs(key, grammar, found.low[1] + np.array([-step, step]), size=4).mean
    slope = (two[0] - two[1]) / (2 * step)
    np.testing.assert_allclose(found.slope[1][:12], slope[:12], rtol=1e-4)
    critical = population.critical(found, first=4, last=14)
    growth = np.log(found.slope[:, 14] / found.slope[:, 4]) / 10
    assert critical.exponent == pytest.approx(np.log(2) / growth.mean(), rel=1e-13)
    assert critical.noise == pytest.approx(found.low.mean(), abs=1e-12)
    assert critical.spread == pytest.approx(abs(np.diff(found.low)[0]) / np.sqrt(2), rel=1e-9)


@pytest.mark.slow
def test_large_trees_agree_with_exact_belief_propagation():
    """Given the grammar: 600 starts of a tree of 128 leaves, and a population of the same rules."""
    for seed in (0, 1):
        grammar = rt.Grammar.random(jax.random.key(seed), **NUMBERS, depth=7)
        tree = grammar.sample(jax.random.key(seed + 10), (600,))
        levels = np.array([0.7, 0.78, 0.84])
        seen = rt.likelihood.epsilon_process(tree.leaves, levels[:, None], vocabulary=16)
        root = np.asarray(rt.marginals(grammar, seen)[-1])[..., 0, :]
        kept = np.take_along_axis(root, np.asarray(tree.root)[None, :, None], -1)[..., 0]
        found = population.beliefs(jax.random.key(5), grammar, levels, size=64)
        error = kept.std(1) / np.sqrt(600) + 1 / np.sqrt(16 * 4 * 64)
        assert np.all(np.abs(found.mean[:, -1] - kept.mean(1)) < 4 * error)


@pytest.mark.slow
def test_mean_field_is_near_at_a_large_vocabulary_and_a_few_levels():
    numbers = {"vocabulary": 64, "rules_per_symbol": 8, "branching": 2}
    level = np.array([0.85, 0.9])
    expected = np.asarray(mean_field.upward(level, **numbers, depth=4))
    found = [
        population.beliefs(key, rt.Grammar.random(key, **numbers, depth=4), level, size=16).mean
        for key in jax.random.split(jax.random.key(1), 6)
    ]
    np.testing.assert_allclose(np.mean(found, 0), expected, rtol=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: population.beliefs(jax.random.key(0), 3, 0.5, size=1), "grammar must be a Gramm"),
        (lambda: population.beliefs(0, SMALL, 0.5, size=1), "key must be a JAX random key"),
        (
            lambda: population.beliefs(jax.random.key(0), SMALL, 1.5, size=1),
            r"level must be in \[0",
        ),
        (lambda: population.beliefs(jax.random.key(0), SMALL, 0.5, size=0), "size must be >= 1"),
        (
            lambda: population.transition(
                jax.random.key(0), **NUMBERS, depth=2, size=1, populations=0
            ),
            "populations must be >= 1",
        ),
        (lambda: population.critical(ALONE, first=0, last=1), "found must have two populations"),
        (lambda: population.critical(ALONE, first=0, last=3), "last must be below 3"),
        (lambda: population.critical(ALONE, first=1, last=1), "last must be >= 2"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


ALONE = population.Transition(np.ones(1), np.ones(1), np.ones((1, 3)), np.ones((1, 3)), 2)
