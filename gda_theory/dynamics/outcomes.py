r"""Why a run did what was seen: an observation of :func:`gda_theory.simulate` joined with what theory knows of its objective.

A scheme with half-steps :math:`(\rho_h, \sigma_h)` follows, to first order in the step, the *effective* objective

.. math:: \nabla J_{\rm eff} = \sum_h \nabla J_{\rho_h, \sigma_h}
          = H\Lambda w - T^\top\Bigl[\bigl(\textstyle\sum_h\rho_h\, a - \gamma\sum_h\sigma_h\, b\bigr) \odot \varphi(Tw)\Bigr],

with H half-steps: alternating is simultaneous descent-ascent with the ridge doubled. Whether *its* minimum exists (continued from
its oracle) and how curved it is there decides between the causes. Source: App. D.3 and new. Claims: ``effective-ridge``,
``two-points-below-fold``, ``oracle-continuation``.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Float, Int

from gda_theory import pair as pairs
from gda_theory.codes import Cause, Outcome, Reason, sentence
from gda_theory.dynamics.simulation import Trajectory, epoch
from gda_theory.pair import CorrelatedPair
from gda_theory.problem.objective import Objective
from gda_theory.solve import path
from gda_theory.solve.newton import norm, objective_of
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable

BOTTLENECK = (
    0.1  # so near above the fold, relative to its strength, a run slows down where the minimum was
)
MORE_EPOCHS = 64  # show whether a run without a minimum is on its way out: its moves then add up


@readable(cause=Cause, reason=Reason)
class Explanation(NamedTuple):
    """A cause (:class:`gda_theory.Cause`) for each lane of a run, and the numbers that it rests on.

    ``minimum``: of the effective objective, continued from its oracle (NaN if there is none; ``reason`` says why);
    ``critical_strength``: where it is lost, NaN if that is not met up to the run's strength. ``stable_step``: 2 over the largest
    curvature at that minimum (at the run's end if there is none): larger steps cannot settle there. ``epochs_to_settle``: to shrink
    the distance to the minimum by a factor e, at the step of the run's end. ``distance``: from the run's end to the minimum.
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
def explain(run: Trajectory, problem) -> Explanation:
    """The cause of what was seen in ``run``, a :func:`gda_theory.simulate` (or sweep) of ``problem``.

    Args:
        problem: what the run was made with: Problem, CorrelatedPair (exact at any ridge) or Objective; its batch broadcasts to the run's.
    Returns: :class:`Explanation`; its ``str`` is a sentence a lane.
    Where a minimum exists and the curvature there or at the start exceeds 2 over the step, a run that does not settle is blamed on
    the step, also if its start should lie outside the basin as well.
    Claims: ``effective-ridge``, ``coordinate-runs-away``, ``two-points-below-fold``, ``short-steps-descend``,
    ``large-step-two-cycle``, ``oracle-continuation``.
    """
    if not isinstance(run, Trajectory):
        raise TypeError(
            f"run must be a Trajectory, which gt.simulate returns, got {type(run).__name__}"
        )
    steps = run.scheme.half_steps
    retained, forgotten = (sum(factors) for factors in zip(*steps, strict=True))
    known = _effective(problem, len(steps), retained)
    strength = jnp.asarray(run.strength) * (forgotten / retained)
    objective = known.objective() if isinstance(known, CorrelatedPair) else known
    batch = jnp.shape(run.outcome)
    dimensions = objective.types.shape[-1], jnp.shape(run.start)[-1]
    if len(set(dimensions)) > 1:
        raise ValueError(
            "problem must be what the run was made with: it has {} coordinates, the run {}".format(
                *dimensions
            )
        )
    minimum, reason, critical = (
        jnp.broadcast_to(found, batch + found.shape[found.ndim - rank :])
        for found, rank in zip(
            _minimum(known, _distinct(objective, jnp.broadcast_to(strength, batch))),
            (1, 0, 0),
            strict=True,
        )
    )
    exists = reason == Reason.FOUND
    weights, start, step = (jnp.asarray(array) for array in (run.weights, run.start, run.step_size))
    reference = jnp.where(exists[..., None], minimum, weights)
    at_rest, at_start = (objective.curvatures(point, strength) for point in (reference, start))
    lowest, highest = at_rest[..., 0], at_rest[..., -1]
    met = jnp.maximum(jnp.max(jnp.abs(at_rest), -1), jnp.max(jnp.abs(at_start), -1))
    # A loss of bounded slope has a minimum somewhere, if it has none where the oracle's was.
    elsewhere = math.isfinite(objective.loss.slope_at_minus_infinity)
    kind = _Kind(
        alternating=len(steps) > 1, elsewhere=elsewhere, noisy=run.scheme.batch_size is not None
    )
    back = _to_and_fro(
        objective, run, (jnp.asarray(run.outcome) == Outcome.MOVING) & (reason == Reason.PAST_FOLD)
    )
    cause = _cause(
        kind,
        run,
        exists,
        reason,
        critical,
        strength,
        reference,
        too_large=step * met > 2,
        to_and_fro=back,
    )
    return Explanation(
        cause,
        minimum,
        reason,
        critical,
        2 / highest,
        jnp.where(exists, 1 / (step * jnp.where(lowest > 0, lowest, jnp.nan)), jnp.nan),
        jnp.where(exists, norm(weights - reference), jnp.nan),
    )


def _effective(problem, half_steps: int, retained: float):
    """The effective objective, its retained losses at weight 1: a pair stays a pair, whose minimum is known exactly."""
    scale = half_steps / retained
    if isinstance(problem, CorrelatedPair):
        return problem.replace(ridge=problem.ridge * scale)
    objective = objective_of(problem)
    return dataclasses.replace(objective, ridge=objective.ridge * scale)


def _distinct(objective: Objective, strength: Array) -> Array:
    """One strength where all lanes share it and the objective: its minimum is then looked for once."""
    if (
        objective.size_ratio.ndim
        or objective.types.ndim > 2
        or checks.is_traced(strength)
        or not strength.ndim
    ):
        return strength
    values = np.unique(strength)
    return jnp.asarray(values[0]) if len(values) == 1 else strength


def _minimum(known, strength: Array) -> tuple[Array, Array, Array]:
    """Weights, reason and critical strength of the minimum that continues the oracle."""
    if isinstance(known, CorrelatedPair):
        found = pairs.descent_ascent(known, strength)
        fold = pairs.folds(known).alpha
        last = jnp.where(jnp.isnan(fold[..., 1]), fold[..., 0], fold[..., 1])
        critical = jnp.broadcast_to(last / known.alpha, strength.shape)
        return found.weights, found.reason, jnp.where(found.exists, jnp.nan, critical)
    continued = path.descent_ascent(known, strength)
    return continued.weights, continued.reason, continued.critical_strength


def _to_and_fro(objective: Objective, run: Trajectory, asked: Array) -> Array:
    """Where ``asked``: whether the moves of some more epochs at the last step nearly cancel, instead of leading somewhere."""
    weights, step = jnp.asarray(run.weights), jnp.asarray(run.step_size)
    # A schedule may end with an epoch that does not move.
    options = {
        "step_size": jnp.where(step > 0, step, 1),
        "scheme": run.scheme,
        "strength": jnp.asarray(run.strength),
    }

    def look():
        def one(_, carry):
            here, length = carry
            there = epoch(objective, here, **options)
            return there, length + norm(there - here)

        end, length = jax.lax.fori_loop(0, MORE_EPOCHS, one, (weights, jnp.zeros_like(step)))
        return (norm(end - weights) < length / 4) & (step > 0)

    return asked & jax.lax.cond(jnp.any(asked), look, lambda: jnp.zeros_like(asked))


class _Kind(NamedTuple):
    """What does not differ from lane to lane."""

    alternating: bool
    elsewhere: bool
    noisy: bool


def _cause(
    kind: _Kind,
    run: Trajectory,
    exists,
    reason,
    critical,
    strength,
    reference,
    too_large: Array,
    to_and_fro: Array,
) -> Array:
    """The rules, the special before the general."""
    weights, outcome = jnp.asarray(run.weights), jnp.asarray(run.outcome)
    size = norm(weights) + norm(reference)
    there = exists & (
        norm(weights - reference) <= 10 * jnp.sqrt(jnp.finfo(weights.dtype).eps) * size
    )
    unbounded, gone = (
        reason == Reason.UNBOUNDED,
        (reason == Reason.PAST_FOLD) | (reason == Reason.UNBOUNDED),
    )
    lost = jnp.where(unbounded, Cause.UNBOUNDED, Cause.NO_MINIMUM)
    pulled = strength != 0

    if kind.alternating:
        other = Cause.OTHER_MINIMUM if kind.elsewhere else Cause.ALTERNATING_OWN
        converged = jnp.where(
            exists, Cause.ALTERNATING_MINIMUM, jnp.where(gone, other, Cause.UNKNOWN)
        )
        cycle = jnp.where(exists & too_large, Cause.STEP_TOO_LARGE, Cause.PERIOD_DOUBLING)
    else:
        here = jnp.where(pulled, Cause.REACHED_MINIMUM, Cause.REACHED_ORACLE)
        converged = jnp.where(
            gone,
            Cause.OTHER_MINIMUM,
            jnp.where(there, here, jnp.where(exists, Cause.OUTSIDE_BASIN, Cause.UNKNOWN)),
        )
        cycle = jnp.where(
            exists, Cause.STEP_TOO_LARGE, jnp.where(gone, Cause.CYCLE_PAST_FOLD, Cause.UNKNOWN)
        )
    stuck = jnp.where(too_large, Cause.STEP_TOO_LARGE, Cause.OUTSIDE_BASIN)
    left = jnp.where(exists, stuck, jnp.where(gone, lost, Cause.UNKNOWN))
    near = gone & ~unbounded & (strength <= (1 + BOTTLENECK) * critical)
    out = jnp.where(
        near,
        Cause.BOTTLENECK,
        jnp.where(unbounded, Cause.UNBOUNDED, jnp.where(gone, Cause.ESCAPING, Cause.UNKNOWN)),
    )
    out = jnp.where(to_and_fro, Cause.DISORDER_PAST_FOLD, out)
    moving = jnp.where(
        exists, jnp.where(too_large, Cause.STEP_TOO_LARGE, Cause.TOO_FEW_EPOCHS), out
    )
    if kind.noisy:
        moving = jnp.where(exists & ~too_large, Cause.NOISE, out)
    cases = [
        (Outcome.CONVERGED, converged),
        (Outcome.CYCLE, cycle),
        (Outcome.LEFT_RANGE, left),
        (Outcome.MOVING, moving),
    ]
    return jnp.select(
        [outcome == seen for seen, _ in cases], [cause for _, cause in cases], Cause.UNKNOWN
    ).astype(jnp.int32)
