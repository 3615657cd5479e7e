"""A correlated pair: bounds on pretraining and on descent-ascent (Lemmas 7 and 8)."""

# A claim's defaults are its statement, and SymPy expressions are immutable.

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent import example_pairs, measures, pair_numbers
from derivations.descent_ascent.pair.basics import (
    GIVEN_DECREASING,
    GRAM,
    ascent_x,
    ascent_y,
    phi_x,
    phi_y,
    pretrain_x,
    pretrain_y,
    rise,
    x0,
    y0,
)
from derivations.descent_ascent.pair_numbers import (
    DECREASING,
    TYPES,
    count,
    is_exponential,
    loss,
    nonnegative_k12,
    x_A,
    x_D,
    y_A,
    y_D,
)
from derivations.ledger.domains import (
    OneOf,
    nonnegative,
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
    k11,
    k12,
    k22,
    phi,
    ridge,
    x,
    y,
)  # fmt: skip
from derivations.ledger.theorems import Eq, Ge, Gt, Iff, Implies, Le, Theorem

# α(k22 - k12) <= k11 - k12, or k12 = 0
NARROW = Le(
    nonnegative_k12 * alpha * (k22 - nonnegative_k12), nonnegative_k12 * (k11 - nonnegative_k12)
)


def _lemma_7(**parameters):
    with mpmath.workdps(example_pairs.DIGITS):
        system = example_pairs.masses(**parameters)
        x_value, y_value = example_pairs.pretrained_margins(system)
        scale = system.pretrain / system.ridge
        cross = system.cross
        own = system.own
        share = system.alpha
        upper_x = example_pairs.lambertw(own * scale) + cross / own * example_pairs.lambertw(
            share * own * scale
        )
        lower_x, lower_y, upper_y = (
            example_pairs.lambertw(z * scale)
            for z in (own + share * cross, share * own, cross + share * own)
        )
        smaller, larger = (lower_x, x_value, lower_y, y_value), (x_value, upper_x, y_value, upper_y)
        return np.array(smaller, float), np.array(larger, float)


