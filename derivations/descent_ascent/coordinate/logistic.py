"""One orthogonal coordinate: the logistic loss, and Lemma 4 for any loss."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import sympy as sp
from mpmath import mpf

from derivations.descent_ascent import measures, scalar_measures
from derivations.descent_ascent.coordinate.basics import (
    COUNTS,
    UPPER,
    count,
    descent_ascent_mass,
    logistic,
    loss,
    masses_by_eq_1,
    positive_weight,
    pretrain_mass,
    r_parameter,
    retrain_mass,
    slope_found,
    w_D,
    w_DA,
    w_R,
    z,
)
from derivations.descent_ascent.coordinate.bounds import LOG_RATIO
from derivations.ledger.domains import (
    Interval,
    OneOf,
    positive,
    real,
)
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import (
    alpha,
    forget,
    mass,
    on_coordinate,
    phi,
    retain,
    ridge,
    total,
    w,
)
from derivations.ledger.theorems import (
    Eq,
    Ge,
    Gt,
    Iff,
    Implies,
    Le,
    Lt,
    NoValue,
    Theorem,
)

stationary = sp.Symbol("stationary", real=True)
offset = sp.Symbol("offset", real=True)  # K/λ - (w e^w + w)


def _logistic_slope(ridge, weight, offset):
    """K for an offset from the equation, and J'(w) by a difference quotient of J."""
    signed_mass = ridge * (weight * mpmath.exp(weight) + weight + offset)
    objective = scalar_measures.one_weight_objective(
        signed_mass, ridge, scalar_measures.logistic_loss
    )
    return {mass: signed_mass, slope_found: scalar_measures.derivative(objective, weight)}


@claim(
    "r-lambert-form",
    statement=(
        "Logistic loss: J′(w) = 0 exactly when w e^w + w = K/λ. This is the r-Lambert equation w "
        "e^w + ρw = z at ρ = 1."
    ),
    explanation="Multiply J'(w) = λw - K/(1+e^w) by (1+e^w)/λ, which is positive.",
    where="beyond Sec. 5.1.1: the true logistic loss",
    domain="K real, λ > 0",
    origin="new",
    evidence="proved",
    backs=[
        "theory_common.numerics.special.r_lambertw",
        "gda_theory.pair.coordinate.stationary_points",
        "gda_theory.pair.curve.shifted_dual",
    ],
    theorem=Theorem(
        # Every real K belongs to one offset. J'/λ is as small as e^-w: hence the range of w.
        domain={w: Interval(decades=1), offset: real, ridge: positive},
        conclusions={
            "stationary": Iff(Eq(slope_found / ridge, 0), Eq(w * sp.exp(w) + w, mass / ridge))
        },
        measure=_logistic_slope,
    ),
    joins=[
        join("equivalence", "stationary", identity="(1+e^w) J'(w)/λ", factor="the multiplier"),
    ],
    counterexample="a stationary point of K log(1+e^-w) + λw²/2 with w e^w + w != K/λ",
)
def r_lambert_form(left_side=w * sp.exp(w) + w):
    multiplier = (1 + sp.exp(w)) / ridge
    yield Equal("(1+e^w) J'(w)/λ", sp.diff(logistic, w) * multiplier, left_side - mass / ridge)
    yield Positive("the multiplier", multiplier)


branches, least_found = sp.symbols("branches least_slope", real=True)
above_least = sp.Symbol("rho_excess", real=True)  # ρ - e^-2


def _branches_of_r_lambert(weight, rho_excess):
    """g'(w) and the least g' by difference quotients, and how many monotone pieces g has."""
    rho = rho_excess + mpmath.exp(-2)

    def slope(w):
        return mpmath.diff(lambda v: v * mpmath.exp(v) + rho * v, w)

    least = scalar_measures.least_value(slope, mpf(-60), mpf(10))
    falls = least < -mpmath.sqrt(mpmath.eps)
    turns = falls * ((slope(mpf(-200)) > 0) + 1)
    return {
        r_parameter: rho,
        slope_found: scalar_measures.finely(slope)(weight),
        least_found: least,
        branches: 1 + int(turns),
    }


