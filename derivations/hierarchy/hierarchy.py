"""Inference in the Random Hierarchy Model (arXiv:2410.13770): the log evidence and its derivatives.

The identities hold for any finite law. They are proved for the few classes of outcomes that the
quantity in question distinguishes. That belief propagation computes the law of a *grammar* is
certified on small ones, with all trees in exact numbers (:mod:`derivations.hierarchy.enumeration`).
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
import itertools
import math
from fractions import Fraction
from typing import NamedTuple

import sympy as sp

from derivations.hierarchy import enumeration
from derivations.hierarchy.enumeration import SMALL, Grammar
from derivations.hierarchy.mean_field import PAPER, geometric, geometric_steps, noise
from derivations.ledger.ledger import claim
from derivations.ledger.steps import Certificate, Equal, Positive
from derivations.ledger.symbols import branching as width
from derivations.ledger.symbols import rules_per_symbol as rules
from derivations.ledger.symbols import vocabulary as v

both, only_first, only_second, neither = sp.symbols(
    "a b c d", positive=True
)  # total weights of four classes of outcomes
evidence = both + only_first + only_second + neither
field, other_field = sp.symbols("h_i h_j", real=True)
joint, other, observed, prior = sp.symbols("J J' J_y P", positive=True)
eta = sp.Symbol("eta", real=True)
own, up_root, chosen, evidence_of_all, height = sp.symbols(
    "mu mu_0 Pi Z L", positive=True
)  # messages, a rule's product of them, Z
mean_n, mean_m, within, weight = sp.symbols("N M V w", positive=True)
order = sp.Symbol("n", positive=True, integer=True)


def name(grammar: Grammar) -> str:
    """Which small grammar."""
    rules = len(grammar.tables[0][0])
    numbers = f"v = {grammar.vocabulary}, m = {rules}, s = {grammar.branching}"
    return f"{numbers}, depth {len(grammar.tables)}"


@functools.cache
def _propagated(grammar: Grammar) -> tuple[bool, str]:
    """Whether messages give the same evidence and weights as the sum over all trees.

    There is a weight for every symbol of every node.
    """
    likelihood = enumeration.generic_likelihood(grammar)
    chances = enumeration.tree_weights(grammar, likelihood)
    up = enumeration.upward(grammar, likelihood)
    down = enumeration.downward(grammar, up)
    same = sum(up[-1][0]) == grammar.vocabulary * sum(chances)
    count = 0
    for level, messages in enumerate(up):
        for node, symbol in itertools.product(range(len(messages)), range(grammar.vocabulary)):
            pairs = zip(chances, enumeration.trees(grammar), strict=True)
            total = sum(chance for chance, tree in pairs if tree.levels[level][node] == symbol)
            same &= messages[node][symbol] * down[level][node][symbol] == total
            count += 1
    return same, f"evidence {sum(chances)} and {count} weights, exactly"


def _evidence(*, grammar=0, leaf=0, symbol=0):
    """A leaf's marginal by all trees, and π ∂ln Z/∂π by the difference of two evidences.

    The difference is exact, since Z is affine in π.
    """
    language = SMALL[grammar]
    likelihood = [list(row) for row in enumeration.generic_likelihood(language)]
    likelihood[leaf][symbol] = max(likelihood[leaf][symbol], Fraction(1, 5))
    chances = enumeration.tree_weights(language, likelihood)
    direct = sum(
        chance
        for chance, tree in zip(chances, enumeration.trees(language), strict=True)
        if tree.leaves[leaf] == symbol
    )
    moved = [[*row] for row in likelihood]
    moved[leaf][symbol] += 1
    slope = (
        sum(enumeration.upward(language, moved)[-1][0])
        - sum(enumeration.upward(language, likelihood)[-1][0])
    ) / language.vocabulary
    return float(direct / sum(chances)), float(likelihood[leaf][symbol] * slope / sum(chances))


@claim(
    "rhm-evidence",
    statement=(
        "Let ln Z depend on h_i(x) = ln π_i(x). Marginals are its gradient, P_i(x) = ∂ln Z/∂h_i(x) "
        "= π ∂ln Z/∂π, and covariances of indicators are its Hessian. One pass up and one down "
        "give Z and its derivatives by every message."
    ),
    explanation=(
        "Z = a e^{h+h'} + b e^h + c e^{h'} + d. The four terms belong to the trees that have "
        "symbol x at i and x' at j, only the first, only the second, and neither. Two derivatives "
        "see no more, whatever the number of trees. Messages are certified on three grammars, for "
        "every node and symbol, with all trees enumerated."
    ),
    where=f"{PAPER}, belief propagation",
    domain="any grammar, any likelihood >= 0 with Z > 0, zeros included (π ∂/∂π)",
    origin="new",
    evidence="certified",
    backs=[
        "rhm_theory.inference.evidence.log_evidence",
        "rhm_theory.inference.evidence.marginals",
        "rhm_theory.inference.messages.upward_pass",
        "rhm_theory.inference.messages.downward_pass",
    ],
    evaluate=_evidence,
    counterexample=(
        "a grammar, a likelihood and a node whose marginal is not π ∂ln Z/∂π, or a pair whose "
        "covariance is not the Hessian"
    ),
)
def log_evidence(
    gradient=(both + only_first) / evidence,
    hessian=both / evidence - (both + only_first) * (both + only_second) / evidence**2,
    diagonal=(both + only_first) * (only_second + neither) / evidence**2,
):
    Z = (
        both * sp.exp(field + other_field)
        + only_first * sp.exp(field)
        + only_second * sp.exp(other_field)
        + neither
    )
    here = {field: 0, other_field: 0}
    yield Equal("∂ln Z/∂h_i = P(x at i)", sp.diff(sp.log(Z), field).subs(here), gradient)
    yield Equal(
        "∂²ln Z/∂h_i∂h_j = P(both) - P(x at i)P(x' at j)",
        sp.diff(sp.log(Z), field, other_field).subs(here),
        hessian,
    )
    yield Equal("∂²ln Z/∂h_i² = P(1 - P)", sp.diff(sp.log(Z), field, 2).subs(here), diagonal)
    likelihood = sp.Symbol("pi", nonnegative=True)
    of_likelihood = likelihood * (both + only_first) + only_second + neither
    slope = likelihood * sp.diff(sp.log(of_likelihood), likelihood)
    yield Equal("π ∂ln Z/∂π, at π = 1", slope.subs(likelihood, 1), gradient)
    yield Equal("and at π = 0, where h is -∞", slope.subs(likelihood, 0), 0)
    for grammar in SMALL:
        yield Certificate(f"messages: {name(grammar)}", *_propagated(grammar))


@functools.cache
def _drawn(grammar: Grammar) -> tuple[bool, str]:
    """Whether sampling from the root down makes each tree with its posterior probability.

    The root's symbol is drawn first, then one rule for each node, all by their messages.
    """
    likelihood = enumeration.generic_likelihood(grammar)
    chances = enumeration.tree_weights(grammar, likelihood)
    everything = enumeration.trees(grammar)
    up = enumeration.upward(grammar, likelihood)
    same = all(
        chance == sum(chances) * _chance(grammar, up, tree)
        for chance, tree in zip(chances, everything, strict=True)
    )
    return (
        same,
        f"{len(everything)} trees, {sum(chance > 0 for chance in chances)} possible ones, exactly",
    )


def _chance(grammar: Grammar, up, tree: enumeration.Tree) -> Fraction:
    """Of one tree, by the choices that make it."""
    chance = up[-1][0][tree.levels[-1][0]] / sum(up[-1][0])
    for table, below, children, parents in zip(
        grammar.tables, up, tree.levels, tree.levels[1:], strict=False
    ):
        for node, symbol in enumerate(parents):
            place = slice(node * grammar.branching, (node + 1) * grammar.branching)
            shares = enumeration.rule_weights(below[place], table[symbol])
            chosen = shares[table[symbol].index(children[place])]
            chance *= chosen / sum(shares) if chosen else 0
    return chance


@claim(
    "rhm-joint-sampling",
    statement=(
        "From the root down, draw symbol a with probability μ(a)/(vZ), then rule k of each node "
        "with Π_i μ_i(R[a,k,i])/(m μ(a)). A tree then comes with its posterior probability v^{−1} "
        "m^{−(s^L−1)/(s−1)} Π_i π_i/Z; without evidence, with its prior one."
    ),
    explanation=(
        "μ(a) is the mean over the m rules, and Z the mean over the v symbols. The message of each "
        "node is divided out again, so that only those of the leaves remain. Certified: every tree "
        "of three grammars."
    ),
    where=f"{PAPER}, backward sampling",
    domain="any grammar, any likelihood >= 0 with Z > 0",
    origin="new",
    evidence="certified",
    backs=[
        "rhm_theory.inference.sampling.sample_posterior",
        "rhm_theory.experiment.comparison.bayes",
        "rhm_theory.models.grammar.Grammar.sample",
        "rhm_theory.models.grammar.Grammar.log_probability",
    ],
    rules=["tree Markov property", "geometric sum"],
    counterexample=(
        "a grammar, a likelihood and a tree that these draws make with another probability than "
        "its posterior one"
    ),
)
def joint_sampling(
    of_root=up_root / (v * evidence_of_all),
    of_rule=chosen / (rules * own),
    inner_nodes=(width**height - 1) / (width - 1),
):
    yield from geometric_steps()
    yield Equal(
        "a node's m rules: their products add up to mμ", of_rule.subs(chosen, rules * own), 1
    )
    yield Equal(
        "the root's v symbols: their messages add up to vZ",
        of_root.subs(up_root, v * evidence_of_all),
        1,
    )
    first_child, second_child, first_leaves, second_leaves = sp.symbols(
        "mu_1 mu_2 pi_1 pi_2", positive=True
    )
    drawn = of_root * of_rule.subs(
        {own: up_root, chosen: first_child * second_child}, simultaneous=True
    )
    for child, below in ((first_child, first_leaves), (second_child, second_leaves)):
        drawn *= of_rule.subs({own: child, chosen: below}, simultaneous=True)
    yield Equal(
        "two levels, two children",
        drawn,
        first_leaves * second_leaves / (v * rules**3 * evidence_of_all),
    )
    yield Equal(
        "rules chosen: one a node, s^ℓ nodes ℓ below the root",
        geometric(width, height),
        inner_nodes,
    )
    for grammar in SMALL:
        yield Certificate(f"all trees: {name(grammar)}", *_drawn(grammar))


class Observation(NamedTuple):
    """What a mask leaves of a start.

    It has its probability over starts and masks, and what belief propagation makes of it.
    """

    chance: Fraction
    marginals: list[list[list[Fraction]]]  # level, node, symbol


@functools.cache
def _observations(
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


@functools.cache
def _unbiased(grammar: Grammar) -> tuple[bool, str]:
    """Whether marginals, averaged over starts and masks, are the prior's at every node."""
    observations = list(_observations(grammar).values())
    everything = enumeration.trees(grammar)
    holds = sum(observation.chance for observation in observations) == 1
    for level, nodes in enumerate(observations[0].marginals):
        for node, symbol in itertools.product(range(len(nodes)), range(grammar.vocabulary)):
            mean = sum(
                observation.chance * observation.marginals[level][node][symbol]
                for observation in observations
            )
            holds &= mean == Fraction(
                sum(tree.levels[level][node] == symbol for tree in everything), len(everything)
            )
    return holds, f"{len(observations)} observations, every node and symbol, exactly"


