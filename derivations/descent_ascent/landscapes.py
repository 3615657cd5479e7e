"""Certified landscapes of Sec. 5.2's least squares: stationary points, folds and branches in balls.

``J(θ) = Σ w_i (h(x_i) - t_i)² + c|θ|²`` with h(x) = 1/(1 + exp(-(1 + ax + bx²)/2)), at
x = -1, 1, 3, 4. A stationary point of *some* ridge satisfies ∇L ∥ θ, and then its ridge is
c = -<θ, ∇L>/2|θ|². So one search of the (a, b) plane finds the stationary points of all ridges.
The searches are covers (:class:`derivations.ledger.certificates.Cover`): the functions here decide
one box. They return True if the statement holds on the whole box, and None if they cannot tell.
"""

import functools
import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from derivations.ledger import intervals

POINTS = (-1, 1, 3, 4)
BITS = 64  # enough for boxes of 1e-6; the tight values use intervals.PRECISION
RADIAL = "0.303"  # above |h' m| for every m: claim trap-bounded
FARTHEST = 50.0  # where Newton's method gives up: exp overflows at 70
Place = tuple[float, float]


class Clusters(NamedTuple):
    """Signed weights of the four clusters and their targets."""

    weights: tuple[int, ...]
    targets: tuple[int, ...]


class Slopes(NamedTuple):
    """L, its gradient and its Hessian at (a, b); floats or balls."""

    value: object
    a: object
    b: object
    aa: object
    ab: object
    bb: object


class Point(NamedTuple):
    """A stationary point: enclosures of a, b and J, and what is certified at it.

    Certified are the signs of det H and tr H, and which clusters have h > 1/2.
    """

    a: object
    b: object
    value: object
    kind: str
    positive: tuple


class Box(NamedTuple):
    """The square of half width ``radius`` about ``centre``, in decimals."""

    centre: tuple[str, str]
    radius: str


class Branch(NamedTuple):
    """A few ridges, and approximate places of one minimum there."""

    ridges: tuple[float, ...]
    places: tuple[Place, ...]


@functools.cache
def exactly(decimal: str):
    """A ball that holds this decimal."""
    return intervals.ball(decimal)


@functools.cache
def span(ridges: tuple[str, str]):
    """A ball that holds all ridges between these two."""
    return exactly(ridges[0]).union(exactly(ridges[1]))


def searching(decide: Callable) -> Callable:
    """``decide`` at the precision of the searches."""

    @functools.wraps(decide)
    def at_working_precision(*arguments):
        with intervals.flint().ctx.workprec(BITS):
            return decide(*arguments)

    return at_working_precision


def slopes_at(data: Clusters, a, b, exp: Callable) -> Slopes:
    """L and its derivatives; each enclosure of h(1 - h) uses h once."""
    total = [0] * 6
    for x, weight, target in zip(POINTS, data.weights, data.targets, strict=True):
        if weight == 0:
            continue
        h = 1 / (1 + exp(-(1 + a * x + b * x**2) / 2))
        # Products, not powers: python-flint's power of a ball that holds 0 is NaN.
        error, slope = h - target, (1 - (2 * h - 1) * (2 * h - 1)) / 8  # h' = h(1-h)/2
        first = 2 * weight * error * slope
        second = 2 * weight * slope * (slope + error * (1 - 2 * h) / 2)
        terms = (
            weight * error * error,
            first * x,
            first * x**2,
            second * x**2,
            second * x**3,
            second * x**4,
        )
        total = [one + other for one, other in zip(total, terms, strict=True)]
    return Slopes(*total)


def ball_slopes(data: Clusters, a, b) -> Slopes:
    """Enclosures over the box (a, b).

    The gradient is also enclosed by mean values, which is tight on small boxes.
    """
    whole = slopes_at(data, a, b, lambda z: z.exp())
    middle = slopes_at(data, a.mid(), b.mid(), lambda z: z.exp())
    move_a, move_b = a - a.mid(), b - b.mid()
    return whole._replace(
        a=whole.a.intersection(middle.a + whole.aa * move_a + whole.ab * move_b),
        b=whole.b.intersection(middle.b + whole.ab * move_a + whole.bb * move_b),
        value=whole.value.intersection(middle.value + whole.a * move_a + whole.b * move_b),
    )


