"""What is measured on samples (arXiv:2410.13770): noise, correlations, a log loss from samples."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import itertools
import math
import random
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import mpmath
import sympy as sp

from derivations.hierarchy.mean_field.maps import (
    GEOMETRIC,
    PAPER,
    geometric,
    geometric_steps,
    noise,
)
from derivations.ledger.domains import Drawn, Integers, between
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import vocabulary as v
from derivations.ledger.theorems import Eq, Ge, Given, Le, NoValue, Theorem

leaves, hidden, draws, groups, spread = sp.symbols("d h K G s2", positive=True)
distance = sp.Symbol("r", integer=True)
shortfall = sp.Symbol("t", nonnegative=True)
mean_x, mean_y, product = sp.symbols("x y xy", real=True)  # E x, E y, E xy of one draw
q, p = sp.symbols(
    "q p", positive=True
)  # probability of a symbol: the denoiser's, and the posterior's
order, count = sp.symbols("K n", positive=True, integer=True)
tail = (1 - q) ** (order + 1) / ((order + 1) * q)


def exact_covariance(law: Iterable[tuple[Fraction, object, object]]) -> Fraction:
    """Of two numbers, from a list of (probability, first, second)."""
    law = list(law)
    first = sum(chance * one for chance, one, _ in law)
    second = sum(chance * other for chance, _, other in law)
    return sum(chance * one * other for chance, one, other in law) - first * second


hidden_pair, fixed_spread, independent_spread, own_shown, other_shown = sp.symbols(
    "Cov_fixed Var_fixed Var_independent P_own P_other", real=True
)


def enumerated_noise(d, h, noise, vocabulary):
    """All masks of h of d leaves, all masks with probability h/d, and all symbols drawn anew."""
    if not 0 <= noise <= 1:
        raise NoValue("a noise lies in [0, 1]")
    if vocabulary < 2 or not 0 <= h <= d:
        raise NoValue("there is no other symbol, or there are too few leaves")
    masks = list(itertools.product((0, 1), repeat=d))
    share = Fraction(h, d)
    fixed = [(Fraction(1, math.comb(d, h)), mask[0], mask[-1]) for mask in masks if sum(mask) == h]
    sums = [
        (share ** sum(mask) * (1 - share) ** (d - sum(mask)), sum(mask), sum(mask))
        for mask in masks
    ]
    shown = [noise * Fraction(1, vocabulary)] * vocabulary
    shown[0] += 1 - noise
    return {
        hidden_pair: exact_covariance(fixed),
        fixed_spread: exact_covariance((chance, h, h) for chance, _, _ in fixed),
        independent_spread: exact_covariance(sums),
        own_shown: shown[0],
        other_shown: shown[-1],
    }


SUBSETS = Given("all sets of h of the d leaves are equally likely to be hidden", lambda **_: True)
BY_THEMSELVES = Given("or each leaf is hidden by itself with probability h/d", lambda **_: True)
REDRAWN = Given("with probability ε a leaf is drawn anew, uniformly", lambda **_: True)


@claim(
    "rhm-mask-laws",
    statement=(
        "With a fixed number h of masks, two leaves are hidden with covariance −h(d−h)/(d²(d−1)). "
        "With independent masks the number of hidden leaves has variance h(d−h)/d; the fixed "
        "number has none. Flipped leaves y have the likelihood (1−ε)[x = y] + ε/v."
    ),
    explanation=(
        "Two given leaves are hidden with probability h(h-1)/(d(d-1)). The d variances and d(d-1) "
        "covariances add up to 0, as they must. A leaf drawn anew with probability ε shows each "
        "symbol with ε/v, and its own with 1 - ε in addition."
    ),
    where=f"{PAPER}, masking: which leaves are hidden",
    domain=(
        "h of d >= 2 leaves hidden, all subsets equally likely; or each leaf by itself with "
        "probability h/d; flips with probability ε"
    ),
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.noise.likelihood.random_mask",
        "rhm_theory.noise.likelihood.uniform_flips",
        "rhm_theory.experiment.trajectories.enumerated_masks",
    ],
    theorem=Theorem(
        domain={
            leaves: Integers(2, 7),
            hidden: Integers(0, 7),
            noise: between(0, 1, "[]"),
            v: Integers(2, 6),
        },
        hypotheses=(Le(hidden, leaves), SUBSETS, BY_THEMSELVES, REDRAWN),
        conclusions={
            "covariance": Eq(hidden_pair, -hidden * (leaves - hidden) / (leaves**2 * (leaves - 1))),
            "independent masks": Eq(independent_spread, hidden * (leaves - hidden) / leaves),
            "fixed number": Eq(fixed_spread, 0),
            "own symbol": Eq(own_shown, 1 - noise + noise / v),
            "another symbol": Eq(other_shown, noise / v),
        },
        measure=enumerated_noise,
        exact=True,
    ),
    joins=[
        join(
            "exchangeability",
            "covariance",
            draws=(f"given:{SUBSETS}", "P(both) - P(one)²"),
        ),
        join(
            "linearity of expectation",
            "independent masks",
            terms=(f"given:{BY_THEMSELVES}", "variance of independent masks"),
        ),
        join(
            "linearity of expectation",
            "fixed number",
            terms=("covariance", "what the covariances take"),
        ),
        join(
            "linearity of expectation",
            ("own symbol", "another symbol"),
            terms=(
                f"given:{REDRAWN}",
                "shown symbols: its own and v - 1 others",
            ),
        ),
    ],
    counterexample="d, h and two leaves whose indicators of being hidden have another covariance",
)
def mask_laws(
    fixed_number=-hidden * (leaves - hidden) / (leaves**2 * (leaves - 1)),
    independent=hidden * (leaves - hidden) / leaves,
    kept=1 - noise + noise / v,
):
    share = hidden / leaves
    yield Equal(
        "P(both) - P(one)²",
        hidden * (hidden - 1) / (leaves * (leaves - 1)) - share**2,
        fixed_number,
    )
    yield Equal("variance of independent masks", leaves * share * (1 - share), independent)
    yield Equal("what the covariances take", leaves * (leaves - 1) * fixed_number, -independent)
    yield Equal("shown symbols: its own and v - 1 others", kept + (v - 1) * noise / v, 1)


class Changes(NamedTuple):
    """A law of two numbers as (weight, x, y), and one mean for each group of trajectories."""

    law: tuple[tuple[int, Fraction, Fraction], ...]
    groups: tuple[Fraction, ...]


def random_changes(generator: random.Random) -> Changes:
    """Three outcomes, and two to six groups."""

    def number() -> Fraction:
        return Fraction(generator.randint(-9, 9), generator.choice((1, 2, 7)))

    return Changes(
        law=tuple((generator.randint(1, 9), number(), number()) for _ in range(3)),
        groups=tuple(number() for _ in range(generator.randint(2, 6))),
    )


changes = sp.Symbol("changes")
mean_sum, pair_covariance, spin_covariance, ring_pairs, line_pairs, ratio_error, jackknife_error = (
    sp.symbols("E_sum Cov Cov_spins ring_pairs line_pairs ratio_error jackknife_error", real=True)
)


def all_draws(changes, K, d, r):
    """All sequences of K draws, all pairs of sites, and errors by their definitions."""
    if r < 0 or d < 1 or K < 1:
        raise NoValue("there is no such distance, no leaf or no draw")
    total = sum(weight for weight, _, _ in changes.law)
    law = [(Fraction(weight, total), x, y) for weight, x, y in changes.law]
    expected = Fraction(0)
    for sequence in itertools.product(law, repeat=K):
        chance = math.prod(outcome[0] for outcome in sequence)
        over_x, over_y = (sum(o[i] for o in sequence) / Fraction(K) for i in (1, 2))
        expected += chance * sum((x - over_x) * (y - over_y) for _, x, y in sequence)
    steps = [i - j for i in range(d) for j in range(d)]
    return errors_of_a_mean(changes.groups) | {
        mean_sum: expected,
        pair_covariance: exact_covariance(law),
        spin_covariance: exact_covariance((chance, 1 - 2 * x, 1 - 2 * y) for chance, x, y in law),
        ring_pairs: sum(step % (2 * d) == r for step in steps),
        line_pairs: sum(step == r for step in steps),
    }


def errors_of_a_mean(means: Sequence[Fraction]) -> dict[sp.Symbol, object]:
    """The squared errors of the ratio Σa/Σ1 and of the jackknife, by their definitions."""
    size = len(means)
    ratio = sum(means) / size
    without = [(sum(means) - one) / (size - 1) for one in means]
    centre = sum(without) / size
    return {
        groups: size,
        spread: sum((one - ratio) ** 2 for one in means),
        ratio_error: Fraction(size, size - 1) * sum((one - ratio) ** 2 for one in means) / size**2,
        jackknife_error: Fraction(size - 1, size) * sum((one - centre) ** 2 for one in without),
    }


INDEPENDENT = Given("the K draws are independent", lambda **_: True)


@claim(
    "rhm-sample-covariance",
    statement=(
        "E Σ_k (x_k − x̄)(y_k − ȳ) = (K−1) Cov(x, y), and spins 1 − 2n have 4 Cov. On a ring of 2d "
        "sites no pair of d sites at distance r <= d meets another way round. For a mean, the "
        "squared errors of the ratio and of the jackknife are both Σ(a − ā)²/(G(G−1))."
    ),
    explanation=(
        "E x̄ȳ = (E xy + (K-1) E x E y)/K. Two of d sites are r or r - 2d apart, and r - 2d < "
        "-(d-1). Without group g the mean is ā + (ā - a_g)/(G-1)."
    ),
    where=f"{PAPER}, Sec. 2: C(r) and χ from trajectories",
    domain="K independent trajectories of one start; G groups of equal weight for the errors",
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.experiment.measure.change_sums",
        "rhm_theory.experiment.measure.ratio",
        "rhm_theory.experiment.measure.jackknife",
    ],
    theorem=Theorem(
        domain={
            changes: Drawn("any law of x and y, and any means of 2 or more groups", random_changes),
            draws: Integers(1, 4),
            leaves: Integers(1, 9),
            distance: Integers(0, 9),
        },
        hypotheses=(Le(distance, leaves), INDEPENDENT),
        conclusions={
            "unbiased": Eq(mean_sum, (draws - 1) * pair_covariance),
            "spins": Eq(spin_covariance, 4 * pair_covariance),
            "ring": Eq(ring_pairs, line_pairs),
            "ratio": Eq(ratio_error, spread / (groups * (groups - 1))),
            "jackknife": Eq(jackknife_error, spread / (groups * (groups - 1))),
        },
        measure=all_draws,
        exact=True,
        points=16,
    ),
    joins=[
        join(
            "linearity of expectation",
            "unbiased",
            terms=(f"given:{INDEPENDENT}", "K E xy - K E x̄ȳ"),
        ),
        join("linearity of expectation", "spins", terms="E σσ' - E σ E σ'"),
        join("sign", "ring", sign=("r - 2d for r = d - t", "which no two sites are apart")),
        join("identity", "ratio", equation="ratio, b = 1: G/(G-1) Σ(a - ā)²/G²"),
        join("identity", "jackknife", equation="jackknife: (G-1)/G Σ(ā - a_g)²/(G-1)²"),
    ],
    counterexample=(
        "a law of the changes whose mean S(r) is not the sum of the covariances at distance r"
    ),
)
def sample_covariance(
    unbiased=(draws - 1) * (product - mean_x * mean_y),
    spins=4 * (product - mean_x * mean_y),
    wrapped=-leaves - shortfall,
    error=spread / (groups * (groups - 1)),
):
    of_means = (product + (draws - 1) * mean_x * mean_y) / draws
    yield Equal("K E xy - K E x̄ȳ", draws * product - draws * of_means, unbiased)
    of_spins = 1 - 2 * mean_x - 2 * mean_y + 4 * product
    yield Equal("E σσ' - E σ E σ'", of_spins - (1 - 2 * mean_x) * (1 - 2 * mean_y), spins)
    yield Equal("r - 2d for r = d - t", (leaves - shortfall) - 2 * leaves, wrapped)
    yield Positive("which no two sites are apart", -(leaves - 1) - wrapped)
    # s2: Σ_g (a_g - ā)².
    yield Equal(
        "ratio, b = 1: G/(G-1) Σ(a - ā)²/G²", groups / (groups - 1) * spread / groups**2, error
    )
    yield Equal(
        "jackknife: (G-1)/G Σ(ā - a_g)²/(G-1)²",
        (groups - 1) / groups * spread / (groups - 1) ** 2,
        error,
    )


# Binomial coefficients over C(K, n).
parts = {
    (order - 1, count): (order - count) / order,
    (order - 1, count - 1): count / order,
    (order, count + 1): (order - count) / (count + 1),
}


class TwoLaws(NamedTuple):
    """A posterior (zeros allowed) and a denoiser's probabilities (all positive)."""

    posterior: tuple[Fraction, ...]
    denoiser: tuple[Fraction, ...]


