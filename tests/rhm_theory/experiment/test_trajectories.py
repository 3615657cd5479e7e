"""The forward-backward experiment against exact moments over all starts.

And its two estimators against each other.
"""

import itertools

import jax
import numpy as np
import pytest

import rhm_theory as rt
from rhm_theory import Grammar
from rhm_theory.experiment import trajectories as experiment
from rhm_theory.inference import evidence as inference
from rhm_theory.inference import moments, sampling
from rhm_theory.noise import likelihood

GRAMMAR = Grammar.affine(2, 4, 2, 2, multiplier=5, offset=3)
STARTS = np.array([[0, 0, 1, 3], [2, 2, 2, 2], [3, 1, 0, 2]])


@pytest.fixture(scope="module")
def every_start():
    """All sequences of the language, equally likely."""
    rules = [
        (root, top, left, right)
        for root, top, left, right in itertools.product(range(4), range(2), range(2), range(2))
    ]
    leaves = [
        GRAMMAR.derive(root, (np.array([left, right]), np.array([top]))).leaves
        for root, top, left, right in rules
    ]
    return np.array(leaves)


def truth(starts, noise):
    """E Var N / E sum Var n_i over all starts of the epsilon-process."""
    found = moments.change_moments(
        GRAMMAR, likelihood.epsilon_process(starts, noise, vocabulary=4), starts
    )
    return float(found.variance.sum() / found.leaf_variance.sum())


@pytest.mark.slow
def test_intervals_cover_the_exact_value(every_start):
    """200 replications of 20 starts x 20 trajectories.

    95 % intervals cover the truth in 90 to 99 % of them.
    """
    replications, starts = 200, 20
    chosen = every_start[
        np.random.default_rng(0).integers(len(every_start), size=replications * starts)
    ]
    found = experiment.forward_backward(
        jax.random.key(0),
        GRAMMAR,
        rt.Epsilon(0.6),
        starts=chosen,
        trajectories=20,
    )
    exact = truth(every_start, 0.6)
    hits = {"plain": 0, "conditional": 0}
    for part in np.split(np.arange(replications * starts), replications):
        one = found._replace(
            sums=jax.tree.map(lambda leaf, part=part: leaf[:, part], found.sums),
            **{
                name: getattr(found, name)[:, part]
                for name in ("variance_within", "variance_between", "leaf_within", "leaf_between")
            },
            groups=part,
        )
        for name, estimate in zip(hits, experiment.susceptibility(one), strict=True):
            hits[name] += bool(estimate.low[0] <= exact <= estimate.high[0])
    assert 180 <= hits["plain"] <= 198
    assert 180 <= hits["conditional"] <= 198
    # All together: one number, without bias.
    plain, conditional = experiment.susceptibility(found)
    assert abs(plain.value[0] - exact) < 4 * plain.error[0]
    assert abs(conditional.value[0] - exact) < 4 * conditional.error[0]
    assert conditional.error[0] < plain.error[0]
    np.testing.assert_array_equal(experiment.noise_part(found).value, 0)


@pytest.mark.parametrize(
    "law", [pytest.param("independent", marks=pytest.mark.slow), "fixed_number"]
)
def test_both_estimators_of_masking_agree_and_the_law_matters(every_start, law):
    found = experiment.forward_backward(
        jax.random.key(1),
        GRAMMAR,
        rt.Mask([0.5], law),
        starts=every_start,
        trajectories=400,
    )
    assert found.noise.name == f"mask, {law}"
    # The truth by enumeration of all 16 masks, weighted by the law.
    masks = np.array(list(itertools.product([False, True], repeat=4)))
    weights = np.ones(16) / 16 if law == "independent" else (masks.sum(1) == 2) / 6
    starts = every_start[:, None, :]
    seen = likelihood.masked(
        np.broadcast_to(starts, (32, 16, 4)), np.broadcast_to(masks, (32, 16, 4)), vocabulary=4
    )
    exact = moments.change_moments(GRAMMAR, seen, np.broadcast_to(starts, (32, 16, 4)))

    def variance(values):
        mean = np.tensordot(weights, values, (0, 1))
        return np.tensordot(weights, (values - mean[:, None]) ** 2, (0, 1))

    between, leaf_between = (
        variance(np.asarray(exact.mean)),
        variance(np.asarray(exact.changed[0])).sum(-1),
    )
    within, leaf_within = (
        np.asarray(part) @ weights for part in (exact.variance, exact.leaf_variance)
    )
    chi = (within + between).sum() / (leaf_within + leaf_between).sum()
    for estimate in experiment.susceptibility(found):
        # The starts are all there are, so errors over starts are generous.
        assert abs(estimate.value[0] - chi) < 3 * estimate.error[0]
    part = experiment.noise_part(found)
    assert (
        abs(part.value[0] - between.sum() / (leaf_within + leaf_between).sum()) < 3 * part.error[0]
    )
    enumerated = experiment.enumerated_masks(GRAMMAR, rt.Mask([0.5], law), every_start)
    np.testing.assert_allclose(
        enumerated.susceptibility, chi, rtol=1e-12
    )  # the same terms, summed in another order
    np.testing.assert_allclose(
        enumerated.mask, between.sum() / (leaf_within + leaf_between).sum(), rtol=1e-12
    )
    if law == "fixed_number":
        assert np.all(found.variance_between[0] < np.asarray(exact.mean).var(1) + 1)


