"""A correlated pair: where the oracle lies below pretraining (Lemma 10)."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools

import mpmath
import sympy as sp

from derivations.descent_ascent import example_pairs, measures, pair_numbers
from derivations.descent_ascent.pair.basics import (
    GIVEN_GRAM,
    PLAIN_GRAM,
    counted,
    exponential,
    oracle_y,
    papers,
    pretrain_x,
    rise,
    x0,
    y0,
)
from derivations.descent_ascent.pair_numbers import (
    DECREASING,
    TYPES,
    is_exponential,
    loss,
    x_D,
    x_R,
    y_D,
    y_R,
)
from derivations.ledger.certificates import Enclosed
from derivations.ledger.domains import (
    positive,
)
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import (
    A,
    Q,
    a,
    alpha,
    epsilon,
    forget,
    in_pair,
    k11,
    k12,
    k22,
    phi,
    q,
    retain,
    ridge,
    s,
    x,
    y,
)  # fmt: skip
from derivations.ledger.theorems import Eq, Gt, Iff, Implies, Le, Lt, Theorem


def _lemma_10_x(**parameters):
    with mpmath.workdps(example_pairs.DIGITS):
        system = example_pairs.masses(**parameters)
        x_retrain = example_pairs.oracle_margins(system)[0]
        scale = system.own * system.pretrain / system.ridge
        quota = system.own / system.cross * (x_retrain - example_pairs.lambertw(scale))
        edge = example_pairs.masses(**parameters | {"alpha": quota * mpmath.exp(quota) / scale})
        return float(example_pairs.pretrained_margins(edge)[0]), float(x_retrain)


PAIRS = {**TYPES, k12: positive, alpha: positive, a: positive, A: positive, loss: DECREASING}
quota = k22 / k12 * (x_R - pair_numbers.x_0)
edge_of_x = ridge * quota / (k22 * a * pair_numbers.phi_Q)


@claim(
    "lemma-10-x",
    statement=(
        "x_D < x_R for α ≤ α_x = λQ/(k₂₂aφ(Q)), with Q = (k₂₂/k₁₂)(x_R − x₀). So α_x is less than "
        "the α at which x_D = x_R. For the exponential loss and the paper's types this is α_x = Q "
        "e^Q λ/(sa), with x_R = W(sA/λ) and x₀ = W(sa/λ)."
    ),
    explanation=(
        "Lemma 7's upper bound on x is x₀ + (k12/k22) y₀, and x_D lies below it. It increases with "
        "α. It equals x_R at y₀ = Q, that is at αk22 aφ(Q) = λQ."
    ),
    where="Lemma 10, which uses α_x without printing it",
    domain="φ > 0 decreasing; λ, α > 0 and A > a > 0; any types with k12 > 0",
    origin="reconstructed",
    evidence="proved",
    backs=["gda_theory.pair.lemma_10_edges", "gda_theory.pair.sufficient_window"],
    relation="<=",
    evaluate=_lemma_10_x,
    theorem=Theorem(
        domain=PAIRS,
        hypotheses=(Lt(a, A), PLAIN_GRAM),
        conclusions={
            "x_D < x_R": Implies(Le(alpha, edge_of_x), Lt(x_D, x_R)),
            "below the exact edge": Lt(edge_of_x, pair_numbers.x_edge),
            "the paper's form": Implies(
                Eq(is_exponential, 1),
                Eq(edge_of_x, quota * sp.exp(quota) * ridge / (k22 * a)),
            ),
            "x_R": Implies(Eq(is_exponential, 1), Eq(x_R, sp.LambertW(k11 * A / ridge))),
            "x₀": Implies(
                Eq(is_exponential, 1), Eq(pair_numbers.x_0, sp.LambertW(k11 * a / ridge))
            ),
        },
        measure=pair_numbers.oracle_and_pretraining,
        points=15,
    ),
    joins=[
        join(
            "sign",
            "x_D < x₀ + (k12/k22) y₀",
            sign=("it is Lemma 7's bound", "λ(bound - x_D) > 0", "claim:lemma-7-bounds"),
        ),
        join(
            "monotone bijection",
            "x_D < x_R",
            continuous="known:w/φ(w) is continuous",
            slope=(
                "x_D < x₀ + (k12/k22) y₀",
                "claim:lemma-7-bounds",
                "the bound at y₀ = Q is x_R",
                "at α_x the defining equation of y₀ holds for Q",
            ),
        ),
        join(
            "monotone bijection",
            "below the exact edge",
            continuous="claim:bijections",
            slope=("x_D < x_R", "claim:bijections", "given:a < retain_mass", GIVEN_GRAM),
        ),
        join("identity", "the paper's form", equation="the paper's α_x"),
        join("definition of W", ("x_R", "x₀"), equation="claim:lemma-6"),
    ],
    counterexample="α <= α_x with x_D >= x_R",
)
def lemma_10_x(
    bound=x0 + k12 / k22 * y0, quota=k22 / k12 * (x_R - x0), alpha_x=Q * ridge / (k22 * a * phi(Q))
):
    yield Equal("the bound at y₀ = Q is x_R", bound.subs(y0, quota), x_R)
    yield Equal(
        "at α_x the defining equation of y₀ holds for Q", alpha_x * k22 * a * phi(Q), ridge * Q
    )
    defining = {x0: k11 * a * phi(x0) / ridge, y0: alpha * k22 * a * phi(y0) / ridge}
    yield Equal(
        "it is Lemma 7's bound", ridge * bound.subs(defining), pretrain_x.subs({x: x0, y: y0})
    )
    yield Equal("the paper's α_x", papers(alpha_x), Q * sp.exp(Q) * ridge / (s * a))
    # x_D > x₀, as the term αk12 aφ(y) of λx_D is positive: so φ(x₀) = φ(x) + e, with e > 0.
    both = a * k11 * (phi(x0) - phi(x)) + alpha * k12 * a * (phi(y0) - phi(y))
    higher = sp.Symbol("e_0", nonnegative=True)
    strictly = both.subs({phi(x0): phi(x) + rise, phi(y0): phi(y) + higher}).expand()
    yield Positive("λ(bound - x_D) > 0", strictly)


def _lemma_10_y(**parameters):
    with mpmath.workdps(example_pairs.DIGITS):
        system = example_pairs.masses(**parameters)
        x_retrain, y_retrain = example_pairs.oracle_margins(system)
        edge = (
            system.cross
            / system.own
            * (system.retain / system.pretrain * mpmath.exp(y_retrain - x_retrain) - 1)
        )
        at_edge = example_pairs.masses(**parameters | {"alpha": max(edge, 0)})
        return float(example_pairs.pretrained_margins(at_edge)[1]), float(y_retrain)


edge_of_y_exponential = k12 / k22 * (A / a * sp.exp(pair_numbers.y_E - pair_numbers.x_E) - 1)


def oracle_pretraining_and_counterexample(**parameters):
    """Both points of the pair, and those of the counterexample, by Newton's method."""
    return pair_numbers.oracle_and_pretraining(**parameters) | _at_counterexample(mpmath.mp.dps)


