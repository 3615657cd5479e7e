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
from mpmath import mpf

from derivations.descent_ascent import measures, scalar_measures
from derivations.ledger.domains import (
    Integers,
    Interval,
    OneOf,
    positive,
    positive_within,
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
    Ne,
    NoValue,
    Theorem,
    limit,
)

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


def masses_by_eq_1(*, alpha, retain_size, forget_size, retain_on_coordinate, ridge=None):
    """The signed masses of pretraining, the oracle and descent-ascent."""
    return (
        (w_D, (1 + alpha) * retain_on_coordinate / (retain_size + forget_size)),
        (w_R, retain_on_coordinate / retain_size),
        (w_DA, (1 - alpha * retain_size / forget_size) * retain_on_coordinate / retain_size),
    )


def minima(ridge, loss=measures.EXPONENTIAL, **counts):
    """The three minima by bisection of the slopes."""
    masses = masses_by_eq_1(**counts)
    return {name: measures.weight(signed, ridge, loss) for name, signed in masses}


found, slope_found = sp.symbols("exists_DA slope", real=True)
LOWER = forget**2 / (retain * (2 * forget + retain))  # the ends of Lemma 3's range
UPPER = forget / retain
LAST = UPPER + ridge * forget / (sp.E * on_coordinate)  # the end of existence


def minima_or_none(**parameters):
    """The three minima. ``w_DA`` is -oo, and ``exists_DA`` is 0, where descent-ascent has none."""
    masses = masses_by_eq_1(**parameters)
    weights = {name: measures.weight(signed, parameters["ridge"]) for name, signed in masses[:2]}
    return weights | _minimum_or_none(masses[2][1], parameters["ridge"])


def _minimum_or_none(signed_mass, ridge):
    try:
        return {w_DA: measures.weight(signed_mass, ridge), found: 1}
    except NoValue:
        return {w_DA: -mpmath.inf, found: 0}


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


slope_of_W = sp.Symbol("slope_W", real=True)


def _slope_of_inverse(weight):
    """W'(z) at z = w e^w by a difference quotient of the bisected inverse."""

    def inverse(z):
        return scalar_measures.inverse(z, scalar_measures.side(weight))

    z_there = weight * mpmath.exp(weight)
    return {z: z_there, slope_of_W: scalar_measures.derivative(inverse, z_there)}


@claim(
    "lambert-derivative",
    statement="W′(z) = W / (z (1 + W)), where W is defined by W e^W = z.",
    explanation="Differentiate W e^W = z. This gives (1 + W) e^W W′ = 1, and e^W = z/W.",
    where="App. E.1",
    domain="z != 0, z > -1/e, either branch",
    origin="paper",
    evidence="proved",
    backs="theory_common.numerics.special.lambertw",
    theorem=Theorem(
        domain={w: real},
        hypotheses=(Ne(w, 0), Ne(w, -1)),
        conclusions={"W′": Eq(slope_of_W, w / (z * (1 + w)))},
        measure=_slope_of_inverse,
    ),
    joins=[
        join(
            "implicit function",
            "W is differentiable",
            jacobian=("the slope of w e^w", "given:weight != -1"),
            smooth="known:w e^w is smooth",
        ),
        join(
            "identity",
            "W′",
            equation=("W is differentiable", "implicit derivative, z eliminated"),
        ),
    ],
    counterexample="a z at which a difference quotient of W is not W/(z(1+W))",
)
def lambert_derivative(derivative=w / (z * (1 + w))):
    along = sp.Function("W")(z)
    slope = sp.solve(sp.diff(along * sp.exp(along) - z, z), sp.diff(along, z))[0].subs(along, w)
    yield Equal("implicit derivative, z eliminated", slope, derivative.subs(z, w * sp.exp(w)))
    yield Equal("the slope of w e^w", sp.diff(w * sp.exp(w), w), (1 + w) * sp.exp(w))


