"""Statements as data: what a claim asserts about numbers that are computed independently.

A :class:`Theorem` has a domain (:mod:`derivations.ledger.domains`), hypotheses, conclusions and a
``measure``. The measure computes the quantities that the conclusions speak of at one point of the
domain. It takes another route than the proof: a root finder on the gradient, an enumeration, a
simulation. So a false statement is found even where every step of its proof is right::

    x_R, y_R = sp.symbols("x_R y_R", real=True)

    Theorem(
        domain={k11: positive, k12: positive, k22: positive},
        hypotheses=(Le(k12, k11),),
        conclusions={"the oracle's order": Le(y_R, x_R)},
        measure=lambda k11, k12, k22: {x_R: ..., y_R: ...},
    )
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

import mpmath
import sympy as sp

from derivations.ledger import domains

DIGITS = 30
LONG = 300  # characters of a conclusion in one line
MOST_DIGITS = 120
SAME = 1e-6  # how well two precisions must agree on a difference that is no rounding
ROUNDING_DIGITS = 10  # the last digits, which rounding may have changed
SLOPE_TOLERANCE = 0.25  # how far the observed exponent of an error term may be off


class NoValue(Exception):
    """The quantities of a claim do not exist, or cannot be computed, at this point."""


UNDEFINED = (ZeroDivisionError, ValueError, OverflowError)  # what mpmath raises where none exist


def no_value_if_complex(error: TypeError) -> Exception:
    """:class:`NoValue` if mpmath would not compare complex numbers, else the error itself."""
    complex_numbers = any(word in str(error) for word in ("mpc", "complex numbers"))
    return NoValue(str(error)) if complex_numbers else error


class Relation(NamedTuple):
    """``left sign right``, with sign one of ``<= < >= > == !=``."""

    left: sp.Expr
    sign: str
    right: sp.Expr

    def __str__(self) -> str:
        return f"{text(self.left)} {self.sign} {text(self.right)}"


class Given(NamedTuple):
    """A hypothesis that is no relation between numbers, such as "φ decreases".

    ``test`` gets the point's values by name, as ``measure`` does.
    """

    words: str
    test: Callable[..., bool]

    def __str__(self) -> str:
        return self.words


class Iff(NamedTuple):
    """All of ``left`` hold exactly when all of ``right`` do. Either may be one relation."""

    left: "Relation | tuple[Relation, ...]"
    right: "Relation | tuple[Relation, ...]"

    def __str__(self) -> str:
        return f"{_all(self.left)}  exactly when  {_all(self.right)}"


class Implies(NamedTuple):
    """If all of ``premise`` hold, all of ``conclusion`` do."""

    premise: "Relation | tuple[Relation, ...]"
    conclusion: "Relation | tuple[Relation, ...]"

    def __str__(self) -> str:
        return f"if {_all(self.premise)} then {_all(self.conclusion)}"


class Printed(NamedTuple):
    """``value`` rounds to the printed decimal ``digits``, whose last digit is right."""

    value: sp.Expr
    digits: str

    def __str__(self) -> str:
        return f"{text(self.value)} = {self.digits}... (rounded)"


class Order(NamedTuple):
    """``error`` is O(scale^power) as ``scale`` goes to 0, or to infinity.

    It is measured at the two scales ``at``, ordered towards the limit. With ``exactly`` the error
    is of that order and no smaller. ``scale`` is not in the domain: the measure gets it as well.
    """

    error: sp.Expr
    scale: sp.Symbol
    power: sp.Expr
    at: tuple[str, str] = ("1e-3", "1e-4")
    exactly: bool = False

    def __str__(self) -> str:
        end = "0" if Fraction(self.at[1]) < Fraction(self.at[0]) else "oo"
        order = "exactly of order" if self.exactly else "O of"
        small = f"{domains.word(self.scale)}^({text(self.power)})"
        return f"{text(self.error)} is {order} {small} as {domains.word(self.scale)} -> {end}"


Conclusion = Relation | Iff | Implies | Printed | Order


def Le(left, right) -> Relation:
    """``left <= right``."""
    return Relation(sp.sympify(left), "<=", sp.sympify(right))


def Lt(left, right) -> Relation:
    """``left < right``."""
    return Relation(sp.sympify(left), "<", sp.sympify(right))


def Ge(left, right) -> Relation:
    """``left >= right``."""
    return Relation(sp.sympify(left), ">=", sp.sympify(right))


def Gt(left, right) -> Relation:
    """``left > right``."""
    return Relation(sp.sympify(left), ">", sp.sympify(right))


def Eq(left, right) -> Relation:
    """``left == right``. With an integer: a count, such as the number of minima."""
    return Relation(sp.sympify(left), "==", sp.sympify(right))


def Ne(left, right) -> Relation:
    """``left != right``."""
    return Relation(sp.sympify(left), "!=", sp.sympify(right))


def limit(
    quantity, value, scale: sp.Symbol, power=1, at: tuple[str, str] = ("1e-3", "1e-4")
) -> Order:
    """``quantity`` tends to ``value`` with the error O(scale^power)."""
    return Order(sp.sympify(quantity) - sp.sympify(value), scale, sp.sympify(power), at)


class Theorem(NamedTuple):
    """What a claim asserts, as data.

    ``measure`` takes the domain's parameters by name (:func:`domains.word`), numbers as mpmath's at
    the working precision, and returns the value of each measured symbol. It raises :class:`NoValue`
    where they do not exist. With ``exact`` it gets fractions instead. ``digits`` is the precision
    it starts with. Where two sides are too close to call, the digits are doubled up to
    ``most_digits``: only then do they count as equal. A measure in double precision says
    ``digits=15, most_digits=15``. ``points`` is how many points the default check measures: fewer
    only for a measure that takes long.
    """

    domain: domains.Domain
    conclusions: Mapping[str, Conclusion]
    measure: Callable[..., Mapping[sp.Symbol, object]]
    hypotheses: tuple[Relation | Given, ...] = ()
    digits: int = DIGITS
    most_digits: int = MOST_DIGITS
    exact: bool = False
    points: int = 25

    def lines(self) -> list[str]:
        """The statement, generated: domain, hypotheses and conclusions, a line each."""
        given = [f"assume {hypothesis}" for hypothesis in self.hypotheses]
        lines = [*(f"for {phrase}" for phrase in domains.in_words(self.domain)), *given]
        for name, conclusion in self.conclusions.items():
            short, parts = _in_parts(conclusion)
            lines += [f"{name}: {short}", *(f"  with {part}" for part in parts)]
        return lines


def _in_parts(conclusion: Conclusion) -> tuple[Conclusion, list[str]]:
    """The conclusion with its repeated parts named ``part_0, part_1, ..``, and what these are.

    Only a relation or an order that would take more than LONG characters is taken apart.
    """
    if len(str(conclusion)) <= LONG or not isinstance(conclusion, Relation | Order):
        return conclusion, []
    names = ("left", "right") if isinstance(conclusion, Relation) else ("error",)
    expressions = [getattr(conclusion, name) for name in names]
    parts, short = sp.cse(expressions, sp.numbered_symbols("part_"))
    told = [f"{symbol} = {text(part)}" for symbol, part in parts]
    return conclusion._replace(**dict(zip(names, short, strict=True))), told


class Judged(NamedTuple):
    """One conclusion at one point.

    ``holds`` is None where it says nothing: a premise fails. ``margin`` is the relative distance
    from violation: negative if violated, 0 at equality. ``sides`` tells which truth values were
    met: ``(left, right)`` for Iff.
    """

    holds: bool | None
    margin: float
    sides: tuple[bool, ...] = ()
    equal: bool = False  # a weak inequality is attained here


class Numbers:
    """The values at one point, measured once for each precision that is asked for."""

    def __init__(self, theorem: Theorem, point: domains.Point) -> None:
        self.theorem = theorem
        self.point = point
        self._measured: dict[tuple, Mapping] = {}

    def at(self, digits: int, **scale) -> Mapping[sp.Symbol, object]:
        """Parameters and measured values, at ``digits`` digits. Raises :class:`NoValue`."""
        key = (digits, *sorted(scale.items()))
        if key not in self._measured:
            self._measured[key] = self._compute(digits, scale)
        return self._measured[key]

    def _compute(self, digits: int, scale: Mapping[str, Fraction]) -> Mapping[sp.Symbol, object]:
        with mpmath.workdps(digits):
            given = {
                domains.word(symbol): value if self.theorem.exact else number(value)
                for symbol, value in self.point.items()
            } | {name: number(value) for name, value in scale.items()}
            try:
                measured = self.theorem.measure(**given)
            except (NoValue, *UNDEFINED) as error:
                raise NoValue(str(error)) from error
            except TypeError as error:
                raise no_value_if_complex(error) from error
            return dict(self.point) | dict(measured)

    def allowed(self, hypothesis: Relation | Given) -> bool:
        """Whether the point satisfies ``hypothesis``. Raises :class:`NoValue`."""
        if isinstance(hypothesis, Given):
            with mpmath.workdps(self.theorem.digits):
                return bool(hypothesis.test(**self._by_name()))
        return bool(self.judge(hypothesis).holds)

    def _by_name(self) -> dict[str, object]:
        return {domains.word(symbol): number(value) for symbol, value in self.point.items()}

    def judge(self, conclusion: Conclusion) -> Judged:
        """The verdict on ``conclusion`` here. Raises :class:`NoValue`."""
        if isinstance(conclusion, Relation):
            return self._relation(conclusion)
        if isinstance(conclusion, Printed):
            return self._printed(conclusion)
        if isinstance(conclusion, Order):
            return self._order(conclusion)
        if isinstance(conclusion, Implies):
            premise = self._together(conclusion.premise)
            if not premise.holds:
                return Judged(None, 1.0)
            return self._together(conclusion.conclusion)
        left, right = self._together(conclusion.left), self._together(conclusion.right)
        same = left.holds == right.holds
        margin = max(abs(left.margin), abs(right.margin))
        return Judged(same, margin if same else -margin, (bool(left.holds), bool(right.holds)))

    def _together(self, relations: "Relation | tuple[Relation, ...]") -> Judged:
        judged = [self.judge(relation) for relation in _as_tuple(relations)]
        return Judged(
            holds=all(one.holds for one in judged),
            margin=min(one.margin for one in judged),
            equal=any(one.equal for one in judged),
        )

    def _relation(self, relation: Relation) -> Judged:
        gap = self._gap(relation.left, relation.right)
        if relation.sign == "==":
            return Judged(gap == 0, -abs(gap))
        if relation.sign == "!=":
            return Judged(gap != 0, abs(gap))
        directed = gap if relation.sign in ("<=", "<") else -gap
        strict = relation.sign in ("<", ">")
        return Judged(directed > 0 or (directed == 0 and not strict), directed, equal=directed == 0)

    def _gap(self, left: sp.Expr, right: sp.Expr) -> float:
        """(right - left)/(the larger of both), 0 if they agree to the last precision tried.

        A difference in the second half of the digits may be rounding. It counts if the last two
        precisions give the same one: sides may be tiny. The last digits never count. Where that
        leaves it open, the digits are doubled once more.
        """
        digits = self.theorem.digits
        before = None
        while True:
            with mpmath.workdps(digits):
                known = left.free_symbols | right.free_symbols <= self.point.keys()
                values = self.point if known else self.at(digits)
                one, other = evaluated(left, values), evaluated(right, values)
                if one == other and (known or digits >= self.theorem.most_digits):
                    return 0.0
                size = max(abs(one), abs(other))
                if mpmath.isinf(size):
                    return 1.0 if other > one else -1.0
                difference = other - one
                if abs(difference) > mpmath.mpf(10) ** (-digits // 2) * max(1, size):
                    return float(difference / size)
            if digits >= self.theorem.most_digits:
                if _same(before, difference, digits):
                    return float(difference / size)
                last = before is None or digits > self.theorem.most_digits
                if last or _is_rounding(difference, digits):
                    return 0.0
                digits = 2 * digits
            else:
                digits = min(2 * digits, self.theorem.most_digits)
            before = difference

    def _printed(self, printed: Printed) -> Judged:
        claimed = Fraction(printed.digits)
        half = last_digit(printed.digits) / 2
        with mpmath.workdps(self.theorem.digits):
            value = evaluated(printed.value, self.at(self.theorem.digits))
            off = abs(value - number(claimed)) / number(half)
        return Judged(bool(off <= 1), float(1 - off))

    def _order(self, order: Order) -> Judged:
        name = domains.word(order.scale)
        digits = self.theorem.digits
        scales = [Fraction(scale) for scale in order.at]
        with mpmath.workdps(digits):
            values = [self.at(digits, **{name: scale}) for scale in scales]
            errors = [
                abs(evaluated(order.error, given | {order.scale: scale}))
                for given, scale in zip(values, scales, strict=True)
            ]
            claimed = float(evaluated(order.power, values[0]))
            if errors[1] == 0:
                return Judged(not order.exactly, 0.0)
            if errors[0] == 0:
                raise NoValue("the error vanishes at the first scale only")
            ratio = mpmath.log(number(scales[1]) / number(scales[0]))
            slope = float(mpmath.log(errors[1] / errors[0]) / ratio)
        surplus = slope - claimed if ratio < 0 else claimed - slope
        if order.exactly:
            surplus = -abs(surplus)
        return Judged(surplus >= -SLOPE_TOLERANCE, surplus + SLOPE_TOLERANCE)


def _same(before: mpmath.mpf | None, difference: mpmath.mpf, digits: int) -> bool:
    """Whether two precisions give the same difference, larger than the last of ``digits``."""
    if before is None or _is_rounding(difference, digits):
        return False
    return abs(difference - before) < SAME * abs(difference)


def _is_rounding(difference: mpmath.mpf, digits: int) -> bool:
    return abs(difference) < mpmath.mpf(10) ** (ROUNDING_DIGITS - digits)


def evaluated(expression: sp.Expr, values: Mapping[sp.Symbol, object]) -> mpmath.mpf:
    """``expression`` in mpmath numbers of the working precision. :class:`NoValue` if not real."""
    function, symbols = _compiled(expression)
    missing = [symbol for symbol in symbols if symbol not in values]
    if missing:
        raise KeyError(
            f"the measure returns no {', '.join(map(str, missing))}; it returns "
            f"{', '.join(str(symbol) for symbol in values)}"
        )
    try:
        value = mpmath.mpmathify(function(*(number(values[symbol]) for symbol in symbols)))
    except UNDEFINED as error:
        raise NoValue(str(error)) from error
    except TypeError as error:
        raise no_value_if_complex(error) from error
    if isinstance(value, mpmath.mpc) or mpmath.isnan(value):
        raise NoValue(f"{expression} is not real")
    return value


@functools.lru_cache(maxsize=4096)
def _compiled(expression: sp.Expr) -> tuple[Callable, tuple[sp.Symbol, ...]]:
    symbols = tuple(sorted(expression.free_symbols, key=lambda symbol: symbol.name))
    dummies = [sp.Dummy() for _ in symbols]
    renamed = expression.xreplace(dict(zip(symbols, dummies, strict=True)))
    return sp.lambdify(dummies, renamed, "mpmath"), symbols


def number(value: object) -> object:
    """A fraction, integer, Python or NumPy number as mpmath's. Anything else stays as it is."""
    if isinstance(value, Fraction):
        return mpmath.mpf(value.numerator) / value.denominator
    if isinstance(value, bool):
        return mpmath.mpf(int(value))
    if isinstance(value, int | float):
        return mpmath.mpf(value)
    if isinstance(value, sp.Expr) and value.is_number:
        return mpmath.mpmathify(value.evalf(mpmath.mp.dps))
    return mpmath.mpf(value.item()) if hasattr(value, "item") and not value.shape else value


