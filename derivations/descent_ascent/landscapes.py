"""Certified landscapes of Sec. 5.2's least squares: stationary points, folds and branches in balls.

``J(θ) = Σ w_i (h(x_i) - t_i)² + c|θ|²`` with h(x) = 1/(1 + exp(-(1 + ax + bx²)/2)), at
x = -1, 1, 3, 4. A stationary point of *some* ridge satisfies ∇L ∥ θ, and then its ridge is
c = -<θ, ∇L>/2|θ|². So one search of the (a, b) plane finds the stationary points of all ridges.
Every statement is about balls. A box is discarded if an enclosure excludes 0. A point is counted
if a Krawczyk image lies inside its box.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from derivations.ledger import intervals

POINTS = (-1, 1, 3, 4)
BITS = 64  # enough for boxes of 1e-6; the tight values use intervals.PRECISION
DEEPEST = 60  # halvings of a box before a search gives up


class Data(NamedTuple):
    """Signed weights of the four clusters and their targets."""

    weights: tuple
    targets: tuple


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


def slopes(data: Data, a, b, exp: Callable) -> Slopes:
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


def ball_slopes(data: Data, a, b) -> Slopes:
    """Enclosures over the box (a, b).

    The gradient is also enclosed by mean values, which is tight on small boxes.
    """
    whole = slopes(data, a, b, lambda z: z.exp())
    middle = slopes(data, a.mid(), b.mid(), lambda z: z.exp())
    move_a, move_b = a - a.mid(), b - b.mid()
    return whole._replace(
        a=whole.a.intersection(middle.a + whole.aa * move_a + whole.ab * move_b),
        b=whole.b.intersection(middle.b + whole.ab * move_a + whole.bb * move_b),
        value=whole.value.intersection(middle.value + whole.a * move_a + whole.b * move_b),
    )


def newton(data: Data, ridge: float, start, steps: int = 60):
    """A stationary point near ``start`` in floats; ``None`` where Newton does not settle."""
    a, b = start
    for _ in range(steps):
        if not math.hypot(a, b) < 1e3:
            return None
        at = slopes(data, a, b, math.exp)
        g = (at.a + 2 * ridge * a, at.b + 2 * ridge * b)
        h = (at.aa + 2 * ridge, at.ab, at.bb + 2 * ridge)
        determinant = h[0] * h[2] - h[1] ** 2
        move = (
            (h[2] * g[0] - h[1] * g[1]) / determinant,
            (h[0] * g[1] - h[1] * g[0]) / determinant,
        )
        a, b = a - move[0], b - move[1]
    return (a, b) if math.hypot(*move) < 1e-9 else None


def krawczyk_image(data: Data, ridge, box_a, box_b):
    """The Krawczyk image of the box for ∇J, and whether it lies in the interior of the box.

    ``ridge`` may be a ball.
    """
    at = slopes(data, box_a.mid(), box_b.mid(), lambda z: z.exp())
    within = slopes(data, box_a, box_b, lambda z: z.exp())
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


def point_in(data: Data, ridge, box_a, box_b) -> Point | None:
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


def around(data: Data, ridge, centre, radius: float) -> Point | None:
    """:func:`point_in` the box of half width ``radius`` about ``centre``."""
    arb = intervals.flint().arb
    return point_in(data, ridge, arb(centre[0], radius), arb(centre[1], radius))


def farthest(data: Data, least_ridge: float) -> float:
    """No stationary point of a ridge of at least ``least_ridge`` lies farther out.

    2c|θ|² = -<θ, ∇L> = -Σ 2w(h - t) h' m with m = <θ, z>, and |h' m| < 0.33 for every m.
    At m = 2u - 1 it is h(1-h)|2u-1|/2. Since h(1-h) <= e^{-|u|}, it is below
    (2|u| + 1) e^{-|u|}/2 < 0.33 for |u| > 2.9. On cells of smaller u it is below max(h(1-h)) times
    |2u - 1|/2.
    """
    largest = sum(
        abs(w) * max(abs(t), abs(1 - t)) for w, t in zip(data.weights, data.targets, strict=True)
    )
    return math.sqrt(0.33 * largest / least_ridge)


def radial_factor_below(bound: float) -> bool:
    """Whether |h' m| < ``bound`` for every m, by balls on |u| <= 4 and the tail bound beyond."""
    arb = intervals.flint().arb

    def sigmoid_slope(u):
        odd = 2 / (1 + (-u).exp()) - 1
        return (1 - odd * odd) / 8

    tail = (2 * arb(4) + 1) * (-arb(4)).exp() / 2  # (2u + 1) e^{-u}/2 decreases for u > 1/2
    cells = (arb(-4 + (k + 0.5) / 64, 1 / 128) for k in range(512))
    return bool(tail < bound) and all(
        bool(sigmoid_slope(u) * abs(2 * u - 1) < bound) for u in cells
    )


