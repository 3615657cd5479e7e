"""The limit of small steps, and what finite steps add: order, basins, blow-up, cycles (Sec. 5.1.2).

Write the weights in the basis of the sample types, w = p u - q v, and measure time in units of 1/λ.
The gradient flow of descent-ascent is p' = -p + Aφ(x)/λ, q' = -q + Bφ(y)/λ with
x = k11 p - k12 q and y = k12 p - k22 q. In (p, y) it preserves an order. The stationary points
determine what such a flow does in the plane.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent import data_measures, flow_numbers
from derivations.descent_ascent.folds import h_u, h_v, reduced_determinant
from derivations.descent_ascent.measures import Gram
from derivations.descent_ascent.pair_in_space import pair_in_space
from derivations.descent_ascent.pair_numbers import (
    DECREASING,
    count,
    loss,
    x_A,
    x_R,
    y_A,
    y_R,
)
from derivations.ledger import intervals
from derivations.ledger.certificates import Enclosed, Root, digits_of
from derivations.ledger.domains import Drawn, Integers, between, positive_within
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
    below_one,
    epsilon,
    gram_determinant,
    k11,
    k12,
    k22,
    paper_gram,
    phi,
    ridge,
    x,
    y,
)  # fmt: skip
from derivations.ledger.theorems import Eq, Ge, Gt, Implies, Le, Lt, Printed, Theorem

p, ascent = sp.symbols("p q", real=True)  # coordinates of w = p u - q v
fall_x, fall_y, determinant = sp.symbols(
    "psi_x psi_y Delta", positive=True
)  # -φ'(x), -φ'(y), the Gram determinant
step, largest, slack, slope_squared = sp.symbols("eta L varsigma g_2", positive=True)
distance, start_mass, level = sp.symbols("v |p_0| Y", positive=True)
p_gap, y_gap = sp.symbols("p_gap y_gap", nonnegative=True)  # how far apart two starts are

INDEPENDENT = Lt(k12**2, k11 * k22)
GRAM = Le(k12**2, k11 * k22)
APART = Gt(p_gap + y_gap, 0)
GIVEN_DECREASING = f"given:loss {DECREASING}"

ascent_of = (k12 * p - y) / k22  # q at (p, y)
x_of = (gram_determinant * p + k12 * y) / k22
velocity_p = -p + A * phi(x_of) / ridge
velocity_y = k12 * velocity_p - k22 * (-ascent_of + B * phi(y) / ridge)


def falling(expression):
    """``expression`` with a positive symbol for -φ' at x and at y: all we know of decreasing φ."""
    expression = sp.sympify(expression).doit()
    for derivative in expression.atoms(sp.Subs, sp.Derivative):
        at = derivative.point[0] if isinstance(derivative, sp.Subs) else derivative.expr.args[0]
        expression = expression.subs(derivative, -fall_y if at == y else -fall_x)
    return expression.doit()


