"""The path of ``J_γ = L_R - γ L_F + (λ/2)|w|²`` on small problems, from values and gradients alone.

A data set is split in two: the first half of its rows is R, the second half is F, and their weights
are their numbers of samples. A landscape is any pair of gradients, of L_R and of L_F. The path is
followed from the oracle by arclength. Slopes are difference quotients. All numbers are mpmath's.
"""

import functools
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import mpmath
from mpmath import mpf

from derivations.descent_ascent import data_measures, measures
from derivations.descent_ascent.data_measures import Data, norm
from derivations.descent_ascent.measures import MarginLoss
from derivations.ledger.theorems import NoValue

LONGEST_PATH = 40  # steps along a path before it counts as endless
FARTHEST = 10**3  # weights beyond which a path counts as escaped
NEWTON_STEPS = 30

# Losses with the slope -φ, each up to a constant.
VALUES: dict[MarginLoss, Callable] = {
    measures.EXPONENTIAL: lambda m: mpmath.exp(-m),
    measures.LOGISTIC: lambda m: mpmath.log1p(mpmath.exp(-abs(m))) + max(-m, mpf(0)),
    measures.RAISED: lambda m: mpmath.exp(-m) - m / 2,
    measures.HEAVY: lambda m: m * mpmath.atan(m) - mpmath.log1p(m * m) / 2 - mpmath.pi * m / 2,
    measures.WAVY: lambda m: mpf(9) / 200 * mpmath.cos(20 * m) - m,
}
LOSSES = tuple(VALUES)


class Split(NamedTuple):
    """All rows, the shares of R and those of F (each adds up to 1), r and f."""

    rows: mpmath.matrix
    of_retain: list
    of_forget: list
    retain_size: mpf
    forget_size: mpf

    def weights(self, on_retain: object, on_forget: object) -> list:
        """The weight of each row in ``on_retain L_R + on_forget L_F``."""
        pairs = zip(self.of_retain, self.of_forget, strict=True)
        return [on_retain * one + on_forget * other for one, other in pairs]


def split(data: Data) -> Split:
    """The two halves of ``data``. :class:`NoValue` with fewer than two rows."""
    sizes = data_measures.numbers(data.signed)
    first = (len(sizes) + 1) // 2
    if first == len(sizes):
        raise NoValue("no sample is forgotten")
    kept, forgotten = sum(sizes[:first]), sum(sizes[first:])
    return Split(
        rows=data_measures.matrix(data.rows),
        of_retain=[c / kept if i < first else mpf(0) for i, c in enumerate(sizes)],
        of_forget=[c / forgotten if i >= first else mpf(0) for i, c in enumerate(sizes)],
        retain_size=kept,
        forget_size=forgotten,
    )


def mean_loss(parts: Split, shares: Sequence, w: mpmath.matrix, loss: MarginLoss) -> mpf:
    """``sum c_i ℓ(m_i)`` over the rows that have a weight."""
    margins = parts.rows * w
    return sum(c * VALUES[loss](m) for c, m in zip(shares, margins, strict=True) if c != 0)


def forget_slope(parts: Split, w: mpmath.matrix, loss: MarginLoss) -> mpmath.matrix:
    """∇L_F."""
    return data_measures.gradient(parts.rows, parts.of_forget, mpf(0), w, loss)


def on_path(
    parts: Split, strength: object, ridge: object, loss: MarginLoss, start: object = None
) -> mpmath.matrix:
    """The stationary point of J_γ that Newton's steps from ``start`` reach."""
    signed = parts.weights(mpf(1), -strength)
    return data_measures.stationary(parts.rows, signed, ridge, loss, start)


def path_hessian(
    parts: Split, strength: object, ridge: object, w: mpmath.matrix, loss: MarginLoss
) -> mpmath.matrix:
    """H_γ at ``w``."""
    return data_measures.data_hessian(parts.rows, parts.weights(mpf(1), -strength), ridge, w, loss)


