r"""Predictor and corrector along a line of objectives: anchors from the oracle to the fold, the fold itself, and what lies between.

The curve of minima lives in the plane of weights and time (a strength in units of its own), with lengths measured in margins, on
which the loss acts; there a fold is an ordinary point (Keller's pseudo-arclength). Points *and* tangents of the last anchors give the
predictor (Hermite, order 6); Hessians are extrapolated too, so that an anchor costs one Hessian and a few gradients; the step follows
from how fast the corrector contracts (Deuflhard, *Newton Methods for Nonlinear Problems*, 2004). Times between the anchors are
interpolated, weights and Hessians, and corrected together by matrix products. :mod:`gda_theory.solve.path` is the door to this room.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from gda_theory.problem.losses import Loss
from gda_theory.problem.objective import Objective
from gda_theory.solve import newton
from theory_common.batching.blocks import in_blocks
from theory_common.numerics import roots
from theory_common.numerics.implicit import solve_linear

ANCHORS = 256  # at most; a path to the fold takes 10 to 25, one along which margins grow to hundreds over 100
TURNS = 12
PREDICTION = 0.0005  # error of a predictor to aim at, in margins: larger means fewer anchors and more corrections between them
RUNNING, FOLD, REACHED, FAILED, ESCAPED = range(5)


# Lines of objectives ---------------------------------------------------------------------------------------------------------


class Line(NamedTuple):
    """``ridge w^2/2 + sum_i (retain_i - time * pull_i) loss(m_i)``: a line of objectives, measured in ``unit``.

    ``step`` is the strength of one unit of time.
    """

    types: Float[Array, "k m"]
    retain: Float[Array, " k"]
    pull: Float[Array, " k"]
    ridge: Float[Array, " m"]
    step: Float[Array, ""]
    unit: Float[Array, ""]

    def gradient(self, loss: Loss, weights: Array, time: Array) -> tuple[Array, Array]:
        """The gradient, and its derivative in time."""
        phi = loss.phi(self.types @ weights)
        return self.ridge * weights - ((self.retain - time * self.pull) * phi) @ self.types, (
            self.pull * phi
        ) @ self.types

    def hessian(self, loss: Loss, weights: Array, time: Array | float) -> Array:
        return self.weighted(self.bend(loss, weights, time)) + jnp.diag(self.ridge)

    def steering_hessian(
        self, loss: Loss, rough: newton.Rough | None, weights: Array, time: Array
    ) -> Array:
        """The Hessian for steps and tangents, where corrections follow: see :func:`newton.steering_hessian`."""
        return newton.steering_hessian(
            self.types, rough, self.bend(loss, weights, time), self.ridge
        )

    def bend(self, loss: Loss, weights: Array, time: Array | float) -> Array:
        return (self.retain - time * self.pull) * loss.curvature(self.types @ weights)

    def weighted(self, weight: Array) -> Array:
        """``T' diag(weight) T``."""
        return (self.types.T * weight) @ self.types

    def at(self, time: Array) -> newton.Margins:
        return newton.Margins(self.types, self.retain - time * self.pull, self.ridge)


def upward(objective: Objective) -> Line:
    """From the oracle to ascent."""
    one = jnp.ones_like(objective.size_ratio)
    return Line(
        objective.types, objective.retain_weight, objective.forget_weight, objective.ridge, one, one
    )


def downward(objective: Objective):
    """From the oracle to pretraining, and the factor by which a strength ``-g`` was divided to give the time ``g / factor(g)``."""
    mean = objective.reduction == "mean"
    pull = objective.retain_weight - objective.forget_weight if mean else -objective.forget_weight
    return upward(objective)._replace(pull=pull), (lambda g: 1 + g) if mean else jnp.ones_like


class Metric(NamedTuple):
    """Length in the plane of weights and time: the root mean square change of the margins, retained and forgotten alike."""

    gram: Float[Array, "m m"]

    def dual(self, weights: Array, time: Array) -> tuple[Array, Array]:
        return self.gram @ weights, time

    def length(self, weights: Array, time: Array | float) -> Array:
        return jnp.sqrt(jnp.maximum(weights @ self.gram @ weights, 0) + time**2)

    def slack(self, weights: Array) -> Array:
        """How many times larger errors may be where margins are large: the loss is nearly straight there, or gone."""
        return 1 + self.length(weights, 0.0) / 10