@claim(
    "flow-preserves-order",
    statement=(
        "Let w = p u − q v. In (p, y) the flow is p′ = −p + Aφ(x)/λ and y′ = −y + k₁₂Aφ(x)/λ − "
        "k₂₂Bφ(y)/λ, with x = (Δp + k₁₂y)/k₂₂. As ∂p′/∂y < 0 and ∂y′/∂p < 0, it preserves the "
        'order "y larger, p smaller". At every later time both inequalities are strict. In '
        "(y, P), with the dual P = Aφ(x)/λ in place of p, the cross derivatives have a product < 0."
    ),
    explanation=(
        "Kamke's condition is that both cross derivatives are >= 0 in (-p, y), which is the same. "
        "In (y, P) the cross derivatives are k12 and -k12 AB φ'(x) φ'(y)/λ², of opposite signs. So "
        "(y, P) preserves no such order."
    ),
    where="Sec. 5.1.2, gradient flow of descent-ascent",
    domain=(
        "φ > 0 decreasing, A, B, λ > 0, any two independent types with k12 > 0; any two different "
        "starts with one at a larger or equal y and a smaller or equal p"
    ),
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.pair.basins.order_coordinates",
        "gda_theory.pair.basins.weights_at",
        "gda_theory.pair.basins.velocity",
        "gda_theory.pair.basins.separatrix",
    ],
    theorem=Theorem(
        # Runge and Kutta's steps must resolve the flow, and both coordinates must see each other.
        domain={
            **{symbol: positive_within(1) for symbol in (k11, k12, k22)},
            **{symbol: positive_within(2) for symbol in (ridge, A, B)},
            p: between(None, None, decades=1),
            y: between(None, None, decades=1),
            p_gap: between(0, None, "[)", decades=2),
            y_gap: between(0, None, "[)", decades=1),
            loss: DECREASING,
        },
        hypotheses=(INDEPENDENT, APART),
        conclusions={
            "p'": Eq(flow_numbers.p_speed, -p + A * flow_numbers.phi_x / ridge),
            "y'": Eq(
                flow_numbers.y_speed,
                -y + k12 * A * flow_numbers.phi_x / ridge - k22 * B * flow_numbers.phi_y / ridge,
            ),
            "∂p'/∂y": Lt(flow_numbers.p_across, 0),
            "∂y'/∂p": Lt(flow_numbers.y_across, 0),
            "y stays larger": Gt(flow_numbers.y_later, flow_numbers.y_later_other),
            "p stays smaller": Lt(flow_numbers.p_later, flow_numbers.p_later_other),
            "(y, P)": Lt(flow_numbers.dual_product, 0),
        },
        measure=flow_numbers.ordered_flows,
        digits=40,
        most_digits=40,
        points=8,
    ),
    joins=[
        join(
            "identity",
            "p'",
            equation=("-∇J/λ = -w + P u - Q v", "x at (p, y)", "velocity of p"),
        ),
        join("identity", "y'", equation=("p'", "y' = k12 p' - k22 q'")),
        join(
            "sign",
            "∂p'/∂y",
            sign=("p'", "cross derivative of p'", "-∂p'/∂y is positive", GIVEN_DECREASING),
        ),
        join(
            "sign",
            "∂y'/∂p",
            sign=(
                "y'",
                "cross derivative of y'",
                "-∂y'/∂p is positive",
                GIVEN_DECREASING,
                f"given:{INDEPENDENT}",
            ),
        ),
        join("Kamke comparison", "the order is kept", off_diagonal=("∂p'/∂y", "∂y'/∂p")),
        join(
            "Perron-Frobenius",
            ("y stays larger", "p stays smaller"),
            off_diagonal=("the order is kept", "∂p'/∂y", "∂y'/∂p", f"given:{APART}"),
        ),
        join(
            "sign",
            "(y, P)",
            sign=("y'", "in (y, P) the product of the cross derivatives is < 0", GIVEN_DECREASING),
        ),
    ],
    counterexample="two starts with y >= y', p <= p' whose flows lose this order",
)
def flow_preserves_order(
    flow_p=-p + A * phi(x) / ridge,
    flow_y=-y + k12 * A * phi(x) / ridge - k22 * B * phi(y) / ridge,
    across_p=-k12 * A * fall_x / (k22 * ridge),
    across_y=-k12 * gram_determinant * A * fall_x / (k22 * ridge),
):
    pair = pair_in_space()
    yield Equal(
        "-∇J/λ = -w + P u - Q v",
        -pair.gradient,
        -pair.weights + pair.retain_dual * pair.retained - pair.forget_dual * pair.forgotten,
    )
    yield Equal("x at (p, y)", (k11 * p - k12 * ascent).subs(ascent, ascent_of), x_of)
    yield Equal("velocity of p", velocity_p, flow_p.subs(x, x_of))
    yield Equal("y' = k12 p' - k22 q'", velocity_y, flow_y.subs(x, x_of))
    yield Equal("cross derivative of p'", falling(velocity_p.diff(y)), across_p)
    yield Equal("cross derivative of y'", falling(velocity_y.diff(p)), across_y)
    for name, cross in (("-∂p'/∂y", across_p), ("-∂y'/∂p", across_y)):
        yield Positive(f"{name} is positive", -cross.subs(k11, (determinant + k12**2) / k22))
    # In (y, P): P' = Aφ'(x) x'/λ, where x depends on P alone.
    mass_flow = -A * fall_x / ridge * (-x + k11 * P - k12 * B * phi(y) / ridge)
    y_flow = -y + k12 * P - k22 * B * phi(y) / ridge
    yield Positive(
        "in (y, P) the product of the cross derivatives is < 0",
        -falling(sp.diff(mass_flow, y)) * sp.diff(y_flow, P),
    )


