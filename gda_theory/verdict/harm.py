r"""First-order harm of gradient ascent for many forget sets, and a bound that decides most of them.

With the oracle :math:`w_R` and the pretrained model :math:`w_D`

.. math:: \text{harm} \approx \gamma\, \frac{|H^{-1}\nabla L_F(w_R)|}{|w_D - w_R|},

where the Hessian H of the retained losses at :math:`w_D` is that of all rows less that of the
forgotten ones. So a set costs no pass over the data.

For the logistic loss, :math:`\ell'' \le 1/4`. So within :math:`\rho = |w_D - w_R|` of the oracle
the gradients change by at most :math:`L_R \rho` and :math:`L_F \rho`. If
:math:`\gamma(|\nabla L_F(w_R)| - L_F\rho) > L_R\rho`, ascent's objective has no stationary point
that is as near to the oracle as the pretrained model. Source: new.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from gda_theory.problem import losses
from gda_theory.problem.losses import Loss
from gda_theory.problem.problem import Problem
from gda_theory.solve.many import Oracles
from gda_theory.verdict import measure
from theory_common.batching.threads import one_thread_of_blas

AT_ONCE = 2**20  # forgotten rows whose losses are computed at a time
SLACK = 1 + 1e-6  # of the bound, for rounding
CURVATURE = 0.25  # the largest second derivative of the logistic loss


class Estimates(NamedTuple):
    """Numbers of every set. All are exact but ``break_even_strength``, which is of first order.

    ``unbounded`` says that ascent's objective has no lower bound along a column without a ridge.
    ``not_nearer`` says that ascent's minimum is farther from the oracle than the pretrained model
    is, or does not exist.
    """

    pretrain_distance: Float[np.ndarray, " sets"]
    newton_distance: Float[np.ndarray, " sets"]
    mean_forget_loss: Float[np.ndarray, " sets"]
    break_even_strength: Float[np.ndarray, " sets"]
    unbounded: Bool[np.ndarray, " sets"]
    not_nearer: Bool[np.ndarray, " sets"]


class SetNumbers(NamedTuple):
    """One set's entries of :class:`Estimates`."""

    pretrain_distance: float
    newton_distance: float
    mean_forget_loss: float
    break_even_strength: float
    unbounded: bool
    not_nearer: bool


class _Data(NamedTuple):
    """All rows, and what is known of them at the pretrained model."""

    loss: Loss
    types: Float[np.ndarray, "n d"]
    weight: Float[np.ndarray, " n"]
    ridge: Float[np.ndarray, " d"]
    mean: bool
    pretrained: Float[np.ndarray, " d"]
    values: Float[np.ndarray, " n"]  # each row's loss
    forces: Float[np.ndarray, " n"]  # weight times phi
    bends: Float[np.ndarray, " n"]  # weight times loss''
    force: Float[np.ndarray, " d"]
    curvature: Float[np.ndarray, "d d"]
    smoothness: float  # of the summed losses of all rows; infinite if there is no bound
    sides: Float[np.ndarray, "k 2"]  # sums of max(0, -t) and max(0, t) along the free columns


class _One(NamedTuple):
    """What one set needs beside the losses at its own oracle."""

    oracle: Float[np.ndarray, " d"]
    gradient_norm: float
    rows: Int[np.ndarray, " f"]


def estimates(
    problem: Problem,
    pretrained: Float[np.ndarray, " d"],
    oracles: Oracles,
    sets: Sequence[Int[np.ndarray, " f"]],
    strength: float,
) -> Estimates:
    """The numbers of every set that need no path of minima.

    Args:
        problem: the data, in float64.
        pretrained: its pretrained weights.
        oracles: the oracle of each set.
        sets: row numbers.
        strength: of the ascent.
    """
    data = _data(problem, pretrained)
    all_weights, norms = map(np.asarray, (oracles.weights, oracles.gradient_norm))
    found = []
    with one_thread_of_blas():
        for block in _blocks(sets):
            weights = all_weights[block]
            slopes = _slopes_at(data, weights, [sets[at] for at in block])
            for at, oracle, phi in zip(block, weights, slopes, strict=True):
                one = _One(oracle, float(norms[at]), sets[at])
                found.append(_estimated(data, one, phi, strength))
    columns = zip(SetNumbers._fields, zip(*found, strict=True), strict=True)
    return Estimates(**{name: np.array(column) for name, column in columns})