def random_beliefs(generator: random.Random) -> TwoLaws:
    """Of one to four symbols."""
    size = generator.randint(1, 4)
    weights = [generator.choice((0, generator.randint(1, 9), 1000)) for _ in range(size)]
    weights[0] += 1
    others = [generator.choice((generator.randint(1, 9), 1000)) for _ in range(size)]
    return TwoLaws(
        posterior=tuple(Fraction(weight, sum(weights)) for weight in weights),
        denoiser=tuple(Fraction(weight, sum(others)) for weight in others),
    )


beliefs = sp.Symbol("beliefs")
CERTAIN = TwoLaws((Fraction(1), Fraction(0)), (Fraction(1, 2), Fraction(1, 2)))
ONE_SYMBOL = TwoLaws((Fraction(1),), (Fraction(1),))
mean_loss, truncated, loss_gap, divergence, rest_q, rest_p, power_sum = sp.symbols(
    "E_loss l_K gap KL T_q T_p power_sum", real=True
)


def expected_loss(share, size: int):
    """E[H_K - H_n] over all n of the binomial law."""
    law = [math.comb(size, n) * share**n * (1 - share) ** (size - n) for n in range(size + 1)]
    harmonic = list(
        itertools.accumulate((mpmath.mpf(1) / k for k in range(1, size + 1)), initial=0)
    )
    return sum(chance * (harmonic[-1] - part) for chance, part in zip(law, harmonic, strict=True))


