"""Moments of the number of changed leaves.

The facts' reference values, full enumeration, and derivatives of the log evidence.
"""

import itertools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rhm_theory as rt
from rhm_theory.inference import messages, moments
from rhm_theory.noise import likelihood as likelihoods

EPS = np.finfo(np.float64).eps

# --- reference values (facts, section 3): epsilon, mean, variance and third cumulant of the affine
# grammar (16, 4, 2, 7, 37, 11)
REFERENCE = np.array(
    [
        [0.3, 0.282329883804129, 0.580084318343303, 1.211911336085],
        [0.5, 1.55798549418391, 3.38387347954415, 7.7637200234624],
        [0.7, 9.6387492660629, 26.2095170161286, 89.3053784341904],
        [0.8, 56.999856828549, 195.135059624706, -1142.18572197649],
    ]
)
RAW = [
    8.65102817163,
    6.32833931566,
    5.73122618582,
    6.95393890127,
    11.9806494293,
    23.3659880262,
    46.4650851341,
]
CONNECTED = [
    7.92196485739,
    4.87214207274,
    2.82008737152,
    1.14342211236,
    0.367755799346,
    0.169867034877,
    0.0142262427415,
]
MASKED = 44.5061957006015
ROOT = np.array(
    [
        0.999999965275656,
        0.999994129913784,
        0.997582032670573,
        0.277111512240923,
        1 / 16,
        0.268656716417910,
    ]
)
DIGITS = 1e-12
TWELVE_DIGITS = 5e-12  # half a unit of the last digit given, where these are 12


@pytest.fixture(scope="module")
def reference():
    """The grammar, its start and six likelihoods: the reference noises, noise 1, and a mask."""
    grammar = rt.Grammar.affine(7, 16, 4, 2, multiplier=37, offset=11)
    tree = grammar.reference_start()
    noised = likelihoods.epsilon_process(
        tree.leaves, np.array([*REFERENCE[:, 0], 1]), vocabulary=16
    )
    masked = likelihoods.masked(tree.leaves, 7 * np.arange(128) % 10 < 5, vocabulary=16)
    return grammar, tree, jnp.concatenate([noised, masked[None]])


@pytest.mark.slow
def test_moments_of_the_reference(reference):
    grammar, tree, likelihood = reference
    found = moments.change_moments(grammar, likelihood, tree)
    np.testing.assert_allclose(
        found.mean, [*REFERENCE[:, 1], 119.440364837646, 37.3059701492537], rtol=DIGITS
    )
    np.testing.assert_allclose(
        found.variance, [*REFERENCE[:, 2], 9.49392526921291, MASKED], rtol=DIGITS
    )
    np.testing.assert_allclose(found.raw_pair_sums[2], RAW, rtol=TWELVE_DIGITS)
    np.testing.assert_allclose(found.pair_sums[2], CONNECTED, rtol=TWELVE_DIGITS)
    np.testing.assert_allclose(
        [found.leaf_variance[2], found.susceptibility[2]],
        [8.90005152514, 2.94487250350],
        rtol=TWELVE_DIGITS,
    )
    np.testing.assert_allclose(1 - found.changed[-1][:, 0], ROOT, rtol=DIGITS)
    np.testing.assert_allclose(
        found.variance, found.leaf_variance + found.pair_sums.sum(-1), rtol=1e-13
    )
    assert [level.shape for level in found.changed] == [
        (6, 2**level) for level in reversed(range(8))
    ]
    np.testing.assert_allclose(found.changed[0].sum(-1), found.mean, rtol=1e-13)
    np.testing.assert_allclose(
        moments.susceptibility(grammar, likelihood, tree.leaves), found.susceptibility, rtol=1e-13
    )


