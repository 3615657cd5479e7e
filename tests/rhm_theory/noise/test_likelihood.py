"""Forward processes: the likelihoods that they leave, and the laws of masks and flips."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import rhm_theory as rt
from rhm_theory.noise import likelihood

LEVEL = 1e-4  # of every chi-square test
START = np.array([[0, 2, 1, 2], [1, 1, 0, 2]])
KEY = jax.random.key(0)


def test_epsilon_process_by_hand():
    found = likelihood.epsilon_process([0, 2], 0.3, vocabulary=3)
    np.testing.assert_allclose(found, [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]], rtol=1e-15)
    assert (
        likelihood.epsilon_process(START, 0, vocabulary=3) == likelihood.exact(START, vocabulary=3)
    ).all()
    assert (likelihood.epsilon_process(START, 1, vocabulary=4) == 0.25).all()


def test_a_tree_stands_for_its_leaves():
    grammar = rt.Grammar.random(
        jax.random.key(0), depth=2, vocabulary=3, rules_per_symbol=2, branching=2
    )
    tree = grammar.sample(jax.random.key(1), (3,))
    for process in (
        rt.likelihood.epsilon_process,
        functools.partial(rt.likelihood.mask, jax.random.key(2)),
    ):
        np.testing.assert_array_equal(
            process(tree, 0.5, vocabulary=3), process(tree.leaves, 0.5, vocabulary=3)
        )
    assert grammar.contains(tree).all()


def test_noise_levels_broadcast_against_starts():
    levels = np.array([[0.0], [0.4], [1.0]])
    found = likelihood.epsilon_process(START, levels, vocabulary=3)
    assert found.shape == (3, 2, 4, 3)
    assert (found[1] == likelihood.epsilon_process(START, 0.4, vocabulary=3)).all()
    assert likelihood.mask(KEY, START, levels, vocabulary=3).shape == (3, 2, 4, 3)
    assert likelihood.uniform_flips(KEY, START, levels, vocabulary=3).shape == (3, 2, 4, 3)


@pytest.mark.parametrize("process", ["epsilon_process", "mask", "uniform_flips"])
def test_dtype_follows_the_noise(process):
    key = () if process == "epsilon_process" else (KEY,)
    make = getattr(likelihood, process)
    assert make(*key, START, 0.5, vocabulary=3).dtype == jnp.float64
    assert make(*key, START, np.float32([0.5]), vocabulary=3).dtype == jnp.float32
    traced = jax.jit(lambda noise: make(*key, START, noise, vocabulary=3))(0.5)
    np.testing.assert_allclose(traced, make(*key, START, 0.5, vocabulary=3), rtol=1e-15)


def test_derivative_by_the_noise():
    slope = jax.jacfwd(lambda noise: likelihood.epsilon_process([1], noise, vocabulary=4))(0.3)
    np.testing.assert_allclose(slope[0], [0.25, -0.75, 0.25, 0.25], rtol=1e-15)


def test_masked_leaves_all_symbols_or_one():
    hidden = np.array([True, False, False, True])
    found = likelihood.masked(START, hidden, vocabulary=3)
    assert found.dtype == jnp.float64
    assert (found[:, hidden] == 1).all()
    assert (found[:, ~hidden] == likelihood.exact(START[:, ~hidden], vocabulary=3)).all()
    drawn = likelihood.mask(KEY, START, 0.5, "fixed_number", vocabulary=3)
    assert (
        drawn
        == likelihood.masked(
            START, likelihood.random_mask(KEY, (2, 4), 0.5, "fixed_number"), vocabulary=3
        )
    ).all()


def test_independent_masks():
    hidden = np.asarray(likelihood.random_mask(KEY, (4000, 5), 0.3))  # the default law
    codes = hidden @ (2 ** np.arange(5))
    number = np.array([int(code).bit_count() for code in range(32)])
    counts = np.bincount(codes, minlength=32)
    assert scipy.stats.chisquare(counts, 4000 * 0.3**number * 0.7 ** (5 - number)).pvalue > LEVEL
    assert not likelihood.random_mask(KEY, (3, 5), 0.0).any()
    assert likelihood.random_mask(KEY, (3, 5), 1.0).all()


def test_masks_of_a_fixed_number():
    hidden = np.asarray(likelihood.random_mask(KEY, (4000, 5), 0.4, "fixed_number"))
    assert (hidden.sum(-1) == 2).all()
    counts = np.unique(hidden, axis=0, return_counts=True)[1]
    assert len(counts) == 10
    assert scipy.stats.chisquare(counts).pvalue > LEVEL
    numbers = likelihood.random_mask(
        KEY, (5, 6), np.array([0.0, 0.25, 0.4, 0.75, 1.0]), "fixed_number"
    ).sum(-1)
    assert numbers.tolist() == [0, 2, 2, 4, 6]  # 1.5, 2.4 and 4.5 to the nearest, halves to even


def test_flips():
    """A flipped leaf is drawn from all symbols.

    So it changes with probability noise * (1 - 1/v).
    """
    start = np.full((6000, 1), 2)
    found = np.asarray(likelihood.flipped(KEY, start, 0.6, vocabulary=4))[:, 0]
    assert (
        scipy.stats.chisquare(
            np.bincount(found, minlength=4), 6000 * np.array([0.15, 0.15, 0.55, 0.15])
        ).pvalue
        > LEVEL
    )
    seen = likelihood.flipped(KEY, START, 0.6, vocabulary=4)
    expected = likelihood.epsilon_process(seen, 0.6, vocabulary=4)
    assert (likelihood.uniform_flips(KEY, START, 0.6, vocabulary=4) == expected).all()
    assert (likelihood.flipped(KEY, START, 0.0, vocabulary=4) == START).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: likelihood.epsilon_process(START, 1.2, vocabulary=3),
            ValueError,
            r"level must be in \[0, 1\], got 1.2",
        ),
        (
            lambda: likelihood.mask(KEY, START, [0.1, -0.5], vocabulary=3),
            ValueError,
            r"level must be in \[0, 1\], got -0.5 at index \(1,\)",
        ),
        (
            lambda: likelihood.uniform_flips(KEY, START, np.nan, vocabulary=3),
            ValueError,
            r"level must be in \[0, 1\], got nan",
        ),
        (
            lambda: likelihood.epsilon_process(START, True, vocabulary=3),
            TypeError,
            r"level must be a real number",
        ),
        (
            lambda: likelihood.epsilon_process(START, 0.5, vocabulary=2),
            ValueError,
            r"start must be in 0 \.\. 1, got 2 at index \(0, 1\)",
        ),
        (
            lambda: likelihood.epsilon_process(START * 1.0, 0.5, vocabulary=3),
            TypeError,
            r"start must be integers, got float64",
        ),
        (
            lambda: likelihood.mask(KEY, START, 0.5, vocabulary=3.0),
            TypeError,
            r"vocabulary must be an integer",
        ),
        (
            lambda: likelihood.mask(KEY, START, 0.5, "fixed", vocabulary=3),
            ValueError,
            r"law must be one of 'independent', 'fixed_number'",
        ),
        (
            lambda: likelihood.masked(START, [[0, 2, 0, 0]], vocabulary=3),
            TypeError,
            r"hidden must be a boolean mask, .* got int",
        ),
        (
            lambda: likelihood.masked(START, [True] * 7, vocabulary=3),
            ValueError,
            r"one shape, got hidden \(7,\), start \(2, 4\)",
        ),
        (
            lambda: likelihood.masked(START[:, :1], [True] * 7, vocabulary=3),
            ValueError,
            r"hidden must have a last axis of 1 leaves",
        ),
        (
            lambda: likelihood.masked(START, [[True], [True, True]], vocabulary=3),
            TypeError,
            "hidden must be booleans in a rectangular",
        ),
        (
            lambda: likelihood.masked(START, None, vocabulary=3),
            TypeError,
            "hidden must be a boolean mask",
        ),
        (
            lambda: likelihood.epsilon_process(START, [0.1, 0.2, 0.3], vocabulary=3),
            ValueError,
            r"got start \(2,\), level \(3,\)",
        ),
        (
            lambda: likelihood.mask(KEY, START, [0.1, 0.2, 0.3], vocabulary=3),
            ValueError,
            r"got start \(2,\), level \(3,\)",
        ),
        (
            lambda: likelihood.flipped(KEY, 1, 0.3, vocabulary=3),
            ValueError,
            r"start must have shape \(\*batch, length\), got \(\)",
        ),
        (
            lambda: likelihood.random_mask(KEY, (4,), [0.1, 0.2]),
            ValueError,
            r"shape must be \(\*batch, length\) .* \(2,\) .* got \(4,\)",
        ),
        (
            lambda: likelihood.random_mask(KEY, (), 0.1),
            ValueError,
            r"shape must be \(\*batch, length\)",
        ),
        (
            lambda: likelihood.random_mask(KEY, 4, 0.1),
            TypeError,
            "shape must be a tuple of integers",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_no_starts_give_no_likelihoods():
    none = np.zeros((0, 4), int)
    made = (
        likelihood.epsilon_process(none, 0.5, vocabulary=3),
        likelihood.mask(KEY, none, 0.5, "fixed_number", vocabulary=3),
    )
    assert all(
        found.shape == (0, 4, 3)
        for found in (*made, likelihood.uniform_flips(KEY, none, 0.5, vocabulary=3))
    )
