"""The objective of a pair as a function of weights in space, for any margin loss."""

from typing import NamedTuple

import sympy as sp

from derivations.ledger.symbols import A, B, ridge


class PairInSpace(NamedTuple):
    """Weights w and types u and v of three coordinates each, and the gradient of J.

    Attributes:
        weights: w.
        retained: u.
        forgotten: v.
        gradient: of J at w, over the ridge.
        retain_dual: P, a function of w.
        forget_dual: Q, a function of w.
    """

    weights: sp.Matrix
    retained: sp.Matrix
    forgotten: sp.Matrix
    gradient: sp.Matrix
    retain_dual: sp.Expr
    forget_dual: sp.Expr


def pair_in_space() -> PairInSpace:
    """The pair of ``J(w) = A loss(<w, u>) - B loss(<w, v>) + ridge |w|^2 / 2``, differentiated."""
    weights, retained, forgotten = (
        sp.Matrix(sp.symbols(f"{name}_1:4", real=True)) for name in "wuv"
    )
    loss = sp.Function("ell")
    at = sp.Symbol("m")
    value = (
        A * loss(weights.dot(retained))
        - B * loss(weights.dot(forgotten))
        + ridge * weights.dot(weights) / 2
    )
    retain_dual, forget_dual = (
        -mass / ridge * loss(at).diff(at).subs(at, weights.dot(kind))
        for mass, kind in ((A, retained), (B, forgotten))
    )
    return PairInSpace(
        weights=weights,
        retained=retained,
        forgotten=forgotten,
        gradient=sp.Matrix([value]).jacobian(weights).T / ridge,
        retain_dual=retain_dual,
        forget_dual=forget_dual,
    )