@claim(
    "mass-order",
    statement=(
        "Of two stationary points of descent-ascent the one at the larger x has the smaller p and "
        "the larger y. The oracle has a larger x and y and a smaller p than all of these, and p_D "
        "< p_R. So for a minimum w_DA and a saddle at a smaller x: p_D < p_R < p_DA < p_saddle and "
        "y_R > y_DA > y_saddle."
    ),
    explanation=(
        "With Q as the parameter, p = Aφ(k11 p - k12 Q)/λ holds at the oracle (Q = 0) and at all "
        "stationary points of descent-ascent. Along it p rises, and x and y fall. Pretraining "
        "solves the same equation with Q = -αaφ(y)/λ < 0 and a <= A in place of A, and p rises "
        "with A.\n\n"
        "The exponential loss and the paper's types leave one minimum and one saddle "
        "(two-points-below-fold). A logistic pair may have two "
        "minima with the saddle between them. At ε = 0.5, A/λ = 100 and B/λ = 10.4 they are at p = "
        "3.50 and 9.51, and the saddle is at 5.52. The minimum that continues the oracle is the "
        "first, at the larger x."
    ),
    where="Sec. 5.1.2",
    domain=(
        "φ > 0 decreasing, any types with k12 > 0, λ > 0; a <= A, as with mean losses and with "
        "sums; something forgotten (B, α > 0); the stationary points of descent-ascent that exist"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.basins.in_basin",
    theorem=Theorem(
        # The curve of stationary points is in double precision, over 60 units of ln Q.
        domain={
            **{symbol: positive_within(2) for symbol in (k11, k12, k22, ridge, alpha, a, A, B)},
            loss: DECREASING,
        },
        hypotheses=(GRAM, Le(a, A)),
        conclusions={
            "p_D < p_R": Lt(flow_numbers.p_D, flow_numbers.p_R),
            "x of the oracle": Implies(Ge(count, 1), Gt(x_R, x_A)),
            "y of the oracle": Implies(Ge(count, 1), Gt(y_R, y_A)),
            "p of the oracle": Implies(Ge(count, 1), Lt(flow_numbers.p_R, flow_numbers.p_A)),
            "p of two points": Implies(Ge(count, 2), Gt(flow_numbers.p_rise, 0)),
            "y of two points": Implies(Ge(count, 2), Gt(flow_numbers.y_fall, 0)),
        },
        measure=flow_numbers.ordered_points,
        digits=40,
        most_digits=40,
        points=10,
    ),
    joins=[
        join(
            "implicit function",
            "one curve over Q",
            jacobian=("dp/dQ", GIVEN_DECREASING),
            smooth="known:φ is smooth",
        ),
        join(
            "monotone bijection",
            ("p of the oracle", "p of two points"),
            continuous="one curve over Q",
            slope=("p rises", "x falls", f"given:{GRAM}", "dx/dQ = k11 dp/dQ - k12"),
        ),
        join(
            "monotone bijection",
            ("y of the oracle", "y of two points"),
            continuous="one curve over Q",
            slope=("y falls", "x falls", "dy/dQ = k12 dp/dQ - k22", f"given:{GRAM}"),
        ),
        join(
            "monotone bijection",
            "x of the oracle",
            continuous="one curve over Q",
            slope="x falls",
        ),
        join(
            "monotone bijection",
            "p_D < p_R",
            continuous="one curve over Q",
            slope=("p rises", "p rises with A", f"given:{Le(a, A)}", GIVEN_DECREASING),
        ),
    ],
    counterexample=(
        "a pair with p_D >= p_R, or two stationary points of descent-ascent with x > x' and p >= "
        "p' or y <= y'"
    ),
)
def mass_order(
    p_slope=k12 * h_u / (1 + k11 * h_u),
    y_slope=-(k22 + gram_determinant * h_u) / (1 + k11 * h_u),
    x_slope=-k12 / (1 + k11 * h_u),
):
    mass = sp.Function("p")(Q)
    slopes = sp.solve(
        sp.diff(mass - A * phi(k11 * mass - k12 * Q) / ridge, Q).doit(), sp.diff(mass, Q)
    )[0]
    to_decay = {A: ridge * h_u / fall_x}
    slope = falling(slopes.subs(mass, p)).subs(to_decay)
    yield Equal("dp/dQ", slope, p_slope)
    yield Equal("dy/dQ = k12 dp/dQ - k22", k12 * slope - k22, y_slope)
    yield Equal("dx/dQ = k11 dp/dQ - k12", k11 * slope - k12, x_slope)
    least_determinant = sp.Symbol("Delta_0", nonnegative=True)
    for name, sign in (("p rises", p_slope), ("y falls", -y_slope), ("x falls", -x_slope)):
        yield Positive(name, sign.subs(k11, (least_determinant + k12**2) / k22))
    of_mass = sp.Function("p")(A)
    rise = sp.solve(
        sp.diff(of_mass - A * phi(k11 * of_mass - k12 * Q) / ridge, A).doit(), sp.diff(of_mass, A)
    )[0]
    value = sp.Symbol("phi_x", positive=True)
    yield Positive(
        "p rises with A", falling(rise.subs(of_mass, p)).subs(phi(k11 * p - k12 * Q), value)
    )


m11, m22 = sp.symbols("m_11 m_22", real=True)
m12, m21 = sp.symbols("m_12 m_21", positive=True)


AT_END = sp.Rational(1, 10**6)  # relative distance at which a flow in floats has arrived


@claim(
    "basin-theorem",
    statement=(
        "From every start with y ≥ y_saddle and p ≤ p_saddle, except the saddle itself, the flow "
        "ends in the minimum w_DA. So it does from w_R, and from w_D whenever y_D ≥ y_saddle. Here "
        "w_DA is the stationary point of the largest x, and the saddle is the next one."
    ),
    explanation=(
        "Let z >= S mean that z has y >= y_saddle and p <= p_saddle. By Kamke z(t) >= S for all "
        "time. Then p <= p_S, and p' >= -p bounds p from below. So x is bounded from below and P "
        "from above, and y' <= -y + k12 P bounds y. The orbit is bounded, so it converges. Only S "
        "and w_DA are stationary there.\n\n"
        "It does not converge to S. The linear part at S, in (y, -p), has positive off-diagonal "
        "entries and determinant det H/λ² < 0. So it has an eigenvector n > 0 that grows. For "
        "every t > 0, z(t) > S in both coordinates. So z(t) >= S + δn for a small δ. The orbit of "
        "S + δn rises away from S. The oracle starts above S, and by mass-order so does w_D if y_D "
        ">= y_S."
    ),
    where="Sec. 5.1.2: does descent-ascent reach its minimum?",
    domain=(
        "gradient flow; φ > 0 decreasing, any two independent types with k12 > 0; a <= A; two "
        "stationary points at least, as below the fold of the exponential loss"
    ),
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.basins.in_basin", "gda_theory.pair.basins.separatrix"],
    theorem=Theorem(
        # The flows are in double precision.
        domain={
            **{symbol: positive_within(1) for symbol in (k11, k12, k22)},
            **{symbol: positive_within(2) for symbol in (ridge, alpha, a, A, B)},
            p_gap: between(0, None, "[)", decades=2),
            y_gap: between(0, None, "[)", decades=2),
            loss: DECREASING,
        },
        hypotheses=(INDEPENDENT, Le(a, A), APART),
        conclusions={
            "from above the saddle": Lt(flow_numbers.off_start, AT_END),
            "from w_R": Lt(flow_numbers.off_oracle, AT_END),
            "from w_D": Implies(
                Ge(flow_numbers.y_D, flow_numbers.y_S), Lt(flow_numbers.off_pretrained, AT_END)
            ),
        },
        measure=flow_numbers.ends_of_flows,
        digits=15,
        most_digits=15,
        points=8,
    ),
    joins=[
        join(
            "Kamke comparison",
            "the flow stays above the saddle",
            off_diagonal=("claim:flow-preserves-order", "upper right entry", "lower left entry"),
        ),
        join(
            "planar monotone flow",
            "it converges to S or w_DA",
            order="the flow stays above the saddle",
            bounded=(
                "y' = -y + k12 P - drain",
                "the drain",
                "known:p' >= -p, and P is bounded where x is bounded from below",
                "claim:mass-order",
            ),
        ),
        join(
            "Perron-Frobenius",
            "from above the saddle",
            off_diagonal=(
                "it converges to S or w_DA",
                "determinant of the linear part in (y, -p)",
                "n = (1, ratio) is an eigenvector of the larger eigenvalue",
                "the two eigenvectors' ratios have product -m21/m12 < 0: the larger one is "
                "positive",
                GIVEN_DECREASING,
                f"given:{APART}",
                f"given:{INDEPENDENT}",
            ),
        ),
        join(
            "sign",
            ("from w_R", "from w_D"),
            sign=("from above the saddle", "claim:mass-order", f"given:{Le(a, A)}"),
        ),
    ],
    counterexample=(
        "a start with y >= y_saddle and p <= p_saddle, not the saddle, whose flow does not end in "
        "w_DA"
    ),
)
def basin_theorem(
    linear_determinant=reduced_determinant,
    unstable_ratio=(m22 - m11 + sp.sqrt((m11 - m22) ** 2 + 4 * m12 * m21)) / (2 * m12),
    drain=k22 * B * phi(y) / ridge,
):
    linear = sp.Matrix(
        [[velocity_y.diff(y), -velocity_y.diff(p)], [-velocity_p.diff(y), velocity_p.diff(p)]]
    )
    decays = {fall_x: ridge * h_u / A, fall_y: ridge * h_v / B}
    entries = linear.applyfunc(lambda entry: falling(entry).subs(decays))
    yield Equal(
        "determinant of the linear part in (y, -p)", sp.expand(entries.det()), linear_determinant
    )
    for name, entry in (("upper right", entries[0, 1]), ("lower left", entries[1, 0])):
        yield Positive(f"{name} entry", entry.subs(k11, (determinant + k12**2) / k22))
    matrix, vector = sp.Matrix([[m11, m12], [m21, m22]]), sp.Matrix([1, unstable_ratio])
    root = sp.sqrt((m11 - m22) ** 2 + 4 * m12 * m21)
    growth = (m11 + m22 + root) / 2
    yield Equal(
        "n = (1, ratio) is an eigenvector of the larger eigenvalue",
        (matrix * vector).expand(),
        (growth * vector).expand(),
    )
    other = unstable_ratio - root / m12
    yield Equal(
        "the two eigenvectors' ratios have product -m21/m12 < 0: the larger one is positive",
        sp.expand(unstable_ratio * other),
        -m21 / m12,
    )
    yield Equal("y' = -y + k12 P - drain", velocity_y, -y + k12 * A * phi(x_of) / ridge - drain)
    value = sp.Symbol("phi_y", positive=True)
    yield Positive("the drain", drain.subs(phi(y), value))


SYSTEM = sp.Symbol("system")


@claim(
    "basin-from-pretraining",
    statement=(
        "Conjectured: below the fold the flow from w_D always ends in w_DA. Proved: p_D < p_saddle "
        "always, and the claim where y_D ≥ y_saddle."
    ),
    explanation=(
        "ln p + k11 p is ln(A/λ) plus ln(r/n) - k12 Q_D at w_D, and plus k12 Q at the saddle. So "
        "p_D < p_saddle, and basin-theorem does the rest where y_D >= y_saddle. The search against "
        "the conjecture is basin_escapes. It draws random systems over the whole fold locus, down "
        "to 1e-6 below it, all with y_D < y_saddle (1.6 % of what random_pair draws). Of 2,000 "
        "(systems=2000, seed=1) none escaped.\n\n"
        "A search that minimises the margin finds none either. Let S be the boundary of the basin "
        "at p_D. Over 881,671 systems with y_D < y_saddle, (y_D - S)/(y_saddle - S) is at least "
        "0.817, where 0 would be an escape. The systems are random at first, then changed around "
        "the 40 smallest. The least is at ε = 0.212 and P = 81.5 of fold-locus, 1e-7 below the "
        "fold, with f/n = 0.99999: both at the end of the range searched."
    ),
    where="Sec. 5.1.2: does descent-ascent from w_D reach its minimum?",
    domain="gradient flow from w_D, exponential loss, the paper's types, 0 < α < α_fold",
    origin="new",
    evidence="conjecture",
    backs="gda_theory.pair.basins.in_basin",
    theorem=Theorem(
        domain={
            SYSTEM: Drawn(
                "system: an exponential pair of the paper's types, f/n, and a place below the fold",
                flow_numbers.some_system,
            )
        },
        conclusions={
            "p_D < p_saddle": Lt(flow_numbers.p_start, flow_numbers.p_S),
            "the flow from w_D ends in w_DA": Eq(flow_numbers.ends_well, 1),
        },
        measure=flow_numbers.from_pretraining,
        digits=15,
        most_digits=15,
        points=10,
    ),
    joins=[
        join(
            "monotone bijection",
            "p_D < p_saddle",
            continuous="known:ln p + k11 p is continuous",
            slope=(
                "ln p + k11 p increases",
                "p_D = aφ(x_D)/λ, x_D = k11 p + k12 Q",
                "p = Aφ(x)/λ, x = k11 p - k12 Q at the saddle",
            ),
        ),
    ],
    evaluate=flow_numbers.basin_escapes,
    counterexample="(ε, A/λ, B/λ, f/n) below the fold whose flow from w_D runs away",
)
def basin_from_pretraining(
    pretrain_equation=sp.log(P) + k11 * P - sp.log(A / ridge) - sp.log(slack) + k12 * Q,
    saddle_equation=sp.log(P) + k11 * P - sp.log(A / ridge) - k12 * Q,
):
    share = slack  # a/A = r/n
    yield Equal(
        "p_D = aφ(x_D)/λ, x_D = k11 p + k12 Q",
        sp.log(P) - sp.log(share * A / ridge) + k11 * P + k12 * Q,
        pretrain_equation,
    )
    yield Equal(
        "p = Aφ(x)/λ, x = k11 p - k12 Q at the saddle",
        sp.log(P) - sp.log(A / ridge) + k11 * P - k12 * Q,
        saddle_equation,
    )
    yield Positive("ln p + k11 p increases", sp.diff(saddle_equation, P))


def _remaining_time(*, correlation=0.5, retain_mass=1.0, forget_mass=1.0, ridge=0.1, y=-12.0):
    """Time to blow-up from (p, y) = (0, y), and the bound."""
    own = 1 + correlation**2
    gram = Gram(own, 2 * correlation, own)
    time = flow_numbers.remaining_time(gram, retain_mass, forget_mass, ridge, 0.0, y)
    return time, 2 * float(np.exp(y)) / (own * forget_mass)


least_p = sp.Symbol("m", nonnegative=True)
ASCENT_IS_HALF = Ge(
    k22 * B * sp.exp(-y),
    2 * (-ridge * y + k12 * A * sp.exp(gram_determinant * least_p / k22 - k12 / k22 * y)),
)


@claim(
    "flow-blow-up",
    statement=(
        "Let p ≥ −m, y ≤ −1 and k₂₂Be^{−y} ≥ 2(λ|y| + k₁₂Ae^{Δm/k₂₂}e^{−κy}), with κ = k₁₂/k₂₂. "
        "Then the flow reaches y = −∞, before the time 2e^y/(k₂₂B). If k₁₂ < k₂₂ and nothing is "
        "stationary, every flow gets to such a point, with m = |p₀|."
    ),
    explanation=(
        "*The time.* p' >= -p keeps p >= -m, so x >= (k12 y - Δm)/k22. Let v = -y and S(v) = v + "
        "(k12 A/λ) e^{Δm/k22} e^{κv}. The ascent term of y' is k22 B e^v in size, and the rest is "
        "at most λ S(v). For v > 1 and κ <= 1, S' < S. So S e^{-v} decreases, and the hypothesis "
        "stays true as y falls. Hence y' <= -(k22 B/2) e^{-y}, and e^y falls at least at the rate "
        "k22 B/2.\n\n"
        "*Every flow gets there.* (1) No orbit keeps y >= Y. Otherwise Q <= Be^{-Y}/λ would bound "
        "q. Where q <= q_max, p' = -p + (A/λ) e^{-k11 p + k12 q} < 0 for large p. Moreover p' >= "
        "-p and q' >= -q bound both from below. A bounded orbit would have stationary limit "
        "points, and there are none. For the paper's types this means α > α_fold "
        "(two-points-below-fold).\n\n"
        "(2) So y falls below any level, while p >= -|p_0|. As κ < 1, S(v) e^{-v} -> 0."
    ),
    where="Sec. 5.1.2, above the solid curve of Fig. 4",
    domain=(
        "gradient flow, exponential loss, A, B, λ > 0, any two independent types with 0 < k12 <= "
        "k22, m >= 0; every flow: k12 < k22 (for the paper's types ε < 1) and α above the fold"
    ),
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.pair.basins.in_basin",
        "gda_theory.pair.descent_ascent",
        "gda_theory.dynamics.flows.flow",
    ],
    theorem=Theorem(
        # The flows are in double precision.
        domain={
            **{symbol: positive_within(1) for symbol in (k11, k12, k22)},
            **{symbol: positive_within(2) for symbol in (ridge, A, B)},
            p: between(None, None, decades=1),
            y: between(None, -1, "(]", decades=1),
            y_gap: between(0, None, "[)", decades=1),
            least_p: between(0, None, "[)", decades=1),
        },
        hypotheses=(INDEPENDENT, Le(k12, k22)),
        conclusions={
            "time": Implies(
                (Ge(p, -least_p), ASCENT_IS_HALF),
                Lt(flow_numbers.time_left, 2 * sp.exp(y) / (k22 * B)),
            ),
            "every flow": Implies((Eq(count, 0), Lt(k12, k22)), Eq(flow_numbers.gets_there, 1)),
        },
        measure=flow_numbers.blow_ups,
        digits=15,
        most_digits=15,
        points=8,
    ),
    joins=[
        join(
            "sign",
            "ascent is half of the speed from there on",
            sign=(
                "x at p = -|p_0|",
                "e^{-x} = e^{-κy} times a constant",
                "S - S' = v - 1 + cC e^{κv}",
                "so S' < S",
                f"given:{Le(k12, k22)}",
                "known:p' >= -p keeps p >= -m",
            ),
        ),
        join(
            "sign",
            "time",
            sign=("ascent is half of the speed from there on", "d e^y/dt", "time left"),
        ),
        join(
            "gradient flow",
            "y falls below any level",
            gradient=("claim:flow-preserves-order", f"given:{INDEPENDENT}"),
            bounded=(
                "x",
                "(A/λ) e^{-k11 p + k12 q}/p -> 0",
                "and decreases in p",
                "known:p' >= -p and q' >= -q",
            ),
        ),
        join(
            "sign",
            "every flow",
            sign=(
                "y falls below any level",
                "ascent is half of the speed from there on",
                "1 - κ, the paper's types: (1-ε)²/s",
                "v e^{-v} -> 0",
                "e^{κv - v} -> 0, κ = 1 - c, c > 0",
            ),
        ),
    ],
    relation="<=",
    evaluate=_remaining_time,
    counterexample=(
        "a point of the domain whose flow takes longer than 2e^y/(k22 B), or α > α_fold and a "
        "start whose flow exists for all time"
    ),
)
def flow_blow_up(
    growth_ratio=k12 / k22,
    half_speed=-k22 * B / 2,
    remaining=2 * sp.exp(y) / (k22 * B),
):
    # (1) the bound on p: the right side of p' at q_max, whose sign is decided by p alone.
    yield Equal("x", (k11 * p - k12 * ascent).subs(ascent, ascent_of), x_of)
    large = sp.Symbol("p_+", positive=True)
    yield Equal("(A/λ) e^{-k11 p + k12 q}/p -> 0", sp.limit(sp.exp(-large), large, sp.oo), 0)
    yield Positive(
        "and decreases in p",
        -sp.diff(sp.exp(-k11 * large + k12 * ascent) * A / (ridge * large), large),
    )
    # The time: v = -y >= 1, and κ = 1 - c with 0 <= c < 1.
    share, scale = sp.symbols("c C", nonnegative=True)
    beyond = sp.Symbol("v_0", positive=True)
    rest = distance + scale * sp.exp(growth_ratio * distance)
    kappa = {k12: k22 * (1 - share)}
    slack_of_rest = (rest - sp.diff(rest, distance)).subs(kappa)
    grown = beyond + share * scale * sp.exp((1 - share) * distance)
    yield Equal(
        "S - S' = v - 1 + cC e^{κv}",
        slack_of_rest.subs(distance, 1 + beyond),
        grown.subs(distance, 1 + beyond),
    )
    yield Positive("so S' < S", grown)
    # (2) everything else over the ascent term.
    bound_x = (k12 * y - gram_determinant * start_mass) / k22
    yield Equal("x at p = -|p_0|", x_of.subs(p, -start_mass), bound_x)
    yield Equal(
        "e^{-x} = e^{-κy} times a constant",
        sp.exp(-bound_x) * sp.exp(growth_ratio * y),
        sp.exp(gram_determinant * start_mass / k22),
    )
    yield Positive(
        "1 - κ, the paper's types: (1-ε)²/s",
        (1 - growth_ratio).subs(paper_gram).subs(epsilon, below_one),
    )
    yield Equal("v e^{-v} -> 0", sp.limit(distance * sp.exp(-distance), distance, sp.oo), 0)
    yield Equal(
        "e^{κv - v} -> 0, κ = 1 - c, c > 0", sp.limit(sp.exp(-slack * distance), distance, sp.oo), 0
    )
    # Half of the ascent term in real time, y' = -(k22 B/2) e^{-y}.
    ascent_term = -ridge * k22 * B * sp.exp(-y) / ridge
    yield Equal("d e^y/dt", sp.exp(y) * ascent_term / 2, half_speed)
    yield Equal("time left", remaining * half_speed, -sp.exp(y))


