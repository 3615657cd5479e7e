r"""Ascent in practice: run it from the pretrained model, look at the distance to the oracle after every epoch, stop at the best.

.. math:: \text{best early stop} = \min_{0 \le t \le T} \frac{|w_t - w_R|}{|w_D - w_R|},

where 1 means that doing nothing was best. The user of ascent does not know :math:`w_R` and cannot see this minimum: what counts is
also for how many epochs the distance is small (*how lucky must one be?*), and what plain descent on the retain set reaches at the
same cost. Source: Sec. 3 and App. B of the paper (the "illusion"); these measures: new.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Float, Int

from gda_theory.dynamics import simulation
from gda_theory.dynamics.simulation import Scheme, Trajectory
from gda_theory.problem.objective import Objective
from gda_theory.solve.newton import RANKS, norm
from theory_common.claims import backed_by

EPOCHS = 1000
STEP_SIZES = (
    0.01,
    0.1,
    1.0,
)  # over the largest curvature of the retain objective at the pretrained model
SCHEMES: tuple[str | Scheme, ...] = (
    "simultaneous",
    "retain_first",
    "forget_first",
    simulation.ascent_then_descent(5),
)
GOOD = 0.5  # of the distance left: an epoch at which stopping would have been worth it


class EarlyStop(NamedTuple):
    """The best epoch of a run, in units of the pretrained model's distance; fields as in :class:`Trial`."""

    best_distance: Float[AnyArray, "*batch"]
    best_epoch: Int[AnyArray, "*batch"]
    good_epochs: Int[AnyArray, "*batch"]
    descent_distance: Float[AnyArray, "*batch"]


class Trial(NamedTuple):
    """What early stopping can do, for each step size of one scheme; distances in units of the pretrained model's.

    ``best_distance`` at epoch ``best_epoch`` (0: before the first); ``good_epochs`` of the ``epochs`` leave at most half;
    ``descent_distance`` is left by plain descent after ``best_epoch`` epochs, ``descent_final`` after all; ``final_distance`` by the
    scheme after all. ``run`` has the trajectories' ends, ``distances`` all of them.
    """

    scheme: Scheme
    step_size: Float[AnyArray, "*batch s"]
    best_distance: Float[AnyArray, "*batch s"]
    best_epoch: Int[AnyArray, "*batch s"]
    good_epochs: Int[AnyArray, "*batch s"]
    descent_distance: Float[AnyArray, "*batch s"]
    final_distance: Float[AnyArray, "*batch s"]
    descent_final: Float[AnyArray, "*batch s"]
    distances: Float[AnyArray, "*batch s t"]
    run: Trajectory


def early_stop(
    distances: Float[AnyArray, "*batch t"], descent: Float[AnyArray, "*batch t"]
) -> EarlyStop:
    """What stopping at the best of all epochs leaves of ``distances``, the start among them; ``descent``: those of plain descent."""
    best = jnp.argmin(distances, -1)
    at_best = jnp.take_along_axis(jnp.asarray(descent), best[..., None], -1)[..., 0]
    return EarlyStop(jnp.min(distances, -1), best, jnp.sum(distances <= GOOD, -1), at_best)


@backed_by("early-stop-coordinates", "early-stop-one-step")
def trials(
    objective: Objective,
    pretrained,
    oracle,
    *,
    strength=1.0,
    schemes=SCHEMES,
    step_sizes=STEP_SIZES,
    epochs: int = EPOCHS,
) -> list[Trial]:
    """One :class:`Trial` a scheme, from ``pretrained``, judged by the distance to ``oracle``.

    Args:
        objective: may have a batch (many forget sets) that its types share: ``types`` (k, d), weights ``(*batch, k)``.
        pretrained, oracle: weights ``(*batch, d)``.
        step_sizes: step sizes over the largest curvature of the retain objective at the pretrained model, a last batch axis of the answer.
    Cost: (1 + schemes) times epochs passes over the data for each step size, as matrix products.
    Claims: ``early-stop-coordinates``, ``early-stop-one-step``.
    """
    lanes = _with_axis(objective)
    start, target = jnp.asarray(pretrained)[..., None, :], jnp.asarray(oracle)[..., None, :]
    step_size = (
        jnp.asarray(step_sizes, start.dtype) / objective.curvatures(pretrained, 0.0)[..., -1:]
    )
    observe = jax.tree_util.Partial(_distance, target)

    def run(scheme, strength):
        return simulation.simulate(
            lanes,
            start,
            step_size=step_size,
            epochs=epochs,
            scheme=scheme,
            strength=strength,
            observe=observe,
            observe_every=1,
        )

    apart = norm(start - target)
    descent = run("simultaneous", 0.0).observed / apart[..., None]
    return [_trial(run(scheme, strength), apart, descent) for scheme in schemes]


def _trial(run: Trajectory, apart: Array, descent: Array) -> Trial:
    distances = run.observed / apart[..., None]
    return Trial(
        run.scheme,
        run.step_size,
        *early_stop(distances, descent),
        distances[..., -1],
        descent[..., -1],
        distances,
        run._replace(observed=None, observed_epochs=None),
    )


def _distance(target, weights):
    return norm(weights - target)


def _with_axis(objective: Objective) -> Objective:
    """The objective with an axis for the step sizes after its batch."""
    if objective.types.ndim > 2:
        raise ValueError(
            f"objective must share its types (k, d) among its batch, got types of shape {objective.types.shape}"
        )
    leaves, structure = jax.tree.flatten(objective)
    wide = [
        leaf if leaf.ndim == rank else jnp.expand_dims(leaf, leaf.ndim - rank)
        for leaf, rank in zip(leaves, RANKS, strict=True)
    ]
    return jax.tree.unflatten(structure, wide)
