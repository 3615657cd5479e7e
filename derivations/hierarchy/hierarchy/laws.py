"""Inference in the Random Hierarchy Model: cumulants and the law of changes."""

# A claim's defaults are its statement, and SymPy expressions are immutable.

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import mpmath
import sympy as sp

from derivations.hierarchy import enumeration
from derivations.hierarchy.hierarchy.bayes import (
    CASES,
    eta,
    mismatch,
    only_first,
    only_second,
    order,
    weight,
)
from derivations.hierarchy.hierarchy.changes import leaf_variances
from derivations.hierarchy.mean_field.maps import (
    GEOMETRIC,
    PAPER,
    geometric,
    geometric_steps,
    noise,
)
from derivations.ledger.domains import Drawn
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import vocabulary as v
from derivations.ledger.theorems import Eq, NoValue, Theorem, limit


class LeafLaw(NamedTuple):
    """Weights of all sets of changed leaves, of ``leaves`` leaves."""

    leaves: int
    weights: tuple[int, ...]

    def numbers(self) -> list[Fraction]:
        """P(N = k) for k = 0 .. d."""
        chances = [Fraction(0)] * (self.leaves + 1)
        for changed, of_set in enumerate(self.weights):
            chances[changed.bit_count()] += Fraction(of_set, sum(self.weights))
        return chances

    def leaf_variance(self) -> Fraction:
        """The sum of the leaves' own variances."""
        shares = [
            sum(w for changed, w in enumerate(self.weights) if changed >> leaf & 1)
            for leaf in range(self.leaves)
        ]
        total = sum(self.weights)
        return sum(Fraction(share * (total - share), total**2) for share in shares)


def random_leaf_law(generator: random.Random) -> LeafLaw:
    """Of at most four leaves, with weights of very different size and zeros."""
    leaves = generator.randint(1, 4)
    weights = [generator.choice((0, 1, generator.randint(1, 9), 10**6)) for _ in range(2**leaves)]
    return LeafLaw(leaves, (weights[0] + 1, *weights[1:]))


law = sp.Symbol("law")
LAWS = {
    law: Drawn(
        "any law of the set of changed leaves",
        random_leaf_law,
        special=(LeafLaw(1, (1, 1)), LeafLaw(3, (1, 0, 0, 0, 0, 0, 0, 5)), LeafLaw(2, (1,) * 4)),
    )
}
LARGEST_ORDER = 6
kappas = sp.symbols(f"kappa_1:{LARGEST_ORDER + 1}", real=True)
raw_moments = tuple(sp.Symbol(f"m_{n}") for n in range(1, LARGEST_ORDER + 1))
chi = sp.Symbol("chi", real=True)


def recursion(n: int, lower: Sequence, moments: Sequence) -> sp.Expr:
    """``m_n - sum_{j<n} C(n-1, j-1) κ_j m_{n-j}``. The sequences begin with order 1."""
    terms = (sp.binomial(n - 1, j - 1) * lower[j - 1] * moments[n - j - 1] for j in range(1, n))
    return moments[n - 1] - sum(terms)


def cumulants_and_moments(law):
    """Derivatives of ln Z(η) at 0 by differences, moments by sums, and χ by variances."""
    chances = law.numbers()

    def log_generating(field):
        return mpmath.log(
            mpmath.fsum(
                mpmath.mpf(chance.numerator) / chance.denominator * mpmath.exp(field * k)
                for k, chance in enumerate(chances)
            )
        )

    derivatives = list(mpmath.diffs(log_generating, 0, LARGEST_ORDER))[1:]
    moments = [
        sum(chance * k**n for k, chance in enumerate(chances)) for n in range(1, LARGEST_ORDER + 1)
    ]
    variance = moments[1] - moments[0] ** 2
    return (
        dict(zip(kappas, derivatives, strict=True))
        | dict(zip(raw_moments, moments, strict=True))
        | {chi: variance / law.leaf_variance(), leaf_variances: law.leaf_variance()}
    )