def _decrease(*, retain_mass=1.0, ridge=0.1, start=0.5, step=0.5):
    """By how much a step lowers J = A e^{-w} + λw²/2, and the bound by the largest curvature."""

    def loss(weight):
        return retain_mass * np.exp(-weight) + ridge * weight**2 / 2

    gradient = ridge * start - retain_mass * np.exp(-start)
    end = start - step * gradient
    steepest = ridge + retain_mass * np.exp(-min(start, end))
    return float(loss(start) - loss(end)), float(step * (1 - step * steepest / 2) * gradient**2)


DATA, SHARE = sp.Symbol("data"), sp.Symbol("share", positive=True)  # share: ηL
STEPS = sp.Symbol("n", integer=True, positive=True)


@claim(
    "short-steps-descend",
    statement=(
        "J(w − η∇J) ≤ J(w) − η(1 − ηL/2)‖∇J‖². In n steps J falls at least by the sum of η(1 − "
        "ηL/2)‖∇J‖². So for η < 2/L no orbit returns to a point that is not stationary: there is "
        "no cycle."
    ),
    explanation=(
        "Taylor along the segment: to first order J falls by η|g|², and it rises by at most L "
        "η²|g|²/2. On a bounded orbit the sum of the decreases is bounded, so |g| -> 0. On a cycle "
        "the sum is 0, so g = 0 on it.\n\n"
        "Above the fold nothing is stationary. So an orbit that stays bounded there has η sup‖H‖ "
        ">= 2, as that of large-step-two-cycle."
    ),
    where="App. D.3; any data",
    domain=(
        "simultaneous steps of size η on any J whose Hessian is at most L along the segment of the "
        "step"
    ),
    origin="new",
    evidence="proved",
    backs=["gda_theory.dynamics.outcomes.explain", "gda_theory.dynamics.simulation.simulate"],
    theorem=Theorem(
        domain={
            DATA: Drawn(
                "data: any rows with weights of either sign, and a start",
                data_measures.data_maker(5, 3, signed=True),
                special=(*data_measures.special(), flow_numbers.NO_DATA),
            ),
            ridge: positive_within(4),
            SHARE: between(0, None, decades=1),
            STEPS: Integers(1, 6),
        },
        conclusions={
            "one step": Ge(flow_numbers.fall, flow_numbers.bound_of_fall),
            "n steps": Ge(flow_numbers.falls_of_n, flow_numbers.bound_of_n),
            "no cycle": Implies(
                (
                    Lt(flow_numbers.step_times_curvature, 2),
                    Gt(flow_numbers.gradient_size, 0),
                ),
                Gt(flow_numbers.moved_by, 0),
            ),
        },
        measure=flow_numbers.descending,
    ),
    joins=[
        join(
            "Taylor",
            "one step",
            second_derivative=(
                "Taylor bound at the end of the step",
                "slope at its beginning: -η|g|²",
                "known:the second derivative of J(w - τηg) in τ is η² g'Hg",
            ),
        ),
        join("induction", "n steps", base="one step", step="one step"),
        join(
            "sign",
            "no cycle",
            sign=("n steps", "it vanishes at η = 2/L", "and is a decrease below"),
        ),
    ],
    relation=">=",
    evaluate=_decrease,
    counterexample="a cycle, or a bounded orbit without a stationary limit point, with ηL < 2",
)
def short_steps_descend(
    decrease=step * (1 - step * largest / 2) * slope_squared, critical=2 / largest
):
    tau = sp.Symbol("tau", positive=True)
    along = (
        -step * slope_squared * tau + step**2 * largest * slope_squared * tau**2 / 2
    )  # the Taylor bound at w - τηg
    yield Equal("Taylor bound at the end of the step", along.subs(tau, 1), -decrease)
    yield Equal(
        "slope at its beginning: -η|g|²", sp.diff(along, tau).subs(tau, 0), -step * slope_squared
    )
    yield Equal("it vanishes at η = 2/L", decrease.subs(step, critical), 0)
    yield Positive("and is a decrease below", decrease.subs(step, critical / (1 + slack)))


