"""A correlated pair: where descent-ascent lies below pretraining (Lemma 9)."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent import example_pairs, measures, pair_numbers
from derivations.descent_ascent.pair.basics import (
    GIVEN_DECREASING,
    ascent_x,
    ascent_y,
    counted,
    oracle_x,
    phi_x,
    phi_y,
    pretrain_x,
    pretrain_y,
    rise,
    surplus_1,
    surplus_2,
    x0,
)
from derivations.descent_ascent.pair_numbers import (
    DECREASING,
    TYPES,
    count,
    loss,
    x_A,
    x_D,
    y_A,
    y_D,
)
from derivations.ledger.domains import (
    OneOf,
    positive,
)
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import (
    A,
    B,
    a,
    alpha,
    forget,
    in_pair,
    k11,
    k12,
    k22,
    phi,
    retain,
    ridge,
    total,
    x,
    y,
)  # fmt: skip
from derivations.ledger.theorems import Eq, Ge, Implies, Le, Lt, Theorem


def _lemma_9(**parameters):
    example = {
        "correlation": 0.2,
        "alpha": 0.16,
        "ridge": 1,
        "retain_size": 95,
        "forget_size": 5,
        "retain_in_pair": 9.5,
    }
    with mpmath.workdps(example_pairs.DIGITS):
        system = example_pairs.masses(**example | parameters)
        return np.array(example_pairs.descent_ascent_margins(system), float), np.array(
            example_pairs.pretrained_margins(system), float
        )


COUNTS = {retain: positive, forget: positive, in_pair: positive, alpha: positive}
ABOVE_X = Ge(alpha, k11 / k12 * forget**2 / (retain * (total + forget)))
ABOVE_Y = Ge(alpha, k12 / k22 * forget * total / (retain * (total + forget)))
WINDOW = {**TYPES, **COUNTS, k12: positive}
SUMS = dict(zip(("x_D", "y_D", "x_R", "x_A", "y_A"), pair_numbers.sums, strict=True))
POINT = Ge(count, 1)
POINT_OF_SUMS = Ge(pair_numbers.count_sums, 1)
COVERED = Eq(pair_numbers.covered, 1)
SMALL = (Le(k12, k11), Le(k12, k22))
GIVEN_SMALL = tuple(f"given:{relation}" for relation in SMALL)


TWO_LOSSES = OneOf(measures.DECREASING[:2])
ORDER_OF_Y = "y_DA <= y_D above the y threshold"


def order_joins(losses, gives):
    """Lemma 9's y part, which both of the next claims prove."""
    return [
        join(
            "monotone bijection",
            "w > 0 is ordered as w/φ(w)",
            continuous="known:w/φ(w) is continuous",
            slope=("w/φ(w) increases for w > 0", f"given:loss {losses}"),
        ),
        join(
            "sign",
            "y/φ(y) of descent-ascent is at most its ceiling",
            sign=(
                "ceiling φ(y) - λy",
                "slack of the ceiling of y",
                "claim:lemma-12-order",
                *GIVEN_SMALL,
            ),
        ),
        join(
            "sign",
            gives,
            sign=(
                "w > 0 is ordered as w/φ(w)",
                "claim:lemma-7-bounds",
                "y/φ(y) of descent-ascent is at most its ceiling",
                "y: floor - ceiling",
                "y: its factor",
            ),
        ),
    ]


def ceiling_steps(name, at, ceiling, side, mass):
    """``side`` is at most ``ceiling`` φ, as φ(y) - φ(x) = e >= 0 where y <= x."""
    higher = sp.Symbol("e_0", nonnegative=True)
    slack = k12 * mass * (phi(y) - phi(x))
    yield Equal(f"ceiling φ({name}) - λ{name}", ceiling * phi(at) - side, slack)
    above = slack.subs(phi(y), phi(x) + higher)
    yield Positive(f"slack of the ceiling of {name}", above, strict=False)


def order_steps(y_threshold):
    """The steps of Lemma 9's y part."""
    per_alpha = in_pair * (total + forget) / (forget * total)
    floor, ceiling = alpha * k22 * a, k12 * A - k22 * B
    yield Equal(
        "y: floor - ceiling",
        (floor - ceiling).subs(counted),
        (alpha - y_threshold) * k22 * per_alpha,
    )
    yield Positive("y: its factor", k22 * per_alpha)
    yield from ceiling_steps("y", y, ceiling, ascent_y, A)
    slope = sp.diff(x / phi(x), x).subs(phi(x).diff(x), -rise).subs(phi(x), phi_x).subs(x, x0)
    yield Positive("w/φ(w) increases for w > 0", slope)


