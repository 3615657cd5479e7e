"""A correlated pair (Sec. 5.1.2; Lemmas 6-10, 12): its equations, and the paper's bounds.

The sample types are u (retained) and v (forgotten), with Gram matrix k. The margins are x = <w, u>
and y = <w, v>; the masses are a = r_p/n, A = r_p/r and B = α r_p/f. The paper has u = (1, ε) and
v = (ε, 1), so k11 = k22 = s = 1 + ε², k12 = 2ε, and φ = e^-m. The bounds are proved for any
decreasing φ > 0, where W(z) is the root of w = z φ(w). Each proof gives the exact slack of a bound:
subtract the bound's own equation from the stationary one, and find the sign of what is left.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent import example_pairs, measures, pair_numbers
from derivations.descent_ascent.pair_numbers import (
    ANY_LOSS,
    DECREASING,
    P_A,
    Q_A,
    TYPES,
    any_k12,
    count,
    is_exponential,
    loss,
    nonnegative_k12,
    x_A,
    x_D,
    x_R,
    y_A,
    y_D,
    y_R,
)
from derivations.ledger.certificates import Enclosed
from derivations.ledger.domains import (
    Drawn,
    OneOf,
    between,
    nonnegative,
    positive,
    positive_within,
    real,
)
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import (
    A,
    B,
    P,
    Q,
    a,
    alpha,
    epsilon,
    forget,
    in_pair,
    k11,
    k12,
    k22,
    paper_gram,
    phi,
    q,
    retain,
    ridge,
    s,
    total,
    x,
    y,
)  # fmt: skip
from derivations.ledger.theorems import Eq, Ge, Gt, Iff, Implies, Le, Lt, Ne, Theorem

w1, w2 = sp.symbols("w_1 w_2", real=True)
x0, y0 = sp.symbols("x_0 y_0", positive=True)
phi_x, phi_y, rise = sp.symbols(
    "phi_x phi_y e", positive=True
)  # φ(x), φ(y); rise: how much larger φ is at the smaller margin
surplus_1, surplus_2 = sp.symbols(
    "d_1 d_2", positive=True
)  # k11 - k12 and k22 - k12, where these are assumed positive

to_margins = sp.Matrix(
    [[1, epsilon], [epsilon, 1]]
)  # the paper's (x, y) = to_margins (w1, w2); its square is the Gram matrix
counted = {a: in_pair / total, A: in_pair / retain, B: alpha * in_pair / forget}

# λx and λy at a stationary point: what every proof below starts from.
pretrain_x = a * (k11 * phi(x) + alpha * k12 * phi(y))
pretrain_y = a * (k12 * phi(x) + alpha * k22 * phi(y))
oracle_x, oracle_y = A * k11 * phi(x), A * k12 * phi(x)
ascent_x, ascent_y = A * k11 * phi(x) - B * k12 * phi(y), A * k12 * phi(x) - B * k22 * phi(y)

exponential = sp.Lambda(x, sp.exp(-x))


any_epsilon = sp.Symbol("epsilon", real=True)
INVERTIBLE = Ne(any_epsilon**2, 1)


def papers(expression):
    """``expression`` for the paper's types and loss."""
    return sp.sympify(expression).subs(paper_gram).replace(phi, exponential).doit()


def objective(retain_mass, forget_mass):
    """The signed-weight objective of the paper's pair, in the weights."""
    on_retain, on_forget = to_margins * sp.Matrix([w1, w2])
    return (
        retain_mass * sp.exp(-on_retain)
        + forget_mass * sp.exp(-on_forget)
        + ridge * (w1**2 + w2**2) / 2
    )


def any_correlation(expression):
    """``expression`` for correlations of either sign."""
    return sp.sympify(expression).subs(epsilon, any_epsilon)


def _same_point(problem, sides):
    """The gradient vanishes exactly when λ times the margins are ``sides``."""
    first, second, on_u, on_v = pair_numbers.tested[problem]
    margins = {x: on_u, y: on_v}
    return Iff(
        (Eq(first, 0), Eq(second, 0)),
        tuple(
            Eq(ridge * margin, any_correlation(papers(side)).subs(margins))
            for margin, side in zip((on_u, on_v), sides, strict=True)
        ),
    )