@claim(
    "r-lambert-monotone",
    statement=(
        "g(w) = w e^w + ρw has slope ≥ ρ − e^{−2}, with equality exactly at w = −2. So there is "
        "one real branch exactly for ρ ≥ e^{−2}."
    ),
    explanation=(
        "g'' = (2+w) e^w changes sign once, from minus to plus. So g' is least at -2. For ρ < "
        "e^-2, g falls at -2 and rises for large w, so it has several branches."
    ),
    where="beyond Sec. 5.1.1: the true logistic loss",
    domain="ρ and w real",
    origin="new",
    evidence="proved",
    backs=[
        "theory_common.numerics.special.r_lambertw",
        "theory_common.numerics.special.r_lambertw_exp",
    ],
    theorem=Theorem(
        domain={w: real, above_least: real},
        conclusions={
            "slope": Ge(slope_found, r_parameter - sp.exp(-2)),
            "equality": Iff(Eq(slope_found, r_parameter - sp.exp(-2)), Eq(w, -2)),
            "one branch": Iff(Eq(branches, 1), Ge(above_least, 0)),  # ρ >= e^-2
        },
        measure=_branches_of_r_lambert,
        most_digits=60,
    ),
    joins=[
        join(
            "monotone bijection",
            "g' falls up to -2 and rises from there",
            continuous="known:w e^w is continuous",
            slope=(
                "g' is stationary at the turning point",
                "g'' > 0 to the right of it",
                "g'' < 0 to the left of it",
            ),
        ),
        join(
            "identity",
            ("slope", "equality"),
            equation=("g' falls up to -2 and rises from there", "g' there"),
        ),
        join(
            "monotone bijection",
            "one branch",
            continuous="known:w e^w + ρw is continuous, and rises beyond every line",
            slope=("slope", "equality"),
        ),
    ],
    counterexample="ρ >= e^-2 and two solutions of w e^w + ρw = z",
)
def r_lambert_monotone(least_slope=r_parameter - sp.exp(-2), turning=sp.Integer(-2)):
    g = w * sp.exp(w) + r_parameter * w
    yield Equal(
        "g' is stationary at the turning point", sp.diff(g, w, 2), (w - turning) * sp.exp(w)
    )
    yield Positive("g'' > 0 to the right of it", sp.diff(g, w, 2).subs(w, positive_weight - 2))
    yield Positive("g'' < 0 to the left of it", -sp.diff(g, w, 2).subs(w, -positive_weight - 2))
    yield Equal("g' there", sp.diff(g, w).subs(w, turning), least_slope)


bend = sp.Symbol("curvature", real=True)


def _logistic_count(mass, ridge):
    """How often J' changes its sign on a grid, its zero by bisection, and J'' there."""

    def slope(w):
        return ridge * w - mass * measures.LOGISTIC.phi(w)

    grid = scalar_measures.both_signs(10 * (1 + abs(mass / ridge)))
    at = measures.weight(mass, ridge, measures.LOGISTIC)
    logistic_objective = scalar_measures.one_weight_objective(
        mass, ridge, scalar_measures.logistic_loss
    )
    return {
        count: scalar_measures.sign_changes(slope, grid),
        stationary: at,
        bend: scalar_measures.derivative(logistic_objective, at, 2),
    }