def rest_of_logarithm(share, size: int):
    """Σ_{k>K} (1-share)^k/k as a hypergeometric function."""
    x = 1 - share
    return x ** (size + 1) / (size + 1) * mpmath.hyp2f1(1, size + 1, size + 2, x)


def losses(beliefs, q, K):
    """Losses from all outcomes, and the rests of the logarithm's series."""
    size = int(K)
    if size < 1 or not 0 < q <= 1:
        raise NoValue("there is no sample, or no such probability")
    posterior, denoiser = ([_real(share) for share in law] for law in beliefs)
    pairs = [(one, other) for one, other in zip(posterior, denoiser, strict=True) if one]
    return {
        mean_loss: expected_loss(q, size),
        truncated: sum((1 - q) ** k / k for k in range(1, size + 1)),
        loss_gap: sum(
            one * (expected_loss(other, size) - expected_loss(one, size)) for one, other in pairs
        ),
        divergence: sum(one * mpmath.log(one / other) for one, other in pairs),
        rest_q: sum(one * rest_of_logarithm(other, size) for one, other in pairs),
        rest_p: sum(one * rest_of_logarithm(one, size) for one, _ in pairs),
        power_sum: sum((1 - share) ** (size + 1) for share in posterior),
    }


def _real(share: Fraction):
    return mpmath.mpf(share.numerator) / share.denominator


