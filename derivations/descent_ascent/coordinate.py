"""One orthogonal coordinate (Sec. 5.1.1; Lemmas 2-5, Corollary 1).

Coordinate j has r_j retained and α r_j forgotten samples, all with y x_j = 1. So an objective is
``K ℓ(w) + λw²/2`` with one *signed mass* K. No proof simplifies Lambert W. Each replaces the mass
by ``K = λ w e^w``, which is what W means.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent import measures
from derivations.ledger.domains import OneOf, positive
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
from derivations.ledger.theorems import Ge, Iff, Le, Lt, Theorem

positive_weight = sp.Symbol("w_+", positive=True)
pretrained, retrained = sp.symbols("w_D w_R", positive=True)
z, r_parameter = sp.symbols("z rho", positive=True)

exponential = mass * sp.exp(-w) + ridge * w**2 / 2
logistic = mass * sp.log(1 + sp.exp(-w)) + ridge * w**2 / 2

# Masses by Eq. 1: r_j and α r_j samples out of the n, r or f samples of a mean.
pretrain_mass = on_coordinate / total + alpha * on_coordinate / total
retrain_mass = on_coordinate / retain
descent_ascent_mass = on_coordinate / retain - alpha * on_coordinate / forget


COUNTS = {
    ridge: positive,
    alpha: positive,
    retain: positive,
    forget: positive,
    on_coordinate: positive,
}
loss = sp.Symbol("loss")
phi_w, rise = sp.symbols("phi_w e", positive=True)  # φ(w) and -φ'(w)
w_D, w_R, w_DA = sp.symbols("w_D w_R w_DA", real=True)


def minima(ridge, alpha, retain_size, forget_size, retain_on_coordinate, loss=measures.EXPONENTIAL):
    """The three minima by bisection of the slopes."""
    sizes = {w_D: retain_size + forget_size, w_R: retain_size}
    masses = {
        w_D: (1 + alpha) * retain_on_coordinate / sizes[w_D],
        w_R: retain_on_coordinate / sizes[w_R],
        w_DA: (1 - alpha * retain_size / forget_size) * retain_on_coordinate / retain_size,
    }
    return {name: measures.weight(signed, ridge, loss) for name, signed in masses.items()}


def closed_form_weights(
    *, alpha=0.1, retain_size=80, forget_size=20, retain_on_coordinate=8, ridge=0.01
):
    """(w_D, w_R, w_DA) in 30 digits, by mpmath's Lambert W. NaN without a stationary point."""
    with mpmath.workdps(30):
        alpha, ridge = mpmath.mpf(alpha), mpmath.mpf(ridge)
        scale = retain_on_coordinate / ridge
        arguments = (
            (1 + alpha) * scale / (retain_size + forget_size),
            scale / retain_size,
            (1 - alpha * retain_size / forget_size) * scale / retain_size,
        )
        return tuple(
            mpmath.lambertw(z).real if z >= -mpmath.exp(-1) else mpmath.nan for z in arguments
        )


@claim(
    "lambert-derivative",
    statement="W′(z) = W / (z (1 + W)), where W is defined by W e^W = z.",
    explanation="Differentiate W e^W = z. This gives (1 + W) e^W W′ = 1, and e^W = z/W.",
    where="App. E.1",
    domain="z != 0, z > -1/e, either branch",
    origin="paper",
    evidence="proved",
    backs="theory_common.numerics.special.lambertw",
    rules=["definition of W", "implicit function"],
    counterexample="a z at which a difference quotient of W is not W/(z(1+W))",
)
def lambert_derivative(derivative=w / (z * (1 + w))):
    along = sp.Function("W")(z)
    slope = sp.solve(sp.diff(along * sp.exp(along) - z, z), sp.diff(along, z))[0].subs(along, w)
    yield Equal("implicit derivative, z eliminated", slope, derivative.subs(z, w * sp.exp(w)))


