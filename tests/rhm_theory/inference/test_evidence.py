"""Log evidence, derivatives, marginals.

By enumeration, reference values, exact integers, automatic differentiation of a plain pass.
"""

import functools
import itertools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rhm_theory as rt
from rhm_theory.inference import evidence as inference
from rhm_theory.inference import messages
from tests import rhm_enumeration as enumeration

GRAMMARS_A_SHAPE = 50
EPS = np.finfo(np.float64).eps


def plain_log_evidence(grammar, likelihood):
    """One likelihood, no scaling, no rule of our own: JAX differentiates what it sees."""
    message = likelihood
    for table in grammar.rules:
        children = message.reshape(-1, grammar.branching, grammar.vocabulary)
        message = functools.reduce(
            jnp.multiply, (children[:, i][:, table[..., i]] for i in range(grammar.branching))
        ).mean(-1)
    return jnp.log(message.mean())


@pytest.mark.parametrize("shape", enumeration.some_slow(enumeration.SHAPES))
def test_evidence_and_marginals_by_enumeration(shape):
    generator = np.random.default_rng(0)
    for seed in range(GRAMMARS_A_SHAPE):
        grammar = enumeration.random_grammar(seed, shape)
        trees = enumeration.all_trees(np.asarray(grammar.rules))
        likelihoods = enumeration.random_likelihoods(generator, grammar)
        found, nodes = rt.log_evidence(grammar, likelihoods), rt.marginals(grammar, likelihoods)
        for index, likelihood in enumerate(likelihoods):
            np.testing.assert_allclose(
                found[index],
                np.log(enumeration.weights(trees, likelihood).sum()),
                rtol=1e-12,
                atol=1e-12,
            )
            for level, expected in enumerate(enumeration.marginals(trees, likelihood)):
                np.testing.assert_allclose(nodes[level][index], expected, rtol=1e-12, atol=1e-14)
                assert (
                    np.asarray(nodes[level][index])[expected == 0] == 0
                ).all()  # what cannot be has probability 0 exactly


# By noise: log Z, P(root = 0), mean and variance of the number of leaves that change.
AFFINE = {
    0.3: (-220.964094322891, 0.999999965275656, 0.282329883804129, 0.580084318343303),
    0.5: (-259.053388706639, 0.999994129913784, 1.55798549418391, 3.38387347954415),
    0.7: (-311.460340565422, 0.997582032670573, 9.6387492660629, 26.2095170161286),
    0.8: (-341.266273970429, 0.277111512240923, 56.999856828549, 195.135059624706),
    1.0: (-354.891356446692, 1 / 16, 119.440364837646, 9.49392526921291),
}
HIDDEN = 7 * np.arange(128) % 10 < 5


@functools.cache
def affine():
    """The grammar, the start, and the likelihood of each noise of ``AFFINE``; of a mask last."""
    grammar = rt.Grammar.affine(7, 16, 4, 2, multiplier=37, offset=11)
    start = grammar.reference_start(0).leaves
    noisy = rt.likelihood.epsilon_process(start, jnp.array(list(AFFINE)), vocabulary=16)
    return (
        grammar,
        start,
        jnp.concatenate([noisy, rt.likelihood.masked(start, HIDDEN, vocabulary=16)[None]]),
    )


def exact_masked_moments(grammar, start):
    """Numbers of trees that a mask allows.

    Each times N**0, N**1 and N**2 of its number N of changes: in integers.
    """

    def product(a, b):
        return a[0] * b[0], a[1] * b[0] + a[0] * b[1], a[2] * b[0] + 2 * a[1] * b[1] + a[0] * b[2]

    def total(terms):
        return tuple(map(sum, zip(*terms, strict=True)))

    allowed = (HIDDEN[:, None] | (start[:, None] == np.arange(16))).astype(int)
    changed = allowed * (start[:, None] != np.arange(16))
    nodes = [
        list(zip(*row, strict=True)) for row in np.stack([allowed, changed, changed], 1).tolist()
    ]
    for table in np.asarray(grammar.rules).tolist():
        pairs = zip(nodes[::2], nodes[1::2], strict=True)
        nodes = [
            [total(product(left[x], right[y]) for x, y in rules) for rules in table]
            for left, right in pairs
        ]
    return total(nodes[0])


