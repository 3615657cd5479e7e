"""Lambert W and Wright's omega (App. E.1): the identities and series that the closed forms use.

W is never simplified. Every statement is proved for z = w e^w, which is what W(z) = w means, on
each branch.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
from fractions import Fraction

import mpmath
import sympy as sp
from mpmath import mpf

from derivations.descent_ascent import scalar_measures
from derivations.ledger.domains import (
    Integers,
    OneOf,
    between,
    nonnegative,
    positive,
    real,
)
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import w
from derivations.ledger.theorems import (
    Eq,
    Ge,
    Gt,
    Iff,
    Implies,
    Lt,
    Ne,
    NoValue,
    Order,
    Theorem,
    limit,
)

above = sp.Symbol("v", positive=True)  # distance from the branch point w = -1
omega = sp.Symbol("omega", positive=True)
small, order = sp.symbols("p z", positive=True)
rest = sp.Symbol("t", real=True)  # 1 + W
count = sp.Symbol("n_0", integer=True, nonnegative=True)  # n - 1
of_w = w * sp.exp(w)


def times_own_exponential(polynomial, symbol) -> sp.Matrix:
    """The coefficients of f e^f, orders 0 to 5, for a polynomial f.

    With g = e^f, n g_n = Σ k f_k g_{n-k}. SymPy's ``series`` takes half a minute.
    """
    f = [sp.Poly(polynomial, symbol).coeff_monomial(symbol**n) for n in range(6)]
    g = [sp.exp(f[0])]
    for n in range(1, 6):
        g.append(sp.expand(sum(k * f[k] * g[n - k] for k in range(1, n + 1)) / n))
    return sp.Matrix([sp.expand(sum(f[k] * g[n - k] for k in range(n + 1))) for n in range(6)])


z_there, W_of_u, W_of_z = sp.symbols("z_w W_u W_z", real=True)
W_of_z_log_z, W_of_product, W_at_branch = sp.symbols("W_z_log_z W_product W_branch", real=True)


@scalar_measures.finely
def _values_of_w(weight, z):
    """W at w e^w, at z, at z ln z, at 2z²/W(z) and at -1/e, by bisection."""
    at_weight = weight * mpmath.exp(weight)
    at_z = scalar_measures.inverse(z, 0)
    return {
        z_there: at_weight,
        W_of_u: scalar_measures.inverse(at_weight, scalar_measures.side(weight)),
        W_of_z: at_z,
        W_of_z_log_z: scalar_measures.inverse(z * mpmath.log(z), 0),
        W_of_product: scalar_measures.inverse(2 * z**2 / at_z, 0),
        W_at_branch: scalar_measures.inverse(-mpmath.exp(mpf(-1)), 0),
    }


def _identities(*, z=0.7):
    """W(z) and z e^{-W(z)}."""
    with mpmath.workdps(30):
        value = mpmath.lambertw(z).real
        return float(value), float(z * mpmath.exp(-value))


@claim(
    "lambert-identities",
    statement=(
        "W e^W = z, e^W = z/W and ln W + W = ln z. W(u e^u) = u for u ≥ −1 (W_0) and for u ≤ −1 "
        "(W_{−1}). W(z ln z) = ln z for z ≥ 1/e; W(2z²/W(z)) = 2W(z) for z > 0; W(−1/e) = −1."
    ),
    explanation=(
        "Each is the definition at z = w e^w. W_0 and W_{-1} are the inverses because w e^w falls "
        "to the left of -1 and rises to the right."
    ),
    where="App. E.1",
    domain="z >= -1/e for W_0, -1/e <= z < 0 for W_-1; the logarithm for z > 0",
    origin="paper",
    evidence="proved",
    backs=[
        "theory_common.numerics.special.lambertw",
        "theory_common.numerics.special.lambertw_exp",
    ],
    theorem=Theorem(
        domain={w: real, order: positive},
        conclusions={
            "W(u e^u) = u": Eq(W_of_u, w),
            "W e^W = z": Eq(W_of_u * sp.exp(W_of_u), z_there),
            "e^W = z/W": Implies(Ne(w, 0), Eq(sp.exp(W_of_u), z_there / W_of_u)),
            "ln W + W = ln z": Eq(sp.log(W_of_z) + W_of_z, sp.log(order)),
            "W(z ln z) = ln z": Implies(Ge(order, sp.exp(-1)), Eq(W_of_z_log_z, sp.log(order))),
            "W(2z²/W(z)) = 2W(z)": Eq(W_of_product, 2 * W_of_z),
            "W(-1/e) = -1": Eq(W_at_branch, -1),
        },
        measure=_values_of_w,
        most_digits=60,
    ),
    joins=[
        join(
            "monotone bijection",
            "W(u e^u) = u",
            continuous="known:w e^w is continuous",
            slope=("rising for w > -1", "falling for w < -1"),
        ),
        join("definition of W", "W e^W = z", equation="W(u e^u) = u"),
        join("identity", "e^W = z/W", equation=("e^W = z/W at z = w e^w", "W e^W = z")),
        join("identity", "ln W + W = ln z", equation=("ln z, z = ω e^ω", "W e^W = z")),
        join(
            "identity",
            "W(z ln z) = ln z",
            equation=("z ln z = u e^u at u = ln z", "W(u e^u) = u"),
        ),
        join(
            "identity",
            "W(2z²/W(z)) = 2W(z)",
            equation=("2z²/W(z) = u e^u at u = 2W(z)", "W(u e^u) = u"),
        ),
        join("identity", "W(-1/e) = -1", equation=("at the branch point", "W(u e^u) = u")),
    ],
    evaluate=_identities,
    counterexample="a z at which W e^W differs from z",
)
def lambert_identities(
    exponential=of_w / w,
    logarithm=sp.log(omega) + omega,
    product=2 * omega * sp.exp(2 * omega),
    at_branch=-sp.exp(-1),
):
    yield Equal("e^W = z/W at z = w e^w", exponential, sp.exp(w))
    yield Equal("ln z, z = ω e^ω", sp.log(omega * sp.exp(omega)), logarithm)
    yield Equal(
        "2z²/W(z) = u e^u at u = 2W(z)", (2 * (omega * sp.exp(omega)) ** 2) / omega, product
    )
    logged = sp.log(order)
    yield Equal("z ln z = u e^u at u = ln z", logged * sp.exp(logged), order * sp.log(order))
    yield Equal("at the branch point", of_w.subs(w, -1), at_branch)
    yield Positive("rising for w > -1", sp.diff(of_w, w).subs(w, above - 1))
    yield Positive("falling for w < -1", -sp.diff(of_w, w).subs(w, -above - 1))


first_found, second_found = sp.symbols("first second", real=True)


def _derivatives_of_w(weight):
    """W' and W'' at z = w e^w, by difference quotients of the bisected inverse."""

    def inverse(z):
        return scalar_measures.inverse(z, scalar_measures.side(weight))

    at = weight * mpmath.exp(weight)
    return {
        first_found: scalar_measures.derivative(inverse, at),
        second_found: scalar_measures.derivative(inverse, at, 2),
    }


