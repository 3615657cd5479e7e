"""The figures of the hierarchy: what they draw is recomputed by another route."""

import importlib
import itertools
import math

import jax
import numpy as np
import pytest
import scipy.optimize

import rhm_theory as rt
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly, at_the_edges, made

# Data that take 10 to 20 seconds: every test that reads them is slow.
SLOW = (
    "rhm_masking",
    "rhm_exponent",
    "rhm_scaling",
    "rhm_controls",
    "controls_all",
    "infinite_depth",
)
NAMES = (
    "rhm_tree",
    *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW),
)


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_is_legible_and_the_claims_are_complete(name):
    module, data = made(name)
    assert_drawn_legibly(module, data, at_the_edges)
    assert_claims_complete(module, data)


def test_tree_probabilities_are_posteriors_and_samples_are_trees():
    _, data = made("rhm_tree")
    grammar = rt.Grammar.affine(5, 16, 4, 2, multiplier=37, offset=11)
    start = grammar.reference_start(0)
    posterior = rt.marginals(
        grammar, rt.likelihood.epsilon_process(start.leaves, data["noise"], vocabulary=16)
    )
    for level, (law, symbols) in enumerate(zip(posterior, start.symbols, strict=True)):
        kept = np.asarray(law)[:, np.arange(len(symbols)), np.asarray(symbols)]
        np.testing.assert_allclose(data["probability"][str(level)], 1 - kept, atol=1e-14)
        # A changed node has a changed leaf below: rules are unambiguous.
        below = data["sample"]["0"].reshape(4, len(symbols), -1).any(-1)
        assert np.all(below | ~data["sample"][str(level)].astype(bool))
    # Each changed leaf has one topmost changed ancestor: all together they are the mean number,
    # of 4000 samples.
    moments = rt.change_moments(
        grammar, rt.likelihood.epsilon_process(start.leaves, data["noise"], vocabulary=16), start
    )
    error = np.sqrt(np.asarray(moments.variance) / 4000)
    np.testing.assert_array_less(
        np.abs(data["leaves_below"].sum(0) / 4000 - np.asarray(moments.mean)), 4 * error
    )
    sizes = data["leaves_below"].sum(1) / data["tops"].sum(1)
    assert sizes[0] == 1
    assert np.all(np.diff(sizes) > 0)
    assert np.all(sizes <= 2.0 ** np.arange(6))


@pytest.mark.slow
def test_enumerated_masks_by_the_whole_law_and_samples_around_them():
    module, data = made("rhm_masking")
    grammar, tree = rt.experiment.grammar_and_starts(
        jax.random.key(0), 24, depth=3, **module.NUMBERS
    )
    starts = tree.leaves[:, None]
    hidden = np.array(list(itertools.product([False, True], repeat=8)))
    seen = rt.likelihood.masked(starts, hidden, vocabulary=16)
    law = np.asarray(rt.change_distribution(grammar, seen, starts))
    kept = np.take_along_axis(
        np.asarray(rt.marginals(grammar, seen)[0]), np.asarray(starts)[..., None], -1
    )[..., 0]
    number = np.arange(9)
    for index, share in enumerate(data["eighths"]):
        for name, chance in {
            "independent": share ** hidden.sum(-1) * (1 - share) ** (~hidden).sum(-1),
            "fixed_number": (hidden.sum(-1) == 8 * share) / math.comb(8, int(8 * share)),
        }.items():
            mean, square = (np.einsum("m,smk,k->s", chance, law, number**power) for power in (1, 2))
            changed = 1 - np.einsum("m,smi->si", chance, kept)
            exact = (square - mean**2).sum() / (changed * (1 - changed)).sum()
            assert data["enumerated"][name]["susceptibility"][index] == pytest.approx(
                exact, rel=1e-10
            )
            found = data["small"][name]["plain"]
            # 14 points, the same starts on both sides: an error over starts is generous.
            assert abs(found["value"][index] - exact) < 4 * found["error"][index]


