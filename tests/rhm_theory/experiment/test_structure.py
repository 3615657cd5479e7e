"""The verdict: on samples made by NumPy alone, and its numbers against their definitions."""

import itertools

import numpy as np
import pytest

from rhm_theory.experiment import reading, structure, study, zoo


def nested(rng, starts=80, trajectories=16, length=16, branching=2):
    """A site changes if its own coin or that of a block above it falls so: all levels alike."""
    changed = np.zeros((starts, trajectories, length), bool)
    size = 1
    while size <= length:
        coins = rng.random((starts, trajectories, length // size)) < 0.12
        changed |= np.repeat(coins, size, -1)
        size *= branching
    return changed


def flat(rng, starts=80, trajectories=16, length=16):
    """All sites change with one probability, which each trajectory draws."""
    chance = rng.choice([0.1, 0.8], (starts, trajectories, 1))
    return rng.random((starts, trajectories, length)) < chance


def chain(rng, starts=80, trajectories=16, length=16):
    """A site copies the change of the one before it with probability 0.6."""
    fresh = rng.random((starts, trajectories, length)) < 0.4
    copies = rng.random((starts, trajectories, length)) < 0.6
    for site in range(1, length):
        fresh[..., site] = np.where(copies[..., site], fresh[..., site - 1], fresh[..., site])
    return fresh


def cut(rng):
    """Nested blocks whose place differs from start to start."""
    wide = nested(rng, length=32)
    places = rng.integers(0, 16, len(wide))
    return np.stack([rows[:, at : at + 16] for rows, at in zip(wide, places, strict=True)])


@pytest.mark.parametrize(
    ("make", "verdict", "aligned"),
    [
        (nested, "hierarchical", "hierarchical"),
        (flat, "flat", "flat"),
        (chain, "undecided", "flat"),
        (cut, "undecided", None),
    ],
)
def test_the_verdict_on_samples_of_known_structure(make, verdict, aligned):
    changed = make(np.random.default_rng(5))
    found = structure.structure(changed)
    assert found.verdict == verdict
    if aligned is not None:
        assert structure.structure(changed, aligned=True).verdict == aligned
    if verdict == "undecided":
        assert found.wrong is None
        assert "close" in found.reason
    else:
        assert 0 <= found.wrong["rate"] < 0.05


def test_blocks_of_three_are_told_from_blocks_of_two():
    changed = nested(np.random.default_rng(6), length=27, branching=3)
    found = structure.structure(changed)
    assert (found.branching, found.levels) == (3, 3)
    assert found.reason == "Sites change together in nested blocks of 3, 9 and all."
    read = reading.reading(reading.correlation_rows(changed))
    assert (read.branching, read.levels) == (3, 3)


def test_independent_sites_give_no_verdict():
    """Of 40 files without any correlation at most two get one."""
    rng = np.random.default_rng(7)
    found = [structure.structure(rng.random((30, 8, 9)) < 0.3).verdict for _ in range(40)]
    assert found.count("hierarchical") + found.count("flat") <= 2


def test_a_word_of_one_level_is_no_hierarchy():
    rng = np.random.default_rng(8)
    changed = rng.random((60, 16, 16)) < 0.1
    changed |= np.repeat(rng.random((60, 16, 4)) < 0.3, 4, -1)
    found = structure.structure(changed)
    assert found.verdict == "undecided"
    assert "One level of blocks is seen (of 4 sites)" in found.reason
    assert found.blocks.branching == 4


def test_the_numbers_are_those_of_their_definitions():
    changed = nested(np.random.default_rng(9), starts=7, trajectories=5, length=8)
    found = structure.structure(changed)
    matrices = [np.cov(rows.T, ddof=1) for rows in changed.astype(float)]
    variance = np.mean([np.trace(matrix) / 8 for matrix in matrices])
    mean = np.mean(matrices, 0)
    np.testing.assert_allclose(found.near.value, np.diag(mean, 1).mean() / variance)
    far = np.concatenate([np.diag(mean, r) for r in range(4, 8)]).mean()
    np.testing.assert_allclose(found.far.value, far / variance)
    # Least squares with one unknown for each distance, and one for each size of the blocks.
    pairs = list(itertools.combinations(range(8), 2))
    sizes = found.blocks.sizes
    design = [
        [float(j - i == r) for r in range(1, 8)] + [float(i // s == j // s) for s in sizes]
        for i, j in pairs
    ]
    values = [mean[i, j] for i, j in pairs]
    solved = np.linalg.lstsq(np.array(design), np.array(values), rcond=None)[0][7:]
    np.testing.assert_allclose(found.blocks.excess.value, solved / variance, atol=1e-12)
    # The energy is that of two different starts, so that noise does not add to it.
    both = [
        np.sum([a[i, j] * b[i, j] for i, j in pairs])
        for a, b in itertools.permutations(matrices, 2)
    ]
    rows = np.array([[matrix[i, j] for i, j in pairs] for matrix in matrices])
    total = ((rows.sum(0) ** 2).sum() - (rows**2).sum()) / 42
    np.testing.assert_allclose(np.mean(both), total)
    left = [row - np.array(design)[:, :7] @ distance_means(row, pairs) for row in rows]
    basis = np.array(design)[:, 7:]
    basis = basis - np.array(design)[:, :7] @ np.stack(
        [distance_means(column, pairs) for column in basis.T], 1
    )
    hat = basis @ np.linalg.pinv(basis)
    explained = np.mean([(hat @ a) @ (hat @ b) for a, b in itertools.permutations(left, 2)])
    np.testing.assert_allclose(found.blocks.energy, explained / abs(total))


def distance_means(values, pairs):
    distance = np.array([j - i for i, j in pairs])
    return np.array([values[distance == r].mean() for r in range(1, 8)])


def test_starts_of_one_group_count_as_one():
    """Each start twice, as one group: the mean is the same, and the errors are not smaller."""
    changed = nested(np.random.default_rng(5), starts=20)
    once = structure.structure(changed)
    twice = structure.structure(np.repeat(changed, 2, 0), groups=np.repeat(np.arange(20), 2))
    np.testing.assert_allclose(twice.scores, once.scores, rtol=1e-9)
    np.testing.assert_allclose(twice.blocks.energy, once.blocks.energy, rtol=1e-9)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (np.zeros((9, 4, 8), bool), "no site changed"),
        (np.ones((3, 4, 8), bool), "at least 4 starts"),
        (np.ones((9, 4, 3), bool), "at least 4 sites"),
    ],
)
def test_too_little_is_undecided_with_a_reason(changed, reason):
    found = structure.structure(changed)
    assert found.verdict == "undecided"
    assert reason in found.reason


def test_padding_is_left_out():
    changed = nested(np.random.default_rng(5))
    wide = np.concatenate([changed, np.ones((80, 16, 3), bool)], -1)
    inside = np.ones((80, 19), bool)
    inside[:, 16:] = False
    assert structure.structure(wide, inside=inside).scores == structure.structure(changed).scores


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="changed must be boolean of shape"):
        structure.structure(np.zeros((4, 5), bool))
    with pytest.raises(ValueError, match=r"inside must be boolean of shape \(4, 8\)"):
        structure.structure(np.zeros((4, 5, 8), bool), inside=np.ones((4, 5), bool))


def test_thresholds_let_one_in_a_hundred_through():
    scores = np.arange(1000.0)
    limit = study.threshold(scores)
    assert np.sum(scores >= limit) == 10
    assert study.threshold(np.zeros(50)) == study.LEAST


def test_the_committed_study_is_one():
    """Its matrix has every family and size, and its rates are those of the matrix."""
    committed = structure.study()
    files = committed["files"]
    names = {f"{family}, {a} x {b}" for family in zoo.FAMILIES for a, b in study.SIZES}
    assert set(committed["confusion"]) == names
    for name, counts in committed["confusion"].items():
        assert sum(counts.values()) == files * (2 if name.startswith("tree") else 1)
    assert committed["wrong"] == study.wrong_rates(committed["confusion"])
    assert committed["wrong"]["hierarchical"]["rate"] < 0.03
    assert committed["wrong"]["flat"]["rate"] < 0.03


@pytest.mark.slow  # each family compiles its own functions
@pytest.mark.parametrize("family", ["tree", "uneven tree", "words", "mixture", "field"])
def test_the_synthetic_files_are_what_they_say(family):
    one = zoo.file(family, "training", 4, starts=8, trajectories=4)
    again = zoo.file(family, "training", 4, starts=8, trajectories=4)
    np.testing.assert_array_equal(one.changed, again.changed)
    assert one.changed.dtype == bool
    assert one.changed.shape[:2] == (8, 4)
    assert 0 < one.changed.mean() < 1