def _concave(*, z=0.7, step=0.1):
    """W at the middle of z ± step against the mean of W at the ends."""
    with mpmath.workdps(30):
        low, middle, high = (mpmath.lambertw(z + shift * step).real for shift in (-1, 0, 1))
        return float(middle), float((low + high) / 2)


@claim(
    "lambert-monotone",
    statement=(
        "W_0 increases and is concave, and W_{−1} decreases: W′ = e^{−W}/(1+W) and W″ = "
        "−e^{−2W}(2+W)/(1+W)³."
    ),
    explanation="These are the derivatives of the inverse of z = w e^w: 1/z' and -z''/z'³.",
    where="App. E.1",
    domain="z > -1/e (W_0), -1/e < z < 0 (W_-1)",
    origin="paper",
    evidence="proved",
    backs="theory_common.numerics.special.lambertw",
    theorem=Theorem(
        domain={w: real},
        hypotheses=(Ne(w, -1),),
        conclusions={
            "W'": Eq(first_found, sp.exp(-w) / (1 + w)),
            "W''": Eq(second_found, -sp.exp(-2 * w) * (2 + w) / (1 + w) ** 3),
            "W_0 increases, W_-1 decreases": Iff(Gt(1 / first_found, 0), Gt(w, -1)),
            "W_0 is concave": Implies(Gt(w, -1), Lt(1 / second_found, 0)),
        },
        measure=_derivatives_of_w,
        points=15,
    ),
    joins=[
        join("identity", "W'", equation=("slope of the inverse", "claim:lambert-derivative")),
        join("identity", "W''", equation=("W'' = (dW'/dw) W'", "W'")),
        join(
            "sign",
            "W_0 increases, W_-1 decreases",
            sign=("W'", "W_0 rises: w > -1", "W_-1 falls: w < -1"),
        ),
        join("sign", "W_0 is concave", sign=("W''", "its second derivative is negative")),
    ],
    relation=">=",
    evaluate=_concave,
    counterexample="z < z' with W_0(z) >= W_0(z'), or a chord of W_0 above its graph",
)
def lambert_monotone(first=sp.exp(-w) / (1 + w), second=-sp.exp(-2 * w) * (2 + w) / (1 + w) ** 3):
    slope = sp.diff(of_w, w)
    yield Equal("slope of the inverse", 1 / slope, first)
    yield Equal("W'' = (dW'/dw) W'", sp.diff(1 / slope, w) / slope, second)
    yield Positive("W_0 rises: w > -1", first.subs(w, above - 1))
    yield Positive("its second derivative is negative", -second.subs(w, above - 1))
    yield Positive("W_-1 falls: w < -1", -first.subs(w, -above - 1))