# Anchors ---------------------------------------------------------------------------------------------------------------------


class Trace(NamedTuple):
    """Anchors on the path, the first ``anchors`` of each array: points, unit tangents, Hessians.

    ``next_step`` and ``crossing``, the longest step across a fold, are lengths.
    """

    anchors: Int[Array, ""]
    weights: Float[Array, "capacity m"]
    times: Float[Array, " capacity"]
    directions: Float[Array, "capacity m"]
    rates: Float[Array, " capacity"]
    hessians: Float[Array, "capacity m m"]
    next_step: Float[Array, ""]
    crossing: Float[Array, ""]
    status: Int[Array, ""]
    gram: Float[Array, "m m"]


def trace_of(loss: Loss, line: Line, start: Array, limit: Array) -> "tuple[Trace, Line, Fold]":
    """Anchors from time 0 to the fold, or until the strength ``limit`` is passed; the line in the units used; and the fold."""
    margins, unit = newton.scaled(line.at(jnp.zeros_like(limit)))
    line = line._replace(
        retain=margins.coefficients, pull=line.pull / unit, ridge=margins.ridge, unit=unit
    )
    share = [
        jnp.abs(weight) / jnp.where(jnp.any(weight != 0), jnp.sum(jnp.abs(weight)), 1)
        for weight in (line.retain, line.pull)
    ]
    gram = line.weighted(share[0] + share[1])
    hessian = line.hessian(loss, start, 0.0)
    velocity = -solve_linear(hessian, line.gradient(loss, start, jnp.zeros_like(limit))[1])
    size = jnp.max(jnp.abs(velocity))
    size = jnp.where(size > 0, size, 1)  # before squaring: it may be 1e240
    speed = size * Metric(gram).length(velocity / size, 0.0)
    # One unit of time moves the margins by about 1, whatever the ridge; with nothing to forget, it is all the way.
    unit_step = jnp.where(
        speed > 0, 1 / jnp.where(speed > 0, speed, 1), jnp.where(limit > 0, limit, 1)
    )
    line = line._replace(pull=line.pull * unit_step, step=unit_step)
    velocity = velocity * unit_step
    length = Metric(gram).length(velocity, 1.0)
    # With more than 128 weights their Hessians would fill the memory.
    capacity = ANCHORS if len(start) <= 128 else ANCHORS // 2
    shape = (capacity, *start.shape)
    empty = Trace(
        jnp.int32(1),
        jnp.zeros(shape, start.dtype).at[0].set(start),
        jnp.zeros(capacity, start.dtype),
        jnp.zeros(shape, start.dtype).at[0].set(velocity / length),
        jnp.zeros(capacity, start.dtype).at[0].set(1 / length),
        jnp.zeros((capacity, *gram.shape), start.dtype).at[0].set(hessian),
        jnp.asarray(0.1, start.dtype),
        jnp.asarray(0.6, start.dtype),
        jnp.where(
            limit > 0, RUNNING, jnp.where(jnp.all(jnp.isfinite(velocity)), REACHED, FAILED)
        ).astype(jnp.int32),
        gram,
    )
    step = functools.partial(_advance, loss, line, newton.Rough.of(line.types), limit / unit_step)

    def attempt(state):
        trace, _ = state
        # A fold that Newton's method did not close on from that far is crossed again by a shorter step.
        again = trace._replace(
            anchors=trace.anchors - 1, status=jnp.int32(RUNNING), crossing=trace.crossing / 4
        )
        again = again._replace(next_step=jnp.minimum(trace.next_step, again.crossing))
        trace = jax.tree.map(
            lambda retried, first: jnp.where(trace.status == FOLD, retried, first), again, trace
        )
        trace = jax.lax.while_loop(lambda trace: trace.status == RUNNING, step, trace)
        return trace, fold_of(loss, line, trace)

    def unfinished(state):
        trace, fold = state
        return (trace.status == RUNNING) | (
            (trace.status == FOLD) & ~fold.closed & (trace.crossing > 1e-3)
        )

    nowhere = Fold(start, jnp.zeros_like(limit), start, jnp.zeros_like(gram), jnp.bool_(False))
    trace, fold = jax.lax.while_loop(unfinished, attempt, (empty, nowhere))
    return with_end(trace, fold), line, fold