@claim(
    "lemma-7-bounds",
    statement=(
        "Let W(z) solve w = zφ(w), x₀ = W(k₁₁a/λ) and y₀ = W(αk₂₂a/λ). Then x₀ ≤ x_D ≤ x₀ + "
        "(k₁₂/k₂₂) y₀ and y₀ ≤ y_D. The bounds x_D ≥ W((k₁₁+αk₁₂)a/λ) and y_D ≤ W((k₁₂+αk₂₂)a/λ) "
        "hold exactly when k₁₂ = 0 or α(k₂₂−k₁₂) ≤ k₁₁−k₁₂. For the paper's types, with k₁₁ = k₂₂ "
        "= s and k₁₂ = 2ε, this is α ≤ 1."
    ),
    explanation=(
        "The slack of each bound is exact. y <= x exactly when α(k22 - k12) <= k11 - k12 "
        "(lemma-12-order). Then φ(y) >= φ(x), which gives the sign of the first and the fourth "
        "slack. The terms that y₀ and x₀ leave out are positive, so y_D >= y₀ and x_D >= x₀. These "
        "give the sign of the slack in the upper bound on x. Finally w/φ(w) increases for w > 0, "
        "so the weights are ordered as the arguments z."
    ),
    where="Lemma 7",
    domain="φ > 0 decreasing; λ, a, α > 0; any types with k12 >= 0",
    origin="corrected",
    evidence="proved",
    backs="gda_theory.pair.lemma_7_bounds",
    relation="<=",
    evaluate=_lemma_7,
    paper_says="All four bounds hold for every α.",
    theorem=Theorem(
        domain={
            **TYPES,
            nonnegative_k12: nonnegative,
            alpha: positive,
            a: positive,
            loss: DECREASING,
        },
        hypotheses=(GRAM,),
        conclusions={
            "x above x₀": Ge(x_D, pair_numbers.x_0),
            "x below": Le(x_D, pair_numbers.x_0 + nonnegative_k12 / k22 * pair_numbers.y_0),
            "y above": Ge(y_D, pair_numbers.y_0),
            "x above W": Iff(Ge(x_D, pair_numbers.x_low), NARROW),
            "y below W": Iff(Le(y_D, pair_numbers.y_high), NARROW),
        },
        measure=pair_numbers.pretraining_and_bounds,
        points=15,
    ),
    joins=[
        join(
            "monotone bijection",
            "weights are ordered as arguments",
            continuous="known:w/φ(w) is continuous",
            slope=("w/φ(w) increases for w > 0, as φ' = -e < 0", GIVEN_DECREASING),
        ),
        join(
            "sign",
            "x above x₀",
            sign=(
                "weights are ordered as arguments",
                "λx - a k11 φ(x): >= 0, so x_D >= x₀",
                "slack of x₀",
            ),
        ),
        join(
            "sign",
            "y above",
            sign=("weights are ordered as arguments", "λy - z φ(y): >= 0", "slack of y₀"),
        ),
        join(
            "sign",
            "x below",
            sign=(
                "λ(x-upper - x_D), two differences >= 0",
                "both differences",
                "x above x₀",
                "y above",
                GIVEN_DECREASING,
            ),
        ),
        join(
            "equivalence",
            "φ(x) <= φ(y)",
            identity=("claim:lemma-12-order", GIVEN_DECREASING, f"given:{GRAM}"),
            factor="known:a decreasing φ reverses the order",
        ),
        join(
            "equivalence",
            "x above W",
            identity=(
                "weights are ordered as arguments",
                "λx - z φ(x): >= 0 if y <= x",
                "φ(x) <= φ(y)",
            ),
            factor="the factor of x, for k12 > 0",
        ),
        join(
            "equivalence",
            "y below W",
            identity=(
                "weights are ordered as arguments",
                "z φ(y) - λy: >= 0 if y <= x",
                "φ(x) <= φ(y)",
            ),
            factor="the factor of y, for k12 > 0",
        ),
    ],
    counterexample=(
        "a pretrained pair with x_D above its upper bound or y_D below its lower one. Or one with "
        "k12 > 0 in which another bound fails although y_D <= x_D, or holds although y_D > x_D"
    ),
)
def lemma_7(
    x_lower=(k11 + alpha * k12) * a,
    x_upper=x0 + k12 / k22 * y0,
    y_lower=alpha * k22 * a,
    y_upper=(k12 + alpha * k22) * a,
):
    yield Equal(
        "λx - z φ(x): >= 0 if y <= x",
        pretrain_x - x_lower * phi(x),
        alpha * k12 * a * (phi(y) - phi(x)),
    )
    yield Equal(
        "z φ(y) - λy: >= 0 if y <= x", y_upper * phi(y) - pretrain_y, k12 * a * (phi(y) - phi(x))
    )
    yield Positive("the factor of x, for k12 > 0", alpha * k12 * a)
    yield Positive("the factor of y, for k12 > 0", k12 * a)
    forgotten, retained = k12 * a * phi(x), alpha * k12 * a * phi(y)
    yield Equal("λy - z φ(y): >= 0", pretrain_y - y_lower * phi(y), forgotten)
    yield Equal("λx - a k11 φ(x): >= 0, so x_D >= x₀", pretrain_x - a * k11 * phi(x), retained)
    weak = {k12: nonnegative_k12, phi(x): phi_x, phi(y): phi_y}
    yield Positive("slack of y₀", forgotten.subs(weak), strict=False)
    yield Positive("slack of x₀", retained.subs(weak), strict=False)
    defining = {x0: k11 * a * phi(x0) / ridge, y0: alpha * k22 * a * phi(y0) / ridge}
    both = a * k11 * (phi(x0) - phi(x)) + alpha * k12 * a * (phi(y0) - phi(y))
    bound = ridge * x_upper.subs(defining)
    yield Equal("λ(x-upper - x_D), two differences >= 0", bound - pretrain_x, both)
    higher = dict(zip(sp.symbols("e_x e_y", nonnegative=True), (x, y), strict=True))
    larger = {phi({x: x0, y: y0}[at]): phi(at) + rise for rise, at in higher.items()}
    yield Positive(
        "both differences", both.subs(larger).subs(k12, nonnegative_k12).expand(), strict=False
    )
    slope = sp.diff(x / phi(x), x).subs(phi(x).diff(x), -rise).subs(phi(x), phi_x).subs(x, x0)
    yield Positive("w/φ(w) increases for w > 0, as φ' = -e < 0", slope)


def _lemma_8(**parameters):
    with mpmath.workdps(example_pairs.DIGITS):
        system = example_pairs.masses(**parameters)
        point = example_pairs.descent_ascent_margins(system)
        arguments = (
            system.own * system.retain - system.cross * system.forget,
            system.cross * system.retain - system.own * system.forget,
        )
        bounds = [example_pairs.lambertw(z / system.ridge) for z in arguments]
        return np.array(point, float), np.array(bounds, float)