def newton(data: Clusters, ridge: float, start, steps: int = 60):
    """A stationary point near ``start`` in floats; ``None`` where Newton does not settle."""
    a, b = start
    for _ in range(steps):
        if not math.hypot(a, b) < FARTHEST:
            return None
        at = slopes_at(data, a, b, math.exp)
        g = (at.a + 2 * ridge * a, at.b + 2 * ridge * b)
        h = (at.aa + 2 * ridge, at.ab, at.bb + 2 * ridge)
        determinant = h[0] * h[2] - h[1] ** 2
        if determinant == 0:
            return None
        move = (
            (h[2] * g[0] - h[1] * g[1]) / determinant,
            (h[0] * g[1] - h[1] * g[0]) / determinant,
        )
        a, b = a - move[0], b - move[1]
    return (a, b) if math.hypot(*move) < 1e-9 else None


def krawczyk_image(data: Clusters, ridge, box_a, box_b):
    """The Krawczyk image of the box for ∇J, and whether it lies in the interior of the box.

    ``ridge`` may be a ball.
    """
    at = slopes_at(data, box_a.mid(), box_b.mid(), lambda z: z.exp())
    within = slopes_at(data, box_a, box_b, lambda z: z.exp())
    p, q, r = (float(value.mid()) for value in (at.aa + 2 * ridge, at.ab, at.bb + 2 * ridge))
    determinant = p * r - q * q
    if determinant == 0:
        return None, None, False
    inverse = (r / determinant, -q / determinant, p / determinant)
    g = at.a + 2 * ridge * box_a.mid(), at.b + 2 * ridge * box_b.mid()
    hessian = within.aa + 2 * ridge, within.ab, within.bb + 2 * ridge
    contraction = (
        (
            1 - inverse[0] * hessian[0] - inverse[1] * hessian[1],
            -inverse[0] * hessian[1] - inverse[1] * hessian[2],
        ),
        (
            -inverse[1] * hessian[0] - inverse[2] * hessian[1],
            1 - inverse[1] * hessian[1] - inverse[2] * hessian[2],
        ),
    )
    move_a, move_b = box_a - box_a.mid(), box_b - box_b.mid()
    image_a = (
        box_a.mid()
        - inverse[0] * g[0]
        - inverse[1] * g[1]
        + contraction[0][0] * move_a
        + contraction[0][1] * move_b
    )
    image_b = (
        box_b.mid()
        - inverse[1] * g[0]
        - inverse[2] * g[1]
        + contraction[1][0] * move_a
        + contraction[1][1] * move_b
    )
    return (
        image_a,
        image_b,
        bool(box_a.contains_interior(image_a) and box_b.contains_interior(image_b)),
    )


def point_in(data: Clusters, ridge, box_a, box_b) -> Point | None:
    """The one stationary point of the box, if the Krawczyk test proves that there is one.

    ``None`` if it does not, or if the sign of the Hessian is not certain.
    """
    image_a, image_b, inside = krawczyk_image(data, ridge, box_a, box_b)
    if not inside:
        return None
    at = ball_slopes(data, image_a, image_b)
    h = at.aa + 2 * ridge, at.ab, at.bb + 2 * ridge
    determinant, trace = h[0] * h[2] - h[1] * h[1], h[0] + h[2]
    kind = (
        "saddle"
        if determinant < 0
        else "minimum"
        if determinant > 0 and trace > 0
        else "maximum"
        if determinant > 0 and trace < 0
        else ""
    )
    # J at the stationary point. The gradient vanishes somewhere in the box,
    # so a mean value form about the middle is tight.
    value = at.value + ridge * (image_a * image_a + image_b * image_b)
    margins = [1 + image_a * x + image_b * x**2 for x in POINTS]
    positive = tuple(True if margin > 0 else False if margin < 0 else None for margin in margins)
    return Point(image_a, image_b, value, kind, positive) if kind else None


