r"""Explanations of runs: the cause of what :func:`gda_theory.simulate` observed, from theory.

A scheme with half-steps :math:`(\rho_h, \sigma_h)` follows, to first order in the step, the
*effective* objective

.. math:: \nabla J_{\rm eff} = \sum_h \nabla J_{\rho_h, \sigma_h}
          = H\Lambda w - T^\top\Bigl[\bigl(\textstyle\sum_h\rho_h\, a
          - \gamma\sum_h\sigma_h\, b\bigr) \odot \varphi(Tw)\Bigr],

with H half-steps. For example, alternating steps follow simultaneous descent-ascent with the ridge
doubled. Ascent alone follows the ridge minus the forget loss. The minimum of these continues the
origin, which it is at strength 0, and not the oracle. With a loss of bounded slope, such as the
logistic one, a ridge on every coordinate stops the ascent somewhere. Otherwise there is no lower
bound, and at most a local minimum at small strengths. The cause follows from two facts: whether the
effective objective has the minimum that continues its oracle, and the curvature there. Source: App.
D.3 and new. Claims: ``effective-ridge``, ``two-points-below-fold``, ``oracle-continuation``.
"""

import dataclasses
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Bool, Float, Int

from gda_theory import pair as pairs
from gda_theory.codes import Cause, Outcome, Reason, sentence
from gda_theory.dynamics import simulation
from gda_theory.dynamics.schemes import Factors, Scheme, factors_of
from gda_theory.dynamics.simulation import Trajectory
from gda_theory.pair import CorrelatedPair
from gda_theory.problem.objective import Objective, objective_of
from gda_theory.problem.problem import Problem
from gda_theory.solve.newton import norm
from gda_theory.solve.path import Path, descent_ascent
from theory_common import checks, precision
from theory_common.claims import backed_by
from theory_common.printing.display import readable

BOTTLENECK = 0.1  # up to this part above the fold, a run slows down where the minimum was
MORE_EPOCHS = 64  # show whether a run without a minimum leads away: its moves then add up


@readable(cause=Cause, reason=Reason)
class Explanation(NamedTuple):
    """A cause (:class:`gda_theory.Cause`) for each lane of a run, and the numbers behind it.

    ``minimum`` is the minimum of the effective objective, continued from its oracle. If there is
    none, it is NaN and ``reason`` says why. ``critical_strength`` is the strength at which it
    disappears, or NaN if that is above the run's strength. ``stable_step`` is 2 over the largest
    curvature at the minimum, or at the run's end if there is no minimum. Steps above it cannot
    settle there. In ``epochs_to_settle`` epochs the distance to the minimum shrinks by a factor e,
    at the step size of the run's end. ``distance`` is the distance from the run's end to the
    minimum.
    """

    cause: Int[AnyArray, "*batch"]
    minimum: Float[AnyArray, "*batch d"]
    reason: Int[AnyArray, "*batch"]
    critical_strength: Float[AnyArray, "*batch"]
    stable_step: Float[AnyArray, "*batch"]
    epochs_to_settle: Float[AnyArray, "*batch"]
    distance: Float[AnyArray, "*batch"]

    @property
    def sentences(self) -> list[str]:
        """The cause of each lane in words (lanes in the order of the flattened batch)."""
        return [sentence(Cause(int(cause))) for cause in np.ravel(self.cause)]

    def __str__(self) -> str:
        return "\n".join(self.sentences)