def test_a_denoiser_that_is_the_posterior_gives_the_same(every_start):
    def posterior(noised):
        hidden = noised == 4
        seen = likelihood.masked(np.where(hidden, 0, noised), hidden, vocabulary=4)
        return np.asarray(
            sampling.sample_posterior(jax.random.key(int(noised.sum())), GRAMMAR, seen).leaves
        )

    given = {"noise": rt.Mask([0.5]), "starts": every_start[:12], "trajectories": 200}
    exact = experiment.forward_backward(jax.random.key(2), GRAMMAR, **given)
    learned = experiment.forward_backward(jax.random.key(2), GRAMMAR, denoiser=posterior, **given)
    one, other = (experiment.susceptibility(found)[0] for found in (exact, learned))
    assert abs(one.value[0] - other.value[0]) < 4 * np.hypot(one.error[0], other.error[0])
    assert np.isnan(learned.variance_within).all()
    np.testing.assert_allclose(learned.changed.mean(1), exact.changed.mean(1), atol=0.06)
    # One that answers at random leaves the language: then its inner nodes count as changed.
    wild = experiment.forward_backward(
        jax.random.key(2), GRAMMAR, denoiser=lambda noised: np.zeros_like(noised), **given
    )
    assert np.all(wild.root_kept == 0) or GRAMMAR.contains(np.zeros(4, int))


def test_chunks_and_folders_change_nothing(every_start, tmp_path, monkeypatch):
    given = {"noise": rt.Mask([0.2, 0.7]), "starts": every_start[:6], "trajectories": 8}
    whole = experiment.forward_backward(jax.random.key(3), GRAMMAR, **given)
    monkeypatch.setattr(experiment, "CHUNK_BYTES", 8 * 4 * 4 * 8 * 5)
    for _ in range(2):  # computed, then read
        parts = experiment.forward_backward(jax.random.key(3), GRAMMAR, folder=tmp_path, **given)
        for name in ("variance_within", "variance_between", "changed", "root_kept"):
            np.testing.assert_allclose(
                getattr(parts, name), getattr(whole, name), rtol=1e-12, err_msg=name
            )
    assert len(list(tmp_path.glob("*.npz"))) == 3


def test_joined_experiments_are_clustered_by_grammar(every_start):
    given = {"noise": rt.Epsilon([0.3, 0.6]), "trajectories": 4}
    parts = [
        experiment.forward_backward(
            jax.random.key(seed), GRAMMAR, starts=every_start[some], **given
        )
        for seed, some in enumerate((slice(5), slice(5, 8)))
    ]
    whole = experiment.joined(parts)
    np.testing.assert_array_equal(whole.groups, [0] * 5 + [1] * 3)
    np.testing.assert_array_equal(
        whole.sums.pair_sums, np.concatenate([part.sums.pair_sums for part in parts], 1)
    )
    np.testing.assert_array_equal(whole.changed[:, 5:], parts[1].changed)
    _, conditional = experiment.susceptibility(whole)
    above, below = (
        np.array([getattr(part, name).sum(1) for part in parts])
        for name in ("variance_within", "leaf_within")
    )
    np.testing.assert_allclose(conditional.value, above.sum(0) / below.sum(0), rtol=1e-14)
    # Two groups a, b: the error of a sum over a sum is sqrt(2/1 * 2 (a - chi b)^2)/total, as both
    # deviations are opposite.
    error = 2 * np.abs(above[0] - conditional.value * below[0]) / below.sum(0)
    np.testing.assert_allclose(conditional.error, error, rtol=1e-10)
    with pytest.raises(ValueError, match="experiments must be at least one"):
        experiment.joined([])
    with pytest.raises(
        ValueError, match="experiments must agree in noise and its level, number 1 differs"
    ):
        experiment.joined([whole, whole._replace(noise=rt.Epsilon([0.3, 0.7]))])


