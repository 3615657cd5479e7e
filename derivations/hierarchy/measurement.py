"""What is measured on samples (arXiv:2410.13770): noise, correlations, a log loss from samples."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import math
from fractions import Fraction

import sympy as sp

from derivations.hierarchy.mean_field import PAPER, geometric, geometric_steps, noise
from derivations.ledger.ledger import claim
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import vocabulary as v

leaves, hidden, draws, spread, more = sp.symbols("d h K s2 t", positive=True)
mean_x, mean_y, product = sp.symbols("x y xy", real=True)  # E x, E y, E xy of one draw
q, p = sp.symbols(
    "q p", positive=True
)  # probability of a symbol: the denoiser's, and the posterior's
order, count = sp.symbols("K n", positive=True, integer=True)
flips = 1 - noise + noise / v
tail = (1 - q) ** (order + 1) / ((order + 1) * q)


@claim(
    "rhm-mask-laws",
    statement=(
        "With a fixed number h of masks, two leaves are hidden with covariance −h(d−h)/(d²(d−1)). "
        "With independent masks the number of hidden leaves has variance h(d−h)/d; the fixed "
        "number removes all of it, a change of order 1 in χ. Flipped leaves y have the likelihood "
        "(1−ε)[x = y] + ε/v."
    ),
    explanation=(
        "Two given leaves are hidden with probability h(h-1)/(d(d-1)). The d variances and d(d-1) "
        "covariances add up to 0, as they must. A leaf drawn anew with probability ε shows each "
        "symbol with ε/v, and its own with 1 - ε in addition."
    ),
    where=f"{PAPER}, masking: which leaves are hidden",
    domain=(
        "h of d leaves hidden, all subsets equally likely; or each leaf by itself with probability "
        "h/d; flips with probability ε"
    ),
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.noise.likelihood.random_mask",
        "rhm_theory.noise.likelihood.uniform_flips",
        "rhm_theory.experiment.trajectories.enumerated_masks",
    ],
    rules=["exchangeability", "linearity of expectation"],
    counterexample="d, h and two leaves whose indicators of being hidden have another covariance",
)
def mask_laws(
    fixed_number=-hidden * (leaves - hidden) / (leaves**2 * (leaves - 1)),
    independent=hidden * (leaves - hidden) / leaves,
    kept=flips,
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


@claim(
    "rhm-sample-covariance",
    statement=(
        "E Σ_k (x_k − x̄)(y_k − ȳ) = (K−1) Cov(x, y), and spins 1 − 2n have 4 Cov. On a ring of 2d "
        "sites no pair at distance r < d meets another way round. For a mean, the squared errors "
        "of the ratio and of the jackknife are both Σ(a − ā)²/(G(G−1))."
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
    rules=["linearity of expectation"],
    counterexample=(
        "a law of the changes whose mean S(r) is not the sum of the covariances at distance r"
    ),
)
def sample_covariance(
    unbiased=(draws - 1) * (product - mean_x * mean_y),
    spins=4 * (product - mean_x * mean_y),
    wrapped=-leaves - 1 - more,
    error=spread / (draws * (draws - 1)),
):
    of_means = (product + (draws - 1) * mean_x * mean_y) / draws
    yield Equal("K E xy - K E x̄ȳ", draws * product - draws * of_means, unbiased)
    of_spins = 1 - 2 * mean_x - 2 * mean_y + 4 * product
    yield Equal("E σσ' - E σ E σ'", of_spins - (1 - 2 * mean_x) * (1 - 2 * mean_y), spins)
    yield Equal("r - 2d for r = d - 1 - t", (leaves - 1 - more) - 2 * leaves, wrapped)
    yield Positive("which no two sites are apart", -(leaves - 1) - wrapped)
    # s2: Σ_g (a_g - ā)² over K groups.
    yield Equal(
        "ratio, b = 1: G/(G-1) Σ(a - ā)²/G²", draws / (draws - 1) * spread / draws**2, error
    )
    yield Equal(
        "jackknife: (G-1)/G Σ(ā - a_g)²/(G-1)²",
        (draws - 1) / draws * spread / (draws - 1) ** 2,
        error,
    )


# Binomial coefficients over C(K, n).
parts = {
    (order, count): sp.Integer(1),
    (order - 1, count): (order - count) / order,
    (order - 1, count - 1): count / order,
    (order, count + 1): (order - count) / (count + 1),
}


def _mean_loss(*, probability=0.3, order=5):
    """E[H_K - H_n] over all n, and the truncated logarithm, in exact rational numbers."""
    share = Fraction(str(probability))
    harmonic = [sum(Fraction(1, k) for k in range(1, n + 1)) for n in range(order + 1)]
    law = [math.comb(order, n) * share**n * (1 - share) ** (order - n) for n in range(order + 1)]
    mean = sum(
        chance * (harmonic[order] - part) for chance, part in zip(law, harmonic, strict=True)
    )
    return float(mean), float(sum((1 - share) ** k / Fraction(k) for k in range(1, order + 1)))


@claim(
    "rhm-truncated-loss",
    statement=(
        "For n ~ Bin(K, q), E[H_K − H_n] = ℓ_K(q) = Σ_{k≤K}(1−q)^k/k. It lies between −ln q − "
        "(1−q)^{K+1}/((K+1)q) and −ln q. So the gap is KL(p‖q) − T_K(q) + T_K(p), with T_K(p) = "
        "Σ_a p_a Σ_{k>K}(1−p_a)^k/k ≤ Σ_a (1−p_a)^{K+1}/(K+1)."
    ),
    explanation=(
        "Both sides are 0 at q = 1, where n = K, and they have the same slope in q: E f(n) has the "
        "slope K E[f(n+1) - f(n)] over K - 1 trials, here -K E[1/(n+1)]. Beyond K, 1/k is below "
        "1/(K+1), which leaves a geometric series."
    ),
    where="the log loss of a denoiser from its samples alone",
    domain="0 < q <= 1, K >= 1; n of K independent samples have the symbol",
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.experiment.comparison.truncated_log_loss",
        "rhm_theory.experiment.comparison.compare",
    ],
    rules=["geometric sum", "linearity of expectation"],
    evaluate=_mean_loss,
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
    yield Equal("ℓ_K': K such terms", -geometric(1 - q, order), slope)
    for (trials, successes), share in parts.items():
        ratio = sp.combsimp(sp.binomial(trials, successes) / sp.binomial(order, count))
        yield Equal(f"C({trials}, {successes}) over C(K, n)", ratio, share)

    def chance(trials, successes):
        """Over C(K, n)."""
        return parts[trials, successes] * q**successes * (1 - q) ** (trials - successes)

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