@claim(
    "pair-gradient",
    statement=(
        "A point is stationary exactly when its margins solve λx = c_u s e^{-x} + 2ε c_v e^{-y} "
        "and λy = 2ε c_u e^{-x} + s c_v e^{-y}. Here (c_u, c_v) is (a, αa) for pretraining, (A, 0) "
        "for the oracle and (A, −B) for descent-ascent."
    ),
    explanation=(
        "Multiply the gradient by the matrix that takes weights to margins. It is invertible, "
        "as its determinant is 1 - ε²."
    ),
    where="Sec. 5.1.2, App. I",
    domain="ε of either sign, ε² != 1; λ, a, α, A, B > 0",
    origin="paper",
    evidence="proved",
    backs=[
        "gda_theory.pair.CorrelatedPair",
        "gda_theory.pair.pretrain",
        "gda_theory.pair.descent_ascent",
    ],
    theorem=Theorem(
        domain={
            # The objective is differentiated by quotients, which larger exponents would overflow.
            w1: between(None, None, decades=1),
            w2: between(None, None, decades=1),
            any_epsilon: between(None, None, decades=3),
            ridge: positive_within(6),
            alpha: positive_within(6),
            a: positive_within(6),
            A: positive_within(6),
            B: positive_within(6),
            sp.Symbol("at"): OneOf(("stationary", "anywhere")),
        },
        hypotheses=(INVERTIBLE,),
        conclusions={
            "pretraining": _same_point("D", (pretrain_x, pretrain_y)),
            "oracle": _same_point("R", (oracle_x, oracle_y)),
            "descent-ascent": _same_point("A", (ascent_x, ascent_y)),
        },
        measure=pair_numbers.gradients,
        points=12,
    ),
    joins=[
        join(
            "invertible map",
            name,
            map=f"{name}: gradient in margins",
            determinant=("determinant", f"given:{INVERTIBLE}"),
        )
        for name in ("pretraining", "oracle", "descent-ascent")
    ],
    counterexample="a w with zero gradient whose margins violate the equations",
)
def pair_gradient(
    pretrain_x=any_correlation(papers(pretrain_x)),
    pretrain_y=any_correlation(papers(pretrain_y)),
    oracle_x=any_correlation(papers(oracle_x)),
    oracle_y=any_correlation(papers(oracle_y)),
    descent_ascent_x=any_correlation(papers(ascent_x)),
    descent_ascent_y=any_correlation(papers(ascent_y)),
):
    matrix = to_margins.subs(epsilon, any_epsilon)
    in_weights = dict(zip((x, y), matrix * sp.Matrix([w1, w2]), strict=True))
    for name, masses, right_sides in (
        ("pretraining", (a, alpha * a), (pretrain_x, pretrain_y)),
        ("oracle", (A, 0), (oracle_x, oracle_y)),
        ("descent-ascent", (A, -B), (descent_ascent_x, descent_ascent_y)),
    ):
        value = any_correlation(objective(*masses))
        gradient = sp.Matrix([value]).jacobian([w1, w2]).T
        claimed = sp.Matrix(
            [ridge * margin - right for margin, right in zip((x, y), right_sides, strict=True)]
        ).subs(in_weights)
        yield Equal(f"{name}: gradient in margins", matrix * gradient, claimed)
    yield Equal("determinant", matrix.det(), 1 - any_epsilon**2)


