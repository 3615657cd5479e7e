"""Samplers of hidden tokens: with the exact posterior they have the law that enumeration gives."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import rhm_theory as rt
from rhm_theory.denoisers import sampling
from tests import rhm_enumeration as enumeration

GRAMMAR = rt.Grammar.affine(2, 4, 2, 2, multiplier=5, offset=3)
SENTENCES = enumeration.all_trees(np.asarray(GRAMMAR.rules))[0]
CHAIN = rt.controls.markov_chain(
    [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], initial=[0.2, 0.5, 0.3], length=4
)
EXACT = sampling.exact_conditional(GRAMMAR)
SAMPLERS = {
    "one at a time": sampling.one_at_a_time,
    "most confident first": sampling.most_confident_first,
}
MASKS = np.array(list(itertools.product([False, True], repeat=4)))


def completions(tokens):
    """The sentences that agree with what is shown; all are equally likely."""
    return SENTENCES[((tokens == SENTENCES) | (tokens == 4)).all(-1)]


def frequencies(samples):
    """How often each of the 4^4 sequences came."""
    return np.bincount(samples @ 4 ** np.arange(4), minlength=256)


def law(tokens):
    found = frequencies(completions(tokens))
    return found / found.sum()


def agrees(samples, expected):
    """The chi-square test at the level 1e-4; what is impossible never came."""
    counts = frequencies(np.asarray(samples))
    possible = expected > 0
    assert counts[~possible].sum() == 0
    test = stats.chisquare(counts[possible], counts.sum() * expected[possible])
    return test.pvalue > 1e-4


@pytest.mark.parametrize("model", [GRAMMAR, CHAIN], ids=["grammar", "chain"])
def test_the_exact_conditional_is_the_posterior_by_enumeration(model):
    sequences = np.array(list(np.ndindex((model.vocabulary,) * 4)))
    seen = jax.nn.one_hot(sequences, model.vocabulary)
    weights = np.exp(np.asarray(model.log_evidence(seen) if model is CHAIN else in_language(seen)))
    start = sequences[weights.argmax()]
    masked = np.where(MASKS, model.vocabulary, start)
    fits = ((sequences == masked[:, None]) | MASKS[:, None]).all(-1) * weights
    symbols = sequences[..., None] == np.arange(model.vocabulary)
    expected = np.einsum("ms,sla->mla", fits / fits.sum(-1, keepdims=True), symbols)
    found = np.exp(sampling.exact_conditional(model)(masked))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def in_language(seen):
    return rt.log_evidence(GRAMMAR, seen)


def test_what_is_impossible_is_read_with_doubt():
    valid = {tuple(row) for row in SENTENCES}
    wrong = next(row for row in np.ndindex(4, 4, 4, 4) if row not in valid)
    masked = np.array([*wrong[:3], 4])
    if len(completions(masked)):  # choose one that even a hidden last token does not repair
        firsts = {row[:3] for row in valid}
        masked[:3] = next(row for row in np.ndindex(4, 4, 4) if row not in firsts)
    assert not len(completions(masked))
    found = np.exp(EXACT(masked))[3]
    errors = (SENTENCES[:, :3] != masked[:3]).sum(-1)
    weights = sampling.DOUBT**errors
    expected = np.bincount(SENTENCES[:, 3], weights, minlength=4) / weights.sum()
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_exact_posterior_in_the_loop_gives_the_exact_law(name):
    tokens = np.full(4, 4)
    samples = SAMPLERS[name](jax.random.key(0), EXACT, np.tile(tokens, (4000, 1)))
    assert agrees(samples, law(tokens))


@pytest.mark.parametrize(
    "name",
    ["one at a time", pytest.param("most confident first", marks=pytest.mark.slow)],
)
def test_the_exact_posterior_in_the_loop_gives_the_exact_susceptibility(name):
    noise = rt.Mask([0.5, 1.0])
    starts = SENTENCES[:: len(SENTENCES) // 16]
    denoiser = sampling.denoiser(jax.random.key(1), EXACT, SAMPLERS[name])
    found = rt.forward_backward(
        jax.random.key(2), GRAMMAR, noise, denoiser, starts=starts, trajectories=150
    )
    seen = rt.likelihood.masked(starts[:, None], MASKS, vocabulary=4)
    exact = rt.change_moments(GRAMMAR, seen, starts[:, None])
    hidden = MASKS.sum(-1)
    for level, one in zip(noise.level, rt.experiment.measurements(found), strict=True):
        weights = level**hidden * (1 - level) ** (4 - hidden)
        variance = (exact.variance @ weights + varied(exact.mean, weights)).sum()
        leaves = exact.leaf_variance @ weights
        for leaf in range(4):
            leaves = leaves + varied(exact.leaf_changed[..., leaf], weights)
        chi = one.susceptibility
        assert 0 < chi.error < 0.1
        assert abs(chi.value - variance / leaves.sum()) < 4 * chi.error


def varied(values, weights):
    return values**2 @ weights - (values @ weights) ** 2


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_two_tokens_are_drawn_independently_with_probability_one_over_steps(steps):
    tokens = np.array([4, 4, *SENTENCES[0, 2:]])
    exact = law(tokens)
    apart = np.exp(EXACT(tokens))
    product = np.zeros(256)
    for first, second in np.ndindex(4, 4):
        place = np.array([first, second, *tokens[2:]]) @ 4 ** np.arange(4)
        product[place] = apart[0, first] * apart[1, second]
    assert np.abs(exact - product).sum() > 0.5
    samples = sampling.ancestral(
        jax.random.key(steps), EXACT, np.tile(tokens, (4000, 1)), steps=steps
    )
    assert agrees(samples, exact + (product - exact) / steps)


def test_confident_tokens_come_first_and_in_equal_numbers():
    asked = []

    def conditional(tokens):
        asked.append(np.asarray(tokens))
        certain = jnp.log(jnp.array([[0.6, 0.4], [0.99, 0.01], [0.5, 0.5], [0.1, 0.9], [0.3, 0.7]]))
        return jnp.broadcast_to(certain, (*tokens.shape, 2))

    sampling.most_confident_first(jax.random.key(0), conditional, [2, 2, 2, 2, 2], steps=3)
    assert [(tokens == 2).tolist() for tokens in asked] == [
        [True] * 5,
        [True, False, True, False, True],
        [False, False, True, False, False],
    ]


def test_teacher_forced_covariances_are_exact():
    starts = SENTENCES[::37]
    starts, visible = np.repeat(starts, 16, 0), np.tile(~MASKS, (len(starts), 1))
    found = sampling.pair_covariance(EXACT, starts, visible, range(4), vocabulary=4)
    expected = []
    for start, shown in zip(starts, visible, strict=True):
        changed = completions(np.where(shown, start, 4)) != start
        expected.append(np.cov(changed.T, ddof=0))
        np.testing.assert_allclose(changed.mean(0), 1 - found.kept[len(expected) - 1], atol=1e-12)
    np.testing.assert_allclose(found.covariance, expected, atol=1e-12)


def test_columns_may_differ_between_sequences():
    tokens, visible = SENTENCES[:2], np.zeros(4, bool)
    every = sampling.pair_covariance(EXACT, tokens, visible, range(4), vocabulary=4)
    some = sampling.pair_covariance(EXACT, tokens, visible, [[3, 0], [1, 2]], vocabulary=4)
    np.testing.assert_array_equal(some.covariance[0], every.covariance[0, [3, 0]])
    np.testing.assert_array_equal(some.covariance[1], every.covariance[1, [1, 2]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda tokens: sampling.ancestral(KEY, EXACT, tokens, steps=0), "steps must be .*1"),
        (lambda tokens: sampling.most_confident_first(KEY, EXACT, tokens, steps=0), "steps must"),
        (lambda tokens: sampling.one_at_a_time(KEY, EXACT, tokens + 1), "tokens must be in 0 .. 4"),
        (lambda tokens: sampling.one_at_a_time(KEY, lambda t: t, tokens), "conditional must"),
        (lambda tokens: sampling.one_at_a_time(KEY, nothing, tokens), "got NaN"),
        (lambda tokens: sampling.denoiser(KEY, None), "conditional must be a function"),
        (
            lambda tokens: sampling.pair_covariance(EXACT, tokens, tokens > 0, [0], vocabulary=4),
            "tokens must be in 0 .. 3",
        ),
        (
            lambda tokens: sampling.pair_covariance(EXACT, tokens - 1, tokens, [0], vocabulary=4),
            "visible must be boolean",
        ),
        (
            lambda tokens: sampling.pair_covariance(
                EXACT, tokens - 1, tokens > 0, [4], vocabulary=4
            ),
            "columns must be in 0 .. 3",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(np.full(4, 4))


KEY = jax.random.key(0)


def nothing(tokens):
    return jnp.full((*tokens.shape, 4), jnp.nan)
