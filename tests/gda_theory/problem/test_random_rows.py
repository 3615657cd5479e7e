"""Random rows are those of NumPy's generator, whatever JAX's settings."""

import jax
import numpy as np
import pytest

from gda_theory.problem import tables as data
from gda_theory.problem.random_rows import random_forget_set


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**40, 2**63, 2**200])
@pytest.mark.parametrize("count", [2, 60, 569, 1626])
def test_rows_are_those_of_numpys_generator(count, seed):
    size = (count + 1) // 2
    expected = np.random.default_rng(seed).choice(count, size, replace=False)
    found = np.flatnonzero(random_forget_set(count, size, seed))
    np.testing.assert_array_equal(found, np.sort(expected))


@pytest.mark.parametrize("seed", [0, 5, 2**40])
def test_a_setting_of_jax_changes_no_row(seed):
    masks = []
    for wide in (True, False):
        with jax.enable_x64(wide):
            masks.append(random_forget_set(60, 5, seed))
    np.testing.assert_array_equal(*masks)
    assert masks[0].sum() == 5


def test_the_stream_of_a_seed_is_the_one_that_published_numbers_rest_on():
    assert np.flatnonzero(random_forget_set(60, 5, 0)).tolist() == [15, 18, 29, 36, 47]


def test_seeds_of_any_size_differ():
    masks = {tuple(random_forget_set(60, 5, seed)) for seed in (0, 1, 2**32, 2**40, 2**64, 2**100)}
    assert len(masks) == 6


def test_the_command_means_the_same_rows():
    for seed in (0, 3, 2**40):
        found = data.load("breast_cancer", forget="random:28", seed=seed)
        np.testing.assert_array_equal(found.forget, random_forget_set(569, 28, seed))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((60, 5, -1), ValueError, "seed must be >= 0, got -1"),
        ((60, 5, 1.0), TypeError, "seed must be an integer, got 1.0"),
        ((60, 5, None), TypeError, "seed must be an integer"),
        ((60, -5, 0), ValueError, "size must be >= 0, got -5"),
        ((60, 61, 0), ValueError, "size must be <= count = 60, got 61"),
    ],
)
def test_what_is_wrong_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        random_forget_set(*arguments)
