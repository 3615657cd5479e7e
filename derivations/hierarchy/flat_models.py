"""Models without a hierarchy whose posterior is exact: hidden Markov chains and flat mixtures.

Everything is computed in fractions: by passes along the chain or component by component, and from
all sequences.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.

import itertools
import math
import random
from fractions import Fraction
from typing import NamedTuple

import sympy as sp

from derivations.hierarchy.mean_field.maps import PAPER
from derivations.ledger.domains import Drawn
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal
from derivations.ledger.theorems import Eq, NoValue, Theorem

Rows = list[list[Fraction]]

message, moved, predicted, seen = sp.symbols("f f_T g λ", positive=True)
one_mean, other_mean, whole_mean = sp.symbols("M_1 M_2 M", real=True)
leaving, returning = sp.symbols("p q", positive=True)
share, inner, outer = sp.symbols("x V_1 V_2", positive=True)
change, other_change = sp.symbols("c_1 c_2", positive=True)
own_variance = change * (1 - change)


def _fractions(*rows: str) -> list[list[Fraction]]:
    return [[Fraction(number) for number in row.split()] for row in rows]


class Chain(NamedTuple):
    """A hidden chain of states, and what is seen of it.

    ``emission`` is P(symbol | state). ``likelihood`` has a row for each site.
    """

    transition: Rows
    initial: list[Fraction]
    emission: Rows
    likelihood: Rows
    start: tuple[int, ...]


# Zeros everywhere; 1 to 5 sites, 1 to 4 states and 2 or 3 symbols. Some states emit one symbol.
CHAINS = (
    Chain(
        _fractions("1/2 1/3 1/6", "0 3/4 1/4", "2/5 1/5 2/5"),
        *_fractions("1/2 1/4 1/4"),
        _fractions("1 0 0", "0 1 0", "0 0 1"),
        _fractions("1 2 0", "3 1 1", "0 1 5", "2 1 3"),
        (0, 1, 2, 1),
    ),
    Chain(
        _fractions("1/3 2/3", "1 0"),
        *_fractions("0 1"),
        _fractions("1 0", "0 1"),
        _fractions("1 1", "2 0", "1 3", "0 1", "5 2"),
        (1, 0, 0, 1, 1),
    ),
    Chain(
        _fractions("0 1 0 0", "1/4 1/4 1/4 1/4", "1/2 0 1/2 0", "1/7 2/7 3/7 1/7"),
        *_fractions("1/8 0 3/8 1/2"),
        _fractions("1/2 1/2", "0 1", "2/3 1/3", "1 0"),
        _fractions("1 2", "3 1", "0 4"),
        (1, 0, 1),
    ),
    Chain(
        _fractions("1"),
        *_fractions("1"),
        _fractions("1/4 3/4"),
        _fractions("2 1", "1 0", "1 1"),
        (0, 0, 1),
    ),
    Chain(
        _fractions("1/2 1/2", "1/5 4/5"),
        *_fractions("3/4 1/4"),
        _fractions("1/6 5/6", "1/2 1/2"),
        _fractions("2 1"),
        (0,),
    ),
)


def random_law(generator: random.Random, size: int) -> list[Fraction]:
    """A law of ``size`` outcomes, some perhaps of probability 0."""
    weights = [generator.randint(0, 4) for _ in range(size)]
    weights[generator.randrange(size)] += 1
    return [Fraction(weight, sum(weights)) for weight in weights]


def random_likelihood(generator: random.Random, sites: int, size: int) -> Rows:
    """For each site, with zeros."""
    return [[Fraction(generator.randint(0, 3)) for _ in range(size)] for _ in range(sites)]


def random_chain(generator: random.Random) -> Chain:
    """1 to 4 sites, 1 to 3 states, 2 or 3 symbols, and zeros in everything."""
    states, size, sites = generator.randint(1, 3), generator.randint(2, 3), generator.randint(1, 4)
    return Chain(
        [random_law(generator, states) for _ in range(states)],
        random_law(generator, states),
        [random_law(generator, size) for _ in range(states)],
        random_likelihood(generator, sites, size),
        tuple(generator.randrange(size) for _ in range(sites)),
    )


class Inference(NamedTuple):
    """Evidence, probabilities of all sequences, mean and variance of N, covariances of changes."""

    evidence: Fraction
    chances: dict[tuple, Fraction]
    mean: Fraction
    variance: Fraction
    covariances: dict[tuple, Fraction]


def chain_by_passes(chain: Chain) -> Inference:
    """By passes along the states. The probabilities are those of backward sampling."""
    transition, initial, emission, likelihood, start = chain
    states = range(len(initial))
    # P(symbol | state, what is seen of the site), and the sum that it is divided by.
    emitted = [[_shares(law, seen) for law in emission] for seen in likelihood]
    seen_by = [[_mean(law, seen) for law in emission] for seen in likelihood]
    changed = [
        [1 - law[kept] if sum(law) else Fraction(0) for law in laws]
        for laws, kept in zip(emitted, start, strict=True)
    ]
    forward = [share * seen for share, seen in zip(initial, seen_by[0], strict=True)]
    spread = [one * (1 - one) for one in changed[0]]  # the variance of N so far, by the state here
    given = [changed[:1]]  # P(site i changed), by the state here
    before = []  # P(a | b at the next site, what is seen up to here), by b
    for site in range(1, len(start)):
        joint = [[forward[a] * transition[a][b] for a in states] for b in states]
        # A state that cannot be reached has no states before it, and weight 0.
        before.append([[one / (sum(row) or 1) for one in row] for row in joint])
        forward = [sum(joint[b]) * seen_by[site][b] for b in states]
        spread = [
            _mean_and_variance(row, _means_by_state(given[-1]), spread)[1] + here * (1 - here)
            for row, here in zip(before[-1], changed[site], strict=True)
        ]
        given.append(
            [*([_mean(row, one) for row in before[-1]] for one in given[-1]), changed[site]]
        )
    evidence = sum(forward)
    posterior = [[share / evidence for share in forward]]
    for rows in reversed(before):
        posterior.insert(0, [_mean(posterior[0], column) for column in zip(*rows, strict=True)])
    means = [_mean(law, row) for law, row in zip(posterior, changed, strict=True)]
    covariances = {
        (i, j): sum(posterior[j][b] * changed[j][b] * (given[j][i][b] - means[i]) for b in states)
        if i < j
        else means[j] * (1 - means[j])
        for j in range(len(start))
        for i in range(j + 1)
    }
    mean, variance = _mean_and_variance(posterior[-1], _means_by_state(given[-1]), spread)
    chances = _backward_chances(posterior[-1], before, emitted)
    return Inference(evidence, chances, mean, variance, covariances)


def _shares(law, seen):
    """The law of a symbol given what is seen of it; zeros where that cannot be."""
    total = _mean(law, seen)
    return [share * one / (total or 1) for share, one in zip(law, seen, strict=True)]


def _backward_chances(last, before, emitted):
    """The probability of each sequence: states drawn from the last to the first, then symbols."""
    states, symbols = range(len(last)), range(len(emitted[0][0]))
    chances = dict.fromkeys(itertools.product(symbols, repeat=len(emitted)), Fraction(0))
    for path in itertools.product(states, repeat=len(emitted)):
        steps = zip(before, itertools.pairwise(path), strict=True)
        weight = last[path[-1]] * math.prod(rows[b][a] for rows, (a, b) in steps)
        if not weight:
            continue
        for sequence in chances:
            drawn = zip(emitted, path, sequence, strict=True)
            chances[sequence] += weight * math.prod(laws[a][x] for laws, a, x in drawn)
    return chances


def _mean(weights, values):
    return sum(weight * value for weight, value in zip(weights, values, strict=True))


def _means_by_state(given):
    """The mean of N by the state here."""
    return [sum(column) for column in zip(*given, strict=True)]


def _mean_and_variance(weights, means, spread):
    """Mean and variance of a mixture."""
    centre = _mean(weights, means)
    return centre, _mean(
        weights, [part + (mean - centre) ** 2 for part, mean in zip(spread, means, strict=True)]
    )


def chain_by_sequences(chain: Chain) -> Inference:
    """From all sequences of states and symbols."""
    transition, initial, emission, likelihood, start = chain
    sites = len(likelihood)
    sequences = list(itertools.product(range(len(likelihood[0])), repeat=sites))
    weights = dict.fromkeys(sequences, Fraction(0))
    for path in itertools.product(range(len(initial)), repeat=sites):
        steps = (transition[a][b] for a, b in itertools.pairwise(path))
        weight = initial[path[0]] * math.prod(steps)
        for sequence in sequences if weight else ():
            emitted = (emission[a][x] for a, x in zip(path, sequence, strict=True))
            weights[sequence] += weight * math.prod(emitted)
    return inference_by_sequences(weights, likelihood, start)


def inference_by_sequences(
    law: dict[tuple, Fraction], likelihood: Rows, start: tuple[int, ...]
) -> Inference:
    """From the ``law`` of all sequences; ``NoValue`` if what is seen contradicts it."""
    weights = {
        sequence: chance
        * math.prod(row[symbol] for row, symbol in zip(likelihood, sequence, strict=True))
        for sequence, chance in law.items()
    }
    evidence = sum(weights.values())
    if not evidence:
        raise NoValue("some sequence is possible")
    chances = {sequence: weight / evidence for sequence, weight in weights.items()}
    changes = {
        sequence: [int(a != b) for a, b in zip(sequence, start, strict=True)]
        for sequence in weights
    }

    def mean(value):
        return sum(chance * value(changes[sequence]) for sequence, chance in chances.items())

    covariances = {
        (i, j): mean(lambda n, i=i, j=j: n[i] * n[j])
        - mean(lambda n, i=i: n[i]) * mean(lambda n, j=j: n[j])
        for j in range(len(start))
        for i in range(j + 1)
    }
    centre = mean(sum)
    return Inference(
        evidence, chances, centre, mean(lambda n: sum(n) ** 2) - centre**2, covariances
    )


def law_by_trees(transition):
    """The stationary law: a symbol's weight is that of all trees of moves that lead to it."""
    symbols = range(len(transition))
    weights = []
    for root in symbols:
        others = [symbol for symbol in symbols if symbol != root]
        weights.append(Fraction(0))
        for moves in itertools.product(symbols, repeat=len(others)):
            following = dict(zip(others, moves, strict=True))
            if all(_leads_to(root, symbol, following) for symbol in others):
                weights[-1] += math.prod(transition[a][b] for a, b in following.items())
    return [weight / sum(weights) for weight in weights]