@claim(
    "lemma-2-closed-forms",
    statement="w_D = W((1+α) r_j/(λn)), w_R = W(r_j/(λr)) and w_DA = W((1 − αr/f) r_j/(rλ)).",
    explanation=(
        "J(w) = K e^{-w} + λw²/2 is stationary exactly when w e^w = K/λ. Only the mass K differs "
        "between the three problems."
    ),
    where="Lemma 2",
    domain="λ, r_j, α > 0; w_DA where its argument is >= -1/e",
    origin="paper",
    evidence="proved",
    backs=[
        "gda_theory.pair.coordinate.pretrain",
        "gda_theory.pair.coordinate.retrain",
        "gda_theory.pair.coordinate.descent_ascent",
        "gda_theory.pair.coordinate.stationary_points",
        "gda_theory.pair.curve.shifted_dual",
    ],
    rules=["definition of W"],
    counterexample="counts at which a numerical minimiser differs from the closed form",
)
def lemma_2(
    pretrain=(1 + alpha) * on_coordinate / (ridge * total),
    retrain=on_coordinate / (ridge * retain),
    descent_ascent=(1 - alpha * retain / forget) * on_coordinate / (retain * ridge),
):
    gradient = sp.diff(exponential, w)
    for name, signed_mass, argument in (
        ("pretraining", pretrain_mass, pretrain),
        ("the oracle", retrain_mass, retrain),
        ("descent-ascent", descent_ascent_mass, descent_ascent),
    ):
        yield Equal(
            f"{name}: e^w J'(w)/λ = w e^w - z",
            gradient.subs(mass, signed_mass) * sp.exp(w) / ridge,
            w * sp.exp(w) - argument,
        )


@claim(
    "lemma-2-branches",
    statement=(
        "At a stationary point J″ = λ(1+w). So W_0 > −1 is the minimum and W_{−1} < −1 the "
        "maximum. There is no stationary point exactly when K/λ < −1/e."
    ),
    explanation=(
        "Replace K by λ w e^w, which is true on both branches. Then Lambert W is not needed. The "
        "function w e^w turns at w = -1, which separates the branches. Its value there, -1/e, is "
        "its least value."
    ),
    where="Lemma 2, App. F, App. H",
    domain="K real, λ > 0",
    origin="corrected",
    evidence="proved",
    backs=[
        "gda_theory.pair.coordinate.stationary_points",
        "gda_theory.pair.coordinate.descent_ascent",
        "gda_theory.pair.coordinate.order_range",
    ],
    rules=["definition of W", "monotone bijection"],
    paper_says="W_{-1} is the minimum and W_0 the maximum (App. F).",
    counterexample="a stationary point w > -1 with J'' <= 0, or one with K/λ < -1/e",
)
def lemma_2_branches(curvature=ridge * (1 + w), threshold=-sp.exp(-1)):
    yield Equal(
        "J'' with K = λ w e^w",
        sp.diff(exponential, w, 2).subs(mass, ridge * w * sp.exp(w)),
        curvature,
    )
    slope = sp.diff(w * sp.exp(w), w)
    yield Equal("w e^w turns exactly where J'' changes sign", slope * ridge, curvature * sp.exp(w))
    yield Equal("its value at the turning point", (w * sp.exp(w)).subs(w, -1), threshold)
    yield Positive("to the right it increases", slope.subs(w, positive_weight - 1))
    yield Positive("to the left it decreases", -slope.subs(w, -positive_weight - 1))