def around(data: Clusters, ridge, centre, radius: float) -> Point | None:
    """:func:`point_in` the box of half width ``radius`` about ``centre``."""
    arb = intervals.flint().arb
    return point_in(data, ridge, arb(centre[0], radius), arb(centre[1], radius))


def square_of_reach(data: Clusters, ridge: Fraction) -> Fraction:
    """No stationary point of a ridge of at least ``ridge`` has |θ|² above this (trap-bounded)."""
    largest = sum(
        abs(w) * max(abs(t), abs(1 - t)) for w, t in zip(data.weights, data.targets, strict=True)
    )
    return Fraction(RADIAL) * largest / ridge


def region(data: Clusters, least_ridge: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """The corners of a square that holds all stationary points of at least this ridge."""
    squared = square_of_reach(data, Fraction(least_ridge))
    reach = Fraction(math.isqrt(int(squared * 10**6)) + 1, 1000)  # its square is above ``squared``
    return ((str(-reach), str(reach)),) * 2


@searching
def radial_factor_below(bound: str, u) -> bool | None:
    """Whether |h' m| < ``bound`` on the ball ``u``, with m = 2u - 1: h' m = h(1 - h)(2u - 1)/2."""
    odd = 2 / (1 + (-u).exp()) - 1
    return bool((1 - odd * odd) / 8 * abs(2 * u - 1) < exactly(bound)) or None


def places(data: Clusters, ridge: float) -> tuple[Place, ...]:
    """Stationary points in floats, the lowest first, by Newton's method from a grid of starts.

    That no other exists is for a cover to prove.
    """
    found: dict[tuple, Place] = {}
    for start in itertools.product(range(-8, 9, 2), (-4, -3, -2, -1, -0.5, 0, 1, 2, 4)):
        place = newton(data, ridge, start)
        if place is not None:
            found[round(place[0], 6), round(place[1], 6)] = place

    def height(place: Place) -> float:
        return slopes_at(data, *place, math.exp).value + ridge * (place[0] ** 2 + place[1] ** 2)

    return tuple(sorted(found.values(), key=height))


@searching
def no_point(data: Clusters, ridge: str, boxes: tuple[Box, ...], box_a, box_b) -> bool | None:
    """Whether the box holds no stationary point, or lies in one of ``boxes``."""
    at = ball_slopes(data, box_a, box_b)
    twice = 2 * exactly(ridge)
    if not ((at.a + twice * box_a).contains(0) and (at.b + twice * box_b).contains(0)):
        return True
    return _inside(boxes, box_a, box_b)


def _inside(boxes: tuple[Box, ...], box_a, box_b) -> bool | None:
    """True if the box certainly lies in one of ``boxes``, None if not."""
    for box in boxes:
        if all(
            bool(abs(side - exactly(centre)) < exactly(box.radius))
            for side, centre in zip((box_a, box_b), box.centre, strict=True)
        ):
            return True
    return None


@searching
def is_minimum(data: Clusters, ridge: str, positive: tuple, box_a, box_b) -> bool | None:
    """Whether H is positive definite and each cluster has h > 1/2 as ``positive`` says."""
    at = ball_slopes(data, box_a, box_b)
    twice = 2 * exactly(ridge)
    p, q, r = at.aa + twice, at.ab, at.bb + twice
    classes = tuple(certain_sign(1 + box_a * x + box_b * x**2) for x in POINTS)
    return True if p > 0 and p * r - q * q > 0 and classes == positive else None


@searching
def is_saddle(data: Clusters, ridge: str, box_a, box_b) -> bool | None:
    """Whether det H < 0."""
    at = ball_slopes(data, box_a, box_b)
    twice = 2 * exactly(ridge)
    return True if (at.aa + twice) * (at.bb + twice) - at.ab * at.ab < 0 else None


def certain_sign(ball) -> bool | None:
    """True if the ball is positive, False if it is negative."""
    return True if ball > 0 else False if ball < 0 else None


@searching
def no_fold(
    data: Clusters, ridges: tuple[str, str], folds: tuple[Box, ...], box_a, box_b
) -> bool | None:
    """Whether no (θ, c) with θ in the box and c in ``ridges`` has ∇J = 0 and det H = 0.

    The boxes ``folds`` are left out. A box holds no stationary point of such a ridge if ∇J excludes
    0 for all of them, if θ is nowhere parallel to ∇L, or if c = -<θ, ∇L>/2|θ|² is another ridge.
    """
    all_ridges = span(ridges)
    at = ball_slopes(data, box_a, box_b)
    if not (
        (at.a + 2 * all_ridges * box_a).contains(0) and (at.b + 2 * all_ridges * box_b).contains(0)
    ):
        return True
    if not _turn(data, at, box_a, box_b).contains(0):
        return True
    ridge = all_ridges
    if not (box_a.contains(0) and box_b.contains(0)):
        ridge = -(box_a * at.a + box_b * at.b) / (2 * (box_a * box_a + box_b * box_b))
        if ridge < exactly(ridges[0]) or ridge > exactly(ridges[1]):
            return True
    determinant = (at.aa + 2 * ridge) * (at.bb + 2 * ridge) - at.ab * at.ab
    return _inside(folds, box_a, box_b) if determinant.contains(0) else True


def _turn(data: Clusters, at: Slopes, box_a, box_b):
    """θ × ∇L over the box, by mean values."""
    middle = slopes_at(data, box_a.mid(), box_b.mid(), lambda z: z.exp())
    turn = middle.b * box_a.mid() - middle.a * box_b.mid()
    turn += (at.b + box_a * at.ab - box_b * at.aa) * (box_a - box_a.mid())
    turn += (box_a * at.bb - at.a - box_b * at.ab) * (box_b - box_b.mid())
    return turn


def branch(data: Clusters, ridges: tuple[str, str], start: Place, count: int = 60) -> Branch:
    """The stationary point ``start`` of the first ridge, followed to the last one in floats.

    Raises: ``ArithmeticError`` if Newton's method loses it.
    """
    low, high = (float(Fraction(ridge)) for ridge in ridges)
    steps = tuple(low * (high / low) ** (k / count) for k in range(count + 1))
    places, place = [], start
    for ridge in steps:
        place = newton(data, ridge, place)
        if place is None:
            raise ArithmeticError(f"the branch from {start} is lost at ridge {ridge}")
        places.append(place)
    return Branch(steps, tuple(places))


def nearest_place(data: Clusters, along: Branch, ridge: float) -> Place | None:
    """The point of the branch at ``ridge``, in floats."""
    index = min(range(len(along.ridges)), key=lambda k: abs(along.ridges[k] - ridge))
    return newton(data, ridge, along.places[index])


def point_along(data: Clusters, along: Branch, ridge) -> Point | None:
    """The point of the branch for all ridges of the ball ``ridge``, None if it is not certain."""
    middle = float(ridge.mid())
    place = nearest_place(data, along, middle)
    if place is None:
        return None
    at = slopes_at(data, *place, math.exp)
    p, q, r = at.aa + 2 * middle, at.ab, at.bb + 2 * middle
    # dθ/dc = -2 H⁻¹θ
    velocity = 2 * math.hypot(r * place[0] - q * place[1], p * place[1] - q * place[0])
    radius = 1.5 * velocity / abs(p * r - q * q) * float(ridge.rad()) + 1e-9
    return around(data, ridge, place, radius) if radius < 1 else None


@searching
def minimum_along(data: Clusters, along: Branch, positive: tuple, ridge) -> bool | None:
    """Whether the branch is a minimum with these classes at every ridge of the ball."""
    point = point_along(data, along, ridge)
    certain = point is not None and point.kind == "minimum" and point.positive == positive
    return True if certain else None


@searching
def lower_along(data: Clusters, low: Branch, high: Branch, positive: tuple, ridge) -> bool | None:
    """Whether both branches are minima, with the lower one of these classes.

    The higher one must have h(3) > 1/2, so that it is another minimum.
    """
    lower, higher = (point_along(data, along, ridge) for along in (low, high))
    if lower is None or higher is None or not lower.kind == higher.kind == "minimum":
        return None
    different = lower.positive == positive and higher.positive[2] is True
    return True if different and lower.value < higher.value else None


class Line(NamedTuple):
    """The points origin + s direction, in floats."""

    origin: Place
    direction: Place

    def at(self, s):
        """The point at ``s``, a ball."""
        return self.origin[0] + s * self.direction[0], self.origin[1] + s * self.direction[1]

    def side(self, a, b):
        """Positive on the left of the line, negative on the right."""
        return self.direction[0] * (b - self.origin[1]) - self.direction[1] * (a - self.origin[0])


class Trap(NamedTuple):
    """R and descent-ascent, R's saddle and good minimum, and descent-ascent's minimum."""

    retrain: Clusters
    ascend: Clusters
    saddle: Branch
    good: Branch
    bottom: Branch


@searching
def barrier_holds(trap: Trap, direction: Place, ridge) -> bool | None:
    """Whether J_R on a line through R's saddle exceeds its value at descent-ascent's minimum.

    That minimum must lie on the right of the line, and R's good minimum on the left. The saddle
    must be higher than the start, too. All this for every ridge of the ball.
    """
    saddle = point_along(trap.retrain, trap.saddle, ridge)
    good = point_along(trap.retrain, trap.good, ridge)
    bottom = point_along(trap.ascend, trap.bottom, ridge)
    if saddle is None or good is None or bottom is None:
        return None
    line = Line((float(saddle.a.mid()), float(saddle.b.mid())), direction)
    apart = line.side(good.a, good.b) > 0 and line.side(bottom.a, bottom.b) < 0
    start = ball_slopes(trap.retrain, bottom.a, bottom.b).value
    start += ridge * (bottom.a * bottom.a + bottom.b * bottom.b)
    if not (apart and good.kind == bottom.kind == "minimum" and saddle.value > start):
        return None
    # J_R on the line increases with the ridge.
    above = least_on_line(trap.retrain, ridge.lower(), line, start.upper())
    return True if above else None


def least_on_line(data: Clusters, ridge, line: Line, above) -> bool:
    """Whether J > ``above`` everywhere on the line. Both numbers are balls.

    Nothing is left to show where c|θ|² alone exceeds ``above``: L >= 0, as no weight is negative.
    The line is halved at dyadic fractions.
    """
    if min(data.weights) < 0:
        raise ValueError(f"weights must be >= 0, got {data.weights}")
    length = math.hypot(*line.direction)
    reach = math.sqrt(float(above) / float(ridge)) + math.hypot(*line.origin)
    end = math.ceil(1.01 * reach / length)
    stack = [(Fraction(-end), Fraction(end), 0)]
    while stack:
        low, high, depth = stack.pop()
        if _above_on(data, ridge, line, above, intervals.ball(low).union(intervals.ball(high))):
            continue
        if depth == 30:
            return False
        middle = (low + high) / 2
        stack += [(low, middle, depth + 1), (middle, high, depth + 1)]
    return True


def _above_on(data: Clusters, ridge, line: Line, above, s) -> bool:
    """Whether J > ``above`` on the part ``s`` of the line, by its range or by mean values.

    Near the least point the slopes of L and of the ridge term cancel in the mean value form.
    """
    (box_a, box_b), middle = line.at(s), line.at(s.mid())
    at = ball_slopes(data, box_a, box_b)
    there = slopes_at(data, *middle, lambda z: z.exp())
    value = at.value + ridge * (box_a * box_a + box_b * box_b)
    slope = line.direction[0] * (at.a + 2 * ridge * box_a)
    slope += line.direction[1] * (at.b + 2 * ridge * box_b)
    square = middle[0] * middle[0] + middle[1] * middle[1]
    along = there.value + ridge * square + slope * (s - s.mid())
    return bool(value > above or along > above)
