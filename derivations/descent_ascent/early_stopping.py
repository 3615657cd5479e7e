"""The first step of descent-ascent from the pretrained model, and what stopping early can do.

The claims are about the pair, about orthogonal coordinates together, and about any data. One
coordinate alone is in :mod:`derivations.descent_ascent.influence`.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent import early_numbers, example_pairs
from derivations.descent_ascent.coordinate.basics import closed_form_weights
from derivations.descent_ascent.pair.basics import counted
from derivations.descent_ascent.pair_numbers import DECREASING, loss
from derivations.ledger.domains import Drawn, between, positive_within, real
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import (
    A,
    B,
    a,
    alpha,
    below_one,
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
)
from derivations.ledger.theorems import Eq, Ge, Gt, Iff, Implies, Le, Lt, Order, Theorem

p, q, p_R = sp.symbols(
    "p_D q_D p_R", positive=True
)  # dual masses of pretraining, p u + q v, and of the oracle, p_R u
x_R, y_R, x_D, y_D = sp.symbols("x_R y_R x_D y_D", real=True)
g1, g2, w1, w2 = sp.symbols("g_1 g_2 w_1 w_2", real=True)
i12 = sp.Symbol("i_12", real=True)
i11, rest = sp.symbols("i_11 k", positive=True)
rho = early_numbers.rho
inside, outside, farther, left = sp.symbols("S_in S_out a b", nonnegative=True)
step, along, size, distance = sp.symbols("eta c |g| |d|", positive=True)


def _pair_step(**parameters):
    """⟨∇J_DA(w_D), w_D - w_R⟩/λ from the weights of a pair, and by the claimed margins."""
    with mpmath.workdps(example_pairs.DIGITS):
        system = example_pairs.masses(**parameters)
        x_d, y_d = example_pairs.pretrained_margins(system)
        x_r, y_r = example_pairs.oracle_margins(system)
        correlation = system.cross / 2
        to_weights = mpmath.matrix([[1, correlation], [correlation, 1]]) ** -1
        w_d, w_r = to_weights * mpmath.matrix([x_d, y_d]), to_weights * mpmath.matrix([x_r, y_r])
        kinds = mpmath.matrix([[1, correlation], [correlation, 1]])
        coefficients = mpmath.matrix(
            [system.retain * mpmath.exp(-x_d), -system.forget * mpmath.exp(-y_d)]
        )
        gradient = system.ridge * w_d - kinds * coefficients
        computed = sum(g * d for g, d in zip(gradient, w_d - w_r, strict=True)) / system.ridge
        f_over_r = system.retain / system.pretrain - 1  # n/r - 1
        first = system.pretrain * mpmath.exp(-x_d) / system.ridge
        second = system.alpha * system.pretrain * mpmath.exp(-y_d) / system.ridge
        return float(computed), float(
            (1 / f_over_r + 2) * second * (y_d - y_r) - f_over_r * first * (x_d - x_r)
        )


RETAIN_PART = forget / retain * early_numbers.p_D * (early_numbers.x_R - early_numbers.x_D)
FORGET_PART = (
    (total + forget) / forget * early_numbers.q_D * (early_numbers.y_R - early_numbers.y_D)
)
INNER_CLAIMED = RETAIN_PART - FORGET_PART
AT_SMALL_SHARE = forget / retain * early_numbers.p_0 * k11 * (early_numbers.p_R - early_numbers.p_0)


@claim(
    "first-step-sign-pair",
    statement=(
        "⟨∇J_DA(w_D), w_D − w_R⟩/λ = ((n+f)/f) q_D(y_D − y_R) − (f/r) p_D(x_D − x_R), with p_D = "
        "aφ(x_D)/λ and q_D = αaφ(y_D)/λ. The step w_D − η∇J_DA approaches the oracle exactly for 0 "
        "< η < 2⟨∇J_DA, w_D − w_R⟩/|∇J_DA|². So such an η exists exactly when ((n+f)/f) q_D(y_R − "
        "y_D) < (f/r) p_D(x_R − x_D). For small α it always does."
    ),
    explanation=(
        "w_D = p u + q v, and ∇J_DA(w_D)/λ = w_D - (n/r) p u + (n/f) q v, since A = (n/r) a and B "
        "= (n/f) αa. Take the product with w_D - w_R = (p - p_R) u + q v, whose margins are the "
        "differences. |d - ηg|² - |d|² = η(η|g|² - 2<g, d>) for a step along g from distance d. As "
        "α -> 0, q -> 0, and p < p_R since A > a."
    ),
    where="Sec. 5.1.2; the first step of descent-ascent, a condition on (ε, α, λ)",
    domain=(
        "any margin loss with φ > 0 decreasing, any two types, λ, α > 0; mean losses; one "
        "simultaneous step of size η with ∇J_DA(w_D) != 0"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.verdict.measure.Measurement",
    evaluate=_pair_step,
    theorem=Theorem(
        domain={
            # Small α is tried at 1e-15 and 1e-16: the other numbers must not outweigh that.
            **{
                symbol: positive_within(1)
                for symbol in (k11, k22, ridge, alpha, retain, forget, in_pair)
            },
            sp.Symbol("cosine"): between(-1, 1, "[]"),  # of u and v
            sp.Symbol("share"): positive_within(3),
            loss: DECREASING,
        },
        conclusions={
            "product": Eq(early_numbers.inner / ridge, INNER_CLAIMED),
            "approach": Iff(
                Lt(early_numbers.moved, 1),
                (Lt(sp.Symbol("share"), 1), Gt(early_numbers.inner, 0)),
            ),
            "condition": Iff(Gt(early_numbers.inner, 0), Lt(FORGET_PART, RETAIN_PART)),
            "small α": Order(
                early_numbers.small_inner - AT_SMALL_SHARE,
                early_numbers.small,
                sp.Integer(1),
                at=("1e-15", "1e-16"),
            ),
            "small α: its sign": Gt(AT_SMALL_SHARE, 0),
        },
        measure=early_numbers.first_step_of_pair,
        digits=60,
        most_digits=60,
        points=80,
    ),
    joins=[
        join(
            "identity",
            "product",
            equation=(
                "the product",
                "coefficient of u at w_D",
                "coefficient of v at w_D",
                "claim:dual-masses",
            ),
        ),
        join(
            "sign",
            "approach",
            sign=("|d - ηg|² - |d|², c = <g, d>", "known:η(η - b) < 0 exactly for 0 < η < b"),
        ),
        join("identity", "condition", equation="product"),
        join(
            "implicit function",
            "small α",
            jacobian=("as α -> 0", "product", "claim:pretrain-unique"),
            smooth="known:φ is smooth",
        ),
        join(
            "sign",
            "small α: its sign",
            sign=("which is positive for p < p_R", "x/φ(x) rises", "A > a"),
        ),
    ],
    counterexample=(
        "a pair and a step size η between 0 and the bound whose first step from w_D does not "
        "approach w_R, or one beyond the bound whose step does"
    ),
)
def first_step_pair(
    product=(total + forget) / forget * q * (y_D - y_R) - forget / retain * p * (x_D - x_R),
    at_small_alpha=forget / retain * p * (k11 * (p_R - p)),
    largest_step=2 * along / size**2,
):
    approach = (distance**2 - 2 * step * along + step**2 * size**2) - distance**2
    yield Equal("|d - ηg|² - |d|², c = <g, d>", approach, size**2 * step * (step - largest_step))
    gram = {"uu": k11, "uv": k12, "vv": k22}
    gradient = {"u": p - A / a * p, "v": q + B / (alpha * a) * q}
    move = {"u": p - p_R, "v": q}
    direct = sum(
        gradient[i] * move[j] * gram["".join(sorted((i, j)))] for i in "uv" for j in "uv"
    ).subs(counted)
    margins = {x_D: k11 * p + k12 * q, y_D: k12 * p + k22 * q, x_R: k11 * p_R, y_R: k12 * p_R}
    yield Equal("the product", direct, product.subs(margins))
    duals = {p: a * phi(x) / ridge, q: alpha * a * phi(y) / ridge}
    yield Equal("coefficient of u at w_D", (A / a * p).subs(duals), A * phi(x) / ridge)
    yield Equal("coefficient of v at w_D", (B / (alpha * a) * q).subs(duals), B * phi(y) / ridge)
    yield Equal("as α -> 0", product.subs(margins).subs(q, 0), at_small_alpha)
    yield Positive("which is positive for p < p_R", at_small_alpha.subs(p, p_R * below_one))
    # x_R and k11 p at α = 0 solve λx/φ(x) = k11 K, for K = A and K = a < A.
    fall, value, positive = sp.symbols("psi phi_x x_+", positive=True)
    slope = sp.diff(x / phi(x), x).subs(phi(x).diff(x), -fall).subs(phi(x), value)
    yield Positive("x/φ(x) rises", slope.subs(x, positive))
    yield Positive("A > a", (A - a).subs(counted))


@claim(
    "first-step-any-data",
    statement=(
        "If losses are averaged, ⟨∇J_DA(w_D), w_D − w_R⟩ = ρ⟨∇L_F, H_R⁻¹(∇L_F + λw_R)⟩ + O(ρ²), "
        "where ρ = f/r and the right side is taken at w_R. If convex losses are summed, the "
        "product is at least 2λ|w_D − w_R|². Then the first step leads towards the oracle, "
        "whatever the limit of the run."
    ),
    explanation=(
        "∇J_DA(w_D) = -(ρ + 1)∇L_F - ρλw_D (newton-step-is-preconditioned-ascent), and w_D - w_R = "
        "-ρH_R⁻¹(∇L_F + λw_R) + O(ρ²) (opposite-sides). The steps are written out for two weights, "
        "with H⁻¹ = [[i11, i12], [i12, i12²/i11 + k]], any positive definite matrix. With sums the "
        "forget gradient at w_D is -∇J_R(w_D). So the product is 2⟨∇J_R(w_D), w_D - w_R⟩, and "
        "∇J_R(w_R) = 0. Each row adds a nonnegative number, as φ decreases."
    ),
    where="Sec. 5.1, any data: why the first step says little",
    domain="any convex margin loss with a smooth φ, any data, λ > 0; the order as ρ -> 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.verdict.measure.Measurement",
    theorem=Theorem(
        domain={
            sp.Symbol("data"): Drawn(
                "any rows of two numbers",
                early_numbers.some_data,
                special=early_numbers.SPECIAL_DATA,
            ),
            ridge: positive_within(2),  # Newton's method takes too many steps beyond
            early_numbers.weight: positive_within(2),
            loss: DECREASING,
        },
        conclusions={
            "means": Order(
                early_numbers.product - rho * early_numbers.leading,
                rho,
                sp.Integer(2),
                at=("1e-9", "1e-10"),
            ),
            "sums": Ge(early_numbers.of_sums, 2 * ridge * early_numbers.distance**2),
        },
        measure=early_numbers.first_steps,
        digits=60,
        most_digits=60,
        points=8,
    ),
    joins=[
        join(
            "implicit function",
            "means",
            jacobian=(
                "∇J_DA(w_D), ∇J_R(w_D) being -ρ(∇L_F + λw_D)",
                "first order in ρ",
                "H⁻¹ is positive definite: determinant",
                "claim:newton-step-is-preconditioned-ascent",
                "claim:opposite-sides",
            ),
            smooth="known:φ is smooth",
        ),
        join(
            "sign",
            "sums",
            sign=(
                "sums: ∇S_F(w_D) = -∇J_R(w_D)",
                "sums: a row's part of <∇J_R(w_D) - ∇J_R(w_R), d>",
                "sums: a row with a larger margin at w_D",
                "sums: a row with a smaller margin at w_D",
                "sums: the ridge's part, twice",
                f"given:loss {DECREASING}",
            ),
        ),
    ],
    counterexample=(
        "data whose first step, as f/r -> 0, leads away although <g, H⁻¹(g + λw)> > 0, or sums "
        "whose first step leads away"
    ),
)
def first_step_any_data(
    leading=i11 * g1 * (g1 + ridge * w1)
    + i12 * (g1 * (g2 + ridge * w2) + g2 * (g1 + ridge * w1))
    + (i12**2 / i11 + rest) * g2 * (g2 + ridge * w2),
    sums_bound=2 * ridge * (w1**2 + w2**2),
):
    inverse = sp.Matrix([[i11, i12], [i12, i12**2 / i11 + rest]])
    g, w = sp.Matrix([g1, g2]), sp.Matrix([w1, w2])
    gradient = -rho * (g + ridge * w) - g
    move = -rho * inverse * (g + ridge * w)
    yield Equal(
        "∇J_DA(w_D), ∇J_R(w_D) being -ρ(∇L_F + λw_D)", gradient, -(1 + rho) * g - rho * ridge * w
    )
    yield Equal("first order in ρ", sp.diff(gradient.dot(move), rho).subs(rho, 0), leading)
    yield Equal("H⁻¹ is positive definite: determinant", inverse.det(), i11 * rest)
    # Sums: g is ∇J_R(w_D), w is w_D - w_R, and a row z has the margins <z, w_D>, <z, w_R>.
    yield Equal("sums: ∇S_F(w_D) = -∇J_R(w_D)", (g - (-g)).dot(w), 2 * g.dot(w))
    row, at_D, at_R = sp.Matrix(sp.symbols("z_1 z_2", real=True)), phi(x), phi(y)
    part = (-at_D * row + at_R * row).dot(w)
    yield Equal(
        "sums: a row's part of <∇J_R(w_D) - ∇J_R(w_R), d>", part, (at_R - at_D) * row.dot(w)
    )
    fall, growth = sp.symbols("e_phi m", nonnegative=True)
    yield Positive("sums: a row with a larger margin at w_D", fall * growth, strict=False)
    yield Positive("sums: a row with a smaller margin at w_D", (-fall) * (-growth), strict=False)
    yield Equal("sums: the ridge's part, twice", 2 * (ridge * w).dot(w), sums_bound)


def _coordinates(*, alphas=(0.15, 0.255), ridge=0.01, time=2000.0):
    """The least squared distance on the flow over the start's, and the share in Lemma 3's range.

    There are two orthogonal coordinates.
    """
    from scipy.integrate import solve_ivp

    retain = 80
    forget = 20
    on_coordinate = 8
    ends = np.array([closed_form_weights(alpha=share, ridge=ridge) for share in alphas], float)
    pretrained, oracle, _ = ends.T
    masses = on_coordinate / retain - np.array(alphas) * on_coordinate / forget
    run = solve_ivp(
        lambda _, w: masses * np.exp(-w) - ridge * w,
        (0, time),
        pretrained,
        method="LSODA",
        rtol=1e-10,
        atol=1e-12,
    )
    apart, start = (run.y - oracle[:, None]) ** 2, (pretrained - oracle) ** 2
    kept = (np.array(alphas) >= forget**2 / (retain * (retain + 2 * forget))) & (
        np.array(alphas) <= forget / retain
    )
    return float(apart.sum(0).min() / start.sum()), float(start[kept].sum() / start.sum())


@claim(
    "early-stop-coordinates",
    statement=(
        "For every t, ‖w(t) − w_R‖²/‖w_D − w_R‖² is at least the share of ‖w_D − w_R‖² on "
        "coordinates with f²/(r(f+n)) ≤ α_j ≤ f/r. If this share is 1, doing nothing is best."
    ),
    explanation=(
        "The flow decouples. By best-early-stop a coordinate in the range only moves away, so its "
        "part of the squared distance is S_in(1 + a) with a >= 0. The part of the others is b >= "
        "0."
    ),
    where="Sec. 5.1.1; stopping descent-ascent early, orthogonal coordinates together",
    domain=(
        "orthogonal coordinates, each with its own r_j and α_j; exponential loss; gradient flow "
        "from w_D != w_R, as long as it exists"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.dynamics.trials.trials",
    relation=">=",
    evaluate=_coordinates,
    theorem=Theorem(
        domain={
            # The flow is integrated in double precision.
            ridge: positive_within(3),
            retain: positive_within(3),
            forget: positive_within(3),
            sp.Symbol("coordinates"): Drawn(
                "any coordinates with (r_j, α_j r/f)",
                early_numbers.some_coordinates,
                special=early_numbers.SPECIAL_COORDINATES,
            ),
        },
        conclusions={
            "ratio": Ge(early_numbers.ratio, early_numbers.kept_share),
            "doing nothing": Implies(Eq(early_numbers.kept_share, 1), Eq(early_numbers.ratio, 1)),
        },
        measure=early_numbers.flow_of_coordinates,
        digits=15,
        most_digits=15,
        points=15,
    ),
    joins=[
        join(
            "sign",
            "ratio",
            sign=(
                "the ratio at any time, less the share",
                "over a sum of squares",
                "claim:best-early-stop",
            ),
        ),
        join("identity", "doing nothing", equation=("ratio", "all inside")),
    ],
    counterexample=(
        "orthogonal data whose flow comes nearer to the oracle than the share of the distance "
        "inside Lemma 3's range"
    ),
)
def early_stop_coordinates(
    share=inside / (inside + outside), slack=(inside * farther + left) / (inside + outside)
):
    at_any_time = (inside * (1 + farther) + left) / (inside + outside)
    yield Equal("the ratio at any time, less the share", at_any_time - share, slack)
    both = inside + outside
    yield Positive("over a sum of squares", slack * both, strict=False)
    yield Equal("all inside", share.subs(outside, 0), 1)


NEAREST = (1 - early_numbers.cosine**2) * early_numbers.start_distance**2


@claim(
    "early-stop-one-step",
    statement=(
        "Let d = w_D − w_R. A step of size η = c|d|/|g| leaves √(1−c²) of the distance |d|, and no "
        "other size leaves less. So the best early stop over all step sizes leaves at most "
        "√(1−c²)."
    ),
    explanation="|d - ηg|² = |d|² - 2ηc|g||d| + η²|g|² is a parabola in η.",
    where="Sec. 5.1, any data: what the best single step can do",
    domain=(
        "any objective, any start w_D != w_R with a gradient g != 0; c is the cosine of g and "
        "w_D - w_R (the step has η > 0 where c > 0)"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.dynamics.trials.trials",
    theorem=Theorem(
        domain={
            sp.Symbol("vectors"): Drawn(
                "any g and d other than 0",
                early_numbers.some_vectors,
                special=early_numbers.SPECIAL_VECTORS,
            ),
            sp.Symbol("size"): real,
        },
        conclusions={
            "what is left": Eq(early_numbers.best_left**2, NEAREST),
            "the best size": Le(NEAREST, early_numbers.other_left**2),
        },
        measure=early_numbers.one_step,
    ),
    joins=[
        join("identity", "what is left", equation="its value"),
        join(
            "convexity",
            "the best size",
            convex=("stationary", "it opens upwards"),
            coercive="known:a parabola that opens upwards is coercive",
        ),
    ],
    counterexample=(
        "data on which no step size brings one step within √(1-c²) of the start's distance"
    ),
)
def early_stop_one_step(best=along * distance / size, nearest=(1 - along**2) * distance**2):
    squared = distance**2 - 2 * step * along * size * distance + step**2 * size**2
    yield Equal("stationary", sp.diff(squared, step).subs(step, best), 0)
    yield Equal("its value", squared.subs(step, best), nearest)
    yield Equal("it opens upwards", sp.diff(squared, step, 2), 2 * size**2)
