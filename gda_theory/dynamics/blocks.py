"""Runs in blocks of epochs, with a look at every lane after each block."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from gda_theory.codes import Outcome
from gda_theory.dynamics.epochs import Lanes, in_range, minibatch, one_epoch
from gda_theory.dynamics.schemes import Factors, Scheme
from gda_theory.problem.losses import RowLoss

# Epochs between two looks at a run, which take a twentieth of the time. 96 is a multiple of the
# commonest periods.
WATCH = 96
LONGEST_PERIOD = 64
# A cycle is closed when it comes back to its start up to this part of one epoch's move.
RETURN = 1e-6


class State(NamedTuple):
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


def _initial(start: Array, rows: int | None, count: int) -> State:
    lanes = start.shape[1:]
    none = jnp.zeros(lanes, jnp.int32)
    order = None if rows is None else jnp.arange(count)
    return State(
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


def _advance(
    loss, scheme, rows, lanes: Lanes, factors, key, tolerance, epochs, state: State
) -> State:
    """Make ``epochs`` more epochs, and look at what happened."""
    count = lanes.retain.shape[0]
    size = jnp.where(state.live, lanes.step, 0)

    def one(index, carry):
        weights, order = carry
        time = state.time + index
        step = size if factors is None else size * factors[time]
        if rows is None:
            return one_epoch(loss, scheme, lanes, weights, step, time), order
        lap = count // rows
        fresh = functools.partial(
            jax.random.permutation, jax.random.fold_in(key, time // lap), count
        )
        order = jax.lax.cond(time % lap == 0, fresh, lambda: order)
        return one_epoch(
            loss, scheme, minibatch(lanes, order, rows, time), weights, step, time
        ), order

    before, order = jax.lax.fori_loop(0, epochs - 1, one, (state.weights, state.order))
    after, order = one(epochs - 1, (before, order))
    inside = in_range(after) & in_range(before)

    def watched():
        """The block again with a look after every epoch, since some lane left the range."""

        def guarded(index, carry):
            weights, previous, live, taken, order = carry
            proposal, order = one(index, (weights, order))
            live = live & in_range(proposal)
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


def _look(state: State, move: Array, factor: Array, epochs, tolerance, noisy: bool) -> State:
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
def run(
    loss: RowLoss,
    scheme: Scheme | Factors,
    rows: int | None,
    lanes: Lanes,
    start: Float[Array, "d lanes"],
    factors: Float[Array, " epochs"] | None,
    key: Array | None,
    tolerance: Float[Array, ""],
    epochs: int | Array,
) -> State:
    """Run blocks of epochs until every lane has an outcome or the epochs are used up.

    Args:
        loss: of the rows.
        scheme: the half-steps of an epoch.
        rows: of a minibatch, or None for all rows.
        lanes: the objectives.
        start: of each lane.
        factors: on the step size, one an epoch.
        key: of the minibatches.
        tolerance: a relative distance that counts as none.
        epochs: the most that are run.
    """

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
def run_recorded(
    loss: RowLoss,
    scheme: Scheme | Factors,
    rows: int | None,
    batch: tuple[int, ...],
    counts: tuple[int, int, int],
    lanes: Lanes,
    start: Float[Array, "d lanes"],
    factors: Float[Array, " epochs"] | None,
    key: Array | None,
    tolerance: Float[Array, ""],
    observe: Callable[[Array], Any],
) -> tuple[State, Any]:
    """Run all the epochs, and record ``observe`` at the start and after every block.

    Arguments are those of :func:`run`, and:

    Args:
        batch: the shape of the lanes.
        counts: epochs of a block, whole blocks, and epochs after them.
        observe: a pytree that is a function of the weights ``(*batch, d)``.
    """
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


def _with_period(loss, scheme, lanes: Lanes, state: State) -> State:
    """The state with the least period of each cycle.

    It is the first return within ``LONGEST_PERIOD`` more epochs.
    """
    cycling = state.outcome == Outcome.CYCLE

    def search():
        def one(index, carry):
            weights, period = carry
            # Time enters only through the epochs of ascent alone, which are over by then.
            time = 0 if scheme.ascent_epochs is None else scheme.ascent_epochs
            weights = one_epoch(loss, scheme, lanes, weights, lanes.step, time)
            back = jnp.max(jnp.abs(weights - state.weights), 0) <= 10 * RETURN * state.move
            return weights, jnp.where(cycling & back & (period == 0), index + 1, period)

        return jax.lax.fori_loop(0, LONGEST_PERIOD, one, (state.weights, state.period))[1]

    return state._replace(period=jax.lax.cond(jnp.any(cycling), search, lambda: state.period))