def halves(box_a, box_b) -> Iterator[tuple]:
    """The box cut in two across its longer side."""
    arb = intervals.flint().arb
    long_a = float(box_a.rad()) >= float(box_b.rad())
    cut = box_a if long_a else box_b
    radius = float(cut.rad()) / 2
    for side in (-1, 1):
        part = arb(
            float(cut.mid()) + side * radius, radius * (1 + 1e-12)
        )  # a little wider: rounding leaves no gap
        yield (part, box_b) if long_a else (box_a, part)


def stationary_points(data: Data, ridge: float) -> list[Point]:
    """All stationary points, each in its own box, by halving a box that holds them all.

    ``ArithmeticError`` if a box stays undecided.
    """
    module = intervals.flint()
    with module.ctx.workprec(BITS):
        arb = module.arb
        reach = farthest(data, ridge)
        ridge_ball = arb(ridge)
        stack, found = [(arb(0, reach), arb(0, reach), 0)], []
        while stack:
            box_a, box_b, depth = stack.pop()
            at = ball_slopes(data, box_a, box_b)
            if not (
                (at.a + 2 * ridge_ball * box_a).contains(0)
                and (at.b + 2 * ridge_ball * box_b).contains(0)
            ):
                continue
            if float(box_a.rad()) < 0.5:
                # Twice the box, so that a root on an edge lies inside.
                # The same root is met from both sides.
                wide = [arb(float(side.mid()), 2 * float(side.rad())) for side in (box_a, box_b)]
                point = point_in(data, ridge_ball, *wide)
                if point is not None:
                    known = any(
                        wide[0].contains(other.a) and wide[1].contains(other.b) for other in found
                    )
                    if not known:
                        found.append(refined(data, ridge_ball, point))
                    continue
            if depth == DEEPEST:
                raise ArithmeticError(f"undecided box {box_a}, {box_b}")
            stack += [(*half, depth + 1) for half in halves(box_a, box_b)]
    return sorted(found, key=lambda point: (point.kind, float(point.value.mid())))


def refined(data: Data, ridge, point: Point) -> Point:
    """The same point in a box of about 1e-20.

    Newton's method in floats comes first, then certified images of ever smaller boxes.
    """
    module = intervals.flint()
    settled = newton(data, float(ridge.mid()), (float(point.a.mid()), float(point.b.mid())))
    if settled is None:
        return point
    with module.ctx.workprec(intervals.PRECISION):
        centre = [module.arb(coordinate) for coordinate in settled]
        for radius in (1e-8, 1e-13, 1e-20):
            better = point_in(
                data, ridge, *(module.arb(coordinate, radius) for coordinate in centre)
            )
            if better is None or not (point.a.contains(better.a) and point.b.contains(better.b)):
                return point
            point = better
            centre = (better.a.mid(), better.b.mid())
    return point


def candidate(data: Data, ridges: tuple[float, float], box_a, box_b):
    """The derivatives in the box and the ridges of its points. ``None`` if it holds no point.

    A box holds none of a ridge in ``ridges`` if ∇J excludes 0 for all these ridges, if θ is nowhere
    parallel to ∇L, or if c = -<θ, ∇L>/2|θ|² lies outside ``ridges``.
    """
    arb = intervals.flint().arb
    span = arb((ridges[0] + ridges[1]) / 2, (ridges[1] - ridges[0]) / 2)
    at = ball_slopes(data, box_a, box_b)
    if not ((at.a + 2 * span * box_a).contains(0) and (at.b + 2 * span * box_b).contains(0)):
        return None
    move_a, move_b = box_a - box_a.mid(), box_b - box_b.mid()
    middle = slopes(data, box_a.mid(), box_b.mid(), lambda z: z.exp())
    turn = middle.b * box_a.mid() - middle.a * box_b.mid()
    turn += (at.b + box_a * at.ab - box_b * at.aa) * move_a + (
        box_a * at.bb - at.a - box_b * at.ab
    ) * move_b
    if not turn.contains(0):
        return None
    if box_a.contains(0) and box_b.contains(0):
        return at, span
    ridge = -(box_a * at.a + box_b * at.b) / (2 * (box_a * box_a + box_b * box_b))
    return None if ridge < ridges[0] or ridge > ridges[1] else (at, ridge)


