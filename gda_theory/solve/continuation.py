r"""Predictor and corrector along a line of objectives: from the oracle to the fold.

The curve of minima is a curve in the product space of weights and time, where time is the strength
in units of its own. Lengths are measured by changes of the margins, on which the loss acts. On this
curve a fold is an ordinary point (Keller's pseudo-arclength).

* Prediction: points *and* tangents of the last anchors, by Hermite interpolation of order 6.
  Hessians are extrapolated too, so that an anchor costs one Hessian and a few gradients.
* The step follows from how fast the corrector contracts (Deuflhard, *Newton Methods for Nonlinear
  Problems*, 2004).
* Between the anchors weights and Hessians are interpolated, and corrected together by matrix
  products.

:mod:`gda_theory.solve.path` holds the public functions.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from gda_theory.problem.losses import RowLoss
from gda_theory.problem.objective import (
    MarginObjective,
    Objective,
    Rough,
    steering_hessian,
)
from gda_theory.solve.newton import factor, inverse_factor
from gda_theory.solve.stages import INSIDE, Runner
from theory_common import checks
from theory_common.batching.blocks import in_blocks, summed
from theory_common.checks import Numbers
from theory_common.numerics import roots
from theory_common.numerics.implicit import solve_linear
from theory_common.numerics.matrices import one_by_one

# At most. A path to the fold takes 10 to 25, one with margins of hundreds over 100.
ANCHORS = 256
# With margins of thousands each row is a kink of its own, and there may be as many anchors as rows.
# They are held only where a problem that is solved alone needs them, in at most 64 MiB.
ANCHORS_ALONE = 2048
MOST_ENTRIES = 2**23
FEWEST_ANCHORS = 64  # 2 GB of Hessians for 2,000 weights
TURNS = 12  # of a correction between anchors, at most
DOUBTFUL = 1e-3  # a longer correction, in margins, may have left the minimum for a saddle
NEWTON_STEPS = 8  # at least, where that correction fails
MOST_NEWTON_STEPS = 40  # where the first ones did not reach the minimum
CORRECTIONS = 8  # of an anchor, at most
# The error of a predictor to aim at, in margins. A larger one means fewer anchors, and more
# corrections between them.
PREDICTION = 0.0005
FIRST_STEP = 0.1
LONGEST_CROSSING = 0.6
SHORTEST_CROSSING = 1e-3
RUNNING, FOLD, REACHED, FAILED, ESCAPED = range(5)


# Lines of objectives -------------------------------------------------------------------------


class Line(NamedTuple):
    """A line of objectives, ``ridge w^2/2 + sum_i (retain_i - time * forget_i) loss_i``.

    It is measured in ``unit``. ``step`` is the strength of one unit of time.
    """

    types: Any
    retain_weight: Float[Numbers, " k"]
    forget_weight: Float[Numbers, " k"]
    ridge: Float[Numbers, " m"]
    step: Float[Numbers, ""]
    unit: Float[Numbers, ""]

    def coefficients(self, time: ArrayLike) -> Float[Numbers, " k"]:
        """The signed weights of the losses."""
        return self.retain_weight - time * self.forget_weight

    def at(self, time: ArrayLike) -> MarginObjective:
        """The objective at one time."""
        return MarginObjective(
            types=self.types, coefficients=self.coefficients(time), ridge=self.ridge
        )

    def gradient(self, loss: RowLoss, weights: Numbers, time: ArrayLike) -> tuple[Numbers, Numbers]:
        """The gradient, and its derivative in time."""

        def of(types: Any, weight: Numbers, forget: Numbers) -> tuple[Numbers, Numbers]:
            scores = loss.scores(types, weights)
            return loss.slope(types, weight, scores), -loss.slope(types, forget, scores)

        slope, force = summed(of, self.types, self.coefficients(time), self.forget_weight)
        return self.ridge * weights + slope, force

    def bend(self, loss: RowLoss, weights: Numbers, time: ArrayLike) -> Numbers:
        """The second derivatives in the scores."""
        return loss.bend(self.coefficients(time), loss.scores(self.types, weights))

    def hessian(self, loss: RowLoss, weights: Numbers, time: ArrayLike) -> Float[Numbers, "m m"]:
        """The Hessian."""
        return loss.product(self.types, self.bend(loss, weights, time)) + jnp.diag(self.ridge)

    def local(
        self, loss: RowLoss, rough: Rough | None, weights: Numbers, time: ArrayLike
    ) -> tuple[Numbers, Numbers, Float[Numbers, "m m"]]:
        """The gradient, its derivative in time, and the Hessian for steps and tangents.

        The Hessian may be in float32, since corrections follow. All three share the scores.
        """
        scores = loss.scores(self.types, weights)
        weight = self.coefficients(time)

        def of(types: Any, scores: Numbers, weight: Numbers, forget: Numbers) -> Any:
            return loss.slope(types, weight, scores), -loss.slope(types, forget, scores)

        slope, force = summed(of, self.types, scores, weight, self.forget_weight)
        bend = loss.bend(weight, scores)
        hessian = steering_hessian(loss, self.types, rough, bend, self.ridge)
        return self.ridge * weights + slope, force, hessian

    def bounded_below(self, loss: RowLoss, time: ArrayLike) -> Bool[Numbers, ""]:
        """Whether the objective is bounded below along each unpenalised coordinate."""
        slopes = loss.recession_slopes(
            self.types, self.retain_weight, self.forget_weight, self.ridge, time
        )
        return jnp.all(slopes >= 0)


def upward(objective: Objective) -> Line:
    """From the oracle to ascent."""
    one = np.ones(objective.size_ratio.shape, objective.size_ratio.dtype)
    return Line(
        types=objective.types,
        retain_weight=objective.retain_weight,
        forget_weight=objective.forget_weight,
        ridge=objective.ridge,
        step=one,
        unit=one,
    )


def downward(objective: Objective) -> tuple[Line, np.ndarray]:
    """From the oracle to pretraining: the line, and the growth of the ridge.

    The growth is 1 for means and 0 for sums. The strength ``-g`` is the time
    ``g / (1 + growth * g)``, after division of the objective by ``1 + growth * g``.
    """
    mean = objective.reduction == "mean"
    forget = objective.forget_weight
    weight = objective.retain_weight - forget if mean else -forget
    growth = np.asarray(float(mean), objective.ridge.dtype)
    return upward(objective)._replace(forget_weight=weight), growth


class Metric(NamedTuple):
    """Length in the plane of weights and time.

    It is the root mean square change of the scores, retained and forgotten alike.
    """

    gram: Float[Numbers, "m m"]

    def dual(self, weights: Numbers, time: Numbers) -> "Dual":
        """The linear function that this vector defines."""
        return Dual(weights=self.gram @ weights, time=time)

    def length(self, weights: Numbers, time: ArrayLike) -> Float[Numbers, ""]:
        """The length of a vector."""
        return jnp.sqrt(jnp.maximum(weights @ self.gram @ weights, 0) + time**2)

    def slack(self, weights: Numbers) -> Float[Numbers, ""]:
        """How many times larger errors may be where margins are large.

        There the loss is nearly straight, or gone.
        """
        return 1 + self.length(weights, 0.0) / 10


class Dual(NamedTuple):
    """A linear function on the plane of weights and time."""

    weights: Float[Numbers, " m"]
    time: Float[Numbers, ""]

    def of(self, weights: Numbers, time: Numbers) -> Float[Numbers, "*batch"]:
        """Its value at a vector."""
        return weights @ self.weights + time * self.time


# Anchors -------------------------------------------------------------------------------------


class Trace(NamedTuple):
    """Anchors on the path, the first ``anchors`` of each array: points, unit tangents, Hessians.

    ``next_step`` and ``crossing``, the longest step across a fold, are lengths.
    """

    anchors: Int[Numbers, ""]
    weights: Float[Numbers, "capacity m"]
    times: Float[Numbers, " capacity"]
    directions: Float[Numbers, "capacity m"]
    rates: Float[Numbers, " capacity"]
    hessians: Float[Numbers, "capacity m m"]
    next_step: Float[Numbers, ""]
    crossing: Float[Numbers, ""]
    status: Int[Numbers, ""]
    gram: Float[Numbers, "m m"]

    def reach(self) -> Float[Numbers, ""]:
        """The time of the last anchor."""
        return self.times[self.anchors - 1]


OF_ANCHORS = ("weights", "times", "directions", "rates", "hessians")


class Course(NamedTuple):
    """What a trace follows: the line in the units used, and the time at which to stop."""

    line: Line
    rough: Rough | None
    limit: Float[Numbers, ""]


class Fold(NamedTuple):
    """A fold: the point, and the null vector of its Hessian.

    ``closed``: whether Newton's method converged to it.
    """

    weights: Float[Numbers, " m"]
    time: Float[Numbers, ""]
    null: Float[Numbers, " m"]
    hessian: Float[Numbers, "m m"]
    closed: Bool[Numbers, ""]


def trace_of(
    loss: RowLoss, line: Line, start: Numbers, limit: Numbers, run: Runner = INSIDE
) -> tuple[Trace, Line, Fold]:
    """Anchors from time 0 to the fold, or until the strength ``limit`` is passed.

    Returns: the anchors, the line in the units used, and the fold.
    """
    trace, course, fold = run.stage(begin)(loss, line, start, limit)
    advance_once = run.stage(advance, donate=2)
    end_attempt = run.stage(end, donate=2)

    def one_more(trace):
        return advance_once(loss, course, trace)

    def attempt(state):
        return end_attempt(loss, course, run.loop(running, one_more, state[0]))

    def followed(state):
        return run.loop(lambda state: running(state[0]), attempt, state)

    trace, fold = followed((trace, fold))
    if run is not INSIDE and _is_full(trace):
        trace, fold = followed((_longer(trace), fold))
    return trace, course.line, fold


def _is_full(trace: Trace) -> bool:
    """Whether a trace ended because no further anchor could be held."""
    return int(trace.status) == FAILED and int(trace.anchors) == len(trace.times)


def _longer(trace: Trace) -> Trace:
    """The same trace, with place for more anchors, and running again if more can be held."""
    held = len(trace.times)
    capacity = max(min(ANCHORS_ALONE, MOST_ENTRIES // trace.weights.shape[1] ** 2), held)

    def padded(values):
        return jnp.pad(values, [(0, capacity - held)] + [(0, 0)] * (values.ndim - 1))

    status = RUNNING if capacity > held else FAILED
    wider = {name: padded(getattr(trace, name)) for name in OF_ANCHORS}
    return trace._replace(**wider, status=jnp.int32(status))


def running(trace: Trace) -> Bool[Numbers, ""]:
    """Whether the end is still to be found."""
    status = trace.status if checks.is_traced(trace.status) else np.asarray(trace.status)
    return status == RUNNING


def begin(loss: RowLoss, line: Line, start: Numbers, limit: Numbers) -> tuple[Trace, Course, Fold]:
    """The first anchor, at time 0, what to follow from there, and the place of a fold."""
    margins, unit = line.at(jnp.zeros_like(limit)).scaled(loss)
    line = line._replace(
        retain_weight=margins.coefficients,
        forget_weight=line.forget_weight / unit,
        ridge=margins.ridge,
        unit=unit,
    )
    gram = loss.gram(line.types, _share_of(line.retain_weight) + _share_of(line.forget_weight))
    metric = Metric(gram)
    hessian = line.hessian(loss, start, 0.0)
    _, force = line.gradient(loss, start, jnp.zeros_like(limit))
    velocity = -solve_linear(hessian, force)
    size = jnp.max(jnp.abs(velocity))
    size = jnp.where(size > 0, size, 1)  # before squaring: it may be 1e240
    speed = size * metric.length(velocity / size, 0.0)
    # One unit of time moves the margins by about 1, whatever the ridge. With nothing to forget, it
    # is the whole way.
    whole_way = jnp.where(limit > 0, limit, 1)
    step = jnp.where(speed > 0, 1 / jnp.where(speed > 0, speed, 1), whole_way)
    line = line._replace(forget_weight=line.forget_weight * step, step=step)
    velocity = velocity * step
    length = metric.length(velocity, 1.0)
    ended = jnp.where(jnp.all(jnp.isfinite(velocity)), REACHED, FAILED)
    capacity = _capacity(len(start))

    def first_of(value):
        return jnp.zeros((capacity, *value.shape), start.dtype).at[0].set(value)

    trace = Trace(
        anchors=jnp.int32(1),
        weights=first_of(start),
        times=first_of(jnp.zeros_like(limit)),
        directions=first_of(velocity / length),
        rates=first_of(1 / length),
        hessians=first_of(hessian),
        next_step=jnp.asarray(FIRST_STEP, start.dtype),
        crossing=jnp.asarray(LONGEST_CROSSING, start.dtype),
        status=jnp.where(limit > 0, RUNNING, ended).astype(jnp.int32),
        gram=gram,
    )
    nowhere = Fold(
        weights=start,
        time=jnp.zeros_like(limit),
        null=start,
        hessian=jnp.zeros_like(gram),
        closed=jnp.bool_(False),
    )
    return trace, Course(line=line, rough=Rough.of(line.types), limit=limit / step), nowhere


def _capacity(dimension: int) -> int:
    """The number of anchors to hold: fewer where their Hessians would fill the memory."""
    if dimension <= 128:
        return ANCHORS
    return min(ANCHORS // 2, max(FEWEST_ANCHORS, 2**28 // dimension**2))


def _share_of(weight: Numbers) -> Numbers:
    """The sizes of weights over their sum; zeros where all are 0."""
    return jnp.abs(weight) / jnp.where(jnp.any(weight != 0), jnp.sum(jnp.abs(weight)), 1)


class Nodes(NamedTuple):
    """Anchors around a reference, as nodes of an interpolation along the tangent there."""

    weights: Float[Numbers, "n m"]
    times: Float[Numbers, " n"]
    hessians: Float[Numbers, "n m m"] | None
    positions: Float[Numbers, " n"]
    valid: Bool[Numbers, " n"]
    slopes: Float[Numbers, "n m"]  # of the weights, in the position
    time_slopes: Float[Numbers, " n"]

    def weights_at(self, position: Numbers) -> Float[Numbers, " m"]:
        """Weights, by Hermite interpolation."""
        values, derivatives = hermite(self.positions, self.valid, position)
        return values @ self.weights + derivatives @ self.slopes

    def time_at(self, position: Numbers) -> Float[Numbers, ""]:
        """Time, by Hermite interpolation."""
        values, derivatives = hermite(self.positions, self.valid, position)
        return values @ self.times + derivatives @ self.time_slopes

    def hessian_at(self, position: Numbers) -> Float[Numbers, "m m"]:
        """The Hessian, by Lagrange interpolation. ``ValueError`` if the nodes have none."""
        if self.hessians is None:
            raise ValueError("these nodes carry no Hessians")
        return jnp.tensordot(_lagrange(self.positions, self.valid, position), self.hessians, 1)


def nodes_at(trace: Trace, reference: Numbers, indices: Numbers, least: ArrayLike = 0.2) -> Nodes:
    """The anchors of these indices, placed along the tangent at ``reference``.

    A node is valid if its own tangent has a cosine above ``least`` with that tangent.
    """
    metric = Metric(trace.gram)
    along = metric.dual(trace.directions[reference], trace.rates[reference])
    safe = jnp.clip(indices, 0, trace.anchors - 1)
    weights = trace.weights[safe]
    times = trace.times[safe]
    cosines = along.of(trace.directions[safe], trace.rates[safe])
    valid = (indices >= 0) & (indices < trace.anchors) & (cosines > least)
    cosines = jnp.where(valid, cosines, 1)
    return Nodes(
        weights=weights,
        times=times,
        hessians=trace.hessians[safe],
        positions=along.of(weights - trace.weights[reference], times - trace.times[reference]),
        valid=valid,
        slopes=trace.directions[safe] / cosines[:, None],
        time_slopes=trace.rates[safe] / cosines,
    )


def _lagrange(nodes: Numbers, valid: Numbers, at: Numbers) -> Numbers:
    """The basis polynomials of the valid nodes at one point; zero for the others."""
    gaps = nodes[:, None] - nodes
    used = valid[:, None] & valid & ~jnp.eye(len(nodes), dtype=bool)
    factors = jnp.where(used, (at - nodes) / jnp.where(used, gaps, 1), 1)
    return jnp.where(valid, jnp.prod(factors, 1), 0)


def hermite(nodes: Numbers, valid: Numbers, at: Numbers) -> tuple[Numbers, Numbers]:
    """Polynomial interpolation of values and derivatives at the valid nodes.

    Returns: what each value and each derivative contributes at one point.
    """
    gaps = nodes[:, None] - nodes
    used = valid[:, None] & valid & ~jnp.eye(len(nodes), dtype=bool)
    slopes = jnp.sum(jnp.where(used, 1 / jnp.where(used, gaps, 1), 0), 1)
    squares = _lagrange(nodes, valid, at) ** 2
    return (1 - 2 * (at - nodes) * slopes) * squares, (at - nodes) * squares


# One more anchor -----------------------------------------------------------------------------


class Prediction(NamedTuple):
    """Where the next anchor should be, ``step`` along the tangent of the last one."""

    weights: Float[Numbers, " m"]
    time: Float[Numbers, ""]
    hessian: Float[Numbers, "m m"]  # extrapolated
    step: Float[Numbers, ""]
    along: Dual
    order: Int[Numbers, ""]


class Correction(NamedTuple):
    """A point on its way to the curve, and how the last correction compares with that before."""

    weights: Float[Numbers, " m"]
    time: Float[Numbers, ""]
    size: Float[Numbers, ""]
    contraction: Float[Numbers, ""]
    first: Float[Numbers, ""]  # the size of the first correction: the error of the prediction
    turns: Int[Numbers, ""]


class Anchor(NamedTuple):
    """A point on the curve, with its unit tangent and Hessian; ``cosine`` to the last tangent."""

    weights: Float[Numbers, " m"]
    time: Float[Numbers, ""]
    direction: Float[Numbers, " m"]
    rate: Float[Numbers, ""]
    hessian: Float[Numbers, "m m"]
    cosine: Float[Numbers, ""]


def advance(loss: RowLoss, course: Course, trace: Trace) -> Trace:
    """One more anchor, or the same trace with a shorter step."""
    prediction = predict(trace)
    tolerance = _tolerance(trace, prediction)
    correction = correct(loss, course, trace, prediction, tolerance)
    anchor = refine(loss, course, trace, prediction, correction)
    good = judge(trace, prediction, correction, anchor, tolerance)
    return extended(course, trace, prediction, correction, anchor, good)


def predict(trace: Trace) -> Prediction:
    """Extrapolate from the last three anchors."""
    last = trace.anchors - 1
    step = trace.next_step
    nodes = nodes_at(trace, last, last - jnp.arange(3))
    return Prediction(
        weights=nodes.weights_at(step),
        time=nodes.time_at(step),
        hessian=nodes.hessian_at(step),
        step=step,
        along=Metric(trace.gram).dual(trace.directions[last], trace.rates[last]),
        order=2 * jnp.sum(nodes.valid),
    )


def _tolerance(trace: Trace, prediction: Prediction) -> Float[Numbers, ""]:
    """The largest last correction of an anchor, before one full Newton step.

    That step squares the error. Anchors only guide: what is reported is corrected to rounding.
    """
    eps = float(jnp.finfo(trace.times.dtype).eps)
    length = Metric(trace.gram).length(prediction.weights, prediction.time)
    return jnp.maximum(1e-6, 100 * eps * (1 + length))


def _bordered(hessian: Numbers, force: Numbers, along: Dual) -> Float[Numbers, "border border"]:
    """The matrix of a Newton step on the curve, at a fixed position along the tangent."""
    top = jnp.concatenate([hessian, force[:, None]], 1)
    return jnp.concatenate([top, jnp.append(along.weights, along.time)[None]], 0)


def correct(
    loss: RowLoss, course: Course, trace: Trace, prediction: Prediction, tolerance: Numbers
) -> Correction:
    """Chord steps from the prediction, with its extrapolated Hessian."""
    line = course.line
    last = trace.anchors - 1
    metric = Metric(trace.gram)
    along = prediction.along
    slope, force = line.gradient(loss, prediction.weights, prediction.time)
    inverse = jax.scipy.linalg.lu_factor(_bordered(prediction.hessian, force, along))

    def stepped(state, slope):
        position = along.of(state.weights - trace.weights[last], state.time - trace.times[last])
        off = position - prediction.step
        change = jax.scipy.linalg.lu_solve(inverse, jnp.append(slope, off))
        size = metric.length(change[:-1], change[-1])
        return Correction(
            weights=state.weights - change[:-1],
            time=state.time - change[-1],
            size=size,
            contraction=size / state.size,
            first=jnp.where(state.turns == 0, size, state.first),
            turns=state.turns + 1,
        )

    def turn(state):
        return stepped(state, line.at(state.time).gradient(loss, state.weights))

    def unfinished(state):
        hopeful = (state.contraction < 0.5) | (state.turns < 2)
        return (state.size > tolerance) & (state.turns < CORRECTIONS) & hopeful

    infinite = jnp.asarray(jnp.inf, trace.times.dtype)
    start = Correction(
        weights=prediction.weights,
        time=prediction.time,
        size=infinite,
        contraction=jnp.zeros_like(infinite),
        first=infinite,
        turns=jnp.int32(0),
    )
    return jax.lax.while_loop(unfinished, turn, stepped(start, slope))


def refine(
    loss: RowLoss, course: Course, trace: Trace, prediction: Prediction, correction: Correction
) -> Anchor:
    """One full Newton step and the tangent, with the Hessian that an anchor keeps anyway."""
    line = course.line
    along = prediction.along
    weights, time = correction.weights, correction.time
    slope, force, hessian = line.local(loss, course.rough, weights, time)
    ahead = jnp.zeros(len(weights) + 1, time.dtype).at[-1].set(1)
    right = jnp.stack([jnp.append(slope, 0), ahead], 1)
    rest, tangent = jnp.linalg.solve(_bordered(hessian, force, along), right).T
    tangent = tangent / Metric(trace.gram).length(tangent[:-1], tangent[-1])
    return Anchor(
        weights=weights - rest[:-1],
        time=time - rest[-1],
        direction=tangent[:-1],
        rate=tangent[-1],
        hessian=hessian,
        cosine=along.of(tangent[:-1], tangent[-1]),
    )


def judge(
    trace: Trace,
    prediction: Prediction,
    correction: Correction,
    anchor: Anchor,
    tolerance: Numbers,
) -> Bool[Numbers, ""]:
    """Whether the anchor lies on the same curve, near enough for the next prediction."""
    last = trace.anchors - 1
    step = prediction.step
    definite = jnp.all(jnp.isfinite(factor(anchor.hessian)[0]))
    # Between two anchors that both move forward the strength must not turn back: a pair of folds
    # could hide there.
    rise = anchor.time - trace.times[last]
    turning = _turns_back(rise, step, trace.rates[last], anchor.rate / anchor.cosine)
    forward = anchor.rate > 0
    return (
        (correction.size <= tolerance)
        & (anchor.cosine > 0.8)
        & (correction.first < 0.5 * step)
        & jnp.where(forward, definite & ~turning, step < trace.crossing)
    )


def extended(
    course: Course,
    trace: Trace,
    prediction: Prediction,
    correction: Correction,
    anchor: Anchor,
    good: Numbers,
) -> Trace:
    """The trace with the anchor, if it is good, and with the next step."""
    last = trace.anchors - 1
    step = prediction.step
    status = jnp.where(step > 1e-7, RUNNING, FAILED)
    growth = _growth(trace, prediction, correction, anchor)
    shortest = jnp.where(good, 0.3, 0.2)
    longest = jnp.where(good, 2.5, 0.6)
    # Written in any case: what lies beyond the anchors is never read, and a choice between two
    # traces would copy all Hessians.
    return trace._replace(
        anchors=trace.anchors + good,
        weights=trace.weights.at[last + 1].set(anchor.weights),
        times=trace.times.at[last + 1].set(anchor.time),
        directions=trace.directions.at[last + 1].set(anchor.direction),
        rates=trace.rates.at[last + 1].set(anchor.rate),
        hessians=trace.hessians.at[last + 1].set(anchor.hessian),
        next_step=step * jnp.clip(growth, shortest, longest),
        status=jnp.where(good, _status(course, trace, anchor), status).astype(jnp.int32),
    )


def _growth(
    trace: Trace, prediction: Prediction, correction: Correction, anchor: Anchor
) -> Float[Numbers, ""]:
    """The factor of the next step; a good corrector contracts fivefold or more a turn."""
    aim = PREDICTION * Metric(trace.gram).slack(anchor.weights)
    by_prediction = (aim / (correction.first + 1e-30)) ** (1 / prediction.order)
    by_contraction = (0.2 / (correction.contraction + 1e-30)) ** (1 / 3)
    return jnp.nan_to_num(jnp.minimum(by_prediction, by_contraction), nan=0.3)


def _status(course: Course, trace: Trace, anchor: Anchor) -> Int[Numbers, ""]:
    """Where a trace stands that ends with this anchor."""
    eps = float(jnp.finfo(trace.times.dtype).eps)
    rise = anchor.time - trace.times[trace.anchors - 1]
    stuck = jnp.abs(rise) <= 4 * eps * jnp.abs(anchor.time)
    full = trace.anchors == len(trace.times) - 1
    onward = jnp.where(stuck, ESCAPED, jnp.where(full, FAILED, RUNNING))
    forward = jnp.where(anchor.time >= course.limit, REACHED, onward)
    return jnp.where(anchor.rate > 0, forward, FOLD)


def _turns_back(rise: Numbers, step: Numbers, first: Numbers, last: Numbers) -> Numbers:
    """Whether a cubic nearly stops or turns between two points.

    It has this rise over ``step`` and these end slopes, both positive.
    """
    mean = rise / step
    # Its slope is first + b x + c x^2, x in [0, 1].
    b = 6 * mean - 4 * first - 2 * last
    c = 3 * (first + last) - 6 * mean
    place = jnp.clip(-b / jnp.where(c > 0, 2 * c, 1), 0, 1)
    lowest = first + place * (b + c * place)
    return (c > 0) & (lowest < 0.1 * jnp.minimum(first, last))


# The end -------------------------------------------------------------------------------------


def end(loss: RowLoss, course: Course, trace: Trace) -> tuple[Trace, Fold]:
    """Close on the fold that was met, or go back and cross it by a shorter step.

    A closed fold takes the place of the anchor behind it. Where Newton's method does not close on
    it, that anchor goes: the fold is crossed again by a shorter step, down to a shortest one.
    """
    fold = fold_of(loss, course, trace)
    last = trace.anchors - 1
    missed = (trace.status == FOLD) & ~fold.closed
    again = missed & (trace.crossing > SHORTEST_CROSSING)
    crossing = jnp.where(again, trace.crossing / 4, trace.crossing)
    length = Metric(trace.gram).length(fold.null, 0.0)
    direction = fold.null / jnp.where(length > 0, length, 1)

    def with_fold(values, value):
        return values.at[last].set(jnp.where(fold.closed, value, values[last]))

    status = jnp.where(again, RUNNING, jnp.where(missed, FAILED, trace.status))
    trace = trace._replace(
        anchors=jnp.where(missed, last, trace.anchors),
        weights=with_fold(trace.weights, fold.weights),
        times=with_fold(trace.times, fold.time),
        directions=with_fold(trace.directions, direction),
        rates=with_fold(trace.rates, 0.0),
        hessians=with_fold(trace.hessians, fold.hessian),
        next_step=jnp.where(again, jnp.minimum(trace.next_step, crossing), trace.next_step),
        crossing=crossing,
    )
    escaped = (status == FAILED) & _ends_boundedness(loss, course.line, trace.reach())
    status = jnp.where(escaped, ESCAPED, status)
    return trace._replace(status=status.astype(jnp.int32)), fold


def _ends_boundedness(loss: RowLoss, line: Line, time: Numbers) -> Bool[Numbers, ""]:
    """Whether the objective ceases to be bounded below at this time.

    A path that gets no further has run to infinity.
    """
    width = float(jnp.finfo(time.dtype).eps) ** 0.5
    within = line.bounded_below(loss, time * (1 - width))
    return within & ~line.bounded_below(loss, time * (1 + width))


class _Approach(NamedTuple):
    """Newton's method on its way to a fold; ``size`` of the last step, and of the one before."""

    weights: Numbers
    time: Numbers
    null: Numbers
    size: Numbers
    before: Numbers
    turns: Numbers


