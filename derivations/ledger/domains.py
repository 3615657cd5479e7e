"""The domain of a claim as data, and a sampler that covers it with its boundary.

A domain gives each parameter of a claim a range. :func:`sample` samples it without end: first one
parameter after the other at its notable values (ends that belong to the range, numbers next to ends
that do not, very small and very large ones, small integers), then pairs of equal parameters, then
mixtures. Numbers are exact fractions, so that an equality that is meant is met exactly.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

import sympy as sp

from derivations.ledger.symbols import WORDS

DECADES = 12  # ranges without an end are sampled from 1e-12 to 1e12
MODERATE = 2  # every second number is drawn from 1e-2 to 1e2
Value = object  # a Fraction, an int, or what a Drawn range makes


class Interval(NamedTuple):
    """Real numbers between ``low`` and ``high``; None is infinite.

    ``includes`` says which ends belong to it: ``"[]"``, ``"[)"``, ``"(]"`` or ``"()"``.
    ``decades`` limits the magnitudes that are sampled. Give fewer only where the numbers of the
    claim cannot be computed beyond.
    """

    low: Fraction | None = None
    high: Fraction | None = None
    includes: str = "()"
    decades: float = DECADES

    def __contains__(self, value: object) -> bool:
        above = self.low is None or value > self.low or (value == self.low and self.has_low)
        below = self.high is None or value < self.high or (value == self.high and self.has_high)
        return above and below

    @property
    def has_low(self) -> bool:
        return self.low is not None and self.includes[0] == "["

    @property
    def has_high(self) -> bool:
        return self.high is not None and self.includes[1] == "]"

    def notable(self) -> list[Fraction]:
        """Ends or their neighbours, extreme magnitudes and small numbers, both signs."""
        tiny, huge = Fraction(10) ** -round(self.decades), Fraction(10) ** round(self.decades)
        near = [end + sign * tiny for end in (self.low, self.high) if end for sign in (-1, 1)]
        ends = [end for end in (self.low, self.high) if end is not None]
        plain = [tiny, huge, Fraction(1, 2), Fraction(1), Fraction(2), Fraction(3)]
        tried = [*ends, *near, *plain, Fraction(0), *(-number for number in plain)]
        return [value for value in dict.fromkeys(tried) if value in self]

    def draw(self, generator: random.Random) -> Fraction:
        """A number at random: in half of the cases of moderate size."""
        if self.low is not None and self.high is not None:
            return self._draw_between(generator)
        sign = -1 if self.low is None and (self.high is not None or generator.random() < 0.5) else 1
        end = (self.low if sign > 0 else self.high) or Fraction(0)
        reach = min(MODERATE, self.decades) if generator.random() < 0.5 else self.decades
        return end + sign * rounded(10 ** generator.uniform(-reach, reach))

    def _draw_between(self, generator: random.Random) -> Fraction:
        width = self.high - self.low
        if generator.random() < 0.6:
            return self.low + width * rounded(generator.uniform(0.001, 0.999))
        near = rounded(10 ** -generator.uniform(0.3, max(self.decades, 0.4)))
        return self.low + width * (near if generator.random() < 0.5 else 1 - near)

    def wider(self) -> list[tuple[str, "Interval"]]:
        """What lies outside: each excluded end by itself, and the numbers beyond each end."""
        found = []
        for end, has, closed in (
            (self.low, self.has_low, "at the lower end"),
            (self.high, self.has_high, "at the upper end"),
        ):
            if end is not None and not has:
                found.append((closed, Interval(end, end, "[]", self.decades)))
        if self.low is not None:
            reach = max(abs(self.low), (self.high or self.low + 1) - self.low)
            beyond = Interval(self.low - reach, self.low, "[)", self.decades)
            found.append(("below", beyond))
        if self.high is not None:
            reach = max(abs(self.high), self.high - (self.low or self.high - 1))
            beyond = Interval(self.high, self.high + reach, "(]", self.decades)
            found.append(("above", beyond))
        return found

    def __str__(self) -> str:
        if self.low == self.high and self.low is not None:
            return f"= {self.low}"
        low = "-oo" if self.low is None else self.low
        high = "oo" if self.high is None else self.high
        return f"in {self.includes[0]}{low}, {high}{self.includes[1]}"


class Integers(NamedTuple):
    """Whole numbers from ``low`` to ``high``, both included. ``least`` is what the claim needs.

    The search stops at ``high`` for its cost. The claim itself has no upper end unless ``ends``.
    """

    low: int
    high: int
    ends: bool = False

    def __contains__(self, value: object) -> bool:
        return value == int(value) and self.low <= value <= self.high

    def notable(self) -> list[int]:
        return [n for n in dict.fromkeys((self.low, self.low + 1, self.high)) if n <= self.high]

    def draw(self, generator: random.Random) -> int:
        return generator.randint(self.low, self.high)

    def wider(self) -> list[tuple[str, "Integers"]]:
        found = [("below", Integers(self.low - 1, self.low - 1))]
        return [*found, ("above", Integers(self.high + 1, self.high + 1))] if self.ends else found

    def __str__(self) -> str:
        return f"in {{{self.low}, {self.low + 1}, ...{f', {self.high}' if self.ends else ''}}}"


class OneOf(NamedTuple):
    """One of ``values``. ``others`` lie outside the domain: the claim may fail there."""

    values: tuple
    others: tuple = ()

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def notable(self) -> list:
        return list(self.values)

    def draw(self, generator: random.Random) -> object:
        return generator.choice(self.values)

    def wider(self) -> list[tuple[str, "OneOf"]]:
        return [(f"with {shown(other)}", OneOf((other,))) for other in self.others]

    def __str__(self) -> str:
        return f"one of {', '.join(map(shown, self.values))}"


class Drawn(NamedTuple):
    """Whatever ``draw(generator)`` makes: data sets, grammars, spectra. ``text`` says what.

    ``special`` are the degenerate ones that every search must try. ``others`` lie outside.
    """

    text: str
    maker: Callable[[random.Random], object]
    special: tuple = ()
    others: tuple = ()

    def __contains__(self, value: object) -> bool:
        return True

    def notable(self) -> list:
        return list(self.special)

    def draw(self, generator: random.Random) -> object:
        return self.maker(generator)

    def wider(self) -> list[tuple[str, OneOf]]:
        return [(f"with {shown(other)}", OneOf((other,))) for other in self.others]

    def __str__(self) -> str:
        return self.text


Range = Interval | Integers | OneOf | Drawn
Domain = Mapping[sp.Symbol, Range]
Point = dict[sp.Symbol, Value]

real = Interval()
positive = Interval(Fraction(0), None, "()")
nonnegative = Interval(Fraction(0), None, "[)")


def between(low, high, includes: str = "()", decades: float = DECADES) -> Interval:
    """The interval from ``low`` to ``high``: numbers, or decimal strings, which are exact."""
    return Interval(
        None if low is None else Fraction(low),
        None if high is None else Fraction(high),
        includes,
        decades,
    )


def positive_within(decades: float) -> Interval:
    """Positive numbers, sampled between 10^-decades and 10^decades."""
    return Interval(Fraction(0), None, "()", decades)


def rounded(number: float) -> Fraction:
    """``number`` as a fraction of 12 significant digits, short enough to print."""
    return Fraction(f"{number:.12g}")


def word(symbol: sp.Symbol) -> str:
    """The Python name of a symbol: ``ridge`` for lambda."""
    return _NAMES.get(symbol, symbol.name)


_NAMES = {symbol: name for name, symbol in WORDS.items()}


def sample(domain: Domain, generator: random.Random) -> Iterator[Point]:
    """Points of ``domain`` without end: the systematic ones first, in random company."""
    if not domain:
        while True:
            yield {}
    yield from _one_at_a_time(domain, generator)
    yield from _equal_pairs(domain, generator)
    while True:
        yield {symbol: _mixed(ranged, generator) for symbol, ranged in domain.items()}


def _one_at_a_time(domain: Domain, generator: random.Random) -> Iterator[Point]:
    longest = max(len(ranged.notable()) for ranged in domain.values())
    for index in range(longest):
        for symbol, ranged in domain.items():
            notable = ranged.notable()
            if index < len(notable):
                yield drawn(domain, generator) | {symbol: notable[index]}


def _equal_pairs(domain: Domain, generator: random.Random) -> Iterator[Point]:
    numbers = [symbol for symbol, ranged in domain.items() if isinstance(ranged, Interval)]
    for index, one in enumerate(numbers):
        for other in numbers[index + 1 :]:
            point = drawn(domain, generator)
            if point[one] in domain[other]:
                yield point | {other: point[one]}


def drawn(domain: Domain, generator: random.Random) -> Point:
    """A point with every parameter at random."""
    return {symbol: ranged.draw(generator) for symbol, ranged in domain.items()}


def _mixed(ranged: Range, generator: random.Random) -> Value:
    notable = ranged.notable()
    if notable and generator.random() < 0.2:
        return generator.choice(notable)
    return ranged.draw(generator)


def moved(domain: Domain, point: Point, generator: random.Random) -> Point:
    """``point`` with some of its numbers changed a little: the step of a search for the worst."""
    spread = 10 ** generator.uniform(-3, 0)
    return {
        symbol: _moved_value(ranged, point[symbol], spread, generator)
        if generator.random() < 0.6
        else point[symbol]
        for symbol, ranged in domain.items()
    }


def _moved_value(ranged: Range, value: Value, spread: float, generator: random.Random) -> Value:
    if isinstance(ranged, Interval) and value != 0:
        new = rounded(float(value) * math.exp(generator.gauss(0, spread)))
        return new if new in ranged else value
    if isinstance(ranged, Integers):
        new = value + generator.choice((-1, 1))
        return new if new in ranged else value
    return ranged.draw(generator)


def shown(value: object) -> str:
    """``value`` in a few characters."""
    if isinstance(value, Fraction):
        return str(value) if value.denominator < 10**4 else f"{float(value):.12g}"
    return getattr(value, "name", None) or str(value)


def describe_point(point: Mapping[sp.Symbol, Value]) -> str:
    """``point`` in one line."""
    return ", ".join(f"{word(symbol)} = {shown(value)}" for symbol, value in point.items())


def in_words(domain: Domain) -> list[str]:
    """One phrase for each parameter, such as ``ridge in (0, oo)``."""
    return [f"{word(symbol)} {ranged}" for symbol, ranged in domain.items()]
