"""Inference in the Random Hierarchy Model: unbiased scores, and the moments of changes."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
import itertools
import math
import random
from fractions import Fraction
from typing import NamedTuple

import sympy as sp

from derivations.hierarchy import enumeration
from derivations.hierarchy.enumeration import SMALL, Grammar
from derivations.hierarchy.hierarchy.bayes import (
    CASES,
    joint,
    mean_m,
    mean_n,
    mismatch,
    name,
    observed,
    only_first,
    only_second,
    order,
    other,
    possible,
    within,
)
from derivations.hierarchy.mean_field.maps import PAPER
from derivations.ledger.certificates import Enumerated
from derivations.ledger.domains import Drawn, Integers
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal
from derivations.ledger.theorems import Eq, NoValue, Theorem


class Observation(NamedTuple):
    """What a mask leaves of a start.

    It has its probability over starts and masks, and what belief propagation makes of it.
    """

    chance: Fraction
    marginals: list[list[list[Fraction]]]  # level, node, symbol


@functools.lru_cache(maxsize=8)
def observations(
    grammar: Grammar, seen_share: Fraction = Fraction(2, 3)
) -> dict[tuple, Observation]:
    """All observations, by the symbols that are seen (None: hidden).

    Each leaf is seen with probability ``seen_share``.
    """
    found = {}
    for seen in itertools.product((True, False), repeat=grammar.length):
        mask = math.prod(seen_share if known else 1 - seen_share for known in seen)
        for tree in enumeration.trees(grammar):
            key = tuple(
                symbol if known else None for symbol, known in zip(tree.leaves, seen, strict=True)
            )
            if key not in found:
                likelihood = [
                    [Fraction(symbol in (None, x)) for x in range(grammar.vocabulary)]
                    for symbol in key
                ]
                up = enumeration.upward(grammar, likelihood)
                down = enumeration.downward(grammar, up)
                total = sum(up[-1][0]) / grammar.vocabulary
                marginals = [
                    [
                        [m * d / total for m, d in zip(*node, strict=True)]
                        for node in zip(*level, strict=True)
                    ]
                    for level in zip(up, down, strict=True)
                ]
                found[key] = Observation(mask * total, marginals)
    return found


# J(x, y) for three symbols x and two observations y; its sums over x.
JOINT = tuple(sp.symbols(f"J_{x}_1:3", positive=True) for x in (1, 2, 3))
EVIDENCE = tuple(map(sum, zip(*JOINT, strict=True)))


def mean_marginals(grammar: Grammar) -> tuple[Fraction, ...]:
    """Marginals by messages, averaged over starts and masks: of each symbol at each node."""
    seen = list(observations(grammar).values())
    return tuple(
        sum(one.chance * one.marginals[level][node][symbol] for one in seen)
        for level, nodes in enumerate(seen[0].marginals)
        for node in range(len(nodes))
        for symbol in range(grammar.vocabulary)
    )


@functools.lru_cache(maxsize=8)
def prior_marginals(grammar: Grammar) -> tuple[Fraction, ...]:
    """The share of all trees that have a symbol at a node."""
    everything = enumeration.trees(grammar)
    return tuple(
        Fraction(sum(tree.levels[level][node] == symbol for tree in everything), len(everything))
        for level, nodes in enumerate(everything[0].levels)
        for node in range(len(nodes))
        for symbol in range(grammar.vocabulary)
    )


class Experiment(NamedTuple):
    """A prior, P(y | x) as ``forward[x][y]``, and a small grammar whose leaves are masked."""

    prior: tuple[Fraction, ...]
    forward: tuple[tuple[Fraction, ...], ...]
    grammar: Grammar


def random_experiment(generator: random.Random) -> Experiment:
    """Two to four symbols, one to three observations, zeros among the probabilities."""

    def law(size: int) -> tuple[Fraction, ...]:
        weights = [generator.choice((0, 1, generator.randint(1, 9))) for _ in range(size)]
        weights[generator.randrange(size)] += 1
        return tuple(Fraction(weight, sum(weights)) for weight in weights)

    symbols = generator.randint(2, 4)
    outcomes = generator.randint(1, 3)
    return Experiment(
        prior=law(symbols),
        forward=tuple(law(outcomes) for _ in range(symbols)),
        grammar=generator.choice(MASKED),
    )


MASKED = (
    SMALL[1],
    *(enumeration.affine(*sizes) for sizes in ((2, 2, 2, 1, 1, 1), (3, 2, 2, 1, 2, 1))),
)
experiment = sp.Symbol("experiment")
(
    mean_belief,
    start_share,
    first_prior,
    started,
    exchanged,
    by_formula,
    truth,
    agreement,
    masks_apart,
) = sp.symbols(
    "E_posterior E_start P_prior P_ab P_ba sum_JJ_over_J truth agreement masks_apart", real=True
)


def forward_and_backward(experiment):
    """All starts, observations and samples, drawn in that order; and all masks of a grammar."""
    prior, forward, grammar = experiment
    symbols, outcomes = range(len(prior)), range(len(forward[0]))
    seen = [sum(prior[x] * forward[x][y] for x in symbols) for y in outcomes]
    outcomes = [y for y in outcomes if seen[y]]
    posterior = {(x, y): prior[x] * forward[x][y] / seen[y] for x in symbols for y in outcomes}

    def pair(start: int, sample: int) -> Fraction:
        return sum(prior[start] * forward[start][y] * posterior[sample, y] for y in outcomes)

    joint_products = (
        prior[0] * forward[0][y] * prior[1] * forward[1][y] / seen[y] for y in outcomes
    )
    return {
        mean_belief: sum(pair(start, 0) for start in symbols),
        start_share: sum(pair(0, sample) for sample in symbols),
        first_prior: prior[0],
        started: pair(0, 1),
        exchanged: pair(1, 0),
        by_formula: sum(joint_products),
        truth: sum(pair(x, x) for x in symbols),
        agreement: sum(seen[y] * posterior[x, y] ** 2 for x in symbols for y in outcomes),
        masks_apart: mismatch(mean_marginals(grammar), prior_marginals(grammar)),
    }


@claim(
    "rhm-unbiased",
    statement=(
        "Averaged over starts and noise, marginals are the prior's: E P(x | y) = P(x). Start and "
        "sample have the symmetric law P(x₀, x̂) = Σ_y J(x₀,y) J(x̂,y)/J(y). Both its marginals "
        "are the prior. So the mean belief in the truth is E Σ_x P(x | y)²."
    ),
    explanation=(
        "J(x, y) = P(x) P(y | x), J(y) is its sum over x, and P(x | y) = J(x, y)/J(y). The steps "
        "are for any J of three symbols and two observations. More of either are more terms of "
        "the same sums. That belief propagation's mean marginals are the prior's is proved with "
        "all starts and masks of two grammars, at each node."
    ),
    where=f"{PAPER}, the forward-backward experiment; belief propagation's averages",
    domain=(
        "starts from the model, any forward process, the exact posterior as denoiser; masks and "
        "flips (the ε-process observes nothing)"
    ),
    origin="new",
    evidence="proved on examples",
    backs=[
        "rhm_theory.inference.sampling.sample_posterior",
        "rhm_theory.experiment.trajectories.forward_backward",
    ],
    theorem=Theorem(
        domain={
            experiment: Drawn("any prior, forward process and small grammar", random_experiment)
        },
        conclusions={
            "marginals": Eq(mean_belief, first_prior),
            "marginals of starts": Eq(start_share, first_prior),
            "symmetry": Eq(started, exchanged),
            "law of the pair": Eq(started, by_formula),
            "truth": Eq(truth, agreement),
            "belief propagation": Eq(masks_apart, 0),
        },
        measure=forward_and_backward,
        points=16,
    ),
    joins=[
        join(
            "conditioning",
            ("law of the pair", "symmetry"),
            parts=(
                "summed over samples: P(start)",
                "known:given y, start and sample are independent, each with the law P(x | y)",
            ),
        ),
        join("linearity of expectation", "marginals", terms="summed over starts: E P(x|y)"),
        join(
            "linearity of expectation",
            "marginals of starts",
            terms="summed over samples: P(start)",
        ),
        join(
            "linearity of expectation",
            "truth",
            terms=("law of the pair", "known:P(x | y) is J(x, y)/J(y)"),
        ),
        join(
            "enumeration",
            "belief propagation",
            cases=[f"all masks: {name(grammar)}" for grammar in SMALL[:2]],
        ),
    ],
    counterexample=(
        "a grammar and a mask law whose mean marginals over starts and noise are not the prior's"
    ),
)
def unbiased(
    mean_posterior=sum(JOINT[2]),
    exchange=joint * other / observed,
):
    def pair(start: int, sample: int):
        """P(start, sample) by the claimed formula."""
        terms = zip(JOINT[start], JOINT[sample], EVIDENCE, strict=True)
        return sum(
            exchange.subs({joint: one, other: another, observed: total}, simultaneous=True)
            for one, another, total in terms
        )

    yield Equal("summed over samples: P(start)", sum(pair(0, b) for b in range(3)), sum(JOINT[0]))
    yield Equal("summed over starts: E P(x|y)", sum(pair(a, 2) for a in range(3)), mean_posterior)
    for grammar in SMALL[:2]:
        yield Enumerated(
            f"all masks: {name(grammar)}", mean_marginals, (grammar,), prior_marginals(grammar)
        )


# The law of a noise of three values, and the moments of N given each.
CHANCES = sp.symbols("w_1:4", positive=True)
MEANS = sp.symbols("N_1:4", positive=True)
SQUARES = sp.symbols("q_1:4", positive=True)


class NoiseLaw(NamedTuple):
    """For each value of the noise its weight, and the law of N given it as (weight, N)."""

    values: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]


def random_noise_law(generator: random.Random) -> NoiseLaw:
    """One to three values of the noise, and one to three of N given each."""
    return NoiseLaw(
        tuple(
            (
                generator.randint(1, 9),
                tuple(
                    (generator.randint(1, 9), generator.randint(0, 20))
                    for _ in range(generator.randint(1, 3))
                ),
            )
            for _ in range(generator.randint(1, 3))
        )
    )


noise_law, draws = sp.Symbol("noise_law"), sp.Symbol("draws", positive=True)
variance_of_all, mean_variance, variance_of_means, of_draws = sp.symbols(
    "Var_N E_Var Var_E E_of_draws", real=True
)


def moments_of(law) -> tuple[Fraction, Fraction]:
    """Mean and variance of a list of (weight, value)."""
    law = list(law)
    total = sum(weight for weight, _ in law)
    mean = Fraction(sum(weight * value for weight, value in law)) / total
    square = Fraction(sum(weight * value**2 for weight, value in law)) / total
    return mean, square - mean**2


def all_noises(noise_law, draws):
    """Variances from all outcomes, and the mean of the estimator from all sequences of draws."""
    if draws < 2:
        raise NoValue("one draw has no spread")
    given = [(weight, *moments_of(law)) for weight, law in noise_law.values]
    weights = [weight for weight, _, _ in given]
    mixture = [
        (Fraction(weight * inner, sum(w for w, _ in law)), value)
        for weight, law in noise_law.values
        for inner, value in law
    ]
    estimates = []
    for chosen in itertools.product(given, repeat=draws):
        means = [mean for _, mean, _ in chosen]
        centre = sum(means) / draws
        spread = sum((mean - centre) ** 2 for mean in means)
        estimates.append((math.prod(weight for weight, _, _ in chosen), spread / (draws - 1)))
    return {
        variance_of_all: moments_of(mixture)[1],
        mean_variance: sum(weight * inner for weight, _, inner in given) / sum(weights),
        variance_of_means: moments_of([(weight, mean) for weight, mean, _ in given])[1],
        of_draws: moments_of(estimates)[0],
    }


@claim(
    "rhm-two-parts",
    statement=(
        "Var N = E[Var(N | noise)] + Var(E[N | noise]). From K draws of the noise with exact "
        "conditional means N_k, Σ(N_k − N̄)²/(K−1) is unbiased for the second part."
    ),
    explanation=(
        "With M = E N and q = E[N² | noise], both sides are E q - M². The steps are for three "
        "values of the noise, of any weights; more are more terms of the same sums. Moreover "
        "E Σ(N_k - N̄)² = K S - K E N̄² with S = E N_k². N̄² has K terms of mean S, and K(K-1) "
        "of mean M², as the draws are independent."
    ),
    where=f"{PAPER}, the susceptibility under masks: from the noise and from the backward sampling",
    domain="any law of the noise; K >= 2 independent draws of it a start",
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.experiment.trajectories.forward_backward",
        "rhm_theory.experiment.trajectories.total_variance",
        "rhm_theory.experiment.trajectories.susceptibility",
        "rhm_theory.experiment.trajectories.noise_part",
        "rhm_theory.experiment.trajectories.enumerated_masks",
    ],
    theorem=Theorem(
        domain={
            noise_law: Drawn("any law of the noise, and of N given it", random_noise_law),
            draws: Integers(2, 4),
        },
        conclusions={
            "two parts": Eq(variance_of_all, mean_variance + variance_of_means),
            "unbiased": Eq(of_draws, variance_of_means),
        },
        measure=all_noises,
        exact=True,
        points=16,
    ),
    joins=[
        join("conditioning", "two parts", parts="E N² - (E N)²"),
        join(
            "linearity of expectation",
            "unbiased",
            terms=("E Σ(N_k - N̄)²", "known:the mean of a product of independent draws is M²"),
        ),
    ],
    counterexample="a law of the noise whose two parts do not add up to Var N",
)
def two_parts(
    within_noise=sum(
        share * (square - mean**2)
        for share, mean, square in zip(CHANCES, MEANS, SQUARES, strict=True)
    ),
    between_noises=sum(
        share * (mean - sum(a * b for a, b in zip(CHANCES, MEANS, strict=True))) ** 2
        for share, mean in zip(CHANCES, MEANS, strict=True)
    ),
    sample_variance=(order - 1) * (within - mean_m**2),
):
    weights = {CHANCES[2]: 1 - CHANCES[0] - CHANCES[1]}
    overall = sum(share * mean for share, mean in zip(CHANCES, MEANS, strict=True))
    second_moment = sum(share * square for share, square in zip(CHANCES, SQUARES, strict=True))
    yield Equal(
        "E N² - (E N)²",
        (second_moment - overall**2).subs(weights),
        (within_noise + between_noises).subs(weights),
    )
    # V is here S = E N_k², and M is E N_k.
    mean_square_of_mean = (order * within + order * (order - 1) * mean_m**2) / order**2
    yield Equal("E Σ(N_k - N̄)²", order * within - order * mean_square_of_mean, sample_variance)


def generic_recursion(grammar: Grammar) -> tuple[enumeration.Moments, ...]:
    """Moments by one pass, for the first and the last tree's leaves as starts."""
    likelihood = enumeration.generic_likelihood(grammar)
    return tuple(
        enumeration.recursive_moments(grammar, likelihood, start) for start in _starts(grammar)
    )


