"""The path through pretraining, the oracle and descent-ascent: monotonicity and opposite sides.

``J_γ = L_R - γ L_F + (ridge/2)|w|²``, where L_R and L_F are mean losses, r = |R|, f = |F| and
n = r + f. A statement that is linear in its vectors is claimed by a scalar pattern (g for ∇L_F, w
for the weights), which is checked in each component.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.

import functools

import mpmath
import sympy as sp

from derivations.descent_ascent import data_measures, influence, path_measures
from derivations.ledger.domains import Drawn, Interval, OneOf, positive_within
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import forget, retain, ridge, total
from derivations.ledger.theorems import (
    Eq,
    Ge,
    Given,
    Gt,
    Implies,
    Le,
    Lt,
    NoValue,
    Theorem,
    limit,
)

gamma, rho = sp.symbols("gamma rho", real=True)  # strength; rho = f/r in expansions
w1, w2, w, g, g1, g2, gradient_retain = sp.symbols("w_1 w_2 w g g_1 g_2 h", real=True)
c11, c22 = sp.symbols("c_11 c_22", positive=True)
c21, third_order, moved, bend = sp.symbols("c_21 T h_a k", real=True)

data, loss, landscape = sp.symbols("data loss landscape")
SPLITS = Drawn(
    "2 to 4 weighted samples in up to 3 dimensions, of which the first half is retained",
    data_measures.data_maker(4, 3, signed=False),
    special=data_measures.special()[2::-1],
)
ANY_LOSS = OneOf(path_measures.LOSSES)
SMALL = ("1e-8", "1e-10")  # scales at which a wavy loss is smooth

weights = sp.Matrix([w1, w2])
L_R, L_F = (sp.Function(name)(w1, w2) for name in ("L_R", "L_F"))


def weight_gradient(value):
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


J_D, J_R, J_DA, J_sum, mean_R, mean_F = sp.symbols("J_D J_R J_DA J_sum mean_R mean_F", real=True)
square = sp.Symbol("square", nonnegative=True)  # |w|²
model_error = sp.Symbol("model_error", nonnegative=True)


def _one_family(data, ridge, loss):
    """Objectives by sums over samples, and ∇J_D where the sum of all losses is stationary."""
    parts = path_measures.split(data)
    at = data_measures.vector(data.point)
    sizes = data_measures.numbers(data.signed)
    n = sum(sizes)
    losses = [path_measures.VALUES[loss](margin) for margin in parts.rows * at]
    penalty = ridge / 2 * data_measures.dot(at, at)
    summed = sum(size * value for size, value in zip(sizes, losses, strict=True))
    model = data_measures.stationary(parts.rows, sizes, n * ridge, loss)
    of_mean = [size / n for size in sizes]
    kept, forgotten = (
        path_measures.mean_loss(parts, shares, at, loss)
        for shares in (parts.of_retain, parts.of_forget)
    )
    first = len(sizes) - sum(share != 0 for share in parts.of_forget)
    return {
        retain: parts.retain_size,
        forget: parts.forget_size,
        mean_R: kept,
        mean_F: forgotten,
        square: data_measures.dot(at, at),
        J_D: summed / n + penalty,
        J_R: sum(sizes[i] * losses[i] for i in range(first)) / sum(sizes[:first]) + penalty,
        J_DA: path_measures.mean_loss(parts, parts.weights(1, -1), at, loss) + penalty,
        J_sum: summed + n * penalty,
        model_error: data_measures.norm(
            data_measures.gradient(parts.rows, of_mean, ridge, model, loss)
        ),
    }


def _measured_path(strength, ridge_there):
    """J at a strength and a ridge, in the measured means."""
    return mean_R - strength * mean_F + ridge_there / 2 * square


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
    theorem=Theorem(
        domain={data: SPLITS, ridge: Interval(decades=2), loss: ANY_LOSS},
        conclusions={
            "J_D": Eq(
                J_D, retain / total * _measured_path(-forget / retain, ridge * total / retain)
            ),
            "oracle": Eq(J_R, _measured_path(0, ridge)),
            "descent-ascent": Eq(J_DA, _measured_path(1, ridge)),
            "sum of all losses": Eq(J_sum, total * J_D),
            "the same model": Eq(model_error, 0),
        },
        measure=_one_family,
        most_digits=30,
        points=15,
    ),
    joins=[
        join("identity", "J_D", equation=("J_D over the path", "ridge(γ) = λ(1 - γ) at that γ")),
        join("identity", "oracle", equation="γ = 0 is the oracle"),
        join("identity", "descent-ascent", equation="γ = 1 is descent-ascent"),
        join("identity", "sum of all losses", equation="sums at ridge nλ"),
        join("identity", "the same model", equation="sum of all losses"),
    ],
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
    yield Equal(
        "J_D over the path", pretrain_objective, factor * path_objective(strength, path_ridge)
    )
    yield Equal("ridge(γ) = λ(1 - γ) at that γ", ridge * (1 - strength), path_ridge)
    penalty = ridge * weights.dot(weights) / 2
    yield Equal("γ = 0 is the oracle", path_objective(0, ridge), L_R + penalty)
    yield Equal("γ = 1 is descent-ascent", path_objective(1, ridge), L_R - L_F + penalty)
    sums = {L_R: retain * L_R, L_F: forget * L_F}
    yield Equal(
        "sums at ridge nλ",
        path_objective(-1, of_sums).subs(sums, simultaneous=True),
        total * pretrain_objective,
    )


forget_found, retain_found, form = sp.symbols("slope_F slope_R form", real=True)
velocity_error = sp.Symbol("velocity_error", nonnegative=True)


def _along_path(data, ridge, gamma, loss):
    """Slopes of w, L_F and J_R along the path by difference quotients, and g'H⁻¹g."""
    parts = path_measures.split(data)
    with mpmath.extradps(15):
        at = path_measures.on_path(parts, gamma, ridge, loss)
        slope = path_measures.forget_slope(parts, at, loss)
        hessian = path_measures.path_hessian(parts, gamma, ridge, at, loss)
        newton = data_measures.linear_solution(hessian, slope)
        # So small that the margins move by a third of the digits at most.
        speed = 1 + data_measures.norm(parts.rows) * data_measures.norm(newton)
        h = mpmath.mpf(10) ** (-mpmath.mp.dps // 3) / speed
        after, before = (
            path_measures.on_path(parts, gamma + step, ridge, loss, at) for step in (h, -h)
        )
        velocity = (after - before) / (2 * h)

        def rate(shares, penalty):
            ends = [
                path_measures.mean_loss(parts, shares, end, loss)
                + penalty / 2 * data_measures.dot(end, end)
                for end in (after, before)
            ]
            return (ends[0] - ends[1]) / (2 * h)

        return {
            velocity_error: data_measures.norm(hessian * velocity - slope)
            / (1 + data_measures.norm(slope)),
            form: data_measures.dot(slope, newton),
            forget_found: rate(parts.of_forget, mpmath.mpf(0)),
            retain_found: rate(parts.of_retain, ridge),
        }


def _is_minimum(data, ridge, gamma, loss):
    parts = path_measures.split(data)
    at = path_measures.on_path(parts, gamma, ridge, loss)
    hessian = path_measures.path_hessian(parts, gamma, ridge, at, loss)
    return path_measures.least_eigenvalue(hessian) > 0


@claim(
    "path-monotone",
    statement=(
        "dw/dγ = H_γ⁻¹∇L_F. Hence dL_F/dγ = ∇L_F′H_γ⁻¹∇L_F ≥ 0 for every γ. And dJ_R/dγ = γ "
        "dL_F/dγ. So J_R does not rise for γ ≤ 0, up to the oracle, nor fall for γ ≥ 0."
    ),
    explanation=(
        "Differentiate ∇J_γ(w(γ)) = 0. With the Cholesky factor C of H_γ = CC' the quadratic form "
        "is |C⁻¹∇L_F|². The steps are written out in two dimensions. A rise of J_R for every γ "
        "would be false: for γ < 0 the path comes from pretraining."
    ),
    where="Sec. 5.1",
    domain=(
        "along w(γ) at fixed ridge λ > 0 while H_γ is positive definite; γ of either sign; any "
        "loss, any data"
    ),
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.solve.path.ascent_path",
        "gda_theory.problem.objective.Objective.forget_gradient",
        "gda_theory.pair.ordering_windows",
    ],
    theorem=Theorem(
        domain={
            data: SPLITS,
            ridge: positive_within(1),
            gamma: Interval(decades=1),
            loss: ANY_LOSS,
        },
        hypotheses=(Given("H_γ is positive definite at w(γ)", _is_minimum),),
        conclusions={
            "velocity": Eq(velocity_error, 0),
            "slope of L_F": Eq(forget_found, form),
            "L_F does not fall": Ge(forget_found, 0),
            "slope of J_R": Eq(retain_found, gamma * forget_found),
            "before the oracle": Implies(Le(gamma, 0), Le(retain_found, 0)),
            "beyond the oracle": Implies(Ge(gamma, 0), Ge(retain_found, 0)),
        },
        measure=_along_path,
        digits=20,
        most_digits=20,
        points=8,
    ),
    joins=[
        join(
            "implicit function",
            "w(γ) is smooth",
            jacobian="given:H_γ is positive definite at w(γ)",
            smooth="known:the losses are smooth",
        ),
        join(
            "identity",
            "velocity",
            equation=("w(γ) is smooth", "d/dγ ∇J_γ(w(γ)) = H dw/dγ - ∇L_F"),
        ),
        join(
            "identity",
            "slope of L_F",
            equation=(
                "velocity",
                "dL_F/dγ = ∇L_F·dw/dγ",
                "known:in every dimension H = CC', and g'H⁻¹g = |C⁻¹g|²",
            ),
        ),
        join(
            "identity",
            "slope of J_R",
            equation=("slope of L_F", "on the path ∇J_R = γ∇L_F", "dJ_R/dγ = ∇J_R·dw/dγ"),
        ),
        join("sign", "L_F does not fall", sign=("slope of L_F", "the form")),
        join(
            "sign",
            ("before the oracle", "beyond the oracle"),
            sign=("slope of J_R", "L_F does not fall"),
        ),
    ],
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
    stationary = weight_gradient(path_objective(gamma, ridge))
    total_derivative = stationary.subs(along).diff(gamma).doit().subs(speeds).subs(back).doit()
    hessian = sp.hessian(path_objective(gamma, ridge), (w1, w2))
    yield Equal(
        "d/dγ ∇J_γ(w(γ)) = H dw/dγ - ∇L_F",
        total_derivative,
        hessian * velocity - weight_gradient(L_F),
    )
    factor = sp.Matrix([[c11, 0], [c21, c22]])
    slope_vector = sp.Matrix([g1, g2])
    velocity = (factor * factor.T).inv() * slope_vector
    yield Equal("dL_F/dγ = ∇L_F·dw/dγ", slope_vector.dot(velocity), forget_slope)
    yield Equal(
        "on the path ∇J_R = γ∇L_F",
        weight_gradient(path_objective(0, ridge)) - stationary,
        gamma * weight_gradient(L_F),
    )
    yield Equal("dJ_R/dγ = ∇J_R·dw/dγ", (gamma * slope_vector).dot(velocity), retain_slope)
    yield Positive("the form", forget_slope, strict=False)


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
    along = weight_gradient(path_objective(gamma, ridge)).subs(
        dict(zip((w1, w2, gamma), curve, strict=True))
    )
    derivative = along.diff(parameter, order).doit().subs(second_order).subs(first_order)
    return derivative.subs(dict(zip(curve, (w1, w2, gamma), strict=True))).doit()


LANDSCAPES = Drawn(
    "a convex L_R and any L_F, of 2 or 3 samples in up to 2 dimensions",
    path_measures.drawn_landscape,
    special=(path_measures.ESCAPING, path_measures.PASSING, path_measures.CROSSING),
)
oracles, continuations = sp.symbols("oracles continuations", integer=True)
least_there, least_before, third_found, inner = sp.symbols("least_R least D3J inner", real=True)
rate_found, bend_found, moved_off = sp.symbols("rate bend moved_off", real=True)
apart = sp.Symbol("h", positive=True)


def _continued(landscape, ridge, h=None):
    """The oracle, the path half way to its turn, and the turn by differences of ``h``."""
    if h is not None:
        return _turned(landscape, ridge, h)
    zero = mpmath.mpf(0)
    around = [mpmath.matrix([3 * sign] * landscape.dimension) for sign in (0, 1, -1)]

    def slope(strength):
        return lambda w: path_measures.path_slope(landscape, ridge, w, strength)

    oracle = path_measures.root_near(slope(zero), around[0])
    half, strength = path_measures.halfway(landscape, ridge)
    near = [half + start * (1 + data_measures.norm(half)) / 10**4 for start in around]
    turned = path_measures.turn(landscape, ridge)
    return {
        oracles: path_measures.distinct_roots(slope(zero), around),
        least_there: path_measures.least_eigenvalue(
            path_measures.hessian_at(landscape, ridge, oracle, zero)
        ),
        continuations: path_measures.distinct_roots(
            slope(strength * (1 + mpmath.mpf("1e-4"))), near
        ),
        least_before: path_measures.least_eigenvalue(
            path_measures.hessian_at(landscape, ridge, half, strength)
        ),
        third_found: turned.third,
        inner: turned.inner,
    }


def _turned(landscape, ridge, h):
    """γ', γ'' and how far w' is from n, along the curve through its turn."""
    turned = path_measures.turn(landscape, ridge)
    with mpmath.extradps(15):
        after, before = (
            path_measures.beside_turn(landscape, ridge, turned, step) for step in (h, -h)
        )
        off = data_measures.norm((after[0] - before[0]) / (2 * h) - turned.null)
        return {
            rate_found: (after[1] - before[1]) / (2 * h),
            bend_found: (after[1] - 2 * turned.strength + before[1]) / h**2,
            # With one weight it is 0 but for the rounding.
            moved_off: off if off > mpmath.sqrt(mpmath.eps) else mpmath.mpf(0),
            third_found: turned.third,
            inner: turned.inner,
        }


def _stays_bounded(landscape, ridge):
    if landscape.singular is not None:
        return True
    try:
        path_measures.path_from_oracle(landscape, ridge)
    except path_measures.EscapesError:
        return False
    return True


def _moves_forget_loss(landscape, ridge):
    return abs(path_measures.turn(landscape, ridge).inner) > mpmath.sqrt(mpmath.eps)


def _is_bent(landscape, ridge):
    return abs(path_measures.turn(landscape, ridge).third) > mpmath.sqrt(mpmath.eps)


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
        "escapes as γ -> 1+λ, with H > 0 on the way. And where D³J[n,n,n] = 0 the path may pass, "
        "as for ∇J = (w-1)³ + (1-γ)(w+1)."
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
    theorem=Theorem(
        domain={landscape: LANDSCAPES, ridge: positive_within(1)},
        hypotheses=(
            Given("w stays bounded up to the singular point", _stays_bounded),
            Given("<n, ∇L_F> != 0 there", _moves_forget_loss),
            Given("D³J[n,n,n] != 0 there", _is_bent),
        ),
        conclusions={
            "one oracle": Eq(oracles, 1),
            "its Hessian": Gt(least_there, 0),
            "one continuation": Eq(continuations, 1),
            "of minima": Gt(least_before, 0),
            "w' = n": limit(moved_off, 0, apart, 2),
            "γ' = 0": limit(rate_found, 0, apart, 2),
            "γ''": limit(bend_found, third_found / inner, apart, power=2),
            "γ turns back": Lt(sp.sign(third_found) * sp.sign(inner), 0),
        },
        measure=_continued,
        digits=15,
        most_digits=15,
        points=4,
    ),
    joins=[
        join(
            "convexity",
            ("one oracle", "its Hessian"),
            convex="known:a convex L_R plus λ|w|²/2 is strictly convex, with H_R ≻ λ/2",
            coercive="known:it grows like |w|²",
        ),
        join(
            "implicit function",
            ("one continuation", "of minima"),
            jacobian="known:H_γ ≻ 0 up to the first singular point",
            smooth="known:two continuous derivatives of the gradient",
        ),
        join(
            "identity",
            ("w' = n", "γ' = 0"),
            equation=(
                "once",
                "<n, Hw> = 0",
                "given:<n, ∇L_F> != 0 there",
                "given:w stays bounded up to the singular point",
                "known:a symmetric matrix has an eigenbasis, in every dimension",
            ),
        ),
        join("identity", "γ''", equation=("γ' = 0", "w' = n", "twice, γ' = 0", "γ'' along n")),
        join(
            "contradiction",
            "γ turns back",
            assumption="known:γ'' > 0, so γ falls to its value there and rises again",
            absurd=(
                "γ''",
                "given:D³J[n,n,n] != 0 there",
                "of minima",
                "known:the path arrives from smaller γ",
            ),
        ),
    ],
    counterexample=(
        "a bounded path of minima from the oracle that ends where H_γ is invertible, or passes a "
        "point with D³J[n,n,n] != 0 at which H_γ is singular"
    ),
)
def oracle_continuation(second=third_order + moved - bend * g, turning=third_order / g):
    hessian = sp.hessian(path_objective(gamma, ridge), (w1, w2))
    once = _gradient_along(1)
    twice = _gradient_along(2).subs(RATE, 0)
    yield Equal("once", once, hessian * VELOCITY - RATE * weight_gradient(L_F))
    contracted = sp.Matrix(
        [(VELOCITY.T * hessian.diff(weight) * VELOCITY)[0] for weight in weights]
    )
    vectors = {third_order: contracted, moved: hessian * ACCELERATION, g: weight_gradient(L_F)}
    yield Equal("twice, γ' = 0", twice, pattern(second, vectors))
    # A singular H is c m m' with n across m; symmetric, so <n, Hw> = <Hn, w> = 0 for every w.
    across = sp.Matrix([-g2, g1])
    singular = c11 * sp.Matrix([g1, g2]) * sp.Matrix([g1, g2]).T
    yield Equal("<n, Hw> = 0", (across.T * singular * weights)[0], 0)
    yield Equal("γ'' along n", second.subs({moved: 0, bend: turning}), 0)