def test_a_grammar_and_starts_of_its_language():
    numbers = {"depth": 2, "vocabulary": 4, "rules_per_symbol": 2, "branching": 2}
    grammar, tree = experiment.grammar_and_starts(jax.random.key(0), 3, **numbers)
    assert grammar.length == 4
    assert tree.leaves.shape == (3, 4)
    assert np.all(grammar.contains(tree.leaves))
    other, _ = experiment.grammar_and_starts(jax.random.key(1), 3, **numbers)
    assert np.any(np.asarray(other.rules) != np.asarray(grammar.rules))
    with pytest.raises(ValueError, match="starts must be >= 1"):
        experiment.grammar_and_starts(jax.random.key(0), 0, **numbers)


def test_the_average_over_grammars_is_that_of_each():
    numbers = {"depth": 2, "vocabulary": 4, "rules_per_symbol": 2, "branching": 2}
    keys, noise = list(jax.random.split(jax.random.key(0), 3)), np.array([0.3, 0.6])
    found = experiment.average_susceptibility(keys, 5, noise, **numbers)
    parts = []
    for key in keys:
        grammar, tree = experiment.grammar_and_starts(key, 5, **numbers)
        matrix = moments.change_correlations(
            grammar, likelihood.epsilon_process(tree.leaves, noise[:, None], vocabulary=4), tree
        )
        parts.append((matrix.sum((1, 2, 3)), np.trace(matrix, axis1=-2, axis2=-1).sum(1)))
    above, below = np.swapaxes(parts, 0, 1)
    np.testing.assert_allclose(found.value, above.sum(0) / below.sum(0), rtol=1e-12)
    deviation = above - found.value * below
    np.testing.assert_allclose(
        found.error, np.sqrt(3 / 2 * (deviation**2).sum(0)) / below.sum(0), rtol=1e-10
    )
    with pytest.raises(ValueError, match="keys must be at least one"):
        experiment.average_susceptibility([], 5, noise, **numbers)
    slope = experiment.average_root_slope(keys, 5, 0.3, **numbers)
    each = [
        experiment.root_slope(*experiment.grammar_and_starts(key, 5, **numbers), 0.3)
        for key in keys
    ]
    np.testing.assert_allclose(
        (slope.value, slope.error), (np.mean(each), np.std(each, ddof=1) / np.sqrt(3)), rtol=1e-12
    )
    with pytest.raises(ValueError, match="keys must be at least one"):
        experiment.average_root_slope([], 5, 0.3, **numbers)


def test_the_slope_of_the_root_is_the_posteriors_derivative(every_start):
    def kept(noise):
        root = GRAMMAR.parse(every_start).root
        posterior = inference.marginals(
            GRAMMAR, likelihood.epsilon_process(every_start, noise, vocabulary=4)
        )[-1][:, 0]
        return float(np.mean(np.asarray(posterior)[np.arange(len(root)), root]))

    # Central differences: 1e-10 of a third derivative, and 1e-16/1e-5 of rounding.
    difference = (kept(0.5 - 1e-5) - kept(0.5 + 1e-5)) / 2e-5
    assert float(experiment.root_slope(GRAMMAR, every_start, 0.5)) == pytest.approx(
        difference, rel=1e-8
    )
    assert difference > 0.1
    with pytest.raises(ValueError, match="level must be one number"):
        experiment.root_slope(GRAMMAR, every_start, [0.5])
    with pytest.raises(
        ValueError, match=r"start must have at least one sequence, got shape \(0, 4"
    ):
        experiment.root_slope(GRAMMAR, every_start[:0], 0.5)
    with pytest.raises(ValueError, match=r"starts must have shape \(starts, 4\) with at least one"):
        experiment.enumerated_masks(GRAMMAR, rt.Mask([0.5]), every_start[:0])