def _truth(*, grammar=0):
    """Mean posterior belief in the true leaf 0, and the mean chance that two samples agree on it.

    The means are over starts and masks; the samples are posterior ones.
    """
    language = SMALL[grammar]
    everything = enumeration.trees(language)
    truth = Fraction(0)
    observations = _observations(language)
    for seen in itertools.product((True, False), repeat=language.length):
        mask = math.prod(Fraction(2, 3) if known else Fraction(1, 3) for known in seen)
        for tree in everything:
            key = tuple(
                symbol if known else None for symbol, known in zip(tree.leaves, seen, strict=True)
            )
            truth += mask * observations[key].marginals[0][0][tree.leaves[0]] / len(everything)
    agree = sum(
        seen.chance * sum(share**2 for share in seen.marginals[0][0])
        for seen in observations.values()
    )
    return float(truth), float(agree)


@claim(
    "rhm-unbiased",
    statement=(
        "Averaged over starts and noise, marginals are the prior's: E P(x | y) = P(x). Start and "
        "sample are exchangeable, P(x₀, x̂) = Σ_y J(x₀,y) J(x̂,y)/J(y). So the mean belief in the "
        "truth is E Σ_x P(x | y)²."
    ),
    explanation=(
        "J(x, y) = P(x) P(y | x), J(y) is its sum over x, and P(x | y) = J(x, y)/J(y). Each "
        "identity holds term by term in y. Certified with all starts and masks of two grammars: "
        "belief propagation's mean marginals are the prior's at every node."
    ),
    where=f"{PAPER}, the forward-backward experiment; belief propagation's averages",
    domain=(
        "starts from the model, any forward process, the exact posterior as denoiser; masks and "
        "flips (the ε-process observes nothing)"
    ),
    origin="new",
    evidence="certified",
    backs=[
        "rhm_theory.inference.sampling.sample_posterior",
        "rhm_theory.experiment.trajectories.forward_backward",
    ],
    rules=["conditioning"],
    evaluate=_truth,
    counterexample=(
        "a grammar and a mask law whose mean marginals over starts and noise are not the prior's"
    ),
)
def unbiased(
    mean_posterior=joint,
    exchange=joint * other / observed,
    truth=joint**2 / observed,
):
    posterior = joint / observed
    yield Equal("J(y) P(x|y): summed over y it is P(x)", observed * posterior, mean_posterior)
    yield Equal("P(x₀) P(y|x₀) P(x̂|y)", prior * (joint / prior) * (other / observed), exchange)
    swapped = exchange.subs({joint: other, other: joint}, simultaneous=True)
    yield Equal("symmetric in start and sample", exchange, swapped)
    yield Equal("belief in the truth: x̂ = x₀", exchange.subs(other, joint), truth)
    yield Equal("J(y) P(x|y)²", observed * posterior**2, truth)
    for grammar in SMALL[:2]:
        yield Certificate(f"all masks: {name(grammar)}", *_unbiased(grammar))


