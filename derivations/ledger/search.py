"""The search for violations of a theorem, and for hypotheses that it does not need.

:func:`search` measures points of the domain until one violates a conclusion. :func:`weakenings`
states the theorem wrongly on purpose: without a hypothesis, on a larger domain, with ``<`` for
``<=``, with the other direction, with another last digit. Each such statement should be violated
somewhere. If none of the points tried violates it, the change is unneeded or untested, and the
report says so.
"""

import functools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple, TypeVar

import sympy as sp

from derivations.ledger import domains, limits
from derivations.ledger.theorems import (
    Conclusion,
    Given,
    Iff,
    Implies,
    Judged,
    NoValue,
    Numbers,
    Order,
    Printed,
    Relation,
    Theorem,
    last_digit,
    relations_of,
)

Result = TypeVar("Result")
FEWEST = 8  # a search that measured fewer points found nothing out
ATTEMPTS = 12  # points drawn for one that is measured
OUTSIDE = 12  # points measured outside a hypothesis or range
IRRATIONAL = (sp.exp, sp.log, sp.LambertW, sp.E, sp.pi)
STRICTER = {"<=": "<", ">=": ">"}
REVERSED = {"<=": ">", ">=": "<", "<": ">=", ">": "<=", "==": "!=", "!=": "=="}


class Found(NamedTuple):
    """A conclusion at a point: where it is violated, or where it is nearest to that."""

    conclusion: str
    point: domains.Point
    margin: float

    def __str__(self) -> str:
        where = domains.describe_point(self.point) or "the one example"
        return f"{self.conclusion} at {where} (margin {margin(self.margin, 3)})"


def margin(value: float, digits: int = 2) -> str:
    """A margin as text. Both zeros are ``0``."""
    return f"{value + 0.0:.{digits}g}"


class Search(NamedTuple):
    """What a search found. ``numbers`` are the points that lie in the domain.

    ``unmeasured`` points have no value. ``too_long`` of them were abandoned at the time limit.
    """

    measured: int
    unmeasured: int
    too_long: int
    violation: Found | None
    worst: Mapping[str, Found]
    silent: tuple[str, ...]
    numbers: tuple[Numbers, ...] = ()

    @property
    def holds(self) -> bool:
        """No violation, enough points, and every conclusion said something at one of them."""
        return self.violation is None and not self.silent and self.measured > 0

    @property
    def worst_margin(self) -> float | None:
        """The smallest margin of all conclusions, None if nothing was measured."""
        return min((found.margin for found in self.worst.values()), default=None)


class Weakening(NamedTuple):
    """A theorem stated wrongly: the change in words, and what was found against it.

    ``kind`` is one of ``hypothesis``, ``domain``, ``strict``, ``direction``, ``digit``, ``order``.
    """

    kind: str
    change: str
    found: str | None


def search(theorem: Theorem, seed: object, attempts: int = ATTEMPTS) -> Search:
    """Measure the theorem's number of points, or stop at the first violation.

    At most ``attempts`` times as many points are drawn.
    """
    wanted = theorem.points if theorem.domain else 1
    hunt = Hunt(theorem, seed)
    for numbers in hunt.candidates(wanted * attempts):
        hunt.take(numbers)
        if hunt.violation is not None or hunt.measured >= wanted:
            break
    return hunt.result()


def attack(
    theorem: Theorem, seed: object, seconds: float, limit: float | None = None
) -> Iterator[Search]:
    """What a search of ``seconds`` has found so far, after each point, until a violation.

    Every second point is a step away from the worst one so far. A point is abandoned if it takes
    more than ``limit`` seconds.
    """
    ends = time.monotonic() + seconds
    hunt = Hunt(theorem, seed, keep=False, limit=limit)
    for numbers in hunt.candidates(None):
        hunt.take(numbers)
        if hunt.worst and hunt.violation is None:
            hunt.take(hunt.beside_the_worst())
        yield hunt.result()
        over = time.monotonic() > ends
        if over or hunt.violation is not None or not theorem.domain:
            return


