"""A correlated pair (Sec. 5.1.2; Lemmas 6-10, 12): its equations, and the paper's bounds.

The sample types are u (retained) and v (forgotten), with Gram matrix k. The margins are x = <w, u>
and y = <w, v>; the masses are a = r_p/n, A = r_p/r and B = α r_p/f. The paper has u = (1, ε) and
v = (ε, 1), so k11 = k22 = s = 1 + ε², k12 = 2ε, and φ = e^-m. The bounds are proved for any
decreasing φ > 0, where W(z) is the root of w = z φ(w). Each proof gives the exact slack of a bound:
subtract the bound's own equation from the stationary one, and find the sign of what is left.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import sympy as sp

from derivations.descent_ascent import pair_numbers
from derivations.descent_ascent.pair_in_space import pair_in_space
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
from derivations.ledger.domains import (
    Drawn,
    OneOf,
    between,
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
    retain,
    ridge,
    total,
    x,
    y,
)  # fmt: skip
from derivations.ledger.theorems import Eq, Ge, Iff, Implies, Le, Lt, Ne, Theorem

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
    pair = pair_in_space()
    yield Equal(
        "gradient/λ = w - P u + Q v",
        pair.gradient,
        pair.weights - pair.retain_dual * pair.retained + pair.forget_dual * pair.forgotten,
    )
    retained, forgotten = pair.retained, pair.forgotten
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
