"""Moments given the symbols of a level: against all trees of a grammar, and against samples."""

import jax
import numpy as np
import pytest

import rhm_theory as rt
from rhm_theory.experiment import within
from tests import rhm_enumeration as enumeration


def by_enumeration(trees, likelihood, start, level):
    """Variances of N and of the leaves given the symbols of a level, from the list of all trees."""
    weights = enumeration.weights(trees, likelihood)
    weights = weights / weights.sum()
    differs = trees[0] != start[0]
    _, group = np.unique(trees[level], axis=0, return_inverse=True)
    kept = (trees[level] == start[level]).all(1)
    found = np.zeros(2)
    of_kept = None
    for number in set(group.tolist()):
        alike = group.ravel() == number
        chance = weights[alike].sum()
        if chance == 0:
            continue
        law = weights[alike] / chance
        mean = law @ differs[alike]
        total = law @ (differs[alike].sum(1) - mean.sum()) ** 2
        both = np.array([total, (mean * (1 - mean)).sum()])
        found += chance * both
        if kept[alike].all():
            of_kept = both
    return found, of_kept


@pytest.mark.parametrize("shape", enumeration.some_slow(enumeration.SHAPES))
def test_they_are_those_of_full_enumeration(shape):
    grammar = enumeration.random_grammar(3, shape)
    trees = enumeration.all_trees(np.asarray(grammar.rules))
    start = grammar.reference_start(1)
    likelihoods = enumeration.random_likelihoods(np.random.default_rng(4), grammar)[:4]
    found = rt.conditional_moments(grammar, likelihoods, start)
    symbols = [np.asarray(level) for level in start.symbols]
    for row, likelihood in enumerate(likelihoods):
        for level in range(1, grammar.depth + 1):
            (total, leaves), kept = by_enumeration(trees, likelihood, symbols, level)
            at = (row, level - 1)
            np.testing.assert_allclose(found.variance[at], total, atol=1e-13)
            np.testing.assert_allclose(found.leaf_variance[at], leaves, atol=1e-13)
            if kept is not None:
                np.testing.assert_allclose(found.kept_variance[at], kept[0], atol=1e-13)
                np.testing.assert_allclose(found.kept_leaf_variance[at], kept[1], atol=1e-13)


@pytest.mark.slow
def test_samples_grouped_by_their_class_give_the_root_level():
    """The estimator and the exact number agree within the interval; a class is not the whole."""
    grammar = rt.Grammar.random(
        jax.random.key(0), depth=3, vocabulary=8, rules_per_symbol=2, branching=2
    )
    starts = grammar.sample(jax.random.key(1), (24,))
    seen = np.asarray(rt.Epsilon(0.7).likelihood(starts.leaves, vocabulary=8), float)
    samples = rt.sample_posterior(jax.random.key(2), grammar, seen, (200,))
    changed = np.swapaxes(samples.leaves != starts.leaves, 0, 1)
    exact = rt.conditional_moments(grammar, seen, starts)
    for level in (2, 3):
        nodes = np.swapaxes(np.asarray(samples.symbols[level]), 0, 1)
        group = nodes @ 8 ** np.arange(nodes.shape[-1])
        chi = within.within(changed, group).susceptibility
        expected = exact.variance[:, level - 1].sum() / exact.leaf_variance[:, level - 1].sum()
        assert abs(chi.value - expected) < 4 * chi.error
        assert chi.high - chi.low < 0.3
    everything = rt.change_moments(grammar, seen, starts)
    assert everything.variance.sum() / everything.leaf_variance.sum() > expected + 0.3
    # Below a node of level 1 a change of its symbol is excluded: less is left.
    assert np.all(np.diff(exact.variance, axis=1) >= -1e-12)


def test_impossible_evidence_is_an_error():
    grammar = enumeration.random_grammar(0, (2, 3, 2, 2))
    with pytest.raises(ValueError, match="likelihood"):
        rt.conditional_moments(grammar, np.zeros((4, 3)), grammar.reference_start(0))
