"""Posterior samples: their law by enumeration, whole trees at once, and what is never drawn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import rhm_theory as rt
from tests import rhm_enumeration as enumeration

SAMPLES = 20_000
LEVEL = 1e-4  # of each chi-square test; the seeds are fixed


def expected_counts(trees, likelihood):
    weights = enumeration.weights(trees, likelihood)
    return SAMPLES * weights / weights.sum()


def number_of(leaves, vocabulary):
    """A sequence as a number: leaves determine the tree."""
    return leaves @ vocabulary ** np.arange(leaves.shape[-1])


@pytest.mark.parametrize("shape", enumeration.some_slow(enumeration.SHAPES[1:]))
def test_whole_trees_by_enumeration(shape):
    """Each of five grammars and five likelihoods, some with zeros.

    Chi-square over all trees, rare ones put together.
    """
    generator = np.random.default_rng(0)
    for seed in range(5):
        grammar = enumeration.random_grammar(seed, shape)
        trees = enumeration.all_trees(np.asarray(grammar.rules))
        likelihoods = enumeration.random_likelihoods(generator, grammar)
        drawn = number_of(
            np.asarray(
                rt.sample_posterior(jax.random.key(seed), grammar, likelihoods, (SAMPLES,)).leaves
            ),
            shape[1],
        )
        for index, likelihood in enumerate(likelihoods):
            expected = expected_counts(trees, likelihood)
            order = np.argsort(number_of(trees[0], shape[1]))
            values, counts = np.unique(drawn[:, index], return_counts=True)
            place = order[np.searchsorted(number_of(trees[0], shape[1])[order], values)]
            assert (number_of(trees[0], shape[1])[place] == values).all()
            assert (expected[place] > 0).all()
            observed = np.zeros(len(expected))
            observed[place] = counts
            rare = expected < 10
            cells = (
                np.append(observed[~rare], observed[rare].sum()),
                np.append(expected[~rare], expected[rare].sum()),
            )
            kept = cells[1] > 0
            if kept.sum() > 1:
                assert scipy.stats.chisquare(cells[0][kept], cells[1][kept]).pvalue > LEVEL
            else:
                assert cells[0][kept].sum() == SAMPLES


def test_samples_are_derivations_and_independent():
    grammar = rt.Grammar.affine(4, 6, 4, 2, multiplier=37, offset=11)
    start = grammar.reference_start([0, 1, 2]).leaves
    likelihood = rt.likelihood.epsilon_process(start, jnp.array([[0.8], [1.0]]), vocabulary=6)
    tree = rt.sample_posterior(jax.random.key(1), grammar, likelihood, (4, 5))
    assert [symbols.shape for symbols in tree.symbols] == [
        (4, 5, 2, 3, 2 ** (4 - level)) for level in range(5)
    ]
    assert [rules.shape for rules in tree.rules] == [
        (4, 5, 2, 3, 2 ** (3 - level)) for level in range(4)
    ]
    again = grammar.parse(tree.leaves)
    assert all(
        bool((a == b).all())
        for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(tree), strict=True)
    )
    sequences = number_of(np.asarray(tree.leaves[:, :, 1]).reshape(-1, 16).astype(np.int64), 6)
    assert (
        len(set(sequences.tolist())) == 60
    )  # no two of 60 draws from 6 * 4**15 sequences are alike
    assert (
        rt.sample_posterior(
            jax.random.key(2), grammar, rt.likelihood.epsilon_process(start, 0, vocabulary=6)
        ).leaves
        == start
    ).all()


def test_impossible_evidence():
    grammar = rt.Grammar([[[[0, 1]], [[1, 0]], [[1, 1]]], [[[0, 1]], [[1, 2]], [[2, 0]]]])
    seen = functools.partial(rt.likelihood.exact, vocabulary=3)
    likelihood = 1.0 * jnp.stack([seen([0, 1, 1, 0]), seen([0, 1, 0, 0])])
    with pytest.raises(
        ValueError,
        match=r"likelihood at index \(1,\) is impossible: no symbol is left for node 1 of level 1",
    ):
        rt.sample_posterior(jax.random.key(0), grammar, likelihood, (3,))
    traced = jax.jit(rt.sample_posterior, static_argnums=3)(
        jax.random.key(0), grammar, likelihood, (3,)
    )
    assert traced.leaves[:, 0].tolist() == [[0, 1, 1, 0]] * 3
    assert all((values[:, 1] == -1).all() for values in jax.tree.leaves(traced))
    with pytest.raises(ValueError, match="likelihood must end in the axes"):
        rt.sample_posterior(jax.random.key(0), grammar, likelihood[..., :2])