@claim(
    "lemma-2-closed-forms",
    statement="w_D = W((1+α) r_j/(λn)), w_R = W(r_j/(λr)) and w_DA = W((1 − αr/f) r_j/(rλ)).",
    explanation=(
        "J(w) = K e^{-w} + λw²/2 is stationary exactly when w e^w = K/λ. Only the mass K differs "
        "between the three problems."
    ),
    where="Lemma 2",
    domain="λ, r_j, α > 0; w_DA where its argument is > -1/e",
    origin="paper",
    evidence="proved",
    backs=[
        "gda_theory.pair.coordinate.pretrain",
        "gda_theory.pair.coordinate.retrain",
        "gda_theory.pair.coordinate.descent_ascent",
        "gda_theory.pair.coordinate.stationary_points",
        "gda_theory.pair.curve.shifted_dual",
    ],
    theorem=Theorem(
        domain=COUNTS,
        hypotheses=(
            Gt((1 - alpha * retain / forget) * on_coordinate / (retain * ridge), -sp.exp(-1)),
        ),
        conclusions={
            "w_D": Eq(w_D, sp.LambertW((1 + alpha) * on_coordinate / (ridge * (retain + forget)))),
            "w_R": Eq(w_R, sp.LambertW(on_coordinate / (ridge * retain))),
            "w_DA": Eq(
                w_DA,
                sp.LambertW((1 - alpha * retain / forget) * on_coordinate / (retain * ridge)),
            ),
        },
        measure=minima,
    ),
    joins=[
        join(
            "definition of W",
            name,
            equation=(f"{problem}: e^w J'(w)/λ = w e^w - z", "claim:lemma-2-branches"),
        )
        for name, problem in (
            ("w_D", "pretraining"),
            ("w_R", "the oracle"),
            ("w_DA", "descent-ascent"),
        )
    ],
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


count, minimum, maximum = sp.symbols("stationary_points minimum maximum", real=True)
bend_min, bend_max = sp.symbols("bend_min bend_max", real=True)
ratio = sp.Symbol("ratio", real=True)  # K/λ


def _branches(ratio, ridge):
    """How many stationary points there are, the minimum and the maximum, with J'' at both."""
    points = scalar_measures.zeros_of_slope(ratio * ridge, ridge)
    objective = scalar_measures.one_weight_objective(ratio * ridge, ridge)
    measured = {count: len(points)} | dict.fromkeys(
        (minimum, maximum, bend_min, bend_max), mpmath.nan
    )
    kinds = ((minimum, bend_min), (maximum, bend_max))
    for (name, bend), point in zip(kinds, points[::-1], strict=False):
        measured |= {name: point, bend: scalar_measures.derivative(objective, point, 2)}
    return measured


@claim(
    "lemma-2-branches",
    statement=(
        "At a stationary point J″ = λ(1+w). So W_0 > −1 is the minimum and W_{−1} < −1 the "
        "maximum, which exists for −1/e < K/λ < 0. There is no stationary point exactly when K/λ "
        "< −1/e."
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
    theorem=Theorem(
        domain={ratio: real, ridge: positive},
        conclusions={
            "J'' at the minimum": Implies(
                Gt(ratio, -sp.exp(-1)), Eq(bend_min, ridge * (1 + minimum))
            ),
            "W_0 is the minimum": Implies(
                Gt(ratio, -sp.exp(-1)), (Gt(minimum, -1), Gt(bend_min, 0))
            ),
            "J'' at the maximum": Implies(
                (Gt(ratio, -sp.exp(-1)), Lt(ratio, 0)), Eq(bend_max, ridge * (1 + maximum))
            ),
            "W_-1 is the maximum": Implies(
                (Gt(ratio, -sp.exp(-1)), Lt(ratio, 0)), (Lt(maximum, -1), Lt(bend_max, 0))
            ),
            "when there is a maximum": Iff(Eq(count, 2), (Gt(ratio, -sp.exp(-1)), Lt(ratio, 0))),
            "when there is none": Iff(Eq(count, 0), Lt(ratio, -sp.exp(-1))),
        },
        measure=_branches,
        points=80,
    ),
    joins=[
        join(
            "definition of W",
            "stationary points are the roots of w e^w = K/λ",
            equation="e^w J'(w)/λ = w e^w - K/λ",
        ),
        join(
            "identity",
            ("J'' at the minimum", "J'' at the maximum"),
            equation=(
                "J'' with K = λ w e^w",
                "stationary points are the roots of w e^w = K/λ",
            ),
        ),
        join(
            "monotone bijection",
            "one root on each side of -1",
            continuous="known:w e^w is continuous, with the limits 0 at -oo and oo at oo",
            slope=("to the right it increases", "to the left it decreases"),
        ),
        join(
            "intermediate value",
            ("when there is a maximum", "when there is none"),
            continuous=(
                "stationary points are the roots of w e^w = K/λ",
                "one root on each side of -1",
            ),
            ends="its value at the turning point",
        ),
        join(
            "sign",
            ("W_0 is the minimum", "W_-1 is the maximum"),
            sign=(
                "J'' at the minimum",
                "J'' at the maximum",
                "one root on each side of -1",
                "w e^w turns exactly where J'' changes sign",
            ),
        ),
    ],
    paper_says="W_{-1} is the minimum and W_0 the maximum (App. F).",
    counterexample="a stationary point w > -1 with J'' <= 0, or one with K/λ < -1/e",
)
def lemma_2_branches(curvature=ridge * (1 + w), threshold=-sp.exp(-1)):
    yield Equal(
        "J'' with K = λ w e^w",
        sp.diff(exponential, w, 2).subs(mass, ridge * w * sp.exp(w)),
        curvature,
    )
    yield Equal(
        "e^w J'(w)/λ = w e^w - K/λ",
        sp.diff(exponential, w) * sp.exp(w) / ridge,
        w * sp.exp(w) - mass / ridge,
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


LOG_RATIO = sp.Abs(sp.log((1 + alpha) * retain / (retain + forget)))


def weights_of_means(ridge, loss=measures.EXPONENTIAL, **counts):
    """w_D and w_R, which exist at every strength."""
    return {
        name: measures.weight(signed, ridge, loss) for name, signed in masses_by_eq_1(**counts)[:2]
    }


def _lemma_4(**parameters):
    pretrain, retrain, _ = closed_form_weights(**parameters)
    defaults = {"alpha": 0.1, "retain_size": 80, "forget_size": 20} | parameters
    retain, forget = defaults["retain_size"], defaults["forget_size"]
    return float(abs(pretrain - retrain)), float(
        abs(mpmath.log((1 + defaults["alpha"]) * retain / (retain + forget)))
    )


@claim(
    "lemma-4-bound",
    statement=(
        "|w_D − w_R| ≤ |ln((1+α) r/n)|, with equality exactly at α = f/r. The slack is "
        "|ln(w_D/w_R)|."
    ),
    explanation=(
        "Both weights are positive and satisfy w + ln w = ln z. So (w_D - w_R) + ln(w_D/w_R) = "
        "ln(z_D/z_R), and both terms on the left have the same sign."
    ),
    where="Lemma 4",
    domain="any λ, α > 0",
    origin="paper",
    evidence="proved",
    backs="gda_theory.pair.coordinate.distances",
    theorem=Theorem(
        domain=COUNTS,
        conclusions={
            "bound": Le(sp.Abs(w_D - w_R), LOG_RATIO),
            "equality": Iff(Eq(sp.Abs(w_D - w_R), LOG_RATIO), Eq(alpha, UPPER)),
            "slack": Eq(LOG_RATIO - sp.Abs(w_D - w_R), sp.Abs(sp.log(w_D / w_R))),
        },
        measure=weights_of_means,
        points=15,
    ),
    joins=[
        join(
            "definition of W",
            "w + ln w = ln z for both",
            equation=("claim:lemma-2-closed-forms", "check of the elimination"),
        ),
        join(
            "monotone bijection",
            "w_D - w_R and ln(w_D/w_R) have one sign",
            continuous="known:w + ln w is continuous for w > 0",
            slope="both terms have one sign: w and ln w increase",
        ),
        join(
            "identity",
            "slack",
            equation=(
                "ln(K_D/K_R)",
                "the exact gap",
                "w + ln w = ln z for both",
                "w_D - w_R and ln(w_D/w_R) have one sign",
            ),
        ),
        join("sign", "bound", sign="slack"),
        join(
            "equivalence",
            "equality",
            identity=("slack", "K_R - K_D"),
            factor="K_R = K_D only there",
        ),
    ],
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
    yield Equal("K_R - K_D", retrain_mass - pretrain_mass, (UPPER - alpha) * on_coordinate / total)
    yield Positive("K_R = K_D only there", on_coordinate / total)


def _lemma_5(**parameters):
    _, retrain, ascend = closed_form_weights(**{"alpha": 0.255} | parameters)
    return float(retrain - ascend), float(retrain)


@claim(
    "lemma-5-bound",
    statement=(
        "For α ≥ f/r: w_R − w_DA = w_R + |w_DA| ≥ W_0(r_j/(λr)), with equality exactly at α = "
        "f/r. The minimum w_DA exists exactly for α < f/r + λf/(e r_j)."
    ),
    explanation="For these α the mass is <= 0, and w e^w has the sign of w.",
    where="Lemma 5, App. H",
    domain="α >= f/r; the first sentence where the minimum w_DA exists",
    origin="corrected",
    evidence="proved",
    backs="gda_theory.pair.coordinate.distances",
    theorem=Theorem(
        domain=COUNTS,
        hypotheses=(Ge(alpha, UPPER),),
        conclusions={
            "gap": Implies(Eq(found, 1), Eq(w_R - w_DA, w_R + sp.Abs(w_DA))),
            "bound": Implies(
                Eq(found, 1), Ge(w_R - w_DA, sp.LambertW(on_coordinate / (ridge * retain)))
            ),
            "equality": Iff(
                Eq(w_R - w_DA, sp.LambertW(on_coordinate / (ridge * retain))), Eq(alpha, UPPER)
            ),
            "existence": Iff(Eq(found, 1), Lt(alpha, LAST)),
        },
        measure=minima_or_none,
        points=15,
        digits=90,  # 1 - αr/f cancels, and r_j/(λr) is up to 1e36
    ),
    joins=[
        join(
            "equivalence",
            ("existence",),
            identity=("K_DA/λ = -1/e at the end of existence", "claim:lemma-2-branches"),
            factor="K_DA falls as α grows",
        ),
        join(
            "sign",
            "w_DA <= 0",
            sign=(
                "K_DA",
                "given:alpha >= forget_size/retain_size",
                "w < 0 for K < 0: -w e^w > 0 there",
                "K_DA = λ w e^w at the threshold gives w = 0",
                "claim:lemma-2-branches",
            ),
        ),
        join("identity", "gap", equation="w_DA <= 0"),
        join(
            "sign", ("bound", "equality"), sign=("gap", "w_DA <= 0", "claim:lemma-2-closed-forms")
        ),
    ],
    relation=">=",
    evaluate=_lemma_5,
    paper_says="w_DA → −∞ for every α > f/r (App. H).",
    counterexample="α >= f/r with a minimum w_DA > 0",
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
    yield Positive("K_DA falls as α grows", -sp.diff(descent_ascent_mass, alpha))
    yield Positive("w < 0 for K < 0: -w e^w > 0 there", (-w * sp.exp(w)).subs(w, -positive_weight))


Z_R = on_coordinate / (ridge * retain)


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
        "With κ = 1 − αr/f, w_R − w_DA < min(ln(1/κ), w_R) for every λ. Moreover w_R > ln z − ln "
        "ln z for z = r_j/(λr) > e."
    ),
    explanation=(
        "z_DA = κ z_R and w + ln w = ln z, so the gap is exactly ln(1/κ) - ln(w_R/w_DA). Hence λ "
        "-> 0 alone never makes the gap large."
    ),
    where="Corollary 1",
    domain="0 < α < f/r, any λ > 0; the growth for r_j/(λr) > e",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.distances",
    theorem=Theorem(
        domain=COUNTS,
        hypotheses=(Lt(alpha, UPPER),),
        conclusions={
            "logarithm": Lt(w_R - w_DA, -sp.log(1 - alpha * retain / forget)),
            "weight": Lt(w_R - w_DA, w_R),
            "growth": Implies(Gt(Z_R, sp.E), Gt(w_R, sp.log(Z_R) - sp.log(sp.log(Z_R)))),
        },
        measure=minima,
    ),
    joins=[
        join(
            "definition of W",
            "w + ln w = ln z for both",
            equation=("claim:lemma-2-closed-forms", "K_DA = κ K_R", "the exact gap"),
        ),
        join(
            "monotone bijection",
            "0 < w_DA < w_R",
            continuous="known:w e^w is continuous",
            slope=(
                "w e^w increases for w > 0",
                "w_R > w_DA, since κ < 1",
                "given:alpha < forget_size/retain_size",
            ),
        ),
        join("sign", "logarithm", sign=("w + ln w = ln z for both", "0 < w_DA < w_R")),
        join("sign", "weight", sign="0 < w_DA < w_R"),
        join(
            "sign",
            "growth",
            sign=(
                "w - (ln z - ln ln z) = ln(1 + ln(w)/w)",
                "which is > 0 for w > 1: ln w > 0 there",
                "w e^w increases for w > 0",
                "claim:lemma-2-closed-forms",
            ),
        ),
    ],
    relation="<=",
    evaluate=_corollary_1,
    counterexample="λ, α < f/r with w_R - w_DA >= ln(1/κ)",
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
    yield Positive("w e^w increases for w > 0", sp.diff(positive_weight * sp.exp(positive_weight)))
    # For z = w e^w >= e we have w >= 1, and ln z - w = ln w; so w = ln z - ln w >= ln z - ln ln z.
    at_weight = growth.subs(z, w * sp.exp(w)).subs(w, 1 + positive_weight)
    slack = sp.log(1 + sp.log(1 + positive_weight) / (1 + positive_weight))
    yield Equal("w - (ln z - ln ln z) = ln(1 + ln(w)/w)", 1 + positive_weight - at_weight, slack)
    yield Positive(
        "which is > 0 for w > 1: ln w > 0 there",
        sp.diff(sp.log(1 + positive_weight), positive_weight),
    )


def minima_of_sums(ridge, alpha, retain_on_coordinate):
    """The three minima of sums of losses."""
    weights = {
        name: measures.weight(share * retain_on_coordinate, ridge)
        for name, share in ((w_D, 1 + alpha), (w_R, 1))
    }
    return weights | _minimum_or_none((1 - alpha) * retain_on_coordinate, ridge)


@claim(
    "sum-order",
    statement=(
        "With sums of losses (as in scikit-learn), w_DA < w_R < w_D for every α > 0. The minimum "
        "w_DA exists exactly for α < 1 + λ/(e r_j)."
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
    theorem=Theorem(
        domain={ridge: positive, alpha: positive, on_coordinate: positive},
        conclusions={
            "w_R < w_D": Lt(w_R, w_D),
            "w_DA < w_R": Implies(Eq(found, 1), Lt(w_DA, w_R)),
            "existence": Iff(Eq(found, 1), Lt(alpha, 1 + ridge / (sp.E * on_coordinate))),
        },
        measure=minima_of_sums,
    ),
    joins=[
        join(
            "monotone bijection",
            "weights are ordered as masses",
            continuous="known:w e^w is continuous",
            slope="w e^w increases for w > -1",
        ),
        join(
            "sign",
            ("w_R < w_D",),
            sign=("K_D - K_R", "the spacing", "weights are ordered as masses"),
        ),
        join(
            "sign",
            ("w_DA < w_R",),
            sign=("K_R - K_DA", "the spacing", "weights are ordered as masses"),
        ),
        join(
            "equivalence",
            "existence",
            identity=("K_DA/λ = -1/e at the end of existence", "claim:lemma-2-branches"),
            factor="K_DA falls as α grows",
        ),
    ],
    counterexample="α, λ with sums at which w_R is not between w_DA and w_D",
)
def sum_order(gap=alpha * on_coordinate, existence=1 + ridge / (sp.E * on_coordinate)):
    pretrain = on_coordinate + alpha * on_coordinate
    retrain = on_coordinate
    ascend = on_coordinate - alpha * on_coordinate
    yield Equal("K_D - K_R", pretrain - retrain, gap)
    yield Equal("K_R - K_DA", retrain - ascend, gap)
    yield Positive("the spacing", alpha * on_coordinate)
    yield Positive("K_DA falls as α grows", -sp.diff(ascend, alpha))
    yield Positive(
        "w e^w increases for w > -1", sp.diff(w * sp.exp(w), w).subs(w, positive_weight - 1)
    )
    yield Equal(
        "K_DA/λ = -1/e at the end of existence", ascend.subs(alpha, existence) / ridge, -sp.exp(-1)
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


excess, kappa_mass = sp.symbols("delta kappa", positive=True)


lowered, lowered_once = sp.symbols("lowered lowered_once", real=True)
time, near_zero = sp.symbols("time delta_0", real=True)
step_size = sp.Symbol("eta", positive=True)
steps_done = sp.Symbol("n_steps", integer=True, positive=True)
start_above = sp.Symbol("start_above", positive=True)  # w + 1 at the start of the long way
time_above, time_farther = sp.symbols("time_above time_farther", real=True)
delta_there = sp.Symbol("delta_there", real=True)
SLOW_RATE = ridge * sp.sqrt(delta_there) / (sp.pi * sp.sqrt(2))


def _running_away(ridge, delta, weight, eta, n_steps, start_above, delta_0=None):
    """What gradient steps do, and the flow's times by quadrature."""
    if delta_0 is not None:
        small = delta_0 * min(1, start_above) ** 2  # the passage is as wide as the root of δ
        times = (
            scalar_measures.time_to_minus_infinity(factor * start_above - 1, small - 1) / ridge
            for factor in (1, 3)
        )
        return {delta_there: small} | dict(zip((time_above, time_farther), times, strict=True))
    mass = -ridge * mpmath.exp(delta - 1)
    end = scalar_measures.steps_down(mass, ridge, weight, eta, int(n_steps))
    return {
        lowered: weight - end,
        lowered_once: weight - scalar_measures.steps_down(mass, ridge, weight, eta, 1),
        time: scalar_measures.time_to_minus_infinity(weight, delta - 1) / ridge,
    }


@claim(
    "coordinate-runs-away",
    statement=(
        "Let K/λ = −κ < −1/e, and δ = 1 + ln κ. Each step lowers w by at least ηλδ, whatever its "
        "size η. Equality holds exactly at w = ln κ. The flow reaches −∞ before the time max(w − "
        "ln κ, 0)/(λδ) + π/(λ√(2δ)). As δ → 0 this time is π√2/(λ√δ) to leading order, from every "
        "start above −1."
    ),
    explanation=(
        "K/λ < −1/e means α > f/r + λf/(e r_j). J'(w)/λ = w + κ e^{-w} is convex, and its least "
        "value δ is at w = ln κ. To the left of ln κ it is at least δ + (w - ln κ)²/2, so the "
        "time, the integral of 1/J', is finite. Near ln κ it is δ + (w - ln κ)²/2 up to a cubic "
        "term."
    ),
    where="App. H: where w_DA -> -infinity is true",
    domain="exponential loss, K/λ = -κ < -1/e; simultaneous steps of any size η > 0, and the flow",
    origin="corrected",
    evidence="proved",
    backs=["gda_theory.pair.coordinate.descent_ascent", "gda_theory.dynamics.outcomes.explain"],
    theorem=Theorem(
        domain={
            ridge: positive,
            excess: positive,
            w: real,
            step_size: positive,
            steps_done: Integers(1, 4),
            start_above: positive,
        },
        conclusions={
            "steps": Ge(lowered / (step_size * ridge), steps_done * excess),
            "equality": Iff(Eq(lowered_once / (step_size * ridge), excess), Eq(w, excess - 1)),
            "time": Lt(
                time,
                (sp.Max(w - excess + 1, 0) / excess + sp.pi / sp.sqrt(2 * excess)) / ridge,
            ),
            # The sum of two starts' errors: one alone may vanish at the first scale.
            "slow passage": limit(
                sp.Abs(time_above * SLOW_RATE - 1) + sp.Abs(time_farther * SLOW_RATE - 1),
                0,
                near_zero,
                power=sp.Rational(1, 2),
                at=("1e-8", "1e-10"),
            ),
        },
        measure=_running_away,
        digits=90,  # w - (its next) cancels
    ),
    joins=[
        join(
            "convexity",
            "J'/λ >= δ, with equality only at ln κ",
            convex=("it is convex", "least value", "J'/λ turns at ln κ"),
            coercive="J'/λ grows like e^{-w}",
        ),
        join(
            "induction",
            ("steps", "equality"),
            base="J'/λ >= δ, with equality only at ln κ",
            step="J'/λ >= δ, with equality only at ln κ",
        ),
        join(
            "sign",
            "J'/λ >= δ + u²/2 for u < 0",
            sign=(
                "the excess over δ + u²/2 at u = -z",
                "known:e^z > 1 + z + z²/2 for z > 0",
            ),
        ),
        join(
            "sign",
            "time",
            sign=(
                "J'/λ >= δ, with equality only at ln κ",
                "J'/λ >= δ + u²/2 for u < 0",
                "half of the passage time",
            ),
        ),
        join(
            "Taylor",
            "slow passage",
            second_derivative=(
                "near the least value",
                "which is 0 at κ = 1/e",
                "passage time",
                "known:the rest of the integral stays bounded",
            ),
        ),
    ],
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
    left = slope.subs(w, turning - z) - least_drift - z**2 / 2  # at u = w - ln κ = -z
    yield Equal("the excess over δ + u²/2 at u = -z", left, sp.exp(z) - 1 - z - z**2 / 2)
    local = sp.series(slope.subs(w, turning + z), z, 0, 3).removeO()
    yield Equal("near the least value", sp.expand(local), least_drift + z**2 / 2)
    u = sp.Symbol("u", real=True)
    yield Equal(
        "passage time", sp.integrate(1 / (excess + u**2 / 2), (u, -sp.oo, sp.oo)) / ridge, escape
    )
    yield Equal("half of the passage time", escape / 2, sp.pi / (ridge * sp.sqrt(2 * excess)))


distance = sp.Symbol("distance", positive=True)  # w + 1, or its size below -1
start_distance = sp.Symbol("start_distance", positive=True)
descent, fall_time = sp.symbols("slope_v fall_time", real=True)


def _semistable(ridge, distance, start_distance, weight):
    """Times of the flow at K/λ = -1/e by quadrature, and J'(w) by a difference quotient."""
    mass = -ridge * mpmath.exp(-1)
    return {
        time: scalar_measures.time_between(start_distance, distance) / ridge,
        fall_time: scalar_measures.time_below(distance) / ridge,
        descent: scalar_measures.derivative(
            scalar_measures.one_weight_objective(mass, ridge), weight
        ),
    }


@claim(
    "semistable-approach",
    statement=(
        "At K/λ = −1/e the only stationary point is w = −1. From above, v = w + 1 falls from v₀ "
        "to v in a time t with 2/v − 2/v₀ < λt < 2/v − 2/v₀ + ln(v₀/v). From w = −1 − v the flow "
        "reaches −∞ before the time 2/(λv)."
    ),
    explanation=(
        "With v = w + 1 the flow is v' = -λ(v - 1 + e^{-v}). The bracket lies between v²/(2 + v) "
        "and v²/2 for v > 0, and above v²/2 for v < 0. Both bounds of λt are 2/v to leading "
        "order, so w + 1 ~ 2/(λt)."
    ),
    where="Lemma 2 at its end: K/λ = -1/e",
    domain="exponential loss, gradient flow; 0 < v < v₀",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.stationary_points",
    theorem=Theorem(
        domain={
            ridge: positive,
            distance: positive_within(3),  # quadrature over 6 decades
            start_distance: positive_within(3),
            w: real,
        },
        hypotheses=(Lt(distance, start_distance),),
        conclusions={
            "one stationary point": Iff(Eq(descent / ridge, 0), Eq(w, -1)),
            "from above, at least": Gt(ridge * time, 2 / distance - 2 / start_distance),
            "from above, at most": Lt(
                ridge * time,
                2 / distance - 2 / start_distance + sp.log(start_distance / distance),
            ),
            "from below": Lt(ridge * fall_time, 2 / distance),
        },
        measure=_semistable,
        points=10,
        most_digits=60,
    ),
    joins=[
        join(
            "tangent line",
            "one stationary point",
            use=(
                "flow in v = w + 1",
                "w = -1 is stationary",
                "v' = -λ (e^{-v} - (1 - v)), and e^{-v} > 1 - v",
            ),
        ),
        join(
            "sign",
            "from above, at least",
            sign=(
                "flow in v = w + 1",
                "bracket of the upper bound",
                "it falls from 0",
                "known:the time is the integral of 1/velocity",
            ),
        ),
        join(
            "sign",
            "from above, at most",
            sign=(
                "flow in v = w + 1",
                "slope of e^v (2 - v)/(2 + v)",
                "it falls from 1",
                "integral of the upper bound",
                "known:the time is the integral of 1/velocity",
            ),
        ),
        join(
            "sign",
            "from below",
            sign=(
                "flow in v = w + 1",
                "e^v - 1 - v - v²/2 has the slope e^v - 1 - v",
                "integral of the bound below",
                "known:e^v > 1 + v",
            ),
        ),
    ],
    counterexample="a start w > -1 from which (w(t) + 1) t tends to another number than 2/λ",
)
def semistable_approach(flow=ridge * (1 - z - sp.exp(-z)), upper=(2 + z) / z**2):
    velocity = -sp.diff(exponential, w).subs(mass, -ridge * sp.exp(-1))
    yield Equal("flow in v = w + 1", velocity.subs(w, z - 1), flow)
    yield Equal("w = -1 is stationary", velocity.subs(w, -1), 0)
    yield Equal(
        "v' = -λ (e^{-v} - (1 - v)), and e^{-v} > 1 - v", -flow / ridge, sp.exp(-z) - (1 - z)
    )
    # From above: v²/(2 + v) < v - 1 + e^-v < v²/2.
    excess_over = z - 1 + sp.exp(-z) - z**2 / 2
    yield Equal("bracket of the upper bound", sp.diff(excess_over, z, 2), sp.exp(-z) - 1)
    yield Equal(
        "it falls from 0",
        sp.Matrix([sp.diff(excess_over, z, k).subs(z, 0) for k in range(3)]),
        sp.zeros(3, 1),
    )
    # e^v (2 - v)/(2 + v) < 1 says that e^-v > 1 - v + 1/upper.
    ratio = sp.exp(z) * (1 - z + 1 / upper)
    yield Positive("slope of e^v (2 - v)/(2 + v)", -sp.diff(ratio, z))
    yield Equal("it falls from 1", sp.limit(ratio, z, 0), 1)
    yield Equal("integral of the upper bound", sp.diff(-2 / z + sp.log(z), z), upper)
    # From below, with v = -w - 1: the velocity of v is λ(e^v - 1 - v) > λ v²/2.
    falling = velocity.subs(w, -1 - z) / -ridge
    yield Equal(
        "e^v - 1 - v - v²/2 has the slope e^v - 1 - v",
        sp.diff(falling - z**2 / 2, z),
        sp.exp(z) - 1 - z,
    )
    yield Equal("integral of the bound below", sp.diff(-2 / z, z), 2 / z**2)


shift = sp.Symbol("h", positive=True)
D_at_lower, DA_at_lower, D_at_upper = sp.symbols("D_at_lower DA_at_lower D_at_upper", real=True)
D_before, DA_before, D_after = sp.symbols("D_before DA_before D_after", real=True)
slope_lower, slope_upper = sp.symbols("slope_lower slope_upper", real=True)


def _ends_of_the_range(ridge, h, loss, **counts):
    """Minima at the ends of Lemma 3's range and beyond, and slopes by difference quotients."""
    retain_size, forget_size = counts["retain_size"], counts["forget_size"]
    lower = forget_size**2 / (retain_size * (2 * forget_size + retain_size))
    upper = forget_size / retain_size

    def minimum_of(name, alpha):
        masses = dict(masses_by_eq_1(alpha=alpha, **counts))
        return measures.weight(masses[name], ridge, loss)

    def first_gap(alpha):
        return minimum_of(w_D, alpha) - minimum_of(w_DA, alpha)

    return {
        w_R: minimum_of(w_R, upper),
        D_at_lower: minimum_of(w_D, lower),
        DA_at_lower: minimum_of(w_DA, lower),
        D_at_upper: minimum_of(w_D, upper),
        D_before: minimum_of(w_D, lower / (1 + h)),
        DA_before: minimum_of(w_DA, lower / (1 + h)),
        D_after: minimum_of(w_D, upper * (1 + h)),
        slope_lower: lower * scalar_measures.derivative(first_gap, lower),
        slope_upper: upper * scalar_measures.derivative(lambda a: -minimum_of(w_D, a), upper),
    }


@claim(
    "order-range-sharp",
    statement=(
        "Both ends of Lemma 3's range are attained: w_D = w_DA at f²/(r(f+n)), and w_D = w_R at "
        "f/r. There w_D − w_DA rises and w_R − w_D falls in α, each with nonzero slope. Beyond "
        "either end, however near, the order is lost."
    ),
    explanation=(
        "The differences of the masses are linear in α. At the lower end K_D = K_DA = r_j "
        "n/(r(n+f)); at the upper end w_DA = 0."
    ),
    where="Lemma 3, its sharpness",
    domain="λ, r_j > 0; any margin loss with φ decreasing",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.order_range",
    theorem=Theorem(
        domain={
            **{symbol: ranged for symbol, ranged in COUNTS.items() if symbol != alpha},
            shift: positive,
            loss: OneOf(measures.DECREASING, others=(measures.WAVY,)),
        },
        conclusions={
            "lower end": Eq(D_at_lower, DA_at_lower),
            "upper end": Eq(D_at_upper, w_R),
            "slope at the lower end": Gt(slope_lower / D_at_lower, 0),
            "slope at the upper end": Lt(slope_upper / D_at_upper, 0),
            "beyond the lower end": Lt(D_before, DA_before),
            "beyond the upper end": Gt(D_after, w_R),
        },
        measure=_ends_of_the_range,
        points=10,
    ),
    joins=[
        join(
            "identity",
            ("lower end", "upper end"),
            equation=(
                "K_D at the lower end",
                "K_DA at the lower end",
                "K_DA at the upper end",
                "claim:lemma-3-order",
            ),
        ),
        join(
            "implicit function",
            "weights rise with masses, with positive slope",
            jacobian="z = w/φ(w) has a positive slope, as φ' = -e < 0",
            smooth="known:φ is smooth",
        ),
        join(
            "sign",
            ("slope at the lower end", "slope at the upper end"),
            sign=(
                "slope of K_D - K_DA",
                "slope of K_R - K_D",
                "lower slope",
                "upper slope",
                "weights rise with masses, with positive slope",
            ),
        ),
        join(
            "sign",
            ("beyond the lower end", "beyond the upper end"),
            sign="claim:lemma-3-order",
        ),
    ],
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
    slope = sp.diff(w / phi(w), w).subs(sp.diff(phi(w), w), -rise).subs(phi(w), phi_w)
    yield Positive(
        "z = w/φ(w) has a positive slope, as φ' = -e < 0", slope.subs(w, positive_weight)
    )
