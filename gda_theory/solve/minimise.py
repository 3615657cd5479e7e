r"""Newton's method on any smooth function, and what it finds: pretrained and retrained models.

Every solution is differentiable, to any order, in every array of its objective, by the implicit
function theorem (:mod:`theory_common.numerics.implicit`).

Convergence is judged by the *backward error* :math:`\max_j |g_j| / s_j`. Here :math:`s_j` is the
sum of the absolute values of the terms in the gradient's entry j, with an allowance for the
rounding of the margins. If the backward error is a few machine epsilons, the solution is exact for
data that differ from the given data in their last digits. This holds for any ridge, 1e-300 or
1e300.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from gda_theory.problem.losses import Loss
from gda_theory.problem.objective import (
    RANKS,
    HasObjective,
    Local,
    MarginObjective,
    Objective,
    Rough,
    broadcast,
    objective_of,
    over_batch,
    pretraining,
)
from gda_theory.solve.existence import Existence, existence, is_proved
from gda_theory.solve.span import into_span, span_pattern
from gda_theory.solve.stages import BY_STAGE, Staged, runs_by_stage
from theory_common import checks
from theory_common.checks import Numbers, Truth
from theory_common.claims import backed_by
from theory_common.numerics.implicit import implicit, solve_linear
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


def minimise(
    function: Callable[..., Numbers],
    start: ArrayLike,
    *parameters: object,
    max_iterations: int = MAX_ITERATIONS,
) -> Solution:
    """A local minimum of ``function(point, *parameters)``, by Newton's method from ``start``.

    Where the Hessian is not positive definite, its eigenvalues are replaced by their absolute
    values. Steps are halved or doubled until the function decreases. So the method descends from
    anywhere, and may end in any local minimum. ``weights`` are differentiable in the parameters.

    Args:
        function: real-valued, smooth, written in JAX. It selects code: give the same object
            again, not a new lambda, or it is compiled again.
        start: ``(d,)``.
        parameters: pytrees of float arrays.
        max_iterations: Newton's steps, at most.
    Returns: :class:`Solution`. The gradient's natural scale is ``|H||point|`` plus the largest
        entry at the start.
    Raises: ``ValueError`` or ``TypeError`` for a bad ``start`` or ``max_iterations``.
    """
    start = checks.real("start", start)
    checks.whole("max_iterations", max_iterations, least=1)
    if start.ndim != 1:
        raise ValueError(f"start must have shape (d,), got {start.shape}; use jax.vmap for a batch")
    found = _minimise(function, *jax.lax.stop_gradient((start, parameters)), max_iterations)
    return found._replace(weights=implicit(jax.grad(function), found.weights, *parameters))


@functools.partial(jax.jit, static_argnums=(0, 3))
def _minimise(
    function: Callable[..., Numbers],
    start: Float[Numbers, " d"],
    parameters: tuple[object, ...],
    max_iterations: int,
) -> Solution:
    gradient = jax.grad(function)
    curvature = jax.hessian(function)
    floor = jnp.max(jnp.abs(gradient(start, *parameters)))

    def hessian(point):
        return curvature(point, *parameters)

    def local(point):
        value, slope = jax.value_and_grad(function)(point, *parameters)
        # How the value is summed is not known. Its own size at both ends stands for its terms.
        return Local(
            value=value,
            value_scale=jnp.abs(value),
            gradient=slope,
            gradient_scale=jnp.abs(hessian(point)) @ jnp.abs(point) + floor,
        )

    return iterate(local, hessian, start, max_iterations)


# Margin objectives ---------------------------------------------------------------------------


@backed_by("one-path")
def pretrain(problem: Objective | HasObjective) -> Solution:
    """The minimum over all data, retained and forgotten; see :func:`retrain`.

    Claim: ``one-path``.
    """
    objective = pretraining(objective_of(problem))
    return _warned("pretrain", *confirmed(objective, solve(objective, 0.0)))


def retrain(problem: Objective | HasObjective) -> Solution:
    """The *oracle*: the minimum over the retain set alone.

    If every coordinate has a ridge, the objective is strictly convex and its minimum is unique.
    Problems along leading batch dimensions are solved together. The function works under jit, vmap
    and grad, with implicit derivatives in every array. Invalid traced input gives NaN and
    ``converged=False``.

    Without a ridge on some coordinates there may be no minimum, or many: where these columns
    separate the labels, or depend on each other. Then ``converged`` is False, and a
    ``RuntimeWarning`` names the columns. Known numbers alone are checked in this way, not traced
    ones. Where every coordinate has a ridge nothing needs to be checked.

    Args:
        problem: a Problem, a CorrelatedPair or an Objective.
    """
    objective = objective_of(problem)
    return _warned("retrain", *confirmed(objective, solve(objective, 0.0)))


def confirmed(objective: Objective, found: Solution) -> tuple[Solution, Existence | None]:
    """``found`` at strength 0, with ``converged`` False where there is not exactly one minimum.

    Returns: the solution, and why the first of its problems is not solved, or None. Traced
        numbers are not checked.
    """
    if not runs_by_stage(objective, found) or np.all(np.asarray(objective.ridge) > 0):
        return found, None
    converged = np.array(found.converged)
    wide = jax.tree.map(np.asarray, broadcast(objective, converged.shape))
    first = None
    for index in np.ndindex(converged.shape):
        decided = unique_minimum(
            wide.loss,
            wide.types[index],
            wide.retain_weight[index],
            wide.ridge[index],
            np.asarray(found.weights)[index] if converged[index] else None,
        )
        if not decided.exists:
            converged[index] = False
            first = decided if first is None else first
    return found._replace(converged=jnp.asarray(converged)), first


def unique_minimum(
    loss: Loss,
    types: Float[np.ndarray, "k d"],
    weight: Float[np.ndarray, " k"],
    ridge: Float[np.ndarray, " d"],
    weights: Float[np.ndarray, " d"] | None,
) -> Existence:
    """:func:`existence`, decided by the ``weights`` of a solution where these prove it."""
    known = np.all(ridge > 0) or not np.all(np.isfinite(types))
    if known or (weights is not None and is_proved(loss, types, weight, ridge, weights)):
        return Existence(exists=True)
    return existence(types, weight, ridge)


def _warned(owner: str, found: Solution, decided: Existence | None) -> Solution:
    if decided is not None:
        warnings.warn(
            f"{owner} has no single minimum: {decided.reason}; give them a ridge, or leave "
            "columns out",
            RuntimeWarning,
            stacklevel=3,
        )
    return found


@backed_by("logistic-norm-bound", "one-path")
def solve(
    objective: Objective,
    strength: ArrayLike = 0.0,
    start: ArrayLike | None = None,
    *,
    max_iterations: int = MAX_ITERATIONS,
) -> Solution:
    r"""A local minimum of :math:`J_\gamma` at one strength, by Newton's method.

    With fewer types than weights the minimum lies in the span of the types and is sought there.
    Ridges may be 1e-300 to 1e300 in float64. At a positive strength this is *some* minimum that
    descent reaches. :func:`gda_theory.descent_ascent` follows the one that starts at the oracle,
    and knows when there is none.

    Args:
        objective: arrays may carry leading batch dimensions.
        strength: at least ``objective.pretrain_strength``; broadcast against the batch.
        start: ``(*batch, d)``, the origin by default.
        max_iterations: Newton's steps, at most.
    Claims: ``logistic-norm-bound``, ``one-path``.
    """
    strength = strength_in_range(objective.pretrain_strength, strength)
    if start is None:
        # Always an array, so that one shape is compiled once.
        shape = (*objective.types.shape[:-2], objective.types.shape[-1])
        start = np.zeros(shape, objective.types.dtype)
    else:
        start = checks.real("start", start, objective.types.dtype)
    pattern = span_pattern(objective)
    if is_single(objective, strength) and runs_by_stage(objective, strength, start):
        return solved_by_stage(
            Staged.of(objective, pattern), strength, start, max_iterations=max_iterations
        )
    return solve_from(start, objective, strength, pattern, max_iterations)


def is_single(objective: Objective, *numbers: Numbers) -> bool:
    """Whether no array carries a batch dimension."""
    leaves = jax.tree.leaves(objective)
    single = all(leaf.ndim == rank for leaf, rank in zip(leaves, RANKS, strict=True))
    return single and all(number.ndim == 0 for number in numbers)


@backed_by("newton-step-is-preconditioned-ascent", "influence-error")
def newton_step(
    problem: Objective | HasObjective, start: ArrayLike, strength: ArrayLike = 0.0
) -> Float[Numbers, "*batch d"]:
    r"""One full Newton step :math:`w - \nabla^2 J_\gamma(w)^{-1} \nabla J_\gamma(w)`.

    From the pretrained weights, on the oracle's objective, this is the *certified removal* step
    (Guo et al., 2020). With means it equals ascent on the forget objective, preconditioned by the
    oracle's curvature: ``w_D + (f/r) H_R^{-1}(grad L_F + ridge w_D)``.

    Args:
        problem: a Problem, a CorrelatedPair or an Objective.
        start: the weights to step from, ``(*batch, d)``.
        strength: of the objective; 0 is the oracle's.
    Claims: ``newton-step-is-preconditioned-ascent``, ``influence-error``.
    """
    objective = objective_of(problem)
    strength = strength_in_range(objective.pretrain_strength, strength)
    start = checks.real("start", start, objective.types.dtype)
    single = is_single(objective, strength) and start.shape == objective.types.shape[1:]
    if single and runs_by_stage(objective, strength, start):
        inside = Staged.of(objective, None)
        stepped = BY_STAGE.stage(_stepped)(
            objective.loss, inside.objective.at(strength), inside.enter(start)
        )
        return jnp.asarray(inside.leave(stepped))
    curvature = objective.hessian(start, strength)
    return start - solve_linear(curvature, objective.gradient(start, strength))


def _stepped(
    loss: Loss, margins: MarginObjective, start: Float[Numbers, " d"]
) -> Float[Numbers, " d"]:
    return start - solve_linear(margins.hessian(loss, start), margins.gradient(loss, start))


def strength_in_range(
    lowest: Numbers, strength: ArrayLike, name: str = "strength"
) -> Array | np.ndarray:
    """``strength`` in the dtype of ``lowest``, if it is finite and at least that.

    ``lowest`` is where the path ends. A traced strength that is lower becomes NaN.

    Raises: ``ValueError`` that names the argument ``name``.
    """
    strength = checks.finite(name, checks.real(name, strength, lowest.dtype))
    if not runs_by_stage(lowest, strength):
        return jnp.where(_is_below(strength, lowest), jnp.nan, strength)
    strength, lowest = np.asarray(strength), np.asarray(lowest)
    below = _is_below(strength, lowest)
    if np.any(below):
        least = np.max(np.broadcast_to(lowest, below.shape)[below])
        worst = np.min(np.broadcast_to(strength, below.shape)[below])
        raise ValueError(
            f"{name} must be >= {least:.17g}, where the path is pretraining, got {worst:.17g}"
        )
    return strength


def _is_below(strength: Numbers, lowest: Numbers) -> Truth:
    # A strength computed as -f/r elsewhere may differ in the last digits.
    eps = float(jnp.finfo(lowest.dtype).eps)
    return strength < lowest - 4 * eps * abs(lowest)


@functools.partial(jax.jit, static_argnums=(3, 4))
def solve_from(
    start: Numbers,
    objective: Objective,
    strength: Numbers,
    pattern: tuple[int, ...] | None,
    max_iterations: int = MAX_ITERATIONS,
) -> Solution:
    """:func:`solve` in one program, without validation; ``pattern`` is :func:`span_pattern`'s."""
    solve_one = functools.partial(minimum, pattern=pattern, max_iterations=max_iterations)
    return over_batch(solve_one, objective, (strength, 0), (start, 1))