number = sp.Symbol("n", integer=True, positive=True)
scale = sp.Symbol("p_0", positive=True)  # |p|
sheet = sp.Symbol("sheet", real=True)  # 1 for W_0, -1 for W_-1
part = sp.Symbol("part", real=True)  # e z, the share of the radius of convergence
coefficient, partial_sum = sp.symbols("coefficient partial_sum", real=True)
MOST_TERMS = 1500


@functools.lru_cache
def coefficients_at_zero(most: int) -> tuple[Fraction, ...]:
    """The series of W up to z^most, from W = z e^-W one order after the other.

    With E = e^-W, n E_n = -Σ k W_k E_{n-k}.
    """
    found, exponential = [Fraction(0)], [Fraction(1)]
    for n in range(1, most + 1):
        found.append(exponential[n - 1])
        total = sum(k * found[k] * exponential[n - k] for k in range(1, n + 1))
        exponential.append(-total / n)
    return tuple(found)


def _series_of_w(n, part, sheet, p_0=None):
    """Exact coefficients, a partial sum of the series at z = part/e, W by bisection."""
    if p_0 is not None:
        z = (p_0**2 / 2 - 1) / mpmath.e
        return {small: sheet * p_0, W_of_z: _inverse_finely(z, 0 if sheet > 0 else -1)}
    z = part / mpmath.e
    return {
        coefficient: coefficients_at_zero(int(n))[int(n)],
        partial_sum: _sum_of_series(z),
        W_of_z: _inverse_finely(z, 0),
    }


def _sum_of_series(z):
    """Σ (-n z)^{n-1} z/n!, term by term from the last one's ratio, until it settles."""
    total, size = z, z
    for n in range(1, MOST_TERMS):
        size *= -z * (1 + mpf(1) / n) ** (n - 1)
        total += size
        if abs(size) <= mpmath.eps * abs(total):
            return total
        if abs(size) > 1:
            break
    raise NoValue("the series does not settle")


