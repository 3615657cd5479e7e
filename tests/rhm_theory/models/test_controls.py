"""Controls: the field against dense linear algebra, the chain against full enumeration.

Samples against the exact laws.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from rhm_theory.models import controls
from rhm_theory.noise import likelihood as likelihoods
from rhm_theory.noise.processes import GaussianNoise

EPS = np.finfo(np.float64).eps
NOISE = np.array([0, 1e-12, 0.1, 0.5, 0.9, 1])
LENGTH, VOCABULARY = 5, 3
SEQUENCES = np.array(list(itertools.product(range(VOCABULARY), repeat=LENGTH)))
ONE_HOT = SEQUENCES[..., None] == np.arange(VOCABULARY)


# --- Gaussian field


def dense(field):
    """The covariance matrix of the field's sites."""
    return scipy.linalg.circulant(np.fft.irfft(np.asarray(field.spectrum), field.length))


@pytest.mark.parametrize("length", [12, 13])
def test_the_response_is_that_of_the_dense_posterior(length):
    field = controls.gaussian_field(length, 0.7)
    prior = dense(field)
    np.testing.assert_allclose(np.diag(prior), 1, rtol=8 * EPS)
    found = field.response(NOISE)
    for k, noise in enumerate(NOISE[2:], start=2):
        keep = np.sqrt(1 - noise)
        gain = keep * prior @ np.linalg.inv((1 - noise) * prior + noise * np.eye(length))
        posterior = prior - keep * gain @ prior
        change = (
            noise * gain @ gain.T + posterior
        )  # x_t spreads by the noise, then the backward sample
        np.testing.assert_allclose(found.covariance[k], change[0], atol=1e-14)
        np.testing.assert_allclose(
            found.susceptibility[k], change.sum() / np.trace(change), rtol=1e-13
        )
        np.testing.assert_allclose(found.modes[k], np.fft.rfft(change[0]).real, atol=1e-13)
    np.testing.assert_allclose(
        found.susceptibility[:2], 1, rtol=1e-9
    )  # the limit, and 1e-12 from it
    np.testing.assert_allclose(
        found.susceptibility[-1], field.spectrum[0], rtol=8 * EPS
    )  # nothing is left: the prior, of mean mode 1


@pytest.mark.parametrize("length", [12, 13])
def test_the_verbs_of_the_field_are_those_of_the_dense_posterior(length):
    field = controls.gaussian_field(length, 0.7)
    prior = dense(field)
    draw = np.random.default_rng(1)
    start, noised = draw.normal(size=(2, length))
    for level in (0.2, 0.7):
        seen = GaussianNoise(level).likelihood(noised)
        total = (1 - level) * prior + level * np.eye(length)
        gain = np.sqrt(1 - level) * prior @ np.linalg.inv(total)
        mean = gain @ noised
        posterior = prior - np.sqrt(1 - level) * gain @ prior
        law = scipy.stats.multivariate_normal(np.zeros(length), total)
        np.testing.assert_allclose(field.log_evidence(seen), law.logpdf(noised), rtol=1e-12)
        marginals = field.marginals(seen)
        np.testing.assert_allclose(marginals.mean, mean, atol=1e-13)
        np.testing.assert_allclose(marginals.variance, np.diag(posterior), rtol=1e-12)
        matrix = field.change_correlations(seen, start)
        np.testing.assert_allclose(matrix, posterior, atol=1e-14)
        moments = field.change_moments(seen, start)
        np.testing.assert_allclose(moments.mean, (mean - start).sum(), atol=1e-12)
        np.testing.assert_allclose(moments.leaf_changed, mean - start, atol=1e-13)
        chi = posterior.sum() / np.trace(posterior)
        np.testing.assert_allclose(moments.variance, posterior.sum(), rtol=1e-12)
        np.testing.assert_allclose(moments.susceptibility, chi, rtol=1e-12)


