"""The trials behind the diagnosis and the figure ``illusion``.

Many forget sets at once are compared with one set at a time.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import gda_theory as gt
from gda_theory.dynamics import trials


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(60, 4))
    labels = np.where(features @ [1.0, -1, 0.5, 0] + rng.logistic(size=60) > 0, 1, -1)
    return gt.Problem(features, labels, np.arange(60) < 6, ridge=0.05)


def test_many_sets_at_once_are_each_set_alone(problem):
    masks = np.array([np.isin(np.arange(60), np.arange(start, start + 6)) for start in (0, 20, 40)])
    oracles = gt.retrain_many(problem, masks).weights
    many = dataclasses.replace(
        problem.objective(),
        retain_weight=jnp.asarray(~masks / 54.0),
        forget_weight=jnp.asarray(masks / 6.0),
    )
    pretrained = gt.pretrain(problem).weights
    start = jnp.broadcast_to(pretrained, oracles.shape)
    together = trials.trials(many, start, oracles, schemes=["simultaneous"], epochs=50)[0]
    assert together.distances.shape == (3, 3, 51)
    for index, mask in enumerate(masks):
        one = problem.replace(forget=mask)
        alone = trials.trials(
            one.objective(),
            pretrained,
            gt.retrain(one).weights,
            schemes=["simultaneous"],
            epochs=50,
        )[0]
        # retrain_many's oracles are good to 1e-9, and distances are differences of weights.
        for name in ("step_size", "best_distance", "distances", "descent_distance"):
            np.testing.assert_allclose(
                getattr(together, name)[index], getattr(alone, name), rtol=1e-7, err_msg=name
            )
        np.testing.assert_array_equal(together.best_epoch[index], alone.best_epoch)
    np.testing.assert_allclose(together.distances[..., 0], 1, rtol=1e-9)
    # Strength 0 is plain descent, up to the rounding of sums that lanes take in another order.
    still = trials.trials(many, start, oracles, strength=0.0, schemes=["simultaneous"], epochs=50)[
        0
    ]
    np.testing.assert_allclose(still.best_distance, still.descent_distance, rtol=0, atol=1e-14)


def test_the_best_stop_is_the_smallest_of_all_distances():
    distances = [[1, 0.6, 0.4, 0.7], [1, 1.2, 1.3, 2]]
    descent = [[1, 0.9, 0.8, 0.7], [1, 0.5, 0.3, 0.2]]
    found = trials.early_stop(jnp.array(distances), jnp.array(descent))
    np.testing.assert_array_equal(np.stack(found, -1), [[0.4, 2, 1, 0.8], [1, 0, 0, 1]])


def test_types_that_differ_from_set_to_set_are_refused(problem):
    objective = problem.objective()
    batch = dataclasses.replace(objective, types=objective.types[None])
    with pytest.raises(ValueError, match="share its types"):
        trials.trials(batch, np.zeros((1, 4)), np.ones((1, 4)))
