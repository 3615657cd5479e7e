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

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from gda_theory.codes import Outcome
from gda_theory.problem.losses import RowLoss
from gda_theory.problem.objective import HasObjective, Objective, objective_of
from gda_theory.solve import minimise, newton
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable

MOST_EPOCHS = 2**31 - 1  # epochs are counted in 32 bits
# Epochs between two looks at a run, which take a twentieth of the time. 96 is a multiple of the
# commonest periods.
WATCH = 96
LONGEST_PERIOD = 64
# A cycle is closed when it comes back to its start up to this part of one epoch's move.
RETURN = 1e-6


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Scheme:
    """The half-steps ``(retain factor, forget factor)`` of one epoch.

    In the first ``ascent_epochs`` epochs every half-step is one of ascent alone, (0, 1).
    ``batch_size`` is the one that :func:`simulate` was given, or None without minibatches.

    Raises: ``ValueError`` if ``half_steps`` are no pairs of numbers, or if an epoch neither
        descends nor ascends.
    """

    name: str
    half_steps: Sequence[Sequence[float]]
    ascent_epochs: int = 0
    batch_size: int | None = None

    def __post_init__(self) -> None:
        factors = np.asarray(self.half_steps)
        pairs = factors.shape[1:] == (2,) and factors.dtype.kind in "iuf"
        if not pairs or not (0 < np.sum(factors[:, 0]) < np.inf or _only_ascends(factors)):
            raise ValueError(
                "half_steps must be pairs (retain factor, forget factor) whose retain factors "
                "have a finite sum > 0, so that an epoch descends, or are all 0 beside forget "
                f"factors with a finite sum > 0, so that it ascends, got {self.half_steps!r}"
            )
        # A scheme selects compiled code, so it must be hashable.
        object.__setattr__(self, "half_steps", tuple(map(tuple, factors.tolist())))

    @property
    def descends(self) -> bool:
        """Whether an epoch lowers the retained losses; False for ascent alone."""
        return not _only_ascends(np.asarray(self.half_steps))

    def ascends_alone(self, time: int | Array) -> bool | Array | None:
        """Whether epoch ``time`` is one of ascent alone; ``None`` if no epoch of the scheme is."""
        return time < self.ascent_epochs if self.ascent_epochs else None


def _only_ascends(factors: np.ndarray) -> bool:
    """Whether no half-step descends, and together they ascend."""
    return bool(np.all(factors[:, 0] == 0) and 0 < np.sum(factors[:, 1]) < np.inf)


class Factors(NamedTuple):
    """Schemes with equally many half-steps as arrays, one scheme a lane.

    They are data and not code, so all such schemes share one compiled function.
    """

    half_steps: Float[Array | np.ndarray, "h 2 #lanes"]
    ascent_epochs: Int[Array | np.ndarray, " #lanes"] | None

    def ascends_alone(self, time: int | Array) -> Array | np.ndarray | None:
        """As :meth:`Scheme.ascends_alone`, for each lane."""
        return None if self.ascent_epochs is None else time < self.ascent_epochs


class Tilt(NamedTuple):
    """Quadratic functions added to the losses of both sets, the same for all lanes.

    At ``w`` their gradients are ``retain_slope + retain_bend (w - centre)``, and the same for the
    forgotten losses. The ``forget`` parts contain the strength. Beyond the distance ``reach`` from
    the centre, ``w`` is replaced by the point at that distance in the same direction. So the
    gradients stay bounded.
    """

    centre: Float[Array | np.ndarray, " d"]
    retain_slope: Float[Array | np.ndarray, " d"]
    forget_slope: Float[Array | np.ndarray, " d"]
    retain_bend: Float[Array | np.ndarray, "d d"]
    forget_bend: Float[Array | np.ndarray, "d d"]
    reach: Float[Array | np.ndarray, ""] | float

    def gradient(self, retain: Any, forget: Any, weights: Float[Array, "d lanes"]) -> Array:
        """The gradient with these factors on both parts, lane by lane."""
        away = weights - self.centre[:, None]
        distance = newton.norm(away.T)
        away = away * jnp.minimum(1, self.reach / jnp.where(distance > 0, distance, 1))
        kept = self.retain_slope[:, None] + self.retain_bend @ away
        forgotten = self.forget_slope[:, None] + self.forget_bend @ away
        return retain * kept - forget * forgotten


