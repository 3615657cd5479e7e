r"""Newton's method on any smooth function, and what it finds: pretrained and retrained models.

Every solution is differentiable, to any order, in every array of its objective, by the implicit
function theorem (:mod:`theory_common.numerics.implicit`).

Convergence is judged by the *backward error* :math:`\max_j |g_j| / s_j`. Here :math:`s_j` is the
sum of the absolute values of the terms in the gradient's entry j. It includes an allowance for the
rounding of the margins. If the backward error is a few machine epsilons, the solution is exact for
data that differ from the given data in their last digits. This holds for any ridge, 1e-300 or
1e300.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from gda_theory.problem.losses import Loss, RowLoss
from gda_theory.problem.objective import (
    HasObjective,
    Local,
    MarginObjective,
    Objective,
    Rough,
    broadcast,
    in_coordinates,
    in_weights,
    objective_of,
    over_batch,
    pretraining,
)
from gda_theory.problem.partitions import PartitionedProblem
from gda_theory.solve import by_sums
from gda_theory.solve.existence import Existence, existence, is_proved
from gda_theory.solve.newton import MAX_ITERATIONS, Solution, iterate, norm
from gda_theory.solve.span import into_span, span_pattern
from gda_theory.solve.stages import BY_STAGE, Staged, runs_by_stage
from theory_common import checks
from theory_common.checks import Numbers, Truth
from theory_common.claims import backed_by
from theory_common.numerics.implicit import implicit, solve_linear


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
def pretrain(problem: Objective | HasObjective | PartitionedProblem) -> Solution:
    """The minimum over all data, retained and forgotten; see :func:`retrain`.

    Claim: ``one-path``.
    """
    if isinstance(problem, PartitionedProblem):
        return by_sums.pretrain(problem)
    objective = pretraining(objective_of(problem))
    found = _warned("pretrain", *confirmed(objective, solve(objective, 0.0)))
    return in_weights(problem, found)


def retrain(problem: Objective | HasObjective | PartitionedProblem) -> Solution:
    """The *oracle*: the minimum over the retain set alone.

    If every coordinate has a ridge, the objective is strictly convex and its minimum is unique.
    Problems along leading batch dimensions are solved together. The function works under jit, vmap
    and grad, with implicit derivatives in every array. Invalid traced input gives NaN and
    ``converged=False``.

    Without a ridge on some coordinates there may be no minimum, if these columns separate the
    labels. There may be many, if these columns depend on each other. Then ``converged`` is False,
    and a ``RuntimeWarning`` names the columns. Only concrete numbers are checked in this way, not
    traced ones. If every coordinate has a ridge, nothing needs to be checked.

    Args:
        problem: a Problem, MultinomialProblem, CorrelatedPair or Objective; or a
            PartitionedProblem, without derivatives.
    """
    if isinstance(problem, PartitionedProblem):
        return by_sums.retrain(problem)
    objective = objective_of(problem)
    found = _warned("retrain", *confirmed(objective, solve(objective, 0.0)))
    return in_weights(problem, found)


def confirmed(objective: Objective, found: Solution) -> tuple[Solution, Existence | None]:
    """``found`` at strength 0, with ``converged`` False where there is not exactly one minimum.

    Returns: the solution, and why the first of its problems is not solved, or None. Traced
        numbers are not checked.
    """
    if not runs_by_stage(objective, found) or np.all(np.asarray(objective.ridge) > 0):
        return found, None
    if not objective.has_margins:
        # Of several classes only the intercept may lack a ridge. The constructor has seen that
        # each class has rows to keep. Then there is exactly one minimum.
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
        start = np.zeros(objective.ridge.shape, objective.ridge.dtype)
    else:
        start = checks.real("start", start, objective.ridge.dtype)
    pattern = span_pattern(objective)
    if is_single(objective, strength) and runs_by_stage(objective, strength, start):
        return solved_by_stage(
            Staged.of(objective, pattern), strength, start, max_iterations=max_iterations
        )
    return solve_from(start, objective, strength, pattern, max_iterations)


def is_single(objective: Objective, *numbers: Numbers) -> bool:
    """Whether no array carries a batch dimension."""
    leaves = jax.tree.leaves(objective)
    single = all(leaf.ndim == rank for leaf, rank in zip(leaves, objective.ranks, strict=True))
    return single and all(number.ndim == 0 for number in numbers)


@backed_by("newton-step-is-preconditioned-ascent", "influence-error")
def newton_step(
    problem: Objective | HasObjective | PartitionedProblem,
    start: ArrayLike,
    strength: ArrayLike = 0.0,
) -> Float[Numbers, "*batch d"]:
    r"""One full Newton step :math:`w - \nabla^2 J_\gamma(w)^{-1} \nabla J_\gamma(w)`.

    From the pretrained weights, on the oracle's objective, this is the *certified removal* step
    (Guo et al., 2020). With means it equals ascent on the forget objective, preconditioned by the
    oracle's curvature: ``w_D + (f/r) H_R^{-1}(grad L_F + ridge w_D)``.

    Args:
        problem: a Problem, MultinomialProblem, CorrelatedPair or Objective; or a
            PartitionedProblem, without derivatives.
        start: the weights to step from, ``(*batch, d)``.
        strength: of the objective; 0 is the oracle's.
    Claims: ``newton-step-is-preconditioned-ascent``, ``influence-error``.
    """
    if isinstance(problem, PartitionedProblem):
        point, level = np.asarray(start, float), float(np.asarray(strength))
        return by_sums.newton_step(problem, point, level)
    objective = objective_of(problem)
    strength = strength_in_range(objective.pretrain_strength, strength)
    start = checks.real("start", start, objective.ridge.dtype)
    stepped = _newton_step(objective, strength, in_coordinates(problem, start))
    return problem.weights_of(stepped) if hasattr(problem, "weights_of") else stepped


def _newton_step(objective: Objective, strength: Numbers, start: Numbers) -> Numbers:
    """:func:`newton_step` in the coordinates of the objective."""
    single = is_single(objective, strength) and start.shape == objective.ridge.shape
    if single and runs_by_stage(objective, strength, start):
        inside = Staged.of(objective, None)
        stepped = BY_STAGE.stage(_stepped)(
            objective.loss, inside.objective.at(strength), inside.enter(start)
        )
        return jnp.asarray(inside.leave(stepped))
    curvature = objective.hessian(start, strength)
    return start - solve_linear(curvature, objective.gradient(start, strength))


def _stepped(
    loss: RowLoss, margins: MarginObjective, start: Float[Numbers, " d"]
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
    loss: RowLoss,
    margins: MarginObjective,
    start: Float[Numbers, " m"],
    max_iterations: Int[Numbers, ""] | int,
) -> Solution:
    """:func:`iterate` on a margin objective, in a unit that neither overflows nor underflows."""
    inside, unit = margins.scaled(loss)
    rough = Rough.of(inside.types)
    convex = jnp.all(inside.coefficients >= 0) & jnp.all(inside.ridge > 0)

    def hessian(weights):
        return inside.hessian(loss, weights, rough)

    def local(weights):
        return inside.local(loss, weights)

    found = iterate(local, hessian, start, max_iterations, convex)
    return found._replace(
        value=margins.value(loss, found.weights), gradient_norm=found.gradient_norm * unit
    )


def gradient_norm(
    loss: RowLoss, margins: MarginObjective, weights: Float[Numbers, " d"]
) -> Float[Numbers, ""]:
    """The length of the gradient."""
    return norm(margins.gradient(loss, weights))


def objective_gradient(
    weights: Float[Numbers, " d"], objective: Objective, strength: Float[Numbers, ""]
) -> Float[Numbers, " d"]:
    """The gradient as a function of what :func:`implicit` differentiates in."""
    return objective.gradient(weights, strength)