@claim(
    "lemma-3-order",
    statement=(
        "w_DA ≤ w_D ≤ w_R exactly for f²/(r(f+n)) ≤ α ≤ f/r. For smaller α, w_D < w_DA < w_R. For "
        "larger α, w_DA < w_R < w_D."
    ),
    explanation=(
        "W_0 increases, so the weights are ordered as the masses are. The differences of the "
        "masses vanish only at the ends of the range. Every margin loss has the same masses, so "
        "the order and its range do not depend on the loss."
    ),
    where="Lemma 3",
    domain="λ, r_j, α > 0 and a descent-ascent minimum (always for α <= f/r)",
    origin="paper",
    evidence="proved",
    backs="gda_theory.pair.coordinate.order_range",
    theorem=Theorem(
        domain={**COUNTS, loss: OneOf(measures.DECREASING, others=(measures.WAVY,))},
        conclusions={
            "w_D ≤ w_R": Iff(Le(w_D, w_R), Le(alpha, forget / retain)),
            "w_DA ≤ w_D": Iff(
                Le(w_DA, w_D), Ge(alpha, forget**2 / (retain * (2 * forget + retain)))
            ),
            "w_DA < w_R": Lt(w_DA, w_R),
        },
        measure=minima,
    ),
    joins=[
        join(
            "monotone bijection",
            "weights are ordered as masses",
            continuous="known:w/φ(w) is continuous",
            slope="z = w/φ(w) increases, as φ' = -e < 0",
        ),
        join(
            "equivalence",
            "w_D ≤ w_R",
            identity=("weights are ordered as masses", "K_R - K_D"),
            factor="given:retain_on_coordinate in (0, oo)",
        ),
        join(
            "equivalence",
            "w_DA ≤ w_D",
            identity=("weights are ordered as masses", "K_D - K_DA"),
            factor="given:retain_on_coordinate in (0, oo)",
        ),
        join("sign", "w_DA < w_R", sign=("weights are ordered as masses", "K_R > K_DA")),
        join(
            "sign",
            "the range is never empty",
            sign=("length of the range", "so the range is never empty"),
        ),
    ],
    counterexample=(
        "α in the range with w_D outside [w_DA, w_R], or outside the range with it inside"
    ),
)
def lemma_3(lower=forget**2 / (retain * (forget + total)), upper=forget / retain):
    yield Equal("K_R - K_D", retrain_mass - pretrain_mass, (upper - alpha) * on_coordinate / total)
    yield Equal(
        "K_D - K_DA",
        pretrain_mass - descent_ascent_mass,
        (alpha - lower) * on_coordinate * (total + forget) / (forget * total),
    )
    yield Positive("K_R > K_DA", retrain_mass - descent_ascent_mass)
    yield Equal("length of the range", upper - lower, forget * total / (retain * (total + forget)))
    yield Positive("so the range is never empty", forget * total / (retain * (total + forget)))
    slope = sp.diff(w / phi(w), w).subs(sp.diff(phi(w), w), -rise).subs(phi(w), phi_w)
    yield Positive("z = w/φ(w) increases, as φ' = -e < 0", slope.subs(w, positive_weight))


def _lemma_4(**parameters):
    pretrain, retrain, _ = closed_form_weights(**parameters)
    defaults = {"alpha": 0.1, "retain_size": 80, "forget_size": 20} | parameters
    retain, forget = defaults["retain_size"], defaults["forget_size"]
    return float(abs(pretrain - retrain)), float(
        abs(mpmath.log((1 + defaults["alpha"]) * retain / (retain + forget)))
    )


@claim(
    "lemma-4-bound",
    statement="|w_D − w_R| ≤ |ln((1+α) r/n)|. The slack is exactly |ln(w_D/w_R)|.",
    explanation=(
        "Both weights are positive and satisfy w + ln w = ln z. So (w_D - w_R) + ln(w_D/w_R) = "
        "ln(z_D/z_R), and both terms on the left have the same sign. As λ -> 0 the slack vanishes, "
        "since w_D/w_R -> 1: the bound is sharp."
    ),
    where="Lemma 4",
    domain="any λ, α > 0",
    origin="paper",
    evidence="proved",
    backs="gda_theory.pair.coordinate.distances",
    rules=["definition of W", "monotone bijection"],
    relation="<=",
    evaluate=_lemma_4,
    counterexample="λ, α with |w_D - w_R| above |ln((1+α) r/n)|",
)
def lemma_4(log_ratio=sp.log((1 + alpha) * retain / total)):
    exact_gap = (pretrained - retrained) + sp.log(pretrained / retrained)
    masses = {on_coordinate: retrained * sp.exp(retrained) * ridge * retain}
    yield Equal("ln(K_D/K_R)", sp.log(pretrain_mass) - sp.log(retrain_mass), log_ratio)
    # Solve K_D/λ = w_D e^{w_D} and K_R/λ = w_R e^{w_R} for α and r_j.
    # Then the claimed logarithm must be the exact gap.
    ratio = pretrained * sp.exp(pretrained) / (retrained * sp.exp(retrained))
    solved = {alpha: ratio * total / retain - 1}
    yield Equal(
        "check of the elimination",
        (pretrain_mass / ridge).subs(masses | solved).subs(masses),
        pretrained * sp.exp(pretrained),
    )
    yield Equal("the exact gap", log_ratio.subs(solved), exact_gap)
    yield Positive(
        "both terms have one sign: w and ln w increase",
        sp.diff(positive_weight + sp.log(positive_weight), positive_weight),
    )


