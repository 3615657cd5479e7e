"""The logistic loss: what is bounded, how many folds there are, and where two folds merge."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent import influence
from derivations.ledger import intervals
from derivations.ledger.ledger import claim
from derivations.ledger.steps import Certificate, Equal, Positive
from derivations.ledger.symbols import (
    P,
    Q,
    epsilon,
    gram_determinant,
    k11,
    k12,
    k22,
    q,
    ridge,
    s,
    x,
    y,
)

margin = sp.Symbol("m", real=True)
rate, norm, total_weight, sigma_y, h_u, h_v, x_R, determinant = sp.symbols(
    "c |w| S sigma_y h_u h_v x_R Delta", positive=True
)
logistic = sp.log(1 + sp.exp(-margin))


def _norm(**parameters):
    """|w| of descent-ascent on one retained and one forgotten sample, and S/λ."""
    (_, _, ascended), _, _, constants = influence.one_sample_each(**{"strength": 1.0} | parameters)
    lengths = abs(parameters.get("retained", 1.0)), abs(parameters.get("forgotten", -0.6))
    return float(abs(ascended)), float(
        (lengths[0] + constants["gamma"] * lengths[1]) / constants["ridge"]
    )


@claim(
    "logistic-norm-bound",
    statement=(
        "Logistic loss: every stationary point has ‖w‖ ≤ S/λ with S = Σ|c_i|‖x_i‖, and J(w) ≥ "
        "λ‖w‖²/2 − S‖w‖ + J(0). So nothing runs away, whatever γ."
    ),
    explanation=(
        "φ = 1/(1+e^m) lies in (0, 1). So λw = Σ c_i φ(m_i) y_i x_i and the triangle inequality "
        "give the first bound. The second follows from |ℓ(m) - ℓ(0)| <= |m|."
    ),
    where="Sec. 5.1, the true loss",
    domain="logistic loss, any data, signed weights c_i, λ > 0",
    origin="new",
    evidence="proved",
    backs=["gda_theory.solve.minimise.solve", "gda_theory.problem.objective.Objective"],
    rules=["triangle inequality"],
    relation="<=",
    evaluate=_norm,
    counterexample="a stationary w with |w| > Σ|c_i||x_i|/λ",
)
def norm_bound(
    slope_slack=sp.exp(margin) / (1 + sp.exp(margin)), least=-(total_weight**2) / (2 * ridge)
):
    phi = -sp.diff(logistic, margin)
    yield Equal("1 - φ", 1 - phi, slope_slack)
    yield Positive("1 - φ", slope_slack)
    yield Positive("φ", sp.simplify(phi))
    # λ t²/2 - S t is least at t = S/λ, the radius of the bound.
    radius = total_weight / ridge
    parabola = ridge * norm**2 / 2 - total_weight * norm
    yield Equal(
        "the lower bound turns at the radius", sp.diff(parabola, norm).subs(norm, radius), 0
    )
    yield Equal("and is -S²/(2λ) there", parabola.subs(norm, radius), least)


def _cusp_equations():
    """The two equations of a cusp in the margins (x, y), and A/λ, B/λ there.

    Logistic loss, the paper's types.
    """
    sigma = sp.Lambda(margin, 1 / (1 + sp.exp(-margin)))  # -φ'/φ; and φ''/φ = σ(m) tanh(m/2)
    retain_dual, forget_dual = (s * x - 2 * epsilon * y) / q, (2 * epsilon * x - s * y) / q
    h_u, h_v = retain_dual * sigma(x), forget_dual * sigma(y)
    theta = 2 * epsilon / (s + q * h_u)
    fold = 1 + s * h_u - s * h_v - q * h_u * h_v
    third = h_u * sp.tanh(x / 2) * theta**3 - h_v * sp.tanh(y / 2)
    return (fold, third), (retain_dual * (1 + sp.exp(x)), forget_dual * (1 + sp.exp(y)))


GUESSES = {
    "0.2": (5.0728, 0.0026),
    "0.5": (1.9187, 0.0915),
    "0.8": (0.9612, 0.3659),
    "0.95": (0.6909, 0.5535),
}
RADIUS = sp.Rational(1, 10**22)  # the centre carries 30 digits


@functools.cache
def certified_cusp(correlation: str):
    """(holds, detail, enclosures of A/λ and B/λ), by Newton and the Krawczyk test."""
    equations, masses = _cusp_equations()
    value = {epsilon: sp.Rational(correlation)}
    equations, masses = (
        [expression.subs(value) for expression in group] for group in (equations, masses)
    )
    with mpmath.workdps(40):
        found = mpmath.findroot(sp.lambdify((x, y), equations, "mpmath"), GUESSES[correlation])
        centre = [sp.Rational(mpmath.nstr(coordinate, 34)) for coordinate in found]
    holds, detail = intervals.krawczyk(equations, (x, y), centre, RADIUS, {})
    box = dict(zip((x, y), (intervals.ball(value, RADIUS) for value in centre), strict=True))
    return holds, detail, *(intervals.enclose(mass, box) for mass in masses)


def _cusp(correlation="0.5"):
    _, _, retain, forget = certified_cusp(str(correlation))
    claimed = CUSPS[str(correlation)]
    return np.array([float(retain.mid()), float(forget.mid())]), np.array(
        [float(value) for value in claimed]
    )


CUSPS = {
    "0.2": (sp.Rational("919.319286177807"), sp.Rational("4.40334870102258")),
    "0.5": (sp.Rational("32.0374142170412"), sp.Rational("6.72265715820468")),
    "0.8": (sp.Rational("27.6422875127565"), sp.Rational("17.6714669357577")),
    "0.95": (sp.Rational("82.8349046908355"), sp.Rational("74.852070027226")),
}


@claim(
    "logistic-cusp-values",
    statement=(
        "The logistic cusp is at (A/λ, B/λ) = (919.319286177807, 4.40334870102258) for ε = 0.2, "
        "(32.0374142170412, 6.72265715820468) for 0.5, (27.6422875127565, 17.6714669357577) for "
        "0.8 and (82.8349046908355, 74.852070027226) for 0.95, to 13 digits."
    ),
    explanation=(
        "The equations are those of cusp-condition with φ = 1/(1+e^m), so -φ'/φ = σ(m) and φ''/φ = "
        "σ(m) tanh(m/2). P and Q come from dual-masses."
    ),
    where="Sec. 5.1.2, the true loss",
    domain=(
        "logistic loss, the paper's types, ε = 0.2, 0.5, 0.8, 0.95; a cusp in the certified box "
        "(that no other exists is not claimed)"
    ),
    origin="new",
    evidence="certified",
    backs="gda_theory.pair.cusp",
    rules=["Krawczyk"],
    evaluate=_cusp,
    counterexample="an enclosure of the cusp that excludes the value",
)
def cusp_values(
    retain_02=CUSPS["0.2"][0],
    forget_02=CUSPS["0.2"][1],
    retain_05=CUSPS["0.5"][0],
    forget_05=CUSPS["0.5"][1],
    retain_08=CUSPS["0.8"][0],
    forget_08=CUSPS["0.8"][1],
    retain_095=CUSPS["0.95"][0],
    forget_095=CUSPS["0.95"][1],
):
    sigma = 1 / (1 + sp.exp(-margin))
    phi = 1 - sigma
    yield Equal("-φ'/φ = σ", -sp.diff(phi, margin) / phi, sigma)
    yield Equal(
        "φ''/φ = σ tanh(m/2)",
        sp.diff(phi, margin, 2) / phi,
        (sigma * sp.tanh(margin / 2)).rewrite(sp.exp),
    )
    margins = {x: s * P - 2 * epsilon * Q, y: 2 * epsilon * P - s * Q}
    duals = sp.Matrix([(s * x - 2 * epsilon * y) / q, (2 * epsilon * x - s * y) / q])
    yield Equal("P and Q from the margins", duals.subs(margins), sp.Matrix([P, Q]))
    claimed = (
        (retain_02, forget_02),
        (retain_05, forget_05),
        (retain_08, forget_08),
        (retain_095, forget_095),
    )
    for correlation, values in zip(CUSPS, claimed, strict=True):
        holds, detail, *enclosures = certified_cusp(correlation)
        # 1e-13 relative: the last digit printed; the enclosures are narrower.
        near = all(
            abs(ball - intervals.ball(value)) < abs(ball) * 1e-13
            for ball, value in zip(enclosures, values, strict=True)
        )
        yield Certificate(
            f"the cusp at ε = {correlation}",
            bool(holds and near),
            f"{detail}; A/λ, B/λ in {', '.join(map(str, enclosures))}",
        )


def fold_counts(*, systems=60, points=1500, seed=0):
    """(the largest number of folds met, 2), in a search over random logistic pairs.

    The search follows h of dual-curve over q = ln Q. A fold is a crossing of h = 1. A/λ is
    log-uniform over [1e-2, 1e12] and ε uniform; half of the correlations are within 1e-4 ... 1e-1
    of 0 or 1.
    """
    generator = np.random.default_rng(seed)
    odds = 10 ** generator.uniform(-4, 4, systems)
    correlation = np.where(
        np.arange(systems) % 2, generator.uniform(0, 1, systems), odds / (1 + odds)
    )[:, None]
    log_retain = generator.uniform(np.log(1e-2), np.log(1e12), systems)[:, None]
    own = 1 + correlation**2
    cross = 2 * correlation
    determinant = (1 - correlation**2) ** 2
    forget_dual = np.exp(
        np.linspace(-6, 1, points)[None, :]
        + np.linspace(0, 1, points)[None, :] * np.log(60 * own / determinant)
    )
    x_value = _oracle_margin(log_retain, own, cross * forget_dual)
    retain_dual = (x_value + cross * forget_dual) / own
    y_value = cross * retain_dual - own * forget_dual
    sigma_x, sigma_y = 0.5 * (1 + np.tanh(x_value / 2)), 0.5 * (1 + np.tanh(y_value / 2))
    h_u = sigma_x * retain_dual
    bend = sigma_y * forget_dual * (own + determinant * h_u) / (1 + own * h_u)
    crossings = np.sum(np.diff(np.sign(bend - 1), axis=1) != 0, axis=1)
    return int(crossings.max()), 2


def _oracle_margin(log_retain, own, shift, halvings=70):
    """The root x of x + shift = own (A/λ) φ(x), by bisection. Left minus right increases."""
    low = np.broadcast_to(-shift, np.broadcast_shapes(shift.shape, log_retain.shape)).copy()
    high = np.maximum(log_retain, 1) + np.log(own) + 1 + 0 * low
    for _ in range(halvings):
        middle = (low + high) / 2
        # ln(x + shift) against ln(own A/λ) - ln(1 + e^x): no overflow
        above = np.log(middle + shift) > np.log(own) + log_retain - np.logaddexp(0, middle)
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2


def peak_margin(*, systems=300, points=1200, seed=0):
    """(the least -d²ln h/dq² over (1-ε) at the points with dln h/dq = 0, their number).

    If it is positive everywhere, h has one peak, so there are at most two folds. A system is a
    correlation ε and a margin x; the critical points are searched over q = ln Q. Half of the
    correlations are log-uniform near 0, half near 1, both down to 1e-5; |x| is in [1e-3, 1e3].
    """
    generator = np.random.default_rng(seed)
    near = 10 ** generator.uniform(-5, 0, systems)
    to_one = np.where(generator.random(systems) < 0.5, near, 1 - near).clip(1e-5, 1 - 1e-5)
    margin = generator.choice([-1, 1, 1], systems) * 10 ** generator.uniform(-3, 3, systems)
    log_dual = np.linspace(-8, 30, points)
    slope, _ = log_bend_derivatives(to_one[:, None], margin[:, None], np.exp(log_dual))
    system, index = np.nonzero(slope[:, 1:] * slope[:, :-1] < 0)
    low, high = log_dual[index], log_dual[index + 1]
    for _ in range(50):
        middle = (low + high) / 2
        here, curvature = log_bend_derivatives(to_one[system], margin[system], np.exp(middle))
        same = np.sign(here) == np.sign(slope[system, index])
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return float(np.min(-curvature / to_one[system])), len(system)


def log_bend_derivatives(to_one, x_value, forget_dual):
    """The first two derivatives of ln h in ln Q at (x, Q), ``to_one`` = 1 - ε. NaN where P <= 0.

    The second one holds where the first is 0.
    """
    correlation = 1 - to_one
    own, cross = 1 + correlation**2, 2 * correlation
    determinant = (to_one * (1 + correlation)) ** 2
    retain_dual = (x_value + cross * forget_dual) / own
    y_value = (cross * x_value - determinant * forget_dual) / own
    tanh_x = np.tanh(x_value / 2)
    past = 0.5 * (1 - np.tanh(y_value / 2))  # 1 - σ(y)
    decay = 0.5 * (1 + tanh_x) * retain_dual  # h_u
    denominator, numerator = 1 + own * decay, own + determinant * decay
    ratio = numerator / denominator
    bent = cross**3 * decay * tanh_x / (numerator * denominator**2)
    fall = past * ratio + bent  # dln h/dln Q = 1 - Q fall
    decay_slope = cross * decay * tanh_x / denominator  # by Q, as the following ones
    tanh_slope = -(1 - tanh_x**2) / 2 * cross / denominator
    ratio_slope = (determinant - own**2) / denominator**2 * decay_slope
    bent_slope = cross**3 * (decay_slope * tanh_x + decay * tanh_slope)
    bent_slope = bent_slope / (numerator * denominator**2) - bent * decay_slope * (
        determinant / numerator + 2 * own / denominator
    )
    fall_slope = past * (1 - past) * ratio**2 + past * ratio_slope + bent_slope
    first = np.where(retain_dual > 0, 1 - forget_dual * fall, np.nan)
    return first, -(forget_dual * fall) * (1 + forget_dual * fall_slope / fall)


@claim(
    "logistic-zero-or-two-folds",
    statement=(
        "A logistic pair has no fold or two. Proved: the number of folds, counted with "
        "multiplicity, is even. Conjectured: it is at most two."
    ),
    explanation=(
        "On the curve over ln Q the folds are the points with h = 1 (dual-curve). h -> 0 as Q -> "
        "0. Also h -> 0 as Q -> oo, because y <= (k12 x_R - Δ Q)/k11 -> -oo, and σ(y) <= e^y falls "
        "faster than Q grows. So h - 1 is negative at both ends. The search against the conjecture "
        "is fold_counts: 20,000 systems with 4,000 points each, none of them with more than two "
        "folds.\n\n"
        "A stronger statement would follow from one sign. If -d²ln h/dq² > 0 wherever dln h/dq = 0, h "
        "has one peak. Over 514,000 systems (ε, x) with 403,067 such points it is at least 1.278 "
        "(1-ε). That least value is approached as ε -> 0 and x -> 0, and a simplex search from the "
        "five smallest gets no lower (peak_margin). With all variables but the dual Q taken as "
        "independent the sign fails, so a proof must use both equations of the margins."
    ),
    where="Sec. 5.1.2, the true loss",
    domain="logistic loss, the paper's types, 0 < ε < 1",
    origin="new",
    evidence="conjecture",
    backs=[
        "gda_theory.pair.curve.fold_points",
        "gda_theory.pair.folds",
        "gda_theory.pair.stationary_points",
    ],
    rules=["intermediate value"],
    relation="<=",
    evaluate=fold_counts,
    counterexample="(ε, A/λ) with four or more folds",
)
def zero_or_two_folds(
    bend=sigma_y * Q * (k22 + gram_determinant * h_u) / (1 + k11 * h_u),
    bound_y=(k12 * x_R - gram_determinant * Q) / k11,
):
    determinant_of_hessian = (
        1 + k11 * h_u - k22 * h_v - gram_determinant * h_u * h_v
    )  # over λ² (fold-hessian)
    yield Equal(
        "det H/λ² = (1 + k11 h_u)(1 - h)",
        determinant_of_hessian.subs(h_v, sigma_y * Q),
        (1 + k11 * h_u) * (1 - bend),
    )
    yield Equal("h as Q -> 0", bend.subs(Q, 0), 0)
    # k11 y = k12 x - D Q, and x <= x_R, as descent-ascent only lowers x.
    margins = {x: k11 * P - k12 * Q, y: k12 * P - k22 * Q}
    yield Equal("y on the curve", (k11 * y - k12 * x).subs(margins), k11 * bound_y - k12 * x_R)
    # D <= k11 k22, so h <= σ(y) Q k22.
    ceiling = (bend / (sigma_y * Q)).subs(k11, (determinant + k12**2) / k22)
    yield Positive("h/(σ(y) Q) < k22", k22 - ceiling)
    yield Equal("Q e^{-cQ} -> 0", sp.limit(Q * sp.exp(-rate * Q), Q, sp.oo), 0)