@claim(
    "lemma-8-bounds",
    statement=(
        "Let k₁₂ ≤ k₁₁ and k₁₂ ≤ k₂₂, as for the paper's types. Every stationary point satisfies "
        "x_DA ≤ W((k₁₁A − k₁₂B)/λ) and y_DA ≤ W((k₁₂A − k₂₂B)/λ). Hence, for the exponential loss, "
        "there is none if k₂₂B − k₁₂A > λ/e."
    ),
    explanation=(
        "Since y <= x (lemma-12-order), φ(y) = φ(x) + e with e >= 0. Then w - zφ(w) is <= 0, by "
        "exactly the slacks. For the exponential loss w e^w <= z puts w below W_0(z), and is "
        "impossible for z < -1/e (lemma-2-branches). For the logistic loss w(1+e^w) increases "
        "(r-lambert-monotone)."
    ),
    where="Lemma 8",
    domain="exponential or logistic loss; λ, A, B > 0; 0 <= k12 <= k11, k22; minima and saddles",
    origin="paper",
    evidence="proved",
    backs=["gda_theory.pair.lemma_8_bounds", "gda_theory.pair.descent_ascent"],
    relation="<=",
    evaluate=_lemma_8,
    theorem=Theorem(
        domain={
            **TYPES,
            nonnegative_k12: nonnegative,
            A: positive,
            B: positive,
            loss: OneOf(measures.DECREASING[:2], others=(measures.WAVY,)),
        },
        hypotheses=(Le(nonnegative_k12, k11), Le(nonnegative_k12, k22)),
        conclusions={
            "x of the minimum": Implies(Ge(count, 1), Le(x_A, pair_numbers.x_low)),
            "y of the minimum": Implies(Ge(count, 1), Le(y_A, pair_numbers.y_high)),
            "x of the last point": Implies(Ge(count, 1), Le(pair_numbers.x_S, pair_numbers.x_low)),
            "y of the last point": Implies(Ge(count, 1), Le(pair_numbers.y_S, pair_numbers.y_high)),
            "existence": Implies(
                (Eq(is_exponential, 1), Gt(k22 * B - nonnegative_k12 * A, ridge / sp.E)),
                Eq(count, 0),
            ),
        },
        measure=pair_numbers.points_and_bounds,
        points=12,
    ),
    joins=[
        join(
            "monotone bijection",
            "w - zφ(w) <= 0 bounds w by W(z)",
            continuous="known:e^w is continuous",
            slope=("claim:lemma-2-branches", "claim:r-lambert-monotone", "logistic: w/φ(w)"),
        ),
        *(
            join(
                "sign",
                (f"{margin} of the minimum", f"{margin} of the last point"),
                sign=(
                    "w - zφ(w) <= 0 bounds w by W(z)",
                    "claim:lemma-12-order",
                    f"given:{nonnegative_k12} <= k11",
                    f"given:{nonnegative_k12} <= k22",
                    f"z φ({margin}) - λ{margin}",
                    f"slack of {margin}",
                ),
            )
            for margin in "xy"
        ),
        join(
            "contradiction",
            "existence",
            assumption=("z φ(y) - λy", "slack of y"),
            absurd="claim:lemma-2-branches",
        ),
    ],
    counterexample="a stationary point above a bound, or one that exists although sB - 2εA > λ/e",
)
def lemma_8(x_upper=k11 * A - k12 * B, y_upper=k12 * A - k22 * B):
    slack_x, slack_y = k12 * B * (phi(y) - phi(x)), k12 * A * (phi(y) - phi(x))
    yield Equal("z φ(x) - λx", x_upper * phi(x) - ascent_x, slack_x)
    yield Equal("z φ(y) - λy", y_upper * phi(y) - ascent_y, slack_y)
    higher = sp.Symbol("e_0", nonnegative=True)
    for name, slack in (("x", slack_x), ("y", slack_y)):
        shared = slack.subs(phi(y), phi(x) + higher).subs(k12, nonnegative_k12)
        yield Positive(f"slack of {name}", shared, strict=False)
    yield Equal("logistic: w/φ(w)", x / (1 / (1 + sp.exp(x))), x * sp.exp(x) + x)