@claim(
    "rhm-two-parts",
    statement=(
        "Var N = E[Var(N | noise)] + Var(E[N | noise]). From K draws of the noise with exact "
        "conditional means N_k, Σ(N_k − N̄)²/(K−1) is unbiased for the second part."
    ),
    explanation=(
        "E[N² | noise] = V + N², where N is the conditional mean. Average it and subtract M², with "
        "M = E N. Moreover E Σ(N_k - N̄)² = K E N² - K E N̄², where N̄ has 1/K of the variance. So "
        "each draw gives (K-1)/K of the second part."
    ),
    where=f"{PAPER}, the susceptibility under masks: from the noise and from the backward sampling",
    domain="any law of the noise; K independent draws of it a start",
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.experiment.trajectories.forward_backward",
        "rhm_theory.experiment.trajectories.total_variance",
        "rhm_theory.experiment.trajectories.susceptibility",
        "rhm_theory.experiment.trajectories.noise_part",
        "rhm_theory.experiment.trajectories.enumerated_masks",
    ],
    rules=["linearity of expectation"],
    counterexample="a law of the noise whose two parts do not add up to Var N",
)
def two_parts(
    total=within + mean_n**2 - mean_m**2,
    between=(order - 1) * within / order,
):
    second_moment = sp.Symbol("S", positive=True)  # E[N_k²], N_k the conditional mean of a draw
    split = within + (second_moment - mean_m**2)
    yield Equal("E V + E N² - M²", split.subs(second_moment, mean_n**2), total)
    spread = second_moment - mean_m**2  # Var N_k
    mean_square_of_mean = spread / order + mean_m**2
    yield Equal(
        "E Σ(N_k - N̄)²/K", second_moment - mean_square_of_mean, between.subs(within, spread)
    )


