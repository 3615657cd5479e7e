"""Random forget sets (Sec. 4; Lemmas 1 and 11): Hoeffding's bounds, and the law of a random subset.

Given the retain set the oracle is fixed. It saw neither the f forgotten samples nor the m test
samples. So its accuracies on them are means of independent 0/1 terms. Each term is 1 with
probability p, the population accuracy. The searches enumerate these laws in exact fractions.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import scipy.optimize
import sympy as sp

from derivations.ledger.domains import (
    Drawn,
    Integers,
    Interval,
    OneOf,
    between,
    nonnegative,
    positive_within,
)
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import forget
from derivations.ledger.theorems import Eq, Ge, Le, Lt, NoValue, Theorem

gap, test_size, spread, slope, exponent = sp.symbols("gap test_size Sigma h u", positive=True)
success, accuracy, significance = sp.symbols("odds accuracy significance", positive=True)
hits, correct = sp.symbols("hits correct", nonnegative=True, integer=True)
angle, degree = sp.symbols("phi N", positive=True)
probability, reached, mean_hits = sp.symbols("probability reached mean", nonnegative=True)
greatest, on_grid = sp.symbols("greatest on_grid", nonnegative=True)
terms, sides = sp.symbols("terms sides")

Law = Mapping[Fraction, Fraction]  # the probability of each value


def accuracy_law(accuracy: Fraction, size: int) -> Law:
    """The law of the accuracy on ``size`` independent samples.

    Raises: ``NoValue`` if ``accuracy`` is no probability, or if there is no sample.
    """
    if not 0 <= accuracy <= 1 or size < 1:
        raise NoValue(f"no law for accuracy {accuracy} on {size} samples")
    return {
        Fraction(k, size): math.comb(size, k) * accuracy**k * (1 - accuracy) ** (size - k)
        for k in range(size + 1)
    }


def difference_law(one: Law, other: Law) -> Law:
    """The law of the difference of two independent numbers."""
    found: dict[Fraction, Fraction] = {}
    for (x, p), (y, q) in itertools.product(one.items(), other.items()):
        found[x - y] = found.get(x - y, Fraction(0)) + p * q
    return found


def probability_of(law: Law, event: Callable[[Fraction], bool]) -> Fraction:
    """The probability that a number of this law satisfies ``event``."""
    return sum((p for value, p in law.items() if event(value)), Fraction(0))


def population_gap(gap: Fraction, accuracy: Fraction, forget_size: int) -> Mapping:
    """P(|Acc - Acc_F| >= gap), enumerated."""
    law = accuracy_law(accuracy, forget_size)
    return {probability: probability_of(law, lambda value: abs(value - accuracy) >= gap)}


def _at(gap: object, accuracy: object) -> tuple[Fraction, Fraction]:
    return Fraction(str(gap)), Fraction(str(accuracy))


def _population(*, gap=0.2, accuracy=0.5, forget_size=40):
    tail = population_gap(*_at(gap, accuracy), forget_size)[probability]
    return float(tail), 2 * math.exp(-2 * gap**2 * forget_size)


@claim(
    "hoeffding",
    statement=(
        "P(|Acc − Acc_F| ≥ t) < 2 exp(−2ft²), where Acc is the population accuracy of the oracle "
        "and Acc_F its accuracy on the forget set."
    ),
    explanation=(
        "Given the oracle, Acc_F is a mean of f independent 0/1 terms, of ranges 1/f. The factor 2 "
        "counts the two sides."
    ),
    where="Lemmas 1 and 11",
    domain=(
        "i.i.d. data, F chosen independently of the values, the oracle's accuracies, the "
        "population accuracy of the test; t >= 0"
    ),
    origin="paper",
    evidence="proved",
    backs=[
        "gda_theory.paper.random_sets.two_sided_bound",
        "gda_theory.paper.random_sets.departure",
    ],
    theorem=Theorem(
        domain={gap: nonnegative, accuracy: between(0, 1, "[]"), forget: Integers(1, 30)},
        conclusions={"the bound": Lt(probability * sp.exp(2 * forget * gap**2), 2)},
        measure=population_gap,
        exact=True,
    ),
    joins=[
        join(
            "union bound",
            "the bound",
            events=(
                "claim:hoeffding-one-sided",
                "2t²/Σ for Acc_F",
                "known:at t = 0 a probability is below 2",
            ),
        ),
    ],
    relation="<=",
    evaluate=_population,
    counterexample="f, p, t with a larger probability",
)
def hoeffding(population=2 * forget * gap**2):
    in_forget = forget * (1 / forget) ** 2  # the sum of squared ranges
    yield Equal("2t²/Σ for Acc_F", 2 * gap**2 / in_forget, population)


def finite_gap(
    gap: Fraction,
    accuracy: Fraction,
    forget_size: int,
    test_size: int,
    significance: Fraction,
) -> Mapping:
    """P(|Acc_T - Acc_F| >= gap), and the largest gap reached with probability ``significance``."""
    law = difference_law(accuracy_law(accuracy, test_size), accuracy_law(accuracy, forget_size))
    distances: dict[Fraction, Fraction] = {}
    for value, p in law.items():
        distances[abs(value)] = distances.get(abs(value), Fraction(0)) + p
    descending = sorted(distances, reverse=True)
    tails = itertools.accumulate(distances[value] for value in descending)
    often = [value for value, p in zip(descending, tails, strict=True) if p >= significance]
    if not often:
        raise NoValue("no gap has this probability")
    return {
        probability: probability_of(distances, lambda value: value >= gap),
        reached: often[0],
    }


def _finite(*, gap=0.2, accuracy=0.5, forget_size=40, test_size=20):
    found = finite_gap(*_at(gap, accuracy), forget_size, test_size, Fraction(1))
    size = forget_size * test_size / (forget_size + test_size)
    return float(found[probability]), 2 * math.exp(-2 * gap**2 * size)


@claim(
    "hoeffding-finite-test",
    statement=(
        "P(|Acc_T − Acc_F| ≥ t) < 2 exp(−2t² fm/(f+m)) on a test set of m points. So a gap that is "
        "reached with probability δ or more is below the half width √(ln(2/δ)(1/f + 1/m)/2)."
    ),
    explanation=(
        "Acc_T - Acc_F is a sum of f independent terms of range 1/f and m terms of range 1/m. The "
        "bound equals δ at the half width."
    ),
    where="Lemmas 1 and 11; their test accuracy is that of the population",
    domain=(
        "as hoeffding; m test points, independent of the forget set and of the oracle; t >= 0, "
        "0 < δ <= 1"
    ),
    origin="corrected",
    evidence="proved",
    backs=[
        "gda_theory.paper.random_sets.effective_size",
        "gda_theory.paper.random_sets.two_sided_bound",
        "gda_theory.paper.random_sets.two_sided_half_width",
        "gda_theory.paper.random_sets.one_sided_half_width",
    ],
    theorem=Theorem(
        domain={
            gap: nonnegative,
            accuracy: between(0, 1, "[]"),
            forget: Integers(1, 12),
            test_size: Integers(1, 12),
            significance: between(0, 1, "(]"),
        },
        conclusions={
            "the bound": Lt(
                probability * sp.exp(2 * gap**2 * forget * test_size / (forget + test_size)), 2
            ),
            "the half width": Lt(
                reached, sp.sqrt(sp.log(2 / significance) * (1 / forget + 1 / test_size) / 2)
            ),
        },
        measure=finite_gap,
        exact=True,
    ),
    joins=[
        join(
            "union bound",
            "the bound",
            events=(
                "claim:hoeffding-one-sided",
                "2t²/Σ for Acc_T - Acc_F",
                "known:at t = 0 a probability is below 2",
            ),
        ),
        join(
            "monotone bijection",
            "the half width",
            continuous=("the bound", "known:2 exp(-2t² fm/(f+m)) falls continuously in t"),
            slope="at the half width the bound is δ",
        ),
    ],
    relation="<=",
    evaluate=_finite,
    paper_says=(
        "2 exp(−2ft²) bounds the gap to the test accuracy, whatever the number of test points."
    ),
    counterexample=(
        "f, m, t with a larger probability (f = 400, m = 20, t = 0.2, p = 1/2: 0.083, where the "
        "first form says 2.5e-14)"
    ),
)
def hoeffding_finite_test(
    finite=2 * gap**2 * forget * test_size / (forget + test_size),
    half_width=sp.sqrt(sp.log(2 / significance) * (1 / forget + 1 / test_size) / 2),
):
    ranges = forget * (1 / forget) ** 2 + test_size * (1 / test_size) ** 2
    yield Equal("2t²/Σ for Acc_T - Acc_F", 2 * gap**2 / ranges, finite)
    yield Equal(
        "at the half width the bound is δ", finite.subs(gap, half_width), sp.log(2 / significance)
    )


class Term(NamedTuple):
    """A random number: the length of an interval that holds its values, and its law."""

    length: Fraction
    law: Law


class Sum(NamedTuple):
    """Independent terms, under a name."""

    name: str
    terms: tuple[Term, ...]


def _coin(length: object, chance: object) -> Term:
    """A term that takes both ends of its interval, the upper one with probability ``chance``."""
    return Term(
        Fraction(length), {Fraction(length): Fraction(chance), Fraction(0): 1 - Fraction(chance)}
    )


def _random_term(generator: random.Random) -> Term:
    """Up to three values in an interval of a length from 0.1 to 10."""
    length = Fraction(f"{10 ** generator.uniform(-1, 1):.3g}")
    shares = [generator.randint(1, 9) for _ in range(generator.randint(1, 3))]
    values = [length * Fraction(generator.randint(0, 8), 8) for _ in shares]
    law: dict[Fraction, Fraction] = {}
    for value, share in zip(values, shares, strict=True):
        law[value] = law.get(value, Fraction(0)) + Fraction(share, sum(shares))
    return Term(length, law)


def random_terms(generator: random.Random) -> Sum:
    """One to five independent terms."""
    drawn = tuple(_random_term(generator) for _ in range(generator.randint(1, 5)))
    return Sum(f"{len(drawn)} random terms", drawn)


SUMS = Drawn(
    "independent, finitely many values in an interval each",
    random_terms,
    special=(
        Sum("a fair coin", (_coin(1, "1/2"),)),
        Sum("eight fair coins", (_coin(1, "1/2"),) * 8),
        Sum("a rare event", (_coin(1, "1/1000"),)),
        Sum("a constant", (Term(Fraction(1), {Fraction(1, 2): Fraction(1)}),)),
    ),
    others=(
        Sum("a coin wider than its interval", (_coin(2, "1/2")._replace(length=Fraction(1)),)),
    ),
)


def tail_of_sum(gap: Fraction, terms: Sum) -> Mapping:
    """P(S - E S >= gap), by enumeration of all values, and the sum of squared lengths."""
    law: dict[Fraction, Fraction] = {Fraction(0): Fraction(1)}
    for term in terms.terms:
        law = dict(difference_law(law, {-value: p for value, p in term.law.items()}))
    mean = sum(value * p for value, p in law.items())
    return {
        probability: probability_of(law, lambda value: value - mean >= gap),
        spread: sum(term.length**2 for term in terms.terms),
    }


def _one_sided(*, gap=0.2, accuracy=0.5, forget_size=40, test_size=20):
    t, p = _at(gap, accuracy)
    law = difference_law(accuracy_law(p, test_size), accuracy_law(p, forget_size))
    size = forget_size * test_size / (forget_size + test_size)
    return float(probability_of(law, lambda value: value >= t)), math.exp(-2 * gap**2 * size)


@claim(
    "hoeffding-one-sided",
    statement=(
        "P(S − E S ≥ t) < exp(−2t²/Σ), where S is a sum of independent terms with values in "
        "intervals of lengths c_i, and Σ = Σc_i²."
    ),
    explanation=(
        "Take one term whose mean divides its interval in the ratio p : 1 - p. With u = hc, E "
        "e^{h(X - EX)} <= e^{L(u)}, L = ln(1 - p + p e^u) - pu, as e^x lies below its chord. L(0) "
        "= L'(0) = 0, and L'' = q(1-q) <= 1/4 with q = pe^u/(1 - p + pe^u). So L <= u²/8. The "
        "product over all terms and Chernoff give exp(-ht + h²Σ/8), which is least at h = 4t/Σ. "
        "For an accuracy on f samples Σ = 1/f, and for the difference of two Σ = 1/f + 1/m."
    ),
    where="Lemmas 1 and 11, one side; Hoeffding's inequality itself",
    domain="independent terms with values in intervals of lengths c_i, not all 0; t > 0",
    origin="reconstructed",
    evidence="proved",
    backs=[
        "gda_theory.paper.random_sets.one_sided_bound",
        "gda_theory.paper.random_sets.departure",
    ],
    theorem=Theorem(
        # Beyond a decade the probability is 0 or the bound is 1.
        domain={gap: positive_within(1), terms: SUMS},
        conclusions={"the bound": Lt(probability * sp.exp(2 * gap**2 / spread), 1)},
        measure=tail_of_sum,
        exact=True,
    ),
    joins=[
        join(
            "convexity of the exponential",
            "E e^{h(X - EX)} <= e^{L(u)}",
            interval=f"given:terms {SUMS.text}",
        ),
        join(
            "Taylor",
            "L <= u²/8",
            second_derivative=(
                "L(0)",
                "L'(0)",
                "L'' = q(1-q), and 1/4 - q(1-q) = (q - 1/2)²",
                "known:a square is not negative",
            ),
        ),
        join(
            "Chernoff",
            "P(S - E S >= t) < exp(-ht + h²Σ/8)",
            independent=f"given:terms {SUMS.text}",
            generating_function=("E e^{h(X - EX)} <= e^{L(u)}", "L <= u²/8"),
            not_sure=("given:gap in (0, oo)", "known:S - E S has mean 0"),
        ),
        join(
            "identity",
            "the bound",
            equation=("P(S - E S >= t) < exp(-ht + h²Σ/8)", "exponent at h = 4t/Σ", "best h"),
        ),
    ],
    relation="<=",
    evaluate=_one_sided,
    counterexample="f, m, p, t with P(Acc_T - Acc_F >= t) > exp(-2t² fm/(f+m))",
)
def hoeffding_one_sided(
    best_slope=4 * gap / spread,
    bound=2 * gap**2 / spread,
    curvature_at_most=sp.Rational(1, 4),
):
    chance = success / (1 + success)  # p in (0, 1)
    above = 1 - chance + chance * sp.exp(exponent)
    moment = sp.log(above) - chance * exponent
    yield Equal("L(0)", moment.subs(exponent, 0), 0)
    yield Equal("L'(0)", sp.diff(moment, exponent).subs(exponent, 0), 0)
    share = chance * sp.exp(exponent) / above
    slack = curvature_at_most - sp.diff(moment, exponent, 2)
    yield Equal(
        "L'' = q(1-q), and 1/4 - q(1-q) = (q - 1/2)²", slack, (share - sp.Rational(1, 2)) ** 2
    )
    chernoff = -slope * gap + slope**2 * spread / 8
    yield Equal("best h", sp.diff(chernoff, slope).subs(slope, best_slope), 0)
    yield Equal("exponent at h = 4t/Σ", chernoff.subs(slope, best_slope), -bound)


def count_subsets(forget_size: int, test_size: int, correct: int, hits: int) -> Mapping:
    """The share of subsets of ``forget_size`` samples with so many right ones, and their mean."""
    whole = forget_size + test_size
    if min(forget_size, test_size, correct, hits) < 0 or not correct <= whole or whole == 0:
        raise NoValue("no such samples")
    right = [
        sum(sample < correct for sample in subset)
        for subset in itertools.combinations(range(whole), forget_size)
    ]
    return {
        probability: Fraction(right.count(hits), len(right)),
        mean_hits: Fraction(sum(right), len(right)),
    }


subset_law = (
    sp.binomial(forget, hits)
    * sp.binomial(test_size, correct - hits)
    / sp.binomial(forget + test_size, correct)
)


@claim(
    "random-subset-law",
    statement=(
        "Suppose c of the f + m samples are right. Then a of the f forgotten ones are right with "
        "probability C(f,a) C(m,c−a)/C(f+m,c). The mean of a is fc/(f+m)."
    ),
    explanation=(
        "All subsets of f samples are equally likely, and C(c,a) C(f+m-c,f-a) of the C(f+m,f) "
        "subsets have a right ones. The law times a is the mean times the law of f - 1, m and "
        "c - 1, whose terms add up to 1. So forget and test accuracy agree on average."
    ),
    where="Sec. 4, for a finite data set; Fisher's exact test",
    domain=(
        "F a uniformly random subset of the f + m >= 1 samples that the oracle did not see, c of "
        "which it gets right"
    ),
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.paper.random_sets.two_sided_subset",
        "gda_theory.paper.random_sets.one_sided_subset",
        "gda_theory.paper.random_sets.departure",
    ],
    theorem=Theorem(
        domain={
            forget: Integers(0, 5),
            test_size: Integers(0, 5),
            correct: Integers(0, 10),
            hits: Integers(0, 5),
        },
        hypotheses=(Le(correct, forget + test_size), Ge(forget + test_size, 1)),
        conclusions={
            "the law": Eq(probability, subset_law),
            "the mean": Eq(mean_hits, forget * correct / (forget + test_size)),
        },
        measure=count_subsets,
        exact=True,
    ),
    joins=[
        join(
            "counting",
            "the law",
            number=(
                "C(c,a) C(f+m-c,f-a)/C(f+m,f) over the law",
                "given:correct <= forget_size + test_size",
            ),
        ),
        join(
            "identity",
            "the mean",
            equation=(
                "the law",
                "a P(a) = mean times the law of f - 1, m, c - 1",
                "known:the probabilities of a law add up to 1",
                "given:forget_size + test_size >= 1",
            ),
        ),
    ],
    counterexample="f, m, c and a partition count that differs from the law",
)
def random_subset_law(law=subset_law, mean=forget * correct / (forget + test_size)):
    subsets = (
        sp.binomial(correct, hits)
        * sp.binomial(forget + test_size - correct, forget - hits)
        / sp.binomial(forget + test_size, forget)
    )
    yield Equal("C(c,a) C(f+m-c,f-a)/C(f+m,f) over the law", sp.combsimp(subsets / law), 1)
    smaller = law.subs(
        {forget: forget - 1, hits: hits - 1, correct: correct - 1}, simultaneous=True
    )
    yield Equal(
        "a P(a) = mean times the law of f - 1, m, c - 1", sp.combsimp(hits * law / smaller), mean
    )


def worst_probability(forget_size: object, test_size: object, gap: object, sides: int) -> Mapping:
    """The largest probability of a gap: on the grid, and over all accuracies."""
    size, others = int(forget_size), int(test_size)
    if min(size, others) < 1:
        raise NoValue("no samples")
    whole = size + others
    number_of = np.zeros(whole + 1)
    for a, c in _outcomes(size, others, Fraction(gap), sides):
        number_of[a + c] += math.comb(size, a) * math.comb(others, c)

    def chance(angles: np.ndarray) -> np.ndarray:
        p = np.sin(np.asarray(angles)[..., None] / 2) ** 2
        powers = np.arange(whole + 1)
        return (number_of * p**powers * (1 - p) ** (whole - powers)).sum(-1)

    return {
        on_grid: float(chance(np.pi * np.arange(8 * whole + 1) / (8 * whole)).max()),
        greatest: _maximum(chance, np.linspace(0, np.pi, 64 * whole + 2)),
    }


def _outcomes(size: int, others: int, gap: Fraction, sides: int) -> Iterator[tuple[int, int]]:
    """The counts of right forgotten and right test samples that are ``gap`` or more apart."""
    for a, c in itertools.product(range(size + 1), range(others + 1)):
        apart = Fraction(c, others) - Fraction(a, size)
        if (abs(apart) if sides == 2 else apart) >= gap:
            yield a, c


def _maximum(function: Callable, angles: np.ndarray) -> float:
    """The maximum of ``function``: the best of ``angles``, and a search between its neighbours."""
    values = function(angles)
    best = int(np.argmax(values))
    around = angles[max(best - 1, 0)], angles[min(best + 1, len(angles) - 1)]
    found = scipy.optimize.minimize_scalar(
        lambda angle: -float(function(angle)), bounds=around, method="bounded"
    )
    return max(float(values[best]), -float(found.fun))


@claim(
    "worst-accuracy-grid",
    statement=(
        "With p = (1 − cos φ)/2 the probability of a gap is a trigonometric polynomial in φ of "
        "degree N = f + m. Its maximum is at most 1/cos(π/16) < 1.02 times its largest value on "
        "the grid πj/(8N)."
    ),
    explanation=(
        "Each outcome has probability p^k (1-p)^{N-k} up to a factor: a product of N factors "
        "linear in cos φ. Every angle is within half a cell of the grid. The polynomial is >= 0, "
        "with maximum M; within π/N of the maximum it is at least M cos(N distance)."
    ),
    where="Lemmas 1 and 11, when the population accuracy is not known; Barnard's test",
    domain="f, m >= 1, any gap, one or two sides; 8N + 1 angles, N = f + m",
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.paper.random_sets.worst_two_sided_binomial",
        "gda_theory.paper.random_sets.worst_one_sided_binomial",
    ],
    theorem=Theorem(
        domain={
            forget: Integers(1, 12),
            test_size: Integers(1, 12),
            gap: Interval(decades=2),  # beyond ±1 the probability is constant
            sides: OneOf((1, 2)),
        },
        conclusions={
            "the grid": Le(greatest, on_grid / sp.cos(sp.pi / 16)),
            "2 %": Lt(1 / sp.cos(sp.pi / 16), sp.Rational("1.02")),
        },
        measure=worst_probability,
        digits=15,
        most_digits=15,
        exact=True,
    ),
    joins=[
        join(
            "Riesz",
            "near its maximum M the polynomial is at least M cos(N distance)",
            degree=("p = sin²(φ/2)", "known:p^k (1-p)^(N-k) is a polynomial in p of degree N"),
        ),
        join(
            "identity",
            "the grid",
            equation=(
                "near its maximum M the polynomial is at least M cos(N distance)",
                "half a cell",
                "M over what the grid has of it",
            ),
        ),
        join("sign", "2 %", sign="1.02 cos(π/16) > 1"),
    ],
    counterexample=(
        "f, m, a gap and an accuracy p whose probability exceeds the largest one of the grid by "
        "more than 2 %"
    ),
)
def worst_accuracy_grid(
    accuracy=(1 - sp.cos(angle)) / 2,
    farthest=sp.pi / (16 * degree),
    excess=1 / sp.cos(sp.pi / 16),
):
    yield Equal("p = sin²(φ/2)", accuracy, sp.sin(angle / 2) ** 2)
    yield Equal("half a cell", sp.pi / (8 * degree) / 2, farthest)
    yield Equal("M over what the grid has of it", 1 / sp.cos(degree * farthest), excess)
    yield Positive("1.02 cos(π/16) > 1", sp.Rational(102, 100) / excess - 1)
