r"""Newton's method on any smooth objective, and the implicit derivatives of what it finds.

A stationary point of :math:`J(w; \theta)` moves by :math:`dw = -\nabla^2 J^{-1}\, d(\nabla J)`: every solution here is
differentiable that way, to any order, in every array of its objective, and no derivative goes through an iteration.

Convergence is judged by the *backward error* :math:`\max_j |g_j| / s_j`, where :math:`s_j` is the sum of the absolute values
of the terms that make up the gradient's entry (the rounding of the margins included), so a few machine epsilons mean: exact
for data that differ from the given in the last digits, whatever the ridge, 1e-300 or 1e300.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from gda_theory.problem.losses import Loss
from gda_theory.problem.objective import Objective
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.numerics.implicit import implicit, solve_linear
from theory_common.printing.display import readable

MAX_ITERATIONS = 200
RANKS = (2, 1, 1, 1, 0)  # of one objective's arrays, in the order of its leaves


@readable()
class Solution(NamedTuple):
    """A minimum. ``converged``: positive curvature and ``backward_error`` of at most 16 machine epsilons; else the last iterate."""

    weights: Float[Array, "*batch d"]
    value: Float[Array, "*batch"]
    gradient_norm: Float[Array, "*batch"]
    backward_error: Float[Array, "*batch"]
    converged: Bool[Array, "*batch"]
    iterations: Int[Array, "*batch"]


class Local(NamedTuple):
    """An objective at one point; the scales are the sums of the absolute values of the terms, where rounding starts."""

    value: Float[Array, ""]
    value_scale: Float[Array, ""]
    gradient: Float[Array, " d"]
    gradient_scale: Float[Array, " d"]

    def backward_error(self) -> Float[Array, ""]:
        """``max_j |gradient_j| / gradient_scale_j``; an entry without terms is exact."""
        return jnp.max(
            jnp.where(self.gradient_scale == 0, 0, jnp.abs(self.gradient) / self.gradient_scale)
        )


class Rough(NamedTuple):
    """Types in float32, for Hessians that only steer: a product there takes a quarter of the time. ``squares``: ``|t_i|^2``."""

    single: Float[Array, "k m"]
    squares: Float[Array, " k"]

    @classmethod
    def of(cls, types: Float[Array, "k m"]) -> "Rough | None":
        """None where the product is too small to matter, or is single already."""
        count, dimension = types.shape
        if types.dtype == jnp.float32 or count * dimension**2 < 10**6:
            return None
        return cls(types.astype(jnp.float32), jnp.sum(types**2, -1))


def steering_hessian(
    types: Float[Array, "k m"],
    rough: Rough | None,
    bend: Float[Array, " k"],
    ridge: Float[Array, " m"],
) -> Array:
    """``T' diag(bend) T + diag(ridge)``, in float32 where the smallest ridge stands far above what rounding does there."""

    def double():
        return (types.T * bend) @ types

    def single():
        top = jnp.max(jnp.abs(bend))
        top = jnp.where(top > 0, top, 1)
        return top * (
            rough.single.T @ (rough.single * (bend / top).astype(jnp.float32)[:, None])
        ).astype(types.dtype)

    if rough is None:
        return double() + jnp.diag(ridge)
    # Rounding perturbs by 6e-8 of the sum of the terms' sizes: here at most a hundredth of the smallest eigenvalue of a convex
    # objective. The comparison is False for NaN and for what overflows float32.
    size = jnp.abs(bend) @ rough.squares
    return jax.lax.cond(
        (1e-5 * size < jnp.min(ridge)) & (jnp.max(rough.squares) < 1e30), single, double
    ) + jnp.diag(ridge)