@functools.cache
def generic_moments(grammar: Grammar) -> tuple[enumeration.Moments, ...]:
    """The same by all trees."""
    likelihood = enumeration.generic_likelihood(grammar)
    return tuple(
        enumeration.enumerated_moments(grammar, likelihood, start) for start in _starts(grammar)
    )


def _starts(grammar: Grammar) -> list[tuple[int, ...]]:
    return [enumeration.trees(grammar)[index].leaves for index in (0, -1)]


by_trees = sp.symbols("M_trees Var_trees", real=True)
by_pass = sp.symbols("M_pass Var_pass", real=True)
leaf_variances, pair_sum, pairs_apart = sp.symbols("sum_Var sum_C C_apart", real=True)


def both_moments(case):
    """Moments of N by all trees, and by one pass."""
    grammar, likelihood, start, _, _ = case
    possible(enumeration.tree_weights(grammar, likelihood))
    direct = enumeration.enumerated_moments(grammar, likelihood, start)
    passed = enumeration.recursive_moments(grammar, likelihood, start)
    return {
        by_trees[0]: direct.mean,
        by_trees[1]: direct.variance,
        by_pass[0]: passed.mean,
        by_pass[1]: passed.variance,
        leaf_variances: direct.leaf_variance,
        pair_sum: sum(passed.pair_sums),
        pairs_apart: mismatch(direct.pair_sums, passed.pair_sums),
    }


