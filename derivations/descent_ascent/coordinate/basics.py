"""One orthogonal coordinate (Sec. 5.1.1; Lemmas 2-5, Corollary 1).

Coordinate j has r_j retained and α r_j forgotten samples, all with y x_j = 1. So an objective is
``K ℓ(w) + λw²/2`` with one *signed mass* K. No proof simplifies Lambert W. Each replaces the mass
by ``K = λ w e^w``, which is what W means.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import sympy as sp

from derivations.descent_ascent import measures, scalar_measures
from derivations.ledger.domains import (
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
    Ne,
    NoValue,
    Theorem,
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
    return weights | minimum_or_none(masses[2][1], parameters["ridge"])


def minimum_or_none(signed_mass, ridge):
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