@claim(
    "logistic-minimum-exists",
    statement=(
        "Logistic loss, any signed mass: there is exactly one stationary point. It is a minimum, "
        "with J″ = λ(1 + (1+w)e^w)/(1+e^w) > 0."
    ),
    explanation=(
        "w e^w + w increases from -oo to oo (r-lambert-monotone, as 1 > e^-2). So it takes the "
        "value K/λ once, and its slope is the numerator of J''. Hence logistic descent-ascent on "
        "one coordinate has a minimum, whatever the strength."
    ),
    where="beyond Sec. 5.1.1: the true logistic loss",
    domain="every K, λ > 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.stationary_points",
    theorem=Theorem(
        domain={mass: real, ridge: positive},
        conclusions={
            "one stationary point": Eq(count, 1),
            "J''": Eq(
                bend / ridge, (1 + (1 + stationary) * sp.exp(stationary)) / (1 + sp.exp(stationary))
            ),
            "minimum": Gt(bend / ridge, 0),
        },
        measure=_logistic_count,
    ),
    joins=[
        join(
            "monotone bijection",
            "w e^w + w = K/λ has one root",
            continuous="known:w e^w + w is continuous, from -oo to oo",
            slope=("claim:r-lambert-monotone", "known:1 > e^-2"),
        ),
        join(
            "equivalence",
            "one stationary point",
            identity=("claim:r-lambert-form", "w e^w + w = K/λ has one root"),
            factor="known:1 + e^w > 0",
        ),
        join("identity", "J''", equation="J'' with K eliminated"),
        join(
            "sign",
            "minimum",
            sign=(
                "J''",
                "its sign is the slope of w e^w + w",
                "claim:r-lambert-monotone",
                "known:1 > e^-2",
            ),
        ),
    ],
    counterexample="K, λ with no or two stationary points, or with J'' <= 0 at one",
)
def logistic_minimum(curvature=ridge * (1 + (1 + w) * sp.exp(w)) / (1 + sp.exp(w))):
    stationary_mass = sp.solve(sp.diff(logistic, w), mass)[0]
    yield Equal(
        "J'' with K eliminated", sp.diff(logistic, w, 2).subs(mass, stationary_mass), curvature
    )
    slope = sp.diff(w * sp.exp(w) + w, w)
    yield Equal("its sign is the slope of w e^w + w", curvature * (1 + sp.exp(w)), ridge * slope)


rate_found, phi_there, slope_there = sp.symbols("rate phi_w phi_slope_w", real=True)
GAP = sp.Abs(w_D - w_R)


def _weights_and_rate(ridge, loss, **counts):
    """The minima, dw_R/d ln K by a difference quotient, and φ and φ' at w_R."""
    masses = dict(masses_by_eq_1(**counts))
    weights = {name: measures.weight(masses[name], ridge, loss) for name in (w_D, w_R)}

    def at(log_factor):
        return measures.weight(masses[w_R] * mpmath.exp(log_factor), ridge, loss)

    try:
        ascended = measures.weight(masses[w_DA], ridge, loss)
    except NoValue:
        ascended = -mpmath.inf
    return weights | {
        w_DA: ascended,
        rate_found: scalar_measures.derivative(at, mpf(0)),
        phi_there: loss.phi(weights[w_R]),
        slope_there: loss.slope(weights[w_R]),
    }


def _lemma_4_logistic(
    *, alpha=0.1, retain_size=80, forget_size=20, retain_on_coordinate=8, ridge=0.01
):
    """|w_D - w_R| of the logistic loss, from w e^w + w = K/λ; and Lemma 4's bound."""
    with mpmath.workdps(30):
        scale = retain_on_coordinate / mpmath.mpf(ridge)
        pretrain_share = (1 + mpmath.mpf(alpha)) / (retain_size + forget_size)
        retrain_share = 1 / mpmath.mpf(retain_size)
        gap = _logistic_weight(pretrain_share * scale) - _logistic_weight(retrain_share * scale)
        return float(abs(gap)), float(abs(mpmath.log(pretrain_share / retrain_share)))


def _logistic_weight(ratio):
    """The root w of w e^w + w = ``ratio``, in logarithms, where a tiny ridge is no large number."""

    def equation(weight):
        return weight + mpmath.log1p(mpmath.exp(-weight)) + mpmath.log(weight) - mpmath.log(ratio)

    # w e^w <= ratio <= 2 w e^w brackets the root.
    bracket = (mpmath.lambertw(ratio / 2).real, mpmath.lambertw(ratio).real)
    return mpmath.findroot(equation, bracket, solver="anderson")


