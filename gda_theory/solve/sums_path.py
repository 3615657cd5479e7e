r"""The path of minima by sums over the rows: predictor and corrector with few passes.

The path from the oracle, :math:`dw/d\gamma = H_\gamma^{-1}\nabla L_F`, is followed by its length
(Keller's pseudo-arclength), so that the fold is an ordinary point. Lengths are root mean square
changes of the margins. The predictor is Hermite interpolation of the last anchors and their
tangents. A corrector is Newton's method in weights and strength together, and each of its turns is
one pass over the rows.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from gda_theory.codes import Reason
from gda_theory.problem.partitions import PartitionedProblem
from gda_theory.solve import by_sums
from gda_theory.solve.by_sums import KnownSums
from gda_theory.solve.newton import Solution

ANCHORS = 200  # at most
TURNS = 8  # of a corrector, at most
FIRST_STEP = 0.1
LONGEST = 1.0  # step, in root mean square margins
SHORTEST = 1e-7
PREDICTION = 0.001  # the error of a predictor to aim at
FAR = 5  # times this error, and an anchor is refused
# A Newton step of this length leaves an error of about its square.
ENOUGH = 1e-6
CLOSE = 1e-8
STOPPED = 1e-12  # the rate of the strength where the weights run to infinity
FLAT = 1e-7  # the rate of the strength at a fold; its square is the error of the strength
FOLD, REACHED, FAILED, ESCAPED = range(4)


class Point(NamedTuple):
    """A point of the curve: weights, strength, and the unit tangent."""

    weights: Float[np.ndarray, " d"]
    strength: float
    direction: Float[np.ndarray, " d"]
    rate: float

    @property
    def place(self) -> Float[np.ndarray, " e"]:
        """Weights and strength."""
        return np.append(self.weights, self.strength)

    @property
    def tangent(self) -> Float[np.ndarray, " e"]:
        """The unit tangent."""
        return np.append(self.direction, self.rate)


class Curve(NamedTuple):
    """What is followed: the sums, the squared length of weights, and the anchors so far."""

    sums: KnownSums
    gram: Float[np.ndarray, "d d"]
    anchors: list[Point]
    lengths: list[float]

    def length(self, vector: Float[np.ndarray, " e"]) -> float:
        """The length of a vector of weights and strength."""
        weights = vector[:-1]
        return math.sqrt(max(float(weights @ self.gram @ weights), 0.0) + float(vector[-1]) ** 2)

    def dual(self, vector: Float[np.ndarray, " e"]) -> Float[np.ndarray, " e"]:
        """The linear function that is the scalar product with ``vector``."""
        return np.append(self.gram @ vector[:-1], vector[-1])

    def between(self, first: int, last: int) -> "Hermite":
        """The interpolant of the anchors from ``first`` to ``last``, both included."""
        chosen = range(max(first, 0), min(last, len(self.anchors) - 1) + 1)
        return Hermite.of(
            [self.lengths[index] for index in chosen], [self.anchors[index] for index in chosen]
        )


class Hermite(NamedTuple):
    """Interpolates points and tangents along the length of the curve."""

    polynomial: Callable

    @classmethod
    def of(cls, lengths: list[float], points: list[Point]) -> "Hermite":
        """The polynomial through the points with their tangents."""
        from scipy.interpolate import KroghInterpolator

        at = np.repeat(np.array(lengths) - lengths[0], 2)
        values = [value for point in points for value in (point.place, point.tangent)]
        krogh = KroghInterpolator(at, np.array(values))
        return cls(lambda length, order=0: krogh.derivative(length - lengths[0], order))

    def place(self, length: float) -> Float[np.ndarray, " e"]:
        """Weights and strength there."""
        return self.polynomial(length, 0)

    def tangent(self, length: float) -> Float[np.ndarray, " e"]:
        """The derivative by the length."""
        return self.polynomial(length, 1)


class Followed(NamedTuple):
    """The end of the path and what was found on it; NaN stands where something was not met.

    ``passes`` counts the passes over the rows.
    """

    weights: Float[np.ndarray, "q d"]
    gradient_norm: Float[np.ndarray, " q"]
    exists: np.ndarray
    reason: np.ndarray
    bounded_below: np.ndarray
    critical_strength: float
    fold_weights: Float[np.ndarray, " d"]
    break_even_strength: float
    searched_to: float
    oracle: Solution
    pretrained: Solution
    passes: int


def follow(
    problem: PartitionedProblem, strengths: Float[np.ndarray, " q"], limit: float
) -> Followed:
    """The minima at ``strengths``, the break-even, and the fold if it is before ``limit``."""
    sums = KnownSums(problem)
    origin = np.zeros_like(problem.ridge)
    gram = sums(origin).hessian.sum(0) / np.sum(problem.totals)
    gram = gram / float(problem.loss.curvature(jnp.zeros(())))
    oracle = by_sums.solve(sums, by_sums.at_strength(problem, 0.0), origin)
    pretrained = by_sums.solve(sums, by_sums.pretraining(problem), oracle.weights)
    curve = Curve(sums=sums, gram=gram, anchors=[], lengths=[])
    status = trace(curve, oracle.weights, limit) if oracle.converged else FAILED
    closed = status == FOLD and close_on_fold(curve)
    if status == FOLD and not closed:
        del curve.anchors[-1], curve.lengths[-1]
    reach = curve.anchors[-1].strength if curve.anchors else 0.0
    escaped = status == ESCAPED or (
        status in (FAILED, FOLD) and not closed and _ends_boundedness(problem, reach)
    )
    found = [_minimum(curve, oracle.weights, strength) for strength in strengths.tolist()]
    missing = np.full_like(origin, np.nan)
    exists = np.array([weights is not None for weights in found])
    bounded = np.array([problem.bounded_below(strength) for strength in strengths.tolist()])
    beyond = (strengths >= reach) & (closed or escaped)
    lost = np.where(bounded, int(Reason.PAST_FOLD), int(Reason.UNBOUNDED))
    missed = np.where(beyond, lost, int(Reason.NOT_CONVERGED))
    return Followed(
        weights=np.array([missing if weights is None else weights for weights in found]),
        gradient_norm=np.array(
            [_gradient_norm(sums, *pair) for pair in zip(strengths, found, strict=True)]
        ),
        exists=exists,
        reason=np.where(exists, int(Reason.FOUND), missed),
        bounded_below=bounded,
        critical_strength=reach if closed or escaped else math.nan,
        fold_weights=curve.anchors[-1].weights if closed else missing,
        break_even_strength=_break_even(curve, oracle.weights, pretrained.weights),
        searched_to=reach if closed or escaped else min(reach, limit),
        oracle=oracle,
        pretrained=pretrained,
        passes=sums.passes,
    )


def _ends_boundedness(problem: PartitionedProblem, strength: float) -> bool:
    """Whether the objective ceases to be bounded below at this strength."""
    width = math.sqrt(np.finfo(float).eps)
    within = problem.bounded_below(strength * (1 - width))
    return within and not problem.bounded_below(strength * (1 + width))


def _gradient_norm(sums: KnownSums, strength: float, weights: np.ndarray | None) -> float:
    if weights is None:
        return math.nan
    mix = by_sums.at_strength(sums.problem, float(strength))
    return float(np.linalg.norm(mix.local(sums(weights), weights).gradient))


# The corrector ---------------------------------------------------------------------------------


class System(NamedTuple):
    """The equations at a point: the gradient, and its derivatives by weights and strength."""

    gradient: Float[np.ndarray, " d"]
    hessian: Float[np.ndarray, "d d"]
    force: Float[np.ndarray, " d"]

    @classmethod
    def at(cls, sums: KnownSums, place: Float[np.ndarray, " e"]) -> "System":
        """At these weights and strength."""
        weights, strength = place[:-1], float(place[-1])
        here = sums(weights)
        mix = by_sums.at_strength(sums.problem, strength)
        unit = by_sums.at_strength(sums.problem, 1.0).factors[1]
        return cls(mix.local(here, weights).gradient, mix.hessian(here), unit * here.gradient[1])

    def solved(
        self, row: Float[np.ndarray, " e"], right: Float[np.ndarray, " e"]
    ) -> Float[np.ndarray, " e"]:
        """The change of weights and strength with these derivatives, ``row`` being the last one.

        NaN where the matrix is singular.
        """
        size = np.abs(np.diagonal(self.hessian))
        scale = np.append(1 / np.sqrt(np.where(size > 0, size, 1)), 1.0)
        matrix = np.vstack([np.column_stack([self.hessian, self.force]), row])
        balance = np.append(scale[:-1], 1 / max(np.max(np.abs(row * scale)), 1e-300))
        try:
            return scale * np.linalg.solve(balance[:, None] * matrix * scale, balance * right)
        except np.linalg.LinAlgError:
            return np.full_like(right, np.nan)


class Corrected(NamedTuple):
    """A point of the curve, the equations just before, and how far the prediction was off."""

    place: Float[np.ndarray, " e"]
    system: System
    first: float


def corrected(
    curve: Curve,
    place: Float[np.ndarray, " e"],
    row: Float[np.ndarray, " e"],
    excess: Callable[[np.ndarray], float],
    enough: float = ENOUGH,
) -> Corrected | None:
    """Newton's method for the gradient and ``excess``, whose derivative is ``row``.

    Returns: the point, or None where the steps do not shrink.
    """
    first = before = math.inf
    tolerance = enough * slack(curve, place)
    for _ in range(TURNS):
        system = System.at(curve.sums, place)
        step = system.solved(row, np.append(system.gradient, excess(place)))
        size = curve.length(step)
        if not size < before / 2:
            return None
        place = place - step
        first = size if math.isinf(first) else first
        before = size
        if size <= tolerance:
            return Corrected(place, system, first)
    return None


def slack(curve: Curve, place: Float[np.ndarray, " e"]) -> float:
    """How many times larger errors may be where margins are large and the loss nearly straight."""
    return 1 + curve.length(np.append(place[:-1], 0.0)) / 10


# The anchors -----------------------------------------------------------------------------------


def trace(curve: Curve, start: Float[np.ndarray, " d"], limit: float) -> int:
    """Add anchors from the oracle ``start`` to the fold, or until ``limit`` is passed."""
    place = np.append(start, 0.0)
    upward = np.append(np.zeros_like(start), 1.0)
    curve.anchors.append(_point(curve, System.at(curve.sums, place), place, upward))
    curve.lengths.append(0.0)
    step = FIRST_STEP
    while len(curve.anchors) < ANCHORS:
        last = len(curve.anchors) - 1
        nodes = min(len(curve.anchors), 3)
        found = _next(curve, curve.between(last - 2, last), step)
        aim = PREDICTION * slack(curve, curve.anchors[-1].place)
        # A prediction far from the curve may lead to another part of it, behind a fold. Between two
        # anchors the strength must not turn back either: a pair of folds could hide there.
        if found is None or found[1] > FAR * aim or _turns_back(curve.anchors[-1], found[0], step):
            step /= 4
            if step < SHORTEST:
                return ESCAPED if curve.anchors[-1].rate < STOPPED else FAILED
            continue
        point, first = found
        step *= min(3.0, max(0.25, (aim / (first + 1e-30)) ** (1 / (2 * nodes))))
        step = min(step, LONGEST * slack(curve, point.place))
        rise = point.strength - curve.anchors[-1].strength
        _add(curve, last + 1, point)
        if point.rate > 0 and point.strength >= limit:
            return REACHED
        if abs(rise) <= 4 * np.finfo(float).eps * point.strength:
            return ESCAPED  # the weights run to infinity
        if point.rate <= 0:
            return FOLD
    return FAILED


def _turns_back(before: Point, after: Point, step: float) -> bool:
    """Whether the cubic with these rates nearly stops or turns between two points."""
    first, last = before.rate, after.rate
    if last <= 0:
        return False
    mean = (after.strength - before.strength) / step
    # Its slope is first + b x + c x^2, x in [0, 1].
    b = 6 * mean - 4 * first - 2 * last
    c = 3 * (first + last) - 6 * mean
    if c <= 0:
        return False
    place = min(max(-b / (2 * c), 0.0), 1.0)
    return first + place * (b + c * place) < 0.1 * min(first, last)


def _next(curve: Curve, course: Hermite, step: float) -> tuple[Point, float] | None:
    """The point at this distance behind the last anchor, and the error of its prediction."""
    length = curve.lengths[-1] + step
    return _on_curve(curve, course.place(length), course.tangent(length))


def _on_curve(
    curve: Curve, predicted: Float[np.ndarray, " e"], tangent: Float[np.ndarray, " e"]
) -> tuple[Point, float] | None:
    """The point of the curve in the plane through ``predicted``, across ``tangent``."""
    tangent = tangent / curve.length(tangent)
    row = curve.dual(tangent)
    found = corrected(curve, predicted, row, lambda place: row @ (place - predicted))
    if found is None:
        return None
    return _point(curve, found.system, found.place, tangent), found.first


def _point(
    curve: Curve, system: System, place: Float[np.ndarray, " e"], towards: Float[np.ndarray, " e"]
) -> Point:
    """The point with its tangent, whose product with ``towards`` is positive."""
    right = np.append(np.zeros(len(place) - 1), 1.0)
    tangent = system.solved(curve.dual(towards), right)
    tangent = tangent / curve.length(tangent)
    return Point(place[:-1], float(place[-1]), tangent[:-1], float(tangent[-1]))


def _add(curve: Curve, index: int, point: Point) -> None:
    """Insert an anchor, and count the lengths of the later ones anew."""
    curve.anchors.insert(index, point)
    curve.lengths.insert(index, 0.0)
    for place in range(index, len(curve.anchors)):
        before, here = curve.anchors[place - 1], curve.anchors[place]
        chord = curve.length(here.place - before.place)
        turn = curve.length(here.tangent - before.tangent)
        # The arc of a curve over its chord, to the fourth order.
        curve.lengths[place] = curve.lengths[place - 1] + chord * (1 + turn**2 / 24)


# What is met on the path -----------------------------------------------------------------------


def _rate(at: float, course: Any) -> float:
    """How fast the strength grows at a place of the course."""
    return float(course.tangent(at)[-1])


def close_on_fold(curve: Curve) -> bool:
    """Make the last anchor the fold, which lies before it; False if that fails."""
    from scipy.optimize import brentq

    left = len(curve.anchors) - 2
    for _ in range(TURNS):
        course = curve.between(left - 1, left + 2)
        ends = curve.lengths[left], curve.lengths[left + 1]
        rates = [float(course.tangent(end)[-1]) for end in ends]
        if not rates[0] > 0 >= rates[1]:
            return False
        length = brentq(_rate, *ends, args=(course,), xtol=1e-14)
        found = _on_curve(curve, course.place(length), course.tangent(length))
        if found is None:
            return False
        point, _ = found
        _add(curve, left + 1, point)
        if abs(point.rate) <= FLAT or point.strength == curve.anchors[left].strength:
            del curve.anchors[left + 2 :], curve.lengths[left + 2 :]
            return True
        left += point.rate > 0
    return False


def _minimum(
    curve: Curve, oracle: Float[np.ndarray, " d"], strength: float
) -> Float[np.ndarray, " d"] | None:
    """The minimum at one strength, or None where the path does not lead there."""
    if strength < 0:
        mix = by_sums.at_strength(curve.sums.problem, strength)
        found = by_sums.solve(curve.sums, mix, oracle)
        return found.weights if found.converged else None
    if strength == 0:
        return oracle
    there = _bracketed(curve, lambda place: float(place[-1]) - strength)
    if there is None:
        return None
    place, _ = there
    row = np.append(np.zeros_like(oracle), 1.0)
    place[-1] = strength
    end = corrected(curve, place, row, lambda place: float(place[-1]) - strength, CLOSE)
    return None if end is None else end.place[:-1]


def _break_even(
    curve: Curve, oracle: Float[np.ndarray, " d"], pretrained: Float[np.ndarray, " d"]
) -> float:
    """The strength at which the path is first as far from the oracle as pretraining is."""
    target = float(np.linalg.norm(pretrained - oracle))

    def excess(place):
        return float(np.linalg.norm(place[:-1] - oracle)) - target

    there = _bracketed(curve, excess)
    if there is None or target == 0:
        return math.nan
    place, _ = there
    for _ in range(TURNS):
        outward = place[:-1] - oracle
        row = np.append(outward / np.linalg.norm(outward), 0.0)
        system = System.at(curve.sums, place)
        step = system.solved(row, np.append(system.gradient, excess(place)))
        place = place - step
        if curve.length(step) <= CLOSE * slack(curve, place):
            return float(place[-1])
    return math.nan


def _bracketed(
    curve: Curve, excess: Callable[[np.ndarray], float]
) -> tuple[Float[np.ndarray, " e"], int] | None:
    """Where on the interpolated path ``excess`` first becomes positive; None if it does not."""
    from scipy.optimize import brentq

    values = [excess(point.place) for point in curve.anchors]
    beyond = [index for index, value in enumerate(values) if value >= 0]
    if not beyond:
        return None
    index = beyond[0]
    if index == 0 or values[index] == 0:
        return curve.anchors[index].place, index
    course = curve.between(index - 2, index + 1)

    def there(at):
        return excess(course.place(at))

    ends = curve.lengths[index - 1], curve.lengths[index]
    # The interpolant meets its ends up to rounding.
    if not there(ends[0]) < 0 < there(ends[1]):
        return curve.anchors[index].place, index
    return course.place(brentq(there, *ends, xtol=1e-14)), index