def _leads_to(root: int, symbol: int, following: dict[int, int]) -> bool:
    for _ in following:
        symbol = following.get(symbol, symbol)
    return symbol == root


chain_symbol = sp.Symbol("chain")
evidences, means, variances = (
    sp.symbols(f"{n}_passes {n}_all", real=True) for n in ("Z", "M", "V")
)
worst_chance, worst_covariance, worst_row = sp.symbols("off_P off_C off_row", real=True)


def apart(one: dict, other: dict) -> Fraction:
    """The largest difference of two tables with the same keys."""
    return max(abs(one[key] - other[key]) for key in other)


def passes_and_sequences(chain):
    """Both inferences, and how far the stationary law is from solving the linear system."""
    listed = chain_by_sequences(chain)
    passes = chain_by_passes(chain)
    law = law_by_trees(chain.transition)
    rows = (
        law[b] - sum(law[a] * chain.transition[a][b] for a in range(len(law))) + sum(law) - 1
        for b in range(len(law))
    )
    return {
        evidences[0]: passes.evidence,
        evidences[1]: listed.evidence,
        means[0]: passes.mean,
        means[1]: listed.mean,
        variances[0]: passes.variance,
        variances[1]: listed.variance,
        worst_chance: apart(passes.chances, listed.chances),
        worst_covariance: apart(passes.covariances, listed.covariances),
        worst_row: max(map(abs, rows)),
    }