@functools.lru_cache
def _at_counterexample(digits):
    numbers = {symbol.name: mpmath.mpf(value) for symbol, value in COUNTEREXAMPLE.items()}
    own, cross = 1 + numbers["epsilon"] ** 2, 2 * numbers["epsilon"]
    gram = measures.Gram(own, cross, own)
    retain_mass = numbers["r_p"] / numbers["r"]
    pretrain_mass = numbers["r_p"] / (numbers["r"] + numbers["f"])
    x, y = measures.oracle(retain_mass, gram, numbers["lambda"])
    trained = measures.pretrained(pretrain_mass, numbers["alpha"], gram, numbers["lambda"])
    bound = cross / own * (retain_mass / pretrain_mass * mpmath.exp(y - x) - 1)
    return {
        pair_numbers.bound_C: bound,
        pair_numbers.y_DC: trained[1],
        pair_numbers.y_RC: y,
    }


# r, f, r_p, λ, ε of the counterexample; α between the exact crossing 2.677 and α_y = 2.980.
COUNTEREXAMPLE = {
    retain: "7.09182",
    forget: "123.107",
    in_pair: "6.94339",
    ridge: "0.00106846",
    epsilon: "0.455356",
    alpha: "2.9",
}


ratio_of_losses = pair_numbers.phi_xR / pair_numbers.phi_yR
edge_of_y = k12 / k22 * (A / a * ratio_of_losses - 1)