def minimum(
    objective: Objective,
    strength: Float[Numbers, ""],
    start: Float[Numbers, " d"],
    *,
    pattern: tuple[int, ...] | None,
    max_iterations: int = MAX_ITERATIONS,
) -> Solution:
    """:func:`solve` for one objective inside jit, without validation."""
    fixed, at, origin = jax.lax.stop_gradient((objective, strength, start))
    span = into_span(fixed.types, fixed.ridge, pattern)
    inside = dataclasses.replace(fixed, types=span.types, ridge=span.ridge)
    found = lowest_point(objective.loss, inside.at(at), span.drop @ origin, max_iterations)
    weights = implicit(objective_gradient, span.lift(found.weights), objective, strength)
    length = found.gradient_norm
    if pattern is not None:
        # Inside the span the gradient is measured in other units.
        length = norm(fixed.gradient(jax.lax.stop_gradient(weights), at))
    return found._replace(
        weights=weights, value=objective.value(weights, strength), gradient_norm=length
    )


def solved_by_stage(
    inside: Staged,
    strength: Numbers | float,
    start: Numbers,
    *,
    max_iterations: int = MAX_ITERATIONS,
) -> Solution:
    """:func:`solve` for one objective of known numbers, by stages."""
    loss = inside.objective.loss
    found = BY_STAGE.stage(lowest_point)(
        loss, inside.objective.at(strength), inside.enter(start), np.int32(max_iterations)
    )
    weights = inside.leave(found.weights)
    length = found.gradient_norm
    if inside.span.basis is not None:
        length = BY_STAGE.stage(gradient_norm)(loss, inside.given.at(strength), weights)
    return found._replace(weights=jax.device_put(weights), gradient_norm=length)


