"""Random forget sets (Sec. 4; Lemmas 1 and 11): Hoeffding's bounds, and the law of a random subset.

Given the retain set the oracle is fixed. It saw neither the f forgotten samples nor the m test
samples. So its accuracies on them are means of independent 0/1 terms. Each term is 1 with
probability p, the population accuracy.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import math
from fractions import Fraction

import sympy as sp

from derivations.ledger.ledger import claim
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import below_one, forget

tolerance, test_size, spread, slope, exponent = sp.symbols("t m Sigma h u", positive=True)
success, significance = sp.symbols("p delta", positive=True)
hits, correct = sp.symbols("a c", positive=True, integer=True)
angle, degree = sp.symbols("phi N", positive=True)


def binomial_tail(*, gap, accuracy, forget_size, test_size=None, sides=2):
    """The exact probability that forget and test accuracy are ``gap`` or more apart.

    Without a test set the accuracy of the population takes its place.
    """
    gap, accuracy = Fraction(str(gap)), Fraction(str(accuracy))

    def law(size):
        return [
            math.comb(size, k) * accuracy**k * (1 - accuracy) ** (size - k) for k in range(size + 1)
        ]

    on_test = (
        {accuracy: Fraction(1)}
        if test_size is None
        else {Fraction(k, test_size): q for k, q in enumerate(law(test_size))}
    )
    on_forget = {Fraction(k, forget_size): q for k, q in enumerate(law(forget_size))}
    return sum(
        on_test[test] * on_forget[score]
        for test in on_test
        for score in on_forget
        if test - score >= gap or (sides == 2 and score - test >= gap)
    )


def _population(*, gap=0.2, accuracy=0.5, forget_size=40):
    tail = binomial_tail(gap=gap, accuracy=accuracy, forget_size=forget_size)
    return float(tail), 2 * math.exp(-2 * gap**2 * forget_size)


@claim(
    "hoeffding",
    statement=(
        "P(|Acc − Acc_F| ≥ t) ≤ 2 exp(−2ft²), where Acc is the population accuracy of the oracle "
        "and Acc_F its accuracy on the forget set."
    ),
    explanation=(
        "Given the oracle, Acc_F is a mean of f independent 0/1 terms, of ranges 1/f. The factor 2 "
        "counts the two sides."
    ),
    where="Lemmas 1 and 11",
    domain=(
        "i.i.d. data, F chosen independently of the values, the oracle's accuracies, the "
        "population accuracy of the test; t > 0"
    ),
    origin="paper",
    evidence="proved",
    backs=[
        "gda_theory.paper.random_sets.two_sided_bound",
        "gda_theory.paper.random_sets.departure",
    ],
    rules=["Hoeffding"],
    relation="<=",
    evaluate=_population,
    counterexample="f, p, t with a larger probability",
)
def hoeffding(population=2 * forget * tolerance**2):
    in_forget = forget * (1 / forget) ** 2  # the sum of squared ranges
    yield Equal("2t²/Σc² for Acc_F", 2 * tolerance**2 / in_forget, population)


def _finite(*, gap=0.2, accuracy=0.5, forget_size=40, test_size=20):
    tail = binomial_tail(gap=gap, accuracy=accuracy, forget_size=forget_size, test_size=test_size)
    return float(tail), 2 * math.exp(
        -2 * gap**2 * forget_size * test_size / (forget_size + test_size)
    )


@claim(
    "hoeffding-finite-test",
    statement=(
        "P(|Acc_T − Acc_F| ≥ t) ≤ 2 exp(−2t² fm/(f+m)) on a test set of m points. The bound equals "
        "δ at the half width t = √(ln(2/δ)(1/f + 1/m)/2)."
    ),
    explanation=(
        "Acc_T - Acc_F is a sum of f independent terms of range 1/f and m terms of range 1/m. As m "
        "-> oo the bound becomes that of hoeffding."
    ),
    where="Lemmas 1 and 11; their test accuracy is that of the population",
    domain="as hoeffding; m test points, independent of the forget set and of the oracle",
    origin="corrected",
    evidence="proved",
    backs=[
        "gda_theory.paper.random_sets.effective_size",
        "gda_theory.paper.random_sets.two_sided_bound",
        "gda_theory.paper.random_sets.two_sided_half_width",
        "gda_theory.paper.random_sets.one_sided_half_width",
    ],
    rules=["Hoeffding"],
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
    finite=2 * tolerance**2 * forget * test_size / (forget + test_size),
    half_width=sp.sqrt(sp.log(2 / significance) * (1 / forget + 1 / test_size) / 2),
):
    ranges = forget * (1 / forget) ** 2 + test_size * (1 / test_size) ** 2
    yield Equal("2t²/Σc² for Acc_T - Acc_F", 2 * tolerance**2 / ranges, finite)
    yield Equal(
        "m -> oo gives the population's",
        sp.limit(finite, test_size, sp.oo),
        2 * forget * tolerance**2,
    )
    yield Equal(
        "at the half width the bound is δ",
        finite.subs(tolerance, half_width),
        sp.log(2 / significance),
    )


def _one_sided(*, gap=0.2, accuracy=0.5, forget_size=40, test_size=20):
    tail = binomial_tail(
        gap=gap, accuracy=accuracy, forget_size=forget_size, test_size=test_size, sides=1
    )
    return float(tail), math.exp(-2 * gap**2 * forget_size * test_size / (forget_size + test_size))


@claim(
    "hoeffding-one-sided",
    statement=(
        "P(S − E S ≥ t) ≤ exp(−2t²/Σ). These are the bounds without the factor 2. The union of "
        "both sides gives those with it."
    ),
    explanation=(
        "Take one term whose mean divides its interval in the ratio p : 1 - p. With u = hc, E "
        "e^{h(X - EX)} <= e^{L(u)}, L = ln(1 - p + p e^u) - pu, as e^x lies below its chord. L(0) "
        "= L'(0) = 0, and L'' = q(1-q) <= 1/4 with q = pe^u/(1 - p + pe^u). So L <= u²/8. The "
        "product over all terms and Chernoff give exp(-ht + h²Σ/8), which is least at h = 4t/Σ."
    ),
    where="Lemmas 1 and 11, one side; Hoeffding's inequality itself",
    domain="independent terms with values in intervals of lengths c_i, Σ = Σc_i²; t > 0",
    origin="reconstructed",
    evidence="proved",
    backs=[
        "gda_theory.paper.random_sets.one_sided_bound",
        "gda_theory.paper.random_sets.departure",
    ],
    rules=["Chernoff", "convexity of the exponential", "Taylor"],
    relation="<=",
    evaluate=_one_sided,
    counterexample="f, m, p, t with P(Acc_T - Acc_F >= t) > exp(-2t² fm/(f+m))",
)
def hoeffding_one_sided(
    best_slope=4 * tolerance / spread,
    bound=2 * tolerance**2 / spread,
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
    chernoff = -slope * tolerance + slope**2 * spread / 8
    yield Equal("best h", sp.diff(chernoff, slope).subs(slope, best_slope), 0)
    yield Equal("exponent there", chernoff.subs(slope, best_slope), -bound)
    yield Positive("it is a minimum", sp.diff(chernoff, slope, 2))
    two_accuracies = 2 * tolerance**2 * forget * test_size / (forget + test_size)
    yield Equal(
        "Σ for two accuracies", bound.subs(spread, 1 / forget + 1 / test_size), two_accuracies
    )


@claim(
    "random-subset-law",
    statement=(
        "Suppose c of the f + m samples are right. Then a of the f forgotten ones are right with "
        "probability C(f,a) C(m,c−a)/C(f+m,c). Neither p nor a population enters."
    ),
    explanation=(
        "For i.i.d. data this is the law of two binomials given their sum, as p cancels. It is "
        "enumerated for 5 and 4 samples. For any sizes the ratio of consecutive terms determines "
        "it. Its mean is fc/(f+m), so forget and test accuracy agree on average."
    ),
    where="Sec. 4, for a finite data set; Fisher's exact test",
    domain=(
        "F a uniformly random subset of the f + m samples that the oracle did not see, c of which "
        "it gets right"
    ),
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.paper.random_sets.two_sided_subset",
        "gda_theory.paper.random_sets.one_sided_subset",
        "gda_theory.paper.random_sets.departure",
    ],
    counterexample="f, m, c and a partition count that differs from the law",
)
def random_subset_law(
    law=sp.binomial(forget, hits)
    * sp.binomial(test_size, correct - hits)
    / sp.binomial(forget + test_size, correct),
    mean=forget * correct / (forget + test_size),
):
    chance = below_one

    def binomial(size, k):
        return sp.binomial(size, k) * chance**k * (1 - chance) ** (size - k)

    sizes = {forget: 5, test_size: 4}
    for right in range(1, 9):
        # Enumerated for 5 and 4 samples: all counts, p symbolic.
        joint = [
            binomial(5, a) * binomial(4, right - a) if 0 <= right - a <= 4 else sp.Integer(0)
            for a in range(6)
        ]
        claimed = [law.subs(sizes | {correct: right}).subs(hits, a) for a in range(6)]
        yield Equal(
            f"given {right} right", sp.Matrix(joint) / binomial(9, right), sp.Matrix(claimed)
        )
    # For any sizes: the ratio of consecutive terms of the conditional law, from binomials.
    ratio = sp.combsimp(law.subs(hits, hits + 1) / law)
    direct = sp.combsimp(binomial(forget, hits + 1) / binomial(forget, hits)) * sp.combsimp(
        binomial(test_size, correct - hits - 1) / binomial(test_size, correct - hits)
    )
    yield Equal("ratio of consecutive terms, any sizes", sp.simplify(direct), ratio)
    # a P(a) is the mean times another such law, whose terms add up to 1.
    smaller = law.subs(
        {forget: forget - 1, hits: hits - 1, correct: correct - 1}, simultaneous=True
    )
    yield Equal(
        "a P(a) = mean times the law of f - 1, m, c - 1", sp.combsimp(hits * law / smaller), mean
    )


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
    rules=["Riesz"],
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