@pytest.mark.slow
def test_masking_at_depth_7_agrees_with_the_table_of_an_independent_run():
    """Another estimate of chi and of the mask's part: 8 other grammars x 3 starts x 64 masks."""
    _, data = made("rhm_masking")
    table = {
        "fixed_number": {
            0.3: (1.18, 0.64),
            0.5: (0.99, 0.42),
            0.7: (0.59, 0.12),
            0.9: (0.65, 0.04),
        },
        "independent": {0.3: (2.23, 1.68), 0.5: (2.73, 2.17), 0.7: (1.93, 1.46), 0.9: (1.47, 0.86)},
    }
    for law, rows in table.items():
        found = data["large"][law]
        for share, (chi, mask) in rows.items():
            at = int(np.argmin(np.abs(data["noise"] - share)))
            for part, value in (("conditional", chi), ("plain", chi), ("mask", mask)):
                assert (
                    abs(found[part]["value"][at] - value)
                    < 4 * np.hypot(found[part]["error"][at], found[part]["error"][at]) + 0.02
                )
    # What the figure says: a peak inside for independent masks, none for a fixed number.
    # Sampling does the same in both.
    rest = [
        data["large"][law]["conditional"]["value"] - data["large"][law]["mask"]["value"]
        for law in table
    ]
    np.testing.assert_allclose(rest[0], rest[1], rtol=0.15)
    top = data["large"]["independent"]["conditional"]
    assert 2 <= np.argmax(top["value"]) <= 6
    assert top["low"].max() > 1.5 * data["large"]["fixed_number"]["conditional"]["high"].max()


@pytest.mark.slow
def test_exponents_are_mirrored_and_the_edges_are_the_closed_forms():
    module, data = made("rhm_exponent")
    for exponent in data["exponents"].values():
        np.testing.assert_allclose(exponent, exponent[::-1], rtol=1e-9)
    # s = 2, m = sqrt(v): from the closed form,
    # F' = 2 (sqrt(v) - 1)^2 (v + 1) sqrt(v) / (sqrt(v) (v - 1)^2).
    for vocabulary, branching in module.CURVES:
        if branching == 2:
            root = np.sqrt(vocabulary)
            slope = (
                2
                * (vocabulary - root)
                * (root - 1)
                * (vocabulary + 1)
                / (root * (vocabulary - 1) ** 2)
            )
            assert data["exponents"][f"v = {vocabulary}, s = 2"][98] == pytest.approx(
                np.log(2) / np.log(slope), rel=1e-12
            )
    v = data["vocabulary"]
    for s in (2, 3):
        ends = np.array([s * v ** (s - 1) * (v - 1) / (v**s - 1), (v**s - 1) / (s * (v - 1))])
        # The grid of 1e-3 finds the edge to its spacing.
        np.testing.assert_allclose(
            data["edges"][str(s)]["exists"], np.log(ends) / np.log(v) / (s - 1), atol=1.1e-3
        )
    inside = np.isfinite(data["edges"]["2"]["diverges"][0])
    # At m = sqrt(v) F' is largest, F' = 2 (v + 1)/(sqrt(v) + 1)^2.
    # Its square exceeds 2 from there on.
    root = (1 + np.sqrt(1 - (np.sqrt(2) - 1) ** 2)) / (np.sqrt(2) - 1)
    np.testing.assert_array_equal(inside, v > root**2)


@pytest.mark.slow
def test_exponents_measured_in_mean_field_and_on_random_grammars():
    _, data = made("rhm_exponent")
    assert [float(case["exponent"]) for case in data["cases"].values()] == pytest.approx(
        [1.4651632, 2.2542493, 3.7097871], abs=5e-8
    )
    for name, case in data["cases"].items():
        assert case["size_exponent"] == pytest.approx(case["exponent"], rel=1e-3)
        found, theory = case["slopes"], case["mean_field_slopes"]
        # Mean field is off by some per cent, the dots by their errors.
        np.testing.assert_array_less(
            np.abs(found["value"] - theory), 4 * found["error"] + 0.06 * theory, err_msg=name
        )
        assert case["fit"]["low"] < 1 / case["exponent"] + 0.03
        assert case["fit"]["high"] > 1 / case["exponent"] - 0.03
    # One slope by finite differences of the posterior, for the first grammar alone.
    keys = jax.random.split(jax.random.split(jax.random.key(2), 1)[0])
    numbers = {"vocabulary": 64, "rules_per_symbol": 8, "branching": 2}
    grammar = rt.Grammar.random(keys[0], depth=2, **numbers)
    tree = grammar.sample(keys[1], (4,))
    noise = 8 / 9 + np.array([1e-4, -1e-4])
    posterior = rt.marginals(
        grammar, rt.likelihood.epsilon_process(tree.leaves, noise[:, None], vocabulary=64)
    )[-1]
    kept = np.take_along_axis(
        np.asarray(posterior)[:, :, 0], np.asarray(tree.root)[None, :, None], -1
    ).mean((1, 2))
    found = rt.experiment.average_root_slope(
        jax.random.split(jax.random.key(2), 1), 4, 8 / 9, depth=2, **numbers
    )
    assert found.value == pytest.approx((kept[1] - kept[0]) / 2e-4, rel=1e-5)