class Margins(NamedTuple):
    """A margin objective at a fixed strength: what the iterations work on. The Loss selects code and stays outside."""

    types: Float[Array, "k d"]
    coefficients: Float[Array, " k"]
    ridge: Float[Array, " d"]

    def local(self, loss: Loss, sizes: Float[Array, "k d"], weights: Float[Array, " d"]) -> Local:
        """Value and gradient; ``sizes`` is ``|types|``, made once for many calls."""
        margins = self.types @ weights
        values, pulls = (
            self.coefficients * loss.value(margins),
            self.coefficients * loss.phi(margins),
        )
        decay = self.ridge * weights
        return Local(
            jnp.sum(values) + jnp.sum(decay * weights) / 2,
            jnp.sum(jnp.abs(values)) + jnp.sum(decay * weights) / 2,
            decay - pulls @ self.types,
            jnp.abs(decay) + self.pull_scale(loss, sizes, margins, weights),
        )

    def pull_scale(
        self,
        loss: Loss,
        sizes: Float[Array, "k d"],
        margins: Float[Array, " k"],
        weights: Float[Array, " d"],
    ) -> Array:
        """The sizes of the terms in the sum of all pulls. A margin is known to ``eps sum|t||w|``, and passes that on to its pull."""
        unsure = loss.curvature(margins) * (jnp.abs(weights) @ sizes.T)
        return (jnp.abs(self.coefficients) * (loss.phi(margins) + unsure)) @ sizes

    def hessian(
        self, loss: Loss, rough: Rough | None, weights: Float[Array, " d"]
    ) -> Float[Array, "d d"]:
        return steering_hessian(
            self.types, rough, self.coefficients * loss.curvature(self.types @ weights), self.ridge
        )

    def minimise(self, loss: Loss, start: Float[Array, " d"], max_iterations: int) -> Solution:
        """:func:`iterate` on this objective."""
        sizes = jnp.abs(self.types)
        convex = jnp.all(self.coefficients >= 0) & jnp.all(self.ridge > 0)
        hessian = functools.partial(self.hessian, loss, Rough.of(self.types))
        return iterate(
            functools.partial(self.local, loss, sizes), hessian, start, max_iterations, convex
        )


def minimise(
    function: Callable[..., Array], start, *parameters, max_iterations: int = MAX_ITERATIONS
) -> Solution:
    """A local minimum of ``function(point, *parameters)``, smooth, written in JAX, by Newton's method from ``start``.

    Where the Hessian is not positive definite its eigenvalues are replaced by their absolute values, and steps are halved
    or doubled until the function decreases, so it descends from anywhere; it may end in any local minimum. ``weights`` are
    differentiable in the ``parameters`` (pytrees of float arrays). ``function`` selects code: give the same object again (not a
    new lambda), or it compiles again.

    Args:
        function: real-valued; with the parameters at hand.
        start: ``(d,)``.
    Returns: :class:`Solution`. The gradient's natural scale is ``|H||point|`` plus the largest entry at the start.
    """
    start = checks.real("start", start)
    checks.whole("max_iterations", max_iterations, least=1)
    if start.ndim != 1:
        raise ValueError(f"start must have shape (d,), got {start.shape}; use jax.vmap for a batch")
    found = _minimise(function, *jax.lax.stop_gradient((start, parameters)), max_iterations)
    return found._replace(weights=implicit(jax.grad(function), found.weights, *parameters))


@functools.partial(jax.jit, static_argnums=(0, 3))
def _minimise(function, start, parameters, max_iterations):
    gradient, hessian = jax.grad(function), jax.hessian(function)
    floor = jnp.max(jnp.abs(gradient(start, *parameters)))

    def local(point):
        value, slope = jax.value_and_grad(function)(point, *parameters)
        # How the value is summed is not known; its own size at both ends stands for its terms.
        scale = jnp.abs(hessian(point, *parameters)) @ jnp.abs(point) + floor
        return Local(value, jnp.abs(value), slope, scale)

    return iterate(local, lambda point: hessian(point, *parameters), start, max_iterations)


def objective_of(problem) -> Objective:
    """The :class:`Objective` of anything that has one: an objective, or whatever has a method ``objective()``."""
    if isinstance(problem, Objective):
        return problem
    if not hasattr(problem, "objective"):
        raise TypeError(
            f"problem must be a Problem, a CorrelatedPair or an Objective, got {type(problem).__name__}"
        )
    return problem.objective()


