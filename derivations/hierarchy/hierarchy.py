"""Inference in the Random Hierarchy Model (arXiv:2410.13770): the log evidence and its derivatives.

The identities hold for any finite law. They are proved for the few classes of outcomes that the
quantity in question distinguishes. That belief propagation computes the law of a *grammar* is
proved on small ones, with all trees in exact numbers (:mod:`derivations.hierarchy.enumeration`).
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
import itertools
import math
import random
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import mpmath
import sympy as sp

from derivations.hierarchy import enumeration
from derivations.hierarchy.enumeration import SMALL, Grammar
from derivations.hierarchy.mean_field import GEOMETRIC, PAPER, geometric, geometric_steps, noise
from derivations.ledger.certificates import Enumerated
from derivations.ledger.domains import Drawn, Integers
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import branching as width
from derivations.ledger.symbols import rules_per_symbol as rules
from derivations.ledger.symbols import vocabulary as v
from derivations.ledger.theorems import Eq, NoValue, Theorem, limit

both, only_first, only_second, neither = sp.symbols(
    "a b c d", positive=True
)  # total weights of four classes of outcomes
evidence = both + only_first + only_second + neither
field, other_field = sp.symbols("h_i h_j", real=True)
joint, other, observed = sp.symbols("J J' J_y", positive=True)
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


def weights_by_messages(grammar: Grammar, likelihood) -> tuple[Fraction, ...]:
    """The evidence, then message times derivative for every symbol of every node."""
    up = enumeration.upward(grammar, likelihood)
    down = enumeration.downward(grammar, up)
    products = (
        message * derivative
        for messages, derivatives in zip(up, down, strict=True)
        for node, outer in zip(messages, derivatives, strict=True)
        for message, derivative in zip(node, outer, strict=True)
    )
    return (Fraction(sum(up[-1][0]), grammar.vocabulary), *products)


def weights_by_trees(grammar: Grammar, likelihood) -> tuple[Fraction, ...]:
    """The same by all trees: their total weight, and of those with a symbol at a node."""
    chances = enumeration.tree_weights(grammar, likelihood)
    everything = list(zip(chances, enumeration.trees(grammar), strict=True))
    shape = [len(level) for level in enumeration.trees(grammar)[0].levels]
    totals = (
        sum((chance for chance, tree in everything if tree.levels[level][node] == symbol), _ZERO)
        for level, nodes in enumerate(shape)
        for node in range(nodes)
        for symbol in range(grammar.vocabulary)
    )
    return (sum(chances), *totals)


_ZERO = Fraction(0)


@functools.cache
def generic_weights(grammar: Grammar) -> tuple[Fraction, ...]:
    """By all trees, for a likelihood without symmetries."""
    return weights_by_trees(grammar, enumeration.generic_likelihood(grammar))


def generic_messages(grammar: Grammar) -> tuple[Fraction, ...]:
    """By messages, for the same likelihood."""
    return weights_by_messages(grammar, enumeration.generic_likelihood(grammar))


def mismatch(one: Iterable, other: Iterable) -> Fraction:
    """The largest difference between two lists of numbers."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def possible(weights: Sequence) -> Sequence:
    """``weights`` if some tree is possible. :class:`NoValue` if none is."""
    if not sum(weights):
        raise NoValue("no tree is possible")
    return weights


case = sp.Symbol("case")
CASES = {
    case: Drawn(
        "any small grammar, with any likelihood >= 0, start and places",
        enumeration.random_case,
        special=enumeration.special_cases(),
    )
}
marginal, covariance, by_field, by_fields, by_likelihood = sp.symbols(
    "P_i(x) Cov dlnZ/dh_i d2lnZ/dh_i/dh_j pi*dlnZ/dpi", real=True
)
weights_apart, drawn_chance, posterior_chance, prior_chance, likelihoods = sp.symbols(
    "weights_apart P_drawn P_posterior P_prior pi_all", real=True
)


