"""Diffusion of pictures: schedule, exact posteriors of mixtures and grammars, training, summary.

Exact posteriors are compared with conditioning by matrices (NumPy), SciPy's densities, enumeration
and the closed form of a Gaussian field.
"""

import itertools

import jax
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import rhm_theory as rt
from rhm_theory import cli
from rhm_theory.denoisers.images import classifier, diffusion, fitting, measure, mixtures, schedule
from rhm_theory.denoisers.images import data as pictures_of
from rhm_theory.denoisers.images import drawn_grammar as drawing
from rhm_theory.denoisers.images import study as studies
from rhm_theory.denoisers.images import summary as summaries
from rhm_theory.denoisers.images.loss_gate import EXACT, MODEL, compared

TINY = fitting.Recipe(steps=250, batch=32, rate=1e-2, channels=4)
NORMAL_QUANTILE = 4.5  # two-sided 7e-6, for a few hundred comparisons


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# --- the schedule


def test_the_velocity_gives_picture_and_noise_back():
    clean, white = random(2, 7)
    time = np.linspace(0, 1, 7)
    noised = schedule.noised(clean, white, time)
    velocity = schedule.velocity(clean, white, time)
    np.testing.assert_allclose(schedule.clean_of(noised, velocity, time), clean, atol=1e-14)
    found = schedule.noise(time) * noised + schedule.signal(time) * velocity
    np.testing.assert_allclose(found, white, atol=1e-14)
    both = (float(schedule.signal(0.3)), float(schedule.noise(0.3)))
    assert mixtures.scales(0.3) == pytest.approx(both)


@pytest.mark.parametrize(("earlier", "later"), [(0.0, 0.4), (0.3, 0.7), (0.9, 1.0)])
def test_a_reverse_step_is_gaussian_conditioning(earlier, later):
    """x_s is normal given x, and x_t is normal given x_s: Bayes' rule for two normal numbers."""
    a, b = (float(schedule.signal(time)) for time in (earlier, later))
    before, after = (float(schedule.noise(time)) ** 2 for time in (earlier, later))
    added = after - (b / a) ** 2 * before
    gain = (b / a) * before / ((b / a) ** 2 * before + added)
    law = schedule.reverse_step(np.float64(later), np.float64(earlier))
    np.testing.assert_allclose(law.noised, gain, atol=1e-14)
    np.testing.assert_allclose(law.clean, a - gain * b, atol=1e-14)
    np.testing.assert_allclose(law.spread**2, before * (1 - gain * b / a), atol=1e-14)


# --- mixtures


@pytest.fixture(scope="module")
def mixture():
    parts = [1.5 * random(30, 4, seed=1) @ random(4, 4, seed=2), random(20, 4, seed=3) + 1.0]
    return mixtures.fitted("two", parts)


def covariance(mixture, component):
    axes = mixture.axes[component]
    return axes @ np.diag(mixture.variances[component]) @ axes.T


def conditioned(mixture, component, noised, time):
    """Mean and covariance of one component given a noised picture, by matrices."""
    signal, noise = mixtures.scales(time)
    prior = covariance(mixture, component)
    gain = np.linalg.solve(signal**2 * prior + noise**2 * np.eye(4), signal * prior).T
    mean = mixture.means[component]
    return mean + gain @ (noised - signal * mean), prior - signal * gain @ prior


@pytest.mark.parametrize("time", [0.2, 0.6, 1.0])
def test_responsibilities_and_mean_of_a_mixture(mixture, time):
    noised = random(5, 2, 2, seed=4)
    signal, noise = mixtures.scales(time)
    densities = np.array(
        [
            weight
            * multivariate_normal(
                signal * mixture.means[k],
                signal**2 * covariance(mixture, k) + noise**2 * np.eye(4),
            ).pdf(noised.reshape(5, 4))
            for k, weight in enumerate(mixture.weights)
        ]
    ).T
    share = densities / densities.sum(1, keepdims=True)
    np.testing.assert_allclose(mixture.responsibilities(noised, time), share, atol=1e-11)
    means = np.array(
        [[conditioned(mixture, k, one.reshape(4), time)[0] for k in range(2)] for one in noised]
    )
    expected = np.einsum("nk,nkd->nd", share, means).reshape(noised.shape)
    np.testing.assert_allclose(mixture.denoised(noised, time), expected, atol=1e-11)