def test_a_chain_is_measured_like_a_grammar():
    """The conditional estimate of a chain that is sampled equals its exact moments."""
    chain = rt.controls.markov_chain(np.full((4, 4), 0.2) + 0.2 * np.eye(4), length=4)
    noise = rt.Epsilon([0.3, 0.6])
    found = experiment.forward_backward(
        jax.random.key(0), chain, noise, starts=STARTS, trajectories=200
    )
    assert found.tree_sums.shape == (2, 3, 0)
    assert np.all(np.isnan(found.root_kept))
    for index, level in enumerate(noise.level):
        seen = likelihood.epsilon_process(STARTS, level, vocabulary=4)
        exact = moments.change_moments(chain, seen, STARTS)
        np.testing.assert_allclose(found.variance_within[index], exact.variance, rtol=1e-12)
        np.testing.assert_allclose(found.leaf_within[index], exact.leaf_variance, rtol=1e-12)
        np.testing.assert_allclose(
            moments.susceptibility(chain, seen, STARTS), exact.susceptibility, rtol=1e-14
        )
        # 200 samples of at most 4 changes: the error of the mean is below 2/sqrt(200).
        np.testing.assert_allclose(found.sums.mean[index], exact.mean, atol=5 * 2 / 200**0.5)
    forbidden = rt.controls.markov_chain([[0.0, 1.0], [1.0, 0.0]], length=4)
    with pytest.raises(ValueError, match="got one of probability 0 at index 1"):
        experiment.forward_backward(
            jax.random.key(0), forbidden, noise, starts=[[0, 1, 0, 1], [0, 0, 1, 1]], trajectories=4
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": rt.Flips([0.5])}, "noise must be a Mask, got Flips"),
        ({"starts": np.zeros((2, 3), int)}, "starts must have a last axis of 4"),
        (
            {"model": Grammar.affine(5, 4, 2, 2, multiplier=5, offset=3)},
            "model must have at most 16 leaves",
        ),
    ],
)
def test_bad_input_to_the_enumeration_names_the_argument(every_start, changes, message):
    given = {"model": GRAMMAR, "starts": every_start[:2], "noise": rt.Mask([0.5]), **changes}
    with pytest.raises((ValueError, TypeError), match=message):
        experiment.enumerated_masks(**given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": "fog"}, r"noise must be a noise object such as Mask\(0.5\), .* got 'fog'"),
        ({"noise": rt.Mask}, "noise must be a noise object"),
        ({"trajectories": 1}, "trajectories must be >= 2"),
        ({"starts": np.zeros((2, 3), int)}, "starts must have a last axis of 4"),
        ({"starts": np.zeros(4, int)}, r"starts must have shape \(starts, 4\)"),
        (
            {"starts": np.zeros((0, 4), int)},
            r"starts must have shape \(starts, 4\) with at least one",
        ),
        ({"starts": np.int64(0)}, "starts must be >= 1"),
        ({"noise": rt.Mask(np.zeros(0))}, r"noise must have a level of shape \(levels,\)"),
        ({"groups": [1, 2, 3]}, r"groups must have shape \(2,\)"),
        ({"noise": rt.Epsilon(0.5), "denoiser": lambda x: x}, "denoiser needs noised sequences"),
        ({"denoiser": lambda x: x[:1]}, "denoiser must return integers of shape"),
        # A mask that was left, or 2**32 more, was taken for a change and a symbol.
        (
            {"denoiser": lambda x: x, "noise": rt.Mask([1.0])},
            r"what denoiser returns must be in 0 \.\. 3, got 4",
        ),
        (
            {"denoiser": lambda x: x.astype(np.int64) % 4 + 2**32},
            r"what denoiser returns must be in 0 \.\. 3, got 429496729",
        ),
        ({"denoiser": lambda x: None}, "denoiser must return integers of shape"),
        ({"denoiser": 3}, "denoiser must be a function"),
        ({"model": None}, "model must be a Grammar or have a method sequences, got NoneType"),
        ({"folder": 3}, "folder must be a path"),
    ],
)
def test_bad_input_names_the_argument(every_start, changes, message):
    given = {
        "model": GRAMMAR,
        "noise": rt.Mask([0.5]),
        "starts": every_start[:2],
        "trajectories": 4,
        **changes,
    }
    with pytest.raises((ValueError, TypeError), match=message):
        experiment.forward_backward(jax.random.key(0), **given)