def pretraining(objective: Objective) -> Objective:
    """Pretraining as an objective of its own (at strength 0): the mean over all data, or the sum, at the same ridge."""
    weight = (
        objective.retain_weight - objective.pretrain_strength[..., None] * objective.forget_weight
    )
    if objective.reduction == "mean":
        weight = weight / (1 + objective.size_ratio[..., None])
    return Objective(
        objective.types,
        weight,
        objective.forget_weight,
        objective.ridge,
        objective.size_ratio,
        objective.loss,
        objective.reduction,
    )


@backed_by("one-path")
def pretrain(problem) -> Solution:
    """The minimum over all data, retained and forgotten, of a Problem, a CorrelatedPair or an Objective; see :func:`retrain`.

    Claim: ``one-path``.
    """
    return solve(pretraining(objective_of(problem)), 0.0)


def retrain(problem) -> Solution:
    """The *oracle*: the minimum over the retain set alone, of a Problem, a CorrelatedPair or an Objective.

    The objective is strictly convex where every coordinate has a ridge, so the solution is the only one. Leading batch
    dimensions of the objective's arrays are solved at once. Works under jit, vmap and grad (implicit derivatives in every
    array); bad input that is traced gives NaN and ``converged=False``.
    """
    return solve(objective_of(problem), 0.0)


@backed_by("logistic-norm-bound", "one-path")
def solve(
    objective: Objective, strength=0.0, start=None, *, max_iterations: int = MAX_ITERATIONS
) -> Solution:
    r"""A local minimum of :math:`J_\gamma` at one strength, by Newton's method from ``start`` (the origin by default).

    With fewer types than weights (k < d) the minimum lies in the span of the types, where the ridge is the metric, and is
    sought there. Ridges from 1e-300 to 1e300 in float64. At a positive strength this is *some* minimum that descent reaches:
    :func:`gda_theory.descent_ascent` follows the one that starts at the oracle, and knows when there is none.

    Args:
        objective: arrays may carry leading batch dimensions.
        strength: at least ``objective.pretrain_strength``; broadcast against the batch.
        start: ``(*batch, d)``.
    Claims: ``logistic-norm-bound``, ``one-path``.
    """
    strength = strength_in_range(objective.pretrain_strength, strength)
    # Always an array, so that one shape is compiled once.
    start = (
        jnp.zeros_like(objective.types[..., 0, :])
        if start is None
        else checks.real("start", start, objective.types.dtype)
    )
    return solve_from(start, objective, strength, span_pattern(objective), max_iterations)


@backed_by("newton-step-is-preconditioned-ascent", "influence-error")
def newton_step(problem, start, strength=0.0) -> Float[Array, "*batch d"]:
    r"""One full Newton step :math:`w - \nabla^2 J_\gamma(w)^{-1} \nabla J_\gamma(w)`, on the oracle's objective by default.

    From the pretrained weights this is the *certified removal* step (Guo et al., 2020); with means it equals ascent on the
    forget objective preconditioned by the oracle's curvature, ``w_D + (f/r) H_R^{-1}(grad L_F + ridge w_D)``.
    Claims: ``newton-step-is-preconditioned-ascent``, ``influence-error``.
    """
    objective = objective_of(problem)
    strength = strength_in_range(objective.pretrain_strength, strength)
    start = checks.real("start", start, objective.types.dtype)
    return start - solve_linear(
        objective.hessian(start, strength), objective.gradient(start, strength)
    )


def strength_in_range(lowest: Array, strength, name: str = "strength") -> Array:
    """``strength``, the argument ``name``, in the dtype of ``lowest``: finite, and at least that (up to rounding), where the path ends."""
    strength = checks.finite(name, checks.real(name, strength, lowest.dtype))
    # A strength computed as -f/r elsewhere may differ in the last digits.
    below = strength < lowest - 4 * jnp.finfo(lowest.dtype).eps * jnp.abs(lowest)
    if checks.is_traced(below):
        return jnp.where(below, jnp.nan, strength)
    if np.any(below):
        least = np.max(np.broadcast_to(lowest, below.shape)[below])
        worst = np.min(np.broadcast_to(strength, below.shape)[below])
        raise ValueError(
            f"{name} must be >= {least:.17g}, where the path is pretraining, got {worst:.17g}"
        )
    return strength