@pytest.mark.parametrize("grid", [(3, 4), (4, 3)])
def test_a_field_of_two_dimensions_is_that_of_its_dense_covariance(grid):
    """Sites of a torus: the covariance matrix comes from a sum of cosines over all modes."""
    field = controls.gaussian_field(grid, 1.2)
    waves = np.stack(np.meshgrid(*map(np.fft.fftfreq, grid), indexing="ij"), -1).reshape(-1, 2)
    size = max(np.linalg.norm(waves, axis=1)[1:].min(), 1 / max(grid))
    powers = np.maximum(np.linalg.norm(waves, axis=1), size) ** -1.2
    sites = np.stack(np.unravel_index(np.arange(12), grid), -1)
    phases = 2 * np.pi * (sites[:, None] - sites[None]) @ waves.T
    prior = (np.cos(phases) * powers / powers.sum()).sum(-1)
    draw = np.random.default_rng(2)
    start, noised = draw.normal(size=(2, 12))
    level = 0.3
    seen = GaussianNoise(level).likelihood(noised)
    total = (1 - level) * prior + level * np.eye(12)
    gain = np.sqrt(1 - level) * prior @ np.linalg.inv(total)
    posterior = prior - np.sqrt(1 - level) * gain @ prior
    law = scipy.stats.multivariate_normal(np.zeros(12), total)
    np.testing.assert_allclose(field.log_evidence(seen), law.logpdf(noised), rtol=1e-12)
    np.testing.assert_allclose(field.marginals(seen).mean, gain @ noised, atol=1e-13)
    np.testing.assert_allclose(field.change_correlations(seen, start), posterior, atol=1e-13)
    moments = field.change_moments(seen, start)
    np.testing.assert_allclose(moments.variance, posterior.sum(), rtol=1e-12)
    np.testing.assert_allclose(moments.leaf_variance, posterior.trace(), rtol=1e-12)
    change = level * gain @ gain.T + posterior
    response = field.response(level)
    np.testing.assert_allclose(response.covariance.ravel(), change[0], atol=1e-13)
    np.testing.assert_allclose(response.susceptibility, change.sum() / change.trace(), rtol=1e-12)
    assert field.sample_posterior(jax.random.key(0), seen, (3,)).shape == (3, 12)


def test_the_susceptibility_of_the_field_has_no_peak():
    noise = np.linspace(0, 1, 400)
    for shape, decay in ((64, 0.3), (64, 0.7), (64, 1.5), ((8, 8), 1.0), ((4, 4, 4), 2.0)):
        rise = np.diff(controls.gaussian_field(shape, decay).response(noise).susceptibility)
        assert np.all(rise > 0)
    np.testing.assert_allclose(
        controls.gaussian_field(64, 0).response(noise).susceptibility, 1, rtol=8 * EPS
    )  # white noise


@pytest.mark.slow
def test_the_fields_experiment_measures_the_response():
    field, noise = controls.gaussian_field(12, 0.7), np.array([0.2, 0.8])[:, None]
    keys = jax.random.split(jax.random.key(0), 3)
    start = field.sample(keys[0], (20_000,))
    # Of one start: over many starts the change's mean, which is proportional to the start, would
    # spread too.
    process = GaussianNoise(noise)
    noised = process.sample(keys[1], np.broadcast_to(start[0], start.shape))
    assert noised.shape == (2, 20_000, 12)
    change = np.asarray(field.sample_posterior(keys[2], process.likelihood(noised)) - start[0])
    expected = field.response(noise[:, 0])
    found = np.fft.rfft(change - change.mean(1, keepdims=True), norm="ortho")
    # The power of a mode is exponential (real modes: chi-square): a standard deviation of sqrt(2)
    # of the mean at most; five of them.
    np.testing.assert_allclose(
        (np.abs(found) ** 2).mean(1), expected.modes, rtol=5 * np.sqrt(2 / 20_000)
    )
    power = np.abs(np.fft.rfft(np.asarray(start), norm="ortho")) ** 2
    np.testing.assert_allclose(power.mean(0), field.spectrum, rtol=5 * np.sqrt(2 / 20_000))
    silent = GaussianNoise(0.0)
    seen = silent.likelihood(silent.sample(keys[1], start))
    again = field.sample_posterior(keys[2], seen)
    np.testing.assert_allclose(again, start, atol=64 * EPS)  # no noise, no change


# --- Markov chain


