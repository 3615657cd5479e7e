"""Lambert W and Wright's omega (App. E.1): the identities and series that the closed forms use.

W is never simplified. Every statement is proved for z = w e^w, which is what W(z) = w means, on
each branch.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import sympy as sp

from derivations.ledger.ledger import claim
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import w

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
    rules=["definition of W", "monotone bijection"],
    evaluate=_identities,
    counterexample="a z at which W e^W differs from z",
)
def lambert_identities(
    exponential=of_w / w,
    logarithm=sp.log(omega) + omega,
    product=2 * omega * sp.exp(2 * omega),
    at_branch=-sp.exp(-1),
):
    yield Equal("e^W = z/W", exponential, sp.exp(w))
    yield Equal("ln z, z = ω e^ω", sp.log(omega * sp.exp(omega)), logarithm)
    yield Equal(
        "2z²/W(z) = u e^u at u = 2W(z)", (2 * (omega * sp.exp(omega)) ** 2) / omega, product
    )
    logged = sp.log(order)
    yield Equal("z ln z = u e^u at u = ln z", logged * sp.exp(logged), order * sp.log(order))
    yield Equal("at the branch point", of_w.subs(w, -1), at_branch)
    yield Positive("rising for w > -1", sp.diff(of_w, w).subs(w, above - 1))
    yield Positive("falling for w < -1", -sp.diff(of_w, w).subs(w, -above - 1))


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
    rules=["definition of W", "monotone bijection"],
    relation=">=",
    evaluate=_concave,
    counterexample="z < z' with W_0(z) >= W_0(z'), or a chord of W_0 above its graph",
)
def lambert_monotone(first=sp.exp(-w) / (1 + w), second=-sp.exp(-2 * w) * (2 + w) / (1 + w) ** 3):
    slope = sp.diff(of_w, w)
    yield Equal("W'", 1 / slope, first)
    yield Equal("W'' = (dW'/dw) W'", sp.diff(1 / slope, w) / slope, second)
    yield Positive("W_0 rises: w > -1", first.subs(w, above - 1))
    yield Positive("W_0 is concave", -second.subs(w, above - 1))
    yield Positive("W_-1 falls: w < -1", -first.subs(w, -above - 1))


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
    rules=["definition of W", "implicit function"],
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


@claim(
    "wright-omega",
    statement=(
        "ω(u) = W_0(e^u) is the only root of ω + ln ω = u. Its slope ω′ = ω/(1+ω) lies in (0, 1), "
        "so nothing overflows, whatever the masses."
    ),
    explanation="Take logarithms of ω e^ω = e^u. ω + ln ω rises from -oo to oo.",
    where="App. E.1, in logarithms",
    domain="u real",
    origin="reconstructed",
    evidence="proved",
    backs=[
        "theory_common.numerics.special.wright_omega",
        "theory_common.numerics.special.lambertw_exp",
    ],
    rules=["monotone bijection", "definition of W"],
    counterexample="u at which ω + ln ω differs from u",
)
def wright_omega(defining=omega + sp.log(omega), derivative=omega / (1 + omega)):
    yield Equal("logarithm of ω e^ω = e^u", sp.log(omega * sp.exp(omega)), defining)
    yield Equal("ω' = 1/(1 + 1/ω)", 1 / sp.diff(defining, omega), derivative)
    yield Positive("ω'", derivative)
    yield Positive("1 - ω'", 1 - derivative)


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
    domain="gap >= 0; t in [0, 1) on W_0, t <= 0 on W_-1",
    origin="reconstructed",
    evidence="proved",
    backs=[
        "theory_common.numerics.special.lambertw_from_gap",
        "theory_common.numerics.special.lambertw_plus_one_from_gap",
    ],
    rules=["definition of W", "monotone bijection"],
    counterexample="a gap at which 1 + W(-e^(-1-gap)) is no root of -t - ln(1 - t) = gap",
)
def lambert_gap(gap=-rest - sp.log(1 - rest), slope=1 / rest - 1, near=rest**2 / 2):
    below = sp.Symbol("u", positive=True)  # 1 - t = -w
    yield Equal("ln(-w) + w = -1 - g", (sp.log(1 - rest) + rest - 1) + 1, -gap)
    yield Equal("dt/dg", sp.diff(gap, rest) * slope, 1)
    yield Equal("g at t = 0, up to order 2", sp.series(gap, rest, 0, 3).removeO(), near)
    yield Equal(
        "dg/dt = t/(1 - t), u = 1 - t",
        sp.diff(gap, rest).subs(rest, 1 - below),
        (1 - below) / below,
    )