def last_digit(digits: str) -> Fraction:
    """The size of the last digit of a printed decimal: 1/1000 for ``0.125``, 10 for ``12e1``."""
    mantissa, _, exponent = digits.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return Fraction(10) ** (int(exponent or 0) - decimals)


def text(expression: sp.Expr) -> str:
    """``expression`` in one line, with the library's words for the symbols."""
    names = {s: sp.Symbol(domains.word(s)) for s in sp.sympify(expression).free_symbols}
    return str(sp.sympify(expression).xreplace(names))


def _as_tuple(relations: "Relation | tuple[Relation, ...]") -> tuple[Relation, ...]:
    return (relations,) if isinstance(relations, Relation) else relations


def _all(relations: "Relation | tuple[Relation, ...]") -> str:
    return " and ".join(map(str, _as_tuple(relations)))


def relations_of(conclusion: Conclusion) -> Iterable[Relation]:
    """The relations that ``conclusion`` is made of."""
    if isinstance(conclusion, Relation):
        yield conclusion
    elif isinstance(conclusion, Iff):
        yield from (*_as_tuple(conclusion.left), *_as_tuple(conclusion.right))
    elif isinstance(conclusion, Implies):
        yield from (*_as_tuple(conclusion.premise), *_as_tuple(conclusion.conclusion))