def _lemma_5(**parameters):
    _, retrain, ascend = closed_form_weights(**{"alpha": 0.255} | parameters)
    return float(retrain - ascend), float(retrain)


@claim(
    "lemma-5-bound",
    statement=(
        "For α ≥ f/r: w_R − w_DA = w_R + |w_DA| ≥ W_0(r_j/(λr)), with equality at α = f/r. The "
        "minimum w_DA exists up to α = f/r + λf/(e r_j)."
    ),
    explanation="For these α the mass is <= 0, and w e^w has the sign of w.",
    where="Lemma 5, App. H",
    domain="α >= f/r, every stationary point w_DA that exists",
    origin="corrected",
    evidence="proved",
    backs="gda_theory.pair.coordinate.distances",
    rules=["definition of W"],
    relation=">=",
    evaluate=_lemma_5,
    paper_says="w_DA → −∞ for every α > f/r (App. H).",
    counterexample="α >= f/r with a stationary w_DA > 0",
)
def lemma_5(
    threshold=forget / retain, existence=forget / retain + ridge * forget / (sp.E * on_coordinate)
):
    yield Equal("K_DA", descent_ascent_mass, (threshold - alpha) * on_coordinate / forget)
    yield Equal(
        "K_DA = λ w e^w at the threshold gives w = 0", descent_ascent_mass.subs(alpha, threshold), 0
    )
    yield Equal(
        "K_DA/λ = -1/e at the end of existence",
        descent_ascent_mass.subs(alpha, existence) / ridge,
        -sp.exp(-1),
    )
    yield Positive("w < 0 for K < 0: -w e^w > 0 there", (-w * sp.exp(w)).subs(w, -positive_weight))


def _corollary_1(**parameters):
    defaults = {
        "alpha": 0.1,
        "retain_size": 80,
        "forget_size": 20,
        "retain_on_coordinate": 8,
        "ridge": 0.01,
    } | parameters
    _, retrain, ascend = closed_form_weights(**defaults)
    kappa = 1 - mpmath.mpf(defaults["alpha"]) * defaults["retain_size"] / defaults["forget_size"]
    ratio = (
        mpmath.mpf(defaults["retain_on_coordinate"]) / defaults["retain_size"] / defaults["ridge"]
    )
    growth = mpmath.log(ratio) - mpmath.log(mpmath.log(ratio)) if ratio >= mpmath.e else mpmath.nan
    return np.array([retrain - ascend, growth], float), np.array(
        [-mpmath.log(kappa), retrain], float
    )