_inverse_finely = scalar_measures.finely(scalar_measures.inverse)


@claim(
    "lambert-series",
    statement=(
        "At 0, W_0(z) = z − z² + (3/2)z³ − (8/3)z⁴ + (125/24)z⁵ − …, with coefficients "
        "(−n)^{n−1}/n! for every n ≥ 1. At the branch point, W = −1 + p − p²/3 + (11/72)p³ − "
        "(43/540)p⁴ + O(p⁵)."
    ),
    explanation=(
        "By Cauchy's formula the coefficient of zⁿ is the residue of W/z^{n+1} dz. At z = w e^w "
        "this is the residue of (1+w) e^{-nw}/wⁿ dw, which is the sum of two coefficients of "
        "e^{-nw}. The ratio of successive coefficients tends to e, so the series converges for |z| "
        "< 1/e. Its first five terms are inserted into w e^w as a check.\n\n"
        "At the branch point ez + 1 = p²/2. Inserted into w e^w, the series gives z up to the next "
        "order. As a function of w + 1, p is smooth with slope 1 at 0, so it has one inverse."
    ),
    where="App. E.1",
    domain=(
        "|z| < 1/e (W_0 at 0); |p| small, p = √(2(ez+1)) for W_0, -p for W_-1 (at the branch point)"
    ),
    origin="paper",
    evidence="proved",
    backs=[
        "theory_common.numerics.special.lambertw",
        "theory_common.numerics.special.lambertw_plus_one",
    ],
    theorem=Theorem(
        domain={
            number: Integers(1, 30),
            part: between(-1, 1, decades=1),  # nearer to the ends the sum settles too slowly
            sheet: OneOf((1, -1)),
        },
        conclusions={
            "coefficients": Eq(coefficient, (-number) ** (number - 1) / sp.factorial(number)),
            "the series at 0": Eq(partial_sum, W_of_z),
            "the series at the branch point": Order(
                W_of_z - (-1 + small - small**2 / 3 + 11 * small**3 / 72 - 43 * small**4 / 540),
                scale,
                sp.Integer(5),
                at=("1e-2", "1e-3"),
            ),
        },
        measure=_series_of_w,
        most_digits=60,
        points=15,
    ),
    joins=[
        join(
            "series",
            "coefficients",
            terms=(
                "W dz/z^{n+1} at z = w e^w",
                "|coefficient| of (1+w) e^{-nw} at w^{n-1}, n >= 2",
                "n = 1: the coefficient of w⁰",
                "coefficients (-n)^{n-1}/n!",
                "w e^w - z = O(z⁶)",
            ),
            analytic="known:the inverse of an analytic function with slope 1 at 0 is analytic",
        ),
        join(
            "series",
            "the series at 0",
            terms=("coefficients", "ratio of successive coefficients", "its limit"),
            analytic="known:the sum is analytic where the ratio test gives convergence",
        ),
        join(
            "series",
            "the series at the branch point",
            terms="e w e^w = -1 + p²/2 + O(p⁵)",
            analytic="known:p is an analytic function of w + 1 with slope 1 at 0",
        ),
    ],
    counterexample="an order at which the series inserted into w e^w does not give z",
)
def lambert_series(
    at_zero=order - order**2 + 3 * order**3 / 2 - 8 * order**4 / 3 + 125 * order**5 / 24,
    at_branch=-1 + small - small**2 / 3 + 11 * small**3 / 72 - 43 * small**4 / 540,
    of_order=(count + 1) ** count / sp.factorial(count + 1),
):
    n = count + 1
    yield Equal(
        "W dz/z^{n+1} at z = w e^w",
        w * sp.diff(of_w, w) / of_w ** (n + 1),
        (1 + w) * sp.exp(-n * w) / w**n,
    )
    # Coefficients of e^{-nw}, without their signs (-1)^{n-1} and (-1)^{n-2}.
    residue = n ** (n - 1) / sp.factorial(n - 1) - n ** (n - 2) / sp.factorial(n - 2)
    yield Equal("|coefficient| of (1+w) e^{-nw} at w^{n-1}, n >= 2", residue, of_order)
    yield Equal("n = 1: the coefficient of w⁰", of_order.subs(count, 0), 1)
    ratio = of_order.subs(count, count + 1) / of_order
    yield Equal("ratio of successive coefficients", ratio, (1 + 1 / n) ** (n - 1))
    yield Equal("its limit", sp.limit((1 + 1 / omega) ** (omega - 1), omega, sp.oo), sp.E)
    lagrange = sum((-n) ** (n - 1) * order**n / sp.factorial(n) for n in range(1, 6))
    yield Equal("coefficients (-n)^{n-1}/n!", at_zero, lagrange)
    yield Equal(
        "w e^w - z = O(z⁶)", times_own_exponential(at_zero, order), sp.Matrix([0, 1, 0, 0, 0, 0])
    )
    inserted = times_own_exponential(at_branch, small)[:5, 0] * sp.E
    yield Equal(
        "e w e^w = -1 + p²/2 + O(p⁵)", inserted, sp.Matrix([-1, 0, sp.Rational(1, 2), 0, 0])
    )


