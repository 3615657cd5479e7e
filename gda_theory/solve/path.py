r"""The path of minima along the ascent strength, from the oracle to the fold.

From the oracle on, :math:`w(\gamma)` obeys :math:`dw/d\gamma = H_\gamma^{-1}\nabla L_F` while
:math:`H_\gamma \succ 0`. The *critical strength* is where the Hessian turns singular,
:math:`\nabla J = 0,\ Hv = 0` (Moore and Spence, 1980). There the minimum meets a saddle and
disappears. This point of the path is the *fold*.

Points along the curve (*anchors*) are found by predictor and corrector, which also pass the fold
(:mod:`gda_theory.solve.continuation`). The minima at the requested strengths are then interpolated
between the anchors, and corrected together by matrix products.

Negative strengths lead to pretraining. For means the ridge grows there as ``1 - strength``.
Division by that factor leaves :math:`c = a - \theta (a - b)`, :math:`\theta = \gamma/(\gamma - 1)`,
at the given ridge. This is an ascent path again, of a convex objective.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from gda_theory.codes import Reason
from gda_theory.problem.losses import RowLoss
from gda_theory.problem.objective import (
    HasObjective,
    MarginObjective,
    Objective,
    Rough,
    broadcast,
    in_weights,
    objective_of,
    over_batch,
    pretraining,
)
from gda_theory.problem.partitions import PartitionedProblem
from gda_theory.solve import by_sums, continuation, sums_path
from gda_theory.solve.continuation import Fold, Line, Minima, Trace
from gda_theory.solve.minimise import (
    confirmed,
    gradient_norm,
    is_single,
    objective_gradient,
    retrain,
    solve_from,
    solved_by_stage,
    strength_in_range,
)
from gda_theory.solve.newton import Solution, norm
from gda_theory.solve.span import Span, into_span, span_pattern
from gda_theory.solve.stages import (
    BY_STAGE,
    INSIDE,
    LARGEST,
    Runner,
    Staged,
    padded,
    runs_by_stage,
    size,
)
from theory_common import checks
from theory_common.checks import Numbers
from theory_common.claims import backed_by
from theory_common.numerics.implicit import implicit
from theory_common.printing.display import readable

Pattern = tuple[int, ...] | None  # of gda_theory.solve.span.span_pattern
FURTHER = 32  # the least number of further strengths that is compiled for few rows


@readable(reason=Reason)
class DescentAscent(NamedTuple):
    """The minimum continued from the oracle to one strength.

    Where ``exists`` is False the numbers are NaN, and ``reason`` (:class:`Reason`) says why.
    ``critical_strength`` is the strength of the fold, or NaN if none was met up to the given
    strength. ``bounded_below`` says whether the objective is bounded below along each unpenalised
    coordinate. A *local* minimum may exist even if it is not.
    """

    weights: Float[Numbers, "*batch d"]
    value: Float[Numbers, "*batch"]
    gradient_norm: Float[Numbers, "*batch"]
    exists: Bool[Numbers, "*batch"]
    reason: Int[Numbers, "*batch"]
    critical_strength: Float[Numbers, "*batch"]
    bounded_below: Bool[Numbers, "*batch"]


@readable(reason=Reason)
class Path(NamedTuple):
    """The minima at q ``strengths``, in the order given, with the break-even and the fold.

    Beyond the fold ``weights`` is NaN, ``exists`` is False and ``reason`` says why.
    ``critical_strength`` is NaN if no fold was found up to ``searched_to``.
    ``break_even_strength`` is the smallest positive strength at which the minimum is as far from
    the oracle as pretraining is. It is NaN if none was met before ``searched_to``, which is the
    fold if there is one.
    """

    strengths: Float[Numbers, "*batch q"]
    weights: Float[Numbers, "*batch q d"]
    gradient_norm: Float[Numbers, "*batch q"]
    exists: Bool[Numbers, "*batch q"]
    reason: Int[Numbers, "*batch q"]
    bounded_below: Bool[Numbers, "*batch q"]
    critical_strength: Float[Numbers, "*batch"]
    fold_weights: Float[Numbers, "*batch d"]
    break_even_strength: Float[Numbers, "*batch"]
    searched_to: Float[Numbers, "*batch"]
    oracle: Solution
    pretrained: Solution


@backed_by("oracle-continuation")
def descent_ascent(
    problem: Objective | HasObjective | PartitionedProblem, strength: ArrayLike = 1.0
) -> DescentAscent:
    """The minimum of descent-ascent at one strength *continued from the oracle*.

    Where there is none, the result says why. Weights and the critical strength have implicit
    derivatives in every array and the strength. The derivatives are NaN where the numbers are.

    Args:
        problem: a Problem, MultinomialProblem, CorrelatedPair or Objective (leading dimensions
            are a batch); or a PartitionedProblem, without derivatives.
        strength: at least the path's pretraining strength; 1 is the paper's.
    Claim: ``oracle-continuation``.
    """
    if isinstance(problem, PartitionedProblem):
        return _point_by_sums(problem, strength)
    objective = objective_of(problem)
    objective.require_path()
    given = strength
    strength = strength_in_range(objective.pretrain_strength, given)
    pattern = span_pattern(objective)
    if is_single(objective, strength) and runs_by_stage(objective, strength):
        return in_weights(problem, _point_by_stage(objective, strength, pattern))
    oracle = retrain(objective)
    branch, _ = _path(
        objective, strength[..., None], strength, oracle.weights, pattern, _below(given)
    )
    weights = branch.weights[..., 0, :]
    found = DescentAscent(
        weights=weights,
        value=objective.value(weights, strength),
        gradient_norm=branch.gradient_norm[..., 0],
        exists=branch.exists[..., 0],
        reason=branch.reason[..., 0],
        critical_strength=branch.critical_strength,
        bounded_below=branch.bounded_below[..., 0],
    )
    return in_weights(problem, found)


@backed_by(
    "path-monotone",
    "oracle-continuation",
    "opposite-sides",
    "break-even-first-order",
    "opposite-sides-error",
)
def ascent_path(
    problem: Objective | HasObjective | PartitionedProblem,
    strengths: ArrayLike,
    *,
    search_to: ArrayLike | None = None,
) -> Path:
    """The minima continued from the oracle, at many strengths, with the fold and the break-even.

    Weights, critical and break-even strength have implicit derivatives in every array. The
    derivatives are NaN where the numbers are.

    Each point that is followed costs one Hessian and 3 to 4 gradients. There are about 20 such
    points, or over 100 where margins become large. Each strength costs about 4 gradients more. All
    are matrix products in blocks.

    A single problem is solved stage by stage, which compiles in a fraction of the time. A batch,
    or a problem inside jit, is one program. Wrap the call in ``jax.jit`` where one shape is solved
    many times.

    Args:
        problem: a Problem, MultinomialProblem, CorrelatedPair or Objective (leading dimensions
            are a batch); or a PartitionedProblem, without derivatives.
        strengths: ``(q,)`` in any order, each at least the path's pretraining strength.
        search_to: how far to look for the fold; ten times the largest of the strengths and 1 by
            default.
    Claims: ``path-monotone``, ``oracle-continuation``, ``opposite-sides``,
        ``break-even-first-order``, ``opposite-sides-error``.
    """
    if isinstance(problem, PartitionedProblem):
        return _path_by_sums(problem, strengths, search_to)
    objective = objective_of(problem)
    objective.require_path()
    given = strengths
    strengths = strength_in_range(objective.pretrain_strength[..., None], given, "strengths")
    if strengths.ndim < 1 or strengths.shape[-1] == 0:
        raise ValueError(f"strengths must have shape (q,) with q >= 1, got {strengths.shape}")
    limit = _search_limit(strengths, search_to)
    pattern = span_pattern(objective)
    single = is_single(objective, limit) and strengths.ndim == 1
    if single and runs_by_stage(objective, strengths, limit):
        path, _ = _path_by_stage(objective, strengths, limit, pattern)
        return in_weights(problem, path)
    return in_weights(problem, _whole(objective, strengths, limit, pattern, _below(given)))


def path_and_more(
    objective: Objective,
    strengths: Float[np.ndarray, " q"],
    choose: Callable[[Path], Float[np.ndarray, " p"]],
) -> tuple[Path, Path]:
    """:func:`ascent_path` at some strengths, and at more, which are chosen once its end is known.

    The path is followed once.

    Args:
        objective: one problem of known numbers.
        strengths: ``(q,)``, each >= 0.
        choose: from the path to further strengths, each from 0 to its ``searched_to``.
    Returns: the path at ``strengths``, and the same path at the further strengths.
    """
    objective.require_path()
    limit = _search_limit(strengths, None)
    path, at = _path_by_stage(objective, strengths, limit, span_pattern(objective))
    return path, at(choose(path))


def _search_limit(strengths: Numbers, search_to: ArrayLike | None) -> Numbers:
    """The strength at which the search for the fold ends, at least the largest of ``strengths``."""
    xp = strengths.__array_namespace__()
    largest = xp.max(strengths, axis=-1)
    if search_to is None:
        return 10 * xp.maximum(largest, xp.ones_like(largest))
    chosen = checks.positive("search_to", search_to).astype(strengths.dtype)
    if xp is np and runs_by_stage(chosen):
        return np.maximum(np.asarray(chosen), largest)
    return jnp.maximum(chosen, largest)


def _below(strengths: ArrayLike) -> bool:
    """Whether the side of pretraining is needed; traced strengths may need it."""
    if any(map(checks.is_traced, jax.tree.leaves(strengths))):
        return True
    return bool(np.any(np.asarray(strengths) < 0))


# The algorithm -------------------------------------------------------------------------------


class Located(NamedTuple):
    """The minima of one problem and the end of its path, in coordinates of the span."""

    weights: Float[Numbers, "q m"]
    gradient_norm: Float[Numbers, " q"]
    exists: Bool[Numbers, " q"]
    reason: Int[Numbers, " q"]
    bounded_below: Bool[Numbers, " q"]
    closed: Bool[Numbers, ""]  # the path ends at a fold
    fold_weights: Float[Numbers, " m"]
    fold_strength: Float[Numbers, ""]
    escaped: Bool[Numbers, ""]  # it ends where the weights run to infinity
    reach: Float[Numbers, ""]
    searched_to: Float[Numbers, ""]


class Traced(NamedTuple):
    """The traced path: the anchors, the line in their units, and the fold."""

    trace: Trace
    line: Line
    fold: Fold


def _locate(
    run: Runner,
    inside: Objective,
    start: Numbers,
    strengths: Numbers,
    limit: Numbers,
    below: bool,
) -> tuple[Located, Traced]:
    """Follow the path from the oracle ``start``, up and, if ``below``, down."""
    up = continuation.upward(inside)
    found = Traced(*continuation.trace_of(inside.loss, up, start, limit, run))
    return _at(run, inside, found, start, strengths, limit, below), found


def _at(
    run: Runner,
    inside: Objective,
    found: Traced,
    start: Numbers,
    strengths: Numbers,
    limit: Numbers,
    below: bool,
) -> Located:
    """What the path that was ``found`` has at these strengths."""
    loss = inside.loss
    xp = strengths.__array_namespace__()
    zero = xp.zeros_like(limit)
    minima = run.stage(_minima)
    above = minima(loss, found.line, found.trace, xp.maximum(strengths, zero), zero)
    under = None
    if below:
        down, growth = continuation.downward(inside)
        distances = xp.maximum(-strengths, zero)
        farthest = xp.max(distances)
        other = Traced(
            *continuation.trace_of(loss, down, start, farthest / (1 + growth * farthest), run)
        )
        under = minima(loss, other.line, other.trace, distances, growth)
    up = continuation.upward(inside)
    return run.stage(_located)(loss, up, found, strengths, limit, above, under)


def _minima(loss: RowLoss, line: Line, trace: Trace, distances: Numbers, growth: Numbers) -> Minima:
    """The minima at these distances from the oracle; ``growth`` as in ``downward``."""
    factors = 1 + growth * distances
    found = continuation.at_times(loss, line, trace, distances / factors / line.step)
    return found._replace(gradients=found.gradients * factors[:, None] * line.unit)


def _located(
    loss: RowLoss,
    up: Line,
    found: Traced,
    strengths: Numbers,
    limit: Numbers,
    above: Minima,
    under: Minima | None,
) -> Located:
    """Both sides of the oracle in one, and the reasons where a minimum does not exist."""
    status = found.trace.status
    reach = found.trace.reach() * found.line.step
    minima = above
    if under is not None:
        side = strengths < 0
        minima = Minima(
            weights=jnp.where(side[:, None], under.weights, above.weights),
            exist=jnp.where(side, under.exist, above.exist),
            gradients=jnp.where(side[:, None], under.gradients, above.gradients),
        )
    closed = status == continuation.FOLD
    escaped = status == continuation.ESCAPED
    bounded = jax.vmap(functools.partial(up.bounded_below, loss))(strengths)
    lost = jnp.where(bounded, jnp.int32(Reason.PAST_FOLD), jnp.int32(Reason.UNBOUNDED))
    beyond = (closed | escaped) & (strengths >= reach)
    missing = jnp.where(beyond, lost, jnp.int32(Reason.NOT_CONVERGED))
    return Located(
        weights=jnp.where(minima.exist[:, None], minima.weights, jnp.nan),
        gradient_norm=jnp.where(minima.exist, norm(minima.gradients), jnp.nan),
        exists=minima.exist,
        reason=jnp.where(minima.exist, jnp.int32(Reason.FOUND), missing),
        bounded_below=bounded,
        closed=closed,
        fold_weights=found.fold.weights,
        fold_strength=found.fold.time * found.line.step,
        escaped=escaped,
        reach=reach,
        searched_to=jnp.where(closed | escaped, reach, jnp.minimum(reach, limit)),
    )


def _even(
    loss: RowLoss,
    found: Traced,
    basis: Float[Numbers, "d m"] | None,
    oracle: Float[Numbers, " m"],
    pretrained: Float[Numbers, " m"],
) -> tuple[Numbers, Numbers]:
    """Where the path is first as far from the oracle as pretraining is.

    Returns: weights and strength there, NaN if there is no such point.
    """
    trace, line, _ = found

    def away(weights):
        shift = weights - oracle
        return shift if basis is None else shift @ basis.T

    target = norm(away(pretrained))

    def excess(weights):
        return norm(away(weights)) - target

    usable = jnp.arange(len(trace.times)) < trace.anchors
    beyond = usable & (excess(trace.weights) >= 0)
    index = jnp.maximum(jnp.argmax(beyond) - 1, 0)
    nodes = continuation.nodes_at(trace, index, index + jnp.array([-1, 0, 1, 2]))

    def excess_at(position):
        return excess(nodes.weights_at(position))

    position = continuation.crossing(excess_at, nodes.positions[2])
    rough = Rough.of(line.types)

    def polish(_, state):
        weights, time = state
        slope, force, hessian = line.local(loss, rough, weights, time)
        shift = away(weights)
        outward = shift if basis is None else shift @ basis
        top = jnp.concatenate([hessian, force[:, None]], 1)
        matrix = jnp.concatenate([top, jnp.append(outward / norm(shift), 0)[None]], 0)
        change = jnp.linalg.solve(matrix, jnp.append(slope, excess(weights)))
        return weights - change[:-1], time - change[-1]

    first = (nodes.weights_at(position), nodes.time_at(position))
    weights, time = jax.lax.fori_loop(0, 3, polish, first)
    met = jnp.any(beyond)
    return jnp.where(met, weights, jnp.nan), jnp.where(met, time * line.step, jnp.nan)


# Stage by stage ------------------------------------------------------------------------------


def _path_by_stage(
    objective: Objective,
    strengths: Numbers,
    search_to: Numbers,
    pattern: Pattern,
) -> tuple[Path, Callable[[Float[np.ndarray, " p"]], Path]]:
    """:func:`ascent_path` of one problem, and the same path as a function of other strengths.

    These are from 0 to ``searched_to``.
    """
    inside = Staged.of(objective, pattern)
    trained = inside.pretraining()
    oracle = solved_by_stage(inside, 0.0, np.zeros_like(inside.given.ridge))
    pretrained = solved_by_stage(trained, 0.0, oracle.weights)
    oracle, _ = confirmed(inside.given, oracle)
    pretrained, _ = confirmed(trained.given, pretrained)
    start = inside.enter(oracle.weights)
    wide = padded(strengths, (size(len(strengths)),))
    located, found = _locate(BY_STAGE, inside.objective, start, wide, search_to, _below(strengths))
    _, even = BY_STAGE.stage(_even)(
        objective.loss, found, inside.basis, start, inside.enter(pretrained.weights)
    )
    path = Path(
        strengths=jax.device_put(strengths),
        **_branch_by_stage(inside, located, strengths)._asdict(),
        break_even_strength=even,
        oracle=oracle,
        pretrained=pretrained,
    )
    # More strengths cost more than compiling again, if there are many rows.
    few = len(inside.objective.retain_weight) * len(inside.objective.ridge) <= LARGEST

    def at(further: Float[np.ndarray, " p"]) -> Path:
        wide = padded(further, (size(len(further), FURTHER if few else 1),))
        located = _at(BY_STAGE, inside.objective, found, start, wide, search_to, below=False)
        branch = _branch_by_stage(inside, located, further)
        return path._replace(strengths=jax.device_put(further), **branch._asdict())

    return path, at


def _point_by_stage(objective: Objective, strength: Numbers, pattern: Pattern) -> DescentAscent:
    """:func:`descent_ascent` of one problem."""
    inside = Staged.of(objective, pattern)
    oracle = solved_by_stage(inside, 0.0, np.zeros_like(inside.given.ridge))
    strengths = strength[None]
    start = inside.enter(oracle.weights)
    limit = np.asarray(strength)
    located, _ = _locate(BY_STAGE, inside.objective, start, strengths, limit, _below(strengths))
    branch = _branch_by_stage(inside, located, strengths)
    value = BY_STAGE.stage(_value)(
        objective.loss, inside.objective.at(strength), located.weights[0]
    )
    return DescentAscent(
        weights=branch.weights[0],
        value=value,
        gradient_norm=branch.gradient_norm[0],
        exists=branch.exists[0],
        reason=branch.reason[0],
        critical_strength=branch.critical_strength,
        bounded_below=branch.bounded_below[0],
    )


def _branch_by_stage(inside: Staged, located: Located, strengths: Numbers) -> "Branch":
    """The located minima and fold, in the original coordinates and without padding."""
    count = len(strengths)
    known = jax.tree.map(np.asarray, located)
    weights = inside.leave(known.weights[:count])
    lengths = known.gradient_norm[:count]
    if inside.span.basis is not None:
        measure = BY_STAGE.stage(gradient_norm)
        loss = inside.given.loss
        lengths = [
            measure(loss, inside.given.at(strength), row)
            for strength, row in zip(strengths, weights, strict=True)
        ]
    critical = np.where(known.closed, known.fold_strength, np.nan)
    fold_weights = np.where(known.closed, inside.leave(known.fold_weights), np.nan)
    branch = Branch(
        weights=weights,
        gradient_norm=np.asarray(lengths, weights.dtype),
        exists=known.exists[:count],
        reason=known.reason[:count],
        bounded_below=known.bounded_below[:count],
        critical_strength=np.where(known.escaped, known.reach, critical),
        fold_weights=fold_weights,
        searched_to=known.searched_to,
    )
    return jax.device_put(branch)


# By sums over partitions -----------------------------------------------------------------------


def _path_by_sums(
    problem: PartitionedProblem, strengths: ArrayLike, search_to: ArrayLike | None
) -> Path:
    """:func:`ascent_path` of rows in partitions."""
    with jax.enable_x64(True):
        given = strength_in_range(problem.pretrain_strength[None], strengths, "strengths")
        if given.ndim != 1 or len(given) == 0:
            raise ValueError(f"strengths must have shape (q,) with q >= 1, got {given.shape}")
        limit = float(_search_limit(given, search_to))
    found = sums_path.follow(problem, np.asarray(given), limit)._asdict()
    del found["passes"]
    return Path(strengths=given, **found)


def _point_by_sums(problem: PartitionedProblem, strength: ArrayLike) -> DescentAscent:
    """:func:`descent_ascent` of rows in partitions."""
    with jax.enable_x64(True):
        given = np.asarray(strength_in_range(problem.pretrain_strength, strength))
    found = sums_path.follow(problem, given[None], float(given))
    weights = found.weights[0]
    value = np.asarray(np.nan)
    if found.exists[0]:
        mix = by_sums.at_strength(problem, float(given))
        value = np.asarray(mix.local(problem.sums(weights), weights).value)
    return DescentAscent(
        weights=weights,
        value=value,
        gradient_norm=found.gradient_norm[0],
        exists=found.exists[0],
        reason=found.reason[0],
        critical_strength=np.asarray(found.critical_strength),
        bounded_below=found.bounded_below[0],
    )


# In one program ------------------------------------------------------------------------------


class Branch(NamedTuple):
    """The fields of :class:`Path` that do not depend on pretraining."""

    weights: Numbers
    gradient_norm: Numbers
    exists: Numbers
    reason: Numbers
    bounded_below: Numbers
    critical_strength: Numbers
    fold_weights: Numbers
    searched_to: Numbers


@functools.partial(jax.jit, static_argnums=(3, 4))
def _whole(
    objective: Objective, strengths: Numbers, search_to: Numbers, pattern: Pattern, below: bool
) -> Path:
    """:func:`ascent_path` in one program: what its parts make of the data is made once."""
    none = jnp.zeros_like(objective.size_ratio)
    origin = jnp.zeros_like(objective.ridge)
    oracle = solve_from(origin, objective, none, pattern)
    pretrained = solve_from(oracle.weights, pretraining(objective), none, pattern)
    branch, found = _path(objective, strengths, search_to, oracle.weights, pattern, below)
    even = _break_even(objective, found, oracle.weights, pretrained.weights, pattern)
    return Path(
        strengths=strengths,
        **branch._asdict(),
        break_even_strength=even,
        oracle=oracle,
        pretrained=pretrained,
    )


@functools.partial(jax.jit, static_argnums=(4, 5))
def _path(
    objective: Objective,
    strengths: Numbers,
    search_to: Numbers,
    oracle: Numbers,
    pattern: Pattern,
    below: bool,
) -> tuple[Branch, Traced]:
    one = functools.partial(_path_one, pattern=pattern, below=below)
    return over_batch(one, objective, (strengths, 1), (search_to, 0), (oracle, 1))


def _path_one(
    objective: Objective,
    strengths: Numbers,
    search_to: Numbers,
    oracle: Numbers,
    *,
    pattern: Pattern,
    below: bool,
) -> tuple[Branch, Traced]:
    fixed, at, limit, start = jax.lax.stop_gradient((objective, strengths, search_to, oracle))
    span = into_span(fixed.types, fixed.ridge, pattern)
    inside = dataclasses.replace(fixed, types=span.types, ridge=span.ridge)
    located, found = _locate(INSIDE, inside, span.drop @ start, at, limit, below)
    weights = span.lift(located.weights)
    lengths = located.gradient_norm
    if pattern is not None:
        # Inside the span the gradient is measured in other units.
        lengths = norm(jax.vmap(fixed.gradient)(weights, at))

    def with_derivatives(point, strength):
        return implicit(objective_gradient, point, objective, strength)

    critical, fold_weights = _critical(objective, span, found, located)
    branch = Branch(
        weights=jax.vmap(with_derivatives)(weights, strengths),
        gradient_norm=jnp.where(located.exists, lengths, jnp.nan),
        exists=located.exists,
        reason=located.reason,
        bounded_below=located.bounded_below,
        critical_strength=jnp.where(located.escaped, located.reach, critical),
        fold_weights=fold_weights,
        searched_to=located.searched_to,
    )
    return branch, found


def _fold_residual(point: Numbers, objective: Objective) -> Numbers:
    """The equations of a fold ``(weights, null vector, strength)``: they are 0 there."""
    dimension = objective.ridge.shape[-1]
    weights, null, strength = point[:dimension], point[dimension:-1], point[-1]

    def gradient(weights):
        return objective.gradient(weights, strength)

    slope, bent = jax.jvp(gradient, (weights,), (null,))
    return jnp.concatenate([slope, bent, (null @ null - 1)[None] / 2])


def _critical(
    objective: Objective, span: Span, found: Traced, located: Located
) -> tuple[Numbers, Numbers]:
    """The critical strength and the weights there, with derivatives; NaN if there is no fold."""
    null = span.lift(found.fold.null)
    null = null / norm(null)
    weights = span.lift(located.fold_weights)
    point = jnp.concatenate([weights, null, located.fold_strength[None]])
    point = implicit(_fold_residual, jnp.where(located.closed, point, jnp.nan), objective)
    return point[-1], point[: objective.ridge.shape[-1]]


@functools.partial(jax.jit, static_argnums=4)
def _break_even(
    objective: Objective, found: Traced, oracle: Numbers, pretrained: Numbers, pattern: Pattern
) -> Numbers:
    """The break-even strength, with its implicit derivatives."""

    def one(objective, oracle, pretrained, found):
        fixed, start, trained, met = jax.lax.stop_gradient((objective, oracle, pretrained, found))
        span = into_span(fixed.types, fixed.ridge, pattern)
        weights, strength = _even(
            objective.loss, met, span.basis, span.drop @ start, span.drop @ trained
        )
        point = jnp.append(span.lift(weights), strength)
        return implicit(_even_residual, point, objective, oracle, pretrained)[-1]

    for _ in range(oracle.ndim - 1):
        one = jax.vmap(one)
    return one(broadcast(objective, oracle.shape[:-1]), oracle, pretrained, found)


def _even_residual(
    point: Numbers, objective: Objective, oracle: Numbers, pretrained: Numbers
) -> Numbers:
    """The equations of break-even ``(weights, strength)``: they are 0 there."""
    weights, strength = point[:-1], point[-1]
    gap = jnp.sum((weights - oracle) ** 2) - jnp.sum((pretrained - oracle) ** 2)
    return jnp.append(objective.gradient(weights, strength), gap / 2)


def _value(loss: RowLoss, margins: MarginObjective, weights: Numbers) -> Numbers:
    return margins.value(loss, weights)
