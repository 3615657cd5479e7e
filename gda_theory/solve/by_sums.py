r"""Minima of a problem whose rows come in partitions: Newton's method on sums over all rows.

A pass over the rows is what costs time. It gives value, gradient and Hessian of the kept and of the
forgotten losses at one point. So :math:`J_\gamma` is known there at every strength. The iteration
is that of :mod:`gda_theory.solve.newton`; its loops run in Python.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from gda_theory.problem.objective import Local
from gda_theory.problem.partitions import PartitionedProblem, Sums
from gda_theory.solve.newton import MAX_ITERATIONS, Solution, iterate
from gda_theory.solve.stages import BY_STAGE
from theory_common.numerics.implicit import solve_linear

REMEMBERED = 4  # passes whose sums are kept


class Mix(NamedTuple):
    """An objective: ``factors`` of the kept and the forgotten losses, and a ridge."""

    factors: Float[np.ndarray, " 2"]
    ridge: Float[np.ndarray, " d"]

    def local(self, sums: Sums, weights: Float[np.ndarray, " d"]) -> Local:
        """Value and gradient at ``weights``, where the ``sums`` were taken."""
        decay = self.ridge * weights
        penalty = np.sum(decay * weights) / 2
        return Local(
            value=self.factors @ sums.value + penalty,
            value_scale=np.abs(self.factors) @ sums.value_scale + penalty,
            gradient=decay + self.factors @ sums.gradient,
            gradient_scale=np.abs(decay) + np.abs(self.factors) @ sums.gradient_scale,
        )

    def hessian(self, sums: Sums) -> Float[np.ndarray, "d d"]:
        """The Hessian."""
        return np.tensordot(self.factors, sums.hessian, 1) + np.diag(self.ridge)


def at_strength(problem: PartitionedProblem, strength: float) -> Mix:
    """The objective at one strength; see :mod:`gda_theory.problem.objective`."""
    mean = problem.reduction == "mean"
    units = problem.totals if mean else np.ones(2)
    growth = 1 - min(strength, 0.0) if mean else 1.0
    return Mix(factors=np.array([1.0, -strength]) / units, ridge=growth * problem.ridge)


def pretraining(problem: PartitionedProblem) -> Mix:
    """The mean, or the sum, over all rows."""
    total = np.sum(problem.totals) if problem.reduction == "mean" else 1.0
    return Mix(factors=np.full(2, 1 / total), ridge=problem.ridge)


class KnownSums:
    """The problem's sums; the last passes are remembered, since several questions meet a point."""

    def __init__(self, problem: PartitionedProblem) -> None:
        self.problem = problem
        self.passes = 0
        self._kept: dict[bytes, Sums] = {}

    def __call__(self, weights: Float[np.ndarray, " d"]) -> Sums:
        """The sums at ``weights``."""
        point = np.asarray(weights, float)
        key = point.tobytes()
        found = self._kept.pop(key, None)
        if found is None:
            found = self.problem.sums(point)
            self.passes += 1
        self._kept[key] = found
        if len(self._kept) > REMEMBERED:
            del self._kept[next(iter(self._kept))]
        return found


def solve(
    sums: KnownSums, mix: Mix, start: Float[np.ndarray, " d"], max_iterations: int = MAX_ITERATIONS
) -> Solution:
    """The minimum of a convex objective, by Newton's method from ``start``."""

    def local(point):
        return mix.local(sums(point), np.asarray(point))

    def hessian(point):
        return jnp.asarray(mix.hessian(sums(point)))

    with jax.enable_x64(True):
        found = iterate(
            local, hessian, jnp.asarray(start, float), np.int32(max_iterations), True, BY_STAGE
        )
        return jax.tree.map(np.asarray, found)


def pretrain(problem: PartitionedProblem) -> Solution:
    """See :func:`gda_theory.pretrain`."""
    return solve(KnownSums(problem), pretraining(problem), np.zeros_like(problem.ridge))


def retrain(problem: PartitionedProblem) -> Solution:
    """See :func:`gda_theory.retrain`."""
    return solve(KnownSums(problem), at_strength(problem, 0.0), np.zeros_like(problem.ridge))


def newton_step(
    problem: PartitionedProblem, start: Float[np.ndarray, " d"], strength: float
) -> Float[np.ndarray, " d"]:
    """See :func:`gda_theory.newton_step`."""
    return stepped(problem.sums(start), at_strength(problem, strength), start)


def stepped(sums: Sums, mix: Mix, start: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """One Newton step from ``start``, where the ``sums`` were taken."""
    with jax.enable_x64(True):
        hessian = jnp.asarray(mix.hessian(sums))
        step = solve_linear(hessian, jnp.asarray(mix.local(sums, start).gradient))
        return np.asarray(start - step)