def make_chain():
    transition = np.random.default_rng(0).dirichlet(np.ones(VOCABULARY), VOCABULARY)
    return controls.markov_chain(transition, length=LENGTH)


def enumerated(chain, likelihood):
    """Weight of every sequence."""
    weight = np.asarray(chain.initial)[SEQUENCES[:, 0]] * likelihood[0, SEQUENCES[:, 0]]
    for site in range(1, LENGTH):
        weight = (
            weight
            * np.asarray(chain.transition)[SEQUENCES[:, site - 1], SEQUENCES[:, site]]
            * likelihood[site, SEQUENCES[:, site]]
        )
    return weight


def observed(noise=(0.0, 0.3, 0.7, 1.0)):
    start = np.array([[0, 2, 1, 1, 0], [1, 1, 1, 2, 2]])
    return start, likelihoods.epsilon_process(
        start, np.array(noise)[:, None], vocabulary=VOCABULARY
    )


def test_the_chain_is_its_enumeration():
    chain = make_chain()
    np.testing.assert_allclose(chain.initial @ chain.transition, chain.initial, rtol=64 * EPS)
    start, likelihood = observed()
    evidence, marginals = chain.log_evidence(likelihood), chain.marginals(likelihood)
    moments, matrix = (
        chain.change_moments(likelihood, start),
        chain.change_correlations(likelihood, start),
    )
    for index in np.ndindex(4, 2):
        weight = enumerated(chain, np.asarray(likelihood[index]))
        posterior = weight / weight.sum()
        np.testing.assert_allclose(evidence[index], np.log(weight.sum()), rtol=1e-13)
        np.testing.assert_allclose(
            marginals[index], np.einsum("s,sia->ia", posterior, ONE_HOT), atol=1e-14
        )
        changes = start[index[1]] != SEQUENCES
        mean = posterior @ changes
        covariance = (changes - mean).T @ (posterior[:, None] * (changes - mean))
        np.testing.assert_allclose(moments.changed[index], mean, atol=1e-14)
        np.testing.assert_allclose(
            [moments.mean[index], moments.variance[index]],
            [mean.sum(), covariance.sum()],
            rtol=1e-12,
            atol=1e-14,
        )
        np.testing.assert_allclose(moments.site_variance[index], np.diag(covariance), atol=1e-14)
        np.testing.assert_allclose(matrix[index], covariance, atol=1e-14)
    assert np.all(np.isnan(moments.susceptibility[0]))  # without noise nothing can change
    np.testing.assert_allclose(
        moments.susceptibility[1:],
        matrix[1:].sum((-1, -2)) / np.trace(matrix[1:], axis1=-2, axis2=-1),
        rtol=1e-12,
    )


def test_moments_of_the_chain_are_derivatives_of_its_evidence():
    chain = make_chain()
    start, likelihood = observed((0.4,))
    changed = start[..., None] != np.arange(VOCABULARY)
    tilted = lambda field: chain.log_evidence(likelihood * jnp.exp(field * changed))  # noqa: E731
    slope = lambda field: jax.jvp(tilted, (field,), (1.0,))[1]  # noqa: E731
    moments = chain.change_moments(likelihood, start)
    np.testing.assert_allclose(moments.mean, slope(0.0), rtol=1e-13)
    np.testing.assert_allclose(moments.variance, jax.jvp(slope, (0.0,), (1.0,))[1], rtol=1e-12)
    # Zeros in the likelihood leave the gradients finite.
    gradient = jax.grad(lambda pi: chain.log_evidence(pi).sum())(observed((0.0,))[1])
    assert np.all(np.isfinite(gradient))