def test_reference_values_of_the_affine_grammar():
    grammar, start, likelihood = affine()
    differs = start[:, None] != jnp.arange(16)

    def field(strength):
        return rt.log_evidence(grammar, likelihood * jnp.exp(strength[:, None, None] * differs))

    zero, one = jnp.zeros(len(likelihood)), jnp.ones(len(likelihood))
    first = jax.grad(lambda strength: field(strength).sum())
    mean, variance = jax.jit(lambda at: jax.jvp(first, (at,), (one,)))(zero)
    found = np.stack(
        [
            rt.log_evidence(grammar, likelihood),
            rt.marginals(grammar, likelihood)[-1][:, 0, 0],
            mean,
            variance,
        ],
        -1,
    )
    np.testing.assert_allclose(found[:-1], list(AFFINE.values()), rtol=1e-12)
    count, changes, squares = exact_masked_moments(grammar, np.asarray(start))
    trees = math.log(count) - math.log(16) - 127 * math.log(4)
    average, square = Fraction(changes, count), Fraction(squares, count)
    np.testing.assert_allclose(
        found[-1],
        [trees, 0.268656716417910, float(average), float(square - average**2)],
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        [trees, float(average)], [-154.526011728837, 37.3059701492537], rtol=1e-12
    )


def test_reference_values_with_branching_three():
    grammar = rt.Grammar.affine(3, 8, 16, 3, multiplier=5, offset=3)
    likelihood = rt.likelihood.epsilon_process(grammar.reference_start(1).leaves, 0.4, vocabulary=8)
    np.testing.assert_allclose(rt.log_evidence(grammar, likelihood), -48.3104095959875, rtol=1e-12)
    np.testing.assert_allclose(
        rt.marginals(grammar, likelihood)[-1][0, 1], 0.883208049813124, rtol=1e-12
    )


def derivatives(function, base, direction, other, last):
    """Gradient, Hessian and third derivative, forward and reverse in any order."""

    def slope(x):
        return jax.jvp(function, (x,), (direction,))[1]

    def product(x):  # forward over reverse: a row of the Hessian
        return jax.jvp(jax.grad(lambda y: function(y).sum()), (x,), (other,))[1]

    def reverse(x):  # reverse over reverse
        return jax.grad(lambda y: (jax.grad(lambda z: function(z).sum())(y) * direction).sum())(x)

    gradient = jax.grad(lambda x: function(x).sum())
    return jax.jit(
        lambda x: (
            slope(x),
            gradient(x),
            product(x),
            reverse(x),
            jax.jvp(product, (x,), (last,))[1],
        )
    )(base)


@functools.cache
def of_a_plain_pass():
    """A grammar, 18 likelihoods and three directions for each, and the derivatives there.

    The likelihoods have zeros, where the derivatives are finite too.
    """
    grammar = rt.Grammar.affine(3, 3, 2, 2, multiplier=7, offset=2)
    generator = np.random.default_rng(1)
    base = np.concatenate(
        [enumeration.random_likelihoods(generator, grammar)[[0, 2, 3]] for _ in range(6)]
    )
    points = (base, *generator.normal(size=(3, *base.shape)))
    return (
        grammar,
        points,
        derivatives(jax.vmap(functools.partial(plain_log_evidence, grammar)), *points),
    )


def assert_derivatives_are_those_of_a_plain_pass(batch):
    """The first ``batch`` likelihoods, each of which has derivatives of its own."""
    grammar, points, plain = of_a_plain_pass()
    ours = derivatives(
        lambda x: rt.log_evidence(grammar, x), *(values[:batch] for values in points)
    )
    for found, of_all in zip(ours, plain, strict=True):
        expected = np.asarray(of_all)[:batch]
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12 * abs(expected).max())


@pytest.mark.parametrize(
    "batch", [3, pytest.param(messages.STREAMED_BATCH, marks=pytest.mark.slow)]
)
def test_derivatives_are_those_of_a_plain_pass(batch):
    assert_derivatives_are_those_of_a_plain_pass(batch)


