"""The kinds of step that a proof may consist of, and how a machine checks each.

* :class:`Equal`: an identity. It *holds* when SymPy reduces ``left - right`` to the number 0. It
  *fails* when the difference is not 0 at some rational point. An identity that merely could not be
  simplified is neither, and counts as not proved.
* :class:`Positive`: a sign on the whole domain. It holds when every factor has a visible sign: it
  is an even power, or a polynomial in positive symbols (or exponentials) whose coefficients have
  one sign. Numerators and denominators must be real, and denominators must not vanish.
* :class:`Continuous`: no denominator vanishes, and each logarithm, root and Lambert W has an
  argument where it is defined.
* certificates (:mod:`derivations.ledger.certificates`): rigorous computations that carry their
  data, so that the checker carries them out.
"""

import functools
import itertools
import random
import zlib
from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import sympy as sp
from sympy.core.function import AppliedUndef

DIGITS = 30
# Evaluation at DIGITS digits loses a few of them to cancellation.
NEGLIGIBLE = sp.Float(10) ** (6 - DIGITS)
POINTS = 3


class Verdict(NamedTuple):
    """What a check found. ``holds`` is True (established), False (refuted) or None (neither)."""

    holds: bool | None
    detail: str


class Equal(NamedTuple):
    """``left == right`` identically. Both may be matrices."""

    text: str
    left: sp.Expr | sp.MatrixBase
    right: sp.Expr | sp.MatrixBase

    def verify(self) -> Verdict:
        refutation = self.refute()
        if refutation is not None:
            return refutation
        stubborn = [residual for residual in self._residuals() if not vanishes(residual)]
        if stubborn:
            return Verdict(None, f"could not reduce to 0: {stubborn[0]}")
        return Verdict(True, "residual identically 0")

    def refute(self) -> Verdict | None:
        for residual in self._residuals():
            point = nonzero_at(residual)
            if point is not None:
                return Verdict(False, f"differs from 0 at {describe(point)}")
        return None

    def _residuals(self) -> list[sp.Expr]:
        difference = sp.sympify(self.left) - sp.sympify(self.right)
        return list(difference) if isinstance(difference, sp.MatrixBase) else [difference]


class Positive(NamedTuple):
    """``expression > 0`` (``>= 0`` unless ``strict``) for all values its symbols may have.

    It is not established for symbols that need not be real, nor where a denominator may vanish.
    """

    text: str
    expression: sp.Expr
    strict: bool = True

    def verify(self) -> Verdict:
        if visibly_positive(sp.sympify(self.expression), strict=self.strict):
            return Verdict(True, "factors into visibly signed ones")
        return self.refute() or Verdict(None, f"sign not visible: {sp.factor(self.expression)}")

    def refute(self) -> Verdict | None:
        expression = sp.sympify(self.expression)
        visible = visibly_positive(expression, strict=self.strict)
        point = None if visible else negative_at(expression, strict=self.strict)
        return None if point is None else Verdict(False, f"wrong sign at {describe(point)}")


class Continuous(NamedTuple):
    """``expression`` is defined and continuous for all values its symbols may have.

    Each denominator has a strict sign, and so has each argument of a logarithm or broken power.
    The argument of a Lambert W is positive. Undefined functions such as φ are taken as continuous.
    """

    text: str
    expression: sp.Expr

    def verify(self) -> Verdict:
        """Whether every part that could be undefined is visibly defined."""
        expression = sp.sympify(self.expression)
        doubtful = [part for part in critical_parts(expression) if not visibly_positive(part)]
        if doubtful:
            return Verdict(None, f"may be undefined where {doubtful[0]} is not positive")
        return Verdict(True, "no denominator vanishes, and logarithms and roots are defined")

    def refute(self) -> Verdict | None:
        """Never: a point at which an expression is undefined needs a limit to be judged."""
        return None


@runtime_checkable
class Step(Protocol):
    """What a proof consists of: it can be verified, and refuted for a wrong claim."""

    @property
    def text(self) -> str: ...

    def verify(self) -> Verdict: ...

    def refute(self) -> Verdict | None: ...