def fold_of(loss: RowLoss, course: Course, trace: Trace) -> Fold:
    """The fold between the last two anchors, to full precision.

    It is found by Newton's method on the system of Moore and Spence.
    """
    line = course.line
    eps = float(jnp.finfo(trace.times.dtype).eps)
    met = trace.status == FOLD
    before = jnp.maximum(trace.anchors - 2, 0)
    metric = Metric(trace.gram)
    fall = jnp.where(met, trace.rates[before] - trace.rates[before + 1], 1)
    share = trace.rates[before] / fall

    def mix(values):
        return values[before] + share * (values[before + 1] - values[before])

    nodes = nodes_at(trace, before, before + jnp.array([1, 0, -1]))
    position = share * nodes.positions[0]
    infinite = jnp.asarray(jnp.inf, trace.times.dtype)
    guess = _Approach(
        weights=nodes.weights_at(position),
        time=nodes.time_at(position),
        null=mix(trace.directions),
        size=infinite,
        before=infinite,
        turns=jnp.int32(0),
    )
    scale = trace.gram @ guess.null
    scale = scale / jnp.where(scale @ guess.null > 0, scale @ guess.null, 1)

    def unfinished(state):
        # The first steps may grow. Below sqrt(eps) a step that is not halved is rounding.
        early = (state.turns < 6) & (state.size > eps**0.5)
        hopeful = (state.size < 0.5 * state.before) | early
        return met & (state.turns < 20) & (state.size > 4 * eps) & hopeful

    def turn(state):
        return _towards_fold(loss, course, metric, scale, state)

    found = jax.lax.while_loop(unfinished, turn, guess)
    width = metric.length(
        trace.weights[before + 1] - trace.weights[before],
        trace.times[before + 1] - trace.times[before],
    )
    moved = metric.length(found.weights - guess.weights, found.time - mix(trace.times))
    ahead = found.time >= trace.times[before] * (1 - 4 * eps)
    accurate = found.size <= jnp.sqrt(eps) * (1 + metric.length(found.weights, found.time))
    hessian = jax.lax.cond(
        met,
        lambda: line.hessian(loss, found.weights, found.time),
        lambda: jnp.zeros_like(trace.gram),
    )
    return Fold(
        weights=found.weights,
        time=found.time,
        null=found.null,
        hessian=hessian,
        closed=met & (moved <= width) & ahead & accurate,
    )