def count_calls(monkeypatch, module, name, function):
    """Put ``function`` in the place of a module's own, and list its calls."""
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return function(*arguments)

    monkeypatch.setattr(module, name, counted)
    return calls


# Batches of other sizes than elsewhere: what was compiled under other settings is not used.
OTHER_DEVICES = 4
IN_SUBTREES = 5


def test_derivatives_are_those_of_a_plain_pass_on_other_devices(monkeypatch):
    """The passes of other devices than a CPU, which a CPU can run as well."""
    calls = count_calls(monkeypatch, messages, "_loops", lambda: False)
    assert_derivatives_are_those_of_a_plain_pass(OTHER_DEVICES)
    assert calls


@pytest.fixture
def tiny_cache(monkeypatch):
    """A cache that holds one level of two trees with three symbols.

    So that small trees are cut like deep ones. The calls that ask for the levels are listed.
    """
    monkeypatch.setattr(messages, "ENTRIES_IN_CACHE", 12)
    monkeypatch.setattr(messages, "LEAST_BATCH", 2)
    return count_calls(monkeypatch, messages, "levels_in_cache", messages.levels_in_cache)


def test_derivatives_of_trees_cut_into_subtrees_are_those_of_a_plain_pass(tiny_cache):
    assert_derivatives_are_those_of_a_plain_pass(IN_SUBTREES)
    assert tiny_cache


@pytest.mark.slow
def test_trees_cut_into_subtrees_are_as_good_as_whole_ones(tiny_cache):
    """Level by level, several blocks of each; positive, impossible, with zeros, seen."""
    grammar = rt.Grammar.affine(3, 3, 2, 2, multiplier=7, offset=2)
    likelihood = enumeration.random_likelihoods(np.random.default_rng(4), grammar)
    likelihood[1, 5] = 0
    starts = grammar.reference_start(np.arange(5) % 3).leaves

    @jax.jit  # where impossible evidence gives NaN instead of an error
    def everything(likelihood, starts):
        return (
            rt.log_evidence(grammar, likelihood),
            rt.marginals(grammar, likelihood),
            rt.susceptibility(grammar, likelihood, starts),
            rt.change_cumulants(grammar, likelihood, starts, order=3),
            rt.change_moments(grammar, likelihood, starts),
            rt.change_correlations(grammar, likelihood, starts),
        )

    assert messages.levels_in_cache(grammar.rules) == 1
    assert len(likelihood) == IN_SUBTREES
    cut = everything(likelihood, starts)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(messages, "ENTRIES_IN_CACHE", 2**16)
        assert messages.levels_in_cache(grammar.rules) == 3
        twice = everything(np.tile(likelihood, (2, 1, 1)), jnp.tile(starts, (2, 1)))
        whole = jax.tree.map(lambda leaf: leaf[:IN_SUBTREES], twice)
    assert cut[0][1] == -np.inf
    assert np.isfinite(np.delete(cut[0], 1)).all()
    assert np.isnan(cut[1][-1][1]).all()
    assert np.isnan(cut[2][1])
    for found, expected in zip(jax.tree.leaves(cut), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


def test_the_marginals_are_the_derivative_at_depth_ten():
    grammar = rt.Grammar.affine(10, 8, 3, 2, multiplier=37, offset=11)
    start = grammar.reference_start([0, 5]).leaves
    likelihood = rt.likelihood.epsilon_process(start, jnp.array([0.0, 0.6]), vocabulary=8)
    nodes = rt.marginals(grammar, likelihood)
    for level, found in enumerate(nodes):
        assert found.shape == (2, 2 ** (10 - level), 8)
        np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-10)
    plain = jax.jit(jax.grad(functools.partial(plain_log_evidence, grammar)))(
        likelihood[1] * 4.0
    )  # scaled, or it would underflow
    np.testing.assert_allclose(plain * 4.0 * likelihood[1], nodes[0][1], rtol=1e-10)
    assert (nodes[0][0] == likelihood[0]).all()  # without noise, the start