@backed_by(
    "effective-ridge",
    "coordinate-runs-away",
    "two-points-below-fold",
    "short-steps-descend",
    "large-step-two-cycle",
    "oracle-continuation",
)
def explain(
    run: Trajectory,
    problem: Problem | CorrelatedPair | Objective,
    *,
    path: Path | None = None,
) -> Explanation:
    """The cause of what was observed in a run.

    Suppose that a minimum exists, and that the curvature there or at the start exceeds 2 over the
    step size. Then the cause of a run that does not settle is the step size, even for a start
    outside the basin.

    Args:
        run: what :func:`gda_theory.simulate` or :func:`gda_theory.sweep` returned.
        problem: what the run was made with; a CorrelatedPair is exact at any ridge. Its batch
            broadcasts to the run's.
        path: the :func:`gda_theory.ascent_path` of the :func:`effective` objective, if it is known
            already. Its first strength must be the effective one. By default it is computed.

    Returns: :class:`Explanation`; its ``str`` has one sentence a lane.
    Raises: ``TypeError`` if ``run`` is no Trajectory, ``ValueError`` if ``problem`` has other
    coordinates or ``path`` another strength.
    Claims: ``effective-ridge``, ``coordinate-runs-away``, ``two-points-below-fold``,
    ``short-steps-descend``, ``large-step-two-cycle``, ``oracle-continuation``.
    """
    if not isinstance(run, Trajectory):
        raise TypeError(
            f"run must be a Trajectory, which gt.simulate returns, got {type(run).__name__}"
        )
    known, strength = effective(problem, run.scheme, run.strength)
    objective = known.objective() if isinstance(known, CorrelatedPair) else known
    coordinates, of_run = objective.ridge.shape[-1], np.shape(run.start)[-1]
    if coordinates != of_run:
        raise ValueError(
            "problem must be what the run was made with: "
            f"it has {coordinates} coordinates, the run {of_run}"
        )
    if path is None:
        lanes = jnp.broadcast_to(strength, np.shape(run.outcome))
        minimum = _minimum(known, _distinct(objective, lanes))
    else:
        minimum = _of_path(path, strength)
    if not run.scheme.descends:
        minimum = _where_unbounded(objective, minimum, strength)
    kind = _Kind(
        alternating=len(run.scheme.half_steps) > 1,
        noisy=run.scheme.batch_size is not None,
        descends=run.scheme.descends,
        # A loss of bounded slope has a minimum somewhere, even if none where the oracle's was.
        elsewhere=math.isfinite(objective.loss.slope_at_minus_infinity),
    )
    facts, explanation = _facts(
        objective,
        _Run(
            factors=factors_of([run.scheme], objective.ridge.dtype),
            weights=run.weights,
            start=run.start,
            outcome=run.outcome,
            step_size=run.step_size,
            strength=run.strength,
        ),
        minimum,
        strength,
        kind.takes_exact_gradients,
    )
    return explanation._replace(cause=_cause(run.outcome, facts, kind))


def effective(
    problem: Problem | CorrelatedPair | Objective, scheme: Scheme, strength: ArrayLike
) -> tuple[CorrelatedPair | Objective, checks.Numbers]:
    """The effective objective of a scheme and its strength, with the retained losses at weight 1.

    Only the ridge changes. A pair stays a pair, whose minimum is known exactly. Of a scheme that
    ascends alone the retained losses have weight 0, and the forgotten ones the given strength.
    """
    retained, forgotten = (sum(factors) for factors in zip(*scheme.half_steps, strict=True))
    factor = ridge_factor(scheme)
    per = retained if scheme.descends else forgotten
    scaled = checks.unless_traced(strength) * (forgotten / per)
    if isinstance(problem, CorrelatedPair) and scheme.descends:
        return problem.replace(ridge=problem.ridge * factor), scaled
    known = objective_of(problem)
    ridge = precision.working(checks.unless_traced(known.ridge) * factor, known.ridge.dtype)
    changed = dataclasses.replace(known, ridge=ridge)
    if not scheme.descends:
        changed = dataclasses.replace(changed, retain_weight=0 * known.retain_weight)
    return changed, scaled


def ridge_factor(scheme: Scheme) -> float:
    """How many times the ridge acts in one epoch, for each time that the retained losses do.

    Of a scheme that ascends alone, for each time that the forgotten losses do.
    """
    retained, forgotten = (sum(factors) for factors in zip(*scheme.half_steps, strict=True))
    return len(scheme.half_steps) / (retained if scheme.descends else forgotten)


# The minimum -------------------------------------------------------------------------------------


class _Minimum(NamedTuple):
    """The minimum that continues the oracle; ``critical`` is NaN where it exists."""

    weights: Float[Array, "*batch d"]
    reason: Int[Array, "*batch"]
    critical: Float[Array, "*batch"]


def _of_path(path: Path, strength: ArrayLike) -> _Minimum:
    known = path.strengths[..., 0]
    if not checks.is_traced(known) and np.any(np.asarray(known) != np.asarray(strength)):
        raise ValueError(
            "path must begin with the effective strength of the run, "
            f"{np.ravel(strength)[0]:g}, got {np.ravel(known)[0]:g}"
        )
    return _Minimum(path.weights[..., 0, :], path.reason[..., 0], path.critical_strength)