@claim(
    "rhm-change-moments",
    statement=(
        "Given a node's symbol a, N(a) = Σ_k w_k Σ_i N_i and V(a) = Σ_k w_k[Σ_i V_i + (Σ_i N_i − "
        "N(a))²]. With δ = E[N_i | symbol] − E N_i, pairs that meet at level ℓ add C_ℓ = Σ_u Σ_a "
        "P_u(a) Σ_k w_k Σ_{i≠j} δ_i δ_j. Then Var N = Σ Var n_i + Σ_ℓ C_ℓ."
    ),
    explanation=(
        "Given the rule, the children are independent, with mean M = Σ N_i and variance V = Σ V_i. "
        "So E[N²] = V + M² for each rule. Averaged over the rules, 2N M - N² becomes N², which is "
        "what a variance subtracts. δ_i δ_j averages to a covariance. Proved on three grammars."
    ),
    where=f"{PAPER}, susceptibility: exact mean, variance and pair sums by tree level",
    domain="any grammar, likelihood and start with Z > 0",
    origin="new",
    evidence="proved on examples",
    backs=[
        "rhm_theory.inference.moments.change_moments",
        "rhm_theory.inference.moments.change_correlations",
        "rhm_theory.experiment.trajectories.average_susceptibility",
    ],
    theorem=Theorem(
        domain=CASES,
        conclusions={
            "mean": Eq(by_pass[0], by_trees[0]),
            "variance": Eq(by_pass[1], by_trees[1]),
            "pairs": Eq(pairs_apart, 0),
            "sum": Eq(by_trees[1], leaf_variances + pair_sum),
        },
        measure=both_moments,
        points=16,
    ),
    joins=[
        join(
            "identity",
            "moments of a mixture of rules",
            equation=(
                "one rule's second moment about N(a)",
                "averaged over the rules, Σ w M = N",
                "δ_i δ_j",
                "averaged: minus the product of the means",
            ),
        ),
        join(
            "enumeration",
            ("mean", "variance", "pairs", "sum"),
            cases=(
                "moments of a mixture of rules",
                *(f"recursion and all trees: {name(grammar)}" for grammar in SMALL),
            ),
        ),
    ],
    counterexample=(
        "a grammar, likelihood and start whose enumerated Var N differs from the recursion's"
    ),
)
def change_moments(
    second_moment=within + (mean_m - mean_n) ** 2 + 2 * mean_n * mean_m - mean_n**2,
    product=(mean_n - only_first) * (mean_m - only_second),
):
    yield Equal("one rule's second moment about N(a)", within + mean_m**2, second_moment)
    averaged = (2 * mean_n * mean_m - mean_n**2).subs(mean_m, mean_n)
    yield Equal("averaged over the rules, Σ w M = N", averaged, mean_n**2)
    # E (x - X)(y - Y), term by term: with E x = X, E y = Y the last three terms add up to -XY.
    terms = mean_n * mean_m - only_first * mean_m - mean_n * only_second + only_first * only_second
    yield Equal("δ_i δ_j", product, terms)
    rest = (terms - mean_n * mean_m).subs({mean_n: only_first, mean_m: only_second})
    yield Equal("averaged: minus the product of the means", rest, -only_first * only_second)
    for grammar in SMALL:
        yield Enumerated(
            f"recursion and all trees: {name(grammar)}",
            generic_recursion,
            (grammar,),
            generic_moments(grammar),
        )
