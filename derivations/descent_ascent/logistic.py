"""The logistic loss: what is bounded, how many folds there are, and where two folds merge."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
import random
from collections.abc import Mapping
from typing import NamedTuple

import mpmath
import numpy as np
import scipy.optimize
import scipy.special
import sympy as sp

from derivations.descent_ascent import cusp_numbers, influence
from derivations.ledger.certificates import Root, digits_of
from derivations.ledger.domains import Drawn, Interval, between, positive_within
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
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
from derivations.ledger.theorems import Eq, Ge, Le, NoValue, Printed, Theorem

margin = sp.Symbol("m", real=True)
rate, norm, total_weight, sigma_y, h_u, h_v, x_R, determinant = sp.symbols(
    "c |w| S sigma_y h_u h_v x_R Delta", positive=True
)
w_1, w_2, height, height_at_0 = sp.symbols("w_1 w_2 J J_0", real=True)
length, folds_met, odd = sp.symbols("length folds odd", nonnegative=True)
retain_ratio = sp.Symbol("A_ratio", positive=True)  # A/λ
data = sp.Symbol("data")
logistic = sp.log(1 + sp.exp(-margin))


class Weighted(NamedTuple):
    """Samples y x in the plane, with signed weights."""

    name: str
    rows: tuple[tuple[int, int], ...]
    weights: tuple[float, ...]


def random_weighted(generator: random.Random) -> Weighted:
    """Two to four samples with small integer features."""
    number = generator.randint(2, 4)
    return Weighted(
        name=f"{number} weighted samples",
        rows=tuple((generator.randint(-3, 3), generator.randint(-3, 3)) for _ in range(number)),
        weights=tuple(round(generator.uniform(-5, 5), 2) for _ in range(number)),
    )


WEIGHTED = Drawn(
    "samples with signed weights",
    random_weighted,
    special=(
        Weighted("one sample", ((2, 1),), (3.0,)),
        Weighted("ascent alone", ((2, 1),), (-3.0,)),
        Weighted("rows of zeros", ((0, 0), (0, 0)), (3.0, -1.0)),
        Weighted("equal rows", ((2, 1), (2, 1)), (3.0, -1.0)),
        Weighted("opposite rows", ((2, 1), (-2, -1)), (3.0, 1.0)),
        Weighted("strong ascent", ((2, 1), (1, 2)), (1.0, -1000.0)),
    ),
)


def norms(ridge, w_1, w_2, data: Weighted) -> Mapping:
    """The largest norm of a stationary point, S, and J at 0 and at w; by a root finder."""
    rows, weights = np.array(data.rows, float), np.array(data.weights)
    ridge, place = float(ridge), np.array([float(w_1), float(w_2)])

    def value(w: np.ndarray) -> float:
        return float(weights @ np.logaddexp(0, -rows @ w) + ridge * w @ w / 2)

    def gradient(w: np.ndarray) -> np.ndarray:
        return ridge * w - (weights * scipy.special.expit(-rows @ w)) @ rows

    starts = [np.zeros(2), *(scale * row for row in rows for scale in (0.5, -0.5, 5, -5))]
    runs = [scipy.optimize.root(gradient, start) for start in starts]
    found = [np.linalg.norm(run.x) for run in runs if run.success]
    if not found:
        raise NoValue("no stationary point was met")
    return {
        norm: max(found),
        total_weight: np.abs(weights) @ np.linalg.norm(rows, axis=1),
        height: value(place),
        height_at_0: value(np.zeros(2)),
        length: np.linalg.norm(place),
    }


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
        "λ‖w‖²/2 − S‖w‖ + J(0)."
    ),
    explanation=(
        "φ = 1/(1+e^m) lies in (0, 1). So λw = Σ c_i φ(m_i) y_i x_i and the triangle inequality "
        "give the first bound. The second follows from |ℓ(m) - ℓ(0)| <= |m|. So nothing runs away, "
        "whatever γ."
    ),
    where="Sec. 5.1, the true loss",
    domain="logistic loss, any data, signed weights c_i, λ > 0",
    origin="new",
    evidence="proved",
    backs=["gda_theory.solve.minimise.solve", "gda_theory.problem.objective.Objective"],
    theorem=Theorem(
        # The root finder works in double precision.
        domain={
            ridge: positive_within(2),
            w_1: Interval(decades=3),
            w_2: Interval(decades=3),
            data: WEIGHTED,
        },
        conclusions={
            "stationary points": Le(norm, total_weight / ridge),
            "the lower bound": Ge(
                height, ridge * length**2 / 2 - total_weight * length + height_at_0
            ),
        },
        measure=norms,
        digits=15,
        most_digits=15,
    ),
    joins=[
        join("sign", "φ lies in (0, 1)", sign=("1 - φ", "1 - φ is positive", "known:φ > 0")),
        join(
            "triangle inequality",
            "stationary points",
            terms=(
                "φ lies in (0, 1)",
                "known:λw = Σ c_i φ(m_i) y_i x_i where the gradient vanishes",
                "given:ridge in (0, oo)",
            ),
        ),
        join(
            "triangle inequality",
            "the lower bound",
            terms=(
                "φ lies in (0, 1)",
                "known:the mean value theorem gives |ℓ(m) - ℓ(0)| <= |m| <= ‖x‖‖w‖",
            ),
        ),
    ],
    relation="<=",
    evaluate=_norm,
    counterexample="a stationary w with |w| > Σ|c_i||x_i|/λ",
)
def norm_bound(slope_slack=sp.exp(margin) / (1 + sp.exp(margin))):
    phi = -sp.diff(logistic, margin)
    yield Equal("1 - φ", 1 - phi, slope_slack)
    yield Positive("1 - φ is positive", slope_slack)


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
RADIUS = "1e-22"  # the centre carries 34 digits
CUSPS = {
    "0.2": ("919.319286177807", "4.40334870102258"),
    "0.5": ("32.0374142170412", "6.72265715820468"),
    "0.8": ("27.6422875127565", "17.6714669357577"),
    "0.95": ("82.8349046908355", "74.8520700272260"),
}
MEASURED = {
    key: tuple(sp.Symbol(f"{mass}_{key}", positive=True) for mass in ("A", "B")) for key in CUSPS
}


@functools.cache
def cusp_place(correlation: str) -> tuple[tuple, tuple, tuple[str, ...]]:
    """The equations of a cusp in (x, y), A/λ and B/λ there, and its place in 34 digits."""
    value = {epsilon: sp.Rational(correlation)}
    equations, masses = (
        tuple(expression.subs(value) for expression in group) for group in _cusp_equations()
    )
    with mpmath.workdps(40):
        found = mpmath.findroot(sp.lambdify((x, y), equations, "mpmath"), GUESSES[correlation])
        return equations, masses, tuple(mpmath.nstr(coordinate, 34) for coordinate in found)


def cusp_root(correlation: str, retain: sp.Expr, forget: sp.Expr) -> Root:
    """The certificate of a cusp, with A/λ and B/λ in 15 digits."""
    equations, masses, centre = cusp_place(correlation)
    claimed = zip(("A/λ", "B/λ"), masses, (retain, forget), strict=True)
    printed = {name: (mass, digits_of(digits, 15)) for name, mass, digits in claimed}
    return Root(f"the cusp at ε = {correlation}", equations, (x, y), centre, RADIUS, printed)


def measured_cusps() -> Mapping:
    """(A/λ, B/λ) at each correlation, by differences along the curve of stationary points."""
    found = {}
    for correlation, symbols in MEASURED.items():
        cusp = cusp_numbers.cusp(mpmath.mpf(correlation), GUESSES[correlation])
        found |= dict(zip(symbols, (cusp.retain, cusp.forget), strict=True))
    return found


@claim(
    "logistic-cusp-values",
    statement=(
        "For each ε the logistic cusp is at the following (A/λ, B/λ). ε = 0.2: (919.319286177807, "
        "4.40334870102258). ε = 0.5: (32.0374142170412, 6.72265715820468). ε = 0.8: "
        "(27.6422875127565, 17.6714669357577). ε = 0.95: (82.8349046908355, 74.8520700272260)."
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
    theorem=Theorem(
        domain={},
        conclusions={
            f"{mass}/λ at ε = {key}": Printed(symbol, digits)
            for key in CUSPS
            for mass, symbol, digits in zip(("A", "B"), MEASURED[key], CUSPS[key], strict=True)
        },
        measure=measured_cusps,
    ),
    joins=[
        join(
            "identity",
            "the equations of a cusp",
            equation=(
                "claim:cusp-condition",
                "claim:dual-masses",
                "-φ'/φ = σ",
                "φ''/φ = σ tanh(m/2)",
                "P and Q from the margins",
            ),
        ),
        *(
            join(
                "Krawczyk",
                (f"A/λ at ε = {key}", f"B/λ at ε = {key}"),
                box=("the equations of a cusp", f"the cusp at ε = {key}"),
            )
            for key in CUSPS
        ),
    ],
    counterexample="an enclosure of the cusp that excludes the value",
)
def cusp_values(
    retain_02=sp.Rational(CUSPS["0.2"][0]),
    forget_02=sp.Rational(CUSPS["0.2"][1]),
    retain_05=sp.Rational(CUSPS["0.5"][0]),
    forget_05=sp.Rational(CUSPS["0.5"][1]),
    retain_08=sp.Rational(CUSPS["0.8"][0]),
    forget_08=sp.Rational(CUSPS["0.8"][1]),
    retain_095=sp.Rational(CUSPS["0.95"][0]),
    forget_095=sp.Rational(CUSPS["0.95"][1]),
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
        yield cusp_root(correlation, *values)


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
        with np.errstate(divide="ignore"):  # log 0 is below any number
            left = np.log(middle + shift)
        above = left > np.log(own) + log_retain - np.logaddexp(0, middle)
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


def turns_of_forget_mass(correlation, A_ratio, points=4000, noise=1e-7) -> Mapping:
    """How often ln B turns along the curve of stationary points: each turn is a fold."""
    correlation, ratio = float(correlation), float(A_ratio)
    if not (0 <= correlation < 1 and ratio > 0):
        raise NoValue("no pair of these types")
    own, cross = 1 + correlation**2, 2 * correlation
    determinant = (1 - correlation**2) ** 2
    last = np.log(100 * own / determinant * (1 + np.log1p(ratio)))
    log_dual = np.linspace(-30, last, points)
    dual = np.exp(log_dual)
    margin = _oracle_margin(np.log(ratio), own, cross * dual, halvings=120)
    log_mass = log_dual + np.logaddexp(0, (cross * margin - determinant * dual) / own)
    turns, rising, extreme = 0, True, log_mass[0]
    for value in log_mass:
        beyond = value > extreme if rising else value < extreme
        if beyond:
            extreme = value
        elif abs(value - extreme) > noise:
            turns, rising, extreme = turns + 1, not rising, value
    return {folds_met: turns, odd: turns % 2}


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
        "A stronger statement would follow from one sign. If -d²ln h/dq² > 0 wherever dln h/dq = "
        "0, h has one peak. Over 514,000 systems (ε, x) with 403,067 such points it is at least "
        "1.278 (1-ε). That least value is approached as ε -> 0 and x -> 0, and a simplex search "
        "from the five smallest gets no lower (peak_margin). The sign fails if all variables but "
        "the dual Q are taken as independent. So a proof must use both equations of the margins."
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
    theorem=Theorem(
        # Closer to 1, or farther out, double precision cannot follow the curve.
        domain={epsilon: between(0, 1, decades=3), retain_ratio: positive_within(12)},
        conclusions={"even": Eq(odd, 0), "at most two": Le(folds_met, 2)},
        measure=turns_of_forget_mass,
        digits=15,
        most_digits=15,
    ),
    joins=[
        join(
            "intermediate value",
            "even",
            continuous=(
                "det H/λ² = (1 + k11 h_u)(1 - h)",
                "known:σ, P and Q are continuous in ln Q",
            ),
            ends=(
                "h as Q -> 0",
                "y on the curve",
                "h/(σ(y) Q) < k22",
                "Q e^{-cQ} -> 0",
                "claim:dual-curve",
            ),
        ),
    ],
    evaluate=fold_counts,
    relation="<=",
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
