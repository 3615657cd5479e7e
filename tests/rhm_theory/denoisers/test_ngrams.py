"""Chains of n-grams and flat mixtures: their conditionals are those of enumeration."""

import functools
import itertools

import numpy as np
import pytest

from rhm_theory.denoisers.text import encoded, ngrams

VOCABULARY = 3
LENGTH = 5
SEQUENCES = np.array(list(itertools.product(range(VOCABULARY), repeat=LENGTH)))
GENERATOR = np.random.default_rng(3)
CHAPTERS = [
    GENERATOR.choice(VOCABULARY, size=60, p=law) for law in ([0.7, 0.2, 0.1], [0.1, 0.3, 0.6])
]
GROUPS = [[chapter] for chapter in CHAPTERS]
FOUND = ngrams.fit(CHAPTERS, VOCABULARY)


def counted(order: int) -> dict:
    """How often each tuple of that length occurs within a chapter, by a plain loop."""
    counts: dict = {}
    for chapter in CHAPTERS:
        for at in range(len(chapter) - order + 1):
            found = tuple(chapter[at : at + order].tolist())
            counts[found] = counts.get(found, 0) + 1
    return counts


def witten_bell(context: tuple, token: int) -> float:
    """The law of the module's docstring, by recursion."""
    if not context:
        unigrams = counted(1)
        return (unigrams.get((token,), 0) + 0.5) / (sum(unigrams.values()) + VOCABULARY / 2)
    counts = {c: n for c, n in counted(len(context) + 1).items() if c[:-1] == context}
    kinds = max(len(counts), 1)
    lower = witten_bell(context[1:], token)
    return (counts.get((*context, token), 0) + kinds * lower) / (sum(counts.values()) + kinds)


@functools.cache
def chain_law(order: int) -> np.ndarray:
    """The probability of every sequence under the chain of n-grams of that order."""
    return np.array(
        [
            np.prod(
                [
                    witten_bell(tuple(row[max(0, at - order + 1) : at].tolist()), int(row[at]))
                    for at in range(LENGTH)
                ]
            )
            for row in SEQUENCES
        ]
    )


def component_law(chapter: np.ndarray, bigrams: bool) -> np.ndarray:
    """The probability of every sequence under one component of a mixture."""
    counts = np.bincount(chapter, minlength=VOCABULARY)
    prior = ngrams.PRIOR * FOUND.unigram.astype(float)
    law = (counts + prior) / (counts + prior).sum()
    if not bigrams:
        return law[SEQUENCES].prod(-1)
    pairs = np.zeros((VOCABULARY, VOCABULARY))
    np.add.at(pairs, (chapter[:-1], chapter[1:]), 1)
    kinds = (pairs > 0).sum(-1, keepdims=True)
    transition = (pairs + kinds * FOUND.bigram) / (pairs.sum(-1, keepdims=True) + kinds)
    return law[SEQUENCES[:, 0]] * transition[SEQUENCES[:, :-1], SEQUENCES[:, 1:]].prod(-1)


def enumerated(law: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The marginals of each token given the shown ones, by a sum over all sequences."""
    fits = ((tokens == SEQUENCES) | (tokens == VOCABULARY)).all(-1)
    weights = np.where(fits, law, 0)
    found = (SEQUENCES[..., None] == np.arange(VOCABULARY)) * weights[:, None, None]
    return found.sum(0) / weights.sum()


LAWS = {
    "unigrams": (ngrams.unigram_conditional(FOUND), lambda: chain_law(1)),
    "bigrams": (ngrams.bigram_conditional(FOUND), lambda: chain_law(2)),
    "trigrams": (ngrams.trigram_conditional(FOUND), lambda: chain_law(3)),
    "mixture of unigrams": (
        ngrams.mixture_of_unigrams(GROUPS, VOCABULARY),
        lambda: sum(component_law(one, False) for one in CHAPTERS),
    ),
    "mixture of bigrams": (
        ngrams.mixture_of_bigrams(GROUPS, VOCABULARY),
        lambda: sum(component_law(one, True) for one in CHAPTERS),
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_conditionals_are_those_of_enumeration(name):
    conditional, law = LAWS[name]
    start = SEQUENCES[47]
    masks = np.array(list(itertools.product([False, True], repeat=LENGTH)))
    tokens = np.where(masks, VOCABULARY, start)
    expected = np.array([enumerated(law(), one) for one in tokens])
    with np.errstate(divide="ignore"):
        found = np.exp(conditional(tokens))
    # float32, and products of five of its numbers.
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_laws_are_normalised_and_differ():
    for order in (1, 2, 3):
        assert abs(chain_law(order).sum() - 1) < 1e-12
    assert np.abs(chain_law(3) - chain_law(2)).max() > 1e-3


def test_chapters_do_not_touch():
    apart = ngrams.fit([np.array([0, 1, 0, 1]), np.array([2, 2, 2, 2])], 3)
    together = ngrams.fit([np.array([0, 1, 0, 1, 2, 2, 2, 2])], 3)
    assert apart.bigram[1, 2] < together.bigram[1, 2]


def test_wrong_tokens_are_named():
    with pytest.raises(ValueError, match="chapters must have at least one token"):
        ngrams.fit([np.zeros(0, int)], 3)
    with pytest.raises(ValueError, match=r"chapters must be in 0 \.\. 2"):
        ngrams.fit([np.array([0, 3])], 3)
    assert encoded.BYTES == 256