def test_samples_of_a_mixture_have_its_weights_means_and_covariances(mixture):
    noised = 0.3 * random(1, 2, 2, seed=5)
    count = 20_000
    drawn = mixture.sample_posterior(jax.random.key(0), np.repeat(noised, count, 0), 0.6)
    share = mixture.responsibilities(noised, 0.6)[0]
    assert 0.05 < share[0] < 0.95  # both components are tested
    for k in range(2):
        of = drawn.pictures.reshape(count, 4)[drawn.component == k]
        error = np.sqrt(share[k] * (1 - share[k]) / count)
        assert abs(len(of) / count - share[k]) < NORMAL_QUANTILE * error
        mean, spread = conditioned(mixture, k, noised.reshape(4), 0.6)
        z = (of.mean(0) - mean) / np.sqrt(np.diag(spread) / len(of))
        assert np.abs(z).max() < NORMAL_QUANTILE
        products = np.outer(np.diag(spread), np.diag(spread)) + spread**2
        z = (np.cov(of.T) - spread) / np.sqrt(products / len(of))
        assert np.abs(z).max() < NORMAL_QUANTILE


@pytest.mark.parametrize("time", [0.3, 0.8, 1.0])
def test_the_susceptibility_of_one_gaussian_is_the_closed_form(time):
    """Forward-backward on a Gaussian field, through the code for pictures."""
    field = rt.controls.gaussian_field(16, 0.7)
    sites = np.arange(16)
    covariances = np.fft.irfft(np.asarray(field.spectrum), 16)[(sites[:, None] - sites) % 16]
    variances, axes = np.linalg.eigh(covariances)
    gaussian = mixtures.GaussianMixture(
        name="field",
        weights=np.ones(1),
        means=np.zeros((1, 16)),
        axes=axes[None],
        variances=variances[None],
    )
    starts = np.asarray(field.sample(jax.random.key(1), (60,)))
    clean = np.repeat(starts, 40, 0).reshape(-1, 4, 4)
    signal, noise = mixtures.scales(time)
    noised = signal * clean + noise * random(*clean.shape, seed=6)
    drawn = gaussian.sample_posterior(jax.random.key(2), noised, time)
    changes = (drawn.pictures - clean).reshape(60, 40, 16)
    found = rt.measure.ratio(changes.sum(-1).var(-1, ddof=1), changes.var(1, ddof=1).sum(-1))
    expected = float(field.response(noise**2).susceptibility)
    assert abs(found.value - expected) < NORMAL_QUANTILE * found.error
    assert found.error < 0.1 * expected


def test_shrunk_covariances_and_shares_of_the_classes():
    pictures = small_pictures()
    full = mixtures.of_classes(pictures)
    flat = mixtures.of_classes(pictures, diagonal=True)
    np.testing.assert_allclose(full.weights, [0.5, 0.5])
    assert np.abs(covariance(full, 0) - np.diag(np.diag(covariance(full, 0)))).max() > 0.01
    off = covariance(flat, 0) - np.diag(np.diag(covariance(flat, 0)))
    np.testing.assert_allclose(off, 0, atol=1e-15)
    with pytest.raises(ValueError, match=r"time must lie in \[0, 1\]"):
        full.denoised(pictures.train[:1], 1.5)


# --- strings as pictures


def test_glyphs_differ_in_two_pixels_and_nodes_are_squares():
    glyphs = pictures_of.GLYPHS
    assert len(glyphs) == 8
    assert min(np.sum(a != b) for a, b in itertools.combinations(glyphs, 2)) == 2
    places = pictures_of.leaf_places(16)
    assert sorted(places) == list(range(16))
    assert sorted(places[:4]) == [0, 1, 4, 5]  # four leaves of one node: a square of 2 x 2
    leaves = np.random.default_rng(0).integers(8, size=(3, 16))
    patches = drawing.leaf_patches(pictures_of.drawn(leaves), 16)
    np.testing.assert_array_equal(patches, 2 * glyphs[leaves] - 1)
    with pytest.raises(ValueError, match="power of 4"):
        pictures_of.drawn(leaves[:, :8])


