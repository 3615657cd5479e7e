r"""What the iteration really does: descent-ascent in finite steps, as it is run.

Every scheme is a list of *half-steps* with factors :math:`(\rho, \sigma)` on the retain and the forget weights,

.. math:: w \leftarrow w - \eta\,\nabla J_{\rho,\sigma}(w), \qquad
          \nabla J_{\rho,\sigma}(w) = \Lambda w - T^\top\bigl[(\rho\,a - \sigma\gamma\,b) \odot \varphi(Tw)\bigr],

each with its own full ridge: ``simultaneous`` is (1, 1); ``retain_first`` is (1, 0) then (0, 1); ``forget_first`` the other way
round. One pass through the list is an *epoch*, which is what ``epochs`` counts. One coordinate, ``a = r_j/r``, ``b = alpha r_j/f``,
:math:`d = \lambda w - a e^{-w}`: descent first is exactly :math:`w'' = (1 - \eta\lambda)(w - \eta d) - \eta b e^{-(w - \eta d)}`.

Here are *observations* only (converged, moving, cycle, left range, and when); :mod:`gda_theory.dynamics.outcomes` knows causes. Lanes of
a batch run side by side, the batch in the last axis, so that a step is a few passes of elementwise arithmetic.
Source: *Ascent Fails to Forget*, App. D.3; cycles and convergence tests: new. Claims: ``alternating-maps``, ``effective-ridge``.
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
from jaxtyping import ArrayLike, Float, Int

from gda_theory.codes import Outcome
from gda_theory.problem.losses import Loss
from gda_theory.problem.objective import Objective, objective_of
from gda_theory.solve import minimise
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable

MOST_STEPS = 2**31 - 1  # epochs are counted in 32 bits
WATCH = (
    96  # epochs between observations (a twentieth of the time): a multiple of the commonest periods
)
LONGEST_PERIOD = 64
RETURN = 1e-6  # a cycle is closed when it misses its starting point by less than this part of one epoch's move


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Scheme:
    """The half-steps ``(retain factor, forget factor)`` of one epoch; the first ``ascent_epochs`` epochs are ascent alone, (0, 1).

    ``batch_size`` is what :func:`simulate` was told, None without minibatches.
    """

    name: str
    half_steps: tuple[tuple[float, float], ...]
    ascent_epochs: int = 0
    batch_size: int | None = None

    def __post_init__(self):
        factors = np.asarray(self.half_steps)
        if (
            factors.shape[1:] != (2,)
            or factors.dtype.kind not in "iuf"
            or not 0 < np.sum(factors[:, 0]) < np.inf
        ):
            raise ValueError(
                "half_steps must be pairs (retain factor, forget factor), the retain factors with a sum > 0 (one epoch descends), "
                f"got {self.half_steps!r}"
            )
        # A scheme selects code, so it must hash.
        object.__setattr__(self, "half_steps", tuple(map(tuple, factors.tolist())))

    def ascends_alone(self, time: ArrayLike) -> Array | None:
        """Whether epoch ``time`` is one of ascent alone, ``None`` if no epoch is."""
        return time < self.ascent_epochs if self.ascent_epochs else None


class Factors(NamedTuple):
    """Schemes with equally many half-steps as arrays, one scheme a lane.

    They are data and not code, so all such schemes share one compiled function.
    """

    half_steps: Float[Array, "h 2 #lanes"]
    ascent_epochs: Int[Array, " #lanes"] | None

    def ascends_alone(self, time: ArrayLike) -> Array | None:
        """As :meth:`Scheme.ascends_alone`."""
        return None if self.ascent_epochs is None else time < self.ascent_epochs


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
    )
}


def ascent_then_descent(epochs: int) -> Scheme:
    """``epochs`` of ascent on the forget set alone, then descent on the retain set alone: a common recipe."""
    return Scheme("ascent_then_descent", ((1, 0),), epoch_count("epochs", epochs))


def epoch_count(name: str, value) -> int:
    """``value`` as a number of epochs."""
    value = checks.whole(name, value, least=1)
    if value > MOST_STEPS:
        raise ValueError(f"{name} must be <= {MOST_STEPS}, got {value}")
    return value


def resolve(scheme: str | Scheme) -> Scheme:
    """The :class:`Scheme` of that name, or the given one; ``ValueError`` otherwise."""
    if isinstance(scheme, (Scheme, Factors)):
        return scheme
    if not isinstance(scheme, str) or scheme not in SCHEMES:
        raise ValueError(
            f"scheme must be one of {', '.join(map(repr, SCHEMES))} or gt.ascent_then_descent(epochs), got {scheme!r}"
        )
    return SCHEMES[scheme]


@readable(outcome=Outcome)
class Trajectory(NamedTuple):
    """Where a run went, and what was seen.

    ``outcome`` (:class:`gda_theory.Outcome`) was first seen at epoch ``seen_at``, and ``epochs`` epochs were made: a run that converged
    or cycles ends early, one that ``LEFT_RANGE`` keeps the last iterate that its dtype could hold (never NaN). ``period`` is a
    cycle's, 0 for none (or one longer than 64). ``move`` is the largest entry of the last epoch's change; ``gradient_norm`` is that of
    J at ``strength``, which is *not* 0 where an alternating scheme rests. ``observed`` has what ``observe`` returned at the epochs
    ``observed_epochs`` (the start included), in the first axis after the batch. The rest is how the run was made; ``step_size`` is, under
    a schedule, that of the epoch at which the run ended.
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
    """For ``observe``: the iterates themselves."""
    return weights