def test_cumulants_of_the_reference(reference):
    grammar, tree, likelihood = reference
    found = moments.change_cumulants(grammar, likelihood, tree, order=4)
    np.testing.assert_allclose(found[:4, :3], REFERENCE[:, 1:], rtol=DIGITS)
    # The fourth has no reference: that of the whole law, which is another route.
    law = moments.change_distribution(grammar, likelihood, tree)
    assert law.shape == (6, 129)
    assert np.all(law >= 0)
    np.testing.assert_allclose(law.sum(-1), 1, atol=1e-13)
    centred = np.arange(129) - np.asarray(found[:, :1])
    central = [(np.asarray(law) * centred**order).sum(-1) for order in range(5)]
    expected = np.stack([found[:, 0], central[2], central[3], central[4] - 3 * central[2] ** 2], -1)
    # An error of 1e-15 in each probability is multiplied by 128^order: that bounds this route, not
    # the cumulants.
    assert np.all(np.abs(found - expected) <= 1e-14 * 128.0 ** np.arange(1, 5))


def test_other_branching_of_the_reference():
    grammar = rt.Grammar.affine(3, 8, 16, 3, multiplier=5, offset=3)
    tree = grammar.reference_start(1)
    assert int(tree.leaves.sum()) == 89
    likelihood = likelihoods.epsilon_process(tree.leaves, 0.4, vocabulary=8)
    found = moments.change_cumulants(grammar, likelihood, tree, order=3)
    np.testing.assert_allclose(
        found, [2.29278493284916, 4.19156644003429, 8.50709702226889], rtol=DIGITS
    )


def exact(grammar, weights):
    """Variance of N and P(root = 0) as fractions, from whole numbers for weights.

    The ``(own, other)`` symbols' of each leaf.
    """
    symbols = grammar.reference_start().leaves.tolist()
    # Of each node and symbol: the weight of all sequences, and the sums of N and N^2 over them.
    level = [
        [(own, 0, 0) if a == x else (other, other, other) for a in range(16)]
        for x, (own, other) in zip(symbols, weights, strict=True)
    ]
    for table in np.asarray(grammar.rules).tolist():
        level = [
            [add(left[one], right[other]) for one, other in rule_of(table)]
            for left, right in zip(level[::2], level[1::2], strict=True)
        ]
        level = [
            [tuple(map(sum, zip(*node[4 * a : 4 * a + 4], strict=True))) for a in range(16)]
            for node in level
        ]
    count, total, square = map(sum, zip(*level[0], strict=True))
    return Fraction(square, count) - Fraction(total, count) ** 2, Fraction(level[0][0][0], count)


def test_the_reference_itself_in_whole_numbers(reference):
    """So one value of the facts is not kept.

    They print 44.5061956706015 for the masked variance, 3e-8 below 3196613/71824.
    """
    variance, root = exact(reference[0], [(5, 1)] * 128)  # noise 0.8: 1/4 and 1/20
    np.testing.assert_allclose(float(root), ROOT[3], rtol=DIGITS)
    np.testing.assert_allclose(float(variance), REFERENCE[3, 2], rtol=DIGITS)
    variance, root = exact(reference[0], [(1, int(7 * i % 10 < 5)) for i in range(128)])
    assert variance == Fraction(3196613, 71824)
    np.testing.assert_allclose([float(variance), float(root)], [MASKED, ROOT[5]], rtol=DIGITS)


def rule_of(table):
    return itertools.chain(*table)


def add(left, right):
    """Count and sums of N and N^2 of two independent parts."""
    (a, n, q), (b, k, r) = left, right
    return a * b, n * b + a * k, q * b + 2 * n * k + a * r


# --- enumeration