@claim(
    "dual-masses",
    statement=(
        "Let P = Aφ(x)/λ and Q = Bφ(y)/λ at a stationary point. Then w = P u − Q v, x = k₁₁P − "
        "k₁₂Q and y = k₁₂P − k₂₂Q. For the exponential loss ln P + k₁₁P − k₁₂Q = ln(A/λ)."
    ),
    explanation=(
        "The gradient of Aℓ(<w,u>) - Bℓ(<w,v>) + λ|w|²/2 is λ(w - P u + Q v). The steps are "
        "written out in three dimensions; each coordinate is treated alike. Pretraining has a in "
        "place of A and -αa in place of B."
    ),
    where="Sec. 5.1.2, reformulated for any two sample types",
    domain="any margin loss, any u and v in any dimension, λ, A, B > 0",
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.pair.stationary_points",
        "gda_theory.pair.descent_ascent",
        "gda_theory.pair.curve.margins",
        "gda_theory.pair.curve.point_at",
        "gda_theory.pair.pretrain",
    ],
    theorem=Theorem(
        # Newton's method on the weights settles for moderate numbers only.
        domain={
            sp.Symbol("types"): Drawn(
                "types any two vectors u, v",
                pair_numbers.some_types,
                special=pair_numbers.SPECIAL_TYPES,
            ),
            A: positive_within(2),
            B: positive_within(2),
            ridge: positive_within(2),
            loss: ANY_LOSS,
        },
        conclusions={
            "w = P u - Q v": Eq(pair_numbers.off_span, 0),
            "x": Eq(x_A, pair_numbers.uu * P_A - pair_numbers.uv * Q_A),
            "y": Eq(y_A, pair_numbers.uv * P_A - pair_numbers.vv * Q_A),
            "exponential": Implies(
                Eq(is_exponential, 1),
                Eq(sp.log(P_A) + pair_numbers.uu * P_A - pair_numbers.uv * Q_A, sp.log(A / ridge)),
            ),
        },
        measure=pair_numbers.full_space,
        points=18,
    ),
    joins=[
        join(
            "identity",
            "w = P u - Q v",
            equation=("gradient/λ = w - P u + Q v", "known:each coordinate has the same gradient"),
        ),
        join("identity", "x", equation=("w = P u - Q v", "x = <P u - Q v, u>")),
        join("identity", "y", equation=("w = P u - Q v", "y = <P u - Q v, v>")),
        join("identity", "exponential", equation=("x", "exponential loss: A/λ = P e^x")),
    ],
    counterexample="a stationary w outside the span of u and v",
)
def dual_masses(
    x_claimed=k11 * P - k12 * Q,
    y_claimed=k12 * P - k22 * Q,
    log_equation=sp.log(P) + k11 * P - k12 * Q,
):
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
    gradient = sp.Matrix([value]).jacobian(weights).T
    retain_dual, forget_dual = (
        -mass / ridge * loss(at).diff(at).subs(at, weights.dot(kind))
        for mass, kind in ((A, retained), (B, forgotten))
    )
    yield Equal(
        "gradient/λ = w - P u + Q v",
        gradient / ridge,
        weights - retain_dual * retained + forget_dual * forgotten,
    )
    gram = {
        k11: retained.dot(retained),
        k12: retained.dot(forgotten),
        k22: forgotten.dot(forgotten),
    }
    solution = P * retained - Q * forgotten
    yield Equal("x = <P u - Q v, u>", solution.dot(retained), x_claimed.subs(gram))
    yield Equal("y = <P u - Q v, v>", solution.dot(forgotten), y_claimed.subs(gram))
    yield Equal(
        "exponential loss: A/λ = P e^x", sp.log(P * sp.exp(k11 * P - k12 * Q)), log_equation
    )


@claim(
    "lemma-6",
    statement=(
        "For the exponential loss x_R = W(k₁₁A/λ). For every loss y_R = (k₁₂/k₁₁) x_R. The paper's "
        "types have k₁₁ = s and k₁₂ = 2ε."
    ),
    explanation=(
        "The oracle's first equation, times e^x, is x e^x = k11 A/λ. The second equation is the "
        "first times k12/k11."
    ),
    where="Lemma 6",
    domain="any types: k11 > 0, k12 of either sign; λ, A > 0; the ratio for any φ > 0",
    origin="paper",
    evidence="proved",
    backs="gda_theory.pair.retrain",
    theorem=Theorem(
        domain={ridge: positive, A: positive, k11: positive, any_k12: real, loss: ANY_LOSS},
        conclusions={
            "x_R": Eq(pair_numbers.x_E, sp.LambertW(k11 * A / ridge)),
            "y_R": Eq(y_R, any_k12 / k11 * x_R),
        },
        measure=pair_numbers.oracles,
    ),
    joins=[
        join("definition of W", "x_R", equation=("x e^x", "and it is positive")),
        join("identity", "y_R", equation=("y/x", "given:k11 in (0, oo)")),
    ],
    counterexample="an oracle whose margins are not W(k₁₁A/λ) and k₁₂/k₁₁ times it",
)
def lemma_6(argument=k11 * A / ridge, ratio=any_k12 / k11):
    exponential_x = oracle_x.replace(phi, exponential).doit()
    yield Equal("x e^x", exponential_x * sp.exp(x) / ridge, argument)
    yield Positive("and it is positive", argument)
    yield Equal("y/x", (oracle_y / oracle_x).subs(k12, any_k12), ratio)