@claim(
    "corollary-1-rate",
    statement=(
        "With κ = 1 − αr/f, w_R − w_DA ≤ min(ln(1/κ), w_R) for every λ. Moreover w_R ≥ ln z − ln "
        "ln z for z = r_j/(λr) ≥ e."
    ),
    explanation=(
        "z_DA = κ z_R and w + ln w = ln z, so the gap is exactly ln(1/κ) - ln(w_R/w_DA). Hence λ "
        "-> 0 alone never makes the gap large. It grows without bound, as w_R does, only if also α "
        "-> f/r."
    ),
    where="Corollary 1",
    domain="0 < α < f/r, any λ > 0; the growth for r_j/(λr) >= e",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.distances",
    rules=["definition of W", "monotone bijection"],
    relation="<=",
    evaluate=_corollary_1,
    counterexample="λ, α < f/r with w_R - w_DA > ln(1/κ)",
)
def corollary_1(kappa=1 - alpha * retain / forget, growth=sp.log(z) - sp.log(sp.log(z))):
    yield Equal("K_DA = κ K_R", descent_ascent_mass, kappa * retrain_mass)
    ascended = sp.Symbol("w_DA", positive=True)
    # Eliminate α by K_DA/K_R = w_DA e^{w_DA}/(w_R e^{w_R}).
    ratio = ascended * sp.exp(ascended) / (retrained * sp.exp(retrained))
    solved = {alpha: (1 - ratio) * forget / retain}
    yield Equal(
        "the exact gap",
        -sp.log(kappa.subs(solved)) - sp.log(retrained / ascended),
        retrained - ascended,
    )
    yield Positive("w_R > w_DA, since κ < 1", 1 - (1 - alpha * retain / forget))
    # For z = w e^w >= e we have w >= 1, and ln z - w = ln w; so w = ln z - ln w >= ln z - ln ln z.
    at_weight = growth.subs(z, w * sp.exp(w)).subs(w, 1 + positive_weight)
    slack = sp.log(1 + sp.log(1 + positive_weight) / (1 + positive_weight))
    yield Equal("w - (ln z - ln ln z) = ln(1 + ln(w)/w)", 1 + positive_weight - at_weight, slack)
    yield Positive(
        "which is > 0 for w > 1: ln w > 0 there",
        sp.diff(sp.log(1 + positive_weight), positive_weight),
    )


@claim(
    "sum-order",
    statement=(
        "With sums of losses (as in scikit-learn), w_DA < w_R < w_D for every α > 0. The minimum "
        "w_DA exists for α ≤ 1 + λ/(e r_j)."
    ),
    explanation=(
        "The masses (1+α) r_j, r_j and (1-α) r_j are equally spaced. So descent-ascent passes the "
        "oracle on its way."
    ),
    where="Lemma 3, with sums instead of means",
    domain="λ, r_j, α > 0; w_DA where it exists",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.order_range",
    rules=["definition of W", "monotone bijection"],
    counterexample="α, λ with sums at which w_R is not between w_DA and w_D",
)
def sum_order(gap=alpha * on_coordinate, existence=1 + ridge / (sp.E * on_coordinate)):
    pretrain = on_coordinate + alpha * on_coordinate
    retrain = on_coordinate
    ascend = on_coordinate - alpha * on_coordinate
    yield Equal("K_D - K_R", pretrain - retrain, gap)
    yield Equal("K_R - K_DA", retrain - ascend, gap)
    yield Positive("the spacing", alpha * on_coordinate)
    yield Equal(
        "K_DA/λ = -1/e at the end of existence", ascend.subs(alpha, existence) / ridge, -sp.exp(-1)
    )


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
    counterexample="a stationary point of K log(1+e^-w) + λw²/2 with w e^w + w != K/λ",
)
def r_lambert_form(left_side=w * sp.exp(w) + w):
    multiplier = (1 + sp.exp(w)) / ridge
    yield Equal("(1+e^w) J'(w)/λ", sp.diff(logistic, w) * multiplier, left_side - mass / ridge)
    yield Positive("the multiplier", multiplier)