@claim(
    "hidden-markov-passes",
    statement=(
        "With λ(b) = Σ_x E(b,x) π(x) and messages f′(b) = λ(b) Σ_a f(a) T(a,b), the evidence is "
        "the sum of the last one. Draw backwards, each state a before b with weight f(a) T(a,b), "
        "and symbols x with weight E(a,x) π(x). A sequence then has its posterior probability. "
        "Mean and variance of N, and the covariances, follow by conditioning on the last state. "
        "The stationary law solves (1 − T′ + J)x = 1, where J has only ones."
    ),
    explanation=(
        "By induction over the sites: f at the last site, times the backward weights, is the "
        "product of all factors. One more site keeps this. It multiplies f by T λ, as the sum in "
        "the message is divided out by the weights of the site before. So f, summed over all "
        "paths, is Z. Given the state here, the sites before and the symbol here are independent. "
        "So N has the law of a mixture over the state before, plus a change with variance "
        "c(1 − c). For the stationary law, T′x = x and Jx = 1. The search compares with all "
        "sequences and with the sum over trees."
    ),
    where=f"{PAPER}: chains, beside the control of Sec. 3.3",
    domain="any hidden chain, any likelihood >= 0 with Z > 0; a unique stationary law",
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.models.controls.hidden_markov",
        "rhm_theory.models.controls.independent_sites",
        "rhm_theory.models.controls.markov_chain",
        "rhm_theory.models.controls.HiddenMarkov.log_evidence",
        "rhm_theory.models.controls.HiddenMarkov.marginals",
        "rhm_theory.models.controls.HiddenMarkov.sample_posterior",
        "rhm_theory.models.controls.HiddenMarkov.change_moments",
        "rhm_theory.models.controls.HiddenMarkov.change_correlations",
    ],
    theorem=Theorem(
        domain={
            chain_symbol: Drawn(
                "any hidden chain, with zeros, of 1 to 5 sites, 1 to 4 states and 2 to 3 symbols",
                random_chain,
                special=CHAINS,
            )
        },
        conclusions={
            "evidence": Eq(*evidences),
            "sequences": Eq(worst_chance, 0),
            "mean": Eq(*means),
            "variance": Eq(*variances),
            "covariances": Eq(worst_covariance, 0),
            "stationary law": Eq(worst_row, 0),
        },
        measure=passes_and_sequences,
        exact=True,
    ),
    joins=[
        join(
            "induction",
            ("evidence", "sequences"),
            base="known:at one site the message is the product of both factors",
            step=("the states before, with Σ f T = g", "one site more", "symbols of a state"),
        ),
        join(
            "conditioning",
            ("mean", "variance"),
            parts=(
                "sequences",
                "a mixture of two",
                "one change",
                "known:any mixture is one of two, repeatedly",
            ),
        ),
        join(
            "conditioning",
            "covariances",
            parts=("sequences", "product with a change here, by the state here"),
        ),
        join(
            "identity",
            "stationary law",
            equation=(
                "two symbols: at rest",
                "two symbols: solved",
                "three symbols: at rest",
                "three symbols: solved",
                "known:T'x = x and sum x = 1 give (1 - T' + J)x = 1 for any number of symbols",
            ),
        ),
    ],
    counterexample=(
        "a chain, a likelihood and a sequence that backward sampling makes with another "
        "probability than its posterior one"
    ),
)
def chain_passes(
    filtered=predicted * seen,
    before=message * moved / predicted,
    stationary=returning / (leaving + returning),
    mixture=share * (inner + (one_mean - whole_mean) ** 2)
    + (1 - share) * (outer + (other_mean - whole_mean) ** 2),
):
    # Up to here: P(the sites before | message's state), by backward weights, times the message.
    joint = sp.Symbol("J", positive=True)  # the product of all factors so far
    yield Equal("the states before, with Σ f T = g", before.subs(message, predicted / moved), 1)
    sites_before = joint / message
    yield Equal("one site more", filtered * before * sites_before, joint * moved * seen)
    emitted = sp.Symbol("E", positive=True)  # times the likelihood of the symbol
    yield Equal("symbols of a state", filtered * (emitted / seen), predicted * emitted)
    mean = share * one_mean + (1 - share) * other_mean
    squares = share * (inner + one_mean**2) + (1 - share) * (outer + other_mean**2)
    yield Equal("a mixture of two", squares - mean**2, mixture.subs(whole_mean, mean))
    yield Equal("one change", change * (1 - change) ** 2 + (1 - change) * change**2, own_variance)
    # Given the state, the change here and those before are independent.
    here = change * share * one_mean + other_change * (1 - share) * other_mean
    yield Equal(
        "product with a change here, by the state here",
        here - (share * change + (1 - share) * other_change) * mean,
        share * change * (one_mean - mean) + (1 - share) * other_change * (other_mean - mean),
    )
    two = sp.Matrix([[1 - leaving, leaving], [returning, 1 - returning]])
    law = sp.Matrix([stationary, 1 - stationary])
    yield Equal("two symbols: at rest", two.T * law, law)
    yield Equal("two symbols: solved", (sp.eye(2) - two.T + sp.ones(2)) * law, sp.ones(2, 1))
    rates = sp.symbols("q_1:7", positive=True)
    three = sp.Matrix(3, 3, [0, rates[0], rates[1], rates[2], 0, rates[3], rates[4], rates[5], 0])
    for row in range(3):
        three[row, row] = 1 - sum(three[row, :])
    # Each weight sums over the trees that lead to its symbol.
    to_first = rates[2] * rates[4] + rates[2] * rates[5] + rates[3] * rates[4]
    to_second = rates[0] * rates[4] + rates[0] * rates[5] + rates[1] * rates[5]
    to_third = rates[0] * rates[3] + rates[1] * rates[2] + rates[1] * rates[3]
    trees = sp.Matrix([to_first, to_second, to_third])
    law = trees / sum(trees)
    yield Equal("three symbols: at rest", three.T * trees, trees)
    yield Equal("three symbols: solved", (sp.eye(3) - three.T + sp.ones(3)) * law, sp.ones(3, 1))