GRAM = Le(nonnegative_k12**2, k11 * k22)
GIVEN_DECREASING = f"given:loss {DECREASING}"
PLAIN_GRAM = Le(k12**2, k11 * k22)
GIVEN_GRAM = f"given:{PLAIN_GRAM}"
ANY_GRAM = Le(any_k12**2, k11 * k22)
IN_ORDER = Le(alpha * (k22 - any_k12), k11 - any_k12)
SMALL_CROSS = (Le(any_k12, k11), Le(any_k12, k22))


@claim(
    "lemma-12-order",
    statement=(
        "y_D ≤ x_D exactly when α(k₂₂−k₁₂) ≤ k₁₁−k₁₂; for the paper's types, exactly when α ≤ 1. "
        "If k₁₂ ≤ k₁₁ and k₁₂ ≤ k₂₂, as in the paper, every stationary point has y_DA ≤ x_DA. If "
        "k₁₂ ≤ k₁₁, then y_R ≤ x_R. Both are strict for k₁₂ < k₁₁, as in the paper."
    ),
    explanation=(
        "The claimed gap is λ(x_D - y_D). Suppose y > x, so φ(x) = φ(y) + e with e >= 0. Under the "
        "condition the gap would then be >= 0, although x - y < 0. With the condition reversed, x "
        ">= y is contradicted in the same way. A Gram matrix has k12 <= k11 or k12 <= k22, which "
        "leaves three cases. For descent-ascent and the oracle (B = 0) the gap is never negative. "
        "It is positive for k12 < k11. At k12 = k11, u = (1, 0) and v = (1, 1), y_R = x_R."
    ),
    where="Lemma 12",
    domain=(
        "φ > 0 decreasing, any types (k12 of either sign), λ, A, a, α, B > 0; the paper's types: 0 "
        "<= ε < 1"
    ),
    origin="corrected",
    evidence="proved",
    backs=["gda_theory.pair.lemma_7_bounds", "gda_theory.pair.order_limit"],
    paper_says='The order y_D ≤ x_D holds for every α, "without loss of generality".',
    theorem=Theorem(
        domain={
            **TYPES,
            any_k12: real,
            epsilon: between(0, 1, "[)"),
            alpha: positive,
            a: positive,
            A: positive,
            B: positive,
            loss: DECREASING,
        },
        hypotheses=(ANY_GRAM,),
        conclusions={
            "pretraining": Iff(Le(y_D, x_D), IN_ORDER),
            "the paper's types": Iff(Le(pair_numbers.y_P, pair_numbers.x_P), Le(alpha, 1)),
            "descent-ascent": Implies((*SMALL_CROSS, Ge(count, 1)), Le(y_A, x_A)),
            "its last point": Implies(
                (*SMALL_CROSS, Ge(count, 1)), Le(pair_numbers.y_S, pair_numbers.x_S)
            ),
            "oracle": Implies(SMALL_CROSS[0], Le(y_R, x_R)),
            "strictly, descent-ascent": Implies(
                (Lt(any_k12, k11), SMALL_CROSS[1], Ge(count, 1)), Lt(y_A, x_A)
            ),
            "strictly, its last point": Implies(
                (Lt(any_k12, k11), SMALL_CROSS[1], Ge(count, 1)),
                Lt(pair_numbers.y_S, pair_numbers.x_S),
            ),
            "strictly, oracle": Implies(Lt(any_k12, k11), Lt(y_R, x_R)),
        },
        measure=pair_numbers.orders,
        points=12,
    ),
    joins=[
        join(
            "contradiction",
            "the condition gives y ≤ x",
            assumption=(
                "λ(x_D - y_D)",
                "the condition, k12 <= k22: y > x would make the gap >= 0",
                "k12 > k22, hence k12 < k11: the gap",
                f"given:{ANY_GRAM}",
            ),
            absurd=GIVEN_DECREASING,
        ),
        join(
            "contradiction",
            "the reversed condition gives y > x",
            assumption=(
                "λ(x_D - y_D)",
                "the condition reversed: x >= y would make the gap negative",
                f"given:{ANY_GRAM}",
            ),
            absurd=GIVEN_DECREASING,
        ),
        join(
            "equivalence",
            "pretraining",
            identity=("the condition gives y ≤ x", "the reversed condition gives y > x"),
            factor="given:ridge in (0, oo)",
        ),
        join(
            "equivalence",
            "the paper's types",
            identity=("pretraining", "the paper's k11 - k12", "the paper's k22 - k12"),
            factor="(1-ε)² > 0 at ε = t/(1+t)",
        ),
        join(
            "sign",
            ("descent-ascent", "its last point"),
            sign=("λ(x_DA - y_DA)", "the gap of descent-ascent"),
        ),
        join(
            "sign",
            ("strictly, descent-ascent", "strictly, its last point"),
            sign=("λ(x_DA - y_DA)", "it is positive for k12 < k11"),
        ),
        join("sign", "oracle", sign=("λ(x_R - y_R)", "the gap of the oracle")),
        join("sign", "strictly, oracle", sign=("λ(x_R - y_R)", "its sign for k12 < k11")),
    ],
    counterexample=(
        "α <= 1 with y_D > x_D for the paper's types, or a stationary point of descent-ascent with "
        "y > x and k12 <= k11, k22"
    ),
)
def lemma_12(
    pretrain_gap=a * ((k11 - k12) * phi(x) - alpha * (k22 - k12) * phi(y)),
    ascent_gap=A * (k11 - k12) * phi(x) + B * (k22 - k12) * phi(y),
    common=(1 - epsilon) ** 2,
):
    yield Equal("λ(x_D - y_D)", pretrain_x - pretrain_y, pretrain_gap)
    yield Equal("λ(x_DA - y_DA)", ascent_x - ascent_y, ascent_gap)
    yield Equal("λ(x_R - y_R)", oracle_x - oracle_y, ascent_gap.subs(B, 0))
    for entry in (k11, k22):
        yield Equal(f"the paper's {entry} - k12", (entry - k12).subs(paper_gram), common)
    small = sp.Symbol("t_0", nonnegative=True)
    yield Positive("(1-ε)² > 0 at ε = t/(1+t)", common.subs(epsilon, small / (1 + small)))
    surplus, wide, higher = sp.symbols("d d_v e_0", nonnegative=True)
    under = {k11: k12 + alpha * wide + surplus, k22: k12 + wide}
    larger_at_x = {phi(x): phi_y + higher, phi(y): phi_y}
    yield Positive(
        "the condition, k12 <= k22: y > x would make the gap >= 0",
        pretrain_gap.subs(larger_at_x).subs(under),
        strict=False,
    )
    narrow = {k11: k12 + surplus_1, k22: k12 - surplus_2, phi(x): phi_x, phi(y): phi_y}
    yield Positive("k12 > k22, hence k12 < k11: the gap", pretrain_gap.subs(narrow))
    # The condition reversed excludes k22 < k12, so k22 >= k12.
    beyond = {k11: k12 + alpha * wide - surplus_1, k22: k12 + wide}
    larger_at_y = {phi(x): phi_x, phi(y): phi_x + higher}
    yield Positive(
        "the condition reversed: x >= y would make the gap negative",
        -pretrain_gap.subs(larger_at_y).subs(beyond),
    )
    either = {k11: k12 + surplus, k22: k12 + wide, phi(x): phi_x, phi(y): phi_y}
    forgotten = sp.Symbol("B_0", nonnegative=True)
    ascending = ascent_gap.subs(B, forgotten)
    yield Positive("the gap of descent-ascent", ascending.subs(either), strict=False)
    strictly = {k11: k12 + surplus_1, k22: k12 + wide, phi(x): phi_x, phi(y): phi_y}
    yield Positive("it is positive for k12 < k11", ascending.subs(strictly))
    alone = ascent_gap.subs(B, 0).subs(phi(x), phi_x)
    yield Positive("the gap of the oracle", alone.subs(k11, k12 + surplus), strict=False)
    yield Positive("its sign for k12 < k11", alone.subs(k11, k12 + surplus_1))


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
        "a pretrained pair above the x-upper or below the y-lower bound, or one whose other bounds "
        "do not fail together with the order y_D <= x_D"
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