def only_fold(
    data: Data, ridges: tuple[float, float], fold: tuple[tuple, float] | None
) -> tuple[bool, str]:
    """Whether no (θ, c) with c in ``ridges`` has ∇J = 0 and det H = 0.

    The box ``fold`` = (centre, radius) is left out, if there is one.
    """
    module = intervals.flint()
    with module.ctx.workprec(BITS):
        arb = module.arb
        reach = farthest(data, ridges[0])
        stack = [(arb(0, reach), arb(0, reach), 0)]
        count = 0
        while stack:
            box_a, box_b, depth = stack.pop()
            count += 1
            found = candidate(data, ridges, box_a, box_b)
            if found is None:
                continue
            at, ridge = found
            determinant = (at.aa + 2 * ridge) * (at.bb + 2 * ridge) - at.ab * at.ab
            if not determinant.contains(0):
                continue
            if fold is not None:
                (a, b), radius = fold
                if arb(a, radius).contains(box_a) and arb(b, radius).contains(box_b):
                    continue
            if depth == DEEPEST:
                return False, f"undecided box {box_a}, {box_b}"
            stack += [(*half, depth + 1) for half in halves(box_a, box_b)]
    return True, f"{count} boxes"


class Line(NamedTuple):
    """The points origin + s direction, in floats."""

    origin: tuple[float, float]
    direction: tuple[float, float]

    def at(self, s):
        """The point at ``s``, a ball."""
        return self.origin[0] + s * self.direction[0], self.origin[1] + s * self.direction[1]

    def side(self, a, b):
        """Positive on the left of the line, negative on the right."""
        return self.direction[0] * (b - self.origin[1]) - self.direction[1] * (a - self.origin[0])


def boundary(x: int, level: float = 0.0) -> Line:
    """The line 1 + ax + bx² = ``level``. At level 0 it is h(x) = 1/2.

    It is exact in floats up to a rounding that :func:`none_on_line` allows for.
    """
    return Line((0.0, (level - 1) / x**2), (1.0, -1 / x))


def none_on_line(
    data: Data, ridges: tuple[float, float], line: Line, below: int | None = None
) -> tuple[bool, str]:
    """Whether no minimum of a ridge in ``ridges`` lies on ``line``.

    With ``below``, only where h(below) < 1/2.

    On a :func:`boundary` this keeps the class of a cluster constant along every branch of minima.
    """
    module = intervals.flint()
    with module.ctx.workprec(BITS):
        arb = module.arb
        length = math.hypot(*line.direction)
        reach = (farthest(data, ridges[0]) + math.hypot(*line.origin)) / length
        stack = [(arb(0, reach), 0)]
        count = 0
        while stack:
            s, depth = stack.pop()
            count += 1
            # The line's numbers are rounded: a sliver of a box holds the exact line too.
            box_a, box_b = (side + arb(0, 1e-15 * (1 + reach)) for side in line.at(s))
            if below is not None and 1 + box_a * below + box_b * below**2 > 0:
                continue
            found = candidate(data, ridges, box_a, box_b)
            if found is None:
                continue
            at, ridge = found
            if (at.aa + 2 * ridge) * (
                at.bb + 2 * ridge
            ) - at.ab * at.ab < 0:  # saddles have no claim to a class
                continue
            if depth == DEEPEST:
                return False, f"undecided at {box_a}, {box_b}"
            stack += [(half, depth + 1) for half, _ in halves(s, arb(0))]
    return True, f"{count} intervals"


def least_on_line(data: Data, ridge: float, line: Line, above: float) -> bool:
    """Whether J > ``above`` everywhere on the line, by halving.

    Nothing is left to show where c|θ|² alone exceeds ``above``.
    """
    module = intervals.flint()
    with module.ctx.workprec(BITS):
        arb = module.arb
        lowest = sum(
            min(0, w) * max(t * t, (1 - t) ** 2)
            for w, t in zip(data.weights, data.targets, strict=True)
        )
        reach = (math.sqrt((above - lowest) / ridge) + math.hypot(*line.origin)) / math.hypot(
            *line.direction
        )
        stack = [(arb(0, reach), 0)]
        while stack:
            s, depth = stack.pop()
            (box_a, box_b), middle = line.at(s), line.at(s.mid())
            at = ball_slopes(data, box_a, box_b)
            there = slopes(data, *middle, lambda z: z.exp())
            move = s - s.mid()
            value = at.value + ridge * (box_a * box_a + box_b * box_b)
            # The mean value form in s of J itself:
            # near the least point the slopes of L and of the ridge term cancel.
            slope = line.direction[0] * (at.a + 2 * ridge * box_a) + line.direction[1] * (
                at.b + 2 * ridge * box_b
            )
            along = (
                there.value + ridge * (middle[0] * middle[0] + middle[1] * middle[1]) + slope * move
            )
            if value > above or along > above:
                continue
            if depth == 30:
                return False
            stack += [(half, depth + 1) for half, _ in halves(s, arb(0))]
    return True