@pytest.mark.slow
def test_controls_by_moments_and_closed_forms():
    """chi without any matrix: from moments of N, and from the covariance of the ring."""
    module, data = made("rhm_controls")
    noise = data["noise"]
    for size, found in data["field"].items():
        covariance = np.asarray(
            rt.controls.gaussian_field(int(size), 0.5).response(noise).covariance
        )
        np.testing.assert_allclose(
            found["susceptibility"]["value"], covariance.sum(-1) / covariance[:, 0], rtol=1e-12
        )
    move = np.full((4, 4), 0.2 / 3) + np.eye(4) * (0.8 - 0.2 / 3)
    chain = rt.controls.markov_chain(move, length=8)
    start = chain.sample(jax.random.key(8), (32 * 16,))
    moments = chain.change_moments(
        rt.likelihood.epsilon_process(start, noise[:, None], vocabulary=4), start
    )
    chi = np.asarray(moments.variance).sum(1) / np.asarray(moments.site_variance).sum((1, 2))
    np.testing.assert_allclose(data["chain"]["8"]["susceptibility"]["value"], chi, rtol=1e-10)
    parts = []
    for key in jax.random.split(jax.random.key(8), 6):
        for_rules, for_starts = jax.random.split(key)
        grammar = rt.Grammar.random(for_rules, depth=3, **module.NUMBERS)
        tree = grammar.sample(for_starts, (4,))
        exact = rt.change_moments(
            grammar, rt.likelihood.epsilon_process(tree.leaves, noise[:, None], vocabulary=64), tree
        )
        parts.append((exact.variance.sum(1), exact.leaf_variance.sum(1)))
    above, below = np.sum(parts, 0)
    np.testing.assert_allclose(
        data["hierarchy"]["8"]["susceptibility"]["value"], above / below, rtol=1e-10
    )


@pytest.mark.slow
def test_only_the_hierarchy_has_a_peak_inside_that_grows():
    module, data = made("rhm_controls")
    top = {
        name: {
            quantity: [
                (int(np.argmax(one[quantity]["value"])), float(np.max(one[quantity]["value"])))
                for one in data[name].values()
            ]
            for quantity in ("susceptibility", "length")
        }
        for name in module.SYSTEMS
    }
    last = len(data["noise"]) - 1
    for quantity in ("susceptibility", "length"):
        for one in data["field"].values():
            assert np.all(np.diff(one[quantity]["value"]) > 0)
        for place, height in top["hierarchy"][quantity]:
            assert 0.8 <= data["noise"][place] <= 0.9
            assert height > 3
        heights = [height for _, height in top["hierarchy"][quantity]]
        assert min(np.divide(heights[1:], heights[:-1])) > 1.4
        # The chain's maximum lies inside too, against the plain claim.
        # But it settles, and stays within a tenth of the end.
        for (place, height), one in zip(
            top["chain"][quantity], data["chain"].values(), strict=True
        ):
            assert place < last
            assert height < 1.15 * one[quantity]["value"][-1]
        assert top["chain"][quantity][2][1] < 1.1 * top["chain"][quantity][1][1]
    # A geometric sequence has the second-moment length of its closed form.
    q = 0.7 ** np.arange(400)
    assert module.length_of(q[None])[0] == pytest.approx(
        np.sqrt(2 * 0.7 / (1 - 0.7) ** 2), rel=1e-9
    )