def nodes_at(trace: Trace, reference: Array, indices: Array, least: Array | float = 0.2):
    """Positions of anchors along the tangent at ``reference``, a parameter of the curve; which are usable; derivatives in it.

    Usable are those whose own tangent has a cosine above ``least`` with it.
    """
    metric = Metric(trace.gram)
    along, rate = metric.dual(trace.directions[reference], trace.rates[reference])
    safe = jnp.clip(indices, 0, trace.anchors - 1)
    positions = (trace.weights[safe] - trace.weights[reference]) @ along + (
        trace.times[safe] - trace.times[reference]
    ) * rate
    cosines = trace.directions[safe] @ along + trace.rates[safe] * rate
    valid = (indices >= 0) & (indices < trace.anchors) & (cosines > least)
    cosines = jnp.where(valid, cosines, 1)
    return (
        safe,
        positions,
        valid,
        trace.directions[safe] / cosines[:, None],
        trace.rates[safe] / cosines,
    )


def _lagrange(nodes: Array, valid: Array, at: Array) -> Array:
    """The basis polynomials of the valid nodes at one point; zero for the others."""
    gaps = nodes[:, None] - nodes
    used = valid[:, None] & valid & ~jnp.eye(len(nodes), dtype=bool)
    factors = jnp.where(used, (at - nodes) / jnp.where(used, gaps, 1), 1)
    return jnp.where(valid, jnp.prod(factors, 1), 0)


def hermite(nodes: Array, valid: Array, at: Array) -> tuple[Array, Array]:
    """What values and derivatives at the valid nodes contribute at one point: polynomial interpolation of both."""
    gaps = nodes[:, None] - nodes
    used = valid[:, None] & valid & ~jnp.eye(len(nodes), dtype=bool)
    slopes = jnp.sum(jnp.where(used, 1 / jnp.where(used, gaps, 1), 0), 1)
    squares = _lagrange(nodes, valid, at) ** 2
    return (1 - 2 * (at - nodes) * slopes) * squares, (at - nodes) * squares