@claim(
    "rhm-cumulants",
    statement=(
        "Let Z(η) have h_i(x) + η[x ≠ x⁰_i] in place of h_i(x). The derivatives of ln Z(η) at 0 "
        "are the cumulants of N: ⟨N⟩, Var N, κ₃ = m₃ − 3m₁m₂ + 2m₁³, and κ_n = m_n − Σ_{j<n} "
        "C(n−1, j−1) κ_j m_{n−j}. So χ = ∂²ln Z/∂η² / Σ_i Var n_i."
    ),
    explanation=(
        "Z(η)/Z(0) = E e^{ηN} = M, whose n-th derivative at 0 is the moment m_n. K = ln M gives M' "
        "= K'M, and Leibniz' rule gives the recursion."
    ),
    where=f"{PAPER}, the number of changed leaves: a field η on 'leaf i differs'",
    domain="any finite law of N, every order n >= 1; χ where some leaf's change is uncertain",
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.inference.moments.change_cumulants",
        "rhm_theory.inference.moments.susceptibility",
    ],
    theorem=Theorem(
        domain=LAWS,
        conclusions={
            "⟨N⟩": Eq(kappas[0], raw_moments[0]),
            "Var N": Eq(kappas[1], raw_moments[1] - raw_moments[0] ** 2),
            "κ₃": Eq(
                kappas[2],
                raw_moments[2] - 3 * raw_moments[0] * raw_moments[1] + 2 * raw_moments[0] ** 3,
            ),
            **{
                f"recursion of order {n}": Eq(kappas[n - 1], recursion(n, kappas, raw_moments))
                for n in range(2, LARGEST_ORDER + 1)
            },
            "χ": Eq(chi, kappas[1] / leaf_variances),
        },
        measure=cumulants_and_moments,
        points=16,
    ),
    joins=[
        join(
            "induction",
            "derivatives of Z(η)/Z(0) at 0 are moments",
            base="known:Z(η)/Z(0) = Σ w e^{ηk} with Σ w = 1",
            step="each derivative of a term w e^{ηk} brings one more factor k",
        ),
        join(
            "Leibniz",
            tuple(f"recursion of order {n}" for n in range(2, LARGEST_ORDER + 1)),
            product=("M' = K' M", "derivatives of Z(η)/Z(0) at 0 are moments"),
        ),
        join(
            "identity",
            ("⟨N⟩", "Var N", "κ₃"),
            equation=(
                "derivatives of Z(η)/Z(0) at 0 are moments",
                *(f"derivative {n} of ln M" for n in range(1, 4)),
            ),
        ),
        join("identity", "χ", equation=("Var N", "known:χ is Var N over the sum of Var n_i")),
    ],
    counterexample="a law of N whose derivative of ln Z(η) is not the cumulant made of its moments",
)
def cumulants(
    first=raw_moments[0],
    second=raw_moments[1] - raw_moments[0] ** 2,
    third=raw_moments[2] - 3 * raw_moments[0] * raw_moments[1] + 2 * raw_moments[0] ** 3,
):
    M = sp.Function("M")(eta)
    value = {sp.diff(M, eta, n): raw_moments[n - 1] for n in range(3, 0, -1)} | {M: 1}
    yield Equal("M' = K' M", sp.diff(sp.log(M), eta) * M, sp.diff(M, eta))
    for n, claimed in enumerate((first, second, third), start=1):
        derived = sp.expand(sp.diff(sp.log(M), eta, n).doit().subs(value))
        yield Equal(f"derivative {n} of ln M", derived, claimed)
    size = sp.Symbol("k", positive=True)
    term = weight * size**order * sp.exp(eta * size)
    yield Equal(
        "each derivative of a term w e^{ηk} brings one more factor k",
        sp.diff(term, eta),
        term * size,
    )


fourier_apart = sp.Symbol("fourier_apart", real=True)


def by_fourier(law):
    """How far the Fourier sums of Z(iθ)/Z(0) are from the law of N."""
    chances = [mpmath.mpf(chance.numerator) / chance.denominator for chance in law.numbers()]
    size = len(chances)

    def turn(j):
        return mpmath.expjpi(mpmath.mpf(2 * j) / size)

    values = [sum(chance * turn(j * k) for k, chance in enumerate(chances)) for j in range(size)]
    sums = [sum(value * turn(-j * k) for j, value in enumerate(values)) for k in range(size)]
    return {fourier_apart: mismatch([total / size for total in sums], chances)}


@claim(
    "rhm-change-law",
    statement=(
        "P(N = k) = (1/(d+1)) Σ_j ω^{−jk} Z(2πij/(d+1))/Z(0) with ω = e^{2πi/(d+1)}. So d + 1 "
        "values on the unit circle give the whole law."
    ),
    explanation=(
        "Z(iθ)/Z(0) = Σ_l P(N = l) e^{iθl}. The sum Σ_j ω^{j(l-k)} is d + 1 for l = k. Otherwise "
        "it is (x^{d+1} - 1)/(x - 1) = 0 with x = ω^{l-k}, which differs from 1 for 0 < |l - k| <= "
        "d."
    ),
    where=f"{PAPER}, the number of changed leaves: its whole law",
    domain="any law of N on 0 .. d",
    origin="new",
    evidence="proved",
    backs="rhm_theory.inference.moments.change_distribution",
    theorem=Theorem(
        domain=LAWS,
        conclusions={"the law": Eq(fourier_apart, 0)},
        measure=by_fourier,
        points=16,
    ),
    joins=[
        GEOMETRIC,
        join(
            "sign",
            "ω^(l-k) is not 1 for 0 < |l - k| <= d",
            sign=("0 < l/(d+1)", "l/(d+1) < 1", "known:e^{iθ} = 1 only at multiples of 2π"),
        ),
        join(
            "identity",
            "the law",
            equation=(
                "sums in closed form",
                "ω^((l-k)(d+1)) = 1",
                "l = k: so many terms of 1",
                "otherwise the sum is 0",
                "ω^(l-k) is not 1 for 0 < |l - k| <= d",
            ),
        ),
    ],
    counterexample="a law on 0 .. d that the Fourier sum does not return",
)
def change_law(
    angle=2 * sp.pi / (order + 1),
    resonant=order + 1,
):
    yield from geometric_steps()
    difference = sp.Symbol("l", integer=True)
    root = sp.exp(sp.I * angle)
    yield Equal("ω^((l-k)(d+1)) = 1", root ** (difference * resonant), 1)
    turn = sp.symbols("j")
    yield Equal("l = k: so many terms of 1", sp.Sum(1, (turn, 0, order)).doit(), resonant)
    ratio = sp.Symbol("x", positive=True)
    yield Equal(
        "otherwise the sum is 0", geometric(ratio, resonant).subs(ratio ** (order + 1), 1), 0
    )
    # The angle of ω^l is strictly between 0 and 2π: with l = 1 + a, d = 1 + a + b.
    apart = sp.symbols("a_+ b_+", nonnegative=True)
    share = ((1 + apart[0]) * angle / (2 * sp.pi)).subs(order, 1 + sum(apart))
    yield Positive("0 < l/(d+1)", share)
    yield Positive("l/(d+1) < 1", 1 - share)