class Hunt:
    """The state of a search: what was measured, and the worst point of each conclusion."""

    def __init__(
        self, theorem: Theorem, seed: object, *, keep: bool = True, limit: float | None = None
    ) -> None:
        self.theorem = theorem
        self.generator = random.Random(str(seed))
        self.keep = keep
        self.limit = limit
        self.measured = 0
        self.unmeasured = 0
        self.too_long = 0
        self.worst: dict[str, Found] = {}
        self.violation: Found | None = None
        self.numbers: list[Numbers] = []
        self.truths: dict[str, set] = {name: set() for name in theorem.conclusions}

    def candidates(self, most: int | None) -> Iterator[Numbers]:
        """Points of the domain, each second one on the boundary of a relation if there are any."""
        boundaries = list(boundaries_of(self.theorem))
        for index, point in enumerate(domains.sample(self.theorem.domain, self.generator)):
            if most is not None and index >= most:
                return
            chosen = [point]
            if boundaries:
                relation = boundaries[index % len(boundaries)]
                chosen += list(on_boundary(relation, self.theorem.domain, point, self.generator))
            for candidate in chosen:
                yield Numbers(self.theorem, candidate)

    def _allowed(self, numbers: Numbers) -> bool:
        return bool(
            self._within_limit(
                lambda: all(numbers.allowed(hypothesis) for hypothesis in self.theorem.hypotheses)
            )
        )

    def _within_limit(self, compute: Callable[[], Result]) -> Result | None:
        """``compute()``. None if there is no value, or none within the time limit."""
        try:
            return limits.within(self.limit, compute)
        except NoValue:
            self.unmeasured += 1
        except limits.TookTooLong:
            self.unmeasured += 1
            self.too_long += 1
        return None

    def take(self, numbers: Numbers) -> None:
        """Judge every conclusion at a point, if it satisfies the hypotheses."""
        if not self._allowed(numbers):
            return
        try:
            judged = self._within_limit(
                lambda: {name: numbers.judge(c) for name, c in self.theorem.conclusions.items()}
            )
        except Exception as error:
            error.add_note(f"at {domains.describe_point(numbers.point)}")
            raise
        if judged is None:
            return
        self.measured += 1
        if self.keep:
            self.numbers.append(numbers)
        for name, verdict in judged.items():
            self._note(name, numbers, verdict)

    def _note(self, name: str, numbers: Numbers, verdict: Judged) -> None:
        if verdict.holds is None:
            return
        self.truths[name].add(verdict.sides[:1] or (True,))
        found = Found(name, numbers.point, verdict.margin)
        if name not in self.worst or verdict.margin < self.worst[name].margin:
            self.worst[name] = found
        if not verdict.holds and self.violation is None:
            self.violation = found

    def beside_the_worst(self) -> Numbers:
        """A point next to the worst one of some conclusion."""
        start = self.generator.choice(list(self.worst.values()))
        point = domains.moved(self.theorem.domain, start.point, self.generator)
        return Numbers(self.theorem, point)

    def result(self) -> Search:
        silent = tuple(
            name
            for name, conclusion in self.theorem.conclusions.items()
            if len(self.truths[name]) < (2 if isinstance(conclusion, Iff) else 1)
        )
        return Search(
            measured=self.measured,
            unmeasured=self.unmeasured,
            too_long=self.too_long,
            violation=self.violation,
            worst=self.worst,
            silent=silent,
            numbers=tuple(self.numbers),
        )


def boundaries_of(theorem: Theorem) -> Iterator[Relation]:
    """The relations between parameters alone: their equalities are worth trying.

    Those with an exponential, a logarithm or an irrational constant are left out: no fraction
    solves them.
    """
    relations = [one for one in theorem.hypotheses if isinstance(one, Relation)]
    for conclusion in theorem.conclusions.values():
        relations += relations_of(conclusion)
    for relation in relations:
        symbols = relation.left.free_symbols | relation.right.free_symbols
        irrational = any(side.has(*IRRATIONAL) for side in (relation.left, relation.right))
        if symbols and symbols <= theorem.domain.keys() and not irrational:
            yield relation


def on_boundary(
    relation: Relation, domain: domains.Domain, point: domains.Point, generator: random.Random
) -> Iterator[domains.Point]:
    """``point`` with one parameter changed so that both sides of ``relation`` are equal.

    Only parameters in which the relation is linear are solved for, so that equality is exact.
    """
    numbers = [s for s, ranged in domain.items() if isinstance(ranged, domains.Interval)]
    given = relation.left.free_symbols | relation.right.free_symbols
    chosen = [symbol for symbol in numbers if symbol in given]
    generator.shuffle(chosen)
    for symbol in chosen:
        solve = _linear_solution(relation.left, relation.right, symbol)
        solution = None if solve is None else solve(point)
        if solution is not None and solution in domain[symbol]:
            yield point | {symbol: solution}
            return


@functools.lru_cache(maxsize=1024)
def _linear_solution(
    left: sp.Expr, right: sp.Expr, symbol: sp.Symbol
) -> Callable[[domains.Point], Fraction | None] | None:
    """The function of a point that solves ``left == right`` for ``symbol``, in fractions.

    None if the equation is not linear in ``symbol``. The function returns None where a coefficient
    is no fraction. Symbolic exponents are allowed: they may be whole numbers at the point.
    """
    equation = sp.numer(sp.together(left - right))
    if not equation.is_polynomial(symbol) or equation.atoms(sp.Float):
        return None
    # Not by Poly: it writes v^(s - 1) as v^s/v, which is no whole number in Python.
    steep = sp.diff(equation, symbol)
    if symbol in steep.free_symbols:
        return None
    others = sorted(equation.free_symbols - {symbol}, key=lambda other: other.sort_key())
    slope, rest = (sp.lambdify(others, part, "math") for part in (steep, equation.subs(symbol, 0)))

    def solve(point: domains.Point) -> Fraction | None:
        try:
            parts = [part(*(point[other] for other in others)) for part in (slope, rest)]
        except (ArithmeticError, ValueError):
            return None
        if parts[0] == 0 or not all(isinstance(part, int | Fraction) for part in parts):
            return None
        return Fraction(-parts[1]) / Fraction(parts[0])

    return solve


