r"""Descent-ascent in finite steps, as it is run in practice.

A scheme is a list of *half-steps*. Each has a factor :math:`\rho` on the retain weights and a
factor :math:`\sigma` on the forget weights, and moves the weights by

.. math:: w \leftarrow w - \eta\,\nabla J_{\rho,\sigma}(w), \qquad
          \nabla J_{\rho,\sigma}(w)
          = \Lambda w - T^\top\bigl[(\rho\,a - \sigma\gamma\,b) \odot \varphi(Tw)\bigr].

Each half-step applies the full ridge. ``simultaneous`` has the one half-step (1, 1).
``retain_first`` has (1, 0), then (0, 1). ``forget_first`` has the same two in the other order.
``pure_ascent`` has (0, 1) alone: it never descends on the retain set.
One pass through the list is an *epoch*; ``epochs`` counts these. For one coordinate with
``a = r_j/r``, ``b = alpha r_j/f`` and :math:`d = \lambda w - a e^{-w}`, an epoch of
``retain_first`` is exactly

.. math:: w'' = (1 - \eta\lambda)(w - \eta d) - \eta b e^{-(w - \eta d)}.

This module reports *observations* only: converged, moving, cycle or left the range, and when.
:mod:`gda_theory.dynamics.outcomes` finds the causes. The lanes of a batch run side by side, with
the batch in the last axis. A step is then a few passes of elementwise arithmetic.

Source: *Ascent Fails to Forget*, App. D.3. The tests for cycles and convergence are new.
Claims: ``alternating-maps``, ``effective-ridge``.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from gda_theory.codes import Outcome
from gda_theory.dynamics.blocks import State, run, run_recorded
from gda_theory.dynamics.epochs import Tilt, gradient_of, one_epoch, size_of
from gda_theory.dynamics.run_arguments import (
    RunArguments,
    batch_size_of,
    lanes_of,
    schedule_of,
    watching,
)
from gda_theory.dynamics.schemes import Factors, Scheme, epoch_count, factors_of, resolve
from gda_theory.problem.losses import RowLoss
from gda_theory.problem.objective import HasObjective, Objective, objective_of
from gda_theory.solve import newton
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable


@readable(outcome=Outcome)
class Trajectory(NamedTuple):
    """Where a run went, and what was seen.

    * ``weights``: where the run ended. A run that left the range keeps the last iterate that its
      dtype could hold, and never has NaN.
    * ``outcome`` (:class:`gda_theory.Outcome`): what was seen, first at epoch ``seen_at``.
    * ``epochs``: how many epochs were made. A run that converged or cycles ends early.
    * ``period``: that of a cycle; 0 if there is none, or if it is longer than 64.
    * ``move``: the largest entry of the last epoch's change.
    * ``gradient_norm``: that of J at ``strength``. It is *not* 0 where an alternating scheme rests.
    * ``observed``: what ``observe`` returned at the epochs ``observed_epochs``, which begin with
      the start. These epochs are the first axis after the batch.
    * ``start``, ``step_size``, ``strength``, ``scheme``: how the run was made. Under a schedule,
      ``step_size`` is that of the epoch at which the run ended.
    """

    weights: Float[Array, "*batch d"]
    outcome: Int[Array, "*batch"]
    seen_at: Int[Array, "*batch"]
    epochs: Int[Array, "*batch"]
    period: Int[Array, "*batch"]
    move: Float[Array, "*batch"]
    gradient_norm: Float[Array, "*batch"]
    observed: Any
    observed_epochs: Int[Array, " records"] | None
    start: Float[Array, "*batch d"]
    step_size: Float[Array, "*batch"]
    strength: Float[Array, "*batch"]
    scheme: Scheme


def recorded_weights(weights: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
    """The iterates themselves, to be recorded by ``observe``."""
    return weights


def distances_to(points: ArrayLike) -> Callable[[Array], Array]:
    """A function for ``observe`` that records Euclidean distances in place of the iterates.

    Args:
        points: ``(d,)`` or ``(p, d)``, the same for all lanes; or ``(*batch, p, d)``.

    Returns: a function from weights ``(*batch, d)`` to distances ``(*batch, p)``.
    Raises: ``ValueError`` or ``TypeError`` if ``points`` are not finite numbers.
    """
    return jax.tree_util.Partial(_distances, jnp.atleast_2d(checks.finite("points", points)))


def _distances(points, weights):
    return newton.norm(weights[..., None, :] - points)


@backed_by(
    "effective-ridge",
    "alternating-fixed-point",
    "alternating-multiplier",
    "short-steps-descend",
    "alternating-second-order-sign",
)
def simulate(
    problem: Objective | HasObjective,
    start: ArrayLike,
    *,
    step_size: ArrayLike,
    epochs: int,
    scheme: str | Scheme = "simultaneous",
    strength: ArrayLike = 1.0,
    schedule: ArrayLike | Callable[[Array], Any] | None = None,
    batch_size: int | None = None,
    key: Any = None,
    observe: Callable[[Array], Any] | None = None,
    observe_every: int = 1,
    tolerance: ArrayLike | None = None,
) -> Trajectory:
    """Run descent-ascent for ``epochs`` epochs from ``start``.

    The batch dimensions of ``problem``, ``start``, ``step_size`` and ``strength`` broadcast
    against each other.

    Args:
        problem: a Problem, a CorrelatedPair or an Objective. Leading dimensions of its arrays are
            a batch.
        start: ``(*batch, d)``.
        step_size: > 0.
        epochs: >= 1.
        scheme: ``"simultaneous"``, ``"retain_first"``, ``"forget_first"``, ``"pure_ascent"``, a
            :class:`Scheme`, or what :func:`ascent_then_descent` returns.
        strength: of the ascent. 0 is plain descent on the retain set. Pretraining is -f/r with the
            reduction ``mean``, and -1 with ``sum``.
        schedule: factors >= 0 on the step size, an array ``(epochs,)``; or a function of the
            epoch, such as optax's schedules.
        batch_size: rows of a minibatch. An epoch is then one minibatch. Its sums are scaled to all
            rows, so that it is right on average. Rows are shuffled again when fewer than
            ``batch_size`` are left; those are dropped.
        key: JAX's random key for the minibatches.
        observe: a function of the weights ``(*batch, d)``, such as :func:`recorded_weights` or what
            :func:`distances_to` returns. Its value is recorded at every ``observe_every``-th epoch.
            By default nothing is recorded, and memory does not grow with ``epochs``.
        observe_every: from 1 to ``epochs``.
        tolerance: a run has *converged* when its distance to the limit is below this part of the
            largest weight. The distance is extrapolated from how fast the moves shrink. The
            default is 4096 machine epsilons.

    Returns: :class:`Trajectory`.
    Raises: ``ValueError`` or ``TypeError`` that names the argument. Traced values inside jit are
    not checked.
    Derivatives: forward mode only (``jax.jvp``, ``jax.jacfwd``), since the loop ends when every
    lane has an outcome.
    Source: App. D.3.
    Claims: ``effective-ridge``, ``alternating-fixed-point``, ``alternating-multiplier``,
    ``short-steps-descend``, ``alternating-second-order-sign``.
    """
    objective = objective_of(problem)
    scheme = resolve(scheme)
    epochs = epoch_count("epochs", epochs)
    observe_every = checks.whole("observe_every", observe_every, least=1)
    if observe is not None and observe_every > epochs:
        raise ValueError(f"observe_every must be <= epochs = {epochs}, got {observe_every}")
    lanes = lanes_of(objective, start, step_size, strength)
    rows = batch_size_of(batch_size, key, objective.retain_weight.shape[-1])
    return _simulated(
        objective.loss,
        lanes,
        scheme,
        dataclasses.replace(scheme, batch_size=rows),
        epochs=epochs,
        factors=schedule_of(schedule, epochs, lanes.start.dtype),
        key=key,
        observe=observe,
        observe_every=observe_every,
        tolerance=tolerance,
    )


def simulate_schemes(
    objective: Objective,
    start: ArrayLike,
    *,
    schemes: Sequence[str | Scheme],
    step_size: ArrayLike,
    epochs: int,
    strength: ArrayLike,
    observe: Callable[[Array], Any],
    tilt: Tilt | None = None,
) -> list[Trajectory]:
    """Do what :func:`simulate` does for each of several schemes, observed at every epoch.

    Schemes with equally many half-steps run side by side, so they are compiled once.

    Args:
        objective: as for :func:`simulate`, as are ``start``, ``step_size`` and ``strength``.
        schemes: names or schemes.
        epochs: of each run.
        observe: a function of weights ``(schemes, *batch, d)``.
        tilt: added to the losses of all runs.

    Returns: one :class:`Trajectory` for each scheme, in the order given, with arrays of NumPy.
    """
    known = [resolve(scheme) for scheme in schemes]
    found: list[Any] = [None] * len(known)
    for length in sorted({len(scheme.half_steps) for scheme in known}):
        places = [i for i, scheme in enumerate(known) if len(scheme.half_steps) == length]
        together = [known[i] for i in places]
        starts = np.broadcast_to(start, (len(places), *np.shape(start)))
        lanes = lanes_of(objective, starts, step_size, strength)
        lanes = lanes._replace(lanes=lanes.lanes._replace(tilt=tilt))
        factors = factors_of(together, lanes.start.dtype, lanes.step_size.size // len(places))
        if not any(scheme.ascent_epochs for scheme in together):
            factors = factors._replace(ascent_epochs=None)
        runs = _simulated(
            objective.loss, lanes, factors, together[0], epochs=epochs, observe=observe
        )
        runs = jax.tree.map(np.asarray, runs._replace(observed_epochs=None))
        for row, place in enumerate(places):
            own = jax.tree.map(lambda leaf, row=row: leaf[row], runs)
            epochs_seen = np.arange(epochs + 1)
            found[place] = own._replace(scheme=known[place], observed_epochs=epochs_seen)
    return found


def _simulated(
    loss: RowLoss,
    given: RunArguments,
    scheme: Scheme | Factors,
    named: Scheme,
    *,
    epochs: int,
    observe: Callable[[Array], Any] | None,
    factors: Array | None = None,
    key: Array | None = None,
    observe_every: int = 1,
    tolerance: ArrayLike | None = None,
) -> Trajectory:
    """The run of checked arguments. The Trajectory reports ``named`` as its scheme."""
    start = given.start
    batch = given.step_size.shape
    rounding = 4096 * float(jnp.finfo(start.dtype).eps)
    allowed = checks.positive(
        "tolerance", checks.one("tolerance", rounding if tolerance is None else tolerance)
    ).astype(start.dtype)
    shared = (given.lanes, given.flat, factors, key, allowed)
    if observe is None:
        state = run(loss, scheme, named.batch_size, *shared, epochs)
        observed = observed_epochs = None
    else:
        whole, rest = divmod(epochs, observe_every)
        counts = (observe_every, whole, rest)
        watch = watching(observe, start)
        state, observed = run_recorded(
            loss, scheme, named.batch_size, batch, counts, *shared, watch
        )
        observed_epochs = jax.device_put(observe_every * np.arange(whole + 1))
    end = _ended(loss, given, state, factors)
    return Trajectory(
        weights=end.weights,
        outcome=end.outcome,
        seen_at=end.seen_at,
        epochs=end.epochs,
        period=end.period,
        move=end.move,
        gradient_norm=end.gradient_norm,
        observed=observed,
        observed_epochs=observed_epochs,
        start=start,
        step_size=end.step_size,
        strength=given.strength,
        scheme=named,
    )


class _Ended(NamedTuple):
    """The end of a run, in the shape of the batch; see :class:`Trajectory`."""

    weights: Float[Array, "*batch d"]
    outcome: Int[Array, "*batch"]
    seen_at: Int[Array, "*batch"]
    epochs: Int[Array, "*batch"]
    period: Int[Array, "*batch"]
    move: Float[Array, "*batch"]
    gradient_norm: Float[Array, "*batch"]
    step_size: Float[Array, "*batch"]


@functools.partial(jax.jit, static_argnums=0)
def _ended(loss: RowLoss, given: RunArguments, state: State, factors: Array | None) -> _Ended:
    """The last state in the shape of the batch, with the gradient and step size there."""
    lanes = given.lanes
    batch = given.step_size.shape
    taken = state.taken.reshape(batch)
    last = None if factors is None else factors[jnp.minimum(taken, factors.shape[0] - 1)]
    gradient = gradient_of(loss, lanes, lanes.retain - lanes.forget, state.held)
    if lanes.tilt is not None:
        gradient = gradient + lanes.tilt.gradient(1, 1, state.held)
    return _Ended(
        weights=jnp.moveaxis(state.held, 0, -1).reshape(given.start.shape),
        outcome=state.outcome.reshape(batch),
        seen_at=state.seen_at.reshape(batch),
        epochs=taken,
        period=state.period.reshape(batch),
        move=state.move.reshape(batch),
        gradient_norm=size_of(gradient, given.strength),
        step_size=given.step_size if last is None else given.step_size * last,
    )


@backed_by("alternating-maps")
def epoch(
    problem: Objective | HasObjective,
    weights: ArrayLike,
    *,
    step_size: ArrayLike,
    scheme: str | Scheme | Factors = "simultaneous",
    strength: ArrayLike = 1.0,
) -> Float[Array, "*batch d"]:
    """One epoch of a scheme: the exact map that :func:`simulate` applies again and again.

    Args:
        problem: a Problem, a CorrelatedPair or an Objective.
        weights: ``(*batch, d)``, before the epoch.
        step_size: > 0.
        scheme: as for :func:`simulate`.
        strength: of the ascent.

    Returns: the weights after the epoch.
    Raises: ``ValueError`` or ``TypeError`` that names the argument.
    Claim: ``alternating-maps``.
    """
    objective = objective_of(problem)
    given = lanes_of(objective, weights, step_size, strength)
    lanes = given.lanes
    known = scheme if isinstance(scheme, Factors) else resolve(scheme)
    moved = one_epoch(objective.loss, known, lanes, given.flat, lanes.step, 0)
    return jnp.moveaxis(moved, 0, -1).reshape(given.start.shape)


@backed_by("alternating-multiplier")
def epoch_jacobian(
    problem: Objective | HasObjective,
    weights: ArrayLike,
    *,
    step_size: ArrayLike,
    scheme: str | Scheme | Factors = "simultaneous",
    strength: ArrayLike = 1.0,
) -> Float[Array, "*batch d d"]:
    """The derivative of :func:`epoch` in the weights: what one epoch makes of a small deviation.

    A resting point attracts if all eigenvalues of this matrix lie inside the unit circle. A cycle
    attracts if those of the product around it do. The mean logarithm of how a deviation grows along
    an orbit is its Lyapunov exponent.

    Args: as for :func:`epoch`.
    Raises: as :func:`epoch`.
    Claim: ``alternating-multiplier``.
    """
    weights = checks.finite("weights", weights).astype(objective_of(problem).ridge.dtype)
    moved = functools.partial(epoch, problem, step_size=step_size, scheme=scheme, strength=strength)

    def along(direction: Array) -> Array:
        return jax.jvp(moved, (weights,), (jnp.broadcast_to(direction, weights.shape),))[1]

    return jax.vmap(along, out_axes=-1)(jnp.eye(weights.shape[-1], dtype=weights.dtype))