def distances_to(points: Float[Array, "p d"]) -> Callable[[Array], Array]:
    """For ``observe``: the Euclidean distances ``(*batch, p)`` to given points, in place of the iterates."""
    return jax.tree_util.Partial(_distances, jnp.atleast_2d(checks.finite("points", points)))


def _distances(points, weights):
    return minimise.norm(weights[..., None, :] - points)


@backed_by(
    "effective-ridge",
    "alternating-fixed-point",
    "alternating-multiplier",
    "short-steps-descend",
    "alternating-second-order-sign",
)
def simulate(
    problem,
    start,
    *,
    step_size,
    epochs: int,
    scheme="simultaneous",
    strength=1.0,
    schedule=None,
    batch_size: int | None = None,
    key=None,
    observe=None,
    observe_every: int = 1,
    tolerance: float | None = None,
) -> Trajectory:
    """Descent-ascent as it is run: ``epochs`` epochs from ``start``.

    Args:
        problem: a Problem, a CorrelatedPair or an Objective; leading dimensions of its arrays are a batch.
        start: ``(*batch, d)``. Batch dimensions of start, step_size, strength and problem broadcast against each other.
        step_size: > 0.
        scheme: ``"simultaneous"``, ``"retain_first"``, ``"forget_first"`` or :func:`ascent_then_descent`.
        strength: of the ascent; 0 is plain descent on the retain set, -f/r (means) or -1 (sums) is pretraining.
        schedule: factors on the step size, ``(epochs,)`` and >= 0, or a function of the epoch (optax's schedules are).
        batch_size, key: minibatches of that many rows, shuffled anew when all are used (what is left of a shuffle is dropped); an
            epoch is then one minibatch, its sums scaled to all rows, so that it is right on average.
        observe: a function of the weights ``(*batch, d)`` to record at every ``observe_every``-th epoch, see :func:`recorded_weights`
            and :func:`distances_to`; by default nothing is recorded, and memory does not grow with ``epochs``.
        tolerance: *converged* means that the distance to the limit, extrapolated from how fast the moves shrink, is below this part
            of the largest weight; 4096 machine epsilons by default.
    Raises: ``ValueError`` or ``TypeError`` naming the argument. Inside jit, what cannot be checked is not. Derivatives: forward mode
    (``jax.jvp``, ``jax.jacfwd``), as the loop ends when all is seen.
    Source: App. D.3. Claims: ``effective-ridge``, ``alternating-fixed-point``, ``alternating-multiplier``, ``short-steps-descend``,
    ``alternating-second-order-sign``.
    """
    objective = objective_of(problem)
    scheme, epochs = resolve(scheme), epoch_count("epochs", epochs)
    observe_every = checks.whole("observe_every", observe_every, least=1)
    if observe is not None and observe_every > epochs:
        raise ValueError(f"observe_every must be <= epochs = {epochs}, got {observe_every}")
    lanes = _lanes(objective, start, step_size, strength)
    rows = _batch_size(batch_size, key, objective.types.shape[-2])
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
    start: Float[ArrayLike, "*batch d"],
    *,
    schemes: Sequence[str | Scheme],
    step_size: Float[ArrayLike, "*batch"],
    epochs: int,
    strength: ArrayLike,
    observe: Callable[[Array], Any],
) -> list[Trajectory]:
    """:func:`simulate` for each of several schemes, all observed at every epoch.

    Schemes with equally many half-steps run side by side, so they are compiled once. Arrays come
    back as NumPy's. ``observe`` sees weights ``(schemes, *batch, d)``.
    """
    schemes = [resolve(scheme) for scheme in schemes]
    found: list[Any] = [None] * len(schemes)
    for length in sorted({len(scheme.half_steps) for scheme in schemes}):
        places = [i for i, scheme in enumerate(schemes) if len(scheme.half_steps) == length]
        together = [schemes[i] for i in places]
        starts = np.broadcast_to(start, (len(places), *np.shape(start)))
        lanes = _lanes(objective, starts, step_size, strength)
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
            found[place] = own._replace(scheme=schemes[place], observed_epochs=epochs_seen)
    return found