def _lemma_10_x(**parameters):
    with mpmath.workdps(example_pairs.DIGITS):
        system = example_pairs.masses(**parameters)
        x_retrain = example_pairs.oracle_margins(system)[0]
        scale = system.own * system.pretrain / system.ridge
        quota = system.own / system.cross * (x_retrain - example_pairs.lambertw(scale))
        edge = example_pairs.masses(**parameters | {"alpha": quota * mpmath.exp(quota) / scale})
        return float(example_pairs.pretrained_margins(edge)[0]), float(x_retrain)


PAIRS = {**TYPES, k12: positive, alpha: positive, a: positive, A: positive, loss: DECREASING}
quota = k22 / k12 * (x_R - pair_numbers.x_0)
edge_of_x = ridge * quota / (k22 * a * pair_numbers.phi_Q)


@claim(
    "lemma-10-x",
    statement=(
        "x_D < x_R for α ≤ α_x = λQ/(k₂₂aφ(Q)), with Q = (k₂₂/k₁₂)(x_R − x₀). So α_x is less than "
        "the α at which x_D = x_R. For the exponential loss and the paper's types this is α_x = Q "
        "e^Q λ/(sa), with x_R = W(sA/λ) and x₀ = W(sa/λ)."
    ),
    explanation=(
        "Lemma 7's upper bound on x is x₀ + (k12/k22) y₀, and x_D lies below it. It increases with "
        "α. It equals x_R at y₀ = Q, that is at αk22 aφ(Q) = λQ."
    ),
    where="Lemma 10, which uses α_x without printing it",
    domain="φ > 0 decreasing; λ, α > 0 and A > a > 0; any types with k12 > 0",
    origin="reconstructed",
    evidence="proved",
    backs=["gda_theory.pair.lemma_10_edges", "gda_theory.pair.sufficient_window"],
    relation="<=",
    evaluate=_lemma_10_x,
    theorem=Theorem(
        domain=PAIRS,
        hypotheses=(Lt(a, A), PLAIN_GRAM),
        conclusions={
            "x_D < x_R": Implies(Le(alpha, edge_of_x), Lt(x_D, x_R)),
            "below the exact edge": Lt(edge_of_x, pair_numbers.x_edge),
            "the paper's form": Implies(
                Eq(is_exponential, 1),
                Eq(edge_of_x, quota * sp.exp(quota) * ridge / (k22 * a)),
            ),
            "x_R": Implies(Eq(is_exponential, 1), Eq(x_R, sp.LambertW(k11 * A / ridge))),
            "x₀": Implies(
                Eq(is_exponential, 1), Eq(pair_numbers.x_0, sp.LambertW(k11 * a / ridge))
            ),
        },
        measure=pair_numbers.oracle_and_pretraining,
        points=15,
    ),
    joins=[
        join(
            "sign",
            "x_D < x₀ + (k12/k22) y₀",
            sign=("it is Lemma 7's bound", "λ(bound - x_D) > 0", "claim:lemma-7-bounds"),
        ),
        join(
            "monotone bijection",
            "x_D < x_R",
            continuous="known:w/φ(w) is continuous",
            slope=(
                "x_D < x₀ + (k12/k22) y₀",
                "claim:lemma-7-bounds",
                "the bound at y₀ = Q is x_R",
                "at α_x the defining equation of y₀ holds for Q",
            ),
        ),
        join(
            "monotone bijection",
            "below the exact edge",
            continuous="claim:bijections",
            slope=("x_D < x_R", "claim:bijections", "given:a < retain_mass", GIVEN_GRAM),
        ),
        join("identity", "the paper's form", equation="the paper's α_x"),
        join("definition of W", ("x_R", "x₀"), equation="claim:lemma-6"),
    ],
    counterexample="α <= α_x with x_D >= x_R",
)
def lemma_10_x(
    bound=x0 + k12 / k22 * y0, quota=k22 / k12 * (x_R - x0), alpha_x=Q * ridge / (k22 * a * phi(Q))
):
    yield Equal("the bound at y₀ = Q is x_R", bound.subs(y0, quota), x_R)
    yield Equal(
        "at α_x the defining equation of y₀ holds for Q", alpha_x * k22 * a * phi(Q), ridge * Q
    )
    defining = {x0: k11 * a * phi(x0) / ridge, y0: alpha * k22 * a * phi(y0) / ridge}
    yield Equal(
        "it is Lemma 7's bound", ridge * bound.subs(defining), pretrain_x.subs({x: x0, y: y0})
    )
    yield Equal("the paper's α_x", papers(alpha_x), Q * sp.exp(Q) * ridge / (s * a))
    # x_D > x₀, as the term αk12 aφ(y) of λx_D is positive: so φ(x₀) = φ(x) + e, with e > 0.
    both = a * k11 * (phi(x0) - phi(x)) + alpha * k12 * a * (phi(y0) - phi(y))
    higher = sp.Symbol("e_0", nonnegative=True)
    strictly = both.subs({phi(x0): phi(x) + rise, phi(y0): phi(y) + higher}).expand()
    yield Positive("λ(bound - x_D) > 0", strictly)