class Beside(NamedTuple):
    """The oracle, w_D and w(γ) beside it, and H_R and ∇L_F at the oracle."""

    oracle: mpmath.matrix
    pretrained: mpmath.matrix
    ascended: mpmath.matrix
    hessian: mpmath.matrix
    slope: mpmath.matrix


def beside_oracle(data: Data, ridge: object, loss: MarginLoss, share: mpf) -> Beside:
    """The minima for f/r = ``share`` and for γ = ``share``, by Newton's steps from the oracle."""
    parts = split(data)
    oracle = on_path(parts, mpf(0), ridge, loss)
    pooled = parts.weights(1 / (1 + share), share / (1 + share))
    return Beside(
        oracle=oracle,
        pretrained=data_measures.stationary(parts.rows, pooled, ridge, loss, oracle),
        ascended=on_path(parts, share, ridge, loss, oracle),
        hessian=path_hessian(parts, mpf(0), ridge, oracle, loss),
        slope=forget_slope(parts, oracle, loss),
    )


def least_eigenvalue(symmetric: mpmath.matrix) -> mpf:
    """The smallest eigenvalue."""
    if len(symmetric) == 1:
        return symmetric[0]
    return min(mpmath.eigsy(symmetric, eigvals_only=True))


class EscapesError(NoValue):
    """The path from the oracle is unbounded."""


class Landscape(NamedTuple):
    """∇L_R and ∇L_F as functions of (w, λ), and a singular point (w, γ) if one is known."""

    name: str
    dimension: int
    retain: Callable
    forget: Callable
    singular: tuple | None = None


def _one_weight(name: str, retain: Callable, forget: Callable, singular=None) -> Landscape:
    def column(slope: Callable) -> Callable:
        return lambda w, ridge: mpmath.matrix([slope(w[0], ridge)])

    return Landscape(name, 1, column(retain), column(forget), singular)


# Squared loss, one sample in both sets: its path escapes.
ESCAPING = _one_weight("one sample, squared loss", lambda w, _: w - 1, lambda w, _: w - 1)
# ∇J = (w - 1)³ + λ(1 - γ)(w + 1): its path passes a singular point.
PASSING = _one_weight(
    "a path with D³J = 0",
    lambda w, ridge: (w - 1) ** 3 + ridge,
    lambda w, ridge: ridge * (w + 1),
    (1, 1),
)
# ∇J = w³ + λ(w - γ(w + w²)): ∇L_F vanishes where H does.
CROSSING = _one_weight(
    "a path with no ∇L_F along n",
    lambda w, _: w**3,
    lambda w, ridge: ridge * (w + w**2),
    (0, 1),
)


def of_data(data: Data, retain_loss: MarginLoss, forget_loss: MarginLoss) -> Landscape:
    """The landscape of a data set, with a loss for each of its halves."""

    @functools.cache
    def parts(digits: int) -> Split:
        return split(data)

    def slope(of: str, loss: MarginLoss) -> Callable:
        def gradient_at(w, _):
            there = parts(mpmath.mp.dps)
            return data_measures.gradient(there.rows, getattr(there, of), mpf(0), w, loss)

        return gradient_at

    return Landscape(
        name=f"{data.name}, {retain_loss.name} on R, {forget_loss.name} on F",
        dimension=len(data.rows[0]),
        retain=slope("of_retain", retain_loss),
        forget=slope("of_forget", forget_loss),
    )


def drawn_landscape(generator: random.Random) -> Landscape:
    """A small data set, a convex loss on R and one on F that ascent makes steep."""
    data = data_measures.data_maker(3, 2, signed=False)(generator)
    retain_loss = generator.choice(measures.DECREASING)
    return of_data(data, retain_loss, generator.choice((measures.EXPONENTIAL, measures.RAISED)))


def path_slope(problem: Landscape, ridge: object, w: mpmath.matrix, strength: object):
    """∇J_γ."""
    return problem.retain(w, ridge) - strength * problem.forget(w, ridge) + ridge * w