def test_the_posterior_of_a_drawn_grammar_is_that_of_enumeration():
    grammar = rt.Grammar.random(
        jax.random.key(3), depth=2, vocabulary=3, rules_per_symbol=2, branching=2
    )
    exact = drawing.DrawnGrammar(grammar)
    strings = np.array(list(itertools.product(range(3), repeat=4)))
    prior = np.exp(np.asarray(grammar.log_probability(strings)))
    strings, prior = strings[prior > 0], prior[prior > 0]
    pictures = pictures_of.drawn(strings).astype(float)
    time = 0.7
    signal, noise = mixtures.scales(time)
    noised = signal * pictures[:3] + noise * random(3, 4, 4, seed=7)
    squares = ((noised[:, None] - signal * pictures) ** 2).sum((2, 3))
    weight = prior * np.exp(-(squares - squares.min(1, keepdims=True)) / (2 * noise**2))
    weight /= weight.sum(1, keepdims=True)
    expected = np.einsum("ns,sij->nij", weight, pictures)
    np.testing.assert_allclose(exact.denoised(noised, time), expected, atol=1e-10)
    drawn = exact.sample_posterior(jax.random.key(0), np.repeat(noised[:1], 4000, 0), time)
    z = drawn.pictures.mean(0) - expected[0]
    spread = np.sqrt(np.maximum(1 - expected[0] ** 2, 1e-3) / 4000)
    assert np.abs(z / spread).max() < NORMAL_QUANTILE
    roots = np.asarray(grammar.parse(strings).root)
    np.testing.assert_allclose(
        np.bincount(drawn.component, minlength=3) / 4000,
        [weight[0, roots == root].sum() for root in range(3)],
        atol=NORMAL_QUANTILE * 0.5 / np.sqrt(4000),
    )


def test_pictures_of_another_grammar_are_refused():
    grammar = rt.Grammar.affine(2, 8, 2, 3, multiplier=3, offset=1)
    with pytest.raises(ValueError, match="branching 2 and an even depth"):
        pictures_of.of_grammar(jax.random.key(0), grammar)


# --- training