def test_many_rules_are_summed_piece_by_piece(monkeypatch):
    grammar = rt.Grammar.affine(2, 4, 6, 3, multiplier=37, offset=11)
    likelihood = np.random.default_rng(2).uniform(size=(9, 4))
    expected = plain_log_evidence(grammar, likelihood)
    monkeypatch.setattr(messages, "UNROLLED_RULES", 4)  # pieces of 3
    np.testing.assert_allclose(rt.log_evidence(grammar, likelihood), expected, rtol=1e-14)


def test_batches_and_many_grammars():
    shape = enumeration.SHAPES[1]
    grammars = [enumeration.random_grammar(seed, shape) for seed in range(4)]
    stacked = jax.tree.map(lambda *rules: jnp.stack(rules), *grammars)
    likelihood = np.random.default_rng(3).uniform(size=(2, 3, 4, 3))
    many = jax.vmap(rt.log_evidence, (0, None))(stacked, likelihood)
    nodes = jax.vmap(rt.marginals, (0, None))(stacked, likelihood)
    slope = jax.vmap(jax.grad(lambda grammar, x: rt.log_evidence(grammar, x).sum(), 1), (0, None))(
        stacked, likelihood
    )
    assert many.shape == (4, 2, 3)
    assert [level.shape for level in nodes] == [(4, 2, 3, 4, 3), (4, 2, 3, 2, 3), (4, 2, 3, 1, 3)]
    for index, grammar in enumerate(grammars):
        np.testing.assert_allclose(many[index], rt.log_evidence(grammar, likelihood), rtol=1e-14)
        np.testing.assert_allclose(
            many[index, 1, 2], plain_log_evidence(grammar, likelihood[1, 2]), rtol=1e-14
        )
        np.testing.assert_allclose(nodes[0][index], slope[index] * likelihood, rtol=1e-13)


def test_a_new_grammar_compiles_nothing():
    shape = enumeration.SHAPES[1]
    likelihood = np.ones((4, 3))
    rt.log_evidence(enumeration.random_grammar(0, shape), likelihood)
    before = inference._log_evidence._cache_size()
    rt.log_evidence(enumeration.random_grammar(1, shape), likelihood)
    assert inference._log_evidence._cache_size() == before


def test_a_factor_a_leaf_only_shifts():
    """Even one that would underflow at once, or overflow."""
    grammar = rt.Grammar.affine(3, 4, 3, 2, multiplier=7, offset=3)
    generator = np.random.default_rng(4)
    likelihood = generator.uniform(size=(8, 4))
    exponents = generator.choice([-290, 0, 290], size=(8, 1))
    shifted = rt.log_evidence(grammar, likelihood * 10.0**exponents)
    expected = rt.log_evidence(grammar, likelihood) + np.log(10) * exponents.sum()
    np.testing.assert_allclose(
        shifted, expected, rtol=0, atol=8 * EPS * 290 * np.log(10) * 8
    )  # the logs of eight factors, rounded


def impossible_cases():
    """A grammar without the pair (0.

    0) at level 1, and with one pair of symbols that no rule gives at level 2.
    """
    grammar = rt.Grammar([[[[0, 1]], [[1, 0]], [[1, 1]]], [[[0, 1]], [[1, 2]], [[2, 0]]]])
    seen = functools.partial(rt.likelihood.exact, vocabulary=3)
    return grammar, 1.0 * jnp.stack(
        [
            seen([0, 1, 1, 0]),
            seen([0, 1, 0, 0]),
            seen([0, 1, 1, 1]),
            seen([0, 1, 1, 0]).at[3].set(False),
        ]
    )


def test_impossible_evidence():
    grammar, likelihood = impossible_cases()
    expected = [-np.log(3), -np.inf, -np.inf, -np.inf]
    np.testing.assert_allclose(rt.log_evidence(grammar, likelihood), expected, rtol=1e-15)
    np.testing.assert_allclose(jax.jit(rt.log_evidence)(grammar, likelihood), expected, rtol=1e-15)
    place = rt.impossible_at(grammar, likelihood)
    assert place.level.tolist() == [-1, 1, 2, 0]
    assert place.node.tolist() == [-1, 1, 0, 3]
    with pytest.raises(
        ValueError,
        match=r"likelihood at index \(1,\) is impossible: no symbol is left for node 1 of level 1",
    ):
        rt.marginals(grammar, likelihood)
    # Traced: NaN, in the entries that are impossible and in no other.
    traced = jax.jit(rt.marginals)(grammar, likelihood)
    for level in traced:
        assert np.isfinite(level[0]).all()
        assert np.isnan(level[1:]).all()