def _data(problem: Problem, pretrained: Float[np.ndarray, " d"]) -> _Data:
    signs, weight, ridge = map(np.asarray, (problem.signs, problem.sample_weight, problem.ridge))
    types = signs[:, None] * np.asarray(problem.features)
    values, phi, curvature = map(np.asarray, _terms(problem.loss, types @ pretrained))
    bends = weight * curvature
    smoothness = math.inf
    if problem.loss is losses.logistic:
        largest = np.linalg.eigvalsh((types.T * weight) @ types)[-1]
        smoothness = CURVATURE * float(largest)
    free = (
        weight @ np.maximum(-types[:, ridge == 0], 0),
        weight @ np.maximum(types[:, ridge == 0], 0),
    )
    return _Data(
        loss=problem.loss,
        types=types,
        weight=weight,
        ridge=ridge,
        mean=problem.reduction == "mean",
        pretrained=pretrained,
        values=values,
        forces=weight * phi,
        bends=bends,
        force=(weight * phi) @ types,
        curvature=(types.T * bends) @ types,
        smoothness=smoothness,
        sides=np.stack(free, -1),
    )


@functools.partial(jax.jit, static_argnums=0)
def _terms(loss: Loss, margins):
    return loss.value(margins), loss.phi(margins), loss.curvature(margins)


@functools.partial(jax.jit, static_argnums=0)
def _phi(loss: Loss, margins):
    return loss.phi(margins)


def _blocks(sets: Sequence[np.ndarray]) -> list[list[int]]:
    """The sets in order, some at a time."""
    blocks: list[list[int]] = [[]]
    total = 0
    for at, rows in enumerate(sets):
        if blocks[-1] and total + len(rows) > AT_ONCE:
            blocks.append([])
            total = 0
        blocks[-1].append(at)
        total += len(rows)
    return blocks


def _slopes_at(
    data: _Data, weights: Float[np.ndarray, "b d"], sets: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """``phi`` of each set's rows at the set's own weights."""
    margins = [data.types[rows] @ one for rows, one in zip(sets, weights, strict=True)]
    flat = np.concatenate(margins)
    wide = np.zeros(2 ** math.ceil(math.log2(len(flat))))  # few shapes, each compiled once
    wide[: len(flat)] = flat
    slopes = np.asarray(_phi(data.loss, wide))[: len(flat)]
    return np.split(slopes, np.cumsum([len(one) for one in margins])[:-1])


def _estimated(data: _Data, one: _One, phi: Float[np.ndarray, " f"], strength: float) -> SetNumbers:
    """One set. Its sums are those of all rows less those of the forgotten ones."""
    types, weight = data.types[one.rows], data.weight[one.rows]
    forgotten = weight.sum()
    retain = 1 / (data.weight.sum() - forgotten) if data.mean else 1.0
    forget = 1 / forgotten if data.mean else 1.0
    force = data.force - data.forces[one.rows] @ types
    curvature = data.curvature - (types.T * data.bends[one.rows]) @ types
    hessian = retain * curvature + np.diag(data.ridge)
    gradient = data.ridge * data.pretrained - retain * force
    uphill = -forget * ((weight * phi) @ types)  # the gradient of the forget loss at the oracle
    step = measure.solved(hessian, gradient)
    distance = float(measure.norm(data.pretrained - one.oracle))
    moved = float(measure.norm(measure.solved(hessian, uphill)))
    return SetNumbers(
        pretrain_distance=distance,
        newton_distance=float(measure.norm(data.pretrained - step - one.oracle)),
        mean_forget_loss=float(weight @ data.values[one.rows] / forgotten),
        break_even_strength=distance / moved if moved > 0 else math.nan,
        unbounded=_is_unbounded(data, types, weight, retain, forget, strength),
        not_nearer=_is_not_nearer(data, one, distance, uphill, retain, forget, strength),
    )


def _is_unbounded(data: _Data, types, weight, retain, forget, strength) -> bool:
    """Whether J falls without end along a column without a ridge."""
    free = types[:, data.ridge == 0]
    own = np.stack([weight @ np.maximum(-free, 0), weight @ np.maximum(free, 0)], -1)
    return bool(np.any(retain * (data.sides - own) < strength * forget * own))


def _is_not_nearer(data: _Data, one: _One, distance, uphill, retain, forget, strength) -> bool:
    """Whether no stationary point of J is as near to the oracle as the pretrained model."""
    if not math.isfinite(data.smoothness) or not distance > 0:
        return False
    rows = data.types[one.rows]
    squares = data.weight[one.rows] @ np.einsum("fd,fd->f", rows, rows)
    radius = SLACK * distance
    retained = (retain * data.smoothness + data.ridge.max()) * radius + one.gradient_norm
    risen = float(measure.norm(uphill)) - CURVATURE * forget * squares * radius
    return bool(strength * risen > SLACK * retained)
