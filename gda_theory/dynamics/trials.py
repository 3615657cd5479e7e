r"""Early stopping of ascent: run it from the pretrained model, and find its best epoch.

.. math:: \text{best early stop} = \min_{0 \le t \le T} \frac{|w_t - w_R|}{|w_D - w_R|},

where 1 means that doing nothing was best. The user of ascent does not know :math:`w_R`, so cannot
tell which epoch is best. So two more numbers matter. The first is the number of epochs at which the
distance is small. The second is what plain descent on the retain set leaves at that epoch. Source:
Sec. 3 and App. B of the paper (the "illusion"); these measures: new.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from gda_theory.dynamics import simulation
from gda_theory.dynamics.epochs import Tilt
from gda_theory.dynamics.schemes import Scheme, ascent_then_descent
from gda_theory.dynamics.simulation import Trajectory
from gda_theory.problem.objective import Objective
from gda_theory.solve.newton import norm
from theory_common.claims import backed_by

EPOCHS = 1000
STEP_SIZES = (0.01, 0.1, 1.0)  # over the retain objective's largest curvature at the start
SCHEMES: tuple[str | Scheme, ...] = (
    "simultaneous",
    "retain_first",
    "forget_first",
    ascent_then_descent(5),
    "pure_ascent",
)
DESCENT = Scheme("descent", ((1, 0),))
GOOD = 0.5  # An epoch is good if at most this part of the distance is left.


class EarlyStop(NamedTuple):
    """The best epoch of a run; fields as in :class:`Trial`."""

    best_distance: Float[np.ndarray, "*batch"]
    best_epoch: Int[np.ndarray, "*batch"]
    good_epochs: Int[np.ndarray, "*batch"]
    descent_distance: Float[np.ndarray, "*batch"]


class Trial(NamedTuple):
    """What early stopping can do, for each step size of one scheme, as NumPy arrays.

    Distances are to the oracle, in units of the pretrained model's distance. ``best_distance`` is
    the smallest, at epoch ``best_epoch`` (0 is the start). At ``good_epochs`` epochs the distance
    is at most half. Plain descent leaves ``descent_distance`` after ``best_epoch`` epochs, and
    ``descent_final`` after all. The scheme leaves ``final_distance`` after all. ``distances`` has
    the distance at every epoch, and ``run`` the end of every run. ``weights`` are those at every
    epoch, for runs with a tilt only.
    """

    scheme: Scheme
    step_size: Float[AnyArray, "*batch s"]
    best_distance: Float[np.ndarray, "*batch s"]
    best_epoch: Int[np.ndarray, "*batch s"]
    good_epochs: Int[np.ndarray, "*batch s"]
    descent_distance: Float[np.ndarray, "*batch s"]
    final_distance: Float[np.ndarray, "*batch s"]
    descent_final: Float[np.ndarray, "*batch s"]
    distances: Float[np.ndarray, "*batch s t"]
    run: Trajectory
    weights: Float[np.ndarray, "*batch s t d"] | None = None


def early_stop(distances: ArrayLike, descent: ArrayLike) -> EarlyStop:
    """The distances that remain when a run is stopped at its best epoch.

    Args:
        distances: ``(*batch, t)``, those of a run at the start and after every epoch.
        descent: ``(*batch, t)``, those of plain descent.

    Returns: :class:`EarlyStop`.
    """
    of_run = np.asarray(distances)
    best = np.argmin(of_run, -1)
    at_best = np.take_along_axis(np.asarray(descent), best[..., None], -1)[..., 0]
    return EarlyStop(
        best_distance=np.min(of_run, -1),
        best_epoch=best,
        good_epochs=np.sum(of_run <= GOOD, -1),
        descent_distance=at_best,
    )


@backed_by("early-stop-coordinates", "early-stop-one-step")
def trials(
    objective: Objective,
    pretrained: ArrayLike,
    oracle: ArrayLike,
    *,
    strength: ArrayLike = 1.0,
    schemes: Sequence[str | Scheme] = SCHEMES,
    step_sizes: Sequence[float] = STEP_SIZES,
    epochs: int = EPOCHS,
    steepest: ArrayLike | None = None,
    tilt: Tilt | None = None,
) -> list[Trial]:
    """Run every scheme from the pretrained model, and judge it by the distance to the oracle.

    Cost: (1 + schemes) times epochs passes over the data for each step size, as matrix products.

    Args:
        objective: may have a batch (many forget sets) that its types share: ``types`` (k, d),
            weights ``(*batch, k)``.
        pretrained: weights ``(*batch, d)``, where the runs begin.
        oracle: weights ``(*batch, d)``, the retrained model.
        strength: of the ascent.
        schemes: as for :func:`gda_theory.simulate`.
        step_sizes: in units of one over the largest curvature of the retain objective at the
            pretrained model; they are the last axis of the answer.
        epochs: of each run.
        steepest: that largest curvature, if it is known.
        tilt: quadratic functions added to the losses (:mod:`gda_theory.dynamics.samples`).

    Returns: one :class:`Trial` a scheme.
    Raises: ``ValueError`` if the batch does not share its types, or as :func:`gda_theory.simulate`.
    Claims: ``early-stop-coordinates``, ``early-stop-one-step``.
    """
    lanes = _with_axis(objective)
    dtype = objective.ridge.dtype
    start = np.asarray(pretrained, dtype)[..., None, :]
    target = np.asarray(oracle, dtype)[..., None, :]
    if steepest is None:
        steepest = _steepest(objective, pretrained)
    step_size = np.asarray(step_sizes, dtype) / np.asarray(steepest)
    descent, *runs = simulation.simulate_schemes(
        lanes,
        start,
        schemes=[DESCENT, *schemes],
        step_size=step_size,
        epochs=epochs,
        strength=strength,
        observe=jax.tree_util.Partial(_distance if tilt is None else _distance_and_point, target),
        tilt=tilt,
    )
    apart = np.asarray(_distance(target, start))[..., None]
    if tilt is None:
        return [_trial(run, run.observed / apart, descent.observed / apart) for run in runs]
    plain = descent.observed[0] / apart
    return [
        _trial(run, run.observed[0] / apart, plain)._replace(weights=run.observed[1])
        for run in runs
    ]


def _trial(
    run: Trajectory,
    distances: Float[np.ndarray, "*batch s t"],
    descent: Float[np.ndarray, "*batch s t"],
) -> Trial:
    stop = early_stop(distances, descent)
    return Trial(
        scheme=run.scheme,
        step_size=run.step_size,
        best_distance=stop.best_distance,
        best_epoch=stop.best_epoch,
        good_epochs=stop.good_epochs,
        descent_distance=stop.descent_distance,
        final_distance=distances[..., -1],
        descent_final=descent[..., -1],
        distances=distances,
        run=run._replace(observed=None, observed_epochs=None),
    )


@jax.jit
def _steepest(objective: Objective, weights: ArrayLike) -> Float[Array, "*batch 1"]:
    """The largest curvature of the retain objective."""
    return objective.curvatures(jnp.asarray(weights), 0.0)[..., -1:]


@jax.jit
def _distance(target: Array | np.ndarray, weights: Array | np.ndarray) -> Float[Array, "*batch"]:
    return norm(jnp.asarray(weights) - target)


@jax.jit
def _distance_and_point(target: Array | np.ndarray, weights: Array) -> tuple[Array, Array]:
    return norm(jnp.asarray(weights) - target), weights


def _with_axis(objective: Objective) -> Objective:
    """The objective with an axis for the step sizes after its batch."""
    if objective.has_margins and objective.types.ndim > 2:
        raise ValueError(
            "objective must share its types (k, d) among its batch, "
            f"got types of shape {objective.types.shape}"
        )
    leaves, structure = jax.tree.flatten(objective)
    wide = [
        leaf if leaf.ndim == rank else np.expand_dims(leaf, leaf.ndim - rank)
        for leaf, rank in zip(leaves, objective.ranks, strict=True)
    ]
    return jax.tree.unflatten(structure, wide)