def _towards_fold(
    loss: RowLoss, course: Course, metric: Metric, scale: Numbers, state: _Approach
) -> _Approach:
    """One step of Newton's method for ``gradient = 0``, ``H null = 0``, ``scale . null = 1``.

    The residual is in full precision. The two matrices decide the steps and not where they end,
    so they may be in float32.
    """
    line = course.line
    weights, time, null = state.weights, state.time, state.null
    dimension = len(weights)
    slope, force = line.gradient(loss, weights, time)
    scores = loss.scores(line.types, weights)
    tilt = loss.scores(line.types, null)

    def bend(scores):
        return loss.bend(line.coefficients(time), scores)

    def slopes(scores):
        retained = loss.slope(line.types, line.coefficients(time), scores)
        return retained, -loss.slope(line.types, line.forget_weight, scores)

    curvature, third = jax.jvp(bend, (scores,), (tilt,))
    ridge = jnp.diag(line.ridge)
    hessian = steering_hessian(loss, line.types, course.rough, curvature, line.ridge)
    bent = steering_hessian(loss, line.types, course.rough, third, line.ridge) - ridge
    along_null, flatter = jax.jvp(slopes, (scores,), (tilt,))[1]
    zero = jnp.zeros_like(hessian)
    column = jnp.zeros_like(null)
    matrix = jnp.block(
        [
            [hessian, zero, force[:, None]],
            [bent, hessian, flatter[:, None]],
            [column[None], scale[None], jnp.zeros((1, 1), time.dtype)],
        ]
    )
    residual = jnp.concatenate([slope, line.ridge * null + along_null, (scale @ null - 1)[None]])
    change = jnp.linalg.solve(matrix, residual)
    shift = change[:dimension]
    turn = change[dimension:-1]
    later = change[-1]
    return _Approach(
        weights=weights - shift,
        time=time - later,
        null=null - turn,
        size=metric.length(shift, later) + metric.length(turn, 0.0),
        before=state.size,
        turns=state.turns + 1,
    )