def _simulated(
    loss: Loss,
    given: "_Given",
    scheme: Scheme | Factors,
    named: Scheme,
    *,
    epochs: int,
    observe: Callable[[Array], Any] | None,
    factors: Array | None = None,
    key: Array | None = None,
    observe_every: int = 1,
    tolerance: float | None = None,
) -> Trajectory:
    """The run of checked arguments; the Trajectory says that its scheme is ``named``."""
    start, batch = given.start, given.step_size.shape
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
        observed_epochs = jnp.asarray(observe_every * np.arange(whole + 1))
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
def _ended(loss: Loss, given: "_Given", state: "_State", factors: Array | None) -> _Ended:
    lanes, batch = given.lanes, given.step_size.shape
    taken = state.taken.reshape(batch)
    last = None if factors is None else factors[jnp.minimum(taken, factors.shape[0] - 1)]
    gradient = _gradient(loss, lanes, lanes.retain - lanes.forget, state.held)
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
    problem, weights, *, step_size, scheme="simultaneous", strength=1.0
) -> Float[Array, "*batch d"]:
    """One epoch of a scheme: the exact map, of which :func:`simulate` takes ``epochs``. Claim: ``alternating-maps``."""
    objective = objective_of(problem)
    given = _lanes(objective, weights, step_size, strength)
    lanes = given.lanes
    moved = _epoch(objective.loss, resolve(scheme), lanes, given.flat, lanes.step, 0)
    return jnp.moveaxis(moved, 0, -1).reshape(given.start.shape)


@backed_by("alternating-multiplier")
def epoch_jacobian(
    problem, weights, *, step_size, scheme="simultaneous", strength=1.0
) -> Float[Array, "*batch d d"]:
    """The derivative of :func:`epoch` in the weights: what one epoch makes of a small deviation.

    A resting point attracts if all its eigenvalues lie inside the unit circle, a cycle if those of the product around it do; the mean
    logarithm of how a deviation grows along an orbit is its Lyapunov exponent. Claim: ``alternating-multiplier``.
    """
    weights = checks.finite("weights", weights).astype(objective_of(problem).types.dtype)
    moved = functools.partial(epoch, problem, step_size=step_size, scheme=scheme, strength=strength)

    def along(direction):
        return jax.jvp(moved, (weights,), (jnp.broadcast_to(direction, weights.shape),))[1]

    return jax.vmap(along, out_axes=-1)(jnp.eye(weights.shape[-1], dtype=weights.dtype))


# Validation -------------------------------------------------------------------------------------


class Lanes(NamedTuple):
    """Objectives side by side, the batch last; ``forget`` holds the strength. Types that all share have no batch axis."""

    types: Float[Array, "k d *lanes"]
    retain: Float[Array, "k #lanes"]
    forget: Float[Array, "k #lanes"]
    ridge: Float[Array, "d #lanes"]
    step: Float[Array, " lanes"]