def _minimum(known: CorrelatedPair | Objective, strength: Array) -> _Minimum:
    if isinstance(known, CorrelatedPair):
        found = pairs.descent_ascent(known, strength)
        fold = pairs.folds(known).alpha
        last = jnp.where(jnp.isnan(fold[..., 1]), fold[..., 0], fold[..., 1])
        critical = jnp.broadcast_to(last / known.alpha, strength.shape)
        critical = jnp.where(found.exists, jnp.nan, critical)
        return _Minimum(found.weights, found.reason, critical)
    continued = descent_ascent(known, strength)
    return _Minimum(continued.weights, continued.reason, continued.critical_strength)


@jax.jit
def _where_unbounded(objective: Objective, minimum: _Minimum, strength: ArrayLike) -> _Minimum:
    """The minimum of ascent alone, ``UNBOUNDED`` where a coordinate without ridge runs away.

    There is no path to it: at strength 0 such a coordinate has no minimum.
    """
    slopes = objective.recession_slopes(strength)
    runs_away = jnp.any(slopes < 0, (-2, -1))
    return minimum._replace(reason=jnp.where(runs_away, Reason.UNBOUNDED, minimum.reason))


def _distinct(objective: Objective, strength: Array) -> Array:
    """One strength where all lanes share it and the objective: its minimum is then sought once."""
    if (
        objective.size_ratio.ndim
        or (objective.has_margins and objective.types.ndim > 2)
        or checks.is_traced(strength)
        or not strength.ndim
    ):
        return strength
    values = np.unique(strength)
    return jnp.asarray(values[0]) if len(values) == 1 else strength


# The facts ---------------------------------------------------------------------------------------


class _Run(NamedTuple):
    """The numbers of a run that the cause depends on."""

    factors: Factors
    weights: Float[AnyArray, "*batch d"]
    start: Float[AnyArray, "*batch d"]
    outcome: Int[AnyArray, "*batch"]
    step_size: Float[AnyArray, "*batch"]
    strength: Float[AnyArray, "*batch"]


class _Facts(NamedTuple):
    """Facts about each lane, each True or False.

    ``exists``: the minimum; ``gone``: it was lost, past a fold or because the objective is
    ``unbounded``. ``there``: the run ended at it. ``ascends``: the effective strength is not 0.
    ``too_large``: the step size exceeds 2 over the largest curvature met. ``near_fold``: the
    strength is just above it. ``to_and_fro``: the last moves nearly cancel.
    """

    exists: Bool[Array, "*batch"]
    gone: Bool[Array, "*batch"]
    unbounded: Bool[Array, "*batch"]
    there: Bool[Array, "*batch"]
    ascends: Bool[Array, "*batch"]
    too_large: Bool[Array, "*batch"]
    near_fold: Bool[Array, "*batch"]
    to_and_fro: Bool[Array, "*batch"]
    approaches: Bool[Array, "*batch"]


class _Kind(NamedTuple):
    """What holds for all lanes, and selects rules.

    ``descends``: the scheme does not ascend alone. ``elsewhere``: another minimum exists in any
    case.
    """

    alternating: bool
    noisy: bool
    descends: bool
    elsewhere: bool

    @property
    def takes_exact_gradients(self) -> bool:
        """Whether each epoch is the step of one exact gradient."""
        return not (self.alternating or self.noisy)


@jax.jit
def _facts(
    objective: Objective,
    run: _Run,
    minimum: _Minimum,
    strength: Float[Array, "*batch"],
    exact: Bool[Array, ""],
) -> tuple[_Facts, Explanation]:
    """The facts once the minimum of the effective ``objective`` is known.

    The explanation still lacks the cause.
    """
    batch, dimension = run.outcome.shape, run.start.shape[-1]
    run = jax.tree.map(jnp.asarray, run)
    weights = jnp.broadcast_to(minimum.weights, (*batch, dimension))
    reason = jnp.broadcast_to(minimum.reason, batch)
    exists = reason == Reason.FOUND
    critical = jnp.where(exists, jnp.nan, jnp.broadcast_to(minimum.critical, batch))
    reference = jnp.where(exists[..., None], weights, run.weights)
    at_rest = objective.curvatures(reference, strength)
    at_start = objective.curvatures(run.start, strength)
    lowest, highest = at_rest[..., 0], at_rest[..., -1]
    met = jnp.maximum(jnp.max(jnp.abs(at_rest), -1), jnp.max(jnp.abs(at_start), -1))
    unbounded = reason == Reason.UNBOUNDED
    gone = (reason == Reason.PAST_FOLD) | unbounded
    moves = (run.outcome == Outcome.MOVING) & (reason == Reason.PAST_FOLD)
    facts = _Facts(
        exists=exists,
        gone=gone,
        unbounded=unbounded,
        there=exists & _close(run.weights, reference),
        ascends=jnp.broadcast_to(strength != 0, batch),
        too_large=run.step_size * met > 2,
        near_fold=gone & ~unbounded & (strength <= (1 + BOTTLENECK) * critical),
        to_and_fro=_to_and_fro(objective, run, moves),
        # Proved for the steps of one exact gradient.
        approaches=_approaches(
            objective, run, reference, strength, exact & exists & (run.outcome == Outcome.MOVING)
        ),
    )
    settling = run.step_size * jnp.where(lowest > 0, lowest, jnp.nan)
    explanation = Explanation(
        cause=jnp.full(batch, Cause.UNKNOWN, jnp.int32),
        minimum=weights,
        reason=reason,
        critical_strength=critical,
        stable_step=2 / highest,
        epochs_to_settle=jnp.where(exists, 1 / settling, jnp.nan),
        distance=jnp.where(exists, norm(run.weights - reference), jnp.nan),
    )
    return facts, explanation