def jacobian(function: Callable, at: mpmath.matrix) -> mpmath.matrix:
    """The matrix of derivatives, by central differences."""
    h = mpf(10) ** (-mpmath.mp.dps // 3) * (1 + norm(at))
    columns = []
    for index in range(len(at)):
        step = mpmath.matrix(len(at), 1)
        step[index] = h
        columns.append((function(at + step) - function(at - step)) / (2 * h))
    return mpmath.matrix([[column[i] for column in columns] for i in range(len(columns[0]))])


def root_near(function: Callable, start: mpmath.matrix) -> mpmath.matrix:
    """The root that damped Newton steps from ``start`` reach.

    :class:`NoValue` if they do not settle.
    """
    at, left = start.copy(), function(start)
    for _ in range(NEWTON_STEPS):
        move = data_measures.linear_solution(jacobian(function, at), left)
        if norm(move) <= mpf(10) ** (4 - mpmath.mp.dps) * (1 + norm(at)):
            return at - move
        shorter = _shortened(function, at, move, norm(left))
        if shorter is None and norm(move) <= mpf(10) ** (-mpmath.mp.dps // 2) * (1 + norm(at)):
            return at  # |function| is its rounding, which difference quotients make larger
        if shorter is None:
            break
        at, left = shorter
    raise NoValue("Newton's steps do not settle")


def _shortened(function: Callable, at, move, size) -> tuple | None:
    """The place after the longest of ``move``, half of it, ... that lowers |function|."""
    for halvings in range(20):
        new = at - move / 2**halvings
        left = _value_or_none(function, new)
        if left is not None and norm(left) < size:
            return new, left
    return None


def _value_or_none(function: Callable, at) -> mpmath.matrix | None:
    try:
        return function(at)
    except NoValue:
        return None


def joined(w: Sequence, *more: object) -> mpmath.matrix:
    """A column that continues ``w``."""
    return mpmath.matrix([*w, *more])


@functools.lru_cache(maxsize=256)
def path_from_oracle(problem: Landscape, ridge: object) -> tuple:
    """The places (w, γ) on the path from the oracle to where γ turns back, with tangents.

    They are computed at 10 digits: the turn is found again from there. :class:`NoValue` if γ does
    not turn back within the steps, or if the ridge is not positive.
    """
    if not ridge > 0:
        raise NoValue(f"the ridge must be > 0, got {ridge}")
    with mpmath.workdps(10):
        size = problem.dimension

        def slope(place):
            return path_slope(problem, ridge, place[:size], place[size])

        w = root_near(lambda w: path_slope(problem, ridge, w, mpf(0)), mpmath.matrix(size, 1))
        place, tangent = joined(w, 0), joined([mpf(0)] * size, 1)
        found, length = [], mpf(1) / 8
        for _ in range(LONGEST_PATH):
            tangent = _tangent(slope, place, tangent)
            found.append((place, tangent))
            if tangent[size] < 0:
                return tuple(found)
            if norm(place) > FARTHEST:
                raise EscapesError("w leaves every bound")
            place, length = _next_place(slope, place, tangent, length)
        raise NoValue("γ does not turn back")


def _tangent(slope: Callable, place: mpmath.matrix, before: mpmath.matrix) -> mpmath.matrix:
    across = jacobian(slope, place)
    bordered = mpmath.matrix([*across.tolist(), list(before)])
    direction = data_measures.linear_solution(bordered, joined([mpf(0)] * (len(place) - 1), 1))
    return direction / norm(direction)


def _next_place(slope: Callable, place, tangent, length) -> tuple:
    while length > mpf("1e-4"):
        ahead = place + length * tangent

        def corrected(at, ahead=ahead):
            return joined(slope(at), data_measures.dot(tangent, at - ahead))

        try:
            new = root_near(corrected, ahead)
        except NoValue:
            length /= 2
            continue
        if norm(new - ahead) < length / 4:
            return new, length * 3 / 2
        length /= 2
    raise NoValue("the path is lost")


class Turn(NamedTuple):
    """A singular point of the path: w, γ, n with H n = 0, <n, ∇L_F> and D³J[n, n, n]."""

    w: mpmath.matrix
    strength: mpf
    null: mpmath.matrix
    inner: mpf
    third: mpf


def turn(problem: Landscape, ridge: object) -> Turn:
    """The first singular point on the path from the oracle, at the working precision."""
    return _turn(problem, ridge, mpmath.mp.dps)


@functools.lru_cache(maxsize=256)
def _turn(problem: Landscape, ridge: object, digits: int) -> Turn:
    size = problem.dimension
    with mpmath.workdps(2 * digits):  # third derivatives lose half of the digits
        if problem.singular is not None:
            w = mpmath.matrix([problem.singular[0]])
            strength, null = mpf(problem.singular[1]), mpmath.matrix([1])
        else:
            start = _near_turn(path_from_oracle(problem, ridge), size)

            def equations(at):
                w, strength, null = at[:size], at[size], at[size + 1 :]
                slope = path_slope(problem, ridge, w, strength)
                h = mpf(10) ** (-mpmath.mp.dps // 3)
                bent = (
                    path_slope(problem, ridge, w + h * null, strength)
                    - path_slope(problem, ridge, w - h * null, strength)
                ) / (2 * h)
                return joined(slope, *bent, data_measures.dot(null, null) - 1)

            found = root_near(equations, start)
            w, strength, null = found[:size], found[size], found[size + 1 :]
        along = functools.partial(_slope_along, problem, ridge, w, strength, null)
        return Turn(
            w=w,
            strength=strength,
            null=null,
            inner=data_measures.dot(null, problem.forget(w, ridge)),
            third=second_difference(along),
        )


def _near_turn(places: tuple, size: int) -> mpmath.matrix:
    """(w, γ, n) where γ' would vanish if it were linear between the last two places."""
    (before, early), (after, late) = places[-2:]
    share = early[size] / (early[size] - late[size])
    place, tangent = before + share * (after - before), early + share * (late - early)
    direction = mpmath.matrix(list(tangent[:size]))
    return joined(place, *(direction / norm(direction)))


def _slope_along(problem: Landscape, ridge, w, strength, null, step) -> mpf:
    """<n, ∇J> at w + step n."""
    return data_measures.dot(null, path_slope(problem, ridge, w + step * null, strength))


def second_difference(function: Callable) -> mpf:
    """The second derivative at 0 by a central difference."""
    h = mpf(10) ** (-mpmath.mp.dps // 4)
    return (function(h) - 2 * function(mpf(0)) + function(-h)) / h**2


def hessian_at(problem: Landscape, ridge, w, strength) -> mpmath.matrix:
    """H_γ, by differences."""
    return jacobian(lambda at: path_slope(problem, ridge, at, strength), w)


def beside_turn(problem: Landscape, ridge: object, at: Turn, step: mpf) -> tuple:
    """(w, γ) on the curve of stationary points where <n, w - w_turn> = ``step``."""
    size = problem.dimension

    def equations(place):
        w = place[:size]
        slope = path_slope(problem, ridge, w, place[size])
        return joined(slope, data_measures.dot(at.null, w - at.w) - step)

    found = root_near(equations, joined(at.w + step * at.null, at.strength))
    return found[:size], found[size]


def distinct_roots(function: Callable, starts: Sequence[mpmath.matrix]) -> int:
    """How many different roots Newton's steps from ``starts`` reach; steps may fail."""
    roots: list[mpmath.matrix] = []
    for start in starts:
        try:
            found = root_near(function, start)
        except NoValue:
            continue
        if all(norm(found - root) > mpmath.sqrt(mpmath.eps) * (1 + norm(found)) for root in roots):
            roots.append(found)
    return len(roots)


def halfway(problem: Landscape, ridge: object) -> tuple[mpmath.matrix, mpf]:
    """(w, γ) on the path between the oracle and its first singular point."""
    if problem.singular is not None:
        start, strength = mpmath.matrix(problem.dimension, 1), mpf(problem.singular[1]) / 2
    else:
        places = path_from_oracle(problem, ridge)
        place = places[len(places) // 2][0]
        start, strength = place[: problem.dimension], place[problem.dimension]
    return root_near(lambda w: path_slope(problem, ridge, w, strength), start), strength