class _Given(NamedTuple):
    """Checked arguments of a run: its lanes, and what the Trajectory reports in the batch's shape.

    ``flat`` is ``start`` lane by lane.
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
    start = checks.finite("start", start).astype(objective.types.dtype)
    dimension = objective.types.shape[-1]
    if start.ndim < 1 or start.shape[-1] != dimension:
        raise ValueError(
            f"start must have shape (*batch, {dimension}), one entry per coordinate, "
            f"got {start.shape}"
        )
    step_size = checks.positive("step_size", step_size).astype(start.dtype)
    strength = minimise.strength_in_range(objective.pretrain_strength, strength)
    try:
        batch = jnp.broadcast_shapes(
            objective.types.shape[:-2], start.shape[:-1], step_size.shape, strength.shape
        )
    except ValueError:
        raise ValueError(
            "the batch dimensions of problem, start, step_size and strength must broadcast to one "
            f"shape, got {objective.types.shape[:-2]}, {start.shape[:-1]}, {step_size.shape}, "
            f"{strength.shape}"
        ) from None
    return _spread(batch, objective, start, step_size, strength)


@functools.partial(jax.jit, static_argnums=0)
def _spread(batch: tuple[int, ...], objective: Objective, start, step_size, strength) -> _Given:
    """Broadcast to the batch and flatten it."""
    start = jnp.broadcast_to(start, (*batch, objective.types.shape[-1]))
    step_size, strength = (jnp.broadcast_to(leaf, batch) for leaf in (step_size, strength))

    def spread(leaf, rank):
        return _last(jnp.broadcast_to(leaf, (*batch, *leaf.shape[leaf.ndim - rank :])), rank)

    shared = objective.types.ndim == 2
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


def _schedule(schedule, epochs: int, dtype) -> Array | None:
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


def _batch_size(batch_size, key, rows: int) -> int | None:
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
            "key must be given for minibatches: every random choice comes from a key, e.g. jax.random.key(0)"
        )
    checks.key("key", key)
    return batch_size


def _watching(observe, start: Array) -> jax.tree_util.Partial:
    """``observe`` as a pytree, once it is known to return arrays with the batch of ``start`` first; nothing runs."""
    if not callable(observe):
        raise TypeError(
            f"observe must be a function of the weights, such as gt.recorded_weights, got {observe!r}"
        )
    with _named(
        f"observe must be a function of the weights {start.shape} that JAX can trace and that returns arrays"
    ):
        watch = observe if isinstance(observe, jax.tree_util.Partial) else _static(observe)
        seen = jax.eval_shape(watch, jax.ShapeDtypeStruct(start.shape, start.dtype))
    for leaf in jax.tree.leaves(seen):
        if leaf.shape[: start.ndim - 1] != start.shape[:-1]:
            raise ValueError(
                f"observe must return arrays that begin with the batch {start.shape[:-1]} of the weights, got {leaf.shape}"
            )
    return watch


@functools.cache
def _static(observe):
    """A function as a pytree without leaves, so that it selects code."""
    return jax.tree_util.Partial(observe)


@contextlib.contextmanager
def _named(rule: str):
    """JAX's error about a user's function, said of the argument."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{rule}: {str(error).splitlines()[0]}") from error


# One epoch -------------------------------------------------------------------------------------------------------------------


def _products(types: Array, columns: Float[Array, "d lanes"]) -> Array:
    """``types @ column`` lane by lane; unrolled over the columns where lanes have their own types, which fuses."""
    if types.ndim == 2:
        return types @ columns
    if types.shape[1] > 8:
        return jnp.sum(types * columns, 1)
    return functools.reduce(jnp.add, [types[:, j] * columns[j] for j in range(types.shape[1])])


def _gradient(loss: Loss, lanes: Lanes, coefficients: Array, weights: Array) -> Array:
    # Clipped: a row of weight 0 adds nothing, even if its loss is infinite.
    slopes = jnp.minimum(loss.phi(_products(lanes.types, weights)), jnp.finfo(weights.dtype).max)
    return lanes.ridge * weights - _products(jnp.swapaxes(lanes.types, 0, 1), coefficients * slopes)