class Mixed(NamedTuple):
    """A flat mixture of any laws of sequences, given as tables, and what is seen."""

    weights: list[Fraction]
    laws: list[dict[tuple, Fraction]]
    likelihood: Rows
    start: tuple[int, ...]


def _table(text: str, sites: int, size: int) -> dict[tuple, Fraction]:
    sequences = itertools.product(range(size), repeat=sites)
    return dict(zip(sequences, map(Fraction, text.split()), strict=True))


# A component of weight 0, one that contradicts what is seen, one component alone, one site.
MIXTURES = (
    Mixed(
        [Fraction(1, 3), Fraction(2, 3), Fraction(0)],
        [_table("1/4 1/4 1/4 1/4", 2, 2), _table("1 0 0 0", 2, 2), _table("0 0 0 1", 2, 2)],
        _fractions("1 2", "3 1"),
        (0, 1),
    ),
    Mixed(
        [Fraction(1, 2), Fraction(1, 2)],
        [_table("1/2 1/2 0 0", 2, 2), _table("0 0 1/5 4/5", 2, 2)],
        _fractions("1 0", "1 1"),
        (0, 0),
    ),
    Mixed(
        [Fraction(1)],
        [_table("1/8 1/8 1/4 0 1/2 0 0 0 0", 2, 3)],
        _fractions("1 2 3", "1 1 1"),
        (2, 0),
    ),
    Mixed(
        [Fraction(1, 4), Fraction(3, 4)],
        [_table("1/3 2/3", 1, 2), _table("1 0", 1, 2)],
        _fractions("1 2"),
        (1,),
    ),
)


