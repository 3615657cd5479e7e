r"""The gradient flow :math:`\dot w = -\nabla J_\gamma(w)`: the limit of small steps.

It is solved by an adaptive solver of diffrax. ``n`` steps of size :math:`\eta` approach the flow at
time :math:`n\eta`, with an error of first order in :math:`\eta`. Past the fold of the exponential
loss, the flow runs away *in finite time*. This time is reported, with the last state that the
solver accepted.
"""

import functools
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from gda_theory.codes import Outcome
from gda_theory.problem.objective import HasObjective, Objective, objective_of
from gda_theory.solve import minimise
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable

MAX_STEPS = 100_000  # of diffrax's solver


@readable(outcome=Outcome)
class Flow(NamedTuple):
    """The flow at ``times``.

    ``weights`` are those at ``times``. After ``reached`` the flow could not be followed; these
    entries are the last state. ``outcome`` (:class:`gda_theory.Outcome`) is one of

    * CONVERGED: the last gradient is below the tolerance times its terms.
    * LEFT_RANGE: the flow ran away in finite time, at ``reached``. This is 0 if the gradient at the
      start is beyond the dtype.
    * MOVING: anything else. If 100,000 steps of the solver did not suffice, ``reached`` is before
      the last time.
    """

    times: Float[AnyArray, " t"]
    weights: Float[AnyArray, "*batch t d"]
    outcome: Int[AnyArray, "*batch"]
    reached: Float[AnyArray, "*batch"]


@backed_by("flow-blow-up")
def flow(
    problem: Objective | HasObjective,
    start: ArrayLike,
    times: ArrayLike,
    *,
    strength: ArrayLike = 1.0,
    tolerance: ArrayLike | None = None,
) -> Flow:
    r"""The gradient flow from ``start``, at given times.

    The batch dimensions of ``problem``, ``start`` and ``strength`` broadcast against each other.

    Args:
        problem: a Problem, a CorrelatedPair or an Objective. Leading dimensions of its arrays are
            a batch.
        start: ``(*batch, d)``, at time 0.
        times: ``(t,)``, increasing and >= 0.
        strength: of the ascent.
        tolerance: relative error of each step of the solver; 1e-10 by default, 1e-5 in float32. The
            absolute error may be :math:`10^{-3}` times this number.

    Returns: :class:`Flow`.
    Raises: ``ModuleNotFoundError`` without diffrax (extra ``flow``); ``ValueError`` or
    ``TypeError`` that names the argument. Traced times that are negative or do not increase give
    NaN. A traced start or strength that is NaN gives LEFT_RANGE.
    Method: Kvaerno's implicit Runge-Kutta pair of order 5, since curvatures may differ by many
    powers of ten. For 2,000 rows whose columns differ by 1e4 in scale it takes 420 steps; the
    explicit method Tsit5 takes more than 20,000.
    Derivatives: reverse mode works.
    Claim: ``flow-blow-up`` (why LEFT_RANGE has a time).
    """
    _solvers()
    objective = objective_of(problem)
    dtype = objective.types.dtype
    start = checks.finite("start", start).astype(dtype)
    if start.ndim < 1 or start.shape[-1] != objective.types.shape[-1]:
        raise ValueError(
            f"start must have shape (*batch, {objective.types.shape[-1]}), "
            f"one entry per coordinate, got {start.shape}"
        )
    times = checks.nonnegative("times", times).astype(dtype)
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"times must have shape (t,) with t >= 1, got {times.shape}")
    if not checks.is_traced(times) and np.any(np.diff(times) <= 0):
        place = int(np.argmax(np.diff(times) <= 0)) + 1
        raise ValueError(
            f"times must increase, got {times[place]:g} after {times[place - 1]:g} "
            f"at index ({place},)"
        )
    strength = minimise.strength_in_range(objective.pretrain_strength, strength)
    default = 1e-10 if dtype == jnp.float64 else 1e-5
    relative = checks.positive(
        "tolerance", checks.one("tolerance", default if tolerance is None else tolerance)
    ).astype(dtype)
    try:
        batch = jnp.broadcast_shapes(objective.types.shape[:-2], start.shape[:-1], strength.shape)
    except ValueError:
        raise ValueError(
            "the batch dimensions of problem, start and strength must broadcast to one shape, got "
            f"{objective.types.shape[:-2]}, {start.shape[:-1]}, {strength.shape}"
        ) from None
    lanes = jax.tree.map(
        lambda leaf, rank: jnp.broadcast_to(
            leaf, (*batch, *leaf.shape[leaf.ndim - rank :])
        ).reshape(-1, *leaf.shape[leaf.ndim - rank :]),
        (*jax.tree.leaves(objective), start, strength),
        (*objective.ranks, 1, 0),
    )
    weights, outcome, reached = _flows(jax.tree.structure(objective), lanes, times, relative)
    return Flow(
        times=times,
        weights=weights.reshape(*batch, *weights.shape[1:]),
        outcome=outcome.reshape(batch),
        reached=reached.reshape(batch),
    )


