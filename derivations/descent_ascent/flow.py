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

from derivations.descent_ascent.folds import h_u, h_v, reduced_determinant
from derivations.ledger import intervals
from derivations.ledger.ledger import claim
from derivations.ledger.steps import Certificate, Equal, Positive
from derivations.ledger.symbols import (
    A,
    B,
    P,
    Q,
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

p, ascent = sp.symbols("p q", real=True)  # coordinates of w = p u - q v
fall_x, fall_y, determinant = sp.symbols(
    "psi_x psi_y Delta", positive=True
)  # -φ'(x), -φ'(y), the Gram determinant
step, largest, slack, slope_squared = sp.symbols("eta L varsigma g_2", positive=True)
distance, start_mass, level = sp.symbols("v |p_0| Y", positive=True)

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
        "k₂₂Bφ(y)/λ, with x = (Δp + k₁₂y)/k₂₂. Since ∂p′/∂y < 0 and ∂y′/∂p < 0, it preserves the "
        'order "y larger, p smaller".'
    ),
    explanation=(
        "Kamke's condition is that both cross derivatives are >= 0 in (-p, y), which is the same. "
        "With the dual P = Aφ(x)/λ in place of the coordinate p, (y, P) preserves no order: for "
        "the exponential loss its cross derivatives are k12 and -k12 P Q, of opposite signs."
    ),
    where="Sec. 5.1.2, gradient flow of descent-ascent",
    domain="φ > 0 decreasing, any two independent types with k12 > 0",
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.pair.basins.order_coordinates",
        "gda_theory.pair.basins.weights_at",
        "gda_theory.pair.basins.velocity",
        "gda_theory.pair.basins.separatrix",
    ],
    rules=["Kamke comparison"],
    counterexample="two starts with y >= y', p <= p' whose flows lose this order",
)
def flow_preserves_order(
    flow_p=-p + A * phi(x) / ridge,
    flow_y=-y + k12 * A * phi(x) / ridge - k22 * B * phi(y) / ridge,
    across_p=-k12 * A * fall_x / (k22 * ridge),
    across_y=-k12 * gram_determinant * A * fall_x / (k22 * ridge),
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
        "-∇J/λ = -w + P u - Q v",
        -gradient / ridge,
        -weights + retain_dual * retained - forget_dual * forgotten,
    )
    yield Equal("x at (p, y)", (k11 * p - k12 * ascent).subs(ascent, ascent_of), x_of)
    yield Equal("p'", velocity_p, flow_p.subs(x, x_of))
    yield Equal("y' = k12 p' - k22 q'", velocity_y, flow_y.subs(x, x_of))
    yield Equal("∂p'/∂y", falling(velocity_p.diff(y)), across_p)
    yield Equal("∂y'/∂p", falling(velocity_y.diff(p)), across_y)
    for name, cross in (("-∂p'/∂y", across_p), ("-∂y'/∂p", across_y)):
        yield Positive(name, -cross.subs(k11, (determinant + k12**2) / k22))
    # In (y, P), exponential loss: P' = -P x' and x = ln(A/λP).
    mass_flow = -P * (-sp.log(A / (ridge * P)) + k11 * P - k12 * B * sp.exp(-y) / ridge)
    y_flow = -y + k12 * P - k22 * B * sp.exp(-y) / ridge
    yield Positive(
        "in (y, P) the product of the cross derivatives is < 0",
        -sp.diff(mass_flow, y) * sp.diff(y_flow, P),
    )