def random_mixture(generator: random.Random) -> Mixed:
    """1 to 3 components with any joint law of 1 to 3 sites and 2 or 3 symbols."""
    sites, size = generator.randint(1, 3), generator.randint(2, 3)
    sequences = list(itertools.product(range(size), repeat=sites))
    count = generator.randint(1, 3)
    return Mixed(
        random_law(generator, count),
        [
            dict(zip(sequences, random_law(generator, len(sequences)), strict=True))
            for _ in range(count)
        ],
        random_likelihood(generator, sites, size),
        tuple(generator.randrange(size) for _ in range(sites)),
    )


def mixture_by_components(mixed: Mixed) -> Inference:
    """From the inference of each component, by the formulas of the claim."""
    found = []
    for weight, law in zip(mixed.weights, mixed.laws, strict=True):
        try:
            part = inference_by_sequences(law, mixed.likelihood, mixed.start)
        except NoValue:
            continue  # it contradicts what is seen: its evidence is 0
        found.append((weight * part.evidence, part))
    evidence = sum(joint for joint, _ in found)
    if not evidence:
        raise NoValue("some sequence is possible")
    shares = [joint / evidence for joint, _ in found]
    parts = [part for _, part in found]
    sites = range(len(mixed.start))
    changed = [[_changed(part, mixed.start, site) for part in parts] for site in sites]
    mean, variance = _mean_and_variance(
        shares, [part.mean for part in parts], [part.variance for part in parts]
    )
    centres = [_mean(shares, row) for row in changed]
    offsets = [[one - centre for one in row] for row, centre in zip(changed, centres, strict=True)]
    covariances = {
        (i, j): _mean(shares, [part.covariances[i, j] for part in parts])
        + _mean(shares, [a * b for a, b in zip(offsets[i], offsets[j], strict=True)])
        for j in sites
        for i in range(j + 1)
    }
    chances = {
        sequence: _mean(shares, [part.chances[sequence] for part in parts])
        for sequence in parts[0].chances
    }
    return Inference(evidence, chances, mean, variance, covariances)


def _changed(found: Inference, start: tuple[int, ...], site: int) -> Fraction:
    return sum(
        (chance for sequence, chance in found.chances.items() if sequence[site] != start[site]),
        Fraction(0),
    )