def critical_parts(expression: sp.Expr) -> Iterator[sp.Expr]:
    """Expressions that must be positive for ``expression`` to be defined.

    A denominator enters by its square: it must differ from 0.
    """
    for node in sp.preorder_traversal(expression):
        if node.is_Pow and node.exp.is_negative is not False and node.exp.is_nonnegative is None:
            yield node.base if not node.exp.is_integer else node.base**2
        elif node.is_Pow and node.exp.is_negative:
            yield node.base**2 if node.exp.is_integer else node.base
        elif node.is_Pow and not node.exp.is_integer and not node.base.is_nonnegative:
            yield node.base
        elif node.func in (sp.log, sp.LambertW):
            yield node.args[0]


def vanishes(residual: sp.Expr) -> bool:
    """Whether SymPy reduces ``residual`` to 0. Cheap reductions come first."""
    reductions = (
        sp.expand,
        lambda e: sp.expand(sp.powsimp(sp.expand(sp.expand_log(e)))),
        lambda e: sp.expand(sp.numer(sp.together(sp.expand(e)))),
        lambda e: sp.expand(sp.powsimp(sp.expand(sp.numer(sp.together(e.rewrite(sp.exp)))))),
        sp.simplify,
    )
    residual = sp.sympify(residual).doit()
    return residual == 0 or any(reduce(residual) == 0 for reduce in reductions)


@functools.lru_cache(maxsize=4096)
def visibly_positive(expression: sp.Expr, *, strict: bool = True) -> bool:
    """Whether the factors of ``expression`` show that it is positive.

    False means "not visible". It does not mean "negative".
    """
    expression = sp.sympify(expression)
    if not _is_defined(expression):
        return False
    if expression.is_positive or (not strict and expression.is_nonnegative):
        return True
    signs = [_sign_of_factors(part, strict=strict) for part in sp.fraction(sp.together(expression))]
    return None not in signs and signs[0] * signs[1] > 0


def _is_defined(expression: sp.Expr) -> bool:
    """Whether all symbols are real, and no denominator with symbols may vanish."""
    if not all(symbol.is_extended_real for symbol in expression.free_symbols):
        return False
    denominator = sp.denom(sp.together(expression))
    if not denominator.free_symbols:
        return True
    try:
        factors = [base for base, _ in sp.factor_list(denominator)[1]]
    except sp.PolynomialError:  # symbolic exponents, for example
        factors = list(sp.Mul.make_args(denominator))
    return all(_never_zero(factor) for factor in factors)


def _never_zero(factor: sp.Expr) -> bool:
    if factor.is_nonzero or factor.is_positive or factor.is_negative:
        return True
    return _sign_of_polynomial(factor, strict=True) is not None


def _sign_of_factors(expression: sp.Expr, *, strict: bool) -> int | None:
    # An exponential of anything real is positive: a positive symbol may stand for it.
    expression = sp.powsimp(sp.expand(expression), deep=True)
    exponentials = {
        e: sp.Dummy(positive=True) for e in expression.atoms(sp.exp) if e.exp.is_extended_real
    }
    try:
        constant, factors = sp.factor_list(expression.xreplace(exponentials))
    except sp.PolynomialError:  # a difference of symbolic powers, one of them below a fraction bar
        return None
    signs = [_sign_of_number(constant)]
    for base, exponent in factors:
        sign = _sign_of_polynomial(base, strict=strict)
        if exponent % 2 == 0:
            sign = 1 if sign is not None or not strict else None
        signs.append(sign)
    return None if None in signs else int(sp.prod(signs))


def _sign_of_number(number: sp.Expr) -> int | None:
    number = sp.sympify(number)
    return 1 if number.is_positive else -1 if number.is_negative else None


