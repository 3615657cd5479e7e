r"""Runs over many rows, followed on a sample of them.

A run of a thousand epochs needs a thousand gradients. Over n rows each costs a pass over the data.
On a sample S of the rows it costs a constant. The sampled losses :math:`L^S` are corrected by a
quadratic function,

.. math:: \tilde L(w) = L^S(w) + \langle \nabla L - \nabla L^S,\, w - w_R\rangle
          + \tfrac12 (w - w_R)^\top (\nabla^2 L - \nabla^2 L^S) (w - w_R),

with derivatives at the retrained model :math:`w_R`, for kept and forgotten rows apart. So gradient
and Hessian at :math:`w_R` are those of all rows, and the minimum over the kept rows is exact. What
is left is of third order in :math:`w - w_R`, times the sampling error of third derivatives.

The runs start next to :math:`w_R`, and their best stops are nearer still. There this is accurate.
Far away it is not. So the error is measured: the gradient over all rows, at some epochs up to the
best one, against that of the sample (:func:`errors`). Source: new.
"""

import dataclasses
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from gda_theory.dynamics.epochs import Tilt
from gda_theory.problem.objective import Objective
from gda_theory.problem.set_losses import SetLosses, set_losses_of

Floats = np.ndarray

SEED = 0  # of the choice of rows, so that a diagnosis is the same each time


class Sample(NamedTuple):
    """Some rows of an objective, with weights that keep the total of each set.

    ``tilt`` makes them exact to second order at its centre. ``losses`` are those of the sample.
    """

    objective: Objective
    tilt: Tilt
    losses: SetLosses


def sample_of(
    objective: Objective,
    losses: SetLosses,
    centre: Float[Floats, " d"],
    strength: float,
    rows: int,
    reach: float,
) -> Sample:
    """A sample of at most ``rows`` rows, half of them forgotten ones if there are as many.

    Cost: a gradient and a Hessian over all rows, for each of the two sets.

    Args:
        objective: of known numbers, without batch dimensions.
        losses: those of the objective.
        centre: where gradients and Hessians are exact, the retrained weights.
        strength: of the ascent, which the tilt of the forgotten losses contains.
        rows: at most this many.
        reach: distance from the centre beyond which the correction no longer grows.
    """
    sampled = some_rows(objective, rows)
    own = set_losses_of(sampled)
    parts = ((1.0, 0.0), (0.0, 1.0))
    slopes = [losses.gradient(centre, *part) - own.gradient(centre, *part) for part in parts]
    bends = [losses.hessian(centre, *part) - own.hessian(centre, *part) for part in parts]
    tilt = Tilt(
        centre=np.asarray(centre, float),
        retain_slope=slopes[0],
        forget_slope=strength * slopes[1],
        retain_bend=bends[0],
        forget_bend=strength * bends[1],
        reach=reach,
    )
    return Sample(objective=sampled, tilt=tilt, losses=own)


def some_rows(objective: Objective, rows: int) -> Objective:
    """The objective of at most ``rows`` rows, with the total weight of each set."""
    chosen = _chosen(np.asarray(objective.forget_weight) > 0, rows)
    kept, forgotten = (
        _of_rows(np.asarray(weight), chosen)
        for weight in (objective.retain_weight, objective.forget_weight)
    )
    return dataclasses.replace(
        objective,
        types=jax.tree.map(lambda leaf: np.asarray(leaf)[chosen], objective.types),
        retain_weight=kept,
        forget_weight=forgotten,
    )


def _chosen(forget: Float[Floats, " n"], rows: int) -> Float[Floats, " k"]:
    """Numbers of the rows, in order: all of a set that is small, a random part of one that is not.

    A small set leaves its places to the other one.
    """
    rng = np.random.default_rng(SEED)
    sets = [np.flatnonzero(forget), np.flatnonzero(~forget)]
    smaller = min(map(len, sets))
    most = max(rows // 2, rows - smaller)
    parts = [
        members if len(members) <= most else rng.choice(members, most, replace=False)
        for members in sets
    ]
    return np.sort(np.concatenate(parts))


def _of_rows(weight: Float[Floats, " n"], chosen: Float[Floats, " k"]) -> Float[Floats, " k"]:
    """The weights of the chosen rows, scaled to the total of all."""
    part = np.sum(weight[chosen])
    return weight[chosen] * (np.sum(weight) / part if part > 0 else 1.0)


def errors(
    sample: Sample,
    losses: SetLosses,
    points: Float[Floats, "p d"],
    factors: Float[Floats, "p 2"],
    strength: float,
) -> Float[Floats, " p"]:
    """How far the sample's gradient is from that of all rows, at some points.

    Args:
        sample: the sample.
        losses: those of all rows.
        points: weights.
        factors: on the retained and on the forgotten losses, in the epoch after each point.
        strength: of the ascent.
    """
    found = []
    for point, (retain, forget) in zip(points, factors, strict=True):
        exact = losses.gradient(point, retain, -forget * strength)
        own = sample.losses.gradient(point, retain, -forget * strength)
        tilted = np.asarray(sample.tilt.gradient(retain, forget, point[:, None]))[:, 0]
        found.append(float(np.linalg.norm(exact - own - tilted)))
    return np.array(found)