def factors_of(schemes: Sequence[Scheme], dtype: DTypeLike, repeats: int = 1) -> Factors:
    """The schemes as data, each ``repeats`` times in a row; all have equally many half-steps."""
    half_steps = np.array([scheme.half_steps for scheme in schemes], dtype)
    ascent_epochs = np.array([scheme.ascent_epochs for scheme in schemes], np.int32)
    return Factors(
        half_steps=np.repeat(np.moveaxis(half_steps, 0, -1), repeats, -1),
        ascent_epochs=np.repeat(ascent_epochs, repeats),
    )


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("simultaneous", ((1, 1),)),
        Scheme("retain_first", ((1, 0), (0, 1))),
        Scheme("forget_first", ((0, 1), (1, 0))),
        Scheme("pure_ascent", ((0, 1),)),
    )
}


def ascent_then_descent(epochs: int) -> Scheme:
    """The scheme of ``epochs`` epochs of ascent on the forget set, then descent on the retain set.

    Raises: ``ValueError`` or ``TypeError`` unless ``epochs`` is a whole number >= 1.
    """
    return Scheme("ascent_then_descent", ((1, 0),), epoch_count("epochs", epochs))


def epoch_count(name: str, value: Any) -> int:
    """``value`` as a number of epochs, from 1 to 2^31 - 1.

    Raises: ``ValueError`` or ``TypeError`` that names the argument ``name``.
    """
    value = checks.whole(name, value, least=1)
    if value > MOST_EPOCHS:
        raise ValueError(f"{name} must be <= {MOST_EPOCHS}, got {value}")
    return value