@functools.cache
def _same_moments(grammar: Grammar) -> tuple[bool, str]:
    likelihood = enumeration.generic_likelihood(grammar)
    starts = [enumeration.trees(grammar)[index].leaves for index in (0, -1)]
    pairs = [
        [
            function(grammar, likelihood, start)
            for function in (enumeration.enumerated_moments, enumeration.recursive_moments)
        ]
        for start in starts
    ]
    parts = all(
        direct.variance == direct.leaf_variance + sum(direct.pair_sums) for direct, _ in pairs
    )
    return parts and all(
        direct == passed for direct, passed in pairs
    ), f"Var N = {pairs[0][0].variance}, exactly"


def _moments(*, grammar=0):
    language = SMALL[grammar]
    likelihood = enumeration.generic_likelihood(language)
    start = enumeration.trees(language)[0].leaves
    sides = [
        function(language, likelihood, start)
        for function in (enumeration.recursive_moments, enumeration.enumerated_moments)
    ]
    return tuple(
        [
            float(number)
            for number in (side.mean, side.variance, side.leaf_variance, *side.pair_sums)
        ]
        for side in sides
    )


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
        "what a variance subtracts. δ_i δ_j averages to a covariance. Certified on three grammars."
    ),
    where=f"{PAPER}, susceptibility: exact mean, variance and pair sums by tree level",
    domain="any grammar, likelihood and start with Z > 0",
    origin="new",
    evidence="certified",
    backs=[
        "rhm_theory.inference.moments.change_moments",
        "rhm_theory.inference.moments.change_correlations",
        "rhm_theory.experiment.trajectories.average_susceptibility",
    ],
    rules=["tree Markov property", "conditioning"],
    evaluate=_moments,
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
        yield Certificate(f"recursion and all trees: {name(grammar)}", *_same_moments(grammar))


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
    domain="any finite law of N; orders 1 to 5 checked, Leibniz' rule for all",
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.inference.moments.change_cumulants",
        "rhm_theory.inference.moments.susceptibility",
    ],
    counterexample="a law of N whose derivative of ln Z(η) is not the cumulant made of its moments",
)
def cumulants(
    first=sp.Symbol("m_1"),
    second=sp.Symbol("m_2") - sp.Symbol("m_1") ** 2,
    third=sp.Symbol("m_3") - 3 * sp.Symbol("m_1") * sp.Symbol("m_2") + 2 * sp.Symbol("m_1") ** 3,
):
    moments = [sp.Integer(1), *(sp.Symbol(f"m_{n}") for n in range(1, 6))]
    M = sp.Function("M")(eta)
    value = {sp.diff(M, eta, n): moments[n] for n in range(5, 0, -1)} | {M: 1}
    derived = [sp.expand(sp.diff(sp.log(M), eta, n).doit().subs(value)) for n in range(1, 6)]
    for n, claimed in enumerate((first, second, third), start=1):
        yield Equal(f"derivative {n} of ln M", derived[n - 1], claimed)
    for n in range(1, 6):
        lower = sum(
            sp.binomial(n - 1, j - 1) * derived[j - 1] * moments[n - j] for j in range(1, n)
        )
        yield Equal(f"recursion, order {n}", derived[n - 1], moments[n] - lower)
    size = sp.Symbol("k", positive=True)
    term = weight * size**order * sp.exp(eta * size)
    yield Equal(
        "each derivative of a term w e^{ηk} brings one more factor k",
        sp.diff(term, eta),
        term * size,
    )


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
    rules=["geometric sum"],
    counterexample="a law on 0 .. d that the Fourier sum does not return",
)
def change_law(
    root=sp.exp(2 * sp.pi * sp.I / (order + 1)),
    resonant=order + 1,
):
    difference = sp.Symbol("l", integer=True)
    yield Equal(
        "ω^((l-k)(d+1)) = 1", sp.powdenest(root ** (difference * (order + 1)), force=True), 1
    )
    turn = sp.symbols("j")
    yield Equal("l = k: so many terms of 1", sp.Sum(1, (turn, 0, order)).doit(), resonant)
    ratio = sp.Symbol("x", positive=True)
    total = (ratio**resonant - 1) / (ratio - 1)
    following = total.subs(order, order + 1) - total
    yield Equal("one term more", following, ratio**resonant)
    # The angle of ω^l is 2π l/(d+1), strictly between 0 and 2π: with l = 1 + a, d = 1 + a + b.
    apart = sp.symbols("a_+ b_+", nonnegative=True)
    yield Positive("0 < l/(d+1)", ((1 + apart[0]) / (resonant)).subs(order, 1 + sum(apart)))
    yield Positive("l/(d+1) < 1", 1 - (1 + apart[0]) / (resonant.subs(order, 1 + sum(apart))))