CYCLE = ("2.67902179984935568", "1.71055360310516253", "4.67015294613469189", "3.08835342461787394")
CYCLE_RADIUS = "1e-20"
CYCLE_UNKNOWNS = sp.symbols("x_1 y_1 x_2 y_2 P_fold", real=True)
SIGNIFICANT = 18  # digits of each printed margin


@functools.cache
def cycle_equations():
    """The two steps of the cycle, and the equation of the fold: both maps and all equations."""
    correlation, ridge_value, excess, size = (
        sp.Rational(value) for value in flow_numbers.CYCLE_SYSTEM.values()
    )
    own, cross = 1 + correlation**2, 2 * correlation
    x1, y1, x2, y2, fold = CYCLE_UNKNOWNS
    fold_dual = (1 + own * fold) / (own + (own**2 - cross**2) * fold)
    retain_mass = sp.Integer(1)
    forget_mass = excess * ridge_value * fold_dual * sp.exp(cross * fold - own * fold_dual)

    def after(x_now, y_now):
        on_retain, on_forget = retain_mass * sp.exp(-x_now), forget_mass * sp.exp(-y_now)
        return (
            x_now - size * (ridge_value * x_now - own * on_retain + cross * on_forget),
            y_now - size * (ridge_value * y_now - cross * on_retain + own * on_forget),
        )

    there, back = sp.Matrix(after(x1, y1)), sp.Matrix(after(x2, y2))
    on_fold = sp.log(fold) + own * fold - cross * fold_dual - sp.log(retain_mass / ridge_value)
    ends = (there - sp.Matrix([x2, y2]), back - sp.Matrix([x1, y1]))
    return there, back, (*ends[0], *ends[1], on_fold)