argument = sp.Symbol("u", real=True)
roots, wright, slope_found = sp.symbols("roots wright slope", real=True)


def _wright(u):
    """W_0(e^u), the number of roots of ω + ln ω = u, and the slope of W_0(e^u) in u."""

    def value(at):
        return scalar_measures.inverse(mpmath.exp(at), 0)

    sizes = scalar_measures.both_signs(abs(u) + 2)
    grid = [mpmath.exp(size) for size in sizes]
    return {
        wright: value(u),
        roots: scalar_measures.sign_changes(lambda v: v + mpmath.log(v) - u, grid),
        slope_found: scalar_measures.derivative(value, u),
    }


@claim(
    "wright-omega",
    statement=(
        "ω(u) = W_0(e^u) is the only root of ω + ln ω = u. Its slope ω′ = ω/(1+ω) lies in (0, 1)."
    ),
    explanation=(
        "Take logarithms of ω e^ω = e^u. ω + ln ω rises from -oo to oo. So ω is computed without "
        "the large number e^u."
    ),
    where="App. E.1, in logarithms",
    domain="u real",
    origin="reconstructed",
    evidence="proved",
    backs=[
        "theory_common.numerics.special.wright_omega",
        "theory_common.numerics.special.lambertw_exp",
    ],
    theorem=Theorem(
        domain={argument: real},
        conclusions={
            "root": Eq(wright + sp.log(wright), argument),
            "one root": Eq(roots, 1),
            "slope": Eq(slope_found, wright / (1 + wright)),
            "slope in (0, 1)": Gt(1 / slope_found, 1),
        },
        measure=_wright,
        points=12,
    ),
    joins=[
        join(
            "monotone bijection",
            "one root",
            continuous="known:ω + ln ω is continuous, from -oo to oo",
            slope="ω + ln ω rises",
        ),
        join(
            "definition of W",
            "root",
            equation=("logarithm of ω e^ω = e^u", "claim:lambert-identities"),
        ),
        join(
            "implicit function",
            "slope",
            jacobian=("ω + ln ω rises", "ω' = 1/(1 + 1/ω)"),
            smooth="known:ω + ln ω is smooth for ω > 0",
        ),
        join("sign", "slope in (0, 1)", sign=("slope", "ω'", "1 - ω'")),
    ],
    counterexample="u at which ω + ln ω differs from u",
)
def wright_omega(defining=omega + sp.log(omega), derivative=omega / (1 + omega)):
    yield Equal("logarithm of ω e^ω = e^u", sp.log(omega * sp.exp(omega)), defining)
    yield Equal("ω' = 1/(1 + 1/ω)", 1 / sp.diff(defining, omega), derivative)
    yield Positive("ω + ln ω rises", sp.diff(defining, omega))
    yield Positive("ω'", derivative)
    yield Positive("1 - ω'", 1 - derivative)