def resolve(scheme: str | Scheme) -> Scheme:
    """The :class:`Scheme` of that name, or the given one.

    Raises: ``ValueError`` if ``scheme`` is neither a known name nor a scheme.
    """
    if isinstance(scheme, Scheme):
        return scheme
    if not isinstance(scheme, str) or scheme not in SCHEMES:
        raise ValueError(
            f"scheme must be one of {', '.join(map(repr, SCHEMES))} or "
            f"gt.ascent_then_descent(epochs), got {scheme!r}"
        )
    return SCHEMES[scheme]


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
    lanes = _lanes(objective, start, step_size, strength)
    rows = _batch_size(batch_size, key, objective.retain_weight.shape[-1])
    return _simulated(
        objective.loss,
        lanes,
        scheme,
        dataclasses.replace(scheme, batch_size=rows),
        epochs=epochs,
        factors=_schedule(schedule, epochs, lanes.start.dtype),
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
        lanes = _lanes(objective, starts, step_size, strength)
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
    given: "_Given",
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
        state = _run(loss, scheme, named.batch_size, *shared, epochs)
        observed = observed_epochs = None
    else:
        whole, rest = divmod(epochs, observe_every)
        counts = (observe_every, whole, rest)
        watch = _watching(observe, start)
        state, observed = _run_recorded(
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
def _ended(loss: RowLoss, given: "_Given", state: "_State", factors: Array | None) -> _Ended:
    """The last state in the shape of the batch, with the gradient and step size there."""
    lanes = given.lanes
    batch = given.step_size.shape
    taken = state.taken.reshape(batch)
    last = None if factors is None else factors[jnp.minimum(taken, factors.shape[0] - 1)]
    gradient = _gradient(loss, lanes, lanes.retain - lanes.forget, state.held)
    if lanes.tilt is not None:
        gradient = gradient + lanes.tilt.gradient(1, 1, state.held)
    return _Ended(
        weights=jnp.moveaxis(state.held, 0, -1).reshape(given.start.shape),
        outcome=state.outcome.reshape(batch),
        seen_at=state.seen_at.reshape(batch),
        epochs=taken,
        period=state.period.reshape(batch),
        move=state.move.reshape(batch),
        gradient_norm=_size(gradient, given.strength),
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
    given = _lanes(objective, weights, step_size, strength)
    lanes = given.lanes
    known = scheme if isinstance(scheme, Factors) else resolve(scheme)
    moved = _epoch(objective.loss, known, lanes, given.flat, lanes.step, 0)
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


# Validation -------------------------------------------------------------------------------------


class Lanes(NamedTuple):
    """Objectives side by side, with the batch in the last axis.

    ``forget`` contains the strength. Types ``(k, d, *lanes)`` that all lanes share have no batch
    axis. Those of several classes are always shared. ``tilt`` is what is added to their losses.
    """

    types: Any
    retain: Float[Array, "k #lanes"]
    forget: Float[Array, "k #lanes"]
    ridge: Float[Array, "d #lanes"]
    step: Float[Array, " lanes"]
    tilt: Tilt | None = None


class _Given(NamedTuple):
    """Checked arguments of a run: its lanes, and what the Trajectory reports in the batch's shape.

    ``flat`` is ``start`` with the batch flattened into lanes.
    """

    lanes: Lanes
    flat: Float[Array, "d lanes"]
    start: Float[Array, "*batch d"]
    step_size: Float[Array, "*batch"]
    strength: Float[Array, "*batch"]


def _lanes(
    objective: Objective, start: ArrayLike, step_size: ArrayLike, strength: ArrayLike
) -> _Given:
    """The arguments of a run, checked and broadcast."""
    start = checks.finite("start", start).astype(objective.ridge.dtype)
    dimension = objective.ridge.shape[-1]
    of_types = objective.types.shape[:-2] if objective.has_margins else ()
    if start.ndim < 1 or start.shape[-1] != dimension:
        raise ValueError(
            f"start must have shape (*batch, {dimension}), one entry per coordinate, "
            f"got {start.shape}"
        )
    step_size = checks.positive("step_size", step_size).astype(start.dtype)
    strength = minimise.strength_in_range(objective.pretrain_strength, strength)
    try:
        batch = jnp.broadcast_shapes(of_types, start.shape[:-1], step_size.shape, strength.shape)
    except ValueError:
        raise ValueError(
            "the batch dimensions of problem, start, step_size and strength must broadcast to one "
            f"shape, got {of_types}, {start.shape[:-1]}, {step_size.shape}, "
            f"{strength.shape}"
        ) from None
    return _spread(batch, objective, start, step_size, strength)


@functools.partial(jax.jit, static_argnums=0)
def _spread(batch: tuple[int, ...], objective: Objective, start, step_size, strength) -> _Given:
    """Broadcast to the batch and flatten it."""
    start = jnp.broadcast_to(start, (*batch, objective.ridge.shape[-1]))
    step_size, strength = (jnp.broadcast_to(leaf, batch) for leaf in (step_size, strength))

    def spread(leaf, rank):
        return _last(jnp.broadcast_to(leaf, (*batch, *leaf.shape[leaf.ndim - rank :])), rank)

    shared = not objective.has_margins or objective.types.ndim == 2
    lanes = Lanes(
        types=objective.types if shared else spread(objective.types, 2),
        retain=spread(objective.retain_weight, 1),
        forget=spread(strength[..., None] * objective.forget_weight, 1),
        ridge=spread(objective.ridge_at(strength), 1),
        step=step_size.reshape(-1),
    )
    return _Given(
        lanes=lanes, flat=_last(start, 1), start=start, step_size=step_size, strength=strength
    )


def _last(leaf: Array, rank: int) -> Array:
    """``(*batch, ...)`` to ``(..., lanes)``."""
    return jnp.moveaxis(leaf.reshape(-1, *leaf.shape[leaf.ndim - rank :]), 0, -1)


def _schedule(
    schedule: ArrayLike | Callable[[Array], Any] | None, epochs: int, dtype: DTypeLike
) -> Array | None:
    """The factors on the step size, one an epoch."""
    if schedule is None:
        return None
    factors = schedule
    if callable(schedule):
        with _named(
            "schedule must be a function of the epoch that JAX can trace, or an array (epochs,)"
        ):
            factors = jax.vmap(schedule)(jnp.arange(epochs))
    factors = checks.nonnegative("schedule", factors).astype(dtype)
    if factors.shape != (epochs,):
        raise ValueError(
            f"schedule must have shape ({epochs},), one factor an epoch, got {factors.shape}"
        )
    return factors


def _batch_size(batch_size: int | None, key: Any, rows: int) -> int | None:
    """The checked ``batch_size``, if there is one."""
    if batch_size is None:
        if key is not None:
            raise ValueError(
                "batch_size must be given with a key: without minibatches nothing is random"
            )
        return None
    batch_size = checks.whole("batch_size", batch_size, least=1)
    if batch_size > rows:
        raise ValueError(f"batch_size must be <= the number of rows = {rows}, got {batch_size}")
    if key is None:
        raise ValueError(
            "key must be given for minibatches, since every random choice comes from a key, "
            "e.g. jax.random.key(0)"
        )
    checks.key("key", key)
    return batch_size


def _watching(observe: Callable[[Array], Any], start: Array) -> jax.tree_util.Partial:
    """``observe`` as a pytree.

    It must return arrays that begin with the batch of ``start``. This is checked by tracing:
    nothing is computed.
    """
    if not callable(observe):
        raise TypeError(
            "observe must be a function of the weights, such as gt.recorded_weights, "
            f"got {observe!r}"
        )
    with _named(
        f"observe must be a function of the weights {start.shape} that JAX can trace "
        "and that returns arrays"
    ):
        watch = observe if isinstance(observe, jax.tree_util.Partial) else _static(observe)
        seen = jax.eval_shape(watch, jax.ShapeDtypeStruct(start.shape, start.dtype))
    for leaf in jax.tree.leaves(seen):
        if leaf.shape[: start.ndim - 1] != start.shape[:-1]:
            raise ValueError(
                "observe must return arrays that begin with the batch "
                f"{start.shape[:-1]} of the weights, got {leaf.shape}"
            )
    return watch


@functools.cache
def _static(observe: Callable[[Array], Any]) -> jax.tree_util.Partial:
    """A function as a pytree without leaves, so that it selects compiled code."""
    return jax.tree_util.Partial(observe)


@contextlib.contextmanager
def _named(rule: str):
    """Raise JAX's error about a user's function again, with ``rule`` before it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{rule}: {str(error).splitlines()[0]}") from error


# One epoch ---------------------------------------------------------------------------------------


def _products(types: Array, columns: Float[Array, "d lanes"]) -> Array:
    """``types @ column`` lane by lane."""
    if types.ndim == 2:
        return types @ columns
    if types.shape[1] > 8:
        return jnp.sum(types * columns, 1)
    # A few columns are unrolled, which XLA fuses into one loop.
    return functools.reduce(jnp.add, [types[:, j] * columns[j] for j in range(types.shape[1])])


def _slopes_of_classes(loss: RowLoss, lanes: Lanes, coefficients: Array, weights: Array) -> Array:
    """The gradient of weighted losses with several scores a row, lane by lane."""

    def one(coefficients, weights):
        return loss.slope(lanes.types, coefficients, loss.scores(lanes.types, weights))

    wide = jnp.broadcast_to(coefficients, (len(coefficients), weights.shape[-1]))
    return jax.vmap(one, -1, -1)(wide, weights)


def _gradient(loss: RowLoss, lanes: Lanes, coefficients: Array, weights: Array) -> Array:
    """The gradient of the losses, weighted by ``coefficients``, and of the ridge."""
    if not hasattr(lanes.types, "shape"):
        return lanes.ridge * weights + _slopes_of_classes(loss, lanes, coefficients, weights)
    # Clipped: a row of weight 0 adds nothing, even if its loss is infinite.
    slopes = jnp.minimum(
        loss.phi(_products(lanes.types, weights)),  # type: ignore[attr-defined]
        jnp.finfo(weights.dtype).max,
    )
    return lanes.ridge * weights - _products(jnp.swapaxes(lanes.types, 0, 1), coefficients * slopes)


def _size(
    gradient: Float[Array, "d lanes"], strength: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """The Euclidean length; infinite where an entry is beyond the range of the dtype."""
    size = newton.norm(gradient.T).reshape(strength.shape)
    inside = _in_range(gradient).reshape(strength.shape)
    return jnp.where(inside | jnp.isnan(strength), size, jnp.inf)


def _epoch(
    loss: RowLoss,
    scheme: Scheme | Factors,
    lanes: Lanes,
    weights: Array,
    step: Array,
    time: int | Array,
) -> Array:
    """The map of one epoch, whose number is ``time``."""
    for retain, forget in scheme.half_steps:
        alone = scheme.ascends_alone(time)
        if alone is not None:
            retain, forget = jnp.where(alone, 0, retain), jnp.where(alone, 1, forget)
        coefficients = retain * lanes.retain - forget * lanes.forget
        gradient = _gradient(loss, lanes, coefficients, weights)
        if lanes.tilt is not None:
            gradient = gradient + lanes.tilt.gradient(retain, forget, weights)
        weights = weights - step * gradient
    return weights


def _drawn(lanes: Lanes, order: Int[Array, " k"], rows: int, time: int | Array) -> Lanes:
    """The lanes of one minibatch of the shuffled rows, scaled to all rows."""
    count = order.shape[0]
    chosen = jax.lax.dynamic_slice(order, (time % (count // rows) * rows,), (rows,))
    rows_of = (lanes.types, lanes.retain, lanes.forget)
    types, retain, forget = jax.tree.map(lambda array: array[chosen], rows_of)
    return lanes._replace(
        types=types, retain=retain * (count / rows), forget=forget * (count / rows)
    )


# Runs --------------------------------------------------------------------------------------------


class _State(NamedTuple):
    """The state of a run between two blocks of epochs.

    ``held`` is what is reported. A lane that left the range has ``weights`` 0 and keeps its last
    iterate in ``held``. ``order`` is that of the rows, for minibatches.
    """

    weights: Float[Array, "d lanes"]
    held: Float[Array, "d lanes"]
    live: Array
    outcome: Array
    seen_at: Array
    taken: Array
    move: Array
    reference: Float[Array, "d lanes"]
    period: Array
    time: Int[Array, ""]
    blocks: Int[Array, ""]
    order: Array | None


def _initial(start: Array, rows: int | None, count: int) -> _State:
    lanes = start.shape[1:]
    none = jnp.zeros(lanes, jnp.int32)
    order = None if rows is None else jnp.arange(count)
    return _State(
        weights=start,
        held=start,
        live=jnp.ones(lanes, bool),
        outcome=jnp.full(lanes, Outcome.MOVING, jnp.int32),
        seen_at=none,
        taken=none,
        move=jnp.zeros(lanes, start.dtype),
        reference=start,
        period=none,
        time=jnp.int32(0),
        blocks=jnp.int32(0),
        order=order,
    )


def _in_range(weights: Array) -> Array:
    """Whether all squares of a lane's entries are in the range of the dtype; False for NaN."""
    # Entry by entry, since XLA's maximum over many lanes on a CPU can lose a NaN.
    return jnp.all(jnp.abs(weights) <= np.sqrt(float(jnp.finfo(weights.dtype).max)), 0)


def _advance(
    loss, scheme, rows, lanes: Lanes, factors, key, tolerance, epochs, state: _State
) -> _State:
    """Make ``epochs`` more epochs, and look at what happened."""
    count = lanes.retain.shape[0]
    size = jnp.where(state.live, lanes.step, 0)

    def one(index, carry):
        weights, order = carry
        time = state.time + index
        step = size if factors is None else size * factors[time]
        if rows is None:
            return _epoch(loss, scheme, lanes, weights, step, time), order
        lap = count // rows
        fresh = functools.partial(
            jax.random.permutation, jax.random.fold_in(key, time // lap), count
        )
        order = jax.lax.cond(time % lap == 0, fresh, lambda: order)
        return _epoch(loss, scheme, _drawn(lanes, order, rows, time), weights, step, time), order

    before, order = jax.lax.fori_loop(0, epochs - 1, one, (state.weights, state.order))
    after, order = one(epochs - 1, (before, order))
    inside = _in_range(after) & _in_range(before)

    def watched():
        """The block again with a look after every epoch, since some lane left the range."""

        def guarded(index, carry):
            weights, previous, live, taken, order = carry
            proposal, order = one(index, (weights, order))
            live = live & _in_range(proposal)
            return (
                jnp.where(live, proposal, weights),
                jnp.where(live, weights, previous),
                live,
                taken + live,
                order,
            )

        return jax.lax.fori_loop(
            0, epochs, guarded, (state.weights, state.weights, state.live, state.taken, state.order)
        )[:4]

    def unwatched():
        return after, before, state.live, state.taken + epochs * state.live

    weights, before, live, taken = jax.lax.cond(jnp.all(inside | ~state.live), unwatched, watched)
    held = jnp.where(state.live, weights, state.held)
    state = state._replace(
        weights=jnp.where(live, weights, 0),
        held=held,
        live=live,
        taken=taken,
        time=state.time + epochs,
        blocks=state.blocks + 1,
        order=order,
    )
    factor = jnp.ones((), size.dtype) if factors is None else factors[state.time - 1]
    return _look(
        state, jnp.max(jnp.abs(weights - before), 0), factor, epochs, tolerance, rows is not None
    )


def _look(state: _State, move: Array, factor: Array, epochs, tolerance, noisy: bool) -> _State:
    """Update what is known after a block.

    ``move`` is the size of the last epoch's change, made at ``factor`` times the step size.
    """
    asleep = factor == 0  # an epoch without a step shows nothing
    move = jnp.where(asleep, state.move, move / jnp.where(asleep, 1, factor))
    eps = float(jnp.finfo(move.dtype).eps)
    scale = jnp.max(jnp.abs(state.weights), 0)
    rate = jnp.where(move < state.move, (move / state.move) ** (1 / epochs), 1)
    # Moves that shrink by the same factor add up to a geometric series.
    near = move <= tolerance * scale * (1 - rate)
    # Brent's search for cycles: compare with a point that is renewed at the powers of two.
    # A cycle within the tolerance is rounding.
    back = jnp.max(jnp.abs(state.weights - state.reference), 0) <= RETURN * move
    returned = back & (move > tolerance * scale)
    resting = (move <= 4 * eps * scale) | (back & ~returned)
    renew = (state.blocks & (state.blocks - 1)) == 0
    undecided = state.outcome == Outcome.MOVING
    none = jnp.zeros_like(returned)
    converged = none if noisy else (resting | near) & (state.blocks > 1)
    now = jnp.where(returned & ~converged & (not noisy), Outcome.CYCLE, Outcome.MOVING)
    now = jnp.where(converged, Outcome.CONVERGED, now)
    now = jnp.where(asleep, Outcome.MOVING, now)
    now = jnp.where(state.live, now, Outcome.LEFT_RANGE)
    outcome = jnp.where(undecided, now, state.outcome).astype(jnp.int32)
    return state._replace(
        outcome=outcome,
        seen_at=jnp.where(undecided, state.taken, state.seen_at),
        # A lane that left at once, or left earlier, keeps its last move.
        move=jnp.where(state.live | (move > 0), move, state.move),
        reference=jnp.where(renew, state.weights, state.reference),
    )


@functools.partial(jax.jit, static_argnums=(0, 2))
def _run(loss, scheme, rows, lanes: Lanes, start, factors, key, tolerance, epochs) -> _State:
    """Run blocks of epochs until every lane has an outcome or the epochs are used up."""

    def more(state):
        return (state.time < epochs) & jnp.any(state.outcome == Outcome.MOVING)

    def block(state):
        return _advance(
            loss,
            scheme,
            rows,
            lanes,
            factors,
            key,
            tolerance,
            jnp.minimum(WATCH, epochs - state.time),
            state,
        )

    return _with_period(
        loss,
        scheme,
        lanes,
        jax.lax.while_loop(more, block, _initial(start, rows, lanes.retain.shape[0])),
    )


@functools.partial(jax.jit, static_argnums=(0, 2, 3, 4))
def _run_recorded(
    loss, scheme, rows, batch, counts, lanes: Lanes, start, factors, key, tolerance, observe
):
    """Run all the epochs, and record ``observe`` at the start and after every block."""
    every, whole, rest = counts
    advance = functools.partial(_advance, loss, scheme, rows, lanes, factors, key, tolerance)

    def seen(weights):
        return jax.tree.map(
            jnp.asarray, observe(jnp.moveaxis(weights, 0, -1).reshape(*batch, len(weights)))
        )

    def block(state, _):
        state = advance(every, state)
        return state, seen(state.held)

    initial = _initial(start, rows, lanes.retain.shape[0])
    state, observed = jax.lax.scan(block, initial, length=whole)
    state = advance(rest, state) if rest else state
    observed = jax.tree.map(
        lambda first, later: jnp.moveaxis(jnp.concatenate([first[None], later]), 0, len(batch)),
        seen(start),
        observed,
    )
    return _with_period(loss, scheme, lanes, state), observed


def _with_period(loss, scheme, lanes: Lanes, state: _State) -> _State:
    """The state with the least period of each cycle.

    It is the first return within ``LONGEST_PERIOD`` more epochs.
    """
    cycling = state.outcome == Outcome.CYCLE

    def search():
        def one(index, carry):
            weights, period = carry
            # Time enters only through the epochs of ascent alone, which are over by then.
            time = 0 if scheme.ascent_epochs is None else scheme.ascent_epochs
            weights = _epoch(loss, scheme, lanes, weights, lanes.step, time)
            back = jnp.max(jnp.abs(weights - state.weights), 0) <= 10 * RETURN * state.move
            return weights, jnp.where(cycling & back & (period == 0), index + 1, period)

        return jax.lax.fori_loop(0, LONGEST_PERIOD, one, (state.weights, state.period))[1]

    return state._replace(period=jax.lax.cond(jnp.any(cycling), search, lambda: state.period))