@functools.partial(jax.jit, static_argnums=(3, 4))
def solve_from(
    start, objective: Objective, strength, pattern, max_iterations: int = MAX_ITERATIONS
) -> Solution:
    """:func:`solve` without its door, ``pattern`` being that of :func:`span_pattern`."""
    solve_one = functools.partial(minimum, pattern=pattern, max_iterations=max_iterations)
    return over_batch(solve_one, objective, (strength, 0), (start, 1))


def minimum(
    objective: Objective,
    strength: Array,
    start: Array,
    *,
    pattern,
    max_iterations: int = MAX_ITERATIONS,
) -> Solution:
    """:func:`solve` without its door: one objective, for use inside jit."""
    fixed, at = jax.lax.stop_gradient((objective, strength))
    span = into_span(fixed, pattern)
    inside = span.objective
    origin = span.drop @ jax.lax.stop_gradient(start)
    margins, unit = scaled(Margins(inside.types, inside.coefficients(at), inside.ridge_at(at)))
    found = margins.minimise(objective.loss, origin, max_iterations)
    weights = implicit(objective_gradient, span.lift(found.weights), objective, strength)
    # Inside the span the gradient is measured in other units.
    length = (
        found.gradient_norm * unit
        if pattern is None
        else norm(fixed.gradient(jax.lax.stop_gradient(weights), at))
    )
    return found._replace(
        weights=weights, value=objective.value(weights, strength), gradient_norm=length
    )


def objective_gradient(weights: Array, objective: Objective, strength: Array) -> Array:
    """The gradient as a function of what :func:`implicit` differentiates in."""
    return objective.gradient(weights, strength)


# The span of the types -------------------------------------------------------------------------------------------------------


class Span(NamedTuple):
    """An objective in coordinates of the types' span; ``basis`` and ``drop`` lead back and forth (None: the same coordinates)."""

    objective: Objective
    basis: Float[Array, "d m"] | None
    drop: Float[Array, "m d"]

    def lift(self, weights: Float[Array, "*batch m"]) -> Float[Array, "*batch d"]:
        """Weights in the original coordinates."""
        return weights if self.basis is None else weights @ self.basis.T


def span_pattern(objective: Objective) -> tuple[int, ...] | None:
    """The unpenalised coordinates if working in the span of the types pays (k + their number < d), else None.

    The pattern fixes shapes, so it must be known: with a traced ridge the answer is None, slower and the same.
    """
    *_, count, dimension = objective.types.shape
    if count >= dimension or checks.is_traced(objective.ridge):
        return None
    free = np.asarray(objective.ridge) == 0
    free = free.reshape(-1, dimension)
    unpenalised = tuple(np.flatnonzero(free[0]).tolist())
    return unpenalised if np.all(free == free[0]) and count + len(unpenalised) < dimension else None


@backed_by("span-coordinates")
def into_span(objective: Objective, pattern: tuple[int, ...] | None) -> Span:
    r"""The objective in the span of its types: :math:`w = \Lambda^{-1/2} Q z`, :math:`\Lambda^{-1/2} T^\top = QR`, unpenalised kept.

    Stationarity reads :math:`w = \Lambda^{-1} T^\top p`, so nothing is lost; the ridge on ``z`` is one number, and margins are
    :math:`R^\top z`. Claim: ``span-coordinates``.
    """
    if pattern is None:
        return Span(
            objective, None, jnp.eye(objective.types.shape[-1], dtype=objective.types.dtype)
        )
    count, dimension = objective.types.shape
    free = np.array(pattern, int)
    held = np.setdiff1d(np.arange(dimension), free)
    top = jnp.max(objective.ridge)
    root = jnp.sqrt(objective.ridge[held] / top)
    orthonormal, triangle = jnp.linalg.qr((objective.types[:, held] / root).T)
    basis = jnp.zeros((dimension, count + len(free)), objective.types.dtype)
    basis = (
        basis.at[held, :count]
        .set(orthonormal / root[:, None])
        .at[free, count + np.arange(len(free))]
        .set(1)
    )
    drop = jnp.zeros((count + len(free), dimension), objective.types.dtype)
    drop = (
        drop.at[:count, held]
        .set((orthonormal * root[:, None]).T)
        .at[count + np.arange(len(free)), free]
        .set(1)
    )
    inside = Objective(
        jnp.concatenate([triangle.T, objective.types[:, free]], -1),
        objective.retain_weight,
        objective.forget_weight,
        jnp.concatenate([jnp.full(count, top), jnp.zeros(len(free), top.dtype)]),
        objective.size_ratio,
        objective.loss,
        objective.reduction,
    )
    return Span(inside, basis, drop)