def _zero_noise(*, grammar=0, noise=Fraction(1, 10**18)):
    """χ of the first tree's leaves at a tiny noise, and its distance to the nearest sequence."""
    language = SMALL[grammar]
    start = enumeration.trees(language)[0].leaves
    share = Fraction(noise) / language.vocabulary
    likelihood = [
        [share + (1 - Fraction(noise)) * (x == kept) for x in range(language.vocabulary)]
        for kept in start
    ]
    found = enumeration.enumerated_moments(language, likelihood, start)
    distances = (
        sum(x != y for x, y in zip(tree.leaves, start, strict=True))
        for tree in enumeration.trees(language)
    )
    return float(found.variance / found.leaf_variance), float(
        min(distance for distance in distances if distance)
    )


@claim(
    "rhm-zero-noise",
    statement=(
        "As ε → 0, χ tends to D, the least number of leaves in which another sequence of the "
        "language differs from the start. So the limit is not always 1."
    ),
    explanation=(
        "A sequence at distance k has odds x^k against the start, with x = (ε/v)/(1 - ε + ε/v) → "
        "0. If c sequences are at distance D, the others are negligible. N is D with probability δ "
        "= cx^D and 0 otherwise, so Var N = D²δ(1-δ). Each leaf changes in a share of these cases, "
        "and the shares add up to Dδ."
    ),
    where=f"{PAPER}, susceptibility as ε → 0",
    domain="ε-process, any unambiguous grammar with another sequence than the start",
    origin="new",
    evidence="proved",
    backs="rhm_theory.inference.moments.susceptibility",
    evaluate=_zero_noise,
    counterexample="a grammar and a start whose χ tends to another number as ε → 0",
)
def zero_noise(limit=only_first, odds=noise / (v - (v - 1) * noise)):
    yield Equal("odds of one leaf", (noise / v) / (1 - noise + noise / v), odds)
    yield Equal("they vanish", odds.subs(noise, 0), 0)
    chance, share = sp.symbols(
        "delta sigma", positive=True
    )  # σ: the share of δ in which a given leaf changes
    distance = only_first
    spread = distance**2 * chance * (1 - chance)
    one_leaf = share * chance * (1 - share * chance)
    yield Equal("Var N/δ as δ → 0", sp.limit(spread / chance, chance, 0), distance * limit)
    yield Equal(
        "Var n_i/δ: its share, and the shares add up to D",
        sp.limit(one_leaf / chance, chance, 0),
        share,
    )