def _lemma_10_y(**parameters):
    with mpmath.workdps(example_pairs.DIGITS):
        system = example_pairs.masses(**parameters)
        x_retrain, y_retrain = example_pairs.oracle_margins(system)
        edge = (
            system.cross
            / system.own
            * (system.retain / system.pretrain * mpmath.exp(y_retrain - x_retrain) - 1)
        )
        at_edge = example_pairs.masses(**parameters | {"alpha": max(edge, 0)})
        return float(example_pairs.pretrained_margins(at_edge)[1]), float(y_retrain)


edge_of_y_exponential = k12 / k22 * (A / a * sp.exp(pair_numbers.y_E - pair_numbers.x_E) - 1)


def oracle_pretraining_and_counterexample(**parameters):
    """Both points of the pair, and those of the counterexample, by Newton's method."""
    return pair_numbers.oracle_and_pretraining(**parameters) | _at_counterexample(mpmath.mp.dps)


@functools.lru_cache
def _at_counterexample(digits):
    numbers = {symbol.name: mpmath.mpf(value) for symbol, value in COUNTEREXAMPLE.items()}
    own, cross = 1 + numbers["epsilon"] ** 2, 2 * numbers["epsilon"]
    gram = measures.Gram(own, cross, own)
    retain_mass = numbers["r_p"] / numbers["r"]
    pretrain_mass = numbers["r_p"] / (numbers["r"] + numbers["f"])
    x, y = measures.oracle(retain_mass, gram, numbers["lambda"])
    trained = measures.pretrained(pretrain_mass, numbers["alpha"], gram, numbers["lambda"])
    bound = cross / own * (retain_mass / pretrain_mass * mpmath.exp(y - x) - 1)
    return {
        pair_numbers.bound_C: bound,
        pair_numbers.y_DC: trained[1],
        pair_numbers.y_RC: y,
    }