gap_size = sp.Symbol("gap", real=True)
found, small_gap = sp.symbols("w_g g_0", real=True)


def _gap_of_w(gap, sheet, g_0=None):
    """W(-e^{-1-g}) by bisection, and its slope in g by a difference quotient."""

    def value(at):
        return _inverse_finely(-mpmath.exp(-1 - at), 0 if sheet > 0 else -1)

    if g_0 is not None:
        return {found: value(g_0)}
    slope = scalar_measures.derivative(value, gap) if gap > 0 else mpmath.nan
    return {found: value(gap), slope_found: slope}


@claim(
    "lambert-gap",
    statement=(
        "1 + W(−e^{−1−g}) is the root t of −t − ln(1−t) = g, with slope dt/dg = 1/t − 1. Near 0, t "
        "~ √(2g) on W_0 and t ~ −√(2g) on W_{−1}."
    ),
    explanation=(
        "Take logarithms of w e^w = -e^{-1-g} at w = t - 1. The function g has its minimum 0 at t "
        "= 0 and rises to both sides, so each branch has one t."
    ),
    where="App. E.1, below the branch point",
    domain="gap g >= 0 (its slope: g > 0); t in [0, 1) on W_0, t <= 0 on W_-1",
    origin="reconstructed",
    evidence="proved",
    backs=[
        "theory_common.numerics.special.lambertw_from_gap",
        "theory_common.numerics.special.lambertw_plus_one_from_gap",
    ],
    theorem=Theorem(
        domain={gap_size: nonnegative, sheet: OneOf((1, -1))},
        conclusions={
            "equation": Eq(-(1 + found) - sp.log(-found), gap_size),
            "side": Ge(sheet * (1 + found), 0),
            "slope": Implies(Gt(gap_size, 0), Eq(slope_found, 1 / (1 + found) - 1)),
            "near 0": limit(
                (1 + found) / sp.sqrt(2 * small_gap),
                sheet,
                small_gap,
                power=sp.Rational(1, 2),
                at=("1e-6", "1e-8"),
            ),
        },
        measure=_gap_of_w,
        most_digits=60,
    ),
    joins=[
        join(
            "monotone bijection",
            ("side", "one root on each side of 0"),
            continuous="known:-t - ln(1 - t) is continuous for t < 1, and 0 at t = 0",
            slope=("g rises for t > 0", "g falls for t < 0", "given:gap in [0, oo)"),
        ),
        join(
            "definition of W",
            "equation",
            equation=("ln(-w) + w = -1 - g", "one root on each side of 0"),
        ),
        join(
            "implicit function",
            "slope",
            jacobian=("dt/dg", "equation"),
            smooth="known:-t - ln(1 - t) is smooth for t < 1",
        ),
        join(
            "series",
            "near 0",
            terms=("g at t = 0, up to order 2", "equation", "side"),
            analytic="known:-t - ln(1 - t) is analytic at 0",
        ),
    ],
    counterexample="a gap at which 1 + W(-e^(-1-gap)) is no root of -t - ln(1 - t) = gap",
)
def lambert_gap(gap=-rest - sp.log(1 - rest), slope=1 / rest - 1, near=rest**2 / 2):
    yield Equal("ln(-w) + w = -1 - g", (sp.log(1 - rest) + rest - 1) + 1, -gap)
    yield Equal("dt/dg", sp.diff(gap, rest) * slope, 1)
    yield Equal("g at t = 0, up to order 2", sp.series(gap, rest, 0, 3).removeO(), near)
    yield Positive("g rises for t > 0", sp.diff(gap, rest).subs(rest, small / (1 + small)))
    yield Positive("g falls for t < 0", -sp.diff(gap, rest).subs(rest, -small))