def lowest_point(
    loss: Loss,
    margins: MarginObjective,
    start: Float[Numbers, " m"],
    max_iterations: Int[Numbers, ""] | int,
) -> Solution:
    """:func:`iterate` on a margin objective, in a unit that neither overflows nor underflows."""
    inside, unit = margins.scaled()
    sizes = jnp.abs(inside.types)
    rough = Rough.of(inside.types)
    convex = jnp.all(inside.coefficients >= 0) & jnp.all(inside.ridge > 0)

    def hessian(weights):
        return inside.hessian(loss, weights, rough)

    def local(weights):
        return inside.local(loss, sizes, weights)

    found = iterate(local, hessian, start, max_iterations, convex)
    return found._replace(
        value=margins.value(loss, found.weights), gradient_norm=found.gradient_norm * unit
    )


def gradient_norm(
    loss: Loss, margins: MarginObjective, weights: Float[Numbers, " d"]
) -> Float[Numbers, ""]:
    """The length of the gradient."""
    return norm(margins.gradient(loss, weights))


def objective_gradient(
    weights: Float[Numbers, " d"], objective: Objective, strength: Float[Numbers, ""]
) -> Float[Numbers, " d"]:
    """The gradient as a function of what :func:`implicit` differentiates in."""
    return objective.gradient(weights, strength)