@pytest.mark.slow
def test_scaling_fits_tell_growth_from_settling():
    """The fits again by solving for them; at these depths a plain power fits neither grammar."""
    _, data = made("rhm_scaling")
    leaves = 2.0 ** data["exact_depths"]
    for name, grows in (("64 symbols, 8 rules", True), ("16 symbols, 4 rules", False)):
        case = data["cases"][name]
        exact, fit, power = case["exact"], case["fit"], case["power"]
        model = lambda d, offset, amplitude, a: offset + amplitude * np.expm1(a * np.log(d)) / a  # noqa: E731
        start = (1, 1, 0.3 if grows else -0.2)
        found = scipy.optimize.curve_fit(
            model, leaves, exact["value"], start, exact["error"], absolute_sigma=True
        )[0]
        np.testing.assert_allclose(
            (fit["offset"], fit["amplitude"], fit["exponent"]), found, rtol=5e-3
        )
        assert (fit["low"] > 0) == grows == (fit["high"] > 0)
        assert power["low"] > 0
        assert power["misfit"] > 30  # three degrees of freedom: the plain power is refuted for both
        # The second power that grows cannot be told from a constant: the interval only widens.
        growing = int(case["growth"]["growing"])
        assert growing == (2 if grows else 0)
        assert len(case["full_fit"]["further"]) == max(growing - 1, 0)
        assert case["full_fit"]["misfit"] <= fit["misfit"]
        # The mean field at the same depths has its own corrections.
        # The exact grammars differ from it by some per cent of the height.
        assert (
            abs(fit["exponent"] - case["mean_field_fit"]["exponent"])
            < (fit["high"] - fit["low"]) + 0.05
        )


@pytest.mark.slow
def test_critical_noises_of_the_infinite_depth_are_those_of_given_grammars():
    """One population is climbed again, a little below and above the noise that was found."""
    _, data = made("infinite_depth")
    numbers = {"vocabulary": 16, "rules_per_symbol": 4, "branching": 2}
    key = jax.random.split(jax.random.key(9), 4)[0]
    grammar = rt.Grammar.random(key, **numbers, depth=44)
    critical = data["critical"]["16, 4, 2"]["noise"][0]
    below, above = rt.population.beliefs(
        key, grammar, critical + np.array([-1e-4, 1e-4]), size=8
    ).mean[:, -1]
    assert below > 0.9
    assert above < 0.1
    # Population dynamics and exact belief propagation, on the same grammars.
    difference = data["recovery"]["difference"]
    assert abs(float(difference["value"])) < 5 * float(difference["error"]) + 0.005


@pytest.mark.slow
def test_a_flat_mixture_peaks_inside_and_gaussian_fields_do_not():
    module, data = made("controls_all")
    alone = data["found"]["independent sites"]["epsilon"]["value"]
    np.testing.assert_allclose(alone, 1, rtol=1e-12)
    for process in ("epsilon", "mask"):
        found = data["found"]["mixture of independent sites"][process]
        assert 0 < found["top"] < len(data["noise"]) - 1
        assert float(found["excess"]["low"]) > 0
    for field in data["fields"].values():
        assert np.all(np.diff(field["value"]) > 0)
    # By another route: the mixture's law of N is that of samples, at one noise level.
    model = module.flat_models()["mixture of independent sites"]
    starts = model.sample(jax.random.key(1), (32,))
    noise = rt.Epsilon(0.95)
    seen = noise.likelihood(starts, vocabulary=4)
    drawn = model.sample_posterior(jax.random.key(3), seen, (4000,)) != starts
    count = np.asarray(drawn.sum(-1))
    chi = count.var(0, ddof=1).sum() / np.asarray(drawn).var(0, ddof=1).sum()
    at = list(data["noise"]).index(0.95)
    expected = data["found"]["mixture of independent sites"]["epsilon"]["value"][at]
    assert chi == pytest.approx(expected, rel=0.05)


def test_finished_populations_of_the_infinite_depth_are_kept(tmp_path):
    figure = importlib.import_module("figures.infinite_depth")
    kept = figure.parts(tmp_path)
    assert kept.parent == tmp_path
    assert figure.parts(None) is None
    first = figure.transition((4, 2, 2), 44, 1, 2, kept)
    written = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert len(written) == 2
    again = figure.transition((4, 2, 2), 44, 1, 2, kept)
    np.testing.assert_array_equal(again["noise"], first["noise"])
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == written
