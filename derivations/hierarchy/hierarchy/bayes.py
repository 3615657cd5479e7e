"""Inference in the Random Hierarchy Model (arXiv:2410.13770): the log evidence and its derivatives.

The identities hold for any finite law. They are proved for the few classes of outcomes that the
quantity in question distinguishes. That belief propagation computes the law of a *grammar* is
proved on small ones, with all trees in exact numbers (:mod:`derivations.hierarchy.enumeration`).
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.

import functools
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

import mpmath
import sympy as sp

from derivations.hierarchy import enumeration
from derivations.hierarchy.enumeration import SMALL, Grammar
from derivations.hierarchy.mean_field.maps import GEOMETRIC, PAPER, geometric, geometric_steps
from derivations.ledger.certificates import Enumerated
from derivations.ledger.domains import Drawn
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal
from derivations.ledger.symbols import branching as width
from derivations.ledger.symbols import rules_per_symbol as rules
from derivations.ledger.symbols import vocabulary as v
from derivations.ledger.theorems import Eq, NoValue, Theorem

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