def _solvers() -> tuple[ModuleType, ModuleType]:
    """diffrax, and optimistix, which has diffrax's root finders."""
    try:
        import diffrax
        import optimistix
    except ModuleNotFoundError:
        raise ModuleNotFoundError("flow needs diffrax: pip install 'gda-theory[flow]'") from None
    return diffrax, optimistix


@functools.partial(jax.jit, static_argnums=0)
def _flows(
    structure: Any, lanes: tuple[Array, ...], times: Float[Array, " t"], tolerance: Array
) -> tuple[Array, Array, Array]:
    """Weights, outcome and ``reached`` of every lane."""
    # The solver would stop the program at invalid times, so valid ones replace them.
    valid = jnp.all(jnp.isfinite(times)) & (times[0] >= 0) & jnp.all(jnp.diff(times) > 0)
    times = jnp.where(valid, times, jnp.arange(len(times), dtype=times.dtype))
    weights, outcome, reached = jax.vmap(functools.partial(_one, structure, times, tolerance))(
        lanes
    )
    return jnp.where(valid, weights, jnp.nan), outcome, jnp.where(valid, reached, jnp.nan)


def _one(
    structure: Any, times: Float[Array, " t"], tolerance: Array, lane: tuple[Array, ...]
) -> tuple[Array, Array, Array]:
    """Weights, outcome and ``reached`` of one lane."""
    diffrax, optimistix = _solvers()
    *leaves, start, strength = lane
    objective: Objective = jax.tree.unflatten(structure, leaves)
    # The solver squares velocities. Where these squares are beyond the range it could not begin; it
    # starts from zeros there, and the result is not used.
    begins = jnp.all(
        jnp.abs(_velocity(0.0, start, (objective, strength)))
        <= np.sqrt(float(jnp.finfo(start.dtype).max))
    )
    found = diffrax.diffeqsolve(
        diffrax.ODETerm(_velocity),
        # The default chord iteration fails where the curvature changes, and takes up to ten times
        # as many steps.
        diffrax.Kvaerno5(root_finder=diffrax.with_stepsize_controller_tols(optimistix.Newton)()),
        t0=0.0,
        t1=jnp.where(times[-1] > 0, times[-1], 1),
        dt0=None,
        y0=jnp.where(begins, start, 0),
        args=(objective, strength),
        saveat=diffrax.SaveAt(subs=[diffrax.SubSaveAt(ts=times), diffrax.SubSaveAt(t1=True)]),
        # Steps end at the given times, since interpolation between steps is of third order only.
        stepsize_controller=diffrax.ClipStepSizeController(
            diffrax.PIDController(rtol=tolerance, atol=1e-3 * tolerance), step_ts=times
        ),
        event=diffrax.Event(functools.partial(_runs_away, tolerance)),
        max_steps=MAX_STEPS,
        throw=False,
    )
    saved = found.ys[0]
    last = jnp.where(begins, found.ys[1][0], start)
    there = begins & jnp.all(jnp.isfinite(saved), -1)
    weights = jnp.where(there[:, None], saved, last)
    done = begins & (found.result == diffrax.RESULTS.successful)
    reached = jnp.where(done, times[-1], jnp.where(begins, found.ts[1][0], 0))
    left = ~begins | (found.result == diffrax.RESULTS.event_occurred)
    outcome = jnp.where(
        _at_rest(objective, weights[-1], strength, tolerance), Outcome.CONVERGED, Outcome.MOVING
    )
    return weights, jnp.where(left, Outcome.LEFT_RANGE, outcome).astype(jnp.int32), reached


def _velocity(_: Any, weights: Array, known: tuple[Objective, Array]) -> Array:
    """Minus the gradient of the objective, as diffrax calls it."""
    objective, strength = known
    coefficients = objective.coefficients(strength)
    margins = objective.margins(weights)
    phi = objective.loss.phi
    # A row of weight 0 adds nothing, even if its loss is infinite; 0 times infinity would be NaN.
    idle = (coefficients == 0) & ~jnp.isfinite(phi(margins))
    return (
        objective.types.T @ (coefficients * phi(jnp.where(idle, 0, margins)))
        - objective.ridge_at(strength) * weights
    )


def _runs_away(
    tolerance: Array, time: Array, weights: Array, known: tuple[Objective, Array], **_: Any
) -> Array:
    """Whether the speed of some margin times the tolerance of time exceeds that margin.

    This holds for a flow that leaves at time T when t is just below T: m' is of the order
    1/(T - t). It holds for no other flow. After a steep start the solver's steps are as small, but
    m' is of the order 1/t.
    """
    margins = known[0].margins(weights)
    speeds = known[0].margins(_velocity(time, weights, known))
    return jnp.any(tolerance * time * jnp.abs(speeds) > 1 + jnp.abs(margins))


def _at_rest(objective: Objective, weights: Array, strength: Array, tolerance: Array) -> Array:
    """Whether the gradient is small against the terms that cancel in it."""
    terms_of_rows = jnp.abs(objective.coefficients(strength)) * objective.loss.phi(
        objective.margins(weights)
    )
    terms = (
        jnp.abs(objective.ridge_at(strength) * weights) + jnp.abs(objective.types).T @ terms_of_rows
    )
    return jnp.all(jnp.abs(_velocity(0.0, weights, (objective, strength))) <= tolerance * terms)
