"""The contrast of models from several seeds, from random changes."""

import numpy as np
import pytest

from rhm_theory.denoisers.sequences import backward, summary
from rhm_theory.denoisers.sequences.measurement import MODEL, Changes

GENERATOR = np.random.default_rng(2)
GROUPS = np.repeat(np.arange(6), 4)
LENGTH = 5


def pairs(blocks: float) -> backward.Pairs:
    """All tokens change together with probability ``blocks``, else each alone."""
    shape = (len(GROUPS), 2, 6)
    alone = GENERATOR.random((*shape, LENGTH)) < 0.5
    together = GENERATOR.random((*shape, 1)) < 0.5
    changed = np.where(GENERATOR.random((*shape, 1)) < blocks, together, alone)
    return backward.from_changes(changed, np.ones((*shape[:2], LENGTH), bool))


def changes(**laws: float) -> Changes:
    return Changes(
        levels=(0.7, 1.0),
        tokens=np.zeros((len(GROUPS), LENGTH), int),
        groups=GROUPS,
        pairs={name: [pairs(blocks), pairs(0)] for name, blocks in laws.items()},
    )


def by_hand(found: Changes, name: str) -> float:
    """chi(0.7) - chi(1) from the covariances of all tokens."""
    chi = [one.covariance.sum() / one.variance.sum() for one in found.pairs[name]]
    return chi[0] - chi[1]


def test_the_mean_over_seeds_is_that_of_the_covariances():
    seeds = [changes(**{MODEL: 0.8, "control": 0.4}), changes(**{MODEL: 0.6})]
    found = summary.mean_contrasts(seeds, r_max=LENGTH - 1)
    mean = np.mean([by_hand(one, MODEL) for one in seeds])
    assert found.own[MODEL].value == pytest.approx(mean)
    assert found.own["control"].value == pytest.approx(by_hand(seeds[0], "control"))
    assert found.above["control"].value == pytest.approx(mean - by_hand(seeds[0], "control"))
    # Seeds that differ widen the interval.
    alone = summary.contrasts(seeds[0], r_max=LENGTH - 1)
    assert found.own[MODEL].error > alone.own[MODEL].error


def test_equal_seeds_change_nothing():
    one = changes(**{MODEL: 0.8, "control": 0.4})
    alone = summary.contrasts(one, r_max=LENGTH - 1)
    thrice = summary.mean_contrasts([one] * 3, r_max=LENGTH - 1)
    for name in (MODEL, "control"):
        np.testing.assert_allclose(thrice.own[name], alone.own[name], rtol=1e-12)
    np.testing.assert_allclose(thrice.above["control"], alone.above["control"], rtol=1e-12)