KINDS_OF_WORDS = {
    r"exactly (when|where|for|if)|if and only if": "an equivalence",
    r"\bunique|exactly (one|two|three)|only (one )?(root|fold|minimum|stationary)": "a count",
    r"→|\btends?\b|O\(|\blimit\b|leading order": "a limit or an order",
    r" [≤≥<>] |at (most|least)": "an inequality",
    r"\b(always|every|any|all)\b": "a parameter",
}


def unsupported_words(words: str, theorem: Theorem) -> list[str]:
    """What ``words`` claim and no part of ``theorem`` is of that kind, such as "an equivalence"."""
    kinds = set(_kinds(theorem))
    return [
        f"the words say '{met[0].strip()}', and the theorem has no {kind.split(' ', 1)[1]}"
        for pattern, kind in KINDS_OF_WORDS.items()
        if (met := re.search(pattern, words)) and kind not in kinds
    ]


def _kinds(theorem: Theorem) -> Iterable[str]:
    if theorem.domain:
        yield "a parameter"
    for conclusion in theorem.conclusions.values():
        if isinstance(conclusion, Iff):
            yield "an equivalence"
        if isinstance(conclusion, Order):
            yield "a limit or an order"
            yield "an inequality"
        for relation in relations_of(conclusion):
            if relation.sign == "==" and relation.right.is_Integer:
                yield "a count"
            if relation.sign not in ("==", "!="):
                yield "an inequality"
    for hypothesis in theorem.hypotheses:
        if isinstance(hypothesis, Relation):
            yield "an inequality"
    for ranged in theorem.domain.values():
        if isinstance(ranged, domains.Interval) and (ranged.low is not None or ranged.high):
            yield "an inequality"