@claim(
    "lemma-10-y",
    statement=(
        "Let α(k₂₂−k₁₂) ≤ k₁₁−k₁₂; for the paper's types this is α ≤ 1. Then y_D ≤ y_R for α ≤ α_y "
        "= (k₁₂/k₂₂)[(A/a) φ(x_R)/φ(y_R) − 1], where A/a = n/r (1 with sums). For the exponential "
        "loss φ(x_R)/φ(y_R) = e^{y_R − x_R}, and α_y > 0 exactly when (1 − k₁₂/k₁₁) x_R < ln(A/a). "
        "Without the first condition y_D > y_R is possible: at α = 2.9, with α_y > 2.9."
    ),
    explanation=(
        "Lemma 7's upper bound on y has argument (k12 + αk22) a. For y_R, λy_R/φ(y_R) = k12 A "
        "φ(x_R)/φ(y_R). The two agree at α_y. The counterexample is certified: the exact curve α_D "
        "(explicit-curves, bijections) puts y_D above y_R."
    ),
    where="Lemma 10, which uses α_y without printing it, and lacks α <= 1",
    domain="φ > 0 decreasing; λ, a, A, α > 0; any types with k12 > 0",
    origin="corrected",
    evidence="certified",
    backs=["gda_theory.pair.lemma_10_edges", "gda_theory.pair.sufficient_window"],
    relation="<=",
    evaluate=_lemma_10_y,
    paper_says="y_R ≥ y_D for α ≤ α_y, without α ≤ 1.",
    theorem=Theorem(
        domain=PAIRS,
        hypotheses=(PLAIN_GRAM,),
        conclusions={
            "y_D ≤ y_R": Implies(
                (Le(alpha * (k22 - k12), k11 - k12), Le(alpha, edge_of_y)), Le(y_D, y_R)
            ),
            "exponential": Implies(Eq(is_exponential, 1), Eq(ratio_of_losses, sp.exp(y_R - x_R))),
            "α_y > 0": Iff(
                Gt(edge_of_y_exponential, 0),
                Lt((1 - k12 / k11) * pair_numbers.x_E, sp.log(A / a)),
            ),
            "α_y > 2.9": Gt(pair_numbers.bound_C, COUNTEREXAMPLE[alpha]),
            "yet y_D > y_R": Gt(pair_numbers.y_DC, pair_numbers.y_RC),
        },
        measure=oracle_pretraining_and_counterexample,
        digits=60,  # y_R - x_R may be 1e24, and is exponentiated
        points=12,
    ),
    joins=[
        join(
            "monotone bijection",
            "y_D ≤ y_R",
            continuous="known:w/φ(w) is continuous",
            slope=(
                "claim:lemma-7-bounds",
                GIVEN_GRAM,
                "(k12 + α_y k22) a = λ y_R/φ(y_R)",
                "the argument increases with α",
            ),
        ),
        join("identity", "exponential", equation="e^{-x}/e^{-y}"),
        join(
            "equivalence",
            "α_y > 0",
            identity=("x_R - y_R, by Lemma 6", "ln(1 + α_y k22/k12)", "claim:lemma-6"),
            factor="known:the logarithm increases",
        ),
        join("enclosure", "α_y > 2.9", ball="α_y > 2.9"),
        join(
            "monotone bijection",
            "yet y_D > y_R",
            continuous="claim:bijections",
            slope=("y_D = y_R below α = 2.9", "claim:bijections", "claim:explicit-curves"),
        ),
    ],
    counterexample="α <= α_y with y_D > y_R, although α(k22 - k12) <= k11 - k12",
)
def lemma_10_y(
    alpha_y=k12 / k22 * (A / a * phi(x_R) / phi(y_R) - 1),
    exponent=(1 - k12 / k11) * x_R,
):
    argument, of_oracle = (k12 + alpha_y * k22) * a, oracle_y.subs(x, x_R) / phi(y_R)
    yield Equal("(k12 + α_y k22) a = λ y_R/φ(y_R)", argument, of_oracle)
    yield Positive("the argument increases with α", sp.diff((k12 + alpha * k22) * a, alpha))
    yield Equal("x_R - y_R, by Lemma 6", x_R - k12 / k11 * x_R, exponent)
    in_exponentials = (1 + alpha_y * k22 / k12).replace(phi, exponential).doit()
    yield Equal("e^{-x}/e^{-y}", (phi(x) / phi(y)).replace(phi, exponential).doit(), sp.exp(y - x))
    yield Equal(
        "ln(1 + α_y k22/k12)",
        sp.log(in_exponentials.subs(y_R, x_R - exponent)),
        sp.log(A / a) - exponent,
    )
    crossing, claimed = _counterexample(papers(alpha_y))
    yield Enclosed("α_y > 2.9", claimed, ">", sp.Rational(COUNTEREXAMPLE[alpha]))
    yield Enclosed("y_D = y_R below α = 2.9", crossing, "<", sp.Rational(COUNTEREXAMPLE[alpha]))


def _counterexample(alpha_y):
    """The α at which y_D = y_R, and α_y, at the counterexample's numbers."""
    values = {symbol: sp.Rational(value) for symbol, value in COUNTEREXAMPLE.items()}
    retained = sp.LambertW(s * A / ridge).subs(counted)
    oracle = {x_R: retained, y_R: 2 * epsilon / s * retained}
    # y_D(x) = y_R at x_b = k + W(c e^{-k}). At α_D(x_b) y_D crosses y_R, increasing (bijections).
    k = 2 * epsilon / s * oracle[y_R]
    x_b = k + sp.LambertW(a * q / (ridge * s) * sp.exp(-k)).subs(counted)
    crossing = (ridge * x_b - a * s * sp.exp(-x_b)) * sp.exp(oracle[y_R]) / (2 * epsilon * a)
    return tuple(
        expression.subs(counted).subs(values)
        for expression in (crossing, alpha_y.subs(oracle).subs(counted))
    )