# Between the anchors -------------------------------------------------------------------------


class Guesses(NamedTuple):
    """Interpolated weights and Hessians, and whether the anchors cover their times."""

    weights: Float[Numbers, "q m"]
    hessians: Float[Numbers, "q m m"]
    covered: Bool[Numbers, " q"]


def _between(trace: Trace, times: Float[Numbers, " q"]) -> Guesses:
    """Interpolate between the anchors."""
    count = trace.anchors
    usable = jnp.arange(len(trace.times)) < count
    # The anchors' times increase up to the last one.
    known = jnp.where(usable, trace.times, jnp.inf)
    place = jnp.searchsorted(known, times, side="right") - 1
    place = jnp.clip(place, 0, jnp.maximum(count - 2, 0))
    # Six anchors, the outer two only where the curve is nearly straight: next to a fold they would
    # do harm.
    straight = jnp.array([0.9, 0.2, 0.2, 0.2, 0.2, 0.9])

    def one(index, time):
        nodes = nodes_at(trace, index, index + jnp.arange(-2, 4), straight)

        def late(position):
            return nodes.time_at(position) - time

        position = crossing(late, jnp.where(nodes.valid[3], nodes.positions[3], 0))
        return nodes.weights_at(position), nodes.hessian_at(position)

    last = trace.reach()
    covered = (times <= last) & (trace.status != FAILED) | (times < last)
    weights, hessians = jax.vmap(one)(place, times)
    return Guesses(weights=weights, hessians=hessians, covered=covered)