def small_pictures():
    """Two patterns and their negatives with a little noise: no Gaussian describes them."""
    generator = np.random.default_rng(8)
    patterns = np.array([[1, -1] * 8, [1] * 8 + [-1] * 8]).reshape(2, 4, 4)
    labels = np.tile([0, 1], 200).astype(np.int32)
    signs = generator.choice([-1, 1], 400)
    rows = 0.9 * signs[:, None, None] * patterns[labels]
    rows = (rows + 0.05 * generator.normal(size=rows.shape)).astype(np.float32)
    return pictures_of.Pictures(
        name="small",
        train=rows[:300],
        train_labels=labels[:300],
        validation=rows[300:],
        validation_labels=labels[300:],
        classes=2,
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Of a run that was interrupted at step 50."""

    def stop(done, loss):
        if done == 50:
            raise KeyboardInterrupt

    path = tmp_path_factory.mktemp("run") / "checkpoint"
    arguments = (jax.random.key(0), small_pictures().train, TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "SAVED_AFTER", 0.0)
        with pytest.raises(KeyboardInterrupt):
            diffusion.train(*arguments, checkpoint=path, report=stop)
    return path


@pytest.fixture(scope="module")
def trained(checkpoint):
    """What the same call makes of it."""
    pictures = small_pictures().train
    return diffusion.train(jax.random.key(0), pictures, TINY, checkpoint=checkpoint).network


@pytest.mark.slow
def test_a_tiny_model_beats_one_gaussian_and_not_the_true_clusters(trained):
    pictures = small_pictures()
    found = studies.losses_beside_mixtures(jax.random.key(1), trained, pictures, 0, 100)
    assert found.losses[MODEL] < found.losses["one Gaussian"] - 0.01
    assert found.losses["50 k-means Gaussians"] < found.losses[MODEL]
    assert not found.beats


@pytest.mark.slow
def test_a_stopped_run_has_the_weights_of_a_whole_one(trained):
    whole = diffusion.train(jax.random.key(0), small_pictures().train, TINY).network
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(trained), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_of_another_run_is_refused(checkpoint):
    with pytest.raises(ValueError, match="must be of the run"):
        diffusion.train(jax.random.key(1), small_pictures().train, TINY, checkpoint=checkpoint)


def test_samples_of_a_tiny_model_are_pictures(trained):
    white = random(200, 4, 4, seed=9)
    drawn = np.asarray(trained.sample_posterior(jax.random.key(2), white, 1.0))
    again = np.asarray(trained.sample_posterior(jax.random.key(2), white, 1.0))
    np.testing.assert_array_equal(drawn, again)
    known = small_pictures().train[:, None]
    nearest = np.sqrt(((known - drawn[None, :, None][:, :, 0]) ** 2).mean((2, 3))).min(0)
    assert np.median(nearest) < 0.25  # patterns differ by 1.3 and more


def test_a_model_is_saved_and_read(trained, tmp_path):
    path = tmp_path / "model"
    trained.save(path)
    for one, other in zip(
        jax.tree.leaves(diffusion.Diffusion.load(path)), jax.tree.leaves(trained), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(FileExistsError):
        trained.save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="broken"):
        diffusion.Diffusion.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": 0.0}, r"time must lie in \(0, 1\]"),
        ({"steps": 0}, "steps must be"),
        ({"noised": np.zeros((1, 6, 6))}, "noised must have shape"),
    ],
)
def test_what_a_model_refuses(trained, change, message):
    arguments = {"noised": np.zeros((1, 4, 4)), "time": 0.5, "steps": 1} | change
    noised, time = arguments.pop("noised"), arguments.pop("time")
    with pytest.raises(ValueError, match=message):
        trained.sample_posterior(jax.random.key(0), noised, time, **arguments)


# --- measurement and summary


def test_a_level_has_the_sums_of_plain_covariances(mixture):
    pictures = small_pictures()
    posterior = mixtures.of_classes(pictures)
    judge = classifier.Classifier(jax.random.key(0), classes=2, channels=2)
    starts = pictures.validation[:6]
    keys = jax.random.split(jax.random.key(4))
    groups = posterior.responsibilities(starts, 1e-3).argmax(-1)
    np.testing.assert_array_equal(groups, pictures.validation_labels[:6])
    found = measure.level((keys[0], keys[1]), posterior, judge, starts, groups, 0.8, 12)
    clean = np.repeat(starts, 12, 0).astype(float)
    signal, noise = mixtures.scales(0.8)
    noised = signal * clean + noise * np.asarray(jax.random.normal(keys[0], clean.shape))
    drawn = posterior.sample_posterior(keys[1], noised, 0.8)
    changes = (drawn.pictures - clean).reshape(6, 12, 16)
    kept = drawn.component.reshape(6, 12) == groups[:, None]
    assert 0.1 < kept.mean() < 0.9
    np.testing.assert_array_equal(found.moved, ~kept)
    matrices = [np.cov(one.T) for one in changes]
    np.testing.assert_allclose(found.total[0], [one.sum() for one in matrices])
    np.testing.assert_allclose(found.single[0], [np.trace(one) for one in matrices])
    for start in range(6):
        of = changes[start][kept[start]]
        within = np.cov(of.T) * (len(of) - 1)
        np.testing.assert_allclose(found.within_total[0, start], within.sum(), atol=1e-9)
        np.testing.assert_allclose(found.within_single[0, start], np.trace(within), atol=1e-9)
    norms = np.sqrt((changes.reshape(6, 12, 2, 2, 2, 2) ** 2).sum((3, 5))).reshape(6, 12, 4)
    np.testing.assert_allclose(found.single[1], norms.var(1, ddof=1).sum(-1))
    with pytest.raises(ValueError, match="trajectories must be at least 2"):
        measure.level((keys[0], keys[1]), posterior, judge, starts, groups, 0.8, 1)


def a_seed(seed, peaks, starts=80):
    """Sums of made-up posteriors whose chi is 2, but for a peak at the third of five times."""
    generator = np.random.default_rng(seed)
    names = (MODEL, EXACT, "one Gaussian", "class Gaussians")
    chi = np.full((4, 5), 2.0)
    chi[:, 2] += peaks
    single = generator.gamma(20, 1 / 20, (4, 5, 1, 1, 1, starts))
    total = chi[..., None, None, None, None] * generator.gamma(4, 1 / 4, single.shape)
    sums = np.concatenate([total, single], 3)
    sums = np.broadcast_to(sums, (4, 5, 3, 2, len(measure.MEASURES), starts))
    losses = np.array([0.2, 0.1, 0.5, 0.3])[:, None, None] + 0.01 * generator.normal(size=(4, 6, 9))
    shares = np.full((4, 5, starts), 0.3)
    return studies.Seed(
        names=names, accuracy=1.0, sums=sums, changed=shares, moved=shares, losses=losses
    )


def test_a_contrast_of_noise_alone_is_zero_on_average():
    values, naive = [], []
    for number in range(200):
        sums = a_seed(number, np.zeros(4)).sums[:, :, 0, :, 0]
        values.append(summaries.contrast(sums, np.ones((1, 80)), np.arange(80) % 2)[:, 0])
        one = summaries.chi(sums, np.ones((1, 80)))[:, 0]
        naive.append(one.max(-1) - one[:, -1])
    error = np.std(values) / np.sqrt(np.size(values))
    assert abs(np.mean(values)) < 4 * error
    assert np.mean(naive) > 20 * error  # what the two halves avoid


def test_the_test_finds_a_peak_above_the_strongest_mixture():
    peaks = np.array([3.0, 5.0, 0.0, 1.0])
    seeds = [a_seed(number, peaks, starts=240) for number in range(3)]
    key = jax.random.key(0)
    found = summaries.against_mixtures(key, seeds, "f1")
    assert found.strongest == "class Gaussians"
    assert found.beats_mixtures
    assert found.difference.low > 0
    assert found.difference.low < 2 < found.difference.high
    exact = summaries.against_mixtures(key, seeds, "f1", of=EXACT)
    assert exact.difference.low < 4 < exact.difference.high
    share = summaries.class_change(key, seeds)[MODEL]
    np.testing.assert_allclose(share.value, 0.3)
    with pytest.raises(ValueError, match="measure must be"):
        summaries.against_mixtures(key, seeds, "f9")


def test_the_error_is_that_of_repeated_studies():
    """The bootstrap's error of chi against the spread over independent starts; one seed each."""
    key = jax.random.key(0)
    found = [
        summaries.susceptibility(key, [a_seed(number, np.zeros(4))], "pixels")[MODEL]
        for number in range(60)
    ]
    spread = np.std([one.value for one in found])
    assert np.mean([one.error for one in found]) == pytest.approx(spread, rel=0.15)


def test_a_model_must_beat_every_mixture_for_every_seed():
    names = (MODEL, "one Gaussian", "class Gaussians")
    good = np.array([0.2, 0.5, 0.3])[:, None] + 0.01 * random(3, 50)
    bad = np.array([0.31, 0.5, 0.3])[:, None] + 0.01 * random(3, 50, seed=1)
    assert compared(names, [good, good]).beats
    assert not compared(names, [good, bad]).beats
    np.testing.assert_allclose(compared(names, [good]).difference, -0.1, atol=0.01)


@pytest.mark.slow
def test_a_study_is_kept_and_read(tmp_path):
    plan = studies.Plan(
        recipe=TINY._replace(steps=3),
        classifier=TINY._replace(steps=3),
        starts=4,
        trajectories=3,
        times=(0.5, 1.0),
        loss_pictures=5,
    )
    pictures, exact = studies.positive_control()
    pictures = pictures._replace(
        train=pictures.train[:500], train_labels=pictures.train_labels[:500]
    )
    found = studies.run(0, pictures, plan, exact=exact, folder=tmp_path)
    assert found.sums.shape == (6, 2, 3, 2, len(measure.MEASURES), 4)
    again = studies.run(0, pictures, plan, exact=exact, folder=tmp_path)
    np.testing.assert_array_equal(found.sums, again.sums)
    with pytest.raises(ValueError, match="must be of the plan"):
        studies.run(0, pictures, plan._replace(starts=5), exact=exact, folder=tmp_path)


@pytest.mark.slow
def test_the_command_trains_and_compares(tmp_path, capsys):
    path = tmp_path / "model"
    arguments = ["train", "images", "--out", str(path), "--steps", "3", "--channels", "4"]
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "not clearly below every mixture" in shown
    assert diffusion.Diffusion.load(path).side == 8
    assert cli.main(arguments) == 2  # the file is there
