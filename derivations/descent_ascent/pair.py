"""A correlated pair (Sec. 5.1.2; Lemmas 6-10, 12): its equations, and the paper's bounds.

The sample types are u (retained) and v (forgotten), with Gram matrix k. The margins are x = <w, u>
and y = <w, v>; the masses are a = r_p/n, A = r_p/r and B = α r_p/f. The paper has u = (1, ε) and
v = (ε, 1), so k11 = k22 = s = 1 + ε², k12 = 2ε, and φ = e^-m. The bounds are proved for any
decreasing φ > 0, where W(z) is the root of w = z φ(w). Each proof gives the exact slack of a bound:
subtract the bound's own equation from the stationary one, and find the sign of what is left.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import numpy as np
import sympy as sp

from derivations.ledger import intervals, numeric
from derivations.ledger.ledger import claim
from derivations.ledger.steps import Certificate, Equal, Positive
from derivations.ledger.symbols import (
    A,
    B,
    P,
    Q,
    a,
    alpha,
    below_one,
    epsilon,
    forget,
    gram_determinant,
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

w1, w2 = sp.symbols("w_1 w_2", real=True)
x_D, y_D, x_R, y_R, x_A, y_A = sp.symbols("x_D y_D x_R y_R x_DA y_DA", real=True)
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


@claim(
    "pair-gradient",
    statement=(
        "In margins the stationary points solve λx = c_u s e^{-x} + 2ε c_v e^{-y} and λy = 2ε c_u "
        "e^{-x} + s c_v e^{-y}. Here (c_u, c_v) is (a, αa) for pretraining, (A, 0) for the oracle "
        "and (A, −B) for descent-ascent."
    ),
    explanation=(
        "Multiply the gradient by the matrix that takes weights to margins. It is invertible for ε "
        "< 1 (determinant 1 - ε²)."
    ),
    where="Sec. 5.1.2, App. I",
    domain="0 <= ε < 1, λ > 0",
    origin="paper",
    evidence="proved",
    backs=[
        "gda_theory.pair.CorrelatedPair",
        "gda_theory.pair.pretrain",
        "gda_theory.pair.descent_ascent",
    ],
    counterexample="a w with zero gradient whose margins violate the equations",
)
def pair_gradient(
    pretrain_x=papers(pretrain_x),
    pretrain_y=papers(pretrain_y),
    oracle_x=papers(oracle_x),
    oracle_y=papers(oracle_y),
    descent_ascent_x=papers(ascent_x),
    descent_ascent_y=papers(ascent_y),
):
    in_weights = dict(zip((x, y), to_margins * sp.Matrix([w1, w2]), strict=True))
    for name, masses, right_sides in (
        ("pretraining", (a, alpha * a), (pretrain_x, pretrain_y)),
        ("oracle", (A, 0), (oracle_x, oracle_y)),
        ("descent-ascent", (A, -B), (descent_ascent_x, descent_ascent_y)),
    ):
        gradient = sp.Matrix([objective(*masses)]).jacobian([w1, w2]).T
        claimed = sp.Matrix(
            [ridge * margin - right for margin, right in zip((x, y), right_sides, strict=True)]
        ).subs(in_weights)
        yield Equal(f"{name}: gradient in margins", to_margins * gradient, claimed)
    yield Equal("determinant", to_margins.det(), 1 - epsilon**2)


@claim(
    "dual-masses",
    statement=(
        "With P = Aφ(x)/λ and Q = Bφ(y)/λ: w = P u − Q v, x = k₁₁P − k₁₂Q and y = k₁₂P − k₂₂Q. "
        "Exponential loss: ln P + k₁₁P − k₁₂Q = ln(A/λ)."
    ),
    explanation=(
        "The gradient of Aℓ(<w,u>) - Bℓ(<w,v>) + λ|w|²/2 is λ(w - P u + Q v). The steps are "
        "written out in three dimensions. Pretraining has a in place of A and -αa in place of B."
    ),
    where="Sec. 5.1.2, reformulated for any two sample types",
    domain="any margin loss, any u, v in any dimension",
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.pair.stationary_points",
        "gda_theory.pair.descent_ascent",
        "gda_theory.pair.curve.margins",
        "gda_theory.pair.curve.point_at",
        "gda_theory.pair.pretrain",
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
    types = to_margins * to_margins.T
    yield Equal("the paper's Gram matrix", types, sp.Matrix([[s, 2 * epsilon], [2 * epsilon, s]]))
    yield Equal("its determinant", gram_determinant.subs(paper_gram), q)


@claim(
    "lemma-6",
    statement="x_R = W(sA/λ) and y_R = (2ε/s) x_R. For any types y_R = (k₁₂/k₁₁) x_R.",
    explanation=(
        "The oracle's first equation, times e^x, is x e^x = sA/λ. The second equation is the first "
        "times k12/k11."
    ),
    where="Lemma 6",
    domain="0 <= ε < 1, λ > 0; the ratio for any loss and types",
    origin="paper",
    evidence="proved",
    backs="gda_theory.pair.retrain",
    rules=["definition of W"],
    counterexample="an oracle whose margins are not W(sA/λ) and 2ε/s times it",
)
def lemma_6(argument=s * A / ridge, ratio=k12 / k11):
    yield Equal("x e^x", papers(oracle_x) * sp.exp(x) / ridge, argument)
    yield Equal("y/x", oracle_y / oracle_x, ratio)


@claim(
    "lemma-12-order",
    statement=(
        "y_D ≤ x_D exactly when α(k₂₂−k₁₂) ≤ k₁₁−k₁₂; for the paper's types, exactly when α ≤ 1. "
        "If k₁₂ ≤ k₁₁ and k₁₂ ≤ k₂₂ (always in the paper), then y_DA ≤ x_DA and y_R ≤ x_R. Both "
        "are strict for k₁₂ < k₁₁, as in the paper."
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
        "φ > 0 decreasing, a Gram matrix k, A, a, α > 0, B >= 0; the paper's types: 0 <= ε < 1"
    ),
    origin="corrected",
    evidence="proved",
    backs=["gda_theory.pair.lemma_7_bounds", "gda_theory.pair.order_limit"],
    paper_says='The order y_D ≤ x_D holds for every α, "without loss of generality".',
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


def _lemma_7(**parameters):
    with mpmath.workdps(numeric.DIGITS):
        system = numeric.masses(**parameters)
        x_value, y_value = numeric.pretrain(system)
        scale = system.pretrain / system.ridge
        cross = system.cross
        own = system.own
        share = system.alpha
        upper_x = numeric.lambertw(own * scale) + cross / own * numeric.lambertw(
            share * own * scale
        )
        lower_x, lower_y, upper_y = (
            numeric.lambertw(z * scale)
            for z in (own + share * cross, share * own, cross + share * own)
        )
        smaller, larger = (lower_x, x_value, lower_y, y_value), (x_value, upper_x, y_value, upper_y)
        return np.array(smaller, float), np.array(larger, float)


@claim(
    "lemma-7-bounds",
    statement=(
        "With x₀ = W(sa/λ) and y₀ = W(αsa/λ): W((s+2αε)a/λ) ≤ x_D ≤ x₀ + (2ε/s)y₀ and y₀ ≤ y_D ≤ "
        "W((2ε+αs)a/λ). For any types, replace s by kᵢᵢ and 2ε by k₁₂."
    ),
    explanation=(
        "The slack of each bound is exact. Where y <= x (lemma-12-order), φ(y) >= φ(x), which "
        "gives the sign of the first and the fourth slack. The terms that y₀ and x₀ leave out are "
        "positive, so y_D >= y₀ and x_D >= x₀. These give the sign of the slack in the upper bound "
        "on x. Finally w/φ(w) increases for w > 0, so the weights are ordered as the arguments z."
    ),
    where="Lemma 7",
    domain=(
        "φ > 0 decreasing, λ > 0, k12 >= 0; the x-lower and y-upper bounds need α <= 1 (any types: "
        "α(k22 - k12) <= k11 - k12)"
    ),
    origin="corrected",
    evidence="proved",
    backs="gda_theory.pair.lemma_7_bounds",
    rules=["definition of W", "monotone bijection"],
    relation="<=",
    evaluate=_lemma_7,
    paper_says="All four bounds hold for every α.",
    counterexample=(
        "a pretrained pair outside a bound (for α > 1 outside the x-upper or y-lower one)"
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
    yield Equal("λy - z φ(y): >= 0", pretrain_y - y_lower * phi(y), k12 * a * phi(x))
    yield Equal(
        "λx - a k11 φ(x): >= 0, so x_D >= x₀",
        pretrain_x - a * k11 * phi(x),
        alpha * k12 * a * phi(y),
    )
    defining = {x0: k11 * a * phi(x0) / ridge, y0: alpha * k22 * a * phi(y0) / ridge}
    both = a * k11 * (phi(x0) - phi(x)) + alpha * k12 * a * (phi(y0) - phi(y))
    bound = ridge * x_upper.subs(defining)
    yield Equal("λ(x-upper - x_D), two differences >= 0", bound - pretrain_x, both)
    slope = sp.diff(x / phi(x), x).subs(phi(x).diff(x), -rise).subs(phi(x), phi_x).subs(x, x0)
    yield Positive("w/φ(w) increases for w > 0, as φ' = -e < 0", slope)


def _lemma_8(**parameters):
    with mpmath.workdps(numeric.DIGITS):
        system = numeric.masses(**parameters)
        point = numeric.descent_ascent(system)
        arguments = (
            system.own * system.retain - system.cross * system.forget,
            system.cross * system.retain - system.own * system.forget,
        )
        bounds = [numeric.lambertw(z / system.ridge) for z in arguments]
        return np.array(point, float), np.array(bounds, float)


@claim(
    "lemma-8-bounds",
    statement=(
        "The minimum and the saddle satisfy x_DA ≤ W((sA − 2εB)/λ) and y_DA ≤ W((2εA − sB)/λ). "
        "Hence, for the exponential loss, they exist only if sB − 2εA ≤ λ/e."
    ),
    explanation=(
        "Since y <= x (lemma-12-order), φ(y) = φ(x) + e with e >= 0. Then w - zφ(w) is <= 0, by "
        "exactly the slacks. For the exponential loss w e^w <= z puts w below W_0(z), and is "
        "impossible for z < -1/e (lemma-2-branches). For the logistic loss w(1+e^w) increases "
        "(r-lambert-monotone)."
    ),
    where="Lemma 8",
    domain=(
        "exponential or logistic loss, 0 <= k12 <= k11, k22 (the paper's types: always), every "
        "stationary point"
    ),
    origin="paper",
    evidence="proved",
    backs=["gda_theory.pair.lemma_8_bounds", "gda_theory.pair.descent_ascent"],
    rules=["definition of W", "monotone bijection"],
    relation="<=",
    evaluate=_lemma_8,
    counterexample="a stationary point above a bound, or one that exists although sB - 2εA > λ/e",
)
def lemma_8(x_upper=k11 * A - k12 * B, y_upper=k12 * A - k22 * B):
    slack_x, slack_y = k12 * B * (phi(y) - phi(x)), k12 * A * (phi(y) - phi(x))
    yield Equal("z φ(x) - λx", x_upper * phi(x) - ascent_x, slack_x)
    yield Equal("z φ(y) - λy", y_upper * phi(y) - ascent_y, slack_y)
    higher = sp.Symbol("e_0", nonnegative=True)
    for name, slack in (("x", slack_x), ("y", slack_y)):
        yield Positive(f"slack of {name}", slack.subs(phi(y), phi(x) + higher), strict=False)


def _lemma_9(**parameters):
    example = {
        "correlation": 0.2,
        "alpha": 0.16,
        "ridge": 1,
        "retain_size": 95,
        "forget_size": 5,
        "retain_in_pair": 9.5,
    }
    with mpmath.workdps(numeric.DIGITS):
        system = numeric.masses(**example | parameters)
        return np.array(numeric.descent_ascent(system), float), np.array(
            numeric.pretrain(system), float
        )


@claim(
    "lemma-9-window",
    statement=(
        "If α ≥ max{(s/2ε) f²/(r(n+f)), (2ε/s) fn/(r(n+f))}, then x_DA ≤ x_D and y_DA ≤ y_D. For "
        "any types, replace s/2ε by k₁₁/k₁₂ and 2ε/s by k₁₂/k₂₂. With sums x_DA < x_R < x_D for "
        "every α > 0, and y holds from α = k₁₂/2k₂₂ on."
    ),
    explanation=(
        "For y: y_D/φ(y_D) is at least αk22 a (Lemma 7, any α), and y_DA/φ(y_DA) is at most k12 A "
        "- k22 B (Lemma 8). The y threshold puts these two in order. For x and α <= 1: the same "
        "with (k11 + αk12) a and k11 A - k12 B. For x, the exponential loss, the paper's types and "
        "any α: compare x_D e^{x_D} and x_DA e^{x_DA}, exactly, with the tangent line below "
        "e^{x-y}. What is left is the x threshold, plus a term that is positive because y_DA <= "
        "y_D. For x with sums a = A, so w/φ(w) is larger than A k11 at x_D, equal at x_R and "
        "smaller at x_DA."
    ),
    where="Lemma 9",
    domain=(
        "λ > 0, a stationary point of descent-ascent. The paper's types: exponential loss and "
        "every α, or any decreasing φ and α <= 1. Any types with 0 < k12 <= k11, k22: y always, x "
        "for α(k22 - k12) <= k11 - k12. Sums, x: any decreasing φ and any types with k12 > 0"
    ),
    origin="paper",
    evidence="proved",
    backs=["gda_theory.pair.lemma_9_edges", "gda_theory.pair.sufficient_window"],
    rules=["definition of W", "monotone bijection", "tangent line"],
    relation="<=",
    evaluate=_lemma_9,
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
    yield Equal(
        "y: floor - ceiling",
        (y_floor - y_ceiling).subs(counted),
        (alpha - y_threshold) * k22 * per_alpha,
    )
    x_floor, x_ceiling = (k11 + alpha * k12) * a, k11 * A - k12 * B
    yield Equal(
        "x, α <= 1: floor - ceiling",
        (x_floor - x_ceiling).subs(counted),
        (alpha - x_threshold) * k12 * per_alpha,
    )
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
    t_D, t_A = sp.symbols("t_D t_DA", real=True)  # x - y at the two points
    at_D, at_A = (sp.expand(papers(side) * sp.exp(x)) for side in (pretrain_x, ascent_x))
    yield Equal("λ x_D e^x_D", at_D, a * s + 2 * alpha * epsilon * a * sp.exp(x - y))
    yield Equal("λ x_DA e^x_DA", at_A, A * s - 2 * epsilon * B * sp.exp(x - y))
    lowered = (a * s + 2 * alpha * epsilon * a * (1 + t_D)) - (A * s - 2 * epsilon * B * (1 + t_A))
    rest = 2 * epsilon * alpha * in_pair * (t_D / total + t_A / forget)
    yield Equal(
        "their difference, e^t >= 1 + t",
        lowered.subs(counted),
        papers((alpha - x_threshold) * k12 * per_alpha) + rest,
    )
    gaps = {
        t_D: papers(pretrain_x - pretrain_y).subs({x: x_D, y: y_D}) / ridge,
        t_A: papers(ascent_x - ascent_y).subs({x: x_A, y: y_A}) / ridge,
    }
    positive = in_pair * sp.exp(-x_D) / total**2 + in_pair * sp.exp(-x_A) / (retain * forget)
    signed = alpha * in_pair * (sp.exp(-y_A) / forget**2 - sp.exp(-y_D) / total**2)
    both = (1 - epsilon) ** 2 * (positive + signed) / ridge
    yield Equal("t_D/n + t_DA/f", (t_D / total + t_A / forget).subs(gaps).subs(counted), both)
    yield Positive("first two terms", positive)
    yield Positive(
        "the difference, e^{y_DA - y_D} = t/(1+t) < 1", 1 / forget**2 - below_one / total**2
    )


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
    rules=["monotone bijection", "tangent line"],
    counterexample="an exponential or logistic pair with α above both thresholds and x_DA > x_D",
)
def lemma_9_any_share(
    x_threshold=k11 / k12 * forget**2 / (retain * (total + forget)),
    factor=k12 * alpha * in_pair,
    widening=total / forget,
):
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
    with mpmath.workdps(numeric.DIGITS):
        system = numeric.masses(**parameters)
        x_retrain = numeric.oracle(system)[0]
        scale = system.own * system.pretrain / system.ridge
        quota = system.own / system.cross * (x_retrain - numeric.lambertw(scale))
        edge = numeric.masses(**parameters | {"alpha": quota * mpmath.exp(quota) / scale})
        return float(numeric.pretrain(edge)[0]), float(x_retrain)


@claim(
    "lemma-10-x",
    statement=(
        "x_D ≤ x_R for α ≤ α_x = Q e^Q λ/(sa), with Q = (s/2ε)[W(sA/λ) − W(sa/λ)]. For any loss "
        "and types α_x = λQ/(k₂₂aφ(Q)), with Q = (k₂₂/k₁₂)(x_R − x₀)."
    ),
    explanation=(
        "Lemma 7's upper bound on x is x₀ + (k12/k22) y₀, and it increases with α. It equals x_R "
        "at y₀ = Q, that is at αk22 aφ(Q) = λQ."
    ),
    where="Lemma 10, which uses α_x without printing it",
    domain="φ > 0 decreasing, λ > 0, any α, any types with k12 > 0",
    origin="reconstructed",
    evidence="proved",
    backs=["gda_theory.pair.lemma_10_edges", "gda_theory.pair.sufficient_window"],
    rules=["definition of W", "monotone bijection"],
    relation="<=",
    evaluate=_lemma_10_x,
    counterexample="α <= α_x with x_D > x_R",
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
    yield Positive("x_R > x₀, as A > a", (A - a).subs(counted))


def _lemma_10_y(**parameters):
    with mpmath.workdps(numeric.DIGITS):
        system = numeric.masses(**parameters)
        x_retrain, y_retrain = numeric.oracle(system)
        edge = (
            system.cross
            / system.own
            * (system.retain / system.pretrain * mpmath.exp(y_retrain - x_retrain) - 1)
        )
        at_edge = numeric.masses(**parameters | {"alpha": max(edge, 0)})
        return float(numeric.pretrain(at_edge)[1]), float(y_retrain)


# r, f, r_p, λ, ε of the counterexample; α between the exact crossing 2.677 and α_y = 2.980.
COUNTEREXAMPLE = {
    retain: "7.09182",
    forget: "123.107",
    in_pair: "6.94339",
    ridge: "0.00106846",
    epsilon: "0.455356",
    alpha: "2.9",
}


@claim(
    "lemma-10-y",
    statement=(
        "y_D ≤ y_R for α ≤ min(1, α_y), with α_y = (k₁₂/k₂₂)[(n/r) φ(x_R)/φ(y_R) − 1] (with sums 1 "
        "in place of n/r). For the paper's pair α_y = (2ε/s)[(n/r) e^{y_R − x_R} − 1]. Without α ≤ "
        "1 the claim is false."
    ),
    explanation=(
        "Lemma 7's upper bound on y (α <= 1) has argument (k12 + αk22) a. For y_R, λy_R/φ(y_R) = "
        "k12 A φ(x_R)/φ(y_R). The two agree at α_y. The counterexample is certified: at α = 2.9 < "
        "α_y the exact curve α_D (explicit-curves, bijections) puts y_D above y_R."
    ),
    where="Lemma 10, which uses α_y without printing it, and lacks α <= 1",
    domain=(
        "φ > 0 decreasing, λ > 0, α <= 1 (any types: α(k22 - k12) <= k11 - k12); empty where α_y < "
        "0: x_R (1-ε)²/s > ln(n/r)"
    ),
    origin="corrected",
    evidence="certified",
    backs=["gda_theory.pair.lemma_10_edges", "gda_theory.pair.sufficient_window"],
    rules=["definition of W", "monotone bijection"],
    relation="<=",
    evaluate=_lemma_10_y,
    paper_says="y_R ≥ y_D for α ≤ α_y, without α ≤ 1.",
    counterexample="α <= min(1, α_y) with y_D > y_R",
)
def lemma_10_y(
    alpha_y=k12 / k22 * (total / retain * phi(x_R) / phi(y_R) - 1),
    exponent=(1 - epsilon) ** 2 / s * x_R,
):
    y_retrain = oracle_y.subs(x, x_R) / phi(y_R)
    yield Equal(
        "(k12 + α_y k22) a = λ y_R/φ(y_R)",
        ((k12 + alpha_y * k22) * a).subs(counted),
        y_retrain.subs(counted),
    )
    yield Equal(
        "sums: the same with A = a, and n/r is 1",
        (k12 + alpha_y.subs(forget, 0) * k22) * A,
        y_retrain,
    )
    yield Equal("x_R - y_R, by Lemma 6", x_R - 2 * epsilon / s * x_R, exponent)
    at_zero = papers(1 + alpha_y * k22 / k12).subs(y_R, x_R - exponent)
    yield Equal(
        "α_y > 0 iff x_R (1-ε)²/s < ln(n/r)", sp.log(at_zero), sp.log(total / retain) - exponent
    )
    yield Certificate(
        "α = 2.9 lies below α_y, yet y_D > y_R", *_certify_counterexample(papers(alpha_y))
    )


def _certify_counterexample(alpha_y):
    values = {symbol: sp.Rational(value) for symbol, value in COUNTEREXAMPLE.items()}
    retained = sp.LambertW(s * A / ridge).subs(counted)
    oracle = {x_R: retained, y_R: 2 * epsilon / s * retained}
    # y_D(x) = y_R at x_b = k + W(c e^{-k}). At α_D(x_b) y_D crosses y_R, increasing (bijections).
    k = 2 * epsilon / s * oracle[y_R]
    x_b = k + sp.LambertW(a * q / (ridge * s) * sp.exp(-k)).subs(counted)
    crossing = (
        (ridge * x_b - a * s * sp.exp(-x_b)) * sp.exp(oracle[y_R]) / (2 * epsilon * a)
    ).subs(counted)
    exact, claimed = (
        intervals.enclose(expression.subs(values), {})
        for expression in (crossing, alpha_y.subs(oracle))
    )
    chosen = intervals.ball(values[alpha])
    return bool(
        exact < chosen and chosen < claimed
    ), f"y_D = y_R at α in {exact.str(12)}, α_y in {claimed.str(12)}"