def test_samples_of_the_chain_have_the_posteriors_law():
    chain = make_chain()
    start, likelihood = observed((0.5,))
    count = 20_000
    found = np.asarray(chain.sample_posterior(jax.random.key(1), likelihood[0], (count,)))
    assert found.shape == (count, 2, LENGTH)
    free = np.asarray(chain.sample(jax.random.key(2), (count,)))
    for samples, weight in [
        (found[:, 0], enumerated(chain, np.asarray(likelihood[0, 0]))),
        (found[:, 1], enumerated(chain, np.asarray(likelihood[0, 1]))),
        (free, enumerated(chain, np.ones((LENGTH, VOCABULARY)))),
    ]:
        seen = np.bincount(samples @ 3 ** np.arange(LENGTH)[::-1], minlength=len(SEQUENCES))
        expected = count * weight / weight.sum()
        often = expected > 5
        # A true law fails once in ten thousand seeds; this one is fixed.
        assert (
            scipy.stats.chisquare(
                [*seen[often], seen[~often].sum()], [*expected[often], expected[~often].sum()]
            ).pvalue
            > 1e-4
        )
    exact = chain.sample_posterior(jax.random.key(3), observed((0.0,))[1][0])
    np.testing.assert_array_equal(exact, start)


def test_contradictory_evidence():
    forbidden = controls.markov_chain([[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]], length=LENGTH)
    seen = likelihoods.exact([0, 2, 2, 2, 2], vocabulary=3).astype(float)  # 0 never goes to 2
    assert float(forbidden.log_evidence(seen)) == -np.inf
    assert np.all(np.isnan(forbidden.marginals(seen)))
    assert np.all(forbidden.sample_posterior(jax.random.key(0), seen) == -1)
    assert np.isnan(forbidden.change_moments(seen, [0, 2, 2, 2, 2]).variance)
    slope = jax.grad(lambda x: forbidden.log_evidence(x).sum())(
        np.stack([seen, np.ones_like(seen)])
    )
    np.testing.assert_array_equal(
        slope[0], 0
    )  # as of a grammar: no NaN reaches the parameters of a likelihood
    np.testing.assert_allclose(slope[1], forbidden.marginals(np.ones_like(seen)), rtol=1e-13)


def test_persistence_makes_blocks_but_no_peak_that_grows():
    """The chain's correlation length is fixed by its transition.

    Four times the length, the same susceptibility, to its ends.
    """
    stay = 0.9 * np.eye(4) + 0.025
    chi = []
    for length in (64, 256):
        chain = controls.markov_chain(stay, length=length)
        start = chain.sample(jax.random.key(0), (32,))
        moments = chain.change_moments(likelihoods.epsilon_process(start, 0.8, vocabulary=4), start)
        chi.append(moments.variance.sum() / moments.site_variance.sum())
    np.testing.assert_allclose(*chi, rtol=0.2)
    assert chi[0] > 2


