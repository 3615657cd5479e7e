"""The path through pretraining, the oracle and descent-ascent: monotonicity and opposite sides.

``J_γ = L_R - γ L_F + (ridge/2)|w|²``, where L_R and L_F are mean losses, r = |R|, f = |F| and
n = r + f. A statement that is linear in its vectors is claimed by a scalar pattern (g for ∇L_F, w
for the weights), which is checked in each component.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.

import functools

import mpmath
import sympy as sp

from derivations.descent_ascent import influence
from derivations.ledger.ledger import claim
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import forget, retain, ridge, total

gamma, rho = sp.symbols("gamma rho", real=True)  # strength; rho = f/r in expansions
w1, w2, w, g, g1, g2, gradient_retain = sp.symbols("w_1 w_2 w g g_1 g_2 h", real=True)
c11, c22 = sp.symbols("c_11 c_22", positive=True)
c21, third_order, moved, bend = sp.symbols("c_21 T h_a k", real=True)

weights = sp.Matrix([w1, w2])
L_R, L_F = (sp.Function(name)(w1, w2) for name in ("L_R", "L_F"))


def gradient(value):
    """Gradient in the two weights."""
    return sp.Matrix([value]).jacobian(weights).T


def path_objective(strength, ridge_there):
    """J at a strength and a ridge."""
    return L_R - strength * L_F + ridge_there * weights.dot(weights) / 2


def pattern(expression, vectors):
    """The vector that a scalar pattern stands for.

    In component i each placeholder is replaced by component i of its vector.
    """
    return sp.Matrix(
        [
            expression.subs(
                {symbol: vector[i] for symbol, vector in vectors.items()}, simultaneous=True
            )
            for i in range(2)
        ]
    )


pretrain_objective = (retain * L_R + forget * L_F) / total + ridge * weights.dot(weights) / 2


@claim(
    "one-path",
    statement=(
        "J_D = (r/n) J_γ at γ = −f/r and ridge λn/r. The oracle is γ = 0 and descent-ascent γ = 1, "
        "both at ridge λ. The sum of all losses at ridge nλ is nJ_D, which has the same pretrained "
        "model."
    ),
    explanation=(
        "So one family of signed weights holds all three problems, at ridge λ max(1, 1 - γ)."
    ),
    where="Eq. 1",
    domain="any loss, any data; mean losses",
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.problem.objective.Objective",
        "gda_theory.problem.objective.Objective.ridge_at",
        "gda_theory.solve.minimise.pretrain",
        "gda_theory.solve.minimise.solve",
        "gda_theory.verdict.measure.other_reduction",
    ],
    counterexample="w with J_D(w) different from (r/n) J_γ(w) at that γ and ridge",
)
def one_path(
    strength=-forget / retain,
    path_ridge=ridge * total / retain,
    factor=retain / total,
    of_sums=total * ridge,
):
    yield Equal("J_D", pretrain_objective, factor * path_objective(strength, path_ridge))
    yield Equal("ridge(γ) = λ(1 - γ) at that γ", ridge * (1 - strength), path_ridge)
    yield Equal(
        "sums: γ = -1 at the same ridge",
        path_objective(-1, ridge),
        L_R + L_F + ridge * weights.dot(weights) / 2,
    )
    sums = {L_R: retain * L_R, L_F: forget * L_F}
    yield Equal(
        "sums at ridge nλ",
        path_objective(-1, of_sums).subs(sums, simultaneous=True),
        total * pretrain_objective,
    )


@claim(
    "path-monotone",
    statement=(
        "dw/dγ = H_γ⁻¹∇L_F. Hence dL_F/dγ = ∇L_F′H_γ⁻¹∇L_F ≥ 0 for every γ. And dJ_R/dγ = γ "
        "dL_F/dγ has the sign of γ: J_R falls for γ ≤ 0 up to the oracle, and rises for γ ≥ 0."
    ),
    explanation=(
        "Differentiate ∇J_γ(w(γ)) = 0. With the Cholesky factor C of H_γ = CC' the quadratic form "
        "is |C⁻¹∇L_F|². The steps are written out in two dimensions. A rise of J_R for every γ "
        "would be false: for γ < 0 the path comes from pretraining."
    ),
    where="Sec. 5.1",
    domain=(
        "along w(γ) at fixed ridge while H_γ is positive definite; γ of either sign; any loss, any "
        "data"
    ),
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.solve.path.ascent_path",
        "gda_theory.problem.objective.Objective.forget_gradient",
        "gda_theory.pair.ordering_windows",
    ],
    rules=["implicit function"],
    counterexample=(
        "γ on the path at which L_F falls, or J_R falls although γ > 0, or rises although γ < 0"
    ),
)
def path_monotone(
    forget_slope=(g1 / c11) ** 2 + ((g2 - c21 * g1 / c11) / c22) ** 2,
    retain_slope=gamma * ((g1 / c11) ** 2 + ((g2 - c21 * g1 / c11) / c22) ** 2),
):
    along = {w1: sp.Function("W_1")(gamma), w2: sp.Function("W_2")(gamma)}
    velocity = sp.Matrix(sp.symbols("v_1 v_2", real=True))
    speeds = dict(
        zip((sp.diff(along[w1], gamma), sp.diff(along[w2], gamma)), velocity, strict=True)
    )
    back = {function: weight for weight, function in along.items()}
    stationary = gradient(path_objective(gamma, ridge))
    total_derivative = stationary.subs(along).diff(gamma).doit().subs(speeds).subs(back).doit()
    hessian = sp.hessian(path_objective(gamma, ridge), (w1, w2))
    yield Equal(
        "d/dγ ∇J_γ(w(γ)) = H dw/dγ - ∇L_F", total_derivative, hessian * velocity - gradient(L_F)
    )
    factor = sp.Matrix([[c11, 0], [c21, c22]])
    slope_vector = sp.Matrix([g1, g2])
    velocity = (factor * factor.T).inv() * slope_vector
    yield Equal("dL_F/dγ = ∇L_F·dw/dγ", slope_vector.dot(velocity), forget_slope)
    # On the path ∇J_R = γ ∇L_F.
    yield Equal("dJ_R/dγ = ∇J_R·dw/dγ", (gamma * slope_vector).dot(velocity), retain_slope)
    yield Positive("the form", (g1 / c11) ** 2, strict=False)


VELOCITY = sp.Matrix(sp.symbols("v_1 v_2", real=True))
RATE = sp.Symbol("v_3", real=True)
ACCELERATION = sp.Matrix(sp.symbols("a_1 a_2", real=True))


@functools.cache
def _gradient_along(order: int):
    """The derivative of ∇J by the parameter of a curve (w, γ), by its velocity and acceleration."""
    parameter = sp.Symbol("sigma", real=True)
    curve = [sp.Function(name)(parameter) for name in ("W_1", "W_2", "Gamma")]
    first_order = dict(zip((f.diff(parameter) for f in curve), (*VELOCITY, RATE), strict=True))
    second_order = dict(
        zip((f.diff(parameter, 2) for f in curve), (*ACCELERATION, bend), strict=True)
    )
    along = gradient(path_objective(gamma, ridge)).subs(
        dict(zip((w1, w2, gamma), curve, strict=True))
    )
    derivative = along.diff(parameter, order).doit().subs(second_order).subs(first_order)
    return derivative.subs(dict(zip(curve, (w1, w2, gamma), strict=True))).doit()


@claim(
    "oracle-continuation",
    statement=(
        "The oracle is unique and has H_R ≻ 0. From it the minimum continues uniquely in γ while "
        "H_γ ≻ 0 and w stays bounded. Suppose it arrives at a point with H n = 0 for one direction "
        "n, <n, ∇L_F> ≠ 0 and D³J[n,n,n] ≠ 0. Then γ turns back there: along w′ = n, γ′ = 0 and γ″ "
        "= D³J[n,n,n]/<n, ∇L_F>."
    ),
    explanation=(
        "Differentiate ∇J_γ(w) = 0 along a curve (w(s), γ(s)). Once: H w' = γ'∇L_F, so <n, H w'> = "
        "0 forces γ' = 0 and w' = n. Twice, with these: D³J[n,n] + H w'' - γ''∇L_F = 0, and <n, H "
        "w''> = 0. The path arrives from smaller γ, so γ'' < 0, and no minimum is left nearby.\n\n"
        "Both hypotheses are needed. Squared loss, one sample in both sets: w = (1-γ)/(1-γ+λ) "
        "escapes as γ -> 1+λ, with H > 0 on the way. And where D³J[n,n,n] = 0 the path may pass, as "
        "for ∇J = (w-1)³ + (1-γ)(w+1)."
    ),
    where="Sec. 5.1: what 'the solution of descent-ascent' means",
    domain=(
        "L_R convex (L_F needs not be), both with three continuous derivatives, λ > 0; any data"
    ),
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.solve.path.descent_ascent",
        "gda_theory.solve.path.ascent_path",
        "gda_theory.dynamics.outcomes.explain",
    ],
    rules=["implicit function", "convexity"],
    counterexample=(
        "a bounded path of minima from the oracle that ends where H_γ is invertible, or passes a "
        "point with D³J[n,n,n] != 0 at which H_γ is singular"
    ),
)
def oracle_continuation(second=third_order + moved - bend * g, turning=third_order / g):
    hessian = sp.hessian(path_objective(gamma, ridge), (w1, w2))
    once = _gradient_along(1)
    twice = _gradient_along(2).subs(RATE, 0)
    yield Equal("once", once, hessian * VELOCITY - RATE * gradient(L_F))
    contracted = sp.Matrix(
        [(VELOCITY.T * hessian.diff(weight) * VELOCITY)[0] for weight in weights]
    )
    vectors = {third_order: contracted, moved: hessian * ACCELERATION, g: gradient(L_F)}
    yield Equal("twice, γ' = 0", twice, pattern(second, vectors))
    # A singular H is c m m' with n across m; symmetric, so <n, Hw> = <Hn, w> = 0 for every w.
    across = sp.Matrix([-g2, g1])
    singular = c11 * sp.Matrix([g1, g2]) * sp.Matrix([g1, g2]).T
    yield Equal("<n, Hw> = 0", (across.T * singular * weights)[0], 0)
    yield Equal("γ'' along n", second.subs({moved: 0, bend: turning}), 0)
    # The two examples of the explanation, with one weight.
    escaping = (1 - gamma) / (1 - gamma + ridge)
    yield Equal("squared loss: stationary", (1 - gamma) * (escaping - 1) + ridge * escaping, 0)
    passing = (w - 1) ** 3 + (1 - gamma) * (w + 1)
    yield Equal("it passes: the point at γ = 1", passing.subs({w: 1, gamma: 1}), 0)
    yield Equal("its Hessian there", sp.diff(passing, w).subs({w: 1, gamma: 1}), 0)
    far = sp.Symbol("t", positive=True)  # w = 1 + t beyond it
    strength = sp.solve(passing, gamma)[0]
    curvature = sp.diff(passing, w).subs(gamma, strength).subs(w, 1 + far)
    yield Positive("and beyond it, a minimum", curvature)
    yield Positive("with γ > 1", (strength - 1).subs(w, 1 + far))


@claim(
    "opposite-sides",
    statement=(
        "w_D − w_R = −(f/r) H_R⁻¹(∇L_F + λw_R) + O((f/r)²) and w(γ) − w_R = +γ H_R⁻¹∇L_F + O(γ²). "
        "So pretraining and ascent lie on opposite sides of the oracle, up to λw_R."
    ),
    explanation=(
        "Multiply ∇J_D by n/r. With ρ = f/r it is ∇L_R + ρ∇L_F + λ(1+ρ)w. Both problems start at "
        "the oracle, at ρ = 0 and γ = 0, with the same Hessian H_R. The solution's velocity is "
        "-H_R⁻¹ times the derivative of ∇J by ρ or by γ."
    ),
    where="Sec. 5.1, any data",
    domain=(
        "first order in f/r and in γ; any loss, any data with H_R positive definite; mean losses"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.solve.path.ascent_path",
    rules=["implicit function"],
    counterexample="data whose (w_D - w_R) r/f, as f/r -> 0, tends to something else",
)
def opposite_sides(pretrain_drift=g + ridge * w, ascent_drift=-g, sum_of_velocities=-ridge * w):
    vectors = {g: gradient(L_F), w: weights}
    pretrain_gradient = gradient(L_R) + rho * gradient(L_F) + ridge * (1 + rho) * weights
    scaled = total / retain * gradient(pretrain_objective)
    yield Equal("(n/r) ∇J_D", scaled, pretrain_gradient.subs(rho, forget / retain))
    ascent_gradient = gradient(path_objective(gamma, ridge))
    yield Equal(
        "both are the oracle's at 0", pretrain_gradient.subs(rho, 0), ascent_gradient.subs(gamma, 0)
    )
    yield Equal("∂/∂ρ", pretrain_gradient.diff(rho), pattern(pretrain_drift, vectors))
    yield Equal("∂/∂γ", ascent_gradient.diff(gamma), pattern(ascent_drift, vectors))
    hessian = sp.Matrix([[c11, c21], [c21, c22]])
    placeholder = {g: sp.Matrix([g1, g2]), w: weights}
    velocities = -hessian.inv() * (
        pattern(pretrain_drift, placeholder) + pattern(ascent_drift, placeholder)
    )
    yield Equal(
        "the velocities add up to -λ H_R⁻¹ w_R",
        velocities,
        hessian.inv() * pattern(sum_of_velocities, placeholder),
    )


def _break_even(*, share=1e-13, **parameters):
    """γ_even r/f by equal distances, and its first order.

    Logistic loss, one retained and one forgotten sample.
    """
    with mpmath.workdps(40):
        share = mpmath.mpf(share)
        (pretrained, oracle, _), gradient, _, k = influence.one_sample_each(
            share=share, **parameters
        )
        first_order = abs(gradient + k["ridge"] * oracle) / abs(gradient)

        def excess(ratio):
            ascended = influence.one_sample_each(share=share, strength=share * ratio, **parameters)[
                0
            ][2]
            return abs(ascended - oracle) / abs(pretrained - oracle) - 1

        return float(
            mpmath.findroot(excess, (first_order, first_order * (1 + share)), tol=1e-15)
        ), float(first_order)


@claim(
    "break-even-first-order",
    statement=(
        "The limit of descent-ascent is farther from the oracle than w_D beyond γ_even = "
        "(f/r)‖H_R⁻¹(∇L_F + λw_R)‖/‖H_R⁻¹∇L_F‖ + O((f/r)²)."
    ),
    explanation=(
        "By opposite-sides the two distances are (f/r)|H⁻¹(∇L_F + λw_R)| and γ|H⁻¹∇L_F| to first "
        "order. They are equal at the claimed γ. The steps are written out for H_R = [[c11, c21], "
        "[c21, c22]], whose determinant cancels. Sums have no λw_R term; then γ_even is f/r "
        "itself."
    ),
    where="Sec. 5.1, any data",
    domain="first order in f/r; ∇L_F(w_R) != 0; mean losses",
    origin="new",
    evidence="proved",
    backs="gda_theory.solve.path.ascent_path",
    rules=["implicit function"],
    evaluate=_break_even,
    counterexample="data whose break-even strength times r/f, as f/r -> 0, tends to another number",
)
def break_even(
    squared=rho**2
    * (
        (c22 * g1 - c21 * g2 + ridge * (c22 * w1 - c21 * w2)) ** 2
        + (c11 * g2 - c21 * g1 + ridge * (c11 * w2 - c21 * w1)) ** 2
    )
    / ((c22 * g1 - c21 * g2) ** 2 + (c11 * g2 - c21 * g1) ** 2),
):
    hessian = sp.Matrix([[c11, c21], [c21, c22]])
    forget_gradient = sp.Matrix([g1, g2])
    pretrain = -rho * hessian.inv() * (forget_gradient + ridge * weights)
    ascent = gamma * hessian.inv() * forget_gradient
    distances = pretrain.dot(pretrain), ascent.dot(ascent)
    yield Equal(
        "|w_D - w_R|² = |w(γ) - w_R|² at γ²",
        distances[0],
        distances[1].subs(gamma, sp.sqrt(squared)),
    )
    yield Equal("no λw_R term", squared.subs({w1: 0, w2: 0}), rho**2)


@claim(
    "newton-step-is-preconditioned-ascent",
    statement=(
        "At w_D, ∇J_R = −(f/r)(∇L_F + λw_D). So the Newton step on J_R is +(f/r) H_R⁻¹(∇L_F + "
        "λw_D): ascent on F, preconditioned by H_R⁻¹."
    ),
    explanation=(
        "Solve ∇J_D(w_D) = 0 for ∇L_R and insert it. w_D is within O(f/n) of w_R, so the step ends "
        "within O((f/n)²). Sums have no λw_D term."
    ),
    where="Sec. 5.1; certified removal",
    domain="any loss, any data; mean losses",
    origin="new",
    evidence="proved",
    backs="gda_theory.solve.minimise.newton_step",
    rules=["quadratic convergence"],
    counterexample="w_D at which ∇J_R differs from -(f/r)(∇L_F + λw)",
)
def newton_step(retain_gradient=-forget / retain * (g + ridge * w)):
    retain_slope = sp.solve(
        (retain * gradient_retain + forget * g) / total + ridge * w, gradient_retain
    )[0]
    at_pretrained = (gradient_retain + ridge * w).subs(gradient_retain, retain_slope)
    yield Equal("∇J_R at w_D", at_pretrained, retain_gradient)
    summed = sp.solve(gradient_retain + g + ridge * w, gradient_retain)[0] + ridge * w
    yield Equal("sums", summed, -g)
