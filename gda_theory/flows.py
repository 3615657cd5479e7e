r"""The limit of small steps: the gradient flow :math:`\dot w = -\nabla J_\gamma(w)`, by an adaptive solver of diffrax.

``n`` steps of size :math:`\eta` approach the flow at time :math:`n\eta` with an error of first order in :math:`\eta`. Past the exponential
fold the flow runs away *in finite time*: that is reported, with the last state that the solver could stand behind.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Float, Int

from gda_theory import newton
from gda_theory.codes import Outcome
from gda_theory.newton import objective_of
from gda_theory.objective import Objective
from theory_common import checks

MAX_STEPS = 100_000


class Flow(NamedTuple):
    """The flow at ``times``; from ``reached`` on, where it could not be followed, the last state.

    ``outcome`` (:class:`gda_theory.Outcome`): CONVERGED if the last gradient is within the tolerance of its terms; LEFT_RANGE if the flow
    ran away in finite time, at ``reached``; MOVING otherwise (also if 100,000 steps did not suffice: then ``reached`` is before the end).
    """

    times: Float[AnyArray, " t"]
    weights: Float[AnyArray, "*batch t d"]
    outcome: Int[AnyArray, "*batch"]
    reached: Float[AnyArray, "*batch"]


def flow(problem, start, times, *, strength=1.0, tolerance: float | None = None) -> Flow:
    r"""The gradient flow from ``start``, at given times.

    Args:
        problem: a Problem, a CorrelatedPair or an Objective; leading dimensions of its arrays are a batch.
        start: ``(*batch, d)``, at time 0. times: ``(t,)``, increasing and >= 0.
        strength: of the ascent.
        tolerance: relative error a step; 1e-10 by default, 1e-5 in float32. Below :math:`10^{-3}` of it an absolute error passes.
    Method: Kvaerno's implicit Runge-Kutta pair of order 5 (stiffly accurate: curvatures may differ by many powers of ten).
    Raises: ``ModuleNotFoundError`` without diffrax (extra ``flow``); ``ValueError`` naming the argument.
    """
    _diffrax()
    objective = objective_of(problem)
    dtype = objective.types.dtype
    start = checks.finite("start", start).astype(dtype)
    if start.ndim < 1 or start.shape[-1] != objective.types.shape[-1]:
        raise ValueError(f"start must have shape (*batch, {objective.types.shape[-1]}), one entry per coordinate, got {start.shape}")
    times = checks.nonnegative("times", times).astype(dtype)
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"times must have shape (t,) with t >= 1, got {times.shape}")
    if not checks.is_traced(times) and np.any(np.diff(times) <= 0):
        raise ValueError("times must increase")
    strength = newton.strength_in_range(objective.pretrain_strength, strength)
    tolerance = (1e-10 if dtype == jnp.float64 else 1e-5) if tolerance is None else float(checks.positive("tolerance", tolerance))
    batch = jnp.broadcast_shapes(objective.types.shape[:-2], start.shape[:-1], strength.shape)
    lanes = jax.tree.map(
        lambda leaf, rank: jnp.broadcast_to(leaf, (*batch, *leaf.shape[leaf.ndim - rank :])).reshape(-1, *leaf.shape[leaf.ndim - rank :]),
        (*jax.tree.leaves(objective), start, strength),
        (*newton.RANKS, 1, 0),
    )
    weights, outcome, reached = _flows(jax.tree.structure(objective), lanes, times, tolerance)
    return Flow(times, weights.reshape(*batch, *weights.shape[1:]), outcome.reshape(batch), reached.reshape(batch))


def _diffrax():
    try:
        import diffrax
    except ModuleNotFoundError:
        raise ModuleNotFoundError("flow needs diffrax: pip install 'gda-theory[flow]'") from None
    return diffrax


@functools.partial(jax.jit, static_argnums=0)
def _flows(structure, lanes, times, tolerance):
    return jax.vmap(functools.partial(_one, structure, times, tolerance))(lanes)


def _one(structure, times, tolerance, lane):
    diffrax = _diffrax()
    *leaves, start, strength = lane
    objective: Objective = jax.tree.unflatten(structure, leaves)
    eps = float(jnp.finfo(start.dtype).eps)
    end = jnp.where(times[-1] > 0, times[-1], 1)
    # A run that leaves in finite time needs ever smaller steps: below the resolution of time it is over.
    controller = diffrax.PIDController(rtol=tolerance, atol=1e-3 * tolerance, dtmin=16 * eps * end, force_dtmin=False)
    found = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda _, weights, known: -known[0].gradient(weights, known[1])),
        diffrax.Kvaerno5(),
        t0=0.0,
        t1=end,
        dt0=None,
        y0=start,
        args=(objective, strength),
        saveat=diffrax.SaveAt(subs=[diffrax.SubSaveAt(ts=times), diffrax.SubSaveAt(t1=True)]),
        stepsize_controller=controller,
        max_steps=MAX_STEPS,
        throw=False,
    )
    saved, last = found.ys[0], found.ys[1][0]
    last = jnp.where(jnp.all(jnp.isfinite(last)), last, start)
    there = jnp.all(jnp.isfinite(saved), -1)
    weights = jnp.where(there[:, None], saved, last)
    done = found.result == diffrax.RESULTS.successful
    reached = jnp.where(done, times[-1], found.ts[1][0])
    left = ~done & (found.result != diffrax.RESULTS.max_steps_reached)
    outcome = jnp.where(_at_rest(objective, weights[-1], strength, tolerance), Outcome.CONVERGED, Outcome.MOVING)
    return weights, jnp.where(left, Outcome.LEFT_RANGE, outcome).astype(jnp.int32), reached


def _at_rest(objective: Objective, weights: Array, strength: Array, tolerance) -> Array:
    """Whether the gradient is small against the terms that cancel in it."""
    pulls = jnp.abs(objective.coefficients(strength)) * objective.loss.phi(objective.margins(weights))
    terms = jnp.abs(objective.ridge_at(strength) * weights) + jnp.abs(objective.types).T @ pulls
    return jnp.all(jnp.abs(objective.gradient(weights, strength)) <= tolerance * terms)
