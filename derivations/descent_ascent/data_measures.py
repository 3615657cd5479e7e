"""Small data sets for the searches, and their minima by damped Newton steps on the gradient.

All numbers are mpmath's. Weights of samples may have either sign.
"""

import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import mpmath
from mpmath import mpf

from derivations.descent_ascent.measures import LOGISTIC, MarginLoss
from derivations.ledger.theorems import NoValue, number

NEWTON_STEPS = 200
LARGEST_MARGIN = 1000


class Data(NamedTuple):
    """Rows ``z_i = y_i x_i``, a weight for each, and a point of the space of weights."""

    rows: tuple[tuple[Fraction, ...], ...]
    signed: tuple[Fraction, ...]
    point: tuple[Fraction, ...]

    @property
    def name(self) -> str:
        return f"rows {_short(self.rows)}, weights {_short([self.signed])[1:-1]}"


def _short(rows: Sequence[Sequence[Fraction]]) -> str:
    return "(" + ", ".join(f"({', '.join(f'{float(v):g}' for v in row)})" for row in rows) + ")"


def data_maker(rows: int, columns: int, *, signed: bool) -> Callable[[random.Random], Data]:
    """A maker of data with up to so many rows and columns, some rows equal, opposite or zero."""

    def make(generator: random.Random) -> Data:
        width = generator.randint(1, columns)
        size = 10 ** generator.uniform(-1, 1)
        made = [_row(generator, width, size) for _ in range(generator.randint(2, rows))]
        if generator.random() < 0.3:
            made[-1] = tuple(generator.choice((0, 1, -1)) * value for value in made[0])
        weights = [_rational(generator.uniform(0.1, 2)) for _ in made]
        if signed:
            weights = [generator.choice((1, 1, -1)) * weight for weight in weights]
        return Data(tuple(made), tuple(weights), _row(generator, width, 1.0))

    return make


def _row(generator: random.Random, width: int, size: float) -> tuple[Fraction, ...]:
    return tuple(_rational(generator.gauss(0, size)) for _ in range(width))


def _rational(value: float) -> Fraction:
    return Fraction(f"{value:.4g}")


def special(width: int = 2) -> tuple[Data, ...]:
    """Equal rows, opposite rows, a zero row, one row alone."""
    one = tuple(Fraction(k + 1, 2) for k in range(width))
    zero = (Fraction(0),) * width
    minus = tuple(-value for value in one)
    weights = (Fraction(1), Fraction(1, 2))
    return tuple(
        Data(rows, weights[: len(rows)], one)
        for rows in ((one, one), (one, minus), (one, zero), (one,))
    )


def numbers(values: Sequence[Fraction]) -> list:
    """The values as mpmath's, at the working precision."""
    return [number(value) for value in values]


def matrix(rows: Sequence[Sequence[Fraction]]) -> mpmath.matrix:
    """The rows as an mpmath matrix."""
    return mpmath.matrix([numbers(row) for row in rows])


def vector(values: Sequence) -> mpmath.matrix:
    """The values as a column."""
    return mpmath.matrix([number(value) for value in values])


def gradient(rows, signed: Sequence, ridge, w, loss: MarginLoss = LOGISTIC):
    """``ridge w - sum c_i φ(m_i) z_i``."""
    margins = rows * w
    if max(abs(margin) for margin in margins) > LARGEST_MARGIN:
        raise NoValue("the margins leave every range")
    drift = mpmath.matrix([c * loss.phi(m) for c, m in zip(signed, margins, strict=True)])
    return ridge * w - rows.T * drift


def data_hessian(rows, signed: Sequence, ridge, w, loss: MarginLoss = LOGISTIC):
    """``ridge - sum c_i φ'(m_i) z_i z_i'``."""
    margins = rows * w
    curved = mpmath.diag([-c * loss.slope(m) for c, m in zip(signed, margins, strict=True)])
    return ridge * mpmath.eye(len(w)) + rows.T * curved * rows


def stationary(rows, signed: Sequence, ridge, loss: MarginLoss = LOGISTIC, start=None):
    """The stationary point that damped Newton steps from ``start`` (or 0) reach.

    :class:`NoValue` if they do not settle, or if the ridge is not positive.
    """
    if not ridge > 0:
        raise NoValue(f"the ridge must be > 0, got {ridge}")
    w = mpmath.matrix(rows.cols, 1) if start is None else start.copy()
    left = gradient(rows, signed, ridge, w, loss)
    for _ in range(NEWTON_STEPS):
        move = linear_solution(data_hessian(rows, signed, ridge, w, loss), left)
        share = mpf(1)
        while True:
            new = w - share * move
            new_left = gradient(rows, signed, ridge, new, loss)
            if norm(new_left) < norm(left) or share < mpf("1e-6"):
                break
            share /= 2
        done = norm(move) <= 100 * mpmath.eps * (norm(w) + mpf("1e-60"))
        if norm(new_left) < norm(left):
            w, left = new, new_left
        if done or norm(left) == 0:
            return w
        if share < mpf("1e-6"):
            break
    if norm(left) > mpf(10) ** (10 - mpmath.mp.dps) * _terms(rows, signed, ridge, w, loss):
        raise NoValue("Newton's steps do not settle")
    return w


def _terms(rows, signed: Sequence, ridge, w, loss: MarginLoss):
    """The size of the terms of the gradient."""
    on_rows = (
        abs(c * loss.phi(m)) * norm(rows[index, :])
        for index, (c, m) in enumerate(zip(signed, rows * w, strict=True))
    )
    return abs(ridge) * norm(w) + sum(on_rows)


def linear_solution(square: mpmath.matrix, right: mpmath.matrix) -> mpmath.matrix:
    """The solution of a linear system. :class:`NoValue` if the matrix is singular."""
    try:
        return mpmath.lu_solve(square, right)
    except ZeroDivisionError as error:
        raise NoValue("the matrix is singular") from error


def norm(values):
    """The Euclidean norm; the Frobenius norm of a matrix."""
    return mpmath.sqrt(sum(value**2 for value in values))


def dot(one, other):
    """The inner product of two columns."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def outside_span(rows, w):
    """The part of ``w`` that is orthogonal to all rows, by Gram and Schmidt."""
    basis = []
    for index in range(rows.rows):
        row = mpmath.matrix(list(rows[index, :]))
        size = norm(row)
        for _ in range(2):
            for unit in basis:
                row = row - dot(unit, row) * unit
        if norm(row) > mpmath.sqrt(mpmath.eps) * size:
            basis.append(row / norm(row))
    rest = w.copy()
    for unit in (*basis, *basis):
        rest = rest - dot(unit, rest) * unit
    return rest


def flow(rows, signed: Sequence, ridge, start, time, loss: MarginLoss = LOGISTIC, steps=60):
    """The gradient flow from ``start`` for ``time``, by Runge and Kutta's steps of order 4."""
    w, h = start.copy(), time / steps
    for _ in range(steps):
        a = -gradient(rows, signed, ridge, w, loss)
        b = -gradient(rows, signed, ridge, w + h / 2 * a, loss)
        c = -gradient(rows, signed, ridge, w + h / 2 * b, loss)
        d = -gradient(rows, signed, ridge, w + h * c, loss)
        w = w + h / 6 * (a + 2 * b + 2 * c + d)
    return w