@claim(
    "lemma-9-window",
    statement=(
        "Let k₁₂ ≤ k₁₁ and k₁₂ ≤ k₂₂, as in the paper. If α ≥ (k₁₂/k₂₂) fn/(r(n+f)), then y_DA ≤ "
        "y_D. If also α ≥ (k₁₁/k₁₂) f²/(r(n+f)), then x_DA ≤ x_D for the exponential and the "
        "logistic loss. For other losses the second threshold gives x_DA ≤ x_D if α(k₂₂−k₁₂) ≤ "
        "k₁₁−k₁₂. With sums x_DA < x_R < x_D for every α > 0, and y_DA ≤ y_D for α ≥ k₁₂/2k₂₂."
    ),
    explanation=(
        "For y: y_D/φ(y_D) is at least αk22 a (Lemma 7, any α), and y_DA/φ(y_DA) is at most k12 A "
        "- k22 B. The y threshold puts these two in order. For x under the condition: the same "
        "with (k11 + αk12) a and k11 A - k12 B. Where x_DA or y_DA is negative there is nothing to "
        "show. For x at any α see lemma-9-any-share. For x with sums a = A, so w/φ(w) is larger "
        "than A k11 at x_D, equal at x_R and smaller at x_DA."
    ),
    where="Lemma 9",
    domain=(
        "φ > 0 decreasing, λ > 0, any types with 0 < k12 <= k11, k22; every stationary point of "
        "descent-ascent"
    ),
    origin="paper",
    evidence="proved",
    backs=["gda_theory.pair.lemma_9_edges", "gda_theory.pair.sufficient_window"],
    relation="<=",
    evaluate=_lemma_9,
    theorem=Theorem(
        domain={**WINDOW, loss: DECREASING},
        hypotheses=SMALL,
        conclusions={
            "y": Implies((ABOVE_Y, POINT), Le(y_A, y_D)),
            "y of the last point": Implies((ABOVE_Y, POINT), Le(pair_numbers.y_S, y_D)),
            "x": Implies((ABOVE_X, ABOVE_Y, POINT, COVERED), Le(x_A, x_D)),
            "x of the last point": Implies(
                (ABOVE_X, ABOVE_Y, POINT, COVERED), Le(pair_numbers.x_S, x_D)
            ),
            "x, any loss": Implies(
                (ABOVE_X, Le(alpha * (k22 - k12), k11 - k12), POINT), Le(x_A, x_D)
            ),
            "sums: x_DA < x_R": Implies(POINT_OF_SUMS, Lt(SUMS["x_A"], SUMS["x_R"])),
            "sums: x_R < x_D": Lt(SUMS["x_R"], SUMS["x_D"]),
            "sums: y": Implies(
                (Ge(alpha, k12 / (2 * k22)), POINT_OF_SUMS), Le(SUMS["y_A"], SUMS["y_D"])
            ),
        },
        measure=pair_numbers.windows,
        points=40,
    ),
    joins=[
        *order_joins(DECREASING, ("y", "y of the last point")),
        join("identity", ("x", "x of the last point"), equation="claim:lemma-9-any-share"),
        join(
            "sign",
            "x, any loss",
            sign=(
                "w > 0 is ordered as w/φ(w)",
                "claim:lemma-7-bounds",
                "ceiling φ(x) - λx",
                "slack of the ceiling of x",
                "claim:lemma-12-order",
                *GIVEN_SMALL,
                "x, α <= 1: floor - ceiling",
                "x: its factor",
            ),
        ),
        join(
            "monotone bijection",
            ("sums: x_DA < x_R", "sums: x_R < x_D"),
            continuous="known:λx - A k11 φ(x) is continuous",
            slope=(
                "sums: λ x_R",
                "sums: λ x_D - A k11 φ(x_D)",
                "sums: A k11 φ(x_DA) - λ x_DA",
                "both",
                "and λx - A k11 φ(x) increases",
                GIVEN_DECREASING,
            ),
        ),
        join(
            "sign",
            "sums: y",
            sign=(
                "w > 0 is ordered as w/φ(w)",
                "claim:lemma-7-bounds",
                "y/φ(y) of descent-ascent is at most its ceiling",
                "sums, y: floor - ceiling",
                "y: its factor",
            ),
        ),
    ],
    counterexample="α above both thresholds and below the fold with x_DA > x_D or y_DA > y_D",
)
def lemma_9(
    x_threshold=k11 / k12 * forget**2 / (retain * (total + forget)),
    y_threshold=k12 / k22 * forget * total / (retain * (total + forget)),
    y_of_sums=k12 / (2 * k22),
    x_of_sums=alpha * k12 * in_pair * phi(y),
):
    per_alpha = in_pair * (total + forget) / (forget * total)
    y_floor, y_ceiling = alpha * k22 * a, k12 * A - k22 * B
    yield from order_steps(y_threshold)
    x_floor, x_ceiling = (k11 + alpha * k12) * a, k11 * A - k12 * B
    yield Equal(
        "x, α <= 1: floor - ceiling",
        (x_floor - x_ceiling).subs(counted),
        (alpha - x_threshold) * k12 * per_alpha,
    )
    yield Positive("x: its factor", k12 * per_alpha)
    yield from ceiling_steps("x", x, x_ceiling, ascent_x, B)
    of_sums = {a: in_pair, A: in_pair, B: alpha * in_pair}
    yield Equal(
        "sums, y: floor - ceiling",
        (y_floor - y_ceiling).subs(of_sums),
        (alpha - y_of_sums) * 2 * k22 * in_pair,
    )
    alone = (A * k11 * phi(x)).subs(of_sums)  # λx of the oracle
    yield Equal("sums: λ x_R", oracle_x.subs(of_sums), alone)
    yield Equal("sums: λ x_D - A k11 φ(x_D)", pretrain_x.subs(of_sums) - alone, x_of_sums)
    yield Equal("sums: A k11 φ(x_DA) - λ x_DA", alone - ascent_x.subs(of_sums), x_of_sums)
    yield Positive("both", x_of_sums.subs(phi(y), phi_y))
    increase = sp.diff(ridge * x - alone, x).subs(phi(x).diff(x), -rise)
    yield Positive("and λx - A k11 φ(x) increases", increase)