def _advance(
    loss: Loss, line: Line, rough: newton.Rough | None, limit: Array, trace: Trace
) -> Trace:
    """One more anchor, or the same trace with a shorter step."""
    eps = float(jnp.finfo(trace.times.dtype).eps)
    metric, last, step = Metric(trace.gram), trace.anchors - 1, trace.next_step
    direction, rate = trace.directions[last], trace.rates[last]
    indices = last - jnp.arange(3)
    safe, nodes, valid, slopes, time_slopes = nodes_at(trace, last, indices)
    values, derivatives = hermite(nodes, valid, step)
    guess = values @ trace.weights[safe] + derivatives @ slopes
    time = values @ trace.times[safe] + derivatives @ time_slopes
    stale = jnp.tensordot(_lagrange(nodes, valid, step), trace.hessians[safe], 1)
    along = metric.dual(direction, rate)

    def bordered(hessian, force):
        top = jnp.concatenate([hessian, force[:, None]], 1)
        return jnp.concatenate([top, jnp.append(along[0], along[1])[None]], 0)

    # Anchors only guide: what is reported is corrected to rounding later.
    tolerance = jnp.maximum(1e-6, 100 * eps * (1 + metric.length(guess, time)))
    inverse = jax.scipy.linalg.lu_factor(bordered(stale, line.gradient(loss, guess, time)[1]))

    def correct(state):
        weights, time, size, _, first, turns = state
        slope, _ = line.gradient(loss, weights, time)
        off = (
            (weights - trace.weights[last]) @ along[0]
            + (time - trace.times[last]) * along[1]
            - step
        )
        change = jax.scipy.linalg.lu_solve(inverse, jnp.append(slope, off))
        new = metric.length(change[:-1], change[-1])
        return (
            weights - change[:-1],
            time - change[-1],
            new,
            new / size,
            jnp.where(turns == 0, new, first),
            turns + 1,
        )

    def unfinished(state):
        *_, size, contraction, _, turns = state
        return (size > tolerance) & (turns < 8) & ((contraction < 0.5) | (turns < 2))

    infinite = jnp.asarray(jnp.inf, time.dtype)
    point, time, size, contraction, first, _ = jax.lax.while_loop(
        unfinished, correct, (guess, time, infinite, jnp.zeros_like(time), infinite, jnp.int32(0))
    )
    # One full Newton step with the Hessian that is needed anyway takes the anchor to rounding.
    hessian = line.steering_hessian(loss, rough, point, time)
    slope, force = line.gradient(loss, point, time)
    ahead = jnp.zeros(len(point) + 1, time.dtype).at[-1].set(1)
    rest, tangent = jnp.linalg.solve(
        bordered(hessian, force), jnp.stack([jnp.append(slope, 0), ahead], 1)
    ).T
    point, time = point - rest[:-1], time - rest[-1]
    tangent = tangent / metric.length(tangent[:-1], tangent[-1])
    cosine = tangent[:-1] @ along[0] + tangent[-1] * along[1]
    definite = jnp.all(jnp.isfinite(newton.factor(hessian)[0]))
    forward = tangent[-1] > 0
    # Between two anchors that both move forward the strength must not turn back: a pair of folds could hide there.
    turning = _turns_back(time - trace.times[last], step, rate, tangent[-1] / cosine)
    good = (
        (size <= tolerance)
        & (cosine > 0.8)
        & (first < 0.5 * step)
        & jnp.where(forward, definite & ~turning, step < trace.crossing)
    )
    stuck = jnp.abs(time - trace.times[last]) <= 4 * eps * jnp.abs(time)
    # A good corrector contracts fivefold or more a turn.
    order = 2 * jnp.sum(valid)
    aim = PREDICTION * metric.slack(point)
    growth = jnp.minimum(
        (aim / (first + 1e-30)) ** (1 / order), (0.2 / (contraction + 1e-30)) ** (1 / 3)
    )
    growth = jnp.nan_to_num(growth, nan=0.3)
    status = jnp.where(
        ~forward, FOLD, jnp.where(time >= limit, REACHED, jnp.where(stuck, ESCAPED, RUNNING))
    )
    status = jnp.where(
        (status == RUNNING) & (trace.anchors == len(trace.times) - 1), FAILED, status
    )
    # Written in any case: what lies beyond the anchors is never read, and a choice between two traces would copy all Hessians.
    return trace._replace(
        anchors=trace.anchors + good,
        weights=trace.weights.at[last + 1].set(point),
        times=trace.times.at[last + 1].set(time),
        directions=trace.directions.at[last + 1].set(tangent[:-1]),
        rates=trace.rates.at[last + 1].set(tangent[-1]),
        hessians=trace.hessians.at[last + 1].set(hessian),
        next_step=step * jnp.clip(growth, jnp.where(good, 0.3, 0.2), jnp.where(good, 2.5, 0.6)),
        status=jnp.where(good, status, jnp.where(step > 1e-7, RUNNING, FAILED)).astype(jnp.int32),
    )


def _turns_back(rise: Array, step: Array, first: Array, last: Array) -> Array:
    """Whether the cubic with this rise over ``step`` and these end slopes (both positive) nearly stops or turns in between."""
    mean = rise / step
    # Its slope is first + b x + c x^2, x in [0, 1].
    b, c = 6 * mean - 4 * first - 2 * last, 3 * (first + last) - 6 * mean
    place = jnp.clip(-b / jnp.where(c > 0, 2 * c, 1), 0, 1)
    lowest = first + place * (b + c * place)
    return (c > 0) & (lowest < 0.1 * jnp.minimum(first, last))


# The fold --------------------------------------------------------------------------------------------------------------------