def nan_shares(found, number):
    """Of each array: the share of the entries of one sequence that are NaN, -1 in integers."""
    return [
        np.mean(np.isnan(array[number]) if array.dtype.kind == "f" else array[number] == -1)
        for array in map(np.asarray, jax.tree.leaves(found))
    ]


def every_posterior(model, likelihood, starts):
    """What any model computes from its posterior."""
    moments = rt.change_moments(model, likelihood, starts)
    return (
        rt.marginals(model, likelihood),
        moments,
        (moments.leaf_changed, moments.leaf_variance, moments.susceptibility),
        rt.change_correlations(model, likelihood, starts),
        rt.sample_posterior(jax.random.key(0), model, likelihood),
    )


def assert_nothing_but_nan_for_the_impossible(found, impossible):
    for number, expected in enumerate(impossible):
        shares = nan_shares(found, number)
        assert shares == [float(expected)] * len(shares)


@pytest.mark.parametrize("cut", [pytest.param(False, marks=pytest.mark.slow), True])
def test_all_of_a_posterior_of_impossible_evidence_is_nan_inside_jit(cut, request):
    """Never NaN mixed with 0: a dead leaf, a contradiction of two leaves, all zeros."""
    grammar = rt.Grammar.affine(3, 3, 2, 2, multiplier=7, offset=2)
    likelihood = enumeration.random_likelihoods(np.random.default_rng(4), grammar)[:4]
    likelihood[:] = np.random.default_rng(4).uniform(0.1, 1, likelihood.shape)
    derived = {tuple(rule) for rule in np.asarray(grammar.rules[0]).reshape(-1, 2).tolist()}
    never = next(pair for pair in itertools.product(range(3), repeat=2) if pair not in derived)
    likelihood[1, 5] = 0
    likelihood[2, 2:4] = np.eye(3)[list(never)]
    likelihood[3] = 0
    starts = grammar.reference_start(np.arange(4) % 3).leaves
    if cut:
        request.getfixturevalue("tiny_cache")

    def everything(likelihood):
        return (
            every_posterior(grammar, likelihood, starts),
            rt.susceptibility(grammar, likelihood, starts),
            rt.change_cumulants(grammar, likelihood, starts, order=3),
            rt.change_distribution(grammar, likelihood, starts),
            rt.mean_by_distance(rt.change_correlations(grammar, likelihood, starts)),
        )

    found = jax.jit(everything)(likelihood)
    assert_nothing_but_nan_for_the_impossible(found, [False, True, True, True])


def test_a_chain_gives_nan_alone_for_impossible_evidence():
    cyclic = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]])
    chain = rt.controls.markov_chain(cyclic, length=6)
    likelihood = np.random.default_rng(0).uniform(0.1, 1, (3, 6, 3))
    likelihood[1, 2] = 0
    likelihood[2, :2] = np.eye(3)[[0, 2]]  # 2 never follows 0
    found = jax.jit(functools.partial(every_posterior, chain))(likelihood, np.zeros((3, 6), int))
    assert_nothing_but_nan_for_the_impossible(found, [False, True, True])