def evidence_and_derivatives(case):
    """Marginals and a covariance by all trees, and differences of the evidence by all trees."""
    grammar, likelihood, _, places, _ = case
    chances = possible(enumeration.tree_weights(grammar, likelihood))
    share = [Fraction(chance, sum(chances)) for chance in chances]
    met = [
        [int(tree.leaves[leaf] == symbol) for leaf, symbol in places]
        for tree in enumeration.trees(grammar)
    ]
    first = sum(weight * one for weight, (one, _) in zip(share, met, strict=True))
    second = sum(weight * two for weight, (_, two) in zip(share, met, strict=True))
    joint = sum(weight * one * two for weight, (one, two) in zip(share, met, strict=True))
    moved = [list(row) for row in likelihood]
    leaf, symbol = places[0]
    moved[leaf][symbol] += 1
    slope = sum(enumeration.tree_weights(grammar, moved)) - sum(chances)
    return {
        marginal: first,
        covariance: joint - first * second,
        by_field: field_slope(share, met),
        by_fields: field_curvature(share, met),
        by_likelihood: likelihood[leaf][symbol] * slope / sum(chances),
        weights_apart: mismatch(
            weights_by_messages(grammar, likelihood), weights_by_trees(grammar, likelihood)
        ),
    }


def log_sum(share, met, field, other_field):
    """The logarithm of Σ share e^(field one + other_field two)."""
    terms = (
        mpmath.mpf(weight.numerator)
        / weight.denominator
        * mpmath.exp(field * one + other_field * two)
        for weight, (one, two) in zip(share, met, strict=True)
    )
    return mpmath.log(mpmath.fsum(terms))


def field_slope(share, met):
    """The first derivative by a complex step."""
    step = mpmath.mpf(10) ** -mpmath.mp.dps
    return mpmath.im(log_sum(share, met, mpmath.mpc(0, step), 0)) / step


