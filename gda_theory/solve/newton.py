"""Newton's method with a line search, until the gradient is rounding noise.

The objective is a function of a point that gives its value and gradient, and another one that gives
its Hessian. Both may be compiled, or run in Python and read the rows from anywhere
(:class:`gda_theory.solve.stages.Runner`).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from gda_theory.problem.objective import Local
from gda_theory.solve.stages import INSIDE, Runner
from theory_common.checks import Numbers
from theory_common.printing.display import readable

MAX_ITERATIONS = 200


@readable()
class Solution(NamedTuple):
    """A minimum, or the last iterate.

    ``converged``: the curvature is positive and ``backward_error`` is at most 16 machine epsilons.
    :func:`pretrain` and :func:`retrain` also ask that a minimum exists.
    """

    weights: Float[Numbers, "*batch d"]
    value: Float[Numbers, "*batch"]
    gradient_norm: Float[Numbers, "*batch"]
    backward_error: Float[Numbers, "*batch"]
    converged: Bool[Numbers, "*batch"]
    iterations: Int[Numbers, "*batch"]


def norm(vector: Float[Numbers, "*batch d"]) -> Float[Numbers, "*batch"]:
    """Euclidean length without the overflow and underflow of the squares."""
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(vector), -1))
    size = jnp.where(size > 0, size, 1)
    return size * jnp.linalg.norm(vector / size[..., None], axis=-1)


class _State(NamedTuple):
    point: Numbers
    local: Local
    iteration: Numbers
    stalls: Numbers


def iterate(
    local: Callable[[Array], Local],
    hessian: Callable[[Array], Numbers],
    start: Float[Numbers, " d"],
    max_iterations: Int[Numbers, ""] | int,
    convex: Numbers | bool = False,
    run: Runner = INSIDE,
) -> Solution:
    """Newton's method with line search until the gradient is rounding noise.

    It ends below two epsilons, or where the gradient is no longer halved. ``convex`` saves the
    Hessian that asks whether the last point is a minimum. ``run`` says how the loops run. Where
    ``local`` and ``hessian`` run in Python, ``convex`` must be True.
    """
    eps = jnp.finfo(start.dtype).eps

    def unfinished(state):
        error = state.local.backward_error()
        return (error > 2 * eps) & (state.iteration < max_iterations) & (state.stalls < 2)

    def body(state):
        step = run.stage(_direction)(None, hessian(state.point), state.local.gradient)
        point, proposal = _search(local, state.point, state.local, step, run)
        decrease = state.local.value - proposal.value > 8 * eps * state.local.value_scale
        before = state.local.backward_error()
        after = proposal.backward_error()
        kept = _where(decrease | (after < before), (point, proposal), (state.point, state.local))
        return _State(
            point=kept[0],
            local=kept[1],
            iteration=state.iteration + 1,
            stalls=jnp.where(decrease | (after < before / 2), 0, state.stalls + 1),
        )

    def is_minimum():
        return jnp.all(jnp.isfinite(factor(hessian(last.point))[0]))

    first = _State(point=start, local=local(start), iteration=jnp.int32(0), stalls=jnp.int32(0))
    last = run.loop(unfinished, body, first)
    error = last.local.backward_error()
    sure = jnp.bool_(True)
    bends_up = sure if convex is True else jax.lax.cond(convex, lambda: sure, is_minimum)
    return Solution(
        weights=jnp.where(jnp.isnan(error), jnp.nan, last.point),
        value=last.local.value,
        gradient_norm=norm(last.local.gradient),
        backward_error=error,
        converged=(error <= 16 * eps) & bends_up,
        iterations=last.iteration,
    )


def _where(condition: Numbers, new, old):
    """``jnp.where`` for pytrees."""
    return jax.tree.map(lambda one, other: jnp.where(condition, one, other), new, old)


def factor(hessian: Float[Numbers, "d d"]) -> tuple[Numbers, Numbers]:
    """Cholesky factor of the Hessian scaled to a unit diagonal, and the scale.

    The factor is NaN where the Hessian is not positive definite.
    """
    diagonal = jnp.diagonal(hessian)
    scale = jnp.where(
        diagonal != 0, 1 / jnp.sqrt(jnp.where(diagonal != 0, jnp.abs(diagonal), 1)), 1
    )
    return jnp.linalg.cholesky(hessian * scale[:, None] * scale, symmetrize_input=False), scale


def inverse_factor(hessian: Float[Numbers, "d d"]) -> tuple[Numbers, Numbers]:
    r"""``W`` with :math:`H^{-1} = S W^\top W S`, where S is diagonal; and its diagonal.

    Both are those of :func:`factor`: W is the inverse of the Cholesky factor.
    """
    lower, scale = factor(hessian)
    identity = jnp.eye(len(lower), dtype=lower.dtype)
    return jax.scipy.linalg.solve_triangular(lower, identity, lower=True), scale


def direction(
    hessian: Float[Numbers, "d d"], gradient: Float[Numbers, " d"]
) -> Float[Numbers, " d"]:
    """Newton's direction ``-H^{-1} g``.

    Where H is not positive definite, its eigenvalues are replaced by their absolute values.
    """
    lower, scale = factor(hessian)
    right = scale * gradient

    def newton(_):
        return jax.scipy.linalg.cho_solve((lower, True), right)

    def reflected(unit):
        values, vectors = jnp.linalg.eigh(unit)
        floor = jnp.sqrt(jnp.finfo(values.dtype).eps) * jnp.max(jnp.abs(values))
        return vectors @ ((vectors.T @ right) / jnp.maximum(jnp.abs(values), floor))

    usable = jnp.all(jnp.isfinite(lower))
    return -scale * jax.lax.cond(usable, newton, reflected, hessian * scale[:, None] * scale)


def _direction(code: None, hessian: Numbers, gradient: Numbers) -> Numbers:
    """:func:`direction` as a stage, whose first argument would select code."""
    return direction(hessian, gradient)


class _Trial(NamedTuple):
    length: Array  # of the best step so far
    best: Local
    trial: Array  # the length to try next
    phase: Numbers


def _search(
    local: Callable[[Array], Local],
    point: Numbers,
    start: Local,
    step: Numbers,
    run: Runner,
) -> tuple[Numbers, Local]:
    """Along ``step``: halve it until the value falls, then double it while the value still falls.

    A slope that still rises steeply asks for halving too. Doubling matters as much as halving.
    From 0, with an exponential loss and a ridge of 1e-300, Newton's steps are 1 and the minimum is
    near 690.
    """
    slope = start.gradient @ step
    slack = 8 * jnp.finfo(point.dtype).eps * start.value_scale
    shorten, lengthen, done = map(jnp.int32, range(3))

    def unfinished(state):
        return (state.phase != done) & (state.trial < 1e18)

    def body(state):
        trial, phase = state.trial, state.phase
        there = local(point + trial * step)
        steepness = there.gradient @ step
        falls = there.value <= start.value + 1e-4 * trial * slope + slack
        good = falls & (steepness <= 0.5 * jnp.abs(slope))
        further = good & (steepness < 0)
        # Doubling is worth a try only where the full step left more than a tenth of the slope.
        hopeful = further & ((phase == lengthen) | ((trial == 1) & (steepness < 0.1 * slope)))
        taken = jnp.where(phase == shorten, good, further)
        length, best = _where(taken, (trial, there), (state.length, state.best))
        ended = (phase == lengthen) | good | (trial < 1e-18)
        return _Trial(
            length=length,
            best=best,
            trial=jnp.where(hopeful, 2 * trial, trial / 2),
            phase=jnp.where(hopeful, lengthen, jnp.where(ended, done, shorten)),
        )

    first = _Trial(
        length=jnp.zeros_like(slope), best=start, trial=jnp.ones_like(slope), phase=shorten
    )
    last = run.loop(unfinished, body, first)
    return point + last.length * step, last.best