@pytest.mark.slow
def test_impossible_evidence_has_derivatives_0():
    """No NaN reaches the parameters of a likelihood, in any mode and order.

    What is possible is not touched.
    """
    grammar, likelihood = impossible_cases()

    def values(sharpness):
        return rt.log_evidence(grammar, likelihood * jnp.exp(sharpness * jnp.arange(3.0)))

    for derivative in (
        jax.jacfwd(values),
        jax.jacrev(values),
        jax.jacrev(jax.jacfwd(values)),
        jax.jacfwd(jax.jacrev(values)),
    ):
        found = derivative(0.1)
        np.testing.assert_allclose(found[0], jax.jit(derivative)(0.1)[0], rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(found[1:], 0)
    np.testing.assert_allclose(
        jax.jacfwd(values)(0.1)[0], 2, rtol=1e-14
    )  # its four leaves are seen: 0 + 1 + 1 + 0
    masked = jax.grad(
        lambda x: jnp.where(
            jnp.isfinite(rt.log_evidence(grammar, x)), rt.log_evidence(grammar, x), 0
        ).sum()
    )(likelihood)
    np.testing.assert_array_equal(masked[1:], 0)
    assert np.isfinite(masked).all()
    assert np.isnan(
        jax.jit(rt.log_evidence)(grammar, jnp.nan * likelihood)
    ).all()  # nonsense is not taken for impossible


def test_a_contradiction_beyond_the_floats_is_told_from_an_impossibility():
    grammar, _ = impossible_cases()
    far = jnp.broadcast_to(
        jnp.array([1, 1e-200, 1e-200]), (4, 3)
    )  # each pair is impossible but for 1e-200
    assert np.isfinite(rt.log_evidence(grammar, far**0.5))
    assert rt.impossible_at(grammar, far).level == -1
    assert rt.log_evidence(grammar, far) == -np.inf
    with pytest.raises(
        ValueError, match="likelihood contradicts itself beyond the range of float64"
    ):
        rt.marginals(grammar, far)


@pytest.mark.slow
def test_long_sequences_neither_underflow_nor_overflow():
    """Thousands of leaves, seen through noise, in both precisions.

    Nothing has left the range of the floats.
    """
    grammar = rt.Grammar.affine(8, 6, 6, 3, multiplier=35, offset=11)
    tree = grammar.reference_start(2)
    likelihood = rt.likelihood.uniform_flips(jax.random.key(8), tree.leaves, 0.2, vocabulary=6)
    assert -11_000 < rt.log_evidence(grammar, likelihood) < -9000
    nodes = rt.marginals(grammar, np.float32(likelihood))
    for level in nodes:
        np.testing.assert_allclose(level.sum(-1), 1, rtol=1e-5)  # 7e-7 are reached


@pytest.mark.slow
def test_single_precision():
    """float32 stays float32.

    The errors reached are 3.5e-7 (log evidence, relative) and 5e-7 (marginals).
    """
    grammar, _, likelihood = affine()
    single = np.float32(likelihood)
    evidence, posterior = rt.log_evidence(grammar, single), rt.marginals(grammar, single)
    assert {evidence.dtype, *(level.dtype for level in posterior)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(evidence, rt.log_evidence(grammar, likelihood), rtol=2e-6)
    for level, expected in zip(posterior, rt.marginals(grammar, likelihood), strict=True):
        np.testing.assert_allclose(level, expected, atol=2e-6)
    with jax.enable_x64(False):
        small = enumeration.random_grammar(0, enumeration.SHAPES[1])
        assert rt.log_evidence(small, np.ones((4, 3))).dtype == np.float32
        assert rt.marginals(small, np.ones((4, 3)))[0].dtype == np.float32


def test_generating_functions_on_the_circle():
    """The upward pass takes complex likelihoods: its scales are moduli."""
    grammar = enumeration.random_grammar(1, enumeration.SHAPES[2])
    generator = np.random.default_rng(5)
    likelihood = generator.uniform(size=(3, 8, 2)) * np.exp(
        2j * np.pi * generator.uniform(size=(3, 8, 2))
    )
    passed = messages.upward_pass(grammar.rules, jnp.asarray(likelihood))
    total = passed.messages[-1].sum(0)[0] * np.exp(passed.log_scale)
    trees = enumeration.all_trees(np.asarray(grammar.rules))
    expected = [enumeration.weights(trees, one).sum() * len(trees[0]) for one in likelihood]
    np.testing.assert_allclose(total, expected, rtol=1e-12)


@pytest.mark.parametrize("function", [rt.log_evidence, rt.marginals, rt.impossible_at])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda x: x[:, :3],
            ValueError,
            r"likelihood must end in the axes \(length, vocabulary\) = \(4, 3\), "
            r"got shape \(2, 3, 3\)",
        ),
        (lambda x: x[..., :2], ValueError, r"got shape \(2, 4, 2\)"),
        (lambda x: x[0, 0], ValueError, r"got shape \(3,\)"),
        (
            lambda x: x - 2 * (np.indices(x.shape).sum(0) == 6),
            ValueError,
            r"likelihood must be finite and >= 0, got -1 at index \(1, 3, 2\)",
        ),
        (
            lambda x: np.where(np.indices(x.shape).sum(0) == 6, np.nan, x),
            ValueError,
            r"likelihood must be finite and >= 0, got nan",
        ),
        (
            lambda x: np.where(np.indices(x.shape).sum(0) == 6, np.inf, x),
            ValueError,
            r"likelihood must be finite and >= 0, got inf",
        ),
        (
            lambda x: x > 0,
            TypeError,
            r"likelihood must be a real number or an array of them, got an array of bool",
        ),
        (lambda x: x * 1j, TypeError, r"likelihood must be a real number"),
    ],
    ids=["length", "vocabulary", "axes", "negative", "nan", "infinite", "bool", "complex"],
)
def test_bad_likelihoods(function, change, error, message):
    grammar = enumeration.random_grammar(0, enumeration.SHAPES[1])
    with pytest.raises(error, match=message):
        function(grammar, change(np.ones((2, 4, 3))))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_traced_what_is_no_likelihood_gives_nan_and_its_neighbours_are_untouched(bad):
    grammar = enumeration.random_grammar(0, enumeration.SHAPES[1])
    good = np.random.default_rng(6).uniform(size=(2, 4, 3))
    broken = good.copy()
    broken[1, 3, 2] = bad
    found, nodes = jax.jit(lambda x: (rt.log_evidence(grammar, x), rt.marginals(grammar, x)))(
        broken
    )
    assert np.isnan(found[1])
    np.testing.assert_allclose(found[0], rt.log_evidence(grammar, good)[0], rtol=1e-14)
    for level, expected in zip(nodes, rt.marginals(grammar, good), strict=True):
        assert np.isnan(level[1]).all()
        np.testing.assert_allclose(level[0], expected[0], rtol=1e-14)


