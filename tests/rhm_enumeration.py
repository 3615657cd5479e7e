"""All trees of a small grammar, derived by NumPy alone: what the library's passes are held to."""

import jax
import numpy as np
import pytest

import rhm_theory as rt

# (depth, vocabulary, rules_per_symbol, branching) of at most a few hundred trees each.
SHAPES = ((1, 4, 4, 2), (2, 3, 2, 2), (3, 2, 2, 2), (2, 2, 3, 3))
BY_DEFAULT = SHAPES[1::2]  # two branchings. Each shape compiles for half a second a file.


def some_slow(shapes):
    """Parameters of a test: ``shapes``, with all but those of ``BY_DEFAULT`` marked slow."""
    slow = [pytest.mark.slow]
    return [
        pytest.param(shape, marks=[] if shape in BY_DEFAULT else slow, id=str(shape))
        for shape in shapes
    ]


def random_grammar(seed: int, shape: tuple[int, int, int, int]) -> rt.Grammar:
    depth, vocabulary, rules, branching = shape
    return rt.Grammar.random(
        jax.random.key(seed),
        depth=depth,
        vocabulary=vocabulary,
        rules_per_symbol=rules,
        branching=branching,
    )


def all_trees(table: np.ndarray) -> list[np.ndarray]:
    """The symbols ``(trees, nodes)`` of each level, leaves first, of all equally likely trees."""
    depth, vocabulary, rules, branching = table.shape
    inner = (branching**depth - 1) // (branching - 1)
    choices = np.indices((vocabulary, *(rules,) * inner)).reshape(1 + inner, -1).T
    symbols, choices = [choices[:, :1]], choices[:, 1:]
    for level in range(depth, 0, -1):
        nodes = symbols[-1].shape[1]
        symbols.append(table[level - 1][symbols[-1], choices[:, :nodes]].reshape(len(choices), -1))
        choices = choices[:, nodes:]
    return symbols[::-1]


def weights(trees: list[np.ndarray], likelihood: np.ndarray) -> np.ndarray:
    """The joint probability of each tree and what was seen; ``likelihood`` may be complex."""
    leaves = trees[0]
    return likelihood[np.arange(leaves.shape[1]), leaves].prod(-1) / len(leaves)


def marginals(trees: list[np.ndarray], likelihood: np.ndarray) -> list[np.ndarray]:
    """The posterior of every node, ``(nodes, vocabulary)`` a level."""
    posterior = weights(trees, likelihood) / weights(trees, likelihood).sum()
    vocabulary = likelihood.shape[-1]
    return [
        np.einsum("t,tna->na", posterior, symbols[..., None] == np.arange(vocabulary))
        for symbols in trees
    ]


def random_likelihoods(generator, grammar):
    """Five likelihoods for one grammar.

    They are positive, of all sizes, with zeros, with one symbol seen or nothing, and with a
    sequence of the language seen.
    """
    shape = (grammar.length, grammar.vocabulary)
    start = np.asarray(grammar.reference_start(0).leaves)
    seen = start[:, None] == np.arange(grammar.vocabulary)
    positive = generator.uniform(size=shape)
    return np.stack(
        [
            positive,
            10 ** generator.uniform(-15, 15, size=(grammar.length, 1)) * positive,
            positive * ((generator.uniform(size=shape) < 0.7) | seen),
            np.where(generator.uniform(size=(grammar.length, 1)) < 0.5, 1.0, seen),
            1.0 * seen,
        ]
    )