def mixture_by_sequences(mixed: Mixed) -> Inference:
    """From the law of all sequences."""
    law = {
        sequence: _mean(mixed.weights, [one[sequence] for one in mixed.laws])
        for sequence in mixed.laws[0]
    }
    return inference_by_sequences(law, mixed.likelihood, mixed.start)


one_change, other_change_mean, mixed_mean, mixed_change = sp.symbols("D_1 D_2 M_0 D_0", real=True)
mixture_symbol = sp.Symbol("mixture")


def components_and_sequences(mixture):
    """Both inferences."""
    listed = mixture_by_sequences(mixture)
    parts = mixture_by_components(mixture)
    return {
        evidences[0]: parts.evidence,
        evidences[1]: listed.evidence,
        means[0]: parts.mean,
        means[1]: listed.mean,
        variances[0]: parts.variance,
        variances[1]: listed.variance,
        worst_chance: apart(parts.chances, listed.chances),
        worst_covariance: apart(parts.covariances, listed.covariances),
    }


@claim(
    "flat-mixture-moments",
    statement=(
        "Let component k of a flat mixture have weight π_k, evidence Z_k, and N with mean N_k and "
        "variance V_k. Then Z = Σ π_k Z_k, and the posterior mixes those of the components with "
        "w_k = π_k Z_k/Z. The mean of N is Σ w_k N_k. Its variance is Σ w_k (V_k + (N_k − N̄)²). A "
        "covariance of two sites is Σ w_k (C_k + (c_ik − c_i)(c_jk − c_j)), where c_ik is the "
        "probability that site i changes in component k."
    ),
    explanation=(
        "The joint law of the component and the sequence is π_k P_k(x). Bayes' rule gives the "
        "posterior w_k of the component. Given the component, the sequence has the posterior of "
        "its law. The moments follow by the law of total covariance. The search compares with "
        "the sum over all sequences, for components with any joint law."
    ),
    where="the flat control that the reviewers of arXiv:2410.13770 asked for",
    domain="components with any laws of sequences, any weights, any likelihood >= 0 with Z > 0",
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.models.controls.mixture",
        "rhm_theory.models.controls.Mixture.log_evidence",
        "rhm_theory.models.controls.Mixture.component_posterior",
        "rhm_theory.models.controls.Mixture.marginals",
        "rhm_theory.models.controls.Mixture.sample_posterior",
        "rhm_theory.models.controls.Mixture.change_moments",
        "rhm_theory.models.controls.Mixture.change_correlations",
    ],
    theorem=Theorem(
        domain={
            mixture_symbol: Drawn(
                "any mixture, with zeros, of 1 to 3 laws of 1 to 3 sites and 2 or 3 symbols",
                random_mixture,
                special=MIXTURES,
            )
        },
        conclusions={
            "evidence": Eq(*evidences),
            "posterior": Eq(worst_chance, 0),
            "mean": Eq(*means),
            "variance": Eq(*variances),
            "covariances": Eq(worst_covariance, 0),
        },
        measure=components_and_sequences,
        exact=True,
    ),
    joins=[
        join(
            "conditioning",
            ("evidence", "posterior"),
            parts=("Bayes' rule", "known:any mixture is one of two, repeatedly"),
        ),
        join(
            "conditioning",
            ("mean", "variance", "covariances"),
            parts=(
                "posterior",
                "covariance in a mixture of two",
                "known:any mixture is one of two, repeatedly",
            ),
        ),
    ],
    counterexample="a mixture and a likelihood with another posterior variance of N",
)
def flat_mixture(
    between=share * (one_mean - mixed_mean) * (one_change - mixed_change)
    + (1 - share) * (other_mean - mixed_mean) * (other_change_mean - mixed_change),
):
    first, second, joint, other_joint = sp.symbols("Z_1 Z_2 J_1 J_2", positive=True)
    evidence = share * first + (1 - share) * second
    yield Equal(
        "Bayes' rule",
        (share * joint + (1 - share) * other_joint) / evidence,
        share * first / evidence * (joint / first)
        + (1 - share) * second / evidence * (other_joint / second),
    )
    products = share * (inner + one_mean * one_change) + (1 - share) * (
        outer + other_mean * other_change_mean
    )
    mean = share * one_mean + (1 - share) * other_mean
    changed = share * one_change + (1 - share) * other_change_mean
    yield Equal(
        "covariance in a mixture of two",
        products - mean * changed,
        share * inner
        + (1 - share) * outer
        + between.subs({mixed_mean: mean, mixed_change: changed}),
    )