def over_batch(function: Callable, objective: Objective, *arguments: tuple[Array | None, int]):
    """``function(objective, *arguments)`` over the leading dimensions; each argument comes with its own rank there, or is None."""
    ranks = [*RANKS, *(rank for _, rank in arguments)]
    leaves, structure = jax.tree.flatten(objective)
    given = [*leaves, *(argument for argument, _ in arguments)]
    pairs = list(zip(given, ranks, strict=True))
    batch = jnp.broadcast_shapes(
        *(leaf.shape[: leaf.ndim - rank] for leaf, rank in pairs if leaf is not None)
    )
    wide = [
        None if leaf is None else jnp.broadcast_to(leaf, batch + leaf.shape[leaf.ndim - rank :])
        for leaf, rank in pairs
    ]
    for _ in batch:
        function = jax.vmap(function)
    return function(jax.tree.unflatten(structure, wide[: len(leaves)]), *wide[len(leaves) :])


def broadcast(objective: Objective, batch: tuple[int, ...]) -> Objective:
    """The objective with all its arrays over the same leading dimensions."""
    leaves, structure = jax.tree.flatten(objective)
    wide = [
        jnp.broadcast_to(leaf, batch + leaf.shape[leaf.ndim - rank :])
        for leaf, rank in zip(leaves, RANKS, strict=True)
    ]
    return jax.tree.unflatten(structure, wide)


def scaled(margins: Margins) -> tuple[Margins, Array]:
    """The objective in a unit, a power of 2, in which neither a small ridge nor a small pull is lost to underflow; and the unit.

    At the minimum both parts of the gradient are about ``ridge * w``, w between |c t|/ridge and a few hundred: so about
    the smaller of the largest ridge and the largest pull at the origin.
    """
    pull = jnp.max(jnp.abs(margins.coefficients) @ jnp.abs(margins.types))
    ridge = jnp.max(margins.ridge)
    small = jnp.minimum(jnp.where(ridge > 0, ridge, jnp.inf), jnp.where(pull > 0, pull, jnp.inf))
    exponent = jnp.where(
        jnp.isfinite(small), jnp.frexp(jnp.where(jnp.isfinite(small), small, 1))[1], 0
    )
    unit = jnp.ldexp(jnp.ones_like(small), exponent)
    # A negative ridge can only be a traced one: NaN is the answer.
    ridge = jnp.where(margins.ridge >= 0, margins.ridge, jnp.nan)
    return Margins(margins.types, margins.coefficients / unit, ridge / unit), unit


def norm(vector: Float[Array, "*batch d"]) -> Float[Array, "*batch"]:
    """Euclidean length without the overflow and underflow of the squares."""
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(vector), -1))
    size = jnp.where(size > 0, size, 1)
    return size * jnp.linalg.norm(vector / size[..., None], axis=-1)


# The iteration ---------------------------------------------------------------------------------------------------------------


class _State(NamedTuple):
    point: Array
    local: Local
    iteration: Array
    stalls: Array