@claim(
    "lemma-9-any-share",
    statement=(
        "Lemma 9's x part holds for every α ≥ max of both its thresholds, beyond Lemma 12's range "
        "too, for the exponential and the logistic loss: x_DA ≤ x_D."
    ),
    explanation=(
        "The y part gives y_DA <= y_D. Let ψ(x) = λx/φ(x), which increases, and R = φ(y)/φ(x). "
        "Above the x threshold ψ(x_D) - ψ(x_DA) is at least a positive factor times (R_D - 1)/n + "
        "(R_DA - 1)/f. As y_DA <= x_DA, R_DA >= 1. Where y_D <= x_D, R_D >= 1 too. Otherwise let τ "
        "= y_D - x_D and N = n/f > 1. From x - y at both points, x_DA - y_DA >= Nτ.\n\n"
        "Suppose x_DA > x_D. For both losses φ(x - d)/φ(x) increases with d, and does not decrease "
        "with x. So R_DA >= φ(x_D - Nτ)/φ(x_D). With E = e^{-x_D} the logistic loss needs N(1 - "
        "e^{-Nτ})(1 + Ee^{-τ}) >= (1 - e^{-τ})(E + e^{-Nτ}). Factor by factor the left side is the "
        "larger one, because N >= 1 and E <= 1 (x_D > 0). The exponential loss needs N(e^{Nτ} - 1) "
        ">= 1 - e^{-τ}. So ψ(x_D) >= ψ(x_DA) after all, which contradicts x_DA > x_D."
    ),
    where="Lemma 9, α beyond Lemma 12",
    domain=(
        "mean losses, exponential or logistic loss, any types with 0 < k12 <= k11, k22, λ > 0, "
        "every stationary point of descent-ascent"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.lemma_9_edges",
    theorem=Theorem(
        domain={**WINDOW, loss: TWO_LOSSES},
        hypotheses=SMALL,
        conclusions={
            "x": Implies((ABOVE_X, ABOVE_Y, POINT), Le(x_A, x_D)),
            "x of the last point": Implies((ABOVE_X, ABOVE_Y, POINT), Le(pair_numbers.x_S, x_D)),
        },
        measure=pair_numbers.windows,
        points=12,
    ),
    joins=[
        *order_joins(TWO_LOSSES, ORDER_OF_Y),
        join(
            "sign",
            "R_DA - 1 is large beyond Lemma 12's range",
            sign=(
                "λτ is less",
                "λ(x_DA - y_DA) is more",
                "B/(αa)",
                "n/f > 1",
                ORDER_OF_Y,
                "logistic: it rises with d",
                "logistic: it rises with x",
                "logistic: R_DA - 1",
                "logistic: 1 - R_D",
                "logistic: N (R_DA - 1) - (1 - R_D)",
                "exponential: the same",
            ),
        ),
        join(
            "contradiction",
            ("x", "x of the last point"),
            assumption=("ψ(x_D) - ψ(x_DA)", "claim:lemma-12-order", *GIVEN_SMALL),
            absurd="R_DA - 1 is large beyond Lemma 12's range",
        ),
    ],
    counterexample="an exponential or logistic pair with α above both thresholds and x_DA > x_D",
)
def lemma_9_any_share(
    x_threshold=k11 / k12 * forget**2 / (retain * (total + forget)),
    y_threshold=k12 / k22 * forget * total / (retain * (total + forget)),
    factor=k12 * alpha * in_pair,
    widening=total / forget,
):
    yield from order_steps(y_threshold)
    # R_D and R_DA, of which φ(y) = R φ(x).
    ratio_D, ratio_A = sp.symbols("R_D R_DA", positive=True)
    psi_D = (pretrain_x / phi(x)).subs(phi(y), ratio_D * phi(x))
    psi_A = (ascent_x / phi(x)).subs(phi(y), ratio_A * phi(x))
    both = factor * ((ratio_D - 1) / total + (ratio_A - 1) / forget)
    per_alpha = in_pair * (total + forget) / (forget * total)
    yield Equal(
        "ψ(x_D) - ψ(x_DA)",
        (psi_D - psi_A).subs(counted),
        both + (alpha - x_threshold) * k12 * per_alpha,
    )
    # τ <= (k22 - k12) αa φ(y_D)/λ and x_DA - y_DA >= (k22 - k12) B φ(y_DA)/λ.
    apart = {phi(x): phi_x, phi(y): phi_y, k11: k12 + surplus_1, k22: k12 + surplus_2}
    reversed_gap = surplus_2 * alpha * a * phi_y  # its bound
    yield Positive("λτ is less", (reversed_gap - (pretrain_y - pretrain_x)).subs(apart))
    gap_A = (ascent_x - ascent_y).subs(apart).subs(phi_y, phi_y + rise)  # φ(y_DA) = φ(y_D) + e
    more = (gap_A - surplus_2 * B * phi_y).subs(counted)
    yield Equal("B/(αa)", (B / (alpha * a)).subs(counted), widening)
    yield Positive("λ(x_DA - y_DA) is more", more)
    # Both losses: φ(x - d)/φ(x) rises with d and with x.
    at, drop = sp.symbols("X u", positive=True)  # X = e^x, e^d = 1 + u
    logistic_ratio = (1 + at) / (1 + at / (1 + drop))
    yield Positive("logistic: it rises with d", sp.diff(logistic_ratio, drop))
    yield Positive("logistic: it rises with x", sp.diff(logistic_ratio, at))
    # E = 1/(1+p), e^{-τ} = 1/(1+g), e^{-Nτ} = 1/((1+g)(1+h)), N = 1 + m.
    p, g, h, m = sp.symbols("p g h m", positive=True)
    E, near, far, times = 1 / (1 + p), 1 / (1 + g), 1 / ((1 + g) * (1 + h)), 1 + m
    yield Positive("n/f > 1", (widening - 1))
    at_A = logistic_ratio.subs({at: 1 / E, drop: 1 / far - 1}) - 1
    at_D = 1 - (1 + 1 / E) / (1 + 1 / (E * near))
    yield Equal("logistic: R_DA - 1", at_A, (1 - far) / (E + far))
    yield Equal("logistic: 1 - R_D", at_D, (1 - near) / (1 + E * near))
    yield Positive("logistic: N (R_DA - 1) - (1 - R_D)", times * at_A - at_D)
    yield Positive("exponential: the same", times * (1 / far - 1) - (1 - near))