def crossing(function: Callable[[Array], Numbers], end: Numbers) -> Float[Numbers, ""]:
    """Where an increasing function, nearly straight, crosses zero in ``[0, end]``.

    The crossing is found to the last digits, however near 0 it is.
    """

    def beyond(point):
        return function(point) > 0

    low, high = roots.bisect(beyond, jnp.zeros_like(end), end, 20)

    def polish(_, point):
        value, slope = jax.jvp(function, (point,), (jnp.ones_like(point),))
        step = jnp.where(slope > 0, value / jnp.where(slope > 0, slope, 1), 0)
        return jnp.clip(point - step, low, high)

    # From 1e-6 of the end by squares, so that it is found next to 0 even at 1e-300.
    return jax.lax.fori_loop(0, 7, polish, (low + high) / 2)


class Minima(NamedTuple):
    """The minima at some strengths, whether they exist, and their gradients."""

    weights: Float[Numbers, "q m"]
    exist: Bool[Numbers, " q"]
    gradients: Float[Numbers, "q m"]


class _Point(NamedTuple):
    """A guess at one time; ``force`` is the scale of the gradient of the losses.

    ``whiten`` is the inverse of the Cholesky factor of the Hessian, scaled by ``scale``.
    """

    weights: Numbers
    time: Numbers
    gradient: Numbers
    force: Numbers
    whiten: Numbers
    scale: Numbers
    covered: Numbers