class Fold(NamedTuple):
    """A fold: the point, the null vector of its Hessian, and whether Newton's method closed on it."""

    weights: Float[Array, " m"]
    time: Float[Array, ""]
    null: Float[Array, " m"]
    hessian: Float[Array, "m m"]
    closed: Bool[Array, ""]


def fold_of(loss: Loss, line: Line, trace: Trace) -> Fold:
    """The fold between the last two anchors, to full precision, by Newton's method on the system of Moore and Spence."""
    eps = float(jnp.finfo(trace.times.dtype).eps)
    before, metric = jnp.maximum(trace.anchors - 2, 0), Metric(trace.gram)
    share = trace.rates[before] / jnp.where(
        trace.status == FOLD, trace.rates[before] - trace.rates[before + 1], 1
    )
    mix = lambda values: values[before] + share * (values[before + 1] - values[before])  # noqa: E731
    safe, nodes, valid, slopes, time_slopes = nodes_at(
        trace, before, before + jnp.array([1, 0, -1])
    )
    values, derivatives = hermite(nodes, valid, share * nodes[0])
    guess, time = (
        values @ trace.weights[safe] + derivatives @ slopes,
        values @ trace.times[safe] + derivatives @ time_slopes,
    )
    null = mix(trace.directions)
    dimension = len(guess)
    scale = trace.gram @ null
    scale = scale / jnp.where(scale @ null > 0, scale @ null, 1)

    def newton_step(state):
        weights, time, null, size, _, turns = state
        slope, force = line.gradient(loss, weights, time)
        margins, tilt = line.types @ weights, line.types @ null
        coefficients = line.retain - time * line.pull
        curvature, third = jax.jvp(loss.curvature, (margins,), (tilt,))
        hessian = line.weighted(coefficients * curvature) + jnp.diag(line.ridge)
        bent = line.weighted(coefficients * third)
        flatter = -(line.pull * curvature * tilt) @ line.types
        zero, column = jnp.zeros_like(hessian), jnp.zeros_like(null)
        matrix = jnp.block(
            [
                [hessian, zero, force[:, None]],
                [bent, hessian, flatter[:, None]],
                [column[None], scale[None], jnp.zeros((1, 1), time.dtype)],
            ]
        )
        residual = jnp.concatenate([slope, hessian @ null, (scale @ null - 1)[None]])
        change = jnp.linalg.solve(matrix, residual)
        new = metric.length(change[:dimension], change[-1]) + metric.length(
            change[dimension:-1], 0.0
        )
        return (
            weights - change[:dimension],
            time - change[-1],
            null - change[dimension:-1],
            new,
            size,
            turns + 1,
        )

    def unfinished(state):
        *_, size, before, turns = state
        return (
            (trace.status == FOLD)
            & (turns < 20)
            & (size > 4 * eps)
            & ((size < 0.5 * before) | (turns < 6))
        )

    infinite = jnp.asarray(jnp.inf, time.dtype)
    weights, time, null, size, _, _ = jax.lax.while_loop(
        unfinished, newton_step, (guess, time, null, infinite, infinite, jnp.int32(0))
    )
    width = metric.length(
        trace.weights[before + 1] - trace.weights[before],
        trace.times[before + 1] - trace.times[before],
    )
    near = metric.length(weights - guess, time - mix(trace.times)) <= width
    ahead = time >= trace.times[before] * (1 - 4 * eps)
    accurate = size <= jnp.sqrt(eps) * (1 + metric.length(weights, time))
    hessian = jax.lax.cond(
        trace.status == FOLD,
        lambda: line.hessian(loss, weights, time),
        lambda: jnp.zeros_like(trace.gram),
    )
    return Fold(weights, time, null, hessian, (trace.status == FOLD) & near & ahead & accurate)


def with_end(trace: Trace, fold: Fold) -> Trace:
    """The trace with the fold in the place of the anchor behind it; without that anchor and FAILED, if it did not close."""
    last = trace.anchors - 1
    length = Metric(trace.gram).length(fold.null, 0.0)
    ended = trace._replace(
        weights=trace.weights.at[last].set(fold.weights),
        times=trace.times.at[last].set(fold.time),
        directions=trace.directions.at[last].set(fold.null / jnp.where(length > 0, length, 1)),
        rates=trace.rates.at[last].set(0),
        hessians=trace.hessians.at[last].set(fold.hessian),
    )
    cut = trace._replace(anchors=last, status=jnp.int32(FAILED))
    done = trace.status == FOLD
    return jax.tree.map(
        lambda new, short, old: jnp.where(done, jnp.where(fold.closed, new, short), old),
        ended,
        cut,
        trace,
    )