def _size(
    gradient: Float[Array, "d lanes"], strength: Float[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """The Euclidean length; infinite where a term is beyond the range of the dtype."""
    size = minimise.norm(gradient.T).reshape(strength.shape)
    inside = _in_range(gradient).reshape(strength.shape)
    return jnp.where(inside | jnp.isnan(strength), size, jnp.inf)


def _epoch(
    loss: Loss, scheme: Scheme | Factors, lanes: Lanes, weights: Array, step: Array, time
) -> Array:
    """The map of one epoch, ``time`` being its number."""
    for retain, forget in scheme.half_steps:
        coefficients = retain * lanes.retain - forget * lanes.forget
        alone = scheme.ascends_alone(time)
        if alone is not None:
            coefficients = jnp.where(alone, -lanes.forget, coefficients)
        weights = weights - step * _gradient(loss, lanes, coefficients, weights)
    return weights


def _drawn(lanes: Lanes, order: Int[Array, " k"], rows: int, time) -> Lanes:
    """The lanes of one minibatch of the shuffled rows, scaled to all rows."""
    count = order.shape[0]
    chosen = jax.lax.dynamic_slice(order, (time % (count // rows) * rows,), (rows,))
    types, retain, forget = (array[chosen] for array in (lanes.types, lanes.retain, lanes.forget))
    return lanes._replace(
        types=types, retain=retain * (count / rows), forget=forget * (count / rows)
    )


# Runs ------------------------------------------------------------------------------------------------------------------------


class _State(NamedTuple):
    weights: Float[Array, "d lanes"]
    held: Float[
        Array, "d lanes"
    ]  # what is reported: a lane that left its range waits at 0 and holds its last iterate here
    live: Array
    outcome: Array
    seen_at: Array
    taken: Array
    move: Array
    reference: Float[Array, "d lanes"]
    period: Array
    time: Int[Array, ""]
    blocks: Int[Array, ""]
    order: Array | None  # of the rows, for minibatches


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
    """Whether a lane and its squares are representable; False for NaN."""
    # Entry by entry: XLA's maximum over many lanes on a CPU can lose a NaN.
    return jnp.all(jnp.abs(weights) <= np.sqrt(float(jnp.finfo(weights.dtype).max)), 0)


def _advance(
    loss, scheme, rows, lanes: Lanes, factors, key, tolerance, epochs, state: _State
) -> _State:
    """``epochs`` more epochs, and a look at what happened."""
    count = lanes.types.shape[0]
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
        """Again from the start of the block, a look after every epoch: some lane left its range."""

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
    """Update what is known after a block; ``move`` is the size of the last epoch's change, at ``factor`` times the step size."""
    asleep = factor == 0  # such an epoch shows nothing
    move = jnp.where(asleep, state.move, move / jnp.where(asleep, 1, factor))
    eps = float(jnp.finfo(move.dtype).eps)
    scale = jnp.max(jnp.abs(state.weights), 0)
    rate = jnp.where(move < state.move, (move / state.move) ** (1 / epochs), 1)
    # Moves that shrink by the same factor add up to a geometric series.
    near = move <= tolerance * scale * (1 - rate)
    # Brent's search for cycles: compare with a point that is renewed at the powers of two. A cycle within the tolerance is rounding.
    back = jnp.max(jnp.abs(state.weights - state.reference), 0) <= RETURN * move
    returned = back & (move > tolerance * scale)
    resting = (move <= 4 * eps * scale) | (back & ~returned)
    renew = (state.blocks & (state.blocks - 1)) == 0
    open_, none = state.outcome == Outcome.MOVING, jnp.zeros_like(returned)
    converged = none if noisy else (resting | near) & (state.blocks > 1)
    now = jnp.where(returned & ~converged & (not noisy), Outcome.CYCLE, Outcome.MOVING)
    now = jnp.where(converged, Outcome.CONVERGED, now)
    now = jnp.where(asleep, Outcome.MOVING, now)
    now = jnp.where(state.live, now, Outcome.LEFT_RANGE)
    outcome = jnp.where(open_, now, state.outcome).astype(jnp.int32)
    return state._replace(
        outcome=outcome,
        seen_at=jnp.where(open_, state.taken, state.seen_at),
        # A lane that left at once, or left earlier, keeps what it had.
        move=jnp.where(state.live | (move > 0), move, state.move),
        reference=jnp.where(renew, state.weights, state.reference),
    )


@functools.partial(jax.jit, static_argnums=(0, 2))
def _run(loss, scheme, rows, lanes: Lanes, start, factors, key, tolerance, epochs) -> _State:
    """Blocks of epochs until every lane has an outcome or the epochs are used up."""

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
        jax.lax.while_loop(more, block, _initial(start, rows, lanes.types.shape[0])),
    )


@functools.partial(jax.jit, static_argnums=(0, 2, 3, 4))
def _run_recorded(
    loss, scheme, rows, batch, counts, lanes: Lanes, start, factors, key, tolerance, observe
):
    """All the epochs, ``observe`` recorded at the start and after every block."""
    every, whole, rest = counts
    advance = functools.partial(_advance, loss, scheme, rows, lanes, factors, key, tolerance)

    def seen(weights):
        return jax.tree.map(
            jnp.asarray, observe(jnp.moveaxis(weights, 0, -1).reshape(*batch, len(weights)))
        )

    def block(state, _):
        state = advance(every, state)
        return state, seen(state.held)

    initial = _initial(start, rows, lanes.types.shape[0])
    state, observed = jax.lax.scan(block, initial, length=whole)
    state = advance(rest, state) if rest else state
    observed = jax.tree.map(
        lambda first, later: jnp.moveaxis(jnp.concatenate([first[None], later]), 0, len(batch)),
        seen(start),
        observed,
    )
    return _with_period(loss, scheme, lanes, state), observed


def _with_period(loss, scheme, lanes: Lanes, state: _State) -> _State:
    """The state, with the least period of each cycle: the first return within one more lap of ``LONGEST_PERIOD``."""
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
