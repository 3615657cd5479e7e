"""Mutants of a claimed expression: one small change each, anywhere in its tree.

A proof that would pass for a wrong claim proves nothing. So each claim is restated wrongly by
machine, and every such mutant must break its proof. The operators are those of mutation testing,
read as mathematics: change a sign, a coefficient or an exponent; lose a factor or a term; exchange
two symbols; move a range or a bound by 1 %, or a printed number by its last digit.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import sympy as sp

from derivations.ledger import steps


class Mutant(NamedTuple):
    """One wrong restatement: the change in words, and the expression that it gives."""

    change: str
    expression: sp.Expr


def mutants(expression: sp.Expr, *, most: int = 8) -> list[Mutant]:
    """At most ``most`` mutants of ``expression``, each a different function from it.

    Every operator makes one mutant before any makes a second.
    """
    expression = sp.sympify(expression)
    streams = [operator(expression) for operator in OPERATORS]
    rounds = itertools.zip_longest(*streams)
    kept: list[Mutant] = []
    for mutant in itertools.chain.from_iterable(rounds):
        if mutant is None or mutant.expression.has(sp.nan, sp.zoo, sp.oo):
            continue
        new = all(mutant.expression != other.expression for other in kept)
        if new and steps.nonzero_at(mutant.expression - expression) is not None:
            kept.append(mutant)
        if len(kept) == most:
            break
    return kept


def _moved(expression: sp.Expr) -> Iterator[Mutant]:
    yield Mutant("moved by 1 %", expression * sp.Rational(101, 100))


def _last_digit(expression: sp.Expr) -> Iterator[Mutant]:
    if not expression.is_Rational or expression.is_Integer:
        return
    places = next((k for k in range(1, 40) if (expression * 10**k).is_Integer), None)
    if places is not None and places > 2:
        for sign in (1, -1):
            moved = expression + sign * sp.Rational(1, 10**places)
            yield Mutant(f"last digit {sign:+d}", moved)


def _negated(expression: sp.Expr) -> Iterator[Mutant]:
    yield Mutant("opposite sign", -expression)


def _signs(expression: sp.Expr) -> Iterator[Mutant]:
    for path, node in _nodes(expression):
        if node.is_Add:
            for index, term in enumerate(node.args):
                yield Mutant(f"sign of {term}", _replace(expression, (*path, index), -term))


def _coefficients(expression: sp.Expr) -> Iterator[Mutant]:
    for path, node in _nodes(expression):
        if node.is_Rational:
            yield Mutant(f"{node} -> {node + 1}", _replace(expression, path, node + 1))


def _factors(expression: sp.Expr) -> Iterator[Mutant]:
    for path, node in _nodes(expression):
        if node.is_Mul:
            for index, factor in enumerate(node.args):
                if not factor.is_Rational:
                    yield Mutant(
                        f"without factor {factor}",
                        _replace(expression, (*path, index), sp.Integer(1)),
                    )


def _terms(expression: sp.Expr) -> Iterator[Mutant]:
    for path, node in _nodes(expression):
        if node.is_Add:
            for index, term in enumerate(node.args):
                yield Mutant(
                    f"without term {term}", _replace(expression, (*path, index), sp.Integer(0))
                )


def _exchanges(expression: sp.Expr) -> Iterator[Mutant]:
    for one, other in itertools.combinations(sorted(expression.free_symbols, key=str), 2):
        yield Mutant(f"{one} <-> {other}", expression.xreplace({one: other, other: one}))


OPERATORS = (_moved, _last_digit, _signs, _coefficients, _factors, _exchanges, _terms, _negated)


def _nodes(
    expression: sp.Expr, path: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[int, ...], sp.Expr]]:
    yield path, expression
    for index, argument in enumerate(expression.args):
        yield from _nodes(argument, (*path, index))


def _replace(expression: sp.Expr, path: tuple[int, ...], new: sp.Expr) -> sp.Expr:
    if not path:
        return new
    arguments = list(expression.args)
    arguments[path[0]] = _replace(arguments[path[0]], path[1:], new)
    return expression.func(*arguments)