least = sp.Symbol("D", positive=True)
DIGITS_OF_NOISE = 40


def at_little_noise(case, noise=None):
    """χ of a tree's leaves by all trees, and the distance to the nearest other sequence."""
    grammar, index = case.grammar, case.tree
    everything = enumeration.trees(grammar)
    start = everything[index % len(everything)].leaves
    distances = {
        sum(x != y for x, y in zip(tree.leaves, start, strict=True)) for tree in everything
    } - {0}
    if not distances:
        raise NoValue("the language has one sequence only")
    if noise is None:
        return {least: min(distances)}
    exact = Fraction(int(noise * 10**DIGITS_OF_NOISE), 10**DIGITS_OF_NOISE)
    share = exact / grammar.vocabulary
    likelihood = [
        [share + (1 - exact) * (x == kept) for x in range(grammar.vocabulary)] for kept in start
    ]
    found = enumeration.enumerated_moments(grammar, likelihood, start)
    return {least: min(distances), chi: found.variance / found.leaf_variance}


@claim(
    "rhm-zero-noise",
    statement=(
        "Let D be the least number of leaves in which another sequence of the language differs "
        "from the start. As ε → 0, χ = D + O(ε)."
    ),
    explanation=(
        "A sequence at distance k has odds x^k against the start, with x = (ε/v)/(1 - ε + ε/v) → "
        "0. Let δ be the odds of those at distance D, and yδ those of the others, with y → 0. Then "
        "Var N/δ tends to D². Each leaf changes in a share of the cases at distance D. The shares "
        "add up to D. So the limit of χ is not always 1."
    ),
    where=f"{PAPER}, susceptibility as ε → 0",
    domain="ε-process, any grammar with another sequence than the start, which it has",
    origin="new",
    evidence="proved",
    backs="rhm_theory.inference.moments.susceptibility",
    theorem=Theorem(
        domain=CASES,
        conclusions={"χ": limit(chi, least, noise, at=("1e-6", "1e-8"))},
        measure=at_little_noise,
        points=16,
    ),
    joins=[
        join(
            "linearity of expectation",
            "Σ Var n_i/δ tends to D",
            terms=(
                "Var n_i/δ tends to its share",
                "known:each sequence at distance D changes D leaves",
            ),
        ),
        join(
            "series",
            "χ",
            terms=(
                "Var N/δ tends to D²",
                "Σ Var n_i/δ tends to D",
                "odds of one leaf",
                "they vanish",
            ),
            analytic="known:χ is a quotient of polynomials in the odds x",
        ),
    ],
    counterexample="a grammar and a start whose χ tends to another number as ε → 0",
)
def zero_noise(limit=least**2, odds=noise / (v - (v - 1) * noise), of_leaf=only_first):
    yield Equal("odds of one leaf", (noise / v) / (1 - noise + noise / v), odds)
    yield Equal("they vanish", odds.subs(noise, 0), 0)
    nearest, farther, more_leaves = sp.symbols("delta y t", positive=True)
    of_nearest = nearest / (1 + nearest + nearest * farther)
    of_others = of_nearest * farther
    mean = least * of_nearest + (least + more_leaves) * of_others
    spread = least**2 * of_nearest + (least + more_leaves) ** 2 * of_others - mean**2
    at_none = {nearest: 0, farther: 0}
    yield Equal("Var N/δ tends to D²", sp.cancel(spread / nearest).subs(at_none), limit)
    other_share = only_second
    changed = only_first * of_nearest + other_share * of_others
    yield Equal(
        "Var n_i/δ tends to its share",
        sp.cancel(changed * (1 - changed) / nearest).subs(at_none),
        of_leaf,
    )