def _sign_of_polynomial(expression: sp.Expr, *, strict: bool) -> int | None:
    generators = sorted(expression.free_symbols, key=lambda symbol: symbol.sort_key())
    if not generators:
        return _sign_of_number(expression)
    try:
        terms = sp.Poly(expression, *generators).terms()
    except sp.PolynomialError:
        return 1 if expression.is_positive else -1 if expression.is_negative else None
    signs = set()
    definite = False
    for powers, coefficient in terms:
        signed = [
            symbol
            for symbol, power in zip(generators, powers, strict=True)
            if (power % 2 and not symbol.is_nonnegative) or not symbol.is_extended_real
        ]
        if signed:
            return None
        signs.add(_sign_of_number(coefficient))
        definite |= all(
            symbol.is_positive for symbol, power in zip(generators, powers, strict=True) if power
        )
    if len(signs) != 1 or (strict and not definite):
        return None
    return signs.pop()


# Cached: the steps that a mutant does not change are checked again for each mutant.
@functools.lru_cache(maxsize=4096)
def nonzero_at(residual: sp.Expr, points: int = POINTS) -> dict[sp.Symbol, sp.Rational] | None:
    """A rational point at which ``residual`` certainly differs from 0.

    None if it vanishes at each of a few generic points.
    """
    residual = concrete(sp.sympify(residual))
    if residual == 0:
        return None
    for seed in range(points):
        point = _generic_point(residual.free_symbols, seed)
        value = residual.evalf(DIGITS, subs=point, chop=False)
        if value.is_number and value.is_finite and abs(value) > NEGLIGIBLE:
            return point
    return None


@functools.lru_cache(maxsize=4096)
def negative_at(
    expression: sp.Expr, *, strict: bool, points: int = 200
) -> dict[sp.Symbol, sp.Rational] | None:
    """A rational point at which ``expression`` has the wrong sign, None if none was met.

    The points tried are spread over six decades.
    """
    expression = concrete(expression)
    for seed in range(points):
        generator = random.Random(seed)
        point = {
            symbol: sp.Rational(f"{10 ** generator.uniform(-3, 3):.4g}")
            * (1 if symbol.is_nonnegative else generator.choice((-1, 1)))
            for symbol in sorted(expression.free_symbols, key=str)
        }
        value = expression.evalf(DIGITS, subs=point)
        if (
            value.is_number
            and value.is_extended_real
            and (value < -NEGLIGIBLE or (strict and value <= 0))
        ):
            return point
    return None


def _generic_point(symbols, seed: int) -> dict[sp.Symbol, sp.Rational]:
    """A rational for each symbol: any sign that its assumptions allow, from 1/10 to 10.

    The first seed takes numbers of (0, 1).
    """
    generator = random.Random(seed)
    return {
        symbol: _allowed_number(symbol, generator, seed == 0)
        for symbol in sorted(symbols, key=lambda symbol: (symbol.name, symbol.sort_key()))
    }


def _allowed_number(symbol: sp.Symbol, generator: random.Random, small: bool) -> sp.Rational:
    size = sp.Rational(generator.randint(100, 899), 1000)
    if not small:
        size = sp.Rational(f"{10 ** generator.uniform(-1, 1):.4g}")
    if symbol.is_integer:
        size = sp.ceiling(size)
    if symbol.is_negative:
        return -size
    free = not symbol.is_nonnegative and not small
    return size * generator.choice((-1, 1)) if free else size


def concrete(expression: sp.Expr) -> sp.Expr:
    """``expression`` with a definite generic function in place of each undefined one.

    The same name always gets the same function.
    """

    def generic(applied: AppliedUndef) -> sp.Lambda:
        arguments = [sp.Dummy() for _ in applied.args]
        numbers = random.Random(zlib.crc32(applied.func.__name__.encode()))
        draws = (sp.Rational(numbers.randint(300, 1700), 1000) for _ in itertools.count())
        phase = next(draws) + sum(next(draws) * argument for argument in arguments)
        return sp.Lambda(tuple(arguments), 3 + sp.sin(phase) + phase**2 / 7)

    functions = {applied.func: generic(applied) for applied in expression.atoms(AppliedUndef)}
    for function, replacement in functions.items():
        expression = expression.replace(function, replacement)
    return expression.doit()


def describe(point: dict) -> str:
    """``point`` in one line."""
    return (
        ", ".join(f"{symbol} = {float(value):.4g}" for symbol, value in point.items())
        or "every point"
    )