def _close(weights: Float[Array, "*batch d"], others: Float[Array, "*batch d"]) -> Array:
    """Whether two points agree to ten times the square root of the rounding."""
    width = 10 * jnp.sqrt(jnp.finfo(weights.dtype).eps)
    return norm(weights - others) <= width * (norm(weights) + norm(others))


def _to_and_fro(objective: Objective, run: _Run, asked: Bool[Array, "*batch"]) -> Array:
    """Where ``asked``: whether the moves of some more epochs nearly cancel, and lead nowhere."""
    weights, step = run.weights, run.step_size
    # A schedule may end with an epoch that does not move.
    moved = functools.partial(
        simulation.epoch,
        objective,
        step_size=jnp.where(step > 0, step, 1),
        scheme=run.factors,
        strength=run.strength,
    )

    def look() -> Array:
        def one(_, carry):
            here, length = carry
            there = moved(here)
            return there, length + norm(there - here)

        end, length = jax.lax.fori_loop(0, MORE_EPOCHS, one, (weights, jnp.zeros_like(step)))
        return (norm(end - weights) < length / 4) & (step > 0)

    return asked & jax.lax.cond(jnp.any(asked), look, lambda: jnp.zeros_like(asked))


def _approaches(
    objective: Objective,
    run: _Run,
    minimum: Float[Array, "*batch d"],
    strength: Float[Array, "*batch"],
    asked: Bool[Array, "*batch"],
) -> Bool[Array, "*batch"]:
    r"""Where ``asked``: whether small steps are proved to lead from the run's end to the minimum.

    Within the run's distance of the minimum, margins change by at most s, that distance times the
    longest row. There :math:`\Lambda + e^{-s} H_R - \gamma e^{s} H_F \preceq H \preceq \Lambda
    + e^s H_R`, for a loss with :math:`|\ell^{(3)}| \le \ell''`. If the lower bound is positive
    and the step at most 2 over the upper one, every step of descent shortens the distance.
    """
    rate = objective.loss.curvature_rate
    if not math.isfinite(rate):
        return jnp.zeros_like(asked)
    rows = jax.tree.leaves(objective.types)[0]  # also of several scores a row
    longest = jnp.sqrt(jnp.max(jnp.sum(rows**2, -1), -1))
    spread = jnp.minimum(norm(run.weights - minimum) * longest * rate, 300.0)
    change = jnp.exp(jnp.where(asked, spread, 0.0))

    def curvatures(retain, forget):
        changed = dataclasses.replace(
            objective,
            retain_weight=retain[..., None] * objective.retain_weight,
            forget_weight=forget[..., None] * objective.forget_weight,
        )
        return changed.curvatures(minimum, strength)

    # A coordinate that no row has, without a ridge, does not move.
    empty = jnp.tile(jnp.all(rows == 0, -2), objective.ridge.shape[-1] // rows.shape[-1])
    still = jnp.sum((objective.ridge == 0) & empty, -1)

    def look() -> Array:
        least = curvatures(1 / change, change)
        positive = jnp.sum(least > 0, -1) + still == least.shape[-1]
        highest = curvatures(change, jnp.zeros_like(change))[..., -1]
        return positive & (least[..., 0] >= 0) & (run.step_size * highest <= 2)

    return asked & jax.lax.cond(jnp.any(asked), look, lambda: jnp.zeros_like(asked))


# The rules ---------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnames="kind")
def _cause(outcome: Int[Array, "*batch"], facts: _Facts, kind: _Kind) -> Int[Array, "*batch"]:
    """The cause of the first rule whose condition holds, among those of the outcome seen."""
    converged = _alternating_rest if kind.alternating else _rest
    cycling = _alternating_cycle if kind.alternating else _cycle
    if not kind.descends:
        converged = _rest_alone
    tables = {
        Outcome.CONVERGED: converged(facts, kind),
        Outcome.CYCLE: cycling(facts, kind),
        Outcome.LEFT_RANGE: _left(facts, kind),
        Outcome.MOVING: (_moving if kind.descends else _moving_alone)(facts, kind),
    }
    rules = [
        ((outcome == seen) & condition, cause)
        for seen, table in tables.items()
        for condition, cause in table
    ]
    conditions, causes = zip(*rules, strict=True)
    found = jnp.select(conditions, [jnp.full(outcome.shape, cause) for cause in causes])
    return jnp.where(jnp.any(jnp.stack(conditions), 0), found, Cause.UNKNOWN).astype(jnp.int32)


def _rest(facts: _Facts, kind: _Kind) -> list[tuple[Array, Cause]]:
    return [
        (facts.gone, Cause.OTHER_MINIMUM),
        (facts.there & facts.ascends, Cause.REACHED_MINIMUM),
        (facts.there, Cause.REACHED_ORACLE),
        (facts.exists, Cause.OUTSIDE_BASIN),
    ]


def _alternating_rest(facts: _Facts, kind: _Kind) -> list[tuple[Array, Cause]]:
    return [
        (facts.exists, Cause.ALTERNATING_MINIMUM),
        (facts.gone, Cause.OTHER_MINIMUM if kind.elsewhere else Cause.ALTERNATING_OWN),
    ]


def _cycle(facts: _Facts, kind: _Kind) -> list[tuple[Array, Cause]]:
    return [
        (facts.exists, Cause.STEP_TOO_LARGE),
        (facts.gone, Cause.CYCLE_PAST_FOLD),
    ]


def _alternating_cycle(facts: _Facts, kind: _Kind) -> list[tuple[Array, Cause]]:
    return [
        (facts.exists & facts.too_large, Cause.STEP_TOO_LARGE),
        (jnp.ones_like(facts.exists), Cause.PERIOD_DOUBLING),
    ]


def _left(facts: _Facts, kind: _Kind) -> list[tuple[Array, Cause]]:
    return [
        (facts.exists & facts.too_large, Cause.STEP_TOO_LARGE),
        (facts.exists, Cause.OUTSIDE_BASIN),
        (facts.unbounded, Cause.UNBOUNDED),
        (facts.gone, Cause.NO_MINIMUM),
    ]


def _moving(facts: _Facts, kind: _Kind) -> list[tuple[Array, Cause]]:
    return [
        (facts.exists & facts.too_large, Cause.UNKNOWN if kind.noisy else Cause.STEP_TOO_LARGE),
        (facts.exists & facts.approaches, Cause.TOO_FEW_EPOCHS),
        (facts.exists, Cause.NOISE if kind.noisy else Cause.UNDECIDED),
        (facts.to_and_fro, Cause.DISORDER_PAST_FOLD),
        (facts.near_fold, Cause.BOTTLENECK),
        (facts.unbounded, Cause.UNBOUNDED),
        (facts.gone, Cause.ESCAPING),
    ]


def _rest_alone(facts: _Facts, kind: _Kind) -> list[tuple[Array, Cause]]:
    """Of ascent alone: nothing but the ridge can stop it."""
    return [(facts.ascends, Cause.ASCENT_ALONE)]


def _moving_alone(facts: _Facts, kind: _Kind) -> list[tuple[Array, Cause]]:
    """Of ascent alone: with a loss of bounded slope the ridge stops it, with others it may not."""
    stops = ~facts.unbounded & ~facts.too_large & facts.ascends
    if kind.elsewhere and not kind.noisy:
        return [(stops, Cause.ASCENT_ALONE), *_moving(facts, kind)]
    # Whether the start lies in the basin of a local minimum is not known before the run settles.
    unsaid = (Cause.TOO_FEW_EPOCHS, Cause.UNDECIDED)
    return [rule for rule in _moving(facts, kind) if rule[1] not in unsaid]