@claim(
    "r-lambert-monotone",
    statement=(
        "g(w) = w e^w + ρw has slope ≥ ρ − e^{−2}, with equality at w = −2. So there is one real "
        "branch exactly for ρ ≥ e^{−2}."
    ),
    explanation="g'' = (2+w) e^w changes sign once, from minus to plus. So g' is least at -2.",
    where="beyond Sec. 5.1.1: the true logistic loss",
    domain="ρ >= e^-2",
    origin="new",
    evidence="proved",
    backs=[
        "theory_common.numerics.special.r_lambertw",
        "theory_common.numerics.special.r_lambertw_exp",
    ],
    rules=["monotone bijection"],
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


@claim(
    "logistic-minimum-exists",
    statement=(
        "Logistic loss, any signed mass: there is exactly one stationary point. It is a minimum, "
        "with J″ = λ(1 + (1+w)e^w)/(1+e^w) > 0."
    ),
    explanation=(
        "w e^w + w increases from -oo to oo (r-lambert-monotone, as 1 > e^-2). So it takes the "
        "value K/λ once, and its slope is the numerator of J''. Hence logistic descent-ascent on "
        "one coordinate never diverges, whatever the strength."
    ),
    where="beyond Sec. 5.1.1: the true logistic loss",
    domain="every K, λ > 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.stationary_points",
    rules=["intermediate value", "monotone bijection"],
    counterexample="K, λ with no or two stationary points, or with J'' <= 0 at one",
)
def logistic_minimum(curvature=ridge * (1 + (1 + w) * sp.exp(w)) / (1 + sp.exp(w))):
    stationary_mass = sp.solve(sp.diff(logistic, w), mass)[0]
    yield Equal(
        "J'' with K eliminated", sp.diff(logistic, w, 2).subs(mass, stationary_mass), curvature
    )
    slope = sp.diff(w * sp.exp(w) + w, w)
    yield Equal("its sign is the slope of w e^w + w", curvature * (1 + sp.exp(w)), ridge * slope)
    yield Positive("the least slope, 1 - e^-2", 1 - sp.exp(-2))


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
        "λw = Kφ(w) gives dw/d ln K = 1/(1/w − φ′/φ). For the logistic loss too this is at most 1, "
        "so |w_D − w_R| ≤ |ln((1+α) r/n)|."
    ),
    explanation=(
        "The gap is the integral of dw/d ln K over an interval of length |ln(K_D/K_R)|. In the "
        "same way w_R - w_DA <= ln(1/κ) (corollary-1-rate). For the logistic loss -φ'/φ = "
        "1/(1+e^-w), and 1/w - φ'/φ - 1 > 0 because e^w > w."
    ),
    where="Lemma 4, carried over",
    domain=(
        "losses with φ > 0 decreasing and w(1 + φ'/φ) <= 1 for w > 0: exponential (0 <= 1) and "
        "logistic"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.distances",
    rules=["tangent line", "monotone bijection"],
    relation="<=",
    evaluate=_lemma_4_logistic,
    counterexample="a loss of that kind with |w_D - w_R| > |ln((1+α) r/n)|",
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
    tangent = {sp.exp(positive_weight): 1 + positive_weight}
    yield Positive(
        "1 + e^w - w > 0: put 1 + w below e^w",
        (1 + sp.exp(positive_weight) - positive_weight).subs(tangent),
    )


excess, kappa_mass = sp.symbols("delta kappa", positive=True)


@claim(
    "coordinate-runs-away",
    statement=(
        "Let K/λ = −κ < −1/e. Every step lowers w by at least ηλ(1 + ln κ), whatever its size η, "
        "so w → −∞. The flow gets there in finite time. Near the threshold, δ = 1 + ln κ → 0, this "
        "time is π√2/(λ√δ) to leading order."
    ),
    explanation=(
        "K/λ < −1/e means α > f/r + λf/(e r_j). J'(w)/λ = w + κ e^{-w} is convex, and least at w = "
        "ln κ. As w -> -oo it grows like e^{-w}, so the time, the integral of 1/J', is finite. "
        "Near its least value it is δ + (w - ln κ)²/2."
    ),
    where="App. H: where w_DA -> -infinity is true",
    domain="exponential loss, K/λ = -κ < -1/e; simultaneous steps of any size η > 0, and the flow",
    origin="corrected",
    evidence="proved",
    backs=["gda_theory.pair.coordinate.descent_ascent", "gda_theory.dynamics.outcomes.explain"],
    rules=["convexity", "tangent line"],
    paper_says="w_DA → −∞ for every α > f/r (App. H).",
    counterexample="K/λ < -1/e with a step that raises w, or a flow that exists for all time",
)
def coordinate_runs_away(
    least_drift=1 + sp.log(kappa_mass),
    turning=sp.log(kappa_mass),
    escape=sp.pi * sp.sqrt(2) / (ridge * sp.sqrt(excess)),
):
    slope = (sp.diff(exponential, w) / ridge).subs(mass, -kappa_mass * ridge)
    yield Equal("J'/λ turns at ln κ", sp.diff(slope, w).subs(w, turning), 0)
    yield Positive("it is convex", sp.diff(slope, w, 2))
    yield Equal("least value", slope.subs(w, turning), least_drift)
    yield Equal("which is 0 at κ = 1/e", least_drift.subs(kappa_mass, sp.exp(-1)), 0)
    far = slope.subs(w, -positive_weight)
    yield Equal(
        "J'/λ grows like e^{-w}",
        sp.limit(far * sp.exp(-positive_weight), positive_weight, sp.oo),
        kappa_mass,
    )
    local = sp.series(slope.subs(w, turning + z), z, 0, 3).removeO()
    yield Equal("near the least value", sp.expand(local), least_drift + z**2 / 2)
    u = sp.Symbol("u", real=True)
    yield Equal(
        "passage time", sp.integrate(1 / (excess + u**2 / 2), (u, -sp.oo, sp.oo)) / ridge, escape
    )


@claim(
    "semistable-approach",
    statement=(
        "At K/λ = −1/e the only stationary point is w = −1. From above the flow reaches it as w + "
        "1 ~ 2/(λt). From below the flow runs away."
    ),
    explanation=(
        "With v = w + 1 the flow is v' = λ(1 - v - e^{-v}) <= 0. So d(1/v)/dt = -v'/v² -> λ/2 as v "
        "-> 0."
    ),
    where="Lemma 2 at its end: K/λ = -1/e",
    domain="exponential loss, gradient flow from w > -1",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.stationary_points",
    rules=["tangent line"],
    counterexample="a start w > -1 with (w(t) + 1) t tending to another number",
)
def semistable_approach(rate=ridge / 2, flow=ridge * (1 - z - sp.exp(-z))):
    velocity = -sp.diff(exponential, w).subs(mass, -ridge * sp.exp(-1))
    yield Equal("flow in v = w + 1", velocity.subs(w, z - 1), flow)
    yield Equal("d(1/v)/dt as v -> 0", sp.limit(-flow / z**2, z, 0), rate)
    yield Equal("w = -1 is stationary", velocity.subs(w, -1), 0)
    yield Equal(
        "v' = -λ (e^{-v} - (1 - v)), and e^{-v} > 1 - v", -flow / ridge, sp.exp(-z) - (1 - z)
    )


@claim(
    "order-range-sharp",
    statement=(
        "Both ends of Lemma 3's range are attained: w_D = w_DA at f²/(r(f+n)), and w_D = w_R at "
        "f/r. The difference changes sign there with nonzero slope. So for every λ the order is "
        "lost at once beyond either end."
    ),
    explanation=(
        "The differences of the masses are linear in α. At the lower end K_D = K_DA = r_j "
        "n/(r(n+f)); at the upper end w_DA = 0."
    ),
    where="Lemma 3, its sharpness",
    domain="λ, r_j > 0",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.order_range",
    rules=["monotone bijection"],
    counterexample="an α outside the range, however near, with w_DA <= w_D <= w_R",
)
def lemma_3_sharp(
    lower_slope=on_coordinate * (total + forget) / (forget * total),
    upper_slope=-on_coordinate / total,
    at_lower=on_coordinate * total / (retain * (total + forget)),
):
    lower, upper = forget**2 / (retain * (forget + total)), forget / retain
    yield Equal(
        "slope of K_D - K_DA", sp.diff(pretrain_mass - descent_ascent_mass, alpha), lower_slope
    )
    yield Equal("slope of K_R - K_D", sp.diff(retrain_mass - pretrain_mass, alpha), upper_slope)
    yield Equal("K_D at the lower end", pretrain_mass.subs(alpha, lower), at_lower)
    yield Equal("K_DA at the lower end", descent_ascent_mass.subs(alpha, lower), at_lower)
    yield Equal("K_DA at the upper end", descent_ascent_mass.subs(alpha, upper), 0)
    yield Positive("lower slope", lower_slope)
    yield Positive("upper slope", -upper_slope)
