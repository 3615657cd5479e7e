"""The logistic cusp κ_c(ε) for almost orthogonal and for almost equal samples.

At the cusp (cusp-condition) the margins x, y solve ``det H = 0`` and
``h_u tanh(x/2) θ³ = h_v tanh(y/2)``. Here h_u = Pσ(x), h_v = Qσ(y), P and Q are the duals, and
θ = 2ε/(s + q h_u). Then A/λ = P(1 + e^x) and B/λ = Q(1 + e^y). P grows without bound as ε -> 0 and
as ε -> 1. Scaled by that growth the equations are smooth in the limit, with a nondegenerate root.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
from collections.abc import Mapping

import mpmath
import sympy as sp

from derivations.descent_ascent import cusp_numbers
from derivations.ledger.certificates import Root, digits_of
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal
from derivations.ledger.symbols import P, Q, epsilon, q, s
from derivations.ledger.theorems import Eq, Order, Printed, Theorem, limit

rho, gap = sp.symbols("rho d", positive=True)  # the scaled P; 1 - ε
level = sp.Symbol("varsigma", positive=True)  # σ(y), so that tanh(y/2) = 2ς - 1
y, z = sp.symbols("y z", real=True)
flat = sp.Symbol("E", nonnegative=True)  # e^{-x}
h_u, h_v, t_x, t_y = sp.symbols("h_u h_v t_x t_y", real=True)  # t = tanh of half a margin

fold = 1 + s * h_u - s * h_v - q * h_u * h_v
theta = 2 * epsilon / (s + q * h_u)
third = h_u * t_x * theta**3 - h_v * t_y


def sigma(margin):
    """1/(1 + e^-margin)."""
    return 1 / (1 + sp.exp(-margin))


def tanh_half(margin):
    """tanh(margin/2)."""
    return (1 - sp.exp(-margin)) / (1 + sp.exp(-margin))


# Almost orthogonal: P = ρ/ε, so that x grows like 1/ε, and Q = (2ρ - y)/s from y = 2εP - sQ.
orthogonal_forget = (2 * rho - y) / s
orthogonal = {
    h_u: rho / epsilon / (1 + flat),
    h_v: orthogonal_forget * level,
    t_x: (1 - flat) / (1 + flat),
    t_y: 2 * level - 1,
}
scaled_belief = (s**2 - s * epsilon + sp.sqrt((s**2 - s * epsilon) ** 2 + 4 * q * s * epsilon)) / (
    2 * q
)


def _solved(equations, unknowns, start, correlation, digits):
    """The root of a scaled system at one correlation, in ``digits`` digits."""
    with mpmath.workdps(digits):
        functions = [
            sp.lambdify(unknowns, equation.subs(epsilon, sp.Rational(str(correlation))), "mpmath")
            for equation in equations
        ]
        return mpmath.findroot(lambda *at: [function(*at) for function in functions], start)


def _closed_form(*, correlation=1e-3):
    """ln(A/λ) at the cusp, from both equations, and by the quadratic."""
    x = s * rho / epsilon - 2 * epsilon * orthogonal_forget
    exact = {
        symbol: value.subs({flat: sp.exp(-x), level: sigma(y)})
        for symbol, value in orthogonal.items()
    }
    equations = (epsilon * fold.subs(exact), third.subs(exact) / epsilon**5)
    point = {epsilon: sp.Rational(str(correlation))}
    start = float(scaled_belief.subs(point)), 16 * float(correlation) ** 5
    found = dict(zip((rho, y), _solved(equations, (rho, y), start, correlation, 40), strict=True))
    explicit = {rho: scaled_belief.subs(point), y: 0}
    value = sp.log(rho / epsilon) + sp.log(1 + sp.exp(x))
    return tuple(float(value.subs(at).subs(point).evalf(30)) for at in (found, explicit))


measured_retain, measured_forget = sp.symbols("A_ratio B_ratio", positive=True)


def cusp_near_zero(correlation=mpmath.mpf("0.1")) -> Mapping:
    """A/λ and B/λ at the cusp, by differences along the curve of stationary points."""
    start = 1 / correlation, 16 * correlation**5
    found = cusp_numbers.cusp(correlation, start)
    return {measured_retain: found.retain, measured_forget: found.forget}


def _closed_value() -> sp.Expr:
    """ln(P(1 + e^x)) of the closed form."""
    x = (s * rho / epsilon - 4 * epsilon * rho / s).subs(rho, scaled_belief)
    return sp.log(scaled_belief / epsilon) + sp.log(1 + sp.exp(x))


NEAR_ZERO = ("0.05", "0.025")


@claim(
    "logistic-cusp-closed-form",
    statement=(
        "Let P = ρ/ε with qρ² + (sε − s²)ρ − sε = 0, and x = sρ/ε − 4ερ/s. As ε → 0, κ_c = P(1 + "
        "e^x) up to a factor 1 + O(ε⁴). So ln κ_c = 1/ε − ln ε + ε + O(ε⁴), and there B/λ = 4 + "
        "12ε² + O(ε³)."
    ),
    explanation=(
        "In (ρ, y) the equations are smooth in ε >= 0, since e^{-x} ~ e^{-1/ε} is flat. At ε = 0 "
        "they have the root (1, 0), with an invertible Jacobian. The inhomogeneous term of the "
        "third-derivative condition is 8ε⁵. So y = 16ε⁵ + …, and up to that order det H = 0 is the "
        "quadratic equation for ρ."
    ),
    where="Sec. 5.1.2, the true loss, ε -> 0",
    domain=(
        "logistic loss, the paper's types; the branch of cusps with y -> 0 (that there is no other "
        "is not claimed)"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.cusp",
    theorem=Theorem(
        domain={},
        conclusions={
            "the closed form": Order(
                sp.log(measured_retain) - _closed_value(), epsilon, sp.Integer(4), NEAR_ZERO
            ),
            "ln κ_c": Order(
                sp.log(measured_retain) - (1 / epsilon - sp.log(epsilon) + epsilon),
                epsilon,
                sp.Integer(4),
                NEAR_ZERO,
            ),
            "B/λ": Order(measured_forget - 4 - 12 * epsilon**2, epsilon, sp.Integer(3), NEAR_ZERO),
        },
        measure=cusp_near_zero,
        digits=20,
        most_digits=20,
    ),
    joins=[
        join(
            "implicit function",
            "a branch of cusps with y = 16ε⁵ + …",
            jacobian=("both vanish at (1, 0)", "the Jacobian's determinant there", "y over ε⁵"),
            smooth=(
                "det H and third derivative at ε = 0",
                "e^{-1/ε} is flat: e^{-1/ε}/ε^k -> 0",
                "claim:cusp-condition",
                "claim:dual-masses",
            ),
        ),
        join(
            "series",
            "the closed form",
            terms=("det H at y = 0", "its root", "x = sP - 2εQ at y = 0"),
            analytic="a branch of cusps with y = 16ε⁵ + …",
        ),
        join(
            "series",
            ("ln κ_c", "B/λ"),
            terms=("ln(A/λ) = ln P + x + flat, up to ε³", "B/λ = Q(1 + e^y), up to ε²"),
            analytic="the closed form",
        ),
    ],
    evaluate=_closed_form,
    counterexample="correlations at which (ln κ_c - closed form)/ε⁴ is unbounded as ε -> 0",
)
def cusp_closed_form(
    quadratic=q * rho**2 + (s * epsilon - s**2) * rho - s * epsilon,
    margin=s * rho / epsilon - 4 * epsilon * rho / s,
    log_series=1 / epsilon - sp.log(epsilon) + epsilon,
    forget_series=4 + 12 * epsilon**2,
    forget_margin=16 * epsilon**5,
):
    limits, source, at_rest, log_retain, forget = _orthogonal()
    yield Equal(
        "e^{-1/ε} is flat: e^{-1/ε}/ε^k -> 0",
        sp.limit(sp.exp(-1 / epsilon) / epsilon**7, epsilon, 0, "+"),
        0,
    )
    forget_decay = (2 * rho - y) * level  # h_v
    yield Equal(
        "det H and third derivative at ε = 0",
        limits,
        sp.Matrix([1 - forget_decay, (1 - 2 * level) * forget_decay]),
    )
    in_margins = limits.subs(level, sigma(y))
    root = {rho: 1, y: 0}
    yield Equal("both vanish at (1, 0)", in_margins.subs(root), sp.zeros(2, 1))
    jacobian = in_margins.jacobian([rho, y]).subs(root)
    yield Equal("the Jacobian's determinant there", jacobian.det(), sp.Rational(1, 2))
    yield Equal("y over ε⁵", -source / jacobian[1, 1], forget_margin / epsilon**5)
    yield Equal("det H at y = 0", at_rest, -quadratic / (s * rho))
    yield Equal("its root", quadratic.subs(rho, scaled_belief), 0)
    yield Equal(
        "x = sP - 2εQ at y = 0",
        (s * P - 2 * epsilon * Q).subs({P: rho / epsilon, Q: orthogonal_forget}).subs(y, 0),
        margin,
    )
    yield Equal("ln(A/λ) = ln P + x + flat, up to ε³", log_retain, log_series)
    yield Equal("B/λ = Q(1 + e^y), up to ε²", forget, forget_series)


@functools.cache
def _orthogonal():
    """The scaled equations at ε = 0, and series in ε.

    The series are those of the inhomogeneous term for y over ε⁵, det H at y = 0, ln(A/λ) and B/λ.
    """
    scaled = [
        sp.cancel(expression.subs(orthogonal).subs(flat, 0))
        for expression in (epsilon * fold / rho, third)
    ]
    at_rest = {y: 0, level: sp.Rational(1, 2)}
    source = sp.cancel(scaled[1].subs(at_rest) / epsilon**5).subs(epsilon, 0).subs(rho, 1)
    belief = sp.series(scaled_belief, epsilon, 0, 6).removeO()
    margin = (s * rho / epsilon - 4 * epsilon * rho / s).subs(rho, belief)
    finite = sp.series(sp.log(belief) + sp.cancel(margin - 1 / epsilon), epsilon, 0, 4).removeO()
    forget = sp.series(
        (2 * orthogonal_forget).subs(y, 0).subs(rho, belief), epsilon, 0, 3
    ).removeO()
    limits = sp.Matrix([expression.subs(epsilon, 0) for expression in scaled])
    return (
        limits,
        source,
        scaled[0].subs(at_rest),
        sp.expand(finite) + 1 / epsilon - sp.log(epsilon),
        sp.expand(forget),
    )


# Almost equal: P = ρ/d with d = 1 - ε, Q from y = 2εP - sQ; then x = sP - 2εQ.
near_one = {epsilon: 1 - gap}
equal_forget = (2 * epsilon * rho / gap - y) / s
equal_margin = (q * rho / gap + 2 * epsilon * y) / s
equal = {
    h_u: rho / gap * sigma(equal_margin),
    h_v: equal_forget * sigma(y),
    t_x: tanh_half(equal_margin),
    t_y: tanh_half(y),
}
LIMIT = ("0.61984377015799826734", "1.34016250123905592281")  # z, ρ


@functools.cache
def limit_place() -> tuple[tuple[sp.Expr, sp.Expr], tuple[str, ...]]:
    """The equations at ε = 1 in (z, ρ), and their root in 34 digits."""
    equations = tuple(
        equation.subs(level, sigma(z)) for equation in (_limit_fold(), _limit_third())
    )
    with mpmath.workdps(40):
        start = [mpmath.mpf(value) for value in LIMIT]
        found = mpmath.findroot(sp.lambdify((z, rho), equations, "mpmath"), start)
        return equations, tuple(mpmath.nstr(coordinate, 34) for coordinate in found)


def _limit_fold():
    return 1 + z * level + 4 * rho**2 * level * (1 - level) - 4 * rho**2 * level**2


def _limit_third():
    return 4 * rho**2 * level**2 * (2 - 3 * level) - (2 * level - 1) / 2


constant_seen, belief_seen = sp.symbols("constant rho_1", positive=True)
margin_seen = sp.Symbol("z_1", real=True)
CLOSE = mpmath.mpf("1e-18")  # to 1, where limits are extrapolated


def scaled_cusp(to_one) -> tuple:
    """(1-ε)A/λ, (1-ε)B/λ, y and (1-ε)P at the cusp, by differences along the curve."""
    correlation = 1 - to_one
    own, cross = 1 + correlation**2, 2 * correlation
    retain_dual, y_start = mpmath.mpf("1.34") / to_one, mpmath.mpf("0.62")
    forget_dual = (cross * retain_dual - y_start) / own
    start = own * retain_dual - cross * forget_dual, y_start
    found = cusp_numbers.cusp(correlation, start, scale=1 / to_one)
    return (
        to_one * found.retain,
        to_one * found.forget,
        found.y,
        to_one * found.retain_dual,
    )


@functools.cache
def extrapolated_cusp(digits: int) -> Mapping:
    """The limits as ε -> 1, from two correlations: the error is of their distance squared."""
    with mpmath.workdps(digits):
        far, near = scaled_cusp(CLOSE), scaled_cusp(CLOSE / 2)
        constant, _, margin, belief = (2 * b - a for a, b in zip(far, near, strict=True))
    return {constant_seen: constant, margin_seen: margin, belief_seen: belief}


def cusp_close_to_one(d=None) -> Mapping:
    """The limits, and with ``d`` the scaled masses at ε = 1 - d."""
    found = dict(extrapolated_cusp(mpmath.mp.dps))
    if d is not None:
        retain, forget, _, _ = scaled_cusp(d)
        found |= {measured_retain: retain, measured_forget: forget}
    return found


CONSTANT = "3.83103897578526081"


def _near_one(*, gap_to_one=1e-14):
    """(1 - ε) A/λ at the cusp, and its limit."""
    with mpmath.workdps(60):
        return float(scaled_cusp(mpmath.mpf(str(gap_to_one)))[0]), float(CONSTANT)


level_seen = 1 / (1 + sp.exp(-margin_seen))


@claim(
    "logistic-cusp-near-one",
    statement=(
        "As ε → 1, (1−ε)κ_c → 3.83103897578526081, and (1−ε)B/λ has the same limit. It is ρ(1 "
        "+ e^z), where ς = σ(z) solves (2ς−1)² = 2ς(2−3ς)(1 + zς) and ρ² = (2ς−1)/(8ς²(2−3ς))."
    ),
    explanation=(
        "With P = ρ/(1-ε) both margins tend to z = y, and their difference is 2(1-ε)ρ + …. Both "
        "equations are smooth in ε up to 1. With d = 1 - ε, d times each equation vanishes at d = "
        "0, so each limit is a derivative there. At the root of the limit the Jacobian is "
        "invertible, by the Krawczyk test."
    ),
    where="Sec. 5.1.2, the true loss, ε -> 1",
    domain=(
        "logistic loss, the paper's types; a branch of cusps (that there is no other is not "
        "claimed)"
    ),
    origin="new",
    evidence="certified",
    backs="gda_theory.pair.cusp",
    theorem=Theorem(
        domain={},
        conclusions={
            "κ_c": limit(measured_retain, sp.Rational(CONSTANT), gap, 1, ("1e-8", "1e-10")),
            "B/λ": limit(measured_forget, sp.Rational(CONSTANT), gap, 1, ("1e-8", "1e-10")),
            "the constant": Printed(constant_seen, CONSTANT),
            "ρ(1 + e^z)": Eq(constant_seen, belief_seen * (1 + sp.exp(margin_seen))),
            "ς": Eq(
                (2 * level_seen - 1) ** 2,
                2 * level_seen * (2 - 3 * level_seen) * (1 + margin_seen * level_seen),
            ),
            "ρ": Eq(
                belief_seen**2,
                (2 * level_seen - 1) / (8 * level_seen**2 * (2 - 3 * level_seen)),
            ),
        },
        measure=cusp_close_to_one,
        digits=60,
        most_digits=60,
    ),
    joins=[
        join("Krawczyk", "one limit", box="one root in the box, and the constant"),
        join(
            "implicit function",
            ("κ_c", "B/λ"),
            jacobian="one limit",
            smooth=(
                "claim:cusp-condition",
                "x, without 1/d",
                "d times det H",
                "d times third derivative",
                "det H: at d = 0 it vanishes",
                "third derivative: at d = 0 it vanishes",
                "det H at ε = 1",
                "third derivative at ε = 1",
                "d Q and x at d = 0",
            ),
        ),
        join("enclosure", ("the constant", "ρ(1 + e^z)"), ball=("κ_c", "one limit")),
        join(
            "identity",
            ("ς", "ρ"),
            equation=("κ_c", "ρ² from the third derivative", "det H with it"),
        ),
    ],
    evaluate=_near_one,
    counterexample="correlations near 1 at which (1-ε) κ_c tends to another number",
)
def cusp_near_one(
    fold_limit=_limit_fold(),
    third_limit=_limit_third(),
    eliminated=(2 * level - 1) ** 2 - 2 * level * (2 - 3 * level) * (1 + z * level),
    constant=sp.Rational(CONSTANT),
):
    scaled_h_u, scaled_h_v = sp.symbols("U V", positive=True)  # d h_u and d h_v
    over = (2 - gap) ** 2 * gap  # q/d
    smooth = {
        "det H": gap + s * scaled_h_u - s * scaled_h_v - over * scaled_h_u * scaled_h_v,
        "third derivative": scaled_h_u * t_x * (2 * epsilon / (s + over * scaled_h_u)) ** 3
        - scaled_h_v * t_y,
    }
    duals = {h_u: scaled_h_u / gap, h_v: scaled_h_v / gap}
    margin = (over * rho + 2 * epsilon * y) / s
    yield Equal("x, without 1/d", equal_margin.subs(near_one), margin.subs(near_one))
    inside = {
        scaled_h_u: rho * sigma(margin),
        scaled_h_v: (2 * epsilon * rho - gap * y) / s * sigma(y),
        t_x: tanh_half(margin),
        t_y: tanh_half(y),
    }
    # The difference h_u - h_v that det H leaves is put into the third derivative.
    limits = fold_limit, third_limit + (2 * level - 1) * fold_limit / 2
    for (name, cleared), expression, claimed in zip(
        smooth.items(), (fold, third), limits, strict=True
    ):
        yield Equal(
            f"d times {name}", gap * expression.subs(duals).subs(near_one), cleared.subs(near_one)
        )
        along = cleared.subs(inside).subs(near_one)
        yield Equal(f"{name}: at d = 0 it vanishes", along.subs(gap, 0), 0)
        yield Equal(
            f"{name} at ε = 1",
            sp.diff(along, gap).subs(gap, 0),
            claimed.subs(level, sigma(y)).subs(z, y),
        )
    squared = (2 * level - 1) / (8 * level**2 * (2 - 3 * level))
    yield Equal("ρ² from the third derivative", third_limit.subs(rho, sp.sqrt(squared)), 0)
    leading = -2 * level * (2 - 3 * level)
    yield Equal("det H with it", fold_limit.subs(rho, sp.sqrt(squared)) * leading, eliminated)
    yield Equal(
        "d Q and x at d = 0",
        sp.Matrix([sp.cancel(gap * equal_forget), margin]).subs(near_one).subs(gap, 0),
        sp.Matrix([rho, y]),
    )
    equations, centre = limit_place()
    printed = {"(1-ε)κ_c": (rho * (1 + sp.exp(z)), digits_of(constant, len(CONSTANT) - 1))}
    text = "one root in the box, and the constant"
    yield Root(text, equations, (z, rho), centre, "1e-20", printed)
