r"""The path of minima along the ascent strength, from the oracle to the fold where the minimum is lost.

From the oracle on, :math:`w(\gamma)` obeys :math:`dw/d\gamma = H_\gamma^{-1}\nabla L_F` while :math:`H_\gamma \succ 0`. The
*critical strength* is where the Hessian turns singular, :math:`\nabla J = 0,\ Hv = 0` (Moore and Spence, 1980): there the
minimum meets a saddle and is gone.

How: anchors along the curve by predictor and corrector, through the fold as through any point (:mod:`gda_theory.solve.continuation`);
all requested strengths are then interpolated between the anchors and corrected together by matrix products.

Negative strengths lead to pretraining. For means the ridge grows there as ``1 - strength``; dividing by that factor leaves
:math:`c = a - \theta (a - b)`, :math:`\theta = \gamma/(\gamma - 1)`, at the given ridge: an ascent path again, of a convex objective.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from gda_theory.codes import Reason
from gda_theory.problem.losses import Loss
from gda_theory.problem.objective import Objective
from gda_theory.solve import continuation, newton
from gda_theory.solve.continuation import Fold, Line, Trace
from gda_theory.solve.newton import Solution, objective_of
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.numerics.implicit import implicit
from theory_common.printing.display import readable


@readable(reason=Reason)
class DescentAscent(NamedTuple):
    """The minimum continued from the oracle to one strength; NaN where ``exists`` is False, for the ``reason`` (:class:`Reason`).

    ``critical_strength``: the fold, if one was met on the way, else NaN. ``bounded_below``: whether the objective is, along
    each unpenalised coordinate; a *local* minimum may exist where it is not.
    """

    weights: Float[Array, "*batch d"]
    value: Float[Array, "*batch"]
    gradient_norm: Float[Array, "*batch"]
    exists: Bool[Array, "*batch"]
    reason: Int[Array, "*batch"]
    critical_strength: Float[Array, "*batch"]
    bounded_below: Bool[Array, "*batch"]


@readable(reason=Reason)
class Path(NamedTuple):
    """The minima at ``strengths`` (q of them, in the order given), and where the path breaks even and ends.

    Beyond the fold ``weights`` is NaN, ``exists`` False and ``reason`` says why. ``critical_strength`` is NaN if no fold was
    found up to ``searched_to``. ``break_even_strength`` is the smallest positive one at which the minimum is as far from the
    oracle as pretraining is; NaN if none was met before ``searched_to``, which is the fold if there is one.
    """

    strengths: Float[Array, "*batch q"]
    weights: Float[Array, "*batch q d"]
    gradient_norm: Float[Array, "*batch q"]
    exists: Bool[Array, "*batch q"]
    reason: Int[Array, "*batch q"]
    bounded_below: Bool[Array, "*batch q"]
    critical_strength: Float[Array, "*batch"]
    fold_weights: Float[Array, "*batch d"]
    break_even_strength: Float[Array, "*batch"]
    searched_to: Float[Array, "*batch"]
    oracle: Solution
    pretrained: Solution


@backed_by("oracle-continuation")
def descent_ascent(problem, strength=1.0) -> DescentAscent:
    """The minimum of descent-ascent at one strength *continued from the oracle*, or the reason why there is none.

    Args:
        problem: a Problem, a CorrelatedPair or an Objective (leading dimensions of its arrays are a batch).
        strength: at least the path's pretraining strength; 1 is the paper's.
    Weights and the critical strength have implicit derivatives in every array and the strength; NaN where they are NaN.
    Claim: ``oracle-continuation``.
    """
    objective = objective_of(problem)
    strength = newton.strength_in_range(objective.pretrain_strength, strength)
    oracle = newton.retrain(objective)
    path = _path(
        objective,
        strength[..., None],
        strength,
        oracle.weights,
        newton.span_pattern(objective),
        _below(strength),
    )[0]
    weights = path.weights[..., 0, :]
    return DescentAscent(
        weights,
        objective.value(weights, strength),
        path.gradient_norm[..., 0],
        path.exists[..., 0],
        path.reason[..., 0],
        path.critical_strength,
        path.bounded_below[..., 0],
    )


@backed_by(
    "path-monotone",
    "oracle-continuation",
    "opposite-sides",
    "break-even-first-order",
    "opposite-sides-error",
)
def ascent_path(problem, strengths, *, search_to=None) -> Path:
    """The minima continued from the oracle at many strengths, the critical and the break-even strength.

    Args:
        problem: a Problem, a CorrelatedPair or an Objective (leading dimensions of its arrays are a batch).
        strengths: ``(q,)`` in any order, each at least the path's pretraining strength.
        search_to: how far to look for the fold; ten times the largest of the strengths and 1 by default.
    Cost: about 15 Hessians and 80 gradients for the anchors, then some 4 gradients a strength, as matrix products in blocks.
    Weights, critical and break-even strength have implicit derivatives in every array; NaN where they are NaN.
    Claims: ``path-monotone``, ``oracle-continuation``, ``opposite-sides``, ``break-even-first-order``, ``opposite-sides-error``.
    """
    objective = objective_of(problem)
    strengths = newton.strength_in_range(
        objective.pretrain_strength[..., None], strengths, "strengths"
    )
    if strengths.ndim < 1 or strengths.shape[-1] == 0:
        raise ValueError(f"strengths must have shape (q,) with q >= 1, got {strengths.shape}")
    largest = jnp.max(strengths, -1)
    search_to = (
        10 * jnp.maximum(largest, 1)
        if search_to is None
        else checks.positive("search_to", search_to).astype(strengths.dtype)
    )
    search_to, pattern = jnp.maximum(search_to, largest), newton.span_pattern(objective)
    return _whole(objective, strengths, search_to, pattern, _below(strengths))


@functools.partial(jax.jit, static_argnums=(3, 4))
def _whole(objective, strengths, search_to, pattern, below):
    """:func:`ascent_path` in one piece, so that what its parts make of the data they share is made once."""
    none = jnp.zeros_like(objective.size_ratio)
    oracle = newton.solve_from(jnp.zeros_like(objective.types[..., 0, :]), objective, none, pattern)
    pretrained = newton.solve_from(oracle.weights, newton.pretraining(objective), none, pattern)
    branch, trace = _path(objective, strengths, search_to, oracle.weights, pattern, below)
    even = _break_even(objective, trace, oracle.weights, pretrained.weights, pattern)
    return Path(
        strengths,
        **branch._asdict(),
        break_even_strength=even,
        oracle=oracle,
        pretrained=pretrained,
    )


def _below(strengths) -> bool:
    """Whether the side of pretraining is needed; traced strengths may need it."""
    return checks.is_traced(strengths) or bool(np.any(np.asarray(strengths) < 0))


class Branch(NamedTuple):
    """What :class:`Path` holds, but for the comparison with pretraining."""

    weights: Array
    gradient_norm: Array
    exists: Array
    reason: Array
    bounded_below: Array
    critical_strength: Array
    fold_weights: Array
    searched_to: Array


@functools.partial(jax.jit, static_argnums=(4, 5))
def _path(objective, strengths, search_to, oracle, pattern, below):
    one = functools.partial(_path_one, pattern=pattern, below=below)
    return newton.over_batch(one, objective, (strengths, 1), (search_to, 0), (oracle, 1))


def _path_one(objective, strengths, search_to, oracle, *, pattern, below):
    fixed, at, limit, start = jax.lax.stop_gradient((objective, strengths, search_to, oracle))
    span = newton.into_span(fixed, pattern)
    up = continuation.upward(span.objective)
    trace, line, fold = continuation.trace_of(objective.loss, up, span.drop @ start, limit)
    reach = trace.times[trace.anchors - 1] * line.step
    lost_hold = (trace.status == continuation.FAILED) & _ends_boundedness(fixed, reach)
    trace = trace._replace(status=jnp.where(lost_hold, continuation.ESCAPED, trace.status))
    points, found, slopes = continuation.at_strengths(
        objective.loss, line, trace, jnp.maximum(at, 0) / line.step
    )
    if below:
        down, factor = continuation.downward(span.objective)
        distance = -at / factor(-at)
        other, other_line, _ = continuation.trace_of(
            objective.loss, down, span.drop @ start, jnp.max(jnp.where(at < 0, distance, 0))
        )
        less = continuation.at_strengths(
            objective.loss, other_line, other, jnp.where(at < 0, distance, 0) / other_line.step
        )
        factors = jnp.where(at < 0, factor(-at), 1)
        below_oracle = (at < 0)[:, None]
        points, slopes = (
            jnp.where(below_oracle, less[0], points),
            jnp.where(
                below_oracle, less[2] * factors[:, None] * other_line.unit, slopes * line.unit
            ),
        )
        found = jnp.where(at < 0, less[1], found)
    else:
        slopes = slopes * line.unit
    weights = jnp.where(found[:, None], span.lift(points), jnp.nan)
    ended = (trace.status == continuation.FOLD) | (trace.status == continuation.ESCAPED)
    bounded = jax.vmap(lambda strength: jnp.all(fixed.recession_slopes(strength) >= 0))(at)
    lost = jnp.where(bounded, jnp.int32(Reason.PAST_FOLD), jnp.int32(Reason.UNBOUNDED))
    reason = jnp.where(
        found,
        jnp.int32(Reason.FOUND),
        jnp.where(ended & (at >= reach), lost, jnp.int32(Reason.NOT_CONVERGED)),
    )
    differentiable = jax.vmap(
        lambda point, strength: implicit(newton.objective_gradient, point, objective, strength)
    )(weights, strengths)
    critical, fold_weights = _critical(
        objective, span, fold, line, trace.status == continuation.FOLD
    )
    branch = Branch(
        weights=differentiable,
        gradient_norm=jnp.where(
            found,
            newton.norm(slopes if pattern is None else jax.vmap(fixed.gradient)(weights, at)),
            jnp.nan,
        ),
        exists=found,
        reason=reason,
        bounded_below=bounded,
        critical_strength=jnp.where(trace.status == continuation.ESCAPED, reach, critical),
        fold_weights=fold_weights,
        searched_to=jnp.where(ended, reach, jnp.minimum(reach, limit)),
    )
    return branch, (trace, line)


def _ends_boundedness(objective: Objective, strength: Array) -> Array:
    """Whether the objective ceases to be bounded below at this strength: a path that gets no further has run to infinity."""
    width = float(jnp.finfo(strength.dtype).eps) ** 0.5
    within, beyond = (
        jnp.all(objective.recession_slopes(strength * factor) >= 0)
        for factor in (1 - width, 1 + width)
    )
    return within & ~beyond


def _fold_residual(point, objective):
    """What vanishes at a fold ``(weights, null vector, strength)``."""
    dimension = objective.types.shape[-1]
    weights, null, strength = point[:dimension], point[dimension:-1], point[-1]
    slope, bent = jax.jvp(lambda w: objective.gradient(w, strength), (weights,), (null,))
    return jnp.concatenate([slope, bent, (null @ null - 1)[None] / 2])


def _critical(
    objective: Objective, span: newton.Span, fold: Fold, line: Line, closed: Array
) -> tuple[Array, Array]:
    """The critical strength and the weights there, with their implicit derivatives; NaN if there is no fold."""
    null = span.lift(fold.null)
    null = null / newton.norm(null)
    point = jnp.concatenate([span.lift(fold.weights), null, (fold.time * line.step)[None]])
    point = implicit(_fold_residual, jnp.where(closed, point, jnp.nan), objective)
    return point[-1], point[: objective.types.shape[-1]]


# Break-even ------------------------------------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=4)
def _break_even(objective, traced, oracle, pretrained, pattern):
    """The break-even strength, from the anchors of :func:`_path`, with its implicit derivatives."""

    def one(objective, oracle, pretrained, traced):
        fixed, trace_line, start, target = jax.lax.stop_gradient(
            (objective, traced, oracle, pretrained)
        )
        trace, line = trace_line
        span = newton.into_span(fixed, pattern)
        weights, time = _even(objective.loss, line, trace, span, start, newton.norm(target - start))
        return implicit(
            _even_residual,
            jnp.append(span.lift(weights), time * line.step),
            objective,
            oracle,
            pretrained,
        )[-1]

    for _ in range(oracle.ndim - 1):
        one = jax.vmap(one)
    return one(newton.broadcast(objective, oracle.shape[:-1]), oracle, pretrained, traced)


def _even_residual(point, objective, oracle, pretrained):
    """What vanishes at break-even ``(weights, strength)``."""
    weights, strength = point[:-1], point[-1]
    gap = jnp.sum((weights - oracle) ** 2) - jnp.sum((pretrained - oracle) ** 2)
    return jnp.append(objective.gradient(weights, strength), gap / 2)


def _even(
    loss: Loss, line: Line, trace: Trace, span: newton.Span, oracle: Array, target: Array
) -> tuple[Array, Array]:
    """Where the path is first ``target`` away from the oracle: weights and time, NaN if nowhere."""

    def excess(weights):
        return newton.norm(span.lift(weights) - oracle) - target

    usable = jnp.arange(len(trace.times)) < trace.anchors
    beyond = usable & (excess(trace.weights) >= 0)
    index = jnp.maximum(jnp.argmax(beyond) - 1, 0)
    safe, nodes, valid, slopes, time_slopes = continuation.nodes_at(
        trace, index, index + jnp.array([-1, 0, 1, 2])
    )

    def point(position):
        values, derivatives = continuation.hermite(nodes, valid, position)
        return values @ trace.weights[safe] + derivatives @ slopes, values @ trace.times[
            safe
        ] + derivatives @ time_slopes

    position = continuation.crossing(lambda at: excess(point(at)[0]), nodes[2])
    rough = newton.Rough.of(line.types)

    def polish(_, state):
        weights, time = state
        slope, force = line.gradient(loss, weights, time)
        away = span.lift(weights) - oracle
        pull = away if span.basis is None else away @ span.basis
        top = jnp.concatenate(
            [line.steering_hessian(loss, rough, weights, time), force[:, None]], 1
        )
        matrix = jnp.concatenate([top, jnp.append(pull / newton.norm(away), 0)[None]], 0)
        change = jnp.linalg.solve(matrix, jnp.append(slope, excess(weights)))
        return weights - change[:-1], time - change[-1]

    weights, time = jax.lax.fori_loop(0, 3, polish, point(position))
    return jnp.where(jnp.any(beyond), weights, jnp.nan), jnp.where(jnp.any(beyond), time, jnp.nan)