def test_constants_inside_another_trace():
    """A likelihood that a jitted function of something else holds is checked there, as outside."""
    grammar = rt.Grammar.random(
        jax.random.key(0), depth=2, vocabulary=3, rules_per_symbol=2, branching=2
    )
    leaves = grammar.sample(jax.random.key(1)).leaves
    likelihood = rt.likelihood.epsilon_process(leaves, 0.5, vocabulary=3)
    scaled = jax.jit(lambda factor: factor * rt.log_evidence(grammar, likelihood))(2.0)
    np.testing.assert_allclose(scaled, 2 * rt.log_evidence(grammar, likelihood), rtol=1e-14)
    sampled = jax.jit(lambda key: rt.sample_posterior(key, grammar, likelihood).leaves)
    np.testing.assert_array_equal(
        sampled(jax.random.key(2)),
        rt.sample_posterior(jax.random.key(2), grammar, likelihood).leaves,
    )
    negative = -likelihood
    with pytest.raises(ValueError, match="likelihood must be finite and >= 0"):
        jax.jit(lambda factor: factor * rt.log_evidence(grammar, negative))(2.0)


def test_an_empty_batch_and_what_is_no_grammar():
    grammar, likelihood = impossible_cases()
    none = np.zeros((0, 2, 4, 3))
    assert (
        rt.log_evidence(grammar, none).shape
        == rt.impossible_at(grammar, none).level.shape
        == (0, 2)
    )
    assert [level.shape for level in rt.marginals(grammar, none)] == [
        (0, 2, 4, 3),
        (0, 2, 2, 3),
        (0, 2, 1, 3),
    ]
    assert rt.sample_posterior(jax.random.key(0), grammar, none, (5,)).leaves.shape == (5, 0, 2, 4)
    for function in (rt.log_evidence, rt.marginals, rt.impossible_at):
        with pytest.raises(TypeError, match=r"must be a Grammar.*, got ArrayImpl"):
            function(grammar.rules, likelihood)