# --- validation


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: controls.gaussian_field(1, 0.5), "shape must be >= 2"),
        (lambda: controls.gaussian_field((2, 2, 2, 2), 0.5), "shape must have 1 to 3 directions"),
        (lambda: controls.gaussian_field(8, -0.5), "decay must be finite and >= 0"),
        (lambda: controls.gaussian_field(8, [0.5]), "decay must be one number"),
        (lambda: controls.gaussian_field(8, 0.5).response(1.5), r"level must be in \[0, 1\]"),
        (lambda: seen_as(np.zeros(7)), "noised must have a last axis of 8"),
        (
            lambda: FIELD.change_moments(GaussianNoise(0.5).likelihood(np.zeros(8)), np.zeros(7)),
            "start must have a last axis of 8",
        ),
        (
            lambda: controls.markov_chain([[0.5, 0.6], [0.5, 0.5]], length=3),
            "transition must sum to 1, got 1.1",
        ),
        (lambda: controls.markov_chain([0.5, 0.5], length=3), "transition must be a square matrix"),
        (
            lambda: controls.markov_chain(np.eye(2), length=3),
            "transition must have one stationary law",
        ),
        (
            lambda: controls.markov_chain(np.eye(2), length=3, initial=[0.5, 0.4]),
            "initial must sum to 1",
        ),
        (lambda: make_chain().log_evidence(np.ones((4, 3))), "likelihood must end in"),
        (lambda: make_chain().log_evidence(-np.ones((5, 3))), "likelihood must be finite and >= 0"),
        (
            lambda: make_chain().change_moments(np.ones((5, 3)), [0, 1]),
            "start must have a last axis of 5",
        ),
        (
            lambda: make_chain().change_moments(np.ones((5, 3)), [0, 1, 3, 0, 0]),
            "start must be in 0 .. 2, got 3",
        ),
        (
            lambda: make_chain().change_moments(np.ones((2, 5, 3)), np.zeros((3, 5), int)),
            r"got likelihood \(2,\), start \(3,\)",
        ),
        (
            lambda: make_chain().change_correlations(np.ones((2, 5, 3)), np.zeros((3, 5), int)),
            r"got likelihood \(2,\), start \(3,\)",
        ),
        (
            lambda: controls.markov_chain(np.zeros((0, 0)), length=3),
            "transition must be a square matrix of one state or more",
        ),
        (
            lambda: GaussianNoise([0.1, 0.2, 0.3]).sample(KEY, np.zeros((2, 8))),
            r"one shape, got field \(2,\), level \(3,\)",
        ),
        (
            lambda: seen_as(np.zeros((2, 8)), [0.1, 0.2, 0.3]),
            r"one shape, got noised \(2,\), level \(3,\)",
        ),
        (lambda: FIELD.sample(KEY, (-1,)), r"shape\[0\] must be >= 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


FIELD = controls.gaussian_field(8, 0.5)
KEY = jax.random.key(0)


def seen_as(noised, level=0.5):
    return FIELD.log_evidence(GaussianNoise(level).likelihood(noised))


def test_keys_and_shapes_are_named():
    chain, seen = make_chain(), np.ones((LENGTH, 3))
    for call in (
        lambda key: FIELD.sample(key),
        lambda key: GaussianNoise(0.5).sample(key, np.zeros(8)),
        lambda key: FIELD.sample_posterior(key, GaussianNoise(0.5).likelihood(np.zeros(8))),
        lambda key: chain.sample(key),
        lambda key: chain.sample_posterior(key, seen),
    ):
        with pytest.raises(TypeError, match="key must be a JAX random key"):
            call(0)
    for call in (
        FIELD.sample,
        chain.sample,
        lambda key, shape: chain.sample_posterior(key, seen, shape),
    ):
        with pytest.raises(TypeError, match="shape must be a tuple of integers"):
            call(KEY, 3)


def test_a_chain_of_one_site():
    alone = controls.markov_chain([[0.9, 0.1], [0.2, 0.8]], length=1)
    np.testing.assert_allclose(
        alone.change_correlations(np.ones((1, 2)), [0]), [[2 / 9]], rtol=1e-14
    )
    np.testing.assert_allclose(
        alone.change_moments(np.ones((1, 2)), [0]).variance, 2 / 9, rtol=1e-14
    )


@pytest.mark.slow
def test_vmap_over_chains_and_float32():
    start, likelihood = observed((0.3,))
    several = jax.tree.map(
        lambda a, b: jnp.stack([a, b]),
        make_chain(),
        controls.markov_chain(np.full((3, 3), 1 / 3), length=LENGTH),
    )
    found = jax.vmap(lambda chain: chain.change_moments(likelihood, start).variance)(several)
    expected = make_chain().change_moments(likelihood, start).variance
    np.testing.assert_allclose(found[0], expected, rtol=64 * EPS)
    np.testing.assert_allclose(
        found[1], 5 * 0.2 * 0.8, rtol=64 * EPS
    )  # independent sites, each changed with probability 0.3 * 2/3
    # A likelihood of single precision does not stop a chain of double.
    mixed = make_chain().change_moments(np.asarray(likelihood, np.float32), start).variance
    assert mixed.dtype == np.float64
    np.testing.assert_allclose(mixed, expected, rtol=16 * np.finfo(np.float32).eps)
    with jax.enable_x64(False):
        chain = controls.markov_chain(
            np.asarray(make_chain().transition, np.float32), length=LENGTH
        )
        single = chain.change_moments(np.asarray(likelihood, np.float32), start).variance
        chi = controls.gaussian_field(64, 0.7).response(0.5).susceptibility
    assert single.dtype == chi.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=16 * np.finfo(np.float32).eps)
    np.testing.assert_allclose(
        chi,
        controls.gaussian_field(64, 0.7).response(0.5).susceptibility,
        rtol=16 * np.finfo(np.float32).eps,
    )
