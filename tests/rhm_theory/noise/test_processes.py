"""Noise objects: their samples and likelihoods are those of the functions, and they are pytrees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rhm_theory as rt
from rhm_theory.noise import likelihood
from rhm_theory.noise.processes import GaussianLikelihood, require_noise

KEY = jax.random.key(0)
START = np.array([[0, 2, 1, 2], [1, 1, 0, 2]])


@pytest.mark.parametrize("law", likelihood.MASK_LAWS)
def test_a_mask_shows_what_it_hides(law):
    noise = rt.Mask(0.5, law)
    seen = noise.sample(KEY, START, vocabulary=3)
    hidden = likelihood.random_mask(KEY, (2, 4), 0.5, law)
    np.testing.assert_array_equal(seen, np.where(hidden, 3, START))
    expected = likelihood.mask(KEY, START, 0.5, law, vocabulary=3)
    np.testing.assert_array_equal(noise.likelihood(seen, vocabulary=3), expected)
    assert noise.name == f"mask, {law}"
    assert noise.random


def test_flips_and_epsilon_share_a_likelihood_but_not_what_is_seen():
    flips, epsilon = rt.Flips(0.5), rt.Epsilon(0.5)
    seen = flips.sample(KEY, START, vocabulary=3)
    np.testing.assert_array_equal(seen, likelihood.flipped(KEY, START, 0.5, vocabulary=3))
    np.testing.assert_array_equal(epsilon.sample(KEY, START, vocabulary=3), START)
    np.testing.assert_array_equal(
        flips.likelihood(seen, vocabulary=3), epsilon.likelihood(seen, vocabulary=3)
    )
    assert (flips.random, epsilon.random) == (True, False)
    assert (flips.name, epsilon.name) == ("flips", "epsilon")


def test_gaussian_noise_keeps_a_share_of_the_field():
    field = np.random.default_rng(0).normal(size=(3, 8))
    noise = rt.GaussianNoise([[0.0], [0.36]])
    noised = noise.sample(KEY, field)
    white = jax.random.normal(KEY, (2, 3, 8))
    np.testing.assert_array_equal(noised[0], field)
    np.testing.assert_allclose(noised[1], 0.8 * field + 0.6 * white[1], rtol=1e-13)
    seen = noise.likelihood(noised)
    assert isinstance(seen, GaussianLikelihood)
    np.testing.assert_array_equal(seen.level, noise.level)


def test_levels_broadcast_and_can_be_mapped_over():
    levels = np.array([0.0, 0.4, 1.0])
    several = rt.Mask(levels[:, None])
    found = several.sample(KEY, START, vocabulary=3)
    assert found.shape == (3, 2, 4)
    np.testing.assert_array_equal(found[0], START)
    assert (found[2] == 3).all()

    def of_one(noise):
        assert noise.law == "fixed_number"
        return noise.sample(KEY, START, vocabulary=3)

    mapped = jax.jit(jax.vmap(of_one))(rt.Mask(levels, "fixed_number"))
    for one, level in zip(mapped, levels, strict=True):
        np.testing.assert_array_equal(one, of_one(rt.Mask(level, "fixed_number")))


def test_at_another_level_it_is_the_same_process():
    noise = rt.Mask(0.5, "fixed_number").at([0.1, 0.2])
    assert noise.law == "fixed_number"
    assert noise.level.dtype == jnp.float64
    np.testing.assert_array_equal(noise.level, [0.1, 0.2])
    with pytest.raises(ValueError, match=r"level must be in \[0, 1\], got 2"):
        noise.at(2.0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rt.Flips(1.2), ValueError, r"level must be in \[0, 1\], got 1.2"),
        (lambda: rt.Epsilon([0.5, np.nan]), ValueError, r"level must be in \[0, 1\], got nan"),
        (lambda: rt.Mask("a"), TypeError, "level must be a real number"),
        (lambda: rt.Mask(True), TypeError, "level must be a real number"),
        (lambda: rt.Mask(0.5, "some"), ValueError, "law must be one of 'independent'"),
        (lambda: rt.GaussianNoise(-0.1), ValueError, r"level must be in \[0, 1\], got -0.1"),
        (
            lambda: rt.Mask(0.5).likelihood([[0, 4]], vocabulary=3),
            ValueError,
            r"seen must be in 0 \.\. 3, got 4",
        ),
        (
            lambda: rt.Mask([0.1, 0.2, 0.3]).sample(KEY, START, vocabulary=3),
            ValueError,
            r"got sequence \(2,\), level \(3,\)",
        ),
        (lambda: rt.GaussianNoise(0.5).sample(KEY, 1.0), ValueError, "field must have shape"),
        (lambda: require_noise("mask"), TypeError, "noise must be a noise object such as Mask"),
        (lambda: require_noise(0.5), TypeError, "noise must be a noise object such as Mask"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