def norm(vector: Float[Numbers, "*batch d"]) -> Float[Numbers, "*batch"]:
    """Euclidean length without the overflow and underflow of the squares."""
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(vector), -1))
    size = jnp.where(size > 0, size, 1)
    return size * jnp.linalg.norm(vector / size[..., None], axis=-1)


# The iteration -------------------------------------------------------------------------------


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
) -> Solution:
    """Newton's method with line search until the gradient is rounding noise.

    It ends below two epsilons, or where the gradient is no longer halved. ``convex`` saves the
    Hessian that asks whether the last point is a minimum.
    """
    eps = jnp.finfo(start.dtype).eps

    def unfinished(state):
        error = state.local.backward_error()
        return (error > 2 * eps) & (state.iteration < max_iterations) & (state.stalls < 2)

    def body(state):
        step = direction(hessian(state.point), state.local.gradient)
        point, proposal = _search(local, state.point, state.local, step)
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
    last = jax.lax.while_loop(unfinished, body, first)
    error = last.local.backward_error()
    bends_up = jax.lax.cond(convex, lambda: jnp.bool_(True), is_minimum)
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


class _Trial(NamedTuple):
    length: Array  # of the best step so far
    best: Local
    trial: Array  # the length to try next
    phase: Numbers


def _search(
    local: Callable[[Array], Local], point: Numbers, start: Local, step: Numbers
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
    last = jax.lax.while_loop(unfinished, body, first)
    return point + last.length * step, last.best