@claim(
    "lemma-4-any-loss",
    statement=(
        "λw = Kφ(w) gives dw/d ln K = 1/(1/w − φ′/φ), which is below 1. So |w_D − w_R| ≤ "
        "|ln((1+α) r/n)|, with equality exactly at α = f/r. For α < f/r also w_R − w_DA < "
        "ln(1/κ), with κ = 1 − αr/f."
    ),
    explanation=(
        "The gap is the integral of dw/d ln K over an interval of length |ln(K_D/K_R)|, or |ln "
        "κ|. For the exponential loss 1/w - φ'/φ - 1 = 1/w > 0. For the logistic loss -φ'/φ = "
        "1/(1+e^-w), and 1/w - φ'/φ - 1 > 0 because e^w > w."
    ),
    where="Lemma 4, carried over",
    domain="λ, r_j, α > 0; exponential and logistic loss, for which w(1 + φ'/φ) < 1 at each w > 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.distances",
    theorem=Theorem(
        domain={
            **COUNTS,
            loss: OneOf(
                (measures.EXPONENTIAL, measures.LOGISTIC),
                others=(measures.RAISED, measures.HEAVY, measures.WAVY),
            ),
        },
        conclusions={
            "rate": Eq(rate_found, 1 / (1 / w_R - slope_there / phi_there)),
            "rate below 1": Lt(rate_found, 1),
            "bound": Le(GAP, LOG_RATIO),
            "equality": Iff(Eq(GAP, LOG_RATIO), Eq(alpha, UPPER)),
            "ascent": Implies(
                Lt(alpha, UPPER), Lt(w_R - w_DA, -sp.log(1 - alpha * retain / forget))
            ),
        },
        measure=_weights_and_rate,
        points=10,
    ),
    joins=[
        join(
            "implicit function",
            "w is a smooth function of ln K",
            jacobian="claim:lemma-3-order",
            smooth="known:both losses are smooth",
        ),
        join("identity", "rate", equation=("d ln K/dw", "w is a smooth function of ln K")),
        join("tangent line", "e^w > w", use="known:w is real"),
        join(
            "sign",
            "rate below 1",
            sign=(
                "rate",
                "logistic: 1/w - φ'/φ - 1",
                "e^w > w",
                "1/w - φ'/φ - 1 > 0, with z = e^w - w > 0",
                "exponential: 1/w - φ'/φ - 1",
            ),
        ),
        join(
            "sign",
            ("bound", "equality", "ascent"),
            sign=(
                "rate below 1",
                "ln(K_D/K_R) = ln((1+α) r/n)",
                "K_DA = κ K_R",
                "K_R - K_D = 0 exactly at α = f/r",
                "known:a gap is the integral of the rate",
            ),
        ),
    ],
    relation="<=",
    evaluate=_lemma_4_logistic,
    counterexample="one of these losses with |w_D - w_R| > |ln((1+α) r/n)|",
)
def lemma_4_any_loss(
    derivative=1
    / (1 / positive_weight - sp.diff(phi(positive_weight), positive_weight) / phi(positive_weight)),
    logistic_slack=(1 + sp.exp(positive_weight) - positive_weight)
    / (positive_weight * (1 + sp.exp(positive_weight))),
):
    log_mass = sp.log(ridge * positive_weight) - sp.log(phi(positive_weight))
    yield Equal("d ln K/dw", sp.diff(log_mass, positive_weight) * derivative, 1)
    sigmoid = 1 / (1 + sp.exp(positive_weight))
    excess = 1 / positive_weight - sp.diff(sp.log(sigmoid), positive_weight) - 1
    yield Equal("logistic: 1/w - φ'/φ - 1", excess, logistic_slack)
    yield Positive("exponential: 1/w - φ'/φ - 1", 1 / positive_weight + 1 - 1)
    yield Equal(
        "ln(K_D/K_R) = ln((1+α) r/n)",
        sp.log(pretrain_mass) - sp.log(retrain_mass),
        sp.log((1 + alpha) * retain / total),
    )
    yield Equal("K_DA = κ K_R", descent_ascent_mass, (1 - alpha * retain / forget) * retrain_mass)
    yield Equal(
        "K_R - K_D = 0 exactly at α = f/r",
        retrain_mass - pretrain_mass,
        (UPPER - alpha) * on_coordinate / total,
    )
    yield Positive(
        "1/w - φ'/φ - 1 > 0, with z = e^w - w > 0",
        logistic_slack.subs(sp.exp(positive_weight), positive_weight + z),
    )