# r, f, r_p, λ, ε of the counterexample; α between the exact crossing 2.677 and α_y = 2.980.
COUNTEREXAMPLE = {
    retain: "7.09182",
    forget: "123.107",
    in_pair: "6.94339",
    ridge: "0.00106846",
    epsilon: "0.455356",
    alpha: "2.9",
}


ratio_of_losses = pair_numbers.phi_xR / pair_numbers.phi_yR
edge_of_y = k12 / k22 * (A / a * ratio_of_losses - 1)


@claim(
    "lemma-10-y",
    statement=(
        "Let α(k₂₂−k₁₂) ≤ k₁₁−k₁₂; for the paper's types this is α ≤ 1. Then y_D ≤ y_R for α ≤ α_y "
        "= (k₁₂/k₂₂)[(A/a) φ(x_R)/φ(y_R) − 1], where A/a = n/r (1 with sums). For the exponential "
        "loss φ(x_R)/φ(y_R) = e^{y_R − x_R}, and α_y > 0 exactly when (1 − k₁₂/k₁₁) x_R < ln(A/a). "
        "Without the first condition y_D > y_R is possible: at α = 2.9, with α_y > 2.9."
    ),
    explanation=(
        "Lemma 7's upper bound on y has argument (k12 + αk22) a. For y_R, λy_R/φ(y_R) = k12 A "
        "φ(x_R)/φ(y_R). The two agree at α_y. The counterexample is certified: the exact curve α_D "
        "(explicit-curves, bijections) puts y_D above y_R."
    ),
    where="Lemma 10, which uses α_y without printing it, and lacks α <= 1",
    domain="φ > 0 decreasing; λ, a, A, α > 0; any types with k12 > 0",
    origin="corrected",
    evidence="certified",
    backs=["gda_theory.pair.lemma_10_edges", "gda_theory.pair.sufficient_window"],
    relation="<=",
    evaluate=_lemma_10_y,
    paper_says="y_R ≥ y_D for α ≤ α_y, without α ≤ 1.",
    theorem=Theorem(
        domain=PAIRS,
        hypotheses=(PLAIN_GRAM,),
        conclusions={
            "y_D ≤ y_R": Implies(
                (Le(alpha * (k22 - k12), k11 - k12), Le(alpha, edge_of_y)), Le(y_D, y_R)
            ),
            "exponential": Implies(Eq(is_exponential, 1), Eq(ratio_of_losses, sp.exp(y_R - x_R))),
            "α_y > 0": Iff(
                Gt(edge_of_y_exponential, 0),
                Lt((1 - k12 / k11) * pair_numbers.x_E, sp.log(A / a)),
            ),
            "α_y > 2.9": Gt(pair_numbers.bound_C, COUNTEREXAMPLE[alpha]),
            "yet y_D > y_R": Gt(pair_numbers.y_DC, pair_numbers.y_RC),
        },
        measure=oracle_pretraining_and_counterexample,
        digits=60,  # y_R - x_R may be 1e24, and is exponentiated
        points=12,
    ),
    joins=[
        join(
            "monotone bijection",
            "y_D ≤ y_R",
            continuous="known:w/φ(w) is continuous",
            slope=(
                "claim:lemma-7-bounds",
                GIVEN_GRAM,
                "(k12 + α_y k22) a = λ y_R/φ(y_R)",
                "the argument increases with α",
            ),
        ),
        join("identity", "exponential", equation="e^{-x}/e^{-y}"),
        join(
            "equivalence",
            "α_y > 0",
            identity=("x_R - y_R, by Lemma 6", "ln(1 + α_y k22/k12)", "claim:lemma-6"),
            factor="known:the logarithm increases",
        ),
        join("enclosure", "α_y > 2.9", ball="α_y > 2.9"),
        join(
            "monotone bijection",
            "yet y_D > y_R",
            continuous="claim:bijections",
            slope=("y_D = y_R below α = 2.9", "claim:bijections", "claim:explicit-curves"),
        ),
    ],
    counterexample="α <= α_y with y_D > y_R, although α(k22 - k12) <= k11 - k12",
)
def lemma_10_y(
    alpha_y=k12 / k22 * (A / a * phi(x_R) / phi(y_R) - 1),
    exponent=(1 - k12 / k11) * x_R,
):
    argument, of_oracle = (k12 + alpha_y * k22) * a, oracle_y.subs(x, x_R) / phi(y_R)
    yield Equal("(k12 + α_y k22) a = λ y_R/φ(y_R)", argument, of_oracle)
    yield Positive("the argument increases with α", sp.diff((k12 + alpha * k22) * a, alpha))
    yield Equal("x_R - y_R, by Lemma 6", x_R - k12 / k11 * x_R, exponent)
    in_exponentials = (1 + alpha_y * k22 / k12).replace(phi, exponential).doit()
    yield Equal("e^{-x}/e^{-y}", (phi(x) / phi(y)).replace(phi, exponential).doit(), sp.exp(y - x))
    yield Equal(
        "ln(1 + α_y k22/k12)",
        sp.log(in_exponentials.subs(y_R, x_R - exponent)),
        sp.log(A / a) - exponent,
    )
    crossing, claimed = _counterexample(papers(alpha_y))
    yield Enclosed("α_y > 2.9", claimed, ">", sp.Rational(COUNTEREXAMPLE[alpha]))
    yield Enclosed("y_D = y_R below α = 2.9", crossing, "<", sp.Rational(COUNTEREXAMPLE[alpha]))


def _counterexample(alpha_y):
    """The α at which y_D = y_R, and α_y, at the counterexample's numbers."""
    values = {symbol: sp.Rational(value) for symbol, value in COUNTEREXAMPLE.items()}
    retained = sp.LambertW(s * A / ridge).subs(counted)
    oracle = {x_R: retained, y_R: 2 * epsilon / s * retained}
    # y_D(x) = y_R at x_b = k + W(c e^{-k}). At α_D(x_b) y_D crosses y_R, increasing (bijections).
    k = 2 * epsilon / s * oracle[y_R]
    x_b = k + sp.LambertW(a * q / (ridge * s) * sp.exp(-k)).subs(counted)
    crossing = (ridge * x_b - a * s * sp.exp(-x_b)) * sp.exp(oracle[y_R]) / (2 * epsilon * a)
    return tuple(
        expression.subs(counted).subs(values)
        for expression in (crossing, alpha_y.subs(oracle).subs(counted))
    )