@claim(
    "mass-order",
    statement=(
        "Of two stationary points of descent-ascent the one at the larger x has the smaller p and "
        "the larger y. The oracle's x is larger than all of these, and p_D < p_R. So for a minimum "
        "w_DA and a saddle at a smaller x: p_D < p_R < p_DA < p_saddle and y_R > y_DA > y_saddle. "
        "Exponential loss, the paper's types: there is no other minimum or saddle."
    ),
    explanation=(
        "With Q as the parameter, p = Aφ(k11 p - k12 Q)/λ holds at the oracle (Q = 0) and at all "
        "stationary points of descent-ascent. Along it p rises, and x and y fall. Pretraining "
        "solves the same equation with Q = -αaφ(y)/λ < 0 and a < A in place of A, and p rises with "
        "A. For the exponential loss see two-points-below-fold. A logistic pair may have two "
        "minima with the saddle between them. At ε = 0.5, A/λ = 100 and B/λ = 10.4 they are at p = "
        "3.50 and 9.51, and the saddle is at 5.52. The minimum that continues the oracle is the "
        "first, at the larger x."
    ),
    where="Sec. 5.1.2",
    domain=(
        "φ > 0 decreasing, k12 > 0, λ > 0; mean losses (a < A), something forgotten (B > 0); the "
        "stationary points of descent-ascent that exist"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.basins.in_basin",
    rules=["monotone bijection", "implicit function"],
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
    for name, sign in (("p rises", p_slope), ("y falls", -y_slope), ("x falls", -x_slope)):
        yield Positive(name, sign.subs(k11, (determinant + k12**2) / k22))
    of_mass = sp.Function("p")(A)
    rise = sp.solve(
        sp.diff(of_mass - A * phi(k11 * of_mass - k12 * Q) / ridge, A).doit(), sp.diff(of_mass, A)
    )[0]
    value = sp.Symbol("phi_x", positive=True)
    yield Positive(
        "p rises with A", falling(rise.subs(of_mass, p)).subs(phi(k11 * p - k12 * Q), value)
    )


class Pair:
    """The exponential pair in units of λ: masses A/λ and B/λ, f/n, Gram entries.

    Its stationary points are found by bisection in Q, in floats.
    """

    def __init__(self, correlation, log_retain, log_forget, forgotten_share):
        self.own, self.cross = 1 + correlation**2, 2 * correlation
        self.log_retain = log_retain
        self.log_forget = log_forget
        self.share = forgotten_share

    def descent(self, dual, log_mass=None):
        """The p of mass-order at Q = ``dual``: own p + ln p = ln A + cross Q."""
        from scipy.special import wrightomega

        mass = self.log_retain if log_mass is None else log_mass
        return float(np.real(wrightomega(np.log(self.own) + mass + self.cross * dual))) / self.own

    def y(self, dual, log_mass=None):
        return self.cross * self.descent(dual, log_mass) - self.own * dual

    def saddle(self, fold_dual):
        """(p, y) of the saddle, Q above the fold's."""
        low = fold_dual
        high = 2 * fold_dual
        level = self.log_forget
        while np.log(high) + self.y(high) > level:
            high *= 2
        dual = _bisect(lambda value: level - np.log(value) - self.y(value), low, high)
        return self.descent(dual), self.y(dual)

    def pretrain(self):
        """(p, y) of the pretrained model: masses (1 - f/n) A and (f/n) B."""
        log_retain = self.log_retain + np.log1p(-self.share)
        log_forget = self.log_forget + np.log(self.share)
        dual = np.exp(
            _bisect(
                lambda logarithm: logarithm + self.y(-np.exp(logarithm), log_retain) - log_forget,
                -700.0,
                max(log_forget, 1.0) + 1.0,
            )
        )
        return self.descent(-dual, log_retain), self.y(-dual, log_retain)

    def velocity(self, _, point):
        descent, y = point
        determinant = self.own**2 - self.cross**2
        retain_dual = np.exp(
            min(self.log_retain - (determinant * descent + self.cross * y) / self.own, 600.0)
        )
        forget_dual = np.exp(min(self.log_forget - y, 600.0))
        return [-descent + retain_dual, -y + self.cross * retain_dual - self.own * forget_dual]


def _bisect(increasing, low, high, halvings=200):
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (low, middle) if increasing(middle) > 0 else (middle, high)
    return (low + high) / 2


def random_pair(generator):
    """(pair, Q at the fold) of a random pair just below or far below its fold.

    The pairs are spread over the locus of the fold.
    """
    correlation = float(
        generator.choice(
            [
                generator.uniform(0, 1),
                10 ** generator.uniform(-3, 0),
                1 - 10 ** generator.uniform(-3, 0),
            ]
        )
    )
    correlation = min(max(correlation, 1e-3), 0.999)
    own = 1 + correlation**2
    cross = 2 * correlation
    determinant = (1 - correlation**2) ** 2
    retain_dual = 10 ** generator.uniform(-3, 2)
    fold_dual = (1 + own * retain_dual) / (own + determinant * retain_dual)
    log_retain = np.log(retain_dual) + own * retain_dual - cross * fold_dual
    log_fold = np.log(fold_dual) + cross * retain_dual - own * fold_dual
    below = 10 ** generator.uniform(-6, 0)
    share = float(
        generator.choice(
            [
                generator.uniform(0, 1),
                10 ** generator.uniform(-4, 0),
                1 - 10 ** generator.uniform(-4, 0),
            ]
        )
    )
    return Pair(
        correlation,
        log_retain,
        log_fold + np.log1p(-min(below, 0.999)),
        min(max(share, 1e-4), 0.9999),
    ), fold_dual


def reaches_minimum(pair, start, saddle):
    """Whether the flow from ``start`` gets above the saddle in the order, rather than below it.

    Above it basin-theorem applies. From below the saddle it never ends in the minimum.
    """
    from scipy.integrate import solve_ivp

    def above(_, point):
        return min(point[1] - saddle[1], saddle[0] - point[0])

    def below(_, point):
        return max(point[1] - saddle[1], saddle[0] - point[0])

    above.terminal = below.terminal = True
    if above(0, start) > 0:
        return True
    run = solve_ivp(
        pair.velocity, (0, 1e6), start, method="LSODA", rtol=1e-9, atol=1e-12, events=(above, below)
    )
    return len(run.t_events[0]) > 0


def _from_oracle(*, systems=12, seed=0):
    """(flows that do not stay above the saddle, 0), for random systems.

    The starts are the oracle and points above the saddle.
    """
    from scipy.integrate import solve_ivp

    generator = np.random.default_rng(seed)
    lost = 0
    for _ in range(systems):
        pair, fold_dual = random_pair(generator)
        saddle = pair.saddle(fold_dual)
        oracle = pair.descent(0.0), pair.y(0.0)
        for start in (
            oracle,
            (saddle[0] - 1e-3 * generator.uniform(), saddle[1] + 1e-3 * generator.uniform()),
        ):
            end = solve_ivp(
                pair.velocity, (0, 200), start, method="LSODA", rtol=1e-9, atol=1e-12
            ).y[:, -1]
            lost += bool(end[0] > saddle[0] or end[1] < saddle[1])
    return lost, 0


m11, m22 = sp.symbols("m_11 m_22", real=True)
m12, m21 = sp.symbols("m_12 m_21", positive=True)


@claim(
    "basin-theorem",
    statement=(
        "From every start with y ≥ y_saddle and p ≤ p_saddle, except the saddle itself, the flow "
        "ends in the minimum w_DA. So it does from w_R always, and from w_D whenever y_D ≥ "
        "y_saddle."
    ),
    explanation=(
        "Let z >= S mean that z has y >= y_saddle and p <= p_saddle. By Kamke z(t) >= S for all "
        "time. Then p <= p_S, and p' >= -p bounds p from below. So x is bounded from below and P "
        "from above, and y' <= -y + k12 P bounds y. The orbit is bounded, so it converges. Only S "
        "and w_DA are stationary there.\n\n"
        "It does not converge to S. The linear part at S, in (y, -p), has positive off-diagonal "
        "entries and determinant det H/λ² < 0. So it has an eigenvector n > 0 that grows. At once "
        "z(t) > S in both coordinates, so z(t) >= S + δn for a small δ, and the orbit of S + δn "
        "rises away from S. The oracle starts above S, and by mass-order so does w_D if y_D >= "
        "y_S."
    ),
    where="Sec. 5.1.2: does descent-ascent reach its minimum?",
    domain=(
        "gradient flow; φ > 0 decreasing, 0 < α < α_fold (exponential loss), or any loss whose "
        "saddle has one minimum above it"
    ),
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.basins.in_basin", "gda_theory.pair.basins.separatrix"],
    rules=["Kamke comparison", "planar monotone flow", "Perron-Frobenius"],
    evaluate=_from_oracle,
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


def basin_escapes(*, systems=10, seed=0):
    """(flows from w_D that miss w_DA, 0), over random pairs below their fold.

    They all have y_D < y_saddle, where basin-theorem says nothing.
    """
    generator = np.random.default_rng(seed)
    escapes = 0
    met = 0
    while met < systems:
        pair, fold_dual = random_pair(generator)
        saddle = pair.saddle(fold_dual)
        start = pair.pretrain()
        if start[1] < saddle[1]:
            met += 1
            escapes += not reaches_minimum(pair, start, saddle)
    return escapes, 0


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
        "A search that minimises the margin finds none either. Let S be the boundary of the basin at "
        "p_D. Over 881,671 systems with y_D < y_saddle, (y_D - S)/(y_saddle - S) is at least 0.817, "
        "where 0 would be an escape. The systems are random at first, then changed around the 40 "
        "smallest. The least is at ε = 0.212 and P = 81.5 of fold-locus, 1e-7 below the fold, with "
        "f/n = 0.99999: both at the end of the range searched."
    ),
    where="Sec. 5.1.2: does descent-ascent from w_D reach its minimum?",
    domain="gradient flow from w_D, exponential loss, the paper's types, 0 < α < α_fold",
    origin="new",
    evidence="conjecture",
    backs="gda_theory.pair.basins.in_basin",
    rules=["monotone bijection"],
    evaluate=basin_escapes,
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
    """Time to blow-up from (p, y) = (0, y), and the bound.

    The integration is over z = e^y, in which the time is regular.
    """
    from scipy.integrate import solve_ivp

    own = 1 + correlation**2
    cross = 2 * correlation
    gram = (1 - correlation**2) ** 2

    def change(z, state):
        descent, _ = state
        at = np.log(z)
        retain_dual = retain_mass / ridge * np.exp(-(gram * descent + cross * at) / own)
        speed = ridge * (z * (-at + cross * retain_dual) - own * forget_mass / ridge)  # dz/dt
        return [ridge * (retain_dual - descent) / speed, 1 / speed]

    start = np.exp(y)
    run = solve_ivp(change, (start, start * 1e-12), [0.0, 0.0], rtol=1e-10, atol=1e-14)
    return float(run.y[1, -1]), 2 * start / (own * forget_mass)


@claim(
    "flow-blow-up",
    statement=(
        "Let p ≥ −m, y ≤ −1 and k₂₂Be^{−y} ≥ 2(λ|y| + k₁₂Ae^{Δm/k₂₂}e^{−κy}), with κ = k₁₂/k₂₂. "
        "Then the flow reaches y = −∞, and within the time 2e^y/(k₂₂B). Above the fold every flow "
        "gets to such a point, with m = |p₀|."
    ),
    explanation=(
        "*The time.* p' >= -p keeps p >= -m, so x >= (k12 y - Δm)/k22. With v = -y the rest of y' "
        "is at most λ times S(v) = v + (k12 A/λ) e^{Δm/k22} e^{κv}, and the ascent term is k22 B "
        "e^v. For v >= 1 and κ <= 1 S' <= S. So S e^{-v} does not increase, and the hypothesis "
        "stays true as y falls. Hence y' <= -(k22 B/2) e^{-y}, and e^y falls at least at the rate "
        "k22 B/2.\n\n"
        "*Every flow gets there.* (1) No orbit keeps y >= Y. Otherwise Q <= Be^{-Y}/λ would bound q. Where q <= q_max, p' = "
        "-p + (A/λ) e^{-k11 p + k12 q} < 0 for large p; and p' >= -p, q' >= -q bound both from "
        "below. A bounded orbit would have stationary limit points, and there are none "
        "(two-points-below-fold).\n\n"
        "(2) So y falls below any level, while p >= -|p_0|. As κ < 1, S(v) e^{-v} -> 0."
    ),
    where="Sec. 5.1.2, above the solid curve of Fig. 4",
    domain=(
        "gradient flow, exponential loss, A, B, λ > 0; the time: any α, 0 < k12 <= k22, m >= 0; "
        "every flow: α > α_fold, the paper's types with 0 < ε < 1"
    ),
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.pair.basins.in_basin",
        "gda_theory.pair.descent_ascent",
        "gda_theory.dynamics.flows.flow",
    ],
    rules=["gradient flow"],
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
    share, beyond, scale = sp.symbols("c v_0 C", nonnegative=True)
    rest = distance + scale * sp.exp(growth_ratio * distance)
    kappa = {k12: k22 * (1 - share)}
    slack_of_rest = (rest - sp.diff(rest, distance)).subs(kappa)
    grown = beyond + share * scale * sp.exp((1 - share) * distance)
    yield Equal(
        "S - S' = v - 1 + cC e^{κv}",
        slack_of_rest.subs(distance, 1 + beyond),
        grown.subs(distance, 1 + beyond),
    )
    yield Positive("so S' <= S", grown, strict=False)
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


@claim(
    "short-steps-descend",
    statement=(
        "J(w − η∇J) ≤ J(w) − η(1 − ηL/2)‖∇J‖². So for η < 2/L there is no cycle, and a bounded "
        "orbit ends at stationary points. Above the fold orbits therefore stay bounded only if η "
        "sup‖H‖ ≥ 2."
    ),
    explanation=(
        "Taylor along the segment: to first order J falls by η|g|², and it rises by at most L "
        "η²|g|²/2. On a bounded orbit the sum of the decreases is bounded, so |g| -> 0. On a cycle "
        "the sum is 0, so g = 0 on it."
    ),
    where="App. D.3; any data",
    domain=(
        "simultaneous steps of size η on any J whose Hessian is at most L along the segment of the "
        "step"
    ),
    origin="new",
    evidence="proved",
    backs=["gda_theory.dynamics.outcomes.explain", "gda_theory.dynamics.simulation.simulate"],
    rules=["Taylor", "gradient flow"],
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


CYCLE_SYSTEM = {
    "correlation": "0.5",
    "ridge": "0.01",
    "excess": "1.01",
    "step": "50",
}  # A = r_p/r = 1, B = 1.01 times the fold's
CYCLE = ("2.67902179984935568", "1.71055360310516253", "4.67015294613469189", "3.08835342461787394")
CYCLE_RADIUS = sp.Rational(1, 10**20)


@functools.cache
def certified_cycle():
    """(holds, detail, enclosures of x1, y1, x2, y2, and of the multipliers' sum and product)."""
    correlation, ridge_value, excess, size = (
        sp.Rational(CYCLE_SYSTEM[name]) for name in ("correlation", "ridge", "excess", "step")
    )
    own, cross = 1 + correlation**2, 2 * correlation
    unknowns = x1, y1, x2, y2, fold = sp.symbols("x_1 y_1 x_2 y_2 P_fold", real=True)
    fold_dual = (1 + own * fold) / (own + (own**2 - cross**2) * fold)
    retain_mass = sp.Integer(1)
    forget_mass = excess * ridge_value * fold_dual * sp.exp(cross * fold - own * fold_dual)

    def after(x_now, y_now):
        on_retain, on_forget = retain_mass * sp.exp(-x_now), forget_mass * sp.exp(-y_now)
        return (
            x_now - size * (ridge_value * x_now - own * on_retain + cross * on_forget),
            y_now - size * (ridge_value * y_now - cross * on_retain + own * on_forget),
        )

    (to_x2, to_y2), (to_x1, to_y1) = after(x1, y1), after(x2, y2)
    on_fold = sp.log(fold) + own * fold - cross * fold_dual - sp.log(retain_mass / ridge_value)
    equations = (to_x2 - x2, to_y2 - y2, to_x1 - x1, to_y1 - y1, on_fold)
    with mpmath.workdps(40):
        guess = [mpmath.mpf(value) for value in (*CYCLE, "3.0")]
        found = mpmath.findroot(sp.lambdify(unknowns, equations, "mpmath"), guess)
        centre = [sp.Rational(mpmath.nstr(coordinate, 34)) for coordinate in found]
    holds, detail = intervals.krawczyk(equations, unknowns, centre, CYCLE_RADIUS, {})
    box = dict(
        zip(unknowns, (intervals.ball(value, CYCLE_RADIUS) for value in centre), strict=True)
    )
    first, second = (
        sp.Matrix(pair).jacobian(at)
        for pair, at in (((to_x2, to_y2), (x1, y1)), ((to_x1, to_y1), (x2, y2)))
    )
    multiplier = second * first
    trace, product = (
        intervals.enclose(entry, box) for entry in (multiplier.trace(), multiplier.det())
    )
    return holds, detail, [box[name] for name in unknowns[:4]], trace, product


def _cycle():
    points = certified_cycle()[2]
    return np.array([float(value.mid()) for value in points]), np.array(
        [float(value) for value in CYCLE]
    )


@claim(
    "large-step-two-cycle",
    statement=(
        "Above the fold an orbit may stay bounded. The points (2.67902179985, 1.71055360311) and "
        "(4.67015294613, 3.08835342462) in (x, y) form a 2-cycle, and it is stable."
    ),
    explanation=(
        "There are five equations in the four margins and the fold's P: two steps lead back, and α "
        "is 1.01 times the fold's. Both multipliers of the two-step map, the roots of μ² - τμ + d, "
        "lie inside the unit circle: |d| < 1 and |τ| < 1 + d."
    ),
    where="Sec. 5.1.2: 'diverged' is an observation, 'no stationary point' a theorem",
    domain=(
        "simultaneous steps; r = 80, f = 20, r_p = 80, λ = 0.01, ε = 0.5, α = 1.01 α_fold, η = 50"
    ),
    origin="new",
    evidence="certified",
    backs="gda_theory.dynamics.outcomes.explain",
    rules=["Krawczyk"],
    evaluate=_cycle,
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
    holds, detail, points, trace, product = certified_cycle()
    claimed = (x_first, y_first, x_second, y_second)
    # 1e-17: the last digit given.
    near = all(
        abs(ball - intervals.ball(value)) < 1e-17
        for ball, value in zip(points, claimed, strict=True)
    )
    yield Certificate(
        "the box holds exactly one cycle, at the values", bool(holds and near), detail
    )
    stable = bool(abs(product) < 1 and abs(trace) < 1 + product)
    yield Certificate("it is stable", stable, f"trace {trace}, determinant {product}")
    yield Certificate(
        "it is no fixed point",
        bool(abs(points[0] - points[2]) > 1),
        f"the two x differ by {points[2] - points[0]}",
    )