# Between the anchors ---------------------------------------------------------------------------------------------------------


def _between(trace: Trace, times: Float[Array, " q"]):
    """Weights and Hessians at times between anchors, by interpolation; and whether the times are covered."""
    count = trace.anchors
    usable = jnp.arange(len(trace.times)) < count
    # The anchors' times increase up to the last one.
    place = jnp.clip(
        jnp.searchsorted(jnp.where(usable, trace.times, jnp.inf), times, side="right") - 1,
        0,
        jnp.maximum(count - 2, 0),
    )

    # Six anchors, the outer two only where the curve is nearly straight: next to a fold they would do harm.
    straight = jnp.array([0.9, 0.2, 0.2, 0.2, 0.2, 0.9])

    def one(index, time):
        safe, nodes, valid, slopes, time_slopes = nodes_at(
            trace, index, index + jnp.arange(-2, 4), straight
        )

        def late(position):
            values, derivatives = hermite(nodes, valid, position)
            return values @ trace.times[safe] + derivatives @ time_slopes - time

        position = crossing(late, jnp.where(valid[3], nodes[3], 0))
        values, derivatives = hermite(nodes, valid, position)
        return values @ trace.weights[safe] + derivatives @ slopes, jnp.tensordot(
            _lagrange(nodes, valid, position), trace.hessians[safe], 1
        )

    last = trace.times[count - 1]
    covered = (times <= last) & (trace.status != FAILED) | (times < last)
    return *jax.vmap(one)(place, times), covered


def crossing(function, end: Array) -> Array:
    """Where an increasing function, smooth and nearly straight, crosses zero in ``[0, end]``, to the last digits however near 0."""

    def beyond(point):
        return function(point) > 0

    low, high = roots.bisect(beyond, jnp.zeros_like(end), end, 20)

    def polish(_, point):
        value, slope = jax.jvp(function, (point,), (jnp.ones_like(point),))
        return jnp.clip(
            point - jnp.where(slope > 0, value / jnp.where(slope > 0, slope, 1), 0), low, high
        )

    # From 1e-6 of the end by squares, so that it is found next to 0 even at 1e-300.
    return jax.lax.fori_loop(0, 7, polish, (low + high) / 2)