def weakenings(theorem: Theorem, found: Search, seed: object) -> list[Weakening]:
    """All wrong restatements of ``theorem``, and what violates each.

    ``found`` is the search for violations of the theorem itself, whose points are used again.
    """
    return [
        *_without_hypotheses(theorem, seed),
        *_on_larger_domains(theorem, seed),
        *_with_other_conclusions(theorem, found),
    ]


def _without_hypotheses(theorem: Theorem, seed: object) -> Iterator[Weakening]:
    for index, dropped in enumerate(theorem.hypotheses):
        rest = theorem.hypotheses[:index] + theorem.hypotheses[index + 1 :]
        opposite = _opposite(dropped)
        outside = theorem._replace(hypotheses=(*rest, opposite))
        violation = _violation_outside(outside, f"{seed} without {index}")
        yield Weakening("hypothesis", f"without: {dropped}", violation)


def _opposite(hypothesis: Relation | Given) -> Relation | Given:
    if isinstance(hypothesis, Relation):
        return hypothesis._replace(sign=REVERSED[hypothesis.sign])

    def fails(**values) -> bool:
        return not hypothesis.test(**values)

    return Given(f"not: {hypothesis.words}", fails)


def _on_larger_domains(theorem: Theorem, seed: object) -> Iterator[Weakening]:
    for symbol, ranged in theorem.domain.items():
        for change, wider in ranged.wider():
            outside = theorem._replace(domain={**theorem.domain, symbol: wider})
            violation = _violation_outside(outside, f"{seed} {symbol} {change}")
            yield Weakening("domain", f"{domains.word(symbol)} {change}", violation)


def _violation_outside(theorem: Theorem, seed: object) -> str | None:
    found = search(theorem._replace(points=min(OUTSIDE, theorem.points)), seed, attempts=3)
    if found.violation is not None:
        return str(found.violation)
    nothing_there = found.measured == 0 and found.unmeasured > 0
    return "its numbers do not exist there" if nothing_there else None


def _with_other_conclusions(theorem: Theorem, found: Search) -> Iterator[Weakening]:
    for name, conclusion in theorem.conclusions.items():
        for kind, change, other in changed(conclusion):
            yield Weakening(kind, f"{name}: {change}", _violated_by(found, name, other))


def _violated_by(found: Search, name: str, conclusion: Conclusion) -> str | None:
    for numbers in found.numbers:
        try:
            verdict = numbers.judge(conclusion)
        except NoValue:
            continue
        if verdict.holds is False:
            return str(Found(name, numbers.point, verdict.margin))
    return None


def changed(conclusion: Conclusion) -> Iterator[tuple[str, str, Conclusion]]:
    """Wrong forms of one conclusion: ``(kind, change in words, form)``."""
    if isinstance(conclusion, Printed):
        for sign in (1, -1):
            moved = moved_by_a_digit(conclusion.digits, sign)
            yield "digit", f"last digit {sign:+d}", conclusion._replace(digits=moved)
    elif isinstance(conclusion, Order):
        yield "order", "one power more", conclusion._replace(power=_one_more(conclusion))
    elif isinstance(conclusion, Relation):
        if conclusion.sign in STRICTER:
            yield "strict", f"{conclusion} strictly", _stricter(conclusion)
    elif isinstance(conclusion, Implies):
        for one in _tuple(conclusion.conclusion):
            if one.sign in STRICTER:
                yield "strict", f"{one} strictly", conclusion._replace(conclusion=_stricter(one))
    else:
        yield from _changed_equivalence(conclusion)


def _changed_equivalence(iff: Iff) -> Iterator[tuple[str, str, Conclusion]]:
    for side in ("left", "right"):
        relations = _tuple(getattr(iff, side))
        for index, one in enumerate(relations):
            before, after = relations[:index], relations[index + 1 :]
            turned = one._replace(sign=REVERSED[one.sign])
            yield (
                "direction",
                f"{turned} for {one}",
                iff._replace(**{side: (*before, turned, *after)}),
            )
            if one.sign in STRICTER:
                yield (
                    "strict",
                    f"{one} strictly",
                    iff._replace(**{side: (*before, _stricter(one), *after)}),
                )


def _stricter(relation: Relation) -> Relation:
    return relation._replace(sign=STRICTER[relation.sign])


def _one_more(order: Order) -> sp.Expr:
    towards_zero = Fraction(order.at[1]) < Fraction(order.at[0])
    return order.power + (1 if towards_zero else -1)


def _tuple(relations) -> tuple[Relation, ...]:
    return (relations,) if isinstance(relations, Relation) else tuple(relations)


def moved_by_a_digit(digits: str, sign: int) -> str:
    """``digits`` with its last digit moved by one. A last digit 0 stays printed."""
    unit = last_digit(digits)
    exponent = len(str(unit.numerator)) - len(str(unit.denominator))
    return f"{(Fraction(digits) + sign * unit) / unit}e{exponent}"