def iterate(
    local: Callable[[Array], Local],
    hessian: Callable[[Array], Array],
    start: Array,
    max_iterations: int,
    convex: Array | bool = False,
) -> Solution:
    """Newton's method with line search until the gradient is rounding noise: below two epsilons, or no longer halved.

    ``convex`` saves the Hessian that asks whether the last point is a minimum.
    """
    eps = jnp.finfo(start.dtype).eps

    def unfinished(state):
        error = state.local.backward_error()
        return (error > 2 * eps) & (state.iteration < max_iterations) & (state.stalls < 2)

    def body(state):
        step = direction(hessian(state.point), state.local.gradient)
        point, proposal = _search(local, state.point, state.local, step)
        decrease = state.local.value - proposal.value > 8 * eps * state.local.value_scale
        before, after = state.local.backward_error(), proposal.backward_error()
        keep = decrease | (after < before)
        chosen = jax.tree.map(
            lambda new, old: jnp.where(keep, new, old),
            (point, proposal),
            (state.point, state.local),
        )
        return _State(
            *chosen,
            state.iteration + 1,
            jnp.where(decrease | (after < before / 2), 0, state.stalls + 1),
        )

    first = local(start)
    last = jax.lax.while_loop(unfinished, body, _State(start, first, jnp.int32(0), jnp.int32(0)))
    error = last.local.backward_error()
    bends_up = jax.lax.cond(
        convex,
        lambda: jnp.bool_(True),
        lambda: jnp.all(jnp.isfinite(factor(hessian(last.point))[0])),
    )
    point = jnp.where(jnp.isnan(error), jnp.nan, last.point)
    return Solution(
        point,
        last.local.value,
        norm(last.local.gradient),
        error,
        (error <= 16 * eps) & bends_up,
        last.iteration,
    )


def factor(hessian: Array) -> tuple[Array, Array]:
    """Cholesky factor of the Hessian scaled to a unit diagonal, and the scale; NaN where it is not positive definite."""
    diagonal = jnp.diagonal(hessian)
    scale = jnp.where(
        diagonal != 0, 1 / jnp.sqrt(jnp.where(diagonal != 0, jnp.abs(diagonal), 1)), 1
    )
    return jnp.linalg.cholesky(hessian * scale[:, None] * scale, symmetrize_input=False), scale


def direction(hessian: Array, gradient: Array) -> Array:
    """Newton's direction ``-H^{-1} g``; where H is not positive definite, with the absolute values of its eigenvalues."""
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


def _search(
    local: Callable[[Array], Local], point: Array, start: Local, step: Array
) -> tuple[Array, Local]:
    """Along ``step``: halve until the value falls and the slope is not steeply rising; double while it still falls steadily.

    Doubling matters as much as halving: from 0, with an exponential loss and a ridge of 1e-300, Newton's steps are 1 and
    the minimum is near 690.
    """
    slope = start.gradient @ step
    slack = 8 * jnp.finfo(point.dtype).eps * start.value_scale
    shorten, lengthen, done = jnp.int32(0), jnp.int32(1), jnp.int32(2)

    def body(state):
        length, best, trial, phase = state
        there = local(point + trial * step)
        steepness = there.gradient @ step
        falls = there.value <= start.value + 1e-4 * trial * slope + slack
        good = falls & (steepness <= 0.5 * jnp.abs(slope))
        further = good & (steepness < 0)
        # Doubling is worth a try only where the full step left more than a tenth of the slope.
        hopeful = further & ((phase == lengthen) | ((trial == 1) & (steepness < 0.1 * slope)))
        taken = jnp.where(phase == shorten, good, further)
        length, best = jax.tree.map(
            lambda new, old: jnp.where(taken, new, old), (trial, there), (length, best)
        )
        phase = jnp.where(
            hopeful,
            lengthen,
            jnp.where((phase == lengthen) | good | (trial < 1e-18), done, shorten),
        )
        return length, best, jnp.where(hopeful, 2 * trial, trial / 2), phase

    state = (jnp.zeros_like(slope), start, jnp.ones_like(slope), shorten)
    length, best, _, _ = jax.lax.while_loop(
        lambda state: (state[3] != done) & (state[2] < 1e18), body, state
    )
    return point + length * step, best