def at_strengths(loss: Loss, line: Line, trace: Trace, times: Float[Array, " q"]):
    """The minima at the given times: weights, whether they exist, gradients (in the line's unit).

    Each time starts between the anchors, with the inverse of its interpolated Hessian, which is nearly the true one, and many of them
    are corrected at once: their gradients are two matrix products.
    """
    eps, count = float(jnp.finfo(times.dtype).eps), len(times)
    guesses, hessians, covered = _between(trace, times)
    factors, scales = jax.vmap(newton.factor)(hessians)
    # Inverted once: a triangular solve for each of many small matrices costs as much as their inverse.
    identity, sizes = jnp.eye(line.types.shape[-1], dtype=times.dtype), jnp.abs(line.types)
    whiten = jax.vmap(
        lambda factor: jax.scipy.linalg.solve_triangular(factor, identity, lower=True)
    )(factors)

    def first(weights, time):
        return _slope(loss, line, weights, time), line.at(time).pull_scale(
            loss, sizes, weights @ line.types.T, weights
        )

    blocks = -(-count // max(8, 2**19 // len(line.types)))  # their margins fit the caches
    size = -(-count // blocks)
    slopes, forces = in_blocks(jax.vmap(first), size, guesses, times)
    # Those that need the same number of turns together: a block turns until the last of it is done.
    order = jnp.argsort(_error(line, slopes, guesses, forces))
    rows = (guesses, times, slopes, forces, whiten, scales, covered)
    settled = in_blocks(
        jax.vmap(functools.partial(_settled, loss, line)),
        size,
        *jax.tree.map(lambda leaf: leaf[order], rows),
    )
    weights, slopes = jax.tree.map(lambda leaf: jnp.zeros_like(leaf).at[order].set(leaf), settled)
    # Next to a fold the interpolated Hessian may not be good enough.
    needed = covered & ~(_error(line, slopes, weights, forces) <= 16 * eps)
    weights, slopes = jax.lax.cond(
        jnp.any(needed),
        lambda: jax.lax.map(
            lambda row: _newton(loss, line, *row), (weights, slopes, times, forces, needed)
        ),
        lambda: (weights, slopes),
    )
    metric = Metric(trace.gram)
    near = jax.vmap(metric.length)(weights - guesses, jnp.zeros_like(times)) < 0.1 * jax.vmap(
        metric.slack
    )(weights)
    return weights, covered & near & (_error(line, slopes, weights, forces) <= 64 * eps), slopes


def _slope(loss: Loss, line: Line, weights: Array, time: Array) -> Array:
    """``line.gradient``'s first part, written so that of many weights it is two products of whole matrices."""
    return (
        line.ridge * weights
        - ((line.retain - time * line.pull) * loss.phi(weights @ line.types.T)) @ line.types
    )


def _error(line: Line, slope: Array, weights: Array, force: Array) -> Array:
    """The backward error of a gradient. ``force`` is the scale of its pulls, which hardly changes along a correction; that of the ridge
    may: a guess that is rounding itself, near a minimum nearer still to 0, would pass by its own size."""
    size = jnp.abs(line.ridge * weights) + force
    return jnp.max(jnp.abs(slope) / jnp.where(size > 0, size, 1), -1)


def _settled(
    loss: Loss, line: Line, weights, time, slope, force, whiten, scale, covered
) -> tuple[Array, Array]:
    """Broyden's method from ``weights``, until the gradient is rounding or no longer halved: the weights and their gradient."""
    eps = float(jnp.finfo(weights.dtype).eps)

    def correct(state):
        weights, slope, _, turns, history = state
        step = -whiten.T @ (whiten @ (scale * slope))
        step = jax.lax.fori_loop(
            0, turns - 1, lambda j, z: z + history[j + 1] * _share(history[j], z), step
        )
        step = jnp.where(turns > 0, step / (1 - _share(history[turns - 1], step)), step)
        proposal = weights + scale * step
        after = _slope(loss, line, proposal, time)
        now, before = _error(line, after, proposal, force), _error(line, slope, weights, force)
        still = (now < before / 2) & (now > 8 * eps)
        weights, slope = (
            jnp.where(now < before, new, old) for new, old in ((proposal, weights), (after, slope))
        )
        return weights, slope, still, turns + 1, history.at[turns].set(step)

    def unfinished(state):
        return state[2] & (state[3] < TURNS)

    open_ = covered & (_error(line, slope, weights, force) > 8 * eps)
    start = (weights, slope, open_, jnp.int32(0), jnp.zeros((TURNS, *weights.shape), weights.dtype))
    return jax.lax.while_loop(unfinished, correct, start)[:2]


def _newton(loss: Loss, line: Line, weights, slope, time, force, needed) -> tuple[Array, Array]:
    """Newton's steps with the true Hessian, where ``needed``, else what is given."""

    def step(_, state):
        weights, slope = state
        proposal = weights - solve_linear(line.hessian(loss, weights, time), slope)
        after = _slope(loss, line, proposal, time)
        better = _error(line, after, proposal, force) < _error(line, slope, weights, force)
        return jnp.where(better, proposal, weights), jnp.where(better, after, slope)

    return jax.lax.cond(
        needed, lambda: jax.lax.fori_loop(0, 8, step, (weights, slope)), lambda: (weights, slope)
    )


def _share(one: Float[Array, " m"], other: Float[Array, " m"]) -> Float[Array, ""]:
    """``<one, other>/<one, one>``; 0 for a row of zeros."""
    size = jnp.sum(one * one)
    return jnp.sum(one * other) / jnp.where(size > 0, size, 1)