def at_times(loss: RowLoss, line: Line, trace: Trace, times: Float[Numbers, " q"]) -> Minima:
    """The minima at the given times; gradients in the line's unit.

    Each time starts between the anchors, with the inverse of its interpolated Hessian, which is
    nearly the true one. Many of them are corrected at once: their gradients are two matrix
    products.
    """
    eps = float(jnp.finfo(times.dtype).eps)
    count = len(times)
    guesses = _between(trace, times)
    sizes = loss.sizes(line.types)
    # Inverted once: a triangular solve for each of many small matrices costs as much as their
    # inverse.
    whiten, scales = one_by_one(inverse_factor, guesses.hessians)

    def first(weights, time):
        scores = loss.scores(line.types, weights)
        force = loss.scale(sizes, line.coefficients(time), scores, weights)
        return line.at(time).gradient(loss, weights), force

    rows = len(line.retain_weight)
    blocks = -(-count // max(8, 2**19 // rows))  # their scores fit the caches
    block = -(-count // blocks)
    slopes, forces = in_blocks(jax.vmap(first), block, guesses.weights, times)
    points = _Point(
        weights=guesses.weights,
        time=times,
        gradient=slopes,
        force=forces,
        whiten=whiten,
        scale=scales,
        covered=guesses.covered,
    )
    # Those that need the same number of turns together: a block turns until its last one is done.
    order = jnp.argsort(_error(line, slopes, guesses.weights, forces))
    settled = in_blocks(
        jax.vmap(functools.partial(_settled, loss, line)),
        block,
        jax.tree.map(lambda leaf: leaf[order], points),
    )
    weights, slopes = jax.tree.map(lambda leaf: jnp.zeros_like(leaf).at[order].set(leaf), settled)
    # Next to a fold the interpolated Hessian may not be good enough.
    needed = guesses.covered & ~(_error(line, slopes, weights, forces) <= 16 * eps)
    weights, slopes = jax.lax.cond(
        jnp.any(needed),
        lambda: jax.lax.map(
            lambda row: _newton(loss, line, *row), (weights, slopes, times, forces, needed)
        ),
        lambda: (weights, slopes),
    )
    metric = Metric(trace.gram)
    moved = jax.vmap(metric.length)(weights - guesses.weights, jnp.zeros_like(times))
    slack = jax.vmap(metric.slack)(weights)
    near = moved < 0.1 * slack
    exact = _error(line, slopes, weights, forces) <= 64 * eps
    found = guesses.covered & near & exact
    # A correction that is not small may end in the saddle on the other side of the fold.
    doubtful = found & (moved > DOUBTFUL * slack)
    exist = found & jax.lax.map(
        lambda row: jax.lax.cond(
            row[0], lambda: _is_definite(loss, line, *row[1:]), lambda: jnp.bool_(True)
        ),
        (doubtful, weights, times),
    )
    return Minima(weights=weights, exist=exist, gradients=slopes)


def _is_definite(loss: RowLoss, line: Line, weights: Numbers, time: Numbers) -> Bool[Numbers, ""]:
    """Whether the Hessian is positive definite."""
    return jnp.all(jnp.isfinite(factor(line.hessian(loss, weights, time))[0]))


def _error(line: Line, slope: Numbers, weights: Numbers, force: Numbers) -> Numbers:
    """Largest ``abs(gradient) / (abs(ridge * w) + force)``.

    ``force`` is held fixed during a correction. The ridge term is recomputed: held fixed, it would
    accept a start that is pure rounding when the minimum is closer to 0.
    """
    size = jnp.abs(line.ridge * weights) + force
    return jnp.max(jnp.abs(slope) / jnp.where(size > 0, size, 1), -1)


class _Broyden(NamedTuple):
    weights: Numbers
    slope: Numbers
    going: Numbers
    turns: Numbers
    history: Numbers


def _settled(loss: RowLoss, line: Line, point: _Point) -> tuple[Numbers, Numbers]:
    """Broyden's method, until the gradient is rounding or no longer halved.

    Returns: the weights and their gradient.
    """
    eps = float(jnp.finfo(point.weights.dtype).eps)

    def correct(state):
        turns, history = state.turns, state.history
        step = -point.whiten.T @ (point.whiten @ (point.scale * state.slope))

        def updated(j, step):
            return step + history[j + 1] * _share(history[j], step)

        step = jax.lax.fori_loop(0, turns - 1, updated, step)
        step = jnp.where(turns > 0, step / (1 - _share(history[turns - 1], step)), step)
        proposal = state.weights + point.scale * step
        after = line.at(point.time).gradient(loss, proposal)
        now = _error(line, after, proposal, point.force)
        before = _error(line, state.slope, state.weights, point.force)
        return _Broyden(
            weights=jnp.where(now < before, proposal, state.weights),
            slope=jnp.where(now < before, after, state.slope),
            going=(now < before / 2) & (now > 8 * eps),
            turns=turns + 1,
            history=history.at[turns].set(step),
        )

    def unfinished(state):
        return state.going & (state.turns < TURNS)

    error = _error(line, point.gradient, point.weights, point.force)
    start = _Broyden(
        weights=point.weights,
        slope=point.gradient,
        going=point.covered & (error > 8 * eps),
        turns=jnp.int32(0),
        history=jnp.zeros((TURNS, *point.weights.shape), point.weights.dtype),
    )
    last = jax.lax.while_loop(unfinished, correct, start)
    return last.weights, last.slope


def _newton(
    loss: RowLoss,
    line: Line,
    weights: Numbers,
    slope: Numbers,
    time: Numbers,
    force: Numbers,
    needed: Numbers,
) -> tuple[Numbers, Numbers]:
    """Newton's steps with the true Hessian where ``needed``, else what is given.

    After a step that does not reduce the error, the next one is half as long. Where margins are in
    the thousands, the losses of a few rows bend within a small part of a full step.
    """
    eps = float(jnp.finfo(weights.dtype).eps)

    def error(weights, slope):
        return _error(line, slope, weights, force)

    def step(state):
        weights, slope, share, turns = state
        move = solve_linear(line.hessian(loss, weights, time), slope)
        proposal = weights - share * move
        after = line.at(time).gradient(loss, proposal)
        better = error(proposal, after) < error(weights, slope)
        return (
            jnp.where(better, proposal, weights),
            jnp.where(better, after, slope),
            jnp.where(better, jnp.minimum(2 * share, 1), share / 2),
            turns + 1,
        )

    def unfinished(state):
        weights, slope, _, turns = state
        far = error(weights, slope) > 64 * eps
        return (turns < NEWTON_STEPS) | (far & (turns < MOST_NEWTON_STEPS))

    def corrected():
        start = (weights, slope, jnp.ones_like(time), jnp.int32(0))
        return jax.lax.while_loop(unfinished, step, start)[:2]

    return jax.lax.cond(needed, corrected, lambda: (weights, slope))


def _share(one: Float[Numbers, " m"], other: Float[Numbers, " m"]) -> Float[Numbers, ""]:
    """``<one, other>/<one, one>``; 0 for a row of zeros."""
    size = jnp.sum(one * one)
    return jnp.sum(one * other) / jnp.where(size > 0, size, 1)