@functools.cache
def cycle_centre():
    """34 digits of the four margins and of P at the fold, by Newton's method."""
    with mpmath.workdps(40):
        guess = [mpmath.mpf(value) for value in (*CYCLE, "3.0")]
        equations = sp.lambdify(CYCLE_UNKNOWNS, cycle_equations()[2], "mpmath")
        return tuple(mpmath.nstr(value, 34) for value in mpmath.findroot(equations, guess))


@functools.cache
def cycle_multipliers():
    """Sum and product of the multipliers of two steps, as expressions in the margins."""
    there, back, _ = cycle_equations()
    x1, y1, x2, y2, _ = CYCLE_UNKNOWNS
    multiplier = back.jacobian([x2, y2]) * there.jacobian([x1, y1])
    return multiplier.trace(), multiplier.det()


PLACES = ("x1", "y1", "x2", "y2")


@claim(
    "large-step-two-cycle",
    statement=(
        "Above the fold, where nothing is stationary, an orbit may stay bounded. The points "
        "(2.67902179984935568, 1.71055360310516253) and (4.67015294613469189, 3.08835342461787394) "
        "in (x, y) form a 2-cycle. Both multipliers of two steps lie inside the unit circle, so it "
        "is stable."
    ),
    explanation=(
        "There are five equations in the four margins and the fold's P: two steps lead back, and α "
        "is 1.01 times the fold's. The multipliers are the roots of μ² - τμ + d. They lie inside "
        "the unit circle: |d| < 1 and |τ| < 1 + d. By short-steps-descend, η times the "
        "curvature is at least 2 somewhere on the way."
    ),
    where="Sec. 5.1.2: 'diverged' is an observation, 'no stationary point' a theorem",
    domain=(
        "simultaneous steps; r = 80, f = 20, r_p = 80, λ = 0.01, ε = 0.5, α = 1.01 α_fold, η = 50"
    ),
    origin="new",
    evidence="certified",
    backs="gda_theory.dynamics.outcomes.explain",
    theorem=Theorem(
        domain={},
        conclusions={
            "nothing is stationary": Eq(flow_numbers.stationary, 0),
            **{
                place: Printed(flow_numbers.seen[place], digits)
                for place, digits in zip(PLACES, CYCLE, strict=True)
            },
            "multipliers": Lt(flow_numbers.radius, 1),
        },
        measure=flow_numbers.iterated_cycle,
    ),
    joins=[
        join(
            "Krawczyk",
            PLACES,
            box=("the box holds exactly one cycle, at the values", "it is no fixed point"),
        ),
        join("sign", "nothing is stationary", sign="claim:two-points-below-fold"),
        join(
            "enclosure",
            "multipliers",
            ball=(
                *PLACES,
                "the product is below 1",
                "the product is above -1",
                "the sum is below 1 + d",
                "the sum is above -1 - d",
                "known:Jury's conditions for the roots of a quadratic",
            ),
        ),
    ],
    counterexample=(
        "an enclosure of the orbit that excludes the values, or one that does not return after two "
        "steps"
    ),
)
def large_step_two_cycle(
    x_first=sp.Rational(CYCLE[0]),
    y_first=sp.Rational(CYCLE[1]),
    x_second=sp.Rational(CYCLE[2]),
    y_second=sp.Rational(CYCLE[3]),
):
    claimed = (x_first, y_first, x_second, y_second)
    yield Root(
        "the box holds exactly one cycle, at the values",
        cycle_equations()[2],
        CYCLE_UNKNOWNS,
        cycle_centre(),
        CYCLE_RADIUS,
        {
            place: (unknown, digits_of(value, SIGNIFICANT))
            for place, unknown, value in zip(PLACES, CYCLE_UNKNOWNS, claimed, strict=False)
        },
    )
    box = {
        unknown: intervals.ball(centre, CYCLE_RADIUS)
        for unknown, centre in zip(CYCLE_UNKNOWNS, cycle_centre(), strict=True)
    }
    total, product = cycle_multipliers()
    yield Enclosed("the product is below 1", product, "<", sp.Integer(1), box)
    yield Enclosed("the product is above -1", product, ">", sp.Integer(-1), box)
    yield Enclosed("the sum is below 1 + d", total - product, "<", sp.Integer(1), box)
    yield Enclosed("the sum is above -1 - d", total + product, ">", sp.Integer(-1), box)
    x1, _, x2, *_ = CYCLE_UNKNOWNS
    yield Enclosed("it is no fixed point", x2 - x1, ">", sp.Integer(1), box)
