"""Grammars: which rules are allowed.

How random ones are drawn, and that sampling, derivation and parsing agree.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import rhm_theory as rt
from rhm_theory.models import grammar as module

LEVEL = 1e-4  # of every chi-square test; the seeds are fixed, so a test that passes goes on passing
SMALL = {"depth": 2, "vocabulary": 3, "rules_per_symbol": 2, "branching": 2}
SHAPES = [
    SMALL,
    {"depth": 2, "vocabulary": 50, "rules_per_symbol": 3, "branching": 12},
]  # of more tuples than 64 bits can number


def agree(first, second):
    return all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), first, second)))


def affine_reference():
    return rt.Grammar.affine(7, 16, 4, 2, multiplier=37, offset=11)


def test_the_reference_starts():
    leaves = affine_reference().reference_start(0).leaves
    assert leaves[:12].tolist() == [8, 12, 5, 5, 8, 6, 14, 15, 3, 0, 12, 13]
    assert int(leaves.sum()) == 1021
    leaves = (
        rt.Grammar.affine(
            depth=3, vocabulary=8, rules_per_symbol=16, branching=3, multiplier=5, offset=3
        )
        .reference_start(1)
        .leaves
    )
    assert leaves[:6].tolist() == [1, 3, 0, 5, 1, 5]
    assert int(leaves.sum()) == 89


def test_affine_beyond_64_bits():
    vocabulary, branching, rules, multiplier = 100, 10, 3, 10**25 + 1
    table = rt.Grammar.affine(
        2, vocabulary, rules, branching, multiplier=multiplier, offset=7
    ).rules
    code = ((45 * rules + 2) * multiplier + 14) % vocabulary**branching
    assert int("".join(f"{digit:02d}" for digit in table[1, 45, 2].tolist())) == code


def test_sizes():
    grammar = rt.Grammar.affine(3, 8, 16, 3, multiplier=5, offset=3)
    assert (
        grammar.depth,
        grammar.vocabulary,
        grammar.rules_per_symbol,
        grammar.branching,
        grammar.length,
    ) == (3, 8, 16, 3, 27)
    assert [grammar.nodes(level) for level in range(4)] == [27, 9, 3, 1]
    assert grammar.inner_nodes == 13
    assert repr(grammar) == "Grammar(depth=3, vocabulary=8, rules_per_symbol=16, branching=3)"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_random_grammars_are_unambiguous_and_parse_what_they_sample(shape):
    grammar = rt.Grammar.random(jax.random.key(1), **shape)
    rt.Grammar(np.asarray(grammar.rules))  # a traced table would not be checked
    tree = grammar.sample(jax.random.key(2), (5, 2))
    assert tree.leaves.shape == (5, 2, grammar.length)
    assert tree.root.shape == (5, 2)
    assert [rule.shape[-1] for rule in tree.rules] == [
        grammar.nodes(level) for level in range(1, grammar.depth + 1)
    ]
    assert agree(grammar.derive(tree.root, tree.rules), tree)
    assert agree(grammar.parse(tree.leaves), tree)
    assert bool(grammar.contains(tree.leaves).all())


@pytest.mark.parametrize("ratio", [4, 0], ids=["shuffled", "drawn again"])
def test_random_tuples_are_uniform(ratio, monkeypatch):
    """All 12 ordered pairs of distinct tuples among four are equally likely.

    By either way to draw them.
    """
    monkeypatch.setattr(module, "SHUFFLED_TUPLES_PER_DRAW", ratio)
    module._distinct_tuples.clear_cache()
    keys = jax.random.split(jax.random.key(3), 6000)
    tuples = np.asarray(module._distinct_tuples(keys, 2, 2, 2))
    module._distinct_tuples.clear_cache()
    first, second = (tuples @ [2, 1]).T
    counts = np.bincount(4 * first + second, minlength=16).reshape(4, 4)
    assert counts.trace() == 0
    assert scipy.stats.chisquare(counts[~np.eye(4, dtype=bool)]).pvalue > LEVEL


def test_random_serves_jit_and_vmap():
    keys = jax.random.split(jax.random.key(4), 3)
    many = jax.jit(jax.vmap(lambda key: rt.Grammar.random(key, **SMALL)))(keys)
    assert many.rules.shape == (3, 2, 3, 2, 2)
    assert (many.depth, many.branching) == (2, 2)
    assert agree(rt.Grammar.random(keys[1], **SMALL).rules, many.rules[1])
    assert (
        len({table.tobytes() for table in np.asarray(many.rules).reshape(6, -1)}) == 6
    )  # no level repeats another


def test_the_language_by_enumeration():
    grammar = rt.Grammar.random(jax.random.key(5), **SMALL)
    table = np.asarray(grammar.rules).tolist()
    language = {
        (*table[0][left][i], *table[0][right][j])
        for root, k, i, j in itertools.product(range(3), range(2), range(2), range(2))
        for left, right in [table[1][root][k]]
    }
    everything = np.array(list(itertools.product(range(3), repeat=4)))
    valid = np.array([tuple(leaves) in language for leaves in everything.tolist()])
    assert valid.sum() == len(language) == 24
    assert (np.asarray(grammar.contains(everything)) == valid).all()
    value = grammar.log_probability(everything)
    np.testing.assert_allclose(value[valid], -np.log(24), rtol=1e-15)
    assert (value[~valid] == -np.inf).all()


def test_samples_are_uniform():
    grammar = rt.Grammar.random(jax.random.key(6), **SMALL)
    tree = grammar.sample(jax.random.key(7), (24_000,))
    digits = np.concatenate([tree.symbols[2], *tree.rules[::-1]], -1)  # which tree, as a number
    counts = np.bincount(np.ravel_multi_index(digits.T, (3, 2, 2, 2)), minlength=24)
    assert scipy.stats.chisquare(counts).pvalue > LEVEL
    assert set(np.asarray(grammar.sample(jax.random.key(8), (50,), root=2).root).tolist()) == {2}
    assert (
        grammar.sample(jax.random.key(8), (4, 3), root=[0, 1, 2]).root.tolist() == [[0, 1, 2]] * 4
    )


def test_leaves_that_are_not_in_the_language():
    grammar = rt.Grammar.affine(3, 16, 4, 2, multiplier=37, offset=11)
    leaves = np.asarray(grammar.reference_start([0, 1, 2]).leaves).copy()
    table = np.asarray(grammar.rules[0]).reshape(-1, 2)
    leaves[1, 4:6] = next(
        pair for pair in itertools.product(range(16), repeat=2) if not (table == pair).all(-1).any()
    )
    with pytest.raises(
        ValueError,
        match=r"not in the language at index \(1,\): nodes 4 to 5 of level 0 .* no rule of level 1",
    ):
        grammar.parse(leaves)
    assert grammar.contains(leaves).tolist() == [True, False, True]
    tree = jax.jit(rt.Grammar.parse)(grammar, leaves)
    assert tree.root.tolist() == [0, -1, 2]
    assert tree.symbols[1][1, 2] == tree.symbols[2][1, 1] == tree.rules[0][1, 2] == -1
    assert (tree.symbols[1][1, :2] >= 0).all()
    # One level up: the last leaves of another level-1 symbol.
    above = np.asarray(grammar.rules[1]).reshape(-1, 2)
    left = int(tree.symbols[1][0, 0])
    right = next(symbol for symbol in range(16) if not (above == (left, symbol)).all(-1).any())
    leaves[0, 2:4] = grammar.rules[0, right, 0]
    with pytest.raises(
        ValueError,
        match=rf"at index \(0,\): nodes 0 to 1 of level 1 have the symbols \({left}, {right}\)",
    ):
        grammar.parse(leaves[[0, 2]])


def test_symbols_out_of_range_are_not_taken_for_others():
    """Traced, they cannot raise.

    A code of symbol v would be that of symbol 0 under the next prefix.
    """
    grammar = rt.Grammar.random(jax.random.key(1), **(SMALL | {"rules_per_symbol": 3}))
    leaves = jnp.array([[0, 3, 0, 0], [0, -1, 1, 1], [0, 2, 1, 1]])
    assert jax.jit(rt.Grammar.contains)(grammar, leaves).tolist() == [False, False, True]
    with pytest.raises(ValueError, match=r"leaves must be in 0 \.\. 2, got 3 at index \(0, 1\)"):
        grammar.contains(leaves)


def test_save_and_load(tmp_path):
    grammar = affine_reference()
    grammar.save(tmp_path / "rules")
    assert agree(rt.Grammar.load(tmp_path / "rules").rules, grammar.rules)
    np.savez(tmp_path / "other.npz", weights=np.ones(3))
    np.save(tmp_path / "array.npy", np.ones(3))
    np.savez(tmp_path / "bad.npz", rules=np.zeros((1, 2, 2, 2), int))
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.npz").write_text("rules")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "rules").read_bytes()[:100])
    damaged = dict.fromkeys(
        ["empty.npz", "text.npz", "cut.npz"],
        r"npz must be an .npz file with an array named rules: ",
    )
    for name, message in {
        "other.npz": "an array named rules",
        "array.npy": "an array named rules",
        "bad.npz": "unambiguous",
        **damaged,
    }.items():
        with pytest.raises(ValueError, match=message):
            rt.Grammar.load(tmp_path / name)


def test_a_frozen_pytree():
    grammar = rt.Grammar.random(jax.random.key(1), **SMALL)
    with pytest.raises(dataclasses.FrozenInstanceError):
        grammar.rules = grammar.rules
    stacked = jax.tree.map(lambda *rules: jnp.stack(rules), grammar, grammar)
    assert jax.vmap(lambda one: one.reference_start(1).leaves)(stacked).shape == (2, 4)
    assert repr(jax.tree.map(lambda _: None, grammar)) == "Grammar(None)"


PAIR = [[[0, 0], [0, 1]], [[1, 0], [1, 1]]]


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        (
            [PAIR, [[[0, 0], [0, 1]], [[1, 0], [0, 1]]]],
            ValueError,
            r"at level 2 symbol 0 \(rule 1\) and symbol 1 \(rule 1\) both become \(0, 1\)",
        ),
        (
            [[[[0, 0], [0, 2]], [[1, 0], [1, 1]]]],
            ValueError,
            r"rules must be in 0 \.\. 1, got 2 at index \(0, 0, 1, 1\)",
        ),
        ([[[[0, 0], [0, -1]], [[1, 0], [1, 1]]]], ValueError, r"got -1 at index"),
        (
            np.zeros((1, 2, 3, 2), int),
            ValueError,
            r"rules_per_symbol must be <= vocabulary \*\* \(branching - 1\) = 2",
        ),
        (
            PAIR,
            ValueError,
            r"axes \(depth, vocabulary, rules_per_symbol, branching\), got shape \(2, 2, 2\)",
        ),
        (np.zeros((1, 2, 1, 1), int), ValueError, r"branching must be >= 2, got 1"),
        (np.zeros((0, 2, 1, 2), int), ValueError, r"depth must be >= 1"),
        ([np.array(PAIR) * 1.0], TypeError, r"rules must be integers, got float64"),
        ([[[[0, 1], [1]]]], TypeError, r"rules must be integers in a rectangular array"),
    ],
    ids=[
        "ambiguous",
        "too large",
        "negative",
        "too many",
        "axes",
        "branching",
        "depth",
        "floats",
        "ragged",
    ],
)
def test_rules_that_are_no_grammar(rules, error, message):
    with pytest.raises(error, match=message):
        rt.Grammar(rules)


def test_other_bad_input():
    grammar = rt.Grammar.random(jax.random.key(1), **SMALL)
    with pytest.raises(
        ValueError, match=r"leaves must have a last axis of 4 = 2\*\*2 leaves, got shape \(2, 5\)"
    ):
        grammar.parse(np.zeros((2, 5), int))
    with pytest.raises(TypeError, match="leaves must be integers, got float64"):
        grammar.parse([0.0, 1.0, 0.0, 0.0])
    with pytest.raises(TypeError, match="leaves must be integers in a rectangular array"):
        grammar.parse([[0, 1, 0, 0], [0]])
    with pytest.raises(TypeError, match="leaves must be integers, got bool"):
        grammar.contains([True, False, True, True])
    with pytest.raises(ValueError, match=r"leaves must be in 0 \.\. 2, got 4294967296"):
        grammar.parse([2**32, 0, 0, 0])  # int32 would make it 0
    with pytest.raises(ValueError, match=r"root must be in 0 \.\. 2, got 3"):
        grammar.sample(jax.random.key(1), root=3)
    with pytest.raises(
        ValueError,
        match=r"multiplier must be prime to vocabulary = 16, or tuples would repeat; got 6",
    ):
        rt.Grammar.affine(2, 16, 4, 2, multiplier=6, offset=0)
    with pytest.raises(TypeError, match=r"depth must be an integer"):
        rt.Grammar.random(jax.random.key(0), **(SMALL | {"depth": 2.0}))
    with pytest.raises(ValueError, match=r"rules_per_symbol must be <= .* = 3"):
        rt.Grammar.random(jax.random.key(0), **(SMALL | {"rules_per_symbol": 4}))


def test_rules_of_a_derivation_are_checked():
    """One node too few was broadcast, and two levels exchanged made a tree of another grammar."""
    grammar = rt.Grammar.random(jax.random.key(1), **SMALL)
    two, one = np.zeros(2, int), np.zeros(1, int)
    for rules, message in (
        ([two], "rules must be 2 arrays, one a level and the bottom one first, got 1"),
        (None, "rules must be 2 arrays, .* got NoneType"),
        ([one, one], r"rules\[0\] must have a last axis of 2 nodes, got shape \(1,\)"),
        ([one, two], r"rules\[0\] must have a last axis of 2 nodes, got shape \(1,\)"),
        ([two, 0], r"rules\[1\] must have a last axis of 1 nodes, got shape \(\)"),
        (
            [two, np.zeros((3, 1), int)],
            r"one shape, got root \(2,\), rules\[0\] \(\), rules\[1\] \(3,\)",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            grammar.derive([0, 1], rules)
    tree = grammar.derive([0, 1], (two, one))
    assert [level.shape for level in (*tree.symbols, *tree.rules)] == [
        (2, 4),
        (2, 2),
        (2, 1),
        (2, 2),
        (2, 1),
    ]
    with pytest.raises(ValueError, match=r"root must broadcast to shape = \(\), got \(2,\)"):
        grammar.sample(jax.random.key(0), root=[0, 1])


def test_an_empty_batch_has_trees_of_an_empty_batch():
    grammar = rt.Grammar.random(jax.random.key(1), **SMALL)
    none = np.zeros((0, 4), int)
    for tree in (
        grammar.sample(jax.random.key(0), (0,)),
        grammar.parse(none),
        grammar.reference_start(np.zeros(0, int)),
    ):
        assert [level.shape for level in (*tree.symbols, *tree.rules)] == [
            (0, 4),
            (0, 2),
            (0, 1),
            (0, 2),
            (0, 1),
        ]
    assert grammar.contains(none).shape == grammar.log_probability(none).shape == (0,)
