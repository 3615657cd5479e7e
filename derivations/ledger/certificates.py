"""Certificates: rigorous computations that the checker carries out itself.

Each certificate is data: equations, a box, a ball, arguments, what is claimed. :meth:`verify` does
the computation. A claim cannot hand over a bare ``True``.

* :class:`Root`: a box holds exactly one root, and expressions at the root have printed values.
* :class:`Enclosed`: an expression over a box of balls lies on one side of a bound.
* :class:`Enumerated`: an exact computation over finitely many cases gives the claimed value.
* :class:`Cover`: a region is halved until every box is decided by a test in ball arithmetic.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import sympy as sp

from derivations.ledger import intervals
from derivations.ledger.steps import Verdict
from derivations.ledger.theorems import last_digit

DEEPEST = 60  # halvings of a box before a cover gives up


class Root(NamedTuple):
    """The box ``centre ± radius`` holds exactly one root of ``equations``.

    ``printed`` maps names to pairs of an expression in the unknowns and its decimal digits. The
    expression at the root must round to these digits. ``point`` gives parameters as rationals.
    """

    text: str
    equations: tuple[sp.Expr, ...]
    unknowns: tuple[sp.Symbol, ...]
    centre: tuple[str, ...]
    radius: str
    printed: Mapping[str, tuple[sp.Expr, str]] = {}
    point: Mapping[sp.Symbol, object] = {}

    def verify(self) -> Verdict:
        """The Krawczyk test in Arb, then the printed values in its image."""
        inside, detail = intervals.krawczyk(
            self.equations, self.unknowns, self.centre, self.radius, dict(self.point)
        )
        if not inside:
            return Verdict(None, detail)
        box = {
            symbol: intervals.ball(centre, self.radius)
            for symbol, centre in zip(self.unknowns, self.centre, strict=True)
        }
        for name, (expression, digits) in self.printed.items():
            ball = intervals.enclose(expression, dict(self.point) | box)
            holds = rounds_to(ball, digits)
            if holds is not True:
                return Verdict(holds, f"{name} lies in {ball.str(18)}, not at {digits}")
        return Verdict(True, detail)

    def refute(self) -> Verdict | None:
        """The verdict where a printed value is certainly wrong, or the box holds no root."""
        verdict = self.verify()
        if verdict.holds is None and "not inside" in verdict.detail:
            return Verdict(False, verdict.detail)
        return verdict if verdict.holds is False else None


class Enclosed(NamedTuple):
    """``expression sign bound`` for every value of the balls or rationals in ``point``."""

    text: str
    expression: sp.Expr
    sign: str
    bound: sp.Expr
    point: Mapping[sp.Symbol, object] = {}

    def verify(self) -> Verdict:
        """The comparison of two balls."""
        left = intervals.enclose(self.expression, dict(self.point))
        right = intervals.enclose(sp.sympify(self.bound), dict(self.point))
        certain = {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}
        wrong = {"<": left >= right, ">": left <= right, "<=": left > right, ">=": left < right}
        detail = f"{left.str(12)} {self.sign} {right.str(12)}"
        if certain[self.sign]:
            return Verdict(True, detail)
        return Verdict(False if wrong[self.sign] else None, detail)

    def refute(self) -> Verdict | None:
        """The verdict if the opposite is certain."""
        verdict = self.verify()
        return verdict if verdict.holds is False else None


class Enumerated(NamedTuple):
    """``compute(*arguments) == claimed``, exactly: integers, fractions, SymPy numbers or tuples."""

    text: str
    compute: Callable[..., object]
    arguments: Sequence[object]
    claimed: object

    def verify(self) -> Verdict:
        """Compute, and compare. Floating-point numbers are refused: they are not exact."""
        found = self.compute(*self.arguments)
        if _has_float(found) or _has_float(self.claimed):
            return Verdict(None, "a floating-point number is no exact value")
        if isinstance(found, bool):
            return Verdict(None, "a bare truth value carries no data")
        return Verdict(found == self.claimed, f"computed {_short(found)}")

    def refute(self) -> Verdict | None:
        """The verdict if the values differ."""
        verdict = self.verify()
        return verdict if verdict.holds is False else None


class Cover(NamedTuple):
    """Every part of the box ``corners`` passes ``decided``, after halving as often as needed.

    ``decided`` takes ``arguments``, then one ball for each side. It returns True if the statement
    certainly holds there, or None to have the box halved. It returns False where the statement is
    certainly wrong.
    Boxes are halved at dyadic fractions, and each ball contains its part: there are no gaps.
    """

    text: str
    corners: tuple[tuple[str, str], ...]
    decided: Callable[..., bool | None]
    arguments: tuple = ()
    deepest: int = DEEPEST

    def verify(self) -> Verdict:
        """Halve until every box is decided. Undecided at the deepest level: not proved."""
        sides = tuple((Fraction(low), Fraction(high)) for low, high in self.corners)
        stack, count = [(sides, 0)], 0
        while stack:
            box, depth = stack.pop()
            count += 1
            holds = self.decided(*self.arguments, *(_ball(side) for side in box))
            if holds is False:
                return Verdict(False, f"wrong on {_describe(box)}")
            if holds is None and depth == self.deepest:
                return Verdict(None, f"undecided on {_describe(box)}")
            if holds is None:
                stack += [(half, depth + 1) for half in _halves(box)]
        return Verdict(True, f"{count} boxes")

    def refute(self) -> Verdict | None:
        """The verdict if some box is certainly wrong."""
        verdict = self.verify()
        return verdict if verdict.holds is False else None


KINDS = (Root, Enclosed, Enumerated, Cover)


def digits_of(number: sp.Expr, significant: int) -> str:
    """``number`` as a decimal of so many significant digits, for a printed value."""
    exact = sp.Rational(number)
    return f"{Decimal(int(exact.p)) / Decimal(int(exact.q)):.{significant - 1}e}"


def rounds_to(ball, digits: str) -> bool | None:
    """Whether every number of ``ball`` rounds to the decimal ``digits``; None if only some do."""
    printed = Fraction(digits)
    half = last_digit(digits) / 2
    low, high = (
        intervals.ball(f"{end.numerator}/{end.denominator}")
        for end in (printed - half, printed + half)
    )
    if low <= ball and ball <= high:
        return True
    return False if ball < low or ball > high else None


def _ball(side: tuple[Fraction, Fraction]):
    """A ball that contains the interval ``side``."""
    module = intervals.flint()
    low, high = (module.arb(module.fmpq(end.numerator, end.denominator)) for end in side)
    return low.union(high)


def _halves(box: tuple) -> list[tuple]:
    longest = max(range(len(box)), key=lambda index: box[index][1] - box[index][0])
    low, high = box[longest]
    middle = (low + high) / 2
    return [(*box[:longest], half, *box[longest + 1 :]) for half in ((low, middle), (middle, high))]


def _describe(box: tuple) -> str:
    return " x ".join(f"[{float(low):.6g}, {float(high):.6g}]" for low, high in box)


def _has_float(value: object) -> bool:
    if isinstance(value, dict):
        value = (*value.keys(), *value.values())
    if isinstance(value, tuple | list):
        return any(_has_float(part) for part in value)
    return isinstance(value, float) or (isinstance(value, sp.Basic) and bool(value.atoms(sp.Float)))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else f"{text[:57]}..."