LOGARITHM = "known:-ln q = Σ_{k>=1} (1-q)^k/k for 0 < q <= 1"
SAMPLES = Given("n of K independent samples have the symbol", lambda **_: True)


@claim(
    "rhm-truncated-loss",
    statement=(
        "For n ~ Bin(K, q), E[H_K − H_n] = ℓ_K(q) = Σ_{k≤K}(1−q)^k/k. It lies between −ln q − "
        "(1−q)^{K+1}/((K+1)q) and −ln q. So the gap is KL(p‖q) − T_K(q) + T_K(p), with T_K(q) = "
        "Σ_a p_a Σ_{k>K}(1−q_a)^k/k. Moreover T_K(p) ≤ Σ_a (1−p_a)^{K+1}/(K+1)."
    ),
    explanation=(
        "Both sides are 0 at q = 1, where n = K, and they have the same slope in q: E f(n) has the "
        "slope K E[f(n+1) - f(n)] over K - 1 trials, here -K E[1/(n+1)]. Beyond K, 1/k is below "
        "1/(K+1), which leaves a geometric series."
    ),
    where="the log loss of a denoiser from its samples alone",
    domain="0 < q <= 1, K >= 1; n of K independent samples have the symbol; p_a = 0 is allowed",
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.experiment.comparison.truncated_log_loss",
        "rhm_theory.experiment.comparison.compare",
    ],
    theorem=Theorem(
        domain={
            beliefs: Drawn(
                "any posterior p, and any denoiser with q_a > 0",
                random_beliefs,
                special=(CERTAIN, ONE_SYMBOL),
            ),
            q: between(0, 1, "(]"),
            order: Integers(1, 12),
        },
        hypotheses=(SAMPLES,),
        conclusions={
            "mean": Eq(mean_loss, truncated),
            "above": Le(truncated, -sp.log(q)),
            "below": Ge(truncated, -sp.log(q) - tail),
            "gap": Eq(loss_gap, divergence - rest_q + rest_p),
            "own rest": Le(rest_p, power_sum / (order + 1)),
        },
        measure=losses,
    ),
    joins=[
        GEOMETRIC,
        join(
            "identity",
            "slope of ℓ_K",
            equation=("a term of ℓ_K", "ℓ_K': K such terms", "sums in closed form"),
        ),
        join(
            "linearity of expectation",
            "slope of E[H_K - H_n]",
            terms=(
                *(f"C({trials}, {successes}) over C(K, n)" for trials, successes in parts),
                f"given:{SAMPLES}",
                "d/dq P(n of K)",
                "P(n of K-1)/(n+1)",
                "-K E[1/(n+1)], as Σ_n P(n+1 of K) = 1 - P(0 of K)",
            ),
        ),
        join(
            "equal derivatives",
            "mean",
            derivatives=("slope of ℓ_K", "slope of E[H_K - H_n]"),
            point=("a term of ℓ_K at q = 1", "known:n = K if q = 1"),
        ),
        join("sign", "above", sign=(LOGARITHM, "given:q in (0, 1]")),
        join("sign", "below", sign=(LOGARITHM, "Σ_{k>K} (1-q)^k/(K+1)", "given:q in (0, 1]")),
        join("identity", "gap", equation=("mean", LOGARITHM, "a symbol's share of the gap")),
        join("sign", "own rest", sign=("below", "p times that, q = p")),
    ],
    counterexample="q and K at which E[H_K - H_n] is not Σ_{k<=K} (1-q)^k/k",
)
def truncated_loss(
    slope=-(1 - (1 - q) ** order) / q,
    bound=tail,
    own_bound=(1 - p) ** (order + 1) / (order + 1),
    gap=p * sp.log(p / q) - p * sp.Symbol("T_q") + p * sp.Symbol("T_p"),
):
    power = sp.Symbol("k", positive=True)
    yield from geometric_steps()
    yield Equal("a term of ℓ_K", sp.diff((1 - q) ** power / power, q), -((1 - q) ** (power - 1)))
    yield Equal("a term of ℓ_K at q = 1", ((1 - q) ** power / power).subs(q, 1), 0)
    yield Equal("ℓ_K': K such terms", -geometric(1 - q, order), slope)
    for (trials, successes), share in parts.items():
        ratio = sp.combsimp(sp.binomial(trials, successes) / sp.binomial(order, count))
        yield Equal(f"C({trials}, {successes}) over C(K, n)", ratio, share)

    def chance(trials, successes):
        """Over C(K, n)."""
        share = parts.get((trials, successes), sp.Integer(1))
        return share * q**successes * (1 - q) ** (trials - successes)

    derived = sp.diff(chance(order, count), q)
    yield Equal(
        "d/dq P(n of K)", derived, order * (chance(order - 1, count - 1) - chance(order - 1, count))
    )
    yield Equal(
        "P(n of K-1)/(n+1)",
        chance(order - 1, count) / (count + 1),
        chance(order, count + 1) / (order * q),
    )
    yield Equal(
        "-K E[1/(n+1)], as Σ_n P(n+1 of K) = 1 - P(0 of K)",
        -order * (1 - (1 - q) ** order) / (order * q),
        slope,
    )
    yield Equal(
        "Σ_{k>K} (1-q)^k/(K+1)", (1 - q) ** (order + 1) / (1 - (1 - q)) / (order + 1), bound
    )
    yield Equal("p times that, q = p", p * bound.subs(q, p), own_bound)
    ours, theirs = (-sp.log(share) - sp.Symbol(rest) for share, rest in ((p, "T_p"), (q, "T_q")))
    yield Equal("a symbol's share of the gap", p * theirs - p * ours, gap)