pretrain_error, ascent_error, sum_error = sp.symbols("error_D error_A error_sum", nonnegative=True)


def _visible(error):
    """``error``, or 0 where it is rounding."""
    return error if error > mpmath.mpf(10) ** (-3 * mpmath.mp.dps // 4) else mpmath.mpf(0)


def _first_order(data, ridge, loss, rho):
    """How far w_D and w(γ) are from their first order, with f/r = γ = ``rho``."""
    at = path_measures.beside_oracle(data, ridge, loss, rho)
    drift = data_measures.linear_solution(at.hessian, at.slope + ridge * at.oracle)
    ascent = data_measures.linear_solution(at.hessian, at.slope)
    shrinkage = ridge * data_measures.linear_solution(at.hessian, at.oracle)
    pretrained, ascended = at.pretrained - at.oracle, at.ascended - at.oracle
    return {
        pretrain_error: _visible(data_measures.norm(pretrained + rho * drift)),
        ascent_error: _visible(data_measures.norm(ascended - rho * ascent)),
        sum_error: _visible(data_measures.norm(pretrained + ascended + rho * shrinkage)),
    }


def _is_invertible(data, ridge, loss, **_):
    parts = path_measures.split(data)
    oracle = path_measures.on_path(parts, mpmath.mpf(0), ridge, loss)
    hessian = path_measures.path_hessian(parts, mpmath.mpf(0), ridge, oracle, loss)
    return abs(mpmath.det(hessian)) > mpmath.sqrt(mpmath.eps)


INVERTIBLE = Given("H_R is invertible at w_R", _is_invertible)
BESIDE_ORACLE = {data: SPLITS, ridge: positive_within(1), loss: ANY_LOSS}
smooth_solution = join(
    "implicit function",
    "the solution is smooth in f/r and in γ",
    jacobian="given:H_R is invertible at w_R",
    smooth="known:the losses are smooth",
)


@claim(
    "opposite-sides",
    statement=(
        "w_D − w_R = −(f/r) H_R⁻¹(∇L_F + λw_R) + O((f/r)²) and w(γ) − w_R = +γ H_R⁻¹∇L_F + O(γ²). "
        "So pretraining and ascent lie on opposite sides of the oracle, up to λw_R: for γ = f/r "
        "the two moves add up to −(f/r)λH_R⁻¹w_R + O((f/r)²)."
    ),
    explanation=(
        "Multiply ∇J_D by n/r. With ρ = f/r it is ∇L_R + ρ∇L_F + λ(1+ρ)w. Both problems start at "
        "the oracle, at ρ = 0 and γ = 0, with the same Hessian H_R. The solution's velocity is "
        "-H_R⁻¹ times the derivative of ∇J by ρ or by γ."
    ),
    where="Sec. 5.1, any data",
    domain=(
        "first order in f/r and in γ; λ > 0, any loss, any data with H_R invertible at w_R; mean "
        "losses"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.solve.path.ascent_path",
    theorem=Theorem(
        domain=BESIDE_ORACLE,
        hypotheses=(INVERTIBLE,),
        conclusions={
            "pretraining": limit(pretrain_error, 0, rho, 2, SMALL),
            "ascent": limit(ascent_error, 0, rho, 2, SMALL),
            "opposite, up to λw_R": limit(sum_error, 0, rho, 2, SMALL),
        },
        measure=_first_order,
        digits=40,
        points=8,
    ),
    joins=[
        smooth_solution,
        join(
            "Taylor series",
            "pretraining",
            derivatives=("(n/r) ∇J_D", "both are the oracle's at 0", "∂/∂ρ"),
            smooth="the solution is smooth in f/r and in γ",
        ),
        join(
            "Taylor series",
            "ascent",
            derivatives=("both are the oracle's at 0", "∂/∂γ"),
            smooth="the solution is smooth in f/r and in γ",
        ),
        join(
            "identity",
            "opposite, up to λw_R",
            equation=("pretraining", "ascent", "the velocities add up to -λ H_R⁻¹ w_R"),
        ),
    ],
    counterexample="data whose (w_D - w_R) r/f, as f/r -> 0, tends to something else",
)
def opposite_sides(pretrain_drift=g + ridge * w, ascent_drift=-g, sum_of_velocities=-ridge * w):
    vectors = {g: weight_gradient(L_F), w: weights}
    pretrain_gradient = (
        weight_gradient(L_R) + rho * weight_gradient(L_F) + ridge * (1 + rho) * weights
    )
    scaled = total / retain * weight_gradient(pretrain_objective)
    yield Equal("(n/r) ∇J_D", scaled, pretrain_gradient.subs(rho, forget / retain))
    ascent_gradient = weight_gradient(path_objective(gamma, ridge))
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


multiple = sp.Symbol("multiple", positive=True)
even_found, even_expected, even_of_sums, farther = sp.symbols(
    "even expected even_of_sums farther", nonnegative=True
)


def _even(data, ridge, loss, multiple, rho):
    """γ_even r/f by equal distances, also with the ridge of sums, and the distance beyond it."""
    at = path_measures.beside_oracle(data, ridge, loss, rho)
    reach = data_measures.norm(data_measures.linear_solution(at.hessian, at.slope))
    drift = data_measures.norm(
        data_measures.linear_solution(at.hessian, at.slope + ridge * at.oracle)
    )
    if drift < mpmath.sqrt(mpmath.eps) * reach:
        raise NoValue("pretraining ends at the oracle")
    parts = path_measures.split(data)

    def distance(strength):
        ascended = path_measures.on_path(parts, strength, ridge, loss, at.oracle)
        return data_measures.norm(ascended - at.oracle)

    def equal_at(target, guess):
        ends = guess, guess * (1 + rho)
        return mpmath.findroot(lambda strength: distance(strength) / target - 1, ends)

    pretrained = data_measures.norm(at.pretrained - at.oracle)
    summed = path_measures.on_path(parts, -rho, ridge, loss, at.oracle)
    even = equal_at(pretrained, rho * drift / reach)
    return {
        even_found: even / rho,
        even_expected: drift / reach,
        even_of_sums: equal_at(data_measures.norm(summed - at.oracle), rho) / rho,
        farther: distance(multiple * even) / pretrained,
    }


def _is_felt(data, ridge, loss, **_):
    parts = path_measures.split(data)
    oracle = path_measures.on_path(parts, mpmath.mpf(0), ridge, loss)
    return data_measures.norm(path_measures.forget_slope(parts, oracle, loss)) > 0


@claim(
    "break-even-first-order",
    statement=(
        "Descent-ascent is as far from the oracle as w_D at γ_even = (f/r)‖H_R⁻¹(∇L_F + "
        "λw_R)‖/‖H_R⁻¹∇L_F‖ + O((f/r)²). At c γ_even it is c times as far as w_D, up to O(f/r): "
        "farther for c > 1. If all losses are summed, γ_even = f/r + O((f/r)²)."
    ),
    explanation=(
        "By opposite-sides the two distances are (f/r)|H⁻¹(∇L_F + λw_R)| and γ|H⁻¹∇L_F| to first "
        "order. They are equal at the claimed γ. The steps are written out for H_R = [[c11, c21], "
        "[c21, c22]], whose determinant cancels. Sums have no λw_R term."
    ),
    where="Sec. 5.1, any data",
    domain=(
        "first order in f/r; λ > 0, any loss, any data with H_R invertible at w_R, ∇L_F(w_R) != 0 "
        "and w_D != w_R; mean losses unless said otherwise, γ the weight of the mean L_F"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.solve.path.ascent_path",
    theorem=Theorem(
        domain={**BESIDE_ORACLE, multiple: positive_within(1)},
        hypotheses=(INVERTIBLE, Given("∇L_F(w_R) != 0", _is_felt)),
        conclusions={
            "γ_even": limit(even_found, even_expected, rho, 1, SMALL),
            "beyond it": limit(farther, multiple, rho, 1, SMALL),
            "sums": limit(even_of_sums, 1, rho, 1, SMALL),
        },
        measure=_even,
        digits=35,
        points=5,
    ),
    joins=[
        join(
            "identity",
            "γ_even",
            equation=(
                "claim:opposite-sides",
                "given:H_R is invertible at w_R",
                "given:∇L_F(w_R) != 0",
                "|w_D - w_R|² = |w(γ) - w_R|² at γ²",
                "known:in every dimension both squares are those of the two vectors",
            ),
        ),
        join("identity", "beyond it", equation=("claim:opposite-sides", "γ_even")),
        join("identity", "sums", equation=("γ_even", "no λw_R term")),
    ],
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


slope_error, step_error, summed_error, start_distance, end_distance = sp.symbols(
    "slope_error step_error summed_error start_distance end_distance", nonnegative=True
)


def _one_step(data, ridge, loss, rho=None):
    """∇J_R at w_D, the Newton step from there, and where it ends. ``rho`` replaces f/r."""
    parts = path_measures.split(data)
    share = parts.forget_size / parts.retain_size if rho is None else rho
    at = path_measures.beside_oracle(data, ridge, loss, share)
    zero = mpmath.mpf(0)
    slope = data_measures.gradient(parts.rows, parts.of_retain, ridge, at.pretrained, loss)
    claimed = share * (
        path_measures.forget_slope(parts, at.pretrained, loss) + ridge * at.pretrained
    )
    hessian = path_measures.path_hessian(parts, zero, ridge, at.pretrained, loss)
    end = at.pretrained - data_measures.linear_solution(hessian, slope)
    return {
        slope_error: data_measures.norm(slope + claimed),
        step_error: data_measures.norm(hessian * (end - at.pretrained) - claimed),
        summed_error: _slope_of_sums(data, parts, ridge, loss),
        start_distance: _visible(data_measures.norm(at.pretrained - at.oracle)),
        end_distance: _visible(data_measures.norm(end - at.oracle)),
    }


def _slope_of_sums(data, parts, ridge, loss):
    """|∇J_R + ∇L_F| for sums, at their pretrained model."""
    sizes = data_measures.numbers(data.signed)
    trained = data_measures.stationary(parts.rows, sizes, ridge, loss)
    kept = [size if share == 0 else 0 for size, share in zip(sizes, parts.of_forget, strict=True)]
    forgotten = [size - other for size, other in zip(sizes, kept, strict=True)]
    return data_measures.norm(
        data_measures.gradient(parts.rows, kept, ridge, trained, loss)
        + data_measures.gradient(parts.rows, forgotten, mpmath.mpf(0), trained, loss)
    )


@claim(
    "newton-step-is-preconditioned-ascent",
    statement=(
        "At w_D, ∇J_R = −(f/r)(∇L_F + λw_D). So the Newton step on J_R is +(f/r) H_R⁻¹(∇L_F + "
        "λw_D): ascent on F, preconditioned by H_R⁻¹. It starts within O(f/r) of w_R and ends "
        "within O((f/r)²). If all losses are summed, ∇J_R = −∇L_F."
    ),
    explanation=(
        "Solve ∇J_D(w_D) = 0 for ∇L_R and insert it. Newton's method squares the distance to w_R, "
        "up to a factor."
    ),
    where="Sec. 5.1; certified removal",
    domain=(
        "λ > 0, any loss, any data with H_R invertible at w_R and at w_D; mean losses unless said "
        "otherwise"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.solve.minimise.newton_step",
    theorem=Theorem(
        domain=BESIDE_ORACLE,
        hypotheses=(INVERTIBLE,),
        conclusions={
            "∇J_R": Eq(slope_error, 0),
            "the step": Eq(step_error, 0),
            "its start": limit(start_distance, 0, rho, 1, SMALL),
            "its end": limit(end_distance, 0, rho, 2, SMALL),
            "sums": Eq(summed_error, 0),
        },
        measure=_one_step,
        digits=40,
        most_digits=40,
        points=8,
    ),
    joins=[
        join("identity", "∇J_R", equation="∇J_R at w_D"),
        join("identity", "the step", equation=("∇J_R", "the step is -H⁻¹∇J_R")),
        join(
            "identity",
            "its start",
            equation=("claim:opposite-sides", "given:H_R is invertible at w_R"),
        ),
        join(
            "quadratic convergence",
            "its end",
            smooth=("known:the losses are smooth", "its start"),
            nondegenerate="given:H_R is invertible at w_R",
        ),
        join("identity", "sums", equation="∇J_R of sums"),
    ],
    counterexample="w_D at which ∇J_R differs from -(f/r)(∇L_F + λw)",
)
def newton_step(retain_gradient=-forget / retain * (g + ridge * w)):
    retain_slope = sp.solve(
        (retain * gradient_retain + forget * g) / total + ridge * w, gradient_retain
    )[0]
    at_pretrained = (gradient_retain + ridge * w).subs(gradient_retain, retain_slope)
    yield Equal("∇J_R at w_D", at_pretrained, retain_gradient)
    summed = sp.solve(gradient_retain + g + ridge * w, gradient_retain)[0] + ridge * w
    yield Equal("∇J_R of sums", summed, -g)
    curvature = sp.Symbol("H", nonzero=True)
    step = forget / retain * (g + ridge * w) / curvature
    yield Equal("the step is -H⁻¹∇J_R", step, -retain_gradient / curvature)
