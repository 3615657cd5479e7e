"""One orthogonal coordinate: bounds on its weights and gaps (Lemmas 4 and 5, Corollary 1)."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent import measures
from derivations.descent_ascent.coordinate.basics import (
    COUNTS,
    LAST,
    UPPER,
    closed_form_weights,
    descent_ascent_mass,
    found,
    masses_by_eq_1,
    minima,
    minima_or_none,
    minimum_or_none,
    positive_weight,
    pretrain_mass,
    pretrained,
    retrain_mass,
    retrained,
    w_D,
    w_DA,
    w_R,
    z,
)
from derivations.ledger.domains import (
    positive,
)
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import (
    alpha,
    forget,
    on_coordinate,
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
    Theorem,
)

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
    return weights | minimum_or_none((1 - alpha) * retain_on_coordinate, ridge)


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