def enumerated(rules):
    """Leaves, root and all nodes' symbols of every derivation, by levels from the root down."""
    depth, vocabulary, count, _ = rules.shape
    levels = [np.arange(vocabulary)[:, None]]
    for level in reversed(range(depth)):
        nodes = levels[-1].shape[1]
        choice = np.array(list(itertools.product(range(count), repeat=nodes)))
        levels = [np.repeat(symbols, len(choice), 0) for symbols in levels]
        chosen = np.tile(choice, (len(levels[-1]) // len(choice), 1))
        levels.append(rules[level][levels[-1], chosen].reshape(len(chosen), -1))
    return levels[::-1]


SHAPES = [
    {"depth": 2, "vocabulary": 3, "rules_per_symbol": 2, "branching": 2},
    {"depth": 2, "vocabulary": 2, "rules_per_symbol": 2, "branching": 3},
]


@pytest.mark.parametrize(
    "shape",
    [pytest.param(SHAPES[0], id="s=2", marks=pytest.mark.slow), pytest.param(SHAPES[1], id="s=3")],
)
def test_all_moments_are_those_of_full_enumeration(shape):
    count = 100
    draw = np.random.default_rng(0)
    keys = jax.random.split(jax.random.key(0), count)
    grammars = jax.vmap(lambda key: rt.Grammar.random(key, **shape))(keys)
    trees = jax.vmap(lambda grammar, key: grammar.sample(key))(grammars, keys)
    # Zeros in a third of the entries, but at the start: the evidence is possible.
    likelihood = draw.uniform(
        size=(count, trees.leaves.shape[1], shape["vocabulary"])
    ) * draw.choice([0, 1, 1], size=(count, 1, 1))
    likelihood = likelihood * draw.choice([0, 1, 1], size=likelihood.shape) + np.asarray(
        likelihoods.epsilon_process(trees.leaves, 0.5, vocabulary=shape["vocabulary"])
    ) * draw.choice([1e-3, 1], size=(count, 1, 1)) * (
        np.arange(shape["vocabulary"]) == np.asarray(trees.leaves)[..., None]
    )

    @jax.jit
    @jax.vmap
    def compute(grammar, likelihood, tree):
        return (
            moments.change_moments(grammar, likelihood, tree.leaves),
            moments.change_cumulants(grammar, likelihood, tree, order=4),
            moments.change_distribution(grammar, likelihood, tree),
            moments.change_correlations(grammar, likelihood, tree),
        )

    found, cumulants, law, matrix = compute(grammars, likelihood, trees)
    for k in range(count):
        levels = enumerated(np.asarray(grammars.rules[k]))
        weight = likelihood[k, np.arange(levels[0].shape[1]), levels[0]].prod(-1)
        weight = weight / weight.sum()
        differs = [
            symbols != np.asarray(start[k])
            for symbols, start in zip(levels, trees.symbols, strict=True)
        ]
        for level, changed in enumerate(differs):
            np.testing.assert_allclose(found.changed[level][k], weight @ changed, atol=1e-13)
        number = differs[0].sum(-1)
        mean = weight @ number
        central = [weight @ (number - mean) ** order for order in range(5)]
        expected = [mean, central[2], central[3], central[4] - 3 * central[2] ** 2]
        np.testing.assert_allclose(cumulants[k], expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(
            [found.mean[k], found.variance[k]], expected[:2], rtol=1e-12, atol=1e-13
        )
        np.testing.assert_allclose(
            law[k], np.bincount(number, weight, minlength=law.shape[1]), atol=1e-13
        )
        second = (weight[:, None] * differs[0]).T @ differs[0]
        covariance = second - np.outer(weight @ differs[0], weight @ differs[0])
        np.testing.assert_allclose(matrix[k], covariance, atol=1e-13)
        np.testing.assert_allclose(found.leaf_variance[k], np.trace(covariance), atol=1e-13)
        apart = tree_level(shape["branching"], shape["depth"])
        for level in range(1, shape["depth"] + 1):
            np.testing.assert_allclose(
                found.pair_sums[k, level - 1], covariance[apart == level].sum(), atol=1e-12
            )
            np.testing.assert_allclose(
                found.raw_pair_sums[k, level - 1], second[apart == level].sum(), atol=1e-12
            )


def tree_level(branching, depth):
    """Level of the lowest common ancestor of every pair of leaves."""
    blocks = [np.arange(branching**depth) // branching**level for level in range(depth + 1)]
    return sum(np.not_equal.outer(block, block).astype(int) for block in blocks)


# --- derivatives of the log evidence


def tilted(grammar, likelihood, start):
    """The log evidence as a function of a field on "leaf i differs"."""
    differs = np.asarray(start)[..., None] != np.arange(grammar.vocabulary)
    return lambda field: rt.log_evidence(
        grammar, likelihood * jnp.exp(jnp.broadcast_to(field, start.shape)[..., None] * differs)
    )


@pytest.mark.slow
def test_moments_are_derivatives_of_the_log_evidence_at_depth_10():
    grammar = rt.Grammar.random(
        jax.random.key(3), depth=10, vocabulary=8, rules_per_symbol=2, branching=2
    )
    start = grammar.sample(jax.random.key(4)).leaves
    likelihood = likelihoods.epsilon_process(start, 0.6, vocabulary=8)
    evidence = tilted(grammar, likelihood, start)
    slope = lambda field: jax.jvp(evidence, (field,), (1.0,))[1]  # noqa: E731
    mean, variance = jax.jit(lambda field: jax.jvp(slope, (field,), (1.0,)))(0.0)
    np.testing.assert_allclose(
        moments.change_cumulants(grammar, likelihood, start, order=2), [mean, variance], rtol=1e-10
    )


@pytest.mark.slow
def test_the_matrix_is_the_hessian_of_the_log_evidence():
    grammar = rt.Grammar.random(
        jax.random.key(5), depth=3, vocabulary=6, rules_per_symbol=3, branching=2
    )
    start = grammar.sample(jax.random.key(6)).leaves
    likelihood = likelihoods.epsilon_process(start, 0.6, vocabulary=6)
    matrix = moments.change_correlations(grammar, likelihood, start)
    np.testing.assert_allclose(
        matrix, jax.jit(jax.hessian(tilted(grammar, likelihood, start)))(jnp.zeros(8)), atol=1e-14
    )
    found = moments.change_moments(grammar, likelihood, start)
    by_level = [np.asarray(matrix)[tree_level(2, 3) == level].sum() for level in (1, 2, 3)]
    np.testing.assert_allclose(found.pair_sums, by_level, rtol=1e-12)
    by_distance = moments.mean_by_distance(matrix)
    np.testing.assert_allclose(
        by_distance, [np.diagonal(matrix, r).mean() for r in range(8)], rtol=1e-13
    )


def test_more_rules_than_are_unrolled():
    grammar = rt.Grammar.random(
        jax.random.key(7), depth=2, vocabulary=18, rules_per_symbol=18, branching=2
    )
    assert grammar.rules_per_symbol > messages.UNROLLED_RULES
    start = grammar.sample(jax.random.key(8)).leaves
    likelihood = np.random.default_rng(0).uniform(size=(4, 18))
    leaves = enumerated(np.asarray(grammar.rules))[0]
    weight = likelihood[np.arange(4), leaves].prod(-1)
    number = (leaves != start).sum(-1)
    mean = np.average(number, weights=weight)
    found = moments.change_cumulants(grammar, likelihood, start, order=2)
    np.testing.assert_allclose(
        found, [mean, np.average((number - mean) ** 2, weights=weight)], rtol=1e-12
    )


# --- zeros, derivatives, precision


def test_zeros_give_exact_results_and_finite_derivatives(reference):
    grammar, tree, _ = reference
    still = jnp.stack(
        [likelihoods.exact(tree.leaves, vocabulary=16).astype(float)] * 6
    )  # of the shape that is compiled
    found = moments.change_moments(grammar, still, tree)
    for value in (
        found.mean,
        found.variance,
        found.leaf_variance,
        found.pair_sums,
        found.raw_pair_sums,
        *found.changed,
    ):
        np.testing.assert_array_equal(value, 0)
    assert np.all(
        np.isnan(found.susceptibility)
    )  # 0/0: the limit would depend on how the noise goes
    assert np.all(np.isnan(moments.susceptibility(grammar, still, tree)))
    law = np.asarray(moments.change_distribution(grammar, still, tree))
    np.testing.assert_allclose(law, np.eye(129)[:1].repeat(6, 0), atol=1e-15)

    small = rt.Grammar.affine(2, 4, 2, 2, multiplier=3, offset=1)
    start = small.reference_start().leaves
    variance = lambda pi: moments.change_cumulants(small, pi, start, order=2)[1]  # noqa: E731
    gradient = jax.jit(jax.grad(variance))
    for pi in (
        likelihoods.exact(start, vocabulary=4).astype(float),
        likelihoods.masked(start, [True, False, True, False], vocabulary=4),
    ):
        assert np.all(np.isfinite(gradient(pi)))
    pi = likelihoods.epsilon_process(start, 0.5, vocabulary=4)
    step = 1e-6 * np.eye(4)[1] * np.eye(4)[2][:, None]
    np.testing.assert_allclose(
        gradient(pi)[2, 1], (variance(pi + step) - variance(pi - step)) / 2e-6, rtol=1e-8
    )


def test_the_limit_of_the_susceptibility_is_the_least_distance_of_the_language():
    """Why it is NaN at zero noise.

    Not 1, but the number of leaves in which the nearest other sequence differs.
    """
    grammar = rt.Grammar(np.array([[[[0, 0]], [[1, 1]]]]))  # two sequences, 00 and 11
    start = np.array([0, 0])
    likelihood = likelihoods.epsilon_process(start, 1e-8, vocabulary=2)
    np.testing.assert_allclose(moments.susceptibility(grammar, likelihood, start), 2, rtol=1e-7)


@pytest.mark.slow
def test_float32_says_what_it_reaches(reference, record_property):
    grammar, tree, likelihood = reference
    double = moments.change_moments(grammar, likelihood, tree)
    with jax.enable_x64(False):
        single = moments.change_moments(grammar, np.asarray(likelihood, np.float32), tree)
    reached = {}
    for name in ("mean", "variance", "leaf_variance", "pair_sums"):
        one, exact = np.asarray(getattr(single, name)), np.asarray(getattr(double, name))
        assert one.dtype == np.float32
        reached[name] = np.max(np.abs(one - exact) / np.abs(exact).max(-1, keepdims=exact.ndim > 1))
        record_property(f"float32 relative error of {name}", float(reached[name]))
    # Rounding of 128 leaves' likelihoods; the largest error is in pair sums that nearly cancel.
    assert max(reached.values()) < 2e-5


# --- validation


def test_batches_broadcast():
    grammar = rt.Grammar.affine(2, 4, 2, 2, multiplier=3, offset=1)
    starts = grammar.reference_start([0, 1, 3]).leaves
    likelihood = likelihoods.epsilon_process(starts[0], np.array([0.3, 0.5]), vocabulary=4)
    found = moments.change_cumulants(grammar, likelihood[:, None], starts)
    assert found.shape == (2, 3, 4)
    for start in range(3):
        alone = moments.change_cumulants(grammar, likelihood, starts[start], order=4)
        np.testing.assert_allclose(found[:, start], alone, rtol=1e-12, atol=1e-14)
    several = moments.change_moments(grammar, likelihood[:, None], starts)
    assert several.changed[1].shape == (2, 3, 2)
    np.testing.assert_allclose(several.changed[0].sum(-1), found[..., 0], rtol=1e-12)


def test_bad_input_is_named():
    grammar = rt.Grammar.affine(2, 4, 2, 2, multiplier=3, offset=1)
    start = grammar.reference_start().leaves
    likelihood = likelihoods.epsilon_process(start, 0.5, vocabulary=4)
    impossible = np.asarray(likelihood) * (np.arange(4) != 1)[:, None]
    invalid = next(
        np.array(s)
        for s in itertools.product(range(4), repeat=4)
        if not grammar.contains(np.array(s))
    )
    for call, message in [
        (
            lambda: moments.change_moments(grammar, likelihood, invalid),
            "leaves are not in the language",
        ),
        (
            lambda: moments.change_moments(grammar, likelihood[:3], start),
            "likelihood must end in the axes",
        ),
        (
            lambda: moments.susceptibility(grammar, -likelihood, start),
            "likelihood must be finite and >= 0",
        ),
        (
            lambda: moments.change_cumulants(grammar, likelihood, start + 4),
            r"start must be in 0 .. 3",
        ),
        (
            lambda: moments.change_cumulants(grammar, likelihood, start, order=0),
            "order must be >= 1",
        ),
        (
            lambda: moments.change_correlations(grammar, likelihood, start, memory_limit=100),
            "change_correlations needs .* of 4 x 4",
        ),
        (lambda: moments.mean_by_distance(np.zeros((3, 4))), "matrix must end in two equal axes"),
        (
            lambda: moments.mean_by_distance(3.0),
            r"matrix must end in two equal axes of at least one entry, got shape \(\)",
        ),
        *(
            (
                lambda f=f: f(grammar, impossible, start),
                "^likelihood is impossible: no symbol is left for node 1 of level 0",
            )
            for f in OBSERVABLES
        ),
        (
            lambda: moments.susceptibility(
                grammar, np.stack([likelihood, impossible])[None], start
            ),
            r"likelihood at index \(0, 1\) is impo",
        ),
        *(
            (
                lambda f=f: f(grammar, np.stack([likelihood] * 2), np.stack([start] * 3)),
                r"one shape, got likelihood \(2,\), start \(3,\)",
            )
            for f in OBSERVABLES
        ),
        (
            lambda: moments.change_moments(grammar, likelihood, start[:3]),
            "start must have a last axis of 4",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    np.testing.assert_allclose(
        moments.change_cumulants(grammar, likelihood, invalid, order=1)[0] > 0, True
    )  # any leaves will do here
    with pytest.raises(TypeError, match="memory_limit must be a number of bytes, got None"):
        moments.change_correlations(grammar, likelihood, start, memory_limit=None)
    for function in OBSERVABLES:
        with pytest.raises(TypeError, match=r"must be a Grammar.*, got NoneType"):
            function(None, likelihood, start)
    traced = jax.jit(lambda pi: [function(grammar, pi, start) for function in OBSERVABLES])
    assert all(np.all(np.isnan(value)) for value in jax.tree.leaves(traced(impossible)))
    assert all(np.all(np.isfinite(value)) for value in jax.tree.leaves(traced(likelihood)))


OBSERVABLES = [
    moments.change_moments,
    moments.susceptibility,
    moments.change_cumulants,
    moments.change_distribution,
    moments.change_correlations,
]


def test_an_empty_batch_has_moments_of_an_empty_batch():
    grammar = rt.Grammar.affine(2, 4, 2, 2, multiplier=3, offset=1)
    start = grammar.reference_start().leaves
    shapes = {
        moments.susceptibility: (0,),
        moments.change_cumulants: (0, 4),
        moments.change_distribution: (0, 5),
    }
    for function, shape in (shapes | {moments.change_correlations: (0, 4, 4)}).items():
        assert function(grammar, np.zeros((0, 4, 4)), start).shape == shape
    found = moments.change_moments(grammar, np.ones((4, 4)), np.zeros((0, 4), int))
    assert found.mean.shape == (0,)
    assert [level.shape for level in found.changed] == [(0, 4), (0, 2), (0, 1)]
    assert moments.mean_by_distance(np.zeros((0, 3, 3))).shape == (0, 3)