def field_curvature(share, met):
    """The mixed second derivative by four points, at more than twice the digits."""
    step = mpmath.mpf(10) ** -(mpmath.mp.dps // 2 + 5)
    with mpmath.workdps(2 * mpmath.mp.dps + 20):
        total = sum(
            sign * other * log_sum(share, met, sign * step, other * step)
            for sign in (1, -1)
            for other in (1, -1)
        )
        return total / (4 * step**2)


@claim(
    "rhm-evidence",
    statement=(
        "Let ln Z depend on h_i(x) = ln π_i(x). Marginals are its gradient, P_i(x) = ∂ln Z/∂h_i(x) "
        "= π ∂ln Z/∂π, and covariances of indicators are its Hessian. One pass up gives Z. With "
        "one pass down, message times derivative is the weight of the trees with a symbol at a "
        "node."
    ),
    explanation=(
        "Z = a e^{h+h'} + b e^h + c e^{h'} + d. The four terms belong to the trees that have "
        "symbol x at i and x' at j, only the first, only the second, and neither. Two derivatives "
        "see no more, whatever the number of trees. What messages give is proved on three "
        "grammars, for each node and symbol, with all trees enumerated."
    ),
    where=f"{PAPER}, belief propagation",
    domain="any grammar, any likelihood >= 0 with Z > 0, zeros included (π ∂/∂π)",
    origin="new",
    evidence="proved on examples",
    backs=[
        "rhm_theory.inference.evidence.log_evidence",
        "rhm_theory.inference.evidence.marginals",
        "rhm_theory.inference.messages.upward_pass",
        "rhm_theory.inference.messages.downward_pass",
    ],
    theorem=Theorem(
        domain=CASES,
        conclusions={
            "gradient": Eq(marginal, by_field),
            "by the likelihood": Eq(marginal, by_likelihood),
            "Hessian": Eq(covariance, by_fields),
            "messages": Eq(weights_apart, 0),
        },
        measure=evidence_and_derivatives,
        points=16,
    ),
    joins=[
        join("identity", "gradient", equation="∂ln Z/∂h_i = P(x at i)"),
        join(
            "identity",
            "by the likelihood",
            equation=("π ∂ln Z/∂π, at π = 1", "and at π = 0, where h is -∞"),
        ),
        join(
            "identity",
            "Hessian",
            equation=("∂²ln Z/∂h_i∂h_j = P(both) - P(x at i)P(x' at j)", "∂²ln Z/∂h_i² = P(1 - P)"),
        ),
        join("enumeration", "messages", cases=[f"messages: {name(grammar)}" for grammar in SMALL]),
    ],
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
        yield Enumerated(
            f"messages: {name(grammar)}", generic_messages, (grammar,), generic_weights(grammar)
        )


def chances_of_draws(grammar: Grammar) -> tuple[Fraction, ...]:
    """Of each tree, drawn from the root down by its messages, for the generic likelihood."""
    up = enumeration.upward(grammar, enumeration.generic_likelihood(grammar))
    return tuple(_chance(grammar, up, tree) for tree in enumeration.trees(grammar))


@functools.cache
def posterior_chances(grammar: Grammar) -> tuple[Fraction, ...]:
    """The posterior probability of each tree, for the generic likelihood."""
    chances = enumeration.tree_weights(grammar, enumeration.generic_likelihood(grammar))
    return tuple(chance / sum(chances) for chance in chances)


def drawn_tree(case):
    """The chance of one tree by the draws, and its posterior probability by all trees."""
    grammar, likelihood, _, _, index = case
    chances = possible(enumeration.tree_weights(grammar, likelihood))
    everything = enumeration.trees(grammar)
    tree = everything[index % len(everything)]
    no_evidence = [[Fraction(1)] * grammar.vocabulary] * grammar.length
    return {
        v: grammar.vocabulary,
        rules: len(grammar.tables[0][0]),
        width: grammar.branching,
        height: len(grammar.tables),
        evidence_of_all: sum(chances),
        likelihoods: math.prod(
            row[symbol] for row, symbol in zip(likelihood, tree.leaves, strict=True)
        ),
        drawn_chance: _chance(grammar, enumeration.upward(grammar, likelihood), tree),
        prior_chance: _chance(grammar, enumeration.upward(grammar, no_evidence), tree),
        posterior_chance: chances[index % len(everything)] / sum(chances),
    }


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
        "node is divided out again, so that only those of the leaves remain. Proved on examples: "
        "each tree of three grammars."
    ),
    where=f"{PAPER}, backward sampling",
    domain="any grammar, any likelihood >= 0 with Z > 0",
    origin="new",
    evidence="proved on examples",
    backs=[
        "rhm_theory.inference.sampling.sample_posterior",
        "rhm_theory.experiment.comparison.bayes",
        "rhm_theory.models.grammar.Grammar.sample",
        "rhm_theory.models.grammar.Grammar.log_probability",
    ],
    theorem=Theorem(
        domain=CASES,
        conclusions={
            "posterior": Eq(drawn_chance, posterior_chance),
            "formula": Eq(
                drawn_chance,
                rules ** (-(width**height - 1) / (width - 1)) * likelihoods / (v * evidence_of_all),
            ),
            "prior": Eq(prior_chance, rules ** (-(width**height - 1) / (width - 1)) / v),
        },
        measure=drawn_tree,
        points=16,
    ),
    joins=[
        GEOMETRIC,
        join(
            "identity",
            "v^-1 m^-(number of inner nodes)",
            equation=(
                "a node's m rules: their products add up to mμ",
                "the root's v symbols: their messages add up to vZ",
                "two levels, two children",
                "rules chosen: one a node, s^ℓ nodes ℓ below the root",
                "sums in closed form",
            ),
        ),
        join(
            "enumeration",
            ("posterior", "formula", "prior"),
            cases=(
                "v^-1 m^-(number of inner nodes)",
                *(f"all trees: {name(grammar)}" for grammar in SMALL),
            ),
        ),
    ],
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
        yield Enumerated(
            f"all trees: {name(grammar)}", chances_of_draws, (grammar,), posterior_chances(grammar)
        )


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


class LeafLaw(NamedTuple):
    """Weights of all sets of changed leaves, of ``leaves`` leaves."""

    leaves: int
    weights: tuple[int, ...]

    def numbers(self) -> list[Fraction]:
        """P(N = k) for k = 0 .. d."""
        chances = [Fraction(0)] * (self.leaves + 1)
        for changed, weight in enumerate(self.weights):
            chances[changed.bit_count()] += Fraction(weight, sum(self.weights))
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
